"""XML at Infobip (docs/dialects/infobip.md 3.7): the same tree in and out, and what is refused."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from kvitto.core.model import DeliveryWindow, FeedPage, LogPage, Schedule, ScheduleState
from kvitto.dialects.base import Answer, DialectError, Problem
from kvitto.dialects.infobip import xml
from kvitto.dialects.infobip.wire import AdvancedIn, TextIn
from tests.support.infobip import BATCH_ID, DIALECT, NOW, ONE, TWO, call, message, read, route_of, stored

ACCEPT = {"accept": "application/xml"}


def sent(target, text, **more):
    octets = text if isinstance(text, bytes) else text.encode()
    return read("POST", target, octets, content_type="application/xml", **more)


def refused(text, target="/sms/1/text/advanced", headers=None):
    with pytest.raises(DialectError) as error:
        sent(target, text, headers=headers or {})
    answer = error.value.answer
    assert answer.status == 400
    return answer.body


def test_i3_7_the_pages_request():
    submission = sent(
        "/sms/1/text/advanced",
        """<?xml version="1.0" encoding="UTF-8"?>
        <SMSAdvancedTextualRequest><bulkId>ORDER-77</bulkId><messages><message><from>Bakery</from>
        <text>Ready &amp; warm</text><destinations><destination><to>41790000001</to><messageId>ORDER-77-1</messageId>
        </destination><destination><to> 41790000002 </to></destination></destinations>
        <language><languageCode>TR</languageCode></language><flash>true</flash><validityPeriod> 5 </validityPeriod>
        <deliveryTimeWindow><days><days>MONDAY</days><days>FRIDAY</days></days><from><hour>9</hour></from>
        <to><hour>10</hour><minute>30</minute></to></deliveryTimeWindow></message></messages>
        </SMSAdvancedTextualRequest>""",
    ).submission
    assert (submission.client_id, submission.sender, submission.content.text) == ("ORDER-77", "Bakery", "Ready & warm")
    assert (submission.recipients, submission.client_ids) == ((ONE, TWO), ("ORDER-77-1", None))
    assert (submission.content.flash, submission.expire_at) == (True, NOW + 300_000)
    assert submission.window == DeliveryWindow((0, 4), 540, 630)
    assert submission.extra == {"language": {"languageCode": "TR"}}


def test_i3_7_single_with_one_number_and_with_a_list():
    one = "<request><from>Bakery</from><to>41790000001</to><text>x</text></request>"
    assert sent("/sms/1/text/single", one).submission.recipients == (ONE,)
    two = "<whatever><to><to>41790000001</to><to>41790000002</to></to><text>x</text></whatever>"
    assert sent("/sms/2/text/single", two).submission.recipients == (ONE, TWO)


def test_i3_7_xml_and_json_ask_for_the_same():
    body = {"messages": [{"to": [ONE, TWO], "text": "å€✓", "sendAt": "2031-03-10T10:00:00.000+0000", "notify": False}]}
    text = (
        "<r><messages><m><to><i>41790000001</i><i>41790000002</i></to><text>å€✓</text>"
        "<sendAt>2031-03-10T10:00:00.000+0000</sendAt><notify>false</notify></m></messages></r>"
    )
    assert sent("/sms/1/text/advanced", text).submission == read("POST", "/sms/1/text/advanced", body).submission
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?>' + text.replace("€✓", "")
    other = sent("/sms/1/text/advanced", latin.encode("iso-8859-1")).submission
    assert other.content.text == "å"


def test_i3_7_version_3_takes_it_too():
    text = (
        "<SmsRequestEnvelope><messages><message><sender>Bakery</sender><destinations><destination><to>41790000001</to>"
        "</destination></destinations><content><text>x</text></content></message></messages>"
        "<options><includeSmsCountInResponse>true</includeSmsCountInResponse></options></SmsRequestEnvelope>"
    )
    operation = sent("/sms/3/messages", text, headers=ACCEPT)
    answer = route_of("POST", "/sms/3/messages").write(operation, stored(operation.submission))
    assert answer.content_type == "application/xml;charset=UTF-8"
    root = ElementTree.fromstring(answer.body)
    assert (root.tag, root.findtext("bulkId")) == ("SmsResponseEnvelope", BATCH_ID)
    assert root.findtext("messages/message/details/messageCount") == "1"


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a><a><to>1</to></a>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY b "c">]><a><to>&b;</to></a>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a><to>&b;</to></a>',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1:1/x">%b;]><a/>',
        '<!DOCTYPE l [<!ENTITY l "l"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;"><!ENTITY n "&m;&m;&m;&m;">]><l>&n;</l>',
        "<a><to>&undeclared;</to></a>",
        "",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "not XML",
        "<a>" * 17 + "</a>" * 17,
        '<?xml version="1.0" encoding="no-such"?><a/>',
        "<a>\x00</a>",
        "<a>&#0;</a>",
        "<a>\x01</a>",
        b"<a>\xff</a>",
        "<messages>" + "<m/>" * 200_001 + "</messages>",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_i3_7_what_could_unfold_fetch_or_is_broken_is_refused(text):
    for version, root in ((1, b"<ApiException>"), (3, b"<ApiError>")):
        target = f"/sms/{version}/text/advanced" if version == 1 else "/sms/3/messages"
        assert refused(text, target, ACCEPT).startswith(root)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("<r/>", "messages"),
        ("<r><messages/></r>", "messages"),
        (
            "<r><messages><m><to>1</to><validityPeriod>soon</validityPeriod></m></messages></r>",
            "messages[0].validityPeriod",
        ),
        ("<r><messages><m><to>1</to><flash>perhaps</flash></m></messages></r>", "messages[0].flash"),
        (
            "<r><messages><m><to/><notifyContentType>x</notifyContentType></m></messages></r>",
            "messages[0].notifyContentType",
        ),
    ],
)
def test_i3_7_fields_are_named_as_in_json(text, field):
    shown = json.loads(refused(text))["requestError"]["serviceException"]
    assert list(shown["validationErrors"]) == [field]


def test_i3_7_an_empty_element_is_an_empty_list_object_or_string():
    assert xml.read(b"<r><text/><destinations/><language/><to/></r>", TextIn) == {
        "text": "",
        "destinations": [],
        "language": "",
        "to": "",
    }
    assert xml.read(b"<r><sendingSpeedLimit/><tracking><a>1</a><b/></tracking></r>", AdvancedIn) == {
        "sendingSpeedLimit": {},
        "tracking": {"a": "1", "b": ""},
    }


def written(method, target, result, body=None):
    operation = read(method, target, body, headers=ACCEPT)
    answer: Answer = route_of(method, target.partition("?")[0]).write(operation, result)
    assert (answer.status, answer.content_type) == (200, "application/xml;charset=UTF-8")
    return answer.body


@pytest.mark.parametrize(
    ("target", "root", "item"),
    [
        ("/sms/1/reports", "reportResponse", "result/to"),
        ("/sms/3/reports", "DeliveryReports", "result/to"),
        ("/sms/1/logs", "smsLogsResponse", "result/to"),
        ("/sms/3/logs", "LogResponse", "result/destination"),
    ],
)
def test_i3_7_roots_and_items_of_answers(target, root, item):
    page = FeedPage if "reports" in target else LogPage
    assert written("GET", target, page([])) == f"<{root}><results/></{root}>".encode()
    whole = ElementTree.fromstring(written("GET", target, page([message(text="a<b\r\x0c")])))
    assert (whole.tag, whole.findtext(f"results/{item}")) == (root, ONE)
    assert whole.findtext("results/result/error/permanent") == "false"
    assert whole.findtext("results/result/price/pricePerMessage") == "0.0"


def test_i3_7_characters_that_xml_cannot_carry():
    whole = ElementTree.fromstring(written("GET", "/sms/1/logs", LogPage([message(text="a<b\r\x0c😀")])))
    assert whole.findtext("results/result/text") == "a<b\r\ufffd😀"


def test_i3_7_bulks():
    schedule = Schedule(BATCH_ID, "B<1", NOW, ScheduleState.PAUSED)
    assert written("GET", "/sms/1/bulks?bulkId=B", schedule) == (
        b"<BulkResponse><bulkId>B&lt;1</bulkId><sendAt>2031-03-09T05:06:01.120+0000</sendAt></BulkResponse>"
    )
    assert written("GET", "/sms/1/bulks/status?bulkId=B", schedule) == (
        b"<BulkStatusResponse><bulkId>B&lt;1</bulkId><status>PAUSED</status></BulkStatusResponse>"
    )
    operation = read(
        "PUT", "/sms/1/bulks?bulkId=B", b"<r><sendAt>2031-03-11T10:00:00Z</sendAt></r>", content_type="text/xml"
    )
    assert operation.send_at is not None


def test_i3_7_refusals():
    body = refused("<r><messages><m><to>1</to><sendAt>x</sendAt></m></messages></r>", headers=ACCEPT)
    root = ElementTree.fromstring(body)
    assert root.findtext("requestError/serviceException/messageId") == "BAD_REQUEST"
    field = root.find("requestError/serviceException/validationErrors/field")
    assert field is not None
    assert field.attrib == {"name": "messages[0].sendAt"}
    answer = DIALECT.refuse(Problem.NOT_FOUND, call=call("GET", "/sms/3/x", headers=ACCEPT))
    root = ElementTree.fromstring(answer.body)
    assert (root.tag, root.findtext("errorCode")) == ("ApiError", "E404")


@pytest.mark.parametrize(
    ("accept", "as_xml"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),
        ("application/xml", True),
        ("text/xml", True),
        ("APPLICATION/XML;q=0.9", True),
        ("application/xml, application/json", False),
        ("text/html, application/xml;q=0.9, */*;q=0.8", True),
    ],
)
def test_i1_xml_only_for_those_who_ask_for_it_and_not_for_json(accept, as_xml):
    headers = {} if accept is None else {"accept": accept}
    operation = read("GET", "/sms/1/reports", headers=headers)
    answer = route_of("GET", "/sms/1/reports").write(operation, FeedPage([]))
    assert answer.content_type.startswith("application/xml" if as_xml else "application/json")
