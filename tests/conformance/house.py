"""A store with an account, a hand-moved clock and short words for what tests do with it: send, claim, answer, receive.

Receipts are built as the reader would have read them; raw rows are looked at through the store's own readers.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy import select

from kvitto.core.ids import IdMaker, batch_of, message_ids
from kvitto.core.model import (
    Account,
    Batch,
    CallbackDue,
    CallbackResult,
    CallbackState,
    Claimed,
    Content,
    MessageView,
    NewBatch,
    NewMessage,
    Notify,
    PartKey,
)
from kvitto.core.receipt import LinkRules, NetworkError, Receipt
from kvitto.core.status import FINAL, Reason, Status
from kvitto.store import open_store
from kvitto.store import schema as t
from kvitto.store.api import NewAccount, ReceiptResult, ReceivedReceipt, SubmitAnswer, SubmitFate
from kvitto.store.callbackapi import Want
from kvitto.store.sealing import Seal
from kvitto.store.sqlstore import SqlStore
from kvitto.store.statements import Statement
from tests.support.clock import FakeClock

__all__ = ["CALLBACK_URL", "DAY_MS", "REASON_OF", "RULES", "Door", "House", "build_receipt", "drained"]

DAY_MS = 86_400_000
CALLBACK_URL = "http://customer.example/cb"
RULES = LinkRules()
REASON_OF = {
    Status.DELIVERED: Reason.DELIVERED,
    Status.FAILED: Reason.UNDELIVERABLE,
    Status.EXPIRED: Reason.VALIDITY_SMSC,
    Status.DELETED: Reason.DELETED_SMSC,
    Status.REJECTED: Reason.REJECTED_SMSC,
    Status.UNKNOWN: Reason.SMSC_UNKNOWN,
    Status.DISPATCHED: Reason.ENROUTE,
}


def build_receipt(
    smsc_id: str | None,
    status: Status = Status.DELIVERED,
    reason: Reason | None = None,
    *,
    to: str = "",
    text_id: str | None = None,
    sender: str = "Kvitto",
    err: str | None = None,
    net: tuple[int | None, int] | None = None,
    submit_at: int | None = None,
    done_at: int | None = None,
) -> Receipt:
    """A receipt as read: TLV id ``smsc_id``, from the phone ``to``."""
    return Receipt(
        message_id=smsc_id or text_id or "",
        text_id=text_id if text_id is not None else smsc_id,
        tlv_id=smsc_id,
        status=status,
        reason=reason or REASON_OF[status],
        final=status in FINAL,
        stat_raw=None,
        message_state=None,
        err=err,
        network_error=NetworkError(*net) if net else None,
        submit_at=submit_at,
        done_at=done_at,
        sub=None,
        dlvrd=None,
        text=None,
        raw=b"",
        source_addr=to,
        destination_addr=sender,
        intermediate=False,
    )


class Door:
    """The callback sender's door: takes up to ``places`` callbacks and keeps them."""

    def __init__(self, places: int = 1_000_000) -> None:
        self.places = places
        self.full: set[int] = set()
        self.taken: list[Any] = []

    def room(self) -> int:
        """How many more it takes."""
        return max(0, self.places - len(self.taken))

    def take(self, callbacks: list[CallbackDue]) -> None:
        """Keep them."""
        self.taken.extend(callbacks)


class House:
    """One store and one account (``account``); ``now`` is the clock's."""

    def __init__(self, url: str, clock: FakeClock, *, node: str = "node1", seal: Seal | None = None) -> None:
        self.url = url
        self.clock = clock
        self.node = node
        self.seal = seal or Seal.fresh()
        self.ids = IdMaker(clock)
        self.store: Any = self.open()  # a SqlStore; tests look into what it gives without asking for None each time
        self.account = Account(id="", name="", service_plan_id="", username="")
        self._numbers = count(46_700_000_001)
        self._names = count(1)
        self._opened: list[SqlStore] = [self.store]

    # --- life ------------------------------------------------------------------------------------------------------

    def open(self, *, node: str | None = None, groups: Mapping[str, str] | None = None) -> SqlStore:
        """A store on the same database, not started."""
        return open_store(self.url, node=node or self.node, seal=self.seal, clock=self.clock, groups=groups)

    async def second(self, *, node: str, groups: Mapping[str, str] | None = None) -> SqlStore:
        """Another process's store on the same database, started; stopped with the house."""
        store = self.open(node=node, groups=groups)
        self._opened.append(store)
        await store.start()
        return store

    async def start(self) -> "House":
        """Start the store and make the account."""
        await self.store.start()
        self.account = await self.new_account()
        return self

    async def stop(self) -> None:
        """Stop every store."""
        for store in self._opened:
            await store.stop()

    async def restart(self, *, node: str | None = None) -> None:
        """The process ends without a word to its links, and a new one starts as ``node`` (itself)."""
        await self.store.stop()
        self.store = self.open(node=node)
        self._opened.append(self.store)
        await self.store.start()

    @property
    def now(self) -> int:
        """The clock's instant, ms UTC."""
        return self.clock.now()

    async def look(self, query: Any) -> list[Any]:
        """Rows of a select over ``kvitto.store.schema``."""
        statement = Statement(lambda _: query)
        rows: list[Any] = await self.store._read(lambda tx: [tuple(row) for row in tx.run(statement)])
        return rows

    # --- in --------------------------------------------------------------------------------------------------------

    async def new_account(self, **settings: Any) -> Account:
        """Create an account with these settings."""
        name = f"account{next(self._names)}"
        account = Account(
            **{
                "id": self.ids.new(),
                "name": name,
                "service_plan_id": f"plan-{name}",
                "username": f"user-{name}",
                "callback_secret": "whsec_c2VjcmV0",
                "created_at": self.now,
                **settings,
            }
        )
        assert await self.store.create_account(NewAccount(account, f"token-{name}", f"password-{name}"))
        return account

    def number(self) -> str:
        """A number that nobody has."""
        return str(next(self._numbers))

    def plan(
        self,
        count: int = 1,
        *,
        to: Sequence[str] | None = None,
        parts: int | Sequence[int] = 1,
        aborts: Mapping[int, Reason] | None = None,
        texts: Mapping[int, str] | None = None,
        routes: list[str] | str = "",
        account: Account | None = None,
        valid_s: float = 86_400,
        batch_id: str | None = None,
        **fields: Any,
    ) -> NewBatch:
        """A new batch for ``count`` fresh numbers, or those of ``to``; ``aborts`` and ``texts`` by place."""
        now = self.now
        numbers = list(to) if to is not None else [self.number() for _ in range(count)]
        sizes = [parts] * len(numbers) if isinstance(parts, int) else list(parts)
        values: dict[str, Any] = {
            "id": batch_id or self.ids.new(),
            "account_id": (account or self.account).id,
            "dialect": "sinch",
            "sender": "Kvitto",
            "recipients": tuple(dict.fromkeys(numbers)),
            "content": Content(text="hello"),
            "notify": Notify.FINAL,
            "callback_url": CALLBACK_URL,
            "client_reference": None,
            "created_at": now,
            "modified_at": now,
            "send_at": None,
            "cancelled_at": None,
            "feedback": False,
            "extra": {},
            **fields,
        }
        values.setdefault("expire_at", (values["send_at"] or now) + int(valid_s * 1000))
        batch = Batch(**values)
        ids = message_ids(batch.id, len(numbers))
        messages = [
            NewMessage(ids[at], number, sizes[at], (texts or {}).get(at), (aborts or {}).get(at))
            for at, number in enumerate(numbers)
        ]
        return NewBatch(batch, messages, routes)

    async def send(self, count: int = 1, **wishes: Any) -> list[str]:
        """Accept a batch as of ``plan``; gives back its messages' ids."""
        new = self.plan(count, **wishes)
        batch = await self.store.accept_batch(new)
        assert isinstance(batch, NewBatch), batch
        return [one.id for one in new.messages]

    # --- out -------------------------------------------------------------------------------------------------------

    async def claim(self, parts: int = 1000, link: str = "link", store: SqlStore | None = None) -> list[Claimed]:
        """What the link gets."""
        claimed: list[Claimed] = await (store or self.store).claim_messages(link, parts, self.now)
        return claimed

    async def answer(
        self,
        message_id: str,
        smsc_id: str = "",
        *,
        part: int = 1,
        status: int = 0,
        retry_in_s: float | None = None,
        link: str = "link",
        group: str | None = None,
        store: SqlStore | None = None,
    ) -> None:
        """A submit_sm_resp; with ``retry_in_s`` a temporary refusal."""
        answer = SubmitAnswer(
            PartKey(message_id, part),
            self.now,
            status,
            smsc_id,
            retry_in_s is not None,
            self.now + int((retry_in_s or 0) * 1000),
        )
        await (store or self.store).record_answers(link, group or link, [answer])

    async def fate(self, message_id: str, *, in_doubt: bool, part: int = 1) -> None:
        """A part that was claimed and not answered."""
        await self.store.record_fates([SubmitFate(PartKey(message_id, part), in_doubt)], self.now)

    async def dispatch(
        self, count: int = 1, *, link: str = "link", group: str | None = None, **wishes: Any
    ) -> list[str]:
        """Send, claim and have every part accepted; part p of message m has the id ``<m's last 4>-p`` in decimal."""
        ids = await self.send(count, **wishes)
        claimed = await self.claim(link=link)
        answers = [
            SubmitAnswer(PartKey(one.message_id, part), self.now, 0, self.smsc_id(one.message_id, part))
            for one in claimed
            for part in one.todo
        ]
        await self.store.record_answers(link, group or link, answers)
        return ids

    @staticmethod
    def smsc_id(message_id: str, part: int = 1) -> str:
        """The id that ``dispatch`` lets the SMSC give: text that is no number."""
        return f"smsc-{message_id}-{part}"

    async def receive(
        self,
        receipt: Receipt | None,
        *,
        link: str = "link",
        group: str | None = None,
        rules: LinkRules = RULES,
        store: SqlStore | None = None,
    ) -> ReceiptResult:
        """A receipt comes in."""
        received = ReceivedReceipt(link, group or link, self.now, "00aa", receipt, rules)
        result: ReceiptResult = (await (store or self.store).record_receipts([received]))[0]
        return result

    async def receipt_for(
        self,
        message_id: str,
        status: Status = Status.DELIVERED,
        reason: Reason | None = None,
        *,
        part: int = 1,
        **how: Any,
    ) -> ReceiptResult:
        """A receipt for a message that ``dispatch`` sent."""
        routing = {name: how.pop(name) for name in ("link", "group", "rules", "store") if name in how}
        return await self.receive(build_receipt(self.smsc_id(message_id, part), status, reason, **how), **routing)

    # --- what became of it -----------------------------------------------------------------------------------------

    async def view(self, message_id: str, *, first_final: bool = False, account: Account | None = None) -> MessageView:
        """The message as readers see it."""
        recipient = await self.recipient(message_id)
        view = await self.store.fetch_message(
            (account or self.account).id, batch_of(message_id), recipient, first_final=first_final, now=self.now
        )
        assert isinstance(view, MessageView)
        return view

    async def recipient(self, message_id: str) -> str:
        """The message's number."""
        rows = await self.look(select(t.message.c.recipient).where(t.message.c.id == message_id))
        number: str = rows[0][0]
        return number

    async def status(self, message_id: str) -> tuple[Status, Reason]:
        """Status and reason."""
        view = await self.view(message_id)
        return view.status, view.reason

    async def events(self, message_id: str) -> list[tuple[Status, Reason]]:
        """What was kept of the message, in order: its ends, refusals for now, and what its customer is told of."""
        query = (
            select(t.event.c.status, t.event.c.reason).where(t.event.c.message_id == message_id).order_by(t.event.c.seq)
        )
        return [(Status(status), Reason(reason)) for status, reason in await self.look(query)]

    async def parts(self, message_id: str, *names: str) -> list[Any]:
        """The parts' columns, in order of their numbers; one column gives bare values."""
        query = (
            select(*[t.part.c[name] for name in names])
            .where(t.part.c.message_id == message_id)
            .order_by(t.part.c.part_no)
        )
        rows = await self.look(query)
        return [row[0] for row in rows] if len(names) == 1 else rows

    async def callbacks(self, limit: int = 1000, now: int | None = None) -> list[Any]:
        """Claim what is due to be posted, at the clock's time or another."""
        at = self.now if now is None else now
        wants = [Want(one.endpoint, limit) for one in await self.store.due_endpoints(at)]
        due: list[CallbackDue] = await self.store.claim_callbacks(at, wants)
        return sorted(due, key=lambda one: (one.created_at, one.id))

    async def told(self) -> list[tuple[str, Status]]:
        """Claim what is due and finish it: (message id, status) of each recipient's callback, in order."""
        due = await self.callbacks()
        await self.finish(due)
        return [(one.facts.id, one.facts.status) for one in due if isinstance(one.facts, MessageView)]

    async def finish(self, due: Iterable[CallbackDue]) -> None:
        """Every one of them was posted well."""
        results = [CallbackResult(one.id, CallbackState.DONE, self.now, None, None, 200, None, 1) for one in due]
        await self.store.record_attempts(results)


async def drained() -> None:
    """Let callbacks of the event loop that are ready run."""
    for _ in range(3):
        await asyncio.sleep(0)
