"""The wire of the callback client: what it remembers of answers gives what its parser gives, however they are cut."""

from typing import Any, cast

import pytest

from kvitto.callbacks.addresses import AddressPolicy
from kvitto.callbacks.wire import KNOWN_ANSWER_BYTES, KNOWN_ANSWERS, Answer, PostFailure, PostRequest, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
KEPT = [
    OK,
    NO_CONTENT,
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 202 Accepted\r\nDate: Mon, 09 Mar 2026 14:06:00 GMT\r\nServer: x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1;x=y\r\nK\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: 7 \r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nOK",
]
"""Answers after which the connection can be used again."""
SPOILT = [
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK",
    OK + b"garbage",
    OK + OK,
    OK + b"H",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nOK",
    b"220 mail.example ESMTP\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
]


class Transport:
    def __init__(self) -> None:
        self.unsent = 0
        self.aborted = False

    def write(self, octets: bytes) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Pool:
    """Writes down what its wire tells. ``known`` False: it remembers nothing, so that the parser reads all."""

    def __init__(self, *, known: bool = True, read_bytes: int = 65_536) -> None:
        self.known_answers: dict[bytes, Answer] = {} if known else cast(Any, Forgetful())
        self.told: list[Any] = []
        self.transport = Transport()
        self.wire = Wire(self, read_bytes, 4096)
        self.wire.connection_made(cast(Any, self.transport))

    def answered(self, post: PostRequest, wire: Wire, answer: Answer, free: bool, truncated: bool) -> None:
        self.told.append((answer, free, truncated, wire.post, post.wire))

    def failed(self, post: PostRequest, wire: Wire, failure: PostFailure, detail: str) -> None:
        self.told.append((failure, detail, wire.status, wire.body))

    def lost(self, wire: Wire, again: PostRequest | None) -> None:
        raise AssertionError("not attached")

    def post(self, *pieces: bytes) -> list[Any]:
        """Post once, let these octets come, the connection end; returns what was told of it."""
        post = PostRequest("http://sink.example/", b"", b"{}", AddressPolicy())
        post.octets, post.retried = b"", False
        self.told.clear()
        self.wire.send(post)
        for piece in pieces:
            if piece and not self.transport.aborted:
                self.wire.data_received(piece)
        return list(self.told)


class Forgetful(dict[bytes, Answer]):
    def __setitem__(self, octets: bytes, answer: Answer) -> None:
        pass


@pytest.mark.parametrize("octets", KEPT + SPOILT)
def test_an_answer_is_told_alike_known_or_not_and_however_it_is_cut(octets: bytes):
    for at in range(len(octets)):
        pieces = octets[:at], octets[at:]
        pool, plain = Pool(), Pool(known=False)
        for seen in KEPT:
            assert pool.post(seen) == plain.post(seen)
        assert len(pool.known_answers) == len(KEPT)
        assert plain.known_answers == {}
        assert pool.post(*pieces) == plain.post(*pieces)
        assert pool.transport.aborted == plain.transport.aborted
        if octets in KEPT:
            assert pool.told[0][1] is True
            assert pool.post(octets) == plain.post(octets) == pool.post(octets)
            assert pool.post(NO_CONTENT) == plain.post(NO_CONTENT)


def test_octets_after_a_part_of_another_answer_are_not_taken_for_a_known_one():
    pool, plain = Pool(), Pool(known=False)
    for one in (pool, plain):
        one.post(OK)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(OK) + 3)
    assert pool.post(head, OK, b"end") == plain.post(head, OK, b"end")
    assert pool.told[0][0].body == OK + b"end"


@pytest.mark.parametrize("octets", SPOILT)
def test_what_spoils_the_connection_is_not_remembered(octets: bytes):
    pool = Pool()
    pool.post(octets)
    assert pool.known_answers == {}


def test_a_known_answer_before_the_request_is_written_spoils_the_connection_like_any():
    pool = Pool()
    pool.post(OK)
    pool.transport.unsent = 1
    ((answer, free, truncated, *_),) = pool.post(OK)
    assert (answer.status, answer.body, free, truncated, pool.transport.aborted) == (200, b"OK", False, False, True)


def test_only_a_few_short_answers_are_remembered():
    pool = Pool()
    for number in range(3 * KNOWN_ANSWERS):
        pool.post(b"HTTP/1.1 200 OK\r\nX: %d\r\nContent-Length: 0\r\n\r\n" % number)
        assert 0 < len(pool.known_answers) <= KNOWN_ANSWERS
    pool.known_answers.clear()
    long = b"x" * KNOWN_ANSWER_BYTES
    pool.post(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(long), long))
    assert pool.known_answers == {}


def test_octets_beyond_the_bound_are_not_read_and_spoil_the_connection():
    pool = Pool(read_bytes=len(OK))
    ((answer, free, *_),) = pool.post(OK + OK)
    assert (answer.status, answer.body, free) == (200, b"OK", False)
    assert pool.transport.aborted


def test_octets_that_nobody_asked_for_end_the_connection_known_or_not():
    pool = Pool()
    pool.post(OK)
    pool.wire.data_received(OK)
    assert pool.transport.aborted
    assert len(pool.told) == 1
