"""The wall clock jumps an hour or a day, either way: nothing ends early, nothing floods, nothing stands (P26).

The store is told the time by a ``SteadyClock`` over a clock that jumps, as the server's is.
"""

import pytest

from kvitto.core.clock import BELIEVED_AFTER_S, SteadyClock
from kvitto.core.model import CallbackResult, CallbackState, ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Reason, Status
from kvitto.dispatch.waits import Waits
from tests.conformance.house import House, build_receipt
from tests.support.clock import FakeClock

JUMPS = pytest.mark.parametrize("by_s", [3600, -3600, 86_400, -86_400])


@pytest.fixture
def steady(clock: FakeClock) -> SteadyClock:
    return SteadyClock(clock)


def waits(house: House, steady: SteadyClock) -> Waits:
    return Waits(house.store, steady, {"link": LinkRules()})


@JUMPS
async def test_p26_a_jump_that_is_taken_back_ends_no_message(house: House, steady: SteadyClock, by_s: int):
    queued, claimed = await house.send(2, valid_s=600, routes="link")
    await house.claim(parts=1)
    (dispatched,) = await house.dispatch(valid_s=600, link="other", routes="other")
    keeper = waits(house, steady)
    house.clock.jump(by_s)
    for _ in range(5):
        await keeper.run_once()
        house.clock.advance(60)
    house.clock.jump(-by_s)
    await keeper.run_once()
    assert keeper.ended == 0
    assert [(await house.status(one))[0] for one in (queued, claimed, dispatched)] == [
        Status.QUEUED,
        Status.QUEUED,
        Status.DISPATCHED,
    ]
    house.clock.advance(301)
    await keeper.run_once()
    ends = {await house.status(one) for one in (queued, claimed)}
    assert (Status.EXPIRED, Reason.VALIDITY_LOCAL) in ends


@JUMPS
async def test_p26_validity_ends_when_as_much_time_has_passed_though_the_clock_says_otherwise(
    house: House, steady: SteadyClock, by_s: int
):
    (message,) = await house.send(valid_s=600)
    keeper = waits(house, steady)
    house.clock.jump(by_s)
    house.clock.advance(599)
    await keeper.run_once()
    assert (await house.status(message))[0] is Status.QUEUED
    house.clock.advance(1)
    await keeper.run_once()
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)


@JUMPS
async def test_p26_a_refused_part_is_sent_again_at_its_time(house: House, steady: SteadyClock, by_s: int):
    (message,) = await house.send()
    await house.claim()
    await house.answer(message, status=0x14, retry_in_s=30)
    house.clock.jump(by_s)
    house.clock.advance(29)
    assert await house.store.claim_messages("link", 10, steady.now()) == []
    house.clock.advance(1)
    assert [one.message_id for one in await house.store.claim_messages("link", 10, steady.now())] == [message]


@JUMPS
async def test_p26_callbacks_are_retried_at_their_time_and_not_all_at_once(
    house: House, steady: SteadyClock, by_s: int
):
    messages = await house.dispatch(20)
    for message in messages:
        await house.receipt_for(message)
    due = await house.callbacks(now=steady.now())
    now = steady.now()
    await house.store.record_attempts(
        [
            CallbackResult(one.id, CallbackState.PENDING, now, now + (index + 1) * 20_000, now, 503, None, 1)
            for index, one in enumerate(due)
        ]
    )
    house.clock.jump(by_s)
    for _ in range(20):
        assert await house.callbacks(now=steady.now()) == []
        house.clock.advance(20)
        (one,) = await house.callbacks(now=steady.now())
        done = CallbackResult(one.id, CallbackState.DONE, steady.now(), None, None, 200, None, 1)
        await house.store.record_attempts([done])


@JUMPS
async def test_p26_parked_receipts_are_tried_at_their_times_and_given_up_at_none_earlier(
    house: House, steady: SteadyClock, by_s: int
):
    await house.receive(build_receipt("early"))
    keeper = waits(house, steady)
    house.clock.jump(by_s)
    for passed_s, tries in ((0, 0), (1, 1), (1, 2), (3, 3), (5, 4), (20, 5), (30, 6), (600, 7)):
        house.clock.advance(passed_s)
        await keeper.run_once()
        assert keeper.retried == tries
    (parked,) = await house.store.list_receipts([ReceiptOutcome.PARKED])
    assert parked.tries == 7


@JUMPS
async def test_p26_nothing_is_forgotten_because_of_a_jump(house: House, steady: SteadyClock, by_s: int):
    (message,) = await house.dispatch()
    await house.receipt_for(message)
    house.clock.advance(30 * 86_400 - 1800)
    steady.now()
    house.clock.jump(by_s)
    await house.store.clean({}, 30, steady.now(), 100)
    assert (await house.view(message)).status is Status.DELIVERED


async def test_p26_a_clock_that_was_set_right_is_believed_and_what_is_over_by_it_ends_in_steps(
    house: House, steady: SteadyClock
):
    await house.send(30, valid_s=7200)
    keeper = waits(house, steady)
    house.clock.jump(86_400)
    await keeper.run_once()
    house.clock.advance(BELIEVED_AFTER_S)
    ended = await house.store.end_overdue({}, steady.now(), 10)
    assert ended == 10
    await keeper.run_once()
    assert keeper.ended == 20
