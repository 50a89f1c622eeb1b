"""Settings of an account beside its webhook (``webhook`` beside this file). Every change is kept in the audit."""

from typing import Any
from zoneinfo import available_timezones

from kvitto.core.fields import read_sender
from kvitto.core.model import Account
from kvitto.core.users import Role
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Visit, redirect

__all__ = ["account", "home", "save_account", "store_settings"]


async def home(desktop: Desktop, visit: Visit) -> Answer:
    """The first of the settings that this visitor may see."""
    owner = visit.session.user.role in (Role.OPERATOR, Role.OWNER)
    return redirect(desktop.url("/settings/webhook" if owner else "/settings/security"))


async def store_settings(desktop: Desktop, visit: Visit, account: Account, wanted: dict[str, Any], action: str) -> None:
    """Store what differs, with the audit that names the settings and, where it is harmless, their values."""
    known = {name: value for name, value in wanted.items() if name in desktop.tools.settable}
    changes = {name: value for name, value in known.items() if getattr(account, name) != value}
    if changes:
        detail = ", ".join(f"{name} = {_shown(name, value)}" for name, value in changes.items())
        await desktop.tools.set_account(account, changes, desktop.entry(visit, action, account.name, detail))


def _shown(name: str, value: Any) -> str:
    if name in ("callback_url", "incoming_url"):
        return "(set)" if value else "(empty)"
    return ", ".join(value) or "(all)" if isinstance(value, tuple) else str(value)


async def account(desktop: Desktop, visit: Visit) -> Answer:
    """Time zone, limits, retention, senders."""
    found = await desktop.account(visit)
    return await _account(desktop, visit, found, saved=visit.query.get("saved") == "1")


async def _account(desktop: Desktop, visit: Visit, found: Account, **more: Any) -> Answer:
    values: dict[str, Any] = {"problems": {}, "saved": False, "form": None, **more}
    form = values.pop("form") or {
        "timezone": found.timezone,
        "max_parts": str(found.max_parts or ""),
        "retention_days": str(found.retention_days or ""),
        "default_from": found.default_from or "",
    }
    return await desktop.page(
        visit,
        "settings_account.html",
        400 if values["problems"] else 200,
        account=found,
        form=form,
        retention_days=desktop.tools.retention_days,
        **values,
    )


async def save_account(desktop: Desktop, visit: Visit) -> Answer:
    """Check and store."""
    found = await desktop.account(visit)
    form = {
        name: visit.form.get(name, "").strip() for name in ("timezone", "max_parts", "retention_days", "default_from")
    }
    problems: dict[str, str] = {}
    if form["timezone"] not in available_timezones():
        problems["timezone"] = "A name of the IANA time zone database, such as Europe/Stockholm."
    wanted: dict[str, Any] = {"timezone": form["timezone"]}
    for name, least, most in (("max_parts", 1, 255), ("retention_days", 7, 3650)):
        wanted[name] = _whole(form[name], least, most)
        if form[name] and wanted[name] is None:
            problems[name] = f"A whole number from {least} to {most}, or empty."
    try:
        wanted["default_from"] = read_sender(form["default_from"]) if form["default_from"] else None
    except ValueError as wrong:
        problems["default_from"] = f"Wanted: {wrong}."
    if problems:
        return await _account(desktop, visit, found, problems=problems, form=form)
    await store_settings(desktop, visit, found, wanted, "account.save")
    return redirect(desktop.url("/settings/account?saved=1"))


def _whole(text: str, least: int, most: int) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    return None
