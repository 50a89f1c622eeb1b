"""Every route of the dashboard and who may use it: the one table that roles are held to (P21).

``who`` is asked before anything else of a page runs. What belongs to an account is read by the account of the session,
so that another account's things do not exist there. A test walks this table with every role. Next:
``kvitto.dashboard.door``.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from kvitto.core.users import Role
from kvitto.dashboard import views
from kvitto.dashboard.desktop import Desktop
from kvitto.dashboard.web import Answer, Visit

__all__ = ["ROUTES", "Route", "View"]

View = Callable[[Desktop, Visit], Awaitable[Answer]]

ANYBODY: Final[frozenset[Role]] = frozenset()
"""No session is asked for."""
ALL: Final = frozenset(Role)
SENDERS: Final = frozenset({Role.OPERATOR, Role.OWNER, Role.MEMBER})
OWNERS: Final = frozenset({Role.OPERATOR, Role.OWNER})
OPERATORS: Final = frozenset({Role.OPERATOR})


class Route(NamedTuple):
    """One route. ``account``: an operator must have chosen an account before."""

    method: str
    path: str
    view: View
    who: frozenset[Role]
    account: bool = False


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/", views.people.home, ANYBODY),
    Route("GET", "/sign-in", views.people.sign_in_page, ANYBODY),
    Route("POST", "/sign-in", views.people.sign_in_post, ANYBODY),
    Route("GET", "/sign-in/{secret}", views.people.link_page, ANYBODY),
    Route("POST", "/sign-in/{secret}", views.people.link_post, ANYBODY),
    Route("GET", "/static/{rest:path}", views.static.file, ANYBODY),
    Route("POST", "/sign-out", views.people.sign_out, ALL),
    Route("POST", "/reveal", views.people.reveal, ALL),
    Route("POST", "/look-at", views.people.look_at, OPERATORS),
    Route("GET", "/overview", views.overview.page, ALL),
    Route("GET", "/overview/events", views.overview.events, ALL),
    Route("GET", "/messages", views.messages.page, ALL),
    Route("GET", "/messages/{message_id}", views.messages.one, ALL),
    Route("GET", "/messages/{message_id}/events", views.messages.events, ALL),
    Route("GET", "/batches", views.batches.page, ALL),
    Route("GET", "/batches/{batch_id}", views.batches.one, ALL),
    Route("GET", "/batches/{batch_id}/events", views.batches.events, ALL),
    Route("GET", "/batches/{batch_id}/export.csv", views.batches.export_csv, ALL),
    Route("GET", "/batches/{batch_id}/export.ndjson", views.batches.export_ndjson, ALL),
    Route("POST", "/batches/{batch_id}/cancel", views.batches.cancel, SENDERS),
    Route("GET", "/callbacks", views.callbacks.page, ALL),
    Route("GET", "/callbacks/events", views.callbacks.events, ALL),
    Route("POST", "/callbacks/replay", views.callbacks.replay, SENDERS),
    Route("POST", "/callbacks/replays/{replay_id}/cancel", views.callbacks.cancel_replay, SENDERS),
    Route("GET", "/callbacks/{callback_id}", views.callbacks.one, ALL),
    Route("POST", "/callbacks/{callback_id}/resend", views.callbacks.resend, SENDERS),
    Route("GET", "/callbacks/endpoints/{endpoint_id}", views.endpoints.page, OWNERS),
    Route("POST", "/callbacks/endpoints/{endpoint_id}/settings", views.endpoints.save, OWNERS),
    Route("POST", "/callbacks/endpoints/{endpoint_id}/secret", views.endpoints.rotate_secret, OWNERS),
    Route("POST", "/callbacks/endpoints/{endpoint_id}/{what}", views.endpoints.switch, OWNERS),
    Route("GET", "/try", views.trial.page, SENDERS, account=True),
    Route("POST", "/try", views.trial.post, SENDERS, account=True),
    Route("GET", "/settings", views.settings.home, ALL),
    Route("GET", "/settings/webhook", views.webhook.page, OWNERS, account=True),
    Route("POST", "/settings/webhook", views.webhook.save, OWNERS, account=True),
    Route("POST", "/settings/webhook/test", views.webhook.test, OWNERS, account=True),
    Route("POST", "/settings/webhook/secret", views.webhook.rotate_secret, OWNERS, account=True),
    Route("GET", "/settings/security", views.security.page, ALL),
    Route("POST", "/settings/security/password", views.security.set_password, ALL),
    Route("POST", "/settings/security/token", views.security.new_token, OWNERS, account=True),
    Route("POST", "/settings/security/token/revoke", views.security.revoke_token, OWNERS, account=True),
    Route("POST", "/settings/security/users", views.security.add, OWNERS),
    Route("POST", "/settings/security/users/{name}/role", views.security.set_role, OWNERS),
    Route("POST", "/settings/security/users/{name}/link", views.security.make_user_link, OWNERS),
    Route("POST", "/settings/security/users/{name}/remove", views.security.remove, OWNERS),
    Route("GET", "/settings/account", views.settings.account, OWNERS, account=True),
    Route("POST", "/settings/account", views.settings.save_account, OWNERS, account=True),
    Route("GET", "/settings/audit", views.security.audit, OWNERS),
    Route("GET", "/links", views.links.page, OPERATORS),
    Route("GET", "/links/events", views.links.events, OPERATORS),
    Route("POST", "/links/{name}/test", views.links.test, OPERATORS),
    Route("GET", "/links/doubts", views.doubts.page, OPERATORS),
    Route("POST", "/links/doubts/resend", views.doubts.resend, OPERATORS),
    Route("POST", "/links/doubts/end", views.doubts.end, OPERATORS),
    Route("GET", "/receipts", views.receipts.page, OPERATORS),
    Route("GET", "/receipts/events", views.receipts.events, OPERATORS),
    Route("POST", "/receipts/read", views.receipts.read, OPERATORS),
    Route("POST", "/receipts/{receipt_id}/assign", views.receipts.assign, OPERATORS),
)
