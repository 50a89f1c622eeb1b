"""Messages whose link was taken away go to the links that remain; none waits for a link that will never come."""

from kvitto.core.model import PartKey
from kvitto.core.status import Reason, Status
from tests.conformance.house import RULES, House


def anywhere(number: str, account: str) -> str:
    return ""


async def test_queued_messages_of_a_link_that_is_gone_get_a_link_that_remains(house: House):
    (kept,), (moved,) = await house.send(routes="a"), await house.send(routes="gone")
    assert await house.store.reroute_messages(["a", "b"], lambda number, account: "b", 100) == 1
    assert [one.message_id for one in await house.claim(link="b")] == [moved]
    assert [one.message_id for one in await house.claim(link="a")] == [kept]


async def test_what_every_link_may_carry_stays_as_it_is(house: House):
    await house.send(routes="")
    assert await house.store.reroute_messages(["a"], lambda number, account: "b", 100) == 0


async def test_the_route_is_chosen_by_number_and_account(house: House):
    asked = []

    def route_for(number: str, account: str) -> str:
        asked.append((number, account))
        return "a"

    (id,) = await house.send(routes="gone")
    await house.store.reroute_messages(["a"], route_for, 100)
    assert asked == [(await house.recipient(id), house.account.name)]


async def test_a_message_without_a_route_any_more_ends_when_it_falls_due(house: House):
    (now,) = await house.send(routes="gone")
    (later,) = await house.send(routes="gone", send_at=house.now + 60_000)
    assert await house.store.reroute_messages(["a"], lambda number, account: None, 100) == 2
    await house.store.end_overdue({"a": RULES}, house.now, 100)
    assert await house.status(now) == (Status.ABORTED, Reason.NO_ROUTE)
    assert (Status.ABORTED, Reason.NO_ROUTE) not in await house.events(later)
    house.clock.advance(60)
    await house.store.end_overdue({"a": RULES}, house.now, 100)
    assert await house.status(later) == (Status.ABORTED, Reason.NO_ROUTE)


async def test_r12_a_part_in_doubt_can_be_sent_again_over_a_link_that_remains(house: House):
    (id,) = await house.send(routes="gone")
    await house.claim(link="gone")
    await house.fate(id, in_doubt=True)
    assert await house.store.reroute_messages(["a"], anywhere, 100) == 1
    await house.store.resend_in_doubt([PartKey(id, 1)], house.now)
    assert [one.message_id for one in await house.claim(link="a")] == [id]


async def test_r12_a_part_in_doubt_without_another_route_is_left_to_time(house: House):
    (id,) = await house.send(routes="gone")
    await house.claim(link="gone")
    await house.fate(id, in_doubt=True)
    assert await house.store.reroute_messages(["a"], lambda number, account: None, 100) == 0
    assert (await house.status(id))[0] is Status.QUEUED


async def test_many_are_moved_in_steps(house: House):
    await house.send(7, routes="gone")
    await house.send(2, routes="lost")
    moved = [await house.store.reroute_messages(["a"], anywhere, 4) for _ in range(4)]
    assert moved == [4, 4, 1, 0]
    assert len(await house.claim(link="a")) == 9


async def test_r30_a_links_new_group_holds_for_what_it_claims_from_now_on(house: House):
    ids = await house.send(2)
    await house.claim(parts=1, link="a")
    house.store.set_groups({"a": "north"})
    await house.claim(parts=1, link="a")
    assert [(await house.parts(one, "grp"))[0] for one in ids] == ["a", "north"]
