"""The stored parts that a receipt may be for, found for a group of receipts at once (docs/rules.md R26, R28).

Each receipt has a few keys under which its message's id may be stored (``core.matching``), and one index has every
stored id in folded form. Must not know: which of the parts it is. Next: ``receipts`` beside this file.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from kvitto.core.matching import Candidate, candidate_keys, fold
from kvitto.core.receipt import LinkRules, Receipt
from kvitto.store import schema as t
from kvitto.store.statements import Int, Statement, Str, Tx
from kvitto.store.verbs.loading import Loaded, load_parts, lone_part, select_loaded

__all__ = ["Found", "Parked", "Search"]


class Parked(NamedTuple):
    """A receipt on its way to its message: new (``id`` None) or parked before."""

    id: int | None
    link: str
    group: str
    at: int
    receipt: Receipt
    rules: LinkRules
    tries: int


class Found(NamedTuple):
    """A stored part that may be a receipt's: with its message, and what matching wants to know of it."""

    loaded: Loaded
    part_no: int
    link: str
    written_at: int
    candidate: Candidate


_BY_FOLDED: Final = Statement(
    lambda r: select_loaded(
        (
            r.c.n,
            t.part.c.part_no,
            t.part.c.state,
            t.part.c.link,
            t.part.c.grp,
            t.part.c.smsc_message_id,
            t.part.c.written_at,
        ),
        r.join(t.part, (t.part.c.grp == r.c.grp) & (t.part.c.folded_id == r.c.folded)).join(
            t.message, t.message.c.id == t.part.c.message_id
        ),
    ),
    n=Int,
    grp=Str,
    folded=Str,
)


class Search:
    """The stored parts that receipts may be for.

    First each receipt's own id alone is looked up. Where that gives one part whose id is the receipt's to the letter,
    it is a match of level 1 whatever else there may be (``exact``: nearly always). For the rest, every key that any
    level
    could mean is looked up (``found``). ``loaded``: every message among them.
    """

    def __init__(self, tx: Tx, receipts: Sequence[Parked]) -> None:
        self._tx = tx
        self.loaded: dict[str, Loaded] = {}
        sent = [one.receipt.tlv_id or one.receipt.text_id or "" for one in receipts]
        first = [(index, one.group, fold(sent[index])) for index, one in enumerate(receipts)]
        self.found = self._look_up(first)
        self.exact = {
            index: here[0]
            for index, here in self.found.items()
            if len(here) == 1 and here[0].candidate.smsc_message_id == sent[index]
        }
        if len(self.exact) < len(receipts):
            keys = [
                (index, one.group, key)
                for index, one in enumerate(receipts)
                if index not in self.exact
                for key in candidate_keys(one.receipt.tlv_id, one.receipt.text_id, one.rules)
            ]
            self.found.update(self._look_up(keys))
        load_parts(tx, [one for one in self.loaded.values() if one.parts > 1])

    def _look_up(self, keys: Sequence[tuple[int, str, str]]) -> dict[int, list[Found]]:
        found: dict[int, list[Found]] = {}
        loaded = self.loaded
        for row in self._tx.run(_BY_FOLDED, keys):
            index, part_no, state, link, group, smsc_id, written_at, message_id = row[:8]
            one = loaded.get(message_id)
            if one is None:
                one = loaded[message_id] = Loaded(row[7:])
                if one.parts == 1:
                    one.set_parts((lone_part(part_no, state, one.record),))
                    one.links, one.smsc_ids = {part_no: link}, {part_no: smsc_id}
            candidate = Candidate((message_id, part_no), group, smsc_id, one.recipient, written_at, False)
            here = found.setdefault(index, [])
            if not here or all(known.candidate.key != candidate.key for known in here):
                here.append(Found(one, part_no, link, written_at, candidate))
        return found
