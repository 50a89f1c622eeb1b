"""The simulated SMSC: a server that answers submits with ids and sends receipts after a small random delay.

It speaks real SMPP over TCP with the same session class as the sending side, in the other role. What it does with a
message is a row of ``numbers.NUMBERS``, or what a scenario draws (``script.py``). What it sends by itself is in
``outgoing.py``.

Must not know: the sending side, the store. Read next: ``numbers.py``, ``script.py``, ``bind.py``.
"""

import asyncio
import random  # noqa: TID251 -- seeded by the config: a scripted SMSC must be repeatable, and nothing here is secret.
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar, cast

from kvitto.core.clock import Clock
from kvitto.simulator.bind import Bind
from kvitto.simulator.config import SimulatorConfig
from kvitto.simulator.fates import Fates
from kvitto.simulator.faults import FaultyBind, any_fault
from kvitto.simulator.limits import BindLimits, Rate
from kvitto.simulator.numbers import SECOND_PART, Answer, Behaviour, LongText, Step, behaviour_of
from kvitto.simulator.outgoing import Outgoing
from kvitto.simulator.pending import Incoming, Pending, Written
from kvitto.simulator.receipts import incoming_pdu, part_mark, wants_receipt
from kvitto.simulator.record import Recorder, WireRecorder
from kvitto.simulator.scenario import Scenario
from kvitto.simulator.script import Script
from kvitto.simulator.style import STANDARD
from kvitto.smpp.events import (
    BindReceived,
    DeliverAnswered,
    Event,
    QueryReceived,
    RequestTimedOut,
    SubmitReceived,
)
from kvitto.smpp.pdus import Bind as BindPdu
from kvitto.smpp.pdus import QuerySm, SubmitSm
from kvitto.smpp.session import Role, Session, State, Timers
from kvitto.smpp.spec import CommandStatus

__all__ = ["Simulator"]

LATE_ANSWER_S: Final = 0.02
"""How long after its receipt a submit is answered under ``Answer.AFTER_RECEIPT``."""
ASSEMBLY_S: Final = 0.2
"""How long the answers to the parts of one text are held under ``LongText.OUT_OF_ORDER``: an ESME whose window is
smaller than the text would wait for ever."""
OUT_OF_ORDER_GAP_S: Final = 0.005
MAX_REMEMBERED: Final = 100_000
"""Numbers and texts remembered for "once" and for parts; then the oldest is forgotten. About 20 MB."""

# A NamedTuple's own __new__ is a Python function; this one is not. It counts no fields: for this package's tuples only.
_new: Final = tuple.__new__
_K = TypeVar("_K")
_V = TypeVar("_V")


class _Part(NamedTuple):
    bind: Bind
    pdu: SubmitSm
    ids: Written


class Simulator:
    """The SMSC. ``start`` and ``stop`` bear early and double calls; what waits outlives a stop and a new start."""

    def __init__(
        self,
        config: SimulatorConfig,
        clock: Clock,
        record: Recorder | None = None,
        *,
        wire: WireRecorder | None = None,
    ) -> None:
        """``record``: told what happens to messages. ``wire``: told every octet of every connection."""
        self.config = config
        self._clock = clock
        self._record = record
        self._wire = wire
        self._random = random.Random(config.seed)
        self._scenario = config.scenario or Scenario()
        self._script = None if config.scenario is None else Script(config.scenario, self._random)
        self._rate = Rate(config.rate, self._scenario.throttle.burst) if config.rate else None
        self._limits = BindLimits(self._scenario.connection)
        self._server: asyncio.Server | None = None
        self._connections: set[Bind] = set()
        self._connected = 0
        self._binds: list[Bind] = []
        self._out = Outgoing(clock, self._binds, record)
        self._last_id = clock.now() * 1000 if config.first_id is None else config.first_id - 1
        self._incoming_sent = False
        self._fates = Fates()
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
        return self._out.waiting

    async def start(self) -> None:
        """Listen. Raises: OSError when the port is taken."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect, self.config.host, self.config.port, ssl=self.config.tls, backlog=128
        )
        self._out.start()

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._out.stop()
        for bind in list(self._connections):
            bind.close()
        if server is not None:
            await server.wait_closed()
        if self._record is not None:
            self._record.flush()

    def _connect(self) -> Bind:
        connection, faults = self._scenario.connection, self._scenario.faults
        session = Session(
            role=Role.SMSC,
            now=self._clock.monotonic(),
            window=self.config.window,
            timers=Timers(response_s=self.config.receipt_answer_s, enquire_link_s=connection.enquire_link_s),
        )
        self._out.retry_s, self._out.tries = self.config.retry_s, self.config.receipt_tries
        self._connected = number = self._connected + 1
        if any_fault(faults) and (not faults.connections or number <= faults.connections):
            bind: Bind = FaultyBind(session, self, self._clock, faults=faults, number=number, wire=self._wire)
        else:
            bind = Bind(session, self, self._clock, number=number, wire=self._wire)
        self._connections.add(bind)
        return bind

    # --- What a connection tells -------------------------------------------------------------------------------------

    def on_events(self, bind: Bind, events: Sequence[Event], now: float) -> None:
        """See ``bind.BindOwner``."""
        for event in events:
            if type(event) is SubmitReceived:
                self._on_submit(bind, event.pdu, now)
            elif type(event) is DeliverAnswered:
                self._out.answered(cast("Pending | Incoming", event.token), event.command_status, now)
            elif type(event) is RequestTimedOut:
                self._out.again(cast("Pending | Incoming", event.token), now)
            elif type(event) is BindReceived:
                self._on_bind(bind, event.pdu, now)
            elif type(event) is QueryReceived:
                self._on_query(bind, event.pdu, now)
        if bind.backlog:
            self._out.send_backlog(bind, now)
        if self._record is not None:
            self._record.flush()

    def on_lost(self, bind: Bind, unanswered: Sequence[Pending | Incoming]) -> None:
        """See ``bind.BindOwner``: what was on its way goes to another bind, or waits for the next."""
        if bind in self._binds:
            self._binds.remove(bind)
        self._out.send_all(unanswered, self._clock.monotonic())

    def on_closed(self, bind: Bind) -> None:
        """See ``bind.BindOwner``."""
        self._connections.discard(bind)
        if self._record is not None:
            self._record.flush()

    # --- Binds -------------------------------------------------------------------------------------------------------

    def _on_bind(self, bind: Bind, pdu: BindPdu, now: float) -> None:
        delay_s = self._scenario.connection.bind_delay_ms / 1000
        if delay_s:
            self._out.push(now + delay_s, lambda: self._answer_bind(bind, pdu, self._clock.monotonic()))
        else:
            self._answer_bind(bind, pdu, now)

    def _answer_bind(self, bind: Bind, pdu: BindPdu, now: float) -> None:
        if bind.session.state is not State.BINDING:
            return  # It left while it waited.
        status = self._judge(pdu)
        version = self._scenario.connection.interface_version or None
        bind.session.answer_bind(pdu.sequence_number, status, self.config.system_id, version)
        bind.wrote()
        if status:
            bind.close()
            return
        bind.system_id, bind.command_id = pdu.system_id, pdu.command_id
        self._binds.append(bind)
        if self._record is not None:
            self._record.bound(pdu.system_id, len(self._binds))
        if bind.can_receive:
            self._out.bind_made(now)
            self._send_incoming(now)

    def _judge(self, pdu: BindPdu) -> int:
        if pdu.system_id != self.config.system_id:
            return CommandStatus.ESME_RINVSYSID
        if pdu.password != self.config.password:
            return CommandStatus.ESME_RINVPASWD
        if len(self._binds) >= self.config.max_binds:
            return CommandStatus.ESME_RBINDFAIL
        return self._limits.judge(pdu.command_id, [bind.command_id for bind in self._binds])

    def _send_incoming(self, now: float) -> None:
        """The messages from handsets, once, from the first bind on that receives."""
        if self._incoming_sent:
            return
        self._incoming_sent = True
        for told in self._scenario.incoming:
            pdu = incoming_pdu(told.source, told.destination, told.text)
            for at in range(told.count):
                self._out.push(now + (told.after_ms + at * told.every_ms) / 1000, Incoming(pdu))

    def _on_query(self, bind: Bind, pdu: QuerySm, now: float) -> None:
        bind.session.answer_query(self._fates.answer(pdu, now, self._clock.now()))

    # --- A message comes ---------------------------------------------------------------------------------------------

    def _on_submit(self, bind: Bind, pdu: SubmitSm, now: float) -> None:
        destination = pdu.destination_addr
        if self._rate is not None and not self._rate.take(now):
            self._refuse(bind, pdu, self._scenario.throttle.status)
            return
        behaviour = behaviour_of(destination) if self._script is None else self._script.choose(pdu)
        if behaviour.refuse and self._refuses(behaviour, destination):
            if behaviour.answer_s:
                self._out.push(now + behaviour.answer_s, lambda: self._refuse(bind, pdu, behaviour.refuse))
            else:
                self._refuse(bind, pdu, behaviour.refuse)
            return
        part = _new(_Part, (bind, pdu, self._new_ids(behaviour)))
        if self._record is not None:
            self._record.submit(destination, part.ids.text, 0)
        if behaviour.answer is Answer.CLOSE:
            bind.close()
        elif behaviour.long_text is not LongText.EACH_PART:
            self._on_long_text(part, behaviour, now)
        else:
            self._answer(part, behaviour, now)
            self._schedule(part, behaviour.receipts, now + self._delay(behaviour), behaviour)

    def _new_ids(self, behaviour: Behaviour) -> Written:
        self._last_id = number = self._last_id + 1
        style = behaviour.style
        if style is STANDARD:
            text = str(number)
            return _new(Written, (f"{number:x}" if behaviour.hex_id else text, text, text))
        uuid = behaviour.uuid
        response = f"{number:x}" if behaviour.hex_id and not uuid else style.response.write(number, uuid)
        return Written(response, style.text.write(number, uuid), style.tlv.write(number, uuid))

    def _refuse(self, bind: Bind, pdu: SubmitSm, command_status: int) -> None:
        if self._record is not None:
            self._record.submit(pdu.destination_addr, "", command_status)
        bind.session.answer_submit(pdu.sequence_number, command_status)
        bind.wrote()

    def _refuses(self, behaviour: Behaviour, destination: str) -> bool:
        if not behaviour.once:
            return True
        if destination in self._refused_once:
            return False
        self._refused_once[destination] = None
        _forget_oldest(self._refused_once)
        return True

    def _delay(self, behaviour: Behaviour) -> float:
        """Seconds from a message to its first receipt."""
        if behaviour.answer is Answer.AFTER_RECEIPT:
            return 0.0
        if behaviour.delay_s is not None:
            return behaviour.delay_s
        low, high = self.config.delay_min_ms, self.config.delay_max_ms
        return (low + (high - low) * self._random.random()) / 1000

    def _answer(self, part: _Part, behaviour: Behaviour, now: float) -> None:
        answer = behaviour.answer
        if answer is Answer.HALF_OPEN:
            part.bind.half_open()
        elif answer is Answer.AFTER_RECEIPT:
            self._out.push(now + behaviour.answer_s + LATE_ANSWER_S, lambda: self._answer_late([part]))
        elif answer is Answer.AT_ONCE and behaviour.answer_s:
            self._out.push(now + behaviour.answer_s, lambda: self._answer_late([part]))
        elif answer is Answer.AT_ONCE:
            part.bind.session.answer_submit(part.pdu.sequence_number, 0, part.ids.response)

    def _answer_late(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            part.bind.session.answer_submit(part.pdu.sequence_number, 0, part.ids.response)
            part.bind.wrote()

    def _schedule(self, part: _Part, steps: tuple[Step, ...], due: float, behaviour: Behaviour) -> None:
        """Put the receipts of one part into the heap."""
        pdu, style = part.pdu, behaviour.style
        self._fates.remember(part.ids.response, pdu.source_addr, steps or behaviour.lost, due)
        submitted_at = self._clock.now()
        for step in steps:
            due += step.after_s
            if style.unasked or wants_receipt(pdu.registered_delivery, step):
                self._out.push(due, Pending(pdu, step, part.ids, submitted_at, part.bind, behaviour.other_bind, style))

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
                for other in parts[1:]:
                    self._fates.remember(other.ids.response, other.pdu.source_addr, behaviour.fate, due)
        elif whole:
            self._release(parts, behaviour, now)
        elif len(parts) == 1:
            self._out.push(now + ASSEMBLY_S, lambda: self._release_held(key, parts, behaviour))

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


def _forget_oldest(remembered: dict[_K, _V]) -> None:
    """Keep a memory below ``MAX_REMEMBERED``."""
    if len(remembered) > MAX_REMEMBERED:
        del remembered[next(iter(remembered))]
