"""The way of a receipt: kept, matched, applied, or parked and tried again (R8, R26-R35, R41, R42, P2, P3).

Receipts come in groups; one look-up finds the candidates of all of them: each receipt has a few keys under which its
message's id may be stored (``core.matching``), and one index has every stored id in folded form. The raw PDU is kept in
the same transaction that applies it. Must not know: PDUs, dialects. Next: ``overdue`` beside this file.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Select, bindparam, case, delete, insert, literal, select, update

from kvitto.core.matching import Ambiguous, Candidate, Match, Park, ReceiptIds, adopt, candidate_keys, fold, match
from kvitto.core.matching import InDoubt as DoubtfulPart
from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import IdBase, LinkRules, NetworkError, PartReceipts, Receipt, shown_done_at
from kvitto.core.status import FINAL, MoveKind, Reason, ReceiptRead, Status
from kvitto.store import schema as t
from kvitto.store.api import IncomingMessage, ReceiptResult, ReceivedReceipt
from kvitto.store.commits import Scope
from kvitto.store.statements import Int, Kind, Statement, Str, Tx
from kvitto.store.verbs.changes import Changes
from kvitto.store.verbs.counting import count_outcomes
from kvitto.store.verbs.dispatch import NAME_PARTS
from kvitto.store.verbs.loading import Loaded, load_parts, select_loaded
from kvitto.store.verbs.plain_ends import Asked, Ending, find_plain_ends, write_plain_ends
from kvitto.store.verbs.search import Found, Parked, Search
from kvitto.store.verbs.wholes import watch_parts

__all__ = [
    "Parked",
    "ParkedRetry",
    "give_receipt",
    "read_kept",
    "record_incoming",
    "record_receipts",
    "retry_parked",
    "retry_parked_for",
]

_FIRST_RETRIES_MS: Final = (1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
_LATER_RETRY_MS: Final = 600_000
_RETRY_LIMIT: Final = 500
"""Parked receipts looked at in one transaction."""


class ParkedRetry(NamedTuple):
    """Look again at parked receipts that are due; ``rules`` by link."""

    rules: Mapping[str, LinkRules]
    now: int


_RECEIPT: Final[dict[str, Kind]] = {
    "id": Int,
    "account_id": Str,
    "link": Str,
    "grp": Str,
    "received_at": Int,
    "raw": Str,
    "outcome": Str,
    "level": Int,
    "message_id": Str,
    "part_no": Int,
    "parsed": Str,
    "next_try_at": Int,
}
_INSERT_RECEIPTS: Final = Statement(
    lambda r: insert(t.receipt).from_select(
        [*_RECEIPT, "tries"], select(*[r.c[name] for name in _RECEIPT], literal(0, Int))
    ),
    **_RECEIPT,
)
_INSERT_KEYS: Final = Statement(
    lambda r: insert(t.parked_key).from_select(["grp", "folded_id", "receipt_id"], select(r.c.grp, r.c.folded, r.c.id)),
    grp=Str,
    folded=Str,
    id=Int,
)
_INSERT_INCOMING: Final = Statement(
    lambda r: insert(t.incoming).from_select(
        ["link", "received_at", "source", "destination", "text", "raw"],
        select(r.c.link, r.c.at, r.c.source, r.c.destination, r.c.text, r.c.raw),
    ),
    link=Str,
    at=Int,
    source=Str,
    destination=Str,
    text=Str,
    raw=Str,
)


def record_receipts(tx: Tx, scope: Scope, items: Sequence[Sequence[ReceivedReceipt]]) -> list[list[ReceiptResult]]:
    """Keep, match, apply, park; see ``Store.record_receipts``."""
    flat = [received for item in items for received in item]
    readable = [
        Parked(None, one.link, one.group, one.at, one.receipt, one.rules, 0) for one in flat if one.receipt is not None
    ]
    decided = iter(_decide(tx, scope, readable, max((one.at for one in flat), default=0)))
    results: list[ReceiptResult] = []
    rows: list[tuple[Any, ...]] = []
    keys: list[tuple[str, str, int]] = []
    for receipt_id, one in zip(tx.new_ids(len(flat)), flat, strict=True):
        verdict = _Verdict(ReceiptOutcome.UNPARSEABLE) if one.receipt is None else next(decided)
        parked = verdict.outcome is ReceiptOutcome.PARKED
        if parked and one.receipt is not None:
            ids = candidate_keys(one.receipt.tlv_id, one.receipt.text_id, one.rules)
            keys.extend((one.group, key, receipt_id) for key in ids)
        rows.append(
            (
                receipt_id,
                verdict.account_id,
                one.link,
                one.group,
                one.at,
                one.raw,
                verdict.outcome,
                verdict.level,
                verdict.message_id,
                verdict.part_no,
                _parsed_json(one.receipt, one.rules) if one.receipt is not None and not verdict.message_id else None,
                one.at + _FIRST_RETRIES_MS[0] if parked else None,
            )
        )
        results.append(ReceiptResult(verdict.outcome, verdict.level, verdict.message_id))
    tx.run(_INSERT_RECEIPTS, rows)
    if keys:
        tx.run(_INSERT_KEYS, keys)
    return _regroup(results, items)


def _regroup(results: list[ReceiptResult], items: Sequence[Sequence[Any]]) -> list[list[ReceiptResult]]:
    source = iter(results)
    return [[next(source) for _ in item] for item in items]


class _Verdict(NamedTuple):
    """What became of a receipt, and whose it is."""

    outcome: ReceiptOutcome
    level: int | None = None
    message_id: str | None = None
    part_no: int | None = None
    account_id: str | None = None


def _decide(tx: Tx, scope: Scope, receipts: Sequence[Parked], now: int) -> list[_Verdict]:
    """Match receipts and apply those that found their message."""
    if not receipts:
        return []
    asked = [Asked(place, one.group, one.at, one.receipt) for place, one in enumerate(receipts) if one.id is None]
    plain = find_plain_ends(tx, asked)
    others = _search_others(tx, receipts, plain)
    changes = Changes(tx, scope, now)
    if plain:
        write_plain_ends(tx, changes, [(one, plain[one.place]) for one in asked if one.place in plain])
    verdicts = []
    for place, one in enumerate(receipts):
        ending = plain.get(place)
        if ending is not None:
            verdicts.append(_Verdict(ReceiptOutcome.MATCHED, 1, ending.id, 1, ending.account_id))
        else:
            verdicts.append(_decide_by_rules(changes, one, *others[place], now))
    changes.write()
    return verdicts


_Hits = tuple[Found | None, Sequence[Found]]
"""What the search found for a receipt: the part that it names to the letter, else those that it may mean."""


def _search_others(tx: Tx, receipts: Sequence[Parked], plain: dict[int, Ending]) -> dict[int, _Hits]:
    """Search for the receipts that are not ``plain``; what they share a message with is not plain either."""
    if len(plain) == len(receipts):
        return {}
    search = Search(tx, [one for place, one in enumerate(receipts) if place not in plain])
    shared = [place for place, ending in plain.items() if ending.id in search.loaded]
    if shared:
        for place in shared:
            del plain[place]
        search = Search(tx, [one for place, one in enumerate(receipts) if place not in plain])
    places = [place for place in range(len(receipts)) if place not in plain]
    return {place: (search.exact.get(at), search.found.get(at, ())) for at, place in enumerate(places)}


def _decide_by_rules(changes: Changes, one: Parked, exact: Found | None, here: Sequence[Found], now: int) -> _Verdict:
    if exact is not None:
        return _apply(changes, one, exact, 1, now)
    result = _match(one, here)
    if isinstance(result, Match):
        item = next(item for item in here if item.candidate.key == result.candidate.key)
        return _apply(changes, one, item, result.level, now)
    return _Verdict(ReceiptOutcome.AMBIGUOUS if isinstance(result, Ambiguous) else ReceiptOutcome.PARKED)


def _match(one: Parked, here: Sequence[Found]) -> Match | Park | Ambiguous:
    """Ask the rules (R26-R35), with what is final by now."""
    if not here:
        return Park()
    receipt = one.receipt
    ids = ReceiptIds(one.group, receipt.tlv_id, receipt.text_id, receipt.source_addr, receipt.destination_addr)
    candidates = [
        item.candidate._replace(final=item.loaded.record.parts[item.part_no - 1].status in FINAL) for item in here
    ]
    return match(ids, candidates, one.rules)


def _apply(changes: Changes, one: Parked, item: Found, level: int, now: int, *, adopted: bool = False) -> _Verdict:
    """Let a receipt change the part it is for; one that was parked tells us its news only now."""
    receipt = one.receipt
    network = receipt.network_error
    event = ReceiptRead(
        item.part_no,
        one.at if one.id is None else now,
        receipt.status,
        receipt.reason,
        shown_done_at(receipt.done_at, one.at, item.written_at),
        receipt.err,
        network.net_type if network else None,
        network.net_code if network else None,
        adopted,
    )
    if item.loaded.parts > 1:
        event = event._replace(whole=one.rules.part_receipts is PartReceipts.ONE)
    was_ended = item.loaded.record.status in FINAL
    if item.loaded.written_at is None:
        item.loaded.written_at = item.written_at
    outcome = changes.apply(item.loaded, event)
    if outcome.part is not None and item.loaded.parts > 1:
        watch_parts(changes, item.loaded, item.part_no, (one.link, one.group), one.rules, event.at)
    return _Verdict(
        _outcome(outcome.kind, outcome.part is None, was_ended, adopted),
        level or None,
        item.loaded.id,
        item.part_no,
        item.loaded.account_id,
    )


def give_receipt(
    changes: Changes, one: Parked, loaded: Loaded, part_no: int, link: str, written_at: int, now: int
) -> ReceiptOutcome:
    """Let a kept receipt change a part that somebody chose for it (R34); returns what it did there."""
    candidate = Candidate((loaded.id, part_no), one.group, "", loaded.recipient, written_at, False)
    return _apply(changes, one, Found(loaded, part_no, link, written_at, candidate), 0, now).outcome


def _outcome(kind: MoveKind, nothing_new: bool, was_ended: bool, adopted: bool) -> ReceiptOutcome:
    if adopted:
        return ReceiptOutcome.ADOPTED
    if kind is MoveKind.CORRECT:
        return ReceiptOutcome.LATE
    if kind is MoveKind.CONFLICT:
        return ReceiptOutcome.CONFLICT
    if kind is MoveKind.KEEP and (nothing_new or was_ended):
        return ReceiptOutcome.DUPLICATE if nothing_new else ReceiptOutcome.MATCHED
    return ReceiptOutcome.MATCHED


def record_incoming(tx: Tx, scope: Scope, items: Sequence[Sequence[IncomingMessage]]) -> list[None]:
    """Keep MO messages."""
    rows = [(one.link, one.at, one.source, one.destination, one.text, one.raw) for item in items for one in item]
    if rows:
        tx.run(_INSERT_INCOMING, rows)
    return [None] * len(items)


# --- parked receipts (R33) --------------------------------------------------------------------------------------------


class _Stored(msgspec.Struct, array_like=True):
    """A parked receipt as it waits in the store: what matching and applying need, and the rules it was parked by.

    An answer wakes it without knowing the rules of the link that brought it.
    """

    message_id: str
    text_id: str | None
    tlv_id: str | None
    status: Status
    reason: Reason
    final: bool
    err: str | None
    net: tuple[int | None, int] | None
    submit_at: int | None
    done_at: int | None
    source_addr: str
    destination_addr: str
    intermediate: bool
    submit_id: IdBase
    receipt_id: IdBase
    park_s: int
    part_receipts: PartReceipts = PartReceipts.AUTO
    part_wait_s: int = 600


def _parsed_json(receipt: Receipt, rules: LinkRules) -> str:
    network = receipt.network_error
    stored = _Stored(
        receipt.message_id,
        receipt.text_id,
        receipt.tlv_id,
        receipt.status,
        receipt.reason,
        receipt.final,
        receipt.err,
        (network.net_type, network.net_code) if network else None,
        receipt.submit_at,
        receipt.done_at,
        receipt.source_addr,
        receipt.destination_addr,
        receipt.intermediate,
        rules.submit_id,
        rules.receipt_id,
        rules.park_s,
        rules.part_receipts,
        rules.part_wait_s,
    )
    return msgspec.json.encode(stored).decode()


_read_stored = msgspec.json.Decoder(_Stored)


def read_kept(parsed: str) -> Receipt:
    """What was read of a receipt that has no message yet."""
    return _receipt_from(_read_stored.decode(parsed))


def _receipt_from(kept: _Stored) -> Receipt:
    return Receipt(
        message_id=kept.message_id,
        text_id=kept.text_id,
        tlv_id=kept.tlv_id,
        status=kept.status,
        reason=kept.reason,
        final=kept.final,
        stat_raw=None,
        message_state=None,
        err=kept.err,
        network_error=NetworkError(*kept.net) if kept.net else None,
        submit_at=kept.submit_at,
        done_at=kept.done_at,
        sub=None,
        dlvrd=None,
        text=None,
        raw=b"",
        source_addr=kept.source_addr,
        destination_addr=kept.destination_addr,
        intermediate=kept.intermediate,
    )


_PARKED_COLUMNS: Final = (
    t.receipt.c.id,
    t.receipt.c.link,
    t.receipt.c.grp,
    t.receipt.c.received_at,
    t.receipt.c.parsed,
    t.receipt.c.tries,
)
_PARKED_DUE: Final = Statement(
    lambda _: (
        select(*_PARKED_COLUMNS)
        .where(t.receipt.c.next_try_at.is_not(None), t.receipt.c.next_try_at <= bindparam("now", type_=Int))
        .order_by(t.receipt.c.next_try_at)
        .limit(bindparam("n", type_=Int))
        .with_for_update(skip_locked=True)
    )
)
_PARKED_UNDER: Final = Statement(
    lambda r: (
        select(*_PARKED_COLUMNS)
        .distinct()
        .select_from(
            r.join(t.parked_key, (t.parked_key.c.grp == r.c.grp) & (t.parked_key.c.folded_id == r.c.folded)).join(
                t.receipt, t.receipt.c.id == t.parked_key.c.receipt_id
            )
        )
        .where(t.receipt.c.next_try_at.is_not(None))
    ),
    grp=Str,
    folded=Str,
)
_SETTLE: Final = Statement(
    lambda r: (
        update(t.receipt)
        .values(
            account_id=r.c.account_id,
            outcome=r.c.outcome,
            level=r.c.level,
            message_id=r.c.message_id,
            part_no=r.c.part_no,
            next_try_at=r.c.next_try_at,
            tries=t.receipt.c.tries + 1,
            parsed=case((r.c.message_id.is_(None), t.receipt.c.parsed), else_=None),
        )
        .where(t.receipt.c.id == r.c.id)
    ),
    id=Int,
    account_id=Str,
    outcome=Str,
    level=Int,
    message_id=Str,
    part_no=Int,
    next_try_at=Int,
)
_FORGET_KEYS: Final = Statement(
    lambda r: delete(t.parked_key).where(t.parked_key.c.receipt_id.in_(select(r.c.id))), id=Int
)
_ANY_PARKED: Final = Statement(lambda _: select(t.parked_key.c.receipt_id).limit(1))


def retry_parked_for(tx: Tx, scope: Scope, known: Iterable[tuple[str, str]], now: int) -> None:
    """Ids have just become known: try the receipts that were parked under them, at once (R33)."""
    pairs = list(known)
    if pairs and tx.run(_ANY_PARKED):
        rows = {row[0]: row for row in tx.run(_PARKED_UNDER, pairs)}
        _try_again(tx, scope, [_parked(row, {}) for row in rows.values()], now)


def retry_parked(tx: Tx, scope: Scope, items: Sequence[ParkedRetry]) -> list[int]:
    """Look again at due parked receipts; see ``Store.retry_parked``."""
    counts = []
    for item in items:
        rows = tx.run(_PARKED_DUE, now=item.now, n=_RETRY_LIMIT)
        parked = [_parked(row, item.rules) for row in rows]
        _try_again(tx, scope, parked, item.now, may_adopt=True)
        counts.append(len(parked))
    return counts


def _parked(row: Sequence[Any], rules: Mapping[str, LinkRules]) -> Parked:
    kept = _read_stored.decode(row[4])
    own = rules.get(row[1]) or _rules_at_parking(
        kept.submit_id, kept.receipt_id, kept.park_s, kept.part_receipts, kept.part_wait_s
    )
    return Parked(row[0], row[1], row[2], row[3], _receipt_from(kept), own, row[5])


@lru_cache(maxsize=64)
def _rules_at_parking(
    submit_id: IdBase, receipt_id: IdBase, park_s: int, part_receipts: PartReceipts, part_wait_s: int
) -> LinkRules:
    return LinkRules(
        submit_id=submit_id,
        receipt_id=receipt_id,
        park_s=park_s,
        part_receipts=part_receipts,
        part_wait_s=part_wait_s,
    )


def _try_again(tx: Tx, scope: Scope, parked: Sequence[Parked], now: int, *, may_adopt: bool = False) -> None:
    if not parked:
        return
    verdicts = _decide(tx, scope, parked, now)
    if may_adopt:
        verdicts = _adopt(tx, scope, parked, verdicts, now)
    rows, settled, told = [], [], []
    for one, verdict in zip(parked, verdicts, strict=True):
        next_try_at = None
        outcome = verdict.outcome
        if outcome is ReceiptOutcome.PARKED:
            next_try_at = _next_try(one, now)
            if next_try_at is None:
                outcome = ReceiptOutcome.ORPHAN  # R34
        if next_try_at is None:
            settled.append((one.id,))
            told.append((one.link, one.group, outcome, verdict.level))
        rows.append(
            (
                one.id,
                verdict.account_id,
                outcome,
                verdict.level,
                verdict.message_id,
                verdict.part_no,
                next_try_at,
            )
        )
    tx.run(_SETTLE, rows)
    if settled:
        tx.run(_FORGET_KEYS, settled)
        count_outcomes(scope, told)


def _next_try(one: Parked, now: int) -> int | None:
    """When to look again: 1, 2, 5, 10, 30, 60 s after it came, then every 10 min, until ``park`` is over (R33)."""
    if now >= one.at + one.rules.park_s * 1000:
        return None
    for offset in _FIRST_RETRIES_MS:
        if one.at + offset > now:
            return one.at + offset
    return now + _LATER_RETRY_MS


# --- adoption (R33, last sentence) ------------------------------------------------------------------------------------


def _of_group(r: Any) -> Select[Any]:
    return select_loaded(
        (t.part.c.part_no, t.part.c.grp, t.part.c.link, t.part.c.written_at),
        r.join(t.part, t.part.c.grp == r.c.grp).join(t.message, t.message.c.id == t.part.c.message_id),
    )


_IN_DOUBT_OF: Final = Statement(lambda r: _of_group(r).where(t.OPEN, t.part.c.state == "in_doubt"), grp=Str)
_RESENT_OF: Final = Statement(lambda r: _of_group(r).where(t.RESENT), grp=Str)
"""Parts that wait to be sent again are as doubtful as before: their receipt saves the second SMS, and corrects a
message that we let expire meanwhile (R45)."""


def _adopt(tx: Tx, scope: Scope, parked: Sequence[Parked], verdicts: Sequence[_Verdict], now: int) -> list[_Verdict]:
    """Give receipts that have waited long enough to the part in doubt that they fit, oldest first."""
    result = list(verdicts)
    ripe = [
        index
        for index, (one, verdict) in enumerate(zip(parked, verdicts, strict=True))
        if verdict.outcome is ReceiptOutcome.PARKED and now >= one.at + one.rules.adopt_after_s * 1000
    ]
    if not ripe:
        return result
    groups = {parked[index].group for index in ripe}
    loaded: dict[str, Loaded] = {}
    doubtful: dict[object, tuple[DoubtfulPart, str, tuple[str, int]]] = {}
    keys = [(group,) for group in sorted(groups)]
    for row in [*tx.run(_IN_DOUBT_OF, keys), *tx.run(_RESENT_OF, keys)]:
        one = loaded.setdefault(row[4], Loaded(row[4:]))
        key = (one.id, row[0])
        doubtful[key] = (DoubtfulPart(key, row[1], one.recipient, row[3], one.id, row[0]), row[2], key)
    if not doubtful:
        return result
    load_parts(tx, list(loaded.values()))
    changes = Changes(tx, scope, now)
    names: list[tuple[Any, ...]] = []
    named: dict[tuple[str, str], Found] = {}
    for index in ripe:
        waiting = parked[index]
        smsc_id = (waiting.group, fold(waiting.receipt.message_id))
        if smsc_id in named:  # another receipt of the part that has just been named, and of no other part of its text
            result[index] = _apply(changes, waiting, named[smsc_id], 2, now)
            continue
        fit = adopt(
            waiting.receipt, waiting.group, waiting.at, (part for part, _, _ in doubtful.values()), waiting.rules
        )
        if fit is None:
            continue
        part, link, (message_id, part_no) = doubtful.pop(fit.key)
        item = Found(
            loaded[message_id],
            part_no,
            link,
            part.submitted_at,
            Candidate(fit.key, waiting.group, "", part.destination, part.submitted_at, False),
        )
        item.loaded.smsc_ids[part_no] = waiting.receipt.message_id
        named[smsc_id] = item
        result[index] = _apply(changes, waiting, item, 0, now, adopted=True)
        names.append((message_id, part_no, waiting.receipt.message_id, fold(waiting.receipt.message_id), waiting.at))
    changes.write()
    if names:
        tx.run(NAME_PARTS, names)
    return result
