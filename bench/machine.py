"""What the kernel knows about processes: CPU time and memory, read from /proc."""

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.server import children_of

__all__ = ["MachineTime", "cpu_s", "machine_time", "peak_rss_bytes", "thread_cpu_s", "tree"]

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_USER_FIELD: Final = 11  # behind the closing bracket of the name: utime, stime, cutime, cstime


class MachineTime(NamedTuple):
    """CPU seconds since boot over all cores: ``busy`` with anything, ``stolen`` by the hypervisor."""

    busy: float
    stolen: float


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    return [pid, *children_of(pid)]


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of the process and everything below it, children that have ended among them.

    Resolution: one tick (10 ms); 0 for a process that is gone.
    """
    total = 0.0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[_USER_FIELD : _USER_FIELD + 4]))
    return total / TICKS_PER_S


def thread_cpu_s(pid: int) -> dict[int, float]:
    """CPU seconds of each thread of one process, by the kernel's thread id."""
    found: dict[int, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            found[int(task.name)] = sum(map(int, fields[_USER_FIELD : _USER_FIELD + 2])) / TICKS_PER_S
    return found


def peak_rss_bytes(pid: int) -> int:
    """The most memory that the process held (VmHWM), plus that of everything below it."""
    total = 0
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return total


def machine_time() -> MachineTime:
    """Of the whole machine, for telling how busy others kept it."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return MachineTime((user + nice + system + irq + soft) / TICKS_PER_S, steal / TICKS_PER_S)
