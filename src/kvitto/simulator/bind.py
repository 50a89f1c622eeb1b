"""One ESME's connection to the simulator: the socket around a session in the SMSC's role.

The other end's twin stands in ``dispatch/transport.py``; the two may not know each other, and ten repeated lines cost
less than a room between them. Must not know: what is done with a message (``smsc.py``).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from kvitto.core.clock import Clock
from kvitto.simulator.pending import Pending
from kvitto.smpp.events import Event
from kvitto.smpp.session import Session
from kvitto.smpp.spec import CommandId

__all__ = ["Bind", "BindOwner"]

CLOSE_S: Final = 2.0
"""How long a closing connection may take to write what waits; then it is cut."""


class BindOwner(Protocol):
    """The SMSC behind a connection."""

    def on_events(self, bind: "Bind", events: Sequence[Event], now: float) -> None:
        """What one read or one timer brought, in order."""

    def on_closed(self, bind: "Bind", unanswered: Sequence[Pending]) -> None:
        """The connection is gone; these receipts were written and not answered, or still waited for its window."""


class Bind(asyncio.Protocol):
    """One connection. ``system_id``: empty until bound. ``backlog``: receipts that wait for the window."""

    def __init__(self, session: Session, owner: BindOwner, clock: Clock) -> None:
        self.session = session
        self.system_id = ""
        self.command_id = 0
        self.backlog: deque[Pending] = deque()
        self._owner = owner
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def can_receive(self) -> bool:
        """Whether receipts may go here."""
        return not self._closing and self.session.bound and self.command_id != CommandId.BIND_TRANSMITTER

    def wrote(self) -> None:
        """There may be output: it leaves at the end of this turn of the loop."""
        if not self._flush_due and not self._closing:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Write what waits, then close. Bears double calls."""
        if self._transport is None or self._closing:
            return
        self._flush()
        self._closing = True
        self._transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_S, self._transport.abort)

    # --- Called by the loop ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """An ESME connected."""
        self._transport = cast("asyncio.Transport", transport)
        self.session.opened(self._clock.monotonic())
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        now = self._clock.monotonic()
        self._tell(self.session.receive(data, now), now)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._closing = True
        unanswered = cast("list[Pending]", self.session.lost(self._clock.monotonic()))
        unanswered.extend(self.backlog)
        self.backlog.clear()
        self._owner.on_closed(self, unanswered)

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _tell(self, events: list[Event], now: float) -> None:
        if events:
            self._owner.on_events(self, events, now)
            if self.session.ended:  # as the last event told
                self.close()
        if self.session.has_output or self._timer is None:
            self.wrote()

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport is None or self._closing:
            return
        data = self.session.take_output()
        if data:
            self._transport.write(data)
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        """Ring when the session wants it, and never later than its shortest timer: so whatever begins meanwhile is in
        time, and a busy connection moves no timers.
        """
        due = self.session.next_timer()
        if due is not None:
            wait_s = max(0.0, due - self._clock.monotonic())
            self._timer = self._loop.call_later(min(wait_s, self.session.timers.shortest_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport is None or self._closing:
            return
        now = self._clock.monotonic()
        events = self.session.poll(now)
        self._arm()
        self._tell(events, now)
