"""The stream that ``kvitto listen`` reads: one JSON object a line (NDJSON), callbacks octet for octet inside.

The first line is ``hello`` and names the relay; then ``callback`` lines, and a ``ping`` now and then. Answers come back
by a request of their own (``answer_relay``), in any order. Next: ``kvitto.core.relay``.
"""

from collections.abc import AsyncGenerator
from typing import Literal

import msgspec

from kvitto.core.model import Account
from kvitto.core.relay import RelayDesk, RelayedAnswer
from kvitto.intake.api.wire import RelayAnswerIn

__all__ = ["CallbackLine", "HelloLine", "PingLine", "lines", "relayed_answer"]


class HelloLine(msgspec.Struct):
    """The stream stands. ``everything``: callbacks to other URLs than the account's own come, too."""

    relay: str
    account: str
    callback_url: str | None
    everything: bool
    type: Literal["hello"] = "hello"


class CallbackLine(msgspec.Struct):
    """One callback; ``body`` is Base64."""

    id: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout_s: float
    type: Literal["callback"] = "callback"


class PingLine(msgspec.Struct):
    """Nothing happened."""

    type: Literal["ping"] = "ping"


async def lines(desk: RelayDesk, account: Account, relay: str, everything: bool) -> AsyncGenerator[bytes, None]:
    """Yield the stream's lines until it is closed from either end."""
    posts = desk.listen(account.id, relay, everything=everything)
    greeted = False
    try:
        async for post in posts:
            if post is not None:
                yield _line(CallbackLine(post.id, post.url, post.headers, post.body, post.timeout_s))
            elif greeted:
                yield _line(PingLine())
            else:  # the first step: from now on callbacks come here
                greeted = True
                yield _line(HelloLine(relay, account.name, account.callback_url, everything))
    finally:
        if isinstance(posts, AsyncGenerator):
            await posts.aclose()


def relayed_answer(said: RelayAnswerIn) -> RelayedAnswer:
    """What the listener said, as the sender takes it."""
    if said.status is None:
        return RelayedAnswer(None, error=said.error or "the local program did not answer")
    headers = () if said.retry_after is None else (("retry-after", said.retry_after),)
    return RelayedAnswer(said.status, headers, said.body)


def _line(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"
