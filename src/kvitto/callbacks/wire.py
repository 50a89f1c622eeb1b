"""One connection to a callback endpoint: a request out, its answer in, again and again.

Theory of operation. A ``Wire`` carries one ``PostRequest`` at a time. httptools (llhttp) reads the answer; what the
endpoint does wrong (resets, endless or dripping answers, bad chunking) ends in a ``PostResult`` like what it does
right. The wire then goes back to its owner's pool or is cut. It keeps no time itself: the client's sweep cuts a wire
whose post is late.

An endpoint says the same again and again. So what the parser made of an answer that came whole in one read, and left
the connection fit for the next, is remembered by the answer's octets (``Owner.known_answers``); when the same octets
begin and end another answer, the parser need not read them. Between two answers it has no state that they could change.

Next: ``callbacks.post``, which owns the pools.
"""

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

import httptools

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.tls import EndpointTls

__all__ = [
    "KEPT_HEADERS",
    "KNOWN_ANSWERS",
    "KNOWN_ANSWER_BYTES",
    "NO_HEADERS",
    "Answer",
    "Owner",
    "PostFailure",
    "PostRequest",
    "PostResult",
    "Wire",
]

KNOWN_ANSWERS = 16
"""Answers remembered for one pool; above, all are forgotten. One a second is new where they carry a date."""
KNOWN_ANSWER_BYTES = 1024
"""Longer ones are not remembered: an acknowledgement is short."""

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
    """What to post, and how; started once. ``headers``: fields, or their lines as ``callbacks.post.header_lines`` makes
    them. ``policy``: where this account's callbacks may go. ``connections``: the bound for this endpoint and policy
    together. ``timeout_s``: for the whole exchange. ``context`` is the caller's and not looked at. ``tls``: this
    endpoint's own settings, if it has any.
    """

    __slots__ = (
        "body",
        "connections",
        "context",
        "headers",
        "octets",
        "on_done",
        "policy",
        "retried",
        "started_s",
        "task",
        "timeout_s",
        "tls",
        "url",
        "wire",
    )

    # The client's own, from ``start`` to ``on_done``: a second object for each post would cost more than these slots.
    on_done: "Callable[[PostRequest, PostResult], None]"
    octets: bytes
    started_s: float | None
    """When it got its connection, or one began to be opened for it; None while it waits."""
    retried: bool
    wire: "Wire | None"
    task: "asyncio.Task[Wire] | None"

    def __init__(
        self,
        url: str,
        headers: Sequence[tuple[bytes, bytes]] | bytes,
        body: bytes,
        policy: AddressPolicy,
        connections: int = 16,
        timeout_s: float = 10.0,
        context: object = None,
        tls: EndpointTls | None = None,
    ) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.policy = policy
        self.connections = connections
        self.timeout_s = timeout_s
        self.context = context
        self.tls = tls


class Answer(NamedTuple):
    """A complete answer as it was read; of ``headers`` and ``body`` what ``PostResult`` says."""

    status: int | None
    body: bytes
    headers: Mapping[bytes, bytes]


class Owner(Protocol):
    """The pool that a wire belongs to."""

    known_answers: dict[bytes, Answer]
    """The octets of a whole answer -> what they say; none may change."""

    def answered(self, post: PostRequest, wire: "Wire", answer: Answer, free: bool, truncated: bool) -> None:
        """This is the answer. ``free``: the wire can carry another post; else it is cut."""

    def failed(self, post: PostRequest, wire: "Wire", failure: PostFailure, detail: str) -> None:
        """There is no complete answer; what there is of it is in the wire: ``status``, ``headers`` and ``body``."""

    def lost(self, wire: "Wire", again: PostRequest | None) -> None:
        """The wire is gone. ``again``: a post that a stale wire never carried, to be sent on a fresh one."""


KEPT_HEADERS = frozenset({b"content-length", b"content-type", b"location", b"retry-after", b"transfer-encoding"})


class Wire(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_complete",
        "_keep_alive",
        "_kept_body_bytes",
        "_known",
        "_owner",
        "_parser",
        "_read_bytes",
        "_received",
        "_transport",
        "_used",
        "attached",
        "body",
        "headers",
        "idle_since_s",
        "is_lost",
        "post",
        "status",
    )

    def __init__(self, owner: Owner, read_bytes: int, kept_body_bytes: int) -> None:
        self._owner = owner
        self._known = owner.known_answers
        self._read_bytes = read_bytes
        self._kept_body_bytes = kept_body_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._used = False
        self.post: PostRequest | None = None
        self.idle_since_s = 0.0
        self.attached = False
        self.is_lost = False
        self._forget_answer()

    def _forget_answer(self) -> None:
        self._received = 0
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self._complete = False
        self._keep_alive = False

    # ---- its owner calls these

    def send(self, post: PostRequest) -> None:
        """Carry this post. The wire must be free."""
        self.post = post
        post.wire = self
        self._transport.write(post.octets)

    def cut(self) -> None:
        """Close now. What was being carried is the owner's business."""
        self.post = None
        self._transport.abort()

    # ---- the transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected (and, with TLS, the certificate is verified)."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the endpoint, reset, or cut by us."""
        self.is_lost = True
        post, self.post = self.post, None
        again = None
        if post is not None:
            post.wire = None
            if self._used and not self._received and not post.retried:
                post.retried = True
                again = post
            else:
                self._tell_end(post, exc)
        if self.attached:
            self.attached = False
            self._owner.lost(self, again)

    def data_received(self, data: bytes) -> None:
        """Octets of the answer, in any cut."""
        post = self.post
        if post is None:
            self._transport.abort()  # nobody asked for these
            return
        if self._received == 0:
            answer = self._known.get(data)
            # An answer that came before the request was written leaves the rest of the request in the way.
            if answer is not None and self._transport.get_write_buffer_size() == 0:
                self.post = post.wire = None
                self._used = True
                self._owner.answered(post, self, answer, True, False)
                return
        self._read(post, data)

    def _read(self, post: PostRequest, data: bytes) -> None:
        """What ``data_received`` does with octets that are not known."""
        room = self._read_bytes - self._received
        self._received += len(data)
        try:
            self._parser.feed_data(data if len(data) <= room else data[:room])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # An answer that was whole before the parser stumbled is an answer; the wire is spoilt all the same.
            self._keep_alive = False
            if not self._complete:
                self._fail(post, "the answer is not HTTP/1.1")
                return
        if len(data) > room:
            self._keep_alive = False  # what is not read is in the way
        if self._complete:
            self._end(post, data, truncated=False)
        elif len(data) >= room:
            if self.status is None:
                self._fail(post, f"no complete head within {self._read_bytes} bytes")
            else:
                self._end(post, data, truncated=True)

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

    def _end(self, post: PostRequest, data: bytes, *, truncated: bool) -> None:
        """The answer is read, ``data`` its last octets."""
        self.post = post.wire = None
        answer = Answer(self.status, self.body, self.headers)
        free = self._complete and self._keep_alive and self._transport.get_write_buffer_size() == 0
        if free:
            if self._received == len(data) <= KNOWN_ANSWER_BYTES:
                self._learn(data, answer)
            self._used = True
            self._forget_answer()
        else:
            self._transport.abort()
        self._owner.answered(post, self, answer, free, truncated)

    def _learn(self, data: bytes, answer: Answer) -> None:
        if len(self._known) >= KNOWN_ANSWERS:
            self._known.clear()
        self._known[data] = answer

    def _fail(self, post: PostRequest, detail: str) -> None:
        self.post = post.wire = None
        self._transport.abort()
        self._owner.failed(post, self, PostFailure.BAD_RESPONSE, detail)

    def _tell_end(self, post: PostRequest, exc: Exception | None) -> None:
        """The connection has ended: right for an answer without a length, too early for every other."""
        headers = self.headers
        if self.status is None:
            detail = "closed before an answer" if exc is None else "connection reset before an answer"
        elif exc is None and not _has_an_end(headers):
            self._owner.answered(post, self, Answer(self.status, self.body, headers), False, False)
            return
        else:
            detail = "closed before the answer was complete"
        self._owner.failed(post, self, PostFailure.CLOSED, detail)


def _has_an_end(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the answer says itself where it ends, other than by the end of the connection (RFC 9112 6.3)."""
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        return coding.lower().endswith(b"chunked")
    return b"content-length" in headers
