"""The laptop's end of a relay: reads callbacks off one stream, posts them to a local program, says what it answered.

Plain blocking HTTP in threads: it serves one person, and headers go to the local program exactly as they were signed,
in order and case; only ``Host`` and ``Content-Length`` are the local request's own. Nothing is retried here: the
server's schedule does that, as if it had posted itself. Must not know: settings, stores. Next: ``kvitto.cli.listen``.
"""

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Lock
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from kvitto.core.clock import Clock
from kvitto.core.relay import PING_S

__all__ = ["Forwarded", "Forwarder", "Hello", "RelayLost", "RelayRefused"]

AT_ONCE: Final = 16
"""Callbacks that the local program is asked to take at once."""
READ_BYTES: Final = 64 * 1024
KEPT_BYTES: Final = 4096
_SILENCE_S: Final = PING_S * 3
_OWN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class RelayRefused(Exception):
    """The server does not let us listen; carries its words."""


class RelayLost(Exception):
    """The stream has ended: the server stopped, or cannot be reached."""


class Hello(NamedTuple):
    """The stream stands."""

    account: str
    callback_url: str | None
    everything: bool


class Forwarded(NamedTuple):
    """One callback that was handed over. ``status`` None: no answer, and ``error`` says why."""

    call_id: str
    url: str
    status: int | None
    error: str
    elapsed_ms: int


class Forwarder:
    """Relays until the stream ends. ``server``: with its path prefix; ``target``: the local program's URL."""

    def __init__(self, server: str, token: str, target: str, clock: Clock, *, everything: bool = False) -> None:
        self._server = urlsplit(server)
        self._token = token
        self._target = urlsplit(target)
        self._clock = clock
        self._everything = everything
        self._told = Lock()

    def run(self, on_hello: Callable[[Hello], None], on_forwarded: Callable[[Forwarded], None]) -> None:
        """Relay. Raises: RelayRefused; RelayLost when the stream ends, which may be tried again."""
        stream = self._open()
        with ThreadPoolExecutor(AT_ONCE, "forward") as pool:
            try:
                relay = ""
                for line in _lines(stream):
                    if line["type"] == "hello":
                        relay = line["relay"]
                        on_hello(Hello(line["account"], line["callback_url"], line["everything"]))
                    elif line["type"] == "callback":
                        pool.submit(self._hand_over, relay, line, on_forwarded)
            finally:
                stream.close()
                pool.shutdown(wait=False, cancel_futures=True)
        raise RelayLost("the server closed the stream")

    def _open(self) -> HTTPResponse:
        connection = _connect(self._server, _SILENCE_S)
        wanted = "true" if self._everything else "false"
        try:
            connection.request("GET", f"{self._base}/relay?all={wanted}", headers=self._headers())
            answer = connection.getresponse()
        except (OSError, HTTPException) as lost:
            raise RelayLost(f"{self._server.netloc}: {lost}") from None
        if answer.status >= 500 or answer.status == 429:
            raise RelayLost(f"the server answers {answer.status}")
        if answer.status != 200:
            raise RelayRefused(f"the server answers {answer.status}: {_title(answer.read(READ_BYTES))}")
        return answer

    @property
    def _base(self) -> str:
        return self._server.path.rstrip("/") + "/kvitto/v1"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}

    # --- one callback, in a thread of the pool ------------------------------------------------------------------------

    def _hand_over(self, relay: str, line: dict[str, Any], on_forwarded: Callable[[Forwarded], None]) -> None:
        began_s = self._clock.monotonic()
        said: dict[str, Any] = {"id": line["id"]}
        try:
            said |= self._ask_local(line)
        except (OSError, HTTPException, ValueError) as wrong:
            said["error"] = f"{type(wrong).__name__}: {wrong}"[:200]
        elapsed_ms = round((self._clock.monotonic() - began_s) * 1000)
        call_id = next((value for name, value in line["headers"] if name.lower() == "webhook-id"), line["id"])
        done = Forwarded(call_id, line["url"], said.get("status"), said.get("error", ""), elapsed_ms)
        done = self._answer(relay, said, done)
        with self._told:
            on_forwarded(done)

    def _ask_local(self, line: dict[str, Any]) -> dict[str, Any]:
        body = base64.b64decode(line["body"])
        connection = _connect(self._target, max(1.0, line["timeout_s"] - 0.5))
        try:
            path = self._target.path or "/"
            query = f"?{self._target.query}" if self._target.query else ""
            connection.putrequest("POST", path + query, skip_accept_encoding=True)
            for name, value in line["headers"]:
                if name.lower() not in _OWN:
                    connection.putheader(name, value.encode("latin-1"))
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            said: dict[str, Any] = {"status": answer.status}
            said["body"] = base64.b64encode(answer.read(READ_BYTES)[:KEPT_BYTES]).decode()
            retry_after = answer.getheader("Retry-After")
            if retry_after is not None and retry_after.isascii() and retry_after.isprintable():
                said["retry_after"] = retry_after[:64]
            return said
        finally:
            connection.close()

    def _answer(self, relay: str, said: dict[str, Any], done: Forwarded) -> Forwarded:
        connection = _connect(self._server, 10.0)
        try:
            connection.request("POST", f"{self._base}/relay/{relay}", json.dumps(said), self._headers())
            status = connection.getresponse().status
        except (OSError, HTTPException) as lost:
            return done._replace(error=f"the answer did not reach the server: {lost}")
        finally:
            connection.close()
        return done if status == 204 else done._replace(error="the answer came too late: it will be tried again")


def _connect(url: Any, timeout_s: float) -> HTTPConnection:
    if url.scheme == "https":
        return HTTPSConnection(url.hostname, url.port, timeout=timeout_s, context=ssl.create_default_context())
    return HTTPConnection(url.hostname, url.port, timeout=timeout_s)


def _lines(stream: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The stream's lines until it ends. Raises: RelayLost."""
    while True:
        try:
            line = stream.readline()
        except (OSError, HTTPException) as lost:
            raise RelayLost(f"the stream broke: {lost}") from None
        if not line.endswith(b"\n"):
            return
        yield json.loads(line)


def _title(body: bytes) -> str:
    try:
        problem = json.loads(body)
        return " ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "no problem object: is this a Kvitto server?"
