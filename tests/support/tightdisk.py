"""A disk that is full when a test says so, and has room again when it says so (P24).

As root a small tmpfs, the real thing: ``fill`` writes ballast until nothing more goes in. Without root, the process's
own limit on the size of files (``RLIMIT_FSIZE``), which a user may lower and raise again for his own processes: SQLite
then cannot make its files any larger, and sees another error number for it.
"""

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

__all__ = ["LimitedFiles", "SmallDisk", "TightDisk", "is_root"]

CHUNK = 1 << 16


class TightDisk(Protocol):
    """What both kinds can do."""

    def fill(self) -> None:
        """From now on there is no room."""

    def free(self) -> None:
        """From now on there is."""


class SmallDisk:
    """A tmpfs on ``path``, mounted when made; needs root. ``remove`` ends it."""

    def __init__(self, path: Path, *, mib: int) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "kvitto-test", str(path)], check=True)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self) -> None:
        """Write ballast until the disk says no, octet by octet at the end."""
        size = CHUNK
        with self._ballast.open("ab", buffering=0) as file:
            while size:
                try:
                    file.write(b"\0" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 16

    def free(self) -> None:
        """Throw the ballast away."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        """Unmount it, even while somebody still has a file open."""
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", "-l", str(self.path)], check=True)


class LimitedFiles:
    """No file of process ``pid()`` may grow beyond the largest that is below ``path`` now."""

    def __init__(self, path: Path, pid: Callable[[], int]) -> None:
        self._path, self._pid = path, pid

    def fill(self) -> None:
        """Nothing grows any more."""
        largest = max(file.stat().st_size for file in self._path.iterdir() if file.is_file())
        self._limit(largest)

    def free(self) -> None:
        """Everything may grow."""
        self._limit(resource.RLIM_INFINITY)

    def remove(self) -> None:
        """Nothing is left of it."""

    def _limit(self, size: int) -> None:
        _, hard = resource.prlimit(self._pid(), resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid(), resource.RLIMIT_FSIZE, (size, hard))


def is_root() -> bool:
    """Whether a tmpfs can be mounted."""
    return os.geteuid() == 0
