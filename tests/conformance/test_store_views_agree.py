"""P8: what is pulled, pushed, logged, exported, counted and reported is the same, judged by set arithmetic."""

import json
import random
from collections import Counter

from sqlalchemy import select

from kvitto.core.ids import batch_of
from kvitto.core.model import Feed, FeedFilter, LogFilter, MessageFilter, MessageView, Notify
from kvitto.core.status import FINAL, Reason, Status
from kvitto.reports.export import ndjson_lines
from kvitto.reports.overview import SPANS
from kvitto.reports.reader import Reader
from kvitto.store import schema as t
from tests.conformance.house import House

ENDS = (Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.DELETED, Status.UNKNOWN)


async def a_days_traffic(house: House) -> list[str]:
    """Some 120 messages in all three ways of telling, most of them ended, in an order that chance chose."""
    chance = random.Random(8)
    ids: list[str] = []
    for number in range(20):
        ids += await house.dispatch(
            6,
            dialect=chance.choice(("sinch", "infobip", "ninebits")),
            notify=chance.choice((Notify.NONE, Notify.FINAL, Notify.CHANGES)),
            parts=chance.choice((1, 1, 2)),
            feed=chance.choice((Feed.OTHER, Feed.OWN)),
            aborts={0: Reason.NO_ROUTE} if number % 5 == 0 else None,
        )
        house.clock.advance(1)
    sizes = dict(await house.look(select(t.message.c.id, t.message.c.parts)))
    receipts = [(one, part) for one in ids for part in range(1, sizes[one] + 1)]
    chance.shuffle(receipts)
    for message, part in receipts[: len(receipts) * 9 // 10]:
        await house.receipt_for(message, chance.choice(ENDS), part=part, err=f"{chance.randrange(40):03}")
        house.clock.advance(0.01)
    return ids


async def drained(house: House) -> list[MessageView]:
    views: list[MessageView] = []
    while (page := await house.store.take_reports(house.account.id, FeedFilter(), 17, house.now)).handing is not None:
        await house.store.confirm_reports(page.handing)
        views += page.messages
    return views


async def logged(house: House) -> list[MessageView]:
    views: list[MessageView] = []
    cursor = None
    while True:
        page = await house.store.list_log(house.account.id, LogFilter(), 13, cursor)
        views += page.messages
        cursor = page.cursor
        if cursor is None:
            return views


async def test_p8_all_views_agree_at_rest(house: House):
    sent = await a_days_traffic(house)
    log = {view.id: view._replace(text=None) for view in await logged(house)}
    ended = {one for one, view in log.items() if view.status in FINAL}
    assert log.keys() == set(sent)
    assert len(ended) > 90

    # Pulled: each end once, as the log has it.
    feed = await drained(house)
    assert Counter(view.id for view in feed) == Counter(ended)
    assert all(log[view.id] == view for view in feed)

    # Listed: the ended ones, as the log has them.
    listed = await house.store.list_messages(house.account.id, MessageFilter(), 0, 1000)
    assert {view.id: view for view in listed.messages} == {one: log[one] for one in ended}

    # Counted: each batch's report and its messages.
    for batch_id in {batch_of(one) for one in sent}:
        page = await house.store.list_batch_messages(house.account.id, batch_id, None, None, 0, 1000)
        assert {view.id: view for view in page.messages} == {
            one: view for one, view in log.items() if view.batch_id == batch_id
        }
        report = await house.store.fetch_batch_report(
            house.account.id, batch_id, recipients=True, first_final=False, now=house.now
        )
        counted = {(one.status, one.reason, one.error, number) for one in report.counts for number in one.recipients}
        assert counted == {(view.status, view.reason, view.error, view.recipient) for view in page.messages}

    # Exported from the dashboard, and counted there without looking at a message.
    reader = Reader(house.store, house.store.office, house.clock)
    exported: dict[str, tuple[str, str]] = {}
    for batch_id in {batch_of(one) for one in sent}:
        lines = [line async for page in ndjson_lines(reader.export(batch_id), str) for line in page.splitlines()]
        exported |= {row["message_id"]: (row["status"], row["reason"]) for row in map(json.loads, lines)}
    assert exported == {one: (view.status, view.reason) for one, view in log.items()}
    figures = (await reader.overview(house.account.id, SPANS["1h"])).figures
    standing = Counter(view.status for view in log.values())
    assert figures.ended == {status: many for status, many in standing.items() if status in FINAL}
    assert (figures.accepted, figures.queued, figures.dispatched) == (
        len(sent),
        standing[Status.QUEUED],
        standing[Status.DISPATCHED],
    )

    # Pushed: for everyone who asked, the end as the log has it.
    told = [due.facts for due in await house.callbacks() if due.facts.status in FINAL]
    asked = {row[0] for row in await house.look(select(t.batch.c.id).where(t.batch.c.notify != "none"))}
    assert {view.id: view for view in told} == {one: log[one] for one in ended if batch_of(one) in asked}
    assert len(told) == len({view.id for view in told})
