"""The HTTP server over real sockets: what a well-behaved client sees."""

import asyncio
import contextlib
import gc
import socket
import struct

import pytest
from cryptography import x509

from kvitto.intake.connection import Connection
from kvitto.intake.http import HttpLimits, Reply, Request, Response, Server
from tests.support.clock import FakeClock
from tests.support.rawhttp import RawClient, eventually
from tests.support.tls import Authority

GET = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"


def post(body: bytes, *lines: bytes) -> bytes:
    head = b"".join(line + b"\r\n" for line in lines)
    return b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), head, body)


class Handler:
    """Keeps the requests; answers with what ``make`` says, by default the path and the body."""

    def __init__(self, make=None) -> None:
        self.requests: list[Request] = []
        self.make = make or (lambda request: Response(200, request.raw_path.encode() + request.body, "text/plain"))

    def __call__(self, request: Request):
        self.requests.append(request)
        return self.make(request)


@contextlib.asynccontextmanager
async def serving(make=None, **options):
    handler = Handler(make)
    errors: list[BaseException] = []
    clock = options.pop("clock", None) or FakeClock()
    on_error = options.pop("on_error", lambda request, exc: errors.append(exc))
    server = Server(handler, "127.0.0.1", 0, clock=clock, on_error=on_error, **options)
    await server.start()
    server_and_all = server, handler, errors
    try:
        yield server_and_all
    finally:
        await server.stop(grace_s=0)
        assert server.connections == 0


async def test_a_request_reaches_the_handler_whole():
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        answer = await client.ask(
            b"POST /xms/v1/p%20l/batches/+46?a=%2B&b HTTP/1.1\r\nHost: h\r\nX-One:  1 \r\nx-ONE: 2\r\n"
            b"Content-Length: 3\r\n\r\nabc"
        )
    (request,) = handler.requests
    assert (request.method, request.raw_path, request.query) == ("POST", "/xms/v1/p%20l/batches/+46", "a=%2B&b")
    assert request.path == "/xms/v1/p l/batches/+46"
    assert request.target == "/xms/v1/p%20l/batches/+46?a=%2B&b"
    assert request.headers == {b"host": b"h", b"x-one": b"1, 2", b"content-length": b"3"}
    assert (request.body, request.peer, request.scheme) == (b"abc", "127.0.0.1", "http")
    assert request.arrived_at == FakeClock().now()
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["date"] == "Mon, 09 Mar 2026 14:05:00 GMT"
    assert "server" not in answer.headers
    assert "connection" not in answer.headers


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_the_cut_of_the_octets_does_not_matter(size):
    octets = GET + post(b"first") + post(b"second", b"Expect: 100-continue")[:0] + post(b"x" * 200) + GET
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        for start in range(0, len(octets), size):
            await client.send(octets[start : start + size])
            await asyncio.sleep(0)
        bodies = [(await client.answer()).body for _ in range(4)]
    assert bodies == [b"/a", b"/bfirst", b"/b" + b"x" * 200, b"/a"]
    assert len(handler.requests) == 4


async def test_answers_leave_in_the_order_of_the_requests():
    replies: list[Reply] = []

    def make(request: Request):
        if request.body == b"now":
            return Response(200, b"now")
        replies.append(Reply())
        return replies[-1]

    async with serving(make) as (server, handler, _), RawClient(server.port) as client:
        await client.send(post(b"1") + post(b"now") + post(b"2"))
        await eventually(lambda: len(handler.requests) == 3)
        replies[1].send(Response(200, b"two"))
        replies[0].send(Response(200, b"one"))
        replies[0].send(Response(500, b"a second answer is not sent"))
        assert [(await client.answer()).body for _ in range(3)] == [b"one", b"now", b"two"]
        assert (await client.ask(post(b"now"))).body == b"now"


async def later(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(200, request.body)


def by_future(request: Request) -> asyncio.Future[Response]:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, Response(200, request.body))
    return future


def by_reply(request: Request) -> Reply:
    reply = Reply()
    asyncio.get_running_loop().call_soon(reply.send, Response(200, request.body))
    return reply


def by_reply_at_once(request: Request) -> Reply:
    reply = Reply()
    reply.send(Response(200, request.body))
    return reply


OUTCOMES = [lambda request: Response(200, request.body), later, by_future, by_reply, by_reply_at_once]


@pytest.mark.parametrize("make", OUTCOMES, ids=["response", "coroutine", "future", "reply", "reply-at-once"])
async def test_every_kind_of_outcome_answers_pipelined_requests_in_order(make):
    bodies = [b"%d" % number for number in range(200)]
    async with serving(make) as (server, _, _), RawClient(server.port) as client:
        await client.send(b"".join(post(body) for body in bodies))
        assert [(await client.answer()).body for _ in bodies] == bodies


async def fails_later(request: Request) -> Response:
    await asyncio.sleep(0)
    raise LookupError("secret")


def fails(request: Request) -> Response:
    raise LookupError("secret")


def fails_by_future(request: Request) -> asyncio.Future[Response]:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(LookupError("secret"))
    return future


@pytest.mark.parametrize("make", [fails, fails_later, fails_by_future])
async def test_a_handler_that_raises_gives_an_empty_500_and_is_told_of(make):
    async with serving(make) as (server, _, errors), RawClient(server.port) as client:
        for _ in range(2):
            answer = await client.ask(GET)
            assert (answer.status, answer.body) == (500, b"")
            assert "connection" not in answer.headers
    assert [type(exc) for exc in errors] == [LookupError, LookupError]


async def gives_nothing(request: Request) -> None:
    return None


@pytest.mark.parametrize("make", [lambda request: None, gives_nothing], ids=["none", "coroutine-none"])
async def test_a_handler_that_gives_back_nothing_is_an_error_of_ours(make):
    async with serving(make) as (server, _, errors), RawClient(server.port) as client:
        assert (await client.ask(GET)).status == 500
        assert (await client.ask(GET)).status == 500
    assert [type(exc) for exc in errors] == [TypeError, TypeError]


async def test_a_cancelled_future_is_503():
    def make(request: Request) -> asyncio.Future[Response]:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return future

    async with serving(make) as (server, _, _), RawClient(server.port) as client:
        assert (await client.ask(GET)).status == 503


@pytest.mark.parametrize("header", [("X-A", "1\r\nSet-Cookie: x"), ("X\nA", "1"), ("X-A", "a\0b"), ("X-A", "\r")])
async def test_a_header_that_breaks_the_framing_is_an_error_of_ours(header):
    async with (
        serving(lambda request: Response(200, headers=[header])) as (server, _, errors),
        RawClient(server.port) as client,
    ):
        assert (await client.ask(GET)).status == 500
    assert [type(exc) for exc in errors] == [ValueError]


async def test_headers_of_the_response_are_sent():
    headers = (("Retry-After", "5"), ("WWW-Authenticate", "Bearer"))
    async with (
        serving(lambda request: Response(429, b"{}", "application/json", headers)) as (server, _, _),
        RawClient(server.port) as client,
    ):
        answer = await client.ask(GET)
    assert (answer.status, answer.headers["retry-after"], answer.headers["www-authenticate"]) == (429, "5", "Bearer")


async def test_head_is_answered_without_body_but_with_its_length():
    async with serving(lambda request: Response(200, b"12345")) as (server, _, _), RawClient(server.port) as client:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.answer(head_only=True)).headers["content-length"] == "5"
        assert (await client.ask(GET)).body == b"12345"


async def test_204_has_neither_body_nor_length():
    async with serving(lambda request: Response(204, b"ignored")) as (server, _, _), RawClient(server.port) as client:
        assert "content-length" not in (await client.ask(GET)).headers
        assert (await client.ask(GET)).status == 204


@pytest.mark.parametrize(
    ("octets", "connection"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nHost: h\r\nConnection: close\r\n\r\n", "close"),
    ],
)
async def test_the_connection_closes_when_the_client_asks(octets, connection):
    async with serving() as (server, _, _), RawClient(server.port) as client:
        answer = await client.ask(octets)
        assert (answer.status, answer.headers["connection"]) == (200, connection)
        assert await client.is_closed()


async def test_http_1_0_may_keep_the_connection():
    async with serving() as (server, _, _), RawClient(server.port) as client:
        for _ in range(2):
            answer = await client.ask(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            assert answer.headers["connection"] == "keep-alive"


async def test_what_follows_a_request_that_asks_to_close_is_not_served():
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        await client.send(b"GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + GET)
        assert (await client.answer()).body == b"/1"
        assert await client.is_closed()
    assert len(handler.requests) == 1


async def test_a_client_that_has_ended_its_side_still_gets_its_answers():
    async with serving(later) as (server, _, _), RawClient(server.port) as client:
        await client.send(post(b"1") + post(b"2"))
        client.writer.write_eof()
        assert [(await client.answer()).body for _ in range(2)] == [b"1", b"2"]
        assert await client.is_closed()


async def test_chunked_bodies_are_put_together_and_trailers_are_not_headers():
    octets = (
        b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;name=value\r\nabc\r\n1\r\nd\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n"
    )
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        assert (await client.ask(octets)).body == b"/cabcd"
        assert (await client.ask(GET)).body == b"/a"
    assert b"authorization" not in handler.requests[0].headers


async def test_expect_100_continue_is_answered_before_the_body():
    async with serving() as (server, _, _), RawClient(server.port) as client:
        await client.send(b"POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"/babc"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://host/sms/1/reports?limit=5", "/sms/1/reports", "limit=5"),
        ("HTTP://host:8080/p", "/p", ""),
        ("http://host", "/", ""),
        ("http://host?x", "/", "x"),
        ("*", "*", ""),
        ("/p?", "/p", ""),
        ("/p?a?b", "/p", "a?b"),
        ("//p", "//p", ""),
    ],
)
async def test_forms_of_the_target(target, path, query):
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        method = "OPTIONS" if target == "*" else "GET"
        assert (await client.ask(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())).status == 200
    assert (handler.requests[0].raw_path, handler.requests[0].query) == (path, query)


@pytest.mark.parametrize(
    ("target", "path"),
    [("/sms/a", "/a"), ("/sms", "/"), ("/sms/", "/"), ("/smsx/a", "/smsx/a"), ("/livez", "/livez")],
)
async def test_a_path_prefix_is_taken_off_where_it_is(target, path):
    async with serving(path_prefix="/sms/") as (server, handler, _), RawClient(server.port) as client:
        await client.ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert handler.requests[0].raw_path == path


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer", "scheme"),
    [
        ((), "9.9.9.9", "127.0.0.1", "http"),
        (("127.0.0.0/8",), "9.9.9.9", "9.9.9.9", "https"),
        (("127.0.0.1",), "1.1.1.1, 9.9.9.9", "9.9.9.9", "https"),
        (("127.0.0.1", "9.0.0.0/8"), "1.1.1.1, 8.8.8.8, 9.9.9.9", "8.8.8.8", "https"),
        (("127.0.0.1",), "1.1.1.1, nonsense", "127.0.0.1", "https"),
        (("127.0.0.1",), "2001:db8::1", "2001:db8::1", "https"),
        (("10.0.0.0/8",), "9.9.9.9", "127.0.0.1", "http"),
    ],
)
async def test_forwarded_addresses_are_believed_from_trusted_proxies_only(trusted, forwarded, peer, scheme):
    octets = f"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: https\r\n\r\n".encode()
    async with serving(trusted_proxies=trusted) as (server, handler, _), RawClient(server.port) as client:
        await client.ask(octets)
    assert (handler.requests[0].peer, handler.requests[0].scheme) == (peer, scheme)


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_an_upgrade_is_ignored_and_the_request_served_with_its_body(upgrade):
    # Java's own client asks for h2c with its first request, whatever it posts.
    octets = post(b"abc", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade, b"HTTP2-Settings: AAEA")
    async with serving() as (server, handler, _), RawClient(server.port) as client:
        assert (await client.ask(octets)).body == b"/babc"
        assert [(await client.ask(octets + GET)).body, (await client.answer()).body] == [b"/babc", b"/a"]
    assert len(handler.requests) == 3


async def test_many_upgrades_in_a_row_are_served_one_by_one():
    octets = post(b"abc", b"Connection: Upgrade", b"Upgrade: h2c")
    async with serving() as (server, _, _), RawClient(server.port) as client:
        client.writer.write(octets * 2000)
        for _ in range(2000):
            assert (await client.answer()).body == b"/babc"


async def chunks(*pieces: bytes):
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def test_a_stream_is_sent_in_chunks_and_keeps_its_place_in_the_order():
    def make(request: Request):
        if request.raw_path == "/a":
            return Response(200, b"plain")
        return Response(200, content_type="text/csv", stream=chunks(b"1,", b"", b"2,", b"3"))

    async with serving(make) as (server, _, _), RawClient(server.port) as client:
        await client.send(post(b"") + GET + post(b"") + GET)
        first, second, third, fourth = [await client.answer() for _ in range(4)]
    assert (first.body, first.headers["transfer-encoding"]) == (b"1,2,3", "chunked")
    assert "content-length" not in first.headers
    assert (second.body, third.body, fourth.body) == (b"plain", b"1,2,3", b"plain")


async def test_a_stream_to_http_1_0_ends_with_the_connection():
    async with (
        serving(lambda request: Response(200, stream=chunks(b"1", b"2"))) as (server, _, _),
        RawClient(server.port) as client,
    ):
        answer = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (answer.body, answer.headers["connection"]) == (b"12", "close")


async def test_a_stream_that_fails_cuts_the_connection_in_mid_body():
    async def broken():
        yield b"1"
        raise LookupError("secret")

    async with (
        serving(lambda request: Response(200, stream=broken())) as (server, _, errors),
        RawClient(server.port) as client,
    ):
        await client.send(GET)
        octets = await asyncio.wait_for(client.reader.read(), 5)
    assert octets.endswith(b"\r\n1\r\n1\r\n")
    assert [type(exc) for exc in errors] == [LookupError]


async def test_a_stream_waits_for_a_slow_client_and_ends_when_the_client_goes():
    sent = 0
    ended = asyncio.Event()

    async def endless():
        nonlocal sent
        try:
            while True:
                sent += 1
                yield b"x" * 65536
        finally:
            ended.set()

    async with serving(lambda request: Response(200, stream=endless())) as (server, _, errors):
        async with RawClient(server.port) as client:
            await client.send(GET)
            # The stream must come to rest with a bounded amount in the buffers of both sides.
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 1000
        await asyncio.wait_for(ended.wait(), 5)
        assert errors == []


async def test_a_client_that_goes_while_its_request_is_worked_on_harms_nobody():
    reply = Reply()
    async with serving(lambda request: reply) as (server, handler, errors):
        async with RawClient(server.port) as client:
            await client.send(GET)
            await eventually(lambda: len(handler.requests) == 1)
            linger = struct.pack("ii", 1, 0)  # closing sends a reset
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.writer.transport.abort()
        await eventually(lambda: server.connections == 0)
        reply.send(Response(200, b"late"))
        assert errors == []


async def test_large_answers_arrive_whole():
    body = bytes(range(256)) * 20_000
    async with serving(lambda request: Response(200, body)) as (server, _, _), RawClient(server.port) as client:
        await client.send(GET * 3)
        for _ in range(3):
            assert (await client.answer()).body == body


async def test_tls_is_served(tmp_path):
    authority = Authority(tmp_path)
    server_tls, client_tls = authority.server_context(x509.DNSName("localhost")), authority.client_context()
    async with serving(ssl=server_tls) as (server, handler, _), RawClient(server.port, ssl=client_tls) as client:
        assert (await client.ask(post(b"abc"))).body == b"/babc"
        assert (await client.ask(post(b"d" * 300_000))).body == b"/b" + b"d" * 300_000
    assert handler.requests[0].scheme == "https"


# ---- start and stop


async def test_start_and_stop_bear_early_double_and_late_calls():
    server = Server(Handler(), "127.0.0.1", 0, clock=FakeClock())
    await server.stop()
    await server.start()
    port = server.port
    await server.start()
    assert server.port == port
    async with RawClient(port) as client:
        assert (await client.ask(GET)).status == 200
    await asyncio.gather(server.stop(), server.stop())
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await server.start()
    async with RawClient(server.port) as client:
        assert (await client.ask(GET)).status == 200
    await server.stop()


async def test_stop_closes_idle_connections_and_lets_requests_in_hand_finish():
    reply = Reply()
    async with (
        serving(lambda request: reply if request.body else Response(200)) as (server, handler, _),
        RawClient(server.port) as idle,
        RawClient(server.port) as busy,
    ):
        await idle.ask(GET)
        await busy.send(post(b"work"))
        await eventually(lambda: len(handler.requests) == 2)
        stopping = asyncio.create_task(server.stop(grace_s=5))
        assert await idle.is_closed()
        assert not stopping.done()
        reply.send(Response(201, b"done"))
        answer = await busy.answer()
        assert (answer.status, answer.body, answer.headers["connection"]) == (201, b"done", "close")
        assert await busy.is_closed()
        await asyncio.wait_for(stopping, 5)


async def test_stop_answers_every_request_that_was_read():
    replies: list[Reply] = []

    def make(request: Request) -> Reply:
        replies.append(Reply())
        return replies[-1]

    async with serving(make) as (server, _, _), RawClient(server.port) as client:
        await client.send(post(b"1") + post(b"2"))
        await eventually(lambda: len(replies) == 2)
        stopping = asyncio.create_task(server.stop(grace_s=5))
        await asyncio.sleep(0)
        replies[0].send(Response(200, b"one"))
        replies[1].send(Response(200, b"two"))
        first, second = await client.answer(), await client.answer()
        assert (first.body, first.headers.get("connection")) == (b"one", None)
        assert (second.body, second.headers.get("connection")) == (b"two", "close")
        await asyncio.wait_for(stopping, 5)


async def test_stop_lets_a_request_that_is_half_read_come_in():
    async with serving() as (server, _, _), RawClient(server.port) as client:
        await client.send(post(b"abc")[:-1])
        await eventually(lambda: server.connections == 1)
        await asyncio.sleep(0.02)
        stopping = asyncio.create_task(server.stop(grace_s=5))
        await asyncio.sleep(0.02)
        await client.send(b"c")
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"/babc", "close")
        await asyncio.wait_for(stopping, 5)


async def test_stop_cuts_what_takes_longer_than_the_grace():
    async with serving(lambda request: Reply()) as (server, handler, _), RawClient(server.port) as client:
        await client.send(GET)
        await eventually(lambda: len(handler.requests) == 1)
        await asyncio.wait_for(server.stop(grace_s=0.05), 5)
        assert await client.is_closed()


async def test_the_date_follows_the_clock():
    clock = FakeClock()
    async with serving(clock=clock) as (server, _, _), RawClient(server.port) as client:
        await client.ask(GET)
        clock.advance(61)
        server.sweep()
        assert (await client.ask(GET)).headers["date"] == "Mon, 09 Mar 2026 14:06:01 GMT"


async def test_the_servers_own_timer_sweeps():
    clock = FakeClock()
    async with (
        serving(clock=clock, limits=HttpLimits(sweep_s=0.01)) as (server, _, _),
        RawClient(server.port) as client,
    ):
        await client.ask(GET)
        clock.advance(1000)
        assert await client.is_closed()


async def test_connections_leave_nothing_behind():
    async with serving() as (server, _, _):
        for _ in range(50):
            async with RawClient(server.port) as client:
                await client.ask(GET)
        await eventually(lambda: server.connections == 0)
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing) is Connection]
