"""The Sinch SMS API (XMS): its requests, responses, callbacks and errors (docs/dialects/sinch.md).

Pure, like every dialect. Vendor words stop here: outside this folder nobody sees a JSON key of Sinch's. ``wire`` has
the JSON objects, ``requests`` and ``queries`` read, ``responses`` and ``callbacks`` write, ``statuses`` is the table
between our statuses and theirs, ``openapi`` describes it all.
"""

from collections.abc import Sequence
from typing import Final

from kvitto.core.model import Account, CallbackDue, MessageView, Notify
from kvitto.core.operations import Operation
from kvitto.core.status import FINAL, Note
from kvitto.dialects.base import Answer, Call, Credentials, Problem, Route
from kvitto.dialects.sinch import callbacks, errors, queries, requests, responses

__all__ = ["ROUTES", "SinchDialect"]

_PLAN: Final = "/xms/v1/{service_plan_id}"

# "dry_run" stands before "{batch_id}": the literal wins.
ROUTES: Final[tuple[Route, ...]] = (
    Route("POST", f"{_PLAN}/batches", requests.read_send, responses.write_created),
    Route("GET", f"{_PLAN}/batches", queries.read_list, responses.write_batch_page),
    Route("POST", f"{_PLAN}/batches/dry_run", requests.read_dry_run, responses.write_dry_run),
    Route("GET", f"{_PLAN}/batches/{{batch_id}}", queries.read_fetch, responses.write_batch),
    Route("POST", f"{_PLAN}/batches/{{batch_id}}", requests.read_update, responses.write_batch),
    Route("PUT", f"{_PLAN}/batches/{{batch_id}}", requests.read_replace, responses.write_batch),
    Route("DELETE", f"{_PLAN}/batches/{{batch_id}}", queries.read_cancel, responses.write_batch),
    Route(
        "POST",
        f"{_PLAN}/batches/{{batch_id}}/delivery_feedback",
        requests.read_feedback,
        responses.write_feedback,
    ),
    Route(
        "GET",
        f"{_PLAN}/batches/{{batch_id}}/delivery_report",
        queries.read_batch_report,
        responses.write_batch_report,
    ),
    Route(
        "GET",
        f"{_PLAN}/batches/{{batch_id}}/delivery_report/{{recipient}}",
        queries.read_recipient_report,
        responses.write_recipient_report,
    ),
    Route("GET", f"{_PLAN}/delivery_reports", queries.read_reports, responses.write_reports),
)
"""Every HTTP operation of the dialect."""

_SCHEME: Final = "bearer "


class SinchDialect:
    """Sinch's way of speaking; it fulfils ``kvitto.dialects.base.Dialect``."""

    name = responses.NAME
    callback_timeout_s = callbacks.TIMEOUT_S
    routes: Sequence[Route] = ROUTES
    prefixes: Sequence[str] = (_PLAN,)
    most_per_callback = 1
    most_at_once = None
    supersedes = False

    def credentials(self, call: Call) -> Credentials | None:
        """Return the bearer token and the service plan of the path; None without a token (section 2).

        ``call.headers`` has its names in lower case.
        """
        value = call.headers.get("authorization", "")
        token = value[len(_SCHEME) :].strip()
        if value[: len(_SCHEME)].lower() != _SCHEME or not token:
            return None
        return Credentials(token=token, service_plan_id=call.params.get("service_plan_id"))

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
        """Say a problem in Sinch's words (section 3)."""
        return errors.refuse(problem, text=text, retry_after_s=retry_after_s, allow=allow)

    def notify_of(self, wanted: Notify | None, account: Account) -> Notify:
        """Nothing said is none (section 4.1); a failed attempt on the way is no change here."""
        if wanted is None:
            return Notify.NONE
        return Notify.CHANGES if wanted is Notify.ATTEMPTS else wanted

    def tells(self, due: CallbackDue, account: Account) -> bool:
        """Whatever the batch asked for; a final status is not replaced, unless the account wants it (status.md 7)."""
        facts = due.facts
        if isinstance(facts, MessageView):
            if facts.notes is not Note.NONE and facts.notes & Note.LATE and account.late_corrections is not True:
                return False
            return not account.final_only or facts.status in FINAL
        return True

    def together(self, due: CallbackDue) -> int:
        """Never: a callback is one report."""
        return due.id

    render = staticmethod(callbacks.render)
    headers = staticmethod(callbacks.headers)
    judge = staticmethod(callbacks.judge)
