"""New settings for a running server: SIGHUP asks, the server answers in a file, ``kvitto link reload`` does both.

A signal carries no answer, so the server writes down what came of it: which links it kept, changed, added and removed,
or every problem with key, value and reason, when the old settings go on. The file is ``reload.json`` in the data
directory, beside the lock file, which holds the server's process id. What a reload does is the wiring's affair
(``kvitto.app``). Must not know: settings, links.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from kvitto.core.errors import NotFound, SettingsProblem
from kvitto.telemetry import get_logger, mask_secrets

__all__ = ["ReloadReport", "Reloader", "find_server", "read_report", "take_lock"]

LOCK_FILE: Final = "kvitto.lock"
REPORT_FILE: Final = "reload.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What a reload came to. ``problems``: not empty when it was refused; then nothing was changed.

    ``kept``, ``adjusted`` (new settings, binds stand), ``made_anew``, ``added``, ``removed``: names of links.
    ``needs_restart``: keys that differ and hold after a restart only. ``rerouted``: queued messages that got a link.
    """

    problems: tuple[SettingsProblem, ...] = ()
    kept: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()
    made_anew: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    rerouted: int = 0


class Reloader:
    """Reloads one after the other when asked; a service. ``reload`` does it; ``directory`` gets the reports."""

    def __init__(self, directory: Path, reload: Callable[[], Awaitable[ReloadReport]], now: Callable[[], int]) -> None:
        self._directory = directory
        self._reload = reload
        self._now = now
        self._number = 0
        self._asked = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """A reload is wanted; one asked for before ``start`` follows it. Never waits."""
        self._asked.set()

    def start(self) -> None:
        """Begin. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="reloader")

    async def stop(self) -> None:
        """End; a reload that is going on ends first. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            await self._idle.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._idle.clear()
            try:
                await self._once()
            finally:
                self._idle.set()

    async def _once(self) -> None:
        log = get_logger()
        try:
            report = await self._reload()
        except Exception as fault:  # the top of this service: the server goes on with what it has
            log.exception("service.failed", service="reloader")
            report = ReloadReport(problems=(SettingsProblem(key="", value="", reason=str(fault), source=""),))
        for problem in report.problems:
            log.error("settings.refused", key=problem.key, value=problem.value, reason=problem.reason)
        if not report.problems:
            names = {name: list(getattr(report, name)) for name in ("adjusted", "made_anew", "added", "removed")}
            log.info("settings.reloaded", links={name: some for name, some in names.items() if some})
        self._number += 1
        document = asdict(report) | {"ok": not report.problems, "at": self._now()}
        try:
            _write(self._directory / REPORT_FILE, {"pid": os.getpid(), "number": self._number, "report": document})
        except OSError as wrong:  # a full disk: the log has said what came of it
            log.error("service.failed", service="reloader", error=str(wrong))


def _write(path: Path, document: dict[str, Any]) -> None:
    """All or nothing: whoever reads finds the old report or the new one."""
    beside = path.with_suffix(".new")
    beside.write_text(mask_secrets(json.dumps(document)), encoding="utf-8")
    beside.replace(path)


def read_report(directory: Path, pid: int) -> tuple[int, dict[str, Any] | None]:
    """The number of this server's last report and the report; 0 and None while there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        document = json.loads((directory / REPORT_FILE).read_text(encoding="utf-8"))
        if document["pid"] == pid:
            return document["number"], document["report"]
    return 0, None


def take_lock(directory: Path) -> IO[str]:
    """Take the lock of a data directory and write our process id into it. Raises: BlockingIOError, OSError."""
    lock = (directory / LOCK_FILE).open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    except OSError:
        lock.close()
        raise
    return lock


def find_server(directory: Path) -> int:
    """The process id of the server on this data directory. Raises: NotFound when none runs."""
    none = NotFound("server", f"no server runs on the data directory {directory}")
    try:
        with (directory / LOCK_FILE).open("r+", encoding="ascii") as lock:
            pid = lock.read().strip()
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(pid)
    except (OSError, ValueError):
        raise none from None
    raise none
