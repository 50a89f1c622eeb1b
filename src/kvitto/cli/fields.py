"""The settings of an account that ``kvitto account set`` takes: name, meaning and shape of each, as one table.

Pure. A value is text as typed; the empty text clears the setting. Later settings are rows more.
Next: ``kvitto.cli.account``, ``kvitto.core.model.Account``.
"""

import pkgutil
import re
from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import kvitto.dialects
from kvitto.core.errors import BadInput
from kvitto.core.fields import Field, read_networks, read_sender, read_url
from kvitto.core.msisdn import clean
from kvitto.core.status import Status
from kvitto.core.text import MAX_PARTS

__all__ = ["FIELDS", "Field", "read_changes", "read_name", "read_networks", "read_sender", "read_url"]

LIST_ENTRIES: Final = 10_000
TOLD: Final = tuple(str(status) for status in Status if status is not Status.QUEUED)
NAME_CHARACTERS: Final = 64


def _read_number(text: str) -> str:
    number = clean(text)
    if number is None:
        raise ValueError("phone numbers of 5 to 15 digits, country code first")
    return number


def _read_status(text: str) -> Status:
    if text.upper() not in TOLD:
        raise ValueError(f"statuses of {', '.join(TOLD).lower()}")
    return Status(text.upper())


def _read_list(read: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def read_all(text: str) -> tuple[str, ...]:
        items = [item.strip() for item in text.split(",") if item.strip()]
        if len(items) > LIST_ENTRIES:
            raise ValueError(f"at most {LIST_ENTRIES} entries")
        return tuple(dict.fromkeys(map(read, items)))

    return read_all


def _read_whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def _read_rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or float(text) <= 0:
        raise ValueError("messages per second, above 0, such as 10 or 0.5")
    return float(text)


DIALECTS: Final = tuple(sorted(one.name for one in pkgutil.iter_modules(kvitto.dialects.__path__) if one.ispkg))
"""Every dialect there is: a folder each, of its name."""


def _read_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("a name of the IANA time zone database, such as Europe/Stockholm") from None
    return text


def _read_word(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return read


def _read_switch(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false"):
        raise ValueError("yes or no")
    return text.lower() in ("yes", "true")


FIELDS: Final[dict[str, Field]] = {
    "callback_url": Field("where callbacks go when a batch names no URL", "URL", read_url),
    "allow_callbacks_to": Field(
        "private networks that callbacks of this account may reach all the same",
        "CIDR,CIDR...",
        lambda text: read_networks([item.strip() for item in text.split(",") if item.strip()]),
        (),
    ),
    "events_url": Field(
        "where its owner is told that an endpoint fails, is disabled, or has a new secret", "URL", read_url
    ),
    "default_from": Field("sender of batches that name none", "number or name", read_sender),
    "allowed_senders": Field(
        "the only senders it may use; unset: any", "sender,sender...", _read_list(read_sender), ()
    ),
    "blocked_numbers": Field("numbers it never sends to", "number,number...", _read_list(_read_number), ()),
    "max_parts": Field(
        "more parts than this abort a message; unset: the dialect's own limit",
        f"1 to {MAX_PARTS}",
        _read_whole(1, MAX_PARTS),
    ),
    "rate": Field("messages per second, first in first out; unset: no limit", "number", _read_rate),
    "quota": Field("messages that may still be sent; unset: no limit", "number", _read_whole(0, 10**15)),
    "retention_days": Field(
        "days that finished batches are kept; unset: store.retention_days", "1 to 36500", _read_whole(1, 36_500)
    ),
    "callback_dialect": Field(
        "in whose words callbacks are told; unset: those of the dialect a batch was sent in",
        " or ".join(DIALECTS),
        _read_word(*DIALECTS),
    ),
    "final_only": Field("tell ends only, nothing on the way", "yes or no", _read_switch, False),
    "callback_statuses": Field(
        "the only statuses that are told; unset: all",
        "status,status...",
        _read_list(_read_status),
        (),
    ),
    "late_corrections": Field(
        "tell when a late receipt corrects an end; unset: as the dialect does", "yes or no", _read_switch
    ),
    "ack": Field(
        "what acknowledges a callback in a dialect that asks for a body",
        "body or http",
        _read_word("body", "http"),
        "body",
    ),
    "feed": Field(
        "which ends enter the one-time feed of reports",
        "all, unpushed or infobip_only",
        _read_word("all", "unpushed", "infobip_only"),
        "unpushed",
    ),
    "incoming_url": Field("where incoming messages are to go; kept, and not posted to yet", "URL", read_url),
    "timezone": Field("local time of dialects that show one", "IANA name", _read_zone, "UTC"),
}


def read_changes(assignments: Sequence[str]) -> dict[str, object]:
    """Read ``KEY=VALUE`` texts. Raises: BadInput naming key, value and shape."""
    changes: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        field = FIELDS.get(key)
        if field is None:
            raise BadInput(key, f"no such setting; there are {', '.join(FIELDS)}")
        if not equals:
            raise BadInput(key, f"wanted {key}=VALUE ({field.shape}); {key}= clears it")
        try:
            changes[key] = field.read(text.strip()) if text.strip() else field.cleared
        except ValueError as wrong:
            raise BadInput(key, f"{text!r}: wanted {wrong}") from None
    return changes


def read_name(text: str) -> str:
    """An account's name. Raises: BadInput."""
    if not 0 < len(text) <= NAME_CHARACTERS or not text.isprintable() or text != text.strip():
        raise BadInput("NAME", f"1 to {NAME_CHARACTERS} printable characters, no space around them")
    return text
