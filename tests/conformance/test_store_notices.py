"""The owner is told of his endpoints and secrets by callbacks, written with what happened (P13)."""

from kvitto.core.breaker import REST
from kvitto.core.endpoint import (
    DisabledWhy,
    EndpointHealth,
    EndpointState,
    endpoint_number,
    show_endpoint_id,
)
from kvitto.core.model import Account, CallbackDue, CallbackResult, CallbackState, OperatorEvent
from kvitto.core.record import CallbackFilter
from tests.conformance.house import CALLBACK_URL, House

EVENTS_URL = "https://owner.example/kvitto"


async def owner(house: House, **settings: object) -> Account:
    return await house.new_account(**{"events_url": EVENTS_URL, **settings})


def health(house: House, account: Account, told: str, url: str = CALLBACK_URL) -> EndpointHealth:
    state = {"open": EndpointState.OPEN, "closed": EndpointState.HEALTHY, "disabled": EndpointState.DISABLED}[told]
    number = endpoint_number(account.id, url)
    head = (number, account.id, "http://customer.example:80", house.now, 0, 1, state)
    why = "failing" if told == "disabled" else None
    return EndpointHealth(*head, why, REST, None, house.now, "HTTP 500", moved=True, told=told, detail=f"it is {told}")


async def posted(house: House) -> list[CallbackDue]:
    """What is due, and posted well."""
    due = await house.callbacks()
    await house.finish(due)
    return list(due)


def facts(due: list[CallbackDue]) -> list[OperatorEvent]:
    assert all(isinstance(one.facts, OperatorEvent) for one in due)
    return [one.facts for one in due if isinstance(one.facts, OperatorEvent)]


async def test_p13_an_endpoint_that_opens_closes_and_is_disabled_is_told_to_the_events_url(house: House):
    account = await owner(house)
    subject = show_endpoint_id(endpoint_number(account.id, CALLBACK_URL))
    for told in ("open", "closed", "disabled"):
        await house.store.record_endpoints([health(house, account, told)])
        (due,) = await posted(house)
        assert (due.url, due.dialect, due.account_id, due.created_at) == (EVENTS_URL, "kvitto", account.id, house.now)
        assert due.endpoint == endpoint_number(account.id, EVENTS_URL)
        (event,) = facts([due])
        assert event == (await house.store.list_operator_events(account.id, 1))[0]
        assert (event.kind, event.subject, event.detail) == (f"endpoint.{told}", subject, f"it is {told}")
        house.clock.advance(1)


async def test_p13_without_an_events_url_it_is_a_notice_and_no_callback(house: House):
    await house.store.record_endpoints([health(house, house.account, "open")])
    assert len(await house.store.list_operator_events(house.account.id, 10)) == 1
    assert await house.callbacks() == []


async def test_p13_trouble_of_the_events_urls_own_endpoint_is_told_to_nobody(house: House):
    account = await owner(house)
    for told in ("open", "closed", "disabled"):
        await house.store.record_endpoints([health(house, account, told, "https://OWNER.example:443/else")])
    await house.store.enable_endpoint(account.id, endpoint_number(account.id, EVENTS_URL), house.now)
    assert len(await house.store.list_operator_events(account.id, 10)) == 4, "who looks can read it"
    assert await house.callbacks() == []


async def test_p13_each_account_is_told_of_its_own(house: House):
    first, second = await owner(house), await owner(house, events_url="https://second.example/")
    reports = [health(house, one, "open") for one in (first, house.account, second, first)]
    await house.store.record_endpoints(reports)
    due = await posted(house)
    assert sorted((one.account_id, one.url) for one in due) == sorted(
        [(first.id, EVENTS_URL), (first.id, EVENTS_URL), (second.id, "https://second.example/")]
    )
    assert {event.account_id for event in facts(due)} == {first.id, second.id}


async def test_p13_who_disables_or_enables_is_told_once(house: House):
    account = await owner(house)
    number = endpoint_number(account.id, CALLBACK_URL)
    await house.store.record_endpoints([health(house, account, "open")._replace(told="", moved=False)])
    for _ in range(2):
        await house.store.disable_endpoint(account.id, number, DisabledWhy.OPERATOR, house.now)
    for _ in range(2):
        await house.store.enable_endpoint(account.id, number, house.now)
    events = facts(await posted(house))
    assert [one.kind for one in events] == ["endpoint.disabled", "endpoint.enabled"]
    assert all("http://customer.example:80" in one.detail for one in events)


async def test_p18_a_new_secret_is_told(house: House):
    account = await owner(house)
    await house.store.record_endpoints([health(house, account, "closed")._replace(told="")])
    await house.store.rotate_endpoint_secret(
        account.id, endpoint_number(account.id, CALLBACK_URL), "whsec_x", house.now
    )
    await house.store.rotate_callback_secret(account.name, "whsec_y", house.now)
    events = facts(await posted(house))
    assert [one.kind for one in events] == ["endpoint.secret_rotated", "account.secret_rotated"]
    assert "whsec" not in str(events)
    assert events[1].subject == account.name


async def test_p14_a_notice_is_kept_listed_and_posted_again_like_any_callback(house: House):
    account = await owner(house)
    await house.store.record_endpoints([health(house, account, "open")])
    (due,) = await house.callbacks()
    later = house.now + 5_000
    failed = CallbackResult(due.id, CallbackState.PENDING, house.now, later, house.now, 500, "HTTP 500", 3)
    await house.store.record_attempts([failed])
    page = await house.store.list_callbacks(CallbackFilter(account_id=account.id), 10)
    (view,) = page.callbacks
    assert (view.id, view.tells, view.dialect, view.message_id, view.batch_id) == (due.id, "notice", "kvitto", None, "")
    house.clock.advance(5)
    (again,) = await house.callbacks()
    assert (again.facts, again.attempts) == (due.facts, 1)
    await house.finish([again])
    assert await house.store.resend_callback(account.id, due.id, house.now) is True
    assert facts(await posted(house)) == [due.facts]


async def test_accounts_keep_where_their_owners_are_told(house: House):
    await house.store.set_account(house.account.name, {"events_url": EVENTS_URL})
    found, _ = await house.store.find_account(name=house.account.name)
    assert found.events_url == EVENTS_URL
    await house.store.set_account(house.account.name, {"events_url": None})
    found, _ = await house.store.find_account(name=house.account.name)
    assert found.events_url is None
