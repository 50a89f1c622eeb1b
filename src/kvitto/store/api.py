"""The memory of the house: the verbs that the other rooms may use, and what each guarantees.

One verb, one transaction: its future resolves after the commit (fsync included), or fails with ``StoreUnavailable``
(disk full, database away: nothing was stored, try again). Many waiting verbs share one transaction
(``store.commits``); that
changes nothing of what a caller sees. Verbs may be called from the event loop only; they return at once.

Reads run beside the writers on connections of their own and see what was committed before they began.

SQLite and PostgreSQL carry the same verbs and pass the same tests (``tests/conformance``). Must not know: HTTP, PDUs,
vendors. Next: ``kvitto.store.schema`` (the tables), ``kvitto.store.verbs`` (what each verb does).
"""

from asyncio import Future
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from kvitto.core.model import (
    Account,
    Batch,
    BatchFilter,
    BatchPage,
    BatchReport,
    Claimed,
    FeedFilter,
    FeedPage,
    FrozenAnswer,
    LogFilter,
    LogPage,
    MessageFilter,
    MessagePage,
    MessageView,
    NewBatch,
    PartKey,
    ReceiptOutcome,
    Schedule,
    ScheduleState,
)
from kvitto.core.receipt import LinkRules, Receipt
from kvitto.core.status import Reason, Status, StatusError
from kvitto.core.users import AuditEntry
from kvitto.store.callbackapi import CallbackStore, CallbackTaker

__all__ = [
    "MOST_QUEUES",
    "ORPHANS",
    "AdmissionRefused",
    "Assigned",
    "BatchOutcome",
    "CallbackTaker",
    "Cleaned",
    "InDoubtPart",
    "IncomingMessage",
    "LinkCount",
    "LinkState",
    "NewAccount",
    "QueryDue",
    "ReceiptResult",
    "ReceivedReceipt",
    "ScheduleOutcome",
    "Store",
    "StoredReceipt",
    "SubmitAnswer",
    "SubmitFate",
    "TraceEntry",
]

MOST_QUEUES: Final = 32
"""Accounts in one claim of messages: each costs some look-ups, and the next claim goes on with the others."""


class AdmissionRefused(NamedTuple):
    """A batch that was not stored, for a reason found in the transaction: ``quota`` spent, ``key_reused`` (P7), or the
    account is gone.
    """

    reason: str


class BatchOutcome(NamedTuple):
    """The result of changing a stored batch: the batch as it now is; None with the word why not.

    ``problem``: "not_found", "already_dispatched", "changed" (somebody else changed it since it was read), "quota" (it
    would have more recipients than the account may still add), or "".
    """

    batch: Batch | None
    problem: str = ""


class ScheduleOutcome(NamedTuple):
    """The result of moving a scheduled batch: where it now stands; None with the word why not.

    ``problem``: "not_found" (unknown, or never scheduled), "already_dispatched" (some of it has left, or it is over),
    or "".
    """

    schedule: Schedule | None
    problem: str = ""


class NewAccount(NamedTuple):
    """An account to create, its secrets as stored: ``token_hash``, ``password_hash`` are SHA-256 in hex."""

    account: Account
    token_hash: str
    password_hash: str


class SubmitFate(NamedTuple):
    """What a link did not manage with a claimed part: ``in_doubt`` if it may have been written, else it goes back to
    the queue.
    """

    key: PartKey
    in_doubt: bool


class SubmitAnswer(NamedTuple):
    """A ``submit_sm_resp`` (or ``generic_nack``) for one part.

    ``temporary``: to be submitted again at ``retry_at`` (ms UTC; R11); ``smsc_message_id``: as sent, never changed
    (R27).
    """

    key: PartKey
    at: int
    command_status: int
    smsc_message_id: str
    temporary: bool = False
    retry_at: int = 0
    late: bool = False


class ReceivedReceipt(NamedTuple):
    """A receipt as read, to be kept and matched. ``receipt`` None: flagged as a receipt, but without any id.

    ``raw``: the whole PDU, hex. ``rules``: the link's. ``at``: ms UTC.
    """

    link: str
    group: str
    at: int
    raw: str
    receipt: Receipt | None
    rules: LinkRules


class ReceiptResult(NamedTuple):
    """What became of one receipt."""

    outcome: ReceiptOutcome
    level: int | None
    message_id: str | None


ORPHANS: Final = (ReceiptOutcome.ORPHAN, ReceiptOutcome.AMBIGUOUS, ReceiptOutcome.UNPARSEABLE)
"""Receipts that wait for nothing but an operator (R34): nothing matched while parked, several did (R35), no id."""


class QueryDue(NamedTuple):
    """A part to ask its SMSC for (R52). ``sender`` with type and plan: as it was submitted, which SMSCs compare."""

    key: PartKey
    group: str
    smsc_message_id: str
    recipient: str
    sender: str
    source_ton: int | None
    source_npi: int | None


class StoredReceipt(NamedTuple):
    """A kept receipt as an operator sees it.

    ``raw``: the whole PDU, hex. ``receipt``: what was read of it (its own ``raw`` left empty), kept as long as it has
    no message; None for an unreadable one. ``assigned_at``: when an operator said whose it is.
    """

    id: int
    link: str
    group: str
    received_at: int
    outcome: ReceiptOutcome
    level: int | None
    message_id: str | None
    part_no: int | None
    tries: int
    next_try_at: int | None
    assigned_at: int | None
    raw: str
    receipt: Receipt | None

    @property
    def reason(self) -> str:
        """Why it has no message: "no_match", "ambiguous" (R35), "unreadable", "waiting" (parked); "" if it has one."""
        return _WHY_NO_MESSAGE.get(self.outcome, "")


_WHY_NO_MESSAGE: Final[Mapping[ReceiptOutcome, str]] = {
    ReceiptOutcome.ORPHAN: "no_match",
    ReceiptOutcome.AMBIGUOUS: "ambiguous",
    ReceiptOutcome.UNPARSEABLE: "unreadable",
    ReceiptOutcome.PARKED: "waiting",
}


class Assigned(NamedTuple):
    """What became of an operator's assignment (R34): ``problem`` "" and what it did, or the word why it cannot be.

    ``effect``: MATCHED, LATE, CONFLICT; DUPLICATE also where the same was assigned before, which changes nothing.
    ``problem``: "no_such_receipt"; "already_matched" (to another message or part); "no_such_message"; "no_such_part";
    "which_part" (several could be meant); "not_sent" (the part was never written to a link); "other_group" (the part
    went to another group, R31); "no_state" (nothing could be read: say the ``status``); "has_state" (it says one).
    """

    message_id: str | None
    part_no: int | None
    effect: ReceiptOutcome | None
    problem: str = ""


class LinkCount(NamedTuple):
    """One counter of R54, over all nodes, since the database was made. ``name``: ``kvitto.store.verbs.counting``."""

    link: str
    group: str
    name: str
    value: int


class LinkState(NamedTuple):
    """One link as the process that runs it last saw it; ``node`` is filled in by the store.

    ``window``: submits that may be in flight, over all binds. ``rate``: parts a second at present, 0 for no limit.
    ``at``: when this was so (ms UTC); a process that has ended leaves its last word behind.
    """

    link: str
    group: str
    binds_up: int
    binds_wanted: int
    window: int
    in_flight: int
    rate: float
    paused_until_at: int | None
    last_error: str | None
    at: int
    node: str = ""


class Cleaned(NamedTuple):
    """One step of cleaning: receipts, callbacks, messages and batches removed; whether nothing old is left."""

    removed: int
    over: bool


class IncomingMessage(NamedTuple):
    """A ``deliver_sm`` or ``data_sm`` that is no receipt (an MO message); ``raw``: the whole PDU, hex."""

    link: str
    at: int
    source: str
    destination: str
    text: str
    raw: str


class InDoubtPart(NamedTuple):
    """A part that was written (or about to be) when its link or process died, unanswered and not adopted (R12)."""

    message_id: str
    part_no: int
    account: str
    batch_id: str
    recipient: str
    link: str
    written_at: int


class TraceEntry(NamedTuple):
    """One line of a message's story. ``raw``: the PDU as hex for receipts, else ""; ``to``: the number on the line of
    the admission, else "".
    """

    at: int
    kind: str
    message_id: str
    text: str
    raw: str = ""
    to: str = ""


class Store(CallbackStore, Protocol):
    """What the house remembers, in the house's words; of callbacks and endpoints: ``kvitto.store.callbackapi``."""

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the database and take back what this node had claimed when it died: written parts become in doubt (R12),
        callbacks become due. The schema must be there (``kvitto.store.migrations``).
        """

    async def stop(self) -> None:
        """Finish the waiting verbs, close. Bears being called twice."""

    async def check(self) -> None:
        """Write and read one row; raises ``StoreUnavailable``."""

    # --- accounts (docs/configuration.md)
    # ------------------------------------------------------------------------------

    def create_account(self, new: NewAccount) -> "Future[bool]":
        """Store an account; False if the name is taken."""

    def set_account(
        self, name: str, changes: dict[str, object], audit: AuditEntry | None = None
    ) -> "Future[Account | None]":
        """Change settings (columns of ``account``) and ``disabled``; a new ``rate`` re-spaces what waits, another
        ``callback_url`` moves what waits for the one before (``CallbackStore.step_moves``). None: no such account.
        """

    def delete_account(self, name: str) -> "Future[bool]":
        """Forget the account's credentials and settings; its messages stay until retention ends."""

    def rotate_token(self, name: str, token_hash: str) -> "Future[bool]":
        """Replace every token of the account by this one."""

    def open_session(self, account_id: str, token_hash: str, now: int, expires_at: int) -> "Future[None]":
        """Store a further token of the account, good until ``expires_at``; tokens that are over are forgotten."""

    def close_session(self, account_id: str, token_hash: str) -> "Future[None]":
        """Forget a token of the account that ``open_session`` stored; one without an end is left alone."""

    async def find_account(
        self,
        *,
        token_hash: str | None = None,
        username: str | None = None,
        name: str | None = None,
        id: str | None = None,
    ) -> tuple[Account, str] | None:
        """Return an account and its password hash, by exactly one of the keys; a token that is over finds none."""

    async def list_accounts(self) -> list[Account]:
        """All accounts, by name."""

    # --- admission
    # -----------------------------------------------------------------------------------------------------

    def accept_batch_hot(self, new: NewBatch, done: Callable[[Any, BaseException | None], None]) -> None:
        """As ``accept_batch``; ``done`` is called straight after the commit with its result, or None and the error."""

    def accept_batch(self, new: NewBatch) -> "Future[NewBatch | AdmissionRefused | FrozenAnswer]":
        """Store a batch and its messages: all or nothing (P1). Rate and quota of the account are applied in the same
        transaction.

        Messages whose ``client_id`` the account has used before are left out, and told in ``refused``; with none left
        nothing is stored. With ``once``, the answer it freezes is stored too; a batch whose key is known is not stored
        but answered with what was frozen, or refused as "key_reused" when something else is asked (P7).
        """

    def replace_batch(self, new: NewBatch, expected_modified_at: int) -> "Future[BatchOutcome]":
        """Put a new content and new messages in the place of a batch's, if nothing of it has been dispatched."""

    def cancel_batch(self, account_id: str, batch_id: str, now: int) -> "Future[BatchOutcome]":
        """Cancel every message that no link has taken; set ``cancelled_at`` (the first time). Callbacks in the same
        transaction.
        """

    def reschedule(
        self, account_id: str, batch_id: str, send_at: int | None, state: ScheduleState | None, now: int
    ) -> "Future[ScheduleOutcome]":
        """Move a scheduled batch of which nothing has left; pause (PAUSED), resume (PENDING) or cancel (CANCELLED) it.

        ``batch_id``: ours or the customer's own; of several with one name, the newest.
        """

    def record_feedback(self, account_id: str, batch_id: str, recipients: Sequence[str], now: int) -> "Future[bool]":
        """Keep what the customer says arrived; False if there is no such batch or it has no feedback enabled."""

    # --- dispatch
    # ------------------------------------------------------------------------------------------------------

    def claim_messages(self, link: str, parts: int, now: int) -> "Future[list[Claimed]]":
        """Take due messages that this link may carry, up to ``parts`` parts: of each account in turn, oldest due first
        within one (P29). Their parts are marked written (durably) before this resolves, so that a crash leaves them in
        doubt, never sent twice (P6).
        """

    def record_answers(self, link: str, group: str, answers: Sequence[SubmitAnswer]) -> "Future[None]":
        """Store answers of the SMSC: ids, statuses, events, callbacks; parked receipts of the group that now match are
        applied too (R33).
        """

    def record_fates(self, fates: Sequence[SubmitFate], now: int) -> "Future[None]":
        """Parts that were claimed and not answered: back to the queue, or in doubt."""

    def record_receipts(self, receipts: Sequence[ReceivedReceipt]) -> "Future[list[ReceiptResult]]":
        """Keep, match, apply, park; results in order. Only after this may ``deliver_sm_resp`` say 0 (R8, P2)."""

    def record_incoming(self, messages: Sequence[IncomingMessage]) -> "Future[None]":
        """Keep MO messages."""

    def retry_parked(self, rules: Mapping[str, LinkRules], now: int) -> "Future[int]":
        """Try due parked receipts again, adopt, give up parking (R33); returns how many were looked at.

        ``rules``: by link name; a link that is gone has the rules by which it parked.
        """

    async def list_receipts(
        self,
        outcomes: Sequence[ReceiptOutcome] = ORPHANS,
        *,
        group: str | None = None,
        since_at: int | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[StoredReceipt]:
        """Kept receipts with these outcomes, newest first; go on with the last one's id as ``before_id`` (R34)."""

    async def fetch_receipt(self, receipt_id: int) -> StoredReceipt | None:
        """One kept receipt."""

    def assign_receipt(
        self,
        receipt_id: int,
        message_id: str,
        part_no: int | None,
        now: int,
        *,
        status: Status | None = None,
        audit: AuditEntry | None = None,
    ) -> "Future[Assigned]":
        """An operator says whose a parked, orphaned, ambiguous or unreadable receipt is (R34); as if it had matched.

        ``part_no`` None: the only part, or the only one of the receipt's group that has no final receipt. ``status``:
        what an unreadable receipt says, as the operator reads it: DELIVERED, FAILED, EXPIRED, DELETED or REJECTED.
        """

    def end_overdue(self, rules: Mapping[str, LinkRules], now: int, limit: int) -> "Future[int]":
        """Apply what time alone decides: aborts that fall due, validity over, receipt wait over (R44, R58, P5)."""

    def claim_queries(self, link: str, rules: LinkRules, now: int, limit: int) -> "Future[list[QueryDue]]":
        """Parts of this link whose wait for a receipt ends within ``rules.query_before_s``; each is given once, and
        that is stored before this resolves (R52).
        """

    def resend_in_doubt(self, keys: Sequence[PartKey], now: int, audit: AuditEntry | None = None) -> "Future[int]":
        """An operator (or ``resend_in_doubt``) sends parts in doubt again: back to the queue."""

    def end_in_doubt(self, keys: Sequence[PartKey], now: int, audit: AuditEntry | None = None) -> "Future[int]":
        """An operator ends messages whose parts are in doubt: UNKNOWN, ``not_acknowledged``."""

    def set_groups(self, groups: Mapping[str, str]) -> None:
        """From now on these links (by name) claim for these groups (R30); a link that is not named is its own group."""

    def reroute_messages(
        self, links: Collection[str], route_for: Callable[[str, str], str | None], limit: int
    ) -> "Future[int]":
        """Give queued messages of links that are not among ``links`` to those that ``route_for`` (number, account's
        name) names ("" for any); where it says None, what was never written ends as ABORTED ``no_route`` when it falls
        due. Returns how many were changed: below ``limit``, none is left.
        """

    async def next_due_at(self, link: str) -> int | None:
        """When the next message that this link may carry falls due (ms UTC), None if there is none."""

    def record_link_states(self, states: Sequence[LinkState]) -> "Future[None]":
        """Put these in the place of all that this node has said of its links."""

    async def list_link_states(self) -> list[LinkState]:
        """The links of every node, by link and node."""

    async def count_links(self) -> list[LinkCount]:
        """The counters of every link and group (R54), by link, group and name."""

    def clean(self, rules: Mapping[str, LinkRules], retention_days: int, now: int, limit: int) -> "Future[Cleaned]":
        """Remove a little of what is too old (R51), at most ``limit`` rows of each kind, so that no commit waits long.

        Receipts and incoming messages after ``raw_keep_s``; finished batches and their callbacks after the account's
        retention, else ``retention_days``, and never before any link's ``map_keep_s``, nor before 7 days.
        """

    # --- the one-time feed -----------------------------------------------------------------------------------------

    async def take_reports(self, account_id: str, filter: FeedFilter, limit: int, now: int) -> FeedPage:
        """Take up to ``limit`` unread reports, newest first: no other reader gets them. They are gone for good once
        ``confirm_reports`` was told of the page's ``handing``; they are unread again after ``release_reports``, or when
        this process has died (P16).
        """

    async def peek_reports(self, account_id: str, filter: FeedFilter, limit: int) -> FeedPage:
        """The same reports, left unread; ``handing`` is None."""

    def confirm_reports(self, handing: int) -> "Future[None]":
        """The answer that carries these has been written. Bears being told twice."""

    def release_reports(self, handing: int) -> "Future[None]":
        """The answer that carries these could not be written. Bears being told twice, or after a confirmation."""

    # --- reading
    # -----------------------------------------------------------------------------------------------------------

    async def list_log(self, account_id: str, filter: LogFilter, limit: int, cursor: str | None) -> LogPage | None:
        """A page of what became of messages, newest first, with the texts sent; takes nothing out of the feed.

        None for a cursor that was not handed out to this account.
        """

    async def list_batch_messages(
        self,
        account_id: str,
        batch_id: str,
        recipient: str | None,
        shows: "Callable[[Status, Reason, StatusError], bool] | None",
        page: int,
        page_size: int,
        *,
        first_final: bool = False,
    ) -> MessagePage | None:
        """A page of a batch's messages in the order sent; None if there is no such batch.

        ``first_final``: each at its first end, where a late correction has replaced it (R45).
        """

    async def fetch_schedule(self, account_id: str, batch_id: str, now: int) -> Schedule | None:
        """Where a scheduled batch stands; None for one that is unknown or was never scheduled."""

    async def fetch_batch(self, account_id: str, batch_id: str) -> Batch | None:
        """One batch of this account."""

    async def list_batches(self, account_id: str, filter: BatchFilter, page: int, page_size: int) -> BatchPage:
        """A page of batches, newest first; only those of the last 14 days."""

    async def fetch_batch_report(
        self, account_id: str, batch_id: str, *, recipients: bool, first_final: bool, now: int
    ) -> BatchReport | None:
        """Counts of a batch."""

    async def fetch_message(
        self, account_id: str, batch_id: str, recipient: str, *, first_final: bool, now: int
    ) -> MessageView | None:
        """The newest message of a batch to a number; None also while the batch waits for its ``send_at``."""

    async def list_messages(self, account_id: str, filter: MessageFilter, page: int, page_size: int) -> MessagePage:
        """A page of final messages, newest first."""

    async def list_in_doubt(self, link: str | None) -> list[InDoubtPart]:
        """All parts in doubt, oldest first."""

    async def trace(self, message_or_number: str) -> list[TraceEntry]:
        """A message's story in time order, by message id or by recipient's number (every message to it, newest 20)."""

    async def count_backlog(self) -> dict[str, int]:
        """Numbers for health and metrics: queued, in doubt, parked, callbacks pending."""

    async def count_queued(self) -> dict[str, int]:
        """Messages that are accepted and that no SMSC has taken yet, by account; "" for all together (P29)."""

    def count_commits(self) -> tuple[int, int]:
        """Transactions that this process has committed, and verbs that they answered."""
