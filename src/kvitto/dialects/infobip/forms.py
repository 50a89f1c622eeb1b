"""The form of an exchange: which version of the API, JSON or XML; bodies into shapes, shapes into answers.

Docs: docs/dialects/infobip.md 1 (content negotiation). Must not know: what a shape means. Next:
``kvitto.dialects.infobip.xml``, ``kvitto.dialects.infobip.wire``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kvitto.dialects.base import Answer, Call
from kvitto.dialects.infobip import xml
from kvitto.dialects.infobip.wire import ENCODER

__all__ = ["JSON", "JSON_TYPES", "XML", "XML_TYPES", "Form", "answer", "form_of"]

JSON: Final = "application/json;charset=UTF-8"
XML: Final = "application/xml;charset=UTF-8"
JSON_TYPES: Final = frozenset({"", "application/json", "text/json"})
"""Content types that are read as JSON; a client that names none means it."""
XML_TYPES: Final = frozenset({"application/xml", "text/xml"})

_VERSION: Final = re.compile(r"(?:/[^/]*)*?/sms/([1-9])(?:/|$)")


class Form(NamedTuple):
    """How a caller is answered: the version whose shapes it reads, and whether it wants XML."""

    version: int
    xml: bool


_V1: Final = Form(1, False)
_FORMS: Final[Mapping[tuple[int, bool], Form]] = {
    (version, wants): Form(version, wants) for version in (1, 2, 3) for wants in (False, True)
}


def form_of(call: Call | None) -> Form:
    """Return how this caller is answered; a path that is of no version is answered as version 1 is."""
    if call is None:
        return _V1
    found = _VERSION.match(call.path)
    version = int(found[1]) if found else 1
    return _FORMS[version if version in (2, 3) else 1, _wants_xml(call.headers.get("accept", ""))]


def _wants_xml(accept: str) -> bool:
    """XML only for those who ask for it and not for JSON."""
    accept = accept.lower()
    return "json" not in accept and any(kind in accept for kind in XML_TYPES)


def answer(
    form: Form,
    status: int,
    root: str,
    body: Any,
    headers: tuple[tuple[str, str], ...] = (),
    handing: int | None = None,
    encode: Callable[[Any], bytes] = ENCODER.encode,
) -> Answer:
    """Write a shape as the caller wants it; ``root``: the element's name in XML."""
    if form.xml:
        return Answer(status, xml.write(root, body), XML, headers, handing)
    return Answer(status, encode(body), JSON, headers, handing)
