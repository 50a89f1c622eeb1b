"""Contents, and what messages have of their own, as they stand in the database: JSON without defaults.

A bulk of several texts is one batch: its first text is the batch's, and the messages of the others carry ``Own``
(ADR 0014). Equal JSON is read once: what comes out is shared, and never changed. Must not know: tables.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from kvitto.core.model import Content, ContentKind, DeliveryWindow, Feed, Notify, Own

__all__ = [
    "NOTHING",
    "content_json",
    "own_json",
    "read_content",
    "read_extra",
    "read_own",
    "read_window",
    "window_json",
]

NOTHING: Final[Mapping[str, Any]] = {}

_CONTENT_DEFAULTS: Final = Content()._asdict()
_TEXT_ALONE: Final = Content()[2:]
_json = msgspec.json.Encoder()
_read_fields = msgspec.json.Decoder(dict[str, Any])


def _content_fields(content: Content) -> dict[str, Any]:
    return {name: value for name, value in content._asdict().items() if value != _CONTENT_DEFAULTS[name]}


def content_json(content: Content) -> str:
    """Write a content without its defaults."""
    if content.kind is ContentKind.TEXT and content[2:] == _TEXT_ALONE:  # the common case
        return _json.encode({"text": content.text}).decode()
    return _json.encode(_content_fields(content)).decode()


def read_content(text: str) -> Content:
    """Read a content as stored."""
    return _content_of(_read_fields.decode(text))


def _content_of(fields: dict[str, Any]) -> Content:
    if "kind" in fields:
        fields["kind"] = ContentKind(fields["kind"])
    return Content(**fields)


def window_json(window: DeliveryWindow | None) -> str | None:
    """Write a window; None stays None."""
    return None if window is None else _json.encode(window).decode()


@lru_cache(maxsize=256)
def read_window(text: str | None) -> DeliveryWindow | None:
    """Read a window as stored."""
    return None if text is None else _window_of(msgspec.json.decode(text))


def _window_of(fields: list[Any]) -> DeliveryWindow:
    days, from_minute, to_minute = fields
    return DeliveryWindow(tuple(days), from_minute, to_minute)


def own_json(own: Own) -> str:
    """Write what a message has of its own."""
    fields = own._asdict()
    fields["content"] = _content_fields(own.content)
    return _json.encode({name: value for name, value in fields.items() if value is not None}).decode()


@lru_cache(maxsize=4096)
def read_own(text: str) -> Own:
    """Read what a message has of its own; about 1 KiB of memory for each that is remembered."""
    fields = _read_fields.decode(text)
    return Own(
        fields.get("sender"),
        _content_of(fields["content"]),
        Notify(fields["notify"]),
        fields.get("callback_url"),
        fields.get("client_reference"),
        fields.get("send_at"),
        fields["expire_at"],
        fields["extra"],
        Feed(fields["feed"]),
        _window_of(fields["window"]) if "window" in fields else None,
    )


@lru_cache(maxsize=1024)
def read_extra(text: str) -> Mapping[str, Any]:
    """Read a batch's ``extra``."""
    if text == "{}":
        return NOTHING
    fields: dict[str, Any] = _read_fields.decode(text)
    return fields
