"""Endpoints, claims that one endpoint's backlog cannot starve, attempts, replays, and changes in commit order."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import select

from kvitto.core.breaker import REST, Breaker
from kvitto.core.endpoint import (
    DisabledWhy,
    EndpointHealth,
    EndpointState,
    NewEndpoint,
    Profile,
    endpoint_number,
    secrets_of,
)
from kvitto.core.model import Attempt, CallbackResult, CallbackState, Notify
from kvitto.core.record import CallbackFilter, CursorRefused, EventPage, NewReplay, ReplayState
from kvitto.core.status import Reason, Status
from kvitto.store import schema as t
from kvitto.store.callbackapi import Want
from tests.conformance.house import CALLBACK_URL, Door, House

OTHER_URL = "https://other.example/hook"


async def told_later(house: House, count: int = 1, url: str = CALLBACK_URL) -> list[str]:
    """Messages that ended at once, their callbacks due."""
    return await house.send(count, aborts=dict.fromkeys(range(count), Reason.NO_ROUTE), callback_url=url)


def number_of(house: House, url: str = CALLBACK_URL) -> int:
    return endpoint_number(house.account.id, url)


def seen(house: House, **changes) -> EndpointHealth:
    health = EndpointHealth(
        number_of(house),
        house.account.id,
        "http://customer.example:80",
        house.now,
        0,
        0,
        EndpointState.HEALTHY,
        None,
        REST,
        None,
        None,
        None,
    )
    return health._replace(**changes)


# --- P12: who is claimed from


async def test_p12_each_endpoint_is_claimed_from_by_itself(house: House):
    await told_later(house, 50)
    (other,) = await told_later(house, url=OTHER_URL)
    due = {one.endpoint: one.next_at for one in await house.store.due_endpoints(house.now)}
    assert due == {number_of(house): house.now, number_of(house, OTHER_URL): house.now}
    claimed = await house.store.claim_callbacks(house.now, [Want(number_of(house, OTHER_URL), 10)])
    assert [one.facts.id for one in claimed] == [other]
    assert [one.endpoint for one in claimed] == [number_of(house, OTHER_URL)]
    assert len(await house.store.claim_callbacks(house.now, [Want(number_of(house), 20)])) == 20


async def test_p12_callbacks_of_a_full_endpoint_wait_in_the_store_while_others_are_handed_over(house: House):
    door = Door()
    door.full = {number_of(house)}
    house.store.set_callback_handoff(door)
    await told_later(house, 3)
    (other,) = await told_later(house, url=OTHER_URL)
    assert [one.facts.id for one in door.taken] == [other]
    assert len(await house.callbacks()) == 3


async def test_a_lease_that_is_given_back_is_due_at_once_in_its_old_place(house: House):
    (first,) = await told_later(house)
    claimed = await house.callbacks()
    house.clock.advance(1)
    await told_later(house)
    await house.store.release_callbacks([one.id for one in claimed], house.now)
    again = await house.store.claim_callbacks(house.now, [Want(number_of(house), 1)])
    assert [one.facts.id for one in again] == [first]


async def test_nobody_gives_back_what_another_node_has_leased(postgres_house: House):
    house = postgres_house
    other = await house.second(node="node2")
    await told_later(house)
    claimed = await house.callbacks()
    await other.release_callbacks([one.id for one in claimed], house.now)
    assert await house.callbacks() == []


async def test_p15_a_change_is_outrun_once_a_later_one_has_been_told(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES)
    (dispatched,) = await house.callbacks()
    at = house.now + 5_000
    failed = CallbackResult(dispatched.id, CallbackState.PENDING, house.now, at, house.now, 500, "HTTP 500", 3)
    await house.store.record_attempts([failed])
    await house.receipt_for(message)
    (delivered,) = await house.callbacks()
    house.clock.advance(5)
    (again,) = await house.callbacks()
    assert (again.id, again.overtaken, again.outrun) == (dispatched.id, True, False)
    await house.store.release_callbacks([again.id], house.now)
    await house.finish([delivered])
    (again,) = await house.callbacks()
    assert (again.id, again.outrun) == (dispatched.id, True)


async def test_p14_what_somebody_asks_for_again_is_neither_overtaken_nor_outrun(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES)
    await house.finish(dispatched := await house.callbacks())
    await house.receipt_for(message)
    await house.finish(delivered := await house.callbacks())
    house.clock.advance(5)
    assert await house.store.resend_callback(house.account.id, dispatched[0].id, house.now) is True
    (again,) = await house.callbacks()
    assert (again.id, again.again, again.overtaken, again.outrun) == (dispatched[0].id, True, False, False)
    at = house.now + 5_000
    failed = CallbackResult(again.id, CallbackState.PENDING, house.now, at, house.now, 500, "HTTP 500", 3)
    await house.store.record_attempts([failed])
    house.clock.advance(5)
    (retried,) = await house.callbacks()
    assert (retried.id, retried.again, retried.outrun) == (again.id, True, False), "so are its retries"
    await house.finish([retried])
    house.clock.advance(5)
    await house.store.start_replay(NewReplay(CallbackFilter(account_id=house.account.id), 50.0, house.now))
    await house.store.step_replays(house.now)
    told = await house.callbacks()
    assert [(one.id, one.overtaken, one.outrun) for one in told] == [
        (dispatched[0].id, False, False),
        (delivered[0].id, False, False),
    ]


# --- endpoints


async def test_counts_are_added_and_the_row_is_made_at_the_first_word(house: House):
    assert await house.store.fetch_endpoint(house.account.id, CALLBACK_URL) is None
    await house.store.record_endpoints([seen(house, delivered=3, last_ok_at=7)])
    await house.store.record_endpoints([seen(house, delivered=1), seen(house, failed=2, last_error="HTTP 500")])
    one = await house.store.fetch_endpoint(house.account.id, CALLBACK_URL)
    assert (one.delivered, one.failed, one.last_ok_at, one.last_error) == (4, 2, 7, "HTTP 500")
    assert (one.id, one.name, one.state, one.origin) == (
        number_of(house),
        None,
        EndpointState.HEALTHY,
        "http://customer.example:80",
    )
    assert await house.store.changed_endpoints(1) == [], "counts alone are no change"


async def test_p13_breaker_and_state_survive_and_the_owner_is_told(house: House):
    breaker = Breaker(((9, 12, 11),), house.now - 5, house.now + 30_000, 30_000)
    opened = seen(house, failed=11, state=EndpointState.OPEN, breaker=breaker, moved=True, told="open", detail="fails")
    await house.store.record_endpoints([opened])
    await house.restart()
    (one,) = await house.store.changed_endpoints(1)
    assert (one.state, one.breaker) == (EndpointState.OPEN, breaker)
    (event,) = await house.store.list_operator_events(house.account.id, 10)
    assert (event.kind, event.subject, event.detail, event.at) == ("endpoint.open", one.public_id, "fails", house.now)
    other = await house.new_account()
    assert await house.store.list_operator_events(other.id, 10) == []
    assert len(await house.store.list_operator_events(None, 10)) == 1


async def test_p13_what_somebody_disabled_stays_so_whatever_a_sender_says(house: House):
    await house.store.record_endpoints([seen(house, delivered=1)])
    await house.store.disable_endpoint(house.account.id, number_of(house), DisabledWhy.OPERATOR, house.now)
    await house.store.record_endpoints([seen(house, moved=True, state=EndpointState.FAILING, told="closed")])
    one = await house.store.fetch_endpoint(None, seen(house).public_id)
    assert (one.state, one.disabled_why, one.disabled_at) == (EndpointState.DISABLED, "operator", house.now)
    (event,) = await house.store.list_operator_events(None, 10)
    assert event.kind == "endpoint.disabled", "the sender's word is not told"
    one = await house.store.enable_endpoint(house.account.id, number_of(house), house.now)
    assert (one.state, one.disabled_why, one.breaker) == (EndpointState.HEALTHY, None, REST)


async def test_an_endpoint_is_made_on_purpose_once_and_found_by_name_url_and_id(house: House):
    settings = {"profile": Profile.STANDARD, "concurrency": 3, "rate": 2.5, "password": "hidden", "username": "u"}
    new = NewEndpoint(house.account.id, "shop", OTHER_URL, house.now, settings)
    made = await house.store.create_endpoint(new)
    assert (made.profile, made.concurrency, made.rate, made.password) == (Profile.STANDARD, 3, 2.5, "hidden")
    assert await house.store.create_endpoint(new) is None, "the name is taken"
    assert await house.store.create_endpoint(new._replace(name="twice")) is None, "the origin has a name"
    for which in ("shop", OTHER_URL, "https://OTHER.example/else?x=1", made.public_id):
        assert await house.store.fetch_endpoint(house.account.id, which) == made
    other = await house.new_account()
    for which in ("shop", OTHER_URL, made.public_id):
        assert await house.store.fetch_endpoint(other.id, which) is None
    assert await house.store.set_endpoint(other.id, made.id, {"rate": 1.0}, house.now) is None
    (stored,) = (await house.look(select(t.endpoint.c.password)))[0]
    assert "hidden" not in stored, "sealed"
    assert await house.store.list_endpoints(house.account.id, 10) == [made]
    assert await house.store.list_endpoints(house.account.id, 10, after=made.id) == []


async def test_settings_are_changed_and_unknown_ones_refused(house: House):
    made = await house.store.create_endpoint(NewEndpoint(house.account.id, "shop", OTHER_URL, house.now, {}))
    changes = {"headers": (("X-Own", "1"),), "allow_callbacks_to": ("10.0.0.0/8",), "ca_pem": "PEM", "name": "store"}
    house.clock.advance(1)
    now = await house.store.set_endpoint(house.account.id, made.id, changes, house.now)
    assert now == replace(made, changed_at=house.now, **changes)
    with pytest.raises(ValueError, match="colour"):
        house.store.set_endpoint(house.account.id, made.id, {"colour": "red"}, house.now)


async def test_p18_a_rotated_secret_stays_beside_the_new_one_for_a_day(house: House):
    account = house.account
    made = await house.store.create_endpoint(NewEndpoint(account.id, "shop", OTHER_URL, house.now, {}))
    assert secrets_of(made, account, house.now) == (account.callback_secret,)
    one = await house.store.rotate_endpoint_secret(account.id, made.id, "whsec_one", house.now)
    assert secrets_of(one, account, house.now) == ("whsec_one", account.callback_secret)
    one = await house.store.rotate_endpoint_secret(account.id, made.id, "whsec_two", house.now)
    assert secrets_of(one, account, house.now + 86_399_999) == ("whsec_two", "whsec_one")
    assert secrets_of(one, account, house.now + 86_400_000) == ("whsec_two",)
    rotated = await house.store.rotate_callback_secret(account.name, "whsec_new", house.now)
    assert secrets_of(None, rotated, house.now) == ("whsec_new", account.callback_secret)
    assert secrets_of(None, rotated, house.now + 86_400_000) == ("whsec_new",)
    assert await house.store.rotate_callback_secret("nobody", "whsec_new", house.now) is None


async def test_what_waits_for_an_endpoint_is_counted(house: House):
    await told_later(house, 3)
    house.clock.advance(1)
    (first, *_) = await house.callbacks(1)
    stats = await house.store.fetch_endpoint_stats(number_of(house), house.now)
    assert (stats.pending, stats.due) == (3, 2)
    assert stats.next_at == first.created_at


# --- P14: attempts


async def test_p14_failed_attempts_are_kept_whole_and_the_last_is_told_by_the_callbacks_row(house: House):
    (message,) = await told_later(house)
    (due,) = await house.callbacks()
    tried = Attempt(house.now, 503, "HTTP 503", 17, (("webhook-signature", "(masked)"),), "ab" * 32, '{"a":1}', "sorry")
    at = house.now
    failed = CallbackResult(due.id, CallbackState.PENDING, at, at, at, 503, "HTTP 503", 17, attempt=tried)
    await house.store.record_attempts([failed])
    house.clock.advance(1)
    (due,) = await house.callbacks()
    done = CallbackResult(due.id, CallbackState.DONE, house.now, None, at, 200, None, 5)
    await house.store.record_attempts([done])
    view, attempts = await house.store.fetch_callback(house.account.id, due.id)
    assert attempts == [tried, Attempt(house.now, 200, None, 5)]
    assert (view.state, view.attempts, view.message_id, view.status) == (CallbackState.DONE, 2, message, "ABORTED")
    other = await house.new_account()
    assert await house.store.fetch_callback(other.id, due.id) is None
    assert await house.store.fetch_callback(None, 999_999) is None


async def test_p14_a_first_attempt_that_succeeds_costs_no_row_of_its_own(house: House):
    await told_later(house)
    await house.finish(due := await house.callbacks())
    assert await house.look(select(t.attempt.c.id)) == []
    _, attempts = await house.store.fetch_callback(house.account.id, due[0].id)
    assert attempts == [Attempt(house.now, 200, None, 1)]


async def test_p14_callbacks_are_listed_newest_first_by_what_is_asked_for(house: House):
    await told_later(house, 5)
    since = house.clock.advance(10)
    (message,) = await told_later(house, url=OTHER_URL)
    await house.finish(await house.callbacks())
    await told_later(house, 2)

    async def found(limit: int = 100, before: int | None = None, **wanted):
        wanted = {"account_id": house.account.id, **wanted}
        return await house.store.list_callbacks(CallbackFilter(**wanted), limit, before)

    everything = (await found()).callbacks
    assert [one.id for one in everything] == sorted((one.id for one in everything), reverse=True)
    assert len(everything) == 8
    assert len((await found(states=(CallbackState.PENDING,))).callbacks) == 2
    assert len((await found(since_at=since)).callbacks) == 3
    assert len((await found(until_at=since)).callbacks) == 5
    assert [one.message_id for one in (await found(endpoint=number_of(house, OTHER_URL))).callbacks] == [message]
    assert [one.message_id for one in (await found(message_id=message)).callbacks] == [message]
    assert (await found(states=(CallbackState.GIVEN_UP,))).callbacks == []
    page = await found(limit=3)
    rest = await found(limit=100, before=page.cursor)
    assert [*page.callbacks, *rest.callbacks] == everything
    assert rest.cursor is None
    assert (await found(account_id=(await house.new_account()).id)).callbacks == []


async def test_p14_one_callback_is_sent_again_its_schedule_from_the_beginning(house: House):
    await told_later(house)
    await house.finish(due := await house.callbacks())
    house.clock.advance(100)
    assert await house.store.resend_callback(house.account.id, due[0].id, house.now) is True
    (again,) = await house.callbacks()
    assert (again.id, again.attempts, again.first_failed_at) == (due[0].id, 0, None)
    assert again.facts == due[0].facts
    assert await house.store.resend_callback(house.account.id, due[0].id, house.now) is False, "it is being posted"
    await house.finish([again])
    _, attempts = await house.store.fetch_callback(house.account.id, due[0].id)
    assert [one.at for one in attempts] == [due[0].created_at, house.now], "the first attempt is still told"
    assert await house.store.resend_callback((await house.new_account()).id, due[0].id, house.now) is None


async def test_r51_attempts_go_with_their_callback_when_retention_ends(house: House):
    await told_later(house)
    (due,) = await house.callbacks()
    tried = Attempt(house.now, 404, "HTTP 404", 1, (), "ab", '{"recipient":"46700000001"}', "")
    given_up = CallbackResult(due.id, CallbackState.GIVEN_UP, house.now, None, 1, 404, "HTTP 404", 1, attempt=tried)
    await house.store.record_attempts([given_up])
    house.clock.advance(40 * 86_400)
    await house.store.clean({}, 30, house.now, 1000)
    assert await house.look(select(t.callback.c.id)) == await house.look(select(t.attempt.c.id)) == []


async def test_a_callback_held_for_longer_than_its_message_was_kept_is_given_up_in_words(house: House):
    await told_later(house)
    house.clock.advance(40 * 86_400)
    await house.store.clean({}, 30, house.now, 1000)
    assert await house.callbacks() == []
    rows = await house.look(select(t.callback.c.state, t.callback.c.last_error, t.callback.c.next_attempt_at))
    assert rows == [("given_up", "not told: its message is not kept any more", None)]


async def test_changes_are_read_here_though_nobody_is_called(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES, callback_url=None)
    (quiet,) = await house.dispatch(notify=Notify.FINAL)
    page = await events(house, "", 10, 2)
    told = [(one.view.id, one.view.status) for one in page.events]
    assert told == [(message, Status.DISPATCHED), (quiet, Status.DISPATCHED)]
    await house.receipt_for(quiet)
    page = await events(house, page.cursor, 10, 1)
    assert [(one.view.id, one.view.status) for one in page.events] == [(quiet, Status.DELIVERED)]


@pytest.mark.parametrize("notify", [Notify.NONE, Notify.BATCH_SUMMARY, Notify.BATCH_FULL, Notify.FINAL])
async def test_every_end_is_read_here_whatever_its_batch_asked_for(house: House, notify: Notify):
    (aborted,) = (new := house.plan(notify=notify, aborts={0: Reason.NO_ROUTE})).messages
    await house.store.accept_batch(new)
    (delivered,) = await house.dispatch(notify=notify)
    await house.receipt_for(delivered)
    page = await events(house, "", 10, 3)
    assert [(one.view.id, one.view.status) for one in page.events] == [
        (aborted.id, Status.ABORTED),
        (delivered, Status.DISPATCHED),
        (delivered, Status.DELIVERED),
    ]


async def test_p13_a_report_that_does_not_know_of_an_enabling_moves_nothing_and_tells_nobody(house: House):
    breaker = Breaker(((1, 10, 10),), house.now, house.now + 30_000, 30_000)
    opened = seen(house, failed=10, state=EndpointState.OPEN, breaker=breaker, moved=True, told="open", detail="x")
    await house.store.record_endpoints([opened])
    await house.store.enable_endpoint(house.account.id, number_of(house), house.now)
    await house.store.record_endpoints([opened])
    (now,) = await house.store.changed_endpoints(0)
    assert (now.state, now.breaker, now.switches) == (EndpointState.HEALTHY, REST, 1)
    assert now.failed == 20, "what it counted is added"
    kinds = [one.kind for one in await house.store.list_operator_events(house.account.id, 10)]
    assert kinds == ["endpoint.enabled", "endpoint.open"], "the second report is told to nobody"
    await house.store.record_endpoints([opened._replace(switches=1)])
    (now,) = await house.store.changed_endpoints(0)
    assert (now.state, now.breaker) == (EndpointState.OPEN, breaker)


async def test_p13_a_report_and_an_enabling_in_one_transaction_end_enabled(house: House):
    broken = Breaker(((1, 10, 10),), house.now, house.now + 30_000, 30_000)
    opened = seen(house, failed=10, state=EndpointState.OPEN, breaker=broken, moved=True, told="open", detail="x")
    await house.store.record_endpoints([opened])
    enabling = house.store.enable_endpoint(house.account.id, number_of(house), house.now)
    late = house.store.record_endpoints([opened])
    await asyncio.gather(enabling, late)
    (now,) = await house.store.changed_endpoints(0)
    assert now.state is EndpointState.HEALTHY


# --- P14: replays


async def replayed(house: House, replay_id: int, *, step_s: float = 10.0, most: int = 100) -> list[int]:
    """Make steps until it is done, telling all that becomes due; returns the numbers told."""
    told = []
    for _ in range(most):
        await house.store.step_replays(house.now)
        due = await house.callbacks(10_000)
        told += [one.id for one in due]
        await house.finish(due)
        replay = await house.store.fetch_replay(None, replay_id)
        if replay.state is not ReplayState.RUNNING:
            return told
        house.clock.advance(step_s)
    raise AssertionError("no end")


async def test_p14_a_replay_makes_each_callback_due_exactly_once(house: House):
    await told_later(house, 30)
    await house.finish(await house.callbacks())
    house.clock.advance(7_200)
    since = house.now
    await told_later(house, 40)
    await told_later(house, 5, url=OTHER_URL)
    await house.finish(await house.callbacks())
    wanted = CallbackFilter(account_id=house.account.id, endpoint=number_of(house), since_at=since)
    replay = await house.store.start_replay(NewReplay(wanted, 7.0, house.now))
    await told_later(house, 3)
    await house.finish(await house.callbacks())
    told = await replayed(house, replay.id)
    assert len(told) == len(set(told)) == 40
    end = await house.store.fetch_replay(house.account.id, replay.id)
    assert (end.state, end.replayed, end.skipped) == (ReplayState.DONE, 40, 0)
    assert await house.store.step_replays(house.now) == 0
    assert await house.store.list_replays(house.account.id, 5) == [end]
    assert await house.store.fetch_replay((await house.new_account()).id, replay.id) is None


async def test_p14_a_replay_keeps_its_rate_and_goes_on_after_a_restart(house: House):
    await told_later(house, 25)
    await house.finish(await house.callbacks())
    replay = await house.store.start_replay(NewReplay(CallbackFilter(account_id=house.account.id), 10.0, house.now))
    assert await house.store.step_replays(house.now) == 10
    assert await house.store.step_replays(house.now + 999) == 0
    await house.restart()
    house.clock.advance(1)
    assert await house.store.step_replays(house.now) == 10
    assert await house.store.cancel_replay(house.account.id, replay.id) is not None
    house.clock.advance(10)
    assert await house.store.step_replays(house.now) == 0
    assert (await house.store.fetch_replay(None, replay.id)).state is ReplayState.CANCELLED


async def test_p14_a_replay_at_hardly_any_rate_holds_up_nobody(house: House):
    await told_later(house, 2)
    await house.finish(await house.callbacks())
    for rate in (1e-300, 50.0):
        await house.store.start_replay(NewReplay(CallbackFilter(account_id=house.account.id), rate, house.now))
    assert await house.store.step_replays(house.now) >= 2


async def test_p14_a_replay_takes_the_states_that_are_asked_for_and_skips_what_is_being_posted(house: House):
    await told_later(house, 4)
    due = await house.callbacks()
    results = [
        CallbackResult(one.id, CallbackState.GIVEN_UP, house.now, None, 1, 404, "HTTP 404", 1) for one in due[:2]
    ]
    await house.store.record_attempts(results)
    given_up = CallbackFilter(account_id=house.account.id, states=(CallbackState.GIVEN_UP,))
    replay = await house.store.start_replay(NewReplay(given_up, 100.0, house.now))
    assert await replayed(house, replay.id) == [one.id for one in due[:2]]
    replay = await house.store.start_replay(NewReplay(CallbackFilter(account_id=house.account.id), 100.0, house.now))
    assert await replayed(house, replay.id) == [one.id for one in due[:2]], "two are leased"
    assert (await house.store.fetch_replay(None, replay.id)).skipped == 2


# --- reconciliation


async def events(house: House, cursor: str, limit: int, wanted: int, *, everybodys: bool = False) -> EventPage:
    """A page with as many events as are wanted: whoever has a transaction open on the cluster holds readers back."""
    account = None if everybodys else house.account.id
    async with asyncio.timeout(30):
        while True:
            page = await house.store.events_after(account, cursor, limit)
            if len(page.events) >= wanted:
                return page
            await asyncio.sleep(0.01)


async def test_events_come_in_order_page_by_page_and_to_their_account_alone(house: House):
    other = await house.new_account()
    ids = await told_later(house, 5)
    await house.store.accept_batch(house.plan(account=other, aborts={0: Reason.NO_ROUTE}))
    await events(house, "", 100, 6, everybodys=True)
    first = await events(house, "", 3, 3)
    rest = await events(house, first.cursor, 3, 2)
    assert [one.view.id for one in (*first.events, *rest.events)] == ids
    assert (first.more, rest.more) == (True, False)
    assert first.events[-1].cursor == first.cursor
    nothing = await house.store.events_after(house.account.id, rest.cursor, 3)
    assert nothing.events == []
    (message,) = await told_later(house)
    page = await events(house, nothing.cursor, 3, 1)
    assert [(one.view.id, one.view.status) for one in page.events] == [(message, Status.ABORTED)]
    assert len((await events(house, "", 100, 7, everybodys=True)).events) == 7


async def test_events_from_now_on_leave_the_past_out(house: House):
    await told_later(house)
    await events(house, "", 10, 1)
    start = await house.store.events_after(house.account.id, "now", 10)
    assert start.events == []
    (message,) = await told_later(house)
    page = await events(house, start.cursor, 10, 1)
    assert [one.view.id for one in page.events] == [message]


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1-2", "1-2-3", "99999999999999999999-1", "9223372036854775808-0"])
async def test_a_cursor_that_is_none_is_refused(house: House, cursor):
    assert await house.store.events_after(house.account.id, cursor, 10) is CursorRefused.MALFORMED


async def test_an_event_that_commits_late_is_not_skipped(postgres_house: House):
    """A slow transaction draws its numbers, a quick one behind it commits first: the reader waits for the slow one."""
    house = postgres_house
    slow = await asyncpg.connect(house.url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        "INSERT INTO event (seq, account_id, message_id, at, status, reason, error_source, tx)"
        " SELECT nextval('serial'), $1, 'slow', 1, 'DELIVERED', 'delivered', 'none',"
        " pg_current_xact_id()::text::bigint",
        house.account.id,
    )
    (quick,) = await told_later(house)
    page = await house.store.events_after(None, "", 10)
    assert page.events == [], "nothing is told before the slow one is through"
    await transaction.commit()
    await slow.close()
    seqs = [one[0] for one in await house.look(select(t.event.c.seq).order_by(t.event.c.tx, t.event.c.seq))]
    after = await events(house, page.cursor, 10, 1, everybodys=True)
    assert [one.view.id for one in after.events] == [quick], "the slow one's message is not there, its place is"
    assert after.cursor.endswith(f"-{seqs[-1]}")


async def test_readers_beside_several_writers_see_every_event_once(postgres_house: House):
    house = postgres_house
    other = await house.second(node="node2")
    seen_ids: list[str] = []
    cursor = ""

    async def write(store) -> list[str]:
        ids = []
        for _ in range(40):
            new = house.plan(2, aborts={0: Reason.NO_ROUTE, 1: Reason.NO_ROUTE})
            await store.accept_batch(new)
            ids += [one.id for one in new.messages]
        return ids

    writers = asyncio.gather(write(house.store), write(other))
    async with asyncio.timeout(30):  # whoever else has a transaction open, autovacuum too, holds the readers back
        while len(seen_ids) < 160:
            page = await house.store.events_after(house.account.id, cursor, 7)
            cursor = page.cursor
            seen_ids += [one.view.id for one in page.events]
    written = [one for ids in await writers for one in ids]
    assert sorted(seen_ids) == sorted(written)
    assert (await house.store.events_after(house.account.id, cursor, 7)).events == []
