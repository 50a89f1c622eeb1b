"""Order, replay and breaker, from the receipt to the customer's endpoint: real store, simulator, HTTP and sink."""

from collections import Counter
from pathlib import Path

import standardwebhooks

from kvitto.callbacks.outbox import OutboxLimits
from kvitto.core.endpoint import EndpointState, endpoint_number, show_endpoint_id
from kvitto.core.model import Notify
from kvitto.core.record import CallbackFilter, NewReplay, ReplayState
from tests.integration.test_outbox_delivery import SECRET, open_outbox
from tests.support.rig import ACCOUNT, eventually, open_rig
from tests.support.sink import Reply, Sink

NUMBERS = [f"4670100{n:04}" for n in range(400)]


async def test_p15_no_story_runs_backwards_though_most_callbacks_wait_in_the_store(tmp_path: Path):
    tight = OutboxLimits(per_endpoint=4, waiting=12, slow_waiting=8, in_hand=200, poll_s=0.05)
    with Sink(delay_ms=(0, 3)) as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig, limits=tight) as outbox:
            for start in range(0, len(NUMBERS), 50):
                await rig.send(*NUMBERS[start : start + 50], notify=Notify.CHANGES, callback_url=sink.url)
            await eventually(lambda: len(sink.received) >= 2 * len(NUMBERS), within_s=60)
            await eventually(lambda: outbox.in_hand == 0)
            number = endpoint_number(ACCOUNT.id, sink.url)
            await eventually(lambda: number not in outbox.full)
    received = sink.received
    assert len(received) == 2 * len(NUMBERS)
    stories: dict[str, list[tuple[str, int]]] = {}
    for one in received:
        sequence = int(one.headers["x-kvitto-sequence"])
        stories.setdefault(one.json["recipient"], []).append((one.json["status"], sequence))
    for story in stories.values():
        assert [status for status, _ in story] == ["Dispatched", "Delivered"]
        assert story[0][1] < story[1][1]


async def test_p14_a_replay_sends_each_callback_once_more_and_no_other(tmp_path: Path):
    with Sink() as sink:
        async with open_rig(tmp_path) as rig, open_outbox(rig, limits=OutboxLimits(poll_s=0.05)) as outbox:
            await rig.send(*NUMBERS[:100], notify=Notify.FINAL, callback_url=sink.url)
            await eventually(lambda: len(sink.received) >= 100)
            await eventually(lambda: outbox.in_hand == 0)
            first = {one.headers["webhook-id"] for one in sink.received}
            sink.clear()
            wanted = CallbackFilter(account_id=ACCOUNT.id, endpoint=endpoint_number(ACCOUNT.id, sink.url))
            replay = await rig.store.start_replay(NewReplay(wanted, 500.0, rig.clock.now()))
            await eventually(lambda: len(sink.received) >= 100, within_s=20)
            await eventually(lambda: outbox.in_hand == 0)
            again = Counter(one.headers["webhook-id"] for one in sink.received)
            assert again == dict.fromkeys(first, 1), "the same ids, each once"
            found = await rig.store.fetch_replay(None, replay.id)
            assert found is not None
            assert (found.state, found.replayed) == (ReplayState.DONE, 100)
            page = await rig.store.list_callbacks(wanted, 1)
            shown = await rig.store.fetch_callback(ACCOUNT.id, page.callbacks[0].id)
            assert shown is not None
            assert [one.status_code for one in shown[1]] == [200, 200]


async def test_p13_an_endpoint_that_is_down_is_left_alone_and_told_of(tmp_path: Path):
    with Sink() as sink:
        sink.answer = lambda path, body: Reply(status=503)
        async with open_rig(tmp_path) as rig, open_outbox(rig, limits=OutboxLimits(poll_s=0.05)) as outbox:
            batch = await rig.send(*NUMBERS[:200], notify=Notify.FINAL, callback_url=sink.url)
            for number in NUMBERS[:200]:
                await rig.final(batch, number)
            await eventually(lambda: outbox.count_states()["open"] == 1)
            await eventually(lambda: outbox.in_hand == 0, within_s=20)
            assert len(sink.received) < 60, "ten failures, and what was in flight"
            one = await rig.store.fetch_endpoint(ACCOUNT.id, sink.url)
            assert one is not None
            assert (one.state, one.delivered, one.last_error) == (EndpointState.OPEN, 0, "HTTP 503")
            stats = await rig.store.fetch_endpoint_stats(one.id, rig.clock.now())
            assert stats.pending == 200, "nothing is lost"
            (event,) = await rig.store.list_operator_events(ACCOUNT.id, 10)
            assert (event.kind, "HTTP 503" in event.detail) == ("endpoint.open", True)


async def test_p13_the_owner_is_called_when_an_endpoint_opens_and_closes_signed_and_kept(tmp_path: Path):
    """And not called about the endpoint that he is called at, though that fails too at first."""
    down = True
    quick = OutboxLimits(poll_s=0.05)
    with Sink() as sink, Sink() as owner:
        sink.answer = lambda path, body: Reply(status=503 if down else 200)
        refusals = iter([500])
        owner.answer = lambda path, body: Reply(status=next(refusals, 200))
        url = owner.url
        async with open_rig(tmp_path) as rig, open_outbox(rig, limits=quick, events_url=url) as outbox:
            await rig.store.set_account(ACCOUNT.name, {"events_url": url})
            await rig.send(*NUMBERS[:20], notify=Notify.FINAL, callback_url=sink.url)
            await eventually(lambda: outbox.count_states()["open"] == 1, within_s=30)
            await eventually(lambda: len(owner.received) == 1)
            down = False
            number = endpoint_number(ACCOUNT.id, sink.url)
            await rig.store.enable_endpoint(ACCOUNT.id, number, rig.clock.now())
            await eventually(lambda: len(owner.received) >= 3, within_s=30)
            await eventually(lambda: outbox.in_hand == 0, within_s=30)
            kinds = [one.kind for one in await rig.store.list_operator_events(ACCOUNT.id, 10)]
            failed = await rig.store.list_callbacks(
                CallbackFilter(account_id=ACCOUNT.id, endpoint=endpoint_number(ACCOUNT.id, url)), 10
            )
            attempts = [
                [one.status_code for one in (await rig.store.fetch_callback(ACCOUNT.id, each.id))[1]]  # type: ignore[index]
                for each in failed.callbacks
            ]
    told = [one.json["type"] for one in owner.received]
    assert sorted(told) == ["endpoint.enabled", "endpoint.open", "endpoint.open"], "one was refused and came again"
    assert [500, 200] in attempts
    assert kinds == ["endpoint.enabled", "endpoint.open"]
    body = owner.received[0].json
    assert list(body) == ["type", "timestamp", "data"]
    assert body["data"]["subject"] == show_endpoint_id(number)
    assert "HTTP 503" in body["data"]["detail"]
    for one in owner.received:
        assert standardwebhooks.Webhook(SECRET).verify(one.body, dict(one.headers)) == one.json
