"""Over 200 hostile URLs, a resolver of our own, canaries that listen: nothing is ever connected to (P19)."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Sequence

import pytest

from kvitto.callbacks.addresses import AddressPolicy, url_objection
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits
from kvitto.core.clock import SystemClock
from tests.support.hostile import HOSTILE, LITERALS, LOOPBACK, MISREAD, NAMES
from tests.support.rawhttp import Endpoint, eventually, read_request

STRICT = AddressPolicy()
REFUSED = (PostFailure.FORBIDDEN, PostFailure.DNS, PostFailure.BAD_URL)


class Canary:
    """Listens on every address of this machine, over IPv4 and IPv6, and counts who comes."""

    def __init__(self) -> None:
        self.connections = 0

    async def __aenter__(self) -> "Canary":
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await read_request(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def resolver(host: str, port: int) -> Sequence[str]:
    """Names by the table; everything else only if it is an address in some spelling. Nobody else is asked."""
    if host in NAMES:
        return NAMES[host]
    if host == "localhost":
        return ["127.0.0.1", "::1"]
    rows = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    return [str(row[4][0]) for row in rows]


class Attempts:
    """What the loop was asked to connect to, whoever asked."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[tuple[str | None, int | None]] = []
        loop = asyncio.get_running_loop()
        connect = loop.create_connection

        async def recording(factory, host=None, port=None, **options):
            self.seen.append((host, port))
            return await connect(factory, host, port, **options)

        monkeypatch.setattr(loop, "create_connection", recording)


@contextlib.asynccontextmanager
async def calling(resolve=resolver):
    client = CallbackClient(clock=SystemClock(), resolver=resolve, limits=PostLimits(connect_timeout_s=3, sweep_s=0.05))
    try:
        yield client
    finally:
        await client.stop()
        await eventually(lambda: client.connections == 0)


async def post(client: CallbackClient, url: str, policy: AddressPolicy = STRICT):
    async with asyncio.timeout(10):
        return await client.post(url, [], b"{}", policy=policy, timeout_s=3)


def test_p19_there_are_at_least_two_hundred():
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_p19_no_hostile_url_connects_to_anything(scheme, monkeypatch):
    attempts = Attempts(monkeypatch)
    async with Canary() as canary, calling() as client:
        for template in HOSTILE:
            url = template.replace("{port}", str(canary.port))
            url = re.sub("^http:", f"{scheme}:", url)
            result = await post(client, url)
            assert result.status is None, template
            assert result.failure in REFUSED, (template, result)
            assert "127.0.0.1" not in result.detail
        assert canary.connections == 0
    assert attempts.seen == []


async def test_p19_the_canaries_do_see_who_is_allowed(monkeypatch):
    """Else the silence above would show nothing."""
    attempts = Attempts(monkeypatch)
    open_wide = AddressPolicy.of(["127.0.0.0/8", "::1"])
    async with Canary() as canary, calling() as client:
        for number, template in enumerate(LOOPBACK, start=1):
            assert (await post(client, template.replace("{port}", str(canary.port)), open_wide)).status == 200, template
            assert canary.connections == number
        for name in ("loopback.example", "loopback-six.example", "all-of-us.example", "bücher.example"):
            assert (await post(client, f"http://{name}:{canary.port}/", open_wide)).status == 200
    assert len(attempts.seen) >= 10
    assert {host for host, _ in attempts.seen} <= {"127.0.0.1", "127.0.0.2", "::1"}, "only numbers are connected to"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://[::1]:{port}/", "/again"]
)
async def test_p19_no_redirect_is_followed(status, location):
    async with Canary() as canary:
        target = location.replace("{port}", str(canary.port)).encode()

        async def redirect(reader, writer):
            while await read_request(reader):
                endpoint.requests.append(b"")
                more = b'Refresh: 0; url=%b\r\nAlt-Svc: h2="%b"\r\nLink: <%b>; rel=preload\r\n' % (
                    target,
                    target,
                    target,
                )
                fields = b"Location: %b\r\n%bContent-Length: 0\r\n" % (target, more)
                writer.write(b"HTTP/1.1 %d Elsewhere\r\n%b\r\n" % (status, fields))

        async with Endpoint(redirect, host="127.0.0.3") as endpoint, calling() as client:
            result = await post(client, endpoint.url(), AddressPolicy.of(["127.0.0.3"]))
            assert (result.status, result.failure) == (status, None)
            assert len(endpoint.requests) == 1
        assert canary.connections == 0


async def test_p19_of_mixed_addresses_only_the_permitted_ones_are_tried(monkeypatch):
    attempts = Attempts(monkeypatch)

    async def mixed(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "::1", "::ffff:127.0.0.3", "127.0.0.3", "10.0.0.1"]

    async with Endpoint(host="127.0.0.3") as endpoint, calling(mixed) as client:
        url = f"http://mixed.example:{endpoint.port}/"
        assert (await post(client, url, AddressPolicy.of(["127.0.0.3"]))).status == 200
        assert attempts.seen == [("127.0.0.3", endpoint.port)]


# ---- when a URL is saved


@pytest.mark.parametrize("template", [*LITERALS, *MISREAD])
def test_p19_a_hostile_url_is_refused_when_it_is_saved(template):
    objection = url_objection(template.replace("{port}", "8080"), STRICT)
    assert objection
    assert "127.0.0.1" not in objection
    assert "public.example" not in objection


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/dlr",
        "http://8.8.8.8/",
        "http://134744072/",
        "http://[2606:4700::1111]:8443/",
        "https://localhost.example/",
        "http://1.example/",
        "https://bücher.example/dlr?shop=3",
    ],
)
def test_p19_an_ordinary_url_can_be_saved(url):
    assert url_objection(url, STRICT) is None


@pytest.mark.parametrize(
    ("url", "allow", "told"),
    [
        ("http://127.0.0.1/", "127.0.0.0/8", None),
        ("http://0x7f.1/", "127.0.0.1", None),
        ("http://localhost/", "127.0.0.0/8", None),
        ("http://localhost/", "::1", None),
        ("http://api.localhost:8000/", "10.0.0.0/8", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "127.0.0.0/8", "IPv4-mapped"),
        ("http://10.1.2.3/", "10.1.0.0/16", None),
        ("http://10.2.0.1/", "10.1.0.0/16", "private"),
    ],
)
def test_p19_exceptions_are_networks_and_nothing_else(url, allow, told):
    objection = url_objection(url, AddressPolicy.of([allow]))
    assert objection is None if told is None else told in str(objection)
