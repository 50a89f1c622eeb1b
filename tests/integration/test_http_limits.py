"""The server's bounds and its manners towards bad or hostile octets, over raw sockets (P23)."""

import asyncio
import random
from functools import partial

import pytest

from kvitto.intake.http import HttpLimits, Refusal, Reply, Request, Response, Server
from tests.support.clock import FakeClock
from tests.support.rawhttp import RawClient, eventually

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Serving:
    """A server that answers 200 "ok", keeps its requests and refusals, and has a clock moved by hand."""

    def __init__(self, handler=None, **limits) -> None:
        self.clock = FakeClock()
        self.requests: list[Request] = []
        self.refusals: list[Refusal] = []
        self.errors: list[BaseException] = []
        self._handler = handler or (lambda request: Response(200, b"ok"))
        self.server = Server(
            self._keep,
            "127.0.0.1",
            0,
            clock=self.clock,
            limits=HttpLimits(**limits),
            on_error=lambda request, exc: self.errors.append(exc),
            on_refusal=self._refuse,
        )

    def _keep(self, request: Request):
        self.requests.append(request)
        return self._handler(request)

    def _refuse(self, refusal: Refusal) -> Response:
        self.refusals.append(refusal)
        return Response(refusal.status, b'{"reason":true}', "application/json")

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.server.sweep()

    async def __aenter__(self) -> "Serving":
        await self.server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.stop(grace_s=0)
        assert self.errors == []


def head(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([request_line, *lines, b"", b""])


BAD = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "garbage": b"hello\r\n\r\n",
    "unknown method": head(b"Host: h", request_line=b"BREW / HTTP/1.1"),
    "bare line feeds": b"GET / HTTP/1.1\nHost: h\n\n",
    "target without slash": head(b"Host: h", request_line=b"GET foo HTTP/1.1"),
    "space in the target": head(b"Host: h", request_line=b"GET /a b HTTP/1.1"),
    "octets over 127 in the target": head(b"Host: h", request_line=b"GET /\xc3\xa5 HTTP/1.1"),
    "space before the colon": head(b"Host : h"),
    "folded header": head(b"Host: h", b" folded"),
    "NUL in a header": head(b"Host: h", b"X: a\0b"),
    "header without a colon": head(b"Host: h", b"nonsense"),
    "no host": head(b"X: y"),
    "two hosts": head(b"Host: h", b"Host: i"),
    "length and chunked": head(b"Host: h", b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(b"Host: h", b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n",
    "two lengths": head(b"Host: h", b"Content-Length: 3", b"Content-Length: 4"),
    "the same length twice": head(b"Host: h", b"Content-Length: 3", b"Content-Length: 3"),
    "list of lengths": head(b"Host: h", b"Content-Length: 3, 3"),
    "signed length": head(b"Host: h", b"Content-Length: +3"),
    "negative length": head(b"Host: h", b"Content-Length: -3"),
    "hexadecimal length": head(b"Host: h", b"Content-Length: 0x3"),
    "endless length": head(b"Host: h", b"Content-Length: 99999999999999999999999"),
    "other coding": head(b"Host: h", b"Transfer-Encoding: gzip"),
    "gzip, chunked": head(b"Host: h", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked, gzip": head(b"Host: h", b"Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "chunked twice": head(b"Host: h", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "xchunked": head(b"Host: h", b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked in 1.0": head(b"Transfer-Encoding: chunked", request_line=b"POST / HTTP/1.0") + b"0\r\n\r\n",
    "bad chunk size": head(b"Host: h", b"Transfer-Encoding: chunked") + b"zz\r\n",
    "chunk longer than it says": head(b"Host: h", b"Transfer-Encoding: chunked") + b"1\r\nabc\r\n0\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD.keys())
async def test_bad_http_is_refused_with_400_and_the_connection_closed(octets):
    async with Serving() as serving, RawClient(serving.server.port) as client:
        answer = await client.ask(octets)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert answer.body == b'{"reason":true}'
        assert await client.is_closed()
    assert serving.requests == []
    assert [refusal.status for refusal in serving.refusals] == [400]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (head(b"Host: h", request_line=b"GET / HTTP/2.0"), 505),
        (head(b"Host: h", request_line=b"GET / HTTP/0.9"), 505),
        (b"GET /\r\n\r\n", 505),
        (head(b"Host: h", b"Expect: miracles", b"Content-Length: 1"), 417),
        (head(b"Host: h", request_line=b"CONNECT a:1 HTTP/1.1"), 405),
        (head(b"Host: h", request_line=b"GET /" + b"a" * 100 + b" HTTP/1.1"), 414),
        (b"GET /" + b"a" * 100, 414),
        (head(b"Host: h", b"X: " + b"a" * 1000), 431),
        (head(b"Host: h", *[b"X%d: y" % number for number in range(10)]), 431),
        (head(b"Host: h", *[b"X: y"] * 10), 431),
        (head(b"Host: h", b"Content-Length: 101"), 413),
        (head(b"Host: h", b"Transfer-Encoding: chunked") + b"65\r\n" + b"a" * 101, 413),
        (head(b"Host: h", b"Transfer-Encoding: chunked") + b"1\r\na\r\n" * 101, 413),
        (
            head(b"Host: h", b"Transfer-Encoding: chunked") + b"0\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(20)),
            431,
        ),
    ],
)
async def test_each_bound_has_its_status(octets, status):
    limits = {"target_bytes": 100, "head_bytes": 500, "headers": 10, "body_bytes": 100}
    async with Serving(**limits) as serving, RawClient(serving.server.port) as client:
        answer = await client.ask(octets)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await client.is_closed()
    assert serving.requests == []


async def test_what_is_just_within_the_bounds_is_served():
    limits = {"target_bytes": 100, "head_bytes": 500, "headers": 10, "body_bytes": 100}
    async with Serving(**limits) as serving, RawClient(serving.server.port) as client:
        assert (await client.ask(head(b"Host: h", request_line=b"GET /" + b"a" * 99 + b" HTTP/1.1"))).status == 200
        assert (await client.ask(head(b"Host: h", b"X: " + b"a" * 460))).status == 200
        assert (await client.ask(head(b"Host: h", *[b"X%d: y" % number for number in range(9)]))).status == 200
        assert (await client.ask(head(b"Host: h", b"Content-Length: 100") + b"a" * 100)).status == 200
        chunked = head(b"Host: h", b"Transfer-Encoding: chunked")
        assert (await client.ask(chunked + b"1\r\na\r\n" * 100 + b"0\r\n\r\n")).status == 200
    assert serving.refusals == []


async def test_a_head_that_never_ends_is_refused_at_the_bound():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await client.send(b"GET / HTTP/1.1\r\nX: ")
        sent = 0
        while not serving.refusals and sent < 64:
            await client.send(b"a" * 1024)
            await asyncio.sleep(0.001)
            sent += 1
        assert (await client.answer()).status == 431
    assert sent <= 34


async def test_line_breaks_before_a_request_are_bounded():
    async with Serving(head_bytes=1000) as serving, RawClient(serving.server.port) as client:
        assert (await client.ask(b"\r\n" * 400 + GET)).status == 200
        await client.send(b"\r\n" * 1000)
        assert (await client.answer()).status == 431


async def test_a_large_body_is_refused_before_it_is_sent_and_the_client_sees_why():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        length = b"Content-Length: 9000000"
        await client.send(head(b"Host: h", b"Expect: 100-continue", length, request_line=b"POST / HTTP/1.1"))
        assert (await client.answer()).status == 413
    assert serving.refusals[0].reason == "body over 8388608 bytes"


async def test_a_client_that_sends_its_whole_large_body_first_can_still_read_the_refusal():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await client.send(head(b"Host: h", b"Content-Length: 9000000", request_line=b"POST / HTTP/1.1"))
        await client.send(b"a" * 9_000_000)
        assert (await client.answer()).status == 413
        client.writer.write_eof()
        assert await client.is_closed()
        await eventually(lambda: serving.server.connections == 0)


async def test_a_refused_client_that_goes_on_sending_is_cut():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        assert (await client.ask(b"nonsense\r\n")).status == 400
        serving.pass_time(1)
        assert serving.server.connections == 1
        serving.pass_time(2.5)
        await eventually(lambda: serving.server.connections == 0)


async def test_bodies_of_8_mib_are_read_whole():
    body = random.Random(1).randbytes(8 * 1024 * 1024)
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await client.send(head(b"Host: h", b"Content-Length: %d" % len(body), request_line=b"POST / HTTP/1.1") + body)
        assert (await client.answer()).status == 200
    assert serving.requests[0].body == body


async def test_unfinished_bodies_are_bounded_over_all_connections():
    start = head(b"Host: h", b"Content-Length: 100", request_line=b"POST / HTTP/1.1")
    async with Serving(partial_bytes=150) as serving:
        port = serving.server.port
        async with RawClient(port) as first, RawClient(port) as second, RawClient(port) as third:
            for client in (first, second):
                await client.send(start + b"a")
                await asyncio.sleep(0.02)
            await first.send(b"b" * 90)
            await asyncio.sleep(0.02)
            await second.send(b"b" * 90)
            assert (await second.answer()).status == 503
            await first.send(b"b" * 9)
            assert (await first.answer()).status == 200
            # What was held has been given back: the next one has room again.
            await third.send(start + b"a")
            await asyncio.sleep(0.02)
            await third.send(b"b" * 98)
            await asyncio.sleep(0.02)
            await third.send(b"c")
            assert (await third.answer()).status == 200


# ---- time


async def test_a_connection_without_a_request_is_closed_in_silence():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await eventually(lambda: serving.server.connections == 1)
        serving.pass_time(10)
        assert serving.server.connections == 1
        serving.pass_time(1.5)
        assert await client.is_closed()


async def test_a_head_that_drips_is_refused_with_408():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await client.ask(GET)
        await client.send(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(0.02)
        for _ in range(4):
            serving.pass_time(2.5)
            await client.send(b"X: y\r\n")
        serving.pass_time(2.5)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")


async def test_a_body_that_drips_is_refused_with_408():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        await client.send(head(b"Host: h", b"Content-Length: 100"))
        await asyncio.sleep(0.02)
        for _ in range(6):
            serving.pass_time(5)
            await client.send(b"a")
        assert serving.refusals == []
        serving.pass_time(5)
        assert (await client.answer()).status == 408
        assert await client.is_closed()


async def test_an_idle_connection_is_closed_after_75_s():
    async with Serving() as serving, RawClient(serving.server.port) as client:
        for _ in range(3):
            assert (await client.ask(GET)).status == 200
            serving.pass_time(70)
        assert (await client.ask(GET)).status == 200
        serving.pass_time(77)
        assert await client.is_closed()


async def test_a_request_that_is_worked_on_has_no_time_out_of_the_server():
    reply = Reply()
    async with Serving(lambda request: reply) as serving, RawClient(serving.server.port) as client:
        await client.send(GET)
        await eventually(lambda: len(serving.requests) == 1)
        serving.pass_time(10_000)
        reply.send(Response(200, b"at last"))
        assert (await client.answer()).body == b"at last"
        serving.pass_time(70)
        await client.send(GET)
        assert (await client.answer()).status == 200


async def test_a_client_that_does_not_read_is_cut():
    async with (
        Serving(lambda request: Response(200, b"x" * 30_000_000)) as serving,
        RawClient(serving.server.port) as client,
    ):
        await client.send(GET)
        await eventually(lambda: len(serving.requests) == 1)
        serving.pass_time(20)
        assert serving.server.connections == 1
        serving.pass_time(15)
        await eventually(lambda: serving.server.connections == 0)


async def test_while_a_client_does_not_read_its_next_requests_are_not_worked_on():
    async with (
        Serving(lambda request: Response(200, b"x" * 10_000_000)) as serving,
        RawClient(serving.server.port) as client,
    ):
        client.writer.write(GET * 5000)
        await eventually(lambda: len(serving.requests) >= 1)
        await asyncio.sleep(0.1)
        assert len(serving.requests) < 10


# ---- numbers


async def test_a_connection_above_the_bound_gets_503():
    async with Serving(connections=2) as serving:
        port = serving.server.port
        async with RawClient(port) as first, RawClient(port) as second:
            assert (await first.ask(GET)).status == 200
            assert (await second.ask(GET)).status == 200
            async with RawClient(port) as third:
                answer = await third.answer()
                assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert (await first.ask(GET)).status == 200
        await eventually(lambda: serving.server.connections == 0)
        async with RawClient(port) as fourth:
            assert (await fourth.ask(GET)).status == 200


def at_least(things: list[Reply], count: int) -> bool:
    return len(things) >= count


async def test_pipelined_requests_are_taken_in_bounded_numbers():
    replies: list[Reply] = []

    def make(request: Request) -> Reply:
        replies.append(Reply())
        return replies[-1]

    async with Serving(make, pipelined=4) as serving, RawClient(serving.server.port) as client:
        # Large enough that a slice of the parser holds two.
        octets = head(b"Host: h", b"Content-Length: 8000", request_line=b"POST / HTTP/1.1") + b"a" * 8000
        count = 40
        client.writer.write(octets * count)
        await eventually(lambda: len(replies) >= 4)
        await asyncio.sleep(0.05)
        assert len(replies) == 4
        for number in range(count):
            await eventually(partial(at_least, replies, number + 1))
            replies[number].send(Response(200, b"%d" % number))
            assert (await client.answer()).body == b"%d" % number
    assert len(serving.requests) == count


# ---- fuzz


async def test_no_octets_do_more_than_end_their_own_connection():
    chance = random.Random(2031)
    seeds = [GET, head(b"Host: h", b"Content-Length: 5") + b"hello", *BAD.values()]
    async with Serving(linger_s=0.0) as serving:
        for _ in range(400):
            octets = bytearray(chance.choice(seeds) + chance.choice(seeds))
            for _ in range(chance.randrange(6)):
                at = chance.randrange(len(octets))
                octets[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            async with RawClient(serving.server.port) as client:
                client.writer.write(bytes(octets))
                client.writer.write_eof()
                await asyncio.wait_for(client.reader.read(), 5)
        async with RawClient(serving.server.port) as client:
            assert (await client.ask(GET)).status == 200
        await eventually(lambda: serving.server.connections == 0)
