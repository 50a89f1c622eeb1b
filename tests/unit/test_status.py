"""The status machine, case by case: the table of docs/status.md section 2, and R38, R40-R42, R45, R46."""

import pytest

from kvitto.core.status import (
    FINAL,
    MOVES,
    NO_ERROR,
    REASONS_OF,
    Answered,
    ErrorSource,
    Event,
    InDoubt,
    Message,
    MoveKind,
    Note,
    PartRecord,
    PartsSettled,
    PartState,
    Reason,
    ReceiptRead,
    Refused,
    Status,
    StatusError,
    WaitOver,
    Withdrawn,
    apply,
)

DELIVERED = (Status.DELIVERED, Reason.DELIVERED)
FAILED = (Status.FAILED, Reason.UNDELIVERABLE)
EXPIRED = (Status.EXPIRED, Reason.VALIDITY_SMSC)
REJECTED = (Status.REJECTED, Reason.REJECTED_SMSC)
UNKNOWN = (Status.UNKNOWN, Reason.SMSC_UNKNOWN)
ENROUTE = (Status.DISPATCHED, Reason.ENROUTE)


def written(parts: int = 1, state: PartState = PartState.WRITTEN) -> Message:
    """A message with so many parts, none answered."""
    records = tuple(PartRecord(part, state) for part in range(1, parts + 1))
    return Message(Status.QUEUED, Reason.IN_FLIGHT, 0, records)


def part_after(message: Message, event: Event) -> PartState:
    """Where the event leaves its part."""
    part = apply(message, event).part
    assert part is not None
    return part.state


def after(message: Message, *events) -> Message:
    for event in events:
        message = apply(message, event).message
    return message


def receipt(what, part: int = 1, at: int = 10, **fields) -> ReceiptRead:
    return ReceiptRead(part, at, *what, **fields)


def test_every_reason_belongs_to_one_status():
    reasons = [reason for status in Status for reason in REASONS_OF[status]]
    assert sorted(reasons) == sorted(Reason)


def test_eight_of_the_ten_statuses_are_final():
    assert set(Status) - FINAL == {Status.QUEUED, Status.DISPATCHED}


def test_an_answer_dispatches_and_dates_it():
    outcome = apply(written(), Answered(1, 5))
    assert (outcome.kind, outcome.changed) == (MoveKind.ENTER, True)
    assert outcome.message[:3] == (Status.DISPATCHED, Reason.ACCEPTED, 5)


def test_all_parts_must_be_accepted():
    message = after(written(3), Answered(2, 1), Answered(3, 2))
    assert (message.status, message.reason) == (Status.QUEUED, Reason.IN_FLIGHT)
    assert after(message, Answered(1, 3)).status is Status.DISPATCHED


def test_r11_a_temporary_refusal_waits_to_be_sent_again():
    outcome = apply(written(), Refused(1, 5, 0x58, True))
    assert outcome.message[:2] == (Status.QUEUED, Reason.RETRYING)
    assert part_after(written(), Refused(1, 5, 0x58, True)) is PartState.WAITING
    assert not outcome.changed


def test_r11_one_throttled_part_of_many_shows_as_retrying_until_it_is_accepted():
    message = after(written(2), Refused(1, 1, 0x58, True), Answered(2, 2))
    assert (message.status, message.reason) == (Status.QUEUED, Reason.RETRYING)


def test_a_permanent_refusal_rejects_with_its_command_status():
    message = after(written(), Refused(1, 5, 0x401, False))
    assert message[:2] == (Status.REJECTED, Reason.SUBMIT_REFUSED)
    assert message.error == StatusError(ErrorSource.SUBMIT, command_status=0x401)


@pytest.mark.parametrize("late", [Answered(1, 9), Refused(1, 9, 0x0B, False), Refused(1, 9, 0x58, True), InDoubt(1, 9)])
@pytest.mark.parametrize(
    "first", [Answered(1, 1), receipt(ENROUTE, at=1), receipt(DELIVERED, at=1), Refused(1, 1, 0x0B, False)]
)
def test_what_the_smsc_has_answered_is_answered(first, late):
    message = after(written(), first)
    assert apply(message, late).message == message


@pytest.mark.parametrize("what", [DELIVERED, FAILED, EXPIRED, REJECTED, UNKNOWN])
def test_a_receipt_ends_it_with_what_it_says(what):
    event = receipt(what, at=9, done_at=7, err="032", net_type=3, net_code=32)
    message = after(written(), Answered(1, 5), event)
    assert message[:3] == (*what, 9)
    assert (message.done_at, message.error) == (7, StatusError(ErrorSource.NETWORK, "032", 3, 32))


def test_a_receipt_proves_that_the_smsc_has_the_part():
    doubtful = written(state=PartState.IN_DOUBT)
    assert after(doubtful, receipt(ENROUTE)).status is Status.DISPATCHED
    assert part_after(doubtful, receipt(ENROUTE)) is PartState.ACCEPTED


def test_a_receipt_without_a_code_has_no_error():
    assert after(written(), receipt(FAILED)).error == StatusError()


def test_r38_the_first_failing_part_decides_and_later_ones_change_nothing():
    message = after(written(3), *[Answered(part, 1) for part in (1, 2, 3)], receipt(EXPIRED, 2, 5))
    assert message.status is Status.EXPIRED
    end = after(message, receipt(FAILED, 1, 6), receipt(DELIVERED, 3, 7))
    assert end[:3] == message[:3]
    assert end.notes is Note.NONE


@pytest.mark.parametrize("order", [(2, 1, 3), (3, 1, 2), (3, 2, 1), (1, 2, 3)])
def test_r38_parts_that_fail_in_the_same_millisecond_do_not_contradict_each_other(order):
    ends = {1: FAILED, 2: EXPIRED, 3: REJECTED}
    message = after(written(3), *[receipt(ends[part], part, 5) for part in order])
    assert message[:2] == ends[order[0]]
    assert message.notes is Note.NONE


def test_r38_delivered_is_dated_by_the_part_delivered_last():
    ends = [receipt(DELIVERED, 1, 10, done_at=9, err="001"), receipt(DELIVERED, 2, 11, done_at=3, err="002")]
    message = after(written(2), *ends)
    assert (message.status, message.since_at, message.done_at, message.error.text) == (Status.DELIVERED, 11, 9, "001")


def test_r38_some_unknown_and_none_failing_is_unknown():
    message = after(written(2), receipt(UNKNOWN, 1, 5), receipt(DELIVERED, 2, 6))
    assert message[:2] == UNKNOWN
    assert after(message, receipt(DELIVERED, 1, 7)).status is Status.DELIVERED


@pytest.mark.parametrize("reason", REASONS_OF[Status.DISPATCHED])
def test_r40_no_word_on_the_way_ends_it(reason):
    message = after(written(), receipt((Status.DISPATCHED, reason)))
    assert message[:2] == (Status.DISPATCHED, reason)


def test_r40_accepted_only_is_a_note_and_never_delivered():
    message = after(
        written(), receipt((Status.DISPATCHED, Reason.OPERATOR_ACCEPTED)), WaitOver(99, accepted_is_final=True)
    )
    assert (*message[:2], message.notes) == (Status.UNKNOWN, Reason.NO_RECEIPT, Note.ACCEPTED_ONLY)
    without = after(written(), receipt(ENROUTE), WaitOver(99, accepted_is_final=True))
    assert without.notes is Note.NONE


@pytest.mark.parametrize("what", [DELIVERED, FAILED, UNKNOWN, ENROUTE])
def test_r41_repetition_has_no_effect(what):
    message = after(written(), Answered(1, 1), receipt(what, at=5))
    outcome = apply(message, receipt(what, at=50))
    assert (outcome.message, outcome.kind, outcome.part) == (message, MoveKind.KEEP, None)


def test_r42_a_contradiction_is_noted_and_changes_nothing():
    message = after(written(), receipt(DELIVERED))
    outcome = apply(message, receipt(FAILED, at=50))
    assert (outcome.kind, outcome.message) == (MoveKind.CONFLICT, message._replace(notes=Note.CONFLICT))


def test_r45_unknown_is_corrected_once():
    message = after(written(), Answered(1, 1), WaitOver(100))
    assert message[:2] == (Status.UNKNOWN, Reason.NO_RECEIPT)
    outcome = apply(message, receipt(DELIVERED, at=200))
    assert (outcome.kind, *outcome.message[:3]) == (MoveKind.CORRECT, *DELIVERED, 200)
    assert outcome.message.notes is Note.LATE
    assert after(outcome.message, receipt(FAILED, at=300)).status is Status.DELIVERED


def test_r45_an_end_that_the_smsc_gave_is_not_corrected():
    message = after(written(), receipt(EXPIRED))
    assert apply(message, receipt(DELIVERED, at=50)).kind is MoveKind.CONFLICT


def test_r45_a_local_expiry_is_corrected_when_the_smsc_had_it_after_all():
    message = after(written(2), Answered(1, 1), Refused(2, 2, 0x58, True))
    message = after(message, Withdrawn(9, Status.EXPIRED, Reason.VALIDITY_LOCAL))
    assert message.status is Status.EXPIRED
    outcome = apply(message, receipt(FAILED, 1, 20))
    assert (outcome.kind, outcome.message.status) == (MoveKind.CORRECT, Status.FAILED)


def test_r46_there_is_no_way_back():
    message = after(written(), receipt(DELIVERED))
    assert apply(message, receipt(ENROUTE, at=50)).message == message
    assert apply(message, Answered(1, 50)).message == message


@pytest.mark.parametrize("state", [PartState.WRITTEN, PartState.IN_DOUBT, PartState.ACCEPTED])
@pytest.mark.parametrize(
    "what",
    [(Status.CANCELLED, Reason.CANCELLED), (Status.EXPIRED, Reason.VALIDITY_LOCAL), (Status.ABORTED, Reason.NO_ROUTE)],
)
def test_what_may_be_with_the_smsc_is_not_withdrawn(state, what):
    message = written(state=state)
    assert apply(message, Withdrawn(9, *what)).message == message


@pytest.mark.parametrize(
    "what",
    [(Status.CANCELLED, Reason.CANCELLED), (Status.EXPIRED, Reason.VALIDITY_LOCAL), (Status.ABORTED, Reason.NO_ROUTE)],
)
@pytest.mark.parametrize("message", [Message(Status.QUEUED, Reason.QUEUED, 0, ()), written(state=PartState.WAITING)])
def test_what_waits_here_is_withdrawn_as_a_local_error(what, message):
    ended = after(message, Withdrawn(9, *what))
    assert (*ended[:3], ended.error.source) == (*what, 9, ErrorSource.LOCAL)


def test_a_cancel_needs_every_part_here_an_expiry_only_one():
    message = after(written(2), Answered(1, 1), Refused(2, 2, 0x58, True))
    assert after(message, Withdrawn(9, Status.CANCELLED, Reason.CANCELLED)).status is Status.QUEUED
    assert after(message, Withdrawn(9, Status.EXPIRED, Reason.VALIDITY_LOCAL)).status is Status.EXPIRED


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (written(state=PartState.IN_DOUBT), Reason.NOT_ACKNOWLEDGED),
        (written(), Reason.NOT_ACKNOWLEDGED),
        (after(written(2), Answered(1, 1)), Reason.NOT_ACKNOWLEDGED),
        (after(written(), Answered(1, 1)), Reason.NO_RECEIPT),
        (after(written(2), Answered(1, 1), Answered(2, 1), receipt(DELIVERED, 1)), Reason.NO_RECEIPT),
    ],
)
def test_r44_the_wait_over_tells_whether_it_was_ever_acknowledged(message, reason):
    ended = after(message, WaitOver(99))
    assert ended[:3] == (Status.UNKNOWN, reason, 99)
    assert apply(ended, WaitOver(100)).message == ended


def test_in_doubt_is_where_a_written_part_goes_and_no_other():
    assert part_after(written(), InDoubt(1, 5)) is PartState.IN_DOUBT
    assert apply(written(state=PartState.WAITING), InDoubt(1, 5)).part is None


def test_an_adopted_receipt_leaves_its_note():
    message = after(written(state=PartState.IN_DOUBT), receipt(DELIVERED, adopted=True))
    assert (message.status, message.notes) == (Status.DELIVERED, Note.ADOPTED)


@pytest.mark.parametrize("old", sorted(FINAL - {Status.UNKNOWN}))
def test_no_final_status_but_unknown_is_left_by_the_table(old):
    assert {MOVES[old, new] for new in Status} <= {MoveKind.KEEP, MoveKind.CONFLICT}


@pytest.mark.parametrize("state", [PartState.WRITTEN, PartState.IN_DOUBT])
@pytest.mark.parametrize("reason", REASONS_OF[Status.QUEUED])
def test_an_answer_to_a_lone_open_part_always_dispatches(state, reason):
    """What the store's short way for plain answers takes for granted (store.verbs.dispatch)."""
    for part_reason in REASONS_OF[Status.QUEUED]:
        message = Message(Status.QUEUED, reason, 1, (PartRecord(1, state, reason=part_reason),))
        outcome = apply(message, Answered(1, 9))
        assert outcome.kind is MoveKind.ENTER
        record = outcome.message
        assert (record.status, record.reason, record.since_at) == (Status.DISPATCHED, Reason.ACCEPTED, 9)
        assert (record.done_at, record.error, record.notes) == (None, NO_ERROR, Note.NONE)


def settled(message, whole=False):
    return apply(message, PartsSettled(500, whole))


def parts_of(*ends):
    """Parts that the SMSC has, each with its receipt or None."""
    facts = [Answered(number, 1) for number in range(1, len(ends) + 1)]
    receipts = [ReceiptRead(number, 10 + number, *end) for number, end in enumerate(ends, 1) if end is not None]
    return after(written(len(ends)), *facts, *receipts)


def test_r39_silence_after_a_delivered_part_delivers_the_text_with_a_note():
    done = settled(parts_of(None, DELIVERED, DELIVERED)).message
    assert (done.status, done.since_at, done.notes) == (Status.DELIVERED, 500, Note.PARTS_UNCONFIRMED)
    assert settled(done).kind is MoveKind.KEEP


@pytest.mark.parametrize("ends", [(None, None), (None, (Status.UNKNOWN, Reason.SMSC_UNKNOWN))])
def test_r39_silence_without_a_delivered_part_says_nothing(ends):
    assert settled(parts_of(*ends)).kind is MoveKind.KEEP


def test_r39_where_one_receipt_is_all_an_unknown_end_is_the_texts():
    done = settled(parts_of(None, (Status.UNKNOWN, Reason.SMSC_UNKNOWN)), whole=True).message
    assert (done.status, done.notes) == (Status.UNKNOWN, Note.NONE)
