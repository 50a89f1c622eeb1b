"""The dialects: the server's only place that names their classes, and the documents that describe the HTTP APIs.

Must not know who serves them. Next: ``dialects.base``, then any dialect.
"""

from collections.abc import Mapping
from typing import Any

from kvitto.app.common import SIMULATOR_LINK
from kvitto.core.numbering import Numbering
from kvitto.core.pricing import Pricing
from kvitto.dialects.base import Dialect
from kvitto.dialects.infobip import InfobipDialect
from kvitto.dialects.infobip import openapi as infobip_openapi
from kvitto.dialects.infobip.statuses import LinkErrors
from kvitto.dialects.ninebits import NinebitsDialect
from kvitto.dialects.ninebits import openapi as ninebits_openapi
from kvitto.dialects.sinch import SinchDialect
from kvitto.dialects.sinch import openapi as sinch_openapi
from kvitto.intake.api import openapi as kvitto_openapi
from kvitto.settings import Settings

__all__ = ["dialects_of", "documents"]


def dialects_of(
    settings: Settings, numbering: Numbering | None = None, pricing: Pricing | None = None
) -> tuple[Dialect, ...]:
    """Return every dialect, as set."""
    return (SinchDialect(), _infobip(settings, numbering, pricing), NinebitsDialect())


def _infobip(settings: Settings, numbering: Numbering | None = None, pricing: Pricing | None = None) -> InfobipDialect:
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


def documents() -> Mapping[str, Mapping[str, Any]]:
    """Return the OpenAPI document of each dialect and of Kvitto's own API, by name."""
    return {
        "kvitto": kvitto_openapi.document(),
        "sinch": sinch_openapi.document(),
        "infobip": infobip_openapi.document(),
        "ninebits": ninebits_openapi.document(),
    }
