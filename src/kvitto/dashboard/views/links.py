"""Links, for operators: binds, windows, rates, counters of R54, a look at the SMSC, and parts in doubt."""

from typing import Any

from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.web import Answer, Refused, Visit

__all__ = ["events", "page", "test"]


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Every link."""
    return await _page(desktop, visit)


async def _page(desktop: Desktop, visit: Visit, **more: Any) -> Answer:
    values: dict[str, Any] = {"tested": "", "result": None, **more}
    return await desktop.page(visit, "links.html", **await _values(desktop), **values)


async def _values(desktop: Desktop) -> dict[str, Any]:
    """What every node said of its links last, and what is in doubt."""
    return {"links": await desktop.tools.reader.links(), "doubt": await desktop.tools.reader.in_doubt()}


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """Links and what is in doubt, whenever they changed."""
    zone = await desktop.zone(visit)

    async def draw() -> Drawn:
        values = await _values(desktop)
        return Drawn(
            {"message": desktop.render(visit, "parts/links_live.html", zone=zone, csrf=visit.session.csrf, **values)}
        )

    return desktop.live(visit, draw)


async def test(desktop: Desktop, visit: Visit) -> Answer:
    """Connect, bind, enquire, unbind; say what is wrong."""
    name = visit.params["name"]
    if name not in {one.state.link for one in await desktop.tools.reader.links()}:
        raise Refused(404, "There is no such link.")
    await desktop.tools.office.record_audit(desktop.entry(visit, "link.test", name))
    return await _page(desktop, visit, tested=name, result=await desktop.tools.test_link(name))
