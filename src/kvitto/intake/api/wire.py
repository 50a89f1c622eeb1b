"""The shapes of ``/kvitto/v1``: what comes in, checked by type and limit, and what goes out.

Instants are ISO-8601 in UTC with milliseconds. Coming in they may have any offset, and whole seconds. Unknown fields
are refused: a mistyped filter must not list everything. Must not know: where values come from
(``kvitto.intake.api.views``).
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "LIMIT_DEFAULT",
    "LIMIT_MAX",
    "WAIT_MAX_S",
    "AttemptOut",
    "CallbackDetailOut",
    "CallbackOut",
    "CallbackPageOut",
    "CallbackQuery",
    "EndpointChangeIn",
    "EndpointDetailOut",
    "EndpointIn",
    "EndpointOut",
    "EndpointPageOut",
    "EventOut",
    "EventPageOut",
    "EventQuery",
    "NoQuery",
    "NoticeOut",
    "NoticePageOut",
    "PageQuery",
    "ProblemOut",
    "RelayAnswerIn",
    "RelayQuery",
    "ReplayIn",
    "ReplayOut",
    "ReplayPageOut",
    "SampleIn",
    "SampleOut",
    "SecretOut",
]

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 500
"""Entries a page."""
EVENTS_MAX: Final = 1000
WAIT_MAX_S: Final = 30
"""How long an empty page of events may be waited for; under the 60 s of common proxies."""
RATE_MAX: Final = 10_000
RATE_MIN: Final = 0.001
REPLAY_RATE_MIN: Final = 0.1
CONCURRENCY_MAX: Final = 256
URL_MAX: Final = 2048
HEADERS_MAX: Final = 20
PEM_MAX: Final = 65_536
CURSOR_MAX: Final = 64
ANSWER_BODY_MAX: Final = 4_096
"""Octets of a local answer that are taken: as many as are kept of any answer."""

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Entries a page.")]
Cursor = Annotated[str, Meta(max_length=CURSOR_MAX, description="The page before's `next`.")]
Instant = Annotated[
    str, Meta(min_length=10, max_length=40, description="ISO-8601 timestamp with a zone, such as 2031-03-09T05:06:07Z.")
]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z",
        description="1 to 64 letters, digits, dots, hyphens or underscores; once for each account.",
    ),
]
Url = Annotated[str, Meta(min_length=8, max_length=URL_MAX, description="http or https; its origin is the endpoint.")]
Profile = Annotated[
    Literal["dialect", "standard"],
    Meta(description="Whose schedule and judgement: the callback's own dialect's, or Standard Webhooks'."),
]
Concurrency = Annotated[int, Meta(ge=1, le=CONCURRENCY_MAX, description="Posts at once; null: the server's setting.")]
Rate = Annotated[float, Meta(ge=RATE_MIN, le=RATE_MAX, description="Posts a second; null: unlimited.")]
HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")]
HeaderValue = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,1022}[!-~])?\Z")]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Meta(max_length=HEADERS_MAX, description="Added to each request; shown by name only."),
]
Visible = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,253}[!-~])?\Z")]
BasicUser = Annotated[
    str, Meta(pattern=r"^[!-9;-~]([ -9;-~]{0,253}[!-9;-~])?\Z", description="Visible ASCII without a colon.")
]
Pem = Annotated[str, Meta(max_length=PEM_MAX, description="PEM text.")]
Id = Annotated[str, Meta(min_length=1, max_length=64)]


class NoQuery(Struct, forbid_unknown_fields=True):
    """No query parameters."""


# --- coming in --------------------------------------------------------------------------------------------------------


class PageQuery(Struct, forbid_unknown_fields=True):
    """A page of a list."""

    limit: Limit = LIMIT_DEFAULT
    after: Cursor | None = None


class CallbackQuery(Struct, forbid_unknown_fields=True):
    """Which callbacks, newest first; `since` and `until` compare with when they became due."""

    limit: Limit = LIMIT_DEFAULT
    after: Cursor | None = None
    endpoint: Id | None = None
    state: Literal["pending", "done", "given_up"] | None = None
    since: Instant | None = None
    until: Instant | None = None
    message_id: Id | None = None


class EventQuery(Struct, forbid_unknown_fields=True):
    """What changed after a cursor: none for everything, `now` for nothing of the past."""

    after: Annotated[str, Meta(max_length=CURSOR_MAX, description="A cursor, or `now`.")] = ""
    limit: Annotated[int, Meta(ge=1, le=EVENTS_MAX, description="Events a page.")] = 100
    wait_s: Annotated[int, Meta(ge=0, le=WAIT_MAX_S, description="Seconds to wait for the first event.")] = 0


class RelayQuery(Struct, forbid_unknown_fields=True):
    """Which callbacks are relayed."""

    all: Annotated[bool, Meta(description="Also those whose batch named a URL of its own.")] = False


class EndpointIn(Struct, forbid_unknown_fields=True):
    """An endpoint to make, or an implicit one to give a name and settings."""

    name: Name
    url: Url
    profile: Profile = "dialect"
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    headers: Headers = {}
    username: BasicUser | None = None
    password: Visible | None = None
    ca_pem: Pem | None = None
    client_cert_pem: Pem | None = None
    client_key_pem: Pem | None = None


class EndpointChangeIn(Struct, forbid_unknown_fields=True):
    """Settings to change; what is left out stays, null clears."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    profile: Profile | UnsetType = UNSET
    concurrency: Concurrency | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    headers: Headers | UnsetType = UNSET
    username: BasicUser | UnsetType | None = UNSET
    password: Visible | UnsetType | None = UNSET
    ca_pem: Pem | UnsetType | None = UNSET
    client_cert_pem: Pem | UnsetType | None = UNSET
    client_key_pem: Pem | UnsetType | None = UNSET


class SampleIn(Struct, forbid_unknown_fields=True):
    """What to show the endpoint: a made-up report of a made-up message."""

    dialect: Literal["sinch", "infobip", "ninebits"] = "sinch"
    status: Literal["delivered", "failed", "expired"] = "delivered"


class ReplayIn(Struct, forbid_unknown_fields=True):
    """Callbacks to post again, each once: those that became due at `since` or later, and before `until`."""

    since: Instant
    until: Instant | None = None
    endpoint: Id | None = None
    states: Annotated[
        list[Literal["pending", "done", "given_up"]], Meta(max_length=3, description="Empty: whatever their state.")
    ] = []
    rate: Annotated[float, Meta(ge=REPLAY_RATE_MIN, le=RATE_MAX, description="Callbacks a second.")] = 50.0


class RelayAnswerIn(Struct, forbid_unknown_fields=True):
    """What the local program said to one callback; without a status: why it said nothing."""

    id: Id
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    retry_after: Annotated[str, Meta(pattern=r"^[ -~]{0,64}\Z")] | None = None
    body: Annotated[bytes, Meta(max_length=ANSWER_BODY_MAX, description="Of what it answered, the beginning.")] = b""
    error: Annotated[str, Meta(max_length=200)] = ""


# --- going out --------------------------------------------------------------------------------------------------------


class ProblemOut(Struct, omit_defaults=True):
    """What is wrong (RFC 9457). `field`: what it is about; `limit`: the bound that was passed."""

    type: str
    title: str
    status: int
    detail: str = ""
    field: str = ""
    limit: str = ""


class EndpointOut(Struct):
    """Where callbacks go. Secrets are never shown, and extra headers by name only."""

    id: str
    name: str | None
    origin: str
    url: str | None
    state: Literal["healthy", "failing", "open", "disabled"]
    disabled_why: str | None
    disabled_at: str | None
    probe_at: str | None
    profile: Literal["dialect", "standard"]
    concurrency: int | None
    rate: float | None
    header_names: list[str]
    username: str | None
    own_authorities: bool
    client_certificate: bool
    own_secret: bool
    old_secret_until: str | None
    delivered: int
    failed: int
    last_ok_at: str | None
    last_failed_at: str | None
    last_error: str | None
    created_at: str


class EndpointDetailOut(EndpointOut):
    """An endpoint with what waits for it; counted as far as 100 000."""

    pending: int
    due: int
    next_at: str | None


class EndpointPageOut(Struct):
    """A page of endpoints."""

    endpoints: list[EndpointOut]
    next: str | None


class SecretOut(Struct):
    """A new secret, shown once. Until `old_secret_until` the one before signs beside it."""

    id: str
    secret: str
    old_secret_until: str | None


class SampleOut(Struct):
    """One signed sample: what was posted, what came back. Nothing of it is kept."""

    url: str
    headers: list[tuple[str, str]]
    body: str
    status: int | None
    answer: str
    error: str | None
    elapsed_ms: int
    taken: bool
    meaning: str


class CallbackOut(Struct):
    """A callback as it stands. `id`: also its `webhook-id`, when it was posted alone."""

    id: str
    endpoint: str
    batch_id: str
    message_id: str | None
    status: str | None
    tells: Literal["message", "summary", "full", "notice"]
    dialect: str
    url: str
    state: Literal["pending", "done", "given_up"]
    created_at: str
    attempts: int
    next_attempt_at: str | None
    first_failed_at: str | None
    last_at: str | None
    last_status_code: int | None
    last_error: str | None
    last_elapsed_ms: int | None
    being_posted: bool


class AttemptOut(Struct):
    """One try. Secrets and signatures in its headers are masked; the body is gone once retention has ended."""

    at: str
    status_code: int | None
    error: str | None
    elapsed_ms: int
    headers: list[tuple[str, str]]
    body_hash: str
    body: str
    answer: str


class CallbackDetailOut(CallbackOut):
    """A callback with its attempts, oldest first."""

    history: list[AttemptOut]


class CallbackPageOut(Struct):
    """A page of callbacks, newest first; it may be short, even empty, and have a `next`."""

    callbacks: list[CallbackOut]
    next: str | None


class ReplayOut(Struct):
    """A replay. `progress`: 0 to 1. `skipped`: were being posted just then."""

    id: str
    endpoint: str | None
    states: list[Literal["pending", "done", "given_up"]]
    since: str | None
    until: str | None
    rate: float
    state: Literal["running", "done", "cancelled"]
    created_at: str
    progress: float
    replayed: int
    skipped: int


class ReplayPageOut(Struct):
    """Replays, newest first."""

    replays: list[ReplayOut]


class EventOut(Struct):
    """One change of a message's status, in nobody's dialect (docs/status.md)."""

    cursor: str
    seq: int
    message_id: str
    batch_id: str
    recipient: str
    status: str
    reason: str
    final: bool
    at: str
    done_at: str | None
    error: dict[str, Any]
    parts: int
    notes: list[str]
    client_reference: str | None
    client_id: str | None
    batch_client_id: str | None


class EventPageOut(Struct):
    """What changed, in the order of the commits. Go on from `cursor`, at once when there is `more`."""

    events: list[EventOut]
    cursor: str
    more: bool


class NoticeOut(Struct):
    """Something that the account's owner should know."""

    id: int
    at: str
    kind: str
    subject: str
    detail: str


class NoticePageOut(Struct):
    """A page of notices, newest first."""

    notices: list[NoticeOut]
    next: str | None
