"""Interoperability with Kannel (bearerbox, smsbox): it sends over our simulator and matches receipts to messages.

Kannel posts a report for each receipt that it could match; what it could not match it only logs. So a report with the
right state is the proof that ids, TLVs and texts of the simulator are what a widely used ESME expects.
"""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.peers import Kannel, SmscCommand, until
from tests.support.sink import Sink

DELIVERED, FAILED, BUFFERED, ACCEPTED, REFUSED = 1, 2, 4, 8, 16
"""Kannel's names for what happened (dlr-mask)."""

SCENARIO = """
first_id = 0xABCDEF0123

[default.ids]
response = { base = "hex" }
text = { base = "dec", width = 16 }
tlv = { base = "dec" }

[default.receipts]
delay = { kind = "uniform", min_ms = 1, max_ms = 20 }

[[rules]]
prefix = ["46702"]
outcomes = [{ receipts = [{ stat = "UNDELIV", err = "027", network_error = [3, 27] }] }]

[[rules]]
prefix = ["46703"]
receipts = { text_in = "message_payload", tlvs = [] }

[[rules]]
prefix = ["46704"]
receipts = { text_in = "nowhere" }

[[rules]]
prefix = ["46705"]
outcomes = [{ receipts = [{ stat = "ENROUTE", esm_class = 0x20 }, { stat = "DELIVRD", after_ms = 200 }] }]

[[rules]]
prefix = ["46706"]
answers = [{ status = 0x0B }]

[[rules]]
prefix = ["46707"]
answers = [{ status = 0x58, once = true }]

[[rules]]
prefix = ["46708"]
receipts = { duplicate_share = 1 }

[[rules]]
prefix = ["46709"]
receipts = { carrier = "data_sm" }
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """Where Kannel posts its reports."""
    with Sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def smsc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmscCommand]:
    """The simulator with ids in hexadecimal in responses and padded decimals in receipts."""
    with SmscCommand(tmp_path_factory.mktemp("smsc"), SCENARIO) as smsc:
        yield smsc


@pytest.fixture(scope="module")
def kannel(tmp_path_factory: pytest.TempPathFactory, smsc: SmscCommand) -> Iterator[Kannel]:
    """Kannel, told that responses have hexadecimal ids and receipts decimal ones."""
    with Kannel(tmp_path_factory.mktemp("kannel"), smsc.port, msg_id_type="0x01") as kannel:
        yield kannel


def reports(sink: Sink, key: str) -> list[int]:
    """What Kannel reported of one message: its words for states, as numbers, in order."""
    asked = [parse_qs(urlsplit(request.path).query) for request in sink.received]
    return [int(query["type"][0]) for query in asked if query.get("key") == [key]]


def send(kannel: Kannel, sink: Sink, to: str, text: str, key: str, mask: int = 31, **more: str) -> None:
    url = f"http://127.0.0.1:{sink.port}/dlr?type=%d&key={key}"
    assert "Accepted" in kannel.send(to, text, dlr_mask=str(mask), dlr_url=url, **more)


@pytest.mark.parametrize(
    ("to", "states"),
    [
        ("46701000001", {ACCEPTED, DELIVERED}),
        ("46702000001", {ACCEPTED, FAILED}),
        ("46703000001", {ACCEPTED, DELIVERED}),
        ("46704000001", {ACCEPTED, DELIVERED}),
        ("46705000001", {ACCEPTED, BUFFERED, DELIVERED}),
        ("46706000001", {REFUSED}),
        ("46707000001", {ACCEPTED, DELIVERED}),
        ("46708000001", {ACCEPTED, DELIVERED}),
        ("46709000001", {ACCEPTED, DELIVERED}),
    ],
    ids=["text", "undelivered", "payload", "tlvs", "intermediate", "refused", "throttled", "twice", "data_sm"],
)
def test_kannel_matches_the_receipts_of_our_simulator(
    kannel: Kannel, smsc: SmscCommand, sink: Sink, to: str, states: set[int]
):
    send(kannel, sink, to, "Hello", to)
    until(lambda: states <= set(reports(sink, to)))
    assert set(reports(sink, to)) == states


def test_kannel_sends_a_long_text_in_parts_and_matches_each(kannel: Kannel, smsc: SmscCommand, sink: Sink):
    text = "A long text of Kannel's. " * 15
    send(kannel, sink, "46701000002", text, "long", mask=DELIVERED)
    parts = until(lambda: whole if len(whole := _parts(smsc, "46701000002")) == 3 else [])
    assert all(part["fields"]["esm_class"] & 0x40 for part in parts)
    octets = [bytes.fromhex(part["fields"]["short_message"]) for part in parts]
    assert b"".join(part[6:] for part in octets).decode("ascii") == text
    until(lambda: DELIVERED in reports(sink, "long"))


def _parts(smsc: SmscCommand, to: str) -> list[dict]:
    return [line for line in smsc.pdus("submit_sm") if line["fields"]["destination_addr"] == to]


def test_the_bind_stays_alive_and_every_receipt_was_answered_ok(kannel: Kannel, smsc: SmscCommand, sink: Sink):
    send(kannel, sink, "46701000003", "Hello", "alive")
    until(lambda: DELIVERED in reports(sink, "alive"))
    until(lambda: smsc.pdus("enquire_link_resp"))
    answers = [line["fields"]["command_status"] for line in smsc.pdus("deliver_sm_resp")]
    assert set(answers) == {0}
    assert len(smsc.lines("connect")) == 1
    assert smsc.pdus("generic_nack") == []
