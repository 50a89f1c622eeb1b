"""Every log event, log field and metric name in one list, and the masks that every log line passes through.

A log line is an event with fields: ``log.info("link.bound", link="main", bind=2)``. The words come from the tables
below and a test compares the code with them, so that whoever searches logs or writes an alert reads one file. What a
field may show is written beside its name: numbers keep their last three digits, texts only their length, secrets
nothing, whatever the log settings say (P22). Values of unlisted fields, and what other libraries log, are searched for
secrets and long numbers.

This room knows the standard library, structlog and prometheus_client, nothing of ours; pure rooms (`core`, `dialects`,
`smpp`) do not log. Metrics are named and written down here (``METRICS``, ``write_metrics``); ``kvitto.measures`` reads
them, ``/metrics`` of ``kvitto.intake.health`` serves them.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, TextIO

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

__all__ = [
    "EVENTS",
    "FIELDS",
    "METRICS",
    "METRICS_TYPE",
    "Metric",
    "Samples",
    "Shows",
    "configure",
    "get_logger",
    "mask_fields",
    "mask_line",
    "mask_number",
    "mask_secrets",
    "metrics_page",
    "write_metrics",
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
    "settings.reloaded": "links and routes are as the configuration now says",
    "settings.refused": "the configuration was read again and is wrong; the old one goes on",
    # HTTP
    "http.listening": "the port is open",
    "http.failed": "a request met a fault of ours and was answered 5xx",
    # Links and binds
    "link.bound": "the SMSC accepted the bind",
    "link.bind_refused": "the SMSC refused the bind",
    "link.lost": "the connection ended; what was in flight is in doubt",
    "link.unbound": "the bind ended in order",
    "link.throttled": "the SMSC said slow down",
    "link.silent": "no answer to an enquire_link",
    "link.alert": "an alert_notification came",
    "link.outbind": "the SMSC asked for a bind",
    "link.outbind_refused": "whoever connected to a link's outbind_port was not that SMSC, or said nothing",
    "link.listening": "a link's outbind_port is open",
    "link.deaf": "a link's outbind_port cannot be opened; it is tried again",
    "pdu.rejected": "a frame or body could not be used; it was answered as the protocol says",
    "pdu.unexpected": "a response to nothing, or a PDU that does not belong here",
    # Messages
    "submit.refused": "the SMSC refused a part for good",
    "submit.postponed": "the SMSC refused a part for now; it stays queued",
    "submit.in_doubt": "written, not answered",
    "submit.answered_late": "an answer came after its time-out and was used all the same",
    "query.answered": "the SMSC was asked for a message that had no receipt, and answered",
    "query.failed": "the question could not be written",
    # Receipts
    "receipt.parked": "it matches nothing yet",
    "receipt.adopted": "it decided a part in doubt",
    "receipt.orphaned": "it will not be matched any more by itself",
    "receipt.unreadable": "flagged as a receipt, without an id or a state",
    "receipt.conflict": "another final state after the final one",
    "receipt.refused": "could not be stored; the SMSC is asked to send it again",
    # Callbacks
    "callback.postponed": "an attempt failed; when the next one is",
    "callback.given_up": "no attempt is left, or the answer was final",
    "callback.forbidden": "the target's address is not allowed",
    "endpoint.state": "an endpoint's breaker opened or closed, or it was disabled",
    # The simulator
    "simulator.listening": "the scripted SMSC's port is open",
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
    "message_id": _P,
    "callback_id": _P,
    "endpoint": _P,
    "state": _P,
    "link": _P,
    "bind": _P,
    "service": _P,
    "dialect": _P,
    # What happened
    "reason": _P,
    "key": _P,
    "value": _X,
    "links": _P,
    "outcome": _P,
    "command": _P,
    "command_status": _P,
    "method": _P,
    "error": _X,
    # How much, how long, when
    "count": _P,
    "attempt": _P,
    "in_flight": _P,
    "next_attempt_at": _P,
    # Where
    "host": _P,
    "port": _P,
    "url": _X,
    "data_dir": _P,
    "version": _P,
    "system_id": _P,
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


class Metric(NamedTuple):
    """One Prometheus metric. Labels are our own words and the names of links: never a number, a text, an account."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


Samples = Mapping[str, Sequence[tuple[tuple[str, ...], float]]]
"""Metric name -> (values of its labels, value). A metric that cannot be read now is left out."""

_LINK: Final = ("link",)

METRICS: Final[tuple[Metric, ...]] = (
    Metric("kvitto_link_binds", "gauge", "Binds that stand", _LINK),
    Metric("kvitto_link_window", "gauge", "submit_sm that may be in flight, over all binds that send", _LINK),
    Metric("kvitto_link_in_flight", "gauge", "submit_sm written and not yet answered", _LINK),
    Metric("kvitto_link_throttles_total", "counter", "Times the SMSC said slow down", _LINK),
    Metric("kvitto_link_reconnects_total", "counter", "Connections made anew", _LINK),
    Metric("kvitto_parts_claimed_total", "counter", "Parts taken from the queue", _LINK),
    Metric("kvitto_parts_submitted_total", "counter", "Parts written as submit_sm", _LINK),
    Metric("kvitto_parts_returned_total", "counter", "Parts given back to the queue unwritten", _LINK),
    Metric("kvitto_parts_doubted_total", "counter", "Parts written and lost sight of (R12)", _LINK),
    Metric("kvitto_answers_total", "counter", "Answers to submit_sm, by what they mean", (*_LINK, "class")),
    Metric("kvitto_answers_late_total", "counter", "Answers that came after their time-out (R7)", _LINK),
    Metric("kvitto_answers_missing_total", "counter", "submit_sm that were not answered in time", _LINK),
    Metric("kvitto_receipts_total", "counter", "Receipts stored, by what became of them (R54)", (*_LINK, "outcome")),
    Metric("kvitto_receipts_matched_total", "counter", "Receipts matched, by level (R26)", (*_LINK, "level")),
    Metric("kvitto_receipts_refused_total", "counter", "deliver_sm that could not be stored in time (R8)", _LINK),
    Metric("kvitto_incoming_total", "counter", "Incoming messages", _LINK),
    Metric("kvitto_outbinds_total", "counter", "Binds that the SMSC asked for at the outbind_port (R13)", _LINK),
    Metric("kvitto_outbinds_refused_total", "counter", "Callers there that were closed", _LINK),
    Metric(
        "kvitto_link_counted_total",
        "counter",
        "Parts and receipts of each link and its group since the database was made, over all nodes (R54)",
        (*_LINK, "group", "what"),
    ),
    Metric("kvitto_sends_refused_total", "counter", "Sends answered 429 because too much waits unsent (P29)"),
    Metric("kvitto_callback_attempts_total", "counter", "Callbacks posted"),
    Metric("kvitto_callbacks_total", "counter", "What attempts came to", ("outcome",)),
    Metric("kvitto_callbacks_in_hand", "gauge", "Callbacks in the sender's memory"),
    Metric("kvitto_endpoints", "gauge", "Endpoints by how they stand; healthy ones while they are busy", ("state",)),
    Metric("kvitto_callbacks_given_back_total", "counter", "Callbacks that found no room at their endpoint for now"),
    Metric("kvitto_callbacks_pending", "gauge", "Callbacks in the store that are not finished"),
    Metric("kvitto_messages_queued", "gauge", "Messages that wait for a link, their time or a retry"),
    Metric("kvitto_parts_in_doubt", "gauge", "Parts in doubt whose message has not ended (R12)"),
    Metric("kvitto_receipts_parked", "gauge", "Receipts that wait for their message (R33)"),
    Metric("kvitto_store_transactions_total", "counter", "Transactions committed"),
    Metric("kvitto_store_items_total", "counter", "Things they stored; by transactions: the size of a group"),
)
"""All that ``/metrics`` shows; counters count since the start of the process, or say otherwise. ``docs/metrics.md`` is
made from it."""

METRICS_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class _Read:
    """A collector over values that were read before: Prometheus' library writes them down."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterator[PrometheusMetric]:
        """One family a metric, in the order of the table."""
        for metric in METRICS:
            if metric.name in self._samples:
                make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                family = make(metric.name, metric.help, labels=metric.labels)
                for values, number in self._samples[metric.name]:
                    family.add_metric(values, number)
                yield family


def write_metrics(samples: Samples) -> bytes:
    """The samples in Prometheus' text format, with types and help."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(samples))
    return generate_latest(registry)


def metrics_page() -> str:
    """``docs/metrics.md``."""
    rows = "".join(
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |\n"
        for one in METRICS
    )
    return f"{_PAGE_HEAD}| Metric | Kind | Labels | What |\n| --- | --- | --- | --- |\n{rows}"


_PAGE_HEAD: Final = """# Metrics

`GET /metrics` answers in Prometheus' text format, on the port of the HTTP side and without credentials, as `/livez` and
`/readyz` do: where customers reach that port, let a proxy keep the path to yourself. Nothing in it is a phone number, a
text, an account or a secret ([promises](promises.md) P22). Counters begin at 0 with the process, but for
`kvitto_link_counted_total`: that one is as durable as what it counts. What is read from the store (it, `pending`,
`queued`, `in_doubt`, `parked`) is left out while the store cannot be read. R: [rules.md](rules.md).

In `kvitto_link_counted_total`, `what` is one of: `claimed`, `returned` and `submitted` (parts taken from the queue,
given back unwritten, and the difference), `answers_ok`, `refused` (for good), `throttled` (0x58, 0x14), `postponed`
(refused for now otherwise), `in_doubt` (R12), `receipts` (read), `receipts_` with what became of them (`matched`,
`duplicate`, `conflict`, `late`, `adopted`, `parked`, `orphan`, `ambiguous`, `unparseable`, `assigned`),
`receipts_level_1` to `receipts_level_4` (R26), `several_part_receipts` (R39). A parked receipt counts again when it
finds its message or is given up.

"""

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
