"""``kvitto callback``: what was posted, what came of each try, and posting again: one, or many at a bounded rate (P14).

The operator sees every account's. A replay is the server's work: the command begins it and follows it; interrupted, it
goes on, and the same command follows it again instead of beginning another. Next: ``kvitto.store.callbackapi``.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    books,
    find_account,
    iso,
    print_json,
    print_pairs,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.cli.endpoint import find_endpoint
from kvitto.cli.instants import is_relative, read_instant
from kvitto.core.endpoint import show_endpoint_id
from kvitto.core.errors import BadInput, Conflict, NotFound
from kvitto.core.model import Attempt, CallbackState
from kvitto.core.record import CallbackFilter, CallbackView, NewReplay, Replay, ReplayState
from kvitto.intake.api import views
from kvitto.store.api import Store

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="What was told, and telling it again.")

FOLLOW_S: Final = 0.25
"""Between two looks at a running replay."""
STUCK_S: Final = 5.0
"""A replay that does not move for so long: perhaps no server runs."""
_REPLAYS: Final = 200
"""So many of the newest are looked through for one that is the same."""

EndpointOption = Annotated[str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Only those to it.")]
AccountOption = Annotated[str | None, typer.Option("--account", metavar="NAME", help="Only this account's.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="T", help="Due at T or later: ISO-8601, or 30m, 2h, 7d ago.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="T", help="Due before T.")]
StatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", metavar="WORD", help="pending, done or given_up; may be given again."),
]


async def _filter(
    store: Store,
    account: str | None,
    endpoint: str | None,
    states: list[str] | None,
    since: str | None,
    until: str | None,
    message: str | None = None,
) -> CallbackFilter:
    """Read the options. Raises: BadInput, NotFound."""
    now = CLOCK.now()
    owner = None if account is None else (await find_account(store, account)).id
    found = None if endpoint is None else await find_endpoint(store, endpoint, account)
    wanted = states or []
    for word in wanted:
        if word not in {state.value for state in CallbackState}:
            raise BadInput("--status", f"{word!r}: wanted {', '.join(state.value for state in CallbackState)}")
    return CallbackFilter(
        account_id=owner if found is None else found.account_id,
        endpoint=None if found is None else found.id,
        states=tuple(sorted({CallbackState(word) for word in wanted})),
        since_at=None if since is None else read_instant("--since", since, now),
        until_at=None if until is None else read_instant("--until", until, now),
        message_id=message,
    )


@commands.command("list")
def list_(
    account: AccountOption = None,
    endpoint: EndpointOption = None,
    status: StatusOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    message: Annotated[str | None, typer.Option("--message", metavar="ID", help="Only this message's.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List callbacks, newest first."""
    settings = read_settings(config, data)

    async def work() -> list[CallbackView]:
        async with books(settings) as store:
            wanted = await _filter(store, account, endpoint, status, since, until, message)
            found: list[CallbackView] = []
            cursor: int | None = None
            while len(found) < limit:
                page = await store.list_callbacks(wanted, limit - len(found), cursor)
                found += page.callbacks
                cursor = page.cursor
                if cursor is None:
                    break
            return found

    found = run(work())
    if as_json:
        print_json([msgspec.to_builtins(views.callback_out(one)) for one in found])
        return
    print_rows(
        ("callback", "due", "endpoint", "tells", "state", "attempts", "last answer", "next attempt"),
        [
            (
                views.callback_id(one.id, one.created_at),
                iso(one.created_at),
                show_endpoint_id(one.endpoint),
                one.status or one.tells,
                one.state.value,
                one.attempts,
                one.last_status_code or one.last_error,
                iso(one.next_attempt_at),
            )
            for one in found
        ],
    )


CallbackArgument = Annotated[
    str, typer.Argument(metavar="CALLBACK", help="Its id, as in webhook-id (cb_...), or its number.")
]


@commands.command()
def show(
    callback: CallbackArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Show a callback and each of its attempts."""
    settings = read_settings(config, data)

    async def work() -> tuple[CallbackView, list[Attempt]]:
        async with books(settings) as store:
            return await _find(store, callback)

    view, attempts = run(work())
    if as_json:
        print_json(msgspec.to_builtins(views.callback_detail_out(view, attempts)))
        return
    print_pairs(msgspec.to_builtins(views.callback_out(view)))
    say("")
    print_rows(
        ("attempt", "at", "answer", "ms", "error", "body sha256"),
        [
            (number, iso(one.at), one.status_code, one.elapsed_ms, one.error, one.body_hash[:12])
            for number, one in enumerate(attempts, 1)
        ],
    )


@commands.command()
def resend(
    callback: CallbackArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Post a callback again now, its schedule from the beginning."""
    settings = read_settings(config, data)

    async def work() -> CallbackView:
        async with books(settings) as store:
            view, _ = await _find(store, callback)
            if await store.resend_callback(None, view.id, CLOCK.now()) is False:
                raise Conflict("the callback is being posted just now")
            view, _ = await _find(store, callback)
            return view

    view = run(work())
    if as_json:
        print_json(msgspec.to_builtins(views.callback_out(view)))
    else:
        say(f"{views.callback_id(view.id, view.created_at)} is due now.")


async def _find(store: Store, which: str) -> tuple[CallbackView, list[Attempt]]:
    read = views.read_callback_id(which)
    found = None if read is None else await store.fetch_callback(None, read[0])
    if read is None or found is None or read[1] not in (None, found[0].created_at):
        raise NotFound("callback", f"no callback is called {which}")
    return found


# --- replay -----------------------------------------------------------------------------------------------------------


@commands.command()
def replay(
    since: Annotated[
        str, typer.Option("--since", metavar="T", help="Due at T or later: ISO-8601, or 30m, 2h, 7d ago.")
    ],
    until: UntilOption = None,
    endpoint: EndpointOption = None,
    account: AccountOption = None,
    status: StatusOption = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", min=0.1, max=10_000, help="Callbacks a second.")] = 50.0,
    again: Annotated[
        bool, typer.Option("--again", metavar="", help="Begin another although the same one was done.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", metavar="", help="Stop the one that runs.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Post callbacks again, each once, at a bounded rate. Interrupted it goes on; run again, it is followed."""
    settings = read_settings(config, data)
    if endpoint is None and account is None:
        raise BadInput("--endpoint", "wanted an endpoint or --account: nobody replays everybody's by accident")

    async def work() -> Replay:
        async with books(settings) as store:
            wanted = await _filter(store, account, endpoint, status, since, until)
            running = await _same(store, wanted, is_relative(since), is_relative(until or ""), again)
            if cancel:
                if running is None or running.state is not ReplayState.RUNNING:
                    raise NotFound("replay", "no such replay runs")
                return await store.cancel_replay(None, running.id) or running
            if running is None:
                running = await store.start_replay(NewReplay(wanted, rate, CLOCK.now()))
            return await _follow(store, running, as_json)

    done = run(work())
    if as_json:
        print_json(msgspec.to_builtins(views.replay_out(done)))
        return
    skipped = f", {done.skipped} were being posted just then" if done.skipped else ""
    say(f"rp_{done.id} {done.state.value}: {done.replayed} made due again{skipped}.")


async def _same(
    store: Store, wanted: CallbackFilter, since_moves: bool, until_moves: bool, again: bool
) -> Replay | None:
    """The replay that this command began before, if it did: one that runs, or one that was asked in the same words.

    An instant that says how long ago is another one each time; then only a replay that still runs is the same.
    """
    for one in await store.list_replays(wanted.account_id, _REPLAYS):
        if (one.account_id, one.endpoint, one.states) != (wanted.account_id, wanted.endpoint, wanted.states):
            continue
        since = since_moves or one.since_at == wanted.since_at
        until = until_moves or one.until_at == wanted.until_at
        runs = one.state is ReplayState.RUNNING
        done = one.state is ReplayState.DONE and not (since_moves or until_moves or again)
        if since and until and (runs or done):
            return one
    return None


async def _follow(store: Store, one: Replay, quiet: bool) -> Replay:
    """Show how it goes on until it has ended."""
    stuck_s, told = 0.0, False
    try:
        with _bar(quiet) as show_progress:
            while True:
                show_progress(one)
                if one.state is not ReplayState.RUNNING:
                    return one
                await asyncio.sleep(FOLLOW_S)
                fresh = await store.fetch_replay(None, one.id)
                if fresh is None:
                    raise NotFound("replay", f"rp_{one.id} is gone")
                stuck_s = stuck_s + FOLLOW_S if fresh == one else 0.0
                if stuck_s >= STUCK_S and not told and CLOCK.now() > fresh.next_at + STUCK_S * 1000:
                    print("kvitto: nothing moves: is the server running? It does the work.", file=sys.stderr)
                    told = True
                one = fresh
    except asyncio.CancelledError:
        print(f"\nrp_{one.id} goes on in the server; the same command follows it, --cancel stops it.", file=sys.stderr)
        raise


@contextmanager
def _bar(quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda one: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[made]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Replaying", total=1.0, made="")
        yield lambda one: progress.update(task, completed=views.progress_of(one), made=f"{one.replayed} made due")
