"""When messages may leave: delivery windows, as plain arithmetic on instants (docs/dialects/infobip.md 3.3).

Everything is UTC, where every day has 1440 minutes; instants are ms since the epoch. Must not know: who asks. Next:
``kvitto.core.model.DeliveryWindow``.
"""

from typing import Final

from kvitto.core.model import DeliveryWindow

__all__ = ["next_opening"]

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_EPOCH_WEEKDAY: Final = 3  # 1 January 1970 was a Thursday; Monday is 0
_WEEK_DAYS: Final = 7


def next_opening(window: DeliveryWindow | None, at: int) -> int:
    """Return ``at`` if the window is open then, else the instant it opens next; without a window ``at`` itself.

    A window without days never opens: ``at`` is returned, so that nothing waits for ever.
    """
    if window is None or not window.days:
        return at
    day = at // _DAY_MS
    opens_ms = window.from_minute * _MINUTE_MS
    open_ms = (window.to_minute - window.from_minute) * _MINUTE_MS
    if open_ms <= 0:  # over midnight: it belongs to the day on which it began
        open_ms += _DAY_MS
    for offset in range(-1, _WEEK_DAYS + 1):
        if (day + offset + _EPOCH_WEEKDAY) % _WEEK_DAYS not in window.days:
            continue
        start = (day + offset) * _DAY_MS + opens_ms
        if at < start + open_ms:
            return max(at, start)
    return at
