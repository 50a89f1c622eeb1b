"""Where the dashboard meets the HTTP server and the other rooms it must not know: requests to visits, answers back.

Also what it is handed of them: sending through the desk, one test report through the callback client, one look at an
SMSC. Next: ``kvitto.dashboard`` (the pages), ``kvitto.app`` (who calls this).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from kvitto.callbacks.addresses import AddressPolicy, url_objection
from kvitto.callbacks.lanes import Lane
from kvitto.callbacks.post import CallbackClient, header_lines, resolve_by_system
from kvitto.callbacks.signing import callback_lines
from kvitto.core.clock import Clock
from kvitto.core.endpoint import endpoint_number, origin_of, secrets_of
from kvitto.core.ids import new_nonce, new_token
from kvitto.core.model import Account, CallbackDue, ContentKind, MessageView, Submission
from kvitto.core.operations import Cancel, Send
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dashboard import ROUTES, Answer, Dashboard, Visit
from kvitto.dashboard.routes import Route
from kvitto.dashboard.tools import Curl, LinkTest, Magic, Posted, Sent
from kvitto.dashboard.web import Refused, read_cookies, read_form
from kvitto.dialects.base import Dialect
from kvitto.dispatch.link import LinkConfig
from kvitto.dispatch.probe import probe
from kvitto.intake.admit import Denial
from kvitto.intake.auth import hash_secret
from kvitto.intake.desk import Desk
from kvitto.intake.doors import TOO_LARGE, Doors, Lobby
from kvitto.intake.exchange import Outcome, Request, Response
from kvitto.intake.routing import parse_query
from kvitto.simulator.numbers import NUMBERS
from kvitto.store import Store
from kvitto.store.office import Office

__all__ = [
    "curl_of",
    "magic_numbers",
    "new_api_token",
    "objection_to",
    "open_pages",
    "send_by",
    "test_link",
    "test_report",
    "token_keeper",
]

TEST_ID: Final = "TEST0000000000000000000000"
USED_MS: Final = 60_000
MOST_TOKENS: Final = 10_000
SHOWN_BYTES: Final = 1024
RESOLVE_S: Final = 5.0
_SECRET: Final = ("authorization", "cookie", "proxy-authorization")
_MASK: Final = "(not shown)"
_FORM: Final = b"application/x-www-form-urlencoded"


def open_pages(doors: Doors, dashboard: Dashboard) -> None:
    """Add every route of the dashboard, and a page for those that are none."""
    for route in ROUTES:
        doors.router.add(route.method, route.path, partial(_enter, dashboard, route))
    doors.add_lobby(Strays(dashboard))


def _enter(dashboard: Dashboard, route: Route, request: Request, **params: str) -> Outcome:
    return _visit(dashboard, route, request, params)


async def _visit(dashboard: Dashboard, route: Route, request: Request, params: Mapping[str, str]) -> Response:
    visit = _visit_of(request, route.method, params)
    if request.body:
        if request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != _FORM:
            return Response(415, b"A form was expected.", "text/plain")
        try:
            visit.many = read_form(request.body)
        except Refused as refused:
            return Response(refused.status, refused.words.encode(), "text/plain")
        visit.form = {name: values[-1] for name, values in visit.many.items()}
    return _respond(await dashboard.enter(route, visit))


def _visit_of(request: Request, method: str, params: Mapping[str, str]) -> Visit:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
    return Visit(
        method=method,
        path=request.path,
        params=params,
        query={name: values[-1] for name, values in parse_query(request.query).items()},
        raw_query=request.query,
        cookies=read_cookies(headers.get("cookie", "")),
        headers=headers,
        peer=request.peer,
        secure=request.scheme == "https",
        now=request.arrived_at,
    )


class Strays(Lobby):
    """What no route answers, for people who came by a browser; programs get the bare status as before."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Every path that no API before this one claims."""
        return {}

    async def refuse(self, request: Request, params: dict[str, str], denial: Denial, allow: str) -> Response:
        """A page that says that there is none."""
        if allow:
            return Response(405, headers=(("Allow", allow),))
        if request.method != "GET" or b"text/html" not in request.headers.get(b"accept", b""):
            return Response(404)
        return _respond(await self._dashboard.lose(_visit_of(request, "GET", {})))

    def deny(self, denial: Denial) -> Response:
        """What the server itself refused."""
        return Response(TOO_LARGE)


def _respond(answer: Answer) -> Response:
    return Response(
        answer.status,
        answer.body,
        answer.content_type if answer.body or answer.stream else None,
        answer.headers,
        answer.stream,
    )


# --- what the dashboard is handed -------------------------------------------------------------------------------------


def send_by(
    desk: Desk, clock: Clock
) -> tuple[Callable[[Submission, Account], Awaitable[Sent]], Callable[[Account, str], Awaitable[str]]]:
    """Send and cancel as every dialect does: through the desk."""

    async def send(submission: Submission, account: Account) -> Sent:
        done = await desk.perform(Send(submission), account, clock.now())
        if isinstance(done, Denial):
            return Sent("", f"This was not accepted: {done.text or done.problem}.")
        return Sent(done.batch.id)

    async def cancel(account: Account, batch_id: str) -> str:
        done = await desk.perform(Cancel(batch_id=batch_id), account, clock.now())
        return f"This was not cancelled: {done.text or done.problem}." if isinstance(done, Denial) else ""

    return send, cancel


def _policy(account: Account, allow_private: bool) -> AddressPolicy:
    return AddressPolicy.of(account.allow_callbacks_to, allow_private=allow_private)


def objection_to(allow_private: bool) -> Callable[[str, Account], Awaitable[str]]:
    """Why callbacks may not go to a URL: its name resolves to an address that is not allowed. A name that does not
    resolve now may do so later, and is not held against it.
    """

    async def object_to(url: str, account: Account) -> str:
        policy, parts = _policy(account, allow_private), urlsplit(url)
        if (said := url_objection(url, policy)) is not None:
            return f"{said[0].upper()}{said[1:]}."
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            addresses = await asyncio.wait_for(resolve_by_system(parts.hostname or "", port), RESOLVE_S)
        except (OSError, ValueError, TimeoutError):
            return ""
        kinds = [kind for address in addresses if (kind := policy.objection(address))]
        return f"This name leads to an address that is not allowed ({kinds[0]})." if kinds else ""

    return object_to


def _sample(account: Account, now: int) -> MessageView:
    return MessageView(
        TEST_ID,
        TEST_ID,
        account.id,
        "999000000000",
        Status.DELIVERED,
        Reason.DELIVERED,
        now,
        now,
        NO_ERROR,
        1,
        Note.NONE,
        now,
        None,
        ContentKind.TEXT,
        None,
    )


def test_report(
    client: CallbackClient, store: Store, dialects: Mapping[str, Dialect], clock: Clock, allow_private: bool
) -> Callable[[Account], Awaitable[Posted]]:
    """Post one sample report in the account's dialect, as its endpoint has it, once, and say what came back."""

    async def post(account: Account) -> Posted:
        now, url = clock.now(), account.callback_url or ""
        name = account.callback_dialect or next(iter(dialects))
        dialect = dialects.get(name) or next(iter(dialects.values()))
        due = CallbackDue(0, account.id, dialect.name, url, _sample(account, now), False, 0, now, None)
        body = dialect.render((due,), account)
        endpoint = await store.fetch_endpoint(account.id, url)
        lane = Lane(endpoint_number(account.id, url), account.id, origin_of(url), 1)
        if endpoint is not None:
            lane.set(endpoint, 1)
        secrets = secrets_of(endpoint, account, now)
        fields = list(dialect.headers(due, body, account, secret=secrets[-1], nonce=new_nonce(), now=now))
        if all(key.lower() != "content-type" for key, _ in fields):
            fields.append(("Content-Type", "application/json"))
        lines = header_lines(fields) + callback_lines((due,), body, secrets, now) + lane.extra_lines
        allowed = (*account.allow_callbacks_to, *(endpoint.allow_callbacks_to if endpoint else ()))
        policy = AddressPolicy.of(allowed, allow_private=allow_private)
        fields = [_field(line) for line in lines.decode("latin-1").splitlines()]
        headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in fields]
        result = await client.post(
            url, headers, body, policy=policy, timeout_s=dialect.callback_timeout_s, tls=lane.tls
        )
        status = result.status if result.failure is None else None
        taken = dialect.judge(due, account, status, result.body, None, now).done
        return Posted(
            url,
            tuple((key, _MASK if key.lower() in _SECRET else value) for key, value in fields),
            body.decode("utf-8", "replace"),
            result.status,
            result.elapsed_ms,
            result.body[:SHOWN_BYTES].decode("utf-8", "replace"),
            result.detail or str(result.failure or ""),
            taken,
        )

    return post


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value


def test_link(configs: Callable[[], Mapping[str, LinkConfig]], clock: Clock) -> Callable[[str], Awaitable[LinkTest]]:
    """One look at a configured link's SMSC."""

    async def look(name: str) -> LinkTest:
        config = configs().get(name)
        if config is None:
            return LinkTest((), "this process does not run it")
        result = await probe(config, clock)
        return LinkTest(tuple((step.step, step.ok, step.ms) for step in result.steps), result.reason)

    return look


def token_keeper(office: Office, clock: Clock) -> Callable[[str], None]:
    """Keep when tokens are used, a write a minute for each at most; a write that fails is not made good."""
    known: dict[str, int] = {}

    def used(token_hash: str) -> None:
        now = clock.now()
        if now - known.get(token_hash, 0) < USED_MS:
            return
        if len(known) >= MOST_TOKENS:
            known.clear()
        known[token_hash] = now
        office.touch_token(token_hash, now).add_done_callback(lambda done: done.cancelled() or done.exception())

    return used


def new_api_token() -> tuple[str, str]:
    """A fresh token and what is stored of it."""
    token = new_token()
    return token, hash_secret(token)


def magic_numbers() -> list[Magic]:
    """The simulator's numbers, by their last two digits."""
    return [Magic(one.number, one.description) for one in NUMBERS.values()]


_SINCH: Final = """curl -s {url}/xms/v1/{plan}/batches \\
  -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '{{"from":"Kvitto","to":["46701740611"],"body":"Hello"}}'"""
_INFOBIP: Final = """curl -s {url}/sms/3/messages \\
  -H "Authorization: App $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '{{"messages":[{{"sender":"Kvitto",
       "destinations":[{{"to":"46701740611"}}],
       "content":{{"text":"Hello"}}}}]}}'"""
_NINEBITS: Final = """curl -s {url}/ng/v1/sendsms \\
  -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '{{"from":"Kvitto","to":"2348020000000","content":"Hello"}}'"""
_CURL: Final = {"sinch": ("Sinch", _SINCH), "infobip": ("Infobip", _INFOBIP), "ninebits": ("9bits", _NINEBITS)}


def curl_of(url: Callable[[], str], dialects: Sequence[str]) -> Callable[[Account], list[Curl]]:
    """Lines to paste, for the dialects that this server speaks."""

    def lines(account: Account) -> list[Curl]:
        return [
            Curl(_CURL[name][0], _CURL[name][1].format(url=url(), plan=account.service_plan_id))
            for name in dialects
            if name in _CURL
        ]

    return lines
