"""docs/callbacks.md is what the code does: its made parts, its example, and the names in it (P10, P11, P18)."""

import base64
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks

from kvitto.callbacks import standard
from kvitto.callbacks.page import PARTS, document
from kvitto.callbacks.signing import TOLERANCE_S, callback_lines, verify
from kvitto.core.breaker import DISABLE_AFTER_MS, FIRST_PROBE_MS, LAST_PROBE_MS, LEAST_ATTEMPTS, SHARE, WINDOW_MS
from kvitto.core.endpoint import OVERLAP_MS
from kvitto.core.model import CallbackDue
from kvitto.core.secrets import LEAST_OCTETS, MOST_OCTETS
from kvitto.core.status import Reason, Status
from kvitto.dialects.infobip.callbacks import RETRIES
from kvitto.dialects.ninebits.callbacks import OFFSETS_S
from tests.support.sinch import message

NOW = 1_773_065_100_000
PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text()


def test_p10_the_made_parts_are_what_the_code_makes():
    assert document(PAGE) == PAGE, "make docs"


def test_a_page_without_a_place_for_a_part_is_refused():
    with pytest.raises(ValueError, match="schedules"):
        document(PAGE.replace("<!-- schedules: end -->", ""))


def rows(part: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in PARTS[part]().splitlines()[2:]]
    return {cells[0]: [cell.strip() for cell in cells[1:]] for cells in lines}


def seconds(text: str) -> int:
    unit = {"h": 3600, "min": 60, "s": 1}
    return sum(int(count) * unit[name] for count, name in re.findall(r"(\d+) (h|min|s)\b", text))


def column(at: int) -> list[int]:
    shown = rows("schedules")
    cells = [shown[str(retry)][at] for retry in range(1, 21) if len(shown[str(retry)]) > at]
    return [seconds(cell) for cell in cells if cell]


def test_p10_the_schedules_are_those_of_the_promise():
    assert column(0) == [5 * 2**retry for retry in range(15)]
    assert column(0)[-1] == 81_920
    infobip = column(1)
    assert [late - early for early, late in zip([0, *infobip], infobip, strict=False)] == [
        60 * (1 + n * n) for n in range(RETRIES)
    ]
    assert column(2) == list(OFFSETS_S)
    assert column(3) == [round(offset) for offset in standard.OFFSETS_S]
    waits = [5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))]
    assert [late - early for early, late in zip([0, *column(3)], column(3), strict=False)] == waits
    assert rows("schedules")["jitter"] == ["none", "none", "up to 10 % later", "none"]


def fields_and_body() -> tuple[dict[str, str], bytes, str, str]:
    """The example's head and body, its secret, and what it says is signed."""
    head, body = re.findall(r"```http\nPOST [^\n]*\n(.*?)\n\n(.*?)\n```", PAGE, re.DOTALL)[0]
    (secret,) = re.findall(r"The secret is `(whsec_[^`]*)`", PAGE)
    (signed,) = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    return dict(line.split(": ", 1) for line in head.splitlines()), body.encode(), secret, signed


def test_p18_the_example_is_genuine_to_the_octet():
    fields, body, secret, signed = fields_and_body()
    at = int(fields["webhook-timestamp"])
    assert verify(fields, body, [secret], at * 1000).is_genuine
    assert int(fields["Content-Length"]) == len(body)
    assert signed.encode() == b"%b.%d.%b" % (fields["webhook-id"].encode(), at, body)
    library = standardwebhooks.Webhook(secret)
    made = library.sign(fields["webhook-id"], datetime.fromtimestamp(at, UTC), body.decode())
    assert made == fields["webhook-signature"]


def test_p18_the_shell_lines_give_the_examples_signature(tmp_path):
    fields, _, secret, signed = fields_and_body()
    (tmp_path / "signed").write_text(signed + "\n")
    (script,) = re.findall(r"```sh\n(KEY=.*?)```", PAGE, re.DOTALL)
    assert secret.removeprefix("whsec_") in script
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"v1,{done.stdout.strip()}" == fields["webhook-signature"]
    assert len(base64.b64decode(done.stdout)) == 32


def test_the_figures_in_its_words_are_the_codes():
    assert OVERLAP_MS == 24 * 3_600_000
    assert TOLERANCE_S == 300
    assert (LEAST_ATTEMPTS, SHARE, WINDOW_MS) == (10, 0.7, 5 * 60_000)
    assert (FIRST_PROBE_MS, LAST_PROBE_MS, DISABLE_AFTER_MS) == (30_000, 15 * 60_000, 5 * 86_400_000)
    assert (LEAST_OCTETS, MOST_OCTETS) == (24, 64)
    assert max(max(column(at)) for at in range(4)) < 76 * 3600


def due() -> CallbackDue:
    facts = message(Status.DELIVERED, Reason.DELIVERED)
    return CallbackDue(1, "a1", "sinch", "https://shop.example/", facts, False, 0, NOW, None)


def head() -> list[str]:
    """The names of the fields that all callbacks carry."""
    return [line.partition(":")[0] for line in callback_lines((due(),), b"", ("whsec_x",), NOW).decode().splitlines()]


def test_every_field_that_goes_out_is_on_the_page():
    fields, *_ = fields_and_body()
    for name in [*head(), "Content-Type"]:
        assert name in fields
        assert f"`{name}`" in PAGE
