"""What time alone decides: validity and receipt waits that end, parked receipts, and parts that a link may send again.

One small service for all links. It asks the store about every second, and at once again while there was more to do than
one transaction takes (P5, R33, R44, R58). Which message, when, and what becomes of it is the store's and the status
machine's affair. Must not know: connections. Next: ``Store.end_overdue``, ``Store.retry_parked``.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import PartKey
from kvitto.core.receipt import LinkRules
from kvitto.store.api import InDoubtPart, Store
from kvitto.telemetry import get_logger

__all__ = ["Waits"]

EVERY_S: Final = 1.0
BATCH: Final = 500
"""Messages ended in one transaction: a crowd of them must not hold up receipts and answers for long."""


class Waits:
    """Runs the waits of all links. ``rules``: by link name, and may change while it runs."""

    def __init__(self, store: Store, clock: Clock, rules: Mapping[str, LinkRules], *, every_s: float = EVERY_S) -> None:
        self._store = store
        self._clock = clock
        self.rules = rules
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger()
        self.ended = 0
        self.retried = 0
        self.resent = 0

    def start(self) -> None:
        """Begin. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="waits")

    async def stop(self) -> None:
        """End. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run_once(self) -> bool:
        """Do what is due now; whether there was more than one transaction takes. Raises: StoreUnavailable."""
        now = self._clock.now()
        ended, retried = await asyncio.gather(
            self._store.end_overdue(self.rules, now, BATCH), self._store.retry_parked(self.rules, now)
        )
        self.ended += ended
        self.retried += retried
        for link, rules in list(self.rules.items()):
            if rules.resend_in_doubt:
                await self._resend(link, now - rules.resend_after_s * 1000, now)
        return ended >= BATCH or retried >= BATCH

    async def _resend(self, link: str, written_before: int, now: int) -> None:
        """R12: this link's operator accepts that somebody may get a text twice."""
        doubtful = await self._store.list_in_doubt(link)
        keys = _old_enough(doubtful, written_before)
        if keys:
            self.resent += await self._store.resend_in_doubt(keys, now)

    async def _run(self) -> None:
        while True:
            more = False
            try:
                more = await self.run_once()
            except StoreUnavailable:
                pass  # the store says so itself; the next round comes
            except Exception:  # the top of this service: what was due stays due
                self._log.exception("service.failed", service="waits")
            await asyncio.sleep(0 if more else self._every_s)


def _old_enough(doubtful: Sequence[InDoubtPart], written_before: int) -> list[PartKey]:
    return [PartKey(part.message_id, part.part_no) for part in doubtful if part.written_at <= written_before]
