"""The HTTP/1.1 server: listens, keeps the bounds, hands whole requests to one handler, stops without losing answers.

Ours on httptools instead of a framework because every message that is sent comes through here (docs/adr/0002). Knows
no routes, accounts or dialects: those are in the handler (``intake.routing`` chooses one by path). Read next
``intake.exchange`` (the values), then ``intake.connection`` (one client).
"""

import asyncio
import ssl as tls
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from kvitto.core.clock import Clock
from kvitto.intake.connection import Connection
from kvitto.intake.exchange import Handler, HttpLimits, Outcome, Refusal, Reply, Request, Response
from kvitto.intake.shared import Shared

__all__ = ["Handler", "HttpLimits", "Outcome", "Refusal", "Reply", "Request", "Response", "Server"]

# Connections that the kernel holds for us between two turns of the loop.
BACKLOG = 2048


def _no_words(refusal: Refusal) -> Response:
    """The default answer to a refused request: empty, for some clients break on anything but JSON (sinch.md 2)."""
    return Response(refusal.status)


def _ignore_error(request: Request, exc: BaseException) -> None:
    """The default: nobody is told."""


class Server:
    """One listener. ``start`` and ``stop`` bear being called twice, early or late.

    ``handler`` gets every request that is whole and within ``limits``. ``on_error(request, exc)`` is told what a
    handler raised (the client gets an empty 500). ``on_refusal(refusal)`` words the answer to a request that never
    reaches the handler: bad HTTP, a limit, a time-out.

    ``path_prefix`` ("/sms") is taken off the path; paths without it are served too, so it does not matter whether a
    proxy in front takes it off. ``trusted_proxies``: addresses or networks whose ``X-Forwarded-For`` and
    ``X-Forwarded-Proto`` are believed.
    """

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        clock: Clock,
        ssl: tls.SSLContext | None = None,
        limits: HttpLimits | None = None,
        trusted_proxies: Iterable[str | IPv4Network | IPv6Network] = (),
        path_prefix: str = "",
        on_error: Callable[[Request, BaseException], None] = _ignore_error,
        on_refusal: Callable[[Refusal], Response] = _no_words,
    ) -> None:
        """``port`` 0 takes a free one (read ``port`` after the start). Raises: ValueError for a wrong network."""
        self._handler = handler
        self._host = host
        self._wanted_port = port
        self._clock = clock
        self._ssl = ssl
        self._limits = limits or HttpLimits()
        self._trusted = tuple(ip_network(network) for network in trusted_proxies)
        self._path_prefix = path_prefix.rstrip("/")
        self._on_error = on_error
        self._on_refusal = on_refusal
        self._listener: asyncio.Server | None = None
        self._shared: Shared | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened on; before the start the one asked for."""
        if self._listener is None or not self._listener.sockets:
            return self._wanted_port
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """Open connections now."""
        return 0 if self._shared is None else len(self._shared.connections)

    async def start(self) -> None:
        """Listen. Raises: OSError when the address cannot be had."""
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()
        shared = Shared(
            clock=self._clock,
            handler=self._handler,
            limits=self._limits,
            loop=loop,
            on_error=self._on_error,
            path_prefix=self._path_prefix,
            refuse=self._on_refusal,
            scheme="https" if self._ssl is not None else "http",
            trusted=self._trusted,
            when_empty=self._emptied.set,
        )
        self._listener = await loop.create_server(
            lambda: Connection(shared),
            self._host,
            self._wanted_port,
            ssl=self._ssl,
            backlog=BACKLOG,
            # The handshake is part of "the head of the first request"; the default of 60 s is generous to nobody good.
            ssl_handshake_timeout=self._limits.head_timeout_s if self._ssl is not None else None,
        )
        self._shared = shared
        self._timer = loop.call_later(self._limits.sweep_s, self._sweep_again)

    async def stop(self, grace_s: float = 10.0) -> None:
        """Stop listening, close idle connections, give those in hand ``grace_s``, then cut them."""
        shared, listener = self._shared, self._listener
        if shared is None or listener is None:
            return
        if not shared.stopping:
            shared.stopping = True
            self._wanted_port = self.port
            listener.close()
            for connection in list(shared.connections):
                connection.close_if_idle()
        await self._wait_until_empty(shared, grace_s)
        for connection in list(shared.connections):
            connection.abort()
        await self._wait_until_empty(shared, 1.0)
        if self._shared is shared:
            self._shared = self._listener = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    async def _wait_until_empty(self, shared: Shared, at_most_s: float) -> None:
        self._emptied.clear()
        if shared.connections:
            try:
                await asyncio.wait_for(self._emptied.wait(), at_most_s)
            except TimeoutError:
                return

    def sweep(self) -> None:
        """Look at all deadlines once, and renew the date. The server's own timer calls this every ``sweep_s``."""
        shared = self._shared
        if shared is None:
            return
        now_s = shared.now_s = self._clock.monotonic()
        shared.writer.set_time(self._clock.now())
        # Deadlines were counted from the sweep before they were set, up to sweep_s too early: so wait that much longer.
        late_s = now_s - self._limits.sweep_s
        for connection in [c for c in shared.connections if c.deadline_s < late_s or c.write_deadline_s < late_s]:
            connection.expire()

    def _sweep_again(self) -> None:
        if self._shared is None:
            return
        self._timer = self._shared.loop.call_later(self._limits.sweep_s, self._sweep_again)
        self.sweep()
