"""Text of messages: the GSM 03.38 alphabet, its choice against UCS-2, sizes, splitting into parts, reading it back.

Also the placeholders that customers put into texts. It must not know PDUs: a ``Piece`` holds what a submit_sm needs of
the text, the submitter adds the rest. Sizes are weighed in *units*: septets for GSM (an extension character is two),
16-bit units for UCS-2, octets for binary. Text travels unpacked, one octet per septet (docs/smpp.md 3.3).
Next: ``docs/smpp.md`` part 3, 3GPP 23.038 and 23.040, ``docs/dialects/sinch.md`` 5 for placeholders.
"""

import codecs
import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from kvitto.core.receipt import Alphabet, LongText

__all__ = [
    "MAX_BINARY_OCTETS",
    "MAX_PARTS",
    "Encoding",
    "Piece",
    "Unmatched",
    "binary_piece",
    "count_parts",
    "decode_text",
    "from_gsm",
    "is_gsm",
    "split",
    "split_binary",
    "strip_header",
    "substitute",
    "to_gsm",
    "truncate",
]


class Encoding(StrEnum):
    """How a payload travels: GSM 7-bit (unpacked), UCS-2 (as UTF-16BE), or 8-bit data."""

    GSM = "GSM"
    UCS2 = "UCS2"
    BINARY = "BINARY"


class Piece(NamedTuple):
    """One part, ready for a submit_sm: its esm_class bits, data_coding, short_message and TLVs (tag, value)."""

    esm_class: int
    data_coding: int
    short_message: bytes
    tlvs: tuple[tuple[int, bytes], ...] = ()


class _Size(NamedTuple):
    """Units that fit: alone, with an 8-bit reference (6 octet header), with a 16-bit one (7 octets)."""

    single: int
    short_reference: int
    long_reference: int


_SIZES: Final[Mapping[Encoding, _Size]] = {
    Encoding.GSM: _Size(160, 153, 152),
    Encoding.UCS2: _Size(70, 67, 66),
    Encoding.BINARY: _Size(140, 134, 133),
}

MAX_PARTS: Final = 255
"""The header counts parts in one octet (3GPP 23.040, 9.2.3.24.1)."""

MAX_BINARY_OCTETS: Final = 140
"""User data of one SMS, header included."""

MAX_PAYLOAD_OCTETS: Final = 65_535
"""message_payload's length field has 16 bits."""

ESM_UDHI: Final = 0x40
DCS_DEFAULT: Final = 0x00
DCS_LATIN1: Final = 0x03
DCS_BINARY: Final = 0x04
DCS_UCS2: Final = 0x08
DCS_FLASH_GSM: Final = 0xF0
DCS_FLASH_UCS2: Final = 0x18

TAG_SAR_REFERENCE: Final = 0x020C
TAG_SAR_TOTAL: Final = 0x020E
TAG_SAR_NUMBER: Final = 0x020F
TAG_MESSAGE_PAYLOAD: Final = 0x0424

# --- the alphabet (docs/smpp.md 3.2) ---------------------------------------------------------------------------------

_ESC: Final = 0x1B
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
_EXTENSION: Final[Mapping[int, str]] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

# ESC is no character: a text that holds U+001B is not a GSM text.
_TO_GSM: Final[Mapping[int, str]] = {ord(char): chr(code) for code, char in enumerate(_BASIC) if code != _ESC} | {
    ord(char): chr(_ESC) + chr(code) for code, char in _EXTENSION.items()
}
_NOT_GSM: Final = re.compile("[^" + re.escape("".join(map(chr, _TO_GSM))) + "]")
_IDENTICAL: Final = bytes(code for code, char in enumerate(_BASIC) if ord(char) == code and code != _ESC)
"""Octets that mean the same character in ASCII and in GSM: the commonest texts hold nothing else."""

# Octets above 0x7F are no GSM; SMSCs that send them mean Latin-1.
_FROM_GSM: Final = _BASIC + "".join(map(chr, range(0x80, 0x100)))
# What follows ESC has been read by the default table already. ESC ESC is reserved and ESC at the end is cut: spaces.
_ESCAPED: Final[Mapping[str, str]] = {_BASIC[code]: char for code, char in _EXTENSION.items()} | {"\x1b": " ", "": " "}
_ESCAPE_PAIR: Final = re.compile("\x1b(.?)", re.DOTALL)


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM default or extension table (R56)."""
    return _NOT_GSM.search(text) is None


def to_gsm(text: str) -> bytes | None:
    """Unpacked GSM octets, one per septet, extension characters as ESC pairs; None when the text is not GSM (R56)."""
    if text.isascii():
        octets = text.encode()
        if not octets.translate(None, _IDENTICAL):
            return octets
    if _NOT_GSM.search(text):
        return None
    return text.translate(_TO_GSM).encode("latin-1")


def from_gsm(octets: bytes) -> str:
    """Unpacked GSM octets as text; never fails (docs/smpp.md 3.2: unknown pairs, ESC at the end, octets above 0x7F)."""
    text = codecs.charmap_decode(octets, "strict", _FROM_GSM)[0]
    return _ESCAPE_PAIR.sub(_read_pair, text) if "\x1b" in text else text


def _read_pair(pair: re.Match[str]) -> str:
    second = pair[1]
    return _ESCAPED.get(second, second)


_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _to_ucs2(text: str) -> bytes:
    """UTF-16BE; a lone surrogate, which JSON can smuggle in, becomes U+FFFD (one unit either way)."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return _LONE_SURROGATES.sub("\ufffd", text).encode("utf-16-be")


# --- sizes -----------------------------------------------------------------------------------------------------------


def count_parts(text: str, *, alphabet: Alphabet = Alphabet.GSM, sixteen_bit: bool = False) -> int:
    """How many parts ``split`` makes of this text for a link of these settings; 1 for the empty text.

    A message of ``payload`` links is one submit, but the SMSC splits it into as many parts.
    """
    coded = _encode(text, alphabet, flash=False)
    return len(_cuts(coded.units, coded.encoding, sixteen_bit)) - 1


def truncate(text: str) -> str:
    """The longest beginning that is one part in the whole text's encoding; no character is cut in two (R57)."""
    octets, encoding = to_gsm(text), Encoding.GSM
    if octets is None:
        octets, encoding = _to_ucs2(text), Encoding.UCS2
    end = _next_cut(octets, 0, _SIZES[encoding].single, encoding)
    kept = octets[: end * _WIDTH[encoding]]
    return from_gsm(kept) if encoding is Encoding.GSM else kept.decode("utf-16-be")


_WIDTH: Final[Mapping[Encoding, int]] = {Encoding.GSM: 1, Encoding.UCS2: 2, Encoding.BINARY: 1}
"""Octets per unit."""


def _next_cut(octets: bytes, start: int, room: int, encoding: Encoding) -> int:
    """Where the part that begins at unit ``start`` ends, at most ``room`` units later, between two characters (R57)."""
    width = _WIDTH[encoding]
    end = start + room
    if end * width >= len(octets):
        return len(octets) // width
    last = octets[(end - 1) * width]
    if encoding is Encoding.GSM:
        return end - (last == _ESC)
    if encoding is Encoding.UCS2:
        return end - (0xD8 <= last <= 0xDB)  # a high surrogate would be parted from its low one
    return end


def _cuts(octets: bytes, encoding: Encoding, sixteen_bit: bool) -> list[int]:
    """The borders of the parts in octets: 0, ..., len(octets)."""
    width, size = _WIDTH[encoding], _SIZES[encoding]
    if len(octets) <= size.single * width:
        return [0, len(octets)]
    room = size.long_reference if sixteen_bit else size.short_reference
    cuts, units = [0], len(octets) // width
    while cuts[-1] < units:
        cuts.append(_next_cut(octets, cuts[-1], room, encoding))
    return [cut * width for cut in cuts]


# --- splitting -------------------------------------------------------------------------------------------------------


class _Coded(NamedTuple):
    """A text in its encoding: ``units`` are weighed and cut; ``codec`` turns a GSM slice into what the link wants."""

    encoding: Encoding
    data_coding: int
    units: bytes
    codec: str | None


_LINK_CODECS: Final[Mapping[Alphabet, tuple[str, int]]] = {
    Alphabet.LATIN1: ("latin-1", DCS_LATIN1),
    Alphabet.ASCII: ("ascii", DCS_DEFAULT),
}


def split(
    text: str,
    reference: int = 0,
    *,
    long: LongText = LongText.UDH,
    sixteen_bit: bool = False,
    alphabet: Alphabet = Alphabet.GSM,
    flash: bool = False,
) -> list[Piece]:
    """A text as the parts to submit, in order (docs/smpp.md 3.3; R56, R57).

    ``reference`` ties the parts together; of it the lowest 8 or 16 bits count. ``flash``: message class 0.
    ``alphabet`` is the link's for data_coding 0; a GSM text that Latin-1 or ASCII cannot hold goes as UCS-2 there.
    Raises: ValueError when the text needs more than MAX_PARTS parts (count first), or does not fit a payload TLV.
    """
    coded = _encode(text, alphabet, flash)
    if len(coded.units) <= _SIZES[coded.encoding].single * _WIDTH[coded.encoding]:
        return [Piece(0, coded.data_coding, _on_wire(coded.units, coded.codec))]
    if long is LongText.PAYLOAD:
        return [_payload_piece(_on_wire(coded.units, coded.codec), coded.data_coding)]
    cuts = _cuts(coded.units, coded.encoding, sixteen_bit)
    bodies = [_on_wire(coded.units[a:b], coded.codec) for a, b in pairwise(cuts)]
    return _tie(bodies, coded.data_coding, reference, long, sixteen_bit)


def split_binary(
    octets: bytes,
    reference: int = 0,
    *,
    data_coding: int = DCS_BINARY,
    long: LongText = LongText.UDH,
    sixteen_bit: bool = False,
) -> list[Piece]:
    """8-bit data without a header of its own as the parts to submit: 140 octets alone, 134 or 133 each when split.

    Raises: ValueError as ``split``.
    """
    if len(octets) <= MAX_BINARY_OCTETS:
        return [Piece(0, data_coding, octets)]
    if long is LongText.PAYLOAD:
        return [_payload_piece(octets, data_coding)]
    cuts = _cuts(octets, Encoding.BINARY, sixteen_bit)
    bodies = [octets[a:b] for a, b in pairwise(cuts)]
    return _tie(bodies, data_coding, reference, long, sixteen_bit)


def binary_piece(octets: bytes, udh: bytes, *, data_coding: int = DCS_BINARY) -> Piece:
    """8-bit data with the customer's own header (its length octet included): one part, never split.

    Raises: ValueError when header and data together are longer than MAX_BINARY_OCTETS.
    """
    if len(udh) + len(octets) > MAX_BINARY_OCTETS:
        raise ValueError(f"udh and body: {len(udh) + len(octets)} octets, the limit is {MAX_BINARY_OCTETS}")
    return Piece(ESM_UDHI if udh else 0, data_coding, udh + octets)


def _encode(text: str, alphabet: Alphabet, flash: bool) -> _Coded:
    units = to_gsm(text)
    if units is None:
        return _ucs2(text, flash)
    if alphabet is Alphabet.GSM:
        return _Coded(Encoding.GSM, DCS_FLASH_GSM if flash else DCS_DEFAULT, units, None)
    codec, data_coding = _LINK_CODECS[alphabet]
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return _ucs2(text, flash)
    return _Coded(Encoding.GSM, DCS_FLASH_GSM if flash else data_coding, units, codec)


def _ucs2(text: str, flash: bool) -> _Coded:
    return _Coded(Encoding.UCS2, DCS_FLASH_UCS2 if flash else DCS_UCS2, _to_ucs2(text), None)


def _on_wire(units: bytes, codec: str | None) -> bytes:
    """The octets that travel: the units themselves, or the same characters in the link's alphabet."""
    return units if codec is None else from_gsm(units).encode(codec)


def _payload_piece(octets: bytes, data_coding: int) -> Piece:
    if len(octets) > MAX_PAYLOAD_OCTETS:
        raise ValueError(f"text: {len(octets)} octets, message_payload holds {MAX_PAYLOAD_OCTETS}")
    return Piece(0, data_coding, b"", ((TAG_MESSAGE_PAYLOAD, octets),))


def _tie(bodies: list[bytes], data_coding: int, reference: int, long: LongText, sixteen_bit: bool) -> list[Piece]:
    """Parts with what ties them: a header before each body, or the three sar TLVs beside it."""
    total = len(bodies)
    if total > MAX_PARTS:
        raise ValueError(f"text: {total} parts, the limit is {MAX_PARTS}")
    reference &= 0xFFFF if sixteen_bit else 0xFF
    if long is LongText.SAR:
        return [
            Piece(0, data_coding, body, _sar_tlvs(reference, total, number)) for number, body in enumerate(bodies, 1)
        ]
    head = b"\x06\x08\x04" + reference.to_bytes(2) if sixteen_bit else b"\x05\x00\x03" + reference.to_bytes(1)
    return [Piece(ESM_UDHI, data_coding, head + bytes((total, number)) + body) for number, body in enumerate(bodies, 1)]


def _sar_tlvs(reference: int, total: int, number: int) -> tuple[tuple[int, bytes], ...]:
    return (
        (TAG_SAR_REFERENCE, reference.to_bytes(2)),
        (TAG_SAR_TOTAL, total.to_bytes(1)),
        (TAG_SAR_NUMBER, number.to_bytes(1)),
    )


# --- reading ---------------------------------------------------------------------------------------------------------

_CODECS: Final[Mapping[int, str]] = {
    0x01: "latin-1",  # ASCII; Latin-1 reads the same and never fails
    0x02: "latin-1",  # binary: one character per octet
    0x03: "latin-1",
    0x04: "latin-1",
    0x05: "shift_jis",
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    0x08: "utf-16-be",
    0x09: "shift_jis",
    0x0A: "iso2022_jp",
    0x0D: "euc_jp",
    0x0E: "euc_kr",
}
_ALPHABET_CODECS: Final[Mapping[Alphabet, str]] = {Alphabet.LATIN1: "latin-1", Alphabet.ASCII: "latin-1"}


def decode_text(octets: bytes, data_coding: int, *, alphabet: Alphabet = Alphabet.GSM) -> str:
    """Incoming octets (without header) as text, by data_coding (docs/smpp.md 3.1); never fails.

    ``alphabet``: what the link takes data_coding 0 for. Binary data comes as one character per octet, what a codec
    cannot read as U+FFFD, an unknown data_coding as Latin-1.
    """
    codec = _codec_of(data_coding, alphabet)
    return from_gsm(octets) if codec is None else octets.decode(codec, "replace")


def _codec_of(data_coding: int, alphabet: Alphabet) -> str | None:
    """The Python codec for a data_coding; None for the GSM alphabet. From 0x10 on 3GPP 23.038 section 4 rules."""
    if data_coding == DCS_DEFAULT:
        return _ALPHABET_CODECS.get(alphabet)
    if data_coding < 0x10:
        return _CODECS.get(data_coding, "latin-1")
    group = data_coding >> 4
    if group < 8:  # general data coding: bits 3-2 name the alphabet
        return (None, "latin-1", "utf-16-be", "latin-1")[data_coding >> 2 & 3]
    if group in (0xC, 0xD):  # message waiting
        return None
    if group == 0xE:
        return "utf-16-be"
    if group == 0xF:  # message class, bit 2: 8-bit data
        return "latin-1" if data_coding & 0x04 else None
    return "latin-1"


def strip_header(octets: bytes) -> tuple[bytes, bytes]:
    """(user data header with its length octet, the rest); (b"", octets) when the length octet points past the end."""
    if octets and octets[0] < len(octets):
        return octets[: octets[0] + 1], octets[octets[0] + 1 :]
    return b"", octets


# --- placeholders ----------------------------------------------------------------------------------------------------


class Unmatched(NamedTuple):
    """A placeholder that has neither a value for this recipient nor a default: the recipient ends as Aborted 405."""

    key: str


_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z0-9._-]{1,16})\}")
DEFAULT_KEY: Final = "default"


def substitute(template: str, parameters: Mapping[str, Mapping[str, str]], msisdn: str) -> str | Unmatched:
    """The text for one recipient: every ``${key}`` replaced (docs/dialects/sinch.md 5).

    ``parameters``: key -> {clean number or "default": value}. The recipient's own value wins, then the default; with
    neither the answer is ``Unmatched``. A ``${key}`` without any entry stays as text. Values are not searched again.
    """
    if not parameters or "${" not in template:
        return template
    found: list[str] = []
    pieces = _PLACEHOLDER.split(template)  # text, key, text, key, ..., text
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            found.append(piece)
            continue
        values = parameters.get(piece)
        if values is None:
            found.append("${" + piece + "}")
            continue
        value = values.get(msisdn, values.get(DEFAULT_KEY))
        if value is None:
            return Unmatched(piece)
        found.append(value)
    return "".join(found)
