"""Names, policies and pools: what a post connects to (P19). Hostile URLs have a file of their own."""

import asyncio
import contextlib
import socket

import pytest

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits
from kvitto.core.clock import SystemClock
from tests.support.rawhttp import Endpoint, eventually

STRICT = AddressPolicy()


@contextlib.asynccontextmanager
async def canaries():
    async with (
        Endpoint() as four,
        Endpoint(host="::1", port=four.port) as six,
        Endpoint(host="127.0.0.2", port=four.port) as second,
    ):
        seen = [four, six, second]
        yield four.port, seen
        assert [canary.connections for canary in seen] == [0, 0, 0]


async def post_strictly(url: str, resolver=None, policy: AddressPolicy = STRICT):
    options = {} if resolver is None else {"resolver": resolver}
    client = CallbackClient(clock=SystemClock(), limits=PostLimits(connect_timeout_s=3, sweep_s=0.05), **options)
    try:
        async with asyncio.timeout(10):
            return await client.post(url, [], b"{}", policy=policy, timeout_s=3)
    finally:
        await client.stop()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["127.0.0.1", "::1", "127.0.0.2"],
        ["fe80::1%lo"],
        ["nonsense"],
        ["127.0.0.1:80"],
        [],
    ],
)
async def test_a_name_with_only_forbidden_addresses_is_refused_and_says_why(addresses):
    async def resolver(host: str, port: int) -> list[str]:
        return addresses

    async with canaries() as (port, _):
        result = await post_strictly(f"http://hooks.example:{port}/", resolver)
        assert (result.status, result.failure) == (None, PostFailure.FORBIDDEN)
        assert result.detail.startswith("no permitted address: ")
        assert "127.0.0.1" not in result.detail


async def test_the_next_address_is_tried_when_one_does_not_answer():
    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.3", "127.0.0.1"]

    async with Endpoint() as endpoint:
        url = f"http://hooks.example:{endpoint.port}/"
        assert (await post_strictly(url, resolver, AddressPolicy.of(["127.0.0.0/8"]))).status == 200


async def test_a_name_that_changes_its_answer_gains_nothing():
    """DNS rebinding: permitted when first asked, forbidden afterwards, and each new connection is judged anew."""
    asked = 0

    async def rebinding(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.2"] if asked == 1 else ["127.0.0.1"]

    policy = AddressPolicy.of(["127.0.0.2"])
    client = CallbackClient(clock=SystemClock(), resolver=rebinding, limits=PostLimits(resolved_s=0.0))
    async with Endpoint() as canary:
        async with Endpoint(host="127.0.0.2", port=canary.port) as endpoint:
            url = f"http://hooks.example:{canary.port}/"
            assert (await client.post(url, [], b"{}", policy=policy)).status == 200
            assert asked == 1
        await eventually(lambda: client.connections == 0)
        result = await client.post(url, [], b"{}", policy=policy)
        assert (result.failure, asked) == (PostFailure.FORBIDDEN, 2)
        assert canary.connections == 0
        assert endpoint.connections == 1
    await client.stop()


async def test_a_connection_of_one_policy_is_not_lent_to_another():
    client = CallbackClient(clock=SystemClock())
    async with Endpoint() as endpoint:
        allowed = await client.post(endpoint.url(), [], b"{}", policy=AddressPolicy.of(["127.0.0.1"]))
        assert allowed.status == 200
        result = await client.post(endpoint.url(), [], b"{}", policy=STRICT)
        assert result.failure is PostFailure.FORBIDDEN
        again = await client.post(endpoint.url(), [], b"{}", policy=AddressPolicy.of(["127.0.0.1"]))
        assert again.status == 200
        assert endpoint.connections == 1
    await client.stop()


async def test_a_name_is_asked_for_once_for_many_connections_and_again_after_a_failure():
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.01)
        if host == "bad.example":
            raise OSError("no such name")
        return ["127.0.0.1"]

    policy = AddressPolicy.of(["127.0.0.1"])
    client = CallbackClient(clock=SystemClock(), resolver=resolver)
    async with Endpoint() as endpoint:
        url = f"http://hooks.example:{endpoint.port}/"
        results = await asyncio.gather(*[client.post(url, [], b"{}", policy=policy, connections=8) for _ in range(8)])
        assert [result.status for result in results] == [200] * 8
        assert endpoint.connections == 8
        assert asked == ["hooks.example"]
        for _ in range(2):
            result = await client.post("http://bad.example/", [], b"{}", policy=policy)
            assert (result.failure, result.detail) == (PostFailure.DNS, "the name cannot be resolved")
        assert asked == ["hooks.example", "bad.example", "bad.example"]
    await client.stop()


async def test_a_name_that_does_not_exist_is_a_failure_of_dns():
    async def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    result = await post_strictly("http://hooks.invalid/", resolver)
    assert (result.failure, result.detail) == (PostFailure.DNS, "Name or service not known")
