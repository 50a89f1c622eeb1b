"""The old CLX client, unmodified, against the running server (docs/dialects/sinch.md 14, 15.1)."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from clx.xms import api, exceptions
from clx.xms.client import Client

ONE, TWO, THREE = "46701740611", "46701740612", "46701740613"
GONE = "999000000010"
"""The simulator says UNDELIV with err 027 (`kvitto simulate numbers`)."""
UNKNOWN = "01KVT7Q4M8Z2X5B9C3D6F0G1HJ"


@pytest.fixture
def client(server) -> Client:
    return Client(server.service_plan_id, server.api_token, server.origin + "/xms")


@pytest.fixture
def sender() -> str:
    """A sender of this test's own, by which its batches can be listed."""
    return uuid.uuid4().hex[:10] + "x"


def text(to: set[str], **fields: Any) -> api.MtBatchTextSmsCreate:
    """A batch of this client's making."""
    return filled(api.MtBatchTextSmsCreate(), {"sender": "Kvitto", "recipients": to, "body": "Parcel ready"} | fields)


def filled(made: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def in_an_hour() -> datetime:
    return (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=386_964)


def final(client: Client, batch_id: str, count: int) -> api.BatchDeliveryReport:
    """The full report, once nothing in it is queued or dispatched."""
    last = time.monotonic() + 15
    while True:
        report = client.fetch_delivery_report(batch_id, "full")
        open_ones = {"Queued", "Dispatched"} & {bucket.status for bucket in report.statuses}
        if sum(bucket.count for bucket in report.statuses) == count and not open_ones:
            return report
        assert time.monotonic() < last, vars(report)
        time.sleep(0.05)


def test_s15_1_a_text_goes_out_and_its_reports_come_back(client):
    batch = client.create_batch(text({"+" + ONE, "0046701740612"}, sender="+46701740605", tags={"spring"}))
    assert (batch.recipients, batch.sender, batch.body) == ({ONE, TWO}, "46701740605", "Parcel ready")
    assert (batch.canceled, batch.delivery_report) == (False, "none")
    assert batch.expire_at == batch.created_at + timedelta(days=3)
    fetched = client.fetch_batch(batch.batch_id)
    assert vars(fetched) == vars(batch)
    report = final(client, batch.batch_id, 2)
    assert (report.batch_id, report.total_message_count) == (batch.batch_id, 2)
    assert [(s.code, s.status, s.count, s.recipients) for s in report.statuses] == [(0, "Delivered", 2, {ONE, TWO})]
    for number in (ONE, "+" + ONE):
        single = client.fetch_recipient_delivery_report(batch.batch_id, number)
        assert (single.batch_id, single.recipient, single.code, single.status) == (batch.batch_id, ONE, 0, "Delivered")
        assert single.status_at >= batch.created_at
        assert single.operator_status_at.microsecond == 0
        assert single.operator_status_at >= batch.created_at  # no end before its beginning (R55)


def test_s15_1_the_short_ways_to_send(client):
    assert client.create_text_message("Kvitto", ONE, "x").recipients == {ONE}
    binary = client.create_binary_message("Kvitto", ONE, b"\x05\x00\x03\x0a\x02\x01", bytes(range(60)))
    assert (binary.udh, binary.body) == (b"\x05\x00\x03\x0a\x02\x01", bytes(range(60)))
    assert final(client, binary.batch_id, 1).statuses[0].status == "Delivered"
    assert client.fetch_batch(binary.batch_id).body == bytes(range(60))


def test_s15_1_a_full_callback_is_posted(client, sink):
    batch = client.create_batch(text({ONE, GONE}, delivery_report="full", callback_url=sink.url))
    assert (batch.delivery_report, batch.callback_url) == ("full", sink.url)
    (post,) = sink.wait_for(lambda received: received)
    assert (post.json["type"], post.json["batch_id"]) == ("delivery_report_sms", batch.batch_id)
    assert {bucket["status"]: bucket["recipients"] for bucket in post.json["statuses"]} == {
        "Delivered": [ONE],
        "Failed": [GONE],
    }


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_s15_1_a_scheduled_batch_waits_and_can_be_cancelled(client, zone):
    moment = in_an_hour()
    batch = client.create_batch(text({ONE}, send_at=moment.astimezone(zone), expire_at=moment + timedelta(hours=2)))
    assert batch.send_at == moment.replace(microsecond=386_000)
    assert batch.expire_at == (moment + timedelta(hours=2)).replace(microsecond=386_000)
    report = client.fetch_delivery_report(batch.batch_id)
    assert (report.statuses, report.total_message_count) == ([], 0)
    client.cancel_batch(batch.batch_id)
    client.cancel_batch(batch.batch_id)
    assert client.fetch_batch(batch.batch_id).canceled is True


def test_s15_1_update_adds_removes_and_resets(client, sink):
    batch = client.create_batch(
        text(
            {ONE, TWO},
            send_at=in_an_hour(),
            body="Hi ${name}",
            parameters={"name": {"+" + ONE: "Eva", "default": "you"}},
            delivery_report="full",
            callback_url=sink.url,
        )
    )
    assert batch.parameters == {"name": {"+" + ONE: "Eva", "default": "you"}}
    fields = {
        "recipient_insertions": {THREE},
        "recipient_removals": {"+" + ONE},
        "delivery_report": api.RESET,
        "callback_url": api.RESET,
        "parameters": api.RESET,
        "expire_at": api.RESET,
        "body": "New",
    }
    updated = client.update_batch(batch.batch_id, filled(api.MtBatchTextSmsUpdate(), fields))
    assert (updated.recipients, updated.body, updated.delivery_report) == ({TWO, THREE}, "New", "none")
    assert (updated.callback_url, updated.send_at) == (None, batch.send_at)
    assert updated.expire_at == batch.send_at + timedelta(days=3)
    replaced = client.replace_batch(batch.batch_id, text({ONE}, send_at=in_an_hour(), body="Whole"))
    assert (replaced.batch_id, replaced.recipients, replaced.body) == (batch.batch_id, {ONE}, "Whole")
    assert replaced.created_at == batch.created_at
    client.cancel_batch(batch.batch_id)


def test_s15_1_a_send_at_that_is_reset_sends_at_once(client):
    batch = client.create_batch(text({ONE}, send_at=in_an_hour()))
    update = filled(api.MtBatchTextSmsUpdate(), {"send_at": api.RESET})
    assert client.update_batch(batch.batch_id, update).send_at is None
    assert final(client, batch.batch_id, 1).statuses[0].status == "Delivered"


def test_s15_1_a_binary_batch_can_be_changed(client):
    fields = {"sender": "Kvitto", "recipients": {ONE}, "body": b"\x00\x01", "udh": b"\x00", "send_at": in_an_hour()}
    batch = client.create_batch(filled(api.MtBatchBinarySmsCreate(), fields))
    update = filled(api.MtBatchBinarySmsUpdate(), {"body": b"\x02" * 60, "udh": b"\x01\x02"})
    updated = client.update_batch(batch.batch_id, update)
    assert (updated.body, updated.udh) == (b"\x02" * 60, b"\x01\x02")
    client.cancel_batch(batch.batch_id)


def test_s15_1_paging_ends_at_the_empty_page(client, sender):
    sent = [client.create_batch(text({ONE}, sender=sender)).batch_id for _ in range(5)]
    start = datetime.now(UTC) - timedelta(minutes=5)
    pages = client.fetch_batches(page_size=2, senders={sender, "nobody"}, start_date=start)
    found = list(pages)
    assert [(page.page, page.size, page.total_size) for page in found] == [(0, 2, 5), (1, 2, 5), (2, 1, 5)]
    assert [batch.batch_id for page in found for batch in page] == sent[::-1]
    assert pages.get(3).size == 0
    end = datetime.now(UTC) + timedelta(minutes=5)
    by_date = client.fetch_batches(senders={sender}, tags={"spring"}, start_date=start.date(), end_date=end)
    assert by_date.get(0).total_size == 5
    assert client.fetch_batches(senders={sender}, end_date=start).get(0).size == 0


def test_s15_1_dry_run(client):
    batch = text(
        {ONE, TWO}, body="Hi ${name}", parameters={"name": {"default": "you", TWO: "✓" * 71}}, delivery_report="full"
    )
    plain = client.create_batch_dry_run(batch)
    assert (plain.number_of_recipients, plain.number_of_messages, plain.per_recipient) == (2, 3, [])
    listed = client.create_batch_dry_run(batch, 10)
    assert [(r.recipient, r.number_of_parts, r.encoding) for r in listed.per_recipient] == [
        (ONE, 1, "text"),
        (TWO, 2, "unicode"),
    ]
    assert listed.per_recipient[0].body == "Hi you"


def test_s15_1_report_filters(client):
    batch_id = client.create_batch(text({ONE, GONE})).batch_id
    final(client, batch_id, 2)
    summary = client.fetch_delivery_report(batch_id, "summary", {"Delivered", "Deleted"}, {0, 11, 400})
    assert [(s.code, s.status, s.count, s.recipients) for s in summary.statuses] == [(0, "Delivered", 1, set())]
    assert summary.total_message_count == 2
    assert [s.code for s in client.fetch_delivery_report(batch_id, code={27}).statuses] == [27]


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(exceptions.ErrorResponseException) as caught:
        call()
    return caught.value.error_code, str(caught.value)


def test_s15_1_refusals_carry_code_and_text(client):
    code, words = refused(lambda: client.create_batch(text({ONE}, body=None)))
    assert code == "syntax_constraint_violation"
    assert words.startswith("body: ")
    assert refused(lambda: client.create_batch(text(set())))[0] == "syntax_constraint_violation"
    assert refused(lambda: client.create_batch(text({"nobody"})))[0] == "syntax_invalid_parameter_format"
    assert refused(lambda: client.create_batch(text({UNKNOWN})))[0] == "unknown_group"
    assert refused(lambda: client.create_batch(text({ONE}, delivery_report="full")))[0] == "missing_callback_url"
    batch_id = client.create_batch(text({ONE})).batch_id
    final(client, batch_id, 1)
    update = filled(api.MtBatchTextSmsUpdate(), {"body": "too late"})
    assert refused(lambda: client.update_batch(batch_id, update))[0] == "batch_already_dispatched"


def test_s15_1_what_does_not_exist_is_not_found(client):
    for call in (
        lambda: client.fetch_batch(UNKNOWN),
        lambda: client.cancel_batch(UNKNOWN),
        lambda: client.replace_batch(UNKNOWN, text({ONE})),
        lambda: client.fetch_delivery_report(UNKNOWN),
        lambda: client.fetch_recipient_delivery_report(UNKNOWN, ONE),
        lambda: client.fetch_delivery_report(client.create_batch(text({ONE})).batch_id, "fuller"),
        lambda: client.fetch_batch_tags(UNKNOWN),
    ):
        with pytest.raises(exceptions.NotFoundException):
            call()


def test_s2_a_wrong_token_or_plan_is_unauthorized(server):
    for plan, token in ((server.service_plan_id, "wrong"), ("nobody", server.api_token)):
        with pytest.raises(exceptions.UnauthorizedException):
            Client(plan, token, server.origin + "/xms").fetch_batch(UNKNOWN)
