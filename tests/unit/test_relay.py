"""The relay: callbacks go to who listens, answers count as if they had been posted directly."""

import asyncio
from typing import Any, cast

import pytest

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import PostFailure, PostRequest, PostResult
from kvitto.callbacks.relay import Relay
from kvitto.core.model import Account
from kvitto.core.relay import RELAY_URL, RelayedAnswer
from tests.support.clock import FakeClock

OWN = "https://shop.example/own"
OTHER = "https://shop.example/other"
ACCOUNT = Account(id="A", name="shop", service_plan_id="p", username="u", callback_url=OWN)
STRANGER = Account(id="B", name="stranger", service_plan_id="q", username="v", callback_url=OWN)
LINES = b"Content-Type: application/json\r\nwebhook-id: cb_1_2\r\nX-Odd:  two spaces\r\n"


class Direct:
    """The HTTP client that stands behind."""

    def __init__(self) -> None:
        self.posted: list[str] = []

    def start(self, request: PostRequest, on_done: Any) -> None:
        self.posted.append(request.url)


def owner(request: PostRequest) -> Account | None:
    return cast(Account, request.context)


class Bench:
    """A relay, and what the outbox would see."""

    def __init__(self, ping_s: float = 60) -> None:
        self.direct = Direct()
        self.clock = FakeClock()
        self.relay = Relay(self.direct, owner, self.clock, user_agent="Kvitto/1", ping_s=ping_s)
        self.done: list[PostResult] = []

    def post(self, url: str = OWN, account: Account = ACCOUNT, timeout_s: float = 60) -> None:
        request = PostRequest(url, LINES, b'{"a": 1}', AddressPolicy(), timeout_s=timeout_s, context=account)
        self.relay.start(request, lambda request, result: self.done.append(result))

    async def listen(self, name: str = "rl_1", account: str = "A", *, everything: bool = False) -> Any:
        stream = self.relay.listen(account, name, everything=everything)
        assert await anext(stream) is None
        return stream

    async def result(self) -> PostResult:
        for _ in range(1000):
            if self.done:
                return self.done.pop()
            await asyncio.sleep(0.001)
        raise AssertionError("nothing came of it")


async def test_nobody_listens_and_posts_go_their_way():
    bench = Bench()
    bench.post()
    assert bench.direct.posted == [OWN]


async def test_a_listener_gets_headers_and_body_as_they_were_signed():
    bench = Bench()
    stream = await bench.listen()
    bench.post()
    post = await anext(stream)
    assert post.headers == (
        ("User-Agent", "Kvitto/1"),
        ("Content-Type", "application/json"),
        ("webhook-id", "cb_1_2"),
        ("X-Odd", " two spaces"),
    )
    assert (post.url, post.body) == (OWN, b'{"a": 1}')
    assert bench.direct.posted == []


async def test_the_answer_is_the_posts_result():
    bench = Bench()
    stream = await bench.listen()
    bench.post()
    post = await anext(stream)
    bench.clock.advance(0.25)
    said = RelayedAnswer(503, (("retry-after", "7"),), b"x" * 5000)
    assert bench.relay.answer("A", "rl_1", post.id, said)
    result = await bench.result()
    assert (result.status, result.failure, result.elapsed_ms, len(result.body)) == (503, None, 250, 4096)
    assert result.headers == {b"retry-after": b"7"}
    assert not bench.relay.answer("A", "rl_1", post.id, said)


@pytest.mark.parametrize(
    ("url", "everything", "relayed"),
    [
        (OWN, False, True),
        (RELAY_URL, False, True),
        (RELAY_URL + "x", False, True),
        (OTHER, False, False),
        (OTHER, True, True),
    ],
)
async def test_which_urls_are_relayed(url, everything, relayed):
    bench = Bench()
    await bench.listen(everything=everything)
    bench.post(url)
    assert (bench.direct.posted == []) == relayed


async def test_p21_a_listener_gets_nothing_of_another_account_and_answers_nothing_of_it():
    bench = Bench()
    stream = await bench.listen()
    bench.post(account=STRANGER)
    assert bench.direct.posted == [OWN]
    bench.post()
    post = await anext(stream)
    assert not bench.relay.answer("B", "rl_1", post.id, RelayedAnswer(200))
    assert not bench.relay.answer("A", "rl_2", post.id, RelayedAnswer(200))


async def test_the_last_listener_gets_them_and_the_one_before_when_it_leaves():
    bench = Bench()
    first, second = await bench.listen("rl_1"), await bench.listen("rl_2")
    bench.post()
    assert (await anext(second)).body
    await second.aclose()
    assert (await bench.result()).failure is PostFailure.CLOSED
    bench.post()
    assert (await anext(first)).body


async def test_a_silent_listener_is_a_time_out_and_a_late_answer_counts_no_more():
    bench = Bench()
    stream = await bench.listen()
    bench.post(timeout_s=0.01)
    post = await anext(stream)
    assert (await bench.result()).failure is PostFailure.TIMEOUT
    assert not bench.relay.answer("A", "rl_1", post.id, RelayedAnswer(200))


async def test_a_local_program_that_is_not_there_is_no_connection():
    bench = Bench()
    stream = await bench.listen()
    bench.post()
    post = await anext(stream)
    bench.relay.answer("A", "rl_1", post.id, RelayedAnswer(None, error="connection refused"))
    result = await bench.result()
    assert (result.failure, result.detail) == (PostFailure.CONNECT, "connection refused")


async def test_p28_a_stop_ends_streams_and_gives_back_what_they_held():
    bench = Bench()
    stream = await bench.listen()
    bench.post()
    await bench.relay.stop()
    assert (await bench.result()).failure is PostFailure.STOPPED
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert bench.relay.listening == 0
    await bench.relay.stop()


async def test_a_quiet_stream_says_that_it_stands():
    bench = Bench(ping_s=0.005)
    stream = await bench.listen()
    assert await anext(stream) is None


async def test_listeners_are_bounded_for_each_account():
    bench = Bench()
    streams = [await bench.listen(f"rl_{number}") for number in range(8)]
    assert not bench.relay.has_room("A")
    assert bench.relay.has_room("B")
    await streams.pop().aclose()
    assert bench.relay.has_room("A")
