"""Which link carries a message: rules by number prefix and account, as the operator wrote them.

The longest prefix wins; of two rules with the same prefix, the account's own beats the general one. Without any rule
every link takes everything. Pure. It must not know links' state: a message routed to a link that is down waits for
it. Next: ``kvitto.dispatch.link``.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["ANY_LINK", "RouteRule", "Routes"]

ANY_LINK: Final = ""
"""The route of a message that every link may carry."""


class RouteRule(NamedTuple):
    """One rule: numbers that begin with ``prefix`` ("" all), of ``account`` (its name; "" every account), go to
    ``link``.
    """

    prefix: str = ""
    account: str = ""
    link: str = ANY_LINK


class Routes:
    """All rules, ready to be asked once per recipient. A later rule replaces an earlier one of equal prefix and
    account.
    """

    def __init__(self, rules: Iterable[RouteRule] = ()) -> None:
        self._links = {(rule.prefix.lstrip("+"), rule.account): rule.link for rule in rules}
        self._lengths = sorted({len(prefix) for prefix, _ in self._links}, reverse=True)

    def route_for(self, number: str, account_name: str) -> str | None:
        """Return the name of the link for this number (bare digits); "" for any link; None when no rule fits
        (no_route).
        """
        links = self._links
        if not links:
            return ANY_LINK
        for length in self._lengths:
            prefix = number[:length]
            if len(prefix) < length:
                continue
            link = links.get((prefix, account_name))
            if link is None:
                link = links.get((prefix, ""))
            if link is not None:
                return link
        return None
