"""What a dialect must be able to do: read a vendor's requests into operations, write the results, speak in callbacks.

A dialect is pure: octets and values in, values and octets out. It never stores, sends or waits. For each HTTP route it
says how to ``read`` a call into an operation and how to ``write`` the result; ``intake`` performs what lies between.
For callbacks it renders the body, adds the vendor's headers and judges the answer; ``callbacks`` posts.

Must not know: other dialects, HTTP servers, the store. Next: ``kvitto.dialects.sinch``.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from kvitto.core.model import Account, CallbackDue, Notify
from kvitto.core.operations import Operation

__all__ = ["Answer", "Call", "Credentials", "Dialect", "DialectError", "Problem", "RetryDecision", "Route", "Voice"]


class Call(NamedTuple):
    """One HTTP request as a dialect sees it; ``headers`` have their names in lower case.

    ``params``: from the path, percent-decoded ("+" stays). ``query``: decoded, "+" is a space.
    ``content_type``: the media type in lower case, without parameters; "" when absent. ``now``: ms UTC. ``path``: still
    percent-encoded; for those who word a refusal by where the call went. ``peer``: the client's address, for limits
    alone.
    """

    method: str
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    content_type: str
    headers: Mapping[str, str]
    body: bytes
    now: int
    path: str = ""
    peer: str = ""


class Answer(NamedTuple):
    """One HTTP answer; ``content_type`` "" with an empty body.

    ``handing``: the reports taken out of the feed that it carries (``FeedPage.handing``): gone for good once it is
    written, put back if it cannot be (P16).
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    handing: int | None = None


class Credentials(NamedTuple):
    """Who the caller says it is: a token, or a user name and password; ``service_plan_id`` where the path names one."""

    token: str | None = None
    username: str | None = None
    password: str | None = None
    service_plan_id: str | None = None


class Problem(StrEnum):
    """What can go wrong outside a dialect's own rules; each dialect has its words for them."""

    UNAUTHORIZED = "unauthorized"
    ACCOUNT_DISABLED = "account_disabled"
    QUOTA_SPENT = "quota_spent"
    SENDER_NOT_ALLOWED = "sender_not_allowed"
    NO_SENDER = "no_sender"
    NO_CALLBACK_URL = "no_callback_url"
    TOO_MANY_PARTS = "too_many_parts"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    ALREADY_DISPATCHED = "already_dispatched"
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"
    KEY_REUSED = "key_reused"  # an Idempotency-Key that came with another body before (P7)
    INVALID_KEY = "invalid_key"  # an Idempotency-Key that is none
    INVALID_CURSOR = "invalid_cursor"


class RetryDecision(NamedTuple):
    """What a receiver's answer means: done; or, if not, when to try again (ms UTC), None for never.

    ``counts``: False for a try that the receiver only put off; the schedule does not see it. ``slower``: the receiver
    wants fewer requests a second from now on. ``gone``: nobody wants callbacks there; the endpoint is to be disabled.
    """

    done: bool
    retry_at: int | None
    counts: bool = True
    slower: bool = False
    gone: bool = False


class Route(NamedTuple):
    """One HTTP operation. ``path``: a template with ``{name}`` segments; a literal segment wins over a name.

    ``read`` may raise ``DialectError``, or return an ``Answer`` when there is nothing to perform; ``write`` gets the
    operation that ``read`` made and its result. ``open``: for callers without an account (``OpenSession``); ``read``
    then gets None for the account.
    """

    method: str
    path: str
    read: "Callable[[Call, Any], Operation | Answer]"
    write: Callable[[Any, Any], Answer]
    open: bool = False


class DialectError(Exception):
    """A request that the dialect refuses, with the answer to give."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Voice(Protocol):
    """How callbacks are worded, signed in a vendor's own way, and judged by their answers."""

    @property
    def name(self) -> str:
        """The word that is stored with each callback."""

    @property
    def callback_timeout_s(self) -> float:
        """Seconds that one callback attempt may take."""

    @property
    def most_per_callback(self) -> int:
        """How many messages' reports one callback may carry; 1 where a callback is one report."""

    @property
    def most_at_once(self) -> int | None:
        """How many callbacks may be on their way to one endpoint at a time, where it has no bound of its own; None: as
        many as the house lets.
        """

    @property
    def supersedes(self) -> bool:
        """Whether a change on the way that is still untold is dropped once its message has ended."""

    def tells(self, due: CallbackDue, account: Account) -> bool:
        """Whether this change is told at all, by the account's settings; one that is not is done without a call."""

    def together(self, due: CallbackDue) -> Hashable:
        """What callbacks to one URL must have in common to share a call; asked where ``most_per_callback`` > 1."""

    def render(self, dues: Sequence[CallbackDue], account: Account) -> bytes:
        """Return the body of one call: the same octets for the same facts, every time.

        ``account``: for its time zone, where a dialect shows local time.
        """

    def headers(
        self, due: CallbackDue, body: bytes, account: Account, *, secret: str, nonce: str, now: int
    ) -> list[tuple[str, str]]:
        """Return the vendor's own headers of one attempt, its own signature included; ``now`` in ms UTC.

        ``due``: the first of those that share the call. ``secret``: for a signature with room for one; while one
        secret replaces another it is the old one. What all dialects carry is added by ``kvitto.callbacks.signing``.
        """

    def judge(
        self,
        due: CallbackDue,
        account: Account,
        status_code: int | None,
        body: bytes,
        retry_after_s: float | None,
        now: int,
    ) -> RetryDecision:
        """Say what the receiver's answer means (``status_code`` None: none came); ``now`` in ms UTC."""


class Dialect(Voice, Protocol):
    """One vendor's way of speaking, reading and calling back; its ``name`` is stored with each batch."""

    @property
    def routes(self) -> Sequence[Route]:
        """The HTTP operations of this dialect."""

    @property
    def prefixes(self) -> Sequence[str]:
        """Where this dialect lives ("/xms/v1/{service_plan_id}"): unknown paths below are refused in its words."""

    def credentials(self, call: Call) -> Credentials | None:
        """Return what the caller presents; None when there is nothing to check."""

    def refuse(
        self,
        problem: Problem,
        *,
        text: str = "",
        retry_after_s: int | None = None,
        allow: str = "",
        call: Call | None = None,
        operation: Operation | None = None,
    ) -> Answer:
        """Say a problem in the vendor's words; ``text`` names the field and the limit.

        ``call``: the request as far as it is known (its shape may decide the answer's); ``operation``: what it asked
        for, where it was understood.
        """

    def notify_of(self, wanted: Notify | None, account: Account) -> Notify:
        """Say which changes of a batch are told in this dialect (docs/status.md 8).

        ``wanted``: by its sender, in whatever dialect it was sent; None for nothing said.
        """
