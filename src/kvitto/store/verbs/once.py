"""Endpoints and replays that are made under a customer's key: once, and answered the same every time (P7).

The account's row is locked before its keys are looked up, as for sends. An answer is kept only with what it tells of,
in the same transaction; a refusal keeps nothing. Next: ``kvitto.store.verbs.idempotency``, whose table this shares.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from kvitto.core.endpoint import Endpoint, NewEndpoint
from kvitto.core.model import FrozenAnswer
from kvitto.core.record import NewReplay
from kvitto.store import schema as t
from kvitto.store.api import AdmissionRefused
from kvitto.store.commits import Scope
from kvitto.store.statements import Statement, Str, Tx
from kvitto.store.verbs.endpoints import create_endpoints
from kvitto.store.verbs.idempotency import keep_answer, recall_answer
from kvitto.store.verbs.replays import start_replays

__all__ = ["Creation", "create_once"]


class Creation(NamedTuple):
    """What to make under ``key``. ``new``: with secrets sealed. ``read``: a row into an endpoint. ``freeze``: renders
    the answer; pure.
    """

    account_id: str
    key: str
    fingerprint: str
    new: NewEndpoint | NewReplay
    read: Callable[[Any | None], Endpoint | None]
    freeze: Callable[[Any], FrozenAnswer]


_LOCK = Statement(
    lambda _: select(t.account.c.id).where(t.account.c.id == bindparam("id", type_=Str)).with_for_update(key_share=True)
)


def create_once(tx: Tx, scope: Scope, items: Sequence[Creation]) -> list[FrozenAnswer | AdmissionRefused | None]:
    """Make each, or say what was answered before; None where an endpoint's name or origin is taken."""
    return [_create(tx, scope, item) for item in items]


def _create(tx: Tx, scope: Scope, item: Creation) -> FrozenAnswer | AdmissionRefused | None:
    tx.run(_LOCK, id=item.account_id)
    now = item.new.now
    known = recall_answer(tx, item.account_id, item.key, item.fingerprint, now)
    if known is not None:
        return known
    made: Any
    if isinstance(item.new, NewEndpoint):
        made = item.read(create_endpoints(tx, scope, [item.new])[0])
        if made is None:
            return None
    else:
        made = start_replays(tx, scope, [item.new])[0]
    answer = item.freeze(made)
    keep_answer(tx, item.account_id, item.key, item.fingerprint, answer, now)
    return answer
