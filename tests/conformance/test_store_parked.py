"""Receipts that come before their answer, or without one: parked, tried again, adopted, orphaned (R33, R34, R48)."""

import pytest
from sqlalchemy import func, select

from kvitto.core.model import Notify, PartKey, ReceiptOutcome
from kvitto.core.receipt import IdBase, LinkRules
from kvitto.core.status import Note, Reason, Status
from kvitto.store import schema as t
from tests.conformance.house import Door, House, build_receipt

RECEIPT = t.receipt.c


async def parked(house: House) -> list[tuple]:
    return await house.look(select(RECEIPT.outcome, RECEIPT.next_try_at, RECEIPT.tries).order_by(RECEIPT.id))


async def keys(house: House) -> int:
    return (await house.look(select(func.count()).select_from(t.parked_key)))[0][0]


async def test_r33_a_receipt_that_overtook_its_answer_is_applied_with_the_answer(house: House):
    (message,) = await house.send(notify=Notify.CHANGES)
    await house.claim()
    assert (await house.receive(build_receipt("id1"))).outcome is ReceiptOutcome.PARKED
    transactions = house.store.commits.transactions
    await house.answer(message, "id1")
    assert house.store.commits.transactions == transactions + 1
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)
    assert await house.events(message) == [(Status.DISPATCHED, Reason.ACCEPTED), (Status.DELIVERED, Reason.DELIVERED)]
    assert await parked(house) == [("matched", None, 1)]
    assert await keys(house) == 0


async def test_r33_the_end_is_dated_when_we_came_to_know_it_not_before_the_answer(house: House):
    (message,) = await house.send(notify=Notify.CHANGES)
    await house.claim()
    await house.receive(build_receipt("id1"))
    house.clock.advance(3)
    await house.answer(message, "id1")
    assert (await house.view(message)).since_at == house.now
    assert [one.facts.since_at for one in await house.callbacks()] == [house.now, house.now]


async def test_r33_the_other_part_of_a_parked_receipts_message_is_not_contradicted(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.receive(build_receipt("one", Status.EXPIRED))
    house.clock.advance(1)
    await house.answer(message, "two", part=2)
    await house.receive(build_receipt("two", Status.FAILED))
    house.clock.advance(1)
    await house.answer(message, "one", part=1)
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.FAILED, Note.NONE)


@pytest.mark.parametrize(("answered", "received"), [("00AB", "ab"), ("64", "100"), ("100", "64")])
async def test_r33_parked_receipts_are_found_at_every_level(house: House, answered, received):
    (message,) = await house.send()
    await house.claim()
    await house.receive(build_receipt(received, to=await house.recipient(message)))
    await house.answer(message, answered)
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)


async def test_r33_the_links_own_rules_hold_when_the_answer_comes(house: House):
    rules = LinkRules(submit_id=IdBase.DEC, receipt_id=IdBase.HEX)
    number = house.number()
    (stranger,) = await house.send(to=[number])
    await house.claim()
    await house.answer(stranger, "64")
    (message,) = await house.send(to=[number])
    await house.claim()
    await house.receive(build_receipt("100", to=number), rules=rules)
    await house.answer(message, "256")
    assert (await house.status(message))[0] is Status.DELIVERED
    assert (await house.status(stranger))[0] is Status.DISPATCHED


async def test_r33_an_answer_does_not_end_the_parking_of_a_link_that_waits_longer(house: House):
    rules = LinkRules(park_s=7 * 86_400)
    number = house.number()
    await house.receive(build_receipt("100", to="4999999999"), rules=rules)
    house.clock.advance(2 * 86_400)
    (message,) = await house.send(to=[number])
    await house.claim()
    await house.answer(message, "256")  # one of the parked receipt's keys, but the address does not agree
    ((outcome, next_try_at, _),) = await parked(house)
    assert outcome == "parked"
    assert next_try_at is not None


async def test_r31_an_answer_of_another_group_does_not_wake_it(house: House):
    (message,) = await house.send()
    await house.claim(link="south")
    await house.receive(build_receipt("id1"), link="north")
    await house.answer(message, "id1", link="south")
    assert (await house.status(message))[0] is Status.DISPATCHED
    assert [row[0] for row in await parked(house)] == ["parked"]


async def test_r33_an_answer_that_fits_parked_receipts_applies_them_in_their_order(house: House):
    (message,) = await house.send(notify=Notify.CHANGES)
    await house.claim()
    await house.receive(build_receipt("id1", Status.DISPATCHED))
    await house.receive(build_receipt("id1", Status.FAILED, err="027"))
    await house.receive(build_receipt("id1", Status.FAILED, err="027"))
    await house.answer(message, "id1")
    assert await house.told() == [(message, Status.DISPATCHED), (message, Status.FAILED)]
    assert [row[0] for row in await parked(house)] == ["matched", "matched", "duplicate"]
    assert (await house.view(message)).error.text == "027"


async def test_r33_the_times_of_trying_again(house: House):
    received_at = house.now
    await house.receive(build_receipt("id1"))
    tried = []
    for _ in range(9):
        ((_, next_try_at, _),) = await parked(house)
        tried.append((next_try_at - received_at) / 1000)
        house.clock.advance((next_try_at - house.now) / 1000 - 0.001)
        assert await house.store.retry_parked({}, house.now) == 0
        house.clock.advance(0.001)
        assert await house.store.retry_parked({}, house.now) == 1
    assert tried == [1, 2, 5, 10, 30, 60, 660, 1260, 1860]


async def test_r33_a_late_look_does_not_make_up_for_missed_tries(house: House):
    await house.receive(build_receipt("id1"))
    house.clock.advance(7)
    assert await house.store.retry_parked({}, house.now) == 1
    ((_, next_try_at, _),) = await parked(house)
    assert next_try_at == house.now + 3000


async def test_r33_parking_survives_a_restart(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.receive(build_receipt("id1"))
    await house.restart()
    await house.answer(message, "id1")
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r34_after_parking_a_receipt_is_an_orphan_and_kept(house: House):
    await house.receive(build_receipt("id1"))
    rules = {"link": LinkRules(park_s=90)}
    house.clock.advance(89)
    await house.store.retry_parked(rules, house.now)
    assert [row[0] for row in await parked(house)] == ["parked"]
    house.clock.advance(600)
    await house.store.retry_parked(rules, house.now)
    assert [row[:2] for row in await parked(house)] == [("orphan", None)]
    assert await keys(house) == 0
    house.clock.advance(100_000)
    assert await house.store.retry_parked(rules, house.now) == 0


async def test_r48_a_receipt_for_a_refused_message_stays_parked_and_the_refusal_stands(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0x0B)
    assert (
        await house.receive(build_receipt("id1", to=await house.recipient(message)))
    ).outcome is ReceiptOutcome.PARKED
    house.clock.advance(61)
    await house.store.retry_parked({}, house.now)
    assert await house.status(message) == (Status.REJECTED, Reason.SUBMIT_REFUSED)


async def in_doubt(house: House, **wishes) -> str:
    (message,) = await house.send(**wishes)
    await house.claim()
    await house.fate(message, in_doubt=True)
    return message


async def test_r33_a_part_in_doubt_adopts_the_one_receipt_that_fits(house: House):
    message = await in_doubt(house)
    number = await house.recipient(message)
    house.clock.advance(1)
    receipt = build_receipt("id1", to=number, submit_at=house.now - 60_000)
    assert (await house.receive(receipt)).outcome is ReceiptOutcome.PARKED
    house.clock.advance(59)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(1)
    await house.store.retry_parked({}, house.now)
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.ADOPTED)
    assert view.since_at == house.now
    assert await house.told() == [(message, Status.DELIVERED)]
    assert await house.store.list_in_doubt(None) == []
    assert [row[0] for row in await parked(house)] == ["adopted"]
    again = await house.receive(receipt)
    assert (again.outcome, again.message_id) == (ReceiptOutcome.DUPLICATE, message)


async def test_r33_a_late_answer_names_the_part_that_was_adopted(house: House):
    message = await in_doubt(house)
    await house.receive(build_receipt("id1", Status.DISPATCHED, to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.DISPATCHED
    await house.answer(message, "other")
    assert (await house.receive(build_receipt("other"))).message_id == message


@pytest.mark.parametrize("why", ["two_fit", "another_number", "another_group", "too_old", "sent_after"])
async def test_r33_what_does_not_fit_is_not_adopted(house: House, why):
    number = house.number()
    receipt = build_receipt("id1", to=number, submit_at=house.now)
    if why == "sent_after":
        await house.receive(receipt)
        house.clock.advance(1)
    messages = [await in_doubt(house, to=[house.number() if why == "another_number" else number])]
    if why == "two_fit":
        messages.append(await in_doubt(house, to=[number]))
    if why == "too_old":
        house.clock.advance(301)
        receipt = receipt._replace(submit_at=house.now)
    if why != "sent_after":
        await house.receive(receipt, link="other" if why == "another_group" else "link")
    house.clock.advance(61)
    await house.store.retry_parked({}, house.now)
    assert [(await house.status(message))[0] for message in messages] == [Status.QUEUED] * len(messages)
    assert [row[0] for row in await parked(house)] == ["parked"]


async def test_r33_two_receipts_do_not_adopt_the_same_part(house: House):
    message = await in_doubt(house)
    number = await house.recipient(message)
    await house.receive(build_receipt("id1", to=number))
    await house.receive(build_receipt("id2", Status.FAILED, to=number))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.DELIVERED
    assert [row[0] for row in await parked(house)] == ["adopted", "parked"]


async def test_r33_adoption_waits_as_long_as_the_link_says(house: House):
    message = await in_doubt(house)
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    rules = {"link": LinkRules(adopt_after_s=100)}
    house.clock.advance(60)
    await house.store.retry_parked(rules, house.now)
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(600)
    await house.store.retry_parked(rules, house.now)
    assert (await house.status(message))[0] is Status.DELIVERED


async def text_in_doubt(house: House, *unanswered: int, parts: int = 3, **wishes) -> str:
    """A text of several parts: those named are in doubt, the others were answered with ``theirs-PART``."""
    (message,) = await house.send(parts=parts, **wishes)
    await house.claim()
    for part in range(1, parts + 1):
        if part in unanswered:
            await house.fate(message, part=part, in_doubt=True)
        else:
            await house.answer(message, f"theirs-{part}", part=part)
    return message


async def test_r33_parts_of_one_text_in_doubt_adopt_a_receipt_each_the_first_part_first(house: House):
    message = await text_in_doubt(house, 2, 3)
    number = await house.recipient(message)
    for smsc_id in ("theirs-1", "b", "c"):
        await house.receive(build_receipt(smsc_id, to=number))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert await house.parts(message, "smsc_message_id") == ["theirs-1", "b", "c"]
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.ADOPTED)
    assert await house.store.list_in_doubt(None) == []
    assert await house.told() == [(message, Status.DELIVERED)]


async def test_r33_with_fewer_receipts_than_parts_in_doubt_the_last_parts_stay_in_doubt(house: House):
    message = await text_in_doubt(house, 1, 2, 3)
    await house.receive(build_receipt("a", to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert [one.part_no for one in await house.store.list_in_doubt(None)] == [2, 3]
    assert (await house.view(message)).status is Status.QUEUED


async def test_r33_receipts_of_one_id_are_of_one_part(house: House):
    message = await text_in_doubt(house, 1, 2, parts=2)
    number = await house.recipient(message)
    for smsc_id, status in (("a", Status.DISPATCHED), ("A", Status.DELIVERED)):
        await house.receive(build_receipt(smsc_id, status, to=number))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert await house.parts(message, "smsc_message_id") == ["a", None]
    assert [row[0] for row in await parked(house)] == ["adopted", "matched"]
    await house.receive(build_receipt("b", to=number))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r33_parts_of_two_texts_to_one_number_adopt_nothing(house: House):
    number = house.number()
    texts = [await text_in_doubt(house, 1, 2, parts=2, to=[number]) for _ in range(2)]
    for smsc_id in "abcd":
        await house.receive(build_receipt(smsc_id, to=number))
    house.clock.advance(61)
    await house.store.retry_parked({}, house.now)
    assert [(await house.status(text))[0] for text in texts] == [Status.QUEUED] * 2
    assert [row[0] for row in await parked(house)] == ["parked"] * 4


async def test_r45_a_message_that_we_gave_up_in_doubt_is_corrected_by_an_adopted_receipt(house: House):
    message = await in_doubt(house, valid_s=1)
    house.clock.advance(3601)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(message) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.ADOPTED | Note.LATE)


async def test_p3_two_parts_in_doubt_adopt_each_its_own_receipt(house: House):
    first, second = await in_doubt(house), await in_doubt(house)
    for message, smsc_id in ((second, "b"), (first, "a")):
        await house.receive(build_receipt(smsc_id, to=await house.recipient(message)))
    house.clock.advance(60)
    assert await house.store.retry_parked({}, house.now) == 2
    assert await house.parts(first, "smsc_message_id") == ["a"]
    assert await house.parts(second, "smsc_message_id") == ["b"]


async def test_callbacks_of_parked_receipts_are_handed_off_with_the_answer(house: House):
    door = Door()
    house.store.set_callback_handoff(door)
    (message,) = await house.send()
    await house.claim()
    await house.receive(build_receipt("id1"))
    await house.answer(message, "id1")
    assert [(one.facts.id, one.facts.status) for one in door.taken] == [(message, Status.DELIVERED)]


async def test_nothing_stays_of_a_parked_receipt_but_the_record(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    await house.answer(message, "id1")
    assert await house.look(select(RECEIPT.parsed)) == [(None,)]


@pytest.mark.parametrize("expired", [False, True])
async def test_r33_r45_a_part_that_waits_to_be_sent_again_still_adopts_the_receipt_of_its_first_submit(
    house: House, expired: bool
):
    message = await in_doubt(house, valid_s=50 if expired else 86_400)
    assert await house.store.resend_in_doubt([PartKey(message, 1)], house.now) == 1
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.end_overdue({}, house.now, 10)
    await house.store.retry_parked({}, house.now)
    view = await house.view(message)
    assert view.status is Status.DELIVERED
    assert view.notes == (Note.ADOPTED | Note.LATE if expired else Note.ADOPTED)
    assert await house.claim() == [], "no second SMS"
    assert [row[0] for row in await parked(house)] == ["adopted"]


async def test_r33_a_part_that_was_sent_again_is_not_adopted_by_the_receipt_of_its_first_submit(house: House):
    message = await in_doubt(house)
    await house.store.resend_in_doubt([PartKey(message, 1)], house.now)
    await house.claim()
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.QUEUED


@pytest.mark.parametrize("how", ["returned", "throttled"])
async def test_r33_a_part_that_waits_for_another_reason_is_not_in_doubt(house: House, how: str):
    (message,) = await house.send()
    await house.claim()
    if how == "returned":
        await house.fate(message, in_doubt=False)
    else:
        await house.answer(message, status=0x58, retry_in_s=1000)
    await house.receive(build_receipt("id1", to=await house.recipient(message)))
    house.clock.advance(60)
    await house.store.retry_parked({}, house.now)
    assert (await house.status(message))[0] is Status.QUEUED
