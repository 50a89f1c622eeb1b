"""What the simulator sends by itself, each thing in its time: receipts, messages from handsets, late answers.

What waits stands in one heap, emptied by one timer, so that a message costs no task and no timer of its own. A receipt
is sent again when it is not answered, or not with 0; one whose bind is gone goes to another bind or waits for the next.
Must not know: what is done with a submit (``smsc.py``), scenarios.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, cast

from kvitto.core.clock import Clock
from kvitto.simulator.bind import Bind
from kvitto.simulator.pending import Incoming, Pending
from kvitto.simulator.receipts import Minutes, receipt_pdu, styled_receipt
from kvitto.simulator.record import Recorder
from kvitto.simulator.style import STANDARD
from kvitto.smpp.pdus import DataSm, DeliverSm

__all__ = ["Outgoing"]

TICK_S: Final = 0.002
"""The heap is looked at no more often than this: receipts due together leave together."""

_Due = Pending | Incoming | Callable[[], None]


class Outgoing:
    """``binds``: those that stand, kept by the owner. ``running``: whether time goes on; what waits outlives a stop."""

    def __init__(self, clock: Clock, binds: list[Bind], record: Recorder | None) -> None:
        self.retry_s = 1.0
        """A receipt that was lost or refused is sent again after this."""
        self.tries = 100
        """How often one is written before it is given up; binds that broke do not count."""
        self._clock = clock
        self._binds = binds
        self._record = record
        self._running = False
        self._next_bind = 0
        self._submit_minutes, self._done_minutes = Minutes(), Minutes()
        self._heap: list[tuple[float, int, _Due]] = []
        self._pushed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._homeless: deque[Pending | Incoming] = deque()

    @property
    def waiting(self) -> int:
        """How many receipts and late answers still wait for their time, a bind or a window."""
        return len(self._heap) + len(self._homeless) + sum(len(bind.backlog) for bind in self._binds)

    def start(self) -> None:
        """Let time go on. Bears double calls."""
        self._running = True
        if self._timer is None:
            self._arm()

    def stop(self) -> None:
        """Hold everything back until the next start. Bears early and double calls."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def push(self, due: float, what: _Due) -> None:
        """Send or do this at ``due`` (monotonic seconds)."""
        self._pushed += 1
        heapq.heappush(self._heap, (due, self._pushed, what))
        if self._timer is None or due < self._timer_at - TICK_S:
            self._arm()

    def bind_made(self, now: float) -> None:
        """A bind that receives stands: what had none goes there."""
        homeless, self._homeless = self._homeless, deque()
        self.send_all(homeless, now)

    def send_all(self, receipts: Iterable[Pending | Incoming], now: float) -> None:
        """Write each to a bind; keep it for the next one if none can take it."""
        for receipt in receipts:
            self._send(receipt, now)

    def send_backlog(self, bind: Bind, now: float) -> None:
        """The window of this bind has room again."""
        backlog = bind.backlog
        while backlog and bind.session.free_window:
            self._write(bind, backlog.popleft(), now)

    def answered(self, receipt: Pending | Incoming, command_status: int, now: float) -> None:
        """Its answer came."""
        if self._record is not None and type(receipt) is Pending:
            self._record.receipt_answered(receipt.submit.destination_addr, receipt.ids.text, command_status)
        if command_status == 0:
            receipt.answered = True
        else:
            self.again(receipt, now)

    def again(self, receipt: Pending | Incoming, now: float) -> None:
        """It was refused, or not answered in time."""
        if receipt.tries < self.tries and not receipt.answered:
            self.push(now + self.retry_s, receipt)

    # --- The inner works ---------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if not self._heap or not self._running:
            return
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock.monotonic()
        self._timer_at = max(self._heap[0][0], now + TICK_S)
        self._timer = asyncio.get_running_loop().call_later(self._timer_at - now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        heap = self._heap
        while heap and heap[0][0] <= now:
            what = heapq.heappop(heap)[2]
            if type(what) is Pending or type(what) is Incoming:
                self._send(what, now)
            else:
                cast("Callable[[], None]", what)()
        if self._record is not None:
            self._record.flush()
        self._arm()

    def _send(self, receipt: Pending | Incoming, now: float) -> None:
        if receipt.answered:
            return
        bind = self._choose(receipt)
        if bind is None:
            self._homeless.append(receipt)
        elif bind.backlog or bind.session.free_window == 0:
            bind.backlog.append(receipt)
        else:
            self._write(bind, receipt, now)

    def _choose(self, receipt: Pending | Incoming) -> Bind | None:
        home = receipt.home
        if not receipt.away and isinstance(home, Bind) and home.can_receive:
            return home
        able = [bind for bind in self._binds if bind.can_receive]
        others = [bind for bind in able if bind is not home] or able
        if not others:
            return None
        self._next_bind += 1
        return others[self._next_bind % len(others)]

    def _write(self, bind: Bind, receipt: Pending | Incoming, now: float) -> None:
        receipt.tries += 1
        if type(receipt) is Incoming:
            bind.session.deliver(receipt.pdu, receipt, now)
        elif type(receipt) is Pending:
            bind.session.deliver(self._pdu(receipt), receipt, now)
            if self._record is not None:
                self._record.receipt_sent(receipt.submit.destination_addr, receipt.ids.text, receipt.tries)
        bind.wrote()

    def _pdu(self, receipt: Pending) -> DeliverSm | DataSm:
        done_at = self._clock.now()
        if receipt.style is not STANDARD:
            return styled_receipt(
                receipt.submit, receipt.step, receipt.ids, receipt.style, receipt.submitted_at, done_at
            )
        submitted = self._submit_minutes.text(receipt.submitted_at)
        done = self._done_minutes.text(done_at)
        return receipt_pdu(receipt.submit, receipt.step, receipt.ids.text, submitted, done)
