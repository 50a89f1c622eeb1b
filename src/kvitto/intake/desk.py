"""The desk: performs what dialects read out of requests, against the store, for one account at a time.

``send`` is the hot way in: no coroutine, task or future; the store calls back after the commit. Everything else is
``perform``. Results are those that ``kvitto.core.operations`` names, or a ``Denial``. The command line uses the same
desk.

Must not know: HTTP, a vendor's words. Next: ``kvitto.intake.admit``, ``kvitto.store.api``.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Batch, NewBatch, Notify, Submission
from kvitto.core.operations import (
    Cancel,
    DryRun,
    FetchBatch,
    FetchBatchReport,
    FetchRecipientReport,
    ListBatches,
    ListReports,
    Operation,
    RecordFeedback,
    Revise,
    Send,
)
from kvitto.dialects.base import Dialect, Problem
from kvitto.intake.admit import Denial, RouteFor, plan, preview
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
_ADMISSIONS: Final = {
    "quota": Denial(Problem.QUOTA_SPENT, "to: more recipients than the account's quota has left"),
    "disabled": Denial(Problem.ACCOUNT_DISABLED, "the account is disabled"),
}

_OUTCOMES: Final = {"not_found": _NO_BATCH, "already_dispatched": _DISPATCHED, "quota": _ADMISSIONS["quota"]}


def settle(stored: NewBatch | AdmissionRefused) -> NewBatch | Denial:
    """Say what ``Desk.send``'s ``done`` got: the batch with its messages, or why the store did not take it."""
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
    """Performs operations. ``on_work`` is called after each commit that may have made work for the links."""

    def __init__(
        self,
        store: Store,
        ids: IdMaker,
        *,
        route_for: RouteFor | None = None,
        notify_of: NotifyOf | None = None,
        on_work: Callable[[], None] | None = None,
    ) -> None:
        self._store = store
        self._notify_of = notify_of
        self._ids = ids
        self._route_for = route_for
        self._on_work = on_work
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
        }

    def send(self, submission: Submission, account: Account, now: int, done: Done) -> Denial | None:
        """Plan and store a batch; ``done`` is called after the commit (P1): read what it gets with ``settle``.

        Returns a Denial where the plan failed; ``done`` is not called then. It gets StoreUnavailable when nothing
        could be stored.
        """
        planned = self._plan(submission, account, now)
        if type(planned) is Denial:
            return planned
        self._store.accept_batch_hot(planned, done)  # type: ignore[arg-type]  # narrowed as in settle
        return None

    def _plan(self, submission: Submission, account: Account, now: int) -> NewBatch | Denial:
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

    async def perform(self, operation: Operation, account: Account, now: int) -> Any:
        """Perform any operation; returns its result (``kvitto.core.operations``) or a Denial. ``now``: ms UTC.

        Raises: DialectError from a Revise's change, StoreUnavailable.
        """
        return await self._perform[type(operation)](operation, account, now)

    async def _send(self, operation: Send, account: Account, now: int) -> NewBatch | Denial:
        planned = self._plan(operation.submission, account, now)
        if isinstance(planned, Denial):
            return planned
        settled = settle(await self._store.accept_batch(planned))
        self.worked()
        return settled

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
