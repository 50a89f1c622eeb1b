"""The memory of request heads: octets that were parsed once need not be parsed again.

Belongs to ``intake.connection``, which tells when it may be used. Must not know: what the fields mean to a handler.
Next: ``intake.exchange`` (``Head``).
"""

from typing import Final

from kvitto.intake.exchange import Head

__all__ = ["MOST_HEADS", "MOST_HEAD_BYTES", "Heads"]

MOST_HEADS: Final = 1024
"""Heads kept at once, about 4 KiB each; above, all are forgotten and parsed anew."""

MOST_HEAD_BYTES: Final = 2048
"""Octets of a head that is kept; clients' are under 1 KiB."""

_HEAD_END: Final = b"\r\n\r\n"
_SPECIAL: Final = frozenset((b"transfer-encoding", b"expect"))


class Heads:
    """``known``: octets, with the empty line -> what the parser made of them."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}

    def keep(self, octets: bytes, head: Head) -> None:
        """Keep a head that was read from these octets, if the same ones will always mean the same.

        They do when they end with the first empty line, the body has a length, and neither its transfer nor the
        server's answer is out of the ordinary.
        """
        if len(octets) > MOST_HEAD_BYTES or octets.find(_HEAD_END) != len(octets) - len(_HEAD_END):
            return
        if octets.count(b"\n") != octets.count(b"\r\n"):  # an empty line may also have been written "\n\n"
            return
        if head.method == "HEAD" or int(head.headers.get(b"content-length", 0)) != head.body_bytes:
            return
        if not _SPECIAL.isdisjoint(head.headers):
            return
        if len(self.known) >= MOST_HEADS:
            self.known.clear()
        self.known[octets] = head
