"""``kvitto receipt orphans`` and ``kvitto link list|show|test``: what an operator sees and decides beside a server."""

import asyncio
import functools
from pathlib import Path
from typing import Any

import pytest

from kvitto.app import open_books
from kvitto.core.clock import SystemClock
from kvitto.core.model import PartKey
from kvitto.core.receipt import LinkRules, Receipt
from kvitto.settings import load
from kvitto.simulator import Simulator, SimulatorConfig
from kvitto.smpp.codec import decode, encode
from kvitto.smpp.pdus import DeliverSm
from kvitto.smpp.receipts import parse_receipt
from kvitto.store.api import LinkState, ReceivedReceipt, Store, SubmitAnswer
from tests.support.command import kvitto
from tests.support.rig import eventually
from tests.support.server import ServerProcess, link_settings, reserve_port

DAY_MS = 86_400_000
RULES = LinkRules()
CLOCK = SystemClock()
NUMBER = "46701234567"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch):
    return functools.partial(kvitto, data=data, monkeypatch=monkeypatch)


def with_store(data: Path, work: Any) -> Any:
    """Do something with the store that a server would do."""

    async def open_it() -> Any:
        settings = load(environ={}, overrides={"server.data_dir": data})
        store = await open_books(settings, CLOCK, serving=True)
        try:
            return await work(store)
        finally:
            await store.stop()

    return asyncio.run(open_it())


def received(text: bytes) -> ReceivedReceipt:
    frame = encode(DeliverSm(source_addr=NUMBER, destination_addr="12345", esm_class=4, short_message=text), 1)
    pdu = decode(frame)
    assert isinstance(pdu, DeliverSm)
    read = parse_receipt(pdu, RULES, CLOCK.now())
    return ReceivedReceipt("main", "main", CLOCK.now(), frame.hex(), read if isinstance(read, Receipt) else None, RULES)


@pytest.fixture
def message(data: Path, run) -> str:
    """A message that the SMSC took under the id A1; two receipts found nobody: one for B2, one without an id."""
    run("account", "create", "shop")
    run("send", "--account", "shop", "--from", "Kvitto", "--to", NUMBER, "Hello")

    async def work(store: Store) -> str:
        (claimed,) = await store.claim_messages("main", 10, CLOCK.now())
        key = PartKey(claimed.message_id, 1)
        await store.record_answers("main", "main", [SubmitAnswer(key, CLOCK.now(), 0, "A1")])
        await store.record_receipts([received(b"id:B2 stat:DELIVRD err:000"), received(b"no words of use")])
        await store.retry_parked({"main": RULES}, CLOCK.now() + 2 * DAY_MS)
        return claimed.message_id

    return str(with_store(data, work))


def test_r34_orphans_are_listed_shown_and_given_to_their_message(run, message: str):
    listed = run("receipt", "orphans", "--json").json
    assert [(one["reason"], one["smsc_id"], one["status"]) for one in listed] == [
        ("unreadable", None, None),
        ("no_match", "B2", "DELIVERED"),
    ]
    number = str(listed[1]["id"])
    shown = run("receipt", "orphans", "show", number, "--json").json
    assert (shown["record"]["kind"], shown["record"]["text_id"], shown["raw"]) == ("receipt", "B2", listed[1]["raw"])
    done = run("receipt", "orphans", "assign", number, message, "--json")
    assert done.json == {"receipt": int(number), "message_id": message, "part": 1, "effect": "matched"}
    assert [one["reason"] for one in run("receipt", "orphans", "list", "--json").json] == ["unreadable"]
    assert '"DELIVERED"' in run("trace", message, "--json").out or "DELIVERED" in run("trace", message).out


def test_r34_what_nothing_can_be_read_in_needs_the_operators_word(run, message: str):
    number = str(run("receipt", "orphans", "list", "--json").json[0]["id"])
    refused = run("receipt", "orphans", "assign", number, message)
    assert refused.code == 1
    assert "--status" in refused.err
    done = run("receipt", "orphans", "assign", number, message, "--status", "FAILED", "--json")
    assert done.json["effect"] == "matched"


@pytest.mark.parametrize(
    ("receipt", "target", "says"),
    [("999999", None, "no receipt with this number"), (None, "01NOBODY000000000000000000", "no message with this id")],
)
def test_r34_a_wrong_assignment_is_refused_in_words(
    run, message: str, receipt: str | None, target: str | None, says: str
):
    number = receipt or str(run("receipt", "orphans", "--json").json[1]["id"])
    refused = run("receipt", "orphans", "assign", number, target or message)
    assert refused.code == 1
    assert says in refused.err


def test_people_get_a_table_or_are_told_that_there_is_none(run, message: str):
    lines = run("receipt", "orphans").out.splitlines()
    assert lines[0].split("\t")[:3] == ["id", "received_at", "link"]
    assert len(lines) == 3
    assert run("receipt", "orphans", "list", "--group", "other").out == "No receipt is without its message.\n"
    assert "text_id" in run("receipt", "orphans", "show", lines[2].split("\t")[0]).out


def test_an_unknown_receipt_and_a_wrong_limit_are_named(run):
    assert run("receipt", "orphans", "show", "7").code == 1
    wrong = run("receipt", "orphans", "list", "--limit", "0")
    assert (wrong.code, "--limit" in wrong.err) == (2, True)


# --- links -----------------------------------------------------------------------------------------------------------


def test_r54_a_link_is_shown_with_its_counters(run, data: Path, message: str):
    async def work(store: Store) -> None:
        state = LinkState("main", "main", 2, 2, 20, 1, 5.0, None, None, CLOCK.now())
        old = LinkState("gone", "gone", 1, 1, 10, 0, 0.0, None, None, CLOCK.now() - 3_600_000)
        await store.record_link_states([state, old])

    with_store(data, work)
    gone, main = run("link", "list", "--json").json
    assert (gone["state"], main["state"], main["binds_up"]) == ("not running", "up", 2)
    counters = main["counters"]
    assert (counters["answers_ok"], counters["receipts"], counters["receipts_orphan"]) == (1, 2, 1)
    assert run("link", "show", "main", "--json").json["counters"] == counters
    assert "receipts_orphan\t1" in run("link", "show", "main").out
    assert run("link", "list").out.splitlines()[0].startswith("link\tgroup\tnode\tstate")
    assert run("link", "show", "nobody").code == 1


def test_a_configured_link_that_nobody_runs_is_listed_too(run, tmp_path: Path):
    config = tmp_path / "kvitto.toml"
    config.write_text('links.main = { host = "smsc.example", password = "hushhush" }\n')
    (one,) = run("link", "list", "--json", "--config", str(config)).json
    assert (one["link"], one["state"], one["host"]) == ("main", "not running", "smsc.example")
    shown = run("link", "show", "main", "--json", "--config", str(config))
    assert shown.json["settings"]["port"] == 2775
    assert "hushhush" not in shown.out


def test_link_test_says_what_is_wrong_and_fails(run, tmp_path: Path):
    config = tmp_path / "kvitto.toml"
    config.write_text(f'links.main = {{ host = "127.0.0.1", port = {reserve_port()} }}\n')
    tested = run("link", "test", "main", "--json", "--config", str(config))
    assert (tested.code, tested.json["ok"], tested.json["problem"]) == (1, False, "refused")
    spoken = run("link", "test", "main", "--config", str(config))
    assert "Link main does not work: nothing listens" in spoken.out
    assert run("link", "test", "other", "--config", str(config)).code == 1


async def test_r54_a_running_server_tells_what_its_links_do(tmp_path: Path):
    simulator = Simulator(SimulatorConfig(port=0, delay_min_ms=1, delay_max_ms=5), CLOCK)
    await simulator.start()
    process = ServerProcess(tmp_path, settings=link_settings(simulator.port, window=5, binds=2, rate=9))
    await asyncio.to_thread(process.start)
    try:

        async def up() -> bool:
            (one,) = await asyncio.to_thread(process.run_json, "link", "list")
            return (one["state"], one["binds_up"], one["window"], one["rate"]) == ("up", 2, 10, 9)

        await eventually(up, within_s=20)
        assert (await asyncio.to_thread(process.run_json, "link", "test", "smsc"))["ok"]
        await asyncio.to_thread(process.stop)
        (one,) = await asyncio.to_thread(process.run_json, "link", "list")
        assert (one["binds_up"], one["last_error"]) == (0, "stopped")
    finally:
        process.kill()
        await simulator.stop()
