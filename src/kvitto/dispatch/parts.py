"""From a claimed message to its submit_sm: one link's way of writing parts (docs/smpp.md 1.9, 3.3, 3.4).

Pure apart from small memories: the split of a text that goes to many recipients is made once, and the reference that
ties a long text's parts together differs between two texts to one phone. A reference is derived from the message's
id, so that a part sent again later, or by another process, still fits to those sent before.

Must not know: connections, the store, answers. Next: ``kvitto.dispatch.submitter``.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple, cast
from zlib import crc32

from kvitto.core.model import Claimed, Content, ContentKind, PartKey
from kvitto.core.msisdn import Address, source_address
from kvitto.core.receipt import LinkRules, LongText
from kvitto.core.text import Piece, binary_piece, split, split_binary, truncate
from kvitto.smpp.codec import EncodeError, decode_submit_sm, encode_header, encode_submit_body
from kvitto.smpp.pdus import NO_TLVS, SubmitSm
from kvitto.smpp.spec import CommandId, Tlv

__all__ = ["Outgoing", "PartMaker", "Unsendable", "validity_period"]

CACHED_TEXTS: Final = 256
"""Splits kept per link: a few bulk batches at a time interleave, their texts are short."""
REMEMBERED_DESTINATIONS: Final = 10_000
"""Destinations whose last reference is known, about 200 bytes each; two texts to one phone come close to each other."""

_SENDER_OCTETS: Final = 20
_DESTINATION_OCTETS: Final = 20
_INVALID_LENGTH: Final = 0x01
_INVALID_COMMAND: Final = 0x03
_INVALID_SOURCE: Final = 0x0A
_INVALID_DESTINATION: Final = 0x0B

_LONGEST_RELATIVE_S: Final = 30 * 86_400
_LONGEST_ABSOLUTE_S: Final = 366 * 86_400
"""A year has two digits on the wire, and no SMSC keeps a text for longer."""
_UDH_SHORT: Final = b"\x05\x00\x03"
_UDH_LONG: Final = b"\x06\x08\x04"
_BEFORE_SOURCE: Final = 3
"""Octets of a submit_sm's body before source_addr: an empty service_type, type of number, numbering plan."""
_BEFORE_DESTINATION: Final = 3
"""Octets between the two addresses: a NUL, type of number, numbering plan."""
_BEFORE_VALIDITY: Final = 5
"""Octets between destination_addr and validity_period: a NUL, esm_class to priority_flag, an empty schedule."""


class Unsendable(Exception):
    """This message cannot be written as SMPP; ``command_status`` is what an SMSC would say of it (docs/smpp.md 1.8)."""

    def __init__(self, command_status: int) -> None:
        super().__init__(f"0x{command_status:02X}")
        self.command_status = command_status


class Outgoing(NamedTuple):
    """One submit_sm and the parts that its answer decides: one, or all when the SMSC does the splitting.

    ``attempts``: how often the message has been claimed, this time included. ``body``: the submit_sm's octets behind
    its header. It is the token of the request.
    """

    keys: tuple[PartKey, ...]
    attempts: int
    body: bytes

    @property
    def pdu(self) -> SubmitSm:
        """What ``body`` says, for people and tests."""
        return cast("SubmitSm", decode_submit_sm(encode_header(CommandId.SUBMIT_SM, 0, 0, len(self.body)) + self.body))


class _Form(NamedTuple):
    """The submit_sm of a text in one part, but for what differs between its recipients."""

    head: bytes  # up to destination_addr
    middle: bytes  # between destination_addr and validity_period
    tail: bytes  # behind validity_period


class PartMaker:
    """Writes the parts of claimed messages by one link's rules."""

    def __init__(self, rules: LinkRules) -> None:
        self._rules = rules
        self._registered = 0x11 if rules.intermediate else 0x01
        self._forms: dict[tuple[object, ...], _Form] = {}
        self._pieces: OrderedDict[tuple[object, ...], list[Piece]] = OrderedDict()
        self._references: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._sources: dict[tuple[str, int | None, int | None], Address] = {}
        self._validity: tuple[int, str] = (-1, "")

    def make(self, claimed: Claimed, now: int) -> list[Outgoing]:
        """Return one ``Outgoing`` per submit_sm for the parts to do, in order; ``now`` in ms UTC.

        registered_delivery asks for success and failure on every part, whatever the customer wants (R36, R43).
        Raises: Unsendable when no submit_sm can carry it.
        """
        message_id, _, recipient, sender, content, text, parts, _, expire_at, attempts = claimed
        if parts != 1:
            return self._make_many(claimed, now)
        if len(recipient) > _DESTINATION_OCTETS or not recipient.isalnum() or not recipient.isascii():
            raise Unsendable(_INVALID_DESTINATION)
        data, udh, ton, npi = content.data, content.udh, content.source_ton, content.source_npi
        key = (content.kind, sender, text, content.flash, content.truncate, data, udh, ton, npi)
        form = self._forms.get(key) or self._form(claimed, key)
        validity = self._validity_for(expire_at, now)
        body = b"".join((form.head, recipient.encode(), form.middle, validity.encode(), form.tail))
        return [Outgoing((PartKey(message_id, 1),), attempts + 1, body)]

    def _form(self, claimed: Claimed, key: tuple[object, ...]) -> _Form:
        """What a text's recipients have in common, written by the codec with two fields empty. Raises: Unsendable."""
        piece = self._pieces_of(claimed)[0]
        pdu = self._pdu(claimed, piece, "", piece.short_message, dict(piece.tlvs), validity="")
        body = _body(pdu)
        destination_at = _BEFORE_SOURCE + len(pdu.source_addr) + _BEFORE_DESTINATION
        validity_at = destination_at + _BEFORE_VALIDITY
        if len(self._forms) >= CACHED_TEXTS:
            self._forms.clear()
        form = self._forms[key] = _Form(body[:destination_at], body[destination_at:validity_at], body[validity_at:])
        return form

    def _make_many(self, claimed: Claimed, now: int) -> list[Outgoing]:
        """The parts to do of a text in several; ``now`` in ms UTC. Raises: Unsendable."""
        pieces = self._pieces_of(claimed)
        chosen: list[tuple[Piece, tuple[PartKey, ...]]]
        if len(pieces) == claimed.parts:
            chosen = [(pieces[number - 1], (PartKey(claimed.message_id, number),)) for number in claimed.todo]
        else:  # one submit_sm carries everything (LongText.PAYLOAD), so its answer is the answer for every part
            chosen = [(pieces[0], tuple(PartKey(claimed.message_id, number) for number in claimed.todo))]
        validity = self._validity_for(claimed.expire_at, now)
        reference = self._reference(claimed) if len(pieces) > 1 else 0
        outgoing = []
        for piece, keys in chosen:
            octets, tlvs = (piece.short_message, dict(piece.tlvs)) if len(pieces) == 1 else _tied(piece, reference)
            pdu = self._pdu(claimed, piece, claimed.recipient, octets, tlvs, validity=validity)
            outgoing.append(Outgoing(keys, claimed.attempts + 1, _body(pdu)))
        return outgoing

    def _pdu(
        self,
        claimed: Claimed,
        piece: Piece,
        destination: str,
        short_message: bytes,
        tlvs: Mapping[int, bytes],
        *,
        validity: str,
    ) -> SubmitSm:
        if len(destination) > _DESTINATION_OCTETS:
            raise Unsendable(_INVALID_DESTINATION)
        ton, npi, source = self._source(claimed.sender, claimed.content)
        return SubmitSm(
            source_addr_ton=ton,
            source_addr_npi=npi,
            source_addr=source,
            dest_addr_ton=1,  # international
            dest_addr_npi=1,  # E.164
            destination_addr=destination,
            esm_class=piece.esm_class,
            validity_period=validity,
            registered_delivery=self._registered,
            data_coding=piece.data_coding,
            short_message=short_message,
            tlvs=tlvs,
        )

    def _pieces_of(self, claimed: Claimed) -> list[Piece]:
        """The message in as many pieces as it was counted at admission, or in one that carries it whole."""
        content = claimed.content
        key = (content.kind, claimed.text, claimed.parts, content.flash, content.truncate, content.data, content.udh)
        pieces = self._pieces.get(key)
        if pieces is not None:
            self._pieces.move_to_end(key)
            return pieces
        try:
            pieces = self._split(claimed)
        except ValueError:  # too many parts, hex that is none, more octets than message_payload holds
            raise Unsendable(_INVALID_LENGTH) from None
        self._pieces[key] = pieces
        if len(self._pieces) > CACHED_TEXTS:
            self._pieces.popitem(last=False)
        return pieces

    def _split(self, claimed: Claimed) -> list[Piece]:
        content, rules = claimed.content, self._rules
        if content.kind is ContentKind.MEDIA:
            raise Unsendable(_INVALID_COMMAND)
        if content.udh:
            return [binary_piece(bytes.fromhex(content.data), bytes.fromhex(content.udh))]
        if rules.long is LongText.PAYLOAD:
            return self._cut(content, claimed.text, LongText.PAYLOAD, rules.sixteen_bit_reference)
        # Parts were counted before the link was known: where its own header size gives another count, the other fits.
        for sixteen_bit in (rules.sixteen_bit_reference, not rules.sixteen_bit_reference):
            pieces = self._cut(content, claimed.text, rules.long, sixteen_bit)
            if len(pieces) == claimed.parts:
                return pieces
        return self._cut(content, claimed.text, LongText.PAYLOAD, sixteen_bit=False)

    def _cut(self, content: Content, text: str, long: LongText, sixteen_bit: bool) -> list[Piece]:
        if content.kind is ContentKind.BINARY:
            return split_binary(bytes.fromhex(content.data), long=long, sixteen_bit=sixteen_bit)
        if content.truncate:
            text = truncate(text)
        alphabet = self._rules.default_alphabet
        return split(text, long=long, sixteen_bit=sixteen_bit, alphabet=alphabet, flash=content.flash)

    def _source(self, sender: str | None, content: Content) -> Address:
        if sender is None:
            raise Unsendable(_INVALID_SOURCE)
        key = (sender, content.source_ton, content.source_npi)
        source = self._sources.get(key)
        if source is None:
            try:
                octets = sender.encode("latin-1")
            except UnicodeEncodeError:
                raise Unsendable(_INVALID_SOURCE) from None
            if len(octets) > _SENDER_OCTETS or b"\0" in octets:
                raise Unsendable(_INVALID_SOURCE)
            if len(self._sources) >= CACHED_TEXTS:
                self._sources.clear()
            source = self._sources[key] = source_address(
                sender, ton=content.source_ton, npi=content.source_npi, short_code_ton=self._rules.short_code_ton
            )
        return source

    def _validity_for(self, expire_at: int, now: int) -> str:
        remaining_s = max(1, (expire_at - now) // 1000)
        if remaining_s > _LONGEST_RELATIVE_S:
            return validity_period(expire_at, now)
        if self._validity[0] != remaining_s:
            self._validity = remaining_s, validity_period(expire_at, now)
        return self._validity[1]

    def _reference(self, claimed: Claimed) -> int:
        """The number that ties the parts: from the message's id, one further if the last text to this phone had the
        same.
        """
        references = self._references
        last = references.get(claimed.recipient)
        if last is not None and last[0] == claimed.message_id:
            return last[1]
        reference = crc32(claimed.message_id.encode()) & 0xFFFF
        if last is not None and (last[1] ^ reference) & 0xFF == 0:
            reference = (reference + 1) & 0xFFFF
        references[claimed.recipient] = (claimed.message_id, reference)
        references.move_to_end(claimed.recipient)
        if len(references) > REMEMBERED_DESTINATIONS:
            references.popitem(last=False)
        return reference


def _body(pdu: SubmitSm) -> bytes:
    try:
        return encode_submit_body(pdu)
    except EncodeError:  # every field was looked at: what is left is a text too long for it
        raise Unsendable(_INVALID_LENGTH) from None


def _tied(piece: Piece, reference: int) -> tuple[bytes, Mapping[int, bytes]]:
    """A piece split with reference 0, with its real one put in."""
    body = piece.short_message
    if piece.tlvs:
        tlvs = dict(piece.tlvs)
        tlvs[Tlv.SAR_MSG_REF_NUM] = (reference & 0xFF).to_bytes(2)
        return body, tlvs
    if body.startswith(_UDH_LONG):
        return _UDH_LONG + reference.to_bytes(2) + body[5:], NO_TLVS
    return _UDH_SHORT + bytes((reference & 0xFF,)) + body[4:], NO_TLVS


def validity_period(expire_at: int, now: int) -> str:
    """Return ``validity_period`` for a message that ends at ``expire_at`` (ms UTC): relative up to 30 days, else
    absolute (R58).
    """
    remaining_s = max(1, (expire_at - now) // 1000)
    if remaining_s <= _LONGEST_RELATIVE_S:
        minutes, seconds = divmod(remaining_s, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        return f"0000{days:02d}{hours:02d}{minutes:02d}{seconds:02d}000R"
    end = datetime.fromtimestamp(min(expire_at // 1000, now // 1000 + _LONGEST_ABSOLUTE_S), UTC)
    return f"{end:%y%m%d%H%M%S}000+"
