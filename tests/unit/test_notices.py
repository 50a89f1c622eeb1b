"""Operator events as callbacks: their words, and the standard profile's answers whatever else an endpoint has."""

import json
from dataclasses import replace

import pytest

from kvitto.callbacks import standard
from kvitto.callbacks.notices import NoticeVoice, key_of
from kvitto.core.errors import LocalError
from kvitto.core.model import CallbackDue, CallbackState, OperatorEvent
from tests.support.dialects import account
from tests.support.scripted import settle
from tests.unit.test_outbox import ACCOUNT, Bench, make
from tests.unit.test_outbox import due as message_due

__all__ = ["make"]

AT = 1_773_065_100_250
EVENT = OperatorEvent(17, AT, "A", "endpoint.open", "ep_0k5v7m2s8xq4d", "https://shop.example:443 fails: HTTP 503")
DUE = CallbackDue(61, "A", "kvitto", "https://owner.example/", EVENT, False, 0, AT, None)
OWNER = account(events_url="https://owner.example/")
VOICE = NoticeVoice()


def test_a_notice_has_type_timestamp_and_data():
    assert json.loads(VOICE.render((DUE,), OWNER)) == {
        "type": "endpoint.open",
        "timestamp": "2026-03-09T14:05:00.250Z",
        "data": {
            "notice": 17,
            "subject": "ep_0k5v7m2s8xq4d",
            "detail": "https://shop.example:443 fails: HTTP 503",
        },
    }
    assert VOICE.render((DUE,), OWNER) == VOICE.render((DUE,), OWNER)


def test_only_notices_are_told_so():
    with pytest.raises(LocalError):
        VOICE.render((message_due(1),), OWNER)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 410, 429, 500, 503, None])
def test_p10_p11_answers_mean_what_they_mean_under_the_standard_profile(status: int | None):
    for attempts in (0, 1, 9):
        one = DUE._replace(attempts=attempts, first_failed_at=AT)
        assert VOICE.judge(one, OWNER, status, b"", 7.0, AT) == standard.judge(one, status, 7.0, AT)


def test_callbacks_about_one_endpoint_are_kept_in_their_order():
    assert key_of(EVENT) == key_of(EVENT._replace(id=18, kind="endpoint.closed")) == EVENT.subject
    facts = message_due(1).facts
    assert key_of(facts) == facts.id  # type: ignore[union-attr]


async def test_an_owner_who_wants_no_more_is_told_no_more(make, clock):
    bench: Bench = make()
    bench.dialects["kvitto"] = NoticeVoice()
    await bench.take(DUE)
    assert bench.client.started == []
    (result,) = bench.store.results()
    assert (result.state, result.error) == (CallbackState.DONE, "not told: the account does not want it")


async def test_p18_a_notice_is_signed_and_goes_in_order_with_others_of_its_endpoint(make, clock):
    bench: Bench = make()
    bench.dialects["kvitto"] = NoticeVoice()
    bench.accounts["A"] = replace(ACCOUNT, events_url=DUE.url)
    later = DUE._replace(id=62, facts=EVENT._replace(id=18, kind="endpoint.closed"))
    await bench.take(DUE, later)
    (request,) = bench.client.started
    assert isinstance(request.headers, bytes)
    assert b"webhook-id: cb_1773065100250_61\r\n" in request.headers
    assert b"webhook-signature: v1," in request.headers
    assert request.timeout_s == standard.TIMEOUT_S
    await bench.finish()
    await settle()
    assert [json.loads(one.body)["type"] for one in bench.client.started] == ["endpoint.open", "endpoint.closed"]
