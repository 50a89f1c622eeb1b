"""Callbacks that travel to a developer's machine: what is carried there, and what comes back.

Values only, shared by the sender (``kvitto.callbacks.relay``), the HTTP side (``kvitto.intake.api.relaying``) and
``kvitto listen``. Must not know: how they travel.
"""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple, Protocol

__all__ = ["PING_S", "RELAY_URL", "RelayDesk", "RelayedAnswer", "RelayedPost"]

PING_S: Final = 15.0
"""A stream on which nothing happens says so this often, so that neither end nor a proxy takes it for dead."""

RELAY_URL: Final = "https://listen.kvitto.invalid/"
"""A callback URL for accounts that have no receiver yet: what is due there waits, by its schedule, until somebody
listens. Names under ``.invalid`` never resolve (RFC 2606 2)."""


class RelayedPost(NamedTuple):
    """One callback to hand to a local program: ``headers`` in order and ``body`` octet for octet as they are signed.

    ``url``: where it would have gone. ``timeout_s``: until its answer must be back.
    """

    id: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_s: float


class RelayedAnswer(NamedTuple):
    """What the local program said; ``status`` None: nothing, and ``error`` says why in plain words."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""


class RelayDesk(Protocol):
    """Who hands callbacks to listeners."""

    def has_room(self, account_id: str) -> bool:
        """Whether one more may listen for this account."""

    def listen(self, account_id: str, relay: str, *, everything: bool) -> AsyncIterator[RelayedPost | None]:
        """Yield the callbacks of an account while somebody takes them; None after ``PING_S`` without any.

        ``relay``: a fresh name for this listener. ``everything``: also those whose batch named a URL of its own.
        """

    def answer(self, account_id: str, relay: str, post: str, answer: RelayedAnswer) -> bool:
        """Say what became of one; False when nobody waits for it (any more)."""
