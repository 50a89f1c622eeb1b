"""The broom: removes what is too old, a little at a time, and never for long (R51).

A step is one small transaction of the store. After it the broom rests for several times as long as the step took, so
that cleaning never has more than a small share of the writer, and yet keeps up with a server that runs at full load.
When nothing old is left it looks again after a minute. Must not know: what is old. Next: ``Store.clean``.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.receipt import LinkRules
from kvitto.store.api import Store
from kvitto.telemetry import get_logger

__all__ = ["Broom"]

STEP: Final = 200
"""Messages removed in one transaction, and receipts, and callbacks: some milliseconds of work."""
REST: Final = 4.0
"""A rest is this many times as long as the step before it: cleaning takes at most a fifth of the writer's time."""
REST_AT_LEAST_S: Final = 0.02
LOOK_S: Final = 60.0
"""How often to look whether something has become old."""


class Broom:
    """A service. ``rules``: asked at each step, by link name; ``retention_days``: of accounts without their own."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        rules: Callable[[], Mapping[str, LinkRules]],
        retention_days: int,
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._retention_days = retention_days
        self._look_s = look_s
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger()
        self.removed = 0

    def start(self) -> None:
        """Begin. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="broom")

    async def stop(self) -> None:
        """End. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def step(self) -> float:
        """Do one step; returns how long to rest (seconds). Raises: StoreUnavailable."""
        began = self._clock.monotonic()
        cleaned = await self._store.clean(self._rules(), self._retention_days, self._clock.now(), STEP)
        self.removed += cleaned.removed
        if cleaned.over:
            return self._look_s
        return max(REST_AT_LEAST_S, REST * (self._clock.monotonic() - began))

    async def _run(self) -> None:
        while True:
            rest_s = self._look_s
            try:
                rest_s = await self.step()
            except StoreUnavailable:
                pass  # the store says so itself; what is old stays old
            except Exception:  # the top of this service
                self._log.exception("service.failed", service="broom")
            await asyncio.sleep(rest_s)
