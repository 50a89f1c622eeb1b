"""``docs/configuration.md``, made from the settings themselves, so that it cannot say anything else than they do."""

import json
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from kvitto.settings.model import SECTIONS, Section
from kvitto.settings.showing import shown

__all__ = ["document"]

_INTRODUCTION: Final = """\
# Configuration

<!-- Made from the settings by `make docs`; a test compares. Change src/kvitto/settings/model.py instead. -->

Settings come from, later ones winning:

1. the defaults below: without any setting the server listens on 127.0.0.1:8080, keeps a SQLite file in `./data` and
   sends to its own simulator;
2. a TOML file named with `--config FILE` (none is looked for);
3. environment variables `KVITTO__SECTION__KEY`, such as `KVITTO__HTTP__PORT=9000` and `KVITTO__LINKS__MAIN__HOST=...`.
   A list or table is written there as JSON: `KVITTO__ROUTES='[{"prefix": "46", "link": "main"}]'`. No other `KVITTO_*`
   variable is a setting;
4. the command line (`--data`, `--host`, `--port`, `--demo`).

They are read at the start. A wrong key or value stops it with key, value, source and reason; all problems are told at
once. `kvitto link reload`, or SIGHUP, has a running server read them again: links, routes and `[receipts]` change and
binds of links that stay the same stand; other sections need a restart. Wrong ones are refused, the old ones go on.
`kvitto config show` prints every setting with its value (secrets hidden) and where it came from.
Relative paths start at the working directory.

```toml
[http]
host = "0.0.0.0"
port = 8080

[links.main]
host = "smsc.example.net"
port = 2775
system_id = "example"
bind = "transceiver"
window = 50
rate = 100
time_zone = "Europe/Stockholm"
# The password is better kept out of the file: KVITTO__LINKS__MAIN__PASSWORD=...

[[routes]]
prefix = "46"
link = "main"
```

R numbers are the rules of [rules.md](rules.md).
"""

_TITLES: Final = {"links": "[links.NAME]", "routes": "[[routes]]", "dialects": "[dialects.infobip]"}
_NAMES: Final = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", SecretStr: "secret text"}


def document() -> str:
    """The whole page, in Markdown."""
    return _INTRODUCTION + "".join(_section(name, model) for name, model in SECTIONS.items())


def _section(name: str, model: type[Section]) -> str:
    lines = [
        f"\n## {_TITLES.get(name, f'[{name}]')}\n",
        f"{(model.__doc__ or '').strip()}\n",
        "| Key | Type | Default | Effect |",
        "| --- | --- | --- | --- |",
    ]
    lines += [_row(key, field) for key, field in model.model_fields.items()]
    return "\n".join(lines) + "\n"


def _row(key: str, field: FieldInfo) -> str:
    effect = " ".join((field.description or "").split())
    cells = (f"`{key}`", f"{_type(field.annotation)}{_bounds(field)}", _default(field), effect)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(annotation: Any) -> str:
    """A type in an operator's words."""
    if annotation in _NAMES:
        return _NAMES[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _choice(tuple(annotation))
    if origin is Literal:
        return _choice(arguments)
    if origin in (Union, UnionType) or annotation is Path:
        return "path"
    return "list" if origin is tuple else "table"


def _choice(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _bounds(field: FieldInfo) -> str:
    words = []
    for bound in field.metadata:
        match bound:
            case Ge(least):
                words.append(f"from {least}")
            case Gt(least):
                words.append(f"above {least}")
            case Le(most):
                words.append(f"to {most}")
    return f", {' '.join(words)}" if words else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return f"`{json.dumps(value.get_secret_value())}`"
    return f"`{json.dumps(shown(value))}`"
