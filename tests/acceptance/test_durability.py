"""What "yes" means: 201 and ``deliver_sm_resp`` leave after the fsync of what they acknowledge; SIGTERM loses nothing.

The order of things is read from the kernel's side, by ``strace`` on the running server (P1, P2, R8).
"""

import os
import re
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.judge import verdict_at_rest
from tests.support.ledger import LoadPlan
from tests.support.pcluster import Rig
from tests.support.server import AccountKeys, ServerProcess

pytestmark = pytest.mark.slow

STOP_S = 10.0
"""The longest that a server may take to stop (P28)."""
CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync"
INTAKE = re.compile(r"\b(read|readv|recvfrom|recvmsg)(\(| resumed)")
OUTPUT = re.compile(r"\b(write|writev|sendto|sendmsg)\(")
DELIVER_SM_RESP = r"\0\0\0\21\200\0\0\5\0\0\0\0"
"""Length 17, command 0x80000005, status 0, as strace writes octets."""


@pytest.fixture
def strace() -> str:
    """The tracer; without it the suite fails, because the promise would go unseen."""
    found = shutil.which("strace")
    if found is None:
        pytest.fail("strace is missing: apt-get install strace")
    return found


class Trace:
    """What strace wrote: one finished or interrupted call a line, in the order of the kernel."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self) -> list[str]:
        """All lines so far."""
        return self._path.read_text(errors="replace").splitlines()

    def first(self, matches: Callable[[str], bool], after: int = -1) -> int:
        """The number of the first line that matches behind line ``after``. Raises: AssertionError."""
        for number, line in enumerate(self.lines()):
            if number > after and matches(line):
                return number
        raise AssertionError(f"no such call after line {after} of {len(self.lines())}")

    def synced_at(self, written: int) -> int:
        """Where the first fsync that began behind line ``written`` returned 0."""
        lines = self.lines()
        began = self.first(lambda line: "fdatasync(" in line or "fsync(" in line, written)
        thread = lines[began].split()[0]
        if "unfinished" not in lines[began]:
            assert lines[began].rstrip().endswith("= 0"), lines[began]
            return began
        ended = self.first(lambda line: line.startswith(thread) and "sync resumed" in line, began)
        assert lines[ended].rstrip().endswith("= 0"), lines[ended]
        return ended


@pytest.fixture
def traced(strace: str, tmp_path: Path, watch) -> tuple[ServerProcess, Trace]:
    """A server on SQLite under strace, with its built-in simulator."""
    trace = tmp_path / "strace.txt"
    wrapper = [strace, "-f", "-y", "-s", "20000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]
    quick = {"simulator.delay_min_ms": 1, "simulator.delay_max_ms": 2}
    server = watch(ServerProcess(tmp_path, wrapper=wrapper, settings=quick))
    server.start(within_s=60)
    return server, Trace(trace)


def post_one(server: ServerProcess, keys: AccountKeys, text: str) -> None:
    """Send one message, wait for its 201."""
    body = f'{{"from": "Kvitto", "to": ["46701740611"], "body": "{text}"}}'
    request = urllib.request.Request(
        f"{server.origin}/xms/v1/{keys.service_plan_id}/batches",
        data=body.encode(),
        headers={"Authorization": f"Bearer {keys.api_token}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


def await_line(trace: Trace, matches: Callable[[str], bool], within_s: float = 20.0) -> None:
    until = time.monotonic() + within_s
    while not any(matches(line) for line in trace.lines()):
        assert time.monotonic() < until, "the call did not come"
        time.sleep(0.05)


async def test_p1_the_batch_is_on_disk_before_the_201_is_written(traced):
    server, trace = traced
    keys = server.create_account("traced")
    marker = f"marker{os.getpid()}"
    post_one(server, keys, marker)
    await_line(trace, lambda line: "HTTP/1.1 201" in line)

    asked = trace.first(lambda line: bool(INTAKE.search(line)) and marker in line)
    stored = trace.first(lambda line: "pwrite" in line and "-wal" in line and marker in line, asked)
    synced = trace.synced_at(stored)
    answered = trace.first(lambda line: bool(OUTPUT.search(line)) and "HTTP/1.1 201" in line)
    assert asked < stored < synced < answered


async def test_p2_r8_the_receipt_is_on_disk_before_its_deliver_sm_resp_is_written(traced):
    server, trace = traced
    keys = server.create_account("traced")
    post_one(server, keys, "any text")
    answers = lambda line: bool(OUTPUT.search(line)) and DELIVER_SM_RESP in line  # noqa: E731
    await_line(trace, answers)

    came = trace.first(lambda line: bool(INTAKE.search(line)) and "stat:DELIVRD" in line)
    raw = ("stat:DELIVRD", b"stat:DELIVRD".hex())
    stored = trace.first(lambda line: "pwrite" in line and "-wal" in line and any(form in line for form in raw), came)
    synced = trace.synced_at(stored)
    answered = trace.first(answers)
    assert came < stored < synced < answered


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


@pytest.mark.timeout(180)
async def test_p28_sigterm_under_load_ends_in_time_and_loses_nothing(tmp_path: Path, dsn, watch):
    rig = Rig(tmp_path, dsn=dsn, window=20, binds=2, delay_ms=(0, 100), plan=LoadPlan(connections=6, pause_s=0.01))
    watch(rig.server)
    with rig:
        took_s = []
        with rig.ledger:
            for _ in range(3):
                time.sleep(1.0)
                took_s.append(rig.server.stop())
                rig.server.start()
            time.sleep(0.5)
        verdict = await verdict_at_rest(rig)
        story = f"stopped in {took_s} s, refused {rig.ledger.refused}\n{verdict.explain()}"
        print(story)
        assert verdict.good, story
        assert max(took_s) <= STOP_S, story
        # In good order nothing is left behind: what was written has been answered before the link was closed.
        assert verdict.in_doubt == [], story
        assert verdict.acknowledged > 100, story
