"""P21, generated from the route table: every route with every role, for the own account and for another's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvitto.core.users import Role
from kvitto.dashboard.routes import ANYBODY, ROUTES, Route
from kvitto.reports.numbers import spell
from tests.support.office import Office, office_in

ROLES = [str(role) for role in Role]
CLOSED = [route for route in ROUTES if route.who is not ANYBODY]
CHANGING = [route for route in CLOSED if route.method == "POST"]
OF_SOMETHING = [route for route in CLOSED if "{message_id}" in route.path or "{batch_id}" in route.path]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_in(tmp_path) as opened:
        yield opened


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def params(office: Office, route: Route, whose: str = "own") -> dict[str, str]:
    message_id = office.messages[whose]
    known = {
        "message_id": message_id,
        "batch_id": message_id[:22] + "0000",
        "name": "stranger" if whose == "other" else "viewer",
        "receipt_id": "1",
        "callback_id": "1",
        "replay_id": "1",
        "endpoint_id": "ep_0000000000000",
        "what": "disable",
    }
    return {name: value for name, value in known.items() if "{" + name + "}" in route.path}


async def text_of(answer) -> str:
    """The body; of a live page its first event."""
    body = answer.body
    if answer.stream is not None:
        async for piece in answer.stream:
            body += piece
            break
        await answer.stream.aclose()
    return body.decode()


@pytest.mark.parametrize("route", CLOSED, ids=name_of)
async def test_p21_nobody_sees_a_page_without_signing_in(office: Office, route: Route):
    answer = await office.visit(None, route.method, route.path, params=params(office, route))
    assert answer.status == (401 if route.method == "POST" else 303)
    assert office.did == []
    assert await office.audit() == []


@pytest.mark.parametrize("route", CLOSED, ids=name_of)
@pytest.mark.parametrize("role", ROLES)
async def test_p21_a_role_gets_what_the_table_says_and_nothing_else(office: Office, route: Route, role: str):
    answer = await office.visit(role, route.method, route.path, params=params(office, route))
    text = await text_of(answer)
    if Role(role) in route.who:
        assert answer.status not in (401, 403, 500)
    else:
        assert (answer.status, office.did, await office.audit()) == (403, [], [])
    if role != "operator":
        for secret in (
            office.other.name,
            office.other.service_plan_id,
            "ref-other",
            office.messages["other"],
            "stranger",
        ):
            assert secret not in text


@pytest.mark.parametrize("route", OF_SOMETHING, ids=name_of)
@pytest.mark.parametrize("role", [role for role in ROLES if role != "operator"])
async def test_p21_anothers_message_or_batch_does_not_exist(office: Office, route: Route, role: str):
    answer = await office.visit(role, route.method, route.path, params=params(office, route, "other"))
    assert answer.status == (404 if Role(role) in route.who else 403)
    assert office.did == []
    assert await office.audit() == []


@pytest.mark.parametrize("route", [route for route in CLOSED if "/users/" in route.path], ids=name_of)
async def test_p21_an_owner_cannot_touch_anothers_users_nor_operators(office: Office, route: Route):
    for name in ("stranger", "operator", "nobody"):
        answer = await office.visit("owner", "POST", route.path, params={"name": name}, form={"role": "viewer"})
        assert answer.status == 404
    assert await office.audit() == []


@pytest.mark.parametrize("route", CHANGING, ids=name_of)
@pytest.mark.parametrize("csrf", ["", "csrf-stranger"])
async def test_a_form_without_the_sessions_token_changes_nothing(office: Office, route: Route, csrf: str):
    who = "operator" if Role.OWNER not in route.who else "owner"
    answer = await office.visit(who, "POST", route.path, params=params(office, route), csrf=csrf)
    assert (answer.status, office.did, await office.audit()) == (403, [], [])


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}])
@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"], ids=name_of)
async def test_a_form_from_another_site_changes_nothing(office: Office, route: Route, headers: dict[str, str]):
    answer = await office.visit("owner", "POST", route.path, params={"secret": "x"}, headers=headers)
    assert (answer.status, await office.audit()) == (403, [])


@pytest.mark.parametrize("route", [route for route in ROUTES if "events" not in route.path], ids=name_of)
async def test_every_answer_forbids_scripts_from_elsewhere_and_inline(office: Office, route: Route):
    answer = await office.visit(
        "operator", route.method, route.path, params={**params(office, route), "secret": "x", "rest": "kvitto.css"}
    )
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b" style=" not in answer.body
    assert b"<script>" not in answer.body
    assert b" onclick=" not in answer.body


async def test_a_session_is_over_at_its_time_and_so_are_its_live_pages(office: Office):
    live = await office.visit("owner", "GET", "/overview/events")
    for _ in range(5):
        office.clock.advance(700)
        assert (await office.visit("owner", "GET", "/overview")).status == 200
    office.clock.advance(100)
    assert (await office.visit("owner", "GET", "/overview")).status == 303
    assert live.stream is not None
    assert [piece async for piece in live.stream] == [b"event: gone\ndata: gone\n\n"]


async def test_a_session_is_over_when_nobody_was_there_for_long_and_so_are_its_live_pages(office: Office):
    live = await office.visit("owner", "GET", "/overview/events")
    office.clock.advance(1199)
    assert (await office.visit("owner", "GET", "/overview")).status == 200
    office.clock.advance(1199)
    assert (await office.visit("owner", "POST", "/sign-out", csrf="wrong")).status == 403
    office.clock.advance(1)
    assert (await office.visit("owner", "GET", "/overview")).status == 303
    assert (await office.visit("owner", "POST", "/sign-out")).status == 401
    assert live.stream is not None
    assert [piece async for piece in live.stream] == [b"event: gone\ndata: gone\n\n"]


async def test_a_page_that_moves_or_comes_back_by_itself_is_no_sign_of_life(office: Office):
    office.clock.advance(1000)
    live = await office.visit("owner", "GET", "/overview/events", headers={"accept": "text/event-stream"})
    assert live.status == 200
    office.clock.advance(200)
    assert (await office.visit("owner", "GET", "/overview")).status == 303


async def test_a_user_whose_role_is_taken_away_loses_it_at_once(office: Office):
    taken = await office.visit(
        "owner", "POST", "/settings/security/users/{name}/role", params={"name": "member"}, form={"role": "viewer"}
    )
    assert taken.status == 303
    assert (await office.visit("member", "GET", "/try")).status == 403


async def test_a_viewer_sees_numbers_masked_until_he_asks_and_that_is_audited(office: Office):
    (row,) = await office.house.store.office.recipients(office.messages["own"][:22] + "0000", "", 10)
    number, page = row.recipient, {"message_id": office.messages["own"]}
    for path, given in (("/messages", {}), ("/messages/{message_id}", page)):
        hidden = await text_of(await office.visit("viewer", "GET", path, params=given))
        assert number not in hidden.replace(" ", "")
        assert "<small>Sweden</small>" in hidden, "a masked number shows its country at most"
        whole = await text_of(await office.visit("member", "GET", path, params=given))
        assert number in whole
        assert f">{spell(number).shown}</" in whole
    batch = {"batch_id": office.messages["own"][:22] + "0000"}
    exported = await office.visit("viewer", "GET", "/batches/{batch_id}/export.csv", params=batch)
    assert exported.stream is not None
    assert number.encode() not in b"".join([piece async for piece in exported.stream])
    await office.visit("viewer", "POST", "/reveal", form={"show": "1"})
    assert number in await text_of(await office.visit("viewer", "GET", "/messages"))
    assert ("viewer", "numbers.reveal") in await office.audit()


async def test_an_operator_sees_all_accounts_or_the_one_that_was_chosen(office: Office):
    everything = await text_of(await office.visit("operator", "GET", "/messages"))
    assert office.messages["own"] in everything
    assert office.messages["other"] in everything
    await office.visit("operator", "POST", "/look-at", form={"account": office.other.id})
    chosen = await text_of(await office.visit("operator", "GET", "/messages"))
    assert office.messages["own"] not in chosen
    assert office.messages["other"] in chosen
