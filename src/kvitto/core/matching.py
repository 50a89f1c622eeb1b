"""Which message a receipt belongs to: keys for one index, then the choice among what the index found.

SMSCs write one id in several ways: padded, in another case, hexadecimal in the response and decimal in the receipt.
The theory: the store keeps each id as sent and, beside it, ``fold(id)``. Every way of writing has exactly one folded
form on the stored side, so ``candidate_keys`` names the few folded ids at which any of the four levels of R26 could
hit, one look-up in the index on (group, folded id) finds all candidates, and ``match`` decides by levels, addresses
and age. Ids themselves are never changed (R27). It must not know the store, nor what the receipt says.
Next: ``docs/rules.md`` R26-R35.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from kvitto.core.msisdn import agree7
from kvitto.core.receipt import IdBase, LinkRules, Receipt

__all__ = [
    "Ambiguous",
    "Candidate",
    "InDoubt",
    "Match",
    "Park",
    "ReceiptIds",
    "adopt",
    "candidate_keys",
    "fold",
    "match",
]

MAX_FOLDED: Final = 255
"""Characters of the longest folded id. The wire allows 64 (message_id, C-octet 65), but peers may send, and texts may
hold, ids of any length: indexes bound their keys, and turning huge ids into numbers costs quadratic time. A longer id
folds to a digest, so it still matches itself in another case or padding; only its number is not looked for."""

_HEX_DIGITS: Final = "0123456789abcdef"
_DEC_DIGITS: Final = "0123456789"


class ReceiptIds(NamedTuple):
    """What identifies a receipt's message: the SMSC group it came from, both ids as sent, both addresses as sent."""

    group: str
    tlv_id: str | None
    text_id: str | None
    source_addr: str
    destination_addr: str


class Candidate(NamedTuple):
    """A submitted part that the index found. ``key`` is the asker's own handle.

    ``submitted_at``: ms since the epoch UTC. ``final``: its end is known.
    """

    key: object
    group: str
    smsc_message_id: str
    destination: str
    submitted_at: int
    final: bool


class Match(NamedTuple):
    """The receipt is ``candidate``'s, found at ``level`` 1..4 (R26); ``candidate.final``: it is a duplicate (R32)."""

    candidate: Candidate
    level: int


class Park(NamedTuple):
    """Nothing fits yet: park the receipt and try again (R33)."""


class Ambiguous(NamedTuple):
    """Several different messages fit: no match, the receipt becomes an orphan (R35)."""

    candidates: tuple[Candidate, ...]


def fold(smsc_message_id: str) -> str:
    """The form of an id that case and padding do not change: what the index holds (R26, R28).

    NULs and outer spaces go, letters become lower case; an id of hex digits only also loses its leading zeros (one
    zero stays of an id of zeros). Equal folds are exactly level 2. At most MAX_FOLDED characters.
    """
    folded = _bare(smsc_message_id).lower()
    if folded.startswith("0") and not folded.strip(_HEX_DIGITS):
        folded = folded.lstrip("0") or "0"
    return folded if len(folded) <= MAX_FOLDED else _digest(folded)


def _digest(folded: str) -> str:
    """What stands for a folded id that is too long: no number, and no shorter id looks like it."""
    return f"~{sha256(folded.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _bare(smsc_message_id: str) -> str:
    """The id without NULs and outer spaces: two ids are exactly equal when this is."""
    if "\0" in smsc_message_id:
        smsc_message_id = smsc_message_id.replace("\0", "")
    return smsc_message_id.strip()


def _dec_to_hex(folded: str) -> str | None:
    """The folded id that a stored hexadecimal id has when the receipt's is its decimal form; None: no number."""
    return format(int(folded), "x") if folded and not folded.strip(_DEC_DIGITS) else None


def _hex_to_dec(folded: str) -> str | None:
    """The folded id that a stored decimal id has when the receipt's is its hexadecimal form; None: no number."""
    return fold(str(int(folded, 16))) if folded and not folded.strip(_HEX_DIGITS) else None


_LEVELS: Final[dict[tuple[IdBase, IdBase], tuple[int, ...]]] = {
    (IdBase.AUTO, IdBase.AUTO): (1, 2, 3, 4),
    (IdBase.HEX, IdBase.DEC): (1, 3),
    (IdBase.DEC, IdBase.HEX): (1, 4),
    # One side told, the other not: the levels that what was told allows.
    (IdBase.HEX, IdBase.AUTO): (1, 2, 3),
    (IdBase.AUTO, IdBase.DEC): (1, 2, 3),
    (IdBase.DEC, IdBase.AUTO): (1, 2, 4),
    (IdBase.AUTO, IdBase.HEX): (1, 2, 4),
}
"""(submit_id, receipt_id) -> levels tried. Every other pair is told on both sides without a change of base: 1 and 2."""


def _levels(rules: LinkRules) -> tuple[int, ...]:
    return _LEVELS.get((rules.submit_id, rules.receipt_id), (1, 2))


def candidate_keys(tlv_id: str | None, text_id: str | None, rules: LinkRules) -> tuple[str, ...]:
    """The folded ids to look up in the receipt's group: every stored id that any level can match has one of them.

    At most six, without repetition, the likeliest first; none when the receipt has no id.
    """
    levels = _levels(rules)
    keys: list[str] = []
    for sent in _ids(tlv_id, text_id):
        folded = fold(sent)
        for level in levels:
            key = _key(folded, level)
            if key and key not in keys:
                keys.append(key)
    return tuple(keys)


def _ids(tlv_id: str | None, text_id: str | None) -> tuple[str, ...]:
    """The receipt's ids in the order of trying; mostly both are one."""
    if tlv_id and text_id and tlv_id != text_id:
        return (tlv_id, text_id)
    only = tlv_id or text_id
    return (only,) if only else ()


def _key(folded: str, level: int) -> str | None:
    """The folded id wanted at a level; level 1 is inside level 2's key. None: not to be had."""
    if level <= 2:
        return folded or None
    return _dec_to_hex(folded) if level == 3 else _hex_to_dec(folded)


def match(receipt: ReceiptIds, candidates: Sequence[Candidate], rules: LinkRules) -> Match | Park | Ambiguous:
    """Decide whose receipt this is among the candidates of the look-up (R26-R32, R35).

    The TLV's id is tried first, then the text's, each level by level; the first level with a hit ends the search.
    Candidates of another group never match (R31). Candidates that the keys did not ask for do no harm.
    """
    own = [candidate for candidate in candidates if candidate.group == receipt.group]
    if not own:
        return Park()
    levels = _levels(rules)
    for sent in _ids(receipt.tlv_id, receipt.text_id):
        exact, folded = _bare(sent), fold(sent)
        for level in levels if folded else ():
            found = _at_level(level, exact, folded, own, receipt)
            if found:
                return _choose(found, level)
    return Park()


def _at_level(level: int, exact: str, folded: str, own: Sequence[Candidate], receipt: ReceiptIds) -> list[Candidate]:
    """The candidates that fit at this level, addresses considered (R35)."""
    if level == 1:
        found = [candidate for candidate in own if _bare(candidate.smsc_message_id) == exact]
        return found if len(found) == 1 else _agreeing(found, receipt)
    key = _key(folded, level)
    if key is None:
        return []
    return _agreeing([candidate for candidate in own if fold(candidate.smsc_message_id) == key], receipt)


def _agreeing(found: Iterable[Candidate], receipt: ReceiptIds) -> list[Candidate]:
    return [c for c in found if _agrees(c.destination, receipt.source_addr, receipt.destination_addr)]


def _agrees(destination: str, source_addr: str, destination_addr: str) -> bool:
    """Receipts swap the addresses by the spec, but some SMSCs do not: either may be the phone's (R35)."""
    return agree7(destination, source_addr) or agree7(destination, destination_addr)


def _choose(found: Sequence[Candidate], level: int) -> Match | Ambiguous:
    """One id used again: the newest that is not final, else the newest (R32). Different ids: ambiguous (R35)."""
    if len(found) == 1:
        return Match(found[0], level)
    if len({_bare(candidate.smsc_message_id) for candidate in found}) > 1:
        return Ambiguous(tuple(found))
    # Of equally old ones the later in the sequence: an SMSC may give all parts of a text, sent at once, one id.
    newest = max(enumerate(found), key=lambda row: (not row[1].final, row[1].submitted_at, row[0]))
    return Match(newest[1], level)


class InDoubt(NamedTuple):
    """A part that was written and never answered (R12).

    ``key`` is the asker's own handle; ``submitted_at`` in ms; ``message``: equal for the parts of one text, in which
    this is part ``part_no``.
    """

    key: object
    group: str
    destination: str
    submitted_at: int
    message: object
    part_no: int


def adopt(
    receipt: Receipt, group: str, received_at: int, in_doubt: Iterable[InDoubt], rules: LinkRules
) -> InDoubt | None:
    """The in-doubt part that a parked receipt of this group fits (R33, last sentence); None for none.

    It fits by its destination and, where the receipt has a submit date, by a submit within ``rules.adopt_within_s`` of
    that date. A part that was submitted after the receipt was received cannot be the receipt's. Parts of two messages
    that fit alike get nothing; of one message's it is the first, because parts are written in order: what never
    reached the SMSC are the last ones.
    The asker waits ``rules.adopt_after_s`` after ``received_at`` before it asks.
    """
    fitting = [
        part
        for part in in_doubt
        if part.group == group
        and part.submitted_at <= received_at
        and _near(part.submitted_at, receipt.submit_at, rules.adopt_within_s)
        and _agrees(part.destination, receipt.source_addr, receipt.destination_addr)
    ]
    if len({part.message for part in fitting}) != 1:
        return None
    return min(fitting, key=lambda part: part.part_no)


def _near(submitted_at: int, submit_at: int | None, within_s: int) -> bool:
    return submit_at is None or abs(submitted_at - submit_at) <= within_s * 1_000
