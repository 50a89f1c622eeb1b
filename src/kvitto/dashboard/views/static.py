"""Style, scripts, the typeface and their licences, from the package itself."""

from importlib.resources import files
from typing import Final

from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Refused, Visit

__all__ = ["file"]

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "LICENSE": "text/plain; charset=utf-8",
}


async def file(desktop: Desktop, visit: Visit) -> Answer:
    """One file; nothing but what is in ``static``."""
    steps = visit.params["rest"].split("/")
    kind = steps[-1].rpartition(".")[2]
    if len(steps) > 2 or any(not step or step.startswith(".") or "\\" in step for step in steps) or kind not in _TYPES:
        raise Refused(404, "There is no such file.")
    found = files("kvitto.dashboard").joinpath("static", *steps)
    if not found.is_file():
        raise Refused(404, "There is no such file.")
    return Answer(200, found.read_bytes(), _TYPES[kind], (("Cache-Control", "public, max-age=86400"),))
