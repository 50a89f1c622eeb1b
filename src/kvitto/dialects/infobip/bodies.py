"""Bodies into shapes: JSON and XML alike, and what is said of those that do not fit (docs/dialects/infobip.md 1, 8).

Must not know: what a shape means. Next: ``kvitto.dialects.infobip.wire``, ``kvitto.dialects.infobip.xml``.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from kvitto.dialects.base import Call
from kvitto.dialects.infobip import xml
from kvitto.dialects.infobip.errors import Invalid, Unsupported
from kvitto.dialects.infobip.forms import JSON_TYPES, XML_TYPES

__all__ = ["decode", "refuse_nul"]

_Shape = TypeVar("_Shape", bound=msgspec.Struct)

_NUL_ESCAPE: Final = b"\\u0000"
_TYPE_WORD: Final = re.compile(r"`([^`]*)`")
_TYPE_WORDS: Final[Mapping[str, str]] = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def decode(shape: type[_Shape], call: Call) -> _Shape:
    """Return the typed body. Raises: Unsupported for another content type, Invalid for what does not fit."""
    if call.content_type in JSON_TYPES:
        return _decode_json(shape, call.body)
    if call.content_type in XML_TYPES:
        return _decode_xml(shape, call.body)
    raise Unsupported


@cache
def _decoder(shape: type[_Shape]) -> msgspec.json.Decoder[_Shape]:
    return msgspec.json.Decoder(shape)


def _decode_json(shape: type[_Shape], body: bytes) -> _Shape:
    try:
        given: _Shape = _decoder(shape).decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(error, _json_is_whole(body), "JSON") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("", "the body is not valid JSON") from None
    if _NUL_ESCAPE in body:
        refuse_nul("", msgspec.to_builtins(given))
    return given


def _json_is_whole(body: bytes) -> bool:
    """The decoder stops at whichever comes first, a wrong type or broken JSON: the latter is the thing to say."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _decode_xml(shape: type[_Shape], body: bytes) -> _Shape:
    try:
        return msgspec.convert(xml.read(body, shape), shape, strict=False)
    except xml.XmlError as error:
        raise Invalid("", str(error)) from None
    except msgspec.ValidationError as error:
        raise _misfit(error, True, "XML") from None


def _misfit(error: msgspec.ValidationError, whole: bool, form: str) -> Invalid:
    if not whole:
        return Invalid("", f"the body is not valid {form}")
    words, _, path = str(error).partition(" - at `$")
    if words.startswith("Invalid enum value"):
        words = "is not one of the values allowed"
    words = words.replace("Expected", "must be").partition(", got")[0]
    field = path.rstrip("`").lstrip(".")
    return Invalid(field, _TYPE_WORD.sub(_plain_types, words)[:1].lower() + _TYPE_WORD.sub(_plain_types, words)[1:])


def _plain_types(found: re.Match[str]) -> str:
    words = [_TYPE_WORDS.get(word, word) for word in found[1].split(" | ") if word != "null"]
    return " or ".join(words) or "null"


def refuse_nul(field: str, value: Any) -> None:
    """U+0000 fits no SMS alphabet and no database text column: a string with it is refused, whichever field it is."""
    if isinstance(value, str):
        if "\0" in value:
            raise Invalid(field, "must not hold U+0000")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            refuse_nul(field, key)
            refuse_nul(f"{field}.{key}" if field else str(key), inner)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            refuse_nul(f"{field}[{at}]", inner)
