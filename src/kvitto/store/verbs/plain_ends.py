"""The short way of a receipt: one that names a lone part to the letter and ends a message that only waited for it.

Nearly every receipt is of this kind, so it goes without the status machine: what ``core.status.apply`` would make of it
is known. A test holds both ways to the same rows (``tests/property/test_plain_ends.py``). What is not exactly of this
kind goes the way of all others (``receipts``).

Must not know: parking, matching by the rules. Next: ``receipts`` beside this file.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, case, func, select, update

from kvitto.core.ids import batch_of
from kvitto.core.matching import fold
from kvitto.core.model import MessageView
from kvitto.core.receipt import Receipt, shown_done_at
from kvitto.core.status import NO_ERROR, ErrorSource, Note, PartState, Status, StatusError
from kvitto.store import schema as t
from kvitto.store.statements import Each, Int, Statement, Str, Tx
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.columns import KIND, NOTIFY
from kvitto.store.verbs.tallies import tally_plain_end
from kvitto.store.verbs.telling import is_told
from kvitto.store.verbs.texts import read_extra

__all__ = ["Asked", "Ending", "find_plain_ends", "write_plain_ends"]


class Asked(NamedTuple):
    """A receipt that has just come: its place among the others, its group, when it came (ms UTC)."""

    place: int
    group: str
    at: int
    receipt: Receipt


class BatchFacts(NamedTuple):
    """What the end of one of its messages is told with, as the look-up gives it: a batch's, read once for them all."""

    notify_word: str
    dialect: str
    callback_url: str | None
    client_reference: str | None
    kind_word: str
    max_parts: int | None
    sent_in: str
    sender: str | None
    client_id: str | None
    extra: str
    feed: str


class Ending:
    """The message that a receipt names, and what its callback tells; ``telling.Told``.

    ``smsc_message_id``, ``written_at`` and ``link`` are its part's. ``plain``: it only waits for this receipt.
    """

    __slots__ = (
        "account_id",
        "batch",
        "callback_url",
        "client_id",
        "created_at",
        "feed",
        "id",
        "link",
        "notify",
        "place",
        "plain",
        "recipient",
        "send_at",
        "smsc_message_id",
        "written_at",
    )

    decided_by = 0
    """Of several parts the one that decided: there is one."""

    def __init__(self, row: Sequence[Any], batch: BatchFacts) -> None:
        (
            self.place,
            self.smsc_message_id,
            self.written_at,
            self.plain,
            self.id,
            self.account_id,
            self.recipient,
            self.created_at,
            self.client_id,
            self.send_at,
            self.link,
        ) = row
        self.batch = batch
        self.notify = NOTIFY[batch.notify_word]
        self.callback_url = batch.callback_url
        self.feed = batch.feed

    @property
    def dialect(self) -> str:
        """In whose words it is told."""
        return self.batch.dialect

    @property
    def client_reference(self) -> str | None:
        """The batch's."""
        return self.batch.client_reference

    @property
    def kind_word(self) -> str:
        """The batch's content's kind, as stored."""
        return self.batch.kind_word

    def view(self, receipt: Receipt, at: int, done_at: int | None, error: StatusError) -> MessageView:
        """The message as this receipt ends it."""
        batch = self.batch
        return MessageView(
            self.id,
            batch_of(self.id),
            self.account_id,
            self.recipient,
            receipt.status,
            receipt.reason,
            at,
            done_at,
            error,
            1,
            Note.NONE,
            self.created_at,
            batch.client_reference,
            KIND[batch.kind_word],
            batch.max_parts,
            batch.sent_in,
            batch.sender,
            self.client_id,
            batch.client_id,
            self.created_at if self.send_at is None else self.send_at,
            self.smsc_message_id,
            self.link,
            None,
            read_extra(batch.extra),
        )


_LOOK_UP: Final = Statement(
    lambda r: (
        select(
            r.c.place,
            t.part.c.smsc_message_id,
            t.part.c.written_at,
            and_(
                t.message.c.parts == 1,
                t.message.c.status == str(Status.DISPATCHED),
                t.message.c.error_source == "none",
                t.message.c.notes == 0,
                t.part.c.state == str(PartState.ACCEPTED),
                t.message.c.own.is_(None),
            ),
            t.message.c.id,
            t.message.c.account_id,
            t.message.c.recipient,
            t.message.c.created_at,
            t.message.c.client_id,
            t.message.c.send_at,
            t.part.c.link,
        )
        .select_from(
            r.join(t.part, (t.part.c.grp == r.c.grp) & (t.part.c.folded_id == r.c.folded)).join(
                t.message, t.message.c.id == t.part.c.message_id
            )
        )
        .with_for_update(of=t.message)
    ),
    place=Int,
    grp=Str,
    folded=Str,
)
_BATCHES: Final = Statement(
    lambda r: select(
        t.batch.c.id,
        t.batch.c.notify,
        func.coalesce(t.batch.c.callback_dialect, t.batch.c.dialect),
        func.coalesce(t.batch.c.callback_url, t.account.c.callback_url),
        t.batch.c.client_reference,
        t.batch.c.kind,
        t.batch.c.max_parts,
        t.batch.c.dialect,
        t.batch.c.sender,
        t.batch.c.client_id,
        t.batch.c.extra,
        t.batch.c.feed,
    ).select_from(
        r.join(t.batch, t.batch.c.id == r.c.id).outerjoin(
            t.account, t.account.c.id == case((t.batch.c.callback_url.is_(None), t.batch.c.account_id))
        )
    ),
    id=Str,
)
_END: Final = Each(
    lambda r: (
        update(t.message)
        .values(
            status=r.c.status,
            reason=r.c.reason,
            since_at=r.c.since_at,
            done_at=r.c.done_at,
            error_source=r.c.error_source,
            error_text=r.c.error_text,
            deadline_at=None,
        )
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    status=Str,
    reason=Str,
    since_at=Int,
    done_at=Int,
    error_source=Str,
    error_text=Str,
)


def find_plain_ends(tx: Tx, asked: Sequence[Asked]) -> dict[int, Ending]:
    """Return, by place, the messages that these receipts end and nothing more is to be said of."""
    keys = [
        (one.place, one.group, fold(one.receipt.tlv_id or one.receipt.text_id or ""))
        for one in asked
        if one.receipt.final and one.receipt.network_error is None
    ]
    if not keys:
        return {}
    ends: dict[int, Ending] = {}
    places: dict[str, int] = {}
    spoilt: set[int] = set()
    rows = tx.run(_LOOK_UP, keys)
    batches = {
        batch_id: BatchFacts._make(facts)
        for batch_id, *facts in tx.run(_BATCHES, [(one,) for one in {batch_of(row[4]) for row in rows}])
    }
    for row in rows:
        batch = batches.get(batch_of(row[4]))
        if batch is None:
            continue
        ending = Ending(row, batch)
        place = ending.place
        if place in ends:  # several parts have this id
            spoilt.add(place)
        if places.setdefault(ending.id, place) != place:  # several receipts are for this message
            spoilt.update((place, places[ending.id]))
        ends[place] = ending
    for one in asked:
        ending_here = ends.get(one.place)
        if ending_here is not None:
            sent = one.receipt.tlv_id or one.receipt.text_id
            if not ending_here.plain or ending_here.smsc_message_id != sent or one.place in spoilt:
                del ends[one.place]
    return ends


def write_plain_ends(tx: Tx, changes: Changes, found: Sequence[tuple[Asked, Ending]]) -> None:
    """End these messages: their rows now, events and callbacks with all the other ``changes``."""
    rows: list[tuple[Any, ...]] = []
    for (_, _, at, receipt), ending in found:
        error = NO_ERROR if receipt.err is None else StatusError(ErrorSource.NETWORK, receipt.err)
        done_at = shown_done_at(receipt.done_at, at, ending.written_at)
        status, reason = receipt.status, receipt.reason
        rows.append((ending.id, status, reason, at, done_at, error.source, error.text))
        told = ending.view(receipt, at, done_at, error) if is_told(ending) else None
        event = (ending.account_id, ending.id, status, reason, at, done_at, *error)
        changes.end(ending, event, told)
        tally_plain_end(changes.scope, ending.account_id, status, reason, error, at, ending.written_at)
    if rows:
        tx.run(_END, rows)
