"""An SMSC that calls us and says outbind (R13): over real TCP, with a scripted SMSC that dials."""

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kvitto.core.errors import SettingsError
from kvitto.core.status import Status
from kvitto.dispatch.link import BindState, OutbindOptions, TlsOptions
from kvitto.dispatch.outbind import MOST_CALLERS, OutbindDoor
from kvitto.settings import load
from kvitto.simulator import SimulatorConfig
from kvitto.smpp.codec import encode
from kvitto.smpp.pdus import Bind, DeliverSm, Empty, Outbind
from kvitto.smpp.spec import BindMode, CommandId
from kvitto.smpp.states import Timers
from tests.support.rig import Rig, eventually, open_rig
from tests.support.tls import Authority
from tests.support.wire import wire_smsc

NUMBER = "46701234567"
OPTIONS = OutbindOptions(host="127.0.0.1", port=0, system_id="smsc", password="secret")


def door_of(rig: Rig) -> OutbindDoor:
    door = rig.dispatcher.lanes["main"].door
    assert door is not None
    return door


def receipt(smsc_id: str) -> DeliverSm:
    text = f"id:{smsc_id} stat:DELIVRD err:000".encode()
    return DeliverSm(source_addr=NUMBER, destination_addr="12345", esm_class=4, short_message=text)


async def open_port(rig: Rig) -> int:
    await eventually(lambda: door_of(rig).port)
    return door_of(rig).port


async def test_r13_an_smsc_that_calls_is_bound_to_as_receiver_and_its_receipts_count(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        batch = await rig.send(NUMBER)
        await eventually(lambda: smsc.submits)
        await smsc.call(await open_port(rig))
        await eventually(lambda: len(smsc.binds) == 2)
        bind = smsc.binds[-1]
        assert (bind.command_id, bind.system_id, bind.password) == (BindMode.RECEIVER, "kvitto", "kvitto")
        await eventually(lambda: [one.state for one in door_of(rig).callers] == [BindState.BOUND])
        smsc.deliver(receipt("id-1"))
        assert (await rig.final(batch, NUMBER)).status is Status.DELIVERED
        await eventually(lambda: smsc.answers == [0])
        status = rig.dispatcher.status()[0]
        assert (status.bound, len(status.binds), status.counters["outbinds"]) == (1, 2, 1)
        smsc.hang_up()
        await eventually(lambda: not door_of(rig).callers)
        assert rig.dispatcher.status()[0].bound == 1


async def bound_times(rig: Rig, count: int) -> None:
    await eventually(lambda: door_of(rig).bound == count)


async def test_r13_it_may_call_again_and_often(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        port = await open_port(rig)
        for count in range(1, 4):
            await smsc.call(port)
            await bound_times(rig, count)
        await eventually(lambda: len(smsc.binds) == 4)
        assert (len(door_of(rig).callers), door_of(rig).refused) == (3, 0)


async def test_r13_a_stop_unbinds_who_called_and_closes_the_port(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        port = await open_port(rig)
        await smsc.call(port)
        await eventually(lambda: [one.state for one in door_of(rig).callers] == [BindState.BOUND])
        await rig.dispatcher.stop()
        assert not door_of(rig).callers
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (encode(Outbind(1, "smsc", "wrong")), "wrong system_id or password"),
        (encode(Outbind(1, "smsc", "")), "wrong system_id or password"),
        (encode(Outbind(1, "smsc", "secret2")), "wrong system_id or password"),
        (encode(Outbind(1, "other", "secret")), "wrong system_id or password"),
        (encode(Outbind(1, "smsc", "\xe9" * 200)), "wrong system_id or password"),
        (encode(Bind(BindMode.TRANSCEIVER, 1, "kvitto", "kvitto")), "no outbind in time"),
        (encode(receipt("id-1"), 1), "no outbind in time"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "something else"),
        (b"\x00\x00\x00\x05", "something else"),
        (b"\xff" * 5000, "something else"),
        (b"\x00\x00\x00\x10\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x01", "something else"),
        (encode(Empty(CommandId.ENQUIRE_LINK, 0, 1)), "no outbind in time"),
        (b"\x00\x00\x00\x30", "no outbind in time"),
        (b"", "no outbind in time"),
    ],
)  # fmt: skip
async def test_r13_whoever_does_not_say_the_right_outbind_is_closed_counted_and_told_nothing(
    tmp_path: Path, words: bytes, reason: str, caplog: pytest.LogCaptureFixture
):
    timers = Timers(bind_s=0.2 if "time" in reason else 10.0)
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS, timers=timers) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", await open_port(rig))
        writer.write(words)
        said = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert b"kvitto" not in said, "our credentials went to a stranger"
        await eventually(lambda: not door_of(rig).callers)
        assert (door_of(rig).refused, door_of(rig).bound, len(smsc.binds)) == (1, 0, 1)
        assert rig.dispatcher.status()[0].counters["outbinds_refused"] == 1
        assert rig.dispatcher.status()[0].bound == 1


async def test_r13_receipts_before_the_outbind_are_refused_and_never_taken(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", await open_port(rig))
        writer.write(encode(receipt("id-1"), 1) + encode(Outbind(2, "smsc", "secret")))
        answer = await asyncio.wait_for(reader.readexactly(17), 10)
        assert answer[4:12] == b"\x80\x00\x00\x05\x00\x00\x00\x04", "deliver_sm_resp, not bound"
        await eventually(lambda: door_of(rig).bound == 1)
        writer.close()
        await eventually(lambda: not door_of(rig).callers)
        assert rig.dispatcher.status()[0].counters["receipts"] == 0


async def test_r13_strangers_cannot_take_all_sockets(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        port = await open_port(rig)
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CALLERS)]
        await eventually(lambda: len(door_of(rig).callers) == MOST_CALLERS)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert door_of(rig).refused == 1
        for _, other in [*strangers, (reader, writer)]:
            other.close()
        await eventually(lambda: not door_of(rig).callers)
        await smsc.call(port)
        await eventually(lambda: door_of(rig).bound == 1)


async def test_r13_a_bind_that_the_caller_refuses_is_not_tried_again_by_us(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=OPTIONS) as rig:
        smsc.bind_status = 0x0E
        await smsc.call(await open_port(rig))
        await eventually(lambda: len(smsc.binds) == 2)
        await eventually(lambda: not door_of(rig).callers)
        assert rig.dispatcher.status()[0].bound == 1


async def test_r13_a_port_that_is_taken_is_tried_again(tmp_path: Path):
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    options = OutbindOptions(host="127.0.0.1", port=port, system_id="smsc", password="secret")
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, outbind=options, reconnect_max_s=0.05) as rig:
        assert door_of(rig).port == 0
        taken.close()
        await taken.wait_closed()
        await smsc.call(await open_port(rig))
        await eventually(lambda: door_of(rig).bound == 1)


async def test_r13_r53_with_tls_the_port_speaks_nothing_else(tmp_path: Path):
    authority = Authority(tmp_path)
    certificate, key = authority.pair(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    files = {"cert_file": (tmp_path / "c.pem", certificate), "key_file": (tmp_path / "k.pem", key)}
    for path, text in files.values():
        path.write_text(text)
    tls = TlsOptions(verify=False, **{name: str(path) for name, (path, _) in files.items()})
    simulator = SimulatorConfig(port=0, tls=authority.server_context(x509.IPAddress(ipaddress.ip_address("127.0.0.1"))))
    async with wire_smsc() as smsc, open_rig(tmp_path, smsc=simulator, outbind=OPTIONS, tls=tls) as rig:
        port = await open_port(rig)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encode(Outbind(1, "smsc", "secret")))
        await smsc.call(port, tls=authority.client_context())
        await eventually(lambda: len(smsc.binds) == 1)
        await eventually(lambda: [one.state for one in door_of(rig).callers] == [BindState.BOUND])
        assert door_of(rig).bound == 1
        writer.close()


# --- settings --------------------------------------------------------------------------------------------------------


def problems(**link: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as wrong:
        load(environ={}, overrides={"links": {"main": {"host": "h", **link}}})
    return {one.key: one.reason for one in wrong.value.problems}


def test_r13_a_port_without_a_password_stops_the_start():
    assert "links.main.outbind_password" in problems(outbind_port=2776)


def test_r13_a_port_with_tls_needs_a_certificate():
    assert "links.main.tls_certificate" in problems(outbind_port=2776, outbind_password="x", tls=True)


def test_r13_two_links_cannot_listen_on_one_port():
    link = {"host": "h", "outbind_port": 2776, "outbind_password": "x"}
    with pytest.raises(SettingsError) as wrong:
        load(environ={}, overrides={"links": {"a": link, "b": link}})
    assert [one.key for one in wrong.value.problems] == ["links.b.outbind_port"]


@pytest.mark.parametrize("port", [-1, 65536, "x"])
def test_r13_a_port_that_is_none_is_named(port: object):
    assert "links.main.outbind_port" in problems(outbind_port=port, outbind_password="x")
