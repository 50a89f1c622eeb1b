"""HTTP in: the desk where batches enter, the doors of the dialects and of the API, the server that opens them.

Must not know links; of callbacks only what the API is handed. Next: ``kvitto.intake``.
"""

import ssl
from collections.abc import Callable
from functools import partial

from kvitto.app.common import Common
from kvitto.callbacks.addresses import judge_url
from kvitto.callbacks.relay import Relay
from kvitto.callbacks.sample import Sampler, setting_problem
from kvitto.core.errors import Refused
from kvitto.intake.admit import RouteFor
from kvitto.intake.api import Api, Parts
from kvitto.intake.auth import Authenticator
from kvitto.intake.desk import Desk, told_by
from kvitto.intake.doors import Doors
from kvitto.intake.exchange import HttpLimits, Request
from kvitto.intake.http import Server
from kvitto.intake.pressure import Pressure
from kvitto.intake.sessions import Sessions
from kvitto.pages import token_keeper
from kvitto.settings import Settings
from kvitto.store import Store
from kvitto.store.sqlstore import SqlStore
from kvitto.telemetry import get_logger

__all__ = ["make_desk", "make_doors", "open_api", "start_pressure", "start_server", "url_of"]


def url_of(settings: Settings, server: Server | None) -> str:
    """Return where the server is reached, path prefix included; by the settings alone before it has started."""
    http = settings.http
    port = http.port if server is None else server.port
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if http.tls_certificate else 'http'}://{host}:{port}{http.path_prefix}"


async def start_pressure(common: Common, store: Store) -> Pressure:
    """Start to watch how much waits unsent (P29)."""
    bounds = common.settings.queue
    most, most_per_account = bounds.max_messages, bounds.max_messages_per_account
    pressure = Pressure(store.count_queued, most=most, most_per_account=most_per_account)
    await pressure.start()
    common.services.add("pressure", pressure.stop)
    return pressure


def make_desk(
    common: Common, store: SqlStore, route_for: RouteFor | None, on_work: Callable[[], None], pressure: Pressure
) -> Desk:
    """Return the one way by which a batch enters; ``on_work`` is called when something is to be sent."""
    return Desk(
        store,
        common.ids,
        route_for=route_for,
        notify_of=told_by({dialect.name: dialect for dialect in common.dialects}),
        on_work=on_work,
        sessions=Sessions(store, common.clock),
        logs_per_minute=common.settings.dialects.infobip.logs_per_minute,
        pressure=pressure,
    )


def make_doors(common: Common, store: SqlStore, desk: Desk) -> Doors:
    """Return a door for each dialect, and who asks for the key."""
    return Doors(
        common.dialects,
        desk,
        Authenticator(store, common.clock, token_keeper(store.office, common.clock)),
        most_in_flight=common.settings.http.max_in_flight,
    )


def open_api(common: Common, store: Store, doors: Doors, relay: Relay, sampler: Sampler) -> None:
    """Open ``/kvitto/v1``."""
    parts = Parts(
        relay=relay,
        sampler=sampler,
        setting_problem=setting_problem,
        url_problem=partial(judge_url, allow_private=common.settings.callbacks.allow_private),
    )
    Api(store, doors.authenticator, parts).open_on(doors)


async def start_server(common: Common, doors: Doors) -> Server:
    """Start to listen. Raises: Refused when the address cannot be had or the certificate cannot be used."""
    http, stop_s = common.settings.http, common.settings.server.stop_s * 0.3
    server = Server(
        doors.handle,
        http.host,
        http.port,
        clock=common.clock,
        ssl=_http_tls(common.settings),
        limits=_http_limits(common.settings),
        trusted_proxies=http.trusted_proxies,
        path_prefix=http.path_prefix,
        on_error=_on_http_fault,
        on_refusal=doors.refuse,
    )
    try:
        await server.start()
    except OSError as taken:
        raise Refused("address", f"cannot listen on {http.host}:{http.port}: {taken.strerror}") from None
    common.services.add("http", lambda: server.stop(stop_s))
    return server


def _http_limits(settings: Settings) -> HttpLimits:
    http = settings.http
    return HttpLimits(
        body_bytes=http.body_limit_bytes,
        head_bytes=http.head_limit_bytes,
        head_timeout_s=http.head_timeout_s,
        body_timeout_s=http.body_timeout_s,
        idle_timeout_s=http.idle_timeout_s,
        connections=http.max_connections,
    )


def _http_tls(settings: Settings) -> ssl.SSLContext | None:
    http = settings.http
    if http.tls_certificate is None or http.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(http.tls_certificate, http.tls_key)
    except OSError as wrong:  # ssl.SSLError is one
        raise Refused("tls", f"http.tls_certificate and http.tls_key cannot be used: {wrong}") from wrong
    return context


def _on_http_fault(request: Request, fault: BaseException) -> None:
    get_logger().error("http.failed", method=request.method, exc_info=fault)
