"""The settings of an endpoint that ``kvitto endpoint set`` takes: name, meaning and shape of each, as one table.

A value is text as typed, or ``@FILE`` for a file's content; the empty text clears the setting.
Next: ``kvitto.cli.endpoint``, ``kvitto.core.endpoint.Endpoint``.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kvitto.cli.fields import Field, read_networks, read_url
from kvitto.core.endpoint import Profile
from kvitto.core.errors import BadInput

__all__ = ["FIELDS", "read_changes", "read_name"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})\s*:\s*([!-~](?:[ -~]{0,1022}[!-~])?)\s*")
_NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_FILE_CHARACTERS: Final = 65_536


def read_name(text: str) -> str:
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
    lines = [line for line in text.replace("\r", "").split("\n") if line.strip()]
    found = [_HEADER.fullmatch(line) for line in lines]
    if len(found) > 20 or not all(found):
        raise ValueError("at most 20 lines of Name: value")
    return tuple((one[1], one[2]) for one in found if one is not None)


def _read_visible(text: str) -> str:
    if not re.fullmatch(r"[!-~]([ -~]{0,253}[!-~])?", text):
        raise ValueError("1 to 255 visible ASCII characters")
    return text


FIELDS: Final[dict[str, Field]] = {
    "name": Field("what it is called, once for each account", "name", read_name),
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
    "username": Field("for Basic authentication", "text", _read_visible),
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


def read_changes(assignments: Sequence[str]) -> dict[str, object]:
    """Read ``KEY=VALUE`` texts. Raises: BadInput naming key and shape; values that may be secret are not repeated."""
    changes: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        field = FIELDS.get(key)
        if field is None:
            raise BadInput(key, f"no such setting; there are {', '.join(FIELDS)}")
        if not equals:
            raise BadInput(key, f"wanted {key}=VALUE ({field.shape}); {key}= clears it")
        if text.startswith("@"):
            text = _read_file(key, Path(text[1:]))
        try:
            changes[key] = field.read(text.strip()) if text.strip() else field.cleared
        except ValueError as wrong:
            raise BadInput(key, f"wanted {wrong}") from None
    return changes


def _read_file(key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput(key, f"{path} cannot be read: {wrong}") from None
    if len(text) > _FILE_CHARACTERS:
        raise BadInput(key, f"{path} has {len(text)} characters; the limit is {_FILE_CHARACTERS}")
    return text
