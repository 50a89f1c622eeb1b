"""The one-time feed: what enters it, that each report is read once, and that none is lost (docs/status.md 8, P16)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from kvitto.core.ids import batch_of
from kvitto.core.model import CallbackResult, CallbackState, Content, Feed, FeedFilter, Notify, Submission
from kvitto.core.status import Reason, Status
from kvitto.intake.admit import plan
from kvitto.store import schema as t
from kvitto.store.api import ReceivedReceipt
from kvitto.store.verbs import feed
from tests.conformance.house import CALLBACK_URL, RULES, House, build_receipt

ALL = FeedFilter()


async def ended(house: House, count: int = 1, **wishes) -> list[str]:
    """Messages that were delivered; nobody is called back about them unless asked for."""
    ids = await house.dispatch(count, **{"notify": Notify.NONE, "feed": Feed.OWN, **wishes})
    for message in ids:
        await house.receipt_for(message)
    return ids


async def take(house: House, wanted: FeedFilter = ALL, limit: int = 50, *, confirm: bool = True) -> list[str]:
    """Read; the answer gets through, unless told otherwise."""
    page = await house.store.take_reports(house.account.id, wanted, limit, house.now)
    if confirm and page.handing is not None:
        await house.store.confirm_reports(page.handing)
    return [view.id for view in page.messages]


async def unread(house: House) -> list[str]:
    page = await house.store.peek_reports(house.account.id, ALL, 1000)
    assert page.handing is None
    return [view.id for view in page.messages]


async def test_p16_a_report_is_read_once_newest_first(house: House):
    ids = await ended(house, 3)
    assert await take(house) == ids[::-1]
    assert await take(house) == []


async def test_p16_a_limit_leaves_the_rest_unread(house: House):
    ids = await ended(house, 5)
    assert await take(house, limit=2) == [ids[4], ids[3]]
    assert await take(house, limit=2) == [ids[2], ids[1]]
    assert await take(house, limit=2) == [ids[0]]
    assert await take(house, limit=2) == []


async def test_what_has_not_ended_is_not_in_the_feed(house: House):
    await house.dispatch(2, notify=Notify.NONE, feed=Feed.OWN)
    assert await take(house) == []


async def test_peeking_takes_nothing(house: House):
    ids = await ended(house, 3)
    assert await unread(house) == ids[::-1]
    assert await take(house) == ids[::-1]
    assert await unread(house) == []


async def test_p16_what_could_not_be_written_is_unread_again(house: House):
    ids = await ended(house, 3)
    page = await house.store.take_reports(house.account.id, ALL, 2, house.now)
    assert await take(house) == [ids[0]]
    await house.store.release_reports(page.handing)
    await house.store.release_reports(page.handing)
    assert await take(house) == [ids[2], ids[1]]


async def test_p16_a_confirmation_is_for_good(house: House):
    await ended(house)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    await house.store.confirm_reports(page.handing)
    await house.store.release_reports(page.handing)
    assert await take(house) == []


async def test_p16_a_process_that_died_while_handing_over_has_them_again(house: House):
    ids = await ended(house, 2)
    assert await take(house, confirm=False) == ids[::-1]
    assert await take(house) == []
    await house.restart()
    assert await take(house) == ids[::-1]
    await house.restart()
    assert await take(house) == []


async def test_p16_what_another_process_was_handing_over_when_it_died_comes_back_after_its_lease(house: House):
    ids = await ended(house, 2)
    assert await take(house, confirm=False) == ids[::-1]
    await house.restart(node="node2")
    assert await take(house) == []
    house.clock.advance(feed.LEASE_MS / 1000 - 1)
    assert await take(house) == []
    house.clock.advance(2)
    assert await take(house) == ids[::-1]


async def test_p16_readers_at_once_share_the_reports_out(house: House):
    ids = await ended(house, 40)
    pages = await asyncio.gather(*[take(house, limit=3) for _ in range(16)])
    got = [message for page in pages for message in page]
    assert sorted(got) == sorted(ids)


@pytest.mark.postgres
async def test_p16_readers_in_several_processes_share_the_reports_out(postgres_house: House):
    house = postgres_house
    ids = await ended(house, 60)
    stores = [await house.second(node=f"other{n}") for n in range(3)]

    async def read(store) -> list[str]:
        got: list[str] = []
        while (page := await store.take_reports(house.account.id, ALL, 4, house.now)).handing is not None:
            await store.confirm_reports(page.handing)
            got.extend(view.id for view in page.messages)
        return got

    rounds = await asyncio.gather(*[read(store) for store in [house.store, *stores] for _ in range(4)])
    got = [message for one in rounds for message in one]
    # A reader that finds only locked rows ends early: whoever holds them has taken them, or puts them back.
    got += await take(house, limit=100)
    assert sorted(got) == sorted(ids)


async def test_reports_by_batch_or_message_and_by_either_name(house: House):
    one = await ended(house, 3, client_id="bulk-1")
    two = await ended(house, 2, client_id="bulk-2")
    assert await take(house, FeedFilter(batch_ids=("nobody",))) == []
    assert await take(house, FeedFilter(message_ids=("nobody",))) == []
    assert await take(house, FeedFilter(batch_ids=("bulk-1",), message_ids=(two[0],))) == []
    assert await take(house, FeedFilter(batch_ids=("bulk-1",), message_ids=(one[1],))) == [one[1]]
    assert await take(house, FeedFilter(batch_ids=("bulk-1",)), limit=1) == [one[2]]
    assert await take(house, FeedFilter(batch_ids=(batch_of(one[0]),))) == [one[0]]
    assert await take(house, FeedFilter(message_ids=(two[1],))) == [two[1]]
    assert await take(house) == [two[0]]


async def test_a_dialects_own_choice_leaves_the_rest_unread(house: House, monkeypatch):
    monkeypatch.setattr(feed, "STEP", 2)
    ids = await ended(house, 7)
    kept = {ids[0], ids[3], ids[5]}
    wanted = FeedFilter(keeps=lambda view: view.id in kept)
    assert await take(house, wanted, limit=2) == [ids[5], ids[3]]
    assert await take(house, wanted, limit=2) == [ids[0]]
    assert await take(house, wanted, limit=2) == []
    assert set(await take(house)) == set(ids) - kept


async def test_reports_of_a_window_leave_what_ended_before_it_unread(house: House):
    old = await ended(house, 2)
    house.clock.advance(3 * 3600)
    new = await ended(house, 3)
    wanted = FeedFilter(ended_from=house.now - 2 * 3_600_000)
    assert await take(house, wanted, limit=2) == [new[2], new[1]]
    assert await take(house, wanted) == [new[0]]
    assert await take(house, wanted) == []
    assert await take(house) == old[::-1]


async def test_a_window_is_not_looked_for_behind_its_beginning(house: House, monkeypatch):
    monkeypatch.setattr(feed, "STEP", 2)
    await ended(house, 20)
    house.clock.advance(3 * 3600)
    looked: list[int] = []
    views_of = feed.views_of

    def counted(tx, ids, **how):
        looked.append(len(ids))
        return views_of(tx, ids, **how)

    monkeypatch.setattr(feed, "views_of", counted)
    assert await take(house, FeedFilter(ended_from=house.now)) == []
    assert looked == [2]


async def test_another_accounts_reports_do_not_exist(house: House):
    (message,) = await ended(house)
    stranger = await house.new_account()
    for wanted in (ALL, FeedFilter(message_ids=(message,)), FeedFilter(batch_ids=(batch_of(message),))):
        page = await house.store.take_reports(stranger.id, wanted, 50, house.now)
        assert page == ([], None)
    assert await take(house) == [message]


# --- what enters -----------------------------------------------------------------------------------------------------


async def test_which_ends_enter(house: House):
    sent = {way: (await ended(house, notify=Notify.FINAL, feed=way))[0] for way in Feed}
    assert set(await take(house)) == {sent[Feed.OTHER], sent[Feed.OWN]}


@pytest.mark.parametrize(
    ("rule", "entering"),
    [
        ("all", {Feed.OTHER, Feed.OWN, Feed.PUSHED}),
        ("unpushed", {Feed.OTHER, Feed.OWN}),
        ("infobip_only", {Feed.OWN}),
    ],
)
async def test_which_ends_enter_by_the_accounts_rule(house: House, rule, entering):
    account = await house.new_account(feed=rule)
    sent = {}
    for way in Feed:
        wishes = Submission("toy", "Kvitto", (house.number(),), Content(text="x"), Notify.FINAL, CALLBACK_URL, feed=way)
        new = await house.store.accept_batch(plan(wishes, account, house.now, house.ids.new()))
        sent[new.messages[0].id] = way
    for one in await house.claim():
        await house.answer(one.message_id, house.smsc_id(one.message_id))
        await house.receipt_for(one.message_id)
    page = await house.store.take_reports(account.id, ALL, 50, house.now)
    assert {sent[view.id] for view in page.messages} == entering


async def test_a_push_that_was_given_up_enters_and_one_that_got_through_does_not(house: House):
    given_up, told = await ended(house, 2, notify=Notify.CHANGES, feed=Feed.PUSHED)
    assert await take(house) == []
    results = []
    for due in await house.callbacks():
        state = CallbackState.GIVEN_UP if due.facts.id == given_up else CallbackState.DONE
        results.append(CallbackResult(due.id, state, house.now, None, house.now, 500, "HTTP 500", 1))
    await house.store.record_attempts(results)
    assert await take(house) == [given_up], told


async def test_what_is_to_be_pushed_but_nobody_can_be_told_enters_at_once(house: House):
    (message,) = await ended(house, notify=Notify.FINAL, feed=Feed.PUSHED, callback_url=None)
    assert await take(house) == [message]


async def test_an_abort_at_admission_is_reported_too(house: House):
    ids = await house.send(2, aborts={1: Reason.NO_ROUTE}, notify=Notify.NONE, feed=Feed.OWN)
    assert await take(house) == [ids[1]]


async def test_r45_a_correction_is_a_new_report(house: House):
    (message,) = await house.dispatch(valid_s=60, notify=Notify.NONE, feed=Feed.OWN)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    assert await take(house) == [message]
    await house.receipt_for(message)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    assert [(view.id, view.status) for view in page.messages] == [(message, Status.DELIVERED)]


async def test_r45_a_correction_before_anybody_has_read_replaces_the_report(house: House):
    (message,) = await house.dispatch(valid_s=60, notify=Notify.NONE, feed=Feed.OWN)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    await house.receipt_for(message)
    assert await take(house) == [message]
    assert await house.look(select(t.unread.c.seq)) == []


async def overdue(house: House, count: int = 1) -> list[str]:
    """Messages that nobody receipted in time: UNKNOWN, until a late receipt corrects them."""
    ids = await house.dispatch(count, valid_s=60, notify=Notify.NONE, feed=Feed.OWN)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, count + 10)
    return ids


async def reports(house: House) -> list[tuple[str, Status]]:
    """What a reader gets, to the end."""
    got = []
    while (page := await house.store.take_reports(house.account.id, ALL, 3, house.now)).handing is not None:
        await house.store.confirm_reports(page.handing)
        got += [(view.id, view.status) for view in page.messages]
    return got


async def put_back(house: House, handing: int, how: str) -> None:
    """What is being handed over does not reach its reader."""
    if how == "restart":
        await house.restart()
    elif how == "lease":
        house.clock.advance(feed.LEASE_MS / 1000)
    else:
        await house.store.release_reports(handing)


@pytest.mark.parametrize("how", ["release", "restart", "lease"])
async def test_r45_a_correction_replaces_a_report_that_is_handed_over_and_put_back(house: House, how):
    corrected, other = await overdue(house, 2)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    await house.receipt_for(corrected)
    await put_back(house, page.handing, how)
    assert await reports(house) == [(corrected, Status.DELIVERED), (other, Status.UNKNOWN)]


async def test_r45_a_correction_that_was_read_before_the_first_end_is_put_back_is_not_read_again(house: House):
    (message,) = await overdue(house)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    await house.receipt_for(message)
    assert await reports(house) == [(message, Status.DELIVERED)]
    await house.store.release_reports(page.handing)
    assert await reports(house) == []


async def test_r45_a_correction_of_a_report_that_reaches_its_reader_is_a_new_report(house: House):
    (message,) = await overdue(house)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    await house.receipt_for(message)
    await house.store.confirm_reports(page.handing)
    assert [view.status for view in page.messages] == [Status.UNKNOWN]
    assert await reports(house) == [(message, Status.DELIVERED)]


async def test_r45_a_correction_between_taking_and_reading_is_told_once(house: House, monkeypatch):
    corrected, other = await overdue(house, 2)
    read = house.store._read

    async def late(verb, *args, **how):
        if verb is feed.reports_of:
            monkeypatch.undo()
            await house.receipt_for(corrected)
        return await read(verb, *args, **how)

    monkeypatch.setattr(house.store, "_read", late)
    assert await reports(house) == [(other, Status.UNKNOWN), (corrected, Status.DELIVERED)]


async def test_r45_a_page_of_which_nothing_is_left_is_not_the_end_of_the_feed(house: House, monkeypatch):
    (message,) = await overdue(house)
    read = house.store._read

    async def late(verb, *args, **how):
        if verb is feed.reports_of:
            monkeypatch.undo()
            await house.receipt_for(message)
        return await read(verb, *args, **how)

    monkeypatch.setattr(house.store, "_read", late)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    assert [(view.id, view.status) for view in page.messages] == [(message, Status.DELIVERED)]
    await house.store.confirm_reports(page.handing)
    assert await house.look(select(t.handing.c.id)) == []


@pytest.mark.parametrize(("wanted", "status"), [(None, Status.DELIVERED), (False, Status.UNKNOWN)])
async def test_r45_an_end_and_its_correction_in_one_transaction_are_one_report(house: House, wanted, status):
    await house.store.set_account(house.account.name, {"late_corrections": wanted})
    (message,) = await house.dispatch(notify=Notify.NONE, feed=Feed.OWN)
    both = [
        ReceivedReceipt("link", "link", house.now, "00aa", build_receipt(house.smsc_id(message), said), RULES)
        for said in (Status.UNKNOWN, Status.DELIVERED)
    ]
    await house.store.record_receipts(both)
    page = await house.store.take_reports(house.account.id, FeedFilter(first_final=wanted is False), 50, house.now)
    assert [(view.id, view.status) for view in page.messages] == [(message, status)]


async def test_r45_without_corrections_a_report_that_is_put_back_is_read_at_its_first_end(house: House):
    await house.store.set_account(house.account.name, {"late_corrections": False})
    (message,) = await overdue(house)
    page = await house.store.take_reports(house.account.id, FeedFilter(first_final=True), 50, house.now)
    await house.receipt_for(message)
    await house.store.release_reports(page.handing)
    page = await house.store.take_reports(house.account.id, FeedFilter(first_final=True), 50, house.now)
    assert [(view.id, view.status) for view in page.messages] == [(message, Status.UNKNOWN)]


@pytest.mark.postgres
async def test_r45_corrections_beside_readers_that_fail_are_told_once(postgres_house: House):
    house = postgres_house
    ids = await overdue(house, 40)
    stores = [await house.second(node=f"other{n}") for n in range(3)]

    async def fail(store) -> None:
        for _ in range(15):
            page = await store.take_reports(house.account.id, ALL, 4, house.now)
            if page.handing is not None:
                await store.release_reports(page.handing)

    async def correct(store, mine: list[str]) -> None:
        for message in mine:
            await house.receipt_for(message, store=store)

    await asyncio.gather(
        *[fail(store) for store in stores], correct(house.store, ids[::2]), correct(stores[0], ids[1::2])
    )
    assert sorted(await reports(house)) == [(message, Status.DELIVERED) for message in sorted(ids)]


@pytest.mark.parametrize("read_before", [True, False])
async def test_r45_an_account_that_wants_no_corrections_reads_the_first_end_once(house: House, read_before):
    await house.store.set_account(house.account.name, {"late_corrections": False})
    as_it_wants = FeedFilter(first_final=True)
    (message,) = await house.dispatch(valid_s=60, notify=Notify.NONE, feed=Feed.OWN)
    house.clock.advance(60 + 3600)
    await house.store.end_overdue({}, house.now, 10)
    peeked = await house.store.peek_reports(house.account.id, as_it_wants, 50)
    if read_before:
        assert await take(house, as_it_wants) == [message]
    await house.receipt_for(message)
    page = await house.store.take_reports(house.account.id, as_it_wants, 50, house.now)
    shown = [(view.id, view.status, view.reason, view.since_at, view.done_at, view.error) for view in peeked.messages]
    assert [one[1] for one in shown] == [Status.UNKNOWN]
    found = [(view.id, view.status, view.reason, view.since_at, view.done_at, view.error) for view in page.messages]
    assert found == ([] if read_before else shown)


async def test_a_report_carries_all_that_is_known(house: House):
    sent: dict[str, Any] = {"client_id": "bulk", "extra": {"callbackData": "shop=3"}, "client_reference": "ref"}
    (message,) = await ended(house, parts=2, **sent)
    await house.receipt_for(message, part=2)
    page = await house.store.take_reports(house.account.id, ALL, 50, house.now)
    (view,) = page.messages
    assert view == await house.view(message)
    assert (view.dialect, view.sender, view.batch_client_id, view.sent_at) == ("sinch", "Kvitto", "bulk", house.now)
    assert (view.smsc_message_id, view.link) == (house.smsc_id(message, 2), "link")
    assert (view.extra, view.client_reference) == ({"callbackData": "shop=3"}, "ref")


@pytest.mark.parametrize("corrections", [None, False])
async def test_what_is_cleaned_away_is_no_report_any_more(house: House, corrections):
    await house.store.set_account(house.account.name, {"late_corrections": corrections})
    await ended(house, 2)
    house.clock.advance(400 * 86_400)
    while not (await house.store.clean({}, 30, house.now, 100)).over:
        pass
    assert await house.look(select(t.unread.c.seq)) == []
    assert await take(house) == []
