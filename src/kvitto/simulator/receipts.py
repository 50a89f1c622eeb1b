"""What the simulator writes and reads in messages: receipts, messages from handsets, parts of long texts. Pure.

``receipt_pdu`` writes the standard form and is on the way of every message; ``styled_receipt`` writes whatever a
scenario asks for. Must not know: sockets, timers. Read next: ``smsc.py``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from kvitto.simulator.numbers import Step
from kvitto.simulator.pending import Written
from kvitto.simulator.style import Style
from kvitto.smpp.pdus import DataSm, DeliverSm, SubmitSm
from kvitto.smpp.spec import EsmClass, MessageState, Tlv

__all__ = ["Minutes", "PartMark", "incoming_pdu", "part_mark", "receipt_pdu", "styled_receipt", "wants_receipt"]

_TEXT_OCTETS: Final = 20
"""How much of the message a receipt quotes (docs/smpp.md 1.7)."""
_UCS2: Final = 8
_LONGEST_SHORT_MESSAGE: Final = 254
"""Octets; what is longer goes into message_payload, as one octet of length asks."""
_ONE_OCTET_CODINGS: Final = frozenset({0, 1, 3})
_STATE_TLV: Final = {state: bytes((state,)) for state in MessageState}
_RECEIPTED_ID, _STATE, _NETWORK_ERROR = (
    int(Tlv.RECEIPTED_MESSAGE_ID),
    int(Tlv.MESSAGE_STATE),
    int(Tlv.NETWORK_ERROR_CODE),
)

_WITHOUT_ERR: Final = (
    "id:{id} sub:{sub} dlvrd:{dlvrd} submit date:{submit_date} done date:{done_date} stat:{stat} text:{text}"
)
_STANDARD: Final = _WITHOUT_ERR.replace(" text:", " err:{err} text:")


class Minutes:
    """``YYMMDDhhmm`` of an instant, remembered for as long as the minute lasts."""

    def __init__(self) -> None:
        self._minute = -1
        self._text = ""

    def text(self, at: int) -> str:
        """``at``: milliseconds since the Unix epoch, UTC."""
        minute = at // 60_000
        if minute != self._minute:
            self._minute = minute
            self._text = f"{datetime.fromtimestamp(minute * 60, UTC):%y%m%d%H%M}"
        return self._text


class PartMark(NamedTuple):
    """Which part of which long text: reference, how many, which one (from 1)."""

    reference: int
    total: int
    number: int


def part_mark(pdu: SubmitSm) -> PartMark | None:
    """Read the concatenation header (esm_class 0x40) or the sar TLVs; None for a text in one part."""
    if pdu.esm_class & EsmClass.UDHI:
        return _from_header(pdu.short_message)
    if pdu.tlvs:
        return _from_tlvs(pdu.tlvs)
    return None


def _from_header(octets: bytes) -> PartMark | None:
    if not octets:
        return None
    end = min(len(octets), 1 + octets[0])
    at = 1
    while at + 2 <= end:
        kind, size = octets[at], octets[at + 1]
        value = octets[at + 2 : at + 2 + size]
        if kind == 0x00 and len(value) == 3:
            return _mark(value[0], value[1], value[2])
        if kind == 0x08 and len(value) == 4:
            return _mark(int.from_bytes(value[:2], "big"), value[2], value[3])
        at += 2 + size
    return None


def _from_tlvs(tlvs: Mapping[int, bytes]) -> PartMark | None:
    values = [tlvs.get(tag) for tag in (Tlv.SAR_MSG_REF_NUM, Tlv.SAR_TOTAL_SEGMENTS, Tlv.SAR_SEGMENT_SEQNUM)]
    if not all(values):
        return None
    reference, total, number = (int.from_bytes(value or b"", "big") for value in values)
    return _mark(reference, total, number)


def _mark(reference: int, total: int, number: int) -> PartMark | None:
    return PartMark(reference, total, number) if total > 1 and 1 <= number <= total else None


def wants_receipt(registered_delivery: int, step: Step) -> bool:
    """Whether the submit asked for this one (docs/smpp.md 1.5): 1 all, 2 failures only, 3 success only, 0 none."""
    asked = registered_delivery & 0x03
    if asked == 1:
        return True
    return asked != 0 and step.delivered == (asked == 3)


def receipt_pdu(submit: SubmitSm, step: Step, message_id: str, submitted: str, done: str) -> DeliverSm:
    """The deliver_sm that tells ``step`` about ``submit``, addresses swapped.

    ``submitted``, ``done``: ``YYMMDDhhmm``. The id stands in the text and in receipted_message_id.
    """
    quoted = _quoted(submit)
    err = "" if step.err is None else f" err:{step.err}"
    head = (
        f"id:{message_id} sub:001 dlvrd:{'001' if step.delivered else '000'} submit date:{submitted}"
        f" done date:{done} stat:{step.stat}{err} text:"
    )
    tlvs = _tlvs(step, message_id)
    return DeliverSm(
        0,
        "",
        submit.dest_addr_ton,
        submit.dest_addr_npi,
        submit.destination_addr,
        submit.source_addr_ton,
        submit.source_addr_npi,
        submit.source_addr,
        step.esm_class,
        0,
        0,
        "",
        "",
        0,
        0,
        0,
        0,
        head.encode("ascii") + quoted,
        tlvs,
    )


def _quoted(submit: SubmitSm) -> bytes:
    """The beginning of the message, where its octets are characters."""
    if submit.data_coding in _ONE_OCTET_CODINGS and not submit.esm_class & EsmClass.UDHI:
        return submit.short_message[:_TEXT_OCTETS]
    return b""


def _tlvs(step: Step, message_id: str) -> dict[int, bytes]:
    tlvs: dict[int, bytes] = {_RECEIPTED_ID: message_id.encode("latin-1") + b"\0"}
    if step.state is not None:
        tlvs[_STATE] = _STATE_TLV[step.state]
    if step.network_error is not None:
        kind, code = step.network_error
        tlvs[_NETWORK_ERROR] = bytes((kind,)) + code.to_bytes(2, "big")
    return tlvs


def styled_receipt(
    submit: SubmitSm, step: Step, ids: Written, style: Style, submitted_at: int, done_at: int
) -> DeliverSm | DataSm:
    """The receipt that tells ``step`` about ``submit``, as ``style`` says. Times: milliseconds UTC."""
    tlvs = {tag: value for tag, value in _tlvs(step, ids.tlv).items() if tag in style.tlvs}
    octets = b"" if style.textless else _text(submit, step, ids.text, style, submitted_at, done_at)
    if style.payload or len(octets) > _LONGEST_SHORT_MESSAGE:
        tlvs[int(Tlv.MESSAGE_PAYLOAD)], octets = octets, b""
    ours = (submit.source_addr_ton, submit.source_addr_npi, submit.source_addr)
    theirs = (submit.dest_addr_ton, submit.dest_addr_npi, submit.destination_addr)
    addresses = (*theirs, *ours) if style.swap else (*ours, *theirs)
    coding = _UCS2 if style.ucs2 else 0
    if style.data_sm:
        return DataSm(0, "", *addresses, step.esm_class, 0, coding, tlvs)
    return DeliverSm(0, "", *addresses, step.esm_class, 0, 0, "", "", 0, 0, coding, 0, octets, tlvs)


def _text(submit: SubmitSm, step: Step, message_id: str, style: Style, submitted_at: int, done_at: int) -> bytes:
    template = style.template or (_STANDARD if step.err is not None else _WITHOUT_ERR)
    text = template.format(
        id=message_id,
        sub="001",
        dlvrd="001" if step.delivered else "000",
        submit_date=style.date(submitted_at),
        done_date=style.date(done_at),
        stat=step.stat,
        err=step.err or "",
        text=_quoted(submit).decode("latin-1"),
    )
    return text.encode("utf-16-be" if style.ucs2 else "latin-1")


def incoming_pdu(source: str, destination: str, text: str) -> DeliverSm:
    """A message from a handset: Latin-1 as data_coding 3, everything else as UCS-2."""
    try:
        octets, coding = text.encode("latin-1"), 3
    except UnicodeEncodeError:
        octets, coding = text.encode("utf-16-be"), _UCS2
    tlvs = {} if len(octets) <= _LONGEST_SHORT_MESSAGE else {int(Tlv.MESSAGE_PAYLOAD): octets}
    return DeliverSm(
        0, "", 1, 1, source, 0, 1, destination, 0, 0, 0, "", "", 0, 0, coding, 0, b"" if tlvs else octets, tlvs
    )
