"""One connection to a callback endpoint: a request out, its answer in, again and again.

Theory of operation. A ``Wire`` carries one ``Exchange`` at a time. httptools (llhttp) reads the answer; what the
endpoint does wrong (resets, endless or dripping answers, bad chunking) ends in a ``PostResult`` like what it does
right, through ``Owner.finished``. The wire then goes back to its owner's pool or is cut. It keeps no time itself: the
client's sweep cuts a wire whose exchange is late. Next: ``callbacks.post``, which owns the pools.
"""

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

import httptools

from kvitto.callbacks.addresses import AddressPolicy

__all__ = ["KEPT_HEADERS", "NO_HEADERS", "Exchange", "Owner", "PostFailure", "PostRequest", "PostResult", "Wire"]


NO_HEADERS: Mapping[bytes, bytes] = MappingProxyType({})


class PostFailure(enum.Enum):
    """Why there is no complete answer."""

    BAD_URL = "bad_url"
    BAD_REQUEST = "bad_request"
    """A header that the caller gave would break the request's framing."""
    FORBIDDEN = "forbidden"
    """The host has only addresses that the policy does not permit."""
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    """The endpoint closed or reset the connection before the answer was complete."""
    BAD_RESPONSE = "bad_response"
    """What came is not HTTP/1.1, or its head does not fit into the bound."""
    BUSY = "busy"
    """More posts than ``PostLimits.posts`` are under way; nothing is known about the endpoint."""
    STOPPED = "stopped"
    """This side was stopped; nothing is known about the endpoint."""


class PostResult(NamedTuple):
    """What became of one post. It is an answer only if ``failure`` is None; ``status`` alone may be half of one."""

    status: int | None
    failure: PostFailure | None = None
    detail: str = ""
    """The failure in plain words for logs and people; holds nothing of the request or the answer's body."""
    body: bytes = b""
    """The first ``PostLimits.kept_body_bytes`` of the answer's body."""
    headers: Mapping[bytes, bytes] = NO_HEADERS
    """Of the answer, as far as anybody needs them: see ``KEPT_HEADERS``. Names in lower case."""
    elapsed_ms: int = 0
    """From taking a connection (or beginning to open one) to the end; waiting for the pool is not counted."""
    truncated: bool = False
    """The body went on after ``PostLimits.read_bytes``, and was not read further."""


class PostRequest:
    """What to post, and how. ``policy``: where this account's callbacks may go. ``connections``: the bound for this
    endpoint and policy together. ``timeout_s``: for the whole exchange. ``context`` is the caller's and not looked at.
    """

    __slots__ = ("body", "connections", "context", "headers", "policy", "timeout_s", "url")

    def __init__(
        self,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        policy: AddressPolicy,
        connections: int = 16,
        timeout_s: float = 10.0,
        context: object = None,
    ) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.policy = policy
        self.connections = connections
        self.timeout_s = timeout_s
        self.context = context


class Exchange:
    """One request on its way. Belongs to the client; a wire only carries it."""

    __slots__ = ("deadline_s", "is_done", "octets", "on_done", "request", "retried", "started_s", "task", "wire")

    def __init__(self, request: PostRequest, on_done: Callable[[PostRequest, PostResult], None], octets: bytes) -> None:
        self.request = request
        self.on_done = on_done
        self.octets = octets
        self.started_s = 0.0
        self.deadline_s = inf
        self.retried = False
        self.is_done = False
        self.wire: Wire | None = None
        self.task: asyncio.Task[Wire] | None = None


class Owner(Protocol):
    """The pool that a wire belongs to."""

    def answered(self, exchange: Exchange, wire: "Wire", *, truncated: bool) -> None:
        """``wire.status``, ``headers`` and ``body`` are the answer; they are forgotten after this call."""

    def failed(self, exchange: Exchange, wire: "Wire", failure: PostFailure, detail: str) -> None:
        """There is no complete answer; what there is of it is in the wire, as above."""

    def give_back(self, wire: "Wire") -> None:
        """The wire can carry another exchange."""

    def lost(self, wire: "Wire", again: Exchange | None) -> None:
        """The wire is gone. ``again``: an exchange that a stale wire never carried, to be sent on a fresh one."""


KEPT_HEADERS = frozenset({b"content-length", b"content-type", b"location", b"retry-after", b"transfer-encoding"})


class Wire(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_complete",
        "_keep_alive",
        "_kept_body_bytes",
        "_owner",
        "_parser",
        "_read_bytes",
        "_received",
        "_transport",
        "_used",
        "attached",
        "body",
        "exchange",
        "headers",
        "idle_since_s",
        "is_lost",
        "status",
    )

    def __init__(self, owner: Owner, read_bytes: int, kept_body_bytes: int) -> None:
        self._owner = owner
        self._read_bytes = read_bytes
        self._kept_body_bytes = kept_body_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._used = False
        self.exchange: Exchange | None = None
        self.idle_since_s = 0.0
        self.attached = False
        self.is_lost = False
        self._received = 0
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self._complete = False
        self._keep_alive = False

    # ---- its owner calls these

    def send(self, exchange: Exchange) -> None:
        """Carry this exchange. The wire must be free."""
        self.exchange = exchange
        exchange.wire = self
        self._transport.write(exchange.octets)

    def cut(self) -> None:
        """Close now. What was being carried is the owner's business."""
        self.exchange = None
        self._transport.abort()

    # ---- the transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected (and, with TLS, the certificate is verified)."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the endpoint, reset, or cut by us."""
        self.is_lost = True
        exchange, self.exchange = self.exchange, None
        again = None
        if exchange is not None:
            exchange.wire = None
            if self._used and not self._received and not exchange.retried:
                exchange.retried = True
                again = exchange
            else:
                self._tell_end(exchange, exc)
        if self.attached:
            self.attached = False
            self._owner.lost(self, again)

    def data_received(self, data: bytes) -> None:
        """Octets of the answer, in any cut."""
        if self.exchange is None:
            self._transport.abort()  # nobody asked for these
            return
        room = self._read_bytes - self._received
        self._received += len(data)
        try:
            self._parser.feed_data(data if len(data) <= room else data[:room])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # An answer that was whole before the parser stumbled is an answer; the wire is spoilt all the same.
            self._keep_alive = False
            if not self._complete:
                self._fail("the answer is not HTTP/1.1")
                return
        if self._complete:
            self._end(truncated=False)
        elif len(data) >= room:
            if self.status is None:
                self._fail(f"no complete head within {self._read_bytes} bytes")
            else:
                self._end(truncated=True)

    # ---- the parser calls these

    def on_message_begin(self) -> None:
        """A status line begins; after a complete answer it is one too many."""
        if self._complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        name = name.lower()
        if name in KEPT_HEADERS and not self._complete:
            self.headers[name] = value.rstrip()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if not self._complete:
            self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body; its beginning is kept."""
        room = self._kept_body_bytes - len(self.body)
        if room > 0 and not self._complete:
            self.body += data if len(data) <= room else data[:room]

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one (1xx)."""
        if self._complete:
            return
        if self.status is not None and self.status < 200:
            self.status = None
            self.headers = {}
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()

    # ---- the end of an exchange

    def _end(self, *, truncated: bool) -> None:
        exchange, self.exchange = cast(Exchange, self.exchange), None
        exchange.wire = None
        # An answer that came before the request was written leaves the rest of the request in the way.
        if self._complete and self._keep_alive and self._transport.get_write_buffer_size() == 0:
            self._owner.answered(exchange, self, truncated=truncated)
            self._used = True
            self._forget_answer()
            self._owner.give_back(self)
        else:
            self._transport.abort()
            self._owner.answered(exchange, self, truncated=truncated)

    def _fail(self, detail: str) -> None:
        exchange, self.exchange = cast(Exchange, self.exchange), None
        exchange.wire = None
        self._transport.abort()
        self._owner.failed(exchange, self, PostFailure.BAD_RESPONSE, detail)

    def _forget_answer(self) -> None:
        self._received = 0
        self.status = None
        self.headers = {}
        self.body = b""
        self._complete = False
        self._keep_alive = False

    def _tell_end(self, exchange: Exchange, exc: Exception | None) -> None:
        """The connection has ended: right for an answer without a length, too early for every other."""
        headers = self.headers
        if self.status is None:
            detail = "closed before an answer" if exc is None else "connection reset before an answer"
        elif exc is None and b"content-length" not in headers and b"transfer-encoding" not in headers:
            self._owner.answered(exchange, self, truncated=False)
            return
        else:
            detail = "closed before the answer was complete"
        self._owner.failed(exchange, self, PostFailure.CLOSED, detail)
