"""Stop and start with a backlog (P28), in bounded memory (P29): a filled store, a real server, an SMSC that keeps pace.

``KVITTO_TEST_BACKLOG`` recipients, half of them in the queue and half waiting for their receipts; the suite takes few,
``make backlog`` a million and prints what it measured.
"""

import json
import os
import statistics
import time
from datetime import datetime
from pathlib import Path

import pytest

from bench.filler import Fill, State, fill
from bench.machine import peak_rss_bytes
from kvitto.simulator import SimulatorConfig
from tests.support.pcluster import SmscThread
from tests.support.server import ServerProcess, link_settings, reserve_port

pytestmark = pytest.mark.slow

BACKLOG = int(os.environ.get("KVITTO_TEST_BACKLOG", "30000"))
MEASURING = "KVITTO_TEST_BACKLOG" in os.environ
READY_S = 3.0
"""Beyond what a start with an empty store takes: on a machine that others use, that alone may take seconds."""
SERVING_S = 1.5
"""From the first line of the log to the one that says that it serves, modules loaded."""
STOP_S = 10.0
MOST_MIB = 300
WORK_S = 4.0 if MEASURING else 1.0
STARTS = 3
WINDOW, BINDS = 100, 2
RATE = 0 if MEASURING else 1000
"""Parts a second: a small backlog must last for all starts, however fast the machine."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


def sent_by_now(smsc: SmscThread) -> int:
    return len(smsc.record.submits)


def started_in_s(server: ServerProcess) -> float:
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


def serving_s(server: ServerProcess) -> list[float]:
    """How long each start took by the server's own log (seconds)."""
    events = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    at = {
        name: [datetime.fromisoformat(one["timestamp"]) for one in events if one["event"] == name]
        for name in ("server.starting", "server.ready")
    }
    pairs = zip(at["server.starting"], at["server.ready"], strict=True)
    return [(ready - starting).total_seconds() for starting, ready in pairs]


def await_more(smsc: SmscThread, than: int, within_s: float) -> None:
    until = time.monotonic() + within_s
    while sent_by_now(smsc) <= than:
        assert time.monotonic() < until, "nothing is sent"
        time.sleep(0.02)


@pytest.mark.timeout(600 + BACKLOG // 1000)
def test_p28_p29_a_backlog_is_no_hindrance_to_start_or_stop_and_fits_into_memory(tmp_path: Path, dsn, watch):
    config = SimulatorConfig(port=reserve_port(), delay_min_ms=0, delay_max_ms=50, max_binds=2 * BINDS)
    server = watch(
        ServerProcess(tmp_path, dsn=dsn, settings=link_settings(config.port, window=WINDOW, binds=BINDS, rate=RATE))
    )
    server.create_account("bench")
    empty_s = started_in_s(server)
    server.stop()
    url = dsn or f"sqlite:///{server.data_dir / 'kvitto.db'}"
    half = BACKLOG // 2
    fill(url, Fill(messages=half, state=State.QUEUED))
    fill(url, Fill(messages=BACKLOG - half, state=State.DISPATCHED, first_number=47_000_000_000))
    ready_s, stop_s, rss_mib = [], [], []
    with SmscThread(config) as smsc:
        for _ in range(STARTS):
            before = sent_by_now(smsc)
            ready_s.append(started_in_s(server))
            await_more(smsc, before, within_s=10)
            time.sleep(WORK_S)
            rss_mib.append(peak_rss_bytes(server.pid) / 2**20)
            stop_s.append(server.stop())
        doubtful = server.run_json("message", "in-doubt", "list")
        submits = smsc.record.submits
        print(
            f"{BACKLOG:,} recipients on {'PostgreSQL' if dsn else 'SQLite'}: ready in {_told(ready_s)} s "
            f"({empty_s:.2f} s with an empty store; {_told(serving_s(server))} s by its log), "
            f"peak memory {max(rss_mib):.0f} MiB, stopped in {_told(stop_s)} s, {len(submits):,} sent meanwhile"
        )
        assert statistics.median(ready_s) <= READY_S + (0 if MEASURING else empty_s)
        assert statistics.median(serving_s(server)) <= SERVING_S
        assert max(rss_mib) <= MOST_MIB
        assert max(stop_s) <= STOP_S
        assert doubtful == [], "a stop in good order leaves nothing in doubt"
        assert max(submits.values()) == 1, "sent twice"


def _told(values: list[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)
