"""The callback sender and its endpoints: breaker, probes, disabling, own settings, room, order (P12, P13, P15)."""

from dataclasses import replace

from kvitto.callbacks.post import PostFailure, PostResult
from kvitto.core.breaker import DISABLE_AFTER_MS, Breaker
from kvitto.core.endpoint import DisabledWhy, Endpoint, EndpointState, Profile, endpoint_number
from kvitto.core.model import CallbackState
from kvitto.core.relay import RELAY_URL
from kvitto.dialects.base import RetryDecision
from tests.support.rig import eventually
from tests.support.scripted import settle
from tests.unit.test_outbox import URL, Bench, ScriptedDialect, due, make, on_the_way

__all__ = ["make"]

NUMBER = endpoint_number("A", URL)


def endpoint(clock, **changes) -> Endpoint:
    return replace(
        Endpoint(id=NUMBER, account_id="A", origin="http://sink.example:80", changed_at=clock.now()), **changes
    )


async def fail(bench: Bench, count: int, status: int = 500) -> None:
    for _ in range(count):
        await bench.finish(None, PostResult(status, elapsed_ms=3))


async def looked(bench: Bench) -> None:
    """The outbox looks at the store once more."""
    await bench.outbox._look(bench.clock.now())
    await bench.outbox._claim_ready()
    await settle()


async def test_p13_ten_failures_open_the_breaker_and_nothing_waits_in_memory(make):
    bench = make()
    await bench.take(*[due(n) for n in range(1, 61)])
    await fail(bench, 10)
    health = bench.store.seen[-1]
    assert (health.state, health.told, health.moved) == (EndpointState.OPEN, "open", True)
    assert health.id in bench.outbox.full
    assert len(bench.client.open) == 15, "what was in flight goes on"
    assert sorted(bench.store.given_back) == list(range(26, 61)), "the rest waits in the store"
    assert len(bench.store.results()) == 10
    assert all(result.state is CallbackState.PENDING for result in bench.store.results())
    await fail(bench, 15)
    assert bench.outbox.in_hand == 0
    assert len(bench.client.started) == 25


async def test_p13_one_probe_goes_when_it_is_due_and_its_success_lets_everything_go(make, clock):
    bench = make()
    await bench.take(*[due(n) for n in range(1, 11)])
    await fail(bench, 10)
    bench.store.pending = [due(n) for n in range(11, 41)]
    bench.store.next_at = clock.now()
    await looked(bench)
    assert len(bench.client.started) == 10, "no probe before its time"
    clock.advance(30)
    await looked(bench)
    assert bench.client.bodies()[10:] == [b"{11}"], "one probe"
    await looked(bench)
    await fail(bench, 1)
    clock.advance(59)
    await looked(bench)
    assert len(bench.client.started) == 11
    clock.advance(1)
    await looked(bench)
    assert bench.client.bodies()[11:] == [b"{12}"]
    await bench.finish()
    await eventually(lambda: len(bench.client.started) == 12 + 16)
    while bench.client.open:
        await bench.finish()
    assert [health.told for health in bench.store.seen if health.told] == ["open", "closed"]
    assert NUMBER not in bench.outbox.full
    assert len(bench.client.started) == 40


async def test_p13_enabling_an_endpoint_closes_a_breaker_that_was_written_as_open(make, clock):
    bench = make()
    await bench.take(*[due(n) for n in range(1, 11)])
    await fail(bench, 10)
    await looked(bench)
    assert bench.store.seen[-1].state is EndpointState.OPEN
    bench.store.pending = [due(11), due(12)]
    bench.store.next_at = clock.now()
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.OPEN, concurrency=5)
    await looked(bench)
    assert len(bench.client.started) == 10, "other settings close nothing"
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.HEALTHY)
    await looked(bench)
    await looked(bench)
    assert bench.client.bodies()[10:] == [b"{11}", b"{12}"]


async def test_p13_who_enables_an_endpoint_while_its_breaker_opens_has_the_last_word(make, clock):
    """Both within one look at the store: the lane has not read of the enabling when it opens."""
    bench = make()
    await bench.take(*[due(n) for n in range(1, 11)])
    bench.store.book[NUMBER] = endpoint(clock, switches=1)
    clock.advance(0.3)
    await fail(bench, 10)
    health = bench.store.seen[-1]
    assert (health.state, health.switches) == (EndpointState.OPEN, 0), "a report that the store will not take"
    bench.store.pending = [due(11), due(12)]
    bench.store.next_at = clock.now()
    await looked(bench)
    await looked(bench)
    assert bench.client.bodies()[10:] == [b"{11}", b"{12}"]
    await fail(bench, 1)
    await looked(bench)
    health = bench.store.seen[-1]
    assert (health.state, health.switches) == (EndpointState.FAILING, 1)


async def test_p13_who_enables_an_endpoint_just_before_five_days_of_failing_are_over_has_the_last_word(make, clock):
    bench = make()
    breaker = Breaker((), clock.now() - DISABLE_AFTER_MS, clock.now() - 1, 900_000)
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.OPEN, breaker=breaker)
    await looked(bench)
    bench.store.pending = [due(1), due(2), due(3)]
    bench.store.next_at = clock.now()
    await looked(bench)
    enabled = endpoint(clock, switches=1)
    clock.advance(0.3)
    await fail(bench, 1)
    assert bench.store.seen[-1].state is EndpointState.DISABLED
    bench.store.book[NUMBER] = enabled
    await looked(bench)
    await looked(bench)
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{3}"]


async def test_p13_an_open_breaker_survives_a_restart(make, clock):
    bench = Bench(clock, stop_s=0.01)
    breaker = Breaker((), clock.now() - 1000, clock.now() + 30_000, 30_000)
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.OPEN, breaker=breaker)
    bench.store.pending = [due(1), due(2)]
    bench.store.next_at = clock.now()
    bench.outbox.start()
    await settle(10)
    assert bench.client.started == []
    assert NUMBER in bench.outbox.full
    clock.advance(30)
    await looked(bench)
    assert bench.client.bodies() == [b"{1}"]
    await bench.outbox.stop()


async def test_p13_after_five_days_of_failing_it_is_disabled_and_nothing_is_given_up(make, clock):
    bench = make()
    since = clock.now() - DISABLE_AFTER_MS
    breaker = Breaker((), since, clock.now() - 1, 900_000)
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.OPEN, breaker=breaker)
    await looked(bench)
    bench.store.pending = [due(1), due(2)]
    bench.store.next_at = clock.now()
    await looked(bench)
    await fail(bench, 1)
    health = bench.store.seen[-1]
    assert (health.state, health.disabled_why, health.told) == (EndpointState.DISABLED, "failing", "disabled")
    assert "five days" in health.detail
    assert [result.state for result in bench.store.results()] == [CallbackState.PENDING]
    clock.advance(3600)
    await looked(bench)
    assert len(bench.client.started) == 1


async def test_p13_what_an_operator_disables_posts_nothing_and_what_he_enables_goes_on(make, clock):
    bench = make(per_endpoint=2)
    await bench.take(*[due(n) for n in range(1, 6)])
    bench.store.book[NUMBER] = endpoint(
        clock, state=EndpointState.DISABLED, disabled_why=DisabledWhy.OPERATOR, disabled_at=clock.now()
    )
    await looked(bench)
    assert sorted(bench.store.given_back) == [3, 4, 5]
    await bench.finish()
    await bench.finish()
    assert len(bench.client.started) == 2
    assert NUMBER in bench.outbox.full
    clock.advance(1)
    bench.store.pending = [due(3), due(4), due(5)]
    bench.store.next_at = clock.now()
    await looked(bench)
    assert len(bench.client.started) == 2
    bench.store.book[NUMBER] = endpoint(clock, state=EndpointState.HEALTHY)
    await looked(bench)
    await looked(bench)
    assert bench.client.bodies()[2:] == [b"{3}", b"{4}"]


async def test_p11_under_the_standard_profile_410_disables_and_the_callback_is_kept(make, clock):
    bench = make()
    bench.store.book[NUMBER] = endpoint(clock, profile=Profile.STANDARD)
    await looked(bench)
    await bench.take(due(1))
    assert bench.client.started[0].timeout_s == 15.0
    await bench.finish(None, PostResult(410, elapsed_ms=3))
    (result,) = bench.store.results()
    assert (result.state, result.next_attempt_at) == (CallbackState.PENDING, clock.now() + 5_000)
    assert (bench.store.seen[-1].state, bench.store.seen[-1].disabled_why) == (EndpointState.DISABLED, "gone")
    assert bench.dialect.judged == [], "the profile judges, not the dialect"


async def test_what_is_no_fault_of_the_endpoints_opens_nothing(make, clock, monkeypatch):
    bench = make()
    await bench.take(*[due(n) for n in range(1, 13)])
    for _ in range(12):
        await bench.finish(None, PostResult(None, PostFailure.BAD_URL, "wrong"))
    monkeypatch.setattr(bench.dialect, "judge", lambda *_: RetryDecision(False, clock.now(), counts=False))
    await bench.take(*[due(n) for n in range(21, 33)])
    for _ in range(12):
        await bench.finish(None, PostResult(503, elapsed_ms=3))
    assert NUMBER not in bench.outbox.full


async def test_p18_an_endpoints_own_secret_fields_and_credentials_go_with_its_posts(make, clock):
    bench = make()
    bench.store.book[NUMBER] = endpoint(
        clock,
        secret="whsec_new",
        old_secret="whsec_old",
        old_secret_until=clock.now() + 10,
        headers=(("X-Own", "1"), ("Content-Length", "5")),
        username="u",
        password="p",
        allow_callbacks_to=("10.0.0.0/8",),
        ca_pem="PEM",
        concurrency=2,
    )
    await looked(bench)
    await bench.take(*[due(n) for n in range(1, 5)])
    assert len(bench.client.open) == 2
    request = bench.client.started[0]
    lines = request.headers
    assert isinstance(lines, bytes)
    assert b"webhook-signature: v1," in lines
    assert lines.count(b" v1,") == 2, "two signatures while one secret replaces the other"
    assert lines.endswith(b"X-Own: 1\r\nAuthorization: Basic dTpw\r\n")
    assert b"Content-Length" not in lines
    assert request.policy.permits("10.1.2.3")
    assert request.tls is not None
    assert request.tls.ca_pem == "PEM"
    await bench.finish(None, PostResult(500, elapsed_ms=3))
    kept = dict(bench.store.results()[0].attempt.headers)
    assert (kept["Authorization"], kept["webhook-signature"], kept["X-Own"]) == ("(masked)", "(masked)", "1")


async def test_a_dialect_that_wants_fewer_at_once_gets_fewer(make, clock):
    bench = make()
    bench.dialect.most_at_once = 10
    await bench.take(*[due(n) for n in range(1, 31)])
    assert len(bench.client.open) == 10
    for _ in range(20):
        await bench.finish()
    assert len(bench.client.started) == 30
    assert bench.client.most_open == 10, "success gives no more than is wanted"
    assert {request.connections for request in bench.client.started} == {10}


async def test_a_dialect_gets_no_more_at_once_than_the_house_lets(make, clock):
    bench = make(per_endpoint=4)
    bench.dialect.most_at_once = 10
    await bench.take(*[due(n) for n in range(1, 31)])
    assert len(bench.client.open) == 4


async def test_an_endpoints_own_bound_wins_over_the_dialects(make, clock):
    bench = make()
    bench.dialect.most_at_once = 10
    bench.store.book[NUMBER] = endpoint(clock, concurrency=12)
    await looked(bench)
    await bench.take(*[due(n) for n in range(1, 31)])
    assert len(bench.client.open) == 12
    bench.store.book[NUMBER] = endpoint(clock, rate=None)
    clock.advance(1)
    await looked(bench)
    while len(bench.client.open) > 10:
        await bench.finish()
    await bench.finish()
    assert len(bench.client.open) == 10, "without it the dialect's counts again"


async def test_a_dialect_without_a_bound_shares_that_of_one_that_has_one(make, clock):
    """An endpoint is spoken to in two dialects: the stricter one holds for both."""
    bench = make()
    stricter = ScriptedDialect()
    stricter.most_at_once = 3
    bench.dialects["strict"] = stricter
    await bench.take(*[due(n) for n in range(1, 21)])
    assert len(bench.client.open) == 16
    await bench.take(due(21, dialect="strict"))
    while len(bench.client.started) < 21:
        await bench.finish()
    await bench.take(*[due(n, dialect="strict") for n in range(22, 41)])
    while len(bench.client.open) > 3:
        await bench.finish()
    started = len(bench.client.started)
    await bench.finish()
    assert (len(bench.client.open), len(bench.client.started)) == (3, started + 1)


async def test_an_endpoints_rate_bounds_its_posts_a_second(make, clock):
    bench = make()
    bench.store.book[NUMBER] = endpoint(clock, rate=100.0)
    await looked(bench)
    await bench.take(*[due(n) for n in range(1, 4)])
    assert len(bench.client.started) == 1
    await eventually(lambda: len(bench.client.started) == 3)


async def test_p14_an_attempt_after_a_failed_one_is_kept_even_when_it_succeeds(make):
    bench = make()
    await bench.take(due(1), due(2, attempts=1, first_failed_at=5))
    await bench.finish(b"{1}")
    await bench.finish(b"{2}", PostResult(200, body=b"x" * 5000, elapsed_ms=3))
    first, second = bench.store.results()
    assert first.attempt is None
    assert (second.attempt.status_code, second.attempt.body, len(second.attempt.answer)) == (200, "{2}", 4096)


async def test_p12_a_lane_without_room_spills_and_is_handed_to_again_once_the_store_is_drained(make, clock):
    bench = make(per_endpoint=1, waiting=4, slow_waiting=2)
    await bench.take(*[due(n) for n in range(1, 7)])
    assert NUMBER in bench.outbox.full
    bench.store.pending = [due(n) for n in range(7, 10)]
    bench.store.next_at = clock.now()
    while bench.client.open:
        await bench.finish()
        await looked(bench)
    assert bench.client.bodies() == [b"{%d}" % n for n in range(1, 10)]
    await looked(bench)
    assert NUMBER not in bench.outbox.full


async def test_p15_what_waited_in_the_store_goes_before_a_later_change_that_was_handed_over(make):
    bench = make(per_endpoint=1)
    await bench.take(due(1), due(6, message="m"))
    await bench.take(on_the_way(5, message="m"))
    for _ in range(3):
        await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{5}", b"{6}"]


async def test_p15_a_change_is_not_told_any_more_when_a_later_one_has_been(make):
    bench = make()
    await bench.take(on_the_way(1, attempts=1, first_failed_at=5, overtaken=True, outrun=True))
    assert bench.client.started == []
    (result,) = bench.store.results()
    assert (result.state, result.counts, result.error) == (
        CallbackState.DONE,
        False,
        "not told: a later change has been told",
    )


async def test_p14_what_somebody_asks_for_again_is_told_before_the_end_that_waits_behind_it(make):
    bench = make(per_endpoint=1)
    bench.dialect.supersedes = True
    await bench.take(due(1), on_the_way(2, message="m", again=True), due(3, message="m"))
    await bench.take(on_the_way(4, message="n"), due(5, message="n"))
    for _ in range(4):
        await bench.finish()
    assert bench.client.bodies() == [b"{1}", b"{2}", b"{5}", b"{3}"], "4 was not asked for, and its end is told instead"


async def test_a_healthy_endpoint_is_told_of_once_a_look_and_only_with_counts(make, clock):
    bench = make()
    await bench.take(*[due(n) for n in range(1, 11)])
    for _ in range(10):
        await bench.finish()
    assert bench.store.seen == []
    await looked(bench)
    (health,) = bench.store.seen
    assert (health.delivered, health.failed, health.moved, health.origin) == (10, 0, False, "http://sink.example:80")
    await looked(bench)
    assert len(bench.store.seen) == 1
    assert bench.outbox.count_states() == {"healthy": 1, "failing": 0, "open": 0, "disabled": 0}


async def test_callbacks_for_a_listener_that_is_not_there_yet_open_no_breaker(make):
    bench = make()
    for number in range(1, 21):
        await bench.take(due(number, url=RELAY_URL + "a"))
        await bench.finish(result=PostResult(None, PostFailure.CONNECT, "no such name"))
    assert len(bench.store.results()) == 20
    assert all(result.state is CallbackState.PENDING for result in bench.store.results())
    assert bench.outbox.count_states()["open"] == 0
    await bench.take(due(21, url=RELAY_URL + "a"))
    assert bench.client.bodies()[-1] == b"{21}", "the first that comes when somebody listens goes at once"
