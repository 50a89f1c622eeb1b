"""Counts by the minute put together to what the overview shows. Pure.

Everything comes from rows whose number depends on time alone (minutes, names of counts), never on how many messages
there are. Next: ``kvitto.store.verbs.tallies``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kvitto.core.spans import percentile
from kvitto.core.status import ErrorSource, Reason, Status
from kvitto.core.words import SENTENCES, TITLES
from kvitto.smpp.spec import status_name
from kvitto.store.office import Tally

__all__ = ["MINUTE_MS", "SPANS", "Figures", "Need", "Span", "TopError", "figures_of"]

MINUTE_MS: Final = 60_000
_TOP: Final = 6


class Span(NamedTuple):
    """How far back a page looks: ``minutes`` in all, in steps of ``step`` minutes."""

    name: str
    minutes: int
    step: int
    title: str


SPANS: Final[Mapping[str, Span]] = {
    "1h": Span("1h", 60, 1, "last hour"),
    "24h": Span("24h", 1440, 15, "last 24 hours"),
}


class TopError(NamedTuple):
    """One way of not being delivered: how often, and in words; ``query`` finds its messages in the search."""

    many: int
    status: Status
    words: str
    query: str


class Need(NamedTuple):
    """Something that somebody should look at: what, and where."""

    words: str
    path: str
    severe: bool = False


class Figures(NamedTuple):
    """What the overview shows of an account, or of all.

    ``at``: seconds since the epoch, one for each step; ``series``: for each line its name and values.
    ``delivery_rate``: of the messages that ended, 0 to 1; None when none did. ``waits``: p50, p95, p99 in ms.
    """

    span: Span
    at: list[int]
    series: dict[str, list[int]]
    accepted: int
    queued: int
    dispatched: int
    ended: dict[Status, int]
    delivery_rate: float | None
    waits: tuple[int | None, int | None, int | None]
    errors: list[TopError]
    callbacks: dict[str, int]

    @property
    def empty(self) -> bool:
        """Whether nothing at all happened in this span."""
        return not (self.accepted or self.ended or self.queued or self.dispatched)


def figures_of(tallies: Sequence[Tally], span: Span, now: int) -> Figures:
    """Put counts together. ``tallies``: of the span at least."""
    step_ms = span.step * MINUTE_MS
    last = now - now % step_ms
    steps = span.minutes // span.step
    begin = last - (steps - 1) * step_ms
    sums: dict[str, int] = {}
    series = {name: [0] * steps for name in ("accepted", "delivered", "failed")}
    for at, name, value in tallies:
        if at == 0 or at >= begin:
            sums[name] = sums.get(name, 0) + value
        line = _line_of(name)
        if line and begin <= at <= last + step_ms:
            series[line][min(steps - 1, (at - begin) // step_ms)] += value
    ended = {status: sums[f"status:{status}"] for status in Status if sums.get(f"status:{status}")}
    total = sum(ended.values())
    waits = {int(name[5:]): value for name, value in sums.items() if name.startswith("wait:")}
    return Figures(
        span,
        [(begin + index * step_ms) // 1000 for index in range(steps)],
        series,
        sums.get("accepted", 0),
        max(0, sums.get("now:QUEUED", 0)),
        max(0, sums.get("now:DISPATCHED", 0)),
        ended,
        ended.get(Status.DELIVERED, 0) / total if total else None,
        (percentile(waits, 0.5), percentile(waits, 0.95), percentile(waits, 0.99)),
        _top_errors(sums.items()),
        {state: sums.get(f"callback:{state}", 0) for state in ("done", "pending", "given_up")},
    )


def _line_of(name: str) -> str:
    if name == "accepted":
        return "accepted"
    if name.startswith("status:"):
        return "delivered" if name == "status:DELIVERED" else "failed"
    return ""


def _top_errors(sums: Iterable[tuple[str, int]]) -> list[TopError]:
    found = [_read_error(name, count) for name, count in sums if name.startswith("error:") and count > 0]
    return sorted(found, key=lambda one: (-one.many, one.words))[:_TOP]


def _read_error(name: str, count: int) -> TopError:
    _, status_word, reason_word, source, code = name.split(":")
    status, reason = Status(status_word), Reason(reason_word)
    words = f"{TITLES[status]}: {SENTENCES[status, reason].removesuffix('.')}"
    query = f"status:{status.lower()}"
    if code.isdigit() and int(code):
        words += f" ({_code_words(source, int(code))})"
        query += f" err:{int(code)}"
    return TopError(count, status, words, query)


def _code_words(source: str, code: int) -> str:
    return status_name(code) if source == ErrorSource.SUBMIT else f"network error {code}"
