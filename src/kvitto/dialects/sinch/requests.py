"""Requests with a body: send, replace, dry run, update, delivery feedback (docs/dialects/sinch.md 4 to 7).

Theory of operation. A body is decoded by type; then every value's form is checked, then the limits, then what is
understood but cannot be done: in that order, since a client is told the first of them (section 3). An update is laid
over the batch as it would be shown, and the result is read as if it had been sent: one set of rules for both.

Must not know: how a batch is stored or sent. Next: ``kvitto.dialects.sinch.fields``, ``kvitto.dialects.sinch.wire``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET

from kvitto.core.model import Account, Batch, Content, ContentKind, Notify, Submission
from kvitto.core.operations import DryRun, RecordFeedback, Revise, Send
from kvitto.dialects.base import Call, DialectError
from kvitto.dialects.sinch import fields, wire
from kvitto.dialects.sinch.errors import (
    JSON,
    ErrorCode,
    bad_format,
    broken_constraint,
    forbidden,
    invalid_json,
    unsupported_media,
)
from kvitto.dialects.sinch.queries import batch_id_of, flag, whole_number
from kvitto.dialects.sinch.responses import NAME, REPORT_OF, as_request
from kvitto.dialects.sinch.wire import BatchIn, BatchUpdateIn, FeedbackIn, MediaBody

__all__ = ["NOTIFY_OF", "read_dry_run", "read_feedback", "read_replace", "read_send", "read_update"]

NOTIFY_OF: Final[Mapping[str | None, Notify | None]] = {None: None} | {
    word: notify for notify, word in REPORT_OF.items() if notify is not Notify.ATTEMPTS
}
_SILENT: Final = (None, Notify.NONE)
"""``delivery_report`` -> which changes are called back."""

_BATCH: Final = msgspec.json.Decoder(BatchIn)
_UPDATE: Final = msgspec.json.Decoder(BatchUpdateIn)
_FEEDBACK: Final = msgspec.json.Decoder(FeedbackIn)


def read_send(call: Call, account: Account) -> Send:
    """``POST batches`` (section 4)."""
    given = _decode(_BATCH, call)
    submission = _plain_submission(given, account)
    return Send(submission=_submission(given, account, call.now) if submission is None else submission)


def read_dry_run(call: Call, account: Account) -> DryRun:
    """``POST batches/dry_run`` (section 6.5): as a send, but no callback will ever need a URL."""
    given = _decode(_BATCH, call)
    per_recipient = flag(call, "per_recipient")
    limit = whole_number(call, "number_of_recipients", wire.DRY_RUN_RECIPIENTS_DEFAULT, 0, wire.DRY_RUN_RECIPIENTS_MAX)
    submission = _submission(given, account, call.now, calls_back=False)
    return DryRun(submission=submission, per_recipient=per_recipient, limit=limit)


def read_replace(call: Call, account: Account) -> Revise:
    """``PUT batches/{batch_id}`` (section 6.4): what is left out goes back to its default."""
    submission = _submission(_decode(_BATCH, call), account, call.now)
    return Revise(batch_id=batch_id_of(call), change=lambda _: submission)


def read_update(call: Call, account: Account) -> Revise:
    """``POST batches/{batch_id}`` (section 6.3); what depends on the batch is checked when ``change`` sees it."""
    update = _decode(_UPDATE, call)
    changes = _read_changes(update)
    now = call.now
    return Revise(batch_id=batch_id_of(call), change=lambda batch: _changed(batch, update, changes, account, now))


def read_feedback(call: Call, account: Account) -> RecordFeedback:
    """``POST batches/{batch_id}/delivery_feedback`` (section 7)."""
    given = _decode(_FEEDBACK, call)
    if given.recipients is None:
        raise broken_constraint("recipients", "required; [] means everyone")
    numbers, group = fields.read_recipients("recipients", given.recipients)
    if group:
        raise bad_format("recipients", "phone numbers only")
    return RecordFeedback(batch_id=batch_id_of(call), recipients=numbers)


# --- JSON ------------------------------------------------------------------------------------------------------------

_Body = TypeVar("_Body", bound=msgspec.Struct)

_TYPE_WORDS: Final[Mapping[str, str]] = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
}
_ENUM_FIELDS: Final[Mapping[str, str]] = {
    "type": "mt_text, mt_binary or mt_media",
    "delivery_report": "one of none, summary, full, per_recipient, per_recipient_final",
}
_TYPE_WORD: Final = re.compile(r"`([^`]*)`")
_NUL_ESCAPE: Final = b"\\u0000"


def _decode(decoder: msgspec.json.Decoder[_Body], call: Call) -> _Body:
    """Return the typed body, or refuse: 415, then what the JSON is worth."""
    if call.content_type != JSON:
        raise unsupported_media()
    try:
        given = decoder.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error, call.body) from None
    if _NUL_ESCAPE in call.body:
        _refuse_nul(given)
    return given


def _unreadable(error: Exception, body: bytes) -> DialectError:
    """Tell JSON that is none from a value of the wrong type: the decoder stops at whichever comes first."""
    if not isinstance(error, msgspec.ValidationError):
        return invalid_json("the body is not valid JSON")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return invalid_json("the body is not valid JSON")
    words, _, path = str(error).partition(" - at `$")
    if not path:
        return invalid_json("the body must be a JSON object")
    field = path.rstrip("`").lstrip(".")
    if field in _ENUM_FIELDS and words.startswith("Invalid enum"):
        return bad_format(field, _ENUM_FIELDS[field])
    return bad_format(field, _TYPE_WORD.sub(_plain_types, words).lower())


def _plain_types(found: re.Match[str]) -> str:
    return " or ".join(_TYPE_WORDS.get(word, word) for word in found[1].split(" | ") if word != "null") or "null"


def _refuse_nul(given: msgspec.Struct) -> None:
    """U+0000 fits no SMS alphabet and no database text column: a string with it is refused, whichever field it is."""
    for name, value in msgspec.to_builtins(given).items():
        if _holds_nul(value):
            raise bad_format(name, "must not hold U+0000")


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


# --- a batch as asked for --------------------------------------------------------------------------------------------


def _submission(
    given: BatchIn, account: Account, now: int, *, calls_back: bool = True, kept_expire_at: int | None = None
) -> Submission:
    """Read a batch: forms, then limits, then what cannot be done (section 3).

    ``kept_expire_at``: the end of validity that an update leaves as it was, asked for or not.
    """
    shape = _SHAPES[given.type or "mt_text"]
    to, group = fields.read_recipients("to", given.to) if given.to else ((), False)
    sender = fields.read_sender("from", given.sender) if given.sender else None
    send_at, expire_at = _read_times(given)
    parts = _read_parts(given.max_number_of_message_parts)
    if given.callback_url is not None:
        fields.read_callback_url("callback_url", given.callback_url)
    content = shape.read(given, parts)
    _check_limits(given, sender, parts, account)
    shape.check(given, content)
    extra: dict[str, Any] = {}
    if send_at is not None or expire_at is not None:
        send_at, expire_at = _settle_times(send_at, expire_at, now, extra, kept=kept_expire_at is not None)
    _keep_for_views(given, content, extra)
    if group:
        raise forbidden(ErrorCode.UNKNOWN_GROUP, "to: a group id is unknown")
    notify = NOTIFY_OF[given.delivery_report]
    if calls_back and notify not in _SILENT and given.callback_url is None and account.callback_url is None:
        raise forbidden(
            ErrorCode.MISSING_CALLBACK_URL,
            "callback_url: required for this delivery_report, the account has no default",
        )
    return Submission(
        dialect=NAME,
        sender=sender,
        recipients=to,
        content=content,
        notify=notify,
        callback_url=given.callback_url,
        client_reference=given.client_reference,
        send_at=send_at,
        expire_at=expire_at if kept_expire_at is None else kept_expire_at,
        feedback=given.feedback_enabled or False,
        validity_default_ms=wire.VALIDITY_MS,
        validity_max_ms=wire.VALIDITY_MS,
        extra=extra,
    )


def _plain_submission(given: BatchIn, account: Account) -> Submission | None:
    """Read the commonest batch at once: a text with sender and recipients, nothing asked for that is rare.

    It accepts what ``_submission`` accepts, with the same result; whatever it is not sure of is None, and left to that.
    """
    to, text, url = given.to, given.body, given.callback_url
    if (
        not to
        or len(to) > wire.TO_MAX
        or not given.sender
        or type(text) is not str
        or len(text) > wire.TEXT_MAX_CHARS
        or (given.type is not None and given.type != "mt_text")
        or given.send_at is not None
        or given.expire_at is not None
        or given.parameters
        or given.flash_message is not None
        or given.max_number_of_message_parts is not None
        or given.truncate_concat is not None
        or given.from_ton is not None
        or given.from_npi is not None
        or given.strict_validation is not None
        or (given.client_reference is not None and len(given.client_reference) > wire.REFERENCE_MAX_CHARS)
        or (url is not None and len(url) > wire.URL_MAX_CHARS)
    ):
        return None
    notify = NOTIFY_OF[given.delivery_report]
    if notify not in _SILENT and url is None and account.callback_url is None:
        return None
    number = to[0]
    if len(to) == 1 and number.isdigit() and number.isascii() and 5 <= len(number) <= 15 and number[0] != "0":
        recipients: tuple[str, ...] = (number,)
    else:
        recipients, group = fields.read_recipients("to", to)
        if group:
            return None
    sender = fields.find_sender(given.sender)
    if sender is None or (url is not None and not fields.is_callback_url(url)):
        return None
    # In the order of the fields: names cost a microsecond each for every message (core.model).
    return Submission(
        NAME,
        sender,
        recipients,
        Content(ContentKind.TEXT, text),
        notify,
        url,
        given.client_reference,
        None,
        None,
        given.feedback_enabled or False,
        wire.VALIDITY_MS,
        wire.VALIDITY_MS,
        {},
    )


def _read_times(given: BatchIn | BatchUpdateIn) -> tuple[int | None, int | None]:
    send_at = fields.read_time("send_at", given.send_at) if isinstance(given.send_at, str) else None
    expire_at = fields.read_time("expire_at", given.expire_at) if isinstance(given.expire_at, str) else None
    return send_at, expire_at


def _read_parts(value: int | str | None) -> int | None:
    return fields.read_whole_number("max_number_of_message_parts", value) if isinstance(value, str) else value


def _check_limits(given: BatchIn, sender: str | None, parts: int | None, account: Account) -> None:
    """Check what all types share (sections 4.1, 11)."""
    if not given.to or len(given.to) > wire.TO_MAX:
        raise broken_constraint("to", f"1 to {wire.TO_MAX} elements")
    if sender is None:
        if given.sender is not None or account.default_from is None:
            raise broken_constraint("from", "required, the account has no default sender")
    elif len(sender) > wire.SENDER_NAME_MAX_CHARS and not sender.isdigit():
        raise broken_constraint("from", f"a name has 1 to {wire.SENDER_NAME_MAX_CHARS} characters")
    if given.callback_url is not None and len(given.callback_url) > wire.URL_MAX_CHARS:
        raise broken_constraint("callback_url", f"at most {wire.URL_MAX_CHARS} characters")
    if given.client_reference is not None and len(given.client_reference) > wire.REFERENCE_MAX_CHARS:
        raise broken_constraint("client_reference", f"at most {wire.REFERENCE_MAX_CHARS} characters")
    if parts is not None and not 1 <= parts <= wire.PARTS_MAX:
        raise broken_constraint("max_number_of_message_parts", f"1 to {wire.PARTS_MAX}")
    if given.from_ton is not None and not 0 <= given.from_ton <= wire.TON_MAX:
        raise broken_constraint("from_ton", f"0 to {wire.TON_MAX}")
    if given.from_npi is not None and not 0 <= given.from_npi <= wire.NPI_MAX:
        raise broken_constraint("from_npi", f"0 to {wire.NPI_MAX}")


def _settle_times(
    send_at: int | None, expire_at: int | None, now: int, extra: dict[str, Any], *, kept: bool
) -> tuple[int | None, int | None]:
    """Return when to send (None: at once) and when to stop; a past ``send_at`` is kept for the views alone.

    ``kept``: both are the batch's own and were checked when they were given.
    """
    begin_at = now
    if send_at is not None:
        if send_at > now:
            begin_at = send_at
        else:
            extra["send_at"], send_at = send_at, None
    if expire_at is not None:
        if expire_at <= begin_at and not kept:
            raise broken_constraint("expire_at", "must be after send_at, or after now when that is past or missing")
        extra["expire_at"] = True
        expire_at = min(expire_at, begin_at + wire.VALIDITY_MS)
    return send_at, expire_at


def _keep_for_views(given: BatchIn, content: Content, extra: dict[str, Any]) -> None:
    """Keep what a batch object shows "only if given" and the canonical content cannot tell (section 4.2)."""
    if given.truncate_concat is not None:
        extra["truncate_concat"] = given.truncate_concat
    if given.strict_validation is not None:
        extra["strict_validation"] = given.strict_validation
    if given.flash_message is not None and content.kind is not ContentKind.TEXT:
        extra["flash_message"] = given.flash_message


# --- content, by type ------------------------------------------------------------------------------------------------


def _read_text(given: BatchIn, parts: int | None) -> Content:
    if isinstance(given.body, MediaBody):
        raise bad_format("body", "a string for mt_text")
    return Content(
        text=given.body or "",
        parameters=fields.read_parameters(given.parameters) if given.parameters else {},
        flash=given.flash_message or False,
        truncate=given.truncate_concat or False,
        max_parts=parts,
        source_ton=given.from_ton,
        source_npi=given.from_npi,
    )


def _check_text(given: BatchIn, content: Content) -> None:
    if given.body is None:
        raise broken_constraint("body", f"required, 0 to {wire.TEXT_MAX_CHARS} characters")
    if len(content.text) > wire.TEXT_MAX_CHARS:
        raise broken_constraint("body", f"0 to {wire.TEXT_MAX_CHARS} characters")
    if content.parameters:
        _check_parameters(content.parameters)


def _check_parameters(parameters: Mapping[str, Mapping[str, str]]) -> None:
    for key, values in parameters.items():
        if len(key) > wire.PARAMETER_KEY_MAX_CHARS:
            raise broken_constraint("parameters", f"a key has at most {wire.PARAMETER_KEY_MAX_CHARS} characters")
        if any(len(value) > wire.PARAMETER_VALUE_MAX_CHARS for value in values.values()):
            raise broken_constraint("parameters", f"a value has at most {wire.PARAMETER_VALUE_MAX_CHARS} characters")


def _read_binary(given: BatchIn, parts: int | None) -> Content:
    if isinstance(given.body, MediaBody):
        raise bad_format("body", "a Base64 string for mt_binary")
    if given.udh is not None:
        fields.read_hex("udh", given.udh)
    return Content(
        kind=ContentKind.BINARY,
        data=fields.read_base64("body", given.body).hex() if given.body else "",
        udh=given.udh or "",
        flash=given.flash_message or False,
        truncate=given.truncate_concat or False,
        max_parts=parts,
        source_ton=given.from_ton,
        source_npi=given.from_npi,
    )


def _check_binary(given: BatchIn, content: Content) -> None:
    if given.body is None:
        raise broken_constraint("body", "required")
    if not given.udh:
        raise broken_constraint("udh", "required for mt_binary")
    if (len(content.data) + len(content.udh)) // 2 > wire.BINARY_MAX_BYTES:
        raise broken_constraint("body", f"with udh at most {wire.BINARY_MAX_BYTES} bytes")


def _read_media(given: BatchIn, parts: int | None) -> Content:
    body = given.body
    if isinstance(body, str):
        raise bad_format("body", "an object with a url for mt_media")
    if body is not None and body.url is not None:
        fields.read_url("body.url", body.url)
    return Content(
        kind=ContentKind.MEDIA,
        text=(body.message or "") if body else "",
        parameters=fields.read_parameters(given.parameters) if given.parameters else {},
        media_url=(body.url or "") if body else "",
        media_subject=body.subject if body else None,
        flash=given.flash_message or False,
        truncate=given.truncate_concat or False,
        max_parts=parts,
        source_ton=given.from_ton,
        source_npi=given.from_npi,
    )


def _check_media(given: BatchIn, content: Content) -> None:
    if given.body is None:
        raise broken_constraint("body", "required, an object with a url")
    if not content.media_url:
        raise broken_constraint("body.url", "required for mt_media")
    if len(content.media_url) > wire.URL_MAX_CHARS:
        raise broken_constraint("body.url", f"at most {wire.URL_MAX_CHARS} characters")
    _check_parameters(content.parameters)


class _Shape(NamedTuple):
    """How one type of batch is read: its forms, then its limits."""

    read: Callable[[BatchIn, int | None], Content]
    check: Callable[[BatchIn, Content], None]


_SHAPES: Final[Mapping[str, _Shape]] = {
    "mt_text": _Shape(_read_text, _check_text),
    "mt_binary": _Shape(_read_binary, _check_binary),
    "mt_media": _Shape(_read_media, _check_media),
}


# --- update ----------------------------------------------------------------------------------------------------------


class _Changes(NamedTuple):
    """Recipients to add and to remove, and whether a group id stood among them."""

    add: tuple[str, ...]
    remove: tuple[str, ...]
    group: bool


_KEPT_BY_NAME: Final = tuple(
    name for name in BatchUpdateIn.__struct_fields__ if name not in ("to_add", "to_remove", "type")
)


def _read_changes(update: BatchUpdateIn) -> _Changes:
    """Check what can be told without the batch, and return the changes to its recipients."""
    add, group = fields.read_recipients("to_add", update.to_add or ())
    remove, other = fields.read_recipients("to_remove", update.to_remove or ())
    if update.sender:
        fields.read_sender("from", update.sender)
    if update.callback_url is not UNSET and update.callback_url is not None:
        fields.read_callback_url("callback_url", update.callback_url)
    _read_times(update)
    if isinstance(update.max_number_of_message_parts, str):
        _read_parts(update.max_number_of_message_parts)
    if update.parameters:
        fields.read_parameters(update.parameters)
    for name, values in (("to_add", update.to_add), ("to_remove", update.to_remove)):
        if values is not UNSET and values is not None and not 1 <= len(values) <= wire.CHANGE_MAX:
            raise broken_constraint(name, f"1 to {wire.CHANGE_MAX} elements")
    return _Changes(add, remove, group or other)


def _changed(batch: Batch, update: BatchUpdateIn, changes: _Changes, account: Account, now: int) -> Submission:
    """Lay the update over the batch, adding before removing, and read the result as if it had been sent."""
    whole = as_request(batch)
    if update.type and update.type != whole.type:
        raise broken_constraint("type", "must be the batch's own")
    for name in _KEPT_BY_NAME:
        value = getattr(update, name)
        if value is not UNSET:
            setattr(whole, name, value)
    removed = frozenset(changes.remove)
    whole.to = [number for number in dict.fromkeys((*batch.recipients, *changes.add)) if number not in removed]
    untimed = update.send_at is UNSET and update.expire_at is UNSET
    submission = _submission(whole, account, now, kept_expire_at=batch.expire_at if untimed else None)
    if changes.group:
        raise forbidden(ErrorCode.UNKNOWN_GROUP, "to_add, to_remove: a group id is unknown")
    return submission
