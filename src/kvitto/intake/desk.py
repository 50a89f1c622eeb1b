"""The desk: performs what dialects read out of requests, against the store, for one account at a time.

``send`` is the hot way in: no coroutine, task or future; the store calls back after the commit. Everything else is
``perform``. Results are those that ``kvitto.core.operations`` names, or a ``Denial``. The command line uses the same
desk.

Must not know: HTTP, a vendor's words. Next: ``kvitto.intake.admit``, ``kvitto.store.api``.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from kvitto.core.errors import StoreUnavailable
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Batch, FeedPage, FrozenAnswer, NewBatch, Notify, Once, Schedule, Submission
from kvitto.core.operations import (
    Cancel,
    CloseSession,
    DryRun,
    FetchBatch,
    FetchBatchReport,
    FetchRecipientReport,
    FetchSchedule,
    ListBatches,
    ListBatchMessages,
    ListLog,
    ListReports,
    OpenSession,
    Operation,
    RecordFeedback,
    Reschedule,
    Revise,
    Send,
    TakeReports,
)
from kvitto.dialects.base import Dialect, Problem
from kvitto.intake.admit import Denial, RouteFor, plan, preview
from kvitto.intake.pressure import Pressure
from kvitto.intake.sessions import Sessions
from kvitto.store.api import AdmissionRefused, Store

__all__ = ["Desk", "NotifyOf", "settle", "told_by"]

Done = Callable[[Any, BaseException | None], None]
"""Called with what ``settle`` reads, or with None and the error."""

NotifyOf = Callable[[Submission, Account], Notify]
"""Which changes of a submission are called back, in the dialect that will tell them (``told_by``)."""

_REVISE_TRIES: Final = 3
"""A batch that others keep changing meanwhile: after so many times the caller is told to try again."""

_NO_BATCH: Final = Denial(Problem.NOT_FOUND, "batch: unknown")
_NO_REPORT: Final = Denial(Problem.NOT_FOUND, "batch or recipient: unknown")
_DISPATCHED: Final = Denial(Problem.ALREADY_DISPATCHED, "batch: dispatch has begun")
_CANCELLED: Final = Denial(Problem.ALREADY_DISPATCHED, "batch: it was cancelled")
_NO_SCHEDULE: Final = Denial(Problem.NOT_FOUND, "batch: unknown, or never scheduled")
_NO_SESSIONS: Final = Denial(Problem.UNAUTHORIZED, "this desk opens no sessions")
_HANDING_TRIES: Final = 60
"""A store that is away is told once a second that reports were handed over; after that they come again."""
_HANDING_PAUSE_S: Final = 1.0
_ADMISSIONS: Final = {
    "quota": Denial(Problem.QUOTA_SPENT, "to: more recipients than the account's quota has left"),
    "key_reused": Denial(Problem.KEY_REUSED, "Idempotency-Key: used before for another request"),
    "disabled": Denial(Problem.ACCOUNT_DISABLED, "the account is disabled"),
}

_OUTCOMES: Final = {"not_found": _NO_BATCH, "already_dispatched": _DISPATCHED, "quota": _ADMISSIONS["quota"]}


def settle(stored: NewBatch | AdmissionRefused | FrozenAnswer) -> NewBatch | Denial | FrozenAnswer:
    """Say what ``Desk.send``'s ``done`` got: the batch with its messages, or why the store did not take it.

    A send with ``once`` may also have got the answer that was given before.
    """
    if type(stored) is AdmissionRefused:
        return _ADMISSIONS.get(stored.reason) or Denial(Problem.UNAUTHORIZED, "the account is gone")
    return stored  # type: ignore[return-value]  # narrowed by type identity, which is cheaper than isinstance here


def told_by(dialects: Mapping[str, Dialect]) -> NotifyOf:
    """Ask the dialect that will tell: the account's ``callback_dialect``, else the one it is sent in."""

    def notify_of(submission: Submission, account: Account) -> Notify:
        dialect = dialects.get(account.callback_dialect or submission.dialect)
        return (submission.notify or Notify.NONE) if dialect is None else dialect.notify_of(submission.notify, account)

    return notify_of


class Desk:
    """Performs operations. ``on_work`` is called after each commit that may have made work for the links.

    ``pressure``: who says when too much waits (P29); None: nothing is too much.
    """

    def __init__(
        self,
        store: Store,
        ids: IdMaker,
        *,
        route_for: RouteFor | None = None,
        notify_of: NotifyOf | None = None,
        on_work: Callable[[], None] | None = None,
        sessions: Sessions | None = None,
        logs_per_minute: int = 0,
        pressure: Pressure | None = None,
    ) -> None:
        """``logs_per_minute``: that an account may ask for; 0 for any number."""
        self._store = store
        self._logs_per_minute = logs_per_minute
        self._logs: tuple[int, Counter[str]] = (0, Counter())
        self._sessions = sessions
        self._notify_of = notify_of
        self._ids = ids
        self._route_for = route_for
        self._on_work = on_work
        self._pressure = pressure
        self._perform: dict[type, Callable[[Any, Account, int], Awaitable[Any]]] = {
            Send: self._send,
            DryRun: self._dry_run,
            FetchBatch: self._fetch_batch,
            ListBatches: self._list_batches,
            Revise: self._revise,
            Cancel: self._cancel,
            RecordFeedback: self._record_feedback,
            FetchBatchReport: self._fetch_batch_report,
            FetchRecipientReport: self._fetch_recipient_report,
            ListReports: self._list_reports,
            ListBatchMessages: self._list_batch_messages,
            TakeReports: self._take_reports,
            ListLog: self._list_log,
            FetchSchedule: self._fetch_schedule,
            Reschedule: self._reschedule,
            CloseSession: self._close_session,
        }

    def set_routes(self, route_for: RouteFor | None) -> None:
        """Route by other rules from now on."""
        self._route_for = route_for

    def send(
        self, submission: Submission, account: Account, now: int, done: Done, once: Once | None = None
    ) -> Denial | None:
        """Plan and store a batch; ``done`` is called after the commit (P1): read what it gets with ``settle``.

        Returns a Denial where the plan failed; ``done`` is not called then. It gets StoreUnavailable when nothing
        could be stored.
        """
        planned = self._plan(submission, account, now)
        if type(planned) is Denial:
            return planned
        new: NewBatch = planned  # type: ignore[assignment]  # narrowed as in settle
        self._store.accept_batch_hot(new if once is None else new._replace(once=once), done)
        return None

    async def send_once(
        self, submission: Submission, account: Account, now: int, once: Once | None
    ) -> NewBatch | Denial | FrozenAnswer:
        """As ``send``, for those who can wait. Raises: StoreUnavailable."""
        planned = self._plan(submission, account, now)
        if isinstance(planned, Denial):
            return planned
        settled = settle(await self._store.accept_batch(planned._replace(once=once)))
        self.worked()
        return settled

    def _plan(self, submission: Submission, account: Account, now: int) -> NewBatch | Denial:
        pressure = self._pressure
        if pressure is not None:
            denial = pressure.denial(account.id)
            if denial is not None:
                return denial
        planned = self._plan_batch(submission, account, now)
        if pressure is not None and type(planned) is NewBatch:
            pressure.add(account.id, len(planned.messages))
        return planned

    def _plan_batch(self, submission: Submission, account: Account, now: int) -> NewBatch | Denial:
        notify = self._notify_of(submission, account) if self._notify_of is not None else None
        more = self._notify_more(submission, account) if submission.more else ()
        return plan(submission, account, now, self._ids.new(), self._route_for, notify=notify, notify_more=more)

    def _notify_more(self, submission: Submission, account: Account) -> list[Notify]:
        if self._notify_of is None:
            return []
        return [self._notify_of(text, account) for text in submission.more]

    def worked(self) -> None:
        """Tell the links that there may be work: ``send``'s ``done`` calls this."""
        if self._on_work is not None:
            self._on_work()

    async def perform(self, operation: Operation, account: Account, now: int, peer: str = "") -> Any:
        """Perform any operation; returns its result (``kvitto.core.operations``) or a Denial. ``now``: ms UTC.

        ``peer``: the caller's address, where he has no account yet (``OpenSession``).
        Raises: DialectError from a Revise's change, StoreUnavailable.
        """
        if isinstance(operation, OpenSession):
            return _NO_SESSIONS if self._sessions is None else await self._sessions.open(operation, peer, now)
        return await self._perform[type(operation)](operation, account, now)

    async def _close_session(self, operation: CloseSession, account: Account, now: int) -> Denial | None:
        if self._sessions is None:
            return _NO_SESSIONS
        await self._sessions.close(operation.token, account.id)
        return None

    async def _send(self, operation: Send, account: Account, now: int) -> object:
        return await self.send_once(operation.submission, account, now, None)

    async def _dry_run(self, operation: DryRun, account: Account, now: int) -> object:
        return preview(operation.submission, account, per_recipient=operation.per_recipient, limit=operation.limit)

    async def _fetch_batch(self, operation: FetchBatch, account: Account, now: int) -> object:
        return await self._store.fetch_batch(account.id, operation.batch_id) or _NO_BATCH

    async def _list_batches(self, operation: ListBatches, account: Account, now: int) -> object:
        return await self._store.list_batches(account.id, operation.filter, operation.page, operation.page_size)

    async def _revise(self, operation: Revise, account: Account, now: int) -> Batch | Denial:
        """Change and store again what was read, as long as nobody else changed it between (optimistic, by
        modified_at).
        """
        for _ in range(_REVISE_TRIES):
            batch = await self._store.fetch_batch(account.id, operation.batch_id)
            if batch is None:
                return _NO_BATCH
            planned = self._plan_again(operation.change(batch), batch, account, now)
            if isinstance(planned, Denial):
                return planned
            outcome = await self._store.replace_batch(planned, batch.modified_at)
            if outcome.batch is not None:
                self.worked()
                return outcome.batch
            if outcome.problem != "changed":
                return _OUTCOMES[outcome.problem]
        return Denial(Problem.THROTTLED, "batch: others are changing it, try again", retry_after_s=1)

    def _plan_again(self, submission: Submission, batch: Batch, account: Account, now: int) -> NewBatch | Denial:
        if batch.cancelled_at is not None:
            return _CANCELLED  # what a customer has called off is never sent after all
        if self._pressure is not None and len(submission.recipients) > batch.message_count:
            denial = self._pressure.denial(account.id)
            if denial is not None:
                return denial
        # modified_at must move, or a second change within the same millisecond would not be noticed.
        moved_at = max(now, batch.modified_at + 1)
        submission = submission._replace(client_id=batch.client_id, feed=batch.feed, window=batch.window)
        notify = self._notify_of(submission, account) if self._notify_of is not None else None
        return plan(submission, account, moved_at, batch.id, self._route_for, batch.created_at, notify=notify)

    async def _cancel(self, operation: Cancel, account: Account, now: int) -> Batch | Denial:
        outcome = await self._store.cancel_batch(account.id, operation.batch_id, now)
        return outcome.batch or _OUTCOMES.get(outcome.problem, _NO_BATCH)

    async def _record_feedback(self, operation: RecordFeedback, account: Account, now: int) -> Denial | None:
        kept = await self._store.record_feedback(account.id, operation.batch_id, operation.recipients, now)
        return None if kept else Denial(Problem.NOT_FOUND, "batch: unknown, or sent without feedback_enabled")

    async def _fetch_batch_report(self, operation: FetchBatchReport, account: Account, now: int) -> object:
        report = await self._store.fetch_batch_report(
            account.id,
            operation.batch_id,
            recipients=operation.recipients,
            first_final=operation.first_final,
            now=now,
        )
        return report or _NO_BATCH

    async def _fetch_recipient_report(self, operation: FetchRecipientReport, account: Account, now: int) -> object:
        message = await self._store.fetch_message(
            account.id, operation.batch_id, operation.recipient, first_final=operation.first_final, now=now
        )
        return message or _NO_REPORT

    async def _list_reports(self, operation: ListReports, account: Account, now: int) -> object:
        return await self._store.list_messages(account.id, operation.filter, operation.page, operation.page_size)

    async def _list_batch_messages(self, operation: ListBatchMessages, account: Account, now: int) -> object:
        page = await self._store.list_batch_messages(
            account.id,
            operation.batch_id,
            operation.recipient,
            operation.shows,
            operation.page,
            operation.page_size,
            first_final=operation.first_final,
        )
        return page or _NO_BATCH

    # --- the one-time feed, logs, schedules ------------------------------------------------------------------------

    async def _take_reports(self, operation: TakeReports, account: Account, now: int) -> FeedPage:
        if operation.peek:
            return await self._store.peek_reports(account.id, operation.filter, operation.limit)
        return await self._store.take_reports(account.id, operation.filter, operation.limit, now)

    def handed(self, handing: int, written: bool, tries: int = _HANDING_TRIES) -> None:
        """The answer that carries these reports has been written, or cannot be (P16)."""
        settled = self._store.confirm_reports(handing) if written else self._store.release_reports(handing)
        settled.add_done_callback(partial(self._handed, handing, written, tries))

    def _handed(self, handing: int, written: bool, tries: int, settled: "asyncio.Future[None]") -> None:
        if not settled.cancelled() and isinstance(settled.exception(), StoreUnavailable) and tries:
            asyncio.get_running_loop().call_later(_HANDING_PAUSE_S, self.handed, handing, written, tries - 1)

    async def _list_log(self, operation: ListLog, account: Account, now: int) -> object:
        wait_s = self._count_log(account, now) if self._logs_per_minute else 0
        if wait_s:
            return Denial(Problem.THROTTLED, "too many requests for logs", retry_after_s=wait_s)
        page = await self._store.list_log(account.id, operation.filter, operation.limit, operation.cursor)
        return page or Denial(Problem.INVALID_CURSOR, "cursor: not one that was handed out")

    def _count_log(self, account: Account, now: int) -> int:
        """Count a request for logs in this minute; returns the seconds to wait if it is one too many, else 0."""
        minute, counts = self._logs
        if minute != now // 60_000:
            minute, counts = self._logs = (now // 60_000, Counter())
        counts[account.id] += 1
        return 60 - now // 1000 % 60 if counts[account.id] > self._logs_per_minute else 0

    async def _fetch_schedule(self, operation: FetchSchedule, account: Account, now: int) -> object:
        return await self._store.fetch_schedule(account.id, operation.batch_id, now) or _NO_SCHEDULE

    async def _reschedule(self, operation: Reschedule, account: Account, now: int) -> Schedule | Denial:
        outcome = await self._store.reschedule(account.id, operation.batch_id, operation.send_at, operation.state, now)
        if outcome.schedule is None:
            return _NO_SCHEDULE if outcome.problem == "not_found" else _DISPATCHED
        self.worked()
        return outcome.schedule
