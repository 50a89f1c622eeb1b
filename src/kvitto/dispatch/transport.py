"""The only SMPP socket of the sending side: TCP or TLS around one ``smpp.session`` (docs/rules.md R6, R9, R53).

An asyncio protocol that carries octets between the socket and the session and calls the owner's plain methods. Nothing
here waits: what the socket gave is paired and handed on in the same call, so a flood of receipts never makes a submit
time out (R6). What is to be written is collected and leaves with one write a turn of the loop.

Must not know: receipts, storage, links; whether to connect again. Read next: ``link.py``.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, cast

from kvitto.core.clock import Clock
from kvitto.core.errors import PeerError
from kvitto.smpp.events import Event, FramingLost, LinkDead, PeerUnbound, Unbound
from kvitto.smpp.pdus import QuerySm, SubmitSm
from kvitto.smpp.session import NotAllowed, Session
from kvitto.smpp.spec import BindMode

__all__ = ["ConnectFailed", "ConnectionHandler", "SmppConnection", "connect"]

WRITE_HIGH_WATER_BYTES: Final = 1 << 20
"""Unsent octets above which no more submits are taken; about 5 000 of them."""
MAX_UNSENT_BYTES: Final = 8 << 20
"""Unsent octets at which a peer that does not read is cut off: the answers to its own flood alone must not fill us."""

CLOSE_S: Final = 5.0
"""How long a closing connection may take to write what waits; then it is cut."""


class ConnectFailed(PeerError):
    """No connection could be made; the message says why (refused, name unknown, certificate not trusted, too slow)."""


class ConnectionHandler(Protocol):
    """What the owner of a connection is told. Plain methods, called in the loop's thread; they must not block."""

    def on_events(self, connection: "SmppConnection", events: Sequence[Event]) -> None:
        """What one read or one timer brought, in order."""

    def on_writable(self, connection: "SmppConnection") -> None:
        """The peer reads again: ``writable`` is true."""

    def on_closed(self, connection: "SmppConnection", lost_tokens: Sequence[object], reason: str) -> None:
        """The connection is gone, once. ``lost_tokens``: written and not answered (R12)."""


class SmppConnection(asyncio.Protocol):
    """One connection to an SMSC; made by ``connect``."""

    def __init__(self, session: Session, handler: ConnectionHandler, clock: Clock) -> None:
        self.session = session
        self._handler = handler
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        self._paused = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._reason = ""
        self._gone = self._loop.create_future()

    # --- For the owner -----------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether it makes sense to submit: the connection stands and the peer reads."""
        return self._transport is not None and not self._paused and not self._closing

    def bind(
        self,
        mode: BindMode,
        system_id: str,
        password: str,
        *,
        system_type: str = "",
        interface_version: int = 0x34,
        addr_ton: int = 0,
        addr_npi: int = 0,
        address_range: str = "",
    ) -> None:
        """Ask to be bound (``Session.bind``): ``BindAnswered`` follows. Raises: NotAllowed, EncodeError."""
        self.session.bind(
            mode,
            system_id,
            password,
            now=self._clock.monotonic(),
            system_type=system_type,
            interface_version=interface_version,
            addr_ton=addr_ton,
            addr_npi=addr_npi,
            address_range=address_range,
        )
        self._wrote()

    def enquire_link(self) -> None:
        """Ask at once whether the peer lives: ``EnquireAnswered`` follows, or ``LinkDead``. Raises: NotAllowed."""
        self.session.enquire_link(self._clock.monotonic())
        self._wrote()

    def submit_many(self, messages: Iterable[tuple[SubmitSm, object]]) -> None:
        """Send messages, each with its token. The caller keeps to ``session.free_window`` and looks at ``writable``.

        Raises: NotBound, WindowFull, EncodeError at the first message that cannot go; those before it are on their way
        and the number of them is the growth of ``session.outstanding``.
        """
        now = self._clock.monotonic()
        submit = self.session.submit
        try:
            for pdu, token in messages:
                submit(pdu, token, now)
        finally:
            self._wrote()

    def submit_bodies(self, messages: Iterable[tuple[bytes, object]]) -> None:
        """As ``submit_many``, each message the octets behind the header of its submit_sm (``encode_submit_body``)."""
        try:
            self.session.submit_many(messages, self._clock.monotonic())
        finally:
            self._wrote()

    def query(self, pdu: QuerySm, token: object) -> None:
        """Ask for a message's state: ``QueryAnswered`` follows. Raises: NotBound, WindowFull, EncodeError."""
        self.session.query(pdu, token, self._clock.monotonic())
        self._wrote()

    def answer_many(self, answers: Iterable[tuple[int, int, int]]) -> None:
        """Answer deliver_sm and data_sm: (sequence_number, command_id of the request, command_status) each (R8).

        Nothing happens when the connection has gone: the SMSC sends them again.
        """
        self.session.answer_many(answers)
        self._wrote()

    def unbind(self) -> None:
        """End in good order: unbind, wait for its answer, close. Closes at once when the session is not bound."""
        if self._closing:
            return
        try:
            self.session.unbind(self._clock.monotonic())
        except NotAllowed:
            self.close("closed before it was bound")
        else:
            self._reason = self._reason or "unbound by us"
            self._wrote()

    def close(self, reason: str = "closed by us") -> None:
        """Write what waits, then close. Bears double calls."""
        if self._transport is None or self._closing:
            return
        self._flush()
        self._closing = True
        self._reason = self._reason or reason
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        # A peer that does not read keeps a closing transport open for ever.
        self._timer = self._loop.call_later(CLOSE_S, self._transport.abort)

    def abort(self, reason: str) -> None:
        """Close at once; what waits is thrown away. Bears double calls."""
        if self._transport is None:
            return
        self._closing = True
        self._reason = self._reason or reason
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Until ``on_closed`` has been called. Bears cancellation and many callers."""
        await asyncio.shield(self._gone)

    # --- Called by the loop ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        self.session.opened(self._clock.monotonic())
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Octets came: pair them, tell the owner, write the answers at the end of this turn (R6)."""
        session = self.session
        events = session.receive(data, self._clock.monotonic())
        if session.has_output or self._timer is None:
            self._wrote()
        if events:
            self._handler.on_events(self, events)
            if session.ended:
                self._over(events[-1])

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused = False
        if not self._closing:
            self._handler.on_writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport = None
        self._closing = True
        lost = self.session.lost(self._clock.monotonic())
        reason = self._reason or (f"{type(exc).__name__}: {exc}" if exc else "closed by the peer")
        try:
            self._handler.on_closed(self, lost, reason)
        finally:
            if not self._gone.done():
                self._gone.set_result(None)

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _over(self, last: Event) -> None:
        """The session has ended, which the last event tells of: nothing comes after it."""
        match last:
            case LinkDead(reason):
                self.abort(reason)
            case FramingLost(reason):
                self.close(f"framing lost: {reason}")
            case PeerUnbound():
                self.close("unbound by the peer")
            case Unbound():
                self.close("unbound by us")
            case _:
                pass

    def _wrote(self) -> None:
        """There may be output: see that it leaves once, at the end of this turn of the loop."""
        if not self._flush_due and not self._closing:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport is None or self._closing:
            return
        data = self.session.take_output()
        if data:
            self._transport.write(data)
            if self._paused and self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                self.abort("the peer does not read")
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        """See that ``_on_timer`` is called at ``session.next_timer`` at the latest.

        Never set further ahead than the shortest of the session's timers, so that whatever begins while a timer stands
        falls due after it: a busy link does not pay for moving timers, an idle one has it ring for nothing.
        """
        due = self.session.next_timer()
        if due is not None:
            wait_s = max(0.0, due - self._clock.monotonic())
            self._timer = self._loop.call_later(min(wait_s, self.session.timers.shortest_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport is None or self._closing:
            return
        session = self.session
        events = session.poll(self._clock.monotonic())
        self._wrote()
        self._arm()
        if events:
            self._handler.on_events(self, events)
            if session.ended:
                self._over(events[-1])


async def connect(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    session: Session,
    handler: ConnectionHandler,
    clock: Clock,
    connect_s: float = 10.0,
) -> SmppConnection:
    """Connect to an SMSC; the bind is the owner's next step.

    ``tls``: the whole connection from the first octet, checked as the context says (R53); None: plain TCP.
    ``server_hostname``: the name the certificate must bear, ``host`` when None; for TLS only.
    Raises: ConnectFailed. A cancelled call leaves nothing open.
    """
    loop = asyncio.get_running_loop()
    connection = SmppConnection(session, handler, clock)
    name = (server_hostname or host) if tls is not None else None
    try:
        async with asyncio.timeout(connect_s):
            await loop.create_connection(lambda: connection, host, port, ssl=tls, server_hostname=name)
    except asyncio.CancelledError:
        connection.abort("cancelled while connecting")
        raise
    except TimeoutError:
        connection.abort("too late")
        raise ConnectFailed(f"no connection within {connect_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(f"the certificate is not trusted: {error.verify_message or error.reason}") from error
    except (OSError, ssl.CertificateError) as error:
        raise ConnectFailed(f"{type(error).__name__}: {error}") from error
    return connection
