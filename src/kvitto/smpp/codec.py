"""Octets to PDUs and back (docs/smpp.md 1.1, 1.2). Pure: no socket, no clock, no state but ``PduBuffer``'s tail.

Two ways lead through this room. ``decode_by_table`` and ``encode_by_table`` walk ``spec.COMMANDS`` and do every PDU:
they are the plain truth. The five PDUs of the hot path (submit_sm, deliver_sm and their answers) also have functions
written by hand; whatever those find odd they hand to the table, and a property test holds both ways equal.

Invariant, fuzzed: any octets give PDUs (``BrokenPdu`` and ``UnknownPdu`` too) or ``ProtocolError``, nothing else.

Reading is lenient where peers differ: strings may be longer than their maximum, TLVs that are cut off are dropped and
stay in ``raw`` (R1), responses with an error may have any of four bodies (R3). Writing is strict: ``EncodeError``.
Read next: ``session.py``.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final, cast

from kvitto.core.errors import LocalError, PeerError
from kvitto.smpp.pdus import (
    NO_TLVS,
    AlertNotification,
    Bind,
    BindResp,
    BrokenPdu,
    CancelSm,
    DataSm,
    DataSmResp,
    Decoded,
    DeliverSm,
    DeliverSmResp,
    Empty,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    UnknownPdu,
)
from kvitto.smpp.spec import (
    COMMANDS,
    MAX_PDU_BYTES,
    MAX_SEQUENCE_NUMBER,
    MIN_PDU_BYTES,
    RESPONSE_BIT,
    Command,
    CommandId,
    Field,
    Kind,
    command_name,
)

__all__ = [
    "EncodeError",
    "PduBuffer",
    "ProtocolError",
    "decode",
    "decode_by_table",
    "decode_deliver_sm",
    "decode_submit_sm",
    "decode_submit_sm_resp",
    "encode",
    "encode_by_table",
    "encode_deliver_sm",
    "encode_deliver_sm_resp",
    "encode_header",
    "encode_submit_body",
    "encode_submit_sm",
    "encode_submit_sm_resp",
]

_HEADER: Final = struct.Struct(">IIII")
_pack_header: Final = _HEADER.pack
_LENGTH: Final = struct.Struct(">I")
_STATUS_AND_SEQUENCE: Final = struct.Struct(">II")
_TLV_HEAD: Final = struct.Struct(">HH")
_HEADER_BYTES: Final = 16
_ONE_TEXT: Final = 1  # A response whose only field is one string is never broken.


class ProtocolError(PeerError):
    """The peer's octets cannot be cut into PDUs any more: framing is lost (R4).

    ``frames``: the whole PDUs that came before the loss in the same call. ``sequence_number``: the offender's, 0 when
    its header is not complete.
    """

    def __init__(self, reason: str, frames: list[bytes], sequence_number: int) -> None:
        super().__init__(reason)
        self.frames = frames
        self.sequence_number = sequence_number


class EncodeError(LocalError):
    """We tried to send a PDU that the wire cannot carry: our own fault, never the peer's."""


class PduBuffer:
    """Cuts a stream of octets into whole PDUs, however it arrives."""

    __slots__ = ("_lost", "_need", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._need = 4  # Octets the tail must have before looking again: keeps octet-by-octet feeding linear.
        self._lost = False

    @property
    def pending_bytes(self) -> int:
        """How many octets of a PDU not yet whole are held; below ``MAX_PDU_BYTES`` always."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what the socket gave; return the frames that are whole now, in order, each header included.

        Raises: ProtocolError when a command_length is below 16 or above 70 000, and on every call after that.
        """
        if self._lost:
            raise ProtocolError("framing was lost before", [], 0)
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._need:
                return []
            data = bytes(tail)
            tail.clear()
        frames: list[bytes] = []
        start, end = 0, len(data)
        self._need = 4
        while end - start >= 4:
            (length,) = _LENGTH.unpack_from(data, start)
            if not MIN_PDU_BYTES <= length <= MAX_PDU_BYTES:
                self._lost = True
                raise ProtocolError(f"command_length {length}", frames, _sequence_number_at(data, start))
            if start + length > end:
                self._need = length
                break
            frames.append(data[start : start + length])
            start += length
        if start < end:
            tail += data[start:]
        return frames


def _sequence_number_at(data: bytes, start: int) -> int:
    if len(data) - start < _HEADER_BYTES:
        return 0
    return cast("int", _LENGTH.unpack_from(data, start + 12)[0])


# --- By the table -----------------------------------------------------------------------------------------------------

_CLASSES: Final[Mapping[int, Callable[..., Pdu]]] = {
    CommandId.BIND_RECEIVER: Bind,
    CommandId.BIND_TRANSMITTER: Bind,
    CommandId.BIND_TRANSCEIVER: Bind,
    CommandId.BIND_RECEIVER_RESP: BindResp,
    CommandId.BIND_TRANSMITTER_RESP: BindResp,
    CommandId.BIND_TRANSCEIVER_RESP: BindResp,
    CommandId.SUBMIT_SM: SubmitSm,
    CommandId.SUBMIT_SM_RESP: SubmitSmResp,
    CommandId.DELIVER_SM: DeliverSm,
    CommandId.DELIVER_SM_RESP: DeliverSmResp,
    CommandId.DATA_SM: DataSm,
    CommandId.DATA_SM_RESP: DataSmResp,
    CommandId.QUERY_SM: QuerySm,
    CommandId.QUERY_SM_RESP: QuerySmResp,
    CommandId.CANCEL_SM: CancelSm,
    CommandId.CANCEL_SM_RESP: Empty,
    CommandId.OUTBIND: Outbind,
    CommandId.ALERT_NOTIFICATION: AlertNotification,
    CommandId.ENQUIRE_LINK: Empty,
    CommandId.ENQUIRE_LINK_RESP: Empty,
    CommandId.UNBIND: Empty,
    CommandId.UNBIND_RESP: Empty,
    CommandId.GENERIC_NACK: Empty,
}
# The classes that stand for several commands carry the command's number as a field.
_SHARED_CLASSES: Final = frozenset({Bind, BindResp, Empty})

_Values = dict[str, int | str | bytes]


class _BrokenBodyError(Exception):
    """A mandatory field does not fit what is left of the body; the message names it."""


def decode_by_table(frame: bytes) -> Decoded:
    """One whole frame (as ``PduBuffer`` cuts them) to a PDU, by ``spec.COMMANDS``. Raises: nothing."""
    _, command_id, command_status, sequence_number = _HEADER.unpack_from(frame)
    command = COMMANDS.get(command_id)
    if command is None:
        return UnknownPdu(command_id, sequence_number, command_status, frame)
    try:
        if command.is_response:
            values, tlvs = _read_response(frame, command, command_status)
        else:
            values, at = _read_fields(frame, command.fields)
            tlvs, _ = _read_tlvs(frame, at)
    except _BrokenBodyError as error:
        return BrokenPdu(command_id, sequence_number, command_status, frame, str(error))
    maker = _CLASSES[command_id]
    if maker in _SHARED_CLASSES:
        values["command_id"] = command_id
    if command.is_response or maker is Empty:
        values["command_status"] = command_status
    return maker(sequence_number=sequence_number, tlvs=tlvs, raw=frame, **values)


def _read_fields(frame: bytes, fields: tuple[Field, ...]) -> tuple[_Values, int]:
    """The mandatory fields and the offset behind them. Raises: _BrokenBodyError."""
    values: _Values = {}
    at = _HEADER_BYTES
    for field in fields:
        values[field.name], at = _read_field(frame, at, field)
    return values, at


def _read_field(frame: bytes, at: int, field: Field) -> tuple[int | str | bytes, int]:
    if field.kind is Kind.CSTRING:
        nul = frame.find(0, at)
        if nul < 0:
            raise _BrokenBodyError(f"{field.name}: no NUL before the end of the PDU")
        return frame[at:nul].decode("latin-1"), nul + 1
    if at >= len(frame):
        raise _BrokenBodyError(f"{field.name}: the PDU ends before it")
    if field.kind is Kind.INTEGER:
        return frame[at], at + 1
    end = at + 1 + frame[at]
    if end > len(frame):
        raise _BrokenBodyError(f"{field.name}: {frame[at]} octets promised, {len(frame) - at - 1} there")
    return frame[at + 1 : end], end


def _read_tlvs(frame: bytes, at: int) -> tuple[Mapping[int, bytes], bool]:
    """The TLVs from ``at`` on, and whether they filled the rest exactly. One that is cut off ends the reading (R1)."""
    size = len(frame)
    if at >= size:
        return NO_TLVS, at == size
    tlvs: dict[int, bytes] = {}
    while at + 4 <= size:
        tag, length = _TLV_HEAD.unpack_from(frame, at)
        end = at + 4 + length
        if end > size:
            break
        tlvs[tag] = frame[at + 4 : end]
        at = end
    return tlvs or NO_TLVS, at == size


def _read_response(frame: bytes, command: Command, command_status: int) -> tuple[_Values, Mapping[int, bytes]]:
    """The body of a response, whichever of the four forms it has (R3). Raises: _BrokenBodyError."""
    if len(frame) == _HEADER_BYTES and (command_status or len(command.fields) <= _ONE_TEXT):
        return {}, NO_TLVS
    try:
        values, at = _read_fields(frame, command.fields)
    except _BrokenBodyError:
        if command_status:
            return _read_tlvs_or_pieces(frame, command)
        if len(command.fields) != _ONE_TEXT:
            raise
        # No NUL behind a message_id: to lose the id would be worse than to be lenient (R1's failure).
        return {command.fields[0].name: frame[_HEADER_BYTES:].decode("latin-1")}, NO_TLVS
    tlvs, exact = _read_tlvs(frame, at)
    if command_status and not exact:
        only_tlvs, fits = _read_tlvs(frame, _HEADER_BYTES)
        if fits:
            return {}, only_tlvs
    return values, tlvs


def _read_tlvs_or_pieces(frame: bytes, command: Command) -> tuple[_Values, Mapping[int, bytes]]:
    """A refused request whose answer is cut short: TLVs alone if they fit, else the fields that are there."""
    tlvs, fits = _read_tlvs(frame, _HEADER_BYTES)
    if fits:
        return {}, tlvs
    values: _Values = {}
    at = _HEADER_BYTES
    for field in command.fields:
        try:
            values[field.name], at = _read_field(frame, at, field)
        except _BrokenBodyError:
            if field.kind is Kind.CSTRING:
                values[field.name] = frame[at:].decode("latin-1")
            break
    return values, NO_TLVS


def encode_by_table(pdu: Pdu, sequence_number: int | None = None) -> bytes:
    """One PDU to octets, by ``spec.COMMANDS``. ``sequence_number``: None takes the PDU's own.

    Raises: EncodeError naming the field and its limit.
    """
    command = COMMANDS.get(pdu.command_id)
    if command is None:
        raise EncodeError(f"command {command_name(pdu.command_id)} is not one that we write")
    number = pdu.sequence_number if sequence_number is None else sequence_number
    # An answer bears the request's number, and peers number as they please.
    most = 0xFFFFFFFF if command.is_response else MAX_SEQUENCE_NUMBER
    if not 0 <= number <= most:
        raise EncodeError(f"sequence_number {number} is not within 0..0x{most:08X}")
    pieces = [_write_field(field, getattr(pdu, field.name)) for field in command.fields]
    pieces.append(_write_tlvs(pdu.tlvs))
    body = b"".join(pieces)
    return encode_header(command.command_id, getattr(pdu, "command_status", 0), number, len(body)) + body


def _write_field(field: Field, value: int | str | bytes) -> bytes:
    if field.kind is Kind.INTEGER:
        if not isinstance(value, int) or not 0 <= value <= 0xFF:
            raise EncodeError(f"{field.name} is not within 0..255")
        return bytes((value,))
    if field.kind is Kind.CSTRING:
        return _write_text(field, cast("str", value))
    octets = cast("bytes", value)
    if field.max_octets is not None and len(octets) > field.max_octets:
        raise EncodeError(f"{field.name} has {len(octets)} octets, at most {field.max_octets} are allowed")
    return bytes((len(octets),)) + octets


def _write_text(field: Field, value: str) -> bytes:
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise EncodeError(f"{field.name} has characters outside Latin-1") from None
    if b"\0" in octets:
        raise EncodeError(f"{field.name} has a NUL inside")
    if field.max_octets is not None and len(octets) >= field.max_octets:
        raise EncodeError(f"{field.name} has {len(octets)} octets, at most {field.max_octets - 1} are allowed")
    return octets + b"\0"


def _write_tlvs(tlvs: Mapping[int, bytes]) -> bytes:
    try:
        return b"".join([_TLV_HEAD.pack(tag, len(value)) + value for tag, value in tlvs.items()])
    except struct.error:
        raise EncodeError("a TLV has a tag or a length above 65 535") from None


def encode_header(command_id: int, command_status: int, sequence_number: int, body_bytes: int = 0) -> bytes:
    """The 16 octets before a body of ``body_bytes``; with none, a whole PDU such as enquire_link."""
    length = _HEADER_BYTES + body_bytes
    if length > MAX_PDU_BYTES:
        raise EncodeError(f"the PDU has {length} octets, at most {MAX_PDU_BYTES} are allowed")
    return _pack_header(length, command_id, command_status, sequence_number)


# --- By hand: the hot path --------------------------------------------------------------------------------------------


def encode_submit_sm(pdu: SubmitSm, sequence_number: int | None = None) -> bytes:
    """As ``encode_by_table``, faster. Raises: EncodeError."""
    return _encode_message(CommandId.SUBMIT_SM, pdu, sequence_number)


def encode_submit_body(pdu: SubmitSm) -> bytes:
    """A submit_sm without its header: what ``Session.submit_many`` numbers and sends. Raises: EncodeError."""
    return encode_submit_sm(pdu, 0)[_HEADER_BYTES:]


def encode_deliver_sm(pdu: DeliverSm, sequence_number: int | None = None) -> bytes:
    """As ``encode_by_table``, faster. Raises: EncodeError."""
    return _encode_message(CommandId.DELIVER_SM, pdu, sequence_number)


def _encode_message(command_id: int, pdu: SubmitSm | DeliverSm, sequence_number: int | None) -> bytes:
    (
        own_number,
        service_type,
        source_ton,
        source_npi,
        source,
        dest_ton,
        dest_npi,
        destination,
        esm_class,
        protocol_id,
        priority,
        schedule,
        validity,
        registered,
        replace,
        coding,
        default_id,
        text,
        tlvs,
        _,
    ) = pdu
    try:
        # One string, encoded once, is cheaper than packing field by field; chr() and Latin-1 refuse what is no octet.
        head = (
            f"{service_type}\0{chr(source_ton)}{chr(source_npi)}{source}\0{chr(dest_ton)}{chr(dest_npi)}"
            f"{destination}\0{chr(esm_class)}{chr(protocol_id)}{chr(priority)}{schedule}\0{validity}\0"
            f"{chr(registered)}{chr(replace)}{chr(coding)}{chr(default_id)}{chr(len(text))}"
        ).encode("latin-1")
        if (
            len(service_type) > 5
            or len(source) > 20
            or len(destination) > 20
            or len(schedule) > 16
            or len(validity) > 16
            or len(text) > 254
            or "\0" in f"{service_type}{source}{destination}{schedule}{validity}"
        ):
            return encode_by_table(pdu, sequence_number)
        number = own_number if sequence_number is None else sequence_number
        if tlvs:
            text += _write_tlvs(tlvs)
        length = 16 + len(head) + len(text)
        if length > MAX_PDU_BYTES or number > MAX_SEQUENCE_NUMBER:
            return encode_by_table(pdu, sequence_number)
        return _pack_header(length, command_id, 0, number) + head + text
    except (ValueError, OverflowError, struct.error):
        return encode_by_table(pdu, sequence_number)  # It names the field.


def encode_submit_sm_resp(sequence_number: int, command_status: int, message_id: str) -> bytes:
    """A submit_sm_resp with its id; after an error the body is one NUL (R3 allows any). Raises: EncodeError."""
    if not message_id.isascii() or len(message_id) > 64 or "\0" in message_id:
        return encode_by_table(SubmitSmResp(sequence_number, command_status, message_id))
    body = message_id.encode("latin-1") + b"\0"
    return _pack_header(16 + len(body), CommandId.SUBMIT_SM_RESP, command_status, sequence_number) + body


_EMPTY_ID_RESP: Final = struct.Struct(">IIIIx")


def encode_deliver_sm_resp(
    sequence_number: int, command_status: int = 0, command_id: int = CommandId.DELIVER_SM
) -> bytes:
    """The answer to a deliver_sm (or, by ``command_id`` of the request, a data_sm): the message id is empty (R8)."""
    return _EMPTY_ID_RESP.pack(17, command_id | RESPONSE_BIT, command_status, sequence_number)


def decode_deliver_sm(frame: bytes) -> Decoded:
    """As ``decode_by_table`` for a deliver_sm, faster. Raises: nothing."""
    try:
        return tuple.__new__(DeliverSm, _message_values(frame))
    except (IndexError, ValueError, struct.error):
        return decode_by_table(frame)  # It names the field.


def decode_submit_sm(frame: bytes) -> Decoded:
    """As ``decode_by_table`` for a submit_sm, faster. Raises: nothing."""
    try:
        return tuple.__new__(SubmitSm, _message_values(frame))
    except (IndexError, ValueError, struct.error):
        return decode_by_table(frame)


_MessageValues = tuple[
    int,
    str,
    int,
    int,
    str,
    int,
    int,
    str,
    int,
    int,
    int,
    str,
    str,
    int,
    int,
    int,
    int,
    bytes,
    Mapping[int, bytes],
    bytes,
]

_THREE_OCTETS: Final = struct.Struct(">3B").unpack_from
_FIVE_OCTETS: Final = struct.Struct(">5B").unpack_from


def _message_values(frame: bytes) -> _MessageValues:
    """The fields of a submit_sm or deliver_sm in order. Raises: IndexError, ValueError, struct.error when the body is
    broken.
    """
    text = frame.decode("latin-1")  # Once for the whole: slices of it cost less than five decodings.
    index = text.index
    # service_type and the two times are empty more often than not: one octet looked at instead of a search.
    a = 16 if not frame[16] else index("\0", 16)
    b = index("\0", a + 3)
    c = index("\0", b + 3)
    esm_class, protocol_id, priority = _THREE_OCTETS(frame, c + 1)
    d = c + 4
    if frame[d]:
        d = index("\0", d)
    e = d + 1
    if frame[e]:
        e = index("\0", e)
    registered, replace, coding, default_id, size = _FIVE_OCTETS(frame, e + 1)
    short_at = e + 6
    end = short_at + size
    whole = len(frame)
    if end > whole:
        raise ValueError("short_message is cut off")
    return (
        _LENGTH.unpack_from(frame, 12)[0],
        text[16:a],
        frame[a + 1],
        frame[a + 2],
        text[a + 3 : b],
        frame[b + 1],
        frame[b + 2],
        text[b + 3 : c],
        esm_class,
        protocol_id,
        priority,
        text[c + 4 : d],
        text[d + 1 : e],
        registered,
        replace,
        coding,
        default_id,
        frame[short_at:end],
        NO_TLVS if end == whole else _read_tlvs(frame, end)[0],
        frame,
    )


def decode_submit_sm_resp(frame: bytes) -> Decoded:
    """As ``decode_by_table`` for a submit_sm_resp, faster. Raises: nothing."""
    last = len(frame) - 1
    if last < _HEADER_BYTES or frame.find(0, _HEADER_BYTES) != last:
        return decode_by_table(frame)  # No body, no NUL or TLVs: rare.
    command_status, sequence_number = _STATUS_AND_SEQUENCE.unpack_from(frame, 8)
    return SubmitSmResp(sequence_number, command_status, frame[_HEADER_BYTES:last].decode("latin-1"), NO_TLVS, frame)


def _decode_deliver_sm_resp(frame: bytes) -> Decoded:
    if len(frame) != 17 or frame[16]:
        return decode_by_table(frame)
    command_status, sequence_number = _STATUS_AND_SEQUENCE.unpack_from(frame, 8)
    return DeliverSmResp(sequence_number, command_status, "", NO_TLVS, frame)


_FAST_DECODERS: Final[Mapping[bytes, Callable[[bytes], Decoded]]] = {
    _LENGTH.pack(CommandId.DELIVER_SM): decode_deliver_sm,
    _LENGTH.pack(CommandId.DELIVER_SM_RESP): _decode_deliver_sm_resp,
    _LENGTH.pack(CommandId.SUBMIT_SM): decode_submit_sm,
    _LENGTH.pack(CommandId.SUBMIT_SM_RESP): decode_submit_sm_resp,
}


def decode(frame: bytes) -> Decoded:
    """One whole frame to a PDU, the fastest way there is for it. Raises: nothing."""
    return _FAST_DECODERS.get(frame[4:8], decode_by_table)(frame)


def encode(pdu: Pdu, sequence_number: int | None = None) -> bytes:
    """One PDU to octets, the fastest way there is for it. Raises: EncodeError."""
    if type(pdu) is SubmitSm:
        return encode_submit_sm(pdu, sequence_number)
    if type(pdu) is DeliverSm:
        return encode_deliver_sm(pdu, sequence_number)
    return encode_by_table(pdu, sequence_number)
