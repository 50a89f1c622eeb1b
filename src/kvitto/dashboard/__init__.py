"""The dashboard: pages for people, part of ``kvitto serve``, rendered here and alive by server-sent events.

``web`` (a visit and an answer), ``routes`` (which page is whose: the one table that roles are held to, P21), ``door``
(who comes in), ``signin`` (passwords, sessions, throttling), ``views`` (a function a page), ``templates`` and
``static``. It reads through ``kvitto.reports`` only; what it changes goes through verbs handed in (``Tools``).

Must not know: the HTTP server, dialects, links, how callbacks are posted: ``kvitto.pages`` joins them.
Next: ``kvitto.dashboard.routes``.
"""

from kvitto.dashboard.door import Dashboard
from kvitto.dashboard.routes import ROUTES
from kvitto.dashboard.tools import Tools
from kvitto.dashboard.web import Answer, Visit

__all__ = ["ROUTES", "Answer", "Dashboard", "Tools", "Visit"]
