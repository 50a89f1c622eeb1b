"""Grouped commits with a scripted database: who is answered, who fails, and what happens when the database is away."""

import asyncio
import threading

import pytest

from kvitto.core.errors import StoreUnavailable
from kvitto.store.commits import GROUP_ROWS, Commits, Verb


class ScriptedTx:
    """A transaction that keeps what verbs ``write``; ``faults``: what to raise at begin, commit, rollback or open."""

    def __init__(self, database):
        self.database = database
        self.pending = []
        self.open = False

    def _fault(self, step):
        faults = self.database.faults.get(step)
        error = faults.pop(0) if faults else None
        if error is not None:
            raise error

    def begin(self):
        assert not self.open, "no transaction inside another"
        self.database.steps.append("begin")
        self._fault("begin")
        self.open = True
        self.pending = []

    def commit(self):
        assert self.open
        self.database.steps.append("commit")
        self.database.at_commit.wait(5)
        self._fault("commit")
        self.open = False
        self.database.stored.append(list(self.pending))

    def rollback(self):
        self.database.steps.append("rollback")
        self._fault("rollback")
        self.open, self.pending = False, []

    def close(self):
        self.database.steps.append("close")
        self.database.closed += 1

    def write(self, value):
        assert self.open, "verbs run inside a transaction"
        self.pending.append(value)


class ScriptedDatabase:
    """Makes scripted transactions; ``at_commit`` holds every commit back while it is cleared."""

    name = "scripted"

    def __init__(self, *, remote):
        self.remote = remote
        self.faults = {}
        self.steps = []
        self.stored = []
        self.closed = 0
        self.opened = 0
        self.at_commit = threading.Event()
        self.at_commit.set()

    def open_writer(self):
        faults = self.faults.get("open")
        error = faults.pop(0) if faults else None
        if error is not None:
            raise error
        self.opened += 1
        return ScriptedTx(self)

    open_reader = open_writer


def write(tx, scope, items):
    """Store each item; "poison" cannot be stored; the answer tells the size of the group."""
    for item in items:
        if item == "poison":
            raise ValueError("poison")
        tx.write(item)
    return [(item, len(items)) for item in items]


WRITE = Verb("write", 10, write)
AWAY = StoreUnavailable("away")


@pytest.fixture(params=[False, True], ids=["file", "server"])
def database(request):
    return ScriptedDatabase(remote=request.param)


@pytest.fixture
async def commits(database):
    made = Commits(database, "node1")
    made.start()
    yield made
    database.at_commit.set()
    await asyncio.wait_for(made.stop(), 5)


async def soon(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # what is waited for happens in another thread
            await asyncio.sleep(0.001)


async def results(*futures):
    async with asyncio.timeout(5):
        return await asyncio.gather(*futures, return_exceptions=True)


async def test_a_lone_verb_is_answered_after_its_commit(commits, database):
    database.at_commit.clear()
    future = commits.put(WRITE, "a")
    await soon(lambda: "commit" in database.steps)
    await asyncio.sleep(0)
    assert not future.done()
    database.at_commit.set()
    assert await results(future) == [("a", 1)]
    assert database.stored == [["a"]]


async def test_what_comes_while_a_commit_runs_shares_the_next_one(commits, database):
    database.at_commit.clear()
    first = commits.put(WRITE, "a")
    await soon(lambda: "commit" in database.steps)
    crowd = [commits.put(WRITE, number) for number in range(50)]
    database.at_commit.set()
    assert await results(first, *crowd) == [("a", 1)] + [(number, 50) for number in range(50)]
    assert database.stored == [["a"], list(range(50))]
    assert (commits.transactions, commits.items) == (2, 51)


async def test_verbs_run_by_rank_and_each_gets_its_items_in_order(commits, database):
    last, first = Verb("last", 90, write), Verb("first", 1, write)
    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    futures = [commits.put(last, "l1"), commits.put(first, "f1"), commits.put(last, "l2"), commits.put(first, "f2")]
    database.at_commit.set()
    assert [answer[0] for answer in await results(opening, *futures)] == ["opening", "l1", "f1", "l2", "f2"]
    assert database.stored[1] == ["f1", "f2", "l1", "l2"]


async def test_a_group_is_bounded_by_its_rows(commits, database):
    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    futures = [commits.put(WRITE, number, GROUP_ROWS // 2) for number in range(5)]
    huge = commits.put(WRITE, "huge", GROUP_ROWS * 10)
    database.at_commit.set()
    await results(opening, *futures, huge)
    assert database.stored[1:] == [[0, 1], [2, 3], [4, "huge"]]


async def test_only_the_guilty_one_fails(commits, database):
    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    futures = [commits.put(WRITE, item) for item in ("a", "poison", "b")]
    database.at_commit.set()
    _, a, poison, b = await results(opening, *futures)
    assert (a, b) == (("a", 1), ("b", 1))
    assert isinstance(poison, ValueError)
    assert database.stored == [["opening"], ["a"], ["b"]]
    assert await results(commits.put(WRITE, "after")) == [("after", 1)]


async def test_an_answer_too_few_is_a_fault_of_the_verb_and_nothing_is_stored(commits, database):
    def answer_none(tx, scope, items):
        tx.write("x")
        return []

    short = Verb("short", 1, answer_none)
    (error,) = await results(commits.put(short, "a"))
    assert isinstance(error, ValueError)
    assert database.stored == []


@pytest.mark.parametrize("step", ["begin", "commit", "open"])
async def test_a_database_that_is_away_fails_all_and_works_when_it_is_back(database, step):
    database.faults[step] = [AWAY]
    commits = Commits(database, "node1")
    commits.start()
    together = await results(*[commits.put(WRITE, number) for number in range(3)])
    assert all(isinstance(answer, StoreUnavailable) for answer in together) or step == "open"
    assert any(isinstance(answer, StoreUnavailable) for answer in together)
    stored = [item for group in database.stored for item in group]
    assert stored == [answer[0] for answer in together if isinstance(answer, tuple)]
    assert await results(commits.put(WRITE, "back")) == [("back", 1)]
    await asyncio.wait_for(commits.stop(), 5)


async def test_a_verb_that_finds_the_database_away_fails_everybody_of_its_group(commits, database):
    def away(tx, scope, items):
        raise AWAY

    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    futures = [commits.put(WRITE, "a"), commits.put(Verb("away", 99, away), "b")]
    database.at_commit.set()
    answers = await results(opening, *futures)
    assert [type(answer) for answer in answers] == [tuple, StoreUnavailable, StoreUnavailable]
    assert database.stored == [["opening"]]


async def test_a_connection_that_cannot_even_roll_back_is_replaced(commits, database):
    database.faults["rollback"] = [OSError("disk"), OSError("disk")]
    (error,) = await results(commits.put(WRITE, "poison"))
    assert isinstance(error, ValueError)
    assert await results(commits.put(WRITE, "after")) == [("after", 1)]
    assert (database.closed, database.opened) == (1, 2)


async def test_any_failure_of_begin_is_told_and_harms_only_those_who_waited(commits, database):
    database.faults["begin"] = [RuntimeError("odd")]
    (error,) = await results(commits.put(WRITE, "a"))
    assert isinstance(error, RuntimeError)
    assert await results(commits.put(WRITE, "b")) == [("b", 1)]


async def test_a_caller_who_went_away_disturbs_nobody(commits, database):
    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    gone, stays = commits.put(WRITE, "gone"), commits.put(WRITE, "stays")
    gone.cancel()
    database.at_commit.set()
    assert (await results(opening, stays))[1] == ("stays", 2)
    assert database.stored[1] == ["gone", "stays"], "a verb on its way is done all the same"


async def test_stop_does_what_waits_and_refuses_what_comes_after(commits, database):
    futures = [commits.put(WRITE, number) for number in range(10)]
    await asyncio.wait_for(commits.stop(), 5)
    assert [answer[0] for answer in await results(*futures)] == list(range(10))
    assert database.closed == 1
    (late,) = await results(commits.put(WRITE, "late"))
    assert isinstance(late, StoreUnavailable)


async def test_start_and_stop_bear_early_and_double_calls(database):
    commits = Commits(database, "node1")
    await commits.stop()
    commits.start()
    commits.start()
    assert await results(commits.put(WRITE, "a")) == [("a", 1)]
    await asyncio.wait_for(commits.stop(), 5)
    await asyncio.wait_for(commits.stop(), 5)
    commits.start()
    assert await results(commits.put(WRITE, "b")) == [("b", 1)]
    await asyncio.wait_for(commits.stop(), 5)
    assert database.closed == database.opened == 2


async def test_callbacks_are_handed_off_after_the_commit_and_not_after_a_failure(commits, database):
    taken: list[object] = []
    commits.room = lambda: 2
    commits.take = taken.extend

    def cause(tx, scope, items):
        assert (scope.node, scope.room) == ("node1", 2)
        scope.handoff.extend(items)
        return items

    verb = Verb("cause", 1, cause)
    database.faults["commit"] = [AWAY]
    await results(commits.put(verb, "lost"))
    assert taken == []
    assert await results(commits.put(verb, "told")) == ["told"]
    await soon(lambda: taken == ["told"])


async def test_callbacks_of_the_innocent_are_handed_off_when_a_neighbour_fails(commits, database):
    taken: list[object] = []
    commits.room = lambda: 10
    commits.take = taken.extend

    def cause(tx, scope, items):
        scope.handoff.extend(items)
        return write(tx, scope, items)

    verb = Verb("cause", 1, cause)
    database.at_commit.clear()
    opening = commits.put(WRITE, "opening")
    await soon(lambda: "commit" in database.steps)
    futures = [commits.put(verb, item) for item in ("a", "poison", "b")]
    database.at_commit.set()
    await results(opening, *futures)
    await soon(lambda: len(taken) == 2)
    assert taken == ["a", "b"]


async def test_thousands_of_verbs_from_many_callers_are_all_answered_once(commits, database):
    async def caller(number):
        return [(await commits.put(WRITE, (number, turn)))[0] for turn in range(40)]

    async with asyncio.timeout(20):
        answers = await asyncio.gather(*map(caller, range(50)))
    assert answers == [[(number, turn) for turn in range(40)] for number in range(50)]
    stored = [item for group in database.stored for item in group]
    assert len(stored) == len(set(stored)) == 2000


async def test_a_fault_of_one_who_is_told_keeps_nobody_else_waiting(commits):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context["exception"]))

    def stumble(answer, error):
        raise RuntimeError("a fault of the one who is told")

    commits.put_hot(WRITE, "first", stumble)
    beside = commits.put(WRITE, "second")
    assert await results(beside) != []
    assert (await results(commits.put(WRITE, "later")))[0][0] == "later"
    assert [str(fault) for fault in faults] == ["a fault of the one who is told"]
