"""``kvitto account``: accounts, each of them a Sinch service plan, made and changed beside a running server or
without one.

Secrets are shown once, by ``create`` and ``rotate-token``; nothing can show them again. Next: ``kvitto.cli.fields``.
"""

import dataclasses
from typing import Annotated, Any, cast

import typer

from kvitto.callbacks.addresses import AddressPolicy, url_objection
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
from kvitto.cli.fields import FIELDS, read_changes, read_name, read_networks, read_url
from kvitto.core.errors import BadInput, Conflict, NotFound
from kvitto.core.ids import IdMaker, new_token
from kvitto.core.model import Account
from kvitto.intake.auth import hash_secret, mint_account
from kvitto.settings import Settings

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="Accounts: who may send, and how.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]


@commands.command()
def create(
    name: NameArgument,
    callback_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where callbacks go when a batch names no URL.")
    ] = None,
    allow_callbacks_to: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="A private network that its callbacks may reach; may be given again."),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Make an account and print its secrets, once."""
    wanted: dict[str, object] = {}
    if callback_url:
        wanted["callback_url"] = _checked("--callback-url", read_url, callback_url)
    if allow_callbacks_to:
        wanted["allow_callbacks_to"] = _checked("--allow-callbacks-to", read_networks, allow_callbacks_to)
    new, secrets = mint_account(read_name(name), IdMaker(CLOCK), CLOCK.now(), **wanted)
    settings = read_settings(config, data)
    _refuse_unreachable(new.account, wanted, settings, "--callback-url")

    async def work() -> bool:
        async with books(settings) as store:
            return await store.create_account(new)

    if not run(work()):
        raise Conflict(f"an account is called {name} already")
    shown = {"account": name, **secrets._asdict()}
    if as_json:
        print_json(shown)
        return
    print_pairs(shown)
    say("\nThese are shown once: keep them. Only hashes are stored.")


@commands.command("list")
def list_(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """List the accounts."""
    settings = read_settings(config, data)

    async def work() -> list[Account]:
        async with books(settings) as store:
            return await store.list_accounts()

    accounts = run(work())
    if as_json:
        print_json([_document(account) for account in accounts])
        return
    print_rows(
        ("account", "service_plan_id", "username", "disabled", "created"),
        [
            (account.name, account.service_plan_id, account.username, account.disabled, iso(account.created_at))
            for account in accounts
        ],
    )


@commands.command()
def show(name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show an account and its settings."""
    settings = read_settings(config, data)

    async def work() -> Account:
        async with books(settings) as store:
            return await find_account(store, name)

    _print_account(run(work()), as_json)


_SETTINGS = "; ".join(f"{key} ({field.shape}): {field.meaning}" for key, field in FIELDS.items())


@commands.command("set", epilog=f"Settings: {_SETTINGS}")
def set_(
    name: NameArgument,
    changes: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="An empty value clears the setting.")],
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Change settings of an account; in force at once, in a running server too."""
    read = read_changes(changes)
    _print_account(_change(name, read, config, data), as_json)


@commands.command()
def disable(
    name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Refuse the account's requests; what is queued is still sent."""
    _print_account(_change(name, {"disabled": True}, config, data), as_json)


@commands.command()
def enable(
    name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Take the account's requests again."""
    _print_account(_change(name, {"disabled": False}, config, data), as_json)


@commands.command()
def delete(
    name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Forget an account's credentials and settings; its messages stay until they are cleaned away."""
    settings = read_settings(config, data)

    async def work() -> bool:
        async with books(settings) as store:
            return await store.delete_account(name)

    if not run(work()):
        raise _no_account(name)
    if as_json:
        print_json({"account": name, "deleted": True})
    else:
        say(f"{name} is deleted.")


@commands.command()
def rotate_token(
    name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Give the account a new API token, printed once; the old one is refused at once."""
    settings = read_settings(config, data)
    token = new_token()

    async def work() -> bool:
        async with books(settings) as store:
            return await store.rotate_token(name, hash_secret(token))

    if not run(work()):
        raise _no_account(name)
    if as_json:
        print_json({"account": name, "api_token": token})
    else:
        print_pairs({"account": name, "api_token": token})


def _change(name: str, changes: dict[str, object], config: Any, data: Any) -> Account:
    settings = read_settings(config, data)

    async def work() -> Account | None:
        async with books(settings) as store:
            _refuse_unreachable(await find_account(store, name), changes, settings, "callback_url")
            return await store.set_account(name, changes)

    changed = run(work())
    if changed is None:
        raise _no_account(name)
    return changed


def _refuse_unreachable(account: Account, changes: dict[str, object], settings: Settings, field: str) -> None:
    """A URL that is new is refused where its posts would be (P19). Raises: BadInput."""
    allow = changes.get("allow_callbacks_to", account.allow_callbacks_to)
    policy = AddressPolicy.of(cast("tuple[str, ...]", allow), allow_private=settings.callbacks.allow_private)
    for name, shown in (("callback_url", field), ("incoming_url", "incoming_url"), ("events_url", "events_url")):
        url = changes.get(name)
        if isinstance(url, str) and (objection := url_objection(url, policy)) is not None:
            raise BadInput(shown, f"{url!r}: {objection}")


def _checked(option: str, read: Any, value: Any) -> object:
    try:
        return read(value)
    except ValueError as wrong:
        raise BadInput(option, f"{value!r}: wanted {wrong}") from None


def _no_account(name: str) -> NotFound:
    return NotFound("account", f"no account is called {name}")


def _document(account: Account) -> dict[str, object]:
    """Everything about an account that may be shown."""
    shown: dict[str, object] = {
        "account": account.name,
        "service_plan_id": account.service_plan_id,
        "username": account.username,
        "disabled": account.disabled,
        "created_at": iso(account.created_at),
    }
    settings = dataclasses.asdict(account)
    return shown | {key: settings[key] for key in FIELDS}


def _print_account(account: Account, as_json: bool) -> None:
    if as_json:
        print_json(_document(account))
    else:
        print_pairs(_document(account))
