"""One thing on its way from the simulator to the ESME: a receipt, or a message from a handset."""

from typing import NamedTuple

from kvitto.simulator.numbers import Step
from kvitto.simulator.style import Style
from kvitto.smpp.pdus import DeliverSm, SubmitSm

__all__ = ["Incoming", "Pending", "Written"]


class Written(NamedTuple):
    """A message's id as it stands in three places: the submit_sm_resp, the receipt's text, receipted_message_id."""

    response: str
    text: str
    tlv: str


class Pending:
    """``home``: the bind that brought the message, gone or not. ``tries``: how often it was written.

    ``answered``: an answer with status 0 came; whatever still waits to send it again does nothing. Mutable and slotted,
    not a value: one is made for every message and followed until its answer.
    """

    __slots__ = ("answered", "away", "home", "ids", "step", "style", "submit", "submitted_at", "tries")

    def __init__(
        self, submit: SubmitSm, step: Step, ids: Written, submitted_at: int, home: object, away: bool, style: Style
    ) -> None:
        """``submitted_at``: milliseconds UTC. ``away``: to go on another bind than ``home`` if there is one."""
        self.submit = submit
        self.step = step
        self.ids = ids
        self.submitted_at = submitted_at
        self.home = home
        self.away = away
        self.style = style
        self.tries = 0
        self.answered = False


class Incoming:
    """A message from a handset: goes to whichever bind receives."""

    __slots__ = ("answered", "pdu", "tries")
    away = False
    home = None

    def __init__(self, pdu: DeliverSm) -> None:
        self.pdu = pdu
        self.tries = 0
        self.answered = False
