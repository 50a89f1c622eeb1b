"""P13: when a breaker opens, probes, closes and gives up; numbers of endpoints; what is claimed from whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvitto.callbacks.claims import CLAIM, Candidate, choose
from kvitto.core.breaker import (
    DISABLE_AFTER_MS,
    FIRST_PROBE_MS,
    LAST_PROBE_MS,
    REST,
    WINDOW_MS,
    Breaker,
    Watch,
)
from kvitto.core.endpoint import endpoint_number, origin_of, parse_endpoint_id, show_endpoint_id

NOW = 1_773_065_100_000


def tried(outcomes: str, *, every_ms: int = 1000, watch: Watch | None = None) -> Watch:
    """One attempt after the other: ``x`` failed, ``.`` succeeded."""
    watch = watch or Watch()
    for number, outcome in enumerate(outcomes):
        (watch.failed if outcome == "x" else watch.succeeded)(NOW + number * every_ms)
    return watch


@pytest.mark.parametrize(
    ("outcomes", "opens"),
    [
        ("x" * 9, False),
        ("x" * 10, True),
        ("...xxxxxxx", True),
        ("....xxxxxx", False),
        ("." * 300 + "x" * 600, False),
        ("." * 300 + "x" * 700, True),
    ],
)
def test_p13_it_opens_at_seven_failures_in_ten_of_at_least_ten_attempts(outcomes: str, opens: bool):
    assert tried(outcomes, every_ms=10).is_open is opens


def test_p13_only_attempts_of_the_last_five_minutes_count():
    watch = tried("x" * 9)
    watch.failed(NOW + WINDOW_MS + 60_000)
    assert not watch.is_open
    assert tried("x" * 10, every_ms=WINDOW_MS // 9 - 30_000).is_open
    assert not tried("x" * 30, every_ms=34_000).is_open, "too seldom: ten never fall into five minutes"


def test_p13_probes_come_later_and_later_and_one_success_closes_it():
    watch = tried("x" * 10)
    at = watch.probe_at or 0
    assert at == NOW + 9_000 + FIRST_PROBE_MS
    waits = []
    for _ in range(7):
        assert watch.failed(at)
        before, at = at, watch.probe_at or 0
        waits.append(at - before)
    assert waits == [60_000, 120_000, 240_000, 480_000, LAST_PROBE_MS, LAST_PROBE_MS, LAST_PROBE_MS]
    assert watch.succeeded(at)
    assert not watch.is_open
    assert watch.taken_down() == REST
    for _ in range(8):
        watch.failed(at)
    assert not watch.is_open, "what was counted before is forgotten"


def test_p13_what_was_begun_before_it_opened_moves_no_probe():
    watch = tried("x" * 10)
    at = watch.probe_at
    assert not watch.failed(NOW + 9_500)
    assert watch.probe_at == at


def test_p13_it_is_over_after_five_days_without_a_success():
    watch = tried("x")
    assert not watch.is_over(NOW + DISABLE_AFTER_MS - 1)
    assert watch.is_over(NOW + DISABLE_AFTER_MS)
    watch.succeeded(NOW + 5)
    assert not watch.is_over(NOW + DISABLE_AFTER_MS)


def test_p13_it_goes_on_after_a_restart_where_it_was():
    watch = tried("x" * 10)
    again = Watch(watch.taken_down())
    assert (again.is_open, again.probe_at, again.failing_since) == (True, watch.probe_at, NOW)
    assert again.taken_down() == watch.taken_down()
    half = Watch(tried("x" * 6).taken_down())
    assert tried("x" * 4, watch=half).is_open


def test_p26_a_clock_set_back_opens_nothing_by_itself():
    watch = tried("x" * 9)
    watch.failed(NOW - 86_400_000)
    assert not watch.is_open
    assert watch.failing_since == NOW - 86_400_000


def test_a_healthy_one_is_at_rest_however_much_it_carries():
    assert tried("." * 1000, every_ms=700).taken_down() == REST == Breaker()


# --- numbers of endpoints


@pytest.mark.parametrize(
    "url",
    ["https://Shop.example/a", "https://shop.example:443/b?x=/y", "https://shop.example?q", "https://shop.example./#f"],
)
def test_every_url_of_an_origin_has_one_number(url: str):
    assert origin_of(url) == "https://shop.example:443"
    assert endpoint_number("A", url) == endpoint_number("A", "https://shop.example/")


def test_other_accounts_schemes_hosts_and_ports_are_other_endpoints():
    urls = [
        "https://a.example/",
        "http://a.example/",
        "https://b.example/",
        "https://a.example:8443/",
        "https://[::1]/",
    ]
    numbers = {endpoint_number(account, url) for url in urls for account in ("A", "B")}
    assert len(numbers) == 10


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_shown_and_read_again(number: int):
    assert parse_endpoint_id(show_endpoint_id(number)) == number


@pytest.mark.parametrize("text", ["", "ep_", "shop", "ep_0123456789abi", "ep_zzzzzzzzzzzzz", "EP_0000000000000"])
def test_what_is_no_endpoints_id_is_none(text: str):
    assert parse_endpoint_id(text) is None


# --- P12: shares


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 50)), max_size=300),
    st.integers(1, 5000),
)
def test_p12_nobody_who_wants_something_is_left_out_for_one_who_wants_much(asking, room):
    candidates = [Candidate(number, wanted, held) for number, (wanted, held) in enumerate(asking)]
    wants = {want.endpoint: want.limit for want in choose(candidates, room)}
    most = min(room, CLAIM)
    assert sum(wants.values()) <= most
    assert all(0 < wants[number] <= candidates[number].room for number in wants)
    wanting = [one for one in candidates if one.room > 0]
    assert len(wants) == min(len(wanting), most, 200)
    if sum(one.room for one in wanting) >= most and len(wanting) <= 200:
        least = min((limit for number, limit in wants.items() if limit < candidates[number].room), default=most)
        assert least >= most // len(wanting) // 2 or len(wanting) > most
