"""All lanes of the sender, and what is known of endpoints that have none: which have callbacks due in the store, which
must not be handed any (P12, P13).

``full`` endpoints' callbacks stay in the store when they are made; ``ready`` ones have some due there. An endpoint is
full because its lane has no room, because its breaker is open, or because it is disabled. ``book`` holds what is
written of endpoints that were ever set, failed or were disabled; it is read again every second, as other processes and
people write there too.

Must not know: posting, the store. Next: ``kvitto.callbacks.outbox``, which moves callbacks between these.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kvitto.callbacks.claims import Candidate, room_of
from kvitto.callbacks.lanes import Lane
from kvitto.core.endpoint import Endpoint, EndpointHealth, EndpointState, origin_of
from kvitto.core.model import CallbackDue

__all__ = ["Board", "OutboxLimits"]

LANES: Final = 4096
"""Lanes remembered; above, those at rest are forgotten."""
SETTLE: Final = 64
"""Asked for at least when a lane is settling: it posts nothing until that is over."""
CHANGED_OVERLAP_MS: Final = 10_000
"""Other processes' clocks, and their commits, may be behind by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """The bounds of the sender."""

    in_hand: int = 20_000
    """Callbacks in memory, about 2 KiB each; more wait in the store."""
    waiting: int = 2_000
    """Callbacks of one endpoint that wait in memory; ``slow_waiting`` for each once half of ``in_hand`` is taken."""
    per_endpoint: int = 16
    """Posts in flight to one endpoint, and connections to it, where it has no bound of its own."""
    in_flight: int = 1024
    """Posts in flight over all endpoints: about as many sockets."""
    slow_ms: int = 1000
    """An answer that takes longer counts as slow; see ``slow_waiting``."""
    slow_waiting: int = 128
    """Callbacks that may wait in hand for an endpoint that has lately been slow only; about what 16 posts of 10 s each
    can carry within a lease. The others are given back to the store."""
    poll_s: float = 1.0
    """The outbox is looked at this often: hand-overs may be lost. As often it is told how endpoints fare."""
    account_s: float = 1.0
    """An account's settings are used this long before they are looked up again."""
    stop_s: float = 10.0
    """How long a stop waits for posts in flight (P28)."""


class Board:
    """See the module."""

    def __init__(self, limits: OutboxLimits) -> None:
        self._limits = limits
        self.lanes: dict[int, Lane] = {}
        self.book: dict[int, Endpoint] = {}
        self.ready: set[int] = set()
        self.full: set[int] = set()
        self.touched: set[Lane] = set()
        """Lanes with something to tell of how they fare."""
        self._book_at = 0

    @property
    def changed_since(self) -> int:
        """From when on changes are to be read (ms UTC)."""
        return max(1, self._book_at - CHANGED_OVERLAP_MS)

    def lane_of(self, due: CallbackDue) -> Lane:
        """Make the lane that a callback goes to, as it was when something was last written of it."""
        if len(self.lanes) >= LANES:
            self.lanes = {number: one for number, one in self.lanes.items() if not one.at_rest}
        lane = Lane(due.endpoint, due.account_id, origin_of(due.url), self._limits.per_endpoint)
        known = self.book.get(due.endpoint)
        if known is not None and known.account_id == due.account_id:
            lane.set(known, self._limits.per_endpoint)
            lane.resume_as(known)
        lane.spilled = due.endpoint in self.full
        self.lanes[due.endpoint] = lane
        return lane

    def spill(self, lane: Lane) -> None:
        """From now on its callbacks wait in the store, until all that waits there has been claimed."""
        lane.spilled = True
        self.full.add(lane.id)
        self.ready.add(lane.id)

    def most_waiting(self, lane: Lane, in_hand: int) -> int:
        """How many callbacks may wait in the lane, with so many in hand over all."""
        limits = self._limits
        crowded = in_hand * 2 > limits.in_hand
        return lane.most_waiting(limits.slow_waiting if crowded else limits.waiting, limits.slow_waiting)

    def is_probe(self, lane: Lane, now: int) -> bool:
        """Whether what comes now is the one callback that a breaker lets through."""
        probe_at = lane.watch.probe_at
        if lane.disabled_at is not None or lane.waiting or lane.in_flight:
            return False
        return probe_at is not None and probe_at <= now

    def candidates(self, in_hand: int, now: int) -> list[Candidate]:
        """The endpoints to claim from, with the room that each has."""
        return [self._candidate(endpoint, in_hand, now) for endpoint in self.ready]

    def _candidate(self, endpoint: int, in_hand: int, now: int) -> Candidate:
        lane = self.lanes.get(endpoint)
        if lane is None:
            return Candidate(endpoint, room_of(endpoint, self.book, now, self._limits.waiting), 0)
        own = len(lane.waiting) + lane.in_flight
        if lane.held:
            return Candidate(endpoint, int(self.is_probe(lane, now)), own)
        room = self.most_waiting(lane, in_hand) - len(lane.waiting)
        if lane.settling:
            return Candidate(endpoint, max(room, SETTLE), own)
        return Candidate(endpoint, room if room >= len(lane.waiting) else 0, own)

    def claimed(self, endpoint: int, *, drained: bool) -> Lane | None:
        """See what is left of it in the store; returns the lane if it may post again.

        When nothing is left, callbacks are handed over again; but what a transaction wrote just then is claimed before
        any of them goes out: the store is asked once more, and until then the lane settles.
        """
        lane = self.lanes.get(endpoint)
        if lane is None or not lane.spilled or lane.held:
            if drained:
                self.ready.discard(endpoint)
            return None
        if drained and not lane.settling:
            lane.settling = True
            self.full.discard(endpoint)
            return None
        if drained:
            self.ready.discard(endpoint)
            lane.spilled = False
        elif lane.settling:
            self.spill(lane)
        lane.settling = False
        return lane

    def turn_pages(self, changed: Iterable[Endpoint]) -> list[Lane]:
        """Use settings as they now are, be disabled or enabled as somebody has said; returns lanes that are held."""
        held = []
        for one in changed:
            self._book_at = max(self._book_at, one.changed_at)
            if one == self.book.get(one.id):
                continue
            self.book[one.id] = one
            lane = self.lanes.get(one.id)
            if lane is None:
                waits = one.state in (EndpointState.DISABLED, EndpointState.OPEN)
                (self.full.add if waits else self.full.discard)(one.id)
            elif lane.account_id == one.account_id:
                switched = one.switches != lane.switches
                lane.set(one, self._limits.per_endpoint)
                if switched or lane.disabled_at is None or one.changed_at >= lane.disabled_at:
                    lane.disable_as(one, switched=switched)
                if lane.held:
                    held.append(lane)
                elif lane.spilled:
                    self.ready.add(one.id)
        return held

    def health(self, now: int) -> list[EndpointHealth]:
        """What there is to tell of endpoints since the last time."""
        seen = [health for lane in self.touched if (health := lane.health(now)) is not None]
        self.touched.clear()
        return seen

    def count_states(self) -> dict[str, int]:
        """How many endpoints stand how, healthy ones as far as they are busy."""
        counts = dict.fromkeys(map(str, EndpointState), 0)
        states = {number: one.state for number, one in self.book.items()}
        for state in {**states, **{number: lane.state for number, lane in self.lanes.items()}}.values():
            counts[state] += 1
        return counts
