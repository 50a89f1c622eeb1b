"""R52 in the store: which parts a link may ask its SMSC for, each once, before their wait ends."""

from typing import Any

from kvitto.core.receipt import LinkRules, PartReceipts
from kvitto.core.status import Status
from tests.conformance.house import House

RULES = LinkRules(query=True, query_before_s=60, dlr_grace_s=600, part_receipts=PartReceipts.ALL)
HOUR = 3600


async def sent(house: House, count: int = 1, **wishes: Any) -> list[str]:
    return await house.dispatch(count, valid_s=HOUR, **wishes)


async def due(house: House, *, link: str = "link", limit: int = 100) -> list[tuple[str, int]]:
    return [tuple(one.key) for one in await house.store.claim_queries(link, RULES, house.now, limit)]


async def near_the_end(house: House) -> None:
    """To half a minute before the wait ends, as the sweeper would get there."""
    house.clock.advance(HOUR + 1)
    await house.store.end_overdue({"link": RULES}, house.now, 1000)
    house.clock.advance(600 - 31)


async def test_r52_a_part_is_due_once_when_its_wait_is_nearly_over(house: House):
    (id,) = await sent(house)
    assert await due(house) == []
    await near_the_end(house)
    (one,) = await house.store.claim_queries("link", RULES, house.now, 100)
    assert (one.key, one.smsc_message_id, one.sender) == ((id, 1), house.smsc_id(id), "Kvitto")
    assert one.recipient == await house.recipient(id)
    assert await due(house) == []


async def test_r52_the_end_of_the_validity_alone_is_no_reason_to_ask(house: House):
    await sent(house)
    house.clock.advance(HOUR - 5)
    assert await due(house) == []


async def test_r52_what_has_an_end_or_was_never_answered_or_is_another_links_is_not_asked_for(house: House):
    (done,) = await sent(house)
    await house.receipt_for(done, Status.DELIVERED)
    (lost,) = await house.send(valid_s=HOUR)
    await house.claim()
    await house.fate(lost, in_doubt=True)
    (other,) = await sent(house)
    await near_the_end(house)
    assert await due(house, link="else") == []
    assert await due(house) == [(other, 1)]


async def test_r52_of_a_long_text_the_parts_without_an_end_are_asked_for(house: House):
    (id,) = await sent(house, parts=3)
    await house.receipt_for(id, Status.DELIVERED, part=2)
    await near_the_end(house)
    assert await due(house) == [(id, 1), (id, 3)]


async def test_r52_no_more_are_given_than_asked_for(house: House):
    ids = await sent(house, 5)
    await near_the_end(house)
    first = await due(house, limit=2)
    assert sorted(first + await due(house, limit=10)) == sorted((id, 1) for id in ids)
