"""``make bench-callbacks``: what the callback sender costs, and what a bad endpoint costs the others (P12).

    python -m bench.callbacks [--callbacks 60000] [--rate 3000]

The sender as the server has it (lanes, rendering, signing, HTTP client) with a store that answers at once, so that the
figure is the sender's own; the endpoints are ports of another process, which answer 200 at once, or never. First as
fast as it goes, to 64 endpoints and to one: CPU microseconds of this process for each callback. Then 100 endpoints at
a steady rate, without and with ten of them hanging: how long a callback of the other ninety takes from its hand-over
to its answer.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import uvloop

from bench.machine import peak_rss_bytes
from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import CallbackClient
from kvitto.cli.serve import SWITCH_S, YOUNG_OBJECTS
from kvitto.core.clock import SystemClock
from kvitto.core.endpoint import endpoint_number
from kvitto.core.model import Account, CallbackDue, CallbackResult, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dialects.sinch import SinchDialect
from kvitto.store.callbackapi import EndpointDue, MoveStep, Want

__all__ = ["main"]

ACCOUNT = Account(
    id="01KVT7Q4M8Z2X5B9C3D6F0G1HA",
    name="bench",
    service_plan_id="p",
    username="u",
    callback_secret="whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw",
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
HANDED_OVER = 200
"""Callbacks handed over at a time, about what a group of commits does under load."""
HANGING = 10
ENDPOINTS = 100


class _Endpoint(asyncio.Protocol):
    """Answers every request at once; ``silent``: none."""

    silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """One request in one read, as the sender writes them."""
        if not self.silent:
            self.transport.write(OK)


class _Silent(_Endpoint):
    silent = True


async def _serve(count: int, hanging: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(_Silent if number < hanging else _Endpoint, "127.0.0.1", 0) for number in range(count)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.Event().wait()


class _Store:
    """Takes everything at once; counts and times what has ended."""

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}
        self.took_ms: list[float] = []
        self.done = asyncio.Event()
        self.backlog: dict[int, deque[CallbackDue]] = {}
        self.wanted = 0

    def _future(self, result: Any = None) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        future.set_result(result)
        return future

    def set_callback_handoff(self, taker: Any) -> None:
        """Nothing to do."""

    def record_attempts(self, results: Sequence[CallbackResult]) -> "asyncio.Future[Any]":
        """Count and time them."""
        now = time.monotonic()
        for one in results:
            if one.status_code == 200:
                self.took_ms.append((now - self.begun.pop(one.id)) * 1000)
        if len(self.took_ms) >= self.wanted:
            self.done.set()
        return self._future()

    def record_endpoints(self, seen: Any) -> "asyncio.Future[Any]":
        """Nothing is kept."""
        return self._future()

    def release_callbacks(self, ids: Any, now: int) -> "asyncio.Future[Any]":
        """Only endpoints that hang give any back; nobody waits for theirs."""
        return self._future()

    def claim_callbacks(self, now: int, wants: Sequence[Want]) -> "asyncio.Future[Any]":
        """What was not handed over."""
        claimed = []
        for want in wants:
            waiting = self.backlog.get(want.endpoint, deque())
            claimed += [waiting.popleft() for _ in range(min(want.limit, len(waiting)))]
        return self._future(claimed)

    async def due_endpoints(self, now: int) -> list[EndpointDue]:
        """Those with a backlog."""
        return [EndpointDue(endpoint, now) for endpoint, waiting in self.backlog.items() if waiting]

    async def changed_endpoints(self, since: int) -> list[Any]:
        """None."""
        return []

    async def step_moves(self, now: int) -> MoveStep:
        return MoveStep(more=False, begun=frozenset())

    async def step_replays(self, now: int) -> int:
        """None."""
        return 0


def _due(number: int, url: str, now: int) -> CallbackDue:
    view = MessageView(
        f"01KVT7Q4M8Z2X5B9C3D6F{number:05}",
        "01KVT7Q4M8Z2X5B9C3D6F0G1HJ",
        ACCOUNT.id,
        "46701740611",
        Status.DELIVERED,
        Reason.DELIVERED,
        now,
        now,
        NO_ERROR,
        1,
        Note.NONE,
        now,
        "order-118",
        ContentKind.TEXT,
        None,
    )
    endpoint = endpoint_number(ACCOUNT.id, url)
    return CallbackDue(number, ACCOUNT.id, "sinch", url, view, False, 0, now, None, endpoint=endpoint)


async def _run(ports: Sequence[int], callbacks: int, rate: float | None, healthy: int) -> dict[str, float]:
    """Post so many callbacks to these ports in turn; ``healthy``: how many will be answered."""
    store, clock = _Store(), SystemClock()
    store.wanted = healthy
    client = CallbackClient(clock=clock)

    async def account(account_id: str) -> Account:
        return ACCOUNT

    limits = OutboxLimits(stop_s=0.1)
    dialects: Any = {"sinch": SinchDialect()}
    outbox = Outbox(cast("Any", store), client, dialects, account, clock, allow_private=True, limits=limits)
    outbox.start()
    assert AddressPolicy(allow_private=True).permits("127.0.0.1")
    began_s, cpu_s = time.monotonic(), time.process_time()
    sent = 0
    while sent < callbacks:
        due_by_now = callbacks if rate is None else int((time.monotonic() - began_s) * rate)
        group = min(HANDED_OVER, callbacks - sent, due_by_now - sent, max(0, outbox.room() - 10_000))
        if group > 0:
            now, at = clock.now(), time.monotonic()
            dues = [
                _due(number, f"http://127.0.0.1:{ports[number % len(ports)]}/dlr/{number}", now)
                for number in range(sent, sent + group)
            ]
            store.begun.update((due.id, at) for due in dues)
            for due in dues:
                if due.endpoint in outbox.full:
                    store.backlog.setdefault(due.endpoint, deque()).append(due)
            outbox.take([due for due in dues if due.endpoint not in outbox.full])
            sent += group
        await asyncio.sleep(0 if rate is None else 0.001)
    async with asyncio.timeout(60):
        await store.done.wait()
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    await outbox.stop()
    await client.stop()
    took = sorted(store.took_ms)
    return {
        "callbacks_per_s": round(len(took) / wall_s),
        "cpu_us": round(cpu_s / callbacks * 1e6, 1),
        "p50_ms": round(took[len(took) // 2], 1),
        "p99_ms": round(took[int(len(took) * 0.99)], 1),
        "peak_rss_mb": round(peak_rss_bytes(os.getpid()) / 1e6),
    }


def _measure(
    endpoints: int, hanging: int, callbacks: int, rate: float | None, *, only_healthy: bool
) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.callbacks", "--serve", str(endpoints), "--hanging", str(hanging)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        try:
            healthy = sum(1 for number in range(callbacks) if number % endpoints >= hanging)
            return uvloop.run(_run(ports, callbacks, rate, healthy if only_healthy else callbacks))
        finally:
            process.terminate()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.callbacks", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--callbacks", type=int, default=60_000)
    parser.add_argument("--rate", type=float, default=3_000.0, help="callbacks a second of the paced runs")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--hanging", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(_serve(options.serve, options.hanging))
        return
    sys.setswitchinterval(SWITCH_S)
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
    gc.freeze()
    figures = {
        "64 endpoints": _measure(64, 0, options.callbacks, None, only_healthy=False),
        "1 endpoint": _measure(1, 0, options.callbacks, None, only_healthy=False),
        f"{ENDPOINTS} endpoints, paced": _measure(ENDPOINTS, 0, options.callbacks, options.rate, only_healthy=False),
        f"{ENDPOINTS} endpoints, paced, {HANGING} hang": _measure(
            ENDPOINTS, HANGING, options.callbacks, options.rate, only_healthy=True
        ),
    }
    for name, found in figures.items():
        print(f"{name:34}", "  ".join(f"{key} {value:g}" for key, value in found.items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
