"""Asking the SMSC before giving up: one query_sm for a part that would end without a receipt (R52).

For a link with ``query``, the store names the parts whose wait is nearly over, each once; the question takes a window
slot like a submit, and never the last one that a submit could have. A final answer is stored as a receipt is: matched,
applied, called back. Any other answer, or none, leaves the part to R44. Must not know: what a status means.
Next: ``Store.claim_queries``, ``kvitto.smpp.receipts.receipt_of_query``.
"""

import asyncio
from typing import Any, Final, NamedTuple, cast

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.msisdn import source_address
from kvitto.dispatch.keeper import Keeper
from kvitto.dispatch.link import Bind, Link
from kvitto.smpp.codec import EncodeError
from kvitto.smpp.events import QueryAnswered
from kvitto.smpp.pdus import QuerySm
from kvitto.smpp.receipts import receipt_of_query
from kvitto.smpp.session import NotAllowed, WindowFull
from kvitto.store.api import QueryDue, ReceivedReceipt, Store

__all__ = ["Question", "Questions"]

EVERY_S: Final = 5.0
"""How often the store is asked; ``query_before_s`` leaves room for a few of these."""


class Question(NamedTuple):
    """The token of a query_sm."""

    due: QueryDue


class Questions:
    """Asks for what one link's SMSC has not told; a service."""

    def __init__(self, link: Link, store: Store, clock: Clock, *, every_s: float = EVERY_S) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._answers: Keeper[ReceivedReceipt] = Keeper(self._write, lambda: None)
        self.asked = 0
        self.answered = 0

    def start(self) -> None:
        """Begin. Bears being called twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"questions {self._link.name}")

    async def stop(self) -> None:
        """Ask no more. Bears early and double calls."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def close(self) -> None:
        """Stop keeping what the store will not take."""
        self._answers.close()

    async def ask(self) -> int:
        """Ask for what is due now, as far as windows allow; returns how many. Raises: StoreUnavailable."""
        link, now = self._link, self._clock.now()
        room = link.free_window() - 1
        if not link.rules.query or room <= 0:
            return 0
        asked = 0
        for due in await self._store.claim_queries(link.name, link.rules, now, room):
            asked += self._put(due)
        self.asked += asked
        return asked

    def _put(self, due: QueryDue) -> int:
        """Write one question; 0 when the bind it could have gone by is gone: it is not asked again."""
        bind = max(self._link.senders, key=lambda bind: bind.free)
        if bind.connection is None or not bind.free:
            return 0
        rules = self._link.rules
        ton, npi, source = source_address(
            due.sender, ton=due.source_ton, npi=due.source_npi, short_code_ton=rules.short_code_ton
        )
        pdu = QuerySm(message_id=due.smsc_message_id, source_addr_ton=ton, source_addr_npi=npi, source_addr=source)
        try:
            bind.connection.query(pdu, Question(due))
        except (NotAllowed, WindowFull, EncodeError) as wrong:
            self._link.log.warning("query.failed", message_id=due.key.message_id, error=str(wrong))
            return 0
        return 1

    def on_answered(self, bind: Bind, event: QueryAnswered) -> None:
        """An answer came, late ones included: a final one is a receipt."""
        self.answered += 1
        due, now = cast("Question", event.token).due, self._clock.now()
        rules = self._link.rules
        receipt = receipt_of_query(event, due.smsc_message_id, due.recipient, due.sender, rules, now)
        status = None if receipt is None else str(receipt.status)
        self._link.log.info("query.answered", message_id=due.key.message_id, outcome=status or "no end told")
        if receipt is not None:
            raw = receipt.raw.hex()
            self._answers.put([ReceivedReceipt(self._link.name, due.group, now, raw, receipt, rules)])

    def _write(self, receipts: list[ReceivedReceipt]) -> "asyncio.Future[Any]":
        return self._store.record_receipts(receipts)

    async def _run(self) -> None:
        while True:
            try:
                await self.ask()
            except StoreUnavailable:
                pass  # the store says so itself; the next round comes
            except Exception:  # the top of this service: R44 ends what could not be asked for
                self._link.log.exception("service.failed", service="questions")
            await asyncio.sleep(self._every_s)
