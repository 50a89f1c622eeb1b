"""One configured SMSC connection: its binds, each with its own back-off, and how much may be written now.

A link has ``binds`` binds. Each is a ``Bind``: a small service that connects, binds, watches, and connects again (R9,
R13). A transceiver bind is one connection; ``transmitter+receiver`` makes two that live independently. What the
connections bring goes to the link's listener as lists, one call per kind and socket read: answers, time-outs, losses,
received PDUs.

The link knows how many parts may be written now: free window slots of its bound connections, never more (P6, R59),
held back by its rate and by a slowdown (docs/smpp.md 1.10). It does not know messages, receipts or the store. Next:
``kvitto.dispatch.transport`` below, ``kvitto.dispatch.submitter`` and ``kvitto.dispatch.receiver`` above.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from kvitto.core.clock import Clock
from kvitto.core.ids import chance
from kvitto.core.receipt import LinkRules
from kvitto.core.retry import reconnect_delay_s
from kvitto.core.throttle import Pacer
from kvitto.dispatch.parts import Outgoing
from kvitto.dispatch.transport import ConnectFailed, SmppConnection, connect
from kvitto.smpp.codec import EncodeError
from kvitto.smpp.events import (
    AlertReceived,
    BindAnswered,
    BrokenReceived,
    DeliverReceived,
    Event,
    FramingLost,
    LinkDead,
    NackReceived,
    OutbindReceived,
    QueryAnswered,
    RequestTimedOut,
    StrayResponse,
    SubmitAnswered,
    UnknownReceived,
)
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.session import NotAllowed, Role, Session, Timers
from kvitto.smpp.spec import BindMode, command_name, status_name
from kvitto.telemetry import get_logger

__all__ = [
    "Bind",
    "BindState",
    "BindStatus",
    "BindStyle",
    "Link",
    "LinkConfig",
    "LinkListener",
    "OutbindOptions",
    "TlsOptions",
    "adjustable",
    "make_tls_context",
]

CREDENTIALS_REFUSED: Final = frozenset({0x0E, 0x0F})
"""RINVPASWD, RINVSYSID: knocking faster does not help, and some SMSCs lock the account (R13)."""
UNBIND_S: Final = 2.0
"""How long a stopping link waits for the answer to its unbind before it closes."""


class BindStyle(StrEnum):
    """How each of a link's binds is made."""

    TRANSCEIVER = "transceiver"
    PAIR = "transmitter+receiver"


class BindState(StrEnum):
    """Where one bind stands."""

    DOWN = "down"
    CONNECTING = "connecting"
    BINDING = "binding"
    BOUND = "bound"
    DRAINING = "draining"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """TLS towards one SMSC, checked unless the operator says otherwise (R53, P20). Files are PEM; "" means none.

    ``ca_file`` replaces the system's authorities. ``server_name``: the name the certificate must bear, the host when
    "".
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutbindOptions:
    """Where an SMSC may connect to us, and what its ``outbind`` must say (R13). ``port``: 0 takes a free one."""

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """One ``[links.NAME]``. ``group``: links of one SMSC share its message-id space (R30); "" is the link's own name.

    ``window``: submit_sm in flight per bind. ``rate``: parts a second over all binds, 0 for no limit.
    ``reconnect_min_s``, doubling to ``reconnect_max_s``: pauses before connecting again; the latter also after refused
    credentials (R13). ``late_response_s``: how long an answer is still understood (R7). ``receipt_answer_s``: a receipt
    not stored by then is answered 0x64 (R8). ``throttle_pause_s``: how long the link pauses after a throttle, and its
    part waits at first (R11). ``outbind``: listen for the SMSC too (``kvitto.dispatch.outbind``).
    """

    name: str
    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    group: str = ""
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    bind: BindStyle = BindStyle.TRANSCEIVER
    binds: int = 1
    window: int = 10
    rate: float = 0.0
    connect_s: float = 10.0
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 60.0
    late_response_s: float = 3600.0
    receipt_answer_s: float = 5.0
    throttle_pause_s: float = 1.0
    timers: Timers = field(default_factory=Timers)
    tls: TlsOptions | None = None
    outbind: OutbindOptions | None = None
    rules: LinkRules = field(default_factory=LinkRules)


_ADJUSTABLE: Final = (
    "window",
    "rate",
    "connect_s",
    "reconnect_min_s",
    "reconnect_max_s",
    "late_response_s",
    "receipt_answer_s",
    "throttle_pause_s",
    "timers",
    "rules",
)


def adjustable(old: LinkConfig, new: LinkConfig) -> bool:
    """Whether a link can go from ``old`` to ``new`` with its binds standing (``Link.adjust``).

    ``late_response_s`` holds for connections made afterwards; more binds are added, fewer are not taken away.
    """
    same = {name: getattr(old, name) for name in _ADJUSTABLE}
    return replace(new, **same, binds=old.binds) == old and new.binds >= old.binds


class BindStatus(NamedTuple):
    """One bind as an operator sees it; ``in_flight``: submit_sm not yet answered."""

    mode: str
    state: BindState
    in_flight: int
    reason: str


class LinkListener(Protocol):
    """What a link tells: plain methods, called from the event loop, one call per kind and socket read."""

    def on_answered(self, bind: "Bind", answers: "list[SubmitAnswered]") -> None:
        """Submits were answered; tokens are ``Outgoing``."""

    def on_timed_out(self, tokens: "list[object]") -> None:
        """Submits got no answer in time; a late one may still come (R7)."""

    def on_lost(self, bind: "Bind", written: Sequence[object], unwritten: Sequence[Outgoing]) -> None:
        """A connection is gone: ``written`` were not answered (R12), ``unwritten`` never left."""

    def on_received(self, connection: SmppConnection, pdus: "list[DeliverSm | DataSm]") -> None:
        """Receipts or messages came, to be answered after the commit (R8)."""

    def on_query_answered(self, bind: "Bind", event: QueryAnswered) -> None:
        """A query_sm was answered (R52)."""

    def on_ready(self) -> None:
        """There may be more room than before: a bind stands, or its peer reads again."""


class Link:
    """One configured SMSC connection; see the module."""

    def __init__(self, config: LinkConfig, clock: Clock, listener: LinkListener) -> None:
        self.config = config
        self.name = config.name
        self.group = config.group or config.name
        self.rules = config.rules
        self.clock = clock
        self.listener = listener
        self.pacer = Pacer(config.rate, clock.monotonic(), config.throttle_pause_s)
        self.reconnects = 0
        self.throttles = 0
        self.stopping = False
        self.tls = None if config.tls is None else make_tls_context(config.tls)
        self._modes = (
            [BindMode.TRANSCEIVER]
            if config.bind is BindStyle.TRANSCEIVER
            else [BindMode.TRANSMITTER, BindMode.RECEIVER]
        )
        self.binds = [Bind(self, mode) for _ in range(config.binds) for mode in self._modes]
        self.senders = [bind for bind in self.binds if bind.mode is not BindMode.RECEIVER]
        self.log = get_logger(link=self.name)

    # --- room --------------------------------------------------------------------------------------------------------

    def free_window(self) -> int:
        """How many parts could be written now without leaving any window; what waits on a bind already counts."""
        return sum([bind.free for bind in self.senders])

    def in_flight(self) -> int:
        """submit_sm written and not answered, within the response timer."""
        return sum([bind.in_flight for bind in self.senders])

    def allowance(self, wanted: int) -> int:
        """How many of ``wanted`` parts rate and slowdown allow now."""
        return self.pacer.allowance(self.clock.monotonic(), wanted)

    def ready_in_s(self) -> float:
        """Seconds until rate and slowdown allow the next part."""
        now = self.clock.monotonic()
        return max(0.0, self.pacer.ready_at(now) - now)

    def throttled(self, command_status: int, *, slows: bool) -> None:
        """The SMSC said 0x58 or 0x14: pause, then go on at half the rate (R11, docs/smpp.md 1.10).

        Not ``slows``: it is counted only, for it says something of its part and nothing new of the link.
        """
        self.throttles += 1
        if not slows:
            return
        if not self.pacer.throttled:
            self.log.warning("link.throttled", command_status=status_name(command_status))
        self.pacer.slow_down(self.clock.monotonic())

    @property
    def can_send(self) -> bool:
        """Whether any bind stands that submits go through, be its window full or not."""
        return any(bind.state is BindState.BOUND for bind in self.senders)

    @property
    def bound(self) -> int:
        """How many binds stand."""
        return sum([bind.state is BindState.BOUND for bind in self.binds])

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Bears being called twice."""
        self.stopping = False
        for bind in self.binds:
            bind.start()

    def adjust(self, config: LinkConfig) -> None:
        """Take other settings while the binds stand: those of which ``adjustable`` is true."""
        before, self.config, self.rules = self.config, config, config.rules
        if (config.rate, config.throttle_pause_s) != (before.rate, before.throttle_pause_s):
            self.pacer = Pacer(config.rate, self.clock.monotonic(), config.throttle_pause_s)
        for bind in self.binds:
            if bind.connection is not None:
                bind.connection.session.window = config.window
                bind.connection.session.timers = config.timers
        more = [Bind(self, mode) for _ in range(config.binds - before.binds) for mode in self._modes]
        self.binds += more
        self.senders += [bind for bind in more if bind.mode is not BindMode.RECEIVER]
        for bind in more:
            bind.start()

    async def stop(self) -> None:
        """Unbind and close; what is not answered by then is reported lost. Bears early and double calls."""
        self.stopping = True
        await asyncio.gather(*(bind.stop() for bind in self.binds))


class Bind:
    """One bind of a link: connects, binds, hands on, and begins again. The handler of its connection."""

    def __init__(self, link: Link, mode: BindMode) -> None:
        self._link = link
        self.mode = mode
        self.state = BindState.DOWN
        self.reason = ""
        self.connection: SmppConnection | None = None
        self.backlog: deque[Outgoing] = deque()
        """Parts of a message that has more of them than the window: they follow on the same connection."""
        self._refused: int = 0
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    # --- room -------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Free window slots that nothing is waiting for; 0 unless bound and the peer reads."""
        connection = self.connection
        if self.state is not BindState.BOUND or connection is None or not connection.writable:
            return 0
        free = connection.session.free_window - len(self.backlog)
        return free if free > 0 else 0

    @property
    def in_flight(self) -> int:
        """submit_sm not yet answered."""
        return 0 if self.connection is None else self.connection.session.outstanding

    def write(self, outgoing: Sequence[Outgoing]) -> None:
        """Write parts, at most ``free`` of them; what does not fit waits here for the next free slots.

        Raises: NotAllowed, WindowFull as ``SmppConnection.submit_bodies``.
        """
        if self.connection is None:
            raise NotAllowed("no connection")
        room = max(0, self.connection.session.free_window - len(self.backlog))
        if len(outgoing) > room:
            self.backlog.extend(outgoing[room:])
            outgoing = outgoing[:room]
        self.connection.submit_bodies([(part.body, part) for part in outgoing])

    def write_backlog(self) -> int:
        """Write what waits as far as the window allows; returns how many parts left."""
        if self.connection is None or not self.backlog or not self.connection.writable:
            return 0
        count = min(len(self.backlog), self.connection.session.free_window)
        parts = [self.backlog.popleft() for _ in range(count)]
        self.connection.submit_bodies([(part.body, part) for part in parts])
        return count

    def forget(self, parts: Sequence[Outgoing]) -> None:
        """Let none of these wait here any more: somebody else has decided their fate."""
        if self.backlog:
            self.backlog = deque([part for part in self.backlog if part not in parts])

    def drain(self, reason: str) -> None:
        """Bind anew: write nothing more, unbind when every answer is there, then connect again."""
        if self.state is BindState.BOUND:
            self.state, self.reason = BindState.DRAINING, reason
            self._unbind_when_idle()

    def _unbind_when_idle(self) -> None:
        if self.connection is not None and not self.connection.session.outstanding:
            self.connection.unbind()

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"bind {self._link.name}")

    async def stop(self) -> None:
        """Unbind, close, stop connecting. Bears early and double calls."""
        connection = self.connection
        if connection is not None:
            connection.unbind()
            try:
                async with asyncio.timeout(UNBIND_S):
                    await connection.wait_closed()
            except TimeoutError:
                connection.abort("no answer to unbind")
                await connection.wait_closed()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        log = self._link.log
        while not self._link.stopping:
            self._refused = 0
            try:
                await self._connect_once()
            except ConnectFailed as error:
                self.reason = str(error)
                log.warning("link.lost", error=self.reason)
            except Exception:  # the top of this service: the bind is down, and tried again like after any failure
                self.reason = "internal error"
                log.exception("service.failed", service="bind")
                if self.connection is not None:
                    self.connection.abort(self.reason)
                    await self.connection.wait_closed()
            self._failures += 1
            self.state = BindState.REFUSED if self._refused else BindState.DOWN
            self.connection = None
            await asyncio.sleep(self._pause_s())
            self._link.reconnects += 1

    async def _connect_once(self) -> None:
        """Connect, bind, and wait until the connection has ended."""
        config, clock = self._link.config, self._link.clock
        self.state = BindState.CONNECTING
        session = Session(
            role=Role.ESME,
            now=clock.monotonic(),
            window=config.window,
            timers=config.timers,
            late_response_s=config.late_response_s,
        )
        connection = await connect(
            config.host,
            config.port,
            tls=self._link.tls,
            server_hostname=(config.tls.server_name or None) if config.tls else None,
            session=session,
            handler=self,
            clock=clock,
            connect_s=config.connect_s,
        )
        self.connection = connection
        self._bind()
        await connection.wait_closed()

    def _bind(self) -> None:
        config = self._link.config
        if self.connection is None:
            return
        self.connection.bind(
            self.mode,
            config.system_id,
            config.password,
            system_type=config.system_type,
            interface_version=config.interface_version,
            addr_ton=config.addr_ton,
            addr_npi=config.addr_npi,
            address_range=config.address_range,
        )
        self.state = BindState.BINDING

    def _pause_s(self) -> float:
        config = self._link.config
        if self._refused in CREDENTIALS_REFUSED:
            return config.reconnect_max_s
        return reconnect_delay_s(
            self._failures, chance(), first_s=config.reconnect_min_s, longest_s=config.reconnect_max_s
        )

    # --- what the connection tells -----------------------------------------------------------------------------------

    def on_events(self, connection: SmppConnection, events: Sequence[Event]) -> None:
        """Hand on what one socket read brought, one call per kind."""
        answered: list[SubmitAnswered] = []
        received: list[DeliverSm | DataSm] = []
        timed_out: list[object] = []
        for event in events:
            kind = type(event)
            if kind is SubmitAnswered:
                answered.append(event)  # type: ignore[arg-type]
            elif kind is DeliverReceived:
                received.append(event.pdu)  # type: ignore[union-attr,arg-type]
            elif kind is RequestTimedOut:
                timed_out.append(event.token)  # type: ignore[union-attr]
            else:
                self._on_rare(event)
        listener = self._link.listener
        # Answers first: a receipt in the same read may be for one of them, and finds its id then at once (R33).
        if answered:
            listener.on_answered(self, answered)
        if received:
            listener.on_received(connection, received)
        if timed_out:
            listener.on_timed_out(timed_out)
        if self.state is BindState.DRAINING:
            self._unbind_when_idle()

    def on_writable(self, connection: SmppConnection) -> None:
        """The peer reads again."""
        self._link.listener.on_ready()

    def on_closed(self, connection: SmppConnection, lost_tokens: Sequence[object], reason: str) -> None:
        """The connection is gone: say what was written and what was not."""
        was_bound = self.state in (BindState.BOUND, BindState.DRAINING)
        self.reason = self.reason if self._refused else reason
        self.state = BindState.DOWN
        unwritten = list(self.backlog)
        self.backlog.clear()
        if was_bound and self._link.stopping:
            self._link.log.info("link.unbound", reason=reason, in_flight=len(lost_tokens))
        elif not self._refused:
            self._link.log.warning("link.lost", error=reason, in_flight=len(lost_tokens))
        self._link.listener.on_lost(self, lost_tokens, unwritten)

    def _on_rare(self, event: Event) -> None:
        log = self._link.log
        match event:
            case BindAnswered():
                self._on_bind_answered(event)
            case QueryAnswered():
                self._link.listener.on_query_answered(self, event)
            case OutbindReceived():
                log.info("link.outbind")
                self._on_outbind()
            case BrokenReceived(pdu) | UnknownReceived(pdu):
                log.warning("pdu.rejected", command=command_name(pdu.command_id), raw=pdu.raw)
            case AlertReceived():
                log.info("link.alert")
            case LinkDead(reason):
                log.warning("link.silent", reason=reason)
            case FramingLost(reason):
                log.warning("pdu.rejected", reason=reason)
            case NackReceived() | StrayResponse():
                log.info("pdu.unexpected", command_status=status_name(event.command_status))
            case _:
                pass

    def _on_bind_answered(self, event: BindAnswered) -> None:
        log = self._link.log
        if event.command_status == 0:
            self.state, self.reason = BindState.BOUND, ""
            self._failures = 0
            log.info("link.bound", bind=self.mode.name.lower(), system_id=event.system_id)
            self._link.listener.on_ready()
            return
        self._refused = event.command_status
        self.reason = f"bind refused: {status_name(event.command_status)}"
        log.warning("link.bind_refused", command_status=status_name(event.command_status))
        if self.connection is not None:
            self.connection.close(self.reason)

    def _on_outbind(self) -> None:
        """The SMSC asks to be bound to (R13): usually our own bind is on its way already."""
        try:
            self._bind()
        except (NotAllowed, EncodeError) as error:
            self._link.log.info("pdu.unexpected", error=str(error))

    def status(self) -> BindStatus:
        """This bind as an operator sees it."""
        return BindStatus(self.mode.name.lower(), self.state, self.in_flight, self.reason)


def make_tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the client context for one SMSC: TLS 1.2 or later, certificate and name checked unless ``verify`` is off
    (R53).

    Raises: OSError, ssl.SSLError when a file cannot be read or is no PEM.
    """
    context = ssl.create_default_context(cafile=options.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file or None)
    return context
