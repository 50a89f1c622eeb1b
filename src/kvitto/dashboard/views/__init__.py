"""A function a page: it reads through ``kvitto.reports``, changes through the tools, and gives back an answer.

Who may come has been asked before (``kvitto.dashboard.routes``). Next: ``overview``.
"""

from kvitto.dashboard.views import (
    batches,
    callbacks,
    doubts,
    endpoints,
    links,
    messages,
    overview,
    people,
    receipts,
    security,
    settings,
    static,
    trial,
    webhook,
)

__all__ = [
    "batches",
    "callbacks",
    "doubts",
    "endpoints",
    "links",
    "messages",
    "overview",
    "people",
    "receipts",
    "security",
    "settings",
    "static",
    "trial",
    "webhook",
]
