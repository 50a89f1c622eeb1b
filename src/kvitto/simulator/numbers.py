"""The magic numbers: what the simulator does with a message, as data.

Every number is delivered, except those under the unassigned country code 999: in ``999xxxxxxxNN`` (exactly 12 digits,
x any digit, so that fresh numbers can always be made) NN chooses a row of ``NUMBERS``. ``kvitto simulate numbers`` and
the README print this table; ``smsc.py`` carries it out. Must not know: sockets, sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from kvitto.simulator.style import STANDARD, Style
from kvitto.smpp.spec import CommandStatus, EsmClass, MessageState

__all__ = ["DEFAULT", "NUMBERS", "Answer", "Behaviour", "LongText", "Step", "behaviour_of", "is_magic"]

MAGIC_PREFIX: Final = "999"
MAGIC_DIGITS: Final = 12
_RECEIPT_OR_NOTICE: Final = EsmClass.DELIVERY_RECEIPT | EsmClass.INTERMEDIATE_NOTIFICATION
GSM: Final = 3
"""Network type of a GSM error in network_error_code."""


class Answer(Enum):
    """When the submit_sm is answered."""

    AT_ONCE = "at once"
    AFTER_RECEIPT = "after the receipt"
    NEVER = "never"
    CLOSE = "the connection is closed instead"
    HALF_OPEN = "the connection stands, and nothing on it is read or answered any more"


class LongText(Enum):
    """What is special about a text in several parts."""

    EACH_PART = "each part for itself"
    SECOND_FAILS = "the second part fails"
    ONE_RECEIPT = "one receipt for the whole"
    OUT_OF_ORDER = "answered and receipted from the last part to the first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One receipt. ``stat``: the word of the text. ``state``: message_state, None for none.

    ``err``: three digits, None for no such field. ``network_error``: (network type, code), None for none.
    ``after_s``: seconds after the step before, on top of the simulator's random delay.
    """

    stat: str
    state: MessageState | None
    err: str | None = "000"
    network_error: tuple[int, int] | None = None
    after_s: float = 0.0
    esm_class: int = EsmClass.DELIVERY_RECEIPT

    @property
    def delivered(self) -> bool:
        """Whether it tells a success."""
        return self.state is MessageState.DELIVERED

    @property
    def notice(self) -> bool:
        """Whether it tells of an attempt only (an intermediate notification)."""
        return self.esm_class & _RECEIPT_OR_NOTICE == EsmClass.INTERMEDIATE_NOTIFICATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What is done with a message: one row of the table, or what a scenario drew (``script.py``).

    ``refuse``: the command_status of the submit_sm_resp, 0 for acceptance; ``once``: only the first submit to a number
    is refused. ``hex_id``: the response names the id in hexadecimal, the receipts in decimal. ``other_bind``: receipts
    come on another bind of the same system_id if there is one. ``answer_s``: until the answer. ``delay_s``: until the
    first receipt, None for the simulator's own. ``style``: how ids and receipts look.
    ``uuid``: the id, if it is no number. ``lost``: what happens to the message without a receipt telling it; a query_sm
    is told (``fates.py``).
    """

    number: str
    description: str
    receipts: tuple[Step, ...] = ()
    refuse: int = 0
    once: bool = False
    answer: Answer = Answer.AT_ONCE
    hex_id: bool = False
    other_bind: bool = False
    long_text: LongText = LongText.EACH_PART
    answer_s: float = 0.0
    delay_s: float | None = None
    style: Style = STANDARD
    uuid: str = ""
    lost: tuple[Step, ...] = ()

    @property
    def fate(self) -> tuple[Step, ...]:
        """What becomes of the message, told or not."""
        return self.receipts or self.lost


_DELIVRD: Final = Step(stat="DELIVRD", state=MessageState.DELIVERED)
_UNDELIV: Final = Step(stat="UNDELIV", state=MessageState.UNDELIVERABLE)
_DELIVERED: Final = (_DELIVRD,)
_INTERMEDIATE: Final = EsmClass.INTERMEDIATE_NOTIFICATION

DEFAULT: Final = Behaviour(number="", description="DELIVRD, err 000", receipts=_DELIVERED)

_ROWS: Final = (
    replace(DEFAULT, number="00"),
    Behaviour(number="01", description="DELIVRD, err 001", receipts=(replace(_DELIVRD, err="001"),)),
    Behaviour(number="02", description="DELIVRD after 4 s", receipts=(replace(_DELIVRD, after_s=4.0),)),
    Behaviour(
        number="03",
        description="failed-attempt notice (esm_class 0x20), then DELIVRD",
        receipts=(replace(_UNDELIV, err="027", esm_class=_INTERMEDIATE), replace(_DELIVRD, after_s=0.2)),
    ),
    Behaviour(
        number="04",
        description="DELIVRD three times",
        receipts=(_DELIVRD, replace(_DELIVRD, after_s=0.05), replace(_DELIVRD, after_s=0.05)),
    ),
    Behaviour(
        number="05",
        description="DELIVRD, then UNDELIV",
        receipts=(_DELIVRD, replace(_UNDELIV, err="027", after_s=0.2)),
    ),
    Behaviour(
        number="06",
        description="DELIVRD before the submit's response",
        receipts=_DELIVERED,
        answer=Answer.AFTER_RECEIPT,
    ),
    Behaviour(
        number="07",
        description="id hexadecimal in the response, decimal in the receipt",
        receipts=_DELIVERED,
        hex_id=True,
    ),
    Behaviour(number="08", description="DELIVRD on another bind if there is one", receipts=_DELIVERED, other_bind=True),
    Behaviour(
        number="10",
        description="UNDELIV, err 027, network error GSM 27",
        receipts=(replace(_UNDELIV, err="027", network_error=(GSM, 27)),),
    ),
    Behaviour(number="11", description="UNDELIV without a code", receipts=(replace(_UNDELIV, err=None),)),
    Behaviour(number="12", description="UNDELIV, err 954 (in no table)", receipts=(replace(_UNDELIV, err="954"),)),
    Behaviour(number="13", description="SKIPPED", receipts=(Step(stat="SKIPPED", state=MessageState.SKIPPED),)),
    Behaviour(
        number="14",
        description="EXPIRED, err 032, network error GSM 32",
        receipts=(Step(stat="EXPIRED", state=MessageState.EXPIRED, err="032", network_error=(GSM, 32)),),
    ),
    Behaviour(number="15", description="DELETED", receipts=(Step(stat="DELETED", state=MessageState.DELETED),)),
    Behaviour(number="16", description="UNKNOWN", receipts=(Step(stat="UNKNOWN", state=MessageState.UNKNOWN),)),
    Behaviour(
        number="17",
        description="REJECTD, err 954",
        receipts=(Step(stat="REJECTD", state=MessageState.REJECTED, err="954"),),
    ),
    Behaviour(number="20", description="refuses the submit, 0x0B", refuse=CommandStatus.ESME_RINVDSTADR),
    Behaviour(number="21", description="refuses the submit, 0x401 (vendor)", refuse=0x401),
    Behaviour(
        number="22",
        description="0x58 once, then DELIVRD",
        receipts=_DELIVERED,
        refuse=CommandStatus.ESME_RTHROTTLED,
        once=True,
    ),
    Behaviour(number="23", description="0x58 for ever", refuse=CommandStatus.ESME_RTHROTTLED),
    Behaviour(
        number="24",
        description="0x14 once, then DELIVRD",
        receipts=_DELIVERED,
        refuse=CommandStatus.ESME_RMSGQFUL,
        once=True,
    ),
    Behaviour(
        number="30",
        description="ACCEPTD, nothing more",
        receipts=(Step(stat="ACCEPTD", state=MessageState.ACCEPTED),),
    ),
    Behaviour(
        number="31",
        description="ENROUTE, nothing more",
        receipts=(Step(stat="ENROUTE", state=MessageState.ENROUTE),),
    ),
    Behaviour(number="32", description="no receipt", lost=_DELIVERED),
    Behaviour(
        number="33",
        description="a receipt with the id and no readable state",
        receipts=(Step(stat="#?!", state=None, err=None),),
    ),
    Behaviour(number="34", description="DELIVRD after 90 s", receipts=(replace(_DELIVRD, after_s=90.0),)),
    Behaviour(
        number="40",
        description="second part of a long text UNDELIV, the others DELIVRD",
        receipts=_DELIVERED,
        long_text=LongText.SECOND_FAILS,
    ),
    Behaviour(
        number="41",
        description="one receipt for a whole long text",
        receipts=_DELIVERED,
        long_text=LongText.ONE_RECEIPT,
    ),
    Behaviour(
        number="42",
        description="parts answered and receipted out of order",
        receipts=_DELIVERED,
        long_text=LongText.OUT_OF_ORDER,
    ),
    Behaviour(
        number="50",
        description="never answers the submit, receipt comes",
        receipts=_DELIVERED,
        answer=Answer.NEVER,
    ),
    Behaviour(number="51", description="closes the connection after the submit", answer=Answer.CLOSE),
)

NUMBERS: Final[Mapping[str, Behaviour]] = {row.number: row for row in _ROWS}
"""NN -> what the SMSC does. An NN that is not here behaves like any other number: it is delivered."""

SECOND_PART: Final = (replace(_UNDELIV, err="027"),)
"""The receipts of the part that fails under ``LongText.SECOND_FAILS``."""


def is_magic(destination: str) -> bool:
    """Whether a number chooses what happens to its messages."""
    return len(destination) == MAGIC_DIGITS and destination.startswith(MAGIC_PREFIX) and destination.isdecimal()


def behaviour_of(destination: str) -> Behaviour:
    """What the simulator does with a message to this number, digits as they came in ``destination_addr``."""
    # The prefix first: nearly every number of a load ends here.
    if destination.startswith(MAGIC_PREFIX) and is_magic(destination):
        return NUMBERS.get(destination[-2:], DEFAULT)
    return DEFAULT
