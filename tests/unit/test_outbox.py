"""The callback sender, against a scripted store, client and dialect."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import PostFailure, PostRequest, PostResult
from kvitto.callbacks.signing import callback_lines
from kvitto.callbacks.untold import NOT_CHOSEN
from kvitto.core.endpoint import Endpoint, EndpointHealth, endpoint_number
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Account, CallbackDue, CallbackResult, CallbackState, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dialects.base import RetryDecision
from kvitto.store.callbackapi import EndpointDue, MoveStep, Want
from tests.support.clock import FakeClock
from tests.support.rig import eventually
from tests.support.scripted import settle

ACCOUNT = Account(id="A", name="acme", service_plan_id="p", username="u", callback_secret="s")
URL = "http://sink.example/a"


def due(id: int, *, url: str = URL, account: str = "A", message: str = "", **changes: Any) -> CallbackDue:
    view = MessageView(
        id=message or f"m{id}",
        batch_id="b",
        account_id=account,
        recipient="46701234567",
        status=Status.DELIVERED,
        reason=Reason.DELIVERED,
        since_at=0,
        done_at=None,
        error=NO_ERROR,
        parts=1,
        notes=Note.NONE,
        created_at=0,
        client_reference=None,
        kind=ContentKind.TEXT,
        max_parts=None,
    )
    one = CallbackDue(id, account, "test", url, view, False, 0, 0, None, endpoint=endpoint_number(account, url))
    return one._replace(**changes)


class ScriptedDialect:
    """Everything but 2xx is tried again after five seconds; 400 never."""

    callback_timeout_s = 7.0
    supersedes = False
    most_per_callback = 1
    most_at_once: int | None = None

    def __init__(self) -> None:
        self.judged: list[tuple[int | None, float | None]] = []
        self.breaks_on: set[int] = set()
        self.hushes: set[int] = set()

    def tells(self, due: CallbackDue, account: Account) -> bool:
        return due.id not in self.hushes

    def render(self, dues: Sequence[CallbackDue], account: Account) -> bytes:
        if self.breaks_on & {due.id for due in dues}:
            raise ValueError("cannot")
        return b"".join(b"{%d}" % due.id for due in dues)

    def together(self, due: CallbackDue) -> str:
        return due.url

    def headers(
        self, due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
    ) -> list[tuple[str, str]]:
        return [("X-Signed", f"{secret}.{len(nonce)}.{now}")]

    def judge(
        self,
        due: CallbackDue,
        account: Account,
        status_code: int | None,
        body: bytes,
        retry_after_s: float | None,
        now: int,
    ) -> RetryDecision:
        self.judged.append((status_code, retry_after_s))
        if status_code is not None and 200 <= status_code < 300:
            return RetryDecision(True, None)
        return RetryDecision(False, None if status_code == 400 else now + 5_000)


class ScriptedClient:
    """Keeps what is started until the test says what became of it."""

    def __init__(self) -> None:
        self.open: list[tuple[PostRequest, Any]] = []
        self.started: list[PostRequest] = []
        self.most_open = 0

    def start(self, request: PostRequest, on_done: Any) -> None:
        self.open.append((request, on_done))
        self.most_open = max(self.most_open, len(self.open))
        self.started.append(request)

    def finish(self, body: bytes | None = None, result: PostResult | None = None) -> None:
        """End one post: the oldest, or the one with this body."""
        index = 0 if body is None else next(i for i, (request, _) in enumerate(self.open) if request.body == body)
        request, on_done = self.open.pop(index)
        on_done(request, result or PostResult(200, elapsed_ms=3))

    def bodies(self) -> list[bytes]:
        return [request.body for request in self.started]


class ScriptedStore:
    def __init__(self) -> None:
        self.recorded: list[list[CallbackResult]] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.held = False
        self.away = False
        self.pending: list[CallbackDue] = []
        self.next_at: int | None = None
        self.taker: Any = None
        self.claims: list[int] = []
        self.stumbles_on: set[int] = set()
        self.book: dict[int, Endpoint] = {}
        self.seen: list[EndpointHealth] = []
        self.given_back: list[int] = []
        self.moves: list[MoveStep] = []

    def set_callback_handoff(self, taker: Any) -> None:
        self.taker = taker

    def record_attempts(self, results: Sequence[CallbackResult]) -> "asyncio.Future[None]":
        future = asyncio.get_running_loop().create_future()
        if self.away:
            future.set_exception(StoreUnavailable("away"))
        elif self.stumbles_on & {result.id for result in results}:
            future.set_exception(RuntimeError("stumbled"))
        else:
            self.recorded.append(list(results))
            if self.held:
                self.waiting.append(future)
            else:
                future.set_result(None)
        return future

    def release(self) -> None:
        for future in self.waiting:
            future.set_result(None)
        self.waiting.clear()

    def claim_callbacks(self, now: int, wants: Sequence[Want]) -> "asyncio.Future[list[CallbackDue]]":
        self.claims.append(sum(want.limit for want in wants))
        found: list[CallbackDue] = []
        for want in wants:
            found += [one for one in self.pending if one.endpoint == want.endpoint][: want.limit]
        self.pending = [one for one in self.pending if one not in found]
        return self._done(found)

    def _done(self, result: Any) -> "asyncio.Future[Any]":
        future = asyncio.get_running_loop().create_future()
        future.set_result(result)
        return future

    async def due_endpoints(self, now: int) -> list[EndpointDue]:
        if self.next_at is None:
            return []
        return [EndpointDue(number, self.next_at) for number in dict.fromkeys(one.endpoint for one in self.pending)]

    async def changed_endpoints(self, since: int) -> list[Endpoint]:
        return [one for one in self.book.values() if one.changed_at >= since]

    async def step_moves(self, now: int) -> MoveStep:
        return self.moves.pop(0) if self.moves else MoveStep(more=False, begun=frozenset())

    async def step_replays(self, now: int) -> int:
        return 0

    def record_endpoints(self, seen: Sequence[EndpointHealth]) -> "asyncio.Future[None]":
        self.seen.extend(seen)
        return self._done(None)

    def release_callbacks(self, ids: Sequence[int], now: int) -> "asyncio.Future[None]":
        self.given_back.extend(ids)
        return self._done(None)

    def results(self) -> list[CallbackResult]:
        return [result for group in self.recorded for result in group]


class Bench:
    def __init__(self, clock: FakeClock, **limits: Any) -> None:
        self.clock = clock
        self.store = ScriptedStore()
        self.client = ScriptedClient()
        self.dialect = ScriptedDialect()
        self.dialects: dict[str, Any] = {"test": self.dialect}
        self.accounts: dict[str, Account | None] = {"A": ACCOUNT, "B": ACCOUNT}
        self.lookups = 0
        self.outbox = Outbox(
            cast("Any", self.store),
            self.client,
            self.dialects,
            self.look_up,
            clock,
            limits=OutboxLimits(**limits),
        )

    async def look_up(self, account_id: str) -> Account | None:
        self.lookups += 1
        return self.accounts.get(account_id)

    async def take(self, *callbacks: CallbackDue) -> None:
        self.outbox.take(list(callbacks))
        await settle(10)

    async def finish(self, body: bytes | None = None, result: PostResult | None = None) -> None:
        self.client.finish(body, result)
        await settle()


@pytest.fixture
async def make(clock: FakeClock):
    benches: list[Bench] = []

    def _make(**limits: Any) -> Bench:
        bench = Bench(clock, **{"stop_s": 0.01, **limits})
        benches.append(bench)
        bench.outbox.start()
        return bench

    yield _make
    for bench in benches:
        await bench.outbox.stop()


async def test_a_callback_is_posted_with_the_dialects_body_headers_and_time(make, clock):
    bench = make()
    await bench.take(due(1))
    (request,) = bench.client.started
    assert (request.url, request.body, request.timeout_s) == (URL, b"{1}", 7.0)
    own = b"X-Signed: s.32.%d\r\nContent-Type: application/json\r\n" % clock.now()
    assert request.headers == own + callback_lines((request.due,), b"{1}", ("s",), clock.now())
    await bench.finish()
    assert bench.store.results() == [CallbackResult(1, CallbackState.DONE, clock.now(), None, None, 200, None, 3)]


async def test_a_failed_attempt_is_stored_with_its_next_time_and_when_it_first_failed(make, clock):
    bench = make()
    await bench.take(due(1), due(2, first_failed_at=77, attempts=3))
    await bench.finish(b"{1}", PostResult(503, elapsed_ms=9))
    await bench.finish(b"{2}", PostResult(None, PostFailure.CONNECT, "refused"))
    first, second = bench.store.results()
    assert first._replace(attempt=None) == CallbackResult(
        1, CallbackState.PENDING, clock.now(), clock.now() + 5_000, clock.now(), 503, "HTTP 503", 9
    )
    assert (second.state, second.first_failed_at, second.status_code) == (CallbackState.PENDING, 77, None)
    assert second.error == "connect: refused"


async def test_half_an_answer_is_no_answer(make):
    bench = make()
    await bench.take(due(1))
    await bench.finish(None, PostResult(200, PostFailure.CLOSED, "cut"))
    assert bench.dialect.judged == [(None, None)]
    assert bench.store.results()[0].state is CallbackState.PENDING


async def test_a_final_refusal_gives_up(make):
    bench = make()
    await bench.take(due(1))
    await bench.finish(None, PostResult(400))
    assert bench.store.results()[0].state is CallbackState.GIVEN_UP
    assert bench.outbox.given_up == 1


@pytest.mark.parametrize("failure", [PostFailure.BAD_URL, PostFailure.BAD_REQUEST])
async def test_what_can_never_be_posted_gives_up_at_once(make, failure: PostFailure):
    bench = make()
    await bench.take(due(1))
    await bench.finish(None, PostResult(None, failure, "wrong"))
    assert bench.store.results()[0].state is CallbackState.GIVEN_UP


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"120", 120.0), (b"Mon, 09 Mar 2026 14:06:00 GMT", 60.0), (b"soon", None), (b"", None)],
)
async def test_retry_after_is_read_in_both_its_forms(make, value: bytes, seconds: float | None):
    bench = make()
    await bench.take(due(1))
    await bench.finish(None, PostResult(503, headers={b"retry-after": value}))
    assert bench.dialect.judged == [(503, seconds)]


async def test_p12_an_endpoint_holds_only_its_own_slots(make):
    bench = make(per_endpoint=2)
    await bench.take(*[due(n) for n in range(1, 6)], due(6, url="http://other.example/"), due(7, account="B"))
    assert sorted(bench.client.bodies()) == [b"{1}", b"{2}", b"{6}", b"{7}"]
    await bench.finish(b"{1}")
    assert bench.client.bodies()[-1] == b"{3}"


async def test_endpoints_take_turns(make):
    bench = make(in_flight=2)
    await bench.take(*[due(n) for n in range(1, 5)], *[due(n, url="http://other.example/") for n in range(5, 8)])
    for _ in range(5):
        await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{5}", b"{2}", b"{6}", b"{3}", b"{7}", b"{4}"]


async def test_p15_a_callback_waits_for_an_earlier_one_of_the_same_message(make):
    bench = make()
    await bench.take(due(1, message="m"), due(2, message="m"), due(3, message="m"), due(4))
    assert bench.client.bodies() == [b"{1}", b"{4}"]
    await bench.finish(b"{4}")
    assert bench.client.bodies() == [b"{1}", b"{4}"]
    await bench.finish(b"{1}")
    await bench.finish(b"{2}", PostResult(503))
    assert bench.client.bodies() == [b"{1}", b"{4}", b"{2}", b"{3}"]


async def test_results_are_stored_in_groups_one_group_at_a_time(make):
    bench = make()
    bench.store.held = True
    await bench.take(*[due(n) for n in range(1, 6)])
    bench.client.finish()
    bench.client.finish()
    await settle()
    assert [[result.id for result in group] for group in bench.store.recorded] == [[1, 2]]
    for _ in range(3):
        await bench.finish()
    assert len(bench.store.recorded) == 1
    bench.store.release()
    await settle()
    assert [[result.id for result in group] for group in bench.store.recorded] == [[1, 2], [3, 4, 5]]


async def test_room_counts_what_is_in_hand_until_its_result_is_stored(make):
    bench = make(in_hand=3)
    bench.store.held = True
    assert bench.store.taker is bench.outbox
    await bench.take(due(1), due(2))
    assert bench.outbox.room() == 1
    await bench.finish()
    assert bench.outbox.room() == 1
    bench.store.release()
    await settle()
    assert bench.outbox.room() == 2


async def test_a_callback_that_is_in_hand_is_not_taken_twice(make):
    bench = make()
    await bench.take(due(1))
    await bench.take(due(1))
    assert bench.client.bodies() == [b"{1}"]


async def test_results_are_kept_while_the_store_is_away_and_stored_once(make, monkeypatch):
    monkeypatch.setattr("kvitto.callbacks.results.STORE_PAUSE_S", 0.01)
    bench = make()
    bench.store.away = True
    await bench.take(due(1))
    await bench.finish()
    assert bench.store.recorded == []
    bench.store.away = False
    await eventually(lambda: bench.store.recorded)
    assert [result.id for result in bench.store.results()] == [1]
    assert len(bench.client.started) == 1


async def test_a_result_that_the_store_stumbles_over_does_not_take_its_neighbours_along(make):
    bench = make()
    bench.store.stumbles_on = {2}
    await bench.take(due(1), due(2), due(3))
    for _ in range(3):
        bench.client.finish()
    await settle(20)
    assert sorted(result.id for result in bench.store.results()) == [1, 3]
    assert bench.outbox.room() == OutboxLimits().in_hand


async def test_due_callbacks_are_claimed_by_the_poll_as_far_as_there_is_room(clock):
    bench = Bench(clock, in_hand=2)
    bench.store.next_at = clock.now()
    bench.store.pending = [due(1), due(2), due(3)]
    bench.outbox.start()
    await settle(20)
    assert bench.client.bodies() == [b"{1}", b"{2}"]
    assert bench.store.claims == [2]
    await bench.finish()
    await bench.finish()
    await settle(20)
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{3}"]
    await bench.finish()
    await bench.outbox.stop()


async def test_nothing_is_claimed_before_it_is_due(clock):
    bench = Bench(clock)
    bench.store.next_at = clock.now() + 1
    bench.outbox.start()
    await settle()
    assert bench.store.claims == []
    await bench.outbox.stop()


async def test_an_account_is_looked_up_once_a_second_and_used_as_it_then_is(make, clock):
    bench = make()
    await bench.take(due(1), due(2), due(3, url="http://other.example/"))
    assert bench.lookups == 1
    bench.accounts["A"] = None
    clock.advance(1.1)
    await bench.take(due(4))
    assert bench.lookups == 2
    assert bench.store.results()[-1].state is CallbackState.GIVEN_UP
    assert bench.store.results()[-1].id == 4


async def test_the_accounts_allow_list_goes_with_the_post(make):
    bench = make()
    bench.accounts["A"] = Account(
        id="A", name="n", service_plan_id="p", username="u", allow_callbacks_to=("10.1.0.0/16",)
    )
    await bench.take(due(1))
    policy = bench.client.started[0].policy
    assert policy.permits("10.1.2.3")
    assert not policy.permits("127.0.0.1")


async def test_an_account_that_cannot_be_looked_up_now_keeps_its_callbacks_waiting(clock, monkeypatch):
    monkeypatch.setattr("kvitto.callbacks.callers.STORE_PAUSE_S", 0.0)
    bench = Bench(clock)
    failures = [StoreUnavailable("away"), StoreUnavailable("away")]

    async def look_up(account_id: str) -> Account | None:
        if failures:
            raise failures.pop()
        return ACCOUNT

    bench.outbox._callers.find = look_up
    bench.outbox.start()
    await bench.take(due(1))
    await settle(20)
    assert bench.client.bodies() == [b"{1}"]
    await bench.finish()
    await bench.outbox.stop()


async def test_a_callback_that_cannot_be_rendered_ends_and_does_not_stop_the_others(make):
    bench = make()
    bench.dialect.breaks_on = {1}
    await bench.take(due(1), due(2))
    assert bench.client.bodies() == [b"{2}"]
    assert [(result.id, result.state) for result in bench.store.results()] == [(1, CallbackState.GIVEN_UP)]


async def test_what_the_dialect_does_not_tell_is_done_without_a_call(make):
    bench = make()
    bench.dialect.hushes = {1}
    await bench.take(due(1), due(2))
    assert bench.client.bodies() == [b"{2}"]
    assert [(result.id, result.state) for result in bench.store.results()] == [(1, CallbackState.DONE)]


async def test_only_statuses_that_the_account_has_chosen_are_told_alone_or_together(make):
    bench = bundling(make)
    bench.accounts["A"] = replace(ACCOUNT, callback_statuses=(Status.DISPATCHED, Status.FAILED))
    await bench.take(due(1), on_the_way(2), due(3), on_the_way(4))
    await bench.finish()
    assert bench.client.bodies() == [b"{2}{4}"]
    untold = [(one.id, one.state, one.error, one.counts) for one in bench.store.results() if one.error]
    assert untold == [(1, CallbackState.DONE, NOT_CHOSEN, False), (3, CallbackState.DONE, NOT_CHOSEN, False)]


async def test_what_waits_in_hand_goes_back_when_its_accounts_url_becomes_another(make):
    bench = make(per_endpoint=1, poll_s=0.01)
    one, elsewhere = due(1), due(3, url="http://other.example/")
    await bench.take(one, due(2), elsewhere)
    bench.store.moves = [MoveStep(more=True, begun=frozenset({one.endpoint})), MoveStep(more=False, begun=frozenset())]
    await eventually(lambda: bench.store.given_back)
    assert bench.store.given_back == [2], "the first is being posted, the third goes elsewhere"
    assert bench.client.bodies() == [b"{1}", b"{3}"]


async def test_a_long_move_lets_others_be_claimed_between_its_steps(clock, monkeypatch):
    bench = Bench(clock, stop_s=0.01)
    bench.store.moves = [MoveStep(more=True, begun=frozenset())] * 25
    bench.store.pending, bench.store.next_at = [due(1)], clock.now()
    left: list[int] = []
    claim = bench.store.claim_callbacks

    def counted(now: int, wants: Any) -> Any:
        left.append(len(bench.store.moves))
        return claim(now, wants)

    monkeypatch.setattr(bench.store, "claim_callbacks", counted)
    bench.outbox.start()
    await eventually(lambda: bench.client.started)
    await bench.outbox.stop()
    assert left[0] == 15, "ten steps at a time"


async def test_a_callback_of_an_unknown_dialect_waits_for_a_version_that_knows_it(make, clock):
    bench = make()
    await bench.take(due(1, dialect="telex"))
    (result,) = bench.store.results()
    assert (result.state, result.next_attempt_at) == (CallbackState.PENDING, clock.now() + 3_600_000)


async def test_429_silences_the_endpoint_and_halves_it_while_others_go_on(make):
    bench = make(per_endpoint=4)
    await bench.take(*[due(n) for n in range(1, 9)])
    await bench.finish(b"{1}", PostResult(429, headers={b"retry-after": b"30"}))
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{3}", b"{4}"]
    await bench.take(due(20, url="http://other.example/"))
    assert bench.client.bodies()[-1] == b"{20}"
    endpoint = bench.outbox._board.lanes[endpoint_number("A", URL)]
    assert endpoint.limit == 2
    bench.outbox._resume(endpoint)
    assert len(bench.client.open) == 4  # three of before, and the other's; none new above the halved limit
    await bench.finish(b"{2}")
    await bench.finish(b"{3}")
    assert bench.client.bodies()[-1] in {b"{5}", b"{6}"}


async def test_p12_a_hanging_endpoint_cannot_fill_the_memory(make):
    bench = make(per_endpoint=8, slow_waiting=3)
    await bench.take(*[due(n) for n in range(1, 9)])
    for n in range(1, 9):
        await bench.finish(b"{%d}" % n, PostResult(None, PostFailure.TIMEOUT, "", elapsed_ms=10_000))
    await bench.take(*[due(n) for n in range(100, 200)])
    assert len(bench.client.open) == 8
    assert bench.outbox.forgotten == 89
    assert bench.outbox.room() == OutboxLimits().in_hand - 11


async def test_p12_what_waited_for_an_endpoint_that_begins_to_hang_gives_up_its_place(make):
    bench = make(per_endpoint=8, slow_waiting=3)
    await bench.take(*[due(n) for n in range(1, 100)])
    for n in range(1, 9):
        await bench.finish(b"{%d}" % n, PostResult(None, PostFailure.TIMEOUT, "", elapsed_ms=10_000))
    assert bench.outbox.room() == OutboxLimits().in_hand - len(bench.client.open) - 3
    await bench.finish(None, PostResult(200, elapsed_ms=5))
    await bench.take(*[due(n) for n in range(200, 300)])
    assert bench.outbox.room() < OutboxLimits().in_hand - 100


async def test_p28_a_stop_lets_posts_in_flight_finish_and_stores_their_results(clock):
    bench = Bench(clock, per_endpoint=1, stop_s=5.0)
    bench.outbox.start()
    await bench.take(due(1), due(2))
    stopping = asyncio.create_task(bench.outbox.stop())
    await settle()
    assert not stopping.done()
    assert bench.outbox.room() == 0
    assert bench.store.taker is None
    bench.outbox.take([due(3)])
    await bench.finish()
    await stopping
    assert [result.id for result in bench.store.results()] == [1]
    assert bench.client.bodies() == [b"{1}"]
    await bench.outbox.stop()


async def test_what_the_clients_own_stop_cut_is_not_an_attempt(make):
    bench = make()
    await bench.take(due(1))
    await bench.finish(None, PostResult(None, PostFailure.STOPPED, "stopped"))
    assert bench.store.results() == []
    assert bench.outbox.room() == OutboxLimits().in_hand


# --- docs/dialects/ninebits.md 5.2, 5.4: what is overtaken, what is not told, what is only put off


def on_the_way(id: int, **changes: Any) -> CallbackDue:
    one = due(id, **changes)
    assert isinstance(one.facts, MessageView)
    return one._replace(facts=one.facts._replace(status=Status.DISPATCHED, reason=Reason.ACCEPTED))


async def test_n5_2_an_end_goes_out_at_once_while_the_change_before_it_hangs(make):
    bench = make()
    bench.dialect.supersedes = True
    await bench.take(on_the_way(1, message="m"))
    await bench.take(due(2, message="m"))
    assert bench.client.bodies() == [b"{1}"], "the change has a head start"
    await eventually(lambda: len(bench.client.started) == 2)
    assert bench.client.bodies() == [b"{1}", b"{2}"]
    await settle()
    (dropped,) = bench.store.results()
    assert (dropped.id, dropped.state, dropped.counts, dropped.status_code) == (1, CallbackState.DONE, False, None)
    await bench.finish(b"{1}", PostResult(None, PostFailure.TIMEOUT, elapsed_ms=10_000))
    await bench.finish(b"{2}")
    assert [result.id for result in bench.store.results()] == [1, 2], "what became of the first changes nothing"
    assert bench.outbox.in_hand == 0


async def test_p15_an_end_goes_after_the_change_before_it_when_that_is_answered_soon(make, monkeypatch):
    monkeypatch.setattr("kvitto.callbacks.outbox.HEAD_START_S", 0.01)
    bench = make()
    bench.dialect.supersedes = True
    await bench.take(on_the_way(1, message="m"))
    await bench.take(due(2, message="m"), due(3, message="m"))
    await bench.finish(b"{1}")
    assert bench.client.bodies() == [b"{1}", b"{2}"]
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, passed.set)  # behind the head start's timer
    await passed.wait()
    assert bench.client.bodies() == [b"{1}", b"{2}"], "the head start that has passed changes nothing"
    await bench.finish(b"{2}")
    await bench.finish(b"{3}")
    assert [(one.id, one.status_code) for one in bench.store.results()] == [(1, 200), (2, 200), (3, 200)]
    assert bench.outbox.in_hand == 0


async def test_n5_2_what_waits_behind_an_end_keeps_its_turn_when_the_end_goes_first(make, monkeypatch):
    monkeypatch.setattr("kvitto.callbacks.outbox.HEAD_START_S", 0.01)
    bench = make()
    bench.dialect.supersedes = True
    await bench.take(on_the_way(1, message="m"))
    await bench.take(due(2, message="m"), due(3, message="m"))
    await eventually(lambda: len(bench.client.started) == 2)
    await bench.finish(b"{1}")
    assert bench.client.bodies() == [b"{1}", b"{2}"]
    await bench.finish(b"{2}")
    await bench.finish(b"{3}")
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{3}"]
    assert bench.outbox.in_hand == 0


@pytest.mark.parametrize(("chosen", "told"), [((Status.DISPATCHED,), b"{1}"), ((Status.DELIVERED,), b"{2}")])
async def test_a_change_is_not_dropped_for_an_end_that_the_account_has_not_chosen(make, chosen, told):
    bench = make(per_endpoint=1)
    bench.dialect.supersedes = True
    bench.accounts["A"] = replace(ACCOUNT, callback_statuses=chosen)
    await bench.take(due(9)._replace(facts=on_the_way(9).facts if chosen[0] is Status.DISPATCHED else due(9).facts))
    await bench.take(on_the_way(1, message="m"), due(2, message="m"))
    await bench.finish(b"{9}")
    await bench.finish(told)
    assert bench.client.bodies() == [b"{9}", told]
    assert bench.outbox.in_hand == 0


async def test_a_retry_of_a_change_is_made_for_an_account_that_hears_of_no_end(make):
    bench = make()
    bench.dialect.supersedes = True
    bench.accounts["A"] = replace(ACCOUNT, callback_statuses=(Status.DISPATCHED,))
    await bench.take(on_the_way(1, attempts=2, first_failed_at=5, overtaken=True))
    assert bench.client.bodies() == [b"{1}"]


async def test_n5_2_a_change_that_waits_for_its_turn_is_not_posted_once_its_message_has_ended(make):
    bench = make(per_endpoint=1)
    bench.dialect.supersedes = True
    await bench.take(due(9), on_the_way(1, message="m"), due(2, message="m"), due(3))
    await bench.finish(b"{9}")
    await bench.finish(b"{2}")
    await bench.finish(b"{3}")
    assert bench.client.bodies() == [b"{9}", b"{2}", b"{3}"]
    assert bench.outbox.in_hand == 0


async def test_n5_2_an_end_waits_for_another_end_of_the_same_message(make):
    bench = make()
    bench.dialect.supersedes = True
    await bench.take(due(1, message="m"), due(2, message="m"), due(3, message="m"))
    assert bench.client.bodies() == [b"{1}"]
    await bench.finish()
    await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{3}"]


async def test_a_dialect_that_tells_every_change_drops_none(make):
    bench = make()
    await bench.take(on_the_way(1, message="m"), due(2, message="m"))
    assert bench.client.bodies() == [b"{1}"]
    await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{2}"]


async def test_n5_2_a_retry_of_a_change_whose_message_has_ended_is_not_made(make):
    bench = make()
    bench.dialect.supersedes = True
    await bench.take(on_the_way(1, attempts=2, first_failed_at=5, overtaken=True))
    assert bench.client.bodies() == []
    (result,) = bench.store.results()
    assert (result.state, result.counts, result.first_failed_at) == (CallbackState.DONE, False, 5)
    assert bench.outbox.in_hand == 0


async def test_n5_2_what_the_account_does_not_want_is_done_without_a_call(make):
    bench = make()
    bench.dialect.hushes = {1}
    await bench.take(on_the_way(1, message="m"), due(2, message="m"))
    assert bench.client.bodies() == [b"{2}"]
    assert [(result.id, result.state, result.counts) for result in bench.store.results()] == [
        (1, CallbackState.DONE, False)
    ]


async def test_n5_4_a_try_that_was_only_put_off_does_not_count(make, clock, monkeypatch):
    bench = make()
    at = clock.now() + 7_000
    monkeypatch.setattr(bench.dialect, "judge", lambda *_: RetryDecision(False, at, counts=False, slower=True))
    await bench.take(due(1))
    await bench.finish(result=PostResult(429, elapsed_ms=3))
    (result,) = bench.store.results()
    assert (result.state, result.next_attempt_at, result.counts) == (CallbackState.PENDING, at, False)


async def test_n5_4_a_receiver_that_asks_for_less_gets_half_as_many_a_second(make, clock, monkeypatch):
    bench = make(per_endpoint=4)
    monkeypatch.setattr(
        bench.dialect, "judge", lambda *_: RetryDecision(False, clock.now() + 7_000, counts=False, slower=True)
    )
    await bench.take(*(due(number) for number in range(1, 7)))
    assert len(bench.client.started) == 4
    await bench.finish(result=PostResult(429, elapsed_ms=3))
    assert len(bench.client.started) == 5
    await bench.finish(result=PostResult(429, elapsed_ms=3))
    assert len(bench.client.started) == 5, "half of four a second: the next waits half a second"
    await eventually(lambda: len(bench.client.started) == 6)


async def test_the_schedule_counts_from_where_a_slow_first_try_began(make, clock):
    bench = make()
    await bench.take(due(1))
    await bench.finish(result=PostResult(None, PostFailure.TIMEOUT, elapsed_ms=7_000))
    (result,) = bench.store.results()
    assert result.first_failed_at == clock.now() - 7_000


# --- several in one call


def bundling(make, **limits: Any) -> Any:
    """A bench whose dialect takes three to a call, and which posts one at a time."""
    bench = make(per_endpoint=1, **limits)
    bench.dialect.most_per_callback = 3
    return bench


async def test_what_waits_for_one_url_shares_a_call(make):
    bench = bundling(make)
    other = URL + "/other"
    await bench.take(*(due(n) for n in range(1, 6)), due(6, url=other), due(7))
    assert bench.client.bodies() == [b"{1}{2}{3}"]
    await bench.finish()
    await bench.finish()
    await bench.finish()
    assert bench.client.bodies() == [b"{1}{2}{3}", b"{4}{5}{7}", b"{6}"]
    assert sorted(result.id for result in bench.store.results()) == [1, 2, 3, 4, 5, 6, 7]
    assert {(result.state, result.bundle) for result in bench.store.results()} == {(CallbackState.DONE, None)}
    assert bench.outbox.in_hand == 0
    assert bench.outbox.delivered == 7
    assert bench.outbox.attempts == 3


async def test_a_call_that_failed_keeps_together_and_goes_out_again_as_it_was(make, clock):
    bench = bundling(make)
    await bench.take(due(1), due(2))
    await bench.finish(result=PostResult(503, elapsed_ms=9))
    failed = bench.store.results()
    assert [(one.id, one.bundle, one.next_attempt_at) for one in failed] == [
        (1, 1, clock.now() + 5_000),
        (2, 1, clock.now() + 5_000),
    ]
    assert bench.outbox.postponed == 2
    again = [due(n, bundle=1, attempts=1, first_failed_at=clock.now()) for n in (1, 2)]
    await bench.take(due(9), again[0], due(8), again[1])
    await bench.finish()
    assert bench.client.bodies()[1:] == [b"{9}{8}", b"{1}{2}"]


async def test_one_that_failed_alone_stays_alone(make):
    bench = bundling(make)
    await bench.take(due(1, attempts=1), due(2), due(3, attempts=1), due(4))
    for _ in range(3):
        await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{2}{4}", b"{3}"]


async def test_p15_callbacks_of_one_message_never_share_a_call(make):
    bench = bundling(make)
    await bench.take(due(1, message="m"), due(2, message="m"), due(3))
    assert bench.client.bodies() == [b"{1}{3}"]
    await bench.finish()
    assert bench.client.bodies() == [b"{1}{3}", b"{2}"]


async def test_one_that_is_not_told_does_not_travel_with_others(make):
    bench = bundling(make)
    bench.dialect.hushes = {2}
    await bench.take(due(1), due(2), due(3))
    await bench.finish()
    assert bench.client.bodies() == [b"{1}{3}"]
    assert sorted(result.id for result in bench.store.results()) == [1, 2, 3]


async def test_one_that_cannot_be_rendered_does_not_take_its_mates_along(make):
    bench = bundling(make)
    bench.dialect.breaks_on = {2}
    await bench.take(due(1), due(2), due(3))
    await bench.finish()
    await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{3}"]
    states = {result.id: result.state for result in bench.store.results()}
    assert states == {1: CallbackState.DONE, 2: CallbackState.GIVEN_UP, 3: CallbackState.DONE}


async def test_a_call_that_was_stopped_gives_all_its_callbacks_back(make):
    bench = bundling(make)
    await bench.take(due(1), due(2))
    await bench.finish(result=PostResult(None, PostFailure.STOPPED, "stopped"))
    assert bench.store.results() == []
    assert bench.outbox.in_hand == 0
