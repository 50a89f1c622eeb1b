"""Every setting of the server: one frozen, typed ``Settings``, parsed once, by ``load`` alone.

A value comes from, later ones winning: its default; a TOML file; an environment variable named
``KVITTO__SECTION__KEY`` (``KVITTO__HTTP__PORT``, ``KVITTO__LINKS__MAIN__HOST``; any other ``KVITTO_*`` is not ours);
the command line. A wrong key or value stops the start: every problem is told at once with key, value, reason and
source (``SettingsError``).

``model`` holds the keys, and under each the words that document it; ``reading`` puts the sources together; ``showing``
hides secrets; ``document`` writes ``docs/configuration.md``, and a test compares. Only the wiring (``app``) and the
command line import this room; below them, parts are handed plain values.
"""

from kvitto.settings.document import document
from kvitto.settings.model import (
    Bind,
    Callbacks,
    Demo,
    Http,
    Link,
    Log,
    Receipts,
    Route,
    Server,
    Setting,
    Settings,
    Simulator,
    Store,
)
from kvitto.settings.reading import load

__all__ = [
    "Bind",
    "Callbacks",
    "Demo",
    "Http",
    "Link",
    "Log",
    "Receipts",
    "Route",
    "Server",
    "Setting",
    "Settings",
    "Simulator",
    "Store",
    "document",
    "load",
]
