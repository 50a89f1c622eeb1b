"""What a newcomer does: start the demo, paste the three lines that it prints, see three messages delivered.

The lines go to ``bash`` exactly as printed, one after the other, in one shell.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.server import ServerProcess

FINAL_S = 5.0
END = "-- end of what the line shows --"


def pasted(log: str) -> list[str]:
    """The paragraphs with ``curl`` that the newest start has printed."""
    newest = log[log.rindex("Service plan id") :]
    return [paragraph for paragraph in newest.split("\n\n") if re.search(r"\bcurl ", paragraph) and "-H" in paragraph]


def secrets_of(log: str) -> dict[str, str]:
    """Name and value of each ``Name   value`` line of the newest start."""
    newest = log[log.rindex("Address") :]
    return dict(re.findall(r"^(Address|Service plan id|API token)\s+(\S+)", newest, re.MULTILINE))


class Shell:
    """A ``bash`` to paste into; it keeps its variables from line to line, as a terminal does."""

    def __init__(self) -> None:
        self._bash = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def paste(self, line: str) -> dict[str, Any]:
        """Run a line; gives back the JSON object that it showed."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{line}\necho {END}\n")
        self._bash.stdin.flush()
        shown = list(iter(self._bash.stdout.readline, f"{END}\n"))
        objects = [one for one in shown if one.startswith("{")]
        assert len(objects) == 1, shown
        return cast("dict[str, Any]", json.loads(objects[0]))

    def close(self) -> None:
        """End it."""
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(10)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """One for this test."""
    opened = Shell()
    yield opened
    opened.close()


def paste_until_delivered(shell: Shell, line: str, count: int) -> dict[str, Any]:
    """Paste the line of the full report as a newcomer would: again, while it is not as promised."""
    until = time.monotonic() + FINAL_S
    while True:
        full = shell.paste(line)
        if [(bucket["status"], bucket["count"]) for bucket in full["statuses"]] == [("Delivered", count)]:
            return full
        assert time.monotonic() < until, f"not delivered within {FINAL_S} s: {full}"
        time.sleep(0.1)


@pytest.fixture
def demo(tmp_path: Path, watch) -> Callable[..., ServerProcess]:
    """Start ``kvitto serve --demo`` in this directory."""

    def start(directory: str = "demo") -> ServerProcess:
        return cast("ServerProcess", watch(ServerProcess(tmp_path / directory, arguments=["--demo"])).start())

    return start


def await_log(server: ServerProcess, word: str) -> str:
    """The log, once the word stands in it."""
    until = time.monotonic() + 10
    while word not in server.log():
        assert time.monotonic() < until, server.log_tail()
        time.sleep(0.02)
    time.sleep(0.1)
    return server.log()


def test_the_three_printed_lines_send_and_show_three_delivered_messages(demo, shell: Shell):
    server = demo()
    lines = pasted(await_log(server, "delivery_report/"))
    assert sum("/xms/v1/" in line for line in lines[:3]) == 3, "the first dialect's come first"

    sent = shell.paste(lines[0])
    assert len(sent["to"]) == 3
    full = paste_until_delivered(shell, lines[1], 3)
    one = shell.paste(lines[2])
    assert full["batch_id"] == one["batch_id"] == sent["id"]
    assert full["total_message_count"] == 3
    assert sorted(full["statuses"][0]["recipients"]) == sorted(sent["to"])
    assert (one["status"], one["code"]) == ("Delivered", 0)
    assert one["recipient"] in sent["to"]


def test_a_second_start_keeps_the_account_and_the_data(demo, shell: Shell):
    server = demo()
    first = secrets_of(await_log(server, "delivery_report/"))
    lines = pasted(server.log())
    sent = shell.paste(lines[0])
    paste_until_delivered(shell, lines[1], 3)
    server.stop()
    server.log_path.unlink()
    server.start()

    assert secrets_of(await_log(server, "delivery_report/")) == first
    # The old line, with the old token and the old batch, in the shell that still knows it.
    full = shell.paste(lines[1])
    assert full["batch_id"] == sent["id"]
    assert [(bucket["status"], bucket["count"]) for bucket in full["statuses"]] == [("Delivered", 3)]


def test_another_port_and_data_directory_are_another_house(demo, shell: Shell):
    first, second = demo("one"), demo("two")
    secrets = [secrets_of(await_log(server, "delivery_report/")) for server in (first, second)]
    assert [one["Address"] for one in secrets] == [first.origin, second.origin]
    assert secrets[0]["API token"] != secrets[1]["API token"]
    for server in (first, second):
        lines = pasted(server.log())
        assert server.data_dir.is_dir()
        shell.paste(lines[0])
        paste_until_delivered(shell, lines[1], 3)
