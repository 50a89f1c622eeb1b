"""What endpoints may answer, and what becomes of it: always one result, never an exception (P11)."""

import asyncio
import random
import socket
import struct

import pytest

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits
from kvitto.core.clock import SystemClock
from tests.support.rawhttp import Endpoint, eventually, read_request

LOCAL = AddressPolicy.of(["127.0.0.0/8"])
PATIENCE_S = 0.4

CLOSED, BAD, TIMEOUT = PostFailure.CLOSED, PostFailure.BAD_RESPONSE, PostFailure.TIMEOUT

# name: (octets, what the endpoint does then, status, failure, body, connection kept)
# "keep": waits for the next request; "close": ends the connection; "reset": with a reset; "hang": neither.
ANSWERS: dict[str, tuple[bytes, str, int | None, PostFailure | None, bytes, bool]] = {
    "200 with a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "keep", 200, None, b"OK", True),
    "200 empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "keep", 200, None, b"", True),
    "200 without a phrase": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "keep", 200, None, b"", True),
    "200 chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1;x=y\r\nK\r\n0\r\nT: u\r\n\r\n",
        "keep",
        200,
        None,
        b"OK",
        True,
    ),
    "200 to the end": (b"HTTP/1.1 200 OK\r\n\r\nOK", "close", 200, None, b"OK", False),
    "200 of nothing to the end": (b"HTTP/1.1 200 OK\r\n\r\n", "close", 200, None, b"", False),
    "200 and close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
        "close",
        200,
        None,
        b"OK",
        False,
    ),
    "200 and close, but open": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
        "hang",
        200,
        None,
        b"OK",
        False,
    ),
    "200 of HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nOK", "close", 200, None, b"OK", False),
    "200 of HTTP/1.0 kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK",
        "keep",
        200,
        None,
        b"OK",
        True,
    ),
    "201": (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "keep", 201, None, b"", True),
    "202": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "keep", 202, None, b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "keep", 204, None, b"", True),
    "301": (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "keep", 301, None, b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "keep", 304, None, b"", True),
    "400": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}", "keep", 400, None, b"{}", True),
    "401": (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "keep", 401, None, b"", True),
    "404": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "keep", 404, None, b"", True),
    "410": (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "keep", 410, None, b"", True),
    "429": (b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", "keep", 429, None, b"", True),
    "500": (b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", "keep", 500, None, b"oops", True),
    "503": (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "keep", 503, None, b"", True),
    "999": (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "keep", 999, None, b"", True),
    "100 first": (
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        "keep",
        200,
        None,
        b"OK",
        True,
    ),
    "103 first": (
        b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "keep",
        204,
        None,
        b"",
        True,
    ),
    "answer and garbage": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKgarbage",
        "hang",
        200,
        None,
        b"OK",
        False,
    ),
    "two answers": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        "hang",
        200,
        None,
        b"OK",
        False,
    ),
    "no octet, close": (b"", "close", None, CLOSED, b"", False),
    "no octet, reset": (b"", "reset", None, CLOSED, b"", False),
    "no octet": (b"", "hang", None, TIMEOUT, b"", False),
    "half a status line, close": (b"HTTP/1.1 20", "close", None, CLOSED, b"", False),
    "half a status line": (b"HTTP/1.1 20", "hang", None, TIMEOUT, b"", False),
    "half a head, close": (b"HTTP/1.1 200 OK\r\nContent-", "close", None, CLOSED, b"", False),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "hang", None, TIMEOUT, b"", False),
    "only 100": (b"HTTP/1.1 100 Continue\r\n\r\n", "close", None, CLOSED, b"", False),
    "half a body, close": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "close", 200, CLOSED, b"OK", False),
    "half a body, reset": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "reset", 200, CLOSED, b"OK", False),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", "hang", 200, TIMEOUT, b"OK", False),
    "body to the end, reset": (b"HTTP/1.1 200 OK\r\n\r\nOK", "reset", 200, CLOSED, b"OK", False),
    "body to the end that does not end": (b"HTTP/1.1 200 OK\r\n\r\nOK", "hang", 200, TIMEOUT, b"OK", False),
    "half a chunk, close": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nOK",
        "close",
        200,
        CLOSED,
        b"OK",
        False,
    ),
    "no last chunk, close": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        "close",
        200,
        CLOSED,
        b"OK",
        False,
    ),
    "no last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        "hang",
        200,
        TIMEOUT,
        b"OK",
        False,
    ),
    "bad chunk size": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\nzz\r\n",
        "hang",
        200,
        BAD,
        b"OK",
        False,
    ),
    "chunk too long": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nOK\r\n0\r\n\r\n",
        "hang",
        200,
        BAD,
        b"O",
        False,
    ),
    "not HTTP": (b"220 mail.example ESMTP\r\n", "hang", None, BAD, b"", False),
    "HTML alone": (b"<html><body>200 OK</body></html>", "close", None, BAD, b"", False),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "hang", None, BAD, b"", False),
    "NUL": (b"\0" * 100, "hang", None, BAD, b"", False),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "hang", None, BAD, b"", False),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", "hang", None, BAD, b"", False),
    "a status of letters": (b"HTTP/1.1 abc OK\r\n\r\n", "hang", None, BAD, b"", False),
    "a header without a colon": (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "hang", None, BAD, b"", False),
    "a negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "hang", None, BAD, b"", False),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nOK",
        "hang",
        None,
        BAD,
        b"",
        False,
    ),
    "length and chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "hang",
        None,
        BAD,
        b"",
        False,
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "hang",
        None,
        BAD,
        b"",
        False,
    ),
    "endless status line": (b"HTTP/1.1 200 " + b"x" * 100_000, "hang", None, BAD, b"", False),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyy\r\n" * 10_000, "hang", None, BAD, b"", False),
    "endless interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "hang", None, BAD, b"", False),
}


def play(octets: bytes, then: str):
    async def script(reader, writer):
        while await read_request(reader):
            writer.write(octets)
            if then == "hang":
                await reader.read()
            if then == "reset":
                await writer.drain()
                await asyncio.sleep(0.02)  # the octets are to arrive before the reset overtakes them
                reset(writer)
            if then != "keep":
                return

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def make_client() -> CallbackClient:
    return CallbackClient(clock=SystemClock(), limits=PostLimits(sweep_s=0.02))


@pytest.mark.parametrize(("octets", "then", "status", "failure", "body", "kept"), ANSWERS.values(), ids=[*ANSWERS])
async def test_each_answer_has_its_result(octets, then, status, failure, body, kept):
    client = make_client()
    async with Endpoint(play(octets, then)) as endpoint:
        for _ in range(2):
            async with asyncio.timeout(10):
                result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL, timeout_s=PATIENCE_S)
            assert (result.status, result.failure, result.body) == (status, failure, body)
            assert bool(result.detail) is (failure is not None)
            assert not result.truncated
        assert endpoint.connections == (1 if kept else 2)
        await client.stop()
        await eventually(lambda: client.connections == 0)


async def test_answers_in_single_octets_are_read_alike():
    octets = ANSWERS["200 chunked"][0]

    async def drip(reader, writer):
        while await read_request(reader):
            for at in range(len(octets)):
                writer.write(octets[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)

    client = make_client()
    async with Endpoint(drip) as endpoint:
        for _ in range(2):
            result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
            assert (result.status, result.body) == (200, b"OK")
        assert endpoint.connections == 1
        await client.stop()


async def test_the_headers_that_matter_are_kept():
    lines = [
        b"HTTP/1.1 429 Slow",
        b"Retry-After: 7 ",
        b"Set-Cookie: x",
        b"Content-Type: text/plain",
        b"Content-Length: 0",
    ]
    octets = b"\r\n".join([*lines, b"", b""])
    client = make_client()
    async with Endpoint(play(octets, "keep")) as endpoint:
        result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
        await client.stop()
    assert result.headers == {b"retry-after": b"7", b"content-type": b"text/plain", b"content-length": b"0"}


async def test_a_long_body_is_read_whole_and_its_beginning_kept():
    body = random.Random(1).randbytes(60_000)
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    client = make_client()
    async with Endpoint(play(octets, "keep")) as endpoint:
        for _ in range(2):
            result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
            assert (result.status, result.failure, result.body, result.truncated) == (200, None, body[:4096], False)
        assert endpoint.connections == 1
        await client.stop()


@pytest.mark.parametrize("head", [b"Content-Length: 100000000\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
async def test_an_endless_body_is_read_to_the_bound_and_its_status_counts(head):
    sent = 0

    async def endless(reader, writer):
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n" % head)
        piece = b"1000\r\n" + b"x" * 4096 + b"\r\n" if b"chunked" in head else b"x" * 4096
        while True:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)

    client = make_client()
    async with Endpoint(endless) as endpoint:
        async with asyncio.timeout(10):
            result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
        assert (result.status, result.failure, result.truncated) == (200, None, True)
        assert result.body == b"x" * 4096
        await eventually(lambda: client.connections == 0 and endpoint.open_connections == 0)
        await client.stop()
    assert sent < 20_000_000  # what fits into the buffers of two sockets; the endpoint was stopped by our closing


async def test_an_answer_before_the_request_is_read_is_taken_and_the_connection_not_kept():
    async def hasty(reader, writer):
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.2)

    client = make_client()
    async with Endpoint(hasty) as endpoint:
        result = await client.post(endpoint.url(), [], b"x" * 30_000_000, policy=LOCAL)
        assert (result.status, result.failure) in [(413, None), (None, CLOSED)]
        await eventually(lambda: client.connections == 0)
        await client.stop()


async def test_no_octets_of_an_endpoint_do_more_than_fail_their_own_post():
    chance = random.Random(2031)
    seeds = [octets for octets, *_ in ANSWERS.values() if octets and len(octets) < 1000]
    octets = b""

    async def mutate(reader, writer):
        if await read_request(reader):
            writer.write(octets)

    client = make_client()
    async with Endpoint(mutate) as endpoint:
        for _ in range(300):
            mutated = bytearray(chance.choice(seeds) + chance.choice(seeds))
            for _ in range(chance.randrange(6)):
                at = chance.randrange(len(mutated))
                mutated[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            octets = bytes(mutated)
            async with asyncio.timeout(10):
                result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
            assert (result.status is not None) or (result.failure is not None)
        await client.stop()
        await eventually(lambda: client.connections == 0)
