"""Scheduled batches: moved, paused, resumed, cancelled, and where they stand (docs/dialects/infobip.md 6)."""

import pytest

from kvitto.core.ids import batch_of
from kvitto.core.model import Content, Feed, FeedFilter, Notify, ScheduleState, Submission
from kvitto.core.status import Reason, Status
from kvitto.intake.admit import plan
from tests.conformance.house import DAY_MS, House

HOUR_S = 3600
HOUR_MS = 3_600_000
PENDING, PAUSED, CANCELLED = ScheduleState.PENDING, ScheduleState.PAUSED, ScheduleState.CANCELLED


async def scheduled(house: House, count: int = 2, **wishes) -> list[str]:
    return await house.send(
        count, **{"send_at": house.now + HOUR_MS, "client_id": "bulk", "notify": Notify.NONE, **wishes}
    )


async def where(house: House, name: str = "bulk") -> ScheduleState | None:
    schedule = await house.store.fetch_schedule(house.account.id, name, house.now)
    return None if schedule is None else schedule.state


async def move(house: House, send_at: int | None = None, state: ScheduleState | None = None, name: str = "bulk"):
    return await house.store.reschedule(house.account.id, name, send_at, state, house.now)


async def test_a_schedule_is_found_by_either_name(house: House):
    ids = await scheduled(house)
    for name in ("bulk", batch_of(ids[0])):
        schedule = await house.store.fetch_schedule(house.account.id, name, house.now)
        assert schedule == (batch_of(ids[0]), "bulk", house.now + HOUR_MS, PENDING)


async def test_of_several_with_one_name_the_newest_is_meant(house: House):
    await scheduled(house)
    house.clock.advance(1)
    newer = await scheduled(house)
    assert (await house.store.fetch_schedule(house.account.id, "bulk", house.now)).batch_id == batch_of(newer[0])


async def test_what_still_waits_under_a_name_is_moved_and_called_off_together(house: House):
    older = await scheduled(house)
    house.clock.advance(1)
    newer = await scheduled(house)
    assert (await move(house, house.now + DAY_MS)).schedule.batch_id == batch_of(newer[0])
    named = [batch_of(older[0]), batch_of(newer[0])]
    schedules = [await house.store.fetch_schedule(house.account.id, one, house.now) for one in named]
    assert [one.send_at for one in schedules] == [house.now + DAY_MS] * 2
    await move(house, state=CANCELLED, name=named[1])
    assert [await where(house, one) for one in named] == [PENDING, CANCELLED], "our id means one batch"
    assert await where(house) is PENDING, "of what has the name, this one still waits"
    assert (await move(house, state=CANCELLED)).schedule.state is CANCELLED
    assert await where(house, named[0]) is CANCELLED
    assert (await move(house, state=PENDING)).problem == "already_dispatched"


async def test_what_was_never_scheduled_or_is_anothers_is_not_found(house: House):
    await house.send(1, client_id="now")
    await scheduled(house)
    stranger = await house.new_account()
    assert await where(house, "now") is None
    assert await where(house, "nobody") is None
    assert await house.store.fetch_schedule(stranger.id, "bulk", house.now) is None
    assert (await house.store.reschedule(stranger.id, "bulk", None, CANCELLED, house.now)).problem == "not_found"
    assert (await move(house, house.now, name="now")).problem == "not_found"


@pytest.mark.parametrize("hours", [0, 5])
async def test_a_batch_leaves_at_its_new_time_with_its_validity(house: House, hours):
    ids = await scheduled(house, valid_s=60)
    outcome = await move(house, house.now + hours * HOUR_MS)
    assert outcome.schedule.send_at == house.now + hours * HOUR_MS
    if hours:
        house.clock.advance(hours * HOUR_S - 1)
        assert await house.claim() == []
        house.clock.advance(1)
    claimed = await house.claim()
    assert [(one.message_id, one.expire_at) for one in claimed] == [(one, house.now + 60_000) for one in ids]
    assert (await house.view(ids[0])).sent_at == house.now


async def test_a_paused_batch_stays_and_goes_on_when_resumed(house: House):
    ids = await scheduled(house)
    assert (await move(house, state=PAUSED)).schedule.state is PAUSED
    assert (await move(house, state=PAUSED)).schedule.state is PAUSED
    house.clock.advance(2 * HOUR_S)
    assert await house.claim() == []
    assert await where(house) is PAUSED
    assert (await move(house, state=PENDING)).schedule.state is ScheduleState.PROCESSING
    assert [one.message_id for one in await house.claim()] == ids


async def test_a_paused_batch_can_be_moved_and_stays_paused(house: House):
    await scheduled(house)
    await move(house, state=PAUSED)
    outcome = await move(house, house.now + 2 * HOUR_MS)
    assert (outcome.schedule.state, outcome.schedule.send_at) == (PAUSED, house.now + 2 * HOUR_MS)
    await move(house, state=PENDING)
    house.clock.advance(2 * HOUR_S - 1)
    assert await house.claim() == []
    house.clock.advance(1)
    assert len(await house.claim()) == 2


@pytest.mark.parametrize("how", ["moved", "paused", "moved while paused"])
@pytest.mark.parametrize("by", ["speed limit", "rate"])
async def test_a_batch_keeps_its_pace_wherever_it_is_moved(house: House, how, by):
    if by == "rate":
        await house.store.set_account(house.account.name, {"rate": 0.1})
    numbers = tuple(f"4670000000{n}" for n in range(3))
    wishes = Submission("infobip", "A", numbers, Content(text="1"), send_at=house.now + HOUR_MS, client_id="bulk")
    wishes = wishes._replace(spacing_ms=10_000.0 if by == "speed limit" else None)
    await house.store.accept_batch(plan(wishes, house.account, house.now, house.ids.new()))
    if "paused" in how:
        await move(house, state=PAUSED)
    if "moved" in how:
        await move(house, house.now + 2 * HOUR_MS)
    if "paused" in how:
        await move(house, state=PENDING)
    house.clock.advance((2 if "moved" in how else 1) * HOUR_S)
    left = []
    for _ in range(3):
        left.append(len(await house.claim()))
        house.clock.advance(9.999)
        left.append(len(await house.claim()))
        house.clock.advance(0.001)
    assert left == [1, 0, 1, 0, 1, 0]


async def test_p5_what_is_paused_for_ever_ends_all_the_same(house: House):
    ids = await scheduled(house, valid_s=60)
    await move(house, state=PAUSED)
    house.clock.advance(HOUR_S + 60)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(ids[0]) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
    assert await where(house) is ScheduleState.FINISHED


async def test_a_cancelled_batch_ends_and_is_reported(house: House):
    ids = await scheduled(house, feed=Feed.OWN)
    assert (await move(house, state=CANCELLED)).schedule.state is CANCELLED
    assert (await move(house, state=CANCELLED)).schedule.state is CANCELLED
    assert (await move(house, state=PENDING)).problem == "already_dispatched"
    house.clock.advance(2 * HOUR_S)
    assert await house.claim() == []
    page = await house.store.take_reports(house.account.id, FeedFilter(), 10, house.now)
    # Of one transaction's ends none is the first: PostgreSQL reads them in the order of its plan.
    assert sorted((view.id, view.status) for view in page.messages) == [(one, Status.CANCELLED) for one in ids]


async def test_a_cancelled_batch_is_called_back(house: House):
    ids = await scheduled(house, notify=Notify.FINAL)
    await move(house, state=CANCELLED)
    assert sorted(await house.told()) == [(one, Status.CANCELLED) for one in ids]


async def test_what_has_left_is_not_called_back(house: House):
    await scheduled(house)
    house.clock.advance(HOUR_S)
    assert await where(house) is ScheduleState.PROCESSING
    await house.claim(parts=1)
    for wish in ({"send_at": house.now + DAY_MS}, {"state": PAUSED}, {"state": CANCELLED}):
        assert (await move(house, **wish)).problem == "already_dispatched"


async def test_a_batch_that_is_through_is_finished_or_failed(house: House):
    await scheduled(house, 1)
    await scheduled(house, 1, client_id="bad", aborts={0: Reason.NO_ROUTE})
    house.clock.advance(HOUR_S)
    (claimed,) = await house.claim()
    await house.answer(claimed.message_id, house.smsc_id(claimed.message_id))
    await house.receipt_for(claimed.message_id)
    await house.store.end_overdue({}, house.now, 10)
    assert await where(house) is ScheduleState.FINISHED
    assert await where(house, "bad") is ScheduleState.FAILED


async def test_an_abort_moves_with_its_batch(house: House):
    ids = await scheduled(house, 1, aborts={0: Reason.NO_ROUTE})
    await move(house, house.now + 2 * HOUR_MS)
    house.clock.advance(HOUR_S)
    assert await house.store.end_overdue({}, house.now, 10) == 0
    house.clock.advance(HOUR_S)
    await house.store.end_overdue({}, house.now, 10)
    assert await house.status(ids[0]) == (Status.ABORTED, Reason.NO_ROUTE)


async def test_all_texts_of_a_bulk_move_each_with_its_validity(house: House):
    at = house.now + HOUR_MS
    first = Submission("infobip", "A", ("46700000001",), Content(text="1"), send_at=at, validity_default_ms=1000)
    second = first._replace(content=Content(text="2"), validity_default_ms=2000)
    new = plan(first._replace(more=(second,), client_id="bulk"), house.account, house.now, house.ids.new())
    await house.store.accept_batch(new)
    await move(house, house.now + 3 * HOUR_MS)
    house.clock.advance(3 * HOUR_S)
    assert [(one.text, one.expire_at - house.now) for one in await house.claim()] == [("1", 1000), ("2", 2000)]
