"""What time alone decides is asked of the store, in steps."""

import asyncio
from typing import Any, cast

import pytest

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import PartKey
from kvitto.core.receipt import LinkRules
from kvitto.dispatch.waits import BATCH, Waits
from kvitto.store.api import InDoubtPart
from tests.support.clock import FakeClock
from tests.support.rig import eventually


class Store:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.overdue: list[int] = []
        self.parked: list[int] = []
        self.doubtful: list[InDoubtPart] = []
        self.away = 0

    async def end_overdue(self, rules: Any, now: int, limit: int) -> int:
        self.calls.append(("end_overdue", rules, now, limit))
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        return self.overdue.pop(0) if self.overdue else 0

    async def retry_parked(self, rules: Any, now: int) -> int:
        self.calls.append(("retry_parked", rules, now))
        return self.parked.pop(0) if self.parked else 0

    async def list_in_doubt(self, link: str | None) -> list[InDoubtPart]:
        self.calls.append(("list_in_doubt", link))
        return self.doubtful

    async def resend_in_doubt(self, keys: list[PartKey], now: int) -> int:
        self.calls.append(("resend_in_doubt", keys, now))
        return len(keys)


def make(store: Store, clock: FakeClock, rules: dict[str, LinkRules], **named: Any) -> Waits:
    return Waits(cast("Any", store), clock, rules, **named)


async def test_each_links_rules_go_to_the_store_with_the_time(clock: FakeClock):
    store, rules = Store(), {"main": LinkRules(park_s=1)}
    assert not await make(store, clock, rules).run_once()
    assert store.calls == [("end_overdue", rules, clock.now(), BATCH), ("retry_parked", rules, clock.now())]


@pytest.mark.parametrize(("overdue", "parked"), [(BATCH, 0), (0, BATCH)])
async def test_a_full_step_says_that_there_is_more(clock: FakeClock, overdue: int, parked: int):
    store = Store()
    store.overdue, store.parked = [overdue], [parked]
    waits = make(store, clock, {})
    assert await waits.run_once()
    assert (waits.ended, waits.retried) == (overdue, parked)


async def test_r12_only_a_link_that_chose_it_sends_doubtful_parts_again_and_only_after_a_while(clock: FakeClock):
    old = InDoubtPart("old", 1, "acme", "b", "46", "risky", clock.now() - 60_000)
    young = InDoubtPart("young", 1, "acme", "b", "46", "risky", clock.now() - 60_000 + 1)
    store = Store()
    store.doubtful = [old, young]
    waits = make(store, clock, {"main": LinkRules(), "risky": LinkRules(resend_in_doubt=True)})
    await waits.run_once()
    assert ("list_in_doubt", "risky") in store.calls
    assert ("list_in_doubt", "main") not in store.calls
    assert store.calls[-1] == ("resend_in_doubt", [PartKey("old", 1)], clock.now())


async def test_p25_the_service_goes_on_when_the_store_is_back(clock: FakeClock):
    store = Store()
    store.away = 2
    waits = make(store, clock, {}, every_s=0.001)
    waits.start()
    waits.start()
    await eventually(lambda: len([call for call in store.calls if call[0] == "end_overdue"]) >= 4)
    await waits.stop()
    await waits.stop()
    seen = len(store.calls)
    await asyncio.sleep(0)
    assert len(store.calls) == seen
