"""The wiring: builds every object once from the settings, starts and stops them in order.

The order is that of the data's way, from its end: store, simulator (when no link is configured), callbacks, links,
HTTP. Stopping goes the other way round (P28): no new request, no new claim, what is in flight gets its answers, binds
are unbound, callbacks finish, the store closes last. A second signal ends the process at once, as a crash would:
nothing that was acknowledged is lost by that (P1, P2, P6).

Here alone rooms that must not know each other meet: ``App`` is the server, ``open_books`` a store for a command
beside it. Next: ``ARCHITECTURE.md``, then any room.
"""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import IO, Final, NamedTuple, TypeVar

from alembic.script import ScriptDirectory

from kvitto import __version__
from kvitto.callbacks.addresses import judge_url
from kvitto.callbacks.notices import NoticeVoice
from kvitto.callbacks.outbox import Outbox, OutboxLimits
from kvitto.callbacks.post import CallbackClient, PostLimits, PostRequest
from kvitto.callbacks.relay import Relay
from kvitto.callbacks.sample import Sampler, setting_problem
from kvitto.core.clock import Clock, SteadyClock
from kvitto.core.errors import Refused, SettingsError, SettingsProblem, StoreUnavailable
from kvitto.core.ids import IdMaker
from kvitto.core.model import Account
from kvitto.core.numbering import Numbering, read_numbering
from kvitto.core.pricing import Pricing, read_pricing
from kvitto.core.tables import BadTable
from kvitto.core.users import Role
from kvitto.dashboard import Dashboard, Tools
from kvitto.dashboard.signin import add_user, make_link
from kvitto.dialects.base import Dialect, Voice
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.infobip import openapi as infobip_openapi
from kvitto.dialects.infobip.statuses import LinkErrors
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.ninebits import openapi as ninebits_openapi
from kvitto.dialects.sinch import SinchDialect
from kvitto.dialects.sinch import openapi as sinch_openapi
from kvitto.dispatch.cleaning import Broom
from kvitto.dispatch.dispatcher import Dispatcher, LinkUnusable
from kvitto.dispatch.link import BindStyle, LinkConfig, OutbindOptions, TlsOptions
from kvitto.dispatch.routes import ANY_LINK, RouteRule, Routes
from kvitto.intake.admit import RouteFor
from kvitto.intake.api import Api, Parts
from kvitto.intake.api import openapi as kvitto_openapi
from kvitto.intake.auth import Authenticator, hash_secret, mint_account
from kvitto.intake.desk import Desk, told_by
from kvitto.intake.doors import Doors
from kvitto.intake.exchange import HttpLimits, Request
from kvitto.intake.health import Health, open_docs, open_metrics
from kvitto.intake.http import Server
from kvitto.intake.pressure import Pressure
from kvitto.intake.sessions import Sessions
from kvitto.measures import read_samples
from kvitto.pages import (
    curl_of,
    magic_numbers,
    new_api_token,
    objection_to,
    open_pages,
    send_by,
    test_link,
    test_report,
    token_keeper,
)
from kvitto.reloading import Reloader, ReloadReport, take_lock
from kvitto.reports import Reader
from kvitto.settings import Link, Settings
from kvitto.simulator import Simulator, SimulatorConfig, read_scenario, scripted
from kvitto.smpp.states import Timers
from kvitto.store import Store, open_seal, open_store
from kvitto.store.migrations import upgrade
from kvitto.store.sqlstore import SqlStore
from kvitto.store.verbs.accounts import SETTABLE
from kvitto.telemetry import get_logger

__all__ = [
    "USER_AGENT",
    "App",
    "DemoKeys",
    "callback_client",
    "database_url",
    "demo_account",
    "dialects_of",
    "link_config",
    "migrate",
    "open_books",
    "read_numbering_table",
    "read_price_list",
    "read_tables",
    "route_rules",
    "sampler",
]

NODE: Final = "main"
"""The name under which a server claims work: the same after a restart, so that it takes back what it had."""
DATABASE_FILE: Final = "kvitto.db"
DEMO_FILE: Final = "demo.json"
USER_AGENT: Final = f"Kvitto/{__version__}"
SIMULATOR_LINK: Final = "simulator"
FIRST_USER: Final = "operator"
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")

RELOADED: Final = ("links", "routes", "receipts")
"""The sections that a running server takes again; the others need a restart."""
REROUTED: Final = 1000
"""Messages routed anew in one transaction."""
SIMULATOR_BINDS: Final = 2
"""Two, so that receipts can come on another bind than the submit did (magic number 08)."""
SIMULATOR_WINDOW: Final = 100

_log = get_logger
_Table = TypeVar("_Table")


class DemoKeys(NamedTuple):
    """What the demo prints of its account, at every start."""

    account: str
    service_plan_id: str
    api_token: str
    username: str
    password: str
    callback_secret: str


# --- from settings to values ---------------------------------------------------------------------------------------


def database_url(settings: Settings) -> str:
    """Return where the store is: the configured PostgreSQL, else the SQLite file in the data directory."""
    configured = settings.store.url.get_secret_value()
    return configured or f"sqlite:///{settings.server.data_dir.resolve() / DATABASE_FILE}"


def route_rules(settings: Settings) -> RouteFor | None:
    """Return the routes as admission asks them; None when every link takes everything."""
    if not settings.routes:
        return None
    return Routes(RouteRule(rule.prefix, rule.account, rule.link) for rule in settings.routes).route_for


def migrate(settings: Settings) -> str:
    """Bring the schema up to date, making the data directory when missing; returns the revision it is at.

    Raises: StoreUnavailable.
    """
    _make_data_dir(settings.server.data_dir)
    upgrade(database_url(settings))
    return ScriptDirectory(str(files("kvitto.store.migrations"))).get_current_head() or ""


async def open_books(settings: Settings, clock: Clock, *, node: str = NODE, serving: bool = False) -> SqlStore:
    """Open the store, its schema up to date. Not ``serving``: beside a server, whose claims are left alone.

    Raises: StoreUnavailable; SealBroken when the data directory's key is not the database's.
    """
    await asyncio.to_thread(migrate, settings)
    try:
        seal = await asyncio.to_thread(open_seal, database_url(settings), settings.server.data_dir)
    except OSError as wrong:
        raise StoreUnavailable(f"data directory {settings.server.data_dir}: {wrong.strerror}") from wrong
    store = open_store(
        database_url(settings),
        node=node,
        seal=seal,
        clock=clock,
        groups=_groups(settings),
        readers=settings.store.readers,
        serving=serving,
    )
    await store.start()
    return store


def _groups(settings: Settings) -> dict[str, str]:
    return {name: link.group or name for name, link in settings.links.items()}


def _needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Keys of which a running server does not take the new value."""
    return tuple(
        f"{section}.{key}"
        for section in type(new).model_fields
        if section not in RELOADED
        for key, value in getattr(new, section)
        if value != getattr(getattr(old, section), key)
    )


def _refused(key: str, value: str, reason: str) -> ReloadReport:
    return ReloadReport(problems=(SettingsProblem(key=key, value=value, reason=reason, source=""),))


def _make_data_dir(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as wrong:
        raise StoreUnavailable(f"data directory {path}: {wrong.strerror}") from wrong


def link_config(name: str, link: Link, settings: Settings) -> LinkConfig:
    """Return one ``[links.NAME]`` as dispatch takes it."""
    return LinkConfig(
        name=name,
        host=link.host,
        port=link.port,
        system_id=link.system_id,
        password=link.password.get_secret_value(),
        group=link.group or name,
        system_type=link.system_type,
        bind=BindStyle(link.bind.value),
        binds=link.binds,
        window=link.window,
        rate=link.rate,
        connect_s=link.connect_s,
        reconnect_min_s=link.reconnect_min_s,
        reconnect_max_s=link.reconnect_max_s,
        late_response_s=link.late_response_s,
        receipt_answer_s=link.receipt_answer_s,
        throttle_pause_s=link.throttle_pause_s,
        timers=Timers(
            bind_s=link.bind_s,
            enquire_link_s=link.enquire_link_s,
            enquire_answer_s=link.enquire_answer_s,
            response_s=link.response_s,
            read_pdu_s=link.read_pdu_s,
        ),
        tls=_tls_options(link) if link.tls else None,
        outbind=_outbind_options(link) if link.outbind_port else None,
        rules=settings.link_rules(link),
    )


def _outbind_options(link: Link) -> OutbindOptions:
    return OutbindOptions(
        host=link.outbind_host,
        port=link.outbind_port,
        system_id=link.outbind_system_id,
        password=link.outbind_password.get_secret_value(),
    )


def _tls_options(link: Link) -> TlsOptions:
    return TlsOptions(
        ca_file=str(link.tls_ca_file or ""),
        cert_file=str(link.tls_certificate or ""),
        key_file=str(link.tls_key or ""),
        server_name=link.tls_server_name,
        verify=link.tls_verify,
    )


def infobip_dialect(
    settings: Settings, numbering: Numbering | None = None, pricing: Pricing | None = None
) -> InfobipDialect:
    """Return the Infobip dialect as set; the simulator's own errors are GSM MAP errors."""
    wanted = settings.dialects.infobip
    links = {name: LinkErrors(link.err_table, gsm=link.err == "gsm") for name, link in settings.links.items()}
    return InfobipDialect(
        numbering,
        pricing,
        links=links or {SIMULATOR_LINK: LinkErrors({}, gsm=True)},
        path_prefix=wanted.path_prefix,
        most_destinations=wanted.max_destinations,
        report_hours=wanted.report_hours,
        log_hours=wanted.log_hours,
    )


def dialects_of(
    settings: Settings, numbering: Numbering | None = None, pricing: Pricing | None = None
) -> tuple[Dialect, ...]:
    """Return every dialect, as set."""
    return (SinchDialect(), infobip_dialect(settings, numbering, pricing), NinebitsDialect())


def callback_client(settings: Settings, clock: Clock) -> CallbackClient:
    """Return an HTTP client for callbacks, within the settings' bounds."""
    wanted = settings.callbacks
    limits = PostLimits(connect_timeout_s=wanted.connect_s, read_bytes=wanted.response_limit_bytes)
    return CallbackClient(clock=clock, limits=limits, user_agent=USER_AGENT)


def sampler(settings: Settings, clock: Clock, client: CallbackClient) -> Sampler:
    """Return what posts one signed sample."""
    dialects = {dialect.name: dialect for dialect in dialects_of(settings)}
    return Sampler(client, dialects, clock, allow_private=settings.callbacks.allow_private)


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


def read_numbering_table(settings: Settings) -> Numbering | None:
    """Return ``[numbering] file``, or the demo's small one; None without either.

    Raises: SettingsError with file, line, field, value and reason.
    """
    return _read_table("numbering.file", settings.numbering.file, settings, "numbering.csv", read_numbering)


def read_price_list(settings: Settings) -> Pricing:
    """Return ``[pricing]``, or the demo's small list. Raises: SettingsError, as ``read_numbering_table``."""
    wanted = settings.pricing

    def read(text: str) -> Pricing:
        return read_pricing(text, wanted.default_price, wanted.currency)

    found = _read_table("pricing.file", wanted.file, settings, "pricing.csv", read)
    return found or Pricing(None, wanted.default_price, wanted.currency)


def _read_table(
    key: str, path: Path | None, settings: Settings, of_demo: str, read: Callable[[str], _Table]
) -> _Table | None:
    try:
        if path is not None:
            return read(path.read_text(encoding="utf-8"))
        if settings.demo.enabled:
            return read((files("kvitto") / "demo" / of_demo).read_text(encoding="utf-8"))
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
    except UnicodeDecodeError as wrong:
        reason = f"octet {wrong.start} is no UTF-8"
    except BadTable as wrong:
        reason = str(wrong)
    else:
        return None
    raise SettingsError(
        [SettingsProblem(key=key, value=json.dumps(str(path)), reason=reason, source=settings.source_of(key))]
    )


def read_tables(settings: Settings) -> tuple[Numbering | None, Pricing]:
    """Return the numbering table and the price list. Raises: SettingsError with what is wrong in either."""
    problems: list[SettingsProblem] = []
    numbering, pricing = None, Pricing()
    try:
        numbering = read_numbering_table(settings)
    except SettingsError as wrong:
        problems.extend(wrong.problems)
    try:
        pricing = read_price_list(settings)
    except SettingsError as wrong:
        problems.extend(wrong.problems)
    if problems:
        raise SettingsError(problems)
    return numbering, pricing


# --- the server ----------------------------------------------------------------------------------------------------


class App:
    """The whole server in one process. ``on_ready`` is called once it serves, with ``url`` and ``demo_keys`` known."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        on_ready: "Callable[[App], None] | None" = None,
        read_again: Callable[[], Settings] | None = None,
    ) -> None:
        """``read_again`` reads the settings anew for a reload; without it there is none."""
        self.settings = settings
        self._read_again = read_again
        self.demo_keys: DemoKeys | None = None
        self.sign_in_links: dict[str, str] = {}
        self._clock = SteadyClock(clock)
        self._on_ready = on_ready
        self._ids = IdMaker(self._clock)
        self.numbering, self.pricing = read_tables(settings)
        self._dialects: tuple[Dialect, ...] = dialects_of(settings, self.numbering, self.pricing)
        self._lock: IO[str] | None = None
        self._store: SqlStore | None = None
        self._dispatcher: Dispatcher | None = None
        self._http: Server | None = None
        self._health: Health | None = None
        self._client: CallbackClient | None = None
        self._link_configs: dict[str, LinkConfig] = {}
        self._relay: Relay | None = None
        self._desk: Desk | None = None
        self._reloader: Reloader | None = None
        self._stops: list[tuple[str, Callable[[], Awaitable[None]]]] = []

    @property
    def url(self) -> str:
        """Where it is reached, path prefix included."""
        http = self.settings.http
        port = http.port if self._http is None else self._http.port
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)
        host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"{'https' if http.tls_certificate else 'http'}://{host}:{port}{http.path_prefix}"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop in order; a second signal ends the process at once."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number, asked)
        reloader = self._reloader = Reloader(self.settings.server.data_dir, self.reload, self._clock.now)
        loop.add_signal_handler(signal.SIGHUP, reloader.ask)
        try:
            await self.start()
            if self._on_ready is not None:
                self._on_ready(self)
            await asked.wait()
        finally:
            await self.stop()

    def _on_signal(self, number: signal.Signals, asked: asyncio.Event) -> None:
        _log().info("server.stopping", signal=number.name)
        if asked.is_set():
            os._exit(128 + number)
        asked.set()

    async def start(self) -> None:
        """Start everything, or raise with everything stopped again. Raises: Refused, StoreUnavailable."""
        _log().info("server.starting", version=__version__, data_dir=str(self.settings.server.data_dir))
        try:
            self._take_lock()
            store = self._store = await open_books(self.settings, self._clock, serving=True)
            self._stops.append(("store", store.stop))
            await self._start_demo(store)
            links = await self._start_simulator()
            outbox = self._start_callbacks(store)
            await self._reroute(store, links)
            self._start_links(store, links)
            await self._start_http(store, outbox)
            self._start_reloading()
        except OSError as wrong:  # a port that is taken, a certificate that is none
            await self.stop()
            raise Refused("cannot_start", str(wrong)) from wrong
        except BaseException:
            await self.stop()
            raise
        _log().info("server.ready", url=self.url)

    async def stop(self) -> None:
        """Stop in reverse order, within about ``server.stop_s``. Bears early and double calls."""
        if self._health is not None:
            self._health.stopping = True
        deadline = self._clock.monotonic() + self.settings.server.stop_s
        while self._stops:
            name, stop = self._stops.pop()
            try:
                # The store closes whatever the clock says: it has nothing to wait for but its own last commit.
                left_s = None if name == "store" else max(0.5, deadline - self._clock.monotonic())
                await asyncio.wait_for(stop(), left_s)
            except TimeoutError:
                _log().warning("service.failed", service=name, reason="did not stop in time")
            except Exception as fault:  # one service's fault must not keep the others from stopping
                _log().error("service.failed", service=name, exc_info=fault)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
            _log().info("server.stopped")

    # --- one service after the other --------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        """One server per SQLite file: two would take back each other's claims (P6). The file tells who it is."""
        directory = self.settings.server.data_dir
        _make_data_dir(directory)
        try:
            self._lock = take_lock(directory)
        except BlockingIOError:
            if not self.settings.store.url.get_secret_value():
                raise Refused("data_dir_in_use", f"another server runs on the data directory {directory}") from None
        except OSError as wrong:
            raise StoreUnavailable(f"data directory {directory}: {wrong.strerror}") from wrong

    async def _start_demo(self, store: Store) -> None:
        if self.settings.demo.enabled:
            self.demo_keys = await demo_account(store, self.settings, self._ids, self._clock.now())

    async def _start_simulator(self) -> Mapping[str, Link]:
        """Return the links to run: the configured ones, else one to a simulator that is started here."""
        if self.settings.links:
            return self.settings.links
        wanted = self.settings.simulator
        config = SimulatorConfig(
            host=wanted.host,
            port=wanted.port,
            system_id=wanted.system_id,
            password=wanted.password.get_secret_value(),
            max_binds=wanted.max_binds,
            delay_min_ms=wanted.delay_min_ms,
            delay_max_ms=wanted.delay_max_ms,
        )
        if wanted.scenario is not None:
            config = scripted(config, read_scenario(wanted.scenario))
        simulator = Simulator(config, self._clock)
        await simulator.start()
        self._stops.append(("simulator", simulator.stop))
        _log().info("simulator.listening", host=wanted.host, port=simulator.port)
        return {
            SIMULATOR_LINK: Link(
                host=wanted.host,
                port=simulator.port,
                system_id=wanted.system_id,
                password=wanted.password,
                binds=SIMULATOR_BINDS,
                window=SIMULATOR_WINDOW,
            )
        }

    def _start_callbacks(self, store: Store) -> Outbox:
        wanted, stop_s = self.settings.callbacks, self.settings.server.stop_s
        client = callback_client(self.settings, self._clock)
        voices: list[Voice] = [*self._dialects, NoticeVoice()]
        self._relay = Relay(client, _owner_of, self._clock, user_agent=USER_AGENT)
        outbox = Outbox(
            store,
            self._relay,
            {voice.name: voice for voice in voices},
            partial(_account_by_id, store),
            self._clock,
            limits=OutboxLimits(
                per_endpoint=wanted.concurrency_per_endpoint, in_flight=wanted.max_connections, stop_s=stop_s
            ),
            allow_private=wanted.allow_private,
        )
        self._stops.append(("callback client", client.stop))
        outbox.start()
        self._stops.append(("callbacks", outbox.stop))
        self._client = client
        return outbox

    def _start_links(self, store: Store, links: Mapping[str, Link]) -> None:
        configs = [link_config(name, link, self.settings) for name, link in links.items()]
        self._link_configs = {config.name: config for config in configs}
        self._dispatcher = Dispatcher(store, configs, self._clock, stop_s=self.settings.server.stop_s * 0.6)
        self._dispatcher.start()
        self._stops.append(("links", self._dispatcher.stop))
        rules = self._dispatcher.waits.rules
        broom = Broom(store, self._clock, lambda: rules, self.settings.store.retention_days)
        broom.start()
        self._stops.append(("broom", broom.stop))

    async def _start_http(self, store: SqlStore, outbox: Outbox) -> None:
        settings, dispatcher = self.settings, self._dispatcher
        assert dispatcher is not None
        pressure = await self._start_pressure(store)
        desk = self._desk = Desk(
            store,
            self._ids,
            route_for=route_rules(settings),
            notify_of=told_by({dialect.name: dialect for dialect in self._dialects}),
            on_work=dispatcher.wake,
            sessions=Sessions(store, self._clock),
            logs_per_minute=settings.dialects.infobip.logs_per_minute,
            pressure=pressure,
        )
        doors = Doors(
            self._dialects,
            desk,
            Authenticator(store, self._clock, token_keeper(store.office, self._clock)),
            most_in_flight=settings.http.max_in_flight,
        )
        self._health = Health(store.check, self._troubles)
        self._health.open_on(doors.router)
        open_metrics(doors.router, partial(read_samples, store, dispatcher.status, outbox, pressure))
        self._open_api(store, doors)
        open_docs(
            doors.router,
            {
                "kvitto": kvitto_openapi.document(),
                "sinch": sinch_openapi.document(),
                "infobip": infobip_openapi.document(),
                "ninebits": ninebits_openapi.document(),
            },
        )
        dashboard = await self._open_dashboard(store, desk, doors) if settings.dashboard.enabled else None
        server = self._http = Server(
            doors.handle,
            settings.http.host,
            settings.http.port,
            clock=self._clock,
            ssl=_http_tls(settings),
            limits=_http_limits(settings),
            trusted_proxies=settings.http.trusted_proxies,
            path_prefix=settings.http.path_prefix,
            on_error=_on_http_fault,
            on_refusal=doors.refuse,
        )
        try:
            await server.start()
        except OSError as taken:
            where = f"{settings.http.host}:{settings.http.port}"
            raise Refused("address", f"cannot listen on {where}: {taken.strerror}") from None
        self._stops.append(("http", lambda: server.stop(settings.server.stop_s * 0.3)))
        if dashboard is not None:
            self._stops.append(("dashboard", dashboard.close))
        if self._relay is not None:
            self._stops.append(("relay", self._relay.stop))  # before HTTP, whose end would wait for its streams
        _log().info("http.listening", url=self.url)

    async def _start_pressure(self, store: Store) -> Pressure:
        bounds = self.settings.queue
        most, most_per_account = bounds.max_messages, bounds.max_messages_per_account
        pressure = Pressure(store.count_queued, most=most, most_per_account=most_per_account)
        await pressure.start()
        self._stops.append(("pressure", pressure.stop))
        return pressure

    async def _open_dashboard(self, store: SqlStore, desk: Desk, doors: Doors) -> Dashboard:
        settings, clock, client = self.settings, self._clock, self._client
        assert client is not None
        dialects = {dialect.name: dialect for dialect in self._dialects}
        send, cancel = send_by(desk, clock)
        tools = Tools(
            reader=Reader(store, store.office, clock),
            office=store.office,
            store=store,
            clock=clock,
            ids=self._ids,
            prefix=settings.http.path_prefix,
            session_ms=round(settings.dashboard.session_hours * 3_600_000),
            idle_ms=round(settings.dashboard.idle_hours * 3_600_000),
            dialects=tuple(dialects),
            retention_days=settings.store.retention_days,
            send=send,
            cancel=cancel,
            test_report=test_report(client, store, dialects, clock, settings.callbacks.allow_private),
            objection_to=objection_to(settings.callbacks.allow_private),
            test_link=test_link(lambda: self._link_configs, clock),
            new_token=new_api_token,
            curl=curl_of(lambda: self.url, tuple(dialects)),
            magic=() if settings.links else magic_numbers(),
            settable=SETTABLE,
            endpoint_problem=setting_problem,
        )
        dashboard = Dashboard(tools)
        open_pages(doors, dashboard)
        self.sign_in_links = await self._first_links(store)
        return dashboard

    async def _first_links(self, store: SqlStore) -> dict[str, str]:
        """One-time links, by user, for those of the first start who have no password yet."""
        wanted: list[tuple[str, Role, str | None]] = [(FIRST_USER, Role.OPERATOR, None)]
        users = await store.office.list_users(None)
        if any(user.role is Role.OPERATOR and user.has_password for user in users):
            wanted.clear()
        if self.demo_keys is not None:
            found = await store.find_account(name=self.demo_keys.account)
            if found is not None:
                wanted.append((self.demo_keys.account, Role.OWNER, found[0].id))
        known, links, now = {user.name: user for user in users}, {}, self._clock.now()
        for name, role, account_id in wanted:
            user = known.get(name)
            if user is None:
                user = await add_user(store.office, self._ids.new(), name, role, account_id, now)
            if user is not None and not user.has_password:
                links[user.name] = await make_link(store.office, user.id, now)
        return links

    def _open_api(self, store: Store, doors: Doors) -> None:
        """Open ``/kvitto/v1``; its samples have a client of their own, so that no pool is shared with callbacks."""
        assert self._relay is not None
        client = callback_client(self.settings, self._clock)
        self._stops.append(("sampling client", client.stop))
        parts = Parts(
            relay=self._relay,
            sampler=sampler(self.settings, self._clock, client),
            setting_problem=setting_problem,
            url_problem=partial(judge_url, allow_private=self.settings.callbacks.allow_private),
        )
        Api(store, doors.authenticator, parts).open_on(doors)

    # --- other links and routes while it runs -------------------------------------------------------------------------

    def _start_reloading(self) -> None:
        if self._reloader is not None:
            self._reloader.start()
            self._stops.append(("reloader", self._reloader.stop))

    async def reload(self) -> ReloadReport:
        """Read the settings again and bring links and routes to what they say, or refuse and change nothing.

        Binds of links that stay the same are not touched. Raises: StoreUnavailable when queued messages could not be
        routed anew; links and routes are changed by then.
        """
        if self._read_again is None:
            return _refused("", "", "this server cannot read its settings again")
        try:
            new = await asyncio.to_thread(self._read_again)
        except SettingsError as wrong:
            return ReloadReport(problems=wrong.problems)
        if not new.links:
            return _refused("links", "", "none is left; a running server keeps one or more")
        store, dispatcher, desk = self._store, self._dispatcher, self._desk
        assert store is not None
        assert dispatcher is not None
        assert desk is not None
        try:
            prepared = dispatcher.prepare([link_config(name, link, new) for name, link in new.links.items()])
        except LinkUnusable as wrong:
            return _refused(wrong.key, wrong.value, wrong.reason)
        needs_restart = _needs_restart(self.settings, new)
        self.settings = self.settings.model_copy(update={name: getattr(new, name) for name in RELOADED})
        self._link_configs = {name: link_config(name, link, new) for name, link in new.links.items()}
        desk.set_routes(route_rules(new))
        store.set_groups(_groups(new))
        await dispatcher.change(prepared)
        rerouted = await self._reroute(store, new.links)
        dispatcher.wake()
        return ReloadReport(**prepared.change._asdict(), needs_restart=needs_restart, rerouted=rerouted)

    async def _reroute(self, store: Store, links: Mapping[str, Link]) -> int:
        """Give what is queued for links that are gone to those that remain; returns how many messages."""
        route_for = route_rules(self.settings) or (lambda number, account: ANY_LINK)
        total = 0
        while True:
            moved = await store.reroute_messages(frozenset(links), route_for, REROUTED)
            total += moved
            if moved < REROUTED:
                return total

    def _troubles(self) -> dict[str, str]:
        """Links without a bind, for ``/readyz``."""
        links = () if self._dispatcher is None else self._dispatcher.status()
        return {f"links.{link.name}": "no bind stands" for link in links if not link.bound}


def _owner_of(request: PostRequest) -> Account | None:
    """Whose callback the outbox posts."""
    account = getattr(request, "account", None)
    return account if isinstance(account, Account) else None


async def _account_by_id(store: Store, account_id: str) -> Account | None:
    found = await store.find_account(id=account_id)
    return None if found is None else found[0]


def _on_http_fault(request: Request, fault: BaseException) -> None:
    _log().error("http.failed", method=request.method, exc_info=fault)


# --- the demo ------------------------------------------------------------------------------------------------------


async def demo_account(store: Store, settings: Settings, ids: IdMaker, now: int) -> DemoKeys:
    """Return the demo account's keys: those of the first start, else new ones for an account made now.

    The keys are kept in a file of their owner's alone, since the store has only their hashes. Raises: Refused when an
    account of that name is there whose keys are not.
    """
    path = settings.server.data_dir / DEMO_FILE
    kept = _read_demo_keys(path)
    if kept is not None and await store.find_account(token_hash=hash_secret(kept.api_token)) is not None:
        return kept
    name = settings.demo.account
    if await store.find_account(name=name) is not None:
        raise Refused("demo_account", f"an account {name} exists, but {path} does not have its keys: set demo.account")
    new, secrets = mint_account(name, ids, now, allow_callbacks_to=LOOPBACK)
    keys = DemoKeys(name, *secrets)
    _write_demo_keys(path, keys)
    await store.create_account(new)
    _log().info("demo.account", account=name)
    return keys


def _read_demo_keys(path: Path) -> DemoKeys | None:
    with suppress(OSError, ValueError, TypeError):
        return DemoKeys(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _write_demo_keys(path: Path, keys: DemoKeys) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(keys._asdict(), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
