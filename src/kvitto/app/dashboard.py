"""The dashboard: its pages on the HTTP server, with the tools they are handed, and the first users' links.

Must not know where those tools come from in the start. Next: ``kvitto.dashboard``, ``kvitto.pages``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from kvitto.app.common import Common
from kvitto.callbacks.post import CallbackClient
from kvitto.callbacks.sample import setting_problem
from kvitto.core.users import Role
from kvitto.dashboard import Dashboard, Tools
from kvitto.dashboard.signin import add_user, make_link
from kvitto.dispatch.link import LinkConfig
from kvitto.intake.desk import Desk
from kvitto.intake.doors import Doors
from kvitto.pages import (
    curl_of,
    magic_numbers,
    new_api_token,
    objection_to,
    open_pages,
    send_by,
    test_link,
    test_report,
)
from kvitto.reports import Reader
from kvitto.store.sqlstore import SqlStore
from kvitto.store.verbs.accounts import SETTABLE

__all__ = ["first_links", "open_dashboard"]

FIRST_USER: Final = "operator"


def open_dashboard(
    common: Common,
    store: SqlStore,
    desk: Desk,
    doors: Doors,
    *,
    client: CallbackClient,
    configs: Callable[[], Mapping[str, LinkConfig]],
    url: Callable[[], str],
) -> Dashboard:
    """Open the pages. ``client`` posts test reports; ``configs``, the links as they are now; ``url``, where we are."""
    settings, clock = common.settings, common.clock
    dialects = {dialect.name: dialect for dialect in common.dialects}
    send, cancel = send_by(desk, clock)
    tools = Tools(
        reader=Reader(store, store.office, clock),
        office=store.office,
        store=store,
        clock=clock,
        ids=common.ids,
        prefix=settings.http.path_prefix,
        session_ms=round(settings.dashboard.session_hours * 3_600_000),
        idle_ms=round(settings.dashboard.idle_hours * 3_600_000),
        dialects=tuple(dialects),
        retention_days=settings.store.retention_days,
        send=send,
        cancel=cancel,
        test_report=test_report(client, store, dialects, clock, settings.callbacks.allow_private),
        objection_to=objection_to(settings.callbacks.allow_private),
        test_link=test_link(configs, clock),
        new_token=new_api_token,
        curl=curl_of(url, tuple(dialects)),
        magic=() if settings.links else magic_numbers(),
        settable=SETTABLE,
        endpoint_problem=setting_problem,
    )
    dashboard = Dashboard(tools)
    open_pages(doors, dashboard)
    return dashboard


async def first_links(common: Common, store: SqlStore, demo_account: str | None) -> dict[str, str]:
    """One-time links, by user, for those of the first start who have no password yet."""
    wanted: list[tuple[str, Role, str | None]] = [(FIRST_USER, Role.OPERATOR, None)]
    users = await store.office.list_users(None)
    if any(user.role is Role.OPERATOR and user.has_password for user in users):
        wanted.clear()
    if demo_account is not None:
        found = await store.find_account(name=demo_account)
        if found is not None:
            wanted.append((demo_account, Role.OWNER, found[0].id))
    known, links, now = {user.name: user for user in users}, {}, common.clock.now()
    for name, role, account_id in wanted:
        user = known.get(name)
        if user is None:
            user = await add_user(store.office, common.ids.new(), name, role, account_id, now)
        if user is not None and not user.has_password:
            links[user.name] = await make_link(store.office, user.id, now)
    return links
