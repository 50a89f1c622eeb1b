"""What the real client libraries send, read line by line (docs/dialects/sinch.md 15)."""

import json
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.model import Notify
from kvitto.core.status import NO_ERROR, Reason, Status
from kvitto.dialects.sinch.times import write_timestamp
from tests.support.sinch import BATCH_ID, NOW, account, at, batch_of, read, refusal, send

LINES = json.loads((Path(__file__).parent / "sinch_examples" / "sdk_requests.json").read_text())
RECORDS = {
    "Delivered/0": (Status.DELIVERED, Reason.DELIVERED, NO_ERROR),
    "Failed/0": (Status.FAILED, Reason.UNDELIVERABLE, NO_ERROR),
    "Deleted/0": (Status.DELETED, Reason.DELETED_SMSC, NO_ERROR),
    "Queued/400": (Status.QUEUED, Reason.QUEUED, NO_ERROR),
}


def lines():
    return [
        pytest.param(line, id=f"{sdk}-{number}-{line['request'][:40]}")
        for sdk, given in LINES.items()
        for number, line in enumerate(given, 1)
    ]


def facts(operation):
    """Everything that the examples tell of an operation, by the names they use."""
    known: dict[str, Any] = {"operation": type(operation).__name__}
    submission = getattr(operation, "submission", None)
    if known["operation"] == "Revise":
        submission = operation.change(batch_of(send(to=["46701740611", "46701740612"])))
    if submission is not None:
        content = submission.content
        known |= {
            "recipients": list(submission.recipients),
            "sender": submission.sender,
            "notify": (submission.notify or Notify.NONE).value,
            "text": content.text,
            "data": content.data,
            "udh": content.udh,
            "client_reference": submission.client_reference,
            "feedback": submission.feedback,
            "send_at": submission.send_at and write_timestamp(submission.send_at),
        }
    else:
        chosen = getattr(operation, "filter", None)
        if chosen is not None:
            known |= {name: getattr(chosen, name) for name in ("client_reference", "from_at", "to_at")}
            known |= {name: known[name] and write_timestamp(known[name]) for name in ("from_at", "to_at")}
            known["senders"] = list(getattr(chosen, "senders", ()))
        recipients = getattr(operation, "recipients", None)
        known["with_recipients"] = recipients
        known["recipients"] = list(recipients) if isinstance(recipients, tuple) else recipients
        known["recipient"] = getattr(operation, "recipient", None)
    for name in ("page", "page_size", "per_recipient", "limit"):
        known[name] = getattr(operation, name, None)
    return known


@pytest.mark.parametrize("line", lines())
def test_s15_every_request_of_the_sdks_is_understood(line):
    method, target = line["request"].split(" ", 1)
    if "refused" in line:
        assert list(refusal(method, target, line["body"])[:2]) == line["refused"]
        return
    operation = read(method, target, line.get("body"), owner=account(), now=NOW)
    expected = dict(line["becomes"])
    shows: Any = getattr(operation, "shows", None) or getattr(getattr(operation, "filter", None), "shows", None)
    for record in expected.pop("shows", []):
        assert shows(*RECORDS[record])
    for record in expected.pop("hides", []):
        assert not shows(*RECORDS[record])
    found = facts(operation)
    assert {name: found[name] for name in expected} == expected
    assert getattr(operation, "batch_id", BATCH_ID) == BATCH_ID


def test_s15_4_a_client_in_the_wild_asks_for_callbacks_and_names_no_url():
    body = {"from": "46701740605", "to": ["46701740611"], "body": "x", "delivery_report": "per_recipient"}
    operation = read("POST", "/batches", body, owner=account(callback_url="https://shop.example/dlr"))
    assert operation.submission.notify.value == "changes"


def test_s15_4_credentials_are_checked_with_a_small_list():
    operation = read("GET", "/batches?page=0&page_size=1")
    assert (operation.page, operation.page_size, operation.filter.to_at) == (0, 1, None)
    assert operation.filter.from_at == at("2031-03-08T05:06:01.120Z")
