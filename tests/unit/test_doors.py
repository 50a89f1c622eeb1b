"""The doors: one dialect's routes on the router, refusals in its words, answers after the commit."""

import asyncio
import json
from typing import Any, cast

import pytest

from kvitto.core.ids import IdMaker
from kvitto.core.model import Content, Submission
from kvitto.core.operations import FetchBatch, Send
from kvitto.dialects.base import Answer, Credentials, Dialect, DialectError, Problem, Route
from kvitto.intake.auth import KEEP_S, Authenticator, mint_account
from kvitto.intake.desk import Desk
from kvitto.intake.doors import Doors
from kvitto.intake.exchange import Head, Reply, Request, Response
from kvitto.intake.health import Health, open_docs
from kvitto.store.api import Store
from tests.support.fakestore import FakeStore


class ToyDialect:
    """Words of its own for everything, so that a test sees who spoke."""

    name = "toy"
    callback_timeout_s = 1.0
    prefixes = ("/toy/{plan}",)

    def __init__(self):
        self.routes = (
            Route("POST", "/toy/{plan}/send", self._read_send, lambda operation, new: self._say(201, new.batch.id)),
            Route("GET", "/toy/{plan}/batch/{id}", self._read_fetch, lambda operation, batch: self._say(200, batch.id)),
        )

    def credentials(self, call):
        token = call.headers.get("authorization")
        return None if token is None else Credentials(token=token, service_plan_id=call.params["plan"])

    def refuse(self, problem, *, text="", retry_after_s=None, allow="", call=None, operation=None):
        headers = (("Retry-After", str(retry_after_s)),) if retry_after_s is not None else ()
        return Answer(418, f"{problem.value} {allow}".strip().encode(), "text/toy", headers)

    def _say(self, status, word):
        if word == "boom":
            raise RuntimeError("a fault in writing")
        return Answer(status, word.encode(), "text/toy")

    def _read_send(self, call, account):
        if call.content_type != "text/toy":
            raise DialectError(Answer(415, b"toy wants toys", "text/toy"))
        if call.body == b"fault":
            raise RuntimeError("a fault in reading")
        content = Content(text=call.body.decode())
        return Send(submission=Submission(dialect="toy", sender="Kvitto", recipients=("46701740611",), content=content))

    def _read_fetch(self, call, account):
        if "fields" in call.query:
            raise DialectError(Answer(400, call.query["fields"][0].encode(), "text/toy"))
        return FetchBatch(batch_id=call.params["id"])


class House:
    def __init__(self, clock, **options):
        self.clock = clock
        self.store: Any = FakeStore()
        self.dialect: Any = ToyDialect()
        self.doors = Doors(
            [cast(Dialect, self.dialect)],
            Desk(cast(Store, self.store), IdMaker(clock)),
            Authenticator(cast(Store, self.store), clock),
            **options,
        )

    async def open(self):
        new, self.secrets = mint_account("shop", IdMaker(self.clock), self.clock.now())
        await self.store.create_account(new)
        return self

    def request(self, method="POST", path="/toy/{plan}/send", *, body=b"Parcel", token=None, headers=None, query=""):
        fields = {b"content-type": b"Text/Toy; charset=utf-8"}
        token = self.secrets.api_token if token is None else token
        if token:
            fields[b"authorization"] = token.encode()
        path = path.format(plan=self.secrets.service_plan_id)
        return Request(method, path, path, query, fields | (headers or {}), body, "127.0.0.1", "http", self.clock.now())

    def call(self, *args, **kwargs):
        return self.doors.handle(self.request(*args, **kwargs))

    async def answer(self, *args, **kwargs) -> Response:
        return await answer_of(self.call(*args, **kwargs))

    async def ask(self, request) -> Response:
        return await answer_of(self.doors.handle(request))


async def answer_of(outcome) -> Response:
    """What the server would write."""
    if isinstance(outcome, Response):
        return outcome
    if isinstance(outcome, Reply):
        future = asyncio.get_running_loop().create_future()
        outcome.bind(future.set_result)
        return await asyncio.wait_for(future, 5)
    return await outcome


@pytest.fixture
async def house(clock):
    return await House(clock).open()


async def test_a_send_is_answered_in_the_dialects_words(house):
    response = await house.answer()
    assert (response.status, response.content_type) == (201, "text/toy")
    assert response.body.decode() in house.store.batches


async def test_p1_a_send_is_answered_only_after_the_commit(house):
    await house.answer()  # the account is remembered now: the next one takes the hot way
    house.store.held = True
    reply = house.call()
    answers: list[Response] = []
    assert isinstance(reply, Reply)
    reply.bind(answers.append)
    await asyncio.sleep(0)
    assert answers == []
    house.store.release()
    await asyncio.sleep(0)
    assert [response.status for response in answers] == [201]


async def test_hot_and_first_way_give_the_same_answers(house):
    for body in (b"Parcel", b"fault"):
        first = await house.answer(body=body)
        house.clock.advance(0.5)
        second = await house.answer(body=body)
        assert (first.status, first.content_type) == (second.status, second.content_type)
        house.clock.advance(5)


async def test_401_comes_before_404_and_405_and_415(house):
    for method, path in (
        ("POST", "/toy/{plan}/send"),
        ("GET", "/toy/{plan}/nothing"),
        ("DELETE", "/toy/{plan}/send"),
    ):
        for token in ("", "wrong"):
            response = await house.answer(method, path, token=token, headers={b"content-type": b"x"})
            assert response.body == b"unauthorized", (method, path)


async def test_another_plan_is_unauthorized(house):
    assert (await house.answer(path="/toy/another/send")).body == b"unauthorized"
    await house.answer()
    assert (await house.answer(path="/toy/another/send")).body == b"unauthorized"


async def test_unknown_paths_under_the_prefix_are_said_by_the_dialect(house):
    assert (await house.answer("GET", "/toy/{plan}/nothing")).body == b"not_found"


async def test_405_names_the_methods(house):
    assert (await house.answer("DELETE", "/toy/{plan}/send")).body == b"method_not_allowed POST"


async def test_unknown_paths_elsewhere_are_a_plain_404(house):
    response = await house.answer("GET", "/favicon.ico")
    assert (response.status, response.body) == (404, b"")


async def test_the_dialects_own_refusals_come_through(house):
    assert (await house.answer(headers={b"content-type": b"x"})).status == 415
    assert (await house.answer("GET", "/toy/{plan}/batch/b1", query="fields=a,b")).body == b"a,b"


async def test_what_is_not_found_and_what_is(house):
    sent = await house.answer()
    batch_id = sent.body.decode()
    assert (await house.answer("GET", "/toy/{plan}/batch/" + batch_id)).body == sent.body
    assert (await house.answer("GET", "/toy/{plan}/batch/nope")).body == b"not_found"


async def test_a_store_that_is_away_is_said_with_a_time_to_come_back(house):
    house.store.away = True
    first = await house.answer()
    house.store.away = False
    await house.answer()
    house.store.away = True
    for response in (first, await house.answer(), await house.answer("GET", "/toy/{plan}/batch/b1")):
        assert (response.body, list(response.headers)) == (b"unavailable", [("Retry-After", "5")])


async def test_what_the_store_refuses_is_refused(house):
    house.store.refuse = "quota"
    assert (await house.answer()).body == b"quota_spent"
    assert (await house.answer()).body == b"quota_spent"


async def test_our_own_faults_leak_nothing(house, capsys):
    for _ in range(2):
        response = await house.answer(body=b"fault")
        assert response.body == b"internal"


async def test_a_fault_while_writing_the_answer_is_an_answer_too(house, monkeypatch):
    await house.answer()
    monkeypatch.setattr("kvitto.intake.desk.IdMaker.new", lambda self: "boom")
    assert (await house.answer()).body == b"internal"


async def test_too_many_outstanding_requests_are_throttled_and_recover(clock):
    house = await House(clock, most_in_flight=2).open()
    await house.answer()
    house.store.held = True
    waiting = [house.call() for _ in range(2)]
    refused = await house.answer()
    assert (refused.body, list(refused.headers)) == (b"throttled", [("Retry-After", "1")])
    house.store.release()
    assert [(await answer_of(reply)).status for reply in waiting] == [201, 201]
    assert house.doors.in_flight == 0
    house.store.held = False
    assert (await house.answer()).status == 201


async def test_a_disabled_account_is_told_so(house):
    house.store.change("shop", disabled=True)
    assert (await house.answer()).body == b"account_disabled"


async def test_every_problem_has_words(house):
    assert all(ToyDialect().refuse(problem).status == 418 for problem in Problem)


# --- health and documents


@pytest.fixture
async def healthy(house):
    house.health = Health(house.store.check, lambda: {"links.main": "not bound"})
    house.health.open_on(house.doors.router)
    open_docs(house.doors.router, {"toy": {"openapi": "3.1.0", "info": {"title": "Toys <b>"}, "paths": {}}})
    return house


async def test_livez_answers_whatever_the_store_does(healthy):
    healthy.store.away = True
    assert (await healthy.answer("GET", "/livez", token="")).status == 200


async def test_readyz_says_ready_with_what_is_worth_knowing(healthy):
    response = await healthy.answer("GET", "/readyz", token="")
    assert (response.status, json.loads(response.body)["wrong"]) == (200, {"links.main": "not bound"})


async def test_readyz_says_what_is_wrong(healthy):
    healthy.store.away = True
    response = await healthy.answer("GET", "/readyz", token="")
    assert response.status == 503
    assert "store" in json.loads(response.body)["wrong"]


async def test_readyz_turns_away_while_stopping(healthy):
    healthy.health.stopping = True
    assert (await healthy.answer("GET", "/readyz", token="")).status == 503


async def test_the_docs_page_escapes_what_it_shows_and_loads_nothing(healthy):
    response = await healthy.answer("GET", "/docs", token="")
    page = response.body.decode()
    assert "Toys &lt;b&gt;" in page
    assert "<script" not in page
    assert "http" not in page.lower().replace("<!doctype html>", "")


async def test_an_openapi_document_is_served_by_name(healthy):
    response = await healthy.answer("GET", "/openapi/toy.json", token="")
    assert json.loads(response.body)["openapi"] == "3.1.0"


# --- heads that the server keeps


async def test_what_a_head_says_is_found_out_once_and_the_body_each_time(house):
    head = Head("POST", "/toy/x", "/toy/x", "", {}, 6)
    first, second = house.request(), house.request(body=b"Letter")
    first.head = second.head = head
    assert (await house.ask(first)).status == 201
    assert head.entry is not None
    second.headers = second.raw_path = None  # whoever read them again would fail
    assert (await house.ask(second)).status == 201
    assert [new.batch.content.text for new in house.store.batches.values()] == ["Parcel", "Letter"]


async def test_a_known_head_of_a_disabled_account_is_refused_within_a_second(house):
    head = Head("POST", "/toy/x", "/toy/x", "", {}, 6)
    for status in (201, 418):
        request = house.request()
        request.head = head
        assert (await house.ask(request)).status == status
        house.store.change("shop", disabled=True)
        house.clock.advance(KEEP_S)


async def test_a_known_head_is_refused_when_too_much_is_outstanding(house):
    head = Head("POST", "/toy/x", "/toy/x", "", {}, 6)
    for outstanding in (0, house.doors.most_in_flight):
        house.doors.in_flight = outstanding
        request = house.request()
        request.head = head
        answer = await house.ask(request)
    assert answer.body == b"throttled"


async def test_credentials_are_never_read_from_the_body(house):
    seen = []
    dialect = house.dialect
    plain = dialect.credentials

    def watched(call):
        seen.append(call.body)
        return plain(call)

    dialect.credentials = watched
    assert (await house.ask(house.request())).status == 201
    assert seen == [b""]
