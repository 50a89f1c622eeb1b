"""The HTTP client for callbacks: pools of kept-alive connections to addresses that the account may reach.

Ours on httptools because a callback is posted for every message (docs/adr/0003). ``CallbackClient.start`` costs no task
and no timer for each post; ``post`` is the comfortable form. Whatever the endpoint does, the caller gets one
``PostResult``; nothing is raised. No redirect is followed, and nothing is retried but a post that a stale connection
never carried: what deserves another attempt is for the outbox and the dialect to say.

Addresses: the name is resolved by the injected ``Resolver`` and every address judged by the account's policy each time
a connection is opened; the connection goes to a judged address, by number (``callbacks.addresses``). Pools are not
shared between policies, nor between TLS settings, so that no account travels on a connection that only another one was
allowed to open, or that another one's certificate opened.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from os import strerror
from socket import SOCK_STREAM, gaierror

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.tls import EndpointTls, make_context, verified_tls
from kvitto.callbacks.wire import NO_HEADERS, Answer, PostFailure, PostRequest, PostResult, Wire
from kvitto.core.clock import Clock
from kvitto.core.urls import BadUrl, Target, parse_target

__all__ = [
    "CallbackClient",
    "OnDone",
    "PostFailure",
    "PostLimits",
    "PostRequest",
    "PostResult",
    "Resolver",
    "header_lines",
    "resolve_by_system",
]

OnDone = Callable[[PostRequest, PostResult], None]
"""Called once for every ``start``, in the loop's thread, never from inside ``start``. Must not block."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) -> its addresses as text, best first. Raises: OSError when there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLimits:
    """The bounds of the client."""

    connect_timeout_s: float = 5.0
    """Resolving, connecting and TLS together. Part of the exchange's own time-out."""
    read_bytes: int = 64 * 1024
    """Read of one answer, head and interim answers included. Nobody needs more of it (docs/promises.md P11)."""
    kept_body_bytes: int = 4 * 1024
    """Of the answer's body handed to the caller: an acknowledgement, or an excerpt to show."""
    idle_timeout_s: float = 30.0
    """An unused connection is closed after this; common servers close theirs after 60 or 75 s."""
    resolved_s: float = 5.0
    """How long a name's addresses are used again. Long enough for a burst, short enough to follow a move."""
    addresses: int = 4
    """Addresses of a name that are tried for one connection; they share the connect time-out."""
    remembered_urls: int = 4096
    """URLs kept parsed, and names kept resolved. Above, all are forgotten at once and parsed again when used."""
    contexts: int = 256
    """TLS settings of endpoints' own that are kept made, about 100 KiB each. Above, all are made again when needed."""
    posts: int = 100_000
    """Posts under way or waiting for a connection, over all pools. Above: BUSY; the outbox claims far fewer."""
    sweep_s: float = 0.25
    """One timer looks after all time-outs; each may come this much late, never early."""


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """The operating system's resolver (its own cache, /etc/hosts and numeric forms such as 0x7f.1 included)."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def header_lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """Header fields as they go over the wire, each with its line's end.

    Raises: ValueError when a field holds a line break, which would break the request's framing, or is not Latin-1.
    """
    if not fields:
        return b""
    text = "\r\n".join(map(": ".join, fields)) + "\r\n"
    if text.count("\n") != len(fields) or text.count("\r") != len(fields):
        raise ValueError("a line break in a header")
    return text.encode("latin-1")


class UnreachableError(Exception):
    """No connection; carries the failure in words."""

    def __init__(self, failure: PostFailure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class _Endpoint:
    """A URL seen before: its parts, the head of its requests, and the pool it used last."""

    __slots__ = ("head", "pool", "target")

    def __init__(self, target: Target, user_agent: bytes) -> None:
        self.target = target
        self.head = b"POST %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\n" % (
            target.path,
            target.host_header,
            user_agent,
        )
        self.pool: _Pool | None = None


class _Pool:
    """The connections to one (scheme, host, port) under one policy and TLS settings; the posts that wait for one."""

    __slots__ = (
        "client",
        "idle",
        "known_answers",
        "limit",
        "open",
        "opening",
        "policy",
        "removed",
        "target",
        "tls",
        "waiting",
        "wires",
    )

    def __init__(
        self, client: "CallbackClient", target: Target, policy: AddressPolicy, tls: EndpointTls | None
    ) -> None:
        self.client = client
        self.target = target
        self.policy = policy
        self.tls = tls
        self.limit = 1
        self.open = 0
        """Connections that exist or are being opened."""
        self.opening: set[PostRequest] = set()
        """Posts that a connection is being opened for."""
        self.wires: set[Wire] = set()
        self.idle: list[Wire] = []
        self.waiting: deque[PostRequest] = deque()
        self.known_answers: dict[bytes, Answer] = {}
        self.removed = False

    def open_for(self, post: PostRequest) -> None:
        """Open a connection and send on it."""
        self.open += 1
        self.opening.add(post)
        post.task = self.client.loop.create_task(self._open())
        post.task.add_done_callback(partial(self._opened, post))

    # ---- wires call these

    def answered(self, post: PostRequest, wire: Wire, answer: Answer, free: bool, truncated: bool) -> None:
        """See ``callbacks.wire.Owner``. The wire goes first: what the caller posts next finds it free."""
        client = self.client
        client.now_s = client.read_s()
        if free:
            if client.stopped:
                wire.cut()
            elif self.waiting:
                waited = self.waiting.popleft()
                waited.started_s = client.now_s
                wire.send(waited)
            else:
                wire.idle_since_s = client.now_s
                self.idle.append(wire)
        client.finish(post, answer, None, "", truncated)

    def failed(self, post: PostRequest, wire: Wire, failure: PostFailure, detail: str) -> None:
        """See ``callbacks.wire.Owner``."""
        self.client.fail(post, failure, detail, wire)

    def lost(self, wire: Wire, again: PostRequest | None) -> None:
        """See ``callbacks.wire.Owner``."""
        self.open -= 1
        self.wires.discard(wire)
        if wire in self.idle:
            self.idle.remove(wire)
        if again is not None:
            self.open_for(again)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self.waiting and self.open < self.limit and not self.client.stopped:
            post = self.waiting.popleft()
            post.started_s = self.client.now_s = self.client.read_s()
            self.open_for(post)

    # ---- opening

    def _opened(self, post: PostRequest, task: "asyncio.Task[Wire]") -> None:
        """A connection is open, and carries the post it was opened for; or it is not, and that post fails."""
        post.task = None
        self.opening.discard(post)
        if task.cancelled():
            failure, detail = self.client.why_cancelled(post)
        else:
            exc = task.exception()
            if exc is None and not task.result().is_lost:
                wire = task.result()
                wire.attached = True
                self.wires.add(wire)
                wire.send(post)
                return
            failure, detail = _words_for(exc, self.client.limits)
        self.open -= 1
        self.client.fail(post, failure, detail)
        self._serve_waiting()

    async def _open(self) -> Wire:
        """Resolve, judge, connect: to a judged address, by number."""
        target, limits = self.target, self.client.limits
        async with asyncio.timeout(limits.connect_timeout_s):
            addresses = await self.client.resolve(target.host, target.port)
            objections = {address: self.policy.objection(address) for address in addresses}
            permitted = [address for address, objection in objections.items() if objection is None]
            if not permitted:
                kinds = sorted({kind for kind in objections.values() if kind is not None}) or ["none found"]
                raise UnreachableError(PostFailure.FORBIDDEN, f"no permitted address: {', '.join(kinds)}")
            return await self._connect_to_one(permitted[: limits.addresses])

    async def _connect_to_one(self, addresses: list[str]) -> Wire:
        """Try the addresses in turn. Raises: what the last one ended in; a TLS failure at once."""
        problem: Exception = TimeoutError()
        for address in addresses:
            try:
                async with asyncio.timeout(self.client.limits.connect_timeout_s / len(addresses)):
                    return await self._connect_to(address)
            except ssl.SSLError:
                raise
            except ConnectionResetError as exc:
                if self.target.scheme == "https":
                    raise UnreachableError(PostFailure.TLS, "TLS failed: closed in the handshake") from exc
                problem = exc
            except OSError as exc:
                problem = exc
        raise problem

    async def _connect_to(self, address: str) -> Wire:
        client, secure = self.client, self.target.scheme == "https"
        _, wire = await client.loop.create_connection(
            lambda: Wire(self, client.limits.read_bytes, client.limits.kept_body_bytes),
            address,  # a number: nothing is resolved again
            self.target.port,
            ssl=client.tls(self.tls) if secure else None,
            server_hostname=self.target.host if secure else None,
        )
        return wire


def _words_for(exc: BaseException | None, limits: PostLimits) -> tuple[PostFailure, str]:
    """Why there is no connection. None: it was opened, and closed before it could be used."""
    match exc:
        case None:
            return PostFailure.CLOSED, "closed as soon as it was opened"
        case UnreachableError():
            return exc.failure, exc.detail
        case TimeoutError():
            return PostFailure.TIMEOUT, f"no connection within {limits.connect_timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            return PostFailure.TLS, f"certificate refused: {exc.verify_message}"
        case ssl.SSLError():
            return PostFailure.TLS, f"TLS failed: {exc.reason or 'closed in the handshake'}"
        case OSError():
            return PostFailure.CONNECT, strerror(exc.errno) if exc.errno else "connecting failed"
        case _:
            return PostFailure.CONNECT, f"connecting failed: {type(exc).__name__}"


def _is_late(post: PostRequest, now_s: float) -> bool:
    return post.started_s is not None and post.started_s + post.timeout_s <= now_s


_NOTHING = Answer(None, b"", NO_HEADERS)


class CallbackClient:
    """Posts callbacks. One for the process; made inside the running loop or before it.

    ``clock`` for time-outs; ``resolver`` and ``tls`` can be replaced: the latter makes the context for https, once, for
    endpoints without settings of their own.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        limits: PostLimits | None = None,
        resolver: Resolver = resolve_by_system,
        tls: Callable[[], ssl.SSLContext] = verified_tls,
        user_agent: str = "Kvitto",
    ) -> None:
        self.limits = limits or PostLimits()
        self.stopped = False
        self.read_s = clock.monotonic
        self.now_s = clock.monotonic()
        self._resolver = resolver
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._contexts: dict[EndpointTls, ssl.SSLContext] = {}
        self._user_agent = user_agent.encode("latin-1")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._endpoints: dict[str, _Endpoint] = {}
        self._pools: dict[tuple[str, str, int, AddressPolicy, EndpointTls | None], _Pool] = {}
        self._resolved: dict[tuple[str, int], tuple[float, asyncio.Future[Sequence[str]]]] = {}
        self._posts = 0
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event = asyncio.Event()

    # ---- posting

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        policy: AddressPolicy,
        connections: int = 16,
        timeout_s: float = 10.0,
        tls: EndpointTls | None = None,
    ) -> PostResult:
        """Post once and wait for what becomes of it. Arguments as in ``PostRequest``. Raises: nothing."""
        done: asyncio.Future[PostResult] = asyncio.get_running_loop().create_future()

        def settle(request: PostRequest, result: PostResult) -> None:
            if not done.done():
                done.set_result(result)

        self.start(PostRequest(url, headers, body, policy, connections, timeout_s, tls=tls), settle)
        return await done

    def start(self, request: PostRequest, on_done: OnDone) -> None:
        """Begin a post; ``on_done(request, result)`` is called once, later. In the loop's thread. Raises: nothing.

        ``Host``, ``User-Agent`` and ``Content-Length`` are written here, everything else is the caller's.
        """
        headers, body, policy = request.headers, request.body, request.policy
        endpoint = self._endpoints.get(request.url)
        if endpoint is None or type(headers) is not bytes or self.stopped or self._posts >= self.limits.posts:
            ready = self._prepare(request)
            if isinstance(ready, PostResult):
                self.loop.call_soon(on_done, request, ready)
                return
            endpoint, headers = ready
        pool = endpoint.pool
        if pool is None or pool.policy is not policy or pool.tls is not request.tls or pool.removed:
            pool = endpoint.pool = self._pool_for(endpoint.target, policy, request.tls)
        request.octets = b"%b%bContent-Length: %d\r\n\r\n%b" % (endpoint.head, headers, len(body), body)
        request.on_done = on_done
        request.retried = False
        request.wire = request.task = None
        self._posts += 1
        pool.limit = request.connections
        if pool.idle:
            request.started_s = self.now_s = self.read_s()
            pool.idle.pop().send(request)  # the one used last: the others may grow old and be closed
        elif pool.open < pool.limit:
            request.started_s = self.now_s = self.read_s()
            pool.open_for(request)
        else:
            request.started_s = None
            pool.waiting.append(request)
        if self._timer is None:
            self._arm()

    def _prepare(self, request: PostRequest) -> "tuple[_Endpoint, bytes] | PostResult":
        """The rarer half of ``start``: a new URL, header fields one by one, and what cannot be posted."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        endpoint = self._endpoints.get(request.url) or self._learn(request.url)
        if isinstance(endpoint, BadUrl):
            return PostResult(None, PostFailure.BAD_URL, endpoint.reason)
        headers = request.headers
        if not isinstance(headers, bytes):
            try:
                headers = header_lines([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
            except ValueError as exc:
                return PostResult(None, PostFailure.BAD_REQUEST, str(exc))
        if self.stopped or self._posts >= self.limits.posts:
            failure = PostFailure.STOPPED if self.stopped else PostFailure.BUSY
            return PostResult(None, failure, f"stopped, or {self.limits.posts} posts under way")
        return endpoint, headers

    async def stop(self, grace_s: float = 0.0) -> None:
        """Take no more posts, wait ``grace_s`` for those under way, end the rest as STOPPED. Bears double calls."""
        self.stopped = True
        for pool in self._pools.values():
            while pool.waiting:
                self.fail(pool.waiting.popleft(), PostFailure.STOPPED, "stopped while waiting")
        if self._posts and grace_s > 0:
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace_s)
        opening = [post.task for pool in self._pools.values() for post in pool.opening if post.task is not None]
        for task in opening:
            task.cancel()  # ends in why_cancelled, unless it has just come about
        if opening:
            await asyncio.wait(opening)
        for pool in self._pools.values():
            for wire in list(pool.wires):
                if wire.post is not None:
                    self._give_up(wire.post, wire, PostFailure.STOPPED, "stopped before the answer")
            for wire in pool.idle:
                wire.cut()
        for _, lookup in self._resolved.values():
            lookup.cancel()
        self._resolved.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def connections(self) -> int:
        """Connections that are open or being opened now."""
        return sum(pool.open for pool in self._pools.values())

    # ---- pools call these

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that everything here runs in."""
        assert self._loop is not None
        return self._loop

    def tls(self, options: EndpointTls | None) -> ssl.SSLContext:
        """The context for https, made at the first need: loading the authorities takes some milliseconds.

        Raises: UnreachableError when an endpoint's own settings cannot be used.
        """
        if options is None:
            if self._tls is None:
                self._tls = self._make_tls()
            return self._tls
        context = self._contexts.get(options)
        if context is None:
            if len(self._contexts) >= self.limits.contexts:
                self._contexts.clear()
            try:
                context = self._contexts[options] = make_context(options)
            except (OSError, ValueError) as exc:
                raise UnreachableError(PostFailure.TLS, "the endpoint's own TLS settings cannot be used") from exc
        return context

    def finish(
        self, post: PostRequest, answer: Answer, failure: PostFailure | None, detail: str, truncated: bool
    ) -> None:
        """Tell the caller, once, at ``now_s``."""
        self._posts -= 1
        if self.stopped and not self._posts:
            self._emptied.set()
        status, body, headers = answer
        started_s = post.started_s
        elapsed_ms = 0 if started_s is None else round((self.now_s - started_s) * 1000)
        try:
            post.on_done(post, PostResult(status, failure, detail, body, headers, elapsed_ms, truncated))
        except Exception as exc:  # the top of this post: whoever gave it is told, whatever happened
            # The caller's fault must not break the connection that the answer came on.
            self.loop.call_exception_handler({"message": "a post's on_done raised", "exception": exc})

    def fail(self, post: PostRequest, failure: PostFailure, detail: str, wire: Wire | None = None) -> None:
        """Tell the caller that there is no complete answer; ``wire`` has what came of it."""
        self.now_s = self.read_s()
        answer = _NOTHING if wire is None else Answer(wire.status, wire.body, wire.headers)
        self.finish(post, answer, failure, detail, False)

    def why_cancelled(self, post: PostRequest) -> tuple[PostFailure, str]:
        """For a connection that was being opened when its post was given up."""
        if self.stopped:
            return PostFailure.STOPPED, "stopped before the answer"
        return PostFailure.TIMEOUT, f"no answer within {post.timeout_s:g} s"

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """A host's addresses; asked once for all connections that are opened within ``resolved_s``."""
        now_s = self.read_s()
        until_s, lookup = self._resolved.get((host, port), (0.0, None))
        if lookup is None or now_s >= until_s or (lookup.done() and (lookup.cancelled() or lookup.exception())):
            if len(self._resolved) >= self.limits.remembered_urls:
                self._resolved.clear()
            lookup = asyncio.ensure_future(self._resolver(host, port))
            self._resolved[(host, port)] = (now_s + self.limits.resolved_s, lookup)
        try:
            return await asyncio.shield(lookup)
        except gaierror as exc:
            raise UnreachableError(PostFailure.DNS, exc.strerror or "the name has no address") from exc
        except (OSError, UnicodeError) as exc:
            raise UnreachableError(PostFailure.DNS, "the name cannot be resolved") from exc

    # ---- time

    def sweep(self) -> None:
        """Look at all time-outs once. The client's own timer calls this every ``sweep_s``."""
        now_s = self.now_s = self.read_s()
        for key, pool in list(self._pools.items()):
            self._end_late(pool, now_s)
            old_s = now_s - self.limits.idle_timeout_s
            for wire in [old for old in pool.idle if old.idle_since_s <= old_s]:
                pool.idle.remove(wire)
                wire.cut()
            if not pool.open and not pool.waiting:
                pool.removed = True
                del self._pools[key]

    def _end_late(self, pool: _Pool, now_s: float) -> None:
        for post in pool.opening:
            if _is_late(post, now_s) and post.task is not None:
                post.task.cancel()  # ends in why_cancelled
        late = [(wire, wire.post) for wire in pool.wires if wire.post is not None and _is_late(wire.post, now_s)]
        for wire, post in late:
            if wire.post is post:
                self._give_up(post, wire, PostFailure.TIMEOUT, f"no answer within {post.timeout_s:g} s")

    def _give_up(self, post: PostRequest, wire: Wire, failure: PostFailure, detail: str) -> None:
        post.wire = None
        wire.cut()
        self.fail(post, failure, detail, wire)

    def _arm(self) -> None:
        self._timer = self.loop.call_later(self.limits.sweep_s, self._sweep_again)

    def _sweep_again(self) -> None:
        self._timer = None
        self.sweep()
        if self._pools and not self.stopped:
            self._arm()

    # ---- what is remembered

    def _learn(self, url: str) -> _Endpoint | BadUrl:
        target = parse_target(url)
        if isinstance(target, BadUrl):
            return target
        if len(self._endpoints) >= self.limits.remembered_urls:
            self._endpoints.clear()
        endpoint = self._endpoints[url] = _Endpoint(target, self._user_agent)
        return endpoint

    def _pool_for(self, target: Target, policy: AddressPolicy, tls: EndpointTls | None) -> _Pool:
        key = (target.scheme, target.host, target.port, policy, tls)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self, target, policy, tls)
        # Equal ones, perhaps other objects: the next post finds them by identity.
        pool.policy, pool.tls = policy, tls
        return pool
