"""Heads that the server has parsed once: when they are used again, and that it makes no difference to anybody."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvitto.intake.connection import NOVEL_HEADS, Connection
from kvitto.intake.exchange import Head, HttpLimits, Reply, Request, Response
from kvitto.intake.heads import MOST_HEAD_BYTES, MOST_HEADS, Heads
from kvitto.intake.shared import Shared
from tests.support.clock import FakeClock


class Wire:
    """The transport's side: keeps what is written."""

    def __init__(self):
        self.written = b""
        self.closed = False

    def write(self, octets):
        self.written += octets

    def get_extra_info(self, name):
        return ("192.0.2.7", 4000)

    def is_closing(self):
        return self.closed

    def can_write_eof(self):
        return True

    def close(self):
        self.closed = True

    def write_eof(self):
        self.closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Line:
    """One connection, fed by hand. ``later``: replies wait for ``reply``."""

    def __init__(self, shared: Shared | None = None, *, later=False, **limits):
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self._later = later
        self.shared = shared or Shared(
            clock=FakeClock(),
            handler=self._handle,
            limits=HttpLimits(**limits),
            loop=cast(asyncio.AbstractEventLoop, None),
            on_error=lambda request, exc: pytest.fail(repr(exc)),
            path_prefix="/sms",
            refuse=lambda refusal: Response(refusal.status),
            scheme="http",
            trusted=(),
            when_empty=lambda: None,
        )
        self.wire: Any = Wire()
        self.connection = Connection(self.shared)
        self.connection.connection_made(cast(asyncio.BaseTransport, self.wire))

    def _handle(self, request: Request):
        self.requests.append(request)
        if self._later:
            self.replies.append(Reply())
            return self.replies[-1]
        return Response(200, request.method.encode() + b" " + request.body, "text/plain")

    def feed(self, *pieces: bytes):
        for piece in pieces:
            self.connection.data_received(piece)

    @property
    def seen(self):
        return [
            (one.method, one.target, one.raw_path, one.query, one.headers, one.body, one.peer, one.http10)
            for one in self.requests
        ]


def request(body: bytes = b"", *lines: bytes, method: bytes = b"POST", target: bytes = b"/sms/a?x=1") -> bytes:
    fields = [b"Host: h", *lines] + ([b"Content-Length: %d" % len(body)] if body else [])
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), *fields, b"", body])


def test_the_second_request_with_a_head_shares_what_was_read_of_the_first():
    line = Line()
    line.feed(request(b"one"), request(b"two"), request(b"six"))
    first, second, third = line.requests
    assert first.head is None
    assert second.head is third.head is not None
    assert line.seen[1] == ("POST", "/sms/a?x=1", "/a", "x=1", first.headers, b"two", "192.0.2.7", False)
    assert line.wire.written.count(b"HTTP/1.1 200 OK") == 3
    assert line.wire.written.endswith(b"\r\n\r\nPOST six")


def test_another_connection_finds_the_same_head():
    line = Line()
    line.feed(request(b"one"))
    other = Line(line.shared)
    other.feed(request(b"two"))
    assert line.requests[1].head is not None


REQUESTS = st.sampled_from(
    [
        request(b"one"),
        request(b"two"),
        request(b"three"),
        request(method=b"GET"),
        request(method=b"GET", target=b"/b"),
        request(method=b"HEAD"),
        request(b"one", b"Connection: keep-alive"),
        request(b"one", b"Expect: 100-continue"),
        request(b"\r\n\r\n"),
        request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        request(b"one", b"Upgrade: h2c", b"Connection: Upgrade"),
        b"\r\n" + request(b"one"),
        b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nX: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n",
    ]
)


@given(st.lists(REQUESTS, min_size=1, max_size=8), st.lists(st.integers(1, 400), max_size=12))
@settings(deadline=None, max_examples=300)
def test_however_the_octets_are_cut_the_same_requests_come_out(requests, cuts):
    whole, single, cut = Line(), Line(), Line()
    whole.feed(*requests)
    octets = b"".join(requests)
    single.feed(*[octets[at : at + 1] for at in range(len(octets))])
    for size in cuts:
        if octets:
            cut.feed(octets[:size])
            octets = octets[size:]
    if octets:
        cut.feed(octets)
    assert whole.seen == single.seen == cut.seen
    assert len(whole.seen) == len(requests)
    assert all(one.head is None for one in single.requests)
    strip = [line.wire.written.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"") for line in (whole, single, cut)]
    assert strip[0] == strip[1] == strip[2]


def test_a_known_head_alone_waits_for_its_body():
    line = Line()
    head, _, body = request(b"three").partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    line.feed(head, body, head, body, head, body[:2], body[2:], head, body + head, body)
    assert [one.body for one in line.requests] == [b"three"] * 5
    assert [one.head is not None for one in line.requests] == [False, True, False, False, False]
    line.feed(head, body)
    assert line.requests[-1].head is not None


def test_a_body_that_never_comes_to_a_known_head_is_408():
    line = Line()
    octets = request(b"three")
    line.feed(octets, octets[:-5])
    assert line.connection.deadline_s == line.shared.now_s + line.shared.limits.body_timeout_s
    line.connection.expire()
    line.feed(b"three", octets)
    assert len(line.requests) == 1
    assert b"HTTP/1.1 408 " in line.wire.written
    assert line.wire.closed


def test_a_large_body_behind_a_known_head_may_come_as_it_likes():
    line = Line()
    octets = request(b"x" * 40_000)
    end = octets.index(b"\r\n\r\n") + 4
    line.feed(octets[:end], *[octets[at : at + 10_000] for at in range(end, len(octets), 10_000)])
    assert len(line.shared.heads.known) == 1
    line.feed(octets, octets[:end], octets[end:], octets[:end], octets[end : end + 30_000], octets[end + 30_000 :])
    assert [len(one.body) for one in line.requests] == [40_000] * 4
    assert [one.head is not None for one in line.requests] == [False, True, True, False]


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_known_head_whose_body_comes_in_pieces_makes_one_request(cut):
    line = Line()
    octets = request(b"three")
    line.feed(octets, octets[:-cut], octets[-cut:])
    assert [one.body for one in line.requests] == [b"three"] * 2


def test_two_requests_in_one_piece_are_two_though_the_first_head_is_known():
    line = Line()
    line.feed(request(b"one"), request(b"two") + request(b"six"))
    assert [one.body for one in line.requests] == [b"one", b"two", b"six"]


@pytest.mark.parametrize(
    "octets",
    [
        request(method=b"HEAD"),
        request(b"one", b"Expect: 100-continue"),
        b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        request(b"one", b"X: " + b"x" * MOST_HEAD_BYTES),
        request(b"one") + request(b"two"),
    ],
)
def test_what_is_not_a_plain_request_alone_is_not_kept(octets):
    line = Line()
    line.feed(octets)
    assert line.requests
    assert not line.shared.heads.known


def test_a_request_that_closes_is_the_last_also_when_its_head_is_known_elsewhere():
    line = Line()
    line.feed(request(b"one", b"Connection: close"))
    assert line.wire.closed
    assert not line.shared.heads.known


def test_answers_keep_the_order_of_requests_when_later_heads_are_known():
    line = Line(later=True)
    line.feed(request(b"one"))
    line.replies[0].send(Response(200, b"0"))
    line.feed(request(b"two"), request(b"six"), request(b"ten"))
    first, second, third = line.replies[1:]
    third.send(Response(200, b"3"))
    second.send(Response(200, b"2"))
    assert line.wire.written.endswith(b"\r\n\r\n0")
    first.send(Response(200, b"1"))
    assert [part[-1:] for part in line.wire.written.split(b"HTTP/1.1 ")[1:]] == [b"0", b"1", b"2", b"3"]


def test_pipelined_requests_wait_for_room_though_their_heads_are_known():
    line = Line(later=True, pipelined=2)
    line.feed(request(b"one"))
    line.replies[0].send(Response(200))
    line.feed(*[request(b"two")] * 4)
    assert len(line.requests) == 3
    for reply in list(line.replies[1:]):
        reply.send(Response(200))
    assert len(line.requests) == 5


def test_a_client_with_a_new_head_each_time_stops_filling_the_memory():
    line = Line()
    for number in range(NOVEL_HEADS * 2):
        line.feed(request(b"one", b"Traceparent: %d" % number))
    assert len(line.shared.heads.known) == NOVEL_HEADS
    line.feed(request(b"one", b"Traceparent: 1"), request(b"one", b"Traceparent: new"))
    assert len(line.shared.heads.known) == NOVEL_HEADS + 1


def test_the_memory_has_a_bound():
    heads = Heads()
    for number in range(MOST_HEADS + 1):
        heads.keep(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number, Head("GET", "/", "/", "", {}, 0))
    assert len(heads.known) == 1


def test_a_head_whose_end_two_readers_could_see_in_two_places_is_not_kept():
    heads = Heads()
    plain = Head("GET", "/", "/", "", {}, 0)
    heads.keep(b"GET / HTTP/1.1\nHost: h\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", plain)
    heads.keep(b"GET / HTTP/1.1\r\nHost: h", plain)
    heads.keep(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", plain)
    assert not heads.known


def test_a_kept_connection_closes_after_the_answer_when_the_server_stops():
    line = Line(later=True)
    line.feed(request(b"one"))
    line.replies[0].send(Response(200))
    line.feed(request(b"two"))
    line.shared.stopping = True
    line.replies[1].send(Response(200))
    assert b"Connection: close" in line.wire.written
    assert line.wire.closed


def test_headers_of_an_answer_are_written_also_when_the_head_is_known():
    line = Line(later=True)
    line.feed(request(b"one"))
    line.replies[0].send(Response(200))
    line.feed(request(b"two"))
    line.replies[1].send(Response(429, headers=(("Retry-After", "1"),)))
    assert b"\r\nRetry-After: 1\r\n" in line.wire.written
    line.feed(request(b"two"))
    line.replies[2].send(Response(204))
    assert line.wire.written.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in line.wire.written.rpartition(b"HTTP/1.1 ")[2]
