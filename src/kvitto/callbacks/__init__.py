"""Callbacks out: what is posted to customers' endpoints, and how safely.

Must not know SMPP, HTTP in, or the dashboard. Read next ``callbacks.post`` (the client), ``callbacks.addresses`` (where
a post may go), ``callbacks.signing``.
"""

from kvitto.callbacks.addresses import AddressPolicy, BadUrl, Target, parse_target
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, PostRequest, PostResult
from kvitto.callbacks.signing import sinch_headers

__all__ = [
    "AddressPolicy",
    "BadUrl",
    "CallbackClient",
    "PostFailure",
    "PostLimits",
    "PostRequest",
    "PostResult",
    "Target",
    "parse_target",
    "sinch_headers",
]
