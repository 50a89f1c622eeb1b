"""The store's verbs about callbacks and endpoints, put on their way; a part of ``kvitto.store.sqlstore``.

Secrets are sealed and unsealed here. Must not know: what a verb does (``kvitto.store.verbs``).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from kvitto.core.endpoint import Endpoint, EndpointHealth, EndpointStats, NewEndpoint
from kvitto.core.model import Account, Attempt, CallbackDue, CallbackResult, FrozenAnswer, OperatorEvent
from kvitto.core.record import (
    CallbackFilter,
    CallbackPage,
    CallbackTry,
    CallbackView,
    CursorRefused,
    EventPage,
    NewReplay,
    Replay,
)
from kvitto.core.users import AuditEntry
from kvitto.store.api import AdmissionRefused
from kvitto.store.audited import kept
from kvitto.store.callbackapi import CallbackTaker, EndpointDue, MoveStep, Want
from kvitto.store.commits import Commits, Verb
from kvitto.store.sealing import Seal
from kvitto.store.verbs import callbacks, endpoints, moves, notices, once, record, replays, tries
from kvitto.store.verbs.reconciliation import events_after

__all__ = ["SqlCallbacks", "mapped"]

_T = TypeVar("_T")

# Their places among the verbs of one transaction: see ``kvitto.store.sqlstore``.
_ROTATE_ACCOUNT: Final = Verb("rotate_callback_secret", 15, endpoints.rotate_account_secrets)
_CREATE: Final = Verb("create_endpoint", 16, endpoints.create_endpoints)
_CHANGE: Final = Verb("set_endpoint", 17, endpoints.change_endpoints)
_ROTATE: Final = Verb("rotate_endpoint_secret", 18, endpoints.rotate_endpoint_secrets)
_CREATE_ONCE: Final = Verb("create_once", 19, once.create_once)
_ATTEMPTS: Final = Verb("record_attempts", 50, callbacks.record_attempts)
_SEEN: Final = Verb("record_endpoints", 54, endpoints.record_endpoints)
_SWITCH: Final = Verb("switch_endpoint", 55, endpoints.switch_endpoints)
_RELEASE: Final = Verb("release_callbacks", 56, callbacks.release_callbacks)
_RESEND: Final = Verb("resend_callback", 57, record.resend_callbacks)
_START_REPLAY: Final = Verb("start_replay", 58, replays.start_replays)
_CANCEL_REPLAY: Final = Verb("cancel_replay", 59, replays.cancel_replays)
_STEP: Final = Verb("step_replays", 59, replays.step_replays)
_MOVE: Final = Verb("step_moves", 60, moves.step_moves)
_CLAIM: Final = Verb("claim_callbacks", 61, callbacks.claim_callbacks)


class SqlCallbacks:
    """See ``kvitto.store.callbackapi.CallbackStore`` for what each verb guarantees."""

    commits: Commits
    _seal: Seal
    _several_writers: bool

    def _read(self, query: Callable[..., _T], *arguments: Any, **named: Any) -> "asyncio.Future[_T]":
        raise NotImplementedError

    def _endpoint(self, row: Any | None) -> Endpoint | None:
        return None if row is None else endpoints.read_endpoint(row, self._seal.unseal)

    def _sealed(self, settings: Mapping[str, object]) -> dict[str, object]:
        given = dict(settings)
        for name in endpoints.SEALED:
            if isinstance(given.get(name), str):
                given[name] = self._seal.seal(str(given[name]))
        if unknown := set(given) - {*endpoints.SETTABLE, "secret"}:
            raise ValueError(f"no settings of an endpoint: {', '.join(sorted(unknown))}")
        return given

    # --- the sender ------------------------------------------------------------------------------------------------

    def set_callback_handoff(self, take: CallbackTaker | None) -> None:
        """See ``CallbackStore.set_callback_handoff``."""
        self.commits.room = take.room if take is not None else lambda: 0
        self.commits.full = take.full if take is not None else frozenset()
        self.commits.take = take.take if take is not None else lambda callbacks: None

    async def due_endpoints(self, now: int) -> list[EndpointDue]:
        """See ``CallbackStore.due_endpoints``."""
        return await self._read(callbacks.due_endpoints)

    async def next_callback_at(self) -> int | None:
        """See ``CallbackStore.next_callback_at``."""
        return min((one.next_at for one in await self._read(callbacks.due_endpoints)), default=None)

    def claim_callbacks(self, now: int, wants: Sequence[Want]) -> "asyncio.Future[list[CallbackDue]]":
        """See ``CallbackStore.claim_callbacks``."""
        rows = sum(want.limit for want in wants)
        return self.commits.put(_CLAIM, callbacks.CallbackClaim(now, wants), rows)

    def record_attempts(self, results: Sequence[CallbackResult]) -> "asyncio.Future[None]":
        """See ``CallbackStore.record_attempts``."""
        return self.commits.put(_ATTEMPTS, results, len(results))

    def release_callbacks(self, ids: Sequence[int], now: int) -> "asyncio.Future[None]":
        """See ``CallbackStore.release_callbacks``."""
        return self.commits.put(_RELEASE, callbacks.Release(ids, now), len(ids))

    # --- endpoints -------------------------------------------------------------------------------------------------

    def record_endpoints(self, seen: Sequence[EndpointHealth]) -> "asyncio.Future[None]":
        """See ``CallbackStore.record_endpoints``."""
        return self.commits.put(_SEEN, seen, len(seen))

    async def changed_endpoints(self, since: int) -> list[Endpoint]:
        """See ``CallbackStore.changed_endpoints``."""
        rows = await self._read(endpoints.changed_endpoints, since)
        return [endpoints.read_endpoint(row, self._seal.unseal) for row in rows]

    async def list_endpoints(self, account_id: str | None, limit: int, after: int = 0) -> list[Endpoint]:
        """See ``CallbackStore.list_endpoints``."""
        rows = await self._read(endpoints.endpoint_rows, account_id, limit, after)
        return [endpoints.read_endpoint(row, self._seal.unseal) for row in rows]

    async def fetch_endpoint(self, account_id: str | None, which: str) -> Endpoint | None:
        """See ``CallbackStore.fetch_endpoint``."""
        return self._endpoint(await self._read(endpoints.find_endpoint, account_id, which))

    async def fetch_endpoint_stats(self, endpoint: int, now: int) -> EndpointStats:
        """See ``CallbackStore.fetch_endpoint_stats``."""
        return await self._read(endpoints.endpoint_stats, endpoint, now)

    def create_endpoint(self, new: NewEndpoint, audit: AuditEntry | None = None) -> "asyncio.Future[Endpoint | None]":
        """See ``CallbackStore.create_endpoint``; secrets are sealed here."""
        sealed = new._replace(settings=self._sealed(new.settings))
        return mapped(self.commits.put(*kept(_CREATE, sealed, audit)), self._endpoint)

    def create_once(
        self,
        account_id: str,
        key: str,
        fingerprint: str,
        new: NewEndpoint | NewReplay,
        freeze: Callable[[Any], FrozenAnswer],
    ) -> "asyncio.Future[FrozenAnswer | AdmissionRefused | None]":
        """See ``CallbackStore.create_once``; secrets are sealed here."""
        if isinstance(new, NewEndpoint):
            new = new._replace(settings=self._sealed(new.settings))
        creation = once.Creation(account_id, key, fingerprint, new, self._endpoint, freeze)
        return self.commits.put(_CREATE_ONCE, creation)

    def set_endpoint(
        self,
        account_id: str | None,
        endpoint: int,
        changes: Mapping[str, object],
        now: int,
        audit: AuditEntry | None = None,
    ) -> "asyncio.Future[Endpoint | None]":
        """See ``CallbackStore.set_endpoint``; secrets are sealed here."""
        change = endpoints.EndpointChange(account_id, endpoint, self._sealed(changes), now)
        return mapped(self.commits.put(*kept(_CHANGE, change, audit)), self._endpoint)

    def disable_endpoint(
        self, account_id: str | None, endpoint: int, why: str, now: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[Endpoint | None]":
        """See ``CallbackStore.disable_endpoint``."""
        switch = endpoints.EndpointSwitch(account_id, endpoint, why, now)
        return mapped(self.commits.put(*kept(_SWITCH, switch, audit)), self._endpoint)

    def enable_endpoint(
        self, account_id: str | None, endpoint: int, now: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[Endpoint | None]":
        """See ``CallbackStore.enable_endpoint``."""
        switch = endpoints.EndpointSwitch(account_id, endpoint, None, now)
        return mapped(self.commits.put(*kept(_SWITCH, switch, audit)), self._endpoint)

    def rotate_endpoint_secret(
        self, account_id: str | None, endpoint: int, secret: str, now: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[Endpoint | None]":
        """See ``CallbackStore.rotate_endpoint_secret``; the secret is sealed here."""
        rotation = endpoints.EndpointRotation(account_id, endpoint, self._seal.seal(secret), now)
        return mapped(self.commits.put(*kept(_ROTATE, rotation, audit)), self._endpoint)

    async def rotate_callback_secret(
        self, name: str, secret: str, now: int, audit: AuditEntry | None = None
    ) -> Account | None:
        """See ``CallbackStore.rotate_callback_secret``; the secret is sealed here."""
        rotation = endpoints.AccountRotation(name, self._seal.seal(secret), now)
        if not await self.commits.put(*kept(_ROTATE_ACCOUNT, rotation, audit)):
            return None
        found = await self.find_account(name=name)
        return None if found is None else found[0]

    async def find_account(self, *, name: str | None = None) -> tuple[Account, str] | None:
        """See ``Store.find_account``, where it is."""
        raise NotImplementedError

    async def list_operator_events(
        self, account_id: str | None, limit: int, before: int | None = None
    ) -> list[OperatorEvent]:
        """See ``CallbackStore.list_operator_events``."""
        return await self._read(notices.operator_events, account_id, limit, before)

    # --- the record ------------------------------------------------------------------------------------------------

    async def list_callbacks(self, filter: CallbackFilter, limit: int, before: int | None = None) -> CallbackPage:
        """See ``CallbackStore.list_callbacks``."""
        return await self._read(record.callback_page, filter, limit, before)

    async def list_tries(self, account_id: str, limit: int) -> list[CallbackTry]:
        """See ``CallbackStore.list_tries``."""
        return await self._read(tries.latest_tries, account_id, limit)

    async def fetch_callback(self, account_id: str | None, callback: int) -> tuple[CallbackView, list[Attempt]] | None:
        """See ``CallbackStore.fetch_callback``."""
        return await self._read(record.show_callback, account_id, callback)

    def resend_callback(
        self, account_id: str | None, callback: int, now: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[bool | None]":
        """See ``CallbackStore.resend_callback``."""
        return self.commits.put(*kept(_RESEND, record.Resend(account_id, callback, now), audit))

    def start_replay(self, new: NewReplay, audit: AuditEntry | None = None) -> "asyncio.Future[Replay]":
        """See ``CallbackStore.start_replay``."""
        return self.commits.put(*kept(_START_REPLAY, new, audit))

    async def fetch_replay(self, account_id: str | None, replay: int) -> Replay | None:
        """See ``CallbackStore.fetch_replay``."""
        return await self._read(replays.fetch_replay, account_id, replay)

    async def list_replays(self, account_id: str | None, limit: int) -> list[Replay]:
        """See ``CallbackStore.list_replays``."""
        return await self._read(replays.replay_rows, account_id, limit)

    def cancel_replay(
        self, account_id: str | None, replay: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[Replay | None]":
        """See ``CallbackStore.cancel_replay``."""
        return self.commits.put(*kept(_CANCEL_REPLAY, replays.Cancellation(account_id, replay), audit))

    async def step_replays(self, now: int) -> int:
        """See ``CallbackStore.step_replays``."""
        if not await self._read(replays.is_step_due, now):
            return 0
        made: int = await self.commits.put(_STEP, replays.Step(now), 1000)
        return made

    async def step_moves(self, now: int) -> MoveStep:
        """See ``CallbackStore.step_moves``."""
        if not await self._read(moves.is_move_due, now):
            return MoveStep(more=False, begun=frozenset())
        step: MoveStep = await self.commits.put(_MOVE, now, moves.LOOKED_AT_PER_STEP)
        return step

    # --- reconciliation --------------------------------------------------------------------------------------------

    async def events_after(self, account_id: str | None, cursor: str, limit: int) -> EventPage | CursorRefused:
        """See ``CallbackStore.events_after``."""
        return await self._read(events_after, account_id, cursor, limit, by_commit=self._several_writers)


def mapped(source: "asyncio.Future[Any]", read: Callable[[Any], _T]) -> "asyncio.Future[_T]":
    """A future of what ``read`` makes of the source's result."""
    target: asyncio.Future[_T] = source.get_loop().create_future()

    def done(finished: "asyncio.Future[Any]") -> None:
        error = finished.exception()
        if target.done():
            return
        if error is not None:
            target.set_exception(error)
        else:
            target.set_result(read(finished.result()))

    source.add_done_callback(done)
    return target
