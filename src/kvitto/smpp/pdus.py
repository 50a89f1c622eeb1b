"""The PDUs as values: one NamedTuple for each shape, fields in the order of the wire (docs/smpp.md 1.2).

Text fields are ``str`` read as Latin-1, one character per octet, so that no octet is lost and no id changes (R27).
``tlvs`` maps tag to value octets, unknown tags among them (R1); when a tag comes twice the last one counts.
``raw`` is the whole PDU as read from the wire, header included; empty in PDUs that we build ourselves.
A NamedTuple and not a dataclass: these are the hot rows. Must not know: how octets become fields (``codec.py``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kvitto.smpp.spec import CommandId

__all__ = [
    "NO_TLVS",
    "AlertNotification",
    "Bind",
    "BindResp",
    "BrokenPdu",
    "CancelSm",
    "DataSm",
    "DataSmResp",
    "Decoded",
    "DeliverSm",
    "DeliverSmResp",
    "Empty",
    "Outbind",
    "Pdu",
    "QuerySm",
    "QuerySmResp",
    "SubmitSm",
    "SubmitSmResp",
    "UnknownPdu",
]

NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})


class Bind(NamedTuple):
    """bind_receiver, bind_transmitter or bind_transceiver: ``command_id`` tells which."""

    command_id: int
    sequence_number: int = 0
    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    def __repr__(self) -> str:
        """Without the password: a PDU may end in a log line."""
        return f"Bind(command_id={self.command_id}, sequence_number={self.sequence_number}, system_id=...)"


class BindResp(NamedTuple):
    """The answer to a bind."""

    command_id: int
    sequence_number: int = 0
    command_status: int = 0
    system_id: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""


class Outbind(NamedTuple):
    """The SMSC asks us to bind; never answered by a PDU of its own."""

    sequence_number: int = 0
    system_id: str = ""
    password: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.OUTBIND

    def __repr__(self) -> str:
        """Without the password: a PDU may end in a log line."""
        return f"Outbind(sequence_number={self.sequence_number}, system_id=...)"


class SubmitSm(NamedTuple):
    """One part on its way to the SMSC."""

    sequence_number: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.SUBMIT_SM


class SubmitSmResp(NamedTuple):
    """The answer to a submit_sm; ``message_id`` is the SMSC's, as sent."""

    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.SUBMIT_SM_RESP


class DeliverSm(NamedTuple):
    """A receipt or an incoming message from the SMSC; the layout of submit_sm."""

    sequence_number: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.DELIVER_SM


class DeliverSmResp(NamedTuple):
    """The answer to a deliver_sm; its ``message_id`` is always sent empty."""

    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.DELIVER_SM_RESP


class DataSm(NamedTuple):
    """A receipt or an incoming message as data_sm: its text stands in the TLV message_payload."""

    sequence_number: int = 0
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.DATA_SM

    @property
    def short_message(self) -> bytes:
        """Always empty, so that a data_sm reads like a deliver_sm whose text is in message_payload."""
        return b""


class DataSmResp(NamedTuple):
    """The answer to a data_sm."""

    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.DATA_SM_RESP


class QuerySm(NamedTuple):
    """Asks for the state of one message (R52)."""

    sequence_number: int = 0
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.QUERY_SM


class QuerySmResp(NamedTuple):
    """The answer to a query_sm."""

    sequence_number: int = 0
    command_status: int = 0
    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.QUERY_SM_RESP


class CancelSm(NamedTuple):
    """Asks the SMSC to drop a message."""

    sequence_number: int = 0
    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.CANCEL_SM


class AlertNotification(NamedTuple):
    """A handset may be reached again; logged, never answered."""

    sequence_number: int = 0
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""

    @property
    def command_id(self) -> int:
        """Its number on the wire."""
        return CommandId.ALERT_NOTIFICATION


class Empty(NamedTuple):
    """The PDUs without mandatory fields: enquire_link, unbind, their responses, cancel_sm_resp, generic_nack."""

    command_id: int
    sequence_number: int = 0
    command_status: int = 0
    tlvs: Mapping[int, bytes] = NO_TLVS
    raw: bytes = b""


class BrokenPdu(NamedTuple):
    """A good frame whose body does not hold what its command promises (R10). ``reason`` names the field."""

    command_id: int
    sequence_number: int
    command_status: int
    raw: bytes
    reason: str


class UnknownPdu(NamedTuple):
    """A good frame with a command that we do not read (R4)."""

    command_id: int
    sequence_number: int
    command_status: int
    raw: bytes


Pdu = (
    AlertNotification
    | Bind
    | BindResp
    | CancelSm
    | DataSm
    | DataSmResp
    | DeliverSm
    | DeliverSmResp
    | Empty
    | Outbind
    | QuerySm
    | QuerySmResp
    | SubmitSm
    | SubmitSmResp
)
Decoded = Pdu | BrokenPdu | UnknownPdu
