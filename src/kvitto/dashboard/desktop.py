"""What a view works with: the tools, and pages rendered for whoever looks.

Templates get plain values and a few words of their own (``when``, ``number``, ``ago``); autoescape is always on, so
that whatever a sender, a text, a reference or an answer contains is shown and never run. Next: ``templates/base.html``.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kvitto import __version__
from kvitto.core.model import Account
from kvitto.core.status import FINAL, Status
from kvitto.core.users import AuditEntry, Role
from kvitto.core.words import TITLES, describe_error, explain
from kvitto.dashboard.live import Draw, Streams
from kvitto.dashboard.tools import Tools
from kvitto.dashboard.web import Answer, Refused, Visit
from kvitto.dashboard.words import counters_of, disabled_words, fact_words, outcome_words
from kvitto.reports.numbers import spell
from kvitto.reports.times import iso, length, local, zone_of

__all__ = ["Desktop", "masked"]

_TONES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "wait",
    Status.DISPATCHED: "way",
    Status.DELIVERED: "good",
    Status.CANCELLED: "off",
    Status.DELETED: "off",
    Status.UNKNOWN: "odd",
}


def masked(number: str) -> str:
    """A number as a viewer sees it: the beginning and the last two digits."""
    if len(number) <= 4:
        return "•" * len(number)
    return f"{number[:4]}{'•' * max(1, len(number) - 6)}{number[-2:]}"


class Desktop:
    """Renders pages."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self._streams = Streams(tools)
        self._pages = Environment(
            loader=PackageLoader("kvitto.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            enable_async=False,
        )
        self._pages.globals.update(
            url=self.url,
            asset=_asset(tools.prefix),
            title_of=lambda status: TITLES[Status(status)],
            tone_of=lambda status: _TONES.get(Status(status), "bad"),
            is_final=lambda status: Status(status) in FINAL,
            explain=explain,
            describe_error=describe_error,
            length=length,
            iso=iso,
            version=__version__,
            roles=[str(role) for role in Role],
            pretty=_pretty,
            segments=_segments,
            counters_of=counters_of,
            fact_words=fact_words,
            outcome_words=outcome_words,
            disabled_words=disabled_words,
        )

    def url(self, path: str) -> str:
        """A path as the browser must ask for it."""
        return f"{self.tools.prefix}{path}"

    async def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Answer:
        """A whole page."""
        signed = visit.signed_in
        shared: dict[str, Any] = {"me": None, "csrf": "", "accounts": (), "looking_at": None}
        if signed is not None:
            looking_at = await self.tools.reader.account(signed.account_id) if signed.account_id else None
            accounts = await self.tools.reader.accounts() if signed.user.role is Role.OPERATOR else ()
            shared = {"me": signed.user, "csrf": signed.csrf, "accounts": accounts, "looking_at": looking_at}
            values.setdefault("zone", zone_of(looking_at.timezone) if looking_at else ZoneInfo("UTC"))
        html = self.render(visit, template, **shared, **values)
        return Answer(status, html.encode(), headers=(("Cache-Control", "no-store"),))

    def render(self, visit: Visit, template: str, **values: Any) -> str:
        """A template, or a piece of one, for this visitor."""
        zone = values.setdefault("zone", ZoneInfo("UTC"))
        signed = visit.signed_in
        role = signed.user.role if signed else None
        return self._pages.get_template(template).render(
            **values,
            path=visit.path,
            when=lambda at, ms=False: local(at, zone, ms=ms),
            ago=lambda at: f"{length(max(0, visit.now - at))} ago" if at else "",
            number=self.shows(visit),
            spelled=self.spells(visit),
            country=lambda number: spell(number).country,
            may_send=role in (Role.OPERATOR, Role.OWNER, Role.MEMBER),
            may_own=role in (Role.OPERATOR, Role.OWNER),
            is_operator=role is Role.OPERATOR,
            hidden=role is Role.VIEWER and not (signed and signed.reveal),
            can_reveal=role is Role.VIEWER,
            now=visit.now,
        )

    def shows(self, visit: Visit) -> Callable[[str], str]:
        """How this visitor sees a number."""
        session = visit.session if visit.signed_in else None
        if session is not None and (session.user.role is not Role.VIEWER or session.reveal):
            return str
        return masked

    def spells(self, visit: Visit) -> Callable[[str], str]:
        """As ``shows``, in groups where the number is shown whole."""
        shows = self.shows(visit)
        return shows if shows is masked else lambda number: spell(number).shown

    async def zone(self, visit: Visit) -> ZoneInfo:
        """The zone of the account that is looked at."""
        account = await self.tools.reader.account(visit.account_id) if visit.account_id else None
        return zone_of(account.timezone) if account else ZoneInfo("UTC")

    async def account(self, visit: Visit) -> Account:
        """The account that is looked at, on routes that ask for one. Raises: Refused when it is gone."""
        found = await self.tools.reader.account(visit.account_id) if visit.account_id else None
        if found is None:
            raise Refused(404, "This account is gone.")
        return found

    def entry(self, visit: Visit, action: str, target: str, detail: str = "") -> AuditEntry:
        """What is kept of a change that this visitor makes."""
        user = visit.session.user
        return AuditEntry(self.tools.clock.now(), user.name, visit.account_id, action, target, detail)

    def live(self, visit: Visit, draw: Draw) -> Answer:
        """The stream of a live page. Raises: Refused when there are too many (``kvitto.dashboard.live``)."""
        return self._streams.open(visit, draw)


def _asset(prefix: str) -> Callable[[str], str]:
    """The path of a static file, with what changes when it does."""
    known: dict[str, str] = {}

    def path_of(name: str) -> str:
        if name not in known:
            octets = files("kvitto.dashboard").joinpath("static", *name.split("/")).read_bytes()
            known[name] = f"{prefix}/static/{name}?v={hashlib.sha256(octets).hexdigest()[:10]}"
        return known[name]

    return path_of


def _segments(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """How a bar is filled: the tones of what has ended, the good first, each with how many."""
    sums = dict.fromkeys(("good", "bad", "odd", "off"), 0)
    for status, many in counts:
        if Status(status) in FINAL:
            sums[_TONES.get(Status(status), "bad")] += many
    return list(sums.items())


def _pretty(count: int) -> Markup:
    """A count with thin spaces between thousands."""
    return Markup(f"{count:,}".replace(",", "&#8239;"))  # noqa: S704  # digits and commas alone
