"""One endpoint: how it fares, and all that can be set for it. Secrets go in and are never shown again.

Private networks are opened by operators alone: they are the server's own (docs/promises.md P19). Every change is kept
in the audit, by the names of the settings. Next: ``kvitto.core.fields`` (the settings as one table).
"""

from collections.abc import Mapping
from typing import Any, Final

from kvitto.core.endpoint import DisabledWhy, Endpoint, Profile
from kvitto.core.fields import ENDPOINT_FIELDS
from kvitto.core.ids import new_secret
from kvitto.core.users import AuditEntry, Role
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Refused, Visit, redirect

__all__ = ["page", "rotate_secret", "save", "switch"]

PLAIN: Final = ("name", "profile", "concurrency", "rate", "username", "allow_callbacks_to")
"""Shown as they are; an empty field clears the setting, but for the name, which stays."""
WRITTEN: Final = ("headers", "password", "ca_pem", "client_cert_pem", "client_key_pem")
"""Never shown: an empty field leaves the setting as it is, and a box beside it clears it."""
CLEARED: Final[Mapping[str, tuple[str, ...]]] = {
    "headers": ("headers",),
    "password": ("password",),
    "ca": ("ca_pem",),
    "client": ("client_cert_pem", "client_key_pem"),
}
OPERATORS_ALONE: Final = frozenset({"allow_callbacks_to"})
MOST_PEM: Final = 65_536


async def _endpoint(desktop: Desktop, visit: Visit) -> Endpoint:
    found = await desktop.tools.reader.endpoint(visit.account_id, visit.params["endpoint_id"])
    if found is None:
        raise Refused(404, "There is no such endpoint.")
    return found


def _entry(desktop: Desktop, visit: Visit, action: str, one: Endpoint, detail: str = "") -> AuditEntry:
    return desktop.entry(visit, action, one.public_id, detail)._replace(account_id=one.account_id)


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """The endpoint and its settings."""
    return await _page(desktop, visit, await _endpoint(desktop, visit), saved=visit.query.get("saved") == "1")


async def _page(desktop: Desktop, visit: Visit, one: Endpoint, **more: Any) -> Answer:
    values: dict[str, Any] = {"problems": {}, "saved": False, "secret": "", "form": None, **more}
    form = values.pop("form") or _form_of(one)
    return await desktop.page(
        visit,
        "endpoint.html",
        400 if values["problems"] else 200,
        endpoint=one,
        stats=await desktop.tools.reader.endpoint_stats(one),
        form=form,
        profiles=[str(profile) for profile in Profile],
        **values,
    )


def _form_of(one: Endpoint) -> dict[str, str]:
    shown = {name: "" if (value := getattr(one, name)) is None else str(value) for name in PLAIN}
    return {**shown, "allow_callbacks_to": ", ".join(one.allow_callbacks_to), **dict.fromkeys(WRITTEN, "")}


async def save(desktop: Desktop, visit: Visit) -> Answer:
    """Check and store; nothing is stored while anything is wrong."""
    one = await _endpoint(desktop, visit)
    form = {name: visit.form.get(name, "").replace("\r\n", "\n").strip() for name in (*PLAIN, *WRITTEN)}
    changes, problems = _read(one, form, visit)
    whole = {name: getattr(one, name) for name in ("ca_pem", "client_cert_pem", "client_key_pem")}
    if not problems and (problem := desktop.tools.endpoint_problem({**whole, **changes})) is not None:
        problems[problem[0]] = f"{problem[1][:1].upper()}{problem[1][1:]}."
    if problems:
        return await _page(desktop, visit, one, problems=problems, form={**form, **dict.fromkeys(WRITTEN, "")})
    if changes:
        entry = _entry(desktop, visit, "endpoint.save", one, ", ".join(changes))
        now = desktop.tools.clock.now()
        if await desktop.tools.store.set_endpoint(visit.account_id, one.id, changes, now, entry) is None:
            taken = {"name": "Another endpoint of the account has this name."}
            return await _page(desktop, visit, one, problems=taken, form=form)
    return redirect(desktop.url(f"/callbacks/endpoints/{one.public_id}?saved=1"))


def _read(one: Endpoint, form: Mapping[str, str], visit: Visit) -> tuple[dict[str, object], dict[str, str]]:
    """What is to become another, and what is wrong, by field."""
    changes: dict[str, object] = {}
    problems: dict[str, str] = {}
    for name, text in form.items():
        if name in OPERATORS_ALONE and visit.session.user.role is not Role.OPERATOR:
            continue
        if not text and (name in WRITTEN or name == "name"):
            continue
        if len(text) > MOST_PEM:
            problems[name] = f"At most {MOST_PEM} characters."
            continue
        field = ENDPOINT_FIELDS[name]
        try:
            changes[name] = field.read(text) if text else field.cleared
        except ValueError as wrong:
            problems[name] = f"Wanted: {wrong}."
    for word, names in CLEARED.items():
        if visit.form.get(f"clear_{word}") == "1":
            changes |= {name: ENDPOINT_FIELDS[name].cleared for name in names}
    if not form["username"]:
        changes["password"] = None
    return {name: value for name, value in changes.items() if value != getattr(one, name)}, problems


async def rotate_secret(desktop: Desktop, visit: Visit) -> Answer:
    """A secret of its own, shown this once; the one before signs beside it for a day (P18)."""
    one, secret, now = await _endpoint(desktop, visit), new_secret(), desktop.tools.clock.now()
    entry = _entry(desktop, visit, "endpoint.secret", one, "made anew")
    changed = await desktop.tools.store.rotate_endpoint_secret(visit.account_id, one.id, secret, now, entry)
    if changed is None:
        raise Refused(404, "There is no such endpoint.")
    return await _page(desktop, visit, changed, secret=secret)


async def switch(desktop: Desktop, visit: Visit) -> Answer:
    """Disable or enable an endpoint."""
    what, store, now = visit.params["what"], desktop.tools.store, desktop.tools.clock.now()
    found = await _endpoint(desktop, visit)
    if what not in ("enable", "disable"):
        raise Refused(404, "There is no such endpoint.")
    entry = _entry(desktop, visit, f"endpoint.{what}", found)
    if what == "enable":
        await store.enable_endpoint(visit.account_id, found.id, now, entry)
    else:
        await store.disable_endpoint(visit.account_id, found.id, DisabledWhy.OPERATOR, now, entry)
    return redirect(desktop.url("/callbacks"))
