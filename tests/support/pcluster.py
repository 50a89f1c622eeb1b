"""Everything a storm needs around the server, in one place: an SMSC, a sink, a ledger, and their records.

The SMSC is the project's simulator in a thread of the test with a loop of its own, so that it keeps its memory while
servers are killed: what it accepted, which receipts were answered, and which are still to be repeated.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from kvitto.core.clock import SystemClock
from kvitto.simulator import Simulator, SimulatorConfig
from tests.support.ledger import Ledger, LoadPlan
from tests.support.server import AccountKeys, ServerProcess, link_settings, reserve_port
from tests.support.sink import Sink

__all__ = ["Rig", "SmscRecord", "SmscThread"]


class SmscRecord:
    """What the SMSC saw, by destination; fulfils ``kvitto.simulator.Recorder``."""

    def __init__(self) -> None:
        self.submits: Counter[str] = Counter()
        """submit_sm that came and were accepted."""
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
        (self.refused if command_status else self.submits)[destination] += 1
        self.news += 1

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
        self.news += 1

    def bound(self, system_id: str, binds: int) -> None:
        """See ``Recorder``."""
        self.most_binds = max(self.most_binds, binds)

    def flush(self) -> None:
        """See ``Recorder``: it is all in memory."""


class SmscThread:
    """The simulator in a thread. Use it as a context manager."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.record = SmscRecord()
        self._loop = asyncio.new_event_loop()
        self._simulator = Simulator(config, SystemClock(), self.record)
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
        self.smsc = SmscThread(config)
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
