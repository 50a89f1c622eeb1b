"""What a query_sm is told: the simulator's memory of what becomes of each message it accepted.

It remembers what was drawn at the submit, not what was sent: so a message whose receipt is lost can be asked for, which
is what asking is for (docs/rules.md R52). Must not know: connections, scenarios.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from kvitto.simulator.numbers import Step
from kvitto.smpp.pdus import QuerySm, QuerySmResp
from kvitto.smpp.spec import CommandStatus, MessageState

__all__ = ["Fates"]

MAX_REMEMBERED: Final = 100_000
"""Messages; then the oldest is forgotten. About 20 MB."""

_NOT_FINAL: Final = frozenset({MessageState.SCHEDULED, MessageState.ENROUTE, MessageState.ACCEPTED})


class _Fate(NamedTuple):
    source_addr: str
    steps: tuple[Step, ...]
    due: float


class Fates:
    """Message ids, as in the submit_sm_resp, with what happens to them when."""

    def __init__(self) -> None:
        self._fates: dict[str, _Fate] = {}

    def remember(self, message_id: str, source_addr: str, steps: tuple[Step, ...], due: float) -> None:
        """``due``: the first step's monotonic seconds, before its own ``after_s``."""
        self._fates[message_id] = _Fate(source_addr, steps, due)
        if len(self._fates) > MAX_REMEMBERED:
            del self._fates[next(iter(self._fates))]

    def answer(self, asked: QuerySm, now: float, now_at: int) -> QuerySmResp:
        """Tell what has happened by ``now`` (monotonic seconds; ``now_at``: the same in milliseconds UTC).

        An id that was never given, or not to this sender, is refused with 0x0C.
        """
        fate = self._fates.get(asked.message_id)
        if fate is None or fate.source_addr != asked.source_addr:
            return QuerySmResp(asked.sequence_number, CommandStatus.ESME_RINVMSGID, message_id=asked.message_id)
        told, told_s = _latest(fate, now)
        if told is None or told.state is None:
            state = MessageState.ENROUTE if told is None else MessageState.UNKNOWN
            return QuerySmResp(asked.sequence_number, message_id=asked.message_id, message_state=state)
        final = told.state not in _NOT_FINAL
        return QuerySmResp(
            asked.sequence_number,
            message_id=asked.message_id,
            final_date=_absolute(now_at - round((now - told_s) * 1000)) if final else "",
            message_state=told.state,
            error_code=_error_code(told) if final else 0,
        )


def _latest(fate: _Fate, now: float) -> tuple[Step | None, float]:
    """The last step that has happened, and when; a first end stands whatever follows, notices of attempts are none."""
    told, told_s, due = None, 0.0, fate.due
    for step in fate.steps:
        due += step.after_s
        if due > now:
            break
        if not step.notice:
            told, told_s = step, due
            if step.state not in _NOT_FINAL:
                break
    return told, told_s


def _error_code(step: Step) -> int:
    """One octet: ``err`` where it is such a number, else 0."""
    number = int(step.err) if step.err and step.err.isdecimal() else 0
    return number if number <= 0xFF else 0


def _absolute(at: int) -> str:
    """SMPP's absolute time in UTC (docs/smpp.md 1.9)."""
    tenths = at % 1000 // 100
    return f"{datetime.fromtimestamp(at // 1000, UTC):%y%m%d%H%M%S}{tenths}00+"
