"""Doors that belong to no dialect: is it alive, is it ready, and what can be asked of it.

``/livez`` says that the process answers; ``/readyz`` that a batch could be stored now, or what is wrong; ``/metrics``
what has been counted (docs/metrics.md); ``/docs`` lists every dialect's OpenAPI document in one page without foreign
scripts; ``/openapi/NAME.json`` is the document itself.

Must not know: dialects, the store's inside. Next: ``kvitto.intake.doors``.
"""

import asyncio
import html
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kvitto.core.errors import StoreUnavailable
from kvitto.intake.exchange import Outcome, Request, Response
from kvitto.intake.routing import Router
from kvitto.telemetry import METRICS_TYPE, Samples, write_metrics

__all__ = ["CHECK_S", "Health", "docs_page", "open_docs", "open_metrics"]

CHECK_S: Final = 5.0
"""Seconds that the store may take to write and read one row before it counts as away."""

_JSON: Final = "application/json"


class Health:
    """``check``: writes and reads one row or raises StoreUnavailable. ``troubles``: what else is worth saying, by name.

    Troubles are shown and do not make it unready: a link that is down only makes messages wait.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        troubles: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._check = check
        self._troubles = troubles
        self._checking: asyncio.Task[str] | None = None
        self.stopping = False

    def open_on(self, router: Router) -> None:
        """Add the two doors."""
        router.add("GET", "/livez", self._alive)
        router.add("GET", "/readyz", self._ready)

    def _alive(self, request: Request) -> Outcome:
        return _json(200, {"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        wrong = dict(self._troubles())
        if self.stopping:
            wrong["server"] = "stopping"
            return _json(503, {"status": "unavailable", "wrong": wrong})
        # Askers share one check: it writes, and anybody may ask.
        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self._ask_store())
        trouble = await asyncio.shield(self._checking)
        if trouble:
            return _json(503, {"status": "unavailable", "wrong": wrong | {"store": trouble}})
        return _json(200, {"status": "ok", "wrong": wrong} if wrong else {"status": "ok"})

    async def _ask_store(self) -> str:
        try:
            await asyncio.wait_for(self._check(), CHECK_S)
        except StoreUnavailable:
            return "the database cannot be reached or written"
        except TimeoutError:
            return f"the database has not answered within {CHECK_S:g} s"
        return ""


def _json(status: int, document: object) -> Response:
    return Response(status, json.dumps(document, separators=(",", ":")).encode(), _JSON)


# --- metrics -------------------------------------------------------------------------------------------------------


def open_metrics(router: Router, read: Callable[[], Awaitable[Samples]]) -> None:
    """Add ``/metrics``. Those who ask at once share one reading: it counts rows, and anybody may ask."""
    reading: asyncio.Task[bytes] | None = None

    async def write() -> bytes:
        return write_metrics(await read())

    async def answer(request: Request) -> Response:
        nonlocal reading
        if reading is None or reading.done():
            reading = asyncio.ensure_future(write())
        return Response(200, await asyncio.shield(reading), METRICS_TYPE)

    router.add("GET", "/metrics", answer)


# --- documents -----------------------------------------------------------------------------------------------------


def open_docs(router: Router, documents: Mapping[str, Mapping[str, Any]]) -> None:
    """Add ``/docs`` and one ``/openapi/NAME.json`` for each OpenAPI document."""
    page = docs_page(documents).encode()
    router.add("GET", "/docs", lambda request: Response(200, page, "text/html; charset=utf-8", _PAGE_HEADERS))
    for name, document in documents.items():
        body = json.dumps(document, ensure_ascii=False).encode()
        router.add("GET", f"/openapi/{name}.json", _constant(Response(200, body, _JSON)))


def _constant(response: Response) -> Callable[[Request], Outcome]:
    return lambda request: response


_PAGE_HEADERS: Final = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
)

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}"
    "code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f1;padding:.1em .3em}"
    "pre{padding:.8em;overflow:auto}h2{border-bottom:1px solid #ccc;margin-top:2.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "details{margin:.6rem 0}.m{display:inline-block;min-width:5.5rem;font-weight:600}"
)


def docs_page(documents: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the HTML page: every operation of every document, its parameters, bodies and answers."""
    parts = ["<h1>Kvitto</h1><p>Every dialect is a view of the same messages. Health: <code>/livez</code>,"]
    parts.append(" <code>/readyz</code>. Counters: <code>/metrics</code>.</p>")
    for name, document in documents.items():
        info = document.get("info", {})
        parts.append(f"<h2>{_text(info.get('title', name))}</h2><p>{_text(info.get('description', ''))}</p>")
        parts.append(f'<p>OpenAPI: <a href="openapi/{_text(name)}.json">openapi/{_text(name)}.json</a></p>')
        for path, operations in document.get("paths", {}).items():
            parts += [_operation(method, path, operation) for method, operation in operations.items()]
        for event, operations in document.get("webhooks", {}).items():
            parts += [_operation("callback", event, operation) for operation in operations.values()]
        schemas = document.get("components", {}).get("schemas", {})
        parts += [_schema(title, schema) for title, schema in schemas.items()]
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Kvitto API</title><style>{_STYLE}</style>"
    return head + "".join(parts) + "</html>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(parameter.get('name', ''))}</code><td>{_text(parameter.get('in', ''))}"
        f"<td>{_text(parameter.get('description', ''))}"
        for parameter in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td><code>{_text(status)}</code><td><td>{_text(answer.get('description', ''))}"
        for status, answer in operation.get("responses", {}).items()
    )
    body = operation.get("requestBody")
    shown = f"<p>Body:</p><pre>{_text(json.dumps(body, indent=2, ensure_ascii=False))}</pre>" if body else ""
    return (
        f"<details><summary><span class=m>{_text(method.upper())}</span> <code>{_text(path)}</code> "
        f"{_text(operation.get('summary', ''))}</summary><p>{_text(operation.get('description', ''))}</p>"
        f"<table>{rows}</table>{shown}<p>Answers:</p><table>{answers}</table></details>"
    )


def _schema(title: str, schema: Mapping[str, Any]) -> str:
    return (
        f"<details><summary><span class=m>schema</span> <code>{_text(title)}</code></summary>"
        f"<pre>{_text(json.dumps(schema, indent=2, ensure_ascii=False))}</pre></details>"
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
