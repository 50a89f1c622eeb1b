"""What the simulator saw, for tests, the judge of a storm and the curious.

``Recorder`` is told what happened to messages, ``WireRecorder`` every octet of every connection. ``Record`` counts in
memory; ``JsonLinesRecord`` appends both to a file, one JSON object a line (docs/simulator.md lists them).
Must not know: sockets, sessions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from kvitto.core.clock import Clock
from kvitto.smpp.codec import PduBuffer, ProtocolError, decode
from kvitto.smpp.pdus import Bind, Outbind
from kvitto.smpp.spec import BindMode, CommandId, Tlv, command_name

__all__ = ["Direction", "JsonLinesRecord", "Record", "Recorder", "WireRecorder"]

Direction = Literal["in", "out"]
_HEADER_BYTES: Final = 16
_WITH_PASSWORD: Final = frozenset({*map(int, BindMode), int(CommandId.OUTBIND)})
_TLV_NAMES: Final = {int(tag): tag.name.lower() for tag in Tlv}


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


class WireRecorder(Protocol):
    """What a connection tells. ``connection``: its number, from 1."""

    def opened(self, connection: int, peer: str) -> None:
        """It stands."""

    def octets(self, connection: int, direction: Direction, data: bytes) -> None:
        """Octets were read, or handed to the socket; in any pieces."""

    def closed(self, connection: int) -> None:
        """It is gone."""

    def flush(self) -> None:
        """See ``Recorder``."""


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
    """Appends to a file, once a turn of the loop; fulfils both protocols."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open ``path`` for appending. Raises: OSError."""
        self._clock = clock
        self._lines: list[str] = []
        self._buffers: dict[tuple[int, Direction], PduBuffer] = {}
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

    def opened(self, connection: int, peer: str) -> None:
        """See ``WireRecorder``."""
        self._line(event="connect", connection=connection, peer=peer)

    def octets(self, connection: int, direction: Direction, data: bytes) -> None:
        """See ``WireRecorder``."""
        buffer = self._buffers.setdefault((connection, direction), PduBuffer())
        try:
            frames, lost = buffer.feed(data), ""
        except ProtocolError as error:
            frames, lost = error.frames, str(error)
        for frame in frames:
            self._pdu(connection, direction, frame)
        if lost:
            self._line(event="no_pdu", connection=connection, direction=direction, reason=lost, raw=data.hex())

    def closed(self, connection: int) -> None:
        """See ``WireRecorder``."""
        for direction in ("in", "out"):
            buffer = self._buffers.pop((connection, direction), None)
            if buffer is not None and buffer.pending_bytes:
                self._line(event="half_pdu", connection=connection, direction=direction, octets=buffer.pending_bytes)
        self._line(event="close", connection=connection)

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

    def _pdu(self, connection: int, direction: Direction, frame: bytes) -> None:
        pdu = decode(frame)
        fields = {name: value for name, value in pdu._asdict().items() if name not in {"command_id", "raw"}}
        raw = frame
        if isinstance(pdu, Bind | Outbind):
            # The password stays out of the file; a body begins with system_id and password.
            hidden = "*" * len(pdu.password)
            fields["password"] = hidden
            start = _HEADER_BYTES + len(pdu.system_id) + 1
            raw = frame[:start] + hidden.encode("ascii") + frame[start + len(hidden) :]
        elif pdu.command_id in _WITH_PASSWORD:  # Broken, so nobody knows where its password stands.
            raw = frame[:_HEADER_BYTES]
        self._line(
            event="pdu",
            connection=connection,
            direction=direction,
            command=command_name(pdu.command_id),
            fields={name: _plain(value) for name, value in fields.items()},
            raw=raw.hex(),
        )

    def _line(self, **fields: object) -> None:
        self._lines.append(json.dumps({"at": self._clock.now(), **fields}) + "\n")


def _plain(value: Any) -> object:
    """A field as JSON has it: octets in hex, TLVs by name where they have one."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {_TLV_NAMES.get(tag, f"0x{tag:04X}"): octets.hex() for tag, octets in value.items()}
    return value
