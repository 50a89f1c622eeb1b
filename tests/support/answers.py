"""What endpoints may answer, and what becomes of it under each profile (P11): data for tests over real sockets.

``octets``: the answer, whole. ``then``: what the endpoint does after them. ``status``, ``failure``, ``body``: what the
client makes of it; ``kept``: whether the connection carries the next post. ``decisions``: what it means to Sinch's,
Infobip's, 9bits' and the standard profile, in this order:

D  done
A  again, by the schedule
S  again, and slower from now on
N  never again
G  again, and the endpoint is to be disabled: nobody wants callbacks there
"""

import enum
import gzip
from typing import Final, NamedTuple

from kvitto.callbacks.wire import PostFailure

__all__ = ["ANSWERS", "PROFILES", "RETRY_AFTER", "Row", "Then"]

PROFILES: Final = ("sinch", "infobip", "ninebits", "standard")


class Then(enum.Enum):
    """What an endpoint does when it has written its answer."""

    KEEP = "waits for the next request"
    CLOSE = "closes the connection"
    RESET = "resets the connection"
    HANG = "says no more, and does not close"


class Row(NamedTuple):
    """See the module."""

    name: str
    octets: bytes
    then: Then
    status: int | None
    failure: PostFailure | None
    body: bytes
    kept: bool
    decisions: str


KEEP, CLOSE, RESET, HANG = Then
CLOSED, BAD, TIMEOUT = PostFailure.CLOSED, PostFailure.BAD_RESPONSE, PostFailure.TIMEOUT

GZIPPED = gzip.compress(b'{"status":200}', mtime=0)

# fmt: off
ANSWERS: Final[tuple[Row, ...]] = (
    Row(
        "200 with a length",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        KEEP, 200, None, b"OK", True, "D D A D"),
    Row(
        "200 empty",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        KEEP, 200, None, b"", True, "D D A D"),
    Row(
        "200 without a phrase",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        KEEP, 200, None, b"", True, "D D A D"),
    Row(
        "200 chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1;x=y\r\nK\r\n0\r\nT: u\r\n\r\n",
        KEEP, 200, None, b"OK", True, "D D A D"),
    Row(
        "200 to the end",
        b"HTTP/1.1 200 OK\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "200 of nothing to the end",
        b"HTTP/1.1 200 OK\r\n\r\n",
        CLOSE, 200, None, b"", False, "D D A D"),
    Row(
        "200 and close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "200 and close, but open",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
        HANG, 200, None, b"OK", False, "D D A D"),
    Row(
        "200 of HTTP/1.0",
        b"HTTP/1.0 200 OK\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "200 of HTTP/1.0 kept",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK",
        KEEP, 200, None, b"OK", True, "D D A D"),
    Row(
        "201",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        KEEP, 201, None, b"", True, "D D A D"),
    Row(
        "202",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        KEEP, 202, None, b"", True, "D D A D"),
    Row(
        "204",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        KEEP, 204, None, b"", True, "D D A D"),
    Row(
        "301",
        b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        KEEP, 301, None, b"", True, "N A A A"),
    Row(
        "304",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        KEEP, 304, None, b"", True, "N A A A"),
    Row(
        "400",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}",
        KEEP, 400, None, b"{}", True, "N A N A"),
    Row(
        "401",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        KEEP, 401, None, b"", True, "N A N A"),
    Row(
        "404",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        KEEP, 404, None, b"", True, "N A N A"),
    Row(
        "410",
        b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
        KEEP, 410, None, b"", True, "N A N G"),
    Row(
        "429",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
        KEEP, 429, None, b"", True, "A A S A"),
    Row(
        "500",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        KEEP, 500, None, b"oops", True, "A A A A"),
    Row(
        "503",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        KEEP, 503, None, b"", True, "A A A A"),
    Row(
        "999",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        KEEP, 999, None, b"", True, "A A A A"),
    Row(
        "100 first",
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        KEEP, 200, None, b"OK", True, "D D A D"),
    Row(
        "103 first",
        b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        KEEP, 204, None, b"", True, "D D A D"),
    Row(
        "answer and garbage",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKgarbage",
        HANG, 200, None, b"OK", False, "D D A D"),
    Row(
        "two answers",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
        HANG, 200, None, b"OK", False, "D D A D"),
    Row(
        "no octet, close",
        b"",
        CLOSE, None, CLOSED, b"", False, "A A A A"),
    Row(
        "no octet, reset",
        b"",
        RESET, None, CLOSED, b"", False, "A A A A"),
    Row(
        "no octet",
        b"",
        HANG, None, TIMEOUT, b"", False, "A A A A"),
    Row(
        "half a status line, close",
        b"HTTP/1.1 20",
        CLOSE, None, CLOSED, b"", False, "A A A A"),
    Row(
        "half a status line",
        b"HTTP/1.1 20",
        HANG, None, TIMEOUT, b"", False, "A A A A"),
    Row(
        "half a head, close",
        b"HTTP/1.1 200 OK\r\nContent-",
        CLOSE, None, CLOSED, b"", False, "A A A A"),
    Row(
        "half a head",
        b"HTTP/1.1 200 OK\r\nContent-",
        HANG, None, TIMEOUT, b"", False, "A A A A"),
    Row(
        "only 100",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        CLOSE, None, CLOSED, b"", False, "A A A A"),
    Row(
        "half a body, close",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
        CLOSE, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "half a body, reset",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
        RESET, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "half a body",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
        HANG, 200, TIMEOUT, b"OK", False, "A A A A"),
    Row(
        "body to the end, reset",
        b"HTTP/1.1 200 OK\r\n\r\nOK",
        RESET, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "body to the end that does not end",
        b"HTTP/1.1 200 OK\r\n\r\nOK",
        HANG, 200, TIMEOUT, b"OK", False, "A A A A"),
    Row(
        "half a chunk, close",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nOK",
        CLOSE, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "no last chunk, close",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        CLOSE, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "no last chunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        HANG, 200, TIMEOUT, b"OK", False, "A A A A"),
    Row(
        "bad chunk size",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\nzz\r\n",
        HANG, 200, BAD, b"OK", False, "A A A A"),
    Row(
        "chunk too long",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nOK\r\n0\r\n\r\n",
        HANG, 200, BAD, b"O", False, "A A A A"),
    Row(
        "not HTTP",
        b"220 mail.example ESMTP\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "HTML alone",
        b"<html><body>200 OK</body></html>",
        CLOSE, None, BAD, b"", False, "A A A A"),
    Row(
        "TLS",
        b"\x15\x03\x01\x00\x02\x02F",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "NUL",
        b"\0" * 100,
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "HTTP/2",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a status of two digits",
        b"HTTP/1.1 20 OK\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a status of letters",
        b"HTTP/1.1 abc OK\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a header without a colon",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a negative length",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "two lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "length and chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "another protocol",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "endless status line",
        b"HTTP/1.1 200 " + b"x" * 100_000,
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "endless head",
        b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyy\r\n" * 10_000,
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "endless interim answers",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        HANG, None, BAD, b"", False, "A A A A"),
    # what a 9bits receiver says in its body
    Row(
        "200 with 9bits' word",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"status":200}',
        KEEP, 200, None, b'{"status":200}', True, "D D D D"),
    Row(
        "200 with it as text",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"200"}',
        KEEP, 200, None, b'{"status":"200"}', True, "D D D D"),
    Row(
        "200 with it among others",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"
        b' {"id": 1, "status" : 200, "x": [1]}\n',
        KEEP, 200, None, b' {"id": 1, "status" : 200, "x": [1]}\n', True, "D D D D"),
    Row(
        "200 with another status",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"status":500}',
        KEEP, 200, None, b'{"status":500}', True, "D D A D"),
    Row(
        "200 with a status below",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n"
        b'{"data":{"status":200}}',
        KEEP, 200, None, b'{"data":{"status":200}}', True, "D D A D"),
    Row(
        "200 with a list",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n[{"status":200}]',
        KEEP, 200, None, b'[{"status":200}]', True, "D D A D"),
    Row(
        "200 with half of it",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"status":200',
        KEEP, 200, None, b'{"status":200', True, "D D A D"),
    Row(
        "200 with null",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
        KEEP, 200, None, b"null", True, "D D A D"),
    Row(
        "200 with true",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":true}',
        KEEP, 200, None, b'{"status":true}', True, "D D A D"),
    Row(
        "200 in another encoding",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n"
        b'\xff\xfe{\x00"\x00s\x00t\x00a\x00t\x00u\x00s\x00"\x00:\x002\x000\x000\x00}\x00',
        KEEP, 200, None, '{"status":200}'.encode("utf-16"), True, "D D A D"),
    Row(
        "200 nested very deep",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"[" * 2000 + b"]" * 2000,
        KEEP, 200, None, b"[" * 2000 + b"]" * 2000, True, "D D A D"),
    Row(
        "200 with a huge number",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":2e400}',
        KEEP, 200, None, b'{"status":2e400}', True, "D D A D"),
    Row(
        "500 with 9bits' word",
        b'HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"status":200}',
        KEEP, 500, None, b'{"status":200}', True, "A A A A"),
    Row(
        "404 with 9bits' word",
        b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"status":200}',
        KEEP, 404, None, b'{"status":200}', True, "N A N A"),
    Row(
        "200 compressed, which nobody asked for",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(GZIPPED), GZIPPED),
        KEEP, 200, None, GZIPPED, True, "D D A D"),
    # more statuses
    Row(
        "203",
        b"HTTP/1.1 203 Non-Authoritative\r\nContent-Length: 0\r\n\r\n",
        KEEP, 203, None, b"", True, "D D A D"),
    Row(
        "205",
        b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
        KEEP, 205, None, b"", True, "D D A D"),
    Row(
        "206",
        b"HTTP/1.1 206 Partial\r\nContent-Length: 0\r\n\r\n",
        KEEP, 206, None, b"", True, "D D A D"),
    Row(
        "226",
        b"HTTP/1.1 226 IM Used\r\nContent-Length: 0\r\n\r\n",
        KEEP, 226, None, b"", True, "D D A D"),
    Row(
        "299",
        b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n",
        KEEP, 299, None, b"", True, "D D A D"),
    Row(
        "300",
        b"HTTP/1.1 300 Choices\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        KEEP, 300, None, b"", True, "N A A A"),
    Row(
        "302",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        KEEP, 302, None, b"", True, "N A A A"),
    Row(
        "303",
        b"HTTP/1.1 303 See Other\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        KEEP, 303, None, b"", True, "N A A A"),
    Row(
        "307",
        b"HTTP/1.1 307 Temporary\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        KEEP, 307, None, b"", True, "N A A A"),
    Row(
        "308",
        b"HTTP/1.1 308 Permanent\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        KEEP, 308, None, b"", True, "N A A A"),
    Row(
        "402",
        b"HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n",
        KEEP, 402, None, b"", True, "N A N A"),
    Row(
        "403",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        KEEP, 403, None, b"", True, "N A N A"),
    Row(
        "405",
        b"HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\n\r\n",
        KEEP, 405, None, b"", True, "N A N A"),
    Row(
        "406",
        b"HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n",
        KEEP, 406, None, b"", True, "N A N A"),
    Row(
        "408",
        b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n",
        KEEP, 408, None, b"", True, "N A N A"),
    Row(
        "409",
        b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
        KEEP, 409, None, b"", True, "N A N A"),
    Row(
        "413",
        b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
        KEEP, 413, None, b"", True, "N A N A"),
    Row(
        "415",
        b"HTTP/1.1 415 Unsupported\r\nContent-Length: 0\r\n\r\n",
        KEEP, 415, None, b"", True, "N A N A"),
    Row(
        "418",
        b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n",
        KEEP, 418, None, b"", True, "N A N A"),
    Row(
        "421",
        b"HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n",
        KEEP, 421, None, b"", True, "N A N A"),
    Row(
        "422",
        b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n",
        KEEP, 422, None, b"", True, "N A N A"),
    Row(
        "425",
        b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n",
        KEEP, 425, None, b"", True, "N A N A"),
    Row(
        "451",
        b"HTTP/1.1 451 Legal\r\nContent-Length: 0\r\n\r\n",
        KEEP, 451, None, b"", True, "N A N A"),
    Row(
        "499",
        b"HTTP/1.1 499 Odd\r\nContent-Length: 0\r\n\r\n",
        KEEP, 499, None, b"", True, "N A N A"),
    Row(
        "501",
        b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n",
        KEEP, 501, None, b"", True, "A A A A"),
    Row(
        "502",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        KEEP, 502, None, b"", True, "A A A A"),
    Row(
        "504",
        b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n",
        KEEP, 504, None, b"", True, "A A A A"),
    Row(
        "507",
        b"HTTP/1.1 507 Storage\r\nContent-Length: 0\r\n\r\n",
        KEEP, 507, None, b"", True, "A A A A"),
    Row(
        "511",
        b"HTTP/1.1 511 Login\r\nContent-Length: 0\r\n\r\n",
        KEEP, 511, None, b"", True, "A A A A"),
    Row(
        "599",
        b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
        KEEP, 599, None, b"", True, "A A A A"),
    Row(
        "600",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
        KEEP, 600, None, b"", True, "A A A A"),
    Row(
        "429 alone",
        b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n",
        KEEP, 429, None, b"", True, "A A S A"),
    Row(
        "426",
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
        KEEP, 426, None, b"", True, "N A N A"),
    Row(
        "200 that offers another protocol",
        b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nOK",
        KEEP, 200, None, b"OK", True, "D D A D"),
    # lies about the length and the connection
    Row(
        "keep-alive, but closed",
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "keep-alive, but reset",
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK",
        RESET, 200, None, b"OK", False, "D D A D"),
    Row(
        "a length in many digits",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a length with a plus",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a length in words",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "an empty length",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a list of lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "204 with a body",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nOK",
        HANG, 204, None, b"", False, "D D A D"),
    Row(
        "304 with a length",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        KEEP, 304, None, b"", True, "N A A A"),
    Row(
        "HTTP/1.0 with a length",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "HTTP/1.0 chunked",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "HTTP/0.9",
        b"OK\r\n",
        CLOSE, None, BAD, b"", False, "A A A A"),
    Row(
        "HTTP/3.0",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "in lower case",
        b"http/1.1 200 ok\r\ncontent-length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a chunk size beyond all",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nOK",
        HANG, 200, BAD, b"", False, "A A A A"),
    Row(
        "a negative chunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nOK\r\n",
        HANG, 200, BAD, b"", False, "A A A A"),
    Row(
        "another transfer coding",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nOK",
        CLOSE, 200, None, b"OK", False, "D D A D"),
    Row(
        "half a status line, reset",
        b"HTTP/1.1 20",
        RESET, None, CLOSED, b"", False, "A A A A"),
    Row(
        "half a head, reset",
        b"HTTP/1.1 200 OK\r\nContent-",
        RESET, None, CLOSED, b"", False, "A A A A"),
    Row(
        "half a chunk, reset",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nOK",
        RESET, 200, CLOSED, b"OK", False, "A A A A"),
    Row(
        "a whole answer, reset",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        RESET, 200, None, b"OK", False, "D D A D"),
    # bombs
    Row(
        "a thousand headers",
        b"HTTP/1.1 200 OK\r\n" + b"X-Odd: yes\r\n" * 1000 + b"Content-Length: 0\r\n\r\n",
        KEEP, 200, None, b"", True, "D D A D"),
    Row(
        "a header of 60 KiB",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60 * 1024 + b"\r\nContent-Length: 0\r\n\r\n",
        KEEP, 200, None, b"", True, "D D A D"),
    Row(
        "a header of 70 KiB",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70 * 1024 + b"\r\nContent-Length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a header's name of 70 KiB",
        b"HTTP/1.1 200 OK\r\n" + b"X" * 70 * 1024 + b": y\r\nContent-Length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "endless trailers",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n" + b"X: y\r\n" * 20_000,
        HANG, 200, None, b"OK", False, "D D A D"),
    Row(
        "an endless chunk extension",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=" + b"y" * 100_000,
        HANG, 200, None, b"", False, "D D A D"),
    Row(
        "exactly 64 KiB",
        b"HTTP/1.1 200 OK\r\nContent-Length: 65494\r\n\r\n" + b"x" * 65_494,
        KEEP, 200, None, b"x" * 4096, True, "D D A D"),
    # continuation lines, bare line feeds, NULs in fields
    Row(
        "a folded header",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "bare line feeds",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a NUL in a header",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        HANG, None, BAD, b"", False, "A A A A"),
    Row(
        "a space before a colon",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nOK",
        HANG, None, BAD, b"", False, "A A A A"),)
# fmt: on

# Retry-After as it was sent, with which status; the wait in seconds under each profile in the order above, None for the
# schedule's own (5, 60, 30 to 33 and 5 s).
RETRY_AFTER: Final[tuple[tuple[str, int, tuple[float | None, ...]], ...]] = (
    ("120", 429, (120, None, 120, 120)),
    ("120", 503, (120, None, None, 120)),
    ("120", 500, (120, None, None, 120)),
    ("0", 429, (None, None, 1, None)),
    ("1", 429, (None, None, 1, None)),
    ("4", 503, (None, None, None, None)),
    (" 120 ", 429, (120, None, 120, 120)),
    ("7200", 429, (7200, None, 3600, 7200)),
    ("99999999999999999999999999", 429, (86_400, None, 3600, 86_400)),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 429, (None, None, 1, None)),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 429, (86_400, None, 3600, 86_400)),
    ("", 429, (None, None, None, None)),
    ("soon", 429, (None, None, None, None)),
    ("-5", 429, (None, None, None, None)),
    ("1.5", 429, (None, None, None, None)),
    ("1e9", 429, (None, None, None, None)),
    ("١٢٠", 429, (None, None, None, None)),
    ("120, 240", 429, (None, None, None, None)),
    ("Sun, 99 Foo 1994", 429, (None, None, None, None)),
    ("120; 240", 503, (None, None, None, None)),
)
