"""One HTTP/1.1 connection of the server: octets in, requests to the handler, answers out in the order of the requests.

Theory of operation. httptools (llhttp) calls the ``on_...`` methods while it is fed. A connection is in one of the
phases of ``Phase``. A request that is whole goes to the handler at once, and a plain ``Response`` is written without
further objects: that is the hot path. An answer that comes later takes a ``Slot`` in a queue, and answers leave from
the front of that queue only, so a pipelined request never overtakes an earlier one. The parser cannot be stopped in
the middle, so octets are parsed in slices, and requests that follow another one in their slice wait (``_parsed``) until
there is room: fewer than ``HttpLimits.pipelined`` answers are due, and the client takes the ones it has.

Clients send the same head again and again. So when a request arrives whole and alone, the octets of its head are kept
with what the parser made of them (``Head``), and a request that begins with the same octets and has as many more as
its body needs is taken without the parser, which stands between two requests then and need not know. Many clients write
head and body apart: a head alone that is known waits for its body (``_awaited``). Whatever comes otherwise is parsed.

Deadlines are plain numbers that the server's one sweep compares with the clock (``intake.http``). Whatever the client
sends ends in a request, a refusal or a closed connection; nothing is raised to the loop. Knows no routes and no
dialects. Next: ``intake.answering`` (the other half), ``intake.exchange`` (values).
"""

import asyncio
from math import inf
from typing import cast

import httptools

from kvitto.intake.answering import Answering
from kvitto.intake.exchange import Head, Refusal, Request, Response
from kvitto.intake.shared import (
    Phase,
    Shared,
    Slot,
    count_head,
    head_without_upgrade,
    is_in,
    read_forwarded,
    split_target,
)

__all__ = ["Connection"]

# Octets handed to the parser at once. Bounds how far a connection may run past the bound on pipelined requests, and how
# much of a request's head escapes the count when it begins in the slice in which the previous request ended.
SLICE = 16 * 1024

# Small answers written in one go; a larger one (a slice) is written at once, to see whether the client takes it.
MOST_AT_ONCE = 32

# Heads that a connection has kept in a row without using one: a client that sends another head each time (a trace id)
# must not push out everybody else's.
NOVEL_HEADS = 32

METHODS = {name.encode(): name for name in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")}

# Read for every request: a name of the module costs half of what a member of the class does.
IDLE, HEAD, BODY, DEAF = Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.DEAF


class _RefusedError(Exception):
    """Stops the parser from inside one of its calls; the refusal itself is kept in the connection."""


class Connection(Answering):
    """See the module. ``deadline_s`` and ``write_deadline_s``: instants of the monotonic clock, for the sweep."""

    __slots__ = (
        "_awaited",
        "_body",
        "_fed",
        "_fields",
        "_head_octets",
        "_headers",
        "_http10",
        "_keep_alive",
        "_method",
        "_novel",
        "_octets",
        "_parser",
        "_peer",
        "_repeated",
        "_served",
        "_target",
        "_trusted",
        "_upgrade",
    )

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._parser = httptools.HttpRequestParser(self)
        self._http10 = False
        self._upgrade = False
        self._keep_alive = True
        self._method = b""
        self._novel = 0
        self._awaited: Head | None = None  # a known head, read without the parser, whose body has not come
        self._octets = b""  # with which the request began, up to the end of its head when that came at once
        self._fed = 0  # how many octets have come since it began
        self._served = 0  # requests that the parser has given us
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._fields: dict[bytes, bytes] = {}
        self._repeated = 0
        self._head_octets = 0
        self._body: bytes | bytearray | None = None
        self._peer = ""
        self._trusted = False

    # ---- the transport calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected (and, with TLS, shaken hands)."""
        shared = self._shared
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        self._peer = peername[0] if isinstance(peername, tuple) else ""
        self._trusted = bool(shared.trusted) and is_in(self._peer, shared.trusted)
        self.deadline_s = shared.now_s + shared.limits.head_timeout_s
        shared.connections.add(self)
        if len(shared.connections) > shared.limits.connections:
            # Cut without lingering: a flood should cost as little as it can.
            refusal = Refusal(status=503, reason=f"more than {shared.limits.connections} connections", target="")
            self._transport.write(shared.writer.render(shared.refuse(refusal), None, close=True))
            self._phase = DEAF
            self._transport.close()
        elif shared.stopping:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; what handlers still work on will find nobody to answer."""
        self._phase = DEAF
        self._backlog.clear()
        self._release_body()
        unsent, self._sending = self._sending, []
        for slot in self._queue:
            if slot.streaming is not None:
                slot.streaming.cancel()
            if slot.response is not None and slot.response.on_sent is not None:
                unsent.append(slot.response.on_sent)
        self._tell_sent(unsent, False)
        self._queue.clear()
        self._parsed.clear()
        self.resume_writing()
        connections = self._shared.connections
        connections.discard(self)
        if not connections:
            self._shared.when_empty()

    def data_received(self, data: bytes) -> None:
        """Octets from the client, in any cut."""
        phase = self._phase
        if phase is IDLE and not self._backlog:
            end = data.find(b"\r\n\r\n") + 4
            self._octets = octets = data[:end]
            self._fed = len(data)
            head = self._shared.heads.known.get(octets)
            if head is not None:
                if len(data) - end == head.body_bytes:
                    self._receive(head, data[end:])
                    return
                if len(data) == end:
                    self._await_body(head)
                    return
        elif phase is DEAF:
            return
        else:
            self._fed += len(data)
            if self._awaited is not None:
                head, self._awaited = self._awaited, None
                self._phase = IDLE
                if len(data) == head.body_bytes:
                    self._receive(head, data)
                    return
                data = self._octets + data
        if len(data) <= SLICE and not self._backlog:
            served = self._served
            self._feed(data)
            if self._served == served + 1 and self._phase is IDLE and self._octets:
                self._keep_head()
            if self._queue or self._parsed:
                self._balance()
        else:
            self._octets = b""
            self._backlog += data
            self._balance()
        self._flush()

    def _receive(self, head: Head, body: bytes) -> None:
        """A request whose head is known is here, whole: what ``_feed`` does for all others."""
        shared = self._shared
        self._novel = self._head_octets = 0
        request = Request(
            head.method,
            head.target,
            head.raw_path,
            head.query,
            head.headers,
            body,
            self._peer,
            shared.scheme,
            shared.clock.now(),
            False,
            True,
            head,
        )
        if self._trusted:
            read_forwarded(request, shared.trusted)
        if self._queue or self._parsed:
            self.deadline_s = inf
            self._parsed.append(request)
            self._balance()
        else:
            self._hand_over(request)
        if self._out:
            self._flush()

    def _await_body(self, head: Head) -> None:
        """A known head has come without its body: as after ``on_headers_complete``, but the parser knows nothing."""
        self._awaited = head
        self._phase = BODY
        self.deadline_s = self._shared.now_s + self._shared.limits.body_timeout_s

    def _keep_head(self) -> None:
        """Keep how the one request that has just been read whole began, unless it is a special one."""
        shared = self._shared
        body_bytes = self._fed - len(self._octets)
        if self._novel < NOVEL_HEADS and not self._http10 and shared.limits.pipelined > 1:
            self._novel += 1
            target = self._target.decode("latin-1")
            path, query = split_target(target, shared.path_prefix)
            shared.heads.keep(self._octets, Head(self._name_method(), target, path, query, self._fields, body_bytes))

    def _name_method(self) -> str:
        return METHODS.get(self._method) or self._method.decode("latin-1")

    def eof_received(self) -> bool:
        """The client has sent its last octet. It may still want its answers (``printf ... | nc``)."""
        self._ended = self._deserted = True
        waiting = self._queue or self._parsed or self._backlog or self._sending
        return bool(waiting) and not self._lingering and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client takes its answers too slowly."""
        self.write_deadline_s = self._shared.now_s + self._shared.limits.write_timeout_s
        if self._writable is None:
            self._writable = self._shared.loop.create_future()
        self._balance()

    def resume_writing(self) -> None:
        """The client has taken what was waiting."""
        self.write_deadline_s = inf
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            if self._sending:
                self._look_sent()
            self._go_on()

    # ---- the sweep and the server call these

    def expire(self) -> None:
        """A deadline has passed."""
        if self._lingering or self.write_deadline_s < inf:
            self._transport.abort()
        elif self._phase is HEAD:
            self._refuse(408, f"head not complete within {self._shared.limits.head_timeout_s:g} s")
        elif self._phase is BODY:
            self._refuse(408, f"body not complete within {self._shared.limits.body_timeout_s:g} s")
        else:
            self.deadline_s = inf
            self._transport.close()

    def close_if_idle(self) -> None:
        """The server stops: a connection without a request in hand may go."""
        if self._phase is IDLE and not (self._queue or self._parsed or self._backlog or self._sending):
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection now."""
        self._transport.abort()

    # ---- the parser calls these

    def on_message_begin(self) -> None:
        """The first octet of a request."""
        if self._phase is DEAF:
            raise _RefusedError
        self._phase = HEAD
        self._target = b""
        self._headers = {}
        self._repeated = 0
        self._body = None
        self.deadline_s = self._shared.now_s + self._shared.limits.head_timeout_s

    def on_url(self, target: bytes) -> None:
        """The target, or a piece of it."""
        self._target += target
        if len(self._target) > self._shared.limits.target_bytes:
            self._stop_parser(414, f"target over {self._shared.limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field; after the body a trailer field, which lands in a dictionary that nobody reads."""
        headers = self._headers
        name = name.lower()
        if name in headers:
            self._repeated += 1
            if self._repeated > self._shared.limits.headers:
                self._stop_parser(431, f"more than {self._shared.limits.headers} header fields")
            headers[name] += b", " + value.rstrip()
        else:
            headers[name] = value.rstrip()  # llhttp trims the front only

    def on_headers_complete(self) -> None:
        """The head is whole: what can be refused without the body is refused here."""
        headers, limits = self._headers, self._shared.limits
        if self._head_octets > limits.head_bytes - SLICE and count_head(self._target, headers) > limits.head_bytes:
            self._stop_parser(431, f"head over {limits.head_bytes} bytes")
        if len(headers) + self._repeated > limits.headers:
            self._stop_parser(431, f"more than {limits.headers} header fields")
        self._fields, self._headers = headers, {}
        self._keep_alive = self._parser.should_keep_alive()
        self._http10 = False
        if b"connection" in headers or not self._keep_alive:
            self._read_version()  # everybody else speaks HTTP/1.1, or the connection would not be kept
        length = headers.get(b"content-length")
        if b"transfer-encoding" in headers:
            # What two programs could read differently is not read at all (RFC 9112 section 6.1).
            coding = headers[b"transfer-encoding"].lower()
            if length is not None or coding != b"chunked" or self._http10:
                self._stop_parser(400, "ambiguous body length")
        elif length is not None and int(length) > limits.body_bytes:
            self._stop_parser(413, f"body over {limits.body_bytes} bytes")
        host = headers.get(b"host")
        if (host is None and not self._http10) or (host is not None and b"," in host):
            self._stop_parser(400, "one Host field is needed")
        self._phase = BODY
        self.deadline_s = self._shared.now_s + limits.body_timeout_s
        self._method = self._parser.get_method()
        self._upgrade = self._method == b"CONNECT" or (b"upgrade" in headers and self._parser.should_upgrade())
        if b"expect" in headers and not self._http10:
            self._expect(headers[b"expect"])

    def _read_version(self) -> None:
        version = self._parser.get_http_version()
        self._http10 = version == "1.0"
        if version != "1.1" and version != "1.0":
            self._stop_parser(505, f"HTTP/{version}; 1.1 and 1.0 are served")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        body, shared = self._body, self._shared
        if body is None:
            self._body = data
            if len(data) > shared.limits.body_bytes:
                self._stop_parser(413, f"body over {shared.limits.body_bytes} bytes")
            return
        if not isinstance(body, bytearray):
            # A body of many pieces grows in place: adding bytes to bytes would copy it each time.
            shared.partial_bytes += len(body)
            self._body = body = bytearray(body)
        body += data
        shared.partial_bytes += len(data)
        if len(body) > shared.limits.body_bytes:
            self._stop_parser(413, f"body over {shared.limits.body_bytes} bytes")
        if shared.partial_bytes > shared.limits.partial_bytes:
            self._stop_parser(503, f"over {shared.limits.partial_bytes} bytes of unfinished bodies")

    def _release_body(self) -> bytes:
        body = self._body
        self._body = None
        if isinstance(body, bytearray):
            self._shared.partial_bytes -= len(body)
        return b"" if body is None else bytes(body)

    def on_message_complete(self) -> None:
        """The request is whole: hand it over."""
        if self._upgrade:
            return  # llhttp skips the body of these; see _ignore_upgrade
        self._head_octets = 0
        self._served += 1
        if self._keep_alive:
            self._phase = IDLE
        else:
            self._phase = DEAF
            self.deadline_s = inf
        request = self._build()
        if self._out or self._parsed or self._queue:
            self._parsed.append(request)  # more may follow in this slice: one after the other, while there is room
        else:
            self._hand_over(request)

    # ---- reading

    def _feed(self, data: bytes | bytearray) -> None:
        """Give one slice to the parser, and see to what stopped it."""
        if self._phase is not BODY:
            self._head_octets += len(data)
        busy, self._busy = self._busy, True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._busy = busy
            self._ignore_upgrade(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserError:
            self._busy = busy
            refusal = self._refusal
            if self._phase is not DEAF:  # else: octets after a request that asked to close, nobody's
                self._refuse(*(400, "not HTTP/1.1") if refusal is None else (refusal.status, refusal.reason))
        else:
            self._busy = busy
            limits = self._shared.limits
            if self._head_octets > limits.head_bytes and self._phase in (HEAD, IDLE):
                self._refuse(431, f"head over {limits.head_bytes} bytes")
            elif len(self._headers) > limits.headers and self._phase is not DEAF:
                self._refuse(431, f"more than {limits.headers} header fields")

    def _balance(self) -> None:
        """Parse what waits while there is room; then read from the client, or stop reading, to match."""
        backlog = self._backlog
        busy, self._busy = self._busy, True
        self._work()
        while backlog and not self._parsed and self._phase is not DEAF and self._has_room():
            piece = backlog[:SLICE]
            del backlog[:SLICE]
            self._feed(piece)
            self._work()
        self._busy = busy
        if self._phase is DEAF:
            backlog.clear()
        want = self._phase is DEAF or not (backlog or self._parsed or not self._has_room())
        if want is not self._reading and not self._transport.is_closing():
            self._reading = want
            if want:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _work(self) -> None:
        """Hand over what was read, in order, while there is room; large answers are written before the next request."""
        while self._parsed and self._has_room():
            item = self._parsed.popleft()
            if isinstance(item, Response):
                self._enqueue(Slot(None, item))
                self._advance()
            else:
                self._hand_over(item)
            if self._out and (len(self._out) >= MOST_AT_ONCE or len(self._out[-1]) >= SLICE):
                self._flush()

    def _has_room(self) -> bool:
        limits = self._shared.limits
        return len(self._queue) < limits.pipelined and self._held <= limits.body_bytes and self._writable is None

    def _expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            self._stop_parser(417, "only 100-continue can be expected")
        if not self._queue:
            # Behind unanswered requests the client has to do without: it sends the body after a while anyway.
            self._out.append(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Serve an Upgrade request as if it had not asked (RFC 9110 section 7.8).

        Java's own client asks for h2c by default. llhttp has stopped after the head, so the request is read again
        without the field, by a parser of its own.
        """
        if self._method == b"CONNECT":
            self._refuse(405, "no tunnels here")
            return
        head = head_without_upgrade(self._method, self._target, self._fields)
        self._parser = httptools.HttpRequestParser(self)
        self._phase = IDLE
        self._head_octets = 0
        self._backlog[:0] = head + rest
        self._go_on()

    def _build(self) -> Request:
        shared = self._shared
        target = self._target.decode("latin-1")
        path, query = split_target(target, shared.path_prefix)
        request = Request(
            self._name_method(),
            target,
            path,
            query,
            self._fields,
            self._release_body() if self._body is not None else b"",
            self._peer,
            shared.scheme,
            shared.clock.now(),
            self._http10,
            self._keep_alive,
        )
        if self._trusted:
            read_forwarded(request, self._shared.trusted)
        return request

    # ---- refusing

    def _stop_parser(self, status: int, reason: str) -> None:
        self._refusal = Refusal(status=status, reason=reason, target="")
        raise _RefusedError

    def _refuse(self, status: int, reason: str) -> None:
        """Answer with an error after all that waits, then close. Nothing more is read."""
        refusal = Refusal(status=status, reason=reason, target=self._target.decode("latin-1"))
        self._refusal = refusal
        self._phase = DEAF
        self.deadline_s = inf
        self._backlog.clear()
        self._release_body()
        self._parsed.append(self._shared.refuse(refusal))
        self._go_on()
