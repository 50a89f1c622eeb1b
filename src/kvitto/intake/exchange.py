"""What the HTTP server and a handler give each other: a request, a response, and the bounds on both.

Values only. Knows no socket, no route and no dialect: a handler reads a ``Request`` and gives back a ``Response``, now
or later (``Outcome``). How requests are read from a connection is told in ``intake.connection``, the listening side in
``intake.http``, paths in ``intake.routing``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

__all__ = ["Handler", "Head", "HttpLimits", "Outcome", "Refusal", "Reply", "Request", "Response", "ResponseWriter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The bounds of one listener. Reaching one is an answer with that status, never a silent cut."""

    body_bytes: int = 8 * 1024 * 1024
    """Request body. 1 000 recipients with their own parameters take about 1 MiB. Above: 413."""
    partial_bytes: int = 128 * 1024 * 1024
    """Bodies still being received, over all connections, in memory. Above: 503 for the one that passes it."""
    head_bytes: int = 32 * 1024
    """Request line and header fields together; real clients send under 2 KiB. Above: 431."""
    headers: int = 100
    """Header fields in a request. Above: 431."""
    target_bytes: int = 8 * 1024
    """Request target; a report query that lists many codes takes about 2 KiB. Above: 414."""
    head_timeout_s: float = 10.0
    """From the first octet of a request to the end of its head; for the first one from the connection. After: 408."""
    body_timeout_s: float = 30.0
    """From the end of the head to the end of the body: 8 MiB at about 2 Mbit/s. After: 408."""
    idle_timeout_s: float = 75.0
    """A kept-alive connection without a request. Longer than the 60 s of common proxies, so that they close first."""
    write_timeout_s: float = 30.0
    """A client that does not read its answer. After: the connection is cut."""
    linger_s: float = 2.0
    """How long a refused client may go on sending before the connection is cut. Closing at once would make its
    system throw our answer away unread (RFC 9112 section 9.6)."""
    connections: int = 10_000
    """Open connections, about 10 KiB each when idle. Above: 503 and close."""
    pipelined: int = 32
    """Requests of one connection that wait for their answers; above, the connection is not read."""
    sweep_s: float = 1.0
    """One timer looks at all connections; every time-out above may come this much late, and never early."""


class Head:
    """A request's head as read, kept because clients send the same octets again and again (``intake.connection``).

    The fields are those of ``Request``; ``body_bytes`` is how many octets of body the head announces. ``entry`` belongs
    to the handler: it may keep here what it has found out from the head alone, and finds it with the next request that
    has the same head. Only plain heads are kept: HTTP/1.1, connection kept alive.
    """

    __slots__ = ("body_bytes", "entry", "headers", "method", "query", "raw_path", "target")

    def __init__(
        self, method: str, target: str, raw_path: str, query: str, headers: dict[bytes, bytes], body_bytes: int
    ) -> None:
        self.method = method
        self.target = target
        self.raw_path = raw_path
        self.query = query
        self.headers = headers
        self.body_bytes = body_bytes
        self.entry: Any = None


class Request:
    """One HTTP request, read completely.

    ``target`` is as sent, ``raw_path`` the path without prefix, origin and query, still percent-encoded; ``query`` is
    what follows the first question mark, undecoded ("" without one). Names in ``headers`` are lower case; values are
    trimmed; a field sent twice is joined with a comma and a space. ``peer`` is the client's address without port,
    read from ``X-Forwarded-For`` when the connection comes from a trusted proxy; ``scheme`` likewise.
    ``arrived_at``: milliseconds since the Unix epoch when the last octet of the body was read. ``head``: what it has in
    common with others of the same head, None when that is not kept.
    """

    __slots__ = (
        "arrived_at",
        "body",
        "head",
        "headers",
        "http10",
        "keep_alive",
        "method",
        "peer",
        "query",
        "raw_path",
        "scheme",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        raw_path: str = "",
        query: str = "",
        headers: dict[bytes, bytes] | None = None,
        body: bytes = b"",
        peer: str = "",
        scheme: str = "http",
        arrived_at: int = 0,
        http10: bool = False,
        keep_alive: bool = True,
        head: Head | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.raw_path = raw_path
        self.query = query
        self.headers = {} if headers is None else headers
        self.body = body
        self.peer = peer
        self.scheme = scheme
        self.arrived_at = arrived_at
        self.http10 = http10
        self.keep_alive = keep_alive
        self.head = head

    @property
    def path(self) -> str:
        """``raw_path`` percent-decoded as UTF-8; a ``+`` stays a plus sign, an encoded slash looks like a real one."""
        return unquote(self.raw_path) if "%" in self.raw_path else self.raw_path

    def __repr__(self) -> str:
        return f"<Request {self.method} {len(self.target)} characters, body {len(self.body)} bytes>"


class Response:
    """One HTTP answer. ``Content-Length``, ``Date`` and ``Connection`` are the server's and not for ``headers``.

    ``stream`` instead of ``body`` sends chunks as they come (HTTP/1.1 chunked; HTTP/1.0: until the connection closes).
    ``on_sent``: called once for an answer with a ``body``: True when the system has taken its last octet for a client
    that was still there, False when that cannot come any more, or the client had ended its stream before: it may be
    gone then. With TLS up to 64 KiB may be on their way still.
    """

    __slots__ = ("body", "content_type", "headers", "on_sent", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        stream: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.stream = stream
        self.on_sent: Callable[[bool], None] | None = None

    def __repr__(self) -> str:
        return f"<Response {self.status}, body {len(self.body)} bytes>"


class Reply:
    """An answer promised for later, at the price of one method call: neither future, task nor turn of the loop.

    A handler gives it back; whoever completes the work calls ``send`` once, in the loop's thread.
    """

    __slots__ = ("_deliver", "_response")

    def __init__(self) -> None:
        self._response: Response | None = None
        self._deliver: Callable[[Response], None] | None = None

    def send(self, response: Response) -> None:
        """Answer the request. Only the first call counts; a client that has gone away is no error."""
        if self._response is not None:
            return
        self._response = response
        if self._deliver is not None:
            self._deliver(response)

    def bind(self, deliver: Callable[[Response], None]) -> None:
        """The server's end: have the response delivered there, at once when it is already known."""
        self._deliver = deliver
        if self._response is not None:
            deliver(self._response)


Outcome = Response | Reply | asyncio.Future[Response] | Awaitable[Response]
"""What a handler gives back. A ``Response`` is written at once, a ``Reply`` or ``Future`` when it is ready, without a
task; any other awaitable (a coroutine) runs as a task of its own."""

Handler = Callable[[Request], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that the server itself refused, before any handler: told to the hook that words the answer."""

    status: int
    reason: str
    """Names what was wrong and the limit, without any of the request's content."""
    target: str
    """As far as it was read; "" when nothing of it was."""


class ResponseWriter:
    """Turns responses into octets. Remembers the head of each (status, content type) pair and the date line."""

    __slots__ = ("_date_line", "_date_second", "_end", "_heads", "_plain")

    # Handlers use a handful of content types; the bound only guards against one that echoes a client's.
    _MAX_HEADS = 256

    def __init__(self) -> None:
        self._heads: dict[tuple[int, str | None], bytes] = {}
        self._plain: dict[tuple[int, str | None], bytes] = {}  # the same, up to the body's length
        self._date_line = b""
        self._end = b"\r\n"  # of a plain head: the date line and the empty one
        self._date_second = -1

    def set_time(self, now_at: int) -> None:
        """Renew the Date line; called by the sweep, so that no request pays for it. ``now_at``: milliseconds."""
        second = now_at // 1000
        if second != self._date_second:
            self._date_second = second
            self._date_line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
            self._end = self._date_line + b"\r\n"

    def render_plain(self, response: Response) -> bytes:
        """As ``render``, for the plainest case: a connection that is kept, HTTP/1.1, not HEAD, no headers of its own.

        Raises: ValueError as ``render``.
        """
        start = self._plain.get((response.status, response.content_type))
        if start is None:
            return self._render_first(response)
        body = response.body
        return b"%b%d\r\n%b%b" % (start, len(body), self._end, body)

    def _render_first(self, response: Response) -> bytes:
        octets = self.render(response, None, close=False)
        key = (response.status, response.content_type)
        if key in self._heads and not _is_bodiless(response.status):
            self._plain[key] = self._heads[key] + b"Content-Length: "
        return octets

    def render(self, response: Response, request: Request | None, close: bool) -> bytes:
        """The whole answer, head and body. Raises: ValueError for a header that could break the answer's framing."""
        body = response.body
        if _is_bodiless(response.status):
            return self.head(response, b"", request, close)
        head = self.head(response, b"Content-Length: %d\r\n" % len(body), request, close)
        if request is not None and request.method == "HEAD":
            return head
        return head + body

    def head(self, response: Response, framing: bytes, request: Request | None, close: bool) -> bytes:
        """Status line and header fields, with the empty line. ``framing``: the field that tells the body's length."""
        start = self._heads.get((response.status, response.content_type))
        if start is None:
            start = self._start(response.status, response.content_type)
        if close:
            end = b"Connection: close\r\n\r\n"
        elif request is not None and request.http10:
            end = b"Connection: keep-alive\r\n\r\n"
        else:
            end = b"\r\n"
        if response.headers:
            end = _field_lines(response.headers) + end
        return b"%b%b%b%b" % (start, framing, self._date_line, end)

    def _start(self, status: int, content_type: str | None) -> bytes:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Status"
        start = f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")
        if content_type is not None:
            start += _field_lines((("Content-Type", content_type),))
        if len(self._heads) < self._MAX_HEADS:
            self._heads[(status, content_type)] = start
        return start


def _is_bodiless(status: int) -> bool:
    return status < 200 or status in (204, 304)


def _field_lines(headers: Sequence[tuple[str, str]]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
        raise ValueError("response header: a line break or NUL in a name or value")
    return lines.encode("latin-1")
