"""Batches: the list, and the page of one that fills while one looks; cancelling; files to take away."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from kvitto.core.status import FINAL
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.views.messages import account_names
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.reports.export import csv_lines, ndjson_lines
from kvitto.reports.reader import LAST, BatchPage
from kvitto.store.office import Row

__all__ = ["cancel", "events", "export_csv", "export_ndjson", "one", "page"]

_Lines = Callable[[AsyncIterator[list[Row]], Callable[[str], str]], AsyncIterator[bytes]]


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Batches, newest first."""
    before = visit.query.get("before", "")[:26] or LAST
    rows, following = await desktop.tools.reader.batches(visit.account_id, before)
    names = await account_names(desktop, visit)
    return await desktop.page(visit, "batches.html", rows=rows, following=following, names=names)


async def _batch(desktop: Desktop, visit: Visit) -> BatchPage:
    after = visit.query.get("after", "")[:26]
    found = await desktop.tools.reader.batch(visit.account_id, visit.params["batch_id"].upper(), after)
    if found is None:
        raise Refused(404, "There is no such batch, or it has been removed when its time was over.")
    return found


def _values(found: BatchPage) -> dict[str, Any]:
    ended = sum(one.count for one in found.report.counts if one.status in FINAL)
    total = found.report.message_count
    return {"found": found, "batch": found.batch, "total": total, "ended": ended, "over": ended == total}


async def one(desktop: Desktop, visit: Visit) -> Answer:
    """One batch."""
    found = await _batch(desktop, visit)
    paged = visit.query.get("after", "")
    return await desktop.page(visit, "batch.html", after=paged, **_values(found))


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """Its live part, until every message has ended."""
    zone = await desktop.zone(visit)
    await _batch(desktop, visit)

    async def draw() -> Drawn:
        values = _values(await _batch(desktop, visit))
        html = desktop.render(visit, "parts/batch_live.html", zone=zone, **values)
        return Drawn({"message": html}, bool(values["over"]))

    return desktop.live(visit, draw)


async def cancel(desktop: Desktop, visit: Visit) -> Answer:
    """Cancel what no link has taken yet."""
    found = await _batch(desktop, visit)
    account = await desktop.tools.reader.account(found.batch.account_id)
    if account is None:
        raise Refused(404, "The account of this batch is gone.")
    entry = desktop.entry(visit, "batch.cancel", found.batch.id)._replace(account_id=account.id)
    kept = desktop.tools.office.record_audit(entry)
    problem = await desktop.tools.cancel(account, found.batch.id)
    await kept
    if problem:
        raise Refused(409, problem)
    return redirect(desktop.url(f"/batches/{found.batch.id}"))


async def export_csv(desktop: Desktop, visit: Visit) -> Answer:
    """Every recipient as CSV."""
    return await _export(desktop, visit, "csv", "text/csv; charset=utf-8", csv_lines)


async def export_ndjson(desktop: Desktop, visit: Visit) -> Answer:
    """Every recipient as NDJSON."""
    return await _export(desktop, visit, "ndjson", "application/x-ndjson", ndjson_lines)


async def _export(desktop: Desktop, visit: Visit, kind: str, content_type: str, lines: _Lines) -> Answer:
    found = await _batch(desktop, visit)
    await desktop.tools.office.record_audit(desktop.entry(visit, "batch.export", found.batch.id, kind))
    name = f'attachment; filename="batch-{found.batch.id}.{kind}"'
    stream = lines(desktop.tools.reader.export(found.batch.id), desktop.shows(visit))
    return Answer(200, b"", content_type, (("Content-Disposition", name), ("Cache-Control", "no-store")), stream)
