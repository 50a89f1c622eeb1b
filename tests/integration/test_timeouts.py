"""Every recipient comes to an end (P5): an SMSC that says nothing, or half of it, and a clock moved by hand."""

from itertools import product

import pytest
from sqlalchemy import select

from kvitto.core.model import BatchReport, MessageView, Notify, PartKey
from kvitto.core.receipt import LinkRules, PartReceipts
from kvitto.core.status import FINAL, Reason, Status
from kvitto.store import schema as t
from kvitto.store.verbs.columns import batch_key
from tests.conformance.fixtures import (  # noqa: F401  # fixtures
    house,
    migrated_file,
    migrated_postgres,
    postgres_url,
    sqlite_url,
    url,
)
from tests.conformance.house import House, build_receipt

GRACE_S = LinkRules().dlr_grace_s
VALID_S = 600

FATES = {
    "never claimed": (Status.EXPIRED, Reason.VALIDITY_LOCAL),
    "written, no word": (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED),
    "in doubt": (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED),
    "back in the queue": (Status.EXPIRED, Reason.VALIDITY_LOCAL),
    "throttled for ever": (Status.EXPIRED, Reason.VALIDITY_LOCAL),
    "accepted, no receipt": (Status.UNKNOWN, Reason.NO_RECEIPT),
    "on the way for ever": (Status.UNKNOWN, Reason.NO_RECEIPT),
    "will not be sent": (Status.ABORTED, Reason.NO_ROUTE),
    "resent and lost": (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED),
}


async def suffer(house: House, fate: str, link: str, message: str, parts: int) -> None:  # noqa: F811
    """Let it happen to every part."""
    for part in range(1, parts + 1):
        if fate in ("in doubt", "resent and lost"):
            await house.fate(message, in_doubt=True, part=part)
        elif fate == "back in the queue":
            await house.fate(message, in_doubt=False, part=part)
        elif fate == "throttled for ever":
            await house.answer(message, status=0x58, part=part, retry_in_s=60, link=link)
        elif fate in ("accepted, no receipt", "on the way for ever"):
            await house.answer(message, f"{message}{part}", part=part, link=link)
        if fate == "on the way for ever":
            await house.receive(build_receipt(f"{message}{part}", Status.DISPATCHED), link=link)


async def sweep(house: House) -> None:  # noqa: F811
    while await house.store.end_overdue({}, house.now, 7):
        pass
    await house.store.retry_parked({}, house.now)


@pytest.mark.parametrize("notify", [Notify.FINAL, Notify.BATCH_FULL])
async def test_p5_a_silent_smsc_leaves_nobody_without_an_end(house: House, notify):  # noqa: F811
    expected: dict[str, tuple[Status, Reason]] = {}
    start = house.now
    for fate, parts, send_in_s in product(FATES, (1, 3), (None, 1800)):
        send_at = None if send_in_s is None else start + send_in_s * 1000
        aborts = {0: Reason.NO_ROUTE, 1: Reason.NO_ROUTE} if fate == "will not be sent" else {}
        link = f"{fate}, {parts}"  # one for each fate: none takes up what another gave back
        wishes = {"parts": parts, "valid_s": VALID_S, "notify": notify, "aborts": aborts, "send_at": send_at}
        ids = await house.send(2, routes=link, **wishes)
        kept = fate if send_at is None or fate == "will not be sent" else "never claimed"
        expected |= dict.fromkeys(ids, FATES[kept])
        await start_out(house, kept, link, ids, parts)
    for _ in range(int((1800 + VALID_S + GRACE_S) / 60)):
        house.clock.advance(60)
        await sweep(house)
        await check_in_time(house)
    rows = {
        row[0]: row[1:]
        for row in await house.look(
            select(t.message.c.id, t.message.c.status, t.message.c.reason, t.message.c.deadline_at, t.message.c.due_at)
        )
    }
    assert rows == {message: (*end, None, None) for message, end in expected.items()}
    await check_callbacks(house, notify, expected)


async def start_out(house: House, fate: str, link: str, ids: list[str], parts: int) -> None:  # noqa: F811
    if fate in ("never claimed", "will not be sent"):
        return
    await house.claim(link=link)
    for message in ids:
        await suffer(house, fate, link, message, parts)
    if fate == "resent and lost":
        keys = [PartKey(part.message_id, part.part_no) for part in await house.store.list_in_doubt(link)]
        assert await house.store.resend_in_doubt(keys, house.now) == 2 * parts
        await house.claim(link=link)
        for message in ids:
            await suffer(house, "in doubt", link, message, parts)


async def check_in_time(house: House) -> None:  # noqa: F811
    """Whoever is past validity and the wait has ended, at this sweep."""
    rows = await house.look(
        select(t.message.c.id, t.message.c.status, t.batch.c.expire_at).select_from(
            t.message.join(t.batch, t.batch.c.id == batch_key(t.message.c.id))
        )
    )
    late = [
        (message, status)
        for message, status, expire_at in rows
        if status not in FINAL and house.now >= expire_at + GRACE_S * 1000
    ]
    assert late == []


async def check_callbacks(house: House, notify: Notify, expected: dict) -> None:  # noqa: F811
    told = [one.facts for one in await house.callbacks(10_000)]
    if notify is Notify.FINAL:
        assert all(isinstance(one, MessageView) for one in told)
        assert sorted((one.id, one.status, one.reason) for one in told) == sorted(
            (message, *end) for message, end in expected.items()
        )
    else:
        assert all(isinstance(one, BatchReport) for one in told)
        assert sorted(one.batch_id for one in told) == sorted({message[:22] + "0000" for message in expected})
        assert sum(count.count for one in told for count in one.counts) == len(expected)
    for message in expected:
        assert len([status for status, _ in await house.events(message) if status in FINAL]) == 1


async def test_p5_the_end_comes_when_it_is_due_and_not_before(house: House):  # noqa: F811
    (waiting,) = await house.send(valid_s=VALID_S, routes="nowhere")
    (sent,) = await house.dispatch(valid_s=VALID_S)
    house.clock.advance(VALID_S - 0.001)
    await sweep(house)
    assert [(await house.status(one))[0] for one in (waiting, sent)] == [Status.QUEUED, Status.DISPATCHED]
    house.clock.advance(0.001)
    await sweep(house)
    assert [(await house.status(one))[0] for one in (waiting, sent)] == [Status.EXPIRED, Status.DISPATCHED]
    house.clock.advance(GRACE_S - 0.001)
    await sweep(house)
    assert (await house.status(sent))[0] is Status.DISPATCHED
    house.clock.advance(0.001)
    await sweep(house)
    assert await house.status(sent) == (Status.UNKNOWN, Reason.NO_RECEIPT)


async def test_p5_after_a_long_stop_everybody_ends_at_the_first_sweep(house: House):  # noqa: F811
    written, waiting = (await house.send(2, valid_s=VALID_S))[:2]
    await house.claim(1)
    await house.restart()
    house.clock.advance(7 * 86_400)
    await sweep(house)
    assert await house.status(written) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    assert await house.status(waiting) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)


async def test_p5_a_rate_that_is_too_slow_for_the_validity_ends_the_rest_here(house: House):  # noqa: F811
    account = await house.new_account(rate=0.01)
    ids = await house.send(10, account=account, valid_s=250)
    house.clock.advance(250)
    assert [one.message_id for one in await house.claim()] == ids[:3]
    await sweep(house)
    rows = await house.look(select(t.message.c.status).order_by(t.message.c.id))
    assert [row[0] for row in rows] == ["QUEUED"] * 3 + ["EXPIRED"] * 7


async def test_p5_half_a_text_refused_for_now_ends_when_validity_does(house: House):  # noqa: F811
    (message,) = await house.send(parts=2, valid_s=VALID_S)
    await house.claim()
    await house.answer(message, "one", part=1)
    await house.answer(message, status=0x58, part=2, retry_in_s=100_000)
    house.clock.advance(VALID_S)
    await sweep(house)
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_LOCAL)
    house.clock.advance(200_000)
    assert await house.claim() == []


@pytest.mark.parametrize("each", [True, False])
async def test_p5_one_part_delivered_and_one_silent_ends_by_what_is_known_of_the_smsc(house: House, each: bool):  # noqa: F811
    (message,) = await house.dispatch(parts=2, valid_s=VALID_S)
    rules = LinkRules(part_receipts=PartReceipts.ALL if each else PartReceipts.AUTO)
    await house.receipt_for(message, part=1, rules=rules)
    house.clock.advance(VALID_S + GRACE_S)
    await house.store.end_overdue({"link": rules}, house.now, 10)
    ends = {True: (Status.UNKNOWN, Reason.NO_RECEIPT), False: (Status.DELIVERED, Reason.DELIVERED)}
    assert await house.status(message) == ends[each]


async def test_p5_a_receipt_within_the_wait_is_in_time(house: House):  # noqa: F811
    (message,) = await house.dispatch(valid_s=VALID_S)
    house.clock.advance(VALID_S + GRACE_S - 1)
    await sweep(house)
    await house.receipt_for(message, Status.EXPIRED)
    house.clock.advance(86_400)
    await sweep(house)
    assert await house.status(message) == (Status.EXPIRED, Reason.VALIDITY_SMSC)
