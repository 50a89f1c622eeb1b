"""Putting the sources of settings together: file, environment, command line; and what several values must agree on.

Each source is laid over the ones before it, key by key, and where each value came from is remembered, so that a problem
names the file or variable to correct. Nothing is guessed: no file is looked for, no unknown key is passed over.
"""

import contextlib
import copy
import difflib
import functools
import json
import operator
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from kvitto.core.errors import SettingsError, SettingsProblem
from kvitto.settings.model import SECTIONS, Http, Link, Settings, origin_of
from kvitto.settings.showing import in_problem

__all__ = ["ENVIRONMENT_PREFIX", "load"]

ENVIRONMENT_PREFIX: Final = "KVITTO__"


def load(
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings, once, at the start.

    Args:
        config: the TOML file of ``--config``; none is looked for by itself.
        environ: the process's environment when None.
        overrides: what the command line says, by dotted key (``{"http.port": 9000}``); None values are not given.

    Raises: SettingsError with every problem found.
    """
    gathered = _Gathered()
    if config is not None:
        gathered.add_file(config)
    gathered.add_environment(os.environ if environ is None else environ)
    for key, value in (overrides or {}).items():
        if value is not None:
            gathered.put(tuple(key.split(".")), value, "command line")
    gathered.name_groups()
    wrong = _hidden_problems(gathered)
    try:
        settings = Settings.model_validate(gathered.tree)
    except ValidationError as error:
        raise SettingsError([*_problems(error, gathered.origins), *wrong]) from None
    if wrong:
        raise SettingsError(wrong)
    settings._origins.update(gathered.origins)
    problems = [
        SettingsProblem(key=key, value=in_problem(key, value), reason=reason, source=origin_of(gathered.origins, key))
        for key, value, reason in _contradictions(settings)
    ]
    if problems:
        raise SettingsError(problems)
    return settings


def _problems(error: ValidationError, origins: Mapping[str, str]) -> list[SettingsProblem]:
    return [_problem(dict(detail), origins) for detail in error.errors()]


def _hidden_problems(gathered: "_Gathered") -> list[SettingsProblem]:
    """What is wrong with values that a later source replaced: they come into force when that source is gone."""
    found: list[SettingsProblem] = []
    for path, value, source in gathered.hidden:
        key = ".".join(path)
        tree = copy.deepcopy(gathered.tree)
        functools.reduce(operator.getitem, path[:-1], tree)[path[-1]] = value
        try:
            Settings.model_validate(tree)
        except ValidationError as error:
            problems = _problems(error, {**gathered.origins, key: source})
            found += [problem for problem in problems if f"{problem.key}.".startswith(f"{key}.")]
    return found


class _Gathered:
    """Raw values from all sources, as one tree, and for each dotted key where it came from.

    ``hidden``: values that a later source replaced, with the source they came from.
    """

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.hidden: list[tuple[tuple[str, ...], object, str]] = []

    def add_file(self, path: Path) -> None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise _file_problem(path, error.strerror or str(error)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise _file_problem(path, f"no TOML: {error}") from None
        for key, value in table.items():
            self.put((key,), value, f"file {path}")

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for name in sorted(environ):
            if name.upper().startswith(ENVIRONMENT_PREFIX):
                path = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
                self.put(self._as_written(path), _table_or_text(environ[name]), f"env {name}")

    def _as_written(self, path: list[str]) -> tuple[str, ...]:
        """Variables have one case only: a link of the file is meant whatever the case of its name there."""
        if path[0] == "links" and len(path) > 1 and isinstance(self.tree.get("links"), dict):
            path[1] = next((name for name in self.tree["links"] if name.lower() == path[1]), path[1])
        return tuple(path)

    def put(self, path: tuple[str, ...], value: object, source: str) -> None:
        """Set one value, or a table's values one by one, over what is there."""
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                self.put((*path, key), inner, source)
            return
        table = self.tree
        for step in path[:-1]:
            inner = table.setdefault(step, {})
            if not isinstance(inner, dict):
                # A text where a table belongs stays, and is refused as such.
                return
            table = inner
        key = ".".join(path)
        if path[-1] in table and key in self.origins:
            self.hidden.append((path, table[path[-1]], self.origins[key]))
        table[path[-1]] = value
        self.origins[key] = source

    def name_groups(self) -> None:
        """A link's group is its own name where nothing else is said."""
        links = self.tree.get("links")
        if isinstance(links, dict):
            for name, link in links.items():
                if isinstance(link, dict) and not link.get("group"):
                    link["group"] = name


def _table_or_text(text: str) -> object:
    """A JSON object is a table, to be laid over the file's key by key; everything else is the text of one value."""
    if text.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text


def _file_problem(path: Path, reason: str) -> SettingsError:
    return SettingsError([SettingsProblem(key="--config", value=str(path), reason=reason, source="command line")])


def _contradictions(settings: Settings) -> Iterator[tuple[str, object, str]]:
    """What no value alone can tell: (key, value, reason)."""
    yield from _half_pairs("http", settings.http)
    for name, link in settings.links.items():
        yield from _half_pairs(f"links.{name}", link)
        if link.reconnect_min_s > link.reconnect_max_s:
            yield f"links.{name}.reconnect_min_s", link.reconnect_min_s, "is above reconnect_max_s"
        if not link.tls and (link.tls_ca_file or link.tls_certificate or link.tls_server_name):
            yield f"links.{name}.tls", link.tls, "must be true for the link's other tls_ settings to mean anything"
        yield from _unlistenable(name, link, settings)
    for number, route in enumerate(settings.routes):
        if route.link not in settings.links:
            known = ", ".join(settings.links) or "none is configured"
            yield f"routes.{number}.link", route.link, f"no such link ({known})"
    if settings.simulator.delay_min_ms > settings.simulator.delay_max_ms:
        yield "simulator.delay_min_ms", settings.simulator.delay_min_ms, "is above delay_max_ms"


def _unlistenable(name: str, link: Link, settings: Settings) -> Iterator[tuple[str, object, str]]:
    """What keeps a link from listening for its SMSC (R13)."""
    if not link.outbind_port:
        return
    if not link.outbind_password.get_secret_value():
        yield f"links.{name}.outbind_password", "", "must be set: who says it is told this link's credentials"
    if link.tls and link.tls_certificate is None:
        yield f"links.{name}.tls_certificate", "", "must be set: outbind_port speaks TLS with it"
    for other, one in settings.links.items():
        if other < name and (one.outbind_host, one.outbind_port) == (link.outbind_host, link.outbind_port):
            yield f"links.{name}.outbind_port", link.outbind_port, f"is that of links.{other} too"


def _half_pairs(section: str, values: Http | Link) -> Iterator[tuple[str, object, str]]:
    if (values.tls_certificate is None) != (values.tls_key is None):
        missing = "tls_key" if values.tls_key is None else "tls_certificate"
        yield f"{section}.{missing}", "", "must be given: certificate and key belong together"


def _problem(detail: dict[str, Any], origins: Mapping[str, str]) -> SettingsProblem:
    """One of pydantic's findings, in our words."""
    path = [str(step) for step in detail["loc"] if step != "[key]"]
    key = ".".join(path)
    reason = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = detail["input"]
    if detail["type"] == "extra_forbidden":
        reason = f"no such setting{_meant(path)}"
    elif detail["type"] == "missing":
        reason, value = "must be set", ""
    elif detail["type"] in {"model_type", "dict_type", "mapping_type", "model_attributes_type"}:
        reason = "is a section, with keys of its own"
    return SettingsProblem(key=key, value=in_problem(key, value), reason=reason, source=origin_of(origins, key))


def _meant(path: list[str]) -> str:
    """A hint at the nearest real key."""
    keys = SECTIONS[path[0]].model_fields if len(path) > 1 else SECTIONS
    near = difflib.get_close_matches(path[-1], keys, n=1)
    return f"; {near[0]} is one" if near else ""
