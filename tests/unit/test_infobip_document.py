"""The vendor's own page of 2015 on getting reports: its examples, replayed and compared key by key."""

import json
import re
from pathlib import Path

import pytest

from kvitto.core.model import FeedPage
from kvitto.dialects.infobip import InfobipDialect
from tests.support.infobip import account, at, call, message, route_of

EXAMPLES = Path(__file__).parent / "infobip_examples"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")


class Swiss:
    """The network and the price of the page's examples."""

    def mccmnc(self, number):
        return "22801"

    def price(self, mccmnc):
        return 0.01, "EUR"


DIALECT = InfobipDialect(Swiss(), Swiss())


def request_of(name):
    """The request of the page as the server hands it over, and its route."""
    head, *fields = (EXAMPLES / f"{name}.http").read_text().strip().splitlines()
    method, target, _ = head.split(" ")
    headers = {key.lower(): value for key, value in (field.split(": ", 1) for field in fields)}
    return call(method, target, headers=headers), route_of(method, target.partition("?")[0], DIALECT)


def answer_of(name):
    """The status, the content type and the body of the page's answer."""
    head, _, body = (EXAMPLES / f"{name}.http").read_text().partition("\n\n")
    status, content_type = head.splitlines()
    return int(status.split(" ")[1]), content_type.removeprefix("Content-Type: "), json.loads(body)


def as_sent(shown):
    """A message that has what the page shows."""
    return message(
        client_id=shown["messageId"],
        batch_client_id=shown["bulkId"],
        recipient=shown["to"],
        sent_at=at(shown["sentAt"]),
        done_at=at(shown["doneAt"]),
        parts=shown["smsCount"],
        client_reference=shown.get("callbackData"),
    )


def normal(report):
    """Dates as instants, so that the page's zone and ours compare; ``from`` came after 2015."""
    kept = {key: value for key, value in report.items() if key != "from"}
    for key in ("sentAt", "doneAt"):
        assert DATE.fullmatch(kept[key])
        kept[key] = at(kept[key])
    return kept


def types(value):
    """The shape of a JSON value: keys and types."""
    if isinstance(value, dict):
        return {key: types(inner) for key, inner in value.items()}
    return type(value)


@pytest.mark.parametrize(
    ("request_name", "answer_name", "message_ids"),
    [
        ("request_all", "answer_all", ()),
        ("request_all", "answer_empty", ()),
        ("request_one", "answer_one", ("ff4804ef-6ab6-4abd-984d-ab3b1387e852",)),
    ],
)
def test_i4_the_pages_examples_are_answered_key_by_key(request_name, answer_name, message_ids):
    made, route = request_of(request_name)
    operation = route.read(made, account())
    assert (operation.limit, operation.peek, operation.filter.batch_ids) == (50, False, ())
    assert operation.filter.message_ids == message_ids
    status, content_type, expected = answer_of(answer_name)
    page = FeedPage([as_sent(one) for one in expected["results"]])
    answer = route.write(operation, page)
    shown = json.loads(answer.body)
    assert (answer.status, answer.content_type.partition(";")[0]) == (status, content_type)
    assert [normal(one) for one in shown["results"]] == [normal(one) for one in expected["results"]]
    assert [types(normal(one)) for one in shown["results"]] == [types(normal(one)) for one in expected["results"]]
    assert set(shown) == set(expected)


def test_i1_the_pages_credentials_are_read():
    made, _ = request_of("request_all")
    credentials = DIALECT.credentials(made)
    assert credentials is not None
    assert (credentials.username, credentials.password) == ("Aladdin", "open sesame")


def test_i4_the_page_leaves_out_callback_data_that_was_not_given():
    assert "callbackData" not in answer_of("answer_one")[2]["results"][0]
