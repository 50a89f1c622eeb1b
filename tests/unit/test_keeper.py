"""Facts on their way to the store: few calls, none lost, none twice."""

import asyncio

from kvitto.core.errors import StoreUnavailable
from kvitto.dispatch.keeper import Keeper
from tests.support.scripted import settle


class Writer:
    """Keeps what it is given; the test resolves."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.futures: list[asyncio.Future[None]] = []
        self.changes = 0

    def write(self, batch: list[int]) -> "asyncio.Future[None]":
        self.batches.append(list(batch))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def changed(self) -> None:
        self.changes += 1


async def test_what_one_turn_of_the_loop_brings_is_one_batch_in_order():
    writer = Writer()
    keeper = Keeper(writer.write, writer.changed)
    keeper.put([1])
    keeper.put([2, 3])
    assert not keeper.idle
    await settle()
    assert writer.batches == [[1, 2, 3]]
    writer.futures[0].set_result(None)
    await settle()
    assert keeper.idle
    assert writer.changes == 1


async def test_while_two_batches_are_on_their_way_the_rest_collects_for_the_third():
    writer = Writer()
    keeper = Keeper(writer.write, writer.changed)
    for fact in range(5):
        keeper.put([fact])
        await settle()
    assert writer.batches == [[0], [1]]
    writer.futures[0].set_result(None)
    await settle()
    assert writer.batches == [[0], [1], [2, 3, 4]]


async def test_a_batch_refused_while_the_store_is_away_is_handed_over_again():
    writer = Writer()
    keeper = Keeper(writer.write, writer.changed, retry_s=0.0)
    keeper.put([1])
    await settle()
    writer.futures[0].set_exception(StoreUnavailable("away"))
    await settle()
    assert writer.batches == [[1], [1]]
    assert not keeper.idle
    writer.futures[1].set_result(None)
    await settle()
    assert keeper.idle


async def test_a_fact_that_the_store_stumbles_over_is_given_up_alone():
    writer = Writer()
    keeper = Keeper(writer.write, writer.changed)
    keeper.put([1, 2])
    await settle()
    writer.futures[0].set_exception(RuntimeError("stumbled"))
    await settle()
    assert writer.batches == [[1, 2], [1], [2]]
    writer.futures[1].set_exception(RuntimeError("stumbled"))
    writer.futures[2].set_result(None)
    await settle()
    assert keeper.idle
