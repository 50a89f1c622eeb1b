"""``kvitto listen``: an account's callbacks on a laptop, over one connection that goes out.

Beside a server on the same machine it makes itself a token for some hours; towards another machine it needs one. The
stream is opened again when it breaks, as the server may be started again. Next: ``kvitto.cli.forwarder``.
"""

import json
import sys
from time import sleep
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from kvitto.cli.common import (
    CLOCK,
    ConfigOption,
    DataOption,
    JsonOption,
    books,
    find_account,
    iso,
    read_settings,
    run,
    say,
)
from kvitto.cli.forwarder import Forwarded, Forwarder, Hello, RelayLost, RelayRefused
from kvitto.core.errors import BadInput, Refused
from kvitto.core.ids import new_token
from kvitto.core.relay import RELAY_URL
from kvitto.intake.auth import hash_secret
from kvitto.settings import Settings

__all__ = ["listen", "local_server"]

TOKEN_MS: Final = 12 * 3_600_000
"""How long the token lives that a listener beside the server makes itself; a longer session gets another."""
FIRST_WAIT_S: Final = 0.5
LAST_WAIT_S: Final = 10.0


def listen(
    forward_to: Annotated[str, typer.Option("--forward-to", metavar="URL", help="The local program.")],
    account: Annotated[str | None, typer.Option("--account", metavar="NAME", help="Whose callbacks.")] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="A Kvitto server; the one of these settings if not.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="T", envvar="KVITTO_API_TOKEN", help="An API token; needed with --server."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", metavar="", help="Callbacks to batches' own URLs, too.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Relay an account's callbacks to a program on this machine until Ctrl-C. Its answers count."""
    target = urlsplit(forward_to)
    if target.scheme not in ("http", "https") or not target.hostname:
        raise BadInput("--forward-to", f"{forward_to!r}: wanted a URL such as http://localhost:3000/callbacks")
    settings = read_settings(config, data)
    where = server or local_server(settings)
    if token is None:
        if account is None:
            raise BadInput("--account", "wanted the account's name, or --token")
        if server is not None and urlsplit(server).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise BadInput("--token", "wanted an API token of the account for a server on another machine")
        token = _own_token(settings, account)
    printer = _Printer(forward_to, as_json)
    forwarder = Forwarder(where, token, forward_to, CLOCK, everything=everything)
    try:
        _keep_on(forwarder, printer)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def local_server(settings: Settings) -> str:
    """Where the server of these settings listens."""
    http = settings.http
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)  # compared, not bound
    return f"{'https' if http.tls_certificate else 'http'}://{host}:{http.port}{http.path_prefix}"


def _own_token(settings: Settings, account: str) -> str:
    token, now = new_token(), CLOCK.now()

    async def work() -> None:
        async with books(settings) as store:
            owner = await find_account(store, account)
            await store.open_session(owner.id, hash_secret(token), now, now + TOKEN_MS)

    run(work())
    return token


def _keep_on(forwarder: Forwarder, printer: "_Printer") -> None:
    """Relay; open the stream again when it breaks, after a while that grows."""
    wait_s = FIRST_WAIT_S
    while True:
        printer.greeted = False
        try:
            forwarder.run(printer.hello, printer.forwarded)
        except RelayRefused as refused:
            raise Refused("relay", str(refused)) from None
        except RelayLost as lost:
            wait_s = FIRST_WAIT_S if printer.greeted else min(wait_s * 2, LAST_WAIT_S)
            printer.lost(str(lost), wait_s)
        sleep(wait_s)


class _Printer:
    """Says what happens: lines for people, or one JSON object a line. ``greeted``: the stream has stood."""

    def __init__(self, target: str, as_json: bool) -> None:
        self._target = target
        self._as_json = as_json
        self.greeted = False

    def hello(self, hello: Hello) -> None:
        """The stream stands."""
        self.greeted = True
        if self._as_json:
            self._line({"type": "hello", **hello._asdict()})
            return
        what = "all callbacks" if hello.everything else f"callbacks to {hello.callback_url or RELAY_URL}"
        say(f"Listening for {hello.account}: {what} go to {self._target}. Ctrl-C ends it.")
        if hello.callback_url is None and not hello.everything:
            say(f"The account has no URL of its own: kvitto account set {hello.account} callback_url={RELAY_URL}")
        sys.stdout.flush()

    def forwarded(self, one: Forwarded) -> None:
        """One callback was handed over."""
        if self._as_json:
            self._line({"type": "forwarded", **one._asdict()})
            return
        answer = f"{one.status}" if one.status is not None else "no answer"
        why = f"  {one.error}" if one.error else ""
        say(f"{iso(CLOCK.now())}  {one.call_id}  {answer}  {one.elapsed_ms} ms{why}")
        sys.stdout.flush()

    def lost(self, why: str, wait_s: float) -> None:
        """The stream has ended."""
        elsewhere = "" if self.greeted else " (--server URL, if the server is not there)"
        print(f"kvitto: {why}; trying again in {wait_s:g} s{elsewhere}", file=sys.stderr)

    def _line(self, document: object) -> None:
        print(json.dumps(document), flush=True)
