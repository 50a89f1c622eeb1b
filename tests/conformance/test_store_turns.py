"""Whose messages a link takes when more wait than it may carry (P29)."""

import random
from collections import Counter
from typing import Any

import pytest

from kvitto.core.model import Account, Claimed
from kvitto.store.api import MOST_QUEUES
from tests.conformance.house import House

HOUR_MS = 3_600_000


def by_account(claimed: list[Claimed]) -> Counter[str]:
    return Counter(one.account_id for one in claimed)


async def accounts(house: House, count: int) -> list[Account]:
    return [await house.new_account() for _ in range(count)]


async def claim_all(house: House, parts: int, **how: Any) -> list[list[Claimed]]:
    """Claims until nothing is left."""
    taken = []
    while claimed := await house.claim(parts, **how):
        taken.append(claimed)
    return taken


@pytest.mark.parametrize("parts", [1, 2, 10, 100])
async def test_p29_one_message_behind_a_thousand_of_another_account_waits_a_turn_only(house: House, parts: int):
    crowd, single = await accounts(house, 2)
    await house.send(1000, account=crowd)
    await house.claim(parts)
    house.clock.advance(60)
    (mine,) = await house.send(account=single)
    taken = [one.message_id for _ in range(2) for one in await house.claim(parts)]
    assert mine in taken[: parts + 2]


async def test_p29_accounts_with_much_to_send_get_the_same_share(house: House):
    everybody = await accounts(house, 40)
    for account in everybody:
        await house.send(4, account=account)
    sent: Counter[str] = Counter()
    for claimed in await claim_all(house, 5):
        sent += by_account(claimed)
        waiting = [sent[account.id] for account in everybody if sent[account.id] < 4]
        assert not waiting or max(sent.values()) - min(waiting) <= 1
    assert sent == {account.id: 4 for account in everybody}


async def test_p29_what_one_leaves_of_its_share_another_gets(house: House):
    crowd, single, quiet = await accounts(house, 3)
    await house.send(100, account=crowd)
    await house.send(2, account=single)
    await house.send(1, account=quiet)
    assert by_account(await house.claim(50)) == {crowd.id: 47, single.id: 2, quiet.id: 1}


async def test_p29_long_texts_of_one_do_not_take_the_place_of_anothers(house: House):
    crowd, single = await accounts(house, 2)
    await house.send(20, account=crowd, parts=3)
    house.clock.advance(1)
    (mine,) = await house.send(account=single)
    assert mine in [one.message_id for one in await house.claim(7)]


@pytest.mark.parametrize("planned", [1, MOST_QUEUES + 5])
@pytest.mark.parametrize("parts", [1, 100])
async def test_p29_accounts_with_nothing_due_are_stepped_over(house: House, planned: int, parts: int):
    for account in await accounts(house, planned):
        await house.send(3, account=account, send_at=house.now + HOUR_MS)
    (last,) = await accounts(house, 1)
    ids = await house.send(2, account=last)
    assert [one.message_id for claimed in await claim_all(house, parts) for one in claimed] == ids
    assert await house.store.next_due_at("link") == house.now + HOUR_MS


@pytest.mark.parametrize(("parts", "busy"), [(1, 2), (2, 3), (100, MOST_QUEUES + 8)])
async def test_p29_who_stands_behind_many_with_nothing_due_has_his_turn(house: House, parts: int, busy: int):
    crowd = await accounts(house, busy)
    for account in await accounts(house, MOST_QUEUES + 5):
        await house.send(1, account=account, send_at=house.now + HOUR_MS)
    (last,) = await accounts(house, 1)
    ids = await house.send(1, account=last)
    for account in crowd:
        await house.send(12 if busy < MOST_QUEUES else 40, account=account)
    taken = [one.message_id for _ in range(busy + 2) for one in await house.claim(parts)]
    assert ids[0] in taken


async def test_p29_who_is_served_by_any_link_is_not_behind_those_who_named_one(house: House):
    (mine,) = await accounts(house, 1)
    planned = await accounts(house, MOST_QUEUES + 5)
    crowd = await accounts(house, 3)
    everybody = sorted([mine, *planned, *crowd], key=lambda account: account.id)
    for account in everybody[: MOST_QUEUES + 5]:
        await house.send(1, account=account, send_at=house.now + HOUR_MS)
    (any_link,) = await house.send(1, account=everybody[MOST_QUEUES + 5])
    for account in everybody[MOST_QUEUES + 6 :]:
        await house.send(20, account=account, routes=["link"] * 20)
    taken = [one.message_id for _ in range(6) for one in await house.claim(1, link="link")]
    assert any_link in taken


async def test_p29_within_an_account_the_oldest_due_goes_first_whatever_its_route(house: House):
    crowd, single = await accounts(house, 2)
    await house.send(30, account=single)
    first: list[str] = []
    for route in ("link", "", "link", "", "other", ""):
        ids = await house.send(2, account=crowd, routes=[route] * 2)
        first += ids if route != "other" else []
        house.clock.advance(1)
    taken = [one for claimed in await claim_all(house, 3, link="link") for one in claimed]
    assert [one.message_id for one in taken if one.account_id == crowd.id] == first


async def test_p29_any_mix_of_accounts_routes_times_and_claims_takes_each_message_once_in_its_order(house: House):
    chance = random.Random(29)
    everybody = await accounts(house, 8)
    due: dict[str, list[tuple[int, str]]] = {account.id: [] for account in everybody}
    for _ in range(120):
        account = chance.choice(everybody)
        send_at = house.now + chance.choice([0, 0, 1000, 5000])
        count = chance.choice([1, 1, 3, 20])
        routes = [chance.choice(["", "link"]) for _ in range(count)]
        wishes: dict[str, Any] = {"send_at": send_at} if send_at > house.now else {}
        due[account.id] += [(send_at, one) for one in await house.send(count, account=account, routes=routes, **wishes)]
        house.clock.advance(chance.choice([0.0, 0.1, 1.0]))
    house.clock.advance(10)
    taken = []
    while claimed := await house.claim(chance.choice([1, 2, 7, 50]), link="link"):
        taken += claimed
    for account in everybody:
        mine = [one.message_id for one in taken if one.account_id == account.id]
        assert mine == [one for _, one in sorted(due[account.id])]


async def test_p29_what_is_queued_is_counted_by_account(house: House):
    one, other = await accounts(house, 2)
    assert await house.store.count_queued() == {}
    ids = await house.send(3, account=one)
    await house.send(2, account=other)
    await house.send(2, account=other, send_at=house.now + HOUR_MS)
    assert await house.store.count_queued() == {one.id: 3, other.id: 4, "": 7}
    await house.claim(100)
    assert (await house.store.count_queued())[""] == 7, "in flight is not taken yet"
    for message_id in ids:
        await house.answer(message_id, house.smsc_id(message_id))
    assert await house.store.count_queued() == {one.id: 0, other.id: 4, "": 4}
