"""Requests to send: single, multi, advanced and query of versions 1 and 2, messages of version 3
(docs/dialects/infobip.md 3, 6).

What is wrong with the request as a whole (a body that cannot be read, no messages, a bad date, a broken limit) refuses
it with 400 and the field's path; what is wrong with one destination refuses that one (``submissions``).

Must not know: how a batch is stored or sent. Next: ``kvitto.dialects.infobip.submissions``,
``kvitto.dialects.infobip.fields``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kvitto.core.model import Account, Content, ContentKind
from kvitto.core.operations import Send
from kvitto.core.text import from_gsm
from kvitto.core.transliteration import Alphabet, transliterate
from kvitto.dialects.base import Answer, Call
from kvitto.dialects.infobip import fields, wire
from kvitto.dialects.infobip.bodies import decode, refuse_nul
from kvitto.dialects.infobip.errors import Invalid, told
from kvitto.dialects.infobip.forms import form_of
from kvitto.dialects.infobip.responses import write_refused
from kvitto.dialects.infobip.submissions import SOURCE_REFUSED, TOO_LONG, Shown, Text, submit
from kvitto.dialects.infobip.wire import (
    AdvancedIn,
    ContentIn,
    DestinationIn,
    LanguageIn,
    MessageIn,
    MessagesIn,
    TextIn,
)

__all__ = ["SendReader"]

_EMPTY: Final = "must not be empty"


class SendReader:
    """Reads sends; ``most``: destinations that one request may have."""

    def __init__(self, most: int = wire.DESTINATIONS_MAX) -> None:
        self._most = most
        self.single = told(self._single)
        self.several = told(self._several)
        self.query = told(self._query)
        self.messages = told(self._messages)

    def _single(self, call: Call, account: Account) -> Send | Answer:
        """``POST text/single`` (3.1)."""
        given = decode(TextIn, call)
        shown = _shown(call, given.bulk_id)
        return self._submit([_text(given, "", call.now)], shown, account, call)

    def _several(self, call: Call, account: Account) -> Send | Answer:
        """``POST text/multi`` and ``text/advanced`` (3.2, 3.3)."""
        given = decode(AdvancedIn, call)
        if not given.messages:
            raise Invalid("messages", _EMPTY)
        shown = _shown(call, given.bulk_id, given.include_sms_count_in_response)
        shared = _stored(tracking=given.tracking, urlOptions=given.url_options)
        texts = [_text(one, f"messages[{at}].", call.now, shared) for at, one in enumerate(given.messages)]
        spacing_ms = fields.read_spacing_ms("sendingSpeedLimit", given.sending_speed_limit)
        return self._submit(texts, shown, account, call, spacing_ms)

    def _query(self, call: Call, account: Account) -> Send | Answer:
        """``GET`` and ``POST text/query`` (3.4): everything in the query string."""
        given = _text_of_query(call)
        shown = _shown(call, given.bulk_id)
        shared = _VERSION_3 if shown.version == 3 else _NOTHING
        return self._submit([_text(given, "", call.now, shared)], shown, account, call)

    def _messages(self, call: Call, account: Account) -> Send | Answer:
        """``POST /sms/3/messages`` (6)."""
        given = decode(MessagesIn, call)
        if not given.messages:
            raise Invalid("messages", _EMPTY)
        options = given.options
        schedule = None if options is None else options.schedule
        bulk_id, send_at, spacing_ms, counts, shared = None, None, None, None, _NOTHING
        if options is not None:
            counts = options.include_sms_count_in_response
            shared = _stored(tracking=options.tracking, conversionTracking=options.conversion_tracking)
        if schedule is not None:
            bulk_id = schedule.bulk_id
            send_at = fields.read_send_at("options.schedule.sendAt", schedule.send_at, call.now)
            spacing_ms = fields.read_spacing_ms("options.schedule.sendingSpeedLimit", schedule.sending_speed_limit)
        shown = _shown(call, bulk_id, counts)
        texts = [_message(one, f"messages[{at}].", send_at, shared) for at, one in enumerate(given.messages)]
        return self._submit(texts, shown, account, call, spacing_ms)

    def _submit(
        self, texts: Sequence[Text], shown: Shown, account: Account, call: Call, spacing_ms: float | None = None
    ) -> Send | Answer:
        read = submit(texts, shown, account, call.now, most=self._most, spacing_ms=spacing_ms)
        return write_refused(read, call) if isinstance(read, Shown) else read


_NOTHING: Final[Mapping[str, Any]] = {}
_VERSION_3: Final[Mapping[str, Any]] = {"v": 3}
"""Of texts whose reports are pushed in the shape of version 3 (7)."""


def _shown(call: Call, bulk_id: str | None, counts: bool | None = None) -> Shown:
    form = form_of(call)
    named = fields.clip(bulk_id, wire.BULK_ID_MAX_CHARS)
    return Shown(form.version, form.xml, named, form.version == 1 or bool(counts), 0, ())


def _stored(**given: object) -> Mapping[str, Any]:
    """What is kept and nothing more: of each field what was given."""
    return {name: value for name, value in given.items() if value is not None}


# --- versions 1 and 2 ------------------------------------------------------------------------------------------------


def _text(given: TextIn, at: str, now: int, shared: Mapping[str, Any] = _NOTHING) -> Text:
    sender = fields.read_sender(given.sender) if given.sender else None
    return Text(
        destinations=_destinations(given, at),
        content=_text_content(given.text, given.transliteration, flash=bool(given.flash or given.is_flash)),
        sender=sender,
        refused=SOURCE_REFUSED if given.sender and sender is None else 0,
        url=fields.read_url(f"{at}notifyUrl", given.notify_url),
        notify=given.notify is not False,
        attempts=bool(given.intermediate_report),
        data=fields.read_text(f"{at}callbackData", given.callback_data, wire.CALLBACK_DATA_MAX_CHARS),
        send_at=fields.read_send_at(f"{at}sendAt", given.send_at, now),
        validity_ms=fields.read_validity_ms(f"{at}validityPeriod", given.validity_period, 60_000),
        window=fields.read_window(f"{at}deliveryTimeWindow", given.delivery_time_window),
        extra=_extra_of_text(given, at, shared),
    )


def _destinations(given: TextIn, at: str) -> Sequence[DestinationIn]:
    if given.destinations:
        return given.destinations
    to = given.to
    if isinstance(to, list):
        if to:
            return [DestinationIn(one) for one in to]
    elif to is not None:
        return (DestinationIn(to),)
    raise Invalid(f"{at}{'to' if given.destinations is None and not at else 'destinations'}", _EMPTY)


def _extra_of_text(given: TextIn, at: str, shared: Mapping[str, Any]) -> Mapping[str, Any]:
    language = given.language
    kept = {
        **shared,
        **_platform(at, given.entity_id, given.application_id, given.campaign_reference_id),
        **_stored(
            campaignId=given.campaign_id,
            operatorClientId=given.operator_client_id,
            regional=given.regional,
            language=_language(LanguageIn(language) if isinstance(language, str) else language),
        ),
    }
    if given.notify_content_type == "application/xml":
        kept["xml"] = True
    return kept


def _platform(at: str, entity_id: str | None, application_id: str | None, campaign: str | None) -> Mapping[str, Any]:
    most = wire.PLATFORM_ID_MAX_CHARS
    if entity_id is None and application_id is None and campaign is None:
        return _NOTHING
    return _stored(
        entityId=fields.read_text(f"{at}entityId", entity_id, most),
        applicationId=fields.read_text(f"{at}applicationId", application_id, most),
        campaignReferenceId=fields.read_text(f"{at}campaignReferenceId", campaign, wire.CAMPAIGN_REFERENCE_MAX_CHARS),
    )


def _language(given: LanguageIn | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    return _stored(languageCode=given.language_code, singleShift=given.single_shift, lockingShift=given.locking_shift)


def _text_content(text: str | None, alphabet: str | None, *, flash: bool) -> Content:
    text = text or ""
    if alphabet is not None:
        text = transliterate(text, Alphabet(alphabet))
    return Content(ContentKind.TEXT, text, flash=flash) if flash else Content(ContentKind.TEXT, text)


# --- the query -------------------------------------------------------------------------------------------------------

_WORDS_OF_QUERY: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "transliteration": ("transliteration", frozenset(Alphabet)),
    "notifyContentType": ("notify_content_type", frozenset({"application/json", "application/xml"})),
}


def _text_of_query(call: Call) -> TextIn:
    query = call.query
    for name, values in query.items():
        for value in values:
            refuse_nul(name, value)

    def last(name: str) -> str | None:
        values = query.get(name)
        return values[-1] or None if values else None

    def flag(name: str) -> bool | None:
        value = last(name)
        return None if value is None else fields.read_flag(name, value)

    given = TextIn(
        sender=last("from"),
        to=[one for value in query.get("to", ()) for one in value.split(",") if one.strip()],
        text=last("text"),
        bulk_id=last("bulkId"),
        callback_data=last("callbackData"),
        notify_url=last("notifyUrl"),
        send_at=last("sendAt"),
        campaign_id=last("campaignId"),
        flash=flag("flash") or flag("isFlash"),
        notify=flag("notify"),
        intermediate_report=flag("intermediateReport"),
        language=last("languageCode"),
    )
    for name, (field, words) in _WORDS_OF_QUERY.items():
        word = last(name)
        if word is not None and word not in words:
            raise Invalid(name, "is not one of the values allowed")
        setattr(given, field, word)
    validity = last("validityPeriod")
    if validity is not None:
        given.validity_period = fields.read_whole_number("validityPeriod", validity)
    return given


# --- version 3 -------------------------------------------------------------------------------------------------------


def _message(given: MessageIn, at: str, send_at: int | None, shared: Mapping[str, Any]) -> Text:
    if not given.destinations:
        raise Invalid(f"{at}destinations", _EMPTY)
    if given.content is None:
        raise Invalid(f"{at}content", "must not be null")
    sender = fields.read_sender(given.sender) if given.sender else None
    options, webhooks = given.options, given.webhooks
    delivery = None if webhooks is None else webhooks.delivery
    extra: dict[str, Any] = {**_VERSION_3, **shared}
    content, refused = _content(given.content, f"{at}content.", extra, flash=bool(options and options.flash))
    text = Text(
        destinations=given.destinations,
        content=content,
        sender=sender,
        refused=SOURCE_REFUSED if given.sender and sender is None else refused,
        send_at=send_at,
        extra=extra,
    )
    if webhooks is not None:
        if webhooks.content_type == "application/xml":
            extra["xml"] = True
        data = fields.read_text(f"{at}webhooks.callbackData", webhooks.callback_data, wire.CALLBACK_DATA_MAX_CHARS)
        text = text._replace(data=data)
    if delivery is not None:
        text = text._replace(
            url=fields.read_url(f"{at}webhooks.delivery.url", delivery.url),
            notify=delivery.notify is not False,
            attempts=bool(delivery.intermediate_report),
        )
    return text if options is None else _with_options(text, options, f"{at}options.", extra)


def _with_options(text: Text, options: wire.MessageOptionsIn, at: str, extra: dict[str, Any]) -> Text:
    platform = options.platform or wire.PlatformIn()
    extra.update(_platform(f"{at}platform.", platform.entity_id, platform.application_id, None))
    extra.update(_platform(at, None, None, options.campaign_reference_id))
    extra.update(_stored(regional=options.regional))
    validity = options.validity_period
    validity_ms = None
    if validity is not None:
        if validity.amount is None:
            raise Invalid(f"{at}validityPeriod.amount", "must not be null")
        unit_ms = wire.VALIDITY_UNIT_MS[validity.time_unit or "MINUTES"]
        validity_ms = fields.read_validity_ms(f"{at}validityPeriod.amount", validity.amount, unit_ms)
    window = fields.read_window(f"{at}deliveryTimeWindow", options.delivery_time_window)
    return text._replace(validity_ms=validity_ms, window=window)


_DCS_GSM: Final = 0
_DCS_UCS2: Final = 8
_ESM_UDHI: Final = 0x40


def _content(given: ContentIn, at: str, extra: dict[str, Any], *, flash: bool) -> tuple[Content, int]:
    """Return the content, and the status id with which everybody is refused who should get it, 0 for none."""
    language = _language(given.language)
    if language is not None:
        extra["language"] = language
    if given.hex is None:
        if given.text is None:
            raise Invalid(f"{at}text", "must not be null")
        return _text_content(given.text, given.transliteration, flash=flash), 0
    octets = fields.read_hex(f"{at}hex", given.hex)
    coding, esm_class = given.data_coding or 0, given.esm_class or 0
    for name, value in (("dataCoding", coding), ("esmClass", esm_class)):
        if not 0 <= value <= 255:
            raise Invalid(f"{at}{name}", "must be from 0 to 255")
    extra.update(hex=octets.hex(), dataCoding=coding, esmClass=esm_class)
    return _octets(octets, coding, esm_class, f"{at}hex", flash=flash)


def _octets(octets: bytes, coding: int, esm_class: int, at: str, *, flash: bool) -> tuple[Content, int]:
    """Octets that are plain GSM or UCS-2 text are that text, which travels as the same octets; the rest is 8-bit data.

    With the header flag of ``esmClass`` the first octets are a user data header.
    """
    if not esm_class & _ESM_UDHI:
        if coding == _DCS_GSM and octets.isascii():
            return Content(ContentKind.TEXT, from_gsm(octets), flash=flash), 0
        if coding == _DCS_UCS2 and len(octets) % 2 == 0:
            return Content(ContentKind.TEXT, octets.decode("utf-16-be", "replace"), flash=flash), 0
    refused = TOO_LONG if len(octets) > wire.BINARY_MAX_OCTETS else 0
    header = b""
    if esm_class & _ESM_UDHI:
        if not octets or octets[0] + 1 > len(octets):
            raise Invalid(at, "must begin with a whole user data header, as esmClass says")
        header, octets = octets[: octets[0] + 1], octets[octets[0] + 1 :]
    return Content(ContentKind.BINARY, data=octets.hex(), udh=header.hex(), flash=flash), refused
