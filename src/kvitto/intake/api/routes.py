"""Every operation of ``/kvitto/v1`` as one table: doors are opened from it, and the document and tests are made of it.

Must not know: how an operation is performed (``kvitto.intake.api.handlers``, by the name that stands here).
"""

from typing import Final, NamedTuple

from msgspec import Struct

from kvitto.intake.api import wire

__all__ = ["NDJSON", "OPERATIONS", "PREFIX", "ApiOperation"]

PREFIX: Final = "/kvitto/v1"
NDJSON: Final = "application/x-ndjson"


class ApiOperation(NamedTuple):
    """``name``: of the handler, and the document's operationId. ``body``, ``result`` None: there is none. ``refusals``:
    beside those that every operation has. ``creates``: it takes an ``Idempotency-Key``.
    """

    name: str
    method: str
    path: str
    summary: str
    result: type[Struct] | None
    query: type[Struct] = wire.NoQuery
    body: type[Struct] | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    creates: bool = False


_E: Final = f"{PREFIX}/endpoints"
_C: Final = f"{PREFIX}/callbacks"
_R: Final = f"{PREFIX}/replays"
_L: Final = f"{PREFIX}/relay"
_BODY: Final = (413, 415)

OPERATIONS: Final[tuple[ApiOperation, ...]] = (
    ApiOperation("list_endpoints", "GET", _E, "List endpoints", wire.EndpointPageOut, wire.PageQuery),
    ApiOperation(
        "create_endpoint",
        "POST",
        _E,
        "Make an endpoint, or give an implicit one a name and settings",
        wire.EndpointOut,
        body=wire.EndpointIn,
        status=201,
        refusals=(409, *_BODY),
        creates=True,
    ),
    ApiOperation(
        "fetch_endpoint", "GET", f"{_E}/{{endpoint}}", "Show an endpoint", wire.EndpointDetailOut, refusals=(404,)
    ),
    ApiOperation(
        "change_endpoint",
        "PATCH",
        f"{_E}/{{endpoint}}",
        "Change settings",
        wire.EndpointOut,
        body=wire.EndpointChangeIn,
        refusals=(404, 409, *_BODY),
    ),
    ApiOperation(
        "disable_endpoint",
        "POST",
        f"{_E}/{{endpoint}}/disable",
        "Post nothing there from now on; what is to be told waits",
        wire.EndpointOut,
        refusals=(404,),
    ),
    ApiOperation(
        "enable_endpoint",
        "POST",
        f"{_E}/{{endpoint}}/enable",
        "Post there again, the breaker closed",
        wire.EndpointOut,
        refusals=(404,),
    ),
    ApiOperation(
        "rotate_secret",
        "POST",
        f"{_E}/{{endpoint}}/rotate-secret",
        "Give it a new secret, shown once; the one before signs beside it for a day",
        wire.SecretOut,
        refusals=(404,),
    ),
    ApiOperation(
        "test_endpoint",
        "POST",
        f"{_E}/{{endpoint}}/test",
        "Post one signed sample there now; nothing of it is kept",
        wire.SampleOut,
        body=wire.SampleIn,
        refusals=(404, 409, *_BODY),
    ),
    ApiOperation("list_callbacks", "GET", _C, "List callbacks, newest first", wire.CallbackPageOut, wire.CallbackQuery),
    ApiOperation(
        "fetch_callback",
        "GET",
        f"{_C}/{{callback}}",
        "Show a callback with its attempts",
        wire.CallbackDetailOut,
        refusals=(404,),
    ),
    ApiOperation(
        "resend_callback",
        "POST",
        f"{_C}/{{callback}}/resend",
        "Post it again now, its schedule from the beginning",
        wire.CallbackOut,
        status=202,
        refusals=(404, 409),
    ),
    ApiOperation(
        "start_replay",
        "POST",
        _R,
        "Post many callbacks again, each once",
        wire.ReplayOut,
        body=wire.ReplayIn,
        status=201,
        refusals=(404, 409, *_BODY),
        creates=True,
    ),
    ApiOperation("list_replays", "GET", _R, "List replays, newest first", wire.ReplayPageOut, wire.PageQuery),
    ApiOperation(
        "fetch_replay", "GET", f"{_R}/{{replay}}", "Show a replay's progress", wire.ReplayOut, refusals=(404,)
    ),
    ApiOperation(
        "cancel_replay",
        "POST",
        f"{_R}/{{replay}}/cancel",
        "Stop a replay; what it made due already stays due",
        wire.ReplayOut,
        refusals=(404,),
    ),
    ApiOperation(
        "list_events",
        "GET",
        f"{PREFIX}/events",
        "Everything that changed, in the order of the commits",
        wire.EventPageOut,
        wire.EventQuery,
    ),
    ApiOperation(
        "list_notices",
        "GET",
        f"{PREFIX}/notices",
        "What the account's owner should know",
        wire.NoticePageOut,
        wire.PageQuery,
    ),
    ApiOperation("open_relay", "GET", _L, "Receive callbacks down this connection", None, wire.RelayQuery),
    ApiOperation(
        "answer_relay",
        "POST",
        f"{_L}/{{relay}}",
        "Say what the local program answered",
        None,
        body=wire.RelayAnswerIn,
        status=204,
        refusals=(404, *_BODY),
    ),
)
