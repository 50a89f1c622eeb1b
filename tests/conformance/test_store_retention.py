"""What is kept, for how long, and that cleaning never does much at once (R51, R25, R34, R45)."""

from typing import Any

import pytest
from sqlalchemy import func, select

from kvitto.core.model import CallbackResult, CallbackState, Notify
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store.api import Cleaned, IncomingMessage
from tests.conformance.house import House, build_receipt

DAY_S = 86_400
RULES = {"link": LinkRules()}


async def counted(house: House, *tables: Any) -> list[int]:
    return [(await house.look(select(func.count()).select_from(table)))[0][0] for table in tables]


async def clean(house: House, *, days: int = 30, limit: int = 1000, rules=RULES) -> Cleaned:
    cleaned: Cleaned = await house.store.clean(rules, days, house.now, limit)
    return cleaned


async def finish_callbacks(house: House) -> None:
    due = await house.callbacks()
    await house.store.record_attempts(
        [CallbackResult(one.id, CallbackState.DONE, house.now, None, None, 200, None, 1) for one in due]
    )


async def ended(house: House, count: int = 1, **wishes: Any) -> list[str]:
    messages = await house.dispatch(count, **wishes)
    for message in messages:
        for part in range(1, wishes.get("parts", 1) + 1):
            await house.receipt_for(message, part=part)
    await finish_callbacks(house)
    return messages


ALL = (t.batch, t.message, t.part, t.event, t.callback, t.receipt, t.feedback)


async def test_r51_a_finished_batch_goes_with_all_that_is_its_own_when_its_time_is_over(house: House):
    (message,) = await ended(house, parts=2, feedback=True)
    batch_id = (await house.view(message)).batch_id
    await house.store.record_feedback(house.account.id, batch_id, [await house.recipient(message)], house.now)
    assert 0 not in await counted(house, *ALL)
    house.clock.advance(30 * DAY_S)
    assert await clean(house) == Cleaned(0, True)
    house.clock.advance(1)
    assert (await clean(house)).over
    assert await counted(house, *ALL) == [0] * len(ALL)
    assert await clean(house) == Cleaned(0, True)


async def test_r51_a_batch_stays_while_one_of_its_messages_has_not_ended(house: House):
    first, _ = await house.dispatch(2)
    await house.receipt_for(first)
    await finish_callbacks(house)
    house.clock.advance(400 * DAY_S)
    await clean(house)
    assert await counted(house, t.batch, t.message, t.part) == [1, 2, 2]


async def test_r51_nothing_that_a_late_receipt_needs_goes_before_map_keep(house: House):
    (message,) = await house.dispatch(valid_s=1, notify=Notify.NONE)
    house.clock.advance(3700)
    await house.store.end_overdue({}, house.now, 10)
    rules = {"link": LinkRules(map_keep_s=40 * DAY_S), "other": LinkRules(map_keep_s=10 * DAY_S)}
    house.clock.advance(39 * DAY_S)
    await clean(house, days=1, rules=rules)
    await house.receipt_for(message)
    assert (await house.status(message))[0] is Status.DELIVERED


async def test_r51_a_batch_whose_callbacks_may_still_be_retried_stays(house: House):
    rules = {"link": LinkRules(map_keep_s=DAY_S)}
    await ended(house)
    house.clock.advance(6 * DAY_S)
    await clean(house, days=1, rules=rules)
    assert await counted(house, t.batch, t.callback) == [1, 1]
    house.clock.advance(2 * DAY_S)
    await clean(house, days=1, rules=rules)
    assert await counted(house, t.batch, t.callback) == [0, 0]


async def test_r51_a_callback_that_is_not_finished_stays(house: House):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    house.clock.advance(31 * DAY_S)
    await clean(house)
    assert await counted(house, t.callback) == [1]


async def test_r51_an_account_keeps_its_batches_as_long_as_it_says(house: House):
    other = await house.new_account(retention_days=100)
    await ended(house)
    (kept,) = await ended(house, account=other)
    house.clock.advance(60 * DAY_S)
    await clean(house, days=45)
    assert await house.look(select(t.message.c.id)) == [(kept,)]
    await house.store.set_account(other.name, {"retention_days": 50})
    await clean(house, days=45)
    assert await counted(house, t.batch, t.message, t.callback) == [0, 0, 0]


async def test_r25_raw_receipts_stay_as_long_as_their_link_says_and_parked_ones_always(house: House):
    rules = {"link": LinkRules(raw_keep_s=10 * DAY_S), "other": LinkRules(raw_keep_s=20 * DAY_S)}
    for link in rules:
        await house.receive(None, link=link)
        await house.store.record_incoming([IncomingMessage(link, house.now, "1", "2", "text", "00")])
    await house.receive(build_receipt("early"))
    house.clock.advance(10 * DAY_S + 1)
    await clean(house, rules=rules)
    assert await house.look(select(t.receipt.c.link, t.receipt.c.outcome).order_by(t.receipt.c.id)) == [
        ("other", "unparseable"),
        ("link", "parked"),
    ]
    assert await house.look(select(t.incoming.c.link)) == [("other",)]


async def test_r34_an_orphan_is_kept_as_long_as_a_raw_receipt_after_it_became_one(house: House):
    await house.receive(build_receipt("lost"))
    house.clock.advance(DAY_S + 1)
    await house.store.retry_parked(RULES, house.now)
    house.clock.advance(30 * DAY_S - 100)
    await clean(house)
    assert len(await house.store.list_receipts()) == 1
    house.clock.advance(100)
    await clean(house)
    assert await house.store.list_receipts() == []


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_r51_a_step_is_bounded_and_steps_run_to_the_end(house: House, limit: int):
    for _ in range(3):
        await ended(house, 5)
    (kept,) = await house.dispatch()
    await ended(house, 2)
    house.clock.advance(31 * DAY_S)
    before = await counted(house, *ALL)
    steps = 0
    cleaned = Cleaned(0, False)
    while not cleaned.over and steps < 200:
        steps += 1
        cleaned = await clean(house, limit=limit)
        after = await counted(house, *ALL)
        gone = [old - new for old, new in zip(before, after, strict=True)]
        assert all(0 <= one <= limit for one in gone), gone
        before = after
    assert cleaned.over
    assert steps >= 17 // limit
    assert await house.look(select(t.message.c.id)) == [(kept,)]
    assert await counted(house, t.callback, t.receipt, t.event) == [0, 0, 0]


async def test_r51_cleaning_goes_on_after_a_restart_in_the_middle(house: House):
    await ended(house, 6)
    house.clock.advance(31 * DAY_S)
    await clean(house, limit=2)
    await house.restart()
    for _ in range(20):
        if (await clean(house, limit=2)).over:
            break
    assert await counted(house, *ALL) == [0] * len(ALL)
