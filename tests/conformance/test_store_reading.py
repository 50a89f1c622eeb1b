"""What readers see: batches, lists, filters, pages, counts, a message's story."""

import pytest

from kvitto.core.model import BatchFilter, CallbackResult, CallbackState, ContentKind, MessageFilter, Notify
from kvitto.core.status import Reason, Status
from tests.conformance.house import House, build_receipt


def batch_id(message_id: str) -> str:
    return message_id[:22] + "0000"


async def listed(house: House, page: int = 0, size: int = 100, **wanted) -> tuple[int, list[str]]:
    found = await house.store.list_batches(house.account.id, BatchFilter(**wanted), page, size)
    return found.total, [one.id for one in found.batches]


async def several(house: House, count: int, **wishes) -> list[str]:
    """Batches made one second after another, newest last."""
    ids = []
    for _ in range(count):
        house.clock.advance(1)
        ids.append(batch_id((await house.send(**wishes))[0]))
    return ids


# --- batches -------------------------------------------------------------------------------------------------------


async def test_batches_are_listed_newest_first_in_pages(house: House):
    ids = (await several(house, 5))[::-1]
    assert await listed(house, 0, 2) == (5, ids[:2])
    assert await listed(house, 1, 2) == (5, ids[2:4])
    assert await listed(house, 2, 2) == (5, ids[4:])
    assert await listed(house, 3, 2) == (5, [])
    assert await listed(house, 10**6, 100) == (5, [])


async def test_batches_of_one_millisecond_are_listed_newest_first(house: House):
    ids = [batch_id((await house.send())[0]) for _ in range(3)]
    assert (await listed(house))[1] == ids[::-1]


async def test_batches_are_listed_from_inclusive_to_exclusive(house: House):
    start = house.now
    ids = await several(house, 4)
    assert (await listed(house, from_at=start + 2000, to_at=start + 4000))[1] == [ids[2], ids[1]]
    assert (await listed(house, from_at=start + 5000)) == (0, [])


async def test_batches_older_than_14_days_are_not_listed_but_read(house: House):
    (old,) = await several(house, 1)
    house.clock.advance(14 * 86_400)
    assert (await listed(house)) == (1, [old])
    house.clock.advance(0.001)
    assert (await listed(house)) == (0, [])
    assert (await listed(house, from_at=0)) == (0, [])
    assert (await house.store.fetch_batch(house.account.id, old)).id == old


@pytest.mark.parametrize(
    ("senders", "expected"),
    [
        (("Kvitto",), 1),
        (("kvitto",), 0),
        (("Kvitto", "46701"), 2),
        (("A_B", "46701"), 2),
        (("AxB",), 0),
        (("A%",), 0),
        (("Kv",), 0),
        (("nobody",), 0),
        ((), 4),
    ],
)
async def test_batches_are_filtered_by_exactly_these_senders(house: House, senders, expected):
    for sender in ("Kvitto", "46701", "A_B", None):
        await house.send(sender=sender)
    assert (await listed(house, senders=senders))[0] == expected


async def test_batches_are_filtered_by_reference(house: House):
    await house.send(client_reference="A")
    await house.send(client_reference=None)
    assert (await listed(house, client_reference="A"))[0] == 1
    assert (await listed(house, client_reference="a"))[0] == 0
    assert (await listed(house))[0] == 2


# --- one batch's report --------------------------------------------------------------------------------------------


async def report(house: House, message: str, *, recipients: bool = False):
    return await house.store.fetch_batch_report(
        house.account.id, batch_id(message), recipients=recipients, first_final=True, now=house.now
    )


async def test_a_report_counts_by_status_reason_and_error(house: House):
    ids = await house.dispatch(5, aborts={4: Reason.NO_ROUTE}, client_reference="ref")
    await house.receipt_for(ids[0], err="000")
    await house.receipt_for(ids[1], Status.FAILED, err="027")
    await house.receipt_for(ids[2], Status.FAILED, err="031")
    got = await report(house, ids[0])
    assert (got.message_count, got.client_reference, got.kind, got.visible) == (5, "ref", ContentKind.TEXT, True)
    counts = {(count.status, count.error.text): count.count for count in got.counts}
    assert counts == {
        (Status.DELIVERED, "000"): 1, (Status.FAILED, "027"): 1, (Status.FAILED, "031"): 1,
        (Status.DISPATCHED, None): 1, (Status.ABORTED, None): 1,
    }  # fmt: skip
    assert all(count.recipients == () for count in got.counts)


async def test_a_report_lists_recipients_when_asked_in_the_order_sent(house: House):
    ids = await house.dispatch(4)
    await house.receipt_for(ids[3])
    await house.receipt_for(ids[0])
    got = await report(house, ids[0], recipients=True)
    numbers = [await house.recipient(one) for one in ids]
    assert {count.status: count.recipients for count in got.counts} == {
        Status.DELIVERED: (numbers[0], numbers[3]),
        Status.DISPATCHED: (numbers[1], numbers[2]),
    }


async def test_a_report_of_nothing_is_none(house: House):
    assert await report(house, house.ids.new()) is None


async def test_reports_of_neighbouring_batches_do_not_mix(house: House):
    first, second = await house.send(2), await house.send(3)
    assert (await report(house, first[0])).message_count == 2
    assert (await report(house, second[0])).message_count == 3


async def test_an_unknown_recipient_is_none(house: House):
    (message,) = await house.send()
    got = await house.store.fetch_message(house.account.id, batch_id(message), "999", first_final=True, now=house.now)
    assert got is None


async def test_a_view_carries_what_its_batch_knows(house: House):
    (message,) = await house.send(parts=3, client_reference="ref")
    view = await house.view(message)
    assert (view.batch_id, view.account_id, view.parts, view.client_reference) == (
        batch_id(message), house.account.id, 3, "ref",
    )  # fmt: skip
    assert (view.kind, view.max_parts, view.created_at) == (ContentKind.TEXT, None, house.now)


# --- lists of messages ---------------------------------------------------------------------------------------------


async def messages(house: House, page: int = 0, size: int = 100, **wanted) -> tuple[int, list[str]]:
    found = await house.store.list_messages(house.account.id, MessageFilter(**wanted), page, size)
    return found.total, [one.id for one in found.messages]


async def test_only_final_messages_are_listed_newest_end_first(house: House):
    ids = await house.dispatch(4)
    await house.send()
    for message in (ids[2], ids[0]):
        house.clock.advance(1)
        await house.receipt_for(message)
    assert await messages(house) == (2, [ids[0], ids[2]])


async def test_messages_are_listed_in_pages_with_the_total(house: House):
    ids = await house.dispatch(7)
    for message in ids:
        await house.receipt_for(message, err=message[-1])
    newest = ids[::-1]
    assert await messages(house, 0, 3) == (7, newest[:3])
    assert await messages(house, 2, 3) == (7, newest[6:])
    assert await messages(house, 3, 3) == (7, [])


async def test_messages_are_listed_by_their_end_from_inclusive_to_exclusive(house: House):
    ids = await house.dispatch(3)
    start = house.now
    for message in ids:
        house.clock.advance(1)
        await house.receipt_for(message)
    assert await messages(house, from_at=start + 2000, to_at=start + 3000) == (1, [ids[1]])


async def test_messages_are_listed_by_the_batchs_reference(house: House):
    for reference in ("A", None, "B"):
        ids = await house.dispatch(1, client_reference=reference)
        await house.receipt_for(ids[0])
    assert (await messages(house, client_reference="A"))[0] == 1
    assert (await messages(house, client_reference="C"))[0] == 0


async def test_a_dialects_own_choice_is_asked_once_for_each_combination(house: House):
    ids = await house.dispatch(6)
    ends = [(Status.DELIVERED, "000"), (Status.FAILED, "027"), (Status.FAILED, "031"), (Status.DELIVERED, "000")]
    for message, (status, err) in zip(ids, ends, strict=False):
        await house.receipt_for(message, status, err=err)
    asked = []

    def shows(status, reason, error):
        asked.append((status, reason, error.text))
        return error.text in ("000", "031")

    assert await messages(house, 0, 2, shows=shows) == (3, [ids[3], ids[2]])
    assert sorted(asked) == [
        (Status.DELIVERED, Reason.DELIVERED, "000"), (Status.FAILED, Reason.UNDELIVERABLE, "027"),
        (Status.FAILED, Reason.UNDELIVERABLE, "031"),
    ]  # fmt: skip
    assert await messages(house, 1, 2, shows=shows) == (3, [ids[0]])
    assert await messages(house, shows=lambda *_: False) == (0, [])


async def test_a_batch_withdrawn_before_its_time_has_no_messages_to_list(house: House):
    (message,) = await house.send(send_at=house.now + 60_000)
    await house.store.cancel_batch(house.account.id, batch_id(message), house.now)
    house.clock.advance(120)
    assert await messages(house) == (0, [])
    (later,) = await house.send(send_at=house.now + 60_000)
    house.clock.advance(60)
    await house.store.cancel_batch(house.account.id, batch_id(later), house.now)
    assert await messages(house) == (1, [later])


# --- the operator's views ------------------------------------------------------------------------------------------


async def test_a_story_is_told_in_the_order_of_time(house: House):
    (message,) = await house.send(parts=2, notify=Notify.CHANGES)
    house.clock.advance(1)
    await house.claim(link="north")
    house.clock.advance(1)
    await house.answer(message, "id1", part=1, link="north")
    await house.answer(message, status=0x58, part=2, retry_in_s=1, link="north")
    house.clock.advance(1)
    await house.claim(link="north")
    await house.answer(message, "id2", part=2, link="north")
    for part in ("id1", "id2"):
        house.clock.advance(1)
        await house.receive(build_receipt(part), link="north")
    house.clock.advance(1)
    for due in await house.callbacks():
        done = CallbackResult(due.id, CallbackState.DONE, house.now, None, None, 204, None, 9)
        await house.store.record_attempts([done])
    story = await house.store.trace(message)
    assert [entry.at for entry in story] == sorted(entry.at for entry in story)
    kinds = [entry.kind for entry in story]
    assert kinds[0] == "admission"
    assert kinds[-1] == "callback"
    assert {"submit", "response", "status", "receipt"} <= set(kinds)
    text = "\n".join(entry.text for entry in story)
    for piece in ("id1", "id2", "north", "DISPATCHED", "DELIVERED", "HTTP 204"):
        assert piece in text
    assert [entry.raw for entry in story if entry.kind == "receipt"] == ["00aa", "00aa"]
    assert await house.store.trace(await house.recipient(message)) == story


async def test_a_number_tells_the_stories_of_its_newest_twenty_messages(house: House):
    number = house.number()
    ids = [(await house.send(to=[number]))[0] for _ in range(22)]
    told = {entry.message_id for entry in await house.store.trace(number)}
    assert told == set(ids[2:])


async def test_a_story_tells_doubt_refusal_and_unknown(house: House):
    doubted, refused = await house.send(2)
    await house.claim()
    await house.fate(doubted, in_doubt=True)
    await house.answer(refused, status=0x0B)
    assert "doubt" in [entry.kind for entry in await house.store.trace(doubted)]
    assert any("0x0B" in entry.text for entry in await house.store.trace(refused))
    assert await house.store.trace("nothing") == []
    assert await house.store.trace("4999") == []


async def test_the_backlog_counts_what_waits(house: House):
    ids = await house.dispatch(2)
    await house.send(3)
    await house.receipt_for(ids[0])
    await house.receive(build_receipt("nobody"))
    await house.claim(1)
    await house.restart()
    assert await house.store.count_backlog() == {"queued": 2, "in_doubt": 1, "parked": 1, "callbacks": 1}


async def test_a_read_sees_what_was_committed_before_it(house: House):
    for _ in range(20):
        new = house.plan()
        await house.store.accept_batch(new)
        assert await house.store.fetch_batch(house.account.id, new.batch.id) == new.batch


async def test_check_passes_on_a_working_store(house: House):
    await house.store.check()
