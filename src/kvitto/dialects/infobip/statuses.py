"""What a message's record is called at Infobip: (status, reason, error) -> status and error, as tables.

``STATUSES`` is the vendor's list (docs/dialects/infobip.md 9), ``ROWS`` docs/status.md section 3 (Infobip column), the
two rules for numbers its sections 4 (NET: a receipt's code) and 5 (SUB: a refused submit).

Must not know: JSON, batches. Next: ``kvitto.dialects.infobip.gsm_errors``, ``kvitto.core.status``.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from kvitto.core.status import Reason, Status, StatusError
from kvitto.dialects.infobip.gsm_errors import GsmError, by_id

__all__ = [
    "GROUPS",
    "MAP_ERRORS",
    "NO_ERROR",
    "ROWS",
    "STATUSES",
    "SUBMIT_ERRORS",
    "LinkErrors",
    "Row",
    "VendorStatus",
    "chooser",
    "error_of",
    "status_of",
    "statuses_in",
    "vendor_status",
]


class VendorStatus(NamedTuple):
    """One status of the vendor's: its group, id and name, and the text on the wire; ``era`` as in ``GsmError``."""

    group: int
    id: int
    name: str
    description: str
    era: str = ""


GROUPS: Final[Mapping[int, str]] = {
    0: "ACCEPTED",
    1: "PENDING",
    2: "UNDELIVERABLE",
    3: "DELIVERED",
    4: "EXPIRED",
    5: "REJECTED",
}

_TABLE: Final[tuple[tuple[int, int, str, str, str], ...]] = (
    (0, 0, "MESSAGE_ACCEPTED", "Message accepted", "old"),
    (1, 1, "PENDING_TIME_VIOLATION", "Time window violation", "old"),
    (1, 3, "PENDING_WAITING_DELIVERY", "Message sent, waiting for delivery report", ""),
    (1, 7, "PENDING_ENROUTE", "Message sent to next instance", ""),
    (1, 26, "PENDING_ACCEPTED", "Message sent to next instance", ""),
    (1, 27, "PENDING_APPROVAL", "Pending Approval", "old"),
    (2, 4, "UNDELIVERABLE_REJECTED_OPERATOR", "Message rejected by operator", ""),
    (2, 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered", ""),
    (2, 31, "UNDELIVERABLE_NOT_SENT", "Message not sent", ""),
    (3, 2, "DELIVERED_TO_OPERATOR", "Message delivered to operator", ""),
    (3, 5, "DELIVERED_TO_HANDSET", "Message delivered to handset", ""),
    (3, 30, "DELIVERED", "MO forwarded action completed", "old"),
    (4, 15, "EXPIRED_EXPIRED", "Message expired", ""),
    (4, 22, "EXPIRED_UNKNOWN", "Unknown Reason", "old"),
    (4, 29, "EXPIRED_DLR_UNKNOWN", "Expired DLR Unknown", ""),
    (4, 87, "SIGNALS_BLOCKED", "Signals Blocked", "new"),
    (5, 6, "REJECTED_NETWORK", "Network is forbidden", ""),
    (5, 8, "REJECTED_PREFIX_MISSING", "Number prefix missing", ""),
    (5, 10, "REJECTED_DND", "Destination on DND list", ""),
    (5, 11, "REJECTED_SOURCE", "Invalid Source address", ""),
    (5, 12, "REJECTED_NOT_ENOUGH_CREDITS", "Not enough credits", ""),
    (5, 13, "REJECTED_SENDER", "By Sender", ""),
    (5, 14, "REJECTED_DESTINATION_BLOCKLISTED", "By Destination", ""),
    (5, 16, "REJECTED_NOT_REACHABLE", "Network not reachable", "old"),
    (5, 17, "REJECTED_PREPAID_PACKAGE_EXPIRED", "Prepaid package expired", ""),
    (5, 18, "REJECTED_DESTINATION_NOT_REGISTERED", "Destination not registered", ""),
    (5, 19, "REJECTED_ROUTE_NOT_AVAILABLE", "Route not available", ""),
    (5, 20, "REJECTED_FLOODING_FILTER", "Rejected flooding", ""),
    (5, 21, "REJECTED_SYSTEM_ERROR", "System error", ""),
    (5, 23, "REJECTED_DUPLICATE_MESSAGE_ID", "Rejected duplicate message ID", ""),
    (5, 24, "REJECTED_INVALID_UDH", "Rejected invalid UDH", ""),
    (5, 25, "REJECTED_MESSAGE_TOO_LONG", "Rejected message too long", ""),
    (5, 28, "REJECTED_NOT_SENT", "Rejected Not Sent", "old"),
    (5, 51, "MISSING_TO", "Missing destination", ""),
    (5, 52, "REJECTED_DESTINATION", "Invalid destination address", ""),
    (5, 87, "SIGNALS_BLOCKED", "Signals Blocked", "new"),
    (5, 100, "UNDELIVERABLE_REJECTED_PLATFORM", "Undeliverable Rejected Platform", "new"),
)

STATUSES: Final[tuple[VendorStatus, ...]] = tuple(map(VendorStatus._make, _TABLE))
"""In the order of the vendor's list; 87 stands in two groups."""

_BY_ID: Final[Mapping[int, VendorStatus]] = {row.id: row for row in STATUSES}


def vendor_status(number: int) -> VendorStatus:
    """Return the status with this id. Raises: KeyError for one that is not in the list."""
    return _BY_ID[number]


class Row(NamedTuple):
    """One row of docs/status.md 3: the status id; and the error id, which for ``net`` is only what stands after "else".

    ``submit``: the error is found by command_status.
    """

    status: int
    error: int = 0
    net: bool = False
    submit: bool = False


ROWS: Final[Mapping[tuple[Status, Reason], Row]] = {
    # docs/status.md 3.1: not final
    (Status.QUEUED, Reason.QUEUED): Row(26),
    (Status.QUEUED, Reason.SCHEDULED): Row(26),
    (Status.QUEUED, Reason.WAITING_LINK): Row(26),
    (Status.QUEUED, Reason.RETRYING): Row(26),
    (Status.QUEUED, Reason.IN_FLIGHT): Row(7),
    (Status.DISPATCHED, Reason.ACCEPTED): Row(3),
    (Status.DISPATCHED, Reason.SCHEDULED_SMSC): Row(3),
    (Status.DISPATCHED, Reason.ENROUTE): Row(3),
    (Status.DISPATCHED, Reason.OPERATOR_ACCEPTED): Row(3),
    (Status.DISPATCHED, Reason.RETRYING_SMSC): Row(3, net=True),
    # 3.2: final, from the SMSC
    (Status.DELIVERED, Reason.DELIVERED): Row(5),
    (Status.FAILED, Reason.UNDELIVERABLE): Row(9, 255, net=True),
    (Status.FAILED, Reason.SKIPPED): Row(9, 4097, net=True),
    (Status.EXPIRED, Reason.VALIDITY_SMSC): Row(15, 4098, net=True),
    (Status.DELETED, Reason.DELETED_SMSC): Row(9, 4100, net=True),
    (Status.REJECTED, Reason.REJECTED_SMSC): Row(4, 632, net=True),
    (Status.REJECTED, Reason.SUBMIT_REFUSED): Row(4, submit=True),
    (Status.UNKNOWN, Reason.SMSC_UNKNOWN): Row(29, 255, net=True),
    (Status.UNKNOWN, Reason.UNREADABLE): Row(29, 501),
    (Status.UNKNOWN, Reason.NO_RECEIPT): Row(29, 2048),
    (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED): Row(29, 815),
    # 3.3: final, from us
    (Status.EXPIRED, Reason.VALIDITY_LOCAL): Row(15, 4101),
    (Status.CANCELLED, Reason.CANCELLED): Row(31, 4100),
    (Status.ABORTED, Reason.NO_ROUTE): Row(6, 345),
    (Status.ABORTED, Reason.BLOCKED_DESTINATION): Row(14, 2052),
    (Status.ABORTED, Reason.BLOCKED_SENDER): Row(13, 2053),
    (Status.ABORTED, Reason.NO_SENDER): Row(11, 368),
    (Status.ABORTED, Reason.UNMATCHED_PARAMETER): Row(100, 323),
    (Status.ABORTED, Reason.TOO_MANY_PARTS): Row(25, 355),
    (Status.ABORTED, Reason.UNPROVISIONED): Row(19, 592),
    (Status.ABORTED, Reason.ACCOUNT_BLOCKED): Row(12, 542),
    (Status.ABORTED, Reason.FLOODING): Row(20, 4104),
    (Status.ABORTED, Reason.INTERNAL): Row(21, 500),
}
"""Total over ``kvitto.core.status.REASONS_OF``."""

SUBMIT_ERRORS: Final[Mapping[int, int]] = {
    0x01: 355,  # bad length
    0x0A: 368,  # bad source
    0x48: 368,
    0x49: 368,
    0x0B: 351,  # bad destination
    0x33: 351,
    0x50: 351,
    0x51: 351,
    0x02: 4096,  # bad PDU
    0x03: 4096,
    0x43: 4096,
    0xC0: 4096,
    0xC1: 4096,
    0xC2: 4096,
    0xC3: 4096,
    0xC4: 4096,
    0x61: 4101,  # bad times
    0x62: 4101,
    0x66: 561,  # refused for what it says
    0x101: 561,
    0x103: 561,
    0x100: 592,
}
"""command_status -> error id (docs/status.md 5); every other one is 4102."""

_NOT_SUBMITTED: Final = 4102

MAP_ERRORS: Final = frozenset({1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 20, 21, 24, 27, 31, 32, 33, 34, 35, 36, 51, 71})
"""GSM MAP errors, whose numbers are the vendor's ids too (docs/status.md 4)."""

_NET_GSM: Final = 3
_NET_TYPES: Final = frozenset({None, _NET_GSM, 7, 8})
_ERR_DIGITS_MAX: Final = 9


class LinkErrors(NamedTuple):
    """What the operator told of one link's error numbers: number -> error id, and whether they are MAP errors."""

    table: Mapping[int, int]
    gsm: bool = False


_NO_LINK: Final = LinkErrors({})


def status_of(status: Status, reason: Reason) -> VendorStatus:
    """Return the vendor's status of this record."""
    return _BY_ID[ROWS[status, reason].status]


_NONE: Final = by_id(0)
assert _NONE is not None
NO_ERROR: Final[GsmError] = _NONE


def error_of(status: Status, reason: Reason, error: StatusError, link: LinkErrors | None = None) -> GsmError:
    """Return the vendor's error of this record; ``link``: of the link that took the message."""
    row = ROWS[status, reason]
    number: int | None = row.error
    if row.net:
        number = _network_error(error, link or _NO_LINK)
        if number is None:
            number = row.error
    elif row.submit:
        number = SUBMIT_ERRORS.get(error.command_status or 0, _NOT_SUBMITTED)
    return by_id(number or 0) or NO_ERROR


def _network_error(error: StatusError, link: LinkErrors) -> int | None:
    """The error id that a receipt's numbers mean, None for none (docs/status.md 4)."""
    number, sure = _network_number(error)
    if number == 0:
        return None
    told = link.table.get(number)
    if told is not None and by_id(told) is not None:
        return told
    return number if (sure or link.gsm) and number in MAP_ERRORS else None


def _network_number(error: StatusError) -> tuple[int, bool]:
    """T when its type is GSM, else E, else T; and whether it is a MAP error for sure. 0: there is none."""
    net_code = error.net_code or 0
    if net_code > 0 and error.net_type == _NET_GSM:
        return net_code, True
    text = error.text
    if text is not None and len(text) <= _ERR_DIGITS_MAX and text.isascii() and text.isdigit() and int(text) > 0:
        return int(text), False
    if net_code > 0 and error.net_type in _NET_TYPES:
        return net_code, False
    return 0, False


def statuses_in(group_name: str | None) -> tuple[Status, ...] | None:
    """Return our statuses of which some are of this group; None for no group, which is any."""
    if group_name is None:
        return None
    found = {status for (status, _), row in ROWS.items() if GROUPS[_BY_ID[row.status].group] == group_name}
    return tuple(sorted(found))


def chooser(group_name: str | None) -> Callable[[Status, Reason, StatusError], bool] | None:
    """Return the predicate for the ``generalStatus`` filter; None when there is none."""
    if group_name is None:
        return None

    def shows(status: Status, reason: Reason, error: StatusError) -> bool:
        return GROUPS[status_of(status, reason).group] == group_name

    return shows
