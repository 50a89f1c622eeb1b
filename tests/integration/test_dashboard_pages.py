"""What the pages do: signing in and its throttle, the webhook and its checks, users, exports, hostile content."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvitto.core.model import Content
from kvitto.core.users import Role
from kvitto.dashboard import signin
from kvitto.dashboard.signin import hash_password, make_link
from tests.support.office import Office, office_in

SCRIPT = "<script>boo()</script>"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path) as opened:
        yield opened


async def sign_in(office: Office, name: str, password: str, **more):
    return await office.visit(None, "POST", "/sign-in", form={"name": name, "password": password, **more})


def header(answer, name: str) -> str:
    return next((value for key, value in answer.headers if key == name), "")


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_a_good_password_opens_a_session_in_a_cookie_that_scripts_cannot_read(office: Office):
    await office.add("ann", Role.OWNER, office.own.id, await hash_password("a long password"))
    answer = await sign_in(office, " ANN ", "a long password", next="/batches")
    assert (answer.status, header(answer, "Location")) == (303, "/batches")
    cookie = header(answer, "Set-Cookie")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=3600"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    secret = cookie.partition("=")[2].partition(";")[0]
    found = await office.house.store.office.find_session(signin.hash_of(secret), office.clock.now())
    assert found is not None
    assert found.user.name == "ann"


async def test_by_tls_the_cookie_is_for_tls_alone(office: Office):
    await office.add("ann", Role.OWNER, office.own.id, await hash_password("a long password"))
    form = {"name": "ann", "password": "a long password"}
    answer = await office.visit(None, "POST", "/sign-in", form=form, secure=True)
    assert "; Secure" in header(answer, "Set-Cookie")


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:boo()"])
async def test_nobody_is_sent_elsewhere_after_signing_in(office: Office, where: str):
    await office.add("ann", Role.OWNER, office.own.id, await hash_password("a long password"))
    assert header(await sign_in(office, "ann", "a long password", next=where), "Location") == "/overview"


async def test_p21_after_five_failures_even_the_right_password_waits(office: Office):
    await office.add("ann", Role.OWNER, office.own.id, await hash_password("a long password"))
    for _ in range(5):
        assert (await sign_in(office, "ann", "wrong password")).status == 403
    answer = await sign_in(office, "ann", "a long password")
    assert (answer.status, header(answer, "Retry-After")) == (429, "900")
    office.clock.advance(15 * 60 + 1)
    assert (await sign_in(office, "ann", "a long password")).status == 303


async def test_an_unknown_name_and_a_wrong_password_are_answered_alike(office: Office):
    await office.add("ann", Role.OWNER, office.own.id, await hash_password("a long password"))
    known, unknown = await sign_in(office, "ann", "wrong"), await sign_in(office, "nobody", "wrong")
    assert (known.status, known.body) == (unknown.status, unknown.body)


async def test_a_link_signs_in_once_and_asks_for_a_password(office: Office):
    user = await office.add("ann", Role.OWNER, office.own.id, None)
    secret = await make_link(office.house.store.office, user.id, office.clock.now())
    page = await office.visit(None, "GET", "/sign-in/{secret}", params={"secret": secret})
    assert page.status == 200  # looking at it does not use it up
    answer = await office.visit(None, "POST", "/sign-in/{secret}", params={"secret": secret})
    assert (answer.status, header(answer, "Location")) == (303, "/settings/security?welcome=1")
    again = await office.visit(None, "POST", "/sign-in/{secret}", params={"secret": secret})
    assert again.status == 403


async def test_signing_out_ends_the_session(office: Office):
    assert (await office.visit("owner", "POST", "/sign-out")).status == 303
    assert (await office.visit("owner", "GET", "/overview")).status == 303
    assert await office.audit() == [("owner", "sign-out")]


@pytest.mark.parametrize(("password", "again"), [("short", "short"), ("a long password", "another password")])
async def test_a_password_that_is_short_or_mistyped_is_refused(office: Office, password: str, again: str):
    form = {"password": password, "again": again}
    assert (await office.visit("owner", "POST", "/settings/security/password", form=form)).status == 400
    assert await office.audit() == []


# --- webhook ----------------------------------------------------------------------------------------------------------

GOOD = {"callback_url": "https://customer.example/dlr", "ack": "http", "timezone": "Africa/Lagos", "which": "final"}


async def test_the_webhook_is_saved_and_audited(office: Office):
    form = {**GOOD, "callback_dialect": "ninebits"}
    answer = await office.visit("owner", "POST", "/settings/webhook", form=form)
    assert header(answer, "Location") == "/settings/webhook?saved=1"
    (account, _) = await office.house.store.find_account(id=office.own.id)
    assert (account.callback_url, account.timezone) == (GOOD["callback_url"], "Africa/Lagos")
    assert (account.ack, account.final_only, account.callback_dialect) == ("http", True, "ninebits")
    assert await office.audit() == [("owner", "webhook.save")]
    (other, _) = await office.house.store.find_account(id=office.other.id)
    assert other.callback_url is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("callback_url", "ftp://customer.example/"),
        ("callback_url", "customer.example"),
        ("callback_url", "https://user:pass@customer.example/"),
        ("callback_url", "https://customer.example/#part"),
        ("callback_url", "https://customer.example/" + "x" * 2048),
        ("callback_url", "http://127.0.0.1/"),
        ("timezone", "Mars/Olympus"),
        ("ack", "maybe"),
        ("callback_dialect", "morse"),
    ],
)
async def test_what_is_wrong_with_the_webhook_is_said_beside_the_field_and_nothing_is_saved(
    office: Office, field: str, value: str
):
    answer = await office.visit("owner", "POST", "/settings/webhook", form={**GOOD, field: value})
    assert answer.status == 400
    assert f'id="{field}-problem"'.encode() in answer.body
    (account, _) = await office.house.store.find_account(id=office.own.id)
    assert account.callback_url is None
    assert await office.audit() == []


async def test_without_a_url_the_page_says_that_nothing_is_pushed_and_tests_nothing(office: Office):
    assert b"no report is pushed" in (await office.visit("owner", "GET", "/settings/webhook")).body
    assert (await office.visit("owner", "POST", "/settings/webhook/test")).status == 400
    assert office.did == []


async def test_a_test_report_shows_the_answer_as_text(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    answer = await office.visit("owner", "POST", "/settings/webhook/test")
    assert b"HTTP 200" in answer.body
    assert b"&lt;script&gt;boo()&lt;/script&gt;" in answer.body
    assert SCRIPT.encode() not in answer.body


async def test_a_new_secret_is_shown_once_and_signs_from_now_on(office: Office):
    answer = await office.visit("owner", "POST", "/settings/webhook/secret")
    (account, _) = await office.house.store.find_account(id=office.own.id)
    assert account.callback_secret.encode() in answer.body
    assert account.callback_secret.encode() not in (await office.visit("owner", "GET", "/settings/webhook")).body


@pytest.mark.parametrize(
    ("field", "value", "good"),
    [
        ("max_parts", "3", True),
        ("max_parts", "0", False),
        ("max_parts", "many", False),
        ("retention_days", "30", True),
        ("retention_days", "6", False),
        ("timezone", "Europe/Stockholm", True),
        ("timezone", "", False),
        ("default_from", "Kvitto", True),
        ("default_from", "+46 70 174 06 11", True),
        ("default_from", "x" * 12, False),
        ("default_from", "a\nb", False),
        ("default_from", "a\0b", False),
        ("default_from", "-1", False),
    ],
)
async def test_settings_of_the_account_are_checked(office: Office, field: str, value: str, good: bool):
    form = {"timezone": "UTC", "max_parts": "", "retention_days": "", "default_from": "", field: value}
    answer = await office.visit("owner", "POST", "/settings/account", form=form)
    assert answer.status == (303 if good else 400)


# --- users, sending, exports, hostile content -------------------------------------------------------------------------


async def test_an_owner_adds_a_user_who_signs_in_by_the_link_shown(office: Office):
    answer = await office.visit("owner", "POST", "/settings/security/users", form={"name": "New", "role": "viewer"})
    secret = answer.body.decode().partition("/sign-in/")[2].partition("<")[0]
    assert (await office.visit(None, "POST", "/sign-in/{secret}", params={"secret": secret})).status == 303
    (user, _) = await office.house.store.office.find_user("new")
    assert (user.role, user.account_id) == (Role.VIEWER, office.own.id)
    assert ("owner", "user.add") in await office.audit()


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a b", "a\0b", "x" * 65])
async def test_a_name_that_no_path_can_carry_is_no_users(office: Office, name: str):
    before = await office.house.store.office.list_users(None)
    form = {"name": name, "role": "viewer"}
    answer = await office.visit("owner", "POST", "/settings/security/users", form=form)
    assert (answer.status, b"A name has" in answer.body) == (400, True)
    assert await office.house.store.office.list_users(None) == before


async def test_an_owner_cannot_make_an_operator(office: Office):
    form = {"name": "boss", "role": "operator"}
    assert (await office.visit("owner", "POST", "/settings/security/users", form=form)).status == 403
    assert await office.house.store.office.find_user("boss") is None


async def test_trying_it_sends_through_the_desk_and_shows_the_batch(office: Office):
    form = {"to": "+46701740611, 46701740612", "text": "hello", "from": "Me", "dialect": "infobip"}
    answer = await office.visit("member", "POST", "/try", form=form)
    assert header(answer, "Location").startswith("/batches/")
    ((what, submission),) = office.did
    assert (what, submission.recipients, submission.dialect) == ("send", ("46701740611", "46701740612"), "infobip")
    assert await office.audit() == [("member", "send")]


@pytest.mark.parametrize(
    "form", [{"to": "", "text": "x"}, {"to": "abc", "text": "x"}, {"to": "46701740611", "text": ""}]
)
async def test_trying_it_without_number_or_text_sends_nothing(office: Office, form: dict[str, str]):
    assert (await office.visit("member", "POST", "/try", form=form)).status == 400
    assert office.did == []


async def test_an_export_has_every_recipient_and_the_reason_in_words(office: Office):
    params = {"batch_id": office.messages["own"][:22] + "0000"}
    csv = await office.visit("member", "GET", "/batches/{batch_id}/export.csv", params=params)
    assert csv.stream is not None
    lines = b"".join([piece async for piece in csv.stream]).decode().splitlines()
    assert lines[0].startswith("message_id,to,status")
    assert lines[1].endswith("It waits for its turn on a link.")
    assert "attachment" in header(csv, "Content-Disposition")
    ndjson = await office.visit("member", "GET", "/batches/{batch_id}/export.ndjson", params=params)
    assert ndjson.stream is not None
    assert b'"status": "QUEUED"' in b"".join([piece async for piece in ndjson.stream])


async def test_hostile_senders_texts_references_and_names_are_shown_and_never_run(office: Office):
    house = office.house
    new = house.plan(
        1,
        sender=SCRIPT,
        client_reference=SCRIPT,
        content=Content(text=SCRIPT),
        callback_url=f"http://x.example/{SCRIPT}",
    )
    await house.store.accept_batch(new)
    (message_id,) = [one.id for one in new.messages]
    await house.claim()
    await house.answer(message_id, SCRIPT)
    pages = [
        ("/messages", {}),
        ("/messages/{message_id}", {"message_id": message_id}),
        ("/batches", {}),
        ("/batches/{batch_id}", {"batch_id": new.batch.id}),
        ("/callbacks", {}),
    ]
    for path, params in pages:
        body = (await office.visit("owner", "GET", path, params=params, query={"q": ""})).body.decode()
        assert SCRIPT not in body
        assert "&lt;script&gt;" in body or path == "/callbacks"
    searched = await office.visit("owner", "GET", "/messages", query={"q": f"colour:{SCRIPT}"})
    assert SCRIPT.encode() not in searched.body


async def test_a_pasted_receipt_is_read_and_shown(office: Office):
    text = f"id:123 sub:001 dlvrd:001 submit date:2603091404 done date:2603091405 stat:DELIVRD err:000 text:{SCRIPT}"
    answer = await office.visit("operator", "POST", "/receipts/read", form={"pasted": text})
    assert b"DELIVERED" in answer.body
    assert SCRIPT.encode() not in answer.body


@pytest.mark.parametrize(
    "path", ["../door.py", "kvitto.py", ".hidden.css", "vendor/../../door.py", "a/b/c.css", "no.css"]
)
async def test_nothing_but_static_files_is_served(office: Office, path: str):
    assert (await office.visit(None, "GET", "/static/{rest:path}", params={"rest": path})).status == 404


# --- tokens and callbacks ---------------------------------------------------------------------------------------------


async def test_a_new_token_works_beside_the_old_one_which_ends_after_a_day(office: Office):
    form = {"token_name": "shop", "others": "day"}
    answer = await office.visit("owner", "POST", "/settings/security/token", form=form)
    assert b"fresh-token" in answer.body
    find = office.house.store.find_account
    assert await find(token_hash="fresh-hash") is not None
    assert await find(token_hash=f"token-{office.own.name}") is not None
    office.clock.advance(86_400)
    assert await find(token_hash="fresh-hash") is not None
    assert await find(token_hash=f"token-{office.own.name}") is None
    assert await find(token_hash=f"token-{office.other.name}") is not None
    assert await office.audit() == [("owner", "token.new")]


async def test_a_revoked_token_is_gone_and_anothers_cannot_be_revoked(office: Office):
    path, find = "/settings/security/token/revoke", office.house.store.find_account
    theirs, mine = f"token-{office.other.name}", f"token-{office.own.name}"
    assert (await office.visit("owner", "POST", path, form={"token": theirs})).status == 404
    assert await find(token_hash=theirs) is not None
    assert (await office.visit("owner", "POST", path, form={"token": mine})).status == 303
    assert await find(token_hash=mine) is None


async def test_the_page_shows_when_a_token_was_used(office: Office):
    await office.house.store.office.touch_token(f"token-{office.own.name}", office.clock.now() - 120_000)
    assert b"used 2 min ago" in (await office.visit("owner", "GET", "/settings/security")).body


async def told(office: Office) -> int:
    """A callback that waits; its number."""
    (sent,) = await office.house.dispatch(1, callback_url="http://customer.example/cb")
    await office.house.receipt_for(sent)
    (row,) = await office.house.store.office.callbacks(office.own.id, 1 << 60, 10)
    return row.id


async def test_a_callback_is_sent_again_by_its_own_account_alone(office: Office):
    number = await told(office)
    params = {"callback_id": str(number)}
    assert (await office.visit("stranger", "POST", "/callbacks/{callback_id}/resend", params=params)).status == 404
    assert (await office.visit("stranger", "GET", "/callbacks/{callback_id}", params=params)).status == 404
    assert (await office.visit("member", "POST", "/callbacks/{callback_id}/resend", params=params)).status == 303
    assert b"Send again" in (await office.visit("member", "GET", "/callbacks/{callback_id}", params=params)).body
    assert await office.audit() == [("member", "callback.resend")]


async def test_a_replay_is_begun_for_the_own_account_and_shown(office: Office):
    await told(office)
    form = {"states": "finished", "since": "24h"}
    assert (await office.visit("member", "POST", "/callbacks/replay", form=form)).status == 303
    (replay,) = await office.house.store.list_replays(office.own.id, 10)
    assert replay.account_id == office.own.id
    assert b"Replay" in (await office.visit("member", "GET", "/callbacks")).body
    params = {"replay_id": str(replay.id)}
    path = "/callbacks/replays/{replay_id}/cancel"
    assert (await office.visit("stranger", "POST", path, params=params)).status == 404
    assert (await office.visit("member", "POST", path, params=params)).status == 303


async def test_basic_credentials_are_kept_with_the_endpoint_and_the_password_is_never_shown(office: Office):
    form = {**GOOD, "auth_username": "kv", "auth_password": "open sesame"}
    assert (await office.visit("owner", "POST", "/settings/webhook", form=form)).status == 303
    endpoint = await office.house.store.fetch_endpoint(office.own.id, GOOD["callback_url"])
    assert (endpoint.username, endpoint.password) == ("kv", "open sesame")
    page = (await office.visit("owner", "GET", "/settings/webhook")).body
    assert b"sesame" not in page
    await office.visit("owner", "POST", "/settings/webhook", form={**form, "auth_password": ""})
    endpoint = await office.house.store.fetch_endpoint(office.own.id, GOOD["callback_url"])
    assert endpoint.password == "open sesame"
    switched = await office.visit(
        "owner",
        "POST",
        "/callbacks/endpoints/{endpoint_id}/{what}",
        params={"endpoint_id": endpoint.public_id, "what": "disable"},
    )
    assert switched.status == 303
    assert (await office.house.store.fetch_endpoint(office.own.id, GOOD["callback_url"])).state == "disabled"
