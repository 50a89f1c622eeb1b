"""Results in Sinch's JSON: batches, pages, dry runs, reports (docs/dialects/sinch.md 4.2, 6, 8).

Also ``as_request``: a stored batch as the request that would make it, on which an update is laid.

Must not know: HTTP beyond a status and a body. Next: ``kvitto.dialects.sinch.wire``.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from kvitto.core.model import (
    Batch,
    BatchPage,
    BatchReport,
    ContentKind,
    MessagePage,
    MessageView,
    NewBatch,
    Notify,
    StatusCount,
)
from kvitto.core.operations import DryRun, DryRunRecipient, DryRunResult, FetchBatchReport, ListBatches, ListReports
from kvitto.core.status import Reason, Status, StatusError
from kvitto.dialects.base import Answer
from kvitto.dialects.sinch.errors import JSON
from kvitto.dialects.sinch.statuses import status_and_code
from kvitto.dialects.sinch.times import write_operator_time, write_timestamp
from kvitto.dialects.sinch.wire import (
    ENCODER,
    BatchIn,
    BatchOut,
    BatchPageOut,
    BatchType,
    BucketOut,
    DeliveryReportOut,
    DryRunOut,
    DryRunRecipientOut,
    MediaBody,
    RecipientReportOut,
    RecipientReportPageOut,
    ReportType,
)

__all__ = [
    "NAME",
    "REPORT_OF",
    "as_request",
    "batch_report",
    "recipient_report",
    "write_batch",
    "write_batch_page",
    "write_batch_report",
    "write_created",
    "write_dry_run",
    "write_feedback",
    "write_recipient_report",
    "write_reports",
]

NAME: Final = "sinch"
"""The word that is stored with each batch."""

REPORT_OF: Final[Mapping[Notify, ReportType]] = {
    Notify.NONE: "none",
    Notify.BATCH_SUMMARY: "summary",
    Notify.BATCH_FULL: "full",
    Notify.CHANGES: "per_recipient",
    Notify.FINAL: "per_recipient_final",
    Notify.ATTEMPTS: "per_recipient",
}
"""Which changes are called back -> ``delivery_report``."""

_TYPE_OF: Final[Mapping[ContentKind, BatchType]] = {
    ContentKind.TEXT: "mt_text",
    ContentKind.BINARY: "mt_binary",
    ContentKind.MEDIA: "mt_media",
}


# --- batches ---------------------------------------------------------------------------------------------------------


def write_created(operation: Any, new: NewBatch) -> Answer:
    """201 with the batch."""
    return Answer(201, ENCODER.encode(_batch(new.batch)), JSON)


def write_batch(operation: Any, batch: Batch) -> Answer:
    """200 with the batch."""
    return Answer(200, ENCODER.encode(_batch(batch)), JSON)


def write_batch_page(operation: ListBatches, page: BatchPage) -> Answer:
    """200 with a page; ``page_size`` counts its entries, by which a client sees the end (section 6.1)."""
    batches = [_batch(batch) for batch in page.batches]
    return Answer(200, ENCODER.encode(BatchPageOut(page.total, operation.page, len(batches), batches)), JSON)


def write_feedback(operation: Any, result: None) -> Answer:
    """202, empty."""
    return Answer(202)


def write_dry_run(operation: DryRun, result: DryRunResult) -> Answer:
    """200 with the counts."""
    body = _dry_run_body(operation)
    listed: list[DryRunRecipientOut] | UnsetType = UNSET
    if operation.per_recipient:
        listed = [_dry_run_recipient(entry, body) for entry in (result.recipients or ())[: operation.limit]]
    return Answer(200, ENCODER.encode(DryRunOut(result.recipient_count, result.part_count, listed)), JSON)


def _dry_run_body(operation: DryRun) -> str | None:
    content = operation.submission.content
    return _base64(content.data) if content.kind is ContentKind.BINARY else None


def _dry_run_recipient(entry: DryRunRecipient, body: str | None) -> DryRunRecipientOut:
    text = entry.text if body is None else body
    return DryRunRecipientOut(entry.recipient, entry.parts, text, "unicode" if entry.unicode else "text")


def _base64(data: str) -> str:
    return base64.b64encode(bytes.fromhex(data)).decode()


def _given(batch: Batch) -> Mapping[str, Any]:
    """What only our own views show: another dialect's ``extra`` means nothing here."""
    return batch.extra if batch.dialect == NAME else {}


def _body(batch: Batch) -> str | MediaBody:
    content = batch.content
    if content.kind is ContentKind.TEXT:
        return content.text
    if content.kind is ContentKind.BINARY:
        return _base64(content.data)
    return MediaBody(content.media_url, content.text or None, content.media_subject)


def _batch(batch: Batch) -> BatchOut:
    """Return the batch object: defaults filled in, the optional fields only if given (section 4.2)."""
    content = batch.content
    created_at = write_timestamp(batch.created_at)
    out = BatchOut(
        id=batch.id,
        to=batch.recipients,
        sender=UNSET if batch.sender is None else batch.sender,
        canceled=batch.cancelled_at is not None,
        body=content.text if content.kind is ContentKind.TEXT else _body(batch),
        type=_TYPE_OF[content.kind],
        created_at=created_at,
        modified_at=created_at if batch.modified_at == batch.created_at else write_timestamp(batch.modified_at),
        delivery_report=REPORT_OF[batch.notify],
        expire_at=write_timestamp(batch.expire_at),
        callback_url=UNSET if batch.callback_url is None else batch.callback_url,
        client_reference=UNSET if batch.client_reference is None else batch.client_reference,
        feedback_enabled=batch.feedback,
    )
    if content.kind is ContentKind.TEXT:
        out.flash_message = content.flash
    elif content.kind is ContentKind.BINARY:
        out.udh = content.udh
    if batch.send_at is not None:
        out.send_at = write_timestamp(batch.send_at)
    if content.max_parts is not None:
        out.max_number_of_message_parts = content.max_parts
    if content.parameters:
        out.parameters = {key: dict(values) for key, values in content.parameters.items()}
    if content.source_ton is not None:
        out.from_ton = content.source_ton
    if content.source_npi is not None:
        out.from_npi = content.source_npi
    if batch.extra:
        _add_given(out, _given(batch))
    return out


def _add_given(out: BatchOut, given: Mapping[str, Any]) -> None:
    if "send_at" in given:
        out.send_at = write_timestamp(given["send_at"])
    out.truncate_concat = given.get("truncate_concat", UNSET)
    out.strict_validation = given.get("strict_validation", UNSET)
    out.flash_message = given.get("flash_message", out.flash_message)


def as_request(batch: Batch) -> BatchIn:
    """Return the request that would make this batch; ``expire_at`` only where the customer gave it."""
    shown = _batch(batch)
    given = _given(batch)
    return BatchIn(
        to=list(batch.recipients),
        sender=batch.sender,
        type=shown.type,
        body=shown.body,
        delivery_report=shown.delivery_report,
        send_at=_or_none(shown.send_at),
        expire_at=shown.expire_at if given.get("expire_at") else None,
        callback_url=batch.callback_url,
        client_reference=batch.client_reference,
        feedback_enabled=batch.feedback,
        parameters=_or_none(shown.parameters),
        flash_message=_or_none(shown.flash_message),
        max_number_of_message_parts=batch.content.max_parts,
        truncate_concat=_or_none(shown.truncate_concat),
        from_ton=batch.content.source_ton,
        from_npi=batch.content.source_npi,
        udh=_or_none(shown.udh),
        strict_validation=_or_none(shown.strict_validation),
    )


def _or_none(value: Any) -> Any:
    return None if value is UNSET else value


# --- reports ---------------------------------------------------------------------------------------------------------

_Shows = Callable[[Status, Reason, StatusError], bool]


def write_batch_report(operation: FetchBatchReport, report: BatchReport) -> Answer:
    """200 with a summary or a full report; the filters choose buckets and change no total (section 8.1)."""
    shown = batch_report(report, full=operation.recipients, shows=operation.shows)
    return Answer(200, ENCODER.encode(shown), JSON)


def write_recipient_report(operation: Any, message: MessageView) -> Answer:
    """200 with one recipient's report (section 8.2)."""
    return Answer(200, ENCODER.encode(recipient_report(message)), JSON)


def write_reports(operation: ListReports, page: MessagePage) -> Answer:
    """200 with a page of recipient reports (section 8.3)."""
    reports = [recipient_report(message) for message in page.messages]
    return Answer(200, ENCODER.encode(RecipientReportPageOut(page.total, operation.page, len(reports), reports)), JSON)


def batch_report(report: BatchReport, *, full: bool, shows: _Shows | None = None) -> DeliveryReportOut:
    """Return a batch's report; a batch that waits, or was cancelled while it waited, has no messages yet."""
    counts: Iterable[StatusCount] = report.counts if report.visible else ()
    if shows is not None:
        counts = [count for count in counts if shows(count.status, count.reason, count.error)]
    return DeliveryReportOut(
        batch_id=report.batch_id,
        client_reference=UNSET if report.client_reference is None else report.client_reference,
        statuses=_buckets(counts, full),
        total_message_count=report.message_count if report.visible else 0,
        type="delivery_report_mms" if report.kind is ContentKind.MEDIA else "delivery_report_sms",
    )


def _buckets(counts: Iterable[StatusCount], full: bool) -> list[BucketOut]:
    """Merge what Sinch shows alike, by (code, status), in that order; recipients in number order.

    Neither order is promised by the vendor; ours makes equal facts equal octets.
    """
    merged: dict[tuple[int, str], list[StatusCount]] = {}
    for count in counts:
        status, code = status_and_code(count.status, count.reason, count.error)
        if count.count > 0:
            merged.setdefault((code, status), []).append(count)
    return [
        BucketOut(
            code=code,
            count=sum(count.count for count in alike),
            recipients=sorted(recipient for count in alike for recipient in count.recipients) if full else UNSET,
            status=status,
        )
        for (code, status), alike in sorted(merged.items())
    ]


def recipient_report(message: MessageView) -> RecipientReportOut:
    """Return one recipient's report; a page's entry and a callback are the same object."""
    status, code = status_and_code(message.status, message.reason, message.error)
    return RecipientReportOut(
        at=write_timestamp(message.since_at),
        batch_id=message.batch_id,
        client_reference=UNSET if message.client_reference is None else message.client_reference,
        code=code,
        number_of_message_parts=UNSET if message.max_parts is None else message.parts,
        operator_status_at=UNSET if message.done_at is None else write_operator_time(message.done_at),
        recipient=message.recipient,
        status=status,
        type="recipient_delivery_report_mms" if message.kind is ContentKind.MEDIA else "recipient_delivery_report_sms",
    )
