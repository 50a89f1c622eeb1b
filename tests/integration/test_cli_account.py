"""``kvitto account``: made, listed, changed and forgotten, over a real database."""

import functools
import json

import pytest

from kvitto.intake.auth import hash_secret
from kvitto.settings import load
from tests.support.command import kvitto


@pytest.fixture
def run(tmp_path, monkeypatch):
    return functools.partial(kvitto, data=tmp_path / "data", monkeypatch=monkeypatch)


def test_create_prints_the_six_keys_once(run):
    made = run("account", "create", "shop", "--json")
    assert made.code == 0
    keys = made.json
    assert list(keys) == [
        "account",
        "service_plan_id",
        "api_token",
        "username",
        "password",
        "callback_secret",
    ]
    shown = run("account", "show", "shop", "--json")
    assert keys["api_token"] not in shown.out
    assert keys["password"] not in shown.out
    assert keys["callback_secret"] not in shown.out
    assert shown.json["service_plan_id"] == keys["service_plan_id"]


def test_create_takes_a_callback_url_and_networks(run):
    made = run(
        "account",
        "create",
        "shop",
        "--callback-url",
        "https://shop.example/dlr",
        "--allow-callbacks-to",
        "10.0.0.0/8",
        "--allow-callbacks-to",
        "::1/128",
    )
    assert made.code == 0
    shown = run("account", "show", "shop", "--json").json
    assert shown["callback_url"] == "https://shop.example/dlr"
    assert shown["allow_callbacks_to"] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--callback-url", "ftp://shop.example/"], "--callback-url"),
        (["--callback-url", "http://user:word@shop.example/"], "user information"),
        (["--callback-url", "http://shop.example/\\"], "backslash"),
        (["--callback-url", "http://[fe80::1%25eth0]/"], "brackets"),
        (["--callback-url", "http://0x7f.1/"], "no permitted address: loopback"),
        (
            ["--callback-url", "http://10.0.0.1/", "--allow-callbacks-to", "10.1.0.0/16"],
            "no permitted address: private",
        ),
        (["--allow-callbacks-to", "10.0.0.1/8"], "10.0.0.1/8 is none"),
    ],
)
def test_create_refuses_wrong_values_and_makes_nothing(run, options, names):
    refused = run("account", "create", "shop", *options)
    assert (refused.code, refused.out) == (2, "")
    assert names in refused.err
    assert run("account", "list", "--json").json == []


@pytest.mark.parametrize("key", [None, b"ZpYW7lNYJ5Tq2cm8xP8jN1yd6bHZs4m1JbX3v0Rr1mQ=\n"])
def test_without_the_databases_key_nothing_is_read_or_written(run, tmp_path, key):
    run("account", "create", "shop")
    kept = tmp_path / "data" / "kvitto.key"
    right = kept.read_bytes()
    kept.unlink()
    if key is not None:
        kept.write_bytes(key)
    for words in (["account", "create", "other"], ["account", "list"]):
        refused = run(*words)
        assert (refused.code, refused.out) == (1, "")
        assert str(kept) in refused.err
        assert "backup" in refused.err
    kept.write_bytes(right)
    assert [one["account"] for one in run("account", "list", "--json").json] == ["shop"]


def test_a_name_is_taken_once(run):
    run("account", "create", "shop")
    again = run("account", "create", "shop", "--json")
    assert (again.code, again.out) == (1, "")
    assert "shop" in again.err


@pytest.mark.parametrize("name", ["", " shop", "a\nb", "x" * 65])
def test_a_name_that_is_none_is_refused(run, name):
    assert run("account", "create", name).code == 2


def test_accounts_are_listed_by_name(run):
    for name in ("b", "a"):
        run("account", "create", name)
    assert [one["account"] for one in run("account", "list", "--json").json] == ["a", "b"]
    head, first, _ = run("account", "list").out.splitlines()
    assert head.split("\t")[0] == "account"
    assert first.split("\t")[0] == "a"


def test_every_setting_can_be_set_and_cleared(run):
    run("account", "create", "shop")
    values = {
        "callback_url": "https://shop.example/dlr",
        "allow_callbacks_to": "10.0.0.0/8,127.0.0.0/8",
        "default_from": "Shop",
        "allowed_senders": "Shop, +46701740605",
        "blocked_numbers": "+46701740699",
        "max_parts": "4",
        "rate": "0.5",
        "quota": "1000",
        "timezone": "Europe/Stockholm",
        "retention_days": "14",
        "callback_dialect": "ninebits",
        "final_only": "true",
        "late_corrections": "false",
        "ack": "http",
        "feed": "all",
        "callback_statuses": "delivered, Expired",
        "incoming_url": "https://shop.example/in",
        "events_url": "https://shop.example/kvitto",
    }
    before = run("account", "show", "shop", "--json").json
    changed = run("account", "set", "shop", *[f"{key}={value}" for key, value in values.items()], "--json").json
    assert {key: changed[key] for key in values} == {
        "callback_url": "https://shop.example/dlr",
        "allow_callbacks_to": ["10.0.0.0/8", "127.0.0.0/8"],
        "default_from": "Shop",
        "allowed_senders": ["Shop", "46701740605"],
        "blocked_numbers": ["46701740699"],
        "max_parts": 4,
        "rate": 0.5,
        "quota": 1000,
        "timezone": "Europe/Stockholm",
        "retention_days": 14,
        "callback_dialect": "ninebits",
        "final_only": True,
        "late_corrections": False,
        "ack": "http",
        "feed": "all",
        "callback_statuses": ["DELIVERED", "EXPIRED"],
        "incoming_url": "https://shop.example/in",
        "events_url": "https://shop.example/kvitto",
    }
    assert "DELIVERED,EXPIRED" in run("account", "show", "shop").out.replace(" ", "")
    assert run("account", "set", "shop", *[f"{key}=" for key in values], "--json").json == before


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("rte=1", "callback_url, allow_callbacks_to"),
        ("rate", "rate="),
        ("rate=fast", "messages per second"),
        ("rate=0", "above 0"),
        ("max_parts=0", "1 to 255"),
        ("quota=-1", "0 to"),
        ("timezone=Mars", "IANA"),
        ("callback_dialect=telex", "infobip or ninebits or sinch"),
        ("final_only=maybe", "yes or no"),
        ("ack=loud", "body or http"),
        ("feed=none", "all or unpushed or infobip_only"),
        ("default_from=TooLongForASender", "11 characters"),
        ("blocked_numbers=abc", "5 to 15 digits"),
        ("allow_callbacks_to=everywhere", "everywhere"),
        ("callback_url=https://a b/", "2048"),
        ("callback_statuses=delivered,queued", "dispatched, delivered, failed"),
        ("incoming_url=https://shop.example/" + "x" * 2048, "2048"),
        ("incoming_url=http://169.254.169.254/", "link-local"),
    ],
)
def test_a_wrong_setting_names_key_value_and_shape_and_changes_nothing(run, change, names):
    run("account", "create", "shop")
    before = run("account", "show", "shop").out
    refused = run("account", "set", "shop", "quota=7", change)
    assert (refused.code, refused.out) == (2, "")
    assert change.partition("=")[0] in refused.err
    assert names in refused.err
    assert run("account", "show", "shop").out == before


def test_disable_enable_and_delete(run):
    run("account", "create", "shop")
    assert run("account", "disable", "shop", "--json").json["disabled"] is True
    assert run("account", "enable", "shop", "--json").json["disabled"] is False
    assert run("account", "delete", "shop", "--json").json == {"account": "shop", "deleted": True}
    assert run("account", "list", "--json").json == []


@pytest.mark.parametrize("verb", ["show", "disable", "enable", "delete", "rotate-token"])
def test_an_unknown_account_is_not_found(run, verb):
    refused = run("account", verb, "nobody")
    assert (refused.code, refused.out) == (1, "")
    assert "nobody" in refused.err
    assert run("account", "set", "nobody", "rate=1").code == 1


def test_rotating_gives_a_new_token(run):
    old = run("account", "create", "shop", "--json").json["api_token"]
    new = run("account", "rotate-token", "shop", "--json").json
    assert new["account"] == "shop"
    assert hash_secret(new["api_token"]) != hash_secret(old)


def test_an_unusable_data_directory_is_exit_code_3(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    refused = kvitto("account", "list", data=tmp_path / "file" / "data", monkeypatch=monkeypatch)
    assert (refused.code, refused.out) == (3, "")


def test_an_unreachable_postgresql_is_exit_code_3(run, monkeypatch):
    monkeypatch.setenv("KVITTO__STORE__URL", "postgresql://nobody:secret-word@127.0.0.1:1/none")
    refused = run("account", "list", "--json")
    assert (refused.code, refused.out) == (3, "")
    assert "secret-word" not in refused.err


# --- settings


def test_a_wrong_setting_is_exit_code_2_and_names_all_of_them(run, monkeypatch):
    monkeypatch.setenv("KVITTO__HTTP__PORT", "high")
    monkeypatch.setenv("KVITTO__HTTP__HOTS", "x")
    refused = run("config", "show")
    assert (refused.code, refused.out) == (2, "")
    assert "http.port" in refused.err
    assert "http.hots" in refused.err


def test_config_show_tells_each_settings_source(run, tmp_path, monkeypatch):
    file = tmp_path / "kvitto.toml"
    file.write_text('[http]\nport = 9000\n[links.main]\nhost = "smsc.example"\npassword = "s3cret"\n')
    monkeypatch.setenv("KVITTO__HTTP__HOST", "0.0.0.0")
    shown = run("config", "show", "--json", "--config", str(file))
    settings = {one["key"]: one for one in shown.json}
    assert settings["http.port"] == {"key": "http.port", "value": 9000, "source": f"file {file}"}
    assert settings["http.host"]["source"] == "env KVITTO__HTTP__HOST"
    assert settings["server.data_dir"]["source"] == "command line"
    assert settings["http.body_limit_bytes"]["source"] == "default"
    assert "s3cret" not in shown.out
    assert "s3cret" not in run("config", "show", "--config", str(file)).out


def test_config_show_leaves_nothing_out(run):
    keys = {one["key"] for one in run("config", "show", "--json").json}
    assert {setting.key for setting in load(environ={}).sources()} == keys


def test_migrate_is_repeatable_and_says_where_it_is(run):
    first, second = run("db", "migrate", "--json"), run("db", "migrate", "--json")
    assert first.code == 0
    assert first.json == second.json
    assert first.json["revision"]


def test_the_magic_numbers_are_printed(run):
    rows = run("simulate", "numbers", "--json").json
    assert {"nn": "20", "outcome": "refuses the submit, 0x0B"} in rows
    lines = run("simulate", "numbers").out.splitlines()
    assert len(lines) == len(rows) + 1


@pytest.mark.parametrize("words", ["no-such-command", "account", "report", "send x", "serve --port x"])
def test_wrong_usage_is_exit_code_2(run, words):
    assert run(*words.split()).code == 2


def test_json_is_the_only_thing_on_standard_output(run):
    for words in (["account", "create", "a"], ["account", "list"], ["config", "show"], ["simulate", "numbers"]):
        json.loads(run(*words, "--json").out)


def test_p19_a_callback_url_is_refused_where_its_posts_would_be(run):
    run("account", "create", "shop", "--json")
    refused = run("account", "set", "shop", "callback_url=http://10.1.2.3/dlr")
    assert refused.code != 0
    assert "private" in refused.err
    assert run("account", "show", "shop", "--json").json["callback_url"] is None
    assert run("account", "set", "shop", "callback_url=http://10.1.2.3/dlr", "allow_callbacks_to=10.1.0.0/16").code == 0
    assert run("account", "set", "shop", "callback_url=http://10.1.2.4/dlr").code == 0
    assert run("account", "set", "shop", "callback_url=http://10.2.0.1/dlr").code != 0
    refused = run("account", "set", "shop", "events_url=http://10.2.0.1/events")
    assert refused.code != 0
    assert "events_url" in refused.err
    assert run("account", "set", "shop", "events_url=http://10.1.0.1/events").code == 0
