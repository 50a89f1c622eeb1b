"""The doors of ``/kvitto/v1``: who is calling, is the request in shape, and every refusal as a problem object.

The order of refusals is that of all doors: 401, then 404 and 405, then what the request says. Must not know: what an
operation does. Next: ``kvitto.intake.api.handlers``, ``kvitto.intake.doors``.
"""

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import FrozenAnswer
from kvitto.dialects.base import Call, Credentials, Problem
from kvitto.intake.admit import Denial
from kvitto.intake.api import views
from kvitto.intake.api.handlers import Ask, Handlers, Parts
from kvitto.intake.api.problems import Refusal, answer_denial, answer_refusal, from_validation
from kvitto.intake.api.routes import OPERATIONS, PREFIX, ApiOperation
from kvitto.intake.auth import Authenticator
from kvitto.intake.doors import BAD_KEY, KEY_HEADER, Doors, is_key, read_call
from kvitto.intake.exchange import Outcome, Request, Response
from kvitto.store.api import AdmissionRefused, Store
from kvitto.telemetry import get_logger

__all__ = ["Api", "credentials_of"]

_JSON: Final = "application/json"
_PREFIX: Final = PREFIX.split("/")
_BUSY: Final = Denial(Problem.THROTTLED, "too many outstanding requests", retry_after_s=1)
_NOT_FOUND: Final = Denial(Problem.NOT_FOUND, "path: unknown")

_Result = msgspec.Struct | Response


def credentials_of(headers: Mapping[str, str]) -> Credentials | None:
    """Read ``Authorization``: Bearer with an API token, or Basic with user name and password."""
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return Credentials(token=value)
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    return Credentials(username=username, password=password) if colon and "\0" not in username else None


class Api:
    """Kvitto's own API. ``most_in_flight``: requests at once, those that wait for events and relays included."""

    def __init__(self, store: Store, authenticator: Authenticator, parts: Parts, *, most_in_flight: int = 500) -> None:
        self._store = store
        self._authenticator = authenticator
        self._handlers = Handlers(store, parts)
        self._most_in_flight = most_in_flight
        self._in_flight = 0

    def open_on(self, doors: Doors) -> None:
        """Add all routes, and the words for paths that are none."""
        for operation in OPERATIONS:
            doors.router.add(operation.method, operation.path, partial(self._enter, operation))
        doors.add_lobby(self)

    # --- as a lobby: see ``kvitto.intake.doors`` ----------------------------------------------------------------------

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Whether a path lies below ``/kvitto/v1``."""
        return {} if segments[: len(_PREFIX)] == _PREFIX else None

    async def refuse(self, request: Request, params: dict[str, str], denial: Denial, allow: str) -> Response:
        """No route has this path or method; said to those who have an account."""
        try:
            found = await self._identify(read_call(request, params))
        except StoreUnavailable as away:
            return _away(away)
        return answer_denial(found if isinstance(found, Denial) else denial, allow)

    def deny(self, denial: Denial) -> Response:
        """What the server itself refused."""
        return answer_denial(denial)

    # --- one request --------------------------------------------------------------------------------------------------

    def _enter(self, operation: ApiOperation, request: Request, **params: str) -> Outcome:
        if self._in_flight >= self._most_in_flight:
            return answer_denial(_BUSY)
        return self._answer(operation, read_call(request, params))

    async def _answer(self, operation: ApiOperation, call: Call) -> Response:
        self._in_flight += 1
        try:
            account = await self._identify(call)
            if isinstance(account, Denial):
                return answer_denial(account)
            ask = Ask(call, account, _read_query(operation, call), _read_body(operation, call))
            key = call.headers.get(KEY_HEADER) if operation.creates else None
            if key is not None:
                return await self._once(operation, ask, key)
            return _write(operation, await self._handler(operation)(ask))
        except Refusal as refusal:
            return answer_refusal(refusal)
        except StoreUnavailable as away:
            return _away(away)
        except Exception as fault:  # the top of this request: it is answered 500
            get_logger().error("http.failed", dialect="kvitto", exc_info=fault)
            return answer_denial(Denial(Problem.INTERNAL))
        finally:
            self._in_flight -= 1

    async def _identify(self, call: Call) -> Any:
        credentials = credentials_of(call.headers)
        found = self._authenticator.recall(credentials)
        return await self._authenticator.identify(credentials) if found is None else found

    def _handler(self, operation: ApiOperation) -> Callable[[Ask], Awaitable[_Result]]:
        handler: Callable[[Ask], Awaitable[_Result]] = getattr(self._handlers, operation.name)
        return handler

    async def _once(self, operation: ApiOperation, ask: Ask, key: str) -> Response:
        """A request that creates, with a key: done once, answered the same every time (P7)."""
        if not is_key(key):
            raise Refusal("invalid_key", BAD_KEY, field="Idempotency-Key")
        handlers = self._handlers
        asked = hashlib.sha256(f"{operation.name} ".encode() + ask.call.body).hexdigest()
        if operation.name == "create_endpoint":
            new: Any = await handlers.new_endpoint(ask)
            show: Callable[[Any], msgspec.Struct] = handlers.made_endpoint
        else:
            new, show = await handlers.new_replay(ask), views.replay_out

        def freeze(made: Any) -> FrozenAnswer:
            return FrozenAnswer(operation.status, msgspec.json.encode(show(made)), _JSON, ())

        done = await self._store.create_once(ask.account.id, key, f"kvitto {asked}", new, freeze)
        if isinstance(done, AdmissionRefused):
            raise Refusal("key_reused", "Idempotency-Key: used before for another request", field="Idempotency-Key")
        if done is None:
            handlers.made_endpoint(None)
            raise AssertionError("a replay is always made")
        return Response(done.status, done.body, done.content_type)


def _read_query(operation: ApiOperation, call: Call) -> msgspec.Struct:
    for name, values in call.query.items():
        if len(values) > 1:
            raise Refusal("invalid_field", "given twice", field=name)
    try:
        return msgspec.convert({name: values[0] for name, values in call.query.items()}, operation.query, strict=False)
    except msgspec.ValidationError as wrong:
        raise from_validation(wrong) from None


def _read_body(operation: ApiOperation, call: Call) -> msgspec.Struct | None:
    if operation.body is None:
        return None
    if call.content_type != _JSON:
        raise Refusal("unsupported_media", "Content-Type: wanted application/json", field="Content-Type")
    try:
        return msgspec.json.decode(call.body, type=operation.body)
    except msgspec.ValidationError as wrong:
        raise from_validation(wrong) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Refusal("invalid_json", str(wrong)) from None


def _write(operation: ApiOperation, result: _Result) -> Response:
    if isinstance(result, Response):
        return result
    return Response(operation.status, msgspec.json.encode(result), _JSON)


def _away(why: StoreUnavailable) -> Response:
    return answer_denial(Denial(Problem.UNAVAILABLE, retry_after_s=why.retry_after_s))
