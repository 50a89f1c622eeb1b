"""Settings => Webhook on the running server: the whole page as a customer of the 9bits dialect uses it
(docs/dialects/ninebits.md 8 and 10).
"""

import html
import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.integration.test_ninebits_server import ACKNOWLEDGED, KEYS, QUICK, Client
from tests.support.peers import until
from tests.support.server import ServerProcess, reserve_port
from tests.support.sink import Reply, Sink

PAGE = "/settings/webhook"
LATER = Reply(status=429, headers=(("Retry-After", "2"),), body=b"not now")


class Browser:
    """A person with a session: pages come back as text, forms carry their token."""

    def __init__(self, server: ServerProcess, path: str) -> None:
        self._origin = server.origin
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self.ask(path, {})
        self._token = re.findall(r'name="csrf" value="([^"]+)"', self.get("/settings/security"))[0]

    def get(self, path: str) -> str:
        return self.ask(path)[1]

    def post(self, path: str, **form: str | list[str]) -> tuple[int, str]:
        return self.ask(path, {**form, "csrf": self._token})

    def ask(self, path: str, form: dict[str, str | list[str]] | None = None) -> tuple[int, str]:
        body = None if form is None else urllib.parse.urlencode(form, doseq=True).encode()
        headers = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(self._origin + path, body, headers)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, html.unescape(answer.read().decode())
        except urllib.error.HTTPError as refused:
            return refused.code, html.unescape(refused.read().decode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {**QUICK, "simulator.port": reserve_port()}
    with ServerProcess(tmp_path_factory.mktemp("webhook"), settings=settings) as running:
        yield running


def owner_of(server: ServerProcess, name: str) -> tuple[Browser, Client]:
    """A new account: its owner at the dashboard, and its program."""
    keys = server.create_account(name)
    made = server.run_json("user", "add", f"owner-of-{name}", "--account", name)
    return Browser(server, made["sign_in_path"]), Client(server, keys.api_token)


@pytest.fixture(scope="module")
def somebody(server: ServerProcess) -> tuple[Browser, Client]:
    """An account with its owner, for tests that ask nothing of what was there before."""
    return owner_of(server, "somebody")


def rows_of(page: str) -> list[str]:
    """The rows of Last deliveries."""
    table = page.partition('aria-label="Last deliveries"')[2].partition("</tbody>")[0]
    return table.split("<tr>")[2:]


def form_with(url: str, **more: str | list[str]) -> dict[str, str | list[str]]:
    usual = {"callback_url": url, "callback_dialect": "ninebits", "which": "all", "ack": "body", "timezone": "UTC"}
    return {**usual, **more}


URL_SET = re.compile(r'name="(?:callback|incoming)_url" type="url" value="([^"]*)"')
REFUSED = {
    "https://user:pass@customer.example/dlr": "two fields for Basic authentication",
    "https://customer.example/dlr#part": "no fragment",
    "https://customer.example/" + "x" * 2024: "At most 2048 characters; this one has 2049",
    "ftp://customer.example/dlr": "not http or https",
    "http://10.1.2.3/dlr": "No permitted address: private",
    "http://169.254.169.254/latest": "No permitted address: link-local",
}


def test_n10_12_urls_that_are_refused_are_refused_in_words(somebody: tuple[Browser, Client]):
    browser, _ = somebody
    before = URL_SET.findall(browser.get(PAGE))
    assert len(before) == 2
    for name in ("callback_url", "incoming_url"):
        for url, words in REFUSED.items():
            status, page = browser.post(PAGE, **{**form_with(""), name: url})
            problem = page.partition(f'id="{name}-problem">')[2].partition("</p>")[0]
            assert (status, words in problem) == (400, True), problem
            assert f'value="{url}"' in page, "what was typed is still there"
    assert URL_SET.findall(browser.get(PAGE)) == before


def test_n10_12_saved_tested_told_and_moved_to_another_url(server: ServerProcess):
    browser, client = owner_of(server, "walker")
    with Sink() as old, Sink() as new:
        answers = {b"TEST": Reply(body=b'{"status":200}' + b"y" * 2000)}
        old.answer = lambda path, body: next((say for mark, say in answers.items() if mark in body), LATER)
        new.answer = lambda path, body: ACKNOWLEDGED
        assert "no report is pushed" in browser.get(PAGE)
        more = {"auth_username": "kv", "auth_password": "open sesame", "incoming_url": new.url}
        status, page = browser.post(PAGE, **form_with(old.url, **more))
        assert (status, "Saved." in page) == (200, True)
        for kept in (old.url, new.url, "not posted yet", 'value="kv"'):
            assert kept in page
        assert "sesame" not in page

        status, page = browser.post(f"{PAGE}/test")
        (sample,) = old.received
        assert list(sample.json) == KEYS
        assert (sample.json["sms_id"], sample.json["status"]) == ("TEST0000000000000000000000", "Delivered")
        assert sample.headers["authorization"].startswith("Basic ")
        assert all(words in page for words in ("HTTP 200", "TEST0000000000000000000000", "POST " + old.url))
        assert "sesame" not in page
        answer = page.partition("<h3>Answer</h3>")[2]
        assert answer.count("y" * 1010) == 1
        assert "y" * 1011 not in answer, "the first KiB of the answer"
        assert rows_of(browser.get(PAGE)) == [], "a test counts nowhere"

        sent = client.send("2348020000000")
        old.wait_for(lambda all: any(one.status == 429 for one in all))
        number = sent["data"][0]["sms_id"]
        status, page = browser.post(PAGE, **form_with(new.url))
        assert (status, "Saved." in page) == (200, True)
        new.wait_for(lambda all: any(one.json["status"] == "Delivered" for one in all))
        assert {one.json["sms_id"] for one in new.received} == {number}
        (moved,) = [one for one in new.received if one.json["status"] == "Delivered"]
        refused = [one.json for one in old.received if one.status == 429]
        assert moved.json in refused or refused[0]["status"] == "Dispatched", "the same report, at its next try"

        until(lambda: ">200<" in rows_of(browser.get(PAGE))[0])
        rows = rows_of(browser.get(PAGE))
        assert len(rows) >= 2
        assert all(number in row for row in rows)
        assert ">429<" in rows[-1]
        assert new.url in rows[-1], "where it goes now"


def test_n10_12_chosen_statuses_alone_are_told(somebody: tuple[Browser, Client]):
    browser, client = somebody
    with Sink() as sink:
        sink.answer = lambda path, body: ACKNOWLEDGED
        status, page = browser.post(PAGE, **form_with(sink.url, which="some", status=["FAILED", "EXPIRED"]))
        assert status == 200, page
        client.send("2348020000000", "999000000010")
        sink.wait_for(len)
        client.send("2348020000001", "999000000110")
        sink.wait_for(lambda all: len(all) == 2)
        assert [one.json["status"] for one in sink.received] == ["Failed", "Failed"]
