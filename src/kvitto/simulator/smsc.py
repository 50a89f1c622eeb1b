"""The simulated SMSC: a server that answers submits with ids and sends receipts after a small random delay.

It speaks real SMPP over TCP with the same session class as the sending side, in the other role. What it does with a
message is a row of ``numbers.NUMBERS``. What waits for its time (receipts, late answers) stands in one heap, emptied by
one timer, so that a message costs no task and no timer of its own. A receipt is sent again when it is not answered, or
not with 0; one whose bind is gone goes to another bind of the same system_id or waits for the next.

Must not know: the sending side, the store. Read next: ``numbers.py``, ``bind.py``.
"""

import asyncio
import heapq
import random  # noqa: TID251 -- seeded by the config: a scripted SMSC must be repeatable, and nothing here is secret.
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar, cast

from kvitto.core.clock import Clock
from kvitto.simulator.bind import Bind
from kvitto.simulator.numbers import SECOND_PART, Answer, Behaviour, LongText, Step, behaviour_of
from kvitto.simulator.pending import Pending
from kvitto.simulator.receipts import Minutes, part_mark, receipt_pdu, wants_receipt
from kvitto.simulator.record import Recorder
from kvitto.smpp.events import (
    BindReceived,
    DeliverAnswered,
    Event,
    QueryReceived,
    RequestTimedOut,
    SubmitReceived,
)
from kvitto.smpp.pdus import Bind as BindPdu
from kvitto.smpp.pdus import QuerySm, QuerySmResp, SubmitSm
from kvitto.smpp.session import Role, Session, Timers
from kvitto.smpp.spec import CommandStatus

__all__ = ["Simulator", "SimulatorConfig"]

TICK_S: Final = 0.002
"""The heap is looked at no more often than this: receipts due together leave together."""
LATE_ANSWER_S: Final = 0.02
"""How long after its receipt a submit is answered under ``Answer.AFTER_RECEIPT``."""
ASSEMBLY_S: Final = 0.2
"""How long the answers to the parts of one text are held under ``LongText.OUT_OF_ORDER``: an ESME whose window is
smaller than the text would wait for ever."""
OUT_OF_ORDER_GAP_S: Final = 0.005
MAX_REMEMBERED: Final = 100_000
"""Numbers and texts remembered for "once" and for parts; then the oldest is forgotten. About 20 MB."""

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """How the simulator is reached and how quick it is."""

    host: str = "127.0.0.1"
    port: int = 2775
    """0: any free port; ``Simulator.port`` tells which."""
    system_id: str = "kvitto"
    password: str = "kvitto"  # noqa: S105 -- of a simulator on loopback, printed in its own help.
    max_binds: int = 10
    """Binds of the system_id at the same time; one more is refused with ESME_RBINDFAIL."""
    window: int = 1000
    """Receipts written to one bind and not yet answered."""
    delay_min_ms: float = 10.0
    delay_max_ms: float = 50.0
    """A receipt comes this long after its message, evenly spread."""
    receipt_answer_s: float = 10.0
    """Unanswered for this long, a receipt counts as lost."""
    retry_s: float = 1.0
    """A receipt that was lost or refused is sent again after this."""
    receipt_tries: int = 100
    """How often a receipt is written before it is given up; binds that broke do not count."""
    seed: int | None = None
    """Of the random delays; None: different each time."""
    tls: ssl.SSLContext | None = None


class _Part(NamedTuple):
    bind: Bind
    pdu: SubmitSm
    message_id: str
    answer_id: str


class Simulator:
    """The SMSC. ``start`` and ``stop`` bear early and double calls; what waits outlives a stop and a new start."""

    def __init__(self, config: SimulatorConfig, clock: Clock, record: Recorder | None = None) -> None:
        self.config = config
        self._clock = clock
        self._record = record
        self._random = random.Random(config.seed)
        self._server: asyncio.Server | None = None
        self._connections: set[Bind] = set()
        self._binds: list[Bind] = []
        self._next_bind = 0
        # Ids rise with the clock, so that a simulator started anew does not give out old ones.
        self._last_id = clock.now() * 1000
        self._minutes = Minutes()
        self._heap: list[tuple[float, int, Pending | Callable[[], None]]] = []
        self._pushed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._homeless: deque[Pending] = deque()
        self._refused_once: dict[str, None] = {}
        self._texts: dict[tuple[str, str, int], list[_Part]] = {}

    @property
    def port(self) -> int:
        """The port that is listened on; the configured one before ``start``."""
        if self._server is None or not self._server.sockets:
            return self.config.port
        return cast("int", self._server.sockets[0].getsockname()[1])

    @property
    def binds(self) -> int:
        """How many binds stand."""
        return len(self._binds)

    @property
    def waiting(self) -> int:
        """How many receipts and late answers still wait for their time, a bind or a window."""
        return len(self._heap) + len(self._homeless) + sum(len(bind.backlog) for bind in self._binds)

    async def start(self) -> None:
        """Listen. Raises: OSError when the port is taken."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect, self.config.host, self.config.port, ssl=self.config.tls, backlog=128
        )
        self._arm()

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for bind in list(self._connections):
            bind.close()
        if server is not None:
            await server.wait_closed()
        if self._record is not None:
            self._record.flush()

    def _connect(self) -> Bind:
        session = Session(
            role=Role.SMSC,
            now=self._clock.monotonic(),
            window=self.config.window,
            timers=Timers(response_s=self.config.receipt_answer_s),
        )
        bind = Bind(session, self, self._clock)
        self._connections.add(bind)
        return bind

    # --- What a connection tells -------------------------------------------------------------------------------------

    def on_events(self, bind: Bind, events: Sequence[Event], now: float) -> None:
        """See ``bind.BindOwner``."""
        for event in events:
            if type(event) is SubmitReceived:
                self._on_submit(bind, event.pdu, now)
            elif type(event) is DeliverAnswered:
                self._on_answer(bind, cast("Pending", event.token), event.command_status, now)
            elif type(event) is RequestTimedOut:
                self._again(cast("Pending", event.token), now)
            elif type(event) is BindReceived:
                self._on_bind(bind, event.pdu, now)
            elif type(event) is QueryReceived:
                self._on_query(bind, event.pdu)
        if bind.backlog:
            self._send_backlog(bind, now)
        if self._record is not None:
            self._record.flush()

    def on_closed(self, bind: Bind, unanswered: Sequence[Pending]) -> None:
        """See ``bind.BindOwner``: what was on its way goes to another bind, or waits for the next."""
        self._connections.discard(bind)
        if bind in self._binds:
            self._binds.remove(bind)
        now = self._clock.monotonic()
        for receipt in unanswered:
            self._send(receipt, now)

    def _on_bind(self, bind: Bind, pdu: BindPdu, now: float) -> None:
        status = self._judge(pdu)
        bind.session.answer_bind(pdu.sequence_number, status, self.config.system_id)
        if status:
            bind.close()
            return
        bind.system_id, bind.command_id = pdu.system_id, pdu.command_id
        self._binds.append(bind)
        if self._record is not None:
            self._record.bound(pdu.system_id, len(self._binds))
        if bind.can_receive:
            homeless, self._homeless = self._homeless, deque()
            for receipt in homeless:
                self._send(receipt, now)

    def _judge(self, pdu: BindPdu) -> int:
        if pdu.system_id != self.config.system_id:
            return CommandStatus.ESME_RINVSYSID
        if pdu.password != self.config.password:
            return CommandStatus.ESME_RINVPASWD
        if len(self._binds) >= self.config.max_binds:
            return CommandStatus.ESME_RBINDFAIL
        return CommandStatus.ESME_ROK

    def _on_query(self, bind: Bind, pdu: QuerySm) -> None:
        """No states are kept: every query fails, as it does at many a real SMSC."""
        bind.session.answer_query(
            QuerySmResp(pdu.sequence_number, CommandStatus.ESME_RQUERYFAIL, message_id=pdu.message_id)
        )

    # --- A message comes ---------------------------------------------------------------------------------------------

    def _on_submit(self, bind: Bind, pdu: SubmitSm, now: float) -> None:
        destination = pdu.destination_addr
        behaviour = behaviour_of(destination)
        if behaviour.refuse and self._refuses(behaviour, destination):
            self._note_submit(destination, "", behaviour.refuse)
            bind.session.answer_submit(pdu.sequence_number, behaviour.refuse)
            return
        self._last_id = number = self._last_id + 1
        part = _Part(bind, pdu, str(number), f"{number:x}" if behaviour.hex_id else str(number))
        if self._record is not None:
            self._record.submit(destination, part.message_id, 0)
        if behaviour.answer is Answer.CLOSE:
            bind.close()
        elif behaviour.long_text is not LongText.EACH_PART:
            self._on_long_text(part, behaviour, now)
        else:
            self._answer(part, behaviour, now)
            self._schedule(part, behaviour.receipts, now + self._delay(behaviour), behaviour)

    def _note_submit(self, destination: str, message_id: str, command_status: int) -> None:
        if self._record is not None:
            self._record.submit(destination, message_id, command_status)

    def _refuses(self, behaviour: Behaviour, destination: str) -> bool:
        if not behaviour.once:
            return True
        if destination in self._refused_once:
            return False
        self._refused_once[destination] = None
        _forget_oldest(self._refused_once)
        return True

    def _delay(self, behaviour: Behaviour) -> float:
        if behaviour.answer is Answer.AFTER_RECEIPT:
            return 0.0
        low, high = self.config.delay_min_ms, self.config.delay_max_ms
        return (low + (high - low) * self._random.random()) / 1000

    def _answer(self, part: _Part, behaviour: Behaviour, now: float) -> None:
        if behaviour.answer is Answer.AT_ONCE:
            part.bind.session.answer_submit(part.pdu.sequence_number, 0, part.answer_id)
        elif behaviour.answer is Answer.AFTER_RECEIPT:
            self._push(now + LATE_ANSWER_S, lambda: self._answer_late([part]))

    def _answer_late(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            part.bind.session.answer_submit(part.pdu.sequence_number, 0, part.answer_id)
            part.bind.wrote()

    def _schedule(self, part: _Part, steps: tuple[Step, ...], due: float, behaviour: Behaviour) -> None:
        """Put the receipts of one part into the heap, or send those that are due at once."""
        pdu = part.pdu
        submitted = self._minutes.text(self._clock.now())
        for step in steps:
            due += step.after_s
            if wants_receipt(pdu.registered_delivery, step):
                self._push(due, Pending(pdu, step, part.message_id, submitted, part.bind, behaviour.other_bind))

    # --- Long texts --------------------------------------------------------------------------------------------------

    def _on_long_text(self, part: _Part, behaviour: Behaviour, now: float) -> None:
        mark = part_mark(part.pdu)
        due = now + self._delay(behaviour)
        if mark is None or behaviour.long_text is LongText.SECOND_FAILS:
            self._answer(part, behaviour, now)
            fails = mark is not None and mark.number == 2
            self._schedule(part, SECOND_PART if fails else behaviour.receipts, due, behaviour)
            return
        key = (part.pdu.source_addr, part.pdu.destination_addr, mark.reference)
        parts = self._texts.setdefault(key, [])
        parts.append(part)
        whole = len(parts) == mark.total
        if whole:
            del self._texts[key]
        _forget_oldest(self._texts)
        if behaviour.long_text is LongText.ONE_RECEIPT:
            self._answer(part, behaviour, now)
            if whole:
                self._schedule(parts[0], behaviour.receipts, due, behaviour)
        elif whole:
            self._release(parts, behaviour, now)
        elif len(parts) == 1:
            self._push(now + ASSEMBLY_S, lambda: self._release_held(key, parts, behaviour))

    def _release_held(self, key: tuple[str, str, int], parts: list[_Part], behaviour: Behaviour) -> None:
        if self._texts.get(key) is parts:
            del self._texts[key]
            self._release(parts, behaviour, self._clock.monotonic())

    def _release(self, parts: Sequence[_Part], behaviour: Behaviour, now: float) -> None:
        """Answer and receipt held parts from the last to the first."""
        backwards = parts[::-1]
        self._answer_late(backwards)
        due = now + self._delay(behaviour)
        for place, part in enumerate(backwards):
            self._schedule(part, behaviour.receipts, due + place * OUT_OF_ORDER_GAP_S, behaviour)

    # --- Receipts go ---------------------------------------------------------------------------------------------

    def _push(self, due: float, what: Pending | Callable[[], None]) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (due, self._pushed, what))
        if self._timer is None or due < self._timer_at - TICK_S:
            self._arm()

    def _arm(self) -> None:
        if not self._heap or self._server is None:
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
            if isinstance(what, Pending):
                self._send(what, now)
            else:
                what()
        if self._record is not None:
            self._record.flush()
        self._arm()

    def _send(self, receipt: Pending, now: float) -> None:
        """Write a receipt to a bind; keep it for the next one if none can take it."""
        if receipt.answered:
            return
        bind = self._choose(receipt)
        if bind is None:
            self._homeless.append(receipt)
        elif bind.backlog or bind.session.free_window == 0:
            bind.backlog.append(receipt)
        else:
            self._write(bind, receipt, now)

    def _choose(self, receipt: Pending) -> Bind | None:
        home = receipt.home
        if not receipt.away and isinstance(home, Bind) and home.can_receive:
            return home
        able = [bind for bind in self._binds if bind.can_receive]
        others = [bind for bind in able if bind is not home] or able
        if not others:
            return None
        self._next_bind += 1
        return others[self._next_bind % len(others)]

    def _write(self, bind: Bind, receipt: Pending, now: float) -> None:
        receipt.tries += 1
        done = self._minutes.text(self._clock.now())
        pdu = receipt_pdu(receipt.submit, receipt.step, receipt.message_id, receipt.submitted, done)
        bind.session.deliver(pdu, receipt, now)
        bind.wrote()
        if self._record is not None:
            self._record.receipt_sent(receipt.submit.destination_addr, receipt.message_id, receipt.tries)

    def _send_backlog(self, bind: Bind, now: float) -> None:
        backlog = bind.backlog
        while backlog and bind.session.free_window:
            self._write(bind, backlog.popleft(), now)

    def _on_answer(self, bind: Bind, receipt: Pending, command_status: int, now: float) -> None:
        if self._record is not None:
            self._record.receipt_answered(receipt.submit.destination_addr, receipt.message_id, command_status)
        if command_status == 0:
            receipt.answered = True
        else:
            self._again(receipt, now)

    def _again(self, receipt: Pending, now: float) -> None:
        if receipt.tries < self.config.receipt_tries and not receipt.answered:
            self._push(now + self.config.retry_s, receipt)


def _forget_oldest(remembered: dict[_K, _V]) -> None:
    """Keep a memory below ``MAX_REMEMBERED``."""
    if len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
