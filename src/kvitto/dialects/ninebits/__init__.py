"""The 9bits SMS API: its send calls, reports and callbacks (docs/dialects/ninebits.md).

Pure, like every dialect. Vendor words stop here: outside this folder nobody sees a JSON key of 9bits'. ``wire`` has the
JSON objects, ``requests`` reads and ``responses`` writes, ``callbacks`` tells, ``statuses`` is the table between our
statuses and theirs, ``openapi`` describes it all.
"""

from collections.abc import Sequence
from typing import Final

from kvitto.core.model import Account, CallbackDue, MessageView, Notify
from kvitto.core.operations import Operation
from kvitto.core.status import FINAL, Note
from kvitto.dialects.base import Answer, Call, Credentials, Problem, Route
from kvitto.dialects.ninebits import callbacks, errors, requests, responses

__all__ = ["ROUTES", "NinebitsDialect"]

_PREFIXES: Final = ("/ng/v1", "/api/v1")
"""The path of today and its older alias; they are the same in everything (section 1)."""


def _routes(prefix: str) -> tuple[Route, ...]:
    reports = f"{prefix}/deliveryreports/{{reference_id}}"
    return (
        Route("POST", f"{prefix}/sendsms", requests.read_send, responses.write_sent),
        Route("GET", reports, requests.read_reports, responses.write_reports),
        Route("GET", f"{reports}/{{msisdn}}", requests.read_recipient_reports, responses.write_reports),
    )


ROUTES: Final[tuple[Route, ...]] = tuple(route for prefix in _PREFIXES for route in _routes(prefix))
"""Every HTTP operation of the dialect, under both prefixes."""

_SCHEME: Final = "bearer "

_TOLD: Final = {
    Notify.NONE: Notify.NONE,
    Notify.BATCH_SUMMARY: Notify.FINAL,
    Notify.BATCH_FULL: Notify.FINAL,
    Notify.FINAL: Notify.FINAL,
    Notify.CHANGES: Notify.CHANGES,
    Notify.ATTEMPTS: Notify.CHANGES,
}
"""What another dialect's batch asked for -> what is told here (docs/dialects/README.md)."""


class NinebitsDialect:
    """9bits' way of speaking; it fulfils ``kvitto.dialects.base.Dialect``."""

    name = responses.NAME
    callback_timeout_s = callbacks.TIMEOUT_S
    routes: Sequence[Route] = ROUTES
    prefixes: Sequence[str] = _PREFIXES
    most_per_callback = 1
    most_at_once = callbacks.MOST_AT_ONCE
    supersedes = True

    def credentials(self, call: Call) -> Credentials | None:
        """Return the bearer token: the scheme in any case, exactly one space, the token; else None (section 2)."""
        value = call.headers.get("authorization", "")
        token = value[len(_SCHEME) :]
        if value[: len(_SCHEME)].lower() != _SCHEME or not token or token.strip() != token:
            return None
        return Credentials(token=token)

    def refuse(
        self,
        problem: Problem,
        *,
        text: str = "",
        retry_after_s: int | None = None,
        allow: str = "",
        call: Call | None = None,
        operation: Operation | None = None,
    ) -> Answer:
        """Say a problem in 9bits' words (section 3.4)."""
        return errors.refuse(problem, retry_after_s=retry_after_s, allow=allow)

    def notify_of(self, wanted: Notify | None, account: Account) -> Notify:
        """Once an account has a callback URL all changes go there, unless the sender said otherwise (section 3.3)."""
        if wanted is None:
            wanted = Notify.CHANGES if account.callback_url else Notify.NONE
        told = _TOLD[wanted]
        return Notify.FINAL if account.final_only and told is Notify.CHANGES else told

    def tells(self, due: CallbackDue, account: Account) -> bool:
        """Not what lies before the end when the account wants ends only; not a correction when it wants none (5.2)."""
        facts = due.facts
        if not isinstance(facts, MessageView):
            return False  # what a batch came to as a whole has no words here; notify_of asks for none
        if account.final_only and facts.status not in FINAL:
            return False
        return account.late_corrections is not False or not facts.notes & Note.LATE

    def together(self, due: CallbackDue) -> int:
        """Never: a callback is one report."""
        return due.id

    render = staticmethod(callbacks.render)
    headers = staticmethod(callbacks.headers)
    judge = staticmethod(callbacks.judge)
