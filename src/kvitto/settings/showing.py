"""How a setting's value may be shown to people and in errors: secrets hidden, everything else as written in TOML.

It must not know which settings there are (``kvitto.settings.model``); it goes by types, and by suspicious names where a
mistyped key may hold a secret.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

__all__ = ["HIDDEN", "in_problem", "shown"]

HIDDEN: Final = "***"
_SUSPICIOUS: Final = re.compile(r"pas|pw|secret|token|credential", re.IGNORECASE)


def shown(value: object) -> Any:
    """A value fit for JSON and eyes: secrets hidden, of an address that holds one the password alone."""
    match value:
        case SecretStr():
            secret = value.get_secret_value()
            return _without_password(secret) if "://" in secret else secret and HIDDEN
        case IntEnum():
            return value.name
        case StrEnum() | Path() | ipaddress.IPv4Network() | ipaddress.IPv6Network():
            return str(value)
        case str():
            return _without_password(value)
        case BaseModel():
            return {key: shown(inner) for key, inner in value}
        case Mapping():
            return {str(key): shown(inner) for key, inner in value.items()}
        case tuple() | list():
            return [shown(inner) for inner in value]
    return value


def in_problem(key: str, value: object) -> str:
    """A value as an error names it, short; whatever stands under a name that smells of a secret stays hidden."""
    if value in ("", None):
        return '""'
    if _SUSPICIOUS.search(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return "{...}"
    return json.dumps(shown(value), ensure_ascii=False, default=str)[:200]


def _without_password(address: str) -> str:
    address = re.sub(r"(://[^:@/]*:).*@", rf"\g<1>{HIDDEN}@", address)
    return re.sub(r"(password=)[^&\s]*", rf"\g<1>{HIDDEN}", address)
