"""What a message's whole way costs in the store alone: admission, claim, answer, receipt, callback, by size of group.

    python -m bench.parts.store_way [--group 10] [--messages 3000] [--rounds 5] [--recipients 1]
                                    [--calls | --statements]

Every transaction does what the server's do under load: it takes the answers, receipts and attempts of earlier groups,
and accepts and claims a new one. In one thread, without sockets, so the figures are steadier than the server's.
``--calls``: function calls a message instead, by function; they do not move with the machine's mood.
``--statements``: microseconds inside of SQLite a message, by statement.
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker, message_ids
from kvitto.core.model import (
    Account,
    Batch,
    CallbackResult,
    CallbackState,
    Claimed,
    Content,
    NewBatch,
    NewMessage,
    Notify,
    PartKey,
)
from kvitto.core.receipt import LinkRules, Receipt
from kvitto.core.status import Reason, Status
from kvitto.store import open_store, sqlcallbacks, sqlstore
from kvitto.store.api import NewAccount, ReceivedReceipt, SubmitAnswer
from kvitto.store.commits import Commits, _Work
from kvitto.store.migrations import upgrade
from kvitto.store.sealing import Seal
from kvitto.store.sqlite import SqliteDatabase, SqliteTx
from kvitto.store.verbs.counting import write_counts
from kvitto.store.verbs.dispatch import Answers, Claim
from kvitto.store.verbs.turns import Turns

__all__ = ["main"]

RULES: Final = LinkRules()
RAW: Final = "00" * 180
CALLBACK_URL: Final = "http://127.0.0.1:28080/cb"
LINK: Final = "link"


class Way:
    """A fresh database with one account, and the groups that go through it."""

    def __init__(self, directory: Path, group: int, recipients: int) -> None:
        self.clock = SystemClock()
        self.ids = IdMaker(self.clock)
        self.group = group
        self.turns = Turns()
        self.recipients = recipients
        self.account_id = self.ids.new()
        self.numbers = iter(range(46_700_000_000, 10**12))
        asyncio.run(self._prepare(directory))
        self.commits = Commits(SqliteDatabase(str(directory / "kvitto.db")), "node")
        self.commits.room = lambda: 1_000_000
        self.commits.last = write_counts
        self.claimed: list[Claimed] = []
        self.answered: list[Claimed] = []
        self.due: list[Any] = []

    async def _prepare(self, directory: Path) -> None:
        url = f"sqlite:///{directory / 'kvitto.db'}"
        await asyncio.to_thread(upgrade, url)
        store = open_store(url, node="node", seal=Seal.fresh(), clock=self.clock)
        await store.start()
        account = Account(id=self.account_id, name="bench", service_plan_id="plan", username="user")
        await store.create_account(NewAccount(account, "token", "password"))
        await store.stop()

    def turn(self) -> None:
        """One transaction: what came of the last ones, and a new group."""
        now = self.clock.now()
        works: list[tuple[Any, Any]] = []
        if self.claimed:
            answers = [SubmitAnswer(PartKey(one.message_id, 1), now, 0, self.smsc_id(one)) for one in self.claimed]
            works.append((sqlstore._ANSWERS, Answers(LINK, LINK, answers)))
        if self.answered:
            received = [ReceivedReceipt(LINK, LINK, now, RAW, self.receipt(one, now), RULES) for one in self.answered]
            works.append((sqlstore._RECEIPTS, received))
        if self.due:
            results = [CallbackResult(one.id, CallbackState.DONE, now, None, None, 200, None, 3) for one in self.due]
            works.append((sqlcallbacks._ATTEMPTS, results))
        works.extend((sqlstore._ACCEPT, self.plan(now)) for _ in range(max(1, self.group // self.recipients)))
        works.append((sqlstore._CLAIM, Claim(LINK, LINK, self.group, now, self.turns)))
        self.answered = self.claimed
        self.commits._open().begin()
        outcome = self.commits._run([_Work(verb, item, _told, 1) for verb, item in works])
        self.commits._open().commit()
        self.due = outcome.handoff
        self.claimed = outcome.answers[-1][1]

    @staticmethod
    def smsc_id(one: Claimed) -> str:
        """An id as many SMSCs give them."""
        return f"a7{one.recipient}"

    def receipt(self, one: Claimed, now: int) -> Receipt:
        """Delivered, by id in text and TLV."""
        number = self.smsc_id(one)
        return Receipt(
            message_id=number,
            text_id=number,
            tlv_id=number,
            status=Status.DELIVERED,
            reason=Reason.DELIVERED,
            final=True,
            stat_raw="DELIVRD",
            message_state=2,
            err="000",
            network_error=None,
            submit_at=now,
            done_at=now,
            sub=None,
            dlvrd=None,
            text="hello",
            raw=b"",
            source_addr=one.recipient,
            destination_addr="Kvitto",
            intermediate=False,
        )

    def plan(self, now: int) -> NewBatch:
        """A batch as the desk makes it."""
        numbers = tuple(str(next(self.numbers)) for _ in range(self.recipients))
        batch = Batch(
            id=self.ids.new(),
            account_id=self.account_id,
            dialect="sinch",
            sender="Kvitto",
            recipients=numbers,
            content=Content(text="hello"),
            notify=Notify.FINAL if self.recipients == 1 else Notify.BATCH_FULL,
            callback_url=CALLBACK_URL,
            client_reference=None,
            created_at=now,
            modified_at=now,
            send_at=None,
            expire_at=now + 86_400_000,
            cancelled_at=None,
            feedback=False,
            extra={},
        )
        ids = message_ids(batch.id, len(numbers))
        return NewBatch(batch, [NewMessage(*pair, 1, None, None) for pair in zip(ids, numbers, strict=True)], "")


def _told(answer: Any, error: BaseException | None) -> None:
    pass


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("bench.parts.store_way")
    parser.add_argument("--group", type=int, default=10)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipients", type=int, default=1)
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--statements", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        way = Way(Path(name), options.group, options.recipients)
        turns = max(1, options.messages // max(options.group, options.recipients))
        for _ in range(8):
            way.turn()
        if options.calls:
            _count_calls(way, turns, options)
        elif options.statements:
            _time_statements(way, turns, options)
        else:
            _measure(way, turns, options)


def _measure(way: Way, turns: int, options: argparse.Namespace) -> None:
    costs = []
    for _ in range(options.rounds):
        before = time.process_time()
        for _ in range(turns):
            way.turn()
        costs.append((time.process_time() - before) / (turns * max(options.group, options.recipients)) * 1e6)
    print(f"us a message, groups of {options.group}: best {min(costs):.1f}, all {[round(cost) for cost in costs]}")


def _time_statements(way: Way, turns: int, options: argparse.Namespace) -> None:
    spent: dict[str, float] = {}
    tx = way.commits._open()

    def timed(call: Callable[..., Any], sql_of: Callable[..., str]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            before = time.perf_counter()
            result = call(*arguments)
            sql = sql_of(*arguments)
            spent[sql] = spent.get(sql, 0.0) + time.perf_counter() - before
            return result

        return run

    assert isinstance(tx, SqliteTx)
    cast(Any, tx)._call = timed(tx._call, lambda compiled, *_: compiled.sql)
    cast(Any, tx)._call_each = timed(tx._call_each, lambda each, *_: each.sql)
    cast(Any, tx)._execute = timed(tx._execute, lambda sql: sql)
    for _ in range(turns):
        way.turn()
    messages = turns * max(options.group, options.recipients)
    for sql, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{seconds / messages * 1e6:7.2f}  {' '.join(sql.split())[:150]}")
    print(f"{sum(spent.values()) / messages * 1e6:7.2f}  in all")


def _count_calls(way: Way, turns: int, options: argparse.Namespace) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(turns):
        way.turn()
    profile.disable()
    messages = turns * max(options.group, options.recipients)
    stats: Any = SimpleNamespace(**vars(pstats.Stats(profile)))
    rows = [(calls / messages, where) for where, (_, calls, *_rest) in stats.stats.items()]
    print(f"function calls a message: {sum(calls for calls, _ in rows):.1f}")
    for calls, (file, line, name) in sorted(rows, reverse=True)[:60]:
        print(f"{calls:8.2f}  {name} {'/'.join(file.split('/')[-2:])}:{line}")


if __name__ == "__main__":
    main()
