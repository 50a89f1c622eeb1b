"""Reading the delivery receipt in a deliver_sm or data_sm.

The theory: a receipt is told by flags, by TLVs and by a text without a standard, and real SMSCs do all of it in every
mixture (docs/smpp.md 1.7). So reading has four named steps: octets to one clean text; the text's labels to fields; the
question whether it is a receipt at all; fields and TLVs to one ``Receipt``. No octets make it fail (R17).

Two readers, one result: ``_read_standard`` recognises the commonest form by its pieces and gives up on anything
else, ``_read_any`` is the plain reader and the oracle of the first (tests/property/test_receipts_fast_path.py).

It must not know sessions, matching or storing. Next: ``docs/smpp.md`` part 2, kvitto.core.receipt for the values.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from kvitto.core.receipt import (
    STATES,
    LinkRules,
    NetworkError,
    NotReceipt,
    Receipt,
    StateRow,
    TextReceipts,
    Unparseable,
    decide_state,
)
from kvitto.smpp.codec import encode
from kvitto.smpp.events import QueryAnswered
from kvitto.smpp.pdus import QuerySmResp
from kvitto.smpp.spec import EsmClass, Tlv

__all__ = ["ReceiptCarrier", "parse_receipt", "receipt_of_query"]

# As plain numbers: `&` on an IntEnum costs more than all other tests of the fast path together.
TAG_RECEIPTED_MESSAGE_ID: Final = Tlv.RECEIPTED_MESSAGE_ID.value
TAG_NETWORK_ERROR_CODE: Final = Tlv.NETWORK_ERROR_CODE.value
TAG_MESSAGE_PAYLOAD: Final = Tlv.MESSAGE_PAYLOAD.value
TAG_MESSAGE_STATE: Final = Tlv.MESSAGE_STATE.value

ESM_TYPE: Final = EsmClass.TYPE_MASK.value
ESM_RECEIPT: Final = EsmClass.DELIVERY_RECEIPT.value
ESM_INTERMEDIATE: Final = EsmClass.INTERMEDIATE_NOTIFICATION.value
ESM_RECEIPT_OR_INTERMEDIATE: Final = ESM_RECEIPT | ESM_INTERMEDIATE
ESM_ACKNOWLEDGEMENTS: Final = (EsmClass.DELIVERY_ACKNOWLEDGEMENT.value, EsmClass.USER_ACKNOWLEDGEMENT.value)
ESM_UDHI: Final = EsmClass.UDHI.value
DCS_UCS2: Final = 0x08

KEPT_TEXT: Final = 255
"""Characters of ``text:`` that are kept."""

COUNT_DIGITS: Final = 18
"""``sub`` and ``dlvrd`` with more digits are no counts: the store keeps 64-bit integers."""


class ReceiptCarrier(Protocol):
    """What reading needs of a deliver_sm or data_sm; the codec's PDUs have it."""

    @property
    def esm_class(self) -> int:
        """One octet of flags."""

    @property
    def data_coding(self) -> int:
        """One octet."""

    @property
    def short_message(self) -> bytes:
        """Octets, b"" for data_sm."""

    @property
    def tlvs(self) -> Mapping[int, bytes]:
        """Tag -> value."""

    @property
    def source_addr(self) -> str:
        """As sent."""

    @property
    def destination_addr(self) -> str:
        """As sent."""

    @property
    def raw(self) -> bytes:
        """The whole PDU's octets."""


def parse_receipt(pdu: ReceiptCarrier, rules: LinkRules, received_at: int) -> Receipt | NotReceipt | Unparseable:
    """Read the delivery receipt carried by a deliver_sm or data_sm (R14-R25; docs/smpp.md part 2).

    ``received_at``: ms since the epoch UTC; it only decides dates of 12 digits that can be read in two ways.

    Returns: NotReceipt for an ordinary incoming message; Unparseable when flagged as a receipt but without any id.
    Raises: nothing; no octets make reading fail.
    """
    return _read_standard(pdu, rules, received_at) or _read_any(pdu, rules, received_at)


def receipt_of_query(
    answer: QueryAnswered, message_id: str, recipient: str, sender: str, rules: LinkRules, received_at: int
) -> Receipt | None:
    """The answer to a query_sm as the receipt that it stands for (R52); None where it tells of no end.

    ``message_id``: the SMSC's, as it was asked for. ``final_date`` is the done date. ``raw``: the query_sm_resp again.
    """
    state = answer.message_state
    row = None if answer.command_status or state is None else STATES.get(state)
    if row is None or state is None or not row.final:
        return None
    pdu = QuerySmResp(
        message_id=answer.message_id, final_date=answer.final_date, message_state=state, error_code=answer.error_code
    )
    return Receipt(
        message_id=message_id,
        text_id=message_id,
        tlv_id=None,
        status=row.status,
        reason=row.reason,
        final=True,
        stat_raw=None,
        message_state=state,
        err=_error(str(answer.error_code)) if answer.error_code else None,
        network_error=None,
        submit_at=None,
        done_at=_date(answer.final_date, rules.time_zone, received_at),
        sub=None,
        dlvrd=None,
        text=None,
        raw=encode(pdu),
        source_addr=recipient,
        destination_addr=sender,
        intermediate=False,
    )


# --- the commonest form ----------------------------------------------------------------------------------------------

_ID: Final = re.compile(r"[0-9A-Za-z_-]+")
_MIDDLE: Final = re.compile(
    r"(?:sub:([0-9]{1,9}) )?(?:dlvrd:([0-9]{1,9}) )?submit date:([0-9]+) done date:([0-9]+) "
    r"stat:([A-Z0-9]+) err:([0-9A-Za-z]{1,8})"
)


class _Middle(NamedTuple):
    """What stands between ``id`` and ``text``, read."""

    sub: int | None
    dlvrd: int | None
    submit_at: int | None
    done_at: int | None
    stat: str
    err: str | None
    dates: tuple[str, str] | None
    """As sent, when one of them can be read in two ways: then the time of receiving decides, not the cache."""


# Between their ids and texts the receipts of one minute are the same few: the cache makes them cost a look-up.
@lru_cache(maxsize=4_096)
def _middle(text: str, zone: tzinfo) -> _Middle | None:
    found = _MIDDLE.fullmatch(text)
    if found is None:
        return None
    sub, dlvrd, submit_date, done_date, stat, err = found.groups()
    ambiguous = AMBIGUOUS_DIGITS in (len(submit_date), len(done_date))
    return _Middle(
        None if sub is None else int(sub),
        None if dlvrd is None else int(dlvrd),
        _date(submit_date, zone, 0),
        _date(done_date, zone, 0),
        stat,
        _error(err),
        (submit_date, done_date) if ambiguous else None,
    )


def _read_standard(pdu: ReceiptCarrier, rules: LinkRules, received_at: int) -> Receipt | None:
    """The receipt, when it is flagged and its text is the one of SMPP 3.4 appendix B to the letter; else None."""
    esm_class = pdu.esm_class
    octets = pdu.short_message
    if (
        esm_class & (ESM_RECEIPT_OR_INTERMEDIATE | ESM_UDHI) != ESM_RECEIPT
        or pdu.data_coding == DCS_UCS2
        or rules.template is not None
    ):
        return None
    if octets[-1:] == b"\0":
        octets = octets[:-1]
    label, _, rest = octets.decode("latin-1").partition(" ")
    text_id = label[3:]
    if label[:3] != "id:" or not ((text_id.isascii() and text_id.isalnum()) or _ID.fullmatch(text_id)):
        return None
    told, begins, text = rest.partition(" text:")
    if not begins:
        told, begins, text = rest.partition(" Text:")
    if not text.isprintable():
        return None
    middle = _middle(told, rules.time_zone)
    if middle is None:
        return None
    sub, dlvrd, submit_at, done_at, stat, err, dates = middle
    if dates is not None:
        submit_at, done_at = (_date(date, rules.time_zone, received_at) for date in dates)
    tlvs = pdu.tlvs
    tlv_id = message_state = network_error = tlv_row = None
    if tlvs:
        octets = tlvs.get(TAG_RECEIPTED_MESSAGE_ID, b"")
        tlv_id = octets.decode("latin-1").partition("\0")[0] or None
        state = tlvs.get(TAG_MESSAGE_STATE)
        if state is not None and len(state) == 1:
            tlv_row = STATES.get(state[0])
            message_state = None if tlv_row is None else state[0]
        network_error = _network_error(tlvs) if TAG_NETWORK_ERROR_CODE in tlvs else None
    text_row = rules.states.get(stat)
    if text_row is tlv_row and text_row is not None:  # both say the same: nothing to decide
        _, status, reason, final = text_row
    else:
        status, reason, final = decide_state(tlv_row, text_row)
    return tuple.__new__(
        Receipt,
        (
            tlv_id if tlv_id and tlv_id.strip() else text_id,
            text_id,
            tlv_id,
            status,
            reason,
            final,
            stat,
            message_state,
            err,
            network_error,
            submit_at,
            done_at,
            sub,
            dlvrd,
            text.strip()[:KEPT_TEXT] if begins else None,
            pdu.raw,
            pdu.source_addr,
            pdu.destination_addr,
            False,
        ),
    )


# --- any form --------------------------------------------------------------------------------------------------------


class _Reading(NamedTuple):
    """A receipt's text, clean, and its fields: label -> value (first occurrence, trimmed, ids and such one token)."""

    text: str
    fields: Mapping[str, str]


def _read_any(pdu: ReceiptCarrier, rules: LinkRules, received_at: int) -> Receipt | NotReceipt | Unparseable:
    """The plain reader: every form of docs/smpp.md part 2."""
    reading = _reading(pdu, rules)
    tlv_id = _tlv_id(pdu.tlvs)
    tlv_row = _tlv_state(pdu.tlvs)
    text_row = rules.states.get(reading.fields.get("stat", "").upper())
    message_id = tlv_id if tlv_id and tlv_id.strip() else reading.fields.get("id")
    if not _is_receipt(pdu, rules, reading, message_id, tlv_row, text_row):
        return NotReceipt(pdu.raw, pdu.source_addr, pdu.destination_addr)
    if not message_id:
        return Unparseable(pdu.raw, pdu.source_addr, pdu.destination_addr, reading.text[:KEPT_TEXT])
    return _receipt(pdu, rules, received_at, reading.fields, message_id, tlv_id, tlv_row, text_row)


def _receipt(
    pdu: ReceiptCarrier,
    rules: LinkRules,
    received_at: int,
    fields: Mapping[str, str],
    message_id: str,
    tlv_id: str | None,
    tlv_row: StateRow | None,
    text_row: StateRow | None,
) -> Receipt:
    """Fields and TLVs as one result record (docs/smpp.md 2.3)."""
    intermediate = pdu.esm_class & ESM_RECEIPT_OR_INTERMEDIATE == ESM_INTERMEDIATE
    status, reason, final = decide_state(tlv_row, text_row, intermediate=intermediate)
    text = fields.get("text")
    return Receipt(
        message_id=message_id,
        text_id=fields.get("id") or None,
        tlv_id=tlv_id,
        status=status,
        reason=reason,
        final=final,
        stat_raw=fields.get("stat") or None,
        message_state=None if tlv_row is None else tlv_row.state.value,
        err=_error(fields.get("err", "")),
        network_error=_network_error(pdu.tlvs),
        submit_at=_date(fields.get("submit date", ""), rules.time_zone, received_at),
        done_at=_date(fields.get("done date", ""), rules.time_zone, received_at),
        sub=_count(fields.get("sub", "")),
        dlvrd=_count(fields.get("dlvrd", "")),
        text=None if text is None else text[:KEPT_TEXT],
        raw=pdu.raw,
        source_addr=pdu.source_addr,
        destination_addr=pdu.destination_addr,
        intermediate=intermediate,
    )


def _is_receipt(
    pdu: ReceiptCarrier,
    rules: LinkRules,
    reading: _Reading,
    message_id: str | None,
    tlv_row: StateRow | None,
    text_row: StateRow | None,
) -> bool:
    """The order of docs/smpp.md 2.2 (R14-R16)."""
    kind = pdu.esm_class & ESM_TYPE
    if kind & ESM_RECEIPT_OR_INTERMEDIATE:
        return True
    if TAG_RECEIPTED_MESSAGE_ID in pdu.tlvs and (tlv_row is not None or "stat" in reading.fields):
        return True
    if kind in ESM_ACKNOWLEDGEMENTS:
        return bool(message_id) and (tlv_row is not None or text_row is not None)
    if kind or rules.text_receipts is TextReceipts.OFF:
        return False
    return text_row is not None and not _EVIDENCE.isdisjoint(reading.fields) and _begins_with_id(reading.text)


_EVIDENCE: Final = frozenset({"submit date", "done date", "err", "dlvrd", "sub"})
"""A text without flags needs one of these beside id and a known stat, or it is somebody's words (R15)."""


# --- octets to text (docs/smpp.md 2.1) -------------------------------------------------------------------------------


def _reading(pdu: ReceiptCarrier, rules: LinkRules) -> _Reading:
    """The text that counts: short_message, or message_payload when the first is empty or has no ``id:`` beside it."""
    payload = pdu.tlvs.get(TAG_MESSAGE_PAYLOAD, b"")
    if not pdu.short_message:
        return _read_octets(payload, pdu, rules)
    reading = _read_octets(pdu.short_message, pdu, rules)
    return reading if not payload or "id" in reading.fields else _read_octets(payload, pdu, rules)


def _read_octets(octets: bytes, pdu: ReceiptCarrier, rules: LinkRules) -> _Reading:
    text = _clean_text(octets, pdu.esm_class, pdu.data_coding)
    found = None if rules.template is None else rules.template.search(text)
    if found is None:
        return _Reading(text, _fields(text))
    # What the template calls the message's text is searched for labels as little as what follows ``text:`` (R19).
    begin, end = found.span("text") if "text" in found.groupdict() else (-1, -1)
    labelled = text if begin < 0 else f"{text[:begin]} {text[end:]}"
    return _Reading(text, {**_fields(labelled), **_template_fields(found)})


_ID_BEGINNINGS: Final = tuple("id:".encode(codec) for codec in ("latin-1", "utf-16-be", "utf-16-le"))


def _clean_text(octets: bytes, esm_class: int, data_coding: int) -> str:
    """Octets without header, decoded, without NULs and control characters, trimmed."""
    if esm_class & ESM_UDHI and octets and octets[0] < len(octets) and not octets.lower().startswith(_ID_BEGINNINGS):
        octets = octets[octets[0] + 1 :]
    return _decode(octets, data_coding).translate(_CONTROLS).strip()


def _decode(octets: bytes, data_coding: int) -> str:
    """UTF-16 by data_coding or by its look, else one character per octet; an odd last octet of UTF-16 is dropped."""
    whole = len(octets) & ~1
    if data_coding == DCS_UCS2 or (len(octets) >= 8 and len(octets) == whole and not any(octets[0:8:2])):
        return octets[:whole].decode("utf-16-be", "replace")
    if len(octets) >= 8 and not any(octets[1:8:2]):
        return octets[:whole].decode("utf-16-le", "replace")
    return octets.decode("latin-1")


# NUL goes, every other character of category Cc becomes a space.
_CONTROLS: Final = {0: None} | dict.fromkeys([*range(0x01, 0x20), *range(0x7F, 0xA0)], " ")


# --- text to fields (docs/smpp.md 2.3) -------------------------------------------------------------------------------

# ASCII only: Unicode's case folding would take U+017F for an s.
_LABEL: Final = re.compile(
    r"(?<![^ ,;|])(?:(id)|(sub)|(dlvrd)|(submit[ _]?date)|(done[ _]?date)|(stat(?:us)?)|(err(?:or)?)|(text)) *:",
    re.IGNORECASE | re.ASCII,
)
_LABELS: Final = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err", "text")
_ONE_TOKEN: Final = frozenset({"id", "sub", "dlvrd", "stat", "err"})
_TOKEN: Final = re.compile(r"[^ ,;|]*")


def _fields(text: str) -> dict[str, str]:
    """Label -> value; the first occurrence of a label wins, all after ``text:`` is text (R18, R19)."""
    fields: dict[str, str] = {}
    label, begin = "", 0
    for found in _LABEL.finditer(text):
        _put(fields, label, text[begin : found.start()])
        label, begin = _LABELS[(found.lastindex or 1) - 1], found.end()
        if label == "text":
            break
    _put(fields, label, text[begin:])
    return fields


def _put(fields: dict[str, str], label: str, value: str) -> None:
    if label and label not in fields:
        value = value.strip()
        fields[label] = _first_token(value) if label in _ONE_TOKEN else value


def _first_token(value: str) -> str:
    found = _TOKEN.match(value)
    return found[0] if found else ""


def _begins_with_id(text: str) -> bool:
    first = _LABEL.match(text)
    return first is not None and first.lastindex == 1


def _template_fields(found: re.Match[str]) -> dict[str, str]:
    """What the link's template found; group names are labels with ``_`` for the space (docs/smpp.md 2.4, R25)."""
    groups = ((name.replace("_", " "), value) for name, value in found.groupdict().items())
    return {label: value.strip() for label, value in groups if value is not None and label in _LABELS}


# --- single values ---------------------------------------------------------------------------------------------------


def _tlv_id(tlvs: Mapping[int, bytes]) -> str | None:
    """receipted_message_id up to the first NUL (some peers leave it out), as sent; None when absent or empty."""
    value = tlvs.get(TAG_RECEIPTED_MESSAGE_ID)
    return value.decode("latin-1").partition("\0")[0] or None if value else None


def _tlv_state(tlvs: Mapping[int, bytes]) -> StateRow | None:
    value = tlvs.get(TAG_MESSAGE_STATE)
    return STATES.get(value[0]) if value and len(value) == 1 else None


def _network_error(tlvs: Mapping[int, bytes]) -> NetworkError | None:
    """network_error_code; three ASCII digits instead of type and code are a number without a type."""
    value = tlvs.get(TAG_NETWORK_ERROR_CODE)
    if value is None or len(value) != 3:
        return None
    if value.isdigit():
        return NetworkError(None, int(value))
    return NetworkError(value[0], value[1] << 8 | value[2])


def _is_digits(text: str) -> bool:
    """ASCII digits: ``str.isdigit`` alone also takes superscripts and other scripts."""
    return text.isascii() and text.isdigit()


_CODE: Final = re.compile(r"[0-9A-Za-z]{1,8}")
_NO_CODE: Final = frozenset({"NULL", "NONE"})


def _error(token: str) -> str | None:
    """``err`` normalised: numbers to three digits or more, other short codes in upper case, words for nothing None."""
    if _is_digits(token):
        return token if len(token) == 3 else token.lstrip("0").rjust(3, "0")
    code = token.upper()
    return code if _CODE.fullmatch(token) and code not in _NO_CODE else None


def _count(token: str) -> int | None:
    digits = token.lstrip("0") if _is_digits(token) else None
    return int(digits or "0") if digits is not None and len(digits) <= COUNT_DIGITS else None


# --- dates (R20) -----------------------------------------------------------------------------------------------------

_NOT_DIGITS: Final = re.compile(r"[^0-9]+")
AMBIGUOUS_DIGITS: Final = 12
SMPP_TIME_DIGITS: Final = 15
QUARTERS: Final = 48
"""SMPP absolute time: offsets are 00 to 48 quarter hours (3.4 section 7.1.1)."""


def _date(value: str, zone: tzinfo, received_at: int) -> int | None:
    """A receipt's date as ms since the epoch UTC; None for what is no date (docs/smpp.md 2.3)."""
    digits = value if value.isascii() and value.isdigit() else _NOT_DIGITS.sub("", value)
    count = len(digits)
    if count == 10 or count == 14:
        return _instant(digits, count == 14, zone)
    if count == AMBIGUOUS_DIGITS:
        return _twelve_digits(digits, zone, received_at)
    if count == SMPP_TIME_DIGITS:
        last = max(value.rfind(digit) for digit in set(digits))
        sign = value[last + 1 : last + 2]
        return _smpp_time(digits, sign) if sign in ("+", "-") else None
    return None


def _twelve_digits(digits: str, zone: tzinfo, received_at: int) -> int | None:
    """YYMMDDhhmmss or YYYYMMDDhhmm: the one that exists, the first unless the second is nearer to the receiving."""
    short, long = _instant(digits, False, zone), _instant(digits, True, zone)
    if short is None:
        return long
    if long is None or not digits.startswith("20"):
        return short
    return long if abs(long - received_at) < abs(short - received_at) else short


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


# Receipts of one minute carry the same few dates: the cache makes a date cost a look-up.
@lru_cache(maxsize=16_384)
def _instant(digits: str, four_digit_year: bool, zone: tzinfo) -> int | None:
    """Calendar digits, seconds there or not, in a zone; None when there is no such time (all zeros among them)."""
    year, rest = (int(digits[:4]), digits[4:]) if four_digit_year else (_year(digits[:2]), digits[2:])
    month, day, hour, minute, second = (int(rest[at : at + 2] or "0") for at in range(0, 10, 2))
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        return (local - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def _year(two_digits: str) -> int:
    year = int(two_digits)
    return 2000 + year if year < 80 else 1900 + year


def _smpp_time(digits: str, sign: str) -> int | None:
    """YYMMDDhhmmsstnn with a sign: tenths, quarter hours ahead of (+) or behind (-) UTC (docs/smpp.md 1.9)."""
    local, tenths, quarters = _instant(digits[:12], False, UTC), int(digits[12]), int(digits[13:])
    if local is None or quarters > QUARTERS:
        return None
    offset_ms = quarters * 900_000
    return local + tenths * 100 + (-offset_ms if sign == "+" else offset_ms)
