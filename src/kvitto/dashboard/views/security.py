"""Settings, Security: one's own password; the account's API token; its users; and the audit of what was changed.

An owner sees and changes the users of the own account and no others; an operator those of the account that is looked
at, or everybody's.
"""

from collections.abc import Mapping
from typing import Any, Final

from kvitto.core.users import Role, User
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.signin import LINK_MS, add_user, hash_password, make_link, name_problem, password_problem
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.store.office import NewToken, UserChange

__all__ = ["add", "audit", "make_user_link", "new_token", "page", "remove", "revoke_token", "set_password", "set_role"]

MOST_NAME: Final = 64
_OVERLAP_MS: Final[Mapping[str, int | None]] = {"keep": None, "day": 86_400_000, "now": 0}
"""What becomes of the other tokens when a new one is made: they stay, work for a day more, or end at once."""


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """The page."""
    return await _page(desktop, visit, done=visit.query.get("done", ""))


async def _page(desktop: Desktop, visit: Visit, status: int = 200, **more: Any) -> Answer:
    values: dict[str, Any] = {"problems": {}, "token": "", "link": None, "done": "", **more}
    account = await desktop.tools.reader.account(visit.account_id) if visit.account_id else None
    owner = visit.session.user.role in (Role.OPERATOR, Role.OWNER)
    users = await desktop.tools.reader.users(visit.account_id) if owner else []
    names = {one.id: one.name for one in await desktop.tools.reader.accounts()} if not visit.account_id else {}
    return await desktop.page(
        visit,
        "settings_security.html",
        status,
        account=account,
        tokens=await desktop.tools.reader.tokens(account.id) if account and owner else [],
        users=users,
        names=names,
        welcome="welcome" in visit.query,
        grants=_grants(visit),
        link_hours=LINK_MS // 3_600_000,
        **values,
    )


def _grants(visit: Visit) -> list[Role]:
    """The roles that this visitor may give away here."""
    if visit.account_id is None:
        return [Role.OPERATOR]
    return [Role.OWNER, Role.MEMBER, Role.VIEWER]


async def set_password(desktop: Desktop, visit: Visit) -> Answer:
    """One's own password; every other session of the user ends."""
    password, user = visit.form.get("password", ""), visit.session.user
    problem = password_problem(password, visit.form.get("again", ""))
    if problem:
        return await _page(desktop, visit, 400, problems={"password": problem})
    entry = desktop.entry(visit, "user.password", user.name)
    change = UserChange(user.id, await hash_password(password), None, entry, visit.session.hash)
    await desktop.tools.office.change_user(change)
    return redirect(desktop.url("/settings/security?done=password"))


async def new_token(desktop: Desktop, visit: Visit) -> Answer:
    """A new API token, shown this once: beside the others, or in their place, at once or after a day."""
    account, now = await desktop.account(visit), desktop.tools.clock.now()
    name, others = visit.form.get("token_name", "").strip(), visit.form.get("others", "keep")
    if len(name) > MOST_NAME or not name.isprintable():
        return await _page(desktop, visit, 400, problems={"token_name": f"At most {MOST_NAME} characters."})
    if others not in _OVERLAP_MS:
        raise Refused(400, "Say what becomes of the other tokens.")
    overlap_ms = _OVERLAP_MS[others]
    token, token_hash = desktop.tools.new_token()
    until = None if overlap_ms is None else now + overlap_ms
    entry = desktop.entry(visit, "token.new", account.name, f"ends in {token[-4:]}; others: {others}")
    await desktop.tools.office.add_token(
        NewToken(account.id, token_hash, name or "unnamed", token[-4:], now, until, entry)
    )
    return await _page(desktop, visit, token=token)


async def revoke_token(desktop: Desktop, visit: Visit) -> Answer:
    """Forget a token; it is refused within a second."""
    account, token_hash = await desktop.account(visit), visit.form.get("token", "")
    entry = desktop.entry(visit, "token.revoke", account.name)
    if not await desktop.tools.office.revoke_token(account.id, token_hash, entry):
        raise Refused(404, "There is no such token any more.")
    return redirect(desktop.url("/settings/security?done=revoked"))


async def add(desktop: Desktop, visit: Visit) -> Answer:
    """A user, who signs in by a link that is shown this once."""
    name, role = visit.form.get("name", "").strip().lower(), visit.form.get("role", "")
    if words := name_problem(name):
        return await _page(desktop, visit, 400, problems={"name": words})
    _check_role(role)
    if role not in _grants(visit):
        raise Refused(403, "This role is not yours to give.")
    tools = desktop.tools
    made = await add_user(
        tools.office,
        tools.ids.new(),
        name,
        Role(role),
        visit.account_id,
        tools.clock.now(),
        actor=visit.session.user.name,
    )
    if made is None:
        return await _page(desktop, visit, 409, problems={"name": "A user of this name is there already."})
    return await _page(desktop, visit, link=(name, await make_link(tools.office, made.id, tools.clock.now())))


def _check_role(role: str) -> None:
    if role not in set(Role):
        raise Refused(400, f"A role is one of {', '.join(Role)}.")


async def _theirs(desktop: Desktop, visit: Visit) -> User:
    """The user in the path, if it is one of those that this visitor looks after."""
    found = await desktop.tools.office.find_user(visit.params["name"])
    if found is None or (visit.account_id is not None and found[0].account_id != visit.account_id):
        raise Refused(404, "There is no such user.")
    return found[0]


async def set_role(desktop: Desktop, visit: Visit) -> Answer:
    """Another role."""
    user, role = await _theirs(desktop, visit), visit.form.get("role", "")
    _check_role(role)
    if user.role is Role.OPERATOR or role == Role.OPERATOR:
        raise Refused(403, "This role is not yours to give.")
    if user.id == visit.session.user.id:
        raise Refused(409, "Your own role is changed by somebody else.")
    entry = desktop.entry(visit, "user.role", user.name, f"as {role}")._replace(account_id=user.account_id)
    await desktop.tools.office.change_user(UserChange(user.id, None, Role(role), entry))
    return redirect(desktop.url("/settings/security?done=role"))


async def make_user_link(desktop: Desktop, visit: Visit) -> Answer:
    """A new one-time link, for who has lost the password."""
    user = await _theirs(desktop, visit)
    entry = desktop.entry(visit, "user.link", user.name)._replace(account_id=user.account_id)
    secret = await make_link(desktop.tools.office, user.id, desktop.tools.clock.now(), entry)
    return await _page(desktop, visit, link=(user.name, secret))


async def remove(desktop: Desktop, visit: Visit) -> Answer:
    """Remove a user, whose sessions end."""
    user = await _theirs(desktop, visit)
    if user.id == visit.session.user.id:
        raise Refused(409, "You cannot remove yourself.")
    entry = desktop.entry(visit, "user.remove", user.name)._replace(account_id=user.account_id)
    await desktop.tools.office.remove_user(user.id, entry)
    return redirect(desktop.url("/settings/security?done=removed"))


async def audit(desktop: Desktop, visit: Visit) -> Answer:
    """What was changed, newest first."""
    before = visit.query.get("before", "")
    rows, following = await desktop.tools.reader.audit(
        visit.account_id, int(before) if before.isdecimal() and len(before) < 19 else 1 << 62
    )
    names = {one.id: one.name for one in await desktop.tools.reader.accounts()} if not visit.account_id else {}
    return await desktop.page(visit, "audit.html", rows=rows, following=following, names=names)
