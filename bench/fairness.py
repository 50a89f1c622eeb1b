"""What one account at ten times its load costs the others, on a link that cannot carry it all (P29).

    python -m bench.fairness [--accounts 10] [--rate 20] [--times 10] [--link-rate 300] [--seconds 20] [--rounds 2]

``--accounts`` customers post one message at a time, ``--rate`` a second each, at random moments, to a real server whose
link carries ``--link-rate`` parts a second: enough for all. In the second half of each round the first of them puts
``--times`` recipients into each request, which is more than the link can carry, so that its queue grows and grows. Told
are, for the other customers, p50 and p99 of the 201 and of the way from the request to the SMSC, without and with that.

Load and SMSC run in this process, the server in its own. Nothing is asserted: the machine decides about milliseconds.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kvitto.core.clock import SystemClock
from kvitto.simulator import Record, Simulator, SimulatorConfig
from tests.support.server import AccountKeys, ServerProcess, link_settings

__all__ = ["Half", "main"]

ROOT = Path(__file__).resolve().parents[1]
FIRST_NUMBER = 46_700_000_000
CLOCK = SystemClock()


@dataclass(slots=True)
class Half:
    """What the other customers saw, in ms."""

    accepted_ms: list[float] = field(default_factory=list)
    on_the_way_ms: list[float] = field(default_factory=list)
    refused: int = 0


class Watch(Record):
    """Notes when each number came to the SMSC."""

    def __init__(self) -> None:
        super().__init__()
        self.came_at: dict[str, float] = {}

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        self.came_at.setdefault(destination, CLOCK.monotonic())


class Customer:
    """One account on one kept-alive connection."""

    def __init__(self, keys: AccountKeys, port: int, numbers: "Numbers") -> None:
        self._keys, self._port, self._numbers = keys, port, numbers
        self._head = (
            f"POST /xms/v1/{keys.service_plan_id}/batches HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Bearer {keys.api_token}\r\nContent-Type: application/json\r\nContent-Length: "
        )

    async def post(self, half: Half, asked_at: dict[str, float], until: float, rate: float, recipients: int) -> None:
        """Post at random moments, ``rate`` a second, until then; ``asked_at``: number -> when, where it is noted."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while CLOCK.monotonic() < until:
            await asyncio.sleep(random.expovariate(rate))
            numbers = self._numbers.take(recipients)
            body = json.dumps({"from": "Kvitto", "to": numbers, "body": "hello"}).encode()
            began = CLOCK.monotonic()
            writer.write(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
            status = await _read_status(reader)
            half.refused += status != 201
            half.accepted_ms.append((CLOCK.monotonic() - began) * 1000)
            asked_at.update(dict.fromkeys(numbers, began))
        writer.close()


async def _read_status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head[9:12])


class Numbers:
    """A new number each."""

    def __init__(self) -> None:
        self._next = FIRST_NUMBER

    def take(self, count: int) -> list[str]:
        """So many that nobody has had."""
        self._next += count
        return [str(self._next - n) for n in range(count)]


async def _half(customers: Sequence[Customer], watch: Watch, options: argparse.Namespace, recipients: int) -> Half:
    """Everybody posts; the first so many recipients a request."""
    others, crowd = Half(), Half()
    asked_at: dict[str, float] = {}
    until = CLOCK.monotonic() + options.seconds
    posts = [one.post(others, asked_at, until, options.rate, 1) for one in customers[1:]]
    await asyncio.gather(customers[0].post(crowd, {}, until, options.rate, recipients), *posts)
    await asyncio.sleep(options.drain)
    late = CLOCK.monotonic()
    others.on_the_way_ms = [(watch.came_at.get(one, late) - at) * 1000 for one, at in asked_at.items()]
    return others


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] if values else 0.0


async def _run(options: argparse.Namespace) -> None:
    watch, numbers = Watch(), Numbers()
    simulator = Simulator(SimulatorConfig(port=0, delay_min_ms=50, delay_max_ms=200), CLOCK, watch)
    await simulator.start()
    with tempfile.TemporaryDirectory() as directory:
        link = link_settings(simulator.port, window=options.window, rate=options.link_rate)
        server = ServerProcess(Path(directory), settings=link, checkout=options.checkout)
        await asyncio.to_thread(server.start)
        try:
            keys = [await asyncio.to_thread(server.create_account, f"customer{n}") for n in range(options.accounts)]
            customers = [Customer(one, server.port, numbers) for one in keys]
            for number in range(1, options.rounds + 1):
                for words, recipients in (("clean", 1), (f"one at {options.times}x", options.times)):
                    half = await _half(customers, watch, options, recipients)
                    print(
                        f"round {number}, {words:<11} 201: p50 {_share(half.accepted_ms, 0.5):6.1f} "
                        f"p99 {_share(half.accepted_ms, 0.99):6.1f} ms   at the SMSC: "
                        f"p50 {_share(half.on_the_way_ms, 0.5):6.1f} p99 {_share(half.on_the_way_ms, 0.99):6.1f} ms"
                        f"   of {len(half.on_the_way_ms)}, {half.refused} refused",
                        flush=True,
                    )
        finally:
            await asyncio.to_thread(server.kill)
    await simulator.stop()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.fairness")
    parser.add_argument("--accounts", type=int, default=10)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--link-rate", type=float, default=300.0)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--drain", type=float, default=5.0, help="s; what comes to the SMSC later counts as long")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose server it is")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
