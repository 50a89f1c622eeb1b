"""The bound on what waits unsent: 429 with Retry-After before there is too much (P29)."""

import asyncio
from typing import Any, cast

import pytest

from kvitto.core.errors import StoreUnavailable
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Content, NewBatch, Submission
from kvitto.core.operations import FetchBatch, Revise, Send
from kvitto.dialects.base import Problem
from kvitto.intake import pressure as module
from kvitto.intake.admit import Denial
from kvitto.intake.desk import Desk
from kvitto.intake.pressure import EVERYBODY, RETRY_AFTER_S, Pressure
from kvitto.store.api import Store
from tests.support.fakestore import FakeStore
from tests.support.rig import eventually

SHOP = Account(id="shop", name="shop", service_plan_id="plan", username="shop-1")
OTHER = Account(id="other", name="other", service_plan_id="plan2", username="other-1")


class Counts:
    """What the store says waits."""

    def __init__(self, **queued: int) -> None:
        self.queued = queued
        self.away = False
        self.reads = 0

    async def __call__(self) -> dict[str, int]:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("away")
        return {**self.queued, EVERYBODY: sum(self.queued.values())}


def numbers(count: int) -> tuple[str, ...]:
    return tuple(str(46_700_000_000 + n) for n in range(count))


def submission(count: int = 1) -> Submission:
    return Submission(dialect="sinch", sender="Kvitto", recipients=numbers(count), content=Content(text="hi"))


async def looked(counts: Counts, most: int = 100, most_per_account: int = 50) -> Pressure:
    one = Pressure(counts, most=most, most_per_account=most_per_account)
    await one.look()
    return one


@pytest.mark.parametrize(("shop", "refused"), [(0, False), (49, False), (50, True), (51, True)])
async def test_p29_an_account_is_refused_at_its_bound_and_others_are_not(shop: int, refused: bool):
    one = await looked(Counts(shop=shop))
    denial = one.denial(SHOP.id)
    assert (denial is not None) is refused
    assert one.denial(OTHER.id) is None
    if denial is not None:
        assert (denial.problem, denial.retry_after_s) == (Problem.THROTTLED, RETRY_AFTER_S)
        assert one.refused == 1


async def test_p29_everybody_is_refused_at_the_bound_of_all():
    one = await looked(Counts(shop=49, other=49, third=2))
    assert one.denial(SHOP.id) is not None
    assert one.denial("nobody yet") is not None


async def test_p29_what_is_admitted_between_two_looks_counts_at_once():
    one = await looked(Counts(shop=48))
    one.add(SHOP.id, 1)
    assert one.denial(SHOP.id) is None
    one.add(SHOP.id, 1)
    assert one.denial(SHOP.id) is not None
    await one.look()
    assert one.denial(SHOP.id) is None, "the store knows better"


async def test_p29_a_request_below_the_bound_is_taken_whole_and_the_next_refused(clock):
    store: Any = FakeStore()
    desk = Desk(cast(Store, store), IdMaker(clock), pressure=await looked(Counts(shop=49)))
    taken = await desk.perform(Send(submission=submission(500)), SHOP, clock.now())
    assert isinstance(taken, NewBatch)
    refused = await desk.perform(Send(submission=submission()), SHOP, clock.now())
    assert isinstance(refused, Denial)
    assert refused.problem is Problem.THROTTLED
    assert isinstance(await desk.perform(Send(submission=submission()), OTHER, clock.now()), Denial), "549 are too many"


async def test_p29_the_hot_way_is_refused_before_anything_is_stored(clock):
    store: Any = FakeStore()
    desk = Desk(cast(Store, store), IdMaker(clock), pressure=await looked(Counts(shop=50)))
    denial = desk.send(submission(), SHOP, clock.now(), lambda stored, error: pytest.fail("stored"))
    assert denial is not None
    assert denial.retry_after_s == RETRY_AFTER_S


async def test_p29_at_the_bound_a_batch_may_shrink_and_be_read_but_not_grow(clock):
    store: Any = FakeStore()
    counts = Counts(shop=0)
    one = await looked(counts)
    desk = Desk(cast(Store, store), IdMaker(clock), pressure=one)
    batch = (await desk.perform(Send(submission=submission(2)), SHOP, clock.now())).batch
    counts.queued["shop"] = 50
    await one.look()
    grown = await desk.perform(Revise(batch_id=batch.id, change=lambda _: submission(3)), SHOP, clock.now())
    assert isinstance(grown, Denial)
    assert grown.problem is Problem.THROTTLED
    shrunk = await desk.perform(Revise(batch_id=batch.id, change=lambda _: submission(1)), SHOP, clock.now())
    assert not isinstance(shrunk, Denial)
    assert not isinstance(await desk.perform(FetchBatch(batch_id=batch.id), SHOP, clock.now()), Denial)


async def test_it_looks_regularly_and_keeps_what_it_knew_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVERY_S", 0.001)
    counts = Counts(shop=50)
    one = Pressure(counts, most=100, most_per_account=50)
    await one.start()
    await one.start()
    counts.away = True
    reads = counts.reads
    await eventually(lambda: counts.reads > reads + 2)
    assert one.denial(SHOP.id) is not None
    counts.queued["shop"], counts.away = 0, False
    await eventually(lambda: one.denial(SHOP.id) is None)
    await one.stop()
    await one.stop()
    reads = counts.reads
    await asyncio.sleep(0)
    assert counts.reads == reads
