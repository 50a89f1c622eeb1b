"""The port on which an SMSC may call us and ask for a bind (R13): an ``outbind`` there leads to a receiver bind.

Some SMSCs do not wait for their ESMEs: when they hold receipts for one that is not bound they connect to it and say
``outbind``. A link with ``OutbindOptions`` listens for that. Whoever connects has ``bind_s`` to say it, with the right
system_id and password; then the link's own credentials go out as a ``bind_receiver`` on that same connection, and from
there on it is a bind like any other: what it brings goes to the same listener, its receipts find the messages of the
whole group (R30).

    SMSC connects ──▶ outbind ──▶ checked ──▶ bind_receiver ──▶ deliver_sm ... the link's listener
                                     └──▶ wrong: closed, counted, logged

Nothing is told to anybody before the password was right: what else comes is refused by the session, for it is not
bound, and what is no SMPP closes the connection. No more than ``MOST_CALLERS`` connections are held at a time.

Must not know: receipts, the store. Next: ``kvitto.dispatch.link`` (``Bind``), ``kvitto.dispatch.dispatcher``
(``Lane``), which owns it.
"""

import asyncio
import hmac
import ssl
from collections.abc import Sequence
from typing import Final

from kvitto.dispatch.link import Bind, BindState, Link, OutbindOptions, TlsOptions
from kvitto.dispatch.transport import SmppConnection
from kvitto.smpp.events import Event, OutbindReceived
from kvitto.smpp.session import Role, Session
from kvitto.smpp.spec import BindMode

__all__ = ["MOST_CALLERS", "Caller", "OutbindDoor", "make_server_context"]

MOST_CALLERS: Final = 16
"""Connections at a time, of one link: an SMSC needs one or two, and a stranger must not take all our sockets."""


class OutbindDoor:
    """One link's port; a service. Raises OSError, ssl.SSLError where TLS is wanted and its files cannot be used."""

    def __init__(self, link: Link, options: OutbindOptions) -> None:
        self.link = link
        self.options = options
        self.callers: list[Caller] = []
        self.bound = 0
        """How often an SMSC was bound to here, since the start."""
        self.refused = 0
        """How often a caller was closed: a wrong password, none in time, anything else first, or one too many."""
        self._tls = None if link.config.tls is None else make_server_context(link.config.tls)
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    def start(self) -> None:
        """Begin to listen; a port that cannot be had is tried again. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"outbind {self.link.name}")

    async def stop(self) -> None:
        """Close the port, unbind whoever is bound. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await asyncio.gather(*(caller.stop() for caller in list(self.callers)))

    async def _run(self) -> None:
        link, options = self.link, self.options
        while True:
            try:
                self._server = await asyncio.get_running_loop().create_server(
                    self._answer,
                    options.host,
                    options.port,
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else link.config.timers.bind_s,
                )
            except OSError as error:
                link.log.error("link.deaf", host=options.host, port=options.port, error=error.strerror or str(error))
                await asyncio.sleep(link.config.reconnect_max_s)
            else:
                link.log.info("link.listening", host=options.host, port=self.port)
                return

    def _answer(self) -> asyncio.Protocol:
        link = self.link
        config, caller = link.config, Caller(self)
        session = Session(role=Role.ESME, now=link.clock.monotonic(), timers=config.timers)
        return _Call(session, caller, link.clock)

    def admits(self, said: OutbindReceived) -> bool:
        """Whether these are the system_id and password that the SMSC was given."""
        # Both are compared, and in full, so that the time taken tells nothing.
        known = _same(said.system_id, self.options.system_id)
        return _same(said.password, self.options.password) and known

    def refuse(self, connection: SmppConnection, reason: str) -> None:
        """Close it, count it and say why."""
        self.refused += 1
        self.link.log.warning("link.outbind_refused", reason=reason)
        connection.close(reason)


class _Call(SmppConnection):
    """A connection that somebody else made."""

    _handler: "Caller"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands, TLS included."""
        super().connection_made(transport)
        self._handler.came(self)


class Caller(Bind):
    """The receiver bind on a connection that an SMSC made; it is not made again when it ends."""

    def __init__(self, door: OutbindDoor) -> None:
        super().__init__(door.link, BindMode.RECEIVER)
        self._door = door
        self._timer: asyncio.TimerHandle | None = None
        self._known = False  # it said the right words

    def came(self, connection: SmppConnection) -> None:
        """Somebody has connected: it may say its outbind now."""
        if len(self._door.callers) >= MOST_CALLERS:
            self._door.refuse(connection, f"more than {MOST_CALLERS} connections at a time")
            return
        self._door.callers.append(self)
        self.connection, self.state = connection, BindState.CONNECTING
        self._timer = asyncio.get_running_loop().call_later(self._link.config.timers.bind_s, self._too_late)

    def _too_late(self) -> None:
        if self.connection is not None and not self._known:
            self._refuse(self.connection, "no outbind in time")

    def _refuse(self, connection: SmppConnection, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._door.refuse(connection, reason)

    def on_events(self, connection: SmppConnection, events: Sequence[Event]) -> None:
        """Until the right outbind has come, nothing else is listened to."""
        if not self._known:
            first, *events = events
            if not isinstance(first, OutbindReceived):
                self._refuse(connection, "something else came before an outbind")
                return
            if not self._door.admits(first):
                self._refuse(connection, "wrong system_id or password")
                return
            self._known = True
            self._door.bound += 1
            self._link.log.info("link.outbind", system_id=first.system_id)
            self._bind()
        if events:
            super().on_events(connection, events)

    def on_closed(self, connection: SmppConnection, lost_tokens: Sequence[object], reason: str) -> None:
        """It has ended; the SMSC comes again when it wants to."""
        if self._timer is not None:
            self._timer.cancel()
        if self in self._door.callers:
            self._door.callers.remove(self)
        if self._known:
            super().on_closed(connection, lost_tokens, reason)
        self.connection = None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


def make_server_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the server's side of a link's TLS: 1.2 or later, with the link's certificate as ours (R53).

    The SMSC shows who it is by its password; a certificate of its own is not asked for. Raises: OSError, ssl.SSLError
    when a file cannot be read or is no PEM.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.cert_file, options.key_file or None)
    return context
