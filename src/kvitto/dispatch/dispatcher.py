"""All links of this process: built from their settings, started and stopped together, seen from outside as one.

For each link a ``Lane`` joins the link with its loop out (``submitter``) and its loop in (``receiver``). Beside them
run the waits. ``wake`` is what intake calls after a batch is stored: it lets every link look into the queue at once.

Stopping is orderly (P28): nothing new is claimed, answers in flight are awaited, then the binds are unbound; what has
no answer by then is in doubt, in the store (R12). Must not know: HTTP, callbacks. Next: ``kvitto.dispatch.link``.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kvitto.core.clock import Clock
from kvitto.core.receipt import LinkRules
from kvitto.dispatch.link import Bind, BindStatus, Link, LinkConfig
from kvitto.dispatch.parts import Outgoing
from kvitto.dispatch.receiver import ANSWER_WITHIN_S, Receiver
from kvitto.dispatch.submitter import Submitter
from kvitto.dispatch.transport import SmppConnection
from kvitto.dispatch.waits import Waits
from kvitto.smpp.events import SubmitAnswered
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.spec import status_name
from kvitto.store.api import Store

__all__ = ["Dispatcher", "Lane", "LinkStatus"]

STOP_S: Final = 10.0
"""How long a stop waits for answers in flight (P28)."""
FLUSH_S: Final = 2.0
"""How long it then waits for the store to take the last facts. What it does not take is in doubt at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """One link as an operator sees it. ``bound``: binds that stand; ``window``: slots over all binds that send.

    ``rate``: configured parts a second, 0 for no limit. ``counters``: since the start of the process (R54).
    """

    name: str
    group: str
    host: str
    port: int
    bound: int
    binds: tuple[BindStatus, ...]
    window: int
    in_flight: int
    rate: float
    throttled: bool
    counters: Mapping[str, int]


class Lane:
    """One link with its two loops: hands on what the link tells."""

    def __init__(self, config: LinkConfig, store: Store, clock: Clock) -> None:
        self.link = Link(config, clock, self)
        self.submitter = Submitter(self.link, store, clock)
        self.receiver = Receiver(self.link, store, clock, answer_within_s=min(config.receipt_answer_s, ANSWER_WITHIN_S))

    # --- what the link tells -----------------------------------------------------------------------------------------

    def on_answered(self, bind: Bind, answers: list[SubmitAnswered]) -> None:
        """Submits were answered."""
        self.submitter.on_answered(bind, answers)

    def on_timed_out(self, tokens: list[object]) -> None:
        """Submits got no answer in time."""
        self.submitter.on_timed_out(tokens)

    def on_lost(self, bind: Bind, written: Sequence[object], unwritten: Sequence[Outgoing]) -> None:
        """A connection is gone."""
        self.submitter.on_lost(written, unwritten)

    def on_received(self, connection: SmppConnection, pdus: list[DeliverSm | DataSm]) -> None:
        """Receipts or messages came."""
        self.receiver.on_received(connection, pdus)

    def on_ready(self) -> None:
        """There may be room again."""
        self.submitter.wake()

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and send. Bears being called twice."""
        self.submitter.start()
        self.link.start()

    async def stop(self, within_s: float) -> None:
        """Send nothing new, await what is in flight, unbind, store the rest. Bears early and double calls."""
        self.submitter.stop_claiming()
        await self._until(lambda: self.submitter.settled and not self.link.in_flight(), within_s)
        await self.link.stop()
        await self._until(lambda: self.submitter.settled and self.receiver.settled, FLUSH_S)
        self.submitter.close()

    async def _until(self, done: Callable[[], bool], within_s: float) -> None:
        """Wait until ``done``, which is asked after everything that can change it, at most ``within_s``."""
        try:
            async with asyncio.timeout(within_s):
                while not done():
                    self.submitter.changed.clear()
                    self.receiver.changed.clear()
                    waits = [
                        asyncio.ensure_future(event.wait()) for event in (self.submitter.changed, self.receiver.changed)
                    ]
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for wait in waits:
                            wait.cancel()
        except TimeoutError:
            self.link.log.warning(
                "link.unbound", reason="stopped with answers missing", in_flight=self.link.in_flight()
            )

    def status(self) -> LinkStatus:
        """This link as an operator sees it."""
        link, config = self.link, self.link.config
        return LinkStatus(
            name=link.name,
            group=link.group,
            host=config.host,
            port=config.port,
            bound=link.bound,
            binds=tuple(bind.status() for bind in link.binds),
            window=config.window * len(link.senders),
            in_flight=link.in_flight(),
            rate=config.rate,
            throttled=link.pacer.throttled,
            counters=self._counters(),
        )

    def _counters(self) -> dict[str, int]:
        out, back = self.submitter, self.receiver
        return {
            "claimed": out.claimed,
            "submitted": out.submitted,
            "returned": out.returned,
            "timed_out": out.timed_out,
            "in_doubt": out.in_doubt,
            "late_answers": out.late_answers,
            "throttled": self.link.throttles,
            "reconnects": self.link.reconnects,
            **{f"answers_{kind.value}": count for kind, count in out.answers_by_class.items()},
            **{f"answered_{status_name(status)}": count for status, count in out.answers_by_status.items()},
            "receipts": back.receipts,
            "incoming": back.incoming,
            "receipts_refused": back.refused,
            **{f"receipts_{outcome.value}": count for outcome, count in back.by_outcome.items()},
            **{f"receipts_level_{level}": count for level, count in back.by_level.items()},
        }


class Dispatcher:
    """All links; a service.

    ``links``: their settings, names distinct. Raises: OSError, ssl.SSLError when a link's TLS files cannot be used.
    """

    def __init__(self, store: Store, links: Iterable[LinkConfig], clock: Clock, *, stop_s: float = STOP_S) -> None:
        self.lanes = {config.name: Lane(config, store, clock) for config in links}
        rules: dict[str, LinkRules] = {name: lane.link.rules for name, lane in self.lanes.items()}
        self.waits = Waits(store, clock, rules)
        self._stop_s = stop_s
        self._running = False
        self._woken = False

    def start(self) -> None:
        """Connect every link and begin. Bears being called twice."""
        self._running = True
        self.waits.start()
        for lane in self.lanes.values():
            lane.start()

    async def stop(self) -> None:
        """Stop in order (P28). Bears early and double calls."""
        if not self._running:
            return
        self._running = False
        await self.waits.stop()
        await asyncio.gather(*(lane.stop(self._stop_s) for lane in self.lanes.values()))

    def wake(self) -> None:
        """Batches have been stored: look into the queues, once in this turn of the loop. Cheap; never waits."""
        if not self._woken:
            self._woken = True
            asyncio.get_running_loop().call_soon(self._wake_all)

    def _wake_all(self) -> None:
        self._woken = False
        for lane in self.lanes.values():
            lane.submitter.wake()

    def status(self) -> list[LinkStatus]:
        """Every link as an operator sees it, by name."""
        return [self.lanes[name].status() for name in sorted(self.lanes)]

    @property
    def ready(self) -> bool:
        """Whether every link has a bind that sends."""
        return all(lane.link.can_send for lane in self.lanes.values())
