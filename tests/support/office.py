"""A dashboard over a real store, without HTTP: two accounts, a user of each role, and visits in one line.

``Office.visit`` goes through the same door as a browser's request does.
"""

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from kvitto.callbacks.sample import setting_problem
from kvitto.core.model import Account, Submission
from kvitto.core.users import AuditEntry, Role, User
from kvitto.dashboard import ROUTES, Answer, Dashboard, Tools, Visit
from kvitto.dashboard.routes import Route
from kvitto.dashboard.signin import hash_of
from kvitto.dashboard.tools import Curl, LinkTest, Magic, Posted, Sent
from kvitto.dashboard.web import COOKIE
from kvitto.reports import Reader
from kvitto.store.api import LinkState
from kvitto.store.migrations import upgrade
from kvitto.store.office import NewUser, NewUserSession
from kvitto.store.verbs.accounts import SETTABLE
from tests.conformance.house import House
from tests.support.clock import FakeClock

__all__ = ["Office", "migrated_copy", "office_in", "route_of"]

SESSION_MS = 3_600_000
IDLE_MS = 1_200_000


def route_of(method: str, path: str) -> Route:
    """The route with this template."""
    return next(one for one in ROUTES if (one.method, one.path) == (method, path))


class Office:
    """The dashboard and what it works on."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clock = house.clock
        self.own = self.other = Account(id="", name="", service_plan_id="", username="")
        self.messages: dict[str, str] = {}
        self.did: list[tuple[str, Any]] = []
        self.users: dict[str, User] = {}
        self.dashboard = Dashboard(self._tools())

    def _tools(self) -> Tools:
        store = self.house.store

        async def send(submission: Submission, account: Account) -> Sent:
            self.did.append(("send", submission))
            return Sent("01KK9EMPQ0DGYP3WQ4PHH20000")

        async def cancel(account: Account, batch_id: str) -> str:
            self.did.append(("cancel", batch_id))
            return ""

        async def test_report(account: Account) -> Posted:
            self.did.append(("test", account.callback_url))
            return Posted(account.callback_url or "", (), "{}", 200, 7, "<script>boo()</script>", "", True)

        async def objection_to(url: str, account: Account) -> str:
            return "This name leads to an address that is not allowed (loopback)." if "127.0.0.1" in url else ""

        async def test_link(name: str) -> LinkTest:
            self.did.append(("link", name))
            return LinkTest((("connect", True, 1),), "")

        return Tools(
            reader=Reader(store, store.office, self.clock),
            office=store.office,
            store=store,
            clock=self.clock,
            ids=self.house.ids,
            session_ms=SESSION_MS,
            idle_ms=IDLE_MS,
            dialects=("sinch", "infobip", "ninebits"),
            send=send,
            cancel=cancel,
            test_report=test_report,
            objection_to=objection_to,
            test_link=test_link,
            new_token=lambda: ("fresh-token", "fresh-hash"),
            curl=lambda account: [Curl("Sinch", f"curl {account.service_plan_id}")],
            magic=(Magic("00", "DELIVRD"),),
            settable=SETTABLE,
            endpoint_problem=setting_problem,
        )

    async def open(self) -> "Office":
        """Two accounts with a message each, a link, and signed-in users ``operator``, ``owner`` ... ``stranger``."""
        self.own, self.other = self.house.account, await self.house.new_account()
        for account, who in ((self.own, "own"), (self.other, "other")):
            new = self.house.plan(
                1,
                account=account,
                to=[f"4670000{int.from_bytes(who.encode()) % 10_000:04d}"],
                client_reference=f"ref-{who}",
            )
            await self.house.store.accept_batch(new)
            self.messages[who] = new.messages[0].id
        await self.house.store.record_link_states(
            [LinkState("smsc", "smsc", 1, 1, 10, 0, 0.0, None, None, self.clock.now())]
        )
        for role in Role:
            await self.add(str(role), role, None if role is Role.OPERATOR else self.own.id)
        await self.add("stranger", Role.OWNER, self.other.id)
        return self

    async def add(self, name: str, role: Role, account_id: str | None, password_hash: str | None = "x") -> User:
        """A user who is signed in: the cookie is ``secret-NAME``, the form token ``csrf-NAME``."""
        now, office = self.clock.now(), self.house.store.office
        user = User(self.house.ids.new(), name, role, account_id, password_hash is not None, now)
        entry = AuditEntry(now, "test", account_id, "test", name)
        await office.create_user(NewUser(user, password_hash, entry))
        session = NewUserSession(
            hash_of(f"secret-{name}"), user.id, f"csrf-{name}", account_id, now, now + SESSION_MS, "", entry
        )
        await office.open_session(session)
        self.users[name] = user
        return user

    @staticmethod
    def session_hash(name: str) -> str:
        """What the store knows the session of that user by."""
        return hash_of(f"secret-{name}")

    async def visit(
        self,
        who: str | None,
        method: str,
        template: str,
        *,
        params: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        form: Mapping[str, str | tuple[str, ...]] | None = None,
        headers: dict[str, str] | None = None,
        csrf: str | None = None,
        secure: bool = False,
    ) -> Answer:
        """One request by the user of that name (None: nobody), with the form's token unless ``csrf`` says another."""
        path = template
        for name, value in (params or {}).items():
            path = path.replace("{" + name + "}", value).replace("{" + name + ":path}", value)
        fields: dict[str, Any] = dict(form or {})
        if method == "POST" and who is not None:
            fields["csrf"] = f"csrf-{who}" if csrf is None else csrf
        visit = Visit(
            method=method,
            path=path,
            params=params or {},
            query=query or {},
            form={name: one if isinstance(one, str) else one[-1] for name, one in fields.items()},
            many={name: (one,) if isinstance(one, str) else one for name, one in fields.items()},
            cookies={} if who is None else {COOKIE: f"secret-{who}"},
            headers={"host": "kvitto.example", **(headers or {})},
            peer="192.0.2.1",
            secure=secure,
            now=self.clock.now(),
        )
        return await self.dashboard.enter(route_of(method, template), visit)

    async def audit(self) -> list[tuple[str, str]]:
        """(actor, action) of everything that was changed, oldest first, the fixture's own left out."""
        found = await self.house.store.office.audit(None, 1 << 60, 1000)
        return [(one.actor, one.action) for _, one in reversed(found) if one.actor != "test"]


@cache
def _migrated() -> Path:
    """An empty, migrated file, made once a process."""
    path = Path(tempfile.mkdtemp(prefix="kvitto-office-")) / "kvitto.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    upgrade(f"sqlite:///{path}")
    return path


def migrated_copy(directory: Path) -> Path:
    """A migrated, empty SQLite file there."""
    path = directory / "kvitto.db"
    shutil.copyfile(_migrated(), path)
    return path


@asynccontextmanager
async def office_in(directory: Path) -> AsyncIterator[Office]:
    """An office over a fresh SQLite store."""
    house = House(f"sqlite:///{migrated_copy(directory)}", FakeClock())
    await house.start()
    try:
        yield await Office(house).open()
    finally:
        await house.stop()
