"""One question in, one answer out: whose receipt is this, asked of the server's own matching (R26-R35).

Pure: what ``kvitto receipt match`` reads and writes, a JSON object a line. Stored ids are looked up by the same keys as
in the store's index, and the choice is ``kvitto.core.matching.match``. Next: ``kvitto.cli.receipt``.
"""

from typing import Any, Final

import msgspec

from kvitto.core.errors import BadInput
from kvitto.core.matching import Ambiguous, Candidate, Match, ReceiptIds, candidate_keys, fold, match
from kvitto.core.receipt import IdBase, LinkRules

__all__ = ["answer_line", "read_match_settings"]

_KEYS: Final = ("submit_id", "receipt_id")


class _Stored(msgspec.Struct):
    """A part that was submitted: ``id`` is the SMSC's, ``submitted_s`` any seconds that can be compared."""

    name: str
    id: str
    group: str = ""
    destination: str = ""
    submitted_s: float = 0.0
    final: bool = False


class _Receipt(msgspec.Struct):
    """What identifies a receipt's message."""

    group: str = ""
    tlv_id: str | None = None
    text_id: str | None = None
    source_addr: str | None = None
    destination_addr: str | None = None


class _Question(msgspec.Struct):
    stored: list[_Stored]
    receipt: _Receipt


_read: Final = msgspec.json.Decoder(_Question)


def read_match_settings(text: str) -> LinkRules:
    """Read ``submit_id=hex,receipt_id=dec``; what is not named is ``auto``. Raises: BadInput naming key and values."""
    told: dict[str, IdBase] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = item.partition("=")
        if key.strip() not in _KEYS:
            raise BadInput("--settings", f"{key.strip()} is none; there are {' and '.join(_KEYS)}")
        try:
            told[key.strip()] = IdBase(value.strip())
        except ValueError:
            raise BadInput("--settings", f"{key.strip()} is one of {', '.join(IdBase)}") from None
    return LinkRules(submit_id=told.get("submit_id", IdBase.AUTO), receipt_id=told.get("receipt_id", IdBase.AUTO))


def answer_line(line: bytes, rules: LinkRules) -> dict[str, Any]:
    """Answer one line: ``result`` is a stored name, ``park`` or ``ambiguous``; ``level`` of a match, else None.

    A line that cannot be read is answered too, with ``result`` None and ``error`` in words. Raises: nothing.
    """
    try:
        question = _read.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        return {"result": None, "level": None, "error": str(wrong)}
    asked = question.receipt
    ids = ReceiptIds(asked.group, asked.tlv_id, asked.text_id, asked.source_addr or "", asked.destination_addr or "")
    keys = candidate_keys(asked.tlv_id, asked.text_id, rules)
    candidates = [_candidate(one) for one in question.stored if fold(one.id) in keys]
    result = match(ids, candidates, rules)
    if isinstance(result, Match):
        return {"result": result.candidate.key, "level": result.level}
    return {"result": "ambiguous" if isinstance(result, Ambiguous) else "park", "level": None}


def _candidate(one: _Stored) -> Candidate:
    return Candidate(one.name, one.group, one.id, one.destination, round(one.submitted_s * 1000), one.final)
