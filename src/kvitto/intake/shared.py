"""What connections are made of, what all of one server have in common, and the small questions that they ask.

Belongs to ``intake.http`` (which builds and changes it) and ``intake.connection`` (which reads it); nobody else.
"""

import asyncio
import enum
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol

from kvitto.core.clock import Clock
from kvitto.intake.exchange import Handler, HttpLimits, Refusal, Request, Response, ResponseWriter
from kvitto.intake.heads import Heads

__all__ = [
    "Member",
    "Network",
    "Phase",
    "Shared",
    "Slot",
    "count_head",
    "head_without_upgrade",
    "is_in",
    "read_forwarded",
    "split_target",
]

Network = IPv4Network | IPv6Network


class Member(Protocol):
    """A connection as the server sees it."""

    deadline_s: float
    write_deadline_s: float

    def expire(self) -> None:
        """A deadline has passed."""

    def close_if_idle(self) -> None:
        """The server stops."""

    def abort(self) -> None:
        """Cut the connection now."""


class Phase(enum.Enum):
    """Where a connection's incoming side stands."""

    IDLE = enum.auto()
    """Between requests."""
    HEAD = enum.auto()
    """A request line or header field has begun."""
    BODY = enum.auto()
    """The head is whole, the body is not."""
    DEAF = enum.auto()
    """No further request will be read: the client asked to close, or was refused."""


class Slot:
    """One answer in the queue: known already, or still being worked on (``response`` is None)."""

    __slots__ = ("request", "response", "streaming")

    def __init__(self, request: Request | None, response: Response | None = None) -> None:
        self.request = request
        self.response = response
        self.streaming: asyncio.Task[None] | None = None


class Shared:
    """What all connections of one server have in common; built and changed by ``intake.http.Server`` only."""

    __slots__ = (
        "clock",
        "connections",
        "handler",
        "heads",
        "limits",
        "loop",
        "now_s",
        "on_error",
        "partial_bytes",
        "path_prefix",
        "refuse",
        "scheme",
        "stopping",
        "tasks",
        "trusted",
        "when_empty",
        "writer",
    )

    def __init__(
        self,
        *,
        clock: Clock,
        handler: Handler,
        limits: HttpLimits,
        loop: asyncio.AbstractEventLoop,
        on_error: Callable[[Request, BaseException], None],
        path_prefix: str,
        refuse: Callable[[Refusal], Response],
        scheme: str,
        trusted: tuple[Network, ...],
        when_empty: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.on_error = on_error
        self.path_prefix = path_prefix
        self.refuse = refuse
        self.scheme = scheme
        self.trusted = trusted
        self.when_empty = when_empty
        self.connections: set[Member] = set()
        self.heads = Heads()
        self.tasks: set[asyncio.Future[Any]] = set()
        self.stopping = False
        self.partial_bytes = 0
        self.writer = ResponseWriter()
        # The monotonic clock as of the last sweep: read by every request, so it is kept instead of asked for.
        self.now_s = clock.monotonic()
        self.writer.set_time(clock.now())

    def keep(self, task: "asyncio.Future[Any]") -> None:
        """Keep a running task from being collected; the loop itself only knows it weakly."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def split_target(target: str, prefix: str) -> tuple[str, str]:
    """A request target's path, without ``prefix`` when it begins with it, and its query."""
    path, _, query = target.partition("?")
    if path[:1] != "/":
        path = _path_of_absolute_form(path)
    if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("/", ""):
        path = path[len(prefix) :] or "/"
    return path, query


def count_head(target: bytes, fields: dict[bytes, bytes]) -> int:
    """The octets of a head: besides names and values ": " and CRLF, and a method and version beside the target."""
    return len(target) + 16 + sum([len(name) + len(value) + 4 for name, value in fields.items()])


def _path_of_absolute_form(target: str) -> str:
    """The path of ``http://host/path`` (RFC 9112 section 3.2.2: servers accept it); other forms stay as they are."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return target
    _, slash, path = rest.partition("/")
    return slash + path or "/"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Is the address in one of the networks? False for what is no address. An IPv6 zone is not looked at."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(ip in network for network in networks)


def read_forwarded(request: Request, trusted: tuple[Network, ...]) -> None:
    """Believe a trusted proxy: the client is the nearest address that is not itself a trusted proxy.

    What stands left of that was written by the client and is worth nothing. Changes ``peer`` and ``scheme``.
    """
    for word in reversed(request.headers.get(b"x-forwarded-for", b"").split(b",")):
        address = word.strip().decode("latin-1")
        if not _is_address(address):
            break
        request.peer = address
        if not is_in(address, trusted):
            break
    proto = request.headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
    if proto in (b"http", b"https"):
        request.scheme = proto.decode("ascii")


def head_without_upgrade(method: bytes, target: bytes, fields: dict[bytes, bytes]) -> bytes:
    """A request's head written again as if it had not asked for another protocol, nor to be told to go on."""
    kept = {name: value for name, value in fields.items() if name not in (b"upgrade", b"expect", b"connection")}
    options = [word.strip() for word in fields.get(b"connection", b"").lower().split(b",")]
    kept[b"connection"] = b"close" if b"close" in options else b"keep-alive"
    lines = [b"%b %b HTTP/1.1" % (method, target), *[b"%b: %b" % field for field in kept.items()]]
    return b"\r\n".join([*lines, b"", b""])
