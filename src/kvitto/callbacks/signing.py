"""The signatures that callbacks carry.

Pure: a secret, the exact octets of the body, a nonce and a time in; header fields out. Who makes nonces and asks the
clock is the outbox. Sinch's own scheme is here (docs/dialects/sinch.md 10.2).
"""

import hmac
from base64 import b64encode

__all__ = ["sinch_headers"]


def sinch_headers(secret: str, body: bytes, nonce: str, timestamp_s: int) -> list[tuple[bytes, bytes]]:
    """The four header fields by which Sinch's SDKs check a callback (docs/dialects/sinch.md 10.2).

    ``secret`` is used whole, as UTF-8, its prefix included; ``body`` must be the octets that are sent. ``nonce`` is any
    unique ASCII text; each attempt may carry a new one. ``timestamp_s``: Unix seconds.
    """
    stamped_nonce = nonce.encode("ascii")
    timestamp = b"%d" % timestamp_s
    signature = hmac.digest(secret.encode("utf-8"), b"%b.%b.%b" % (body, stamped_nonce, timestamp), "sha256")
    return [
        (b"X-Sinch-Webhook-Signature", b64encode(signature)),
        (b"X-Sinch-Webhook-Signature-Algorithm", b"HmacSHA256"),
        (b"X-Sinch-Webhook-Signature-Nonce", stamped_nonce),
        (b"X-Sinch-Webhook-Signature-Timestamp", timestamp),
    ]
