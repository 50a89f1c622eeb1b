"""One look at an SMSC, as ``kvitto link test`` takes it: connect, bind, enquire_link, unbind, and in plain words what
is wrong.

It uses the transport, session and TLS context of the real links, so that what works here works there. Nothing is sent;
receipts that come meanwhile are answered "send it again later" (0x64) and lost to nobody. Must not know: the store,
links that run. Next: ``kvitto.dispatch.link``.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from kvitto.core.clock import Clock
from kvitto.dispatch.link import BindStyle, LinkConfig, make_tls_context
from kvitto.dispatch.transport import ConnectFailed, SmppConnection, connect
from kvitto.smpp.codec import EncodeError
from kvitto.smpp.events import BindAnswered, DeliverReceived, EnquireAnswered, Event, FramingLost, LinkDead, PeerUnbound
from kvitto.smpp.session import Role, Session
from kvitto.smpp.spec import BindMode, CommandStatus, status_name

__all__ = ["ProbeResult", "ProbeStep", "probe"]

E = TypeVar("E")

_WRONG_SYSTEM_TYPE: Final = 0x53
_REFUSALS: Final[Mapping[int, str]] = {
    CommandStatus.ESME_RINVPASWD: "the password is wrong",
    CommandStatus.ESME_RINVSYSID: "the system_id is not known there",
    CommandStatus.ESME_RALYBND: "this system_id is bound already and may be only once; perhaps the server holds it",
    CommandStatus.ESME_RBINDFAIL: "the SMSC refuses the bind without saying why; often the number of binds is used up, "
    "the bind type is not allowed, or this address is not",
    _WRONG_SYSTEM_TYPE: "the system_type is wrong",
    CommandStatus.ESME_RINVBNDSTS: "the SMSC does not expect a bind now",
    CommandStatus.ESME_RINVCMDID: "the SMSC does not know this kind of bind; perhaps bind = transmitter+receiver",
    CommandStatus.ESME_RSYSERR: "the SMSC has a fault of its own; try again later",
    CommandStatus.ESME_RTHROTTLED: "the SMSC says slow down; try again later",
}


class ProbeStep(NamedTuple):
    """One step: ``connect``, ``bind transceiver``, ``enquire_link``, ``unbind``; ``ms``: how long it took."""

    step: str
    ok: bool
    ms: int


class ProbeResult(NamedTuple):
    """What was found: the steps that were taken, and of the last one, when it failed, ``reason`` in words.

    ``problem``: one word for programs: ``refused``, ``dns``, ``timeout``, ``unreachable``, ``certificate``, ``tls``,
    ``credentials``, ``bind_refused``, ``no_answer``, ``not_smpp``, ``closed``, ``settings``; "" when all is well.
    """

    steps: tuple[ProbeStep, ...]
    problem: str = ""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything worked."""
        return not self.problem


class _Wrong(Exception):
    def __init__(self, problem: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem
        self.reason = reason


async def probe(config: LinkConfig, clock: Clock) -> ProbeResult:
    """Look at one link's SMSC, once for each kind of bind that the link makes. Raises: nothing for any peer."""
    steps: list[ProbeStep] = []
    pair = (BindMode.TRANSMITTER, BindMode.RECEIVER)
    for mode in pair if config.bind is BindStyle.PAIR else (BindMode.TRANSCEIVER,):
        try:
            await _Look(config, clock, steps).take(mode)
        except _Wrong as wrong:
            return ProbeResult(tuple(steps), wrong.problem, wrong.reason)
    return ProbeResult(tuple(steps))


class _Look:
    """One connection with one bind; the handler of its connection."""

    def __init__(self, config: LinkConfig, clock: Clock, steps: list[ProbeStep]) -> None:
        self._config = config
        self._clock = clock
        self._steps = steps
        self._news: asyncio.Queue[Event | str] = asyncio.Queue()
        self._where = f"{config.host}:{config.port}"

    async def take(self, mode: BindMode) -> None:
        began = self._clock.monotonic()
        try:
            connection = await self._connect()
        except _Wrong:
            self._step("connect", began, ok=False)
            raise
        self._step("connect", began)
        try:
            await self._ask(f"bind {mode.name.lower()}", self._bind(connection, mode))
            await self._ask("enquire_link", self._enquire(connection))
            await self._ask("unbind", self._unbind(connection))
        finally:
            connection.abort("looked enough")
            await connection.wait_closed()

    def _step(self, name: str, began: float, *, ok: bool = True) -> None:
        self._steps.append(ProbeStep(name, ok, round((self._clock.monotonic() - began) * 1000)))

    async def _ask(self, name: str, asking: Coroutine[Any, Any, None]) -> None:
        began = self._clock.monotonic()
        try:
            await asking
        except _Wrong:
            self._step(name, began, ok=False)
            raise
        self._step(name, began)

    # --- the steps -------------------------------------------------------------------------------------------------

    async def _connect(self) -> SmppConnection:
        config = self._config
        try:
            tls = None if config.tls is None else make_tls_context(config.tls)
        except OSError as error:  # ssl.SSLError is one
            raise _Wrong("settings", f"the link's TLS files cannot be used: {error}") from error
        session = Session(role=Role.ESME, now=self._clock.monotonic(), window=1, timers=config.timers)
        try:
            return await connect(
                config.host,
                config.port,
                tls=tls,
                server_hostname=(config.tls.server_name or None) if config.tls else None,
                session=session,
                handler=self,
                clock=self._clock,
                connect_s=config.connect_s,
            )
        except ConnectFailed as failed:
            raise _why_not(failed, config) from failed

    async def _bind(self, connection: SmppConnection, mode: BindMode) -> None:
        config = self._config
        try:
            connection.bind(
                mode,
                config.system_id,
                config.password,
                system_type=config.system_type,
                interface_version=config.interface_version,
                addr_ton=config.addr_ton,
                addr_npi=config.addr_npi,
                address_range=config.address_range,
            )
        except EncodeError as error:
            raise _Wrong("settings", f"no bind can be written with these settings: {error}") from error
        answer = await self._next(BindAnswered, config.timers.bind_s, "the bind")
        if answer.command_status:
            raise _refused(answer.command_status)

    async def _enquire(self, connection: SmppConnection) -> None:
        connection.enquire_link()
        await self._next(EnquireAnswered, self._config.timers.enquire_answer_s, "enquire_link")

    async def _unbind(self, connection: SmppConnection) -> None:
        """Leave in good order; a peer that closes instead of answering has understood too."""
        connection.unbind()
        await connection.wait_closed()  # the session waits for the answer as long as for that to an enquire_link
        while not self._news.empty():
            if isinstance(self._news.get_nowait(), LinkDead):
                raise _Wrong("no_answer", "no answer to unbind; everything else works")

    async def _next(self, kind: type[E], within_s: float, what: str) -> E:
        """Wait for the answer, passing over what has nothing to do with it."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    event = await self._news.get()
                    if isinstance(event, kind):
                        return event
                    self._judge(event, what)
        except TimeoutError:
            raise _Wrong(
                "no_answer", f"{self._where} takes the connection, but does not answer {what} within {within_s:g} s"
            ) from None

    def _judge(self, event: Event | str, what: str) -> None:
        match event:
            case FramingLost(reason):
                raise _Wrong("not_smpp", f"what {self._where} answers is not SMPP{_looks_like(reason)}")
            case LinkDead(reason):
                raise _Wrong("no_answer", f"{self._where} takes the connection, but: {reason}")
            case PeerUnbound():
                raise _Wrong("closed", f"{self._where} unbound us instead of answering {what}")
            case str():
                hint = "perhaps our address is not allowed there, or the port wants TLS" if what == "the bind" else ""
                raise _Wrong(
                    "closed",
                    f"{self._where} closed the connection instead of answering {what}{f' ({hint})' if hint else ''}",
                )

    # --- what the connection tells ---------------------------------------------------------------------------------

    def on_events(self, connection: SmppConnection, events: Sequence[Event]) -> None:
        """Keep what came; a receipt is for the server, later."""
        for event in events:
            if isinstance(event, DeliverReceived):
                again = CommandStatus.ESME_RX_T_APPN
                connection.answer_many([(event.pdu.sequence_number, event.pdu.command_id, again)])
            else:
                self._news.put_nowait(event)

    def on_writable(self, connection: SmppConnection) -> None:
        """Nothing waits to be written here."""

    def on_closed(self, connection: SmppConnection, lost_tokens: Sequence[object], reason: str) -> None:
        """The connection is gone."""
        self._news.put_nowait(reason)


# --- in plain words --------------------------------------------------------------------------------------------------


def _refused(command_status: int) -> _Wrong:
    credentials = command_status in (CommandStatus.ESME_RINVPASWD, CommandStatus.ESME_RINVSYSID)
    words = _REFUSALS.get(command_status)
    name = status_name(command_status)
    reason = f"the SMSC refused the bind with {name}" + (f": {words}" if words else "")
    return _Wrong("credentials" if credentials else "bind_refused", reason)


def _why_not(failed: ConnectFailed, config: LinkConfig) -> _Wrong:
    """Why there is no connection, from the error below it."""
    where = f"{config.host}:{config.port}"
    match failed.__cause__:
        case None:
            return _Wrong(
                "timeout",
                f"no connection to {where} within {config.connect_s:g} s: nothing there, or a firewall drops it",
            )
        case ssl.SSLCertVerificationError() as error:
            return _Wrong("certificate", f"the certificate of {where} is not trusted: {_certificate_words(error)}")
        case ssl.SSLError() as error:
            return _Wrong("tls", f"no TLS with {where}: {_tls_words(error)}")
        case socket.gaierror() as error:
            return _Wrong("dns", f"the name {config.host} has no address: {error.strerror or error}")
        case ConnectionRefusedError():
            return _Wrong("refused", f"nothing listens on {where}: connection refused")
        case ConnectionResetError() | ConnectionAbortedError():
            return _Wrong(
                "closed",
                f"{where} closed the connection at once"
                + (" during TLS: perhaps the port is plain SMPP" if config.tls else ""),
            )
        case OSError() as error:
            return _Wrong("unreachable", f"{where} cannot be reached: {_os_words(error)}")
    return _Wrong("unreachable", f"{where} cannot be reached: {failed}")


def _os_words(error: OSError) -> str:
    return error.strerror or str(error)


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    words = error.verify_message or error.reason or "no reason given"
    hints = {
        10: "it has expired",
        18: "it is signed by itself; put it into tls_ca_file if it is the right one",
        19: "its authority is not known; put that authority into tls_ca_file",
        20: "its authority is not known; put that authority into tls_ca_file",
        21: "its authority is not known; put that authority into tls_ca_file",
        62: "it is for another name; tls_server_name says which one is right",
        64: "it is for another address; tls_server_name says which name is right",
    }
    hint = hints.get(error.verify_code)
    return f"{words} ({hint})" if hint else words


def _tls_words(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    hints = {
        "WRONG_VERSION_NUMBER": "it does not speak TLS; perhaps the port is plain SMPP (tls = false)",
        "UNEXPECTED_EOF_WHILE_READING": "it closed the connection; perhaps the port is plain SMPP",
        "TLSV1_ALERT_PROTOCOL_VERSION": "it wants an older TLS than 1.2",
        "UNSUPPORTED_PROTOCOL": "it speaks an older TLS than 1.2 only",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate (tls_certificate, tls_key)",
        "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses; perhaps it wants a client certificate (tls_certificate, tls_key)",
    }
    return f"{hints[reason]} ({reason})" if reason in hints else reason


def _looks_like(reason: str) -> str:
    """A hint from the first four octets, which ``FramingLost`` tells as a length."""
    number = reason.rpartition(" ")[2]
    begins = int(number).to_bytes(4) if number.isdigit() and int(number) < 1 << 32 else b""
    if begins[:2] in (b"\x15\x03", b"\x16\x03"):
        return ", but TLS: set tls = true"
    if begins == b"HTTP":
        return ", but HTTP"
    return f" (it begins with {begins!r})" if begins.isascii() and begins.decode().isprintable() and begins else ""
