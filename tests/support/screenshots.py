"""``make screenshots``: a demo server with some traffic, and a picture of each page, light and dark, wide and narrow.

    python -m tests.support.screenshots [--into DIRECTORY] [NAME ...]

The pictures go to docs/images/, with as many colours as they need and no more than 256, and are looked at before they
are committed. What they show happened on the server of the moment, but for the hour before it was started: that is
counts (``an_hour_before``), since nobody wants to wait an hour for a chart.
"""

import argparse
import io
import json
import math
import re
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.browser import browser, sign_in_by
from tests.support.server import ROOT, ServerProcess
from tests.support.sink import Reply, Sink

IMAGES = ROOT / "docs" / "images"
PAGES = {
    "overview": "/overview",
    "messages": "/messages",
    "no-message": "/messages?q=to:46700000000",
    "message": "",
    "failed-message": "",
    "batches": "/batches",
    "batch": "",
    "callbacks": "/callbacks",
    "callback": "",
    "endpoint": "",
    "receipts": "/receipts",
    "links": "/links",
    "doubts": "/links/doubts?link=simulator",
    "try": "/try",
    "webhook": "/settings/webhook",
    "security": "/settings/security",
    "account": "/settings/account",
    "audit": "/settings/audit",
    "refused": "/messages/01K0000000000000000000000A",
    "sign-in": "/sign-in",
}
EVERYWHERE = ("overview", "links", "doubts", "receipts")
"""Pages that an operator sees of all accounts."""
SHAPES = {"wide": (1280, 800), "narrow": (390, 844)}
MOST_HEIGHT = 1400
WITHIN_S = 30.0
MINUTE_MS = 60_000


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


def an_hour_before(server: ServerProcess) -> None:
    """Counts of a busy hour, as the overview adds them up: for the demo's account, and for all together."""
    now = int(time.time() * 1000)
    with sqlite3.connect(server.data_dir / "kvitto.db", timeout=10) as database:
        (account,) = database.execute("SELECT id FROM account WHERE name = 'demo'").fetchone()
        busy = {at for (at,) in database.execute("SELECT at FROM tally WHERE name = 'accepted' AND value > 50")}
        rows = [
            (whose, minute, name, "the past", many)
            for back in range(60)
            if (minute := now - now % MINUTE_MS - back * MINUTE_MS) not in busy
            for name, many in _a_minute(back)
            for whose in (account, "")
            if many
        ]
        database.executemany("INSERT INTO tally (account_id, at, name, node, value) VALUES (?, ?, ?, ?, ?)", rows)
    database.close()


def _a_minute(back: int) -> Iterator[tuple[str, int]]:
    accepted = round(260 + 90 * math.sin(back / 7) + 40 * math.sin(back / 2.3) + (back * 37) % 23)
    failed = round(accepted * (0.035 if back % 13 else 0.14))
    yield "accepted", accepted
    yield "status:DELIVERED", accepted - failed
    yield "status:FAILED", failed - failed // 4
    yield "status:EXPIRED", failed // 4
    yield "error:FAILED:undeliverable:network:27", failed - failed // 4
    yield "error:EXPIRED:validity_smsc:network:32", failed // 4
    for bucket, share in ((14, 0.5), (17, 0.4), (20, 0.08), (23, 0.02)):
        yield f"wait:{bucket}", round(accepted * share)
    yield "callback:done", accepted


def some_traffic(server: ServerProcess, url: str) -> str:
    """A few hundred messages of every kind; the id of a batch that shows much."""
    keys = json.loads((server.data_dir / "demo.json").read_text())
    send(server, keys, {"from": "Kvitto", "to": ["999720000951"], "body": "Your code is 2718"})
    time.sleep(2)  # its link is closed upon it, and binds again
    told = {"delivery_report": "per_recipient"}
    for minute, words in enumerate(("Your parcel is here", "Your table is booked for 19:30", "Invoice 2291 is paid")):
        numbers = [f"4670174{minute}{index:03d}" for index in range(40)]
        send(server, keys, {"from": "Kvitto", "to": numbers, "body": words, **told, "callback_url": f"{url}/reports"})
    send(server, keys, {"from": "Kvitto", "to": ["46701749001"], "body": "Hi", **told, "callback_url": f"{url}/broken"})
    odd = [f"999{7200000 + n:07d}{code}" for n, code in enumerate(["05", "33", "50"])]
    send(server, keys, {"from": "Kvitto", "to": odd, "body": "Your code is 9131"})
    later = {"send_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))}
    send(server, keys, {"from": "Kvitto", "to": ["46701749002"], "body": "We see us tomorrow", **later})
    mixed = [f"999{7000000 + n:07d}{code}" for n, code in enumerate(["00", "00", "01", "03", "05", "06", "11", "12"])]
    mixed += [f"999{7100000 + n:07d}{code}" for n, code in enumerate(["13", "14", "20", "21", "40", "41"])]
    body = {"from": "Kvitto", "to": mixed, "body": "Your code is 4711", "client_reference": "invoices-march"}
    return send(server, keys, {**body, **told, "callback_url": f"{url}/reports"})


def with_few_colours(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours: its most frequent ones as they are, for what is left those that come near."""
    counted: list[tuple[int, Any]] = picture.getcolors(1 << 24) or []
    colours = [colour for _, colour in sorted(counted, reverse=True)]
    rest = Image.new("RGB", (len(colours[160:]) or 1, 1))
    rest.putdata(colours[160:] or colours[:1])
    near = rest.quantize(96, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette() or []
    palette = colours[:160] + [tuple(near[at : at + 3]) for at in range(0, len(near) - 2, 3)]
    index = {colour: number for number, colour in reversed(list(enumerate(palette)))}
    for one in colours:
        if one not in index:
            index[one] = min(range(len(palette)), key=lambda number: _distance(one, palette[number]))
    octets = picture.tobytes()
    few = Image.frombytes("P", picture.size, bytes(map(index.__getitem__, zip(*[iter(octets)] * 3, strict=True))))
    few.putpalette([part for colour in palette for part in colour])
    return few


def _distance(one: Any, other: Any) -> int:
    return sum((mine - yours) ** 2 for mine, yours in zip(one, other, strict=True))


def shoot(page: Page, into: Path, name: str, scheme: str, shape: str) -> None:
    width, height = SHAPES[shape]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_timeout(400)
    full = page.evaluate(f"Math.min(document.documentElement.scrollHeight, {MOST_HEIGHT})")
    clip: Any = {"x": 0, "y": 0, "width": width, "height": max(full, 300)}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=True))).convert("RGB")
    with_few_colours(picture).save(into / f"{name}-{scheme}-{shape}.png", optimize=True)


def paths_of(page: Page, origin: str, batch: str) -> dict[str, str]:
    """Where each page is; the signed-in browser looks at the demo's account."""

    def first(path: str, of: str, index: int = 0) -> str:
        page.goto(f"{origin}{path}")
        return page.locator(of).nth(index).get_attribute("href") or ""

    return {
        **PAGES,
        "message": first(f"/messages?q=batch:{batch}", "td a.num", 9),
        "failed-message": first(f"/messages?q=batch:{batch}+status:expired", "td a.num"),
        "batch": f"/batches/{batch}",
        "endpoint": first("/callbacks", "[aria-label=Endpoints] td a"),
        "callback": first(first("/messages?q=to:46701749001", "td a.num"), ".timeline .callback p a"),
    }


def wait_for_the_end(page: Page, origin: str, batch: str) -> None:
    """Until the batch has ended and the one receipt without a message has been given up."""
    page.goto(f"{origin}/batches/{batch}")
    page.get_by_text("14 of 14 ended").wait_for(timeout=WITHIN_S * 1000)
    page.goto(f"{origin}/receipts?outcome=orphan")
    page.get_by_text("Orphan", exact=True).wait_for(timeout=WITHIN_S * 1000)


def look_at(page: Page, origin: str, account: str) -> None:
    page.goto(f"{origin}/overview")
    if page.locator("#look-at option:checked").inner_text() != account:
        with page.expect_navigation():
            page.select_option("#look-at", label=account)


def set_webhook(page: Page, origin: str, url: str) -> None:
    page.goto(f"{origin}/settings/webhook")
    page.get_by_label("Callback URL").fill(url)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()


def start_replay(page: Page) -> None:
    """Begin one that lasts for as long as the pictures take."""
    page.select_option("#states", "finished")
    page.get_by_label("A second").fill("8")
    page.get_by_role("button", name="Tell again").click()
    page.get_by_text("The replay has begun").wait_for()
    page.get_by_text("Running").wait_for()


def send_test_report(page: Page) -> None:
    page.get_by_role("button", name="Send test report").click()
    page.locator("#answer").wait_for()


def read_a_receipt(page: Page) -> None:
    text = (
        "id:1795327830604134 sub:001 dlvrd:000 submit date:2611220610 done date:2611220611 stat:EXPIRED err:032 text:"
    )
    page.locator("#pasted").fill(text)
    page.get_by_role("button", name="Read it").click()
    page.locator("#read dl").wait_for()


PREPARED = {"callbacks": start_replay, "webhook": send_test_report, "receipts": read_a_receipt}
"""What is done on a page before its picture is taken."""


def pictures(server: ServerProcess, opened: Browser, into: Path, wanted: list[str], batch: str, url: str) -> None:
    """Take each."""
    page = opened.new_context(timezone_id="UTC").new_page()
    sign_in_by(page, links_of(server)["operator"])
    wait_for_the_end(page, server.origin, batch)
    look_at(page, server.origin, "demo")
    set_webhook(page, server.origin, f"{url}/reports")
    server.run_json("user", "add", "anna", "--role", "member", "--account", "demo")
    server.run_json("user", "add", "bo", "--role", "viewer", "--account", "demo")
    paths = paths_of(page, server.origin, batch)
    an_hour_before(server)
    for name in wanted or list(paths):
        if name == "sign-in":
            page.context.clear_cookies()
        else:
            look_at(page, server.origin, "All accounts" if name in EVERYWHERE else "demo")
        page.goto(f"{server.origin}{paths[name]}")
        if name in PREPARED:
            PREPARED[name](page)
        for scheme in ("light", "dark"):
            for shape in SHAPES:
                shoot(page, into, name, scheme, shape)


def answer(path: str, body: bytes) -> Reply | None:
    """What the receiver of callbacks says: one of its paths does not work."""
    return Reply(status=503, body=b"upstream is away") if path.endswith("/broken") else Reply(delay_s=0.012)


def main() -> None:
    """Make the pictures named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="screenshots")
    parser.add_argument("--into", type=Path, default=IMAGES)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    settings = {"simulator.delay_min_ms": 100, "simulator.delay_max_ms": 1500, "simulator.port": 0}
    with (
        tempfile.TemporaryDirectory() as directory,
        Sink() as sink,
        ServerProcess(Path(directory), settings={**settings, "receipts.park_s": 2}, arguments=["--demo"]) as server,
        browser() as opened,
    ):
        sink.answer = answer
        batch = some_traffic(server, sink.url)
        pictures(server, opened, options.into, options.names, batch, sink.url)


if __name__ == "__main__":
    main()
