"""Try it: send from the page, to the simulator's magic numbers or any other, and go and watch; lines to paste."""

from typing import Final

from kvitto.core.model import Content, Notify, Submission
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Visit, redirect

__all__ = ["page", "post"]

MOST_NUMBERS: Final = 100
MOST_TEXT: Final = 2000


async def page(desktop: Desktop, visit: Visit) -> Answer:
    """The form."""
    return await _form(desktop, visit)


async def _form(desktop: Desktop, visit: Visit, problem: str = "") -> Answer:
    account = await desktop.account(visit)
    sample = f"999{visit.now % 10_000_000:07d}"
    return await desktop.page(
        visit,
        "try.html",
        400 if problem else 200,
        problem=problem,
        magic=[(f"{sample}{one.number}", one.description) for one in desktop.tools.magic],
        chosen=set(visit.many.get("magic", ())),
        form={name: visit.form.get(name, "") for name in ("to", "text", "from")},
        curl=desktop.tools.curl(account),
        dialects=desktop.tools.dialects,
        account=account,
    )


async def post(desktop: Desktop, visit: Visit) -> Answer:
    """Send, and show the batch."""
    account = await desktop.account(visit)
    typed = visit.form.get("to", "").replace(",", " ").replace(";", " ").split()
    numbers = [one.lstrip("+") for one in (*visit.many.get("magic", ()), *typed)]
    text = visit.form.get("text", "").strip()
    problem = _problem(numbers, text)
    if problem:
        return await _form(desktop, visit, problem)
    dialect = visit.form.get("dialect", "")
    submission = Submission(
        dialect=dialect if dialect in desktop.tools.dialects else desktop.tools.dialects[0],
        sender=visit.form.get("from", "").strip() or account.default_from or "Kvitto",
        recipients=tuple(dict.fromkeys(numbers)),
        content=Content(text=text),
        notify=Notify.CHANGES if account.callback_url else None,
        client_reference="from the dashboard",
    )
    kept = desktop.tools.office.record_audit(desktop.entry(visit, "send", f"{len(numbers)} numbers", "from Try it"))
    sent = await desktop.tools.send(submission, account)
    await kept
    if sent.problem:
        return await _form(desktop, visit, sent.problem)
    return redirect(desktop.url(f"/batches/{sent.batch_id}"))


def _problem(numbers: list[str], text: str) -> str:
    if not numbers:
        return "Choose a number from the list, or type one."
    if len(numbers) > MOST_NUMBERS:
        return f"At most {MOST_NUMBERS} numbers from here; the API takes more."
    wrong = [one for one in numbers if not (one.isascii() and one.isdigit() and 3 <= len(one) <= 15)]
    if wrong:
        return "A number is 3 to 15 digits, with its country code; at least one of these is not."
    if not text:
        return "Write a text."
    return f"At most {MOST_TEXT} characters from here." if len(text) > MOST_TEXT else ""
