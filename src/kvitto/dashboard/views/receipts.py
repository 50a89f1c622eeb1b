"""Receipts that somebody should look at, for operators; assigning one by hand (R34); reading one that is pasted."""

from collections.abc import Mapping
from typing import Any, Final

from kvitto.core.model import ReceiptOutcome
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Status
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.live import Drawn
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.reports.story import read_receipt, shown_value
from kvitto.smpp.records import read_pdu_line, read_text_line

__all__ = ["assign", "events", "page", "read"]

MOST_PASTED: Final = 10_000
_PROBLEMS: Final[Mapping[str, str]] = {
    "no_such_receipt": "There is no such receipt any more.",
    "already_matched": "It has a message already.",
    "no_such_message": "There is no such message.",
    "no_such_part": "The message has no such part.",
    "which_part": "Several parts could be meant: say which.",
    "not_sent": "This part was never written to a link.",
    "other_group": "This part went to another group of links (R31).",
    "no_state": "Nothing could be read from it: say which status it means.",
    "has_state": "It says its status itself; leave the field empty.",
}


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """Orphans, unreadable, ambiguous, conflicts and those that wait."""
    return await _page(desktop, visit, assigned=visit.query.get("assigned", ""))


async def _page(desktop: Desktop, visit: Visit, status: int = 200, **more: Any) -> Answer:
    values: dict[str, Any] = {"problem": "", "assigned": "", "pasted": "", "read": None, **more}
    return await desktop.page(visit, "receipts.html", status, **await _values(desktop, visit), **values)


async def _values(desktop: Desktop, visit: Visit) -> dict[str, Any]:
    """A page of receipts, each with what is read in it. ``following``: where the next page begins."""
    wanted, before = visit.query.get("outcome", ""), visit.query.get("before", "")
    outcome = ReceiptOutcome(wanted) if wanted in set(ReceiptOutcome) else None
    rows, following = await desktop.tools.reader.receipts(
        outcome, int(before) if before.isdecimal() and len(before) < 19 else None
    )
    shown = [(row, read_receipt(row.raw, row.received_at)) for row in rows]
    return {"rows": shown, "following": following, "outcome": outcome or "", "before": before}


async def events(desktop: Desktop, visit: Visit) -> Answer:
    """The newest page, whenever it changed."""
    zone = await desktop.zone(visit)

    async def draw() -> Drawn:
        values = await _values(desktop, visit)
        html = desktop.render(visit, "parts/receipts_live.html", zone=zone, csrf=visit.session.csrf, **values)
        return Drawn({"message": html})

    return desktop.live(visit, draw)


async def assign(desktop: Desktop, visit: Visit) -> Answer:
    """Give a receipt to a message, as if it had matched."""
    number, message_id = visit.params["receipt_id"], visit.form.get("message_id", "").strip().upper()
    part, word = visit.form.get("part_no", "").strip(), visit.form.get("status", "")
    if not number.isdecimal() or len(number) > 18:
        raise Refused(404, "There is no such receipt.")
    if part and not (part.isdecimal() and len(part) < 4):
        return await _page(desktop, visit, 400, problem="A part is a number from 1.")
    status = Status(word) if word in set(Status) else None
    entry = desktop.entry(visit, "receipt.assign", number, f"to {message_id[:26]}")
    done = await desktop.tools.assign(int(number), message_id[:26], int(part) if part else None, status, entry)
    if done.problem:
        return await _page(desktop, visit, 409, problem=_PROBLEMS.get(done.problem, done.problem))
    return redirect(desktop.url(f"/receipts?assigned={done.message_id}"))


async def read(desktop: Desktop, visit: Visit) -> Answer:
    """Show how a pasted PDU (hex) or receipt text is read. Nothing is stored."""
    pasted = visit.form.get("pasted", "").strip()[:MOST_PASTED]
    squeezed = "".join(pasted.split())
    if squeezed and all(char in "0123456789abcdefABCDEF" for char in squeezed):
        found = read_pdu_line(squeezed, LinkRules(), visit.now)
    else:
        found = read_text_line(pasted.encode(), LinkRules(), visit.now)
    told = [(name, shown_value(value)) for name, value in found.items() if value not in (None, "") and name != "raw"]
    return await _page(desktop, visit, pasted=pasted, read=told)
