"""Statuses in words: a sentence for every pair that can exist, and no error where there is none."""

import pytest

from kvitto.core.spans import BOUNDS_MS, bucket_of, percentile
from kvitto.core.status import REASONS_OF, ErrorSource, Note, Reason, Status, StatusError
from kvitto.core.words import NOTES, SENTENCES, TITLES, describe_error, explain

PAIRS = [(status, reason) for status, reasons in REASONS_OF.items() for reason in reasons]


@pytest.mark.parametrize(("status", "reason"), PAIRS, ids=str)
def test_every_pair_of_status_and_reason_has_one_sentence_of_its_own(status, reason):
    words = explain(status, reason)
    assert words.endswith(".")
    assert words[0].isupper()
    assert list(SENTENCES.values()).count(words) == 1


def test_no_sentence_is_of_a_pair_that_cannot_exist():
    assert set(SENTENCES) == set(PAIRS)
    assert set(TITLES) == set(Status)


@pytest.mark.parametrize("note", [note for note in Note if note])
def test_a_note_adds_its_words(note):
    words = explain(Status.DELIVERED, Reason.DELIVERED, note)
    assert words == f"A receipt says that it reached the phone. {NOTES[note]}"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StatusError(ErrorSource.SUBMIT, command_status=0x0B), "command_status 0x0B"),
        (StatusError(ErrorSource.NETWORK, "027"), "error 027"),
        (StatusError(ErrorSource.NETWORK, None, 3, 27), "network error 27"),
        (StatusError(ErrorSource.NETWORK, "000"), ""),
        (StatusError(ErrorSource.LOCAL), ""),
        (StatusError(), ""),
    ],
)
def test_an_error_is_said_after_the_sentence_where_it_says_something(error, words):
    assert describe_error(error) == words
    told = explain(Status.FAILED, Reason.UNDELIVERABLE, error=error)
    assert told == "A receipt says that it cannot be delivered" + (f" ({words})." if words else ".")


def test_a_delivered_message_shows_no_error_whatever_the_receipt_said():
    told = explain(Status.DELIVERED, Reason.DELIVERED, error=StatusError(ErrorSource.NETWORK, "001"))
    assert told == SENTENCES[Status.DELIVERED, Reason.DELIVERED]


@pytest.mark.parametrize("length", [0, 1, 10, 11, 999, 5000, 5001, 10**12])
def test_a_length_lies_in_its_bucket(length):
    bucket = bucket_of(length)
    assert bucket == len(BOUNDS_MS) or length <= BOUNDS_MS[bucket]
    assert bucket == 0 or length > BOUNDS_MS[bucket - 1]


def test_percentiles_lie_within_their_bucket_and_rise():
    counts = {bucket_of(400): 90, bucket_of(4000): 9, bucket_of(90_000): 1}
    p50, p95, p99 = (percentile(counts, share) for share in (0.5, 0.95, 0.99))
    assert p50 is not None
    assert p95 is not None
    assert p99 is not None
    assert 300 < p50 <= 500 < 3000 < p95 <= p99 <= 5000
    assert percentile({}, 0.5) is None
