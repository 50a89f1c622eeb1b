"""The loop that tells customers: takes callbacks out of the store's outbox, posts them, and stores what came of it.

Callbacks come in two ways: handed over by the store right after the commit that caused them (``take``), or claimed by
a poll when they fall due again, were handed over to nobody, or belong to another process. Both ways they are leased
to us; what we forget comes back when its lease ends, so nothing here needs to survive (P9).

What is in hand waits in one lane per endpoint (``callbacks.lanes``). Lanes take turns, and each has a bounded number of
posts in flight, so a slow one holds only its own slots (P12); what has no room in its lane waits in the store and is
claimed when there is (``callbacks.claims``). A lane whose breaker is open sends a probe now and then, one that is
disabled nothing; neither holds anything in memory (P13). A callback waits while an earlier one of the same message is
in hand, and is not told when a later one has been (P15). The hot path has no task and no future for a callback.

Must not know: vendors' bodies and schedules (the dialect renders, signs and judges), sockets
(``kvitto.callbacks.post``).
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence, Set
from typing import Final, Protocol

from kvitto.callbacks import standard
from kvitto.callbacks.board import Board, OutboxLimits
from kvitto.callbacks.bundles import take_mates
from kvitto.callbacks.callers import Accounts, Caller, Callers, Policies
from kvitto.callbacks.claims import choose
from kvitto.callbacks.lanes import SLOW_IN_ROW, Job, Lane
from kvitto.callbacks.notices import key_of
from kvitto.callbacks.pace import retry_after
from kvitto.callbacks.post import OnDone, PostFailure, PostRequest, PostResult, header_lines
from kvitto.callbacks.results import Results, attempt_of
from kvitto.callbacks.signing import callback_lines
from kvitto.callbacks.untold import OVERTAKEN, ends, why_untold
from kvitto.core.clock import Clock
from kvitto.core.endpoint import DisabledWhy, secrets_of
from kvitto.core.errors import StoreUnavailable
from kvitto.core.ids import new_nonce
from kvitto.core.model import Attempt, CallbackDue, CallbackResult, CallbackState, MessageView
from kvitto.core.relay import RELAY_URL
from kvitto.dialects.base import RetryDecision, Voice
from kvitto.store.api import Store
from kvitto.telemetry import get_logger

__all__ = ["Accounts", "Outbox", "OutboxLimits", "PostClient"]


class PostClient(Protocol):
    """The HTTP client, as ``kvitto.callbacks.post.CallbackClient`` fulfils it."""

    def start(self, request: PostRequest, on_done: OnDone) -> None:
        """Post; ``on_done`` is called once, never from inside this call."""


SOONEST_S: Final = 0.1
"""The outbox is not looked at more often for retries alone."""
MOVES_PER_LOOK: Final = 10
"""Steps of moving callbacks to an account's new URL between two claims: others' retries wait for no more."""
WAKE_MASK: Final = 127
"""A spilled lane asks for more after so many posts, and at the latest when it has none left."""
NEVER_RIGHT: Final = frozenset({PostFailure.BAD_URL, PostFailure.BAD_REQUEST})
"""Failures that another attempt cannot mend, and that are not the endpoint's."""
NOTICED_MS: Final = 100
"""An answer that took less makes no difference to when the first try was."""
HEAD_START_S: Final = 0.2
"""A change that is being posted may arrive before the end of its message goes after it, so that a receiver that answers
at all quickly sees them in their order (P15)."""
UNKNOWN_DIALECT_MS: Final = 3_600_000
TOO_MANY_REQUESTS: Final = 429

_JSON: Final = ("Content-Type", "application/json")


class Outbox:
    """The callback sender; a service, and the store's ``CallbackTaker``.

    ``dialects``: by the name stored with each batch. ``allow_private``: the setting that opens private and loopback
    addresses to every account.
    """

    def __init__(
        self,
        store: Store,
        client: PostClient,
        dialects: Mapping[str, Voice],
        accounts: Accounts,
        clock: Clock,
        *,
        limits: OutboxLimits | None = None,
        allow_private: bool = False,
    ) -> None:
        self._store = store
        self._client = client
        self._dialects = dialects
        self._clock = clock
        self._limits = limits or OutboxLimits()
        self._log = get_logger()
        self._results = Results(store, clock, self._on_stored)
        self._ids: set[int] = set()  # in hand: waiting, in flight, or result not stored
        self._first: dict[str, Job] = {}  # key in hand -> the job whose turn it is
        self._board = Board(self._limits)
        self._round: deque[Lane] = deque()
        self._in_flight = 0
        policies = Policies(allow_private=allow_private)
        self._callers: Callers[Lane] = Callers(accounts, policies, clock, self._limits.account_s, self._on_caller)
        self._open = False
        self._starved = False
        self._wake = asyncio.Event()
        self._rest = asyncio.Event()
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
                while self._in_flight or self._results.waiting:
                    self._rest.clear()
                    await self._rest.wait()
        except TimeoutError:
            self._log.warning("server.stopping", service="outbox", in_flight=self._in_flight)
        self._tell_health(self._clock.now())
        await asyncio.gather(poll, self._callers.stop(), return_exceptions=True)

    def _drop_waiting(self) -> None:
        for lane in self._board.lanes.values():
            for job in lane.waiting:
                self._ids.discard(job.due.id)
            lane.waiting.clear()
            lane.listed = False
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

    @property
    def full(self) -> Set[int]:
        """See ``CallbackTaker.full``."""
        return self._board.full

    def count_states(self) -> dict[str, int]:
        """How many endpoints stand how, healthy ones as far as they are busy."""
        return self._board.count_states()

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
        ids, firsts, lanes = self._ids, self._first, self._board.lanes
        for due in callbacks:
            if due.id in ids:
                continue
            ids.add(due.id)
            facts = due.facts
            key = facts.id if isinstance(facts, MessageView) else key_of(facts)
            job = Job(due, lanes.get(due.endpoint) or self._board.lane_of(due), key)
            first = firsts.get(key)
            if first is None:
                firsts[key] = job
                self._queue(job)
            else:
                self._wait_behind(first, job)
        self._start_posts(self._clock.now())

    def _wait_behind(self, first: Job, job: Job) -> None:
        if job.due.id < first.due.id and not first.started:  # it waited in the store meanwhile
            first.due, job.due = job.due, first.due
        if first.later is None and ends(first.due, job.due) and self._supersedes(job):
            if not first.started:
                return self._overtake(first, job)
            asyncio.get_running_loop().call_later(HEAD_START_S, self._overtake_if_unsettled, first, job)
        first.later = first.later or []
        first.later.append(job)

    def _overtake_if_unsettled(self, first: Job, job: Job) -> None:
        """The change has had its time on the wire: its message's end does not wait for the answer any longer."""
        if self._open and self._first.get(job.key) is first and first.later is not None and first.later[0] is job:
            job.later, first.later = first.later[1:] or None, None
            self._overtake(first, job)
            self._start_posts(self._clock.now())

    def _overtake(self, first: Job, job: Job) -> None:
        """The message has ended before this change of it was settled: the end goes in its place."""
        first.over = True
        self._first[job.key] = job
        self._settle(first.due, OVERTAKEN)
        self._queue(job)

    def _supersedes(self, end: Job) -> bool:
        """Whether this end is told in the place of the change before it: not if the account hears of no such end."""
        dialect, caller = self._dialects.get(end.due.dialect), self._callers.known.get(end.lane.account_id)
        if dialect is None or not dialect.supersedes:
            return False
        return caller is None or caller.account is None or caller.account.wants(end.due.facts)

    def _settle(self, due: CallbackDue, why: str) -> None:
        """It need not be told: write that down without an attempt."""
        self.dropped += 1
        now = self._clock.now()
        done = CallbackResult(due.id, CallbackState.DONE, now, None, due.first_failed_at, None, why, 0, counts=False)
        self._results.add(done)

    def _queue(self, job: Job) -> None:
        lane = job.lane
        waiting = len(lane.waiting)
        if lane.held and not self._board.is_probe(lane, self._clock.now()):
            self._give_back(job)
            return
        if waiting >= self._limits.slow_waiting and waiting >= self._board.most_waiting(lane, len(self._ids)):
            self._board.spill(lane)
            if lane.slow_in_row >= SLOW_IN_ROW:
                self._give_back(job)
                return
        lane.waiting.append(job)
        if not lane.listed and lane.may_start:
            lane.listed = True
            self._round.append(lane)

    def _trim(self, lane: Lane, most: int) -> None:
        """It cannot take so many in time: the last ones give their places to others."""
        while len(lane.waiting) > most:
            self._give_back(lane.waiting.pop())

    def _give_back(self, job: Job) -> None:
        """This one goes back to the store, and holds nobody up."""
        self.forgotten += 1
        self._board.spill(job.lane)
        self._ids.discard(job.due.id)
        self._results.give_back((job.due.id,))
        for one in job.later or ():
            self._ids.discard(one.due.id)
            self._results.give_back((one.due.id,))
        job.later = None
        if self._first.get(job.key) is job:
            del self._first[job.key]

    def _list(self, lane: Lane) -> None:
        """Let the lane take part in the round, if it has something to post and may."""
        lane.listed = lane.may_start
        if lane.listed:
            self._round.append(lane)

    # --- posting ------------------------------------------------------------------------------------------------------

    def _start_posts(self, now: int) -> None:
        """One post from each lane in turn, as long as anything may start."""
        turns, most = self._round, self._limits.in_flight
        if not turns:
            return
        now_s = self._clock.monotonic()
        while turns and self._in_flight < most:
            lane = turns[0]
            if lane.waiting:
                caller = self._callers.known.get(lane.account_id)
                if caller is None or caller.until <= now_s:
                    turns.popleft()
                    self._callers.look_up(lane.account_id, lane)
                    continue
                self._post(lane, lane.waiting.popleft(), caller, now)
                if lane.spilled and not len(lane.waiting) & WAKE_MASK:
                    self._wake.set()
                if lane.pace is not None or lane.gap_s:
                    self._pause(lane, lane.next_gap_s(now_s))
            if lane.may_start:
                turns.rotate(-1)
            else:
                turns.popleft()
                lane.listed = False

    def _post(self, lane: Lane, job: Job, caller: Caller, now: int) -> None:
        due, account = job.due, caller.account
        if job.over:
            return
        dialect = self._dialects.get(due.dialect)
        if account is None:
            self._fail(job, now, None, CallbackState.GIVEN_UP, None, "the account is gone", counts=False)
            return
        if dialect is None:
            at = now + UNKNOWN_DIALECT_MS
            self._fail(job, now, None, CallbackState.PENDING, at, "unknown dialect", counts=False)
            return
        try:
            untold = why_untold(due, dialect, account)
            if untold is not None:
                self._settle(due, untold)
                self._release(job)
                return
            dues: tuple[CallbackDue, ...] = (due,)
            if dialect.most_per_callback > 1:
                job.mates = take_mates(lane.waiting, due, dialect, account)
                dues = (due, *(mate.due for mate in job.mates))
            body = job.body = dialect.render(dues, account)
            secrets = secrets_of(lane.settings, account, now)
            fields = dialect.headers(due, body, account, secret=secrets[-1], nonce=new_nonce(), now=now)
            if fields[:1] != [_JSON] and all(name.lower() != "content-type" for name, _ in fields):
                fields = [*fields, _JSON]
            job.headers = header_lines(fields) + callback_lines(dues, body, secrets, now) + lane.extra_lines
        except Exception:  # the top of this callback's way out: it can never be rendered, and must not stop the others
            if job.mates:
                self._part(lane, job)
                return
            self._log.exception("service.failed", service="outbox", callback_id=due.id)
            self._fail(job, now, None, CallbackState.GIVEN_UP, None, "cannot be rendered", counts=False)
            return
        job.dialect = dialect
        job.account = account
        job.url = due.url
        if dialect.most_at_once is not None and dialect.most_at_once < lane.bound:
            lane.bound_by(dialect.most_at_once)
        job.policy = lane.policy(caller)
        job.tls = lane.tls
        job.connections = lane.most
        job.timeout_s = standard.TIMEOUT_S if lane.standard else dialect.callback_timeout_s
        job.started = True
        lane.in_flight += 1
        self._in_flight += 1
        self.attempts += 1
        second = now // 1000
        if lane.second != second:
            lane.second, lane.begun = second, 0
        lane.begun += 1
        self._client.start(job, self._on_done)

    def _part(self, lane: Lane, job: Job) -> None:
        """One of them spoils the call: each goes by itself, at its turn."""
        jobs = [job, *job.mates]
        job.mates = ()
        for one in jobs:
            one.due = one.due._replace(bundle=one.due.id)
        lane.waiting.extendleft(reversed(jobs))

    def _on_done(self, job: PostRequest, result: PostResult) -> None:
        assert isinstance(job, Job)
        lane, now = job.lane, self._clock.now()
        lane.in_flight -= 1
        self._in_flight -= 1
        if result.elapsed_ms < self._limits.slow_ms:
            lane.slow_in_row = 0
        else:
            lane.slow_in_row += 1
            if lane.slow_in_row == SLOW_IN_ROW:
                self._trim(lane, self._board.most_waiting(lane, len(self._ids)))
        if job.over:
            pass  # settled already, when its message ended
        elif result.failure is PostFailure.STOPPED:
            for one in (job, *job.mates):
                self._ids.discard(one.due.id)
                self._release(one)
        else:
            self._judge(job, result, now)
        if lane.waiting and not lane.listed:
            self._list(lane)
        self._start_posts(now)
        if not self._open:
            self._rest.set()

    def _judge(self, job: Job, result: PostResult, now: int) -> None:
        """Let the dialect, or the standard profile, say what the answer means, and write that down."""
        due, lane = job.due, job.lane
        answered, failure, detail, body, headers, elapsed_ms, _ = result
        failed_at = due.first_failed_at
        if elapsed_ms >= NOTICED_MS and due.first_failed_at is None:
            due = job.due = due._replace(first_failed_at=now - elapsed_ms)  # schedules count from the first try's begin
        status = answered if failure is None else None
        retry_after_s = retry_after(headers[b"retry-after"], now) if b"retry-after" in headers else None
        if lane.standard:
            decision = standard.judge(due, status, retry_after_s, now)
        else:
            decision = job.dialect.judge(due, job.account, status, body, retry_after_s, now)
        self._board.touched.add(lane)
        if decision.slower:
            lane.halve_pace(self._clock.monotonic(), elapsed_ms / 1000)
        elif status == TOO_MANY_REQUESTS:
            self._pause(lane, lane.slow_down(retry_after_s))
        elif decision.done and lane.limit < lane.most:
            lane.speed_up()
        if decision.done:
            self.delivered += 1 + len(job.mates)
            attempt = None
            if due.attempts or failed_at is not None:
                attempt = attempt_of(now, status, None, elapsed_ms, _lines(job), job.body, body)
            done = CallbackResult(due.id, CallbackState.DONE, now, None, failed_at, status, None, elapsed_ms)
            self._write_down(job, done if attempt is None else done._replace(attempt=attempt))
            if lane.note_ok(now):
                self._tell_health(now)
                self._wake.set()
            return
        error = f"HTTP {status}" if failure is None else f"{failure.value}: {detail}"
        if failure is PostFailure.FORBIDDEN:
            self._log.warning("callback.forbidden", callback_id=due.id, error=detail)
        retry_at = None if failure in NEVER_RIGHT else decision.retry_at
        state = CallbackState.GIVEN_UP if retry_at is None else CallbackState.PENDING
        attempt = attempt_of(now, status, error, elapsed_ms, _lines(job), job.body, body)
        self._fail(job, now, status, state, retry_at, error, elapsed_ms, counts=decision.counts, attempt=attempt)
        if failure not in NEVER_RIGHT:
            blamed = not due.url.startswith(RELAY_URL)  # that nobody listens is nobody's fault
            self._note_failure(lane, decision, error, now, blamed=blamed)

    def _note_failure(self, lane: Lane, decision: RetryDecision, error: str, now: int, *, blamed: bool) -> None:
        """The endpoint's part in it: its breaker may open, or it is to be disabled. Then nothing waits here."""
        held = decision.counts and lane.note_failure(now, error, blamed=blamed)
        if decision.gone and lane.disabled_at is None:
            lane.disable(now, DisabledWhy.GONE, "it answered 410 Gone")
            held = True
        if held:
            self._board.spill(lane)
            self._trim(lane, 0)
            self._tell_health(now)

    def _pause(self, lane: Lane, pause_s: float) -> None:
        """Its next post waits so long."""
        if pause_s and not lane.paused_until:
            lane.paused_until = self._clock.monotonic() + pause_s
            asyncio.get_running_loop().call_later(pause_s, self._resume, lane)

    def _resume(self, lane: Lane) -> None:
        lane.paused_until = 0.0
        if not lane.listed:
            self._list(lane)
        self._start_posts(self._clock.now())

    def _fail(
        self,
        job: Job,
        now: int,
        status_code: int | None,
        state: CallbackState,
        next_at: int | None,
        error: str,
        elapsed_ms: int = 0,
        *,
        counts: bool = True,
        attempt: Attempt | None = None,
    ) -> None:
        """Write down an attempt that came to nothing, or that could not be made."""
        due = job.due
        first_failed_at = now if due.first_failed_at is None else due.first_failed_at
        bundle = due.id if job.mates and due.bundle is None else due.bundle
        for one in (job, *job.mates):
            self._tell_failure(one.due, state, next_at, error)
        head = (due.id, state, now, next_at, first_failed_at, status_code, error, elapsed_ms)
        self._write_down(job, CallbackResult(*head, counts, bundle, attempt))

    def _write_down(self, job: Job, result: CallbackResult) -> None:
        """Keep what came of an attempt until it is stored, and let the next callback of the same message go."""
        self._results.add(result)
        self._release(job)
        if job.mates and result.attempt is not None:  # the body is kept once
            result = result._replace(attempt=result.attempt._replace(body=""))
        for mate in job.mates:
            self._results.add(result._replace(id=mate.due.id))
            self._release(mate)

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

    def _release(self, job: Job) -> None:
        """It has ended: the next one with its key may go."""
        later = job.later
        if later:
            following = self._first[job.key] = later.pop(0)
            following.later = later or None
            self._queue(following)
        elif self._first.get(job.key) is job:
            del self._first[job.key]

    def _on_caller(self, lanes: Sequence[Lane]) -> None:
        """Their account is known: they come back into the round."""
        for lane in lanes:
            self._list(lane)
        self._start_posts(self._clock.now())

    def _tell_health(self, now: int) -> None:
        seen = self._board.health(now)
        for one in seen:
            if one.told:
                self._log.warning(
                    "endpoint.state",
                    endpoint=one.public_id,
                    account_id=one.account_id,
                    state=str(one.state),
                    error=one.last_error,
                )
        self._results.tell(seen)

    def _on_stored(self, ids: Sequence[int]) -> None:
        self._ids.difference_update(ids)
        if self._starved and len(self._ids) < self._limits.in_hand // 2:
            self._starved = False
            self._wake.set()
        self._rest.set()

    # --- time ---------------------------------------------------------------------------------------------------------

    async def _look_regularly(self) -> None:
        """Claim what nobody handed over: retries that fall due, and what found no room; go on with replays."""
        look_at_s = self._clock.monotonic()
        while True:
            try:
                if self._clock.monotonic() >= look_at_s:
                    look_at_s = self._clock.monotonic() + self._limits.poll_s
                    look_at_s = self._clock.monotonic() + await self._look(self._clock.now())
                await self._claim_ready()
            except StoreUnavailable:
                pass  # the store says so itself; what is due stays due
            except Exception:  # the top of this service: the next look comes all the same
                self._log.exception("service.failed", service="outbox")
            try:
                async with asyncio.timeout(max(0.0, look_at_s - self._clock.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                look_at_s = self._clock.monotonic()
            self._wake.clear()

    async def _look(self, now: int) -> float:
        """See what changed and what is due; returns the seconds until the next look."""
        board = self._board
        self._tell_health(now)
        for lane in board.turn_pages(await self._store.changed_endpoints(board.changed_since)):
            board.spill(lane)
            self._trim(lane, 0)
        await self._store.step_replays(now)
        wait_s = SOONEST_S if await self._move(now) else self._limits.poll_s
        for one in await self._store.due_endpoints(now):
            if one.next_at <= now:
                board.ready.add(one.endpoint)
            else:
                wait_s = min(wait_s, (one.next_at - now) / 1000)
        return max(wait_s, SOONEST_S)

    async def _move(self, now: int) -> bool:
        """Go on moving what waits for an account's old URL to its new one; whether there is more to move at once."""
        for _ in range(MOVES_PER_LOOK):
            step = await self._store.step_moves(now)
            for endpoint in step.begun:
                lane = self._board.lanes.get(endpoint)
                if lane is not None:
                    self._board.spill(lane)
                    self._trim(lane, 0)
            if not step.more:
                return False
        return True

    async def _claim_ready(self) -> None:
        """Claim from the endpoints that have something due, in fair shares, until nobody has room or anything left."""
        while self._open and (room := self.room()) > 0:
            now = self._clock.now()
            wants = choose(self._board.candidates(len(self._ids), now), room)
            if not wants:
                return
            claimed = await self._store.claim_callbacks(now, wants)
            counts: dict[int, int] = {}
            for due in claimed:
                counts[due.endpoint] = counts.get(due.endpoint, 0) + 1
            self.take(claimed)
            for want in wants:
                lane = self._board.claimed(want.endpoint, drained=counts.get(want.endpoint, 0) < want.limit)
                if lane is not None and not lane.listed:
                    self._list(lane)
            self._start_posts(self._clock.now())


def _lines(job: Job) -> bytes:
    assert isinstance(job.headers, bytes)
    return job.headers
