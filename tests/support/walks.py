"""Random walks through the status machine, and what the rules say should come of them, told in other words (P4).

A walk is a list of moves: (kind, part number). The moves are facts as links and time bring them; ``claim`` is what the
store does between them. ``Oracle`` is a second, slower reading of docs/status.md section 2 and of R38 to R46
(``settled`` is R39's silence): it keeps what each part was told and derives the rest. It shares no code with
``kvitto.core.status`` but its words.
"""

from typing import NamedTuple

from kvitto.core.status import (
    Answered,
    Event,
    InDoubt,
    Message,
    PartRecord,
    PartsSettled,
    PartState,
    Reason,
    ReceiptRead,
    Refused,
    Status,
    WaitOver,
    Withdrawn,
)

__all__ = ["FAILING", "FINALS", "KINDS", "OF_ALL", "Oracle", "Step", "event_of", "fresh", "with_claim"]

FINALS = {
    "delivered": (Status.DELIVERED, Reason.DELIVERED),
    "failed": (Status.FAILED, Reason.UNDELIVERABLE),
    "expired": (Status.EXPIRED, Reason.VALIDITY_SMSC),
    "deleted": (Status.DELETED, Reason.DELETED_SMSC),
    "rejected": (Status.REJECTED, Reason.REJECTED_SMSC),
    "unknown": (Status.UNKNOWN, Reason.SMSC_UNKNOWN),
    "unreadable": (Status.UNKNOWN, Reason.UNREADABLE),
}
ON_THE_WAY = {
    "enroute": Reason.ENROUTE,
    "accepted_smsc": Reason.OPERATOR_ACCEPTED,
    "retrying_smsc": Reason.RETRYING_SMSC,
}
OF_A_PART = ("answer", "refuse", "throttle", "doubt", *ON_THE_WAY, *FINALS)
OF_ALL = ("claim", "cancel", "expire", "wait_over", "settled")
KINDS = OF_A_PART + OF_ALL
FAILING = frozenset({Status.FAILED, Status.EXPIRED, Status.DELETED, Status.REJECTED})


class Step(NamedTuple):
    """One fact: its kind, the part it is about (1 for those about all), and when (ms)."""

    kind: str
    part: int
    at: int


def event_of(step: Step) -> Event | None:
    """The machine's event; None for a claim."""
    kind, part, at = step
    if kind in FINALS:
        status, reason = FINALS[kind]
        return ReceiptRead(part, at, status, reason, at, f"{part:03}")
    if kind in ON_THE_WAY:
        return ReceiptRead(part, at, Status.DISPATCHED, ON_THE_WAY[kind])
    simple: dict[str, Event] = {
        "answer": Answered(part, at),
        "refuse": Refused(part, at, 0x0B, False),
        "throttle": Refused(part, at, 0x58, True),
        "doubt": InDoubt(part, at),
        "cancel": Withdrawn(at, Status.CANCELLED, Reason.CANCELLED),
        "expire": Withdrawn(at, Status.EXPIRED, Reason.VALIDITY_LOCAL),
        "wait_over": WaitOver(at),
        "settled": PartsSettled(at),
    }
    return simple.get(kind)


def fresh(parts: int) -> Message:
    """A message whose parts have just been written."""
    written = tuple(
        PartRecord(part, PartState.WRITTEN, Status.QUEUED, Reason.IN_FLIGHT) for part in range(1, parts + 1)
    )
    return Message(Status.QUEUED, Reason.IN_FLIGHT, 0, written)


def with_claim(message: Message) -> Message:
    """A link takes the waiting parts again, as the store does it; only while the message waits."""
    if message.status is not Status.QUEUED:
        return message
    parts = tuple(
        part._replace(state=PartState.WRITTEN, reason=Reason.IN_FLIGHT) if part.state is PartState.WAITING else part
        for part in message.parts
    )
    return message if parts == message.parts else message._replace(parts=parts, reason=Reason.IN_FLIGHT)


class Oracle:
    """What the rules say of a walk: ``status``, the statuses entered so far (``story``), and the parts."""

    def __init__(self, parts: int) -> None:
        self.status = Status.QUEUED
        self.story: list[Status] = []
        self.corrections = 0
        self._where = ["written"] * parts
        self._ends: list[Status | None] = [None] * parts
        self._failed: list[Status] = []  # in the order they happened
        self._by_us = False

    def copy(self) -> "Oracle":
        """Another that knows the same."""
        other = Oracle(0)
        other.status, other.corrections, other._by_us = self.status, self.corrections, self._by_us
        other.story, other._where = [*self.story], [*self._where]
        other._ends, other._failed = [*self._ends], [*self._failed]
        return other

    @property
    def knows(self) -> tuple[object, ...]:
        """All that decides what it will say next."""
        return (self.status, self._by_us, *self.story, None, *self._where, *self._ends, *self._failed[:1])

    def tell(self, step: Step) -> None:
        """Take one fact."""
        kind, part = step.kind, step.part - 1
        if kind == "claim":
            if self.status is Status.QUEUED:
                self._where = ["written" if where == "waiting" else where for where in self._where]
        elif kind == "cancel":
            if self.status is Status.QUEUED and set(self._where) == {"waiting"}:
                self._go(Status.CANCELLED)
        elif kind == "expire":
            if self.status is Status.QUEUED and "waiting" in self._where:
                self._by_us = True
                self._go(Status.EXPIRED)
        elif kind == "wait_over":
            if self.status in (Status.QUEUED, Status.DISPATCHED):
                self._go(Status.UNKNOWN)
        elif kind == "settled":
            whole = set(self._where) == {"smsc"} and Status.DELIVERED in self._ends and not self._failed
            if whole and self.status in (Status.QUEUED, Status.DISPATCHED):
                self._go(Status.DELIVERED)
        else:
            self._tell_part(kind, part)
            self._derive()

    def _tell_part(self, kind: str, part: int) -> None:
        where = self._where[part]
        if kind == "answer":
            self._where[part] = where if where == "refused" else "smsc"
        elif kind == "throttle":
            self._where[part] = where if where in ("refused", "smsc") else "waiting"
        elif kind == "doubt":
            self._where[part] = "doubt" if where == "written" else where
        elif kind == "refuse":
            if where not in ("refused", "smsc"):
                self._where[part] = "refused"
                self._end(part, Status.REJECTED)
        elif where != "refused":
            self._where[part] = "smsc"
            if kind in FINALS:
                self._end(part, FINALS[kind][0])

    def _end(self, part: int, end: Status) -> None:
        known = self._ends[part]
        if known is None or (known is Status.UNKNOWN and end is not Status.UNKNOWN):
            self._ends[part] = end
            if end in FAILING:
                self._failed.append(end)

    def _derive(self) -> None:
        if self._failed:
            self._go(self._failed[0])
        elif all(end is Status.DELIVERED for end in self._ends):
            self._go(Status.DELIVERED)
        elif all(end is not None for end in self._ends):
            self._go(Status.UNKNOWN)
        elif all(where == "smsc" for where in self._where):
            self._go(Status.DISPATCHED)

    def _go(self, new: Status) -> None:
        old = self.status
        open_now = old is Status.QUEUED or (old is Status.DISPATCHED and new is not Status.DISPATCHED)
        ours = old is Status.UNKNOWN or (old is Status.EXPIRED and self._by_us)
        corrects = ours and new not in (Status.DISPATCHED, Status.UNKNOWN) and new is not old
        if open_now or corrects:
            self._by_us = self._by_us and not corrects
            self.corrections += corrects
            self.status = new
            self.story.append(new)
