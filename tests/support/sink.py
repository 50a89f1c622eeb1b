"""A receiver of callbacks that records every request and answers as told; it outlives the servers that post to it.

It runs in a thread with an event loop of its own, so that a test that blocks does not block it. What it answers is
programmed by ``fail_share``, ``delay_ms`` or, for anything else, ``answer``; all may be changed while it runs.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.support.server import reserve_port

__all__ = ["Received", "Reply", "Sink"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request. ``at``: monotonic seconds when it was whole; ``status``: what it was answered, 0 for hanging up."""

    at: float
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer. ``status`` 0 closes the connection instead; ``delay_s`` passes first."""

    status: int = 200
    delay_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Sink:
    """The receiver. Use it as a context manager, or ``start`` and ``stop`` it."""

    def __init__(self, *, fail_share: float = 0.0, delay_ms: tuple[float, float] = (0.0, 0.0), seed: int = 1) -> None:
        """``fail_share``: of requests answered 503; ``delay_ms``: shortest and longest time before an answer."""
        self.port = reserve_port()
        self.fail_share = fail_share
        self.delay_ms = delay_ms
        self.answer: Callable[[str, bytes], Reply | None] = lambda path, body: None
        """May decide by (path, body); None leaves it to ``fail_share`` and ``delay_ms``."""
        self._random = random.Random(seed)
        self._received: list[Received] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where to post: any path below it will do."""
        return f"http://127.0.0.1:{self.port}/callbacks"

    @property
    def received(self) -> list[Received]:
        """Everything that came so far, in order."""
        with self._changed:
            return list(self._received)

    def taken(self) -> list[Any]:
        """The JSON bodies that were answered 2xx, in order."""
        return [one.json for one in self.received if 200 <= one.status < 300]

    def counts(self, *keys: str) -> Counter[tuple[Any, ...]]:
        """How often each combination of these keys was taken with a 2xx."""
        return Counter(tuple(body.get(key) for key in keys) for body in self.taken())

    def wait_for(self, what: Callable[[list[Received]], T], *, within_s: float = 10.0) -> T:
        """Wait until ``what(everything received)`` is true, and give that back. Raises: AssertionError."""
        until = time.monotonic() + within_s
        with self._changed:
            while not (found := what(list(self._received))):
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    if found := what(list(self._received)):
                        break
                    raise AssertionError(
                        f"not within {within_s:g} s; {len(self._received)} callbacks came: {self._received[-3:]}"
                    )
        return found

    def clear(self) -> None:
        """Forget what came."""
        with self._changed:
            self._received.clear()

    # ---- life

    def start(self) -> "Sink":
        """Listen, in a thread."""
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="sink", daemon=True)
        self._thread.start()
        if not listening.wait(10):
            raise AssertionError("the sink does not listen")
        return self

    def stop(self) -> None:
        """Close everything. Bears double calls."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)

    def __enter__(self) -> "Sink":
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    # ---- within

    def _run(self, listening: threading.Event) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(lambda: _Connection(self, loop), "127.0.0.1", self.port))
        listening.set()
        try:
            loop.run_forever()
        finally:
            server.close()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _decide(self, path: str, body: bytes) -> Reply:
        told = self.answer(path, body)
        if told is not None:
            return told
        shortest, longest = self.delay_ms
        fails = self.fail_share > 0 and self._random.random() < self.fail_share
        return Reply(status=503 if fails else 200, delay_s=self._random.uniform(shortest, longest) / 1000)

    def _record(self, path: str, headers: Mapping[str, str], body: bytes, reply: Reply) -> None:
        one = Received(at=time.monotonic(), path=path, headers=headers, body=body, status=reply.status)
        with self._changed:
            self._received.append(one)
            self._changed.notify_all()


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: requests with Content-Length, answered one after the other."""

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink, self._loop = sink, loop
        self._data = bytearray()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._take()

    def _take(self) -> None:
        end = self._data.find(b"\r\n\r\n")
        if self._busy or end < 0:
            return
        line, *fields = self._data[:end].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        whole = end + 4 + int(headers.get("content-length", 0))
        if len(self._data) < whole:
            return
        body = bytes(self._data[end + 4 : whole])
        del self._data[:whole]
        path = line.split(" ")[1]
        reply = self._sink._decide(path, body)
        self._busy = True
        # Recorded before it is answered: the sender may be told OK only of what is in the record.
        self._sink._record(path, headers, body, reply)
        if reply.delay_s:
            self._loop.call_later(reply.delay_s, self._reply, reply)
        else:
            self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        if reply.status == 0:
            self._transport.close()
            return
        fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        head = f"HTTP/1.1 {reply.status} Told\r\nContent-Length: {len(reply.body)}\r\n{fields}\r\n"
        self._transport.write(head.encode() + reply.body)
        self._take()
