"""Any dialect reads any message: what each shows is what the table of docs/status.md 3 says, whoever sent it."""

import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from kvitto.core.ids import message_ids
from kvitto.core.model import ContentKind, MessageView
from kvitto.core.status import FINAL, NO_ERROR, REASONS_OF, ErrorSource, Note, Reason, Status, StatusError
from tests.support.dialects import DIALECTS, NOW, Face, account

ROOT = Path(__file__).parents[2]
BATCH_ID = "01JB2K7M9QX4T6V8W0Y2Z40000"
MESSAGE_ID = message_ids(BATCH_ID, 1)[0]
NUMBER = "46701740611"
BY_NAME = {face.name: face for face in DIALECTS}
IDS = [face.name for face in DIALECTS]


# --- the table ---


class Row(NamedTuple):
    """One line of the table: a status with one of its reasons, and the cell of each column."""

    status: Status
    reason: Reason
    cells: dict[str, str]
    told: bool  # the line's own words say that the receipt brought a code


def table() -> list[Row]:
    rows, header = [], []
    section = (ROOT / "docs" / "status.md").read_text().split("\n## 3. ")[1].split("\n## 4. ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| What happened"):
            header = cells
        if not line.startswith("|") or len(cells) != 6 or not re.match(r"[A-Z]+ / `", cells[1]):
            continue
        status, reasons = cells[1].split(" / ", 1)
        for reason in re.findall(r"`(\w+)`", reasons):
            told = "with a code" in cells[0]
            rows.append(Row(Status(status), Reason(reason), dict(zip(header, cells, strict=True)), told))
    return rows


TABLE = table()


def test_the_table_has_every_pair_of_status_and_reason():
    assert {(row.status, row.reason) for row in TABLE} == {(s, r) for s in Status for r in REASONS_OF[s]}
    assert {"Sinch", "9bits", "Infobip status", "Infobip error"} <= set(TABLE[0].cells)


# --- what the cells mean, said once more, independently of the dialects ---

ERRORS = {
    "none": NO_ERROR,
    "err 027": StatusError(ErrorSource.NETWORK, "027"),
    "err 1375": StatusError(ErrorSource.NETWORK, "1375"),
    "err 410": StatusError(ErrorSource.NETWORK, "410"),
    "err 21B": StatusError(ErrorSource.NETWORK, "21B"),
    "err 000": StatusError(ErrorSource.NETWORK, "000"),
    "tlv 3/6": StatusError(ErrorSource.NETWORK, None, 3, 6),
    "tlv 8/6": StatusError(ErrorSource.NETWORK, None, 8, 6),
    "tlv 1/6": StatusError(ErrorSource.NETWORK, None, 1, 6),
    "err 000 tlv 3/1": StatusError(ErrorSource.NETWORK, "000", 3, 1),
    "err 099 tlv 3/27": StatusError(ErrorSource.NETWORK, "099", 3, 27),
    "submit 0x0B": StatusError(ErrorSource.SUBMIT, command_status=0x0B),
    "submit 0x45": StatusError(ErrorSource.SUBMIT, command_status=0x45),
    "submit 0x66": StatusError(ErrorSource.SUBMIT, command_status=0x66),
}
# docs/status.md 4 and 5, for the errors above: Sinch, 9bits, Infobip.
NET = {
    "err 027": ("27", "027", None),
    "err 1375": ("1375", "1375", None),
    "err 410": ("0", "410", None),
    "err 21B": ("0", "21B", None),
    "tlv 3/6": ("6", "006", "1 / 6 EC_ABSENT_SUBSCRIBER_SM / false"),
    "tlv 8/6": ("6", "006", None),
    "err 000 tlv 3/1": ("1", "001", "1 / 1 EC_UNKNOWN_SUBSCRIBER / true"),
    "err 099 tlv 3/27": ("99", "099", "1 / 27 EC_ABSENT_SUBSCRIBER / false"),
}
SUB = {
    "submit 0x0B": ("300", "011", "2 / 351 EC_INVALID_DESTINATION_ADDRESS / false"),
    "submit 0x45": ("11", "069", "3 / 4102 EC_NOTSUBMITTEDTOSMPPCHANNEL / true"),
    "submit 0x66": ("11", "102", "3 / 561 EC_CONTENT_BLOCKED_BY_OPERATOR / true"),
}
NO_INFOBIP_ERROR = "0 / 0 NO_ERROR / false"


def fits(row: Row, error: str) -> bool:
    """Whether this line speaks of a message with this error."""
    if row.reason is Reason.SUBMIT_REFUSED:
        return error in SUB
    if row.reason is Reason.UNDELIVERABLE:
        return error not in SUB and row.told == (NET.get(error) is not None)
    return error not in SUB


def expected(row: Row, column: str, error: str) -> str:
    cell = row.cells[column].split(";")[0].split(" (")[0].strip()
    if column == "Sinch":
        code = NET[error][0] if error in NET else "0"
        return cell.replace("NET or 0", code).replace("NET", code).replace("SUB", SUB.get(error, ("",))[0])
    if column == "9bits":
        cell = re.sub(r"code or (\d+)", lambda found: NET[error][1] if error in NET else found[1], cell)
        cell = re.sub(r"/ code$", lambda _: "/ " + NET[error][1], cell)
        return cell.replace("the status in decimal", SUB.get(error, ("", ""))[1])
    if column == "Infobip error":
        return expected_error(row, cell, error)
    return cell


UNDELIVERABLE_ELSE = "1 / 255 EC_UNKNOWN_ERROR / false"


def expected_error(row: Row, cell: str, error: str) -> str:
    if cell == "SUB":
        return SUB[error][2]
    if cell.startswith("NET"):
        net = NET.get(error, (None, None, None))[2]
        if net is not None:
            return net
        otherwise = cell.partition("else ")[2]
        if otherwise.startswith("as in the next row"):
            return UNDELIVERABLE_ELSE
        return NO_INFOBIP_ERROR if otherwise == "NO_ERROR" else otherwise
    return NO_INFOBIP_ERROR if cell == "NO_ERROR" else cell


# --- the messages ---


def view_of(sender: Face, status: Status, reason: Reason, error: StatusError = NO_ERROR, **more) -> MessageView:
    """A message as a store shows it that was sent in this dialect."""
    submission = sender.submit()
    known = MessageView(
        id=MESSAGE_ID,
        batch_id=BATCH_ID,
        account_id="a1",
        recipient=submission.recipients[0],
        status=status,
        reason=reason,
        since_at=NOW + 7_000,
        done_at=NOW + 6_000 if status in FINAL else None,
        error=error,
        parts=1,
        notes=Note.NONE,
        created_at=NOW,
        client_reference=submission.client_reference,
        kind=ContentKind.TEXT,
        max_parts=submission.content.max_parts,
        dialect=sender.name,
        sender=submission.sender,
        sent_at=NOW,
        smsc_message_id="0A1B2C3D",
        link="main",
        text=submission.content.text,
        extra=submission.extra,
    )
    return known._replace(**more)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.status}-{row.reason}-{row.told}")
@pytest.mark.parametrize("sent", DIALECTS, ids=IDS)
@pytest.mark.parametrize("read", DIALECTS, ids=IDS)
def test_every_row_is_read_as_the_table_says_whoever_sent_it(sent, read, row):
    asked = 0
    for name, error in ERRORS.items():
        if not fits(row, name):
            continue
        asked += 1
        view = view_of(sent, row.status, row.reason, error)
        wanted = tuple(expected(row, column, name) for column in read.columns)
        for shown in (read.read(view), read.post(view)):
            assert shown.words == wanted, name
            assert (shown.batch_id, shown.recipient) == (BATCH_ID, NUMBER), "under the same ids in every view"
            assert shown.message_id in (MESSAGE_ID, None)
    assert asked


# --- docs/status.md 6 ------------------------------------------------------------------------------------------------

PAIRS = [(status, reason) for status in Status for reason in REASONS_OF[status]]


def words(face: Face, status: Status, reason: Reason, error: StatusError = NO_ERROR) -> tuple[str, ...]:
    return face.read(view_of(face, status, reason, error)).words


@pytest.mark.parametrize("face", DIALECTS, ids=IDS)
def test_p1_total_every_pair_has_an_output_with_any_error(face):
    for (status, reason), error in product(PAIRS, ERRORS.values()):
        assert all(words(face, status, reason, error))


def test_p2_sinchs_statuses_are_ours_but_for_one():
    names = {pair: words(BY_NAME["sinch"], *pair)[0].split(" / ")[0] for pair in PAIRS}
    for (status, reason), name in names.items():
        wanted = "Aborted" if reason is Reason.VALIDITY_LOCAL else str(status).title()
        assert name == wanted
    assert words(BY_NAME["sinch"], Status.EXPIRED, Reason.VALIDITY_LOCAL)[0] == "Aborted / 406"


def test_p2_infobips_pairs_tell_final_rows_apart():
    pairs: dict[tuple[str, ...], tuple[Status, Reason]] = {}
    for status, reason in PAIRS:
        if status in FINAL:
            shown = words(BY_NAME["infobip"], status, reason)
            assert shown not in pairs, (status, reason, pairs[shown])
            pairs[shown] = (status, reason)


def test_p2_nine_bits_folds_three_statuses_and_keeps_them_apart_by_code():
    face = BY_NAME["ninebits"]
    folded = {str(status) for status, reason in PAIRS if words(face, status, reason)[0].startswith("Failed")}
    assert folded == {"FAILED", "DELETED", "CANCELLED", "ABORTED"}
    codes = {
        status: {words(face, status, reason)[0].split(" / ")[2] for reason in REASONS_OF[status]}
        for status in (Status.DELETED, Status.CANCELLED, Status.ABORTED)
    }
    assert codes == {
        Status.DELETED: {"900"},
        Status.CANCELLED: {"906"},
        Status.ABORTED: {"904", "905", "907"},
    }


@pytest.mark.parametrize(("status", "reason"), PAIRS)
def test_p3_the_end_is_the_end_everywhere(status, reason):
    sinch = words(BY_NAME["sinch"], status, reason)[0].split(" / ")[0]
    ninebits = words(BY_NAME["ninebits"], status, reason)[0].split(" / ")[0]
    infobip = words(BY_NAME["infobip"], status, reason)[0]
    final = status in FINAL
    assert final == (sinch not in ("Queued", "Dispatched"))
    assert final == (ninebits not in ("Queued", "Dispatched"))
    assert final == (not infobip.startswith(("0 ", "1 ")) and " / 2 " not in infobip)


DELIVERED_WORDS = {
    "sinch": ("Delivered / 0",),
    "ninebits": ("Delivered / 001 / 000",),
    "infobip": ("3 DELIVERED / 5 DELIVERED_TO_HANDSET", NO_INFOBIP_ERROR),
}


@pytest.mark.parametrize("face", DIALECTS, ids=IDS)
def test_p4_delivered_means_delivered_and_nothing_else_does(face):
    for (status, reason), error in product(PAIRS, ERRORS.values()):
        shown = words(face, status, reason, error)
        delivered = status is Status.DELIVERED
        assert (shown == DELIVERED_WORDS[face.name]) == delivered
        assert (shown[0] == DELIVERED_WORDS[face.name][0]) == delivered


# --- what is told, in whose words (docs/dialects/README.md) ---


def told_table() -> dict[tuple[str, str], dict[str, str]]:
    """(sender, wish) -> teller -> what is told."""
    text = (ROOT / "docs" / "dialects" / "README.md").read_text()
    section = text.split("## Which callbacks")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) == 5 and cells[0] in BY_NAME:
            found[cells[0], cells[1].strip("`")] = dict(zip(("sinch", "ninebits", "infobip"), cells[2:], strict=True))
    return found


TOLD_WORDS = {
    "none": "nothing",
    "batch_summary": "the batch's end",
    "batch_full": "the batch's end",
    "changes": "each change",
    "final": "each end",
    "attempts": "each change, each attempt",
}


@pytest.mark.parametrize("teller", DIALECTS, ids=IDS)
@pytest.mark.parametrize(
    ("sender", "wish"),
    [(face, wish) for face in DIALECTS for wish in face.bodies],
    ids=lambda one: getattr(one, "name", one),
)
def test_what_a_batch_asked_for_is_told_in_any_dialect_as_the_table_says(sender, wish, teller):
    wanted = sender.submit(wish).notify
    told = TOLD_WORDS[teller.dialect.notify_of(wanted, account())]
    assert told == told_table()[sender.name, wish][teller.name]
