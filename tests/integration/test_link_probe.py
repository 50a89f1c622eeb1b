"""``kvitto link test``: what is wrong with an SMSC, in plain words, from whatever a peer does."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kvitto.core.clock import SystemClock
from kvitto.dispatch.link import BindStyle, LinkConfig, TlsOptions
from kvitto.dispatch.probe import ProbeResult, probe
from kvitto.simulator import Simulator, SimulatorConfig
from kvitto.smpp.codec import PduBuffer, decode, encode, encode_header
from kvitto.smpp.pdus import Bind, BindResp, DeliverSm
from kvitto.smpp.session import Timers
from kvitto.smpp.spec import RESPONSE_BIT, CommandId
from tests.support.authority import Authority

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def config(port: int, **more: object) -> LinkConfig:
    timers = Timers(bind_s=0.5, enquire_answer_s=0.5)
    fields = {"host": "127.0.0.1", "system_id": "kvitto", "password": "kvitto", "connect_s": 5.0, "timers": timers}
    return LinkConfig(name="main", port=port, **(fields | more))  # type: ignore[arg-type]


@asynccontextmanager
async def smsc(**more: object) -> AsyncIterator[Simulator]:
    simulator = Simulator(SimulatorConfig(port=0, **more), SystemClock())  # type: ignore[arg-type]
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def peer(behave: Behaviour) -> AsyncIterator[int]:
    """Something that listens and behaves like this; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def look(wanted: LinkConfig) -> ProbeResult:
    return await asyncio.wait_for(probe(wanted, SystemClock()), 20)


def steps(result: ProbeResult) -> list[tuple[str, bool]]:
    return [(step.step, step.ok) for step in result.steps]


async def test_an_smsc_that_works_passes_every_step():
    async with smsc() as simulator:
        result = await look(config(simulator.port))
    assert result.ok, result
    assert steps(result) == [("connect", True), ("bind transceiver", True), ("enquire_link", True), ("unbind", True)]


async def test_a_pair_is_tried_both_ways():
    async with smsc() as simulator:
        result = await look(config(simulator.port, bind=BindStyle.PAIR))
    assert result.ok, result
    assert [step for step, _ in steps(result) if step.startswith("bind")] == ["bind transmitter", "bind receiver"]


@pytest.mark.parametrize(
    ("changes", "problem", "says"),
    [
        ({"password": "wrong"}, "credentials", "RINVPASWD: the password is wrong"),
        ({"system_id": "nobody"}, "credentials", "RINVSYSID: the system_id is not known"),
        ({"system_id": "a" * 16}, "settings", "system_id"),
    ],
)
async def test_credentials_that_are_wrong_are_named(changes: dict, problem: str, says: str):
    async with smsc() as simulator:
        result = await look(config(simulator.port, **changes))
    assert (result.problem, steps(result)[-1]) == (problem, ("bind transceiver", False))
    assert says in result.reason


@pytest.mark.parametrize(
    ("status", "says"),
    [(0x05, "bound already"), (0x0D, "number of binds"), (0x53, "system_type"), (0x1234, "0x00001234")],
)
async def test_every_refusal_of_a_bind_is_told_in_words(status: int, says: str):
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (bind,) = await pdus(reader)
        assert isinstance(bind, Bind)
        writer.write(encode(BindResp(bind.command_id | RESPONSE_BIT, bind.sequence_number, status, "")))
        await reader.read()

    async with peer(refuse) as port:
        result = await look(config(port))
    assert result.problem == "bind_refused"
    assert says in result.reason


async def pdus(reader: asyncio.StreamReader) -> list:
    buffer = PduBuffer()
    while True:
        data = await reader.read(4096)
        if not data:
            raise ConnectionError
        frames = buffer.feed(data)
        if frames:
            return [decode(frame) for frame in frames]


async def answer_bind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    (bind,) = await pdus(reader)
    writer.write(encode(BindResp(bind.command_id | RESPONSE_BIT, bind.sequence_number, 0, "smsc")))


async def test_an_unanswered_enquire_link_is_told_and_a_receipt_is_left_for_the_server():
    answered = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_bind(reader, writer)
        writer.write(encode(DeliverSm(esm_class=4, short_message=b"id:1 stat:DELIVRD"), 9))
        while True:
            answered.extend(await pdus(reader))

    async with peer(behave) as port:
        result = await look(config(port))
    assert (result.problem, steps(result)[-1]) == ("no_answer", ("enquire_link", False))
    assert "enquire_link" in result.reason
    assert [pdu.command_status for pdu in answered if pdu.command_id == CommandId.DELIVER_SM_RESP] == [0x64]


async def test_a_peer_that_says_nothing_is_told():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silent) as port:
        result = await look(config(port))
    assert (result.problem, steps(result)[-1]) == ("no_answer", ("bind transceiver", False))


async def test_a_peer_that_hangs_up_is_told():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with peer(hang_up) as port:
        result = await look(config(port))
    assert result.problem == "closed"
    assert "our address is not allowed" in result.reason


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46" + bytes(16), "set tls = true"),
        (b"220 mail.example ESMTP\r\n", "220 "),
    ],
)
async def test_a_peer_that_is_no_smsc_is_told(octets: bytes, says: str):
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(octets)
        await reader.read()

    async with peer(other) as port:
        result = await look(config(port))
    assert result.problem == "not_smpp"
    assert says in result.reason


async def test_an_unbind_that_is_not_answered_is_told_with_everything_else_working():
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer_bind(reader, writer)
        for pdu in await pdus(reader):
            writer.write(encode_header(CommandId.ENQUIRE_LINK_RESP, 0, pdu.sequence_number))
        await reader.read()

    async with peer(behave) as port:
        result = await look(config(port))
    assert steps(result)[-2:] == [("enquire_link", True), ("unbind", False)]


# --- no connection ---------------------------------------------------------------------------------------------------


async def test_a_port_where_nothing_listens_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    result = await look(config(port))
    assert (result.problem, steps(result)) == ("refused", [("connect", False)])
    assert "nothing listens" in result.reason


async def test_a_name_without_an_address_is_told():
    result = await look(config(2775, host="smsc.invalid"))
    assert result.problem == "dns"
    assert "smsc.invalid has no address" in result.reason


async def test_an_address_that_swallows_everything_is_told():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # they fill the queue of the one that never accepts
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        result = await look(replace(config(port), connect_s=0.3))
        for one in waiting:
            one.close()
    assert result.problem == "timeout"
    assert "within 0.3 s" in result.reason


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def over_tls(context: ssl.SSLContext, **options: object) -> ProbeResult:
    async with smsc(tls=context) as simulator:
        return await look(config(simulator.port, tls=TlsOptions(**options)))  # type: ignore[arg-type]


async def test_p20_a_trusted_smsc_over_tls_passes(authority: Authority):
    ca = str(authority.ca_file)
    result = await over_tls(authority.server("smsc.example"), ca_file=ca, server_name="smsc.example")
    assert result.ok, result


@pytest.mark.parametrize(
    ("expired", "known", "name", "says"),
    [
        (True, True, "smsc.example", "it has expired"),
        (False, False, "smsc.example", "authority is not known"),
        (False, True, "other.example", "it is for another name"),
    ],
)
async def test_p20_a_certificate_that_is_not_trusted_is_explained(
    authority: Authority, expired: bool, known: bool, name: str, says: str
):
    options = {"ca_file": str(authority.ca_file)} if known else {}
    result = await over_tls(authority.server("smsc.example", expired=expired), server_name=name, **options)
    assert result.problem == "certificate"
    assert says in result.reason


async def test_tls_to_a_plain_port_and_plain_to_a_tls_port_are_explained(authority: Authority):
    async with smsc() as simulator:
        result = await look(config(simulator.port, tls=TlsOptions()))
    assert result.problem in {"tls", "closed"}
    assert "plain SMPP" in result.reason
    async with smsc(tls=authority.server("smsc.example")) as simulator:
        result = await look(config(simulator.port))
    assert result.problem in {"not_smpp", "closed"}
    assert "TLS" in result.reason


async def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    result = await look(config(2775, tls=TlsOptions(ca_file=str(broken))))
    assert (result.problem, steps(result)) == ("settings", [("connect", False)])
