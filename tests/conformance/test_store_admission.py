"""How batches come in: all or nothing, quota, rate, schedules, and messages that end at once."""

import asyncio

import pytest
from sqlalchemy import func, select

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import BatchReport, Content, ContentKind, Notify
from kvitto.core.status import ErrorSource, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import AdmissionRefused
from tests.conformance.house import DAY_MS, Door, House


async def count(house: House, table) -> int:
    return (await house.look(select(func.count()).select_from(table)))[0][0]


async def test_an_accepted_batch_reads_back_as_it_was_given(house: House):
    content = Content(
        text="Hej ${name} ÅÄÖ 😀", parameters={"name": {"46700000001": "Bo", "default": "du"}}, flash=True, max_parts=3
    )
    new = house.plan(2, content=content, client_reference="ref", extra={"tags": ["a", "b"], "n": None}, feedback=True)
    assert await house.store.accept_batch(new) == new
    assert await house.store.fetch_batch(house.account.id, new.batch.id) == new.batch


@pytest.mark.parametrize("kind", list(ContentKind))
async def test_every_kind_of_content_reads_back(house: House, kind):
    content = Content(
        kind=kind, data="00ff", udh="0003", media_url="http://m/", media_subject="s", source_ton=5, source_npi=0
    )
    new = house.plan(content=content, sender=None)
    await house.store.accept_batch(new)
    assert (await house.store.fetch_batch(house.account.id, new.batch.id)).content == content


async def test_new_messages_wait_in_the_queue_and_cause_no_callback(house: House):
    (message,) = await house.send()
    assert await house.status(message) == (Status.QUEUED, Reason.QUEUED)
    assert await house.events(message) == []
    assert await house.callbacks() == []


async def test_a_batch_of_an_unknown_account_is_refused_and_nothing_is_stored(house: House):
    new = house.plan(2, account_id=house.ids.new())
    assert await house.store.accept_batch(new) == AdmissionRefused("account")
    assert await count(house, t.batch) == await count(house, t.message) == 0


async def test_a_deleted_account_sends_nothing_more(house: House):
    assert await house.store.delete_account(house.account.name)
    assert await house.store.accept_batch(house.plan()) == AdmissionRefused("account")


async def test_a_batch_that_cannot_be_stored_leaves_nothing_of_it_and_harms_no_neighbour(house: House):
    good, bad, last = house.plan(2), house.plan(2), house.plan(2)
    twice = bad._replace(messages=[bad.messages[0], bad.messages[0]])
    results = await asyncio.gather(
        *[house.store.accept_batch(new) for new in (good, twice, last)], return_exceptions=True
    )
    assert results[0] == good
    assert results[2] == last
    assert isinstance(results[1], Exception)
    assert not isinstance(results[1], StoreUnavailable)
    assert await house.store.fetch_batch(house.account.id, bad.batch.id) is None
    assert await count(house, t.message) == 4


async def test_batches_accepted_together_all_stand(house: House):
    plans = [house.plan(3) for _ in range(200)]
    accepted = await asyncio.gather(*map(house.store.accept_batch, plans))
    assert [stored.batch.id for stored in accepted] == [new.batch.id for new in plans]
    assert await count(house, t.message) == 600
    assert house.store.commits.transactions < 100, "they share transactions"


async def test_quota_is_spent_and_a_batch_beyond_it_is_refused_whole(house: House):
    account = await house.new_account(quota=5)
    assert not isinstance(await house.store.accept_batch(house.plan(3, account=account)), AdmissionRefused)
    assert await house.store.accept_batch(house.plan(3, account=account)) == AdmissionRefused("quota")
    assert not isinstance(await house.store.accept_batch(house.plan(2, account=account)), AdmissionRefused)
    assert await house.store.accept_batch(house.plan(1, account=account)) == AdmissionRefused("quota")
    found, _ = await house.store.find_account(id=account.id)
    assert found.quota == 0
    assert await count(house, t.message) == 5


async def test_quota_holds_among_batches_of_one_transaction(house: House):
    account = await house.new_account(quota=7)
    results = await asyncio.gather(*[house.store.accept_batch(house.plan(2, account=account)) for _ in range(10)])
    assert sum(result != AdmissionRefused("quota") for result in results) == 3
    assert await count(house, t.message) == 6


async def due_times(house: House, account) -> list[int]:
    query = select(t.message.c.due_at).where(t.message.c.account_id == account.id).order_by(t.message.c.id)
    return [row[0] for row in await house.look(query)]


async def test_rate_spaces_messages_first_in_first_out(house: House):
    account = await house.new_account(rate=4.0)
    for size in (2, 1, 3):
        await house.store.accept_batch(house.plan(size, account=account))
    assert await due_times(house, account) == [house.now + 250 * n for n in range(6)]


async def test_rate_holds_over_a_restart(house: House):
    account = await house.new_account(rate=2.0)
    await house.store.accept_batch(house.plan(2, account=account))
    await house.restart()
    await house.store.accept_batch(house.plan(1, account=account))
    assert await due_times(house, account) == [house.now, house.now + 500, house.now + 1000]


@pytest.mark.parametrize("rate", [30.0, 600.0, 3000.0])
async def test_rate_is_kept_within_one_in_a_hundred_by_batches_of_one(house: House, rate):
    account = await house.new_account(rate=rate)
    for _ in range(60):
        await house.store.accept_batch(house.plan(1, account=account))
    last = (await due_times(house, account))[-1] - house.now
    assert last == pytest.approx(59 * 1000 / rate, rel=0.01, abs=1.0)


async def test_time_that_passed_unused_is_no_credit(house: House):
    account = await house.new_account(rate=2.0)
    await house.store.accept_batch(house.plan(1, account=account))
    house.clock.advance(60)
    await house.store.accept_batch(house.plan(2, account=account))
    assert (await due_times(house, account))[1:] == [house.now, house.now + 500]


async def test_a_scheduled_batch_keeps_the_rate_from_its_own_time_and_holds_up_nobody(house: House):
    account = await house.new_account(rate=2.0)
    await house.store.accept_batch(house.plan(3, account=account, send_at=house.now + 60_000))
    await house.store.accept_batch(house.plan(2, account=account))
    later = house.now + 60_000
    assert await due_times(house, account) == [later, later + 500, later + 1000, house.now, house.now + 500]


async def test_one_accounts_rate_does_not_hold_up_another(house: House):
    slow, quick = await house.new_account(rate=1.0), await house.new_account()
    await house.store.accept_batch(house.plan(5, account=slow))
    await house.store.accept_batch(house.plan(5, account=quick))
    assert await due_times(house, quick) == [house.now] * 5


async def test_a_scheduled_batch_is_due_at_its_time_and_not_shown_before(house: House):
    send_at = house.now + 3_600_000
    (message,) = await house.send(send_at=send_at)
    batch_id = message[:22] + "0000"
    assert await house.look(select(t.message.c.due_at, t.message.c.reason)) == [(send_at, "scheduled")]
    report = await house.store.fetch_batch_report(
        house.account.id, batch_id, recipients=False, first_final=True, now=house.now
    )
    assert report.visible is False
    recipient = await house.recipient(message)
    assert (
        await house.store.fetch_message(house.account.id, batch_id, recipient, first_final=True, now=house.now) is None
    )
    assert await house.claim() == []
    house.clock.advance(3600)
    assert await house.status(message) == (Status.QUEUED, Reason.SCHEDULED)
    assert [one.message_id for one in await house.claim()] == [message]


async def test_a_message_with_an_abort_ends_at_admission_with_event_and_callback(house: House):
    ids = await house.send(3, aborts={1: Reason.TOO_MANY_PARTS})
    assert await house.status(ids[1]) == (Status.ABORTED, Reason.TOO_MANY_PARTS)
    view = await house.view(ids[1])
    assert view.error.source is ErrorSource.LOCAL
    assert view.since_at == house.now
    assert await house.events(ids[1]) == [(Status.ABORTED, Reason.TOO_MANY_PARTS)]
    assert await house.told() == [(ids[1], Status.ABORTED)]
    assert [one.message_id for one in await house.claim()] == [ids[0], ids[2]]


async def test_aborts_of_a_scheduled_batch_end_when_it_is_due(house: House):
    ids = await house.send(2, send_at=house.now + 60_000, aborts={0: Reason.NO_ROUTE})
    assert await house.store.end_overdue({}, house.now, 100) == 0
    assert await house.callbacks() == []
    house.clock.advance(60)
    assert await house.store.end_overdue({}, house.now, 100) == 1
    assert await house.status(ids[0]) == (Status.ABORTED, Reason.NO_ROUTE)
    assert await house.told() == [(ids[0], Status.ABORTED)]
    assert [one.message_id for one in await house.claim()] == [ids[1]]


async def test_a_batch_whose_messages_all_abort_is_reported_at_once(house: House):
    door = Door()
    house.store.set_callback_handoff(door)
    await house.send(2, notify=Notify.BATCH_FULL, aborts={0: Reason.NO_ROUTE, 1: Reason.NO_ROUTE})
    (due,) = door.taken
    assert isinstance(due.facts, BatchReport)
    assert due.facts.counts[0].count == 2


async def test_a_number_may_occur_twice_in_a_batch_and_the_newer_is_shown(house: House):
    number = house.number()
    first, second = await house.send(to=[number, number], aborts={1: Reason.FLOODING})
    view = await house.store.fetch_message(
        house.account.id, first[:22] + "0000", number, first_final=True, now=house.now
    )
    assert view.id == second


async def test_a_large_batch_is_stored_whole(house: House):
    ids = await house.send(3000)
    assert await count(house, t.message) == 3000
    assert [one.message_id for one in await house.claim(5000)] == ids


async def test_text_of_its_own_goes_with_the_message(house: House):
    await house.send(2, texts={1: "hello Bo"})
    assert [one.text for one in await house.claim()] == ["hello", "hello Bo"]


async def test_octets_that_text_columns_refuse_are_stored_all_the_same(house: House):
    new = house.plan(client_reference="a\x00b", texts={0: "a\x00b"})
    assert await house.store.accept_batch(new) == new


async def test_validity_longer_than_the_schedule_counts_from_it(house: House):
    send_at = house.now + DAY_MS
    (message,) = await house.send(send_at=send_at, valid_s=60)
    house.clock.advance(86_400 + 59)
    assert await house.store.end_overdue({}, house.now, 10) == 0
    house.clock.advance(1)
    assert await house.store.end_overdue({}, house.now, 10) == 1
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
