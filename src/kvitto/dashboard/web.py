"""What a page is given and gives back: a visit and an answer, as values. Knows no socket and no HTTP server.

Every answer carries the same headers: nothing from elsewhere, no inline script or style, no framing, no sniffing.
Next: ``kvitto.dashboard.door``.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from kvitto.core.users import Role, Session

__all__ = ["COOKIE", "CSP", "Answer", "Refused", "Visit", "event", "read_cookies", "read_form", "redirect"]

COOKIE: Final = "kvitto_session"
MOST_FIELDS: Final = 200
"""Fields of one form; ours have under thirty."""

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    ("Content-Security-Policy", CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_HTML: Final = "text/html; charset=utf-8"


class Refused(Exception):
    """A page that is not shown, or a form that is not taken: ``status`` and words for the visitor."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(slots=True, kw_only=True)
class Visit:
    """One request to a page. ``session`` is set by the door where the route asks for one.

    ``path`` is decoded and without the server's prefix. ``secure``: it came by TLS. ``now``: ms UTC. ``who``: the roles
    that the route is for, which a live page is held to as long as it lasts.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    raw_query: str = ""
    form: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""
    secure: bool = False
    now: int = 0
    signed_in: Session | None = None
    who: frozenset[Role] = frozenset()

    @property
    def session(self) -> Session:
        """The session, on routes that ask for one."""
        assert self.signed_in is not None
        return self.signed_in

    @property
    def account_id(self) -> str | None:
        """The account that is looked at; None: an operator looks at all."""
        return self.session.account_id


class Answer(NamedTuple):
    """What a page gives back."""

    status: int
    body: bytes = b""
    content_type: str = _HTML
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None

    def with_headers(self, *more: tuple[str, str]) -> "Answer":
        """The same with further headers."""
        return self._replace(headers=(*self.headers, *more))


def redirect(where: str) -> Answer:
    """See there, by GET."""
    return Answer(303, headers=(("Location", where),))


def event(html: str, name: str = "message") -> bytes:
    """One server-sent event that carries a piece of a page; without one it carries its name, since browsers do not
    dispatch an event that has no data.
    """
    lines = "".join(f"data: {line}\n" for line in html.splitlines() or [name])
    return f"event: {name}\n{lines}\n".encode()


def read_form(body: bytes) -> dict[str, tuple[str, ...]]:
    """The fields of a form (application/x-www-form-urlencoded). Raises: Refused when there are too many."""
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Refused(400, f"A form of more than {MOST_FIELDS} fields is none of ours.") from None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        fields[name] = (*fields.get(name, ()), value)
    return fields


def read_cookies(header: str) -> dict[str, str]:
    """The cookies of a request; the first of a name counts."""
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        cookies.setdefault(name, value)
    return cookies
