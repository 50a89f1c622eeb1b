"""Parts in doubt, for operators: written to a link, or about to be, when it or this server went away (R12).

Nobody knows whether the SMSC has them. An operator decides: send again, which may bring a phone the same SMS twice, or
end them. Both are asked for twice and kept in the audit. Next: ``links`` beside this file.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from kvitto.core.model import PartKey
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Refused, Visit, redirect
from kvitto.store.api import InDoubtPart

__all__ = ["end", "page", "resend"]

SHOWN: Final = 200
AT_ONCE: Final = 1000
"""Parts decided in one transaction."""


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """All parts in doubt, or those that are to be decided: of one ``link``, or one ``part`` (message.part)."""
    return await _page(desktop, visit, visit.query.get("link", ""), visit.query.get("part", ""))


async def _page(desktop: Desktop, visit: Visit, link: str, part: str, **more: Any) -> Answer:
    values: dict[str, Any] = {"problem": "", **more}
    found = await desktop.tools.reader.in_doubt()
    meant = _meant(found, link, part)
    return await desktop.page(
        visit,
        "doubts.html",
        400 if values["problem"] else 200,
        parts=(meant if link or part else found)[:SHOWN],
        total=len(meant if link or part else found),
        links=sorted(Counter(one.link for one in found).items()),
        link=link,
        part=part,
        done=visit.query.get("done", ""),
        count=visit.query.get("count", ""),
        **values,
    )


def _meant(found: Sequence[InDoubtPart], link: str, part: str) -> list[InDoubtPart]:
    if link:
        return [one for one in found if one.link == link]
    return [one for one in found if f"{one.message_id}.{one.part_no}" == part]


async def resend(desktop: Desktop, visit: Visit) -> Answer:
    """Back to the queue."""
    return await _decide(desktop, visit, "resend")


async def end(desktop: Desktop, visit: Visit) -> Answer:
    """End their messages: UNKNOWN, ``not_acknowledged``."""
    return await _decide(desktop, visit, "end")


async def _decide(desktop: Desktop, visit: Visit, what: str) -> Answer:
    link, part, store = visit.form.get("link", ""), visit.form.get("part", ""), desktop.tools.store
    if not link and not part:
        raise Refused(400, "Say which parts: those of a link, or one.")
    if visit.form.get("sure") != "1":
        words = "Say that you know what this does: check the box, then repeat it."
        return await _page(desktop, visit, link, part, problem=words)
    meant = _meant(await desktop.tools.reader.in_doubt(), link, part)
    done, verb = 0, store.resend_in_doubt if what == "resend" else store.end_in_doubt
    keys = [PartKey(one.message_id, one.part_no) for one in meant]
    for some in (keys[at : at + AT_ONCE] for at in range(0, len(keys), AT_ONCE)):
        detail = f"{len(some)} {'part' if len(some) == 1 else 'parts'}"
        entry = desktop.entry(visit, f"doubt.{what}", f"link {link}" if link else part, detail)
        done += await verb(some, desktop.tools.clock.now(), entry)
    return redirect(desktop.url(f"/links/doubts?done={what}&count={done}"))
