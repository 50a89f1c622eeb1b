"""Why a callback is not made after all: its message has ended, a later change has been told, the account wants it not.

Such a callback is done without an attempt, and the reason stands where its answer would (docs/callbacks.md). Must not
know: queues, posting. Next: ``kvitto.callbacks.outbox``.
"""

from typing import Final

from kvitto.core.model import Account, CallbackDue, MessageView
from kvitto.core.status import FINAL
from kvitto.dialects.base import Voice

__all__ = ["NOT_CHOSEN", "OUTRUN", "OVERTAKEN", "UNTOLD", "ends", "why_untold"]

OVERTAKEN: Final = "not told: the message has ended"
OUTRUN: Final = "not told: a later change has been told"
UNTOLD: Final = "not told: the account does not want it"
NOT_CHOSEN: Final = "not told: the account has not chosen this status"


def why_untold(due: CallbackDue, dialect: Voice, account: Account) -> str | None:
    """Why this need not be told, None when it is to be."""
    if due.overtaken and dialect.supersedes and account.hears_of_ends:
        return OVERTAKEN
    if due.outrun:
        return OUTRUN
    if not account.wants(due.facts):
        return NOT_CHOSEN
    return None if dialect.tells(due, account) else UNTOLD


def ends(earlier: CallbackDue, later: CallbackDue) -> bool:
    """Whether the later one tells the end of a message that the earlier one, unasked, tells to be on its way."""
    if earlier.again:
        return False
    before, after = earlier.facts, later.facts
    if not (isinstance(before, MessageView) and isinstance(after, MessageView)):
        return False
    return before.status not in FINAL and after.status in FINAL
