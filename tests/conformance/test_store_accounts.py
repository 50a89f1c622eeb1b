"""Accounts: settings, secrets, tokens, and who sees what (P21)."""

import pytest
from sqlalchemy import select

from kvitto.core.model import BatchFilter, MessageFilter
from kvitto.store import schema as t
from kvitto.store.api import NewAccount
from tests.conformance.house import House


async def test_an_account_reads_back_by_every_key(house: House):
    account = await house.new_account(
        callback_url="http://a/",
        callback_secret="whsec_abc",
        allow_callbacks_to=("10.0.0.0/8",),
        default_from="Me",
        allowed_senders=("Me", "Ö"),
        blocked_numbers=("46701",),
        max_parts=3,
        rate=2.5,
        quota=10,
        timezone="Europe/Stockholm",
    )
    found = (account, f"password-{account.name}")
    assert await house.store.find_account(id=account.id) == found
    assert await house.store.find_account(name=account.name) == found
    assert await house.store.find_account(username=account.username) == found
    assert await house.store.find_account(token_hash=f"token-{account.name}") == found
    assert await house.store.find_account(token_hash="unknown") is None
    assert await house.store.find_account(name="") is None


async def test_names_are_taken_once(house: House):
    twin = NewAccount(house.account, "t", "p")
    assert await house.store.create_account(twin) is False
    assert len(await house.store.list_accounts()) == 1


async def test_a_taken_username_under_a_new_name_leaves_nothing(house: House):
    taken = await house.new_account()
    twin = NewAccount(
        taken.__class__(id=house.ids.new(), name="new", service_plan_id="x", username=taken.username), "t", "p"
    )
    with pytest.raises(Exception, match=r"(?i)unique"):
        await house.store.create_account(twin)
    assert await house.store.find_account(name="new") is None
    assert await house.store.find_account(token_hash="t") is None


async def test_accounts_are_listed_by_name(house: House):
    await house.new_account(name="zz")
    await house.new_account(name="aa")
    assert [one.name for one in await house.store.list_accounts()] == ["aa", "account1", "zz"]


async def test_the_callback_secret_is_sealed_at_rest(house: House):
    await house.new_account(callback_secret="whsec_visible")
    stored = await house.look(select(t.account.c.callback_secret))
    assert all("visible" not in row[0] for row in stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("callback_url", "http://x/"),
        ("callback_url", None),
        ("callback_secret", "whsec_new"),
        ("allow_callbacks_to", ("::1/128",)),
        ("default_from", "Me"),
        ("allowed_senders", ("A", "B")),
        ("blocked_numbers", ()),
        ("max_parts", 11),
        ("rate", 0.5),
        ("rate", None),
        ("quota", 5),
        ("quota", None),
        ("timezone", "UTC"),
        ("disabled", True),
    ],
)
async def test_every_setting_can_be_changed_and_cleared(house: House, name, value):
    account = await house.store.set_account(house.account.name, {name: value})
    assert getattr(account, name) == value
    found, _ = await house.store.find_account(id=house.account.id)
    assert found == account


async def test_several_settings_change_together(house: House):
    account = await house.store.set_account(house.account.name, {"quota": 1, "default_from": "X"})
    assert (account.quota, account.default_from) == (1, "X")
    assert await house.store.set_account("nobody", {"quota": 1}) is None


async def due(house: House) -> list[int]:
    return [row[0] for row in await house.look(select(t.message.c.due_at).order_by(t.message.c.id))]


async def test_a_new_rate_spaces_what_waits_anew(house: House):
    account = await house.new_account(rate=1.0)
    await house.send(4, account=account)
    start = house.now
    assert await due(house) == [start + 1000 * n for n in range(4)]
    await house.store.set_account(account.name, {"rate": 10.0})
    assert await due(house) == [start, start, start + 100, start + 200]
    await house.store.accept_batch(house.plan(1, account=account))
    assert (await due(house))[-1] == start + 300
    await house.store.set_account(account.name, {"rate": None})
    assert await due(house) == [start] * 5


async def test_a_new_rate_leaves_schedules_and_other_accounts_alone(house: House):
    account = await house.new_account(rate=1.0)
    other = await house.new_account(rate=1.0)
    await house.send(2, account=other)
    await house.send(1, account=account, send_at=house.now + 60_000)
    before = await due(house)
    await house.store.set_account(account.name, {"rate": 100.0})
    assert await due(house) == before


async def test_a_rotated_token_replaces_every_older_one(house: House):
    old = f"token-{house.account.name}"
    assert await house.store.rotate_token(house.account.name, "fresh")
    assert await house.store.find_account(token_hash=old) is None
    found, _ = await house.store.find_account(token_hash="fresh")
    assert found.id == house.account.id
    assert not await house.store.rotate_token("nobody", "x")


async def test_a_deleted_accounts_credentials_are_gone_and_its_messages_end_as_ever(house: House):
    (message,) = await house.dispatch()
    assert await house.store.delete_account(house.account.name)
    assert not await house.store.delete_account(house.account.name)
    assert await house.store.find_account(token_hash=f"token-{house.account.name}") is None
    assert await house.store.find_account(id=house.account.id) is None
    await house.receipt_for(message)
    assert await house.look(select(t.message.c.status)) == [("DELIVERED",)]
    assert [one.facts.id for one in await house.callbacks()] == [message]


async def test_p21_no_read_shows_another_accounts_messages(house: House):
    (message,) = await house.dispatch(feedback=True)
    await house.receipt_for(message)
    other = await house.new_account()
    batch_id, number = message[:22] + "0000", await house.recipient(message)
    assert await house.store.fetch_batch(other.id, batch_id) is None
    assert (
        await house.store.fetch_batch_report(other.id, batch_id, recipients=True, first_final=True, now=house.now)
        is None
    )
    assert await house.store.fetch_message(other.id, batch_id, number, first_final=True, now=house.now) is None
    assert await house.store.list_batches(other.id, BatchFilter(), 0, 10) == (0, [])
    assert await house.store.list_messages(other.id, MessageFilter(), 0, 10) == (0, [])


async def test_a_session_ends_when_it_is_closed_and_other_tokens_stay(house: House):
    store, account = house.store, house.account
    await store.open_session(account.id, "a" * 64, house.now, house.now + 60_000)
    await store.open_session(account.id, "b" * 64, house.now, house.now + 60_000)
    await store.close_session("somebody else", "a" * 64)
    assert await store.find_account(token_hash="a" * 64) is not None
    await store.close_session(account.id, "a" * 64)
    assert await store.find_account(token_hash="a" * 64) is None
    assert await store.find_account(token_hash="b" * 64) is not None
    await store.rotate_token(account.name, "c" * 64)
    await store.close_session(account.id, "c" * 64)
    assert await store.find_account(token_hash="c" * 64) is not None, "a token without an end is no session"
