"""What the simulator saw, for tests, the judge of a storm and the curious.

``Record`` counts in memory; ``JsonLinesRecord`` appends one JSON object a line to a file: ``{"at": ms, "event":
"submit", "destination": ..., "message_id": ..., "status": ...}``, ``receipt_sent``, ``receipt_answered``, ``bind``.
Must not know: sockets, sessions.
"""

import json
from pathlib import Path
from typing import Protocol

from kvitto.core.clock import Clock

__all__ = ["JsonLinesRecord", "Record", "Recorder"]


class Recorder(Protocol):
    """What the simulator tells."""

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        """A submit_sm came. ``command_status``: of its answer. ``message_id``: as in receipts, empty if refused."""

    def receipt_sent(self, destination: str, message_id: str, tries: int) -> None:
        """A receipt was written; ``tries`` counts from 1."""

    def receipt_answered(self, destination: str, message_id: str, command_status: int) -> None:
        """Its answer came."""

    def bound(self, system_id: str, binds: int) -> None:
        """A bind was made; ``binds`` of this system_id stand now."""

    def flush(self) -> None:
        """A turn of the loop is over: what is kept elsewhere may go there now."""


class Record:
    """Counts in memory. ``submits``: destination -> submit_sm that came for it, refused ones among them."""

    def __init__(self) -> None:
        self.submits: dict[str, int] = {}
        self.accepted: dict[str, list[str]] = {}
        """destination -> the message ids given to it, in order."""
        self.receipts_sent = 0
        self.receipts_answered = 0
        self.receipts_refused = 0
        """Answered with another status than 0."""
        self.most_binds = 0

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        self.submits[destination] = self.submits.get(destination, 0) + 1
        if command_status == 0:
            self.accepted.setdefault(destination, []).append(message_id)

    def receipt_sent(self, destination: str, message_id: str, tries: int) -> None:
        """See ``Recorder``."""
        self.receipts_sent += 1

    def receipt_answered(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        if command_status:
            self.receipts_refused += 1
        else:
            self.receipts_answered += 1

    def bound(self, system_id: str, binds: int) -> None:
        """See ``Recorder``."""
        self.most_binds = max(self.most_binds, binds)

    def flush(self) -> None:
        """See ``Recorder``."""


class JsonLinesRecord:
    """Appends to a file, once a turn of the loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open ``path`` for appending. Raises: OSError."""
        self._clock = clock
        self._lines: list[str] = []
        self._file = path.open("a", encoding="ascii")

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        self._line(event="submit", destination=destination, message_id=message_id, status=command_status)

    def receipt_sent(self, destination: str, message_id: str, tries: int) -> None:
        """See ``Recorder``."""
        self._line(event="receipt_sent", destination=destination, message_id=message_id, tries=tries)

    def receipt_answered(self, destination: str, message_id: str, command_status: int) -> None:
        """See ``Recorder``."""
        self._line(event="receipt_answered", destination=destination, message_id=message_id, status=command_status)

    def bound(self, system_id: str, binds: int) -> None:
        """See ``Recorder``."""
        self._line(event="bind", system_id=system_id, binds=binds)

    def flush(self) -> None:
        """Hand the lines to the operating system, so that they outlive this process."""
        if self._lines:
            self._file.write("".join(self._lines))
            self._file.flush()
            self._lines.clear()

    def close(self) -> None:
        """Write what waits and close the file. Bears double calls."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def _line(self, **fields: str | int) -> None:
        self._lines.append(json.dumps({"at": self._clock.now(), **fields}) + "\n")
