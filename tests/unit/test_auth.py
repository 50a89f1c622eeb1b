"""Who is calling: tokens, passwords, plans; what is remembered and for how long."""

import base64
from typing import Any

import pytest

from kvitto.core.ids import IdMaker
from kvitto.dialects.base import Credentials, Problem
from kvitto.intake.admit import Denial
from kvitto.intake.auth import KEEP_S, Authenticator, hash_secret, mint_account
from tests.support.fakestore import FakeStore


@pytest.fixture
async def shop(clock):
    """(store, authenticator, secrets) with one account."""
    store: Any = FakeStore()
    new, secrets = mint_account("Shop 1", IdMaker(clock), clock.now())
    await store.create_account(new)
    return store, Authenticator(store, clock), secrets


def problem_of(found) -> Problem:
    assert isinstance(found, Denial)
    return found.problem


def test_a_minted_account_has_five_secrets_and_stores_only_hashes_of_two(clock):
    new, secrets = mint_account("shop", IdMaker(clock), clock.now(), callback_url="https://shop.example/")
    assert new.token_hash == hash_secret(secrets.api_token)
    assert new.password_hash == hash_secret(secrets.password)
    assert len({*secrets}) == 5
    assert new.account.callback_url == "https://shop.example/"
    assert new.account.created_at == clock.now()


def test_a_callback_secret_is_32_octets_behind_its_prefix(clock):
    _, secrets = mint_account("shop", IdMaker(clock), clock.now())
    assert secrets.callback_secret.startswith("whsec_")
    assert len(base64.b64decode(secrets.callback_secret.removeprefix("whsec_"), validate=True)) == 32


def test_two_accounts_of_one_name_and_instant_share_nothing(clock):
    ids = IdMaker(clock)
    one, two = (mint_account("shop", ids, clock.now())[1] for _ in range(2))
    assert not {*one} & {*two}


async def test_a_token_finds_its_account_and_is_then_remembered(shop):
    store, auth, secrets = shop
    credentials = Credentials(token=secrets.api_token, service_plan_id=secrets.service_plan_id)
    assert auth.recall(credentials) is None
    assert (await auth.identify(credentials)).name == "Shop 1"
    assert auth.recall(credentials).name == "Shop 1"
    assert store.lookups == 1


async def test_an_unknown_token_is_refused_and_never_remembered(shop):
    _, auth, _ = shop
    unknown = Credentials(token="nonsense")
    assert problem_of(await auth.identify(unknown)) is Problem.UNAUTHORIZED
    assert auth.recall(unknown) is None


async def test_another_accounts_plan_is_refused_from_store_and_memory(shop):
    _, auth, secrets = shop
    wrong = Credentials(token=secrets.api_token, service_plan_id="another")
    assert problem_of(await auth.identify(wrong)) is Problem.UNAUTHORIZED
    assert problem_of(auth.recall(wrong)) is Problem.UNAUTHORIZED


async def test_no_credentials_are_refused_at_once(shop):
    store, auth, _ = shop
    assert problem_of(auth.recall(None)) is Problem.UNAUTHORIZED
    assert problem_of(auth.recall(Credentials())) is Problem.UNAUTHORIZED
    assert problem_of(await auth.identify(None)) is Problem.UNAUTHORIZED
    assert store.lookups == 0


async def test_a_change_is_in_force_when_memory_ends(shop, clock):
    store, auth, secrets = shop
    credentials = Credentials(token=secrets.api_token)
    await auth.identify(credentials)
    store.change("Shop 1", disabled=True)
    clock.advance(KEEP_S)
    assert auth.recall(credentials) is None
    assert problem_of(await auth.identify(credentials)) is Problem.ACCOUNT_DISABLED
    assert problem_of(auth.recall(credentials)) is Problem.ACCOUNT_DISABLED


async def test_a_password_is_checked_every_time(shop):
    _, auth, secrets = shop
    good = Credentials(username=secrets.username, password=secrets.password)
    assert (await auth.identify(good)).name == "Shop 1"
    assert auth.recall(good).name == "Shop 1"
    for password in ("wrong", None, ""):
        bad = Credentials(username=secrets.username, password=password)
        assert problem_of(auth.recall(bad)) is Problem.UNAUTHORIZED
        assert problem_of(await auth.identify(bad)) is Problem.UNAUTHORIZED


async def test_credentials_of_any_characters_are_only_wrong(shop):
    _, auth, secrets = shop
    strange = Credentials(token="\udcff\u2713", service_plan_id="\udcfe")
    assert problem_of(await auth.identify(strange)) is Problem.UNAUTHORIZED
    plan = Credentials(token=secrets.api_token, service_plan_id="\udcfe\u2713")
    assert problem_of(await auth.identify(plan)) is Problem.UNAUTHORIZED


async def test_proven_credentials_are_believed_no_longer_than_their_account(shop, clock):
    store, auth, secrets = shop
    credentials = Credentials(token=secrets.api_token, service_plan_id=secrets.service_plan_id)
    await auth.identify(credentials)
    assert auth.recall(credentials) is auth.recall(credentials)
    store.change("Shop 1", disabled=True)
    clock.advance(KEEP_S)
    assert auth.recall(credentials) is None
    assert problem_of(await auth.identify(credentials)) is Problem.ACCOUNT_DISABLED
    assert problem_of(auth.recall(credentials)) is Problem.ACCOUNT_DISABLED


async def test_what_was_proven_once_proves_nothing_else(shop):
    _, auth, secrets = shop
    known = Credentials(username=secrets.username, password=secrets.password)
    await auth.identify(known)
    assert auth.recall(known).name == "Shop 1"
    assert problem_of(auth.recall(known._replace(password="guess"))) is Problem.UNAUTHORIZED
    assert problem_of(auth.recall(known._replace(service_plan_id="another"))) is Problem.UNAUTHORIZED
    assert auth.recall(Credentials(token=secrets.password)) is None
