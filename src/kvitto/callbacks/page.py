"""The made parts of docs/callbacks.md: schedules, what answers mean, the example of a signature.

Each is what the code does that runs: the schedules come of asking ``judge`` after every failed try. The rest of the
page is written by people; a made part stands between two comments that name it.

Must not know: the sender. Next: docs/callbacks.md, ``kvitto.callbacks.signing``, the dialects' ``judge``.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from kvitto.callbacks import standard
from kvitto.callbacks.signing import callback_lines
from kvitto.core.model import Account, CallbackDue, ContentKind, MessageView
from kvitto.core.status import NO_ERROR, Note, Reason, Status
from kvitto.dialects.base import Dialect, RetryDecision
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import SinchDialect

__all__ = ["PARTS", "document"]

_AT: Final = 1_773_065_100_250
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's own example
_ACCOUNT: Final = Account(id="a", name="shop", service_plan_id="plan", username="shop")
_FACTS: Final = MessageView(
    id="01KK93JFHT000000000000001",
    batch_id="01KK93JFHT000000000000000",
    account_id="a",
    recipient="46701740611",
    status=Status.DELIVERED,
    reason=Reason.DELIVERED,
    since_at=_AT - 1_000,
    done_at=_AT - 2_000,
    error=NO_ERROR,
    parts=1,
    notes=Note.NONE,
    created_at=_AT - 9_000,
    client_reference="order-118",
    kind=ContentKind.TEXT,
    max_parts=None,
)


def _due(attempts: int, number: int = 7, first_failed_at: int | None = None) -> CallbackDue:
    return CallbackDue(number, "a", "sinch", "https://shop.example/dlr", _FACTS, False, attempts, _AT, first_failed_at)


class _Profile(NamedTuple):
    """``judge``: (due, status code, body, Retry-After in s, now) -> what it means."""

    name: str
    timeout_s: float
    judge: Callable[[CallbackDue, int | None, bytes, float | None, int], RetryDecision]


def _of(dialect: Dialect, name: str) -> _Profile:
    def judge(due: CallbackDue, status: int | None, body: bytes, after_s: float | None, now: int) -> RetryDecision:
        return dialect.judge(due, _ACCOUNT, status, body, after_s, now)

    return _Profile(name, dialect.callback_timeout_s, judge)


_PROFILES: Final = (
    _of(SinchDialect(), "Sinch"),
    _of(InfobipDialect(), "Infobip"),
    _of(NinebitsDialect(), "9bits"),
    _Profile(
        "standard",
        standard.TIMEOUT_S,
        lambda due, status, body, after_s, now: standard.judge(due, status, after_s, now),
    ),
)


# --- schedules ------------------------------------------------------------------------------------------------------

_SAMPLES: Final = range(1, 400)
_MOST_TRIES: Final = 100


def _offsets(profile: _Profile, number: int) -> list[int]:
    """Milliseconds from the first try, which fails at once, to each retry of one callback, all of which fail."""
    offsets: list[int] = []
    for attempts in range(_MOST_TRIES):
        now = _AT + (offsets[-1] if offsets else 0)
        retry_at = profile.judge(_due(attempts, number, _AT), 500, b"", None, now).retry_at
        if retry_at is None:
            break
        offsets.append(retry_at - _AT)
    return offsets


def _duration(milliseconds: float) -> str:
    """``5 s``, ``2 h 35 min 5 s``, ``41 h 30 min``."""
    seconds = round(milliseconds / 1000)
    shown = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in shown if count) or "0 s"


def _schedules() -> str:
    lines = [
        "| Retry | " + " | ".join(profile.name for profile in _PROFILES) + " |",
        "| --- |" + " --- |" * len(_PROFILES),
    ]
    columns, jitters = [], []
    for profile in _PROFILES:
        samples = [_offsets(profile, number) for number in _SAMPLES]
        earliest = [min(times) for times in zip(*samples, strict=True)]
        latest = [max(times) for times in zip(*samples, strict=True)]
        columns.append(earliest)
        jitters.append(max(round((last / first - 1) * 10) * 10 for first, last in zip(earliest, latest, strict=True)))
    for retry in range(max(map(len, columns))):
        cells = [_duration(_plain(column[retry])) if retry < len(column) else "" for column in columns]
        lines.append(f"| {retry + 1} | " + " | ".join(cells) + " |")
    tries = " | ".join(str(len(column) + 1) for column in columns)
    added = " | ".join(f"up to {jitter} % later" if jitter else "none" for jitter in jitters)
    waited = " | ".join(f"{profile.timeout_s:g} s" for profile in _PROFILES)
    return "\n".join(
        [*lines, f"| tries in all | {tries} |", f"| jitter | {added} |", f"| one try may take | {waited} |"]
    )


def _plain(earliest_ms: int) -> float:
    """The offset without the little that even the smallest of many jitters adds."""
    second = earliest_ms / 1000
    return round(second / 10) * 10_000 if second >= 30 and earliest_ms % 1000 else earliest_ms


# --- answers --------------------------------------------------------------------------------------------------------

_ANSWERS: Final[tuple[tuple[str, int | None, bytes], ...]] = (
    ('2xx with the body `{"status":200}`', 200, b'{"status":200}'),
    ("2xx with any other body, or none", 204, b""),
    ("3xx: a redirect is not followed", 302, b""),
    ("410", 410, b""),
    ("429", 429, b""),
    ("any other 4xx", 404, b""),
    ("5xx", 503, b""),
    ("no connection, no whole answer in time, no HTTP", None, b""),
)


def _meaning(decision: RetryDecision) -> str:
    if decision.done:
        return "**done**"
    if decision.retry_at is None:
        return "never again"
    if decision.gone:
        return "the endpoint is disabled"
    return "again, and slower" if decision.slower else "again"


def _answers() -> str:
    lines = [
        "| Your answer | " + " | ".join(one.name for one in _PROFILES) + " |",
        "| --- |" + " --- |" * len(_PROFILES),
    ]
    for words, status, body in _ANSWERS:
        cells = [_meaning(one.judge(_due(0), status, body, None, _AT)) for one in _PROFILES]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    for status in (429, 503):
        cells = [_kept(one, status) for one in _PROFILES]
        lines.append(f"| `Retry-After: N` with a {status} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _kept(profile: _Profile, status: int) -> str:
    """How ``Retry-After`` counts: the wait it makes, from the shortest to the longest asked for."""

    def wait_ms(asked_s: float) -> int:
        retry_at = profile.judge(_due(0), status, b"", asked_s, _AT).retry_at
        return 0 if retry_at is None else retry_at - _AT

    shortest, some, longest = wait_ms(0), wait_ms(100), wait_ms(10**8)
    if some != 100_000:
        return "not looked at"
    return f"kept, from {_duration(shortest)} to {_duration(longest)}"


# --- the signature --------------------------------------------------------------------------------------------------


def _example() -> str:
    due = _due(0, 4711)
    dialect = SinchDialect()
    body = dialect.render((due,), _ACCOUNT)
    lines = callback_lines((due,), body, (_SECRET,), _AT + 1_000).decode().replace("\r\n", "\n")
    fields = dict(line.split(": ", 1) for line in lines.splitlines())
    content = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.{body.decode()}"
    return "\n".join(
        [
            f"The secret is `{_SECRET}`. The callback, its end being the end of the body:",
            "",
            "```http",
            "POST /dlr HTTP/1.1",
            "Host: shop.example",
            "Content-Type: application/json",
            lines + f"Content-Length: {len(body)}",
            "",
            body.decode(),
            "```",
            "",
            "What is signed, without a line's end:",
            "",
            "```text",
            content,
            "```",
        ]
    )


PARTS: Final[dict[str, Callable[[], str]]] = {"schedules": _schedules, "answers": _answers, "example": _example}
"""The made parts by the name that stands in the page's comments."""


def document(page: str) -> str:
    """Return the page with its made parts made anew. Raises: ValueError when one has no place in it."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: made by `make docs` -->", f"<!-- {name}: end -->"
        before, opened, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise ValueError(f"the page needs a place for {name}")
        page = f"{before}{begin}\n{make()}\n{end}{after}"
    return page
