"""Sessions are further tokens of an account, for a while; and the settings that came with the second dialect."""

from sqlalchemy import select

from kvitto.store import schema as t
from tests.conformance.house import House

TOKEN_S = 60


async def who(house: House, token: str) -> str | None:
    found = await house.store.find_account(token_hash=token)
    return None if found is None else found[0].id


async def test_a_session_is_as_good_as_the_token_until_it_is_over(house: House):
    await house.store.open_session(house.account.id, "session", house.now, house.now + TOKEN_S * 1000)
    assert await who(house, "session") == house.account.id
    house.clock.advance(TOKEN_S - 0.001)
    assert await who(house, "session") == house.account.id
    house.clock.advance(0.001)
    assert await who(house, "session") is None
    assert await who(house, f"token-{house.account.name}") == house.account.id


async def test_sessions_that_are_over_are_forgotten_with_the_next_one(house: House):
    stranger = await house.new_account()
    await house.store.open_session(stranger.id, "another's", house.now, house.now + 1)
    await house.store.open_session(house.account.id, "first", house.now, house.now + 1)
    house.clock.advance(1)
    await house.store.open_session(house.account.id, "second", house.now, house.now + 1000)
    hashes = {row[0] for row in await house.look(select(t.token.c.hash))}
    assert hashes >= {"second", "another's"}
    assert "first" not in hashes


async def test_a_new_token_ends_all_sessions(house: House):
    await house.store.open_session(house.account.id, "session", house.now, house.now + 1000)
    await house.store.rotate_token(house.account.name, "new")
    assert await who(house, "session") is None


async def test_settings_of_callbacks_and_feed_are_kept(house: House):
    plain = await house.new_account()
    found = await house.store.find_account(id=plain.id)
    assert found[0] == plain
    assert (plain.callback_dialect, plain.final_only, plain.late_corrections, plain.ack, plain.feed) == (
        None,
        False,
        None,
        "body",
        "unpushed",
    )
    wishes = {
        "callback_dialect": "ninebits",
        "final_only": True,
        "late_corrections": False,
        "ack": "http",
        "feed": "all",
    }
    made = await house.new_account(**wishes)
    assert (await house.store.find_account(id=made.id))[0] == made
    changed = await house.store.set_account(plain.name, wishes)
    assert {name: getattr(changed, name) for name in wishes} == wishes
    cleared = await house.store.set_account(plain.name, {"late_corrections": None, "callback_dialect": None})
    assert (cleared.late_corrections, cleared.callback_dialect) == (None, None)
