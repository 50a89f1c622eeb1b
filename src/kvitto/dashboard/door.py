"""The door of the dashboard: who comes, whether the page is his, whether a form is ours; then the page.

In this order: the session (else the sign-in page), the role (403), the account an operator must have chosen, and for
every change the form's token and origin (403). Nothing of a page runs before. Faults are answered without detail.

Must not know: the HTTP server. Next: ``kvitto.dashboard.routes``.
"""

import hmac
from contextlib import suppress
from typing import Final
from urllib.parse import quote, urlsplit

from kvitto.core.errors import StoreUnavailable
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.routes import ANYBODY, Route
from kvitto.dashboard.signin import hash_of, is_sign_of_life, session_of
from kvitto.dashboard.tools import Tools
from kvitto.dashboard.web import COOKIE, HEADERS, Answer, Refused, Visit, redirect
from kvitto.dashboard.words import refusal_title
from kvitto.telemetry import get_logger

__all__ = ["Dashboard"]

_CHANGING: Final = "POST"


class Dashboard:
    """Answers visits to routes of ``ROUTES``."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._desktop = Desktop(tools)

    async def close(self) -> None:
        """End what is live. Bears being called twice."""
        self._tools.closing.set()

    async def enter(self, route: Route, visit: Visit) -> Answer:
        """Answer a visit. Raises: nothing."""
        try:
            answer = await self._enter(route, visit)
        except Refused as refused:
            answer = await self._refuse(visit, refused)
        except StoreUnavailable:
            answer = await self._refuse(visit, Refused(503, "The database is away at the moment. Try again shortly."))
        except Exception as fault:  # the top of this visit: it is answered, and the fault logged with its trace
            get_logger().error("http.failed", dialect="dashboard", exc_info=fault)
            answer = await self._refuse(visit, Refused(500, "Something went wrong here. It has been logged."))
        return answer.with_headers(*HEADERS)

    async def lose(self, visit: Visit) -> Answer:
        """Answer a visit to what is no page. Raises: nothing."""
        return await self.enter(_NOWHERE, visit)

    async def _enter(self, route: Route, visit: Visit) -> Answer:
        secret = visit.cookies.get(COOKIE, "")
        if secret:
            found = await self._tools.office.find_session(hash_of(secret), visit.now)
            visit.signed_in = session_of(found, visit.now, self._tools.idle_ms)
        if visit.method == _CHANGING:
            _check_origin(visit)
        visit.who = route.who
        if route.who is not ANYBODY:
            if visit.signed_in is None:
                return self._to_sign_in(visit)
            if visit.signed_in.user.role not in route.who:
                raise Refused(403, f"This page is not for a {visit.signed_in.user.role}.")
            if visit.method == _CHANGING:
                _check_token(visit)
            await self._keep_alive(visit)
            if route.account and visit.account_id is None:
                return await self._desktop.page(visit, "choose.html")
        return await route.view(self._desktop, visit)

    async def _keep_alive(self, visit: Visit) -> None:
        """Somebody is there. A page that comes back by itself (a live one, whose connection was lost) says nothing."""
        session = visit.session
        by_itself = "text/event-stream" in visit.headers.get("accept", "")
        if not by_itself and is_sign_of_life(session, visit.now, self._tools.idle_ms):
            with suppress(StoreUnavailable):  # pages can be read while nothing can be written
                await self._tools.office.touch_session(session.hash, visit.now)

    def _to_sign_in(self, visit: Visit) -> Answer:
        if visit.method == _CHANGING:
            raise Refused(401, "Your session is over. Sign in again; nothing was changed.")
        if "text/event-stream" in visit.headers.get("accept", ""):
            raise Refused(401, "Your session is over.")
        where = visit.path + (f"?{visit.raw_query}" if visit.raw_query else "")
        return redirect(f"{self._desktop.url('/sign-in')}?next={quote(where, safe='/')}")

    async def _refuse(self, visit: Visit, refused: Refused) -> Answer:
        try:
            title = refusal_title(refused.status)
            values = {"title": title, "words": refused.words, "code": refused.status}
            return await self._desktop.page(visit, "refused.html", refused.status, **values)
        except StoreUnavailable:
            return Answer(refused.status, refused.words.encode(), "text/plain; charset=utf-8")


async def _nowhere(desktop: Desktop, visit: Visit) -> Answer:
    raise Refused(404, "There is no page at this address.")


_NOWHERE: Final = Route("GET", "", _nowhere, ANYBODY)


def _check_origin(visit: Visit) -> None:
    """A form that another site sent is none of ours, whatever it knows."""
    if visit.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "This form came from another site.")
    origin = visit.headers.get("origin", "")
    if origin and origin != "null" and urlsplit(origin).netloc != visit.headers.get("host", ""):
        raise Refused(403, "This form came from another site.")


def _check_token(visit: Visit) -> None:
    if not hmac.compare_digest(visit.form.get("csrf", "").encode(), visit.session.csrf.encode()):
        raise Refused(403, "This form is old or not ours. Load the page again and repeat it.")
