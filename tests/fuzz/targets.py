"""What is fuzzed (P23): each target takes any octets and raises only when something is wrong with the code under test.

``TARGETS``: name -> target; each has a corpus of its own in ``corpus/NAME``, real forms and whatever once made trouble.
``mutate`` changes octets the way networks and hostile peers do. The short run is ``test_corpora.py``, the long one
``make fuzz`` (``run.py``).
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, Final, cast

from kvitto.core.receipt import LinkRules, TextReceipts
from kvitto.dialects.sinch import ROUTES
from kvitto.intake.connection import Connection
from kvitto.intake.exchange import HttpLimits, Request, Response
from kvitto.intake.shared import Shared
from kvitto.smpp.codec import PduBuffer, ProtocolError, decode, decode_by_table
from kvitto.smpp.events import DeliverAnswered, QueryAnswered, RequestTimedOut, SubmitAnswered
from kvitto.smpp.pdus import DataSm, DeliverSm, QuerySm, SubmitSm
from kvitto.smpp.receipts import parse_receipt
from kvitto.smpp.session import NotAllowed, Role, Session, State, Timers, WindowFull
from kvitto.smpp.spec import MAX_PDU_BYTES, BindMode
from tests.fuzz import test_infobip_fuzz as infobip_fuzz
from tests.fuzz import test_ninebits_fuzz as ninebits_fuzz
from tests.fuzz.test_receipts_fuzz import RULES, Pdu, check
from tests.fuzz.test_sinch_fuzz import call_for
from tests.fuzz.test_sinch_fuzz import check as check_sinch
from tests.support.clock import FakeClock
from tests.support.infobip import account as infobip_account
from tests.support.ninebits import account as ninebits_account
from tests.support.sinch import account

__all__ = ["TARGETS", "mutate"]

WINDOW = 5


def pdus(octets: bytes) -> None:
    """A stream of SMPP: the same frames however it is cut; the fast decoders say what the table says."""
    frames = _frames(PduBuffer(), [octets])
    assert frames == _frames(PduBuffer(), [octets[at : at + 7] for at in range(0, len(octets), 7)])
    for frame in frames:
        pdu = decode(frame)
        assert pdu == decode_by_table(frame)
        if isinstance(pdu, DeliverSm | DataSm):
            for rules in RULES:
                parse_receipt(pdu, rules, 0)


def _frames(buffer: PduBuffer, pieces: list[bytes]) -> list[bytes]:
    frames: list[bytes] = []
    for piece in pieces:
        try:
            frames += buffer.feed(piece)
        except ProtocolError as error:
            return frames + list(error.frames)
        assert buffer.pending_bytes <= MAX_PDU_BYTES
    return frames


def receipts(octets: bytes) -> None:
    """The text of a deliver_sm: flags, coding, rules and place chosen by the first two octets."""
    flags, choice = (*octets[:2], 0, 0)[:2]
    text = octets[2:]
    esm_class = (0, 4, 0x20, 0x24, 0x44, 8, 0x10, flags)[flags % 8]
    coding = (0, 8, 3, 1)[choice % 4]
    rules = (*RULES, LinkRules(text_receipts=TextReceipts.OFF))[choice // 4 % (len(RULES) + 1)]
    if choice & 0x80:
        check(Pdu(b"", esm_class, coding, {0x0424: text, 0x001E: text[:64]}), rules)
    else:
        check(Pdu(text, esm_class, coding, {}), rules)


def session(octets: bytes) -> None:
    """A script: each octet is something that happens, in any order, to an ESME or an SMSC; the books must agree."""
    if not octets:
        return
    # With the second bit nobody is asked whether he lives, so that requests come to their own time-outs.
    timers = Timers(enquire_link_s=1e6, bind_s=1e6) if octets[0] & 2 else Timers()
    one = Session(role=Role.ESME if octets[0] & 1 else Role.SMSC, now=0.0, window=WINDOW, timers=timers)
    story = _Story(one)
    at = 1
    while at < len(octets):
        at += story.step(octets[at], octets[at + 1 :])
    lost = one.lost(story.now)
    story.resolve(lost)
    assert one.state is State.CLOSED
    assert story.open == set(), "a token was never told of"


class _Story:
    """What was asked of a session, and what it said of it."""

    def __init__(self, one: Session) -> None:
        self.session = one
        self.now = 0.0
        self.open: set[object] = set()
        self.late: set[object] = set()
        self._tokens = 0

    def step(self, kind: int, rest: bytes) -> int:
        """Do one thing; gives back how many octets it took."""
        asks = (self._bind, self._submit, self._deliver, self._query, self._unbind, self._pass_time)
        if kind < 0x40:
            with contextlib.suppress(NotAllowed, WindowFull):
                asks[kind % len(asks)]()
            assert self.session.outstanding <= WINDOW
            return 1
        # Anything else: that many octets come from the peer, as they stand or as a whole PDU.
        size = min(len(rest), kind - 0x3F)
        data = rest[:size]
        if kind & 1:
            data = (16 + max(0, size - 12)).to_bytes(4, "big") + data[:12].ljust(12, b"\0") + data[12:]
        self._hear(self.session.receive(data, self.now))
        return 1 + size

    def resolve(self, tokens: list[object]) -> None:
        """These were told of for good."""
        for token in tokens:
            assert token in self.open, "told of twice, or never asked"
            self.open.discard(token)

    def _hear(self, events: Any) -> None:
        self.session.take_output()
        for event in events:
            if isinstance(event, RequestTimedOut):
                self.resolve([event.token])
                self.late.add(event.token)
            elif isinstance(event, SubmitAnswered | QueryAnswered | DeliverAnswered):
                if event.late:
                    assert event.token in self.late, "late, and never timed out"
                    self.late.discard(event.token)
                else:
                    self.resolve([event.token])

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens

    def _ask(self, what: Callable[..., object], *arguments: object) -> None:
        token = self._token()
        what(*arguments, token, self.now)
        self.open.add(token)

    def _bind(self) -> None:
        if self.session.role is Role.ESME:
            self.session.bind(BindMode.TRANSCEIVER, "x", "y", now=self.now)
        else:
            self.session.answer_bind(1, 0, "z")

    def _submit(self) -> None:
        self._ask(self.session.submit, SubmitSm(short_message=b"hi"))

    def _deliver(self) -> None:
        self._ask(self.session.deliver, DeliverSm(short_message=b"hi"))

    def _query(self) -> None:
        self._ask(self.session.query, QuerySm(message_id="1"))

    def _unbind(self) -> None:
        self.session.unbind(self.now)

    def _pass_time(self) -> None:
        self.now += 20.0
        self._hear(self.session.poll(self.now))


class _Wire:
    """A socket of which nobody reads."""

    def __init__(self) -> None:
        self.closed = False

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return ("192.0.2.7", 4000)

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _raise(request: Request, error: BaseException) -> None:
    raise error


def http(octets: bytes) -> None:
    """A stream of HTTP: whole or in pieces, the same requests come out of it, or a refusal."""
    whole, pieces = _requests([octets]), _requests([octets[at : at + 11] for at in range(0, len(octets), 11)])
    assert whole == pieces


def _requests(pieces: list[bytes]) -> list[tuple[object, ...]]:
    seen: list[tuple[object, ...]] = []

    def handle(request: Request) -> Response:
        seen.append((request.method, request.target, request.raw_path, request.query, bytes(request.body)))
        return Response(200)

    timer = SimpleNamespace(cancel=lambda: None, when=lambda: 0.0)
    loop = SimpleNamespace(
        call_later=lambda *_: timer, call_at=lambda *_: timer, call_soon=lambda *_: timer, time=float
    )
    shared = Shared(
        clock=FakeClock(),
        handler=handle,
        limits=HttpLimits(body_bytes=4096),
        loop=cast("Any", loop),
        on_error=_raise,
        path_prefix="",
        refuse=lambda refusal: Response(refusal.status),
        scheme="http",
        trusted=(),
        when_empty=lambda: None,
    )
    connection = Connection(shared)
    wire = _Wire()
    connection.connection_made(cast("Any", wire))
    for piece in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
    connection.connection_lost(None)
    return seen


def sinch(octets: bytes) -> None:
    """The body of a request of the Sinch dialect; the first octet chooses the route."""
    writes = [route for route in ROUTES if route.method in ("POST", "PUT")]
    route = writes[(octets or b"\0")[0] % len(writes)]
    check_sinch(route, call_for(route, octets[1:]), account(callback_url="http://a/", default_from="Shop"))


def infobip(octets: bytes) -> None:
    """The body of an Infobip request; the first octet chooses the route, and whether it is JSON or XML."""
    first = (octets or b"\0")[0]
    route = infobip_fuzz.SENDS[first // 2 % len(infobip_fuzz.SENDS)]
    kind = "application/xml" if first % 2 else "application/json"
    call = infobip_fuzz.call_for(route, octets[1:], content_type=kind, accept=kind)
    infobip_fuzz.check(route, call, infobip_account(callback_url="http://a/"))


def ninebits(octets: bytes) -> None:
    """The body of a 9bits send."""
    ninebits_fuzz.check(ninebits_fuzz.SEND, ninebits_fuzz.call_for(ninebits_fuzz.SEND, octets), ninebits_account())


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "pdus": pdus,
    "receipts": receipts,
    "session": session,
    "http": http,
    "sinch": sinch,
    "infobip": infobip,
    "ninebits": ninebits,
}

_JSON: Final = (b'"', b"{", b"}", b"[", b"]", b",", b"null", b"1e999", b"\\ud800", b"\xff", json.dumps("é").encode())

_PIECES: Mapping[str, tuple[bytes, ...]] = {
    "pdus": (b"\0\0\0\x10", b"\x80\0\0\4", b"\0\0\0\5", b"\xff\xff\xff\xff", b"\0\x1e\0\2", b"\4\x27\0\1\2", b"\4\x24"),
    "receipts": (b"id:", b" stat:", b"done date:", b"err:", b"text:", b"\0", b"9" * 40, b"\x1b", b"DELIVRD"),
    "session": (b"\1", b"\0", b"\2", b"\5", b"\x4d\x80\0\0\4\0\0\0\0\0\0\0\2", b"\x4d\0\0\0\6\0\0\0\0\0\0\0\1"),
    "http": (b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\0", b"%2F"),
    "sinch": (*_JSON, b'"to":'),
    "infobip": (
        *_JSON,
        b'"destinations":',
        b"<to>",
        b"</to>",
        b"<![CDATA[",
        b"<!DOCTYPE a [",
        b'<!ENTITY a "b">',
        b"&a;",
    ),
    "ninebits": (*_JSON, b'"to":', b'"content":', b"+", b"00"),
}


def mutate(name: str, seed: bytes, chance: Random) -> bytes:
    """Change, double, drop, cut and insert, one to eight times."""
    octets = bytearray(seed)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(octets) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            octets[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            octets[place:place] = octets[place : place + chance.randint(1, 40)]
        elif kind == 2:
            del octets[place : place + chance.randint(1, 10)]
        elif kind == 3:
            octets[place:place] = chance.choice(_PIECES[name])
        elif kind == 4 and place < len(octets):
            octets[place] ^= 1 << chance.randrange(8)
        else:
            del octets[place + chance.randrange(64) :]
    return bytes(octets[:8192])
