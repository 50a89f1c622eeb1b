"""Statuses, reasons and notes in words that need no manual: one sentence for why a message stands where it stands.

``SENTENCES`` has every pair of status and reason that can exist (``kvitto.core.status.REASONS_OF``); a test holds it
to that. Must not know: who reads. Next: ``docs/status.md`` for the rules behind the words.
"""

from collections.abc import Mapping
from typing import Final

from kvitto.core.status import NO_ERROR, ErrorSource, Note, Reason, Status, StatusError

__all__ = ["NOTES", "SENTENCES", "TITLES", "describe_error", "explain"]

TITLES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "Queued",
    Status.DISPATCHED: "On its way",
    Status.DELIVERED: "Delivered",
    Status.FAILED: "Failed",
    Status.EXPIRED: "Expired",
    Status.REJECTED: "Rejected",
    Status.DELETED: "Deleted",
    Status.CANCELLED: "Cancelled",
    Status.ABORTED: "Not sent",
    Status.UNKNOWN: "Unknown",
}

SENTENCES: Final[Mapping[tuple[Status, Reason], str]] = {
    (Status.QUEUED, Reason.QUEUED): "It waits for its turn on a link.",
    (Status.QUEUED, Reason.SCHEDULED): "It waits for the time at which it is to be sent.",
    (Status.QUEUED, Reason.WAITING_LINK): "It waits for a link that has a bind to its SMSC.",
    (Status.QUEUED, Reason.RETRYING): "The SMSC refused it for the moment; it will be submitted again.",
    (Status.QUEUED, Reason.IN_FLIGHT): "It was written to the SMSC, which has not answered yet.",
    (Status.DISPATCHED, Reason.ACCEPTED): "The SMSC has it, and no receipt has come yet.",
    (Status.DISPATCHED, Reason.SCHEDULED_SMSC): "The SMSC says that it will send it later.",
    (Status.DISPATCHED, Reason.ENROUTE): "The SMSC says that it is on its way to the phone.",
    (Status.DISPATCHED, Reason.OPERATOR_ACCEPTED): "The operator behind the SMSC has it; no final receipt has come.",
    (Status.DISPATCHED, Reason.RETRYING_SMSC): "An attempt failed, and the SMSC goes on trying.",
    (Status.DELIVERED, Reason.DELIVERED): "A receipt says that it reached the phone.",
    (Status.FAILED, Reason.UNDELIVERABLE): "A receipt says that it cannot be delivered.",
    (Status.FAILED, Reason.SKIPPED): "A receipt says that the SMSC skipped it.",
    (Status.EXPIRED, Reason.VALIDITY_SMSC): "The SMSC tried until its validity was over.",
    (Status.EXPIRED, Reason.VALIDITY_LOCAL): "Its validity was over before an SMSC took it.",
    (Status.DELETED, Reason.DELETED_SMSC): "A receipt says that it was deleted at the SMSC.",
    (Status.REJECTED, Reason.REJECTED_SMSC): "A receipt says that it was rejected on its way.",
    (Status.REJECTED, Reason.SUBMIT_REFUSED): "The SMSC refused to take it.",
    (Status.UNKNOWN, Reason.SMSC_UNKNOWN): "A receipt says that the SMSC does not know what became of it.",
    (Status.UNKNOWN, Reason.UNREADABLE): "A receipt came whose state could not be read.",
    (Status.UNKNOWN, Reason.NO_RECEIPT): "The SMSC took it, and no receipt came within the time that we wait.",
    (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED): "It may have been written to the SMSC, which never answered.",
    (Status.CANCELLED, Reason.CANCELLED): "It was cancelled before an SMSC took it.",
    (Status.ABORTED, Reason.NO_ROUTE): "No link is configured for this number.",
    (Status.ABORTED, Reason.BLOCKED_DESTINATION): "The account does not send to this number.",
    (Status.ABORTED, Reason.BLOCKED_SENDER): "The account may not send under this sender.",
    (Status.ABORTED, Reason.NO_SENDER): "No sender was given, and the account has none of its own.",
    (Status.ABORTED, Reason.UNMATCHED_PARAMETER): "The text has a placeholder for which this number has no value.",
    (Status.ABORTED, Reason.TOO_MANY_PARTS): "The text takes more parts than are allowed.",
    (Status.ABORTED, Reason.UNPROVISIONED): "The account is not set up for this kind of message.",
    (Status.ABORTED, Reason.ACCOUNT_BLOCKED): "The account was blocked before it could be sent.",
    (Status.ABORTED, Reason.FLOODING): "Too many messages went to this number.",
    (Status.ABORTED, Reason.INTERNAL): "A fault of this server kept it from being sent.",
}

NOTES: Final[Mapping[Note, str]] = {
    Note.PARTS_UNCONFIRMED: "Not every part of the text was confirmed by a receipt of its own.",
    Note.ACCEPTED_ONLY: "Only the operator's acceptance is known; this link sends nothing more.",
    Note.ADOPTED: "Its submit was never answered; a receipt that fits it showed that the SMSC has it.",
    Note.CONFLICT: "Another receipt said something else afterwards; the first end stands.",
    Note.LATE: "The receipt came late and corrected an earlier end.",
}


def explain(status: Status, reason: Reason, notes: Note = Note.NONE, error: StatusError = NO_ERROR) -> str:
    """Say in a sentence or two why a message stands where it stands."""
    words = [SENTENCES[status, reason]]
    told = describe_error(error)
    if told and status is not Status.DELIVERED:
        words[0] = f"{words[0].removesuffix('.')} ({told})."
    words += [text for note, text in NOTES.items() if note in notes]
    return " ".join(words)


def describe_error(error: StatusError) -> str:
    """An error in a few words; "" for none, for zero, and for our own, which the reason tells."""
    if error.source is ErrorSource.SUBMIT and error.command_status is not None:
        return f"command_status 0x{error.command_status:02X}"
    if error.source is ErrorSource.NETWORK:
        if error.text and error.text.strip("0"):
            return f"error {error.text}"
        if error.net_code:
            return f"network error {error.net_code}"
    return ""
