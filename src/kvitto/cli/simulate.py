"""``kvitto simulate``: the scripted SMSC on its own, and the table of its magic numbers."""

import asyncio
import contextlib
import signal
import ssl
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
from kvitto.core.errors import Refused, SettingsError, SettingsProblem
from kvitto.simulator import (
    NUMBERS,
    JsonLinesRecord,
    Scenario,
    Simulator,
    SimulatorConfig,
    read_scenario,
    scripted,
)

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
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What happens to messages and binds, as TOML.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="Submits accepted in a second; then 0x58. 0: no limit.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Make a run repeatable: of all ids and chance.")] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write down what is seen and sent, one JSON object a line.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS: certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS: its private key (PEM).")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS: ask clients for a certificate of these authorities (PEM).")
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
        simulator__scenario=scenario,
    ).simulator
    wanted = SimulatorConfig(
        host=settings.host,
        port=settings.port,
        system_id=settings.system_id,
        password=settings.password.get_secret_value(),
        max_binds=settings.max_binds,
        delay_min_ms=settings.delay_min_ms,
        delay_max_ms=settings.delay_max_ms,
        tls=_tls(tls_cert, tls_key, tls_client_ca),
    )
    if settings.scenario is not None:
        wanted = scripted(wanted, read_scenario(settings.scenario), seed=seed, rate=rate)
    elif seed is not None or rate is not None:
        wanted = scripted(wanted, Scenario(), seed=seed, rate=rate)
    run(_serve(wanted, record, as_json))


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    """The port's TLS; None without a certificate. Raises: SettingsError."""
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        missing = "--tls-cert" if certificate is None else "--tls-key"
        raise _wrong(missing, "", "must be given: TLS needs a certificate and its key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise _wrong("--tls-cert, --tls-key", f"{certificate}, {key}", _reason(error)) from None
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise _wrong("--tls-client-ca", str(client_ca), _reason(error)) from None
    return context


def _reason(error: OSError) -> str:
    return f"no PEM that fits: {error.reason}" if isinstance(error, ssl.SSLError) else str(error.strerror)


def _wrong(key: str, value: str, reason: str) -> SettingsError:
    return SettingsError([SettingsProblem(key=key, value=value or '""', reason=reason, source="command line")])


async def _serve(wanted: SimulatorConfig, record: Path | None, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        notes = None if record is None else stack.enter_context(contextlib.closing(_record(record)))
        simulator = Simulator(wanted, CLOCK, notes, wire=notes)
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


def _record(path: Path) -> JsonLinesRecord:
    try:
        return JsonLinesRecord(path, CLOCK)
    except OSError as error:
        raise _wrong("--record", str(path), f"cannot be written: {error.strerror}") from None


@commands.command()
def numbers(as_json: JsonOption = False, data: DataOption = None, config: ConfigOption = None) -> None:
    """Print the magic numbers: what the simulator does with 999xxxxxxxNN."""
    rows = [(row.number, row.description) for row in NUMBERS.values()]
    if as_json:
        print_json([{"nn": number, "outcome": outcome} for number, outcome in rows])
        return
    print_rows(("NN", "The SMSC"), rows, title="999xxxxxxxNN: 12 digits, x any digit; every other number is delivered")
