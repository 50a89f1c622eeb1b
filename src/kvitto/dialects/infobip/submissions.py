"""From what a request asks for to a submission: the same for all versions and both formats.

A request holds texts, each with its destinations. A destination that cannot be sent to (a bad number, none at all, an
id used twice) or whose text cannot be sent (a bad sender, too many octets) is refused alone: it gets no message, and an
item with a REJECTED status in the answer (docs/dialects/infobip.md 3.5). The others become one batch: its first text,
and ``more``.

Must not know: JSON, XML, the names of fields. Next: ``kvitto.dialects.infobip.requests``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from kvitto.core.model import Account, Content, DeliveryWindow, Feed, Notify, Submission
from kvitto.core.operations import Send
from kvitto.dialects.infobip import fields, wire
from kvitto.dialects.infobip.errors import Invalid
from kvitto.dialects.infobip.wire import DestinationIn

__all__ = [
    "BAD_DESTINATION",
    "DUPLICATE_ID",
    "MISSING_DESTINATION",
    "NAME",
    "NO_CREDITS",
    "SENDER_REFUSED",
    "SOURCE_REFUSED",
    "TOO_LONG",
    "Refused",
    "Shown",
    "Text",
    "submit",
]

NAME: Final = "infobip"
"""The word that is stored with each batch of this dialect."""

SOURCE_REFUSED: Final = 11
NO_CREDITS: Final = 12
SENDER_REFUSED: Final = 13
DUPLICATE_ID: Final = 23
TOO_LONG: Final = 25
MISSING_DESTINATION: Final = 51
BAD_DESTINATION: Final = 52
"""Status ids of destinations that are refused (docs/dialects/infobip.md 9)."""


class Text(NamedTuple):
    """One text of a request and those who get it; ``refused``: the status id with which all of them are refused.

    ``sender`` None: none given. ``validity_ms`` None: 48 hours. ``data``: the customer's, for reports.
    """

    destinations: Sequence[DestinationIn]
    content: Content
    sender: str | None = None
    refused: int = 0
    url: str | None = None
    notify: bool = True
    attempts: bool = False
    data: str | None = None
    send_at: int | None = None
    validity_ms: int | None = None
    window: DeliveryWindow | None = None
    extra: Mapping[str, Any] = {}  # never changed: a Mapping


class Refused(NamedTuple):
    """A destination without a message: its place among all of the request's, what was sent, and the status id."""

    place: int
    to: str
    message_id: str | None
    status: int


class Shown(NamedTuple):
    """What the answer to a send is made of, beside the messages.

    ``version``: of the API; ``xml``: the format. ``bulk_id``: as given. ``counts``: parts are told.
    ``total``: destinations of the request.
    """

    version: int
    xml: bool
    bulk_id: str | None
    counts: bool
    total: int
    refused: tuple[Refused, ...]


def submit(
    texts: Sequence[Text],
    shown: Shown,
    account: Account,
    now: int,
    *,
    most: int,
    spacing_ms: float | None = None,
) -> Send | Shown:
    """Return the batch to send; or, when every destination is refused, what the answer shows. Raises: Invalid.

    ``most``: destinations that a request may have.
    """
    total = sum(len(text.destinations) for text in texts)
    if total > most:
        raise Invalid("messages", f"must have at most {most} destinations")
    refused: list[Refused] = []
    taken: list[Submission] = []
    used: set[str] = set()
    place = 0
    longest = wire.TO_MAX_CHARS[shown.version]
    for text in texts:
        recipients, ids = _recipients(text, account, longest, place, used, refused)
        place += len(text.destinations)
        if recipients:
            taken.append(_submission(text, tuple(recipients), ids, now))
    shown = shown._replace(total=total, refused=tuple(refused))
    if not taken:
        return shown
    head = taken[0]._replace(client_id=shown.bulk_id, spacing_ms=spacing_ms, more=tuple(taken[1:]))
    return Send(head, shown)


def _recipients(
    text: Text, account: Account, longest: int, place: int, used: set[str], refused: list[Refused]
) -> tuple[list[str], tuple[str | None, ...]]:
    """The numbers to send to, with the customer's ids of their messages: () when there are none."""
    recipients: list[str] = []
    ids: list[str | None] = []
    named = False
    why = text.refused or _sender_refusal(text.sender, account)
    for at, destination in enumerate(text.destinations, place):
        to, message_id = destination.to, destination.message_id
        if message_id is None and to and not why and fields.is_plain(to):  # nearly all of them
            recipients.append(to)
            ids.append(None)
            continue
        message_id = fields.clip(message_id, wire.MESSAGE_ID_MAX_CHARS)
        number = fields.read_number(to, longest) if to else None
        status = why
        if number is None:
            status = BAD_DESTINATION if to and to.strip() else MISSING_DESTINATION
        elif not why and message_id is not None and message_id in used:
            status = DUPLICATE_ID
        if status:
            refused.append(Refused(at, to or "", message_id, status))
            continue
        recipients.append(number)  # type: ignore[arg-type]  # without a number there is a status
        ids.append(message_id)
        if message_id is not None:
            used.add(message_id)
            named = True
    return recipients, tuple(ids) if named else ()


def _sender_refusal(sender: str | None, account: Account) -> int:
    sender = sender or account.default_from
    if sender is None:
        return SOURCE_REFUSED
    return SENDER_REFUSED if account.allowed_senders and sender not in account.allowed_senders else 0


def _submission(text: Text, recipients: tuple[str, ...], ids: tuple[str | None, ...], now: int) -> Submission:
    expire_at = None
    if text.validity_ms is not None:
        expire_at = max(now, text.send_at or now) + text.validity_ms
    notify, feed = _telling(text)
    # In the order of the fields: names cost a microsecond each for every text (core.model).
    return Submission(
        NAME,
        text.sender,
        recipients,
        text.content,
        notify,
        text.url,
        text.data,
        text.send_at,
        expire_at,
        False,
        wire.VALIDITY_MS,
        wire.VALIDITY_MS,
        text.extra,
        None,
        ids,
        feed,
        text.window,
    )


def _telling(text: Text) -> tuple[Notify | None, Feed]:
    """What is pushed, and what is left for the reader of the feed (section 4, semantics 8)."""
    if not text.notify:
        return Notify.NONE, Feed.NEVER
    if text.url is None:
        return None, Feed.OWN
    return (Notify.ATTEMPTS if text.attempts else Notify.FINAL), Feed.PUSHED
