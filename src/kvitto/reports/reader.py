"""What the dashboard's pages ask for. Everything here reads, for one account or (None) for all (P21).

Must not know: who asks, how it is shown. Next: the pure files beside this one, ``kvitto.store.office``.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from kvitto.core.clock import Clock
from kvitto.core.endpoint import Endpoint, EndpointState, EndpointStats
from kvitto.core.model import Account, Attempt, Batch, BatchReport, ReceiptOutcome
from kvitto.core.record import CallbackTry, CallbackView, Replay
from kvitto.core.users import AuditEntry, User
from kvitto.reports.overview import SPANS, Figures, Need, Span, figures_of
from kvitto.store.api import InDoubtPart, LinkCount, LinkState, Store, StoredReceipt
from kvitto.store.office import EVERYBODY, ApiToken, Found, FullMessage, Look, Office, Row
from kvitto.store.verbs.lookup import LAST, BatchRow, CallbackRow

__all__ = ["LAST", "OLD_MS", "BatchPage", "LinkView", "Overview", "Reader"]

PAGE: Final = 50
EXPORTED: Final = 500
"""Recipients read at once for a file."""
OLD_MS: Final = 30_000
"""A link's last word that is older than this is of a process that has ended."""
MOST_ORPHANS: Final = 100
NOTABLE: Final = (
    ReceiptOutcome.ORPHAN,
    ReceiptOutcome.AMBIGUOUS,
    ReceiptOutcome.UNPARSEABLE,
    ReceiptOutcome.CONFLICT,
    ReceiptOutcome.PARKED,
)


class LinkView(NamedTuple):
    """One link as its process last saw it, with its counters of R54. ``word``: its state in one word."""

    state: LinkState
    word: str
    counters: dict[str, int]


class Overview(NamedTuple):
    """Everything on the overview; ``links`` and ``needs`` are the operator's where the account is None."""

    figures: Figures
    links: list[LinkView]
    needs: list[Need]


class BatchPage(NamedTuple):
    """One batch with its counts and one page of its recipients; ``next``: where the following page begins."""

    batch: Batch
    report: BatchReport
    rows: list[Row]
    next: str | None

    @property
    def by_status(self) -> list[tuple[str, str, int]]:
        """(status, reason, how many), most first."""
        sums: dict[tuple[str, str], int] = {}
        for one in self.report.counts:
            key = (str(one.status), str(one.reason))
            sums[key] = sums.get(key, 0) + one.count
        return sorted(((*key, count) for key, count in sums.items()), key=lambda one: (-one[2], one[0], one[1]))

    @property
    def ends(self) -> list[tuple[str, int]]:
        """(status, how many), as often as there are reasons for one."""
        return [(status, count) for status, _, count in self.by_status]


class Reader:
    """Reads for pages."""

    def __init__(self, store: Store, office: Office, clock: Clock) -> None:
        self._store = store
        self._office = office
        self._clock = clock

    # --- overview ----------------------------------------------------------------------------------------------------

    async def overview(self, account_id: str | None, span: Span) -> Overview:
        """Figures of a span; links and what needs attention. Costs the same whatever the number of messages."""
        now = self._clock.now()
        since = now - (span.minutes + span.step) * 60_000
        tallies = await self._office.tallies(EVERYBODY if account_id is None else account_id, since)
        figures = figures_of(tallies, span, now)
        links = await self.links()
        return Overview(figures, links, await self._needs(account_id, figures, links))

    async def _needs(self, account_id: str | None, figures: Figures, links: list[LinkView]) -> list[Need]:
        needs = []
        if figures.callbacks["given_up"]:
            count = figures.callbacks["given_up"]
            needs.append(Need(f"{_many(count, 'callback')} given up", "/callbacks", severe=True))
        if figures.callbacks["pending"] > figures.callbacks["done"]:
            needs.append(Need("More callbacks fail than are delivered", "/callbacks", severe=True))
        needs += [
            Need(f"Endpoint {one.origin} is {one.state}", "/callbacks", severe=True)
            for one in await self._store.list_endpoints(account_id, PAGE)
            if one.state in (EndpointState.OPEN, EndpointState.DISABLED)
        ]
        if account_id is None:
            needs += [
                Need(f"Link {one.state.link} is {one.word}", "/links", severe=one.word in ("down", "not running"))
                for one in links
                if one.word not in ("up", "paused")
            ]
            orphans = await self._store.list_receipts(limit=MOST_ORPHANS)
            if orphans:
                words = f"{'at least ' if len(orphans) == MOST_ORPHANS else ''}{_many(len(orphans), 'receipt')}"
                needs.append(Need(f"{words} without a message", "/receipts"))
            doubt = await self._store.list_in_doubt(None)
            if doubt:
                needs.append(Need(f"{_many(len(doubt), 'part')} in doubt", "/links", severe=True))
        return needs

    async def links(self) -> list[LinkView]:
        """Every link of every node."""
        now, counts = self._clock.now(), await self._store.count_links()
        return [
            LinkView(state, _word(state, now), _counters(state.link, counts))
            for state in await self._store.list_link_states()
        ]

    async def in_doubt(self) -> list[InDoubtPart]:
        """Parts in doubt, oldest first."""
        return await self._store.list_in_doubt(None)

    # --- messages and batches ----------------------------------------------------------------------------------------

    async def search(self, look: Look) -> Found:
        """A page of messages."""
        return await self._office.search(look._replace(limit=PAGE))

    async def message(self, account_id: str | None, message_id: str) -> FullMessage | None:
        """One message with its story."""
        return await self._office.message(account_id, message_id)

    async def batches(self, account_id: str | None, before: str) -> tuple[list[BatchRow], str | None]:
        """A page of batches, newest first, and where the next begins."""
        rows = await self._office.batches(account_id, before, PAGE + 1)
        return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None

    async def batch(self, account_id: str | None, batch_id: str, after: str = "") -> BatchPage | None:
        """One batch; None when there is none of this account."""
        owner = account_id or await self._office.batch_owner(batch_id)
        if owner is None:
            return None
        batch = await self._store.fetch_batch(owner, batch_id)
        report = await self._store.fetch_batch_report(
            owner, batch_id, recipients=False, first_final=False, now=self._clock.now()
        )
        if batch is None or report is None:
            return None
        rows = await self._office.recipients(batch_id, after, PAGE + 1)
        return BatchPage(batch, report, rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None)

    async def export(self, batch_id: str) -> AsyncIterator[list[Row]]:
        """All recipients of a batch, a page at a time. Whose it is, the caller has asked before."""
        after = ""
        while rows := await self._office.recipients(batch_id, after, EXPORTED):
            yield rows
            after = rows[-1].id

    # --- callbacks, receipts, people ---------------------------------------------------------------------------------

    async def callbacks(self, account_id: str | None, before: int) -> tuple[list[CallbackRow], int | None]:
        """A page of callbacks, newest first, and where the next begins."""
        rows = await self._office.callbacks(account_id, before, PAGE + 1)
        return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None

    async def tries(self, account_id: str) -> list[CallbackTry]:
        """The account's latest tries of callbacks, newest first."""
        return await self._store.list_tries(account_id, PAGE)

    async def callback(self, account_id: str | None, callback_id: int) -> tuple[CallbackView, list[Attempt]] | None:
        """One callback with its attempts."""
        return await self._store.fetch_callback(account_id, callback_id)

    async def endpoints(self, account_id: str | None) -> list[tuple[Endpoint, EndpointStats]]:
        """Where callbacks go, and what waits for each."""
        now = self._clock.now()
        found = await self._store.list_endpoints(account_id, PAGE)
        return [(one, await self._store.fetch_endpoint_stats(one.id, now)) for one in found]

    async def endpoint(self, account_id: str | None, public_id: str) -> Endpoint | None:
        """One endpoint by its public id."""
        return await self._store.fetch_endpoint(account_id, public_id)

    async def endpoint_stats(self, one: Endpoint) -> EndpointStats:
        """What waits for an endpoint."""
        return await self._store.fetch_endpoint_stats(one.id, self._clock.now())

    async def replays(self, account_id: str | None) -> list[Replay]:
        """The latest replays."""
        return await self._store.list_replays(account_id, 5)

    async def receipts(
        self, outcome: ReceiptOutcome | None, before: int | None
    ) -> tuple[list[StoredReceipt], int | None]:
        """A page of receipts that somebody should look at, newest first, and where the next begins."""
        wanted = NOTABLE if outcome is None else (outcome,)
        rows = await self._store.list_receipts(wanted, before_id=before, limit=PAGE + 1)
        return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None

    async def receipt(self, receipt_id: int) -> StoredReceipt | None:
        """One receipt."""
        return await self._store.fetch_receipt(receipt_id)

    async def accounts(self) -> list[Account]:
        """All accounts, by name."""
        return await self._store.list_accounts()

    async def account(self, account_id: str) -> Account | None:
        """One account."""
        found = await self._store.find_account(id=account_id)
        return None if found is None else found[0]

    async def users(self, account_id: str | None) -> list[User]:
        """Users of an account, or all."""
        return await self._office.list_users(account_id)

    async def tokens(self, account_id: str) -> list[ApiToken]:
        """An account's API tokens."""
        return await self._office.tokens(account_id, self._clock.now())

    async def audit(self, account_id: str | None, before: int) -> tuple[list[AuditEntry], int | None]:
        """A page of what was changed, and where the next begins."""
        rows = await self._office.audit(account_id, before, PAGE + 1)
        return [entry for _, entry in rows[:PAGE]], rows[PAGE - 1][0] if len(rows) > PAGE else None

    def span(self, name: str) -> Span:
        """The span of that name, or the shortest."""
        return SPANS.get(name, SPANS["1h"])


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _word(state: LinkState, now: int) -> str:
    if now - state.at > OLD_MS:
        return "not running"
    if not state.binds_up:
        return "down"
    if state.binds_up < state.binds_wanted:
        return "partly up"
    return "paused" if state.paused_until_at and state.paused_until_at > now else "up"


def _counters(link: str, counts: list[LinkCount]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in counts:
        if one.link == link:
            sums[one.name] = sums.get(one.name, 0) + one.value
    return sums
