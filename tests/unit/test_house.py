"""The house keeps its own rules: docstrings, ``__all__``, names of events, and what must never stand in its files."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kvitto.core import errors
from kvitto.settings.model import SECTIONS
from kvitto.telemetry import EVENTS, FIELDS, Shows

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
# Alembic loads a revision by its path; nothing imports from it.
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "versions" not in path.parts)


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def repository() -> tuple[Path, ...]:
    """Every file that git has or would take; every file there is where git is not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:
        aside = {".git", ".venv", "__pycache__", "data", "dist", "build"}
        names = [path for path in ROOT.rglob("*") if not aside & set(path.relative_to(ROOT).parts)]
    return tuple(path for path in names if path.is_file())


# ---- every module ----


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_opens_with_a_docstring(path):
    text = ast.get_docstring(tree(path)) or ""
    assert len(text.split()) >= 5, "what is this room for, what must it not know, where to read next?"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name not in {"__main__.py", "env.py"}], ids=dotted)
def test_every_module_lists_its_names_and_has_them(path):
    module = importlib.import_module(dotted(path))
    names = module.__all__
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in MODULES if path.name != "env.py"} - {SOURCE}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_tree_in_the_docstring_of_errors_is_the_tree_of_classes():
    text = errors.__doc__ or ""
    drawn = re.findall(
        r"^\s+[│├└─ ]*(\w+Error|BadInput|Refused|NotFound|Conflict|StoreUnavailable)\s", text, re.MULTILINE
    )
    classes = [name for name in errors.__all__ if name != "SettingsProblem"]
    assert sorted(drawn) == sorted(classes)
    for name in classes:
        assert issubclass(getattr(errors, name), errors.KvittoError)


def test_the_wheel_has_every_file_of_the_package(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("kvitto/")}
    assert packed == {str(path.relative_to(SOURCE)) for path in repository() if SOURCE in path.parents}


# ---- names of events, and settings ----

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def log_calls() -> Iterator[tuple[str, str, list[str]]]:
    """(where, event, fields) of every call that looks like a log line with a literal event."""
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LOG_METHODS
                and "log" in ast.unparse(node.func.value).lower()
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                yield where, node.args[0].value, [key.arg for key in node.keywords if key.arg]


def test_every_log_event_and_field_is_in_the_list():
    known = FIELDS.keys() | {"exc_info", "stack_info"}
    unknown = [f"{where}: event {event}" for where, event, _ in log_calls() if event not in EVENTS]
    unknown += [f"{where}: field {field}" for where, _, fields in log_calls() for field in fields if field not in known]
    assert unknown == [], "add it to kvitto.telemetry (EVENTS, FIELDS), with what a log may show of it"


def test_every_event_in_the_list_is_written_somewhere():
    code = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    assert [event for event in EVENTS if code.count(f'"{event}"') < 2] == [], "nobody writes it: take it out"


def test_every_plain_field_in_the_list_is_written_somewhere():
    code = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    written = {field for _, _, fields in log_calls() for field in fields}
    written |= set(re.findall(r"get_logger\((\w+)=", code)) | set(re.findall(r"_log\.info\(.*?(\w+)=", code))
    written |= {"event", "level", "timestamp", "logger", "exception", "error"}  # the pipeline's own
    plain = {name for name, shows in FIELDS.items() if shows is Shows.PLAIN}
    assert plain - written - {"outcome"} == set(), "masks stay for names to come; what is shown plainly must be used"


def test_event_names_are_a_noun_and_what_befell_it():
    assert [name for name in EVENTS if not re.fullmatch(r"[a-z]+\.[a-z_0-9]+", name)] == []


def test_every_setting_is_used():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in MODULES if (SOURCE / "kvitto" / "settings") not in path.parents
    )
    code += (SOURCE / "kvitto" / "settings" / "model.py").read_text(encoding="utf-8").partition("def link_rules")[2]
    unused = [
        f"{section}.{key}"
        for section, model in SECTIONS.items()
        for key in model.model_fields
        if not re.search(rf"\.{key}\b", code)
    ]
    assert unused == [], "a setting without an effect is a false promise: use it or take it out"


# ---- what must never stand in the repository ----

# Written so that this file does not contain what it forbids.
FORBIDDEN = [
    r"/wo" r"rk/",
    r"/ro" r"ot/",
    r"\.\./sha" r"red",
    r"\.libr" r"ary\b",
    r"\bfa" r"rm\b",
    r"\bpy" r"pi\.",
    r"python" r"hosted",
    r"\bnpm" r"js\b",
    r"deb\.deb" r"ian",
    r"\bclau" r"de\b",
    r"\banthro" r"pic\b",
    r"\bchat" r"gpt\b",
    r"co-authored" r"-by",
]
MARKS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X{3}\b(?!X))(?!\(#\d+\))")


def texts() -> Iterator[tuple[str, str]]:
    for path in repository():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_machine_a_registry_or_who_wrote_it():
    pattern = re.compile("|".join(FORBIDDEN), re.IGNORECASE)
    found = [
        f"{name}: {line.strip()[:100]}" for name, text in texts() for line in text.splitlines() if pattern.search(line)
    ]
    assert found == []


def test_no_code_is_left_to_do_without_an_issue():
    found = [
        f"{name}:{number}"
        for name, text in texts()
        if name.endswith(".py")
        for number, line in enumerate(text.splitlines(), 1)
        if MARKS.search(line)
    ]
    assert found == []


def test_the_locks_have_hashes_for_everything_and_no_addresses():
    locks = sorted(ROOT.glob("requirements*.txt"))
    assert [lock.name for lock in locks] == ["requirements-build.txt", "requirements-dev.txt", "requirements.txt"]
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"[A-Za-z0-9._-]+==\S+", requirement), requirement[:60]
            assert "--hash=sha256:" in requirement, requirement[:60]


def test_the_locks_agree_and_cover_what_pyproject_asks():
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))

    def asked(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=~! \[;]", requirement)[0].lower() for requirement in requirements}

    runtime, build, everything = (pins(f"requirements{part}.txt") for part in ("", "-build", "-dev"))
    assert runtime.items() <= everything.items()
    assert build.items() <= everything.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert asked(project["project"]["dependencies"]) <= runtime.keys()
    assert asked(project["project"]["optional-dependencies"]["dev"]) <= everything.keys()
    assert asked(project["build-system"]["requires"]) <= build.keys()
