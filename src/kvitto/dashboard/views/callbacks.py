"""Callbacks: endpoints and how they fare, what was told to whom, each attempt, sending again and replaying."""

from typing import Final

from kvitto.core.endpoint import DisabledWhy
from kvitto.core.model import CallbackState
from kvitto.core.record import CallbackFilter, NewReplay
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.views.messages import account_names
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.reports.overview import SPANS

__all__ = ["cancel_replay", "one", "page", "replay", "resend", "switch"]

_NEWEST: Final = 1 << 62
REPLAY_RATE: Final = 50.0
"""Callbacks a second that a replay from here makes due."""
_SINCE_MS: Final = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}
_STATES: Final = {
    "given_up": (CallbackState.GIVEN_UP,),
    "finished": (CallbackState.DONE, CallbackState.GIVEN_UP),
}


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Callbacks, newest first, with the figures of the last day, endpoints and replays."""
    reader, before = desktop.tools.reader, _number(visit.query.get("before", ""))
    rows, following = await reader.callbacks(visit.account_id, _NEWEST if before is None else before)
    shown = await reader.overview(visit.account_id, SPANS["24h"])
    return await desktop.page(
        visit,
        "callbacks.html",
        rows=rows,
        following=following,
        counts=shown.figures.callbacks,
        endpoints=await reader.endpoints(visit.account_id),
        replays=await reader.replays(visit.account_id),
        names=await account_names(desktop, visit),
        done=visit.query.get("done", ""),
    )


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
    kept = desktop.tools.office.record_audit(desktop.entry(visit, "callback.resend", str(number)))
    done = await desktop.tools.store.resend_callback(visit.account_id, number, desktop.tools.clock.now())
    await kept
    if not done:
        raise Refused(409, "It is being posted just now.")
    return redirect(desktop.url(f"/callbacks/{number}"))


async def replay(desktop: Desktop, visit: Visit) -> Answer:
    """Tell again what a filter finds, step by step."""
    since_ms, states = _SINCE_MS.get(visit.form.get("since", "")), _STATES.get(visit.form.get("states", ""))
    if since_ms is None or states is None:
        raise Refused(400, "Say which callbacks, and since when.")
    now = desktop.tools.clock.now()
    wanted = CallbackFilter(account_id=visit.account_id, states=states, since_at=now - since_ms)
    detail = f"{visit.form['states']} of the last {visit.form['since']}"
    kept = desktop.tools.office.record_audit(desktop.entry(visit, "callback.replay", "callbacks", detail))
    await desktop.tools.store.start_replay(NewReplay(wanted, REPLAY_RATE, now))
    await kept
    return redirect(desktop.url("/callbacks?done=replay"))


async def cancel_replay(desktop: Desktop, visit: Visit) -> Answer:
    """Stop a replay."""
    number = _number(visit.params["replay_id"]) or 0
    if await desktop.tools.store.fetch_replay(visit.account_id, number) is None:
        raise Refused(404, "There is no such replay.")
    kept = desktop.tools.office.record_audit(desktop.entry(visit, "callback.replay.cancel", str(number)))
    await desktop.tools.store.cancel_replay(visit.account_id, number)
    await kept
    return redirect(desktop.url("/callbacks"))


async def switch(desktop: Desktop, visit: Visit) -> Answer:
    """Disable or enable an endpoint."""
    what, store, now = visit.params["what"], desktop.tools.store, desktop.tools.clock.now()
    found = await desktop.tools.reader.endpoint(visit.account_id, visit.params["endpoint_id"])
    if found is None or what not in ("enable", "disable"):
        raise Refused(404, "There is no such endpoint.")
    entry = desktop.entry(visit, f"endpoint.{what}", found.public_id)._replace(account_id=found.account_id)
    kept = desktop.tools.office.record_audit(entry)
    if what == "enable":
        await store.enable_endpoint(visit.account_id, found.id, now)
    else:
        await store.disable_endpoint(visit.account_id, found.id, DisabledWhy.OPERATOR, now)
    await kept
    return redirect(desktop.url("/callbacks"))
