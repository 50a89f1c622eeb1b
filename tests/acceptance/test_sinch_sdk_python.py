"""The vendor's own Python client, unmodified, against the running server (docs/dialects/sinch.md 15.2)."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from sinch import SinchClient
from sinch.core.exceptions import SinchException

ONE, TWO, THREE = "46701740611", "46701740612", "46701740613"
GONE = "999000000010"
"""The simulator says UNDELIV with err 027 (`kvitto simulate numbers`)."""


def until(read: Callable[[], Any], holds: Callable[[Any], Any], *, within_s: float = 15.0) -> Any:
    """Read again until what is read is as it should be."""
    last = time.monotonic() + within_s
    while not holds(found := read()):
        assert time.monotonic() < last, found
        time.sleep(0.05)
    return found


def in_an_hour() -> datetime:
    return (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=678_901)


@pytest.fixture
def client(server) -> SinchClient:
    made = SinchClient(service_plan_id=server.service_plan_id, sms_api_token=server.api_token, sms_region="us")
    made.configuration.sms_origin_with_service_plan_id = server.origin
    return made


@pytest.fixture
def reference() -> str:
    """A client reference of this test's own."""
    return f"order-{uuid.uuid4()}"


def final(client: SinchClient, batch_id: str, count: int) -> Any:
    """The full report, once nothing in it is queued or dispatched."""
    return until(
        lambda: client.sms.delivery_reports.get(batch_id, report_type="full"),
        lambda report: (
            sum(bucket.count for bucket in report.statuses) == count
            and not {"Queued", "Dispatched"} & {bucket.status for bucket in report.statuses}
        ),
    )


def test_s15_2_a_text_goes_out_and_its_report_comes_back(client, reference):
    batch = client.sms.batches.send_sms(
        to=["+" + ONE], from_="+46701740605", body="Parcel ready ✓", client_reference=reference, feedback_enabled=True
    )
    assert type(batch).__name__ == "TextResponse"
    assert (batch.to, batch.from_, batch.body) == ([ONE], "46701740605", "Parcel ready ✓")
    assert (batch.canceled, batch.flash_message, batch.feedback_enabled) == (False, False, True)
    assert (batch.type, batch.delivery_report, batch.client_reference) == ("mt_text", "none", reference)
    assert batch.created_at == batch.modified_at
    assert batch.expire_at == batch.created_at + timedelta(days=3)
    report = final(client, batch.id, 1)
    assert (report.type, report.batch_id, report.total_message_count) == ("delivery_report_sms", batch.id, 1)
    assert report.client_reference == reference
    assert [(s.code, s.status, s.count, s.recipients) for s in report.statuses] == [(0, "Delivered", 1, [ONE])]
    for number in (ONE, "+" + ONE):
        single = client.sms.delivery_reports.get_for_number(batch.id, number)
        assert (single.type, single.batch_id, single.recipient) == ("recipient_delivery_report_sms", batch.id, ONE)
        assert (single.code, single.status, single.client_reference) == (0, "Delivered", reference)
        assert single.at >= batch.created_at
        assert single.operator_status_at.microsecond == 0
        assert single.operator_status_at >= batch.created_at  # no end before its beginning (R55)
    client.sms.batches.send_delivery_feedback(batch.id, recipients=[])
    client.sms.batches.send_delivery_feedback(batch.id, recipients=["+" + ONE])


@pytest.mark.parametrize("kind", ["per_recipient", "per_recipient_final"])
def test_s15_2_callbacks_of_recipients_verify_and_parse(client, server, sink, reference, kind):
    batch = client.sms.batches.send_sms(
        to=["+" + ONE],
        from_="+46701740605",
        body="x",
        delivery_report=kind,
        event_destination_target=sink.url,
        client_reference=reference,
    )
    assert (batch.delivery_report, batch.event_destination_target) == (kind, sink.url)
    posts = sink.wait_for(lambda received: [r for r in received if r.json["status"] == "Delivered"] and received)
    statuses = [post.json["status"] for post in posts]
    assert set(statuses) <= ({"Delivered"} if kind == "per_recipient_final" else {"Dispatched", "Delivered"})
    events = client.sms.sinch_events(server.callback_secret)
    for post in posts:
        assert post.headers["content-type"] == "application/json"
        assert events.validate_authentication_header(dict(post.headers), post.body)
        event = events.parse_event(post.body, dict(post.headers))
        assert type(event).__name__ == "RecipientDeliveryReport"
        assert (event.batch_id, event.recipient, event.client_reference) == (batch.id, ONE, reference)
    assert not client.sms.sinch_events("another").validate_authentication_header(dict(posts[0].headers), posts[0].body)
    assert len({post.headers["x-sinch-webhook-signature-nonce"] for post in posts}) == len(posts)


@pytest.mark.parametrize("kind", ["summary", "full"])
def test_s15_2_one_callback_a_batch_when_everyone_is_final(client, server, sink, kind):
    batch = client.sms.batches.send_sms(
        to=[ONE, GONE], from_="Kvitto", body="x", delivery_report=kind, event_destination_target=sink.url
    )
    posts = sink.wait_for(lambda received: received)
    assert len(posts) == 1
    events = client.sms.sinch_events(server.callback_secret)
    assert events.validate_authentication_header(dict(posts[0].headers), posts[0].body)
    event = events.parse_event(posts[0].body, dict(posts[0].headers))
    assert type(event).__name__ == "BatchDeliveryReport"
    assert (event.batch_id, event.total_message_count) == (batch.id, 2)
    assert {(s.code, s.status, s.count) for s in event.statuses} == {(0, "Delivered", 1), (27, "Failed", 1)}
    assert [s.recipients for s in event.statuses] == ([None, None] if kind == "summary" else [[ONE], [GONE]])


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=2)), None], ids=["utc", "with an offset", "naive, which means utc"]
)
def test_s15_2_a_scheduled_batch_waits_and_can_be_cancelled(client, zone):
    moment = in_an_hour()
    given = moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
    batch = client.sms.batches.send_sms(to=[ONE], from_="Kvitto", body="later", send_at=given)
    assert batch.send_at == moment.replace(microsecond=678_000)
    assert batch.expire_at == batch.send_at + timedelta(days=3)
    report = client.sms.delivery_reports.get(batch.id)
    assert (report.statuses, report.total_message_count) == ([], 0)
    cancelled = client.sms.batches.cancel(batch.id)
    assert (cancelled.id, cancelled.canceled) == (batch.id, True)
    assert cancelled.modified_at >= batch.modified_at
    assert client.sms.batches.cancel(batch.id).canceled is True
    assert client.sms.batches.get(batch.id).canceled is True
    assert client.sms.delivery_reports.get(batch.id).statuses == []


def test_s15_2_update_and_replace_before_dispatch(client, reference):
    batch = client.sms.batches.send_sms(to=[ONE, TWO], from_="Kvitto", body="first", send_at=in_an_hour())
    updated = client.sms.batches.update_sms(
        batch_id=batch.id, to_add=["+" + THREE], to_remove=["+" + ONE], body="second", client_reference=reference
    )
    assert (updated.id, updated.to, updated.body) == (batch.id, [TWO, THREE], "second")
    assert (updated.client_reference, updated.send_at) == (reference, batch.send_at)
    assert updated.created_at == batch.created_at
    assert updated.modified_at > batch.modified_at
    replaced = client.sms.batches.replace_sms(
        batch_id=batch.id, to=[ONE], from_="Other", body="third", send_at=in_an_hour()
    )
    assert (replaced.id, replaced.to, replaced.from_, replaced.body) == (batch.id, [ONE], "Other", "third")
    assert (replaced.client_reference, replaced.created_at) == (None, batch.created_at)
    assert client.sms.batches.get(batch.id) == replaced
    client.sms.batches.cancel(batch.id)


def test_s15_2_a_dispatched_batch_cannot_be_changed(client):
    batch = client.sms.batches.send_sms(to=[ONE], from_="Kvitto", body="x")
    final(client, batch.id, 1)
    with pytest.raises(SinchException) as caught:
        client.sms.batches.update_sms(batch_id=batch.id, body="too late")
    assert caught.value.response_status_code == 403
    assert caught.value.http_response.body["code"] == "batch_already_dispatched"


def test_s15_2_binary_and_media(client):
    binary = client.sms.batches.send_binary(to=[ONE], from_="Kvitto", body="AAECAw==", udh="0500030A0201")
    assert type(binary).__name__ == "BinaryResponse"
    assert (binary.type, binary.body, binary.udh) == ("mt_binary", "AAECAw==", "0500030A0201")
    assert final(client, binary.id, 1).statuses[0].status == "Delivered"
    media = client.sms.batches.send_mms(
        to=[ONE],
        from_="Kvitto",
        body={"subject": "s", "message": "look", "url": "https://shop.example/a.png"},
        strict_validation=True,
    )
    assert type(media).__name__ == "MediaResponse"
    assert (media.body.url, media.body.message, media.body.subject) == ("https://shop.example/a.png", "look", "s")
    assert media.strict_validation is True
    report = final(client, media.id, 1)
    assert report.type == "delivery_report_mms"
    assert [(s.code, s.status) for s in report.statuses] == [(402, "Aborted")]
    assert client.sms.delivery_reports.get_for_number(media.id, ONE).type == "recipient_delivery_report_mms"


def test_s15_2_parameters_come_back_and_a_missing_one_ends_its_recipient(client):
    parameters = {"name": {"+" + ONE: "Eva"}}
    batch = client.sms.batches.send_sms(to=[ONE, TWO], from_="Kvitto", body="Hi ${name}", parameters=parameters)
    assert batch.parameters == parameters
    found = {(s.code, s.status): s.recipients for s in final(client, batch.id, 2).statuses}
    assert found == {(0, "Delivered"): [ONE], (405, "Aborted"): [TWO]}


def test_s15_2_too_many_parts_end_as_411_with_their_number(client):
    batch = client.sms.batches.send_sms(to=[ONE], from_="Kvitto", body="x" * 200, max_number_of_message_parts=1)
    assert batch.max_number_of_message_parts == 1
    final(client, batch.id, 1)
    report = client.sms.delivery_reports.get_for_number(batch.id, ONE)
    assert (report.status, report.code, report.number_of_message_parts) == ("Aborted", 411, 2)


def test_s15_2_dry_run(client):
    result = client.sms.batches.dry_run_sms(
        to=[ONE, TWO, THREE],
        from_="Kvitto",
        body="Hi ${name}",
        parameters={"name": {"default": "you", "+" + TWO: "✓" * 71}},
        per_recipient=True,
        number_of_recipients=2,
        delivery_report="full",
    )
    assert (result.number_of_recipients, result.number_of_messages) == (3, 4)
    assert [(r.recipient, r.number_of_parts, r.encoding) for r in result.per_recipient] == [
        (ONE, 1, "text"),
        (TWO, 2, "unicode"),
    ]
    assert result.per_recipient[0].body == "Hi you"
    plain = client.sms.batches.dry_run_sms(to=[ONE], from_="Kvitto", body="x")
    assert (plain.number_of_recipients, plain.number_of_messages, plain.per_recipient) == (1, 1, None)
    binary = client.sms.batches.dry_run_binary(to=[ONE], from_="Kvitto", body="AAEC", udh="00", per_recipient=True)
    assert (binary.per_recipient[0].body, binary.number_of_messages) == ("AAEC", 1)
    assert (
        client.sms.batches.dry_run_mms(to=[ONE], from_="Kvitto", body={"url": "https://a/b"}).number_of_recipients == 1
    )


@pytest.mark.parametrize("page_size", [2, None])
def test_s15_2_batches_are_listed_newest_first_over_all_pages(client, reference, page_size):
    sent = [
        client.sms.batches.send_sms(to=[ONE], from_=sender, body="x", client_reference=reference).id
        for sender in ("46701740605", "12345", "46701740605", "Other", "12345")
    ]
    pages = client.sms.batches.list(page_size=page_size, client_reference=reference)
    assert (pages.result.count, pages.result.page) == (5, 0)
    assert pages.result.page_size == (page_size or 5)
    assert [batch.id for batch in pages.iterator()] == sent[::-1]
    start = datetime.now(UTC) - timedelta(minutes=5)
    chosen = client.sms.batches.list(
        start_date=start, client_reference=reference, from_=["46701740605", "12345"], page_size=page_size
    )
    assert [batch.from_ for batch in chosen.iterator()] == ["12345", "46701740605", "12345", "46701740605"]
    ended = client.sms.batches.list(end_date=start, client_reference=reference)
    assert (ended.result.count, ended.content(), ended.has_next_page) == (0, [], False)


def test_s15_2_report_filters_take_capitals_and_change_no_total(client, reference):
    batch = client.sms.batches.send_sms(to=[ONE, GONE], from_="Kvitto", body="x", client_reference=reference)
    final(client, batch.id, 2)
    get = client.sms.delivery_reports.get
    both = get(batch.id, report_type="full", client_reference=reference, status=["QUEUED", "DELIVERED"])
    assert [(s.status, s.recipients) for s in both.statuses] == [("Delivered", [ONE])]
    assert both.total_message_count == 2
    assert [s.code for s in get(batch.id, code=[27, 418]).statuses] == [27]
    assert get(batch.id, status=["FAILED"], code=[0]).statuses == []
    assert get(batch.id).statuses[0].recipients is None


def test_s15_2_finished_reports_are_listed_over_pages(client, reference):
    batch = client.sms.batches.send_sms(
        to=[ONE, TWO, THREE, GONE], from_="Kvitto", body="x", client_reference=reference
    )
    final(client, batch.id, 4)
    pages = client.sms.delivery_reports.list(page_size=2, client_reference=reference)
    assert (pages.result.count, pages.result.page, pages.result.page_size) == (4, 0, 2)
    reports = list(pages.iterator())
    assert {report.recipient for report in reports} == {ONE, TWO, THREE, GONE}
    assert [report.at for report in reports] == sorted((report.at for report in reports), reverse=True)
    delivered = client.sms.delivery_reports.list(
        page=1, page_size=2, client_reference=reference, status=["DELIVERED"], code=[0]
    )
    assert (delivered.result.count, delivered.result.page, delivered.result.page_size) == (3, 1, 1)
    failed = client.sms.delivery_reports.list(client_reference=reference, code=[27])
    assert [(r.recipient, r.status, r.code) for r in failed.iterator()] == [(GONE, "Failed", 27)]
    past = client.sms.delivery_reports.list(
        client_reference=reference, end_date=datetime.now(UTC) - timedelta(minutes=5)
    )
    assert past.result.count == 0


def refused(call: Callable[[], Any]) -> tuple[int, Any]:
    with pytest.raises(SinchException) as caught:
        call()
    return caught.value.response_status_code, caught.value.http_response.body


def test_s15_2_refusals_reach_the_customer_with_code_and_text(client):
    send = client.sms.batches.send_sms
    status, body = refused(lambda: send(to=[ONE], from_="Kvitto", body="x" * 2001))
    assert (status, body) == (400, {"code": "syntax_constraint_violation", "text": "body: 0 to 2000 characters"})
    status, body = refused(lambda: send(to=["nobody"], from_="Kvitto", body="x"))
    assert (status, body["code"], body["text"].split(":")[0]) == (400, "syntax_invalid_parameter_format", "to[0]")
    status, body = refused(lambda: send(to=["01KVT7Q4M8Z2X5B9C3D6F0G1HJ"], from_="Kvitto", body="x"))
    assert (status, body["code"]) == (403, "unknown_group")
    status, body = refused(lambda: send(to=[ONE], from_="Kvitto", body="x", delivery_report="full"))
    assert (status, body["code"]) == (403, "missing_callback_url")


def test_s15_2_what_does_not_exist_is_404(client):
    unknown = "01KVT7Q4M8Z2X5B9C3D6F0G1HJ"
    batches, reports = client.sms.batches, client.sms.delivery_reports
    assert refused(lambda: batches.get(unknown))[0] == 404
    assert refused(lambda: batches.cancel(unknown))[0] == 404
    assert refused(lambda: batches.update_sms(batch_id=unknown, body="x"))[0] == 404
    assert refused(lambda: batches.replace_sms(batch_id=unknown, to=[ONE], from_="Kvitto", body="x"))[0] == 404
    assert refused(lambda: batches.send_delivery_feedback(unknown, recipients=[]))[0] == 404
    assert refused(lambda: reports.get(unknown))[0] == 404
    batch = batches.send_sms(to=[ONE], from_="Kvitto", body="x")
    assert refused(lambda: reports.get_for_number(batch.id, TWO))[0] == 404
    assert refused(lambda: reports.get(batch.id, report_type="fuller"))[0] == 404
    assert refused(lambda: batches.send_delivery_feedback(batch.id, recipients=[]))[0] == 404


def test_s2_a_wrong_token_or_plan_is_401(server):
    for plan, token in ((server.service_plan_id, "wrong"), ("nobody", server.api_token)):
        stranger = SinchClient(service_plan_id=plan, sms_api_token=token, sms_region="us")
        stranger.configuration.sms_origin_with_service_plan_id = server.origin
        assert refused(partial(stranger.sms.batches.get, "abc"))[0] == 401
