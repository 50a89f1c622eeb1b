"""A certificate authority of our own, for tests of TLS."""

import datetime
import ssl
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "only"]

DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates; ``client_context`` trusts it and nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._certificate = (
            self._builder("test authority", self._key, -DAY, DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: str, key: ec.EllipticCurvePrivateKey, begin: datetime.timedelta, end: datetime.timedelta
    ):
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now + begin)
            .not_valid_after(self._now + end)
        )

    def client_context(self) -> ssl.SSLContext:
        """Verifies against this authority only; TLS 1.2 or newer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self._certificate.public_bytes(serialization.Encoding.PEM).decode())
        return context

    @property
    def ca_pem(self) -> str:
        """What a client is told to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def pair(self, *names: x509.GeneralName, expired: bool = False) -> tuple[str, str]:
        """(certificate, key) for these names, in PEM: for a client, or for a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        begin, end = (-3 * DAY, -DAY) if expired else (-DAY, DAY)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder("server", key, begin, end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()

    def server_file(self, *names: x509.GeneralName, expired: bool = False) -> Path:
        """A file with a server's certificate for these names, and its key."""
        certificate, key = self.pair(*names, expired=expired)
        path = self._folder / f"server-{hash(certificate):x}.pem"
        path.write_text(certificate + key)
        return path

    def server_context(
        self, *names: x509.GeneralName, expired: bool = False, wants_client: "Authority | None" = None
    ) -> ssl.SSLContext:
        """A server with a certificate for these names. ``wants_client``: whose certificates its clients must show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file(*names, expired=expired))
        if wants_client is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=wants_client.ca_pem)
        return context


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """The same context, made to speak this version alone, however old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version
        context.minimum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
