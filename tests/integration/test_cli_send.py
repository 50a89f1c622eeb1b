"""``kvitto send``, ``report``, ``trace`` and ``message in-doubt`` over a real database; nothing is dispatched here."""

import functools

import pytest

from kvitto.cli.send import read_number_file
from kvitto.core.errors import BadInput
from tests.support.command import kvitto


@pytest.fixture
def run(tmp_path, monkeypatch):
    runner = functools.partial(kvitto, data=tmp_path / "data", monkeypatch=monkeypatch)
    runner("account", "create", "shop")
    return runner


def sent(run, *words):
    result = run("send", "--account", "shop", "--from", "Kvitto", *words, "--json")
    assert result.code == 0, result.err
    return result.json


def counts(run, batch_id):
    report = run("report", batch_id, "--json").json
    return {(one["status"], one["reason"]): one["count"] for one in report["counts"]}


def test_numbers_after_to_and_repeated_to_are_one_list(run):
    batch = sent(run, "--to", "+46701740611", "46701740612", "0046701740611", "--to", "46701740613", "Hello")
    assert (len(batch["batch_ids"]), batch["recipient_count"]) == (1, 3)
    assert counts(run, batch["batch_ids"][0]) == {("QUEUED", "queued"): 3}


def test_a_file_of_numbers_goes_out_in_batches_of_a_thousand(run, tmp_path):
    file = tmp_path / "numbers.txt"
    file.write_text("".join(f"+4670{1740000 + n}\n" for n in range(2001)))
    batch = sent(run, "--to-file", str(file), "Hello")
    assert (len(batch["batch_ids"]), batch["recipient_count"]) == (3, 2001)
    sizes = [run("report", batch_id, "--json").json["message_count"] for batch_id in batch["batch_ids"]]
    assert sizes == [1000, 1000, 1]


def test_people_see_one_line_a_batch(run):
    shown = run("send", "--account", "shop", "--from", "Kvitto", "--to", "46701740611", "Hello")
    assert shown.code == 0
    assert shown.out.endswith("  1 recipient\n")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--to", "12", "Hello"], "--to 1"),
        (["Hello"], "--to"),
        (["--to", "46701740611", "x" * 2001], "2000"),
        (["--to", "46701740611", "--to-file", "/nonexistent", "Hello"], "--to-file"),
    ],
)
def test_wrong_input_is_exit_code_2_and_sends_nothing(run, words, names):
    refused = run("send", "--account", "shop", "--from", "Kvitto", *words, "--json")
    assert (refused.code, refused.out) == (2, "")
    assert names in refused.err


def test_a_wrong_sender_is_exit_code_2(run):
    refused = run("send", "--account", "shop", "--from", "TooLongForASender", "--to", "46701740611", "Hello")
    assert refused.code == 2
    assert "--from" in refused.err


def test_admission_is_the_same_as_over_http(run):
    run("account", "set", "shop", "allowed_senders=Shop", "blocked_numbers=46701740612")
    assert run("send", "--account", "shop", "--from", "Other", "--to", "46701740611", "Hi").code == 1
    batch = sent(run, "--from", "Shop", "--to", "46701740611", "46701740612", "Hi")
    assert counts(run, batch["batch_ids"][0]) == {
        ("QUEUED", "queued"): 1,
        ("ABORTED", "blocked_destination"): 1,
    }


def test_no_sender_unknown_disabled_and_spent_accounts_are_refused(run):
    to = ("--to", "46701740611", "46701740612", "Hi")
    assert run("send", "--account", "shop", *to).code == 1
    assert run("send", "--account", "nobody", "--from", "Shop", *to).code == 1
    run("account", "set", "shop", "quota=1")
    assert run("send", "--account", "shop", "--from", "Shop", *to).code == 1
    run("account", "set", "shop", "quota=")
    run("account", "disable", "shop")
    assert run("send", "--account", "shop", "--from", "Shop", *to).code == 1


def test_routes_of_the_settings_decide(run, tmp_path):
    config = tmp_path / "kvitto.toml"
    config.write_text('[links.main]\nhost = "127.0.0.1"\n[[routes]]\nprefix = "46"\nlink = "main"\n')
    batch = sent(run, "--to", "46701740611", "4570174061", "Hi", "--config", str(config))
    assert counts(run, batch["batch_ids"][0]) == {("QUEUED", "queued"): 1, ("ABORTED", "no_route"): 1}


# --- report and trace


def test_a_report_of_one_recipient(run):
    batch_id = sent(run, "--to", "46701740611", "Hi")["batch_ids"][0]
    one = run("report", batch_id, "--recipient", "+46701740611", "--json").json
    assert (one["recipient"], one["status"], one["parts"]) == ("46701740611", "QUEUED", 1)
    assert "QUEUED" in run("report", batch_id, "--recipient", "46701740611").out


def test_a_report_for_people_is_a_table(run):
    batch_id = sent(run, "--to", "46701740611", "46701740612", "46701740613", "46701740614", "Hi")["batch_ids"][0]
    head, row = run("report", batch_id).out.splitlines()
    assert head.split("\t")[:2] == ["status", "reason"]
    assert row.split("\t")[0] == "QUEUED"
    assert row.endswith("and 1 more")


def test_watching_what_is_final_already_ends_at_once(run):
    run("account", "set", "shop", "blocked_numbers=46701740612")
    batch_id = sent(run, "--to", "46701740612", "Hi")["batch_ids"][0]
    assert run("report", batch_id, "--watch", "--json").json["counts"][0]["status"] == "ABORTED"
    assert "ABORTED" in run("report", batch_id, "--watch").out
    assert "ABORTED" in run("report", batch_id, "--watch", "--recipient", "46701740612").out


def test_unknown_batches_recipients_and_messages_are_not_found(run):
    batch_id = sent(run, "--to", "46701740611", "Hi")["batch_ids"][0]
    assert run("report", "01KVT7Q4M8Z2X5B9C3D6F00000").code == 1
    assert run("report", batch_id, "--recipient", "46701740699").code == 1
    assert run("report", batch_id, "--recipient", "x").code == 2
    assert run("trace", "46701740699", "--json").code == 1


def test_a_trace_is_found_by_number_and_by_message(run):
    batch_id = sent(run, "--to", "46701740611", "Hi")["batch_ids"][0]
    by_number = run("trace", "+46701740611", "--json").json
    assert by_number[0]["kind"] == "admission"
    assert by_number[0]["message_id"].startswith(batch_id[:22])
    assert run("trace", by_number[0]["message_id"], "--json").json == by_number
    shown = run("trace", "46701740611").out.splitlines()
    assert shown[0].split("\t")[0] == "at"
    assert "to +46 70 174 06 11 (Sweden)" in shown[1]
    assert (by_number[0]["to"], by_number[0]["country"]) == ("46701740611", "Sweden")
    assert "to" not in by_number[-1] or len(by_number) == 1


def test_nothing_in_doubt_is_an_empty_array(run):
    for verb in ("list", "resend", "end"):
        assert run("message", "in-doubt", verb, "--json").json == []
    assert run("message", "in-doubt", "list", "--link", "main").out == "Nothing is in doubt.\n"
    assert run("message", "in-doubt", "resend", "01KVT7Q4M8Z2X5B9C3D6F00001").code == 1


# --- files


@pytest.mark.parametrize(
    "text",
    [
        "46701740611\n46701740612\n",
        "\ufeff+46701740611\r\n\r\n0046701740612",
        "number\n46701740611\n46701740612\n",
        "name,to\nAda,46701740611\nBo,46701740612\n",
        "name;Phone;city\nAda;46701740611;Lund\nBo;46701740612;Umeå\n",
        "46701740611\tAda\n46701740612\tBo\n",
        '"46701740611","Ada, of Lund"\n"46701740612",Bo\n',
    ],
)
def test_number_files_of_many_shapes(tmp_path, text):
    file = tmp_path / "numbers"
    file.write_text(text, encoding="utf-8")
    assert read_number_file(file) == ["46701740611", "46701740612"]


@pytest.mark.parametrize(
    ("octets", "names"),
    [
        (b"46701740611\nnonsense\n", "line 2"),
        (b"name,city\nAda,Lund\n", "line 1"),
        (b"name,to\nAda\n", "line 2"),
        (b"\xff\xfe\n", "--to-file"),
    ],
)
def test_a_file_with_a_line_that_is_no_number_is_refused_whole(tmp_path, octets, names):
    file = tmp_path / "numbers"
    file.write_bytes(octets)
    with pytest.raises(BadInput, match=names):
        read_number_file(file)


def test_an_empty_file_has_no_numbers(tmp_path):
    file = tmp_path / "numbers"
    file.write_text("\n\n")
    assert read_number_file(file) == []
