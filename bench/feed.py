"""Drain a full one-time feed, page by page, as a reader of it would; prints one line of JSON.

    python -m bench.feed [--reports 1000000] [--limit 10000] [--url postgresql://...]

Rows are laid down through the schema, not sent: what is measured is the reading. Each page is taken, rendered as JSON
of about the size of a report, and confirmed. Next: ``kvitto.store.verbs.feed``.
"""

import argparse
import asyncio
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, insert

from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker, message_ids
from kvitto.core.model import Account, FeedFilter, MessageView
from kvitto.store import open_store
from kvitto.store import schema as t
from kvitto.store.api import NewAccount
from kvitto.store.migrations import upgrade
from kvitto.store.sealing import Seal

__all__ = ["fill", "main"]

PER_BATCH = 1000


class Line(msgspec.Struct):
    """A report of about the size and number of fields that a dialect writes."""

    bulkId: str  # noqa: N815
    messageId: str  # noqa: N815
    to: str
    sentAt: str  # noqa: N815
    doneAt: str  # noqa: N815
    smsCount: int  # noqa: N815
    status: dict[str, Any]
    error: dict[str, Any]


STATUS = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "Delivered"}
ERROR = {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": "No Error", "permanent": False}


def fill(url: str, account_id: str, reports: int, ids: IdMaker, now: int) -> None:
    """Lay down ended messages of this account, each with its part, event and unread row."""
    engine = create_engine(url.replace("postgresql://", "postgresql+asyncpg://") if "://" in url else url)
    with engine.begin() as connection:
        seq = 0
        for _ in range(reports // PER_BATCH):
            batch_id = ids.new()
            numbers = [str(46_700_000_000 + seq + n) for n in range(PER_BATCH)]
            connection.execute(insert(t.batch), [_batch(batch_id, account_id, numbers, now)])
            messages = list(zip(message_ids(batch_id, PER_BATCH), numbers, strict=True))
            connection.execute(insert(t.message), [_message(one, to, account_id, now) for one, to in messages])
            connection.execute(insert(t.part), [_part(one, account_id, now) for one, _ in messages])
            events = [_event(seq + 1 + n, one, account_id, now) for n, (one, _) in enumerate(messages)]
            connection.execute(insert(t.event), events)
            unread = [{"account_id": account_id, "seq": one["seq"], "message_id": one["message_id"]} for one in events]
            connection.execute(insert(t.unread), unread)
            seq += PER_BATCH


def _batch(batch_id: str, account_id: str, numbers: list[str], now: int) -> dict[str, Any]:
    values: dict[str, Any] = {"id": batch_id, "account_id": account_id, "dialect": "infobip", "sender": "Bakery"}
    values |= {"recipients": json.dumps(numbers), "content": '{"text":"Ready."}', "kind": "text", "notify": "none"}
    values |= {"created_at": now, "modified_at": now, "expire_at": now + 1000, "feedback": False, "extra": "{}"}
    return values | {"pending": 0, "feed": "own"}


def _message(message_id: str, to: str, account_id: str, now: int) -> dict[str, Any]:
    values: dict[str, Any] = {"id": message_id, "account_id": account_id, "recipient": to, "route": "", "parts": 1}
    values |= {"status": "DELIVERED", "reason": "delivered", "since_at": now, "done_at": now, "error_source": "none"}
    return values | {"notes": 0, "attempts": 1, "created_at": now}


def _part(message_id: str, account_id: str, now: int) -> dict[str, Any]:
    values: dict[str, Any] = {"message_id": message_id, "part_no": 1, "account_id": account_id, "link": "link"}
    values |= {"grp": "link", "node": "n", "state": "accepted", "status": "QUEUED", "reason": "in_flight"}
    values |= {"since_at": now, "error_source": "none", "written_at": now, "smsc_message_id": message_id[-8:]}
    return values | {"answered_at": now}


def _event(seq: int, message_id: str, account_id: str, now: int) -> dict[str, Any]:
    values: dict[str, Any] = {"seq": seq, "account_id": account_id, "message_id": message_id, "at": now}
    return values | {"status": "DELIVERED", "reason": "delivered", "done_at": now, "error_source": "none"}


def render(views: list[MessageView]) -> bytes:
    """JSON of about a report's size for each."""
    lines = [
        Line(
            view.batch_client_id or view.batch_id,
            view.client_id or view.id,
            view.recipient,
            "2026-03-01T10:00:00.120+0000",
            "2026-03-01T10:00:04.502+0000",
            view.parts,
            STATUS,
            ERROR,
        )
        for view in views
    ]
    return msgspec.json.encode({"results": lines})


async def drain(url: str, reports: int, limit: int) -> dict[str, Any]:
    """Fill, then read until nothing is unread."""
    clock = SystemClock()
    ids = IdMaker(clock)
    store = open_store(url, node="bench", seal=Seal.fresh(), clock=clock)
    await store.start()
    account = Account(id=ids.new(), name="bench", service_plan_id="p", username="u", callback_secret="whsec_c2VjcmV0")
    await store.create_account(NewAccount(account, "t", "p"))
    await asyncio.to_thread(fill, url, account.id, reports, ids, clock.now())
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages: list[float] = []
    seen = octets = 0
    began_cpu = time.process_time()
    began = time.perf_counter()
    while True:
        start = time.process_time()
        page = await store.take_reports(account.id, FeedFilter(), limit, clock.now())
        if page.handing is None:
            break
        octets += len(render(page.messages))
        await store.confirm_reports(page.handing)
        seen += len(page.messages)
        pages.append(time.process_time() - start)  # CPU: neighbours on the machine do not count
    took_s = time.perf_counter() - began
    cpu_s = time.process_time() - began_cpu
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    await store.stop()
    tenth = max(1, len(pages) // 10)
    first_s, last_s = statistics.median(pages[:tenth]), statistics.median(pages[-tenth:])
    ratio = last_s / first_s
    return {
        "reports": seen,
        "limit": limit,
        "seconds": round(took_s, 2),
        "cpu_seconds": round(cpu_s, 2),
        "us_per_report": round(took_s / seen * 1e6, 1),
        "page_cpu_ms_first": round(first_s * 1000, 1),
        "page_cpu_ms_last": round(last_s * 1000, 1),
        "last_to_first": round(ratio, 2),
        "grown_kib": grown_kb,
        "octets": octets,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1_000_000)
    parser.add_argument("--limit", type=int, default=10_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:///{Path(place) / 'kvitto.db'}"
        upgrade(url)
        print(json.dumps(asyncio.run(drain(url, wanted.reports, wanted.limit))))


if __name__ == "__main__":
    main()
