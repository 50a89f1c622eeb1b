"""No setting of a link does nothing: each reaches what runs the link, and a running link takes those that it can."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from kvitto.app import link_config
from kvitto.dispatch.link import LinkConfig, adjustable
from kvitto.settings import Link, load

HOST = {"host": "smsc.example", "tls": True}
CHOSEN: dict[str, Any] = {
    "time_zone": "Asia/Tokyo",
    "outbind_port": 2776,
    "outbind_password": "there",
    "stat_aliases": {"GONE": "DELIVERED"},
    "template": "(?P<id>x)",
    "status_overrides": {"0x45": "temporary"},
    "err": "gsm",
    "err_table": {"32": 5},
    "late_response_s": 7200.0,
    "receipt_answer_s": 3.0,
    "tls": False,
}
STANDING = {
    "window", "rate", "connect_s", "enquire_link_s", "enquire_answer_s", "response_s", "late_response_s", "read_pdu_s",
    "bind_s", "receipt_answer_s", "reconnect_min_s", "reconnect_max_s", "throttle_pause_s", "binds", "time_zone",
    "submit_id", "receipt_id", "text_receipts", "stat_aliases", "numeric_stat", "template", "dlr_grace_s", "query",
    "query_before_s", "park_s", "adopt_after_s", "adopt_within_s", "part_receipts", "part_wait_s", "map_keep_days",
    "raw_keep_days", "err", "err_table", "accepted_is_final", "intermediate", "resend_in_doubt", "resend_after_s",
    "status_overrides", "default_alphabet", "long", "sixteen_bit_reference", "short_code_ton",
}  # fmt: skip
"""Settings that a running link takes while its binds stand."""


OUTBIND = {"outbind_port", "outbind_host", "outbind_system_id", "outbind_password"}
"""They mean something together only."""


def another(name: str, tmp_path: Path) -> Any:
    """A good value that is not the default."""
    if name in CHOSEN:
        return CHOSEN[name]
    if name in {"tls_ca_file", "tls_certificate", "tls_key"}:
        return str(tmp_path / "file.pem")
    default = Link.model_fields[name].get_default(call_default_factory=True)
    if isinstance(default, Enum):
        return next(one.value for one in type(default) if one is not default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default + 1
    return 7 if default is None else "other"


def config(tmp_path: Path, **changes: Any) -> LinkConfig:
    pairs = {"tls_certificate": "tls_key", "tls_key": "tls_certificate"}
    extra: dict[str, Any] = {pairs[name]: str(tmp_path / "other.pem") for name in changes if name in pairs}
    if OUTBIND & set(changes):
        files = {name: str(tmp_path / "other.pem") for name in pairs}
        extra = {"outbind_port": 2775, "outbind_password": "here", **files, **extra}
    settings = load(environ={}, overrides={"links": {"main": {**HOST, **extra, **changes}}})
    return link_config("main", settings.links["main"], settings)


def fellows(name: str, tmp_path: Path) -> dict[str, Any]:
    """What else has to be set for this one to mean something."""
    pair = {"tls_certificate", "tls_key"}
    if name in pair:
        return {one: str(tmp_path / "other.pem") for one in pair}
    return {"outbind_system_id": ""} if name in OUTBIND else {}


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    for name in ("file.pem", "other.pem"):
        (tmp_path / name).write_text("")


@pytest.mark.parametrize("name", list(Link.model_fields))
def test_every_setting_of_a_link_reaches_the_link(tmp_path: Path, name: str):
    value = "elsewhere.example" if name == "host" else another(name, tmp_path)
    before = config(tmp_path, **fellows(name, tmp_path))
    assert config(tmp_path, **{name: value}) != before, value


@pytest.mark.parametrize("name", sorted(set(Link.model_fields) - {"host"}))
def test_a_running_link_takes_what_needs_no_new_bind(tmp_path: Path, name: str):
    before = config(tmp_path, **fellows(name, tmp_path))
    after = config(tmp_path, **{name: another(name, tmp_path)})
    assert adjustable(before, after) == (name in STANDING)


def test_fewer_binds_are_made_anew(tmp_path: Path):
    before = replace(config(tmp_path), binds=3)
    assert not adjustable(before, replace(before, binds=2))


def test_every_waiting_time_of_a_link_has_its_unit_in_its_name():
    for name, field in Link.model_fields.items():
        words = field.description or ""
        if "(seconds" in words:
            assert name.endswith("_s"), name
        if "(days" in words:
            assert name.endswith("_days"), name
