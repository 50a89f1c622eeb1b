"""Grouped commits: many waiting verbs, one transaction, each answered after it.

The event loop puts work in; everything that waits becomes one group, runs verb by verb in one transaction, is
committed, and all are answered. There is no timer: the next transaction starts when the last has ended, with whatever
came meanwhile, so a lone caller waits for one commit and a crowd shares it (ADR 0004).

What waits for the outside, beginning and committing (the write lock, the fsync), always happens in one thread beside
the loop. The statements run there too when the database is a server (``Database.remote``); when it is a file in our
own process they run in the loop, between begin and commit: they are calculation, and a second thread for them would
only pass the interpreter's lock to and fro, once a statement and once a row read (measured in ADR 0004).

    loop:    put ──▶ (group) statements ──▶                  ──▶ answers, statements of the next group ──▶
    thread:       begin                    commit, begin

If a group fails by somebody's fault, its members run again one by one, so that only the guilty one fails. If the
database cannot be used, all fail with ``StoreUnavailable`` and nothing of them is stored.

Must not know: what the verbs do. Next: ``kvitto.store.verbs``.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence, Set
from typing import Any, Final, NamedTuple, Protocol

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import CallbackDue
from kvitto.store.statements import Tx

__all__ = ["Commits", "Database", "Done", "Scope", "Verb", "WriteTx"]

GROUP_ROWS: Final = 2000
"""About how many rows one transaction takes on: bounds how long it, and with it every waiting answer, can take."""


class WriteTx(Tx, Protocol):
    """A connection that can write."""

    def begin(self) -> None:
        """Start a transaction."""

    def commit(self) -> None:
        """Make it durable."""

    def rollback(self) -> None:
        """Forget it; bears that nothing was begun."""

    def close(self) -> None:
        """Close the connection."""


class Database(Protocol):
    """Makes connections. ``remote``: a statement waits for a server, so none may run in the event loop."""

    @property
    def remote(self) -> bool:
        """Whether statements wait for another process."""

    def open_writer(self) -> WriteTx:
        """The connection that writes."""

    def open_reader(self) -> WriteTx:
        """A connection that cannot write."""


class Scope:
    """What one transaction carries beside its statements: the node's name, and what to do after the commit.

    ``room``: how many callbacks the sender would take over right after the commit, but none of the endpoints in
    ``full``; ``handoff``: those it will get. ``counts``: (link, group, name) -> how much its facts add to a counter
    (R54). ``tallies``: (account, minute, name) -> how much they add to a count of that minute.
    """

    __slots__ = ("counts", "full", "handoff", "node", "room", "tallies")

    def __init__(self, node: str, room: int, full: Set[int] = frozenset()) -> None:
        self.node = node
        self.room = room
        self.full = full
        self.handoff: list[CallbackDue] = []
        self.counts: dict[tuple[str, str, str], int] = {}
        self.tallies: dict[tuple[str, int, str], int] = {}

    def count(self, link: str, group: str, name: str, many: int = 1) -> None:
        """Add to a counter when this transaction is committed."""
        key = (link, group, name)
        self.counts[key] = self.counts.get(key, 0) + many

    def tally(self, account_id: str, at: int, name: str, many: int = 1) -> None:
        """Add to an account's count of the minute ``at`` when this transaction is committed."""
        key = (account_id, at, name)
        self.tallies[key] = self.tallies.get(key, 0) + many


class Verb(NamedTuple):
    """One thing the store can do to a group of items: ``run`` returns one result an item, in order.

    ``rank`` orders verbs inside a transaction: what frees slots comes before what claims them.
    """

    name: str
    rank: int
    run: Callable[[Tx, Scope, Sequence[Any]], Sequence[Any]]


Done = Callable[[Any, BaseException | None], None]
"""Called in the event loop with a verb's result, or with None and what went wrong."""


class _Work(NamedTuple):
    verb: Verb
    item: Any
    done: "Done"
    rows: int


class _Outcome(NamedTuple):
    """What a transaction came to: an answer or an error for each work, and callbacks for the sender."""

    answers: list[tuple[_Work, Any]]
    errors: list[tuple[_Work, BaseException]]
    handoff: list[CallbackDue]


def _failed(group: Sequence[_Work], error: BaseException) -> _Outcome:
    return _Outcome([], [(work, error) for work in group], [])


class Commits:
    """The one writer of this process."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._waiting: deque[_Work] = deque()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._tx: WriteTx | None = None  # the thread's; the loop's between begin and commit
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = False
        self._idle: asyncio.Future[None] | None = None
        self.unsure: Callable[[Verb, Any], None] = lambda verb, answer: None
        """Called for each answer of a transaction whose commit failed: the database may have taken it all the same."""
        self.last: Callable[[Tx, Scope], None] = lambda tx, scope: None
        """Called last in each transaction that has counted something."""
        self.room: Callable[[], int] = lambda: 0
        self.full: Set[int] = frozenset()
        self.take: Callable[[list[CallbackDue]], None] = lambda callbacks: None
        self.transactions = 0
        self.items = 0

    # --- the event loop -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread that begins and commits; bears being called twice."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="kvitto-writer", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Commit what waits, then end the thread; bears being called twice."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        if self._busy:
            self._idle = self._loop.create_future()
            await self._idle
        self._jobs.put(None)
        await self._loop.run_in_executor(None, thread.join)

    def put(self, verb: Verb, item: Any, rows: int = 1) -> "asyncio.Future[Any]":
        """Let a verb wait for the next transaction. ``rows``: about how much it writes."""
        assert self._loop is not None, "start() comes first"
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(answer: Any, error: BaseException | None) -> None:
            if future.done():
                return  # whoever asked has gone away
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

        self.put_hot(verb, item, done, rows)
        return future

    def put_hot(self, verb: Verb, item: Any, done: Done, rows: int = 1) -> None:
        """As ``put``, without a future: ``done`` is called straight after the commit, and must not raise."""
        if self._thread is None:
            done(None, StoreUnavailable("the store is closed"))
            return
        self._waiting.append(_Work(verb, item, done, rows))
        if not self._busy:
            self._busy = True
            self._jobs.put(self._begin)

    def _begun(self, error: BaseException | None) -> None:
        """A transaction is open: fill it with what waits now."""
        group = self._next_group()
        if error is not None:
            self._resolve(_failed(group, error), begun=False)
        elif self._database.remote:
            self._jobs.put(lambda: self._run_and_commit(group))
        else:
            try:
                outcome = self._run(group)
            except Exception as failure:  # the top of the writer's loop: the group's fate is decided in _give_up
                reason = failure  # (Python forgets the name of a caught exception)
                self._jobs.put(lambda: self._give_up(group, reason))
            else:
                self._jobs.put(lambda: self._commit(group, outcome))

    def _next_group(self) -> list[_Work]:
        waiting = self._waiting
        group: list[_Work] = []
        rows = 0
        while waiting and rows < GROUP_ROWS:
            work = waiting.popleft()
            rows += work.rows
            group.append(work)
        return group

    def _resolve(self, outcome: _Outcome, begun: bool) -> None:
        """Answer everybody; then the next group, after those who were answered have had their turn."""
        assert self._loop is not None
        for work, answer in outcome.answers:
            self._answer(work.done, answer, None)
        for work, error in outcome.errors:
            self._answer(work.done, None, error)
        if outcome.handoff:
            self._answer(self.take, outcome.handoff)
        if begun:
            self._loop.call_soon(self._begun, None)
        elif self._waiting:
            self._jobs.put(self._begin)
        else:
            self._busy = False
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    def _answer(self, told: Callable[..., None], *news: Any) -> None:
        """Tell one of many; a fault of his must not keep the others from their answers, nor the next group waiting."""
        try:
            told(*news)
        except Exception as fault:  # the top of the writer's loop
            assert self._loop is not None
            self._loop.call_exception_handler({"message": "whoever was told of a commit failed", "exception": fault})

    def _doubt(self, outcome: _Outcome) -> None:
        for work, answer in outcome.answers:
            self.unsure(work.verb, answer)

    # --- the thread (and _run in either) ------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        if self._tx is not None:
            self._tx.close()
            self._tx = None

    def _tell(self, then: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(then, *arguments)

    def _begin(self) -> None:
        try:
            self._open().begin()
        except Exception as error:  # the top of the writer's loop: whoever waits is told
            self._tell(self._begun, error)
        else:
            self._tell(self._begun, None)

    def _open(self) -> WriteTx:
        if self._tx is None:
            self._tx = self._database.open_writer()
        return self._tx

    def _run(self, group: Sequence[_Work]) -> _Outcome:
        """Run a group's statements in the open transaction."""
        by_verb: dict[Verb, list[_Work]] = {}
        for work in group:
            by_verb.setdefault(work.verb, []).append(work)
        tx, scope = self._open(), Scope(self._node, self.room(), self.full)
        answers: list[tuple[_Work, Any]] = []
        for verb in sorted(by_verb, key=lambda verb: verb.rank):
            works = by_verb[verb]
            results = verb.run(tx, scope, [work.item for work in works])
            answers.extend(zip(works, results, strict=True))
        if scope.counts or scope.tallies:
            self.last(tx, scope)
        return _Outcome(answers, [], scope.handoff)

    def _run_and_commit(self, group: Sequence[_Work]) -> None:
        try:
            outcome = self._run(group)
        except Exception as error:  # the top of the writer's loop: the group's fate is decided in _give_up
            self._give_up(group, error)
        else:
            self._commit(group, outcome)

    def _commit(self, group: Sequence[_Work], outcome: _Outcome) -> None:
        try:
            self._open().commit()
        except Exception as error:  # the top of the writer's loop: the group's fate is decided in _give_up
            self._tell(self._doubt, outcome)
            self._give_up(group, error)
            return
        self.transactions += 1
        self.items += len(group)
        self._tell(self._resolve, outcome, self._begin_next())

    def _begin_next(self) -> bool:
        """Begin the next transaction at once if there is work for it, so that the loop need not ask."""
        if not self._waiting:
            return False
        try:
            self._open().begin()
        except Exception:  # the top of the writer's loop: it is asked for again, and that answer is told
            return False
        return True

    def _give_up(self, group: Sequence[_Work], error: BaseException) -> None:
        """A group failed. Away: all fail. Somebody's fault: one by one, so that only the guilty one fails."""
        self._rollback()
        if isinstance(error, StoreUnavailable) or len(group) == 1:
            self._tell(self._resolve, _failed(group, error), False)
            return
        whole = _Outcome([], [], [])
        for work in group:
            one = self._alone(work)
            whole.answers.extend(one.answers)
            whole.errors.extend(one.errors)
            whole.handoff.extend(one.handoff)
        self._tell(self._resolve, whole, False)

    def _rollback(self) -> None:
        """Forget the transaction; a connection that cannot even do that is replaced by a new one."""
        tx = self._tx
        if tx is None:
            return
        try:
            tx.rollback()
        except Exception:  # the failure that led here is the one that is told
            self._tx = None
            tx.close()

    def _alone(self, work: _Work) -> _Outcome:
        try:
            tx = self._open()
            tx.begin()
            outcome = self._run([work])
            tx.commit()
        except Exception as error:  # the top of the writer's loop: this one fails, the others go on
            self._rollback()
            return _failed([work], error)
        self.transactions += 1
        self.items += 1
        return outcome
