"""``make screenshots``: a demo server with some traffic, and a picture of each page, light and dark, wide and narrow.

The pictures go to docs/images/ and are looked at before they are committed.
"""

import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support.browser import browser, sign_in_by
from tests.support.server import ROOT, ServerProcess
from tests.support.sink import Sink

IMAGES = ROOT / "docs" / "images"
PAGES = {
    "overview": "/overview",
    "messages": "/messages",
    "message": "",
    "batches": "/batches",
    "batch": "",
    "callbacks": "/callbacks",
    "receipts": "/receipts",
    "links": "/links",
    "try": "/try",
    "webhook": "/settings/webhook",
    "security": "/settings/security",
    "account": "/settings/account",
    "audit": "/settings/audit",
    "sign-in": "/sign-in",
}
SHAPES = {"wide": (1280, 800), "narrow": (390, 844)}


def links_of(server: ServerProcess) -> dict[str, str]:
    """The one-time links in what the server said."""
    return dict(re.findall(r"Dashboard, as (\S+) \(works once\): (\S+)", server.log()))


def send(server: ServerProcess, keys: dict[str, str], body: dict[str, object]) -> str:
    request = urllib.request.Request(
        f"{server.origin}/xms/v1/{keys['service_plan_id']}/batches",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {keys['api_token']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        found: str = json.load(answer)["id"]
        return found


def some_traffic(server: ServerProcess, url: str) -> str:
    """A few hundred messages of every kind; the id of a batch that shows much."""
    keys = json.loads((server.data_dir / "demo.json").read_text())
    for minute in range(6):
        numbers = [f"4670174{minute}{index:03d}" for index in range(40)]
        told = {"callback_url": url, "delivery_report": "per_recipient"} if minute < 2 else {}
        send(server, keys, {"from": "Kvitto", "to": numbers, "body": "Your parcel is here", **told})
    mixed = [f"999{7000000 + n:07d}{code}" for n, code in enumerate(["00", "00", "01", "03", "05", "06", "11", "12"])]
    mixed += [f"999{7100000 + n:07d}{code}" for n, code in enumerate(["13", "14", "20", "21", "40", "41"])]
    body = {"from": "Kvitto", "to": mixed, "body": "Your code is 4711", "client_reference": "invoices-march"}
    return send(server, keys, {**body, "callback_url": url, "delivery_report": "per_recipient"})


def shoot(page: Page, name: str, scheme: str, shape: str) -> None:
    width, height = SHAPES[shape]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(350)
    full = page.evaluate("Math.min(document.documentElement.scrollHeight, 1100)")
    clip = {"x": 0, "y": 0, "width": width, "height": max(full, 300)}
    page.screenshot(path=IMAGES / f"{name}-{scheme}-{shape}.png", clip=clip, full_page=True)  # type: ignore[arg-type]


def pictures(server: ServerProcess, opened: Browser, wanted: list[str], batch: str) -> None:
    page = opened.new_context().new_page()
    links = links_of(server)
    sign_in_by(page, links["operator"])
    page.goto(f"{server.origin}/overview")
    with page.expect_navigation():
        page.select_option("#look-at", label="demo")
    page.goto(f"{server.origin}/messages?q=batch:{batch}")
    message = page.locator("td a.num").nth(3).get_attribute("href") or ""
    paths = {**PAGES, "message": message, "batch": f"/batches/{batch}"}
    for name in wanted or list(paths):
        if name == "sign-in":
            page.context.clear_cookies()
        page.goto(f"{server.origin}{paths[name]}")
        for scheme in ("light", "dark"):
            for shape in SHAPES:
                shoot(page, name, scheme, shape)


def main() -> None:
    """Make the pictures named on the command line, or all."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    settings = {"simulator.delay_min_ms": 100, "simulator.delay_max_ms": 1500, "simulator.port": 0}
    with (
        tempfile.TemporaryDirectory() as directory,
        Sink() as sink,
        ServerProcess(Path(directory), settings=settings, arguments=["--demo"]) as server,
        browser() as opened,
    ):
        batch = some_traffic(server, sink.url)
        time.sleep(6)
        pictures(server, opened, sys.argv[1:], batch)


if __name__ == "__main__":
    main()
