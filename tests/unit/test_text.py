"""Text, sizes and splitting: docs/smpp.md part 3 as tables (R56, R57); placeholders (docs/dialects/sinch.md 5)."""

import pytest

from kvitto.core.receipt import Alphabet, LongText
from kvitto.core.text import (
    Piece,
    Unmatched,
    binary_piece,
    count_parts,
    decode_text,
    from_gsm,
    is_gsm,
    split,
    split_binary,
    strip_header,
    substitute,
    to_gsm,
    truncate,
)

ROWS = """
@ £ $ ¥ è é ù ì ò Ç LF Ø ø CR Å å
Δ _ Φ Γ Λ Ω Π Ψ Σ Θ Ξ ESC Æ æ ß É
SP ! " # ¤ % & ' ( ) * + , - . /
0 1 2 3 4 5 6 7 8 9 : ; < = > ?
¡ A B C D E F G H I J K L M N O
P Q R S T U V W X Y Z Ä Ö Ñ Ü §
¿ a b c d e f g h i j k l m n o
p q r s t u v w x y z ä ö ñ ü à
"""
NAMES = {"LF": "\n", "CR": "\r", "SP": " ", "ESC": ""}
BASIC = [NAMES.get(name, name) for name in ROWS.split()]
EXTENSION = {
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


@pytest.mark.parametrize(("code", "char"), [(code, char) for code, char in enumerate(BASIC) if char])
def test_r56_every_default_character_both_ways(code, char):
    assert to_gsm(char) == bytes([code])
    assert from_gsm(bytes([code])) == char


@pytest.mark.parametrize(("code", "char"), EXTENSION.items())
def test_r56_every_extension_character_both_ways(code, char):
    assert to_gsm(char) == bytes([0x1B, code])
    assert from_gsm(bytes([0x1B, code])) == char


def test_r56_no_other_character_is_gsm():
    gsm = {char for char in BASIC if char} | set(EXTENSION.values())
    assert {chr(code) for code in range(0x3000) if is_gsm(chr(code))} == gsm
    assert len(gsm) == 127 + 10


@pytest.mark.parametrize("text", ["ç", "č", "`", "\t", "\x1b", "\0", "Ελλάδα", "日本", "🚀", "“quoted”", "hello č"])
def test_r56_any_other_character_makes_it_ucs2(text):
    assert to_gsm(text) is None
    assert split(text) == [Piece(0, 0x08, text.encode("utf-16-be"))]


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x1b", " "),
        (b"a\x1b", "a "),
        (b"\x1ba", "a"),
        (b"\x1b\x00", "@"),
        (b"\x1b\x1b", " "),
        (b"\x1b\x1b\x65", " e"),
        (b"\x1b\x65\x1b", "€ "),
        (b"\xe5\xff", "åÿ"),
        (b"\x1b\xe5", "å"),
        (b"", ""),
    ],
)
def test_odd_escapes_and_high_octets_are_read(octets, text):
    assert from_gsm(octets) == text


# --- sizes and borders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "parts", "parts16"),
    [(0, 1, 1), (1, 1, 1), (160, 1, 1), (161, 2, 2), (304, 2, 2), (305, 2, 3), (306, 2, 3), (307, 3, 3), (459, 3, 4)],
)
def test_r57_gsm_borders(length, parts, parts16):
    assert count_parts("a" * length) == len(split("a" * length)) == parts
    assert count_parts("a" * length, sixteen_bit=True) == parts16


@pytest.mark.parametrize(
    ("length", "parts", "parts16"), [(70, 1, 1), (71, 2, 2), (132, 2, 2), (134, 2, 3), (135, 3, 3), (201, 3, 4)]
)
def test_r57_ucs2_borders(length, parts, parts16):
    assert count_parts("č" * length) == len(split("č" * length)) == parts
    assert count_parts("č" * length, sixteen_bit=True) == parts16


@pytest.mark.parametrize(
    ("length", "parts", "parts16"), [(0, 1, 1), (140, 1, 1), (141, 2, 2), (266, 2, 2), (268, 2, 3), (269, 3, 3)]
)
def test_r57_binary_borders(length, parts, parts16):
    assert len(split_binary(bytes(length))) == parts
    assert len(split_binary(bytes(length), sixteen_bit=True)) == parts16


def bodies(pieces, head=6):
    return [piece.short_message[head:] for piece in pieces]


@pytest.mark.parametrize(("sixteen_bit", "room", "head"), [(False, 153, 6), (True, 152, 7)])
def test_r57_an_escape_pair_on_the_border_is_not_split(sixteen_bit, room, head):
    text = "a" * (room - 1) + "€" + "b" * 60
    first, second = bodies(split(text, sixteen_bit=sixteen_bit), head)
    assert first == b"a" * (room - 1)
    assert second == b"\x1b\x65" + b"b" * 60
    fits = "a" * (room - 2) + "€" + "b" * 60
    assert bodies(split(fits, sixteen_bit=sixteen_bit), head)[0] == b"a" * (room - 2) + b"\x1b\x65"


@pytest.mark.parametrize(("sixteen_bit", "room", "head"), [(False, 67, 6), (True, 66, 7)])
@pytest.mark.parametrize("pair", ["🚀", "\U00010000", "\U0010ffff"])
def test_r57_a_surrogate_pair_on_the_border_is_not_split(sixteen_bit, room, head, pair):
    text = "č" * (room - 1) + pair + "x" * 20
    first, second = bodies(split(text, sixteen_bit=sixteen_bit), head)
    assert first.decode("utf-16-be") == "č" * (room - 1)
    assert second.decode("utf-16-be") == pair + "x" * 20


def test_r57_pairs_on_borders_can_cost_a_part():
    assert count_parts("€" * 80) == 1
    assert count_parts("€" * 81) == 2
    assert count_parts("€" * 153) == 3  # 76 a part, not 76.5
    assert count_parts("🚀" * 35) == 1
    assert count_parts("🚀" * 67) == 3  # 33 a part


def test_r57_udh_of_eight_and_sixteen_bits():
    pieces = split("a" * 161, 0x1234)
    assert [piece.short_message[:6] for piece in pieces] == [b"\x05\x00\x03\x34\x02\x01", b"\x05\x00\x03\x34\x02\x02"]
    pieces = split("a" * 161, 0x1234, sixteen_bit=True)
    assert [piece.short_message[:7] for piece in pieces] == [
        b"\x06\x08\x04\x12\x34\x02\x01",
        b"\x06\x08\x04\x12\x34\x02\x02",
    ]
    assert {(piece.esm_class, piece.data_coding, piece.tlvs) for piece in pieces} == {(0x40, 0x00, ())}
    assert [len(piece.short_message) for piece in split("a" * 306)] == [159, 159]


def test_long_text_by_sar():
    pieces = split("č" * 71, 0x1234, long=LongText.SAR)
    assert pieces == [
        Piece(0, 8, ("č" * 67).encode("utf-16-be"), ((0x020C, b"\x00\x34"), (0x020E, b"\x02"), (0x020F, b"\x01"))),
        Piece(0, 8, ("č" * 4).encode("utf-16-be"), ((0x020C, b"\x00\x34"), (0x020E, b"\x02"), (0x020F, b"\x02"))),
    ]
    assert split("č" * 71, 0x1234, long=LongText.SAR, sixteen_bit=True)[0].tlvs[0] == (0x020C, b"\x12\x34")


def test_long_text_by_payload():
    assert split("a" * 161, long=LongText.PAYLOAD) == [Piece(0, 0, b"", ((0x0424, b"a" * 161),))]
    assert split_binary(b"x" * 141, long=LongText.PAYLOAD) == [Piece(0, 4, b"", ((0x0424, b"x" * 141),))]


@pytest.mark.parametrize("long", LongText)
def test_short_text_is_one_plain_part_whatever_the_link_does_with_long_text(long):
    assert split("a" * 160, long=long) == [Piece(0, 0, b"a" * 160)]
    assert split("č" * 70, long=long) == [Piece(0, 8, ("č" * 70).encode("utf-16-be"))]


@pytest.mark.parametrize("long", [LongText.UDH, LongText.SAR])
def test_more_than_255_parts_are_refused_by_name(long):
    assert len(split("a" * 153 * 255, long=long)) == 255
    with pytest.raises(ValueError, match="256 parts, the limit is 255"):
        split("a" * (153 * 255 + 1), long=long)


def test_a_payload_longer_than_its_length_field_is_refused_by_name():
    with pytest.raises(ValueError, match="message_payload holds 65535"):
        split("a" * 65_536, long=LongText.PAYLOAD)


def test_flash_is_message_class_0():
    assert split("hi", flash=True) == [Piece(0, 0xF0, b"hi")]
    assert split("č", flash=True) == [Piece(0, 0x18, "č".encode("utf-16-be"))]
    assert {piece.data_coding for piece in split("a" * 200, flash=True)} == {0xF0}


def test_binary_with_a_header_of_its_own_is_never_split():
    udh = b"\x06\x05\x04\x23\xf4\x00\x00"
    assert binary_piece(b"x" * 133, udh) == Piece(0x40, 0x04, udh + b"x" * 133)
    assert binary_piece(b"x", b"") == Piece(0, 0x04, b"x")
    assert binary_piece(b"x", udh, data_coding=0xF5).data_coding == 0xF5
    with pytest.raises(ValueError, match="141 octets, the limit is 140"):
        binary_piece(b"x" * 134, udh)


# --- links that take data_coding 0 for something else ----------------------------------------------------------------


def test_a_latin1_link_gets_latin1_octets_and_says_so():
    assert split("@_é[]", alphabet=Alphabet.LATIN1) == [Piece(0, 0x03, "@_é[]".encode("latin-1"))]


def test_an_ascii_link_gets_ascii_octets():
    assert split("@_[]", alphabet=Alphabet.ASCII) == [Piece(0, 0x00, b"@_[]")]


@pytest.mark.parametrize(
    ("alphabet", "text"), [(Alphabet.LATIN1, "5 €"), (Alphabet.LATIN1, "Ω"), (Alphabet.ASCII, "é")]
)
def test_what_the_links_alphabet_lacks_goes_as_ucs2(alphabet, text):
    assert split(text, alphabet=alphabet) == [Piece(0, 0x08, text.encode("utf-16-be"))]
    assert count_parts(text * 71, alphabet=alphabet) > 1


def test_parts_for_a_latin1_link_are_weighed_as_the_phone_gets_them():
    text = "a" * 152 + "{" + "b" * 20
    pieces = split(text, alphabet=Alphabet.LATIN1)
    assert bodies(pieces) == [b"a" * 152, b"{" + b"b" * 20]
    assert split("{" * 80, alphabet=Alphabet.LATIN1) == [Piece(0, 3, b"{" * 80)]
    assert len(split("{" * 81, alphabet=Alphabet.LATIN1)) == count_parts("{" * 81, alphabet=Alphabet.LATIN1) == 2


# --- truncate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("a" * 160, "a" * 160),
        ("a" * 161, "a" * 160),
        ("a" * 159 + "€", "a" * 159),
        ("a" * 158 + "€" + "a", "a" * 158 + "€"),
        ("č" * 71, "č" * 70),
        ("č" * 69 + "🚀", "č" * 69),
        ("č" * 68 + "🚀" + "x", "č" * 68 + "🚀"),
        ("@" * 160 + "č", "@" * 70),
        ("č\ud800", "č\ufffd"),
    ],
)
def test_r57_truncate_keeps_one_part_of_whole_characters(text, kept):
    assert truncate(text) == kept
    assert count_parts(truncate(text)) == 1


def test_a_lone_surrogate_is_replaced():
    assert split("a\ud800b\udc00") == [Piece(0, 8, "a\ufffdb\ufffd".encode("utf-16-be"))]


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_coding", "octets", "text"),
    [
        (0x00, b"\x00\x1b\x65", "@€"),
        (0x01, b"@A", "@A"),
        (0x02, b"\xff\x00", "ÿ\0"),
        (0x03, b"\xe5@", "å@"),
        (0x04, b"\x80", "\x80"),
        (0x05, "日本".encode("shift_jis"), "日本"),
        (0x06, "Да".encode("iso8859_5"), "Да"),
        (0x07, "שלום".encode("iso8859_8"), "שלום"),
        (0x08, "č🚀".encode("utf-16-be"), "č🚀"),
        (0x0A, "日本".encode("iso2022_jp"), "日本"),
        (0x0D, "日本".encode("euc_jp"), "日本"),
        (0x0E, "한국".encode("euc_kr"), "한국"),
        (0x0B, b"\xe5", "å"),
        (0x10, b"\x00", "@"),
        (0x13, b"\x00", "@"),
        (0x14, b"\xe5", "å"),
        (0x18, b"\x01\x0d", "č"),
        (0x1C, b"\xe5", "å"),
        (0x48, b"\x01\x0d", "č"),
        (0x80, b"\xe5", "å"),
        (0xC8, b"\x00", "@"),
        (0xD0, b"\x00", "@"),
        (0xE0, b"\x01\x0d", "č"),
        (0xF0, b"\x00", "@"),
        (0xF3, b"\x00", "@"),
        (0xF4, b"\x00", "\0"),
        (0xF7, b"\xe5", "å"),
        (0x08, b"\x01\x0d\x41", "č\ufffd"),
        (0x08, b"\xd8\x00\x00A", "\ufffdA"),
    ],
)
def test_incoming_text_is_read_by_its_data_coding(data_coding, octets, text):
    assert decode_text(octets, data_coding) == text


def test_data_coding_0_is_what_the_link_says():
    assert decode_text(b"@\xe5", 0, alphabet=Alphabet.LATIN1) == "@å"
    assert decode_text(b"@", 0, alphabet=Alphabet.ASCII) == "@"
    assert decode_text(b"@", 0) == "¡"


@pytest.mark.parametrize(
    ("octets", "header", "rest"),
    [
        (b"", b"", b""),
        (b"\x00hi", b"\x00", b"hi"),
        (b"\x05\x00\x03\x01\x02\x01hi", b"\x05\x00\x03\x01\x02\x01", b"hi"),
        (b"\x05\x00\x03\x01\x02\x01", b"\x05\x00\x03\x01\x02\x01", b""),
        (b"\x05\x00\x03\x01\x02", b"", b"\x05\x00\x03\x01\x02"),
        (b"\x03\x24\x01\x01hi", b"\x03\x24\x01\x01", b"hi"),
    ],
)
def test_headers_are_cut_off_national_language_ones_among_them(octets, header, rest):
    assert strip_header(octets) == (header, rest)


# --- placeholders ----------------------------------------------------------------------------------------------------

NAMES_BY_NUMBER = {"name": {"46701": "Ann", "46702": "", "default": "you"}, "code": {"46701": "${name}"}, "empty": {}}


@pytest.mark.parametrize(
    ("template", "msisdn", "text"),
    [
        ("Hi", "46701", "Hi"),
        ("Hi ${name}!", "46701", "Hi Ann!"),
        ("Hi ${name}!", "46702", "Hi !"),
        ("Hi ${name}!", "46703", "Hi you!"),
        ("${name}${name}", "46701", "AnnAnn"),
        ("${code}", "46701", "${name}"),
        ("${code}", "46702", Unmatched("code")),
        ("${name} ${empty}", "46701", Unmatched("empty")),
        ("${other} ${Name} ${name}", "46701", "${other} ${Name} Ann"),
        ("$name {name} ${na me} ${} ${name", "46701", "$name {name} ${na me} ${} ${name"),
        ("${" + "x" * 17 + "}", "46701", "${" + "x" * 17 + "}"),
    ],
)
def test_placeholders(template, msisdn, text):
    assert substitute(template, NAMES_BY_NUMBER, msisdn) == text


def test_placeholder_keys_may_have_dots_dashes_and_underscores():
    assert substitute("${a.b-C_9}", {"a.b-C_9": {"default": "x"}}, "1") == "x"


def test_without_parameters_the_text_stays():
    assert substitute("Hi ${name}", {}, "46701") == "Hi ${name}"
