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

from kvitto.core.status import FINAL, Note, Reason, Status, StatusError

__all__ = [
    "NOTICES",
    "Account",
    "Attempt",
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
    "DeliveryWindow",
    "Feed",
    "FeedFilter",
    "FeedPage",
    "FrozenAnswer",
    "LogFilter",
    "LogPage",
    "MessageFilter",
    "MessagePage",
    "MessageView",
    "NewBatch",
    "NewMessage",
    "Notify",
    "Once",
    "OperatorEvent",
    "Own",
    "PartKey",
    "ReceiptOutcome",
    "Schedule",
    "ScheduleState",
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
    ATTEMPTS = "attempts"  # each recipient, each change, and each failed attempt that the SMSC reports


class Feed(StrEnum):
    """How a message stands to its account's one-time feed of reports (docs/status.md 8)."""

    OTHER = "other"  # sent in a dialect that has no feed
    OWN = "own"  # sent in the dialect of the feed
    PUSHED = "pushed"  # its reports are called back; one that was given up enters the feed
    NEVER = "never"  # the customer wants no report of it


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


class DeliveryWindow(NamedTuple):
    """When messages may leave, in UTC: on ``days`` 0 (Monday) to 6, from ``from_minute`` of the day to ``to_minute``.

    A window that ends before it begins reaches over midnight and belongs to the day on which it began.
    """

    days: tuple[int, ...]
    from_minute: int = 0
    to_minute: int = 1440


class Submission(NamedTuple):
    """What a customer asked for, as a dialect read it. ``None``: not said, so the account's or the house's default.

    ``extra``: fields that only the dialect's own views show again (JSON values; the dialect owns the keys).
    ``validity_default_ms``, ``validity_max_ms`` count from ``send_at`` or now: the dialect's rules (docs/status.md 7).
    ``notify`` None: the customer said nothing. ``client_id``: the customer's own name of the batch; ``client_ids``: of
    its messages, one for each recipient or empty. ``spacing_ms``: at least so long between two messages.
    ``more``: further texts of the same request, each with its own recipients; they become messages of the same batch,
    and of each only what ``Own`` has counts. A recipient that occurs twice is two messages.
    """

    dialect: str
    sender: str | None
    recipients: tuple[str, ...]
    content: Content
    notify: Notify | None = None
    callback_url: str | None = None
    client_reference: str | None = None
    send_at: int | None = None
    expire_at: int | None = None
    feedback: bool = False
    validity_default_ms: int = 3 * 86_400_000
    validity_max_ms: int = 3 * 86_400_000
    extra: Mapping[str, Any] = _NOTHING
    client_id: str | None = None
    client_ids: tuple[str | None, ...] = ()
    feed: Feed = Feed.OTHER
    window: DeliveryWindow | None = None
    spacing_ms: float | None = None
    more: "tuple[Submission, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer: one service plan, one user, one quota. ``None`` settings are unset.

    ``rate``: messages per second, first in first out. ``quota``: messages that may still be sent.
    ``retention_days``: how long finished batches are kept.
    ``disabled``: authenticated but refused. ``callback_secret``: in clear, for signing only; never shown or logged.
    ``callback_dialect``: in whose words callbacks are told; None: those of the dialect the batch was sent in.
    ``final_only``, ``late_corrections`` (None: the dialect's own choice): which changes are told; of them, where
    ``callback_statuses`` is not empty, those that came to one of these.
    ``incoming_url``: where incoming messages are to go; kept, and not posted to yet (docs/dialects/ninebits.md 7).
    ``ack``: what acknowledges a callback in a dialect that asks for a body: "body", or "http" for any 2xx.
    ``feed``: which ended messages enter the one-time feed, "all", "unpushed" or "infobip_only" (docs/status.md 8).
    ``old_callback_secret``: signs too until ``old_secret_until`` (ms UTC), after a rotation (P18).
    ``events_url``: where its owner is told of endpoints that fail and the like (docs/callbacks.md 8).
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
    retention_days: int | None = None
    created_at: int = 0
    callback_dialect: str | None = None
    final_only: bool = False
    late_corrections: bool | None = None
    ack: str = "body"
    feed: str = "unpushed"
    old_callback_secret: str | None = None
    old_secret_until: int | None = None
    callback_statuses: tuple[Status, ...] = ()
    incoming_url: str | None = None
    events_url: str | None = None

    def wants(self, facts: "MessageView | BatchReport | OperatorEvent") -> bool:
        """Whether its ``callback_statuses`` name what is to be told; the end of a whole batch has no one status."""
        chosen = self.callback_statuses
        return not chosen or not isinstance(facts, MessageView) or facts.status in chosen

    @property
    def hears_of_ends(self) -> bool:
        """Whether any end is among its ``callback_statuses``; else a change is told though its message has ended."""
        return not self.callback_statuses or not FINAL.isdisjoint(self.callback_statuses)


class Batch(NamedTuple):
    """One request's worth of messages, as stored. ``recipients``: as accepted, one for each message, in the order sent.

    ``send_at`` is None when nothing was asked or it lay in the past. ``message_count``: messages, one per recipient.
    ``client_id``: as the customer named it. ``paused_at``: None unless the customer holds it back.
    ``callback_dialect``: in whose words its callbacks are told, None for ``dialect``; decided at admission.
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
    client_id: str | None = None
    feed: Feed = Feed.OTHER
    window: DeliveryWindow | None = None
    paused_at: int | None = None
    callback_dialect: str | None = None

    @property
    def message_count(self) -> int:
        """Messages of this batch: one per recipient."""
        return len(self.recipients)


class NewMessage(NamedTuple):
    """One recipient of a new batch. ``text`` only where it differs from the batch's; ``parts`` as they will be sent.

    ``abort``: the message will not be sent, for this reason; it ends when the batch is due. ``client_id``: as the
    customer named it. ``own``: what it has in place of its batch's; None for all messages of a batch with one text.
    """

    id: str
    recipient: str
    parts: int
    text: str | None = None
    abort: Reason | None = None
    client_id: str | None = None
    own: "Own | None" = None


class Own(NamedTuple):
    """What the messages of a further text have in place of their batch's (``Submission.more``)."""

    sender: str | None
    content: Content
    notify: Notify
    callback_url: str | None
    client_reference: str | None
    send_at: int | None
    expire_at: int
    extra: Mapping[str, Any]
    feed: Feed
    window: DeliveryWindow | None


class NewBatch(NamedTuple):
    """What ``Store.accept_batch`` stores and returns: a batch and its messages.

    ``routes``: the link's name, "" for any; one for all, or one for each message. ``spacing_ms``: at least so long
    between two messages. ``refused``: in what comes back, the ``client_id``s of messages that were not stored, because
    the account had used the id before, or another message of the request has it (that one stands in ``messages``).
    ``messages`` are then those that were stored. ``apart``: messages have ids or texts of their own.
    """

    batch: Batch
    messages: list[NewMessage]
    routes: list[str] | str = ""
    spacing_ms: float | None = None
    refused: frozenset[str] = frozenset()
    apart: bool = False
    once: "Once | None" = None


class FrozenAnswer(NamedTuple):
    """An HTTP answer as it was given the first time, to be given again (P7)."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...]


class Once(NamedTuple):
    """The customer's word that this request is one and the same whenever it comes with this ``key`` (P7).

    ``fingerprint``: of all that was asked; another one under the same key is another request. ``freeze``: renders the
    answer to what was stored, in the transaction that stores it; pure.
    """

    key: str
    fingerprint: str
    freeze: "Callable[[NewBatch], FrozenAnswer]"


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
    ASSIGNED = "assigned"  # an operator said whose it is (R34)


class MessageView(NamedTuple):
    """One recipient's message as readers and callbacks see it: a snapshot, with what its batch knows.

    ``client_reference``, ``kind``, ``max_parts`` are the batch's. Asked with ``first_final``, the store shows the first
    final status where a late correction has replaced it (R45, docs/status.md section 7).
    ``dialect``: it was sent in. ``client_id``, ``batch_client_id``: as the customer named message and batch.
    ``sent_at``: when it was planned to leave: ``send_at``, else ``created_at``. ``smsc_message_id``: of the part that
    decided its status (R38), else of part 1, as sent by the SMSC; "" for none. ``link``: that took this part, "" for
    none. ``text``: as sent; only in logs, else None. ``extra``: of its batch or its own, the dialect's.
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
    dialect: str = ""
    sender: str | None = None
    client_id: str | None = None
    batch_client_id: str | None = None
    sent_at: int = 0
    smsc_message_id: str = ""
    link: str = ""
    text: str | None = None
    extra: Mapping[str, Any] = _NOTHING


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFilter:
    """Which unread reports a reader of the one-time feed wants; ids are the customer's own or ours.

    ``keeps``: a dialect's further choice, asked for each report; those it does not keep stay unread. ``first_final``:
    show each at its first end (R45). ``ended_from``: only what ended then or later (ms UTC).
    """

    batch_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    keeps: "Callable[[MessageView], bool] | None" = None
    first_final: bool = False
    ended_from: int | None = None


class FeedPage(NamedTuple):
    """Unread reports, newest first. ``handing``: names what was taken, to be confirmed once the answer is written, or
    put back; None when nothing was taken (P16).
    """

    messages: "list[MessageView]"
    handing: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """Which messages a log shows, final or not; ids are the customer's own or ours; instants compare with ``sent_at``,
    both inclusive. ``shows``, ``first_final``: as in ``MessageFilter``; ``statuses``: all that ``shows`` can show, None
    for any: these alone are read. ``keeps``: a dialect's further choice, asked for each message.
    """

    sender: str | None = None
    recipient: str | None = None
    batch_ids: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    from_at: int | None = None
    until_at: int | None = None
    statuses: tuple[Status, ...] | None = None
    shows: Callable[[Status, Reason, StatusError], bool] | None = None
    keeps: "Callable[[MessageView], bool] | None" = None
    first_final: bool = False


class LogPage(NamedTuple):
    """A page of a log, newest first; ``cursor``: where the next begins, None at the end."""

    messages: "list[MessageView]"
    cursor: str | None = None


class ScheduleState(StrEnum):
    """Where a scheduled batch stands."""

    PENDING = "pending"  # waits for its time
    PAUSED = "paused"  # held back by the customer
    PROCESSING = "processing"  # some of it has left
    CANCELLED = "cancelled"
    FINISHED = "finished"  # every message is final
    FAILED = "failed"  # every message was aborted


class Schedule(NamedTuple):
    """When a batch is to leave, and where it stands."""

    batch_id: str
    client_id: str | None
    send_at: int
    state: ScheduleState


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


class Attempt(NamedTuple):
    """One try of a callback. ``status_code`` None: no answer came, and ``error`` says why in plain words (else None).

    ``headers``: as sent, secrets and signatures masked; empty where only the callback's own row tells of the try.
    ``body_hash``: SHA-256 of the request's body, hex; ``body``: the octets as text. ``answer``: its first 4 KiB.
    """

    at: int
    status_code: int | None
    error: str | None
    elapsed_ms: int
    headers: tuple[tuple[str, str], ...] = ()
    body_hash: str = ""
    body: str = ""
    answer: str = ""


NOTICES: Final = "kvitto"
"""Stands in the place of a dialect with callbacks that tell operator events."""


class OperatorEvent(NamedTuple):
    """Something that the operator, and the account's owner, should know. ``kind``: "endpoint.open" and the like.

    ``subject``: what it is about, an endpoint's public id or the account's name; ``detail``: in plain words; names no
    subscriber.
    """

    id: int
    at: int
    account_id: str | None
    kind: str
    subject: str
    detail: str


class CallbackDue(NamedTuple):
    """One callback to post now: ``facts`` are frozen at the change that caused it.

    Of a message, a batch that has ended, or something that the account's owner should know.

    ``full``: a batch report is to show its recipients. ``attempts``: made so far. ``first_failed_at``: when the first
    of those that failed was begun, None until one failed. ``overtaken``: the message has ended since; ``outrun``: a
    later change of it has been told already (P15). ``bundle``: those with the same number were tried in one call, and
    will be again. ``endpoint``: its number (``kvitto.core.endpoint``). ``again``: somebody asked for it, by a resend or
    a replay: it is told whatever was told since, and neither ``overtaken`` nor ``outrun``.
    """

    id: int
    account_id: str
    dialect: str
    url: str
    facts: MessageView | BatchReport | OperatorEvent
    full: bool
    attempts: int
    created_at: int
    first_failed_at: int | None
    overtaken: bool = False
    bundle: int | None = None
    endpoint: int = 0
    outrun: bool = False
    again: bool = False


class CallbackResult(NamedTuple):
    """What one attempt came to. ``next_attempt_at`` is None when the callback is finished, well or not.

    ``counts``: False where no attempt was made, or it was only put off. ``bundle``: of those that shared the call.
    ``attempt``: what is kept of it, where the callback's own row does not tell enough: it failed, or others went before
    it (P14).
    """

    id: int
    state: CallbackState
    attempted_at: int
    next_attempt_at: int | None
    first_failed_at: int | None
    status_code: int | None
    error: str | None
    elapsed_ms: int
    counts: bool = True
    bundle: int | None = None
    attempt: "Attempt | None" = None
