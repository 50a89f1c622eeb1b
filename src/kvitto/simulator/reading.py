"""Reading a scenario: the file, rules laid over the default, and problems told with key, value and reason.

Nothing is guessed: an unknown key or a value that makes no sense stops the start, and every problem is told at once.
Must not know: what a scenario does (``script.py``). Read next: ``scenario.py``, the keys.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from kvitto.core.errors import SettingsError, SettingsProblem
from kvitto.simulator.scenario import Scenario, Treatment

__all__ = ["make_scenario", "read_scenario"]

_MODEL_TYPES: Final = frozenset({"model_type", "dict_type", "model_attributes_type"})
_KINDS: Final = frozenset({"fixed", "uniform", "lognormal"})
_LONGEST_VALUE: Final = 200


def read_scenario(path: Path) -> Scenario:
    """Read a scenario from a TOML file. Raises: SettingsError with every problem found."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _file_problem(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:  # Not only its own: a number of 5 000 digits is a plain one.
        raise _file_problem(path, f"no TOML: {error}") from None
    return make_scenario(table, source=f"file {path}")


def make_scenario(table: Mapping[str, Any], *, source: str = "scenario") -> Scenario:
    """Make a scenario of a table as TOML gives it; ``source`` names it in problems. Raises: SettingsError."""
    tree = dict(table)
    default = tree.get("default", {})
    if isinstance(default, dict) and isinstance(tree.get("rules"), list):
        try:
            Treatment.model_validate_json(json.dumps(default, default=str))
        except ValidationError:
            default = {}  # Its problems are told once, not again by every rule.
        tree["rules"] = [_laid_over(default, rule) for rule in tree["rules"]]
    try:
        # As JSON, since strict models take a list for a tuple only from there.
        return Scenario.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise SettingsError([_problem(dict(detail), table, source) for detail in error.errors()]) from None


def _laid_over(default: Mapping[str, Any], rule: object) -> object:
    """A rule with what it does not say taken from the default: tables key by key, lists as a whole."""
    if not isinstance(rule, dict):
        return rule
    whole = {**default, **rule}
    for key, value in default.items():
        said = rule.get(key)
        # A delay is one thing: two kinds of them laid over each other make none.
        if key != "delay" and isinstance(value, dict) and isinstance(said, dict):
            whole[key] = _laid_over(value, said)
    return whole


def _problem(detail: dict[str, Any], table: Mapping[str, Any], source: str) -> SettingsProblem:
    """One of pydantic's findings, in our words."""
    path = [step for step in detail["loc"] if not (isinstance(step, str) and (step in _KINDS or "[" in step))]
    reason = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = detail["input"]
    if detail["type"] == "extra_forbidden":
        reason = f"no such key{_meant(path)}"
    elif detail["type"] == "missing":
        reason, value = "must be given", ""
    elif detail["type"] in _MODEL_TYPES:
        reason = "is a table, with keys of its own"
    elif detail["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        reason = 'is a table with kind = "fixed", "uniform" or "lognormal"'
    key = ".".join(map(str, path)) or "the file"
    return SettingsProblem(key=key, value=_shown(value), reason=reason, source=source)


def _shown(value: object) -> str:
    if value in ("", None):
        return '""'
    if isinstance(value, Mapping):
        return "{...}"
    return json.dumps(value, ensure_ascii=False, default=str)[:_LONGEST_VALUE]


def _meant(path: list[Any]) -> str:
    """A hint at the nearest real key of the table that holds the unknown one."""
    model: Any = Scenario
    for step in path[:-1]:
        if isinstance(step, str) and model is not None:
            model = _model_in(model.model_fields[step].annotation) if step in model.model_fields else None
    if model is None:
        return ""
    near = difflib.get_close_matches(str(path[-1]), model.model_fields, n=1)
    return f"; {near[0]} is one" if near else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model that a key's type holds, by itself or in a list; None for none or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = {model for inner in get_args(annotation) if (model := _model_in(inner)) is not None}
    return found.pop() if len(found) == 1 else None


def _file_problem(path: Path, reason: str) -> SettingsError:
    return SettingsError([SettingsProblem(key="scenario", value=str(path), reason=reason, source="file")])
