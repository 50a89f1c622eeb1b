"""The exceptions of the house, in one tree.

::

    KvittoError                 everything we raise on purpose
    ├── LocalError              our own fault: this code was used wrongly (h11's and websockets' "local" side)
    ├── PeerError               the other end broke its protocol; ``smpp.codec.ProtocolError`` is one
    ├── BadInput                a request names something that cannot be: field, what is wrong with it, the limit
    ├── Refused                 a well-formed request that the rules refuse: a code word, perhaps a field
    │   ├── NotFound            what it names does not exist, or belongs to another account
    │   └── Conflict            it contradicts what is already stored
    ├── StoreUnavailable        the database is away or its disk is full; carries when to come back
    └── SettingsError           wrong settings: every problem at once, each with key, value, reason and source

Bad input is a value or one of these, never a stray exception. Each edge turns them into its own answer: a dialect's
error body, a ``command_status``, an exit code. This file must not know any of those. Messages name the field, the
shape of the value and the limit; they never carry a subscriber's number, a text or a secret, because they are logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BadInput",
    "Conflict",
    "KvittoError",
    "LocalError",
    "NotFound",
    "PeerError",
    "Refused",
    "SettingsError",
    "SettingsProblem",
    "StoreUnavailable",
]


class KvittoError(Exception):
    """The root: catching it catches everything raised on purpose, and nothing else."""


class LocalError(KvittoError):
    """Our own code was used wrongly (a closed session written to, a verb called in the wrong state): a bug here."""


class PeerError(KvittoError):
    """The other end of a connection did what its protocol forbids."""


class BadInput(KvittoError):
    """A request that cannot be understood or accepted as it stands; nothing was stored.

    ``field``: where, in the caller's own words (``to``, ``recipients[3]``), ``""`` for the request as a whole.
    ``text``: what is wrong and the limit, without the value itself.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.field = field
        self.text = text


class Refused(KvittoError):
    """A well-formed request that the rules refuse; nothing was stored.

    ``code``: one stable lower-case word (``blocked_sender``), for dialects to map and people to search.
    """

    def __init__(self, code: str, text: str, *, field: str = "") -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.field = field


class NotFound(Refused):
    """What the request names does not exist for this account. ``what``: the noun (``batch``, ``recipient``)."""

    def __init__(self, what: str, text: str = "") -> None:
        super().__init__("not_found", text or f"no such {what}", field=what)
        self.what = what


class Conflict(Refused):
    """The request contradicts what is stored: a name taken, a batch already sent."""

    def __init__(self, text: str, *, code: str = "conflict", field: str = "") -> None:
        super().__init__(code, text, field=field)


class StoreUnavailable(KvittoError):
    """The database cannot take or give anything now; nothing of the failed verb is stored.

    ``retry_after_s``: whole seconds after which trying again makes sense (the ``Retry-After`` of a 503).
    """

    def __init__(self, text: str, *, retry_after_s: int = 5) -> None:
        super().__init__(text)
        self.text = text
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsProblem:
    """One wrong setting.

    ``key``: dotted (``links.main.window``). ``value``: as given, secrets masked, ``""`` when missing.
    ``source``: ``file PATH``, ``env NAME``, ``command line`` or ``default``.
    """

    key: str
    value: str
    reason: str
    source: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value} ({self.source}): {self.reason}"


class SettingsError(KvittoError):
    """The settings do not hold together: the start stops here. ``problems`` has every one, never empty."""

    def __init__(self, problems: Sequence[SettingsProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)
