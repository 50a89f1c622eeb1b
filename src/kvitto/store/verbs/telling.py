"""What a change causes to be told: rows of the outbox, for a message or for a batch that has come to its end (P9, R45).

A callback is written in the transaction of its change; one that tells of a message has its event's number. Where this
node has room, it is leased to this node as it is written and handed over after the commit (``Scope.handoff``), so that
the usual callback is never looked for. A batch counts its open messages down: at 0 its summary is made and told.

Must not know: why something changed, how it is worded. Next: ``callbacks`` beside this file, what becomes of the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import bindparam, insert, literal, select, update

from kvitto.core.endpoint import endpoint_number
from kvitto.core.ids import message_range
from kvitto.core.model import BatchReport, CallbackDue, CallbackState, MessageView, Notify, StatusCount
from kvitto.store import schema as t
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.columns import KIND, REASON, STATUS, read_error

__all__ = [
    "LEASE_MS",
    "TELLS_FULL",
    "TELLS_MESSAGE",
    "TELLS_SUMMARY",
    "Telling",
    "Told",
    "count_by_status",
    "count_ends",
    "end_batches",
    "is_told",
    "write_callbacks",
]

LEASE_MS: Final = 120_000
"""How long a node may keep a callback to itself before others may post it: well above the longest attempt."""

TELLS_MESSAGE, TELLS_SUMMARY, TELLS_FULL = "message", "summary", "full"
"""What a callback tells of: one message's change (the event of the same number), or a batch's end."""


class Told(Protocol):
    """Who is to be told of a message, and what its batch's report needs."""

    @property
    def feed(self) -> str:
        """How it stands to the one-time feed."""

    @property
    def decided_by(self) -> int:
        """The part that decided its end, of several; else 0."""

    @property
    def id(self) -> str:
        """The message's."""

    @property
    def account_id(self) -> str:
        """Whose it is."""

    @property
    def dialect(self) -> str:
        """In whose words."""

    @property
    def callback_url(self) -> str | None:
        """Where to."""

    @property
    def notify(self) -> Notify:
        """Which changes are called back."""

    @property
    def client_reference(self) -> str | None:
        """The batch's."""

    @property
    def kind_word(self) -> str:
        """The batch's content's kind, as stored."""


_PER_MESSAGE: Final = (Notify.FINAL, Notify.CHANGES, Notify.ATTEMPTS)

Telling = tuple[int, MessageView | BatchReport, Told, str]
"""A callback to write: its number, its facts, the message that caused it, and one of the three words ``TELLS_...``."""

_CALLBACK_FIELDS: Final[dict[str, Kind]] = {
    "id": Int,
    "account_id": Str,
    "batch_id": Str,
    "tells": Str,
    "dialect": Str,
    "url": Str,
    "created_at": Int,
    "leased_by": Str,
    "next_attempt_at": Int,
    "endpoint": Int,
}
_INSERT_CALLBACKS: Final = Statement(
    lambda r: insert(t.callback).from_select(
        [*_CALLBACK_FIELDS, "leased_until", "state", "attempts"],
        select(
            *[r.c[name] for name in _CALLBACK_FIELDS],
            r.c.next_attempt_at,
            literal(str(CallbackState.PENDING), Str),
            literal(0, Int),
        ),
    ),
    **_CALLBACK_FIELDS,
)
_COUNT_DOWN: Final = Statement(
    lambda r: (
        update(t.batch)
        .values(pending=t.batch.c.pending - r.c.n)
        .where(t.batch.c.id == r.c.id)
        .returning(t.batch.c.id, t.batch.c.pending)
    ),
    id=Str,
    n=Int,
)
_COUNT_BY_STATUS: Final = Statement(
    lambda _: (
        select(
            t.message.c.status,
            t.message.c.reason,
            t.message.c.error_source,
            t.message.c.error_text,
            t.message.c.error_net_type,
            t.message.c.error_net_code,
            t.message.c.error_command_status,
            t.message.c.recipient,
            t.message.c.first_final,
        )
        .where(t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str)))
        .order_by(t.message.c.id)
    )
)


def is_told(told: Told) -> bool:
    """Whether the end of this message is called back by itself."""
    return told.callback_url is not None and told.notify in _PER_MESSAGE


def write_callbacks(tx: Tx, scope: Scope, now: int, due: Sequence[Telling]) -> None:
    """Write these callbacks, due ``now`` (ms UTC); those this node has room for are leased to it and handed over."""
    node = scope.node
    room, full, handoff = scope.room, scope.full, scope.handoff
    rows = []
    for number, facts, loaded, tells in due:
        url, account_id, dialect = loaded.callback_url or "", loaded.account_id, loaded.dialect
        endpoint = endpoint_number(account_id, url)
        lease: tuple[str | None, int] = (None, now)
        if room > len(handoff) and endpoint not in full:
            lease = (node, now + LEASE_MS)
            whole = tells == TELLS_FULL
            handoff.append(
                CallbackDue(number, account_id, dialect, url, facts, whole, 0, now, None, False, None, endpoint)
            )
        rows.append((number, account_id, facts.batch_id, tells, dialect, url, now, *lease, endpoint))
    tx.run(_INSERT_CALLBACKS, rows)


def end_batches(tx: Tx, scope: Scope, now: int, ended: Mapping[str, tuple[int, Told]]) -> None:
    """Count down batches of which messages have ended, and write the callback of each that is over.

    ``ended``: by batch, how many did, and the last of them, which says who is told and how.
    """
    rows = [(batch_id, count) for batch_id, (count, _) in ended.items()]
    over = [batch_id for batch_id, pending in tx.run(_COUNT_DOWN, rows) if pending == 0]
    due: list[Telling] = []
    for number, batch_id in zip(tx.new_ids(len(over)), over, strict=True):
        told = ended[batch_id][1]
        if told.callback_url is not None:
            full = told.notify is Notify.BATCH_FULL
            due.append((number, _report_of(tx, batch_id, told, full), told, TELLS_FULL if full else TELLS_SUMMARY))
    if due:
        write_callbacks(tx, scope, now, due)


def _report_of(tx: Tx, batch_id: str, one: Told, full: bool) -> BatchReport:
    """A batch whose messages are all final."""
    total, counts = count_ends(tx, batch_id, full=full)
    return BatchReport(batch_id, one.account_id, total, one.client_reference, KIND[one.kind_word], True, counts)


def count_ends(tx: Tx, batch_id: str, *, full: bool) -> tuple[int, tuple[StatusCount, ...]]:
    """Count a batch's messages, each at its first end (R45); returns how many they are, too."""
    first, last = message_range(batch_id)
    rows = tx.run(_COUNT_BY_STATUS, first=first, last=last)
    return len(rows), count_by_status(rows, full=full)


def count_by_status(rows: Sequence[Sequence[Any]], *, full: bool) -> tuple[StatusCount, ...]:
    """Group rows (status, reason, five error columns, recipient, first_final) by their first end, in order of
    appearance.
    """
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        if row[8]:
            first = msgspec.json.decode(row[8])
            key = tuple(first)
        else:
            key = tuple(row[:7])
        groups.setdefault(key, []).append(row[7])
    return tuple(
        StatusCount(STATUS[key[0]], REASON[key[1]], read_error(key, 2), len(numbers), tuple(numbers) if full else ())
        for key, numbers in groups.items()
    )
