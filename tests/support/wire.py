"""An SMSC of a few lines that keeps every PDU it got, for tests of what goes over the wire and of what comes back."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from kvitto.core.clock import SystemClock
from kvitto.smpp import events as ev
from kvitto.smpp.pdus import Bind, DeliverSm, QuerySm, QuerySmResp, SubmitSm
from kvitto.smpp.session import Role, Session

__all__ = ["WireSmsc", "wire_smsc"]


class WireSmsc:
    """Accepts every bind; answers each submit_sm with the next of ``ids`` (a counter when empty).

    ``on_query``: the answer to a query_sm, its sequence number is filled in; None: no answer.
    """

    def __init__(self) -> None:
        self.port = 0
        self.binds: list[Bind] = []
        self.submits: list[SubmitSm] = []
        self.queries: list[QuerySm] = []
        self.answers: list[int] = []
        self.ids: list[str] = []
        self.outbind_first = False
        self.holds_binds = False
        self.bind_status = 0
        self.on_query: Callable[[QuerySm], QuerySmResp | None] = lambda query: None
        self._peers: list[_Peer] = []

    def deliver(self, pdu: DeliverSm) -> None:
        """Send this over the newest connection; the answer's status comes into ``answers``."""
        self._peers[-1].deliver(pdu)

    async def call(
        self, port: int, system_id: str = "smsc", password: str = "secret", *, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connect to an ESME on loopback and say outbind; what comes back is taken like on any connection."""
        peer = _Peer(self)
        name = None if tls is None else "127.0.0.1"
        await asyncio.get_running_loop().create_connection(
            lambda: peer, "127.0.0.1", port, ssl=tls, server_hostname=name
        )
        peer.outbind(system_id, password)

    def hang_up(self) -> None:
        """Unbind the newest connection."""
        self._peers[-1].unbind()

    def connected(self, peer: "_Peer") -> None:
        self._peers.append(peer)

    def next_id(self) -> str:
        return self.ids.pop(0) if self.ids else f"id-{len(self.submits)}"

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._peers)


class _Peer(asyncio.Protocol):
    def __init__(self, smsc: WireSmsc) -> None:
        self._smsc = smsc
        self._clock = SystemClock()
        self.session = Session(role=Role.SMSC, now=self._clock.monotonic(), window=1000)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._smsc.connected(self)
        if self._smsc.outbind_first:
            self.session.outbind("smsc", "secret")
            self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self.session.receive(data, self._clock.monotonic()):
            self._on(event)
        self._flush()
        if self.session.ended:
            self._transport.close()

    def _on(self, event: ev.Event) -> None:
        smsc = self._smsc
        match event:
            case ev.BindReceived(pdu):
                smsc.binds.append(pdu)
                if not smsc.holds_binds:
                    self.session.answer_bind(pdu.sequence_number, smsc.bind_status, "smsc")
            case ev.SubmitReceived(pdu):
                smsc.submits.append(pdu)
                self.session.answer_submit(pdu.sequence_number, 0, smsc.next_id())
            case ev.QueryReceived(pdu):
                smsc.queries.append(pdu)
                answer = smsc.on_query(pdu)
                if answer is not None:
                    self.session.answer_query(answer._replace(sequence_number=pdu.sequence_number))
            case ev.DeliverAnswered():
                smsc.answers.append(event.command_status)

    def outbind(self, system_id: str, password: str) -> None:
        self.session.outbind(system_id, password)
        self._flush()

    def unbind(self) -> None:
        self.session.unbind(self._clock.monotonic())
        self._flush()

    def deliver(self, pdu: DeliverSm) -> None:
        self.session.deliver(pdu, None, self._clock.monotonic())
        self._flush()

    def _flush(self) -> None:
        self._transport.write(self.session.take_output())


@asynccontextmanager
async def wire_smsc() -> AsyncIterator[WireSmsc]:
    """One that listens on a free port of loopback."""
    smsc = WireSmsc()
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(smsc), "127.0.0.1", 0)
    smsc.port = server.sockets[0].getsockname()[1]
    try:
        yield smsc
    finally:
        server.close()
