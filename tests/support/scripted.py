"""Doubles for the loops out and in: a store whose futures a test resolves, and a connection without a socket."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Claimed, Content
from kvitto.smpp.codec import PduBuffer, decode, encode, encode_submit_sm_resp
from kvitto.smpp.events import Event
from kvitto.smpp.pdus import BindResp, DataSm, DeliverSm, SubmitSm
from kvitto.smpp.session import Role, Session
from kvitto.smpp.spec import BindMode
from kvitto.store.api import ReceiptResult
from tests.support.clock import FakeClock

__all__ = ["ScriptedConnection", "ScriptedStore", "claimed", "settle"]


async def settle(turns: int = 5) -> None:
    """Let everything that is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)


def claimed(id: str, *, todo: tuple[int, ...] = (1,), parts: int = 1, text: str = "hello", **changes: Any) -> Claimed:
    """A claimed message; ``attempts`` made before: none."""
    fields = {
        "message_id": id,
        "account_id": "A",
        "recipient": "46701234567",
        "sender": "12345",
        "content": Content(text=text),
        "text": text,
        "parts": parts,
        "todo": todo,
        "expire_at": 4_000_000_000_000,
        "attempts": 0,
    }
    return Claimed(**{**fields, **changes})


def _failed(error: Exception) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


class ScriptedStore:
    """Keeps every call as (verb, arguments). A verb answers at once, unless its name is in ``held`` or ``away``.

    ``claims``: what the next ``claim_messages`` give, one list a call; then nothing.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.held: set[str] = set()
        self.away: set[str] = set()
        self.waiting: list[tuple[str, asyncio.Future[Any], Any]] = []
        self.claims: list[list[Claimed]] = []
        self.receipt_results: list[ReceiptResult] = []
        self.due_at: int | None = None
        self.stumbles: Callable[[Sequence[Any]], bool] = lambda items: False

    def of(self, verb: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of a verb."""
        return [arguments for name, arguments in self.calls if name == verb]

    def release(self, verb: str) -> None:
        """Resolve what was held."""
        waiting, self.waiting = self.waiting, []
        for name, future, result in waiting:
            if name != verb:
                self.waiting.append((name, future, result))
            elif not future.done():
                future.set_result(result)

    def _answer(self, verb: str, arguments: tuple[Any, ...], result: Any) -> "asyncio.Future[Any]":
        self.calls.append((verb, arguments))
        future = asyncio.get_running_loop().create_future()
        if verb == "record_answers" and self.stumbles(arguments[2]):
            future.set_exception(RuntimeError("stumbled"))
        elif verb in self.away:
            future.set_exception(StoreUnavailable("away"))
        elif verb in self.held:
            self.waiting.append((verb, future, result))
        else:
            future.set_result(result)
        return future

    def claim_messages(self, link: str, parts: int, now: int) -> Any:
        """Give the next of ``claims``."""
        result = [] if "claim_messages" in self.away else self.claims.pop(0) if self.claims else []
        return self._answer("claim_messages", (link, parts, now), result)

    def record_answers(self, link: str, group: str, answers: Sequence[Any]) -> Any:
        """Keep."""
        return self._answer("record_answers", (link, group, list(answers)), None)

    def record_fates(self, fates: Sequence[Any], now: int) -> Any:
        """Keep."""
        return self._answer("record_fates", (list(fates), now), None)

    def record_receipts(self, receipts: Sequence[Any]) -> Any:
        """Keep; the results are ``receipt_results``. ``stumbles`` says which fail by a fault of ours."""
        if self.stumbles(receipts):
            return _failed(RuntimeError("stumbled"))
        return self._answer("record_receipts", (list(receipts),), self.receipt_results)

    def record_incoming(self, messages: Sequence[Any]) -> Any:
        """Keep."""
        return self._answer("record_incoming", (list(messages),), None)

    async def next_due_at(self, link: str) -> int | None:
        """``due_at``."""
        self.calls.append(("next_due_at", (link,)))
        return self.due_at


class ScriptedConnection:
    """A bound connection without a socket: what was submitted is in ``submitted``, answers are fed with ``answer``."""

    def __init__(self, clock: FakeClock, *, window: int = 10, mode: BindMode = BindMode.TRANSCEIVER) -> None:
        self.clock = clock
        self.session = Session(role=Role.ESME, now=clock.monotonic(), window=window)
        self.session.bind(mode, "kvitto", "secret", now=clock.monotonic())
        self.session.take_output()
        self._feed_bind_resp(mode)
        self.writable = True
        self.submitted: list[tuple[int, SubmitSm]] = []
        self.answered: list[tuple[int, int, int]] = []
        self.unbound = False

    def _feed_bind_resp(self, mode: BindMode) -> None:
        self.session.receive(encode(BindResp(mode | 0x80000000, 1), 1), self.clock.monotonic())

    def submit_bodies(self, messages: Iterable[tuple[bytes, object]]) -> None:
        """See ``SmppConnection``."""
        self.session.submit_many(messages, self.clock.monotonic())
        octets = self.session.take_output()
        for frame in PduBuffer().feed(octets):
            pdu = decode(frame)
            assert isinstance(pdu, SubmitSm)
            self.submitted.append((pdu.sequence_number, pdu))

    def answer_many(self, answers: Iterable[tuple[int, int, int]]) -> None:
        """See ``SmppConnection``."""
        self.answered.extend(answers)

    def unbind(self) -> None:
        """See ``SmppConnection``."""
        self.unbound = True

    def responses(self, *answers: tuple[int, int, str]) -> list[Event]:
        """The events of submit_sm_resp (sequence_number, command_status, message_id) read at once."""
        octets = b"".join([encode_submit_sm_resp(*answer) for answer in answers])
        return self.session.receive(octets, self.clock.monotonic())

    def received(self, *frames: bytes) -> list[DeliverSm | DataSm]:
        """PDUs as one socket read brings them."""
        pdus = [decode(frame) for frame in frames]
        assert all(isinstance(pdu, DeliverSm | DataSm) for pdu in pdus)
        return pdus  # type: ignore[return-value]
