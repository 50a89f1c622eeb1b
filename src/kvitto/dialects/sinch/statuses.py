"""What a recipient's record is called at Sinch: (status, reason, error) -> (status, code), as one table.

The rows are docs/status.md section 3 (Sinch column), the two rules for numbers its sections 4 (NET: a receipt's code)
and 5 (SUB: a refused submit). Must not know: JSON, batches. Next: ``kvitto.core.status``.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final

from kvitto.core.status import Reason, Status, StatusError

__all__ = ["ROWS", "STATUS_NAMES", "SUBMIT_CODES", "CodeRule", "chooser", "status_and_code"]


class CodeRule(Enum):
    """Where the code of a row comes from, if it is not fixed."""

    NET = "the receipt's own number, else 0"
    SUB = "by command_status"


ROWS: Final[Mapping[tuple[Status, Reason], tuple[str, int | CodeRule]]] = {
    # docs/status.md 3.1: not final
    (Status.QUEUED, Reason.QUEUED): ("Queued", 400),
    (Status.QUEUED, Reason.SCHEDULED): ("Queued", 400),
    (Status.QUEUED, Reason.WAITING_LINK): ("Queued", 400),
    (Status.QUEUED, Reason.RETRYING): ("Queued", 400),
    (Status.QUEUED, Reason.IN_FLIGHT): ("Queued", 400),
    (Status.DISPATCHED, Reason.ACCEPTED): ("Dispatched", 401),
    (Status.DISPATCHED, Reason.SCHEDULED_SMSC): ("Dispatched", 401),
    (Status.DISPATCHED, Reason.ENROUTE): ("Dispatched", 401),
    (Status.DISPATCHED, Reason.OPERATOR_ACCEPTED): ("Dispatched", 401),
    (Status.DISPATCHED, Reason.RETRYING_SMSC): ("Dispatched", 401),
    # 3.2: final, from the SMSC
    (Status.DELIVERED, Reason.DELIVERED): ("Delivered", 0),
    (Status.FAILED, Reason.UNDELIVERABLE): ("Failed", CodeRule.NET),
    (Status.FAILED, Reason.SKIPPED): ("Failed", CodeRule.NET),
    (Status.EXPIRED, Reason.VALIDITY_SMSC): ("Expired", CodeRule.NET),
    (Status.DELETED, Reason.DELETED_SMSC): ("Deleted", CodeRule.NET),
    (Status.REJECTED, Reason.REJECTED_SMSC): ("Rejected", CodeRule.NET),
    (Status.REJECTED, Reason.SUBMIT_REFUSED): ("Rejected", CodeRule.SUB),
    (Status.UNKNOWN, Reason.SMSC_UNKNOWN): ("Unknown", CodeRule.NET),
    (Status.UNKNOWN, Reason.UNREADABLE): ("Unknown", 0),
    (Status.UNKNOWN, Reason.NO_RECEIPT): ("Unknown", 0),
    (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED): ("Unknown", 0),
    # 3.3: final, from us
    (Status.EXPIRED, Reason.VALIDITY_LOCAL): ("Aborted", 406),  # the one place where Sinch's status differs from ours
    (Status.CANCELLED, Reason.CANCELLED): ("Cancelled", 407),
    (Status.ABORTED, Reason.NO_ROUTE): ("Aborted", 402),
    (Status.ABORTED, Reason.BLOCKED_DESTINATION): ("Aborted", 408),
    (Status.ABORTED, Reason.BLOCKED_SENDER): ("Aborted", 408),
    (Status.ABORTED, Reason.NO_SENDER): ("Aborted", 410),
    (Status.ABORTED, Reason.UNMATCHED_PARAMETER): ("Aborted", 405),
    (Status.ABORTED, Reason.TOO_MANY_PARTS): ("Aborted", 411),
    (Status.ABORTED, Reason.UNPROVISIONED): ("Aborted", 412),
    (Status.ABORTED, Reason.ACCOUNT_BLOCKED): ("Aborted", 413),
    (Status.ABORTED, Reason.FLOODING): ("Aborted", 408),
    (Status.ABORTED, Reason.INTERNAL): ("Aborted", 403),
}
"""Total over ``kvitto.core.status.REASONS_OF``."""

_FIXED: Final = {pair: (name, code) for pair, (name, code) in ROWS.items() if isinstance(code, int)}
"""The rows without a number to consider: what is shown, ready made."""

STATUS_NAMES: Final = tuple(sorted({name for name, _ in ROWS.values()}))
"""The ten statuses of docs/dialects/sinch.md 9."""

SUBMIT_CODES: Final[Mapping[int, int]] = {
    0x01: 343,  # bad length
    0x0A: 310,  # bad source
    0x48: 310,
    0x49: 310,
    0x0B: 300,  # bad destination
    0x50: 300,
    0x51: 300,
    0x33: 300,
}
"""command_status -> code (docs/status.md 5); every other one is 11, not delivered."""

_NOT_DELIVERED: Final = 11
_SINCH_OWN: Final = range(400, 419)
"""Codes with a meaning of Sinch's own: a network's number among them would be misread, so 0 goes out instead."""

_NETWORK_TYPES: Final = frozenset({None, 3, 7, 8})
_ERR_DIGITS_MAX: Final = 9
"""Longer "numbers" in a receipt's ``err`` are none."""


def status_and_code(status: Status, reason: Reason, error: StatusError) -> tuple[str, int]:
    """Return the status and code that Sinch shows for this record."""
    fixed = _FIXED.get((status, reason))
    if fixed is not None:
        return fixed
    name, code = ROWS[status, reason]
    if code is CodeRule.NET:
        return name, _network_code(error)
    return name, SUBMIT_CODES.get(error.command_status or 0, _NOT_DELIVERED)


def _network_code(error: StatusError) -> int:
    """The receipt's ``err``, else its network_error_code (docs/status.md 4)."""
    text = error.text
    number = 0
    if text is not None and len(text) <= _ERR_DIGITS_MAX and text.isascii() and text.isdigit():
        number = int(text)
    if number == 0 and error.net_code is not None and error.net_type in _NETWORK_TYPES:
        number = error.net_code
    return 0 if number < 0 or number in _SINCH_OWN else number


def chooser(statuses: Iterable[str], codes: Iterable[int]) -> Callable[[Status, Reason, StatusError], bool] | None:
    """Return the predicate for the ``status`` and ``code`` filters: both must hold; None when there is neither."""
    names, numbers = frozenset(statuses), frozenset(codes)
    if not names and not numbers:
        return None

    def shows(status: Status, reason: Reason, error: StatusError) -> bool:
        name, code = status_and_code(status, reason, error)
        return (not names or name in names) and (not numbers or code in numbers)

    return shows
