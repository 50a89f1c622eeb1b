"""What ``/metrics`` shows, read from the counters of the rooms when somebody asks: nobody counts for it on the way.

Knows the store, the links and the callback sender, and the names in ``kvitto.telemetry``; must not know HTTP. Next:
``kvitto.telemetry`` (``METRICS``).
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from kvitto.callbacks.outbox import Outbox
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import ReceiptOutcome
from kvitto.dispatch.dispatcher import LinkStatus
from kvitto.intake.pressure import Pressure
from kvitto.smpp.spec import StatusClass
from kvitto.store import Store
from kvitto.telemetry import Samples

__all__ = ["BACKLOG_S", "read_samples"]

BACKLOG_S: Final = 5.0
"""Seconds that the store may take to count what it holds; after that the rest is shown without it."""

_COUNTERS: Final = {
    "kvitto_link_throttles_total": "throttled",
    "kvitto_link_reconnects_total": "reconnects",
    "kvitto_parts_claimed_total": "claimed",
    "kvitto_parts_submitted_total": "submitted",
    "kvitto_parts_returned_total": "returned",
    "kvitto_parts_doubted_total": "in_doubt",
    "kvitto_answers_late_total": "late_answers",
    "kvitto_answers_missing_total": "timed_out",
    "kvitto_receipts_refused_total": "receipts_refused",
    "kvitto_incoming_total": "incoming",
    "kvitto_outbinds_total": "outbinds",
    "kvitto_outbinds_refused_total": "outbinds_refused",
}
"""Metric -> the name among ``LinkStatus.counters``."""
_BACKLOG: Final = {
    "kvitto_messages_queued": "queued",
    "kvitto_parts_in_doubt": "in_doubt",
    "kvitto_receipts_parked": "parked",
    "kvitto_callbacks_pending": "callbacks",
}
"""Metric -> the name in ``Store.count_backlog``."""
_LEVEL: Final = "receipts_level_"

_Read = list[tuple[tuple[str, ...], float]]


async def read_samples(
    store: Store, links: Callable[[], Iterable[LinkStatus]], outbox: Outbox, pressure: Pressure
) -> Samples:
    """Read everything once. What the store cannot count now is left out. Raises: nothing."""
    backlog = await _read_stored(store)
    transactions, items = store.count_commits()
    return {
        **_of_links(list(links())),
        "kvitto_sends_refused_total": [((), pressure.refused)],
        "kvitto_callback_attempts_total": [((), outbox.attempts)],
        "kvitto_callbacks_total": [
            (("delivered",), outbox.delivered),
            (("postponed",), outbox.postponed),
            (("given_up",), outbox.given_up),
            (("untold",), outbox.dropped),
        ],
        "kvitto_callbacks_in_hand": [((), outbox.in_hand)],
        "kvitto_callbacks_given_back_total": [((), outbox.forgotten)],
        "kvitto_endpoints": [((state,), count) for state, count in outbox.count_states().items()],
        **backlog,
        "kvitto_store_transactions_total": [((), transactions)],
        "kvitto_store_items_total": [((), items)],
    }


async def _read_stored(store: Store) -> dict[str, _Read]:
    try:
        async with asyncio.timeout(BACKLOG_S):
            counts, counted = await store.count_backlog(), await store.count_links()
    except (StoreUnavailable, TimeoutError):
        return {}
    return {
        **{metric: [((), counts[name])] for metric, name in _BACKLOG.items()},
        "kvitto_link_counted_total": [((one.link, one.group, one.name), one.value) for one in counted],
    }


def _of_links(links: list[LinkStatus]) -> dict[str, _Read]:
    read: dict[str, _Read] = {
        "kvitto_link_binds": [((link.name,), link.bound) for link in links],
        "kvitto_link_window": [((link.name,), link.window) for link in links],
        "kvitto_link_in_flight": [((link.name,), link.in_flight) for link in links],
        "kvitto_answers_total": [
            ((link.name, kind.value), link.counters[f"answers_{kind.value}"]) for link in links for kind in StatusClass
        ],
        "kvitto_receipts_total": [
            ((link.name, outcome.value), link.counters[f"receipts_{outcome.value}"])
            for link in links
            for outcome in ReceiptOutcome
        ],
        "kvitto_receipts_matched_total": [
            ((link.name, name.removeprefix(_LEVEL)), count)
            for link in links
            for name, count in sorted(link.counters.items())
            if name.startswith(_LEVEL)
        ],
    }
    for metric, name in _COUNTERS.items():
        read[metric] = [((link.name,), link.counters[name]) for link in links]
    return read
