"""The settings of an endpoint as ``kvitto endpoint set`` takes them: ``KEY=VALUE``, or ``KEY=@FILE`` for its content.

The empty text clears the setting. Next: ``kvitto.core.fields`` (name, meaning and shape of each),
``kvitto.cli.endpoint``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kvitto.core.errors import BadInput
from kvitto.core.fields import ENDPOINT_FIELDS

__all__ = ["FIELDS", "read_changes"]

_FILE_CHARACTERS: Final = 65_536

FIELDS: Final = ENDPOINT_FIELDS


def read_changes(assignments: Sequence[str]) -> dict[str, object]:
    """Read ``KEY=VALUE`` texts. Raises: BadInput naming key and shape; values that may be secret are not repeated."""
    changes: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        field = FIELDS.get(key)
        if field is None:
            raise BadInput(key, f"no such setting; there are {', '.join(FIELDS)}")
        if not equals:
            raise BadInput(key, f"wanted {key}=VALUE ({field.shape}); {key}= clears it")
        if text.startswith("@"):
            text = _read_file(key, Path(text[1:]))
        try:
            changes[key] = field.read(text.strip()) if text.strip() else field.cleared
        except ValueError as wrong:
            raise BadInput(key, f"wanted {wrong}") from None
    return changes


def _read_file(key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput(key, f"{path} cannot be read: {wrong}") from None
    if len(text) > _FILE_CHARACTERS:
        raise BadInput(key, f"{path} has {len(text)} characters; the limit is {_FILE_CHARACTERS}")
    return text
