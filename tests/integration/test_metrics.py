"""``/metrics``: exactly the names of the table, with the numbers of the rooms."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kvitto.callbacks.outbox import Outbox
from kvitto.callbacks.post import CallbackClient
from kvitto.core.clock import SystemClock
from kvitto.core.errors import StoreUnavailable
from kvitto.core.model import Notify
from kvitto.dialects.sinch import SinchDialect
from kvitto.intake.exchange import Request, Response
from kvitto.intake.health import open_metrics
from kvitto.intake.pressure import Pressure
from kvitto.intake.routing import Router
from kvitto.measures import read_samples
from kvitto.telemetry import METRICS, METRICS_TYPE, Samples, write_metrics
from tests.support.rig import ACCOUNT, Rig, eventually, open_rig
from tests.support.sink import Sink


def read(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value, as Prometheus reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def outbox_of(rig: Rig) -> Outbox:
    async def account(account_id: str):
        return ACCOUNT

    client = CallbackClient(clock=SystemClock())
    return Outbox(rig.store, client, {"sinch": SinchDialect()}, account, rig.clock, allow_private=True)


def pressure_of(rig: Rig) -> Pressure:
    return Pressure(rig.store.count_queued, most=10, most_per_account=10)


async def test_what_is_shown_is_the_table_and_counts_what_happened(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig:
            outbox = outbox_of(rig)
            outbox.start()
            numbers = ["46701000001", "46701000002", "999000000020", "999000000010"]
            batch = await rig.send(*numbers, notify=Notify.FINAL, callback_url=sink.url)
            for number in numbers:
                await rig.final(batch, number)
            await eventually(lambda: outbox.delivered == 4 and not outbox.in_hand)
            samples = await read_samples(rig.store, rig.dispatcher.status, outbox, pressure_of(rig))
            page = write_metrics(samples)
            await outbox.stop()
    assert set(samples) == {metric.name for metric in METRICS}
    values = read(page)
    assert {name for name, _ in values} == {metric.name for metric in METRICS}
    for metric in METRICS:
        labels = {tuple(name for name, _ in labels) for name, labels in values if name == metric.name}
        assert labels == {tuple(sorted(metric.labels))}, metric.name
    main = ("link", "main")
    assert values["kvitto_link_binds", (main,)] == 1
    assert values["kvitto_parts_submitted_total", (main,)] == 4
    assert values["kvitto_answers_total", (("class", "ok"), main)] == 3
    assert values["kvitto_answers_total", (("class", "permanent"), main)] == 1
    assert values["kvitto_receipts_total", (main, ("outcome", "matched"))] == 3
    assert values["kvitto_receipts_matched_total", (("level", "1"), main)] == 3
    counted = {
        dict(labels)["what"]: value for (name, labels), value in values.items() if name == "kvitto_link_counted_total"
    }
    assert counted == {
        "claimed": 4,
        "submitted": 4,
        "answers_ok": 3,
        "refused": 1,
        "receipts": 3,
        "receipts_matched": 3,
        "receipts_level_1": 3,
    }
    assert values["kvitto_callbacks_total", (("outcome", "delivered"),)] == 4
    assert values["kvitto_callbacks_pending", ()] == values["kvitto_messages_queued", ()] == 0
    assert 0 < values["kvitto_store_transactions_total", ()] <= values["kvitto_store_items_total", ()]
    assert not any(number in page.decode() for number in [*numbers, ACCOUNT.id])


async def test_what_the_store_cannot_count_is_left_out(tmp_path: Path, monkeypatch):
    async def away():
        raise StoreUnavailable("away")

    async with open_rig(tmp_path) as rig:
        monkeypatch.setattr(rig.store, "count_backlog", away)
        samples = await read_samples(rig.store, rig.dispatcher.status, outbox_of(rig), pressure_of(rig))
    left_out = {metric.name for metric in METRICS} - set(samples)
    assert left_out == {
        "kvitto_messages_queued",
        "kvitto_parts_in_doubt",
        "kvitto_receipts_parked",
        "kvitto_callbacks_pending",
        "kvitto_link_counted_total",
    }


async def test_those_who_ask_at_once_share_one_reading():
    readings = []

    async def read_once() -> Samples:
        readings.append(1)
        await asyncio.sleep(0)
        return {"kvitto_callback_attempts_total": [((), 5)]}

    router = Router()
    open_metrics(router, read_once)
    request = Request("GET", "/metrics", "/metrics")

    async def ask() -> Response:
        answer = router(request)
        assert isinstance(answer, Awaitable)
        return await answer

    answers = await asyncio.gather(*(ask() for _ in range(5)))
    assert len(readings) == 1
    for answer in answers:
        assert (answer.status, answer.content_type) == (200, METRICS_TYPE)
        assert answer.body.endswith(b"kvitto_callback_attempts_total 5.0\n")
