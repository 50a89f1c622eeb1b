"""SMSCs that send one receipt for a text of several parts, and those that send one for each (R39)."""

import pytest

from kvitto.core.receipt import LinkRules, PartReceipts
from kvitto.core.status import Note, Reason, Status
from tests.conformance.house import House, build_receipt

AUTO, ONE, ALL = (LinkRules(part_receipts=kind) for kind in (PartReceipts.AUTO, PartReceipts.ONE, PartReceipts.ALL))


async def overdue(house: House, rules: LinkRules = AUTO) -> int:
    ended: int = await house.store.end_overdue({"link": rules}, house.now, 100)
    return ended


async def test_r39_auto_takes_one_delivered_receipt_for_all_after_ten_minutes_of_silence(house: House):
    (message,) = await house.dispatch(parts=3)
    await house.receipt_for(message, part=2, rules=AUTO)
    house.clock.advance(599)
    assert await overdue(house) == 0
    assert (await house.status(message))[0] is Status.DISPATCHED
    house.clock.advance(1)
    await overdue(house)
    view = await house.view(message)
    assert (view.status, view.reason, view.notes) == (Status.DELIVERED, Reason.DELIVERED, Note.PARTS_UNCONFIRMED)
    assert await house.told() == [(message, Status.DELIVERED)]


async def test_r39_the_silence_counts_from_the_last_receipt_and_its_length_is_the_links(house: House):
    rules = LinkRules(part_wait_s=100)
    (message,) = await house.dispatch(parts=3)
    await house.receipt_for(message, Status.DISPATCHED, part=1, rules=rules)
    house.clock.advance(60)
    await house.receipt_for(message, part=1, rules=rules)
    house.clock.advance(99)
    assert await overdue(house, rules) == 0
    house.clock.advance(1)
    await overdue(house, rules)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r39_the_end_of_the_validity_does_not_shorten_the_silence(house: House):
    (message,) = await house.dispatch(parts=2, valid_s=100)
    await house.receipt_for(message, rules=AUTO)
    house.clock.advance(100)
    await overdue(house)
    assert (await house.status(message))[0] is Status.DISPATCHED
    house.clock.advance(500)
    await overdue(house)
    assert (await house.view(message)).notes == Note.PARTS_UNCONFIRMED


async def test_r39_a_link_that_has_sent_two_receipts_for_one_text_is_waited_for_on_every_text(house: House):
    first, second = await house.dispatch(2, parts=2)
    for part in (1, 2):
        await house.receipt_for(first, part=part)
    assert (await house.status(first))[0] is Status.DELIVERED
    await house.receipt_for(second)
    await house.restart()  # remembered on disk
    house.clock.advance(601)
    await overdue(house)
    assert (await house.status(second))[0] is Status.DISPATCHED
    house.clock.advance(86_400 + 3600)
    await overdue(house)
    assert await house.status(second) == (Status.UNKNOWN, Reason.NO_RECEIPT)


async def test_r39_a_receipt_by_another_link_of_the_group_is_remembered_too(house: House):
    first, second = await house.dispatch(2, parts=2, group="smsc")
    for part, link in ((1, "link"), (2, "receiver")):
        await house.receipt_for(first, Status.DISPATCHED, part=part, link=link, group="smsc")
    await house.receipt_for(second, link="receiver", group="smsc")
    house.clock.advance(700)
    await overdue(house)
    assert (await house.status(second))[0] is Status.DISPATCHED


async def test_r39_a_repeated_receipt_is_no_receipt_for_a_second_part(house: House):
    (message,) = await house.dispatch(parts=2)
    for _ in range(3):
        await house.receipt_for(message)
    house.clock.advance(600)
    await overdue(house)
    assert (await house.status(message))[0] is Status.DELIVERED


@pytest.mark.parametrize("what", ["one_failed", "one_not_accepted", "none_delivered"])
async def test_r39_auto_takes_nothing_for_the_whole_that_does_not_look_like_it(house: House, what: str):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "p1", part=1)
    if what != "one_not_accepted":
        await house.answer(message, "p2", part=2)
    if what == "one_failed":
        await house.receive(build_receipt("p2", Status.FAILED))
    await house.receive(build_receipt("p1", Status.UNKNOWN if what == "none_delivered" else Status.DELIVERED))
    house.clock.advance(700)
    await overdue(house)
    assert (await house.status(message))[0] is (
        {"one_failed": Status.FAILED, "one_not_accepted": Status.QUEUED}.get(what, Status.DISPATCHED)
    )


async def test_r39_a_part_that_is_accepted_later_is_waited_for_and_then_taken_with_the_others(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "p1", part=1)
    await house.receive(build_receipt("p1"))
    house.clock.advance(601)
    await overdue(house)
    await house.answer(message, "p2", part=2)
    house.clock.advance(601)
    await overdue(house)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r39_one_the_first_final_receipt_decides_at_once_and_without_a_note(house: House):
    first, second, third = await house.dispatch(3, parts=3)
    await house.receipt_for(first, part=2, rules=ONE)
    await house.receipt_for(second, Status.FAILED, part=1, rules=ONE)
    await house.receipt_for(third, Status.DISPATCHED, part=1, rules=ONE)
    assert [(await house.status(one))[0] for one in (first, second, third)] == [
        Status.DELIVERED,
        Status.FAILED,
        Status.DISPATCHED,
    ]
    assert (await house.view(first)).notes == Note.NONE
    await house.receipt_for(first, Status.FAILED, part=1, rules=ONE)
    view = await house.view(first)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.CONFLICT)


async def test_r39_one_an_unreadable_end_of_the_whole_is_corrected_by_a_readable_one(house: House):
    (message,) = await house.dispatch(parts=2)
    await house.receipt_for(message, Status.UNKNOWN, part=1, rules=ONE)
    assert (await house.status(message))[0] is Status.UNKNOWN
    await house.receipt_for(message, part=2, rules=ONE)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r39_one_does_not_decide_while_part_of_the_text_still_waits_to_be_sent(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "p1", part=1)
    await house.answer(message, part=2, status=0x58, retry_in_s=1)
    await house.receive(build_receipt("p1"), rules=ONE)
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(2)
    (again,) = await house.claim()
    assert again.todo == (2,)
    await house.answer(message, "p2", part=2)
    house.clock.advance(5)
    await overdue(house, ONE)
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.NONE)


async def test_r39_one_also_decides_by_a_receipt_that_came_before_the_answer(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.receive(build_receipt("p2"), rules=ONE)
    await house.answer(message, "p1", part=1)
    await house.answer(message, "p2", part=2)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r39_all_waits_for_every_part_to_the_end(house: House):
    (message,) = await house.dispatch(parts=2)
    await house.receipt_for(message, rules=ALL)
    house.clock.advance(5000)
    assert await overdue(house, ALL) == 0
    assert (await house.status(message))[0] is Status.DISPATCHED


async def test_r44_an_early_look_at_the_parts_ends_no_message_before_its_time(house: House):
    (message,) = await house.send(parts=2, valid_s=86_400)
    await house.claim()
    await house.answer(message, "p1", part=1)
    await house.answer(message, part=2, status=0x58, retry_in_s=80_000)
    await house.receive(build_receipt("p1"))
    house.clock.advance(700)
    assert await overdue(house) == 1
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(86_400)
    await overdue(house)
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
