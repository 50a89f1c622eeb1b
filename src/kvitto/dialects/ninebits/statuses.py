"""Our statuses in 9bits' words, and the error code that goes with each (docs/dialects/ninebits.md 4, 5.3;
docs/status.md 3, 4).

Must not know: which report or callback a status stands in. Next: ``kvitto.dialects.ninebits.responses``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kvitto.core.status import Reason, Status, StatusError

__all__ = ["CODES", "NAMES", "STATUS_NAMES", "chooser", "error_code", "status_and_code"]

NO_ERROR_CODE: Final = "000"

NAMES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "Queued",
    Status.DISPATCHED: "Dispatched",
    Status.DELIVERED: "Delivered",
    Status.FAILED: "Failed",
    Status.EXPIRED: "Expired",
    Status.REJECTED: "Rejected",
    Status.DELETED: "Failed",
    Status.CANCELLED: "Failed",
    Status.ABORTED: "Failed",
    Status.UNKNOWN: "Unknown",
}
"""Our ten in their seven: nobody is told of a cancel or a deletion here, so these have failed (docs/status.md 7)."""

STATUS_NAMES: Final = ("Queued", "Dispatched", "Rejected", "Delivered", "Failed", "Expired", "Unknown")
"""The seven statuses of section 4, in its order."""

_FAILED, _NO_RECEIPT, _UNREADABLE, _NOT_TAKEN, _NO_ROUTE = "900", "901", "902", "903", "904"
_OUR_RULES, _CANCELLED, _INTERNAL, _EXPIRED, _SMSC_UNKNOWN = "905", "906", "907", "908", "909"

CODES: Final[Mapping[Reason, str]] = {
    Reason.UNDELIVERABLE: _FAILED,
    Reason.SKIPPED: _FAILED,
    Reason.VALIDITY_SMSC: _EXPIRED,
    Reason.VALIDITY_LOCAL: _NOT_TAKEN,
    Reason.DELETED_SMSC: _FAILED,
    Reason.REJECTED_SMSC: _FAILED,
    Reason.SUBMIT_REFUSED: _FAILED,
    Reason.SMSC_UNKNOWN: _SMSC_UNKNOWN,
    Reason.UNREADABLE: _UNREADABLE,
    Reason.NO_RECEIPT: _NO_RECEIPT,
    Reason.NOT_ACKNOWLEDGED: _NO_RECEIPT,
    Reason.CANCELLED: _CANCELLED,
    Reason.NO_ROUTE: _NO_ROUTE,
    Reason.BLOCKED_DESTINATION: _OUR_RULES,
    Reason.BLOCKED_SENDER: _OUR_RULES,
    Reason.NO_SENDER: _OUR_RULES,
    Reason.UNMATCHED_PARAMETER: _OUR_RULES,
    Reason.TOO_MANY_PARTS: _OUR_RULES,
    Reason.UNPROVISIONED: _NO_ROUTE,
    Reason.ACCOUNT_BLOCKED: _OUR_RULES,
    Reason.FLOODING: _OUR_RULES,
    Reason.INTERNAL: _INTERNAL,
}
"""The code of ours for each end without success, where no other code was told. Reasons that are not here are no
errors."""

_TOLD_BY_RECEIPT: Final = frozenset(
    {
        Reason.UNDELIVERABLE,
        Reason.SKIPPED,
        Reason.VALIDITY_SMSC,
        Reason.DELETED_SMSC,
        Reason.REJECTED_SMSC,
        Reason.SMSC_UNKNOWN,
    }
)
"""Ends for which the receipt's own code counts."""

_NETWORK_TYPES: Final = frozenset({None, 3, 7, 8})
_NO_CODE_WORDS: Final = frozenset({"NULL", "NONE"})
_TEXT_MAX_CHARS: Final = 8
_PADDED: Final = 3


def status_and_code(status: Status, reason: Reason, error: StatusError) -> tuple[str, str]:
    """Return the status and error code that 9bits shows for this record."""
    return NAMES[status], error_code(reason, error)


def error_code(reason: Reason, error: StatusError) -> str:
    """Return three digits or more, or up to eight digits and capital letters (section 5.3)."""
    ours = CODES.get(reason)
    if ours is None:
        return NO_ERROR_CODE
    if reason in _TOLD_BY_RECEIPT:
        return _receipt_code(error) or ours
    if reason is Reason.SUBMIT_REFUSED and error.command_status:
        return _pad(str(error.command_status))
    return ours


def _receipt_code(error: StatusError) -> str:
    """The receipt's ``err``; when that is zero or no code, its network_error_code; "" for none."""
    text = (error.text or "").upper()
    if text.isascii() and text.isdigit():
        text = text.lstrip("0")
        if text:
            return _pad(text)
    elif text.isascii() and text.isalnum() and len(text) <= _TEXT_MAX_CHARS and text not in _NO_CODE_WORDS:
        return text
    if error.net_code is not None and error.net_code > 0 and error.net_type in _NETWORK_TYPES:
        return _pad(str(error.net_code))
    return ""


def _pad(digits: str) -> str:
    return digits.rjust(_PADDED, "0")


def chooser(names: Iterable[str]) -> Callable[[Status, Reason, StatusError], bool] | None:
    """Return the predicate for the ``status`` filter; None when it is empty."""
    wanted = frozenset(names)
    if not wanted:
        return None

    def shows(status: Status, reason: Reason, error: StatusError) -> bool:
        return NAMES[status] in wanted

    return shows
