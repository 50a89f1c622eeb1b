"""Secrets at rest: what must be known again in clear (callback secrets) is stored sealed, with a key kept beside the
data.

The key is a file of its own (``kvitto.key``, mode 0600), so that a copy of the database alone gives nothing away.
Tokens and passwords are not sealed: only their hashes are kept. Must not know: what is sealed. Next:
``kvitto.store.keycheck``, which sees to it that key and database belong together.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken

from kvitto.core.errors import KvittoError

__all__ = ["KEY_FILE", "Seal", "SealBroken", "make_key", "read_seal"]

KEY_FILE: Final = "kvitto.key"

_PREFIX: Final = "f1:"
"""Names the way it was sealed, so that another way can follow beside it."""


class SealBroken(KvittoError):
    """A sealed value (or the key file) cannot be read: another key, or changed octets."""


class Seal:
    """Seals and unseals short texts with one key: Fernet, that is AES-128-CBC with HMAC-SHA256."""

    def __init__(self, key: bytes) -> None:
        """``key``: 32 octets in URL-safe Base64. Raises: SealBroken for anything else."""
        try:
            self._fernet = Fernet(key)
        except ValueError as wrong:
            raise SealBroken("the key is not 32 octets in URL-safe Base64") from wrong

    @classmethod
    def fresh(cls) -> "Seal":
        """A seal with a new key that is kept nowhere: for tests and throw-away stores."""
        return cls(Fernet.generate_key())

    def seal(self, text: str) -> str:
        """Return the sealed form; sealing the same text twice gives two different ones."""
        return _PREFIX + self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Return the text. Raises: SealBroken when this key did not seal it."""
        if not sealed.startswith(_PREFIX):
            raise SealBroken("a stored secret is not sealed in a way this version knows")
        try:
            return self._fernet.decrypt(sealed[len(_PREFIX) :].encode()).decode()
        except (InvalidToken, UnicodeError) as broken:
            raise SealBroken(
                f"a stored secret does not open with this key ({KEY_FILE} belongs to the database)"
            ) from broken


def read_seal(data_dir: Path) -> Seal | None:
    """Return the seal of a data directory, None when it has no key file.

    Raises: SealBroken when the file cannot be read or holds no key.
    """
    path = data_dir / KEY_FILE
    try:
        return Seal(path.read_bytes().strip())
    except FileNotFoundError:
        return None
    except SealBroken as wrong:
        raise SealBroken(f"{path}: {wrong}") from wrong
    except OSError as wrong:
        raise SealBroken(f"{path}: {wrong.strerror}") from wrong


def make_key(data_dir: Path) -> bool:
    """Make a key file, and the directory; returns False when there is one already.

    Two processes that start at once agree on one key: it is written aside and linked into place, and the first one
    wins. Raises: OSError as the file system has it.
    """
    path = data_dir / KEY_FILE
    data_dir.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return False
    finally:
        aside.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True
