"""The counters of R54 and the live state of links: what happened on each link, on disk and for every node to read.

A transaction counts what its facts are (``Scope.count``), and writes one row for each counter that changed as the last
thing it does: so the counters are exactly as durable as the facts. Each node has rows of its own, and nobody waits for
another's; readers add them up.

Names of counters, for a link and group:

- ``claimed``: parts taken from the queue; ``returned``: given back unwritten; ``submitted``: the difference.
- ``answers_ok``, ``refused`` (for good), ``throttled`` (0x58, 0x14), ``postponed`` (refused for now otherwise).
- ``in_doubt``: parts lost sight of (R12).
- ``receipts``: read, repetitions included; ``receipts_<outcome>``: what became of them (a parked one counts again when
  it finds its message or is given up); ``receipts_level_<n>``: matched at that level of R26.
- ``several_part_receipts``: receipts of a text of which another part had one (R39 remembers by it).

Must not know: what the facts mean. Next: ``kvitto.store.commits``.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, true
from sqlalchemy.dialects import postgresql

from kvitto.core.model import Claimed, ReceiptOutcome
from kvitto.store import schema as t
from kvitto.store.api import LinkCount, LinkState, ReceiptResult, ReceivedReceipt
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.dispatch import Answers, Claim

__all__ = [
    "count_answers",
    "count_claims",
    "count_outcomes",
    "count_received",
    "link_counts",
    "link_states",
    "record_link_states",
    "write_counts",
]

_THROTTLED: Final = frozenset({0x58, 0x14})
"""ESME_RTHROTTLED and ESME_RMSGQFUL (docs/smpp.md 1.8)."""
_OUTCOMES: Final = {outcome: f"receipts_{outcome}" for outcome in ReceiptOutcome}
_LEVELS: Final = {level: f"receipts_level_{level}" for level in (1, 2, 3, 4)}


def count_outcomes(scope: Scope, found: Iterable[tuple[str, str, ReceiptOutcome, int | None]]) -> None:
    """Count what became of receipts: (link, group, outcome, level of the match)."""
    for link, group, outcome, level in found:
        scope.count(link, group, _OUTCOMES[outcome])
        if level is not None:
            scope.count(link, group, _LEVELS[level])


def count_received(
    scope: Scope, items: Sequence[Sequence[ReceivedReceipt]], results: Sequence[Sequence[ReceiptResult]]
) -> None:
    """Count receipts that came in."""
    seen = Counter(
        [
            (one.link, one.group, result.outcome, result.level)
            for item, told in zip(items, results, strict=True)
            for one, result in zip(item, told, strict=True)
        ]
    )
    for (link, group, outcome, level), many in seen.items():
        scope.count(link, group, "receipts", many)
        scope.count(link, group, _OUTCOMES[outcome], many)
        if level is not None:
            scope.count(link, group, _LEVELS[level], many)


def count_answers(scope: Scope, items: Sequence[Answers]) -> None:
    """Count answers to submits."""
    for item in items:
        for (command_status, temporary), many in Counter(
            [(answer.command_status, answer.temporary) for answer in item.answers]
        ).items():
            if command_status == 0:
                name = "answers_ok"
            elif command_status in _THROTTLED:
                name = "throttled"
            else:
                name = "postponed" if temporary else "refused"
            scope.count(item.link, item.group, name, many)


def count_claims(scope: Scope, items: Sequence[Claim], taken: Sequence[Sequence[Claimed]]) -> None:
    """Count parts that links took."""
    for item, messages in zip(items, taken, strict=True):
        if messages:
            scope.count(item.link, item.group, "claimed", sum(len(one.todo) for one in messages))


_KEY: Final[dict[str, Kind]] = {"link": Str, "grp": Str, "name": Str, "n": Int, "node": Str}


def _add(r: Any) -> Any:
    """Add to counters, or begin them. The clause is PostgreSQL's by name; both databases have it in the same words."""
    columns = ["node", "link", "grp", "name", "value"]
    given = select(r.c.node, r.c.link, r.c.grp, r.c.name, r.c.n).where(true())  # SQLite: or ON would begin a join
    insertion = postgresql.insert(t.link_counter).from_select(columns, given)
    total = t.link_counter.c.value + insertion.excluded.value
    return insertion.on_conflict_do_update(index_elements=columns[:4], set_={"value": total})


_ADD: Final = Statement(_add, **_KEY)


def write_counts(tx: Tx, scope: Scope) -> None:
    """Write what the transaction has counted; called last in it. In order, so that nobody waits in a circle."""
    tx.run(_ADD, [(*key, count, scope.node) for key, count in sorted(scope.counts.items())])


_COUNTS: Final = Statement(
    lambda _: (
        select(t.link_counter.c.link, t.link_counter.c.grp, t.link_counter.c.name, func.sum(t.link_counter.c.value))
        .group_by(t.link_counter.c.link, t.link_counter.c.grp, t.link_counter.c.name)
        .order_by(t.link_counter.c.link, t.link_counter.c.grp, t.link_counter.c.name)
    )
)


def link_counts(tx: Tx) -> list[LinkCount]:
    """All counters; see ``Store.count_links``."""
    counts = [LinkCount(link, group, name, int(value)) for link, group, name, value in tx.run(_COUNTS)]
    known = {(one.link, one.group, one.name): one.value for one in counts}
    for (link, group, name), claimed in list(known.items()):
        if name == "claimed":
            submitted = claimed - known.get((link, group, "returned"), 0)
            counts.append(LinkCount(link, group, "submitted", submitted))
    return sorted(counts)


# --- live state -------------------------------------------------------------------------------------------------------

_STATE: Final[dict[str, Kind]] = {
    "link": Str,
    "grp": Str,
    "binds_up": Int,
    "binds_wanted": Int,
    "send_window": Int,
    "in_flight": Int,
    "rate": t.link_state.c.rate.type,
    "paused_until_at": Int,
    "last_error": Str,
    "at": Int,
    "node": Str,
}
_FORGET_STATES: Final = Statement(
    lambda r: delete(t.link_state).where(t.link_state.c.node.in_(select(r.c.node))), node=Str
)
_INSERT_STATES: Final = Statement(
    lambda r: insert(t.link_state).from_select([*_STATE], select(*[r.c[name] for name in _STATE])), **_STATE
)
_STATES: Final = Statement(
    lambda _: select(*[t.link_state.c[name] for name in _STATE]).order_by(t.link_state.c.link, t.link_state.c.node)
)


def record_link_states(tx: Tx, scope: Scope, items: Sequence[Sequence[LinkState]]) -> list[None]:
    """Replace what this node said of its links; see ``Store.record_link_states``. The last word counts."""
    tx.run(_FORGET_STATES, [(scope.node,)])
    rows: list[tuple[Any, ...]] = [(*state[:-1], scope.node) for state in items[-1]]
    if rows:
        tx.run(_INSERT_STATES, rows)
    return [None] * len(items)


def link_states(tx: Tx) -> list[LinkState]:
    """What every node last said of its links; see ``Store.list_link_states``."""
    return [LinkState(*row) for row in tx.run(_STATES)]
