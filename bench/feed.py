"""Drain a full one-time feed, page by page, as a client of it does; prints one line of JSON.

    python -m bench.feed [--reports 1000000] [--limit 10000]

Rows are laid down through the schema, not sent: what is measured is the reading. A server of its own is then asked for
``GET /sms/1/reports`` until nothing is unread: taking, rendering, handing over and confirming, over loopback. CPU and
memory are the server's; ``others_busy``: CPU seconds a second of everything else on the machine.

Next: ``kvitto.store.verbs.feed``.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert, select

from bench.machine import cpu_s, machine_time, peak_rss_bytes
from kvitto.core.clock import SystemClock
from kvitto.core.ids import IdMaker, message_ids
from kvitto.store import schema as t
from tests.support.server import ServerProcess

__all__ = ["fill", "main"]

PER_BATCH = 1000


def fill(database: Path, reports: int) -> None:
    """Lay down ended messages of the one account, each with its part, event and unread row."""
    clock = SystemClock()
    ids, now = IdMaker(clock), clock.now()
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        account_id: str = connection.execute(select(t.account.c.id)).scalar_one()
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
    engine.dispose()


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


def drain(server: ServerProcess, token: str, limit: int) -> dict[str, Any]:
    """Read until nothing is unread."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    before_bytes = peak_rss_bytes(server.pid)
    pages: list[float] = []
    seen = octets = 0
    began_cpu, began_machine = cpu_s(server.pid), machine_time().busy
    own_cpu = time.process_time()
    began = time.perf_counter()
    while True:
        start = cpu_s(server.pid)
        client.request("GET", f"/sms/1/reports?limit={limit}", headers={"Authorization": f"App {token}"})
        body = client.getresponse().read()
        found = body.count(b'"messageId":')
        if not found:
            break
        octets += len(body)
        seen += found
        pages.append(cpu_s(server.pid) - start)  # CPU: neighbours on the machine do not count
    took_s = time.perf_counter() - began
    server_s, reader_s = cpu_s(server.pid) - began_cpu, time.process_time() - own_cpu
    others_s = machine_time().busy - began_machine - server_s - reader_s
    tenth = max(1, len(pages) // 10)
    first_s, last_s = statistics.mean(pages[:tenth]), statistics.mean(pages[-tenth:])
    return {
        "reports": seen,
        "limit": limit,
        "seconds": round(took_s, 2),
        "cpu_seconds": round(server_s, 2),
        "reader_cpu_seconds": round(reader_s, 2),
        "others_busy": round(others_s / took_s, 2),
        "us_per_report": round(took_s / seen * 1e6, 1),
        "page_cpu_ms_first": round(first_s * 1000, 1),
        "page_cpu_ms_last": round(last_s * 1000, 1),
        "last_to_first": round(last_s / first_s, 2),
        "grown_kib": (peak_rss_bytes(server.pid) - before_bytes) // 1024,
        "octets": octets,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=1_000_000)
    parser.add_argument("--limit", type=int, default=10_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        server = ServerProcess(Path(place))
        token = server.create_account("bench").api_token
        fill(server.data_dir / "kvitto.db", wanted.reports)
        with server:
            print(json.dumps(drain(server, token, wanted.limit)))


if __name__ == "__main__":
    main()
