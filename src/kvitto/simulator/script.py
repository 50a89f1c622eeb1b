"""What a scenario does with each message: all chance is drawn here, at the submit, from one seeded generator.

Nothing is drawn later, when receipts are sent or answered: so the same messages in the same order meet the same fate
under the same seed, however long anything takes. Without a scenario the magic numbers decide and nothing is drawn. Must
not know: sockets, sessions, the clock. Read next: ``scenario.py`` (the keys), ``smsc.py`` (what is done with a draw).
"""

import math
import random  # noqa: TID251 -- seeded by the scenario: it must be repeatable, and nothing here is secret.
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from kvitto.simulator import scenario as told
from kvitto.simulator.numbers import Answer, Behaviour, LongText, Step, behaviour_of, is_magic
from kvitto.simulator.style import DATES, IdStyle, Style
from kvitto.smpp.pdus import SubmitSm
from kvitto.smpp.spec import Tlv

__all__ = ["Script", "style_of"]

T = TypeVar("T")

_TLVS: Final = {
    "receipted_message_id": int(Tlv.RECEIPTED_MESSAGE_ID),
    "message_state": int(Tlv.MESSAGE_STATE),
    "network_error_code": int(Tlv.NETWORK_ERROR_CODE),
}
_KINDS: Final = {
    "answer": Answer.AT_ONCE,
    "none": Answer.NEVER,
    "close": Answer.CLOSE,
    "half_open": Answer.HALF_OPEN,
}


class Script:
    """A scenario ready to be asked. ``random`` is not shared with anything else."""

    def __init__(self, scenario: told.Scenario, chance: random.Random) -> None:
        self._random = chance
        self._magic = scenario.magic_numbers
        self._rules = [(rule, _Treatment(rule)) for rule in scenario.rules]
        self._default = _Treatment(scenario.default)

    def choose(self, pdu: SubmitSm) -> Behaviour:
        """What is done with this message."""
        if self._magic and is_magic(pdu.destination_addr):
            return replace(
                behaviour_of(pdu.destination_addr), style=self._default.style, uuid=self._uuid(self._default)
            )
        for rule, treatment in self._rules:
            if _fits(rule, pdu) and (rule.share >= 1 or self._random.random() < rule.share):
                return self._draw(treatment)
        return self._draw(self._default)

    def _draw(self, treatment: "_Treatment") -> Behaviour:
        answer = self._pick(treatment.answers, treatment.answer_shares)
        receipts = treatment.said.receipts
        steps = self._pick(treatment.outcomes, treatment.outcome_shares)
        lost: tuple[Step, ...] = ()
        if self._happens(receipts.lost_share):
            steps, lost = (), steps
        if steps and self._happens(receipts.duplicate_share):
            steps += (replace(steps[-1], after_s=receipts.duplicate_after_ms / 1000),) * receipts.duplicates
        kind = _KINDS[answer.kind]
        if kind is Answer.AT_ONCE and self._happens(receipts.before_answer_share):
            kind = Answer.AFTER_RECEIPT
        delay_s = self._delay_s(receipts.delay)
        if self._happens(receipts.held_share):
            delay_s = (delay_s or 0.0) + receipts.held_ms / 1000
        return Behaviour(
            number="",
            description="",
            receipts=steps,
            refuse=answer.status,
            once=answer.once,
            answer=kind,
            answer_s=self._delay_s(answer.delay) or 0.0,
            delay_s=delay_s,
            other_bind=self._happens(receipts.other_bind_share),
            long_text=LongText.ONE_RECEIPT if receipts.one_for_all_parts else LongText.EACH_PART,
            style=treatment.style,
            uuid=self._uuid(treatment),
            lost=lost,
        )

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _pick(self, rows: Sequence[T], shares: Sequence[float]) -> T:
        return rows[0] if len(rows) == 1 else self._random.choices(rows, cum_weights=shares)[0]

    def _uuid(self, treatment: "_Treatment") -> str:
        if treatment.said.ids.kind != "uuid":
            return ""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _delay_s(self, delay: told.Delay | None) -> float | None:
        match delay:
            case told.FixedDelay():
                return delay.ms / 1000
            case told.UniformDelay():
                return (delay.min_ms + (delay.max_ms - delay.min_ms) * self._random.random()) / 1000
            case told.LognormalDelay():
                drawn_ms = self._random.lognormvariate(math.log(delay.median_ms), delay.sigma)
                return min(drawn_ms, delay.max_ms) / 1000
        return None


class _Treatment:
    """One treatment with what can be worked out beforehand."""

    def __init__(self, said: told.Treatment) -> None:
        self.said = said
        self.style = style_of(said)
        self.answers = said.answers
        self.answer_shares = list(accumulate(row.share for row in said.answers))
        self.outcomes = [tuple(_step(step) for step in row.receipts) for row in said.outcomes]
        self.outcome_shares = list(accumulate(row.share for row in said.outcomes))


def _fits(rule: told.Rule, pdu: SubmitSm) -> bool:
    number = pdu.destination_addr.removeprefix("+")
    return (
        (not rule.prefix or number.startswith(rule.prefix))
        and (not rule.ending or number.endswith(rule.ending))
        and (not rule.sender or pdu.source_addr in rule.sender)
    )


def _step(said: told.Step) -> Step:
    state = told.STATE_OF_WORD.get(said.stat) if said.state is None else said.state
    return Step(
        stat=said.stat,
        state=None if state == "NONE" else state,
        err=said.err or None,
        network_error=said.network_error,
        after_s=said.after_ms / 1000,
        esm_class=said.esm_class,
    )


def style_of(said: told.Treatment) -> Style:
    """How ids and receipts look under this treatment."""
    ids, receipts = said.ids, said.receipts
    data_sm = receipts.carrier == "data_sm"
    textless = receipts.text_in == "nowhere"
    return Style(
        response=_id_style(ids, ids.response),
        text=_id_style(ids, ids.text),
        tlv=_id_style(ids, ids.tlv or ids.text),
        template="" if receipts.template == told.TEMPLATE else receipts.template,
        data_sm=data_sm,
        payload=not textless and (data_sm or receipts.text_in == "message_payload"),
        textless=textless,
        tlvs=frozenset(_TLVS[name] for name in receipts.tlvs),
        dates=DATES[receipts.dates],
        zone=ZoneInfo(receipts.time_zone),
        ucs2=receipts.ucs2,
        swap=receipts.swap_addresses,
        unasked=receipts.unasked,
    )


def _id_style(ids: told.Ids, form: told.IdForm) -> IdStyle:
    return IdStyle(hexadecimal=form.base == "hex", width=form.width, upper=form.upper, prefix=ids.prefix)
