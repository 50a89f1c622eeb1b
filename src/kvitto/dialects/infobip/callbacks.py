"""Pushes: reports posted to a URL, several in one call, and what a receiver's answer means.

A body is the answer that a reader of reports would get (docs/dialects/infobip.md 7), in the shape of the version the
message was sent with, in JSON or XML as its sender asked.

Must not know: how a callback is posted, when it became due. Next: ``kvitto.core.retry``.
"""

from collections.abc import Sequence
from typing import Final

from kvitto.core.model import Account, CallbackDue, MessageView, Notify
from kvitto.core.retry import offsets_schedule
from kvitto.core.status import FINAL, Note, Reason, Status
from kvitto.dialects.base import RetryDecision
from kvitto.dialects.infobip import xml
from kvitto.dialects.infobip.forms import JSON, XML
from kvitto.dialects.infobip.reports import Reporter
from kvitto.dialects.infobip.wire import ENCODER

__all__ = ["MOST_PER_CALL", "RETRIES", "TIMEOUT_S", "headers", "judge", "notify_of", "render", "tells", "together"]

TIMEOUT_S: Final = 10.0
"""Seconds that one attempt may take; the vendor tells none."""

MOST_PER_CALL: Final = 100
"""Reports in one call at most."""

RETRIES: Final = 20

_OFFSETS_S: Final = [60.0 * sum(1 + step * step for step in range(retry + 1)) for retry in range(RETRIES)]
_SCHEDULE: Final = offsets_schedule(_OFFSETS_S)
"""After failed attempt n, from 0: a minute and n times n minutes; the 20th and last 41 h 30 min after the first."""

_DONE: Final = RetryDecision(True, None)

_JSON_HEADERS: Final = ("Content-Type", JSON)
_XML_HEADERS: Final = ("Content-Type", XML)


def notify_of(wanted: Notify | None, account: Account) -> Notify:
    """Nothing said is nothing pushed; what other dialects tell once a batch, or at each change, is each one's end.

    What is on the way is pushed only to those who ask for it (``intermediateReport``).
    """
    if wanted is None or wanted is Notify.NONE:
        return Notify.NONE
    return wanted if wanted is Notify.ATTEMPTS else Notify.FINAL


def tells(due: CallbackDue, account: Account) -> bool:
    """All ends; what is on the way unless the account wants ends only; a late correction unless it wants none."""
    message = due.facts
    if not isinstance(message, MessageView):
        return False
    if message.status not in FINAL:
        return not account.final_only
    return account.late_corrections is not False or not _corrects(message)


def _corrects(message: MessageView) -> bool:
    """Whether this end came after one that only we had set (R45)."""
    ours = message.status is Status.UNKNOWN or message.reason is Reason.VALIDITY_LOCAL
    return Note.LATE in message.notes and not ours


def _shape(due: CallbackDue) -> tuple[int, bool]:
    """The version whose shape it takes, and whether it is XML."""
    extra = due.facts.extra if isinstance(due.facts, MessageView) else {}
    return 3 if extra.get("v") == 3 else 1, bool(extra.get("xml"))


def together(due: CallbackDue) -> tuple[str, str, int, bool]:
    """Reports share a call that go from one account to one URL in one shape and format."""
    return (due.account_id, due.url, *_shape(due))


def render(reporter: Reporter, dues: Sequence[CallbackDue], account: Account) -> bytes:
    """Return the body of one call: the same octets for the same facts, every time.

    XML comes without a declaration: receivers look for the root element at the very beginning.
    """
    version, as_xml = _shape(dues[0])
    root, body = reporter.reports([due.facts for due in dues if isinstance(due.facts, MessageView)], version)
    return xml.write(root, body) if as_xml else ENCODER.encode(body)


def headers(
    due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
) -> list[tuple[str, str]]:
    """Return the content type; the vendor signs nothing and sends no credentials."""
    return [_XML_HEADERS if _shape(due)[1] else _JSON_HEADERS]


def judge(
    due: CallbackDue, account: Account, status_code: int | None, body: bytes, retry_after_s: float | None, now: int
) -> RetryDecision:
    """Say what an answer means: 2xx done; anything else, or none, again by the schedule."""
    if status_code is not None and 200 <= status_code < 300:
        return _DONE
    first_failed_at = now if due.first_failed_at is None else due.first_failed_at
    return RetryDecision(False, _SCHEDULE(due.attempts + 1, first_failed_at, now))
