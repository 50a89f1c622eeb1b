"""A receipt finds its message: levels, groups, reused ids, addresses (R26-R32, R35), and what is kept of it (R25)."""

import pytest
from sqlalchemy import select

from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import IdBase, LinkRules
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store.api import IncomingMessage, ReceivedReceipt
from tests.conformance.house import RULES, House, build_receipt

BIG = 9308878062554710043
LEVELS = [
    ("A1b2-c3", "A1b2-c3", 1),
    ("  A1 ", "A1", 1),
    ("913121205", "0913121205", 2),
    ("00B8BE19", "b8be19", 2),
    ("abcdef-1", "ABCDEF-1", 2),
    ("812FC7470000001B", str(BIG), 3),
    ("39f99dd5", "0972660181", 3),
    ("ff" * 16, str(int("ff" * 16, 16)), 3),
    (str(BIG), "812FC7470000001B", 4),
    ("972660181", "39F99DD5", 4),
    (str(int("fe" * 16, 16)), "FE" * 16, 4),
    ("x" * 600, "X" * 600, 2),
]


async def sent_as(house: House, smsc_id: str, **wishes) -> str:
    (message,) = await house.send(
        **{"routes": wishes.get("link", ""), **{k: v for k, v in wishes.items() if k not in ("link", "group")}}
    )
    await house.claim(link=wishes.get("link", "link"))
    await house.answer(message, smsc_id, link=wishes.get("link", "link"), group=wishes.get("group"))
    return message


@pytest.mark.parametrize(("stored", "received", "level"), LEVELS)
async def test_r26_ids_are_found_level_by_level(house: House, stored, received, level):
    message = await sent_as(house, stored)
    result = await house.receive(build_receipt(received, to=await house.recipient(message)))
    assert result == (ReceiptOutcome.MATCHED, level, message)
    assert (await house.status(message))[0] is Status.DELIVERED
    assert await house.look(
        select(t.receipt.c.outcome, t.receipt.c.level, t.receipt.c.message_id, t.receipt.c.part_no)
    ) == [("matched", level, message, 1)]
    assert await house.parts(message, "smsc_message_id") == [stored], "R27: never changed"


async def test_r26_the_tlvs_id_is_tried_before_the_texts(house: House):
    by_text, by_tlv = await sent_as(house, "100"), await sent_as(house, "200")
    result = await house.receive(build_receipt("200", text_id="100"))
    assert result.message_id == by_tlv
    result = await house.receive(build_receipt("nobody", text_id="100"))
    assert result.message_id == by_text


async def test_r28_leading_zeros_do_not_join_strangers(house: House):
    await sent_as(house, "000024x")
    result = await house.receive(build_receipt("24x"))
    assert result.outcome is ReceiptOutcome.PARKED


async def test_r26_a_link_that_told_its_bases_is_not_guessed_for(house: House):
    rules = LinkRules(submit_id=IdBase.HEX, receipt_id=IdBase.DEC)
    decimal = await sent_as(house, "100")
    hexadecimal = await sent_as(house, "64")
    recipient = await house.recipient(hexadecimal)
    result = await house.receive(build_receipt("100", to=recipient), rules=rules)
    assert result.message_id == decimal, "level 1 comes first"
    result = await house.receive(build_receipt("00100", to=recipient), rules=rules)
    assert result == (ReceiptOutcome.MATCHED, 3, hexadecimal)


async def test_r30_any_link_of_the_group_brings_the_receipt(house: House):
    await house.stop()
    house.store = house.open(groups={"north": "op"})
    house._opened.append(house.store)
    await house.store.start()
    message = await sent_as(house, "id1", link="north", group="op")
    assert await house.parts(message, "grp") == ["op"]
    assert (await house.receive(build_receipt("id1"), link="south", group="op")).message_id == message


async def test_r30_after_a_restart_receipts_still_find_their_message(house: House):
    message = await sent_as(house, "id1")
    await house.restart()
    assert (await house.receive(build_receipt("id1"))).message_id == message


async def test_r31_groups_with_the_same_id_do_not_mix(house: House):
    first = await sent_as(house, "id1", link="north")
    second = await sent_as(house, "id1", link="south")
    assert (await house.receive(build_receipt("id1", Status.FAILED), link="south")).message_id == second
    assert (await house.status(first))[0] is Status.DISPATCHED
    assert (await house.receive(build_receipt("id1"), link="east")).outcome is ReceiptOutcome.PARKED


async def test_r32_a_reused_id_means_the_newest_that_has_not_ended(house: House):
    number = house.number()
    old = await sent_as(house, "id1", to=[number])
    house.clock.advance(10)
    new = await sent_as(house, "id1", to=[number])
    assert (await house.receive(build_receipt("id1", to=number))).message_id == new
    assert (await house.receive(build_receipt("id1", Status.FAILED, to=number))).message_id == old
    again = await house.receive(build_receipt("id1", to=number))
    assert (again.outcome, again.message_id) == (ReceiptOutcome.DUPLICATE, new)


async def test_r32_a_reused_id_with_another_number_goes_by_the_number(house: House):
    first = await sent_as(house, "id1")
    second = await sent_as(house, "id1")
    result = await house.receive(build_receipt("id1", to=await house.recipient(first)))
    assert result.message_id == first
    assert (await house.status(second))[0] is Status.DISPATCHED


async def test_r32_within_one_transaction_too(house: House):
    number = house.number()
    old = await sent_as(house, "id1", to=[number])
    house.clock.advance(1)
    new = await sent_as(house, "id1", to=[number])
    received = [
        ReceivedReceipt("link", "link", house.now, "00", build_receipt("id1", status, to=number), RULES)
        for status in (Status.DELIVERED, Status.FAILED)
    ]
    results = await house.store.record_receipts(received)
    assert [result.message_id for result in results] == [new, old]
    assert (await house.status(old))[0] is Status.FAILED


async def test_r35_an_id_found_in_another_base_needs_an_agreeing_address(house: House):
    message = await sent_as(house, "39f99dd5")
    assert (await house.receive(build_receipt("972660181", to="4911111111"))).outcome is ReceiptOutcome.PARKED
    assert (await house.status(message))[0] is Status.DISPATCHED


async def test_r35_either_address_may_be_the_phones(house: House):
    message = await sent_as(house, "39f99dd5")
    recipient = await house.recipient(message)
    result = await house.receive(build_receipt("972660181", to="Kvitto", sender="00" + recipient))
    assert result.message_id == message


async def test_r35_several_different_messages_are_ambiguous_and_none_gets_it(house: House):
    number = house.number()
    first = await sent_as(house, "0AA", to=[number])
    second = await sent_as(house, "00aa", to=[number])
    result = await house.receive(build_receipt("aa", to=number))
    assert result == (ReceiptOutcome.AMBIGUOUS, None, None)
    for message in (first, second):
        assert (await house.status(message))[0] is Status.DISPATCHED
    assert await house.look(select(t.receipt.c.outcome, t.receipt.c.next_try_at)) == [("ambiguous", None)]


async def test_r25_every_receipt_is_kept_raw_with_link_and_time(house: House):
    message = await sent_as(house, "id1")
    await house.store.record_receipts(
        [ReceivedReceipt("link", "link", house.now, "00ff10", build_receipt("id1"), RULES)]
    )
    await house.store.record_receipts([ReceivedReceipt("link", "link", house.now, "0b0b", None, RULES)])
    query = select(
        t.receipt.c.raw, t.receipt.c.link, t.receipt.c.received_at, t.receipt.c.outcome, t.receipt.c.account_id
    )
    assert sorted(await house.look(query)) == [
        ("00ff10", "link", house.now, "matched", house.account.id),
        ("0b0b", "link", house.now, "unparseable", None),
    ]
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_an_unparseable_receipt_changes_nothing_and_is_never_tried_again(house: House):
    result = await house.receive(None)
    assert result == (ReceiptOutcome.UNPARSEABLE, None, None)
    house.clock.advance(100_000)
    assert await house.store.retry_parked({}, house.now) == 0


async def test_results_come_in_the_order_of_the_receipts(house: House):
    first, second = await house.dispatch(2)
    mixed = [build_receipt(house.smsc_id(second)), None, build_receipt("nobody"), build_receipt(house.smsc_id(first))]
    results = await house.store.record_receipts(
        [ReceivedReceipt("link", "link", house.now, "00", one, RULES) for one in mixed]
    )
    assert [(result.outcome, result.message_id) for result in results] == [
        (ReceiptOutcome.MATCHED, second),
        (ReceiptOutcome.UNPARSEABLE, None),
        (ReceiptOutcome.PARKED, None),
        (ReceiptOutcome.MATCHED, first),
    ]


async def test_a_thousand_receipts_in_one_batch_all_find_their_messages(house: House):
    ids = await house.dispatch(700)
    received = [
        ReceivedReceipt("link", "link", house.now, "00", build_receipt(house.smsc_id(one)), RULES) for one in ids
    ]
    results = await house.store.record_receipts(received)
    assert [result.message_id for result in results] == ids
    assert await house.look(select(t.message.c.status).distinct()) == [("DELIVERED",)]


async def test_incoming_messages_are_kept_whatever_they_hold(house: House):
    texts = ["hello", "Å 😀", "a\x00b", ""]
    await house.store.record_incoming(
        [IncomingMessage("link", house.now, "46701", "72345", text, "00") for text in texts]
    )
    rows = [row[0] for row in await house.look(select(t.incoming.c.text).order_by(t.incoming.c.id))]
    assert [text.replace("\x00", "") for text in rows] == [text.replace("\x00", "") for text in texts]


async def test_an_id_with_a_nul_inside_is_kept_and_matched(house: House):
    message = await sent_as(house, "ab\x00c")
    assert (await house.receive(build_receipt("abc"))).message_id == message
    assert (await house.receive(build_receipt("zz\x00z"))).outcome is ReceiptOutcome.PARKED
