"""``kvitto endpoint``: where callbacks go: their state, settings and secrets; a signed sample to try one.

The operator sees every account's. An endpoint is named by its id, or within ``--account`` by its name or any URL of its
origin. A running server takes up changes within a second. Next: ``kvitto.cli.callback``, ``kvitto.core.endpoint``.
"""

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import typer

from kvitto.app import callback_client, sampler
from kvitto.callbacks.addresses import judge_url
from kvitto.callbacks.sample import setting_problem
from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    Exit,
    JsonOption,
    books,
    find_account,
    print_json,
    print_pairs,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.cli.endpointfields import FIELDS, read_changes
from kvitto.core.endpoint import DisabledWhy, Endpoint, EndpointStats, NewEndpoint, origin_of
from kvitto.core.errors import BadInput, Conflict, NotFound, Refused
from kvitto.core.ids import new_secret
from kvitto.core.model import Account
from kvitto.core.sample import SAMPLE_STATUSES, Sample
from kvitto.intake.api import views
from kvitto.settings import Settings
from kvitto.store.api import Store

__all__ = ["commands", "find_endpoint"]

commands = typer.Typer(no_args_is_help=True, help="Where callbacks go.")

Which = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Its id (ep_...); with --account its name or a URL, too.")
]
AccountOption = Annotated[str | None, typer.Option("--account", metavar="NAME", help="The account it belongs to.")]

_SETTINGS = "; ".join(f"{key} ({field.shape}): {field.meaning}" for key, field in FIELDS.items())
_AT_MOST = 10_000


async def find_endpoint(store: Store, which: str, account: str | None) -> Endpoint:
    """Return an endpoint of this account, or of any. Raises: NotFound."""
    account_id = None if account is None else (await find_account(store, account)).id
    found = await store.fetch_endpoint(account_id, which)
    if found is None:
        hint = "" if account is not None else " (by name or URL only with --account)"
        raise NotFound("endpoint", f"no endpoint is called {which}{hint}")
    return found


@commands.command("list")
def list_(
    account: AccountOption = None, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """List endpoints: those somebody made, and those that callbacks went to."""

    async def work(store: Store) -> tuple[list[Endpoint], dict[str, str]]:
        account_id = None if account is None else (await find_account(store, account)).id
        names = {one.id: one.name for one in await store.list_accounts()}
        return await store.list_endpoints(account_id, _AT_MOST), names

    found, names = _with_store(work, config, data)
    if as_json:
        print_json([_document(one, names.get(one.account_id)) for one in found])
        return
    print_rows(
        ("endpoint", "account", "name", "origin", "state", "delivered", "failed", "last error"),
        [
            (
                one.public_id,
                names.get(one.account_id),
                one.name,
                one.origin,
                _state(one),
                one.delivered,
                one.failed,
                one.last_error,
            )
            for one in found
        ],
    )


@commands.command()
def show(
    which: Which,
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Show an endpoint, its settings, and what waits for it."""

    async def work(store: Store) -> tuple[Endpoint, EndpointStats]:
        one = await find_endpoint(store, which, account)
        return one, await store.fetch_endpoint_stats(one.id, CLOCK.now())

    one, stats = _with_store(work, config, data)
    document = msgspec.to_builtins(views.detail_out(one, stats)) | {"allow_callbacks_to": one.allow_callbacks_to}
    if as_json:
        print_json(document)
    else:
        print_pairs(document)


@commands.command("create", epilog=f"Settings: {_SETTINGS}")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="The account it belongs to.")],
    url: Annotated[str, typer.Option("--url", metavar="URL", help="A URL of it; its origin is the endpoint.")],
    changes: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make an endpoint, or give one that came of a URL its name and settings."""
    given = read_changes([f"name={name}", f"url={url}", *(changes or ())])
    settings = {key: value for key, value in given.items() if key not in ("name", "url")}
    _check(settings, None)
    allow_private = read_settings(config, data).callbacks.allow_private

    async def work(store: Store) -> Endpoint | None:
        owner = await find_account(store, account)
        _check_address({**settings, "url": url}, await store.fetch_endpoint(owner.id, url), owner, allow_private)
        return await store.create_endpoint(NewEndpoint(owner.id, name, url, CLOCK.now(), settings))

    made = _with_store(work, config, data)
    if made is None:
        raise Conflict(f"the account has an endpoint {name} already, or the URL's origin has a name")
    _print(made, as_json)


@commands.command("set", epilog=f"Settings: {_SETTINGS}")
def set_(
    which: Which,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="An empty value clears; @FILE reads.")],
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Change settings of an endpoint."""
    read = read_changes(changes)
    allow_private = read_settings(config, data).callbacks.allow_private

    async def work(store: Store) -> Endpoint | None:
        one = await find_endpoint(store, which, account)
        _check(read, one)
        if isinstance(read.get("url"), str) and (owner := await store.find_account(id=one.account_id)) is not None:
            _check_address(read, one, owner[0], allow_private)
        return await store.set_endpoint(None, one.id, read, CLOCK.now())

    changed = _with_store(work, config, data)
    if changed is None:
        raise Conflict("the account has another endpoint of that name")
    _print(changed, as_json)


@commands.command()
def disable(
    which: Which,
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Post nothing there from now on; what is to be told waits."""

    async def work(store: Store) -> Endpoint | None:
        one = await find_endpoint(store, which, account)
        return await store.disable_endpoint(None, one.id, DisabledWhy.OPERATOR.value, CLOCK.now())

    _print(_with_store(work, config, data), as_json)


@commands.command()
def enable(
    which: Which,
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Post there again, the breaker closed; what waited is due at once."""

    async def work(store: Store) -> Endpoint | None:
        one = await find_endpoint(store, which, account)
        return await store.enable_endpoint(None, one.id, CLOCK.now())

    _print(_with_store(work, config, data), as_json)


@commands.command()
def rotate_secret(
    which: Which,
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give it a new secret, printed once; the one before signs beside it for a day."""
    secret = new_secret()

    async def work(store: Store) -> Endpoint | None:
        one = await find_endpoint(store, which, account)
        return await store.rotate_endpoint_secret(None, one.id, secret, CLOCK.now())

    one = _with_store(work, config, data)
    if one is None:
        raise NotFound("endpoint", f"no endpoint is called {which}")
    until = None if one.old_secret_until is None else views.iso(one.old_secret_until)
    shown = {"endpoint": one.public_id, "secret": secret, "old_secret_until": until}
    if as_json:
        print_json(shown)
    else:
        print_pairs(shown)


@commands.command("test")
def try_(
    which: Which,
    account: AccountOption = None,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Post there; on the same origin.")] = None,
    dialect: Annotated[str, typer.Option("--dialect", metavar="NAME", help="In whose words.")] = "sinch",
    status: Annotated[
        str, typer.Option("--status", metavar="WORD", help=f"{', '.join(SAMPLE_STATUSES)}.")
    ] = "delivered",
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Post one signed sample there now, and show the request and the answer; nothing of it is stored."""
    settings = read_settings(config, data)
    if status not in SAMPLE_STATUSES:
        raise BadInput("--status", f"wanted one of {', '.join(SAMPLE_STATUSES)}")

    async def work(store: Store) -> Sample:
        one = await find_endpoint(store, which, account)
        return await _sample(settings, store, one, url, dialect, status)

    sample = _with_store(work, config, data)
    if as_json:
        print_json(msgspec.to_builtins(views.sample_out(sample)))
    else:
        _show_sample(sample)
    if not sample.taken:
        raise typer.Exit(Exit.REFUSED)


async def _sample(
    settings: Settings, store: Store, one: Endpoint, url: str | None, dialect: str, status: str
) -> Sample:
    target = url or one.url
    if target is None:
        raise BadInput("--url", f"wanted a URL of {one.origin}: the endpoint has none of its own")
    if origin_of(target) != one.origin:
        raise BadInput("--url", f"wanted a URL of {one.origin}")
    owner = await store.find_account(id=one.account_id)
    if owner is None:
        raise Refused("account_gone", "the endpoint's account is gone")
    client = callback_client(settings, CLOCK)
    try:
        poster = sampler(settings, CLOCK, client)
        if dialect not in poster.dialects:
            raise BadInput("--dialect", f"wanted one of {', '.join(sorted(poster.dialects))}")
        return await poster.sample(owner[0], dataclasses.replace(one, url=target), dialect, status)
    finally:
        await client.stop()


def _show_sample(sample: Sample) -> None:
    say(f"POST {sample.url}")
    for name, value in sample.headers:
        say(f"{name}: {value}")
    say(f"\n{sample.body.decode('utf-8', 'replace')}\n")
    if sample.error is None:
        say(f"Answer: HTTP {sample.status} after {sample.elapsed_ms} ms")
    else:
        say(f"No answer: {sample.error} ({sample.elapsed_ms} ms)")
    if sample.answer:
        say(sample.answer.decode("utf-8", "replace"))
    say(sample.meaning[0].upper() + sample.meaning[1:] + ".")


# --- within -----------------------------------------------------------------------------------------------------------


def _with_store(work: Callable[[Store], Awaitable[Any]], config: Path | None, data: Path | None) -> Any:
    settings = read_settings(config, data)

    async def whole() -> Any:
        async with books(settings) as store:
            return await work(store)

    return run(whole())


def _check(changes: dict[str, object], one: Endpoint | None) -> None:
    url = changes.get("url")
    if one is not None and isinstance(url, str) and origin_of(url) != one.origin:
        raise BadInput("url", f"must stay on the endpoint's origin, {one.origin}")
    tls = ("ca_pem", "client_cert_pem", "client_key_pem")
    whole = {} if one is None else {name: getattr(one, name) for name in tls}
    problem = setting_problem({**whole, **changes})
    if problem is not None:
        raise BadInput(*problem)


def _check_address(changes: dict[str, object], one: Endpoint | None, owner: Account, allow_private: bool) -> None:
    """A URL that its account may not post to is refused when it is saved, too (P19). Raises: BadInput."""
    own = changes.get("allow_callbacks_to", () if one is None else one.allow_callbacks_to)
    allow = (*owner.allow_callbacks_to, *cast("tuple[str, ...]", own))
    problem = judge_url(str(changes["url"]), allow, allow_private=allow_private)
    if problem is not None:
        raise BadInput("url", problem)


def _state(one: Endpoint) -> str:
    return one.state.value if one.disabled_why is None else f"{one.state.value} ({one.disabled_why})"


def _document(one: Endpoint, account: str | None) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(views.endpoint_out(one))
    return {"account": account, **document}


def _print(one: Endpoint | None, as_json: bool) -> None:
    if one is None:
        raise NotFound("endpoint")
    document = msgspec.to_builtins(views.endpoint_out(one)) | {"allow_callbacks_to": list(one.allow_callbacks_to)}
    if as_json:
        print_json(document)
    else:
        print_pairs(document)
