"""Messages: the search, which is its URL, and the page of one message with its whole story."""

from typing import Any
from urllib.parse import urlencode

from kvitto.core.status import FINAL
from kvitto.core.words import explain
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.reports.search import parse_query
from kvitto.reports.story import timeline
from kvitto.store.office import Found

__all__ = ["events", "one", "page"]


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """A page of what the search finds, newest first."""
    asked = visit.query.get("q", "").strip()
    zone = await desktop.zone(visit)
    query = parse_query(asked, visit.account_id, visit.now, zone)
    word = asked.upper()
    if len(word) == 26 and not word.endswith("0000") and await desktop.tools.reader.message(visit.account_id, word):
        return redirect(desktop.url(f"/messages/{word}"))
    look = query.look
    if visit.query.get("before"):
        look = look._replace(before=visit.query["before"][:26])
    found = Found([], None) if query.problems else await desktop.tools.reader.search(look)
    following = f"?{urlencode({'q': asked, 'before': found.next})}" if found.next else ""
    return await desktop.page(
        visit,
        "messages.html",
        q=asked,
        problems=query.problems,
        rows=found.rows,
        following=following,
        short=found.short,
        first=not visit.query.get("before"),
        names=await account_names(desktop, visit),
    )


async def account_names(desktop: Desktop, visit: Visit) -> dict[str, str]:
    """The accounts' names where several are looked at."""
    return {} if visit.account_id else {one.id: one.name for one in await desktop.tools.reader.accounts()}


async def _values(desktop: Desktop, visit: Visit) -> dict[str, Any]:
    found = await desktop.tools.reader.message(visit.account_id, visit.params["message_id"].upper())
    if found is None:
        raise Refused(404, "There is no such message, or it has been removed when its time was over.")
    row = found.row
    why = explain(row.status, row.reason, row.notes, row.error)
    return {"message": found, "row": row, "steps": timeline(found), "why": why}


async def one(desktop: Desktop, visit: Visit) -> Answer:
    """One message's whole story."""
    return await desktop.page(visit, "message.html", **await _values(desktop, visit))


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """The story as it goes on, until the message has ended and nothing waits any more."""
    zone = await desktop.zone(visit)
    await _values(desktop, visit)

    async def draw() -> Drawn:
        values = await _values(desktop, visit)
        message = values["message"]
        waiting = any(callback.state == "pending" for callback in message.callbacks)
        over = message.row.status in FINAL and not waiting
        return Drawn({"message": desktop.render(visit, "parts/message_live.html", zone=zone, **values)}, over)

    return desktop.live(visit, draw)
