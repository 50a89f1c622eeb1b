"""Requests without a body: reads of batches and reports, cancel; and the query parameters they share
(docs/dialects/sinch.md 6.1, 6.2, 8).

Unknown query parameters are ignored; of a repeated single one the first counts, comma lists add up.

Must not know: how reports are found. Next: ``kvitto.dialects.sinch.statuses``, ``kvitto.dialects.sinch.responses``.
"""

import re
from collections.abc import Callable
from typing import Final

from kvitto.core.model import Account, BatchFilter, MessageFilter
from kvitto.core.msisdn import clean
from kvitto.core.operations import Cancel, FetchBatch, FetchBatchReport, FetchRecipientReport, ListBatches, ListReports
from kvitto.core.status import Reason, Status, StatusError
from kvitto.dialects.base import Call
from kvitto.dialects.sinch import fields, wire
from kvitto.dialects.sinch.errors import bad_format, broken_constraint, not_found
from kvitto.dialects.sinch.statuses import STATUS_NAMES, chooser

__all__ = [
    "batch_id_of",
    "flag",
    "read_batch_report",
    "read_cancel",
    "read_fetch",
    "read_list",
    "read_recipient_report",
    "read_reports",
    "whole_number",
]

_BATCH_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUS_BY_LOWER: Final = {name.lower(): name for name in STATUS_NAMES}
_FLAGS: Final = {"true": True, "false": False}
_REPORT_KINDS: Final = {"summary": False, "full": True}


def read_fetch(call: Call, account: Account) -> FetchBatch:
    """``GET batches/{batch_id}`` (section 6.2)."""
    return FetchBatch(batch_id=batch_id_of(call))


def read_cancel(call: Call, account: Account) -> Cancel:
    """``DELETE batches/{batch_id}`` (section 6.2)."""
    return Cancel(batch_id=batch_id_of(call))


def read_list(call: Call, account: Account) -> ListBatches:
    """``GET batches`` (section 6.1); only the last 14 days can be listed."""
    from_at, to_at = _period(call)
    page, page_size = _page(call)
    chosen = BatchFilter(
        from_at=max(from_at, call.now - wire.LIST_MAX_MS),
        to_at=to_at,
        senders=tuple(clean(sender, min_digits=1) or sender for sender in _items(call, "from")),
        client_reference=_text(call, "client_reference"),
    )
    return ListBatches(filter=chosen, page=page, page_size=page_size)


def read_batch_report(call: Call, account: Account) -> FetchBatchReport:
    """``GET batches/{batch_id}/delivery_report`` (section 8.1); an unknown ``type`` is 404."""
    kind = _text(call, "type") or "summary"
    if kind not in _REPORT_KINDS:
        raise not_found("type", "summary or full")
    return FetchBatchReport(
        batch_id=batch_id_of(call),
        recipients=_REPORT_KINDS[kind],
        first_final=account.late_corrections is not True,
        shows=_chosen(call),
    )


def read_recipient_report(call: Call, account: Account) -> FetchRecipientReport:
    """``GET batches/{batch_id}/delivery_report/{recipient}`` (section 8.2); what is no number is in no batch."""
    recipient = clean(call.params["recipient"])
    if recipient is None:
        raise not_found()
    return FetchRecipientReport(
        batch_id=batch_id_of(call), recipient=recipient, first_final=account.late_corrections is not True
    )


def read_reports(call: Call, account: Account) -> ListReports:
    """``GET delivery_reports`` (section 8.3)."""
    from_at, to_at = _period(call)
    page, page_size = _page(call)
    chosen = MessageFilter(
        from_at=from_at,
        to_at=to_at,
        client_reference=_text(call, "client_reference"),
        shows=_chosen(call),
        first_final=account.late_corrections is not True,
    )
    return ListReports(filter=chosen, page=page, page_size=page_size)


# --- parameters ------------------------------------------------------------------------------------------------------


def batch_id_of(call: Call) -> str:
    """Return the batch id in the path; what cannot be one names no batch."""
    batch_id = call.params["batch_id"]
    if not _BATCH_ID.fullmatch(batch_id):
        raise not_found()
    return batch_id


def flag(call: Call, name: str) -> bool:
    """Return a boolean, in either case; False when missing."""
    value = _text(call, name)
    if value is None:
        return False
    found = _FLAGS.get(value.lower())
    if found is None:
        raise bad_format(name, "true or false")
    return found


def whole_number(call: Call, name: str, default: int, least: int, most: int) -> int:
    """Return an integer within limits, both inclusive."""
    value = _text(call, name)
    if value is None:
        return default
    number = fields.read_whole_number(name, value)
    if not least <= number <= most:
        raise broken_constraint(name, f"{least} to {most}")
    return number


def _page(call: Call) -> tuple[int, int]:
    page = whole_number(call, "page", 0, 0, wire.PAGE_MAX)
    return page, whole_number(call, "page_size", wire.PAGE_SIZE_DEFAULT, 1, wire.PAGE_SIZE_MAX)


def _period(call: Call) -> tuple[int, int | None]:
    """Return ``start_date`` (24 hours ago when missing) and ``end_date``."""
    start, end = _text(call, "start_date"), _text(call, "end_date")
    from_at = fields.read_time("start_date", start, in_query=True) if start else None
    to_at = fields.read_time("end_date", end, in_query=True) if end else None
    if from_at is not None and to_at is not None and to_at < from_at:
        raise broken_constraint("end_date", "must not be before start_date")
    return (call.now - wire.LIST_DEFAULT_MS if from_at is None else from_at), to_at


def _chosen(call: Call) -> Callable[[Status, Reason, StatusError], bool] | None:
    names = []
    for item in _items(call, "status"):
        name = _STATUS_BY_LOWER.get(item.lower())
        if name is None:
            raise bad_format("status", "any of " + ", ".join(STATUS_NAMES))
        names.append(name)
    return chooser(names, [fields.read_whole_number("code", item) for item in _items(call, "code")])


def _text(call: Call, name: str) -> str | None:
    values = call.query.get(name)
    if not values:
        return None
    return _stored(name, values[0])


def _items(call: Call, name: str) -> list[str]:
    """Return the entries of a comma list; a list given in several pieces is one."""
    pieces = (item.strip() for value in call.query.get(name, ()) for item in value.split(","))
    return [_stored(name, piece) for piece in pieces if piece]


def _stored(name: str, value: str) -> str:
    """Refuse what no stored text can equal and some databases will not even compare: U+0000, lone surrogates."""
    if not value.isprintable() and ("\0" in value or any("\ud800" <= char <= "\udfff" for char in value)):
        raise bad_format(name, "not text")
    return value
