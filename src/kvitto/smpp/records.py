"""One line in, one result record out: what ``parse_receipt`` makes of a PDU in hex, as names and JSON values.

The record has the fields of docs/smpp.md 2.3, in that order, and ``reason``. The reader is the server's own, so what
``kvitto receipt parse`` says of a PDU is what the server would make of it. A line that holds no readable PDU gets a
record too, with ``error`` in words: whoever feeds a file of them wants one line for each.

Pure. It must not know files, links' names or the store. Next: ``kvitto.smpp.receipts``.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from kvitto.core.receipt import LinkRules, NotReceipt, Receipt, Unparseable
from kvitto.core.status import Reason
from kvitto.smpp.codec import decode
from kvitto.smpp.pdus import NO_TLVS, BrokenPdu, DataSm, DeliverSm, UnknownPdu
from kvitto.smpp.receipts import parse_receipt
from kvitto.smpp.spec import EsmClass, command_name

__all__ = ["FIELDS", "read_pdu_line", "read_text_line", "receipt_record"]

FIELDS: Final = (
    "kind",
    "message_id",
    "text_id",
    "tlv_id",
    "status",
    "final",
    "reason",
    "stat_raw",
    "message_state",
    "err",
    "network_error",
    "submit_date",
    "done_date",
    "sub",
    "dlvrd",
    "text",
    "raw",
)
"""The record's names, in order; those that a line has no value for are None."""

_TOLD_REASONS: Final = frozenset({Reason.SMSC_UNKNOWN, Reason.UNREADABLE, Reason.RETRYING_SMSC})
"""The reasons that say more than the status."""
_HEADER_BYTES: Final = 16
_ESM_RECEIPT: Final = EsmClass.DELIVERY_RECEIPT.value
_UCS2: Final = 8


def receipt_record(read: Receipt | NotReceipt | Unparseable, raw: str) -> dict[str, Any]:
    """Return the record of what was read; ``raw``: hex of what it was read from."""
    record: dict[str, Any] = dict.fromkeys(FIELDS)
    record["kind"], record["raw"] = read.kind, raw
    if isinstance(read, Receipt):
        network = read.network_error
        record |= {
            "message_id": read.message_id,
            "text_id": read.text_id,
            "tlv_id": read.tlv_id,
            "status": str(read.status),
            "final": read.final,
            "reason": str(read.reason) if read.reason in _TOLD_REASONS else None,
            "stat_raw": read.stat_raw,
            "message_state": read.message_state,
            "err": read.err,
            "network_error": network and {"type": network.net_type, "code": network.net_code},
            "submit_date": _iso(read.submit_at),
            "done_date": _iso(read.done_at),
            "sub": read.sub,
            "dlvrd": read.dlvrd,
            "text": read.text,
        }
    return record


def read_pdu_line(line: str, rules: LinkRules, received_at: int) -> dict[str, Any]:
    """Read one line: a whole deliver_sm or data_sm in hex, in either case, spaces between octets allowed.

    A PDU of another kind is ``not_receipt``; no hex, a cut PDU or a broken body is ``unparseable``; both with
    ``error``. ``received_at``: ms UTC. Raises: nothing.
    """
    try:
        frame = bytes.fromhex(line)
    except ValueError:
        return _bad("unparseable", None, "not hex: two digits 0-9 or a-f an octet are wanted")
    wrong = _frame_problem(frame)
    if wrong:
        return _bad("unparseable", frame.hex(), wrong)
    pdu = decode(frame)
    match pdu:
        case DeliverSm() | DataSm():
            return receipt_record(parse_receipt(pdu, rules, received_at), frame.hex())
        case BrokenPdu():
            reason = f"the body of this {command_name(pdu.command_id)} is broken: {pdu.reason}"
            return _bad("unparseable", frame.hex(), reason)
        case UnknownPdu():
            return _bad("not_receipt", frame.hex(), f"unknown command_id 0x{pdu.command_id:08X}")
    return _bad("not_receipt", frame.hex(), f"{command_name(pdu.command_id)}: receipts come in deliver_sm and data_sm")


def _frame_problem(frame: bytes) -> str:
    """What keeps these octets from being one PDU; "" for nothing."""
    if not frame:
        return "an empty line"
    if len(frame) < _HEADER_BYTES:
        return f"{len(frame)} octets; a PDU's header alone has {_HEADER_BYTES}"
    length = int.from_bytes(frame[:4])
    if length != len(frame):
        return f"command_length says {length} octets, the line has {len(frame)}"
    return ""


class _TextAlone(NamedTuple):
    """A receipt's text as its flagged carrier, however long."""

    short_message: bytes
    data_coding: int
    raw: bytes
    esm_class: int = _ESM_RECEIPT
    tlvs: Any = NO_TLVS
    source_addr: str = ""
    destination_addr: str = ""


def read_text_line(line: bytes, rules: LinkRules, received_at: int) -> dict[str, Any]:
    """Read one line that is a receipt's text alone, as if a flagged deliver_sm (esm_class 0x04) had carried it.

    ``line``: octets, UTF-8 or else Latin-1. ``raw`` is their hex, for there is no PDU. Raises: nothing.
    """
    text = _text(line)
    try:
        carrier = _TextAlone(text.encode("latin-1"), 0, line)
    except UnicodeEncodeError:
        carrier = _TextAlone(text.encode("utf-16-be"), _UCS2, line)
    record = receipt_record(parse_receipt(carrier, rules, received_at), line.hex())
    return record if record["kind"] == "receipt" else record | {"error": "no id in this text"}


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _bad(kind: str, raw: str | None, error: str) -> dict[str, Any]:
    return dict.fromkeys(FIELDS) | {"kind": kind, "raw": raw, "error": error}


_EPOCH: Final = datetime(1970, 1, 1)  # in UTC: the text gets its Z below


def _iso(at: int | None) -> str | None:
    """ISO-8601 in UTC: ``2026-03-09T14:05:00Z``, with tenths only where the receipt had some."""
    if at is None:
        return None
    seconds, ms = divmod(at, 1000)
    try:
        text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:  # the first hours of year 1, or the last of year 9999, in another zone
        return None
    return f"{text}.{ms // 100}Z" if ms else f"{text}Z"
