"""The nouns: what a batch, a recipient's message, a part, a callback are, in nobody's dialect.

A dialect reads a request into a ``Submission``; admission makes a ``Batch`` with ``NewMessage``s of it; dispatch gets
``Claimed`` messages; readers get ``Batch`` and ``MessageView``; the callback sender gets ``CallbackDue``.
Instants are ``int`` ms since the epoch, UTC (``_at``). Numbers (MSISDN) are bare digits.

Must not know: HTTP, JSON keys of a vendor, SQL. Next: ``kvitto.core.status`` (the rules), ``kvitto.store.api`` (the
memory).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from kvitto.core.status import Note, Reason, Status, StatusError

__all__ = [
    "Account",
    "Batch",
    "BatchFilter",
    "BatchPage",
    "BatchReport",
    "CallbackDue",
    "CallbackResult",
    "CallbackState",
    "Claimed",
    "Content",
    "ContentKind",
    "MessageFilter",
    "MessagePage",
    "MessageView",
    "NewBatch",
    "NewMessage",
    "Notify",
    "PartKey",
    "ReceiptOutcome",
    "StatusCount",
    "Submission",
]


class Notify(StrEnum):
    """Which status changes of a batch are called back."""

    NONE = "none"
    BATCH_SUMMARY = "batch_summary"  # once, when every message is final; counts alone
    BATCH_FULL = "batch_full"  # the same with recipients
    CHANGES = "changes"  # each recipient, each change
    FINAL = "final"  # each recipient, at its end


class ContentKind(StrEnum):
    """What is sent."""

    TEXT = "text"
    BINARY = "binary"
    MEDIA = "media"


_NOTHING: Final[Mapping[str, Any]] = {}
"""The default of what nobody gave. Safe to share, since a ``Mapping`` cannot be changed."""


class Content(NamedTuple):
    """One text (or octets, or media) for all recipients of a batch.

    ``text`` may hold ``${key}`` placeholders, filled from ``parameters`` {key: {number or "default": value}} as sent.
    ``data``, ``udh``: hex. ``max_parts``: more parts than this abort a recipient. ``encoding`` is chosen at sending.
    """

    kind: ContentKind = ContentKind.TEXT
    text: str = ""
    parameters: Mapping[str, Mapping[str, str]] = _NOTHING
    data: str = ""
    udh: str = ""
    media_url: str = ""
    media_subject: str | None = None
    flash: bool = False
    truncate: bool = False
    max_parts: int | None = None
    source_ton: int | None = None
    source_npi: int | None = None


class Submission(NamedTuple):
    """What a customer asked for, as a dialect read it. ``None``: not said, so the account's or the house's default.

    ``extra``: fields that only the dialect's own views show again (JSON values; the dialect owns the keys).
    ``validity_default_ms``, ``validity_max_ms`` count from ``send_at`` or now: the dialect's rules (docs/status.md 7).
    """

    dialect: str
    sender: str | None
    recipients: tuple[str, ...]
    content: Content
    notify: Notify = Notify.NONE
    callback_url: str | None = None
    client_reference: str | None = None
    send_at: int | None = None
    expire_at: int | None = None
    feedback: bool = False
    validity_default_ms: int = 3 * 86_400_000
    validity_max_ms: int = 3 * 86_400_000
    extra: Mapping[str, Any] = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer: one service plan, one user, one quota. ``None`` settings are unset.

    ``rate``: messages per second, first in first out. ``quota``: messages that may still be sent.
    ``disabled``: authenticated but refused. ``callback_secret``: in clear, for signing only; never shown or logged.
    """

    id: str
    name: str
    service_plan_id: str
    username: str
    disabled: bool = False
    callback_url: str | None = None
    callback_secret: str = ""
    allow_callbacks_to: tuple[str, ...] = ()
    default_from: str | None = None
    allowed_senders: tuple[str, ...] = ()
    blocked_numbers: tuple[str, ...] = ()
    max_parts: int | None = None
    rate: float | None = None
    quota: int | None = None
    timezone: str = "UTC"
    created_at: int = 0


class Batch(NamedTuple):
    """One request's worth of messages, as stored. ``recipients``: as accepted, distinct, in the order sent.

    ``send_at`` is None when nothing was asked or it lay in the past. ``message_count``: messages, one per recipient.
    """

    id: str
    account_id: str
    dialect: str
    sender: str | None
    recipients: tuple[str, ...]
    content: Content
    notify: Notify
    callback_url: str | None
    client_reference: str | None
    created_at: int
    modified_at: int
    send_at: int | None
    expire_at: int
    cancelled_at: int | None
    feedback: bool
    extra: Mapping[str, Any]

    @property
    def message_count(self) -> int:
        """Messages of this batch: one per recipient."""
        return len(self.recipients)


class NewMessage(NamedTuple):
    """One recipient of a new batch. ``text`` only where it differs from the batch's; ``parts`` as they will be sent.

    ``abort``: the message will not be sent, for this reason; it ends when the batch is due.
    """

    id: str
    recipient: str
    parts: int
    text: str | None = None
    abort: Reason | None = None


class NewBatch(NamedTuple):
    """What ``Store.accept_batch`` stores: a batch and its messages; ``route``: the link's name, "" for any."""

    batch: Batch
    messages: list[NewMessage]
    routes: list[str] | str = ""


class PartKey(NamedTuple):
    """Names one part of one message: one ``submit_sm``."""

    message_id: str
    part_no: int


class Claimed(NamedTuple):
    """A message that a link has taken to submit at once: its waiting parts are marked written, durably (R12, P6).

    ``todo``: the part numbers to submit, from 1. ``reference``: for concatenation, the same for all parts of the
    message.
    """

    message_id: str
    account_id: str
    recipient: str
    sender: str
    content: Content
    text: str
    parts: int
    todo: tuple[int, ...]
    expire_at: int
    attempts: int


class ReceiptOutcome(StrEnum):
    """What became of one received receipt; every receipt is stored first."""

    MATCHED = "matched"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    LATE = "late"
    ADOPTED = "adopted"
    PARKED = "parked"
    ORPHAN = "orphan"
    AMBIGUOUS = "ambiguous"
    UNPARSEABLE = "unparseable"


class MessageView(NamedTuple):
    """One recipient's message as readers and callbacks see it: a snapshot, with what its batch knows.

    ``client_reference``, ``kind``, ``max_parts`` are the batch's. Asked with ``first_final``, the store shows the first
    final status where a late correction has replaced it (R45, docs/status.md section 7).
    """

    id: str
    batch_id: str
    account_id: str
    recipient: str
    status: Status
    reason: Reason
    since_at: int
    done_at: int | None
    error: StatusError
    parts: int
    notes: Note
    created_at: int
    client_reference: str | None
    kind: ContentKind
    max_parts: int | None


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many messages share a status, reason and error; ``recipients`` when asked for."""

    status: Status
    reason: Reason
    error: StatusError
    count: int
    recipients: tuple[str, ...] = ()


class BatchReport(NamedTuple):
    """A batch seen from above: its counts. ``visible``: False while it waits for ``send_at``, or was cancelled before
    it.

    ``counts`` carry recipients when the reader asked for them.
    """

    batch_id: str
    account_id: str
    message_count: int
    client_reference: str | None
    kind: ContentKind
    visible: bool
    counts: tuple[StatusCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which final messages a list shows; instants compare with ``since_at`` (from inclusive, to exclusive).

    ``shows``: a dialect's own choice among (status, reason, error), asked once for each combination that exists;
    None: all.
    ``first_final``: judge and show by the first final status (R45).
    """

    from_at: int | None = None
    to_at: int | None = None
    client_reference: str | None = None
    shows: Callable[[Status, Reason, StatusError], bool] | None = None
    first_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Which batches a list shows, by ``created_at`` (from inclusive, to exclusive), sender and reference."""

    from_at: int | None = None
    to_at: int | None = None
    senders: tuple[str, ...] = ()
    client_reference: str | None = None


class MessagePage(NamedTuple):
    """One page of messages with the total that the filter finds, newest first."""

    total: int
    messages: list[MessageView]


class BatchPage(NamedTuple):
    """One page of batches with the total that the filter finds, newest first."""

    total: int
    batches: list[Batch]


class CallbackState(StrEnum):
    """Where one callback stands."""

    PENDING = "pending"
    DONE = "done"
    GIVEN_UP = "given_up"


class CallbackDue(NamedTuple):
    """One callback to post now: ``facts`` are frozen at the change that caused it.

    ``full``: a batch report is to show its recipients. ``attempts``: made so far. ``first_failed_at``: None until one
    failed.
    """

    id: int
    account_id: str
    dialect: str
    url: str
    facts: MessageView | BatchReport
    full: bool
    attempts: int
    created_at: int
    first_failed_at: int | None


class CallbackResult(NamedTuple):
    """What one attempt came to. ``next_attempt_at`` is None when the callback is finished, well or not."""

    id: int
    state: CallbackState
    attempted_at: int
    next_attempt_at: int | None
    first_failed_at: int | None
    status_code: int | None
    error: str | None
    elapsed_ms: int
