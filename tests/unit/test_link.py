"""A link's binds: room, reconnecting, what each end of a bind means."""

from typing import Any, cast

import pytest

from kvitto.dispatch.link import BindState, BindStyle, Link, LinkConfig
from kvitto.smpp.codec import encode
from kvitto.smpp.events import BindAnswered, OutbindReceived
from kvitto.smpp.pdus import DeliverSm, SubmitSm, SubmitSmResp
from kvitto.smpp.session import NotAllowed
from kvitto.smpp.spec import BindMode
from tests.support.clock import FakeClock
from tests.support.scripted import ScriptedConnection


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_answered(self, bind: Any, answers: Any) -> None:
        self.told.append(("answered", answers))

    def on_timed_out(self, tokens: Any) -> None:
        self.told.append(("timed_out", tokens))

    def on_lost(self, bind: Any, written: Any, unwritten: Any) -> None:
        self.told.append(("lost", (list(written), list(unwritten))))

    def on_received(self, connection: Any, pdus: Any) -> None:
        self.told.append(("received", pdus))

    def on_query_answered(self, bind: Any, event: Any) -> None:
        self.told.append(("query_answered", event))

    def on_ready(self) -> None:
        self.told.append(("ready", None))


def make_link(clock: FakeClock, **changes: Any) -> tuple[Link, Listener]:
    fields = {"name": "main", "host": "h", "port": 1, "system_id": "s", "password": "secret", **changes}
    listener = Listener()
    return Link(LinkConfig(**fields), clock, listener), listener


def give_connections(link: Link, clock: FakeClock, **changes: Any) -> list[ScriptedConnection]:
    connections = []
    for bind in link.binds:
        connection = ScriptedConnection(clock, window=link.config.window, mode=bind.mode, **changes)
        bind.connection, bind.state = cast("Any", connection), BindState.BOUND
        connections.append(connection)
    return connections


def test_a_config_does_not_show_its_password(clock: FakeClock):
    link, _ = make_link(clock)
    assert "secret" not in repr(link.config)


@pytest.mark.parametrize(
    ("style", "modes", "room"),
    [
        (BindStyle.TRANSCEIVER, [BindMode.TRANSCEIVER] * 2, 20),
        (BindStyle.PAIR, [BindMode.TRANSMITTER, BindMode.RECEIVER] * 2, 20),
    ],
)
def test_r59_room_is_the_free_windows_of_the_binds_that_send(
    clock: FakeClock, style: BindStyle, modes: list[BindMode], room: int
):
    link, _ = make_link(clock, bind=style, binds=2)
    assert link.free_window() == 0
    give_connections(link, clock)
    assert [bind.mode for bind in link.binds] == modes
    assert link.free_window() == room


def test_a_peer_that_does_not_read_has_no_room(clock: FakeClock):
    link, listener = make_link(clock)
    (connection,) = give_connections(link, clock)
    connection.writable = False
    assert link.free_window() == 0
    link.binds[0].on_writable(cast("Any", connection))
    assert listener.told == [("ready", None)]


def test_what_one_read_brings_is_told_in_lists_answers_before_receipts(clock: FakeClock):
    link, listener = make_link(clock)
    (connection,) = give_connections(link, clock)
    connection.session.submit(SubmitSm(destination_addr="46701234567"), "token", clock.monotonic())
    receipts = [encode(DeliverSm(esm_class=4, short_message=b"id:1 stat:DELIVRD"), n) for n in (7, 8)]
    octets = receipts[0] + encode(SubmitSmResp(2, 0, "id"), 2) + receipts[1]
    link.binds[0].on_events(cast("Any", connection), connection.session.receive(octets, clock.monotonic()))
    assert [kind for kind, _ in listener.told] == ["answered", "received"]
    assert [pdu.sequence_number for pdu in listener.told[1][1]] == [7, 8]


def test_r13_a_bind_that_stands_makes_room_known_and_forgets_failures(clock: FakeClock):
    link, listener = make_link(clock)
    give_connections(link, clock)
    bind = link.binds[0]
    bind.state, bind._failures = BindState.BINDING, 7
    bind.on_events(cast("Any", bind.connection), [BindAnswered(0, "smsc", 0x34)])
    assert bind.state is BindState.BOUND
    assert bind._failures == 0
    assert listener.told == [("ready", None)]


@pytest.mark.parametrize(("status", "longest"), [(0x0E, True), (0x0F, True), (0x0D, False), (0x08, False)], ids=hex)
def test_r13_refused_credentials_wait_a_minute_other_refusals_back_off(
    clock: FakeClock, status: int, longest: bool, monkeypatch: pytest.MonkeyPatch
):
    link, _ = make_link(clock)
    (connection,) = give_connections(link, clock)
    closed: list[str] = []
    monkeypatch.setattr(connection, "close", closed.append, raising=False)
    bind = link.binds[0]
    bind._failures = 1
    bind.on_events(cast("Any", connection), [BindAnswered(status, "", None)])
    assert len(closed) == 1
    assert (bind._pause_s() == 60.0) is longest
    assert bind._pause_s() <= (60.0 if longest else 1.0)


def test_r13_an_outbind_leads_to_a_bind(clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    link, _ = make_link(clock)
    (connection,) = give_connections(link, clock)
    bound: list[tuple[Any, ...]] = []
    monkeypatch.setattr(connection, "bind", lambda *args, **named: bound.append(args), raising=False)
    link.binds[0].on_events(cast("Any", connection), [OutbindReceived("smsc", "x")])
    assert bound == [(BindMode.TRANSCEIVER, "s", "secret")]
    assert link.binds[0].state is BindState.BINDING


def test_an_outbind_on_a_session_that_is_bound_already_changes_nothing(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    link, _ = make_link(clock)
    (connection,) = give_connections(link, clock)

    def refuse(*args: Any, **named: Any) -> None:
        raise NotAllowed("bound already")

    monkeypatch.setattr(connection, "bind", refuse, raising=False)
    link.binds[0].on_events(cast("Any", connection), [OutbindReceived("smsc", "x")])
    assert link.binds[0].state is BindState.BOUND


def test_a_bind_that_drains_takes_no_more(clock: FakeClock):
    link, _ = make_link(clock)
    (connection,) = give_connections(link, clock)
    link.binds[0].drain("asked to")
    assert link.free_window() == 0
    assert not link.can_send
    assert connection.unbound
    assert link.binds[0].status().reason == "asked to"
