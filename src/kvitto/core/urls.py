"""Callback URLs: which ones we understand. One judgement for the doors that take them and for the sender.

Pure; only the form is judged, nothing is resolved. What is not plainly ``http(s)://host[:port]/path`` is refused where
it comes in, so that no accepted message waits for a callback that nobody will ever send. Must not know: dialects,
accounts, which addresses are allowed. Next: ``kvitto.callbacks.addresses``.
"""

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["BadUrl", "Target", "parse_target"]

MAX_URL_CHARACTERS: Final = 8192
"""Long enough for every URL that a dialect accepts (2 048 characters, docs/dialects/sinch.md 11), percent-encoded."""


class BadUrl(NamedTuple):
    """A URL that we do not post to, and why, in words without the URL itself."""

    reason: str


class Target(NamedTuple):
    """A URL taken apart, ready for the wire."""

    scheme: str
    """"http" or "https"."""
    host: str
    """Lower case, ASCII (IDNA), without brackets and without the dot at the end."""
    port: int
    path: bytes
    """The request target: path and query, percent-encoded; never empty."""
    host_header: bytes
    """What goes into the Host field: brackets around IPv6, the port unless it is the scheme's own."""


_SCHEMES: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,252}[a-z0-9])?")
_BRACKETS: Final = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
# Characters that readers of URLs treat differently (a backslash), drop (a tab, a line break), or use to break headers.
_NEVER: Final = re.compile(r"[\x00-\x20\x7f\\]")
# RFC 3986 reserved and unreserved characters and the percent sign stay; everything else is percent-encoded.
_KEPT: Final = "%:/?#[]@!$&'()*+,;=-._~"


def parse_target(url: str) -> Target | BadUrl:
    """Take a callback URL apart. Only the form is judged; the address is judged when it is known.

    Accepts http and https, host names (IDN too), IPv4 and bracketed IPv6 literals, a port from 1 to 65535, a path and a
    query; a fragment is dropped. Refuses user information, control characters, spaces, backslashes and zones.
    """
    if len(url) > MAX_URL_CHARACTERS:
        return BadUrl(f"longer than {MAX_URL_CHARACTERS} characters")
    if _NEVER.search(url):
        return BadUrl("a space, control character or backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return BadUrl("port or brackets are wrong")
    if parts.scheme not in _SCHEMES:
        return BadUrl("not http or https")
    if "@" in parts.netloc:
        return BadUrl("user information is not allowed")
    if port is None:
        port = _SCHEMES[parts.scheme]
    elif port == 0:
        return BadUrl("port 0")
    if "[" in parts.netloc and not _BRACKETS.fullmatch(parts.netloc):
        return BadUrl("brackets without an IPv6 address")
    host = _read_host(parts.hostname or "")
    if host is None:
        return BadUrl("the host is missing or not a name or address")
    try:
        path = quote(parts.path or "/", safe=_KEPT)
        if parts.query:
            path += "?" + quote(parts.query, safe=_KEPT)
    except UnicodeEncodeError:
        return BadUrl("half a surrogate pair")
    shown = f"[{host}]" if ":" in host else host
    if port != _SCHEMES[parts.scheme]:
        shown += f":{port}"
    return Target(parts.scheme, host, port, path.encode("ascii"), shown.encode("ascii"))


def _read_host(host: str) -> str | None:
    """The host in the form that is resolved and shown; None when it is none."""
    if ":" in host:
        try:
            return None if "%" in host else str(IPv6Address(host))
        except ValueError:
            return None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
    host = host.removesuffix(".")
    if ".." in host or not _HOST.fullmatch(host):
        return None
    return host
