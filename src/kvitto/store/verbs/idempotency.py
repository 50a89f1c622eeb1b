"""Sends that carry a key of the customer's are done once: the answer is kept with the batch, and given again (P7).

The account's row is locked before the keys are looked up, so two processes cannot both find a key unused. Keys live
``KEPT_MS``; each keyed send clears a few that are over. Must not know: HTTP beyond a frozen answer's four fields.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, insert, select, tuple_

from kvitto.core.model import FrozenAnswer, NewBatch
from kvitto.store import schema as t
from kvitto.store.api import AdmissionRefused
from kvitto.store.statements import Int, Kind, Statement, Str, Tx

__all__ = ["KEPT_MS", "Keys", "keep_answer", "recall_answer"]

KEPT_MS: Final = 86_400_000
"""How long a key is remembered: 24 h."""
_CLEARED: Final = 50
"""Keys that are over, cleared by one transaction that keeps new ones."""

_KEYS: Final = Statement(
    lambda r: select(
        t.idempotency.c.account_id,
        t.idempotency.c.key,
        t.idempotency.c.fingerprint,
        t.idempotency.c.created_at,
        t.idempotency.c.status,
        t.idempotency.c.body,
        t.idempotency.c.content_type,
        t.idempotency.c.headers,
    ).select_from(
        r.join(t.idempotency, (t.idempotency.c.account_id == r.c.account_id) & (t.idempotency.c.key == r.c.key))
    ),
    account_id=Str,
    key=Str,
)
_ROW: Final[dict[str, Kind]] = {
    "account_id": Str,
    "key": Str,
    "fingerprint": Str,
    "created_at": Int,
    "status": Int,
    "content_type": Str,
    "headers": Str,
    "body": Str,
}
_INSERT: Final = Statement(
    lambda r: insert(t.idempotency).from_select(list(_ROW), select(*[r.c[name] for name in _ROW])), **_ROW
)
_CLEAR: Final = Statement(
    lambda _: delete(t.idempotency).where(
        tuple_(t.idempotency.c.account_id, t.idempotency.c.key).in_(
            select(t.idempotency.c.account_id, t.idempotency.c.key)
            .where(t.idempotency.c.created_at <= bindparam("before", type_=Int))
            .order_by(t.idempotency.c.created_at)
            .limit(_CLEARED)
            .with_for_update(skip_locked=True)
        )
    )
)
_REPLACE: Final = Statement(
    lambda r: delete(t.idempotency).where(
        tuple_(t.idempotency.c.account_id, t.idempotency.c.key).in_(select(r.c.account_id, r.c.key))
    ),
    account_id=Str,
    key=Str,
)


class Keys:
    """The keys of one transaction's sends: those known before, and those that it adds."""

    def __init__(self, tx: Tx, items: Sequence[NewBatch]) -> None:
        self._tx = tx
        asked = sorted({(new.batch.account_id, new.once.key) for new in items if new.once is not None})
        self._known: dict[tuple[str, str], tuple[str, int, FrozenAnswer]] = {
            (row[0], row[1]): (row[2], row[3], _frozen(row)) for row in tx.run(_KEYS, asked)
        }
        self._over: list[tuple[str, str]] = []
        self._rows: list[tuple[Any, ...]] = []
        self._now = 0

    def recall(self, new: NewBatch) -> FrozenAnswer | AdmissionRefused | None:
        """What is to be answered without storing anything; None when the batch is to be stored."""
        if new.once is None:
            return None
        key = (new.batch.account_id, new.once.key)
        known = self._known.get(key)
        if known is None:
            return None
        fingerprint, created_at, answer = known
        if created_at <= new.batch.modified_at - KEPT_MS:
            self._over.append(key)
            del self._known[key]
            return None
        return answer if fingerprint == new.once.fingerprint else AdmissionRefused("key_reused")

    def freeze(self, new: NewBatch) -> None:
        """Keep the answer to a batch that is being stored."""
        once, account_id, now = new.once, new.batch.account_id, new.batch.modified_at
        if once is None:
            return
        answer = once.freeze(new)
        self._known[account_id, once.key] = (once.fingerprint, now, answer)
        self._now = max(self._now, now)
        headers = msgspec.json.encode(answer.headers).decode()
        head = (account_id, once.key, once.fingerprint, now, answer.status)
        self._rows.append((*head, answer.content_type, headers, answer.body.decode()))

    def write(self) -> None:
        """Write what was kept, and clear a little of what is over."""
        if self._over:
            self._tx.run(_REPLACE, self._over)
        if self._rows:
            self._tx.run(_INSERT, self._rows)
            self._tx.run(_CLEAR, before=self._now - KEPT_MS)


def recall_answer(
    tx: Tx, account_id: str, key: str, fingerprint: str, now: int
) -> FrozenAnswer | AdmissionRefused | None:
    """What was answered to something else than a send under this key; None: nothing, or it is over and forgotten."""
    for row in tx.run(_KEYS, [(account_id, key)]):
        if row[3] > now - KEPT_MS:
            return _frozen(row) if row[2] == fingerprint else AdmissionRefused("key_reused")
        tx.run(_REPLACE, [(account_id, key)])
    return None


def keep_answer(tx: Tx, account_id: str, key: str, fingerprint: str, answer: FrozenAnswer, now: int) -> None:
    """Keep the answer to something else than a send, and clear a little of what is over."""
    headers = msgspec.json.encode(answer.headers).decode()
    head = (account_id, key, fingerprint, now, answer.status)
    tx.run(_INSERT, [(*head, answer.content_type, headers, answer.body.decode())])
    tx.run(_CLEAR, before=now - KEPT_MS)


def _frozen(row: Sequence[Any]) -> FrozenAnswer:
    headers = tuple((name, value) for name, value in msgspec.json.decode(row[7]))
    return FrozenAnswer(row[4], row[5].encode(), row[6], headers)
