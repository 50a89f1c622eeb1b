"""The only reader of randomness: ids and secrets.

A batch id is a ULID (26 characters of Crockford base 32: 48 bits of milliseconds, 80 bits of chance) whose lowest 20
bits are zero; they number the batch's messages. So a message's id is its batch's id with the last four characters
counted up: one draw of chance names a whole batch, a batch's messages lie side by side in the store, and no index on
``batch_id`` is needed (ADR 0006). Ids made within one millisecond still rise, so lists by id are lists by time.

Ids and nonces must be unique, not secret: their chance comes from a generator seeded once. (A call of the operating
system's for each gives the interpreter's lock away each time, which under load costs more than the id.)

Must not know: what the ids are for. Next: ``kvitto.core.model``.
"""

import base64
import hashlib
import itertools
import random
import secrets
from typing import Final

from kvitto.core.clock import Clock

__all__ = [
    "MESSAGES_PER_BATCH",
    "IdMaker",
    "batch_of",
    "chance",
    "empty_batch_id",
    "first_message_id",
    "message_ids",
    "message_range",
    "new_nonce",
    "new_secret",
    "new_token",
]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PREFIX_CHARS: Final = 22
MESSAGES_PER_BATCH: Final = (1 << 20) - 1
"""How many messages one batch id can number: four base-32 characters, less the batch itself."""

_chance: Final = random.Random(secrets.randbits(256))
_THIRTY_BITS: Final = (1 << 30) - 1
_NONCE_PREFIX: Final = secrets.token_hex(8)
_nonces: Final = itertools.count(1)
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_SMALL_SLOTS: Final = [_PAIRS[n >> 10] + _PAIRS[n & 1023] for n in range(1024)]


def _slot(number: int) -> str:
    return _SMALL_SLOTS[number] if number < 1024 else _PAIRS[number >> 10] + _PAIRS[number & 1023]


class IdMaker:
    """Makes batch ids and other ULIDs that rise with time, also within one millisecond."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_at = 0
        self._stamp = ""
        self._chance = 0

    def new(self) -> str:
        """Return a fresh ULID with its lowest 20 bits zero: 26 characters."""
        at = self._clock.now()
        pairs = _PAIRS
        if at > self._last_at:
            self._last_at, self._chance = at, _chance.getrandbits(59)
            self._stamp = "".join([pairs[(at >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])
        else:
            self._chance += 1 + _chance.getrandbits(16)
        value = self._chance
        high, low = (value >> 30) & _THIRTY_BITS, value & _THIRTY_BITS
        return (
            self._stamp
            + pairs[high >> 20]
            + pairs[(high >> 10) & 1023]
            + pairs[high & 1023]
            + pairs[low >> 20]
            + pairs[(low >> 10) & 1023]
            + pairs[low & 1023]
            + "0000"
        )


def message_ids(batch_id: str, count: int, start: int = 1) -> list[str]:
    """Return the ids of messages ``start`` .. ``start + count - 1`` of a batch."""
    prefix = batch_id[:_PREFIX_CHARS]
    return [prefix + _slot(n) for n in range(start, start + count)]


def first_message_id(batch_id: str) -> str:
    """Return the id of a batch's first message, most often its only one."""
    return batch_id[:_PREFIX_CHARS] + "0001"


def batch_of(message_id: str) -> str:
    """Return the id of the batch that a message id belongs to."""
    return message_id[:_PREFIX_CHARS] + "0000"


def empty_batch_id(at: int, request: bytes) -> str:
    """Return an id for a request of which nothing was stored, where an answer must have one: the instant (ms UTC) and
    a digest of the request. The same both times for the same; it names nothing.
    """
    digest = int.from_bytes(hashlib.blake2b(request, digest_size=8).digest()) >> 4
    pairs = [_PAIRS[(at >> shift) & 1023] for shift in (40, 30, 20, 10, 0)]
    return "".join([*pairs, *(_PAIRS[(digest >> shift) & 1023] for shift in (50, 40, 30, 20, 10, 0)), "0000"])


def message_range(batch_id: str) -> tuple[str, str]:
    """Return the least and the greatest id that a message of this batch can have, for a range scan."""
    prefix = batch_id[:_PREFIX_CHARS]
    return prefix + "0001", prefix + "ZZZZ"


def new_token(octets: int = 24) -> str:
    """Return a URL-safe secret with ``octets`` octets of chance; it never begins like a command-line option."""
    while (token := secrets.token_urlsafe(octets))[0] in "-_":
        pass
    return token


def chance() -> float:
    """Return a number from 0 to 1, for jitter."""
    return _chance.random()


def new_nonce() -> str:
    """Return a unique string for one signed request: 8 octets of this process's chance and a count, in hex."""
    return _NONCE_PREFIX + f"{next(_nonces):016x}"


def new_secret() -> str:
    """Return a callback secret: ``whsec_`` and 32 random octets in Base64 (Standard Webhooks form)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
