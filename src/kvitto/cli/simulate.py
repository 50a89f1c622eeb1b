"""``kvitto simulate``: the scripted SMSC on its own, and the table of its magic numbers."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    print_json,
    print_rows,
    read_settings,
    run,
    say,
)
from kvitto.core.errors import Refused
from kvitto.simulator import NUMBERS, JsonLinesRecord, Simulator, SimulatorConfig

__all__ = ["commands"]

commands = typer.Typer(no_args_is_help=True, help="The scripted SMSC.")


@commands.command()
def smsc(
    port: Annotated[int | None, typer.Option(metavar="N", help="TCP port; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(metavar="H", help="Address to listen on.")] = None,
    system_id: Annotated[str | None, typer.Option(metavar="ID", help="Who may bind.")] = None,
    password: Annotated[str | None, typer.Option(metavar="WORD", help="With which password.")] = None,
    max_binds: Annotated[int | None, typer.Option(metavar="N", help="Binds at once.")] = None,
    delay_min_ms: Annotated[int | None, typer.Option(metavar="MS", help="Shortest time to a receipt.")] = None,
    delay_max_ms: Annotated[int | None, typer.Option(metavar="MS", help="Longest time to a receipt.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write down what is seen, one JSON object a line.")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Run the simulated SMSC until it is stopped."""
    settings = read_settings(
        config,
        data,
        simulator__port=port,
        simulator__host=host,
        simulator__system_id=system_id,
        simulator__password=password,
        simulator__max_binds=max_binds,
        simulator__delay_min_ms=delay_min_ms,
        simulator__delay_max_ms=delay_max_ms,
    ).simulator
    wanted = SimulatorConfig(
        host=settings.host,
        port=settings.port,
        system_id=settings.system_id,
        password=settings.password.get_secret_value(),
        max_binds=settings.max_binds,
        delay_min_ms=settings.delay_min_ms,
        delay_max_ms=settings.delay_max_ms,
    )
    run(_serve(wanted, record, as_json))


async def _serve(wanted: SimulatorConfig, record: Path | None, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        notes = None if record is None else stack.enter_context(contextlib.closing(JsonLinesRecord(record, CLOCK)))
        simulator = Simulator(wanted, CLOCK, notes)
        try:
            await simulator.start()
        except OSError as taken:
            raise Refused("address", f"cannot listen on {wanted.host}:{wanted.port}: {taken.strerror}") from None
        where = {"host": wanted.host, "port": simulator.port, "system_id": wanted.system_id}
        if as_json:
            print_json(where)
        else:
            say(f"SMSC on {wanted.host}:{simulator.port}, system_id {wanted.system_id}; Ctrl-C stops it.")
        sys.stdout.flush()
        await stop.wait()
        await simulator.stop()


@commands.command()
def numbers(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Print the magic numbers: what the simulator does with 999xxxxxxxNN."""
    rows = [(row.number, row.description) for row in NUMBERS.values()]
    if as_json:
        print_json([{"nn": number, "outcome": outcome} for number, outcome in rows])
        return
    print_rows(("NN", "The SMSC"), rows, title="999xxxxxxxNN: 12 digits, x any digit; every other number is delivered")
