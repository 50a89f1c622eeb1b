"""Receipts without a message: kept, listed, and given to their message by hand (R34, R35)."""

import pytest
from sqlalchemy import select

from kvitto.core.model import Notify, PartKey, ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Note, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import ORPHANS, Assigned, SubmitAnswer
from tests.conformance.house import House, build_receipt

PARK = {"link": LinkRules(park_s=90)}


async def orphan(house: House, smsc_id: str = "lost", status: Status = Status.DELIVERED, **how) -> int:
    """A receipt that matched nothing for as long as it was parked; its number."""
    await house.receive(build_receipt(smsc_id, status), **how)
    house.clock.advance(700)
    rules = {how.get("link", "link"): PARK["link"]}
    await house.store.retry_parked(rules, house.now)
    (newest, *_) = await house.store.list_receipts()
    assert newest.outcome is ReceiptOutcome.ORPHAN
    return newest.id


async def test_r34_an_orphan_is_kept_listed_and_counted_with_what_it_said(house: House):
    number = await orphan(house, status=Status.FAILED)
    (one,) = await house.store.list_receipts()
    assert (one.id, one.link, one.group, one.reason, one.raw) == (number, "link", "link", "no_match", "00aa")
    assert one.receipt is not None
    assert (one.receipt.message_id, one.receipt.status) == ("lost", Status.FAILED)
    assert await house.store.fetch_receipt(number) == one
    assert await house.store.fetch_receipt(number + 1) is None
    counts = {one.name: one.value for one in await house.store.count_links()}
    assert (counts["receipts"], counts["receipts_parked"], counts["receipts_orphan"]) == (1, 1, 1)


async def test_r34_receipts_are_listed_newest_first_page_by_page_by_outcome_group_and_time(house: House):
    numbers = [await orphan(house, f"lost{index}", link=link) for index, link in enumerate("aab")]
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    await house.receive(None)
    listed = await house.store.list_receipts()
    assert [one.outcome for one in listed] == [ReceiptOutcome.UNPARSEABLE, *[ReceiptOutcome.ORPHAN] * 3]
    assert [one.id for one in listed][1:] == numbers[::-1]
    assert [one.id for one in await house.store.list_receipts(group="a")] == [numbers[1], numbers[0]]
    assert [one.id for one in await house.store.list_receipts(limit=1, before_id=numbers[2])] == [numbers[1]]
    assert [one.id for one in await house.store.list_receipts(since_at=listed[1].received_at, group="b")] == [
        numbers[2]
    ]
    (matched,) = await house.store.list_receipts([ReceiptOutcome.MATCHED])
    assert (matched.message_id, matched.reason, matched.receipt) == (message, "", None)


async def test_r34_an_assigned_orphan_does_what_a_match_does_and_says_that_it_was_done_by_hand(house: House):
    number = await orphan(house)
    (message,) = await house.dispatch()
    house.clock.advance(5)
    result = await house.store.assign_receipt(number, message, None, house.now)
    assert result == Assigned(message, 1, ReceiptOutcome.MATCHED)
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)
    assert (await house.view(message)).since_at == house.now
    assert await house.told() == [(message, Status.DELIVERED)]
    stored = await house.store.fetch_receipt(number)
    assert (stored.outcome, stored.message_id, stored.part_no, stored.assigned_at, stored.receipt) == (
        ReceiptOutcome.ASSIGNED,
        message,
        1,
        house.now,
        None,
    )
    assert await house.store.list_receipts() == []
    assert [one.kind for one in await house.store.trace(message)].count("receipt") == 1


async def test_r34_the_same_assignment_again_changes_nothing_and_another_one_is_refused(house: House):
    number = await orphan(house)
    first, second = await house.dispatch(2)
    await house.store.assign_receipt(number, first, 1, house.now)
    again = await house.store.assign_receipt(number, first, None, house.now)
    assert again == Assigned(first, 1, ReceiptOutcome.DUPLICATE)
    assert (await house.store.assign_receipt(number, second, None, house.now)).problem == "already_matched"
    assert (await house.status(second))[0] is Status.DISPATCHED
    assert await house.told() == [(first, Status.DELIVERED)]


async def test_r34_a_parked_receipt_can_be_assigned_and_is_not_tried_again(house: House):
    await house.receive(build_receipt("early"))
    (parked,) = await house.store.list_receipts([ReceiptOutcome.PARKED])
    assert parked.reason == "waiting"
    (message,) = await house.dispatch()
    assert (await house.store.assign_receipt(parked.id, message, 1, house.now)).problem == ""
    assert await house.look(select(t.parked_key.c.receipt_id)) == []
    house.clock.advance(100)
    assert await house.store.retry_parked({}, house.now) == 0


async def test_r35_an_ambiguous_receipt_is_an_orphan_with_that_reason_until_somebody_decides(house: House):
    number = house.number()
    messages = []
    for smsc_id in ("0AA", "00aa"):
        (message,) = await house.send(to=[number])
        await house.claim()
        await house.answer(message, smsc_id)
        messages.append(message)
    await house.receive(build_receipt("aa", to=number))
    (one,) = await house.store.list_receipts()
    assert (one.outcome, one.reason) == (ReceiptOutcome.AMBIGUOUS, "ambiguous")
    assert one.outcome in ORPHANS
    assert (await house.store.assign_receipt(one.id, messages[1], None, house.now)).effect is ReceiptOutcome.MATCHED
    assert [(await house.status(message))[0] for message in messages] == [Status.DISPATCHED, Status.DELIVERED]


async def test_r35_a_parked_receipt_that_comes_to_fit_several_ends_ambiguous(house: House):
    number = house.number()
    await house.receive(build_receipt("aa", to=number))
    messages = await house.send(2, to=[number, number[:2] + "9" + number[3:]])
    await house.claim()
    answers = [
        SubmitAnswer(PartKey(message, 1), house.now, 0, name)
        for message, name in zip(messages, ("0AA", "00aa"), strict=True)
    ]
    await house.store.record_answers("link", "link", answers)
    (one,) = await house.store.list_receipts()
    assert (one.reason, one.next_try_at) == ("ambiguous", None)
    counts = {one.name: one.value for one in await house.store.count_links()}
    assert counts["receipts_ambiguous"] == 1


async def test_r34_a_text_of_several_parts_wants_to_know_which_part_unless_only_one_is_open(house: House):
    (message,) = await house.dispatch(parts=2)
    first = await orphan(house, "one")
    assert (await house.store.assign_receipt(first, message, None, house.now)).problem == "which_part"
    assert (await house.store.assign_receipt(first, message, 3, house.now)).problem == "no_such_part"
    assert (await house.store.assign_receipt(first, message, 2, house.now)).problem == ""
    second = await orphan(house, "two")
    assert (await house.store.assign_receipt(second, message, None, house.now)) == Assigned(
        message, 1, ReceiptOutcome.MATCHED
    )
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r34_what_cannot_be_is_refused_with_a_word(house: House):
    number = await orphan(house)
    (unsent,) = await house.send()
    assign = house.store.assign_receipt
    assert (await assign(number + 1, unsent, None, house.now)).problem == "no_such_receipt"
    assert (await assign(number, "01ARZ3NDEKTSV4RRFFQ69G5FAV", None, house.now)).problem == "no_such_message"
    assert (await assign(number, unsent, None, house.now)).problem == "not_sent"
    (elsewhere,) = await house.dispatch(link="other", routes="other")
    assert (await assign(number, elsewhere, None, house.now)).problem == "other_group"
    (here,) = await house.dispatch(routes="link")
    assert (await assign(number, here, None, house.now, status=Status.FAILED)).problem == "has_state"
    (matched,) = await house.dispatch()
    await house.receipt_for(matched)
    (row,) = await house.store.list_receipts([ReceiptOutcome.MATCHED])
    assert (await assign(row.id, here, None, house.now)).problem == "already_matched"
    assert (await house.store.fetch_receipt(number)).outcome is ReceiptOutcome.ORPHAN


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.DELETED, Status.REJECTED])
async def test_r34_an_unreadable_receipt_says_what_the_operator_reads_in_it(house: House, status: Status):
    (message,) = await house.dispatch()
    await house.receive(None)
    (one,) = await house.store.list_receipts()
    assert (one.reason, one.receipt) == ("unreadable", None)
    assert (await house.store.assign_receipt(one.id, message, None, house.now)).problem == "no_state"
    unsayable = await house.store.assign_receipt(one.id, message, None, house.now, status=Status.UNKNOWN)
    assert unsayable.problem == "no_state"
    assert (await house.store.assign_receipt(one.id, message, None, house.now, status=status)).problem == ""
    assert (await house.status(message))[0] is status


async def test_r34_assigned_to_a_part_in_doubt_it_ends_the_doubt_and_names_the_part(house: House):
    number = await orphan(house, "theirs")
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    assert (await house.store.assign_receipt(number, message, None, house.now)).effect is ReceiptOutcome.MATCHED
    assert await house.store.list_in_doubt(None) == []
    assert (await house.receive(build_receipt("theirs"))).outcome is ReceiptOutcome.DUPLICATE


async def test_r45_an_assignment_corrects_what_only_we_had_ended_and_no_real_end(house: House):
    (message,) = await house.dispatch(valid_s=1, notify=Notify.FINAL)
    house.clock.advance(3700)
    await house.store.end_overdue({}, house.now, 10)
    first, second = await orphan(house), await orphan(house, "other", Status.FAILED)
    assert (await house.store.assign_receipt(first, message, None, house.now)).effect is ReceiptOutcome.LATE
    assert (await house.store.assign_receipt(second, message, None, house.now)).effect is ReceiptOutcome.CONFLICT
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.LATE | Note.CONFLICT)
