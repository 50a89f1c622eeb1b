"""The vendor's own Python client 6.0.0, unmodified, against the running server (docs/dialects/infobip.md 11)."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import infobip_api_client as infobip
import pytest
from infobip_api_client.api.sms_api import SmsApi

ONE, TWO, THREE = "46701740611", "46701740612", "46701740613"
GONE = "999000000010"
"""The simulator says UNDELIV with err 027 (`kvitto simulate numbers`)."""


def until(read: Callable[[], Any], holds: Callable[[Any], Any], *, within_s: float = 15.0) -> Any:
    """Read again until what is read is as it should be."""
    last = time.monotonic() + within_s
    while not holds(found := read()):
        assert time.monotonic() < last, found
        time.sleep(0.05)
    return found


@pytest.fixture
def api(server) -> SmsApi:
    settings = infobip.Configuration(host=server.origin, api_key=server.api_token)
    return SmsApi(infobip.ApiClient(settings))


@pytest.fixture
def bulk_id() -> str:
    """A bulk id of this test's own."""
    return f"B-{uuid.uuid4()}"


def request(bulk_id: str, *numbers: str, ids: bool = False, schedule: dict[str, Any] | None = None, **more: Any) -> Any:
    """A request of one text to these numbers, as the client's models have it."""
    destinations = [
        infobip.SmsDestination(to=number, message_id=f"{bulk_id}-{at}" if ids else None)
        for at, number in enumerate(numbers, 1)
    ]
    content = infobip.SmsMessageContent(infobip.SmsTextContent(text="Your parcel is here"))
    message = infobip.SmsMessage(sender="Bakery", destinations=destinations, content=content, **more)
    options = infobip.SmsMessageRequestOptions(
        schedule=infobip.SmsRequestSchedulingSettings(bulk_id=bulk_id, **(schedule or {})),
        include_sms_count_in_response=True,
    )
    return infobip.SmsRequest(messages=[message], options=options)


def reports(api: SmsApi, bulk_id: str, count: int) -> list[Any]:
    """Read unread reports of the bulk until there were so many."""
    found: list[Any] = []

    def read() -> list[Any]:
        found.extend(api.get_outbound_sms_message_delivery_reports(bulk_id=bulk_id, limit=1).results or [])
        return found

    return until(read, lambda got: len(got) >= count)


def test_i11_a_text_goes_out_and_its_reports_are_read_once(api, bulk_id):
    sent = api.send_sms_messages(request(bulk_id, "+" + ONE, TWO, ids=True))
    assert sent.bulk_id == bulk_id
    assert [item.destination for item in sent.messages] == [ONE, TWO]
    assert [item.message_id for item in sent.messages] == [f"{bulk_id}-1", f"{bulk_id}-2"]
    assert {(item.status.group_name, item.status.id) for item in sent.messages} == {("PENDING", 26)}
    assert [item.details.message_count for item in sent.messages] == [1, 1]
    got = reports(api, bulk_id, 2)
    assert {(one.to, one.message_id, one.sender) for one in got} == {
        (ONE, f"{bulk_id}-1", "Bakery"),
        (TWO, f"{bulk_id}-2", "Bakery"),
    }
    assert {(one.status.group_name, one.status.name, one.error.name) for one in got} == {
        ("DELIVERED", "DELIVERED_TO_HANDSET", "NO_ERROR")
    }
    assert all(one.bulk_id == bulk_id and one.message_count == 1 and one.price.currency == "EUR" for one in got)
    assert all(one.sent_at <= one.done_at for one in got)
    assert api.get_outbound_sms_message_delivery_reports(bulk_id=bulk_id).results == []


def test_i11_an_error_of_the_network(api, bulk_id):
    api.send_sms_messages(request(bulk_id, GONE))
    (report,) = reports(api, bulk_id, 1)
    assert (report.status.group_name, report.status.name) == ("UNDELIVERABLE", "UNDELIVERABLE_NOT_DELIVERED")
    assert (report.error.id, report.error.name, report.error.permanent) == (27, "EC_ABSENT_SUBSCRIBER", False)
    assert report.error.group_name == "HANDSET_ERRORS"


def test_i11_logs_by_every_filter_and_by_pages(api, bulk_id):
    began = datetime.now(UTC) - timedelta(seconds=5)
    api.send_sms_messages(request(bulk_id, ONE, TWO, THREE, ids=True))
    found = until(
        lambda: api.get_outbound_sms_message_logs(bulk_id=[bulk_id]).results,
        lambda got: len(got) == 3 and {one.status.group_name for one in got} == {"DELIVERED"},
    )
    assert {(one.sender, one.content.actual_instance.text) for one in found} == {("Bakery", "Your parcel is here")}
    one = api.get_outbound_sms_message_logs(message_id=[f"{bulk_id}-1", f"{bulk_id}-3"], sent_since=began)
    assert {log.destination for log in one.results} == {ONE, THREE}
    narrow = api.get_outbound_sms_message_logs(
        bulk_id=[bulk_id], destination=TWO, sender="Bakery", general_status="DELIVERED", sent_until=datetime.now(UTC)
    )
    assert [log.message_id for log in narrow.results] == [f"{bulk_id}-2"]
    seen, cursor = [], None
    while True:
        page = api.get_outbound_sms_message_logs(bulk_id=[bulk_id], limit=2, use_cursor=True, cursor=cursor)
        seen += [log.message_id for log in page.results]
        cursor = page.cursor.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == [f"{bulk_id}-{at}" for at in (1, 2, 3)]
    assert api.get_outbound_sms_message_logs(bulk_id=["nobody's"]).results == []


def test_i11_a_scheduled_bulk_is_moved_held_and_cancelled(api, bulk_id):
    first = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    api.send_sms_messages(request(bulk_id, ONE, schedule={"send_at": first}))
    assert api.get_scheduled_sms_messages(bulk_id=bulk_id).send_at == first
    later = first + timedelta(hours=1)
    moved = api.reschedule_sms_messages(bulk_id=bulk_id, sms_bulk_request=infobip.SmsBulkRequest(send_at=later))
    assert (moved.bulk_id, moved.send_at) == (bulk_id, later)
    assert api.get_scheduled_sms_messages_status(bulk_id=bulk_id).status == "PENDING"
    for status in ("PAUSED", "PENDING", "CANCELED"):
        wanted = infobip.SmsUpdateStatusRequest(status=status)
        changed = api.update_scheduled_sms_messages_status(bulk_id=bulk_id, sms_update_status_request=wanted)
        assert (changed.bulk_id, changed.status) == (bulk_id, status)
        assert api.get_scheduled_sms_messages_status(bulk_id=bulk_id).status == status
    (report,) = reports(api, bulk_id, 1)
    assert (report.status.name, report.error.name) == ("UNDELIVERABLE_NOT_SENT", "EC_MESSAGE_CANCELED")


def test_i11_a_bulk_that_was_never_scheduled_is_not_found(api, bulk_id):
    with pytest.raises(infobip.exceptions.NotFoundException) as refused:
        api.get_scheduled_sms_messages(bulk_id=bulk_id)
    assert json.loads(refused.value.body or "") == {
        "requestError": {"serviceException": {"messageId": "NOT_FOUND", "text": "Bulk not found"}}
    }


def test_i11_pushes_come_in_the_shape_of_version_3(api, bulk_id, sink):
    webhooks = infobip.SmsWebhooks(delivery=infobip.SmsMessageDeliveryReporting(url=sink.url), callback_data="shop=3")
    numbers = [str(46701740600 + at) for at in range(30)]
    api.send_sms_messages(request(bulk_id, *numbers, ids=True, webhooks=webhooks))

    def results() -> list[Any]:
        read: list[Any] = [infobip.SmsDeliveryResult.from_json(post.body) for post in sink.received]
        return [one for result in read for one in result.results]

    got = until(results, lambda found: len(found) >= 30)
    assert {one.message_id for one in got} == {f"{bulk_id}-{at}" for at in range(1, 31)}
    assert {(one.callback_data, one.status.name) for one in got} == {("shop=3", "DELIVERED_TO_HANDSET")}
    assert {post.headers["content-type"] for post in sink.received} == {"application/json;charset=UTF-8"}
    assert api.get_outbound_sms_message_delivery_reports(bulk_id=bulk_id).results == []


def test_i11_refusals_are_read_by_the_clients_own_models(api, server, bulk_id):
    wrong = SmsApi(infobip.ApiClient(infobip.Configuration(host=server.origin, api_key="nobody")))
    refused: Any
    with pytest.raises(infobip.exceptions.UnauthorizedException) as refused:
        wrong.get_outbound_sms_message_delivery_reports()
    assert (refused.value.status, refused.value.data.error_code) == (401, "E401")
    with pytest.raises(infobip.exceptions.BadRequestException) as refused:
        api.get_outbound_sms_message_logs(use_cursor=True, cursor="not one of ours")
    assert json.loads(refused.value.body or "")["violations"][0]["property"] == "cursor"
    nowhere = infobip.SmsWebhooks(delivery=infobip.SmsMessageDeliveryReporting(url="nowhere"))
    with pytest.raises(infobip.exceptions.BadRequestException) as refused:
        api.send_sms_messages(request(bulk_id, ONE, webhooks=nowhere))
    (violation,) = refused.value.data.violations
    assert (refused.value.data.error_code, violation.var_property) == ("E400", "messages[0].webhooks.delivery.url")
    sent = api.send_sms_messages(request(bulk_id, "nobody", ONE))
    assert [(item.status.group_name, item.status.id) for item in sent.messages] == [("REJECTED", 52), ("PENDING", 26)]


def ask(server, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, bytes]:
    """One request by hand: status, content type and body."""
    octets = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    fields = {"Authorization": f"App {server.api_token}", "Content-Type": "application/json"} | headers
    made = urllib.request.Request(server.origin + path, octets, fields, method=method)
    try:
        with urllib.request.urlopen(made) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers["Content-Type"], refused.read()


def test_i1_a_session_opens_every_path(server):
    keys = {"username": server.username, "password": server.password}
    status, _, body = ask(server, "POST", "/auth/1/session", keys, Authorization="")
    assert status == 200
    token = json.loads(body)["token"]
    for scheme in ("IBSSO", "Bearer"):
        assert ask(server, "GET", "/sms/1/logs?limit=1", Authorization=f"{scheme} {token}")[0] == 200
    assert ask(server, "DELETE", "/auth/1/session", Authorization=f"IBSSO {token}")[0] == 204
    until(lambda: ask(server, "GET", "/sms/1/logs", Authorization=f"IBSSO {token}")[0], lambda status: status == 401)
    assert ask(server, "DELETE", "/auth/1/session")[0] == 204
    assert ask(server, "GET", "/sms/1/logs?limit=1")[0] == 200, "the account's own token is no session"
    status, _, body = ask(server, "POST", "/auth/1/session", keys | {"password": "x"}, Authorization="")
    assert (status, json.loads(body)["requestError"]["serviceException"]["messageId"]) == (401, "UNAUTHORIZED")


def test_i3_4_a_query_with_user_and_password(server, bulk_id):
    path = f"/sms/1/text/query?to={ONE}&text=by+query&from=Bakery&bulkId={bulk_id}"
    path += f"&username={server.username}&password={server.password}"
    status, kind, body = ask(server, "GET", path, Authorization="")
    assert (status, kind) == (200, "application/json;charset=UTF-8")
    assert json.loads(body)["bulkId"] == bulk_id


def test_i3_7_xml_in_and_out(server, bulk_id, sink):
    text = f"""<?xml version="1.0" encoding="UTF-8"?><request><bulkId>{bulk_id}</bulkId><messages><message>
      <from>Bakery</from><text>Ready &amp; warm</text><notifyUrl>{sink.url}</notifyUrl>
      <notifyContentType>application/xml</notifyContentType>
      <destinations><destination><to>{ONE}</to></destination></destinations></message></messages></request>"""
    headers = {"Content-Type": "application/xml", "Accept": "application/xml"}
    status, kind, body = ask(server, "POST", "/sms/1/text/advanced", text.encode(), **headers)
    assert (status, kind) == (200, "application/xml;charset=UTF-8")
    assert body.startswith(f"<smsResponse><messages><message><to>{ONE}</to>".encode())
    posts = sink.wait_for(lambda received: received)
    assert posts[0].body.startswith(b"<reportResponse><results><result><bulkId>")
    assert posts[0].headers["content-type"] == "application/xml;charset=UTF-8"
    bomb = b'<!DOCTYPE a [<!ENTITY b "x">]><request><to>&b;</to></request>'
    status, _, body = ask(server, "POST", "/sms/1/text/single", bomb, **headers)
    assert (status, body.startswith(b"<ApiException>")) == (400, True)


def test_i8_unknown_paths_and_methods_in_each_versions_shape(server):
    for path, key in (("/sms/1/nothing", "requestError"), ("/sms/3/nothing", "errorCode")):
        status, _, body = ask(server, "GET", path)
        assert (status, key in json.loads(body)) == (404, True)
        assert ask(server, "GET", path, Authorization="")[0] == 401
    assert ask(server, "DELETE", "/sms/3/messages")[0] == 405
