"""Settings => Webhook: where reports go and in whose words, which, what acknowledges them, a test, the last deliveries.

The page of docs/dialects/ninebits.md 8. Every change is kept in the audit. Next: ``endpoints`` beside this file (what
is set for where a URL leads).
"""

from typing import Any, Final
from zoneinfo import available_timezones

from kvitto.core.endpoint import Endpoint, NewEndpoint
from kvitto.core.fields import ENDPOINT_FIELDS
from kvitto.core.ids import new_secret
from kvitto.core.model import Account
from kvitto.core.status import FINAL, Status
from kvitto.core.urls import BadUrl, parse_target
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.tools import Posted
from kvitto.dashboard.views.settings import store_settings
from kvitto.dashboard.web import Answer, Visit, redirect

__all__ = ["page", "rotate_secret", "save", "test", "url_problem"]

MOST_URL: Final = 2048
ENDPOINT_NAME: Final = "webhook"
CHOICES: Final = tuple(status for status in Status if status is not Status.QUEUED)
"""Statuses that may be chosen; that it is queued is never told, the answer to the request says it."""


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """The callback URL and everything about it."""
    return await _webhook(desktop, visit, await desktop.account(visit), saved=visit.query.get("saved") == "1")


async def _webhook(desktop: Desktop, visit: Visit, account: Account, **more: Any) -> Answer:
    tries = await desktop.tools.reader.tries(account.id)
    values: dict[str, Any] = {"problems": {}, "posted": None, "saved": False, "secret": "", "form": None}
    values |= {"chosen": (), **more}
    form = values.pop("form") or _form_of(account, await _endpoint(desktop, account))
    chosen = values.pop("chosen") or account.callback_statuses
    return await desktop.page(
        visit,
        "settings_webhook.html",
        400 if values["problems"] else 200,
        account=account,
        form=form,
        chosen=chosen,
        tries=tries,
        choices=CHOICES,
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
        "incoming_url": account.incoming_url or "",
        "callback_dialect": account.callback_dialect or "",
        "which": "some" if account.callback_statuses else "final" if account.final_only else "all",
        "ack": account.ack,
        "timezone": account.timezone,
    }


async def save(desktop: Desktop, visit: Visit) -> Answer:
    """Check and store; nothing is stored while anything is wrong."""
    account = await desktop.account(visit)
    form = {name: visit.form.get(name, "").strip() for name in _form_of(account)}
    chosen = tuple(one for one in CHOICES if one in visit.many.get("status", ()))
    problems = await _problems(desktop, account, form)
    if form["which"] == "some" and not chosen:
        problems["which"] = "Choose at least one status."
    if problems:
        return await _webhook(desktop, visit, account, problems=problems, form=form, chosen=chosen)
    wanted: dict[str, Any] = {
        "callback_url": form["callback_url"] or None,
        "incoming_url": form["incoming_url"] or None,
        "callback_dialect": form["callback_dialect"] or None,
        **_which(form["which"], chosen),
        "ack": form["ack"],
        "timezone": form["timezone"],
    }
    await store_settings(desktop, visit, account, wanted, "webhook.save")
    if form["callback_url"]:
        await _store_basic(desktop, visit, account, form)
    return redirect(desktop.url("/settings/webhook?saved=1"))


def _which(word: str, chosen: tuple[Status, ...]) -> dict[str, Any]:
    """What to tell, as settings. Without a choice that is no end, ``final_only`` spares what would not be told."""
    if word == "some":
        return {"final_only": not any(one not in FINAL for one in chosen), "callback_statuses": chosen}
    return {"final_only": word == "final", "callback_statuses": ()}


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
    entry = desktop.entry(visit, "webhook.basic", account.name, "on" if user else "off")
    if endpoint is None:
        await store.create_endpoint(NewEndpoint(account.id, ENDPOINT_NAME, url, now, changes), entry)
    else:
        await store.set_endpoint(account.id, endpoint.id, changes, now, entry)


async def _problems(desktop: Desktop, account: Account, form: dict[str, str]) -> dict[str, str]:
    problems = {}
    for name in ("callback_url", "incoming_url"):
        if form[name] and (found := await url_problem(desktop, account, form[name])):
            problems[name] = found
    if form["which"] not in ("all", "final", "some"):
        problems["which"] = "Every change, final reports only, or those that you choose."
    for name in ("username", "password"):
        if form[f"auth_{name}"] and (wrong := _wrong_basic(name, form[f"auth_{name}"])):
            problems[f"auth_{name}"] = wrong
    if form["auth_username"] and not form["auth_password"] and form["callback_url"] and not problems:
        endpoint = await desktop.tools.store.fetch_endpoint(account.id, form["callback_url"])
        if endpoint is None or endpoint.password is None:
            problems |= {"auth_password": "Enter the password, too: none is kept for this server."}
    if form["callback_dialect"] and form["callback_dialect"] not in desktop.tools.dialects:
        problems["callback_dialect"] = f"One of {', '.join(desktop.tools.dialects)}, or the batch's own."
    if form["ack"] not in ("body", "http"):
        problems["ack"] = "Either the body or any 2xx acknowledges."
    if form["timezone"] not in available_timezones():
        problems["timezone"] = "A name of the IANA time zone database, such as Africa/Lagos."
    return problems


def _wrong_basic(name: str, text: str) -> str:
    """What the endpoint's own page, the API and the command would say of it; "" for nothing."""
    try:
        ENDPOINT_FIELDS[name].read(text)
    except ValueError as wrong:
        return f"Wanted: {wrong}."
    return ""


async def url_problem(desktop: Desktop, account: Account, url: str) -> str:
    """What is wrong with a URL that somebody entered; "" for nothing (docs/dialects/ninebits.md 8)."""
    if len(url) > MOST_URL:
        return f"At most {MOST_URL} characters; this one has {len(url)}."
    if "#" in url:
        return "A callback URL has no fragment (#...)."
    if "@" in _authority(url):
        return "User and password do not go into the URL: use the two fields for Basic authentication."
    target = parse_target(url)
    if isinstance(target, BadUrl):
        return f"This is no URL that can be called: {target.reason}."
    return await desktop.tools.objection_to(url, account)


async def test(desktop: Desktop, visit: Visit) -> Answer:
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
    entry = desktop.entry(visit, "webhook.secret", account.name, "made anew")
    await desktop.tools.store.rotate_callback_secret(account.name, secret, desktop.tools.clock.now(), entry)
    return await _webhook(desktop, visit, await desktop.account(visit), secret=secret)


def _authority(url: str) -> str:
    """What stands between the scheme and the path, whatever else is wrong with it."""
    rest = url.partition("://")[2]
    return rest[: min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))]
