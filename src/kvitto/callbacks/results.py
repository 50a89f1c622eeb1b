"""Storing what the sender has to tell: results of attempts, leases given back, how endpoints fare.

Results are stored in groups: the next group goes when the last is through, without a timer, and until then they are
kept, also while the store is away: they were posted, and not to write that down would post them again. Leases that
cannot be given back run out by themselves; counts that cannot be added are added the next time.

Must not know: posting. Next: ``kvitto.callbacks.outbox``.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.endpoint import EndpointHealth
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Attempt, CallbackResult
from kvitto.core.record import KEPT_ANSWER_BYTES
from kvitto.store.callbackapi import CallbackStore
from kvitto.telemetry import get_logger

__all__ = ["Results", "attempt_of"]

STORE_PAUSE_S: Final = 1.0
MASKED: Final = "(masked)"
_SECRET_WORDS: Final = ("authorization", "signature", "token", "secret", "api-key", "apikey", "cookie")


class Results:
    """What is to be stored. ``on_stored`` is told the numbers of callbacks whose results are stored."""

    def __init__(self, store: CallbackStore, clock: Clock, on_stored: Callable[[Sequence[int]], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_stored = on_stored
        self._log = get_logger()
        self._results: list[CallbackResult] = []
        self._given_back: list[int] = []
        self._unwritten: list[EndpointHealth] = []
        self.storing = False

    @property
    def waiting(self) -> bool:
        """Whether results are not stored yet."""
        return self.storing or bool(self._results)

    def add(self, result: CallbackResult) -> None:
        """Store this soon, with whatever else comes in this turn of the event loop."""
        self._results.append(result)
        if not self.storing:
            self.storing = True
            asyncio.get_running_loop().call_soon(self._store_results)

    def give_back(self, ids: Sequence[int]) -> None:
        """Nobody here will post these: others may, or we later."""
        if not self._given_back:
            asyncio.get_running_loop().call_soon(self._release)
        self._given_back.extend(ids)

    def tell(self, seen: Sequence[EndpointHealth]) -> None:
        """Store how endpoints fare."""
        told = [*self._unwritten, *seen]
        self._unwritten = []
        if told:
            self._store.record_endpoints(told).add_done_callback(lambda future: self._told(told, future))

    def _told(self, told: list[EndpointHealth], future: "asyncio.Future[None]") -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            self._unwritten = [*told, *self._unwritten]
        elif error is not None:
            self._log.error("service.failed", service="outbox", exc_info=error)

    def _release(self) -> None:
        ids, self._given_back = self._given_back, []
        self._store.release_callbacks(ids, self._clock.now()).add_done_callback(_looked_at)

    def _store_results(self) -> None:
        results, self._results = self._results, []
        self._put(results)

    def _put(self, results: list[CallbackResult]) -> None:
        self._store.record_attempts(results).add_done_callback(lambda future: self._stored(results, future))

    def _stored(self, results: list[CallbackResult], future: "asyncio.Future[None]") -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            # They were posted: not to write that down would post them again. Nothing else is stored before them.
            asyncio.get_running_loop().call_later(STORE_PAUSE_S, self._put, results)
            return
        if error is not None:  # a fault of ours, which would come again: only what causes it is given up
            if len(results) > 1:
                self._results = results[1:] + self._results
                self._put(results[:1])
                return
            self._log.error("service.failed", service="outbox", callback_id=results[0].id, exc_info=error)
        if self._results:
            self._store_results()
        else:
            self.storing = False
        self._on_stored([result.id for result in results])


def _looked_at(future: "asyncio.Future[None]") -> None:
    """A lease that could not be given back runs out; a fault of ours is told by the event loop."""
    if not future.cancelled() and isinstance(future.exception(), StoreUnavailable):
        return


def attempt_of(
    now: int, status: int | None, error: str | None, elapsed_ms: int, lines: bytes, body: bytes, answer: bytes
) -> Attempt:
    """Put down one try as it is kept (P14): the request's fields with what is secret in them masked."""
    headers = []
    for line in lines.decode("latin-1").split("\r\n"):
        name, found, value = line.partition(": ")
        if found:
            secret = any(word in name.lower() for word in _SECRET_WORDS) and not name.lower().endswith(
                ("-algorithm", "-nonce", "-timestamp")
            )
            headers.append((name, MASKED if secret else value))
    return Attempt(
        now,
        status,
        error,
        elapsed_ms,
        tuple(headers),
        hashlib.sha256(body).hexdigest(),
        body.decode("utf-8", "replace"),
        answer[:KEPT_ANSWER_BYTES].decode("utf-8", "replace"),
    )
