"""The SMSC of the bench: takes every submit_sm, answers with an id, sends DELIVRD after a short random delay.

    python -m bench.smsc BOARD MESSAGES --requests R --port N [--delay 0-50] [--receipt-window 500]

The project's simulator (``kvitto simulate smsc``) can do much more and costs more; this one is to cost much less than
the server it feeds. It reads with the project's codec, writes receipts in the standard form (text and TLVs), repeats
those that were left unanswered by a lost connection, and stamps on the board when each was handed to the socket.
"""

import argparse
import random
import select
import socket
import struct
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.board import FIRST_NUMBER, Board, Counter
from kvitto.smpp.codec import PduBuffer, decode_submit_sm, encode_header, encode_submit_sm_resp
from kvitto.smpp.pdus import SubmitSm
from kvitto.smpp.spec import RESPONSE_BIT, CommandId

__all__ = ["main"]

READ_BYTES = 256 * 1024
HEADER = struct.Struct(">IIII")
BIND_COMMANDS = frozenset({CommandId.BIND_RECEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER})
SYSTEM_ID_AND_VERSION = b"bench\0\x02\x10\x00\x01\x34"
WHEEL_MS = 1 << 16
TICK_S = 0.002
"""Receipts due within one tick leave together, as in the simulator."""
FIRST_ID = 7_000_000_000
STATE_DELIVERED_TLV = b"\x04\x27\x00\x01\x02"


class Receipt(NamedTuple):
    """One receipt to send: for which slot of the board (-1: none), and the octets behind the header."""

    slot: int
    body: bytes


class Bind:
    """One connection: its octets both ways, and the receipts on it that wait for their answer."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.buffer = PduBuffer()
        self.out: list[bytes] = []
        self.unsent = b""
        self.receives = False
        self.sequence_number = 0
        self.unanswered: dict[int, Receipt] = {}
        self.queue: deque[Receipt] = deque()


class Smsc:
    """All binds and all receipts to come."""

    def __init__(self, board: Board, options: argparse.Namespace) -> None:
        self._board, self._window = board, options.receipt_window
        self._shortest_ms, self._longest_ms = options.delay
        self._listener = socket.create_server(("127.0.0.1", options.port), backlog=64)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._binds: dict[int, Bind] = {}
        self._wheel: list[list[tuple[Bind, Receipt]]] = [[] for _ in range(WHEEL_MS)]
        self._turned_ms = 0
        self._waiting = 0
        self._orphaned: deque[Receipt] = deque()
        self._last_id = FIRST_ID
        self._minute = ""
        self._random = random.Random(1)

    def run(self, until_s: float) -> None:
        """Serve until ``until_s`` of the monotonic clock, or until the process is ended."""
        self._board.counters[Counter.SMSC_READY] = 1
        poll, listener = self._epoll.poll, self._listener.fileno()
        self._turned_ms = int(time.monotonic() * 1000)
        while (now := time.monotonic()) < until_s:
            self._turn(int(now * 1000))
            for descriptor, event in poll(TICK_S if self._waiting else 0.2):
                if descriptor == listener:
                    self._accept()
                elif event & select.EPOLLOUT:
                    self._flush(self._binds[descriptor])
                else:
                    self._read(self._binds[descriptor])

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._binds[connection.fileno()] = Bind(connection)
        self._epoll.register(connection, select.EPOLLIN)

    def _read(self, bind: Bind) -> None:
        try:
            data = bind.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(bind)
            return
        for frame in bind.buffer.feed(data):
            command_id = int.from_bytes(frame[4:8], "big")
            if command_id == CommandId.SUBMIT_SM:
                self._submit(bind, frame)
            elif command_id == CommandId.DELIVER_SM_RESP:
                self._answered(bind, frame)
            else:
                self._other(bind, command_id, int.from_bytes(frame[12:16], "big"))
        self._pump(bind)
        self._flush(bind)

    def _flush(self, bind: Bind) -> None:
        octets = bind.unsent + b"".join(bind.out)
        bind.out.clear()
        if not octets:
            return
        try:
            sent = bind.socket.send(octets)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # The next read closes it.
        had, bind.unsent = bool(bind.unsent), octets[sent:]
        if had is not bool(bind.unsent):
            self._epoll.modify(bind.socket, select.EPOLLIN | (select.EPOLLOUT if bind.unsent else 0))

    def _close(self, bind: Bind) -> None:
        """Receipts that were not answered go out again on the next bind."""
        self._epoll.unregister(bind.socket)
        del self._binds[bind.socket.fileno()]
        bind.socket.close()
        bind.receives = False
        self._orphaned.extend(bind.unanswered.values())
        self._orphaned.extend(bind.queue)
        bind.unanswered.clear()
        bind.queue.clear()

    # --- PDUs --------------------------------------------------------------------------------------------------------

    def _other(self, bind: Bind, command_id: int, number: int) -> None:
        if command_id in BIND_COMMANDS:
            body = SYSTEM_ID_AND_VERSION
            bind.out.append(encode_header(command_id | RESPONSE_BIT, 0, number, len(body)) + body)
            bind.receives = command_id != CommandId.BIND_TRANSMITTER
            self._board.counters[Counter.BINDS] += 1
            if bind.receives:
                bind.queue.extend(self._orphaned)
                self._orphaned.clear()
        elif not command_id & RESPONSE_BIT:
            bind.out.append(encode_header(command_id | RESPONSE_BIT, 0, number))

    def _submit(self, bind: Bind, frame: bytes) -> None:
        pdu = decode_submit_sm(frame)
        if not isinstance(pdu, SubmitSm):
            raise SystemExit("bench.smsc: a broken submit_sm")
        self._last_id += 1
        message_id = str(self._last_id)
        bind.out.append(encode_submit_sm_resp(pdu.sequence_number, 0, message_id))
        board = self._board
        board.counters[Counter.SUBMITS] += 1
        index = int(pdu.destination_addr) - FIRST_NUMBER
        if 0 <= index < board.messages:
            board.submits[index] += 1
        else:
            board.counters[Counter.SUBMITS_UNKNOWN] += 1
            index = -1
        if pdu.registered_delivery & 1:
            due_ms = self._turned_ms + 1 + self._random.randint(self._shortest_ms, self._longest_ms)
            self._wheel[due_ms % WHEEL_MS].append((bind, Receipt(index, self._receipt(pdu, message_id))))
            self._waiting += 1

    def _receipt(self, pdu: SubmitSm, message_id: str) -> bytes:
        text = (
            f"id:{message_id} sub:001 dlvrd:001 submit date:{self._minute} done date:{self._minute} stat:DELIVRD "
            f"err:000 text:{pdu.short_message[:20].decode('latin-1')}"
        )
        head = (
            f"\0{chr(pdu.dest_addr_ton)}{chr(pdu.dest_addr_npi)}{pdu.destination_addr}\0{chr(pdu.source_addr_ton)}"
            f"{chr(pdu.source_addr_npi)}{pdu.source_addr}\0\x04\0\0\0\0\0\0\0\0{chr(len(text))}{text}"
            f"\0\x1e\0{chr(len(message_id) + 1)}{message_id}\0"
        )
        return head.encode("latin-1") + STATE_DELIVERED_TLV

    def _answered(self, bind: Bind, frame: bytes) -> None:
        _, _, status, number = HEADER.unpack_from(frame)
        receipt = bind.unanswered.pop(number)
        if status == 0:
            self._board.counters[Counter.RECEIPTS_OK] += 1
        else:
            self._board.counters[Counter.RECEIPTS_REFUSED] += 1
            self._wheel[(self._turned_ms + 1000) % WHEEL_MS].append((bind, receipt))
            self._waiting += 1

    # --- receipts ----------------------------------------------------------------------------------------------------

    def _turn(self, now_ms: int) -> None:
        """Send what has fallen due since the last turn."""
        self._minute = f"{datetime.now(UTC):%y%m%d%H%M}" if now_ms // 1000 != self._turned_ms // 1000 else self._minute
        touched: set[Bind] = set()
        for ms in range(self._turned_ms + 1, now_ms + 1):
            slot = self._wheel[ms % WHEEL_MS]
            if slot:
                self._waiting -= len(slot)
                for bind, receipt in slot:
                    touched.add(self._queue(bind, receipt))
                slot.clear()
        self._turned_ms = now_ms
        for bind in touched:
            self._pump(bind)
            self._flush(bind)

    def _queue(self, bind: Bind, receipt: Receipt) -> Bind:
        if not bind.receives:
            bind = next((other for other in self._binds.values() if other.receives), bind)
        (bind.queue if bind.receives else self._orphaned).append(receipt)
        return bind

    def _pump(self, bind: Bind) -> None:
        """As many receipts as the window has room for."""
        room = min(self._window - len(bind.unanswered), len(bind.queue))
        if room <= 0:
            return
        now, stamps = time.monotonic_ns(), self._board.receipt_at
        self._board.counters[Counter.RECEIPTS_SENT] += room
        for _ in range(room):
            receipt = bind.queue.popleft()
            bind.sequence_number = number = bind.sequence_number % 0x7FFFFFFF + 1
            bind.unanswered[number] = receipt
            bind.out.append(HEADER.pack(16 + len(receipt.body), CommandId.DELIVER_SM, 0, number) + receipt.body)
            if receipt.slot >= 0:
                stamps[receipt.slot] = now


def _range(text: str) -> tuple[int, int]:
    shortest, _, longest = text.partition("-")
    return int(shortest), int(longest or shortest)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.smsc")
    parser.add_argument("board", type=Path)
    parser.add_argument("messages", type=int)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=_range, default=(0, 50), metavar="MS-MS")
    parser.add_argument("--receipt-window", type=int, default=500)
    parser.add_argument("--duration", type=float, default=300.0)
    options = parser.parse_args()
    board = Board(options.board, options.messages, options.requests)
    Smsc(board, options).run(time.monotonic() + options.duration)


if __name__ == "__main__":
    main()
