"""What a delivery receipt says, and what a link's operator told us about reading it.

This room holds values only: ``LinkRules`` (one per configured link), ``Receipt`` and its siblings ``NotReceipt`` and
``Unparseable``, and the table of message states with the words that SMSCs use for them. It must not know PDUs or
octets (kvitto.smpp.receipts reads those), nor how a receipt finds its message (kvitto.core.matching).
Next: ``docs/smpp.md`` part 2, ``docs/status.md`` section 3.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from kvitto.core.status import FINAL, Reason, Status

__all__ = [
    "STATES",
    "STAT_WORDS",
    "Alphabet",
    "CommandClass",
    "IdBase",
    "LinkRules",
    "LongText",
    "MessageState",
    "NetworkError",
    "NotReceipt",
    "PartReceipts",
    "Receipt",
    "StateRow",
    "TextReceipts",
    "Unparseable",
    "decide_state",
    "shown_done_at",
]


class MessageState(IntEnum):
    """SMPP's message_state numbers (3.4 section 5.2.28; 0 and 9 are v5.0; docs/smpp.md 1.6)."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


class StateRow(NamedTuple):
    """One SMPP state and what it means to us: canonical status and reason (docs/status.md 3.1, 3.2)."""

    state: MessageState
    status: Status
    reason: Reason
    final: bool


_MEANING: Final = (
    (MessageState.SCHEDULED, Status.DISPATCHED, Reason.SCHEDULED_SMSC),
    (MessageState.ENROUTE, Status.DISPATCHED, Reason.ENROUTE),
    (MessageState.DELIVERED, Status.DELIVERED, Reason.DELIVERED),
    (MessageState.EXPIRED, Status.EXPIRED, Reason.VALIDITY_SMSC),
    (MessageState.DELETED, Status.DELETED, Reason.DELETED_SMSC),
    (MessageState.UNDELIVERABLE, Status.FAILED, Reason.UNDELIVERABLE),
    # Accepted is "final" in v5.0 only; in practice a real end follows (R40).
    (MessageState.ACCEPTED, Status.DISPATCHED, Reason.OPERATOR_ACCEPTED),
    (MessageState.UNKNOWN, Status.UNKNOWN, Reason.SMSC_UNKNOWN),
    (MessageState.REJECTED, Status.REJECTED, Reason.REJECTED_SMSC),
    (MessageState.SKIPPED, Status.FAILED, Reason.SKIPPED),
)

STATES: Final[Mapping[int, StateRow]] = MappingProxyType(
    {int(state): StateRow(state, status, reason, status in FINAL) for state, status, reason in _MEANING}
)
"""message_state number -> its row. A number that is not here counts as absent."""

_WORDS: Final[Mapping[MessageState, str]] = {
    MessageState.SCHEDULED: "SCHEDLD SCHEDULED",
    MessageState.ENROUTE: "ENROUTE EN_ROUTE ACKED BUFFRED BUFFERD BUFFERED QUEUED SUBMITTED SENT PENDING",
    MessageState.DELIVERED: "DELIVRD DELIVERED DELIVRED DLVRD",
    MessageState.EXPIRED: "EXPIRED EXPIRD",
    MessageState.DELETED: "DELETED CANCELED CANCELLED",
    MessageState.UNDELIVERABLE: "UNDELIV FAILED FAIL UNDELIVERED UNDELIVERABLE UNDELIVRD NOTDELIVERED UNDLVRD",
    MessageState.ACCEPTED: "ACCEPTD ACCEPTED",
    MessageState.UNKNOWN: "UNKNOWN UNKNOWND NOSTATE",
    MessageState.REJECTED: "REJECTD REJECTED REJECT BLOCKED",
    MessageState.SKIPPED: "SKIPPED",
}

STAT_WORDS: Final[Mapping[str, StateRow]] = MappingProxyType(
    {word: STATES[state] for state, words in _WORDS.items() for word in words.split()}
)
"""The texts of ``stat:`` in upper case -> their row (docs/smpp.md 1.6). A link may add or change words."""

_DIGIT_WORDS: Final[Mapping[str, StateRow]] = {str(number): row for number, row in STATES.items()}


def decide_state(
    tlv: StateRow | None, text: StateRow | None, *, intermediate: bool = False
) -> tuple[Status, Reason, bool]:
    """What the TLV's and the text's state say together: (status, reason, final) (docs/smpp.md 2.3; R23, R24, R40).

    UNKNOWN loses to any other, a final state beats one that is not, else the TLV wins. ``intermediate``: the PDU is an
    intermediate notification (esm_class 0x20 without 0x04); a failing state there reports an attempt, not the end.
    No state at all: UNKNOWN ``unreadable``; in an intermediate notification DISPATCHED, which changes nothing.
    """
    row = tlv if text is None or text is tlv else text if tlv is None else _stronger(tlv, text)
    if row is None:
        return _NO_STATE_YET if intermediate else _UNREADABLE
    if intermediate and row.final and row.status is not Status.DELIVERED:
        return _ATTEMPT_FAILED
    return row.status, row.reason, row.final


def _stronger(tlv: StateRow, text: StateRow) -> StateRow:
    if tlv.state is MessageState.UNKNOWN:
        return text
    if text.state is MessageState.UNKNOWN:
        return tlv
    return text if text.final and not tlv.final else tlv


_UNREADABLE: Final = (Status.UNKNOWN, Reason.UNREADABLE, True)
_NO_STATE_YET: Final = (Status.DISPATCHED, Reason.ENROUTE, False)
_ATTEMPT_FAILED: Final = (Status.DISPATCHED, Reason.RETRYING_SMSC, False)


class IdBase(StrEnum):
    """How an SMSC writes message ids in one place, response or receipt (R26)."""

    TEXT = "text"
    DEC = "dec"
    HEX = "hex"
    AUTO = "auto"


class TextReceipts(StrEnum):
    """Whether a message without receipt flags may be a receipt by its text (docs/smpp.md 2.2, 4)."""

    AUTO = "auto"
    OFF = "off"


class Alphabet(StrEnum):
    """What an SMSC takes data_coding 0 for (docs/smpp.md 3.1)."""

    GSM = "gsm"
    LATIN1 = "latin1"
    ASCII = "ascii"


class LongText(StrEnum):
    """How text longer than one part is sent (docs/smpp.md 3.3)."""

    UDH = "udh"
    SAR = "sar"
    PAYLOAD = "payload"


class PartReceipts(StrEnum):
    """Whether the SMSC sends a receipt for each part of a long text, or one for the whole (R39)."""

    ALL = "all"
    ONE = "one"
    AUTO = "auto"


class CommandClass(StrEnum):
    """What a refusal's command_status means for the part that was refused (docs/smpp.md 1.8)."""

    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    BIND = "bind"


_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRules:
    """What the operator told us about one link's receipts, ids and text; every default is the careful choice.

    Reading receipts
        ``time_zone``: zone of the dates in receipt texts that carry no offset of their own.
        ``text_receipts``: AUTO finds receipts whose esm_class is 0 by their text (R15); OFF takes flags and TLVs only.
        ``stat_aliases``: text of ``stat:``, any case -> state; adds to or changes ``STAT_WORDS`` (R22).
        ``numeric_stat``: ``stat:0`` .. ``stat:9`` are message_state numbers. Off: they are unknown texts.
        ``template``: compiled expression with named groups out of id, stat, err, sub, dlvrd, submit_date, done_date,
        text; searched in the receipt's text before the labels, its groups win (docs/smpp.md 2.4).
        ``accepted_is_final``: nothing follows ACCEPTD; then the wait ends in UNKNOWN ``accepted_only`` (R40).
        ``intermediate``: ask for intermediate notifications (registered_delivery 0x11 instead of 0x01).
        ``part_receipts``, ``part_wait_s``: one receipt for all parts, and how long AUTO waits for more (R39).
        ``err_gsm``: the numbers of ``err:`` are GSM MAP errors. ``err_table``: number -> Infobip error id
        (docs/status.md 4).

    Matching
        ``submit_id``, ``receipt_id``: how ids are written in responses and in receipts (R26).
        ``park_s``, ``map_keep_s``, ``raw_keep_s``, ``dlr_grace_s``: seconds an unmatched receipt is tried again (R33),
        a submitted id can be matched (R45), a raw PDU is kept (R25), a receipt is awaited after validity (R44).
        ``query``, ``query_before_s``: ask the SMSC by query_sm that long before the wait for a receipt ends (R52).
        ``adopt_after_s``, ``adopt_within_s``: a receipt parked that long may be adopted by an in-doubt part whose
        submit is that near to its submit date (R33).

    Sending
        ``default_alphabet``, ``long``, ``sixteen_bit_reference``: docs/smpp.md 3.1, 3.3.
        ``short_code_ton``: type of number of senders of up to 6 digits (docs/smpp.md 3.4).
        ``resend_in_doubt``, ``resend_after_s``: send again what was written and never answered, that long after; may
        deliver twice (R12).
        ``status_overrides``: command_status -> class, where this SMSC differs from docs/smpp.md 1.8.

    ``states`` is derived: every known stat word in upper case -> its row.
    """

    time_zone: tzinfo = UTC
    text_receipts: TextReceipts = TextReceipts.AUTO
    stat_aliases: Mapping[str, MessageState] = field(default_factory=dict)
    numeric_stat: bool = False
    template: re.Pattern[str] | None = None
    accepted_is_final: bool = False
    intermediate: bool = False
    part_receipts: PartReceipts = PartReceipts.AUTO
    part_wait_s: int = 600
    err_gsm: bool = False
    err_table: Mapping[int, int] = field(default_factory=dict)

    submit_id: IdBase = IdBase.AUTO
    receipt_id: IdBase = IdBase.AUTO
    park_s: int = _DAY_S
    map_keep_s: int = 30 * _DAY_S
    raw_keep_s: int = 30 * _DAY_S
    dlr_grace_s: int = 3_600
    query: bool = False
    query_before_s: int = 60
    adopt_after_s: int = 60
    adopt_within_s: int = 300

    default_alphabet: Alphabet = Alphabet.GSM
    long: LongText = LongText.UDH
    sixteen_bit_reference: bool = False
    short_code_ton: int = 3
    resend_in_doubt: bool = False
    resend_after_s: int = 60
    status_overrides: Mapping[int, CommandClass] = field(default_factory=dict)

    states: Mapping[str, StateRow] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Join the words of the standard, of ``numeric_stat`` and of the link, the later ones winning."""
        own = {word.strip().upper(): STATES[state] for word, state in self.stat_aliases.items()}
        numbers = _DIGIT_WORDS if self.numeric_stat else {}
        object.__setattr__(self, "states", {**STAT_WORDS, **numbers, **own})


class NetworkError(NamedTuple):
    """The TLV network_error_code: ``net_type`` as sent (3 = GSM), None where the TLV held three ASCII digits."""

    net_type: int | None
    net_code: int


class Receipt(NamedTuple):
    """A receipt, read: the result record of docs/smpp.md 2.3 in that order, then addresses and kind of notice.

    ``message_id`` is the TLV's id, else the text's; ids are as sent, never changed (R27). ``status`` and ``reason`` are
    canonical. ``stat_raw``: first token of ``stat:`` as sent, None when absent or empty. ``message_state``: the TLV,
    None when absent or no state. ``err``: normalised text (``032``, ``1375``, ``21B``), kept whatever the status (R47).
    ``submit_at``, ``done_at``: the receipt's dates, ms since the epoch UTC, None when absent or no date; what customers
    see goes through ``shown_done_at``. ``text``: at most 255 characters. ``raw``: the whole PDU's octets (the record
    shows them as hex). ``intermediate``: an intermediate notification (esm_class 0x20 without 0x04).
    """

    message_id: str
    text_id: str | None
    tlv_id: str | None
    status: Status
    reason: Reason
    final: bool
    stat_raw: str | None
    message_state: int | None
    err: str | None
    network_error: NetworkError | None
    submit_at: int | None
    done_at: int | None
    sub: int | None
    dlvrd: int | None
    text: str | None
    raw: bytes
    source_addr: str
    destination_addr: str
    intermediate: bool

    @property
    def kind(self) -> Literal["receipt"]:
        """The record's ``kind``."""
        return "receipt"


class NotReceipt(NamedTuple):
    """An ordinary incoming message: kept, counted and answered OK, but no receipt."""

    raw: bytes
    source_addr: str
    destination_addr: str

    @property
    def kind(self) -> Literal["not_receipt"]:
        """The record's ``kind``."""
        return "not_receipt"


class Unparseable(NamedTuple):
    """A receipt by its flags, but without any id: kept raw, answered OK, changes nothing.

    ``text``: what it said, decoded and cleaned, at most 255 characters.
    """

    raw: bytes
    source_addr: str
    destination_addr: str
    text: str

    @property
    def kind(self) -> Literal["unparseable"]:
        """The record's ``kind``."""
        return "unparseable"


_DAY_MS: Final = _DAY_S * 1_000


def shown_done_at(done_at: int | None, received_at: int, submitted_at: int) -> int | None:
    """The done date that customers see (R55): the receipt's own, or the time of receiving where that cannot be true.

    All in ms since the epoch UTC. Not true: more than 24 h ahead of ``received_at``, or before the submit (by a wrong
    clock or zone, or only because receipts cut to the minute). None stays None: the receipt said nothing.
    """
    if done_at is None:
        return None
    if done_at < submitted_at or done_at > received_at + _DAY_MS:
        return received_at
    return done_at
