"""Endpoints and replays made under a key are made once, and answered the same every time (P7)."""

import asyncio

from kvitto.core.endpoint import NewEndpoint
from kvitto.core.model import FrozenAnswer
from kvitto.core.record import CallbackFilter, NewReplay
from kvitto.store.api import AdmissionRefused
from tests.conformance.house import DAY_MS, House

URL = "https://shop.example/cb"


def show(made: object) -> FrozenAnswer:
    return FrozenAnswer(201, str(made.id).encode(), "application/json", (("A", "b"),))  # type: ignore[attr-defined]


def endpoint(house: House, name: str = "main", url: str = URL) -> NewEndpoint:
    return NewEndpoint(house.account.id, name, url, house.now, {"password": "sesame"})


def replay(house: House) -> NewReplay:
    return NewReplay(CallbackFilter(account_id=house.account.id), 10.0, house.now)


def once(house: House, new: NewEndpoint | NewReplay, key: str = "key", fingerprint: str = "f"):
    return house.store.create_once(house.account.id, key, fingerprint, new, show)


async def test_p7_fifty_at_once_make_one_replay_and_get_one_answer(house: House):
    answers = await asyncio.gather(*[once(house, replay(house)) for _ in range(50)])
    assert len(set(answers)) == 1
    assert len(await house.store.list_replays(house.account.id, 100)) == 1


async def test_p7_an_endpoint_is_made_once_and_its_secrets_are_sealed(house: House):
    first = await once(house, endpoint(house))
    assert await once(house, endpoint(house)) == first
    assert first.headers == (("A", "b"),)
    (made,) = await house.store.list_endpoints(house.account.id, 10)
    assert (made.password, str(made.id).encode()) == ("sesame", first.body)


async def test_p7_another_request_under_the_key_is_refused(house: House):
    await once(house, replay(house))
    assert await once(house, replay(house), fingerprint="other") == AdmissionRefused("key_reused")
    assert len(await house.store.list_replays(house.account.id, 100)) == 1


async def test_p7_a_key_is_an_accounts_own_and_lives_a_day_and_over_restarts(house: House):
    first = await once(house, replay(house))
    other = await house.new_account()
    new = replay(house)._replace(filter=CallbackFilter(account_id=other.id))
    assert await house.store.create_once(other.id, "key", "f", new, show) != first
    await house.restart()
    assert await once(house, replay(house)) == first
    house.clock.advance(DAY_MS / 1000)
    assert await once(house, replay(house)) != first


async def test_a_name_that_is_taken_keeps_no_answer(house: House):
    await house.store.create_endpoint(endpoint(house))
    taken = endpoint(house, url="https://free.example/")
    assert await once(house, taken) is None
    freed = endpoint(house, name="other", url="https://free.example/")
    assert isinstance(await once(house, freed), FrozenAnswer)
