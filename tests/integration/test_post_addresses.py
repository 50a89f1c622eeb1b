"""No post reaches a forbidden address, however it is written (P19): canaries listen, and must see no connection."""

import asyncio
import contextlib
import socket

import pytest

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, resolve_by_system
from kvitto.core.clock import SystemClock
from tests.support.rawhttp import Endpoint, eventually

STRICT = AddressPolicy()

# Every one of these would reach a canary on this machine, or a neighbour of it, if it were taken at its word.
NUMERIC = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "0177.0.0.1",
    "0177.0.0.01",
    "017700000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0X7F.0.0.1",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "2130706433",
    "127.0.0.1.",
    "127.255.255.254",
    "127.0.0.2",
    "0",
    "0.0.0.0",
    "00.0.0.0",
    "0x0",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00::1]",
    "[ff02::1]",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "169.254.43518",
    "172.16.0.1",
    "192.168.0.1",
    "192.168.257",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "ⓛocalhost",
    "ｌｏｃａｌｈｏｓｔ",
]

MISREAD = [
    "http://canary.example@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@canary.example/",
    "http://127.0.0.1:{port}\\@public.example/",
    "http://public.example\\@127.0.0.1:{port}/",
    "http://public.example#@127.0.0.1:{port}/",
    "http://public.example?@127.0.0.1:{port}/",
    "http://public.example:80:{port}/",
    "http://127.0.0.1%00.public.example:{port}/",
    "http://127.0.0.1%2f.public.example:{port}/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\n:{port}/",
    " http://127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_POST",
    "ftp://127.0.0.1:{port}/",
    "file://127.0.0.1/etc/passwd",
    "dict://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[::1]x:{port}/",
]


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


async def forbidden_only(host: str, port: int) -> list[str]:
    """The system's resolver. Whatever it is, this test must not connect to a stranger: fail before that."""
    addresses = [*await resolve_by_system(host, port)]
    public = [address for address in addresses if STRICT.permits(address)]
    assert not public, f"{host} is no example of a forbidden host: {public}"
    return addresses


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_of_a_forbidden_host_gets_through(scheme):
    async with canaries() as (port, _):
        for host in NUMERIC:
            result = await post_strictly(f"{scheme}://{host}:{port}/dlr", forbidden_only)
            assert result.status is None
            assert result.failure in (PostFailure.FORBIDDEN, PostFailure.DNS, PostFailure.BAD_URL), (host, result)


async def test_no_url_that_readers_disagree_about_gets_through():
    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with canaries() as (port, _):
        for template in MISREAD:
            result = await post_strictly(template.format(port=port), resolver)
            assert result.failure in (PostFailure.FORBIDDEN, PostFailure.BAD_URL), (template, result)


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


async def test_of_mixed_addresses_only_the_permitted_ones_are_tried():
    only_second = AddressPolicy.of(["127.0.0.2"])

    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "::1", "127.0.0.2"]

    async with (
        Endpoint() as first,
        Endpoint(host="::1", port=first.port) as six,
        Endpoint(host="127.0.0.2", port=first.port) as second,
    ):
        result = await post_strictly(f"http://hooks.example:{first.port}/", resolver, only_second)
        assert result.status == 200
        assert (first.connections, six.connections, second.connections) == (0, 0, 1)
        assert b"Host: hooks.example:%d\r\n" % first.port in second.requests[0]


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
