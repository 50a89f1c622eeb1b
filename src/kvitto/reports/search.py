"""The search box: words as in a mail program to a search of the store, and back. Pure.

    to:46701740611 status:failed batch:01J... ref:invoice-7 err:27 link:main since:2h

A word without a colon is a number (digits; after a "+" also in groups, as it is shown), a message's or batch's id, or a
reference. What cannot be read is said, not
guessed. Must not know: pages, SQL. Next: ``kvitto.store.verbs.lookup``.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from kvitto.core.ids import batch_of
from kvitto.core.status import Status
from kvitto.store.office import Look

__all__ = ["MOST_CHARACTERS", "Query", "parse_query"]

MOST_CHARACTERS: Final = 500
_GROUPED: Final = re.compile(r"\+\d[\d ()-]*\d")
_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_AGE: Final = re.compile(r"(\d{1,4})([mhd])")
_AGE_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WORDS: Final[Mapping[str, tuple[Status, ...]]] = {
    **{status.lower(): (status,) for status in Status},
    "undelivered": (Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.DELETED, Status.ABORTED, Status.UNKNOWN),
    "pending": (Status.QUEUED, Status.DISPATCHED),
}


class Query(NamedTuple):
    """What was asked: the search, and what could not be read of it, in words."""

    look: Look
    problems: tuple[str, ...] = ()


class _Wrong(ValueError):
    pass


def parse_query(text: str, account_id: str | None, now: int, zone: ZoneInfo) -> Query:
    """Read the search box. ``zone``: of dates in ``since:``. Raises: nothing."""
    if len(text) > MOST_CHARACTERS:
        return Query(Look(account_id), (f"the search has {len(text)} characters; at most {MOST_CHARACTERS}",))
    fields: dict[str, Any] = {}
    problems: list[str] = []
    for word in _split(text):
        key, colon, value = word.partition(":")
        reader = _READERS.get(key.lower()) if colon else _read_bare
        try:
            if reader is None:
                raise _Wrong(f"“{key}:” is none of to, status, batch, ref, err, link, since")
            fields.update(reader(value if colon else word, now, zone))
        except _Wrong as wrong:
            problems.append(str(wrong))
    return Query(Look(account_id, **fields), tuple(problems))


def _split(text: str) -> list[str]:
    text = _GROUPED.sub(lambda found: re.sub("[ ()-]", "", found[0]), text)
    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark without its twin
        return text.split()


def _read_bare(word: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    if _ID.fullmatch(word.upper()):
        return _read_batch(word, now, zone)
    if word.lstrip("+").isdigit():
        return _read_to(word, now, zone)
    return {"reference": word}


def _read_to(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    digits = value.replace(" ", "").replace("-", "").removeprefix("+").removeprefix("00")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise _Wrong("to: wants a number of digits, such as 46701740611")
    return {"to": digits}


def _read_status(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    found: list[Status] = []
    for word in value.lower().split(","):
        if word not in _WORDS:
            raise _Wrong(f"status: wants one of {', '.join(_WORDS)}")
        found += _WORDS[word]
    return {"statuses": tuple(dict.fromkeys(found))}


def _read_batch(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    if not _ID.fullmatch(value.upper()):
        raise _Wrong("batch: wants an id of 26 characters")
    return {"batch_id": batch_of(value.upper())}


def _read_reference(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    return {"reference": value}


def _read_code(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    try:
        code = int(value, 16) if value.lower().startswith("0x") else int(value)
    except ValueError:
        code = -1
    if not 0 <= code < 1 << 32:
        raise _Wrong("err: wants a network error or command_status, such as 27 or 0x0B")
    return {"code": code}


def _read_link(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    return {"link": value}


def _read_since(value: str, now: int, zone: ZoneInfo) -> dict[str, Any]:
    if age := _AGE.fullmatch(value.lower()):
        return {"since_at": now - int(age[1]) * _AGE_MS[age[2]]}
    if value.lower() == "today":
        today = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        return {"since_at": int(today.timestamp() * 1000)}
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise _Wrong("since: wants 30m, 2h, 7d, today, or a time such as 2026-03-09T14:05") from None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    try:
        return {"since_at": int(at.astimezone(UTC).timestamp() * 1000)}
    except OverflowError:
        raise _Wrong("since: is too far from now") from None


_READERS: Final[Mapping[str, Callable[[str, int, ZoneInfo], dict[str, Any]]]] = {
    "to": _read_to,
    "status": _read_status,
    "batch": _read_batch,
    "id": _read_batch,
    "ref": _read_reference,
    "err": _read_code,
    "link": _read_link,
    "since": _read_since,
}
