"""Everything that changed holds what got on its way too, and loses and repeats nothing of it (ADR 0020, docs/api.md 5).

Most of these messages are told of nowhere else: rows of ``dispatched`` list them.
"""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import delete, func, select

from kvitto.core.model import Account, Notify, PartKey
from kvitto.core.receipt import LinkRules
from kvitto.core.record import CursorRefused, EventPage, EventView
from kvitto.core.status import ErrorSource, Reason, Status
from kvitto.store import schema as t
from kvitto.store.api import SubmitAnswer
from kvitto.store.commits import Verb
from kvitto.store.statements import Statement
from kvitto.store.verbs import reconciliation
from tests.conformance.house import House
from tests.support.clock import FakeClock

DAY_S = 86_400


async def read_all(
    house: House, wanted: int, *, limit: int = 100, account: Account | None = None, after: str = ""
) -> list[EventView]:
    """All changes of the account, page by page, once as many as are wanted are there: whoever has a transaction open
    on the cluster holds readers back.
    """
    owner = (account or house.account).id
    seen: list[EventView] = []
    cursor = after
    async with asyncio.timeout(30):
        while True:
            page: EventPage = await house.store.events_after(owner, cursor, limit)
            assert len(page.events) <= limit
            seen += page.events
            cursor = page.cursor
            if not page.more:
                if len(seen) >= wanted:
                    return seen
                await asyncio.sleep(0.01)


def told(seen: Sequence[EventView]) -> list[tuple[str, Status]]:
    return [(one.view.id, one.view.status) for one in seen]


async def count(house: House, table: Any) -> int:
    rows = await house.look(select(func.count()).select_from(table))
    return int(rows[0][0])


async def forget(house: House, message_id: str) -> None:
    """The message's row goes, by whatever way."""
    gone = Statement(lambda _: delete(t.message).where(t.message.c.id == message_id))
    await house.store.commits.put(Verb("forget", 1, lambda tx, _, items: [tx.run(gone) for _ in items]), None)


async def answer_each(house: House, ids: Sequence[str], gap_s: float = 0.0) -> None:
    """One group of answers, each a little later than the one before."""
    answers = []
    for message_id in ids:
        answers.append(SubmitAnswer(PartKey(message_id, 1), house.now, 0, house.smsc_id(message_id)))
        house.clock.advance(gap_s)
    await house.store.record_answers("link", "link", answers)


async def test_what_got_on_its_way_is_in_the_feed_whatever_its_batch_asked_for(house: House):
    wanted: dict[str, Status] = {}
    for notify in Notify:
        for message in await house.dispatch(2, notify=notify):
            wanted[message] = Status.DISPATCHED
    seen = await read_all(house, len(wanted))
    assert dict(told(seen)) == wanted
    assert len(seen) == len(wanted), "none is there twice"
    assert [one.seq for one in seen] == sorted({one.seq for one in seen})


async def test_a_listed_change_says_what_an_event_of_it_says(house: House):
    (listed,) = await house.dispatch(notify=Notify.NONE, client_reference="order-1", extra={"a": 1})
    (event,) = await house.dispatch(notify=Notify.CHANGES, client_reference="order-1", extra={"a": 1})
    assert await count(house, t.dispatched) == await count(house, t.event) == 1
    first, second = [one.view for one in await read_all(house, 2)]
    assert (first.id, second.id) == (listed, event)
    assert first.smsc_message_id == house.smsc_id(listed)
    own = {"id", "batch_id", "recipient", "smsc_message_id"}
    same = {name: value for name, value in first._asdict().items() if name not in own}
    assert same == {name: value for name, value in second._asdict().items() if name not in own}
    assert (first.reason, first.error.source) == (Reason.ACCEPTED, ErrorSource.NONE)


async def test_each_has_the_instant_of_its_own_answer(house: House):
    ids = await house.send(5, notify=Notify.NONE)
    await house.claim()
    began = house.now
    await answer_each(house, ids, gap_s=0.25)
    seen = await read_all(house, 5)
    assert [(one.view.id, one.view.since_at) for one in seen] == [(one, began + 250 * at) for at, one in enumerate(ids)]
    assert await count(house, t.dispatched) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_that_end_within_a_row_lose_and_repeat_nothing(house: House, limit: int):
    other = await house.new_account()
    mine: list[str] = []
    for _ in range(3):
        mine += await house.send(4, notify=Notify.NONE)
        await house.send(2, notify=Notify.NONE, account=other)
        mine += await house.send(1, notify=Notify.CHANGES)
        claimed = await house.claim()
        await answer_each(house, [one.message_id for one in claimed])
    await house.receipt_for(mine[0])
    seen = await read_all(house, 16, limit=limit)
    assert sorted(told(seen)) == sorted([(one, Status.DISPATCHED) for one in mine] + [(mine[0], Status.DELIVERED)])
    assert [one.seq for one in seen] == sorted({one.seq for one in seen})
    assert [one.cursor.endswith(f"-{one.seq}") for one in seen] == [True] * 16
    assert len(await read_all(house, 6, limit=limit, account=other)) == 6


async def test_a_row_for_each_account_and_transaction(house: House):
    other = await house.new_account()
    ids = [*await house.send(3, notify=Notify.NONE), *await house.send(2, notify=Notify.NONE, account=other)]
    await house.claim()
    await answer_each(house, ids)
    rows = await house.look(select(t.dispatched.c.account_id, t.dispatched.c.messages).order_by(t.dispatched.c.seq))
    assert rows == [(house.account.id, " ".join(ids[:3])), (other.id, " ".join(ids[3:]))]


async def test_an_end_comes_after_the_way_also_within_one_transaction(house: House):
    ids = await house.send(20, notify=Notify.NONE)
    await house.claim()
    answers = [SubmitAnswer(PartKey(one, 1), house.now, 0, house.smsc_id(one)) for one in ids]
    await asyncio.gather(house.store.record_answers("link", "link", answers), *[house.receipt_for(one) for one in ids])
    seen = await read_all(house, 40)
    numbers = {(one.view.id, one.view.status): one.seq for one in seen}
    assert len(numbers) == 40
    assert all(numbers[one, Status.DISPATCHED] < numbers[one, Status.DELIVERED] for one in ids)


async def test_a_text_of_several_parts_is_on_its_way_once(house: House):
    (message,) = await house.dispatch(parts=3, notify=Notify.NONE)
    assert told(await read_all(house, 1)) == [(message, Status.DISPATCHED)]


async def test_one_that_was_refused_for_now_first_says_so_before_it_is_on_its_way(house: House):
    (message,) = await house.send(notify=Notify.NONE)
    await house.claim()
    await house.answer(message, status=0x58, retry_in_s=1)
    house.clock.advance(1)
    await house.claim()
    await house.answer(message, house.smsc_id(message))
    seen = await read_all(house, 2)
    assert told(seen) == [(message, Status.QUEUED), (message, Status.DISPATCHED)]
    assert seen[0].view.error.command_status == 0x58


async def test_that_the_smsc_tries_again_is_an_event_without_anybody_to_tell(house: House):
    (message,) = await house.dispatch(notify=Notify.NONE, callback_url=None)
    for _ in range(2):
        await house.receipt_for(message, Status.DISPATCHED, Reason.RETRYING_SMSC)
    seen = await read_all(house, 2)
    assert [(one.view.status, one.view.reason) for one in seen] == [
        (Status.DISPATCHED, Reason.ACCEPTED),
        (Status.DISPATCHED, Reason.RETRYING_SMSC),
    ]
    assert await house.callbacks() == []


async def test_readers_that_see_few_rows_at_a_time_still_see_all(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reconciliation, "ROWS_AT", 2)
    monkeypatch.setattr(reconciliation, "LOOKED_AT", 3)
    other = await house.new_account()
    mine: list[str] = []
    for at in range(6):
        mine += await house.dispatch(2, notify=Notify.NONE if at % 2 else Notify.CHANGES)
        await house.dispatch(2, notify=Notify.NONE, account=other)
    assert told(await read_all(house, 12)) == [(one, Status.DISPATCHED) for one in mine]


async def test_messages_that_are_gone_are_left_out_and_their_rows_go(house: House):
    first, second = await house.dispatch(2, notify=Notify.NONE)
    await forget(house, first)
    assert told(await read_all(house, 1)) == [(second, Status.DISPATCHED)]
    house.clock.advance(100 * DAY_S)
    for _ in range(2):
        await house.store.clean({"link": LinkRules()}, 30, house.now, 100)
    assert await count(house, t.dispatched) == 1, "one of its messages has not ended"
    await house.receipt_for(second)
    house.clock.advance(100 * DAY_S)
    await house.store.clean({"link": LinkRules()}, 30, house.now, 100)
    assert await count(house, t.message) == await count(house, t.dispatched) == 0


@pytest.mark.parametrize("limit", [1, 3])
async def test_r51_rows_go_step_by_step_with_the_last_of_their_messages(house: House, limit: int):
    for _ in range(7):
        for message in await house.dispatch(2, notify=Notify.NONE):
            await house.receipt_for(message)
    assert await count(house, t.dispatched) == 7
    house.clock.advance(31 * DAY_S)
    over = False
    for _ in range(200):
        cleaned = await house.store.clean({"link": LinkRules()}, 30, house.now, limit)
        if over and cleaned.over:
            break
        over = cleaned.over
    assert await count(house, t.message) == await count(house, t.dispatched) == 0


async def test_numbers_go_on_after_a_restart_whatever_was_drawn_last(house: House):
    await house.dispatch(3, notify=Notify.NONE)
    before = [one.seq for one in await read_all(house, 3)]
    await house.restart()
    await house.dispatch(1, notify=Notify.CHANGES)
    seen = await read_all(house, 4)
    assert seen[-1].seq > max(before)
    assert len({one.seq for one in seen}) == 4


async def test_a_cursor_ahead_of_everything_is_refused_and_none_that_was_handed_out(house: House):
    await house.dispatch(3, notify=Notify.NONE)
    seen = await read_all(house, 3)
    now = await house.store.events_after(house.account.id, "now", 10)
    for cursor in (seen[0].cursor, seen[-1].cursor, now.cursor):
        assert isinstance(await house.store.events_after(house.account.id, cursor, 10), EventPage)
    place, number = (int(one) for one in seen[-1].cursor.split("-"))
    forged = [f"{place + (1 << 40)}-{number}", f"{(1 << 63) - 1}-{(1 << 63) - 1}"]
    if not house.store.commits._database.remote:
        forged += [f"0-{number + 1}", f"0-{1 << 62}", f"1-{number}"]
    for cursor in forged:
        assert await house.store.events_after(house.account.id, cursor, 10) is CursorRefused.AHEAD, cursor


async def test_a_cursor_from_before_an_older_copy_was_restored_is_refused(sqlite_url: str, tmp_path: Path):
    clock = FakeClock()
    house = await House(sqlite_url, clock).start()
    await house.dispatch(2, notify=Notify.NONE)
    await house.store.stop()
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    shutil.copy(path, tmp_path / "copy.db")
    await house.restart()
    await house.dispatch(2, notify=Notify.NONE)
    cursor = (await read_all(house, 4))[-1].cursor
    await house.store.stop()
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
    shutil.copy(tmp_path / "copy.db", path)
    await house.restart()
    assert await house.store.events_after(house.account.id, cursor, 10) is CursorRefused.AHEAD
    assert len(await read_all(house, 2)) == 2
    await house.stop()


async def test_an_honest_cursor_leads_on_after_everything_was_forgotten(house: House):
    """Numbers rise for ever: who read up to the last change misses none of those that come when all rows are gone."""
    (message,) = await house.dispatch(notify=Notify.NONE)
    await house.receipt_for(message)
    cursor = (await read_all(house, 2))[-1].cursor
    house.clock.advance(100 * DAY_S)
    for _ in range(3):
        await house.store.clean({"link": LinkRules()}, 30, house.now, 100)
    for table in (t.event, t.dispatched, t.callback, t.receipt, t.message):
        assert await count(house, table) == 0, table.name
    await house.restart()
    page = await house.store.events_after(house.account.id, cursor, 10)
    assert (page.events, page.more) == ([], False)
    (later,) = await house.dispatch(notify=Notify.NONE)
    assert told(await read_all(house, 1, after=cursor)) == [(later, Status.DISPATCHED)]


async def test_a_list_that_commits_late_is_not_skipped(postgres_house: House):
    house = postgres_house
    (hidden,) = await house.send(notify=Notify.NONE)
    slow = await asyncpg.connect(house.url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(
        "INSERT INTO dispatched (seq, account_id, at, messages, tx)"
        " SELECT nextval('serial'), $1, 1, $2, pg_current_xact_id()::text::bigint",
        house.account.id,
        hidden,
    )
    quick = await house.send(notify=Notify.NONE)
    await house.claim()
    await answer_each(house, quick)
    page = await house.store.events_after(None, "", 10)
    assert page.events == [], "nothing is told before the slow one is through"
    await transaction.commit()
    await slow.close()
    assert [one.view.id for one in await read_all(house, 2)] == [hidden, *quick]


async def test_readers_beside_two_writers_see_every_change_once(postgres_house: House):
    """Numbers are drawn by two processes at once, so that rows have gaps and lie across each other."""
    house = postgres_house
    other = await house.second(node="node2")
    ids = await house.send(400, notify=Notify.NONE)
    await house.claim()
    halves = [(house.store, ids[::2]), (other, ids[1::2])]

    async def answer(store: Any, messages: Sequence[str]) -> None:
        for at in range(0, len(messages), 5):
            some = messages[at : at + 5]
            answers = [SubmitAnswer(PartKey(one, 1), house.now, 0, house.smsc_id(one)) for one in some]
            await store.record_answers("link", "link", answers)

    writers = asyncio.gather(*[answer(*half) for half in halves])
    seen = await read_all(house, 400, limit=7)
    await writers
    assert sorted(told(seen)) == sorted((one, Status.DISPATCHED) for one in ids)
    assert len({one.seq for one in seen}) == 400
