"""The overview: traffic, statuses, times, errors, links, and what needs attention; it moves by itself."""

from typing import Any

from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.web import Answer, Visit

__all__ = ["events", "page"]


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """The page as it is now."""
    return await desktop.page(visit, "overview.html", **await _values(desktop, visit))


async def _values(desktop: Desktop, visit: Visit) -> dict[str, Any]:
    span = desktop.tools.reader.span(visit.query.get("span", ""))
    shown = await desktop.tools.reader.overview(visit.account_id, span)
    return {"span": span, "figures": shown.figures, "links": shown.links, "needs": shown.needs}


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """Its live part, whenever it changed."""
    zone = await desktop.zone(visit)

    async def draw() -> Drawn:
        values = await _values(desktop, visit)
        return Drawn({"message": desktop.render(visit, "parts/overview_live.html", zone=zone, **values)})

    return desktop.live(visit, draw)
