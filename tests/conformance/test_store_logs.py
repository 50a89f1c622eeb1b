"""Logs: what became of messages, newest first, page by page, whatever the filter (docs/dialects/infobip.md 5)."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from kvitto.core.ids import batch_of
from kvitto.core.model import Content, FeedFilter, LogFilter, Notify, Submission
from kvitto.core.status import Status
from kvitto.intake.admit import plan
from kvitto.store.migrations import upgrade
from kvitto.store.statements import ROWS_MARK, compile_for
from kvitto.store.verbs import feed, logs
from tests.conformance.house import DAY_MS, House

ALL = LogFilter()


async def read(house: House, wanted: LogFilter = ALL, limit: int = 50, **of) -> list[str]:
    page = await house.store.list_log((of.get("account") or house.account).id, wanted, limit, None)
    return [view.id for view in page.messages]


async def read_pages(house: House, limit: int, wanted: LogFilter = ALL) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = await house.store.list_log(house.account.id, wanted, limit, cursor)
        pages.append([view.id for view in page.messages])
        cursor = page.cursor
        if cursor is None:
            return pages


async def some(house: House) -> list[str]:
    """Nine messages of five batches, two of them planned, newest planned time last."""
    later = house.now + DAY_MS
    ids = await house.send(2)
    planned = await house.send(2, send_at=later)
    house.clock.advance(1)
    ids += await house.send(3)
    house.clock.advance(1)
    ids += await house.send(1)
    soon = await house.send(1, send_at=house.now + 500)
    return [*ids, *soon, *planned]


async def test_the_log_is_newest_first_by_the_time_of_sending(house: House):
    ids = await some(house)
    assert await read(house) == ids[::-1]


async def test_r45_a_log_shows_first_ends_where_corrections_are_not_wanted(house: House):
    (message,) = await house.dispatch(valid_s=60)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    await house.receipt_for(message)
    statuses = {
        first_final: (await house.store.list_log(house.account.id, LogFilter(first_final=first_final), 50, None))
        for first_final in (False, True)
    }
    assert {wanted: page.messages[0].status for wanted, page in statuses.items()} == {
        False: Status.DELIVERED,
        True: Status.UNKNOWN,
    }


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 10])
async def test_pages_follow_each_other_without_gap_or_repetition(house: House, limit, monkeypatch):
    monkeypatch.setattr(logs, "_STEP", 2)
    ids = await some(house)
    pages = await read_pages(house, limit)
    assert [message for page in pages for message in page] == ids[::-1]
    assert all(len(page) == limit for page in pages[:-1])


async def test_pages_of_one_number_follow_each_other(house: House):
    ids = []
    for minute in range(5):
        ids += await house.send(2, to=["46700000001", f"4670000001{minute}"])
        ids += await house.send(1, to=["46700000001"], send_at=house.now + 90_000)
        house.clock.advance(60)
    mine = [one for one in ids if await house.recipient(one) == "46700000001"]
    expected = await read(house, LogFilter(keeps=lambda view: view.id in mine))
    assert sorted(expected) == sorted(mine)
    pages = await read_pages(house, 3, LogFilter(recipient="46700000001"))
    assert [one for page in pages for one in page] == expected


async def test_r45_statuses_asked_for_are_those_shown(house: House):
    (message,) = await house.dispatch(valid_s=60)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    await house.receipt_for(message)
    for status, first_final in ((Status.DELIVERED, False), (Status.UNKNOWN, True)):
        for other in (Status.DELIVERED, Status.UNKNOWN):
            shows: dict[str, Any] = {
                "statuses": (other,),
                "shows": lambda shown, reason, error, other=other: shown is other,
            }
            found = await read(house, LogFilter(first_final=first_final, **shows))
            assert found == ([message] if other is status else [])


async def test_what_comes_later_does_not_move_the_pages(house: House):
    ids = await some(house)
    first = await house.store.list_log(house.account.id, ALL, 4, None)
    await house.send(2, send_at=house.now + 2 * DAY_MS)
    second = await house.store.list_log(house.account.id, ALL, 50, first.cursor)
    assert [view.id for view in (*first.messages, *second.messages)] == ids[::-1]


async def test_a_log_shows_all_statuses_with_text_and_sender(house: House):
    ended, _ = await house.dispatch(2, texts={1: "for you alone"})
    await house.receipt_for(ended)
    page = await house.store.list_log(house.account.id, ALL, 50, None)
    shown = [(view.status, view.text, view.sender, view.link) for view in page.messages]
    assert shown == [
        (Status.DISPATCHED, "for you alone", "Kvitto", "link"),
        (Status.DELIVERED, "hello", "Kvitto", "link"),
    ]


async def test_a_log_shows_the_text_of_each_message_of_a_bulk(house: House):
    first = Submission("infobip", "Bakery", ("46700000001",), Content(text="first"), Notify.NONE)
    second = first._replace(sender="Florist", content=Content(text="second"))
    await house.store.accept_batch(plan(first._replace(more=(second,)), house.account, house.now, house.ids.new()))
    page = await house.store.list_log(house.account.id, ALL, 50, None)
    assert [(view.text, view.sender) for view in page.messages] == [("second", "Florist"), ("first", "Bakery")]
    for sender in ("Bakery", "Florist"):
        page = await house.store.list_log(house.account.id, LogFilter(sender=sender), 50, None)
        assert [view.sender for view in page.messages] == [sender]


async def test_filters(house: House):
    one = await house.send(2, to=["46700000001", "46700000002"], client_id="bulk", sender="Bakery")
    house.clock.advance(10)
    two = await house.send(1, to=["46700000001"], send_at=house.now + DAY_MS)
    at = house.now
    expected = {
        LogFilter(recipient="46700000001"): [two[0], one[0]],
        LogFilter(recipient="46700000009"): [],
        LogFilter(sender="Bakery"): [one[1], one[0]],
        LogFilter(batch_ids=("bulk",)): [one[1], one[0]],
        LogFilter(batch_ids=("bulk", batch_of(two[0]))): [two[0], one[1], one[0]],
        LogFilter(batch_ids=("bulk",), message_ids=(two[0], one[0])): [one[0]],
        LogFilter(message_ids=(two[0], "nobody")): [two[0]],
        LogFilter(from_at=at): [two[0]],
        LogFilter(until_at=at): [one[1], one[0]],
        LogFilter(from_at=at - 10_000, until_at=at - 10_000): [one[1], one[0]],
        LogFilter(from_at=at + DAY_MS, until_at=at + DAY_MS): [two[0]],
        LogFilter(batch_ids=("bulk",), from_at=at): [],
        LogFilter(recipient="46700000001", from_at=at): [two[0]],
        LogFilter(recipient="46700000001", until_at=at): [one[0]],
        LogFilter(recipient="46700000001", batch_ids=("bulk",)): [one[0]],
        LogFilter(recipient="46700000001", sender="Bakery"): [one[0]],
        LogFilter(statuses=(Status.QUEUED, Status.FAILED)): [two[0], one[1], one[0]],
        LogFilter(statuses=(Status.FAILED,)): [],
        LogFilter(statuses=()): [],
        LogFilter(shows=lambda status, reason, error: status is Status.DELIVERED): [],
        LogFilter(keeps=lambda view: view.recipient.endswith("2")): [one[1]],
    }
    for wanted, ids in expected.items():
        assert await read(house, wanted) == ids, wanted


async def test_a_cursor_that_was_not_handed_out_is_refused(house: House):
    await some(house)
    page = await house.store.list_log(house.account.id, ALL, 2, None)
    for wrong in ("", "2", page.cursor[:-1], page.cursor[:-2] + "AA", page.cursor + "A", "é", "A" * 5000):
        assert await house.store.list_log(house.account.id, ALL, 2, wrong) is None, wrong
    stranger = await house.new_account()
    assert await house.store.list_log(stranger.id, ALL, 2, page.cursor) is None


async def test_another_accounts_messages_do_not_exist(house: House):
    ids = await some(house)
    stranger = await house.new_account()
    assert await read(house, account=stranger) == []
    assert await read(house, LogFilter(message_ids=tuple(ids)), account=stranger) == []
    assert await read(house, LogFilter(batch_ids=(batch_of(ids[0]),)), account=stranger) == []


async def test_reading_the_log_takes_nothing_out_of_the_feed(house: House):
    (message,) = await house.dispatch(notify=Notify.NONE)
    await house.receipt_for(message)
    await read(house)
    page = await house.store.take_reports(house.account.id, FeedFilter(), 5, house.now)
    assert [view.id for view in page.messages] == [message]


# --- a batch's messages ----------------------------------------------------------------------------------------------


async def listed(house: House, batch_id: str, recipient=None, shows=None, page: int = 0, page_size: int = 10):
    return await house.store.list_batch_messages(house.account.id, batch_id, recipient, shows, page, page_size)


async def test_a_batchs_messages_are_listed_in_the_order_sent(house: House):
    ids = await house.dispatch(5, client_id="bulk")
    await house.receipt_for(ids[3])
    batch_id = batch_of(ids[0])
    page = await listed(house, batch_id, page=1, page_size=2)
    assert (page.total, [view.id for view in page.messages]) == (5, ids[2:4])
    page = await listed(house, batch_id, shows=lambda status, reason, error: status is Status.DELIVERED)
    assert (page.total, [view.id for view in page.messages]) == (1, [ids[3]])
    page = await listed(house, batch_id, recipient=await house.recipient(ids[4]))
    assert [view.id for view in page.messages] == [ids[4]]
    assert await listed(house, "bulk") is None, "only the dialect that has such names finds by them"
    assert await listed(house, house.ids.new()) is None
    stranger = await house.new_account()
    assert await house.store.list_batch_messages(stranger.id, batch_id, None, None, 0, 10) is None


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "ways"),
    [
        (logs._TO, ["message USING INDEX message_recipient (account_id=? AND recipient=?)"]),
        (logs._AMONG, ["message USING PRIMARY KEY (id>? AND id<?)"]),
        (
            feed._AMONG,
            [
                "event USING INDEX event_message (message_id>? AND message_id<?)",
                "unread USING PRIMARY KEY (account_id=? AND seq=?)",
            ],
        ),
    ],
)
def test_what_names_its_messages_finds_them_by_key_whatever_else_the_account_has(tmp_path, statement, ways):
    url = f"sqlite:///{tmp_path / 'kvitto.db'}"
    upgrade(url)
    compiled = compile_for("sqlite", statement)
    sql = compiled.sql.replace(ROWS_MARK, f"({','.join('?' * compiled.width)})")
    with closing(sqlite3.connect(tmp_path / "kvitto.db")) as database:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", ["x"] * sql.count("?"))]
    assert {f"SEARCH {way}" for way in ways} <= set(plan), plan
    assert not [line for line in plan if line.startswith("SCAN ") and "subquery" not in line and "CONSTANT" not in line]
