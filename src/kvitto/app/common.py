"""What every step of the start is handed, and the services that run: each is stopped after those that build on it.

Must not know any room but ``core`` and the protocol of the dialects. Next: ``app.server``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.ids import IdMaker
from kvitto.dialects.base import Dialect
from kvitto.settings import Settings
from kvitto.telemetry import get_logger

__all__ = ["SIMULATOR_LINK", "STORE", "Common", "Services"]

SIMULATOR_LINK: Final = "simulator"
"""The one link of a server whose settings name none."""
STORE: Final = "store"
"""The service that is always waited for."""
LEAST_S: Final = 0.5
"""Seconds that a service gets to stop, even when those before it have used up the time."""


class Services:
    """What runs, in the order it was started. ``stop_s``: seconds for all of them to stop, one after the other."""

    def __init__(self, clock: Clock, stop_s: float) -> None:
        self._clock = clock
        self._stop_s = stop_s
        self._stops: list[tuple[str, Callable[[], Awaitable[None]]]] = []

    def add(self, name: str, stop: Callable[[], Awaitable[None]]) -> None:
        """A service runs, or is about to; ``name`` is for the log."""
        self._stops.append((name, stop))

    async def stop(self) -> None:
        """Stop in reverse order (P28). Bears early and double calls."""
        deadline = self._clock.monotonic() + self._stop_s
        while self._stops:
            name, stop = self._stops.pop()
            try:
                # The store closes whatever the clock says: it has nothing to wait for but its own last commit.
                left_s = None if name == STORE else max(LEAST_S, deadline - self._clock.monotonic())
                await asyncio.wait_for(stop(), left_s)
            except TimeoutError:
                get_logger().warning("service.failed", service=name, reason="did not stop in time")
            except Exception as fault:  # one service's fault must not keep the others from stopping
                get_logger().error("service.failed", service=name, exc_info=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """``settings`` are those of the start: a reload changes nothing here (``app.reload`` tells which it takes)."""

    settings: Settings
    clock: Clock
    ids: IdMaker
    dialects: tuple[Dialect, ...]
    services: Services
