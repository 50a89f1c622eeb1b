"""Controls of the dashboard: which statuses are told, endpoints, parts in doubt, replays, last deliveries."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kvitto.core.endpoint import NewEndpoint, endpoint_number
from kvitto.core.model import CallbackResult, CallbackState
from kvitto.core.status import Reason, Status
from kvitto.store.verbs.moves import CLEARED
from tests.support.office import Office, office_in
from tests.support.tls import Authority

GOOD = {"callback_url": "https://customer.example/dlr", "which": "all", "ack": "body", "timezone": "Africa/Lagos"}
ENDPOINT = "/callbacks/endpoints/{endpoint_id}"
SETTINGS = f"{ENDPOINT}/settings"
PLAIN = {"name": "", "profile": "dialect", "concurrency": "", "rate": "", "username": "", "allow_callbacks_to": ""}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path) as opened:
        yield opened


def where(answer) -> str:
    return next((value for key, value in answer.headers if key == "Location"), "")


async def account(office: Office):
    return (await office.house.store.find_account(id=office.own.id))[0]


async def ended(office: Office, url: str | None = None) -> Any:
    """A message that has ended, its callback due."""
    await office.house.send(1, aborts={0: Reason.NO_ROUTE}, callback_url=url)
    (due,) = await office.house.callbacks()
    return due


async def tried(office: Office, due, code: int, error: str | None, next_at: int | None) -> None:
    state = CallbackState.PENDING if next_at else CallbackState.DONE if error is None else CallbackState.GIVEN_UP
    now = office.clock.now()
    result = CallbackResult(due.id, state, now, next_at, now, code, error, 12)
    await office.house.store.record_attempts([result])


# --- Settings => Webhook ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "status", "final_only", "statuses"),
    [
        ("all", (), False, ()),
        ("all", ("DELIVERED",), False, ()),
        ("final", (), True, ()),
        ("some", ("EXPIRED", "DELIVERED"), True, (Status.DELIVERED, Status.EXPIRED)),
        ("some", ("DISPATCHED", "FAILED", "NONSENSE", "QUEUED"), False, (Status.DISPATCHED, Status.FAILED)),
    ],
)
async def test_the_customer_chooses_which_statuses_are_told(office: Office, which, status, final_only, statuses):
    form = {**GOOD, "which": which, "status": status or ("",)}
    assert (await office.visit("owner", "POST", "/settings/webhook", form=form)).status == 303
    saved = await account(office)
    assert (saved.final_only, saved.callback_statuses) == (final_only, statuses)
    page = (await office.visit("owner", "GET", "/settings/webhook")).body.decode()
    assert f'value="{which}" checked' in page
    assert set(re.findall(r'name="status" value="(\w+)" checked', page)) == set(statuses)


@pytest.mark.parametrize("form", [{"which": "some"}, {"which": "some", "status": ("QUEUED",)}, {"which": "both"}])
async def test_a_choice_of_no_status_is_refused_beside_the_field(office: Office, form):
    answer = await office.visit("owner", "POST", "/settings/webhook", form={**GOOD, **form})
    assert (answer.status, b'id="which-problem"' in answer.body) == (400, True)
    assert (await account(office)).callback_url is None


async def test_the_incoming_url_is_kept_and_the_page_says_that_nothing_is_posted_there_yet(office: Office):
    form = {**GOOD, "incoming_url": "https://customer.example/in"}
    assert (await office.visit("owner", "POST", "/settings/webhook", form=form)).status == 303
    assert (await account(office)).incoming_url == "https://customer.example/in"
    page = (await office.visit("owner", "GET", "/settings/webhook")).body
    assert b"https://customer.example/in" in page
    assert b"not posted yet" in page
    await office.visit("owner", "POST", "/settings/webhook", form={**GOOD, "incoming_url": ""})
    assert (await account(office)).incoming_url is None


@pytest.mark.parametrize("name", ["callback_url", "incoming_url"])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:pass@customer.example/", "use the two fields"),
        ("https://customer.example/#part", "no fragment"),
        ("https://customer.example/" + "x" * 2048, "At most 2048 characters; this one has 2073"),
        ("ftp://customer.example/", "not http or https"),
        ("http://127.0.0.1/", "not allowed"),
    ],
)
async def test_both_urls_are_held_to_the_same_rules(office: Office, name: str, url: str, words: str):
    answer = await office.visit("owner", "POST", "/settings/webhook", form={**GOOD, name: url})
    assert answer.status == 400
    problem = answer.body.decode().partition(f'id="{name}-problem">')[2].partition("</p>")[0]
    assert words in problem
    assert (await account(office)).callback_url is None


async def test_an_at_sign_in_the_path_is_no_user(office: Office):
    form = {**GOOD, "callback_url": "https://customer.example/@me?to=a@b"}
    assert (await office.visit("owner", "POST", "/settings/webhook", form=form)).status == 303


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_username", "a:b"),
        ("auth_username", "é"),
        ("auth_username", "x" * 256),
        ("auth_password", "a\r\nX: y"),
        ("auth_password", "a\0b"),
        ("auth_password", "x" * 256),
    ],
)
async def test_basic_credentials_are_held_to_the_rules_of_the_endpoints_own_page(office: Office, name: str, value: str):
    params = await endpoint_of(office)
    form = {**GOOD, "auth_username": "kv", "auth_password": "open sesame", name: value}
    answer = await office.visit("owner", "POST", "/settings/webhook", form=form)
    assert (answer.status, f'id="{name}-problem"'.encode() in answer.body) == (400, True)
    assert (await account(office)).callback_url is None
    typed = {**PLAIN, name.removeprefix("auth_"): value}
    assert (await office.visit("owner", "POST", SETTINGS, params=params, form=typed)).status == 400


async def test_a_user_at_another_server_needs_its_password_again(office: Office):
    form = {**GOOD, "auth_username": "kv", "auth_password": "open sesame"}
    assert (await office.visit("owner", "POST", "/settings/webhook", form=form)).status == 303
    moved = {**form, "callback_url": "https://elsewhere.example/dlr", "auth_password": ""}
    answer = await office.visit("owner", "POST", "/settings/webhook", form=moved)
    assert (answer.status, b'id="auth_password-problem"' in answer.body) == (400, True)
    assert (await account(office)).callback_url == GOOD["callback_url"]


async def test_last_deliveries_show_each_try_with_its_answer_and_the_next_one(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    due = await ended(office)
    await tried(office, due, 503, "HTTP 503", office.clock.now() + 30_000)
    office.clock.advance(1)
    taken = await ended(office)
    await tried(office, taken, 200, None, None)
    page = (await office.visit("owner", "GET", "/settings/webhook")).body.decode()
    rows = page.partition('aria-label="Last deliveries"')[2].partition("</tbody>")[0].split("<tr>")[2:]
    assert len(rows) == 2
    assert taken.facts.id in rows[0]
    assert ">200<" in rows[0]
    assert due.facts.id in rows[1]
    assert ">503<" in rows[1]
    assert all("Not sent" in row for row in rows)
    assert "2026-03-09 15:05:30" in rows[1], "the next try, on the clock of Lagos"


async def test_what_is_not_told_is_not_called_delivered(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    due = await ended(office)
    now = office.clock.now()
    untold = CallbackResult(due.id, CallbackState.DONE, now, None, None, None, "not told: so", 0, counts=False)
    await office.house.store.record_attempts([untold])
    page = (await office.visit("owner", "GET", "/callbacks")).body.decode()
    row = page.partition('aria-label="Callbacks"')[2]
    assert "Not told" in row
    assert "Delivered" not in row
    one = await office.visit("owner", "GET", "/callbacks/{callback_id}", params={"callback_id": str(due.id)})
    assert b"not told: so" in one.body
    story = await office.visit("owner", "GET", "/messages/{message_id}", params={"message_id": due.facts.id})
    assert b"Callback: not told" in story.body
    assert b"Nothing was posted yet" in (await office.visit("owner", "GET", "/settings/webhook")).body


async def test_a_url_that_is_cleared_gives_up_what_waits_and_the_page_says_why(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    due = await ended(office)
    await tried(office, due, 503, "HTTP 503", office.clock.now() + 30_000)
    await office.visit("owner", "POST", "/settings/webhook", form={**GOOD, "callback_url": ""})
    await office.house.store.step_moves(office.clock.now())
    one = await office.visit("owner", "GET", "/callbacks/{callback_id}", params={"callback_id": str(due.id)})
    assert CLEARED.encode() in one.body
    assert b"Given up" in one.body


# --- one endpoint -----------------------------------------------------------------------------------------------------


async def endpoint_of(office: Office, **settings) -> dict[str, str]:
    """An endpoint of the own account; the parameters of its paths."""
    url = GOOD["callback_url"]
    made = await office.house.store.create_endpoint(
        NewEndpoint(office.own.id, "shop", url, office.clock.now(), settings)
    )
    return {"endpoint_id": made.public_id}


async def endpoint(office: Office):
    return await office.house.store.fetch_endpoint(office.own.id, GOOD["callback_url"])


async def test_an_endpoints_settings_are_saved_audited_and_its_secrets_never_shown(office: Office):
    params = await endpoint_of(office)
    form = {
        **PLAIN,
        "name": "web-shop",
        "profile": "standard",
        "concurrency": "4",
        "rate": "2.5",
        "username": "kv",
        "password": "open sesame",
        "headers": "X-Key: very secret\nX-Other: too",
    }
    answer = await office.visit("owner", "POST", SETTINGS, params=params, form=form)
    assert where(answer) == f"/callbacks/endpoints/{params['endpoint_id']}?saved=1"
    one = await endpoint(office)
    assert (one.name, one.profile, one.concurrency, one.rate, one.username) == ("web-shop", "standard", 4, 2.5, "kv")
    assert (one.password, one.headers) == ("open sesame", (("X-Key", "very secret"), ("X-Other", "too")))
    page = (await office.visit("owner", "GET", ENDPOINT, params=params)).body
    for secret in (b"sesame", b"very secret"):
        assert secret not in page
    assert b"<code>X-Key</code>" in page
    assert await office.audit() == [("owner", "endpoint.save")]
    ((_, entry), *_) = await office.house.store.office.audit(None, 1 << 60, 1)
    assert "sesame" not in entry.detail
    assert "password" in entry.detail


async def test_certificates_go_in_as_a_browser_sends_them_and_are_never_shown(office: Office, tmp_path: Path):
    params, authority = await endpoint_of(office), Authority(tmp_path)
    certificate, key = authority.pair()
    pems = {"ca_pem": authority.ca_pem, "client_cert_pem": certificate, "client_key_pem": key}
    typed = {name: pem.replace("\n", "\r\n") for name, pem in pems.items()}
    answer = await office.visit("owner", "POST", SETTINGS, params=params, form={**PLAIN, **typed})
    assert where(answer).endswith("?saved=1"), answer.body.decode()
    one = await endpoint(office)
    assert {name: getattr(one, name) for name in pems} == {name: pem.strip() for name, pem in pems.items()}
    page = (await office.visit("owner", "GET", ENDPOINT, params=params)).body.decode()
    assert not [name for name, pem in pems.items() if pem.splitlines()[1] in page]
    alone = {"client_key_pem": key.replace("PRIVATE", "PUBLIC")}
    answer = await office.visit("owner", "POST", SETTINGS, params=params, form={**PLAIN, **alone})
    assert answer.status == 400
    assert key.splitlines()[1] not in answer.body.decode()
    await office.visit("owner", "POST", SETTINGS, params=params, form={**PLAIN, "clear_ca": "1", "clear_client": "1"})
    one = await endpoint(office)
    assert (one.ca_pem, one.client_cert_pem, one.client_key_pem) == (None, None, None)


async def test_an_empty_secret_field_leaves_it_and_a_box_removes_it(office: Office):
    params = await endpoint_of(office, headers=(("X-Key", "k"),), username="kv", password="p")
    kept = {**PLAIN, "username": "kv"}
    await office.visit("owner", "POST", SETTINGS, params=params, form=kept)
    assert ((await endpoint(office)).headers, (await endpoint(office)).password) == ((("X-Key", "k"),), "p")
    assert await office.audit() == [], "nothing became another"
    await office.visit("owner", "POST", SETTINGS, params=params, form={**kept, "clear_headers": "1"})
    assert ((await endpoint(office)).headers, (await endpoint(office)).password) == ((), "p")
    await office.visit("owner", "POST", SETTINGS, params=params, form=PLAIN)
    assert ((await endpoint(office)).username, (await endpoint(office)).password) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", "0"),
        ("concurrency", "many"),
        ("rate", "-1"),
        ("headers", "no colon"),
        ("headers", "Authorization: Bearer x"),
        ("profile", "mine"),
        ("name", "two words"),
        ("ca_pem", "no certificate"),
        ("client_cert_pem", "x" * 70_000),
    ],
)
async def test_what_is_wrong_with_an_endpoint_is_said_beside_the_field_and_nothing_is_saved(
    office: Office, name: str, value: str
):
    params = await endpoint_of(office)
    before = await endpoint(office)
    answer = await office.visit("owner", "POST", SETTINGS, params=params, form={**PLAIN, "rate": "7", name: value})
    assert (answer.status, f'id="{name}-problem"' in answer.body.decode()) == (400, True)
    assert await endpoint(office) == before
    assert await office.audit() == []


async def test_p19_private_networks_are_opened_by_operators_alone(office: Office):
    params = await endpoint_of(office)
    form = {**PLAIN, "allow_callbacks_to": "10.0.0.0/8"}
    await office.visit("owner", "POST", SETTINGS, params=params, form=form)
    assert (await endpoint(office)).allow_callbacks_to == ()
    await office.visit("operator", "POST", SETTINGS, params=params, form=form)
    assert (await endpoint(office)).allow_callbacks_to == ("10.0.0.0/8",)
    await office.visit("owner", "POST", SETTINGS, params=params, form={**PLAIN, "rate": "3"})
    assert (await endpoint(office)).allow_callbacks_to == ("10.0.0.0/8",), "nor closed by others"


async def test_p18_an_endpoints_secret_is_made_anew_shown_once_and_overlaps_for_a_day(office: Office):
    params = await endpoint_of(office)
    answer = await office.visit("owner", "POST", f"{ENDPOINT}/secret", params=params)
    one = await endpoint(office)
    assert one.secret.encode() in answer.body
    assert b"signs beside it until" in answer.body
    assert one.old_secret_until == office.clock.now() + 86_400_000
    page = (await office.visit("owner", "GET", ENDPOINT, params=params)).body
    assert one.secret.encode() not in page
    assert await office.audit() == [("owner", "endpoint.secret")]


@pytest.mark.parametrize(("method", "path"), [("GET", ENDPOINT), ("POST", SETTINGS), ("POST", f"{ENDPOINT}/secret")])
async def test_p21_another_accounts_endpoint_does_not_exist(office: Office, method: str, path: str):
    params = await endpoint_of(office)
    before = await endpoint(office)
    assert (await office.visit("stranger", method, path, params=params, form=PLAIN)).status == 404
    assert await endpoint(office) == before
    assert await office.audit() == []


# --- parts in doubt ---------------------------------------------------------------------------------------------------


async def in_doubt(office: Office, count: int = 2) -> list[str]:
    """Messages whose part was written to the link, which then went away."""
    await office.house.claim()  # what the office has queued
    sent = await office.house.send(count)
    await office.house.claim()
    for one in sent:
        await office.house.fate(one, in_doubt=True)
    return sent


async def test_the_page_of_doubts_says_what_a_resend_risks_before_it_is_done(office: Office):
    (one, _) = await in_doubt(office)
    assert b"/links/doubts" in (await office.visit("operator", "GET", "/links")).body
    every = (await office.visit("operator", "GET", "/links/doubts")).body.decode()
    assert f"?part={one}.1" in every
    assert "Decide all 2 of link link" in every
    assert "a second SMS" not in every
    chosen = (await office.visit("operator", "GET", "/links/doubts", query={"part": f"{one}.1"})).body.decode()
    assert "a second SMS" in chosen
    assert chosen.count("<tr>") == 2


async def test_one_part_is_sent_again_and_the_rest_of_its_link_ended(office: Office):
    again, given_up = await in_doubt(office)
    form = {"part": f"{again}.1", "sure": "1"}
    answer = await office.visit("operator", "POST", "/links/doubts/resend", form=form)
    assert where(answer) == "/links/doubts?done=resend&count=1"
    assert (await office.house.status(again))[0] is Status.QUEUED
    assert [one.message_id for one in await office.house.store.list_in_doubt(None)] == [given_up]
    answer = await office.visit("operator", "POST", "/links/doubts/end", form={"link": "link", "sure": "1"})
    assert where(answer) == "/links/doubts?done=end&count=1"
    assert await office.house.status(given_up) == (Status.UNKNOWN, Reason.NOT_ACKNOWLEDGED)
    assert await office.audit() == [("operator", "doubt.resend"), ("operator", "doubt.end")]


async def test_links_of_a_page_that_asks_again_lead_to_the_parts(office: Office):
    (one, _) = await in_doubt(office)
    answer = await office.visit("operator", "POST", "/links/doubts/resend", form={"link": "link"})
    assert f'href="/links/doubts?part={one}.1"' in answer.body.decode()


@pytest.mark.parametrize("form", [{"link": "link"}, {"sure": "1"}, {"link": "link", "sure": "no"}])
async def test_nothing_is_decided_without_a_choice_and_a_yes(office: Office, form: dict[str, str]):
    await in_doubt(office)
    for what in ("resend", "end"):
        assert (await office.visit("operator", "POST", f"/links/doubts/{what}", form=form)).status == 400
    assert len(await office.house.store.list_in_doubt(None)) == 2
    assert await office.audit() == []


async def test_a_decision_that_comes_too_late_changes_and_tells_nothing(office: Office):
    form = {"part": "01KK9EMPQ0DGYP3WQ4PHH20001.1", "sure": "1"}
    answer = await office.visit("operator", "POST", "/links/doubts/resend", form=form)
    assert where(answer) == "/links/doubts?done=resend&count=0"
    assert await office.audit() == []


# --- replays ----------------------------------------------------------------------------------------------------------


async def test_a_replay_takes_a_span_an_endpoint_states_and_a_rate(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    params = await endpoint_of(office)
    await ended(office)
    form = {
        "states": "given_up",
        "since": "between",
        "from": "2026-03-09 14:05",
        "until": "2026-03-10T01:00",
        "endpoint": params["endpoint_id"],
        "rate": "2.5",
    }
    assert where(await office.visit("member", "POST", "/callbacks/replay", form=form)) == "/callbacks?done=replay"
    (replay,) = await office.house.store.list_replays(office.own.id, 10)
    assert (replay.account_id, replay.rate) == (office.own.id, 2.5)
    assert replay.endpoint == endpoint_number(office.own.id, GOOD["callback_url"])
    assert replay.states == (CallbackState.GIVEN_UP,)
    day = 1_773_014_400_000  # 2026-03-09 00:00 UTC; Lagos is an hour ahead
    assert (replay.since_at, replay.until_at) == (day + (13 * 60 + 5) * 60_000, day + 24 * 3_600_000)
    ((_, entry), *_) = await office.house.store.office.audit(None, 1 << 60, 1)
    assert (entry.action, "2.5 a second" in entry.detail) == ("callback.replay", True)
    page = (await office.visit("member", "GET", "/callbacks")).body
    assert b"posted all the same" in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("states", "none"),
        ("since", "ever"),
        ("from", ""),
        ("from", "yesterday"),
        ("until", "soon"),
        ("until", "2026-03-08"),
        ("endpoint", "ep_0000000000000"),
        ("endpoint", "nonsense"),
        ("rate", "0"),
        ("rate", "fast"),
        ("rate", "10001"),
    ],
)
async def test_what_is_wrong_with_a_replay_is_said_beside_the_field_and_none_begins(
    office: Office, field: str, value: str
):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    await ended(office)
    form = {"states": "done", "since": "between", "from": "2026-03-09", "until": "", "rate": "50", field: value}
    answer = await office.visit("member", "POST", "/callbacks/replay", form=form)
    assert (answer.status, f'id="{field}-problem"' in answer.body.decode()) == (400, True)
    assert await office.house.store.list_replays(None, 10) == []


async def test_p21_a_replay_to_another_accounts_endpoint_is_refused(office: Office):
    params = await endpoint_of(office)
    form = {"states": "done", "since": "1h", "endpoint": params["endpoint_id"], "rate": "50"}
    assert (await office.visit("stranger", "POST", "/callbacks/replay", form=form)).status == 400
    assert await office.house.store.list_replays(None, 10) == []


# --- audits -----------------------------------------------------------------------------------------------------------


async def test_a_new_link_for_a_user_and_its_audit_are_kept_together(office: Office):
    path = "/settings/security/users/{name}/link"
    answer = await office.visit("owner", "POST", path, params={"name": "viewer"})
    assert b"/sign-in/" in answer.body
    assert await office.audit() == [("owner", "user.link")]


async def test_a_callback_that_cannot_be_sent_again_now_is_not_said_to_be(office: Office):
    await office.visit("owner", "POST", "/settings/webhook", form=GOOD)
    due = await ended(office)  # and in hand
    params = {"callback_id": str(due.id)}
    assert (await office.visit("owner", "POST", "/callbacks/{callback_id}/resend", params=params)).status == 409
    assert await office.audit() == [("owner", "webhook.save")]
