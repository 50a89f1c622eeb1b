"""What every callback carries in its head beside the dialect's own fields: its id, a signature, its place and time.

The signature is that of the Standard Webhooks specification (https://www.standardwebhooks.com), in every dialect, so
that bodies stay the vendors' octet for octet (P18). Fields and example: docs/callbacks.md 3.

Pure. Must not know: what bodies say, who posts. Next: ``kvitto.core.secrets``, ``kvitto.callbacks.outbox``.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from kvitto.core.model import CallbackDue
from kvitto.core.secrets import hmac_base64, key_of

__all__ = [
    "EVENT_AT",
    "RESERVED",
    "SEQUENCE",
    "TOLERANCE_S",
    "Finding",
    "Verdict",
    "callback_lines",
    "signature",
    "verify",
    "webhook_id",
]

SEQUENCE: Final = "X-Kvitto-Sequence"
EVENT_AT: Final = "X-Kvitto-Event-At"

TOLERANCE_S: Final = 300.0
"""How far a callback's time may lie from the receiver's; what the libraries of the specification take."""

TIMESTAMP_DIGITS: Final = 15
"""More are no time; and reading very many would be slow."""

RESERVED: Final = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        SEQUENCE.lower(),
        EVENT_AT.lower(),
        "x-sinch-webhook-signature",
        "x-sinch-webhook-signature-algorithm",
        "x-sinch-webhook-signature-nonce",
        "x-sinch-webhook-signature-timestamp",
    }
)
"""Names that an endpoint's own extra fields may not have: they are written here, or would break the framing."""


def webhook_id(dues: Sequence[CallbackDue]) -> str:
    """Return the id of a call: the same at each try, another for every other call, of other installations too.

    Of one callback: when it became due (ms UTC) and its number. Of several in one call, also how many and a hash of
    all their numbers: a retry that carries more than the try before it is another call, and must not be dropped as
    a duplicate.
    """
    if len(dues) == 1:
        return f"cb_{dues[0].created_at}_{dues[0].id}"
    first, *_ = in_order = sorted(dues, key=lambda due: due.id)
    numbers = sha256(",".join(str(due.id) for due in in_order).encode()).hexdigest()[:16]
    return f"cb_{first.created_at}_{first.id}_{len(dues)}_{numbers}"


def signature(secret: str, call_id: str, timestamp: str, body: bytes) -> str:
    """Return ``v1,`` and Base64(HMAC-SHA256(key, id "." timestamp "." body)); ``timestamp``: s since the epoch."""
    return "v1," + hmac_base64(
        _key_of(secret), b"%b.%b.%b" % (call_id.encode("utf-8", "replace"), timestamp.encode(), body)
    )


def callback_lines(dues: Sequence[CallbackDue], body: bytes, secrets: Sequence[str], now: int) -> bytes:
    """Return the head's lines that every call carries, as they go over the wire; ``now``: of this try, ms UTC.

    ``secrets``: those that sign now, the newest first; two while one replaces the other. Sequence and time are those
    of the last event that the call tells.
    """
    call_id, timestamp, last = webhook_id(dues), str(now // 1000), dues[0]
    if len(dues) > 1:
        last = max(dues, key=lambda due: due.id)
    signatures = " ".join([signature(secret, call_id, timestamp, body) for secret in secrets])
    return (
        f"webhook-id: {call_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signatures}\r\n"
        f"{SEQUENCE}: {last.id}\r\n{EVENT_AT}: {_second(last.created_at // 1000)}.{last.created_at % 1000:03}Z\r\n"
    ).encode("ascii")


_key_of: Final = lru_cache(maxsize=1024)(key_of)


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    """A second as RFC 3339 has it, without its zone; many callbacks share one."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Finding(StrEnum):
    """What the check of a signature came to; the value says it to people."""

    GENUINE = "genuine: signed with this secret, in time, and unchanged"
    MISSING = "not signed: a header is missing"
    BAD_TIMESTAMP = "refused: webhook-timestamp is no number of seconds"
    TOO_OLD = "refused: too old; it may be a copy of an earlier callback"
    TOO_NEW = "refused: from the future; compare the clocks of the two machines"
    NO_VERSION = "refused: webhook-signature has no signature of version v1"
    FORGED = "refused: no signature fits: another secret, or the body is not as it was sent, octet for octet"


class Verdict(NamedTuple):
    """``detail``: the header, or the seconds, that it is about; ``secret``: which of those given fits, from 0."""

    finding: Finding
    detail: str = ""
    secret: int | None = None

    @property
    def is_genuine(self) -> bool:
        """Whether the callback is ours, unchanged and in time."""
        return self.finding is Finding.GENUINE

    def __str__(self) -> str:
        return f"{self.finding} ({self.detail})" if self.detail else str(self.finding)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: int,
    tolerance_s: float = TOLERANCE_S,
) -> Verdict:
    """Check a callback as a receiver does; ``headers`` in any case, ``body`` as it came, ``now`` in ms UTC.

    A signature that fits counts more than its time: what is too old is first shown to be ours. Raises: nothing.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not given.get(name):
            return Verdict(Finding.MISSING, name)
    timestamp = given["webhook-timestamp"]
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_DIGITS):
        return Verdict(Finding.BAD_TIMESTAMP)
    offered = [one for one in given["webhook-signature"].split() if one.startswith("v1,")]
    if not offered:
        return Verdict(Finding.NO_VERSION)
    fits = _which_fits(offered, given["webhook-id"], timestamp, body, secrets)
    if fits is None:
        return Verdict(Finding.FORGED)
    ahead_s = int(timestamp) - now / 1000
    if abs(ahead_s) > tolerance_s:
        detail = f"by {abs(ahead_s):.0f} s, more than {tolerance_s:g} s"
        return Verdict(Finding.TOO_NEW if ahead_s > 0 else Finding.TOO_OLD, detail, fits)
    return Verdict(Finding.GENUINE, "", fits)


def _which_fits(offered: list[str], call_id: str, timestamp: str, body: bytes, secrets: Sequence[str]) -> int | None:
    for number, secret in enumerate(secrets):
        right = signature(secret, call_id, timestamp, body).encode()
        if any(hmac.compare_digest(right, one.encode("utf-8", "replace")) for one in offered):
            return number
    return None
