"""The judge itself: it must see each fault that it is there for, and none where there is none."""

from dataclasses import fields
from typing import Any

import pytest

from tests.support.judge import ServerView, Verdict, judge
from tests.support.ledger import LedgerEntry
from tests.support.pcluster import SmscRecord

ENTRIES = [
    LedgerEntry(batch_id="B1", recipients=("461", "462"), report="per_recipient_final"),
    LedgerEntry(batch_id="B2", recipients=("463",), report="full"),
]
REPORTS = {"B1": "per_recipient_final", "B2": "full"}
BATCHES = {"B1": {"461": "Delivered", "462": "Delivered"}, "B2": {"463": "Delivered"}}
CALLBACKS: list[dict[str, Any]] = [
    {"batch_id": "B1", "recipient": "461"},
    {"batch_id": "B1", "recipient": "462"},
    {"batch_id": "B2", "statuses": []},
]


def smsc(*numbers: str, answered: tuple[str, ...] | None = None) -> SmscRecord:
    record = SmscRecord()
    for number in numbers:
        record.submit(number, "id", 0)
    for number in numbers if answered is None else answered:
        record.receipt_sent(number, "id", 1)
        record.receipt_answered(number, "id", 0)
    return record


def decide(
    batches: dict[str, dict[str, str]] = BATCHES,
    in_doubt: frozenset[str] = frozenset(),
    record: SmscRecord | None = None,
    callbacks: list[dict[str, Any]] = CALLBACKS,
) -> Verdict:
    view = ServerView(batches=batches, reports=REPORTS, in_doubt=in_doubt)
    return judge(ENTRIES, view, record or smsc("461", "462", "463"), callbacks)


def test_all_well_is_good_and_counted():
    verdict = decide()
    assert verdict.good, verdict.explain()
    assert (verdict.messages, verdict.acknowledged, verdict.delivered) == (3, 3, 3)


@pytest.mark.parametrize(
    ("fault", "found", "told"),
    [
        ("lost", ["B2"], {"batches": {"B1": BATCHES["B1"]}, "record": smsc("461", "462"), "callbacks": CALLBACKS[:2]}),
        (
            "lost",
            ["B1"],
            {
                "batches": {"B1": {"461": "Delivered"}, "B2": BATCHES["B2"]},
                "record": smsc("461", "463"),
                "callbacks": [CALLBACKS[0], CALLBACKS[2]],
            },
        ),
        ("sent_twice", ["462"], {"record": smsc("461", "462", "462", "463")}),
        ("unknown_at_smsc", ["469"], {"record": smsc("461", "462", "463", "469", answered=("461", "462", "463"))}),
        ("callbacks_missing", ["B1/462"], {"callbacks": [CALLBACKS[0], CALLBACKS[2]]}),
        ("callbacks_missing", ["B2"], {"callbacks": CALLBACKS[:2]}),
        ("callbacks_invented", ["B1/469"], {"callbacks": [*CALLBACKS, {"batch_id": "B1", "recipient": "469"}]}),
    ],
)
def test_one_fault_is_named_and_nothing_else(fault, found, told):
    assert decide(**told).faults == {fault: found}


def test_an_answered_receipt_that_changed_nothing_is_lost():
    verdict = decide({**BATCHES, "B2": {"463": "Dispatched"}}, callbacks=CALLBACKS[:2])
    assert verdict.faults == {"receipts_lost": ["463"], "unfinished": ["463"]}


def test_an_answered_receipt_under_another_final_status_is_told():
    verdict = decide({**BATCHES, "B2": {"463": "Unknown"}})
    assert verdict.faults == {"receipts_lost": ["463"], "not_delivered": ["463"]}


def test_a_message_that_was_never_sent_and_is_not_in_doubt_is_unsent_in_silence():
    verdict = decide({**BATCHES, "B2": {"463": "Queued"}}, record=smsc("461", "462"), callbacks=CALLBACKS[:2])
    assert verdict.faults == {"unsent_unlisted": ["463"], "unfinished": ["463"]}


def test_in_doubt_and_never_sent_is_allowed():
    batches = {**BATCHES, "B2": {"463": "Queued"}}
    verdict = decide(batches, frozenset({"463"}), smsc("461", "462"), CALLBACKS[:2])
    assert verdict.good, verdict.explain()
    assert verdict.in_doubt == ["463"]


def test_in_doubt_though_it_was_sent_is_not_adopted():
    batches = {**BATCHES, "B2": {"463": "Queued"}}
    record = smsc("461", "462", "463", answered=("461", "462"))
    assert decide(batches, frozenset({"463"}), record, CALLBACKS[:2]).faults == {"unadopted": ["463"]}


def test_a_callback_taken_twice_is_counted_and_allowed():
    verdict = decide(callbacks=[*CALLBACKS, CALLBACKS[0]])
    assert verdict.good
    assert verdict.callbacks_duplicated == 1


def test_explain_names_the_fault_its_size_and_its_members():
    text = decide(record=smsc("461", "462", "462", "463")).explain()
    assert "sent twice: 1 (462)" in text


def test_every_list_but_in_doubt_counts_as_a_fault():
    empty: dict[str, Any] = {
        one.name: [] if one.type == "list[str]" or one.type == list[str] else 0 for one in fields(Verdict)
    }
    for name in [name for name, value in empty.items() if value == []]:
        assert Verdict(**{**empty, name: ["x"]}).good is (name == "in_doubt")


# ---- texts in several parts


def long_smsc(parts: int, *, answered: int, again: int | None = None) -> SmscRecord:
    """An SMSC that took ``parts`` parts of 461, and whose receipts for the first ``answered`` were answered."""
    record = smsc("462", "463")
    for part in [*range(1, parts + 1), *([again] if again else [])]:
        record.part = part
        record.submit("461", f"id{part}", 0)
    record.part = 1
    for part in range(1, answered + 1):
        record.receipt_sent("461", f"id{part}", 1)
        record.receipt_answered("461", f"id{part}", 0)
    return record


def decide_long(status: str, record: SmscRecord, in_doubt: frozenset[str] = frozenset()) -> Verdict:
    batches = {**BATCHES, "B1": {"461": status, "462": "Delivered"}}
    callbacks = CALLBACKS if status == "Delivered" else CALLBACKS[1:]
    view = ServerView(batches=batches, reports=REPORTS, in_doubt=in_doubt)
    return judge(ENTRIES, view, record, callbacks, {"461": 3})


def test_a_long_text_is_whole_when_every_part_is():
    assert decide_long("Delivered", long_smsc(3, answered=3)).good


def test_one_part_twice_is_twice_however_many_there_are():
    assert set(decide_long("Delivered", long_smsc(3, answered=3, again=2)).faults) == {"sent_twice"}


def test_all_parts_answered_and_not_delivered_is_a_lost_receipt():
    assert "receipts_lost" in decide_long("Dispatched", long_smsc(3, answered=3)).faults


def test_a_long_text_in_doubt_that_reached_the_smsc_whole_is_not_adopted():
    faults = decide_long("Queued", long_smsc(3, answered=3), frozenset({"461"})).faults
    assert faults == {"receipts_lost": ["461"], "unadopted": ["461"]}


def test_a_long_text_of_which_parts_never_reached_the_smsc_stays_in_doubt():
    assert decide_long("Queued", long_smsc(1, answered=1), frozenset({"461"})).good


def test_a_part_that_never_left_and_is_not_listed_is_silently_unsent():
    assert "unsent_unlisted" in decide_long("Dispatched", long_smsc(2, answered=2)).faults
