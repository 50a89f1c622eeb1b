"""How much waits unsent, and when no more of it is taken (P29): 429 with ``Retry-After``, long before the disk is full.

The queue is rows, so a long one costs no memory; but it costs disk, and a customer who is answered 201 for what will
leave tomorrow is told nothing. So there is a bound on the messages that are accepted and not yet taken by an SMSC, for
each account and for all together. Those planned for later count too. Who has reached the bound is refused until it has
been sent below it; a request that comes below it is taken whole, so that none is too large for ever.

The counts come from the store once a second (one row an account, ``kvitto.store.verbs.tallies``), and what is admitted
in between is added here: no request waits for them. Several nodes see each other's with that second's delay.

Must not know: HTTP, SQL. Next: ``kvitto.intake.desk``, who asks; ``[queue]`` in docs/configuration.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from kvitto.core.errors import StoreUnavailable
from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial
from kvitto.telemetry import get_logger

__all__ = ["EVERYBODY", "EVERY_S", "RETRY_AFTER_S", "Pressure"]

EVERYBODY: Final = ""
"""Under which all accounts are counted together."""
EVERY_S: Final = 1.0
RETRY_AFTER_S: Final = 10
"""What a refused caller is told: a queue this long does not shrink in a second, and callers must not hammer."""

_FULL: Final = "too many messages of this account wait to be sent"
_ALL_FULL: Final = "too many messages wait to be sent"


class Pressure:
    """Knows how much waits; a service. ``read``: account id -> messages, ``EVERYBODY`` for all.

    ``most``, ``most_per_account``: messages at which no more are taken.
    """

    def __init__(self, read: Callable[[], Awaitable[Mapping[str, int]]], *, most: int, most_per_account: int) -> None:
        self._read = read
        self._most = most
        self._most_per_account = most_per_account
        self._queued: dict[str, int] = {}
        self.refused = 0
        """Requests that were refused since the start."""
        self._task: asyncio.Task[None] | None = None

    def denial(self, account_id: str) -> Denial | None:
        """Say whether this account may send more now. Cheap."""
        queued = self._queued
        if queued.get(account_id, 0) >= self._most_per_account:
            return self._refuse(_FULL)
        return self._refuse(_ALL_FULL) if queued.get(EVERYBODY, 0) >= self._most else None

    def _refuse(self, text: str) -> Denial:
        self.refused += 1
        return Denial(Problem.THROTTLED, text, RETRY_AFTER_S)

    def add(self, account_id: str, messages: int) -> None:
        """So many more are on their way into the store."""
        queued = self._queued
        queued[account_id] = queued.get(account_id, 0) + messages
        queued[EVERYBODY] = queued.get(EVERYBODY, 0) + messages

    async def look(self) -> None:
        """Ask the store. Raises: StoreUnavailable; what was known stays then."""
        self._queued = dict(await self._read())

    async def start(self) -> None:
        """Look once, then regularly. Bears being called twice."""
        if self._task is None:
            await self.look()
            self._task = asyncio.create_task(self._run(), name="pressure")

    async def stop(self) -> None:
        """End. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except StoreUnavailable:
                pass  # the store says so itself; nothing can be accepted meanwhile anyway
            except Exception:  # the top of this service: the next look comes
                get_logger().exception("service.failed", service="pressure")
