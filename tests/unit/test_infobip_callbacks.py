"""Pushes at Infobip (docs/dialects/infobip.md 7): shapes, formats, what goes together, retries, who is told."""

import json

import pytest

from kvitto.core.model import BatchReport, CallbackDue, ContentKind, Notify
from kvitto.core.status import Note, Reason, Status
from tests.support.infobip import DIALECT, NOW, TWO, account, message

URL = "http://127.0.0.1:9000/dlr"


def due(number=1, *, url=URL, attempts=0, first_failed_at=None, **fields):
    return CallbackDue(number, "a1", "infobip", url, message(**fields), False, attempts, NOW, first_failed_at)


def rendered(*dues):
    return DIALECT.render(dues, account())


def test_i7_version_1_pushes_the_answer_of_version_1():
    shown = json.loads(rendered(due(client_reference="shop=3"), due(2, recipient=TWO)))
    assert [one["to"] for one in shown["results"]] == ["41790000001", TWO]
    assert shown["results"][0]["callbackData"] == "shop=3"
    assert shown["results"][0]["smsCount"] == 1
    assert DIALECT.headers(due(), b"", account(), secret="whsec_x", nonce="n", now=NOW) == [
        ("Content-Type", "application/json;charset=UTF-8")
    ]


def test_i7_version_3_pushes_the_answer_of_version_3():
    shown = json.loads(rendered(due(extra={"v": 3})))
    assert shown["results"][0]["messageCount"] == 1
    assert shown["results"][0]["sender"] == "Bakery"


@pytest.mark.parametrize(
    ("extra", "root"), [({"xml": True}, b"reportResponse"), ({"v": 3, "xml": True}, b"DeliveryReports")]
)
def test_i7_xml_begins_with_its_root(extra, root):
    body = rendered(due(extra=extra, client_reference="a<b&c"))
    assert body.startswith(b"<" + root + b"><results><result><bulkId>")
    assert b"<callbackData>a&lt;b&amp;c</callbackData>" in body
    assert b"<permanent>false</permanent>" in body
    assert body.endswith(b"</result></results></" + root + b">")
    assert DIALECT.headers(due(extra=extra), body, account(), secret="whsec_x", nonce="n", now=NOW) == [
        ("Content-Type", "application/xml;charset=UTF-8")
    ]


def test_i7_the_same_facts_are_the_same_octets():
    assert rendered(due(), due(2)) == rendered(due(), due(2))


def test_i7_what_shares_a_call():
    together = DIALECT.together
    assert DIALECT.most_per_callback == 100
    assert together(due()) == together(due(2, recipient=TWO, client_reference="other"))
    others = [due(url=URL + "2"), due(extra={"v": 3}), due(extra={"xml": True}), due()._replace(account_id="a2")]
    assert len({together(one) for one in [due(), *others]}) == 5


def judged(status, *, attempts=0, first_failed_at=None, now=NOW):
    given = due(attempts=attempts, first_failed_at=first_failed_at)
    return DIALECT.judge(given, account(), status, b"", None, now)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_i7_any_2xx_acknowledges(status):
    assert judged(status).done


@pytest.mark.parametrize("status", [None, 199, 301, 400, 404, 410, 429, 500, 503])
def test_i7_anything_else_is_tried_again(status):
    decision = judged(status)
    assert (decision.done, decision.retry_at) == (False, NOW + 60_000)


def test_i7_the_schedule_of_retries():
    waits = [1 + n * n for n in range(20)]
    at_min, found = 0, []
    for attempts in range(20):
        at_min += waits[attempts]
        found.append((judged(500, attempts=attempts, first_failed_at=NOW).retry_at - NOW) / 60_000)
        assert found[-1] == at_min
    assert found[:7] == [1, 3, 8, 18, 35, 61, 98]
    assert found[-1] == 41 * 60 + 30
    assert judged(500, attempts=20, first_failed_at=NOW).retry_at is None


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (None, Notify.NONE),
        (Notify.NONE, Notify.NONE),
        (Notify.FINAL, Notify.FINAL),
        (Notify.CHANGES, Notify.FINAL),
        (Notify.BATCH_FULL, Notify.FINAL),
        (Notify.BATCH_SUMMARY, Notify.FINAL),
        (Notify.ATTEMPTS, Notify.ATTEMPTS),
    ],
)
def test_status_8_what_other_dialects_asked_for(wanted, told):
    assert DIALECT.notify_of(wanted, account()) is told


def test_i7_an_intermediate_report_has_group_1_and_the_temporary_error():
    error = message().error._replace(net_type=3, net_code=27)
    body = json.loads(rendered(due(status=Status.DISPATCHED, reason=Reason.RETRYING_SMSC, error=error, done_at=None)))
    assert body["results"][0]["status"]["name"] == "PENDING_WAITING_DELIVERY"
    assert (body["results"][0]["error"]["name"], body["results"][0]["error"]["permanent"]) == (
        "EC_ABSENT_SUBSCRIBER",
        False,
    )


def test_i7_what_is_told_by_the_accounts_settings():
    pending = due(status=Status.DISPATCHED, reason=Reason.ACCEPTED)
    late = due(notes=Note.LATE)
    first = due(status=Status.UNKNOWN, reason=Reason.NO_RECEIPT, notes=Note.LATE)
    for one in (pending, late, first, due()):
        assert DIALECT.tells(one, account())
    assert not DIALECT.tells(pending, account(final_only=True))
    assert DIALECT.tells(due(), account(final_only=True, late_corrections=False))
    assert not DIALECT.tells(late, account(late_corrections=False))
    assert DIALECT.tells(first, account(late_corrections=False))
    report = BatchReport("b", "a1", 1, None, ContentKind.TEXT, True, ())
    assert not DIALECT.tells(due()._replace(facts=report), account())
