"""Whose receipt it is: R26-R35 as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvitto.core.matching import (
    Ambiguous,
    Candidate,
    InDoubt,
    Match,
    Park,
    ReceiptIds,
    adopt,
    candidate_keys,
    fold,
    match,
)
from kvitto.core.receipt import IdBase, LinkRules, Receipt
from kvitto.core.status import Reason, Status

PHONE, SENDER = "46701740611", "12345"
AUTO = LinkRules()


def stored(smsc_message_id, key="m", *, group="g", destination=PHONE, submitted_at=1_000, final=False):
    return Candidate(key, group, smsc_message_id, destination, submitted_at, final)


def find(receipt_id, *candidates, tlv=None, rules=AUTO, group="g", source=PHONE, destination=SENDER):
    return match(ReceiptIds(group, tlv, receipt_id, source, destination), candidates, rules)


def level_of(stored_id, receipt_id, rules=AUTO):
    result = find(receipt_id, stored(stored_id), rules=rules)
    return result.level if isinstance(result, Match) else None


@pytest.mark.parametrize(
    ("sent", "folded"),
    [
        ("", ""),
        ("  ", ""),
        ("0", "0"),
        ("000", "0"),
        ("0913121205", "913121205"),
        ("00B8BE19", "b8be19"),
        ("000024", "24"),
        ("A1B2", "a1b2"),
        ("00xyz", "00xyz"),
        ("7F9C-2B1E", "7f9c-2b1e"),
        (" 12\0", "12"),
        ("1\x002", "12"),
        ("0É", "0é"),
        ("٠١", "٠١"),
    ],
)
def test_r28_fold(sent, folded):
    assert fold(sent) == folded


@pytest.mark.parametrize(
    ("stored_id", "receipt_id", "level"),
    [
        # exact
        ("0123456789", "0123456789", 1),
        ("7f9c2b1e-4f4c", "7f9c2b1e-4f4c", 1),
        ("0", "0", 1),
        ("12", " 12\0", 1),
        ("é", "é", 1),
        # folded
        ("913121205", "0913121205", 2),
        ("0913121205", "913121205", 2),
        ("B8BE19", "00B8BE19", 2),
        ("00b8be19", "B8BE19", 2),
        ("7F9C-2B1E", "7f9c-2b1e", 2),
        ("0", "000", 2),
        # stored hexadecimal, receipt decimal (R29)
        ("812FC7470000001B", "9308878062554710043", 3),
        ("39f99dd5", "0972660181", 3),
        ("00A", "10", 3),
        ("f" * 64, str(16**64 - 1), 3),
        # stored decimal, receipt hexadecimal
        ("9308878062554710043", "812fc7470000001b", 4),
        ("0059113978", "38601fa", 4),
        ("10", "0A", 4),
        (str(16**64 - 1), "F" * 64, 4),
        # a number may be read both ways: the lower level is asked first
        ("10", "10", 1),
        ("10", "16", 3),
        ("16", "10", 4),
        # no match
        ("12345", "54321", None),
        ("24x", "000024x", None),
        ("-12", "12", None),
        ("7f9c2b1e-4f4c", "7f9c2b1e4f4c", None),
        ("12", "١٢", None),
        ("12", "1_2", None),
        ("12", "+12", None),
        ("12", "0x0c", None),
    ],
)
def test_r26_r28_r29_levels(stored_id, receipt_id, level):
    assert level_of(stored_id, receipt_id) == level


def test_a_receipt_with_an_empty_id_matches_nothing():
    for empty in (None, "", " ", "\0"):
        assert find(empty, stored(""), stored("0")) == Park()
        assert candidate_keys(empty, empty, AUTO) == ()


B = IdBase
PROBES = {"folded": ("0A1", "a1", 2), "dec": ("A", "10", 3), "hex": ("10", "A", 4)}


@pytest.mark.parametrize(
    ("submit_id", "receipt_id", "open_levels"),
    [
        (B.AUTO, B.AUTO, {2, 3, 4}),
        (B.HEX, B.DEC, {3}),
        (B.DEC, B.HEX, {4}),
        (B.HEX, B.HEX, {2}),
        (B.DEC, B.DEC, {2}),
        (B.TEXT, B.TEXT, {2}),
        (B.TEXT, B.DEC, {2}),
        (B.HEX, B.AUTO, {2, 3}),
        (B.AUTO, B.HEX, {2, 4}),
        (B.DEC, B.AUTO, {2, 4}),
        (B.AUTO, B.DEC, {2, 3}),
    ],
)
def test_r26_explicit_settings_open_one_level_after_the_first(submit_id, receipt_id, open_levels):
    rules = LinkRules(submit_id=submit_id, receipt_id=receipt_id)
    assert level_of("10", "10", rules) == 1
    for stored_id, sent, level in PROBES.values():
        assert level_of(stored_id, sent, rules) == (level if level in open_levels else None)


def test_r26_the_tlv_id_is_tried_before_the_text_id():
    first, second = stored("38601fa", "tlv"), stored("0059113978", "text")
    result = find("0059113978", second, first, tlv="38601FA")
    assert isinstance(result, Match)
    assert (result.candidate.key, result.level) == ("tlv", 2)


def test_r26_the_text_id_is_tried_when_the_tlv_id_finds_nothing():
    result = find("0059113978", stored("0059113978"), tlv="nothing")
    assert isinstance(result, Match)
    assert result.level == 1


def test_r26_the_first_level_with_a_hit_ends_the_search():
    result = find("10", stored("A", "hex"), stored("010", "folded"), stored("16", "dec"))
    assert isinstance(result, Match)
    assert (result.candidate.key, result.level) == ("folded", 2)


def test_r26_keys_find_the_candidates_of_all_levels():
    assert set(candidate_keys("38601FA", "0059113978", AUTO)) == {"38601fa", "59113978", str(0x59113978)}
    assert candidate_keys("12", "12", AUTO) == ("12", "c", "18")
    assert candidate_keys(None, "7F9C-2b", AUTO) == ("7f9c-2b",)
    assert candidate_keys("A", None, LinkRules(submit_id=B.HEX, receipt_id=B.HEX)) == ("a",)


@pytest.mark.parametrize("length", [255, 256, 5_000, 60_000])
@pytest.mark.parametrize("digit", ["9", "f", "x"])
def test_r29_huge_ids_match_themselves_by_keys_of_bounded_length(length, digit):
    sent = digit * length
    keys = candidate_keys(None, sent, AUTO)
    assert all(len(key) <= 255 for key in keys)
    assert fold(sent) in keys
    assert level_of(sent, sent) == 1
    assert level_of("00" + sent.upper(), sent) == (None if digit == "x" else 2)
    assert fold(sent) != fold(sent + digit)


def test_r29_the_largest_numbers_are_found_in_both_directions():
    number = 16**255 - 1
    assert level_of(str(number), format(number, "X")) == 4
    assert fold(str(number)) in candidate_keys(None, format(number, "x"), AUTO)
    assert level_of(format(10**255 - 1, "x"), str(10**255 - 1)) == 3


def test_r30_any_link_of_the_group_may_bring_the_receipt():
    assert find("7", stored("7"), group="g") == Match(stored("7"), 1)


def test_r31_one_id_in_two_groups_is_two_messages():
    here, there = stored("7", "here"), stored("7", "there", group="other")
    assert find("7", there, here) == Match(here, 1)
    assert find("7", there) == Park()


def test_r32_a_reused_id_goes_to_the_newest_that_is_not_final():
    rows = [
        stored("7", "old", submitted_at=1),
        stored("7", "newer", submitted_at=3),
        stored("7", "done", submitted_at=9, final=True),
        stored("7", "elsewhere", submitted_at=5, destination="46709999999"),
    ]
    for candidates in (rows, rows[::-1]):
        assert find("7", *candidates) == Match(rows[1], 1)


def test_r32_when_all_are_final_the_newest_gets_the_duplicate():
    rows = [stored("7", "a", submitted_at=1, final=True), stored("7", "b", submitted_at=2, final=True)]
    assert find("7", *rows) == Match(rows[1], 1)
    assert find("7", *rows[::-1]) == Match(rows[1], 1)


def test_r32_a_reused_id_at_a_numeric_level_is_no_ambiguity():
    rows = [stored("A", "a", submitted_at=1), stored("A", "b", submitted_at=2)]
    assert find("10", *rows) == Match(rows[1], 3)


def test_r32_parts_that_all_got_one_id_take_receipts_one_after_the_other():
    parts = [stored("7", number) for number in (1, 2, 3)]
    taken = []
    for _ in parts:
        result = find("7", *parts)
        assert isinstance(result, Match)
        taken.append(result.candidate.key)
        parts = [part._replace(final=True) if part == result.candidate else part for part in parts]
    assert set(taken) == {1, 2, 3}


def test_r35_a_single_exact_hit_needs_no_address():
    assert find("7", stored("7"), source="", destination="") == Match(stored("7"), 1)


@pytest.mark.parametrize(
    ("source", "destination", "agree"),
    [
        (PHONE, SENDER, True),
        (SENDER, PHONE, True),
        ("1740611", SENDER, True),
        ("0701740611", "", True),
        ("+46 70-174 06 11", SENDER, True),
        ("740611", SENDER, False),
        ("46701740612", SENDER, False),
        ("", "", False),
    ],
)
@pytest.mark.parametrize(("stored_id", "sent", "level"), PROBES.values())
def test_r35_the_other_levels_need_the_last_seven_digits(stored_id, sent, level, source, destination, agree):
    result = find(sent, stored(stored_id), source=source, destination=destination)
    assert result == (Match(stored(stored_id), level) if agree else Park())


def test_r35_several_exact_hits_need_the_address_too():
    rows = [stored("7", "a", destination="46701111111"), stored("7", "b", destination="46702222222")]
    assert find("7", *rows, source="46702222222") == Match(rows[1], 1)
    assert find("7", *rows, source="46703333333") == Park()


def test_r35_different_ids_that_fit_alike_are_ambiguous():
    rows = (stored("0a1", "a"), stored("A1", "b"))
    assert find("a1", *rows) == Ambiguous(rows)
    assert find("A1", *rows) == Match(rows[1], 1)


def test_r35_an_address_ends_what_would_be_ambiguous():
    rows = (stored("0a1", "a", destination="46701111111"), stored("A1", "b"))
    assert find("a1", *rows) == Match(rows[1], 2)


# --- adoption --------------------------------------------------------------------------------------------------------

MINUTE = 60_000
T = 1_000 * MINUTE


def receipt(submit_at=None, source=PHONE, destination=SENDER):
    nothing = (None,) * 7
    return Receipt(
        "7", "7", None, Status.DELIVERED, Reason.DELIVERED, True, "DELIVRD", None, None, None, submit_at, *nothing[:4],
        b"", source, destination, False,
    )  # fmt: skip


def doubt(key="d", *, group="g", destination=PHONE, submitted_at=T, part_no=1):
    return InDoubt(f"{key}/{part_no}", group, destination, submitted_at, key, part_no)


@pytest.mark.parametrize("submit_at", [None, T, T - 5 * MINUTE, T + 5 * MINUTE])
def test_r33_a_receipt_is_adopted_by_the_one_part_in_doubt_that_fits(submit_at):
    others = [doubt("other phone", destination="46709999999"), doubt("other group", group="x")]
    assert adopt(receipt(submit_at), "g", T + MINUTE, [*others, doubt()], AUTO) == doubt()


@pytest.mark.parametrize("submit_at", [T - 5 * MINUTE - 1, T + 5 * MINUTE + 1, 0])
def test_r33_a_submit_date_too_far_away_does_not_fit(submit_at):
    assert adopt(receipt(submit_at), "g", T + MINUTE, [doubt()], AUTO) is None


def test_r33_the_first_part_in_doubt_of_one_text_adopts():
    parts = [doubt(part_no=3), doubt(part_no=2), doubt("other phone", destination="46709999999")]
    assert adopt(receipt(), "g", T, parts, AUTO) == doubt(part_no=2)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.sampled_from([PHONE, "46709999999"])), max_size=8)
)
def test_r33_parts_of_two_messages_never_mix(rows):
    parts = [doubt(key, part_no=part_no, destination=phone) for key, part_no, phone in rows]
    fitting = [part for part in parts if part.destination == PHONE]
    found = adopt(receipt(), "g", T, parts, AUTO)
    if len({part.message for part in fitting}) == 1:
        assert found == min(fitting, key=lambda part: part.part_no)
    else:
        assert found is None


def test_r33_parts_of_two_messages_that_fit_adopt_nothing():
    assert adopt(receipt(), "g", T + MINUTE, [doubt("a"), doubt("b")], AUTO) is None
    assert adopt(
        receipt(T), "g", T + 90 * MINUTE, [doubt("a"), doubt("b", submitted_at=T + 30 * MINUTE)], AUTO
    ) == doubt("a")


def test_r33_addresses_may_be_swapped_or_not():
    assert adopt(receipt(source=SENDER, destination=PHONE), "g", T, [doubt()], AUTO) == doubt()
    assert adopt(receipt(source=SENDER, destination=""), "g", T, [doubt()], AUTO) is None


def test_r33_a_part_submitted_after_the_receipt_came_does_not_fit():
    assert adopt(receipt(), "g", T - 1, [doubt()], AUTO) is None
    assert adopt(receipt(), "g", T, [doubt()], AUTO) == doubt()


def test_r33_the_distance_is_the_links_setting():
    assert adopt(receipt(T - MINUTE), "g", T, [doubt()], LinkRules(adopt_within_s=59)) is None
