"""HTTP in: the server, the routes, and the one way by which a batch enters.

Must not know SMPP, callbacks or the dashboard. Read next ``intake.http`` (the server), ``intake.routing`` (paths).
"""

from kvitto.intake.http import Handler, HttpLimits, Outcome, Refusal, Reply, Request, Response, Server
from kvitto.intake.routing import Router, parse_query

__all__ = [
    "Handler",
    "HttpLimits",
    "Outcome",
    "Refusal",
    "Reply",
    "Request",
    "Response",
    "Router",
    "Server",
    "parse_query",
]
