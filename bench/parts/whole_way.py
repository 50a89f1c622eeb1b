"""What a message's whole way costs the live server, in figures that do not move with the machine's mood.

    python -m bench.parts.whole_way [--checkout DIR] [--messages 1200] [--warm 300] [--by instructions|calls|syscalls]

Scenario (a) of ``bench.run`` against the server of any checkout (a ``git worktree`` or ``git archive`` of another
commit), so that what a change added or saved is seen on a busy machine as well. ``--warm`` messages go first, which pay
for what is made once (statements, connections).

``instructions``: of user mode, a message, by library, under valgrind (callgrind); slow, about 30 ms a message.
``calls``: function calls a message of the event loop's thread, by room and function (cProfile); those of C functions
count for the room that called them. ``syscalls``: system calls a message, all threads (strace).

Transactions a message are told with each: the smaller the groups, the more of a transaction's fixed cost a message
bears, and only runs with like groups compare.
"""

import argparse
import contextlib
import cProfile
import pstats
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from bench.board import Counter as Count
from bench.run import Running, chosen, options_parser, running

__all__ = ["main"]

WITHIN_S: Final = 600.0
INSIDE: Final = "--inside"
FUNCTIONS: Final = 70
LIBRARIES: Final = 8
IDLE_S: Final = 5.0
"""How long the server is watched when all is done: what it does by the second costs a message the more, the slower the
run is, and is taken off.
"""
_DIGITS: Final = tuple("0123456789+-*")
_NAMED: Final = re.compile(r"(c?)(ob|fn)=(\(\d+\)) ?(.*)")
_ROOM: Final = re.compile(r"/kvitto/(\w+(?:/\w+)*)\.py")


def main() -> None:
    """The command line."""
    if sys.argv[1:2] == [INSIDE]:
        _serve_profiled(Path(sys.argv[2]), sys.argv[6:])
        return
    parser = options_parser("bench.parts.whole_way")
    parser.add_argument("--warm", type=int, default=300, help="messages before the counting begins")
    parser.add_argument("--by", choices=tuple(_WAYS), default="calls")
    parser.set_defaults(messages=1200, duration=WITHIN_S, start_s=240.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        _WAYS[options.by](options, Path(name))


def _counted(options: argparse.Namespace, run: Running, begin: Callable[[], object]) -> tuple[int, float]:
    """Let the load loose, ``begin`` when it is warm, wait for the end; returns messages and transactions counted."""
    board = run.board
    load = run.start_load()
    until = time.monotonic() + options.duration

    def wait(enough: int) -> None:
        while board[Count.RECIPIENTS_FINAL] < enough:
            if time.monotonic() > until or load.poll() or not run.server.running:
                raise SystemExit(f"whole_way: it did not come to its end\n{run.server.log_tail()}")
            time.sleep(0.005)

    wait(options.warm)
    begin()
    before, transactions = board[Count.RECIPIENTS_FINAL], _transactions(run)
    wait(run.scenario.messages)
    messages = run.scenario.messages - before
    return messages, (_transactions(run) - transactions) / messages


def _transactions(run: Running) -> float:
    with urllib.request.urlopen(f"{run.server.origin}/metrics") as answer:  # our own server
        text = answer.read().decode()
    found = re.search(r"^kvitto_store_transactions\w* (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


# --- instructions -----------------------------------------------------------------------------------------------------


def _by_instructions(options: argparse.Namespace, directory: Path) -> None:
    out = directory / "callgrind.out"
    wrapper = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--quiet")
    with running(options, chosen(options, "a"), wrapper) as run:
        pid = run.server.pid  # valgrind becomes what it runs
        began: list[float] = []

        def begin() -> None:
            _control(pid, "-i", "on")
            began.append(time.monotonic())

        messages, transactions = _counted(options, run, begin)
        ran_s = time.monotonic() - began[0]
        _control(pid, "-d")
        time.sleep(IDLE_S)
        _control(pid, "-d")
        run.server.kill()
    libraries, functions = _read_costs(Path(f"{out}.1"))
    idle = _read_costs(Path(f"{out}.2"))[0].total() / IDLE_S * ran_s
    print(f"{messages} messages, {transactions:.3f} transactions a message")
    print(f"instructions a message: {libraries.total() / messages:,.0f}")
    print(
        f"without what it does by the second, and did for {ran_s:.0f} s: {(libraries.total() - idle) / messages:,.0f}"
    )
    for costs, most in ((libraries, LIBRARIES), (functions, FUNCTIONS)):
        print()
        for name, cost in costs.most_common(most):
            print(f"{cost / messages:12,.0f}  {name}")


def _control(pid: int, *words: str) -> None:
    subprocess.run(
        ["callgrind_control", *words, str(pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _read_costs(path: Path) -> tuple[Counter[str], Counter[str]]:
    """A dump of callgrind's: own instructions by library and by C function."""
    libraries: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    names: dict[tuple[str, str], str] = {}
    now = {"ob": "", "fn": ""}
    of_callee = False
    for line in path.open():
        if line.startswith(_DIGITS):
            if not of_callee:
                cost = int(line.split()[1])
                libraries[now["ob"]] += cost
                functions[now["fn"]] += cost
            of_callee = False
        elif line.startswith("calls="):
            of_callee = True
        elif found := _NAMED.match(line):
            callee, what, number, name = found.groups()
            name = names.setdefault((what, number), name.rsplit("/", 1)[-1]) if name else names[what, number]
            if not callee:
                now[what] = name
    return libraries, functions


# --- calls ------------------------------------------------------------------------------------------------------------


def _by_calls(options: argparse.Namespace, directory: Path) -> None:
    out = directory / "profile"
    wrapper = (sys.executable, str(Path(__file__).resolve()), INSIDE, str(out))
    with running(options, chosen(options, "a"), wrapper) as run:
        messages, transactions = _counted(options, run, lambda: run.server.tell(signal.SIGUSR1))
        run.server.tell(signal.SIGUSR2)
        while not out.exists():
            time.sleep(0.01)
    print(f"{messages} messages, {transactions:.3f} transactions a message")
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    stats: Any = SimpleNamespace(**vars(pstats.Stats(str(out))))
    for where, (_, calls, _, _, callers) in stats.stats.items():
        if where[0] == "~":
            for caller, (_, times, _, _) in callers.items():
                rooms[_room(caller[0])] += times
        else:
            rooms[_room(where[0])] += calls
        functions[f"{where[2]} {'/'.join(where[0].split('/')[-2:])}:{where[1]}"] += calls
    print(f"function calls a message: {sum(rooms.values()) / messages:.1f}")
    for room, calls in rooms.most_common():
        if calls / messages >= 0.05:
            print(f"{calls / messages:9.2f}  {room}")
    print()
    for function, calls in functions.most_common(FUNCTIONS):
        print(f"{calls / messages:9.2f}  {function}")
    if options.keep:
        kept = Path(tempfile.mkdtemp(prefix="kvitto-calls-")) / "profile"
        shutil.copy(out, kept)
        print(f"the profile is {kept}")


def _room(path: str) -> str:
    found = _ROOM.search(path)
    return found[1] if found else "/".join(path.split("/")[-2:])


def _serve_profiled(out: Path, arguments: list[str]) -> None:
    """Be the server, profiled from SIGUSR1 to SIGUSR2."""
    profile = cProfile.Profile()

    def end(*_: object) -> None:
        profile.disable()
        part = out.with_suffix(".part")
        profile.dump_stats(part)
        part.rename(out)

    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["kvitto", *arguments]
    with contextlib.suppress(SystemExit):
        runpy.run_module("kvitto", run_name="__main__", alter_sys=True)


# --- system calls -----------------------------------------------------------------------------------------------------


def _by_syscalls(options: argparse.Namespace, directory: Path) -> None:
    out = directory / "strace"
    with running(options, chosen(options, "a")) as run:
        tracers: list[subprocess.Popen[bytes]] = []

        def begin() -> None:
            command = ["strace", "-f", "-c", "-S", "calls", "-o", str(out), "-p", str(run.server.pid)]
            tracers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            time.sleep(0.3)

        messages, transactions = _counted(options, run, begin)
        for tracer in tracers:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
    print(f"{messages} messages, {transactions:.3f} transactions a message")
    for line in out.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit():
            print(f"{int(words[3]) / messages:9.2f}  {words[-1]}")


_WAYS: Final = {"instructions": _by_instructions, "calls": _by_calls, "syscalls": _by_syscalls}


if __name__ == "__main__":
    main()
