"""The vendors' pages that the project began from, replayed: what they name, show and promise is what is here.

What the pages have as examples and tables lies in ``ninebits_examples`` and ``sinch_examples``, as they show it.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.model import BatchReport, CallbackDue, ContentKind, MessagePage, MessageView, StatusCount
from kvitto.core.status import FINAL, NO_ERROR, REASONS_OF, Reason, Status
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.sinch import ROUTES, SinchDialect, responses
from tests.support import ninebits, sinch

HERE = Path(__file__).parent
NINEBITS, SINCH = NinebitsDialect(), SinchDialect()


def page(folder: str, name: str) -> Any:
    return json.loads((HERE / f"{folder}_examples" / f"{name}.json").read_text())


def ninebits_body(status: Status, reason: Reason) -> dict[str, str]:
    facts = ninebits.message(status, reason)
    due = CallbackDue(1, "a1", "ninebits", ninebits.CALLBACK, facts, False, 0, ninebits.NOW, None)
    return dict(json.loads(NINEBITS.render((due,), ninebits.account())))


# --- 9bits: Delivery Reports


def test_9bits_the_payload_has_the_pages_fields_in_its_order_and_types():
    body = ninebits_body(Status.DELIVERED, Reason.DELIVERED)
    rows = page("ninebits", "payload")
    assert list(body) == [row["name"] for row in rows]
    for row in rows:
        value = body[row["name"]]
        assert isinstance(value, str)
        if row["type"] == "datetime":
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value)
    assert (body["sub"], body["dlvrd"], body["error_code"]) == ("001", "001", "000")
    assert ninebits_body(Status.FAILED, Reason.UNDELIVERABLE)["dlvrd"] == "000"


def test_9bits_the_statuses_are_the_pages_and_end_where_it_says():
    kinds = {row["status"]: row["type"] for row in page("ninebits", "statuses")}
    seen = set()
    for status in Status:
        for reason in REASONS_OF[status]:
            name = ninebits_body(status, reason)["status"]
            assert kinds[name] == ("Final" if status in FINAL else "Intermediate")
            seen.add(name)
    assert seen == set(kinds)


@pytest.mark.parametrize(("code", "done"), [(200, True), (400, False)])
def test_9bits_the_receivers_answers_of_the_page_mean_what_it_says(code, done):
    octets = (HERE / "ninebits_examples" / f"answer_{code}.json").read_bytes()
    facts = ninebits.message(Status.DELIVERED, Reason.DELIVERED)
    due = CallbackDue(1, "a1", "ninebits", ninebits.CALLBACK, facts, False, 0, ninebits.NOW, None)
    decision = NINEBITS.judge(due, ninebits.account(), code, octets, None, ninebits.NOW)
    assert (decision.done, decision.retry_at) == (done, None)


def test_9bits_a_400_of_ours_uses_the_pages_word():
    assert ninebits.refusal(to="x")[1] == page("ninebits", "answer_400")["error"]


def test_9bits_reports_can_be_fetched_as_well_and_are_the_same():
    route, _ = ninebits.route_of("GET", f"/ng/v1/deliveryreports/{ninebits.BATCH_ID}")
    operation = ninebits.read("GET", f"/ng/v1/deliveryreports/{ninebits.BATCH_ID}")
    view = ninebits.message(Status.DELIVERED, Reason.DELIVERED)
    fetched = ninebits.shown(route.write(operation, MessagePage(1, [view])))["data"][0]
    assert fetched == ninebits_body(Status.DELIVERED, Reason.DELIVERED)


# --- Sinch: Delivery reports


def test_sinch_every_operation_of_the_page_is_there():
    templates = {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in ROUTES}
    for operation in page("sinch", "vendor_page")["operations"]:
        assert (operation["method"], re.sub(r"{\w+}", "{}", operation["path"])) in templates, operation["name"]


def facts_of(wish: str, kind: ContentKind) -> MessageView | BatchReport:
    if wish.startswith("per_recipient"):
        return sinch.message(Status.DELIVERED, Reason.DELIVERED, kind=kind)
    count = StatusCount(Status.DELIVERED, Reason.DELIVERED, NO_ERROR, 1, ("46701740611",))
    return BatchReport(sinch.BATCH_ID, "a1", 1, None, kind, True, (count,))


@pytest.mark.parametrize("wish", ["summary", "full", "per_recipient", "per_recipient_final"])
def test_sinch_each_delivery_report_value_makes_the_type_that_the_page_names(wish):
    told = page("sinch", "vendor_page")
    seen = []
    for kind in (ContentKind.TEXT, ContentKind.MEDIA):
        facts = facts_of(wish, kind)
        due = CallbackDue(1, "a1", "sinch", "https://shop.example/dlr", facts, wish == "full", 0, sinch.NOW, None)
        body = json.loads(SINCH.render((due,), sinch.account()))
        seen.append(body["type"])
        if "statuses" in body:
            assert ("recipients" in body["statuses"][0]) == (wish == "full"), "only a full report has the numbers"
        else:
            assert body["recipient"] == "46701740611"
    assert seen == [told["callbacks"][wish], told["callbacks"][wish].replace("sms", "mms")]
    assert set(seen) <= set(told["types"])


def test_sinch_a_report_is_read_as_it_is_called_back():
    view = sinch.message(Status.DELIVERED, Reason.DELIVERED)
    due = CallbackDue(1, "a1", "sinch", "https://shop.example/dlr", view, False, 0, sinch.NOW, None)
    assert responses.write_recipient_report(None, view).body == SINCH.render((due,), sinch.account())
