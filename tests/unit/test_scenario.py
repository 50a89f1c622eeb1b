"""Scenarios: mistakes are told with key, value and reason; the same seed draws the same; the page is the model's."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from kvitto.core.errors import SettingsError
from kvitto.simulator import make_scenario, read_scenario
from kvitto.simulator.limits import BindLimits, Rate
from kvitto.simulator.numbers import Answer, LongText
from kvitto.simulator.page import document
from kvitto.simulator.pending import Written
from kvitto.simulator.receipts import incoming_pdu, receipt_pdu, styled_receipt
from kvitto.simulator.scenario import SECTIONS, Connection, Scenario
from kvitto.simulator.script import Script, style_of
from kvitto.simulator.style import IdStyle
from kvitto.smpp.pdus import DataSm, DeliverSm, SubmitSm
from kvitto.smpp.spec import MessageState, Tlv

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "scenarios").glob("*.toml"))
AT = 1_773_065_100_000
"""2026-03-09 14:05:00 UTC."""


def script(seed=1, **table):
    return Script(make_scenario(table), random.Random(seed))


def to(number, **fields):
    return SubmitSm(destination_addr=number, source_addr="Kvitto", registered_delivery=1, **fields)


def problem(**table):
    with pytest.raises(SettingsError) as caught:
        make_scenario(table, source="file x.toml")
    [one] = caught.value.problems
    return one


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "key", "value", "reason"),
    [
        ({"sed": 1}, "sed", "1", "no such key; seed is one"),
        ({"seed": "x"}, "seed", '"x"', "must be a valid integer"),
        ({"magic_numbers": 1}, "magic_numbers", "1", "must be a valid boolean"),
        ({"connection": 1}, "connection", "1", "is a table, with keys of its own"),
        ({"connection": {"windw": 5}}, "connection.windw", "5", "no such key; window is one"),
        ({"connection": {"window": 0}}, "connection.window", "0", "must be greater than or equal to 1"),
        ({"throttle": {"status": 0}}, "throttle.status", "0", "must be greater than or equal to 1"),
        ({"throttle": {"per_s": float("inf")}}, "throttle.per_s", "Infinity", "must be a finite number"),
        ({"faults": {"cut_after_sent_bytes": -1}}, "faults.cut_after_sent_bytes", "-1", "greater than or equal to 1"),
        ({"default": {"answers": [{"share": 1.5}]}}, "default.answers.0.share", "1.5", "less than or equal to 1"),
        (
            {"default": {"answers": [{"share": 0.5}]}},
            "default",
            "{...}",
            "the shares of answers add up to 0.5, not to 1",
        ),
        ({"default": {"outcomes": []}}, "default", "{...}", "the shares of outcomes add up to 0, not to 1"),
        ({"default": {"answers": [{"status": 1, "kind": "none"}]}}, "default.answers.0", "{...}", "gives no answer"),
        ({"default": {"answers": [{"once": True}]}}, "default.answers.0", "{...}", "a status other than 0"),
        (
            {"default": {"answers": [{"kind": "maybe"}]}},
            "default.answers.0.kind",
            '"maybe"',
            "must be 'answer', 'none'",
        ),
        (
            {"default": {"receipts": {"delay": {"kind": "uniform", "min_ms": 5, "max_ms": 1}}}},
            "default.receipts.delay",
            "{...}",
            "min_ms 5 is above max_ms 1",
        ),
        (
            {"default": {"receipts": {"delay": {"kind": "gauss"}}}},
            "default.receipts.delay",
            "{...}",
            'kind = "fixed", "uniform" or "lognormal"',
        ),
        ({"default": {"receipts": {"delay": {"kind": "fixed"}}}}, "default.receipts.delay.ms", '""', "must be given"),
        (
            {"default": {"receipts": {"template": "id:{ID}"}}},
            "default.receipts.template",
            '"id:{ID}"',
            "{ID} is no field; there are id, sub",
        ),
        ({"default": {"receipts": {"template": "{id"}}}, "default.receipts.template", '"{id"', "no template"),
        ({"default": {"receipts": {"template": "{id.x}"}}}, "default.receipts.template", '"{id.x}"', "is no field"),
        ({"default": {"receipts": {"time_zone": "Mars"}}}, "default.receipts.time_zone", '"Mars"', "no such time zone"),
        (
            {"default": {"receipts": {"tlvs": ["id"]}}},
            "default.receipts.tlvs.0",
            '"id"',
            "must be 'receipted_message_id'",
        ),
        (
            {"default": {"outcomes": [{"receipts": [{"state": "GONE"}]}]}},
            "default.outcomes.0.receipts.0.state",
            '"GONE"',
            "must be one of SCHEDULED, ENROUTE",
        ),
        (
            {"default": {"outcomes": [{"receipts": [{"stat": "DONE€"}]}]}},
            "default.outcomes.0.receipts.0.stat",
            '"DONE€"',
            "characters of Latin-1 only",
        ),
        ({"default": {"ids": {"text": {"base": "oct"}}}}, "default.ids.text.base", '"oct"', "must be 'dec' or 'hex'"),
        ({"rules": [{"prefix": ["+46"]}]}, "rules.0.prefix.0", '"+46"', "digits only"),
        ({"rules": [{"prefix": "46"}]}, "rules.0.prefix", '"46"', "must be a valid array"),
        ({"rules": [{}, {"share": 2}]}, "rules.1.share", "2", "less than or equal to 1"),
        ({"rules": [{"receipt": {}}]}, "rules.0.receipt", "{...}", "no such key; receipts is one"),
        ({"rules": {}}, "rules", "{...}", "must be a valid array"),
        ({"incoming": [{"source": "1"}]}, "incoming.0.destination", '""', "must be given"),
    ],
)
def test_a_mistake_is_told_with_key_value_and_reason(table, key, value, reason):
    told = problem(**table)
    assert (told.key, told.value, told.source) == (key, value, "file x.toml")
    assert reason in told.reason


def test_a_mistake_in_the_default_is_told_once_and_not_by_every_rule():
    told = problem(default={"receipts": {"ucs2": 3}}, rules=[{"prefix": ["1"]}, {"prefix": ["2"]}])
    assert told.key == "default.receipts.ucs2"


def test_all_mistakes_are_told_at_once():
    with pytest.raises(SettingsError) as caught:
        make_scenario({"sed": 1, "seed": "x", "throttle": {"burst": 0}})
    assert [problem.key for problem in caught.value.problems] == ["seed", "throttle.burst", "sed"]


@pytest.mark.parametrize(
    ("octets", "reason"),
    [(b"seed = ", "no TOML"), (b"\xff", "no TOML"), (b"seed = " + b"9" * 5_000, "no TOML"), (None, "No such file")],
)
def test_a_file_that_is_none_is_told_by_name(tmp_path, octets, reason):
    path = tmp_path / "x.toml"
    if octets is not None:
        path.write_bytes(octets)
    with pytest.raises(SettingsError) as caught:
        read_scenario(path)
    [told] = caught.value.problems
    assert told.value == str(path)
    assert reason in told.reason


# --- rules ------------------------------------------------------------------------------------------------------------


def test_a_rule_is_laid_over_the_default_table_by_table():
    scenario = make_scenario(
        {
            "default": {
                "answers": [{"status": 8}],
                "ids": {"prefix": "A", "text": {"base": "hex", "width": 5}},
                "receipts": {"ucs2": True, "delay": {"kind": "fixed", "ms": 5}},
            },
            "rules": [
                {
                    "ids": {"text": {"upper": True}},
                    "receipts": {"unasked": True, "delay": {"kind": "uniform", "min_ms": 1, "max_ms": 2}},
                }
            ],
        }
    )
    [rule] = scenario.rules
    assert rule.answers == scenario.default.answers
    assert (rule.ids.prefix, rule.ids.text.base, rule.ids.text.width, rule.ids.text.upper) == ("A", "hex", 5, True)
    assert (rule.receipts.ucs2, rule.receipts.unasked) == (True, True)
    assert rule.receipts.delay is not None
    assert rule.receipts.delay.kind == "uniform"


def test_the_first_rule_that_fits_decides():
    asked = script(
        rules=[
            {"prefix": ["467", "468"], "ending": ["1"], "answers": [{"status": 1}]},
            {"prefix": ["467"], "answers": [{"status": 2}]},
            {"sender": ["Other"], "answers": [{"status": 3}]},
        ]
    )
    numbers = ["46701", "+46801", "46702", "4690"]
    assert [asked.choose(to(number)).refuse for number in numbers] == [1, 1, 2, 0]
    assert asked.choose(SubmitSm(destination_addr="1", source_addr="Other")).refuse == 3


def test_a_rules_share_lets_the_others_pass():
    asked = script(rules=[{"share": 0.25, "answers": [{"status": 1}]}])
    refused = Counter(asked.choose(to("46701")).refuse for _ in range(4_000))
    assert 900 < refused[1] < 1_100


def test_magic_numbers_come_before_rules_unless_the_scenario_says_no():
    table = {"rules": [{"answers": [{"status": 1}]}]}
    assert script(**table).choose(to("999000000020")).refuse == 0x0B
    assert script(**table, magic_numbers=False).choose(to("999000000020")).refuse == 1


# --- chance -----------------------------------------------------------------------------------------------------------

MIXED = {
    "default": {
        "answers": [{"share": 0.5}, {"share": 0.3, "status": 0x58}, {"share": 0.2, "kind": "none"}],
        "outcomes": [{"share": 0.7}, {"share": 0.3, "receipts": [{"stat": "UNDELIV"}]}],
        "ids": {"kind": "uuid"},
        "receipts": {
            "delay": {"kind": "lognormal", "median_ms": 100},
            "lost_share": 0.1,
            "duplicate_share": 0.2,
            "other_bind_share": 0.2,
            "before_answer_share": 0.2,
            "held_share": 0.2,
        },
    }
}


def test_the_same_seed_draws_the_same_and_another_does_not():
    numbers = [to(f"4670{at:07d}") for at in range(500)]
    first, again, other = (script(seed, **MIXED) for seed in (7, 7, 8))
    fates = [first.choose(pdu) for pdu in numbers]
    assert [again.choose(pdu) for pdu in numbers] == fates
    assert [other.choose(pdu) for pdu in numbers] != fates
    assert len({fate.uuid for fate in fates}) == 500


def test_shares_are_kept():
    asked = script(**MIXED)
    fates = [asked.choose(to("4670")) for _ in range(10_000)]
    answers = Counter((fate.answer, fate.refuse) for fate in fates)
    assert answers[Answer.NEVER, 0] == pytest.approx(2_000, rel=0.1)
    assert sum(count for (_, refuse), count in answers.items() if refuse) == pytest.approx(3_000, rel=0.1)
    assert sum(not fate.receipts for fate in fates) == pytest.approx(1_000, rel=0.15)
    assert sum(len(fate.receipts) == 2 for fate in fates) == pytest.approx(1_800, rel=0.1)
    assert sum(fate.other_bind for fate in fates) == pytest.approx(2_000, rel=0.1)
    stats = Counter(fate.receipts[0].stat for fate in fates if fate.receipts)
    assert stats["UNDELIV"] / stats.total() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("delay", "low", "high", "median"),
    [
        ({"kind": "fixed", "ms": 100}, 100, 100, 100),
        ({"kind": "uniform", "min_ms": 50, "max_ms": 150}, 50, 150, 100),
        ({"kind": "lognormal", "median_ms": 100, "sigma": 1.0, "max_ms": 2_000}, 0, 2_000, 100),
    ],
)
def test_delays_are_spread_as_told(delay, low, high, median):
    asked = script(default={"receipts": {"delay": delay}, "answers": [{"delay": delay}]})
    fates = [asked.choose(to("1")) for _ in range(2_001)]
    waits = sorted((fate.delay_s or 0) * 1000 for fate in fates)
    assert waits[0] >= low
    assert waits[-1] <= high
    assert waits[1_000] == pytest.approx(median, rel=0.1)
    assert {fate.delay_s == fate.answer_s for fate in fates} == {delay["kind"] == "fixed"}


def test_one_receipt_for_all_parts_is_a_matter_of_the_whole_text():
    assert script(default={"receipts": {"one_for_all_parts": True}}).choose(to("1")).long_text is LongText.ONE_RECEIPT


# --- how it looks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "written"),
    [
        (IdStyle(), "3735928559"),
        (IdStyle(hexadecimal=True), "deadbeef"),
        (IdStyle(hexadecimal=True, upper=True, width=10), "00DEADBEEF"),
        (IdStyle(width=12, prefix="SE-"), "SE-003735928559"),
    ],
)
def test_ids_are_written_in_any_base_case_and_width(style, written):
    assert style.write(0xDEADBEEF, "") == written


def test_uuids_are_written_in_either_case():
    assert IdStyle(upper=True).write(1, "ab-cd") == "AB-CD"


def styled(step=None, submit=None, **receipts):
    asked = make_scenario({"default": {"receipts": receipts, "outcomes": [{"receipts": [step or {}]}]}})
    behaviour = Script(asked, random.Random(1)).choose(to("1"))
    ids = Written("r", "123", "7b")
    message = submit or to("46701234567", short_message=b"Hi there")
    return styled_receipt(message, behaviour.receipts[0], ids, behaviour.style, AT, AT + 61_000)


@pytest.mark.parametrize("err", ["000", "", "954"])
def test_the_default_scenario_writes_the_standard_receipt(err):
    step = {"stat": "UNDELIV", "err": err, "network_error": [3, 27]}
    scenario = make_scenario({"default": {"outcomes": [{"receipts": [step]}]}})
    drawn = Script(scenario, random.Random(1)).choose(to("1")).receipts[0]
    submit = to("46701234567", short_message=b"Hello, this is more than twenty")
    standard = receipt_pdu(submit, drawn, "123", "2603091405", "2603091406")
    ids = Written("123", "123", "123")
    assert styled_receipt(submit, drawn, ids, style_of(scenario.default), AT, AT + 61_000) == standard


def test_dates_are_in_the_form_and_zone_asked_for():
    pdu = styled(template="{submit_date} {done_date}", dates="YYYYMMDDhhmmss", time_zone="Europe/Stockholm")
    assert pdu.short_message == b"20260309150500 20260309150601"


def test_a_data_sm_carries_its_text_as_payload():
    pdu = styled(carrier="data_sm", template="id:{id}")
    assert isinstance(pdu, DataSm)
    assert pdu.tlvs[Tlv.MESSAGE_PAYLOAD] == b"id:123"
    assert pdu.tlvs[Tlv.RECEIPTED_MESSAGE_ID] == b"7b\0"


def test_text_may_be_payload_or_nowhere_and_tlvs_may_be_missing():
    assert (styled(text_in="message_payload", template="x").tlvs[Tlv.MESSAGE_PAYLOAD]) == b"x"
    assert styled(text_in="nowhere").short_message == b""
    assert Tlv.MESSAGE_PAYLOAD not in styled(text_in="nowhere").tlvs
    assert styled(tlvs=[]).tlvs == {}
    assert set(styled(tlvs=["message_state"]).tlvs) == {Tlv.MESSAGE_STATE}


def test_what_is_too_long_for_short_message_becomes_payload():
    pdu = styled(template="x" * 300)
    assert (pdu.short_message, len(pdu.tlvs[Tlv.MESSAGE_PAYLOAD])) == (b"", 300)


def test_ucs2_addresses_and_esm_class():
    pdu = styled(ucs2=True, template="id:{id}", swap_addresses=False, step={"esm_class": 0x24})
    assert pdu.short_message.decode("utf-16-be") == "id:123"
    assert (pdu.data_coding, pdu.esm_class) == (8, 0x24)
    assert (pdu.source_addr, pdu.destination_addr) == ("Kvitto", "46701234567")


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ({"stat": "EXPIRED"}, MessageState.EXPIRED),
        ({"stat": "GONE"}, None),
        ({"stat": "GONE", "state": "DELETED"}, MessageState.DELETED),
        ({"stat": "DELIVRD", "state": "NONE"}, None),
    ],
)
def test_message_state_follows_stat_unless_told(step, state):
    assert styled(step=step).tlvs.get(Tlv.MESSAGE_STATE) == (None if state is None else bytes((state,)))


def test_a_message_from_a_handset_takes_the_alphabet_and_the_room_it_needs():
    plain, other, long = (incoming_pdu("4670", "71000", text) for text in ("Hej då", "Привет", "x" * 300))
    assert isinstance(plain, DeliverSm)
    assert (plain.data_coding, plain.short_message, plain.esm_class) == (3, "Hej då".encode("latin-1"), 0)
    assert (other.data_coding, other.short_message.decode("utf-16-be")) == (8, "Привет")
    assert (long.short_message, len(long.tlvs[Tlv.MESSAGE_PAYLOAD])) == (b"", 300)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_rate_takes_a_seconds_worth_at_once_and_then_so_many_a_second():
    rate = Rate(10, None)
    assert [rate.take(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert [rate.take(0.1), rate.take(0.1), rate.take(0.2)] == [True, False, True]


def test_binds_are_refused_first_as_told_and_then_by_kind():
    limits = BindLimits(Connection(refuse_binds=(0x0D, 0), max_receivers=1, max_transmitters=0))
    assert [limits.judge(1, []) for _ in range(3)] == [0x0D, 0, 0]
    assert [limits.judge(1, [1]), limits.judge(2, []), limits.judge(9, [1, 9, 9])] == [0x0D, 0x0D, 0]


# --- the page and the examples ----------------------------------------------------------------------------------------


def test_the_page_is_the_models():
    assert (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8") == document(), "make docs"


def test_every_key_is_documented():
    undocumented = [
        f"{title}.{key}"
        for title, model in SECTIONS
        for key, field in model.model_fields.items()
        if not field.description
    ]
    assert undocumented == []


def test_the_example_on_the_page_is_a_scenario(tmp_path):
    [example] = re.findall(r"```toml\n(.*?)```", document(), re.DOTALL)
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    scenario = read_scenario(path)
    assert len(scenario.rules) == 1
    assert scenario.default.ids.response.upper


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_scenario_and_says_what_it_is(path):
    assert read_scenario(path).description


def test_there_are_examples_and_an_empty_scenario_is_one():
    assert len(EXAMPLES) >= 3
    assert make_scenario({}) == Scenario()
