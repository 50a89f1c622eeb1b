"""Callbacks: the sender, its HTTP client, the relay to listeners, and what posts a signed sample.

Must not know who admits messages or who looks at them. Next: ``kvitto.callbacks``.
"""

from functools import partial
from typing import Final, NamedTuple

from kvitto import __version__
from kvitto.app.common import Common
from kvitto.app.dialects import dialects_of
from kvitto.callbacks.notices import NoticeVoice
from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import CallbackClient, PostLimits, PostRequest
from kvitto.callbacks.relay import Relay
from kvitto.callbacks.sample import Sampler
from kvitto.core.clock import Clock
from kvitto.core.model import Account
from kvitto.dialects.base import Voice
from kvitto.settings import Settings
from kvitto.store import Store

__all__ = ["USER_AGENT", "Callbacks", "callback_client", "sampler", "start_callbacks", "start_sampler"]

USER_AGENT: Final = f"Kvitto/{__version__}"


class Callbacks(NamedTuple):
    """What the start makes of callbacks. ``relay`` is not a service yet: it is stopped before HTTP is."""

    client: CallbackClient
    relay: Relay
    outbox: Outbox


def callback_client(settings: Settings, clock: Clock) -> CallbackClient:
    """Return an HTTP client for callbacks, within the settings' bounds."""
    wanted = settings.callbacks
    limits = PostLimits(connect_timeout_s=wanted.connect_s, read_bytes=wanted.response_limit_bytes)
    return CallbackClient(clock=clock, limits=limits, user_agent=USER_AGENT)


def sampler(settings: Settings, clock: Clock, client: CallbackClient) -> Sampler:
    """Return what posts one signed sample."""
    dialects = {dialect.name: dialect for dialect in dialects_of(settings)}
    return Sampler(client, dialects, clock, allow_private=settings.callbacks.allow_private)


def start_callbacks(common: Common, store: Store) -> Callbacks:
    """Start to post what the outbox holds."""
    wanted, clock = common.settings.callbacks, common.clock
    client = callback_client(common.settings, clock)
    voices: list[Voice] = [*common.dialects, NoticeVoice()]
    relay = Relay(client, _owner_of, clock, user_agent=USER_AGENT)
    outbox = Outbox(
        store,
        relay,
        {voice.name: voice for voice in voices},
        partial(_account_by_id, store),
        clock,
        limits=OutboxLimits(
            per_endpoint=wanted.concurrency_per_endpoint,
            in_flight=wanted.max_connections,
            stop_s=common.settings.server.stop_s,
        ),
        allow_private=wanted.allow_private,
    )
    common.services.add("callback client", client.stop)
    outbox.start()
    common.services.add("callbacks", outbox.stop)
    return Callbacks(client, relay, outbox)


def start_sampler(common: Common) -> Sampler:
    """Return the API's sampler, with a client of its own, so that no pool is shared with callbacks."""
    client = callback_client(common.settings, common.clock)
    common.services.add("sampling client", client.stop)
    return sampler(common.settings, common.clock, client)


def _owner_of(request: PostRequest) -> Account | None:
    """Whose callback the outbox posts."""
    account = getattr(request, "account", None)
    return account if isinstance(account, Account) else None


async def _account_by_id(store: Store, account_id: str) -> Account | None:
    found = await store.find_account(id=account_id)
    return None if found is None else found[0]
