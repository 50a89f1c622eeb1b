"""P12: a bad endpoint hurts nobody else, shown by who is posted to and when in turn, on a clock that stands still.

How long the others wait in seconds is measured by ``make bench-callbacks``; here is what makes it so.
"""

from collections import Counter

from kvitto.callbacks.post import PostRequest
from kvitto.core.model import CallbackDue
from tests.unit.test_outbox import Bench, due, make
from tests.unit.test_outbox_endpoints import looked

__all__ = ["make"]

ENDPOINTS = 100
HANGING = 10
EACH = 40
SLOTS = 4


def url(number: int) -> str:
    return f"http://sink{number}.example/"


def hangs(request: PostRequest) -> bool:
    return request.url in {url(number) for number in range(HANGING)}


def everybodys(each: int = EACH) -> list[CallbackDue]:
    """So many callbacks to each endpoint, in turns."""
    return [due(1 + turn * ENDPOINTS + n, url=url(n)) for turn in range(each) for n in range(ENDPOINTS)]


async def answer_all(bench: Bench) -> None:
    """The endpoints that do not hang answer, as long as anything is posted to them."""
    while answered := [request for request, _ in bench.client.open if not hangs(request)]:
        for request in answered:
            await bench.finish(request.body)


async def test_p12_ten_of_a_hundred_hang_and_the_others_get_everything_without_waiting(make, clock):
    bench = make(per_endpoint=SLOTS)
    began = clock.now()
    await bench.take(*everybodys())
    await answer_all(bench)
    posted = Counter(request.url for request in bench.client.started)
    assert {posted[url(n)] for n in range(HANGING, ENDPOINTS)} == {EACH}
    assert {posted[url(n)] for n in range(HANGING)} == {SLOTS}, "those that hang hold their own slots and no more"
    assert clock.now() == began


async def test_p12_what_waits_in_the_store_for_endpoints_that_hang_keeps_no_place_from_the_others(make, clock):
    bench = make(per_endpoint=SLOTS, in_hand=400, waiting=20, slow_waiting=10)
    everything = everybodys()
    bench.store.pending = [one for one in everything if one.url in {url(n) for n in range(HANGING)}]
    bench.store.pending += [one for one in everything if one not in bench.store.pending]
    bench.store.next_at = began = clock.now()
    for _ in range(2 * EACH):
        await looked(bench)
        await answer_all(bench)
    posted = Counter(request.url for request in bench.client.started)
    assert {posted[url(n)] for n in range(HANGING, ENDPOINTS)} == {EACH}
    assert {posted[url(n)] for n in range(HANGING)} == {SLOTS}
    assert bench.outbox.room() >= 400 - HANGING * (20 + SLOTS), (
        "memory is held by what may wait of those that hang, and no more"
    )
    assert clock.now() == began


async def test_p12_one_endpoint_with_nine_callbacks_in_ten_gets_one_turn_in_as_many_as_there_are_endpoints(make):
    bench = make(in_flight=8)
    busy, others = 900, 10
    await bench.take(*[due(n, url=url(0)) for n in range(1, busy + 1)])
    await bench.take(*[due(1000 + n, url=url(1 + n % others)) for n in range(others * 10)])
    while bench.client.open:
        await bench.finish()
    posted = [request.url for request in bench.client.started]
    assert Counter(posted)[url(0)] == busy
    last = max(place for place, where in enumerate(posted) if where != url(0))
    assert last < 8 + (others + 1) * 10, "in flight before they came, and ten rounds"
