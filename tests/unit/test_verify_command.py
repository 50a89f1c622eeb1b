"""``kvitto verify``: genuine or not, and why, in words."""

import base64

import pytest

from kvitto.callbacks.signing import signature
from kvitto.cli.verify import judge, read_request
from kvitto.core.errors import BadInput
from kvitto.dialects.sinch.callbacks import signature as sinch_signature

SECRET = "whsec_" + base64.b64encode(b"a secret of at least 24 octets").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of 24 octets or more").decode()
NOW = 1_795_318_864_000
STAMP = str(NOW // 1000)
BODY = b'{"status": "Delivered"}'


def signed(body: bytes = BODY, secret: str = SECRET, stamp: str = STAMP, *, sinch: bool = False) -> dict[str, str]:
    fields = {
        "webhook-id": "cb_1_2",
        "webhook-timestamp": stamp,
        "webhook-signature": signature(secret, "cb_1_2", stamp, body),
    }
    if sinch:
        fields |= {
            "x-sinch-webhook-signature": sinch_signature(body, secret, "nonce", stamp),
            "x-sinch-webhook-signature-nonce": "nonce",
            "x-sinch-webhook-signature-timestamp": stamp,
        }
    return fields


def words(headers: dict[str, str], body: bytes = BODY, *secrets: str) -> list[tuple[bool, str]]:
    return [(one.genuine, one.words) for one in judge(headers, body, list(secrets or (SECRET,)), NOW, 300)]


def test_both_signatures_are_judged_where_both_are_there():
    assert [genuine for genuine, _ in words(signed(sinch=True))] == [True, True]
    assert [genuine for genuine, _ in words(signed())] == [True]


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({}, BODY, "webhook-id"),
        ({"webhook-id": "cb_1_2", "webhook-timestamp": STAMP}, BODY, "webhook-signature"),
        (signed(stamp=str(NOW // 1000 - 400)), BODY, "too old"),
        (signed(stamp=str(NOW // 1000 + 400)), BODY, "future"),
        (signed(stamp="soon"), BODY, "no number"),
        (signed(secret=OTHER), BODY, "another secret"),
        (signed(), b'{"status": "Failed"}', "body"),
    ],
)
def test_what_is_wrong_is_said(headers, body, said):
    ((genuine, sentence),) = words(headers, body)
    assert not genuine
    assert said in sentence


def test_during_a_rotation_either_secret_will_do():
    assert words(signed(secret=OTHER), BODY, SECRET, OTHER)[0][0]


def test_a_line_break_at_the_end_and_a_rewritten_body_are_recognised():
    compact = b'{"status":"Delivered"}'
    (newline,) = judge(signed(compact), compact + b"\n", [SECRET], NOW, 300)
    assert any("line break" in hint for hint in newline.hints)
    (pretty,) = judge(signed(compact), b'{\n "status": "Delivered"\n}', [SECRET], NOW, 300)
    assert any("written again" in hint for hint in pretty.hints)


def test_a_secret_that_is_none_is_told():
    (one,) = judge(signed(), BODY, ["sesame"], NOW, 300)
    assert any("whsec_" in hint for hint in one.hints)


@pytest.mark.parametrize("name", ["x-sinch-webhook-signature-nonce", "x-sinch-webhook-signature"])
def test_sinchs_headers_are_missed_by_name(name):
    headers = signed(sinch=True)
    del headers[name]
    sinch = judge(headers, BODY, [SECRET], NOW, 300)[-1]
    assert not sinch.genuine
    assert name in sinch.words


def test_sinchs_signature_has_its_time_too():
    headers = signed(sinch=True, stamp=str(NOW // 1000 - 400))
    assert ["too old" in one.words for one in judge(headers, BODY, [SECRET], NOW, 300)] == [True, True]


@pytest.mark.parametrize(
    "octets",
    [
        b"POST / HTTP/1.1\r\nA: b\r\nContent-Length: 2\r\n\r\nhi",
        b"POST / HTTP/1.1\nA: b\nContent-Length: 2\n\nhi",
        b"A: b\r\nContent-Length: 2\r\n\r\nhi\n",
        b"A: b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
    ],
)
def test_a_raw_request_is_cut_into_fields_and_body(octets):
    headers, body = read_request(octets)
    assert (headers["a"], body) == ("b", b"hi")


@pytest.mark.parametrize(
    "octets", [b"", b"no request", b"\r\n\r\nbody", b"A: b\r\nTransfer-Encoding: chunked\r\n\r\nx"]
)
def test_what_is_no_request_is_refused(octets):
    with pytest.raises(BadInput):
        read_request(octets)
