"""How messages go out: claims, answers, fates, restarts, and parts in doubt (R7, R11, R12, R37, P6)."""

import asyncio

import pytest
from sqlalchemy import select

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Notify, PartKey
from kvitto.core.status import ErrorSource, Note, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import SubmitAnswer, SubmitFate
from tests.conformance.house import House, build_receipt

# --- claims --------------------------------------------------------------------------------------------------------


async def test_a_claim_says_all_that_a_submit_needs(house: House):
    (message,) = await house.send(parts=2, texts={0: "own"}, sender="Bank")
    (one,) = await house.claim()
    assert (one.message_id, one.account_id, one.recipient) == (
        message,
        house.account.id,
        await house.recipient(message),
    )
    assert (one.sender, one.content.text, one.text, one.parts, one.todo) == ("Bank", "hello", "own", 2, (1, 2))
    assert (one.expire_at, one.attempts) == (house.now + 86_400_000, 0)


async def test_a_claimed_message_is_in_flight_and_claimed_once(house: House):
    (message,) = await house.send()
    assert len(await house.claim()) == 1
    assert await house.claim() == []
    assert await house.status(message) == (Status.QUEUED, Reason.IN_FLIGHT)
    assert await house.parts(message, "state", "link", "node", "written_at") == [
        ("written", "link", "node1", house.now)
    ]


async def test_the_oldest_due_goes_first(house: House):
    late = await house.send(send_at=house.now + 2000)
    early = await house.send(send_at=house.now + 1000)
    first = await house.send()
    house.clock.advance(10)
    assert [one.message_id for one in await house.claim()] == first + early + late


async def test_a_claim_takes_no_more_parts_than_asked_for(house: House):
    ids = await house.send(5, parts=2)
    assert [one.message_id for one in await house.claim(5)] == ids[:2]
    assert [one.message_id for one in await house.claim(2)] == ids[2:3]
    assert [one.message_id for one in await house.claim(100)] == ids[3:]


async def test_a_text_longer_than_the_window_goes_alone(house: House):
    short, long, after = await house.send(3, parts=[1, 12, 1])
    assert [one.message_id for one in await house.claim(10)] == [short]
    (alone,) = await house.claim(10)
    assert (alone.message_id, alone.todo) == (long, tuple(range(1, 13)))
    assert [one.message_id for one in await house.claim(10)] == [after]


async def test_a_named_route_is_kept_and_any_link_takes_the_others(house: House):
    mixed = await house.send(3, routes=["north", "", "south"])
    assert [one.message_id for one in await house.claim(link="north")] == mixed[:2]
    assert await house.claim(link="north") == []
    assert [one.message_id for one in await house.claim(link="south")] == mixed[2:]


async def test_claims_of_two_links_in_one_transaction_share_the_queue(house: House):
    ids = await house.send(10)
    taken = await asyncio.gather(*[house.claim(3, link=f"link{n}") for n in range(5)])
    found = [one.message_id for claim in taken for one in claim]
    assert sorted(found) == ids


async def test_next_due_at_tells_what_this_link_may_carry(house: House):
    assert await house.store.next_due_at("north") is None
    await house.send(send_at=house.now + 5000, routes="south")
    assert await house.store.next_due_at("north") is None
    assert await house.store.next_due_at("south") == house.now + 5000
    await house.send(send_at=house.now + 9000)
    assert await house.store.next_due_at("north") == house.now + 9000
    assert await house.store.next_due_at("south") == house.now + 5000
    await house.send()
    await house.claim()
    assert await house.store.next_due_at("north") == house.now + 9000


async def test_a_message_over_its_validity_is_ended_and_not_claimed_afterwards(house: House):
    (message,) = await house.send(valid_s=60)
    house.clock.advance(60)
    assert await house.store.end_overdue({}, house.now, 10) == 1
    assert await house.claim() == []
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)


async def test_two_nodes_never_claim_the_same_message(postgres_house: House):
    house = postgres_house
    other = await house.second(node="node2")
    ids = [one for _ in range(40) for one in await house.send(10)]
    taken: list[str] = []
    while True:
        claims = await asyncio.gather(
            *[house.claim(7, store=store) for store in (house.store, other) for _ in range(4)]
        )
        if not any(claims):
            break
        taken += [one.message_id for claim in claims for one in claim]
    assert len(taken) == len(set(taken))
    assert sorted(taken) == sorted(ids)
    nodes = await house.look(select(t.part.c.node).distinct())
    assert sorted(nodes) == [("node1",), ("node2",)]


# --- answers -------------------------------------------------------------------------------------------------------


async def test_an_answer_dispatches_and_keeps_the_id_as_sent(house: House):
    (message,) = await house.send()
    await house.claim()
    house.clock.advance(1)
    await house.answer(message, "00Ab-0 ")
    assert await house.status(message) == (Status.DISPATCHED, Reason.ACCEPTED)
    assert await house.parts(message, "smsc_message_id", "state", "answered_at") == [("00Ab-0 ", "accepted", house.now)]
    assert (await house.view(message)).since_at == house.now


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
async def test_r37_answers_to_parts_come_in_any_order_and_each_part_keeps_its_id(house: House, order):
    (message,) = await house.send(parts=3)
    await house.claim()
    for place, part in enumerate(order):
        assert (await house.status(message))[0] is Status.QUEUED
        await house.answer(message, f"id{part}", part=part)
        assert ((await house.status(message))[0] is Status.DISPATCHED) == (place == 2)
    assert await house.parts(message, "smsc_message_id") == ["id1", "id2", "id3"]


async def test_answers_of_one_batch_may_name_parts_of_many_messages(house: House):
    ids = await house.send(300, parts=[1 + n % 3 for n in range(300)])
    claimed = await house.claim(10_000)
    answers = [
        SubmitAnswer(PartKey(one.message_id, part), house.now, 0, f"{part}{one.message_id}")
        for one in claimed
        for part in one.todo
    ]
    await house.store.record_answers("link", "link", answers)
    assert await house.look(select(t.message.c.status).distinct()) == [("DISPATCHED",)]
    assert await house.parts(ids[2], "smsc_message_id") == [f"{part}{ids[2]}" for part in (1, 2, 3)]


async def test_r11_a_temporary_refusal_goes_back_to_the_queue_and_is_sent_again(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0x58, retry_in_s=5)
    assert await house.status(message) == (Status.QUEUED, Reason.RETRYING)
    assert await house.callbacks() == []
    assert await house.claim() == []
    assert await house.store.next_due_at("link") == house.now + 5000
    house.clock.advance(5)
    (again,) = await house.claim()
    assert (again.message_id, again.todo, again.attempts) == (message, (1,), 1)
    await house.answer(message, "late-id")
    await house.receive(build_receipt("late-id"))
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)
    assert await house.told() == [(message, Status.DELIVERED)]


async def test_r11_only_the_refused_part_is_sent_again(house: House):
    (message,) = await house.send(parts=3)
    await house.claim()
    await house.answer(message, "a", part=1)
    await house.answer(message, status=0x14, part=2, retry_in_s=1)
    await house.answer(message, "c", part=3)
    house.clock.advance(1)
    (again,) = await house.claim(link="other")
    assert again.todo == (2,)
    assert await house.parts(message, "link", "state") == [
        ("link", "accepted"),
        ("other", "written"),
        ("link", "accepted"),
    ]
    await house.answer(message, "b", part=2, link="other")
    assert await house.status(message) == (Status.DISPATCHED, Reason.ACCEPTED)
    assert await house.parts(message, "smsc_message_id") == ["a", "b", "c"]


async def test_r11_validity_alone_ends_the_tries(house: House):
    (message,) = await house.send(valid_s=10)
    for _ in range(3):
        assert len(await house.claim()) == 1
        await house.answer(message, status=0x58, retry_in_s=4)
        house.clock.advance(4)
        await house.store.end_overdue({}, house.now, 10)
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
    assert await house.claim() == []
    assert await house.told() == [(message, Status.EXPIRED)]


async def test_a_permanent_refusal_ends_the_message_with_its_command_status(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0x0B)
    view = await house.view(message)
    assert (view.status, view.reason) == (Status.REJECTED, Reason.SUBMIT_REFUSED)
    assert (view.error.source, view.error.command_status) == (ErrorSource.SUBMIT, 0x0B)
    assert await house.told() == [(message, Status.REJECTED)]
    assert await house.claim() == []


async def test_any_32_bit_command_status_is_kept(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0xFFFF_FFFE)
    assert (await house.view(message)).error.command_status == 0xFFFF_FFFE


async def test_r38_one_refused_part_ends_the_whole_and_the_rest_stays_unsent(house: House):
    (message,) = await house.send(parts=3)
    await house.claim()
    await house.answer(message, "a", part=1)
    await house.answer(message, status=0x58, part=2, retry_in_s=1)
    await house.answer(message, status=0x0B, part=3)
    assert await house.status(message) == (Status.REJECTED, Reason.SUBMIT_REFUSED)
    house.clock.advance(60)
    assert await house.claim() == []
    await house.receive(build_receipt("a"))
    assert await house.status(message) == (Status.REJECTED, Reason.SUBMIT_REFUSED)
    assert await house.told() == [(message, Status.REJECTED)]


async def test_an_answer_that_comes_twice_changes_nothing(house: House):
    (message,) = await house.dispatch(notify=Notify.CHANGES)
    await house.answer(message, house.smsc_id(message))
    await house.answer(message, status=0x0B)
    await house.answer(message, status=0x58, retry_in_s=1)
    assert await house.status(message) == (Status.DISPATCHED, Reason.ACCEPTED)
    assert await house.events(message) == [(Status.DISPATCHED, Reason.ACCEPTED)]
    house.clock.advance(10)
    assert await house.claim() == []


async def test_an_answer_for_a_message_that_is_not_there_is_no_trouble(house: House):
    (message,) = await house.send()
    await house.claim()
    stranger = SubmitAnswer(PartKey(house.ids.new()[:22] + "0001", 1), house.now, 0, "x")
    known = SubmitAnswer(PartKey(message, 1), house.now, 0, "y")
    await house.store.record_answers("link", "link", [stranger, known])
    assert (await house.status(message))[0] is Status.DISPATCHED


async def test_no_answers_fates_receipts_or_keys_are_no_trouble(house: House):
    await house.store.record_answers("link", "link", [])
    await house.store.record_fates([], house.now)
    assert await house.store.record_receipts([]) == []
    await house.store.record_incoming([])
    await house.store.record_attempts([])
    assert await house.store.resend_in_doubt([], house.now) == 0
    assert await house.store.end_in_doubt([], house.now) == 0


async def test_an_answer_without_an_id_still_dispatches(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, "")
    assert (await house.status(message))[0] is Status.DISPATCHED


# --- parts that were not answered ----------------------------------------------------------------------------------


async def test_what_was_not_written_goes_back_to_the_queue(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=False)
    assert await house.status(message) == (Status.QUEUED, Reason.QUEUED)
    (again,) = await house.claim()
    assert (again.message_id, again.todo) == (message, (1,))


@pytest.mark.parametrize("in_doubt", [False, True])
async def test_p6_a_fate_told_by_another_node_than_the_writer_changes_nothing(house: House, in_doubt):
    (message,) = await house.send()
    await house.claim()
    other = await house.second(node="node2")
    await other.record_fates([SubmitFate(PartKey(message, 1), in_doubt)], house.now)
    assert await house.parts(message, "state") == ["written"]
    assert await house.claim() == []


async def test_p6_a_claim_whose_commit_failed_is_not_taken_back_from_who_got_it_then(postgres_house: House):
    house = postgres_house
    (message,) = await house.send()
    failing = house.store.commits._tx
    commit, failing.commit = failing.commit, raise_away
    with pytest.raises(StoreUnavailable):
        await house.claim()
    failing.commit = commit
    other = await house.second(node="node2")
    assert [one.message_id for one in await house.claim(store=other)] == [message]
    assert await house.claim() == []
    assert await house.parts(message, "state", "node") == [("written", "node2")]


def raise_away() -> None:
    raise StoreUnavailable("the commit's answer was lost")


async def test_r12_what_was_written_is_held_in_doubt(house: House):
    (message,) = await house.send()
    await house.claim()
    written_at = house.now
    house.clock.advance(5)
    await house.fate(message, in_doubt=True)
    assert await house.claim() == []
    (part,) = await house.store.list_in_doubt(None)
    assert part == (
        message,
        1,
        house.account.name,
        message[:22] + "0000",
        await house.recipient(message),
        "link",
        written_at,
    )
    assert (await house.status(message))[0] is Status.QUEUED
    assert await house.callbacks() == []


async def test_fates_of_parts_that_were_answered_meanwhile_change_nothing(house: House):
    (message,) = await house.dispatch()
    await house.store.record_fates([SubmitFate(PartKey(message, 1), True)], house.now)
    await house.store.record_fates([SubmitFate(PartKey(message, 1), False)], house.now)
    assert await house.parts(message, "state") == ["accepted"]
    assert await house.claim() == []


async def test_r7_a_late_answer_takes_the_part_out_of_doubt(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    house.clock.advance(120)
    await house.answer(message, "late")
    assert (await house.status(message))[0] is Status.DISPATCHED
    assert await house.store.list_in_doubt(None) == []
    result = await house.receive(build_receipt("late"))
    assert result.message_id == message
    assert await house.status(message) == (Status.DELIVERED, Reason.DELIVERED)


async def test_r7_a_late_temporary_refusal_sends_a_part_in_doubt_again(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    await house.answer(message, status=0x58, retry_in_s=1)
    house.clock.advance(1)
    assert [one.message_id for one in await house.claim()] == [message]


async def test_r7_an_answer_after_the_end_gives_the_id_and_keeps_the_end(house: House):
    (message,) = await house.send(valid_s=60)
    await house.claim()
    await house.fate(message, in_doubt=True)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(message) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    await house.answer(message, "late")
    assert await house.status(message) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    assert await house.parts(message, "smsc_message_id") == ["late"]


async def test_in_doubt_parts_are_listed_by_link_and_oldest_first(house: House):
    first = await house.send()
    await house.claim(link="south")
    house.clock.advance(1)
    second = await house.send()
    await house.claim(link="north")
    for message in first + second:
        await house.fate(message, in_doubt=True)
    assert [part.message_id for part in await house.store.list_in_doubt(None)] == first + second
    assert [part.message_id for part in await house.store.list_in_doubt("north")] == second
    assert await house.store.list_in_doubt("east") == []
    assert (await house.store.count_backlog())["in_doubt"] == 2


async def test_an_operator_sends_a_part_in_doubt_again(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "a", part=1)
    await house.fate(message, in_doubt=True, part=2)
    keys = [PartKey(message, 1), PartKey(message, 2), PartKey(message, 3)]
    assert await house.store.resend_in_doubt(keys, house.now) == 1
    (again,) = await house.claim()
    assert again.todo == (2,)
    assert await house.store.list_in_doubt(None) == []
    assert await house.store.resend_in_doubt(keys, house.now) == 0


async def test_an_operator_ends_a_message_in_doubt(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    assert await house.store.end_in_doubt([PartKey(message, 1)], house.now) == 1
    assert await house.status(message) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    assert await house.told() == [(message, Status.UNKNOWN)]
    assert await house.store.list_in_doubt(None) == []


async def test_what_has_ended_is_no_longer_in_doubt_for_operators(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    await house.store.end_in_doubt([PartKey(message, 1)], house.now)
    assert (await house.store.count_backlog())["in_doubt"] == 0
    assert await house.store.resend_in_doubt([PartKey(message, 1)], house.now) == 0
    assert await house.store.end_in_doubt([PartKey(message, 1)], house.now) == 0
    assert await house.claim() == []


# --- restarts ------------------------------------------------------------------------------------------------------


async def test_p6_after_a_restart_written_parts_are_in_doubt_and_not_sent_again(house: House):
    taken, answered, waiting = await house.send(3)
    assert len(await house.claim(2)) == 2
    await house.answer(answered, "x")
    await house.restart()
    assert [part.message_id for part in await house.store.list_in_doubt(None)] == [taken]
    assert [one.message_id for one in await house.claim()] == [waiting]
    assert (await house.status(answered))[0] is Status.DISPATCHED


async def test_another_nodes_restart_leaves_our_parts_alone(house: House):
    (message,) = await house.send()
    await house.claim()
    other = await house.second(node="node2")
    assert await other.list_in_doubt(None) == []
    assert await house.parts(message, "state") == ["written"]


async def test_a_program_beside_the_server_takes_nothing_back(house: House):
    await house.send()
    await house.claim()
    beside = house.open()
    beside._serving = False
    await beside.start()
    assert await beside.list_in_doubt(None) == []
    await beside.stop()


async def test_start_and_stop_bear_being_called_twice(house: House):
    (message,) = await house.send()
    await house.claim()
    await house.store.start()
    assert await house.parts(message, "state") == ["written"]
    await house.store.stop()
    await house.store.stop()


async def test_verbs_that_wait_at_stop_are_still_done(house: House):
    new = house.plan()
    accepted = house.store.accept_batch(new)
    await house.store.stop()
    assert (await accepted).batch == new.batch
    await house.restart()
    assert await house.store.fetch_batch(house.account.id, new.batch.id) == new.batch


async def test_an_adopted_note_is_not_given_to_ordinary_messages(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    assert (await house.view(message)).notes is Note.NONE


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("claimed_again", [False, True])
async def test_r45_a_resent_part_that_we_let_expire_is_corrected_by_the_receipt_of_its_first_submit(
    house: House, parts: int, claimed_again: bool
):
    (message,) = await house.send(parts=parts, valid_s=100)
    await house.claim()
    keys = [PartKey(message, number) for number in range(1, parts + 1)]
    for key in keys:
        await house.fate(message, in_doubt=True, part=key.part_no)
    assert await house.store.resend_in_doubt(keys, house.now) == parts
    if claimed_again:
        await house.claim()
        for key in keys:
            await house.fate(message, in_doubt=False, part=key.part_no)
    house.clock.advance(101)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
    for key in keys:
        await house.answer(message, f"id{key.part_no}", part=key.part_no)
        await house.receive(build_receipt(f"id{key.part_no}"))
    view = await house.view(message)
    assert (view.status, view.notes) == (Status.DELIVERED, Note.LATE)
