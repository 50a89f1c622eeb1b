"""Which handler answers which path: a tree of path segments, built once at the start.

Pure: requests in, what the chosen handler gives back out. A template is ``/xms/v1/{service_plan_id}/batches``; a name
in braces takes one segment that is not empty, ``{rest:path}`` at the end takes all that is left. A fixed segment wins
over a name (``/batches/dry_run`` before ``/batches/{batch_id}``). Segments are compared and handed over
percent-decoded, after the path was cut at its slashes: an encoded slash stays inside its segment, and a ``+`` in a
path is a plus sign (docs/dialects/sinch.md 15.2 sends numbers so). Queries: ``parse_query``.
"""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from kvitto.intake.exchange import Outcome, Request, Response

__all__ = ["Found", "NoMethod", "NoPath", "RouteHandler", "Router", "parse_query"]

# The path's parts come as keyword arguments named by the template, which no type can tell: hence ``...``.
RouteHandler = Callable[..., Outcome]


class Found(NamedTuple):
    """A route, and what the path says for the names in its template."""

    handler: RouteHandler
    params: dict[str, str]


class NoMethod(NamedTuple):
    """The path exists, for other methods."""

    allow: tuple[str, ...]


class NoPath(NamedTuple):
    """No route has this path."""


class _Node:
    __slots__ = ("fixed", "methods", "named", "rest")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.named: _Node | None = None
        self.rest: _Node | None = None
        self.methods: dict[str, tuple[RouteHandler, tuple[str, ...]]] = {}


def _not_found(request: Request) -> Outcome:
    return Response(404)


def _not_allowed(request: Request, allow: tuple[str, ...]) -> Outcome:
    return Response(405, headers=(("Allow", ", ".join(allow)),))


class Router:
    """A table of routes that is itself a handler.

    ``trailing_slash``: let ``/a/b/`` find the route ``/a/b``. ``not_found(request)`` and
    ``not_allowed(request, methods)`` word the two refusals, for dialects with error bodies of their own or an order of
    checks that puts the account before the path (docs/dialects/sinch.md 3).
    """

    def __init__(
        self,
        *,
        trailing_slash: bool = True,
        not_found: Callable[[Request], Outcome] = _not_found,
        not_allowed: Callable[[Request, tuple[str, ...]], Outcome] = _not_allowed,
    ) -> None:
        self._root = _Node()
        self._trailing_slash = trailing_slash
        self._not_found = not_found
        self._not_allowed = not_allowed

    def add(self, method: str, template: str, handler: RouteHandler) -> None:
        """Add a route. A GET route answers HEAD as well unless HEAD has its own.

        Raises: ValueError for a template that does not begin with a slash, names one part twice, or is there already.
        """
        if not template.startswith("/"):
            raise ValueError(f"route {template!r}: must begin with a slash")
        node, names = self._root, []
        segments = template[1:].split("/")
        for position, segment in enumerate(segments):
            if not segment.startswith("{"):
                node = node.fixed.setdefault(segment, _Node())
                continue
            name, _, kind = segment[1:-1].partition(":")
            names.append(name)
            if kind == "path":
                if position != len(segments) - 1:
                    raise ValueError(f"route {template!r}: {segment} must be the last segment")
                node.rest = node = node.rest or _Node()
            else:
                node.named = node = node.named or _Node()
        if len(set(names)) != len(names) or method in node.methods:
            raise ValueError(f"route {method} {template!r}: a name twice, or the route is there already")
        node.methods[method] = (handler, tuple(names))

    def resolve(self, method: str, raw_path: str) -> Found | NoMethod | NoPath:
        """Find the route of a path that is still percent-encoded."""
        segments = raw_path.split("/")
        if segments[0]:
            return NoPath()  # "*", or an authority: not a path of ours
        if "%" in raw_path:
            segments = [unquote(segment) for segment in segments]
        if self._trailing_slash and len(segments) > 2 and not segments[-1] and segments[-2]:
            segments.pop()
        values: list[str] = []
        node = _descend(self._root, segments, 1, values)
        if node is None:
            return NoPath()
        route = node.methods.get(method)
        if route is None and method == "HEAD":
            route = node.methods.get("GET")
        if route is None:
            return NoMethod(_allowed(node))
        handler, names = route
        return Found(handler, dict(zip(names, values, strict=True)))

    def __call__(self, request: Request) -> Outcome:
        """Answer a request through its route: ``handler(request, **params)``."""
        match = self.resolve(request.method, request.raw_path)
        if type(match) is Found:
            return match.handler(request, **match.params)
        if type(match) is NoMethod:
            return self._not_allowed(request, match.allow)
        return self._not_found(request)


def _descend(node: _Node, segments: list[str], at: int, values: list[str]) -> _Node | None:
    """The node that has routes for the segments from ``at`` on; ``values`` grows by what the names took."""
    if at == len(segments):
        return node if node.methods else None
    segment = segments[at]
    child = node.fixed.get(segment)
    if child is not None:
        found = _descend(child, segments, at + 1, values)
        if found is not None:
            return found
    if node.named is not None and segment:
        values.append(segment)
        found = _descend(node.named, segments, at + 1, values)
        if found is not None:
            return found
        values.pop()
    if node.rest is not None:
        values.append("/".join(segments[at:]))
        return node.rest
    return None


def _allowed(node: _Node) -> tuple[str, ...]:
    methods = set(node.methods)
    if "GET" in methods:
        methods.add("HEAD")
    return tuple(sorted(methods))


def parse_query(raw: str) -> dict[str, list[str]]:
    """The fields of a query string: each name with its values in order, blank ones too; ``+`` is a space.

    Percent-decoded as UTF-8; octets that are not UTF-8 become U+FFFD. Commas and colons may be bare
    (docs/dialects/sinch.md 15.3). Raises: nothing.
    """
    return parse_qs(raw, keep_blank_values=True) if raw else {}
