"""P17: a callback leaves right after its receipt, by hand-over and not by a poll, on a real server.

The percentiles under load are ``make bench``'s and ``make bench-callbacks``'; here nothing is loaded and half of the
callbacks must keep the bound: a machine that others use does not fail it, and a sender that waits for its poll does.
"""

import json
import statistics
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.support.pcluster import Rig
from tests.support.sink import Received

pytestmark = pytest.mark.slow

MESSAGES = 30
BOUND_S = 0.25


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


def test_p17_a_callback_is_posted_within_250_ms_of_its_receipt(tmp_path: Path, dsn, watch, monkeypatch):
    rig = Rig(tmp_path, dsn=dsn, delay_ms=(0.0, 20.0))
    watch(rig.server)
    receipt_at: dict[str, float] = {}
    record = rig.smsc.record
    noted = record.receipt_sent

    def receipt_sent(destination: str, message_id: str, tries: int) -> None:
        receipt_at.setdefault(destination, time.monotonic())
        noted(destination, message_id, tries)

    monkeypatch.setattr(record, "receipt_sent", receipt_sent)
    with rig:
        waits_s = []
        for number in range(MESSAGES):
            to = str(46_700_000_000 + number)
            send(rig, to)
            (told,) = rig.sink.wait_for(partial(told_of, to))
            waits_s.append(told.at - receipt_at[to])
    assert statistics.median(waits_s) <= BOUND_S, sorted(waits_s)


def told_of(to: str, received: list[Received]) -> list[Received]:
    """The callbacks of this recipient."""
    return [one for one in received if one.json.get("recipient") == to]


def send(rig: Rig, to: str) -> None:
    """One message that asks for the callback of its end."""
    body = {
        "from": "Kvitto",
        "to": [to],
        "body": "hello",
        "delivery_report": "per_recipient_final",
        "callback_url": rig.sink.url,
    }
    headers = {"Authorization": f"Bearer {rig.keys.api_token}", "Content-Type": "application/json"}
    url = f"{rig.server.origin}/xms/v1/{rig.keys.service_plan_id}/batches"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
        assert answer.status == 201
