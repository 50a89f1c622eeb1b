"""The vendor's page of 2015 on getting reports, replayed against the running server: request by request, the answers'
keys, types and formats as the page shows them; and what old clients do on the wire (docs/dialects/infobip.md 1, 4).
"""

import base64
import json
import re
import socket
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.server import ServerProcess

EXAMPLES = Path(__file__).parents[1] / "unit" / "infobip_examples"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")
NUMBERS = ("41793026731", "41793026727")
NETWORKS = "prefix,mcc,mnc,network,country\n41793,228,01,Swisscom,CH\n"
PRICES = "mccmnc,price,currency\n22801,0.01,EUR\n"


@pytest.fixture(scope="module")
def swiss(tmp_path_factory):
    """A server that knows the page's network and price, with Infobip's paths also under /restapi."""
    tables = tmp_path_factory.mktemp("tables")
    (tables / "networks.csv").write_text(NETWORKS)
    (tables / "prices.csv").write_text(PRICES)
    settings = {
        "simulator.delay_min_ms": 5,
        "simulator.delay_max_ms": 40,
        "numbering.file": str(tables / "networks.csv"),
        "pricing.file": str(tables / "prices.csv"),
        "dialects.infobip.path_prefix": "/restapi",
        "dialects.infobip.max_destinations": 3,
    }
    with ServerProcess(tmp_path_factory.mktemp("swiss"), settings=settings) as process:
        yield process, process.create_account("swiss")


def ask(swiss: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    process, keys = swiss
    basic = base64.b64encode(f"{keys.username}:{keys.password}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    octets = None if body is None else json.dumps(body).encode()
    made = urllib.request.Request(process.origin + path, octets, headers, method=method)
    try:
        with urllib.request.urlopen(made) as answer:
            assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def page(name: str) -> Any:
    """The JSON answer of the page."""
    return json.loads((EXAMPLES / f"{name}.http").read_text().partition("\n\n")[2])


def shape(value: Any) -> Any:
    """Keys and types, dates as such; ``from`` came after 2015."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "from"}
    if isinstance(value, str) and DATE.fullmatch(value):
        return "date"
    return type(value).__name__


def send(swiss: Any, *data: str | None) -> tuple[str, list[str]]:
    """Send to the page's numbers, one message for each piece of callback data; returns bulk id and message ids."""
    bulk_id = str(uuid.uuid4())
    messages = [
        {"from": "InfoSMS", "to": number, "text": "x", "callbackData": one}
        for number, one in zip(NUMBERS, data, strict=False)
    ]
    status, shown = ask(swiss, "POST", "/sms/1/text/multi", {"bulkId": bulk_id, "messages": messages})
    assert (status, shown["bulkId"]) == (200, bulk_id)
    return bulk_id, [item["messageId"] for item in shown["messages"]]


def wait_for_ends(swiss: Any, bulk_id: str, count: int) -> None:
    last = time.monotonic() + 15
    while True:
        unread = ask(swiss, "GET", f"/sms/1/reports?bulkId={bulk_id}&peek=true")[1]["results"]
        if len(unread) == count:
            return
        assert time.monotonic() < last, unread
        time.sleep(0.05)


def test_i4_the_page_request_by_request(swiss):
    first, ids = send(swiss, "User defined data.", "reset_password")
    wait_for_ends(swiss, first, 2)
    expected = page("answer_all")
    status, shown = ask(swiss, "GET", "/sms/1/reports")
    assert (status, set(shown)) == (200, set(expected))
    assert [shape(one) for one in shown["results"]] == [shape(one) for one in expected["results"]]
    assert {one["messageId"] for one in shown["results"]} == set(ids)
    by_number = {one["to"]: one for one in expected["results"]}
    for one in shown["results"]:
        same = ("to", "smsCount", "mccMnc", "price", "callbackData", "status", "error")
        assert {key: one[key] for key in same} == {key: by_number[one["to"]][key] for key in same}
        assert one["bulkId"] == first
    assert ask(swiss, "GET", "/sms/1/reports") == (200, page("answer_empty"))

    _, ids = send(swiss, None, "another")
    second = send(swiss, None)
    bulk_id = second[0]
    wait_for_ends(swiss, bulk_id, 1)
    expected_one = page("answer_one")
    (wanted,) = second[1]
    status, shown = ask(swiss, "GET", f"/sms/1/reports?messageId={wanted}")
    assert [shape(one) for one in shown["results"]] == [shape(one) for one in expected_one["results"]]
    assert shown["results"][0]["messageId"] == wanted
    wait_for_ends(swiss, "", 2)
    assert {one["messageId"] for one in ask(swiss, "GET", "/sms/1/reports")[1]["results"]} == set(ids)
    logs = ask(swiss, "GET", f"/sms/1/logs?messageId={wanted}&mcc=228&mnc=01")[1]["results"]
    assert [(one["messageId"], one["text"]) for one in logs] == [(wanted, "x")]


def test_i0_the_same_under_a_prefix(swiss):
    status, shown = ask(swiss, "POST", "/restapi/sms/1/text/single", {"from": "InfoSMS", "to": NUMBERS[0], "text": "x"})
    assert (status, shown["messages"][0]["status"]["groupName"]) == (200, "PENDING")
    assert ask(swiss, "GET", "/restapi/sms/3/nothing")[1]["errorCode"] == "E404"
    assert ask(swiss, "GET", "/restapi/sms/1/bulks/?bulkId=nobody")[0] == 404


def test_i3_3_more_destinations_than_allowed_leave_nothing_behind(swiss):
    many = {"bulkId": "too-many", "messages": [{"from": "InfoSMS", "to": list(NUMBERS) * 2, "text": "x"}]}
    status, shown = ask(swiss, "POST", "/sms/1/text/advanced", many)
    assert (status, shown["requestError"]["serviceException"]["messageId"]) == (400, "BAD_REQUEST")
    assert ask(swiss, "GET", "/sms/1/logs?bulkId=too-many")[1] == {"results": []}


def test_i3_5_a_message_id_is_used_once(swiss):
    name = f"M-{uuid.uuid4()}"
    texts: Any = [{"from": "InfoSMS", "destinations": [{"to": NUMBERS[0], "messageId": name}], "text": "x"}]
    body: Any = {"messages": texts}
    first = ask(swiss, "POST", "/sms/2/text/advanced", body)[1]
    again = ask(swiss, "POST", "/sms/2/text/advanced", body)[1]
    assert [shown["messages"][0]["status"]["id"] for shown in (first, again)] == [26, 23]
    body["messages"][0]["destinations"].append({"to": NUMBERS[1]})
    mixed = ask(swiss, "POST", "/sms/2/text/advanced", body)[1]
    assert [item["status"]["id"] for item in mixed["messages"]] == [23, 26]
    assert len(ask(swiss, "GET", f"/sms/1/logs?messageId={name}")[1]["results"]) == 1


def test_i1_an_absolute_target_any_host_and_a_type_on_a_get(swiss):
    process, keys = swiss
    where = urlsplit(process.origin)
    request = (
        f"GET {process.origin}/sms/1/reports?limit=5 HTTP/1.1\r\nHost: api.example\r\n"
        "Content-Type: application/json\r\n"
        f"Authorization: IBSSO {keys.api_token}\r\nUser-Agent: Python-Client-Library\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port)) as wire:
        wire.sendall(request.encode())
        answer = b"".join(iter(lambda: wire.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: application/json;charset=UTF-8\r\n" in answer
