"""Batches of several texts: one batch, one range of ids, and messages with what is their own (ADR 0014)."""

import pytest
from sqlalchemy import func, select

from kvitto.core.ids import batch_of
from kvitto.core.model import (
    Content,
    DeliveryWindow,
    Feed,
    FrozenAnswer,
    MessageView,
    NewBatch,
    Notify,
    Once,
    Submission,
)
from kvitto.core.status import ErrorSource, Reason, Status
from kvitto.intake.admit import plan
from kvitto.store import schema as t
from kvitto.store.api import AdmissionRefused
from tests.conformance.house import DAY_MS, Door, House

FIRST = Submission("infobip", "Bakery", ("46700000001", "46700000002"), Content(text="first"), Notify.NONE)
SECOND = Submission(
    "infobip",
    "Florist",
    ("46700000001",),
    Content(text="second"),
    Notify.FINAL,
    callback_url="http://florist.example/dlr",
    client_reference="flowers",
    extra={"shop": 2},
    client_ids=("F-1",),
    feed=Feed.PUSHED,
)


async def accept(house: House, submission: Submission, **changes) -> NewBatch:
    planned = plan(submission._replace(**changes), house.account, house.now, house.ids.new())
    assert isinstance(planned, NewBatch)
    stored = await house.store.accept_batch(planned)
    assert isinstance(stored, NewBatch), stored
    return stored


async def test_a_number_that_occurs_twice_is_two_messages_with_texts_of_their_own(house: House):
    new = await accept(house, FIRST, more=(SECOND,), client_id="bulk")
    assert new.batch.recipients == ("46700000001", "46700000002", "46700000001")
    claimed = await house.claim()
    assert [(one.message_id, one.recipient, one.sender, one.text) for one in claimed] == [
        (new.messages[0].id, "46700000001", "Bakery", "first"),
        (new.messages[1].id, "46700000002", "Bakery", "first"),
        (new.messages[2].id, "46700000001", "Florist", "second"),
    ]
    assert {batch_of(one.message_id) for one in claimed} == {new.batch.id}
    report = await house.store.fetch_batch_report(
        house.account.id, new.batch.id, recipients=True, first_final=False, now=house.now
    )
    assert report.message_count == 3
    assert report.counts[0].recipients == new.batch.recipients


async def test_each_text_has_its_own_callbacks_reference_and_extra(house: House):
    new = await accept(house, FIRST, more=(SECOND,), client_id="bulk")
    ids = [one.id for one in new.messages]
    for one in await house.claim():
        await house.answer(one.message_id, house.smsc_id(one.message_id))
        await house.receipt_for(one.message_id)
    (due,) = await house.callbacks()
    view = due.facts
    assert isinstance(view, MessageView)
    assert (due.url, due.dialect, view.id) == ("http://florist.example/dlr", "infobip", ids[2])
    assert (view.sender, view.client_id, view.batch_client_id) == ("Florist", "F-1", "bulk")
    assert (view.client_reference, view.extra) == ("flowers", {"shop": 2})
    assert view.smsc_message_id == house.smsc_id(ids[2])
    assert view == await house.view(ids[2])


async def test_facts_handed_over_are_those_that_are_claimed_later(house: House):
    door = Door(1)
    house.store.set_callback_handoff(door)
    new = await accept(
        house, FIRST, more=(SECOND, SECOND._replace(recipients=("46700000003",), client_ids=("F-2",))), client_id="bulk"
    )
    for one in await house.claim():
        await house.answer(one.message_id, house.smsc_id(one.message_id))
        await house.receipt_for(one.message_id)
    (handed,), (claimed,) = door.taken, await house.callbacks()
    views = {one.facts.id: one.facts for one in (handed, claimed)}
    for message in new.messages[2:]:
        assert views[message.id] == await house.view(message.id)


async def test_validity_and_send_at_are_each_texts_own(house: House):
    later = SECOND._replace(send_at=house.now + DAY_MS, client_ids=(), validity_default_ms=1000)
    new = await accept(house, FIRST, more=(later,), validity_default_ms=60_000)
    assert [one.message_id for one in await house.claim()] == [one.id for one in new.messages[:2]]
    house.clock.advance(DAY_MS / 1000)
    (claimed,) = await house.claim()
    assert (claimed.message_id, claimed.expire_at) == (new.messages[2].id, house.now + 1000)
    view = await house.view(new.messages[2].id)
    assert (view.created_at, view.sent_at) == (house.now - DAY_MS, house.now)


async def test_a_text_that_is_blocked_or_too_long_ends_alone(house: House):
    account = await house.new_account(blocked_numbers=("46700000009",))
    more = SECOND._replace(recipients=("46700000009",), notify=Notify.NONE)
    planned = plan(FIRST._replace(more=(more,)), account, house.now, house.ids.new())
    new = await house.store.accept_batch(planned)
    assert [one.abort for one in new.messages] == [None, None, Reason.BLOCKED_DESTINATION]
    view = await house.view(new.messages[2].id, account=account)
    assert (view.status, view.error.source, view.sender) == (Status.ABORTED, ErrorSource.LOCAL, "Florist")


# --- the customers' own ids ------------------------------------------------------------------------------------------


async def test_an_id_that_was_used_before_is_not_stored_again(house: House):
    await accept(house, SECOND)
    again = await accept(house, FIRST, client_ids=("F-1", "F-2"))
    assert again.refused == {"F-1"}
    assert [(one.client_id, one.recipient) for one in again.messages] == [("F-2", "46700000002")]
    stored = await house.store.fetch_batch(house.account.id, again.batch.id)
    assert stored == again.batch
    assert stored.recipients == ("46700000002",)


async def test_of_an_id_that_comes_twice_in_a_request_the_first_is_stored(house: House):
    new = await accept(house, FIRST, client_ids=("A", "A"))
    assert new.refused == {"A"}
    assert [one.recipient for one in new.messages] == ["46700000001"]


async def test_with_nothing_left_nothing_is_stored_and_no_quota_spent(house: House):
    account = await house.new_account(quota=2)
    planned = [plan(FIRST._replace(client_ids=("A", "B")), account, house.now, house.ids.new()) for _ in range(2)]
    first = await house.store.accept_batch(planned[0])
    second = await house.store.accept_batch(planned[1])
    assert (len(first.messages), second.messages, second.refused) == (2, [], {"A", "B"})
    assert await house.store.fetch_batch(account.id, second.batch.id) is None


async def test_ids_of_another_account_are_free(house: House):
    await accept(house, SECOND)
    stranger = await house.new_account()
    stored = await house.store.accept_batch(plan(SECOND, stranger, house.now, house.ids.new()))
    assert stored.refused == frozenset()


async def test_sends_at_once_share_no_id(house: House):
    planned = [plan(SECOND, house.account, house.now, house.ids.new()) for _ in range(10)]
    waiting = [house.store.accept_batch(one) for one in planned]
    stored = [len((await one).messages) for one in waiting]
    assert sorted(stored) == [0] * 9 + [1]


async def test_a_batch_of_several_texts_is_not_made_anew_from_one(house: House):
    new = await accept(house, FIRST, more=(SECOND,), send_at=house.now + DAY_MS)
    planned = plan(FIRST, house.account, house.now + 1, new.batch.id, created_at=new.batch.created_at)
    outcome = await house.store.replace_batch(planned, new.batch.modified_at)
    assert outcome.problem == "already_dispatched"


# --- spacing and windows ---------------------------------------------------------------------------------------------


async def test_spacing_lets_one_message_go_after_the_other(house: House):
    new = await accept(house, FIRST, spacing_ms=6000.0)
    assert [one.message_id for one in await house.claim()] == [new.messages[0].id]
    house.clock.advance(5.9)
    assert await house.claim() == []
    house.clock.advance(0.1)
    assert [one.message_id for one in await house.claim()] == [new.messages[1].id]


async def test_a_window_holds_messages_until_it_opens_and_again_when_it_was_missed(house: House):
    day = house.now // DAY_MS * DAY_MS
    house.clock.advance((day + DAY_MS - house.now) / 1000)  # midnight
    weekday = (house.now // DAY_MS + 3) % 7
    window = DeliveryWindow((weekday, (weekday + 1) % 7), 600, 660)
    await accept(house, FIRST, window=window, validity_default_ms=3 * DAY_MS)
    house.clock.advance(600 * 60 - 1)
    assert await house.claim() == []
    house.clock.advance(1)
    assert len(await house.claim(parts=1)) == 1
    house.clock.advance(3600)
    assert await house.claim() == []
    assert await house.store.next_due_at("link") == house.now + DAY_MS - 3_600_000
    house.clock.advance((DAY_MS - 3_600_000) / 1000)
    assert len(await house.claim()) == 1


# --- what else is told -----------------------------------------------------------------------------------------------


async def test_a_failed_attempt_that_the_smsc_reports_is_told_to_those_who_ask(house: House):
    asked, changes = await house.dispatch(1, notify=Notify.ATTEMPTS), await house.dispatch(1, notify=Notify.CHANGES)
    for message in (*asked, *changes):
        house.clock.advance(1)
        await house.receipt_for(message, Status.DISPATCHED, Reason.RETRYING_SMSC, err="027")
        await house.receipt_for(message, Status.DISPATCHED, Reason.RETRYING_SMSC, err="027")
        await house.receipt_for(message)
    due = await house.callbacks()
    told = [(one.facts.id, one.facts.reason) for one in due]
    assert [reason for message, reason in told if message == asked[0]] == [
        Reason.ACCEPTED,
        Reason.RETRYING_SMSC,
        Reason.DELIVERED,
    ]
    assert [reason for message, reason in told if message == changes[0]] == [Reason.ACCEPTED, Reason.DELIVERED]
    assert next(one.facts for one in due if one.facts.reason is Reason.RETRYING_SMSC).error.text == "027"


async def test_callbacks_are_told_in_the_dialect_that_the_batch_was_given(house: House):
    (message,) = await house.dispatch(callback_dialect="ninebits")
    await house.receipt_for(message)
    (due,) = await house.callbacks()
    assert (due.dialect, due.facts.dialect) == ("ninebits", "sinch")


# --- sends that are done once (P7) -----------------------------------------------------------------------------------


def frozen(new: NewBatch) -> FrozenAnswer:
    return FrozenAnswer(201, f'{{"id":"{new.batch.id}"}}'.encode(), "application/json", (("X-One", "1"),))


def keyed(house: House, *, key: str = "K", fingerprint: str = "F", text: str = "first") -> NewBatch:
    planned = plan(FIRST._replace(content=Content(text=text)), house.account, house.now, house.ids.new())
    assert isinstance(planned, NewBatch)
    return planned._replace(once=Once(key, fingerprint, frozen))


async def test_p7_fifty_equal_sends_at_once_are_one_batch(house: House):
    waiting = [house.store.accept_batch(keyed(house)) for _ in range(50)]
    results = [await one for one in waiting]
    stored = [one for one in results if isinstance(one, NewBatch)]
    again = [one for one in results if isinstance(one, FrozenAnswer)]
    assert (len(stored), len(again), len(set(again))) == (1, 49, 1)
    assert again[0] == frozen(stored[0])
    assert len(await house.claim()) == 2


async def test_p7_another_request_under_the_same_key_is_refused(house: House):
    await house.store.accept_batch(keyed(house))
    assert await house.store.accept_batch(keyed(house, fingerprint="G")) == AdmissionRefused("key_reused")


async def test_p7_a_key_lives_24_hours_over_restarts(house: House):
    first = await house.store.accept_batch(keyed(house))
    house.clock.advance(DAY_MS / 1000 - 1)
    await house.restart()
    assert await house.store.accept_batch(keyed(house)) == frozen(first)
    house.clock.advance(1)
    assert isinstance(await house.store.accept_batch(keyed(house)), NewBatch)
    assert isinstance(await house.store.accept_batch(keyed(house)), FrozenAnswer)


async def test_p7_keys_that_are_over_are_cleared_by_and_by(house: House):
    for n in range(60):
        await house.store.accept_batch(keyed(house, key=f"K{n}"))
    house.clock.advance(DAY_MS / 1000)
    await house.store.accept_batch(keyed(house, key="new"))
    assert await house.look(select(func.count()).select_from(t.idempotency)) == [(11,)]
    await house.store.accept_batch(keyed(house, key="newer"))
    assert await house.look(select(func.count()).select_from(t.idempotency)) == [(2,)]


async def test_p7_a_refused_send_keeps_no_key(house: House):
    account = await house.new_account(quota=1)
    planned = keyed(house)
    planned = planned._replace(batch=planned.batch._replace(account_id=account.id))
    assert await house.store.accept_batch(planned) == AdmissionRefused("quota")
    await house.store.set_account(account.name, {"quota": 5})
    assert isinstance(await house.store.accept_batch(planned), NewBatch)


@pytest.mark.postgres
async def test_p7_two_processes_keep_one_batch(postgres_house: House):
    house = postgres_house
    other = await house.second(node="other")
    waiting = [store.accept_batch(keyed(house)) for _ in range(20) for store in (house.store, other)]
    results = [await one for one in waiting]
    assert sum(isinstance(one, NewBatch) for one in results) == 1
    assert sum(isinstance(one, FrozenAnswer) for one in results) == 39
