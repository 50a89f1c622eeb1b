"""Sending at Infobip, section by section of docs/dialects/infobip.md: forms, limits, defaults, answers."""

import json
import re
from typing import Any

import pytest

from kvitto.core.model import ContentKind, DeliveryWindow, Feed, Notify
from kvitto.core.operations import Send
from kvitto.core.status import Reason
from kvitto.dialects.base import Answer, Problem
from kvitto.dialects.infobip import InfobipDialect
from tests.support.infobip import BATCH_ID, DIALECT, NOW, ONE, THREE, TWO, account, answered, at, read, refusal, stored

SINGLE, MULTI, ADVANCED = "/sms/1/text/single", "/sms/1/text/multi", "/sms/1/text/advanced"
V2, V3 = "/sms/2/text/advanced", "/sms/3/messages"
DAY_MS, MINUTE_MS = 86_400_000, 60_000
URL = "http://127.0.0.1:9000/dlr"


def one(target=ADVANCED, **fields):
    """The submission of a request with one text to ONE and what is named."""
    if target == V3:
        body = {"messages": [{"destinations": [{"to": ONE}], "content": {"text": "x"}} | fields]}
    elif target in (MULTI, ADVANCED, V2):
        body = {"messages": [{"destinations": [{"to": ONE}], "text": "x"} | fields]}
    else:
        body = {"to": ONE, "text": "x"} | fields
    return read("POST", target, body).submission


def violation(target, body, **more):
    """The field that a refusal names; the status is 400."""
    status, shown = refusal("POST", target, body, **more)
    assert status == 400, shown
    if target.startswith("/sms/3"):
        assert set(shown) == {"errorCode", "description", "action", "violations", "resources"}
        assert shown["errorCode"] == "E400"
        return shown["violations"][0]["property"]
    exception = shown["requestError"]["serviceException"]
    assert exception["messageId"] == "BAD_REQUEST"
    return next(iter(exception.get("validationErrors", {"": None})))


def bad(target=ADVANCED, top=None, **fields):
    """The field that is named when one text with these fields is refused."""
    text = {"destinations": [{"to": ONE}]} | ({"content": {"text": "x"}} if target == V3 else {"text": "x"}) | fields
    return violation(target, {"messages": [text]} | (top or {}))


def statuses(shown):
    return [item["status"]["id"] for item in shown["messages"]]


# --- 1: conventions


@pytest.mark.parametrize("given", [ONE, "+" + ONE, "00" + ONE, f" {ONE} "])
def test_i1_numbers_become_bare_digits(given):
    assert one(SINGLE, to=given).recipients == (ONE,)


@pytest.mark.parametrize("given", ["12345", "123456789012345"])
def test_i1_numbers_have_5_to_15_digits(given):
    assert one(SINGLE, to=given).recipients == (given,)


@pytest.mark.parametrize("given", ["1234", "1234567890123456", "+", "4179x", "٤١٧٩٠٠٠٠٠٠١", "0000000000", "41 790 000"])
def test_i3_5_a_bad_number_is_an_item_52(given):
    shown = answered("POST", SINGLE, {"to": [ONE, given], "text": "x"})
    assert statuses(shown) == [7, 52]
    assert shown["messages"][1]["to"] == given
    assert shown["messages"][1]["status"] == {
        "groupId": 5,
        "groupName": "REJECTED",
        "id": 52,
        "name": "REJECTED_DESTINATION",
        "description": "Invalid destination address",
    }


def test_i1_a_number_of_more_characters_than_the_version_has_is_bad():
    for target, most in ((SINGLE, 50), ("/sms/2/text/single", 50)):
        assert one(target, to=" " * (most - 11) + ONE).recipients == (ONE,)
        assert statuses(answered("POST", target, {"to": [" " * (most - 10) + ONE], "text": "x"})) == [52]
    for spaces, status in ((53, 26), (54, 52)):
        body = {"messages": [{"destinations": [{"to": " " * spaces + ONE}], "content": {"text": "x"}}]}
        assert statuses(answered("POST", V3, body)) == [status]


def test_i1_null_is_absent_everywhere():
    fields = [
        "from",
        "bulkId",
        "callbackData",
        "notifyUrl",
        "notifyContentType",
        "notify",
        "intermediateReport",
        "validityPeriod",
        "sendAt",
        "deliveryTimeWindow",
        "flash",
        "isFlash",
        "language",
        "transliteration",
        "regional",
        "entityId",
        "applicationId",
        "campaignReferenceId",
        "to",
    ]
    assert one(**dict.fromkeys(fields)) == one()
    top = dict.fromkeys(["bulkId", "tracking", "sendingSpeedLimit", "urlOptions", "includeSmsCountInResponse"])
    body = {"messages": [{"destinations": [{"to": ONE, "messageId": None}], "text": "x"}]}
    assert read("POST", ADVANCED, body | top) == read("POST", ADVANCED, body)


def test_i1_unknown_keys_are_ignored():
    assert one(type="text", anything={"a": [1]}) == one()


@pytest.mark.parametrize(
    "given",
    [
        "2031-03-10T10:00:00.123456+0000",
        "2031-03-10T10:00:00.123+00:00",
        "2031-03-10T10:00:00.123456Z",
        "2031-03-10T10:00:00.123Z",
        "2031-03-10T11:00:00.123+0100",
        "2031-03-10T10:00:00.123",
    ],
)
def test_i1_dates_in_all_shapes_that_clients_send(given):
    assert one(sendAt=given).send_at == at("2031-03-10T10:00:00.123+0000")


@pytest.mark.parametrize("given", ["", "soon"])
def test_i1_an_empty_date_is_none_and_a_bad_one_is_refused(given):
    if given:
        assert bad(sendAt=given) == "messages[0].sendAt"
    else:
        assert one(sendAt=given).send_at is None


@pytest.mark.parametrize(
    "given", ["2031-02-30T10:00:00Z", "2031-03-10", "2031-03-10T24:00:00Z", "2031-03-10T10:00:00+2400"]
)
def test_i1_what_is_no_date(given):
    assert bad(sendAt=given) == "messages[0].sendAt"
    assert violation(V3, v3(options={"schedule": {"sendAt": given}})) == "options.schedule.sendAt"


def v3(*, options=None, **fields):
    return {"messages": [{"destinations": [{"to": ONE}], "content": {"text": "x"}} | fields], "options": options}


def test_i1_ids_are_clipped_and_the_clipped_ones_come_back():
    body = {"bulkId": "b" * 101, "messages": [{"destinations": [{"to": ONE, "messageId": "m" * 201}], "text": "x"}]}
    submission = read("POST", ADVANCED, body).submission
    assert (submission.client_id, submission.client_ids) == ("b" * 100, ("m" * 200,))
    shown = answered("POST", ADVANCED, body)
    assert (shown["bulkId"], shown["messages"][0]["messageId"]) == ("b" * 100, "m" * 200)
    exact = {"bulkId": "b" * 100, "messages": [{"destinations": [{"to": ONE, "messageId": "m" * 200}], "text": "x"}]}
    assert read("POST", ADVANCED, exact).submission == submission


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_i1_other_content_types_are_415(content_type):
    assert refusal("POST", SINGLE, b"{}", content_type=content_type)[0] == 415
    status, shown = refusal("POST", V3, b"{}", content_type=content_type)
    assert (status, shown["errorCode"]) == (415, "E415")


# --- 3.1, 3.2: single, multi


def test_i3_1_single_to_one_and_to_several():
    assert one(SINGLE, **{"from": "Bakery", "to": ONE, "text": "Your order is ready."}).recipients == (ONE,)
    submission = one(SINGLE, **{"from": "Bakery", "to": [ONE, TWO], "text": "Open on Sunday."})
    assert submission.recipients == (ONE, TWO)
    assert (submission.sender, submission.content.text) == ("Bakery", "Open on Sunday.")
    assert (submission.dialect, submission.feed, submission.notify) == ("infobip", Feed.OWN, None)


def test_i3_1_the_same_number_twice_is_two_messages():
    assert one(SINGLE, to=[ONE, ONE]).recipients == (ONE, ONE)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Bak", "Bak"),
        ("Bakery 1234", "Bakery 1234"),
        ("123", "123"),
        ("1234567890123456", "1234567890123456"),
        ("+41790000009", "41790000009"),
        ("0041790000009", "41790000009"),
    ],
)
def test_i3_1_senders(given, kept):
    assert one(**{"from": given}).sender == kept


@pytest.mark.parametrize("given", ["Ba", "Bakery 12345", "12", "12345678901234567", "Bäckerei ✓", "---"])
def test_i3_1_a_bad_sender_is_an_item_11(given):
    shown = answered("POST", SINGLE, {"from": given, "to": [ONE, TWO], "text": "x"})
    assert statuses(shown) == [11, 11]


def test_i3_1_without_a_sender_it_is_the_accounts_or_an_item_11():
    assert one(SINGLE).sender is None
    owner = account(default_from=None)
    assert statuses(answered("POST", SINGLE, {"to": ONE, "text": "x"}, owner=owner)) == [11]


def test_i3_1_a_sender_that_the_account_may_not_use_is_an_item_13_and_others_go_out():
    owner = account(allowed_senders=("Bakery", "Cafe"))
    body = {"messages": [{"from": "Cafe", "to": ONE, "text": "x"}, {"from": "Other", "to": TWO, "text": "x"}]}
    assert statuses(answered("POST", MULTI, body, owner=owner)) == [7, 13]
    assert read("POST", MULTI, body, owner=owner).submission.recipients == (ONE,)


def test_i3_2_multi_is_one_batch_of_several_texts():
    body = {
        "bulkId": "B",
        "messages": [{"from": "Aaa", "to": ONE, "text": "a"}, {"from": "Bbb", "to": [TWO, THREE], "text": "b"}],
    }
    submission = read("POST", MULTI, body).submission
    assert (submission.client_id, submission.recipients, submission.content.text) == ("B", (ONE,), "a")
    (more,) = submission.more
    assert (more.sender, more.recipients, more.content.text) == ("Bbb", (TWO, THREE), "b")
    assert [item["to"] for item in answered("POST", MULTI, body)["messages"]] == [ONE, TWO, THREE]


# --- 3.3: advanced


@pytest.mark.parametrize("target", [ADVANCED, V2, MULTI])
@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": None}])
def test_i3_5_messages_must_not_be_empty(target, body):
    assert violation(target, body) == "messages"


def test_i3_5_destinations_must_not_be_empty():
    status, shown = refusal("POST", ADVANCED, {"messages": [{"destinations": [], "text": "x"}]})
    exception = shown["requestError"]["serviceException"]
    assert (status, exception["messageId"]) == (400, "BAD_REQUEST")
    assert exception["validationErrors"] == {"messages[0].destinations": ["must not be empty"]}
    assert violation(ADVANCED, {"messages": [{"text": "x"}]}) == "messages[0].destinations"
    assert violation(ADVANCED, {"messages": [{"to": [], "text": "x"}]}) == "messages[0].destinations"
    assert violation(V3, {"messages": [{"destinations": [], "content": {"text": "x"}}]}) == "messages[0].destinations"


def test_i3_3_to_is_accepted_instead_of_destinations():
    assert one(destinations=None, to=[ONE, TWO]).recipients == (ONE, TWO)


def test_i3_3_no_text_is_an_empty_message():
    assert one(text=None).content.text == ""


@pytest.mark.parametrize("target", [ADVANCED, V3])
def test_i3_3_a_destination_without_a_number_is_an_item_51(target):
    body: Any = {"messages": [{"destinations": [{"to": ""}, {}, {"to": ONE}, {"to": None}], "text": "x"}]}
    body["messages"][0]["content"] = {"text": "x"}
    shown = answered("POST", target, body)
    assert [one_ if one_ == 51 else 0 for one_ in statuses(shown)] == [51, 51, 0, 51]


def test_i3_3_callback_data_and_its_limit():
    assert one(callbackData="d" * 4000).client_reference == "d" * 4000
    assert bad(callbackData="d" * 4001) == "messages[0].callbackData"
    assert violation(V3, v3(webhooks={"callbackData": "d" * 4001})) == "messages[0].webhooks.callbackData"


@pytest.mark.parametrize(
    ("fields", "notify", "feed"),
    [
        ({}, None, Feed.OWN),
        ({"notifyUrl": URL}, Notify.FINAL, Feed.PUSHED),
        ({"notifyUrl": URL, "intermediateReport": True}, Notify.ATTEMPTS, Feed.PUSHED),
        ({"intermediateReport": True}, None, Feed.OWN),
        ({"notifyUrl": URL, "notify": False}, Notify.NONE, Feed.NEVER),
        ({"notify": False}, Notify.NONE, Feed.NEVER),
        ({"notifyUrl": URL, "notify": True}, Notify.FINAL, Feed.PUSHED),
    ],
)
def test_i3_3_what_is_pushed_and_what_is_left_to_be_read(fields, notify, feed):
    submission = one(**fields)
    assert (submission.notify, submission.feed) == (notify, feed)
    assert submission.callback_url == fields.get("notifyUrl")
    delivery = {"url": fields.get("notifyUrl")} | {k: v for k, v in fields.items() if k != "notifyUrl"}
    other = one(V3, webhooks={"delivery": delivery})
    assert (other.notify, other.feed, other.callback_url) == (notify, feed, fields.get("notifyUrl"))


@pytest.mark.parametrize("url", ["ftp://a/", "http://u:p@a/", "nowhere", "http://a b/", "http://a/" + "x" * 2040])
def test_i3_3_a_url_that_cannot_be_posted_to(url):
    assert bad(notifyUrl=url) == "messages[0].notifyUrl"
    assert violation(V3, v3(webhooks={"delivery": {"url": url}})) == "messages[0].webhooks.delivery.url"


def test_i3_3_the_content_type_of_pushes():
    assert one(notifyContentType="application/xml").extra == {"xml": True}
    assert one(notifyContentType="application/json").extra == {}
    assert bad(notifyContentType="text/html") == "messages[0].notifyContentType"
    assert one(V3, webhooks={"contentType": "application/xml"}).extra == {"v": 3, "xml": True}


def test_i3_3_validity_counts_in_minutes_and_is_capped_at_48_hours():
    assert one(validityPeriod=720).expire_at == NOW + 720 * MINUTE_MS
    assert one(validityPeriod=2880).expire_at == one(validityPeriod=2881).expire_at == NOW + 2 * DAY_MS
    submission = one()
    assert (submission.expire_at, submission.validity_default_ms, submission.validity_max_ms) == (
        None,
        2 * DAY_MS,
        2 * DAY_MS,
    )
    later = at("2031-03-10T10:00:00Z")
    assert one(sendAt="2031-03-10T10:00:00Z", validityPeriod=5).expire_at == later + 5 * MINUTE_MS
    for wrong in (0, -1, 10**12):
        assert bad(validityPeriod=wrong) == "messages[0].validityPeriod"
    assert bad(validityPeriod="5") == "messages[0].validityPeriod"
    assert bad(validityPeriod=1.5) == "messages[0].validityPeriod"


def test_i3_3_send_at_is_at_most_180_days_ahead():
    assert one(sendAt="2031-09-05T05:06:01.120Z").send_at == NOW + 180 * DAY_MS
    assert bad(sendAt="2031-09-05T05:06:01.121Z") == "messages[0].sendAt"


def test_i3_3_a_delivery_window():
    hours = {"from": {"hour": 9, "minute": 30}, "to": {"hour": 17, "minute": 0}}
    window = {"days": ["FRIDAY", "MONDAY", "FRIDAY"]}
    assert one(deliveryTimeWindow=window).window == DeliveryWindow((0, 4))
    assert one(deliveryTimeWindow=window | hours).window == DeliveryWindow((0, 4), 570, 1020)
    assert one(V3, options={"deliveryTimeWindow": window | hours}).window == DeliveryWindow((0, 4), 570, 1020)
    over_midnight = {"from": {"hour": 22}, "to": {"hour": 6}}
    assert one(deliveryTimeWindow=window | over_midnight).window == DeliveryWindow((0, 4), 1320, 360)


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({}, "days"),
        ({"days": []}, "days"),
        ({"days": ["Monday"]}, "days[0]"),
        ({"days": ["MONDAY"], "from": {"hour": 9}}, "to"),
        ({"days": ["MONDAY"], "to": {"hour": 9}}, "from"),
        ({"days": ["MONDAY"], "from": {"hour": 24}, "to": {"hour": 9}}, "from.hour"),
        ({"days": ["MONDAY"], "from": {"hour": 9, "minute": 60}, "to": {"hour": 12}}, "from.minute"),
        ({"days": ["MONDAY"], "from": {"hour": 9}, "to": {"hour": 9, "minute": 59}}, "to"),
        ({"days": ["MONDAY"], "from": {"hour": 9}, "to": {"hour": 9}}, "to"),
        ({"days": ["MONDAY"], "from": {}, "to": {"hour": 9}}, "from.hour"),
    ],
)
def test_i3_3_windows_that_are_none(window, field):
    assert bad(deliveryTimeWindow=window) == f"messages[0].deliveryTimeWindow.{field}"
    assert bad(V3, options={"deliveryTimeWindow": window}) == f"messages[0].options.deliveryTimeWindow.{field}"


def test_i3_3_an_hour_is_just_long_enough():
    window = {"days": ["MONDAY"], "from": {"hour": 9}, "to": {"hour": 10}}
    assert one(deliveryTimeWindow=window).window == DeliveryWindow((0,), 540, 600)


@pytest.mark.parametrize(
    ("limit", "spacing_ms"),
    [
        ({"amount": 10, "timeUnit": "MINUTE"}, 6_000),
        ({"amount": 10}, 6_000),
        ({"amount": 1, "timeUnit": "HOUR"}, 3_600_000),
        ({"amount": 86_400, "timeUnit": "DAY"}, 1_000),
    ],
)
def test_i3_3_a_sending_speed_limit_is_a_time_between_two_messages(limit, spacing_ms):
    body = {"messages": [{"to": ONE, "text": "x"}], "sendingSpeedLimit": limit}
    assert read("POST", ADVANCED, body).submission.spacing_ms == spacing_ms
    assert read("POST", V3, v3(options={"schedule": {"sendingSpeedLimit": limit}})).submission.spacing_ms == spacing_ms


@pytest.mark.parametrize("limit", [{}, {"amount": 0}, {"amount": -1}, {"amount": 10**12}])
def test_i3_3_a_sending_speed_limit_needs_an_amount(limit):
    assert bad(top={"sendingSpeedLimit": limit}) == "sendingSpeedLimit.amount"
    assert bad(top={"sendingSpeedLimit": {"amount": 1, "timeUnit": "WEEK"}}) == "sendingSpeedLimit.timeUnit"


@pytest.mark.parametrize("fields", [{"flash": True}, {"isFlash": True}, {"flash": True, "isFlash": False}])
def test_i3_3_flash_in_both_spellings(fields):
    assert one(**fields).content.flash is True
    assert one().content.flash is False
    assert one(V3, options={"flash": True}).content.flash is True


def test_i3_3_a_language_is_kept_as_object_or_word():
    assert one(language="TR").extra == {"language": {"languageCode": "TR"}}
    assert one(language={"languageCode": "TR", "singleShift": True}).extra == {
        "language": {"languageCode": "TR", "singleShift": True}
    }


def test_i3_3_transliteration_happens_before_counting():
    body = {"to": ONE, "text": "ş" * 150, "transliteration": "TURKISH"}
    assert read("POST", SINGLE, body).submission.content.text == "s" * 150
    assert answered("POST", SINGLE, body)["messages"][0]["smsCount"] == 1
    assert answered("POST", SINGLE, body | {"transliteration": "NONE"})["messages"][0]["smsCount"] == 3
    assert one(V3, content={"text": "ş", "transliteration": "TURKISH"}).content.text == "s"
    assert violation(SINGLE, body | {"transliteration": "KLINGON"}) == "transliteration"


def test_i3_3_ids_of_applications_and_campaigns_and_their_limits():
    kept = {"entityId": "e" * 50, "applicationId": "a" * 50, "campaignReferenceId": "c" * 255}
    assert one(**kept).extra == kept
    for name, value in kept.items():
        assert bad(**{name: value + "x"}) == f"messages[0].{name}"
    platform = {"entityId": "e" * 50, "applicationId": "a" * 50}
    assert one(V3, options={"platform": platform, "campaignReferenceId": "c" * 255}).extra == {"v": 3, **kept}
    assert bad(V3, options={"platform": {"entityId": "e" * 51}}) == "messages[0].options.platform.entityId"


def test_i3_3_tracking_and_other_options_are_kept_alone():
    body = {
        "messages": [{"to": ONE, "text": "x", "regional": {"a": 1}}],
        "tracking": {"track": "URL"},
        "urlOptions": {},
    }
    assert read("POST", ADVANCED, body).submission.extra == {
        "tracking": {"track": "URL"},
        "urlOptions": {},
        "regional": {"a": 1},
    }


@pytest.mark.parametrize("target", [ADVANCED, V3])
def test_i3_3_at_most_so_many_destinations_a_request(target):
    dialect = InfobipDialect(most_destinations=3)
    texts: Any = [
        {"destinations": [{"to": ONE}, {"to": TWO}], "text": "x", "content": {"text": "x"}},
        {"destinations": [{"to": THREE}], "text": "x", "content": {"text": "x"}},
    ]
    assert isinstance(read("POST", target, {"messages": texts}, dialect=dialect), Send)
    texts[1]["destinations"].append({"to": "nobody"})
    assert violation(target, {"messages": texts}, dialect=dialect) == "messages"


def test_i3_3_ten_thousand_destinations_by_default():
    destinations = [{"to": str(41790000000 + n)} for n in range(10_000)]
    assert len(one(destinations=destinations).recipients) == 10_000
    assert bad(destinations=[*destinations, {"to": ONE}]) == "messages"


# --- 3.4: query


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_i3_4_everything_in_the_query(method, version):
    target = f"/sms/{version}/text/query?type=query&from=Bakery&text=by+query&to={ONE},{TWO}&to=%2B{THREE}&bulkId=B"
    target += f"&flash=true&callbackData=d&notifyUrl={URL}&notifyContentType=application/xml&validityPeriod=5&x=y"
    submission = read(method, target, content_type="text/plain").submission
    assert (submission.recipients, submission.content.text) == ((ONE, TWO, THREE), "by query")
    assert (submission.sender, submission.client_id, submission.client_reference) == ("Bakery", "B", "d")
    assert submission.content.flash
    assert submission.callback_url == URL
    assert submission.extra == {"xml": True} | ({"v": 3} if version == 3 else {}), "pushed in the version's own shape"
    assert submission.expire_at == NOW + 5 * MINUTE_MS


def test_i3_4_a_plus_that_was_not_encoded_is_a_space_and_stripped():
    assert read("GET", f"/sms/1/text/query?to=+{ONE}&text=x").submission.recipients == (ONE,)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("text=x", "to"),
        ("to=&text=x", "to"),
        (f"to={ONE}&flash=maybe", "flash"),
        (f"to={ONE}&validityPeriod=x", "validityPeriod"),
        (f"to={ONE}&validityPeriod=0", "validityPeriod"),
        (f"to={ONE}&transliteration=X", "transliteration"),
        (f"to={ONE}&notifyContentType=X", "notifyContentType"),
        (f"to={ONE}&sendAt=soon", "sendAt"),
        (f"to={ONE}&text=%00", "text"),
    ],
)
def test_i3_4_bad_queries(query, field):
    status, shown = refusal("GET", f"/sms/1/text/query?{query}")
    assert status == 400
    assert list(shown["requestError"]["serviceException"]["validationErrors"]) == [field]


# --- 3.5: the answer


def test_i3_5_the_answer_of_version_1():
    body = {
        "bulkId": "ORDER-77",
        "messages": [{"text": "x", "destinations": [{"to": ONE, "messageId": "ORDER-77-1"}, {"to": TWO}]}],
    }
    pending = {
        "groupId": 1,
        "groupName": "PENDING",
        "id": 7,
        "name": "PENDING_ENROUTE",
        "description": "Message sent to next instance",
    }
    assert answered("POST", ADVANCED, body) == {
        "bulkId": "ORDER-77",
        "messages": [
            {"to": ONE, "messageId": "ORDER-77-1", "smsCount": 1, "status": pending},
            {"to": TWO, "messageId": BATCH_ID[:-1] + "2", "smsCount": 1, "status": pending},
        ],
    }


def test_i3_5_the_bulk_id_of_version_1_only_for_several_destinations_or_if_given():
    assert "bulkId" not in answered("POST", SINGLE, {"to": ONE, "text": "x"})
    assert answered("POST", SINGLE, {"to": [ONE, TWO], "text": "x"})["bulkId"] == BATCH_ID
    assert answered("POST", SINGLE, {"to": ONE, "text": "x", "bulkId": "B"})["bulkId"] == "B"
    assert answered("POST", "/sms/2/text/single", {"to": ONE, "text": "x"})["bulkId"] == BATCH_ID
    assert answered("POST", V3, v3())["bulkId"] == BATCH_ID


def test_i3_5_version_2_counts_parts_only_when_asked():
    body = {"messages": [{"to": ONE, "text": "x" * 161}]}
    shown = answered("POST", V2, body)
    assert "smsCount" not in shown["messages"][0]
    assert (shown["messages"][0]["status"]["id"], shown["messages"][0]["status"]["name"]) == (26, "PENDING_ACCEPTED")
    assert answered("POST", V2, body | {"includeSmsCountInResponse": True})["messages"][0]["smsCount"] == 2
    assert answered("POST", ADVANCED, body)["messages"][0]["smsCount"] == 2


def test_i3_5_refused_destinations_stand_in_their_places():
    body = {
        "messages": [
            {"text": "a", "destinations": [{"to": "x"}, {"to": ONE}]},
            {"text": "b", "from": "!", "destinations": [{"to": TWO}]},
            {"text": "c", "destinations": [{"to": TWO, "messageId": "m"}, {"to": ""}, {"to": THREE, "messageId": "m"}]},
        ]
    }
    shown = answered("POST", ADVANCED, body)
    assert statuses(shown) == [52, 7, 11, 7, 51, 23]
    assert [item["to"] for item in shown["messages"]] == ["x", ONE, TWO, TWO, "", THREE]
    submission = read("POST", ADVANCED, body).submission
    assert (submission.recipients, [one.recipients for one in submission.more]) == ((ONE,), [(TWO,)])


def test_i3_5_when_everybody_is_refused_nothing_is_sent():
    answer = read("POST", ADVANCED, {"bulkId": "B", "messages": [{"text": "a", "destinations": [{"to": "x"}]}]})
    assert isinstance(answer, Answer)
    shown = json.loads(answer.body)
    assert (answer.status, shown["bulkId"], statuses(shown)) == (200, "B", [52])
    assert shown["messages"][0]["smsCount"] == 0


def test_i3_5_an_id_that_the_account_has_used_is_an_item_23():
    destinations = [{"to": ONE, "messageId": "old"}, {"to": TWO, "messageId": "new"}, {"to": "bad"}, {"to": THREE}]
    shown = answered("POST", V3, v3(destinations=destinations), refused={"old"})
    assert statuses(shown) == [23, 26, 52, 26]
    assert [item.get("messageId") for item in shown["messages"]][:2] == ["old", "new"]
    assert [item["destination"] for item in shown["messages"]] == [ONE, TWO, "bad", THREE]


def test_i3_5_what_will_not_be_sent_is_said_at_once():
    assert statuses(answered("POST", V3, v3(), abort=Reason.BLOCKED_DESTINATION)) == [14]
    assert statuses(answered("POST", SINGLE, {"to": ONE, "text": "x"}, abort=Reason.TOO_MANY_PARTS)) == [25]


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (Problem.QUOTA_SPENT, 12),
        (Problem.SENDER_NOT_ALLOWED, 13),
        (Problem.NO_SENDER, 11),
        (Problem.TOO_MANY_PARTS, 25),
    ],
)
@pytest.mark.parametrize("target", [ADVANCED, V3])
def test_i3_5_a_send_that_is_not_paid_for_is_answered_item_by_item(problem, status, target):
    body = {
        "messages": [
            {"destinations": [{"to": ONE}, {"to": "bad"}], "text": "x", "content": {"text": "x"}},
            {"destinations": [{"to": TWO, "messageId": "m"}], "text": "x", "content": {"text": "x"}},
        ]
    }
    operation = read("POST", target, body)
    answer = DIALECT.refuse(problem, text="whatever", operation=operation)
    shown = json.loads(answer.body)
    assert (answer.status, statuses(shown)) == (200, [status, 52, status])
    assert shown["messages"][2]["messageId"] == "m"


# --- 3.6: smsCount


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("^{}\\[~]|\f" * 8, 1),
        ("✓" * 70, 1),
        ("✓" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("", 1),
    ],
)
def test_i3_6_parts_are_counted(text, parts):
    assert answered("POST", SINGLE, {"to": ONE, "text": text})["messages"][0]["smsCount"] == parts
    shown = answered("POST", V3, v3(content={"text": text}, options={"includeSmsCountInResponse": True}))
    assert shown["messages"][0]["details"] == {"messageCount": parts}


# --- 6: version 3


def test_i6_the_whole_of_version_3():
    body: Any = {
        "messages": [
            {
                "sender": "Bakery",
                "destinations": [{"to": ONE, "messageId": "ORDER-77-1", "networkId": 5}, {"to": TWO}],
                "content": {
                    "text": "Ready.",
                    "transliteration": "NONE",
                    "language": {"languageCode": "TR", "singleShift": True, "lockingShift": False},
                },
                "options": {
                    "validityPeriod": {"amount": 12, "timeUnit": "HOURS"},
                    "flash": False,
                    "campaignReferenceId": "spring",
                    "platform": {"entityId": "e", "applicationId": "a"},
                    "deliveryTimeWindow": {"days": ["MONDAY"]},
                    "regional": {},
                },
                "webhooks": {
                    "delivery": {"url": URL, "intermediateReport": False, "notify": True},
                    "contentType": "application/json",
                    "callbackData": "shop=3",
                },
            }
        ],
        "options": {
            "schedule": {
                "bulkId": "ORDER-77",
                "sendAt": "2031-03-10T10:00:00.000+0000",
                "sendingSpeedLimit": {"amount": 10, "timeUnit": "MINUTE"},
            },
            "tracking": {"shortenUrl": True},
            "includeSmsCountInResponse": True,
            "conversionTracking": {"useConversionTracking": False},
        },
    }
    submission = read("POST", V3, body).submission
    send_at = at("2031-03-10T10:00:00.000+0000")
    assert submission.extra == {
        "v": 3,
        "tracking": {"shortenUrl": True},
        "conversionTracking": {"useConversionTracking": False},
        "language": {"languageCode": "TR", "singleShift": True, "lockingShift": False},
        "entityId": "e",
        "applicationId": "a",
        "campaignReferenceId": "spring",
        "regional": {},
    }
    assert (submission.send_at, submission.expire_at) == (send_at, send_at + 12 * 3_600_000)
    assert (submission.spacing_ms, submission.window) == (6_000, DeliveryWindow((0,)))
    assert (submission.client_id, submission.client_ids) == ("ORDER-77", ("ORDER-77-1", None))
    shown = answered("POST", V3, body)
    assert shown["bulkId"] == "ORDER-77"
    assert shown["messages"][0] == {
        "messageId": "ORDER-77-1",
        "destination": ONE,
        "status": {
            "groupId": 1,
            "groupName": "PENDING",
            "id": 26,
            "name": "PENDING_ACCEPTED",
            "description": "Message sent to next instance",
        },
        "details": {"messageCount": 1},
    }
    del body["options"]["includeSmsCountInResponse"]
    assert "details" not in answered("POST", V3, body)["messages"][0]


@pytest.mark.parametrize(
    ("unit", "ms"), [("SECONDS", 1_000), ("MINUTES", 60_000), (None, 60_000), ("HOURS", 3_600_000)]
)
def test_i6_units_of_validity(unit, ms):
    validity = {"amount": 7} | ({"timeUnit": unit} if unit else {})
    assert one(V3, options={"validityPeriod": validity}).expire_at == NOW + 7 * ms
    assert one(V3, options={"validityPeriod": validity | {"amount": 200_000}}).expire_at == NOW + 2 * DAY_MS
    for wrong in (0, -1, None):
        field = bad(V3, options={"validityPeriod": validity | {"amount": wrong}})
        assert field == "messages[0].options.validityPeriod.amount"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": {"text": "x"}}]}, "messages[0].destinations"),
        ({"messages": [{"destinations": [{"to": ONE}]}]}, "messages[0].content"),
        ({"messages": [{"destinations": [{"to": ONE}], "content": {}}]}, "messages[0].content.text"),
        ({"messages": [{"destinations": [{"to": 5}], "content": {"text": "x"}}]}, "messages[0].destinations[0].to"),
        ({"messages": [{"destinations": [{"to": ONE}], "content": {"text": 5}}]}, "messages[0].content.text"),
        ({"messages": {}}, "messages"),
    ],
)
def test_i6_what_version_3_requires(body, field):
    assert violation(V3, body) == field


def binary(hex_digits, **fields):
    return one(V3, content={"hex": hex_digits} | fields)


def test_i6_octets_of_gsm_and_ucs2_texts_are_those_texts():
    assert binary("48 69").content == one(text="Hi").content
    assert binary("00 1B 65", dataCoding=0).content.text == "@€"
    assert binary("2713", dataCoding=8).content.text == "✓"
    assert binary("48 69", dataCoding=0, esmClass=0).extra == {"v": 3, "hex": "4869", "dataCoding": 0, "esmClass": 0}


def test_i6_other_octets_are_data_and_the_header_is_taken_off():
    content = binary("FF00", dataCoding=4).content
    assert (content.kind, content.data, content.udh) == (ContentKind.BINARY, "ff00", "")
    content = binary("05 00 03 01 02 01 41 42", dataCoding=4, esmClass=64).content
    assert (content.kind, content.data, content.udh) == (ContentKind.BINARY, "4142", "050003010201")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"hex": "4"}, "hex"),
        ({"hex": "xx"}, "hex"),
        ({"hex": "41", "dataCoding": 256}, "dataCoding"),
        ({"hex": "41", "dataCoding": -1}, "dataCoding"),
        ({"hex": "41", "esmClass": 256}, "esmClass"),
        ({"hex": "05 00", "esmClass": 64}, "hex"),
        ({"hex": "", "esmClass": 64}, "hex"),
    ],
)
def test_i6_bad_octets(content, field):
    assert violation(V3, v3(content=content)) == f"messages[0].content.{field}"


def test_i6_more_octets_than_a_message_has_are_refused_item_by_item():
    assert len(binary("ff" * 140, dataCoding=4).content.data) == 280
    shown = answered("POST", V3, v3(content={"hex": "ff" * 141, "dataCoding": 4}))
    assert statuses(shown) == [25]


# --- what no text may hold


@pytest.mark.parametrize("name", ["text", "callbackData", "from", "entityId"])
def test_a_nul_is_refused_wherever_it_stands(name):
    field = violation(ADVANCED, {"messages": [{"to": ONE, name: "a\0b"}]})
    assert field.startswith("messages[0].")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"messages":', b'{"text":"\\ud800"}', b"null"])
@pytest.mark.parametrize("target", [SINGLE, ADVANCED, V3])
def test_i3_5_what_is_no_json_is_400_in_the_versions_own_shape(target, body):
    violation(target, body, content_type="application/json")


def test_the_store_may_leave_out_or_keep_what_it_refused():
    operation = read("POST", V3, v3(destinations=[{"to": ONE, "messageId": "a"}, {"to": TWO, "messageId": "b"}]))
    kept = stored(operation.submission)._replace(refused=frozenset({"a"}))
    shown = json.loads(_write(operation, kept).body)
    assert statuses(shown) == [23, 26]
    gone = stored(operation.submission, refused=frozenset({"a"}))
    assert statuses(json.loads(_write(operation, gone).body)) == [23, 26]


def _write(operation, batch):
    (route,) = [one for one in DIALECT.routes if one.path == V3]
    return route.write(operation, batch)


def test_i6_the_short_way_of_answering_says_what_the_long_way_says():
    body = v3(destinations=[{"to": ONE, "messageId": "a"}, {"to": TWO}], options={"includeSmsCountInResponse": True})
    operation = read("POST", V3, body)
    for abort in (None, Reason.NO_ROUTE):
        short = _write(operation, stored(operation.submission, abort=abort))
        nobody = frozenset({"nobody's"})  # an id that the store refused: the long way
        long = _write(operation, stored(operation.submission, abort=abort)._replace(refused=nobody))
        assert json.loads(short.body) == json.loads(long.body)
        assert (short.status, short.content_type) == (long.status, long.content_type)


@pytest.mark.parametrize(("version", "count", "told"), [(1, 1, False), (1, 2, True), (2, 1, True), (3, 1, True)])
def test_i3_5_there_is_a_bulk_id_where_it_is_promised_although_everybody_is_refused(version, count, told):
    if version == 3:
        body: Any = {"messages": [{"destinations": [{"to": "x"}] * count, "content": {"text": "x"}}]}
        answer = read("POST", "/sms/3/messages", body)
    else:
        answer = read("POST", f"/sms/{version}/text/single", {"to": ["x"] * count, "text": "x"})
    shown = json.loads(answer.body)
    assert {one["status"]["name"] for one in shown["messages"]} == {"REJECTED_DESTINATION"}
    assert ("bulkId" in shown) is told
    assert not told or re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", shown["bulkId"])
