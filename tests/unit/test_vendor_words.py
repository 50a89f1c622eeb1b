"""Vendor words stop at the door: outside a dialect's folder nobody knows its JSON keys.

import-linter sees who imports whom; this test sees who spells what. A key counts when it is made of several words, for
then it is nobody's by chance, and when it is no name of the canonical model's own.
"""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import kvitto.dialects
from kvitto.core import model, operations, status
from kvitto.dialects import base

HOUSE = Path(kvitto.dialects.__file__).parents[1]
DIALECTS = [one.name for one in pkgutil.iter_modules(kvitto.dialects.__path__) if one.ispkg]
COMPOUND = re.compile(r"[a-z]+(_[a-z0-9]+)+|[a-z]+([A-Z][a-z0-9]*)+")

OTHERS_WORDS = {
    # SMPP's own names of a receipt's fields (Appendix B), which 9bits took over.
    "submit_date",
    "done_date",
    # SMPP's name of what a submit_multi answers for each destination (5.2.2).
    "error_code",
}


def canonical() -> set[str]:
    names: set[str] = set()
    for module in (model, operations, status, base):
        for _, thing in inspect.getmembers(module, inspect.isclass):
            names |= set(getattr(thing, "_fields", ()))
            if dataclasses.is_dataclass(thing):
                names |= {field.name for field in dataclasses.fields(thing)}
            if hasattr(thing, "__members__"):
                names |= {str(member.value) for member in thing.__members__.values()}
    return names


def keys(dialect: str) -> set[str]:
    """The compound JSON keys of a dialect's objects that are not words of the house."""
    wire = importlib.import_module(f"kvitto.dialects.{dialect}.wire")
    found = set()
    for _, thing in inspect.getmembers(wire, inspect.isclass):
        if issubclass(thing, msgspec.Struct) and thing.__module__ == wire.__name__:
            found |= {field.encode_name for field in msgspec.structs.fields(thing)}
    return {key for key in found if COMPOUND.fullmatch(key)} - canonical() - OTHERS_WORDS


def spelled(path: Path) -> Iterator[str]:
    """Every name and every whole string of a module, docstrings left out."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg


def test_there_are_three_dialects_with_words_of_their_own():
    assert {"sinch", "infobip", "ninebits"} <= set(DIALECTS)
    assert {"sms_id", "id_smsc", "reference_id"} <= keys("ninebits")
    assert {"bulkId", "messageId", "notifyUrl"} <= keys("infobip")
    assert {"delivery_report", "operator_status_at"} <= keys("sinch")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody_else_spells_a_dialects_keys(dialect):
    words, folder = keys(dialect), HOUSE / "dialects" / dialect
    elsewhere = [path for path in HOUSE.rglob("*.py") if folder not in path.parents]
    own = {other: keys(other) for other in DIALECTS if other != dialect}
    found = {}
    for path in elsewhere:
        room = path.relative_to(HOUSE)
        # A word that two vendors share is each one's own in its own folder.
        shared = own.get(room.parts[1], set()) if room.parts[0] == "dialects" and len(room.parts) > 2 else set()
        if hits := words.intersection(spelled(path)) - shared:
            found[str(room)] = sorted(hits)
    assert not found
