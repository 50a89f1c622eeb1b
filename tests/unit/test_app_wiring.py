"""From settings to the values that the rooms are handed; and the demo account's keys."""

import dataclasses
import stat
from typing import Any

import pytest

from kvitto.app import App, database_url, demo_account, link_config, route_rules
from kvitto.core.errors import Refused
from kvitto.core.ids import IdMaker
from kvitto.core.receipt import LinkRules
from kvitto.dispatch.link import LinkConfig
from kvitto.settings import Link, load
from kvitto.smpp.states import Timers
from tests.support.fakestore import FakeStore


def settings(tmp_path=None, **overrides):
    said = {key.replace("__", "."): value for key, value in overrides.items()}
    if tmp_path is not None:
        said["server.data_dir"] = tmp_path
    return load(environ={}, overrides=said)


# Settings of a link that dispatch knows under another name, or as a part of something else.
RENAMED = {"bind", "group", "password", "tls"}


def another(value):
    """A value of the same type that is not the default."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return "other" if isinstance(value, str) else value


def test_every_link_setting_of_one_name_reaches_the_link():
    defaults = Link(host="smsc.example")
    parts = [(LinkConfig, ()), (Timers, ("timers",)), (LinkRules, ("rules",))]
    names = {
        field.name: path
        for owner, path in parts
        for field in dataclasses.fields(owner)
        if field.name in Link.model_fields and field.name not in RENAMED
    }
    simple = {name for name in names if isinstance(getattr(defaults, name), bool | int | float)}
    assert {"window", "rate", "enquire_link_s", "late_response_s", "resend_in_doubt"} <= simple
    changed = {name: another(getattr(defaults, name)) for name in simple}
    config = link_config("main", defaults.model_copy(update=changed), settings())
    for name in simple:
        owner = config
        for step in names[name]:
            owner = getattr(owner, step)
        assert getattr(owner, name) == changed[name], name


def test_a_link_without_a_group_is_its_own():
    assert link_config("main", Link(host="smsc.example"), settings()).group == "main"
    assert link_config("main", Link(host="smsc.example", group="g"), settings()).group == "g"


def test_tls_options_only_with_tls():
    assert link_config("main", Link(host="smsc.example"), settings()).tls is None
    tls = link_config("main", Link(host="smsc.example", tls=True, tls_server_name="n"), settings()).tls
    assert tls is not None
    assert (tls.server_name, tls.verify, tls.ca_file) == ("n", True, "")


def test_the_database_is_a_file_unless_said_otherwise(tmp_path):
    assert database_url(settings(tmp_path)) == f"sqlite:///{tmp_path}/kvitto.db"
    url = "postgresql://kvitto:secret@db.example/kvitto"
    assert database_url(settings(tmp_path, store__url=url)) == url


def test_without_routes_nothing_is_asked():
    assert route_rules(settings()) is None
    route_for = route_rules(settings(links={"main": {"host": "h"}}, routes=[{"prefix": "+46", "link": "main"}]))
    assert route_for is not None
    assert route_for("46701740611", "shop") == "main"
    assert route_for("4570174061", "shop") is None


@pytest.mark.parametrize(
    ("overrides", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"http__host": "0.0.0.0", "http__port": 9000}, "http://127.0.0.1:9000"),
        ({"http__host": "::"}, "http://[::1]:8080"),
        ({"http__host": "::1", "http__path_prefix": "/sms"}, "http://[::1]:8080/sms"),
    ],
)
def test_the_address_is_one_that_can_be_called(overrides, url, clock):
    assert App(settings(**overrides), clock).url == url


# --- the demo account


@pytest.fixture
def demo(tmp_path, clock):
    """(store, a way to start the demo)."""
    store: Any = FakeStore()
    ids = IdMaker(clock)
    return store, lambda: demo_account(store, settings(tmp_path), ids, clock.now())


async def test_the_demos_keys_are_the_same_at_every_start(demo, tmp_path):
    store, start = demo
    first = await start()
    assert await start() == first
    assert list(store.accounts) == ["demo"]
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600


async def test_the_demo_may_call_this_machine(demo):
    store, start = demo
    await start()
    assert "127.0.0.0/8" in store.accounts["demo"][0].allow_callbacks_to


async def test_a_demo_account_that_was_deleted_is_made_anew(demo):
    store, start = demo
    first = await start()
    store.accounts.clear()
    assert (await start()).api_token != first.api_token


@pytest.mark.parametrize("broken", ["", "{}", '{"account": "demo"}', "[1]"])
async def test_somebody_elses_demo_account_is_left_alone(demo, tmp_path, broken):
    store, start = demo
    await start()
    (tmp_path / "demo.json").write_text(broken)
    before = dict(store.accounts)
    with pytest.raises(Refused, match=r"demo\.json"):
        await start()
    assert store.accounts == before


async def test_stopping_what_never_started_is_nothing(clock):
    app = App(settings(), clock)
    await app.stop()
    await app.stop()
