"""Killed at any instant of a transaction, and told again: everything counts once and nothing is lost (R49, P2, P9).

A crash between two statements is what the database sees of a ``kill -9``: the transaction is not there. A crash after
the commit is one before the answer: it is there, and whoever was not answered comes again. Every instant is hit, one
after the other, until an operation goes through without a crash. (Kills of the real process: ``tests/acceptance``.)
"""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import func, select

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Notify, ReceiptOutcome
from kvitto.core.status import Status
from kvitto.store import schema as t
from kvitto.store.commits import WriteTx
from kvitto.store.statements import Row, Statement
from tests.conformance.house import House, build_receipt

INSTANTS = 60
"""More than any operation here has."""


class Fuse:
    """Burns at the n-th instant: before each statement, before the commit, after the commit."""

    def __init__(self, instant: int) -> None:
        self.left = instant
        self.burnt = False

    def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.burnt = True
            raise StoreUnavailable("killed here")


class FusedTx:
    """A connection with a fuse in it."""

    def __init__(self, tx: WriteTx, fuse: Fuse) -> None:
        self._tx = tx
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def run(self, statement: Statement, rows: Any = None, /, **parameters: Any) -> list[Row]:
        self._fuse.pass_by()
        return self._tx.run(statement, rows, **parameters)

    def commit(self) -> None:
        self._fuse.pass_by()
        self._tx.commit()
        self._fuse.pass_by()


async def hit_every_instant(
    house: House, prepare: Callable[[], Awaitable[Any]], operate: Callable[[Any], Awaitable[Any]]
) -> list[Any]:
    """Prepare and operate with a crash at each instant in turn; after it the process starts anew and is told again."""
    subjects = []
    for instant in range(1, INSTANTS):
        subject = await prepare()
        subjects.append(subject)
        fuse = Fuse(instant)
        commits = house.store.commits
        commits._tx = FusedTx(commits._tx, fuse)
        try:
            await operate(subject)
        except StoreUnavailable:
            assert fuse.burnt
        commits._tx = getattr(commits._tx, "_tx", commits._tx)
        if not fuse.burnt:
            assert instant > 4, "hardly an instant was there to hit"
            return subjects
        await house.restart()
        await operate(subject)
    raise AssertionError("it never went through")


async def callbacks_of(house: House, message: str) -> int:
    query = (
        select(func.count())
        .select_from(t.callback.join(t.event, t.event.c.seq == t.callback.c.id))
        .where(t.event.c.message_id == message)
    )
    return (await house.look(query))[0][0]


async def assert_told_once(house: House, messages: list[str]) -> None:
    for message in messages:
        assert (await house.status(message))[0] is Status.DELIVERED
        assert [status for status, _ in await house.events(message)].count(Status.DELIVERED) == 1
        assert await callbacks_of(house, message) == 1


async def test_r49_a_receipt_counts_once_whenever_the_process_is_killed(house: House):
    async def prepare() -> str:
        return (await house.dispatch())[0]

    messages = await hit_every_instant(house, prepare, house.receipt_for)
    await assert_told_once(house, messages)
    rows = await house.look(select(t.receipt.c.message_id, t.receipt.c.outcome).order_by(t.receipt.c.id))
    for message in messages:
        outcomes = [outcome for owner, outcome in rows if owner == message]
        assert outcomes in (["matched"], ["matched", "duplicate"])
    counts = {one.name: one.value for one in await house.store.count_links()}
    assert counts["receipts_matched"] == len(messages)
    assert counts["receipts"] == len(rows)


async def test_r49_a_receipt_that_waits_is_used_once_with_the_response_that_names_its_message(house: House):
    async def prepare() -> str:
        (message,) = await house.send()
        await house.claim()
        await house.receive(build_receipt(f"early-{message}"))
        return message

    async def answer(message: str) -> None:
        await house.answer(message, f"early-{message}")

    messages = await hit_every_instant(house, prepare, answer)
    await assert_told_once(house, messages)
    assert await house.look(select(t.parked_key.c.receipt_id)) == []
    assert await house.look(select(t.receipt.c.outcome).distinct()) == [("matched",)]


async def test_r49_a_parked_receipt_is_kept_once_or_twice_and_used_once(house: House):
    async def prepare() -> str:
        (message,) = await house.send()
        await house.claim()
        return message

    async def early(message: str) -> None:
        await house.receive(build_receipt(f"early-{message}"))

    messages = await hit_every_instant(house, prepare, early)
    for message in messages:
        await house.answer(message, f"early-{message}")
    await assert_told_once(house, messages)
    assert await house.store.list_receipts([ReceiptOutcome.PARKED]) == []


async def test_r49_the_end_of_a_wait_is_told_once(house: House):
    async def prepare() -> str:
        return (await house.dispatch(valid_s=1))[0]

    async def end(message: str) -> None:
        house.clock.advance(3700)
        await house.store.end_overdue({}, house.now, 10)

    messages = await hit_every_instant(house, prepare, end)
    for message in messages:
        assert (await house.status(message))[0] is Status.UNKNOWN
        assert await callbacks_of(house, message) == 1


async def test_r49_an_adoption_happens_once(house: House):
    async def prepare() -> str:
        (message,) = await house.send()
        await house.claim()
        await house.fate(message, in_doubt=True)
        await house.receive(build_receipt(f"id-{message}", to=await house.recipient(message)))
        house.clock.advance(61)
        return message

    async def retry(message: str) -> None:
        await house.store.retry_parked({}, house.now)
        house.clock.advance(600)
        await house.store.retry_parked({}, house.now)

    await assert_told_once(house, await hit_every_instant(house, prepare, retry))


async def test_r49_an_assignment_by_hand_happens_once(house: House):
    async def prepare() -> tuple[int, str]:
        await house.receive(build_receipt("lost"))
        (parked,) = await house.store.list_receipts([ReceiptOutcome.PARKED], limit=1)
        return parked.id, (await house.dispatch())[0]

    async def assign(subject: tuple[int, str]) -> None:
        receipt, message = subject
        assert (await house.store.assign_receipt(receipt, message, None, house.now)).problem == ""

    subjects = await hit_every_instant(house, prepare, assign)
    await assert_told_once(house, [message for _, message in subjects])


async def test_r49_a_batch_that_ends_is_told_of_once(house: House):
    async def prepare() -> str:
        return (await house.dispatch(notify=Notify.BATCH_FULL))[0]

    messages = await hit_every_instant(house, prepare, house.receipt_for)
    assert await house.look(select(func.count()).select_from(t.callback)) == [(len(messages),)]


async def test_r51_cleaning_that_is_killed_goes_on(house: House):
    async def prepare() -> None:
        (message,) = await house.dispatch(notify=Notify.NONE)
        await house.receipt_for(message)
        house.clock.advance(100 * 86_400)

    async def clean(_: None) -> None:
        while not (await house.store.clean({}, 30, house.now, 100)).over:
            pass

    await hit_every_instant(house, prepare, clean)
    for table in (t.batch, t.message, t.part, t.event, t.receipt):
        assert await house.look(select(func.count()).select_from(table)) == [(0,)]
