"""The objects of the Infobip API, as typed shapes, and their limits (docs/dialects/infobip.md 2 to 8).

What comes in is decoded by type alone; limits and forms are checked afterwards (``fields``, ``requests``). null means
the same as missing, everywhere. The same shapes serve JSON and XML. ``extra_json_schema`` carries the limits into the
OpenAPI document only.

Must not know: the canonical model. Next: ``kvitto.dialects.infobip.requests``, ``kvitto.dialects.infobip.responses``.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "AdvancedIn",
    "ApiError",
    "BulkOut",
    "BulkStatusIn",
    "BulkStatusOut",
    "ErrorOut",
    "Log1Out",
    "Log3Out",
    "LogsOut",
    "MessagesIn",
    "PriceOut",
    "Report1Out",
    "Report3Out",
    "ReportsOut",
    "RescheduleIn",
    "Sent1Out",
    "Sent3Out",
    "SentOut",
    "SessionIn",
    "SessionOut",
    "StatusOut",
    "TextIn",
    "TokenIn",
    "TokenOut",
    "V1Error",
]

BULK_ID_MAX_CHARS: Final = 100
MESSAGE_ID_MAX_CHARS: Final = 200
TO_MAX_CHARS: Final = {1: 50, 2: 50, 3: 64}
"""Characters of a destination, by version."""
DESTINATIONS_MAX: Final = 10_000
CALLBACK_DATA_MAX_CHARS: Final = 4_000
URL_MAX_CHARS: Final = 2_048
PLATFORM_ID_MAX_CHARS: Final = 50
CAMPAIGN_REFERENCE_MAX_CHARS: Final = 255
LOG_IDS_MAX_CHARS: Final = 2_048
VALIDITY_MAX_MIN: Final = 2_880
VALIDITY_MS: Final = VALIDITY_MAX_MIN * 60_000
SCHEDULE_MAX_MS: Final = 180 * 86_400_000
WINDOW_LEAST_MIN: Final = 60
BINARY_MAX_OCTETS: Final = 140
LIMIT_DEFAULT: Final = 50
REPORTS_MAX: Final = {1: 10_000, 2: 10_000, 3: 1_000}
"""Reports in one answer, by version."""
LOGS_MAX: Final = 1_000
SESSION_S: Final = 3_600
COUNT_MAX: Final = 2**31 - 1
"""Our own bound on amounts (validity, speed): any larger number means the same."""

Transliteration = Literal[
    "TURKISH",
    "GREEK",
    "CYRILLIC",
    "SERBIAN_CYRILLIC",
    "BULGARIAN_CYRILLIC",
    "CENTRAL_EUROPEAN",
    "BALTIC",
    "PORTUGUESE",
    "COLOMBIAN",
    "NON_UNICODE",
    "ALL",
    "NONE",
]
Day = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
ContentType = Literal["application/json", "application/xml"]
SpeedUnit = Literal["MINUTE", "HOUR", "DAY"]
SPEED_UNIT_MS: Final = {"MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
ValidityUnit = Literal["SECONDS", "MINUTES", "HOURS"]
VALIDITY_UNIT_MS: Final = {"SECONDS": 1_000, "MINUTES": 60_000, "HOURS": 3_600_000}
BulkState = Literal["PENDING", "PAUSED", "PROCESSING", "CANCELED", "FINISHED", "FAILED"]


def _shows(description: str = "", **schema: Any) -> Meta:
    if description:
        schema["description"] = description
    return Meta(extra_json_schema=schema)


Date = Annotated[
    str,
    _shows(
        "yyyy-MM-dd'T'HH:mm:ss.SSSZ; without an offset it is UTC.",
        examples=["2031-03-09T05:06:07.089+0000"],
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?$",
    ),
]
DateOut = Annotated[str, _shows("yyyy-MM-dd'T'HH:mm:ss.SSS+0000")]
To = Annotated[str, _shows("A phone number in international form.")]
Sender = Annotated[str, _shows("3 to 11 characters with a letter, or 3 to 16 digits.")]
BulkId = Annotated[str, _shows("Clipped to 100 characters.")]
MessageId = Annotated[str, _shows("Clipped to 200 characters.")]
CallbackData = Annotated[str, _shows("Comes back in reports.", maxLength=CALLBACK_DATA_MAX_CHARS)]
Url = Annotated[str, _shows("An http or https URL.", maxLength=URL_MAX_CHARS)]
PlatformId = Annotated[str, _shows(maxLength=PLATFORM_ID_MAX_CHARS)]
CampaignReference = Annotated[str, _shows(maxLength=CAMPAIGN_REFERENCE_MAX_CHARS)]
Validity = Annotated[int, _shows("Minutes; more than 2880 counts as 2880.", minimum=1, maximum=COUNT_MAX)]


# --- in: what all versions share -------------------------------------------------------------------------------------


class DestinationIn(Struct, rename="camel"):
    """One recipient, and the customer's own id of the message to it."""

    to: To | None = None
    message_id: MessageId | None = None


class HourIn(Struct):
    """A time of the day, UTC."""

    hour: Annotated[int, _shows(minimum=0, maximum=23)] | None = None
    minute: Annotated[int, _shows(minimum=0, maximum=59)] | None = None


class WindowIn(Struct, rename={"begin": "from", "end": "to"}):
    """When messages may leave; both times or neither, at least an hour apart."""

    days: Annotated[list[Day], _shows(minItems=1)] | None = None
    begin: HourIn | None = None
    end: HourIn | None = None


class LanguageIn(Struct, rename="camel"):
    """A national language; kept, and texts are sent in the alphabet they need."""

    language_code: str | None = None
    single_shift: bool | None = None
    locking_shift: bool | None = None


class SpeedIn(Struct, rename="camel"):
    """At most ``amount`` messages in a unit of time."""

    amount: Annotated[int, _shows(minimum=1, maximum=COUNT_MAX)] | None = None
    time_unit: SpeedUnit | None = None


# --- in: versions 1 and 2 --------------------------------------------------------------------------------------------


class TextIn(Struct, rename={
    "sender": "from",
    "bulk_id": "bulkId",
    "callback_data": "callbackData",
    "notify_url": "notifyUrl",
    "notify_content_type": "notifyContentType",
    "intermediate_report": "intermediateReport",
    "validity_period": "validityPeriod",
    "send_at": "sendAt",
    "delivery_time_window": "deliveryTimeWindow",
    "is_flash": "isFlash",
    "entity_id": "entityId",
    "application_id": "applicationId",
    "campaign_reference_id": "campaignReferenceId",
    "campaign_id": "campaignId",
    "operator_client_id": "operatorClientId",
}):  # fmt: skip
    """One text: the body of single, a message of multi or advanced. ``to`` or ``destinations`` is required."""

    sender: Sender | None = None
    to: To | list[To] | None = None
    destinations: Annotated[list[DestinationIn], _shows(minItems=1)] | None = None
    text: str | None = None
    bulk_id: BulkId | None = None
    callback_data: CallbackData | None = None
    notify_url: Url | None = None
    notify_content_type: ContentType | None = None
    notify: bool | None = None
    intermediate_report: bool | None = None
    validity_period: Validity | None = None
    send_at: Date | None = None
    delivery_time_window: WindowIn | None = None
    flash: bool | None = None
    is_flash: bool | None = None
    language: LanguageIn | str | None = None
    transliteration: Transliteration | None = None
    regional: Any = None
    entity_id: PlatformId | None = None
    application_id: PlatformId | None = None
    campaign_reference_id: CampaignReference | None = None
    campaign_id: str | None = None
    operator_client_id: str | None = None


class AdvancedIn(Struct, rename="camel"):
    """The body of multi and advanced; ``messages`` is required."""

    bulk_id: BulkId | None = None
    messages: Annotated[list[TextIn], _shows(minItems=1)] | None = None
    tracking: Any = None
    sending_speed_limit: SpeedIn | None = None
    url_options: Any = None
    include_sms_count_in_response: bool | None = None


# --- in: version 3 ---------------------------------------------------------------------------------------------------


class ContentIn(Struct, rename="camel"):
    """A text, or octets in hex (``hex`` wins); one of the two is required."""

    text: str | None = None
    transliteration: Transliteration | None = None
    language: LanguageIn | None = None
    hex: str | None = None
    data_coding: Annotated[int, _shows(minimum=0, maximum=255)] | None = None
    esm_class: Annotated[int, _shows(minimum=0, maximum=255)] | None = None


class ValidityIn(Struct, rename="camel"):
    """How long delivery is tried; more than 48 hours counts as 48 hours."""

    amount: Annotated[int, _shows(minimum=1, maximum=COUNT_MAX)] | None = None
    time_unit: ValidityUnit | None = None


class PlatformIn(Struct, rename="camel"):
    """The customer's own ids of its application."""

    entity_id: PlatformId | None = None
    application_id: PlatformId | None = None


class MessageOptionsIn(Struct, rename="camel"):
    """What one text asks for beside its content."""

    validity_period: ValidityIn | None = None
    flash: bool | None = None
    campaign_reference_id: CampaignReference | None = None
    platform: PlatformIn | None = None
    delivery_time_window: WindowIn | None = None
    regional: Any = None


class DeliveryIn(Struct, rename="camel"):
    """Where reports are pushed, and which."""

    url: Url | None = None
    intermediate_report: bool | None = None
    notify: bool | None = None


class WebhooksIn(Struct, rename="camel"):
    """Where and how reports are pushed."""

    delivery: DeliveryIn | None = None
    content_type: ContentType | None = None
    callback_data: CallbackData | None = None


class MessageIn(Struct, rename="camel"):
    """One text and those who get it; ``destinations`` and ``content`` are required."""

    sender: Sender | None = None
    destinations: Annotated[list[DestinationIn], _shows(minItems=1)] | None = None
    content: ContentIn | None = None
    options: MessageOptionsIn | None = None
    webhooks: WebhooksIn | None = None


class ScheduleIn(Struct, rename="camel"):
    """When the request's messages leave, and how fast."""

    bulk_id: BulkId | None = None
    send_at: Date | None = None
    sending_speed_limit: SpeedIn | None = None


class RequestOptionsIn(Struct, rename="camel"):
    """What concerns the whole request."""

    schedule: ScheduleIn | None = None
    tracking: Any = None
    include_sms_count_in_response: bool | None = None
    conversion_tracking: Any = None


class MessagesIn(Struct):
    """The body of ``POST /sms/3/messages``; ``messages`` is required."""

    messages: Annotated[list[MessageIn], _shows(minItems=1)] | None = None
    options: RequestOptionsIn | None = None


# --- in: bulks, sessions ---------------------------------------------------------------------------------------------


class RescheduleIn(Struct, rename="camel"):
    """A scheduled bulk's new time; ``sendAt`` is required."""

    send_at: Date | None = None


class BulkStatusIn(Struct):
    """A scheduled bulk's new status; required. PENDING, PAUSED and CANCELED can be asked for."""

    status: BulkState | None = None


class SessionIn(Struct):
    """An account's user name and password; both are required."""

    username: str | None = None
    password: str | None = None


class TokenIn(Struct):
    """An account's user name and password in OAuth's words; both are required."""

    client_id: str | None = None
    client_secret: str | None = None
    grant_type: str | None = None


# --- out -------------------------------------------------------------------------------------------------------------


class StatusOut(Struct, rename="camel", frozen=True):
    """A message's status (docs/dialects/infobip.md 9)."""

    group_id: int
    group_name: str
    id: int
    name: str
    description: str


class ErrorOut(Struct, rename="camel", frozen=True):
    """A message's error (docs/dialects/infobip.md 10)."""

    group_id: int
    group_name: str
    id: int
    name: str
    description: str
    permanent: bool


class PriceOut(Struct, rename="camel", frozen=True):
    """The price of one part."""

    price_per_message: float
    currency: str


class Sent1Out(Struct, rename="camel"):
    """One destination of a send, versions 1 and 2."""

    to: str
    status: StatusOut
    message_id: str | UnsetType = UNSET
    sms_count: int | UnsetType = UNSET


class DetailsOut(Struct, rename="camel", frozen=True):
    """How many parts."""

    message_count: int


class Sent3Out(Struct, rename="camel"):
    """One destination of a send, version 3."""

    destination: str
    status: StatusOut
    message_id: str | UnsetType = UNSET
    details: DetailsOut | UnsetType = UNSET


class SentOut(Struct, rename="camel"):
    """The answer to a send of versions 1 and 2."""

    messages: list[Sent1Out]
    bulk_id: str | UnsetType = UNSET


class Sent3ListOut(Struct, rename="camel"):
    """The answer to a send of version 3."""

    messages: list[Sent3Out]
    bulk_id: str | UnsetType = UNSET


class PlatformOut(Struct, rename="camel"):
    """The customer's own ids of its application."""

    entity_id: str | UnsetType = UNSET
    application_id: str | UnsetType = UNSET


_FIRST: Final = {
    "bulk_id": "bulkId",
    "message_id": "messageId",
    "sender": "from",
    "sent_at": "sentAt",
    "done_at": "doneAt",
    "sms_count": "smsCount",
    "mcc_mnc": "mccMnc",
    "callback_data": "callbackData",
    "entity_id": "entityId",
    "application_id": "applicationId",
    "campaign_reference_id": "campaignReferenceId",
}


class Report1Out(Struct, rename=_FIRST, kw_only=True):
    """One message's report, version 1."""

    bulk_id: str
    message_id: str
    to: str
    sender: str | UnsetType = UNSET
    sent_at: DateOut
    done_at: DateOut
    sms_count: int
    mcc_mnc: str | UnsetType = UNSET
    price: PriceOut
    callback_data: str | UnsetType = UNSET
    status: StatusOut
    error: ErrorOut
    entity_id: str | UnsetType = UNSET
    application_id: str | UnsetType = UNSET
    campaign_reference_id: str | UnsetType = UNSET


class Report3Out(Struct, rename="camel", kw_only=True):
    """One message's report, version 3."""

    bulk_id: str
    message_id: str
    to: str
    sender: str | UnsetType = UNSET
    sent_at: DateOut
    done_at: DateOut
    message_count: int
    mcc_mnc: str | UnsetType = UNSET
    price: PriceOut
    callback_data: str | UnsetType = UNSET
    status: StatusOut
    error: ErrorOut
    platform: PlatformOut | UnsetType = UNSET
    campaign_reference_id: str | UnsetType = UNSET


class Log1Out(Struct, rename=_FIRST, kw_only=True):
    """One message's log entry, version 1."""

    bulk_id: str
    message_id: str
    to: str
    sender: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    sent_at: DateOut
    done_at: DateOut
    sms_count: int
    mcc_mnc: str | UnsetType = UNSET
    price: PriceOut
    status: StatusOut
    error: ErrorOut
    entity_id: str | UnsetType = UNSET
    application_id: str | UnsetType = UNSET
    campaign_reference_id: str | UnsetType = UNSET


class ContentOut(Struct, rename="camel"):
    """What was sent: a text, or octets."""

    text: str | UnsetType = UNSET
    data_coding: int | UnsetType = UNSET
    esm_class: int | UnsetType = UNSET
    hex: str | UnsetType = UNSET


class Log3Out(Struct, rename="camel", kw_only=True):
    """One message's log entry, version 3."""

    sender: str | UnsetType = UNSET
    destination: str
    bulk_id: str
    message_id: str
    sent_at: DateOut
    done_at: DateOut
    message_count: int
    mcc_mnc: str | UnsetType = UNSET
    price: PriceOut
    status: StatusOut
    error: ErrorOut
    platform: PlatformOut | UnsetType = UNSET
    content: ContentOut | UnsetType = UNSET
    campaign_reference_id: str | UnsetType = UNSET


class ReportsOut(Struct):
    """Reports, newest first; also the body of a push. Version 1."""

    results: list[Report1Out]


class Reports3Out(Struct):
    """Reports, newest first; also the body of a push. Version 3."""

    results: list[Report3Out]


class LogsOut(Struct):
    """Log entries, newest first. Version 1."""

    results: list[Log1Out]


class CursorOut(Struct, rename="camel"):
    """Where the next page begins; without ``nextCursor`` this was the last."""

    limit: int
    next_cursor: str | UnsetType = UNSET


class Logs3Out(Struct):
    """Log entries, newest first. Version 3."""

    results: list[Log3Out]
    cursor: CursorOut | UnsetType = UNSET


class BulkOut(Struct, rename="camel"):
    """When a scheduled bulk leaves."""

    bulk_id: str
    send_at: DateOut


class BulkStatusOut(Struct, rename="camel"):
    """Where a scheduled bulk stands."""

    bulk_id: str
    status: BulkState


class SessionOut(Struct):
    """A token for ``Authorization: IBSSO``."""

    token: str


class TokenOut(Struct):
    """A token for ``Authorization: Bearer``; ``expires_in`` in seconds."""

    access_token: str
    token_type: str
    expires_in: int


class ServiceException(Struct, rename="camel"):
    """What is wrong, in versions 1 and 2."""

    message_id: str
    text: str
    validation_errors: dict[str, list[str]] | UnsetType = UNSET


class RequestError(Struct, rename="camel"):
    """The wrapping of a refusal in versions 1 and 2."""

    service_exception: ServiceException


class V1Error(Struct, rename="camel"):
    """A refusal in versions 1 and 2, of bulks and of sessions."""

    request_error: RequestError


class Violation(Struct):
    """Which field breaks which rule."""

    property: str
    violation: str


class Resource(Struct):
    """Where more is said; none are given here."""

    name: str
    url: str


class ApiError(Struct, rename="camel"):
    """A refusal in version 3; all five keys are always there."""

    error_code: str
    description: str
    action: str
    violations: list[Violation]
    resources: list[Resource]


ENCODER: Final = msgspec.json.Encoder()
"""Compact, UTF-8; UNSET fields are left out."""
