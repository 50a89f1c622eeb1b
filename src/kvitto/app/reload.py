"""New settings for a running server: which of them it takes, and what is queued for links that are gone.

Must not know how a reload is asked for (``kvitto.reloading``) nor what else runs. Next: ``app.server`` (``reload``).
"""

from collections.abc import Mapping
from typing import Final

from kvitto.app.dispatch import route_rules
from kvitto.core.errors import SettingsProblem
from kvitto.dispatch.routes import ANY_LINK
from kvitto.reloading import ReloadReport
from kvitto.settings import Link, Settings
from kvitto.store import Store

__all__ = ["needs_restart", "refused", "reroute", "taken_from"]

RELOADED: Final = ("links", "routes", "receipts")
"""The sections that a running server takes again; the others need a restart."""
REROUTED: Final = 1000
"""Messages routed anew in one transaction."""


def taken_from(new: Settings, old: Settings) -> Settings:
    """Return the old settings with the sections that a reload takes from the new ones."""
    return old.model_copy(update={name: getattr(new, name) for name in RELOADED})


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Keys of which a running server does not take the new value."""
    return tuple(
        f"{section}.{key}"
        for section in type(new).model_fields
        if section not in RELOADED
        for key, value in getattr(new, section)
        if value != getattr(getattr(old, section), key)
    )


def refused(key: str, value: str, reason: str) -> ReloadReport:
    """Return the report of a reload that changed nothing, for one reason."""
    return ReloadReport(problems=(SettingsProblem(key=key, value=value, reason=reason, source=""),))


async def reroute(store: Store, settings: Settings, links: Mapping[str, Link]) -> int:
    """Give what is queued for links that are gone to those that remain; returns how many messages."""
    route_for = route_rules(settings) or (lambda number, account: ANY_LINK)
    total = 0
    while True:
        moved = await store.reroute_messages(frozenset(links), route_for, REROUTED)
        total += moved
        if moved < REROUTED:
            return total
