"""``make bench``: how fast the whole way is, and what it costs; one table and one JSON line.

    python -m bench.run [--scenario a|b|c|d|all] [--messages N] [--store sqlite|postgresql] [--binds 2] ...

(a): one recipient a request, ``per_recipient_final``, 16 kept-alive connections; (b): 1 000 recipients a request with
``full``, one callback for each batch; (c): Infobip, 100 recipients a request, pushes of up to 100 reports; (d): 9bits,
one recipient a request, each change called back and acknowledged by its body. Server, SMSC, load and sink are processes
of their own over loopback. The server runs with its default settings but for the link; every accepted send and every
receipt's answer follows a commit with fsync.

A run ends when every accepted message has its final callback, or when nothing has moved for ``STILL_S``, or after
``--duration``. CPU is counted from the first request to the last callback, by the kernel, for the whole process tree.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.board import FIRST_SINK, Board, Counter, receiver_of
from bench.machine import cpu_s, machine_time, peak_rss_bytes
from tests.support.postgres import PostgresCluster
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port

__all__ = ["SCENARIOS", "Result", "Running", "Scenario", "main", "measure", "options_parser", "running"]

ROOT: Final = Path(__file__).resolve().parents[1]
STILL_S: Final = 15.0
START_S: Final = 20.0
LOOK_S: Final = 0.05
NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is posted. ``batch``: recipients a request; ``whole``: they are told of in one callback, at its end.

    ``rate``: requests a second, 0 as fast as they are answered. ``endpoints``: receivers of callbacks, in turn, of
    which the first ``hanging`` never answer; nobody waits for theirs. ``one_takes_most``: nine of ten callbacks go to
    the first, and the times told are the others'.
    """

    name: str
    batch: int
    messages: int
    says: str
    dialect: str = "sinch"
    whole: bool = False
    rate: int = 0
    endpoints: int = 1
    hanging: int = 0
    one_takes_most: bool = False

    def told_of(self, accepted: int) -> int:
        """How many of the accepted messages somebody answers a callback for."""
        return accepted - accepted * self.hanging // self.endpoints


SCENARIOS: Final = {
    "a": Scenario(name="a", batch=1, messages=50_000, says="1 recipient a request, per_recipient_final"),
    "b": Scenario(name="b", batch=1_000, messages=200_000, says="1 000 recipients a request, full", whole=True),
    "c": Scenario(
        name="c", batch=100, messages=100_000, says="Infobip v3, 100 recipients a request, pushes", dialect="infobip"
    ),
    "d": Scenario(
        name="d", batch=1, messages=50_000, says="9bits, 1 recipient a request, callbacks", dialect="ninebits"
    ),
    "well": Scenario(
        name="well", batch=1, messages=50_000, says="(a), 2 000/s, 100 endpoints", rate=2_000, endpoints=100
    ),
    "hang": Scenario(
        name="hang",
        batch=1,
        messages=50_000,
        says="(a), 2 000/s, 100 endpoints, 10 hang",
        rate=2_000,
        endpoints=100,
        hanging=10,
    ),
    "most": Scenario(
        name="most",
        batch=1,
        messages=50_000,
        says="(a), 2 000/s, 100 endpoints, one takes 90 %",
        rate=2_000,
        endpoints=100,
        one_takes_most=True,
    ),
}
ALL: Final = ("a", "b", "c", "d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to. Rates per second; ``_ms`` and ``_us`` by message; memory in MiB; the rest are counts.

    ``server_busy``: CPU seconds of the server by second of the run. ``others_busy``: the same of everything that is no
    part of the run, on all cores together; figures of a machine where this is not near 0 mean little.
    """

    scenario: str
    store: str
    messages: int
    accepted: int
    refused: int
    finished: int
    end_to_end_per_s: float
    accepted_per_s: float
    acceptance_p50_ms: float
    acceptance_p99_ms: float
    receipt_to_callback_p50_ms: float
    receipt_to_callback_p99_ms: float
    server_cpu_us: float
    database_cpu_us: float | None
    smsc_cpu_us: float
    load_cpu_us: float
    sink_cpu_us: float
    server_busy: float
    others_busy: float
    stolen: float
    peak_rss_mib: float
    lost: int
    """Accepted, and no final callback by the end."""
    lost_unsent: int
    """Of these: never came to the SMSC."""
    lost_unreceipted: int
    """Of these: came there, and no receipt was sent."""
    sms_twice: int
    callbacks_twice: int
    not_delivered: int
    receipts_refused: int
    seconds: float


@dataclass(slots=True, kw_only=True)
class Running:
    """The processes of a run, before the load starts."""

    board: Board
    scenario: Scenario
    server: ServerProcess
    smsc: subprocess.Popen[bytes]
    sink: subprocess.Popen[bytes]
    database: PostgresCluster | None
    start_load: Callable[[], subprocess.Popen[bytes]]


# ---- starting things


def _tool(name: str, board: Path, scenario: Scenario, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"bench.{name}", str(board), str(scenario.messages), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def _database(store: str) -> Iterator[tuple[PostgresCluster | None, str | None]]:
    """A PostgreSQL of this run's own, on disk, with its usual durability; nothing for SQLite."""
    if store == "sqlite":
        yield None, None
        return
    cluster = PostgresCluster.temporary()
    try:
        yield cluster, cluster.create_database()
    finally:
        cluster.remove()


@contextlib.contextmanager
def running(options: argparse.Namespace, scenario: Scenario, wrapper: Sequence[str] = ()) -> Iterator[Running]:
    """Start database, sink, SMSC and server, make the account; everything is ended when the block is left."""
    with contextlib.ExitStack() as stack:
        cluster, dsn = stack.enter_context(_database(options.store))
        directory = Path(tempfile.mkdtemp(prefix="kvitto-bench-", dir=options.directory))
        stack.callback(_leave, directory, options.keep)
        memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else directory
        requests = -(-scenario.messages // scenario.batch)
        path = memory / f"{directory.name}.board"
        stack.callback(path.unlink, missing_ok=True)
        board = Board(path, scenario.messages, requests)
        smsc_port, sink_port = reserve_port(), reserve_port()
        delay = ("--delay", options.receipt_delay, "--receipt-window", options.receipt_window)
        smsc = _tool("smsc", path, scenario, "--requests", requests, "--port", smsc_port, *delay)
        stack.callback(_end, smsc)
        receivers = ("--endpoints", scenario.endpoints, "--hanging", scenario.hanging)
        sink = _tool("sink", path, scenario, "--requests", requests, "--port", sink_port, *receivers)
        stack.callback(_end, sink)
        link = link_settings(smsc_port, window=options.window, binds=options.binds)
        server = ServerProcess(
            directory,
            settings={**link, "log.level": "warning"},
            dsn=dsn,
            wrapper=wrapper,
            checkout=options.checkout,
        )
        keys = server.create_account("bench")
        if scenario.dialect == "ninebits":  # which has no URL in the request
            done = server.run_cli("account", "set", "bench", f"callback_url={_callback(sink_port, scenario)}")
            if done.returncode:
                raise SystemExit(f"bench: {done.stderr}")
        stack.callback(server.kill)
        _await(lambda: board[Counter.SMSC_READY] and board[Counter.SINK_READY], "SMSC and sink")
        server.start(within_s=options.start_s)
        _await(lambda: board[Counter.BINDS] >= options.binds, "binds")

        def start_load() -> subprocess.Popen[bytes]:
            load = _tool("load", path, scenario, *_load_arguments(options, scenario, server, keys, sink_port))
            stack.callback(_end, load)
            return load

        yield Running(
            board=board, scenario=scenario, server=server, smsc=smsc, sink=sink, database=cluster, start_load=start_load
        )
        if server.running:
            server.stop()


def _load_arguments(
    options: argparse.Namespace, scenario: Scenario, server: ServerProcess, keys: AccountKeys, sink_port: int
) -> list[object]:
    paths = {
        "sinch": f"/xms/v1/{keys.service_plan_id}/batches",
        "infobip": "/sms/3/messages",
        "ninebits": "/ng/v1/sendsms",
    }
    return [
        *("--port", server.port, "--path", paths[scenario.dialect], f"--token={keys.api_token}"),
        *("--dialect", scenario.dialect, "--callback", _callback(sink_port, scenario), "--batch", scenario.batch),
        *("--endpoints", scenario.endpoints, *(("--rate", scenario.rate) if scenario.rate else ())),
        *(("--one-takes-most",) if scenario.one_takes_most else ()),
        *("--connections", options.connections, "--duration", options.duration),
    ]


def _callback(sink_port: int, scenario: Scenario) -> str:
    host = "127.0.0.1" if scenario.endpoints == 1 else f"127.0.1.{FIRST_SINK}"
    return f"http://{host}:{sink_port}/cb"


def _leave(directory: Path, keep: bool) -> None:
    if keep:
        print(f"bench: the server's data and log are in {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _await(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + START_S
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"bench: no {what} within {START_S:g} s")
        time.sleep(0.01)


# ---- measuring


def measure(run: Running, options: argparse.Namespace) -> Result:
    """Let the load loose, wait for the end, read the board and the kernel's counters."""
    servers = {"server": run.server.pid, "smsc": run.smsc.pid, "sink": run.sink.pid}
    if run.database is not None and run.database.pid is not None:
        servers["database"] = run.database.pid
    before, machine = {name: cpu_s(pid) for name, pid in servers.items()}, machine_time()
    _watch(run, run.start_load(), options.duration)
    spent = {name: cpu_s(pid) - before[name] for name, pid in servers.items()}
    spent["load"] = run.board[Counter.LOAD_CPU_NS] / NS
    now = machine_time()
    others = now.busy - machine.busy - sum(spent.values())
    return _result(run, options, spent, others, now.stolen - machine.stolen)


def _watch(run: Running, load: "subprocess.Popen[bytes]", duration_s: float) -> None:
    """Until all is final, or nothing moves any more, or the time is over. Raises: SystemExit when a process died."""
    board = run.board
    until = time.monotonic() + duration_s
    seen, moved = (-1, -1), time.monotonic()
    while time.monotonic() < until:
        finished, accepted = board[Counter.RECIPIENTS_FINAL], board[Counter.ACCEPTED_MESSAGES]
        if board[Counter.LOAD_DONE] and finished >= run.scenario.told_of(accepted):
            return
        if (load.poll() and not board[Counter.LOAD_DONE]) or not run.server.running:
            raise SystemExit(f"bench: load or server died\n{run.server.log_tail()}")
        now = time.monotonic()
        if (finished, accepted) != seen:
            seen, moved = (finished, accepted), now
        elif now - moved > STILL_S:
            return
        time.sleep(LOOK_S)


def _result(
    run: Running, options: argparse.Namespace, spent: dict[str, float], others_s: float, stolen_s: float
) -> Result:
    board, scenario = run.board, run.scenario
    first = board[Counter.FIRST_REQUEST_AT]
    accepted, finished = board[Counter.ACCEPTED_MESSAGES], board[Counter.RECIPIENTS_FINAL]
    seconds = max(1e-9, (board[Counter.LAST_CALLBACK_AT] - first) / NS)
    accepting = max(1e-9, (board[Counter.LAST_ACCEPTED_AT] - first) / NS)
    acceptance = _acceptances_ms(board)
    telling = _tellings_ms(board, scenario)
    by_message = {name: used / max(1, accepted) * 1e6 for name, used in spent.items()}
    return Result(
        scenario=scenario.name,
        store=options.store,
        messages=scenario.messages,
        accepted=accepted,
        refused=board[Counter.REFUSED_MESSAGES],
        finished=finished,
        end_to_end_per_s=finished / seconds,
        accepted_per_s=accepted / accepting,
        acceptance_p50_ms=_share(acceptance, 0.5),
        acceptance_p99_ms=_share(acceptance, 0.99),
        receipt_to_callback_p50_ms=_share(telling, 0.5),
        receipt_to_callback_p99_ms=_share(telling, 0.99),
        server_cpu_us=by_message["server"],
        database_cpu_us=by_message.get("database"),
        smsc_cpu_us=by_message["smsc"],
        load_cpu_us=by_message["load"],
        sink_cpu_us=by_message["sink"],
        server_busy=spent["server"] / seconds,
        others_busy=max(0.0, others_s / seconds),
        stolen=stolen_s / seconds,
        peak_rss_mib=peak_rss_bytes(run.server.pid) / 2**20 if run.server.running else 0.0,
        lost=scenario.told_of(accepted) - finished,
        lost_unsent=sum(not told and not sent for told, sent in zip(board.callbacks, board.submits, strict=True)),
        lost_unreceipted=sum(
            not told and bool(sent) and not receipt
            for told, sent, receipt in zip(board.callbacks, board.submits, board.receipt_at, strict=True)
        ),
        sms_twice=sum(times - 1 for times in board.submits if times > 1),
        callbacks_twice=board[Counter.RECIPIENTS_AGAIN],
        not_delivered=board[Counter.NOT_DELIVERED],
        receipts_refused=board[Counter.RECEIPTS_REFUSED],
        seconds=seconds,
    )


def _acceptances_ms(board: Board) -> list[float]:
    pairs = zip(board.requested_at, board.accepted_at, strict=True)
    return sorted((accepted - asked) / 1e6 for asked, accepted in pairs if accepted)


def _tellings_ms(board: Board, scenario: Scenario) -> list[float]:
    """From a message's receipt to its callback; of a batch, from the last receipt of all its messages."""
    found = []
    together = scenario.batch if scenario.whole else 1
    for start in range(0, scenario.messages, together):
        if scenario.one_takes_most and not receiver_of(start, scenario.endpoints, True):
            continue
        told = board.callback_at[start]
        receipt = max(board.receipt_at[start : start + together])
        if told and receipt:
            found.append((told - receipt) / 1e6)
    return sorted(found)


def _share(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


# ---- telling

ROWS: Final[tuple[tuple[str, Callable[[Result], str]], ...]] = (
    ("messages accepted / refused", lambda r: f"{r.accepted:,} / {r.refused:,}"),
    ("end to end, messages/s", lambda r: f"{r.end_to_end_per_s:,.0f}"),
    ("accepted, messages/s", lambda r: f"{r.accepted_per_s:,.0f}"),
    ("acceptance p50 / p99, ms", lambda r: f"{r.acceptance_p50_ms:.1f} / {r.acceptance_p99_ms:.1f}"),
    (
        "receipt to callback p50 / p99, ms",
        lambda r: f"{r.receipt_to_callback_p50_ms:.1f} / {r.receipt_to_callback_p99_ms:.1f}",
    ),
    ("server CPU, us a message", lambda r: f"{r.server_cpu_us:.0f}"),
    ("database CPU, us a message", lambda r: "-" if r.database_cpu_us is None else f"{r.database_cpu_us:.0f}"),
    (
        "SMSC / load / sink CPU, us a message",
        lambda r: f"{r.smsc_cpu_us:.0f} / {r.load_cpu_us:.0f} / {r.sink_cpu_us:.0f}",
    ),
    ("cores: server / others / stolen", lambda r: f"{r.server_busy:.2f} / {r.others_busy:.2f} / {r.stolen:.2f}"),
    ("server's peak memory, MiB", lambda r: f"{r.peak_rss_mib:.0f}"),
    ("lost (of these unsent / without receipt)", lambda r: f"{r.lost:,} ({r.lost_unsent:,} / {r.lost_unreceipted:,})"),
    ("twice: SMS / callbacks", lambda r: f"{r.sms_twice:,} / {r.callbacks_twice:,}"),
    ("not delivered / receipts refused", lambda r: f"{r.not_delivered:,} / {r.receipts_refused:,}"),
)


def show(results: Sequence[Result], console: Console) -> None:
    """The table for people."""
    table = Table(title=f"Kvitto over loopback, {os.cpu_count()} cores", title_justify="left")
    table.add_column("", no_wrap=True)
    for result in results:
        table.add_column(f"({result.scenario}) {result.store}\n{SCENARIOS[result.scenario].says}", justify="right")
    for name, cell in ROWS:
        table.add_row(name, *map(cell, results))
    console.print(table)


def as_json(results: Sequence[Result]) -> str:
    """The line for machines: a list of objects, numbers rounded, null where there is nothing to measure."""

    def told(value: object) -> object:
        if not isinstance(value, float):
            return value
        return None if math.isnan(value) else round(value, 3)

    return json.dumps([{key: told(value) for key, value in dataclasses.asdict(one).items()} for one in results])


def options_parser(prog: str) -> argparse.ArgumentParser:
    """What ``bench.run`` and ``bench.profile`` share."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--messages", type=int, help="how many (a, d: 50 000, b: 200 000, c: 100 000)")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--binds", type=int, default=2)
    parser.add_argument("--window", type=int, default=500, help="parts on their way, per bind")
    parser.add_argument("--connections", type=int, default=16, help="of the load, one request at a time on each")
    parser.add_argument("--receipt-delay", default="0-50", metavar="MS-MS")
    parser.add_argument("--receipt-window", type=int, default=500, help="receipts on their way, per bind")
    parser.add_argument("--duration", type=float, default=120.0, help="the longest a run may take (seconds)")
    parser.add_argument("--directory", default=None, help="where the data go; default: the system's temporary one")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose server; default: this one's")
    parser.add_argument("--start-s", type=float, default=30.0, help="how long the server may take to start")
    parser.add_argument("--keep", action="store_true", help="leave data and log of the server there")
    return parser


def chosen(options: argparse.Namespace, name: str) -> Scenario:
    """The scenario, with the number of messages that was asked for."""
    scenario = SCENARIOS[name]
    return dataclasses.replace(scenario, messages=options.messages) if options.messages else scenario


def main() -> None:
    """The command line. Exit code 1 when something was lost or came twice."""
    parser = options_parser("bench.run")
    parser.add_argument("--scenario", default="all", help=f"several with commas: {', '.join(SCENARIOS)}; all: a to d")
    options = parser.parse_args()
    results = []
    for name in ALL if options.scenario == "all" else options.scenario.split(","):
        with running(options, chosen(options, name)) as run:
            results.append(measure(run, options))
    show(results, Console(stderr=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 140))
    print(as_json(results))
    if any(one.lost or one.sms_twice or one.refused or not one.finished for one in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
