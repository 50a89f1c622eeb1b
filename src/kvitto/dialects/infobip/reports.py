"""Reports and log entries: a message as its reader sees it, in the shapes of versions 1 and 3 (docs/dialects/infobip.md
2, 4, 5, 7).

``Reporter`` also knows what stands in no message: the network behind a number, the price of a part, and what the
operator told of each link's error numbers.

Must not know: how a message is found, who posts. Next: ``kvitto.dialects.infobip.callbacks``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from kvitto.core.model import ContentKind, FeedPage, LogPage, MessageView
from kvitto.core.operations import ListLog, TakeReports
from kvitto.dialects.base import Answer
from kvitto.dialects.infobip import wire
from kvitto.dialects.infobip.forms import Form, answer
from kvitto.dialects.infobip.gsm_errors import GROUPS as ERROR_GROUPS
from kvitto.dialects.infobip.gsm_errors import GsmError
from kvitto.dialects.infobip.responses import status_out
from kvitto.dialects.infobip.statuses import ROWS, LinkErrors, error_of
from kvitto.dialects.infobip.times import write_date
from kvitto.dialects.infobip.wire import ErrorOut, Log1Out, Log3Out, PlatformOut, PriceOut, Report1Out, Report3Out

__all__ = ["LogShows", "NoNumbering", "NoPricing", "Numbering", "Pricing", "Reporter"]


class Numbering(Protocol):
    """Which network a number belongs to."""

    def mccmnc(self, number: str) -> str | None:
        """Return MCC and MNC, such as "22801"; None when it is not known."""


class Pricing(Protocol):
    """What a part costs."""

    def price(self, mccmnc: str | None) -> tuple[float, str]:
        """Return the price of one part to this network, and its currency."""


class NoNumbering:
    """No table of prefixes: no network is known."""

    def mccmnc(self, number: str) -> str | None:
        """Return None."""
        return None


class NoPricing:
    """No price list: everything is free of charge."""

    def price(self, mccmnc: str | None) -> tuple[float, str]:
        """Return nothing, in euros."""
        return 0.0, "EUR"


@lru_cache(maxsize=256)
def _error_out(error: GsmError) -> ErrorOut:
    return ErrorOut(error.group, ERROR_GROUPS[error.group], error.id, error.name, error.description, error.permanent)


@lru_cache(maxsize=1024)
def _price_out(price: float, currency: str) -> PriceOut:
    return PriceOut(price, currency)


class LogShows:
    """What a log's answer wants to know again: the form, and whether it tells the next cursor."""

    __slots__ = ("cursor", "form")

    def __init__(self, form: Form, *, cursor: bool) -> None:
        self.form = form
        self.cursor = cursor


class Reporter:
    """Writes reports and logs. ``links``: link's name -> what its error numbers mean."""

    def __init__(
        self,
        numbering: Numbering | None = None,
        pricing: Pricing | None = None,
        links: Mapping[str, LinkErrors] | None = None,
    ) -> None:
        self._numbering = numbering or NoNumbering()
        self._pricing = pricing or NoPricing()
        self._links = links or {}

    def mccmnc(self, number: str) -> str | None:
        """Return the network behind a number, None when it is not known."""
        return self._numbering.mccmnc(number)

    # --- answers ------------------------------------------------------------------------------------------------------

    def write_reports(self, operation: TakeReports, page: FeedPage) -> Answer:
        """200: unread reports, in the shape of the path that was read; ``handing`` goes with them (P16)."""
        form = operation.shows
        assert isinstance(form, Form)
        root, body = self.reports(page.messages, form.version)
        return answer(form, 200, root, body, handing=page.handing)

    def write_logs(self, operation: ListLog, page: LogPage) -> Answer:
        """200: what became of messages."""
        shows = operation.shows
        assert isinstance(shows, LogShows)
        if shows.form.version != 3:
            return answer(shows.form, 200, "smsLogsResponse", wire.LogsOut([self._log1(one) for one in page.messages]))
        body = wire.Logs3Out([self._log3(one) for one in page.messages])
        if shows.cursor:
            body.cursor = wire.CursorOut(operation.limit, page.cursor or UNSET)
        return answer(shows.form, 200, "LogResponse", body)

    def reports(self, messages: Sequence[MessageView], version: int) -> tuple[str, wire.ReportsOut | wire.Reports3Out]:
        """Return the answer of section 4, which is a push's body too, and its root element's name."""
        if version == 3:
            return "DeliveryReports", wire.Reports3Out([self._report3(one) for one in messages])
        return "reportResponse", wire.ReportsOut([self._report1(one) for one in messages])

    # --- one message --------------------------------------------------------------------------------------------------

    def _tariff(self, message: MessageView) -> tuple[str | UnsetType, PriceOut]:
        mccmnc = self._numbering.mccmnc(message.recipient)
        return mccmnc or UNSET, _price_out(*self._pricing.price(mccmnc))

    def _error(self, message: MessageView) -> ErrorOut:
        link = self._links.get(message.link)
        return _error_out(error_of(message.status, message.reason, message.error, link))

    def _report1(self, message: MessageView) -> Report1Out:
        mcc_mnc, price = self._tariff(message)
        extra = message.extra
        return Report1Out(
            bulk_id=message.batch_client_id or message.batch_id,
            message_id=message.client_id or message.id,
            to=message.recipient,
            sender=message.sender or UNSET,
            sent_at=_sent_at(message),
            done_at=_done_at(message),
            sms_count=message.parts,
            mcc_mnc=mcc_mnc,
            price=price,
            callback_data=message.client_reference or UNSET,
            status=_status(message),
            error=self._error(message),
            entity_id=extra.get("entityId", UNSET) if extra else UNSET,
            application_id=extra.get("applicationId", UNSET) if extra else UNSET,
            campaign_reference_id=extra.get("campaignReferenceId", UNSET) if extra else UNSET,
        )

    def _report3(self, message: MessageView) -> Report3Out:
        mcc_mnc, price = self._tariff(message)
        return Report3Out(
            bulk_id=message.batch_client_id or message.batch_id,
            message_id=message.client_id or message.id,
            to=message.recipient,
            sender=message.sender or UNSET,
            sent_at=_sent_at(message),
            done_at=_done_at(message),
            message_count=message.parts,
            mcc_mnc=mcc_mnc,
            price=price,
            callback_data=message.client_reference or UNSET,
            status=_status(message),
            error=self._error(message),
            platform=_platform(message.extra),
            campaign_reference_id=message.extra.get("campaignReferenceId", UNSET),
        )

    def _log1(self, message: MessageView) -> Log1Out:
        mcc_mnc, price = self._tariff(message)
        extra = message.extra
        return Log1Out(
            bulk_id=message.batch_client_id or message.batch_id,
            message_id=message.client_id or message.id,
            to=message.recipient,
            sender=message.sender or UNSET,
            text=_text(message),
            sent_at=_sent_at(message),
            done_at=_done_at(message),
            sms_count=message.parts,
            mcc_mnc=mcc_mnc,
            price=price,
            status=_status(message),
            error=self._error(message),
            entity_id=extra.get("entityId", UNSET),
            application_id=extra.get("applicationId", UNSET),
            campaign_reference_id=extra.get("campaignReferenceId", UNSET),
        )

    def _log3(self, message: MessageView) -> Log3Out:
        mcc_mnc, price = self._tariff(message)
        return Log3Out(
            sender=message.sender or UNSET,
            destination=message.recipient,
            bulk_id=message.batch_client_id or message.batch_id,
            message_id=message.client_id or message.id,
            sent_at=_sent_at(message),
            done_at=_done_at(message),
            message_count=message.parts,
            mcc_mnc=mcc_mnc,
            price=price,
            status=_status(message),
            error=self._error(message),
            platform=_platform(message.extra),
            content=_content(message),
            campaign_reference_id=message.extra.get("campaignReferenceId", UNSET),
        )


def _status(message: MessageView) -> wire.StatusOut:
    return status_out(ROWS[message.status, message.reason].status)


def _sent_at(message: MessageView) -> str:
    """When it was sent or, for a scheduled one, is planned to be; old clients break without it (section 1)."""
    return write_date(message.sent_at or message.created_at)


def _done_at(message: MessageView) -> str:
    """When it ended, as the receipt has it, else as we saw it; of a pending one, the last change (section 5)."""
    return write_date(message.since_at if message.done_at is None else message.done_at)


def _platform(extra: Mapping[str, Any]) -> PlatformOut | UnsetType:
    entity_id, application_id = extra.get("entityId", UNSET), extra.get("applicationId", UNSET)
    return UNSET if entity_id is UNSET and application_id is UNSET else PlatformOut(entity_id, application_id)


def _text(message: MessageView) -> str | UnsetType:
    if "hex" in message.extra or message.kind is not ContentKind.TEXT or message.text is None:
        return UNSET
    return message.text


def _content(message: MessageView) -> wire.ContentOut | UnsetType:
    """Exactly one of the two shapes, or none: a client fails on an empty one (section 5)."""
    extra = message.extra
    if "hex" in extra:
        return wire.ContentOut(data_coding=extra["dataCoding"], esm_class=extra["esmClass"], hex=extra["hex"])
    text = _text(message)
    return UNSET if text is UNSET else wire.ContentOut(text=text)
