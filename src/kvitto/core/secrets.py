"""The secrets that callbacks are signed with, and the HMAC that uses them (P18).

Pure. Must not know: what is signed, where secrets are kept. Next: ``kvitto.callbacks.signing``,
``kvitto.dialects.sinch.callbacks``.
"""

import base64
import binascii
import hashlib
from binascii import b2a_base64
from functools import lru_cache
from typing import Final

__all__ = ["PREFIX", "hmac_base64", "key_of", "secret_problem"]

PREFIX: Final = "whsec_"
LEAST_OCTETS: Final = 24
MOST_OCTETS: Final = 64
"""A key of 192 to 512 bits, as the Standard Webhooks specification asks."""

_BLOCK_BYTES: Final = hashlib.sha256().block_size
_INNER: Final = bytes(octet ^ 0x36 for octet in range(256))
_OUTER: Final = bytes(octet ^ 0x5C for octet in range(256))


def secret_problem(secret: str) -> str | None:
    """Say in words why a secret that somebody chose cannot be used; None when it can. The words do not repeat it."""
    if not secret.startswith(PREFIX):
        return f'it must begin with "{PREFIX}"'
    try:
        octets = len(base64.b64decode(secret[len(PREFIX) :], validate=True))
    except ValueError:
        return f'what follows "{PREFIX}" must be Base64'
    if not LEAST_OCTETS <= octets <= MOST_OCTETS:
        return f'what follows "{PREFIX}" must be Base64 of {LEAST_OCTETS} to {MOST_OCTETS} octets, it has {octets}'
    return None


def key_of(secret: str) -> bytes:
    """Return the key of the Standard Webhooks signature: what follows ``whsec_``, Base64-decoded.

    A secret that is no Base64 is used as it stands, in UTF-8: ``secret_problem`` refuses it where it comes in, and a
    callback must not fail by it.
    """
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        return secret.encode()


def hmac_base64(key: bytes, message: bytes) -> str:
    """Return Base64(HMAC-SHA256(key, message)) (RFC 2104 2). Cheap for a key seen lately."""
    inner, outer = _keyed(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(message)
    outer.update(inner.digest())
    return b2a_base64(outer.digest(), newline=False).decode()


@lru_cache(maxsize=1024)
def _keyed(key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """HMAC's two hashes with the key in them: to prepare a key costs more than to sign a callback."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))
