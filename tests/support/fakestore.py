"""A store in memory for unit tests of the desk and the doors: admission, batches and accounts, nothing that is sent.

The real stores pass one conformance suite; this one only answers as they promise to (``kvitto.store.api``).
"""

import asyncio
import dataclasses
from typing import Any

from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Account, Batch, BatchPage, NewBatch
from kvitto.store.api import AdmissionRefused, BatchOutcome, NewAccount

__all__ = ["FakeStore"]


def _done(value: Any) -> "asyncio.Future[Any]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


class FakeStore:
    """``held``: set to True, and accepted batches wait for ``release``. ``away``: every verb fails."""

    def __init__(self) -> None:
        self.accounts: dict[str, tuple[Account, str, str]] = {}
        self.batches: dict[str, NewBatch] = {}
        self.dispatched: set[str] = set()
        self.feedback: list[tuple[str, tuple[str, ...]]] = []
        self.lookups = 0
        self.held = False
        self.away = False
        self.refuse: str | None = None
        self.before_replace: Any = None
        self._waiting: list[tuple[asyncio.Future[Any], NewBatch]] = []

    # --- accounts

    def create_account(self, new: NewAccount) -> Any:
        taken = new.account.name in self.accounts
        if not taken:
            self.accounts[new.account.name] = (new.account, new.token_hash, new.password_hash)
        return _done(not taken)

    def change(self, name: str, **changes: Any) -> None:
        account, token_hash, password_hash = self.accounts[name]
        self.accounts[name] = (dataclasses.replace(account, **changes), token_hash, password_hash)

    async def find_account(
        self,
        *,
        token_hash: str | None = None,
        username: str | None = None,
        name: str | None = None,
        id: str | None = None,
    ) -> tuple[Account, str] | None:
        self.lookups += 1
        self._reach()
        for account, token, password_hash in self.accounts.values():
            if (
                (token_hash is not None and token == token_hash)
                or (username is not None and account.username == username)
                or (name is not None and account.name == name)
                or (id is not None and account.id == id)
            ):
                return account, password_hash
        return None

    # --- batches

    def accept_batch_hot(self, new: NewBatch, done: Any) -> None:
        def resolved(future: Any) -> None:
            error = future.exception()
            done(None if error else future.result(), error)

        future = self.accept_batch(new)
        resolved(future) if future.done() else future.add_done_callback(resolved)

    def accept_batch(self, new: NewBatch) -> Any:
        future = asyncio.get_running_loop().create_future()
        if self.held:
            self._waiting.append((future, new))
        else:
            self._store(future, new)
        return future

    def release(self) -> None:
        for future, new in self._waiting:
            self._store(future, new)
        self._waiting.clear()

    def _store(self, future: "asyncio.Future[Any]", new: NewBatch) -> None:
        if self.away:
            future.set_exception(StoreUnavailable("away"))
        elif self.refuse is not None:
            future.set_result(AdmissionRefused(self.refuse))
        else:
            self.batches[new.batch.id] = new
            future.set_result(new)

    def replace_batch(self, new: NewBatch, expected_modified_at: int) -> Any:
        if self.before_replace is not None:
            self.before_replace()
        batch = self.batches[new.batch.id].batch
        if batch.id in self.dispatched:
            return _done(BatchOutcome(None, "already_dispatched"))
        if batch.modified_at != expected_modified_at:
            return _done(BatchOutcome(None, "changed"))
        self.batches[batch.id] = new
        return _done(BatchOutcome(new.batch))

    def touch(self, batch_id: str) -> None:
        """Somebody else changes the batch."""
        new = self.batches[batch_id]
        moved = new.batch._replace(modified_at=new.batch.modified_at + 1)
        self.batches[batch_id] = new._replace(batch=moved)

    def cancel_batch(self, account_id: str, batch_id: str, now: int) -> Any:
        new = self._mine(account_id, batch_id)
        if new is None:
            return _done(BatchOutcome(None, "not_found"))
        cancelled = new.batch._replace(cancelled_at=new.batch.cancelled_at or now, modified_at=now)
        self.batches[batch_id] = new._replace(batch=cancelled)
        return _done(BatchOutcome(cancelled))

    def record_feedback(self, account_id: str, batch_id: str, recipients: Any, now: int) -> Any:
        new = self._mine(account_id, batch_id)
        if new is None or not new.batch.feedback:
            return _done(False)
        self.feedback.append((batch_id, tuple(recipients)))
        return _done(True)

    async def fetch_batch(self, account_id: str, batch_id: str) -> Batch | None:
        self._reach()
        new = self._mine(account_id, batch_id)
        return None if new is None else new.batch

    async def list_batches(self, account_id: str, filter: Any, page: int, page_size: int) -> BatchPage:
        mine = [new.batch for new in self.batches.values() if new.batch.account_id == account_id]
        return BatchPage(len(mine), mine[page * page_size : (page + 1) * page_size])

    async def fetch_batch_report(self, account_id: str, batch_id: str, **_: Any) -> None:
        return None

    async def fetch_message(self, account_id: str, batch_id: str, recipient: str, **_: Any) -> None:
        return None

    async def check(self) -> None:
        self._reach()

    def _mine(self, account_id: str, batch_id: str) -> NewBatch | None:
        new = self.batches.get(batch_id)
        return new if new is not None and new.batch.account_id == account_id else None

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("away")
