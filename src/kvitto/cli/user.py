"""``kvitto user``: the people who may sign in to the dashboard. Works beside a server or without one."""

import sys
from typing import Annotated

import typer

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
from kvitto.core.errors import BadInput, NotFound, Refused
from kvitto.core.ids import IdMaker
from kvitto.core.users import SYSTEM, AuditEntry, Role, User
from kvitto.dashboard import signin
from kvitto.store.office import Office, UserChange

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="People who sign in to the dashboard.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What is typed to sign in.")]
AccountOption = Annotated[str | None, typer.Option("--account", metavar="NAME", help="The account he belongs to.")]
RoleOption = Annotated[Role, typer.Option("--role", help="operator, or of an account: owner, member, viewer.")]


@commands.command()
def add(
    name: NameArgument,
    role: RoleOption = Role.OWNER,
    account: AccountOption = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a user and print the link that signs in the first time."""
    settings = read_settings(config, data)
    if (role is Role.OPERATOR) != (account is None):
        raise BadInput("--account", "is given for owner, member and viewer, and not for an operator")
    if problem := signin.name_problem(name.strip().lower()):
        raise BadInput("NAME", problem)

    async def work() -> str:
        async with books(settings) as store:
            account_id = None if account is None else (await find_account(store, account)).id
            now = CLOCK.now()
            made = await signin.add_user(store.office, IdMaker(CLOCK).new(), name, role, account_id, now)
            if made is None:
                raise Refused("user", f"a user {name.strip().lower()} exists already")
            return await signin.make_link(store.office, made.id, now)

    _tell_link(name, run(work()), as_json)


@commands.command("list")
def list_users(
    account: AccountOption = None, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """List users: all, or those of an account."""
    settings = read_settings(config, data)

    async def work() -> tuple[list[User], dict[str, str]]:
        async with books(settings) as store:
            account_id = None if account is None else (await find_account(store, account)).id
            names = {one.id: one.name for one in await store.list_accounts()}
            return await store.office.list_users(account_id), names

    users, names = run(work())
    documents = [
        {
            "user": one.name,
            "role": str(one.role),
            "account": names.get(one.account_id or ""),
            "has_password": one.has_password,
            "created_at": iso(one.created_at),
        }
        for one in users
    ]
    if as_json:
        print_json(documents)
        return
    columns = ("user", "role", "account", "has_password", "created_at")
    print_rows(columns, [[one[column] for column in columns] for one in documents])


@commands.command()
def passwd(
    name: NameArgument,
    link: Annotated[bool, typer.Option("--link", help="Print a link that signs in once, instead.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Set a user's password: typed twice on a terminal, or one line on standard input. Other sessions end."""
    settings = read_settings(config, data)
    password = "" if link else _read_password()
    problem = "" if link else signin.password_problem(password)
    if problem:
        raise BadInput("password", problem)

    async def work() -> str:
        async with books(settings) as store:
            user, now = await _user(store.office, name), CLOCK.now()
            if link:
                return await signin.make_link(store.office, user.id, now)
            entry = AuditEntry(now, SYSTEM, user.account_id, "user.password", user.name)
            await store.office.change_user(UserChange(user.id, await signin.hash_password(password), None, entry))
            return ""

    secret = run(work())
    if link:
        _tell_link(name, secret, as_json)
    elif as_json:
        print_json({"user": name, "changed": True})
    else:
        say(f"The password of {name} is changed.")


@commands.command()
def remove(
    name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Remove a user; the sessions end."""
    settings = read_settings(config, data)

    async def work() -> None:
        async with books(settings) as store:
            user = await _user(store.office, name)
            entry = AuditEntry(CLOCK.now(), SYSTEM, user.account_id, "user.remove", user.name)
            await store.office.remove_user(user.id, entry)

    run(work())
    if as_json:
        print_json({"user": name, "removed": True})
    else:
        say(f"{name} is removed.")


async def _user(office: Office, name: str) -> User:
    found = await office.find_user(name.strip().lower())
    if found is None:
        raise NotFound("user", f"no user is called {name}")
    return found[0]


def _read_password() -> str:
    if sys.stdin.isatty():
        typed: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _tell_link(name: str, secret: str, as_json: bool) -> None:
    pairs: dict[str, object] = {"user": name.strip().lower(), "sign_in_path": f"/sign-in/{secret}"}
    if as_json:
        print_json(pairs)
    else:
        print_pairs(pairs)
        say("Put the server's address before the path; it works once, for a day.")
