"""What is kept of callbacks once they were tried, for people who look, ask again, or read what they missed (P14).

``CallbackView`` is a callback as it stands (each try of it an ``Attempt`` of ``kvitto.core.model``), ``Replay`` a piece
of work that makes many due again, ``EventPage`` everything that changed, in the order of the commits.

Must not know: HTTP, SQL, vendors. Next: ``kvitto.store.callbackapi``.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from kvitto.core.model import CallbackState, MessageView

__all__ = [
    "KEPT_ANSWER_BYTES",
    "CallbackFilter",
    "CallbackPage",
    "CallbackTry",
    "CallbackView",
    "CursorRefused",
    "EventPage",
    "EventView",
    "NewReplay",
    "Replay",
    "ReplayState",
]

KEPT_ANSWER_BYTES: Final = 4096
"""How much of an answer's body is kept."""


class CallbackView(NamedTuple):
    """A callback as it stands. ``tells``: "message", "summary" or "full"; ``message_id`` and ``status`` with the first
    only. ``next_attempt_at``: None when it is finished. ``attempts``: those of the current round of its schedule.
    ``endpoint``: the number of ``kvitto.core.endpoint``. ``leased``: being posted now.
    """

    id: int
    account_id: str
    endpoint: int
    batch_id: str
    message_id: str | None
    status: str | None
    tells: str
    dialect: str
    url: str
    state: CallbackState
    created_at: int
    attempts: int
    next_attempt_at: int | None
    first_failed_at: int | None
    last_at: int | None
    last_status_code: int | None
    last_error: str | None
    last_elapsed_ms: int | None
    leased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFilter:
    """Which callbacks are meant; instants compare with ``created_at`` (since inclusive, until exclusive)."""

    account_id: str | None = None
    endpoint: int | None = None
    states: tuple[CallbackState, ...] = ()
    since_at: int | None = None
    until_at: int | None = None
    message_id: str | None = None


class CallbackTry(NamedTuple):
    """One try of a callback, as a customer looks it up. ``message_id`` and ``status``: None for a batch's end.

    ``next_attempt_at``: when the callback is tried again; None where a later try was made or is being made, or none
    will be.
    """

    callback_id: int
    message_id: str | None
    batch_id: str
    status: str | None
    at: int
    status_code: int | None
    error: str | None
    elapsed_ms: int
    next_attempt_at: int | None
    url: str


class CallbackPage(NamedTuple):
    """A page, newest first. ``cursor``: where the next begins, None at the end; a page may be short, even empty, and
    have a cursor: only so many rows are looked at for one page.
    """

    callbacks: list[CallbackView]
    cursor: int | None


class ReplayState(StrEnum):
    """Where a replay stands."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class NewReplay(NamedTuple):
    """What to tell again. ``filter``: as of now; callbacks made after ``now`` are not meant. ``rate``: a second."""

    filter: CallbackFilter
    rate: float
    now: int


class Replay(NamedTuple):
    """Callbacks that are made due again, step by step; survives restarts. ``cursor``: the last one looked at;
    ``last_id``: the last one that is meant; ``replayed``: made due so far; ``skipped``: were being posted just then.
    """

    id: int
    account_id: str | None
    endpoint: int | None
    states: tuple[CallbackState, ...]
    since_at: int | None
    until_at: int | None
    rate: float
    created_at: int
    state: ReplayState
    first_id: int
    cursor: int
    last_id: int
    replayed: int
    skipped: int
    next_at: int


class EventView(NamedTuple):
    """One change of a message's status: ``seq`` rises with each change of a message; ``cursor`` comes after it."""

    seq: int
    cursor: str
    view: MessageView


class CursorRefused(StrEnum):
    """Why a cursor leads nowhere."""

    MALFORMED = "malformed"
    AHEAD = "ahead"  # of everything that was ever stored here: it is of another database, or of a newer copy of this


class EventPage(NamedTuple):
    """Changes in the order of their commits. ``cursor``: to go on from; ``more``: whether there is more already.

    Nothing is skipped: what was not committed when a page was read comes after its cursor.
    """

    events: list[EventView]
    cursor: str
    more: bool
