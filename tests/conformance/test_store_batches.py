"""What customers do to a stored batch: cancel, replace, feedback."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import select, text

from kvitto.core.model import Content, Notify
from kvitto.core.status import ErrorSource, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import BatchOutcome
from kvitto.store.verbs import dispatch
from tests.conformance.house import Door, House

_WAITS_FOR_A_LOCK = select(text("pid")).select_from(text("pg_locks")).where(text("NOT granted"))


def batch_id(message_id: str) -> str:
    return message_id[:22] + "0000"


async def cancel(house: House, message_id: str) -> Any:
    return await house.store.cancel_batch(house.account.id, batch_id(message_id), house.now)


# --- cancel --------------------------------------------------------------------------------------------------------


async def test_cancel_ends_what_waits_with_event_and_callback(house: House):
    ids = await house.send(3)
    house.clock.advance(1)
    outcome = await cancel(house, ids[0])
    assert outcome.problem == ""
    assert (outcome.batch.cancelled_at, outcome.batch.modified_at) == (house.now, house.now)
    assert outcome.batch == await house.store.fetch_batch(house.account.id, batch_id(ids[0]))
    for message in ids:
        view = await house.view(message)
        assert (view.status, view.reason, view.since_at) == (Status.CANCELLED, Reason.CANCELLED, house.now)
        assert view.error.source is ErrorSource.LOCAL
    assert await house.told() == [(message, Status.CANCELLED) for message in ids]
    assert await house.claim() == []


async def test_cancel_leaves_alone_what_a_link_has_taken(house: House):
    flying, waiting = await house.send(2)
    await house.claim(1)
    await cancel(house, flying)
    assert [(await house.status(one))[0] for one in (flying, waiting)] == [Status.QUEUED, Status.CANCELLED]
    await house.answer(flying, "id1")
    assert (await house.status(flying))[0] is Status.DISPATCHED


async def test_cancel_ends_a_message_that_waits_for_another_try(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0x58, retry_in_s=5)
    await cancel(house, message)
    assert (await house.status(message))[0] is Status.CANCELLED
    house.clock.advance(10)
    assert await house.claim() == []


async def test_what_comes_back_unsent_after_a_cancel_is_not_sent_after_all(house: House):
    (message,), (other,) = await house.send(), await house.send()
    await house.claim()
    await cancel(house, message)
    await house.fate(message, in_doubt=False)
    await house.fate(other, in_doubt=False)
    assert await house.status(message) == (Status.CANCELLED, Reason.CANCELLED)
    assert [one.message_id for one in await house.claim()] == [other]
    assert [one.facts.id for one in await house.callbacks()] == [message]


async def test_a_cancelled_message_that_has_left_in_part_goes_on_with_the_part_that_came_back(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "id1", part=1)
    await cancel(house, message)
    await house.fate(message, part=2, in_doubt=False)
    assert [one.todo for one in await house.claim()] == [(2,)]


async def test_cancel_does_not_touch_parts_in_doubt(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    await cancel(house, message)
    assert (await house.status(message))[0] is Status.QUEUED
    assert len(await house.store.list_in_doubt(None)) == 1


async def test_cancel_after_the_end_changes_no_message(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    await house.told()
    outcome = await cancel(house, message)
    assert outcome.batch.cancelled_at == house.now
    assert (await house.status(message))[0] is Status.DELIVERED
    assert await house.callbacks() == []


async def test_the_second_cancel_keeps_the_first_ones_time(house: House):
    (message,) = await house.send()
    first = await cancel(house, message)
    house.clock.advance(60)
    second = await cancel(house, message)
    assert second.batch.cancelled_at == first.batch.cancelled_at
    assert await house.told() == [(message, Status.CANCELLED)]


@pytest.mark.parametrize("notify", [Notify.FINAL, Notify.CHANGES, Notify.BATCH_FULL])
async def test_cancel_before_send_at_calls_nobody_and_shows_no_messages(house: House, notify):
    (message,) = await house.send(send_at=house.now + 60_000, notify=notify, aborts={})
    await cancel(house, message)
    assert await house.callbacks() == []
    house.clock.advance(120)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.callbacks() == []
    assert await house.claim() == []
    report = await house.store.fetch_batch_report(
        house.account.id, batch_id(message), recipients=False, first_final=True, now=house.now
    )
    assert report.visible is False


async def test_cancel_after_send_at_is_an_ordinary_cancel(house: House):
    (message,) = await house.send(send_at=house.now + 60_000)
    house.clock.advance(60)
    await cancel(house, message)
    assert await house.told() == [(message, Status.CANCELLED)]


async def test_aborts_of_a_cancelled_scheduled_batch_stay_silent(house: House):
    (message,) = await house.send(send_at=house.now + 60_000, aborts={0: Reason.NO_ROUTE})
    await cancel(house, message)
    house.clock.advance(60)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.look(select(t.message.c.status)) == [("CANCELLED",)]
    assert await house.callbacks() == []


async def test_cancel_of_what_is_not_ours_or_not_there(house: House):
    (message,) = await house.send()
    other = await house.new_account()
    assert await house.store.cancel_batch(other.id, batch_id(message), house.now) == BatchOutcome(None, "not_found")
    assert await house.store.cancel_batch(house.account.id, house.ids.new(), house.now) == BatchOutcome(
        None, "not_found"
    )
    assert (await house.status(message))[0] is Status.QUEUED


async def test_cancel_touches_its_own_batch_alone(house: House):
    first, second = await house.send(2), await house.send(2)
    await cancel(house, first[0])
    assert [one.message_id for one in await house.claim()] == second


async def test_cancel_and_claim_at_once_decide_each_message_once(postgres_house: House):
    house = postgres_house
    other = await house.second(node="node2")
    ids = await house.send(50, notify=Notify.FINAL)
    claimed, _ = await asyncio.gather(
        other.claim_messages("link", 25, house.now),
        house.store.cancel_batch(house.account.id, batch_id(ids[0]), house.now),
    )
    states = dict(await house.look(select(t.message.c.id, t.message.c.status)))
    assert all(states[one.message_id] == "QUEUED" for one in claimed)
    assert sum(status == "CANCELLED" for status in states.values()) == 50 - len(claimed)


# --- replace -------------------------------------------------------------------------------------------------------


async def test_replace_puts_new_content_and_messages_in_place(house: House):
    old = house.plan(3, send_at=house.now + 60_000)
    await house.store.accept_batch(old)
    house.clock.advance(1)
    wishes: dict[str, Any] = {"send_at": house.now + 90_000, "content": Content(text="new"), "sender": "Other"}
    new = house.plan(2, batch_id=old.batch.id, created_at=old.batch.created_at, **wishes)
    assert await house.store.replace_batch(new, old.batch.modified_at) == BatchOutcome(new.batch)
    assert await house.store.fetch_batch(house.account.id, old.batch.id) == new.batch
    house.clock.advance(60)
    assert await house.claim() == []
    house.clock.advance(30)
    claimed = await house.claim()
    assert [(one.recipient, one.text, one.sender) for one in claimed] == [
        (recipient, "new", "Other") for recipient in new.batch.recipients
    ]


async def test_replace_of_a_batch_that_somebody_else_changed(house: House):
    old = house.plan(send_at=house.now + 60_000)
    await house.store.accept_batch(old)
    house.clock.advance(1)
    new = house.plan(batch_id=old.batch.id)
    assert await house.store.replace_batch(new, old.batch.modified_at - 1) == BatchOutcome(None, "changed")
    assert await house.store.fetch_batch(house.account.id, old.batch.id) == old.batch


@pytest.mark.parametrize("how", ["claimed", "cancelled", "aborted", "delivered", "returned"])
async def test_replace_of_a_batch_that_has_left(house: House, how):
    (message,) = await house.send(aborts={0: Reason.NO_ROUTE} if how == "aborted" else {})
    if how in ("claimed", "delivered", "returned"):
        await house.claim()
    if how == "delivered":
        await house.answer(message, "id1")
    if how == "returned":
        await house.fate(message, in_doubt=False)
    if how == "cancelled":
        await cancel(house, message)
    batch = await house.store.fetch_batch(house.account.id, batch_id(message))
    new = house.plan(batch_id=batch.id)
    assert await house.store.replace_batch(new, batch.modified_at) == BatchOutcome(None, "already_dispatched")
    assert await house.store.fetch_batch(house.account.id, batch.id) == batch


async def test_p6_a_batch_that_another_node_is_claiming_is_replaced_by_nothing(
    postgres_house: House, monkeypatch: pytest.MonkeyPatch
):
    house = postgres_house
    (message,) = await house.send()
    other = await house.second(node="node2")
    claimed, committing, may_commit = dispatch._claim, threading.Event(), threading.Event()

    def held(*given: Any) -> Any:
        taken = claimed(*given)
        committing.set()
        assert may_commit.wait(20)
        return taken

    monkeypatch.setattr(dispatch, "_claim", held)
    claiming = asyncio.ensure_future(other.claim_messages("link", 10, house.now))
    assert await asyncio.to_thread(committing.wait, 20)
    new = house.plan(batch_id=batch_id(message), content=Content(text="new"))
    replacing = asyncio.ensure_future(house.store.replace_batch(new, house.now))
    for _ in range(2000):
        if replacing.done() or await house.look(_WAITS_FOR_A_LOCK):
            break
        await asyncio.sleep(0.01)
    may_commit.set()
    assert [one.message_id for one in await claiming] == [message]
    assert await replacing == BatchOutcome(None, "already_dispatched")
    assert await house.claim() == []


async def test_replace_of_what_is_not_ours_or_not_there(house: House):
    other = await house.new_account()
    old = house.plan(send_at=house.now + 60_000)
    await house.store.accept_batch(old)
    stolen = house.plan(batch_id=old.batch.id, account=other)
    assert await house.store.replace_batch(stolen, old.batch.modified_at) == BatchOutcome(None, "not_found")
    assert await house.store.replace_batch(house.plan(), house.now) == BatchOutcome(None, "not_found")


async def test_replace_ends_aborts_and_counts_them_for_the_batchs_callback(house: House):
    old = house.plan(send_at=house.now + 60_000, notify=Notify.BATCH_SUMMARY)
    await house.store.accept_batch(old)
    new = house.plan(2, batch_id=old.batch.id, notify=Notify.BATCH_SUMMARY, aborts={0: Reason.NO_ROUTE})
    assert (await house.store.replace_batch(new, old.batch.modified_at)).problem == ""
    assert await house.callbacks() == []
    await house.store.cancel_batch(house.account.id, old.batch.id, house.now)
    (due,) = await house.callbacks()
    assert {(count.status, count.count) for count in due.facts.counts} == {(Status.ABORTED, 1), (Status.CANCELLED, 1)}


async def test_replace_pays_for_what_it_adds_and_gets_nothing_for_less(house: House):
    account = await house.new_account(quota=4)
    old = house.plan(3, account=account, send_at=house.now + 60_000)
    await house.store.accept_batch(old)
    modified_at = old.batch.modified_at

    async def put(count: int) -> BatchOutcome:
        nonlocal modified_at
        new = house.plan(count, account=account, batch_id=old.batch.id, send_at=house.now + 60_000)
        new = new._replace(batch=new.batch._replace(modified_at=modified_at + 1))
        outcome = await house.store.replace_batch(new, modified_at)
        modified_at += outcome.batch is not None
        return outcome

    assert (await put(5)).problem == "quota"
    assert (await put(4)).problem == ""
    found, _ = await house.store.find_account(id=account.id)
    assert found.quota == 0
    assert (await put(4)).problem == ""


async def test_a_claim_and_a_replacement_never_both_win(house: House):
    door = Door()
    house.store.set_callback_handoff(door)
    old = house.plan(2)
    await house.store.accept_batch(old)
    new = house.plan(1, batch_id=old.batch.id)
    outcome, claimed = await asyncio.gather(house.store.replace_batch(new, old.batch.modified_at), house.claim())
    texts = {one.recipient for one in claimed}
    assert texts == set((new if outcome.batch else old).batch.recipients)


# --- feedback ------------------------------------------------------------------------------------------------------


async def feedback(house: House) -> list[tuple]:
    return await house.look(select(t.feedback.c.recipient, t.feedback.c.at).order_by(t.feedback.c.recipient))


async def test_feedback_is_kept_once_a_number(house: House):
    new = house.plan(2, feedback=True)
    await house.store.accept_batch(new)
    first, second = new.batch.recipients
    at = house.now
    assert await house.store.record_feedback(house.account.id, new.batch.id, [first, first], at)
    house.clock.advance(1)
    assert await house.store.record_feedback(house.account.id, new.batch.id, [first, second], house.now)
    assert await feedback(house) == [(first, at), (second, house.now)]


async def test_feedback_for_all_is_kept_as_such(house: House):
    new = house.plan(2, feedback=True)
    await house.store.accept_batch(new)
    assert await house.store.record_feedback(house.account.id, new.batch.id, [], house.now)
    assert await feedback(house) == [("", house.now)]


async def test_feedback_where_none_was_asked_for_or_not_ours(house: House):
    without, wanted = house.plan(), house.plan(feedback=True)
    for new in (without, wanted):
        await house.store.accept_batch(new)
    other = await house.new_account()
    assert not await house.store.record_feedback(house.account.id, without.batch.id, [], house.now)
    assert not await house.store.record_feedback(other.id, wanted.batch.id, [], house.now)
    assert not await house.store.record_feedback(house.account.id, house.ids.new(), [], house.now)
    assert await feedback(house) == []
