"""Counters by link and group, as durable as what they count; the live state of links, for everybody to read (R54)."""

import pytest
from sqlalchemy import select

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import ReceiptOutcome
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store.api import LinkState
from tests.conformance.house import House, build_receipt


async def counts(house: House, link: str = "link") -> dict[str, int]:
    return {one.name: one.value for one in await house.store.count_links() if one.link == link}


async def test_r54_submits_and_their_answers_are_counted_by_link_and_group(house: House):
    taken, refused, throttled, postponed, doubted, returned = await house.send(6)
    await house.claim()
    await house.answer(taken, "id1", group="smsc")
    await house.answer(refused, status=0x0B, group="smsc")
    await house.answer(throttled, status=0x58, retry_in_s=1, group="smsc")
    await house.answer(postponed, status=0x08, retry_in_s=1, group="smsc")
    await house.fate(doubted, in_doubt=True)
    await house.fate(returned, in_doubt=False)
    found = {(one.group, one.name): one.value for one in await house.store.count_links()}
    assert found == {
        ("smsc", "answers_ok"): 1,
        ("smsc", "refused"): 1,
        ("smsc", "throttled"): 1,
        ("smsc", "postponed"): 1,
        ("link", "claimed"): 6,
        ("link", "returned"): 1,
        ("link", "submitted"): 5,
        ("link", "in_doubt"): 1,
    }


async def test_r54_receipts_are_counted_by_what_became_of_them_and_by_level(house: House):
    one, two = await house.dispatch(2)
    await house.receipt_for(one)
    await house.receipt_for(one)
    await house.receipt_for(one, Status.FAILED)
    await house.receive(build_receipt(house.smsc_id(two).upper(), to=await house.recipient(two)))
    await house.receive(build_receipt("early"))
    await house.receive(None, link="other")
    found = await counts(house)
    assert {name: value for name, value in found.items() if name.startswith("receipts")} == {
        "receipts": 5,
        "receipts_matched": 2,
        "receipts_duplicate": 1,
        "receipts_conflict": 1,
        "receipts_parked": 1,
        "receipts_level_1": 3,
        "receipts_level_2": 1,
    }
    assert await counts(house, "other") == {"receipts": 1, "receipts_unparseable": 1}


async def test_r54_a_late_and_an_adopted_receipt_are_counted_when_they_find_their_message(house: House):
    (late,) = await house.dispatch(valid_s=1)
    house.clock.advance(3700)
    await house.store.end_overdue({}, house.now, 10)
    await house.receipt_for(late)
    (doubted,) = await house.send()
    await house.claim()
    await house.fate(doubted, in_doubt=True)
    await house.receive(build_receipt("theirs", to=await house.recipient(doubted)))
    house.clock.advance(61)
    await house.store.retry_parked({}, house.now)
    found = await counts(house)
    assert (found["receipts_late"], found["receipts_parked"], found["receipts_adopted"]) == (1, 1, 1)
    assert found["receipts"] == 2


async def test_r54_counters_outlive_the_process_and_add_up_over_nodes(house: House):
    await house.receive(None)
    other = await house.second(node="node2")
    await house.receive(None, store=other)
    await house.restart()
    await house.receive(None)
    assert await counts(house) == {"receipts": 3, "receipts_unparseable": 3}


async def test_r12_what_a_dead_process_left_written_is_counted_as_in_doubt(house: House):
    await house.send(2)
    await house.claim()
    await house.restart()
    assert (await counts(house))["in_doubt"] == 2


async def test_r54_a_transaction_that_fails_counts_nothing(house: House, monkeypatch: pytest.MonkeyPatch):
    failing = house.store.commits
    real = failing.last

    def last(tx, scope):
        real(tx, scope)
        raise StoreUnavailable("away")

    monkeypatch.setattr(failing, "last", last)
    with pytest.raises(StoreUnavailable):
        await house.receive(None)
    monkeypatch.setattr(failing, "last", real)
    assert await counts(house) == {}
    assert await house.store.list_receipts([ReceiptOutcome.UNPARSEABLE]) == []


def state(house: House, link: str, **fields) -> LinkState:
    values = {
        "group": "smsc",
        "binds_up": 1,
        "binds_wanted": 2,
        "window": 20,
        "in_flight": 3,
        "rate": 12.5,
        "paused_until_at": None,
        "last_error": None,
        "at": house.now,
    }
    return LinkState(link, **{**values, **fields})


async def test_r54_the_last_word_of_each_node_on_its_links_can_be_read_by_everybody(house: House):
    other = await house.second(node="node2")
    await house.store.record_link_states([state(house, "a"), state(house, "gone")])
    await other.record_link_states([state(house, "a", binds_up=0, last_error="refused")])
    now = state(house, "a", in_flight=9, paused_until_at=house.now + 1000)
    await house.store.record_link_states([now])
    assert await other.list_link_states() == [
        now._replace(node="node1"),
        state(house, "a", binds_up=0, last_error="refused", node="node2"),
    ]
    await house.store.record_link_states([])
    assert [one.node for one in await house.store.list_link_states()] == ["node2"]


async def test_p24_check_writes_a_row_of_this_node_and_reads_it(house: House):

    await house.store.check()
    house.clock.advance(7)
    await house.store.check()
    assert await house.look(select(t.pulse.c.node, t.pulse.c.at)) == [("node1", house.now)]
