"""The judge: compares what was promised with what is there, as whole sets, never by sample.

Four witnesses: the *ledger* (what the server said 2xx to), the *server* (its reports of every batch, its list of parts
in doubt), the *SMSC* (submits and answered receipts by number), the *sink* (every callback it took). ``gather`` asks
the server, ``judge`` is plain set arithmetic over the four, and ``Verdict.explain`` says what is wrong in words.

It supposes what the ledger's plan guarantees: every number is used once, and every message that reaches the SMSC is
delivered. A text may have several parts: then each is counted by itself, and what reached the SMSC whole ends by its
receipts, however many of its parts were in doubt (R33).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tests.support.ledger import HttpClient, LedgerEntry
from tests.support.pcluster import Rig, SmscRecord
from tests.support.server import AccountKeys, ServerProcess

__all__ = ["ServerView", "Verdict", "gather", "judge", "list_in_doubt", "settle", "verdict_at_rest", "verdict_of"]

FINAL = frozenset({"Aborted", "Cancelled", "Rejected", "Deleted", "Delivered", "Failed", "Expired", "Unknown"})
CONNECTIONS = 8
PAGE_SIZE = 100
SHOWN = 5
RETRY_S = 6.0
"""A little longer than the first retry of a callback and the early looks at a parked receipt (5 s both)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """What the server says. ``batches``: batch id -> recipient -> status, for every batch, acknowledged or not.

    ``reports``: batch id -> the callbacks it asked for. ``in_doubt``: recipients of parts listed as in doubt.
    """

    batches: Mapping[str, Mapping[str, str]]
    reports: Mapping[str, str]
    in_doubt: frozenset[str]

    @property
    def statuses(self) -> dict[str, str]:
        """Recipient -> status, over all batches."""
        return {number: status for batch in self.batches.values() for number, status in batch.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong, as sorted lists of batch ids or numbers; empty lists are good news. The rest are counts."""

    lost: list[str]
    """Batches acknowledged with a 2xx that the server does not know, or not with all their numbers (P1)."""
    sent_twice: list[str]
    """Numbers of which the SMSC accepted a part more than once (P6)."""
    receipts_lost: list[str]
    """Numbers whose receipt was answered with 0 and that are not Delivered (P2)."""
    unsent_unlisted: list[str]
    """Numbers that never reached the SMSC, are not final and are not listed in doubt: silently unsent (P6)."""
    unadopted: list[str]
    """Numbers that reached the SMSC and are still in doubt: their receipts should have adopted them (R33)."""
    unfinished: list[str]
    """Numbers neither final nor listed in doubt."""
    not_delivered: list[str]
    """Numbers that reached the SMSC, whose receipt was answered, and that ended as something else than Delivered."""
    unknown_at_smsc: list[str]
    """Numbers that the SMSC got and no batch of the server has."""
    callbacks_missing: list[str]
    """``batch`` or ``batch/number`` whose final callback the sink never took."""
    callbacks_invented: list[str]
    """Callbacks for what is not final, or not known."""
    in_doubt: list[str]
    """Numbers listed as in doubt: allowed, up to a window for every bind and kill."""
    callbacks_duplicated: int
    """Callbacks taken beyond the first: allowed (at least once)."""
    messages: int
    acknowledged: int
    delivered: int

    @property
    def faults(self) -> dict[str, list[str]]:
        """What must be empty and is not."""
        allowed = {"in_doubt"}
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value for name, value in named.items() if isinstance(value, list) and value and name not in allowed
        }

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def explain(self) -> str:
        """Counts, and for each fault how many and which."""
        lines = [
            f"{self.acknowledged} messages acknowledged, {self.messages} known to the server, "
            f"{self.delivered} delivered, {len(self.in_doubt)} in doubt, "
            f"{self.callbacks_duplicated} callbacks more than once"
        ]
        for name, found in self.faults.items():
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            lines.append(f"{name.replace('_', ' ')}: {len(found)} ({', '.join(found[:SHOWN])}{more})")
        return "\n".join(lines)


# ---- the server's side


async def gather(port: int, keys: AccountKeys, in_doubt: Iterable[Mapping[str, Any]]) -> ServerView:
    """Read every batch of the account and its full report. ``in_doubt``: see ``list_in_doubt``."""
    listed = await _list_batches(HttpClient(port, keys))
    batches: dict[str, dict[str, str]] = {}
    todo = iter(listed)

    async def read() -> None:
        client = HttpClient(port, keys)
        for batch_id in todo:
            answered = await client.request("GET", f"/batches/{batch_id}/delivery_report?type=full")
            assert answered.status == 200, f"{answered.status} for the report of the listed batch {batch_id}"
            batches[batch_id] = {
                number: bucket["status"] for bucket in answered.json["statuses"] for number in bucket["recipients"]
            }
        client.close()

    await asyncio.gather(*(read() for _ in range(CONNECTIONS)))
    return ServerView(batches=batches, reports=listed, in_doubt=frozenset(str(part["recipient"]) for part in in_doubt))


async def _list_batches(client: HttpClient) -> dict[str, str]:
    """Batch id -> delivery_report, over all pages."""
    found: dict[str, str] = {}
    page = 0
    while True:
        answered = await client.request("GET", f"/batches?page={page}&page_size={PAGE_SIZE}")
        assert answered.status == 200, f"{answered.status} for page {page} of the batches"
        entries = answered.json["batches"]
        found.update({entry["id"]: entry["delivery_report"] for entry in entries})
        if not entries:
            assert len(found) == answered.json["count"], "the list's count and its entries differ"
            client.close()
            return found
        page += 1


def list_in_doubt(server: ServerProcess) -> list[Mapping[str, Any]]:
    """What ``message in-doubt list --json`` prints: what the operator sees."""
    found = server.run_json("message", "in-doubt", "list")
    assert isinstance(found, list)
    return found


# ---- the arithmetic


def judge(
    entries: Collection[LedgerEntry],
    view: ServerView,
    smsc: SmscRecord,
    callbacks: Iterable[Mapping[str, Any]],
    parts: Mapping[str, int] | None = None,
) -> Verdict:
    """Compare the four witnesses. ``callbacks``: bodies that the sink took, in any order; ``parts``: those above 1."""
    statuses = view.statuses
    sizes = parts or {}
    submitted = _whole(smsc.submitted_parts, sizes)
    answered = _whole(smsc.answered_parts, sizes)
    final = {number for number, status in statuses.items() if status in FINAL}
    open_ = set(statuses) - final - view.in_doubt
    lost = {number for number in answered if statuses.get(number) != "Delivered"}
    told = _told(callbacks)
    due = _due(view)
    return Verdict(
        lost=sorted(entry.batch_id for entry in entries if not _is_kept(entry, view)),
        sent_twice=sorted({number for (number, _), times in smsc.submitted_parts.items() if times > 1}),
        receipts_lost=sorted(lost),
        unsent_unlisted=sorted(open_ - submitted),
        unadopted=sorted(view.in_doubt & submitted - final),
        unfinished=sorted(open_),
        not_delivered=sorted(number for number in final & answered if statuses[number] != "Delivered"),
        unknown_at_smsc=sorted(set(smsc.submits) - set(statuses)),
        callbacks_missing=sorted(due - set(told)),
        callbacks_invented=sorted(set(told) - due),
        in_doubt=sorted(view.in_doubt & set(statuses)),
        callbacks_duplicated=sum(times - 1 for times in told.values()),
        messages=len(statuses),
        acknowledged=sum(len(entry.recipients) for entry in entries),
        delivered=sum(status == "Delivered" for status in statuses.values()),
    )


def _whole(seen: Mapping[tuple[str, int], int], sizes: Mapping[str, int]) -> set[str]:
    """The numbers of which every part was seen."""
    parts = Counter(number for number, _ in seen)
    return {number for number, count in parts.items() if count >= sizes.get(number, 1)}


def _is_kept(entry: LedgerEntry, view: ServerView) -> bool:
    return set(entry.recipients) == set(view.batches.get(entry.batch_id, ()))


def _due(view: ServerView) -> set[str]:
    """The final callbacks that must have come: ``batch/number`` for each recipient, ``batch`` when all are final."""
    due: set[str] = set()
    for batch_id, recipients in view.batches.items():
        final = [number for number, status in recipients.items() if status in FINAL]
        if view.reports[batch_id] == "per_recipient_final":
            due.update(f"{batch_id}/{number}" for number in final)
        elif view.reports[batch_id] in ("full", "summary") and len(final) == len(recipients):
            due.add(batch_id)
    return due


def _told(callbacks: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(
        f"{body['batch_id']}/{body['recipient']}" if "recipient" in body else str(body["batch_id"])
        for body in callbacks
    )


# ---- a whole rig


async def settle(rig: Rig, *, quiet_s: float, within_s: float) -> None:
    """Wait until SMSC and sink have seen nothing new for ``quiet_s`` and no receipt waits to be sent.

    Raises: AssertionError when it does not come to rest.
    """
    until = time.monotonic() + within_s
    seen, since = (-1, -1), time.monotonic()
    while (now := time.monotonic()) < until:
        news = (rig.smsc.record.news, len(rig.sink.received))
        if news != seen or rig.smsc.waiting:
            seen, since = news, now
        elif now - since >= quiet_s:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no rest within {within_s:g} s: {seen}, {rig.smsc.waiting} to send\n{rig.server.log_tail()}")


async def verdict_of(rig: Rig) -> Verdict:
    """Ask all four witnesses of a rig at rest."""
    doubts = list_in_doubt(rig.server)
    view = await gather(rig.server.port, rig.keys, doubts)
    return judge(rig.ledger.entries(), view, rig.smsc.record, rig.sink.taken(), rig.ledger.parts)


async def verdict_at_rest(rig: Rig, *, within_s: float = 60.0, quiet_s: float = 2.0) -> Verdict:
    """Judge as soon as all is quiet and well; else wait on, as adoption and retries take time, and judge at the end.

    A second look after a pause of the longest of the server's short waits makes sure that it stays well.
    """
    until = time.monotonic() + within_s
    while True:
        await settle(rig, quiet_s=quiet_s, within_s=within_s)
        verdict = await verdict_of(rig)
        if verdict.good or time.monotonic() > until:
            break
    if verdict.good:
        await settle(rig, quiet_s=RETRY_S, within_s=within_s)
        verdict = await verdict_of(rig)
    return verdict
