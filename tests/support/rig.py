"""A dispatcher between a real store and a real simulator, in one process: for tests of the way out and back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker, message_ids
from kvitto.core.model import Account, Batch, Content, MessageView, NewBatch, NewMessage, Notify
from kvitto.core.status import FINAL
from kvitto.core.text import count_parts
from kvitto.dispatch.dispatcher import Dispatcher
from kvitto.dispatch.link import LinkConfig
from kvitto.simulator import Record, Simulator, SimulatorConfig
from kvitto.store import open_store
from kvitto.store.api import NewAccount
from kvitto.store.migrations import upgrade
from kvitto.store.sealing import Seal
from kvitto.store.sqlstore import SqlStore

__all__ = ["Rig", "eventually", "open_rig", "open_test_store"]

ACCOUNT = Account(id="01ACCOUNT00000000000000000", name="acme", service_plan_id="plan", username="user")


async def eventually(what: Callable[[], Any], *, within_s: float = 10.0) -> Any:
    """Ask ``what`` (a plain or an async function) until its answer is true; give that back. Raises: AssertionError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while True:
        answer = what()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if loop.time() > until:
            raise AssertionError(f"not within {within_s:g} s")
        await asyncio.sleep(0.005)


@asynccontextmanager
async def open_test_store(folder: Path, *, node: str = "node") -> AsyncIterator[SqlStore]:
    """A fresh SQLite store with the account ``ACCOUNT``, or the one that is there already."""
    url = f"sqlite:///{folder / 'kvitto.db'}"
    await asyncio.to_thread(upgrade, url)
    store = open_store(url, node=node, seal=Seal.fresh(), clock=SystemClock())
    await store.start()
    await store.create_account(NewAccount(ACCOUNT, "hash", "hash"))
    try:
        yield store
    finally:
        await store.stop()


@dataclass
class Rig:
    """The parts, running. ``config`` is the one link's."""

    store: SqlStore
    smsc: Simulator
    record: Record
    config: LinkConfig
    dispatcher: Dispatcher
    clock: SystemClock
    ids: IdMaker

    async def send(self, *numbers: str, text: str = "hello", valid_ms: int = 3_600_000, **batch: Any) -> Batch:
        """Store a batch as admission would, and wake the links."""
        new = await self.accept(numbers, text=text, valid_ms=valid_ms, **batch)
        self.dispatcher.wake()
        return new

    async def accept(self, numbers: Sequence[str], *, text: str = "hello", valid_ms: int, **batch: Any) -> Batch:
        """Store a batch as admission would, and tell nobody."""
        now = self.clock.now()
        one = Batch(
            id=self.ids.new(),
            account_id=ACCOUNT.id,
            dialect="sinch",
            sender="12345",
            recipients=tuple(numbers),
            content=Content(text=text),
            notify=Notify.NONE,
            callback_url=None,
            client_reference=None,
            created_at=now,
            modified_at=now,
            send_at=None,
            expire_at=now + valid_ms,
            cancelled_at=None,
            feedback=False,
            extra={},
        )
        one = one._replace(**batch)
        parts = count_parts(text)
        messages = [
            NewMessage(id, number, parts) for id, number in zip(message_ids(one.id, len(numbers)), numbers, strict=True)
        ]
        stored = await self.store.accept_batch(NewBatch(one, messages))
        assert isinstance(stored, NewBatch)
        return stored.batch

    async def message(self, batch: Batch, number: str) -> MessageView:
        """One recipient's message, as readers see it."""
        found = await self.store.fetch_message(
            batch.account_id, batch.id, number, first_final=False, now=self.clock.now()
        )
        assert found is not None
        return found

    async def final(self, batch: Batch, number: str, *, within_s: float = 10.0) -> MessageView:
        """The message, once it has ended."""

        async def ended() -> MessageView | None:
            found = await self.message(batch, number)
            return found if found.status in FINAL else None

        view = await eventually(ended, within_s=within_s)
        assert isinstance(view, MessageView)
        return view

    async def restart_dispatcher(self) -> None:
        """Another dispatcher in the place of the stopped one."""
        self.dispatcher = Dispatcher(self.store, [self.config], self.clock)
        self.dispatcher.start()

    async def bound(self) -> None:
        """Until every bind stands."""
        lane = self.dispatcher.lanes[self.config.name]
        await eventually(lambda: lane.link.bound == len(lane.link.binds))


@asynccontextmanager
async def open_rig(
    folder: Path, *, smsc: SimulatorConfig | None = None, smsc_port: int = 0, record: Record | None = None, **link: Any
) -> AsyncIterator[Rig]:
    """Store, simulator and dispatcher, started and bound. ``link``: fields of its ``LinkConfig``.

    ``smsc_port``: of another SMSC, in whose favour the simulator stays stopped; 0: of none.
    """
    clock = SystemClock()
    record = record or Record()
    simulator = Simulator(smsc or SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5), clock, record)
    if not smsc_port:
        await simulator.start()
    config = LinkConfig(
        **{
            "name": "main",
            "host": "127.0.0.1",
            "port": smsc_port or simulator.port,
            "system_id": "kvitto",
            "password": "kvitto",
            "reconnect_min_s": 0.05,
            **link,
        }
    )
    async with open_test_store(folder) as store:
        dispatcher = Dispatcher(store, [config], clock, stop_s=2.0)
        rig = Rig(store, simulator, record, config, dispatcher, clock, IdMaker(clock))
        dispatcher.start()
        try:
            await rig.bound()
            yield rig
        finally:
            await rig.dispatcher.stop()
            await simulator.stop()
