"""Facts that must reach the store: handed to a verb in batches, and kept until they are stored.

An SMSC's answer or a part's fate is told to us once. What a turn of the loop brings leaves at its end as one batch, and
two batches at most are on their way: one that is being committed and one that waits for the next transaction. What
comes meanwhile joins the third, which costs no time and fewer calls. While the store is away facts wait here, in order
of arrival, and are handed over again until they are stored; whoever owns a keeper stops causing new ones meanwhile, so
at most a window waits.

Must not know: what the facts are. Next: ``kvitto.dispatch.submitter``.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kvitto.core.errors import StoreUnavailable
from kvitto.telemetry import get_logger

__all__ = ["ON_THEIR_WAY", "Keeper"]

RETRY_S: Final = 1.0
"""How long a refused batch waits: the database is seldom back sooner, and P25 asks for flow within 5 s of its
return."""
ON_THEIR_WAY: Final = 2
"""Calls of one verb at a time: a third could only wait for the same transaction as the second."""

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: list[T] = []
        self._turn_ends = False
        self._sent: dict[asyncio.Future[None], list[T]] = {}
        self._failed: deque[list[T]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._log = get_logger()

    @property
    def failing(self) -> bool:
        """Whether something waits because the store refused it."""
        return bool(self._failed)

    @property
    def idle(self) -> bool:
        """Whether everything is stored."""
        return not self._next and not self._sent and not self._failed

    def put(self, batch: list[T]) -> None:
        """Store these, at the end of this turn of the loop or as soon as the store takes them."""
        self._next += batch
        if self._next and not self._turn_ends and len(self._sent) < ON_THEIR_WAY:
            self._turn_ends = True
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._end_turn)

    def close(self) -> None:
        """Give up retrying; what is not stored is forgotten. The store's own start decides its fate (R12)."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_turn(self) -> None:
        self._turn_ends = False
        self._send_next()

    def _send_next(self) -> None:
        if self._next and len(self._sent) < ON_THEIR_WAY:
            batch, self._next = self._next, []
            self._send(batch)

    def _send(self, batch: list[T]) -> None:
        future = self._write(batch)
        self._sent[future] = batch
        future.add_done_callback(self._written)

    def _written(self, future: "asyncio.Future[None]") -> None:
        batch = self._sent.pop(future)
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            self._failed.append(batch)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._retry_s, self._retry)
        elif error is not None:
            self._isolate(batch, error)
        self._send_next()
        self._changed()

    def _isolate(self, batch: list[T], error: BaseException) -> None:
        """A fault of ours, which would come again: only the fact that causes it is given up, not its neighbours."""
        if len(batch) > 1:
            for one in batch:
                self._send([one])
        else:
            self._log.error("service.failed", service="keeper", exc_info=error)

    def _retry(self) -> None:
        self._timer = None
        failed, self._failed = self._failed, deque()
        for batch in failed:
            self._send(batch)
