"""TLS towards endpoints: who cannot prove itself gets no callback; own authorities and certificates work (P20)."""

import asyncio
import contextlib
import ssl
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, PostResult
from kvitto.callbacks.tls import MOST_PEM_BYTES, EndpointTls, tls_problem
from kvitto.core.clock import SystemClock
from tests.support.rawhttp import Endpoint, RawClient, eventually
from tests.support.tls import Authority, only

LOCAL = AddressPolicy.of(["127.0.0.0/8"])
HOST = "hooks.example"
NAME = x509.DNSName(HOST)


async def resolver(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@contextlib.asynccontextmanager
async def calling(**options):
    client = CallbackClient(**{"clock": SystemClock(), "resolver": resolver, **options})
    try:
        yield client
    finally:
        await client.stop()
        await eventually(lambda: client.connections == 0)


async def post(client: CallbackClient, endpoint: Endpoint, tls: EndpointTls | None = None) -> PostResult:
    async with asyncio.timeout(10):
        return await client.post(f"https://{HOST}:{endpoint.port}/dlr", [], b"{}", policy=LOCAL, tls=tls)


@pytest.fixture(name="authority")
def an_authority(tmp_path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority) -> EndpointTls:
    return EndpointTls(ca_pem=authority.ca_pem)


# ---- who cannot prove itself


REFUSED = {
    "expired": lambda authority, other: authority.server_context(NAME, expired=True),
    "of an unknown authority": lambda authority, other: other.server_context(NAME),
    "for another name": lambda authority, other: authority.server_context(x509.DNSName("other.example")),
    "for a name below": lambda authority, other: authority.server_context(x509.DNSName("a.hooks.example")),
    "for the address": lambda authority, other: authority.server_context(x509.IPAddress(ip_address("127.0.0.1"))),
    "of TLS 1.0": lambda authority, other: only(authority.server_context(NAME), ssl.TLSVersion.TLSv1),
    "of TLS 1.1": lambda authority, other: only(authority.server_context(NAME), ssl.TLSVersion.TLSv1_1),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("own", [True, False], ids=["own authority", "the house's"])
async def test_p20_an_endpoint_that_cannot_prove_itself_gets_nothing(authority, tmp_path, make, own):
    server = make(authority, Authority(tmp_path))
    async with Endpoint(ssl=server) as endpoint, calling(tls=authority.client_context) as client:
        result = await post(client, endpoint, trusting(authority) if own else None)
        assert (result.status, result.failure) == (None, PostFailure.TLS)
        assert endpoint.requests == []


async def test_p20_a_self_signed_certificate_is_refused_by_the_systems_authorities(authority):
    async with Endpoint(ssl=authority.server_context(NAME)) as endpoint, calling() as client:
        result = await post(client, endpoint)
        assert (result.failure, result.detail[:19]) == (PostFailure.TLS, "certificate refused")
        assert endpoint.requests == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_the_old_servers_of_these_tests_do_speak_to_who_lets_them(authority, version):
    """Else the refusals above would show nothing."""
    name = x509.DNSName("localhost")
    server, old = only(authority.server_context(name), version), only(authority.client_context(), version)
    async with Endpoint(ssl=server) as endpoint, RawClient(endpoint.port, ssl=old) as client:
        answer = await client.ask(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        assert answer.status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_p20_new_versions_are_spoken(authority, version):
    server = authority.server_context(NAME)
    server.minimum_version = server.maximum_version = version
    async with Endpoint(ssl=server) as endpoint, calling() as client:
        assert (await post(client, endpoint, trusting(authority))).status == 200


# ---- an authority of its own


async def test_p20_an_endpoints_own_authority_counts_for_it_alone(authority, tmp_path):
    async with Endpoint(ssl=authority.server_context(NAME)) as endpoint, calling() as client:
        assert (await post(client, endpoint, trusting(authority))).status == 200
        assert (await post(client, endpoint)).failure is PostFailure.TLS
        assert (await post(client, endpoint, trusting(Authority(tmp_path)))).failure is PostFailure.TLS
        assert (await post(client, endpoint, trusting(authority))).status == 200
        assert len(endpoint.requests) == 2
        assert endpoint.connections == 1


async def test_p20_an_endpoints_own_authority_is_in_place_of_the_systems(authority, tmp_path):
    server = authority.server_context(NAME)
    async with Endpoint(ssl=server) as endpoint, calling(tls=authority.client_context) as client:
        assert (await post(client, endpoint, trusting(Authority(tmp_path)))).failure is PostFailure.TLS
        assert (await post(client, endpoint)).status == 200


# ---- a certificate of ours


def showing(authority: Authority, clients: Authority, **options) -> EndpointTls:
    certificate, key = clients.pair(x509.DNSName("kvitto"), **options)
    return EndpointTls(ca_pem=authority.ca_pem, client_cert_pem=certificate, client_key_pem=key)


async def test_p20_an_endpoint_that_asks_who_we_are_is_shown_its_certificate(authority, tmp_path):
    clients = Authority(tmp_path)
    server = authority.server_context(NAME, wants_client=clients)
    async with Endpoint(ssl=server) as endpoint, calling() as client:
        mine = showing(authority, clients)
        assert [(await post(client, endpoint, mine)).status for _ in range(3)] == [200] * 3
        assert endpoint.connections == 1
        for other in (trusting(authority), showing(authority, authority), showing(authority, clients, expired=True)):
            result = await post(client, endpoint, other)
            assert result.status is None
            assert result.failure in (PostFailure.TLS, PostFailure.CLOSED)
        assert len(endpoint.requests) == 3


async def test_p20_a_connection_is_not_lent_to_who_has_another_certificate(authority, tmp_path):
    clients = Authority(tmp_path)
    server = authority.server_context(NAME, wants_client=clients)
    async with Endpoint(ssl=server) as endpoint, calling() as client:
        one, other = showing(authority, clients), showing(authority, clients)
        for options in (one, other, one, other):
            assert (await post(client, endpoint, options)).status == 200
        assert endpoint.connections == 2


async def test_p20_equal_settings_share_connections_and_one_context(authority):
    async with Endpoint(ssl=authority.server_context(NAME)) as endpoint, calling() as client:
        for _ in range(5):
            assert (await post(client, endpoint, trusting(authority))).status == 200
        assert endpoint.connections == 1
        assert len(client._contexts) == 1


async def test_contexts_are_bounded(authority, tmp_path):
    async with (
        Endpoint(ssl=authority.server_context(NAME)) as endpoint,
        calling(limits=PostLimits(contexts=2)) as client,
    ):
        for _ in range(5):
            await post(client, endpoint, trusting(Authority(tmp_path)))
            assert len(client._contexts) <= 2
        assert (await post(client, endpoint, trusting(authority))).status == 200


async def test_p20_settings_that_cannot_be_used_send_nothing(authority):
    async with Endpoint(ssl=authority.server_context(NAME)) as endpoint, calling() as client:
        result = await post(client, endpoint, EndpointTls(ca_pem="nonsense"))
        assert (result.failure, result.detail) == (PostFailure.TLS, "the endpoint's own TLS settings cannot be used")
        assert endpoint.connections == 0


# ---- settings, when they are saved


def with_password(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary")).decode()


def test_p20_settings_that_can_be_used_have_no_problem(authority):
    certificate, key = authority.pair(NAME)
    for options in (
        EndpointTls(),
        EndpointTls(ca_pem=authority.ca_pem),
        EndpointTls(client_cert_pem=certificate + authority.ca_pem, client_key_pem=key),
        EndpointTls(ca_pem=authority.ca_pem * 3, client_cert_pem=certificate, client_key_pem=key),
    ):
        assert tls_problem(options) is None


def test_p20_settings_that_cannot_be_used_are_told_by_their_field(authority):
    certificate, key = authority.pair(NAME)
    _, another = authority.pair(NAME)
    locked = with_password(ec.generate_private_key(ec.SECP256R1()))
    pair = "client_cert_pem, client_key_pem"
    for options, field in (
        (EndpointTls(ca_pem=""), "ca_pem"),
        (EndpointTls(ca_pem=" \n"), "ca_pem"),
        (EndpointTls(ca_pem="canary"), "ca_pem"),
        (EndpointTls(ca_pem="å"), "ca_pem"),
        (EndpointTls(ca_pem=key), "ca_pem"),
        (EndpointTls(ca_pem="x" * (MOST_PEM_BYTES + 1)), "ca_pem"),
        (EndpointTls(client_cert_pem=certificate), "client_key_pem"),
        (EndpointTls(client_key_pem=key), "client_cert_pem"),
        (EndpointTls(client_cert_pem=certificate, client_key_pem=another), pair),
        (EndpointTls(client_cert_pem=certificate, client_key_pem=locked), pair),
        (EndpointTls(client_cert_pem="canary", client_key_pem=key), pair),
        (EndpointTls(client_cert_pem=certificate, client_key_pem="canary"), pair),
    ):
        problem = tls_problem(options)
        assert problem is not None
        assert problem.startswith(field + ":")
        assert "canary" not in problem


def test_p22_a_key_is_not_shown(authority):
    certificate, key = authority.pair(NAME)
    assert key[60:100] not in repr(EndpointTls(client_cert_pem=certificate, client_key_pem=key))
