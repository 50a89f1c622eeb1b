"""The doors: each dialect's routes, opened on the HTTP server.

A request goes through one door: credentials to account, ``route.read`` to an operation, the desk, ``route.write`` to
the answer. The order of refusals is 401, then 404 and 405, then what ``read`` finds (docs/dialects/sinch.md 3):
whoever has no account learns nothing of paths. Every refusal and fault is said in the dialect's words.

A send by an account that is remembered, the hot way, makes neither task, coroutine nor future: the answer is sent from
the store's call after the commit (P1). Everything else is a coroutine that the server runs. What follows from a
request's head alone (its route, and who it says it comes from) is found out once for each head that the server keeps.

Must not know: a vendor's JSON, sockets. Next: ``kvitto.intake.desk``, ``kvitto.intake.routing``,
``kvitto.intake.auth``.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Account, FeedPage, FrozenAnswer, NewBatch, Once
from kvitto.core.operations import Operation, Send, TakeReports
from kvitto.dialects.base import Answer, Call, Credentials, Dialect, DialectError, Problem, Route
from kvitto.intake.admit import Denial
from kvitto.intake.auth import Authenticator
from kvitto.intake.desk import Desk, settle
from kvitto.intake.exchange import Outcome, Refusal, Reply, Request, Response
from kvitto.intake.routing import Router, parse_query
from kvitto.telemetry import get_logger

__all__ = ["BAD_KEY", "KEY_CHARACTERS", "KEY_HEADER", "MOST_IN_FLIGHT", "Doors", "Lobby", "is_key", "read_call"]

MOST_IN_FLIGHT: Final = 2_000
"""Requests that may wait for the store at once, the default; about 20 KiB each with their bodies. Above: 429."""

TOO_LARGE: Final = 413

KEY_HEADER: Final = "idempotency-key"
"""Ours, in every dialect: sends with the same key are one send (P7)."""
KEY_CHARACTERS: Final = 255
BAD_KEY: Final = f"Idempotency-Key: 1 to {KEY_CHARACTERS} visible ASCII characters"
_BAD_KEY: Final = Denial(Problem.INVALID_KEY, BAD_KEY)

_THROTTLED: Final = Denial(Problem.THROTTLED, "too many outstanding requests", retry_after_s=1)
_INTERNAL: Final = Denial(Problem.INTERNAL)
_NOT_FOUND: Final = Denial(Problem.NOT_FOUND, "path: unknown")


class Lobby(Protocol):
    """Who words what no route answers, for the paths below a prefix."""

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """What the path says for the names in the prefix; None when it is another's."""

    def refuse(self, request: Request, params: dict[str, str], denial: Denial, allow: str) -> Outcome:
        """No route fits: 401 for those without an account, else the denial. ``allow``: the methods that exist."""

    def deny(self, denial: Denial) -> Response:
        """What the server itself refused."""


class Doors:
    """All dialects' routes on one router. ``handle`` is the HTTP server's handler."""

    def __init__(
        self,
        dialects: Sequence[Dialect],
        desk: Desk,
        authenticator: Authenticator,
        *,
        most_in_flight: int = MOST_IN_FLIGHT,
    ) -> None:
        """Raises: ValueError when two dialects claim one route."""
        self.desk = desk
        self.authenticator = authenticator
        self.most_in_flight = most_in_flight
        self.in_flight = 0
        self.router = Router(not_found=self._not_found, not_allowed=self._not_allowed)
        self._lobbies: list[Lobby] = [
            _Lobby(self, dialect, prefix) for dialect in dialects for prefix in dialect.prefixes
        ]
        for dialect in dialects:
            for route in dialect.routes:
                self.router.add(route.method, route.path, _Door(self, dialect, route))

    def add_lobby(self, lobby: Lobby) -> None:
        """Give an API that is no dialect its word in what no route answers."""
        self._lobbies.append(lobby)

    def handle(self, request: Request) -> Outcome:
        """Answer any request."""
        head = request.head
        if head is None or head.entry is None:
            return self.router(request)
        entry: _Entry = head.entry
        call = Call(
            request.method,
            entry.params,
            entry.query,
            entry.content_type,
            entry.headers,
            request.body,
            request.arrived_at,
            request.raw_path,
            request.peer,
        )
        return entry.door.enter(call, entry.credentials)

    def refuse(self, refusal: Refusal) -> Response:
        """Word what the server itself refused; only the size of a body is a matter that dialects have words for."""
        path = refusal.target.partition("?")[0]
        if refusal.status == TOO_LARGE:
            for lobby in self._lobbies:
                if lobby.match(path.split("/")) is not None:
                    return lobby.deny(Denial(Problem.TOO_LARGE, refusal.reason))
        return Response(refusal.status)

    def _not_found(self, request: Request) -> Outcome:
        return self._outside(request, _NOT_FOUND, "")

    def _not_allowed(self, request: Request, allow: tuple[str, ...]) -> Outcome:
        return self._outside(request, Denial(Problem.METHOD_NOT_ALLOWED), ", ".join(allow))

    def _outside(self, request: Request, denial: Denial, allow: str) -> Outcome:
        """No route fits: say so in the words of the dialect whose prefix this is, to those who have an account."""
        segments = request.raw_path.split("/")
        for lobby in self._lobbies:
            params = lobby.match(segments)
            if params is not None:
                return lobby.refuse(request, params, denial, allow)
        if denial.problem is Problem.METHOD_NOT_ALLOWED:
            return Response(405, headers=(("Allow", allow),))
        return Response(404)


class _Entrance:
    """What doors and lobbies share: refusals and faults, in the words of one dialect."""

    __slots__ = ("_dialect", "_doors")

    def __init__(self, doors: Doors, dialect: Dialect) -> None:
        self._doors = doors
        self._dialect = dialect

    def deny(
        self, denial: Denial, call: Call | None = None, operation: Operation | None = None, allow: str = ""
    ) -> Response:
        """Say it in the dialect's words."""
        answer = self._dialect.refuse(
            denial.problem,
            text=denial.text,
            retry_after_s=denial.retry_after_s,
            allow=allow,
            call=call,
            operation=operation,
        )
        return _respond(answer)

    def _unavailable(self, why: StoreUnavailable, call: Call | None, operation: Operation | None = None) -> Response:
        return self.deny(Denial(Problem.UNAVAILABLE, retry_after_s=why.retry_after_s), call, operation)

    def _fault(self, fault: BaseException, call: Call | None = None) -> Response:
        """Our own fault: logged with its trace, masked; the caller is told nothing but that it is ours."""
        get_logger().error("http.failed", dialect=self._dialect.name, exc_info=fault)
        return self.deny(_INTERNAL, call)


class _Lobby(_Entrance):
    """The paths under a dialect's prefix that no route has."""

    __slots__ = ("_prefix",)

    def __init__(self, doors: Doors, dialect: Dialect, prefix: str) -> None:
        super().__init__(doors, dialect)
        self._prefix = prefix.split("/")

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """What the path says for the names in the prefix; None when it is another's."""
        prefix = self._prefix
        if len(prefix) < 2 or len(segments) < len(prefix):
            return None
        params = {}
        for wanted, segment in zip(prefix, segments, strict=False):
            if wanted.startswith("{"):
                params[wanted[1:-1]] = segment
            elif wanted != segment:
                return None
        return params

    def refuse(self, request: Request, params: dict[str, str], denial: Denial, allow: str) -> Outcome:
        call = read_call(request, params)
        try:
            credentials = self._dialect.credentials(call)
        except DialectError as refused:
            return _respond(refused.answer)
        found = self._doors.authenticator.recall(credentials)
        if found is None:
            return self._refuse_late(call, credentials, denial, allow)
        return self.deny(found, call) if isinstance(found, Denial) else self.deny(denial, call, allow=allow)

    async def _refuse_late(self, call: Call, credentials: Any, denial: Denial, allow: str) -> Response:
        try:
            found = await self._doors.authenticator.identify(credentials)
        except StoreUnavailable as away:
            return self._unavailable(away, call)
        return self.deny(found, call) if isinstance(found, Denial) else self.deny(denial, call, allow=allow)


class _Door(_Entrance):
    """One route of one dialect."""

    __slots__ = ("_route",)

    def __init__(self, doors: Doors, dialect: Dialect, route: Route) -> None:
        super().__init__(doors, dialect)
        self._route = route

    def __call__(self, request: Request, **params: str) -> Outcome:
        """Answer one request, of whose head nothing is known."""
        try:
            call = read_call(request, params)
            # The head alone speaks for the caller; an open door asks nobody.
            credentials = None if self._route.open else self._dialect.credentials(call._replace(body=b""))
        except DialectError as refused:
            return _respond(refused.answer)
        except Exception as fault:
            return self._fault(fault)
        if request.head is not None:
            request.head.entry = _Entry(self, call.params, call.query, call.content_type, call.headers, credentials)
        return self.enter(call, credentials)

    def enter(self, call: Call, credentials: Credentials | None) -> Outcome:
        """Answer one request."""
        doors = self._doors
        if doors.in_flight >= doors.most_in_flight:
            return self.deny(_THROTTLED, call)
        try:
            account = None if self._route.open else doors.authenticator.recall(credentials)
            if type(account) is Account or self._route.open:
                operation = self._route.read(call, account)
                if type(operation) is Send:
                    return self._send(call, operation, account)  # type: ignore[arg-type]  # open doors do not send
                if type(operation) is Answer:
                    return _respond(operation)
                return self._perform(call, operation, account)  # type: ignore[arg-type]  # narrowed by type identity
            if account is None:
                return self._enter_late(call, credentials)
            return self.deny(account, call)  # type: ignore[arg-type]  # a Denial: what else is left
        except DialectError as refused:
            return _respond(refused.answer)
        except Exception as fault:
            return self._fault(fault, call)

    # --- the hot way ---------------------------------------------------------------------------------------------

    def _send(self, call: Call, operation: Send, account: Account) -> Outcome:
        reply = Reply()
        done = partial(self._sent, reply, call, operation)
        once = self._once(call, operation) if KEY_HEADER in call.headers else None
        if type(once) is Denial:
            return self.deny(once, call, operation)
        denial = self._doors.desk.send(operation.submission, account, call.now, done, once)  # type: ignore[arg-type]
        if denial is not None:
            return self.deny(denial, call, operation)
        self._doors.in_flight += 1
        return reply

    def _sent(self, reply: Reply, call: Call, operation: Send, stored: Any, error: BaseException | None) -> None:
        """The commit is done, or failed: answer."""
        self._doors.in_flight -= 1
        try:
            reply.send(self._answer(call, operation, stored, error))
        except Exception as fault:  # the top of this request's way out: others wait for the same commit
            self._fault(fault)

    def _answer(self, call: Call, operation: Send, stored: Any, error: BaseException | None) -> Response:
        try:
            if error is not None:
                raise error
            batch = settle(stored)
            if type(batch) is Denial:
                return self.deny(batch, call, operation)
            if type(batch) is FrozenAnswer:
                return Response(batch.status, batch.body, batch.content_type or None, batch.headers)
            self._doors.desk.worked()
            answer = self._route.write(operation, batch)
            return Response(answer.status, answer.body, answer.content_type or None, answer.headers)
        except StoreUnavailable as away:
            return self._unavailable(away, call, operation)
        except Exception as fault:  # the top of this request: it is answered 500 in the dialect's words
            return self._fault(fault, call)

    # --- the comfortable way ---------------------------------------------------------------------------------------

    async def _enter_late(self, call: Call, credentials: Credentials | None) -> Response:
        """The account is not remembered: look it up first."""
        doors = self._doors
        doors.in_flight += 1
        try:
            account = await doors.authenticator.identify(credentials)
            if isinstance(account, Denial):
                return self.deny(account, call)
            operation = self._route.read(call, account)
            if isinstance(operation, Answer):
                return _respond(operation)
            return await self._perform(call, operation, account)
        except DialectError as refused:
            return _respond(refused.answer)
        except StoreUnavailable as away:
            return self._unavailable(away, call)
        except Exception as fault:
            return self._fault(fault, call)
        finally:
            doors.in_flight -= 1

    async def _perform(self, call: Call, operation: Operation, account: Account) -> Response:
        doors = self._doors
        doors.in_flight += 1
        try:
            if isinstance(operation, Send):
                result = await self._send_late(call, operation, account)
            else:
                if isinstance(operation, TakeReports) and call.method == "HEAD":
                    operation = replace(operation, peek=True)  # its answer shows nothing, so it must take nothing
                result = await doors.desk.perform(operation, account, call.now, call.peer)
            if isinstance(result, Denial):
                return self.deny(result, call, operation)
            if isinstance(result, FrozenAnswer):
                return Response(result.status, result.body, result.content_type or None, result.headers)
            if isinstance(result, FeedPage) and result.handing is not None:
                return self._hand_over(operation, result, result.handing)
            return _respond(self._route.write(operation, result))
        except DialectError as refused:
            return _respond(refused.answer)
        except StoreUnavailable as away:
            return self._unavailable(away, call, operation)
        except Exception as fault:
            return self._fault(fault, call)
        finally:
            doors.in_flight -= 1

    async def _send_late(self, call: Call, operation: Send, account: Account) -> Any:
        once = self._once(call, operation) if KEY_HEADER in call.headers else None
        if isinstance(once, Denial):
            return once
        return await self._doors.desk.send_once(operation.submission, account, call.now, once)

    def _hand_over(self, operation: Operation, page: FeedPage, handing: int) -> Response:
        """Reports that were taken out of the feed are gone once their answer has been written, and not before (P16)."""
        handed = partial(self._doors.desk.handed, handing)
        try:
            response = _respond(self._route.write(operation, page))
        except BaseException:
            handed(False)
            raise
        response.on_sent = handed
        return response

    def _once(self, call: Call, operation: Send) -> Once | Denial:
        """The customer's key (P7), with a fingerprint of everything that was asked under it."""
        key = call.headers[KEY_HEADER]
        if not is_key(key):
            return _BAD_KEY
        asked = hashlib.sha256()
        params, query = sorted(call.params.items()), sorted(call.query.items())
        asked.update(repr((call.method, self._route.path, params, query, call.content_type)).encode())
        asked.update(call.body)

        def freeze(new: NewBatch) -> FrozenAnswer:
            answer = self._route.write(operation, new)
            return FrozenAnswer(answer.status, answer.body, answer.content_type, answer.headers)

        return Once(key, f"{self._dialect.name} {asked.hexdigest()}", freeze)


class _Entry(NamedTuple):
    """What follows from a request's head alone."""

    door: _Door
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    content_type: str
    headers: Mapping[str, str]
    credentials: Credentials | None


# --- requests and answers --------------------------------------------------------------------------------------------


class _Headers(Mapping[str, str]):
    """A request's header fields as text, decoded when asked for: most requests are asked for two of ten."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Mapping[bytes, bytes]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        return self._raw[name.encode("latin-1", "replace")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._raw)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("latin-1", "replace") in self._raw

    def __len__(self) -> int:
        return len(self._raw)


def is_key(key: str) -> bool:
    """Whether an ``Idempotency-Key`` can be one."""
    return 0 < len(key) <= KEY_CHARACTERS and all("!" <= letter <= "~" for letter in key)


def read_call(request: Request, params: Mapping[str, str]) -> Call:
    """Return a request as those who read it see it."""
    headers = request.headers
    media_type = headers.get(b"content-type", b"")
    if b";" in media_type:
        media_type = media_type.partition(b";")[0].strip()
    return Call(
        request.method,
        params,
        parse_query(request.query) if request.query else _NO_QUERY,
        media_type.decode("latin-1").lower(),
        _Headers(headers),
        request.body,
        request.arrived_at,
        request.raw_path,
        request.peer,
    )


_NO_QUERY: Final[Mapping[str, list[str]]] = {}


def _respond(answer: Answer) -> Response:
    return Response(answer.status, answer.body, answer.content_type or None, answer.headers)
