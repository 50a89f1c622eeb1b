"""TLS towards an SMSC: checked unless the operator says otherwise (R53, P20)."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kvitto.core.clock import SystemClock
from kvitto.core.status import Status
from kvitto.dispatch.dispatcher import Dispatcher
from kvitto.dispatch.link import BindState, LinkConfig, TlsOptions, make_tls_context
from kvitto.simulator import Simulator, SimulatorConfig
from tests.support.rig import eventually, open_rig, open_test_store
from tests.support.tls import Authority, only


def write_certificate(folder: Path, names: Iterable[x509.GeneralName]) -> Path:
    """A self-signed certificate with its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smsc")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "smsc.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def smsc_over_tls(certificate: Path) -> SimulatorConfig:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5, tls=context)


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
OTHER_NAME = x509.DNSName("smsc.example")


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ([LOOPBACK], {}),
        ([OTHER_NAME], {"server_name": "smsc.example"}),
        ([OTHER_NAME], {"verify": False}),
    ],
)
async def test_a_trusted_smsc_is_bound_to(tmp_path: Path, names: list[x509.GeneralName], options: dict):
    certificate = write_certificate(tmp_path, names)
    tls = TlsOptions(ca_file=str(certificate), **options)
    async with open_rig(tmp_path, smsc=smsc_over_tls(certificate), tls=tls) as rig:
        assert (await rig.final(await rig.send("46701234567"), "46701234567")).status is Status.DELIVERED


@pytest.mark.parametrize(
    ("names", "trusted"), [([LOOPBACK], False), ([OTHER_NAME], True)], ids=["unknown authority", "wrong name"]
)
async def test_p20_an_smsc_that_cannot_prove_itself_is_not_bound_to(
    tmp_path: Path, names: list[x509.GeneralName], trusted: bool
):
    certificate = write_certificate(tmp_path, names)
    clock = SystemClock()
    smsc = Simulator(smsc_over_tls(certificate), clock)
    await smsc.start()
    tls = TlsOptions(ca_file=str(certificate) if trusted else "")
    config = LinkConfig(name="main", host="127.0.0.1", port=smsc.port, system_id="kvitto", password="kvitto", tls=tls)
    async with open_test_store(tmp_path) as store:
        dispatcher = Dispatcher(store, [config], clock)
        dispatcher.start()
        bind = dispatcher.lanes["main"].link.binds[0]
        await eventually(lambda: bind.reason)
        assert "certificate" in bind.reason
        assert bind.state is not BindState.BOUND
        await dispatcher.stop()
    await smsc.stop()
    assert smsc.binds == 0


HOST = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
UNPROVEN = {
    "expired": lambda authority: authority.server_context(HOST, expired=True),
    "for another address": lambda authority: authority.server_context(
        x509.IPAddress(ipaddress.ip_address("127.0.0.2"))
    ),
    "of TLS 1.0": lambda authority: only(authority.server_context(HOST), ssl.TLSVersion.TLSv1),
    "of TLS 1.1": lambda authority: only(authority.server_context(HOST), ssl.TLSVersion.TLSv1_1),
}


@pytest.mark.parametrize("make", UNPROVEN.values(), ids=UNPROVEN)
async def test_p20_an_smsc_of_a_known_authority_is_checked_all_the_same(tmp_path: Path, make):
    authority = Authority(tmp_path)
    clock = SystemClock()
    smsc = Simulator(SimulatorConfig(port=0, tls=make(authority)), clock)
    await smsc.start()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(authority.ca_pem)
    tls = TlsOptions(ca_file=str(ca_file))
    config = LinkConfig(name="main", host="127.0.0.1", port=smsc.port, system_id="kvitto", password="kvitto", tls=tls)
    async with open_test_store(tmp_path) as store:
        dispatcher = Dispatcher(store, [config], clock)
        dispatcher.start()
        bind = dispatcher.lanes["main"].link.binds[0]
        await eventually(lambda: bind.reason)
        assert bind.state is not BindState.BOUND
        await dispatcher.stop()
    await smsc.stop()
    assert smsc.binds == 0


async def test_p20_an_smsc_that_asks_who_we_are_is_shown_the_links_certificate(tmp_path: Path):
    authority, clients = Authority(tmp_path), Authority(tmp_path)
    ca_file, cert_file, key_file = (tmp_path / name for name in ("ca.pem", "own.pem", "own.key"))
    ca_file.write_text(authority.ca_pem)
    for file, text in zip((cert_file, key_file), clients.pair(x509.DNSName("kvitto")), strict=True):
        file.write_text(text)
    smsc = SimulatorConfig(
        port=0, delay_min_ms=1, delay_max_ms=5, tls=authority.server_context(HOST, wants_client=clients)
    )
    tls = TlsOptions(ca_file=str(ca_file), cert_file=str(cert_file), key_file=str(key_file))
    async with open_rig(tmp_path, smsc=smsc, tls=tls) as rig:
        assert (await rig.final(await rig.send("46701234567"), "46701234567")).status is Status.DELIVERED


def test_p20_old_protocol_versions_are_not_spoken():
    assert make_tls_context(TlsOptions()).minimum_version is ssl.TLSVersion.TLSv1_2


def test_r53_certificate_and_name_are_checked_by_default():
    context = make_tls_context(TlsOptions())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
