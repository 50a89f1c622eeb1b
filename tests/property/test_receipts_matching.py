"""One look-up by folded ids finds all that R26's four levels can match; the levels are those of big integers."""

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kvitto.core.matching import Ambiguous, Candidate, Match, Park, ReceiptIds, candidate_keys, fold, match
from kvitto.core.receipt import IdBase, LinkRules

PHONE = "46701740611"
DEC, HEX = set("0123456789"), set("0123456789abcdefABCDEF")


def dec(sent):
    """The integer value by digits, without any limit of size; None when it is no decimal number."""
    return _value(sent, 10) if sent and set(sent) <= DEC else None


def hexadecimal(sent):
    return _value(sent, 16) if sent and set(sent) <= HEX else None


def _value(sent, base):
    value = 0
    for digit in sent:
        value = value * base + "0123456789abcdef".index(digit.lower())
    return value


def naive_level(stored, sent):
    """R26 word by word; None for no level."""
    stored, sent = (text.replace("\0", "").strip() for text in (stored, sent))
    if not sent:
        return None
    if stored == sent:
        return 1
    if naive_fold(stored) == naive_fold(sent):
        return 2
    if dec(sent) is not None and hexadecimal(stored) == dec(sent):
        return 3
    if hexadecimal(sent) is not None and dec(stored) == hexadecimal(sent):
        return 4
    return None


def naive_fold(sent):
    return ("hex", hexadecimal(sent)) if hexadecimal(sent) is not None else ("text", sent.lower())


NUMBERS = st.integers(0, 2**40) | st.integers(0, 2**260)
WRITINGS = st.builds(
    lambda number, form, zeros, upper: "0" * zeros + (format(number, form).upper() if upper else format(number, form)),
    NUMBERS,
    st.sampled_from("dx"),
    st.integers(0, 4),
    st.booleans(),
)
ODD = st.sampled_from(
    ["", "0", "00", "a", "0A", " 12", "12\0", "\0", "١٢", "0x0c", "7f9c-2B1E", "00xyz", "00XYZ", "²", "é", "É"]
)
TEXTS = st.text(st.sampled_from("0123456789abcdefABCDEFxyzXYZ-_ \0é١"), max_size=12)
IDS = WRITINGS | ODD | TEXTS


@st.composite
def pairs(draw):
    """Two ids, often two writings of one number."""
    if draw(st.booleans()):
        return draw(IDS), draw(IDS)
    number = draw(NUMBERS)
    forms = [format(number, "d"), format(number, "x"), format(number, "X")]
    stored, sent = (draw(st.sampled_from(["", "0", "000", " "])) + draw(st.sampled_from(forms)) for _ in range(2))
    return stored, sent


@settings(max_examples=1_500)
@given(pairs())
@example(("812FC7470000001B", "9308878062554710043"))
@example(("0", "000"))
@example(("", ""))
@example(("00", "\0"))
def test_r26_levels_are_those_of_the_naive_oracle(pair):
    stored, sent = pair
    wanted = naive_level(stored, sent)
    result = match(ReceiptIds("g", None, sent, PHONE, ""), [Candidate(1, "g", stored, PHONE, 0, False)], LinkRules())
    assert (result.level if isinstance(result, Match) else None) == wanted


@settings(max_examples=1_500)
@given(pairs())
def test_r26_one_look_up_finds_every_level(pair):
    stored, sent = pair
    if naive_level(stored, sent) is not None:
        assert fold(stored) in candidate_keys(None, sent, LinkRules())
        assert fold(stored) in candidate_keys(sent, "other", LinkRules())
        assert fold(stored) in candidate_keys("other", sent, LinkRules())


@given(pairs())
def test_r28_equal_folds_are_exactly_levels_one_and_two(pair):
    stored, sent = pair
    assume(fold(sent))
    assert (fold(stored) == fold(sent)) is (naive_level(stored, sent) in (1, 2))


@given(pairs(), st.sampled_from(IdBase), st.sampled_from(IdBase))
def test_r26_what_settings_let_match_is_found_by_their_keys_too(pair, submit_id, receipt_id):
    stored, sent = pair
    rules = LinkRules(submit_id=submit_id, receipt_id=receipt_id)
    result = match(ReceiptIds("g", sent, None, PHONE, ""), [Candidate(1, "g", stored, PHONE, 0, False)], rules)
    if isinstance(result, Match):
        assert fold(stored) in candidate_keys(sent, None, rules)


@given(IDS)
def test_folding_twice_changes_nothing(sent):
    assert fold(fold(sent)) == fold(sent)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.uuids(),
        st.sampled_from(["g", "g", "h"]),
        st.sampled_from(["10", "010", "A", "a", "0a", "16", "x", ""]),
        st.sampled_from([PHONE, "46709999999"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=6,
)
SENT = st.sampled_from([None, "", "10", "0A", "a", "16", "X", "0010"])


@settings(max_examples=1_000)
@given(CANDIDATES, SENT, SENT, st.sampled_from([PHONE, "1"]), st.sampled_from([PHONE, "1"]))
def test_r26_r31_r32_r35_choice_is_that_of_the_naive_oracle(candidates, tlv_id, text_id, source, destination):
    receipt = ReceiptIds("g", tlv_id, text_id, source, destination)
    assert match(receipt, candidates, LinkRules()) == naive_match(receipt, candidates)


def naive_match(receipt, candidates):
    own = [candidate for candidate in candidates if candidate.group == receipt.group]
    for sent in (receipt.tlv_id, receipt.text_id):
        for level in (1, 2, 3, 4):
            # A lower level's hit that failed for its address stays out of the higher ones for the same reason.
            hits = [c for c in own if sent and naive_level(c.smsc_message_id, sent) == level]
            if level > 1 or len(hits) > 1:
                hits = [c for c in hits if c.destination in (receipt.source_addr, receipt.destination_addr)]
            if not hits:
                continue
            if len({c.smsc_message_id for c in hits}) > 1:
                return Ambiguous(tuple(hits))
            alive = [c for c in hits if not c.final] or hits
            newest = max(c.submitted_at for c in alive)
            return Match([c for c in alive if c.submitted_at == newest][-1], level)
    return Park()
