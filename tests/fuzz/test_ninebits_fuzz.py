"""Any octets make a 9bits operation or a refusal with a proper error object, nothing else (P23)."""

import json

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvitto.core.operations import Send
from kvitto.core.status import ErrorSource, Reason, StatusError
from kvitto.core.text import count_parts
from kvitto.dialects.base import Call, DialectError
from kvitto.dialects.ninebits import ROUTES, responses
from kvitto.dialects.ninebits.statuses import error_code
from kvitto.dialects.ninebits.times import parse_timestamp, write_timestamp
from kvitto.dialects.ninebits.wire import SendIn
from tests.support.ninebits import BATCH_ID, CALLBACK, NOW, account, stored, told

SEND = ROUTES[0]
READS = [route for route in ROUTES if route.method == "GET"]
OWNERS = st.sampled_from([account(), account(callback_url=CALLBACK, timezone="Africa/Lagos", max_parts=2)])


def call_for(route, body=b"", query=None, params=None, content_type="application/json"):
    known = {"reference_id": BATCH_ID, "msisdn": "2348020000000"} | (params or {})
    return Call(route.method, known, query or {}, content_type, {}, body, NOW)


def check(route, call, owner):
    """Read it; what a send makes must also be storable and showable."""
    try:
        operation = route.read(call, owner)
    except DialectError as refused:
        status, short, words = told(refused.answer)
        assert status in (400, 404, 413, 415)
        assert short
        assert 0 < len(words) < 500
        return
    if isinstance(operation, Send):
        submission = operation.submission
        assert 1 <= len(submission.recipients) <= 1000
        assert len(set(submission.recipients)) == len(submission.recipients)
        assert all(7 <= len(number) <= 15 and number.isdigit() for number in submission.recipients)
        assert 1 <= len(submission.content.text) <= 1600
        assert count_parts(submission.content.text) <= (owner.max_parts or 11)
        assert "\0" not in submission.content.text + (submission.sender or "") + json.dumps(submission.extra)
        submission.content.text.encode()
        shown = json.loads(responses.write_sent(operation, stored(submission)).body)
        assert shown["content"] == shown["body"] == submission.content.text
        assert type(shown["delivery_report"]) in (bool, str)


@given(st.binary(max_size=200), OWNERS)
@example(b"[" * 200_000, account())
@example(b'{"x":' * 200_000, account())
@example(b'{"to":' + b"9" * 100_000 + b"}", account())
@example(b'{"from":"a","content":"a","to":[' + b"9" * 5_000 + b"]}", account())
@example(b'{"from":"a","content":"\\ud800","to":"2348020000000"}', account())
@example(b'{"from":"a","content":"a\\udc00b","to":"2348020000000"}', account())
@example(b'{"from":"a","content":"a","content":5,"to":"2348020000000"}', account())
@example(b'{"from":"a","content":"a","to":NaN}', account())
@example(b'\xef\xbb\xbf{"from":"a"}', account())
@settings(deadline=None)
def test_any_octets(octets, owner):
    check(SEND, call_for(SEND, octets), owner)


WORDS = st.sampled_from(
    ["2348020000000", "+2348020000000", "002348020000000", "myCode", "35811", "yes", "none", "", "\0",
     "2026-03-09 15:05:00",
     "2026-03-09T15:05:00Z", "2099-01-01 00:00:00", "ж" * 800, "x" * 1601, "a\r\nb"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*SendIn.__struct_encode_fields__, "unknown"])
GOOD = {"from": "myCode", "to": ["2348020000000"], "content": "a"}


@given(st.dictionaries(NAMES, VALUES, max_size=6), OWNERS, st.booleans())
@settings(deadline=None)
def test_any_values_in_known_fields(values, owner, good):
    try:
        octets = json.dumps((GOOD if good else {}) | values).encode()
    except ValueError:
        return
    check(SEND, call_for(SEND, octets), owner)


@given(
    st.sampled_from(READS),
    st.dictionaries(st.sampled_from(["status", "page", "page_size", "x"]), st.lists(st.text(max_size=12), max_size=3)),
    st.fixed_dictionaries({"reference_id": st.text(max_size=70), "msisdn": st.text(max_size=20)}),
    OWNERS,
)
def test_any_path_and_query(route, query, params, owner):
    check(route, call_for(route, query=query, params=params), owner)


@given(st.text(max_size=40), st.sampled_from(["UTC", "Europe/Stockholm", "Asia/Kolkata", "America/St_Johns"]))
@example("0002-01-01T00:00:00+23:59", "UTC")
@example("9998-12-31 23:59:59", "America/St_Johns")
def test_any_text_as_a_time(text, zone):
    at = parse_timestamp(text, zone)
    assert at is None or isinstance(at, int)


@given(st.integers(min_value=0, max_value=4_102_444_800_000), st.sampled_from(["UTC", "Asia/Kolkata", "Africa/Lagos"]))
def test_what_is_written_is_read_as_the_same_second(at, zone):
    assert parse_timestamp(write_timestamp(at, zone), zone) == at // 1000 * 1000


@given(
    st.sampled_from(list(Reason)),
    st.builds(
        StatusError,
        st.sampled_from(list(ErrorSource)),
        st.none() | st.text(max_size=30),
        st.none() | st.integers(0, 255),
        st.none() | st.integers(0, 65535),
        st.none() | st.integers(0, 2**32 - 1),
    ),
)
def test_any_error_has_a_code_of_digits_and_capitals(reason, error):
    code = error_code(reason, error)
    assert code
    assert all(char in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" for char in code)
    msgspec.json.encode(code)
