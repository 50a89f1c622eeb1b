"""The loop in: receipts and incoming messages of one link, stored first and answered then (R8, P2).

What one socket read brought is read, handed to the store as one batch, and answered when the commit is through:
status 0 for every receipt that is stored, matched or not; 0x64 (send it again later) when it could not be stored, or
not within the time that an SMSC waits. Reading the socket never waits for any of this (R6). A connection that has
gone meanwhile needs no answer: the SMSC sends the receipt again, and it counts once (R41).

Must not know: statuses, matching, callbacks. Next: ``kvitto.smpp.receipts``, ``Store.record_receipts``.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import NotReceipt, Receipt
from kvitto.core.text import decode_text, strip_header
from kvitto.dispatch.link import Link
from kvitto.dispatch.transport import SmppConnection
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.receipts import parse_receipt
from kvitto.smpp.spec import CommandStatus, EsmClass, Tlv
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

Answer = tuple[int, int]
"""(sequence_number, command_id) of a deliver_sm or data_sm."""


class Receiver:
    """Takes what one link's SMSC delivers. Built with the link it serves by ``kvitto.dispatch.dispatcher``."""

    def __init__(self, link: Link, store: Store, clock: Clock, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self.answer_within_s = answer_within_s
        self.log = link.log
        self._open = 0
        self.changed = asyncio.Event()
        """Set whenever a batch has been answered: who stops the link waits for it."""
        self.receipts = 0
        self.incoming = 0
        self.refused = 0
        self.by_outcome: dict[ReceiptOutcome, int] = dict.fromkeys(ReceiptOutcome, 0)
        self.by_level: dict[int, int] = {}

    @property
    def settled(self) -> bool:
        """Whether everything received has been answered."""
        return not self._open

    def on_received(self, connection: SmppConnection, pdus: Sequence[DeliverSm | DataSm]) -> None:
        """Store what one socket read brought, and see that it is answered afterwards."""
        link, rules, now = self._link.name, self._link.rules, self._clock.now()
        group = self._link.group
        receipts: list[ReceivedReceipt] = []
        asking: list[Answer] = []
        others: list[DeliverSm | DataSm] = []
        for pdu in pdus:
            read = parse_receipt(pdu, rules, now)
            if isinstance(read, NotReceipt):
                others.append(pdu)
                continue
            receipt = read if isinstance(read, Receipt) else None
            receipts.append(ReceivedReceipt(link, group, now, pdu.raw.hex(), receipt, rules))
            asking.append((pdu.sequence_number, pdu.command_id))
        if receipts:
            self.receipts += len(receipts)
            self._keep_receipts(connection, receipts, asking)
        if others:
            self._keep(connection, others, now)

    def _keep_receipts(
        self, connection: SmppConnection, receipts: Sequence[ReceivedReceipt], asking: list[Answer]
    ) -> None:
        def each_alone() -> None:
            for receipt, answer in zip(receipts, asking, strict=True):
                self._keep_receipts(connection, [receipt], [answer])

        batch = _Batch(self, connection, asking, each_alone if len(receipts) > 1 else None)
        batch.wait_for(self._store.record_receipts(receipts), self._count)

    def _keep(self, connection: SmppConnection, pdus: Sequence[DeliverSm | DataSm], now: int) -> None:
        """Incoming messages are kept, counted and answered like receipts."""
        self.incoming += len(pdus)
        messages = [
            IncomingMessage(self._link.name, now, pdu.source_addr, pdu.destination_addr, self._text(pdu), pdu.raw.hex())
            for pdu in pdus
        ]
        asking = [(pdu.sequence_number, pdu.command_id) for pdu in pdus]
        _Batch(self, connection, asking, None).wait_for(self._store.record_incoming(messages), None)

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
                self.log.info(_SHOWN[outcome], message_id=message_id, outcome=str(outcome))

    def opened(self) -> None:
        """A batch waits for its commit."""
        self._open += 1

    def closed(self) -> None:
        """A batch has been answered, and its commit is through or has failed."""
        self._open -= 1
        self.changed.set()

    def refuse(self, count: int, reason: str) -> None:
        """So many receipts were answered 0x64."""
        self.refused += count
        self.log.warning("receipt.refused", count=count, reason=reason)


class _Batch:
    """What one socket read brought, waiting for its commit; answered once, by the commit or by the time."""

    __slots__ = ("_asking", "_connection", "_count", "_each_alone", "_receiver", "_timer")

    def __init__(
        self,
        receiver: Receiver,
        connection: SmppConnection,
        asking: list[Answer],
        each_alone: Callable[[], None] | None,
    ) -> None:
        """``each_alone``: tries the members one by one; None when there is but one."""
        self._receiver = receiver
        self._connection = connection
        self._asking = asking
        self._each_alone = each_alone
        self._count: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def wait_for(self, future: "asyncio.Future[Any]", count: Any) -> None:
        """Answer when ``future`` has resolved; ``count`` gets its result."""
        self._count = count
        self._receiver.opened()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._receiver.answer_within_s, self._too_late)
        future.add_done_callback(self._stored)

    def _stored(self, future: "asyncio.Future[Any]") -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, StoreUnavailable):
            self._answer(_SEND_AGAIN, "not stored")
        elif error is not None:
            self._failed(error)
        else:
            if self._count is not None:
                self._count(future.result())
            self._answer(_STORED)
        self._receiver.closed()

    def _failed(self, error: BaseException) -> None:
        """A fault of ours, which would come again: only the receipt that causes it is refused, not its neighbours."""
        if self._each_alone is not None and self._asking:
            self._forget_timer()
            self._asking = []
            self._each_alone()
            return
        self._receiver.log.error("service.failed", service="receiver", exc_info=error)
        self._answer(_SEND_AGAIN, "not stored")

    def _too_late(self) -> None:
        self._timer = None
        self._answer(_SEND_AGAIN, "not stored in time")

    def _answer(self, command_status: int, reason: str = "") -> None:
        self._forget_timer()
        asking, self._asking = self._asking, []
        if not asking:
            return  # answered already
        if command_status:
            self._receiver.refuse(len(asking), reason)
        self._connection.answer_many([(number, command_id, command_status) for number, command_id in asking])

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
