"""Receipts that an operator looks at, and gives to their messages by hand (R34, R35).

An assignment goes the way of a match: the same status machine, the same events and callbacks, one transaction. The
receipt's row keeps that it was done by hand, and when. Must not know: who may do it. Next: ``receipts`` beside this
file.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, delete, or_, select, update

from kvitto.core.matching import fold
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import STATES, LinkRules, Receipt
from kvitto.core.status import FINAL, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import Assigned, StoredReceipt
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.counting import count_outcomes
from kvitto.store.verbs.dispatch import NAME_PARTS
from kvitto.store.verbs.loading import Loaded, message_of
from kvitto.store.verbs.receipts import Parked, give_receipt, read_kept

__all__ = ["Assignment", "assign_receipts", "receipts_with", "stored_receipt"]


class Assignment(NamedTuple):
    """An operator's word on whose a receipt is; see ``Store.assign_receipt``."""

    receipt_id: int
    message_id: str
    part_no: int | None
    now: int
    status: Status | None


# --- reading ----------------------------------------------------------------------------------------------------------

_COLUMNS: Final = tuple(
    t.receipt.c[name]
    for name in (
        "id",
        "link",
        "grp",
        "received_at",
        "outcome",
        "level",
        "message_id",
        "part_no",
        "tries",
        "next_try_at",
        "assigned_at",
        "raw",
        "parsed",
    )
)
_PLENTIFUL: Final = (ReceiptOutcome.MATCHED, ReceiptOutcome.DUPLICATE)


def _page(*conditions: Any) -> Select[Any]:
    c = t.receipt.c
    group, since, before = (bindparam(name, type_=kind) for name, kind in (("grp", Str), ("since", Int), ("id", Int)))
    return (
        select(*_COLUMNS)
        .where(
            c.outcome == bindparam("outcome", type_=Str),
            *conditions,
            or_(group.is_(None), c.grp == group),
            or_(since.is_(None), c.received_at >= since),
            c.id < before,
        )
        .order_by(c.id.desc())
        .limit(bindparam("n", type_=Int))
    )


_NOTABLE: Final = Statement(lambda _: _page(t.NOTABLE))
_MATCHED: Final = Statement(lambda _: _page())
_ONE: Final = Statement(lambda _: select(*_COLUMNS).where(t.receipt.c.id == bindparam("id", type_=Int)))
_NO_END: Final = 1 << 62


def _read(row: Sequence[Any]) -> StoredReceipt:
    told = StoredReceipt(*row)
    parsed = row[12]
    return told._replace(outcome=ReceiptOutcome(told.outcome), receipt=read_kept(parsed) if parsed else None)


def receipts_with(
    tx: Tx,
    outcomes: Sequence[ReceiptOutcome],
    group: str | None,
    since_at: int | None,
    before_id: int | None,
    limit: int,
) -> list[StoredReceipt]:
    """Receipts with one of these outcomes, newest first; see ``Store.list_receipts``."""
    before = _NO_END if before_id is None else before_id
    rows = [
        row
        for outcome in dict.fromkeys(outcomes)
        for row in tx.run(
            _MATCHED if outcome in _PLENTIFUL else _NOTABLE,
            outcome=str(outcome),
            grp=group,
            since=since_at,
            id=before,
            n=limit,
        )
    ]
    rows.sort(key=lambda row: -row[0])
    return [_read(row) for row in rows[:limit]]


def stored_receipt(tx: Tx, receipt_id: int) -> StoredReceipt | None:
    """One receipt; see ``Store.fetch_receipt``."""
    rows = tx.run(_ONE, id=receipt_id)
    return _read(rows[0]) if rows else None


# --- assigning --------------------------------------------------------------------------------------------------------

_LOCKED: Final = Statement(
    lambda _: select(*_COLUMNS).where(t.receipt.c.id == bindparam("id", type_=Int)).with_for_update()
)
_PARTS: Final = Statement(
    lambda r: (
        select(t.part.c.part_no, t.part.c.grp, t.part.c.link, t.part.c.written_at, t.part.c.folded_id)
        .select_from(r.join(t.part, t.part.c.message_id == r.c.id))
        .order_by(t.part.c.part_no)
    ),
    id=Str,
)
_ASSIGN: Final = Statement(
    lambda r: (
        update(t.receipt)
        .values(
            account_id=r.c.account_id,
            outcome=str(ReceiptOutcome.ASSIGNED),
            message_id=r.c.message_id,
            part_no=r.c.part_no,
            assigned_at=r.c.at,
            next_try_at=None,
            parsed=None,
        )
        .where(t.receipt.c.id == r.c.id)
    ),
    id=Int,
    account_id=Str,
    message_id=Str,
    part_no=Int,
    at=Int,
)
_FORGET_KEYS: Final = Statement(
    lambda _: delete(t.parked_key).where(t.parked_key.c.receipt_id == bindparam("id", type_=Int))
)
_ASSIGNABLE: Final = frozenset(
    {ReceiptOutcome.PARKED, ReceiptOutcome.ORPHAN, ReceiptOutcome.AMBIGUOUS, ReceiptOutcome.UNPARSEABLE}
)
_SAYABLE: Final = {
    row.status: row.reason
    for row in reversed(tuple(STATES.values()))
    if row.status in FINAL and row.status is not Status.UNKNOWN
}
"""What an operator may read out of an unreadable receipt, and the reason that goes with it: the plainest one."""


class _Target(NamedTuple):
    """A part that was written to a link at least once, be it that it waits to be sent again: a receipt may be its."""

    part_no: int
    group: str
    link: str
    written_at: int
    folded_id: str | None


def assign_receipts(tx: Tx, scope: Scope, items: Sequence[Assignment]) -> list[Assigned]:
    """Give receipts to their messages by hand; see ``Store.assign_receipt``."""
    return [_assign(tx, scope, item) for item in items]


def _no(problem: str) -> Assigned:
    return Assigned(None, None, None, problem)


def _assign(tx: Tx, scope: Scope, item: Assignment) -> Assigned:
    rows = tx.run(_LOCKED, id=item.receipt_id)
    if not rows:
        return _no("no_such_receipt")
    stored = _read(rows[0])
    if stored.outcome not in _ASSIGNABLE:
        return _again(stored, item)
    receipt = _said(stored, item.status)
    if isinstance(receipt, str):
        return _no(receipt)
    loaded = message_of(tx, [item.message_id]).get(item.message_id)
    if loaded is None:
        return _no("no_such_message")
    target = _target(tx, loaded, stored.group, item.part_no)
    if isinstance(target, str):
        return _no(target)
    return _write(tx, scope, item, stored, receipt, loaded, target)


def _again(stored: StoredReceipt, item: Assignment) -> Assigned:
    """It has a message: the same word again changes nothing, another one is refused."""
    same = stored.message_id == item.message_id and item.part_no in (None, stored.part_no)
    if stored.outcome is ReceiptOutcome.ASSIGNED and same:
        return Assigned(stored.message_id, stored.part_no, ReceiptOutcome.DUPLICATE)
    return _no("already_matched")


def _said(stored: StoredReceipt, status: Status | None) -> Receipt | str:
    """What the receipt says; where nothing could be read, what the operator reads in it."""
    receipt = stored.receipt
    readable = receipt is not None and receipt.reason is not Reason.UNREADABLE
    if readable and receipt is not None:
        return receipt if status is None or status is receipt.status else "has_state"
    if status is None or status not in _SAYABLE:
        return "no_state"
    return (receipt or _BLANK)._replace(status=status, reason=_SAYABLE[status], final=True)


_BLANK: Final = Receipt(
    message_id="",
    text_id=None,
    tlv_id=None,
    status=Status.UNKNOWN,
    reason=Reason.UNREADABLE,
    final=True,
    stat_raw=None,
    message_state=None,
    err=None,
    network_error=None,
    submit_at=None,
    done_at=None,
    sub=None,
    dlvrd=None,
    text=None,
    raw=b"",
    source_addr="",
    destination_addr="",
    intermediate=False,
)


def _target(tx: Tx, loaded: Loaded, group: str, part_no: int | None) -> _Target | str:
    """The part that is meant, or the word why there is none."""
    if part_no is not None and not 1 <= part_no <= loaded.parts:
        return "no_such_part"
    sent = {part.part_no: part for part in (_Target(*row) for row in tx.run(_PARTS, [(loaded.id,)]))}
    if part_no is not None:
        sent = {part_no: sent[part_no]} if part_no in sent else {}
    if not sent:
        return "not_sent"
    own = [part for part in sent.values() if part.group == group]
    if not own:
        return "other_group"
    if len(own) > 1:
        own = [part for part in own if loaded.record.parts[part.part_no - 1].status not in FINAL]
    return own[0] if len(own) == 1 else "which_part"


_RULES: Final = LinkRules()


def _write(
    tx: Tx, scope: Scope, item: Assignment, stored: StoredReceipt, receipt: Receipt, loaded: Loaded, target: _Target
) -> Assigned:
    one = Parked(stored.id, stored.link, stored.group, stored.received_at, receipt, _RULES, stored.tries)
    changes = Changes(tx, scope, item.now)
    effect = give_receipt(changes, one, loaded, target.part_no, target.link, target.written_at, item.now)
    changes.write()
    if target.folded_id is None and receipt.message_id:  # it was in doubt: now its id is known, as by an adoption
        folded = fold(receipt.message_id) or None
        tx.run(NAME_PARTS, [(loaded.id, target.part_no, receipt.message_id, folded, stored.received_at)])
    tx.run(_ASSIGN, [(stored.id, loaded.account_id, loaded.id, target.part_no, item.now)])
    tx.run(_FORGET_KEYS, id=stored.id)
    count_outcomes(scope, [(stored.link, stored.group, ReceiptOutcome.ASSIGNED, None)])
    return Assigned(loaded.id, target.part_no, effect)
