"""What a customer can ask of the house, in nobody's dialect: one value per operation.

A dialect reads a request into one of these; ``intake`` performs it; the dialect writes the result. The result type of
each operation stands in its docstring. An operation always concerns one account: another account's things do not exist.

Must not know: HTTP, vendors' words, the store. Next: ``kvitto.dialects.base``, ``kvitto.intake.desk``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kvitto.core.model import Batch, BatchFilter, FeedFilter, LogFilter, MessageFilter, ScheduleState, Submission
from kvitto.core.status import Reason, Status, StatusError

__all__ = [
    "Cancel",
    "CloseSession",
    "DryRun",
    "DryRunRecipient",
    "DryRunResult",
    "FetchBatch",
    "FetchBatchReport",
    "FetchRecipientReport",
    "FetchSchedule",
    "ListBatchMessages",
    "ListBatches",
    "ListLog",
    "ListReports",
    "OpenSession",
    "Operation",
    "RecordFeedback",
    "Reschedule",
    "Revise",
    "Send",
    "Session",
    "TakeReports",
]


class Send(NamedTuple):
    """Accept a batch. Result: ``NewBatch``. ``shows``: what the dialect's ``write`` wants to know again."""

    submission: Submission
    shows: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """Count what a batch would be, storing nothing; ``limit`` caps the recipients listed. Result: ``DryRunResult``."""

    submission: Submission
    per_recipient: bool
    limit: int


class DryRunRecipient(NamedTuple):
    """One recipient of a dry run: its text with parameters filled in; ``unicode``: it does not fit GSM 03.38."""

    recipient: str
    parts: int
    text: str
    unicode: bool


class DryRunResult(NamedTuple):
    """Counts over all recipients, whatever the cap; ``recipients`` None unless asked for."""

    recipient_count: int
    part_count: int
    recipients: tuple[DryRunRecipient, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBatch:
    """Result: ``Batch``."""

    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBatches:
    """Newest first; ``page`` from 0. Result: ``BatchPage``."""

    filter: BatchFilter
    page: int
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revise:
    """Change or replace a batch of which nothing has been dispatched yet.

    ``change`` says what it should be, seen from what it is; it may raise the dialect's own refusals. Result: ``Batch``.
    """

    batch_id: str
    change: Callable[[Batch], Submission]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Stop what has not been taken by the SMSC; legal at any time, any number of times. Result: ``Batch``."""

    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFeedback:
    """The customer says these messages arrived; no recipients: all did. Result: None."""

    batch_id: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBatchReport:
    """Counts of a batch by status, with recipients if asked. Result: ``BatchReport``, unfiltered.

    ``shows``: which of the counts the dialect's own answer will show; for its ``write`` alone.
    """

    batch_id: str
    recipients: bool
    first_final: bool
    shows: Callable[[Status, Reason, StatusError], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRecipientReport:
    """The newest message of the batch to this number. Result: ``MessageView``."""

    batch_id: str
    recipient: str
    first_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReports:
    """Finished messages, newest first; ``page`` from 0. Result: ``MessagePage``."""

    filter: MessageFilter
    page: int
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListBatchMessages:
    """The messages of a batch in the order sent, final or not, as they stand; ``page`` from 0. Result: ``MessagePage``.

    ``batch_id``: ours. ``recipient``: only those to this number. ``shows``, ``first_final``: as in ``MessageFilter``.
    ``told``: what the dialect's ``write`` wants to know again.
    """

    batch_id: str
    recipient: str | None
    shows: Callable[[Status, Reason, StatusError], bool] | None
    page: int
    page_size: int
    first_final: bool = False
    told: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeReports:
    """Take unread reports out of the account's one-time feed, newest first; ``peek``: leave them unread.

    Result: ``FeedPage``. What was taken is gone for good once the answer has been written (P16). ``shows``: as in
    ``Send``.
    """

    filter: FeedFilter
    limit: int
    peek: bool = False
    shows: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLog:
    """What became of messages, newest first; takes nothing out of the feed. Result: ``LogPage``.

    ``cursor``: of the page before; one that was not handed out is refused as INVALID_CURSOR.
    """

    filter: LogFilter
    limit: int
    cursor: str | None = None
    shows: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSchedule:
    """When a scheduled batch leaves, and where it stands. ``batch_id``: ours or the customer's own.

    Result: ``Schedule``; a batch that was never scheduled is not found. ``shows``: as in ``Send``.
    """

    batch_id: str
    shows: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reschedule:
    """Move a scheduled batch, or pause (PAUSED), resume (PENDING) or cancel (CANCELLED) it. Result: ``Schedule``.

    ``batch_id``: ours or the customer's own. ``send_at``, ``state``: None for what stays. What has left is not called
    back: ALREADY_DISPATCHED. ``shows``: as in ``Send``.
    """

    batch_id: str
    send_at: int | None = None
    state: ScheduleState | None = None
    shows: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Exchange an account's user name and password for a token that lives ``lifetime_s``. Result: ``Session``.

    The one operation of a caller who is not known yet; wrong credentials are UNAUTHORIZED.
    """

    username: str
    password: str
    lifetime_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSession:
    """End the session that ``token`` opened; any other token stays as it is. Result: None."""

    token: str


class Session(NamedTuple):
    """A token as good as the account's own, until ``expires_at``."""

    token: str
    expires_at: int


Operation = (
    Send
    | DryRun
    | FetchBatch
    | ListBatches
    | Revise
    | Cancel
    | RecordFeedback
    | FetchBatchReport
    | FetchRecipientReport
    | ListReports
    | ListBatchMessages
    | TakeReports
    | ListLog
    | FetchSchedule
    | Reschedule
    | OpenSession
    | CloseSession
)
