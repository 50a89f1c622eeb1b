"""Batches at Sinch: list, get, cancel, update, replace, dry run, feedback (docs/dialects/sinch.md 6, 7)."""

import json
from pathlib import Path

import pytest

from kvitto.core.model import BatchPage, Notify
from kvitto.core.operations import Cancel, DryRunRecipient, DryRunResult, FetchBatch, RecordFeedback
from kvitto.dialects.base import DialectError
from kvitto.dialects.sinch import responses
from tests.support.sinch import BATCH_ID, NOW, account, at, batch_of, body, read, refusal, route_of, send, shown, told

EXAMPLES = Path(__file__).parent / "sinch_examples"
FORMAT = "syntax_invalid_parameter_format"
CONSTRAINT = "syntax_constraint_violation"
DAY_MS = 86_400_000
URL = "https://shop.example/dlr"


def listed(query=""):
    return read("GET", f"/batches?{query}")


# --- 6.1 list


def test_s6_1_defaults():
    operation = listed()
    assert (operation.page, operation.page_size) == (0, 30)
    assert (operation.filter.from_at, operation.filter.to_at) == (NOW - DAY_MS, None)
    assert (operation.filter.senders, operation.filter.client_reference) == ((), None)


def test_s6_1_every_filter():
    operation = listed(
        "page=3&page_size=100&from=%2B46701740605,Kvitto, 12345&start_date=2031-03-08&end_date=2031-03-09T05:06Z"
        "&client_reference=order-118&to=46701740611&tags=spring&nonsense=1"
    )
    assert (operation.page, operation.page_size) == (3, 100)
    assert operation.filter.senders == ("46701740605", "Kvitto", "12345")
    assert operation.filter.from_at == at("2031-03-08T00:00:00Z")
    assert operation.filter.to_at == at("2031-03-09T05:06:00Z")
    assert operation.filter.client_reference == "order-118"


def test_s6_1_only_the_last_14_days_can_be_listed():
    assert listed("start_date=2001-01-01").filter.from_at == NOW - 14 * DAY_MS


def test_s6_1_an_unencoded_plus_in_a_query_is_a_plus():
    assert listed("start_date=2031-03-09T05:06:07+02:00").filter.from_at == at("2031-03-09T03:06:07Z")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("page=-1", CONSTRAINT),
        ("page=99999999999", FORMAT),
        ("page=2147483648", CONSTRAINT),
        ("page=x", FORMAT),
        ("page=", FORMAT),
        ("page_size=0", CONSTRAINT),
        ("page_size=101", CONSTRAINT),
        ("page_size=1.5", FORMAT),
        ("start_date=yesterday", FORMAT),
        ("end_date=2031-02-30", FORMAT),
        ("start_date=2031-03-08&end_date=2031-03-07", CONSTRAINT),
        ("client_reference=a%00b", FORMAT),
    ],
)
def test_s6_1_bad_queries_are_refused_by_name(query, code):
    status, found, text = refusal("GET", f"/batches?{query}")
    assert (status, found) == (400, code)
    assert text.split(":")[0] in query


def test_s6_1_page_size_counts_the_entries_of_the_page():
    first = listed("page_size=2")
    page = shown(responses.write_batch_page(first, BatchPage(3, [batch_of(send()), batch_of(send())])))
    assert (page["count"], page["page"], page["page_size"], len(page["batches"])) == (3, 0, 2, 2)
    beyond = shown(responses.write_batch_page(listed("page=9&page_size=2"), BatchPage(3, [])))
    assert beyond == {"count": 3, "page": 9, "page_size": 0, "batches": []}


# --- 6.2 get, cancel


def test_s6_2_get_and_cancel_name_the_batch():
    assert read("GET", f"/batches/{BATCH_ID}") == FetchBatch(batch_id=BATCH_ID)
    assert read("DELETE", f"/batches/{BATCH_ID}", content_type="application/json") == Cancel(batch_id=BATCH_ID)


@pytest.mark.parametrize("batch_id", ["a%00b", "å", "a%2Fb", "x" * 65, "%20"])
def test_s6_2_what_cannot_be_a_batch_id_names_no_batch(batch_id):
    for method in ("GET", "DELETE"):
        assert refusal(method, f"/batches/{batch_id}") == (404, "", "")


def test_s6_2_a_cancelled_batch_says_so():
    batch = batch_of(send(), cancelled_at=NOW + 5, modified_at=NOW + 5)
    answer = responses.write_batch(None, batch)
    assert answer.status == 200
    assert (shown(answer)["canceled"], shown(answer)["modified_at"]) == (True, "2031-03-09T05:06:01.125Z")


# --- 6.3 update


def updated(update, *, batch=None, owner=None, now=NOW):
    operation = read("POST", f"/batches/{BATCH_ID}", update, owner=owner, now=now)
    assert operation.batch_id == BATCH_ID
    return operation.change(batch or batch_of(send()))


def update_refusal(update, **more):
    with pytest.raises(DialectError) as caught:
        updated(update, **more)
    return told(caught.value)


FULL = {
    "to": ["+46701740611", "46701740612"],
    "delivery_report": "full",
    "callback_url": URL,
    "client_reference": "r",
    "feedback_enabled": True,
    "body": "Hi ${name}",
    "parameters": {"name": {"+46701740611": "Eva", "default": "you"}},
    "flash_message": True,
    "truncate_concat": False,
    "max_number_of_message_parts": 3,
    "from_ton": 1,
    "from_npi": 2,
    "send_at": "2031-03-10T00:00Z",
    "expire_at": "2031-03-11T00:00Z",
    "strict_validation": True,
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        FULL,
        {"send_at": "2031-03-01T00:00Z"},
        {"type": "mt_binary", "body": "AAEC", "udh": "0500030A0201", "flash_message": False},
        {"type": "mt_media", "body": {"url": "https://a/b", "message": "m", "subject": "s"}},
    ],
)
def test_s6_3_an_empty_update_changes_nothing(fields):
    batch = batch_of(send(**fields))
    same = batch_of(updated({}, batch=batch, now=NOW + 1000))
    assert same == batch


def test_s6_3_missing_fields_stay_and_given_ones_change():
    batch = batch_of(send(**FULL))
    after = updated({"type": "mt_text", "body": "Bye", "client_reference": "s"}, batch=batch)
    assert (after.content.text, after.client_reference) == ("Bye", "s")
    assert after.content.parameters == batch.content.parameters
    assert (after.sender, after.notify, after.send_at, after.expire_at) == (
        batch.sender,
        batch.notify,
        batch.send_at,
        batch.expire_at,
    )


@pytest.mark.parametrize(
    "field", ["delivery_report", "send_at", "expire_at", "parameters", "client_reference", "flash_message"]
)
def test_s6_3_null_resets_to_the_default(field):
    after = updated({field: None}, batch=batch_of(send(**FULL)))
    plain = send(**{**FULL, field: ...})
    assert after == plain


def test_s6_3_null_for_callback_url_needs_a_default_while_a_report_is_asked_for():
    batch = batch_of(send(**FULL))
    assert update_refusal({"callback_url": None}, batch=batch)[:2] == (403, "missing_callback_url")
    assert updated({"callback_url": None, "delivery_report": None}, batch=batch).notify is None
    assert updated({"callback_url": None}, batch=batch, owner=account(callback_url=URL)).callback_url is None


def test_s6_3_null_for_what_has_no_default_is_refused():
    assert update_refusal({"body": None})[:2] == (400, CONSTRAINT)
    assert update_refusal({"from": None})[:2] == (400, CONSTRAINT)
    assert updated({"from": None}, owner=account(default_from="Shop")).sender is None


def test_s6_3_recipients_are_added_before_they_are_removed():
    batch = batch_of(send(to=["46701740611", "46701740612"]))
    after = updated(
        {"to_add": ["+46701740613", "46701740611"], "to_remove": ["0046701740613", "46701740612"]}, batch=batch
    )
    assert after.recipients == ("46701740611",)


def test_s6_3_removing_a_stranger_is_no_error():
    assert updated({"to_remove": ["46709999999"]}).recipients == ("46701740611",)


def test_s6_3_at_least_one_and_at_most_1000_recipients_remain():
    assert update_refusal({"to_remove": ["46701740611"]}) == (400, CONSTRAINT, "to: 1 to 1000 elements")
    many = batch_of(send(to=[str(46_700_000_000 + n) for n in range(1000)]))
    assert update_refusal({"to_add": ["46701740611999"]}, batch=many) == (400, CONSTRAINT, "to: 1 to 1000 elements")


@pytest.mark.parametrize("field", ["to_add", "to_remove"])
def test_s6_3_changes_have_1_to_100_elements(field):
    numbers = [str(46_800_000_000 + n) for n in range(101)]
    assert updated({field: numbers[:100]}).recipients
    for wrong in (numbers, []):
        assert refusal("POST", "/batches/abc", {field: wrong}) == (400, CONSTRAINT, f"{field}: 1 to 100 elements")
    assert updated({field: None}).recipients == ("46701740611",)


def test_s6_3_groups_are_unknown():
    assert update_refusal({"to_add": ["abcdefghijkl"]})[:2] == (403, "unknown_group")
    assert update_refusal({"to_remove": ["abcdefghijkl"]})[:2] == (403, "unknown_group")


def test_s6_3_type_must_be_the_batchs_own():
    assert updated({"type": "mt_text"}).content.text
    assert update_refusal({"type": "mt_binary"}) == (400, CONSTRAINT, "type: must be the batch's own")


@pytest.mark.parametrize(
    "update",
    [
        {"to_add": ["x"]},
        {"from": "---"},
        {"callback_url": ""},
        {"send_at": "soon"},
        {"expire_at": ""},
        {"max_number_of_message_parts": "x"},
        {"parameters": {"å": {}}},
        {"delivery_report": "all"},
        {"flash_message": 1},
        {"to_remove": 5},
    ],
)
def test_s6_3_forms_are_refused_before_the_batch_is_looked_for(update):
    status, code, text = refusal("POST", "/batches/abc", update)
    assert (status, code) == (400, FORMAT)
    assert text.startswith(next(iter(update)))


def test_s6_3_limits_hold_after_the_change():
    assert update_refusal({"body": "x" * 2001})[:2] == (400, CONSTRAINT)
    binary = batch_of(send(type="mt_binary", body="AAEC", udh="00"))
    assert update_refusal({"udh": "00" * 139}, batch=binary)[:2] == (400, CONSTRAINT)


def test_s6_3_a_new_send_at_moves_a_default_expiry_and_must_precede_a_given_one():
    moved = updated({"send_at": "2031-03-20T00:00Z"})
    assert (moved.send_at, moved.expire_at) == (at("2031-03-20T00:00:00Z"), None)
    given = batch_of(send(expire_at="2031-03-10T00:00Z"))
    assert update_refusal({"send_at": "2031-03-20T00:00Z"}, batch=given)[:2] == (400, CONSTRAINT)


def test_s6_3_a_default_expiry_stays_when_no_time_changes():
    assert updated({"body": "x"}, now=NOW + 3_600_000).expire_at == NOW + 3 * DAY_MS


def test_s6_3_times_that_an_update_leaves_alone_are_not_judged_again():
    given = batch_of(send(expire_at="2031-03-09T06:00Z"))
    after = updated({"client_reference": "late"}, batch=given, now=at("2031-03-09T07:00:00Z"))
    assert after.expire_at == given.expire_at
    assert batch_of(after).extra == given.extra


# --- 6.4 replace


def test_s6_4_what_is_left_out_goes_back_to_its_default():
    operation = read("PUT", f"/batches/{BATCH_ID}", body(body="New"))
    assert operation.change(batch_of(send(**FULL))) == send(body="New")


def test_s6_4_a_replacement_is_checked_like_a_send():
    assert refusal("PUT", f"/batches/{BATCH_ID}", body(to=[]))[:2] == (400, CONSTRAINT)
    assert refusal("PUT", f"/batches/{BATCH_ID}", body(delivery_report="full"))[:2] == (403, "missing_callback_url")


# --- 6.5 dry run


@pytest.mark.parametrize(
    ("query", "per_recipient", "limit"),
    [
        ("", False, 100),
        ("per_recipient=true", True, 100),
        ("per_recipient=True&number_of_recipients=2", True, 2),
        ("per_recipient=FALSE&number_of_recipients=1000", False, 1000),
        ("number_of_recipients=0", False, 0),
    ],
)
def test_s6_5_query(query, per_recipient, limit):
    operation = read("POST", f"/batches/dry_run?{query}", body())
    assert (operation.per_recipient, operation.limit) == (per_recipient, limit)


@pytest.mark.parametrize(
    ("query", "code"),
    [("per_recipient=1", FORMAT), ("number_of_recipients=-1", CONSTRAINT), ("number_of_recipients=1001", CONSTRAINT)],
)
def test_s6_5_bad_query(query, code):
    assert refusal("POST", f"/batches/dry_run?{query}", body())[:2] == (400, code)


def test_s6_5_a_report_without_a_url_does_not_fail_a_dry_run():
    assert read("POST", "/batches/dry_run", body(delivery_report="full")).submission.notify is Notify.BATCH_FULL


def test_s6_5_the_path_wins_over_a_batch_id():
    assert route_of("POST", "/xms/v1/plan1/batches/dry_run")[0].path.endswith("/dry_run")


def test_s6_5_the_example_of_the_docs():
    example = json.loads((EXAMPLES / "dry_run.json").read_text())
    operation = read("POST", "/batches/dry_run?per_recipient=true&number_of_recipients=1", body())
    entries = (DryRunRecipient("46701740611", 2, "...", False), DryRunRecipient("46701740612", 1, "...", True))
    answer = responses.write_dry_run(operation, DryRunResult(2, 3, entries))
    assert answer.status == 200
    assert shown(answer) == example


def test_s6_5_unicode_is_named_and_the_list_is_absent_unless_asked_for():
    asked = read("POST", "/batches/dry_run?per_recipient=true", body())
    unicode = DryRunResult(1, 1, (DryRunRecipient("46701740611", 1, "✓", True),))
    assert shown(responses.write_dry_run(asked, unicode))["per_recipient"][0]["encoding"] == "unicode"
    plain = read("POST", "/batches/dry_run", body())
    assert "per_recipient" not in shown(responses.write_dry_run(plain, unicode))


def test_s6_5_the_body_of_a_binary_batch_is_shown_in_base64():
    asked = read("POST", "/batches/dry_run?per_recipient=true", body(type="mt_binary", body="AAEC", udh="00"))
    result = DryRunResult(1, 1, (DryRunRecipient("46701740611", 1, "", False),))
    assert shown(responses.write_dry_run(asked, result))["per_recipient"][0]["body"] == "AAEC"


# --- 7 feedback


def test_s7_recipients_are_cleaned_and_may_be_empty():
    target = f"/batches/{BATCH_ID}/delivery_feedback"
    assert read("POST", target, {"recipients": ["+46701740611"]}) == RecordFeedback(
        batch_id=BATCH_ID, recipients=("46701740611",)
    )
    assert read("POST", target, {"recipients": []}).recipients == ()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, CONSTRAINT),
        ({"recipients": None}, CONSTRAINT),
        ({"recipients": ["x"]}, FORMAT),
        ({"recipients": "x"}, FORMAT),
    ],
)
def test_s7_recipients_are_required_numbers(given, code):
    assert refusal("POST", "/batches/abc/delivery_feedback", given)[:2] == (400, code)


def test_s7_a_group_is_no_recipient_of_feedback():
    assert refusal("POST", "/batches/abc/delivery_feedback", {"recipients": ["abcdefghijkl"]})[:2] == (400, FORMAT)


def test_s7_the_answer_is_202_and_empty():
    answer = responses.write_feedback(None, None)
    assert (answer.status, answer.body, answer.content_type) == (202, b"", "")
