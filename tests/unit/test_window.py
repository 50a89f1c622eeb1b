"""Delivery windows open and shut in UTC, over midnight too."""

from datetime import UTC, datetime

import pytest

from kvitto.core.model import DeliveryWindow
from kvitto.core.window import next_opening

MONDAY, TUESDAY, SUNDAY = 0, 1, 6


def at(text: str) -> int:
    """9 March 2026 is a Monday."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("window", "asked", "opens"),
    [
        (None, "2026-03-09T12:00", "2026-03-09T12:00"),
        (DeliveryWindow(()), "2026-03-09T12:00", "2026-03-09T12:00"),
        (DeliveryWindow((MONDAY,)), "2026-03-09T23:59", "2026-03-09T23:59"),
        (DeliveryWindow((MONDAY,)), "2026-03-10T00:00", "2026-03-16T00:00"),
        (DeliveryWindow((MONDAY,), 600, 660), "2026-03-09T09:59", "2026-03-09T10:00"),
        (DeliveryWindow((MONDAY,), 600, 660), "2026-03-09T10:59", "2026-03-09T10:59"),
        (DeliveryWindow((MONDAY,), 600, 660), "2026-03-09T11:00", "2026-03-16T10:00"),
        (DeliveryWindow((MONDAY, TUESDAY), 600, 660), "2026-03-09T11:00", "2026-03-10T10:00"),
        (DeliveryWindow((SUNDAY,), 1320, 120), "2026-03-09T01:59", "2026-03-09T01:59"),
        (DeliveryWindow((SUNDAY,), 1320, 120), "2026-03-09T02:00", "2026-03-15T22:00"),
        (DeliveryWindow((SUNDAY,), 1320, 120), "2026-03-15T21:00", "2026-03-15T22:00"),
        (DeliveryWindow((MONDAY,), 60, 60), "2026-03-10T00:30", "2026-03-10T00:30"),
    ],
)
def test_a_window_opens_next(window, asked, opens):
    assert next_opening(window, at(asked)) == at(opens)
