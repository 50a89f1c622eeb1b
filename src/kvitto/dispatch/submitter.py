"""The loop out: claimed messages become submit_sm, and their answers become facts in the store.

It is driven by events, without a task per message. One claim is in flight at a time; it asks for no more parts than
the link has free window slots (P6), so whatever dies in between leaves at most one window a bind in doubt (R12). When
it returns and there is room left, the next one follows at once. Otherwise it waits for what makes room or work:
answers, a bind that stands, a batch just accepted (``wake``), the time the next message is due, or a poll of at most
a second.

    claim_messages -> PartMaker -> Bind.write ... SubmitAnswered -> record_answers
                                              ... time-out, loss -> record_fates

An answer decides its part by the class of its command_status (docs/smpp.md 1.8): accepted, refused, or to be sent again
(R11). While the store cannot take answers or fates they are kept, and nothing new is claimed.

Must not know: sockets, receipts. Next: ``kvitto.dispatch.link`` below, ``kvitto.store.api`` for the verbs.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, cast

from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Claimed, PartKey
from kvitto.core.receipt import CommandClass, LinkRules
from kvitto.core.retry import refusal_delay_ms
from kvitto.core.throttle import Offenders
from kvitto.dispatch.keeper import Keeper
from kvitto.dispatch.link import Bind, Link
from kvitto.dispatch.parts import Outgoing, PartMaker, Unsendable
from kvitto.smpp.events import SubmitAnswered
from kvitto.smpp.session import NotAllowed, WindowFull
from kvitto.smpp.spec import CommandStatus, StatusClass, classify, status_name
from kvitto.store.api import MOST_QUEUES, Store, SubmitAnswer, SubmitFate

__all__ = ["Submitter"]

POLL_S: Final = 1.0
"""A wake-up may be lost, and other processes accept batches too: the queue is looked at this often anyway."""
STORE_PAUSE_S: Final = 1.0

_THROTTLES: Final = frozenset({CommandStatus.ESME_RTHROTTLED, CommandStatus.ESME_RMSGQFUL})
_UNKNOWN_ERROR_TRIES: Final = 2
"""RUNKNOWNERR is tried this often in all (docs/smpp.md 1.8)."""

_OVERRIDE: Final[Mapping[CommandClass, StatusClass]] = {
    CommandClass.TEMPORARY: StatusClass.TEMPORARY,
    CommandClass.PERMANENT: StatusClass.PERMANENT,
}


class Submitter:
    """Sends what one link may carry. Built with the link it serves by ``kvitto.dispatch.dispatcher``."""

    def __init__(self, link: Link, store: Store, clock: Clock, *, poll_s: float = POLL_S) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._poll_s = poll_s
        self._maker = PartMaker(link.rules)
        self._overrides = _overrides(link.rules)
        self._offenders = Offenders()
        self._answers: Keeper[SubmitAnswer] = Keeper(self._write_answers, self._stored)
        self._fates: Keeper[SubmitFate] = Keeper(self._write_fates, self._stored)
        self._waiting: deque[list[Outgoing]] = deque()  # claimed, and no bind had room: rare, a window at most
        self._claiming = False
        self._asked = 0  # parts, by the claim that is in flight
        self._woken = False
        self._least: int | None = (
            1  # parts of room that make a claim worth while; None: the queue is empty until somebody wakes us
        )
        self._open = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._poll: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        """Set whenever an answer, a fate or a claim has come through: who stops the link waits for it."""
        self.submitted = 0
        self.claimed = 0
        self.returned = 0
        self.late = 0
        self.timed_out = 0
        self.in_doubt = 0
        self.late_answers = 0
        self.answers_by_class: dict[StatusClass, int] = dict.fromkeys(StatusClass, 0)
        self.answers_by_status: dict[int, int] = {}

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to claim. Bears being called twice."""
        self._open = True
        if self._poll is None:
            self._poll = asyncio.create_task(self._look_regularly(), name=f"submitter {self._link.name}")

    def adjust(self) -> None:
        """The link has other rules: parts are written by them from the next claim on."""
        self._maker = PartMaker(self._link.rules)
        self._overrides = _overrides(self._link.rules)
        self.wake()

    def stop_claiming(self) -> None:
        """Take nothing new; what is claimed and not written goes back to the queue. Bears early and double calls."""
        self._open = False
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._give_back_waiting()

    def close(self) -> None:
        """Stop keeping what the store will not take."""
        self._answers.close()
        self._fates.close()

    @property
    def settled(self) -> bool:
        """Whether nothing claimed is unwritten and every answer and fate is stored."""
        return not self._claiming and not self._waiting and self._answers.idle and self._fates.idle

    # --- claiming ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to send: a batch was accepted, a bind stands. Cheap; may be called for nothing."""
        self._least = 1
        self._woken = True
        self._pump()

    def _pump(self) -> None:
        """Write what waits, then claim as much as there is room for, unless a claim is on its way."""
        if self._waiting:
            self._write_waiting()
        if not self._open or self._claiming or self._waiting or self._least is None:
            return
        if self._answers.failing or self._fates.failing:
            return
        room = self._link.free_window()
        if room < self._least:
            return  # answers, or a bind that stands, come back here
        parts = self._link.allowance(room)
        if parts <= 0:
            self._pump_in(self._link.ready_in_s())
            return
        self._claiming, self._woken = True, False
        future = self._store.claim_messages(self._link.name, parts, self._clock.now())
        self._asked = parts
        future.add_done_callback(self._on_claimed)

    def _on_claimed(self, future: "asyncio.Future[list[Claimed]]") -> None:
        self._claiming = False
        self.changed.set()
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            if not isinstance(error, StoreUnavailable):
                self._link.log.error("service.failed", service="submitter", exc_info=error)
            self._pump_in(STORE_PAUSE_S)
            return
        messages = future.result()
        if messages:
            late_before = self.late
            left = self._asked - self._take(messages)
            if self.late - late_before == len(messages):
                self._least = None  # the sweeper has to end these first; to ask at once would bring them again
                self._pump_in(POLL_S)
                return
            if not self._woken:
                # Who got less than he asked for has seen the end of the queue, but for messages with more parts than
                # that, and for accounts beyond those that one claim goes over.
                more = left > 0 and len({one.account_id for one in messages}) >= MOST_QUEUES
                self._least = 1 if more else max(left, 0) + 1
            self._pump()
        elif self._woken:
            self._pump()
        else:
            self._least = None

    def _take(self, messages: Sequence[Claimed]) -> int:
        """Make submit_sm of claimed messages and write them; returns how many parts were claimed."""
        now = self._clock.now()
        make, waiting = self._maker.make, self._waiting
        parts = 0
        late: list[PartKey] = []
        for message in messages:
            parts += len(message.todo)
            if message.expire_at <= now:
                self.late += 1
                late.extend(_keys(message))
                continue
            try:
                waiting.append(make(message, now))
            except Unsendable as error:
                self._refuse(message, error.command_status, now)
            except Exception:  # the top of this loop: one message that we cannot write must not hold up the others
                self._link.log.exception("service.failed", service="submitter", message_id=message.message_id)
                self._refuse(message, CommandStatus.ESME_RINVCMDLEN, now)
        self.claimed += parts
        if late:  # R58: not sent any more. Back they go, and the sweeper ends them
            self._give_back_keys(late)
        if not self._open or not self._link.can_send:
            self._give_back_waiting()
        self._write_waiting()
        return parts

    def _refuse(self, message: Claimed, command_status: int, now: int) -> None:
        """What no submit_sm can carry is refused as the SMSC would refuse it."""
        name = status_name(command_status)
        self._link.log.warning("submit.refused", message_id=message.message_id, command_status=name)
        self._answers.put([SubmitAnswer(key, now, command_status, "") for key in _keys(message)])

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write_waiting(self) -> None:
        """Write claimed messages, each whole on one bind, as far as windows, rate and slowdown allow."""
        link = self._link
        while self._waiting:
            free, bind = _roomiest(link.senders)
            if free <= 0:
                return
            allowed = link.allowance(free)
            if allowed <= 0:
                self._pump_in(link.ready_in_s())
                return
            parts = self._next_parts(free, allowed)
            if not parts:
                return
            self._write(bind, parts)

    def _next_parts(self, free: int, allowed: int) -> list[Outgoing]:
        """Take whole messages that wait: ``allowed`` parts, or one message with more if the window has the room for it.

        One that is longer than the window itself goes when the window is empty; its rest follows as slots come free.
        """
        waiting = self._waiting
        parts = waiting[0]
        if len(parts) > free and free < self._link.config.window:
            return []
        waiting.popleft()
        if len(parts) < allowed and waiting:
            parts = list(parts)
            while waiting and len(parts) + len(waiting[0]) <= allowed:
                parts += waiting.popleft()
        return parts

    def _write(self, bind: Bind, parts: list[Outgoing]) -> None:
        before = bind.in_flight
        try:
            bind.write(parts)
        except (NotAllowed, WindowFull):
            self._take_back(bind, parts[bind.in_flight - before :])
        self.submitted += bind.in_flight - before
        self._link.pacer.sent(len(parts), self._clock.monotonic())

    def _take_back(self, bind: Bind, parts: Sequence[Outgoing]) -> None:
        bind.forget(parts)
        self._give_back(parts)

    # --- what the SMSC said ------------------------------------------------------------------------------------------

    def on_answered(self, bind: Bind, events: Sequence[SubmitAnswered]) -> None:
        """Keep the answers of one socket read for the store, and use the freed slots."""
        now = self._clock.now()
        answers: list[SubmitAnswer] = []
        accepted = 0
        for token, command_status, smsc_message_id, late in events:
            part = cast("Outgoing", token)
            if late:
                self.late_answers += 1
                self._link.log.info("submit.answered_late", message_id=part.keys[0].message_id)
            if command_status:
                answers.extend(self._judge(bind, part, command_status, now, late))
                continue
            accepted += 1
            for key in part.keys:
                answers.append(SubmitAnswer(key, now, 0, smsc_message_id))
        if accepted:
            self._count(StatusClass.OK, 0, accepted)
        self._answers.put(answers)
        if bind.backlog:
            self.submitted += bind.write_backlog()
        self._pump()

    def _count(self, kind: StatusClass, command_status: int, answers: int = 1) -> None:
        self.answers_by_class[kind] += answers
        self.answers_by_status[command_status] = self.answers_by_status.get(command_status, 0) + answers

    def _judge(self, bind: Bind, part: Outgoing, command_status: int, now: int, late: bool) -> list[SubmitAnswer]:
        """What a refusal means for its part, its bind and its link (docs/smpp.md 1.8; R11)."""
        kind = classify(command_status, self._overrides)
        if command_status == CommandStatus.ESME_RUNKNOWNERR and part.attempts >= _UNKNOWN_ERROR_TRIES:
            kind = StatusClass.PERMANENT
        self._count(kind, command_status)
        log = self._link.log
        message_id = part.keys[0].message_id
        if kind is StatusClass.PERMANENT:
            log.info("submit.refused", message_id=message_id, command_status=status_name(command_status))
            self._drop_rest(bind, message_id)
            return [SubmitAnswer(key, now, command_status, "") for key in part.keys]
        throttled = command_status in _THROTTLES
        if throttled:
            alone = self._offenders.blame(part.keys[0], self.answers_by_class[StatusClass.OK])
            self._link.throttled(command_status, slows=not alone)
        elif kind is StatusClass.BIND:
            bind.drain(f"the SMSC answers {status_name(command_status)}")
        log.info("submit.postponed", message_id=message_id, command_status=status_name(command_status))
        pause_s = self._link.config.throttle_pause_s
        retry_at = now + refusal_delay_ms(part.attempts, throttled=throttled, throttle_pause_s=pause_s)
        self._look_at(retry_at)
        return [SubmitAnswer(key, now, command_status, "", True, retry_at, late) for key in part.keys]

    def _drop_rest(self, bind: Bind, message_id: str) -> None:
        """Parts of a refused message that have not left are not sent (R38)."""
        if bind.backlog:
            self._take_back(bind, [part for part in bind.backlog if part.keys[0].message_id == message_id])

    def on_timed_out(self, tokens: Sequence[object]) -> None:
        """No answer in time: in doubt until an answer (R7), a receipt (R33) or an operator decides (R12)."""
        self.timed_out += len(tokens)
        self._doubt(tokens)
        self._pump()

    def on_lost(self, written: Sequence[object], unwritten: Sequence[Outgoing]) -> None:
        """A connection is gone: what it had written is in doubt, what it had not goes back to the queue."""
        if written:
            self._doubt(written)
        self._give_back(unwritten)
        if not self._link.can_send:
            self._give_back_waiting()

    def _doubt(self, tokens: Sequence[object]) -> None:
        keys = [key for token in tokens for key in cast("Outgoing", token).keys]
        self.in_doubt += len(keys)
        self._link.log.warning("submit.in_doubt", count=len(keys))
        self._fates.put([SubmitFate(key, True) for key in keys])

    def _give_back_waiting(self) -> None:
        self._give_back([part for message in self._waiting for part in message])
        self._waiting.clear()

    def _give_back(self, parts: Sequence[Outgoing]) -> None:
        self._give_back_keys([key for part in parts for key in part.keys])

    def _give_back_keys(self, keys: list[PartKey]) -> None:
        if keys:
            self.returned += len(keys)
            self._fates.put([SubmitFate(key, False) for key in keys])

    # --- the store ---------------------------------------------------------------------------------------------------

    def _write_answers(self, batch: list[SubmitAnswer]) -> "asyncio.Future[None]":
        return self._store.record_answers(self._link.name, self._link.group, batch)

    def _write_fates(self, batch: list[SubmitFate]) -> "asyncio.Future[None]":
        return self._store.record_fates(batch, self._clock.now())

    def _stored(self) -> None:
        self.changed.set()
        self._pump()

    # --- time --------------------------------------------------------------------------------------------------------

    def _look_at(self, at: int) -> None:
        """Look into the queue again at this instant (ms UTC): something falls due."""
        self._pump_in(max(0.0, (at - self._clock.now()) / 1000))

    def _pump_in(self, seconds: float) -> None:
        """Look again after ``seconds``; an earlier appointment stands."""
        if not self._open:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.wake()

    async def _look_regularly(self) -> None:
        """Find what nobody announced: messages whose time came, and those that other processes accepted."""
        while True:
            wait_s = self._poll_s
            try:
                due_at = await self._store.next_due_at(self._link.name)
                if due_at is not None:
                    wait_s = min(wait_s, max(0.0, (due_at - self._clock.now()) / 1000))
                    if not wait_s:
                        wait_s = self._poll_s
                        self.wake()
            except StoreUnavailable:
                pass
            except Exception:  # the top of this service: the next look comes all the same
                self._link.log.exception("service.failed", service="submitter")
            await asyncio.sleep(wait_s)


def _roomiest(binds: Sequence[Bind]) -> tuple[int, Bind]:
    """The bind with the most free slots, the first of equals, and how many they are."""
    most, best = -1, binds[0]
    for bind in binds:
        free = bind.free
        if free > most:
            most, best = free, bind
    return most, best


def _keys(message: Claimed) -> list[PartKey]:
    return [PartKey(message.message_id, number) for number in message.todo]


def _overrides(rules: LinkRules) -> dict[int, StatusClass]:
    return {status: _OVERRIDE[kind] for status, kind in rules.status_overrides.items()}
