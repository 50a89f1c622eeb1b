"""The dashboard in Debian's Chromium against the real command: the newcomer's walk, hostile content, accessibility."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import browser, sign_in_by
from tests.support.peers import until
from tests.support.server import ROOT, ServerProcess
from tests.support.sink import Reply, Sink

AXE = ROOT / "tests" / "peers" / "node_modules" / "axe-core" / "axe.min.js"
SCRIPT = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>"
PASSWORD = "correct horse battery"
WITHIN_MS = 20_000

pytestmark = pytest.mark.slow


class Place:
    """A running demo server, the sink of its callbacks, and a browser."""

    def __init__(self, server: ServerProcess, sink: Sink, opened: Browser) -> None:
        self.server, self.sink, self.opened = server, sink, opened
        self.keys = json.loads((server.data_dir / "demo.json").read_text())

    def page(self, **options) -> Page:
        """A page in a context of its own; what it complains of is in ``page.complaints``."""
        page = self.opened.new_context(base_url=self.server.origin, **options).new_page()
        page.set_default_timeout(WITHIN_MS)
        return page

    def link(self, name: str) -> str:
        """A fresh one-time link."""
        done = self.server.run_json("user", "passwd", name, "--link")
        return f"{self.server.origin}{done['sign_in_path']}"

    def signed_in(self, name: str, **options) -> Page:
        page = self.page(**options)
        page.goto(self.link(name))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(re.compile("/(overview|settings)"))
        return page

    def send(self, **body) -> str:
        request = urllib.request.Request(
            f"{self.server.origin}/xms/v1/{self.keys['service_plan_id']}/batches",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.keys['api_token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found: str = json.load(answer)["id"]
            return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    settings = {"simulator.port": 0, "simulator.delay_min_ms": 20, "simulator.delay_max_ms": 100}
    with (
        Sink() as sink,
        ServerProcess(tmp_path_factory.mktemp("server"), settings=settings, arguments=["--demo"]) as server,
        browser() as opened,
    ):
        sink.answer = lambda path, body: Reply(body=b'{"status":200}' + SCRIPT.encode() * (b"hostile" in body))
        yield Place(server, sink, opened)


def test_a_newcomer_goes_from_the_link_to_a_finished_batch(place: Place):
    page = place.page(accept_downloads=True)
    links = dict(re.findall(r"Dashboard, as (\S+) \(works once\): (\S+)", place.server.log()))
    sign_in_by(page, links["demo"])
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Again").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")

    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_text("no report is pushed")).to_be_visible()
    page.get_by_label("Callback URL").fill(place.sink.url)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.get_by_role("button", name="Send test report").click()
    expect(page.locator("#answer")).to_contain_text("HTTP 200")
    assert place.sink.wait_for(len) == 1

    page.get_by_role("link", name="Try it").click()
    for box in page.locator("input[name=magic]").all()[1:3]:
        box.check()
    page.get_by_role("button", name="Send and watch").click()
    expect(page.get_by_text("3 of 3 ended")).to_be_visible(timeout=WITHIN_MS)
    assert page.url.count("/batches/") == 1

    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 4
    page.locator("td a.num").first.click()
    timeline = page.locator(".timeline")
    expect(timeline).to_contain_text("Callback: acknowledged", timeout=WITHIN_MS)
    for words in ("Accepted", "written to link simulator", "taken by the SMSC", "Receipt on link simulator"):
        expect(timeline).to_contain_text(words)
    before = len(place.sink.received)
    page.get_by_role("link", name="Attempts, send again").last.click()
    page.get_by_role("button", name="Send again").click()
    assert place.sink.wait_for(lambda received: len(received) > before)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto("/messages")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_overview_moves_by_itself(place: Place):
    page = place.signed_in("demo")
    page.goto("/overview")
    accepted = page.locator(".figure p").first
    before = int(accepted.inner_text())
    place.send(**{"from": "Kvitto", "to": ["46701740611", "46701740612"], "body": "hello"})
    expect(accepted).to_have_text(str(before + 2), timeout=WITHIN_MS)
    expect(page.locator("[data-chart] canvas")).to_be_visible()


def test_pages_work_without_javascript(place: Place):
    page = place.signed_in("demo", java_script_enabled=False)
    batch = place.send(**{"from": "Kvitto", "to": ["46701740611"], "body": "hello"})
    page.goto("/try")
    page.get_by_role("button", name="Send and watch").click()
    page.wait_for_url("**/batches/*")
    page.goto(f"/messages?q=batch:{batch}")
    page.locator("td a.num").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def test_hostile_content_is_shown_and_does_not_run(place: Place):
    page = place.signed_in("demo")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    batch = place.send(
        **{"from": "Kvitto", "to": ["46701740619"], "body": f"hostile {SCRIPT}", "client_reference": SCRIPT},
        callback_url=f"{place.sink.url}?{SCRIPT.replace(' ', '+')}".replace("<", "%3C").replace(">", "%3E"),
        delivery_report="per_recipient",
    )
    page.goto(f"/batches/{batch}")
    expect(page.get_by_text("1 of 1 ended")).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_text(f"hostile {SCRIPT}")).to_be_visible()
    page.locator("td a.num").click()
    expect(page.locator(".timeline")).to_contain_text("Callback: acknowledged", timeout=WITHIN_MS)
    for path in ("/messages", "/batches", "/callbacks", "/overview", f"/messages?q={SCRIPT}"):
        page.goto(path)
        assert page.evaluate("window.ran") is None
    # A live page that one leaves complains of its closed stream, by an event without words.
    assert [words for words in complaints if words != "[object Event]"] == []


def comes_to_be(page: Page, path: str, what: Callable[[], object]) -> None:
    """Load a page that does not move by itself until it shows what is on its way."""
    until(lambda: page.goto(path) and what())


def test_an_owner_chooses_statuses_sets_an_endpoint_and_replays_a_span(place: Place):
    page = place.signed_in("demo")
    page.goto("/settings/webhook")
    page.get_by_label("Callback URL").fill(place.sink.url)
    page.get_by_label("Incoming URL").fill(place.sink.url)
    page.get_by_label("Only when it comes to be one of these").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#which-problem")).to_have_text("Choose at least one status.")
    page.get_by_label("Failed", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(page.get_by_label("Failed", exact=True)).to_be_checked()
    expect(page.get_by_text("not posted yet")).to_be_visible()
    batch = place.send(
        **{"from": "Kvitto", "to": ["46701740644", "999700000010"], "body": "hello"},
        delivery_report="per_recipient",
    )
    page.goto(f"/batches/{batch}")
    expect(page.get_by_text("2 of 2 ended")).to_be_visible(timeout=WITHIN_MS)
    told = place.sink.wait_for(lambda all: any(batch.encode() in one.body for one in all))
    assert told
    deliveries = page.get_by_role("region", name="Last deliveries").get_by_role("row")
    comes_to_be(
        page, "/settings/webhook", lambda: deliveries.count() > 1 and "Failed" in deliveries.nth(1).inner_text()
    )
    callbacks = page.get_by_role("region", name="Callbacks").get_by_text("Not told", exact=True)
    endpoints = page.get_by_role("region", name="Endpoints").get_by_role("link")
    comes_to_be(page, "/callbacks", lambda: callbacks.count() and endpoints.count())
    endpoints.first.click()
    page.get_by_label("Posts at once").fill("3")
    page.get_by_label("Extra headers").fill("X-Shop: 7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    expect(page.get_by_text("X-Shop")).to_be_visible()
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_role("status")).to_contain_text("whsec_")

    page.goto("/callbacks")
    before = len(place.sink.received)
    page.get_by_label("Which").select_option("done")
    page.get_by_label("Made").select_option("between")
    page.get_by_label("From").fill("2020-01-01 00:00")
    page.get_by_label("A second").fill("500")
    page.get_by_role("button", name="Tell again").click()
    expect(page.get_by_role("status")).to_contain_text("The replay has begun")
    assert place.sink.wait_for(lambda received: len(received) > before)
    assert any(one.headers.get("x-shop") == "7" for one in place.sink.received[before:])
    page.goto("/settings/webhook")
    page.get_by_label("On: every change").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Failed", exact=True)).not_to_be_checked()


def test_a_viewer_and_another_account_are_refused_and_a_changed_password_ends_the_session(place: Place):
    place.server.run_json("user", "add", "looker", "--role", "viewer", "--account", "demo")
    place.server.create_account("rival")
    place.server.run_json("user", "add", "rival-owner", "--account", "rival")
    batch = place.send(**{"from": "Kvitto", "to": ["46701740633"], "body": "hello"})
    looker = place.signed_in("looker")
    looker.goto("/settings/webhook")
    expect(looker.get_by_role("alert")).to_contain_text("not for a viewer")
    looker.goto(f"/batches/{batch}")
    expect(looker.locator("td a.num")).to_have_text("4670•••••33")
    rival = place.signed_in("rival-owner")
    answer = rival.goto(f"/batches/{batch}")
    assert answer is not None
    assert answer.status == 404
    rival.goto("/messages")
    expect(rival.get_by_text("No message yet")).to_be_visible()
    assert place.server.run_cli("user", "passwd", "looker", input="another long one\n").returncode == 0
    looker.goto("/overview")
    expect(looker.get_by_role("heading", name="Sign in")).to_be_visible()
    assert place.server.run_json("user", "remove", "looker")["removed"] is True


def test_a_browser_that_goes_astray_gets_a_page_and_a_program_gets_the_bare_status(place: Place):
    page = place.signed_in("demo")
    for path, status, title in (("/nonsense", 404, "Not found"), ("/links", 403, "Not yours to see")):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == status
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        expect(page.get_by_role("link", name="Go to the overview")).to_be_visible()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{place.server.origin}/nonsense")
    assert (refused.value.code, refused.value.read()) == (404, b"")


def test_the_keyboard_alone_leads_through_a_page_and_shows_where_it_is(place: Place):
    page = place.signed_in("operator")
    page.goto("/callbacks")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for path in ("/overview", "/callbacks", "/settings/security"):
        page.goto(path)
        hidden = [words for words in walk(page) if words]
        assert hidden == []


def walk(page: Page) -> list[str]:
    """Go on by Tab until it comes round; what has the focus and does not show it, once for each stop."""
    found: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        at_end, words = page.evaluate(
            """() => { const one = document.activeElement, style = getComputedStyle(one);
                if (one === document.body) return [true, ""];
                const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
                return [false, seen ? "" : one.outerHTML.slice(0, 80)]; }"""
        )
        if at_end:
            return found
        found.append(words)
    raise AssertionError("the focus goes nowhere")


PAGES = [
    "/overview",
    "/messages",
    "/batches",
    "/callbacks",
    "/receipts",
    "/links",
    "/links/doubts",
    "/try",
    "/settings/webhook",
    "/settings/security",
    "/settings/account",
    "/settings/audit",
]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious_and_no_page_is_wider_than_the_screen(place: Place, scheme: str, width: int):
    viewport = {"width": width, "height": 800}
    page = place.signed_in("operator", color_scheme=scheme, bypass_csp=True, viewport=viewport)
    told = {"callback_url": place.sink.url, "delivery_report": "per_recipient"}
    batch = place.send(**{"from": "Kvitto", "to": ["46701740611", "999700000020"], "body": "hello"}, **told)
    page.goto("/overview")
    with page.expect_navigation():
        page.select_option("#look-at", label="demo")
    page.goto(f"/batches/{batch}")
    expect(page.get_by_text("2 of 2 ended")).to_be_visible(timeout=WITHIN_MS)
    message = page.locator("td a.num").last.get_attribute("href") or ""
    found = {}
    url = f"https://{scheme}{width}.example/"
    made = place.server.run_json("endpoint", "create", f"axe-{scheme}-{width}", "--account", "demo", "--url", url)
    page.goto(message)
    callback = page.locator(".timeline .callback a").first.get_attribute("href") or ""
    ways = [
        "/overview?span=24h",
        "/messages?q=to:46700000000",
        "/messages?q=colour:red",
        "/nonsense",
        callback,
        f"/callbacks/endpoints/{made['id']}",
    ]
    for path in [*PAGES, f"/batches/{batch}", message, *ways]:
        page.goto(path)
        found[path] = serious(page)
    page.context.clear_cookies()
    page.goto("/sign-in")
    found["/sign-in"] = serious(page)
    assert {path: problems for path, problems in found.items() if problems} == {}


def serious(page: Page) -> list[str]:
    assert AXE.exists(), "axe-core is needed for the tests: make peers"
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{wide} pixels too wide"] * (wide > 0) + [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_a_live_page_does_not_keep_the_server_from_stopping(place: Place, tmp_path: Path):
    settings = {"simulator.port": 0, "server.stop_s": 10}
    with ServerProcess(tmp_path, settings=settings, arguments=["--demo"]) as server:
        page = place.opened.new_page()
        link = server.run_json("user", "passwd", "operator", "--link")["sign_in_path"]
        sign_in_by(page, f"{server.origin}{link}")
        with page.expect_request("**/overview/events*"):
            page.goto(f"{server.origin}/overview")
        assert server.stop() < 8
        assert "did not stop in time" not in server.log()


@pytest.mark.parametrize("setting", ["dashboard.session_hours", "dashboard.idle_hours"])
def test_a_session_expires_and_the_page_that_is_open_asks_to_sign_in(place: Place, tmp_path: Path, setting: str):
    settings = {"simulator.port": 0, setting: 10 / 3600}
    with ServerProcess(tmp_path, settings=settings, arguments=["--demo"]) as server:
        page = place.opened.new_context(base_url=server.origin).new_page()
        link = server.run_json("user", "passwd", "operator", "--link")["sign_in_path"]
        sign_in_by(page, f"{server.origin}{link}")
        page.goto("/links")
        page.wait_for_url("**/sign-in?next=/links", timeout=60_000)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.goto("/overview")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_page_that_has_ended_asks_no_more(place: Place):
    page = place.signed_in("demo")
    batch = place.send(**{"from": "Kvitto", "to": ["46701740611"], "body": "hello"})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/events") else None)
    page.goto(f"/batches/{batch}")
    expect(page.get_by_text("1 of 1 ended")).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("[data-live]")).to_be_hidden(timeout=WITHIN_MS)
    page.goto("/overview")
    assert [url for url in asked if "/batches/" in url] in ([], [f"{place.server.origin}/batches/{batch}/events"])


def test_what_is_typed_and_opened_stays_while_a_live_page_moves(place: Place):
    page = place.signed_in("operator")
    page.goto("/receipts?outcome=parked")
    expect(page.locator("[data-live]")).to_have_text("Live", timeout=WITHIN_MS)
    cards = page.locator("[data-list] section.card")
    before = cards.count()
    place.send(**{"from": "Kvitto", "to": ["999700000050"], "body": "hello"})
    expect(cards).to_have_count(before + 1, timeout=WITHIN_MS)
    card = page.locator(f"[id={cards.first.locator('form').get_attribute('id')}]").locator("..")
    card.get_by_text("PDU as it came").click()
    card.get_by_label("It belongs to message").fill("01M80WMRZ53")
    place.send(**{"from": "Kvitto", "to": ["999700000150"], "body": "hello"})
    expect(cards).to_have_count(before + 2, timeout=WITHIN_MS)
    expect(card.get_by_label("It belongs to message")).to_have_value("01M80WMRZ53")
    expect(card.locator("pre.raw")).to_be_visible()
    assert page.locator("pre.raw:visible").count() == 1
