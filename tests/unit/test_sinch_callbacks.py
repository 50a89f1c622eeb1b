"""Callbacks in Sinch's words: payloads, signature, what an answer means (docs/dialects/sinch.md 10)."""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from sinch.domains.authentication.sinch_events.v1.authentication_validation import (
    validate_sinch_event_signature_with_nonce,
)

from kvitto.core.model import BatchReport, CallbackDue, ContentKind, StatusCount
from kvitto.core.status import NO_ERROR, Reason, Status
from kvitto.dialects.base import RetryDecision
from kvitto.dialects.sinch import SinchDialect, responses
from kvitto.dialects.sinch.callbacks import signature
from tests.support.sinch import BATCH_ID, NOW, account, at, message

EXAMPLES = Path(__file__).parent / "sinch_examples"
DIALECT = SinchDialect()
ACCOUNT = account()


def due(facts, *, full=False, attempts=0, first_failed_at=None):
    return CallbackDue(1, "a1", "sinch", "https://shop.example/dlr", facts, full, attempts, NOW, first_failed_at)


DELIVERED = message(
    Status.DELIVERED,
    Reason.DELIVERED,
    done_at=at("2031-03-09T05:06:00Z"),
    client_reference="order-Å-118",
)
REPORT = BatchReport(
    BATCH_ID,
    "a1",
    3,
    "order-118",
    ContentKind.TEXT,
    True,
    (
        StatusCount(Status.FAILED, Reason.UNDELIVERABLE, NO_ERROR, 1, ("46701740613",)),
        StatusCount(Status.DELIVERED, Reason.DELIVERED, NO_ERROR, 2, ("46701740612", "46701740611")),
    ),
)


# --- payloads


def test_s10_the_recipient_callback_is_byte_for_byte_the_signed_example():
    vector = json.loads((EXAMPLES / "signed_callback.json").read_text())
    body = DIALECT.render((due(DELIVERED),), ACCOUNT)
    assert body == vector["body"].encode()
    assert len(body) == 246


def test_s10_full_has_recipients_and_summary_has_none():
    assert DIALECT.render((due(REPORT, full=True),), ACCOUNT) == (
        b'{"batch_id":"01KVT7Q4M8Z2X5B9C3D6F0G1HJ","client_reference":"order-118","statuses":['
        b'{"code":0,"count":2,"recipients":["46701740611","46701740612"],"status":"Delivered"},'
        b'{"code":0,"count":1,"recipients":["46701740613"],"status":"Failed"}],'
        b'"total_message_count":3,"type":"delivery_report_sms"}'
    )
    assert DIALECT.render((due(REPORT),), ACCOUNT) == (
        b'{"batch_id":"01KVT7Q4M8Z2X5B9C3D6F0G1HJ","client_reference":"order-118","statuses":['
        b'{"code":0,"count":2,"status":"Delivered"},{"code":0,"count":1,"status":"Failed"}],'
        b'"total_message_count":3,"type":"delivery_report_sms"}'
    )


@pytest.mark.parametrize("facts", [DELIVERED, REPORT, message(Status.DISPATCHED, Reason.ACCEPTED, max_parts=1)])
def test_s10_keys_are_in_alphabetical_order_compact_and_without_null(facts):
    body = DIALECT.render((due(facts, full=True),), ACCOUNT)
    again = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert body == again
    assert b"null" not in body


def test_s10_slashes_and_controls_are_written_as_a_javascript_client_would():
    view = DELIVERED._replace(client_reference='a/b "q" \\ \n \x01 \x7f \u2028 é')
    assert '"client_reference":"a/b \\"q\\" \\\\ \\n \\u0001 \x7f \u2028 é"'.encode() in DIALECT.render(
        (due(view),), ACCOUNT
    )


def test_s10_media_types():
    assert b'"recipient_delivery_report_mms"' in DIALECT.render(
        (due(DELIVERED._replace(kind=ContentKind.MEDIA)),), ACCOUNT
    )
    assert b'"delivery_report_mms"' in DIALECT.render((due(REPORT._replace(kind=ContentKind.MEDIA)),), ACCOUNT)


def test_s10_a_callback_is_what_a_reader_would_get():
    assert DIALECT.render((due(DELIVERED),), ACCOUNT) == responses.write_recipient_report(None, DELIVERED).body


# --- 10.2 signature


def test_s10_2_the_vector():
    vector = json.loads((EXAMPLES / "signed_callback.json").read_text())
    body = vector["body"].encode()
    assert signature(body, vector["secret"], vector["nonce"], vector["timestamp"]) == vector["signature"]


def test_s10_2_the_headers_of_an_attempt():
    vector = json.loads((EXAMPLES / "signed_callback.json").read_text())
    now = int(vector["timestamp"]) * 1000 + 999
    headers = DIALECT.headers(
        due(DELIVERED),
        vector["body"].encode(),
        account(),
        secret=vector["secret"],
        nonce=vector["nonce"],
        now=now,
    )
    assert headers == [
        ("Content-Type", "application/json"),
        ("X-Sinch-Webhook-Signature", vector["signature"]),
        ("X-Sinch-Webhook-Signature-Algorithm", "HmacSHA256"),
        ("X-Sinch-Webhook-Signature-Nonce", vector["nonce"]),
        ("X-Sinch-Webhook-Signature-Timestamp", vector["timestamp"]),
    ]


@pytest.mark.parametrize(
    "secret",
    ["whsec_åMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "", "s" * 63, "s" * 64, "s" * 65, "å" * 32, "å" * 33, "s" * 500],
)
def test_s10_2_the_key_is_the_whole_secret_as_utf_8(secret):
    expected = hmac.new(secret.encode("utf-8"), b"{}.n.1", hashlib.sha256).digest()
    assert signature(b"{}", secret, "n", "1") == base64.b64encode(expected).decode()


def test_s10_2_every_input_changes_the_signature():
    given = (b"body", "secret", "nonce", "1")
    others = [(b"bodY", *given[1:]), (b"body", "Secret", "nonce", "1"), (b"body", "secret", "noncE", "1")]
    others.append((b"body", "secret", "nonce", "2"))
    assert len({signature(*inputs) for inputs in [given, *others, given]}) == 5


def test_s10_2_sinchs_own_sdk_accepts_what_we_sign():
    vector = json.loads((EXAMPLES / "signed_callback.json").read_text())
    body, secret = vector["body"], "kvitto-hook-secret"
    fields = DIALECT.headers(due(DELIVERED), body.encode(), account(), secret=secret, nonce="n-1", now=NOW)
    headers = {name.lower(): value for name, value in fields}
    assert validate_sinch_event_signature_with_nonce(secret, headers, body)
    assert not validate_sinch_event_signature_with_nonce(secret, headers, body + " ")


# --- 10.1 answers and retries


@pytest.mark.parametrize("status_code", [200, 201, 202, 204, 299])
def test_s10_1_2xx_is_done(status_code):
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", None, NOW) == RetryDecision(True, None)


@pytest.mark.parametrize("status_code", [100, 301, 302, 307, 400, 401, 403, 404, 408, 410, 422, 499])
def test_s10_1_3xx_and_other_4xx_give_up(status_code):
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", 5.0, NOW) == RetryDecision(False, None)


@pytest.mark.parametrize("status_code", [None, 429, 500, 502, 503, 504, 599])
def test_s10_1_no_answer_429_and_5xx_are_tried_again_after_5_s(status_code):
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", None, NOW) == RetryDecision(False, NOW + 5000)


def test_s10_1_15_retries_the_last_81920_s_after_the_first_failure():
    attempts, now, first_failed_at, offsets = 0, NOW, None, []
    while True:
        decision = DIALECT.judge(
            due(DELIVERED, attempts=attempts, first_failed_at=first_failed_at), account(), 500, b"", None, now
        )
        first_failed_at = NOW
        attempts += 1
        if decision.retry_at is None:
            break
        now = decision.retry_at
        offsets.append((now - NOW) // 1000)
    assert offsets == [5 * 2**n for n in range(15)]
    assert (offsets[-1], attempts) == (81_920, 16)


@pytest.mark.parametrize("status_code", [429, 503])
def test_s10_1_retry_after_counts_when_it_is_later(status_code):
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", 60.0, NOW).retry_at == NOW + 60_000
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", 1.0, NOW).retry_at == NOW + 5000
    assert DIALECT.judge(due(DELIVERED), account(), status_code, b"", -7.0, NOW).retry_at == NOW + 5000


@pytest.mark.parametrize("wild", [1e30, float("inf"), float("nan")])
def test_s10_1_a_wild_retry_after_cannot_silence_a_callback(wild):
    retry_at = DIALECT.judge(due(DELIVERED), account(), 429, b"", wild, NOW).retry_at
    assert retry_at is not None
    assert retry_at <= NOW + 86_400_000


def test_s10_one_attempt_may_take_10_s():
    assert DIALECT.callback_timeout_s == 10
