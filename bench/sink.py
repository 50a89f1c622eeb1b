"""The receiver of callbacks: reads every recipient out of every body, stamps it on the board, answers 200.

    python -m bench.sink BOARD MESSAGES --requests R --port N

Recipients stand as ``"recipient":"46..."`` in a recipient's report and as ``"recipients":["46...",...]`` in a batch's;
as ``"to":"46..."`` in each report of an Infobip push, and as ``"msisdn":"46..."`` in one of 9bits, whose answer needs a
body. Plain sockets under one epoll, as in ``load``.
"""

import argparse
import re
import select
import socket
import time
from pathlib import Path

from bench.board import FIRST_NUMBER, FIRST_SINK, NUMBER_DIGITS, Board, Counter

__all__ = ["main"]

READ_BYTES = 256 * 1024
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"status":200}'
ONE = b'"recipient":"'
MANY = b'"recipients":['
DELIVERED = b'"status":"Delivered"'
ON_THE_WAY = b'"status":"Dispatched"'
PUSH = b'{"results":['
PUSHED = re.compile(rb'"to":"(\d+)"')
PUSHED_DELIVERED = b'"groupName":"DELIVERED"'
NINEBITS = b'{"sms_id":"'
MSISDN = b'"msisdn":"'
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Sink:
    """All connections, and what has come of a request on each."""

    def __init__(self, board: Board, port: int, endpoints: int, hanging: int) -> None:
        self._board = board
        self._epoll = select.epoll()
        hosts = ["127.0.0.1"] if endpoints == 1 else [f"127.0.1.{FIRST_SINK + number}" for number in range(endpoints)]
        self._silent = [socket.create_server((host, port), backlog=1024) for host in hosts[:hanging]]
        listeners = [socket.create_server((host, port), backlog=1024) for host in hosts[hanging:]]
        self._listeners = {one.fileno(): one for one in listeners}
        for listener in listeners:
            listener.setblocking(False)
            self._epoll.register(listener, select.EPOLLIN)
        self._sockets: dict[int, socket.socket] = {}
        self._partial: dict[int, bytes] = {}

    def run(self, until_s: float) -> None:
        """Receive until ``until_s`` of the monotonic clock, or until the process is ended."""
        self._board.counters[Counter.SINK_READY] = 1
        poll, listeners = self._epoll.poll, self._listeners
        while time.monotonic() < until_s:
            for descriptor, _ in poll(1.0):
                if descriptor in listeners:
                    self._accept(listeners[descriptor])
                else:
                    self._read(descriptor)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)
            self._board.counters[Counter.CONNECTIONS] += 1

    def _read(self, descriptor: int) -> None:
        connection = self._sockets[descriptor]
        try:
            data = connection.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._epoll.unregister(descriptor)
            del self._sockets[descriptor]
            self._partial.pop(descriptor, None)
            connection.close()
            return
        if descriptor in self._partial:
            data = self._partial.pop(descriptor) + data
        at = 0
        while at < len(data):
            end = data.find(b"\r\n\r\n", at)
            length = LENGTH.search(data, at, end + 2) if end >= 0 else None
            if length is None or len(data) < end + 4 + int(length[1]):
                self._partial[descriptor] = data[at:] if at else data
                return
            start, at = end + 4, end + 4 + int(length[1])
            connection.sendall(OK)
            self._count(data, start, at)

    def _count(self, data: bytes, start: int, end: int) -> None:
        now = time.monotonic_ns()
        counters = self._board.counters
        counters[Counter.CALLBACKS] += 1
        counters[Counter.LAST_CALLBACK_AT] = now
        if data.startswith(PUSH, start):
            numbers_pushed = PUSHED.findall(data, start, end)
            for number in numbers_pushed:
                self._stamp(int(number) - FIRST_NUMBER, now)
            counters[Counter.NOT_DELIVERED] += len(numbers_pushed) - data.count(PUSHED_DELIVERED, start, end)
            return
        ninebits = data.startswith(NINEBITS, start)
        if ninebits and data.find(ON_THE_WAY, start, end) >= 0:
            return
        at = data.find(MSISDN if ninebits else ONE, start, end)
        if at >= 0 and ninebits:
            at += len(MSISDN) - len(ONE)
        if at >= 0:
            at += len(ONE)
            self._stamp(int(data[at : at + NUMBER_DIGITS]) - FIRST_NUMBER, now)
            if data.find(DELIVERED, start, end) < 0:
                counters[Counter.NOT_DELIVERED] += 1
            return
        at = data.find(MANY, start, end)
        if at < 0:
            counters[Counter.CALLBACKS_UNKNOWN] += 1
        while at >= 0:
            at += len(MANY)
            close = data.index(b"]", at)
            numbers = data[at:close].replace(b'"', b"").split(b",")
            for number in numbers:
                self._stamp(int(number) - FIRST_NUMBER, now)
            status = data[close : close + 40]
            if not status.startswith(b"]," + DELIVERED):
                counters[Counter.NOT_DELIVERED] += len(numbers)
            at = data.find(MANY, close, end)

    def _stamp(self, index: int, now: int) -> None:
        board = self._board
        if not 0 <= index < board.messages:
            board.counters[Counter.CALLBACKS_UNKNOWN] += 1
            return
        before = board.callbacks[index]
        board.callbacks[index] = before + 1
        if before:
            board.counters[Counter.RECIPIENTS_AGAIN] += 1
        else:
            board.callback_at[index] = now
            board.counters[Counter.RECIPIENTS_FINAL] += 1


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.sink")
    parser.add_argument("board", type=Path)
    parser.add_argument("messages", type=int)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--endpoints", type=int, default=1, help="listen on so many addresses")
    parser.add_argument("--hanging", type=int, default=0, help="the first of them take connections and never answer")
    parser.add_argument("--duration", type=float, default=300.0)
    options = parser.parse_args()
    board = Board(options.board, options.messages, options.requests)
    Sink(board, options.port, options.endpoints, options.hanging).run(time.monotonic() + options.duration)


if __name__ == "__main__":
    main()
