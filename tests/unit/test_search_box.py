"""The search box: every word it knows, and plain words for what cannot be read."""

from zoneinfo import ZoneInfo

import pytest

from kvitto.core.status import Status
from kvitto.reports.search import MOST_CHARACTERS, parse_query
from kvitto.store.office import Look
from tests.support.clock import AFTERNOON_AT as NOW

BATCH = "01KK9EMPQ0DGYP3WQ4PHH20000"


def looked(text: str) -> Look:
    query = parse_query(text, "acc", NOW, ZoneInfo("UTC"))
    assert query.problems == ()
    return query.look


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("to:+46701740611", {"to": "46701740611"}),
        ("to:0046701740611", {"to": "46701740611"}),
        ("46701740611", {"to": "46701740611"}),
        ("+46 70 174 06 11", {"to": "46701740611"}),
        ("to:+1 613-555-0123 status:failed", {"to": "16135550123", "statuses": (Status.FAILED,)}),
        ("status:failed", {"statuses": (Status.FAILED,)}),
        ("status:failed,expired", {"statuses": (Status.FAILED, Status.EXPIRED)}),
        ("status:pending", {"statuses": (Status.QUEUED, Status.DISPATCHED)}),
        (f"batch:{BATCH.lower()}", {"batch_id": BATCH}),
        (BATCH[:22] + "0007", {"batch_id": BATCH}),
        ("ref:invoice-7", {"reference": "invoice-7"}),
        ('ref:"invoice 7"', {"reference": "invoice 7"}),
        ("invoice-7", {"reference": "invoice-7"}),
        ("err:27", {"code": 27}),
        ("err:0x0B", {"code": 11}),
        ("link:main", {"link": "main"}),
        ("since:2h", {"since_at": NOW - 7_200_000}),
        ("since:2026-03-09T14:00", {"since_at": NOW - 300_000}),
        ("since:today", {"since_at": NOW - (14 * 60 + 5) * 60_000}),
        (
            "status:rejected since:1d to:1234",
            {"statuses": (Status.REJECTED,), "since_at": NOW - 86_400_000, "to": "1234"},
        ),
    ],
)
def test_a_search_is_read(text, fields):
    assert looked(text) == Look("acc", **fields)


@pytest.mark.parametrize(
    "text",
    ["to:abc", "status:lost", "batch:7", "err:x", "since:soon", "colour:red", "x" * (MOST_CHARACTERS + 1)],
)
def test_what_cannot_be_read_is_said(text):
    assert len(parse_query(text, None, NOW, ZoneInfo("UTC")).problems) == 1


def test_times_are_in_the_zone_of_the_account():
    query = parse_query("since:2026-03-09T15:00", None, NOW, ZoneInfo("Europe/Stockholm"))
    assert query.look.since_at == NOW - 300_000


def test_a_quotation_mark_without_its_twin_is_no_fault():
    assert parse_query('ref:"x', None, NOW, ZoneInfo("UTC")).look.reference == '"x'
