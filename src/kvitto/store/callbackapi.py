"""The verbs of the store that are about callbacks: what is due, where it goes, what came of it, what changed.

The outbox asks ``due_endpoints`` which endpoints have something to post, chooses among them, and claims from each as
much as it can carry: so one endpoint's backlog, however long, is never in the way of another's (P12).

Must not know: SQL, HTTP. Next: ``kvitto.store.api``, of which this is a part; ``kvitto.store.verbs.callbacks``.
"""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kvitto.core.endpoint import Endpoint, EndpointHealth, EndpointStats, NewEndpoint
from kvitto.core.model import Account, Attempt, CallbackDue, CallbackResult, FrozenAnswer, OperatorEvent
from kvitto.core.record import (
    CallbackFilter,
    CallbackPage,
    CallbackTry,
    CallbackView,
    CursorRefused,
    EventPage,
    NewReplay,
    Replay,
)
from kvitto.core.users import AuditEntry

if TYPE_CHECKING:  # the whole, of which this is a part
    from kvitto.store.api import AdmissionRefused

__all__ = ["CallbackStore", "CallbackTaker", "EndpointDue", "MoveStep", "Want"]


class EndpointDue(NamedTuple):
    """An endpoint with unfinished callbacks, and when the first of them that nobody has leased falls due (ms UTC)."""

    endpoint: int
    next_at: int


class Want(NamedTuple):
    """How many due callbacks of one endpoint the sender would take."""

    endpoint: int
    limit: int


class MoveStep(NamedTuple):
    """A step of moving what waits for URLs that were changed. ``more``: the next one may follow at once; ``begun``: the
    old endpoints whose callbacks in hand should be given back, as a walk over them has just begun.
    """

    more: bool
    begun: frozenset[int]


class CallbackTaker(Protocol):
    """The callback sender's door, called in the event loop."""

    @property
    def full(self) -> Set[int]:
        """Endpoints whose callbacks wait in the outbox, whatever ``room`` says. Read from other threads, too."""

    def room(self) -> int:
        """How many callbacks it would take now without waiting."""

    def take(self, callbacks: list[CallbackDue]) -> None:
        """Post these; they are claimed for it."""


class CallbackStore(Protocol):
    """What the house remembers of callbacks and endpoints. ``account_id`` None: the operator, who may see all.

    ``audit``: kept with what it tells of, in the same transaction; not where nothing was done.
    """

    # --- the sender ------------------------------------------------------------------------------------------------

    def set_callback_handoff(self, take: CallbackTaker | None) -> None:
        """Give the sender's door: callbacks caused in a transaction are handed to it right after the commit, already
        claimed by this node, as long as ``take.room()`` says so and their endpoints are not in ``take.full``; others
        wait in the outbox for ``claim_callbacks``.
        """

    async def due_endpoints(self, now: int) -> list[EndpointDue]:
        """Every endpoint with unfinished callbacks, each found by one look at the index, however many it has."""

    def claim_callbacks(self, now: int, wants: Sequence[Want]) -> "Future[list[CallbackDue]]":
        """Take due callbacks of these endpoints, of each the oldest due first, and lease them to this node."""

    def record_attempts(self, results: Sequence[CallbackResult]) -> "Future[None]":
        """Store what attempts came to; frees the lease. Those that failed, or followed one, are kept one by one."""

    def release_callbacks(self, ids: Sequence[int], now: int) -> "Future[None]":
        """Give leases of this node back: nobody has posted these."""

    async def next_callback_at(self) -> int | None:
        """When the first unfinished callback falls due, or its lease ends (ms UTC)."""

    # --- endpoints -------------------------------------------------------------------------------------------------

    def record_endpoints(self, seen: Sequence[EndpointHealth]) -> "Future[None]":
        """Add counts, write states; an endpoint that has no row yet gets one. What somebody disabled or enabled
        meanwhile stands: a report that does not know of it (``EndpointHealth.switches``) only adds its counts.
        """

    async def changed_endpoints(self, since: int) -> list[Endpoint]:
        """Endpoints whose settings or state changed at ``since`` (ms UTC) or later; 0: all."""

    async def list_endpoints(self, account_id: str | None, limit: int, after: int = 0) -> list[Endpoint]:
        """Endpoints by rising number, those above ``after``."""

    async def fetch_endpoint(self, account_id: str | None, which: str) -> Endpoint | None:
        """One endpoint by its public id, its name or any URL of its origin (the last two within an account)."""

    async def fetch_endpoint_stats(self, endpoint: int, now: int) -> EndpointStats:
        """What waits for it; counts as far as 100 000."""

    def create_endpoint(self, new: NewEndpoint, audit: AuditEntry | None = None) -> "Future[Endpoint | None]":
        """Make an endpoint, or give an implicit one its name and settings. None: the name is taken in this account, or
        the origin has a name already.
        """

    def create_once(
        self,
        account_id: str,
        key: str,
        fingerprint: str,
        new: NewEndpoint | NewReplay,
        freeze: Callable[[Any], FrozenAnswer],
    ) -> "Future[FrozenAnswer | AdmissionRefused | None]":
        """As ``create_endpoint`` or ``start_replay``, once for each key within a day (P7): the answer that ``freeze``
        makes of what was made is kept with it and given again; "key_reused" when something else was asked under the
        key; None as from ``create_endpoint``.
        """

    def set_endpoint(
        self,
        account_id: str | None,
        endpoint: int,
        changes: Mapping[str, object],
        now: int,
        audit: AuditEntry | None = None,
    ) -> "Future[Endpoint | None]":
        """Change settings: ``name``, ``url``, ``profile``, ``concurrency``, ``rate``, ``headers``, ``username``,
        ``password``, ``ca_pem``, ``client_cert_pem``, ``client_key_pem``, ``allow_callbacks_to``. None: none
        such.
        """

    def disable_endpoint(
        self, account_id: str | None, endpoint: int, why: str, now: int, audit: AuditEntry | None = None
    ) -> "Future[Endpoint | None]":
        """Post nothing there from now on; what is to be told waits. ``why``: ``core.endpoint.DisabledWhy``."""

    def enable_endpoint(
        self, account_id: str | None, endpoint: int, now: int, audit: AuditEntry | None = None
    ) -> "Future[Endpoint | None]":
        """Post there again, the breaker closed; what waited is due by its schedule, most of it at once."""

    def rotate_endpoint_secret(
        self, account_id: str | None, endpoint: int, secret: str, now: int, audit: AuditEntry | None = None
    ) -> "Future[Endpoint | None]":
        """Sign with ``secret``; the one before (its own or the account's) signs beside it for a day (P18)."""

    async def rotate_callback_secret(
        self, name: str, secret: str, now: int, audit: AuditEntry | None = None
    ) -> Account | None:
        """The same for an account's, by the account's name."""

    async def list_operator_events(
        self, account_id: str | None, limit: int, before: int | None = None
    ) -> list[OperatorEvent]:
        """What the operator or the account's owner should know, newest first, those with a lower id than ``before``."""

    # --- the record ------------------------------------------------------------------------------------------------

    async def list_callbacks(self, filter: CallbackFilter, limit: int, before: int | None = None) -> CallbackPage:
        """A page of callbacks, newest first, those with a lower id than ``before``."""

    async def list_tries(self, account_id: str, limit: int) -> list[CallbackTry]:
        """The latest tries of an account's callbacks, newest first, among the last 20 000 tries and callbacks of all
        accounts.
        """

    async def fetch_callback(self, account_id: str | None, callback: int) -> tuple[CallbackView, list[Attempt]] | None:
        """One callback with its attempts, oldest first."""

    def resend_callback(
        self, account_id: str | None, callback: int, now: int, audit: AuditEntry | None = None
    ) -> "Future[bool | None]":
        """Make it due now, its schedule from the beginning. False: it is being posted now; None: no such callback."""

    def start_replay(self, new: NewReplay, audit: AuditEntry | None = None) -> "Future[Replay]":
        """Begin to make callbacks due again, each once, its schedule from the beginning; see ``step_replays``."""

    async def fetch_replay(self, account_id: str | None, replay: int) -> Replay | None:
        """Where a replay stands."""

    async def list_replays(self, account_id: str | None, limit: int) -> list[Replay]:
        """Replays, newest first."""

    def cancel_replay(
        self, account_id: str | None, replay: int, audit: AuditEntry | None = None
    ) -> "Future[Replay | None]":
        """Stop a replay; what it made due already stays due. None: no such replay."""

    async def step_replays(self, now: int) -> int:
        """Make the next step of every running replay that is due for one; returns how many callbacks became due.

        A step is one transaction of at most 1000 callbacks, so that a crash repeats nothing and leaves nothing out.
        """

    async def step_moves(self, now: int) -> MoveStep:
        """An account's ``callback_url`` became another: what waits for the old one goes to the new one from its next
        try on, what is claimed at once, the rest in steps of one transaction each of at most 1000 callbacks. With no
        URL any more they are given up with the reason in words. One whose batch named a URL stays.
        """

    # --- reconciliation --------------------------------------------------------------------------------------------

    async def events_after(self, account_id: str | None, cursor: str, limit: int) -> EventPage | CursorRefused:
        """Changes of statuses in the order of their commits; ``cursor`` "": from the beginning, "now": from now on.

        A cursor that is none, or ahead of everything, is refused. What commits late is never skipped, whoever
        writes it.
        """
