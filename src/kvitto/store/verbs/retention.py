"""What is forgotten, and when: raw receipts, callbacks, batches with all that is theirs (R51, R25, R34).

Cleaning goes over the oldest rows of each table in the order of their keys, a few at a time: a step looks at no more
than ``limit`` rows and removes what belongs to no more than ``limit`` messages, so that no commit waits long for it.
Where it stopped it goes on with the next step (``Walks``); after the last old row it begins again. Nothing that a
receipt may still need goes before its link's ``map_keep_s``; a batch goes only when all its messages have ended.

Must not know: why somebody keeps things longer. Next: ``Store.clean``, ``kvitto.dispatch.cleaning``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, delete, func, select, true
from sqlalchemy.dialects import postgresql

from kvitto.core.ids import message_range
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.store import schema as t
from kvitto.store.api import Cleaned
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs import unread

__all__ = ["CALLBACKS_END_S", "CleanStep", "Walks", "clean"]

_DAY_S: Final = 86_400
CALLBACKS_END_S: Final = 7 * _DAY_S
"""A batch is kept this long after its last end whatever the settings say: its callbacks may still be retried."""
_LOOKS: Final = 10
"""Messages that a step may count for each that it may remove: counting is cheap, but not free."""
_DEFAULTS: Final = LinkRules()


class Walks:
    """How far cleaning has come in each table: the last key looked at. Lost with the process, which does no harm."""

    __slots__ = ("batch", "callback", "dispatched", "incoming", "receipt")

    def __init__(self) -> None:
        self.receipt = 0
        self.callback = 0
        self.incoming = 0
        self.dispatched = 0
        self.batch = ""


class CleanStep(NamedTuple):
    """One step of cleaning; see ``Store.clean``. ``retention_days``: of accounts that have none of their own."""

    walks: Walks
    rules: Mapping[str, LinkRules]
    retention_days: int
    now: int
    limit: int


def clean(tx: Tx, scope: Scope, items: Sequence[CleanStep]) -> list[Cleaned]:
    """Remove a little of what is too old; see ``Store.clean``."""
    return [_step(tx, item) for item in items]


def _step(tx: Tx, item: CleanStep) -> Cleaned:
    keeps = _Keeps(tx, item)
    highest = max(one or 0 for one in tx.run(_HIGHEST)[0])
    steps = [
        _clean_receipts(tx, item, keeps),
        _clean_incoming(tx, item, keeps),
        _clean_callbacks(tx, item, keeps),
        _clean_batches(tx, item, keeps),
        _clean_dispatched(tx, item, keeps),
    ]
    cleaned = Cleaned(sum(removed for removed, _ in steps), all(over for _, over in steps))
    if cleaned.removed:
        tx.run(_REMEMBER, [("serial", highest)])
    return cleaned


_HIGHEST: Final = Statement(
    lambda _: select(
        *[
            select(func.max(column)).scalar_subquery()
            for column in (t.event.c.seq, t.dispatched.c.seq, t.callback.c.id, t.receipt.c.id)
        ]
    )
)


def _remember(r: Any) -> Any:
    """Numbers go on from here, whatever rows are left. The clause is PostgreSQL's by name; SQLite has it too."""
    given = select(r.c.name, r.c.value).where(true())  # SQLite: or ON would begin a join
    insertion = postgresql.insert(t.high_water).from_select(["name", "value"], given)
    return insertion.on_conflict_do_update(
        index_elements=["name"],
        set_={"value": insertion.excluded.value},
        where=insertion.excluded.value > t.high_water.c.value,
    )


_REMEMBER: Final = Statement(_remember, name=Str, value=Int)


_RETENTIONS: Final = Statement(
    lambda _: select(t.account.c.id, t.account.c.retention_days).where(t.account.c.retention_days.is_not(None))
)


class _Keeps:
    """Until when things had to come, to be old by now (ms UTC)."""

    def __init__(self, tx: Tx, item: CleanStep) -> None:
        self._now = item.now
        self._rules = item.rules
        self._least_s = max([CALLBACKS_END_S, *(rules.map_keep_s for rules in item.rules.values())])
        self._default_s = item.retention_days * _DAY_S
        self._own_s = {row[0]: row[1] * _DAY_S for row in tx.run(_RETENTIONS)}

    def batches(self, account_id: str) -> int:
        """Of batches and callbacks of this account."""
        wanted_s = self._own_s.get(account_id, self._default_s)
        return self._now - 1000 * int(max(wanted_s, self._least_s))

    def youngest_batch(self) -> int:
        """What is younger than this is old for nobody."""
        wanted_s = min([self._default_s, *self._own_s.values()])
        return self._now - 1000 * int(max(wanted_s, self._least_s))

    def raw(self, link: str, outcome: str = "") -> int:
        """Of receipts of this link; one without a message has been waited for before it began to be kept (R34)."""
        rules = self._rules.get(link, _DEFAULTS)
        waited_s = rules.park_s if outcome == ReceiptOutcome.ORPHAN else 0
        return self._now - 1000 * (rules.raw_keep_s + waited_s)

    def youngest_raw(self) -> int:
        """What is younger than this is old on no link."""
        return self._now - 1000 * min([_DEFAULTS.raw_keep_s, *(rules.raw_keep_s for rules in self._rules.values())])


# --- receipts and incoming messages -----------------------------------------------------------------------------------


def _walk(table: Any, *names: str) -> Statement:
    columns = [table.c[name] for name in names]
    return Statement(
        lambda _: (
            select(*columns)
            .where(columns[0] > bindparam("after", type_=columns[0].type))
            .order_by(columns[0])
            .limit(bindparam("n", type_=Int))
        )
    )


def _forget(column: Any, kind: Any = Int) -> Statement:
    return Statement(lambda r: delete(column.table).where(column.in_(select(r.c.key))), key=kind)


_RECEIPTS: Final = _walk(t.receipt, "id", "link", "received_at", "outcome", "next_try_at")
_INCOMING: Final = _walk(t.incoming, "id", "link", "received_at")
_FORGET_RECEIPTS: Final = _forget(t.receipt.c.id)
_FORGET_INCOMING: Final = _forget(t.incoming.c.id)


def _clean_receipts(tx: Tx, item: CleanStep, keeps: _Keeps) -> tuple[int, bool]:
    rows = tx.run(_RECEIPTS, after=item.walks.receipt, n=item.limit)
    young = keeps.youngest_raw()
    old = [row for row in rows if row[2] < young]
    gone = [(row[0],) for row in old if row[4] is None and row[2] < keeps.raw(row[1], row[3])]
    if gone:
        tx.run(_FORGET_RECEIPTS, gone)
    over = len(old) < item.limit
    item.walks.receipt = 0 if over else old[-1][0]
    return len(gone), over


def _clean_incoming(tx: Tx, item: CleanStep, keeps: _Keeps) -> tuple[int, bool]:
    rows = tx.run(_INCOMING, after=item.walks.incoming, n=item.limit)
    young = keeps.youngest_raw()
    old = [row for row in rows if row[2] < young]
    gone = [(row[0],) for row in old if row[2] < keeps.raw(row[1])]
    if gone:
        tx.run(_FORGET_INCOMING, gone)
    over = len(old) < item.limit
    item.walks.incoming = 0 if over else old[-1][0]
    return len(gone), over


# --- callbacks --------------------------------------------------------------------------------------------------------

_CALLBACKS: Final = _walk(t.callback, "id", "account_id", "created_at", "next_attempt_at")
_FORGET_CALLBACKS: Final = _forget(t.callback.c.id)
_FORGET_ATTEMPTS: Final = _forget(t.attempt.c.callback_id)


def _clean_callbacks(tx: Tx, item: CleanStep, keeps: _Keeps) -> tuple[int, bool]:
    rows = tx.run(_CALLBACKS, after=item.walks.callback, n=item.limit)
    young = keeps.youngest_batch()
    old = [row for row in rows if row[2] < young]
    gone = [(row[0],) for row in old if row[3] is None and row[2] < keeps.batches(row[1])]
    if gone:
        tx.run(_FORGET_CALLBACKS, gone)
        tx.run(_FORGET_ATTEMPTS, gone)
    over = len(old) < item.limit
    item.walks.callback = 0 if over else old[-1][0]
    return len(gone), over


# --- batches ----------------------------------------------------------------------------------------------------------

_BATCHES: Final = _walk(t.batch, "id", "account_id", "created_at")


def _of_batch(columns: Sequence[Any]) -> Select[Any]:
    return select(*columns).where(t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str)))


_STANDS: Final = Statement(
    lambda _: _of_batch(
        [func.count(t.message.c.id), func.count(t.message.c.deadline_at), func.max(t.message.c.since_at)]
    )
)
"""How many messages a batch has, how many have not ended (a final one has no deadline), when the last one changed."""
_MESSAGES: Final = Statement(
    lambda _: _of_batch([t.message.c.id]).order_by(t.message.c.id).limit(bindparam("n", type_=Int))
)
_FORGET_PARTS: Final = _forget(t.part.c.message_id, Str)
_FORGET_EVENTS: Final = _forget(t.event.c.message_id, Str)
_FORGET_MESSAGES: Final = _forget(t.message.c.id, Str)
_FORGET_FEEDBACK: Final = _forget(t.feedback.c.batch_id, Str)
_FORGET_BATCHES: Final = _forget(t.batch.c.id, Str)


def _clean_batches(tx: Tx, item: CleanStep, keeps: _Keeps) -> tuple[int, bool]:
    """Batch after batch, until messages enough are gone; a batch that is too large for a step goes on in the next."""
    rows = tx.run(_BATCHES, after=item.walks.batch, n=item.limit)
    young = keeps.youngest_batch()
    old = [row for row in rows if row[2] < young]
    removed, room, looks = 0, item.limit, item.limit * _LOOKS
    empty = []
    for batch_id, account_id, _ in old:
        first, last = message_range(batch_id)
        messages, unended, changed_at = tx.run(_STANDS, first=first, last=last)[0]
        looks -= messages + 1
        if not unended and (changed_at or 0) < keeps.batches(account_id):
            gone = _forget_messages(tx, first, last, room)
            removed += gone
            room -= gone
            if gone < messages:
                break
            empty.append((batch_id,))
        item.walks.batch = batch_id
        if room <= 0 or looks <= 0:
            break
    if empty:
        tx.run(_FORGET_FEEDBACK, empty)
        tx.run(_FORGET_BATCHES, empty)
    over = room > 0 and looks > 0 and len(old) < item.limit
    if over:
        item.walks.batch = ""
    return removed + len(empty), over


def _forget_messages(tx: Tx, first: str, last: str, room: int) -> int:
    ids = tx.run(_MESSAGES, first=first, last=last, n=room)
    if ids:
        keys = [(row[0],) for row in ids]
        unread.forget(tx, [row[0] for row in ids])  # by their events, so before these
        for statement in (_FORGET_PARTS, _FORGET_EVENTS, _FORGET_MESSAGES):
            tx.run(statement, keys)
    return len(ids)


# --- what got on its way ----------------------------------------------------------------------------------------------

_DISPATCHED: Final = _walk(t.dispatched, "seq", "account_id", "at", "messages")
_THERE: Final = Statement(lambda r: select(r.c.id).select_from(r.join(t.message, t.message.c.id == r.c.id)), id=Str)
_FORGET_DISPATCHED: Final = _forget(t.dispatched.c.seq)


def _clean_dispatched(tx: Tx, item: CleanStep, keeps: _Keeps) -> tuple[int, bool]:
    """Rows whose messages are all gone, by whatever way they went."""
    rows = tx.run(_DISPATCHED, after=item.walks.dispatched, n=item.limit)
    young = keeps.youngest_batch()
    old = [row for row in rows if row[2] < young]
    looks, seen = item.limit * _LOOKS, 0
    listed: dict[int, list[str]] = {}
    for seq, account_id, at, messages in old:
        if looks <= 0:
            break
        seen += 1
        item.walks.dispatched = seq
        if at < keeps.batches(account_id):
            listed[seq] = messages.split(" ")
            looks -= len(listed[seq])
    there = {row[0] for row in tx.run(_THERE, [(one,) for ids in listed.values() for one in ids])} if listed else set()
    gone = [(seq,) for seq, ids in listed.items() if there.isdisjoint(ids)]
    if gone:
        tx.run(_FORGET_DISPATCHED, gone)
    over = seen == len(old) and len(old) < item.limit
    if over:
        item.walks.dispatched = 0
    return len(gone), over
