"""Any octets make an operation or a refusal with a proper error object, nothing else (P23)."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvitto.core.model import NewBatch
from kvitto.core.operations import Revise, Send
from kvitto.dialects.base import Call, DialectError
from kvitto.dialects.sinch import ROUTES, requests, responses
from kvitto.dialects.sinch.wire import BatchIn, BatchUpdateIn
from tests.support.sinch import BATCH_ID, NOW, account, batch_of, send

CODES = {
    "syntax_invalid_json",
    "syntax_invalid_parameter_format",
    "syntax_constraint_violation",
    "unknown_group",
    "missing_callback_url",
}
OWNERS = st.sampled_from([account(), account(callback_url="http://a/", default_from="Shop")])
BATCHES = [
    batch_of(send()),
    batch_of(send(type="mt_binary", body="AAEC", udh="00")),
    batch_of(send(type="mt_media", body={"url": "http://a/"}, send_at="2031-03-10T00:00Z")),
]


def check_refusal(error):
    answer = error.answer
    assert 400 <= answer.status < 500
    if answer.status in (400, 403):
        assert answer.body
    if answer.body:
        assert answer.content_type == "application/json"
        shown = json.loads(answer.body)
        assert set(shown) == {"code", "text"}
        assert shown["code"] in CODES
        assert isinstance(shown["text"], str)
        assert len(shown["text"]) < 500


def leaves(value):
    """Every key and value inside a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def check(route, call, owner):
    """Read the call; what a send or an update makes must also be storable and showable."""
    try:
        operation = route.read(call, owner)
        submissions = [operation.submission] if isinstance(operation, Send) else []
        if isinstance(operation, Revise):
            for batch in BATCHES:
                try:
                    submissions.append(operation.change(batch))
                except DialectError as error:
                    check_refusal(error)
    except DialectError as error:
        check_refusal(error)
        return
    for submission in submissions:
        stored = batch_of(submission, sender=submission.sender or owner.default_from)
        assert json.loads(json.dumps(dict(submission.extra))) == submission.extra
        shown = json.loads(responses.write_created(None, NewBatch(stored, [])).body)
        assert shown["id"] == BATCH_ID
        assert all(leaf is not None and not (isinstance(leaf, str) and "\0" in leaf) for leaf in leaves(shown))


def call_for(route, body=b"", query=None, params=None, content_type="application/json"):
    known = {"service_plan_id": "plan1", "batch_id": BATCH_ID, "recipient": "46701740611"}
    return Call(route.method, known | (params or {}), query or {}, content_type, {}, body, NOW)


WRITES = [route for route in ROUTES if route.method in ("POST", "PUT")]
READS = [route for route in ROUTES if route.method not in ("POST", "PUT")]


@given(st.sampled_from(WRITES), st.binary(max_size=200), OWNERS)
@example(WRITES[0], b"[" * 200_000, account())
@example(WRITES[0], b'{"x":' * 200_000, account())
@example(WRITES[0], b'{"to":' + b"[" * 200_000, account())
@example(WRITES[0], b'{"max_number_of_message_parts":' + b"9" * 100_000 + b"}", account())
@example(WRITES[0], b'{"max_number_of_message_parts":"' + b"9" * 100_000 + b'"}', account())
@example(WRITES[0], b'{"from_ton":NaN}', account())
@example(WRITES[0], b'{"from_ton":-1e999}', account())
@example(WRITES[0], b'{"body":"\\ud800","to":["46701740611"],"from":"1"}', account())
@example(WRITES[0], b'{"body":"a","body":5,"to":["46701740611"],"from":"1"}', account())
@example(WRITES[0], b'\xef\xbb\xbf{"body":"a"}', account())
@settings(deadline=None)
def test_any_octets(route, octets, owner):
    check(route, call_for(route, octets), owner)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "46701740611",
            "+46701740611",
            "abcdefghijkl",
            "Shop",
            "mt_text",
            "mt_binary",
            "mt_media",
            "full",
            "none",
            "per_recipient",
            "2031-03-10T00:00Z",
            "9998-12-31T23:59:59.999999999-23:59",
            "0002-01-01T00:00+23:59",
            "http://a/",
            "AAEC",
            "00ff",
            "3",
            10**25,
            "x" * 2001,
            "\0",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["url", "message", "default", "46701740611", "k"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=8,
)
FIELDS = [name if name != "sender" else "from" for name in BatchUpdateIn.__struct_fields__] + [
    "to",
    "recipients",
    "tags",
]


@given(
    st.sampled_from(WRITES),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
    st.booleans(),
    OWNERS,
)
@settings(deadline=None, max_examples=400)
def test_any_values_in_any_fields(route, fields, whole, owner):
    base = {"from": "46701740605", "to": ["46701740611"], "body": "x"} if whole else {}
    check(route, call_for(route, json.dumps(base | fields).encode()), owner)


PLAIN_FIELDS: dict[str, list[Any]] = {
    "from": [
        "46701740605",
        "+46701740605",
        "0046701740605",
        "Shop",
        "Shop of twelve",
        "12345",
        "1" * 16,
        "",
        None,
        "é",
    ],
    "to": [["46701740611"], ["+46701740611", "46701740611"], ["0701"], ["grouptogroup"], ["4670174061x"], [], None],
    "body": ["Parcel", "", "x" * 2000, "x" * 2001, None, {"url": "http://a/"}],
    "type": ["mt_text", "mt_binary", None],
    "delivery_report": ["none", "full", "per_recipient_final", None],
    "callback_url": ["http://a/", "HTTPS://b/" + "x" * 2048, "ftp://a/", "", None],
    "client_reference": ["order", "", "x" * 2049, None],
    "feedback_enabled": [True, False, None],
    "flash_message": [True, False, None],
    "expire_at": ["2031-03-10T00:00Z", "soon", None],
    "truncate_concat": [True, None],
    "parameters": [{"k": {"default": "v"}}, {}, None],
    "max_number_of_message_parts": [1, 0, "2", None],
}


@given(
    st.fixed_dictionaries({}, optional={name: st.sampled_from(list(of)) for name, of in PLAIN_FIELDS.items()}), OWNERS
)
@settings(deadline=None, max_examples=600)
def test_a_plain_batch_is_read_as_by_all_the_rules(fields, owner):
    given_ = msgspec.convert({"from": "Shop", "to": ["46701740611"], "body": "x"} | fields, BatchIn)

    def by_the_rules():
        return requests._submission(given_, owner, NOW)

    assert outcome_of(lambda: requests._plain_submission(given_, owner) or by_the_rules()) == outcome_of(by_the_rules)


def outcome_of(read):
    try:
        return read()
    except DialectError as refused:
        return refused.answer


def test_the_commonest_batches_are_read_at_once():
    for more in (
        {},
        {"type": "mt_text", "delivery_report": "full", "callback_url": "http://a/"},
        {"to": ["12345"] * 2},
    ):
        given_ = msgspec.convert({"from": "Shop", "to": ["+46701740611"], "body": "x"} | more, BatchIn)
        assert requests._plain_submission(given_, account()) is not None


WORDS = st.text(max_size=12) | st.sampled_from(
    ["0", "-1", "9" * 5000, "\0", "\ud800", "2031-03-09", "Delivered", "full", ","]
)
NAMES = [
    "page",
    "page_size",
    "from",
    "start_date",
    "end_date",
    "client_reference",
    "type",
    "status",
    "code",
    "per_recipient",
    "number_of_recipients",
]


@given(
    st.sampled_from(ROUTES),
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), st.lists(WORDS, max_size=3), max_size=5),
    st.fixed_dictionaries({}, optional={"batch_id": WORDS, "recipient": WORDS}),
)
@settings(deadline=None)
def test_any_query_and_path(route, query, params):
    body = b'{"from":"1","to":["46701740611"],"body":"x","recipients":[]}' if route in WRITES else b""
    check(route, call_for(route, body, query, params), account())


@given(st.text(max_size=30))
def test_any_content_type_that_is_not_json_is_415(content_type):
    for route in WRITES:
        if content_type != "application/json":
            with pytest.raises(DialectError) as caught:
                route.read(call_for(route, b"{}", content_type=content_type), account())
            assert (caught.value.answer.status, caught.value.answer.body) == (415, b"")
