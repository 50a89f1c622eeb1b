"""The SMSC of ``bench.receipts``: after an outage it hands over all its receipts at once, over one bind (R60).

    python -m bench.handover --port N --receipts R --first-id I --first-number N [--window 100]

It says ``bound`` on standard output when somebody has bound, begins at the line ``go`` on standard input, and ends by
writing one JSON object: what was answered with what, and how long it took. Submits that come meanwhile are answered at
once. Every PDU is cut from one template, so that it costs a fraction of the server that it feeds.
"""

import argparse
import json
import select
import socket
import struct
import sys
import time
from array import array
from datetime import UTC, datetime
from typing import Final

from kvitto.smpp.spec import RESPONSE_BIT, CommandId

__all__ = ["main"]

READ_BYTES: Final = 256 * 1024
HEADER: Final = struct.Struct(">IIII")
DELIVER_SM: Final = int(CommandId.DELIVER_SM)
DELIVER_SM_RESP: Final = DELIVER_SM | RESPONSE_BIT
SUBMIT_SM: Final = int(CommandId.SUBMIT_SM)
BINDS: Final = frozenset({CommandId.BIND_RECEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER})
SUBMITS_FROM: Final = 9_000_000_000
"""Ids of submits that come during the storm: not those of any receipt."""
RETRY_S: Final = 1.0


class Handover:
    """One bind, all receipts."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.total, self.window = options.receipts, options.window
        self._first_id, self._first_number, self._step = options.first_id, options.first_number, options.step
        self._sent_at = array("d", bytes(8 * self.total))
        self._answered_at = array("d", bytes(8 * self.total))
        self._listener = socket.create_server(("127.0.0.1", options.port))
        self._bind = self._listener
        self._rest = b""
        self._next = 0
        self._open = 0
        self._done = 0
        self._again: list[tuple[float, int]] = []
        self.by_status: dict[int, int] = {}
        self.submits = 0
        minute = f"{datetime.now(UTC):%y%m%d%H%M}"
        self._dates = f"submit date:{minute} done date:{minute}"

    # --- the wire ----------------------------------------------------------------------------------------------------

    def await_bind(self) -> None:
        """Take the first connection and answer its bind."""
        self._bind, _ = self._listener.accept()
        self._bind.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._take(self._bind.recv(READ_BYTES)):
            pass

    def serve_until_go(self) -> None:
        """Answer what comes until somebody says go."""
        while True:
            ready, _, _ = select.select([self._bind, sys.stdin], [], [])
            if sys.stdin in ready:
                sys.stdin.readline()
                return
            self._take(self._bind.recv(READ_BYTES))

    def storm(self) -> dict[str, object]:
        """Hand over everything; returns when each receipt was answered with 0."""
        began, cpu = time.monotonic(), time.process_time()
        self._fill_window()
        while self._done < self.total:
            wait_s = 1.0 if not self._again else max(0.0, self._again[0][0] - time.monotonic())
            if select.select([self._bind], [], [], wait_s)[0]:
                data = self._bind.recv(READ_BYTES)
                if not data:
                    raise SystemExit("bench.handover: the server hung up")
                self._take(data)
            self._fill_window()
        took = time.monotonic() - began
        waits = sorted(b - a for a, b in zip(self._sent_at, self._answered_at, strict=True))
        return {
            "receipts": self.total,
            "seconds": took,
            "per_s": self.total / took,
            "answer_p50_ms": waits[len(waits) // 2] * 1000,
            "answer_p99_ms": waits[int(len(waits) * 0.99)] * 1000,
            "answer_max_ms": waits[-1] * 1000,
            "by_status": {f"{status:#x}": times for status, times in self.by_status.items()},
            "submits": self.submits,
            "smsc_cpu_us": (time.process_time() - cpu) / self.total * 1e6,
        }

    def _take(self, data: bytes) -> bool:
        """Read PDUs, answer requests; True if a bind was among them."""
        data = self._rest + data
        at, end, bound = 0, len(data), False
        out: list[bytes] = []
        now = time.monotonic()
        while end - at >= 16:
            length, command_id, status, number = HEADER.unpack_from(data, at)
            if end - at < length:
                break
            at += length
            if command_id == DELIVER_SM_RESP:
                self._answered(number - 1, status, now)
            elif command_id == SUBMIT_SM:
                self.submits += 1
                body = b"%d\0" % (SUBMITS_FROM + self.submits)
                out.append(HEADER.pack(16 + len(body), SUBMIT_SM | RESPONSE_BIT, 0, number) + body)
            elif command_id in BINDS:
                bound = True
                out.append(HEADER.pack(22, command_id | RESPONSE_BIT, 0, number) + b"bench\0")
            elif not command_id & RESPONSE_BIT:
                out.append(HEADER.pack(16, command_id | RESPONSE_BIT, 0, number))
        self._rest = data[at:]
        if out:
            self._bind.sendall(b"".join(out))
        return bound

    # --- receipts ----------------------------------------------------------------------------------------------------

    def _answered(self, index: int, status: int, now: float) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self._open -= 1
        if status:
            self._again.append((now + RETRY_S, index))
        else:
            self._answered_at[index] = now
            self._done += 1

    def _fill_window(self) -> None:
        now = time.monotonic()
        out = []
        while self._again and self._again[0][0] <= now and self._open < self.window:
            out.append(self._receipt(self._again.pop(0)[1], now))
        while self._next < self.total and self._open < self.window:
            out.append(self._receipt(self._next, now))
            self._next += 1
        if out:
            self._bind.sendall(b"".join(out))

    def _receipt(self, index: int, now: float) -> bytes:
        """The whole deliver_sm; its sequence number tells the index."""
        if not self._sent_at[index]:
            self._sent_at[index] = now
        self._open += 1
        message_id = self._first_id + index * self._step
        text = b"id:%d sub:001 dlvrd:001 %s stat:DELIVRD err:000 text:Your parcel is here" % (
            message_id,
            self._dates.encode(),
        )
        known = b"%d\0" % message_id
        body = b"".join(
            (
                b"\0\1\1%d\0\5\0Kvitto\0\4\0\0\0\0\0\0\0\0" % (self._first_number + index * self._step),
                bytes((len(text),)),
                text,
                b"\0\x1e",
                len(known).to_bytes(2, "big"),
                known,
                b"\x04\x27\x00\x01\x02",
            )
        )
        return HEADER.pack(16 + len(body), DELIVER_SM, 0, index + 1) + body


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.handover")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--receipts", type=int, required=True)
    parser.add_argument("--first-id", type=int, required=True)
    parser.add_argument("--first-number", type=int, required=True)
    parser.add_argument("--step", type=int, default=1, help="from one receipt's message to the next one's")
    parser.add_argument("--window", type=int, default=100)
    smsc = Handover(parser.parse_args())
    smsc.await_bind()
    print("bound", flush=True)
    smsc.serve_until_go()
    print(json.dumps(smsc.storm()), flush=True)
    smsc.serve_until_go()


if __name__ == "__main__":
    main()
