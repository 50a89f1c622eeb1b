"""Masks, the log pipeline, and the lists of names."""

import io
import json
import logging
from pathlib import Path

import pytest

from kvitto.telemetry import (
    METRICS,
    configure,
    get_logger,
    mask_fields,
    mask_line,
    mask_number,
    mask_secrets,
    metrics_page,
    write_metrics,
)


@pytest.fixture
def lines():
    """Configures JSON logs into memory; gives a function that reads what was logged so far."""
    stream = io.StringIO()
    configure(level="debug", format="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    configure()


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+46701234567", "+********567"),
        ("46701234567", "********567"),
        ("+46 70-123 45 67", "+** **-*** *5 67"),
        ("1234567", "****567"),
        ("123456", "123456"),
        ("Kvitto", "Kvitto"),
        ("", ""),
    ],
)
def test_numbers_keep_their_last_three_digits_and_short_codes_all(number, shown):
    assert mask_number(number) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("whsec_c2VjcmV0IHNlY3JldA==", "***"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
        ("App 0123456789abcdef-key", "App ***"),
        ("postgresql://kvitto:hunter2@db:5432/x", "postgresql://kvitto:***@db:5432/x"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ('{"api_token": "abc123", "x": 1}', '{"api_token": "***", "x": 1}'),
        ("https://a/cb?token=hunter2&x=1", "https://a/cb?token=***&x=1"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "***"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_secrets_are_starred_wherever_they_stand(text, shown):
    assert mask_secrets(text) == shown


def test_values_that_a_database_library_appends_are_cut():
    line = mask_line("(UniqueViolation) duplicate key\nDETAIL: Key (to)=(46701234567, hello you) exists")
    assert "hello" not in line
    assert "46701234567" not in line
    assert mask_line("x [parameters: ('hello', 1)]") == "x [parameters: ***"


def test_fields_show_what_the_table_allows():
    shown = mask_fields(
        {
            "message_id": "01J5V3ZQ1234567890ABCDEFGH",
            "recipient": 46701234567,
            "to": ["+46701234567", "46707654321"],
            "text": "hello you",
            "raw": b"\x00\x01",
            "password": "hunter2",
            "took_ms": 1234567,
            "something_new": "called 46701234567 with whsec_abcdef",
            "nested": {"to": "46701234567", "token": "hunter2", "n": 3},
        }
    )
    assert shown == {
        "message_id": "01J5V3ZQ1234567890ABCDEFGH",
        "recipient": "********567",
        "to": ["+********567", "********321"],
        "text": "<9>",
        "raw": "<2>",
        "password": "***",
        "took_ms": 1234567,
        "something_new": "called ********567 with ***",
        "nested": {"to": "********567", "token": "***", "n": 3},
    }


def test_numbers_can_be_shown_on_purpose_but_texts_and_secrets_never():
    shown = mask_fields({"to": "46701234567", "text": "hello", "token": "hunter2"}, numbers=False)
    assert shown == {"to": "46701234567", "text": "<5>", "token": "***"}


def test_a_log_line_is_an_event_with_masked_fields(lines):
    get_logger(link="main").info("receipt.parked", recipient="46701234567", text="hello")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "receipt.parked",
        "level": "info",
        "link": "main",
        "recipient": "********567",
        "text": "<5>",
    }


def test_tracebacks_are_masked(lines):
    try:
        raise ValueError("46701234567 says password=hunter2")
    except ValueError:
        get_logger().exception("service.failed", service="test")
    (line,) = lines()
    assert "test_tracebacks_are_masked" in line["exception"]
    assert "46701234567" not in line["exception"]
    assert "hunter2" not in line["exception"]


def test_lines_of_other_libraries_go_the_same_way(lines):
    logging.getLogger("asyncio").warning("lost %s of Bearer abcdefgh", "46701234567")
    logging.getLogger("sqlalchemy").debug("not even looked at")
    (line,) = lines()
    assert line["event"] == "library.logged"
    assert line["logger"] == "asyncio"
    assert line["error"] == "lost ********567 of Bearer ***"


def test_lines_below_the_level_are_dropped():
    stream = io.StringIO()
    configure(level="warning", format="console", stream=stream)
    get_logger().info("link.bound")
    get_logger().warning("link.lost", link="main")
    configure()
    assert "link.bound" not in stream.getvalue()
    assert "link.lost" in stream.getvalue()
    assert "\x1b" not in stream.getvalue(), "no colours into a file"


def test_metric_names_are_unique_and_name_their_unit():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("kvitto_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_p22_no_metric_is_labelled_with_a_subscriber_or_a_secret():
    labels = {label for metric in METRICS for label in metric.labels}
    assert labels == {"link", "class", "outcome", "level", "group", "what", "state"}


def test_metrics_are_written_with_their_help_and_what_cannot_be_read_is_left_out():
    samples = {"kvitto_link_binds": [(("main",), 2)], "kvitto_incoming_total": [(("main",), 3), (('a"b',), 4)]}
    assert write_metrics(samples).decode().splitlines() == [
        "# HELP kvitto_link_binds Binds that stand",
        "# TYPE kvitto_link_binds gauge",
        'kvitto_link_binds{link="main"} 2.0',
        "# HELP kvitto_incoming_total Incoming messages",
        "# TYPE kvitto_incoming_total counter",
        'kvitto_incoming_total{link="main"} 3.0',
        'kvitto_incoming_total{link="a\\"b"} 4.0',
    ]


def test_the_page_of_the_metrics_is_made_from_the_table():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page(), "run `make docs`"
