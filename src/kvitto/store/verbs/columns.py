"""What columns say, for all the verbs: the words of enums, the five columns of an error, the batch's key.

Enums stand as their words, and a row is read by place, so that a reader pays one look-up a word. Must not know: which
verb reads. Next: ``loading`` (messages for verbs that change them), ``views`` (messages for readers) beside this file.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func

from kvitto.core.model import ContentKind, Feed, Notify
from kvitto.core.status import NO_ERROR, ErrorSource, PartState, Reason, Status, StatusError

__all__ = ["FEED", "KIND", "NOTIFY", "PART_STATE", "REASON", "STATUS", "batch_key", "read_error"]

STATUS: Final = {str(status): status for status in Status}
REASON: Final = {str(reason): reason for reason in Reason}
PART_STATE: Final = {str(state): state for state in PartState}
_SOURCE: Final = {str(source): source for source in ErrorSource}
KIND: Final = {str(kind): kind for kind in ContentKind}
NOTIFY: Final = {str(notify): notify for notify in Notify}
FEED: Final = {str(feed): feed for feed in Feed}


def batch_key(message_id: Any) -> Any:
    """The SQL for the batch's id in a message's id (``kvitto.core.ids``)."""
    return func.substr(message_id, 1, 22).concat("0000")


def read_error(row: Sequence[Any], at: int) -> StatusError:
    """Read the five error columns that begin at ``row[at]``."""
    source = row[at]
    if source == "none":
        return NO_ERROR
    return StatusError(_SOURCE[source], row[at + 1], row[at + 2], row[at + 3], row[at + 4])
