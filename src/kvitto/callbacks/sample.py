"""One signed sample, posted now and kept nowhere: what ``kvitto endpoint test`` and the API's test do.

Rendered, signed and judged as any callback to this endpoint would be. Must not know: stores, HTTP in. Next:
``kvitto.core.sample``, ``kvitto.callbacks.outbox``.
"""

from base64 import b64encode
from collections.abc import Mapping

from kvitto.callbacks import standard
from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.post import CallbackClient, header_lines
from kvitto.callbacks.signing import RESERVED, callback_lines
from kvitto.callbacks.tls import EndpointTls, tls_problem
from kvitto.core.clock import Clock
from kvitto.core.endpoint import Endpoint, Profile, secrets_of
from kvitto.core.ids import new_nonce
from kvitto.core.model import Account, CallbackDue
from kvitto.core.sample import Sample, sample_due
from kvitto.dialects.base import Dialect, RetryDecision

__all__ = ["Sampler", "setting_problem"]

_JSON = ("Content-Type", "application/json")


class Sampler:
    """Posts samples. ``allow_private``: the setting that opens private addresses to every account."""

    def __init__(
        self, client: CallbackClient, dialects: Mapping[str, Dialect], clock: Clock, *, allow_private: bool = False
    ) -> None:
        self._client = client
        self.dialects = dialects
        self._clock = clock
        self._allow_private = allow_private

    async def sample(self, account: Account, endpoint: Endpoint, dialect: str, status: str) -> Sample:
        """Post one to the endpoint's own URL. Raises: KeyError for a dialect or status that is none."""
        now = self._clock.now()
        due = sample_due(account.id, dialect, endpoint.url or endpoint.origin, status, now)
        speaks = self.dialects[dialect]
        body = speaks.render((due,), account)
        fields = _fields(_lines(speaks, due, body, account, endpoint, now))
        policy = AddressPolicy.of(
            (*account.allow_callbacks_to, *endpoint.allow_callbacks_to), allow_private=self._allow_private
        )
        standards = endpoint.profile is Profile.STANDARD
        timeout_s = standard.TIMEOUT_S if standards else speaks.callback_timeout_s
        wire = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        result = await self._client.post(due.url, wire, body, policy=policy, timeout_s=timeout_s, tls=_tls(endpoint))
        code = result.status if result.failure is None else None
        if standards:
            decision = standard.judge(due, code, None, now)
        else:
            decision = speaks.judge(due, account, code, result.body, None, now)
        error = None if result.failure is None else f"{result.failure.value}: {result.detail}"
        shown = tuple((name, "***" if name == "Authorization" else value) for name, value in fields)
        meaning = _meaning(decision, now)
        return Sample(due.url, shown, body, code, result.body, error, result.elapsed_ms, decision.done, meaning)


def _lines(dialect: Dialect, due: CallbackDue, body: bytes, account: Account, endpoint: Endpoint, now: int) -> bytes:
    secrets = secrets_of(endpoint, account, now)
    fields = dialect.headers(due, body, account, secret=secrets[-1], nonce=new_nonce(), now=now)
    if all(name.lower() != "content-type" for name, _ in fields):
        fields = [*fields, _JSON]
    fields = [*fields, *endpoint.headers]
    if endpoint.username is not None:
        pair = f"{endpoint.username}:{endpoint.password or ''}".encode()
        fields.append(("Authorization", "Basic " + b64encode(pair).decode()))
    return header_lines(fields) + callback_lines((due,), body, secrets, now)


def _fields(lines: bytes) -> list[tuple[str, str]]:
    parted = (line.partition(": ") for line in lines.decode("latin-1").split("\r\n") if line)
    return [(name, value) for name, _, value in parted]


def _tls(endpoint: Endpoint) -> EndpointTls | None:
    if endpoint.ca_pem is None and endpoint.client_cert_pem is None:
        return None
    return EndpointTls(
        ca_pem=endpoint.ca_pem, client_cert_pem=endpoint.client_cert_pem, client_key_pem=endpoint.client_key_pem
    )


def _meaning(decision: RetryDecision, now: int) -> str:
    if decision.done:
        return "taken: such a callback would be done"
    if decision.gone:
        return "gone: the endpoint would be disabled, and what waits for it kept"
    if decision.retry_at is None:
        return "refused: such a callback would be given up at once"
    return f"not taken: such a callback would be tried again after {(decision.retry_at - now) / 1000:g} s"


def setting_problem(settings: Mapping[str, object]) -> tuple[str, str] | None:
    """Say what is wrong with an endpoint's settings, as (field, words); None when they can be used."""
    headers = settings.get("headers") or ()
    assert isinstance(headers, tuple)
    for name, _ in headers:
        if name.lower() in RESERVED:
            return "headers", f"{name}: every callback has this field of its own"
        if name.lower() == "authorization":
            return "headers", f"{name}: give username and password, which are kept sealed"
    tls = {name: settings.get(name) for name in ("ca_pem", "client_cert_pem", "client_key_pem")}
    if any(tls.values()):
        problem = tls_problem(EndpointTls(**tls))  # type: ignore[arg-type]  # texts or None, as the shapes say
        if problem is not None:
            field, _, words = problem.partition(": ")
            return field.split(",")[0], words
    return None
