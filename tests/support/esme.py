"""An ESME for tests: the real transport and session, every event kept, receipts answered as told."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from kvitto.core.clock import Clock, SystemClock
from kvitto.dispatch.transport import SmppConnection, connect
from kvitto.smpp import events as ev
from kvitto.smpp.pdus import DataSm, DeliverSm, SubmitSm
from kvitto.smpp.session import Role, Session, Timers
from kvitto.smpp.spec import BindMode

__all__ = ["Esme"]

BOUND_S = 20.0
"""How long a test waits for anything before it fails."""

E = TypeVar("E")


class Esme:
    """Connects and binds on ``async with``; leaves by unbind. ``status``: the answer to receipts, None for none."""

    def __init__(
        self,
        port: int,
        *,
        mode: BindMode | None = BindMode.TRANSCEIVER,
        password: str = "kvitto",
        system_id: str = "kvitto",
        window: int = 100,
        timers: Timers | None = None,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.port, self.mode, self.system_id, self.password = port, mode, system_id, password
        self.tls, self.server_hostname = tls, server_hostname
        self.clock = clock or SystemClock()
        self.session = Session(role=Role.ESME, now=self.clock.monotonic(), window=window, timers=timers)
        self.connection: SmppConnection
        self.events: list[ev.Event] = []
        self.status: int | None = 0
        self.lost: list[object] | None = None
        self.reason = ""
        self.writable_again = 0
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Esme":
        self.connection = await connect(
            "127.0.0.1",
            self.port,
            tls=self.tls,
            server_hostname=self.server_hostname,
            session=self.session,
            handler=self,
            clock=self.clock,
        )
        if self.mode is not None:
            self.connection.bind(self.mode, self.system_id, self.password)
            await self.until(lambda: self.of(ev.BindAnswered))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.unbind()
        await asyncio.wait_for(self.connection.wait_closed(), BOUND_S)

    # --- the handler of the connection ---

    def on_events(self, connection: SmppConnection, events: Sequence[ev.Event]) -> None:
        self.events += events
        if self.status is not None:
            status = self.status
            receipts = [e.pdu for e in events if isinstance(e, ev.DeliverReceived)]
            connection.answer_many((pdu.sequence_number, pdu.command_id, status) for pdu in receipts)
        self._news.set()

    def on_writable(self, connection: SmppConnection) -> None:
        self.writable_again += 1
        self._news.set()

    def on_closed(self, connection: SmppConnection, lost_tokens: Sequence[object], reason: str) -> None:
        assert self.lost is None, "on_closed comes once"
        self.lost, self.reason = list(lost_tokens), reason
        self._news.set()

    # --- for tests ---

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for news until the condition holds."""
        async with asyncio.timeout(BOUND_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def receipts(self) -> list[DeliverSm | DataSm]:
        """What came by deliver_sm and data_sm."""
        return [event.pdu for event in self.of(ev.DeliverReceived)]

    def send(self, destination: str, token: object = None, **fields: Any) -> None:
        """Submit one message; its token is the destination unless told."""
        values: dict[str, Any] = {"source_addr": "Kvitto", "registered_delivery": 1, "short_message": b"Hello"} | fields
        pdu = SubmitSm(destination_addr=destination, **values)
        self.connection.submit_many([(pdu, destination if token is None else token)])

    async def answers(self, count: int) -> list[ev.SubmitAnswered]:
        """Wait for so many answered submits; all of them, in order."""
        await self.until(lambda: len(self.of(ev.SubmitAnswered)) >= count)
        return self.of(ev.SubmitAnswered)

    async def receipts_of(self, count: int) -> list[DeliverSm | DataSm]:
        """Wait for so many receipts; all of them, in order."""
        await self.until(lambda: len(self.receipts) >= count)
        return self.receipts
