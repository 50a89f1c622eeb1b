"""``make bench`` measures what it says, on both databases: a short run ends with every message told of once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--duration", "60", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, "standard output is the JSON line alone when it is no terminal"
    assert "messages/s" in done.stderr
    found: list[dict[str, Any]] = json.loads(lines[0])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_all_scenarios_end_with_every_message_told_of_once(store, request):
    if store == "postgresql":
        request.getfixturevalue("postgres_cluster")  # Skips where PostgreSQL is left out on purpose.
    results = bench("--messages", "2000", "--store", store)
    assert [one["scenario"] for one in results] == ["a", "b", "c", "d"]
    for one in results:
        assert one["accepted"] == one["finished"] == 2000, one
        assert (
            one["lost"] == one["refused"] == one["sms_twice"] == one["callbacks_twice"] == one["not_delivered"] == 0
        ), one
        assert one["end_to_end_per_s"] > 0
        assert one["acceptance_p50_ms"] <= one["acceptance_p99_ms"]
        assert 0 < one["receipt_to_callback_p50_ms"] <= one["receipt_to_callback_p99_ms"], one
        assert one["server_cpu_us"] > one["load_cpu_us"] > 0, one
        assert one["peak_rss_mib"] > 10
        assert (one["database_cpu_us"] is None) is (store == "sqlite")


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_r60_a_storm_of_old_receipts_is_stored_matched_and_answered_while_submits_go_on(store, request):
    if store == "postgresql":
        request.getfixturevalue("postgres_cluster")  # Skips where PostgreSQL is left out on purpose.
    command = ["bench.receipts", "--receipts", "3000", "--messages", "5000", "--notify", "final", "--store", store]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert [run["messages"] for run in told["runs"]] == [5000]
    for run in told["runs"]:
        assert run["storm"]["by_status"] == {"0x0": 3000}, "each was answered with 0, and none had to come again"
        assert run["delivered"] == 3000
        assert run["submits_timed_out"] == 0
        assert run["storm"]["answer_p99_ms"] < 5000
        assert run["storm"]["smsc_cpu_us"] < run["server_cpu_us"] / 2, "the SMSC must not be what is measured"


@pytest.mark.slow
def test_p29_the_bench_of_fairness_tells_what_the_others_saw_of_each_half():
    little = {"accounts": 3, "rate": 20, "seconds": 1, "rounds": 1, "drain": 1}
    arguments = [f"--{name}={value}" for name, value in little.items()]
    done = subprocess.run(
        [sys.executable, "-m", "bench.fairness", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    clean, crowded = done.stdout.splitlines()
    assert "clean" in clean
    assert "one at 10x" in crowded
    for line in (clean, crowded):
        assert line.endswith(" 0 refused")
        assert " of 0, " not in line
