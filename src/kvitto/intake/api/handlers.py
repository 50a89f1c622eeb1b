"""What each operation of ``/kvitto/v1`` does: read, ask the store, write. One method for each row of the table.

Every store verb gets the caller's account: what belongs to another does not exist (P21). Must not know: sockets, SQL,
who may come in (``kvitto.intake.api.doors``).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kvitto.core.endpoint import DisabledWhy, Endpoint, NewEndpoint, origin_of
from kvitto.core.ids import new_nonce, new_secret
from kvitto.core.model import Account, CallbackState
from kvitto.core.record import CallbackFilter, CursorRefused, NewReplay
from kvitto.core.relay import RelayDesk
from kvitto.core.sample import Sample
from kvitto.core.urls import BadUrl, parse_target
from kvitto.dialects.base import Call
from kvitto.intake.api import views, wire
from kvitto.intake.api.problems import Refusal, bad_field, not_found
from kvitto.intake.api.relaying import lines, relayed_answer
from kvitto.intake.api.routes import NDJSON
from kvitto.intake.exchange import Response
from kvitto.store.api import Store

__all__ = ["Ask", "Handlers", "Parts", "Sampler", "SettingProblem", "UrlProblem"]

POLL_S: Final = 0.5
"""How often a reader who waits for events is looked after."""
MOST_WAITING: Final = 200
"""Readers who wait for events at once; others are answered at once."""

_CURSORS: Final = {
    CursorRefused.MALFORMED: "not one that was handed out",
    CursorRefused.AHEAD: (
        "it lies ahead of everything that was ever stored here: another database handed it out, or this one before an "
        "older copy of it was put in its place; what has changed since then is not here. Begin again without it, or "
        "with now"
    ),
}

UrlProblem = Callable[[str, tuple[str, ...]], str | None]
"""A URL and the networks that are open to its callbacks -> why it is not to be saved (P19); None when it may be."""
SettingProblem = Callable[[Mapping[str, object]], tuple[str, str] | None]
"""An endpoint's settings -> (field, what is wrong with it); None when they can be used."""


class Sampler(Protocol):
    """Posts one signed sample and keeps nothing of it."""

    async def sample(self, account: Account, endpoint: Endpoint, dialect: str, status: str) -> Sample:
        """Post a made-up report in a dialect's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API works with beside the store; ``app`` hands it in."""

    relay: RelayDesk
    sampler: Sampler
    setting_problem: SettingProblem
    url_problem: UrlProblem


class Ask(NamedTuple):
    """One request, read: ``query`` and ``body`` in the shapes of the table, None for no body."""

    call: Call
    account: Account
    query: Any
    body: Any

    @property
    def now(self) -> int:
        """When it came."""
        return self.call.now


class Handlers:
    """See ``kvitto.intake.api.routes.OPERATIONS`` for what each is called by."""

    def __init__(self, store: Store, parts: Parts) -> None:
        self._store = store
        self._parts = parts
        self._waiting = 0

    # --- endpoints ----------------------------------------------------------------------------------------------------

    async def list_endpoints(self, ask: Ask) -> wire.EndpointPageOut:
        """By rising number."""
        after = _read_number(ask.query.after)
        found = await self._store.list_endpoints(ask.account.id, ask.query.limit, after or 0)
        more = len(found) == ask.query.limit
        return wire.EndpointPageOut([views.endpoint_out(one) for one in found], str(found[-1].id) if more else None)

    async def new_endpoint(self, ask: Ask) -> NewEndpoint:
        """What is to be made, checked."""
        body: wire.EndpointIn = ask.body
        settings = _settings({name: getattr(body, name) for name in body.__struct_fields__}, dropped=("name", "url"))
        _check_form(body.url)
        self._check_address(ask.account, body.url, await self._store.fetch_endpoint(ask.account.id, body.url))
        self._check(settings)
        return NewEndpoint(ask.account.id, body.name, body.url, ask.now, settings)

    async def create_endpoint(self, ask: Ask) -> wire.EndpointOut:
        """Make one."""
        return self.made_endpoint(await self._store.create_endpoint(await self.new_endpoint(ask)))

    def made_endpoint(self, made: Endpoint | None) -> wire.EndpointOut:
        """Show what was made. Raises: Refusal where name or origin were taken."""
        if made is None:
            raise Refusal("conflict", "name: taken, or the URL's origin has a name already", field="name")
        return views.endpoint_out(made)

    async def fetch_endpoint(self, ask: Ask) -> wire.EndpointDetailOut:
        """One, with what waits for it."""
        one = await self._endpoint(ask)
        return views.detail_out(one, await self._store.fetch_endpoint_stats(one.id, ask.now))

    async def change_endpoint(self, ask: Ask) -> wire.EndpointOut:
        """Change settings."""
        one = await self._endpoint(ask)
        body: wire.EndpointChangeIn = ask.body
        given = {name: getattr(body, name) for name in body.__struct_fields__}
        changes = _settings({name: value for name, value in given.items() if value is not msgspec.UNSET})
        if "url" in changes:
            _check_form(str(changes["url"]))
            if origin_of(str(changes["url"])) != one.origin:
                raise bad_field("url", f"must stay on the endpoint's origin, {one.origin}", one.origin)
            self._check_address(ask.account, str(changes["url"]), one)
        self._check(changes, one)
        changed = await self._store.set_endpoint(ask.account.id, one.id, changes, ask.now)
        if changed is None:
            raise Refusal("conflict", "name: taken", field="name")
        return views.endpoint_out(changed)

    async def disable_endpoint(self, ask: Ask) -> wire.EndpointOut:
        """Post nothing there."""
        one = await self._endpoint(ask)
        why = DisabledWhy.OPERATOR.value
        return _shown(await self._store.disable_endpoint(ask.account.id, one.id, why, ask.now))

    async def enable_endpoint(self, ask: Ask) -> wire.EndpointOut:
        """Post there again."""
        one = await self._endpoint(ask)
        return _shown(await self._store.enable_endpoint(ask.account.id, one.id, ask.now))

    async def rotate_secret(self, ask: Ask) -> wire.SecretOut:
        """A new secret, shown here and nowhere else."""
        one = await self._endpoint(ask)
        secret = new_secret()
        rotated = await self._store.rotate_endpoint_secret(ask.account.id, one.id, secret, ask.now)
        if rotated is None:
            raise not_found("endpoint")
        until = rotated.old_secret_until
        return wire.SecretOut(rotated.public_id, secret, None if until is None else views.iso(until))

    async def test_endpoint(self, ask: Ask) -> wire.SampleOut:
        """One signed sample, now."""
        one = await self._endpoint(ask)
        if one.url is None:
            raise Refusal("conflict", "the endpoint has no URL of its own to post to: give it one", field="url")
        return views.sample_out(await self._parts.sampler.sample(ask.account, one, ask.body.dialect, ask.body.status))

    async def _endpoint(self, ask: Ask, which: str | None = None) -> Endpoint:
        which = ask.call.params["endpoint"] if which is None else which
        found = None if "\0" in which else await self._store.fetch_endpoint(ask.account.id, which)
        if found is None:
            raise not_found("endpoint")
        return found

    def _check_address(self, account: Account, url: str, one: Endpoint | None) -> None:
        """What an account may not post to is refused when it is saved, too (P19)."""
        own = () if one is None else one.allow_callbacks_to
        problem = self._parts.url_problem(url, (*account.allow_callbacks_to, *own))
        if problem is not None:
            raise bad_field("url", problem)

    def _check(self, settings: Mapping[str, object], one: Endpoint | None = None) -> None:
        tls = ("ca_pem", "client_cert_pem", "client_key_pem")
        whole = {name: getattr(one, name) for name in tls} if one is not None else {}
        problem = self._parts.setting_problem({**whole, **settings})
        if problem is not None:
            raise bad_field(*problem)

    # --- callbacks ----------------------------------------------------------------------------------------------------

    async def list_callbacks(self, ask: Ask) -> wire.CallbackPageOut:
        """Newest first."""
        query: wire.CallbackQuery = ask.query
        wanted = CallbackFilter(
            account_id=ask.account.id,
            endpoint=None if query.endpoint is None else (await self._endpoint_in(ask, query.endpoint)).id,
            states=() if query.state is None else (CallbackState(query.state),),
            since_at=_read_instant("since", query.since),
            until_at=_read_instant("until", query.until),
            message_id=_no_nul("message_id", query.message_id),
        )
        page = await self._store.list_callbacks(wanted, query.limit, _read_number(query.after))
        following = None if page.cursor is None else str(page.cursor)
        return wire.CallbackPageOut([views.callback_out(one) for one in page.callbacks], following)

    async def _endpoint_in(self, ask: Ask, which: str) -> Endpoint:
        """An endpoint named in a filter: an unknown one is a wrong field there."""
        try:
            return await self._endpoint(ask, which)
        except Refusal:
            raise bad_field("endpoint", "no such endpoint") from None

    async def fetch_callback(self, ask: Ask) -> wire.CallbackDetailOut:
        """One, with its attempts."""
        view, attempts = await self._callback(ask)
        return views.callback_detail_out(view, attempts)

    async def resend_callback(self, ask: Ask) -> wire.CallbackOut:
        """Make it due now."""
        view, _ = await self._callback(ask)
        done = await self._store.resend_callback(ask.account.id, view.id, ask.now)
        if done is False:
            raise Refusal("conflict", "the callback is being posted just now", field="callback")
        view, _ = await self._callback(ask)
        return views.callback_out(view)

    async def _callback(self, ask: Ask) -> Any:
        read = views.read_callback_id(ask.call.params["callback"])
        found = None if read is None else await self._store.fetch_callback(ask.account.id, read[0])
        if read is None or found is None or read[1] not in (None, found[0].created_at):
            raise not_found("callback")
        return found

    # --- replays ------------------------------------------------------------------------------------------------------

    async def new_replay(self, ask: Ask) -> NewReplay:
        """What is to be replayed, checked."""
        body: wire.ReplayIn = ask.body
        since_at, until_at = _read_instant("since", body.since), _read_instant("until", body.until)
        if since_at is not None and until_at is not None and until_at <= since_at:
            raise bad_field("until", "must lie after since")
        wanted = CallbackFilter(
            account_id=ask.account.id,
            endpoint=None if body.endpoint is None else (await self._endpoint_in(ask, body.endpoint)).id,
            states=tuple(dict.fromkeys(CallbackState(state) for state in body.states)),
            since_at=since_at,
            until_at=until_at,
        )
        return NewReplay(wanted, body.rate, ask.now)

    async def start_replay(self, ask: Ask) -> wire.ReplayOut:
        """Begin one."""
        return views.replay_out(await self._store.start_replay(await self.new_replay(ask)))

    async def list_replays(self, ask: Ask) -> wire.ReplayPageOut:
        """Newest first."""
        found = await self._store.list_replays(ask.account.id, ask.query.limit)
        return wire.ReplayPageOut([views.replay_out(one) for one in found])

    async def fetch_replay(self, ask: Ask) -> wire.ReplayOut:
        """Where it stands."""
        found = await self._store.fetch_replay(ask.account.id, _replay(ask))
        if found is None:
            raise not_found("replay")
        return views.replay_out(found)

    async def cancel_replay(self, ask: Ask) -> wire.ReplayOut:
        """Stop it."""
        found = await self._store.cancel_replay(ask.account.id, _replay(ask))
        if found is None:
            raise not_found("replay")
        return views.replay_out(found)

    # --- events -------------------------------------------------------------------------------------------------------

    async def list_events(self, ask: Ask) -> wire.EventPageOut:
        """What changed after the cursor; an empty page may be waited for."""
        query: wire.EventQuery = ask.query
        after, looks = query.after, 0
        while True:
            page = await self._store.events_after(ask.account.id, after, query.limit)
            if isinstance(page, CursorRefused):
                raise Refusal("invalid_cursor", _CURSORS[page], field="after")
            looks += 1
            over = looks > query.wait_s / POLL_S or (looks == 1 and self._waiting >= MOST_WAITING)
            if page.events or (over and not page.more):
                return wire.EventPageOut([views.event_out(one) for one in page.events], page.cursor, page.more)
            after = page.cursor
            if not page.more:  # rows of others fill a page as well: those are read past at once
                await self._rest()

    async def _rest(self) -> None:
        self._waiting += 1
        try:
            await asyncio.sleep(POLL_S)
        finally:
            self._waiting -= 1

    async def list_notices(self, ask: Ask) -> wire.NoticePageOut:
        """Operator events of the account, newest first."""
        limit = ask.query.limit
        found = await self._store.list_operator_events(ask.account.id, limit, _read_number(ask.query.after))
        following = str(found[-1].id) if len(found) == limit else None
        return wire.NoticePageOut([views.notice_out(one) for one in found], following)

    # --- the relay ----------------------------------------------------------------------------------------------------

    async def open_relay(self, ask: Ask) -> Response:
        """A stream of callbacks."""
        if ask.call.method == "HEAD":
            return Response(200, b"", NDJSON)
        if not self._parts.relay.has_room(ask.account.id):
            raise Refusal("throttled", "too many listeners", field="relay", headers=(("Retry-After", "5"),))
        stream = lines(self._parts.relay, ask.account, f"rl_{new_nonce()}", ask.query.all)
        return Response(200, b"", NDJSON, (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")), stream)

    async def answer_relay(self, ask: Ask) -> Response:
        """What the local program said to one of them."""
        body: wire.RelayAnswerIn = ask.body
        if not self._parts.relay.answer(ask.account.id, ask.call.params["relay"], body.id, relayed_answer(body)):
            raise not_found("relayed callback")
        return Response(204)


# --- fields -----------------------------------------------------------------------------------------------------------


def _settings(given: Mapping[str, object], dropped: tuple[str, ...] = ()) -> dict[str, object]:
    settings = {name: value for name, value in given.items() if name not in dropped}
    if "headers" in settings:
        headers = settings["headers"]
        assert isinstance(headers, dict)
        settings["headers"] = tuple(headers.items())
    return settings


def _shown(one: Endpoint | None) -> wire.EndpointOut:
    if one is None:
        raise not_found("endpoint")
    return views.endpoint_out(one)


def _check_form(url: str) -> None:
    target = parse_target(url)
    if isinstance(target, BadUrl):
        raise bad_field("url", f"no URL that callbacks can go to: {target.reason}")


def _read_instant(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    at = views.read_instant(text)
    if at is None:
        raise bad_field(field, "wanted an ISO-8601 timestamp with a zone, such as 2031-03-09T05:06:07Z")
    return at


def _read_number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) >> 63 == 0):
        raise Refusal("invalid_cursor", "not one that was handed out", field="after")
    return int(cursor)


def _no_nul(field: str, text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise bad_field(field, "holds a NUL")
    return text


def _replay(ask: Ask) -> int:
    number = views.read_replay_id(ask.call.params["replay"])
    if number is None:
        raise not_found("replay")
    return number
