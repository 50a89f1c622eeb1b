"""Statuses and errors at Infobip: the vendor's lists, and docs/status.md 3 to 5 row by row."""

import re
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.status import FINAL, NO_ERROR, REASONS_OF, ErrorSource, Reason, Status, StatusError
from kvitto.dialects.infobip import gsm_errors, statuses
from kvitto.dialects.infobip.statuses import MAP_ERRORS, ROWS, LinkErrors, error_of, status_of

DOCS = Path(__file__).parents[2] / "docs"
PAIRS = [(status, reason) for status, reasons in REASONS_OF.items() for reason in reasons]
NETWORK = ErrorSource.NETWORK


def documented(section, stop):
    """The lines of the tables in a section of the dialect's page."""
    page = (DOCS / "dialects" / "infobip.md").read_text()
    return page.split(f"\n## {section}. ")[1].split(f"\n## {stop}. ")[0]


def test_i9_every_row_of_the_page_is_in_the_table_and_nothing_else():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \| ([^|]*?) \|", documented(9, 10), re.MULTILINE)
    assert [(row.group, row.id, row.name, row.description) for row in statuses.STATUSES] == [
        (int(group), int(number), name, text) for group, number, name, text in rows
    ]
    assert len(rows) == 37


def test_i10_every_row_of_the_page_is_in_the_table_and_nothing_else():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \| (yes|no) \| ([^|]*?) \|", documented(10, 11), re.MULTILINE)
    assert [(row.group, row.id, row.name, row.permanent, row.description) for row in gsm_errors.ROWS] == [
        (int(group), int(number), name, permanent == "yes", text) for group, number, name, permanent, text in rows
    ]
    assert len(rows) == 148


def test_i2_group_names_are_those_that_clients_know():
    assert set(statuses.GROUPS.values()) == {
        "ACCEPTED",
        "PENDING",
        "UNDELIVERABLE",
        "DELIVERED",
        "EXPIRED",
        "REJECTED",
    }
    assert set(gsm_errors.GROUPS.values()) == {"OK", "HANDSET_ERRORS", "USER_ERRORS", "OPERATOR_ERRORS"}
    assert {row.group for row in statuses.STATUSES} == set(statuses.GROUPS)
    assert {row.group for row in gsm_errors.ROWS} == set(gsm_errors.GROUPS)


def test_i10_4102_of_two_groups_is_the_one_of_2015():
    found = gsm_errors.by_id(4102)
    assert found is not None
    assert (found.group, [row.group for row in gsm_errors.ROWS if row.id == 4102]) == (3, [2, 3])
    assert gsm_errors.by_id(99_999) is None


def test_status_3_every_pair_has_a_row():
    assert set(ROWS) == set(PAIRS)


def infobip_columns():
    """(reason word, status cell, error cell) of docs/status.md 3."""
    section = (DOCS / "status.md").read_text().split("\n## 3. ")[1].split("\n## 4. ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 6 and "/" in cells[1] and "`" in cells[1]:
            for word in re.findall(r"`(\w+)`", cells[1]):
                yield word, cells[1].split("/")[0].strip().strip("`"), cells[4], cells[5]


COLUMNS = list(infobip_columns())


def test_status_3_the_page_names_every_reason():
    assert {word for word, *_ in COLUMNS} >= {reason.value for reason in Reason}


@pytest.mark.parametrize(("word", "status", "shown", "error"), COLUMNS)
def test_status_3_every_row_of_the_page_holds(word, status, shown, error):
    pair = Status(status), Reason(word)
    found, row = status_of(*pair), ROWS[pair]
    read = re.match(r"(\d) \w+ / (\d+) (\w+)", shown)
    assert read is not None
    group, number, name = read.groups()
    assert (found.group, found.id, found.name) == (int(group), int(number), name)
    if word != "undeliverable":  # two lines of the page, with a code and without, are one row here
        assert row.net == error.startswith("NET")
    assert row.submit == error.startswith("SUB")
    if "NO_ERROR" in error or row.submit:
        assert row.error == 0
    named = re.search(r"(\d) / (\d+) (\w+) / (true|false)", error)
    assert named is not None or "NO_ERROR" in error or row.submit or "next row" in error
    if named is not None:
        told = error_of(*pair, NO_ERROR)
        assert (told.group, told.id, told.name, told.permanent) == (
            int(named[1]),
            int(named[2]),
            named[3],
            named[4] == "true",
        )


def test_status_6_only_delivered_is_delivered_to_handset_without_error():
    for pair in PAIRS:
        shown = (status_of(*pair).id, error_of(*pair, NO_ERROR).id)
        assert (shown == (5, 0)) == (pair[0] is Status.DELIVERED)


def test_status_6_final_agrees_with_the_groups():
    for status, reason in PAIRS:
        found = status_of(status, reason)
        assert (status in FINAL) == (found.group not in (0, 1) and found.id != 2)


def test_status_6_final_rows_are_told_apart():
    shown: dict[Any, Any] = {}
    for status, reason in PAIRS:
        row = ROWS[status, reason]
        if status in FINAL and not row.net:
            shown.setdefault((row.status, error_of(status, reason, NO_ERROR).id), []).append(reason)
    assert all(len(reasons) == 1 for reasons in shown.values()), shown


FAILED = (Status.FAILED, Reason.UNDELIVERABLE)


@pytest.mark.parametrize(
    ("error", "link", "expected"),
    [
        # T of type 3 is a MAP error; it wins over E
        (StatusError(NETWORK, net_type=3, net_code=27), None, 27),
        (StatusError(NETWORK, text="001", net_type=3, net_code=6), None, 6),
        (StatusError(NETWORK, net_type=3, net_code=300), None, 255),
        # E is a MAP error only where the link says so
        (StatusError(NETWORK, text="027"), None, 255),
        (StatusError(NETWORK, text="027"), LinkErrors({}, True), 27),
        (StatusError(NETWORK, text="300"), LinkErrors({}, True), 255),
        (StatusError(NETWORK, text="0x1"), LinkErrors({}, True), 255),
        (StatusError(NETWORK, text="000", net_type=8, net_code=11), LinkErrors({}, True), 11),
        (StatusError(NETWORK, text="000", net_type=1, net_code=11), LinkErrors({}, True), 255),
        # the link's table first, for any number
        (StatusError(NETWORK, text="300"), LinkErrors({300: 2050}), 2050),
        (StatusError(NETWORK, net_type=3, net_code=27), LinkErrors({27: 6}), 6),
        (StatusError(NETWORK, text="300"), LinkErrors({300: 77_777}), 255),
        (StatusError(NETWORK, net_type=None, net_code=5), LinkErrors({5: 1}), 1),
        (StatusError(NETWORK, text="9" * 400), LinkErrors({}, True), 255),
        (NO_ERROR, LinkErrors({0: 6}, True), 255),
    ],
)
def test_status_4_the_network_rule(error, link, expected):
    assert error_of(*FAILED, error, link).id == expected


@pytest.mark.parametrize("number", sorted(MAP_ERRORS))
def test_status_4_map_errors_have_the_groups_of_the_page(number):
    section = (DOCS / "status.md").read_text().split("\n## 4. ")[1].split("\n## 5. ")[0]
    rows = dict(re.findall(r"^\| (\d+) \| (\w+ \| \d \| \w+) \|", section, re.MULTILINE))
    found = error_of(*FAILED, StatusError(NETWORK, net_type=3, net_code=number))
    assert rows[str(number)] == f"{found.name} | {found.group} | {str(found.permanent).lower()}"
    assert len(rows) == len(MAP_ERRORS)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x01, 355),
        (0x0A, 368),
        (0x48, 368),
        (0x49, 368),
        (0x0B, 351),
        (0x33, 351),
        (0x50, 351),
        (0x51, 351),
        (0x43, 4096),
        (0xC0, 4096),
        (0xC4, 4096),
        (0x02, 4096),
        (0x03, 4096),
        (0x62, 4101),
        (0x61, 4101),
        (0x66, 561),
        (0x101, 561),
        (0x103, 561),
        (0x100, 592),
        (0x45, 4102),
        (0x999, 4102),
        (None, 4102),
    ],
)
def test_status_5_the_submit_rule(status, expected):
    error = StatusError(ErrorSource.SUBMIT, command_status=status)
    assert error_of(Status.REJECTED, Reason.SUBMIT_REFUSED, error).id == expected
