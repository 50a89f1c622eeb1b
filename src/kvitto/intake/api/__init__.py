"""Kvitto's own API under ``/kvitto/v1``: endpoints, callbacks and their attempts, replays, events, the relay.

No dialect: it sends nothing and calls nobody back in words of its own, so it has routes and shapes but none of what
``kvitto.dialects.base`` asks for (docs/adr/0014). Accounts come in as by every other door, and each sees its own
things only (P21). All shapes are in ``wire``, all routes in ``routes.OPERATIONS``, from which doors, tests and the
OpenAPI document are made; every refusal is a problem object (``problems``).

Must not know: SQL, how callbacks are posted. Next: ``kvitto.intake.api.routes``, ``kvitto.store.callbackapi``.
"""

from kvitto.intake.api.doors import Api
from kvitto.intake.api.handlers import Parts
from kvitto.intake.api.routes import OPERATIONS, PREFIX

__all__ = ["OPERATIONS", "PREFIX", "Api", "Parts"]
