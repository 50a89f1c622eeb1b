"""Lengths of time sorted into buckets, so that percentiles can be read from counts.

Bounds rise by about half each (1, 1.5, 2, 3, 5, 7 and so on), so a percentile read from them is within a quarter or so
of the truth. Pure. Next: ``kvitto.reports.overview``.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

__all__ = ["BOUNDS_MS", "bucket_of", "percentile"]

BOUNDS_MS: Final = tuple(
    int(step * 10**power) for power in range(1, 9) for step in (1, 1.5, 2, 3, 5, 7)
)  # 10 ms to 8 days
"""Upper bounds, inclusive, of all buckets but the last, which has none."""


def bucket_of(length_ms: int) -> int:
    """The number of the bucket that holds this length."""
    return bisect_left(BOUNDS_MS, length_ms)


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """The length (ms) below which ``share`` (0 to 1) of the counted lie, interpolated; None if nothing was counted."""
    total = sum(counts.values())
    if total <= 0:
        return None
    wanted, passed = share * total, 0
    for bucket in sorted(counts):
        here = counts[bucket]
        if here > 0 and passed + here >= wanted:
            low = BOUNDS_MS[bucket - 1] if bucket else 0
            high = BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
            return round(low + (high - low) * max(0.0, wanted - passed) / here)
        passed += here
    return BOUNDS_MS[-1]
