"""Which callbacks share a call: those of one dialect that it says may go together, as many as it takes.

Nothing waits to be joined: what is due at the same time and finds no free place at its endpoint has company by itself.
A call that fails is tried again as it was: its callbacks keep together under one number (``bundle``), and those that
were tried alone stay alone. So a receiver sees the same body again.

Must not know: how a call is made, what its body says. Next: ``kvitto.callbacks.outbox``.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from kvitto.core.model import Account, CallbackDue
from kvitto.dialects.base import Voice

__all__ = ["LOOK_AT", "take_mates"]

LOOK_AT: Final = 4
"""Callbacks looked at for each place in the call: among callbacks to several URLs of one endpoint the search ends."""


class _Waiting(Protocol):
    """A callback in hand."""

    due: CallbackDue
    over: bool


_Job = TypeVar("_Job", bound=_Waiting)


def take_mates(waiting: "deque[_Job]", first: CallbackDue, dialect: Voice, account: Account) -> list[_Job]:
    """Take out of ``waiting`` what goes with ``first`` in one call, in order; the others keep their places."""
    if first.bundle is not None:
        bundle = first.bundle
        return _pick(waiting, lambda due: due.bundle == bundle, len(waiting), len(waiting))
    if first.attempts:
        return []
    key = dialect.together(first)

    def fits(due: CallbackDue) -> bool:
        return (
            due.bundle is None
            and not due.attempts
            and due.dialect == first.dialect
            and dialect.together(due) == key
            and account.wants(due.facts)
            and dialect.tells(due, account)
        )

    most = dialect.most_per_callback - 1
    return _pick(waiting, fits, most, most * LOOK_AT)


def _pick(waiting: "deque[_Job]", fits: Callable[[CallbackDue], bool], most: int, look_at: int) -> list[_Job]:
    mates: list[_Job] = []
    others: list[_Job] = []
    while waiting and len(mates) < most and look_at > 0:
        look_at -= 1
        job = waiting.popleft()
        (mates if not job.over and fits(job.due) else others).append(job)
    waiting.extendleft(reversed(others))
    return mates
