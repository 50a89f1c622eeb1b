"""Requests: the send call, and the fetching of reports (docs/dialects/ninebits.md 3, 6).

Theory of operation. A body is decoded by type; then each field's form and limit is checked in the order from, to, text,
delivery_report, times; the first that is wrong is told, by its name and what is expected, never with its value.

Must not know: how a batch is stored or sent. Next: ``kvitto.dialects.ninebits.wire``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kvitto.core.model import Account, Content, Notify, Submission
from kvitto.core.msisdn import clean
from kvitto.core.operations import ListBatchMessages, Send
from kvitto.core.text import count_parts, is_gsm
from kvitto.dialects.base import Call, DialectError, Problem
from kvitto.dialects.ninebits import errors, wire
from kvitto.dialects.ninebits.errors import JSON, invalid
from kvitto.dialects.ninebits.responses import NAME, Echo
from kvitto.dialects.ninebits.statuses import STATUS_NAMES, chooser
from kvitto.dialects.ninebits.times import parse_timestamp
from kvitto.dialects.ninebits.wire import SendIn

__all__ = ["read_recipient_reports", "read_reports", "read_send"]

_SEND: Final = msgspec.json.Decoder(SendIn)
_ONE_PART_ANYHOW: Final = 70
"""So many ASCII characters are one part in either encoding; the commonest texts need no counting."""

WISHES: Final[Mapping[str, bool]] = {
    "yes": True,
    "true": True,
    "1": True,
    "none": False,
    "no": False,
    "false": False,
    "0": False,
    "": False,
}
"""``delivery_report`` as text -> whether callbacks are wanted (section 3.3)."""


def read_send(call: Call, account: Account) -> Send:
    """``POST sendsms`` (section 3)."""
    given = _decode(call)
    sender = _read_sender(given.sender)
    recipients = _read_recipients(given.to)
    text = _read_text(given, account.max_parts or wire.PARTS_DEFAULT)
    wish = _read_wish(given.delivery_report)
    asked_at = _read_send_at(given, account.timezone, call.now)
    shown = given.delivery_report if isinstance(given.delivery_report, str) else wish
    has_url = account.callback_url is not None
    submission = Submission(
        dialect=NAME,
        sender=sender,
        recipients=recipients,
        content=Content(text=text, max_parts=account.max_parts or wire.PARTS_DEFAULT),
        # Nothing said is a yes here, in whosever words it will be told. A yes while there is nowhere to tell is
        # accepted, and the reports wait to be fetched (section 3.3).
        notify=Notify.CHANGES if wish is not False and has_url else Notify.NONE,
        send_at=asked_at,
        validity_default_ms=wire.VALIDITY_MS,
        validity_max_ms=wire.VALIDITY_MS,
        extra=_kept(given),
    )
    return Send(submission, Echo(account.timezone, asked_at, has_url if shown is None else shown))


def read_reports(call: Call, account: Account) -> ListBatchMessages:
    """``GET deliveryreports/{reference_id}`` (section 6)."""
    return _listing(call, account, None)


def read_recipient_reports(call: Call, account: Account) -> ListBatchMessages:
    """``GET deliveryreports/{reference_id}/{msisdn}`` (section 6)."""
    number = _normal(call.params["msisdn"], wire.FETCHED_DIGITS_MIN)
    if number is None:
        raise invalid("msisdn", f"not a phone number of {wire.FETCHED_DIGITS_MIN} to {wire.NUMBER_DIGITS_MAX} digits")
    return _listing(call, account, number)


# --- JSON ------------------------------------------------------------------------------------------------------------

_TYPE_WORDS: Final[Mapping[str, str]] = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPE_WORD: Final = re.compile(r"`([^`]*)`")
_NUL_ESCAPE: Final = b"\\u0000"
_NOT_JSON: Final = "the body is not valid JSON"


def _decode(call: Call) -> SendIn:
    """Return the typed body, or refuse: 413, 415, then what the JSON is worth. No content type is read as JSON."""
    if len(call.body) > wire.BODY_MAX_BYTES:
        raise errors.too_large()
    if call.content_type not in ("", JSON):
        raise errors.unsupported_media()
    try:
        given = _SEND.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(error, call.body) from None
    if _NUL_ESCAPE in call.body:
        _refuse_nul(given)
    return given


def _unreadable(error: Exception, body: bytes) -> DialectError:
    """Tell JSON that is none from a value of the wrong type: the decoder stops at whichever comes first."""
    if not isinstance(error, msgspec.ValidationError):
        return invalid("", _NOT_JSON)
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return invalid("", _NOT_JSON)
    words, _, path = str(error).partition(" - at `$")
    if not path:
        return invalid("", "the body must be a JSON object")
    return invalid(path.rstrip("`").lstrip("."), _TYPE_WORD.sub(_plain_types, words).lower())


def _plain_types(found: re.Match[str]) -> str:
    return " or ".join(_TYPE_WORDS.get(word, word) for word in found[1].split(" | ") if word != "null") or "null"


def _refuse_nul(given: SendIn) -> None:
    """U+0000 fits no SMS alphabet and no database text column: a string with it is refused, whichever field it is."""
    for name, value in msgspec.to_builtins(given).items():
        if isinstance(value, str) and "\0" in value:
            raise invalid(name, "must not hold U+0000")


# --- the fields of a send --------------------------------------------------------------------------------------------


def _read_sender(value: str | None) -> str:
    if not value:
        raise invalid("from", "required")
    digits = value[1:] if value[0] == "+" else value
    if digits.isascii() and digits.isdigit():
        if wire.SENDER_DIGITS_MIN <= len(digits) <= wire.SENDER_DIGITS_MAX:
            return digits
        raise invalid("from", f"a numeric sender has {wire.SENDER_DIGITS_MIN} to {wire.SENDER_DIGITS_MAX} digits")
    if len(value) > wire.SENDER_NAME_MAX_CHARS or not any(map(str.isalpha, value)):
        raise invalid("from", f"1 to {wire.SENDER_NAME_MAX_CHARS} characters with a letter among them, or digits")
    if not (value.isprintable() and is_gsm(value)):
        raise invalid("from", "characters that no phone shows in a sender")
    return value


def _read_recipients(value: Sequence[str | int] | str | int | None) -> tuple[str, ...]:
    """Return the distinct numbers in their normal form, in the order of their first appearance."""
    if value is None:
        raise invalid("to", "required")
    entries: Sequence[str | int] = [value] if isinstance(value, str | int) else value
    if not 1 <= len(entries) <= wire.TO_MAX:
        raise invalid("to", f"1 to {wire.TO_MAX} recipients")
    numbers = []
    for index, entry in enumerate(entries):
        number = _normal(entry)
        if number is None:
            raise invalid(
                f"to[{index}]", f"not a phone number of {wire.NUMBER_DIGITS_MIN} to {wire.NUMBER_DIGITS_MAX} digits"
            )
        numbers.append(number)
    return tuple(dict.fromkeys(numbers)) if len(numbers) > 1 else (numbers[0],)


def _normal(value: str | int, least: int = wire.NUMBER_DIGITS_MIN) -> str | None:
    """Return the normal form of a number (section 1), None when it is none."""
    if isinstance(value, int):
        if not 0 < value < 10**wire.NUMBER_DIGITS_MAX:
            return None
        value = str(value)
    number = clean(value.strip(" "), min_digits=least, max_digits=wire.NUMBER_DIGITS_MAX, strip="")
    return None if number is None or number[0] == "0" else number


def _read_text(given: SendIn, most_parts: int) -> str:
    """Return the text, whichever of its names it came under."""
    text = name = None
    for known, value in (("content", given.content), ("body", given.body), ("message", given.message)):
        if value is None:
            continue
        if text is not None and value != text:
            raise invalid(known, f"differs from {name}; send the text once")
        text, name = value, name or known
    if text is None or name is None:
        raise invalid("content", "required; body is its older name")
    text = text.replace("\r\n", "\n")
    if not 1 <= len(text) <= wire.TEXT_MAX_CHARS:
        raise invalid(name, f"1 to {wire.TEXT_MAX_CHARS} characters")
    if (len(text) > _ONE_PART_ANYHOW or not text.isascii()) and count_parts(text) > most_parts:
        raise invalid(name, f"more than {most_parts} parts")
    return text


def _read_wish(value: bool | str | int | None) -> bool | None:
    """Return whether callbacks are wanted; None: not said."""
    if value is None or isinstance(value, bool):
        return value
    wish = WISHES.get(value) if isinstance(value, str) else {1: True, 0: False}.get(value)
    if wish is None:
        raise invalid("delivery_report", 'true, "yes", "true", "1", 1, or false, "none", "no", "false", "0", 0, ""')
    return wish


def _read_send_at(given: SendIn, zone: str, now: int) -> int | None:
    """Return when it shall leave, as asked for: ms UTC, None for now."""
    asked_at = None
    for name, value in (("send_at", given.send_at), ("exec_time", given.exec_time)):
        if not value:
            continue
        at = parse_timestamp(value, zone)
        if at is None:
            raise invalid(name, "not a time like 2026-03-09 17:05:00")
        if asked_at is not None and at != asked_at:
            raise invalid(name, "another instant than send_at")
        if at > now + wire.AHEAD_MAX_MS:
            raise invalid(name, "more than 7 days ahead")
        asked_at = at
    return asked_at


def _kept(given: SendIn) -> Mapping[str, Any]:
    """What the answer to an incoming message brings along: stored, unused (section 7)."""
    if given.session_id is None and given.sent_date is None and given.ref_id is None:
        return _NOTHING
    kept = {"session_id": given.session_id, "sent_date": given.sent_date, "ref_id": given.ref_id}
    return {name: value for name, value in kept.items() if value is not None}


_NOTHING: Final[Mapping[str, Any]] = {}


# --- queries ---------------------------------------------------------------------------------------------------------

_REFERENCE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGITS_MAX: Final = 10
"""Whole numbers of more digits are not read at all: every limit is far below."""


def _listing(call: Call, account: Account, recipient: str | None) -> ListBatchMessages:
    reference_id = call.params["reference_id"]
    if not _REFERENCE_ID.fullmatch(reference_id):
        raise DialectError(errors.refuse(Problem.NOT_FOUND))
    return ListBatchMessages(
        batch_id=reference_id,
        recipient=recipient,
        shows=chooser(_read_statuses(call)),
        page=_whole_number(call, "page", 0, 0, wire.PAGE_MAX),
        page_size=_whole_number(call, "page_size", wire.PAGE_SIZE_DEFAULT, 1, wire.PAGE_SIZE_MAX),
        first_final=account.late_corrections is False,
        told=account.timezone,
    )


def _read_statuses(call: Call) -> list[str]:
    names = [name for value in call.query.get("status", ()) for name in value.split(",") if name]
    if any(name not in STATUS_NAMES for name in names):
        raise invalid("status", "any of " + ", ".join(STATUS_NAMES))
    return names


def _whole_number(call: Call, name: str, default: int, least: int, most: int) -> int:
    """Return an integer within limits, both inclusive; of a repeated parameter the first counts."""
    values = call.query.get(name)
    if not values:
        return default
    text = values[0]
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and least <= int(text) <= most):
        raise invalid(name, f"{least} to {most}")
    return int(text)
