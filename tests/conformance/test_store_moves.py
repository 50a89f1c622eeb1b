"""An account's callback URL becomes another: what waits for the old one is told at the new one (docs/callbacks.md)."""

from typing import Any

import pytest

from kvitto.core.endpoint import endpoint_number
from kvitto.core.model import CallbackResult, CallbackState, Content, Feed, FeedFilter, Notify, Own
from kvitto.core.record import CallbackFilter, NewReplay
from kvitto.core.status import Reason, Status
from kvitto.core.users import AuditEntry
from kvitto.store import schema as t
from kvitto.store.callbackapi import Want
from kvitto.store.statements import Statement
from kvitto.store.verbs import moves
from tests.conformance.house import House

OLD = "https://old.example/dlr"
NEW = "https://new.example/dlr"
ELSEWHERE = "https://old.example/other"


async def with_url(house: House, url: str | None) -> None:
    await house.store.set_account(house.account.name, {"callback_url": url})


async def ended(house: House, count: int = 1, url: str | None = None, **more) -> list[str]:
    """Messages that ended at once, their callbacks due at the account's URL, or at the batch's."""
    return await house.send(count, aborts=dict.fromkeys(range(count), Reason.NO_ROUTE), callback_url=url, **more)


def number_of(house: House, url: str) -> int:
    return endpoint_number(house.account.id, url)


async def postponed(house: House, count: int = 1, in_s: float = 30) -> list[int]:
    """Callbacks to the account's URL that failed once; their numbers."""
    await ended(house, count)
    due = await house.callbacks()
    at = house.now + int(in_s * 1000)
    await house.store.record_attempts(
        [CallbackResult(one.id, CallbackState.PENDING, house.now, at, house.now, 500, "HTTP 500", 3) for one in due]
    )
    return [one.id for one in due]


async def walked(house: House, most: int = 200) -> int:
    """Make every step that may be made now; how many those were."""
    for steps in range(most):
        if not (await house.store.step_moves(house.now)).more:
            return steps + 1
    raise AssertionError("no end")


async def urls(house: House) -> set[tuple[str, int]]:
    """Where what is not finished goes."""
    c = t.callback.c
    return set(await house.look(t.callback.select().with_only_columns(c.url, c.endpoint).where(c.state == "pending")))


async def open_moves(house: House) -> list:
    return await house.look(t.webhook_move.select())


@pytest.mark.parametrize("new", [NEW, "https://old.example/another-path"])
async def test_a_retry_goes_to_the_new_url_at_its_next_try(house: House, new: str):
    await with_url(house, OLD)
    (number,) = await postponed(house)
    await with_url(house, new)
    await walked(house)
    assert await urls(house) == {(new, number_of(house, new))}
    assert await house.callbacks() == [], "its next try is when it was"
    house.clock.advance(30)
    (due,) = await house.callbacks()
    assert (due.id, due.url, due.endpoint, due.attempts) == (number, new, number_of(house, new), 1)


async def test_what_is_claimed_before_any_step_goes_to_the_new_url_already(house: House):
    await with_url(house, OLD)
    await postponed(house, 2, in_s=0)
    await with_url(house, NEW)
    claimed = await house.store.claim_callbacks(house.now, [Want(number_of(house, OLD), 10)])
    assert {(one.url, one.endpoint) for one in claimed} == {(NEW, number_of(house, NEW))}
    assert await urls(house) == {(NEW, number_of(house, NEW))}


async def test_a_batchs_own_url_stays_also_where_it_is_the_accounts_old_one(house: House):
    await with_url(house, OLD)
    await ended(house, url=OLD)
    await ended(house, url=ELSEWHERE)
    await with_url(house, NEW)
    await walked(house)
    claimed = await house.callbacks()
    assert sorted(one.url for one in claimed) == [OLD, ELSEWHERE]


async def test_a_further_text_of_a_request_stays_at_its_own_url_or_follows_the_account(house: House):
    await with_url(house, OLD)
    plan = house.plan(2, aborts={0: Reason.NO_ROUTE, 1: Reason.NO_ROUTE}, callback_url="https://first.example/")
    rest: Any = (None, None, plan.batch.expire_at, {}, Feed.OTHER, None)
    owns = [Own("Me", Content(text="x"), Notify.FINAL, url, *rest) for url in (None, OLD)]
    messages = [one._replace(own=own) for one, own in zip(plan.messages, owns, strict=True)]
    await house.store.accept_batch(plan._replace(messages=messages, apart=True))
    await with_url(house, NEW)
    await walked(house)
    told = {one.facts.id: one.url for one in await house.callbacks()}
    assert told == {messages[0].id: NEW, messages[1].id: OLD}


async def test_the_end_of_a_batch_follows_too(house: House):
    await with_url(house, OLD)
    await ended(house, 2, notify=Notify.BATCH_SUMMARY)
    await with_url(house, NEW)
    await walked(house)
    assert [one.url for one in await house.callbacks()] == [NEW]


async def test_without_a_url_what_waits_is_given_up_in_words_and_can_be_told_again_at_the_next_one(house: House):
    await with_url(house, OLD)
    (number,) = await postponed(house)
    await ended(house, url=ELSEWHERE)
    await with_url(house, None)
    await walked(house)
    (view, attempts) = await house.store.fetch_callback(house.account.id, number)
    assert (view.state, view.last_error, view.next_attempt_at) == (CallbackState.GIVEN_UP, moves.CLEARED, None)
    assert [one.status_code for one in attempts] == [500], "that it is given up now was no try"
    assert [one.url for one in await house.callbacks()] == [ELSEWHERE]
    await with_url(house, NEW)
    wanted = CallbackFilter(account_id=house.account.id, states=(CallbackState.GIVEN_UP,))
    await house.store.start_replay(NewReplay(wanted, 50.0, house.now))
    await house.store.step_replays(house.now)
    assert [(one.id, one.url) for one in await house.callbacks()] == [(number, NEW)]


async def test_without_a_url_a_due_callback_is_not_claimed_but_given_up(house: House):
    await with_url(house, OLD)
    await ended(house, 3)
    await with_url(house, None)
    assert await house.callbacks() == []
    rows = await house.look(t.callback.select().with_only_columns(t.callback.c.state, t.callback.c.last_error))
    assert rows == [("given_up", moves.CLEARED)] * 3


async def test_p16_what_is_leased_between_the_walks_look_and_its_step_is_left_to_who_posts_it(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    await with_url(house, OLD)
    await ended(house, feed=Feed.PUSHED)
    (due,) = await house.callbacks()
    await house.store.release_callbacks([due.id], house.now)
    await with_url(house, None)
    lease = t.callback.update().values(leased_by="node2", leased_until=house.now + 1000)
    of_accounts = moves._of_accounts

    def leased_meanwhile(tx: Any, ids: Any) -> list[int]:
        found = of_accounts(tx, ids)
        tx.run(Statement(lambda _: lease))
        return found

    monkeypatch.setattr(moves, "_of_accounts", leased_meanwhile)
    await house.store.step_moves(house.now)
    await house.finish([due])
    page = await house.store.take_reports(house.account.id, FeedFilter(), 10, house.now)
    assert page.messages == []


async def test_p16_what_was_to_be_pushed_and_lost_its_url_enters_the_feed(house: House):
    await with_url(house, OLD)
    (message,) = await ended(house, feed=Feed.PUSHED)
    await with_url(house, None)
    await walked(house)
    page = await house.store.take_reports(house.account.id, FeedFilter(), 10, house.now)
    assert [one.id for one in page.messages] == [message]


async def test_what_is_sent_again_goes_where_the_account_wants_it_now(house: House):
    await with_url(house, OLD)
    await ended(house)
    await ended(house, url=ELSEWHERE)
    told = await house.callbacks()
    await house.finish(told)
    await with_url(house, NEW)
    await walked(house)
    for one in told:
        assert await house.store.resend_callback(house.account.id, one.id, house.now)
    assert sorted(one.url for one in await house.callbacks()) == [NEW, ELSEWHERE]


async def test_what_is_in_hand_when_the_url_changes_is_found_when_it_comes_back(house: House):
    await with_url(house, OLD)
    await ended(house)
    (due,) = await house.callbacks()
    await with_url(house, NEW)
    await walked(house)
    assert due.url == OLD
    at = house.now + 30_000
    failed = CallbackResult(due.id, CallbackState.PENDING, house.now, at, house.now, 500, "HTTP 500", 3)
    await house.store.record_attempts([failed])
    house.clock.advance(6)
    await walked(house)
    assert await urls(house) == {(NEW, number_of(house, NEW))}


async def test_many_are_moved_in_steps_that_a_restart_interrupts(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(moves, "LOOKED_AT_PER_STEP", 10)
    await with_url(house, OLD)
    await postponed(house, 35)
    await with_url(house, NEW)
    assert (await house.store.step_moves(house.now)).more
    assert await urls(house) == {(OLD, number_of(house, OLD)), (NEW, number_of(house, NEW))}
    await house.restart()
    await walked(house)
    assert await urls(house) == {(NEW, number_of(house, NEW))}


async def test_on_the_same_origin_each_step_looks_at_others(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(moves, "LOOKED_AT_PER_STEP", 10)
    await with_url(house, OLD)
    await postponed(house, 35)
    await with_url(house, ELSEWHERE)
    assert await walked(house) == 4
    assert await urls(house) == {(ELSEWHERE, number_of(house, OLD))}


async def test_the_walk_ends_after_a_minute_without_a_find_and_begins_again_with_another_change(house: House):
    await with_url(house, OLD)
    await postponed(house)
    await with_url(house, NEW)
    assert await house.store.step_moves(house.now) == (False, {number_of(house, OLD)})
    for _ in range(13):
        house.clock.advance(5)
        assert (await house.store.step_moves(house.now)).begun == set()
    assert await open_moves(house) == []
    await with_url(house, OLD)
    assert len(await open_moves(house)) == 1


async def test_the_old_url_set_again_stops_the_move_and_brings_back_what_was_moved(house: House):
    await with_url(house, OLD)
    await postponed(house)
    await with_url(house, NEW)
    await walked(house)
    await postponed(house)
    await with_url(house, OLD)
    await walked(house)
    assert await urls(house) == {(OLD, number_of(house, OLD))}
    house.clock.advance(40)
    assert {one.url for one in await house.callbacks()} == {OLD}


async def test_another_account_with_the_same_url_keeps_it(house: House):
    other = await house.new_account(callback_url=OLD)
    await with_url(house, OLD)
    await ended(house)
    await house.send(1, aborts={0: Reason.NO_ROUTE}, callback_url=None, account=other)
    await with_url(house, NEW)
    await walked(house)
    assert {(one.account_id, one.url) for one in await house.callbacks()} == {
        (house.account.id, NEW),
        (other.id, OLD),
    }


async def test_a_setting_that_stays_as_it_is_moves_nothing(house: House):
    await with_url(house, OLD)
    await with_url(house, OLD)
    await house.store.set_account(house.account.name, {"ack": "http"})
    assert await open_moves(house) == []


async def test_a_walk_for_an_account_that_is_gone_ends(house: House):
    await with_url(house, OLD)
    await postponed(house)
    await with_url(house, NEW)
    await house.store.delete_account(house.account.name)
    await walked(house)
    assert await open_moves(house) == []


async def test_two_processes_move_each_callback_once(postgres_house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(moves, "LOOKED_AT_PER_STEP", 5)
    house = postgres_house
    other = await house.second(node="node2")
    await with_url(house, OLD)
    await postponed(house, 20)
    await with_url(house, NEW)
    for _ in range(10):
        await other.step_moves(house.now)
        await house.store.step_moves(house.now)
    assert await urls(house) == {(NEW, number_of(house, NEW))}


# --- other settings of what is told, the latest tries, and audits in the same transaction


async def test_chosen_statuses_and_an_incoming_url_are_kept(house: House):
    wishes = {"callback_statuses": (Status.DELIVERED, Status.EXPIRED), "incoming_url": "https://in.example/"}
    made = await house.new_account(**wishes)
    assert (await house.store.find_account(id=made.id))[0] == made
    changed = await house.store.set_account(house.account.name, wishes)
    assert {name: getattr(changed, name) for name in wishes} == wishes
    cleared = await house.store.set_account(house.account.name, {"callback_statuses": (), "incoming_url": None})
    assert (cleared.callback_statuses, cleared.incoming_url) == ((), None)


async def test_the_latest_tries_have_each_failure_and_what_was_taken_at_once(house: House):
    await with_url(house, OLD)
    await ended(house)
    (first,) = await house.callbacks()
    at = house.now + 30_000
    failed = CallbackResult(first.id, CallbackState.PENDING, house.now, at, house.now, 500, "HTTP 500", 3)
    await house.store.record_attempts([failed])
    house.clock.advance(1)
    await ended(house)
    (second,) = await house.callbacks()
    await house.finish([second])
    other = await house.new_account(callback_url=OLD)
    tries = await house.store.list_tries(house.account.id, 50)
    assert [(one.callback_id, one.status, one.next_attempt_at) for one in tries] == [
        (second.id, "ABORTED", None),
        (first.id, "ABORTED", at),
    ]
    assert [(one.status_code, one.error) for one in tries] == [(200, None), (500, "HTTP 500")]
    assert await house.store.list_tries(house.account.id, 1) == tries[:1]
    assert await house.store.list_tries(other.id, 50) == []


async def test_a_change_and_its_audit_are_one_and_nothing_done_is_nothing_told(house: House):
    entry = AuditEntry(house.now, "ann", house.account.id, "webhook.save", house.account.name)
    assert await house.store.set_account(house.account.name, {"ack": "http"}, entry) is not None
    assert await house.store.set_account("nobody", {"ack": "http"}, entry) is None
    assert await house.store.resend_callback(None, 12345, house.now, entry) is None
    assert [one for _, one in await house.store.office.audit(None, 1 << 60, 10)] == [entry]


async def test_a_change_that_fails_leaves_no_audit(house: House):
    entry = AuditEntry(house.now, "ann", house.account.id, "webhook.save", house.account.name)
    with pytest.raises(KeyError):
        await house.store.set_account(house.account.name, {"ack": "http", "no_such_setting": 1}, entry)
    assert await house.store.office.audit(None, 1 << 60, 10) == []
    assert (await house.store.find_account(id=house.account.id))[0].ack == "body"
