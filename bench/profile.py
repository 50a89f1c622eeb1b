"""``make profile``: where the server's microseconds go, by stage of a message's way.

    python -m bench.profile [--output DIR] [--rate 250] [options of bench.run]

Runs scenario (a) twice with py-spy on the server: once counting threads that run, once only the one that holds the
interpreter's lock (the true bound of one process). Shares of samples times the CPU that the kernel counted give
microseconds a message. The raw stacks stay in ``--output``, for any flame graph tool. The profiler slows the server
down; compare shares, and take absolute figures from ``bench.run``.
"""

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.run import Result, chosen, measure, options_parser, running

__all__ = ["Sampled", "main", "stage_of"]

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
    """One distinct stack, outermost frame first, and how often it was seen."""

    frames: tuple[str, ...]
    times: int


def read_raw(text: str) -> Iterator[Sampled]:
    """py-spy's raw format: ``frame;frame;frame 12``."""
    for line in text.splitlines():
        stack, _, times = line.rpartition(" ")
        frames = tuple(stack.split(";"))
        if not WAITING.search(frames[-1]):
            yield Sampled(frames, int(times))


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


def _spy(pid: int, output: Path, rate: int, gil: bool) -> "subprocess.Popen[bytes]":
    spy = Path(sys.executable).with_name("py-spy")
    command = [str(spy), "record", "--pid", str(pid), "--format", "raw", "--rate", str(rate), "--output", str(output)]
    process = subprocess.Popen(
        [*command, "--full-filenames", *(["--gil"] if gil else [])],
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


def _profiled(options: argparse.Namespace, output: Path, gil: bool) -> tuple[Result, list[Sampled]]:
    with running(options, chosen(options, "a")) as run:
        spy = _spy(run.server.pid, output, options.rate, gil)
        result = measure(run, options)
        # It writes its file when it is interrupted.
        spy.send_signal(2)
        spy.wait(30)
    return result, list(read_raw(output.read_text()))


def by_stage(samples: Iterable[Sampled]) -> Counter[str]:
    """Samples by stage."""
    found: Counter[str] = Counter()
    for sample in samples:
        found[stage_of(sample.frames)] += sample.times
    return found


def by_leaf(samples: Iterable[Sampled]) -> Counter[str]:
    """Samples by the function that ran, with its file."""
    found: Counter[str] = Counter()
    for sample in samples:
        found[re.sub(r":\d+\)$", ")", sample.frames[-1]).replace(str(Path.cwd()) + "/", "")] += sample.times
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


def _in_us(samples: Counter[str], total_us: float) -> dict[str, float]:
    """Shares of a whole, in microseconds a message."""
    all_ = max(1, samples.total())
    return {key: total_us * times / all_ for key, times in samples.items()}


def main() -> None:
    """The command line."""
    parser = options_parser("bench.profile")
    parser.add_argument("--output", type=Path, default=Path(".profile"))
    parser.add_argument("--rate", type=int, default=250, help="samples a second")
    options = parser.parse_args()
    options.messages = options.messages or 20_000
    options.output.mkdir(parents=True, exist_ok=True)
    plain, running_samples = _profiled(options, options.output / "running.txt", gil=False)
    _, holding_samples = _profiled(options, options.output / "lock.txt", gil=True)
    # The lock's holder is one thread at most: its samples are seconds out of the run's seconds.
    held_us = sum(sample.times for sample in holding_samples) / options.rate / plain.accepted * 1e6
    console = Console(width=None if sys.stdout.isatty() else 120)
    for title, name, count, most in (
        ("Stages", "stage", by_stage, None),
        ("Functions, by their own time", "function", by_leaf, LEAVES),
    ):
        ran = _in_us(count(running_samples), plain.server_cpu_us)
        held = _in_us(count(holding_samples), held_us)
        console.print(_table(title, name, ran, held, most))
    console.print(
        f"{plain.end_to_end_per_s:,.0f} messages/s under the profiler; others kept {plain.others_busy:.2f} cores busy; "
        f"stacks in {options.output}"
    )


if __name__ == "__main__":
    main()
