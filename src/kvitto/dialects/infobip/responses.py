"""Answers to sends, bulks and sessions (docs/dialects/infobip.md 3.5, 6).

Must not know: reports. Next: ``kvitto.dialects.infobip.reports``, ``kvitto.dialects.infobip.submissions``.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from kvitto.core.ids import empty_batch_id
from kvitto.core.model import NewBatch, NewMessage, Schedule, ScheduleState, Submission
from kvitto.core.operations import CloseSession, FetchSchedule, OpenSession, Reschedule, Send, Session
from kvitto.core.status import Reason, Status
from kvitto.dialects.base import Answer, Call
from kvitto.dialects.infobip import wire
from kvitto.dialects.infobip.forms import JSON, Form, answer
from kvitto.dialects.infobip.statuses import GROUPS, status_of, vendor_status
from kvitto.dialects.infobip.submissions import DUPLICATE_ID, Shown
from kvitto.dialects.infobip.times import write_date
from kvitto.dialects.infobip.wire import ENCODER, DetailsOut, Sent1Out, Sent3Out, StatusOut

__all__ = [
    "STATES",
    "status_out",
    "write_bulk",
    "write_bulk_status",
    "write_logout",
    "write_refused",
    "write_sent",
    "write_session",
    "write_token",
]

_ENROUTE: Final = 7
_ACCEPTED: Final = 26
ACCEPTED_AS: Final[Mapping[int, int]] = {1: _ENROUTE, 2: _ACCEPTED, 3: _ACCEPTED}
"""The status of an accepted message in the answer, by version (3.5)."""


@lru_cache(maxsize=128)
def status_out(number: int) -> StatusOut:
    """Return a status as it is shown."""
    row = vendor_status(number)
    return StatusOut(row.group, GROUPS[row.group], row.id, row.name, row.description)


class _Item(NamedTuple):
    """One destination of the answer."""

    to: str
    message_id: str | None
    status: int
    parts: int


# --- sends -----------------------------------------------------------------------------------------------------------


def write_sent(operation: Send, stored: NewBatch) -> Answer:
    """200: an item for each destination, in the order of the request."""
    shown = operation.shows
    assert isinstance(shown, Shown)
    accepted = ACCEPTED_AS[shown.version]
    if shown.version == 3 and not (shown.refused or stored.refused or shown.xml):
        return _write_plain(shown, stored, accepted)
    if stored.refused:
        items = _with_duplicates(operation.submission, stored, accepted)
    else:
        items = [_item(message, accepted) for message in stored.messages]
    return _write_items(shown, items, shown.bulk_id or stored.batch.id)


def _write_plain(shown: Shown, stored: NewBatch, accepted: int) -> Answer:
    """As the long way, for the commonest answer: every destination of version 3 was taken."""
    status, counts = status_out(accepted), shown.counts
    items = [
        Sent3Out(
            message.recipient,
            status if message.abort is None else status_out(_aborted(message.abort)),
            message.client_id or message.id,
            DetailsOut(message.parts) if counts else UNSET,
        )
        for message in stored.messages
    ]
    return Answer(200, ENCODER.encode(wire.Sent3ListOut(items, shown.bulk_id or stored.batch.id)), JSON)


def write_refused(
    shown: Shown, call: Call | None, status: int | None = None, submission: Submission | None = None
) -> Answer:
    """200 all the same: nothing was stored, and each destination says why.

    There is a ``bulkId``, since versions 2 and 3 promise one always; nothing has it. ``status``: why those of
    ``submission`` were refused that were to be sent to; without one there were none.
    """
    items = [] if submission is None or status is None else [
        _Item(to, message_id, status, 0) for to, message_id in _wanted(submission)
    ]  # fmt: skip
    spare = None if call is None else empty_batch_id(call.now, call.body or call.path.encode())
    return _write_items(shown, items, shown.bulk_id or spare)


def _item(message: NewMessage, accepted: int) -> _Item:
    status = accepted if message.abort is None else _aborted(message.abort)
    return _Item(message.recipient, message.client_id or message.id, status, message.parts)


def _aborted(reason: Reason) -> int:
    """What will not be sent is known already: the item says so, and a report will, too."""
    return status_of(Status.ABORTED, reason).id


def _wanted(submission: Submission) -> Iterator[tuple[str, str | None]]:
    """The recipients of all texts with the customer's ids, in the order of the request."""
    for one in (submission, *submission.more):
        yield from zip_longest(one.recipients, one.client_ids)


def _with_duplicates(submission: Submission, stored: NewBatch, accepted: int) -> list[_Item]:
    """The account had used some of the ids before: those messages were not stored."""
    kept = (message for message in stored.messages if message.client_id not in stored.refused)
    return [
        _Item(to, message_id, DUPLICATE_ID, 0) if message_id in stored.refused else _item(next(kept), accepted)
        for to, message_id in _wanted(submission)
    ]


def _write_items(shown: Shown, items: Sequence[_Item], bulk_id: str | None) -> Answer:
    """Put the refused ones back into their places, and write the lot."""
    if shown.refused:
        sent = iter(items)
        refused = {one.place: _Item(one.to, one.message_id, one.status, 0) for one in shown.refused}
        items = [item for place in range(shown.total) if (item := refused.get(place) or next(sent, None))]
    form = Form(shown.version, shown.xml)
    if shown.version == 3:
        body3 = wire.Sent3ListOut([_sent3(item, shown.counts) for item in items], bulk_id or UNSET)
        return answer(form, 200, "SmsResponseEnvelope", body3)
    told = bulk_id if shown.version == 2 or shown.total > 1 or shown.bulk_id else None
    return answer(form, 200, "smsResponse", wire.SentOut([_sent1(one, shown.counts) for one in items], told or UNSET))


def _sent1(item: _Item, counts: bool) -> Sent1Out:
    return Sent1Out(item.to, status_out(item.status), item.message_id or UNSET, item.parts if counts else UNSET)


def _sent3(item: _Item, counts: bool) -> Sent3Out:
    details: DetailsOut | UnsetType = DetailsOut(item.parts) if counts else UNSET
    return Sent3Out(item.to, status_out(item.status), item.message_id or UNSET, details)


# --- bulks and sessions ----------------------------------------------------------------------------------------------

STATES: Final[Mapping[ScheduleState, str]] = {
    ScheduleState.PENDING: "PENDING",
    ScheduleState.PAUSED: "PAUSED",
    ScheduleState.PROCESSING: "PROCESSING",
    ScheduleState.CANCELLED: "CANCELED",
    ScheduleState.FINISHED: "FINISHED",
    ScheduleState.FAILED: "FAILED",
}


def write_bulk(operation: FetchSchedule | Reschedule, schedule: Schedule) -> Answer:
    """When a bulk leaves."""
    form = operation.shows
    assert isinstance(form, Form)
    body = wire.BulkOut(schedule.client_id or schedule.batch_id, write_date(schedule.send_at))
    return answer(form, 200, "BulkResponse", body)


def write_bulk_status(operation: FetchSchedule | Reschedule, schedule: Schedule) -> Answer:
    """Where a bulk stands."""
    form = operation.shows
    assert isinstance(form, Form)
    body = wire.BulkStatusOut(schedule.client_id or schedule.batch_id, STATES[schedule.state])  # type: ignore[arg-type]
    return answer(form, 200, "BulkStatusResponse", body)


def write_session(operation: OpenSession, session: Session) -> Answer:
    """A token for ``IBSSO``."""
    return answer(Form(1, False), 200, "LoginResponse", wire.SessionOut(session.token))


def write_logout(operation: CloseSession, result: None) -> Answer:
    """204: the token is no more."""
    return Answer(204)


def write_token(operation: OpenSession, session: Session) -> Answer:
    """A token for ``Bearer``, in OAuth's words (RFC 6749 5.1)."""
    body = wire.TokenOut(session.token, "Bearer", operation.lifetime_s)
    return answer(Form(1, False), 200, "TokenResponse", body, (("Cache-Control", "no-store"),))
