"""Settings as people type them: what several doors read alike, and the settings of an endpoint as one table.

A value is text; ``read`` makes it the value that is stored, or says in a ValueError what shape was wanted. Pure.
Must not know: where the text came from. Next: ``kvitto.cli.fields`` (the settings of an account).
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kvitto.core.endpoint import Profile
from kvitto.core.msisdn import clean, is_alphanumeric_sender
from kvitto.core.urls import BadUrl, parse_target

__all__ = [
    "ENDPOINT_FIELDS",
    "URL_CHARACTERS",
    "Field",
    "read_endpoint_name",
    "read_networks",
    "read_sender",
    "read_url",
]

URL_CHARACTERS: Final = 2048
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})\s*:\s*([!-~](?:[ -~]{0,1022}[!-~])?)\s*")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


class Field(NamedTuple):
    """One setting. ``read``: text to value, or ValueError saying the shape; ``cleared``: its value when unset."""

    meaning: str
    shape: str
    read: Callable[[str], object]
    cleared: object = None


def read_url(text: str) -> str:
    """An absolute http or https URL that callbacks can go to. Raises: ValueError."""
    target = parse_target(text)
    wanted = f"an http or https URL of at most {URL_CHARACTERS} characters"
    if isinstance(target, BadUrl):
        raise ValueError(f"{wanted}; {target.reason}")
    if len(text) > URL_CHARACTERS:
        raise ValueError(wanted)
    return text


def read_networks(texts: Sequence[str]) -> tuple[str, ...]:
    """Networks in CIDR form, or single addresses. Raises: ValueError naming the first that is none."""
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(f"networks such as 10.0.0.0/8 or ::1/128, without host bits; {text} is none") from None
    return tuple(texts)


def read_sender(text: str) -> str:
    """A sender as it is stored: digits, or a name as typed. Raises: ValueError."""
    number = clean(text, min_digits=3)
    if number is not None:
        return number
    if not is_alphanumeric_sender(text):
        raise ValueError("a number of 3 to 15 digits, or 1 to 11 characters of the GSM alphabet with a letter")
    return text


def read_endpoint_name(text: str) -> str:
    """An endpoint's name. Raises: ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("1 to 64 letters, digits, dots, hyphens or underscores")
    return text


def _read_profile(text: str) -> str:
    if text not in {profile.value for profile in Profile}:
        raise ValueError(" or ".join(profile.value for profile in Profile))
    return text


def _read_concurrency(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 256:
        raise ValueError("a whole number from 1 to 256")
    return int(text)


def _read_rate(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not 0 < float(text) <= 10_000:
        raise ValueError("posts a second, above 0, at most 10000")
    return float(text)


def _read_headers(text: str) -> tuple[tuple[str, str], ...]:
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    found = [_HEADER.fullmatch(line) for line in lines]
    if len(found) > 20 or not all(found):
        raise ValueError("at most 20 lines of Name: value")
    return tuple((one[1], one[2]) for one in found if one is not None)


def _read_visible(text: str) -> str:
    if not re.fullmatch(r"[!-~]([ -~]{0,253}[!-~])?", text):
        raise ValueError("1 to 255 visible ASCII characters")
    return text


def _read_user(text: str) -> str:
    """A user name: everything after the first colon would be read as password (RFC 7617, 2)."""
    if ":" in text:
        raise ValueError("1 to 255 visible ASCII characters, and no colon")
    return _read_visible(text)


ENDPOINT_FIELDS: Final[dict[str, Field]] = {
    "name": Field("what it is called, once for each account", "name", read_endpoint_name),
    "url": Field("its own URL, for samples; on its origin", "URL", read_url),
    "profile": Field(
        "whose schedule and judgement: each callback's dialect's, or Standard Webhooks'",
        "dialect or standard",
        _read_profile,
        Profile.DIALECT.value,
    ),
    "concurrency": Field("posts at once; unset: the server's setting", "1 to 256", _read_concurrency),
    "rate": Field("posts a second; unset: no limit", "number", _read_rate),
    "headers": Field("added to each request", "Name: value, one a line", _read_headers, ()),
    "username": Field("for Basic authentication", "text", _read_user),
    "password": Field("for Basic authentication, kept sealed", "@FILE or text", _read_visible),
    "ca_pem": Field("who signs its certificate, where that is nobody known", "@FILE", lambda text: text),
    "client_cert_pem": Field("our certificate towards it, with its chain", "@FILE", lambda text: text),
    "client_key_pem": Field("its key, without a password, kept sealed", "@FILE", lambda text: text),
    "allow_callbacks_to": Field(
        "private networks that it may be in, beside the account's",
        "CIDR,CIDR...",
        lambda text: read_networks([item.strip() for item in text.split(",") if item.strip()]),
        (),
    ),
}
