"""What the real client libraries send, replayed octet by octet (docs/dialects/infobip.md 11)."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from kvitto.core.operations import Send
from kvitto.dialects.infobip.times import write_date
from tests.support.infobip import BATCH_ID, DIALECT, NOW, account, call, route_of, stored

LINES = json.loads((Path(__file__).parent / "infobip_examples" / "sdk_requests.json").read_text())


def lines():
    return [
        pytest.param(line, id=f"{sdk}-{number}-{line['request'][:40]}")
        for sdk, given in LINES.items()
        for number, line in enumerate(given, 1)
    ]


def facts(operation: Any) -> dict[str, Any]:
    """Everything that the examples tell of an operation, by the names they use."""
    known: dict[str, Any] = {"operation": type(operation).__name__}
    if isinstance(operation, Send):
        submission = operation.submission
        return known | {
            "recipients": list(submission.recipients),
            "sender": submission.sender,
            "text": submission.content.text,
            "flash": submission.content.flash,
            "client_id": submission.client_id,
            "client_ids": list(submission.client_ids),
            "data": submission.client_reference,
            "validity_min": submission.expire_at and (submission.expire_at - NOW) // 60_000,
            "more": [list(text.recipients) for text in submission.more],
        }
    for name in ("limit", "cursor", "batch_id", "state"):
        known[name] = getattr(operation, name, None)
    if getattr(operation, "send_at", None) is not None:
        known["send_at"] = write_date(operation.send_at)
    chosen = getattr(operation, "filter", None)
    if chosen is not None:
        known |= {name: list(getattr(chosen, name)) for name in ("batch_ids", "message_ids") if hasattr(chosen, name)}
        known["recipient"] = getattr(chosen, "recipient", None)
        from_at = getattr(chosen, "from_at", None)
        known["from_at"] = from_at and write_date(from_at)
    return known


@pytest.mark.parametrize("line", lines())
def test_i11_what_clients_send(line):
    method, target = line["request"].split(" ")
    headers = {name.lower(): value for name, value in line["headers"].items()}
    body = line.get("body")
    made = call(
        method,
        target,
        body.encode() if body else None,
        headers=headers,
        content_type=headers.get("content-type", ""),
    )
    route = route_of(method, urlsplit(target).path)
    operation = route.read(made, account())
    presented = DIALECT.credentials(made)
    assert presented is not None
    found = facts(operation) | presented._asdict()
    expected = line["means"]
    assert {name: found.get(name) for name in expected} == expected
    if "answers" in line:
        assert isinstance(operation, Send)
        answer = route.write(operation, stored(operation.submission))
        shown = json.loads(answer.body)
        wanted = line["answers"]
        assert {tuple(sorted(item)) for item in shown["messages"]} == {tuple(wanted["items"])}
        assert shown.get("bulkId", BATCH_ID) in (wanted.get("bulkId"), BATCH_ID)
        assert answer.content_type == "application/json;charset=UTF-8"
