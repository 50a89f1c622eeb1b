"""Settings of an account: its webhook and what stands behind it, and the rest. Every change is kept in the audit."""

from typing import Any, Final
from zoneinfo import available_timezones

from kvitto.core.endpoint import Endpoint, NewEndpoint
from kvitto.core.ids import new_secret
from kvitto.core.model import Account
from kvitto.core.urls import BadUrl, parse_target
from kvitto.core.users import Role
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.tools import Posted
from kvitto.dashboard.web import Answer, Visit, redirect

__all__ = ["account", "home", "rotate_secret", "save_account", "save_webhook", "test_webhook", "webhook"]

MOST_URL: Final = 2048
MOST_BASIC: Final = 256
ENDPOINT_NAME: Final = "webhook"
LATEST: Final = 50
"""Callbacks shown under the webhook."""


async def home(desktop: Desktop, visit: Visit) -> Answer:
    """The first of the settings that this visitor may see."""
    owner = visit.session.user.role in (Role.OPERATOR, Role.OWNER)
    return redirect(desktop.url("/settings/webhook" if owner else "/settings/security"))


# --- webhook ----------------------------------------------------------------------------------------------------------


async def webhook(desktop: Desktop, visit: Visit) -> Answer:
    """The callback URL and everything about it."""
    return await _webhook(desktop, visit, await desktop.account(visit), saved=visit.query.get("saved") == "1")


async def _webhook(desktop: Desktop, visit: Visit, account: Account, **more: Any) -> Answer:
    rows, _ = await desktop.tools.reader.callbacks(account.id, 1 << 62)
    values: dict[str, Any] = {"problems": {}, "posted": None, "saved": False, "secret": "", "form": None, **more}
    form = values.pop("form") or _form_of(account, await _endpoint(desktop, account))
    return await desktop.page(
        visit,
        "settings_webhook.html",
        400 if values["problems"] else 200,
        account=account,
        form=form,
        rows=rows[:LATEST],
        dialects=desktop.tools.dialects,
        settable=desktop.tools.settable,
        **values,
    )


async def _endpoint(desktop: Desktop, account: Account) -> Endpoint | None:
    """What is set for where the callback URL leads."""
    return await desktop.tools.store.fetch_endpoint(account.id, account.callback_url) if account.callback_url else None


def _form_of(account: Account, endpoint: Endpoint | None = None) -> dict[str, str]:
    return {
        "auth_username": (endpoint.username or "") if endpoint else "",
        "auth_password": "",
        "callback_url": account.callback_url or "",
        "callback_dialect": account.callback_dialect or "",
        "final_only": "1" if account.final_only else "",
        "ack": account.ack,
        "timezone": account.timezone,
    }


async def save_webhook(desktop: Desktop, visit: Visit) -> Answer:
    """Check and store; nothing is stored while anything is wrong."""
    account = await desktop.account(visit)
    form = {name: visit.form.get(name, "").strip() for name in _form_of(account)}
    problems = await _webhook_problems(desktop, account, form)
    if problems:
        return await _webhook(desktop, visit, account, problems=problems, form=form)
    wanted: dict[str, Any] = {
        "callback_url": form["callback_url"] or None,
        "callback_dialect": form["callback_dialect"] or None,
        "final_only": form["final_only"] == "1",
        "ack": form["ack"],
        "timezone": form["timezone"],
    }
    await _store(desktop, visit, account, wanted, "webhook.save")
    if form["callback_url"]:
        await _store_basic(desktop, visit, account, form)
    return redirect(desktop.url("/settings/webhook?saved=1"))


async def _store_basic(desktop: Desktop, visit: Visit, account: Account, form: dict[str, str]) -> None:
    """Keep the user and password of Basic authentication with the endpoint. An empty password leaves it as it is."""
    store, url, user, now = desktop.tools.store, form["callback_url"], form["auth_username"], desktop.tools.clock.now()
    endpoint = await store.fetch_endpoint(account.id, url)
    if user == ((endpoint.username or "") if endpoint else "") and not form["auth_password"]:
        return
    changes: dict[str, object] = {"username": user or None}
    if not user:
        changes["password"] = None
    elif form["auth_password"]:
        changes["password"] = form["auth_password"]
    kept = desktop.tools.office.record_audit(
        desktop.entry(visit, "webhook.basic", account.name, "on" if user else "off")
    )
    if endpoint is None:
        await store.create_endpoint(NewEndpoint(account.id, ENDPOINT_NAME, url, now, changes))
    else:
        await store.set_endpoint(account.id, endpoint.id, changes, now)
    await kept


async def _webhook_problems(desktop: Desktop, account: Account, form: dict[str, str]) -> dict[str, str]:
    problems = {}
    url = form["callback_url"]
    if url:
        found = await _url_problem(desktop, account, url)
        if found:
            problems["callback_url"] = found
    if (
        len(form["auth_username"]) > MOST_BASIC
        or ":" in form["auth_username"]
        or not form["auth_username"].isprintable()
    ):
        problems["auth_username"] = f"At most {MOST_BASIC} characters, and no colon."
    if len(form["auth_password"]) > MOST_BASIC:
        problems["auth_password"] = f"At most {MOST_BASIC} characters."
    if form["callback_dialect"] and form["callback_dialect"] not in desktop.tools.dialects:
        problems["callback_dialect"] = f"One of {', '.join(desktop.tools.dialects)}, or the batch's own."
    if form["ack"] not in ("body", "http"):
        problems["ack"] = "Either the body or any 2xx acknowledges."
    if form["timezone"] not in available_timezones():
        problems["timezone"] = "A name of the IANA time zone database, such as Africa/Lagos."
    return problems


async def _url_problem(desktop: Desktop, account: Account, url: str) -> str:
    if len(url) > MOST_URL:
        return f"At most {MOST_URL} characters; this one has {len(url)}."
    if "#" in url:
        return "A callback URL has no fragment (#...)."
    target = parse_target(url)
    if isinstance(target, BadUrl):
        return f"This is no URL that can be called: {target.reason}."
    return await desktop.tools.objection_to(url, account)


async def _store(desktop: Desktop, visit: Visit, account: Account, wanted: dict[str, Any], action: str) -> None:
    """Store what differs, with the audit that names the settings and, where it is harmless, their values."""
    known = {name: value for name, value in wanted.items() if name in desktop.tools.settable}
    changes = {name: value for name, value in known.items() if getattr(account, name) != value}
    if changes:
        detail = ", ".join(
            f"{name} = {'(set)' if name == 'callback_url' else value}" for name, value in changes.items()
        )
        kept = desktop.tools.office.record_audit(desktop.entry(visit, action, account.name, detail))
        await desktop.tools.set_account(account, changes)
        await kept


async def test_webhook(desktop: Desktop, visit: Visit) -> Answer:
    """Post one sample report and show the request and what came back. It is never retried and stored nowhere."""
    account = await desktop.account(visit)
    if not account.callback_url:
        return await _webhook(desktop, visit, account, problems={"callback_url": "Save a callback URL first."})
    posted: Posted = await desktop.tools.test_report(account)
    await desktop.tools.office.record_audit(desktop.entry(visit, "webhook.test", account.name))
    return await _webhook(desktop, visit, account, posted=posted)


async def rotate_secret(desktop: Desktop, visit: Visit) -> Answer:
    """A new callback secret; the one before signs beside it for a day (P18)."""
    account = await desktop.account(visit)
    secret = new_secret()
    kept = desktop.tools.office.record_audit(desktop.entry(visit, "webhook.secret", account.name, "made anew"))
    await desktop.tools.store.rotate_callback_secret(account.name, secret, desktop.tools.clock.now())
    await kept
    return await _webhook(desktop, visit, await desktop.account(visit), secret=secret)


# --- account ----------------------------------------------------------------------------------------------------------


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
    wanted: dict[str, Any] = {"timezone": form["timezone"], "default_from": form["default_from"] or None}
    for name, least, most in (("max_parts", 1, 255), ("retention_days", 7, 3650)):
        wanted[name] = _whole(form[name], least, most)
        if form[name] and wanted[name] is None:
            problems[name] = f"A whole number from {least} to {most}, or empty."
    if len(form["default_from"]) > 15:
        problems["default_from"] = "At most 15 characters."
    if problems:
        return await _account(desktop, visit, found, problems=problems, form=form)
    await _store(desktop, visit, found, wanted, "account.save")
    return redirect(desktop.url("/settings/account?saved=1"))


def _whole(text: str, least: int, most: int) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    return None
