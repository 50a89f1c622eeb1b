"""The loop that tells customers: takes callbacks out of the store's outbox, posts them, and stores what came of it.

Callbacks come in two ways: handed over by the store right after the commit that caused them (``take``), or claimed by
a poll when they fall due again, were handed over to nobody, or belong to another process. Both ways they are leased
to us; what we forget comes back when its lease ends, so nothing here needs to survive (P9).

What is in hand waits in one queue per endpoint (scheme, host, port, account). Endpoints take turns, and each has a
bounded number of posts in flight, so a slow one holds only its own slots (P12). A callback waits while an earlier one
of the same message is in hand. Results are stored in groups: the next group goes when the last is through, without a
timer, and until then they are kept, also while the store is away. The hot path has no task and no future for a
callback.

Must not know: vendors' bodies and schedules (the dialect renders, signs and judges), sockets
(``kvitto.callbacks.post``).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple, Protocol

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.bundles import take_mates
from kvitto.callbacks.pace import Pace
from kvitto.callbacks.post import OnDone, PostFailure, PostRequest, PostResult, header_lines
from kvitto.callbacks.signing import callback_lines
from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.ids import new_nonce
from kvitto.core.model import Account, CallbackDue, CallbackResult, CallbackState, MessageView
from kvitto.core.status import FINAL
from kvitto.core.urls import BadUrl, parse_target
from kvitto.dialects.base import Dialect
from kvitto.store.api import Store
from kvitto.telemetry import get_logger

__all__ = ["Accounts", "Outbox", "OutboxLimits", "PostClient"]

Accounts = Callable[[str], Awaitable[Account | None]]
"""account id -> the account, None when it is gone. Raises: StoreUnavailable."""


class PostClient(Protocol):
    """The HTTP client, as ``kvitto.callbacks.post.CallbackClient`` fulfils it."""

    def start(self, request: PostRequest, on_done: OnDone) -> None:
        """Post; ``on_done`` is called once, never from inside this call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """The bounds of the sender."""

    in_hand: int = 20_000
    """Callbacks in memory, about 2 KiB each; more wait in the store."""
    per_endpoint: int = 16
    """Posts in flight to one endpoint, and connections to it."""
    in_flight: int = 1024
    """Posts in flight over all endpoints: about as many sockets."""
    slow_ms: int = 1000
    """An answer that takes longer counts as slow; see ``slow_waiting``."""
    slow_waiting: int = 128
    """Callbacks that may wait in hand for an endpoint that has lately been slow only; about what 16 posts of 10 s each
    can carry within a lease. The others are forgotten, and come back when their leases end."""
    poll_s: float = 1.0
    """The outbox is looked at this often: hand-overs may be lost."""
    account_s: float = 1.0
    """An account's settings are used this long before they are looked up again."""
    stop_s: float = 10.0
    """How long a stop waits for posts in flight (P28)."""


SLOW_IN_ROW: Final = 8
ENDPOINTS: Final = 4096
"""Endpoints remembered; above, those at rest are forgotten."""
STORE_PAUSE_S: Final = 1.0
CLAIM: Final = 1000
"""Callbacks claimed at a time: their rows are read and leased in one transaction."""
PAUSE_AT_MOST_S: Final = 60.0
"""How long a 429 may silence an endpoint; its callbacks' own schedule goes on beside it."""
NEVER_RIGHT: Final = frozenset({PostFailure.BAD_URL, PostFailure.BAD_REQUEST})
"""Failures that another attempt cannot mend."""
NOTICED_MS: Final = 100
"""An answer that took less makes no difference to when the first try was."""
OVERTAKEN: Final = "not told: the message has ended"
UNTOLD: Final = "not told: the account does not want it"
UNKNOWN_DIALECT_MS: Final = 3_600_000
TOO_MANY_REQUESTS: Final = 429

_JSON: Final = ("Content-Type", "application/json")


class _Caller(NamedTuple):
    """An account as posting needs it."""

    account: Account | None
    policy: AddressPolicy
    until: float


class _Endpoint:
    """Where one account's callbacks go: what waits, and what is in flight."""

    __slots__ = (
        "account_id",
        "begun",
        "in_flight",
        "limit",
        "listed",
        "name",
        "pace",
        "paused_until",
        "second",
        "slow_in_row",
        "successes",
        "waiting",
    )

    def __init__(self, account_id: str, name: str, limit: int) -> None:
        self.account_id = account_id
        self.name = name
        self.waiting: deque[_Job] = deque()
        self.in_flight = 0
        self.limit = limit
        self.listed = False  # in the round of those that may start a post
        self.slow_in_row = 0
        self.successes = 0  # since the limit last moved, while it is below the setting's
        self.paused_until = 0.0
        self.second = 0  # of the clock; in it ``begun`` posts were started
        self.begun = 0
        self.pace: Pace | None = None  # only while a receiver has asked for fewer requests a second


class _Job(PostRequest):
    """One callback in hand; when its turn comes it is the request that posts it, and only then has a request's fields.

    ``key``: callbacks with the same key go one after the other; ``later``: those behind this one. ``over``: its message
    has ended meanwhile, what becomes of it changes nothing. ``mates``: those that share its call.
    """

    __slots__ = ("account", "dialect", "due", "endpoint", "key", "later", "mates", "over")

    account: Account
    dialect: Dialect

    def __init__(self, due: CallbackDue, endpoint: _Endpoint, key: str) -> None:
        self.due = due
        self.endpoint = endpoint
        self.key = key
        self.later: list[_Job] | None = None
        self.over = False
        self.mates: Sequence[_Job] = ()


class Outbox:
    """The callback sender; a service, and the store's ``CallbackTaker``.

    ``dialects``: by the name stored with each batch. ``allow_private``: the setting that opens private and loopback
    addresses to every account.
    """

    def __init__(
        self,
        store: Store,
        client: PostClient,
        dialects: Mapping[str, Dialect],
        accounts: Accounts,
        clock: Clock,
        *,
        limits: OutboxLimits | None = None,
        allow_private: bool = False,
    ) -> None:
        self._store = store
        self._client = client
        self._dialects = dialects
        self._look_up = accounts
        self._clock = clock
        self._limits = limits or OutboxLimits()
        self._allow_private = allow_private
        self._log = get_logger()
        self._ids: set[int] = set()  # in hand: waiting, in flight, or result not stored
        self._first: dict[str, _Job] = {}  # key in hand -> the job whose turn it is
        self._by_url: dict[tuple[str, str], _Endpoint] = {}
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}
        self._round: deque[_Endpoint] = deque()
        self._in_flight = 0
        self._callers: dict[str, _Caller] = {}
        self._policies: dict[
            AddressPolicy, AddressPolicy
        ] = {}  # one for all equal ones: the client knows it by identity
        self._unknown: dict[str, list[_Endpoint]] = {}  # account being looked up -> endpoints that wait for it
        self._results: list[CallbackResult] = []
        self._storing = False
        self._open = False
        self._starved = False
        self._wake = asyncio.Event()
        self._rest = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll: asyncio.Task[None] | None = None
        self.attempts = 0
        self.delivered = 0
        self.postponed = 0
        self.given_up = 0
        self.dropped = 0
        self.forgotten = 0

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to take. Bears being called twice."""
        if self._poll is None:
            self._open = True
            self._store.set_callback_handoff(self)
            self._poll = asyncio.create_task(self._look_regularly(), name="outbox")

    async def stop(self) -> None:
        """Take nothing new, let posts in flight finish, store their results. Bears early and double calls.

        What waits keeps its lease until the next start gives it back.
        """
        poll, self._poll = self._poll, None
        if poll is None:
            return
        self._open = False
        self._store.set_callback_handoff(None)
        poll.cancel()
        self._drop_waiting()
        try:
            async with asyncio.timeout(self._limits.stop_s):
                while self._in_flight or self._storing or self._results:
                    self._rest.clear()
                    await self._rest.wait()
        except TimeoutError:
            self._log.warning("server.stopping", service="outbox", in_flight=self._in_flight, count=len(self._results))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(poll, *self._tasks, return_exceptions=True)

    def _drop_waiting(self) -> None:
        for endpoint in self._endpoints.values():
            for job in endpoint.waiting:
                self._ids.discard(job.due.id)
            endpoint.waiting.clear()
            endpoint.listed = False
        for first in self._first.values():
            for job in first.later or ():
                self._ids.discard(job.due.id)
        self._first.clear()
        self._round.clear()

    # --- taking -------------------------------------------------------------------------------------------------------

    @property
    def in_hand(self) -> int:
        """How many callbacks wait here, are being posted, or have a result that is not stored yet."""
        return len(self._ids)

    def room(self) -> int:
        """How many callbacks it would take now. May be called from any thread: it only reads counts."""
        if not self._open:
            return 0
        room = self._limits.in_hand - len(self._ids)
        if room <= 0:
            self._starved = True
        return max(0, room)

    def take(self, callbacks: list[CallbackDue]) -> None:
        """Post these; they are leased to us. One that is in hand already is not taken twice."""
        if not self._open:
            return
        ids, firsts, by_url = self._ids, self._first, self._by_url
        for due in callbacks:
            if due.id in ids:
                continue
            ids.add(due.id)
            facts = due.facts
            key = facts.id if isinstance(facts, MessageView) else facts.batch_id
            job = _Job(due, by_url.get((due.url, due.account_id)) or self._endpoint_of(due), key)
            first = firsts.get(key)
            if first is None:
                firsts[key] = job
                self._queue(job)
            else:
                self._wait_behind(first, job)
        self._start_posts(self._clock.now())

    def _wait_behind(self, first: _Job, job: _Job) -> None:
        if first.later is None and _ends(first.due, job.due) and self._supersedes(job.due):
            first.over = True
            self._first[job.key] = job
            self._settle(first.due, OVERTAKEN)
            self._queue(job)
            return
        first.later = first.later or []
        first.later.append(job)

    def _supersedes(self, due: CallbackDue) -> bool:
        dialect = self._dialects.get(due.dialect)
        return dialect is not None and dialect.supersedes

    def _settle(self, due: CallbackDue, why: str) -> None:
        """It need not be told: write that down without an attempt."""
        self.dropped += 1
        self._results.append(
            CallbackResult(
                due.id, CallbackState.DONE, self._clock.now(), None, due.first_failed_at, None, why, 0, counts=False
            )
        )
        self._store_soon()

    def _endpoint_of(self, due: CallbackDue) -> _Endpoint:
        target = parse_target(due.url)
        name = "" if isinstance(target, BadUrl) else f"{target.scheme}://{target.host}:{target.port}"
        if len(self._by_url) >= ENDPOINTS:
            self._forget_resting()
        key = (name, due.account_id)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._endpoints[key] = _Endpoint(due.account_id, name, self._limits.per_endpoint)
        self._by_url[due.url, due.account_id] = endpoint
        return endpoint

    def _forget_resting(self) -> None:
        self._by_url.clear()
        busy = {key: one for key, one in self._endpoints.items() if one.waiting or one.in_flight or one.paused_until}
        self._endpoints = busy

    def _queue(self, job: _Job) -> None:
        endpoint = job.endpoint
        if endpoint.slow_in_row >= SLOW_IN_ROW and len(endpoint.waiting) >= self._most_waiting(endpoint):
            self._forget(job)
            return
        endpoint.waiting.append(job)
        if not endpoint.listed and endpoint.in_flight < endpoint.limit and not endpoint.paused_until:
            endpoint.listed = True
            self._round.append(endpoint)

    def _most_waiting(self, endpoint: _Endpoint) -> int:
        """How many may wait for an endpoint that is slow, those that can start at once beside."""
        return self._limits.slow_waiting + max(0, endpoint.limit - endpoint.in_flight)

    def _trim(self, endpoint: _Endpoint) -> None:
        """The endpoint has become slow: what it cannot take in time gives its place to others."""
        most = self._most_waiting(endpoint)
        while len(endpoint.waiting) > most:
            self._forget(endpoint.waiting.pop())

    def _forget(self, job: _Job) -> None:
        """Too many wait for an endpoint that hangs: this one comes back when its lease ends, and holds nobody up."""
        self.forgotten += 1
        self._ids.discard(job.due.id)
        self._release(job)

    def _list(self, endpoint: _Endpoint) -> None:
        """Let the endpoint take part in the round, if it has something to post and may."""
        if endpoint.waiting and endpoint.in_flight < endpoint.limit and not endpoint.paused_until:
            endpoint.listed = True
            self._round.append(endpoint)
        else:
            endpoint.listed = False

    # --- posting ------------------------------------------------------------------------------------------------------

    def _start_posts(self, now: int) -> None:
        """One post from each endpoint in turn, as long as anything may start."""
        turns, most = self._round, self._limits.in_flight
        if not turns:
            return
        now_s = self._clock.monotonic()
        while turns and self._in_flight < most:
            endpoint = turns[0]
            if endpoint.waiting:
                caller = self._callers.get(endpoint.account_id)
                if caller is None or caller.until <= now_s:
                    turns.popleft()
                    self._wait_for_caller(endpoint)
                    continue
                self._post(endpoint, endpoint.waiting.popleft(), caller, now)
                if endpoint.pace is not None:
                    self._hold(endpoint, endpoint.pace, now_s)
            if endpoint.waiting and endpoint.in_flight < endpoint.limit and not endpoint.paused_until:
                turns.rotate(-1)
            else:
                turns.popleft()
                endpoint.listed = False

    def _post(self, endpoint: _Endpoint, job: _Job, caller: _Caller, now: int) -> None:
        due, account = job.due, caller.account
        if job.over:
            return
        dialect = self._dialects.get(due.dialect)
        if account is None:
            self._fail(job, now, None, CallbackState.GIVEN_UP, None, "the account is gone")
            return
        if dialect is None:
            self._fail(job, now, None, CallbackState.PENDING, now + UNKNOWN_DIALECT_MS, "unknown dialect")
            return
        untold = OVERTAKEN if due.overtaken and dialect.supersedes else None if dialect.tells(due, account) else UNTOLD
        if untold is not None:
            self._settle(due, untold)
            self._release(job)
            return
        dues: tuple[CallbackDue, ...] = (due,)
        if dialect.most_per_callback > 1:
            job.mates = take_mates(endpoint.waiting, due, dialect, account)
            dues = (due, *(mate.due for mate in job.mates))
        try:
            body = job.body = dialect.render(dues, account)
            secrets = (account.callback_secret,)
            fields = dialect.headers(due, body, account, secret=secrets[-1], nonce=new_nonce(), now=now)
            if fields[:1] != [_JSON] and all(name.lower() != "content-type" for name, _ in fields):
                fields = [*fields, _JSON]
            job.headers = header_lines(fields) + callback_lines(dues, body, secrets, now)
        except Exception:  # the top of this callback's way out: it can never be rendered, and must not stop the others
            if job.mates:
                self._part(endpoint, job)
                return
            self._log.exception("service.failed", service="outbox", callback_id=due.id)
            self._fail(job, now, None, CallbackState.GIVEN_UP, None, "cannot be rendered")
            return
        job.dialect = dialect
        job.account = account
        job.url = due.url
        job.policy = caller.policy
        job.tls = None
        job.connections = self._limits.per_endpoint
        job.timeout_s = dialect.callback_timeout_s
        endpoint.in_flight += 1
        self._in_flight += 1
        self.attempts += 1
        second = now // 1000
        if endpoint.second != second:
            endpoint.second, endpoint.begun = second, 0
        endpoint.begun += 1
        self._client.start(job, self._on_done)

    def _part(self, endpoint: _Endpoint, job: _Job) -> None:
        """One of them spoils the call: each goes by itself, at its turn."""
        jobs = [job, *job.mates]
        job.mates = ()
        for one in jobs:
            one.due = one.due._replace(bundle=one.due.id)
        endpoint.waiting.extendleft(reversed(jobs))

    def _on_done(self, job: PostRequest, result: PostResult) -> None:
        assert isinstance(job, _Job)
        endpoint, now = job.endpoint, self._clock.now()
        endpoint.in_flight -= 1
        self._in_flight -= 1
        if result.elapsed_ms < self._limits.slow_ms:
            endpoint.slow_in_row = 0
        else:
            endpoint.slow_in_row += 1
            if endpoint.slow_in_row == SLOW_IN_ROW:
                self._trim(endpoint)
        if job.over:
            pass  # settled already, when its message ended
        elif result.failure is PostFailure.STOPPED:
            for one in (job, *job.mates):
                self._ids.discard(one.due.id)
                self._release(one)
        else:
            self._judge(job, result, now)
        if endpoint.waiting and not endpoint.listed:
            self._list(endpoint)
        self._start_posts(now)
        if not self._open:
            self._rest.set()

    def _judge(self, job: _Job, result: PostResult, now: int) -> None:
        """Let the dialect say what the answer means, and write that down."""
        due, endpoint = job.due, job.endpoint
        answered, failure, detail, body, headers, elapsed_ms, _ = result
        failed_at = due.first_failed_at
        if elapsed_ms >= NOTICED_MS and due.first_failed_at is None:
            due = job.due = due._replace(first_failed_at=now - elapsed_ms)  # schedules count from the first try's begin
        status = answered if failure is None else None
        retry_after_s = _retry_after_s(headers[b"retry-after"], now) if b"retry-after" in headers else None
        decision = job.dialect.judge(due, job.account, status, body, retry_after_s, now)
        if decision.slower:
            self._halve_pace(endpoint, elapsed_ms / 1000)
        elif status == TOO_MANY_REQUESTS:
            self._slow_down(endpoint, retry_after_s)
        elif decision.done and endpoint.limit < self._limits.per_endpoint:
            self._speed_up(endpoint)
        if decision.done:
            self.delivered += 1 + len(job.mates)
            done = CallbackResult(due.id, CallbackState.DONE, now, None, failed_at, status, None, elapsed_ms)
            self._write_down(job, done)
            return
        error = f"HTTP {status}" if failure is None else f"{failure.value}: {detail}"
        if failure is PostFailure.FORBIDDEN:
            self._log.warning("callback.forbidden", callback_id=due.id, error=detail)
        retry_at = None if failure in NEVER_RIGHT else decision.retry_at
        state = CallbackState.GIVEN_UP if retry_at is None else CallbackState.PENDING
        self._fail(job, now, status, state, retry_at, error, elapsed_ms, counts=decision.counts)

    def _slow_down(self, endpoint: _Endpoint, retry_after_s: float | None) -> None:
        """The receiver says 429: wait as it asks, at least a second, then go on with half as many at once."""
        if endpoint.paused_until:
            return  # posts of the same burst
        endpoint.limit = max(1, endpoint.limit // 2)
        endpoint.successes = 0
        pause_s = min(max(retry_after_s or 0.0, 1.0), PAUSE_AT_MOST_S)
        endpoint.paused_until = self._clock.monotonic() + pause_s
        asyncio.get_running_loop().call_later(pause_s, self._resume, endpoint)

    def _halve_pace(self, endpoint: _Endpoint, elapsed_s: float) -> None:
        """The receiver wants fewer requests a second, whoever they are for; this one's own wait is in its decision."""
        now_s = self._clock.monotonic()
        if endpoint.pace is None:
            endpoint.pace = Pace(endpoint.begun, now_s)
        else:
            endpoint.pace.halve(now_s, now_s - elapsed_s)

    def _hold(self, endpoint: _Endpoint, pace: Pace, now_s: float) -> None:
        """The next post to this endpoint waits its share of a second."""
        gap_s = pace.gap_s(now_s)
        if gap_s is None:
            endpoint.pace = None
        elif not endpoint.paused_until:
            endpoint.paused_until = now_s + gap_s
            asyncio.get_running_loop().call_later(gap_s, self._resume, endpoint)

    def _speed_up(self, endpoint: _Endpoint) -> None:
        """One more at once after as many successes as may be in flight."""
        endpoint.successes += 1
        if endpoint.successes >= endpoint.limit:
            endpoint.successes = 0
            endpoint.limit += 1

    def _resume(self, endpoint: _Endpoint) -> None:
        endpoint.paused_until = 0.0
        if not endpoint.listed:
            self._list(endpoint)
        self._start_posts(self._clock.now())

    def _fail(
        self,
        job: _Job,
        now: int,
        status_code: int | None,
        state: CallbackState,
        next_at: int | None,
        error: str,
        elapsed_ms: int = 0,
        *,
        counts: bool = True,
    ) -> None:
        """Write down an attempt that came to nothing, or that could not be made."""
        due = job.due
        first_failed_at = now if due.first_failed_at is None else due.first_failed_at
        bundle = due.id if job.mates and due.bundle is None else due.bundle
        for one in (job, *job.mates):
            self._tell_failure(one.due, state, next_at, error)
        self._write_down(
            job,
            CallbackResult(
                due.id, state, now, next_at, first_failed_at, status_code, error, elapsed_ms, counts, bundle
            ),
        )

    def _write_down(self, job: _Job, result: CallbackResult) -> None:
        """Keep what came of an attempt until it is stored, and let the next callback of the same message go."""
        self._results.append(result)
        self._release(job)
        for mate in job.mates:
            self._results.append(result._replace(id=mate.due.id))
            self._release(mate)
        self._store_soon()

    def _store_soon(self) -> None:
        if not self._storing:
            self._storing = True
            asyncio.get_running_loop().call_soon(self._store_results)

    def _tell_failure(self, due: CallbackDue, state: CallbackState, next_at: int | None, error: str | None) -> None:
        attempt = due.attempts + 1
        if state is CallbackState.PENDING:
            self.postponed += 1
            self._log.info(
                "callback.postponed", callback_id=due.id, attempt=attempt, next_attempt_at=next_at, error=error
            )
        else:
            self.given_up += 1
            self._log.warning("callback.given_up", callback_id=due.id, attempt=attempt, error=error)

    def _release(self, job: _Job) -> None:
        """It has ended: the next one with its key may go."""
        later = job.later
        if later:
            following = self._first[job.key] = later.pop(0)
            following.later = later or None
            self._queue(following)
        elif self._first.get(job.key) is job:
            del self._first[job.key]

    # --- storing ------------------------------------------------------------------------------------------------------

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
        self._ids.difference_update([result.id for result in results])
        if self._results:
            self._store_results()
        else:
            self._storing = False
        if self._starved and len(self._ids) < self._limits.in_hand // 2:
            self._starved = False
            self._wake.set()
        self._rest.set()

    # --- accounts -----------------------------------------------------------------------------------------------------

    def _wait_for_caller(self, endpoint: _Endpoint) -> None:
        """Look the account up, once for all its endpoints that wait; they come back into the round afterwards."""
        account_id = endpoint.account_id
        waiting = self._unknown.get(account_id)
        if waiting is not None:
            waiting.append(endpoint)
            return
        self._unknown[account_id] = [endpoint]
        task = asyncio.create_task(self._fetch_caller(account_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch_caller(self, account_id: str) -> None:
        while True:
            try:
                account = await self._look_up(account_id)
                break
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE_S)
            except Exception:  # the top of this task: its callbacks wait on
                self._log.exception("service.failed", service="outbox", account_id=account_id)
                await asyncio.sleep(STORE_PAUSE_S)
        if len(self._callers) >= ENDPOINTS:
            self._callers.clear()
        until = self._clock.monotonic() + self._limits.account_s
        self._callers[account_id] = _Caller(account, self._policy_of(account), until)
        for endpoint in self._unknown.pop(account_id, ()):
            self._list(endpoint)
        self._start_posts(self._clock.now())

    def _policy_of(self, account: Account | None) -> AddressPolicy:
        allow = () if account is None else account.allow_callbacks_to
        try:
            policy = AddressPolicy.of(allow, allow_private=self._allow_private)
        except ValueError:  # account settings are checked when they are made; what is wrong all the same opens nothing
            self._log.error("service.failed", service="outbox", error="allow_callbacks_to is no list of networks")
            policy = AddressPolicy(allow_private=self._allow_private)
        if len(self._policies) >= ENDPOINTS:
            self._policies.clear()
        return self._policies.setdefault(policy, policy)

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _look_regularly(self) -> None:
        """Claim what nobody handed over: retries that fall due, and what found no room."""
        while True:
            wait_s = self._limits.poll_s
            try:
                wait_s = await self._claim()
            except StoreUnavailable:
                pass  # the store says so itself; what is due stays due
            except Exception:  # the top of this service: the next look comes all the same
                self._log.exception("service.failed", service="outbox")
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _claim(self) -> float:
        """Claim what is due as far as there is room; returns the seconds until the next look."""
        poll_s = self._limits.poll_s
        next_at = await self._store.next_callback_at()
        now = self._clock.now()
        if next_at is None or next_at > now:
            return poll_s if next_at is None else min(poll_s, (next_at - now) / 1000)
        while (wanted := min(CLAIM, self.room())) > 0:
            due = await self._store.claim_callbacks(self._clock.now(), wanted)
            self.take(due)
            if len(due) < wanted:
                break
        return poll_s


def _ends(earlier: CallbackDue, later: CallbackDue) -> bool:
    """Whether the later one tells the end of a message that the earlier one tells to be on its way."""
    before, after = earlier.facts, later.facts
    if not (isinstance(before, MessageView) and isinstance(after, MessageView)):
        return False
    return before.status not in FINAL and after.status in FINAL


def _retry_after_s(value: bytes | None, now: int) -> float | None:
    """Retry-After in seconds from ``now`` (ms UTC): a number of seconds or an HTTP date (RFC 9110 10.2.3)."""
    if not value:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now / 1000)
    except (ValueError, OverflowError):
        return None
