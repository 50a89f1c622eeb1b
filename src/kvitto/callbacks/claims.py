"""From which endpoints the sender claims, and how much from each: fair, and never more than it can carry (P12, P13).

Pure: values in, values out. An endpoint that is disabled is left alone, one whose breaker is open gives one callback
when a probe is due, every other what its lane has room for; those with the fewest in hand come first, and none takes
more than its share while others want something too. So neither a million due callbacks of one endpoint nor ten
thousand endpoints with one each can starve anybody.

Must not know: the store. Next: ``kvitto.callbacks.outbox``.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kvitto.core.endpoint import Endpoint, EndpointState
from kvitto.store.callbackapi import Want

__all__ = ["CLAIM", "Candidate", "choose", "room_of"]

CLAIM: Final = 1000
"""Callbacks claimed at a time: their rows are read and leased in one transaction."""
ENDPOINTS: Final = 200
"""Endpoints claimed from at a time, at most."""


class Candidate(NamedTuple):
    """An endpoint with due callbacks. ``room``: how many it could take; ``in_hand``: how many it has."""

    endpoint: int
    room: int
    in_hand: int


def choose(candidates: Sequence[Candidate], room: int) -> list[Want]:
    """Say what to claim next, at most ``room`` and ``CLAIM`` together; [] when nobody can take anything."""
    asking = sorted((one for one in candidates if one.room > 0), key=lambda one: one.in_hand)[:ENDPOINTS]
    left = min(room, CLAIM)
    wants = []
    for number, one in enumerate(asking):
        share = max(1, left // (len(asking) - number))
        wanted = min(one.room, share, left)
        if wanted <= 0:
            break
        wants.append(Want(one.endpoint, wanted))
        left -= wanted
    return wants


def room_of(endpoint: int, book: Mapping[int, Endpoint], now: int, waiting: int) -> int:
    """How many callbacks an endpoint that has none in hand could take, by what is written of it."""
    known = book.get(endpoint)
    if known is None:
        return waiting
    if known.state is EndpointState.DISABLED:
        return 0
    if known.breaker.probe_at is not None:
        return 1 if known.breaker.probe_at <= now else 0
    return waiting
