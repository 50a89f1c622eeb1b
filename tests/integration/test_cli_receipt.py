"""``kvitto receipt parse`` and ``match``: a line out for each line in, in order, at once, and never an end before the
end of the input."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kvitto.smpp.codec import encode
from kvitto.smpp.pdus import DeliverSm
from tests.support.command import Result, kvitto

TEXT = "id:913 stat:DELIVRD err:000 done date:2603091405"
QUESTION: dict[str, Any] = {
    "stored": [
        {"name": "old", "group": "g", "id": "39F99DD5", "destination": "46701234567", "submitted_s": 1, "final": False},
        {"name": "new", "group": "g", "id": "39F99DD5", "destination": "46701234567", "submitted_s": 2, "final": False},
    ],
    "receipt": {
        "group": "g",
        "tlv_id": None,
        "text_id": "0972660181",
        "source_addr": "46701234567",
        "destination_addr": "12345",
    },
}


class Typed:
    """Standard input with these lines."""

    def __init__(self, text: bytes) -> None:
        self.buffer = io.BytesIO(text)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(*words: str, given: bytes) -> Result:
        monkeypatch.setattr(sys, "stdin", Typed(given))
        return kvitto("receipt", *words, data=tmp_path, monkeypatch=monkeypatch)

    return run


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_every_line_has_its_line_in_order(run):
    pdu = encode(DeliverSm(source_addr="1", destination_addr="2", esm_class=4, short_message=TEXT.encode()), 1).hex()
    given = f"{pdu}\n\nnothing\n\xff\n{pdu.upper()}\r\n{pdu[:-4]}\n{pdu}".encode("latin-1")
    kinds = [line["kind"] for line in lines(run("parse", given=given))]
    assert kinds == ["receipt", "unparseable", "unparseable", "unparseable", "receipt", "unparseable", "receipt"]


def test_texts_are_read_in_the_zone_that_is_told(run):
    (line,) = lines(run("parse", "--text", "--tz", "Europe/Stockholm", given=TEXT.encode()))
    assert (line["message_id"], line["done_date"]) == ("913", "2026-03-09T13:05:00Z")


def test_the_time_of_receiving_decides_dates_of_twelve_digits(run):
    given = b"id:1 stat:DELIVRD done date:201112131415"
    late = lines(run("parse", "--text", "--received-at", "2020-11-12T14:00:00Z", given=given))
    early = lines(run("parse", "--text", "--received-at", "1323785700", given=given))
    assert late[0]["done_date"] == "2020-11-12T13:14:15Z"
    assert early[0]["done_date"] == "2011-12-13T14:15:00Z"


def test_a_links_settings_are_used_and_its_zone_can_be_overridden(run, tmp_path: Path):
    config = tmp_path / "kvitto.toml"
    config.write_text(
        '[links.main]\nhost = "h"\ntime_zone = "Asia/Tokyo"\nstat_aliases = { GONE = "DELIVERED" }\n'
        "template = '^(?P<id>\\d+),(?P<stat>\\w+),(?P<done_date>\\d+)$'\n"
    )
    words = ("parse", "--text", "--link", "main", "--config", str(config))
    (line,) = lines(run(*words, given=b"77,gone,2603092305"))
    assert (line["message_id"], line["status"], line["done_date"]) == ("77", "DELIVERED", "2026-03-09T14:05:00Z")
    assert lines(run(*words, "--tz", "UTC", given=b"77,gone,2603092305"))[0]["done_date"] == "2026-03-09T23:05:00Z"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("parse", "--link", "none"), "no link is called none"),
        (("parse", "--tz", "Mars/Phobos"), "--tz"),
        (("parse", "--received-at", "soon"), "--received-at"),
        (("match", "--settings", "submit_id=octal"), "submit_id is one of text, dec, hex, auto"),
        (("match", "--settings", "base=hex"), "submit_id and receipt_id"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_read(run, words: tuple[str, ...], says: str):
    result = run(*words, given=b"x\n")
    assert result.code
    assert says in result.err
    assert not result.out


def test_an_answer_comes_before_the_next_question(tmp_path: Path):
    command = [sys.executable, "-m", "kvitto", "receipt", "parse", "--text", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (b"1", b"2"):
            process.stdin.write(b"id:" + number + b" stat:DELIVRD\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["message_id"] == number.decode()
        process.stdin.close()
        assert process.wait(10) == 0


def test_match_answers_by_the_servers_rules(run):
    known = QUESTION | {"stored": [one | {"final": one["name"] == "new"} for one in QUESTION["stored"]]}
    other = QUESTION | {"receipt": QUESTION["receipt"] | {"group": "h"}}
    several = QUESTION | {"stored": [QUESTION["stored"][0], QUESTION["stored"][1] | {"id": "039f99dd5"}]}
    given = "\n".join(json.dumps(one) for one in (QUESTION, known, other, several)).encode()
    assert lines(run("match", "--settings", "submit_id=auto,receipt_id=auto", given=given)) == [
        {"result": "new", "level": 3},
        {"result": "old", "level": 3},
        {"result": "park", "level": None},
        {"result": "ambiguous", "level": None},
    ]


def test_match_keeps_to_what_the_link_says_of_its_ids(run):
    given = json.dumps(QUESTION).encode()
    assert lines(run("match", "--settings", "submit_id=hex,receipt_id=dec", given=given))[0]["level"] == 3
    assert lines(run("match", "--settings", "submit_id=text,receipt_id=text", given=given))[0]["result"] == "park"


def test_match_answers_lines_that_are_no_question(run):
    given = b'nothing\n{"stored": 5}\n\n' + json.dumps(QUESTION).encode() + b"\n"
    answers = lines(run("match", given=given))
    assert [answer["result"] for answer in answers] == [None, None, None, "new"]
    assert all(answer["error"] for answer in answers[:3])
