"""Reading at Infobip: reports, logs, scheduled bulks, sessions, refusals (docs/dialects/infobip.md 1, 4 to 6, 8)."""

import base64
import json

import pytest

from kvitto.core.model import ContentKind, FeedPage, LogPage, Schedule, ScheduleState
from kvitto.core.operations import OpenSession, Session
from kvitto.core.status import Reason, Status
from kvitto.dialects.base import Credentials, DialectError, Problem
from kvitto.dialects.infobip import InfobipDialect
from tests.support.infobip import BATCH_ID, DIALECT, NOW, ONE, account, at, call, message, read, refusal, route_of

DELIVERED = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
NO_ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}


class Swiss:
    """Numbers and prices of one country."""

    def mccmnc(self, number):
        return "22801" if number.startswith("4179") else None

    def price(self, mccmnc):
        return (0.01, "CHF") if mccmnc else (0.0001, "EUR")


TARIFF = InfobipDialect(Swiss(), Swiss())


def reports(target, *messages, handing=None, dialect=DIALECT):
    """The JSON answer to a read of reports."""
    route = route_of("GET", target.partition("?")[0], dialect)
    answer = route.write(read("GET", target, dialect=dialect), FeedPage(list(messages), handing))
    assert (answer.status, answer.content_type, answer.handing) == (200, "application/json;charset=UTF-8", handing)
    return json.loads(answer.body)


def logs(target, *messages, cursor=None, dialect=DIALECT):
    """The JSON answer to a read of logs."""
    route = route_of("GET", target.partition("?")[0], dialect)
    return json.loads(route.write(read("GET", target, dialect=dialect), LogPage(list(messages), cursor)).body)


def named(target):
    """The field that a refused GET names."""
    status, shown = refusal("GET", target)
    assert status == 400
    if "errorCode" in shown:
        return shown["violations"][0]["property"]
    return next(iter(shown["requestError"]["serviceException"]["validationErrors"]))


# --- 4: reports


def test_i4_the_report_of_version_1():
    shown = reports("/sms/1/reports", message(client_id="ORDER-77-1", batch_client_id="ORDER-77"), dialect=TARIFF)
    assert shown == {
        "results": [
            {
                "bulkId": "ORDER-77",
                "messageId": "ORDER-77-1",
                "to": ONE,
                "from": "Bakery",
                "sentAt": "2031-03-09T05:06:01.120+0000",
                "doneAt": "2031-03-09T05:06:05.000+0000",
                "smsCount": 1,
                "mccMnc": "22801",
                "price": {"pricePerMessage": 0.01, "currency": "CHF"},
                "status": DELIVERED,
                "error": NO_ERROR,
            }
        ]
    }


def test_i4_the_report_of_version_3():
    given = message(
        client_reference="shop=3", extra={"v": 3, "entityId": "e", "applicationId": "a", "campaignReferenceId": "c"}
    )
    assert reports("/sms/3/reports", given) == {
        "results": [
            {
                "bulkId": BATCH_ID,
                "messageId": given.id,
                "to": ONE,
                "sender": "Bakery",
                "sentAt": "2031-03-09T05:06:01.120+0000",
                "doneAt": "2031-03-09T05:06:05.000+0000",
                "messageCount": 1,
                "price": {"pricePerMessage": 0.0, "currency": "EUR"},
                "callbackData": "shop=3",
                "status": DELIVERED,
                "error": NO_ERROR,
                "platform": {"entityId": "e", "applicationId": "a"},
                "campaignReferenceId": "c",
            }
        ]
    }
    flat = reports("/sms/1/reports", given)["results"][0]
    assert (flat["entityId"], flat["applicationId"], flat["campaignReferenceId"]) == ("e", "a", "c")


def test_i4_nothing_unread_is_an_empty_list():
    for version in (1, 2, 3):
        assert reports(f"/sms/{version}/reports") == {"results": []}


def test_i4_what_was_taken_is_handed_over_with_the_answer():
    assert reports("/sms/1/reports", message(), handing=17)["results"]


def test_i4_what_is_not_known_is_left_out_and_the_end_is_when_we_saw_it():
    shown = reports("/sms/1/reports", message(done_at=None, sender=None, sent_at=0))["results"][0]
    assert not {"mccMnc", "callbackData", "from", "entityId"} & set(shown)
    assert shown["doneAt"] == "2031-03-09T05:06:05.502+0000"
    assert shown["sentAt"] == "2031-03-09T05:06:01.120+0000"


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("", 50),
        ("limit=", 50),
        ("limit=1", 1),
        ("limit=10000", 10_000),
        ("limit=10001", 10_000),
        ("limit=99999999999999999999999999", 10_000),
        ("limit=0000000000000000000000000003", 3),
        ("limit=3&limit=5", 5),
    ],
)
def test_i4_limits_of_version_1(query, limit):
    assert read("GET", f"/sms/1/reports?{query}").limit == limit
    assert read("GET", f"/sms/2/reports?{query}").limit == limit


def test_i4_the_limit_of_version_3():
    assert read("GET", "/sms/3/reports").limit == 50
    assert read("GET", "/sms/3/reports?limit=1000").limit == 1_000
    assert read("GET", "/sms/3/reports?limit=1001").limit == 1_000


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "٣", "-" + "9" * 30, "%00"])
@pytest.mark.parametrize("path", ["/sms/1/reports", "/sms/3/reports", "/sms/1/logs", "/sms/3/logs"])
def test_i4_limits_that_are_none(path, value):
    assert named(f"{path}?limit={value}") == "limit"


def test_i4_filters_by_id():
    operation = read("GET", "/sms/1/reports?bulkId=B,1&messageId=M")
    assert (operation.filter.batch_ids, operation.filter.message_ids) == (("B,1",), ("M",))
    empty = read("GET", "/sms/1/reports?bulkId=&messageId=&applicationId=")
    assert empty == read("GET", "/sms/1/reports")
    clipped = read("GET", "/sms/1/reports?bulkId=" + "b" * 101).filter.batch_ids
    assert clipped == ("b" * 100,)


def test_i4_filters_by_application():
    keeps = read("GET", "/sms/3/reports?applicationId=a&entityId=e&campaignReferenceId=c").filter.keeps
    extra = {"applicationId": "a", "entityId": "e", "campaignReferenceId": "c"}
    assert keeps(message(extra=extra))
    for name in extra:
        assert not keeps(message(extra=extra | {name: "other"}))
    assert not keeps(message())


@pytest.mark.parametrize(("query", "peek"), [("", False), ("peek=true", True), ("peek=false", False), ("peek=1", True)])
def test_i4_peek_is_ours_and_leaves_reports_unread(query, peek):
    assert read("GET", f"/sms/1/reports?{query}").peek is peek


def test_i4_peek_is_true_or_false():
    assert named("/sms/1/reports?peek=maybe") == "peek"


# --- 5: logs


def test_i5_the_log_of_version_1_has_no_callback_data():
    shown = logs("/sms/1/logs", message(text="Ready ✓", client_reference="d"), dialect=TARIFF)["results"][0]
    assert shown == {
        "bulkId": BATCH_ID,
        "messageId": BATCH_ID[:-1] + "1",
        "to": ONE,
        "from": "Bakery",
        "text": "Ready ✓",
        "sentAt": "2031-03-09T05:06:01.120+0000",
        "doneAt": "2031-03-09T05:06:05.000+0000",
        "smsCount": 1,
        "mccMnc": "22801",
        "price": {"pricePerMessage": 0.01, "currency": "CHF"},
        "status": DELIVERED,
        "error": NO_ERROR,
    }


def test_i5_the_log_of_version_3():
    shown = logs("/sms/3/logs", message(text="Ready"))["results"][0]
    assert (shown["destination"], shown["sender"], shown["messageCount"]) == (ONE, "Bakery", 1)
    assert shown["content"] == {"text": "Ready"}
    octets = message(text="H", extra={"v": 3, "hex": "48", "dataCoding": 0, "esmClass": 0})
    assert logs("/sms/3/logs", octets)["results"][0]["content"] == {"dataCoding": 0, "esmClass": 0, "hex": "48"}
    assert "content" not in logs("/sms/3/logs", message(text=None))["results"][0]
    assert "content" not in logs("/sms/3/logs", message(text="", kind=ContentKind.BINARY))["results"][0]
    assert logs("/sms/3/logs", message(text=""))["results"][0]["content"] == {"text": ""}


def test_i5_pending_messages_have_group_1_and_no_error():
    shown = logs("/sms/1/logs", message(status=Status.QUEUED, reason=Reason.QUEUED, done_at=None, text="x"))
    assert (shown["results"][0]["status"]["groupName"], shown["results"][0]["error"]["id"]) == ("PENDING", 0)
    assert shown["results"][0]["doneAt"] == "2031-03-09T05:06:05.502+0000"


def test_i5_the_cursor_only_for_those_who_ask():
    assert "cursor" not in logs("/sms/3/logs?cursor=x", message(), cursor="next")
    assert logs("/sms/3/logs?useCursor=true&limit=7", message(), cursor="next")["cursor"] == {
        "limit": 7,
        "nextCursor": "next",
    }
    assert logs("/sms/3/logs?useCursor=true", message())["cursor"] == {"limit": 50}
    assert read("GET", "/sms/3/logs?useCursor=true&cursor=abc").cursor == "abc"
    assert read("GET", "/sms/3/logs?useCursor=false&cursor=abc").cursor is None
    assert "cursor" not in logs("/sms/1/logs?useCursor=true", message(), cursor="next")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_i5_every_filter(version):
    sender, recipient = ("sender", "destination") if version == 3 else ("from", "to")
    target = f"/sms/{version}/logs?{sender}=Bakery&{recipient}=%2B{ONE}&bulkId=B1,B2&bulkId=B3&messageId=M"
    target += "&sentSince=2031-03-09T05:06:01.120+0000&sentUntil=2031-03-09T05:06:01.120456Z&limit=1001"
    operation = read("GET", target)
    wanted = operation.filter
    assert (wanted.sender, wanted.recipient) == ("Bakery", ONE)
    assert set(wanted.batch_ids) >= {"B1", "B2", "B3"}
    assert wanted.message_ids == ("M",)
    assert (wanted.from_at, wanted.until_at, operation.limit) == (NOW, NOW, 1_000)


def test_i5_ids_repeated_with_commas_and_in_brackets():
    repeated = read("GET", "/sms/3/logs?messageId=M1&messageId=M2").filter.message_ids
    assert repeated == ("M1", "M2")
    assert set(read("GET", "/sms/1/logs?messageId=M1,M2").filter.message_ids) == {"M1,M2", "M1", "M2"}
    assert read("GET", "/sms/1/logs?bulkId[]=B1&bulkId[]=B2").filter.batch_ids == ("B1", "B2")
    assert read("GET", "/sms/1/logs?messageId=" + "m" * 2048).filter.message_ids == ("m" * 200,)
    assert named("/sms/1/logs?messageId=" + "m" * 2049) == "messageId"


def test_i5_general_status_is_a_status_group():
    shows = read("GET", "/sms/1/logs?generalStatus=EXPIRED").filter.shows
    assert shows(Status.UNKNOWN, Reason.NO_RECEIPT, message().error)
    assert not shows(Status.DELIVERED, Reason.DELIVERED, message().error)
    assert read("GET", "/sms/1/logs").filter.shows is None
    assert named("/sms/1/logs?generalStatus=expired") == "generalStatus"


def test_i5_networks():
    keeps = read("GET", "/sms/1/logs?mcc=228&mnc=01", dialect=TARIFF).filter.keeps
    assert keeps(message())
    assert not keeps(message(recipient="46700000001"))
    assert not read("GET", "/sms/1/logs?mcc=228&mnc=02", dialect=TARIFF).filter.keeps(message())
    assert read("GET", "/sms/1/logs?mcc=228", dialect=TARIFF).filter.keeps(message())
    assert not read("GET", "/sms/1/logs?mcc=228&entityId=e", dialect=TARIFF).filter.keeps(message())
    assert named("/sms/1/logs?mnc=01") == "mnc"
    assert named("/sms/1/logs?mcc=x") == "mcc"
    assert named("/sms/1/logs?mcc=2280") == "mcc"


@pytest.mark.parametrize("name", ["sentSince", "sentUntil"])
def test_i5_dates(name):
    assert named(f"/sms/1/logs?{name}=yesterday") == name
    assert named(f"/sms/3/logs?{name}=yesterday") == name
    given = "2031-03-09T06:06:01.120 0100"  # a plus that was not encoded
    assert read("GET", f"/sms/1/logs?{name}={given}").filter in (
        read("GET", f"/sms/1/logs?{name}=2031-03-09T05:06:01.120Z").filter,
    )


def test_i5_a_flag_is_true_or_false():
    assert named("/sms/3/logs?useCursor=perhaps") == "useCursor"


# --- 6: scheduled bulks

SCHEDULE = Schedule(BATCH_ID, "B1", at("2031-03-10T10:00:00Z"), ScheduleState.PENDING)


def bulk(method, target, body=None, schedule=SCHEDULE):
    operation = read(method, target, body)
    answer = route_of(method, target.partition("?")[0]).write(operation, schedule)
    return operation, json.loads(answer.body)


def test_i6_when_a_bulk_leaves():
    operation, shown = bulk("GET", "/sms/1/bulks?bulkId=B1")
    assert operation.batch_id == "B1"
    assert shown == {"bulkId": "B1", "sendAt": "2031-03-10T10:00:00.000+0000"}
    assert bulk("GET", "/sms/1/bulks?bulkId=x", schedule=SCHEDULE._replace(client_id=None))[1]["bulkId"] == BATCH_ID


def test_i6_a_new_time():
    operation, shown = bulk("PUT", "/sms/1/bulks/?bulkId=B1", {"sendAt": "2031-03-11T10:00:00+00:00"})
    assert (operation.batch_id, operation.send_at, operation.state) == ("B1", at("2031-03-11T10:00:00Z"), None)
    assert shown["bulkId"] == "B1"


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (ScheduleState.PENDING, "PENDING"),
        (ScheduleState.PAUSED, "PAUSED"),
        (ScheduleState.PROCESSING, "PROCESSING"),
        (ScheduleState.CANCELLED, "CANCELED"),
        (ScheduleState.FINISHED, "FINISHED"),
        (ScheduleState.FAILED, "FAILED"),
    ],
)
def test_i6_where_a_bulk_stands(state, word):
    _, shown = bulk("GET", "/sms/1/bulks/status?bulkId=B1", schedule=SCHEDULE._replace(state=state))
    assert shown == {"bulkId": "B1", "status": word}


@pytest.mark.parametrize("word", ["PENDING", "PAUSED", "CANCELED"])
def test_i6_states_that_can_be_asked_for(word):
    operation, _ = bulk("PUT", "/sms/1/bulks/status/?bulkId=B1", {"status": word})
    assert operation.state is ScheduleState({"CANCELED": "cancelled"}.get(word, word.lower()))


def put_refused(target, body):
    status, shown = refusal("PUT", target, body)
    assert status == 400
    return next(iter(shown["requestError"]["serviceException"]["validationErrors"]))


@pytest.mark.parametrize("word", ["PROCESSING", "FINISHED", "FAILED", "paused", None])
def test_i6_states_that_cannot(word):
    assert put_refused("/sms/1/bulks/status?bulkId=B1", {"status": word}) == "status"


@pytest.mark.parametrize("body", [{}, {"sendAt": None}, {"sendAt": "soon"}, {"sendAt": "2031-09-06T00:00:00Z"}])
def test_i6_times_that_are_none(body):
    assert put_refused("/sms/1/bulks?bulkId=B1", body) == "sendAt"


@pytest.mark.parametrize("path", ["/sms/1/bulks", "/sms/1/bulks/status"])
def test_i6_the_bulk_must_be_named(path):
    assert named(path) == "bulkId"
    assert named(path + "?bulkId=") == "bulkId"
    assert put_refused(path, {}) == "bulkId"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_i6_an_unknown_bulk_is_404_in_the_old_shape(method):
    body = {"sendAt": "2031-03-11T10:00:00Z"} if method == "PUT" else None
    made = call(method, "/sms/1/bulks?bulkId=B1", body)
    operation = read(method, "/sms/1/bulks?bulkId=B1", body)
    answer = DIALECT.refuse(Problem.NOT_FOUND, text="batch: unknown", call=made, operation=operation)
    assert answer.status == 404
    assert json.loads(answer.body) == {
        "requestError": {"serviceException": {"messageId": "NOT_FOUND", "text": "Bulk not found"}}
    }


# --- 8: refusals


def test_i8_the_401_of_versions_1_and_2_has_97_octets():
    for path in ("/sms/1/reports", "/sms/2/text/advanced", "/sms/1/bulks", "/auth/1/session", "/restapi/sms/1/logs"):
        answer = DIALECT.refuse(Problem.UNAUTHORIZED, call=call("GET", path))
        assert answer.status == 401
        assert answer.body == (
            b'{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED","text":"Invalid login details"}}}'
        )
        assert len(answer.body) == 97


@pytest.mark.parametrize("problem", list(Problem))
def test_i8_every_problem_in_both_shapes(problem):
    old = DIALECT.refuse(problem, call=call("GET", "/sms/1/reports"), allow="GET", retry_after_s=None)
    new = DIALECT.refuse(problem, call=call("GET", "/restapi/sms/3/reports"), allow="GET")
    assert old.status == new.status >= 400
    exception = json.loads(old.body)["requestError"]["serviceException"]
    assert exception["messageId"].isupper()
    assert exception["text"]
    shown = json.loads(new.body)
    assert set(shown) == {"errorCode", "description", "action", "violations", "resources"}
    assert shown["errorCode"] == f"E{new.status}"
    assert shown["resources"] == []


@pytest.mark.parametrize(
    ("problem", "status", "word", "text"),
    [
        (Problem.UNAUTHORIZED, 401, "UNAUTHORIZED", "Invalid login details"),
        (Problem.ACCOUNT_DISABLED, 403, "UNAUTHORIZED", "Unauthorized access"),
        (Problem.NOT_FOUND, 404, "NOT_FOUND", "Requested resource not found"),
        (Problem.THROTTLED, 429, "TOO_MANY_REQUESTS", "Too many requests"),
        (Problem.INTERNAL, 500, "GENERAL_ERROR", "Something went wrong. Please contact support."),
        (Problem.UNAVAILABLE, 500, "GENERAL_ERROR", "Something went wrong. Please contact support."),
    ],
)
def test_i8_the_words_of_the_vendor(problem, status, word, text):
    answer = DIALECT.refuse(problem, call=call("GET", "/sms/1/reports"))
    assert answer.status == status
    assert json.loads(answer.body) == {"requestError": {"serviceException": {"messageId": word, "text": text}}}


@pytest.mark.parametrize(
    ("body", "field"), [({"messages": []}, "messages"), ({"messages": 1}, "messages"), (b"{", "body"), (b"[]", "body")]
)
def test_i8_what_is_wrong_stands_beside_the_vendors_sentence(body, field):
    violation = refusal("POST", "/sms/3/messages", body)[1]["violations"][0]
    assert violation["property"] == field
    assert refusal("POST", "/sms/1/text/advanced", body)[1]["requestError"]["serviceException"] == {
        "messageId": "BAD_REQUEST",
        "text": "Bad request",
        "validationErrors": {field: [violation["violation"]]},
    }


def test_i4_i5_windows_are_settings_and_off_by_default():
    hour_ms = 3_600_000
    assert read("GET", "/sms/1/reports").filter.ended_from is None
    assert read("GET", "/sms/1/logs").filter.from_at is None
    bounded = InfobipDialect(report_hours=48, log_hours=24)
    assert read("GET", "/sms/3/reports", dialect=bounded).filter.ended_from == NOW - 48 * hour_ms
    for asked, from_at in (
        ("", NOW - 24 * hour_ms),
        ("?sentSince=2031-03-01T00:00:00Z", NOW - 24 * hour_ms),
        ("?sentSince=2031-03-09T05:00:00Z", at("2031-03-09T05:00:00Z")),
    ):
        assert read("GET", f"/sms/1/logs{asked}", dialect=bounded).filter.from_at == from_at


def test_i8_headers():
    assert ("Retry-After", "1") in DIALECT.refuse(Problem.THROTTLED).headers
    assert ("Retry-After", "7") in DIALECT.refuse(Problem.UNAVAILABLE, retry_after_s=7).headers
    assert ("Allow", "GET, HEAD") in DIALECT.refuse(Problem.METHOD_NOT_ALLOWED, allow="GET, HEAD").headers
    assert any(name == "WWW-Authenticate" for name, _ in DIALECT.refuse(Problem.UNAUTHORIZED).headers)


def test_i8_a_cursor_that_is_not_ours_is_named():
    answer = DIALECT.refuse(Problem.INVALID_CURSOR, call=call("GET", "/sms/3/logs"))
    shown = json.loads(answer.body)
    assert (answer.status, shown["errorCode"]) == (400, "E400")
    assert shown["violations"] == [{"property": "cursor", "violation": "cursor is not one of ours"}]


# --- 1: who is calling


def presented(value, path="/sms/1/reports"):
    headers = {} if value is None else {"authorization": value}
    return DIALECT.credentials(call("GET", path, headers=headers))


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_i1_the_four_schemes_in_any_case():
    assert presented(basic("shop:se:cret")) == Credentials(username="shop", password="se:cret")
    assert presented(basic("shop:").lower().replace("basic", "BASIC").replace("c2hvcdo=", "c2hvcDo=")) == Credentials(
        username="shop", password=""
    )
    for scheme in ("App", "app", "IBSSO", "ibsso", "Bearer", "BEARER"):
        assert presented(f"{scheme} T0ken") == Credentials(token="T0ken")


@pytest.mark.parametrize(
    "value",
    [None, "", "App", "App ", "Basic", "Basic ?", "Basic " + base64.b64encode(b"x").decode(), "Digest x", "T0ken"],
)
def test_i1_what_presents_nothing(value):
    assert presented(value) is None


def test_i3_4_version_1_takes_user_and_password_from_the_query():
    query = "?username=shop&password=secret&to=1"
    assert presented(None, "/sms/1/text/query" + query) == Credentials(username="shop", password="secret")
    assert presented(None, "/restapi/sms/1/text/query" + query) == Credentials(username="shop", password="secret")
    assert presented(None, "/sms/1/reports" + query) is None
    assert presented(None, "/sms/2/text/query" + query) is None
    assert presented(None, "/sms/1/text/query?username=shop") is None
    assert presented("App T", "/sms/1/text/query" + query) == Credentials(token="T")


def opened(path, body, **more):
    route = route_of("POST", path)
    assert route.open
    return route.read(call("POST", path, body, **more), None)


def test_i1_a_session():
    operation = opened("/auth/1/session", {"username": "shop", "password": "secret"})
    assert operation == OpenSession(username="shop", password="secret", lifetime_s=3_600)
    answer = route_of("POST", "/auth/1/session").write(operation, Session("T", NOW))
    assert json.loads(answer.body) == {"token": "T"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"client_id=shop&client_secret=se%2Bcret&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b'{"client_id":"shop","client_secret":"se+cret","grant_type":"client_credentials"}', "application/json"),
    ],
)
def test_i1_an_oauth2_token(body, content_type):
    operation = opened("/auth/1/oauth2/token", body, content_type=content_type)
    assert operation == OpenSession(username="shop", password="se+cret", lifetime_s=3_600)
    answer = route_of("POST", "/auth/1/oauth2/token").write(operation, Session("T", NOW))
    assert json.loads(answer.body) == {"access_token": "T", "token_type": "Bearer", "expires_in": 3_600}
    assert ("Cache-Control", "no-store") in answer.headers


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/1/session", {}),
        ("/auth/1/session", {"username": "a"}),
        ("/auth/1/session", {"username": "a\0", "password": "b"}),
        ("/auth/1/oauth2/token", {"client_id": "a"}),
        ("/auth/1/oauth2/token", {"client_id": "a", "client_secret": "b", "grant_type": "password"}),
    ],
)
def test_i1_sessions_need_user_and_password(path, body):
    with pytest.raises(DialectError) as refused:
        opened(path, body)
    assert refused.value.answer.status == 400


# --- 0: paths


def test_i0_a_prefix_shows_every_route_twice():
    dialect = InfobipDialect(path_prefix="/restapi")
    paths = [(route.method, route.path) for route in dialect.routes]
    assert len(paths) == len(set(paths)) == 2 * len(DIALECT.routes)
    assert ("GET", "/restapi/sms/1/reports") in paths
    assert "/restapi/sms/3" in dialect.prefixes


@pytest.mark.parametrize(("wish", "first_final"), [(None, False), (True, False), (False, True)])
@pytest.mark.parametrize("path", ["/sms/1/reports", "/sms/3/reports", "/sms/1/logs", "/sms/3/logs"])
def test_r45_an_account_that_wants_no_corrections_reads_first_ends(path, wish, first_final):
    assert read("GET", path, owner=account(late_corrections=wish)).filter.first_final is first_final
