"""Who is calling: the four schemes of ``Authorization``, and tokens for an account's user name and password
(docs/dialects/infobip.md 1).

Must not know: which accounts there are. Next: ``kvitto.intake.auth``.
"""

import binascii
from base64 import b64decode
from typing import Final
from urllib.parse import parse_qs

from kvitto.core.model import Account
from kvitto.core.operations import CloseSession, OpenSession
from kvitto.dialects.base import Call, Credentials
from kvitto.dialects.infobip import wire
from kvitto.dialects.infobip.bodies import decode, refuse_nul
from kvitto.dialects.infobip.errors import Invalid, told

__all__ = ["credentials", "read_logout", "read_session", "read_token"]

_TOKEN_SCHEMES: Final = frozenset({"app", "ibsso", "bearer"})
_QUERY_PATH: Final = "/sms/1/text/query"
_FORM: Final = "application/x-www-form-urlencoded"


def credentials(call: Call) -> Credentials | None:
    """Return what the caller presents; None for nothing, or nothing that could be right.

    Without the header, ``text/query`` of version 1 takes ``username`` and ``password`` from the query.
    """
    scheme, _, value = call.headers.get("authorization", "").strip().partition(" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme in _TOKEN_SCHEMES and value:
        return Credentials(token=value)
    if scheme == "basic":
        return _basic(value)
    if not scheme and call.path.rstrip("/").endswith(_QUERY_PATH):
        username, password = call.query.get("username"), call.query.get("password")
        if username and password:
            return Credentials(username=username[-1], password=password[-1])
    return None


def _basic(value: str) -> Credentials | None:
    """The user name ends at the first colon (RFC 7617 2)."""
    try:
        username, colon, password = b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    if not colon or "\0" in username:
        return None
    return Credentials(username=username, password=password)


@told
def read_session(call: Call, account: None) -> OpenSession:
    """``POST /auth/1/session``: ``{"username", "password"}``."""
    given = decode(wire.SessionIn, call)
    return _open(given.username, given.password, ("username", "password"))


@told
def read_token(call: Call, account: None) -> OpenSession:
    """``POST /auth/1/oauth2/token``: OAuth's client credentials, as a form (RFC 6749 4.4) or as JSON."""
    if call.content_type == _FORM:
        values = parse_qs(call.body.decode("utf-8", "replace"))
        given = wire.TokenIn(*(values.get(name, [None])[-1] for name in wire.TokenIn.__struct_fields__))
    else:
        given = decode(wire.TokenIn, call)
    if given.grant_type not in (None, "client_credentials"):
        raise Invalid("grant_type", "must be client_credentials")
    return _open(given.client_id, given.client_secret, ("client_id", "client_secret"))


@told
def read_logout(call: Call, account: Account) -> CloseSession:
    """``DELETE /auth/1/session``: of the token that is presented; a caller with a password has none to end."""
    presented = credentials(call)
    return CloseSession(token=(presented and presented.token) or "")


def _open(username: str | None, password: str | None, names: tuple[str, str]) -> OpenSession:
    for name, value in zip(names, (username, password), strict=True):
        if not value:
            raise Invalid(name, "must not be empty")
        refuse_nul(name, value)
    assert username is not None
    assert password is not None
    return OpenSession(username=username, password=password, lifetime_s=wire.SESSION_S)
