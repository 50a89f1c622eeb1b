"""Coming and going: sign-in by password or by a one-time link, sign-out, and what a session looks at."""

from urllib.parse import urlsplit

from kvitto.core.users import Role
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.signin import Opened, Throttled, hash_of, open_session, sign_in, with_cookie
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.store.office import SessionChange

__all__ = ["home", "link_page", "link_post", "look_at", "reveal", "sign_in_page", "sign_in_post", "sign_out"]


async def home(desktop: Desktop, visit: Visit) -> Answer:
    """The first page of whoever comes."""
    return redirect(desktop.url("/overview" if visit.signed_in else "/sign-in"))


async def sign_in_page(desktop: Desktop, visit: Visit) -> Answer:
    """Name and password."""
    return await _form(desktop, visit, visit.query.get("next", ""))


async def _form(desktop: Desktop, visit: Visit, where: str, status: int = 200, problem: str = "") -> Answer:
    visit.signed_in = None
    return await desktop.page(visit, "sign_in.html", status, next=_own_path(where), problem=problem)


async def sign_in_post(desktop: Desktop, visit: Visit) -> Answer:
    """Open a session, or say that it does not fit, without saying what."""
    where = visit.form.get("next", "")
    opened = await sign_in(desktop.tools.office, visit, desktop.tools.session_ms)
    if isinstance(opened, Throttled):
        words = f"Too many attempts. Try again in {opened.after_s // 60} minutes."
        answer = await _form(desktop, visit, where, 429, words)
        return answer.with_headers(("Retry-After", str(opened.after_s)))
    if opened is None:
        return await _form(desktop, visit, where, 403, "Name and password do not fit.")
    return _welcome(desktop, visit, opened, _own_path(where) or "/overview")


async def link_page(desktop: Desktop, visit: Visit) -> Answer:
    """A page with one button: what only looks at links ahead must not use one up."""
    visit.signed_in = None
    return await desktop.page(visit, "sign_in_link.html", secret=visit.params["secret"])


async def link_post(desktop: Desktop, visit: Visit) -> Answer:
    """Use the link up and sign in."""
    user = await desktop.tools.office.use_link(hash_of(visit.params["secret"]), visit.now)
    if user is None:
        return await _form(desktop, visit, "", 403, "This link has been used, or its time is over. Ask for a new one.")
    opened = await open_session(desktop.tools.office, visit, user, desktop.tools.session_ms, "by link")
    return _welcome(desktop, visit, opened, "/overview" if user.has_password else "/settings/security?welcome=1")


def _welcome(desktop: Desktop, visit: Visit, opened: Opened, where: str) -> Answer:
    age_s = desktop.tools.session_ms // 1000
    return with_cookie(redirect(desktop.url(where)), visit, opened.secret, age_s, desktop.tools.prefix)


async def sign_out(desktop: Desktop, visit: Visit) -> Answer:
    """End the session."""
    entry = desktop.entry(visit, "sign-out", visit.session.user.name)
    await desktop.tools.office.end_session(visit.session.hash, entry)
    return with_cookie(redirect(desktop.url("/sign-in")), visit, "", 0, desktop.tools.prefix)


async def reveal(desktop: Desktop, visit: Visit) -> Answer:
    """Show a viewer numbers whole, or hide them again; both are kept in the audit."""
    shown = visit.form.get("show") == "1"
    if visit.session.user.role is Role.VIEWER:
        entry = desktop.entry(visit, "numbers.reveal" if shown else "numbers.hide", visit.session.user.name)
        change = SessionChange(visit.session.hash, visit.account_id, shown, entry)
        await desktop.tools.office.change_session(change)
    return redirect(desktop.url(_own_path(visit.form.get("next", "")) or "/overview"))


async def look_at(desktop: Desktop, visit: Visit) -> Answer:
    """An operator chooses an account, or all."""
    wanted = visit.form.get("account", "") or None
    if wanted is not None and await desktop.tools.reader.account(wanted) is None:
        raise Refused(404, "There is no such account.")
    entry = desktop.entry(visit, "look-at", wanted or "all accounts")
    await desktop.tools.office.change_session(SessionChange(visit.session.hash, wanted, False, entry))
    return redirect(desktop.url(_own_path(visit.form.get("next", "")) or "/overview"))


def _own_path(where: str) -> str:
    """A path of this server, never another's: "" for anything else."""
    parts = urlsplit(where)
    if parts.scheme or parts.netloc or not where.startswith("/") or where.startswith(("//", "/\\")):
        return ""
    return where if where.isprintable() else ""
