"""The answering half of a connection: what handlers give back leaves in the order of the requests.

Theory of operation. A plain ``Response`` with nothing due before it becomes octets at once. Everything else takes a
``Slot`` in a queue, and answers leave from the front of that queue only. What is ready is written in one go
(``_flush``), which also closes the connection when that was the last. ``intake.connection`` is the reading half, and
tells the whole.
"""

import asyncio
import functools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from math import inf
from typing import cast

from kvitto.intake.exchange import Refusal, Reply, Request, Response
from kvitto.intake.shared import Phase, Shared, Slot
from kvitto.intake.streaming import send_stream

__all__ = ["Answering"]

# Read for every request: a name of the module costs half of what a member of the class does.
IDLE, DEAF = Phase.IDLE, Phase.DEAF

LOOK_S = 0.001
"""When to look again whether an answer that somebody wants to know of has left."""


class Answering(asyncio.Protocol):
    """See the module. ``deadline_s`` and ``write_deadline_s``: instants of the monotonic clock, for the sweep."""

    __slots__ = (
        "_backlog",
        "_busy",
        "_deserted",
        "_ended",
        "_held",
        "_lingering",
        "_out",
        "_parsed",
        "_phase",
        "_queue",
        "_reading",
        "_refusal",
        "_sending",
        "_shared",
        "_transport",
        "_writable",
        "deadline_s",
        "write_deadline_s",
    )

    _transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._phase = IDLE
        self._queue: deque[Slot] = deque()
        self._parsed: deque[Request | Response] = deque()
        self._out: list[bytes] = []
        self._backlog = bytearray()
        self._reading = True
        self._ended = False
        self._busy = False
        self._deserted = False  # the client's end of stream came before its answer was there
        self._held = 0
        self._lingering = False
        self._writable: asyncio.Future[None] | None = None
        self._refusal: Refusal | None = None
        self._sending: list[Callable[[bool], None]] = []  # who wants to know when what was written is sent
        self.deadline_s = inf
        self.write_deadline_s = inf

    def _balance(self) -> None:
        """Read on, now that there may be room: the reading half does it (``kvitto.intake.connection``)."""
        raise NotImplementedError

    def _hand_over(self, request: Request) -> None:
        try:
            outcome = self._shared.handler(request)
        except Exception as exc:  # the top of a request: it is answered 500, and the server goes on
            outcome = self._failed(request, exc)
        self._take(request, outcome)

    def _take(self, request: Request, outcome: object) -> None:
        """What the handler gave back becomes octets now, or a place in the queue."""
        if isinstance(outcome, Response):
            if not self._queue and outcome.stream is None:
                self._emit(request, outcome)
                return
            self._enqueue(Slot(request, outcome))
            self._advance()
            return
        slot = Slot(request)
        self._enqueue(slot)
        if isinstance(outcome, Reply):  # the hot path
            outcome.bind(functools.partial(self._answer, slot))
        elif isinstance(outcome, asyncio.Future):
            outcome.add_done_callback(functools.partial(self._answer_from, slot))
        else:
            self._run(slot, outcome)

    def _enqueue(self, slot: Slot) -> None:
        self._queue.append(slot)
        self.deadline_s = inf
        if slot.request is not None:
            self._held += len(slot.request.body)

    def _run(self, slot: Slot, outcome: object) -> None:
        try:
            task = asyncio.ensure_future(cast("Awaitable[Response]", outcome), loop=self._shared.loop)
        except TypeError as exc:
            self._answer(slot, self._failed(cast(Request, slot.request), exc))
            return
        self._shared.keep(task)
        task.add_done_callback(functools.partial(self._answer_from, slot))

    def _answer_from(self, slot: Slot, future: "asyncio.Future[Response]") -> None:
        request = cast(Request, slot.request)
        if future.cancelled():
            self._answer(slot, Response(503))
            return
        exc = future.exception()
        if exc is None and not isinstance(future.result(), Response):
            exc = TypeError("the handler gave back something else than a Response")
        self._answer(slot, future.result() if exc is None else self._failed(request, exc))

    def _answer(self, slot: Slot, response: Response) -> None:
        slot.response = response
        queue = self._queue
        if not queue or slot is not queue[0]:
            if response.on_sent is not None and slot not in queue:
                self._tell_sent([response.on_sent], False)  # the connection is gone
            return
        if (
            self._phase is IDLE
            and self._reading
            and len(queue) == 1
            and slot.request is not None
            and slot.request.head is not None  # plain: HTTP/1.1, to be kept alive, not HEAD
            and not (self._busy or self._parsed or self._backlog or self._out or self._ended or self._shared.stopping)
            and not (response.headers or response.stream or response.on_sent)
        ):
            # As _advance and _go_on would do, in short.
            queue.clear()
            self._held = 0
            self.deadline_s = self._shared.now_s + self._shared.limits.idle_timeout_s
            self._transport.write(self._shared.writer.render_plain(response))
            return
        self._advance()
        self._go_on()

    def _go_on(self) -> None:
        """After answers left: read on, write. Not from inside the reading, which does both when it is through."""
        if not self._busy:
            if self._parsed or self._backlog or not self._reading:
                self._balance()
            self._flush()

    def _advance(self) -> None:
        """Let all answers leave that are ready, from the front."""
        queue = self._queue
        while queue:
            slot = queue[0]
            if slot.response is None or slot.streaming is not None:
                return
            if slot.response.stream is not None:
                work = self._stream(slot, slot.response, slot.response.stream)
                slot.streaming = self._shared.loop.create_task(work)
                self._shared.keep(slot.streaming)
                return
            self._leave(queue.popleft())
            self._emit(slot.request, slot.response)

    def _leave(self, slot: Slot) -> None:
        if slot.request is not None:
            self._held -= len(slot.request.body)

    def _emit(self, request: Request | None, response: Response) -> None:
        """Render an answer whose turn has come, and note when it is the last one."""
        close = self._is_last(request)
        try:
            octets = self._shared.writer.render(response, request, close)
        except ValueError as exc:
            failed = self._failed(cast(Request, request), exc)
            octets = self._shared.writer.render(failed, request, close)
        self._out.append(octets)
        if response.on_sent is not None:
            if self._deserted:  # perhaps it only sends no more; more likely it has gone: nobody can know
                self._tell_sent([response.on_sent], False)
            else:
                self._sending.append(response.on_sent)
        self._after_answer(close)

    def _after_answer(self, close: bool) -> None:
        if close:
            self._phase = DEAF
            self._ended = True
        elif self._phase is IDLE and not self._queue:
            self.deadline_s = self._shared.now_s + self._shared.limits.idle_timeout_s

    def _is_last(self, request: Request | None) -> bool:
        """Does the connection close after this answer? Never while requests that were read wait behind it."""
        if request is None or not request.keep_alive:
            return True
        if not (self._shared.stopping or self._ended):
            return False
        return self._phase is IDLE and not (self._queue or self._parsed or self._backlog)

    def _flush(self) -> None:
        """Write what is ready in one go, and close when that was the last."""
        out = self._out
        if out:
            if self._sending:
                self._transport.set_write_buffer_limits(0)  # to be told when the last octet has left
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            if self._sending:
                self._look_sent()
        ended = self._ended or (self._shared.stopping and self._phase is IDLE)
        if ended and not (self._queue or self._parsed or self._backlog or self._lingering or self._sending):
            if self._refusal is None:
                self._transport.close()
            else:
                self._linger()

    def _look_sent(self) -> None:
        """Has the system taken all that was written? Asked after a write, and when the buffer has run empty.

        Some event loops write at the end of their turn, and say nothing when all of it has left at once: hence the
        second look. Who closes waits for this one.
        """
        if not self._sending or self._transport.is_closing():
            return  # told already, or ``connection_lost`` tells
        if self._transport.get_write_buffer_size() == 0:
            waiting, self._sending = self._sending, []
            self._transport.set_write_buffer_limits()
            self._tell_sent(waiting, True)
            if self._ended or self._shared.stopping:
                self._shared.loop.call_soon(self._flush)
        elif self._writable is None:  # else ``resume_writing`` looks
            self._shared.loop.call_later(LOOK_S, self._look_sent)

    def _tell_sent(self, waiting: list[Callable[[bool], None]], sent: bool) -> None:
        for told in waiting:
            try:
                told(sent)
            except Exception as exc:  # the top of this answer's way out
                self._shared.loop.call_exception_handler({"message": "on_sent failed", "exception": exc})

    async def _stream(self, slot: Slot, response: Response, stream: AsyncIterator[bytes]) -> None:
        """Send a streamed body. When its source fails the connection is cut: the client sees that it is not whole."""
        request = cast(Request, slot.request)
        chunked = not request.http10
        close = not chunked or self._is_last(request)
        framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        try:
            self._transport.write(self._shared.writer.head(response, framing, request, close))
            if request.method != "HEAD":
                await send_stream(self._transport, lambda: self._writable, stream, chunked=chunked)
        except Exception as exc:  # the top of a streamed answer: the client sees that it is cut
            self._failed(request, exc)
            self._transport.abort()
            return
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        if self._queue and self._queue[0] is slot:
            self._leave(self._queue.popleft())
            self._after_answer(close)
            self._advance()
            self._go_on()

    def _failed(self, request: Request, exc: BaseException) -> Response:
        """A handler raised: tell the hook, and the client nothing but the fact."""
        self._shared.on_error(request, exc)
        return Response(500)

    def _linger(self) -> None:
        """Send our end of stream and wait for the client's, reading past what it still sends."""
        self._lingering = True
        self.deadline_s = self._shared.now_s + self._shared.limits.linger_s
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
