"""Ids: ULIDs that rise, number their batch's messages, and are never used twice."""

import re

import pytest

from kvitto.core.ids import (
    MESSAGES_PER_BATCH,
    IdMaker,
    batch_of,
    empty_batch_id,
    message_ids,
    message_range,
    new_nonce,
    new_secret,
    new_token,
)
from tests.support.clock import FakeClock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def milliseconds(ulid: str) -> int:
    """The first ten characters of a ULID: its time."""
    value = 0
    for character in ulid[:10]:
        value = value * 32 + ALPHABET.index(character)
    return value


def test_a_batch_id_is_a_ulid_with_room_for_its_messages(clock: FakeClock):
    made = IdMaker(clock).new()
    assert re.fullmatch(f"[0-7][{ALPHABET}]{{21}}0000", made)
    assert milliseconds(made) == clock.now()


def test_ids_of_one_millisecond_rise_and_differ(clock: FakeClock):
    maker = IdMaker(clock)
    made = [maker.new() for _ in range(5000)]
    assert made == sorted(set(made))


def test_ids_rise_with_time_and_when_the_clock_falls_back(clock: FakeClock):
    maker = IdMaker(clock)
    made = []
    for seconds in (1, 5, -3600, 1, 3700):
        made.append(maker.new())
        clock.jump(seconds)
    made.append(maker.new())
    assert made == sorted(set(made))


def test_two_makers_do_not_meet(clock: FakeClock):
    first, second = IdMaker(clock), IdMaker(clock)
    assert not {first.new() for _ in range(1000)} & {second.new() for _ in range(1000)}


def test_message_ids_count_up_from_the_batchs(clock: FakeClock):
    batch = IdMaker(clock).new()
    ids = message_ids(batch, 3000)
    assert ids == sorted(set(ids))
    assert (ids[0][-4:], ids[31][-4:], ids[1023][-4:], ids[1024][-4:]) == ("0001", "0010", "0100", "0101")
    assert {batch_of(one) for one in ids} == {batch}
    assert message_ids(batch, 2, start=3) == ids[2:4]
    assert message_ids(batch, 0) == []


def test_a_batch_has_room_for_a_million_messages(clock: FakeClock):
    batch = IdMaker(clock).new()
    (last,) = message_ids(batch, 1, start=MESSAGES_PER_BATCH)
    assert last[-4:] == "ZZZZ"
    assert batch_of(last) == batch
    with pytest.raises(IndexError):
        message_ids(batch, 1, start=MESSAGES_PER_BATCH + 1)


def test_the_range_of_a_batch_holds_its_messages_and_no_others(clock: FakeClock):
    maker = IdMaker(clock)
    batches = [maker.new() for _ in range(50)]
    first, last = message_range(batches[20])
    for batch in batches:
        inside = [
            first <= one <= last for one in (*message_ids(batch, 2), *message_ids(batch, 1, start=MESSAGES_PER_BATCH))
        ]
        assert inside == [batch == batches[20]] * 3
        assert not first <= batch <= last


def test_secrets_are_long_and_never_the_same():
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", new_secret())
    assert len(new_token()) >= 32
    assert re.fullmatch(r"[0-9a-f]{32}", new_nonce())
    for make in (new_secret, new_token, new_nonce):
        assert len({make() for _ in range(100)}) == 100


def test_an_id_for_nothing_has_the_form_and_the_time_of_one():
    clock = FakeClock()
    made, empty = IdMaker(clock).new(), empty_batch_id(clock.now(), b"a request")
    assert (len(empty), empty[:10], empty[-4:]) == (26, made[:10], "0000")
    assert empty == empty_batch_id(clock.now(), b"a request") != empty_batch_id(clock.now(), b"another")
