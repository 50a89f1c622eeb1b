"""The store itself: each verb of ``kvitto.store.api`` put on its way to a transaction or a reading connection.

Must not know: what a verb does (``kvitto.store.verbs``). Next: ``kvitto.store.commits``.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy import bindparam, func, insert, select, update

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
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
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Reason, Status, StatusError
from kvitto.core.users import AuditEntry
from kvitto.store import schema as t
from kvitto.store.api import (
    ORPHANS,
    AdmissionRefused,
    Assigned,
    BatchOutcome,
    Cleaned,
    IncomingMessage,
    InDoubtPart,
    LinkCount,
    LinkState,
    NewAccount,
    QueryDue,
    ReceiptResult,
    ReceivedReceipt,
    ScheduleOutcome,
    StoredReceipt,
    SubmitAnswer,
    SubmitFate,
    TraceEntry,
)
from kvitto.store.audited import kept
from kvitto.store.commits import Commits, Database, Done, Scope, Verb, WriteTx
from kvitto.store.office import Office
from kvitto.store.sealing import Seal
from kvitto.store.sqlcallbacks import SqlCallbacks, mapped
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs import (
    accounts,
    admission,
    callbacks,
    counting,
    dispatch,
    feed,
    logs,
    orphans,
    overdue,
    queries,
    querying,
    receipts,
    rerouting,
    retention,
    schedules,
    tallies,
)
from kvitto.store.verbs.turns import Turns, next_due_at

__all__ = ["SqlStore"]

_T = TypeVar("_T")


def _answers_and_parked(tx: Tx, scope: Scope, items: Sequence[dispatch.Answers]) -> list[None]:
    """Store answers, then try the receipts that were parked under the ids that became known (R33)."""
    known = dispatch.record_answers(tx, scope, items)
    counting.count_answers(scope, items)
    now = max((answer.at for item in items for answer in item.answers), default=0)
    receipts.retry_parked_for(tx, scope, [pair for found in known for pair in found], now)
    return [None] * len(items)


def _accept_and_count(
    tx: Tx, scope: Scope, items: Sequence[NewBatch]
) -> list[NewBatch | AdmissionRefused | FrozenAnswer]:
    results = admission.accept_batches(tx, scope, items)
    for told in results:
        if isinstance(told, NewBatch):
            tallies.tally_accepted(scope, told, len(told.messages) - len(told.refused))
    return results


def _replace_and_count(tx: Tx, scope: Scope, items: Sequence[admission.Replacement]) -> list[BatchOutcome]:
    results = []
    for item in items:
        before = tx.run(_MESSAGES_IN, first=item.new.batch.id, last=item.new.batch.id[:22] + "ZZZZ")[0][0]
        told = admission.replace_batches(tx, scope, [item])[0]
        if told.batch is not None:
            tallies.tally_replaced(scope, item.new, before)
        results.append(told)
    return results


def _clean_and_forget(tx: Tx, scope: Scope, items: Sequence[retention.CleanStep]) -> list[Cleaned]:
    tallies.forget_tallies(tx, scope, [max(item.now for item in items) - tallies.KEPT_MS])
    return retention.clean(tx, scope, items)


def _write_counts(tx: Tx, scope: Scope) -> None:
    """The last thing that a transaction does: what its facts add to the counters."""
    if scope.counts:
        counting.write_counts(tx, scope)
    if scope.tallies:
        tallies.write_tallies(tx, scope)


_MESSAGES_IN: Final = Statement(
    lambda _: select(func.count()).where(
        t.message.c.id.between(bindparam("first", type_=Str), bindparam("last", type_=Str))
    )
)


def _claim_and_count(tx: Tx, scope: Scope, items: Sequence[dispatch.Claim]) -> list[list[Claimed]]:
    taken = dispatch.claim_messages(tx, scope, items)
    counting.count_claims(scope, items, taken)
    return taken


def _receive_and_count(tx: Tx, scope: Scope, items: Sequence[Sequence[ReceivedReceipt]]) -> list[list[ReceiptResult]]:
    results = receipts.record_receipts(tx, scope, items)
    counting.count_received(scope, items, results)
    return results


_BEAT: Final = Statement(
    lambda r: update(t.pulse).values(at=r.c.at).where(t.pulse.c.node == r.c.node).returning(t.pulse.c.at),
    node=Str,
    at=Int,
)
_FIRST_BEAT: Final = Statement(
    lambda r: insert(t.pulse).from_select(["node", "at"], select(r.c.node, r.c.at)).returning(t.pulse.c.at),
    node=Str,
    at=Int,
)
_LAST_BEAT: Final = Statement(lambda _: select(t.pulse.c.at).where(t.pulse.c.node == bindparam("of", type_=Str)))


def _beat(tx: Tx, scope: Scope, items: Sequence[int]) -> list[None]:
    """Write a row of this node's own: a database that cannot do this cannot be used."""
    row = (scope.node, items[-1])
    if not tx.run(_BEAT, [row]):
        tx.run(_FIRST_BEAT, [row])
    return [None] * len(items)


def _last_beat(tx: Tx, node: str) -> list[Any]:
    return tx.run(_LAST_BEAT, of=node)


# What frees slots and moves statuses comes before what claims; accepted batches can be claimed in the same transaction.
_CREATE_ACCOUNT: Final = Verb("create_account", 10, accounts.create_accounts)
_SET_ACCOUNT: Final = Verb("set_account", 11, accounts.set_accounts)
_DELETE_ACCOUNT: Final = Verb("delete_account", 12, accounts.delete_accounts)
_ROTATE_TOKEN: Final = Verb("rotate_token", 13, accounts.rotate_tokens)
_ACCEPT: Final = Verb("accept_batch", 20, _accept_and_count)
_REPLACE: Final = Verb("replace_batch", 21, _replace_and_count)
_CANCEL: Final = Verb("cancel_batch", 22, admission.cancel_batches)
_FEEDBACK: Final = Verb("record_feedback", 23, admission.record_feedback)
_ANSWERS: Final = Verb("record_answers", 30, _answers_and_parked)
_FATES: Final = Verb("record_fates", 31, dispatch.record_fates)
_DOUBTS: Final = Verb("resolve_doubts", 32, dispatch.resolve_doubts)
_RECEIPTS: Final = Verb("record_receipts", 40, _receive_and_count)
_INCOMING: Final = Verb("record_incoming", 41, receipts.record_incoming)
_PARKED: Final = Verb("retry_parked", 42, receipts.retry_parked)
_ASSIGN: Final = Verb("assign_receipt", 44, orphans.assign_receipts)
_OVERDUE: Final = Verb("end_overdue", 43, overdue.end_overdue)
_OPEN_SESSION: Final = Verb("open_session", 14, accounts.open_sessions)
_CLOSE_SESSION: Final = Verb("close_session", 15, accounts.close_sessions)
_RESCHEDULE: Final = Verb("reschedule", 24, schedules.reschedule_batches)
_CONFIRM: Final = Verb("confirm_reports", 51, feed.confirm_handings)
_RELEASE: Final = Verb("release_reports", 52, feed.release_handings)
_TAKE: Final = Verb("take_reports", 53, feed.take_unread)
_TAKE_BACK_HANDINGS: Final = Verb("take_back_handings", 4, feed.take_back_handings)
_QUERY: Final = Verb("claim_queries", 56, querying.claim_queries)
_REROUTE: Final = Verb("reroute_messages", 55, rerouting.reroute_messages)
_CLAIM: Final = Verb("claim_messages", 60, _claim_and_count)
_TAKE_BACK_PARTS: Final = Verb("take_back_parts", 1, dispatch.take_back_parts)
_TAKE_BACK_CALLBACKS: Final = Verb("take_back_callbacks", 2, callbacks.take_back_callbacks)
_CLEAN: Final = Verb("clean", 80, _clean_and_forget)
_LINK_STATES: Final = Verb("record_link_states", 70, counting.record_link_states)
_PROBE: Final = Verb("check", 3, _beat)


class SqlStore(SqlCallbacks):
    """The ``Store`` over one database; see ``kvitto.store.api`` for what each verb guarantees.

    ``node`` names this process in claims and leases; ``serving`` False leaves the claims of a dead process alone, for
    the command line beside a server. ``groups``: link name -> group. ``readers``: threads that read, each
    with a connection of its own.
    """

    def __init__(
        self,
        database: Database,
        *,
        node: str,
        seal: Seal,
        clock: Clock,
        groups: Mapping[str, str] | None = None,
        readers: int = 2,
        serving: bool = True,
    ) -> None:
        self._database = database
        self._seal = seal
        self._several_writers = database.remote
        self._clock = clock
        self._groups = dict(groups or {})
        self._turns: dict[str, Turns] = {}
        self._reader_count = readers
        self._serving = serving
        self.commits = Commits(database, node)
        self.commits.unsure = self._unsure
        self.commits.last = _write_counts
        self._node = node
        self._walks = retention.Walks()
        self._unsure_claims: list[SubmitFate] = []
        self._readers: ThreadPoolExecutor | None = None
        self._taken_back = False
        self._local = threading.local()
        self._open_readers: list[WriteTx] = []
        self.office = Office(self.commits.put, self._read)

    async def start(self) -> None:
        """Open the database; see ``Store.start``. Where it was away, another call goes on from there."""
        if self._readers is None:
            self._readers = ThreadPoolExecutor(self._reader_count, thread_name_prefix="kvitto-reader")
            self.commits.start()
        if self._serving and not self._taken_back:
            await self.commits.put(_TAKE_BACK_PARTS, None)
            await self.commits.put(_TAKE_BACK_CALLBACKS, self._clock.now())
            await self.commits.put(_TAKE_BACK_HANDINGS, None)
            self._taken_back = True

    async def stop(self) -> None:
        """Finish the waiting verbs, close; bears being called twice."""
        await self.commits.stop()
        self._taken_back = False
        readers, self._readers = self._readers, None
        if readers is not None:
            await asyncio.get_running_loop().run_in_executor(None, readers.shutdown)
            for reader in self._open_readers:
                reader.close()
            self._open_readers.clear()

    async def check(self) -> None:
        """Write one row and read it; raises ``StoreUnavailable``."""
        await self.commits.put(_PROBE, self._clock.now())
        if not await self._read(_last_beat, self._node):
            raise StoreUnavailable("what was written cannot be read")

    def _read(self, query: Callable[..., _T], *arguments: Any, **named: Any) -> "asyncio.Future[_T]":
        if self._readers is None:
            raise StoreUnavailable("the store is closed")
        return asyncio.get_running_loop().run_in_executor(self._readers, self._read_here, query, arguments, named)

    def _read_here(self, query: Callable[..., _T], arguments: tuple[Any, ...], named: dict[str, Any]) -> _T:
        """Run a query in a reading thread; a connection that broke is opened again once."""
        reader: WriteTx | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._database.open_reader()
            self._open_readers.append(reader)
        try:
            return query(reader, *arguments, **named)
        except StoreUnavailable:
            return query(reader, *arguments, **named)

    # --- accounts --------------------------------------------------------------------------------------------------

    def create_account(self, new: NewAccount) -> "asyncio.Future[bool]":
        """See ``Store.create_account``; the secret is sealed here."""
        sealed = _replace_secret(new.account, self._seal.seal(new.account.callback_secret))
        return self.commits.put(_CREATE_ACCOUNT, new._replace(account=sealed))

    def set_account(
        self, name: str, changes: dict[str, object], audit: AuditEntry | None = None
    ) -> "asyncio.Future[Account | None]":
        """See ``Store.set_account``."""
        if isinstance(changes.get("callback_secret"), str):
            changes = {**changes, "callback_secret": self._seal.seal(str(changes["callback_secret"]))}
        change = accounts.AccountChange(name, changes, self._clock.now())
        done = self.commits.put(*kept(_SET_ACCOUNT, change, audit))
        return mapped(done, lambda row: None if row is None else accounts.read_account(row, self._seal.unseal))

    def delete_account(self, name: str) -> "asyncio.Future[bool]":
        """See ``Store.delete_account``."""
        return self.commits.put(_DELETE_ACCOUNT, name)

    def rotate_token(self, name: str, token_hash: str) -> "asyncio.Future[bool]":
        """See ``Store.rotate_token``."""
        return self.commits.put(_ROTATE_TOKEN, accounts.TokenChange(name, token_hash, self._clock.now()))

    def open_session(self, account_id: str, token_hash: str, now: int, expires_at: int) -> "asyncio.Future[None]":
        """See ``Store.open_session``."""
        return self.commits.put(_OPEN_SESSION, accounts.NewSession(account_id, token_hash, now, expires_at))

    def close_session(self, account_id: str, token_hash: str) -> "asyncio.Future[None]":
        """See ``Store.close_session``."""
        return self.commits.put(_CLOSE_SESSION, accounts.EndedSession(account_id, token_hash))

    async def find_account(
        self,
        *,
        token_hash: str | None = None,
        username: str | None = None,
        name: str | None = None,
        id: str | None = None,
    ) -> tuple[Account, str] | None:
        """See ``Store.find_account``."""
        keys = {"token_hash": token_hash, "username": username, "name": name, "id": id}
        by, key = next((by, key) for by, key in keys.items() if key is not None)
        row = await self._read(queries.account_row, by, key, self._clock.now())
        return None if row is None else (accounts.read_account(row, self._seal.unseal), row[-1])

    async def list_accounts(self) -> list[Account]:
        """See ``Store.list_accounts``."""
        return [accounts.read_account(row, self._seal.unseal) for row in await self._read(queries.account_rows)]

    # --- admission -------------------------------------------------------------------------------------------------

    def accept_batch_hot(self, new: NewBatch, done: Done) -> None:
        """See ``Store.accept_batch_hot``."""
        self.commits.put_hot(_ACCEPT, new, done, len(new.messages))

    def accept_batch(self, new: NewBatch) -> "asyncio.Future[NewBatch | AdmissionRefused | FrozenAnswer]":
        """See ``Store.accept_batch``."""
        return self.commits.put(_ACCEPT, new, len(new.messages))

    def replace_batch(self, new: NewBatch, expected_modified_at: int) -> "asyncio.Future[BatchOutcome]":
        """See ``Store.replace_batch``."""
        return self.commits.put(_REPLACE, admission.Replacement(new, expected_modified_at), len(new.messages))

    def cancel_batch(self, account_id: str, batch_id: str, now: int) -> "asyncio.Future[BatchOutcome]":
        """See ``Store.cancel_batch``."""
        return self.commits.put(_CANCEL, admission.Cancellation(account_id, batch_id, now))

    def reschedule(
        self, account_id: str, batch_id: str, send_at: int | None, state: ScheduleState | None, now: int
    ) -> "asyncio.Future[ScheduleOutcome]":
        """See ``Store.reschedule``."""
        return self.commits.put(_RESCHEDULE, schedules.Move(account_id, batch_id, send_at, state, now))

    def record_feedback(
        self, account_id: str, batch_id: str, recipients: Sequence[str], now: int
    ) -> "asyncio.Future[bool]":
        """See ``Store.record_feedback``."""
        return self.commits.put(_FEEDBACK, admission.Feedback(account_id, batch_id, tuple(recipients), now))

    # --- dispatch --------------------------------------------------------------------------------------------------

    def _unsure(self, verb: Verb, answer: Any) -> None:
        """A claim whose commit failed may stand in the database, though nobody submits it: give it back first."""
        if verb is _CLAIM:
            keys = [PartKey(one.message_id, part_no) for one in answer for part_no in one.todo]
            self._unsure_claims.extend(SubmitFate(key, False) for key in keys)

    def _give_back_unsure(self, now: int) -> None:
        fates, self._unsure_claims = self._unsure_claims, []

        def done(future: "asyncio.Future[None]") -> None:
            if future.cancelled() or future.exception() is not None:
                self._unsure_claims.extend(fates)

        self.record_fates(fates, now).add_done_callback(done)

    def claim_messages(self, link: str, parts: int, now: int) -> "asyncio.Future[list[Claimed]]":
        """See ``Store.claim_messages``."""
        if self._unsure_claims:
            self._give_back_unsure(now)
        turns = self._turns.get(link) or self._turns.setdefault(link, Turns())
        return self.commits.put(_CLAIM, dispatch.Claim(link, self._groups.get(link, link), parts, now, turns))

    def record_answers(self, link: str, group: str, answers: Sequence[SubmitAnswer]) -> "asyncio.Future[None]":
        """See ``Store.record_answers``."""
        return self.commits.put(_ANSWERS, dispatch.Answers(link, group, answers), len(answers))

    def record_fates(self, fates: Sequence[SubmitFate], now: int) -> "asyncio.Future[None]":
        """See ``Store.record_fates``."""
        return self.commits.put(_FATES, dispatch.Fates(fates, now), len(fates))

    def record_receipts(self, received: Sequence[ReceivedReceipt]) -> "asyncio.Future[list[ReceiptResult]]":
        """See ``Store.record_receipts``."""
        return self.commits.put(_RECEIPTS, received, len(received))

    def record_incoming(self, messages: Sequence[IncomingMessage]) -> "asyncio.Future[None]":
        """See ``Store.record_incoming``."""
        return self.commits.put(_INCOMING, messages, len(messages))

    def retry_parked(self, rules: Mapping[str, LinkRules], now: int) -> "asyncio.Future[int]":
        """See ``Store.retry_parked``."""
        return self.commits.put(_PARKED, receipts.ParkedRetry(rules, now))

    async def list_receipts(
        self,
        outcomes: Sequence[ReceiptOutcome] = ORPHANS,
        *,
        group: str | None = None,
        since_at: int | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[StoredReceipt]:
        """See ``Store.list_receipts``."""
        return await self._read(orphans.receipts_with, outcomes, group, since_at, before_id, limit)

    async def fetch_receipt(self, receipt_id: int) -> StoredReceipt | None:
        """See ``Store.fetch_receipt``."""
        return await self._read(orphans.stored_receipt, receipt_id)

    def assign_receipt(
        self,
        receipt_id: int,
        message_id: str,
        part_no: int | None,
        now: int,
        *,
        status: Status | None = None,
        audit: AuditEntry | None = None,
    ) -> "asyncio.Future[Assigned]":
        """See ``Store.assign_receipt``."""
        return self.commits.put(*kept(_ASSIGN, orphans.Assignment(receipt_id, message_id, part_no, now, status), audit))

    def record_link_states(self, states: Sequence[LinkState]) -> "asyncio.Future[None]":
        """See ``Store.record_link_states``."""
        return self.commits.put(_LINK_STATES, states, len(states))

    async def list_link_states(self) -> list[LinkState]:
        """See ``Store.list_link_states``."""
        return await self._read(counting.link_states)

    def clean(
        self, rules: Mapping[str, LinkRules], retention_days: int, now: int, limit: int
    ) -> "asyncio.Future[Cleaned]":
        """See ``Store.clean``."""
        return self.commits.put(_CLEAN, retention.CleanStep(self._walks, rules, retention_days, now, limit), limit)

    async def count_links(self) -> list[LinkCount]:
        """See ``Store.count_links``."""
        return await self._read(counting.link_counts)

    def end_overdue(self, rules: Mapping[str, LinkRules], now: int, limit: int) -> "asyncio.Future[int]":
        """See ``Store.end_overdue``."""
        return self.commits.put(_OVERDUE, overdue.Overdue(rules, now, limit), limit)

    def claim_queries(self, link: str, rules: LinkRules, now: int, limit: int) -> "asyncio.Future[list[QueryDue]]":
        """See ``Store.claim_queries``."""
        before_at = now + rules.query_before_s * 1000
        claim = querying.QueryClaim(link, before_at, before_at - rules.dlr_grace_s * 1000, now, limit)
        return self.commits.put(_QUERY, claim, limit)

    def resend_in_doubt(
        self, keys: Sequence[PartKey], now: int, audit: AuditEntry | None = None
    ) -> "asyncio.Future[int]":
        """See ``Store.resend_in_doubt``."""
        return self.commits.put(*kept(_DOUBTS, dispatch.DoubtVerdict(keys, True, now), audit), len(keys))

    def end_in_doubt(self, keys: Sequence[PartKey], now: int, audit: AuditEntry | None = None) -> "asyncio.Future[int]":
        """See ``Store.end_in_doubt``."""
        return self.commits.put(*kept(_DOUBTS, dispatch.DoubtVerdict(keys, False, now), audit), len(keys))

    def set_groups(self, groups: Mapping[str, str]) -> None:
        """See ``Store.set_groups``."""
        self._groups = dict(groups)

    def reroute_messages(
        self, links: Collection[str], route_for: Callable[[str, str], str | None], limit: int
    ) -> "asyncio.Future[int]":
        """See ``Store.reroute_messages``."""
        return self.commits.put(_REROUTE, rerouting.Rerouting(frozenset(links), route_for, limit), limit)

    async def next_due_at(self, link: str) -> int | None:
        """See ``Store.next_due_at``."""
        return await self._read(next_due_at, link)

    # --- the one-time feed -------------------------------------------------------------------------------------------

    async def take_reports(self, account_id: str, filter: FeedFilter, limit: int, now: int) -> FeedPage:
        """See ``Store.take_reports``."""
        if not (filter.batch_ids or filter.message_ids or filter.keeps or filter.ended_from):
            while True:
                taken = await self.commits.put(_TAKE, feed.Wanted(account_id, limit, now), min(limit, 1000))
                if taken.handing is None:
                    return FeedPage([])
                if (page := await self._hand(taken, filter)).messages:
                    return page
        # Who else reads may be faster: what is left of a selection is taken, and the next one is made below it.
        while True:
            seqs, _ = await self._read(feed.find_unread, account_id, filter, limit)
            if not seqs:
                return FeedPage([])
            wanted = feed.Wanted(account_id, limit, now, tuple(seqs))
            taken = await self.commits.put(_TAKE, wanted, min(len(seqs), 1000))
            if taken.handing is not None and (page := await self._hand(taken, filter)).messages:
                return page

    async def _hand(self, taken: "feed.Taken", filter: FeedFilter) -> FeedPage:
        """Read what was taken; it is unread again when it cannot be read. An empty page is settled already."""
        assert taken.handing is not None
        try:
            reports = await self._read(feed.reports_of, taken.rows, first_final=filter.first_final)
        except BaseException:
            self.release_reports(taken.handing)
            raise
        if not reports:  # all of it is gone, or was corrected meanwhile
            await self.confirm_reports(taken.handing)
        return FeedPage([view for _, view in reports], taken.handing)

    async def peek_reports(self, account_id: str, filter: FeedFilter, limit: int) -> FeedPage:
        """See ``Store.peek_reports``."""
        _, views = await self._read(feed.find_unread, account_id, filter, limit)
        return FeedPage(views)

    def confirm_reports(self, handing: int) -> "asyncio.Future[None]":
        """See ``Store.confirm_reports``."""
        return self.commits.put(_CONFIRM, handing)

    def release_reports(self, handing: int) -> "asyncio.Future[None]":
        """See ``Store.release_reports``."""
        return self.commits.put(_RELEASE, handing)

    # --- reading
    # -------------------------------------------------------------------------------------------------------

    async def list_log(self, account_id: str, filter: LogFilter, limit: int, cursor: str | None) -> LogPage | None:
        """See ``Store.list_log``."""
        page = await self._read(logs.log_page, account_id, filter, limit, cursor)
        return None if isinstance(page, str) else page

    async def list_batch_messages(
        self,
        account_id: str,
        batch_id: str,
        recipient: str | None,
        shows: Callable[[Status, Reason, StatusError], bool] | None,
        page: int,
        page_size: int,
        *,
        first_final: bool = False,
    ) -> MessagePage | None:
        """See ``Store.list_batch_messages``."""
        return await self._read(
            logs.batch_messages,
            account_id,
            batch_id,
            recipient,
            shows,
            page,
            page_size,
            first_final=first_final,
        )

    async def fetch_schedule(self, account_id: str, batch_id: str, now: int) -> Schedule | None:
        """See ``Store.fetch_schedule``."""
        return await self._read(schedules.schedule_of, account_id, batch_id, now)

    async def fetch_batch(self, account_id: str, batch_id: str) -> Batch | None:
        """See ``Store.fetch_batch``."""
        return await self._read(queries.one_batch, account_id, batch_id)

    async def list_batches(self, account_id: str, filter: BatchFilter, page: int, page_size: int) -> BatchPage:
        """See ``Store.list_batches``."""
        return await self._read(queries.batch_page, account_id, filter, page, page_size, self._clock.now())

    async def fetch_batch_report(
        self, account_id: str, batch_id: str, *, recipients: bool, first_final: bool, now: int
    ) -> BatchReport | None:
        """See ``Store.fetch_batch_report``."""
        return await self._read(
            queries.batch_report, account_id, batch_id, recipients=recipients, first_final=first_final, now=now
        )

    async def fetch_message(
        self, account_id: str, batch_id: str, recipient: str, *, first_final: bool, now: int
    ) -> MessageView | None:
        """See ``Store.fetch_message``."""
        return await self._read(queries.message_view, account_id, batch_id, recipient, first_final=first_final, now=now)

    async def list_messages(self, account_id: str, filter: MessageFilter, page: int, page_size: int) -> MessagePage:
        """See ``Store.list_messages``."""
        return await self._read(queries.message_page, account_id, filter, page, page_size)

    async def list_in_doubt(self, link: str | None) -> list[InDoubtPart]:
        """See ``Store.list_in_doubt``."""
        return await self._read(queries.in_doubt_parts, link)

    async def trace(self, message_or_number: str) -> list[TraceEntry]:
        """See ``Store.trace``."""
        return await self._read(queries.story, message_or_number)

    async def count_backlog(self) -> dict[str, int]:
        """See ``Store.count_backlog``."""
        return await self._read(queries.backlog)

    async def count_queued(self) -> dict[str, int]:
        """See ``Store.count_queued``."""
        return await self._read(tallies.queued_now)

    def count_commits(self) -> tuple[int, int]:
        """See ``Store.count_commits``."""
        return self.commits.transactions, self.commits.items


def _replace_secret(account: Account, secret: str) -> Account:
    return replace(account, callback_secret=secret)
