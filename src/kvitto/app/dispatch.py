"""The links: what a ``[links.NAME]`` and the ``[[routes]]`` say, the dispatcher that runs them, the broom beside it.

Must not know whether an SMSC is simulated, nor HTTP. Next: ``kvitto.dispatch``.
"""

from collections.abc import Iterable

from kvitto.app.common import Common
from kvitto.dispatch.cleaning import Broom
from kvitto.dispatch.dispatcher import Dispatcher
from kvitto.dispatch.link import BindStyle, LinkConfig, OutbindOptions, TlsOptions
from kvitto.dispatch.routes import RouteRule, Routes
from kvitto.intake.admit import RouteFor
from kvitto.settings import Link, Settings
from kvitto.smpp.states import Timers
from kvitto.store import Store

__all__ = ["link_config", "route_rules", "start_links", "unbound_links"]


def route_rules(settings: Settings) -> RouteFor | None:
    """Return the routes as admission asks them; None when every link takes everything."""
    if not settings.routes:
        return None
    return Routes(RouteRule(rule.prefix, rule.account, rule.link) for rule in settings.routes).route_for


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


def start_links(common: Common, store: Store, configs: Iterable[LinkConfig]) -> Dispatcher:
    """Start to bind and to send, and to clean away what is past its time."""
    server = common.settings.server
    dispatcher = Dispatcher(store, configs, common.clock, stop_s=server.stop_s * 0.6)
    dispatcher.start()
    common.services.add("links", dispatcher.stop)
    rules = dispatcher.waits.rules
    broom = Broom(store, common.clock, lambda: rules, common.settings.store.retention_days)
    broom.start()
    common.services.add("broom", broom.stop)
    return dispatcher


def unbound_links(dispatcher: Dispatcher) -> dict[str, str]:
    """Links without a bind, for ``/readyz``."""
    return {f"links.{link.name}": "no bind stands" for link in dispatcher.status() if not link.bound}
