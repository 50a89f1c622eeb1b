"""The JSON objects of the 9bits API, as typed shapes, and their limits (docs/dialects/ninebits.md 3, 5.1, 6).

What comes in is decoded by type alone; forms and limits are checked afterwards (``requests``). The order of the fields
of what goes out is the order on the wire. ``extra_json_schema`` carries the limits into the OpenAPI document only.

Must not know: the canonical model. Next: ``kvitto.dialects.ninebits.requests``,
``kvitto.dialects.ninebits.responses``.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

__all__ = ["ENCODER", "ReportOut", "ReportPageOut", "SendIn", "SentMessageOut", "SentOut"]

BODY_MAX_BYTES: Final = 1_048_576
TO_MAX: Final = 1_000
TEXT_MAX_CHARS: Final = 1_600
PARTS_DEFAULT: Final = 11
"""Parts that a text may have where the account says nothing: 1600 characters of GSM text fit."""
SENDER_NAME_MAX_CHARS: Final = 11
SENDER_DIGITS_MIN: Final = 3
SENDER_DIGITS_MAX: Final = 15
NUMBER_DIGITS_MIN: Final = 7
NUMBER_DIGITS_MAX: Final = 15
FETCHED_DIGITS_MIN: Final = 5
"""In a path a number may be shorter: other dialects take shorter ones (section 6)."""
AHEAD_MAX_MS: Final = 7 * 86_400_000
VALIDITY_MS: Final = 48 * 3_600_000
PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
PAGE_MAX: Final = 2**31 - 1
"""Our own bound, so that page * page_size stays a number that a database can hold."""

TIMESTAMP_PATTERN: Final = (
    r"^$|^[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9][ Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?$"
)


def _shows(description: str, **schema: Any) -> Meta:
    return Meta(extra_json_schema={"description": description, **schema})


Timestamp = Annotated[
    str,
    _shows(
        "In the account's time zone unless it has Z or an offset; at most 7 days ahead, the past is now.",
        examples=["2026-03-09 17:05:00"],
        pattern=TIMESTAMP_PATTERN,
    ),
]
TimestampOut = Annotated[str, _shows("In the account's time zone.", examples=["2026-03-09 14:05:00"])]
Number = Annotated[str | int, _shows("A phone number of 7 to 15 digits, also with a leading + or 00.")]
To = Annotated[list[Number] | str | int, _shows("One recipient, or 1 to 1000.", minItems=1, maxItems=TO_MAX)]
Text = Annotated[str, _shows("The text; each of its names serves.", minLength=1)]
Sender = Annotated[str, _shows("1 to 11 characters with a letter, or 3 to 15 digits.", minLength=1)]
Wish = Annotated[
    bool | str | int,
    _shows('Callbacks or none: true, "yes", "true", "1", 1; false, "none", "no", "false", "0", 0, "".'),
]
Kept = Annotated[str, _shows("Taken and kept; it changes nothing.")]


class SendIn(Struct, rename={"sender": "from"}):
    """The body of a send; null means the same as missing."""

    sender: Sender | None = None
    to: To | None = None
    content: Text | None = None
    body: Text | None = None
    message: Text | None = None
    delivery_report: Wish | None = None
    send_at: Timestamp | None = None
    exec_time: Timestamp | None = None
    session_id: Kept | None = None
    sent_date: Kept | None = None
    ref_id: Kept | None = None


class SentMessageOut(Struct):
    """One recipient of a send that was accepted."""

    sms_id: str
    msisdn: str
    parts: int


class SentOut(Struct, rename={"sender": "from"}):
    """The answer to a send: what the newest and what the oldest clients look for, in one."""

    status_code: int
    message: str
    reference_id: str
    to: tuple[str, ...]
    sender: str
    content: str
    body: str
    created_at: TimestampOut
    send_at: TimestampOut
    delivery_report: bool | str
    data: list[SentMessageOut]


StatusName = Literal["Queued", "Dispatched", "Rejected", "Delivered", "Failed", "Expired", "Unknown"]


class ReportOut(Struct):
    """One recipient's delivery report: ten strings, as fetched and as posted."""

    sms_id: str
    ref: str
    msisdn: str
    submit_date: TimestampOut
    done_date: Annotated[str, _shows("Empty in a fetched report as long as there is no end.")]
    status: StatusName
    sub: Literal["001"]
    dlvrd: Literal["001", "000"]
    id_smsc: Annotated[str, _shows("The SMSC's message id as it gave it; empty if it gave none.")]
    error_code: Annotated[str, _shows("000 when there is no error.")]


class ReportPageOut(Struct):
    """A page of a batch's reports; ``count`` is the total that the filter finds."""

    status_code: int
    reference_id: str
    count: int
    page: int
    page_size: int
    data: list[ReportOut]


ENCODER: Final = msgspec.json.Encoder()
"""Compact, UTF-8, slashes not escaped."""
