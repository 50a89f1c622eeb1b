"""Results in 9bits' JSON: accepted sends, reports (docs/dialects/ninebits.md 3.2, 5.1, 6).

Must not know: HTTP beyond a status and a body. Next: ``kvitto.dialects.ninebits.wire``.
"""

from typing import Final, NamedTuple, cast

from kvitto.core.model import MessagePage, MessageView, NewBatch
from kvitto.core.operations import ListBatchMessages, Send
from kvitto.core.status import FINAL, Status
from kvitto.dialects.base import Answer, Problem
from kvitto.dialects.ninebits.errors import JSON, refuse
from kvitto.dialects.ninebits.statuses import status_and_code
from kvitto.dialects.ninebits.times import write_timestamp
from kvitto.dialects.ninebits.wire import ENCODER, ReportOut, ReportPageOut, SentMessageOut, SentOut, StatusName

__all__ = ["NAME", "Echo", "report", "write_reports", "write_sent"]

NAME: Final = "ninebits"
"""The word that is stored with each batch."""

_QUEUED: Final = "request is queued"


class Echo(NamedTuple):
    """What the answer to a send repeats beside what is stored: ``send_at`` as asked for, ``delivery_report`` as
    given.
    """

    zone: str
    send_at: int | None
    delivery_report: bool | str


def write_sent(operation: Send, new: NewBatch) -> Answer:
    """200 with the union of what the vendor's pages show."""
    batch, echo = new.batch, cast("Echo", operation.shows)
    text = batch.content.text
    created_at = write_timestamp(batch.created_at, echo.zone)
    sent = SentOut(
        200,
        _QUEUED,
        batch.id,
        batch.recipients,
        batch.sender or "",
        text,
        text,
        created_at,
        created_at if echo.send_at is None else write_timestamp(echo.send_at, echo.zone),
        echo.delivery_report,
        [SentMessageOut(message.id, message.recipient, message.parts) for message in new.messages],
    )
    return Answer(200, ENCODER.encode(sent), JSON)


def write_reports(operation: ListBatchMessages, page: MessagePage) -> Answer:
    """200 with a page of reports; 404 where a number is not in the batch at all."""
    if operation.recipient is not None and operation.shows is None and page.total == 0:
        return refuse(Problem.NOT_FOUND)
    zone = cast("str", operation.told)
    shown = ReportPageOut(
        200,
        operation.batch_id,
        page.total,
        operation.page,
        operation.page_size,
        [report(view, zone, ended_only=True) for view in page.messages],
    )
    return Answer(200, ENCODER.encode(shown), JSON)


def report(view: MessageView, zone: str, *, ended_only: bool = False) -> ReportOut:
    """Return the ten fields. ``ended_only``: no ``done_date`` before the end, as in what is fetched (section 6)."""
    status, code = status_and_code(view.status, view.reason, view.error)
    if ended_only and view.status not in FINAL:
        done = ""
    else:
        done = write_timestamp(view.since_at if view.done_at is None else view.done_at, zone)
    return ReportOut(
        view.id,
        view.batch_id,
        view.recipient,
        write_timestamp(view.created_at, zone),
        done,
        cast("StatusName", status),
        "001",
        "001" if view.status is Status.DELIVERED else "000",
        view.smsc_message_id,
        code,
    )
