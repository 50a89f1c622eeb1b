"""Callbacks: endpoints and how they fare, what was told to whom, each attempt, sending again and replaying."""

import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from kvitto.core.endpoint import parse_endpoint_id
from kvitto.core.model import CallbackState
from kvitto.core.record import CallbackFilter, NewReplay
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.views.messages import account_names
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.reports.overview import SPANS
from kvitto.reports.times import instant_of

__all__ = ["cancel_replay", "events", "one", "page", "replay", "resend"]

_NEWEST: Final = 1 << 62
LEAST_RATE: Final = 0.1
MOST_RATE: Final = 10_000
"""Callbacks a second that a replay makes due."""
BETWEEN: Final = "between"
_FORM: Final[Mapping[str, str]] = {
    "states": "given_up",
    "since": "24h",
    "from": "",
    "until": "",
    "endpoint": "",
    "rate": "50",
}
"""The fields of a replay, as the form shows them first."""
_SINCE_MS: Final = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}
_STATES: Final = {
    "given_up": (CallbackState.GIVEN_UP,),
    "done": (CallbackState.DONE,),
    "finished": (CallbackState.DONE, CallbackState.GIVEN_UP),
}


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Callbacks, newest first, with the figures of the last day, endpoints and replays."""
    return await _page(desktop, visit)


async def _page(desktop: Desktop, visit: Visit, **more: Any) -> Answer:
    values: dict[str, Any] = {"problems": {}, "form": _FORM, **more}
    shown = {**await _state(desktop, visit), **await _rows(desktop, visit), **values}
    status = 400 if values["problems"] else 200
    return await desktop.page(visit, "callbacks.html", status, **shown, done=visit.query.get("done", ""))


async def _state(desktop: Desktop, visit: Visit) -> dict[str, Any]:
    """The figures of the last day, endpoints and replays."""
    reader = desktop.tools.reader
    shown = await reader.overview(visit.account_id, SPANS["24h"])
    return {
        "counts": shown.figures.callbacks,
        "endpoints": await reader.endpoints(visit.account_id),
        "replays": await reader.replays(visit.account_id),
        "names": await account_names(desktop, visit),
    }


async def _rows(desktop: Desktop, visit: Visit) -> dict[str, Any]:
    before = _number(visit.query.get("before", ""))
    rows, following = await desktop.tools.reader.callbacks(visit.account_id, _NEWEST if before is None else before)
    return {"rows": rows, "following": following, "before": before}


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """The figures with endpoints, the replays, and the newest page, each whenever it changed."""
    zone = await desktop.zone(visit)

    async def draw() -> Drawn:
        values = {**await _state(desktop, visit), **await _rows(desktop, visit), "csrf": visit.session.csrf}
        pieces = {name: f"parts/callbacks_{name}.html" for name in ("state", "replays", "rows")}
        return Drawn(
            {name: desktop.render(visit, part, zone=zone, **values) for name, part in pieces.items()},
        )

    return desktop.live(visit, draw)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


async def one(desktop: Desktop, visit: Visit) -> Answer:
    """One callback with every attempt that is kept."""
    found = await desktop.tools.reader.callback(visit.account_id, _number(visit.params["callback_id"]) or 0)
    if found is None:
        raise Refused(404, "There is no such callback.")
    return await desktop.page(visit, "callback.html", callback=found[0], attempts=found[1])


async def resend(desktop: Desktop, visit: Visit) -> Answer:
    """Make one due now, its schedule from the beginning."""
    number = _number(visit.params["callback_id"]) or 0
    if await desktop.tools.reader.callback(visit.account_id, number) is None:
        raise Refused(404, "There is no such callback.")
    entry = desktop.entry(visit, "callback.resend", str(number))
    done = await desktop.tools.store.resend_callback(visit.account_id, number, desktop.tools.clock.now(), entry)
    if not done:
        raise Refused(409, "It is being posted just now.")
    return redirect(desktop.url(f"/callbacks/{number}"))


async def replay(desktop: Desktop, visit: Visit) -> Answer:
    """Tell again what a filter finds, step by step."""
    form = {name: visit.form.get(name, usual).strip() for name, usual in _FORM.items()}
    now, zone = desktop.tools.clock.now(), await desktop.zone(visit)
    wanted, problems = await _filter(desktop, visit, form, now, zone)
    rate = _rate(form["rate"])
    if rate is None:
        problems["rate"] = f"Callbacks a second, from {LEAST_RATE} to {MOST_RATE}."
    if problems or wanted is None or rate is None:
        return await _page(desktop, visit, problems=problems, form=form)
    entry = desktop.entry(visit, "callback.replay", "callbacks", _words(form))
    await desktop.tools.store.start_replay(NewReplay(wanted, rate, now), entry)
    return redirect(desktop.url("/callbacks?done=replay"))


async def _filter(
    desktop: Desktop, visit: Visit, form: Mapping[str, str], now: int, zone: ZoneInfo
) -> tuple[CallbackFilter | None, dict[str, str]]:
    """What is meant, and what is wrong, by field."""
    problems: dict[str, str] = {}
    states = _STATES.get(form["states"])
    if states is None:
        problems["states"] = "Say which callbacks."
    since_at, until_at = _span(form, now, zone, problems)
    endpoint = None
    if form["endpoint"]:
        found = await desktop.tools.reader.endpoint(visit.account_id, form["endpoint"])
        if found is None or parse_endpoint_id(form["endpoint"]) is None:
            problems["endpoint"] = "There is no such endpoint."
        else:
            endpoint = found.id
    if problems or states is None:
        return None, problems
    account_id = visit.account_id
    wanted = CallbackFilter(
        account_id=account_id, endpoint=endpoint, states=states, since_at=since_at, until_at=until_at
    )
    return wanted, problems


def _span(form: Mapping[str, str], now: int, zone: ZoneInfo, problems: dict[str, str]) -> tuple[int | None, int | None]:
    """From when to when; a field that is wrong is named in ``problems``."""
    if form["since"] in _SINCE_MS:
        return now - _SINCE_MS[form["since"]], None
    if form["since"] != BETWEEN:
        problems["since"] = "Say since when."
        return None, None
    ends: list[int | None] = []
    for name in ("from", "until"):
        at = instant_of(form[name], zone)
        if at is None and (form[name] or name == "from"):
            problems[name] = "A time such as 2026-03-09 14:05, in the account's zone."
        ends.append(at)
    if ends[0] is not None and ends[1] is not None and ends[1] <= ends[0]:
        problems["until"] = "This is not after the beginning."
    return ends[0], ends[1]


def _rate(text: str) -> float | None:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", text):
        return None
    return float(text) if LEAST_RATE <= float(text) <= MOST_RATE else None


def _words(form: Mapping[str, str]) -> str:
    """A replay in words, for the audit."""
    when = f"{form['from']} to {form['until'] or 'now'}" if form["since"] == BETWEEN else f"the last {form['since']}"
    where = f", to {form['endpoint']}" if form["endpoint"] else ""
    return f"{form['states']} of {when}{where}, {form['rate']} a second"


async def cancel_replay(desktop: Desktop, visit: Visit) -> Answer:
    """Stop a replay."""
    number = _number(visit.params["replay_id"]) or 0
    if await desktop.tools.store.fetch_replay(visit.account_id, number) is None:
        raise Refused(404, "There is no such replay.")
    entry = desktop.entry(visit, "callback.replay.cancel", str(number))
    await desktop.tools.store.cancel_replay(visit.account_id, number, entry)
    return redirect(desktop.url("/callbacks"))
