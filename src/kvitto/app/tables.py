"""Tables that the operator brings: networks and prices. Given, the demo's own, or none; a wrong one stops the start.

Must not know who asks them. Next: ``core.numbering``, ``core.pricing``.
"""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from kvitto.core.errors import SettingsError, SettingsProblem
from kvitto.core.numbering import Numbering, read_numbering
from kvitto.core.pricing import Pricing, read_pricing
from kvitto.core.tables import BadTable
from kvitto.settings import Settings

__all__ = ["read_numbering_table", "read_price_list", "read_tables"]

_Table = TypeVar("_Table")


def read_tables(settings: Settings) -> tuple[Numbering | None, Pricing]:
    """Return the numbering table and the price list. Raises: SettingsError with what is wrong in either."""
    problems: list[SettingsProblem] = []
    numbering, pricing = None, Pricing()
    try:
        numbering = read_numbering_table(settings)
    except SettingsError as wrong:
        problems.extend(wrong.problems)
    try:
        pricing = read_price_list(settings)
    except SettingsError as wrong:
        problems.extend(wrong.problems)
    if problems:
        raise SettingsError(problems)
    return numbering, pricing


def read_numbering_table(settings: Settings) -> Numbering | None:
    """Return ``[numbering] file``, or the demo's small one; None without either.

    Raises: SettingsError with file, line, field, value and reason.
    """
    return _read_table("numbering.file", settings.numbering.file, settings, "numbering.csv", read_numbering)


def read_price_list(settings: Settings) -> Pricing:
    """Return ``[pricing]``, or the demo's small list. Raises: SettingsError, as ``read_numbering_table``."""
    wanted = settings.pricing

    def read(text: str) -> Pricing:
        return read_pricing(text, wanted.default_price, wanted.currency)

    found = _read_table("pricing.file", wanted.file, settings, "pricing.csv", read)
    return found or Pricing(None, wanted.default_price, wanted.currency)


def _read_table(
    key: str, path: Path | None, settings: Settings, of_demo: str, read: Callable[[str], _Table]
) -> _Table | None:
    try:
        if path is not None:
            return read(path.read_text(encoding="utf-8"))
        if settings.demo.enabled:
            return read((files("kvitto") / "demo" / of_demo).read_text(encoding="utf-8"))
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
    except UnicodeDecodeError as wrong:
        reason = f"octet {wrong.start} is no UTF-8"
    except BadTable as wrong:
        reason = str(wrong)
    else:
        return None
    raise SettingsError(
        [SettingsProblem(key=key, value=json.dumps(str(path)), reason=reason, source=settings.source_of(key))]
    )
