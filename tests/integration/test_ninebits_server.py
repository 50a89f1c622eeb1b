"""The 9bits dialect on the running server: over HTTP in, over SMPP out, callbacks to a sink, reports fetched
(docs/dialects/ninebits.md).
"""

import json
import re
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.server import AccountKeys, ServerProcess, reserve_port
from tests.support.sink import Received, Reply, Sink

QUICK = {"simulator.delay_min_ms": 1, "simulator.delay_max_ms": 5}
ACKNOWLEDGED = Reply(body=b'{"status":200}')
KEYS = ["sms_id", "ref", "msisdn", "submit_date", "done_date", "status", "sub", "dlvrd", "id_smsc", "error_code"]
UNDELIVERABLE = "999000000010"


class Answered(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """One account's client, of any dialect."""

    def __init__(self, server: ServerProcess, token: str) -> None:
        self.server, self.token = server, token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        octets = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(self.server.origin + path, octets, fields, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return Answered(answer.status, json.loads(text) if text else None, dict(answer.headers))
        except urllib.error.HTTPError as refused:
            text = refused.read()
            return Answered(refused.code, json.loads(text) if text else None, dict(refused.headers))

    def send(self, *to: str, path: str = "/ng/v1/sendsms", **fields: Any) -> Any:
        body = {"from": "myCode", "to": list(to), "content": "Your parcel is here.", **fields}
        answered = self.call("POST", path, body)
        assert answered.status == 200, answered
        return answered.body

    def reports(self, reference_id: str, rest: str = "") -> Answered:
        return self.call("GET", f"/ng/v1/deliveryreports/{reference_id}{rest}")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {**QUICK, "simulator.port": reserve_port()}
    with ServerProcess(tmp_path_factory.mktemp("ninebits"), settings=settings) as running:
        yield running


@pytest.fixture
def sink():
    with Sink() as one:
        one.answer = lambda path, body: ACKNOWLEDGED
        yield one


def keys_of(server: ServerProcess, **settings: Any) -> AccountKeys:
    name = f"shop{reserve_port()}"
    keys = server.create_account(name)
    if settings:
        done = server.run_cli("account", "set", name, *(f"{key}={value}" for key, value in settings.items()))
        assert done.returncode == 0, done.stderr
    return keys


def client_of(server: ServerProcess, **settings: Any) -> Client:
    return Client(server, keys_of(server, **settings).api_token)


def of(received: list[Received], number: str) -> list[str]:
    return [one.json["status"] for one in received if one.json["msisdn"] == number]


def all_ended(received: list[Received], numbers: list[str]) -> bool:
    """Whether each of them was told its end."""
    return {one.json["msisdn"] for one in received if one.json["status"] != "Dispatched"} == set(numbers)


def ended(client: Client, reference_id: str, count: int) -> list[Any]:
    """The reports once that many have an end."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        data = client.reports(reference_id).body["data"]
        if sum(1 for one in data if one["done_date"]) >= count:
            return list(data)
        time.sleep(0.02)
    raise AssertionError(data)


@pytest.mark.parametrize("path", ["/ng/v1/sendsms", "/api/v1/sendsms"])
def test_n10_1_sent_called_back_and_fetched(server, sink, path):
    client = client_of(server, callback_url=sink.url)
    sent = client.send("+2348020000000", UNDELIVERABLE, path=path)
    assert (sent["status_code"], sent["message"]) == (200, "request is queued")
    numbers = ["2348020000000", UNDELIVERABLE]
    # A Dispatched that is overtaken is dropped (5.2), so two, three or four may come.
    received = sink.wait_for(lambda all: all if all_ended(all, numbers) else None)
    assert of(received, numbers[0]) in (["Dispatched", "Delivered"], ["Delivered"])
    for one in received:
        assert list(one.json) == KEYS
        assert re.fullmatch(r"Kvitto/\S+", one.headers["user-agent"])
        assert one.headers["content-type"] == "application/json"
        assert one.json["ref"] == sent["reference_id"]
        assert one.json["id_smsc"]
    fetched = ended(client, sent["reference_id"], 2)
    last = {one.json["msisdn"]: one.json for one in received if one.json["status"] != "Dispatched"}
    assert {one["msisdn"]: one for one in fetched} == last, "what was pushed is what is fetched"
    assert last[numbers[0]]["status"] == "Delivered"
    assert last[UNDELIVERABLE]["dlvrd"] == "000"
    assert [one["sms_id"] for one in sent["data"]] == [one["sms_id"] for one in fetched]


def test_n10_5_what_is_refused_is_told_so_and_nothing_is_stored(server):
    client = client_of(server, quota=2, allowed_senders="myCode")
    good = {"from": "myCode", "to": ["2348020000000"], "content": "a"}
    many = [str(2348020000000 + n) for n in range(1001)]
    stranger = Client(server, "nobody")

    def send(body: Any, **headers: str) -> Answered:
        return client.call("POST", "/ng/v1/sendsms", body, **headers)

    cases = [
        (send(b"{"), 400, "Invalid request"),
        (send({**good, "to": ["1"]}), 400, "Invalid request"),
        (send({**good, "content": "x" * 1601}), 400, "Invalid request"),
        (send({**good, "to": many}), 400, "Invalid request"),
        (send({**good, "to": many[:3]}), 402, "Insufficient balance"),
        (send({**good, "from": "Other"}), 403, "Forbidden"),
        (send(b" " * 1_048_577), 413, "Request too large"),
        (send(good, Content_Type="text/plain"), 415, "Unsupported media type"),
        (stranger.call("POST", "/ng/v1/sendsms", b"{"), 401, "Unauthorized"),
        (stranger.call("GET", "/ng/v1/nowhere"), 401, "Unauthorized"),
        (client.call("GET", "/ng/v1/nowhere"), 404, "Not found"),
        (client.call("GET", "/ng/v1/sendsms"), 405, "Method not allowed"),
        (client.call("DELETE", "/ng/v1/deliveryreports/x"), 405, "Method not allowed"),
    ]
    for answered, status, short in cases:
        assert (answered.status, answered.body["status_code"], answered.body["error"]) == (status, status, short)
        assert list(answered.body) == ["status_code", "error", "message"]
    assert cases[11][0].headers["Allow"] == "POST"
    assert cases[8][0].headers["WWW-Authenticate"] == "Bearer"
    assert client.send("2348020000000", "2348020000001")["data"], "the whole quota is still there"


def test_n10_5_a_disabled_account_is_forbidden(server):
    keys = keys_of(server)
    assert server.run_cli("account", "disable", keys.account).returncode == 0
    answered = Client(server, keys.api_token).call("POST", "/ng/v1/sendsms", b"{")
    assert (answered.status, answered.body["error"]) == (403, "Forbidden")


def test_n10_11_fetch_one_fetch_all_and_nothing_of_others(server):
    client, other = client_of(server), client_of(server)
    sent = client.send("2348020000000", "2348020000001", UNDELIVERABLE)
    reference_id = sent["reference_id"]
    ended(client, reference_id, 3)
    everything = client.reports(reference_id).body
    assert (everything["count"], everything["page"], everything["page_size"]) == (3, 0, 100)
    one = client.reports(reference_id, "/+2348020000001").body
    assert one["data"] == [everything["data"][1]]
    delivered = client.reports(reference_id, "?status=Delivered&page_size=1&page=1").body
    assert (delivered["count"], delivered["data"]) == (2, [everything["data"][1]])
    missing = [
        other.reports(reference_id),
        client.reports("01JB2K7M9QX4T6V8W0Y2Z40000"),
        client.reports(reference_id, "/2348020000009"),
        other.reports(reference_id, "/2348020000001"),
    ]
    assert {answered.status for answered in missing} == {404}
    assert len({json.dumps(answered.body) for answered in missing}) == 1
    assert client.reports(reference_id).body == everything, "fetching uses nothing up"


def test_n3_2_scheduled_messages_are_seen_as_queued(server):
    client = client_of(server, timezone="Africa/Lagos")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    sent = client.send("2348020000000", send_at=tomorrow.isoformat())
    assert sent["send_at"] == (tomorrow + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    (shown,) = client.reports(sent["reference_id"]).body["data"]
    assert (shown["status"], shown["done_date"], shown["id_smsc"]) == ("Queued", "", "")
    assert shown["submit_date"] == sent["created_at"]


def test_n10_9_an_end_goes_out_while_the_request_before_it_hangs(server):
    with Sink() as slow:
        slow.answer = lambda path, body: (
            Reply(delay_s=8, body=ACKNOWLEDGED.body) if b"Dispatched" in body else ACKNOWLEDGED
        )
        client = client_of(server, callback_url=slow.url)
        client.send("2348020000000")
        slow.wait_for(lambda all: "Delivered" in of(all, "2348020000000"), within_s=6)


def test_n5_4_a_2xx_without_the_body_is_no_acknowledgement_unless_the_account_says_so(server):
    with Sink() as strict, Sink() as easy:
        for one, settings in ((strict, {}), (easy, {"ack": "http"})):
            client = client_of(server, callback_url=one.url, final_only="true", **settings)
            client.send("2348020000000")
            one.wait_for(lambda all: len(all) == 1)
        until = time.monotonic() + 10
        while "callback.postponed" not in server.log() and time.monotonic() < until:
            time.sleep(0.02)  # its answer is on the way back when the sink has what was posted
        assert "callback.postponed" in server.log()


# --- docs/dialects/README.md: any dialect reads any message, and tells it

TO = ["46701740611", UNDELIVERABLE]


def send_in(dialect: str, keys: AccountKeys, server: ServerProcess) -> str:
    """Send to ``TO``; returns the batch's id."""
    client = Client(server, keys.api_token)
    if dialect == "ninebits":
        return str(client.send(*TO)["reference_id"])
    if dialect == "sinch":
        body: Any = {"from": "myCode", "to": TO, "body": "Hello", "delivery_report": "per_recipient_final"}
        answered = client.call("POST", f"/xms/v1/{keys.service_plan_id}/batches", body)
        assert answered.status == 201, answered
        return str(answered.body["id"])
    body = {"messages": [{"sender": "myCode", "destinations": [{"to": to} for to in TO], "content": {"text": "Hello"}}]}
    answered = client.call("POST", "/sms/3/messages", body)
    assert answered.status == 200, answered
    return str(answered.body["bulkId"])


DELIVERED_AS = {"sinch": "Delivered", "ninebits": "Delivered", "infobip": "DELIVERED_TO_HANDSET"}


def read_in(dialect: str, keys: AccountKeys, server: ServerProcess, batch_id: str) -> dict[str, str]:
    """The batch's recipients and their statuses as this dialect shows them."""
    client = Client(server, keys.api_token)
    if dialect == "ninebits":
        return {one["msisdn"]: one["status"] for one in client.reports(batch_id).body["data"]}
    if dialect == "sinch":
        base = f"/xms/v1/{keys.service_plan_id}/batches/{batch_id}/delivery_report"
        return {to: client.call("GET", f"{base}/{to}").body["status"] for to in TO}
    body = client.call("GET", f"/sms/3/logs?bulkId={batch_id}").body
    return {one["destination"]: one["status"]["name"] for one in body["results"]}


SENT_BY = ("sinch", "ninebits", "infobip")


class Told(NamedTuple):
    """An account whose callbacks are told in one dialect, whatever a batch was sent in, and where they go."""

    keys: AccountKeys
    sink: Sink


@pytest.fixture(scope="module", params=SENT_BY)
def told(request, server):
    with Sink() as sink:
        sink.answer = lambda path, body: ACKNOWLEDGED
        yield request.param, Told(keys_of(server, callback_url=sink.url, callback_dialect=request.param), sink)


@pytest.mark.parametrize("sent", SENT_BY)
def test_sent_in_one_dialect_read_in_all_and_told_in_the_one_the_account_chose(server, told, sent):
    teller, (keys, sink) = told
    batch_id = send_in(sent, keys, server)
    ended(Client(server, keys.api_token), batch_id, 2)
    for dialect in SENT_BY:
        shown = read_in(dialect, keys, server, batch_id)
        assert set(shown) == set(TO)
        assert shown[TO[0]] == DELIVERED_AS[dialect]
    if sent == "infobip" and teller != "ninebits":
        return  # without a notifyUrl nothing is pushed there (docs/dialects/README.md)
    names = {"sinch": ("recipient", "batch_id"), "ninebits": ("msisdn", "ref"), "infobip": ("to", "bulkId")}
    recipient, batch = names[teller]

    def numbers(received: list[Received]) -> bool:
        posted = [one.json for one in received]
        reports = [one for body in posted for one in (body["results"] if teller == "infobip" else [body])]
        return {one[recipient] for one in reports if one[batch] == batch_id} == set(TO)

    sink.wait_for(numbers)


def test_the_document_of_the_dialect_is_served(server, tmp_path: Path):
    with urllib.request.urlopen(server.origin + "/openapi/ninebits.json", timeout=10) as answer:
        assert json.load(answer)["info"]["title"] == "Kvitto: the 9bits dialect"
