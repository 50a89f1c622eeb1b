"""Every receipt finds its message (P3): a matrix from the octets of the deliver_sm to the report, on both databases.

Base of the id in the answer and in the receipt x zeros and blanks around it x case x before or after the answer x once
or twice x same or other bind x same process, after a restart, or on another node. Each cell is one message of its own;
all cells of one kind of life share a store, so that each receipt has hundreds of wrong messages to choose from.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

import pytest

from kvitto.core.model import Notify, ReceiptOutcome
from kvitto.core.receipt import LinkRules, Receipt
from kvitto.core.status import Reason, Status
from kvitto.smpp.pdus import DeliverSm
from kvitto.smpp.receipts import parse_receipt
from kvitto.smpp.spec import Tlv
from kvitto.store.api import ReceiptResult, ReceivedReceipt
from kvitto.store.sqlstore import SqlStore
from tests.conformance.house import House

RULES: Final = LinkRules()
LINK, OTHER_LINK = "link", "other"
"""Two binds of one group, which bears the first one's name."""

BASES: Final = {
    "dec": ("{0}", "{0}"),
    "hex": ("{0:X}", "{0:X}"),
    "hex, dec": ("{0:X}", "{0}"),
    "dec, hex": ("{0}", "{0:X}"),
}
"""How the SMSC writes one number in its answer and in its receipt."""
TEXT: Final = "text"
"""An id that is no number: 6f1c-AB..."""
PADS: Final = ("none", "zeros in the receipt", "zeros in the answer", "blanks in the receipt")
LIVES: Final = ("same process", "after a restart", "other node")


class Cell(NamedTuple):
    """One combination. ``answer_id``: what the submit_sm_resp says; ``receipt_id``: what the receipt says."""

    name: str
    answer_id: str
    receipt_id: str
    early: bool
    twice: bool
    other_bind: bool
    in_tlv: bool


def id_forms() -> Iterator[tuple[str, str, str]]:
    """(base, padding, case) that differ from one another."""
    for base, pad, case in product((*BASES, TEXT), PADS, ("as it is", "swapped")):
        if base == TEXT and "zeros" in pad:
            continue  # zeros before a text that is no number belong to it (R28)
        if base == "dec" and case == "swapped":
            continue  # digits have no case
        yield base, pad, case


def cells() -> list[Cell]:
    """All of one life."""
    made = []
    for index, (form, early, twice, other) in enumerate(
        product(id_forms(), (False, True), (False, True), (False, True))
    ):
        base, pad, case = form
        # Twelve hexadecimal digits and letters for certain, no two alike.
        number = 0xABCD_0000_0000 + index * 0x1_0F3D
        first, second = BASES.get(base, ("6f1c-AB-{0:x}", "6f1c-AB-{0:x}"))
        answer_id, receipt_id = first.format(number), second.format(number)
        if pad == "zeros in the answer":
            answer_id = "000" + answer_id
        if case == "swapped":
            answer_id, receipt_id = (
                (answer_id.swapcase(), receipt_id) if base == "hex, dec" else (answer_id, receipt_id.swapcase())
            )
        if pad == "zeros in the receipt":
            receipt_id = "000" + receipt_id
        if pad == "blanks in the receipt":
            receipt_id = f" {receipt_id} \0"
        name = f"{base}; {pad}; {case}; {'early' if early else 'late'}; {'twice' if twice else 'once'}; other={other}"
        made.append(Cell(name, answer_id, receipt_id, early, twice, other, in_tlv=index % 2 == 0))
    return made


CELLS: Final = cells()


def test_the_matrix_has_five_hundred_cells_and_more():
    assert len(CELLS) * len(LIVES) >= 500
    assert len({cell.answer_id for cell in CELLS}) == len(CELLS)


def read(cell: Cell, phone: str) -> Receipt:
    """What the reader makes of the deliver_sm."""
    text = f"id:{cell.receipt_id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()
    tlvs: dict[int, bytes] = {Tlv.RECEIPTED_MESSAGE_ID: cell.receipt_id.encode() + b"\0"} if cell.in_tlv else {}
    if cell.in_tlv:
        text = b"stat:DELIVRD"
    found = parse_receipt(
        DeliverSm(1, source_addr=phone, destination_addr="Kvitto", esm_class=4, short_message=text, tlvs=tlvs), RULES, 0
    )
    assert isinstance(found, Receipt), (cell.name, found)
    return found


async def bring(store: SqlStore, house: House, cell: Cell, phone: str) -> list[ReceiptResult]:
    """The receipt comes, once or twice, the second time over the other bind."""
    first, second = (OTHER_LINK, LINK) if cell.other_bind else (LINK, OTHER_LINK)
    results = []
    for link in (first, second) if cell.twice else (first,):
        received = ReceivedReceipt(link, LINK, house.now, "00", read(cell, phone), RULES)
        results += await store.record_receipts([received])
    return results


@pytest.mark.parametrize("life", LIVES)
async def test_p3_r26_r30_every_receipt_of_the_matrix_finds_its_message_within_a_second(house: House, life: str):
    phones = [house.number() for _ in CELLS]
    messages = await house.send(to=phones, notify=Notify.FINAL)
    claimed = await house.claim(parts=len(CELLS) + 1, link=LINK)
    assert [one.message_id for one in claimed] == messages
    other: SqlStore = await house.second(node="node2") if life == "other node" else house.store
    results: dict[str, list[ReceiptResult]] = {}
    stories = list(zip(CELLS, phones, messages, strict=True))

    for cell, phone, _ in stories:
        if cell.early:
            results[cell.name] = await bring(other, house, cell, phone)
            assert {result.outcome for result in results[cell.name]} == {ReceiptOutcome.PARKED}, cell.name
    if life != "after a restart":
        house.clock.advance(1)
    for cell, _, message in stories:
        # A process that ends takes the answers of its sessions with it: those parts are in doubt, not answered.
        if life != "after a restart" or not cell.early:
            await house.answer(message, cell.answer_id, link=LINK)
    if life == "after a restart":
        await house.restart()
        other = house.store
        house.clock.advance(61)
        while await house.store.retry_parked({}, house.now):
            house.clock.advance(1)
    # Not a moment has passed since the answers (P3 allows a second), and nobody has looked again.
    for cell, phone, _ in stories:
        if not cell.early:
            results[cell.name] = await bring(other, house, cell, phone)
            assert [result.outcome for result in results[cell.name]] in (
                [ReceiptOutcome.MATCHED],
                [ReceiptOutcome.MATCHED, ReceiptOutcome.DUPLICATE],
            ), (cell.name, results[cell.name])

    for cell, _, message in stories:
        assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED), cell.name
    told = Counter(message for message, _ in await house.told())
    assert told == Counter(messages), "one callback for each, and no more"
