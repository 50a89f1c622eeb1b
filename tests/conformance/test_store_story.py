"""``trace``: a message's whole story, with what the tables of parts and callbacks forget on the way."""

from kvitto.core.model import CallbackResult, CallbackState, Notify
from kvitto.core.receipt import LinkRules
from kvitto.core.status import Status
from tests.conformance.house import House, build_receipt


async def told(house: House, message: str, kind: str) -> list[str]:
    return [entry.text for entry in await house.store.trace(message) if entry.kind == kind]


async def test_r11_every_refused_submit_stays_in_the_story(house: House):
    (message,) = await house.send()
    for command_status in (0x58, 0x14, 0x58):
        await house.claim()
        house.clock.advance(1)
        await house.answer(message, status=command_status, retry_in_s=1)
        house.clock.advance(1)
    await house.claim()
    await house.answer(message, "id1")
    assert await told(house, message, "response") == [
        "a part refused for now, command_status 0x58",
        "a part refused for now, command_status 0x14",
        "a part refused for now, command_status 0x58",
        "part 1 taken by the SMSC as 'id1'",
    ]
    assert await told(house, message, "status") == ["QUEUED (retrying)"] * 3 + ["DISPATCHED (accepted)"]
    times = [entry.at for entry in await house.store.trace(message) if entry.text == "QUEUED (retrying)"]
    assert times == [house.now - 5_000, house.now - 3_000, house.now - 1_000]
    assert await house.callbacks() == [], "a new reason under the same status is nobody's callback"


async def test_a_refusal_of_one_part_among_several_is_told_once(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "id1", part=1)
    await house.answer(message, part=2, status=0x14, retry_in_s=1)
    assert await told(house, message, "response") == [
        "part 1 taken by the SMSC as 'id1'",
        "a part refused for now, command_status 0x14",
    ]


async def test_that_it_was_dispatched_is_told_whether_or_not_anybody_was_called_back(house: House):
    silent, loud = [(await house.send(notify=notify))[0] for notify in (Notify.NONE, Notify.CHANGES)]
    await house.claim()
    for message in (silent, loud):
        await house.answer(message, f"id-{message}")
        house.clock.advance(1)
        await house.receive(build_receipt(f"id-{message}"))
        assert await told(house, message, "status") == ["DISPATCHED (accepted)", "DELIVERED (delivered)"]


async def test_it_was_dispatched_only_when_the_last_part_was_answered(house: House):
    (message,) = await house.send(parts=2)
    await house.claim()
    await house.answer(message, "id1", part=1)
    assert await told(house, message, "status") == []
    house.clock.advance(1)
    await house.answer(message, "id2", part=2)
    (entry,) = [entry for entry in await house.store.trace(message) if entry.kind == "status"]
    assert (entry.text, entry.at) == ("DISPATCHED (accepted)", house.now)


async def test_r7_an_answer_after_the_end_makes_no_dispatch_of_it(house: House):
    (message,) = await house.send(valid_s=60)
    await house.claim()
    await house.fate(message, in_doubt=True)
    house.clock.advance(60 + LinkRules().dlr_grace_s)
    await house.store.end_overdue({}, house.now, 10)
    house.clock.advance(1)
    await house.answer(message, "id1")
    assert await told(house, message, "status") == ["UNKNOWN (not_acknowledged)"]


async def test_r33_an_adopted_part_was_taken_by_nobody_s_answer(house: House):
    rules = LinkRules(adopt_after_s=60)
    (message,) = await house.send()
    await house.claim()
    await house.fate(message, in_doubt=True)
    house.clock.advance(1)
    await house.receive(build_receipt("theirs", to=await house.recipient(message)), rules=rules)
    house.clock.advance(61)
    await house.store.retry_parked({"link": rules}, house.now)
    assert await told(house, message, "doubt") == [
        "part 1 was never answered: in doubt",
        "part 1 in doubt; adopted by a receipt, id 'theirs'",
    ]
    assert await told(house, message, "response") == []
    assert await told(house, message, "status") == ["DELIVERED (delivered)"]


async def test_p9_a_callback_reads_as_it_stands(house: House):
    (message,) = await house.dispatch(notify=Notify.FINAL, callback_url="http://customer.example/cb")
    await house.receipt_for(message, Status.DELIVERED)
    url = "http://customer.example/cb"
    assert await told(house, message, "callback") == [f"DELIVERED to be told to {url}; not tried yet"]
    (due,) = await house.callbacks()
    again_at = 1_999_999_999_000
    await house.store.record_attempts(
        [CallbackResult(due.id, CallbackState.PENDING, house.now, again_at, house.now, 503, "HTTP 503", 7)]
    )
    assert await told(house, message, "callback") == [
        f"DELIVERED not told to {url} yet: will be tried again at 2033-05-18T03:33:19.000Z; "
        "1 attempt(s), last: HTTP 503 in 7 ms"
    ]
    await house.store.record_attempts(
        [CallbackResult(due.id, CallbackState.GIVEN_UP, house.now, None, house.now, None, "forbidden: 10.0.0.1", 0)]
    )
    assert await told(house, message, "callback") == [
        f"DELIVERED not told to {url}: given up; 2 attempt(s), last: forbidden: 10.0.0.1 in 0 ms"
    ]
    await house.store.record_attempts(
        [CallbackResult(due.id, CallbackState.DONE, house.now, None, house.now, 200, None, 9)]
    )
    assert await told(house, message, "callback") == [f"DELIVERED told to {url}; 3 attempt(s), last: HTTP 200 in 9 ms"]
