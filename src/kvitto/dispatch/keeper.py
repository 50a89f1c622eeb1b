"""Facts that must reach the store: handed to a verb in batches, and kept until they are stored.

An SMSC's answer or a part's fate is told to us once. While the store is away they wait here, in order of arrival, and
are handed over again until they are stored; whoever owns a keeper stops causing new ones meanwhile, so at most a
window waits.

Must not know: what the facts are. Next: ``kvitto.dispatch.submitter``.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kvitto.core.errors import StoreUnavailable
from kvitto.telemetry import get_logger

__all__ = ["Keeper"]

RETRY_S: Final = 1.0
"""How long a refused batch waits: the database is seldom back sooner, and P25 asks for flow within 5 s of its
return."""

T = TypeVar("T")


class Keeper(Generic[T]):
    """Hands batches to ``write`` and keeps each until its future has resolved.

    ``changed`` is called after every batch that was stored and every one that failed.
    """

    def __init__(
        self,
        write: "Callable[[list[T]], asyncio.Future[None]]",
        changed: Callable[[], None],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._write = write
        self._changed = changed
        self._retry_s = retry_s
        self._failed: deque[list[T]] = deque()
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None
        self._log = get_logger()

    @property
    def failing(self) -> bool:
        """Whether something waits because the store refused it."""
        return bool(self._failed)

    @property
    def idle(self) -> bool:
        """Whether everything is stored."""
        return not self._in_flight and not self._failed

    def put(self, batch: list[T]) -> None:
        """Store a batch, now or as soon as the store takes it."""
        self._in_flight += 1
        self._write(batch).add_done_callback(lambda future: self._written(batch, future))

    def close(self) -> None:
        """Give up retrying; what is not stored is forgotten. The store's own start decides its fate (R12)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _written(self, batch: list[T], future: "asyncio.Future[None]") -> None:
        self._in_flight -= 1
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            self._failed.append(batch)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._retry_s, self._retry)
        elif error is not None:
            self._isolate(batch, error)
        self._changed()

    def _isolate(self, batch: list[T], error: BaseException) -> None:
        """A fault of ours, which would come again: only the fact that causes it is given up, not its neighbours."""
        if len(batch) > 1:
            for one in batch:
                self.put([one])
        else:
            self._log.error("service.failed", service="keeper", exc_info=error)

    def _retry(self) -> None:
        self._timer = None
        failed, self._failed = self._failed, deque()
        for batch in failed:
            self.put(batch)
