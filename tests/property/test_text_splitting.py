"""Splitting is cutting and nothing else: joined again the parts are the text, and every part fits (R56, R57)."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kvitto.core.receipt import Alphabet, LongText
from kvitto.core.text import (
    binary_piece,
    count_parts,
    decode_text,
    from_gsm,
    is_gsm,
    split,
    split_binary,
    strip_header,
    to_gsm,
    truncate,
)

GSM_CHARS = "".join(char for char in map(chr, range(0x3000)) if is_gsm(char)) + "€"
GSM_TEXT = st.text(st.sampled_from(GSM_CHARS + "€{}[]~^|\\\f" * 8), max_size=700)
WIDE_TEXT = st.text(st.sampled_from("aé€č🚀日\ufffd\U0010ffff"), max_size=400)
ANY_TEXT = GSM_TEXT | WIDE_TEXT | st.text(max_size=200)
OCTETS = st.binary(max_size=600)


@given(GSM_TEXT)
def test_gsm_octets_read_back_are_the_text(text):
    octets = to_gsm(text)
    assert octets is not None
    assert from_gsm(octets) == text


@given(OCTETS, st.integers(0, 255), st.sampled_from(Alphabet))
def test_reading_incoming_octets_never_fails(octets, data_coding, alphabet):
    assert isinstance(decode_text(octets, data_coding, alphabet=alphabet), str)
    header, rest = strip_header(octets)
    assert header + rest == octets


@given(
    ANY_TEXT,
    st.integers(0, 0x1FFFF),
    st.sampled_from(LongText),
    st.booleans(),
    st.sampled_from(Alphabet),
    st.booleans(),
)
def test_joined_parts_are_the_text(text, reference, long, sixteen_bit, alphabet, flash):
    pieces = split(text, reference, long=long, sixteen_bit=sixteen_bit, alphabet=alphabet, flash=flash)
    texts = [_text_of(piece, alphabet) for piece in pieces]
    assert "".join(texts) == text
    if long is not LongText.PAYLOAD:
        assert len(pieces) == count_parts(text, alphabet=alphabet, sixteen_bit=sixteen_bit)
    if len(pieces) > 1:
        assert all(texts), "no empty part"
        for number, piece in enumerate(pieces, 1):
            assert _ties(piece) == (reference & (0xFFFF if sixteen_bit else 0xFF), len(pieces), number)
    for piece, part in zip(pieces, texts, strict=True):
        assert _phone_octets(part, piece) <= 140 or [tag for tag, _ in piece.tlvs] == [0x0424]


def _text_of(piece, alphabet):
    octets = piece.short_message
    if piece.esm_class & 0x40:
        octets = strip_header(octets)[1]
    elif piece.tlvs and piece.tlvs[0][0] == 0x0424:
        octets = piece.tlvs[0][1]
    if piece.data_coding == 0xF0 and alphabet is not Alphabet.GSM:
        return octets.decode("latin-1")
    return decode_text(octets, piece.data_coding, alphabet=alphabet)


def _ties(piece):
    if piece.tlvs:
        (_, reference), (_, total), (_, number) = piece.tlvs
        return int.from_bytes(reference), total[0], number[0]
    head = strip_header(piece.short_message)[0]
    return int.from_bytes(head[3:-2]), head[-2], head[-1]


def _phone_octets(text, piece):
    """What the part takes in the 140 octets of a real SMS: septets packed, header and its fill bits included."""
    header = 0
    if piece.esm_class & 0x40:
        header = len(strip_header(piece.short_message)[0])
    elif len(piece.tlvs) == 3:
        header = 6
    if piece.data_coding in (0x08, 0x18):
        return header + len(text.encode("utf-16-be"))
    units = len(to_gsm(text) or b"")
    return -(-(-(-header * 8 // 7) * 7 + units * 7) // 8)


@given(ANY_TEXT)
def test_parts_are_as_few_as_their_sizes_allow(text):
    """No part could take one more character: cutting is greedy, so the count is the least."""
    pieces = [_text_of(piece, Alphabet.GSM) for piece in split(text)]
    wide = not is_gsm(text)
    room = 67 if wide else 153
    for part, following in pairwise(pieces):
        longer = part + following[0]
        units = len(longer.encode("utf-16-be")) // 2 if wide else len(to_gsm(longer) or b"")
        assert units > room


@given(OCTETS, st.integers(0, 0xFFFF), st.booleans())
def test_joined_binary_parts_are_the_octets(octets, reference, sixteen_bit):
    pieces = split_binary(octets, reference, sixteen_bit=sixteen_bit)
    assert all(len(piece.short_message) <= 140 for piece in pieces)
    bodies = [piece.short_message if len(pieces) == 1 else strip_header(piece.short_message)[1] for piece in pieces]
    assert b"".join(bodies) == octets


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_binary_with_a_header_is_one_part(octets, header):
    udh = bytes([len(header)]) + header if header else b""
    if len(udh) + len(octets) <= 140:
        assert binary_piece(octets, udh).short_message == udh + octets


@given(ANY_TEXT)
def test_truncating_keeps_the_longest_beginning_that_is_one_part(text):
    kept = truncate(text)
    assert text.startswith(kept)
    assert count_parts(kept) == 1
    if is_gsm(kept) is is_gsm(text) and kept != text:
        assert count_parts(text[: len(kept) + 1]) > 1
