"""The Infobip SMS API, versions 1 to 3: its requests, answers, pushes and errors (docs/dialects/infobip.md).

Pure, like every dialect. Vendor words stop here: outside this folder nobody sees a JSON key of Infobip's. ``wire`` has
the objects, in JSON and XML alike (``bodies``, ``xml``); ``requests``, ``queries`` and ``auth`` read, ``responses``,
``reports`` and ``callbacks`` write; ``statuses`` and ``gsm_errors`` are the tables between our statuses and theirs,
``openapi`` describes it all.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Final

from kvitto.core.model import Account, CallbackDue
from kvitto.core.operations import FetchSchedule, Operation, Reschedule, Send
from kvitto.dialects.base import Answer, Call, Credentials, Problem, Route
from kvitto.dialects.infobip import auth, callbacks, errors, queries, responses, wire
from kvitto.dialects.infobip.forms import form_of
from kvitto.dialects.infobip.reports import Numbering, Pricing, Reporter
from kvitto.dialects.infobip.requests import SendReader
from kvitto.dialects.infobip.statuses import LinkErrors
from kvitto.dialects.infobip.submissions import NAME, NO_CREDITS, SENDER_REFUSED, SOURCE_REFUSED, TOO_LONG, Shown

__all__ = ["ROUTES", "InfobipDialect"]

_REFUSED_SENDS: Final[Mapping[Problem, int]] = {
    Problem.QUOTA_SPENT: NO_CREDITS,
    Problem.SENDER_NOT_ALLOWED: SENDER_REFUSED,
    Problem.NO_SENDER: SOURCE_REFUSED,
    Problem.TOO_MANY_PARTS: TOO_LONG,
}
"""Problems of a send that its answer tells destination by destination, with HTTP 200 (section 3.5)."""


def _routes(sends: SendReader, reporter: Reporter, report_hours: float = 0, log_hours: float = 0) -> Sequence[Route]:
    """Every operation; versions 1 and 2 differ in their answers alone, which ``form_of`` knows by the path."""
    sent = responses.write_sent
    logs = queries.LogReader(reporter.mccmnc, log_hours).logs
    reports = queries.ReportReader(report_hours).reports
    routes = []
    for version in (1, 2):
        text = f"/sms/{version}/text"
        routes += [
            Route("POST", f"{text}/single", sends.single, sent),
            Route("POST", f"{text}/multi", sends.several, sent),
            Route("POST", f"{text}/advanced", sends.several, sent),
        ]
    routes.append(Route("POST", "/sms/3/messages", sends.messages, sent))
    for version in (1, 2, 3):
        routes += [
            Route("GET", f"/sms/{version}/text/query", sends.query, sent),
            Route("POST", f"/sms/{version}/text/query", sends.query, sent),
            Route("GET", f"/sms/{version}/reports", reports, reporter.write_reports),
            Route("GET", f"/sms/{version}/logs", logs, reporter.write_logs),
        ]
    return (
        *routes,
        Route("GET", "/sms/1/bulks", queries.read_bulk, responses.write_bulk),
        Route("PUT", "/sms/1/bulks", queries.read_reschedule, responses.write_bulk),
        Route("GET", "/sms/1/bulks/status", queries.read_bulk_status, responses.write_bulk_status),
        Route("PUT", "/sms/1/bulks/status", queries.read_status_change, responses.write_bulk_status),
        Route("POST", "/auth/1/session", auth.read_session, responses.write_session, open=True),
        Route("DELETE", "/auth/1/session", auth.read_logout, responses.write_logout),
        Route("POST", "/auth/1/oauth2/token", auth.read_token, responses.write_token, open=True),
    )


ROUTES: Final = tuple(_routes(SendReader(), Reporter()))
"""Every HTTP operation of the dialect, as it is without settings."""

_PREFIXES: Final = ("/sms/1", "/sms/2", "/sms/3", "/auth/1")


class InfobipDialect:
    """Infobip's way of speaking; it fulfils ``kvitto.dialects.base.Dialect``.

    ``numbering``, ``pricing``: what reports say of networks and prices; without them nothing and 0.0 EUR. ``links``:
    link's name -> what its error numbers mean. ``path_prefix``: every route is also there ("/restapi").
    ``most_destinations``: of one request. ``report_hours``, ``log_hours``: how far back reports and logs go, 0 for no
    bound.
    """

    name = NAME
    callback_timeout_s = callbacks.TIMEOUT_S
    most_per_callback = callbacks.MOST_PER_CALL
    most_at_once = None
    supersedes = False

    def __init__(
        self,
        numbering: Numbering | None = None,
        pricing: Pricing | None = None,
        *,
        links: Mapping[str, LinkErrors] | None = None,
        path_prefix: str = "",
        most_destinations: int = wire.DESTINATIONS_MAX,
        report_hours: float = 0,
        log_hours: float = 0,
    ) -> None:
        reporter = Reporter(numbering, pricing, links)
        routes = _routes(SendReader(most_destinations), reporter, report_hours, log_hours)
        prefixes: tuple[str, ...] = _PREFIXES
        if path_prefix:
            routes = (*routes, *(route._replace(path=path_prefix + route.path) for route in routes))
            prefixes = (*prefixes, *(path_prefix + prefix for prefix in prefixes))
        self.routes: Sequence[Route] = routes
        self.prefixes: Sequence[str] = prefixes
        self.render: Callable[[Sequence[CallbackDue], Account], bytes] = partial(callbacks.render, reporter)

    def credentials(self, call: Call) -> Credentials | None:
        """Return what the caller presents (section 1); ``call.headers`` has its names in lower case."""
        return auth.credentials(call)

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
        """Say a problem in Infobip's words (section 8); of a send that could not be paid for, item by item."""
        if isinstance(operation, Send) and problem in _REFUSED_SENDS and isinstance(operation.shows, Shown):
            return responses.write_refused(operation.shows, call, _REFUSED_SENDS[problem], operation.submission)
        bulk = isinstance(operation, FetchSchedule | Reschedule)
        return errors.refuse(problem, form_of(call), retry_after_s=retry_after_s, allow=allow, bulk=bulk)

    notify_of = staticmethod(callbacks.notify_of)
    tells = staticmethod(callbacks.tells)
    headers = staticmethod(callbacks.headers)
    judge = staticmethod(callbacks.judge)

    def together(self, due: CallbackDue) -> Hashable:
        """One account, URL, shape and format."""
        return callbacks.together(due)
