"""Too much waits: the real server says 429 with Retry-After, in each dialect's own form, and takes more again (P29)."""

import base64
import json
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from kvitto.simulator import SimulatorConfig
from tests.support.pcluster import SmscThread
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port

pytestmark = pytest.mark.slow

MOST = 6


class Caller:
    """One account, in the three dialects."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        self._origin = server.origin
        self.keys: AccountKeys = server.create_account(name)
        self._next = 46_700_000_000

    def _numbers(self, count: int) -> list[str]:
        self._next += count
        return [str(self._next + n) for n in range(count)]

    def _post(self, path: str, authorization: str, body: object) -> tuple[int, Message, bytes]:
        headers = {"Authorization": authorization, "Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self._origin + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read()

    def sinch(self, count: int = 1) -> tuple[int, Message, bytes]:
        body = {"from": "Kvitto", "to": self._numbers(count), "body": "hello"}
        return self._post(f"/xms/v1/{self.keys.service_plan_id}/batches", f"Bearer {self.keys.api_token}", body)

    def infobip(self, version: int) -> tuple[int, Message, bytes]:
        basic = base64.b64encode(f"{self.keys.username}:{self.keys.password}".encode()).decode()
        destinations = [{"to": one} for one in self._numbers(1)]
        three: dict[str, Any] = {"sender": "Kvitto", "destinations": destinations, "content": {"text": "hello"}}
        two: dict[str, Any] = {"from": "Kvitto", "destinations": destinations, "text": "hello"}
        path, message = ("/sms/3/messages", three) if version == 3 else ("/sms/2/text/advanced", two)
        return self._post(path, f"Basic {basic}", {"messages": [message]})

    def ninebits(self) -> tuple[int, Message, bytes]:
        body = {"from": "Kvitto", "to": self._numbers(1)[0], "content": "hello"}
        return self._post("/ng/v1/sendsms", f"Bearer {self.keys.api_token}", body)


def test_p29_who_has_too_much_waiting_is_told_so_by_every_dialect_and_nobody_else_is(tmp_path: Path, watch):
    config = SimulatorConfig(port=reserve_port(), delay_min_ms=0, delay_max_ms=5)
    settings = {**link_settings(config.port), "queue.max_messages_per_account": MOST, "http.host": "127.0.0.1"}
    server = watch(ServerProcess(tmp_path, settings=settings))
    with SmscThread(config) as smsc:
        server.start()
    full, other = Caller(server, "full"), Caller(server, "other")
    assert full.sinch(MOST - 1)[0] == 201
    assert full.sinch(3)[0] == 201, "below the bound a request is taken whole"

    status, headers, body = full.sinch()
    assert (status, headers["Retry-After"], body) == (429, "10", b"")
    status, headers, body = full.infobip(3)
    assert (status, headers["Retry-After"], json.loads(body)["errorCode"]) == (429, "10", "E429")
    status, headers, body = full.infobip(2)
    exception = json.loads(body)["requestError"]["serviceException"]
    assert (status, headers["Retry-After"], exception["messageId"]) == (429, "10", "TOO_MANY_REQUESTS")
    status, headers, body = full.ninebits()
    assert (status, headers["Retry-After"], json.loads(body)["status_code"]) == (429, "10", 429)

    assert [other.sinch()[0], other.infobip(3)[0], other.ninebits()[0]] == [201, 200, 200]
    with urllib.request.urlopen(f"{server.origin}/metrics", timeout=10) as page:
        assert "kvitto_sends_refused_total 4.0" in page.read().decode()

    with SmscThread(config) as smsc:
        until = time.monotonic() + 30
        while full.sinch()[0] == 429:
            assert time.monotonic() < until, "nothing is taken although all was sent"
            time.sleep(0.05)
        assert len(smsc.record.submits) >= MOST + 2
