"""A made-up report of a made-up message, to show an endpoint what callbacks look like. Nothing of it is stored.

Pure. Its number is 0, which no callback has; its recipient is one that no subscriber has. Must not know: dialects.
"""

from typing import Final, NamedTuple

from kvitto.core.model import CallbackDue, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, ErrorSource, Note, Reason, Status, StatusError

__all__ = ["SAMPLE_STATUSES", "Sample", "sample_due"]

RECIPIENT: Final = "46701740605"
"""One of the Swedish numbers set aside for fiction."""
_BATCH: Final = "01SAMPLE000000000000000000"
_MESSAGE: Final = "01SAMPLE000000000000000001"

SAMPLE_STATUSES: Final = {
    "delivered": (Status.DELIVERED, Reason.DELIVERED, NO_ERROR),
    "failed": (Status.FAILED, Reason.UNDELIVERABLE, StatusError(ErrorSource.NETWORK, "027", 3, 27)),
    "expired": (Status.EXPIRED, Reason.VALIDITY_SMSC, StatusError(ErrorSource.NETWORK, "032", 3, 32)),
}


class Sample(NamedTuple):
    """One sample as it was posted, and what came back. ``status`` None: no answer, and ``error`` says why.

    ``taken``: the callback would be done. ``meaning``: what would become of it, in words.
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None
    answer: bytes
    error: str | None
    elapsed_ms: int
    taken: bool
    meaning: str


def sample_due(account_id: str, dialect: str, url: str, status: str, now: int) -> CallbackDue:
    """Return a callback as if one were due at ``now`` (ms UTC); ``status``: of ``SAMPLE_STATUSES``."""
    ended, reason, error = SAMPLE_STATUSES[status]
    view = MessageView(
        _MESSAGE,
        _BATCH,
        account_id,
        RECIPIENT,
        ended,
        reason,
        now,
        now,
        error,
        1,
        Note.NONE,
        now - 2000,
        "sample",
        ContentKind.TEXT,
        None,
        dialect=dialect,
        sender="Kvitto",
        sent_at=now - 2000,
    )
    return CallbackDue(0, account_id, dialect, url, view, False, 0, now, None)
