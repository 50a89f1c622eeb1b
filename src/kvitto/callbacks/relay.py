"""Callbacks for a program on somebody's laptop: instead of being posted they go down the stream of whoever listens.

A ``Relay`` stands between the outbox and the HTTP client and is one itself: the outbox cannot tell whether an answer
came from an endpoint or through a listener, so signatures, judgement, retries and the record are the same. Only the
address check has no part in it: no connection is opened from here.

While somebody listens for an account, callbacks to the account's own URL, and those to ``core.relay.RELAY_URL``, go to
the listener; with ``everything`` all of the account's do. The one who came last gets them; when he leaves, the one
before. A listener that goes away with callbacks in hand has failed them: they come again by their schedule. Streams
end with this process, and know only what this process posts.

Must not know: HTTP in, how a stream is written. Next: ``kvitto.callbacks.outbox``, ``kvitto.core.relay``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Final, Protocol

from kvitto.callbacks.post import OnDone, PostFailure, PostRequest, PostResult
from kvitto.core.clock import Clock
from kvitto.core.model import Account
from kvitto.core.relay import PING_S, RELAY_URL, RelayedAnswer, RelayedPost

__all__ = ["Owner", "Relay"]

Owner = Callable[[PostRequest], Account | None]
"""Whose callback a post is; None for one that is no account's."""

KEPT_BODY_BYTES: Final = 4096
"""Of an answer's body, as from ``callbacks.post.PostLimits``."""

MOST_OF_ACCOUNT: Final = 8
MOST: Final = 1000
"""Streams at once, of one account and of all; each costs a connection and a few KiB."""

_RETRY_AFTER: Final = "retry-after"


class _Client(Protocol):
    def start(self, request: PostRequest, on_done: OnDone) -> None:
        """Post; see ``callbacks.post.CallbackClient.start``."""


class _Waiting:
    """A callback whose answer is awaited."""

    __slots__ = ("began_s", "on_done", "request", "timer")

    def __init__(self, request: PostRequest, on_done: OnDone, began_s: float) -> None:
        self.request = request
        self.on_done = on_done
        self.began_s = began_s
        self.timer: asyncio.TimerHandle | None = None


class _Listener:
    """One stream."""

    __slots__ = ("account_id", "everything", "name", "queue", "waiting")

    def __init__(self, account_id: str, name: str, everything: bool) -> None:
        self.account_id = account_id
        self.name = name
        self.everything = everything
        self.queue: asyncio.Queue[RelayedPost | None] = asyncio.Queue()  # None: the end
        self.waiting: dict[str, _Waiting] = {}


class Relay:
    """The outbox's ``PostClient``, and the API's ``core.relay.RelayDesk``."""

    def __init__(
        self, client: _Client, owner: Owner, clock: Clock, *, user_agent: str = "Kvitto", ping_s: float = PING_S
    ) -> None:
        self._client = client
        self._owner = owner
        self._clock = clock
        self._agent = ("User-Agent", user_agent)
        self._ping_s = ping_s
        self._listeners: dict[str, list[_Listener]] = {}  # by account, who came last at the end
        self._numbers = count(1)

    @property
    def listening(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._listeners.values()))

    def has_room(self, account_id: str) -> bool:
        """See ``core.relay.RelayDesk.has_room``."""
        return len(self._listeners.get(account_id, ())) < MOST_OF_ACCOUNT and self.listening < MOST

    def start(self, request: PostRequest, on_done: OnDone) -> None:
        """Hand the post to who listens for it, else to the HTTP client."""
        if self._listeners:
            account = self._owner(request)
            listener = None if account is None else self._who(account, request.url)
            if listener is not None:
                self._hand(listener, request, on_done)
                return
        self._client.start(request, on_done)

    def _who(self, account: Account, url: str) -> _Listener | None:
        usual = url == account.callback_url or url.startswith(RELAY_URL)
        for listener in reversed(self._listeners.get(account.id, ())):
            if usual or listener.everything:
                return listener
        return None

    def _hand(self, listener: _Listener, request: PostRequest, on_done: OnDone) -> None:
        number = str(next(self._numbers))
        waiting = listener.waiting[number] = _Waiting(request, on_done, self._clock.monotonic())
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(request.timeout_s, self._late, listener, number)
        fields = (self._agent, *_pairs(request.headers))
        listener.queue.put_nowait(RelayedPost(number, request.url, fields, request.body, request.timeout_s))

    # --- the listener's side ------------------------------------------------------------------------------------------

    async def listen(self, account_id: str, relay: str, *, everything: bool) -> AsyncIterator[RelayedPost | None]:
        """See ``core.relay.RelayDesk.listen``. Listening begins with the first step and ends when it is closed."""
        listener = _Listener(account_id, relay, everything)
        self._listeners.setdefault(account_id, []).append(listener)
        try:
            yield None
            while True:
                try:
                    async with asyncio.timeout(self._ping_s):
                        post = await listener.queue.get()
                except TimeoutError:
                    yield None
                    continue
                if post is None:
                    return
                if post.id in listener.waiting:
                    yield post
        finally:
            self._leave(listener, PostFailure.CLOSED, "the listener went away before it answered")

    def answer(self, account_id: str, relay: str, post: str, answer: RelayedAnswer) -> bool:
        """See ``core.relay.RelayDesk.answer``."""
        for listener in self._listeners.get(account_id, ()):
            if listener.name == relay:
                waiting = listener.waiting.pop(post, None)
                if waiting is not None:
                    self._finish(waiting, answer)
                    return True
        return False

    def _finish(self, waiting: _Waiting, answer: RelayedAnswer) -> None:
        if answer.status is None:
            self._fail(waiting, PostFailure.CONNECT, answer.error)
            return
        headers = {_RETRY_AFTER.encode(): value.encode() for name, value in answer.headers if name == _RETRY_AFTER}
        body = answer.body[:KEPT_BODY_BYTES]
        self._settle(waiting, PostResult(answer.status, None, "", body, headers, self._elapsed_ms(waiting)))

    def _late(self, listener: _Listener, number: str) -> None:
        waiting = listener.waiting.pop(number, None)
        if waiting is not None:
            self._fail(
                waiting, PostFailure.TIMEOUT, f"no answer through the listener in {waiting.request.timeout_s:g} s"
            )

    def _leave(self, listener: _Listener, failure: PostFailure, detail: str) -> None:
        others = [one for one in self._listeners.pop(listener.account_id, ()) if one is not listener]
        if others:
            self._listeners[listener.account_id] = others
        left, listener.waiting = listener.waiting, {}
        for waiting in left.values():
            self._fail(waiting, failure, detail)

    def _fail(self, waiting: _Waiting, failure: PostFailure, detail: str) -> None:
        self._settle(waiting, PostResult(None, failure, detail, elapsed_ms=self._elapsed_ms(waiting)))

    def _settle(self, waiting: _Waiting, result: PostResult) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        asyncio.get_running_loop().call_soon(waiting.on_done, waiting.request, result)

    def _elapsed_ms(self, waiting: _Waiting) -> int:
        return round((self._clock.monotonic() - waiting.began_s) * 1000)

    async def stop(self) -> None:
        """End all streams; what is in a listener's hand is tried again after the next start."""
        for listener in [one for listeners in self._listeners.values() for one in listeners]:
            self._leave(listener, PostFailure.STOPPED, "stopped before the answer")
            listener.queue.put_nowait(None)


def _pairs(headers: Sequence[tuple[bytes, bytes]] | bytes) -> list[tuple[str, str]]:
    """Header fields as text, whichever form they were given in."""
    if not isinstance(headers, bytes):
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    fields = (line.partition(": ") for line in headers.decode("latin-1").split("\r\n") if line)
    return [(name, value) for name, _, value in fields]
