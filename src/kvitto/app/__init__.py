"""The wiring: builds every object once from the settings, starts and stops them in order.

Here alone rooms that must not know each other meet: ``App`` is the server, ``open_books`` a store for a command
beside it. A module has the name of the room that it builds: it reads the settings and hands that room values. The
rooms' modules do not know each other, ``server`` puts them together. Only the command line imports from here.

Next: ``app.server`` (the order of the start), ``ARCHITECTURE.md``, then any room.
"""

from kvitto.app.callbacks import USER_AGENT, callback_client, sampler
from kvitto.app.demo import DemoKeys, demo_account
from kvitto.app.dialects import dialects_of
from kvitto.app.dispatch import link_config, route_rules
from kvitto.app.server import App
from kvitto.app.store import database_url, migrate, open_books
from kvitto.app.tables import read_numbering_table, read_price_list, read_tables

__all__ = [
    "USER_AGENT",
    "App",
    "DemoKeys",
    "callback_client",
    "database_url",
    "demo_account",
    "dialects_of",
    "link_config",
    "migrate",
    "open_books",
    "read_numbering_table",
    "read_price_list",
    "read_tables",
    "route_rules",
    "sampler",
]
