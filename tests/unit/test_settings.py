"""Settings: where values come from, what is refused and how, and that the documentation says the same."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from kvitto.core.errors import SettingsError
from kvitto.core.receipt import CommandClass, IdBase, LinkRules, MessageState, PartReceipts
from kvitto.settings import Bind, Settings, document, load
from kvitto.settings.model import SECTIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path):
    """Writes a TOML file and gives back its path."""

    def write(text: str) -> Path:
        path = tmp_path / "kvitto.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(**sources):
    with pytest.raises(SettingsError) as caught:
        load(**{"environ": {}, **sources})
    return {problem.key: problem for problem in caught.value.problems}


def env(**values: str) -> dict[str, str]:
    return {f"KVITTO__{name}": value for name, value in values.items()}


# ---- where values come from ----


def test_without_any_setting_the_server_is_local_and_has_no_links():
    settings = load(environ={})
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.server.data_dir == Path("data")
    assert settings.store.url.get_secret_value() == ""
    assert settings.http.body_limit_bytes == 8 * 1024 * 1024
    assert dict(settings.links) == {}
    assert settings.routes == ()
    assert {source for _, _, source in settings.sources()} == {"default"}


def test_a_wrong_value_is_told_though_another_source_replaces_it(toml):
    config = toml("[http]\nport = 'high'\nhost = 5\n[log]\nlevel = 'loud'\n")
    with pytest.raises(SettingsError) as caught:
        load(config=config, environ=env(HTTP__PORT="70000"), overrides={"http.port": 9000, "http.host": "a"})
    told = [(problem.key, problem.value, problem.source) for problem in caught.value.problems]
    assert told == [
        ("log.level", '"loud"', f"file {config}"),
        ("http.port", '"high"', f"file {config}"),
        ("http.port", '"70000"', "env KVITTO__HTTP__PORT"),
        ("http.host", "5", f"file {config}"),
    ]


def test_a_right_value_that_another_source_replaces_is_no_problem(toml):
    config = toml("[http]\nport = 8000\n[links.a]\nhost = 'x'\n")
    settings = load(config=config, environ=env(LINKS__A__HOST="y"), overrides={"http.port": 9000})
    assert (settings.http.port, settings.links["a"].host) == (9000, "y")


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(toml):
    config = toml("[http]\nhost = 'a'\nport = 1\nidle_timeout_s = 5\n")
    settings = load(
        config=config,
        environ=env(HTTP__PORT="2", HTTP__HOST="b"),
        overrides={"http.host": "c", "server.data_dir": None},
    )
    assert (settings.http.host, settings.http.port, settings.http.idle_timeout_s) == ("c", 2, 5)
    sources = {key: source for key, _, source in settings.sources()}
    assert sources["http.host"] == "command line"
    assert sources["http.port"] == "env KVITTO__HTTP__PORT"
    assert sources["http.idle_timeout_s"] == f"file {config}"
    assert sources["server.data_dir"] == "default"


def test_a_link_is_made_from_file_and_environment_together_whatever_the_case_of_its_name(toml):
    config = toml("[links.Main]\nhost = 'smsc'\nwindow = 50\n[links.Main.status_overrides]\n'0x45' = 'temporary'\n")
    settings = load(config=config, environ=env(LINKS__MAIN__PASSWORD="a long password", LINKS__OTHER__HOST="x"))
    main = settings.links["Main"]
    assert (main.host, main.window, main.bind, main.port) == ("smsc", 50, Bind.TRANSCEIVER, 2775)
    assert main.password.get_secret_value() == "a long password"
    assert dict(main.status_overrides) == {0x45: CommandClass.TEMPORARY}
    assert settings.links["other"].host == "x"


def test_a_links_group_is_its_own_name_unless_set(toml):
    settings = load(config=toml("[links.a]\nhost='x'\n[links.b]\nhost='x'\ngroup='pool'\n"), environ={})
    assert [link.group for link in settings.links.values()] == ["a", "pool"]


def test_lists_and_tables_are_json_in_the_environment():
    settings = load(
        environ=env(
            LINKS='{"a": {"host": "x", "port": 1}}',
            LINKS__A__PORT="2",
            LINKS__A__STAT_ALIASES='{"GONE": "DELIVERED", "BAD": 5}',
            ROUTES='[{"prefix": "46", "link": "a"}, {"account": "demo", "link": "a"}]',
            HTTP__TRUSTED_PROXIES='["10.0.0.0/8", "::1/128"]',
        )
    )
    link = settings.links["a"]
    assert (link.host, link.port) == ("x", 2)
    assert dict(link.stat_aliases) == {"GONE": MessageState.DELIVERED, "BAD": MessageState.UNDELIVERABLE}
    assert [(route.prefix, route.account, route.link) for route in settings.routes] == [
        ("46", "", "a"),
        ("", "demo", "a"),
    ]
    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_only_variables_with_two_underscores_are_settings():
    others = {"KVITTO_HTTP_PORT": "1", "KVITTO_TEST_SKIP_POSTGRES": "1", "KVITTO": "x", "HTTP__PORT": "1"}
    assert load(environ=others) == load(environ={})


def test_settings_cannot_be_changed(toml):
    settings = load(config=toml("[links.a]\nhost='x'\n"), environ={})
    with pytest.raises(ValidationError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.links["b"] = settings.links["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        settings.links["a"].stat_aliases["X"] = MessageState.DELIVERED  # type: ignore[index]


# ---- what is refused ----


def test_every_problem_is_told_at_once_with_key_value_reason_and_source(toml):
    config = toml("[http]\nport = 70000\nprot = 1\n[links.a]\nwindow = 0\n")
    found = problems(config=config, environ=env(LOG__LEVEL="loud", FOO="1"))
    assert set(found) == {"http.port", "http.prot", "links.a.host", "links.a.window", "log.level", "foo"}
    port = found["http.port"]
    assert (port.value, port.source, port.reason) == ("70000", f"file {config}", "must be less than or equal to 65535")
    assert found["http.prot"].reason == "no such setting; port is one"
    assert found["links.a.host"].reason == "must be set"
    assert found["log.level"].source == "env KVITTO__LOG__LEVEL"
    assert found["foo"].reason == "no such setting"


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("HTTP__PORT", "x", "http.port"),
        ("HTTP__PORT", "", "http.port"),
        ("HTTP__HEAD_TIMEOUT_S", "0", "http.head_timeout_s"),
        ("HTTP__HEAD_TIMEOUT_S", "inf", "http.head_timeout_s"),
        ("HTTP__PATH_PREFIX", "sms/", "http.path_prefix"),
        ("HTTP__TRUSTED_PROXIES", '["10.0.0.1/8"]', "http.trusted_proxies.0"),
        ("HTTP__TRUSTED_PROXIES", "10.0.0.0/8", "http.trusted_proxies"),
        ("HTTP__TLS_KEY", "/no/such/file", "http.tls_key"),
        ("HTTP", "x", "http"),
        ("STORE__URL", "mysql://db", "store.url"),
        ("LINKS", "x", "links"),
        ("LINKS__A", "x", "links.a"),
        ("LINKS__A__WINDOW", "1001", "links.a.window"),
        ("LINKS__A__RATE", "-1", "links.a.rate"),
        ("LINKS__A__BIND", "receiver", "links.a.bind"),
        ("LINKS__A__TIME_ZONE", "Mars/Base", "links.a.time_zone"),
        ("LINKS__A__TIME_ZONE", "../../etc/passwd", "links.a.time_zone"),
        ("LINKS__A__TEMPLATE", "(?P<id>", "links.a.template"),
        ("LINKS__A__TEMPLATE", "(?P<number>x)", "links.a.template"),
        ("LINKS__A__SUBMIT_ID", "octal", "links.a.submit_id"),
        ("LINKS__A__LATE_RESPONSE_S", "60", "links.a.late_response_s"),
        ("LINKS__A__RECEIPT_ANSWER_S", "6", "links.a.receipt_answer_s"),
        ("LINKS__A__STAT_ALIASES", '{"X": "GONE"}', "links.a.stat_aliases.X"),
        ("LINKS__A__STATUS_OVERRIDES", '{"zz": "temporary"}', "links.a.status_overrides.zz"),
        ("LINKS__A__STATUS_OVERRIDES", '{"0x45": "maybe"}', "links.a.status_overrides.0x45"),
        ("LINKS__B_", '{"host": "x"}', "links.b_"),
        ("ROUTES", "[", "routes"),
        ("ROUTES", '[{"prefix": "4a", "link": "a"}]', "routes.0.prefix"),
    ],
)
def test_a_wrong_value_is_refused_at_its_key(name, value, key):
    found = problems(
        environ={**env(LINKS__A__HOST="x"), **env(**{name: value})} if name != "LINKS" else env(LINKS=value)
    )
    assert key in found
    assert found[key].source == f"env KVITTO__{name}"
    assert found[key].reason


def test_values_that_contradict_each_other_are_refused(tmp_path):
    pem = tmp_path / "some.pem"
    pem.touch()
    found = problems(
        environ=env(
            HTTP__TLS_CERTIFICATE=str(pem),
            LINKS__A__HOST="x",
            LINKS__A__RECONNECT_MIN_S="100",
            LINKS__A__TLS_CA_FILE=str(pem),
            LINKS__A__TLS_KEY=str(pem),
            ROUTES='[{"link": "b"}]',
            SIMULATOR__DELAY_MIN_MS="600",
        )
    )
    assert set(found) == {
        "http.tls_key",
        "links.a.tls",
        "links.a.tls_certificate",
        "links.a.reconnect_min_s",
        "routes.0.link",
        "simulator.delay_min_ms",
    }
    assert found["routes.0.link"].value == '"b"'
    assert found["routes.0.link"].source == "env KVITTO__ROUTES"
    assert found["routes.0.link"].reason == "no such link (a)"


@pytest.mark.parametrize("content", ["[http", "port = ", "\x00"])
def test_a_file_that_is_no_toml_is_refused_by_name(toml, content):
    path = toml(content)
    found = problems(config=path)
    assert found["--config"].value == str(path)
    assert found["--config"].reason.startswith("no TOML")


def test_a_missing_file_is_refused_by_name(tmp_path):
    assert problems(config=tmp_path / "none.toml")["--config"].reason == "No such file or directory"


# ---- secrets ----


def test_no_secret_is_shown_by_sources_problems_or_repr(toml):
    config = toml("[links.a]\nhost='x'\npassword='hunter2'\n[store]\nurl='postgresql://me:hunter2/@db/x'\n")
    settings = load(config=config, environ={})
    shown = {key: value for key, value, _ in settings.sources()}
    assert shown["links.a.password"] == "***"
    assert shown["store.url"] == "postgresql://me:***@db/x"
    assert "hunter2" not in repr(settings) + str(settings) + json.dumps(settings.sources())
    found = problems(
        environ=env(
            LINKS__A__PASWORD="hunter2",
            STORE__URL="mysql://me:hunter2@db",
            STORE__ULR="postgresql://me:hunter2@db",
            LINKS__A__PASSWORD='{"hunter2": "hunter2"}',
        )
    )
    assert "hunter2" not in "".join(problem.value + problem.reason for problem in found.values())


# ---- what is made of them ----


def test_the_rules_of_a_link_without_settings_are_the_cores_own_defaults(toml):
    settings = load(config=toml("[links.a]\nhost='x'\n"), environ={})
    made, own = settings.link_rules(settings.links["a"]), LinkRules()
    zone, made_zone = own.time_zone, made.time_zone
    assert str(made_zone) == str(zone) == "UTC"
    for name in LinkRules.__dataclass_fields__:
        if name not in {"time_zone", "states"}:
            assert getattr(made, name) == getattr(own, name), name


def test_the_rules_of_a_link_follow_its_settings(toml):
    config = toml(
        "[receipts]\npark_s = 7\nadopt_after_s = 2\n"
        "[links.a]\nhost='x'\nreceipt_id='dec'\nstat_aliases={GONE='delivered'}\ntemplate='(?P<id>\\d+)'\n"
        "time_zone='Europe/Stockholm'\n"
    )
    settings = load(config=config, environ={})
    rules = settings.link_rules(settings.links["a"])
    assert (rules.park_s, rules.adopt_after_s, rules.receipt_id) == (7, 2, IdBase.DEC)
    assert rules.states["GONE"].state is MessageState.DELIVERED
    assert rules.template is not None
    assert rules.template.pattern == "(?P<id>\\d+)"
    assert str(rules.time_zone) == "Europe/Stockholm"


def test_r44_a_link_may_wait_otherwise_than_the_others(toml):
    config = toml(
        "[receipts]\npark_s = 7\n[links.a]\nhost='x'\npark_s=8\ndlr_grace_s=9\nadopt_after_s=10\nadopt_within_s=11\n"
        "part_receipts='one'\npart_wait_s=12\nmap_keep_days=13\nraw_keep_days=14\nresend_after_s=15\n"
        "err='gsm'\nerr_table={'32'=5, '0x10'=6}\n[links.b]\nhost='x'\n"
    )
    settings = load(config=config, environ={})
    rules, others = (settings.link_rules(settings.links[name]) for name in "ab")
    assert (rules.park_s, others.park_s) == (8, 7)
    assert (rules.dlr_grace_s, rules.adopt_after_s, rules.adopt_within_s) == (9, 10, 11)
    assert (rules.part_receipts, rules.part_wait_s) == (PartReceipts.ONE, 12)
    assert (rules.map_keep_s, rules.raw_keep_s) == (13 * 86_400, 14 * 86_400)
    assert (rules.resend_after_s, rules.err_gsm, dict(rules.err_table)) == (15, True, {32: 5, 16: 6})


# ---- the documentation ----


def test_every_key_is_documented_with_its_effect_and_its_unit():
    assert set(SECTIONS) == set(Settings.model_fields)
    units = {"_s": "(seconds", "_ms": "(milliseconds", "_bytes": "(bytes", "_days": "(days"}
    for section, model in SECTIONS.items():
        for key, field in model.model_fields.items():
            text = field.description or ""
            assert text.endswith((".", ").")), f"{section}.{key}"
            for ending, unit in units.items():
                assert not key.endswith(ending) or unit in text, f"{section}.{key} does not say its unit"


def test_the_configuration_page_is_the_one_the_settings_make():
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == document(), "run `make docs`"


def test_the_example_on_the_configuration_page_is_valid(toml):
    example = document().partition("```toml\n")[2].partition("```")[0]
    settings = load(config=toml(example), environ={})
    assert settings.links["main"].window == 50
    assert settings.routes[0].link == "main"
