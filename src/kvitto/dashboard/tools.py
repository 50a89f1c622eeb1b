"""What the dashboard is handed by the wiring: how to change things and to ask other rooms, without knowing them.

Next: ``kvitto.pages`` (where they come from).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kvitto.core.clock import Clock
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account, Submission
from kvitto.core.status import Status
from kvitto.core.users import AuditEntry
from kvitto.reports import Reader
from kvitto.store.api import Assigned, Store
from kvitto.store.office import Office

__all__ = ["Curl", "LinkTest", "Magic", "Posted", "Sent", "Tools"]


class Sent(NamedTuple):
    """What came of sending: the batch's id, or why not, in words."""

    batch_id: str
    problem: str = ""


class Posted(NamedTuple):
    """One test report: what was posted, and what came back. ``problem``: "" when an answer came.

    ``answer``: the first KiB of the body. ``taken``: the dialect counts it as acknowledged.
    """

    url: str
    headers: tuple[tuple[str, str], ...]
    body: str
    status: int | None
    elapsed_ms: int
    answer: str
    problem: str
    taken: bool


class LinkTest(NamedTuple):
    """One look at an SMSC: its steps (name, ok, ms), and what is wrong in words."""

    steps: tuple[tuple[str, bool, int], ...]
    reason: str


class Magic(NamedTuple):
    """A number of the simulator and what happens to it."""

    number: str
    description: str


class Curl(NamedTuple):
    """A line to paste, for one dialect."""

    title: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Everything a page may use. What changes something is a verb of the store or a function of another room."""

    reader: Reader
    office: Office
    store: Store
    clock: Clock
    ids: IdMaker
    prefix: str = ""
    """Of every path, when the server stands behind a proxy."""
    session_ms: int = 12 * 3_600_000
    idle_ms: int = 2 * 3_600_000
    """After so long without a visit a session is over."""
    dialects: tuple[str, ...] = ()
    retention_days: int = 30
    send: Callable[[Submission, Account], Awaitable[Sent]]
    cancel: Callable[[Account, str], Awaitable[str]]
    """Gives back "" or why not."""
    test_report: Callable[[Account], Awaitable[Posted]]
    objection_to: Callable[[str, Account], Awaitable[str]]
    """Why callbacks may not go to a URL, "" for no reason."""
    test_link: Callable[[str], Awaitable[LinkTest]]
    new_token: Callable[[], tuple[str, str]]
    """A fresh API token and what is stored of it."""
    curl: Callable[[Account], Sequence[Curl]]
    magic: Sequence[Magic] = ()
    settable: frozenset[str] = frozenset()
    """The settings of an account that this store takes."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: what is live ends."""

    endpoint_problem: Callable[[Mapping[str, object]], tuple[str, str] | None] = lambda settings: None
    """What is wrong with an endpoint's headers or certificates, as (field, words)."""

    async def assign(
        self, receipt_id: int, message_id: str, part_no: int | None, status: Status | None, audit: AuditEntry
    ) -> Assigned:
        """An operator says whose a receipt is (R34)."""
        now = self.clock.now()
        return await self.store.assign_receipt(receipt_id, message_id, part_no, now, status=status, audit=audit)

    async def set_account(self, account: Account, changes: Mapping[str, Any], audit: AuditEntry) -> Account | None:
        """Change an account's settings."""
        return await self.store.set_account(account.name, dict(changes), audit)
