"""What endpoints may answer, and what becomes of it: always one result, never an exception (P11)."""

import asyncio
import random
import socket
import struct

import pytest

from kvitto.callbacks import standard
from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.pace import retry_after
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, PostResult
from kvitto.core.clock import SystemClock
from kvitto.core.model import CallbackDue
from kvitto.core.status import Reason, Status
from kvitto.dialects.base import Dialect, RetryDecision
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import SinchDialect
from tests.support.answers import ANSWERS, PROFILES, RETRY_AFTER, Row, Then
from tests.support.dialects import account
from tests.support.rawhttp import Endpoint, eventually, read_request
from tests.support.sinch import message

LOCAL = AddressPolicy.of(["127.0.0.0/8"])
PATIENCE_S = 0.4
CLOSED = PostFailure.CLOSED
BY_NAME = {row.name: row for row in ANSWERS}


def play(octets: bytes, then: Then):
    async def script(reader, writer):
        while await read_request(reader):
            writer.write(octets)
            if then is Then.HANG:
                await reader.read()
            if then is Then.RESET:
                await writer.drain()
                await asyncio.sleep(0.02)  # the octets are to arrive before the reset overtakes them
                reset(writer)
            if then is not Then.KEEP:
                return

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def make_client() -> CallbackClient:
    return CallbackClient(clock=SystemClock(), limits=PostLimits(sweep_s=0.02))


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row.name)
async def test_p11_each_answer_has_its_result_and_each_profile_its_decision(row: Row):
    client = make_client()
    async with Endpoint(play(row.octets, row.then)) as endpoint:
        for _ in range(2):
            async with asyncio.timeout(10):
                result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL, timeout_s=PATIENCE_S)
            assert (result.status, result.failure, result.body) == (row.status, row.failure, row.body)
            assert bool(result.detail) is (row.failure is not None)
            assert " ".join(letter(decide(profile, result)) for profile in PROFILES) == row.decisions
        assert endpoint.connections == (1 if row.kept else 2)
        await client.stop()
        await eventually(lambda: client.connections == 0)


def test_p11_the_table_has_at_least_sixty_rows_and_every_decision_of_every_profile():
    assert len(BY_NAME) == len(ANSWERS) >= 60
    for at, letters in enumerate(("DAN", "DA", "DANS", "DAG")):
        assert {row.decisions.split()[at] for row in ANSWERS} == set(letters)


NOW = 1_773_065_100_000
FACTS = message(Status.DELIVERED, Reason.DELIVERED)
DIALECTS: dict[str, Dialect] = {one.name: one for one in (SinchDialect(), InfobipDialect(), NinebitsDialect())}
LONGEST_FIRST_S = {"sinch": 5.0, "infobip": 60.0, "ninebits": 33.0, "standard": 5.0}


def decide(profile: str, result: PostResult, at: int = NOW) -> RetryDecision:
    """What the sender is told to do, at a callback's first try."""
    due = CallbackDue(7, "a1", profile, "https://shop.example/dlr", FACTS, False, 0, at, None)
    status = result.status if result.failure is None else None
    retry_after_s = retry_after(result.headers.get(b"retry-after"), at)
    if profile == "standard":
        return standard.judge(due, status, retry_after_s, at)
    return DIALECTS[profile].judge(due, account(), status, result.body, retry_after_s, at)


def letter(decision: RetryDecision) -> str:
    if decision.done:
        return "D"
    if decision.retry_at is None:
        return "N"
    return "G" if decision.gone else "S" if decision.slower else "A"


@pytest.mark.parametrize(("value", "status", "waits"), RETRY_AFTER)
async def test_p11_retry_after_is_kept_as_each_profile_says(value, status, waits):
    field = b"Retry-After: %b\r\n" % value.encode()
    client = make_client()
    async with Endpoint(
        play(b"HTTP/1.1 %d Later\r\n%bContent-Length: 0\r\n\r\n" % (status, field), Then.KEEP)
    ) as endpoint:
        result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
        await client.stop()
    for profile, wait_s in zip(PROFILES, waits, strict=True):
        retry_at = decide(profile, result).retry_at
        assert retry_at is not None
        waited_s, longest_s = (retry_at - NOW) / 1000, LONGEST_FIRST_S[profile]
        if wait_s is None:
            assert longest_s * 0.9 <= waited_s <= longest_s, profile
        else:
            assert waited_s == pytest.approx(wait_s, abs=0.01), profile


async def test_answers_in_single_octets_are_read_alike():
    octets = BY_NAME["200 chunked"].octets

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
    async with Endpoint(play(octets, Then.KEEP)) as endpoint:
        result = await client.post(endpoint.url(), [], b"{}", policy=LOCAL)
        await client.stop()
    assert result.headers == {b"retry-after": b"7", b"content-type": b"text/plain", b"content-length": b"0"}


async def test_a_long_body_is_read_whole_and_its_beginning_kept():
    body = random.Random(1).randbytes(60_000)
    octets = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    client = make_client()
    async with Endpoint(play(octets, Then.KEEP)) as endpoint:
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
    seeds = [row.octets for row in ANSWERS if row.octets and len(row.octets) < 1000]
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
