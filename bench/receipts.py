"""``make bench-receipts``: the receipt storm (R60): an SMSC hands over 100 000 old receipts over one bind.

    python -m bench.receipts [--receipts 100000] [--messages 10000,5000000] [--notify none] [--[no-]stages] ...

Each run fills a store with ``--messages`` finished messages and with ``--receipts`` that wait for theirs
(``bench.filler``), starts the real server on it, and lets ``bench.handover`` loose. Submits go on over the same bind
meanwhile: with a response timer of ``RESPONSE_S``, none may time out. The last line is JSON; with several sizes, the
ratio of the rates tells whether the look-up stays flat. A further run on the smallest store samples the server with
py-spy, which slows it, and tells the microseconds by stage; ``--stages`` samples every run, ``--no-stages`` none.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.filler import FIRST_ID, FIRST_NUMBER, Fill, State, fill
from bench.machine import cpu_s, machine_time, peak_rss_bytes, thread_cpu_s
from bench.profile import read_raw, spy_on, stage_of
from tests.support.postgres import PostgresCluster
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port
from tests.support.sink import Sink

__all__ = ["Measured", "main", "measure"]

RESPONSE_S: Final = 5.0
SUBMIT_PAUSE_S: Final = 0.05
BOUND_S: Final = 30.0
STORM_S: Final = 600.0
GOAL_PER_S: Final = 4_000
GOAL_RATIO: Final = 1.3
PAST_NUMBER, PAST_ID = 40_000_000_000, 1_000_000_000


class Measured(NamedTuple):
    """One run. ``storm``: what the SMSC says. CPU in microseconds a receipt; ``stages``: the same by stage."""

    messages: int
    storm: dict[str, Any]
    server_cpu_us: float
    database_cpu_us: float | None
    server_busy: float
    others_busy: float
    peak_rss_mib: float
    submits_posted: int
    submits_timed_out: int
    delivered: int
    callbacks: int
    stages: dict[str, float]


class _Submits(threading.Thread):
    """Posts one message after the other, with a pause, until it is stopped."""

    def __init__(self, server: ServerProcess, keys: AccountKeys) -> None:
        super().__init__(daemon=True)
        self._server, self._keys = server, keys
        self._over = threading.Event()
        self.posted = 0

    def run(self) -> None:
        """Post."""
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        headers = {"Authorization": f"Bearer {self._keys.api_token}", "Content-Type": "application/json"}
        body = '{"from": "Kvitto", "to": ["46790000000"], "body": "meanwhile"}'
        while not self._over.wait(SUBMIT_PAUSE_S):
            connection.request("POST", f"/xms/v1/{self._keys.service_plan_id}/batches", body, headers)
            answer = connection.getresponse()
            answer.read()
            self.posted += answer.status == 201

    def stop(self) -> None:
        """No more."""
        self._over.set()
        self.join(30)


@contextlib.contextmanager
def _database(store: str) -> Iterator[tuple[PostgresCluster | None, str | None]]:
    if store == "sqlite":
        yield None, None
        return
    cluster = PostgresCluster.temporary()
    try:
        yield cluster, cluster.create_database()
    finally:
        cluster.remove()


def _fill(url: str, options: argparse.Namespace, messages: int, callback_url: str) -> None:
    past = Fill(
        messages=messages,
        state=State.DELIVERED,
        first_number=PAST_NUMBER,
        first_id=PAST_ID,
        age_ms=3_600_000,
    )
    waiting = Fill(
        messages=options.receipts,
        state=State.DISPATCHED,
        notify=options.notify,
        callback_url=None if options.notify == "none" else callback_url,
    )
    for what in (past, waiting):
        if what.messages:
            fill(url, what)


@contextlib.contextmanager
def _handover(options: argparse.Namespace, port: int) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "bench.handover", "--port", port, "--receipts", options.receipts]
    command += ["--first-id", FIRST_ID, "--first-number", FIRST_NUMBER, "--window", options.window]
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure(options: argparse.Namespace, messages: int, *, stages: bool) -> Measured:
    """One run on a store of its own; ``stages``: sample the server meanwhile."""
    with contextlib.ExitStack() as stack:
        cluster, dsn = stack.enter_context(_database(options.store))
        directory = Path(tempfile.mkdtemp(prefix="kvitto-receipts-", dir=options.directory))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        port = reserve_port()
        settings = {**link_settings(port, window=100, binds=1, response_s=RESPONSE_S), "log.level": "warning"}
        server = ServerProcess(directory, settings=settings, dsn=dsn)
        stack.callback(server.kill)
        keys = server.create_account("bench")
        sink = stack.enter_context(Sink())
        _fill(dsn or f"sqlite:///{server.data_dir / 'kvitto.db'}", options, messages, sink.url)
        smsc = stack.enter_context(_handover(options, port))
        server.start()
        _expect(smsc, "bound")
        submits = _Submits(server, keys)
        submits.start()
        measured = _storm(options, messages, server, smsc, cluster, stages=stages)
        submits.stop()
        timed_out = server.log().count("submit.in_doubt")
        delivered = _delivered(server)
        server.stop()
        return measured._replace(
            submits_posted=submits.posted,
            submits_timed_out=timed_out,
            delivered=delivered - messages,
            callbacks=len(sink.received),
        )


def _expect(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise SystemExit(f"bench.receipts: the SMSC said {said!r} in the place of {word!r}")


def _delivered(server: ServerProcess) -> int:
    """How many messages the store counts as delivered."""
    if "store.url" in server.settings:
        import asyncio

        import asyncpg

        async def ask() -> int:
            connection = await asyncpg.connect(str(server.settings["store.url"]))
            try:
                return int(await connection.fetchval("SELECT count(*) FROM message WHERE status = 'DELIVERED'"))
            finally:
                await connection.close()

        return asyncio.run(ask())
    import sqlite3

    with contextlib.closing(sqlite3.connect(server.data_dir / "kvitto.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM message WHERE status = 'DELIVERED'").fetchone()[0])


def _storm(
    options: argparse.Namespace,
    messages: int,
    server: ServerProcess,
    smsc: "subprocess.Popen[str]",
    cluster: PostgresCluster | None,
    *,
    stages: bool,
) -> Measured:
    pid = server.pid
    samples = Path(tempfile.gettempdir()) / f"kvitto-receipts-{os.getpid()}.stacks"
    spy = spy_on(pid, samples, options.rate, gil=False) if stages else None
    watched = {"server": pid, "smsc": smsc.pid}
    if cluster is not None and cluster.pid is not None:
        watched["database"] = cluster.pid
    before = {name: cpu_s(one) for name, one in watched.items()}
    machine, began, threads = machine_time(), time.monotonic(), thread_cpu_s(pid)
    assert smsc.stdin is not None
    assert smsc.stdout is not None
    smsc.stdin.write("go\n")
    smsc.stdin.flush()
    told = smsc.stdout.readline()
    if not told:
        raise SystemExit(f"bench.receipts: the storm did not end well\n{server.log_tail()}")
    storm, seconds = json.loads(told), time.monotonic() - began
    spent = {name: cpu_s(one) - before[name] for name, one in watched.items()}
    used = {thread: now - threads.get(thread, 0.0) for thread, now in thread_cpu_s(pid).items()}
    others = machine_time().busy - machine.busy - sum(spent.values())
    shares: dict[str, float] = {}
    if spy is not None:
        spy.send_signal(2)
        spy.wait(60)
        shares = _stages(samples, used, options.receipts)
        samples.unlink(missing_ok=True)
    return Measured(
        messages=messages,
        storm=storm,
        server_cpu_us=spent["server"] / options.receipts * 1e6,
        database_cpu_us=spent["database"] / options.receipts * 1e6 if "database" in spent else None,
        server_busy=spent["server"] / seconds,
        others_busy=max(0.0, others / seconds),
        peak_rss_mib=peak_rss_bytes(pid) / 2**20,
        submits_posted=0,
        submits_timed_out=0,
        delivered=0,
        callbacks=0,
        stages=shares,
    )


def _stages(path: Path, used_s: dict[int, float], receipts: int) -> dict[str, float]:
    """Each thread's CPU, as the kernel counted it, shared out over its samples by stage; microseconds a receipt."""
    sampled = list(read_raw(path.read_text()))
    seen: dict[int, int] = {}
    for one in sampled:
        seen[one.thread] = seen.get(one.thread, 0) + one.times
    found: dict[str, float] = {}
    for one in sampled:
        stage = stage_of(one.frames)
        part_s = used_s.get(one.thread, 0.0) * one.times / seen[one.thread]
        found[stage] = found.get(stage, 0.0) + part_s / receipts * 1e6
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


# ---- telling


def _rows(one: Measured) -> Iterator[tuple[str, str]]:
    storm = one.storm
    yield "receipts/s stored, matched, answered", f"{storm['per_s']:,.0f}"
    yield (
        "answer p50 / p99 / longest, ms",
        "{answer_p50_ms:.0f} / {answer_p99_ms:.0f} / {answer_max_ms:.0f}".format(**storm),
    )
    yield "answered with", ", ".join(f"{status}: {times:,}" for status, times in storm["by_status"].items())
    yield "messages delivered in the end", f"{one.delivered:,}"
    yield "callbacks", f"{one.callbacks:,}"
    yield "submits meanwhile: posted / timed out", f"{one.submits_posted:,} / {one.submits_timed_out:,}"
    yield "server CPU, us a receipt", f"{one.server_cpu_us:.0f}"
    yield "database CPU, us a receipt", "-" if one.database_cpu_us is None else f"{one.database_cpu_us:.0f}"
    yield "SMSC CPU, us a receipt", f"{storm['smsc_cpu_us']:.0f}"
    yield "cores: server / others", f"{one.server_busy:.2f} / {one.others_busy:.2f}"
    yield "server's peak memory, MiB", f"{one.peak_rss_mib:.0f}"


def _show(found: Sequence[Measured], console: Console, store: str) -> None:
    table = Table(title=f"The receipt storm, {store}, {os.cpu_count()} cores", title_justify="left")
    table.add_column("messages in the store")
    for one in found:
        table.add_column(f"{one.messages:,}", justify="right")
    for cells in zip(*map(_rows, found), strict=True):
        table.add_row(cells[0][0], *(value for _, value in cells))
    console.print(table)


def _show_stages(found: Sequence[Measured], console: Console) -> None:
    table = Table(title="CPU of the server by stage, us a receipt (sampled, which slows it)", title_justify="left")
    table.add_column("messages in the store")
    for one in found:
        table.add_column(f"{one.messages:,}", justify="right")
    for stage in sorted({stage for one in found for stage in one.stages}, key=lambda name: -_us(found[0], name)):
        table.add_row(stage, *(f"{_us(one, stage):.1f}" for one in found))
    console.print(table)


def _us(one: Measured, stage: str) -> float:
    return one.stages.get(stage, 0.0)


def main() -> None:
    """The command line. Exit code 1 when a receipt was lost or a submit timed out, not for a slow machine."""
    parser = argparse.ArgumentParser(prog="bench.receipts")
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--messages", default="10000,5000000", help="in the store beside them; several: with commas")
    parser.add_argument("--window", type=int, default=100, help="receipts on their way")
    parser.add_argument("--notify", choices=("none", "final", "batch_full"), default="none", help="callbacks as well")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--stages",
        action=argparse.BooleanOptionalAction,
        help="sample the server with py-spy, in every run or in none; default: in a further run on the smallest store",
    )
    parser.add_argument("--rate", type=int, default=250, help="samples a second")
    parser.add_argument("--directory", default=None, help="where the data go; default: the system's temporary one")
    options = parser.parse_args()
    sizes = [int(size) for size in options.messages.split(",")]
    found = [measure(options, size, stages=bool(options.stages)) for size in sizes]
    sampled = [measure(options, min(sizes), stages=True)] if options.stages is None else found
    console = Console(stderr=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)
    _show(found, console, options.store)
    if options.stages is not False:
        _show_stages(sampled, console)
    rates = [one.storm["per_s"] for one in found]
    ratio = max(rates) / min(rates)
    console.print(f"goal: {GOAL_PER_S:,}/s; ratio between sizes {ratio:.2f}, goal at most {GOAL_RATIO}")
    stages = sampled[0].stages
    runs = [one._asdict() for one in found]
    print(json.dumps({"store": options.store, "ratio": ratio, "runs": runs, "stages": stages}))
    if any(one.submits_timed_out or one.delivered != options.receipts for one in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
