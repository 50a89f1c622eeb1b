"""People, sessions, links, audit, counts by the minute and the search, on both databases (P21)."""

import pytest

from kvitto.core.model import CallbackResult, CallbackState
from kvitto.core.status import Reason, Status
from kvitto.core.users import AuditEntry, Role, User
from kvitto.store.office import EVERYBODY, Failures, Link, Look, NewUser, NewUserSession, SessionChange, UserChange
from tests.conformance.house import CALLBACK_URL, House


def entry(house: House, action: str = "test", account_id: str | None = None) -> AuditEntry:
    return AuditEntry(house.now, "tester", account_id, action, "it")


async def add_user(house: House, name: str, role: Role = Role.OWNER, account_id: str | None = None) -> User:
    user = User(house.ids.new(), name, role, account_id or house.account.id, True, house.now)
    assert await house.store.office.create_user(NewUser(user, "hash", entry(house, "user.add", user.account_id)))
    return user


async def open_session(house: House, user: User, name: str = "s1", replaces: str = "") -> None:
    new = NewUserSession(
        name, user.id, "csrf", user.account_id, house.now, house.now + 1000, replaces, entry(house, "sign in")
    )
    await house.store.office.open_session(new)


async def tallied(house: House, account_id: str | None = None) -> dict[str, int]:
    counts: dict[str, int] = {}
    key = house.account.id if account_id is None else account_id
    for one in await house.store.office.tallies(key, 1):
        counts[one.name] = counts.get(one.name, 0) + one.value
    return {name: value for name, value in counts.items() if value}


async def test_a_users_name_is_taken_once_and_the_audit_tells_of_one(house: House):
    user = await add_user(house, "ann")
    twin = NewUser(user._replace(id=house.ids.new()), "hash", entry(house, "user.add"))
    assert await house.store.office.create_user(twin) is False
    assert await house.store.office.find_user("ann") == (user, "hash")
    assert [one.action for _, one in await house.store.office.audit(None, 1 << 60, 10)] == ["user.add"]


async def test_p21_users_and_audit_are_listed_by_account(house: House):
    other = await house.new_account()
    await add_user(house, "ann")
    await add_user(house, "bo", account_id=other.id)
    assert [one.name for one in await house.store.office.list_users(other.id)] == ["bo"]
    assert [one.name for one in await house.store.office.list_users(None)] == ["ann", "bo"]
    mine = await house.store.office.audit(other.id, 1 << 60, 10)
    assert [one.account_id for _, one in mine] == [other.id]


async def test_a_session_ends_when_its_time_is_over(house: House):
    user = await add_user(house, "ann")
    await open_session(house, user)
    found = await house.store.office.find_session("s1", house.now + 999)
    assert (found.user, found.csrf, found.account_id, found.reveal) == (user, "csrf", house.account.id, False)
    assert await house.store.office.find_session("s1", house.now + 1000) is None


async def test_it_is_kept_when_a_session_was_last_seen(house: House):
    user = await add_user(house, "ann")
    await open_session(house, user)
    await open_session(house, user, "s2")
    assert (await house.store.office.find_session("s1", house.now)).seen_at == house.now
    await house.store.office.touch_session("s1", house.now + 5)
    assert (await house.store.office.find_session("s1", house.now)).seen_at == house.now + 5
    assert (await house.store.office.find_session("s2", house.now)).seen_at == house.now


async def test_a_sign_in_replaces_the_session_before_it(house: House):
    user = await add_user(house, "ann")
    await open_session(house, user, "old")
    await open_session(house, user, "new", replaces="old")
    assert await house.store.office.find_session("old", house.now) is None
    assert await house.store.office.find_session("new", house.now) is not None


async def test_another_password_ends_every_other_session_and_the_link(house: House):
    user = await add_user(house, "ann")
    await open_session(house, user, "here")
    await open_session(house, user, "there")
    await house.store.office.add_link(Link("l1", user.id, house.now + 1000))
    await house.store.office.change_user(UserChange(user.id, "new", Role.VIEWER, entry(house), keep="here"))
    assert await house.store.office.find_session("there", house.now) is None
    assert (await house.store.office.find_session("here", house.now)).user.role is Role.VIEWER
    assert await house.store.office.use_link("l1", house.now) is None
    assert (await house.store.office.find_user("ann"))[1] == "new"


async def test_a_removed_user_is_signed_out(house: House):
    user = await add_user(house, "ann")
    await open_session(house, user)
    assert await house.store.office.remove_user(user.id, entry(house)) is True
    assert await house.store.office.remove_user(user.id, entry(house)) is False
    assert await house.store.office.find_session("s1", house.now) is None


async def test_an_operators_session_remembers_the_account_looked_at_a_customers_cannot_leave_its_own(house: House):
    boss = User(house.ids.new(), "boss", Role.OPERATOR, None, True, house.now)
    await house.store.office.create_user(NewUser(boss, None, entry(house)))
    ann = await add_user(house, "ann")
    other = await house.new_account()
    for user, name in ((boss, "b"), (ann, "a")):
        await open_session(house, user, name)
        await house.store.office.change_session(SessionChange(name, other.id, True, entry(house)))
    assert (await house.store.office.find_session("b", house.now)).account_id == other.id
    assert (await house.store.office.find_session("a", house.now)).account_id == house.account.id


async def test_a_sign_in_link_works_once_and_not_after_its_time(house: House):
    user = await add_user(house, "ann")
    await house.store.office.add_link(Link("l1", user.id, house.now + 1000))
    assert await house.store.office.use_link("l1", house.now) == user
    assert await house.store.office.use_link("l1", house.now) is None
    await house.store.office.add_link(Link("l2", user.id, house.now + 1000))
    assert await house.store.office.use_link("l2", house.now + 1000) is None


async def test_p21_failed_sign_ins_are_counted_by_key_and_a_good_one_forgives_the_first(house: House):
    office = house.store.office
    for _ in range(3):
        await office.count_failures(Failures(("both", "address"), True, house.now, 0))
    assert await office.failures(["both", "address", "name"], house.now) == [3, 3, 0]
    await office.count_failures(Failures(("both",), False, house.now, 0))
    assert await office.failures(["both", "address"], house.now) == [0, 3]
    assert await office.failures(["address"], house.now + 1) == [0]


# --- counts by the minute ---------------------------------------------------------------------------------------------


async def test_a_message_is_counted_where_it_stands_and_when_it_ends(house: House):
    one, two, three = await house.send(3)
    assert await tallied(house) == {"accepted": 3, "now:QUEUED": 3}
    await house.claim()
    await house.answer(one, house.smsc_id(one))
    await house.answer(two, house.smsc_id(two))
    await house.answer(three, status=0x0B)
    house.clock.advance(5)
    await house.receipt_for(one)
    found = await tallied(house)
    assert {name for name in found if name.startswith("wait:")} == {"wait:16"}  # 5 s
    assert {name: value for name, value in found.items() if not name.startswith("wait:")} == {
        "accepted": 3,
        "now:DISPATCHED": 1,
        "status:DELIVERED": 1,
        "status:REJECTED": 1,
        "error:REJECTED:submit_refused:submit:11": 1,
    }


async def test_all_accounts_are_counted_together_too(house: House):
    other = await house.new_account()
    await house.send(2)
    await house.send(1, account=other)
    assert await tallied(house, other.id) == {"accepted": 1, "now:QUEUED": 1}
    assert await tallied(house, EVERYBODY) == {"accepted": 3, "now:QUEUED": 3}


async def test_what_is_cancelled_replaced_or_stored_with_its_end_leaves_no_count_behind(house: House):
    new = house.plan(2, aborts={1: Reason.NO_ROUTE})
    await house.store.accept_batch(new)
    assert await tallied(house) == {
        "accepted": 2,
        "now:QUEUED": 1,
        "status:ABORTED": 1,
        "error:ABORTED:no_route:local:": 1,
    }
    later = house.plan(3, send_at=house.now + 60_000)
    await house.store.accept_batch(later)
    shorter = house.plan(1, batch_id=later.batch.id, send_at=house.now + 60_000)
    await house.store.replace_batch(shorter, later.batch.modified_at)
    assert (await tallied(house))["now:QUEUED"] == 2
    await house.store.cancel_batch(house.account.id, later.batch.id, house.now)
    await house.store.cancel_batch(house.account.id, new.batch.id, house.now)
    assert "now:QUEUED" not in await tallied(house)


async def test_attempts_at_callbacks_are_counted_by_what_came_of_them(house: House):
    sent = await house.dispatch(1, callback_url=CALLBACK_URL)
    await house.receipt_for(sent[0])
    (due,) = await house.callbacks()
    for state in (CallbackState.PENDING, CallbackState.DONE):
        next_at = house.now if state is CallbackState.PENDING else None
        await house.store.record_attempts([CallbackResult(due.id, state, house.now, next_at, None, 200, None, 3)])
    found = await tallied(house)
    assert (found["callback:pending"], found["callback:done"]) == (1, 1)


async def test_old_minutes_are_forgotten_and_what_stands_now_is_not(house: House):
    await house.send(1)
    await house.store.office.forget_tallies(house.now + 60_000)
    assert await tallied(house) == {"now:QUEUED": 1}


# --- the search -------------------------------------------------------------------------------------------------------


async def test_p21_a_search_finds_the_accounts_own_messages_by_every_word(house: House):
    other = await house.new_account()
    number = house.number()
    (mine,) = await house.send(1, to=[number], client_reference="ref-1")
    (theirs,) = await house.send(1, to=[number], account=other)
    await house.claim()
    await house.answer(mine, status=0x0B)
    search = house.store.office.search
    own = house.account.id

    async def ids(**words) -> list[str]:
        return [row.id for row in (await search(Look(words.pop("account", own), **words))).rows]

    assert await ids() == [mine]
    assert await ids(to=number) == [mine]
    assert await ids(account=None, to=number) == [theirs, mine]
    assert await ids(account=None) == [theirs, mine]
    assert await ids(statuses=(Status.REJECTED,)) == [mine]
    assert await ids(statuses=(Status.DELIVERED, Status.FAILED)) == []
    assert await ids(batch_id=theirs[:22] + "0000") == []
    assert await ids(batch_id=mine[:22] + "0000", to=number) == [mine]
    assert await ids(reference="ref-1") == [mine]
    assert await ids(reference="ref-2") == []
    assert await ids(code=11) == [mine]
    assert await ids(code=12) == []
    assert await ids(link="link") == [mine]
    assert await ids(link="other") == []
    assert await ids(since_at=house.now) == [mine]
    assert await ids(since_at=house.now + 1) == []


@pytest.mark.parametrize("anywhere", [False, True])
async def test_pages_are_cut_by_the_last_id_and_meet_without_gap_or_overlap(house: House, anywhere):
    sent = [one for _ in range(3) for one in await house.send(3)]
    look = Look(None if anywhere else house.account.id, limit=4)
    seen, page = [], await house.store.office.search(look)
    while True:
        seen += [row.id for row in page.rows]
        if page.next is None:
            break
        page = await house.store.office.search(look._replace(before=page.next))
    assert seen == sorted(sent, reverse=True)


async def test_a_search_that_finds_little_says_how_far_it_has_looked(house: House, monkeypatch):
    monkeypatch.setattr("kvitto.store.verbs.lookup.WALK_BATCHES", 2)
    monkeypatch.setattr("kvitto.store.verbs.lookup.STEPS", 2)
    first = (await house.send(1, client_reference="old"))[0]
    for _ in range(6):
        await house.send(1)
    look = Look(house.account.id, reference="old")
    page = await house.store.office.search(look)
    assert (page.rows, page.short) == ([], True)
    again = await house.store.office.search(look._replace(before=page.next))
    assert [row.id for row in again.rows] == [first]


async def test_p21_one_message_is_told_whole_to_its_account_alone(house: House):
    (sent,) = await house.dispatch(1, callback_url=CALLBACK_URL)
    await house.receipt_for(sent)
    found = await house.store.office.message(house.account.id, sent)
    assert (found.row.id, found.row.status, len(found.parts), len(found.receipts)) == (sent, Status.DELIVERED, 1, 1)
    assert [one.status for one in found.events] == [Status.DELIVERED]
    assert [(one.url, one.state) for one in found.callbacks] == [(CALLBACK_URL, "pending")]
    other = await house.new_account()
    assert await house.store.office.message(other.id, sent) is None
    assert (await house.store.office.message(None, sent)).row.id == sent


async def test_batches_and_their_recipients_come_by_page(house: House):
    new = house.plan(5)
    await house.store.accept_batch(new)
    (row,) = await house.store.office.batches(house.account.id, "~", 10)
    assert (row.id, row.recipients) == (new.batch.id, 5)
    assert [one.id for one in await house.store.office.batches(None, "~", 10)] == [new.batch.id]
    first = await house.store.office.recipients(new.batch.id, "", 3)
    rest = await house.store.office.recipients(new.batch.id, first[-1].id, 3)
    assert [one.recipient for one in first + rest] == list(new.batch.recipients)
    assert await house.store.office.batch_owner(new.batch.id) == house.account.id
