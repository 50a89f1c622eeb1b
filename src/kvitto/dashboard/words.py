"""What the pages call things that are names elsewhere: counters of links, fields of receipts, outcomes, refusals.

Tables and nothing else; a name that is in none of them is shown as it is. Next: ``kvitto.core.words`` (statuses).
"""

from collections.abc import Mapping
from typing import Final

__all__ = [
    "COUNTERS",
    "DISABLED",
    "FACTS",
    "OUTCOMES",
    "REFUSALS",
    "counters_of",
    "disabled_words",
    "fact_words",
    "outcome_words",
    "refusal_title",
]

COUNTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "Submits": {
        "claimed": "Parts taken from the queue",
        "submitted": "Parts written to the SMSC",
        "returned": "Parts given back unwritten",
        "answers_ok": "Taken by the SMSC",
        "throttled": "Throttled by the SMSC",
        "postponed": "Refused for the moment",
        "refused": "Refused for good",
        "in_doubt": "Parts lost sight of (R12)",
    },
    "Receipts": {
        "receipts": "Read, repetitions included",
        "receipts_matched": "Found their message",
        "receipts_level_1": "Matched by the very id (R26, level 1)",
        "receipts_level_2": "Matched, leading zeros and case aside (level 2)",
        "receipts_level_3": "Matched: hexadecimal there, decimal here (level 3)",
        "receipts_level_4": "Matched: decimal there, hexadecimal here (level 4)",
        "receipts_duplicate": "Repetitions",
        "receipts_late": "Late: corrected an end of ours",
        "receipts_conflict": "Conflicts with an earlier end",
        "receipts_adopted": "Adopted by a submit in doubt",
        "receipts_assigned": "Assigned by hand",
        "several_part_receipts": "For several parts of one text (R39)",
    },
    "Receipts without a message": {
        "receipts_parked": "Had to wait for their submit's answer",
        "receipts_orphan": "Orphans: given up",
        "receipts_ambiguous": "Ambiguous: fit several messages",
        "receipts_unparseable": "Unreadable",
    },
}
"""The counters of R54 (``kvitto.store.verbs.counting``), in the order of a message's way."""

FACTS: Final[Mapping[str, str]] = {
    "message_id": "SMSC's id",
    "stat_raw": "stat",
    "message_state": "message_state",
    "status": "Means",
    "reason": "Because",
    "err": "err",
    "network_error": "network_error_code",
    "done_date": "Done",
    "submit_date": "Submitted",
    "text": "Text",
}
"""What is read in a receipt (``kvitto.smpp.records``)."""

OUTCOMES: Final[Mapping[str, str]] = {
    "orphan": "No message that we know fits it.",
    "unparseable": "It says that it is a receipt, and its state or its id cannot be read.",
    "ambiguous": "More than one message fits it.",
    "conflict": "It says something else than an earlier final receipt; the first stands.",
    "parked": "Its message may not have been answered for yet; it is tried again.",
}
"""Why a receipt is on the page for those that somebody should look at."""

DISABLED: Final[Mapping[str, str]] = {
    "failing": "took nothing for five days",
    "gone": "answered 410",
    "operator": "by hand",
}
"""Why an endpoint is disabled (``kvitto.core.endpoint``)."""

REFUSALS: Final[Mapping[int, str]] = {
    400: "This cannot be read",
    401: "Your session is over",
    403: "Not yours to see",
    404: "Not found",
    405: "This is no way in",
    409: "Not possible now",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "Away for a moment",
}
"""The heading of a page that is not shown, by its HTTP status."""


def counters_of(counts: Mapping[str, int]) -> list[tuple[str, list[tuple[str, int]]]]:
    """A link's counters in words, under headings; what stands at zero everywhere is not among them."""
    known = {name for words in COUNTERS.values() for name in words}
    other = {name: name.replace("_", " ") for name in sorted(counts) if name not in known}
    groups = [
        (title, [(told, counts[name]) for name, told in words.items() if name in counts])
        for title, words in (*COUNTERS.items(), ("Other", other))
    ]
    return [(title, rows) for title, rows in groups if rows]


def fact_words(name: str) -> str:
    """What a field of a receipt is called."""
    return FACTS.get(name, name.replace("_", " "))


def outcome_words(outcome: str) -> str:
    """Why a receipt is among those that somebody should look at."""
    return OUTCOMES.get(outcome, "")


def disabled_words(why: str) -> str:
    """Why an endpoint is disabled."""
    return DISABLED.get(why, why)


def refusal_title(status: int) -> str:
    """The heading of a refusal."""
    return REFUSALS.get(status, "This did not work")
