"""``kvitto link``: the links to SMSCs: what they do, whether one works, and new settings for a running server.

``list`` and ``show`` read what servers write down (``kvitto.dispatch.watch``) and count (R54); ``test`` looks at the
SMSC itself, without a server; ``reload`` has the server read its configuration again. Next: ``docs/receipts.md``.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kvitto.app import link_config
from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    Exit,
    JsonOption,
    books,
    iso,
    print_json,
    print_pairs,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.core.errors import NotFound, Refused, SettingsError
from kvitto.dispatch.probe import ProbeResult, probe
from kvitto.dispatch.watch import REPEAT_S
from kvitto.reloading import find_server, read_report
from kvitto.settings import Link, Settings
from kvitto.store.api import LinkCount, LinkState

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="The links to SMSCs.")

_OLD_MS: Final = round(REPEAT_S * 3000)
"""A state older than this is the last word of a server that has gone."""
_COLUMNS: Final = ("link", "group", "node", "state", "binds", "window", "in_flight", "rate", "last_error")
_RELOAD_S: Final = 60.0
"""How long a reload may take: links that leave wait for answers in flight, and others may have asked before."""
_LOOK_S: Final = 0.05
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The link's name.")]


@commands.command("list")
def list_(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """List links with their binds, windows and rates."""
    found = _links(read_settings(config, data))
    if as_json:
        print_json(found)
    elif not found:
        say("No link is configured, and no server has run one.")
    else:
        print_rows(_COLUMNS, [_row(one) for one in found])


@commands.command()
def show(name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Show one link: its state, its counters, its settings."""
    settings = read_settings(config, data)
    found = [one for one in _links(settings) if one["link"] == name]
    if not found:
        raise NotFound("link", f"no link is called {name}")
    own = f"links.{name}."
    told = {one.key.removeprefix(own): one.value for one in settings.sources() if one.key.startswith(own)}
    if as_json:
        print_json(found[0] | {"settings": told})
        return
    for one in found:
        print_pairs({key: value for key, value in one.items() if key != "counters"})
        say("")
    if found[0]["counters"]:
        print_rows(("counter", "since the database was made"), list(found[0]["counters"].items()))
        say("")
    if told:
        print_rows(("setting", "value"), list(told.items()))


def _links(settings: Settings) -> list[dict[str, Any]]:
    """Each link of each node that runs it, and those that are configured and nobody runs."""

    async def work() -> tuple[list[LinkState], list[LinkCount]]:
        async with books(settings) as store:
            return await store.list_link_states(), await store.count_links()

    states, counts = run(work())
    now = CLOCK.now()
    running = {state.link for state in states}
    idle = [_idle(name, link) for name, link in settings.links.items() if name not in running]
    found = [_document(state, now, settings.links.get(state.link)) for state in states] + idle
    for one in found:
        one["counters"] = _counters(one["link"], counts)
    return sorted(found, key=lambda one: (one["link"], one["node"] or ""))


def _counters(name: str, counts: Iterable[LinkCount]) -> dict[str, int]:
    """The link's counters over all groups that it has had."""
    sums: dict[str, int] = {}
    for one in counts:
        if one.link == name:
            sums[one.name] = sums.get(one.name, 0) + one.value
    return sums


def _idle(name: str, link: Link) -> dict[str, Any]:
    fields = dict.fromkeys(("binds_up", "binds_wanted", "window", "in_flight"), 0)
    where = {"link": name, "group": link.group or name, "node": None, "host": link.host, "port": link.port}
    rest = {"rate": link.rate, "paused_until": None, "last_error": None, "at": None}
    return where | {"state": "not running"} | fields | rest


def _document(state: LinkState, now: int, link: Link | None) -> dict[str, Any]:
    return {
        "link": state.link,
        "group": state.group,
        "node": state.node,
        "host": link.host if link else None,
        "port": link.port if link else None,
        "state": _word(state, now),
        "binds_up": state.binds_up,
        "binds_wanted": state.binds_wanted,
        "window": state.window,
        "in_flight": state.in_flight,
        "rate": state.rate,
        "paused_until": iso(state.paused_until_at),
        "last_error": state.last_error,
        "at": iso(state.at),
    }


def _word(state: LinkState, now: int) -> str:
    if now - state.at > _OLD_MS:
        return "not running"
    if not state.binds_up:
        return "down"
    if state.binds_up < state.binds_wanted:
        return "partly up"
    return "paused" if state.paused_until_at and state.paused_until_at > now else "up"


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    shown = one | {"binds": f"{one['binds_up']}/{one['binds_wanted']}", "rate": one["rate"] or "unlimited"}
    return tuple(shown[name] for name in _COLUMNS)


@commands.command("test")
def look(name: NameArgument, as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Connect, bind, ask enquire_link and unbind by the link's settings; say in words what is wrong.

    Exit code 1 when anything is. A server need not run; one that does keeps its binds, and the test needs one more.
    """
    settings = read_settings(config, data)
    link = settings.links.get(name)
    if link is None:
        known = ", ".join(settings.links) or "none is configured"
        raise NotFound("link", f"no link is called {name} ({known})")
    result = run(probe(link_config(name, link, settings), CLOCK))
    _tell(name, link, result, as_json)
    if not result.ok:
        raise typer.Exit(Exit.REFUSED)


def _tell(name: str, link: Link, result: ProbeResult, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "link": name,
                "host": link.host,
                "port": link.port,
                "tls": link.tls,
                "ok": result.ok,
                "steps": [step._asdict() for step in result.steps],
                "problem": result.problem or None,
                "reason": result.reason or None,
            }
        )
        return
    for step in result.steps:
        say(f"{step.step.ljust(18)} {'ok' if step.ok else 'FAILED'}  {step.ms} ms")
    say(f"Link {name} works." if result.ok else f"Link {name} does not work: {result.reason}.")


@commands.command()
def reload(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Have the running server read its configuration again: links and routes change, binds that stay the same stand.

    The server reads the file that it was started with. Wrong settings are refused and the old ones go on: exit code 2.
    """
    directory = _data_dir(config, data)
    report = run(_ask_for_reload(directory))
    if as_json:
        print_json(report)
    else:
        _say_reloaded(report)
    if not report["ok"]:
        raise typer.Exit(Exit.USAGE)


def _data_dir(config: Path | None, data: Path | None) -> Path:
    """The data directory, also by a configuration that is wrong elsewhere: it is for the server to refuse that."""
    try:
        return read_settings(config, data).server.data_dir
    except SettingsError:
        named = data
        if named is None and config is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                named = Path(tomllib.loads(config.read_text(encoding="utf-8"))["server"]["data_dir"])
        if named is None:
            raise
        return named


async def _ask_for_reload(directory: Path) -> dict[str, Any]:
    """Signal the server and wait for its report. Raises: NotFound, Refused."""
    pid = find_server(directory)
    before, _ = read_report(directory, pid)
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as wrong:
        raise Refused("signal", f"process {pid} cannot be signalled: {wrong.strerror}") from None
    until = CLOCK.monotonic() + _RELOAD_S
    while CLOCK.monotonic() < until:
        number, report = read_report(directory, pid)
        if report is not None and number > before:
            return report
        await asyncio.sleep(_LOOK_S)
    raise Refused("no_report", f"the server (process {pid}) has not said within {_RELOAD_S:g} s what came of it")


def _say_reloaded(report: dict[str, Any]) -> None:
    if not report["ok"]:
        for problem in report["problems"]:
            print(f"kvitto: {problem['key']} = {problem['value']}: {problem['reason']}", file=sys.stderr)
        say("The configuration was refused; the server goes on with the old one.")
        return
    for name in ("added", "adjusted", "made_anew", "removed", "kept"):
        if report[name]:
            say(f"{name.replace('_', ' ')}: {', '.join(report[name])}")
    if report["rerouted"]:
        say(f"{report['rerouted']} queued messages of links that are gone have another link.")
    if report["needs_restart"]:
        say(f"After a restart only: {', '.join(report['needs_restart'])}.")
