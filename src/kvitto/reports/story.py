"""One message's timeline: what happened when, each step with what belongs to it, and the rule that caused it. Pure.

Next: ``kvitto.store.verbs.lookup`` (``FullMessage``), ``docs/rules.md`` (the rules).
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kvitto.core.receipt import LinkRules
from kvitto.core.status import FINAL, PartState, Reason, Status
from kvitto.core.words import SENTENCES, TITLES, describe_error
from kvitto.smpp.records import read_pdu_line
from kvitto.store.office import FullMessage

__all__ = ["RULES", "Step", "read_receipt", "shown_value", "timeline"]

_READ_FIELDS: Final = (
    "message_id",
    "stat_raw",
    "message_state",
    "status",
    "reason",
    "err",
    "network_error",
    "done_date",
    "text",
)

RULES: Final[Mapping[Reason, str]] = {
    Reason.VALIDITY_LOCAL: "R58",
    Reason.NO_RECEIPT: "R44",
    Reason.NOT_ACKNOWLEDGED: "R12",
    Reason.RETRYING: "R11",
    Reason.SUBMIT_REFUSED: "R11",
    Reason.UNREADABLE: "R22",
    Reason.DELIVERED: "R38",
    Reason.UNDELIVERABLE: "R38",
    Reason.SKIPPED: "R38",
    Reason.VALIDITY_SMSC: "R38",
    Reason.DELETED_SMSC: "R38",
    Reason.REJECTED_SMSC: "R38",
    Reason.SMSC_UNKNOWN: "R38",
}
"""The rule of docs/rules.md by which a reason comes about, where one does."""

_OUTCOMES: Final[Mapping[str, str]] = {
    "matched": "matched to this message",
    "duplicate": "a repetition; changes nothing",
    "conflict": "says something else than an earlier final receipt; the first stands",
    "late": "came after the end that we had set; corrects it",
    "adopted": "fits a submit that was never answered; adopted",
    "assigned": "given to this message by an operator",
}


class Step(NamedTuple):
    """One line of the timeline. ``facts``: names and values; ``raw``: the PDU in hex; ``rule``: of docs/rules.md;
    ``status``: that the message came to by it.
    """

    at: int
    kind: str
    title: str
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    raw: str = ""
    rule: str = ""
    callback_id: int | None = None
    status: Status | None = None


def timeline(message: FullMessage) -> list[Step]:
    """Tell a message's story in the order of time."""
    steps = [_admission(message), *_parts(message), *_receipts(message), *_events(message), *_callbacks(message)]
    return [step for _, step in sorted(enumerate(steps), key=lambda pair: (pair[1].at, pair[0]))]


def _admission(message: FullMessage) -> Step:
    row = message.row
    facts = [("Dialect", row.dialect), ("Sender", row.sender or "none"), ("Parts", str(row.parts))]
    if row.reference:
        facts.append(("Reference", row.reference))
    return Step(
        row.created_at, "request", "Accepted", "The request was stored, then answered.", tuple(facts), rule="P1"
    )


def _parts(message: FullMessage) -> list[Step]:
    steps = []
    for part in message.parts:
        name = f"Part {part.part_no}" if message.row.parts > 1 else "Message"
        steps.append(Step(part.written_at, "submit", f"{name} written to link {part.link}", "submit_sm"))
        if part.answered_at is not None:
            facts = (("message_id", part.smsc_message_id or ""),)
            steps.append(Step(part.answered_at, "response", f"{name} taken by the SMSC", "submit_sm_resp", facts))
        elif part.state is PartState.REFUSED:
            at = max(part.written_at, message.row.since_at)
            steps.append(Step(at, "response", f"{name} refused by the SMSC", describe_error(part.error), rule="R11"))
        elif part.state is PartState.IN_DOUBT:
            text = "The link or this server went away before an answer came."
            steps.append(Step(part.written_at, "doubt", f"{name} in doubt", text, rule="R12"))
    return steps


def _receipts(message: FullMessage) -> list[Step]:
    steps = []
    for one in message.receipts:
        title = f"Receipt on link {one.link}" + (f" for part {one.part_no}" if message.row.parts > 1 else "")
        text = _OUTCOMES.get(one.outcome, one.outcome) + (f" (level {one.level} of R26)" if one.level else "")
        facts = read_receipt(one.raw, one.received_at)
        steps.append(Step(one.received_at, "receipt", title, text, facts, one.raw, "R26"))
    return steps


def read_receipt(raw: str, received_at: int) -> tuple[tuple[str, str], ...]:
    """What we read in a receipt's PDU (hex), as names and values."""
    read: Mapping[str, Any] = read_pdu_line(raw, LinkRules(), received_at)
    return tuple((name, shown_value(read[name])) for name in _READ_FIELDS if read.get(name) not in (None, ""))


def shown_value(value: object) -> str:
    """A value that was read, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items() if one is not None)
    return str(value)


def _events(message: FullMessage) -> list[Step]:
    steps = []
    for one in message.events:
        error = describe_error(one.error)
        facts = (("Error", error),) if error else ()
        title = f"{TITLES[one.status]} ({one.reason})"
        steps.append(
            Step(
                one.at,
                "status",
                title,
                SENTENCES[one.status, one.reason],
                facts,
                rule=RULES.get(one.reason, ""),
                status=one.status,
            )
        )
    return steps + _silent_dispatch(message)


def _silent_dispatch(message: FullMessage) -> list[Step]:
    """That the SMSC took every part is kept with the parts alone, unless it was called back (docs/status.md 1)."""
    answered = [part.answered_at for part in message.parts if part.answered_at is not None]
    if any(one.status is Status.DISPATCHED for one in message.events) or len(answered) < message.row.parts:
        return []
    ends = [one.at for one in message.events if one.status in FINAL]
    if ends and max(answered) > min(ends):
        return []
    text = SENTENCES[Status.DISPATCHED, Reason.ACCEPTED]
    return [Step(max(answered), "status", f"{TITLES[Status.DISPATCHED]} (accepted)", text)]


def _callbacks(message: FullMessage) -> list[Step]:
    steps = []
    for one in message.callbacks:
        facts: list[tuple[str, str]] = [("URL", one.url), ("Dialect", one.dialect), ("Attempts", str(one.attempts))]
        if one.last_status_code is not None:
            facts.append(("Answer", f"HTTP {one.last_status_code}"))
        untold = one.state == "done" and (one.last_error or "").startswith("not told")
        if one.last_error:
            facts.append(("Why" if untold else "Problem", one.last_error))
        if one.last_elapsed_ms is not None:
            facts.append(("Took", f"{one.last_elapsed_ms} ms"))
        title = f"Callback: {'not told' if untold else _STATES.get(one.state, one.state)}"
        at = one.last_at or one.created_at
        steps.append(
            Step(
                at,
                "callback",
                title,
                f"Tells: {TITLES[Status(one.status)]}" if one.status else "Tells of the batch's end",
                tuple(facts),
                callback_id=one.id,
            )
        )
    return steps


_STATES: Final[Mapping[str, str]] = {
    "done": "acknowledged",
    "pending": "waits for its next attempt",
    "given_up": "given up",
}
