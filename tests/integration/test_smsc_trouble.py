"""An SMSC's bad days (P27): half-open connections, throttling, refused binds, restarts, and a rate to be kept."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from kvitto.core.status import Status
from kvitto.dispatch.link import BindState
from kvitto.simulator import SimulatorConfig
from kvitto.smpp.events import BindReceived, SubmitReceived
from kvitto.smpp.session import Timers
from kvitto.smpp.spec import CommandStatus
from tests.support.proxy import Proxy
from tests.support.rig import Rig, eventually, open_rig
from tests.support.server import reserve_port

ENQUIRE_S = 1.0
QUICK = Timers(enquire_link_s=ENQUIRE_S, enquire_answer_s=ENQUIRE_S * 0.8)
THREE_PARTS = "Your parcel is here. " * 20


def numbers(count: int, start: int = 46_740_000_000) -> list[str]:
    return [str(number) for number in range(start, start + count)]


def on_events(rig: Rig, kind: type, judge: Callable[[Any, float], int]) -> None:
    """Let ``judge(event, now)`` see each event of this kind first; a submit gets the status it gives back, if not 0."""
    simulator: Any = rig.smsc
    original = simulator.on_events

    def one_by_one(bind: Any, events: Sequence[Any], now: float) -> None:
        for event in events:
            status = judge(event, now) if isinstance(event, kind) else 0
            if status:
                bind.session.answer_submit(event.pdu.sequence_number, status)
            else:
                original(bind, [event], now)

    simulator.on_events = one_by_one


async def all_delivered(rig: Rig, batch: Any, *, within_s: float = 20.0) -> None:
    async def done() -> bool:
        report = await rig.store.fetch_batch_report(
            batch.account_id, batch.id, recipients=False, first_final=False, now=rig.clock.now()
        )
        assert report is not None
        return {count.status for count in report.counts} == {Status.DELIVERED}

    await eventually(done, within_s=within_s)


async def test_p27_r9_a_half_open_link_is_seen_within_two_enquire_intervals_and_nothing_is_sent_twice(tmp_path: Path):
    smsc = SimulatorConfig(port=reserve_port(), delay_min_ms=1, delay_max_ms=5)
    async with Proxy(smsc.port) as proxy, open_rig(tmp_path, smsc=smsc, port=proxy.port, timers=QUICK) as rig:
        loop = asyncio.get_running_loop()
        (bind,) = rig.dispatcher.lanes["main"].link.binds
        proxy.go_silent()
        since = loop.time()
        batch = await rig.send(*numbers(5))
        await eventually(lambda: bind.state is not BindState.BOUND, within_s=4 * ENQUIRE_S)
        # Silence began before; a tenth for the machine.
        assert loop.time() - since <= 2 * ENQUIRE_S + 0.1 * ENQUIRE_S
        proxy.heal()
        await rig.bound()
        doubtful = await eventually(lambda: rig.store.list_in_doubt("main"))
        assert {part.recipient for part in doubtful} == set(numbers(5)), (
            "written into the dark: held, not repeated (R12)"
        )
        later = await rig.send(*numbers(5, 46_750_000_000))
        await all_delivered(rig, later)
        assert not set(rig.record.submits) & set(numbers(5))
        assert batch.id != later.id


async def test_p27_r11_a_throttled_link_pauses_and_keeps_everything(tmp_path: Path):
    async with open_rig(tmp_path, window=20, throttle_pause_s=0.2) as rig:
        refused: list[float] = []
        until = asyncio.get_running_loop().time() + 1.5

        def throttle(event: SubmitReceived, now: float) -> int:
            if now >= until:
                return 0
            refused.append(now)
            return CommandStatus.ESME_RTHROTTLED

        on_events(rig, SubmitReceived, throttle)
        batch = await rig.send(*numbers(60))
        await eventually(lambda: rig.dispatcher.status()[0].throttled)
        await all_delivered(rig, batch)
        assert set(rig.record.submits) == set(numbers(60))
        assert max(rig.record.submits.values()) == 1
        # One window is refused at once; after that the link feels its way, it does not knock with all it has.
        first = refused[0]
        late = [now for now in refused if now > first + 0.1]
        assert len(late) <= 20, f"{len(late)} more were refused while the link should have paused"


async def test_p27_r13_a_refused_bind_is_tried_again_slowly_and_stands_once_it_may(tmp_path: Path):
    smsc = SimulatorConfig(port=reserve_port())
    async with open_rig(tmp_path, smsc=smsc, reconnect_min_s=0.02, reconnect_max_s=0.5) as rig:
        tries: list[float] = []

        def note(event: BindReceived, now: float) -> int:
            tries.append(now)
            return 0

        on_events(rig, BindReceived, note)
        (bind,) = rig.dispatcher.lanes["main"].link.binds
        await rig.smsc.stop()
        rig.smsc.config = replace(smsc, password="another")
        await rig.smsc.start()
        await eventually(lambda: bind.state is BindState.REFUSED)
        await eventually(lambda: len(tries) >= 3)
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert min(gaps) >= 0.5, "every reconnect_max_s, not as fast as it can"
        rig.smsc.config = smsc
        await rig.bound()


async def test_p27_an_smsc_that_restarts_gets_everything_once(tmp_path: Path):
    smsc = SimulatorConfig(port=reserve_port(), delay_min_ms=1, delay_max_ms=30)
    async with open_rig(tmp_path, smsc=smsc, window=20, reconnect_max_s=0.2) as rig:
        batch = await rig.send(*numbers(400))

        def came(at: int) -> bool:
            return len(rig.record.submits) >= at

        for at in (50, 200):
            await eventually(partial(came, at))
            await rig.smsc.stop()
            await eventually(lambda: rig.dispatcher.lanes["main"].link.bound == 0)
            await rig.smsc.start()

        async def all_told() -> set[str] | None:
            """Which are in doubt, once each of the others has come to the SMSC."""
            doubtful = {part.recipient for part in await rig.store.list_in_doubt("main")}
            return doubtful | {""} if len(doubtful | set(rig.record.submits)) == 400 else None

        doubtful = await eventually(all_told)
        assert max(rig.record.submits.values()) == 1
        for number in set(numbers(400)) - doubtful:
            assert (await rig.final(batch, number)).status is Status.DELIVERED
        assert len(doubtful - {""}) <= 2 * 20


async def test_p27_the_rate_is_kept_within_five_per_cent_counted_in_parts(tmp_path: Path):
    rate, messages = 150.0, 150
    async with open_rig(tmp_path, window=50, rate=rate) as rig:
        came: list[float] = []

        def note(event: SubmitReceived, now: float) -> int:
            came.append(now)
            return 0

        on_events(rig, SubmitReceived, note)
        await rig.send(*numbers(messages), text=THREE_PARTS)
        await eventually(lambda: len(came) == messages * 3, within_s=10)
        start = len(came) // 10
        measured = (len(came) - 1 - start) / (came[-1] - came[start])
        assert abs(measured / rate - 1) <= 0.05, f"{measured:.1f} parts a second in the place of {rate:g}"
