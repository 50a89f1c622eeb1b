"""The SMPP socket over real TCP and TLS: rules R4, R6, R9, R12, R13, R53, and how it writes."""

import asyncio
import ssl
from typing import Any

import pytest
import uvloop

from kvitto.core.clock import SystemClock
from kvitto.dispatch import transport
from kvitto.dispatch.transport import ConnectFailed, SmppConnection, connect
from kvitto.simulator import Simulator, SimulatorConfig
from kvitto.smpp import events as ev
from kvitto.smpp.codec import encode
from kvitto.smpp.pdus import DeliverSm, SubmitSm
from kvitto.smpp.session import NotBound, Role, Session, Timers, WindowFull
from kvitto.smpp.spec import BindMode
from tests.support.authority import Authority
from tests.support.esme import BOUND_S, Esme

# The hook that replaces this fixture holds for all tests or none.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy.:DeprecationWarning")

SUBMIT = SubmitSm(source_addr="Kvitto", destination_addr="46701234567", registered_delivery=1, short_message=b"Hi")
RECEIPT = DeliverSm(source_addr="46701234567", esm_class=4, short_message=b"id:1 stat:DELIVRD")


@pytest.fixture(
    params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"], scope="module"
)
def event_loop_policy(request):
    """The server runs on uvloop; whoever embeds it may not."""
    return request.param()


class Peer:
    """A hand-driven SMSC: the session in its other role, and every chance to misbehave."""

    def __init__(self):
        self.events: list[Any] = []
        self.received = bytearray()
        self.reads = 0
        self.writer: asyncio.StreamWriter
        self.answers_binds = True
        self.answers_enquiries = True
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = asyncio.Event()
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.session = Session(role=Role.SMSC, now=0.0, window=100_000)

    async def start(self, **settings):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **settings)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self):
        if self._server is not None:
            self._server.close()
        if hasattr(self, "writer"):
            self.writer.transport.abort()

    async def _serve(self, reader, writer):
        self.writer = writer
        try:
            while True:
                await self.reading.wait()
                data = await reader.read(65_536)
                if not data:
                    return
                self.reads += 1
                self.received += data
                self._take(data)
        except ConnectionError:
            pass
        finally:
            self.gone.set()
            writer.close()

    def _take(self, data):
        for event in self.session.receive(data, 0.0):
            self.events.append(event)
            if isinstance(event, ev.BindReceived) and self.answers_binds:
                self.session.answer_bind(event.pdu.sequence_number, 0, "SMSC")
        output = self.session.take_output()
        if self.answers_enquiries and output:
            self.writer.write(output)
        self._news.set()

    def flush(self):
        self.writer.write(self.session.take_output())

    async def until(self, condition):
        async with asyncio.timeout(BOUND_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
async def peer():
    peer = Peer()
    yield peer
    await peer.stop()


async def test_the_loop_is_the_one_asked_for(request):
    is_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    assert is_uvloop is ("uvloop" in request.node.name)


async def test_everything_for_one_turn_leaves_in_one_write(peer, monkeypatch):
    async with Esme(await peer.start()) as esme:
        real: Any = esme.connection._transport
        writes = []

        class Spy:
            def __getattr__(self, name):
                return getattr(real, name)

            def write(self, data):
                writes.append(data)
                real.write(data)

        monkeypatch.setattr(esme.connection, "_transport", Spy())
        for token in range(50):
            esme.connection.submit_many([(SUBMIT, token)])
        esme.connection.answer_many([(1, 5, 0), (2, 0x103, 0x64)])
        assert writes == []
        await peer.until(lambda: len(peer.of(ev.SubmitReceived)) == 50)
        assert len(writes) == 1
        assert esme.session.outstanding == 50
        for event in peer.of(ev.SubmitReceived):
            peer.session.answer_submit(event.pdu.sequence_number, 0, "id")
        peer.flush()
        assert [answer.token for answer in await esme.answers(50)] == list(range(50))


async def test_octets_that_come_one_by_one_are_read_all_the_same(peer):
    async with Esme(await peer.start()) as esme:
        esme.send("46701234567")
        await peer.until(lambda: peer.of(ev.SubmitReceived))
        number = peer.of(ev.SubmitReceived)[0].pdu.sequence_number
        peer.session.answer_submit(number, 0, "id-1")
        for at in range(3):
            peer.session.deliver(RECEIPT, at, 0.0)
        for octet in peer.session.take_output():
            peer.writer.write(bytes((octet,)))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert (await esme.answers(1))[0].message_id == "id-1"
        assert len(await esme.receipts_of(3)) == 3
        await peer.until(lambda: len(peer.of(ev.DeliverAnswered)) == 3)


async def test_r12_a_connection_closed_in_the_middle_gives_back_what_was_written(peer):
    async with Esme(await peer.start()) as esme:
        for token in "abc":
            esme.send("46701234567", token=token)
        await peer.until(lambda: len(peer.of(ev.SubmitReceived)) == 3)
        peer.session.answer_submit(peer.of(ev.SubmitReceived)[1].pdu.sequence_number, 0, "id")
        peer.writer.write(peer.session.take_output() + encode(RECEIPT, 1)[:30])
        await esme.answers(1)
        peer.writer.close()
        await esme.until(lambda: esme.lost is not None)
    assert esme.lost == ["a", "c"]
    assert esme.reason == "closed by the peer"
    assert not esme.connection.writable
    with pytest.raises(NotBound):
        esme.send("46701234567")
    esme.connection.answer_many([(1, 5, 0)])
    esme.connection.close()
    esme.connection.abort("again")


async def test_r12_a_reset_connection_gives_back_what_was_written(peer):
    async with Esme(await peer.start()) as esme:
        esme.send("46701234567", token="a")
        await peer.until(lambda: peer.of(ev.SubmitReceived))
        peer.writer.transport.abort()
        await esme.until(lambda: esme.lost is not None)
    assert esme.lost == ["a"]


async def test_r6_a_flood_of_unanswered_receipts_delays_no_response(peer):
    """Thousands of receipts, none answered yet: the submit's response behind them is paired in the same read."""
    async with Esme(await peer.start()) as esme:
        esme.status = None
        esme.send("46701234567", token="a")
        await peer.until(lambda: peer.of(ev.SubmitReceived))
        for token in range(20_000):
            peer.session.deliver(RECEIPT, token, 0.0)
        peer.session.answer_submit(peer.of(ev.SubmitReceived)[0].pdu.sequence_number, 0, "id")
        peer.flush()
        [answer] = await esme.answers(1)
        assert answer == ev.SubmitAnswered("a", 0, "id", False)
        assert len(esme.receipts) == 20_000
        assert not peer.of(ev.DeliverAnswered)


async def test_r9_a_half_open_link_is_found_and_closed(peer):
    timers = Timers(enquire_link_s=0.05, enquire_answer_s=0.05)
    async with Esme(await peer.start(), timers=timers) as esme:
        esme.send("46701234567", token="a")
        await peer.until(lambda: peer.of(ev.SubmitReceived))
        peer.answers_enquiries = False
        await esme.until(lambda: esme.lost is not None)
    assert esme.lost == ["a"]
    assert esme.reason == "no answer to enquire_link"
    assert esme.of(ev.LinkDead)


async def test_r9_a_quiet_link_that_answers_stays(peer):
    async with Esme(await peer.start(), timers=Timers(enquire_link_s=0.01, enquire_answer_s=5)) as esme:
        enquire = bytes.fromhex("00000010 00000015 00000000")
        await peer.until(lambda: peer.received.count(enquire) >= 5)
        assert esme.lost is None


async def test_a_bind_without_an_answer_closes_the_connection(peer):
    peer.answers_binds = False
    esme = Esme(await peer.start(), mode=None, timers=Timers(bind_s=0.05))
    async with esme:
        esme.connection.bind(BindMode.TRANSCEIVER, "kvitto", "kvitto")
        await esme.until(lambda: esme.lost is not None)
    assert esme.reason == "no answer to bind"


async def test_a_request_that_times_out_is_told_and_a_late_answer_too(peer):
    async with Esme(await peer.start(), timers=Timers(response_s=0.05)) as esme:
        esme.send("46701234567", token="a")
        await esme.until(lambda: esme.of(ev.RequestTimedOut))
        peer.session.answer_submit(peer.of(ev.SubmitReceived)[0].pdu.sequence_number, 0, "id")
        peer.flush()
        assert await esme.answers(1) == [ev.SubmitAnswered("a", 0, "id", True)]


async def test_r4_lost_framing_is_nacked_and_closed(peer):
    async with Esme(await peer.start()) as esme:
        peer.writer.write(b"\0\0\0\1" + bytes(12))
        await esme.until(lambda: esme.lost is not None)
        await peer.until(lambda: peer.of(ev.NackReceived))
    assert peer.of(ev.NackReceived) == [ev.NackReceived(2, 0)]
    assert esme.reason == "framing lost: command_length 1"


async def test_r13_an_unbind_from_the_peer_is_answered_and_the_connection_closed(peer):
    async with Esme(await peer.start()) as esme:
        peer.session.unbind(0.0)
        peer.flush()
        await peer.until(lambda: peer.of(ev.Unbound))
        await esme.until(lambda: esme.lost is not None)
    assert esme.reason == "unbound by the peer"


async def test_leaving_unbinds_first_and_double_calls_do_no_harm(peer):
    async with Esme(await peer.start()) as esme:
        pass
    assert esme.reason == "unbound by us"
    assert peer.of(ev.PeerUnbound)
    esme.connection.unbind()
    esme.connection.close()
    await esme.connection.wait_closed()


async def test_leaving_before_the_bind_just_closes(peer):
    async with Esme(await peer.start(), mode=None) as esme:
        pass
    assert esme.reason == "closed before it was bound"


async def test_too_many_messages_stop_at_the_window_and_those_before_are_sent(peer):
    async with Esme(await peer.start(), window=3) as esme:
        with pytest.raises(WindowFull):
            esme.connection.submit_many([(SUBMIT, token) for token in range(5)])
        assert esme.session.outstanding == 3
        await peer.until(lambda: len(peer.of(ev.SubmitReceived)) == 3)


async def test_a_peer_that_does_not_read_makes_the_link_unwritable_until_it_does(peer, monkeypatch):
    monkeypatch.setattr(transport, "WRITE_HIGH_WATER_BYTES", 10_000)
    async with Esme(await peer.start(), window=100_000) as esme:
        peer.reading.clear()
        sent = 0
        async with asyncio.timeout(BOUND_S):
            while esme.connection.writable:
                esme.connection.submit_many([(SUBMIT._replace(short_message=b"x" * 254), None)] * 500)
                sent += 500
                await asyncio.sleep(0)
        assert esme.writable_again == 0
        peer.reading.set()
        await esme.until(lambda: esme.writable_again)
        assert esme.connection.writable
        await peer.until(lambda: len(peer.of(ev.SubmitReceived)) == sent)


async def test_a_peer_that_never_reads_is_cut_off_at_a_bound(peer, monkeypatch):
    monkeypatch.setattr(transport, "WRITE_HIGH_WATER_BYTES", 10_000)
    monkeypatch.setattr(transport, "MAX_UNSENT_BYTES", 50_000)
    async with Esme(await peer.start()) as esme:
        peer.reading.clear()
        async with asyncio.timeout(BOUND_S):
            while esme.lost is None:
                esme.connection.answer_many([(number, 5, 0) for number in range(2_000)])
                await asyncio.sleep(0)
    assert esme.reason == "the peer does not read"


async def test_a_fault_of_the_owner_ends_the_connection_and_is_told_as_lost(peer):
    async with Esme(await peer.start()) as esme:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        esme.send("46701234567", token="a")
        await peer.until(lambda: peer.of(ev.SubmitReceived))
        esme.on_events = lambda connection, events: 1 / 0  # type: ignore[method-assign, assignment]
        peer.session.deliver(RECEIPT, 1, 0.0)
        peer.flush()
        await esme.until(lambda: esme.lost is not None)
    assert esme.lost == ["a"]


# --- Connecting -------------------------------------------------------------------------------------------------------


async def try_connect(port: int, host: str = "127.0.0.1", **settings: Any) -> SmppConnection:
    clock = SystemClock()
    session = Session(role=Role.ESME, now=clock.monotonic())
    return await connect(host, port, session=session, handler=Esme(port), clock=clock, **settings)


async def test_a_port_where_nobody_listens_is_said_so():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectFailed, match="Connect"):
        await try_connect(port)


async def test_a_server_that_never_finishes_its_handshake_is_given_up(authority):
    gone = asyncio.Event()

    async def silent(reader, writer):
        while await reader.read(65_536):
            pass
        gone.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed, match="within"):
            await try_connect(port, tls=authority.client(), connect_s=0.1)
        await asyncio.wait_for(gone.wait(), BOUND_S)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def secure(authority):
    """A simulator behind TLS, with a certificate as asked."""
    running = []

    async def start(host="smsc.test", **settings):
        context = authority.server(host, **settings)
        simulator = Simulator(SimulatorConfig(port=0, tls=context, delay_min_ms=0, delay_max_ms=1), SystemClock())
        await simulator.start()
        running.append(simulator)
        return simulator.port

    yield start
    for simulator in running:
        await simulator.stop()


async def test_r53_a_trusted_certificate_carries_messages_and_receipts(secure, authority):
    async with Esme(await secure(), tls=authority.client(), server_hostname="smsc.test") as esme:
        for at in range(100):
            esme.send(f"4670{at:07d}")
        assert {answer.command_status for answer in await esme.answers(100)} == {0}
        assert len(await esme.receipts_of(100)) == 100


async def test_r53_an_unknown_authority_is_refused(secure):
    with pytest.raises(ConnectFailed, match="not trusted"):
        await try_connect(await secure(), tls=ssl.create_default_context(), server_hostname="smsc.test")


async def test_r53_another_name_is_refused(secure, authority):
    with pytest.raises(ConnectFailed, match="not trusted"):
        await try_connect(await secure("other.test"), tls=authority.client(), server_hostname="smsc.test")


async def test_r53_the_hosts_own_name_counts_when_no_other_is_told(secure, authority):
    with pytest.raises(ConnectFailed, match="not trusted"):
        await try_connect(await secure(), tls=authority.client())


async def test_r53_an_expired_certificate_is_refused(secure, authority):
    with pytest.raises(ConnectFailed, match="expired"):
        await try_connect(await secure(expired=True), tls=authority.client(), server_hostname="smsc.test")


async def test_r53_a_server_without_tls_is_refused_when_tls_is_wanted(peer, authority):
    port = await peer.start()
    with pytest.raises(ConnectFailed):
        await try_connect(port, tls=authority.client(), server_hostname="smsc.test")


async def test_r53_a_plain_client_gets_nothing_from_a_tls_server(secure):
    async with Esme(await secure(), mode=None) as esme:
        esme.connection.bind(BindMode.TRANSCEIVER, "kvitto", "kvitto")
        await esme.until(lambda: esme.lost is not None)
    assert not esme.of(ev.BindAnswered)
