"""XML in and out, for the shapes that JSON has too (docs/dialects/infobip.md 3.7).

In: an element's children are the fields of a shape, a list is an element around its items, whatever those are called;
the root's name is not looked at. What an element means follows from the shape's types alone, so that JSON and XML are
judged by the same rules afterwards. Anything that could make a parser fetch or unfold (a DOCTYPE, an entity declared,
a reference to one) is refused, as are depth and number of elements beyond any real request.

Out: the same in reverse, an item named by its list. Must not know: what the fields mean. Next:
``kvitto.dialects.infobip.forms``.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec
from msgspec import inspect

__all__ = ["XmlError", "read", "write"]

DEPTH_MAX: Final = 16
ELEMENTS_MAX: Final = 200_000
"""10 000 destinations have four elements each at most."""


class XmlError(Exception):
    """Not the XML that is taken here; the words say why."""


class _Element:
    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: list[_Element] = []


class _Reader:
    """Builds the tree; every event that is not plainly elements and text ends the reading."""

    def __init__(self) -> None:
        self.root: _Element | None = None
        self._open: list[_Element] = []
        self._count = 0

    def start(self, name: str, _attributes: object) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX:
            raise XmlError(f"more than {ELEMENTS_MAX} elements")
        if len(self._open) >= DEPTH_MAX:
            raise XmlError(f"elements more than {DEPTH_MAX} deep")
        element = _Element(name.rpartition(":")[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text.append(data)

    def refuse(self, *_: object) -> int:
        raise XmlError("a DOCTYPE or entity is not taken")


def _parse(body: bytes) -> _Element:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.UnparsedEntityDeclHandler = reader.refuse
    parser.ExternalEntityRefHandler = reader.refuse
    parser.SkippedEntityHandler = reader.refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):  # an unknown encoding is a LookupError
        raise XmlError("the body is not well-formed XML") from None
    if reader.root is None:
        raise XmlError("the body is not well-formed XML")
    return reader.root


def read(body: bytes, shape: type[msgspec.Struct]) -> Any:
    """Return the tree as dicts, lists and strings, ready for ``msgspec.convert(..., strict=False)`` into ``shape``.

    An empty element means an empty list, object or string, as its type has it. Raises: XmlError.
    """
    return _object(_parse(body), _fields(shape))


@lru_cache(maxsize=64)
def _fields(shape: type[msgspec.Struct]) -> Mapping[str, inspect.Type]:
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field.type for field in info.fields}


def _object(element: _Element, fields: Mapping[str, inspect.Type]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element.children:
        kind = fields.get(child.name)
        if kind is not None:
            found[child.name] = _value(child, kind)
    return found


def _value(element: _Element, kind: inspect.Type) -> Any:
    choices = [_plain(one) for one in (kind.types if isinstance(kind, inspect.UnionType) else (kind,))]
    lists = [one for one in choices if isinstance(one, inspect.ListType)]
    objects = [one for one in choices if isinstance(one, inspect.StructType)]
    scalar = any(not isinstance(one, inspect.ListType | inspect.StructType | inspect.NoneType) for one in choices)
    if lists and (element.children or not scalar):
        return [_value(child, lists[0].item_type) for child in element.children]
    if objects and (element.children or not scalar):
        return _object(element, _fields(objects[0].cls))
    if any(isinstance(one, inspect.AnyType) for one in choices):
        return _anything(element)
    text = "".join(element.text)
    return text if any(isinstance(one, inspect.StrType) for one in choices) else text.strip()


def _plain(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _anything(element: _Element) -> Any:
    if not element.children:
        return "".join(element.text)
    return {child.name: _anything(child) for child in element.children}


# --- out -------------------------------------------------------------------------------------------------------------

_ITEMS: Final[Mapping[str, str]] = {
    "messages": "message",
    "results": "result",
    "violations": "violation",
    "resources": "resource",
}
_NEVER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped; U+FFFD stands for it."""


def write(root: str, value: Any) -> bytes:
    """Return a shape as XML, without a declaration: a receiver may look for ``<`` and the root's name (section 7)."""
    out: list[str] = []
    _write(out, root, msgspec.to_builtins(value))
    return "".join(out).encode("utf-8", "replace")


def _write(out: list[str], name: str, value: Any) -> None:
    if isinstance(value, dict):
        inner: list[str] = []
        for key, one in value.items():
            if key == "validationErrors":
                _write_validation(inner, one)
            else:
                _write(inner, key, one)
    elif isinstance(value, list):
        inner = []
        for one in value:
            _write(inner, _ITEMS.get(name, name), one)
    else:
        inner = [_text(value)]
    content = "".join(inner)
    out.append(f"<{name}>{content}</{name}>" if content else f"<{name}/>")


def _write_validation(out: list[str], errors: Mapping[str, list[str]]) -> None:
    """Fields have names such as ``messages[0].to``, which no element can have: they become an attribute."""
    inner = "".join(
        f'<field name="{escape(_NEVER.sub("�", name), {chr(34): "&quot;"})}">{_text(text)}</field>'
        for name, texts in errors.items()
        for text in texts
    )
    out.append(f"<validationErrors>{inner}</validationErrors>")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A bare carriage return would come out of the receiver's parser as a line feed.
    return escape(_NEVER.sub("�", str(value)), {"\r": "&#13;"})
