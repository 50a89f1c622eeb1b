"""The read side: what the dashboard's pages show, put together from what the store keeps. It changes nothing.

``overview`` (counts to figures, pure), ``search`` (the search box, pure), ``story`` (one message's timeline, pure),
``export`` (a batch as CSV or NDJSON), ``reader`` (the one object that pages ask). Must not know: HTML, HTTP, who may
see what. Next: ``kvitto.reports.reader``.
"""

from kvitto.reports.reader import Reader

__all__ = ["Reader"]
