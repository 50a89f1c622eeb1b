"""The loop in: receipts and incoming messages of one link, stored first and answered then (R8, P2).

What one turn of the loop brought, over all binds, is read, handed to the store as one batch, and answered when the
commit is through: status 0 for every receipt that is stored, matched or not; 0x64 (send it again later) when it could
not be stored, or not within the time that an SMSC waits. Reading the socket never waits for any of this (R6). A
connection that has gone meanwhile needs no answer: the SMSC sends the receipt again, and it counts once (R41).

Must not know: statuses, matching, callbacks. Next: ``kvitto.smpp.receipts``, ``Store.record_receipts``.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import NotReceipt, Receipt
from kvitto.core.text import decode_text, strip_header
from kvitto.dispatch.keeper import ON_THEIR_WAY
from kvitto.dispatch.link import Link
from kvitto.dispatch.transport import SmppConnection
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.receipts import parse_receipt
from kvitto.smpp.spec import CommandId, CommandStatus, EsmClass, Tlv
from kvitto.store.api import IncomingMessage, ReceiptResult, ReceivedReceipt, Store

__all__ = ["ANSWER_WITHIN_S", "Receiver"]

ANSWER_WITHIN_S: Final = 4.8
"""Every receipt is answered within 5 s (R8); one that the store still holds then may come again, and does no harm."""

_STORED: Final = 0
_SEND_AGAIN: Final = int(CommandStatus.ESME_RX_T_APPN)
_SHOWN: Final = {
    ReceiptOutcome.PARKED: "receipt.parked",
    ReceiptOutcome.ADOPTED: "receipt.adopted",
    ReceiptOutcome.ORPHAN: "receipt.orphaned",
    ReceiptOutcome.AMBIGUOUS: "receipt.orphaned",
    ReceiptOutcome.CONFLICT: "receipt.conflict",
    ReceiptOutcome.UNPARSEABLE: "receipt.unreadable",
}

_DELIVER_SM: Final = CommandId.DELIVER_SM.value  # a plain number: to fetch a member of an enum is a call
_HAIR_S: Final = 0.001
"""A timer may ring this much early: its own receipts are late then all the same."""

Answer = tuple[int, int]
"""(sequence_number, command_id) of a deliver_sm or data_sm."""
_Reading = tuple[float, SmppConnection, list[Answer]]
"""What one socket read is owed: when it came (the loop's clock), on which connection, the answers."""


class Receiver:
    """Takes what one link's SMSC delivers. Built with the link it serves by ``kvitto.dispatch.dispatcher``."""

    def __init__(self, link: Link, store: Store, clock: Clock, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._within_s = answer_within_s
        self._log = link.log
        self._next: _Batch | None = None  # what this turn of the loop brings, or waits while two are on their way
        self._turn_ends = False
        self._on_their_way = 0
        self._open: set[_Batch] = set()  # all that is not stored yet
        self._timer: asyncio.TimerHandle | None = None
        self.changed = asyncio.Event()
        """Set whenever a batch has been answered: who stops the link waits for it."""
        self.receipts = 0
        self.incoming = 0
        self.refused = 0
        self.by_outcome: dict[ReceiptOutcome, int] = dict.fromkeys(ReceiptOutcome, 0)
        self.by_level: dict[int, int] = {}

    def adjust(self, answer_within_s: float) -> None:
        """Another time within which what comes from now on is answered."""
        self._within_s = answer_within_s

    @property
    def settled(self) -> bool:
        """Whether everything received has been answered."""
        return not self._open

    # --- receipts come -----------------------------------------------------------------------------------------------

    def on_received(self, connection: SmppConnection, pdus: Sequence[DeliverSm | DataSm]) -> None:
        """Store what one socket read brought, and see that it is answered afterwards."""
        link, rules, now = self._link, self._link.rules, self._clock.now()
        name, group = link.name, link.group
        receipts: list[ReceivedReceipt] = []
        asking: list[Answer] = []
        others: list[DeliverSm | DataSm] = []
        for pdu in pdus:
            read = parse_receipt(pdu, rules, now)
            kind = type(read)
            if kind is NotReceipt:
                others.append(pdu)
                continue
            receipt = read if isinstance(read, Receipt) else None
            receipts.append(ReceivedReceipt(name, group, now, pdu.raw.hex(), receipt, rules))
            asking.append((pdu.sequence_number, _DELIVER_SM if type(pdu) is DeliverSm else pdu.command_id))
        if receipts:
            self.receipts += len(receipts)
            batch = self._next
            if batch is None:
                batch = self._next = _Batch(self)
            batch.receipts += receipts
            self._owe(batch, connection, asking)
            if not self._turn_ends and self._on_their_way < ON_THEIR_WAY:
                self._turn_ends = True
                asyncio.get_running_loop().call_soon(self._end_turn)
        if others:
            self._keep(connection, others, now)

    def _end_turn(self) -> None:
        self._turn_ends = False
        self._send_next()

    def _send_next(self) -> None:
        """Hand over what has collected; with two batches on their way it would only wait for the second's commit."""
        if self._next is not None and self._on_their_way < ON_THEIR_WAY:
            batch, self._next = self._next, None
            self._send(batch, self._store.record_receipts(batch.receipts))

    def _keep(self, connection: SmppConnection, pdus: Sequence[DeliverSm | DataSm], now: int) -> None:
        """Incoming messages are kept, counted and answered like receipts."""
        self.incoming += len(pdus)
        messages = [
            IncomingMessage(self._link.name, now, pdu.source_addr, pdu.destination_addr, self._text(pdu), pdu.raw.hex())
            for pdu in pdus
        ]
        batch = _Batch(self)
        self._owe(batch, connection, [(pdu.sequence_number, pdu.command_id) for pdu in pdus])
        self._send(batch, self._store.record_incoming(messages))

    def _text(self, pdu: DeliverSm | DataSm) -> str:
        octets = pdu.short_message or pdu.tlvs.get(Tlv.MESSAGE_PAYLOAD, b"")
        if pdu.esm_class & EsmClass.UDHI:
            octets = strip_header(octets)[1]
        return decode_text(octets, pdu.data_coding, alphabet=self._link.rules.default_alphabet)

    def _count(self, results: Sequence[ReceiptResult]) -> None:
        outcomes, levels = self.by_outcome, self.by_level
        for outcome, level, message_id in results:
            outcomes[outcome] += 1
            if level is not None:
                levels[level] = levels.get(level, 0) + 1
            if outcome in _SHOWN:
                self._log.info(_SHOWN[outcome], message_id=message_id, outcome=str(outcome))

    # --- they are stored, or not -------------------------------------------------------------------------------------

    def _owe(self, batch: "_Batch", connection: SmppConnection, asking: list[Answer]) -> None:
        """These are to be answered when the batch is stored, or when their time is up."""
        loop = asyncio.get_running_loop()
        batch.asking.append((loop.time(), connection, asking))
        self._open.add(batch)
        if self._timer is None:
            self._timer = loop.call_later(self._within_s, self._look_for_late)

    def _send(self, batch: "_Batch", future: "asyncio.Future[Any]") -> None:
        self._on_their_way += 1
        future.add_done_callback(batch.on_stored)

    def on_stored(self, batch: "_Batch", future: "asyncio.Future[Any]") -> None:
        """The store has taken a batch, or has not."""
        self._on_their_way -= 1
        self._open.discard(batch)
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            self._answer(batch.asking, _SEND_AGAIN, f"not stored: {error or 'the store stops'}")
        elif error is not None:
            self._failed(batch, error)
        else:
            if batch.receipts:
                self._count(future.result())
            self._answer(batch.asking, _STORED)
        self._send_next()
        self.changed.set()

    def _failed(self, batch: "_Batch", error: BaseException) -> None:
        """A fault of ours, which would come again: only the receipt that causes it is refused, not its neighbours."""
        if len(batch.receipts) > 1 and batch.asking:
            for one in batch.split():
                self._open.add(one)
                self._send(one, self._store.record_receipts(one.receipts))
            return
        self._log.error("service.failed", service="receiver", exc_info=error)
        self._answer(batch.asking, _SEND_AGAIN, "not stored")

    def _look_for_late(self) -> None:
        """Answer what came ``answer_within_s`` ago and is not stored yet; then ring for the oldest that is left."""
        self._timer = None
        loop = asyncio.get_running_loop()
        before = loop.time() - self._within_s + _HAIR_S
        owed: list[float] = []
        for batch in self._open:
            late = [reading for reading in batch.asking if reading[0] <= before]
            if late:
                batch.asking = batch.asking[len(late) :]
                self._answer(late, _SEND_AGAIN, "not stored in time")
            if batch.asking:
                owed.append(batch.asking[0][0])
        if owed:
            self._timer = loop.call_at(min(owed) + self._within_s, self._look_for_late)

    def _answer(self, readings: "Sequence[_Reading]", command_status: int, reason: str = "") -> None:
        """Answer what has not been answered yet; a batch whose time was up has nothing left to answer."""
        for _, connection, asking in readings:
            if command_status:
                self.refused += len(asking)
                self._log.warning("receipt.refused", count=len(asking), reason=reason)
            connection.answer_many([(number, command_id, command_status) for number, command_id in asking])


class _Batch:
    """Receipts on their way to the store, with what each socket read among them is owed.

    ``asking``: when it came (the loop's clock), where from, what to answer; taken away once it is answered late.
    Receipts and answers are in the same order.
    """

    __slots__ = ("_receiver", "asking", "receipts")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.receipts: list[ReceivedReceipt] = []
        self.asking: list[_Reading] = []

    def on_stored(self, future: "asyncio.Future[Any]") -> None:
        """The store's future has resolved."""
        self._receiver.on_stored(self, future)

    def split(self) -> "list[_Batch]":
        """One batch for each receipt that is not answered yet; the first to come are the first to be answered late."""
        owed = [(at, connection, [answer]) for at, connection, asking in self.asking for answer in asking]
        alone = []
        for receipt, reading in zip(self.receipts[-len(owed) :], owed, strict=True):
            batch = _Batch(self._receiver)
            batch.receipts, batch.asking = [receipt], [reading]
            alone.append(batch)
        return alone
