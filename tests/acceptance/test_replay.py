"""A replay of many callbacks by a real server that is killed in the middle (P14): each once more, at its rate, resumed.

``KVITTO_TEST_REPLAY`` callbacks that were taken long ago; the suite takes few, ``make replay`` 100 000 and prints what
it measured. What the sink got is compared with what the database says, set with set: a callback may come a second time
only if it was posted in the server's first life and the kill came before that was written down (P9).
"""

import asyncio
import http.client
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bench.filler import Fill, State, fill
from kvitto.core.endpoint import endpoint_number
from tests.support.server import AccountKeys, ServerProcess
from tests.support.sink import Received, Sink

pytestmark = pytest.mark.slow

CALLBACKS = int(os.environ.get("KVITTO_TEST_REPLAY", "3000"))
MEASURING = "KVITTO_TEST_REPLAY" in os.environ
RATE = 2500 if MEASURING else 1000
"""Callbacks a second."""
STEP = 1000
"""The most that a step makes due at once."""
SLACK = 1.05
"""The server's clock is not ours."""
AGE_MS = 60_000
KILLED_AT = CALLBACKS // 3 + STEP // 3
"""Within a step, while its callbacks are on their way."""

_EVENTS = (
    "INSERT INTO event (seq, account_id, message_id, at, status, reason, done_at, error_source)"
    " SELECT row_number() OVER (ORDER BY id), account_id, id, since_at, status, reason, done_at, 'none' FROM message"
)
_TAKEN = (
    "INSERT INTO callback (id, account_id, batch_id, dialect, url, tells, state, created_at, attempts, last_at,"
    " last_status_code, last_elapsed_ms, endpoint)"
    " SELECT row_number() OVER (ORDER BY id), account_id, substr(id, 1, 22) || '0000', 'sinch', '{url}', 'message',"
    " 'done', since_at, 1, since_at, 200, 3, {endpoint} FROM message"
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


class Database:
    """The server's, while no server runs."""

    def __init__(self, server: ServerProcess, dsn: str | None) -> None:
        self.path, self.dsn = server.data_dir / "kvitto.db", dsn
        self.url = dsn or f"sqlite:///{self.path}"

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last one."""
        if self.dsn:
            return asyncio.run(self._run(statements))
        with sqlite3.connect(self.path) as connection:
            rows: list[tuple[Any, ...]] = [connection.execute(one).fetchall() for one in statements][-1]
        connection.close()
        return rows

    async def _run(self, statements: Sequence[str]) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return [tuple(row) for row in [await connection.fetch(one) for one in statements][-1]]
        finally:
            await connection.close()


def taken_long_ago(database: Database, url: str) -> set[str]:
    """Callbacks that were posted and taken, with all that is theirs; returns their ids as ``webhook-id`` has them."""
    fill(database.url, Fill(messages=CALLBACKS, state=State.DELIVERED, callback_url=url, notify="final", age_ms=AGE_MS))
    (account_id,) = database.run("SELECT id FROM account")[0]
    taken = _TAKEN.format(url=url, endpoint=endpoint_number(account_id, url))
    database.run(_EVENTS, taken, *([f"SELECT setval('serial', {CALLBACKS})"] if database.dsn else []))
    return {f"cb_{at}_{number}" for number, at in database.run("SELECT id, created_at FROM callback")}


def ask(server: ServerProcess, keys: AccountKeys, method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    fields = {"Authorization": f"Bearer {keys.api_token}", "Content-Type": "application/json"}
    connection.request(method, f"/kvitto/v1/{path}", None if body is None else json.dumps(body), fields)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status < 300, told
    return told


def wait_for_many(sink: Sink, many: int, within_s: float) -> list[Received]:
    until = time.monotonic() + within_s
    while len(received := sink.received) < many:
        assert time.monotonic() < until, f"{len(received)} of {many} came"
        time.sleep(0.05)
    return received


def wait_until_told(server: ServerProcess, keys: AccountKeys, replay: str, sink: Sink, within_s: float) -> Any:
    """The replay has made everything due, and each has come at least once."""
    until = time.monotonic() + within_s
    while True:
        found = ask(server, keys, "GET", f"replays/{replay}")
        if found["state"] == "done" and len(set(ids_of(sink.received))) >= CALLBACKS:
            return found
        assert time.monotonic() < until, (found, len(sink.received))
        time.sleep(0.2)


def ids_of(received: Sequence[Received]) -> list[str]:
    return [one.headers["webhook-id"] for one in received]


@pytest.mark.timeout(300 + CALLBACKS // 200)
def test_p14_a_replay_killed_in_the_middle_posts_each_once_more_at_its_rate(tmp_path: Path, dsn, watch):
    server = watch(ServerProcess(tmp_path, dsn=dsn))
    keys = server.create_account("bench")
    database = Database(server, dsn)
    within_s = 60 + CALLBACKS / 200
    with Sink() as sink:
        wanted = taken_long_ago(database, sink.url)
        assert len(wanted) == CALLBACKS
        server.start()
        began = time.monotonic()
        replay = ask(server, keys, "POST", "replays", {"since": "2020-01-01T00:00:00Z", "rate": RATE})["id"]
        wait_for_many(sink, KILLED_AT, within_s)
        server.kill()
        unwritten = {
            f"cb_{at}_{number}"
            for number, at in database.run("SELECT id, created_at FROM callback WHERE state = 'pending'")
        }
        state, replayed = database.run("SELECT state, replayed FROM replay")[0]
        assert (state, KILLED_AT <= replayed < CALLBACKS) == ("running", True), "it was killed in the middle"
        first = sink.received
        server.start()
        found = wait_until_told(server, keys, replay, sink, within_s)
        took_s = time.monotonic() - began
        server.stop()
        received = sink.received
    counts = Counter(ids_of(received))
    assert (found["replayed"], found["skipped"]) == (CALLBACKS, 0)
    assert set(counts) == wanted
    twice = {one for one, many in counts.items() if many > 1}
    assert twice <= unwritten & set(ids_of(first)), "what was written down as told was told again"
    assert max(counts.values()) <= 2
    assert len({one.json["recipient"] for one in received}) == CALLBACKS
    rows = database.run("SELECT count(*) FROM callback WHERE state = 'done' AND next_attempt_at IS NULL")
    assert rows == [(CALLBACKS,)]
    for at, one in enumerate(first, 1):
        assert at <= RATE * SLACK * (one.at - began) + 2 * STEP, f"{at} within {one.at - began:.2f} s"
    print(
        f"{CALLBACKS:,} callbacks replayed on {'PostgreSQL' if dsn else 'SQLite'} at {RATE} a second, killed after "
        f"{len(first):,}: {took_s:.1f} s with the restart, {len(twice)} came twice, longest pause "
        f"{max(later.at - earlier.at for earlier, later in pairwise(received)):.2f} s"
    )
