"""What the processes of a run tell each other: one file in memory, mapped by all, with a slot for each message.

Every slot has one writer. Instants are nanoseconds of the monotonic clock, which all processes of a machine share;
0 means not yet. A message is known by its index: its recipient is ``FIRST_NUMBER + index``, so that SMSC and sink find
its slot from the number alone. Slots of requests are counted by request, the others by message.
"""

import mmap
from enum import IntEnum
from pathlib import Path
from typing import Final

__all__ = ["FIRST_NUMBER", "NUMBER_DIGITS", "Board", "Counter", "receiver_of"]

FIRST_NUMBER: Final = 46_700_000_000
NUMBER_DIGITS: Final = 11
COUNTERS: Final = 32
_SLOT_BYTES: Final = 8


FIRST_SINK: Final = 100
"""Of several receivers of callbacks the last part of the first one's address, 127.0.1.100."""


def receiver_of(index: int, endpoints: int, one_takes_most: bool) -> int:
    """Which of the receivers a message's callback goes to: each in turn, or nine of ten to the first."""
    if not one_takes_most:
        return index % endpoints
    return 0 if index % 10 else 1 + index // 10 % (endpoints - 1)


class Counter(IntEnum):
    """Numbers of the whole run; each is written by one process only."""

    # load
    REQUESTS = 0
    ACCEPTED_MESSAGES = 1
    REFUSED_MESSAGES = 2
    LAST_ACCEPTED_AT = 3
    LOAD_DONE = 4
    FIRST_REQUEST_AT = 5
    FIRST_REFUSAL = 6
    """HTTP status of the first answer that accepted nothing; 1 for a lost connection."""
    LOAD_CPU_NS = 7
    """What the load has used since its first request; it has ended by the time that anybody else could ask."""
    # smsc
    BINDS = 8
    SUBMITS = 9
    SUBMITS_UNKNOWN = 10
    RECEIPTS_SENT = 11
    RECEIPTS_OK = 12
    RECEIPTS_REFUSED = 13
    SMSC_READY = 14
    # sink
    CALLBACKS = 16
    RECIPIENTS_FINAL = 17
    """Distinct recipients whose final status came."""
    RECIPIENTS_AGAIN = 18
    CALLBACKS_UNKNOWN = 19
    LAST_CALLBACK_AT = 20
    NOT_DELIVERED = 21
    SINK_READY = 22
    CONNECTIONS = 23


class Board:
    """The shared file, mapped. ``messages``, ``requests``: how many slots of each."""

    def __init__(self, path: Path, messages: int, requests: int) -> None:
        """Map the file at ``path``; it is made when missing."""
        size = (COUNTERS + 2 * requests + 4 * messages) * _SLOT_BYTES
        with path.open("a+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        words = memoryview(self._map).cast("Q")
        self.messages, self.requests = messages, requests
        self.counters = words[:COUNTERS]
        at = COUNTERS
        self.requested_at = words[at : at + requests]
        self.accepted_at = words[at + requests : at + 2 * requests]
        at += 2 * requests
        self.submits = words[at : at + messages]
        self.receipt_at = words[at + messages : at + 2 * messages]
        self.callback_at = words[at + 2 * messages : at + 3 * messages]
        self.callbacks = words[at + 3 * messages : at + 4 * messages]

    def __getitem__(self, counter: Counter) -> int:
        """One number of the run."""
        return self.counters[counter]
