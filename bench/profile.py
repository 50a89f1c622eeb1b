"""``make profile``: where the server's microseconds go, by stage of a message's way.

    python -m bench.profile [--scenario a] [--output DIR] [--rate 250] [options of bench.run]

Runs the scenario twice with py-spy on the server: once counting threads that run, once only the one that holds the
interpreter's lock (the true bound of one process). Each thread's samples share out the CPU that the kernel counted for
it, and give microseconds a message. The raw stacks stay in ``--output``, for any flame graph tool. The profiler slows
the server down; compare shares, and take absolute figures from ``bench.run``.
"""

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.machine import thread_cpu_s
from bench.run import SCENARIOS, Result, chosen, measure, options_parser, running

__all__ = ["Sampled", "main", "read_raw", "spy_on", "stage_of"]

PACKAGE: Final = "kvitto/"
VERBS: Final = "kvitto/store/verbs/"
STORE: Final = "kvitto/store/"
LEAVES: Final = 25
WAITING: Final = re.compile(
    r"^(_worker|wait|Condition\.wait|Event\.wait|get|SimpleQueue\.get) .*(futures/thread|threading|queue)\.py"
)
"""Threads that wait for work in C: py-spy takes some of them for running ones."""

STAGES: Final[tuple[tuple[str, str], ...]] = (
    (r"kvitto/intake/(connection|http|exchange|shared|streaming|routing)", "HTTP in"),
    (r"kvitto/dialects/\w+/(requests|fields|wire|times)", "read, validate"),
    (r"kvitto/dialects/\w+/(responses|errors)", "write the answer"),
    (r"kvitto/intake/|kvitto/core/(text|msisdn|ids|throttle)", "admit"),
    (r"encode_\w+ .*kvitto/smpp/codec", "SMPP encode"),
    (r"kvitto/smpp/codec", "SMPP decode"),
    (r"kvitto/smpp/(session|states|pdus|events)|kvitto/dispatch/transport", "SMPP session, socket"),
    (r"kvitto/smpp/receipts", "receipt parse"),
    (r"kvitto/dispatch/", "dispatch loops"),
    (r"kvitto/dialects/\w+/(callbacks|statuses)|kvitto/callbacks/signing", "callback render, sign"),
    (r"kvitto/callbacks/", "callback post"),
    (r"kvitto/core/clock", "clock"),
)
"""Regular expression over ``function (path:line)`` of the innermost frame of ours -> stage; the first that fits."""


class Sampled(NamedTuple):
    """One distinct stack of one thread (the kernel's id), outermost frame first, and how often it was seen."""

    thread: int
    frames: tuple[str, ...]
    times: int


def read_raw(text: str) -> Iterator[Sampled]:
    """py-spy's raw format: ``thread (4711): name;frame;frame 12``."""
    for line in text.splitlines():
        stack, _, times = line.rpartition(" ")
        thread, *frames = stack.split(";")
        found = re.search(r"\((\d+)\)", thread)
        if frames and found and not WAITING.search(frames[-1]):
            yield Sampled(int(found[1]), tuple(frames), int(times))


def stage_of(frames: Sequence[str]) -> str:
    """The stage of a message's way that a stack belongs to."""
    verb = next((frame for frame in frames if VERBS in frame), None)
    if verb is not None:
        return f"store: {verb.split(' ')[0]}"
    if any(STORE in frame for frame in frames):
        return "store: group, commit"
    inner = next((frame for frame in reversed(frames) if PACKAGE in frame), None)
    if inner is None or inner.split(" ")[0] in {"serve", "main", "<module>"}:
        return "event loop"
    return next((stage for pattern, stage in STAGES if re.search(pattern, inner)), "other")


def spy_on(pid: int, output: Path, rate: int, gil: bool) -> "subprocess.Popen[bytes]":
    spy = Path(sys.executable).with_name("py-spy")
    command = [str(spy), "record", "--pid", str(pid), "--format", "raw", "--rate", str(rate), "--output", str(output)]
    process = subprocess.Popen(
        [*command, "--full-filenames", "--threads", *(["--gil"] if gil else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.0)
    if process.poll() is not None:
        said = process.stderr.read().decode(errors="replace") if process.stderr else ""
        raise SystemExit(
            f"bench.profile: py-spy ended at once (it needs leave to trace: root, or ptrace_scope 0)\n{said}"
        )
    return process


class Profiled(NamedTuple):
    """One run under the profiler. ``threads_s``: CPU seconds that each thread used in it."""

    result: Result
    samples: list[Sampled]
    threads_s: dict[int, float]


def _profiled(options: argparse.Namespace, output: Path, gil: bool) -> Profiled:
    with running(options, chosen(options, options.scenario)) as run:
        spy = spy_on(run.server.pid, output, options.rate, gil)
        before = thread_cpu_s(run.server.pid)
        result = measure(run, options)
        used = {thread: spent - before.get(thread, 0.0) for thread, spent in thread_cpu_s(run.server.pid).items()}
        # It writes its file when it is interrupted.
        spy.send_signal(2)
        spy.wait(30)
    return Profiled(result, list(read_raw(output.read_text())), used)


def leaf_of(frames: Sequence[str]) -> str:
    """The function that ran, with the end of its path."""
    name, _, path = frames[-1].partition(" (")
    return f"{name} ({'/'.join(path.rpartition(':')[0].split('/')[-2:])})"


def ran_us(profiled: Profiled, name_of: Callable[[Sequence[str]], str]) -> dict[str, float]:
    """Microseconds a message by name: each thread's CPU, as the kernel counted it, shared out over its samples."""
    seen: Counter[int] = Counter()
    for sample in profiled.samples:
        seen[sample.thread] += sample.times
    found: dict[str, float] = {}
    for sample in profiled.samples:
        part_s = profiled.threads_s.get(sample.thread, 0.0) * sample.times / seen[sample.thread]
        name = name_of(sample.frames)
        found[name] = found.get(name, 0.0) + part_s / profiled.result.accepted * 1e6
    return found


def held_us(profiled: Profiled, rate: int, name_of: Callable[[Sequence[str]], str]) -> dict[str, float]:
    """Microseconds a message by name for which the lock was held: one thread at a time, so samples are time."""
    found: dict[str, float] = {}
    for sample in profiled.samples:
        name = name_of(sample.frames)
        found[name] = found.get(name, 0.0) + sample.times / rate / profiled.result.accepted * 1e6
    return found


def _table(
    title: str, name: str, running_us: dict[str, float], holding_us: dict[str, float], most: int | None
) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(name)
    table.add_column("CPU, us a message", justify="right")
    table.add_column("of the lock's holder", justify="right")
    rows = sorted({*running_us, *holding_us}, key=lambda key: -running_us.get(key, 0.0))
    for key in rows[:most]:
        table.add_row(key, f"{running_us.get(key, 0.0):.1f}", f"{holding_us.get(key, 0.0):.1f}")
    if most is None:
        table.add_section()
        table.add_row("all", f"{sum(running_us.values()):.1f}", f"{sum(holding_us.values()):.1f}")
    return table


def main() -> None:
    """The command line."""
    parser = options_parser("bench.profile")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="a")
    parser.add_argument("--output", type=Path, default=Path(".profile"))
    parser.add_argument("--rate", type=int, default=250, help="samples a second")
    options = parser.parse_args()
    options.messages = options.messages or 20_000
    options.output.mkdir(parents=True, exist_ok=True)
    ran = _profiled(options, options.output / "running.txt", gil=False)
    held = _profiled(options, options.output / "lock.txt", gil=True)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for title, name, name_of, most in (
        ("Stages", "stage", stage_of, None),
        ("Functions, by their own time", "function", leaf_of, LEAVES),
    ):
        console.print(_table(title, name, ran_us(ran, name_of), held_us(held, options.rate, name_of), most))
    console.print(
        f"{ran.result.end_to_end_per_s:,.0f} messages/s under the profiler; others kept {ran.result.others_busy:.2f} "
        f"cores busy; "
        f"stacks in {options.output}"
    )


if __name__ == "__main__":
    main()
