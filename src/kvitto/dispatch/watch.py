"""What each link is doing, written down for whoever asks beside the server (R54; ``kvitto link list``).

Once a second the links are looked at, and what changed is put into the store; when nothing changed, the same is said
again now and then, so that a reader can tell a quiet server from one that has gone. The counters are not written here:
the store counts in the transactions that store the facts. Must not know: how a link works inside.
Next: ``Store.record_link_states``, ``kvitto.cli.link``.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.dispatch.link import Link
from kvitto.store.api import LinkState, Store
from kvitto.telemetry import get_logger

__all__ = ["EVERY_S", "REPEAT_S", "Watch"]

EVERY_S: Final = 1.0
REPEAT_S: Final = 10.0
"""A state is written again after this long: one that is older than a few of these is of a server that has gone."""


class Watch:
    """Writes the states of ``links()``; a service."""

    def __init__(self, store: Store, clock: Clock, links: Callable[[], Iterable[Link]]) -> None:
        self._store = store
        self._clock = clock
        self._links = links
        self._last: list[LinkState] | None = None
        self._written_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="watch")

    async def stop(self) -> None:
        """Write the last word, when the links are down, and end. Bears early and double calls."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(StoreUnavailable):  # the state that stands there then grows old, which says the same
            await self.look()

    async def look(self) -> bool:
        """Write what changed; whether there was anything to write. Raises: StoreUnavailable."""
        states = [self._state(link) for link in self._links()]
        timeless = [state._replace(at=0) for state in states]
        now = self._clock.monotonic()
        if timeless == self._last and now - self._written_at < REPEAT_S:
            return False
        await self._store.record_link_states(states)
        self._last, self._written_at = timeless, now
        return True

    def _state(self, link: Link) -> LinkState:
        now = self._clock.now()
        rate, silent_s = link.pacer.pace(self._clock.monotonic())
        paused_until_at = now + round(silent_s) * 1000 if silent_s else None
        # The first reason will do: binds of one link nearly always have the same.
        error = "" if link.stopping else next((bind.reason for bind in link.binds if bind.reason), "")
        return LinkState(
            link=link.name,
            group=link.group,
            binds_up=link.bound,
            binds_wanted=len(link.binds),
            window=link.config.window * len(link.senders),
            in_flight=link.in_flight(),
            rate=round(rate, 1),
            paused_until_at=paused_until_at,
            last_error="stopped" if link.stopping else error or None,
            at=now,
        )

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable:
                pass  # the store says so itself; the next look comes
            except Exception:  # the top of this service: nothing depends on what it writes
                get_logger().exception("service.failed", service="watch")
            await asyncio.sleep(EVERY_S)
