"""``kvitto endpoint``, ``callback``, ``trigger`` and ``listen`` beside no server: what they show, change and refuse."""

from pathlib import Path

import pytest

from tests.support.command import Result, kvitto
from tests.support.sink import Reply, Sink


@pytest.fixture
def run(tmp_path: Path, monkeypatch):
    def command(*words: str) -> Result:
        return kvitto(*words, data=tmp_path, monkeypatch=monkeypatch)

    assert command("account", "create", "shop", "--allow-callbacks-to", "127.0.0.0/8").code == 0
    return command


@pytest.fixture
def made(run):
    done = run("endpoint", "create", "main", "--account", "shop", "--url", "http://127.0.0.1:9/x", "rate=5", "--json")
    assert done.code == 0, done.err
    return done.json


def test_an_endpoint_is_made_listed_and_shown_by_id_name_and_url(run, made):
    assert (made["name"], made["origin"], made["rate"]) == ("main", "http://127.0.0.1:9", 5.0)
    (listed,) = run("endpoint", "list", "--json").json
    assert (listed["id"], listed["account"]) == (made["id"], "shop")
    for words in (
        (made["id"],),
        ("main", "--account", "shop"),
        ("http://127.0.0.1:9/another/path", "--account", "shop"),
    ):
        shown = run("endpoint", "show", *words, "--json").json
        assert (shown["id"], shown["pending"]) == (made["id"], 0)
    assert "main" in run("endpoint", "list").out


def test_settings_are_changed_cleared_and_read_from_files(run, made, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("sesame\n")
    words = ("username=u", f"password=@{secret}", "headers=X-A: b\nX-C: d", "allow_callbacks_to=10.0.0.0/8")
    done = run("endpoint", "set", made["id"], *words, "--json")
    assert (done.json["username"], done.json["header_names"]) == ("u", ["X-A", "X-C"])
    assert done.json["allow_callbacks_to"] == ["10.0.0.0/8"]
    assert "sesame" not in done.out
    assert run("endpoint", "set", made["id"], "username=", "rate=", "--json").json["rate"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "{id}", "odd=1"), "no such setting"),
        (("set", "{id}", "rate=0"), "above 0"),
        (("set", "{id}", "headers=Host: x"), "Host"),
        (("set", "{id}", "headers=no colon"), "Name: value"),
        (("set", "{id}", "headers=X-A: b\rX-B: c"), "Name: value"),
        (("set", "{id}", "username=a:b"), "no colon"),
        (("set", "{id}", "url=http://elsewhere.example/"), "origin"),
        (("set", "{id}", "ca_pem=none"), "PEM"),
        (("set", "{id}", "password=@/nowhere"), "cannot be read"),
        (("test", "{id}", "--dialect", "odd"), "--dialect"),
        (("test", "{id}", "--status", "odd"), "--status"),
        (("test", "{id}", "--url", "http://elsewhere.example/"), "--url"),
        (("create", "a b", "--account", "shop", "--url", "http://a.example/"), "letters"),
        (("create", "b", "--account", "shop", "--url", "ftp://a.example/"), "http"),
        (
            ("create", "b", "--account", "shop", "--url", "http://169.254.169.254/"),
            "url: no permitted address: link-local",
        ),
    ],
)
def test_wrong_values_are_told_with_their_shape(run, made, words, said):
    done = run("endpoint", *(word.format(id=made["id"]) for word in words))
    assert done.code == 2, done
    assert said in done.err


def test_p19_a_url_is_judged_when_it_is_saved_with_what_is_open_to_account_and_endpoint(run):
    create = ("create", "b", "--account", "shop", "--url", "http://10.1.2.3/a")
    refused = run("endpoint", *create)
    assert (refused.code, "url" in refused.err, "private" in refused.err) == (2, True, True), refused
    assert run("endpoint", "list", "--json").json == []
    assert run("endpoint", *create, "allow_callbacks_to=10.0.0.0/8").code == 0
    moved = ("set", "b", "--account", "shop", "url=http://10.1.2.3/b")
    assert run("endpoint", *moved).code == 0, "what is open to it already counts"
    assert run("endpoint", *moved, "allow_callbacks_to=").code == 2


def test_what_does_not_exist_or_is_taken_is_refused(run, made):
    assert run("endpoint", "show", "nobody").code == 1
    assert "--account" in run("endpoint", "show", "main").err
    again = run("endpoint", "create", "main", "--account", "shop", "--url", "http://b.example/")
    assert (again.code, "already" in again.err) == (1, True)
    assert run("endpoint", "create", "x", "--account", "nobody", "--url", "http://b.example/").code == 1


def test_an_endpoint_is_disabled_and_enabled(run, made):
    assert run("endpoint", "disable", made["id"], "--json").json["disabled_why"] == "operator"
    assert run("endpoint", "enable", made["id"], "--json").json["state"] == "healthy"


def test_a_rotated_secret_is_shown_once(run, made):
    secret = run("endpoint", "rotate-secret", made["id"], "--json").json["secret"]
    assert secret.startswith("whsec_")
    shown = run("endpoint", "show", made["id"], "--json")
    assert shown.json["own_secret"]
    assert secret not in shown.out


def test_a_sample_is_posted_without_a_server_and_its_refusal_is_an_exit_code(run):
    with Sink() as sink:
        made = run("endpoint", "create", "sink", "--account", "shop", "--url", sink.url, "--json").json
        done = run("endpoint", "test", made["id"])
        assert done.code == 0, done.err
        assert "webhook-signature" in done.out
        assert "Answer: HTTP 200" in done.out
        sink.answer = lambda path, body: Reply(status=500)
        failed = run("endpoint", "test", made["id"], "--json")
        assert (failed.code, failed.json["status"], failed.json["taken"]) == (1, 500, False)
    gone = run("endpoint", "test", made["id"])
    assert gone.code == 1
    assert "No answer: connect" in gone.out
    assert run("callback", "list", "--json").json == []


def test_callbacks_that_are_none_are_told(run):
    assert run("callback", "show", "cb_1_1").code == 1
    assert run("callback", "resend", "x").code == 1
    assert run("callback", "list", "--status", "odd").code == 2
    assert run("callback", "list", "--since", "yesterday").code == 2


def test_nobody_replays_everybodys_by_accident(run):
    done = run("callback", "replay", "--since", "2h")
    assert done.code == 2
    assert "--account" in done.err
    assert run("callback", "replay", "--since", "2h", "--account", "shop", "--cancel").code == 1


def test_a_trigger_needs_somewhere_to_call_back_and_no_real_link(run, monkeypatch):
    done = run("trigger", "delivered", "--account", "shop")
    assert (done.code, "listen.kvitto.invalid" in done.err) == (1, True)
    assert run("trigger", "odd", "--account", "shop").code == 2
    assert run("trigger", "late", "--account", "shop", "--dialect", "odd").code == 2
    monkeypatch.setenv("KVITTO__LINKS__MAIN__HOST", "smsc.example")
    monkeypatch.setenv("KVITTO__LINKS__MAIN__PORT", "2775")
    monkeypatch.setenv("KVITTO__LINKS__MAIN__SYSTEM_ID", "kvitto")
    real = run("trigger", "delivered", "--account", "shop", "--url", "http://127.0.0.1:9/")
    assert (real.code, "real SMS" in real.err) == (1, True)


def test_listen_wants_a_url_and_somebody_to_listen_for(run):
    assert run("listen", "--forward-to", "localhost:3000").code == 2
    assert run("listen", "--forward-to", "http://localhost:3000/").code == 2
    elsewhere = ("--server", "https://sms.example", "--account", "shop")
    done = run("listen", "--forward-to", "http://localhost:3000/", *elsewhere)
    assert (done.code, "--token" in done.err) == (2, True)
