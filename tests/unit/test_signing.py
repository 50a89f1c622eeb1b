"""The signatures of callbacks, against vectors."""

import base64
import hashlib
import hmac

from sinch.domains.authentication.sinch_events.v1.authentication_validation import (
    validate_sinch_event_signature_with_nonce,
)

from kvitto.callbacks.signing import sinch_headers

BODY = (
    '{"at":"2031-03-09T05:06:04.512Z","batch_id":"01KVT7Q4M8Z2X5B9C3D6F0G1HJ","client_reference":"order-Å-118",'
    '"code":0,"operator_status_at":"2031-03-09T05:06:00Z","recipient":"46701740611","status":"Delivered",'
    '"type":"recipient_delivery_report_sms"}'
).encode()


def test_sinch_headers_match_the_vector_of_the_dialects_page():
    assert len(BODY) == 246
    assert sinch_headers("kvitto-hook-secret", BODY, "01KVT7Q9A0N0NCE0000000001B", 1930799167) == [
        (b"X-Sinch-Webhook-Signature", b"a6ai84r5Nm7vLNHEEPI/nuAJdo4qZa7AjwRPT2+yHCM="),
        (b"X-Sinch-Webhook-Signature-Algorithm", b"HmacSHA256"),
        (b"X-Sinch-Webhook-Signature-Nonce", b"01KVT7Q9A0N0NCE0000000001B"),
        (b"X-Sinch-Webhook-Signature-Timestamp", b"1930799167"),
    ]


def test_the_whole_secret_is_the_key_prefix_and_all():
    secret = "whsec_Zm9vYmFy" + "å"
    signature = sinch_headers(secret, b"{}", "n", 1)[0][1]
    expected = hmac.new(secret.encode("utf-8"), b"{}.n.1", hashlib.sha256).digest()
    assert base64.b64decode(signature) == expected


def test_every_input_changes_the_signature():
    base = ("secret", b"body", "nonce", 1)
    others = [("Secret", b"body", "nonce", 1), ("secret", b"bodY", "nonce", 1), ("secret", b"body", "noncE", 1)]
    others.append(("secret", b"body", "nonce", 2))
    signatures = {sinch_headers(*inputs)[0][1] for inputs in [base, *others]}
    assert len(signatures) == 5


def test_sinchs_own_sdk_accepts_what_we_sign():
    fields = sinch_headers("kvitto-hook-secret", BODY, "n-1", 1)
    headers = {name.decode().lower(): value.decode() for name, value in fields}
    assert validate_sinch_event_signature_with_nonce("kvitto-hook-secret", headers, BODY.decode())
    assert not validate_sinch_event_signature_with_nonce("kvitto-hook-secret", headers, BODY.decode() + " ")
