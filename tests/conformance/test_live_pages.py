"""Live pages show what the store holds, whichever node wrote it, and end with the session or the right.

``docs/dashboard.md``; who may open which is in ``tests/integration/test_dashboard_roles.py``.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvitto.core.ids import batch_of
from kvitto.core.users import Role
from kvitto.dashboard import Answer, live
from kvitto.store.api import LinkState
from kvitto.store.office import SessionChange, UserChange
from tests.conformance.house import House, build_receipt
from tests.support.office import Office

WITHIN_S = 20
GONE = "event: gone\ndata: gone\n\n"


@pytest.fixture
async def office(house: House, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(live, "LIVE_S", 0.01)
    return await Office(house).open()


async def opened(office: Office, who: str, path: str, **more) -> AsyncIterator[bytes]:
    answer: Answer = await office.visit(who, "GET", path, **more)
    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert answer.stream is not None
    return answer.stream


async def told(stream: AsyncIterator[bytes], *words: str) -> str:
    """The first event that has these words; comments pass by."""
    async with asyncio.timeout(WITHIN_S):
        async for piece in stream:
            if all(word in piece.decode() for word in words):
                return piece.decode()
    raise AssertionError(f"the stream ended before it said {words}")


async def rest(stream: AsyncIterator[bytes]) -> list[str]:
    async with asyncio.timeout(WITHIN_S):
        return [piece.decode() async for piece in stream]


async def test_links_show_what_another_node_says_of_its_own(office: Office):
    stream = await opened(office, "operator", "/links/events")
    assert "node2" not in await told(stream, "event: message", "smsc")
    other = await office.house.second(node="node2")
    await other.record_link_states(
        [LinkState("abroad", "abroad", 0, 2, 10, 0, 0.0, None, "refused", office.clock.now())]
    )
    assert "0 of 2 up" in await told(stream, "abroad", "node2")


async def test_receipts_come_up_while_one_looks(office: Office):
    stream = await opened(office, "operator", "/receipts/events", query={"outcome": "parked"})
    await told(stream, "Every receipt found its message")
    other = await office.house.second(node="node2")
    await office.house.receive(build_receipt("nobody's"), store=other)
    await told(stream, "Waiting", "link link")


async def test_callbacks_come_up_while_one_looks_and_only_what_changed_is_sent_again(office: Office):
    stream = await opened(office, "owner", "/callbacks/events")
    await told(stream, "event: rows", "No callback yet")
    (sent,) = await office.house.dispatch(1, callback_url="http://customer.example/cb")
    await office.house.receipt_for(sent)
    seen = await told(stream, "event: rows", sent)
    assert "event: state" not in seen
    others = await opened(office, "stranger", "/callbacks/events")
    assert sent not in await told(others, "event: rows")


async def test_a_stream_ends_when_its_user_loses_the_right_to_the_page(office: Office):
    stream = await opened(office, "operator", "/links/events")
    await told(stream, "smsc")
    user = office.users["operator"]
    entry = (await office.house.store.office.audit(None, 1 << 60, 1))[0][1]
    await office.house.store.office.change_user(UserChange(user.id, None, Role.VIEWER, entry))
    assert (await rest(stream))[-1:] == [GONE]


async def test_a_stream_goes_on_when_the_new_role_has_the_right_and_shows_what_that_may_see(office: Office):
    (sent,) = await office.house.send(1, to=["46700009999"])
    params = {"batch_id": batch_of(sent)}
    stream = await opened(office, "owner", "/batches/{batch_id}/events", params=params)
    await told(stream, "46700009999")
    user = office.users["owner"]
    entry = (await office.house.store.office.audit(None, 1 << 60, 1))[0][1]
    await office.house.store.office.change_user(UserChange(user.id, None, Role.VIEWER, entry))
    assert "46700009999" not in await told(stream, "4670•••••99")


async def test_a_stream_ends_with_its_session(office: Office):
    stream = await opened(office, "owner", "/callbacks/events")
    await told(stream, "event: rows")
    await office.visit("owner", "POST", "/sign-out")
    assert (await rest(stream))[-1:] == [GONE]


async def test_a_stream_ends_when_another_account_is_chosen(office: Office):
    stream = await opened(office, "operator", "/callbacks/events")
    await told(stream, "event: rows")
    session = await office.house.store.office.find_session(office.session_hash("operator"), office.clock.now())
    assert session is not None
    await office.house.store.office.change_session(SessionChange(session.hash, office.other.id, False, None))
    assert (await rest(stream))[-1:] == [GONE]


async def test_a_user_has_so_many_live_pages_and_others_have_theirs(office: Office):
    streams = [await opened(office, "owner", "/overview/events") for _ in range(live.MOST_LIVE_EACH)]
    for stream in streams:
        await told(stream, "event: message")
    refused = await office.visit("owner", "GET", "/overview/events")
    assert (refused.status, refused.stream) == (503, None)
    await told(await opened(office, "member", "/overview/events"), "event: message")
    await streams[0].aclose()  # type: ignore[attr-defined]
    await told(await opened(office, "owner", "/overview/events"), "event: message")


async def test_streams_that_began_together_are_bounded_too(office: Office):
    streams = [await opened(office, "owner", "/overview/events") for _ in range(live.MOST_LIVE_EACH + 1)]
    for stream in streams[:-1]:
        await told(stream, "event: message")
    assert await rest(streams[-1]) == []


async def test_all_live_pages_end_when_the_server_stops(office: Office):
    stream = await opened(office, "owner", "/overview/events")
    await told(stream, "event: message")
    await office.dashboard.close()
    assert await rest(stream) == []
