"""Requests that read or change without sending: reports, logs, scheduled bulks (docs/dialects/infobip.md 4 to 6).

An empty parameter is an absent one. Must not know: how reports are kept. Next: ``kvitto.dialects.infobip.reports``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from kvitto.core.model import Account, FeedFilter, LogFilter, MessageView, ScheduleState
from kvitto.core.operations import FetchSchedule, ListLog, Reschedule, TakeReports
from kvitto.dialects.base import Call
from kvitto.dialects.infobip import fields, wire
from kvitto.dialects.infobip.bodies import decode, refuse_nul
from kvitto.dialects.infobip.errors import Invalid, told
from kvitto.dialects.infobip.forms import form_of
from kvitto.dialects.infobip.reports import LogShows
from kvitto.dialects.infobip.statuses import GROUPS, chooser, statuses_in

__all__ = ["LogReader", "ReportReader", "read_bulk", "read_bulk_status", "read_reschedule", "read_status_change"]

Keeps = Callable[[MessageView], bool]

_PLATFORM: Final = ("applicationId", "entityId", "campaignReferenceId")


def _last(call: Call, name: str) -> str | None:
    """A parameter's value, the last one if there are several; None when it is absent or empty."""
    values = call.query.get(name)
    value = values[-1] if values else ""
    refuse_nul(name, value)
    return value or None


def _limit(call: Call, most: int) -> int:
    """50 by default; above the most, the most (section 4)."""
    value = _last(call, "limit")
    if value is None:
        return wire.LIMIT_DEFAULT
    limit = fields.read_whole_number("limit", value)
    if limit < 1:
        raise Invalid("limit", "must be at least 1")
    return min(limit, most)


def _platform_of(call: Call) -> Mapping[str, str]:
    return {name: value for name in _PLATFORM if (value := _last(call, name)) is not None}


def _says(wanted: Mapping[str, str]) -> Keeps:
    return lambda message: all(message.extra.get(name) == value for name, value in wanted.items())


# --- reports ---------------------------------------------------------------------------------------------------------


class ReportReader:
    """Reads ``GET reports`` (4); ``hours``: how long a report can be read, 0 for any time."""

    def __init__(self, hours: float = 0) -> None:
        self._window_ms = round(hours * 3_600_000)
        self.reports = told(self._reports)

    def _reports(self, call: Call, account: Account) -> TakeReports:
        return _read_reports(call, account, call.now - self._window_ms if self._window_ms else None)


def _read_reports(call: Call, account: Account, ended_from: int | None) -> TakeReports:
    """Takes what it returns, but with ``peek`` (ours)."""
    form = form_of(call)
    wanted = _platform_of(call)
    peek = _last(call, "peek")
    found = FeedFilter(
        batch_ids=_ids(call, "bulkId", wire.BULK_ID_MAX_CHARS),
        message_ids=_ids(call, "messageId", wire.MESSAGE_ID_MAX_CHARS),
        keeps=_says(wanted) if wanted else None,
        first_final=account.late_corrections is False,
        ended_from=ended_from,
    )
    limit = _limit(call, wire.REPORTS_MAX[form.version])
    return TakeReports(filter=found, limit=limit, peek=peek is not None and fields.read_flag("peek", peek), shows=form)


def _ids(call: Call, name: str, most: int) -> tuple[str, ...]:
    """Ids as given, clipped as they were when they were given; a client may repeat the key."""
    values = [value[:most] for key in (name, f"{name}[]") for value in call.query.get(key, ()) if value]
    for value in values:
        refuse_nul(name, value)
    return tuple(dict.fromkeys(values))


def _listed_ids(call: Call, name: str, most: int) -> tuple[str, ...]:
    """Ids repeated or with commas between them; an id may hold a comma itself, so what was sent counts whole, too."""
    values = [value for key in (name, f"{name}[]") for value in call.query.get(key, ()) if value]
    if sum(map(len, values)) > wire.LOG_IDS_MAX_CHARS:
        raise Invalid(name, f"must have at most {wire.LOG_IDS_MAX_CHARS} characters")
    for value in values:
        refuse_nul(name, value)
    parts = [part.strip()[:most] for value in values for part in value.split(",")]
    return tuple(dict.fromkeys([*(value[:most] for value in values), *filter(None, parts)]))


# --- logs ------------------------------------------------------------------------------------------------------------


class LogReader:
    """Reads ``GET logs`` (5); ``mccmnc``: number -> network, for the filters by network; ``hours``: how far back they
    go, 0 for as far as messages are kept.
    """

    def __init__(self, mccmnc: Callable[[str], str | None], hours: float = 0) -> None:
        self._mccmnc = mccmnc
        self._window_ms = round(hours * 3_600_000)
        self.logs = told(self._logs)

    def _logs(self, call: Call, account: Account) -> ListLog:
        form = form_of(call)
        sender, recipient = ("sender", "destination") if form.version == 3 else ("from", "to")
        group = _group(call)
        wanted = LogFilter(
            sender=_sender(_last(call, sender)),
            recipient=_number(_last(call, recipient)),
            batch_ids=_listed_ids(call, "bulkId", wire.BULK_ID_MAX_CHARS),
            message_ids=_listed_ids(call, "messageId", wire.MESSAGE_ID_MAX_CHARS),
            from_at=self._from_at(call),
            until_at=_date(call, "sentUntil"),
            statuses=statuses_in(group),
            shows=chooser(group),
            keeps=self._keeps(call),
            first_final=account.late_corrections is False,
        )
        limit, pages, cursor = _limit(call, wire.LOGS_MAX), False, None
        if form.version == 3:
            word = _last(call, "useCursor")
            pages = word is not None and fields.read_flag("useCursor", word)
            cursor = _last(call, "cursor") if pages else None
        return ListLog(filter=wanted, limit=limit, cursor=cursor, shows=LogShows(form, cursor=pages))

    def _from_at(self, call: Call) -> int | None:
        asked = _date(call, "sentSince")
        return max(asked or 0, call.now - self._window_ms) if self._window_ms else asked

    def _keeps(self, call: Call) -> Keeps | None:
        said, network = _platform_of(call), self._network(call)
        if network is None:
            return _says(said) if said else None
        says = _says(said)
        return lambda message: network(message) and says(message)

    def _network(self, call: Call) -> Keeps | None:
        mcc, mnc = _digits(call, "mcc"), _digits(call, "mnc")
        if mcc is None:
            if mnc is not None:
                raise Invalid("mnc", "must be given together with mcc")
            return None

        def fits(message: MessageView) -> bool:
            found = self._mccmnc(message.recipient)
            return found is not None and found[:3] == mcc and (mnc is None or found[3:] == mnc)

        return fits


def _digits(call: Call, name: str) -> str | None:
    value = _last(call, name)
    if value is not None and not (value.isascii() and value.isdigit() and len(value) <= 3):
        raise Invalid(name, "must be at most 3 digits")
    return value


def _date(call: Call, name: str) -> int | None:
    value = _last(call, name)
    return None if value is None else fields.read_date(name, value)


def _group(call: Call) -> str | None:
    value = _last(call, "generalStatus")
    if value is not None and value not in GROUPS.values():
        raise Invalid("generalStatus", f"must be one of {', '.join(GROUPS.values())}")
    return value


def _sender(value: str | None) -> str | None:
    """As it is stored; one that cannot be a sender is looked for as it is, and not found."""
    return None if value is None else fields.read_sender(value) or value


def _number(value: str | None) -> str | None:
    return None if value is None else fields.read_number(value, wire.TO_MAX_CHARS[3]) or value


# --- scheduled bulks -------------------------------------------------------------------------------------------------


def _bulk_id(call: Call) -> str:
    value = _last(call, "bulkId")
    if value is None:
        raise Invalid("bulkId", "must not be empty")
    return value[: wire.BULK_ID_MAX_CHARS]


@told
def read_bulk(call: Call, account: Account) -> FetchSchedule:
    """``GET bulks`` and ``GET bulks/status`` (6)."""
    return FetchSchedule(batch_id=_bulk_id(call), shows=form_of(call))


read_bulk_status = read_bulk


@told
def read_reschedule(call: Call, account: Account) -> Reschedule:
    """``PUT bulks`` (6): a new time; one that is past means at once."""
    bulk_id = _bulk_id(call)
    send_at = fields.read_send_at("sendAt", decode(wire.RescheduleIn, call).send_at, call.now)
    if send_at is None:
        raise Invalid("sendAt", "must not be null")
    return Reschedule(batch_id=bulk_id, send_at=send_at, shows=form_of(call))


_ASKED: Final[Mapping[str, ScheduleState]] = {
    "PENDING": ScheduleState.PENDING,
    "PAUSED": ScheduleState.PAUSED,
    "CANCELED": ScheduleState.CANCELLED,
}


@told
def read_status_change(call: Call, account: Account) -> Reschedule:
    """``PUT bulks/status`` (6): hold back, let go on, or cancel."""
    bulk_id = _bulk_id(call)
    status = decode(wire.BulkStatusIn, call).status
    if status is None:
        raise Invalid("status", "must not be null")
    state = _ASKED.get(status)
    if state is None:
        raise Invalid("status", f"must be one of {', '.join(_ASKED)}: the others come about by themselves")
    return Reschedule(batch_id=bulk_id, state=state, shows=form_of(call))
