"""Grouped commits: many waiting verbs, one transaction, each answered after it.

The event loop puts work in; one thread takes all that waits, runs it verb by verb in one transaction, commits, and
hands all results back in one call. There is no timer: the next transaction starts when the last has ended, with
whatever came
meanwhile, so a lone caller waits for one commit and a crowd shares it (ADR 0004).

If a group fails by somebody's fault, its members run again one by one, so that only the guilty one fails. If the
database cannot be used, all fail with ``StoreUnavailable`` and nothing of them is stored.

Must not know: what the verbs do. Next: ``kvitto.store.verbs``.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import CallbackDue
from kvitto.store.statements import Tx

__all__ = ["Commits", "Database", "Scope", "Verb", "WriteTx"]

GROUP_ROWS: Final = 2000
"""About how many rows one transaction takes on: bounds how long a commit, and with it every waiting answer, can take.
"""


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
    """Makes connections."""

    @property
    def name(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def open_writer(self) -> WriteTx:
        """A connection for the writing thread."""

    def open_reader(self) -> WriteTx:
        """A connection that cannot write."""


class Scope:
    """What one transaction carries beside its statements: the node's name, and what to do after the commit.

    ``room``: how many callbacks the sender would take over right after the commit; ``handoff``: those it will get.
    """

    __slots__ = ("handoff", "node", "room")

    def __init__(self, node: str, room: int) -> None:
        self.node = node
        self.room = room
        self.handoff: list[CallbackDue] = []


class Verb(NamedTuple):
    """One thing the store can do to a group of items: ``run`` returns one result an item, in order.

    ``rank`` orders verbs inside a transaction: what frees slots comes before what claims them.
    """

    name: str
    rank: int
    run: Callable[[Tx, Scope, Sequence[Any]], Sequence[Any]]


class _Work(NamedTuple):
    verb: Verb
    item: Any
    future: "asyncio.Future[Any]"
    rows: int


class Commits:
    """The one writer of this process."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node
        self._waiting: deque[_Work] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.room: Callable[[], int] = lambda: 0
        self.take: Callable[[list[CallbackDue]], None] = lambda callbacks: None
        self.transactions = 0
        self.items = 0

    def start(self) -> None:
        """Start the writing thread; bears being called twice."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name="kvitto-writer", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Commit what waits, then end the thread; bears being called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping = True
            self._wake.set()
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def put(self, verb: Verb, item: Any, rows: int = 1) -> "asyncio.Future[Any]":
        """Let a verb wait for the next transaction; called in the event loop. ``rows``: about how much it writes."""
        assert self._loop is not None, "start() comes first"
        future = self._loop.create_future()
        if self._thread is None:
            future.set_exception(StoreUnavailable("the store is closed"))
            return future
        self._waiting.append(_Work(verb, item, future, rows))
        self._wake.set()
        return future

    # --- the writing thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        tx: WriteTx | None = None
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group = self._next_group()
                try:
                    tx = tx or self._database.open_writer()
                except StoreUnavailable as error:
                    self._deliver([(work.future, None, error) for work in group], [])
                    continue
                self._commit_group(tx, group)
            if self._stopping and not self._waiting:
                if tx is not None:
                    tx.close()
                return

    def _next_group(self) -> list[_Work]:
        waiting = self._waiting
        group: list[_Work] = []
        rows = 0
        while waiting and rows < GROUP_ROWS:
            work = waiting.popleft()
            rows += work.rows
            group.append(work)
        return group

    def _commit_group(self, tx: WriteTx, group: list[_Work]) -> None:
        try:
            self._deliver(*self._transaction(tx, group))
            return
        except StoreUnavailable as error:
            tx.rollback()
            self._deliver([(work.future, None, error) for work in group], [])
            return
        except Exception as error:  # the top of the writer's loop: the group's fate is decided here, one by one
            tx.rollback()
            if len(group) == 1:
                self._deliver([(group[0].future, None, error)], [])
                return
        for work in group:
            self._commit_group(tx, [work])

    def _transaction(
        self, tx: WriteTx, group: list[_Work]
    ) -> "tuple[list[tuple[asyncio.Future[Any], Any, Exception | None]], list[CallbackDue]]":
        by_verb: dict[Verb, list[_Work]] = {}
        for work in group:
            by_verb.setdefault(work.verb, []).append(work)
        scope = Scope(self._node, self.room())
        results: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        tx.begin()
        for verb in sorted(by_verb, key=lambda verb: verb.rank):
            works = by_verb[verb]
            answers = verb.run(tx, scope, [work.item for work in works])
            results.extend((work.future, answer, None) for work, answer in zip(works, answers, strict=True))
        tx.commit()
        self.transactions += 1
        self.items += len(group)
        return results, scope.handoff

    def _deliver(
        self, results: "list[tuple[asyncio.Future[Any], Any, Exception | None]]", handoff: list[CallbackDue]
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._resolve, results, handoff)

    def _resolve(
        self, results: "list[tuple[asyncio.Future[Any], Any, Exception | None]]", handoff: list[CallbackDue]
    ) -> None:
        for future, answer, error in results:
            if future.done():
                continue  # whoever asked has gone away
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)
        if handoff:
            self.take(handoff)
