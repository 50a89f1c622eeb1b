"""The ``kvitto`` command with one fault in it: the process kills itself at the n-th pass of a chosen point (R49).

    python -m tests.support.faulty POINT:N python -m kvitto serve ...

The server's own code knows nothing of this: before the command starts, one function of it is wrapped here. ``POINTS``
names each instant of R49 and says what is wrapped; a kill is ``SIGKILL`` of the process itself, so nothing is flushed,
closed or told any more, as with ``kill -9`` and, but for the page cache, as with a power cut.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from kvitto import cli
from kvitto.callbacks.outbox import Outbox
from kvitto.dispatch.receiver import Receiver
from kvitto.dispatch.submitter import Submitter
from kvitto.dispatch.transport import SmppConnection
from kvitto.smpp.session import Session
from kvitto.store import sqlcallbacks, sqlstore
from kvitto.store.verbs import dispatch, telling

__all__ = ["POINTS", "main"]

SUBMIT_SM_RESP = b"\x80\x00\x00\x04\x00\x00\x00\x00"
DELIVER_SM_RESP = b"\x80\x00\x00\x05\x00\x00\x00\x00"
LEFT_S = 0.003
"""After this, what was written has left the process."""


class Fuse:
    """Burns down by one a pass; at the last the process is gone."""

    def __init__(self, passes: int) -> None:
        self._left = passes

    def burn(self) -> None:
        """One pass."""
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool] = lambda *_: True) -> None:
    """Burn when ``owner.name`` is called and its arguments pass ``when``."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if when(*arguments):
            fuse.burn()
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, fuse: Fuse, when: Callable[..., bool] = lambda *_: True) -> None:
    """Burn when ``owner.name`` has returned."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if when(*arguments):
            fuse.burn()
        return result

    setattr(owner, name, wrapped)


def _verb(name: str, fuse: Fuse, *, after: bool) -> None:
    """Burn around a verb's statements, inside its transaction."""
    room = sqlstore if hasattr(sqlstore, name) else sqlcallbacks
    verb = getattr(room, name)

    def run(tx: Any, scope: Any, items: Any) -> Any:
        if not after:
            fuse.burn()
        result = verb.run(tx, scope, items)
        if after:
            fuse.burn()
        return result

    setattr(room, name, verb._replace(run=run))


def _when_left(mark: bytes, fuse: Fuse) -> None:
    """Burn when octets with this mark have just left the process."""
    original = Session.take_output

    def take_output(self: Session) -> bytes:
        data = original(self)
        if mark in data:
            asyncio.get_running_loop().call_later(LEFT_S, fuse.burn)
        return data

    Session.take_output = take_output  # type: ignore[method-assign]


def _brings(mark: bytes) -> Callable[..., bool]:
    return lambda _, data: mark in data


def _got_something(_: object, future: "asyncio.Future[list[object]]") -> bool:
    return not future.cancelled() and future.exception() is None and bool(future.result())


POINTS: Mapping[str, Callable[[Fuse], None]] = {
    "batch accepted, not committed": lambda fuse: _verb("_ACCEPT", fuse, after=True),
    "claim written, not committed": lambda fuse: _verb("_CLAIM", fuse, after=True),
    "marked as written, nothing on the socket": lambda fuse: _before(Submitter, "_on_claimed", fuse, _got_something),
    "submit has left, its response unread": lambda fuse: _before(
        SmppConnection, "data_received", fuse, _brings(SUBMIT_SM_RESP)
    ),
    "response read, not stored": lambda fuse: _verb("_ANSWERS", fuse, after=False),
    "response stored, not used for parked receipts": lambda fuse: _after(dispatch, "record_answers", fuse),
    "response stored, nobody told": lambda fuse: _before(Submitter, "_stored", fuse),
    "receipt read, not stored": lambda fuse: _verb("_RECEIPTS", fuse, after=False),
    "status changed, no callback row yet": lambda fuse: _before(telling, "write_callbacks", fuse),
    "receipt written, not committed": lambda fuse: _verb("_RECEIPTS", fuse, after=True),
    "receipt stored, not answered": lambda fuse: _before(Receiver, "on_stored", fuse),
    "receipt answered": lambda fuse: _when_left(DELIVER_SM_RESP, fuse),
    "callback stored, the sender not told": lambda fuse: _before(Outbox, "take", fuse),
    "callback answered, not stored": lambda fuse: _verb("_ATTEMPTS", fuse, after=False),
}
"""The instants, by what has happened and what has not."""


def main() -> None:
    """The command line: ``POINT:N`` and then the command it is for."""
    point, _, passes = sys.argv[1].rpartition(":")
    POINTS[point](Fuse(int(passes)))
    sys.argv = sys.argv[sys.argv.index("kvitto") :]
    cli.main()


if __name__ == "__main__":
    main()
