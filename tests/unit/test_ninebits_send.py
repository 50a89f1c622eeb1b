"""The send call of 9bits: what it takes, what it answers, what it refuses (docs/dialects/ninebits.md 1 to 3)."""

import json
from typing import Any

import pytest

from kvitto.core.model import ContentKind, Notify
from kvitto.core.operations import Send
from kvitto.core.text import count_parts
from kvitto.dialects.base import Call, Problem
from kvitto.dialects.ninebits import NinebitsDialect, responses
from kvitto.dialects.ninebits.times import parse_timestamp, write_timestamp
from tests.support.ninebits import (
    BATCH_ID,
    CALLBACK,
    NOW,
    account,
    body,
    call,
    read,
    refusal,
    send,
    shown,
    stored,
    told,
)

DIALECT = NinebitsDialect()
SECOND = NOW // 1000 * 1000
LAGOS = account(timezone="Africa/Lagos", callback_url=CALLBACK)


def answer(operation: Send):
    return shown(responses.write_sent(operation, stored(operation.submission)))


# --- 1


@pytest.mark.parametrize("path", ["/ng/v1/sendsms", "/api/v1/sendsms"])
def test_n1_both_paths_read_the_same(path):
    operation = read("POST", path, body())
    assert operation == send()
    assert (operation.submission.dialect, operation.submission.sender) == ("ninebits", "myCode")
    assert operation.submission.content.kind is ContentKind.TEXT


@pytest.mark.parametrize("number", ["+2348020000000", "002348020000000", "2348020000000", " 2348020000000 "])
def test_n1_all_forms_of_a_number_are_one_recipient(number):
    assert send(to=number).submission.recipients == ("2348020000000",)
    assert send(to=[number, "2348020000000"]).submission.recipients == ("2348020000000",)


@pytest.mark.parametrize("number", ["1234567", "123456789012345", 2348020000000])
def test_n1_seven_to_fifteen_digits_make_a_number(number):
    assert send(to=[number]).submission.recipients == (str(number),)


@pytest.mark.parametrize(
    "number",
    [
        "123456",
        "1234567890123456",
        "0802000000",
        "+0802000000",
        "0000802000000",
        "++2348020000000",
        "234-802-0000000",
        "234 802 0000000",
        "(234)8020000000",
        "",
        "group-of-mine",
        "٢٣٤٨٠٢٠٠٠٠٠٠٠",
        123456,
        -2348020000000,
        10**30,
    ],
)
def test_n1_what_is_no_number_is_named_by_its_index(number):
    status, short, words = refusal(to=["2348030000000", number])
    assert (status, short) == (400, "Invalid request")
    assert words.startswith("to[1]: ")
    assert str(number) not in words or not str(number)


@pytest.mark.parametrize(
    ("zone", "text"),
    [("UTC", "2026-03-09 14:05:00"), ("Africa/Lagos", "2026-03-09 15:05:00"), ("Asia/Kolkata", "2026-03-09 19:35:00")],
)
def test_n1_timestamps_are_the_accounts_clock_in_and_out(zone, text):
    assert write_timestamp(NOW, zone) == text
    assert parse_timestamp(text, zone) == SECOND


def test_n1_hours_that_clocks_repeat_or_leave_out():
    twice = parse_timestamp("2026-10-25 02:30:00", "Europe/Stockholm")
    assert twice == parse_timestamp("2026-10-25T02:30:00+02:00", "UTC")
    never = parse_timestamp("2026-03-29 02:30:00", "Europe/Stockholm")
    assert never is not None
    assert write_timestamp(never, "Europe/Stockholm") == "2026-03-29 03:30:00"


def test_n1_unknown_fields_are_ignored():
    assert send(colour="red", nested={"a": [1]}) == send()


# --- 2


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer  abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        ("Bearer\tabc", None),
    ],
)
def test_n2_the_scheme_in_any_case_one_space_the_token(header, token):
    made = Call("POST", {}, {}, "", {"authorization": header}, b"", NOW)
    found = DIALECT.credentials(made)
    assert (found.token if found else None) == token


def test_n2_401_says_what_to_send():
    refused = DIALECT.refuse(Problem.UNAUTHORIZED)
    assert told(refused)[:2] == (401, "Unauthorized")
    assert refused.headers == (("WWW-Authenticate", "Bearer"),)


def test_n2_a_disabled_account_is_403():
    assert told(DIALECT.refuse(Problem.ACCOUNT_DISABLED))[:2] == (403, "Forbidden")


# --- 3.1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": "a"}, "a"),
        ({"content": ..., "body": "b"}, "b"),
        ({"content": ..., "message": "m"}, "m"),
        ({"content": "a", "body": "a"}, "a"),
        ({"content": "a", "body": "a", "message": "a"}, "a"),
        ({"content": "a", "body": None}, "a"),
        ({"content": "a\r\nb\nc\rd"}, "a\nb\nc\rd"),
    ],
)
def test_n3_1_the_text_under_each_of_its_names(fields, text):
    operation = send(**fields)
    assert operation.submission.content.text == text
    assert (answer(operation)["content"], answer(operation)["body"]) == (text, text)


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "a", "body": "b"},
        {"content": "a", "message": "b"},
        {"content": ..., "body": "a", "message": "b"},
        {"content": "a", "body": ""},
        {"content": ...},
        {"content": None},
        {"content": ""},
        {"content": 5},
        {"content": "x" * 1601},
        {"content": "a\u0000b"},
    ],
)
def test_n3_1_no_text_two_texts_or_one_too_long(fields):
    assert refusal(**fields)[:2] == (400, "Invalid request")


def test_n3_1_the_longest_text_fits_the_default_of_eleven_parts():
    assert send(content="x" * 1600).submission.content.max_parts == 11
    assert len(send(content="x\r\n" * 533 + "x").submission.content.text) == 1067, "counted after newlines are one"
    assert count_parts("ж" * 738) == 12
    assert refusal(content="ж" * 738)[2] == "content: more than 11 parts"
    assert send(content="ж" * 737).submission.content.text == "ж" * 737


@pytest.mark.parametrize(
    ("most", "length", "taken"), [(1, 160, True), (1, 161, False), (2, 306, True), (2, 307, False)]
)
def test_n3_1_the_accounts_own_limit_of_parts(most, length, taken):
    owner = account(max_parts=most)
    if taken:
        assert send(owner, content="x" * length).submission.content.max_parts == most
    else:
        assert refusal(owner=owner, content="x" * length)[2] == f"content: more than {most} parts"


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ("myCode", "myCode"),
        ("A", "A"),
        ("elevenchars", "elevenchars"),
        ("My Shop 24", "My Shop 24"),
        ("123", "123"),
        ("+123456789012345", "123456789012345"),
        ("35811", "35811"),
    ],
)
def test_n3_1_senders(given, sender):
    assert send(from_=given).submission.sender == sender


@pytest.mark.parametrize(
    "given",
    ["", None, ..., "twelve chars", "12", "1234567890123456", "+12", "---", "жук", "a\nb", 35811, "a\u0000"],
)
def test_n3_1_what_is_no_sender(given):
    status, short, words = refusal(from_=given)
    assert (status, short) == (400, "Invalid request")
    assert words.startswith("from: ")


@pytest.mark.parametrize("given", [..., None, [], {}, True, 1.5, [True], [None], [["1"]], [1.0], "no number", [""]])
def test_n3_1_to_is_a_list_or_one(given):
    status, _, words = refusal(to=given)
    assert status == 400
    assert words.startswith(("to: ", "to["))


def test_n3_1_a_thousand_recipients_and_not_one_more():
    numbers = [str(2348020000000 + n) for n in range(1001)]
    assert send(to=numbers[:1000]).submission.recipients == tuple(numbers[:1000])
    assert refusal(to=numbers)[2] == "to: 1 to 1000 recipients"


def test_n3_1_doubles_are_sent_once_in_the_order_of_first_sight():
    assert send(to=["2348030000000", "+2348020000000", "2348030000000", 2348020000000]).submission.recipients == (
        "2348030000000",
        "2348020000000",
    )


IN_AN_HOUR = SECOND + 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-09 15:05:00",
        "2026-03-09T15:05:00",
        "2026-03-09T15:05:00Z",
        "2026-03-09T15:05:00.000Z",
        "2026-03-09T16:05:00+01:00",
        "2026-03-09T10:05:00.0-0500",
        "2026-03-09T16:05:00+01",
    ],
)
@pytest.mark.parametrize("name", ["send_at", "exec_time"])
def test_n3_1_forms_of_the_time_to_send(name, text):
    assert send(**{name: text}).submission.send_at == IN_AN_HOUR


def test_n3_1_a_bare_time_is_the_accounts_clock():
    operation = send(LAGOS, send_at="2026-03-09 16:05:00")
    assert operation.submission.send_at == IN_AN_HOUR
    assert answer(operation)["send_at"] == "2026-03-09 16:05:00"
    assert answer(operation)["created_at"] == "2026-03-09 15:05:00"
    assert answer(send(LAGOS, send_at="2026-03-09T15:05:00Z"))["send_at"] == "2026-03-09 16:05:00"


def test_n3_1_no_time_empty_time_and_null_are_now():
    assert send().submission.send_at is send(exec_time="", send_at=None).submission.send_at is None


def test_n3_1_the_same_instant_twice_is_fine_two_are_not():
    both = send(send_at="2026-03-09 15:05:00", exec_time="2026-03-09T16:05:00+01:00")
    assert both.submission.send_at == IN_AN_HOUR
    assert send(send_at="2026-03-09 15:05:00", exec_time="").submission.send_at == IN_AN_HOUR
    assert refusal(send_at="2026-03-09 15:05:00", exec_time="2026-03-09 15:05:01")[2].startswith("exec_time: ")


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2026-03-09",
        "2026-03-09 15:05",
        "2026-02-30 15:05:00",
        "2026-03-09 24:00:00",
        "0000-00-00 00:00:00",
        "2026-03-09T15:05:00+24:00",
        "9999-12-31 23:59:59",
        "2026-03-16 14:05:01",
        1773065100,
        "٢٠٢٦-03-09 15:05:00",
    ],
)
def test_n3_1_times_that_are_none_or_more_than_seven_days_ahead(text):
    assert refusal(send_at=text)[2].startswith("send_at: ")


def test_n3_1_seven_days_ahead_are_allowed():
    assert send(send_at="2026-03-16 14:05:00").submission.send_at == SECOND + 7 * 86_400_000


def test_n3_1_the_past_is_now_and_comes_back_as_it_was_asked():
    operation = send(send_at="2020-01-01 00:00:00")
    assert operation.submission.send_at is not None
    assert operation.submission.send_at < NOW, "admission makes that now"
    assert answer(operation)["send_at"] == "2020-01-01 00:00:00"


def test_n3_1_validity_is_two_days_and_never_under_twelve_hours():
    submission = send().submission
    assert submission.validity_default_ms == submission.validity_max_ms == 48 * 3_600_000
    assert submission.expire_at is None


# --- 3.2


def test_n3_2_the_answer_has_the_old_keys_and_the_new_in_the_documented_order():
    owner = account(callback_url=CALLBACK)
    operation = send(owner, to=["+2348020000000", "2348030000000"], send_at="2026-03-09 17:05:00", delivery_report=True)
    written = responses.write_sent(operation, stored(operation.submission))
    assert (written.status, written.content_type) == (200, "application/json")
    assert list(shown(written).items()) == [
        ("status_code", 200),
        ("message", "request is queued"),
        ("reference_id", BATCH_ID),
        ("to", ["2348020000000", "2348030000000"]),
        ("from", "myCode"),
        ("content", "Your parcel is here."),
        ("body", "Your parcel is here."),
        ("created_at", "2026-03-09 14:05:00"),
        ("send_at", "2026-03-09 17:05:00"),
        ("delivery_report", True),
        (
            "data",
            [
                {"sms_id": BATCH_ID[:22] + "0001", "msisdn": "2348020000000", "parts": 1},
                {"sms_id": BATCH_ID[:22] + "0002", "msisdn": "2348030000000", "parts": 1},
            ],
        ),
    ]


def test_n3_2_without_a_time_send_at_is_created_at():
    assert answer(send())["send_at"] == "2026-03-09 14:05:00"


# --- 3.3

YES = [True, "yes", "true", "1", 1]
NO = [False, "none", "no", "false", "0", 0, ""]


@pytest.mark.parametrize("url", [None, CALLBACK])
@pytest.mark.parametrize(
    ("given", "wished"), [(..., None), (None, None), *((y, True) for y in YES), *((n, False) for n in NO)]
)
def test_n3_3_every_spelling_means_what_the_table_says(given, wished, url):
    owner = account(callback_url=url)
    operation = send(owner, delivery_report=given)
    told_of = DIALECT.notify_of(operation.submission.notify, owner)
    assert told_of is (Notify.CHANGES if url and wished is not False else Notify.NONE)


@pytest.mark.parametrize("url", [None, CALLBACK])
@pytest.mark.parametrize(
    ("given", "echoed"), [(..., ...), (None, ...), (True, True), (False, False), (1, True), (0, False)]
)
def test_n3_3_a_boolean_comes_back_as_one(given, echoed, url):
    shown_as = answer(send(account(callback_url=url), delivery_report=given))["delivery_report"]
    assert shown_as is ((url is not None) if echoed is ... else echoed)


@pytest.mark.parametrize("word", ["yes", "true", "1", "none", "no", "false", "0", ""])
def test_n3_3_a_text_comes_back_as_it_was(word):
    assert answer(send(delivery_report=word))["delivery_report"] == word


@pytest.mark.parametrize("given", ["maybe", "YES", 2, -1, 1.0, [], {}, [True], " yes"])
def test_n3_3_anything_else_is_refused(given):
    status, short, words = refusal(delivery_report=given)
    assert (status, short) == (400, "Invalid request")
    assert words.startswith("delivery_report: ")


# --- 3.4


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b'"a"', b"null", b"{'a':1}", b'{"to":1,}', b"\xff", b'{"a":"\xff"}']
)
def test_n3_4_what_is_no_json_object(octets):
    assert refusal("/ng/v1/sendsms", octets)[:2] == (400, "Invalid request")


def test_n3_4_deep_nesting_is_refused_not_followed():
    assert refusal("/ng/v1/sendsms", b'{"x":' + b"[" * 100_000)[0] == 400


def test_n3_4_one_mebibyte_and_not_an_octet_more():
    octets = json.dumps(body()).encode()
    fits = octets[:-1] + b" " * (1_048_576 - len(octets)) + b"}"
    assert read("POST", "/ng/v1/sendsms", fits) == send()
    assert refusal("/ng/v1/sendsms", b" " + fits)[:2] == (413, "Request too large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_n3_4_a_content_type_that_is_not_json(content_type):
    assert refusal(content_type=content_type)[:2] == (415, "Unsupported media type")


def test_n3_4_a_missing_content_type_is_read_as_json():
    made = call("POST", "/ng/v1/sendsms", body(), content_type="")
    assert read("POST", "/ng/v1/sendsms", made.body, content_type="") == send()


@pytest.mark.parametrize(
    ("problem", "status", "short"),
    [
        (Problem.UNAUTHORIZED, 401, "Unauthorized"),
        (Problem.QUOTA_SPENT, 402, "Insufficient balance"),
        (Problem.ACCOUNT_DISABLED, 403, "Forbidden"),
        (Problem.SENDER_NOT_ALLOWED, 403, "Forbidden"),
        (Problem.NOT_FOUND, 404, "Not found"),
        (Problem.METHOD_NOT_ALLOWED, 405, "Method not allowed"),
        (Problem.KEY_REUSED, 409, "Conflict"),
        (Problem.TOO_LARGE, 413, "Request too large"),
        (Problem.THROTTLED, 429, "Too many requests"),
        (Problem.INTERNAL, 500, "Internal error"),
        (Problem.UNAVAILABLE, 503, "Service unavailable"),
    ],
)
def test_n3_4_the_table_of_refusals(problem, status, short):
    assert told(DIALECT.refuse(problem))[:2] == (status, short)


@pytest.mark.parametrize("problem", list(Problem))
def test_n3_4_every_problem_has_its_words_and_none_of_another_dialects(problem):
    _, _, words = told(DIALECT.refuse(problem, text="callback_url: required"))
    assert words
    assert "callback_url" not in words


@pytest.mark.parametrize(("problem", "wait"), [(Problem.THROTTLED, "1"), (Problem.UNAVAILABLE, "5")])
def test_n3_4_who_is_to_wait_is_told_how_long(problem, wait):
    assert DIALECT.refuse(problem).headers == (("Retry-After", wait),)
    assert DIALECT.refuse(problem, retry_after_s=9).headers == (("Retry-After", "9"),)


def test_n3_4_405_says_what_is_allowed():
    assert DIALECT.refuse(Problem.METHOD_NOT_ALLOWED, allow="POST").headers == (("Allow", "POST"),)


# --- 7


def test_n7_an_answer_to_an_incoming_message_is_a_send_with_three_more_fields():
    fields: dict[str, Any] = {
        "session_id": "s-20260309-0041",
        "sent_date": "2026-03-09T14:05:07.000000Z",
        "ref_id": "01JB",
    }
    operation = send(content=..., message="Thank you", **fields)
    assert operation.submission.extra == fields
    assert operation.submission.content.text == "Thank you"
    assert send().submission.extra == {}
