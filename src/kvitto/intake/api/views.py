"""What the API shows: core values into the shapes of ``wire``, ids into the forms people see, and back.

A callback is called as its ``webhook-id`` says: ``cb_``, when it became due, its number. Pure.
"""

import re
from datetime import UTC, datetime
from typing import Any, Final

from kvitto.core.endpoint import Endpoint, EndpointStats, show_endpoint_id
from kvitto.core.model import Attempt, OperatorEvent
from kvitto.core.record import CallbackView, EventView, Replay, ReplayState
from kvitto.core.sample import Sample
from kvitto.core.status import FINAL, Note, StatusError
from kvitto.intake.api import wire

__all__ = [
    "attempt_out",
    "callback_detail_out",
    "callback_fields",
    "callback_id",
    "callback_out",
    "detail_out",
    "endpoint_out",
    "event_out",
    "iso",
    "notice_out",
    "progress_of",
    "read_callback_id",
    "read_instant",
    "read_replay_id",
    "replay_out",
    "sample_out",
]

_CALLBACK: Final = re.compile(r"(?:cb_(?P<at>[0-9]{1,15})_)?(?P<id>[0-9]{1,18})")
_REPLAY: Final = re.compile(r"rp_([0-9]{1,18})")
_LATEST: Final = 253_402_300_800_000
"""The year 10000, which cannot be shown."""


def iso(at: int) -> str:
    """An instant (ms UTC) as ISO-8601 with milliseconds."""
    seconds, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)


def read_instant(text: str) -> int | None:
    """Read an ISO-8601 timestamp with a zone into ms UTC; None for what is none."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return None
        ms = round(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return ms if 0 <= ms < _LATEST else None


def callback_id(number: int, created_at: int) -> str:
    """How a callback is called outside."""
    return f"cb_{created_at}_{number}"


def read_callback_id(text: str) -> tuple[int, int | None] | None:
    """Read a callback's id, or its bare number, into (number, when it became due); None for anything else."""
    found = _CALLBACK.fullmatch(text)
    if found is None:
        return None
    return int(found["id"]), None if found["at"] is None else int(found["at"])


def read_replay_id(text: str) -> int | None:
    """Read a replay's id."""
    found = _REPLAY.fullmatch(text)
    return None if found is None else int(found[1])


# --- endpoints --------------------------------------------------------------------------------------------------------


def _endpoint_fields(one: Endpoint) -> dict[str, Any]:
    return {
        "id": one.public_id,
        "name": one.name,
        "origin": one.origin,
        "url": one.url,
        "state": one.state.value,
        "disabled_why": one.disabled_why,
        "disabled_at": _iso(one.disabled_at),
        "probe_at": _iso(one.breaker.probe_at),
        "profile": one.profile.value,
        "concurrency": one.concurrency,
        "rate": one.rate,
        "header_names": [name for name, _ in one.headers],
        "username": one.username,
        "own_authorities": one.ca_pem is not None,
        "client_certificate": one.client_cert_pem is not None,
        "own_secret": one.secret is not None,
        "old_secret_until": _iso(one.old_secret_until),
        "delivered": one.delivered,
        "failed": one.failed,
        "last_ok_at": _iso(one.last_ok_at),
        "last_failed_at": _iso(one.last_failed_at),
        "last_error": one.last_error,
        "created_at": iso(one.created_at),
    }


def endpoint_out(one: Endpoint) -> wire.EndpointOut:
    """One endpoint, without anything secret."""
    return wire.EndpointOut(**_endpoint_fields(one))


def detail_out(one: Endpoint, stats: EndpointStats) -> wire.EndpointDetailOut:
    """One endpoint, with what waits for it."""
    return wire.EndpointDetailOut(
        **_endpoint_fields(one), pending=stats.pending, due=stats.due, next_at=_iso(stats.next_at)
    )


def sample_out(one: Sample) -> wire.SampleOut:
    """One sample and its answer."""
    return wire.SampleOut(
        url=one.url,
        headers=list(one.headers),
        body=one.body.decode("utf-8", "replace"),
        status=one.status,
        answer=one.answer.decode("utf-8", "replace"),
        error=one.error,
        elapsed_ms=one.elapsed_ms,
        taken=one.taken,
        meaning=one.meaning,
    )


def notice_out(one: OperatorEvent) -> wire.NoticeOut:
    """One operator event."""
    return wire.NoticeOut(one.id, iso(one.at), one.kind, one.subject, one.detail)


# --- callbacks --------------------------------------------------------------------------------------------------------


def callback_fields(one: CallbackView) -> dict[str, Any]:
    """A callback's fields by the names of ``wire.CallbackOut``."""
    return {
        "id": callback_id(one.id, one.created_at),
        "endpoint": show_endpoint_id(one.endpoint),
        "batch_id": one.batch_id,
        "message_id": one.message_id,
        "status": one.status,
        "tells": one.tells,
        "dialect": one.dialect,
        "url": one.url,
        "state": one.state.value,
        "created_at": iso(one.created_at),
        "attempts": one.attempts,
        "next_attempt_at": _iso(one.next_attempt_at),
        "first_failed_at": _iso(one.first_failed_at),
        "last_at": _iso(one.last_at),
        "last_status_code": one.last_status_code,
        "last_error": one.last_error,
        "last_elapsed_ms": one.last_elapsed_ms,
        "being_posted": one.leased,
    }


def callback_out(one: CallbackView) -> wire.CallbackOut:
    """One callback."""
    return wire.CallbackOut(**callback_fields(one))


def callback_detail_out(one: CallbackView, attempts: list[Attempt]) -> wire.CallbackDetailOut:
    """One callback with its attempts."""
    return wire.CallbackDetailOut(**callback_fields(one), history=[attempt_out(each) for each in attempts])


def attempt_out(one: Attempt) -> wire.AttemptOut:
    """One attempt."""
    return wire.AttemptOut(
        iso(one.at),
        one.status_code,
        one.error,
        one.elapsed_ms,
        list(one.headers),
        one.body_hash,
        one.body,
        one.answer,
    )


# --- replays ----------------------------------------------------------------------------------------------------------


def progress_of(one: Replay) -> float:
    """How much of the callbacks in question has been looked at: 0 to 1."""
    if one.state is ReplayState.DONE or one.last_id < one.first_id:
        return 1.0
    return (one.cursor - one.first_id + 1) / (one.last_id - one.first_id + 1)


def replay_out(one: Replay) -> wire.ReplayOut:
    """One replay."""
    return wire.ReplayOut(
        id=f"rp_{one.id}",
        endpoint=None if one.endpoint is None else show_endpoint_id(one.endpoint),
        states=[state.value for state in one.states],
        since=_iso(one.since_at),
        until=_iso(one.until_at),
        rate=one.rate,
        state=one.state.value,
        created_at=iso(one.created_at),
        progress=round(progress_of(one), 4),
        replayed=one.replayed,
        skipped=one.skipped,
    )


# --- events -----------------------------------------------------------------------------------------------------------


def event_out(one: EventView) -> wire.EventOut:
    """One change."""
    view = one.view
    return wire.EventOut(
        cursor=one.cursor,
        seq=one.seq,
        message_id=view.id,
        batch_id=view.batch_id,
        recipient=view.recipient,
        status=view.status.value,
        reason=view.reason.value,
        final=view.status in FINAL,
        at=iso(view.since_at),
        done_at=_iso(view.done_at),
        error=_error(view.error),
        parts=view.parts,
        notes=[note.name.lower() for note in Note if note and note in view.notes and note.name],
        client_reference=view.client_reference,
        client_id=view.client_id,
        batch_client_id=view.batch_client_id,
    )


def _error(error: StatusError) -> dict[str, Any]:
    told = {
        "source": error.source.value,
        "text": error.text,
        "network_type": error.net_type,
        "network_code": error.net_code,
        "command_status": error.command_status,
    }
    return {name: value for name, value in told.items() if value is not None}
