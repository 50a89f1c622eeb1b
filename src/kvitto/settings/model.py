"""The keys: each section a frozen model, each key with its type, its default and, below it, the words that document it.

A key's docstring names its unit and its effect; ``docs/configuration.md`` is made from them. Checks here see one value
alone; what only several values together tell is in ``kvitto.settings.reading``, which is also the only maker of a
``Settings``. Nothing here reads a file or the environment.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, FilePath, PrivateAttr, SecretStr

from kvitto.core.receipt import (
    Alphabet,
    CommandClass,
    IdBase,
    LinkRules,
    LongText,
    MessageState,
    PartReceipts,
    TextReceipts,
)
from kvitto.settings.showing import shown

__all__ = [
    "SECTIONS",
    "Bind",
    "Callbacks",
    "Demo",
    "Dialects",
    "Http",
    "Infobip",
    "Link",
    "Log",
    "Queue",
    "Receipts",
    "Route",
    "Section",
    "Server",
    "Setting",
    "Settings",
    "Simulator",
    "Store",
    "origin_of",
]

# ---------------------------------------------------------------------------------------------------------- the types


def _from_json(value: object) -> object:
    """A list or table that stands in an environment variable."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("a list or table is wanted; in an environment variable it is written as JSON") from None


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _hex_or_decimal(value: object) -> object:
    """TOML's keys are texts: ``"0x45"`` and ``"69"`` are the same number."""
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise ValueError("a number is wanted, decimal or 0x hexadecimal") from None
    return value


def _state(value: object) -> object:
    """A message_state by its SMPP name or number."""
    if isinstance(value, str):
        if value.upper() not in MessageState.__members__:
            raise ValueError(f"one of {', '.join(MessageState.__members__)}")
        return MessageState[value.upper()]
    return value


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; names are those of the IANA database, such as Europe/Stockholm") from None
    return name


_DAY_S: Final = 86_400
_TEMPLATE_GROUPS: Final = frozenset({"id", "stat", "err", "sub", "dlvrd", "submit_date", "done_date", "text"})


def _receipt_template(text: str) -> str:
    try:
        groups = set(re.compile(text).groupindex)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if text and not (groups and groups <= _TEMPLATE_GROUPS):
        raise ValueError(f"needs named groups, out of {', '.join(sorted(_TEMPLATE_GROUPS))}")
    return text


def _path_prefix(text: str) -> str:
    if text and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", text):
        raise ValueError("begins with / and does not end with it, such as /sms")
    return text


def _database(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not re.match(r"postgres(ql)?://", url.get_secret_value()):
        raise ValueError('"" (a SQLite file in the data directory) or postgresql://USER:PASSWORD@HOST:PORT/DATABASE')
    return url


def _link_name(name: str) -> str:
    # No dot, which joins keys, and no double underscore, which joins the parts of an environment variable's name.
    if not re.fullmatch(r"[A-Za-z0-9](_?[A-Za-z0-9-])*", name) or len(name) > 32:
        raise ValueError("a link's name has up to 32 letters, digits, - and single _")
    return name


def _network(text: object) -> object:
    return ipaddress.ip_network(text) if isinstance(text, str) else text


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(gt=0)]
Positive = Annotated[int, Field(gt=0)]
Days = Annotated[int, Field(ge=1, le=36_500)]
OptionalFile = Annotated[FilePath | None, BeforeValidator(_none_if_empty)]
Networks = Annotated[tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_from_json)]
Number = Annotated[int, BeforeValidator(_hex_or_decimal)]
State = Annotated[MessageState, BeforeValidator(_state)]
StatWords = Annotated[Mapping[str, State], AfterValidator(MappingProxyType), BeforeValidator(_from_json)]
StatusTable = Annotated[Mapping[Number, CommandClass], AfterValidator(MappingProxyType), BeforeValidator(_from_json)]
ErrorTable = Annotated[Mapping[Number, Positive], AfterValidator(MappingProxyType), BeforeValidator(_from_json)]
LinkName = Annotated[str, AfterValidator(_link_name)]


class Section(BaseModel):
    """One table of the TOML file; its docstring is the section's text in the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


# ------------------------------------------------------------------------------------------------------- the settings


class Server(Section):
    """The process."""

    data_dir: Path = Path("data")
    """Directory of everything the server keeps: the SQLite file, its keys. Made when missing; `--data` overrides."""
    stop_s: Seconds = 10.0
    """At SIGTERM, how long what is in flight may take to finish before connections are closed (seconds)."""


class Http(Section):
    """The HTTP side: vendor APIs, `/docs`, `/livez`, `/readyz`, `/metrics`."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for all. `--host` overrides."""
    port: Port = 8080
    """TCP port; 0 takes a free one and prints it. `--port` overrides."""
    tls_certificate: OptionalFile = None
    """Certificate chain (PEM). Given together with `tls_key`, the port speaks TLS only (1.2 or newer)."""
    tls_key: OptionalFile = None
    """Private key (PEM) of `tls_certificate`."""
    trusted_proxies: Networks = ()
    """Networks (CIDR) of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    path_prefix: Annotated[str, AfterValidator(_path_prefix)] = ""
    """Path under which a reverse proxy shows the server, such as `/sms`; every route is below it."""
    body_limit_bytes: Positive = 8 * 1024 * 1024
    """Longest request body (bytes). 1 000 recipients with their own parameters take about 1 MiB. Above: 413."""
    head_limit_bytes: Positive = 32 * 1024
    """Longest request line and header fields together (bytes); real clients send under 2 KiB. Above: 431."""
    head_timeout_s: Seconds = 10.0
    """From a request's first octet to the end of its head (seconds). After: 408."""
    body_timeout_s: Seconds = 30.0
    """From the end of the head to the end of the body (seconds): 8 MiB at about 2 Mbit/s. After: 408."""
    idle_timeout_s: Seconds = 75.0
    """How long a kept-alive connection without a request stays open (seconds); proxies commonly close after 60."""
    max_connections: Positive = 10_000
    """Open connections, about 10 KiB each when idle. Above: 503 and close."""
    max_in_flight: Positive = 2_000
    """Requests that may wait for the store at once, about 20 KiB each with their bodies (number). Above: 429."""


class Store(Section):
    """The database."""

    url: Annotated[SecretStr, AfterValidator(_database)] = SecretStr("")
    """`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`; empty: the SQLite file `kvitto.db` in the data directory."""
    readers: Annotated[int, Field(ge=1, le=100)] = 2
    """Connections that read, each in a thread of its own (number); beside them there is one that writes."""
    retention_days: Days = 90
    """How long finished batches, their messages and callbacks are kept after their last end (days; R51). An account may
    have its own; never shorter than any link's `map_keep_days`, nor than 7 days, which callbacks may still need."""


class Queue(Section):
    """What is accepted and waits to be sent, messages planned for later among it."""

    max_messages: Positive = 20_000_000
    """Messages of all accounts together (number): when so many wait, sends are answered 429 with `Retry-After` until
    some have left; a request that comes below the bound is taken whole (P29)."""
    max_messages_per_account: Positive = 10_000_000
    """Messages of one account, likewise (number)."""


class Receipts(Section):
    """How long receipts are waited for and tried again, on every link that does not say otherwise."""

    dlr_grace_s: WholeSeconds = 3_600
    """How long after a message's validity its receipt is awaited before it ends as UNKNOWN (seconds; R44)."""
    park_s: WholeSeconds = 86_400
    """How long a receipt that matches nothing is tried again before it becomes an orphan (seconds; R33)."""
    adopt_after_s: WholeSeconds = 60
    """A parked receipt may be adopted by the one part in doubt that fits it after this long (seconds; R33)."""
    adopt_within_s: WholeSeconds = 300
    """... if the part was submitted this near to the receipt's submit date (seconds; R33)."""


class Bind(StrEnum):
    """How a link's binds divide the work."""

    TRANSCEIVER = "transceiver"
    PAIR = "transmitter+receiver"


class Link(Section):
    """One SMSC connection, `[links.NAME]`. Without any link the server runs its own simulator."""

    host: str = Field(min_length=1)
    """Name or address of the SMSC."""
    port: Annotated[int, Field(ge=1, le=65535)] = 2775
    """Its TCP port."""
    system_id: str = ""
    """Who we are to the SMSC."""
    password: SecretStr = SecretStr("")
    """Our password; never cut, some SMSCs take more than SMPP's 8 characters."""
    system_type: str = ""
    """SMPP's `system_type`, where the SMSC asks for one."""
    bind: Bind = Bind.TRANSCEIVER
    """One bind for both ways, or a transmitter and a receiver each."""
    binds: Annotated[int, Field(ge=1, le=100)] = 1
    """How many binds (with `transmitter+receiver`: pairs) stand at once."""
    window: Annotated[int, Field(ge=1, le=1000)] = 10
    """Parts sent and not yet answered, per bind (number; R59)."""
    rate: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Parts per second over all binds of the link; 0: unlimited."""
    group: str = ""
    """Links with the same group share one message-id space: a receipt on one finds messages of the others (R30).
    Empty: the link's own name."""
    connect_s: Seconds = 10.0
    """For the TCP and TLS connection (seconds)."""
    bind_s: Seconds = 10.0
    """For the answer to a bind (seconds)."""
    enquire_link_s: Seconds = 30.0
    """Silence of the SMSC after which it is asked whether it lives (seconds; R9)."""
    enquire_answer_s: Seconds = 10.0
    """For its answer, then the connection is replaced (seconds; R9)."""
    response_s: Seconds = 60.0
    """For the answer to a submit, then the part is in doubt (seconds; R12)."""
    late_response_s: Annotated[float, Field(ge=3_600, allow_inf_nan=False)] = 3_600.0
    """A later answer on the same session still counts for this long (seconds; R7)."""
    read_pdu_s: Seconds = 30.0
    """For the rest of a PDU that has begun to come (seconds)."""
    receipt_answer_s: Annotated[float, Field(gt=0, le=5)] = 5.0
    """A receipt that is not on disk after this long is answered "send it again later", 0x64 (seconds; R8)."""
    reconnect_min_s: Seconds = 1.0
    """First pause before a lost connection is made again; doubles each time, with jitter (seconds; R13)."""
    reconnect_max_s: Seconds = 60.0
    """Longest such pause, and the pause after refused credentials (seconds; R13)."""
    throttle_pause_s: Seconds = 1.0
    """How long the link stops sending when the SMSC says slow down, 0x58 or 0x14 (seconds)."""
    tls: bool = False
    """TLS from the first octet (SMPP has no STARTTLS); the port is then often 3550 (R53)."""
    tls_verify: bool = True
    """Check the SMSC's certificate and name. Off only where nobody can stand in between."""
    tls_ca_file: OptionalFile = None
    """Certificates (PEM) of the authorities to believe; the system's when unset."""
    tls_certificate: OptionalFile = None
    """Our client certificate (PEM), where the SMSC asks for one."""
    tls_key: OptionalFile = None
    """Its private key (PEM)."""
    tls_server_name: str = ""
    """Name that the SMSC's certificate carries, when it is not `host`."""
    outbind_port: Port = 0
    """TCP port on which this SMSC may call us and ask for a bind (`outbind`); what it holds for us then comes over that
    connection. With `tls` it speaks TLS, with `tls_certificate` as the server's. 0: do not listen (R13)."""
    outbind_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on for it; `0.0.0.0` or `::` for all."""
    outbind_system_id: str = ""
    """Who the SMSC says it is in its `outbind`."""
    outbind_password: SecretStr = SecretStr("")
    """What it must say there. Whoever knows it is told `system_id` and `password`: take one that is used nowhere
    else."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """Time zone of the dates in receipt texts, such as `Europe/Stockholm` (R55)."""
    submit_id: IdBase = IdBase.AUTO
    """How the SMSC writes message ids in its answers to submits (R26)."""
    receipt_id: IdBase = IdBase.AUTO
    """How it writes them in receipts (R26)."""
    text_receipts: TextReceipts = TextReceipts.AUTO
    """Whether an unflagged message may be a receipt by its text (R15)."""
    stat_aliases: StatWords = Field(default_factory=dict)
    """More words of `stat:`, or other meanings: `{ GONE = "DELIVERED" }`; values are names of message_state (R22)."""
    numeric_stat: bool = False
    """`stat:0` to `stat:9` are message_state numbers (R22)."""
    template: Annotated[str, AfterValidator(_receipt_template)] = ""
    """Regular expression for receipt texts without labels; named groups `id`, `stat`, `err`, `sub`, `dlvrd`,
    `submit_date`, `done_date`, `text` (R25)."""
    dlr_grace_s: WholeSeconds | None = None
    """`receipts.dlr_grace_s`, where this SMSC needs another (seconds; R44)."""
    query: bool = False
    """Ask the SMSC once, by query_sm, for a message that would end without a receipt; a final answer counts as one
    (R52)."""
    query_before_s: WholeSeconds = 60
    """... this long before the wait for its receipt ends (seconds; R52)."""
    park_s: WholeSeconds | None = None
    """`receipts.park_s`, likewise (seconds; R33)."""
    adopt_after_s: WholeSeconds | None = None
    """`receipts.adopt_after_s`, likewise (seconds; R33)."""
    adopt_within_s: WholeSeconds | None = None
    """`receipts.adopt_within_s`, likewise (seconds; R33)."""
    part_receipts: PartReceipts = PartReceipts.AUTO
    """Whether the SMSC sends a receipt for each part of a long text (`all`), or one for the whole (`one`); `auto` takes
    one for the whole after `part_wait_s`, unless it has ever sent two for one text (R39)."""
    part_wait_s: WholeSeconds = 600
    """With `auto`: how long after the last receipt of some parts the others count as delivered too (seconds; R39)."""
    map_keep_days: Days = 30
    """How long after its submit a message can still be matched (days; R45): its batch is kept so long (R51)."""
    raw_keep_days: Days = 30
    """How long received PDUs are kept, orphans among them (days; R25, R34)."""
    err: Literal["smsc", "gsm"] = "smsc"
    """What the numbers of `err:` are: the SMSC's own, or `gsm`, MAP errors."""
    err_table: ErrorTable = Field(default_factory=dict)
    """What the SMSC's own numbers of `err:` mean to customers: `{ "32" = 5 }`; number to error id."""
    accepted_is_final: bool = False
    """The SMSC sends nothing after ACCEPTD: the message then ends as UNKNOWN with the note `accepted_only` (R40)."""
    intermediate: bool = False
    """Ask for intermediate notifications too (registered_delivery 0x11)."""
    resend_in_doubt: bool = False
    """Send again what was written and never answered; subscribers may then get it twice (R12)."""
    resend_after_s: WholeSeconds = 60
    """... after this long: a late answer or a receipt that comes meanwhile saves the second one (seconds; R12)."""
    status_overrides: StatusTable = Field(default_factory=dict)
    """Refusals that mean something else at this SMSC: `{ "0x45" = "temporary" }`; keys are command_status."""
    default_alphabet: Alphabet = Alphabet.GSM
    """What the SMSC takes data_coding 0 for."""
    long: LongText = LongText.UDH
    """How texts longer than one part are sent: in parts with a header, in parts with TLVs, or whole (R57)."""
    sixteen_bit_reference: bool = False
    """With `udh`: 16-bit references, which repeat later, in headers one octet longer."""
    short_code_ton: Annotated[int, Field(ge=0, le=6)] = 3
    """Type of number of senders of up to 6 digits."""


class Route(Section):
    """Which link takes which numbers, `[[routes]]`: the longest prefix wins. Without any, each link takes all."""

    prefix: Annotated[str, Field(pattern=r"^\+?[0-9]{0,15}$")] = ""
    """First digits of the numbers, country code first; empty: every number."""
    account: str = ""
    """Name of the account it is for; empty: every account."""
    link: str
    """Name of the link that takes them."""


class Callbacks(Section):
    """Webhooks to customers."""

    allow_private: bool = False
    """Post to private and loopback addresses too; an account's list, `allow_callbacks_to`, opens these and others."""
    concurrency_per_endpoint: Annotated[int, Field(ge=1, le=1000)] = 16
    """Requests to one endpoint at a time (number), where it has no bound of its own; 9bits wants no more than 10."""
    max_connections: Positive = 512
    """Connections to all endpoints together (number)."""
    connect_s: Seconds = 5.0
    """For name, address and TLS connection (seconds)."""
    response_limit_bytes: Positive = 64 * 1024
    """Most of an answer that is read (bytes); what it says beyond is not looked at."""


class Log(Section):
    """Logs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important lines that are written."""
    format: Literal["auto", "json", "console"] = "auto"
    """One JSON object a line, or lines for people; `auto`: for people on a terminal."""
    mask_numbers: bool = True
    """Show only the last three digits of subscribers' numbers. Texts and secrets are never written."""


class Simulator(Section):
    """The built-in SMSC: used when no link is configured, and by `kvitto simulate smsc`."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 0
    """TCP port; 0 takes a free one."""
    system_id: str = "kvitto"
    """Who may bind."""
    password: SecretStr = SecretStr("kvitto")
    """With which password."""
    max_binds: Positive = 16
    """Binds at once (number); more are refused."""
    delay_min_ms: Annotated[int, Field(ge=0)] = 50
    """Shortest time from a submit to its receipt (milliseconds)."""
    delay_max_ms: Annotated[int, Field(ge=0)] = 500
    """Longest time, magic numbers apart (milliseconds)."""
    scenario: OptionalFile = None
    """TOML file that says what happens to messages and binds ([simulator.md](simulator.md)); its keys beat the ones
    above."""


class Dashboard(Section):
    """The pages for people ([dashboard.md](dashboard.md))."""

    enabled: bool = True
    """Serve the dashboard beside the APIs, on the same port."""
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12
    """How long somebody stays signed in (hours)."""
    idle_hours: Annotated[float, Field(gt=0, le=720)] = 2
    """How long somebody stays signed in who opens and sends nothing (hours). A page that moves by itself is no sign of
    life: for one on a wall, set this as long as `session_hours`."""


class Infobip(Section):
    """How the Infobip dialect is spoken."""

    path_prefix: Annotated[str, AfterValidator(_path_prefix)] = ""
    """Its paths are also below this one, such as `/restapi`, where resellers have them."""
    max_destinations: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Destinations that one request may have (number). Above: 400."""
    report_hours: Annotated[float, Field(ge=0, le=876_000)] = 0
    """Reports of messages that ended longer ago are not handed out any more (hours); 0: each waits until it is read or
    its message is removed. The vendor has 48."""
    log_hours: Annotated[float, Field(ge=0, le=876_000)] = 0
    """Messages that were sent longer ago are not in the logs (hours); 0: all that are kept. The vendor has 48."""
    logs_per_minute: Annotated[int, Field(ge=0)] = 0
    """Requests for logs that an account may make in a minute (number); above: 429. 0: any. The vendor has 120."""


class Dialects(Section):
    """The vendors' ways of speaking, as far as they can be set."""

    infobip: Infobip = Infobip()
    """Infobip."""


class NumberingTable(Section):
    """Which prefix belongs to which network; what reports say of networks comes from here."""

    file: OptionalFile = None
    """CSV with the header `prefix,mcc,mnc,network,country`; the longest prefix wins. Unset: no network is known. The
    demo has a small one of its own."""


class PriceList(Section):
    """What reports say of prices; nothing is charged."""

    file: OptionalFile = None
    """CSV with the header `mccmnc,price,currency`: the price of one part on each network. The demo has a small one of
    its own."""
    default_price: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Price of a part on networks that the list does not have."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """Its currency (ISO 4217)."""


class Demo(Section):
    """Trying things out."""

    enabled: bool = False
    """Make an account on the first start, print its keys and curl lines, and let callbacks go to this machine.
    `--demo` sets it."""
    account: str = "demo"
    """Name of that account."""


Links = Annotated[Mapping[LinkName, Link], AfterValidator(MappingProxyType), BeforeValidator(_from_json)]
RouteList = Annotated[tuple[Route, ...], BeforeValidator(_from_json)]


class Setting(NamedTuple):
    """One line of `kvitto config show`: ``value`` is JSON-ready with secrets hidden.

    ``source``: ``default``, ``file PATH``, ``env NAME`` or ``command line``.
    """

    key: str
    value: Any
    source: str


class Settings(Section):
    """All settings. Made by ``load``, which also checks what one value alone cannot tell."""

    server: Server = Server()
    http: Http = Http()
    store: Store = Store()
    links: Links = Field(default_factory=dict)
    routes: RouteList = ()
    queue: Queue = Queue()
    receipts: Receipts = Receipts()
    callbacks: Callbacks = Callbacks()
    log: Log = Log()
    simulator: Simulator = Simulator()
    dashboard: Dashboard = Dashboard()
    dialects: Dialects = Dialects()
    numbering: NumberingTable = NumberingTable()
    pricing: PriceList = PriceList()
    demo: Demo = Demo()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def link_rules(self, link: Link) -> LinkRules:
        """What the operator told about one link's receipts, ids and texts, as the core wants it."""
        waits = self.receipts
        return LinkRules(
            time_zone=ZoneInfo(link.time_zone),
            text_receipts=link.text_receipts,
            stat_aliases=link.stat_aliases,
            numeric_stat=link.numeric_stat,
            template=re.compile(link.template) if link.template else None,
            accepted_is_final=link.accepted_is_final,
            intermediate=link.intermediate,
            submit_id=link.submit_id,
            receipt_id=link.receipt_id,
            park_s=link.park_s or waits.park_s,
            dlr_grace_s=link.dlr_grace_s or waits.dlr_grace_s,
            query=link.query,
            query_before_s=link.query_before_s,
            adopt_after_s=link.adopt_after_s or waits.adopt_after_s,
            adopt_within_s=link.adopt_within_s or waits.adopt_within_s,
            part_receipts=link.part_receipts,
            part_wait_s=link.part_wait_s,
            map_keep_s=link.map_keep_days * _DAY_S,
            raw_keep_s=link.raw_keep_days * _DAY_S,
            err_gsm=link.err == "gsm",
            err_table=link.err_table,
            default_alphabet=link.default_alphabet,
            long=link.long,
            sixteen_bit_reference=link.sixteen_bit_reference,
            short_code_ton=link.short_code_ton,
            resend_in_doubt=link.resend_in_doubt,
            resend_after_s=link.resend_after_s,
            status_overrides=link.status_overrides,
        )

    def sources(self) -> list[Setting]:
        """Every key with its value and where that came from, in the order of this file; secrets are hidden."""
        return [Setting(key, shown(value), self.source_of(key)) for key, value in self._leaves()]

    def _leaves(self) -> Iterator[tuple[str, object]]:
        for section in type(self).model_fields:
            value = getattr(self, section)
            if isinstance(value, Dialects):
                yield from ((f"{section}.{name}.{key}", inner) for name, one in value for key, inner in one)
            elif isinstance(value, BaseModel):
                yield from ((f"{section}.{key}", inner) for key, inner in value)
            elif isinstance(value, Mapping) and value:
                for name, table in value.items():
                    yield from ((f"{section}.{name}.{key}", inner) for key, inner in table)
            else:
                yield section, value

    def source_of(self, key: str) -> str:
        """Where a key's value came from: ``default``, ``file PATH``, ``env NAME`` or ``command line``."""
        return origin_of(self._origins, key)


def origin_of(origins: Mapping[str, str], key: str) -> str:
    """Where a key's value came from: itself, a table around it, or keys within it."""
    steps = key.split(".")
    for length in range(len(steps), 0, -1):
        if source := origins.get(".".join(steps[:length])):
            return source
    return next((source for inner, source in origins.items() if inner.startswith(f"{key}.")), "default")


SECTIONS: Final[Mapping[str, type[Section]]] = {
    "server": Server,
    "http": Http,
    "store": Store,
    "links": Link,
    "routes": Route,
    "queue": Queue,
    "receipts": Receipts,
    "callbacks": Callbacks,
    "log": Log,
    "simulator": Simulator,
    "dashboard": Dashboard,
    "dialects": Infobip,
    "numbering": NumberingTable,
    "pricing": PriceList,
    "demo": Demo,
}
"""Each top-level key with the model of its keys; of a link's, a route's and a dialect's, where they are one deeper."""
