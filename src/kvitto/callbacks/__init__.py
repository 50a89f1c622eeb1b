"""Callbacks out: what is posted to customers' endpoints, and how safely.

Must not know SMPP, HTTP in, or the dashboard. Read next ``callbacks.post`` (the client), ``callbacks.addresses`` (where
a post may go), ``callbacks.outbox`` (the loop that sends).
"""

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, PostFailure, PostLimits, PostRequest, PostResult
from kvitto.callbacks.tls import EndpointTls

__all__ = [
    "AddressPolicy",
    "CallbackClient",
    "EndpointTls",
    "PostFailure",
    "PostLimits",
    "PostRequest",
    "PostResult",
]
