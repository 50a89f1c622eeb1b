"""How messages go out: claims, answers, and parts in doubt (R11, R12, R37, P6).

A claim writes down that parts are about to be written before anything is written, so a crash leaves them in doubt and
nobody sends them again by accident. Must not know: PDUs, sockets. Next: ``receipts`` beside this file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, insert, literal, select, update

from kvitto.core.ids import batch_of
from kvitto.core.matching import fold
from kvitto.core.model import Claimed, Content, DeliveryWindow, Notify, PartKey
from kvitto.core.status import Answered, PartState, Reason, Refused, Status, WaitOver, Withdrawn
from kvitto.core.window import next_opening
from kvitto.store import schema as t
from kvitto.store.api import SubmitAnswer, SubmitFate
from kvitto.store.commits import Scope
from kvitto.store.statements import Each, Int, Statement, Str, Tx
from kvitto.store.verbs.changes import SET_STATES, Changes
from kvitto.store.verbs.loading import Loaded, load_parts, lone_part, message_of, select_loaded
from kvitto.store.verbs.tallies import tally_dispatched
from kvitto.store.verbs.texts import read_content, read_own, read_window
from kvitto.store.verbs.turns import Turns, due_messages

__all__ = [
    "NAME_PARTS",
    "Answers",
    "Claim",
    "DoubtVerdict",
    "Fates",
    "claim_messages",
    "record_answers",
    "record_fates",
    "resolve_doubts",
    "take_back_parts",
]


class Claim(NamedTuple):
    """A link asks for up to ``parts`` parts. ``turns``: whose messages it took last (``turns``)."""

    link: str
    group: str
    parts: int
    now: int
    turns: Turns | None = None


class Answers(NamedTuple):
    """Answers of one link's SMSC."""

    link: str
    group: str
    answers: Sequence[SubmitAnswer]


class Fates(NamedTuple):
    """What a link did not manage."""

    fates: Sequence[SubmitFate]
    now: int


class DoubtVerdict(NamedTuple):
    """An operator's word on parts in doubt: send again, or end."""

    keys: Sequence[PartKey]
    resend: bool
    now: int


# --- claims -----------------------------------------------------------------------------------------------------------

_SENT_WITH: Final = Statement(
    lambda r: select(
        t.batch.c.id, t.batch.c.sender, t.batch.c.content, t.batch.c.expire_at, t.batch.c.delivery_window
    ).select_from(r.join(t.batch, t.batch.c.id == r.c.id)),
    id=Str,
)
_LEAVE_QUEUE: Final = Each(
    lambda r: (
        update(t.message)
        .values(due_at=None, attempts=t.message.c.attempts + 1, reason=str(Reason.IN_FLIGHT))
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
)
_PUT_BACK: Final = Statement(
    lambda r: update(t.message).values(due_at=r.c.due_at).where(t.message.c.id == r.c.id), id=Str, due_at=Int
)
_PART: Final = {"id": Str, "no": Int, "account_id": Str, "link": Str, "grp": Str, "node": Str, "now": Int}
_INSERT_PARTS: Final = Statement(
    lambda r: insert(t.part).from_select(
        [
            "message_id",
            "part_no",
            "account_id",
            "link",
            "grp",
            "node",
            "since_at",
            "written_at",
            "state",
            "status",
            "reason",
            "error_source",
        ],
        select(
            r.c.id,
            r.c.no,
            r.c.account_id,
            r.c.link,
            r.c.grp,
            r.c.node,
            r.c.now,
            r.c.now,
            literal(str(PartState.WRITTEN), Str),
            literal(str(Status.QUEUED), Str),
            literal(str(Reason.IN_FLIGHT), Str),
            literal("none", Str),
        ),
    ),
    **_PART,
)
_REWRITE_PARTS: Final = Statement(
    lambda r: (
        update(t.part)
        .values(
            link=r.c.link,
            grp=r.c.grp,
            node=r.c.node,
            written_at=r.c.now,
            state=str(PartState.WRITTEN),
            reason=str(Reason.IN_FLIGHT),
        )
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no)
    ),
    **_PART,
)
_WAITING_PARTS: Final = Statement(
    lambda r: (
        select(t.part.c.message_id, t.part.c.part_no)
        .select_from(r.join(t.part, t.part.c.message_id == r.c.id))
        .where(t.part.c.state == str(PartState.WAITING))
        .order_by(t.part.c.message_id, t.part.c.part_no)
    ),
    id=Str,
)


def claim_messages(tx: Tx, scope: Scope, items: Sequence[Claim]) -> list[list[Claimed]]:
    """Let links take due messages; see ``Store.claim_messages``."""
    return [_claim(tx, scope, item) for item in items]


class _SentWith(NamedTuple):
    """What a batch's messages are sent with: read once for them all."""

    sender: str
    content: Content
    expire_at: int
    window: DeliveryWindow | None


def _claim(tx: Tx, scope: Scope, claim: Claim) -> list[Claimed]:
    turns = claim.turns or Turns()
    rows = due_messages(tx, claim.link, claim.now, max(1, claim.parts), turns)
    if not rows:
        return []
    asked = {batch_of(row[0]) for row in rows}
    batches = {
        batch_id: _SentWith(sender or "", read_content(content), expire_at, read_window(window))
        for batch_id, sender, content, expire_at, window in tx.run(_SENT_WITH, [(one,) for one in asked])
    }
    if len(batches) < len(asked):  # a damaged file: what has no batch holds nobody up
        rows = [row for row in rows if batch_of(row[0]) in batches]
    rows = _open_now(tx, rows, batches, claim.now)
    again: dict[str, list[int]] = {row[0]: [] for row in rows if row[5]}
    if again:
        for message_id, part_no in tx.run(_WAITING_PARTS, [(one,) for one in again]):
            again[message_id].append(part_no)
    taken: list[Claimed] = []
    left = claim.parts
    for row in rows:
        todo = tuple(again[row[0]]) if row[5] else (1,) if row[3] == 1 else tuple(range(1, row[3] + 1))
        if len(todo) > left and taken:  # a text longer than the window goes alone, and fills it as slots come free
            break
        left -= len(todo)
        taken.append(_claimed(row, batches[batch_of(row[0])], todo))
        if left <= 0:
            break
    turns.move(rows, len(taken))
    if taken:
        _write_claims(tx, scope, claim, taken)
    return taken


def _open_now(tx: Tx, rows: list[Any], batches: Mapping[str, _SentWith], now: int) -> list[Any]:
    """Leave out messages whose delivery window is shut: they go back to the queue until it opens."""
    if all(one.window is None for one in batches.values()) and all(row[7] is None for row in rows):
        return rows
    shut: list[tuple[str, int]] = []
    open_rows = []
    for row in rows:
        window = batches[batch_of(row[0])].window if row[7] is None else read_own(row[7]).window
        opens_at = next_opening(window, now)
        if opens_at > now:
            shut.append((row[0], opens_at))
        else:
            open_rows.append(row)
    if shut:
        tx.run(_PUT_BACK, shut)
    return open_rows


def _claimed(row: Sequence[Any], batch: _SentWith, todo: tuple[int, ...]) -> Claimed:
    message_id, account_id, recipient, parts, text, attempts, _, own_text = row
    sender, content, expire_at, _ = batch
    if own_text is not None:
        own = read_own(own_text)
        sender, content, expire_at = own.sender or "", own.content, own.expire_at
    if text is None:
        text = content.text
    return Claimed(message_id, account_id, recipient, sender, content, text, parts, todo, expire_at, attempts)


def _write_claims(tx: Tx, scope: Scope, claim: Claim, taken: Sequence[Claimed]) -> None:
    tx.run(_LEAVE_QUEUE, [(one.message_id,) for one in taken])
    fresh: list[tuple[Any, ...]] = []
    again: list[tuple[Any, ...]] = []
    for one in taken:
        rows = again if one.attempts else fresh
        for part_no in one.todo:
            rows.append((one.message_id, part_no, one.account_id, claim.link, claim.group, scope.node, claim.now))
    if fresh:
        tx.run(_INSERT_PARTS, fresh)
    if again:
        tx.run(_REWRITE_PARTS, again)


# --- answers ----------------------------------------------------------------------------------------------------------

_MESSAGES_OF_PARTS: Final = Statement(
    lambda r: select_loaded(
        (
            t.part.c.part_no,
            t.part.c.state,
        ),
        r.join(t.part, (t.part.c.message_id == r.c.id) & (t.part.c.part_no == r.c.no)).join(
            t.message, t.message.c.id == t.part.c.message_id
        ),
    ),
    id=Str,
    no=Int,
)
_TAKE_LONE_PARTS: Final = Each(
    lambda r: (
        update(t.part)
        .values(state=str(PartState.ACCEPTED), smsc_message_id=r.c.smsc_id, folded_id=r.c.folded, answered_at=r.c.at)
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no)
    ),
    id=Str,
    no=Int,
    smsc_id=Str,
    folded=Str,
    at=Int,
)
"""A lone part was accepted: its status is its message's (``changes.lone_part``)."""
NAME_PARTS: Final = Statement(
    lambda r: (
        update(t.part)
        .values(smsc_message_id=r.c.smsc_id, folded_id=r.c.folded, answered_at=r.c.at)
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no)
    ),
    id=Str,
    no=Int,
    smsc_id=Str,
    folded=Str,
    at=Int,
)


def load_for_parts(tx: Tx, keys: Sequence[PartKey]) -> dict[str, Loaded]:
    """Load the messages of these parts, with their parts, locked until the transaction ends."""
    loaded: dict[str, Loaded] = {}
    several: dict[str, Loaded] = {}
    for row in tx.run(_MESSAGES_OF_PARTS, keys):
        one = Loaded(row[2:])
        if one.parts > 1:
            several.setdefault(one.id, one)
        else:
            one.set_parts((lone_part(row[0], row[1], one.record),))
            loaded[one.id] = one
    load_parts(tx, list(several.values()))
    loaded.update(several)
    return loaded


_PLAIN: Final = Statement(
    lambda r: (
        select(t.message.c.id, t.message.c.account_id)
        .select_from(
            r.join(t.part, (t.part.c.message_id == r.c.id) & (t.part.c.part_no == 1)).join(
                t.message, t.message.c.id == t.part.c.message_id
            )
        )
        .where(
            t.OPEN,
            t.message.c.parts == 1,
            t.message.c.status == str(Status.QUEUED),
            t.message.c.error_source == "none",
            t.message.c.own.is_(None),
            t.message.c.due_at.is_(None),  # else somebody has just asked to send it again
        )
        .with_for_update(of=t.message)
    ),
    id=Str,
)
_TOLD_OF_CHANGES: Final = Statement(
    lambda r: (
        select(t.batch.c.id)
        .select_from(r.join(t.batch, t.batch.c.id == r.c.id))
        .where((t.batch.c.notify == str(Notify.CHANGES)) | (t.batch.c.notify == str(Notify.ATTEMPTS)))
    ),
    id=Str,
)
_DISPATCH_PLAIN: Final = Each(
    lambda r: (
        update(t.message)
        .values(status=str(Status.DISPATCHED), reason=str(Reason.ACCEPTED), since_at=r.c.at)
        .where(t.message.c.id == r.c.id)
    ),
    id=Str,
    at=Int,
)


def record_answers(tx: Tx, scope: Scope, items: Sequence[Answers]) -> list[list[tuple[str, str]]]:
    """Store answers; returns, per item, the (group, folded id) pairs that became known, for parked receipts."""
    plain = _plain(tx, items)
    others = [answer.key for item in items for answer in item.answers if answer.key[0] not in plain]
    loaded = load_for_parts(tx, others) if others else {}
    dispatched: list[tuple[str, int]] = []
    lone: list[tuple[Any, ...]] = []
    named: list[tuple[Any, ...]] = []
    known: list[list[tuple[str, str]]] = []
    changes = Changes(tx, scope, max((answer.at for item in items for answer in item.answers), default=0))
    for item in items:
        found: list[tuple[str, str]] = []
        for answer in item.answers:
            folded = fold(answer.smsc_message_id) or None
            row = (*answer.key, answer.smsc_message_id, folded, answer.at)
            if answer.key[0] in plain:
                dispatched.append((answer.key[0], answer.at))
                lone.append(row)
            else:
                one = loaded.get(answer.key[0])
                if one is None:
                    continue  # deleted by retention or replaced while its answer was on the way
                one.links[answer.key[1]] = item.link
                one.smsc_ids[answer.key[1]] = answer.smsc_message_id or one.smsc_ids.get(answer.key[1])
                _answer(changes, one, answer)
                if answer.command_status != 0:
                    continue
                # Taken by this answer; else a receipt came first, or the answer came twice, and only the id is new.
                (lone if changes.give_lone_part(answer.key) else named).append(row)
            if folded:
                found.append((item.group, folded))
        known.append(found)
    for account_id, many in Counter(plain.values()).items():
        tally_dispatched(scope, account_id, many)
    if dispatched:
        changes.list_underway([(plain[one], one, at) for one, at in dispatched])
    changes.write()
    for statement, rows in ((_DISPATCH_PLAIN, dispatched), (_TAKE_LONE_PARTS, lone), (NAME_PARTS, named)):
        if rows:
            tx.run(statement, rows)
    return known


def _plain(tx: Tx, items: Sequence[Answers]) -> dict[str, str]:
    """The messages, with their accounts, of which nothing but "the SMSC has it" can be said now: nearly all of them.

    One part, written or in doubt, one answer with status 0, no error so far, nobody to call back: the status machine
    makes each of them DISPATCHED, ``accepted``, at the answer's time (a test holds it to that).
    """
    ids = [answer.key[0] for item in items for answer in item.answers if answer.command_status == 0]
    if not ids:
        return {}
    told = {row[0] for row in tx.run(_TOLD_OF_CHANGES, [(one,) for one in {batch_of(one) for one in ids}])}
    if told:
        ids = [one for one in ids if batch_of(one) not in told]
    plain = dict(tx.run(_PLAIN, [(one,) for one in ids])) if ids else {}
    others: set[str] = set()
    if len(ids) != sum(len(item.answers) for item in items):
        others = {answer.key[0] for item in items for answer in item.answers if answer.command_status != 0}
    if len(set(ids)) != len(ids):
        others |= {one for one in ids if ids.count(one) > 1}
    return {one: account_id for one, account_id in plain.items() if one not in others} if others else plain


def _answer(changes: Changes, one: Loaded, answer: SubmitAnswer) -> None:
    part_no, at, status = answer.key.part_no, answer.at, answer.command_status
    if status == 0:
        changes.apply(one, Answered(part_no, at))
        return
    if answer.temporary and answer.late and _state_of(one, part_no) is PartState.WRITTEN:
        return  # of a submit that was given up and has been repeated since: the repetition's answer counts
    event = Refused(part_no, at, status, answer.temporary)
    part = changes.apply(one, event, due_at=answer.retry_at if answer.temporary else None).part
    if answer.temporary and part is not None:  # the part forgets it when it is sent again; the story must not
        changes.note(one, part)
    if answer.temporary and one.cancelled:  # the customer cancelled while it was on its way, and it came back
        changes.apply(one, Withdrawn(at, Status.CANCELLED, Reason.CANCELLED))


def _state_of(one: Loaded, part_no: int) -> PartState:
    return one.record.parts[part_no - 1].state


# --- parts that were not answered -------------------------------------------------------------------------------------

_BACK_TO_QUEUE: Final = Statement(
    lambda r: (
        update(t.message)
        .values(due_at=r.c.now, reason=str(Reason.QUEUED))
        .where(t.message.c.id == r.c.id, t.message.c.status == str(Status.QUEUED))
    ),
    id=Str,
    now=Int,
)
_CALLED_OFF: Final = Statement(
    lambda r: (
        select(t.batch.c.id)
        .select_from(r.join(t.batch, t.batch.c.id == r.c.id))
        .where(t.batch.c.cancelled_at.is_not(None))
    ),
    id=Str,
)
_WRITTEN_HERE: Final = Statement(
    lambda r: (
        select(t.part.c.message_id, t.part.c.part_no, t.part.c.link, t.part.c.grp)
        .select_from(r.join(t.part, (t.part.c.message_id == r.c.id) & (t.part.c.part_no == r.c.no)))
        .where(t.part.c.state == str(PartState.WRITTEN), t.part.c.node == bindparam("by", type_=Str))
    ),
    id=Str,
    no=Int,
)
"""Only who wrote a part knows its fate: what another node has claimed meanwhile is not given back (P6)."""
_DOUBTFUL: Final = Statement(
    lambda r: (
        select(t.part.c.message_id, t.part.c.part_no)
        .select_from(
            r.join(t.part, (t.part.c.message_id == r.c.id) & (t.part.c.part_no == r.c.no)).join(
                t.message, t.message.c.id == t.part.c.message_id
            )
        )
        .where(t.part.c.state == str(PartState.IN_DOUBT), t.message.c.status == str(Status.QUEUED))
        .with_for_update(of=t.message)
    ),
    id=Str,
    no=Int,
)
"""Parts in doubt whose message has not ended: the others wait for nobody's word, only for a late receipt (R45). Their
messages are locked: an answer that another node is storing just now is waited for, and then they are not in doubt."""


_RESEND: Final = Statement(
    lambda r: (
        update(t.part)
        .values(state=str(PartState.WAITING), reason=str(Reason.NOT_ACKNOWLEDGED))
        .where(t.part.c.message_id == r.c.id, t.part.c.part_no == r.c.no)
    ),
    id=Str,
    no=Int,
)
"""Until it is written again, a receipt of its first submit may still adopt it (R33): the reason remembers that."""


def record_fates(tx: Tx, scope: Scope, items: Sequence[Fates]) -> list[None]:
    """Parts back to the queue, or in doubt; see ``Store.record_fates``."""
    for item in items:
        keys = [fate.key for fate in item.fates]
        written = {PartKey(row[0], row[1]): (row[2], row[3]) for row in tx.run(_WRITTEN_HERE, keys, by=scope.node)}
        for fate in item.fates:
            if fate.key in written:
                scope.count(*written[fate.key], "in_doubt" if fate.in_doubt else "returned")
        doubtful = [fate.key for fate in item.fates if fate.in_doubt and fate.key in written]
        unsent = [fate.key for fate in item.fates if not fate.in_doubt and fate.key in written]
        if doubtful:
            tx.run(SET_STATES, [(*key, str(PartState.IN_DOUBT)) for key in doubtful])
        if unsent:
            _requeue(tx, unsent, item.now)
            _withdraw_called_off(tx, scope, unsent, item.now)
    return [None] * len(items)


def _requeue(tx: Tx, keys: Sequence[PartKey], now: int) -> None:
    tx.run(SET_STATES, [(*key, str(PartState.WAITING)) for key in keys])
    tx.run(_BACK_TO_QUEUE, [(message_id, now) for message_id in {key[0] for key in keys}])


def _withdraw_called_off(tx: Tx, scope: Scope, keys: Sequence[PartKey], now: int) -> None:
    """The customer cancelled while these were on their way, and they came back: they are not sent after all."""
    called_off = {row[0] for row in tx.run(_CALLED_OFF, [(one,) for one in {batch_of(key[0]) for key in keys}])}
    if called_off:
        changes = Changes(tx, scope, now)
        for one in message_of(tx, [key[0] for key in keys if batch_of(key[0]) in called_off]).values():
            changes.apply(one, Withdrawn(now, Status.CANCELLED, Reason.CANCELLED))
        changes.write()


def resolve_doubts(tx: Tx, scope: Scope, items: Sequence[DoubtVerdict]) -> list[int]:
    """Send parts in doubt again, or end their messages; returns how many parts were in doubt."""
    return [_resolve(tx, scope, item) for item in items]


def _resolve(tx: Tx, scope: Scope, item: DoubtVerdict) -> int:
    if not item.keys:
        return 0
    keys = [PartKey(*row) for row in tx.run(_DOUBTFUL, item.keys)]
    if not keys:
        return 0
    if item.resend:
        tx.run(_RESEND, keys)
        tx.run(_BACK_TO_QUEUE, [(message_id, item.now) for message_id in {key[0] for key in keys}])
        return len(keys)
    changes = Changes(tx, scope, item.now)
    for one in message_of(tx, [key.message_id for key in keys]).values():
        changes.apply(one, WaitOver(item.now))
    changes.write()
    return len(keys)


_WRITTEN_BY: Final = Statement(
    lambda _: (
        update(t.part)
        .values(state=str(PartState.IN_DOUBT))
        .where(t.OPEN, t.part.c.state == str(PartState.WRITTEN), t.part.c.node == bindparam("by", type_=Str))
        .returning(t.part.c.link, t.part.c.grp)
    )
)


def take_back_parts(tx: Tx, scope: Scope, items: Sequence[None]) -> list[int]:
    """At start: what this node had claimed when it died is in doubt (R12). Returns how many parts."""
    counts = []
    for _ in items:
        rows = tx.run(_WRITTEN_BY, by=scope.node)
        for link, group in rows:
            scope.count(link, group, "in_doubt")
        counts.append(len(rows))
    return counts
