"""Requests, responses and their octets."""

import pytest

from kvitto.intake.exchange import Reply, Request, Response, ResponseWriter

AFTERNOON_AT = 1_773_065_100_000  # Mon, 09 Mar 2026 14:05:00 GMT


def writer() -> ResponseWriter:
    made = ResponseWriter()
    made.set_time(AFTERNOON_AT + 999)
    return made


def get(**fields) -> Request:
    return Request("GET", "/", "/", **fields)


@pytest.mark.parametrize(
    ("response", "request_", "close", "octets"),
    [
        (
            Response(201, b"{}", "application/json"),
            get(),
            False,
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            b"Date: Mon, 09 Mar 2026 14:05:00 GMT\r\n\r\n{}",
        ),
        (
            Response(404, headers=(("Allow", "GET"),)),
            get(),
            True,
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nDate: Mon, 09 Mar 2026 14:05:00 GMT\r\n"
            b"Allow: GET\r\nConnection: close\r\n\r\n",
        ),
        (
            Response(299, b"x"),
            get(http10=True),
            False,
            b"HTTP/1.1 299 Status\r\nContent-Length: 1\r\nDate: Mon, 09 Mar 2026 14:05:00 GMT\r\n"
            b"Connection: keep-alive\r\n\r\nx",
        ),
        (
            Response(304, b"x"),
            get(),
            False,
            b"HTTP/1.1 304 Not Modified\r\nDate: Mon, 09 Mar 2026 14:05:00 GMT\r\n\r\n",
        ),
        (
            Response(400, b"x"),
            None,
            True,
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1\r\nDate: Mon, 09 Mar 2026 14:05:00 GMT\r\n"
            b"Connection: close\r\n\r\nx",
        ),
    ],
)
def test_responses_are_written(response, request_, close, octets):
    assert writer().render(response, request_, close) == octets


def test_a_content_type_cannot_break_the_framing():
    with pytest.raises(ValueError, match="line break"):
        writer().render(Response(200, b"", "text/plain\r\nX: y"), None, False)


def test_many_content_types_do_not_fill_the_memory():
    made = writer()
    for number in range(1000):
        octets = made.render(Response(200, b"", f"text/{number}"), None, False)
        assert f"Content-Type: text/{number}\r\n".encode() in octets
    assert len(made._heads) <= 256


def test_a_reply_is_delivered_once_whether_it_is_sent_before_or_after():
    got: list[Response] = []
    first, second = Response(200), Response(201)
    before, after = Reply(), Reply()
    before.send(first)
    before.bind(got.append)
    after.bind(got.append)
    after.send(second)
    after.send(first)
    assert got == [first, second]


def test_values_show_no_content():
    request = Request("POST", "/xms/v1/plan?to=46701740611", headers={b"authorization": b"Bearer t"}, body=b"secret")
    for shown in (repr(request), repr(Response(200, b"secret"))):
        assert not any(word in shown for word in ("46701740611", "secret", "Bearer"))
