"""Operator events as callbacks: what an account's ``events_url`` is told of its endpoints and secrets (P13).

They are rows of the outbox as all callbacks are, so that lanes, schedules, addresses, signatures and attempts are the
same; in nobody's dialect, and always by the standard profile. Which of them are told, the store decides
(``kvitto.store.verbs.notices``). Pure. Must not know: sockets, stores. Next: ``kvitto.callbacks.outbox``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from kvitto.callbacks import standard
from kvitto.core.errors import LocalError
from kvitto.core.model import NOTICES, Account, BatchReport, CallbackDue, MessageView, OperatorEvent
from kvitto.dialects.base import RetryDecision

__all__ = ["NoticeVoice", "key_of"]

_JSON: Final = ("Content-Type", "application/json")


def key_of(facts: MessageView | BatchReport | OperatorEvent) -> str:
    """What a callback is about: those about the same go one after the other."""
    if isinstance(facts, MessageView):
        return facts.id
    return facts.batch_id if isinstance(facts, BatchReport) else facts.subject


class NoticeVoice:
    """It fulfils ``kvitto.dialects.base.Voice``."""

    name = NOTICES
    callback_timeout_s = standard.TIMEOUT_S
    most_per_callback = 1
    most_at_once = None
    supersedes = False

    def tells(self, due: CallbackDue, account: Account) -> bool:
        """All, as long as the account wants any."""
        return account.events_url is not None

    def together(self, due: CallbackDue) -> int:
        """Never."""
        return due.id

    def render(self, dues: Sequence[CallbackDue], account: Account) -> bytes:
        """Return ``type``, ``timestamp`` and ``data``, as the Standard Webhooks page has them."""
        facts = dues[0].facts
        if not isinstance(facts, OperatorEvent):
            raise LocalError("only operator events are told in no dialect")
        data = {"notice": facts.id, "subject": facts.subject, "detail": facts.detail}
        return msgspec.json.encode({"type": facts.kind, "timestamp": _iso(facts.at), "data": data})

    def headers(
        self, due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
    ) -> list[tuple[str, str]]:
        """Return what is not the same in every callback."""
        return [_JSON]

    def judge(
        self,
        due: CallbackDue,
        account: Account,
        status_code: int | None,
        body: bytes,
        retry_after_s: float | None,
        now: int,
    ) -> RetryDecision:
        """As any endpoint with the standard profile is judged."""
        return standard.judge(due, status_code, retry_after_s, now)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
