"""All links of this process: built from their settings, started and stopped together, seen from outside as one.

For each link a ``Lane`` joins the link with its loop out (``submitter``) and its loop in (``receiver``). Beside them
run the waits. ``wake`` is what intake calls after a batch is stored: it lets every link look into the queue at once.

Stopping is orderly (P28): nothing new is claimed, answers in flight are awaited, then the binds are unbound; what has
no answer by then is in doubt, in the store (R12). Must not know: HTTP, callbacks. Next: ``kvitto.dispatch.link``.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from kvitto.core.clock import Clock
from kvitto.core.errors import Refused
from kvitto.core.receipt import LinkRules
from kvitto.dispatch.link import Bind, BindStatus, Link, LinkConfig, TlsOptions, adjustable, make_tls_context
from kvitto.dispatch.outbind import OutbindDoor
from kvitto.dispatch.parts import Outgoing
from kvitto.dispatch.querying import Question, Questions
from kvitto.dispatch.receiver import ANSWER_WITHIN_S, Receiver
from kvitto.dispatch.submitter import Submitter
from kvitto.dispatch.transport import SmppConnection
from kvitto.dispatch.waits import Waits
from kvitto.dispatch.watch import Watch
from kvitto.smpp.events import QueryAnswered, SubmitAnswered
from kvitto.smpp.pdus import DataSm, DeliverSm
from kvitto.smpp.spec import status_name
from kvitto.store.api import Store

__all__ = ["Dispatcher", "Lane", "LinkChange", "LinkStatus", "LinkUnusable"]

STOP_S: Final = 10.0
"""How long a stop waits for answers in flight (P28)."""
FLUSH_S: Final = 2.0
"""How long it then waits for the store to take the last facts. What it does not take is in doubt at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """One link as an operator sees it. ``bound``: binds that stand, of those that we make; ``binds``: all, with those
    that the SMSC asked for (R13). ``window``: slots over all binds that send.

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

        self.questions = Questions(self.link, store, clock)
        self.door = None if config.outbind is None else OutbindDoor(self.link, config.outbind)

    def adjust(self, config: LinkConfig) -> None:
        """Take other settings while the binds stand (``link.adjustable``)."""
        self.link.adjust(config)
        self.submitter.adjust()
        self.receiver.adjust(min(config.receipt_answer_s, ANSWER_WITHIN_S))

    # --- what the link tells -----------------------------------------------------------------------------------------

    def on_answered(self, bind: Bind, answers: list[SubmitAnswered]) -> None:
        """Submits were answered."""
        self.submitter.on_answered(bind, answers)

    def on_timed_out(self, tokens: list[object]) -> None:
        """Submits got no answer in time; a question without one is left to R44."""
        submits = _submits(tokens)
        if submits:
            self.submitter.on_timed_out(submits)
        else:
            self.submitter.wake()

    def on_lost(self, bind: Bind, written: Sequence[object], unwritten: Sequence[Outgoing]) -> None:
        """A connection is gone."""
        self.submitter.on_lost(_submits(written), unwritten)

    def on_received(self, connection: SmppConnection, pdus: list[DeliverSm | DataSm]) -> None:
        """Receipts or messages came."""
        self.receiver.on_received(connection, pdus)

    def on_query_answered(self, bind: Bind, event: QueryAnswered) -> None:
        """The SMSC was asked for a message's end, and answered."""
        self.questions.on_answered(bind, event)

    def on_ready(self) -> None:
        """There may be room again."""
        self.submitter.wake()

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect and send. Bears being called twice."""
        self.submitter.start()
        self.questions.start()
        self.link.start()
        if self.door is not None:
            self.door.start()

    async def stop(self, within_s: float) -> None:
        """Send nothing new, await what is in flight, unbind, store the rest. Bears early and double calls."""
        self.submitter.stop_claiming()
        await self.questions.stop()
        await self._until(lambda: self.submitter.settled and not self.link.in_flight(), within_s)
        await asyncio.gather(self.link.stop(), *([] if self.door is None else [self.door.stop()]))
        await self._until(lambda: self.submitter.settled and self.receiver.settled, FLUSH_S)
        self.submitter.close()
        self.questions.close()

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
        callers = () if self.door is None else self.door.callers
        return LinkStatus(
            name=link.name,
            group=link.group,
            host=config.host,
            port=config.port,
            bound=link.bound,
            binds=tuple(bind.status() for bind in (*link.binds, *callers)),
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
            "queries": self.questions.asked,
            "outbinds": 0 if self.door is None else self.door.bound,
            "outbinds_refused": 0 if self.door is None else self.door.refused,
            **{f"answers_{kind.value}": count for kind, count in out.answers_by_class.items()},
            **{f"answered_{status_name(status)}": count for status, count in out.answers_by_status.items()},
            "receipts": back.receipts,
            "incoming": back.incoming,
            "receipts_refused": back.refused,
            **{f"receipts_{outcome.value}": count for outcome, count in back.by_outcome.items()},
            **{f"receipts_level_{level}": count for level, count in back.by_level.items()},
        }


def _submits(tokens: Sequence[object]) -> list[object]:
    """Without the questions among them, which nobody is in doubt about."""
    return [token for token in tokens if type(token) is not Question]


class LinkUnusable(Refused):
    """A link that cannot be built, because a TLS file of it cannot be used: ``key`` and ``value`` say which."""

    def __init__(self, key: str, value: str, reason: str) -> None:
        super().__init__("link", f"{key} = {value}: {reason}", field=key)
        self.key = key
        self.value = value
        self.reason = reason


def _unusable_file(config: LinkConfig) -> tuple[str, str]:
    """Which of a link's TLS files is the one: (setting, path)."""
    tls = config.tls or TlsOptions()
    try:
        make_tls_context(replace(tls, cert_file="", key_file=""))
    except OSError:
        return "tls_ca_file", tls.ca_file
    return "tls_certificate", tls.cert_file


class LinkChange(NamedTuple):
    """What other settings make of the links that run: names, each in one of the four. See ``Dispatcher.prepare``.

    ``adjusted``: new settings, and the binds stand. ``made_anew``: its binds end in order and new ones are made.
    """

    kept: tuple[str, ...]
    adjusted: tuple[str, ...]
    made_anew: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


class _Prepared(NamedTuple):
    change: LinkChange
    configs: Mapping[str, LinkConfig]
    lanes: Mapping[str, Lane]


class Dispatcher:
    """All links; a service.

    ``links``: their settings, names distinct. Raises: LinkUnusable when a link's TLS files cannot be used.
    """

    def __init__(self, store: Store, links: Iterable[LinkConfig], clock: Clock, *, stop_s: float = STOP_S) -> None:
        self._store = store
        self._clock = clock
        self.lanes = {config.name: self._lane(config) for config in links}
        self._rules: dict[str, LinkRules] = {name: lane.link.rules for name, lane in self.lanes.items()}
        self._leaving: list[Lane] = []
        self.waits = Waits(store, clock, self._rules)
        self.watch = Watch(store, clock, lambda: [lane.link for lane in [*self.lanes.values(), *self._leaving]])
        self._stop_s = stop_s
        self._running = False
        self._woken = False

    def _lane(self, config: LinkConfig) -> Lane:
        try:
            return Lane(config, self._store, self._clock)
        except OSError as wrong:  # ssl.SSLError is one
            key, value = _unusable_file(config)
            raise LinkUnusable(f"links.{config.name}.{key}", value, f"cannot be used: {wrong}") from wrong

    def start(self) -> None:
        """Connect every link and begin. Bears being called twice."""
        self._running = True
        self.waits.start()
        self.watch.start()
        for lane in self.lanes.values():
            lane.start()

    async def stop(self) -> None:
        """Stop in order (P28). Bears early and double calls."""
        if not self._running:
            return
        self._running = False
        await self.waits.stop()
        await asyncio.gather(*(lane.stop(self._stop_s) for lane in self.lanes.values()))
        await self.watch.stop()

    # --- other links, while it runs ----------------------------------------------------------------------------------

    def prepare(self, links: Iterable[LinkConfig]) -> _Prepared:
        """Work out what these settings change; nothing is changed yet. Raises: LinkUnusable."""
        configs = {config.name: config for config in links}
        kept: list[str] = []
        adjusted: list[str] = []
        anew: list[str] = []
        for name, lane in self.lanes.items():
            new = configs.get(name)
            if new is not None:
                same, soft = new == lane.link.config, adjustable(lane.link.config, new)
                (kept if same else adjusted if soft else anew).append(name)
        change = LinkChange(
            kept=tuple(kept),
            adjusted=tuple(adjusted),
            made_anew=tuple(anew),
            added=tuple(name for name in configs if name not in self.lanes),
            removed=tuple(name for name in self.lanes if name not in configs),
        )
        lanes = {name: self._lane(configs[name]) for name in (*change.added, *change.made_anew)}
        return _Prepared(change, configs, lanes)

    async def change(self, prepared: _Prepared) -> None:
        """Bring the links to what ``prepare`` worked out; returns when links that leave have finished.

        What leaves stops as at the end of the process: nothing new is claimed, answers in flight are awaited, what has
        none is in doubt (R12). New binds of a link that is made anew begin after its old ones have ended.
        """
        change, configs, lanes = prepared
        for name in change.adjusted:
            self.lanes[name].adjust(configs[name])
        leaving = {name: self.lanes.pop(name) for name in (*change.removed, *change.made_anew)}
        self._leaving = list(leaving.values())
        self._rules.update({name: config.rules for name, config in configs.items()})
        for name in change.removed:
            del self._rules[name]
        for name in change.added:
            self._begin(lanes[name])
        try:
            await asyncio.gather(*(self._replace(lane, lanes.get(name)) for name, lane in leaving.items()))
        finally:
            self._leaving = []

    async def _replace(self, old: Lane, new: Lane | None) -> None:
        await old.stop(self._stop_s)
        if new is not None:
            self._leaving.remove(old)
            self._begin(new)

    def _begin(self, lane: Lane) -> None:
        self.lanes[lane.link.name] = lane
        if self._running:
            lane.start()

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
