"""The outbox: which changes are called back, to whom, handed off or claimed, leased and scheduled."""

from typing import Any

import pytest
from sqlalchemy import select

from kvitto.core.model import BatchReport, CallbackResult, CallbackState, MessageView, Notify
from kvitto.core.status import Reason, Status
from kvitto.store import schema as t
from kvitto.store.callbackapi import Want
from tests.conformance.house import CALLBACK_URL, Door, House

LEASE_S = 120


async def live(house: House, notify: Notify, **wishes) -> list[str]:
    """Three messages: delivered, failed, delivered."""
    ids = await house.dispatch(3, notify=notify, **wishes)
    for message, status in zip(ids, (Status.DELIVERED, Status.FAILED, Status.DELIVERED), strict=True):
        house.clock.advance(1)
        await house.receipt_for(message, status)
    return ids


async def test_none_calls_nobody(house: House):
    await live(house, Notify.NONE)
    assert await house.callbacks() == []


async def test_final_tells_each_end_once(house: House):
    first, second, third = await live(house, Notify.FINAL)
    assert await house.told() == [(first, Status.DELIVERED), (second, Status.FAILED), (third, Status.DELIVERED)]
    assert await house.callbacks() == []


async def test_changes_tells_dispatched_and_the_end(house: House):
    ids = await live(house, Notify.CHANGES)
    told = await house.told()
    for message, end in zip(ids, (Status.DELIVERED, Status.FAILED, Status.DELIVERED), strict=True):
        assert [status for one, status in told if one == message] == [Status.DISPATCHED, end]


@pytest.mark.parametrize("notify", [Notify.BATCH_SUMMARY, Notify.BATCH_FULL])
@pytest.mark.parametrize("places", [0, 100])
async def test_a_batch_is_told_once_when_its_last_message_ends(house: House, notify, places):
    door = Door(places)
    house.store.set_callback_handoff(door)
    ids = await house.dispatch(3, notify=notify, client_reference="ref")
    for message in ids[:2]:
        await house.receipt_for(message)
    assert door.taken == await house.callbacks() == []
    await house.receipt_for(ids[2], Status.FAILED, err="27")
    await house.receipt_for(ids[2], Status.FAILED, err="27")
    (due,) = door.taken if places else await house.callbacks()
    report = due.facts
    assert isinstance(report, BatchReport)
    assert due.full == (notify is Notify.BATCH_FULL)
    assert (report.batch_id, report.account_id, report.message_count) == (ids[0][:22] + "0000", house.account.id, 3)
    assert (report.client_reference, report.visible) == ("ref", True)
    counts = {count.status: count for count in report.counts}
    assert {status: count.count for status, count in counts.items()} == {Status.DELIVERED: 2, Status.FAILED: 1}
    assert counts[Status.FAILED].error.text == "27"
    numbers = tuple([await house.recipient(message) for message in ids[:2]])
    assert counts[Status.DELIVERED].recipients == (numbers if notify is Notify.BATCH_FULL else ())


async def test_a_batch_whose_messages_end_in_one_transaction_is_told_once(house: House):
    ids = await house.send(5, notify=Notify.BATCH_SUMMARY)
    await house.store.cancel_batch(house.account.id, ids[0][:22] + "0000", house.now)
    (due,) = await house.callbacks()
    assert due.facts.counts[0].count == 5


async def test_batches_that_end_together_are_each_told(house: House):
    batches = [await house.send(4, notify=Notify.BATCH_SUMMARY, valid_s=10) for _ in range(3)]
    house.clock.advance(10)
    await house.store.end_overdue({}, house.now, 1000)
    assert sorted(one.facts.batch_id for one in await house.callbacks()) == sorted(
        ids[0][:22] + "0000" for ids in batches
    )


async def test_a_batch_that_ends_over_several_sweeps_is_told_at_the_last(house: House):
    await house.send(5, notify=Notify.BATCH_SUMMARY, valid_s=10)
    house.clock.advance(10)
    for expected in (0, 0, 1):
        await house.store.end_overdue({}, house.now, 2)
        assert len(await house.callbacks()) == expected


async def test_the_batchs_url_wins_and_the_accounts_stands_in(house: House):
    account = await house.new_account(callback_url="http://account.example/")
    for url in (CALLBACK_URL, None):
        new = house.plan(account=account, callback_url=url, aborts={0: Reason.NO_ROUTE})
        await house.store.accept_batch(new)
    assert [one.url for one in await house.callbacks()] == [CALLBACK_URL, "http://account.example/"]


async def test_without_any_url_nobody_is_called(house: House):
    await live(house, Notify.CHANGES, callback_url=None)
    await live(house, Notify.BATCH_FULL, callback_url=None)
    assert await house.callbacks() == []


async def test_the_accounts_url_counts_as_it_is_when_the_change_happens(house: House):
    (message,) = await house.dispatch(callback_url=None)
    await house.store.set_account(house.account.name, {"callback_url": "http://later.example/"})
    await house.receipt_for(message)
    assert [one.url for one in await house.callbacks()] == ["http://later.example/"]


async def test_facts_are_those_of_the_change_even_when_read_later(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES, client_reference="ref")
    at = house.now
    house.clock.advance(5)
    await house.receipt_for(message, Status.FAILED, err="27", done_at=house.now)
    dispatched, failed = await house.callbacks()
    assert (dispatched.facts.status, dispatched.facts.since_at, dispatched.facts.error.text) == (
        Status.DISPATCHED,
        at,
        None,
    )
    assert failed.facts == await house.view(message)
    assert (failed.dialect, failed.attempts, failed.first_failed_at, failed.created_at) == ("sinch", 0, None, house.now)


async def test_handed_off_and_claimed_facts_are_the_same(house: House):
    door = Door(1)
    house.store.set_callback_handoff(door)
    ids = await house.dispatch(2, client_reference="ref", parts=2)
    for message in ids:
        for part in (1, 2):
            await house.receipt_for(message, part=part, err="000", net=(3, 1), done_at=house.now)
    (handed,) = door.taken
    (claimed,) = await house.callbacks()
    assert isinstance(handed.facts, MessageView)
    assert handed.facts.smsc_message_id == house.smsc_id(handed.facts.id, 2), "the part that decided (R38)"
    same: dict[str, Any] = {"id": "", "recipient": "", "smsc_message_id": ""}
    assert handed.facts._replace(**same) == claimed.facts._replace(**same)
    assert (handed.url, handed.full, handed.attempts, handed.dialect) == (
        claimed.url,
        claimed.full,
        claimed.attempts,
        claimed.dialect,
    )


async def test_what_the_door_has_no_room_for_waits_in_the_outbox(house: House):
    door = Door(2)
    house.store.set_callback_handoff(door)
    ids = await house.dispatch(5)
    for message in ids:
        await house.receipt_for(message)
    assert [one.facts.id for one in door.taken] == ids[:2]
    assert [message for message, _ in await house.told()] == ids[2:]


async def test_handed_off_callbacks_are_leased_and_due_again_if_never_posted(house: House):
    door = Door()
    house.store.set_callback_handoff(door)
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    assert await house.callbacks() == []
    assert await house.store.next_callback_at() == house.now + LEASE_S * 1000
    house.clock.advance(LEASE_S)
    assert [one.id for one in await house.callbacks()] == [door.taken[0].id]


async def test_without_a_door_everything_waits_in_the_outbox(house: House):
    house.store.set_callback_handoff(Door())
    house.store.set_callback_handoff(None)
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    assert await house.told() == [(message, Status.DELIVERED)]


async def test_claimed_callbacks_are_nobody_elses_until_the_lease_runs_out(house: House):
    await live(house, Notify.FINAL)
    claimed = await house.callbacks()
    assert await house.callbacks() == []
    house.clock.advance(LEASE_S - 0.001)
    assert await house.callbacks() == []
    house.clock.advance(0.001)
    assert sorted(one.id for one in await house.callbacks()) == sorted(one.id for one in claimed)


async def test_callbacks_come_oldest_due_first_and_no_more_than_asked_for(house: House):
    ids = await live(house, Notify.FINAL)
    assert [one.facts.id for one in await house.callbacks(2)] == ids[:2]
    assert [one.facts.id for one in await house.callbacks(2)] == ids[2:]


async def test_nodes_share_the_outbox_without_overlap(postgres_house: House):
    house = postgres_house
    other = await house.second(node="node2")
    await house.send(200, aborts=dict.fromkeys(range(200), Reason.NO_ROUTE))
    (endpoint,) = [one.endpoint for one in await house.store.due_endpoints(house.now)]
    mine = await house.store.claim_callbacks(house.now, [Want(endpoint, 100)])
    theirs = await other.claim_callbacks(house.now, [Want(endpoint, 200)])
    assert len({one.id for one in mine} | {one.id for one in theirs}) == len(mine) + len(theirs) == 200


async def test_a_restart_makes_this_nodes_leases_due_again(house: House):
    await live(house, Notify.FINAL)
    claimed = await house.callbacks()
    await house.second(node="node2")
    assert await house.callbacks() == []
    await house.restart()
    assert sorted(one.id for one in await house.callbacks()) == sorted(one.id for one in claimed)


async def test_a_failed_attempt_is_due_again_when_its_schedule_says(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    (due,) = await house.callbacks()
    failed_at = house.now
    result = CallbackResult(due.id, CallbackState.PENDING, failed_at, failed_at + 5000, failed_at, 503, "busy", 17)
    await house.store.record_attempts([result])
    assert await house.store.next_callback_at() == failed_at + 5000
    assert await house.callbacks() == []
    house.clock.advance(5)
    (again,) = await house.callbacks()
    assert (again.id, again.attempts, again.first_failed_at, again.facts) == (due.id, 1, failed_at, due.facts)
    row = select(
        t.callback.c.last_status_code, t.callback.c.last_error, t.callback.c.last_elapsed_ms, t.callback.c.last_at
    )
    assert await house.look(row) == [(503, "busy", 17, failed_at)]


@pytest.mark.parametrize("state", [CallbackState.DONE, CallbackState.GIVEN_UP])
async def test_a_finished_callback_never_comes_again(house: House, state):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    (due,) = await house.callbacks()
    await house.store.record_attempts([CallbackResult(due.id, state, house.now, None, None, 200, None, 3)])
    house.clock.advance(1_000_000)
    assert await house.callbacks() == []
    assert await house.store.next_callback_at() is None
    assert (await house.store.count_backlog())["callbacks"] == 0
    await house.restart()
    assert await house.callbacks() == []


async def test_several_attempts_are_recorded_at_once(house: House):
    await live(house, Notify.FINAL)
    due = await house.callbacks()
    await house.finish(due)
    assert await house.look(select(t.callback.c.state, t.callback.c.attempts).distinct()) == [("done", 1)]


async def test_callbacks_are_the_accounts_own(house: House):
    other = await house.new_account()
    for account in (house.account, other):
        await house.store.accept_batch(house.plan(account=account, aborts={0: Reason.NO_ROUTE}))
    due = await house.callbacks()
    assert [one.account_id for one in due] == [house.account.id, other.id]
    assert [one.facts.account_id for one in due] == [house.account.id, other.id]


async def test_n5_4_a_try_that_was_only_put_off_leaves_the_count_alone(house: House):
    await house.dispatch(1, notify=Notify.CHANGES)
    (due,) = await house.callbacks()

    async def record(*, counts: bool) -> int:
        later = CallbackResult(
            due.id, CallbackState.PENDING, house.now, house.now + 1000, house.now, 429, "HTTP 429", 3, counts
        )
        await house.store.record_attempts([later])
        house.clock.advance(1)
        (again,) = await house.callbacks()
        return int(again.attempts)

    assert [await record(counts=False), await record(counts=True), await record(counts=False)] == [0, 1, 1]


async def test_n5_2_a_change_on_the_way_says_that_its_message_has_ended_since(house: House):
    (message,) = await house.dispatch(1, notify=Notify.CHANGES)
    (before,) = await house.callbacks()
    assert not before.overtaken
    await house.receipt_for(message)
    house.clock.advance(LEASE_S)
    due = {one.facts.status: one for one in await house.callbacks()}
    assert due[Status.DISPATCHED].overtaken
    assert not due[Status.DELIVERED].overtaken


async def test_what_shared_a_call_is_claimed_together_even_beyond_the_limit(house: House):
    await live(house, Notify.FINAL)
    first, second, third = await house.callbacks()
    at = house.now + 60_000
    results = [
        CallbackResult(one.id, CallbackState.PENDING, house.now, at, house.now, 503, "HTTP 503", 5, bundle=bundle)
        for one, bundle in ((first, first.id), (second, None), (third, first.id))
    ]
    await house.store.record_attempts(results)
    house.clock.advance(60)
    claimed = await house.callbacks(1)
    assert {one.id for one in claimed} in ({first.id, third.id}, {second.id})
    rest = await house.callbacks(1)
    assert {one.id for one in (*claimed, *rest)} == {first.id, second.id, third.id}
    assert {one.id: one.bundle for one in (*claimed, *rest)} == {
        first.id: first.id,
        second.id: None,
        third.id: first.id,
    }
