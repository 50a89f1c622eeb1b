"""Everything a storm needs around the server, in one place: an SMSC, a sink, a ledger, and their records.

The SMSC is the project's simulator in a thread of the test with a loop of its own, so that it keeps its memory while
servers are killed: what it accepted, which receipts were answered, and which are still to be repeated.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvitto.core.clock import SystemClock
from kvitto.simulator import Simulator, SimulatorConfig
from kvitto.simulator.receipts import part_mark
from kvitto.smpp.events import Event, SubmitReceived
from kvitto.smpp.spec import CommandStatus
from tests.support.ledger import Ledger, LoadPlan
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port
from tests.support.sink import Sink

__all__ = ["Moods", "Rig", "SmscRecord", "SmscThread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moods:
    """How an SMSC behaves on a bad day. ``throttle_share``: of submits refused with 0x58.

    ``cut_every_s``: shortest and longest time between two cuts of a connection in the middle of its work; None: never.
    """

    throttle_share: float = 0.0
    cut_every_s: tuple[float, float] | None = None


class SmscRecord:
    """What the SMSC saw, by destination; fulfils ``kvitto.simulator.Recorder``."""

    def __init__(self) -> None:
        self.part = 1
        """Of the submit that is being noted; ``MoodySmsc`` sets it."""
        self.cuts = 0
        self.submits: Counter[str] = Counter()
        """submit_sm that came and were accepted."""
        self.submitted_parts: Counter[tuple[str, int]] = Counter()
        """The same by number and part."""
        self.answered_parts: Counter[tuple[str, int]] = Counter()
        """Receipts answered with status 0, by number and part."""
        self._part_of: dict[tuple[str, str], int] = {}
        self.refused: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """Receipts written, repeats among them."""
        self.answered: Counter[str] = Counter()
        """Receipts answered with status 0."""
        self.news = 0
        """How many things were noted in all: at rest it stands still."""
        self.refused_receipts = 0
        self.most_binds = 0

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        self.news += 1
        if command_status:
            self.refused[destination] += 1
            return
        self.submits[destination] += 1
        self.submitted_parts[destination, self.part] += 1
        self._part_of[destination, message_id] = self.part

    def receipt_sent(self, destination: str, message_id: str, tries: int) -> None:
        """See ``Recorder``."""
        self.sent[destination] += 1
        self.news += 1

    def receipt_answered(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        if command_status:
            self.refused_receipts += 1
        else:
            self.answered[destination] += 1
            self.answered_parts[destination, self._part_of.get((destination, message_id), 1)] += 1
        self.news += 1

    def bound(self, system_id: str, binds: int) -> None:
        """See ``Recorder``."""
        self.most_binds = max(self.most_binds, binds)

    def flush(self) -> None:
        """See ``Recorder``: it is all in memory."""


class MoodySmsc(Simulator):
    """The simulator, which tells its record of parts, throttles and cuts connections as its moods say."""

    def __init__(self, config: SimulatorConfig, record: SmscRecord, moods: Moods) -> None:
        super().__init__(config, SystemClock(), record)
        self._noted, self._moods = record, moods
        self._chance = random.Random(config.seed)
        self._cutter: asyncio.TimerHandle | None = None
        self._open: set[Any] = set()

    def on_events(self, bind: Any, events: Sequence[Event], now: float) -> None:
        """See ``BindOwner``: one event after the other, so that the record knows which part is meant."""
        self._open.add(bind)
        for event in events:
            if isinstance(event, SubmitReceived):
                mark = part_mark(event.pdu)
                self._noted.part = mark.number if mark else 1
                if self._moods.throttle_share and self._chance.random() < self._moods.throttle_share:
                    self._noted.submit(event.pdu.destination_addr, "", CommandStatus.ESME_RTHROTTLED)
                    bind.session.answer_submit(event.pdu.sequence_number, CommandStatus.ESME_RTHROTTLED)
                    continue
            super().on_events(bind, [event], now)

    def on_closed(self, bind: Any) -> None:
        """See ``BindOwner``."""
        self._open.discard(bind)
        super().on_closed(bind)

    def calm_down(self) -> None:
        """No more cuts and throttles."""
        self._moods = Moods()
        if self._cutter is not None:
            self._cutter.cancel()

    def cut_on(self) -> None:
        """Cut a connection, and again after a while."""
        if self._moods.cut_every_s is None:
            return
        if self._open:
            bind = self._chance.choice(list(self._open))
            self._noted.cuts += 1
            bind._transport.abort()
        self._cutter = asyncio.get_running_loop().call_later(
            self._chance.uniform(*self._moods.cut_every_s), self.cut_on
        )


class SmscThread:
    """The simulator in a thread. Use it as a context manager."""

    def __init__(self, config: SimulatorConfig, moods: Moods | None = None) -> None:
        self.record = SmscRecord()
        self._loop = asyncio.new_event_loop()
        self._simulator = MoodySmsc(config, self.record, moods or Moods())
        self._thread = threading.Thread(target=self._run, name="smsc", daemon=True)
        self._listening = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._simulator.port

    @property
    def waiting(self) -> int:
        """Receipts that have yet to be sent."""
        return self._simulator.waiting

    def calm_down(self) -> None:
        """From now on an SMSC in a good mood."""
        self._loop.call_soon_threadsafe(self._simulator.calm_down)

    def call(self, what: Any, *arguments: Any) -> Any:
        """Run ``await what(simulator, ...)`` in its loop."""
        return asyncio.run_coroutine_threadsafe(what(self._simulator, *arguments), self._loop).result(10)

    def __enter__(self) -> "SmscThread":
        """Listen."""
        self._thread.start()
        if not self._listening.wait(10):
            raise AssertionError("the SMSC does not listen")
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._simulator.stop(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._simulator.start())
        self._listening.set()
        self._loop.call_soon(self._simulator.cut_on)
        self._loop.run_forever()
        self._loop.close()


class Rig:
    """An SMSC, a sink, a server that is linked to the one and may post to the other, its account, and a ledger.

    Use it as a context manager: inside, everything but the ledger runs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        dsn: str | None = None,
        window: int = 50,
        binds: int = 2,
        delay_ms: tuple[float, float] = (0.0, 300.0),
        settings: Mapping[str, object] | None = None,
        plan: LoadPlan | None = None,
        moods: Moods | None = None,
        seed: int = 1,
    ) -> None:
        """``delay_ms``: from a submit to its receipt. ``settings``: more for the server, by dotted key."""
        self.window, self.binds = window, binds
        shortest, longest = delay_ms
        config = SimulatorConfig(
            port=reserve_port(),
            delay_min_ms=shortest,
            delay_max_ms=longest,
            retry_s=0.3,
            max_binds=binds * 4,
            seed=seed,
        )
        self.smsc = SmscThread(config, moods)
        self.sink = Sink(seed=seed)
        link = link_settings(config.port, window=window, binds=binds)
        waits = {"receipts.adopt_after_s": 1}
        self.server = ServerProcess(directory, settings={**waits, **link, **(settings or {})}, dsn=dsn)
        self._ledger_path, self._plan, self._seed = directory / "ledger.jsonl", plan, seed
        self._keys: AccountKeys | None = None
        self._ledger: Ledger | None = None

    @property
    def keys(self) -> AccountKeys:
        """The account's."""
        assert self._keys is not None, "the rig is not started"
        return self._keys

    @property
    def ledger(self) -> Ledger:
        """The client; start it when the load is to begin."""
        assert self._ledger is not None, "the rig is not started"
        return self._ledger

    @property
    def in_doubt_most(self) -> int:
        """How many parts one kill may leave in doubt at the most (P6)."""
        return self.window * self.binds

    def __enter__(self) -> "Rig":
        """Start SMSC, sink and server; make the account."""
        try:
            self.smsc.__enter__()
            self.sink.start()
            self._keys = self.server.create_account("storm")
            self.server.start()
        except BaseException:
            self.__exit__()
            raise
        self._ledger = Ledger(
            self._ledger_path, self.server.port, self._keys, self.sink.url, self._plan, seed=self._seed
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the server by force."""
        try:
            if self._ledger is not None:
                self._ledger.stop()
        finally:
            self.server.kill()
            self.sink.stop()
            self.smsc.__exit__()
