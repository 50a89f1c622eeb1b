"""What a customer can ask of the house, in nobody's dialect: one value per operation.

A dialect reads a request into one of these; ``intake`` performs it; the dialect writes the result. The result type of
each operation stands in its docstring. An operation always concerns one account: another account's things do not exist.

Must not know: HTTP, vendors' words, the store. Next: ``kvitto.dialects.base``, ``kvitto.intake.desk``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kvitto.core.model import Batch, BatchFilter, MessageFilter, Submission
from kvitto.core.status import Reason, Status, StatusError

__all__ = [
    "Cancel",
    "DryRun",
    "DryRunRecipient",
    "DryRunResult",
    "FetchBatch",
    "FetchBatchReport",
    "FetchRecipientReport",
    "ListBatches",
    "ListReports",
    "Operation",
    "RecordFeedback",
    "Revise",
    "Send",
]


class Send(NamedTuple):
    """Accept a batch. Result: ``Batch``."""

    submission: Submission


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
)
