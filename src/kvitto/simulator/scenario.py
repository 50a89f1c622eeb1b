"""The keys of a scenario: what a simulated SMSC does, as TOML; each key with its type, its default and its words.

``docs/simulator.md`` is made from the docstrings here (``page.py``). Checks in this file see one table alone; reading a
file, laying rules over the default and telling problems in our words is ``reading.py``. ``script.py`` draws from it.
Must not know: sockets, sessions, time.
"""

import string
from math import isclose
from typing import Annotated, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kvitto.smpp.spec import EsmClass, MessageState

__all__ = [
    "SECTIONS",
    "Answer",
    "Connection",
    "Delay",
    "Faults",
    "FixedDelay",
    "IdForm",
    "Ids",
    "Incoming",
    "LognormalDelay",
    "Outcome",
    "Receipts",
    "Rule",
    "Scenario",
    "Section",
    "Step",
    "Throttle",
    "Treatment",
    "UniformDelay",
]

TEMPLATE: Final = (
    "id:{id} sub:{sub} dlvrd:{dlvrd} submit date:{submit_date} done date:{done_date} stat:{stat} err:{err} text:{text}"
)
TEMPLATE_FIELDS: Final = ("id", "sub", "dlvrd", "submit_date", "done_date", "stat", "err", "text")
LONGEST_MS: Final = 7 * 86_400_000
STATE_OF_WORD: Final = {
    "SCHEDLD": MessageState.SCHEDULED,
    "ENROUTE": MessageState.ENROUTE,
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "DELETED": MessageState.DELETED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "ACCEPTD": MessageState.ACCEPTED,
    "UNKNOWN": MessageState.UNKNOWN,
    "REJECTD": MessageState.REJECTED,
    "SKIPPED": MessageState.SKIPPED,
}
"""Words of ``stat`` with the state that the specification gives them (docs/smpp.md 1.6)."""


def _template(text: str) -> str:
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"no template: {error}") from None
    for _, name, form, conversion in pieces:
        if name is not None and (name not in TEMPLATE_FIELDS or form or conversion):
            raise ValueError(f"{{{name}}} is no field; there are {', '.join(TEMPLATE_FIELDS)}, each plainly in braces")
    return text


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; names look like Europe/Stockholm") from None
    return name


def _digits(text: str) -> str:
    if text and not text.isdecimal():
        raise ValueError("digits only")
    return text


def _latin(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("characters of Latin-1 only: they are written as octets") from None
    return text


def _state(value: object) -> object:
    if isinstance(value, str):
        try:
            return MessageState[value.upper()]
        except KeyError:
            raise ValueError(f"must be one of {', '.join(state.name for state in MessageState)}") from None
    return value


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=LONGEST_MS, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Status = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Octet = Annotated[int, Field(ge=0, le=255)]
Whole = Annotated[int, Field(ge=1)]
Text = Annotated[str, AfterValidator(_latin)]
Digits = Annotated[str, AfterValidator(_digits)]
Address = Annotated[str, AfterValidator(_latin), Field(min_length=1, max_length=20)]
Word = Annotated[str, AfterValidator(_latin), Field(max_length=100)]
TlvName = Literal["receipted_message_id", "message_state", "network_error_code"]


class Section(BaseModel):
    """One table of a scenario; its docstring is the section's text in the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True)


# ---------------------------------------------------------------------------------------------------------- delays


class FixedDelay(Section):
    """Always the same."""

    kind: Literal["fixed"]
    """`"fixed"`."""
    ms: Milliseconds
    """How long (milliseconds)."""


class UniformDelay(Section):
    """Evenly spread between two bounds."""

    kind: Literal["uniform"]
    """`"uniform"`."""
    min_ms: Milliseconds
    """Shortest (milliseconds)."""
    max_ms: Milliseconds
    """Longest (milliseconds)."""

    @model_validator(mode="after")
    def _in_order(self) -> "UniformDelay":
        if self.min_ms > self.max_ms:
            raise ValueError(f"min_ms {self.min_ms:g} is above max_ms {self.max_ms:g}")
        return self


class LognormalDelay(Section):
    """Most are short and few are very long, as networks are: half of them below `median_ms`."""

    kind: Literal["lognormal"]
    """`"lognormal"`."""
    median_ms: Annotated[float, Field(gt=0, le=LONGEST_MS)]
    """Half are shorter (milliseconds)."""
    sigma: Annotated[float, Field(gt=0, le=5)] = 0.5
    """Spread; with 0.5 one in forty takes longer than 2.7 times the median, with 1.0 longer than 7 times."""
    max_ms: Milliseconds = 600_000
    """None takes longer (milliseconds)."""


Delay = Annotated[FixedDelay | UniformDelay | LognormalDelay, Field(discriminator="kind")]

# ------------------------------------------------------------------------------------------------- one message's way


class Answer(Section):
    """How a submit_sm is answered; several tables with `share`s that add up to 1."""

    share: Share = 1.0
    """Of the messages (0 to 1)."""
    status: Status = 0
    """command_status: 0 accepts, everything else refuses (`0x58`, `0x14`, `0x0B`, vendors' own such as `0x401`)."""
    once: bool = False
    """Refuse a number once only: its next message is accepted."""
    kind: Literal["answer", "none", "close", "half_open"] = "answer"
    """`answer`; `none`: accepted and never answered, receipts come; `close`: the connection is closed instead, and
    no receipt comes;
    `half_open`: from here on the connection stands, and nothing on it is read or answered any more."""
    delay: Delay | None = None
    """Until the answer; unset: at once. Answers with different delays come out of order."""

    @model_validator(mode="after")
    def _makes_sense(self) -> "Answer":
        if self.status and self.kind != "answer":
            raise ValueError(f'status refuses the message, and kind "{self.kind}" gives no answer to say so')
        if self.once and not self.status:
            raise ValueError("once means something only with a status other than 0")
        return self


class Step(Section):
    """One receipt of an outcome."""

    stat: Word = "DELIVRD"
    """The word of the text, any word."""
    state: Annotated[
        MessageState | Literal["NONE"] | None, BeforeValidator(lambda v: v if v == "NONE" else _state(v))
    ] = None
    """message_state by name (`DELIVERED`, `UNDELIVERABLE`, ...), `NONE` for no such TLV; unset: what `stat` means, none
    for a word the specification does not know."""
    err: Word = "000"
    """The token after `err:`; empty leaves the field out of the standard text."""
    network_error: tuple[Octet, Annotated[int, Field(ge=0, le=65_535)]] | None = None
    """The TLV network_error_code as `[type, code]`: `[3, 27]` is GSM 27. Unset: no such TLV."""
    after_ms: Milliseconds = 0
    """After the receipt before it (milliseconds), on top of the delay of the first."""
    esm_class: Octet = int(EsmClass.DELIVERY_RECEIPT)
    """`0x04` receipt, `0x20` intermediate notification, `0` unflagged; any octet."""


class Outcome(Section):
    """What becomes of an accepted message; several tables with `share`s that add up to 1."""

    share: Share = 1.0
    """Of the accepted messages (0 to 1)."""
    receipts: tuple[Step, ...] = (Step(),)
    """Its receipts, in order; an empty list is silence."""


class IdForm(Section):
    """How an id is written in one place."""

    base: Literal["dec", "hex"] = "dec"
    """Of a numeric id."""
    width: Annotated[int, Field(ge=0, le=44)] = 0
    """Filled up with zeros in front to this many characters."""
    upper: bool = False
    """Letters as capitals."""


class Ids(Section):
    """Message ids. The same id may be written in three ways, as it is in the wild."""

    kind: Literal["number", "uuid"] = "number"
    """Numbers counted up, or UUIDs of chance."""
    prefix: Annotated[Text, Field(max_length=20)] = ""
    """Before every id, everywhere: `SE-1-` makes a text of it."""
    response: IdForm = IdForm()
    """In the submit_sm_resp."""
    text: IdForm = IdForm()
    """In the receipt's text, after `id:`."""
    tlv: IdForm | None = None
    """In receipted_message_id; unset: as in the text."""


class Receipts(Section):
    """How receipts look, when they come, and what goes wrong with them."""

    delay: Delay | None = None
    """From the message to its first receipt; unset: evenly between `simulator.delay_min_ms` and `delay_max_ms`."""
    carrier: Literal["deliver_sm", "data_sm"] = "deliver_sm"
    """The PDU."""
    text_in: Literal["short_message", "message_payload", "nowhere"] = "short_message"
    """Where the text stands. A data_sm has no short_message: there it is always the payload, or nowhere."""
    tlvs: tuple[TlvName, ...] = ("receipted_message_id", "message_state", "network_error_code")
    """Which of the three TLVs are sent, when there is a value for them."""
    template: Annotated[str, AfterValidator(_latin), AfterValidator(_template), Field(max_length=2_000)] = TEMPLATE
    """The text: `{id}`, `{sub}`, `{dlvrd}`, `{submit_date}`, `{done_date}`, `{stat}`, `{err}`, `{text}`."""
    dates: Literal["YYMMDDhhmm", "YYMMDDhhmmss", "YYYYMMDDhhmm", "YYYYMMDDhhmmss"] = "YYMMDDhhmm"
    """How dates are written."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    """Whose time they are."""
    ucs2: bool = False
    """The whole text as UCS-2, data_coding 8."""
    swap_addresses: bool = True
    """Source and destination change places, as they should; false: as in the message."""
    unasked: bool = False
    """Receipts also where registered_delivery asks for none."""
    lost_share: Share = 0.0
    """Messages whose receipts never come (0 to 1)."""
    before_answer_share: Share = 0.0
    """Messages whose first receipt comes at once, and only then the submit_sm_resp (0 to 1)."""
    other_bind_share: Share = 0.0
    """Messages whose receipts come on another bind, if there is one (0 to 1)."""
    duplicate_share: Share = 0.0
    """Messages whose last receipt comes again (0 to 1)."""
    duplicates: Annotated[int, Field(ge=1, le=100)] = 1
    """How often again (number)."""
    duplicate_after_ms: Milliseconds = 50
    """After each other (milliseconds)."""
    held_share: Share = 0.0
    """Messages whose receipts are held back, so that later ones overtake them (0 to 1)."""
    held_ms: Milliseconds = 1_000
    """For how long (milliseconds)."""
    one_for_all_parts: bool = False
    """A text in several parts gets one receipt, with the id of the part that came first."""


class Treatment(Section):
    """What is done with a message unless a rule says otherwise. Alone, it delivers everything."""

    answers: tuple[Answer, ...] = (Answer(),)
    """How submits are answered: `[[default.answers]]`."""
    outcomes: tuple[Outcome, ...] = (Outcome(),)
    """What becomes of accepted messages: `[[default.outcomes]]`."""
    ids: Ids = Ids()
    """Message ids: `[default.ids]`."""
    receipts: Receipts = Receipts()
    """Receipts: `[default.receipts]`."""

    @model_validator(mode="after")
    def _whole(self) -> "Treatment":
        for name, rows in (("answers", self.answers), ("outcomes", self.outcomes)):
            total = sum(row.share for row in rows)
            if not isclose(total, 1.0, abs_tol=1e-6):
                raise ValueError(f"the shares of {name} add up to {total:g}, not to 1")
        return self


class Rule(Treatment):
    """For some messages only. The first rule that fits decides; what it does not say is as in `[default]`: a table key
    by key, a list as a whole.
    """

    prefix: tuple[Digits, ...] = ()
    """The destination starts with one of these; none: any destination."""
    ending: tuple[Digits, ...] = ()
    """... and ends with one of these."""
    sender: tuple[str, ...] = ()
    """... and the source address is one of these."""
    share: Share = 1.0
    """Of the messages that fit (0 to 1); the others go on to the next rule."""


# ----------------------------------------------------------------------------------------------------- the SMSC itself


class Connection(Section):
    """Binds, and how receipts are sent and repeated."""

    max_binds: Whole | None = None
    """Binds at once (number); one more is refused with 0x0D. Unset: `simulator.max_binds`."""
    max_transmitters: Annotated[int, Field(ge=0)] | None = None
    """... of them transmitters (number); unset: no limit of their own."""
    max_receivers: Annotated[int, Field(ge=0)] | None = None
    """... receivers."""
    max_transceivers: Annotated[int, Field(ge=0)] | None = None
    """... transceivers."""
    refuse_binds: tuple[Status, ...] = ()
    """Answers to the first binds, one each (`[0x0D, 0x0D]`); 0 accepts. Later ones are judged as usual."""
    bind_delay_ms: Milliseconds = 0
    """Until a bind is answered (milliseconds)."""
    interface_version: Octet = 0x34
    """The TLV sc_interface_version of the answer; 0: no such TLV."""
    enquire_link_s: Seconds = 30.0
    """Silence of the ESME after which it is asked whether it lives (seconds)."""
    window: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Receipts written to one bind and not yet answered (number)."""
    receipt_answer_s: Seconds = 10.0
    """A receipt that is not answered within this time counts as lost (seconds)."""
    retry_s: Seconds = 1.0
    """After this a receipt that was lost or refused is sent again (seconds)."""
    receipt_tries: Whole = 100
    """How often a receipt is sent before it is given up (number); binds that broke do not count."""


class Throttle(Section):
    """A limit to submits, over all binds."""

    per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Submits accepted in a second (number); 0: no limit. `--rate` is the same."""
    burst: Whole | None = None
    """How many may come at once (number); unset: a second's worth."""
    status: Annotated[int, Field(ge=1, le=0xFFFFFFFF)] = 0x58
    """The answer to one too many: `0x58` throttled, `0x14` queue full."""


class Faults(Section):
    """What is wrong with connections. Octets are counted for each connection from its start."""

    connections: Annotated[int, Field(ge=0)] = 0
    """Only the first so many connections are faulty (number); 0: every one."""
    cut_after_sent_bytes: Whole | None = None
    """The connection is closed when exactly this much has been written, in the middle of a PDU if need be (octets)."""
    cut_after_received_bytes: Whole | None = None
    """The connection is closed when this much has been read; what stands beyond it is not looked at (octets)."""
    half_open_after_received_bytes: Whole | None = None
    """From here on the connection stands, and nothing is answered any more, enquire_link among it (octets read)."""
    stop_reading_after_bytes: Whole | None = None
    """From here on nothing is taken from the socket, so that the peer's writes fill up; receipts still go out
    (octets read)."""
    read_bytes_per_s: Annotated[int, Field(ge=1)] | None = None
    """A slow reader: so much is taken from the socket in a second, not more (octets)."""


class Incoming(Section):
    """Messages from handsets (MO): sent to binds that receive, from the first such bind on. `[[incoming]]`."""

    source: Address
    """The handset's number."""
    destination: Address
    """The short code or number that it writes to."""
    text: Annotated[str, Field(max_length=10_000)] = "Hello"
    """What it writes; beyond Latin-1 it goes out as UCS-2."""
    count: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How many such messages (number)."""
    after_ms: Milliseconds = 0
    """Before the first one (milliseconds)."""
    every_ms: Milliseconds = 1_000
    """From one to the next (milliseconds)."""


class Scenario(Section):
    """The top of the file."""

    description: str = ""
    """For people."""
    seed: int | None = None
    """Makes a run repeatable: the same messages in the same order meet the same ids, answers, delays and outcomes.
    Unset: different each time. `--seed` is the same."""
    first_id: Whole | None = None
    """The first numeric message id. Unset: with a seed 1000000001, else a number made from the clock, so that a restart
    repeats none."""
    magic_numbers: bool = True
    """`999xxxxxxxNN` does what `kvitto simulate numbers` says, whatever the rules are."""
    connection: Connection = Connection()
    """Binds and windows: `[connection]`."""
    throttle: Throttle = Throttle()
    """A limit to submits: `[throttle]`."""
    faults: Faults = Faults()
    """Broken connections: `[faults]`."""
    default: Treatment = Treatment()
    """Every message: `[default]`."""
    rules: tuple[Rule, ...] = ()
    """Some messages: `[[rules]]`."""
    incoming: tuple[Incoming, ...] = ()
    """Messages from handsets: `[[incoming]]`."""


class Titled(NamedTuple):
    """A table of the page: its heading and its model."""

    title: str
    model: type[Section]


SECTIONS: Final = (
    Titled("The top of the file", Scenario),
    Titled("[default]", Treatment),
    Titled("[[default.answers]]", Answer),
    Titled("[[default.outcomes]]", Outcome),
    Titled("[[default.outcomes.receipts]]", Step),
    Titled("[default.ids]", Ids),
    Titled("[default.ids.response], [default.ids.text], [default.ids.tlv]", IdForm),
    Titled("[default.receipts]", Receipts),
    Titled('Delays: kind = "fixed"', FixedDelay),
    Titled('Delays: kind = "uniform"', UniformDelay),
    Titled('Delays: kind = "lognormal"', LognormalDelay),
    Titled("[[rules]]", Rule),
    Titled("[connection]", Connection),
    Titled("[throttle]", Throttle),
    Titled("[faults]", Faults),
    Titled("[[incoming]]", Incoming),
)
"""Every table, in the order of the page."""
