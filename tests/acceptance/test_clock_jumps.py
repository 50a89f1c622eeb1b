"""The wall clock of the running server jumps by an hour and a day, both ways, while work is pending (P26).

The server is the real one, under Debian's libfaketime: what its C library says of the time of day is moved by a file,
the clocks that only run on are left alone, as when an operator or NTP sets a machine's clock.
"""

import contextlib
import itertools
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import pytest

from kvitto.simulator import SimulatorConfig
from tests.support.pcluster import SmscThread
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port
from tests.support.sink import Reply, Sink

pytestmark = pytest.mark.slow

HOUR_S, DAY_S = 3600, 86_400
JUMPS_S = (HOUR_S, -HOUR_S, DAY_S, -DAY_S)
"""By how much the clock is wrong, one after the other."""
RETRY_S = 5.0
"""After a failed callback, in the Sinch dialect (P10)."""
WITHIN_S = 60.0
PENDING = {"THROTTLED": "999000000023", "UNREPORTED": "999000000032"}
"""One that the SMSC postpones for ever, one that it never reports on."""


class Wall:
    """The server's time of day: right, and then wrong by whole seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.jump(0)

    def jump(self, by_s: int) -> None:
        """From now on it is wrong by so much."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{by_s:+d}")
        beside.replace(self._path)

    @property
    def wrapper(self) -> list[str]:
        """What starts a process whose clock this is. Where libfaketime is not installed the suite fails."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not found:
            pytest.fail("libfaketime is missing: apt-get install libfaketime")
        own = {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": self._path,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "DONT_FAKE_MONOTONIC": 1,
            "NO_FAKE_STAT": 1,
        }
        return ["env", *(f"{name}={value}" for name, value in own.items())]


class Shop:
    """A customer with callbacks."""

    def __init__(self, server: ServerProcess, keys: AccountKeys, url: str) -> None:
        self._base = f"{server.origin}/xms/v1/{keys.service_plan_id}"
        self._headers = {"Authorization": f"Bearer {keys.api_token}", "Content-Type": "application/json"}
        self._url = url

    def _call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self._base + path, data, self._headers), timeout=30) as said:
            return json.loads(said.read())

    def send(self, *numbers: str, **fields: object) -> str:
        told = {"delivery_report": "per_recipient_final", "callback_url": self._url}
        batch = self._call("/batches", {"from": "Kvitto", "to": list(numbers), "body": "hello", **told, **fields})
        return str(batch["id"])

    def status(self, batch: str, number: str) -> str:
        return str(self._call(f"/batches/{batch}/delivery_report/{number}")["status"])


def await_all(numbers: Iterable[str], seen: Container[str]) -> None:
    until = time.monotonic() + WITHIN_S
    while not all(one in seen for one in numbers):
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)


@contextlib.contextmanager
def failing_once() -> Any:
    """A receiver that answers the first try of every third number's callback 503: too few for a breaker to open."""
    tried: Counter[str] = Counter()

    def answer(path: str, body: bytes) -> Reply:
        number = json.loads(body)["recipient"]
        tried[number] += 1
        return Reply(status=503 if tried[number] == 1 and int(number) % 3 == 0 else 200)

    with Sink() as sink:
        sink.answer = answer
        yield sink


def test_p26_the_servers_wall_clock_jumps_while_messages_and_callbacks_are_pending(tmp_path: Path, watch):
    wall = Wall(tmp_path / "wall")
    config = SimulatorConfig(port=reserve_port(), delay_min_ms=1000, delay_max_ms=1500)
    numbers = map(str, itertools.count(46_700_000_001))
    with SmscThread(config) as smsc, failing_once() as sink:
        server = watch(ServerProcess(tmp_path, settings=link_settings(config.port), wrapper=wall.wrapper))
        keys = server.create_account("shop")
        server.start()
        shop = Shop(server, keys, sink.url)
        began = time.monotonic()
        held = {name: shop.send(number, expire_at=iso(2 * HOUR_S)) for name, number in PENDING.items()}
        planned = next(numbers)
        shop.send(planned, send_at=iso(HOUR_S // 2))
        mine: list[tuple[str, str]] = []
        for by_s in JUMPS_S:
            before = [next(numbers) for _ in range(5)]
            batch = shop.send(*before)
            mine += [(batch, number) for number in before]
            await_all(before, smsc.record.submits)
            wall.jump(by_s)
            after = next(numbers)
            mine.append((shop.send(after), after))
            # The receipts of what was sent before come now, and some of their callbacks fail once.
            await_all([after], smsc.record.answered)
        wanted = {number for _, number in mine}
        sink.wait_for(lambda came: wanted <= {one.json["recipient"] for one in came if one.status == 200}, within_s=60)
        took_s = time.monotonic() - began

        assert {shop.status(*one) for one in mine} == {"Delivered"}
        assert {number: smsc.record.submits[number] for number in wanted} == dict.fromkeys(wanted, 1), "sent twice"
        tries: dict[str, list[float]] = {}
        for one in sink.received:
            tries.setdefault(one.json["recipient"], []).append(one.at)
        expected = {number: 2 if int(number) % 3 == 0 else 1 for number in wanted}
        assert {number: len(at) for number, at in tries.items()} == expected, "a flood, or told too early"
        pauses = [at[1] - at[0] for at in tries.values() if len(at) == 2]
        assert len(pauses) >= len(JUMPS_S)
        assert min(pauses) >= RETRY_S - 0.5, "tried again too early"
        # Nothing that an hour or a day would end has ended, and what is planned for later has not left.
        assert shop.status(held["THROTTLED"], PENDING["THROTTLED"]) == "Queued"
        assert shop.status(held["UNREPORTED"], PENDING["UNREPORTED"]) == "Dispatched"
        assert planned not in smsc.record.submits
        assert 1 <= smsc.record.refused[PENDING["THROTTLED"]] <= took_s + 5, "retries came in a flood"
        assert server.stop() <= 10


def iso(in_s: int) -> str:
    """An instant from now, as the Sinch dialect writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + in_s))
