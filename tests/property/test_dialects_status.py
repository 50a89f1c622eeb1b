"""Properties 5 and 6 of docs/status.md 6, in the words of every dialect: replay, and order."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvitto.core.model import CallbackDue, ContentKind, MessageView, Notify
from kvitto.core.status import (
    FINAL,
    Answered,
    Event,
    Message,
    MoveKind,
    Note,
    PartRecord,
    PartState,
    Reason,
    ReceiptRead,
    Status,
    WaitOver,
    apply,
)
from tests.support.dialects import DIALECTS, NOW, Face, account

BATCH_ID = "01JB2K7M9QX4T6V8W0Y2Z40000"
IDS = [face.name for face in DIALECTS]
ENDS = {
    Status.DELIVERED: Reason.DELIVERED,
    Status.FAILED: Reason.UNDELIVERABLE,
    Status.EXPIRED: Reason.VALIDITY_SMSC,
    Status.REJECTED: Reason.REJECTED_SMSC,
    Status.DELETED: Reason.DELETED_SMSC,
    Status.UNKNOWN: Reason.SMSC_UNKNOWN,
}


def receipt(status: Status, reason: Reason, err: str | None = None) -> ReceiptRead:
    return ReceiptRead(1, NOW, status, reason, None, err)


def end(status: Status, err: str | None = None) -> ReceiptRead:
    return receipt(status, ENDS[status], err)


ANSWER = Answered(1, NOW)
ENROUTE = receipt(Status.DISPATCHED, Reason.ENROUTE)


def view_of(message: Message) -> MessageView:
    return MessageView(
        id=BATCH_ID[:22] + "0001",
        batch_id=BATCH_ID,
        account_id="a1",
        recipient="46701740611",
        status=message.status,
        reason=message.reason,
        since_at=message.since_at,
        done_at=message.done_at,
        error=message.error,
        parts=1,
        notes=message.notes,
        created_at=NOW,
        client_reference=None,
        kind=ContentKind.TEXT,
        max_parts=None,
    )


def live(events: list[Event]) -> tuple[Message, list[tuple[MessageView, MoveKind]]]:
    """What the events make of a message, and what it was at each change of its status; each comes a second later."""
    message = Message(Status.QUEUED, Reason.IN_FLIGHT, NOW, (PartRecord(1, PartState.WRITTEN),))
    changes = []
    for number, event in enumerate(events, start=1):
        outcome = apply(message, event._replace(at=NOW + number * 1000))
        message = outcome.message
        if outcome.changed:
            changes.append((view_of(message), outcome.kind))
    return message, changes


def told(face: Face, changes: list[tuple[MessageView, MoveKind]], **settings: object) -> list[str]:
    """What the receiver of every change hears, in this dialect."""
    owner = account(**settings)
    assert face.dialect.notify_of(Notify.ATTEMPTS, owner) in (Notify.CHANGES, Notify.ATTEMPTS, Notify.FINAL)
    heard = []
    for number, (view, _) in enumerate(changes):
        due = CallbackDue(number, "a1", face.name, "https://shop.example/dlr", view, False, 0, NOW, None)
        if face.dialect.tells(due, owner):
            heard.append(face.post(view, owner).words[0])
    return heard


PAIRS = [(first, other) for first in ENDS for other in ENDS if first is not other]


@pytest.mark.parametrize("face", DIALECTS, ids=IDS)
@pytest.mark.parametrize(("first", "other"), PAIRS)
def test_p6_the_first_end_decides_and_callbacks_only_go_forward(face, first, other):
    events: list[tuple[str, Event]] = [
        ("answer", ANSWER),
        ("enroute", ENROUTE),
        ("end", end(first)),
        ("again", end(first)),
        ("other", end(other)),
    ]
    for order in permutations(events):
        names = [name for name, _ in order]
        message, changes = live([event for _, event in order])
        decided = min((name for name in ("end", "again", "other")), key=names.index)
        wanted = other if decided == "other" else first
        late = (first if wanted is other else other) if wanted is Status.UNKNOWN else None
        assert message.status is (late or wanted)
        allowed = [face.read(view).words[0] for view, _ in changes if view.status in FINAL]
        heard = told(face, changes)
        on_the_way = [words for words in heard if words not in allowed]
        assert len(on_the_way) <= 1
        assert heard[: len(on_the_way)] == on_the_way, "nothing on the way is told after an end"
        ends = heard[len(on_the_way) :]
        shows_late = face.name != "sinch"
        assert ends == (allowed if shows_late else allowed[:1])
        assert len(ends) <= 2


@pytest.mark.parametrize("face", DIALECTS, ids=IDS)
@pytest.mark.parametrize("wanted", [None, True, False])
def test_p6_late_corrections_are_told_where_the_account_or_the_dialect_shows_them(face, wanted):
    _, changes = live([ANSWER, WaitOver(NOW), end(Status.DELIVERED)])
    assert [kind for _, kind in changes] == [MoveKind.ENTER, MoveKind.ENTER, MoveKind.CORRECT]
    assert changes[-1][0].notes & Note.LATE
    shown = face.name != "sinch" if wanted is None else wanted
    assert len(told(face, changes, late_corrections=wanted)) == (3 if shown else 2)


EVENTS = st.lists(
    st.one_of(
        st.just(ANSWER),
        st.just(ENROUTE),
        st.just(WaitOver(NOW)),
        st.builds(end, st.sampled_from(list(ENDS)), st.sampled_from([None, "000", "027", "21B"])),
    ),
    max_size=8,
)


@given(EVENTS)
def test_p5_made_again_from_its_history_a_message_looks_the_same_everywhere(events):
    first, changes = live(events)
    again, same = live(events)
    for face in DIALECTS:
        assert face.read(view_of(first)) == face.read(view_of(again))
        assert told(face, changes) == told(face, same)


@given(EVENTS)
def test_p6_whatever_comes_at_most_one_change_on_the_way_one_end_and_one_correction_are_told(events):
    _, changes = live(events)
    statuses = [view.status for view, _ in changes]
    on_the_way = [status for status in statuses if status not in FINAL]
    assert on_the_way in ([], [Status.DISPATCHED])
    assert statuses[: len(on_the_way)] == on_the_way
    assert len(statuses) - len(on_the_way) <= 2
    assert sum(kind is MoveKind.CORRECT for _, kind in changes) <= 1
