"""Accounts as posting needs them: looked up when a callback of theirs is next, used for a second, once for all lanes.

Must not know: stores (looking up is handed in), queues. Next: ``kvitto.callbacks.outbox``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.core.clock import Clock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Account
from kvitto.telemetry import get_logger

__all__ = ["Accounts", "Caller", "Callers", "Policies"]

Accounts = Callable[[str], Awaitable[Account | None]]
"""account id -> the account, None when it is gone. Raises: StoreUnavailable."""

MOST: Final = 4096
STORE_PAUSE_S: Final = 1.0

_Waits = TypeVar("_Waits")


class Policies:
    """Address policies, one object for all equal ones: the client knows them by identity."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._known: dict[AddressPolicy, AddressPolicy] = {}

    def of(self, allow: tuple[str, ...]) -> AddressPolicy:
        """The policy that opens these networks."""
        try:
            policy = AddressPolicy.of(allow, allow_private=self._allow_private)
        except ValueError:  # settings are checked when they are made; what is wrong all the same opens nothing
            get_logger().error("service.failed", service="outbox", error="allow_callbacks_to is no list of networks")
            policy = AddressPolicy(allow_private=self._allow_private)
        if len(self._known) >= MOST:
            self._known.clear()
        return self._known.setdefault(policy, policy)


class Caller:
    """An account as posting needs it, until a monotonic instant (s)."""

    __slots__ = ("_policies", "account", "policy", "until")

    def __init__(self, account: Account | None, policies: Policies, until: float) -> None:
        self.account = account
        self.until = until
        self._policies = policies
        self.policy = policies.of(self._allowed())

    def _allowed(self) -> tuple[str, ...]:
        return () if self.account is None else self.account.allow_callbacks_to

    def policy_with(self, own: tuple[str, ...]) -> AddressPolicy:
        """The account's policy, with further networks open."""
        return self._policies.of((*self._allowed(), *own)) if own else self.policy


class Callers(Generic[_Waits]):
    """Accounts that are known, and who waits for one that is being looked up: told all together when it is found."""

    def __init__(
        self,
        accounts: Accounts,
        policies: Policies,
        clock: Clock,
        keep_s: float,
        on_known: Callable[[Sequence[_Waits]], None],
    ) -> None:
        self.known: dict[str, Caller] = {}
        self.find = accounts
        self._policies = policies
        self._clock = clock
        self._keep_s = keep_s
        self._on_known = on_known
        self._waiting: dict[str, list[_Waits]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look_up(self, account_id: str, who: _Waits) -> None:
        """Look the account up, once for all who wait for it."""
        waiting = self._waiting.get(account_id)
        if waiting is not None:
            waiting.append(who)
            return
        self._waiting[account_id] = [who]
        task = asyncio.create_task(self._fetch(account_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Look nothing up any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _fetch(self, account_id: str) -> None:
        while True:
            try:
                account = await self.find(account_id)
                break
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE_S)
            except Exception:  # the top of this task: its callbacks wait on
                get_logger().exception("service.failed", service="outbox", account_id=account_id)
                await asyncio.sleep(STORE_PAUSE_S)
        if len(self.known) >= MOST:
            self.known.clear()
        self.known[account_id] = Caller(account, self._policies, self._clock.monotonic() + self._keep_s)
        self._on_known(self._waiting.pop(account_id, []))
