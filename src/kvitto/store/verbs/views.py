"""A message as readers see it: the columns, where they come from, and the view that is made of a row.

No lock and no parts, but for the SMSC's id and the link of the part that decided (R38). Must not know: who asks, and
for which page. Next: ``queries``, ``logs`` beside this file; ``loading`` for messages that are to be changed.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import func

from kvitto.core.ids import batch_of
from kvitto.core.model import MessageView
from kvitto.core.status import Note
from kvitto.store import schema as t
from kvitto.store.verbs.columns import KIND, REASON, STATUS, batch_key, read_error
from kvitto.store.verbs.texts import read_extra, read_own

__all__ = ["read_view", "view_columns", "view_source"]


def view_columns() -> tuple[Any, ...]:
    """The columns that ``read_view`` reads, from ``message`` joined with ``batch``."""
    m, b = t.message.c, t.batch.c
    return (
        m.id,
        m.account_id,
        m.recipient,
        m.status,
        m.reason,
        m.since_at,
        m.done_at,
        m.error_source,
        m.error_text,
        m.error_net_type,
        m.error_net_code,
        m.error_command_status,
        m.notes,
        m.parts,
        m.created_at,
        b.client_reference,
        b.kind,
        b.max_parts,
        m.first_final,
        m.first_times,
        b.dialect,
        b.sender,
        m.client_id,
        b.client_id,
        m.send_at,
        t.part.c.smsc_message_id,
        t.part.c.link,
        b.extra,
        m.own,
    )


def view_source(messages: Any = t.message) -> Any:
    """``messages`` joined with what ``view_columns`` reads: batch, and the part that decided (R38), else the first."""
    part_no = func.coalesce(t.message.c.decided_by, 1)
    return messages.join(t.batch, t.batch.c.id == batch_key(t.message.c.id)).outerjoin(
        t.part, (t.part.c.message_id == t.message.c.id) & (t.part.c.part_no == part_no)
    )


def read_view(row: Sequence[Any], *, first_final: bool) -> MessageView:
    """Read a message as readers see it."""
    status, reason, since_at, done_at, error = row[3], row[4], row[5], row[6], read_error(row, 7)
    if first_final and row[18]:
        status, reason, *told = msgspec.json.decode(row[18])
        since_at, done_at = msgspec.json.decode(row[19])[:2]
        error = read_error(told, 0)
    reference, kind, max_parts, sender, extra = row[15], row[16], row[17], row[21], row[27]
    if row[28] is None:
        extra = read_extra(extra)
    else:
        own = read_own(row[28])
        reference, kind, max_parts = own.client_reference, own.content.kind, own.content.max_parts
        sender, extra = own.sender, own.extra
    return MessageView(
        row[0],
        batch_of(row[0]),
        row[1],
        row[2],
        STATUS[status],
        REASON[reason],
        since_at,
        done_at,
        error,
        row[13],
        Note(row[12]) if row[12] else Note.NONE,
        row[14],
        reference,
        KIND[kind],
        max_parts,
        row[20],
        sender,
        row[22],
        row[23],
        row[14] if row[24] is None else row[24],
        row[25] or "",
        row[26] or "",
        None,
        extra,
    )
