"""Which link a number goes to."""

import pytest

from kvitto.dispatch.routes import ANY_LINK, RouteRule, Routes

RULES = (
    RouteRule("46", "", "sweden"),
    RouteRule("467", "", "swedish-mobile"),
    RouteRule("46", "acme", "acme-sweden"),
    RouteRule("", "bulk", "cheap"),
    RouteRule("", "", "world"),
)


def test_without_rules_every_link_takes_everything():
    assert Routes().route_for("46701234567", "acme") == ANY_LINK


@pytest.mark.parametrize(
    ("number", "account", "link"),
    [
        ("4681234567", "other", "sweden"),
        ("46701234567", "other", "swedish-mobile"),
        ("4681234567", "acme", "acme-sweden"),
        ("46701234567", "acme", "swedish-mobile"),
        ("15551234567", "other", "world"),
        ("15551234567", "bulk", "cheap"),
        ("4", "other", "world"),
        ("46", "other", "sweden"),
    ],
)
def test_the_longest_prefix_wins_and_among_equals_the_accounts_own_rule(number: str, account: str, link: str):
    assert Routes(RULES).route_for(number, account) == link


def test_a_number_that_no_rule_fits_has_no_route():
    assert Routes([RouteRule("46", "", "sweden")]).route_for("15551234567", "acme") is None


def test_a_rule_of_another_account_does_not_count():
    assert Routes([RouteRule("46", "acme", "sweden")]).route_for("46701234567", "other") is None


def test_a_prefix_may_be_written_with_a_plus():
    assert Routes([RouteRule("+46", "", "sweden")]).route_for("46701234567", "acme") == "sweden"


def test_a_later_rule_replaces_an_equal_earlier_one():
    assert Routes([RouteRule("46", "", "old"), RouteRule("46", "", "new")]).route_for("467", "acme") == "new"
