"""Receives callbacks: checks the signature, drops duplicates, answers. Python 3.9 or newer, standard library alone.

WEBHOOK_SECRET=whsec_... PORT=9000 python3 receiver.py
"""

import base64
import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
MOST_BODY = 1024 * 1024
REMEMBERED = 100_000

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))


def is_genuine(headers, body):
    """Whether we were sent this, unchanged, within the last minutes."""
    call_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not (call_id and timestamp.isdecimal() and abs(time.time() - int(timestamp[:15])) <= TOLERANCE_S):
        return False
    message = f"{call_id}.{timestamp}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(KEY, message, hashlib.sha256).digest()).decode()
    # There are two while a secret is being replaced: one that fits is enough.
    return any(
        hmac.compare_digest(right.encode(), given.encode()) for given in headers.get("webhook-signature", "").split()
    )


class Seen:
    """The ids of calls that came before. Yours belong into the database, in the transaction of what a call causes."""

    def __init__(self):
        self._ids = OrderedDict()
        self._lock = threading.Lock()

    def is_new(self, call_id):
        with self._lock:
            if call_id in self._ids:
                return False
            self._ids[call_id] = None
            if len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)
            return True


SEEN = Seen()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 60

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            return self.answer(401)
        if SEEN.is_new(self.headers["webhook-id"]):
            # Here your work begins; keep it short, or queue it. (One write: lines of two threads do not mix.)
            print(body.decode("utf-8", "replace") + "\n", end="", flush=True)
        return self.answer(200)

    def answer(self, status):
        body = b'{"status":%d}' % status  # 9bits callbacks count only with this body; the others do not mind
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Callbacks hold phone numbers: nothing is logged."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
