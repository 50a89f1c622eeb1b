"""The desk: operations performed against the store, for one account."""

import asyncio
from typing import Any, cast

import pytest

from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Batch, BatchFilter, Content, LogFilter, LogPage, Submission
from kvitto.core.operations import (
    Cancel,
    DryRun,
    FetchBatch,
    FetchBatchReport,
    FetchRecipientReport,
    ListBatches,
    ListLog,
    RecordFeedback,
    Revise,
    Send,
)
from kvitto.dialects.base import Problem
from kvitto.intake.admit import Denial
from kvitto.intake.desk import Desk, settle
from kvitto.store.api import AdmissionRefused, Store
from tests.support.fakestore import FakeStore

SHOP = Account(id="acc", name="shop", service_plan_id="plan", username="shop-1")
OTHER = Account(id="other", name="other", service_plan_id="plan2", username="other-1")


def submission(text="Parcel", **fields):
    return Submission(
        dialect="sinch", sender="Kvitto", recipients=("46701740611",), content=Content(text=text), **fields
    )


class Room:
    def __init__(self, clock, **settings):
        self.clock = clock
        self.store: Any = FakeStore()
        self.worked = 0
        self.desk = Desk(cast(Store, self.store), IdMaker(clock), on_work=self._work, **settings)

    def _work(self):
        self.worked += 1

    async def do(self, operation, account=SHOP):
        return await self.desk.perform(operation, account, self.clock.now())

    async def sent(self, **fields) -> Batch:
        return (await self.do(Send(submission=submission(**fields)))).batch


@pytest.fixture
def room(clock):
    return Room(clock)


def problem_of(result) -> Problem:
    assert isinstance(result, Denial), result
    return result.problem


async def test_a_send_is_answered_when_the_store_has_it(room):
    room.store.held = True
    answers: asyncio.Queue[Any] = asyncio.Queue()
    assert room.desk.send(submission(), SHOP, room.clock.now(), lambda *answer: answers.put_nowait(answer)) is None
    assert answers.empty()
    room.store.release()
    stored, error = await answers.get()
    assert error is None
    assert [stored.batch.id] == list(room.store.batches)


async def test_what_admission_denies_reaches_no_store(room):
    denial = room.desk.send(submission()._replace(sender=None), SHOP, room.clock.now(), pytest.fail)
    assert problem_of(denial) is Problem.NO_SENDER
    assert not room.store.batches


@pytest.mark.parametrize(
    ("reason", "problem"),
    [("quota", Problem.QUOTA_SPENT), ("disabled", Problem.ACCOUNT_DISABLED), ("gone", Problem.UNAUTHORIZED)],
)
def test_what_the_store_refused_is_a_problem(reason, problem):
    assert problem_of(settle(AdmissionRefused(reason))) is problem


async def test_a_send_tells_the_links(room):
    await room.sent()
    assert room.worked == 1


async def test_a_dry_run_stores_nothing(room):
    result = await room.do(DryRun(submission=submission(), per_recipient=False, limit=100))
    assert (result.recipient_count, result.part_count) == (1, 1)
    assert not room.store.batches


async def test_a_batch_can_be_read_again_by_its_account_only(room):
    batch = await room.sent()
    assert await room.do(FetchBatch(batch_id=batch.id)) == batch
    assert problem_of(await room.do(FetchBatch(batch_id=batch.id), OTHER)) is Problem.NOT_FOUND


async def test_a_page_of_batches(room):
    await room.sent()
    page = await room.do(ListBatches(filter=BatchFilter(), page=0, page_size=30))
    assert (page.total, len(page.batches)) == (1, 1)


async def test_reports_of_unknown_batches_are_not_found(room):
    report = FetchBatchReport(batch_id="nope", recipients=False, first_final=False)
    assert problem_of(await room.do(report)) is Problem.NOT_FOUND
    recipient = FetchRecipientReport(batch_id="nope", recipient="46701740611", first_final=False)
    assert problem_of(await room.do(recipient)) is Problem.NOT_FOUND


async def test_a_cancelled_batch_stays_and_says_so_twice(room):
    batch = await room.sent()
    first = await room.do(Cancel(batch_id=batch.id))
    room.clock.advance(1)
    second = await room.do(Cancel(batch_id=batch.id))
    assert first.cancelled_at == second.cancelled_at
    assert problem_of(await room.do(Cancel(batch_id="nope"))) is Problem.NOT_FOUND


async def test_logs_are_asked_for_so_many_times_a_minute_by_each_account(clock):
    room = Room(clock, logs_per_minute=2)
    room.store.list_log = lambda *_: asyncio.sleep(0, LogPage([]))
    log = ListLog(filter=LogFilter(), limit=50)
    clock.advance(60 - clock.now() / 1000 % 60 + 10)
    assert [type(await room.do(log)) for _ in range(3)] == [LogPage, LogPage, Denial]
    denied = await room.do(log)
    assert (problem_of(denied), denied.retry_after_s) == (Problem.THROTTLED, 50)
    assert type(await room.do(log, OTHER)) is LogPage
    clock.advance(50)
    assert type(await room.do(log)) is LogPage


async def test_feedback_is_taken_where_it_was_asked_for(room):
    with_feedback, without = await room.sent(feedback=True), await room.sent()
    assert await room.do(RecordFeedback(batch_id=with_feedback.id, recipients=("46701740611",))) is None
    assert problem_of(await room.do(RecordFeedback(batch_id=without.id, recipients=()))) is Problem.NOT_FOUND
    assert room.store.feedback == [(with_feedback.id, ("46701740611",))]


# --- revising


def retext(text):
    return lambda batch: submission(text=text, client_reference=batch.client_reference)


async def test_a_revised_batch_keeps_its_id_and_first_instant(room):
    batch = await room.sent(client_reference="order-118")
    at = room.clock.advance(5)
    revised = await room.do(Revise(batch_id=batch.id, change=retext("Other")))
    assert (revised.id, revised.created_at, revised.modified_at) == (batch.id, batch.created_at, at)
    assert (revised.content.text, revised.client_reference) == ("Other", "order-118")
    assert room.store.batches[batch.id].messages[0].id.endswith("0001")


async def test_modified_at_moves_even_within_one_millisecond(room):
    batch = await room.sent()
    revised = await room.do(Revise(batch_id=batch.id, change=retext("Other")))
    assert revised.modified_at == batch.modified_at + 1


async def test_a_batch_that_somebody_else_changes_is_read_again(room):
    batch = await room.sent()
    seen: list[int] = []

    def meanwhile():
        if len(seen) < 2:
            seen.append(1)
            room.store.touch(batch.id)

    room.store.before_replace = meanwhile
    assert (await room.do(Revise(batch_id=batch.id, change=retext("Other")))).content.text == "Other"
    assert len(seen) == 2


async def test_a_batch_that_never_holds_still_is_given_up_for_now(room):
    batch = await room.sent()
    room.store.before_replace = lambda: room.store.touch(batch.id)
    assert problem_of(await room.do(Revise(batch_id=batch.id, change=retext("Other")))) is Problem.THROTTLED


async def test_dispatched_cancelled_and_unknown_batches_are_not_revised(room):
    dispatched, cancelled = await room.sent(), await room.sent()
    room.store.dispatched.add(dispatched.id)
    await room.do(Cancel(batch_id=cancelled.id))
    outcomes = [
        problem_of(await room.do(Revise(batch_id=batch_id, change=retext("Other"))))
        for batch_id in (dispatched.id, cancelled.id, "nope")
    ]
    assert outcomes == [Problem.ALREADY_DISPATCHED, Problem.ALREADY_DISPATCHED, Problem.NOT_FOUND]


async def test_a_revision_passes_admission(room):
    batch = await room.sent()
    nobody = submission()._replace(sender=None)
    assert problem_of(await room.do(Revise(batch_id=batch.id, change=lambda _: nobody))) is Problem.NO_SENDER
