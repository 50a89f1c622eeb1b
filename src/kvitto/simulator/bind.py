"""One ESME's connection to the simulator: the socket around a session in the SMSC's role.

The other end's twin stands in ``dispatch/transport.py``; the two may not know each other, and ten repeated lines cost
less than a room between them. ``faults.py`` has the connections that misbehave. Must not know: what is done with a
message (``smsc.py``).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from kvitto.core.clock import Clock
from kvitto.simulator.pending import Incoming, Pending
from kvitto.simulator.record import WireRecorder
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

    def on_lost(self, bind: "Bind", unanswered: Sequence[Pending | Incoming]) -> None:
        """Nothing goes here any more, once; these were written and not answered, or still waited for the window."""

    def on_closed(self, bind: "Bind") -> None:
        """The connection is gone, once, after ``on_lost``."""


class Bind(asyncio.Protocol):
    """One connection. ``system_id``: empty until bound. ``backlog``: what waits for the window. ``number``: from 1."""

    def __init__(
        self, session: Session, owner: BindOwner, clock: Clock, *, number: int = 0, wire: WireRecorder | None = None
    ) -> None:
        self.session = session
        self.system_id = ""
        self.command_id = 0
        self.number = number
        self.backlog: deque[Pending | Incoming] = deque()
        self._owner = owner
        self._clock = clock
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_due = False
        self._closing = False
        self._deaf = False
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
        self._end(self._transport)

    def half_open(self) -> None:
        """Hear and say nothing more, with TCP left standing; what was on its way goes to other binds."""
        if self._deaf or self._closing:
            return
        self._flush()
        self._deaf = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave()

    # --- Called by the loop ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """An ESME connected."""
        self._transport = cast("asyncio.Transport", transport)
        if self._wire is not None:
            self._wire.opened(self.number, _peer(transport))
            self._wire.flush()
        self.session.opened(self._clock.monotonic())
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        if self._deaf or self._closing:
            return
        if self._wire is not None:
            self._wire.octets(self.number, "in", data)
        now = self._clock.monotonic()
        self._tell(self.session.receive(data, now), now)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._closing = True
        if not self._deaf:
            self._leave()
        if self._wire is not None:
            self._wire.closed(self.number)
            self._wire.flush()
        self._owner.on_closed(self)

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _end(self, transport: asyncio.Transport) -> None:
        """Close once what was written has gone, or when it has not gone for too long. Bears double calls."""
        if not self._closing:
            self._closing = True
            if self._timer is not None:
                self._timer.cancel()
            transport.close()
            self._timer = self._loop.call_later(CLOSE_S, transport.abort)

    def _leave(self) -> None:
        unanswered = cast("list[Pending | Incoming]", self.session.lost(self._clock.monotonic()))
        unanswered.extend(self.backlog)
        self.backlog.clear()
        self._owner.on_lost(self, unanswered)

    def _tell(self, events: list[Event], now: float) -> None:
        if events:
            self._owner.on_events(self, events, now)
            if self.session.ended and not self._deaf:  # as the last event told
                self.close()
        if not self._deaf and (self.session.has_output or self._timer is None):
            self.wrote()

    def _flush(self) -> None:
        self._flush_due = False
        if self._transport is None or self._closing or self._deaf:
            return
        data = self.session.take_output()
        if data:
            self._put(self._transport, data)
        if self._timer is None:
            self._arm()

    def _put(self, transport: asyncio.Transport, data: bytes) -> None:
        """Hand octets to the socket."""
        if self._wire is not None:
            self._wire.octets(self.number, "out", data)
            self._wire.flush()
        transport.write(data)

    def _arm(self) -> None:
        """Ring when the session wants it, and never later than its shortest timer: so whatever begins meanwhile is in
        time, and a busy connection moves no timers.
        """
        due = self.session.next_timer()
        if due is not None and not self._closing:
            wait_s = max(0.0, due - self._clock.monotonic())
            self._timer = self._loop.call_later(min(wait_s, self.session.timers.shortest_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._transport is None or self._closing or self._deaf:
            return
        now = self._clock.monotonic()
        events = self.session.poll(now)
        self._arm()
        self._tell(events, now)


def _peer(transport: asyncio.BaseTransport) -> str:
    """``address:port`` of the other end."""
    name = transport.get_extra_info("peername") or ("", 0)
    return f"{name[0]}:{name[1]}"
