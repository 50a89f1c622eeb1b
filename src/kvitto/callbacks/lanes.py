"""What the sender knows of one endpoint: its queue, its posts in flight, its settings, and how it fares.

A lane bounds three things: posts at once (``limit``, halved by a 429 and grown back by success), posts a second (its
rate, or what a receiver asked for), and how much waits in memory (``most_waiting``). What has no room in memory waits
in the outbox, and the lane is *spilled* until all of it has been claimed: so nothing overtakes what waits there (P15).

Must not know: stores, sockets. Next: ``kvitto.callbacks.outbox``; the breaker is ``kvitto.core.breaker``.
"""

import base64
from collections import deque
from collections.abc import Sequence
from typing import Final

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.callers import Caller
from kvitto.callbacks.pace import Pace
from kvitto.callbacks.post import PostRequest, header_lines
from kvitto.callbacks.signing import RESERVED
from kvitto.callbacks.tls import EndpointTls
from kvitto.core.breaker import REST, Breaker, Watch
from kvitto.core.endpoint import DisabledWhy, Endpoint, EndpointHealth, EndpointState, Profile
from kvitto.core.model import Account, CallbackDue
from kvitto.dialects.base import Voice

__all__ = ["SLOW_IN_ROW", "Job", "Lane"]

SLOW_IN_ROW: Final = 8
"""So many slow answers in a row make an endpoint slow, until one is quick."""

PAUSE_AT_MOST_S: Final = 60.0
"""How long a 429 may silence an endpoint; its callbacks' own schedule goes on beside it."""


class Job(PostRequest):
    """One callback in hand; when its turn comes it is the request that posts it, and only then has a request's fields.

    ``key``: callbacks with the same key go one after the other; ``later``: those behind this one. ``over``: its message
    has ended meanwhile, what becomes of it changes nothing. ``mates``: those that share its call.
    """

    __slots__ = ("account", "dialect", "due", "key", "lane", "later", "mates", "over", "started")

    account: Account
    dialect: Voice

    def __init__(self, due: CallbackDue, lane: "Lane", key: str) -> None:
        self.due = due
        self.lane = lane
        self.key = key
        self.later: list[Job] | None = None
        self.over = False
        self.started = False
        self.mates: Sequence[Job] = ()


class Lane:
    """One endpoint, as long as it is busy. Instants are ms UTC, ``paused_until`` monotonic seconds."""

    __slots__ = (
        "_policy",
        "_told",
        "_written",
        "account_id",
        "begun",
        "bound",
        "caller",
        "delivered",
        "disabled_at",
        "disabled_why",
        "extra_lines",
        "failed",
        "gap_s",
        "id",
        "in_flight",
        "last_error",
        "last_failed_at",
        "last_ok_at",
        "limit",
        "listed",
        "most",
        "origin",
        "pace",
        "paused_until",
        "second",
        "settings",
        "settling",
        "slow_in_row",
        "spilled",
        "standard",
        "successes",
        "tls",
        "waiting",
        "watch",
    )

    def __init__(self, number: int, account_id: str, origin: str, per_endpoint: int) -> None:
        self.id = number
        self.account_id = account_id
        self.origin = origin
        self.waiting: deque[Job] = deque()
        self.in_flight = 0
        self.limit = self.most = per_endpoint
        self.bound = per_endpoint  # of posts at once, where it has none of its own: the least that is asked for
        self.listed = False  # in the round of those that may start a post
        self.settling = False  # the rest of what was spilled is being claimed
        self.spilled = False  # some of it waits in the outbox
        self.slow_in_row = 0
        self.successes = 0  # since the limit last moved, while it is below ``most``
        self.paused_until = 0.0
        self.second = 0  # of the clock; in it ``begun`` posts were started
        self.begun = 0
        self.pace: Pace | None = None  # only while a receiver has asked for fewer requests a second
        self.gap_s = 0.0  # between two posts, by its own rate
        self.settings: Endpoint | None = None
        self.standard = False
        self.extra_lines = b""
        self.tls: EndpointTls | None = None
        self.caller: Caller | None = None
        self._policy: AddressPolicy | None = None
        self.watch = Watch()
        self.disabled_at: int | None = None
        self.disabled_why: str | None = None
        self.delivered = self.failed = 0  # since this was last told
        self.last_ok_at: int | None = None
        self.last_failed_at: int | None = None
        self.last_error: str | None = None
        self._written: tuple[EndpointState, Breaker] = (EndpointState.HEALTHY, REST)
        self._told: tuple[str, str] = ("", "")

    # --- settings --------------------------------------------------------------------------------------------------

    def set(self, endpoint: Endpoint, per_endpoint: int) -> None:
        """Use these settings from now on."""
        self.settings = endpoint
        self.bound = min(self.bound, per_endpoint)
        self._allow(endpoint.concurrency or self.bound)
        self.gap_s = 1 / endpoint.rate if endpoint.rate else 0.0
        self.standard = endpoint.profile is Profile.STANDARD
        fields = [(name, value) for name, value in endpoint.headers if name.lower() not in RESERVED]
        if endpoint.username is not None:
            pair = f"{endpoint.username}:{endpoint.password or ''}".encode()
            fields.append(("Authorization", "Basic " + base64.b64encode(pair).decode()))
        self.extra_lines = header_lines(fields)
        own = (endpoint.ca_pem, endpoint.client_cert_pem, endpoint.client_key_pem)
        self.tls = None
        if any(one is not None for one in own):
            self.tls = EndpointTls(ca_pem=own[0], client_cert_pem=own[1], client_key_pem=own[2])
        self.caller = None

    def bound_by(self, most: int) -> None:
        """A dialect that is spoken here wants no more posts at once than so many; the endpoint's own bound wins."""
        if most < self.bound:
            self.bound = most
            if self.settings is None or self.settings.concurrency is None:
                self._allow(most)

    def _allow(self, most: int) -> None:
        """So many at once; what a 429 has taken from that stays taken."""
        self.limit = max(1, min(most, self.limit + max(0, most - self.most)))
        self.most = most

    def resume_as(self, endpoint: Endpoint) -> None:
        """Stand as it was when another process, or this one before its end, last wrote that down."""
        self.watch = Watch(endpoint.breaker)
        self._written = (endpoint.state, endpoint.breaker)
        self.disable_as(endpoint)

    def disable_as(self, endpoint: Endpoint, *, switched: bool = False) -> None:
        """Be disabled, or enabled again, as somebody has said; that closes a breaker that was written as open.

        ``switched``: somebody has said so since this was last looked at; then a breaker closes that opened meanwhile.
        """
        disabled = endpoint.state is EndpointState.DISABLED
        was_open = switched or self._written[0] is EndpointState.OPEN
        closed = was_open and endpoint.state is EndpointState.HEALTHY
        if not disabled and (closed or self.disabled_at is not None):
            self.watch = Watch()
            self._written = (EndpointState.HEALTHY, REST)
        self.disabled_at = (endpoint.disabled_at or endpoint.changed_at) if disabled else None
        self.disabled_why = endpoint.disabled_why if disabled else None

    @property
    def switches(self) -> int:
        """How often somebody had disabled or enabled it when that was last looked at."""
        return 0 if self.settings is None else self.settings.switches

    def policy(self, caller: Caller) -> AddressPolicy:
        """Which addresses its callbacks may go to: the account's, and what was opened for it."""
        if self.caller is not caller or self._policy is None:
            self.caller = caller
            own = () if self.settings is None else self.settings.allow_callbacks_to
            self._policy = caller.policy_with(own)
        return self._policy

    # --- how fast it may go -----------------------------------------------------------------------------------------

    def slow_down(self, retry_after_s: float | None) -> float:
        """The receiver says 429: half as many at once from now on; returns how long to pause (s), 0 when it pauses."""
        if self.paused_until:
            return 0.0  # posts of the same burst
        self.limit = max(1, self.limit // 2)
        self.successes = 0
        return min(max(retry_after_s or 0.0, 1.0), PAUSE_AT_MOST_S)

    def speed_up(self) -> None:
        """One more at once after as many successes as may be in flight."""
        self.successes += 1
        if self.successes >= self.limit:
            self.successes = 0
            self.limit += 1

    def halve_pace(self, now_s: float, elapsed_s: float) -> None:
        """The receiver wants fewer requests a second, whoever they are for; this one's own wait is in its decision."""
        if self.pace is None:
            self.pace = Pace(self.begun, now_s)
        else:
            self.pace.halve(now_s, now_s - elapsed_s)

    def next_gap_s(self, now_s: float) -> float:
        """How long the next post waits for its share of a second."""
        gap_s = self.gap_s
        if self.pace is not None:
            asked_s = self.pace.gap_s(now_s)
            if asked_s is None:
                self.pace = None
            gap_s = max(gap_s, asked_s or 0.0)
        return gap_s

    # --- how it fares ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> EndpointState:
        """How it stands."""
        if self.disabled_at is not None:
            return EndpointState.DISABLED
        if self.watch.is_open:
            return EndpointState.OPEN
        return EndpointState.HEALTHY if self.watch.failing_since is None else EndpointState.FAILING

    @property
    def held(self) -> bool:
        """Whether its callbacks are not to be handed over: it is disabled, or only probes may go."""
        return self.disabled_at is not None or self.watch.probe_at is not None

    @property
    def may_start(self) -> bool:
        """Whether it has something to post, and may."""
        if not self.waiting or self.in_flight >= self.limit or self.paused_until or self.settling:
            return False
        return not self.held or (self.disabled_at is None and not self.in_flight)

    def most_waiting(self, waiting: int, slow_waiting: int) -> int:
        """How many may wait in memory; for one that is slow, those that can start at once beside."""
        if self.slow_in_row < SLOW_IN_ROW:
            return waiting
        return slow_waiting + max(0, self.limit - self.in_flight)

    def note_ok(self, now: int) -> bool:
        """An attempt succeeded; returns whether that closed the breaker."""
        self.delivered += 1
        self.last_ok_at = now
        if not self.watch.succeeded(now):
            return False
        self._told = ("closed", f"{self.origin} takes callbacks again; what waited goes out")
        return True

    def note_failure(self, now: int, error: str, *, blamed: bool = True) -> bool:
        """An attempt failed; returns whether its callbacks are held from now on, or for another reason than before.

        ``blamed``: it counts against the endpoint; else it is only counted.
        """
        self.failed += 1
        self.last_failed_at = now
        self.last_error = error
        if not blamed:
            return False
        was_held, opened = self.held, self.watch.failed(now)
        if self.watch.is_over(now) and self.disabled_at is None:
            self.disable(now, DisabledWhy.FAILING, "nothing was taken for five days")
            return True
        if opened and not was_held:
            self._told = ("open", f"{self.origin} fails: {error}; callbacks wait, one is tried now and then")
        return self.held and not was_held

    def disable(self, now: int, why: DisabledWhy, reason: str) -> None:
        """Post nothing more; what waits is kept until somebody enables it."""
        self.disabled_at, self.disabled_why = now, str(why)
        self._told = ("disabled", f"{self.origin} is disabled: {reason}; callbacks wait until it is enabled")

    def health(self, now: int) -> EndpointHealth | None:
        """What there is to tell since the last time; counts begin anew. None: nothing."""
        stands = (self.state, self.watch.taken_down())
        moved = stands != self._written
        if not (moved or self.delivered or self.failed):
            return None
        told, detail = self._told if moved else ("", "")
        seen = EndpointHealth(
            self.id,
            self.account_id,
            self.origin,
            now,
            self.delivered,
            self.failed,
            stands[0],
            self.disabled_why,
            stands[1],
            self.last_ok_at,
            self.last_failed_at,
            self.last_error,
            moved,
            told,
            detail,
            self.switches,
        )
        self._written, self._told = stands, ("", "")
        self.delivered = self.failed = 0
        return seen

    @property
    def at_rest(self) -> bool:
        """Whether it can be forgotten: nothing waits, nothing is known of it that is not written."""
        busy = self.waiting or self.in_flight or self.paused_until or self.spilled or self.delivered or self.failed
        return not busy and not self.held and self.watch.failing_since is None
