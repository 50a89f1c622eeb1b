"""Any octets make an operation, an answer or a refusal in the version's own shape, nothing else (P23)."""

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvitto.core.operations import Send
from kvitto.dialects.base import Answer, Call, DialectError
from kvitto.dialects.infobip import InfobipDialect, wire, xml
from kvitto.dialects.infobip.wire import AdvancedIn, MessagesIn, TextIn
from tests.support.infobip import NOW, ONE, account, stored

DIALECT = InfobipDialect(path_prefix="/restapi")
OWNERS = st.sampled_from(
    [account(), account(default_from=None), account(allowed_senders=("Bakery",)), account(callback_url="http://a/")]
)
ACCEPTS = st.sampled_from(["application/json", "application/xml", ""])


def check_refusal(answer: Answer, version: int) -> None:
    assert 400 <= answer.status < 500
    if answer.content_type.startswith("application/xml"):
        root = ElementTree.fromstring(answer.body)
        assert root.tag == ("ApiError" if version == 3 else "ApiException")
        return
    shown = json.loads(answer.body)
    if version == 3:
        assert set(shown) == {"errorCode", "description", "action", "violations", "resources"}
    else:
        assert set(shown["requestError"]["serviceException"]) <= {"messageId", "text", "validationErrors"}
    assert len(answer.body) < 20_000


def check(route: Any, call: Call, owner: Any) -> None:
    """Read the call; what a send makes must also be storable and answerable."""
    version = 3 if "/sms/3/" in route.path else 1
    try:
        operation = route.read(call, None if route.open else owner)
    except DialectError as error:
        check_refusal(error.answer, version)
        return
    if isinstance(operation, Answer):
        assert operation.status == 200
        answer = operation
    elif isinstance(operation, Send):
        for submission in (operation.submission, *operation.submission.more):
            assert submission.recipients
            assert not submission.client_ids or len(submission.client_ids) == len(submission.recipients)
            assert all(one.isdigit() and 5 <= len(one) <= 15 for one in submission.recipients)
            assert json.loads(json.dumps(dict(submission.extra))) == submission.extra
            assert "\0" not in submission.content.text
        answer = route.write(operation, stored(operation.submission))
    else:
        return
    if answer.content_type.startswith("application/xml"):
        ElementTree.fromstring(answer.body)
    else:
        items = json.loads(answer.body)["messages"]
        assert all(item["status"]["groupName"] in ("PENDING", "REJECTED") for item in items)


def call_for(
    route: Any, body: bytes = b"", query: Any = None, content_type: str = "application/json", accept: str = ""
) -> Call:
    headers = {"accept": accept} if accept else {}
    return Call(route.method, {}, query or {}, content_type, headers, body, NOW, route.path)


WRITES = [route for route in DIALECT.routes if route.method in ("POST", "PUT") and "query" not in route.path]
READS = [route for route in DIALECT.routes if route not in WRITES]
SENDS = [route for route in WRITES if "/text/" in route.path or route.path.endswith("/messages")]


@given(st.sampled_from(WRITES), st.binary(max_size=200), OWNERS, ACCEPTS)
@example(WRITES[0], b"[" * 200_000, account(), "")
@example(WRITES[0], b'{"regional":' * 100_000, account(), "")
@example(WRITES[0], b'{"regional":' + b"[" * 100_000, account(), "")
@example(WRITES[0], b'{"validityPeriod":' + b"9" * 100_000 + b',"to":"41790000001"}', account(), "")
@example(WRITES[0], b'{"to":"41790000001","validityPeriod":1e400}', account(), "")
@example(WRITES[0], b'{"to":"41790000001","text":"\\ud800"}', account(), "application/xml")
@example(WRITES[0], b'{"to":"a\\u0001","text":"\\u0001"}', account(), "application/xml")
@example(WRITES[0], b'\xef\xbb\xbf{"to":"41790000001"}', account(), "")
@settings(deadline=None)
def test_any_octets_as_json(route, octets, owner, accept):
    check(route, call_for(route, octets, accept=accept), owner)


@given(st.sampled_from(WRITES), st.binary(max_size=200) | st.text(max_size=100).map(str.encode), OWNERS, ACCEPTS)
@settings(deadline=None)
def test_any_octets_as_xml(route, octets, owner, accept):
    check(route, call_for(route, octets, content_type="application/xml", accept=accept), owner)


SHAPES = [one for one in vars(wire).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
NAMES = sorted({name for one in SHAPES for name in one.__struct_encode_fields__})
KEYS = st.sampled_from(NAMES) | st.text(max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            ONE,
            "+" + ONE,
            "Bakery",
            "MONDAY",
            "TR",
            "TURKISH",
            "ALL",
            "NON_UNICODE",
            "HOUR",
            "MINUTE",
            "2031-03-10T10:00:00.000+0000",
            "http://127.0.0.1/",
            "application/xml",
            "00ff",
            10,
            64,
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


MESSAGES = st.lists(
    st.dictionaries(KEYS, VALUES, max_size=6).map(
        lambda one: {"destinations": [{"to": ONE}], "content": {"text": "x"}} | one
    ),
    min_size=1,
    max_size=3,
)


@given(st.sampled_from(SENDS), MESSAGES, st.dictionaries(KEYS, VALUES, max_size=4), OWNERS, ACCEPTS)
@settings(deadline=None)
def test_any_values_in_a_request_that_is_nearly_right(route, messages, top, owner, accept):
    check(route, call_for(route, encoded(top | {"messages": messages, "to": ONE}), accept=accept), owner)


@given(st.sampled_from(WRITES), st.dictionaries(KEYS, VALUES, max_size=6), OWNERS)
@settings(deadline=None)
def test_any_json_objects(route, value, owner):
    check(route, call_for(route, encoded(value)), owner)


def element(name: str, value: Any) -> str:
    if isinstance(value, dict):
        inner = "".join(element(key if key in NAMES else "x", one) for key, one in value.items())
    elif isinstance(value, list):
        inner = "".join(element("i", one) for one in value)
    else:
        inner = xml._text("" if value is None else value)
    return f"<{name}>{inner}</{name}>"


@given(st.sampled_from(SENDS), MESSAGES, st.dictionaries(KEYS, VALUES, max_size=4), OWNERS, ACCEPTS)
@settings(deadline=None)
def test_any_values_in_xml_that_is_nearly_right(route, messages, top, owner, accept):
    body = element("r", top | {"messages": messages, "to": ONE}).encode("utf-8", "replace")
    check(route, call_for(route, body, content_type="text/xml", accept=accept), owner)


QUERY = st.dictionaries(
    st.sampled_from(
        [
            "to",
            "from",
            "sender",
            "destination",
            "text",
            "bulkId",
            "messageId",
            "bulkId[]",
            "limit",
            "peek",
            "mcc",
            "mnc",
            "generalStatus",
            "sentSince",
            "sentUntil",
            "useCursor",
            "cursor",
            "flash",
            "notify",
            "notifyUrl",
            "sendAt",
            "validityPeriod",
            "transliteration",
            "notifyContentType",
            "callbackData",
            "applicationId",
            "entityId",
        ]
    )
    | st.text(max_size=6),
    st.lists(
        st.text(max_size=20)
        | st.sampled_from([ONE, "1", "-1", "true", "228", "PENDING", "2031-03-09T05:06:07Z", "A,B"]),
        min_size=1,
        max_size=3,
    ),
    max_size=8,
)


@given(st.sampled_from(READS), QUERY, OWNERS, ACCEPTS)
@settings(deadline=None)
def test_any_query(route, query, owner, accept):
    check(route, call_for(route, query=query, accept=accept), owner)


@given(st.text(max_size=60), st.sampled_from(["/sms/1/text/query", "/sms/3/reports", ""]), QUERY)
def test_any_authorization(value, path, query):
    made = Call("GET", {}, query, "", {"authorization": value}, b"", NOW, path)
    found = DIALECT.credentials(made)
    assert found is None or found.token or found.username is not None


@given(st.binary(max_size=300))
def test_xml_is_read_or_refused(octets):
    for shape in (TextIn, AdvancedIn, MessagesIn):
        try:
            found = xml.read(octets, shape)
        except xml.XmlError:
            continue
        assert isinstance(found, dict)
