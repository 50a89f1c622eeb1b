"""The server: starts the rooms in order, stops them in reverse, and takes new settings in between.

The order is that of the data's way, from its end: store, simulator (when no link is configured), callbacks, links,
HTTP. Stopping goes the other way round (P28): no new request, no new claim, what is in flight gets its answers, binds
are unbound, callbacks finish, the store closes last. A second signal ends the process at once, as a crash would:
nothing that was acknowledged is lost by that (P1, P2, P6).

Must not know how a room is built: that is in the module of its name beside this one. Next: ``app.intake``.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO

from kvitto import __version__
from kvitto.app.callbacks import Callbacks, start_callbacks, start_sampler
from kvitto.app.common import STORE, Common, Services
from kvitto.app.dashboard import first_links, open_dashboard
from kvitto.app.demo import DemoKeys, demo_account
from kvitto.app.dialects import dialects_of, documents
from kvitto.app.dispatch import link_config, route_rules, start_links, unbound_links
from kvitto.app.intake import make_desk, make_doors, open_api, start_pressure, start_server, url_of
from kvitto.app.reload import needs_restart, refused, reroute, taken_from
from kvitto.app.simulator import start_simulator
from kvitto.app.store import groups_of, lock_data_dir, open_books
from kvitto.app.tables import read_tables
from kvitto.core.clock import Clock, SteadyClock
from kvitto.core.errors import Refused, SettingsError
from kvitto.core.ids import IdMaker
from kvitto.dashboard import Dashboard
from kvitto.dispatch.dispatcher import Dispatcher, LinkUnusable
from kvitto.dispatch.link import LinkConfig
from kvitto.intake.desk import Desk
from kvitto.intake.doors import Doors
from kvitto.intake.health import Health, open_docs, open_metrics
from kvitto.intake.http import Server
from kvitto.measures import read_samples
from kvitto.reloading import Reloader, ReloadReport
from kvitto.settings import Link, Settings
from kvitto.store import Store
from kvitto.store.sqlstore import SqlStore
from kvitto.telemetry import get_logger

__all__ = ["App"]


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
        self.numbering, self.pricing = read_tables(settings)
        self._services = Services(self._clock, settings.server.stop_s)
        self._common = Common(
            settings=settings,
            clock=self._clock,
            ids=IdMaker(self._clock),
            dialects=dialects_of(settings, self.numbering, self.pricing),
            services=self._services,
        )
        self._lock: IO[str] | None = None
        self._store: SqlStore | None = None
        self._dispatcher: Dispatcher | None = None
        self._http: Server | None = None
        self._health: Health | None = None
        self._link_configs: dict[str, LinkConfig] = {}
        self._desk: Desk | None = None
        self._reloader: Reloader | None = None

    @property
    def url(self) -> str:
        """Where it is reached, path prefix included."""
        return url_of(self.settings, self._http)

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
        get_logger().info("server.stopping", signal=number.name)
        if asked.is_set():
            os._exit(128 + number)
        asked.set()

    async def start(self) -> None:
        """Start everything, or raise with everything stopped again. Raises: Refused, StoreUnavailable."""
        log, settings = get_logger(), self.settings
        log.info("server.starting", version=__version__, data_dir=str(settings.server.data_dir))
        try:
            self._lock = lock_data_dir(settings)
            store = self._store = await open_books(settings, self._clock, serving=True)
            self._services.add(STORE, store.stop)
            await self._start_demo(store)
            links = await start_simulator(self._common)
            callbacks = start_callbacks(self._common, store)
            await reroute(store, settings, links)
            dispatcher = self._start_links(store, links)
            await self._start_http(store, dispatcher, callbacks)
            self._start_reloading()
        except OSError as wrong:  # a port that is taken, a certificate that is none
            await self.stop()
            raise Refused("cannot_start", str(wrong)) from wrong
        except BaseException:
            await self.stop()
            raise
        log.info("server.ready", url=self.url)

    async def stop(self) -> None:
        """Stop in reverse order, within about ``server.stop_s``. Bears early and double calls."""
        if self._health is not None:
            self._health.stopping = True
        await self._services.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
            get_logger().info("server.stopped")

    # --- one service after the other --------------------------------------------------------------------------------

    async def _start_demo(self, store: Store) -> None:
        if self.settings.demo.enabled:
            self.demo_keys = await demo_account(store, self.settings, self._common.ids, self._clock.now())

    def _start_links(self, store: Store, links: Mapping[str, Link]) -> Dispatcher:
        self._link_configs = {name: link_config(name, link, self.settings) for name, link in links.items()}
        dispatcher = self._dispatcher = start_links(self._common, store, self._link_configs.values())
        return dispatcher

    async def _start_http(self, store: SqlStore, dispatcher: Dispatcher, callbacks: Callbacks) -> None:
        common = self._common
        pressure = await start_pressure(common, store)
        desk = self._desk = make_desk(common, store, route_rules(self.settings), dispatcher.wake, pressure)
        doors = make_doors(common, store, desk)
        self._health = Health(store.check, partial(unbound_links, dispatcher))
        self._health.open_on(doors.router)
        open_metrics(doors.router, partial(read_samples, store, dispatcher.status, callbacks.outbox, pressure))
        open_api(common, store, doors, callbacks.relay, start_sampler(common))
        open_docs(doors.router, documents())
        dashboard = await self._open_dashboard(store, desk, doors, callbacks)
        self._http = await start_server(common, doors)
        if dashboard is not None:
            self._services.add("dashboard", dashboard.close)
        self._services.add("relay", callbacks.relay.stop)  # before HTTP, whose end would wait for its streams
        get_logger().info("http.listening", url=self.url)

    async def _open_dashboard(
        self, store: SqlStore, desk: Desk, doors: Doors, callbacks: Callbacks
    ) -> Dashboard | None:
        if not self.settings.dashboard.enabled:
            return None
        dashboard = open_dashboard(
            self._common,
            store,
            desk,
            doors,
            client=callbacks.client,
            configs=lambda: self._link_configs,
            url=lambda: self.url,
        )
        demo = None if self.demo_keys is None else self.demo_keys.account
        self.sign_in_links = await first_links(self._common, store, demo)
        return dashboard

    # --- other links and routes while it runs -------------------------------------------------------------------------

    def _start_reloading(self) -> None:
        if self._reloader is not None:
            self._reloader.start()
            self._services.add("reloader", self._reloader.stop)

    async def reload(self) -> ReloadReport:
        """Read the settings again and bring links and routes to what they say, or refuse and change nothing.

        Binds of links that stay the same are not touched. Raises: StoreUnavailable when queued messages could not be
        routed anew; links and routes are changed by then.
        """
        if self._read_again is None:
            return refused("", "", "this server cannot read its settings again")
        try:
            new = await asyncio.to_thread(self._read_again)
        except SettingsError as wrong:
            return ReloadReport(problems=wrong.problems)
        if not new.links:
            return refused("links", "", "none is left; a running server keeps one or more")
        store, dispatcher, desk = self._store, self._dispatcher, self._desk
        assert store is not None
        assert dispatcher is not None
        assert desk is not None
        configs = {name: link_config(name, link, new) for name, link in new.links.items()}
        try:
            prepared = dispatcher.prepare(list(configs.values()))
        except LinkUnusable as wrong:
            return refused(wrong.key, wrong.value, wrong.reason)
        restart = needs_restart(self.settings, new)
        self.settings, self._link_configs = taken_from(new, self.settings), configs
        desk.set_routes(route_rules(new))
        store.set_groups(groups_of(new))
        await dispatcher.change(prepared)
        rerouted = await reroute(store, self.settings, new.links)
        dispatcher.wake()
        return ReloadReport(**prepared.change._asdict(), needs_restart=restart, rerouted=rerouted)
