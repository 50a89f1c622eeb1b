"""``/kvitto/v1`` over the running server: endpoints, callbacks, replays, events, and what others see of them."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from standardwebhooks.webhooks import Webhook

from kvitto.intake.api.routes import OPERATIONS, PREFIX
from tests.support.server import AccountKeys, ServerProcess, reserve_port
from tests.support.sink import Reply, Sink

SINCE = "2020-01-01T00:00:00Z"


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One account's requests; ``authorization``: its bearer token unless told otherwise."""

    def __init__(self, port: int, keys: AccountKeys) -> None:
        self.port = port
        self.keys = keys
        self.authorization = f"Bearer {keys.api_token}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        fields = {"Authorization": self.authorization, "Content-Type": "application/json"}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            path = path if path.startswith("/") else f"{PREFIX}/{path}"
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        answer = self.ask("POST", path, body, **headers)
        assert answer.status == status, answer
        return answer.json if answer.body else None

    def send(self, url: str, number: str = "46701740611") -> str:
        """Send one text with callbacks; returns the batch's id."""
        body = {"to": [number], "from": "Kvitto", "body": "hi", "delivery_report": "per_recipient", "callback_url": url}
        answer = self.ask("POST", f"/xms/v1/{self.keys.service_plan_id}/batches", body)
        assert answer.status == 201, answer
        return str(answer.json["id"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    fast = {"simulator.port": reserve_port(), "simulator.delay_min_ms": 1, "simulator.delay_max_ms": 5}
    with ServerProcess(tmp_path_factory.mktemp("api"), settings=fast) as running:
        yield running


@pytest.fixture(scope="module")
def shop(server: ServerProcess) -> Client:
    return Client(server.port, server.create_account("shop"))


@pytest.fixture(scope="module")
def stranger(server: ServerProcess) -> Client:
    return Client(server.port, server.create_account("stranger"))


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def names_of(answer: Answer) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == answer.status
    return answer.status, problem.get("field", "")


# --- who may come in --------------------------------------------------------------------------------------------------


def test_bearer_and_basic_come_in_and_nothing_else_does(shop):
    assert shop.ask("GET", "endpoints").status == 200
    pair = base64.b64encode(f"{shop.keys.username}:{shop.keys.password}".encode()).decode()
    assert shop.ask("GET", "endpoints", Authorization=f"Basic {pair}").status == 200
    for wrong in ("", "Bearer wrong", "Basic !!!", f"Basic {base64.b64encode(b'nobody:x').decode()}", "Digest x"):
        answer = shop.ask("GET", "endpoints", Authorization=wrong)
        assert names_of(answer)[0] == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_p21_no_operation_answers_without_an_account(shop, operation):
    path = operation.path.replace("{", "").replace("}", "")
    answer = shop.ask(operation.method, path, {}, Authorization="Bearer nobody")
    assert names_of(answer)[0] == 401


def test_unknown_paths_and_methods_are_problems_after_the_account(shop):
    assert names_of(shop.ask("GET", "nothing"))[0] == 404
    refused = shop.ask("PUT", "endpoints")
    assert names_of(refused)[0] == 405
    assert refused.headers["Allow"] == "GET, HEAD, POST"
    assert names_of(shop.ask("GET", "nothing", Authorization="Bearer x"))[0] == 401


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "endpoints?limit=501", None, "limit"),
        ("GET", "endpoints?limit=0", None, "limit"),
        ("GET", "endpoints?limit=x", None, "limit"),
        ("GET", "endpoints?lim=1", None, "lim"),
        ("GET", "endpoints?limit=1&limit=2", None, "limit"),
        ("GET", "endpoints?after=x", None, "after"),
        ("GET", "callbacks?state=lost", None, "state"),
        ("GET", "callbacks?since=yesterday", None, "since"),
        ("GET", "callbacks?since=2031-03-09T05:06:07", None, "since"),
        ("GET", "callbacks?endpoint=nobody", None, "endpoint"),
        ("GET", "callbacks?message_id=%00", None, "message_id"),
        ("GET", "events?after=x", None, "after"),
        ("GET", "events?wait_s=31", None, "wait_s"),
        ("POST", "endpoints", {"name": "x"}, "url"),
        ("POST", "endpoints", {"name": "a b", "url": "http://a.example/"}, "name"),
        ("POST", "endpoints", {"name": "x", "url": "ftp://a.example/"}, "url"),
        ("POST", "endpoints", {"name": "x", "url": "http://u:p@a.example/"}, "url"),
        ("POST", "endpoints", {"name": "x", "url": "http://169.254.169.254/latest/"}, "url"),
        ("POST", "endpoints", {"name": "x", "url": "http://[::ffff:10.0.0.1]/"}, "url"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "rate": 0}, "rate"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "concurrency": 257}, "concurrency"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "profile": "odd"}, "profile"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "headers": {"Host": "b"}}, "headers"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "headers": {"A": "b\r\nC: d"}}, "headers[...]"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "username": "a:b"}, "username"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "ca_pem": "none"}, "ca_pem"),
        (
            "POST",
            "endpoints",
            {"name": "x", "url": "http://a.example/", "allow_callbacks_to": ["::/0"]},
            "allow_callbacks_to",
        ),
        ("POST", "replays", {}, "since"),
        ("POST", "replays", {"since": SINCE, "rate": 1e-300}, "rate"),
        ("POST", "endpoints", {"name": "x", "url": "http://a.example/", "rate": 1e-300}, "rate"),
        ("POST", "replays", {"since": SINCE, "until": SINCE}, "until"),
        ("POST", "replays", {"since": SINCE, "rate": 10_001}, "rate"),
        ("POST", "replays", {"since": SINCE, "states": ["lost"]}, "states[0]"),
        ("POST", "replays", {"since": SINCE, "endpoint": "nobody"}, "endpoint"),
    ],
)
def test_what_is_wrong_is_named_with_its_limit(shop, method, path, body, field):
    assert names_of(shop.ask(method, path, body)) == (400, field)


def test_a_limit_is_told(shop):
    assert shop.ask("GET", "endpoints?limit=501").json["limit"] == "<= 500"


def test_a_body_must_be_json_and_say_so(shop):
    assert names_of(shop.ask("POST", "endpoints", {}, Content_Type="text/plain")) == (415, "Content-Type")
    connection = http.client.HTTPConnection("127.0.0.1", shop.port)
    fields = {"Authorization": shop.authorization, "Content-Type": "application/json"}
    connection.request("POST", f"{PREFIX}/endpoints", "{", fields)
    assert connection.getresponse().status == 400
    connection.close()


# --- endpoints --------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_made_changed_disabled_and_enabled_and_never_shows_a_secret(shop, sink):
    made = shop.post("endpoints", {"name": "one", "url": sink.url, "username": "u", "password": "sesame"}, status=201)
    assert (made["name"], made["state"], made["own_secret"]) == ("one", "healthy", False)
    changed = shop.ask("PATCH", "endpoints/one", {"rate": 5, "headers": {"X-Key": "sesame"}, "username": None})
    assert (changed.json["rate"], changed.json["header_names"], changed.json["username"]) == (5.0, ["X-Key"], None)
    assert names_of(shop.ask("PATCH", "endpoints/one", {"url": "http://elsewhere.example/"})) == (400, "url")
    assert shop.post("endpoints/one/disable")["disabled_why"] == "operator"
    assert shop.post("endpoints/one/enable")["state"] == "healthy"
    shown = shop.ask("GET", f"endpoints/{made['id']}")
    assert shown.json["pending"] == 0
    assert b"sesame" not in shown.body + changed.body
    assert names_of(shop.ask("POST", "endpoints", {"name": "one", "url": "http://b.example/"})) == (409, "name")
    assert names_of(shop.ask("GET", "endpoints/nobody")) == (404, "endpoint")


def test_pages_of_endpoints_follow_each_other(shop):
    for number in range(3):
        shop.post("endpoints", {"name": f"page{number}", "url": f"http://page{number}.example/"}, status=201)
    seen, after = [], ""
    while True:
        page = shop.get(f"endpoints?limit=2{after}")
        seen += [one["id"] for one in page["endpoints"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen)) >= 3


def test_p18_a_rotated_secret_signs_beside_the_old_one(shop, sink):
    shop.post("endpoints", {"name": "rotated", "url": sink.url}, status=201)
    new = shop.post("endpoints/rotated/rotate-secret")["secret"]
    shop.post("endpoints/rotated/test", {})
    (sample,) = sink.received
    for secret in (new, shop.keys.callback_secret):
        Webhook(secret).verify(sample.body, dict(sample.headers))


@pytest.mark.parametrize("dialect", ["sinch", "infobip", "ninebits"])
def test_a_sample_is_signed_judged_and_not_stored(shop, sink, dialect):
    name = f"sampled-{dialect}"
    shop.post("endpoints", {"name": name, "url": sink.url}, status=201)
    sink.answer = lambda path, body: Reply(status=200, body=b'{"status":200}')
    shown = shop.post(f"endpoints/{name}/test", {"dialect": dialect, "status": "failed"})
    assert shown["taken"], shown
    (sample,) = sink.received
    assert shown["body"].encode() == sample.body
    sink.answer = lambda path, body: Reply(status=503)
    shown = shop.post(f"endpoints/{name}/test", {"dialect": dialect})
    assert (shown["status"], shown["taken"]) == (503, False)
    assert "again" in shown["meaning"]
    assert shop.get(f"callbacks?endpoint={name}")["callbacks"] == []


def test_p19_an_address_that_was_open_when_the_url_was_saved_and_is_not_now_gets_no_sample(server):
    narrowed = Client(server.port, server.create_account("narrowed"))
    narrowed.post("endpoints", {"name": "inside", "url": "http://127.0.0.1:9/"}, status=201)
    server.run_json("account", "set", "narrowed", "allow_callbacks_to=")
    shown = narrowed.post("endpoints/inside/test", {})
    assert shown["status"] is None
    assert shown["error"].startswith("forbidden")


# --- doing it once ----------------------------------------------------------------------------------------------------


def test_p7_a_keyed_creation_is_done_once(shop):
    body = {"name": "keyed", "url": "http://keyed.example/"}
    first = shop.post("endpoints", body, status=201, Idempotency_Key="make-1")
    assert shop.post("endpoints", body, status=201, Idempotency_Key="make-1") == first
    other = shop.ask("POST", "endpoints", body | {"rate": 1}, Idempotency_Key="make-1")
    assert names_of(other) == (409, "Idempotency-Key")
    replay = {"since": SINCE, "endpoint": "keyed"}
    one = shop.post("replays", replay, status=201, Idempotency_Key="replay-1")
    assert shop.post("replays", replay, status=201, Idempotency_Key="replay-1")["id"] == one["id"]
    assert names_of(shop.ask("POST", "replays", replay, Idempotency_Key="a b")) == (400, "Idempotency-Key")


def test_p7_a_refused_creation_keeps_no_answer(shop):
    shop.post("endpoints", {"name": "taken", "url": "http://taken.example/"}, status=201)
    again = {"name": "taken", "url": "http://free.example/"}
    assert shop.ask("POST", "endpoints", again, Idempotency_Key="taken-1").status == 409
    assert shop.ask("POST", "endpoints", again, Idempotency_Key="taken-1").status == 409


# --- callbacks, replays, events ---------------------------------------------------------------------------------------


def settled(client: Client, path: str, count: int) -> list[Any]:
    """The callbacks of a list, once so many are done."""
    for _ in range(200):
        found = client.get(path)["callbacks"]
        if len([one for one in found if one["state"] == "done"]) >= count:
            return list(found)
    raise AssertionError(found)


def test_p14_a_callback_is_listed_shown_and_posted_again(shop, sink):
    refusals = iter([503])
    sink.answer = lambda path, body: Reply(status=next(refusals, 200) if b"Delivered" in body else 200)
    batch = shop.send(sink.url)
    sink.wait_for(lambda requests: [one.status for one in requests].count(200) >= 2, within_s=30)
    of_batch = [one for one in settled(shop, "callbacks?limit=50", 2) if one["batch_id"] == batch]
    retried = next(one for one in of_batch if one["attempts"] > 1)
    shown = shop.get(f"callbacks/{retried['id']}")
    assert [one["status_code"] for one in shown["history"]] == [503, 200]
    assert shown["history"][0]["error"] == "HTTP 503"
    assert retried["id"] in {one.headers["webhook-id"] for one in sink.received}
    before = len(sink.received)
    assert shop.post(f"callbacks/{retried['id']}/resend", status=202)["state"] == "pending"
    again = sink.wait_for(lambda requests: len(requests) > before and requests)[-1]
    assert again.headers["webhook-id"] == retried["id"]
    assert names_of(shop.ask("GET", "callbacks/cb_1_1"))[0] == 404


def test_p14_a_replay_posts_each_once_and_tells_its_progress(shop, sink):
    for number in ("46701740612", "46701740613"):
        shop.send(sink.url, number)
    first = sink.wait_for(lambda requests: len(requests) >= 4 and len(requests))
    shop.post("endpoints", {"name": "replayed", "url": sink.url}, status=201)
    settled(shop, "callbacks?endpoint=replayed", first)
    begun = shop.post("replays", {"since": SINCE, "endpoint": "replayed", "states": ["done"]}, status=201)
    sink.wait_for(lambda requests: len(requests) >= 2 * first)
    for _ in range(100):
        shown = shop.get(f"replays/{begun['id']}")
        if shown["state"] == "done":
            break
    assert (shown["state"], shown["progress"], shown["replayed"], shown["skipped"]) == ("done", 1.0, first, 0)
    assert begun["id"] in {one["id"] for one in shop.get("replays")["replays"]}
    assert shop.post(f"replays/{begun['id']}/cancel")["state"] == "done"


def test_events_come_in_order_from_a_cursor_and_can_be_waited_for(shop):
    start = shop.get("events?after=now")
    assert (start["events"], start["more"]) == ([], False)
    batch = shop.send("http://events.invalid/", "46701740614")
    seen: list[Any] = []
    after = start["cursor"]
    while not (seen and seen[-1]["final"]):
        page = shop.get(f"events?after={after}&limit=1&wait_s=10")
        assert len(page["events"]) == 1
        seen += page["events"]
        after = page["cursor"]
    assert [one["status"] for one in seen] == ["DISPATCHED", "DELIVERED"]
    assert {one["batch_id"] for one in seen} == {batch}
    assert shop.get(f"events?after={after}")["events"] == []
    assert shop.get(f"events?after={seen[0]['cursor']}")["events"] == seen[1:]


def test_a_cursor_of_another_database_is_refused_in_words(shop):
    for cursor, words in (("x", "handed out"), (f"0-{1 << 62}", "older copy"), (f"{1 << 40}-1", "older copy")):
        answer = shop.ask("GET", f"events?after={cursor}&wait_s=20")
        assert (answer.status, answer.json["field"]) == (400, "after")
        assert words in answer.json["detail"]


# --- accounts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def things(shop, sink) -> dict[str, str]:
    """One thing of each kind that belongs to the shop, by the names in the paths."""
    name = f"own-{sink.port}"
    made = shop.post("endpoints", {"name": name, "url": sink.url}, status=201)
    shop.send(sink.url)
    sink.wait_for(lambda requests: len(requests) >= 2)
    callback = settled(shop, f"callbacks?endpoint={name}", 2)[0]["id"]
    replay = shop.post("replays", {"since": SINCE, "endpoint": name, "rate": 0.1}, status=201)["id"]
    return {"endpoint": made["id"], "callback": callback, "replay": replay, "relay": "rl_1"}


BODIES: dict[str, Any] = {
    "change_endpoint": {"rate": 1},
    "test_endpoint": {},
    "answer_relay": {"id": "1", "status": 200},
}


def test_p21_no_operation_reaches_anothers_things(shop, stranger, things):
    before = {name: shop.get(f"{name}s/{things[name]}") for name in ("endpoint", "callback")}
    tried = 0
    for operation in OPERATIONS:
        if "{" not in operation.path:
            continue
        answer = stranger.ask(operation.method, operation.path.format(**things), BODIES.get(operation.name))
        assert names_of(answer)[0] == 404, operation.name
        tried += 1
    assert tried == len([one for one in OPERATIONS if "{" in one.path]) > 8
    assert {name: shop.get(f"{name}s/{things[name]}") for name in before} == before
    assert shop.get(f"replays/{things['replay']}")["state"] == "running"


def test_p21_lists_show_ones_own_only(stranger, things):
    assert things
    assert stranger.get("endpoints")["endpoints"] == []
    assert stranger.get("callbacks")["callbacks"] == []
    assert stranger.get("replays")["replays"] == []
    assert stranger.get("events")["events"] == []
    assert stranger.get("notices")["notices"] == []
    assert names_of(stranger.ask("GET", f"callbacks?endpoint={things['endpoint']}")) == (400, "endpoint")
    assert names_of(stranger.ask("POST", "replays", {"since": SINCE, "endpoint": things["endpoint"]}))[0] == 400


# --- the document -----------------------------------------------------------------------------------------------------


def test_the_document_is_served_and_listed(shop):
    document = shop.ask("GET", "/openapi/kvitto.json").json
    paths = document["paths"]
    assert {(method.upper(), path) for path, item in paths.items() for method in item} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }
    assert b"openapi/kvitto.json" in shop.ask("GET", "/docs").body
