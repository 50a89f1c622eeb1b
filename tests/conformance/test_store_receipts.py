"""What receipts make of a message, through the database: R38, R40-R42, R44-R48, R55, and late corrections."""

from itertools import permutations, product

import pytest
from sqlalchemy import select

from kvitto.core.model import BatchReport, MessageFilter, Notify, ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.core.status import ErrorSource, Note, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import ReceivedReceipt
from tests.conformance.house import DAY_MS, REASON_OF, RULES, Door, House, build_receipt

ENDS = [Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.DELETED, Status.REJECTED, Status.UNKNOWN]
FAILING = {Status.FAILED, Status.EXPIRED, Status.DELETED, Status.REJECTED}


@pytest.mark.parametrize("end", ENDS)
async def test_a_final_receipt_ends_the_message_with_its_error_and_one_callback(house: House, end):
    (message,) = await house.dispatch()
    house.clock.advance(2)
    result = await house.receipt_for(message, end, err="027", net=(3, 27), done_at=house.now - 1000)
    assert result.outcome is ReceiptOutcome.MATCHED
    view = await house.view(message)
    assert (view.status, view.reason, view.since_at, view.done_at) == (end, REASON_OF[end], house.now, house.now - 1000)
    assert view.error == (ErrorSource.NETWORK, "027", 3, 27, None)
    ((due,),) = [await house.callbacks()]
    assert due.facts == view
    assert await house.events(message) == [(end, REASON_OF[end])]


def expected(ends: tuple[Status, ...]) -> Status:
    """R38 in other words."""
    failing = [end for end in ends if end in FAILING]
    if failing:
        return failing[0]
    return Status.UNKNOWN if Status.UNKNOWN in ends else Status.DELIVERED


async def test_r38_all_combinations_of_ends_for_one_to_three_parts(house: House):
    cases = [ends for parts in (1, 2, 3) for ends in product(ENDS, repeat=parts)]
    ids = await house.dispatch(len(cases), parts=[len(ends) for ends in cases])
    for place in range(3):
        house.clock.advance(1)
        received = [
            ReceivedReceipt(
                "link", "link", house.now, "", build_receipt(house.smsc_id(message, place + 1), ends[place]), RULES
            )
            for message, ends in zip(ids, cases, strict=True)
            if place < len(ends)
        ]
        await house.store.record_receipts(received)
    rows = dict(await house.look(select(t.message.c.id, t.message.c.status)))
    wrong = [(ends, rows[message]) for message, ends in zip(ids, cases, strict=True) if rows[message] != expected(ends)]
    assert wrong == []
    notes = await house.look(select(t.message.c.notes).distinct())
    assert notes == [(0,)], "parts that end differently do not contradict each other"
    finals = await house.told()
    assert sorted(finals) == sorted((message, expected(ends)) for message, ends in zip(ids, cases, strict=True))


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
async def test_r38_delivered_is_dated_by_the_part_delivered_last(house: House, order):
    (message,) = await house.dispatch(parts=3)
    house.clock.advance(100)
    for part in order:
        assert (await house.status(message))[0] is Status.DISPATCHED
        await house.receipt_for(message, part=part, done_at=house.now - 50_000 + part * 1000, err=f"00{part}")
    view = await house.view(message)
    assert (view.status, view.done_at, view.error.text) == (Status.DELIVERED, house.now - 47_000, "003")


async def test_r38_parts_that_end_in_one_transaction_end_the_message_once(house: House):
    (message,) = await house.dispatch(parts=3)
    received = [
        ReceivedReceipt("link", "link", house.now, "", build_receipt(house.smsc_id(message, part)), RULES)
        for part in (3, 1, 2)
    ]
    await house.store.record_receipts(received)
    assert await house.told() == [(message, Status.DELIVERED)]


async def test_a_receipt_for_one_part_proves_only_that_part(house: House):
    (message,) = await house.send(parts=2, notify=Notify.CHANGES)
    await house.claim()
    await house.answer(message, "one", part=1)
    await house.receive(build_receipt("one", Status.DISPATCHED))
    assert (await house.status(message))[0] is Status.QUEUED
    await house.answer(message, "two", part=2)
    assert (await house.status(message))[0] is Status.DISPATCHED
    assert await house.told() == [(message, Status.DISPATCHED)]


@pytest.mark.parametrize(
    "reason", [Reason.ENROUTE, Reason.SCHEDULED_SMSC, Reason.OPERATOR_ACCEPTED, Reason.RETRYING_SMSC]
)
async def test_r40_on_the_way_is_not_there(house: House, reason):
    (message,) = await house.dispatch(notify=Notify.CHANGES)
    await house.told()
    await house.receipt_for(message, Status.DISPATCHED, reason)
    assert await house.status(message) == (Status.DISPATCHED, reason)
    assert await house.told() == [], "a new reason under the same status causes no callback"
    await house.receipt_for(message)
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)


async def test_r40_accepted_only_is_noted_at_the_end_of_the_wait_where_the_link_says_so(house: House):
    (message,) = await house.dispatch(valid_s=60)
    await house.receipt_for(message, Status.DISPATCHED, Reason.OPERATOR_ACCEPTED)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({"link": LinkRules(accepted_is_final=True)}, house.now, 10)
    view = await house.view(message)
    assert (view.status, view.reason, view.notes) == (Status.UNKNOWN, Reason.NO_RECEIPT, Note.ACCEPTED_ONLY)


async def test_r41_repetition_has_no_effect(house: House):
    (message,) = await house.dispatch()
    outcomes = [(await house.receipt_for(message, err="000")).outcome for _ in range(4)]
    together = [
        ReceivedReceipt(link, "link", house.now, "", build_receipt(house.smsc_id(message)), RULES)
        for link in ("a", "b")
    ]
    outcomes += [result.outcome for result in await house.store.record_receipts(together)]
    assert outcomes == [ReceiptOutcome.MATCHED] + [ReceiptOutcome.DUPLICATE] * 5
    assert await house.told() == [(message, Status.DELIVERED)]
    assert len(await house.events(message)) == 1
    assert (await house.view(message)).notes is Note.NONE
    assert len(await house.look(select(t.receipt.c.id).where(t.receipt.c.message_id == message))) == 6


async def test_r41_repetition_within_one_transaction_counts_once(house: House):
    (message,) = await house.dispatch()
    same = [ReceivedReceipt("link", "link", house.now, "", build_receipt(house.smsc_id(message)), RULES)] * 3
    assert [result.outcome for result in await house.store.record_receipts(same)] == [
        ReceiptOutcome.MATCHED,
        ReceiptOutcome.DUPLICATE,
        ReceiptOutcome.DUPLICATE,
    ]
    assert await house.told() == [(message, Status.DELIVERED)]


@pytest.mark.parametrize("first", [Status.DELIVERED, Status.FAILED, Status.EXPIRED])
async def test_r42_final_is_final(house: House, first):
    (message,) = await house.dispatch()
    await house.receipt_for(message, first)
    before = await house.view(message)
    house.clock.advance(5)
    other = Status.REJECTED
    assert (await house.receipt_for(message, other, err="1")).outcome is ReceiptOutcome.CONFLICT
    assert await house.view(message) == before._replace(notes=Note.CONFLICT)
    assert await house.told() == [(message, first)]


async def test_r46_an_intermediate_receipt_after_the_end_changes_nothing(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES)
    await house.receipt_for(message)
    before = await house.view(message)
    house.clock.advance(5)
    await house.receipt_for(message, Status.DISPATCHED)
    assert await house.view(message) == before
    assert await house.told() == [(message, Status.DISPATCHED), (message, Status.DELIVERED)]


async def test_r47_err_on_a_delivered_message_is_stored(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message, err="001")
    view = await house.view(message)
    assert (view.status, view.error.text) == (Status.DELIVERED, "001")


@pytest.mark.parametrize(
    ("done_s", "shown_s"), [(None, None), (-5, -5), (-10, -10), (-11, 0), (-90_000, 0), (86_400, 86_400), (86_401, 0)]
)
async def test_r55_an_unbelievable_done_date_is_shown_as_the_time_of_receiving(house: House, done_s, shown_s):
    (message,) = await house.dispatch()
    house.clock.advance(10)
    await house.receipt_for(message, done_at=None if done_s is None else house.now + done_s * 1000)
    assert (await house.view(message)).done_at == (None if shown_s is None else house.now + shown_s * 1000)


async def test_r44_the_wait_for_a_receipt_ends_once(house: House):
    (message,) = await house.dispatch(valid_s=60)
    house.clock.advance(60 + 3599.999)
    await house.store.end_overdue({}, house.now, 10)
    assert (await house.status(message))[0] is Status.DISPATCHED
    house.clock.advance(0.001)
    assert await house.store.end_overdue({}, house.now, 10) == 1
    assert await house.status(message) == (Status.UNKNOWN, Reason.NO_RECEIPT)
    assert await house.told() == [(message, Status.UNKNOWN)]
    house.clock.advance(100_000)
    assert await house.store.end_overdue({}, house.now, 10) == 0


async def test_r44_each_link_waits_as_long_as_it_says(house: House):
    (message,) = await house.dispatch(valid_s=60)
    rules = {"link": LinkRules(dlr_grace_s=7200), "other": LinkRules(dlr_grace_s=1)}
    house.clock.advance(60 + 3600)
    await house.store.end_overdue(rules, house.now, 10)
    assert (await house.status(message))[0] is Status.DISPATCHED
    house.clock.advance(3600)
    await house.store.end_overdue(rules, house.now, 10)
    assert (await house.status(message))[0] is Status.UNKNOWN


async def unknown(house: House, **wishes) -> str:
    (message,) = await house.dispatch(valid_s=60, **wishes)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    assert (await house.status(message))[0] is Status.UNKNOWN
    return message


@pytest.mark.parametrize("late", [Status.DELIVERED, Status.FAILED])
async def test_r45_a_late_receipt_corrects_unknown_and_the_first_end_is_kept(house: House, late):
    message = await unknown(house)
    first = await house.view(message)
    house.clock.advance(500)
    assert (await house.receipt_for(message, late, err="005")).outcome is ReceiptOutcome.LATE
    view = await house.view(message)
    assert (view.status, view.since_at, view.notes) == (late, house.now, Note.LATE)
    shown = await house.view(message, first_final=True)
    assert shown._replace(notes=Note.NONE) == first
    due = await house.callbacks()
    told = [(one.facts.status, one.facts.since_at, one.facts.notes) for one in due]
    assert told == [(Status.UNKNOWN, first.since_at, Note.NONE), (late, view.since_at, Note.LATE)]


async def test_r45_once_corrected_it_stays(house: House):
    message = await unknown(house)
    await house.receipt_for(message)
    assert (await house.receipt_for(message, Status.FAILED)).outcome is ReceiptOutcome.CONFLICT
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.LATE | Note.CONFLICT)


async def test_r45_another_unknown_is_no_correction(house: House):
    message = await unknown(house)
    first = await house.view(message)
    await house.receipt_for(message, Status.UNKNOWN)
    assert await house.view(message) == first


async def test_r23_an_unreadable_receipt_is_corrected_by_a_readable_one(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message, Status.UNKNOWN, Reason.UNREADABLE)
    assert await house.status(message) == (Status.UNKNOWN, Reason.UNREADABLE)
    await house.receipt_for(message)
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)
    assert (await house.view(message, first_final=True)).reason is Reason.UNREADABLE


async def test_r45_lists_and_counts_stay_at_the_first_end_for_those_who_ask(house: House):
    message = await unknown(house)
    house.clock.advance(10)
    await house.receipt_for(message)
    batch_id = message[:22] + "0000"
    for first_final, status in ((True, Status.UNKNOWN), (False, Status.DELIVERED)):
        report = await house.store.fetch_batch_report(
            house.account.id, batch_id, recipients=True, first_final=first_final, now=house.now
        )
        assert [(count.status, count.count) for count in report.counts] == [(status, 1)]
        wanted = MessageFilter(first_final=first_final, shows=lambda found, *_, status=status: found is status)
        page = await house.store.list_messages(house.account.id, wanted, 0, 10)
        assert [(one.id, one.status) for one in page.messages] == [(message, status)]
        assert page.total == 1


@pytest.mark.parametrize("places", [100, 0])
async def test_r45_a_batchs_callback_counts_first_ends_handed_off_or_not(house: House, places):
    door = Door(places)
    house.store.set_callback_handoff(door)
    first, second = await house.dispatch(2, notify=Notify.BATCH_SUMMARY)
    await house.receipt_for(first, Status.UNKNOWN, Reason.UNREADABLE)
    await house.receipt_for(first)
    await house.receipt_for(second)
    (due,) = door.taken if places else await house.callbacks()
    assert isinstance(due.facts, BatchReport)
    assert {(count.status, count.count) for count in due.facts.counts} == {(Status.UNKNOWN, 1), (Status.DELIVERED, 1)}


async def test_more_kinds_of_ends_than_fit_one_statement_still_page_well(house: House):
    ids = await house.dispatch(300)
    house.clock.advance(10)
    received = [
        ReceivedReceipt(
            "link", "link", house.now, "", build_receipt(house.smsc_id(one), Status.FAILED, err=str(n)), RULES
        )
        for n, one in enumerate(ids)
    ]
    await house.store.record_receipts(received)
    found = []
    for page in range(11):
        got = await house.store.list_messages(house.account.id, MessageFilter(), page, 30)
        assert got.total == 300
        assert len(got.messages) == (30 if page < 10 else 0)
        found += [one.id for one in got.messages]
    assert found == ids[::-1]


async def test_in_doubt_message_with_validity_over_waits_for_its_receipt(house: House):
    (message,) = await house.send(valid_s=60)
    await house.claim()
    await house.fate(message, in_doubt=True)
    house.clock.advance(60)
    await house.store.end_overdue({}, house.now, 10)
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(DAY_MS / 1000)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(message) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
