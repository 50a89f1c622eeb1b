"""Every log event, log field and metric name in one list, and the masks that every log line passes through.

A log line is an event with fields: ``log.info("link.bound", link="main", bind=2)``. The words come from the tables
below and a test compares the code with them, so that whoever searches logs or writes an alert reads one file. What a
field may show is written beside its name: numbers keep their last three digits, texts only their length, secrets
nothing, whatever the log settings say (P22). Values of unlisted fields, and what other libraries log, are searched for
secrets and long numbers.

This room knows the standard library and structlog, nothing of ours; pure rooms (`core`, `dialects`, `smpp`) do not log.
Metrics are only named here; whoever serves them builds them from ``METRICS``.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TextIO

import structlog

__all__ = [
    "EVENTS",
    "FIELDS",
    "METRICS",
    "Metric",
    "Shows",
    "configure",
    "get_logger",
    "mask_fields",
    "mask_line",
    "mask_number",
    "mask_secrets",
]

# ------------------------------------------------------------------------------------------------------------- events

EVENTS: Final[Mapping[str, str]] = {
    # The process
    "server.starting": "the process begins; its version and data directory",
    "server.ready": "everything is up; where it listens",
    "server.stopping": "a signal or a failure asked it to end",
    "server.stopped": "everything is closed",
    "service.failed": "a service loop met something unforeseen; it goes on after a pause",
    "demo.account": "the demo account was made",
    # The store
    "store.opened": "which database, at which schema",
    "store.migrated": "the schema moved",
    "store.unavailable": "the database cannot be reached or written; sends answer 503",
    "store.recovered": "it can again",
    "store.cleaned": "rows past their keeping time were removed",
    # HTTP
    "http.listening": "the port is open",
    "http.refused": "a request was refused: status, field and limit",
    "http.failed": "a request met a fault of ours and was answered 5xx",
    "batch.accepted": "a batch is stored",
    "batch.cancelled": "a batch was cancelled",
    # Links and binds
    "link.connecting": "a TCP or TLS connection to an SMSC is being made",
    "link.connected": "the connection stands, not yet bound",
    "link.bound": "the SMSC accepted the bind",
    "link.bind_refused": "the SMSC refused the bind",
    "link.lost": "the connection ended; what was in flight is in doubt",
    "link.unbound": "the bind ended in order",
    "link.throttled": "the SMSC said slow down",
    "link.resumed": "sending goes on after a throttle",
    "link.silent": "no answer to an enquire_link",
    "link.alert": "an alert_notification came",
    "link.outbind": "the SMSC asked for a bind",
    "pdu.rejected": "a frame or body could not be used; it was answered as the protocol says",
    "pdu.unexpected": "a response to nothing, or a PDU that does not belong here",
    # Messages
    "submit.refused": "the SMSC refused a part for good",
    "submit.postponed": "the SMSC refused a part for now; it stays queued",
    "submit.in_doubt": "written, not answered",
    "submit.answered_late": "an answer came after its time-out and was used all the same",
    "message.expired": "validity or receipt wait ended",
    "message.aborted": "stopped by us before the SMSC took it",
    # Receipts
    "receipt.stored": "a receipt is stored and matched",
    "receipt.parked": "it matches nothing yet",
    "receipt.matched": "a parked one found its message",
    "receipt.adopted": "it decided a part in doubt",
    "receipt.orphaned": "it will not be matched any more by itself",
    "receipt.unreadable": "flagged as a receipt, without an id or a state",
    "receipt.conflict": "another final state after the final one",
    "receipt.refused": "could not be stored; the SMSC is asked to send it again",
    "inbound.stored": "an incoming message is kept",
    # Callbacks
    "callback.delivered": "the endpoint took it",
    "callback.postponed": "an attempt failed; when the next one is",
    "callback.given_up": "no attempt is left, or the answer was final",
    "callback.forbidden": "the target's address is not allowed",
    # The simulator
    "simulator.listening": "the scripted SMSC's port is open",
    "simulator.bound": "an ESME bound to it",
    "simulator.refused": "it refused a bind",
    "simulator.lost": "an ESME's connection ended",
    # Other libraries, through the standard logging
    "library.logged": "a line of another library; its logger is in the field",
}

# ------------------------------------------------------------------------------------------------------------- fields


class Shows(StrEnum):
    """What a log line shows of a field's value."""

    PLAIN = "plain"  # the value: our own words, counts, ids, times
    NUMBER = "number"  # the last three digits: MSISDNs and senders
    TEXT = "text"  # how long it is: message texts, raw receipts and bodies
    SECRET = "secret"  # noqa: S105 - the word itself: such a field shows nothing
    SEARCHED = "searched"  # the value, with secrets and long numbers in it masked: words of others


_P, _N, _T, _S, _X = Shows.PLAIN, Shows.NUMBER, Shows.TEXT, Shows.SECRET, Shows.SEARCHED

FIELDS: Final[Mapping[str, Shows]] = {
    # Every line
    "event": _P,
    "level": _P,
    "timestamp": _P,
    "logger": _P,
    "exception": _X,
    # Whose, which
    "account": _P,
    "account_id": _P,
    "batch_id": _P,
    "message_id": _P,
    "part": _P,
    "smsc_message_id": _P,
    "callback_id": _P,
    "receipt_id": _P,
    "request_id": _P,
    "link": _P,
    "group": _P,
    "bind": _P,
    "endpoint": _X,
    "service": _P,
    "dialect": _P,
    # What happened
    "status": _P,
    "reason": _P,
    "outcome": _P,
    "command": _P,
    "command_status": _P,
    "message_state": _P,
    "err": _P,
    "level_matched": _P,
    "field": _P,
    "limit": _P,
    "http_status": _P,
    "method": _P,
    "path": _X,
    "error": _X,
    "state": _P,
    # How much, how long, when
    "count": _P,
    "parts": _P,
    "recipients": _P,
    "attempt": _P,
    "size_bytes": _P,
    "window": _P,
    "in_flight": _P,
    "took_ms": _P,
    "wait_s": _P,
    "rate": _P,
    "at": _P,
    "next_attempt_at": _P,
    # Where
    "host": _P,
    "port": _P,
    "peer": _P,
    "url": _X,
    "database": _P,
    "revision": _P,
    "data_dir": _P,
    "version": _P,
    "system_id": _P,
    "tls": _P,
    "signal": _P,
    # Subscribers and customers
    "from": _N,
    "to": _N,
    "sender": _N,
    "recipient": _N,
    "msisdn": _N,
    "number": _N,
    "source_addr": _N,
    "destination_addr": _N,
    "text": _T,
    "body": _T,
    "short_message": _T,
    "raw": _T,
    "pdu": _T,
    "answer": _T,
    # Secrets
    "authorization": _S,
    "api_token": _S,
    "token": _S,
    "password": _S,
    "callback_secret": _S,
    "secret": _S,
    "signature": _S,
    "cookie": _S,
    "tls_key": _S,
}

# ------------------------------------------------------------------------------------------------------------ metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One Prometheus metric. ``buckets``: upper bounds of a histogram, in the unit of its name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] = ()
    help: str
    buckets: tuple[float, ...] = ()


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def _metric(kind: Literal["counter", "gauge", "histogram"], name: str, text: str, *labels: str) -> Metric:
    buckets = _SECONDS if kind == "histogram" else ()
    return Metric(name=name, kind=kind, labels=labels, help=text, buckets=buckets)


METRICS: Final[tuple[Metric, ...]] = (
    _metric("counter", "kvitto_http_requests_total", "HTTP requests answered", "dialect", "operation", "status"),
    _metric("histogram", "kvitto_http_request_seconds", "From the whole request to its answer", "dialect", "operation"),
    _metric("counter", "kvitto_messages_accepted_total", "Recipients stored", "dialect"),
    _metric("counter", "kvitto_messages_final_total", "Recipients that reached their end", "status", "reason"),
    _metric("gauge", "kvitto_messages_pending", "Recipients without an end", "status"),
    _metric("counter", "kvitto_parts_submitted_total", "submit_sm answered", "link", "command_status"),
    _metric("histogram", "kvitto_submit_seconds", "submit_sm to its response", "link"),
    _metric("gauge", "kvitto_link_binds", "Binds that stand", "link"),
    _metric("gauge", "kvitto_link_in_flight", "submit_sm not yet answered", "link"),
    _metric("gauge", "kvitto_link_in_doubt", "Parts in doubt (R12)", "link"),
    _metric("counter", "kvitto_link_throttled_total", "Times an SMSC said slow down", "link"),
    _metric("counter", "kvitto_link_reconnects_total", "Connections made anew", "link"),
    _metric("counter", "kvitto_receipts_total", "Receipts stored, by what became of them (R54)", "link", "outcome"),
    _metric("counter", "kvitto_receipts_matched_total", "Receipts matched, by level (R26)", "group", "level"),
    _metric("gauge", "kvitto_receipts_parked", "Receipts waiting for their message (R33)", "group"),
    _metric("histogram", "kvitto_receipt_answer_seconds", "deliver_sm to its response, commit included", "link"),
    _metric("counter", "kvitto_inbounds_total", "Incoming messages stored", "link"),
    _metric("counter", "kvitto_callbacks_total", "Callback attempts, by result", "dialect", "outcome"),
    _metric("gauge", "kvitto_callbacks_pending", "Callbacks waiting", "dialect"),
    _metric("histogram", "kvitto_callback_seconds", "Status change to the callback's first attempt", "dialect"),
    _metric("counter", "kvitto_store_commits_total", "Transactions committed"),
    _metric("histogram", "kvitto_store_commit_seconds", "One grouped commit"),
    _metric("counter", "kvitto_store_verbs_total", "Verbs answered", "verb", "outcome"),
)

# -------------------------------------------------------------------------------------------------------------- masks

MASK: Final = "***"
KEPT_DIGITS: Final = 3
# E.164 allows 15 digits; 7 is the shortest that names a subscriber. Short codes (up to 6) name services, not people.
NUMBER_DIGITS: Final = 7

_LONG_NUMBER = re.compile(rf"\d{{{NUMBER_DIGITS},}}")
_DIGIT = re.compile(r"\d")
# What a secret looks like wherever it stands. Group 1 stays, what follows is masked.
_SECRETS: Final = (
    re.compile(r"()\bwhsec_[A-Za-z0-9+/=_-]+"),
    re.compile(r"(\b(?:Bearer|Basic|Token|App|IBSSO|Digest)\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(
        r"""(["']?\b[\w-]*(?:passw(?:or)?d|secret|token|api[_-]?key|authorization|signature|cookie)["']?\s*[:=]\s*["']?)"""
        r"""(?!(?:Bearer|Basic|Token|App|IBSSO|Digest)\b)[^\s"'&,;})]+""",
        re.IGNORECASE,
    ),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
# Where libraries append the values of a statement or a row to their message: nothing after it is shown.
_APPENDED_VALUES = re.compile(r"(\[parameters: |\[SQL: |DETAIL: ).*", re.DOTALL)


def mask_number(number: str) -> str:
    """A subscriber's number with all but its last three digits starred: ``+46701234567`` gives ``+********567``.

    Separators stay where they are. Anything with fewer than seven digits (a short code, a sender of letters) is shown.
    """
    digits = len(_DIGIT.findall(number))
    if digits < NUMBER_DIGITS:
        return number
    return _DIGIT.sub("*", number, count=digits - KEPT_DIGITS)


def mask_secrets(text: str) -> str:
    """The text with everything that looks like a credential starred.

    Found: ``whsec_...``, HTTP credentials, passwords in addresses, ``password=...`` and its kin, private keys.
    """
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def mask_line(text: str, *, numbers: bool = True) -> str:
    """Words of others, fit for a log: secrets starred, appended row values cut, runs of 7 digits and more masked."""
    text = mask_secrets(_APPENDED_VALUES.sub(rf"\g<1>{MASK}", text))
    return _LONG_NUMBER.sub(lambda found: mask_number(found[0]), text) if numbers else text


def _show(shows: Shows, value: Any, numbers: bool) -> Any:
    """A field's value as a log line may show it. ``numbers``: whether subscribers' numbers are masked."""
    if value is None or isinstance(value, bool):
        return value
    match shows:
        case Shows.PLAIN:
            return mask_secrets(value) if isinstance(value, str) else value
        case Shows.SECRET:
            return MASK
        case Shows.TEXT:
            return f"<{len(value)}>" if isinstance(value, str | bytes | bytearray | memoryview) else MASK
    return _walk(shows, value, numbers)


def _walk(shows: Shows, value: Any, numbers: bool) -> Any:
    """NUMBER and SEARCHED values, into the depth of tables and lists."""
    if isinstance(value, Mapping):
        return {key: _show(FIELDS.get(str(key).lower(), shows), inner, numbers) for key, inner in value.items()}
    if isinstance(value, str):
        return mask_number(value) if shows is Shows.NUMBER and numbers else mask_line(value, numbers=numbers)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)}>"
    if isinstance(value, Iterable):
        return [_show(shows, inner, numbers) for inner in value]
    if isinstance(value, int) and shows is Shows.NUMBER and numbers:
        return mask_number(str(value))
    return value if isinstance(value, int | float) else mask_line(str(value), numbers=numbers)


def mask_fields(fields: Mapping[str, Any], *, numbers: bool = True) -> dict[str, Any]:
    """The fields of a log line as they may be shown; a name that no table has is searched."""
    return {key: _show(FIELDS.get(key.lower(), Shows.SEARCHED), value, numbers) for key, value in fields.items()}


# ------------------------------------------------------------------------------------------------------- the pipeline


def configure(
    *,
    level: str = "info",
    format: str = "auto",
    mask_numbers: bool = True,
    stream: TextIO | None = None,
) -> None:
    """Send every log line of the process, ours and other libraries', masked, to one stream.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``: lines below it are dropped before they cost anything.
        format: ``json`` (one object a line), ``console`` (for people), ``auto``: console on a terminal.
        mask_numbers: off shows subscribers' numbers; texts and secrets stay masked all the same.
        stream: standard error when None (standard output belongs to ``--json``).
    """
    out = stream if stream is not None else sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    colours = out.isatty()
    console = format == "console" or (format == "auto" and colours)

    def masked(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> dict[str, Any]:
        return mask_fields(fields, numbers=mask_numbers)

    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        masked,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24)
        if console
        else structlog.processors.JSONRenderer(sort_keys=False, default=str)
    )
    structlog.configure(
        processors=[*before, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # Libraries: warnings and worse; their debug lines hold statements and values.
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _as_library_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *before[1:], renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _as_library_line(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A library's message is words of others: it goes into ``error``, where it is searched."""
    fields["error"] = str(fields.pop("event", ""))
    fields["event"] = "library.logged"
    return fields


def get_logger(**fields: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines all carry these fields. Event and field names come from the tables above."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**fields)
    return logger
