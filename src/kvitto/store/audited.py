"""A verb and the audit row that tells of it, as one: both are stored, or neither.

``kept`` wraps a verb's item together with its ``AuditEntry``. The row is written right after the verb, in its
transaction; where the verb found nothing to do (it gives back None, False or 0, or a problem), nothing is told. Must
not know: what the verbs do. Next: ``kvitto.store.verbs.users``.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from kvitto.core.users import AuditEntry
from kvitto.store.commits import Scope, Verb
from kvitto.store.statements import Tx
from kvitto.store.verbs.users import record_audit

__all__ = ["kept"]


class _Told(NamedTuple):
    """What a verb works on, and what is to be kept of it."""

    item: Any
    entry: AuditEntry


def kept(verb: Verb, item: Any, audit: AuditEntry | None, *, always: bool = False) -> tuple[Verb, Any]:
    """Return the verb and its item as ``Commits.put`` takes them; with an entry, those that keep it, too.

    ``always``: for a verb that gives back nothing.
    """
    return (verb, item) if audit is None else (_keeping(verb, always), _Told(item, audit))


@lru_cache(maxsize=64)
def _keeping(verb: Verb, always: bool) -> Verb:
    def run(tx: Tx, scope: Scope, items: Sequence[_Told]) -> Sequence[Any]:
        results = verb.run(tx, scope, [told.item for told in items])
        entries = [told.entry for told, result in zip(items, results, strict=True) if always or _did(result)]
        if entries:
            record_audit(tx, scope, entries)
        return results

    return Verb(f"{verb.name}_audited", verb.rank, run)


def _did(result: Any) -> bool:
    return bool(result) and not getattr(result, "problem", "")
