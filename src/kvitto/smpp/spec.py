"""SMPP 3.4 as tables: commands, mandatory fields, TLVs, command_status, message_state (docs/smpp.md part 1).

Everything the codec, the session and the simulator know about the wire stands here as data. Numbers without a name
are ordinary input: they stay numbers and are shown in hex (R2). Must not know: bytes, sockets, the rest of the house.
Read next: ``codec.py``, which walks ``COMMANDS``; ``control.py``, which walks its own table of states.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from typing import Final, NamedTuple

__all__ = [
    "COMMANDS",
    "COMMAND_STATUS",
    "MAX_PDU_BYTES",
    "MAX_SEQUENCE_NUMBER",
    "MIN_PDU_BYTES",
    "RESPONSE_BIT",
    "BindMode",
    "Command",
    "CommandId",
    "CommandStatus",
    "EsmClass",
    "Field",
    "Kind",
    "MessageState",
    "StatusClass",
    "StatusRow",
    "Tlv",
    "classify",
    "command_name",
    "status_name",
]

RESPONSE_BIT: Final = 0x80000000
MAX_SEQUENCE_NUMBER: Final = 0x7FFFFFFF
MIN_PDU_BYTES: Final = 16
"""The header alone. A command_length below it means that framing is lost (R4)."""
MAX_PDU_BYTES: Final = 70_000
"""A submit_sm with a full message_payload (65 535 octets) and generous addresses; above it framing is lost (R4)."""


class CommandId(IntEnum):
    """The commands we know (docs/smpp.md 1.2). Unknown ones stay plain ``int``."""

    BIND_RECEIVER = 0x00000001
    BIND_TRANSMITTER = 0x00000002
    QUERY_SM = 0x00000003
    SUBMIT_SM = 0x00000004
    DELIVER_SM = 0x00000005
    UNBIND = 0x00000006
    REPLACE_SM = 0x00000007
    CANCEL_SM = 0x00000008
    BIND_TRANSCEIVER = 0x00000009
    OUTBIND = 0x0000000B
    ENQUIRE_LINK = 0x00000015
    SUBMIT_MULTI = 0x00000021
    ALERT_NOTIFICATION = 0x00000102
    DATA_SM = 0x00000103
    GENERIC_NACK = 0x80000000
    BIND_RECEIVER_RESP = 0x80000001
    BIND_TRANSMITTER_RESP = 0x80000002
    QUERY_SM_RESP = 0x80000003
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM_RESP = 0x80000005
    UNBIND_RESP = 0x80000006
    REPLACE_SM_RESP = 0x80000007
    CANCEL_SM_RESP = 0x80000008
    BIND_TRANSCEIVER_RESP = 0x80000009
    ENQUIRE_LINK_RESP = 0x80000015
    SUBMIT_MULTI_RESP = 0x80000021
    DATA_SM_RESP = 0x80000103


class BindMode(IntEnum):
    """How an ESME binds; the value is the command id of the bind."""

    RECEIVER = CommandId.BIND_RECEIVER
    TRANSMITTER = CommandId.BIND_TRANSMITTER
    TRANSCEIVER = CommandId.BIND_TRANSCEIVER


class Kind(Enum):
    """How a mandatory field stands on the wire."""

    INTEGER = "one octet"
    CSTRING = "octets, then NUL; the maximum counts the NUL"
    COUNTED = "one octet of length, then that many octets"


class Field(NamedTuple):
    """One mandatory field. ``max_octets`` as the spec counts it; None: no limit is kept on either way."""

    name: str
    kind: Kind
    max_octets: int | None


class Command(NamedTuple):
    """One PDU: its id, its name and its mandatory fields in the order of the wire."""

    command_id: int
    name: str
    fields: tuple[Field, ...]

    @property
    def is_response(self) -> bool:
        """Whether bit 31 is set; such a PDU carries a command_status and is never answered."""
        return bool(self.command_id & RESPONSE_BIT)


def _i1(name: str) -> Field:
    return Field(name, Kind.INTEGER, 1)


def _c(name: str, max_octets: int | None) -> Field:
    return Field(name, Kind.CSTRING, max_octets)


def _address(prefix: str, name: str, max_octets: int) -> tuple[Field, ...]:
    return _i1(f"{prefix}_addr_ton"), _i1(f"{prefix}_addr_npi"), _c(name, max_octets)


# Real peers take passwords longer than the nine octets of the spec; ours are not cut (docs/smpp.md 1.2).
_BIND = (
    _c("system_id", 16),
    _c("password", None),
    _c("system_type", 13),
    _i1("interface_version"),
    _i1("addr_ton"),
    _i1("addr_npi"),
    _c("address_range", 41),
)
_BIND_RESP = (_c("system_id", 16),)
_MESSAGE = (
    _c("service_type", 6),
    *_address("source", "source_addr", 21),
    *_address("dest", "destination_addr", 21),
    _i1("esm_class"),
    _i1("protocol_id"),
    _i1("priority_flag"),
    _c("schedule_delivery_time", 17),
    _c("validity_period", 17),
    _i1("registered_delivery"),
    _i1("replace_if_present_flag"),
    _i1("data_coding"),
    _i1("sm_default_msg_id"),
    Field("short_message", Kind.COUNTED, 254),
)
_MESSAGE_ID = (_c("message_id", 65),)

_TABLE: tuple[tuple[CommandId, tuple[Field, ...]], ...] = (
    (CommandId.BIND_RECEIVER, _BIND),
    (CommandId.BIND_TRANSMITTER, _BIND),
    (CommandId.BIND_TRANSCEIVER, _BIND),
    (CommandId.BIND_RECEIVER_RESP, _BIND_RESP),
    (CommandId.BIND_TRANSMITTER_RESP, _BIND_RESP),
    (CommandId.BIND_TRANSCEIVER_RESP, _BIND_RESP),
    (CommandId.SUBMIT_SM, _MESSAGE),
    (CommandId.SUBMIT_SM_RESP, _MESSAGE_ID),
    (CommandId.DELIVER_SM, _MESSAGE),
    (CommandId.DELIVER_SM_RESP, _MESSAGE_ID),
    (
        CommandId.DATA_SM,
        (
            _c("service_type", 6),
            *_address("source", "source_addr", 65),
            *_address("dest", "destination_addr", 65),
            _i1("esm_class"),
            _i1("registered_delivery"),
            _i1("data_coding"),
        ),
    ),
    (CommandId.DATA_SM_RESP, _MESSAGE_ID),
    (CommandId.QUERY_SM, (_c("message_id", 65), *_address("source", "source_addr", 21))),
    (
        CommandId.QUERY_SM_RESP,
        (_c("message_id", 65), _c("final_date", 17), _i1("message_state"), _i1("error_code")),
    ),
    (
        CommandId.CANCEL_SM,
        (
            _c("service_type", 6),
            _c("message_id", 65),
            *_address("source", "source_addr", 21),
            *_address("dest", "destination_addr", 21),
        ),
    ),
    (CommandId.CANCEL_SM_RESP, ()),
    (CommandId.OUTBIND, (_c("system_id", 16), _c("password", None))),
    (
        CommandId.ALERT_NOTIFICATION,
        (*_address("source", "source_addr", 65), *_address("esme", "esme_addr", 65)),
    ),
    (CommandId.ENQUIRE_LINK, ()),
    (CommandId.ENQUIRE_LINK_RESP, ()),
    (CommandId.UNBIND, ()),
    (CommandId.UNBIND_RESP, ()),
    (CommandId.GENERIC_NACK, ()),
)

COMMANDS: Final[Mapping[int, Command]] = {
    command_id: Command(int(command_id), command_id.name.lower(), fields) for command_id, fields in _TABLE
}
"""The PDUs we read and write. replace_sm and submit_multi are not among them: they are answered generic_nack 0x03."""


class Tlv(IntEnum):
    """The optional parameters that matter to us (docs/smpp.md 1.3)."""

    ADDITIONAL_STATUS_INFO_TEXT = 0x001D
    RECEIPTED_MESSAGE_ID = 0x001E
    USER_MESSAGE_REFERENCE = 0x0204
    SAR_MSG_REF_NUM = 0x020C
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    DPF_RESULT = 0x0420
    MS_AVAILABILITY_STATUS = 0x0422
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    DELIVERY_FAILURE_REASON = 0x0425
    MORE_MESSAGES_TO_SEND = 0x0426
    MESSAGE_STATE = 0x0427
    CONGESTION_STATE = 0x0428


class EsmClass(IntEnum):
    """Bits of ``esm_class`` (docs/smpp.md 1.4); to be tested as bits, never compared (R14)."""

    TYPE_MASK = 0x3C
    DELIVERY_RECEIPT = 0x04
    DELIVERY_ACKNOWLEDGEMENT = 0x08
    USER_ACKNOWLEDGEMENT = 0x10
    INTERMEDIATE_NOTIFICATION = 0x20
    UDHI = 0x40
    REPLY_PATH = 0x80


class MessageState(IntEnum):
    """``message_state`` (docs/smpp.md 1.6). Other numbers stay plain ``int``."""

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


class StatusClass(StrEnum):
    """What a command_status means for the message or the bind that got it (docs/smpp.md 1.8)."""

    OK = "ok"
    TEMPORARY = "temporary"
    """Try again later; the message keeps its place (R11)."""
    PERMANENT = "permanent"
    """The message is refused for good."""
    BIND = "bind"
    """The session is at fault: bind again, the message goes back to the queue."""
    OTHER = "other"
    """Only in our own answers, or for PDUs that we do not send."""


class CommandStatus(IntEnum):
    """The statuses that code here names. The full list with classes is ``COMMAND_STATUS``."""

    ESME_ROK = 0x00
    ESME_RINVCMDLEN = 0x02
    ESME_RINVCMDID = 0x03
    ESME_RINVBNDSTS = 0x04
    ESME_RALYBND = 0x05
    ESME_RSYSERR = 0x08
    ESME_RINVDSTADR = 0x0B
    ESME_RINVMSGID = 0x0C
    ESME_RBINDFAIL = 0x0D
    ESME_RINVPASWD = 0x0E
    ESME_RINVSYSID = 0x0F
    ESME_RMSGQFUL = 0x14
    ESME_RTHROTTLED = 0x58
    ESME_RX_T_APPN = 0x64
    ESME_RQUERYFAIL = 0x67
    ESME_RUNKNOWNERR = 0xFF


class StatusRow(NamedTuple):
    """One known command_status."""

    name: str
    status_class: StatusClass


_T, _P, _B, _X = StatusClass.TEMPORARY, StatusClass.PERMANENT, StatusClass.BIND, StatusClass.OTHER

COMMAND_STATUS: Final[Mapping[int, StatusRow]] = {
    number: StatusRow(f"ESME_{name}", status_class)
    for number, name, status_class in (
        (0x00, "ROK", StatusClass.OK),
        (0x01, "RINVMSGLEN", _P),
        (0x02, "RINVCMDLEN", _P),
        (0x03, "RINVCMDID", _P),
        (0x04, "RINVBNDSTS", _B),
        (0x05, "RALYBND", _B),
        (0x06, "RINVPRTFLG", _P),
        (0x07, "RINVREGDLVFLG", _P),
        (0x08, "RSYSERR", _T),
        (0x0A, "RINVSRCADR", _P),
        (0x0B, "RINVDSTADR", _P),
        (0x0C, "RINVMSGID", _P),
        (0x0D, "RBINDFAIL", _B),
        (0x0E, "RINVPASWD", _B),
        (0x0F, "RINVSYSID", _B),
        (0x11, "RCANCELFAIL", _X),
        (0x13, "RREPLACEFAIL", _X),
        (0x14, "RMSGQFUL", _T),
        (0x15, "RINVSERTYP", _P),
        (0x33, "RINVNUMDESTS", _P),
        (0x34, "RINVDLNAME", _P),
        (0x40, "RINVDESTFLAG", _P),
        (0x42, "RINVSUBREP", _P),
        (0x43, "RINVESMCLASS", _P),
        (0x44, "RCNTSUBDL", _P),
        (0x45, "RSUBMITFAIL", _P),
        (0x48, "RINVSRCTON", _P),
        (0x49, "RINVSRCNPI", _P),
        (0x50, "RINVDSTTON", _P),
        (0x51, "RINVDSTNPI", _P),
        (0x53, "RINVSYSTYP", _B),
        (0x54, "RINVREPFLAG", _P),
        (0x55, "RINVNUMMSGS", _P),
        (0x58, "RTHROTTLED", _T),
        (0x61, "RINVSCHED", _P),
        (0x62, "RINVEXPIRY", _P),
        (0x63, "RINVDFTMSGID", _P),
        (0x64, "RX_T_APPN", _T),
        (0x65, "RX_P_APPN", _P),
        (0x66, "RX_R_APPN", _P),
        (0x67, "RQUERYFAIL", _X),
        (0xC0, "RINVOPTPARSTREAM", _P),
        (0xC1, "ROPTPARNOTALLWD", _P),
        (0xC2, "RINVPARLEN", _P),
        (0xC3, "RMISSINGOPTPARAM", _P),
        (0xC4, "RINVOPTPARAMVAL", _P),
        (0xFE, "RDELIVERYFAILURE", _T),
        (0xFF, "RUNKNOWNERR", _T),
        (0x100, "RSERTYPUNAUTH", _P),
        (0x101, "RPROHIBITED", _P),
        (0x102, "RSERTYPUNAVAIL", _T),
        (0x103, "RSERTYPDENIED", _P),
        (0x104, "RINVDCS", _P),
        (0x105, "RINVSRCADDRSUBUNIT", _P),
        (0x106, "RINVDSTADDRSUBUNIT", _P),
        (0x107, "RINVBCASTFREQINT", _P),
        (0x108, "RINVBCASTALIAS_NAME", _P),
        (0x109, "RINVBCASTAREAFMT", _P),
        (0x10A, "RINVNUMBCAST_AREAS", _P),
        (0x10B, "RINVBCASTCNTTYPE", _P),
        (0x10C, "RINVBCASTMSGCLASS", _P),
        (0x10D, "RBCASTFAIL", _P),
        (0x10E, "RBCASTQUERYFAIL", _P),
        (0x10F, "RBCASTCANCELFAIL", _P),
        (0x110, "RINVBCAST_REP", _P),
        (0x111, "RINVBCASTSRVGRP", _P),
        (0x112, "RINVBCASTCHANIND", _P),
    )
}


def classify(command_status: int, overrides: Mapping[int, StatusClass] | None = None) -> StatusClass:
    """What a submit that got ``command_status`` should do: OK, TEMPORARY, PERMANENT or BIND, never OTHER.

    ``overrides``: the link's own table, which wins for any number but 0 (vendor codes 0x400-0x4FF, RSUBMITFAIL).
    Unknown numbers, and the statuses of PDUs that we never send, are PERMANENT (docs/smpp.md 1.8). Raises: nothing.
    """
    if command_status == 0:
        return StatusClass.OK
    if overrides is not None and command_status in overrides:
        return overrides[command_status]
    row = COMMAND_STATUS.get(command_status)
    if row is None or row.status_class is StatusClass.OTHER:
        return StatusClass.PERMANENT
    return row.status_class


def status_name(command_status: int) -> str:
    """``ESME_RTHROTTLED`` for 0x58; ``0x00000401`` for a number without a name (R2)."""
    row = COMMAND_STATUS.get(command_status)
    return f"0x{command_status:08X}" if row is None else row.name


def command_name(command_id: int) -> str:
    """``deliver_sm`` for 5; ``0x00010005`` for an unknown command."""
    try:
        return CommandId(command_id).name.lower()
    except ValueError:
        return f"0x{command_id:08X}"
