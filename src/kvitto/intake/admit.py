"""Admission: the only way a batch enters, whichever door it came through (HTTP of any dialect, the command line).

``plan`` is pure: from a submission, its account, the time and an id it makes the batch and its messages, or says why
not. What concerns the batch as a whole is refused here; what concerns one recipient (no route, blocked, too long, a
parameter missing) makes a message that ends Aborted for that reason when the batch falls due (docs/status.md 3.3).
Quota and rate are the store's: they are decided in the transaction.

Work that is the same for all recipients is done once: a thousand recipients of one text cost little more than their
rows. Must not know: HTTP, JSON, SQL. Next: ``kvitto.intake.desk``, ``kvitto.core.text``.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from kvitto.core.ids import first_message_id, message_ids
from kvitto.core.model import Account, Batch, Content, ContentKind, Feed, NewBatch, NewMessage, Notify, Own, Submission
from kvitto.core.msisdn import clean
from kvitto.core.operations import DryRunRecipient, DryRunResult
from kvitto.core.status import Reason
from kvitto.core.text import MAX_PARTS, Unmatched, count_parts, is_gsm, substitute, truncate
from kvitto.core.window import next_opening
from kvitto.dialects.base import Problem

__all__ = ["Denial", "RouteFor", "plan", "preview"]

RouteFor = Callable[[str, str], str | None]
"""(number, account's name) -> the link that must carry it, "" for any, None for no route."""

Parameters = Mapping[str, Mapping[str, str]]

_DEFAULT: Final = "default"
_ONE_PART_ANYHOW: Final = 70


_FEEDS: Final[Mapping[tuple[str, Feed], Feed]] = {
    ("all", Feed.PUSHED): Feed.OWN,
    ("infobip_only", Feed.OTHER): Feed.NEVER,
}
"""What the account's rule makes of a message's way to the feed (docs/status.md 8); all others stay."""


class Denial(NamedTuple):
    """An operation that was not performed: the dialect puts it into its own words. ``text`` names field and limit."""

    problem: Problem
    text: str = ""
    retry_after_s: int | None = None


def plan(
    submission: Submission,
    account: Account,
    now: int,
    batch_id: str,
    route_for: RouteFor | None = None,
    created_at: int | None = None,
    *,
    notify: Notify | None = None,
    notify_more: Sequence[Notify] = (),
) -> NewBatch | Denial:
    """Make the batch that this submission asks for, as the store is to keep it.

    ``route_for`` None: every link takes everything. ``created_at``: of the batch that this one replaces; its id and
    first instant stay. ``notify``: which changes are called back, where that is not simply what the submission says;
    ``notify_more``: the same for each of ``submission.more``.
    Returns: a Denial for NO_SENDER, SENDER_NOT_ALLOWED or NO_CALLBACK_URL.
    """
    sender = submission.sender or account.default_from
    if notify is None:
        notify = submission.notify or Notify.NONE
    denial = _refusal(submission, account, sender, notify)
    if denial is not None:
        return denial
    send_at = submission.send_at
    if send_at is not None and send_at <= now:
        send_at = None
    # In the order of the fields: names cost a microsecond for every batch (core.model).
    batch = Batch(
        batch_id,
        account.id,
        submission.dialect,
        sender,
        submission.recipients,
        submission.content,
        notify,
        submission.callback_url,
        submission.client_reference,
        now if created_at is None else created_at,
        now,
        send_at,
        _expire_at(submission, now if send_at is None else send_at),
        None,
        submission.feedback,
        submission.extra,
        submission.client_id,
        _FEEDS.get((account.feed, submission.feed), submission.feed),
        submission.window,
        None,
        account.callback_dialect,
    )
    messages = _messages(batch_id, submission.recipients, submission.content, account)
    apart = bool(submission.client_ids or submission.more)
    if apart:
        told = notify_more or [text.notify or Notify.NONE for text in submission.more]
        texts = _further_texts(submission.more, told, account, now)
        if isinstance(texts, Denial):
            return texts
        batch, messages = _gather(batch, submission, texts, messages, account)
    routes: list[str] | str = ""
    if route_for is not None:
        messages, routes = _route(messages, route_for, account.name)
    if account.blocked_numbers:
        messages = _block(messages, account.blocked_numbers)
    return NewBatch(batch, messages, routes, submission.spacing_ms, frozenset(), apart)


def preview(submission: Submission, account: Account, *, per_recipient: bool, limit: int) -> DryRunResult | Denial:
    """Count what the batch would be. ``limit`` caps the recipients listed, not the counts; nothing is routed or
    blocked.

    A recipient whose parameter is missing is counted with the text as it stands. No callback URL is needed.
    """
    denial = _sender_refusal(account, submission.sender or account.default_from)
    if denial is not None:
        return denial
    rows = _preview_rows(submission)
    total = sum(row.parts for row in rows)
    return DryRunResult(len(rows), total, tuple(rows[:limit]) if per_recipient else None)


# --- the batch as a whole -----------------------------------------------------------------------------------------


def _refusal(submission: Submission, account: Account, sender: str | None, notify: Notify) -> Denial | None:
    if sender is None or account.allowed_senders:
        denial = _sender_refusal(account, sender)
        if denial is not None:
            return denial
    if notify is not Notify.NONE and submission.callback_url is None and account.callback_url is None:
        return Denial(
            Problem.NO_CALLBACK_URL, "callback_url: required for a report callback; the account has no default"
        )
    return None


def _sender_refusal(account: Account, sender: str | None) -> Denial | None:
    if sender is None:
        return Denial(Problem.NO_SENDER, "from: required; the account has no default sender")
    if account.allowed_senders and sender not in account.allowed_senders:
        return Denial(Problem.SENDER_NOT_ALLOWED, "from: not among the senders allowed for this account")
    return None


def _expire_at(submission: Submission, start: int) -> int:
    """When validity ends: counted from ``start``, never later than the dialect's longest (docs/status.md 7).

    What is to leave later than that by its window or spacing has its validity from the last one's time.
    """
    if submission.window is not None or submission.spacing_ms is not None:
        later = next_opening(submission.window, start) - start
        later += int((submission.spacing_ms or 0) * (len(submission.recipients) - 1))
        submission = submission._replace(window=None, spacing_ms=None)
        return _expire_at(submission, start) + later
    if submission.expire_at is None:
        return start + submission.validity_default_ms
    return min(submission.expire_at, start + submission.validity_max_ms)


# --- the messages ---------------------------------------------------------------------------------------------------


def _messages(
    batch_id: str, recipients: Sequence[str], content: Content, account: Account, start: int = 1
) -> list[NewMessage]:
    limit = min(content.max_parts or account.max_parts or MAX_PARTS, MAX_PARTS)
    if content.parameters and "${" in content.text:
        return _own_texts(batch_id, recipients, content, limit, start)
    parts, abort = _weigh(content, limit)
    if len(recipients) == 1 and start == 1:
        return [NewMessage(first_message_id(batch_id), recipients[0], parts, None, abort)]
    ids = message_ids(batch_id, len(recipients), start)
    # One call into C a message: for a thousand recipients this is the whole cost of admission.
    none = repeat(None)
    return list(
        map(NewMessage._make, zip(ids, recipients, repeat(parts), none, repeat(abort), none, none, strict=False))
    )


def _weigh(content: Content, limit: int) -> tuple[int, Reason | None]:
    """Parts of a content that is the same for everyone, and why nobody gets it, if so."""
    if content.kind is ContentKind.TEXT:
        if len(content.text) <= _ONE_PART_ANYHOW and content.text.isascii():
            return 1, None
        return _weigh_text(content.text, truncated=content.truncate, limit=limit)
    # No link carries media; octets never need a second part, the dialects see to that.
    return 1, Reason.NO_ROUTE if content.kind is ContentKind.MEDIA else None


def _weigh_text(text: str, *, truncated: bool, limit: int) -> tuple[int, Reason | None]:
    # Up to 70 ASCII characters are one part in either encoding: the commonest texts need no counting.
    short = len(text) <= _ONE_PART_ANYHOW and text.isascii()
    parts = 1 if truncated or short else count_parts(text)
    return parts, Reason.TOO_MANY_PARTS if parts > limit else None


def _own_texts(batch_id: str, recipients: Sequence[str], content: Content, limit: int, start: int) -> list[NewMessage]:
    """A text for each recipient, its placeholders filled (docs/dialects/sinch.md 5)."""
    parameters = _by_number(content.parameters)
    media = content.kind is ContentKind.MEDIA
    messages = []
    for message_id, recipient in zip(message_ids(batch_id, len(recipients), start), recipients, strict=True):
        text = substitute(content.text, parameters, recipient)
        if isinstance(text, Unmatched):
            messages.append(NewMessage(message_id, recipient, 1, None, Reason.UNMATCHED_PARAMETER))
            continue
        if content.truncate:
            text = truncate(text)
        parts, abort = _weigh_text(text, truncated=content.truncate, limit=limit)
        own = None if text == content.text else text
        messages.append(NewMessage(message_id, recipient, parts, own, Reason.NO_ROUTE if media else abort))
    return messages


def _by_number(parameters: Parameters) -> Parameters:
    """The same with clean numbers as keys: customers may write them with ``+`` or ``00``, and get them back so."""
    return {
        key: {number if number == _DEFAULT else clean(number) or number: value for number, value in values.items()}
        for key, values in parameters.items()
    }


# --- several texts, and messages with ids of their own -----------------------------------------------------------


def _further_texts(
    more: Sequence[Submission], told: Sequence[Notify], account: Account, now: int
) -> list[tuple[Submission, Own]] | Denial:
    """What the messages of each further text will have of their own (ADR 0014)."""
    texts = []
    for text, notify in zip(more, told, strict=True):
        sender = text.sender or account.default_from
        denial = _refusal(text, account, sender, notify)
        if denial is not None:
            return denial
        send_at = text.send_at if text.send_at is not None and text.send_at > now else None
        own = Own(
            sender,
            text.content,
            notify,
            text.callback_url,
            text.client_reference,
            send_at,
            _expire_at(text, now if send_at is None else send_at),
            text.extra,
            _FEEDS.get((account.feed, text.feed), text.feed),
            text.window,
        )
        texts.append((text, own))
    return texts


def _gather(
    batch: Batch,
    submission: Submission,
    texts: Sequence[tuple[Submission, Own]],
    messages: list[NewMessage],
    account: Account,
) -> tuple[Batch, list[NewMessage]]:
    """One batch of all texts, with one range of ids."""
    gathered = _named(messages, submission.client_ids, None)
    for text, own in texts:
        further = _messages(batch.id, text.recipients, text.content, account, len(gathered) + 1)
        gathered.extend(_named(further, text.client_ids, own))
    return batch._replace(recipients=tuple(one.recipient for one in gathered)), gathered


def _named(messages: list[NewMessage], client_ids: Sequence[str | None], own: Own | None) -> list[NewMessage]:
    names = client_ids or [None] * len(messages)
    return [one._replace(client_id=name, own=own) for one, name in zip(messages, names, strict=True)]


def _route(
    messages: list[NewMessage], route_for: RouteFor, account_name: str
) -> tuple[list[NewMessage], list[str] | str]:
    links = [route_for(message.recipient, account_name) for message in messages]
    distinct = set(links)
    if None in distinct:
        messages = [
            message._replace(abort=Reason.NO_ROUTE) if link is None else message
            for message, link in zip(messages, links, strict=True)
        ]
    if len(distinct) == 1:
        return messages, links[0] or ""
    return messages, [link or "" for link in links]


def _block(messages: list[NewMessage], blocked: Sequence[str]) -> list[NewMessage]:
    hit = {message.recipient for message in messages}.intersection(blocked)
    if not hit:
        return messages
    return [
        message._replace(abort=Reason.BLOCKED_DESTINATION) if message.recipient in hit else message
        for message in messages
    ]


# --- the dry run ------------------------------------------------------------------------------------------------------


def _preview_rows(submission: Submission) -> list[DryRunRecipient]:
    content = submission.content
    if content.kind is ContentKind.BINARY:
        return [DryRunRecipient(number, 1, content.data, unicode=False) for number in submission.recipients]
    if not (content.parameters and "${" in content.text):
        parts, text, unicode = _preview_text(content.text, content)
        return [DryRunRecipient(number, parts, text, unicode) for number in submission.recipients]
    parameters = _by_number(content.parameters)
    rows = []
    for number in submission.recipients:
        filled = substitute(content.text, parameters, number)
        parts, text, unicode = _preview_text(content.text if isinstance(filled, Unmatched) else filled, content)
        rows.append(DryRunRecipient(number, parts, text, unicode))
    return rows


def _preview_text(text: str, content: Content) -> tuple[int, str, bool]:
    if content.truncate:
        text = truncate(text)
    parts = 1 if content.truncate or content.kind is ContentKind.MEDIA else count_parts(text)
    return parts, text, not is_gsm(text)
