"""Delivery reports at Sinch: the three reads, their filters, the table of statuses (docs/dialects/sinch.md 8, 9)."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.model import BatchReport, ContentKind, MessagePage, StatusCount
from kvitto.core.operations import FetchRecipientReport
from kvitto.core.status import FINAL, NO_ERROR, REASONS_OF, ErrorSource, Reason, Status, StatusError
from kvitto.dialects.sinch import responses
from kvitto.dialects.sinch.statuses import ROWS, STATUS_NAMES, SUBMIT_CODES, status_and_code
from tests.support.sinch import BATCH_ID, NOW, at, message, read, refusal, shown

EXAMPLES = Path(__file__).parent / "sinch_examples"
FORMAT = "syntax_invalid_parameter_format"
TARGET = f"/batches/{BATCH_ID}/delivery_report"
DAY_MS = 86_400_000


def network(text=None, net_type=None, net_code=None):
    return StatusError(ErrorSource.NETWORK, text, net_type, net_code)


def count(status, reason, number, recipients=(), error=NO_ERROR):
    return StatusCount(status, reason, error, number, tuple(recipients))


def report(*counts, **fields):
    known: dict[str, Any] = {
        "batch_id": BATCH_ID,
        "account_id": "a1",
        "message_count": 3,
        "client_reference": None,
        "kind": ContentKind.TEXT,
        "visible": True,
        "counts": counts,
    }
    return BatchReport(**(known | fields))


def written(query, given):
    return shown(responses.write_batch_report(read("GET", f"{TARGET}?{query}"), given))


# --- 8.1


def test_s8_1_the_example_of_the_docs():
    given = report(
        count(Status.DISPATCHED, Reason.ACCEPTED, 1, ["46701740613"]),
        count(Status.DELIVERED, Reason.DELIVERED, 2, ["46701740612", "46701740611"]),
        client_reference="order-118",
    )
    assert written("type=full", given) == json.loads((EXAMPLES / "delivery_report_full.json").read_text())


def test_s8_1_summary_is_the_default_and_has_no_recipients():
    assert read("GET", TARGET).recipients is False
    given = report(count(Status.DELIVERED, Reason.DELIVERED, 3))
    assert written("", given)["statuses"] == [{"code": 0, "count": 3, "status": "Delivered"}]


def test_s8_1_an_unknown_type_is_404():
    status, _, text = refusal("GET", f"{TARGET}?type=fuller")
    assert (status, text) == (404, "type: summary or full")


def test_s8_1_the_first_final_status_is_what_counts():
    assert read("GET", TARGET).first_final is True


def test_s8_1_records_that_look_alike_share_a_bucket():
    given = report(
        count(Status.DISPATCHED, Reason.ACCEPTED, 1, ["46701740613"]),
        count(Status.DISPATCHED, Reason.ENROUTE, 2, ["46701740612", "46701740611"]),
        count(Status.FAILED, Reason.UNDELIVERABLE, 1, ["46701740614"], network("027")),
        count(Status.FAILED, Reason.SKIPPED, 1, ["46701740615"], network("27")),
        count(Status.FAILED, Reason.UNDELIVERABLE, 1, ["46701740616"], network("28")),
    )
    assert written("type=full", given)["statuses"] == [
        {"code": 27, "count": 2, "recipients": ["46701740614", "46701740615"], "status": "Failed"},
        {"code": 28, "count": 1, "recipients": ["46701740616"], "status": "Failed"},
        {"code": 401, "count": 3, "recipients": ["46701740611", "46701740612", "46701740613"], "status": "Dispatched"},
    ]


MIXED = report(
    count(Status.DELIVERED, Reason.DELIVERED, 2),
    count(Status.FAILED, Reason.UNDELIVERABLE, 1),
    count(Status.QUEUED, Reason.QUEUED, 4),
    message_count=7,
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=DELIVERED", ["Delivered"]),
        ("status=Queued,delivered", ["Delivered", "Queued"]),
        ("status=QUEUED%2CDELIVERED", ["Delivered", "Queued"]),
        ("code=0", ["Delivered", "Failed"]),
        ("code=0%2C400", ["Delivered", "Failed", "Queued"]),
        ("code=0&status=Failed", ["Failed"]),
        ("code=400&status=Failed", []),
        ("status=&code=", ["Delivered", "Failed", "Queued"]),
        ("status=Deleted&code=0,11,400", []),
        ("code=-1", []),
    ],
)
def test_s8_1_filters_choose_buckets_and_change_no_total(query, found):
    shown_report = written(query, MIXED)
    assert [bucket["status"] for bucket in shown_report["statuses"]] == found
    assert shown_report["total_message_count"] == 7


@pytest.mark.parametrize("query", ["status=Gone", "code=x", "code=1.5", "code=99999999999999999999"])
def test_s8_1_bad_filters_are_refused(query):
    status, code, text = refusal("GET", f"{TARGET}?{query}")
    assert (status, code, text.split(":")[0]) == (400, FORMAT, query.split("=")[0])


def test_s8_1_a_batch_that_waits_has_no_messages_yet():
    given = report(count(Status.QUEUED, Reason.SCHEDULED, 3), visible=False)
    shown_report = written("type=full", given)
    assert (shown_report["statuses"], shown_report["total_message_count"]) == ([], 0)


def test_s8_1_media_reports_have_their_own_type():
    assert written("", report(kind=ContentKind.MEDIA))["type"] == "delivery_report_mms"
    assert written("", report(kind=ContentKind.BINARY))["type"] == "delivery_report_sms"


# --- 8.2


@pytest.mark.parametrize("number", ["46701740611", "+46701740611", "%2B46701740611", "0046701740611"])
def test_s8_2_the_number_arrives_in_three_ways(number):
    assert read("GET", f"{TARGET}/{number}") == FetchRecipientReport(
        batch_id=BATCH_ID, recipient="46701740611", first_final=True
    )


@pytest.mark.parametrize("number", ["eva", "123", "%00", "46701740611x"])
def test_s8_2_what_is_no_number_is_in_no_batch(number):
    assert refusal("GET", f"{TARGET}/{number}") == (404, "", "")


def test_s8_2_the_example_of_the_docs():
    view = message(Status.DELIVERED, Reason.DELIVERED, done_at=at("2031-03-09T05:06:00Z"), client_reference="order-118")
    answer = responses.write_recipient_report(None, view)
    assert answer.status == 200
    assert shown(answer) == json.loads((EXAMPLES / "recipient_delivery_report.json").read_text())


def test_s8_2_operator_status_at_only_when_the_receipt_carried_a_time():
    assert "operator_status_at" not in shown(
        responses.write_recipient_report(None, message(Status.DELIVERED, Reason.DELIVERED))
    )


def test_s8_2_number_of_message_parts_only_when_a_limit_applied():
    view = message(Status.ABORTED, Reason.TOO_MANY_PARTS, max_parts=2, parts=3)
    shown_report = shown(responses.write_recipient_report(None, view))
    assert (shown_report["number_of_message_parts"], shown_report["code"]) == (3, 411)
    assert "number_of_message_parts" not in shown(
        responses.write_recipient_report(None, message(Status.DELIVERED, Reason.DELIVERED, parts=3))
    )


def test_s8_2_media():
    view = message(Status.ABORTED, Reason.NO_ROUTE, kind=ContentKind.MEDIA)
    assert shown(responses.write_recipient_report(None, view))["type"] == "recipient_delivery_report_mms"


# --- 8.3


def test_s8_3_the_example_of_the_docs():
    view = message(
        Status.EXPIRED, Reason.VALIDITY_LOCAL, recipient="46701740613", since_at=at("2031-03-09T05:06:02.003Z")
    )
    answer = responses.write_reports(read("GET", "/delivery_reports?page=3&page_size=1"), MessagePage(7, [view]))
    assert shown(answer) == json.loads((EXAMPLES / "delivery_reports_page.json").read_text())


def test_s8_3_defaults_and_filters():
    operation = read("GET", "/delivery_reports")
    assert (operation.page, operation.page_size, operation.filter.from_at) == (0, 30, NOW - DAY_MS)
    assert (operation.filter.shows, operation.filter.first_final) == (None, True)
    operation = read(
        "GET",
        "/delivery_reports?page=1&page_size=2&client_reference=r&status=DELIVERED&code=0"
        "&start_date=2031-01-01&end_date=2031-03-09T05:06:07Z",
    )
    assert (operation.page, operation.page_size, operation.filter.client_reference) == (1, 2, "r")
    assert operation.filter.from_at == at("2031-01-01T00:00:00Z")
    assert operation.filter.to_at == at("2031-03-09T05:06:07Z")
    assert operation.filter.shows(Status.DELIVERED, Reason.DELIVERED, NO_ERROR)
    assert not operation.filter.shows(Status.FAILED, Reason.UNDELIVERABLE, NO_ERROR)


def test_s8_3_a_page_past_the_end_has_size_0():
    answer = responses.write_reports(read("GET", "/delivery_reports?page=9"), MessagePage(7, []))
    assert shown(answer) == {"count": 7, "page": 9, "page_size": 0, "delivery_reports": []}


@pytest.mark.parametrize("query", ["page_size=0", "page_size=101", "page=-1", "status=Gone", "start_date=x"])
def test_s8_3_bad_queries_are_refused(query):
    assert refusal("GET", f"/delivery_reports?{query}")[0] == 400


# --- 9 and docs/status.md 3 to 6


def pairs():
    return [(status, reason) for status, reasons in REASONS_OF.items() for reason in reasons]


def test_s9_the_table_is_total():
    assert set(ROWS) == set(pairs())


def test_s9_the_ten_statuses():
    assert set(STATUS_NAMES) == {
        "Queued",
        "Dispatched",
        "Aborted",
        "Cancelled",
        "Rejected",
        "Deleted",
        "Delivered",
        "Failed",
        "Expired",
        "Unknown",
    }


@pytest.mark.parametrize(("status", "reason"), pairs())
def test_s9_statuses_are_ours_but_for_our_own_expiry(status, reason):
    name, _ = status_and_code(status, reason, NO_ERROR)
    assert name == ("Aborted" if reason is Reason.VALIDITY_LOCAL else status.title())
    assert (name in {"Queued", "Dispatched"}) == (status not in FINAL)


ERRORS = [
    NO_ERROR,
    network("000"),
    network("001"),
    network("401"),
    network("ABC"),
    network("9" * 30),
    network(None, 3, 27),
    network("0", None, 0),
    StatusError(ErrorSource.SUBMIT, command_status=0x0B),
    StatusError(ErrorSource.LOCAL),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("status", "reason"), pairs())
def test_s9_only_delivered_is_delivered_0_and_every_code_is_an_integer(status, reason, error):
    name, code = status_and_code(status, reason, error)
    assert isinstance(code, int)
    assert ((name, code) == ("Delivered", 0)) == (status is Status.DELIVERED)
    own = {400, 401} | set(range(402, 419))
    assert (code in own) == (isinstance(ROWS[status, reason][1], int) and code != 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NO_ERROR, 0),
        (network("000"), 0),
        (network("027"), 27),
        (network("399"), 399),
        (network("400"), 0),
        (network("418"), 0),
        (network("419"), 419),
        (network("954"), 954),
        (network("0x1B"), 0),
        (network("٢٧"), 0),
        (network("000", 3, 27), 27),
        (network("011", 3, 27), 11),
        (network("ABC", None, 27), 27),
        (network(None, 8, 34), 34),
        (network(None, 7, 34), 34),
        (network(None, 1, 34), 0),
        (network(None, 3, 401), 0),
        (network(None, 3, 0), 0),
        (network("1" * 10), 0),
    ],
)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.FAILED, Reason.UNDELIVERABLE),
        (Status.REJECTED, Reason.REJECTED_SMSC),
        (Status.EXPIRED, Reason.VALIDITY_SMSC),
    ],
)
def test_net_the_receipts_own_number_wins_and_sinchs_range_is_kept_free(status, reason, error, code):
    assert status_and_code(status, reason, error)[1] == code


@pytest.mark.parametrize(
    ("command_status", "code"),
    [(0x01, 343), (0x0A, 310), (0x48, 310), (0x49, 310), (0x0B, 300), (0x50, 300), (0x51, 300), (0x33, 300)]
    + [(other, 11) for other in (0x02, 0x43, 0xC0, 0x61, 0x66, 0x100, 0x401, None)],
)
def test_sub_the_command_status_gives_the_code(command_status, code):
    error = StatusError(ErrorSource.SUBMIT, command_status=command_status)
    assert status_and_code(Status.REJECTED, Reason.SUBMIT_REFUSED, error) == ("Rejected", code)


def test_sub_codes_are_in_the_vendors_network_range():
    assert all(0 < code < 400 for code in SUBMIT_CODES.values())


@pytest.mark.parametrize(
    ("status", "reason", "shown_as"),
    [
        (Status.QUEUED, Reason.RETRYING, ("Queued", 400)),
        (Status.DISPATCHED, Reason.RETRYING_SMSC, ("Dispatched", 401)),
        (Status.EXPIRED, Reason.VALIDITY_LOCAL, ("Aborted", 406)),
        (Status.CANCELLED, Reason.CANCELLED, ("Cancelled", 407)),
        (Status.ABORTED, Reason.NO_ROUTE, ("Aborted", 402)),
        (Status.ABORTED, Reason.INTERNAL, ("Aborted", 403)),
        (Status.ABORTED, Reason.UNMATCHED_PARAMETER, ("Aborted", 405)),
        (Status.ABORTED, Reason.BLOCKED_DESTINATION, ("Aborted", 408)),
        (Status.ABORTED, Reason.BLOCKED_SENDER, ("Aborted", 408)),
        (Status.ABORTED, Reason.FLOODING, ("Aborted", 408)),
        (Status.ABORTED, Reason.NO_SENDER, ("Aborted", 410)),
        (Status.ABORTED, Reason.TOO_MANY_PARTS, ("Aborted", 411)),
        (Status.ABORTED, Reason.UNPROVISIONED, ("Aborted", 412)),
        (Status.ABORTED, Reason.ACCOUNT_BLOCKED, ("Aborted", 413)),
        (Status.UNKNOWN, Reason.NO_RECEIPT, ("Unknown", 0)),
        (Status.UNKNOWN, Reason.UNREADABLE, ("Unknown", 0)),
        (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED, ("Unknown", 0)),
        (Status.DELIVERED, Reason.DELIVERED, ("Delivered", 0)),
    ],
)
def test_s9_fixed_codes(status, reason, shown_as):
    assert status_and_code(status, reason, network("099", 3, 5)) == shown_as
