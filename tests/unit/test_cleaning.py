"""The broom sweeps in small steps and rests between them (R51)."""

import asyncio
from typing import Any, cast

from kvitto.core.errors import StoreUnavailable
from kvitto.core.receipt import LinkRules
from kvitto.dispatch.cleaning import LOOK_S, REST, REST_AT_LEAST_S, STEP, Broom
from kvitto.store.api import Cleaned
from tests.support.clock import FakeClock
from tests.support.rig import eventually

RULES = {"main": LinkRules()}


class Store:
    def __init__(self, clock: FakeClock, steps: list[Cleaned], *, takes_s: float = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.away = 0
        self._clock = clock
        self._steps = steps
        self._takes_s = takes_s

    async def clean(self, *asked: Any) -> Cleaned:
        self.calls.append(asked)
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        self._clock.advance(self._takes_s)
        return self._steps.pop(0) if self._steps else Cleaned(0, True)


def make(store: Store, clock: FakeClock, **named: Any) -> Broom:
    return Broom(cast("Any", store), clock, lambda: RULES, 90, **named)


async def test_r51_a_step_is_small_and_told_how_long_things_are_kept(clock: FakeClock):
    store = Store(clock, [])
    assert await make(store, clock).step() == LOOK_S
    assert store.calls == [(RULES, 90, clock.now(), STEP)]


async def test_r51_after_a_step_it_rests_several_times_as_long(clock: FakeClock):
    broom = make(Store(clock, [Cleaned(5, False)], takes_s=0.5), clock)
    assert await broom.step() == REST * 0.5
    assert broom.removed == 5
    assert await make(Store(clock, [Cleaned(5, False)]), clock).step() == REST_AT_LEAST_S


async def test_r51_it_goes_on_to_the_end_and_after_a_failure(clock: FakeClock):
    store = Store(clock, [Cleaned(5, False), Cleaned(5, False), Cleaned(1, True)])
    store.away = 1
    broom = make(store, clock, look_s=0.001)
    broom.start()
    broom.start()
    await eventually(lambda: broom.removed == 11)
    await broom.stop()
    await broom.stop()
    seen = len(store.calls)
    await asyncio.sleep(0)
    assert len(store.calls) == seen
