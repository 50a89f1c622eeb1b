"""The JSON objects of the Sinch API, as typed shapes, and their limits (docs/dialects/sinch.md 4 to 8, 11).

What comes in is decoded by type alone; limits and forms are checked afterwards (``requests``), because a wrong form
must be told before a broken limit, and with another code. ``extra_json_schema`` carries the limits into the OpenAPI
document only.

Must not know: the canonical model. Next: ``kvitto.dialects.sinch.requests``, ``kvitto.dialects.sinch.responses``.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "BatchIn",
    "BatchOut",
    "BatchPageOut",
    "BatchUpdateIn",
    "BucketOut",
    "DeliveryReportOut",
    "DryRunOut",
    "DryRunRecipientOut",
    "FeedbackIn",
    "MediaBody",
    "RecipientReportOut",
    "RecipientReportPageOut",
]

TO_MAX: Final = 1_000
CHANGE_MAX: Final = 100
TEXT_MAX_CHARS: Final = 2_000
SENDER_NAME_MAX_CHARS: Final = 11
BINARY_MAX_BYTES: Final = 140
URL_MAX_CHARS: Final = 2_048
REFERENCE_MAX_CHARS: Final = 2_048
PARAMETER_KEY_MAX_CHARS: Final = 16
PARAMETER_VALUE_MAX_CHARS: Final = 160
PAGE_SIZE_MAX: Final = 100
PAGE_SIZE_DEFAULT: Final = 30
PAGE_MAX: Final = 2**31 - 1
"""Our own bound, so that page * page_size stays a number that a database can hold."""
DRY_RUN_RECIPIENTS_MAX: Final = 1_000
DRY_RUN_RECIPIENTS_DEFAULT: Final = 100
TON_MAX: Final = 6
NPI_MAX: Final = 18
PARTS_MAX: Final = 2**31 - 1
"""Our own bound on ``max_number_of_message_parts``: any larger number means the same."""
VALIDITY_MS: Final = 3 * 86_400_000
LIST_DEFAULT_MS: Final = 86_400_000
LIST_MAX_MS: Final = 14 * 86_400_000

TIMESTAMP_PATTERN: Final = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?$"
)

BatchType = Literal["mt_text", "mt_binary", "mt_media"]
ReportType = Literal["none", "summary", "full", "per_recipient", "per_recipient_final"]


def _shows(description: str = "", **schema: Any) -> Meta:
    if description:
        schema["description"] = description
    return Meta(extra_json_schema=schema)


Timestamp = Annotated[
    str,
    _shows(
        "ISO-8601 with Z, an offset, or neither (then UTC); 0 to 9 decimals; seconds may be missing.",
        examples=["2031-03-09T05:06:07.089Z"],
        pattern=TIMESTAMP_PATTERN,
    ),
]
TimestampOut = Annotated[str, _shows("UTC with three decimals.", format="date-time")]
Url = Annotated[
    str, _shows("An http or https URL.", maxLength=URL_MAX_CHARS, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]+")
]
Number = Annotated[str, _shows("A phone number, or a group id.")]
Reference = Annotated[str, _shows("Comes back in every report and callback.", maxLength=REFERENCE_MAX_CHARS)]
Numbers = Annotated[list[Number], _shows("Phone numbers and group ids.", minItems=1, maxItems=TO_MAX)]
Changes = Annotated[list[Number], _shows("Phone numbers and group ids.", minItems=1, maxItems=CHANGE_MAX)]
Sender = Annotated[str, _shows("A phone number, a short code, or 1 to 11 characters with a letter.", minLength=1)]
Parameters = Annotated[
    dict[str, dict[str, str]], _shows('{key: {phone number or "default": value}}, filled into ${key}.')
]
Parts = Annotated[int | str, _shows("An integer from 1; also accepted as a string of digits.")]
Ton = Annotated[int, _shows(minimum=0, maximum=TON_MAX)]
Npi = Annotated[int, _shows(minimum=0, maximum=NPI_MAX)]
Hex = Annotated[str, _shows("User data header in hex; body and header together at most 140 bytes.")]


class MediaBody(Struct, omit_defaults=True):
    """The body of an ``mt_media`` batch; ``url`` is required."""

    url: Url | None = None
    message: str | None = None
    subject: str | None = None


Body = Annotated[
    str | MediaBody,
    _shows("mt_text: 0 to 2000 characters. mt_binary: Base64. mt_media: an object."),
]


class BatchIn(Struct, rename={"sender": "from"}):
    """The body of send, replace and dry run; null means the same as missing."""

    to: Numbers | None = None
    sender: Sender | None = None
    type: BatchType | None = None
    body: Body | None = None
    delivery_report: ReportType | None = None
    send_at: Timestamp | None = None
    expire_at: Timestamp | None = None
    callback_url: Url | None = None
    client_reference: Reference | None = None
    feedback_enabled: bool | None = None
    parameters: Parameters | None = None
    flash_message: bool | None = None
    max_number_of_message_parts: Parts | None = None
    truncate_concat: bool | None = None
    from_ton: Ton | None = None
    from_npi: Npi | None = None
    udh: Hex | None = None
    strict_validation: bool | None = None


class BatchUpdateIn(Struct, rename={"sender": "from"}):
    """The body of an update: what is missing stays, null goes back to its default."""

    to_add: Changes | UnsetType | None = UNSET
    to_remove: Changes | UnsetType | None = UNSET
    type: BatchType | UnsetType | None = UNSET
    sender: Sender | UnsetType | None = UNSET
    body: Body | UnsetType | None = UNSET
    delivery_report: ReportType | UnsetType | None = UNSET
    send_at: Timestamp | UnsetType | None = UNSET
    expire_at: Timestamp | UnsetType | None = UNSET
    callback_url: Url | UnsetType | None = UNSET
    client_reference: Reference | UnsetType | None = UNSET
    feedback_enabled: bool | UnsetType | None = UNSET
    parameters: Parameters | UnsetType | None = UNSET
    flash_message: bool | UnsetType | None = UNSET
    max_number_of_message_parts: Parts | UnsetType | None = UNSET
    truncate_concat: bool | UnsetType | None = UNSET
    from_ton: Ton | UnsetType | None = UNSET
    from_npi: Npi | UnsetType | None = UNSET
    udh: Hex | UnsetType | None = UNSET
    strict_validation: bool | UnsetType | None = UNSET


class FeedbackIn(Struct):
    """The body of delivery feedback; ``recipients`` is required, ``[]`` means everyone."""

    recipients: list[str] | None = None


class BatchOut(Struct, rename={"sender": "from"}, kw_only=True):
    """A batch as it is shown; what was not given and has no default is left out."""

    id: str
    to: tuple[str, ...]
    sender: str | UnsetType = UNSET
    canceled: bool
    body: str | MediaBody
    type: BatchType
    created_at: TimestampOut
    modified_at: TimestampOut
    delivery_report: ReportType
    send_at: TimestampOut | UnsetType = UNSET
    expire_at: TimestampOut
    callback_url: str | UnsetType = UNSET
    client_reference: str | UnsetType = UNSET
    feedback_enabled: bool
    parameters: dict[str, dict[str, str]] | UnsetType = UNSET
    flash_message: bool | UnsetType = UNSET
    max_number_of_message_parts: int | UnsetType = UNSET
    truncate_concat: bool | UnsetType = UNSET
    from_ton: int | UnsetType = UNSET
    from_npi: int | UnsetType = UNSET
    udh: str | UnsetType = UNSET
    strict_validation: bool | UnsetType = UNSET


class BatchPageOut(Struct):
    """A page of batches; ``page_size`` is the number of entries in this page."""

    count: int
    page: int
    page_size: int
    batches: list[BatchOut]


class DryRunRecipientOut(Struct):
    """One recipient of a dry run."""

    recipient: str
    number_of_parts: int
    body: str
    encoding: Literal["text", "unicode"]


class DryRunOut(Struct):
    """Counts over all recipients, whatever the cap on ``per_recipient``."""

    number_of_recipients: int
    number_of_messages: int
    per_recipient: list[DryRunRecipientOut] | UnsetType = UNSET


# Reports are callbacks too, and those come with their keys in alphabetical order (docs/dialects/sinch.md 10): the order
# of the fields below is the order on the wire.


class BucketOut(Struct, kw_only=True):
    """How many messages of a batch share a code and a status; ``recipients`` in a full report only."""

    code: int
    count: int
    recipients: list[str] | UnsetType = UNSET
    status: str


class DeliveryReportOut(Struct, kw_only=True):
    """A batch's delivery report, summary or full."""

    batch_id: str
    client_reference: str | UnsetType = UNSET
    statuses: list[BucketOut]
    total_message_count: int
    type: Literal["delivery_report_sms", "delivery_report_mms"]


class RecipientReportOut(Struct, kw_only=True):
    """One recipient's delivery report."""

    at: TimestampOut
    batch_id: str
    client_reference: str | UnsetType = UNSET
    code: int
    number_of_message_parts: int | UnsetType = UNSET
    operator_status_at: Annotated[str, _shows("The operator's time, to the minute.")] | UnsetType = UNSET
    recipient: str
    status: str
    type: Literal["recipient_delivery_report_sms", "recipient_delivery_report_mms"]


class RecipientReportPageOut(Struct):
    """A page of finished recipient reports; ``page_size`` is the number of entries in this page."""

    count: int
    page: int
    page_size: int
    delivery_reports: list[RecipientReportOut]


ENCODER: Final = msgspec.json.Encoder()
"""Compact, UTF-8, slashes not escaped; UNSET fields are left out."""
