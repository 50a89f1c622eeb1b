"""The callback client against endpoints that behave, are slow, or do not exist."""

import asyncio
import contextlib
import ssl
import warnings
from ipaddress import ip_address

import pytest
from cryptography import x509

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, PostRequest, PostResult
from kvitto.core.clock import SystemClock
from tests.support.clock import FakeClock
from tests.support.rawhttp import Endpoint, eventually, read_request
from tests.support.tls import Authority

LOCAL = AddressPolicy.of(["127.0.0.0/8", "::1"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@contextlib.asynccontextmanager
async def calling(**options):
    client = CallbackClient(**{"clock": SystemClock(), **options})
    try:
        yield client
    finally:
        await client.stop()
        await eventually(lambda: client.connections == 0)


async def post(client: CallbackClient, url: str, body: bytes = b"{}", **options) -> PostResult:
    options = {"policy": LOCAL, **options}
    async with asyncio.timeout(10):
        return await client.post(url, [(b"Content-Type", b"application/json")], body, **options)


async def test_a_post_is_sent_as_given_and_answered():
    async with Endpoint() as endpoint, calling(user_agent="Kvitto/0.1") as client:
        result = await post(client, endpoint.url("/dlr?a=1"), "{å}".encode())
        assert endpoint.requests == [
            b"POST /dlr?a=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: Kvitto/0.1\r\n" % endpoint.port
            + b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{\xc3\xa5}"
        ]
    assert (result.status, result.failure, result.body, result.truncated) == (200, None, b"OK", False)
    assert 0 <= result.elapsed_ms < 5000


async def test_the_connection_is_kept_and_used_again():
    async with Endpoint() as endpoint, calling() as client:
        for number in range(20):
            assert (await post(client, endpoint.url(f"/{number}"))).status == 200
        assert endpoint.connections == 1


async def test_at_most_so_many_connections_are_opened_and_all_posts_get_through():
    async with Endpoint() as endpoint, calling() as client:
        results = await asyncio.gather(*[post(client, endpoint.url(), connections=4) for _ in range(100)])
        assert [result.status for result in results] == [200] * 100
        assert endpoint.most_open <= 4
        assert endpoint.connections <= 4


async def test_one_post_waits_for_another_but_its_time_does_not_run():
    clock = FakeClock()
    gate = asyncio.Event()

    async def slow(reader, writer):
        while await read_request(reader):
            await gate.wait()
            writer.write(OK)

    async with Endpoint(slow) as endpoint, calling(clock=clock) as client:
        first = asyncio.create_task(post(client, endpoint.url(), connections=1))
        second = asyncio.create_task(post(client, endpoint.url(), connections=1))
        await eventually(lambda: endpoint.connections == 1)
        clock.advance(9)
        client.sweep()
        gate.set()
        assert (await first).status == 200
        assert (await second).status == 200
        assert (first.result().elapsed_ms, second.result().elapsed_ms) == (9000, 0)


async def test_start_calls_back_once_with_the_request_and_never_from_inside():
    done: list[tuple[object, int | None]] = []
    async with Endpoint() as endpoint, calling() as client:
        for number in range(3):
            request = PostRequest(endpoint.url(), [], b"{}", LOCAL, context=number)
            client.start(request, lambda request, result: done.append((request.context, result.status)))
        client.start(PostRequest("nonsense", [], b"", LOCAL), lambda request, result: done.append(("bad", None)))
        assert done == []
        await eventually(lambda: len(done) == 4)
    assert sorted(done, key=str) == [("bad", None), (0, 200), (1, 200), (2, 200)]


async def test_an_on_done_that_raises_harms_neither_the_connection_nor_others():
    problems: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))

    def fail(request: PostRequest, result: PostResult) -> None:
        raise LookupError("ours")

    async with Endpoint() as endpoint, calling() as client:
        client.start(PostRequest(endpoint.url(), [], b"{}", LOCAL), fail)
        await eventually(lambda: bool(problems))
        assert (await post(client, endpoint.url())).status == 200
        assert endpoint.connections == 1
    assert len(problems) == 1


@pytest.mark.parametrize(
    "headers", [[(b"X", b"a\r\nY: b")], [(b"X\n", b"a")], [(b"X", b"\r")], [(b"a", b"b"), (b"c", b"d\n")]]
)
async def test_a_header_that_breaks_the_framing_is_not_sent(headers):
    async with Endpoint() as endpoint, calling() as client:
        result = await client.post(endpoint.url(), headers, b"{}", policy=LOCAL)
        assert (result.status, result.failure) == (None, PostFailure.BAD_REQUEST)
        assert endpoint.connections == 0


async def test_a_redirect_is_an_answer_and_not_followed():
    async def redirect(reader, writer):
        await read_request(reader)
        location = f"Location: http://127.0.0.1:{canary.port}/\r\n".encode()
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\n%bContent-Length: 0\r\n\r\n" % location)

    async with Endpoint() as canary, Endpoint(redirect, host="127.0.0.2") as endpoint, calling() as client:
        result = await post(client, endpoint.url())
        assert (result.status, result.failure) == (307, None)
        assert result.headers[b"location"] == b"http://127.0.0.1:%d/" % canary.port
        assert canary.connections == 0


async def test_ipv6_literals_are_reached_and_named_in_the_host_field():
    async with Endpoint(host="::1") as endpoint, calling() as client:
        assert (await post(client, endpoint.url())).status == 200
        assert b"Host: [::1]:%d\r\n" % endpoint.port in endpoint.requests[0]


async def test_large_bodies_are_posted_whole():
    body = b"x" * 3_000_000
    async with Endpoint() as endpoint, calling() as client:
        assert (await post(client, endpoint.url(), body)).status == 200
        assert endpoint.requests[0].endswith(body)


# ---- connections that grow stale


async def test_a_connection_that_went_stale_is_replaced_without_anyone_noticing():
    async def once(reader, writer):
        if request := await read_request(reader):
            endpoint.requests.append(request)
            writer.write(OK)
            if len(endpoint.requests) == 1:
                # Close only when the next request is there: the client believes that the connection lives.
                await reader.read(1)

    async with Endpoint() as endpoint, calling() as client:
        endpoint.script = once
        assert (await post(client, endpoint.url())).status == 200
        result = await post(client, endpoint.url())
        assert (result.status, result.failure) == (200, None)
        assert endpoint.connections == 2


async def test_it_is_replaced_once_only():
    async def never_again(reader, writer):
        await read_request(reader)
        if endpoint.connections == 1:
            writer.write(OK)
            await reader.read(1)

    async with Endpoint() as endpoint, calling() as client:
        endpoint.script = never_again
        assert (await post(client, endpoint.url())).status == 200
        assert (await post(client, endpoint.url())).failure is PostFailure.CLOSED
        assert endpoint.connections == 2


async def test_a_fresh_connection_that_is_closed_is_not_tried_again():
    async def close(reader, writer):
        await read_request(reader)

    async with Endpoint(close) as endpoint, calling() as client:
        result = await post(client, endpoint.url())
        assert (result.failure, result.detail) == (PostFailure.CLOSED, "closed before an answer")
        assert endpoint.connections == 1


async def test_half_an_answer_on_a_kept_connection_is_not_tried_again():
    async def half(reader, writer):
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.write(b"H")

    async with Endpoint(half) as endpoint, calling() as client:
        assert (await post(client, endpoint.url())).status == 200
        assert (await post(client, endpoint.url())).failure is PostFailure.CLOSED
        assert endpoint.connections == 1


async def test_idle_connections_are_closed_and_pools_forgotten():
    clock = FakeClock()
    async with Endpoint() as endpoint, calling(clock=clock) as client:
        await post(client, endpoint.url())
        clock.advance(29)
        client.sweep()
        assert client.connections == 1
        await post(client, endpoint.url())
        clock.advance(29)
        client.sweep()
        assert (client.connections, endpoint.connections) == (1, 1)
        clock.advance(1.5)
        client.sweep()
        await eventually(lambda: client.connections == 0)
        client.sweep()
        assert client._pools == {}
        assert (await post(client, endpoint.url())).status == 200
        assert endpoint.connections == 2


async def test_a_connection_closed_by_the_endpoint_while_idle_leaves_the_pool():
    async def once(reader, writer):
        await read_request(reader)
        writer.write(OK)

    async with Endpoint(once) as endpoint, calling() as client:
        for number in range(1, 4):
            assert (await post(client, endpoint.url())).status == 200
            await eventually(lambda: client.connections == 0)
            assert endpoint.connections == number


# ---- time


async def test_an_endpoint_that_never_answers_times_out():
    clock = FakeClock()

    async def silent(reader, writer):
        await reader.read()

    async with Endpoint(silent) as endpoint, calling(clock=clock) as client:
        posting = asyncio.create_task(post(client, endpoint.url(), timeout_s=10))
        await eventually(lambda: endpoint.connections == 1)
        await asyncio.sleep(0.02)
        clock.advance(9.5)
        client.sweep()
        await asyncio.sleep(0.02)
        assert not posting.done()
        clock.advance(1)
        client.sweep()
        result = await posting
        assert (result.status, result.failure, result.elapsed_ms) == (None, PostFailure.TIMEOUT, 10_500)
        assert result.detail == "no answer within 10 s"
        await eventually(lambda: client.connections == 0)


async def test_an_answer_that_drips_times_out_and_keeps_its_status_for_the_record():
    async def drip(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with Endpoint(drip) as endpoint, calling(limits=PostLimits(sweep_s=0.02)) as client:
        result = await post(client, endpoint.url(), timeout_s=0.2)
        assert (result.status, result.failure) == (200, PostFailure.TIMEOUT)
        assert 200 <= result.elapsed_ms < 2000


async def test_a_connection_that_does_not_come_about_times_out():
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with calling(resolver=never, limits=PostLimits(connect_timeout_s=0.05)) as client:
        result = await post(client, "http://slow.example/")
        assert (result.status, result.failure) == (None, PostFailure.TIMEOUT)
        assert result.detail == "no connection within 0.05 s"


async def test_the_whole_time_out_also_ends_connecting():
    clock = FakeClock()

    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with calling(resolver=never, clock=clock) as client:
        posting = asyncio.create_task(post(client, "http://slow.example/", timeout_s=2))
        await eventually(lambda: client.connections == 1)
        clock.advance(3)
        client.sweep()
        result = await posting
        assert (result.failure, result.detail) == (PostFailure.TIMEOUT, "no answer within 2 s")


async def test_a_port_where_nobody_listens_is_a_failure_to_connect():
    async with Endpoint() as endpoint:
        url = endpoint.url()
    async with calling() as client:
        result = await post(client, url)
    assert (result.status, result.failure) == (None, PostFailure.CONNECT)


# ---- stopping


async def test_stop_ends_everything_that_is_under_way():
    async def silent(reader, writer):
        await reader.read()

    async def never(host: str, port: int) -> list[str]:
        if host == "slow.example":
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    async with Endpoint(silent) as endpoint:
        client = CallbackClient(clock=SystemClock(), resolver=never)
        urls = [endpoint.url(), endpoint.url(), "http://slow.example/", "http://slow.example/"]
        posts = [asyncio.create_task(post(client, url, connections=1)) for url in urls]
        await eventually(lambda: endpoint.connections == 1)
        await client.stop()
        await client.stop()
        results = await asyncio.gather(*posts)
        assert [result.failure for result in results] == [PostFailure.STOPPED] * 4
        assert (await post(client, endpoint.url())).failure is PostFailure.STOPPED
        await eventually(lambda: client.connections == 0)


async def test_stop_right_after_start_still_answers_the_post():
    async with Endpoint() as endpoint:
        client = CallbackClient(clock=SystemClock())
        done: list[PostResult] = []
        client.start(PostRequest(endpoint.url(), [], b"{}", LOCAL), lambda request, result: done.append(result))
        await client.stop()
        await eventually(lambda: bool(done))
        assert done[0].failure is PostFailure.STOPPED


async def test_stop_with_grace_lets_posts_finish():
    gate = asyncio.Event()

    async def slow(reader, writer):
        await read_request(reader)
        await gate.wait()
        writer.write(OK)

    async with Endpoint(slow) as endpoint, calling() as client:
        posting = asyncio.create_task(post(client, endpoint.url()))
        await eventually(lambda: endpoint.connections == 1)
        stopping = asyncio.create_task(client.stop(grace_s=5))
        await asyncio.sleep(0.02)
        assert not stopping.done()
        gate.set()
        assert (await posting).status == 200
        await asyncio.wait_for(stopping, 5)


async def test_more_posts_than_the_bound_are_refused():
    async def silent(reader, writer):
        await reader.read()

    async with Endpoint(silent) as endpoint, calling(limits=PostLimits(posts=2)) as client:
        posts = [asyncio.create_task(post(client, endpoint.url())) for _ in range(2)]
        await eventually(lambda: endpoint.connections == 2)
        assert (await post(client, endpoint.url())).failure is PostFailure.BUSY
        await client.stop()
        await asyncio.gather(*posts)


# ---- TLS (P20)


async def test_https_is_verified_by_name_and_authority(tmp_path):
    authority = Authority(tmp_path)

    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    options = {"resolver": resolver, "tls": authority.client_context}
    tls = authority.server_context(x509.DNSName("hooks.example"))
    async with Endpoint(ssl=tls) as endpoint, calling(**options) as client:
        for _ in range(2):
            assert (await post(client, f"https://Hooks.Example.:{endpoint.port}/dlr")).status == 200
        assert endpoint.connections == 1
        assert b"Host: hooks.example:%d\r\n" % endpoint.port in endpoint.requests[0]
        wrong_name = await post(client, f"https://other.example:{endpoint.port}/dlr")
        assert (wrong_name.status, wrong_name.failure) == (None, PostFailure.TLS)
        assert "certificate refused" in wrong_name.detail
        assert len(endpoint.requests) == 2


async def test_expired_and_unknown_certificates_are_refused(tmp_path):
    authority, other = Authority(tmp_path), Authority(tmp_path)
    name = x509.DNSName("localhost")
    for tls in (authority.server_context(name, expired=True), other.server_context(name)):
        async with Endpoint(ssl=tls) as endpoint, calling(tls=authority.client_context) as client:
            result = await post(client, f"https://localhost:{endpoint.port}/")
            assert (result.status, result.failure) == (None, PostFailure.TLS)
            assert endpoint.requests == []


async def test_the_ordinary_context_trusts_no_authority_of_ours(tmp_path):
    tls = Authority(tmp_path).server_context(x509.DNSName("localhost"))
    async with Endpoint(ssl=tls) as endpoint, calling() as client:
        assert (await post(client, f"https://localhost:{endpoint.port}/")).failure is PostFailure.TLS
        assert endpoint.requests == []


async def test_https_to_an_address_is_verified_by_address(tmp_path):
    authority = Authority(tmp_path)
    tls = authority.server_context(x509.IPAddress(ip_address("127.0.0.1")))
    async with Endpoint(ssl=tls) as endpoint, calling(tls=authority.client_context) as client:
        assert (await post(client, endpoint.url())).status == 200


async def test_old_tls_is_refused(tmp_path):
    authority = Authority(tmp_path)
    tls = authority.server_context(x509.IPAddress(ip_address("127.0.0.1")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    async with Endpoint(ssl=tls) as endpoint, calling(tls=authority.client_context) as client:
        result = await post(client, endpoint.url())
        assert (result.status, result.failure) == (None, PostFailure.TLS)
        assert endpoint.requests == []


async def test_https_to_a_port_that_speaks_no_tls_fails_in_words():
    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with Endpoint(plain) as endpoint, calling() as client:
        result = await post(client, f"https://127.0.0.1:{endpoint.port}/")
        assert (result.status, result.failure) == (None, PostFailure.TLS)
