"""The status machine in every order of events (P4; docs/status.md section 6, properties 4 to 7).

All orders of up to 6 events for one part, of up to 5 and 4 for two and three (6 in the long run); random walks beyond;
and some hundred walks through both databases, event by event through the store's verbs, compared with the same oracle.
"""

import os
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kvitto.core.model import Notify, PartKey
from kvitto.core.receipt import LinkRules
from kvitto.core.status import FINAL, MOVES, REASONS_OF, Message, MoveKind, Note, Reason, ReceiptRead, Status, apply
from kvitto.store import schema as t
from kvitto.store.api import ReceivedReceipt, SubmitAnswer, SubmitFate
from tests.conformance.fixtures import (  # noqa: F401  # fixtures
    house,
    migrated_file,
    migrated_postgres,
    postgres_url,
    sqlite_url,
    url,
)
from tests.conformance.house import RULES, House, build_receipt
from tests.support.walks import FINALS, KINDS, OF_ALL, Oracle, Step, event_of, fresh, with_claim

ORDERS = int(os.environ.get("KVITTO_TEST_STATUS_ORDERS", "20000"))
"""How many random walks; the long run takes 10^6."""

LONG = ORDERS >= 10**6

# One of each kind that the machine tells apart: what differs in a word only would multiply the orders for nothing.
CORE = (
    "answer",
    "refuse",
    "throttle",
    "doubt",
    "enroute",
    "delivered",
    "failed",
    "expired",
    "unknown",
    "claim",
    "cancel",
    "expire",
    "wait_over",
)
SEVERAL = ("answer", "refuse", "throttle", "enroute", "delivered", "failed", "unknown", "settled")
ENTERS = {
    Status.QUEUED: set(Status) - {Status.QUEUED},
    Status.DISPATCHED: {
        Status.DELIVERED,
        Status.FAILED,
        Status.EXPIRED,
        Status.REJECTED,
        Status.DELETED,
        Status.UNKNOWN,
    },
}
CORRECTED = {Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.DELETED}


class Walk:
    """A message, its oracle, and the checks that hold after every step."""

    def __init__(self, parts: int) -> None:
        self.message = fresh(parts)
        self.oracle = Oracle(parts)
        self.steps: list[Step] = []
        self.entered: list[tuple[Status, bool]] = []

    def copy(self) -> "Walk":
        other = Walk(0)
        other.message, other.oracle = self.message, self.oracle.copy()
        other.steps, other.entered = [*self.steps], [*self.entered]
        return other

    def take(self, step: Step) -> None:
        self.steps.append(step)
        self.oracle.tell(step)
        event = event_of(step)
        if event is None:
            self.message = with_claim(self.message)
            return
        old = self.message
        outcome = apply(old, event)
        new = self.message = outcome.message
        assert new.reason in REASONS_OF[new.status], self
        if outcome.changed:
            self.check_move(old, new, outcome.kind)
            self.entered.append((new.status, outcome.kind is MoveKind.CORRECT))
        else:
            assert new.status is old.status, self
            assert new.since_at == old.since_at, self
            if old.status in FINAL:
                assert new._replace(parts=(), notes=Note.NONE) == old._replace(parts=(), notes=Note.NONE), self
        assert new.notes & old.notes == old.notes, self
        again = apply(new, event)
        assert not again.changed, self
        assert (again.message.status, again.message.reason) == (new.status, new.reason), self
        assert new.status is self.oracle.status, self
        assert [status for status, _ in self.entered] == self.oracle.story, self

    def check_move(self, old: Message, new: Message, kind: MoveKind) -> None:
        if kind is MoveKind.ENTER:
            assert new.status in ENTERS.get(old.status, ()), self
        else:
            ours = old.status is Status.UNKNOWN or old.reason is Reason.VALIDITY_LOCAL
            assert ours, self
            assert new.status in CORRECTED, self
            assert new.notes & Note.LATE, self
        assert new.since_at == self.steps[-1].at, self

    def check_story(self) -> None:
        """Callbacks are a subsequence of Dispatched, final, one late correction."""
        told = [status for status, _ in self.entered]
        if told and told[0] is Status.DISPATCHED:
            told = told[1:]
        assert Status.DISPATCHED not in told, self
        assert len(told) <= 2, self
        assert [late for _, late in self.entered].count(True) == max(0, len(told) - 1), self

    def __repr__(self) -> str:
        return f"{self.steps} -> {self.message}; rules say {self.oracle.status}, {self.oracle.story}"


def walked(parts: int, steps) -> Walk:
    walk = Walk(parts)
    for step in steps:
        walk.take(step)
    walk.check_story()
    return walk


def explore(parts: int, kinds: tuple[str, ...], depth: int) -> int:
    """Every order of up to ``depth`` steps; returns how many were looked at.

    What follows depends on message and oracle alone: an order that leads to a pair known at this depth adds nothing.
    """
    choices = [(kind, part) for kind in kinds for part in (range(1, parts + 1) if kind not in OF_ALL else (1,))]
    orders = 0
    layer = [Walk(parts)]
    for at in range(1, depth + 1):
        seen: dict[object, Walk] = {}
        for walk in layer:
            for kind, part in choices:
                orders += 1
                longer = walk.copy()
                longer.take(Step(kind, part, at))
                longer.check_story()
                seen.setdefault((without_times(longer.message), longer.oracle.knows), longer)
        layer = list(seen.values())
    return orders


def without_times(message: Message) -> Message:
    """The record with its instants ranked: only their order matters."""
    ranks = {at: rank for rank, at in enumerate(sorted({part.since_at for part in message.parts}))}
    parts = tuple(part._replace(since_at=ranks[part.since_at], done_at=None) for part in message.parts)
    return message._replace(since_at=0, done_at=None, parts=parts)


@pytest.mark.parametrize(
    ("parts", "kinds", "depth"), [(1, CORE, 6), (2, SEVERAL, 6 if LONG else 5), (3, SEVERAL, 6 if LONG else 4)]
)
def test_p4_every_order_of_events_keeps_the_rules(parts, kinds, depth):
    assert explore(parts, kinds, depth) > 500


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_p4_random_walks_keep_the_rules(parts):
    dice = random.Random(20260309 + parts)
    for _ in range(ORDERS // 4):
        at = 0
        steps = []
        for _ in range(dice.randrange(2, 14)):
            at += dice.randrange(2)  # several facts within one millisecond
            steps.append(Step(dice.choice(KINDS), dice.randrange(1, parts + 1), at))
        walked(parts, steps)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 3).flatmap(
        lambda parts: st.tuples(
            st.just(parts), st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, parts)), max_size=12)
        )
    )
)
def test_p4_any_walk_keeps_the_rules(drawn):
    parts, moves = drawn
    walked(parts, [Step(kind, part, at) for at, (kind, part) in enumerate(moves)])


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5])
def test_property_7_all_combinations_of_ends_follow_r38(parts):
    kinds = ("delivered", "failed", "expired", "unknown") if parts > 3 else tuple(FINALS)
    for ends in product(kinds, repeat=parts):
        steps = [Step("answer", part, 0) for part in range(1, parts + 1)]
        steps += [Step(kind, part, part) for part, kind in enumerate(ends, 1)]
        walk = walked(parts, steps)
        statuses = [FINALS[kind][0] for kind in ends]
        failing = [status for status in statuses if status not in (Status.DELIVERED, Status.UNKNOWN)]
        expected = failing[0] if failing else Status.UNKNOWN if Status.UNKNOWN in statuses else Status.DELIVERED
        assert walk.message.status is expected, walk
        assert walk.message.notes is Note.NONE, walk


@pytest.mark.parametrize("first", list(FINALS))
@pytest.mark.parametrize("second", list(FINALS))
def test_property_6_the_first_final_receipt_decides_in_any_order(first, second):
    from itertools import permutations

    facts = {"answer": 1, "enroute": 1, first: 1}
    for order in permutations([*facts, f"again:{first}", f"other:{second}"]):
        names = [name.partition(":")[2] or name for name in order]
        walk = walked(1, [Step(name, 1, at) for at, name in enumerate(names)])
        receipts = [FINALS[name][0] for name in names if name in FINALS]
        readable = [status for status in receipts if status is not Status.UNKNOWN]
        expected = receipts[0] if receipts[0] is not Status.UNKNOWN or not readable else readable[0]
        assert walk.message.status is expected, walk


def test_every_pair_of_statuses_has_its_move():
    assert set(MOVES) == set(product(Status, Status))
    for (old, new), kind in MOVES.items():
        if kind is MoveKind.ENTER:
            assert new in ENTERS[old]
        elif kind is MoveKind.CORRECT:
            assert (old, new in CORRECTED) == (Status.UNKNOWN, True)
        elif kind is MoveKind.REFINE:
            assert old is new


# --- through the store ---------------------------------------------------------------------------------------------

STORE_WALKS = 120
NO_CHANGES = (Reason.RETRYING, Reason.RETRYING_SMSC)
"""Events that leave the status where it is: an attempt came to nothing, and there is another."""


async def play(house: House, moves: dict[str, Step]) -> None:  # noqa: F811
    """One step of each walk, all of a kind in one verb."""
    answers, fates, receipts = [], [], []
    for message, step in moves.items():
        key, kind = PartKey(message, step.part), step.kind
        if kind in ("answer", "refuse", "throttle"):
            status = {"answer": 0, "refuse": 0x0B, "throttle": 0x58}[kind]
            answers.append(
                SubmitAnswer(key, house.now, status, house.smsc_id(*key), kind == "throttle", house.now + 10**9)
            )
        elif kind == "doubt":
            fates.append(SubmitFate(key, True))
        else:
            event = event_of(step)
            assert isinstance(event, ReceiptRead)
            receipt = build_receipt(house.smsc_id(*key), event.status, event.reason, err=event.err)
            receipts.append(ReceivedReceipt("link", "link", house.now, "", receipt, RULES))
    await house.store.record_answers("link", "link", answers)
    await house.store.record_fates(fates, house.now)
    await house.store.record_receipts(receipts)


def told_of(entered: list[tuple[Status, bool]]) -> list[Status]:
    """What a customer who wants every change is told; whether a late correction is one, the dialect says."""
    return [status for status, _ in entered]


async def test_p4_walks_through_the_verbs_end_as_the_rules_say(house: House):  # noqa: F811
    dice = random.Random(7)
    sizes = [dice.randrange(1, 4) for _ in range(STORE_WALKS)]
    ids = await house.send(STORE_WALKS, parts=sizes, notify=Notify.CHANGES, valid_s=1000)
    await house.claim(10_000)
    walks = {message: Walk(size) for message, size in zip(ids, sizes, strict=True)}
    named: dict[str, set[int]] = {
        message: set() for message in ids
    }  # parts whose id the store knows: only they can get receipts
    for turn in range(1, 13):
        house.clock.advance(1)
        moves = {}
        for message, walk in walks.items():
            kind, part = (
                dice.choice([kind for kind in KINDS if kind not in OF_ALL]),
                dice.randrange(1, len(walk.message.parts) + 1),
            )
            if kind not in ("answer", "refuse", "throttle", "doubt") and part not in named[message]:
                kind = "answer"
            if kind == "answer":
                named[message].add(part)
            moves[message] = Step(kind, part, turn)
            walk.take(moves[message])
        await play(house, moves)
        rows = dict(await house.look(select(t.message.c.id, t.message.c.status)))
        for message, walk in walks.items():
            assert rows[message] == walk.message.status, walk
    await end_by_time(house, walks)
    await check_stories(house, walks)


async def end_by_time(house: House, walks: dict[str, Walk]) -> None:  # noqa: F811
    house.clock.advance(1000)
    await house.store.end_overdue({}, house.now, 10_000)
    house.clock.advance(LinkRules().dlr_grace_s)
    await house.store.end_overdue({}, house.now, 10_000)
    rows = {
        row[0]: row
        for row in await house.look(
            select(t.message.c.id, t.message.c.status, t.message.c.due_at, t.message.c.deadline_at)
        )
    }
    for message, walk in walks.items():
        for kind in ("expire", "wait_over"):
            walk.take(Step(kind, 1, 10**6))
        assert rows[message] == (message, walk.message.status, None, None), walk


async def check_stories(house: House, walks: dict[str, Walk]) -> None:  # noqa: F811
    told: dict[str, list[Status]] = {message: [] for message in walks}
    for message, status in await house.told():
        told[message].append(status)
    for message, walk in walks.items():
        changes = [status for status, reason in await house.events(message) if reason not in NO_CHANGES]
        assert changes == [status for status, _ in walk.entered], walk
        assert told[message] == told_of(walk.entered), walk
