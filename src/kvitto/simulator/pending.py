"""One receipt on its way from the simulator to the ESME."""

from kvitto.simulator.numbers import Step
from kvitto.smpp.pdus import SubmitSm

__all__ = ["Pending"]


class Pending:
    """``home``: the bind that brought the message, gone or not. ``tries``: how often it was written.

    ``answered``: an answer with status 0 came; whatever still waits to send it again does nothing. Mutable and slotted,
    not a value: one is made for every message and followed until its answer.
    """

    __slots__ = ("answered", "away", "home", "message_id", "step", "submit", "submitted", "tries")

    def __init__(self, submit: SubmitSm, step: Step, message_id: str, submitted: str, home: object, away: bool) -> None:
        """``submitted``: ``YYMMDDhhmm``. ``away``: to go on another bind than ``home`` if there is one."""
        self.submit = submit
        self.step = step
        self.message_id = message_id
        self.submitted = submitted
        self.home = home
        self.away = away
        self.tries = 0
        self.answered = False
