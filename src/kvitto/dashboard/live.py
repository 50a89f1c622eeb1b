"""Live pages: server-sent events that bring the pieces of a page which changed. There is one way to be live, this one.

A view hands over ``draw``, which reads the store and renders; it is asked every ``LIVE_S`` seconds, and what differs
from what the browser has goes out. Nothing is pushed from inside the process, so a page shows what the store holds,
whichever node wrote it. Before each look the session is asked anew: when it is over, when its user lost the right to
the page, or when another account was chosen in it, the stream says ``gone`` and ends, and the browser loads the page
again and finds what is now due to it. ``end`` says that nothing more will come. Looking on is no sign of life: a stream
does not put off the end of an idle session.

Streams are bounded for all and for each user (``MOST_LIVE``, ``MOST_LIVE_EACH``); above, a page stands still until
another is closed. Must not know: pages, HTTP. Next: ``kvitto.dashboard.desktop``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, NamedTuple

from kvitto.core.errors import StoreUnavailable
from kvitto.dashboard.signin import session_of
from kvitto.dashboard.tools import Tools
from kvitto.dashboard.web import Answer, Refused, Visit, event

__all__ = ["LIVE_S", "MOST_LIVE", "MOST_LIVE_EACH", "Draw", "Drawn", "Streams"]

LIVE_S: Final = 1.5
"""Seconds between two looks of a live page."""
QUIET_LOOKS: Final = 10
"""After so many looks without a change a comment keeps the connection from being taken for dead."""
MOST_LIVE: Final = 200
"""Live pages at once: each looks at the store every ``LIVE_S`` seconds."""
MOST_LIVE_EACH: Final = 20
"""Live pages of one user at once; more than anybody looks at, so that one user cannot take all places."""
END: Final = "end"
GONE: Final = "gone"


class Drawn(NamedTuple):
    """What a live page looks like now: its pieces by the event that carries each; ``last``: it changes no more."""

    pieces: Mapping[str, str]
    last: bool = False


Draw = Callable[[], Awaitable[Drawn]]


class Streams:
    """All live pages of this process."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._open: Counter[str] = Counter()

    def open(self, visit: Visit, draw: Draw) -> Answer:
        """Begin a stream. Raises: Refused (503) when there are too many."""
        if not self._has_room(visit.session.user.id):
            raise Refused(503, "Too many pages are live at once; this one shows what was when it was loaded.")
        return Answer(200, b"", "text/event-stream", (("Cache-Control", "no-store"),), self._events(visit, draw))

    def _has_room(self, user_id: str) -> bool:
        return self._open.total() < MOST_LIVE and self._open[user_id] < MOST_LIVE_EACH

    async def _events(self, visit: Visit, draw: Draw) -> AsyncIterator[bytes]:
        user_id = visit.session.user.id
        if not self._has_room(user_id):  # others began between the answer and its first event
            return
        self._open[user_id] += 1
        try:
            async with aclosing(self._looks(visit, draw)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._open[user_id] -= 1
            self._open += Counter()  # forget users without any

    async def _looks(self, visit: Visit, draw: Draw) -> AsyncGenerator[bytes]:
        closing, shown, quiet = self._tools.closing, dict[str, str](), 0
        while not closing.is_set():
            drawn = await self._look(visit, draw)
            if drawn is None:
                yield event("", GONE)
                return
            changed = {name: html for name, html in drawn.pieces.items() if shown.get(name) != html}
            for name, html in changed.items():
                yield event(html, name)
            shown |= changed
            if drawn.last:
                yield event("", END)
                return
            quiet = 0 if changed else quiet + 1
            if quiet >= QUIET_LOOKS:
                quiet = 0
                yield b": still here\n\n"
            try:
                await asyncio.wait_for(closing.wait(), LIVE_S)
            except TimeoutError:
                continue

    async def _look(self, visit: Visit, draw: Draw) -> Drawn | None:
        """What the visitor may see now; None: nothing any more. While the database is away, nothing new."""
        visit.now = self._tools.clock.now()
        was = visit.session
        try:
            found = await self._tools.office.find_session(was.hash, visit.now)
            session = session_of(found, visit.now, self._tools.idle_ms)
            if session is None or session.user.role not in visit.who or session.account_id != was.account_id:
                return None
            visit.signed_in = session
            return await draw()
        except StoreUnavailable:
            return Drawn({})
        except Refused:  # what was looked at has been removed
            return None
