"""Through the HTTP server: reports are gone once their answer was written, sends with a key are done once, sessions."""

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from sqlalchemy import func, select

from kvitto.core.ids import IdMaker
from kvitto.core.model import Content, Feed, FeedFilter, Notify, Submission
from kvitto.core.operations import OpenSession, Send, TakeReports
from kvitto.dialects.base import Answer, Credentials, Dialect, Route
from kvitto.intake.auth import Authenticator, hash_secret, mint_account
from kvitto.intake.desk import Desk
from kvitto.intake.doors import Doors
from kvitto.intake.http import Server
from kvitto.intake.sessions import MOST_WRONG, WINDOW_S, Sessions
from kvitto.store import schema as t
from kvitto.store.api import Store
from kvitto.store.migrations import upgrade
from tests.conformance.house import House
from tests.support.clock import FakeClock
from tests.support.rawhttp import RawClient, eventually

RESET = struct.pack("ii", 1, 0)
LARGE = 8 * 1024 * 1024
"""Octets of an answer that no socket's buffers swallow whole."""


class FeedDialect:
    """One text to one number, reports as a list of ids padded to ``pad`` octets."""

    name = "toy"
    callback_timeout_s = 1.0
    prefixes = ("/toy",)
    most_per_callback = 1
    most_at_once = None
    pad = 0

    def __init__(self) -> None:
        self.breaks = False
        self.routes = (
            Route("POST", "/toy/send", self._read_send, self._write_send),
            Route("GET", "/toy/reports", self._read_reports, self._write_reports),
            Route("POST", "/toy/session", self._read_session, self._write_session, open=True),
        )

    def credentials(self, call):
        token = call.headers.get("authorization")
        return None if token is None else Credentials(token=token)

    def refuse(self, problem, *, text="", retry_after_s=None, allow="", call=None, operation=None):
        status = {"key_reused": 409, "invalid_key": 400, "unauthorized": 401, "throttled": 429}.get(problem.value, 500)
        return Answer(status, problem.value.encode(), "text/toy")

    def _read_send(self, call, account):
        content = Content(text=call.body.decode())
        recipients = tuple(call.query.get("to", ["46701740611"]))
        return Send(Submission("toy", "Kvitto", recipients, content, Notify.NONE, feed=Feed.OWN))

    def _write_send(self, operation, new):
        return Answer(201, new.batch.id.encode(), "text/toy", (("X-Count", str(len(new.messages))),))

    def _read_reports(self, call, account):
        return TakeReports(filter=FeedFilter(), limit=int(call.query.get("limit", ["50"])[0]))

    def _write_reports(self, operation, page):
        if self.breaks:
            raise RuntimeError("a fault in writing")
        body = json.dumps([view.id for view in page.messages]).encode().ljust(self.pad)
        return Answer(200, body, "text/toy", handing=page.handing)

    def _read_session(self, call, account):
        return OpenSession(username=call.query["u"][0], password=call.query["p"][0], lifetime_s=60)

    def _write_session(self, operation, session):
        return Answer(200, session.token.encode(), "text/toy")


class Place:
    """The server with its store, and short words for its client."""

    def __init__(self, house: House, server: Server, dialect: FeedDialect) -> None:
        self.house = house
        self.server = server
        self.dialect = dialect

    def request(self, method: str, path: str, *lines: str, body: bytes = b"") -> bytes:
        token = f"token-{self.house.account.name}"
        head = [f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: {token}", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, *lines, "", ""]).encode() + body

    async def ask(self, method: str, path: str, *lines: str, body: bytes = b"") -> Any:
        async with RawClient(self.server.port) as client:
            await client.send(self.request(method, path, *lines, body=body))
            return await client.answer(head_only=method == "HEAD")

    async def read(self, *lines: str) -> list[str]:
        return json.loads((await self.ask("GET", "/toy/reports", *lines)).body)

    async def unread(self) -> int:
        page = await self.house.store.peek_reports(self.house.account.id, FeedFilter(), 1000)
        return len(page.messages)

    async def ended(self, count: int = 3) -> list[str]:
        ids = await self.house.dispatch(count, notify=Notify.NONE, feed=Feed.OWN)
        for message in ids:
            await self.house.receipt_for(message)
        return ids


@contextlib.asynccontextmanager
async def opened(path: Path):
    clock = FakeClock()
    url = f"sqlite:///{path / 'kvitto.db'}"
    upgrade(url)
    house = House(url, clock)
    await house.store.start()
    house.account = await house.new_account()
    dialect = FeedDialect()
    desk = Desk(house.store, IdMaker(clock), sessions=Sessions(house.store, clock))
    authenticator = Authenticator(cast(Store, _Finder(house.store, house)), clock)

    doors: Any = Doors([cast(Dialect, dialect)], desk, authenticator)
    server = Server(doors.handle, "127.0.0.1", 0, clock=clock)
    await server.start()
    try:
        yield Place(house, server, dialect)
    finally:
        await server.stop(grace_s=0)
        await house.stop()


class _Finder:
    """The store, in whose accounts the token's hash is a word."""

    def __init__(self, store: Any, house: House) -> None:
        self._store = store
        self._house = house

    async def find_account(self, **keys: Any) -> Any:
        found = await self._store.find_account(**keys)
        return found or await self._store.find_account(id=self._house.account.id)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request, tmp_path):
    """Run a test's story on each event loop that the server may run on."""

    def runner(story):
        async def whole():
            async with opened(tmp_path) as place:
                await asyncio.wait_for(story(place), 60)

        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(whole())

    return runner


async def settled(place: Place) -> None:
    """Nothing is being handed over any more."""
    async with asyncio.timeout(20):
        while await place.house.look(select(func.count()).select_from(t.handing)) != [(0,)]:  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.mark.parametrize("lines", [(), ("Connection: close",)])
@pytest.mark.parametrize("pad", [0, LARGE])
def test_p16_what_was_read_is_gone(run, lines, pad):
    async def story(place: Place):
        place.dialect.pad = pad
        ids = await place.ended()
        assert await place.read(*lines) == ids[::-1]
        await settled(place)
        assert await place.unread() == 0
        assert await place.read(*lines) == []

    run(story)


def test_p16_a_client_that_goes_away_before_all_is_written_leaves_them_unread(run):
    async def story(place: Place):
        place.dialect.pad = LARGE
        ids = await place.ended()
        async with RawClient(place.server.port) as client:
            await client.send(place.request("GET", "/toy/reports"))
            await client.reader.readexactly(100)
            assert await place.unread() == 0
            client.writer.transport.abort()
        await settled(place)
        assert await place.read() == ids[::-1]

    run(story)


@pytest.mark.parametrize("reset", [False, True])
def test_p16_a_client_that_goes_away_while_they_are_taken_leaves_them_unread(run, reset):
    async def story(place: Place):
        ids = await place.ended()
        taking = place.house.store.take_reports
        go = asyncio.Event()
        taken: list[Any] = []

        async def held(*what):
            page = await taking(*what)
            taken.append(page)
            await go.wait()
            return page

        place.house.store.take_reports = held
        async with RawClient(place.server.port) as client:
            await client.send(place.request("GET", "/toy/reports"))
            await eventually(lambda: bool(taken))
            if reset:
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.writer.close()
            await client.writer.wait_closed()
        connections: Any = place.server._shared
        await eventually(lambda: all(one._deserted for one in connections.connections))
        go.set()
        place.house.store.take_reports = taking
        async with asyncio.timeout(20):
            while await place.unread() != len(ids):  # noqa: ASYNC110  # a row has no event to wait for
                await asyncio.sleep(0)
        assert await place.read() == ids[::-1]

    run(story)


def test_p16_an_answer_that_cannot_be_made_leaves_them_unread(run):
    async def story(place: Place):
        ids = await place.ended()
        place.dialect.breaks = True
        assert (await place.ask("GET", "/toy/reports")).status == 500
        place.dialect.breaks = False
        await settled(place)
        assert await place.read() == ids[::-1]

    run(story)


def test_p16_a_head_request_takes_nothing(run):
    async def story(place: Place):
        await place.ended()
        assert (await place.ask("HEAD", "/toy/reports")).status == 200
        assert await place.unread() == 3

    run(story)


def test_p16_sixteen_readers_share_the_reports_out(run):
    async def story(place: Place):
        ids = await place.ended(64)

        async def read() -> list[str]:
            got: list[str] = []
            while some := json.loads((await place.ask("GET", "/toy/reports?limit=3")).body):
                got.extend(some)
            return got

        rounds = await asyncio.gather(*[read() for _ in range(16)])
        assert sorted(one for got in rounds for one in got) == sorted(ids)

    run(story)


_TAKER = """
import asyncio, os, signal, sys
from kvitto.core.clock import SystemClock
from kvitto.core.model import FeedFilter
from kvitto.store import open_store
from kvitto.store.sealing import Seal

async def main(url, account_id):
    store = open_store(url, node="node1", seal=Seal.fresh(), clock=SystemClock())
    await store.start()
    page = await store.take_reports(account_id, FeedFilter(), 2, 1)
    print(len(page.messages), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_p16_after_kill_9_between_taking_and_writing_they_come_again(tmp_path: Path):
    async with opened(tmp_path) as place:
        ids = await place.ended()
        house = place.house
        await house.store.stop()
        command = [sys.executable, "-c", _TAKER, house.url, house.account.id]
        killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert (killed.stdout.strip(), killed.returncode) == ("2", -9), killed.stderr
        await house.restart()
        page = await house.store.take_reports(house.account.id, FeedFilter(), 50, house.now)
        assert [view.id for view in page.messages] == ids[::-1]


# --- sends that are done once (P7) -----------------------------------------------------------------------------------


def test_p7_fifty_equal_posts_at_once_are_one_batch_and_one_answer(run):
    async def story(place: Place):
        posts = [place.ask("POST", "/toy/send", "Idempotency-Key: abc", body=b"hello") for _ in range(50)]
        answers = await asyncio.gather(*posts)
        assert len({(one.status, one.body, one.headers["x-count"]) for one in answers}) == 1
        assert answers[0].status == 201
        assert len(await place.house.claim()) == 1

    run(story)


def test_p7_another_request_under_the_key_is_409_and_other_keys_are_other_requests(run):
    async def story(place: Place):
        first = await place.ask("POST", "/toy/send", "Idempotency-Key: abc", body=b"hello")
        for path, body in (("/toy/send", b"hallo"), ("/toy/send?to=46701740612", b"hello")):
            other = await place.ask("POST", path, "Idempotency-Key: abc", body=body)
            assert (other.status, other.body) == (409, b"key_reused")
        assert (await place.ask("POST", "/toy/send", "Idempotency-Key: abd", body=b"hello")).body != first.body
        assert (await place.ask("POST", "/toy/send", body=b"hello")).body != first.body
        assert (await place.ask("POST", "/toy/send", "Idempotency-Key: abc", body=b"hello")).body == first.body

    run(story)


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "å"])
def test_p7_a_key_that_is_none_is_refused(run, key):
    async def story(place: Place):
        answer = await place.ask("POST", "/toy/send", f"Idempotency-Key: {key}", body=b"hello")
        assert (answer.status, answer.body) == (400, b"invalid_key")
        assert await place.house.claim() == []

    run(story)


# --- sessions --------------------------------------------------------------------------------------------------------


async def test_p21_wrong_passwords_are_braked_for_the_name_and_the_address(tmp_path: Path):
    async with opened(tmp_path) as place:
        wrong = "/toy/session?u=nobody&p=wrong"
        assert [(await place.ask("POST", wrong)).status for _ in range(MOST_WRONG + 2)] == [401] * MOST_WRONG + [
            429
        ] * 2
        assert (await place.ask("POST", "/toy/session?u=other&p=wrong")).status == 401
        place.house.clock.advance(WINDOW_S)
        assert (await place.ask("POST", wrong)).status == 401


async def test_p21_a_session_opens_with_the_right_password_and_ends_by_itself(tmp_path: Path):
    async with opened(tmp_path) as place:
        new, secrets = mint_account("real", place.house.ids, place.house.now)
        assert await place.house.store.create_account(new)
        path = f"/toy/session?u={secrets.username}&p="
        assert (await place.ask("POST", path + "wrong")).status == 401
        answer = await place.ask("POST", path + secrets.password)
        assert answer.status == 200
        token = hash_secret(answer.body.decode())
        assert (await place.house.store.find_account(token_hash=token))[0].id == new.account.id
        place.house.clock.advance(60)
        assert await place.house.store.find_account(token_hash=token) is None
        await place.house.store.set_account("real", {"disabled": True})
        assert (await place.ask("POST", path + secrets.password)).body == b"account_disabled"
