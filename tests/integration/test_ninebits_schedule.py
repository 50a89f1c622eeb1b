"""9bits' retries over restarts: a real store, a clock that is told, the sender itself (docs/dialects/ninebits.md)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import PostRequest, PostResult
from kvitto.core.ids import IdMaker, message_ids
from kvitto.core.model import Account, Batch, Content, NewBatch, NewMessage, Notify
from kvitto.core.status import Reason
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.store import open_store
from kvitto.store.api import NewAccount
from kvitto.store.migrations import upgrade
from kvitto.store.sealing import Seal
from tests.support.clock import FakeClock
from tests.support.rig import eventually

ACCOUNT = Account(
    id="01ACCOUNT00000000000000000",
    name="acme",
    service_plan_id="p",
    username="u",
    callback_url="http://sink.example/a",
)
LEASE_MS = 120_000
"""While the sender has a callback in hand, it is due again only after its lease."""
OFFSETS_S = (0, 30, 60, 120, 240, 480, 960, 1920, 3600)


class Receiver:
    """Answers every post with 500 at once, and keeps when it came and what it said."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.came: list[tuple[int, bytes]] = []

    def start(self, request: PostRequest, on_done: Any) -> None:
        self.came.append((self.clock.now(), request.body))
        asyncio.get_running_loop().call_soon(on_done, request, PostResult(500, elapsed_ms=3))


class House:
    """Processes one after the other on one database."""

    def __init__(self, folder: Any, clock: FakeClock) -> None:
        self.url, self.clock, self.seal = f"sqlite:///{folder / 'kvitto.db'}", clock, Seal.fresh()
        self.receiver = Receiver(clock)
        upgrade(self.url)

    @asynccontextmanager
    async def process(self) -> AsyncIterator[Any]:
        store = open_store(self.url, node="node", seal=self.seal, clock=self.clock)
        await store.start()

        async def account(_: str) -> Account:
            return replace(ACCOUNT, callback_secret="s")

        outbox = Outbox(
            store,
            self.receiver,
            {"ninebits": NinebitsDialect()},
            account,
            self.clock,
            limits=OutboxLimits(poll_s=0.01, stop_s=0.5),
            allow_private=True,
        )
        outbox.start()
        try:
            yield store
        finally:
            await outbox.stop()
            await store.stop()

    async def send(self, store: Any) -> None:
        """A message that ends at once, so that one callback is due."""
        await store.create_account(NewAccount(ACCOUNT, "hash", "hash"))
        now, batch_id = self.clock.now(), IdMaker(self.clock).new()
        batch = Batch(
            id=batch_id,
            account_id=ACCOUNT.id,
            dialect="ninebits",
            sender="12345",
            recipients=("2348020000000",),
            content=Content(text="a"),
            notify=Notify.CHANGES,
            callback_url=None,
            client_reference=None,
            created_at=now,
            modified_at=now,
            send_at=None,
            expire_at=now + 3_600_000,
            cancelled_at=None,
            feedback=False,
            extra={},
        )
        (id,) = message_ids(batch_id, 1)
        await store.accept_batch(NewBatch(batch, [NewMessage(id, "2348020000000", 1, None, Reason.NO_ROUTE)]))

    async def settled(self, store: Any, count: int) -> int | None:
        """Until so many posts were made and the last one's result is stored; when the next is due."""
        await eventually(lambda: len(self.receiver.came) >= count)

        async def stored() -> bool:
            next_at = await store.next_callback_at()
            return next_at is None or (
                next_at > self.clock.now() and next_at - self.clock.now() not in range(100_000, 121_000)
            )

        await eventually(stored)
        next_at = await store.next_callback_at()
        assert len(self.receiver.came) == count, "no double count, no double post"
        return None if next_at is None else int(next_at)


@pytest.mark.parametrize("restarts", [False, True])
async def test_n10_8_nine_tries_at_their_offsets_with_or_without_restarts_between(tmp_path, clock, restarts):
    house = House(tmp_path, clock)
    first = clock.now()
    store_context = house.process()
    store = await store_context.__aenter__()
    await house.send(store)
    for number, offset_s in enumerate(OFFSETS_S, start=1):
        next_at = await house.settled(store, number)
        at = house.receiver.came[-1][0]
        assert offset_s * 1000 <= at - first <= offset_s * 1100 + 50
        if number == len(OFFSETS_S):
            assert next_at is None, "given up"
            break
        assert next_at is not None
        if restarts:
            await store_context.__aexit__(None, None, None)
        clock.advance((next_at - clock.now()) / 1000)
        if restarts:
            store_context = house.process()
            store = await store_context.__aenter__()
    await store_context.__aexit__(None, None, None)
    assert len({body for _, body in house.receiver.came}) == 1, "the same octets each time"


async def test_n10_10_a_server_that_was_down_makes_the_try_at_its_start_and_the_later_offsets_stand(tmp_path, clock):
    house = House(tmp_path, clock)
    first = clock.now()
    async with house.process() as store:
        await house.send(store)
        await house.settled(store, 1)
    clock.advance(200)
    async with house.process() as store:
        next_at = await house.settled(store, 2)
        assert house.receiver.came[-1][0] == first + 200_000
        assert next_at is not None
        assert 240_000 <= next_at - first <= 264_000
