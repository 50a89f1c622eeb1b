"""The load: posts batches over kept-alive connections, one request in flight on each, until all are answered.

    python -m bench.load BOARD MESSAGES --port N --path PATH --token T --callback URL [--dialect sinch] [--batch 1]

It must cost much less than what it measures: plain sockets under one epoll, requests of one fixed length with only the
numbers put in, no client library, no event loop of tasks.
"""

import argparse
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bench.board import FIRST_NUMBER, FIRST_SINK, NUMBER_DIGITS, Board, Counter, receiver_of

__all__ = ["main"]

READ_BYTES = 256 * 1024
LOST = 1
ACCEPTED = (200, 201)
FIRST_HOST = b"127.0.1.%d" % FIRST_SINK
"""Callbacks to several endpoints go to this and the addresses after it, in turn."""
BODIES = {
    "sinch": (
        b'{"from":"Kvitto","to":["',
        b'","',
        b'"],"body":"Your parcel is here","delivery_report":"REPORT","callback_url":"URL"}',
    ),
    "infobip": (
        b'{"messages":[{"sender":"Kvitto","destinations":[{"to":"',
        b'"},{"to":"',
        b'"}],"content":{"text":"Your parcel is here"},"webhooks":{"delivery":{"url":"URL"}}}]}',
    ),
    "ninebits": (b'{"from":"Kvitto","to":["', b'","', b'"],"content":"Your parcel is here"}'),
}
"""By dialect: a request up to its first number, what stands between two, and the rest."""


def request_maker(options: argparse.Namespace) -> Callable[[int, int], bytes]:
    """A function from (index of the first recipient, how many) to the octets of a request."""
    front, between, back = BODIES[options.dialect]
    report = b"per_recipient_final" if options.batch == 1 else b"full"
    back = back.replace(b"REPORT", report).replace(b"URL", options.callback.encode())

    def head(count: int) -> bytes:
        length = len(front) + len(back) + count * (NUMBER_DIGITS + len(between)) - len(between)
        return (
            f"POST {options.path} HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n"
            f"Authorization: Bearer {options.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n"
        ).encode() + front

    whole = head(options.batch)
    if options.batch == 1:
        backs = [back.replace(FIRST_HOST, b"127.0.1.%d" % (FIRST_SINK + number)) for number in range(options.endpoints)]
        endpoints, most = options.endpoints, options.one_takes_most
        return lambda index, _: b"%b%d%b" % (whole, FIRST_NUMBER + index, backs[receiver_of(index, endpoints, most)])

    def several(index: int, count: int) -> bytes:
        numbers = range(FIRST_NUMBER + index, FIRST_NUMBER + index + count)
        return (
            (whole if count == options.batch else head(count))
            + between.join(b"%d" % number for number in numbers)
            + back
        )

    return several


class Load:
    """All connections and what is on its way on each."""

    def __init__(self, board: Board, options: argparse.Namespace) -> None:
        self._board, self._options = board, options
        self._make = request_maker(options)
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._waiting: dict[int, int] = {}  # file descriptor -> request number
        self._partial: dict[int, bytes] = {}
        self._idle: deque[int] = deque()  # connections that wait for the next request's time
        self._next = 0
        self._answered = 0
        self._began_s = 0.0

    def run(self, until_s: float) -> None:
        """Post everything, or stop at ``until_s`` of the monotonic clock."""
        began_ns = time.process_time_ns()
        self._board.counters[Counter.FIRST_REQUEST_AT] = time.monotonic_ns()
        self._began_s = time.monotonic()
        for _ in range(min(self._options.connections, self._board.requests)):
            self._connect()
        poll, total = self._epoll.poll, self._board.requests
        while self._answered < total and time.monotonic() < until_s:
            for descriptor, _ in poll(min(0.5, self._wait_s()) if self._idle else 0.5):
                self._read(descriptor)
            while self._idle and not self._wait_s():
                self._send(self._idle.popleft())
        self._board.counters[Counter.LOAD_CPU_NS] = time.process_time_ns() - began_ns
        self._board.counters[Counter.LOAD_DONE] = 1

    def _connect(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self._options.port), timeout=10)
        connection.settimeout(None)  # With a time-out Python would poll before every call.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLIN)
        self._send_next(connection.fileno())

    def _wait_s(self) -> float:
        """How long until the next request is due."""
        rate = self._options.rate
        return max(0.0, self._began_s + self._next / rate - time.monotonic()) if rate else 0.0

    def _send_next(self, descriptor: int) -> None:
        if self._wait_s():
            self._idle.append(descriptor)
        else:
            self._send(descriptor)

    def _send(self, descriptor: int) -> None:
        request = self._next
        if request >= self._board.requests:
            return
        self._next = request + 1
        self._waiting[descriptor] = request
        batch = self._options.batch
        octets = self._make(request * batch, min(batch, self._board.messages - request * batch))
        self._board.requested_at[request] = time.monotonic_ns()
        self._sockets[descriptor].sendall(octets)

    def _read(self, descriptor: int) -> None:
        try:
            data = self._sockets[descriptor].recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._lose(descriptor)
            return
        if descriptor in self._partial:
            data = self._partial.pop(descriptor) + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < end + 4 + _content_length(data, end):
            self._partial[descriptor] = data
            return
        self._count(self._waiting.pop(descriptor), int(data[9:12]))
        self._send_next(descriptor)

    def _count(self, request: int, status: int) -> None:
        counters, board, batch = self._board.counters, self._board, self._options.batch
        self._answered += 1
        counters[Counter.REQUESTS] = self._answered
        size = min(batch, board.messages - request * batch)
        if status in ACCEPTED:
            now = time.monotonic_ns()
            board.accepted_at[request] = now
            counters[Counter.ACCEPTED_MESSAGES] += size
            counters[Counter.LAST_ACCEPTED_AT] = now
        else:
            counters[Counter.REFUSED_MESSAGES] += size
            counters[Counter.FIRST_REFUSAL] = counters[Counter.FIRST_REFUSAL] or status

    def _lose(self, descriptor: int) -> None:
        """The server closed: what was on its way counts as refused, and a new connection takes over."""
        self._epoll.unregister(descriptor)
        self._sockets.pop(descriptor).close()
        self._partial.pop(descriptor, None)
        request = self._waiting.pop(descriptor, None)
        if request is not None:
            self._count(request, LOST)
        if self._next < self._board.requests:
            time.sleep(0.05)
            self._connect()


def _content_length(data: bytes, end: int) -> int:
    at = data.find(b"Content-Length: ", 0, end)
    if at < 0:
        at = data[:end].lower().find(b"content-length: ")
        if at < 0:
            raise SystemExit("bench.load: an answer without Content-Length")
    return int(data[at + 16 : data.index(b"\r", at)])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("board", type=Path)
    parser.add_argument("messages", type=int)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--callback", required=True)
    parser.add_argument("--dialect", choices=tuple(BODIES), default="sinch")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--endpoints", type=int, default=1)
    parser.add_argument("--one-takes-most", action="store_true", help="nine of ten callbacks go to the first endpoint")
    parser.add_argument("--rate", type=float, help="requests a second; as fast as they are answered when left out")
    parser.add_argument("--duration", type=float, default=120.0)
    options = parser.parse_args()
    board = Board(options.board, options.messages, -(-options.messages // options.batch))
    Load(board, options).run(time.monotonic() + options.duration)


if __name__ == "__main__":
    main()
