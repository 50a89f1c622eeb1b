"""Connections that misbehave as a scenario's ``[faults]`` says: cut at an octet, half-open, deaf, slow.

Must not know: messages. Read next: ``bind.py``, the connection that behaves.
"""

import asyncio
from typing import Final

from kvitto.core.clock import Clock
from kvitto.simulator.bind import Bind, BindOwner
from kvitto.simulator.record import WireRecorder
from kvitto.simulator.scenario import Faults
from kvitto.smpp.session import Session

__all__ = ["FaultyBind", "any_fault"]

READ_TICK_S: Final = 0.05
"""A slow reader takes its octets in steps of this length."""


def any_fault(faults: Faults) -> bool:
    """Whether anything is wrong with connections at all."""
    return any(value is not None for key, value in faults if key != "connections")


class FaultyBind(Bind):
    """A connection with faults; otherwise as any other."""

    def __init__(
        self,
        session: Session,
        owner: BindOwner,
        clock: Clock,
        *,
        faults: Faults,
        number: int = 0,
        wire: WireRecorder | None = None,
    ) -> None:
        super().__init__(session, owner, clock, number=number, wire=wire)
        self._faults = faults
        self._read_bytes = 0
        self._sent_bytes = 0
        self._slow: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Octets came: as many of them as the faults let through."""
        if self._closing:
            return
        faults = self._faults
        limits = (faults.cut_after_received_bytes, faults.half_open_after_received_bytes)
        room = min((limit - self._read_bytes for limit in limits if limit is not None), default=len(data))
        data = data[:room]
        self._read_bytes += len(data)
        super().data_received(data)
        if self._reached(faults.cut_after_received_bytes):
            self.close()
        elif self._reached(faults.half_open_after_received_bytes):
            self.half_open()
        elif self._transport is not None and not self._closing:
            if self._reached(faults.stop_reading_after_bytes):
                _pause(self._transport)
            elif faults.read_bytes_per_s is not None:
                self._rest(self._transport, len(data) / faults.read_bytes_per_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._slow is not None:
            self._slow.cancel()
        super().connection_lost(exc)

    def _reached(self, limit: int | None) -> bool:
        return limit is not None and self._read_bytes >= limit

    def _rest(self, transport: asyncio.Transport, wait_s: float) -> None:
        """A slow reader has taken its share: it looks again when that time is over."""
        _pause(transport)
        self._slow = self._loop.call_later(max(wait_s, READ_TICK_S), self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def _put(self, transport: asyncio.Transport, data: bytes) -> None:
        limit = self._faults.cut_after_sent_bytes
        if limit is not None:
            data = data[: limit - self._sent_bytes]
            self._sent_bytes += len(data)
        super()._put(transport, data)
        if limit is not None and self._sent_bytes >= limit:
            self._end(transport)


def _pause(transport: asyncio.Transport) -> None:
    if transport.is_reading():
        transport.pause_reading()
