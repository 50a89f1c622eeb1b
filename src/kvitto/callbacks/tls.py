"""TLS towards endpoints: whom we believe, and how we show who we are (P20).

TLS 1.2 or newer, certificate and name always verified: against the system's authorities, or against an endpoint's own
and those alone. An endpoint may want a certificate of ours too. What is wrong with such settings is told when they are
saved (``tls_problem``); a context is made at the first need and kept by ``kvitto.callbacks.post``.

Must not know: accounts, stores, HTTP.
"""

import os
import ssl
from dataclasses import dataclass, field
from typing import Final

__all__ = ["EndpointTls", "make_context", "tls_problem", "verified_tls"]

MOST_PEM_BYTES: Final = 64 * 1024
"""Of one field: a chain has a few certificates of some 2 KiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTls:
    """An endpoint's own settings, each PEM text; None: not set.

    ``ca_pem``: authorities that its certificate must come from, in place of the system's. ``client_cert_pem`` with its
    chain, ``client_key_pem`` without a password: what we show when it asks who we are.
    """

    ca_pem: str | None = None
    client_cert_pem: str | None = None
    client_key_pem: str | None = field(default=None, repr=False)
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        # Part of a pool's key, and long.
        object.__setattr__(self, "_hash", hash((self.ca_pem, self.client_cert_pem, self.client_key_pem)))

    def __hash__(self) -> int:
        return self._hash


def verified_tls(ca_pem: str | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name verified, against the system's authorities or these alone.

    Raises: ssl.SSLError, ValueError when ``ca_pem`` holds no certificate.
    """
    if ca_pem is not None and not (ca_pem.strip() and ca_pem.isascii()):
        raise ValueError("no certificate")  # of an empty one, ssl would make the system's authorities
    context = ssl.create_default_context(cadata=ca_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def make_context(options: EndpointTls) -> ssl.SSLContext:
    """Return the context for an endpoint with settings of its own. Raises: ssl.SSLError, OSError, ValueError."""
    context = verified_tls(options.ca_pem)
    if options.client_cert_pem is not None and options.client_key_pem is not None:
        _load_pair(context, options.client_cert_pem, options.client_key_pem)
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL reads pairs from files only: this one is in memory, so that no key ever lies on a disk."""
    handle = os.memfd_create("kvitto-client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        file.write(f"{certificate}\n{key}\n".encode())
        file.flush()
        # Without a word for it, OpenSSL would ask the terminal for a key's password.
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=lambda: b"")


def tls_problem(options: EndpointTls) -> str | None:
    """Say in words what is wrong with an endpoint's settings, naming the field; None when they can be used."""
    for name in ("ca_pem", "client_cert_pem", "client_key_pem"):
        if len(getattr(options, name) or "") > MOST_PEM_BYTES:
            return f"{name}: longer than {MOST_PEM_BYTES} characters"
    try:
        verified_tls(options.ca_pem)
    except (ssl.SSLError, ValueError):
        return "ca_pem: no certificate in PEM can be read in it"
    if (options.client_cert_pem is None) != (options.client_key_pem is None):
        missing = "client_key_pem" if options.client_key_pem is None else "client_cert_pem"
        return f"{missing}: missing; a client certificate and its key go together"
    try:
        make_context(options)
    except (ssl.SSLError, OSError, ValueError):
        return "client_cert_pem, client_key_pem: not a certificate and its own key, without a password, in PEM"
    return None
