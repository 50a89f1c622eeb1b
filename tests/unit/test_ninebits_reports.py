"""Statuses, error codes, callbacks and fetched reports of 9bits (docs/dialects/ninebits.md 4 to 6)."""

import json

import pytest

from kvitto.core.model import BatchReport, CallbackDue, ContentKind, MessagePage, Notify
from kvitto.core.operations import ListBatchMessages
from kvitto.core.status import FINAL, NO_ERROR, REASONS_OF, ErrorSource, Note, Reason, Status, StatusError
from kvitto.dialects.base import Problem, RetryDecision
from kvitto.dialects.ninebits import NinebitsDialect, responses
from kvitto.dialects.ninebits.callbacks import OFFSETS_S
from kvitto.dialects.ninebits.statuses import CODES, STATUS_NAMES, error_code, status_and_code
from tests.support.ninebits import BATCH_ID, CALLBACK, NOW, account, message, read, refusal, shown, told

DIALECT = NinebitsDialect()
ACCOUNT = account(callback_url=CALLBACK)
DELIVERED = message(Status.DELIVERED, Reason.DELIVERED)
DISPATCHED = message(Status.DISPATCHED, Reason.ACCEPTED)
KEYS = ["sms_id", "ref", "msisdn", "submit_date", "done_date", "status", "sub", "dlvrd", "id_smsc", "error_code"]


def due(facts=DELIVERED, *, attempts=0, first_failed_at=None, id=1):
    return CallbackDue(id, "a1", "ninebits", CALLBACK, facts, False, attempts, NOW, first_failed_at)


def posted(facts, owner=ACCOUNT):
    return json.loads(DIALECT.render((due(facts),), owner))


def network(text=None, net_type=None, net_code=None):
    return StatusError(ErrorSource.NETWORK, text, net_type, net_code)


# --- 4


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (Status.QUEUED, "Queued"),
        (Status.DISPATCHED, "Dispatched"),
        (Status.REJECTED, "Rejected"),
        (Status.DELIVERED, "Delivered"),
        (Status.FAILED, "Failed"),
        (Status.EXPIRED, "Expired"),
        (Status.UNKNOWN, "Unknown"),
        (Status.DELETED, "Failed"),
        (Status.CANCELLED, "Failed"),
        (Status.ABORTED, "Failed"),
    ],
)
def test_n4_ten_statuses_in_seven_words(status, name):
    for reason in REASONS_OF[status]:
        assert status_and_code(status, reason, NO_ERROR)[0] == name
    assert name in STATUS_NAMES


# --- 5.1


def test_n5_1_the_body_is_the_documented_example():
    view = DELIVERED._replace(done_at=NOW + 7_400)
    assert DIALECT.render((due(view),), ACCOUNT) == (
        b'{"sms_id":"01JB2K7M9QX4T6V8W0Y2Z40001","ref":"01JB2K7M9QX4T6V8W0Y2Z40000","msisdn":"2348020000000",'
        b'"submit_date":"2026-03-09 14:05:00","done_date":"2026-03-09 14:05:07","status":"Delivered","sub":"001",'
        b'"dlvrd":"001","id_smsc":"0A1B2C3D","error_code":"000"}'
    )


@pytest.mark.parametrize(("status", "reason"), [(s, r) for s in Status for r in REASONS_OF[s]])
def test_n5_1_ten_keys_in_order_all_texts_for_every_status(status, reason):
    body = posted(message(status, reason, smsc_message_id=""))
    assert list(body) == KEYS
    assert all(type(value) is str for value in body.values())
    assert body["sub"] == "001"
    assert body["dlvrd"] == ("001" if status is Status.DELIVERED else "000")
    assert body["id_smsc"] == ""


def test_n5_1_done_date_is_the_receipts_else_ours():
    assert posted(DELIVERED._replace(done_at=NOW + 1_000))["done_date"] == "2026-03-09 14:05:01"
    assert posted(DELIVERED)["done_date"] == "2026-03-09 14:05:07"
    assert posted(DISPATCHED)["done_date"] == "2026-03-09 14:05:07", "the time of the change"


def test_n5_1_dates_are_the_accounts_clock():
    body = posted(DELIVERED, account(timezone="Africa/Lagos"))
    assert (body["submit_date"], body["done_date"]) == ("2026-03-09 15:05:00", "2026-03-09 15:05:07")


def test_n5_1_the_smscs_id_is_shown_as_it_was_given():
    assert posted(DELIVERED._replace(smsc_message_id='0x00Ab\\"7'))["id_smsc"] == '0x00Ab\\"7'


def test_n5_1_several_parts_are_still_one_report():
    body = posted(DELIVERED._replace(parts=4))
    assert (body["sub"], body["dlvrd"]) == ("001", "001")


def test_n5_1_the_same_facts_are_the_same_octets():
    assert DIALECT.render((due(),), ACCOUNT) == DIALECT.render((due(attempts=5, first_failed_at=NOW),), ACCOUNT)


def test_n5_1_json_is_said_and_nothing_is_signed():
    assert DIALECT.headers(due(), b"{}", ACCOUNT, secret="whsec_x", nonce="n", now=NOW) == [
        ("Content-Type", "application/json")
    ]


# --- 5.2


def test_n5_2_final_only_leaves_out_what_lies_before_the_end():
    owner = account(callback_url=CALLBACK, final_only=True)
    assert DIALECT.notify_of(None, owner) is Notify.FINAL
    assert DIALECT.notify_of(Notify.CHANGES, owner) is Notify.FINAL
    assert not DIALECT.tells(due(DISPATCHED), owner)
    assert DIALECT.tells(due(DELIVERED), owner)
    assert DIALECT.tells(due(DISPATCHED), ACCOUNT)


@pytest.mark.parametrize(("wanted", "told_of"), [(None, True), (True, True), (False, False)])
def test_n5_2_late_corrections_are_told_unless_the_account_wants_none(wanted, told_of):
    late = due(DELIVERED._replace(notes=Note.LATE))
    assert DIALECT.tells(late, account(late_corrections=wanted)) is told_of


def test_n5_2_an_end_takes_the_place_of_what_is_still_on_the_way():
    assert DIALECT.supersedes


def test_n5_2_a_batch_as_a_whole_is_not_told():
    facts = BatchReport("b", "a1", 1, None, ContentKind.TEXT, True, ())
    assert not DIALECT.tells(due(facts), ACCOUNT)


@pytest.mark.parametrize(
    ("wanted", "told_of"),
    [
        (None, Notify.CHANGES),
        (Notify.NONE, Notify.NONE),
        (Notify.BATCH_SUMMARY, Notify.FINAL),
        (Notify.BATCH_FULL, Notify.FINAL),
        (Notify.CHANGES, Notify.CHANGES),
        (Notify.FINAL, Notify.FINAL),
        (Notify.ATTEMPTS, Notify.CHANGES),
    ],
)
def test_n5_2_what_any_dialects_batch_asked_for_is_told_here(wanted, told_of):
    assert DIALECT.notify_of(wanted, ACCOUNT) is told_of


# --- 5.3


@pytest.mark.parametrize(("status", "reason"), [(s, r) for s in Status for r in REASONS_OF[s] if r not in CODES])
def test_n5_3_no_error_before_the_end_nor_with_success_whatever_err_said(status, reason):
    assert status in (Status.QUEUED, Status.DISPATCHED, Status.DELIVERED)
    assert error_code(reason, network("001", 3, 6)) == "000"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0032", "032"),
        ("5", "005"),
        ("1375", "1375"),
        ("000000000000000000123", "123"),
        ("21B", "21B"),
        ("21b", "21B"),
        ("ABCDEFGH", "ABCDEFGH"),
        ("ABCDEFGHI", "900"),
        ("null", "900"),
        ("None", "900"),
        ("...", "900"),
        ("", "900"),
        (None, "900"),
        ("0", "900"),
        ("000", "900"),
        ("٣٢", "900"),
        ("-5", "900"),
    ],
)
def test_n5_3_the_receipts_text(text, code):
    assert error_code(Reason.UNDELIVERABLE, network(text)) == code


@pytest.mark.parametrize("text", [None, "000", "null", "..."])
@pytest.mark.parametrize(
    ("net_type", "net_code", "code"),
    [
        (3, 6, "006"),
        (None, 27, "027"),
        (7, 1, "001"),
        (8, 1234, "1234"),
        (1, 6, "900"),
        (2, 6, "900"),
        (3, 0, "900"),
        (3, None, "900"),
    ],
)
def test_n5_3_the_tlv_where_the_text_has_none(text, net_type, net_code, code):
    assert error_code(Reason.UNDELIVERABLE, network(text, net_type, net_code)) == code


def test_n5_3_the_text_wins_where_both_have_one():
    assert error_code(Reason.UNDELIVERABLE, network("032", 3, 6)) == "032"


@pytest.mark.parametrize(("status", "code"), [(0x0B, "011"), (0x401, "1025"), (0x58, "088"), (0, "900"), (None, "900")])
def test_n5_3_refused_at_submit_shows_the_command_status(status, code):
    assert error_code(Reason.SUBMIT_REFUSED, StatusError(ErrorSource.SUBMIT, command_status=status)) == code


def test_n5_3_an_unreadable_receipt_is_902_whatever_it_carried():
    assert error_code(Reason.UNREADABLE, network("032", 3, 6)) == "902"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.UNDELIVERABLE, "900"),
        (Reason.REJECTED_SMSC, "900"),
        (Reason.DELETED_SMSC, "900"),
        (Reason.SKIPPED, "900"),
        (Reason.NO_RECEIPT, "901"),
        (Reason.NOT_ACKNOWLEDGED, "901"),
        (Reason.VALIDITY_LOCAL, "903"),
        (Reason.NO_ROUTE, "904"),
        (Reason.UNPROVISIONED, "904"),
        (Reason.BLOCKED_DESTINATION, "905"),
        (Reason.BLOCKED_SENDER, "905"),
        (Reason.TOO_MANY_PARTS, "905"),
        (Reason.CANCELLED, "906"),
        (Reason.INTERNAL, "907"),
        (Reason.VALIDITY_SMSC, "908"),
        (Reason.SMSC_UNKNOWN, "909"),
    ],
)
def test_n5_3_codes_of_our_own(reason, code):
    assert error_code(reason, NO_ERROR) == code


def test_n5_3_an_end_of_our_own_does_not_show_what_the_smsc_said_before():
    refused_for_now = StatusError(ErrorSource.SUBMIT, command_status=0x58)
    assert error_code(Reason.VALIDITY_LOCAL, refused_for_now) == "903"


def test_n5_3_every_end_without_success_has_a_code():
    for status in FINAL - {Status.DELIVERED}:
        for reason in REASONS_OF[status]:
            assert error_code(reason, NO_ERROR) != "000"


# --- 5.4


def judge(code, body=b"", *, retry_after_s=None, attempts=0, first_failed_at=None, now=NOW, ack="body", id=1):
    one = due(attempts=attempts, first_failed_at=first_failed_at, id=id)
    return DIALECT.judge(one, account(ack=ack), code, body, retry_after_s, now)


@pytest.mark.parametrize(
    "body", [b'{"status":200}', b'{"status":"200"}', b' {"a":[1],"status":200.0} ', b'{"status":500,"status":200}']
)
@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_n5_4_acknowledged_by_the_body(code, body):
    assert judge(code, body).done


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html>",
        b'{"status":500}',
        b'{"status":"OK"}',
        b'{"status":"200 "}',
        b'{"status":true}',
        b'{"status":[200]}',
        b'{"Status":200}',
        b'{"error":"Invalid request"}',
        b"200",
        b'[{"status":200}]',
        b'{"status":200',
        b"\xff",
        b'{"status":' + b"[" * 65_000,
    ],
)
def test_n5_4_a_2xx_that_says_anything_else_is_tried_again(body):
    decision = judge(200, body)
    assert (decision.done, decision.counts, decision.slower) == (False, True, False)
    assert decision.retry_at is not None
    assert judge(200, body, ack="http").done, "any 2xx is enough where the account says so"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 422, 451, 499])
def test_n5_4_other_4xx_are_final(code):
    decision = judge(code, b'{"error":"Invalid request"}')
    assert (decision.done, decision.retry_at) == (False, None)


@pytest.mark.parametrize("code", [None, 500, 502, 503, 599, 301, 302, 307, 308, 304])
def test_n5_4_5xx_3xx_and_no_answer_are_tried_again(code):
    decision = judge(code)
    assert not decision.done
    assert NOW + 30_000 <= (decision.retry_at or 0) <= NOW + 33_000


def test_n5_4_nine_tries_at_offsets_from_the_first():
    first, now, offsets = NOW, NOW, []
    for attempts in range(8):
        decision = judge(500, attempts=attempts, first_failed_at=first if attempts else None, now=now)
        assert decision.retry_at is not None
        now = decision.retry_at
        offsets.append((now - first) / 1000)
    assert judge(500, attempts=8, first_failed_at=first, now=now).retry_at is None
    assert OFFSETS_S == (30, 60, 120, 240, 480, 960, 1920, 3600)
    for offset, planned in zip(offsets, OFFSETS_S, strict=True):
        assert planned <= offset <= planned * 1.1, "up to a tenth is added, never taken away"


def test_n5_4_jitter_differs_between_callbacks_and_not_between_the_same_try():
    assert len({judge(500, id=number).retry_at for number in range(50)}) > 40
    assert judge(500, id=7).retry_at == judge(500, id=7).retry_at


def test_n5_4_after_a_pause_the_try_is_made_and_the_later_offsets_stand():
    third = judge(500, attempts=2, first_failed_at=NOW, now=NOW + 200_000)
    assert NOW + 240_000 <= (third.retry_at or 0) <= NOW + 264_000, "120 s have passed meanwhile; 240 s stand"


def test_n5_4_nothing_is_given_up_early_because_a_clock_jumped():
    second = judge(500, attempts=1, first_failed_at=NOW, now=NOW + 86_400_000)
    assert second.retry_at is not None
    assert second.retry_at >= NOW + 86_430_000


@pytest.mark.parametrize(("asked", "waited"), [(5, 5), (3600, 3600), (90_000, 3600), (0, 1)])
def test_n5_4_429_with_retry_after_moves_the_try_and_does_not_count_it(asked, waited):
    decision = judge(429, retry_after_s=asked, attempts=8, first_failed_at=NOW)
    assert decision == RetryDecision(False, NOW + waited * 1000, counts=False, slower=True)


def test_n5_4_nothing_is_put_off_for_ever_and_nothing_is_given_up_early():
    a_day = 86_400_000
    before = judge(429, retry_after_s=60, attempts=8, first_failed_at=NOW, now=NOW + a_day - 1)
    assert (before.retry_at, before.counts) == (NOW + a_day - 1 + 60_000, False)
    tries = [judge(429, retry_after_s=60, attempts=n, first_failed_at=NOW, now=NOW + a_day) for n in range(9)]
    assert [one.retry_at for one in tries] == [*[NOW + a_day + 60_000] * 8, None]
    assert {(one.done, one.counts, one.slower) for one in tries} == {(False, True, True)}


@pytest.mark.parametrize("asked", [None, float("nan"), float("inf")])
def test_n5_4_429_without_it_counts_like_a_5xx_and_slows_down(asked):
    decision = judge(429, retry_after_s=asked)
    assert (decision.counts, decision.slower) == (True, True)
    assert decision.retry_at == judge(500).retry_at
    assert judge(429, attempts=8, first_failed_at=NOW).retry_at is None


def test_n5_4_an_answer_may_take_ten_seconds():
    assert DIALECT.callback_timeout_s == 10.0


# --- 6


def page(*views, target=f"/ng/v1/deliveryreports/{BATCH_ID}", owner=None, total=None):
    operation = read("GET", target, owner=owner)
    assert isinstance(operation, ListBatchMessages)
    found = MessagePage(len(views) if total is None else total, list(views))
    return operation, responses.write_reports(operation, found)


@pytest.mark.parametrize("prefix", ["/ng/v1", "/api/v1"])
def test_n6_all_recipients_of_a_call(prefix):
    operation, answer = page(DELIVERED, DISPATCHED, target=f"{prefix}/deliveryreports/{BATCH_ID}")
    assert (operation.batch_id, operation.recipient, operation.page, operation.page_size) == (BATCH_ID, None, 0, 100)
    value = shown(answer)
    assert list(value) == ["status_code", "reference_id", "count", "page", "page_size", "data"]
    assert [value[key] for key in list(value)[:5]] == [200, BATCH_ID, 2, 0, 100]
    assert value["data"][0] == posted(DELIVERED)


def test_n6_before_the_end_there_is_no_done_date():
    queued = message(Status.QUEUED, Reason.QUEUED, network("005"), smsc_message_id="")
    for view in (queued, DISPATCHED):
        shown_as = shown(page(view)[1])["data"][0]
        assert list(shown_as) == KEYS
        assert (shown_as["done_date"], shown_as["dlvrd"], shown_as["error_code"]) == ("", "000", "000")


@pytest.mark.parametrize("number", ["2348020000000", "+2348020000000", "002348020000000"])
def test_n6_one_recipient_in_any_form_of_its_number(number):
    operation, answer = page(DELIVERED, target=f"/ng/v1/deliveryreports/{BATCH_ID}/{number}")
    assert operation.recipient == "2348020000000"
    assert shown(answer)["count"] == 1


@pytest.mark.parametrize(("number", "taken"), [("12345", True), ("1234", False), ("1" * 16, False), ("abc", False)])
def test_n6_numbers_in_a_path_have_five_to_fifteen_digits(number, taken):
    target = f"/ng/v1/deliveryreports/{BATCH_ID}/{number}"
    if taken:
        assert read("GET", target).recipient == number
    else:
        assert refusal(target)[:2] == (400, "Invalid request")


def test_n6_filter_and_pages():
    target = f"/ng/v1/deliveryreports/{BATCH_ID}?status=Delivered,Failed&page=2&page_size=1000"
    operation, answer = page(DELIVERED, target=target, total=2001)
    assert (operation.page, operation.page_size) == (2, 1000)
    assert operation.shows is not None
    assert operation.shows(Status.DELETED, Reason.DELETED_SMSC, NO_ERROR), "shown as Failed"
    assert not operation.shows(Status.UNKNOWN, Reason.NO_RECEIPT, NO_ERROR)
    value = shown(answer)
    assert (value["count"], value["page"], value["page_size"]) == (2001, 2, 1000)
    assert read("GET", f"/ng/v1/deliveryreports/{BATCH_ID}?status=").shows is None


@pytest.mark.parametrize(
    "query",
    ["page=-1", "page=x", "page=", "page=1.0", "page_size=0", "page_size=1001", "page_size=", "status=Cancelled",
     "status=delivered", "status=Delivered,Nope", "page=99999999999", "page=٣"],
)  # fmt: skip
def test_n6_what_is_outside_is_refused(query):
    assert refusal(f"/ng/v1/deliveryreports/{BATCH_ID}?{query}")[:2] == (400, "Invalid request")


def test_n6_unknown_is_404_with_one_body_for_all_cases():
    nobody = page(target=f"/ng/v1/deliveryreports/{BATCH_ID}/2348020000001")[1]
    assert told(nobody)[:2] == (404, "Not found")
    assert nobody.body == DIALECT.refuse(Problem.NOT_FOUND, text="batch: unknown").body
    assert refusal("/ng/v1/deliveryreports/%20")[2] == told(nobody)[2]


def test_n6_a_filter_that_finds_nothing_is_an_empty_page():
    value = shown(page(target=f"/ng/v1/deliveryreports/{BATCH_ID}/2348020000000?status=Failed")[1])
    assert (value["count"], value["data"]) == (0, [])


def test_n6_who_wants_no_corrections_reads_the_first_end():
    assert not read("GET", f"/ng/v1/deliveryreports/{BATCH_ID}").first_final
    owner = account(late_corrections=False)
    assert read("GET", f"/ng/v1/deliveryreports/{BATCH_ID}", owner=owner).first_final
