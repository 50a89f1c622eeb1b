"""Callbacks: what was told to whom, and what came back."""

from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.views.messages import account_names
from kvitto.dashboard.web import Answer, Visit
from kvitto.reports.overview import SPANS

__all__ = ["page"]

_NEWEST = 1 << 62


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Callbacks, newest first, with the figures of the last day."""
    before = visit.query.get("before", "")
    rows, following = await desktop.tools.reader.callbacks(
        visit.account_id, int(before) if before.isdecimal() and len(before) < 19 else _NEWEST
    )
    shown = await desktop.tools.reader.overview(visit.account_id, SPANS["24h"])
    return await desktop.page(
        visit,
        "callbacks.html",
        rows=rows,
        following=following,
        counts=shown.figures.callbacks,
        names=await account_names(desktop, visit),
    )
