"""R49 on purpose: the server kills itself at each instant where a receipt could be lost or counted twice.

The instants are those of ``tests.support.faulty``: before and after storing a receipt, before and after answering it,
between storing a response and using it, between a change of status and its callback's row, between "about to be
written" and the socket, between the write and its response. One rig lives through all of them, under load, and at the
end the four witnesses are compared as after any storm. ``make storm`` goes through them ``KVITTO_TEST_POINT_ROUNDS``
times, each time at another pass.
"""

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.support.faulty import POINTS
from tests.support.judge import verdict_at_rest
from tests.support.ledger import LoadPlan
from tests.support.pcluster import Rig

pytestmark = [pytest.mark.storm, pytest.mark.slow]

ROUNDS = int(os.environ.get("KVITTO_TEST_POINT_ROUNDS", "1"))
SEED = int(os.environ.get("KVITTO_TEST_STORM_SEED", "49"))
PLAN = LoadPlan(connections=6, recipients_max=4, pause_s=0.01, long_share=0.1, scheduled_share=0.1)
MOST_PASSES = 40
"""The first pass is one of round 0; later ones fall anywhere in here."""
MOST_PASSES_AT_FIRST = 12
DIES_S = 60.0
"""Mostly the start of a server, and on a machine that others want a start takes long."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_dsn"))


def faulty(point: str, passes: int) -> list[str]:
    """The wrapper that gives the server this fault."""
    return [sys.executable, "-m", "tests.support.faulty", f"{point}:{passes}"]


@pytest.mark.timeout(300 + 60 * ROUNDS)
async def test_r49_killed_at_each_instant_nothing_is_lost_and_nothing_counts_twice(tmp_path: Path, dsn, watch):
    chance = random.Random(SEED)
    rig = Rig(tmp_path, dsn=dsn, window=20, binds=2, delay_ms=(0, 60), plan=PLAN, seed=7)
    watch(rig.server)
    died: list[str] = []
    with rig:
        rig.server.kill()
        with rig.ledger:
            for round_no in range(ROUNDS):
                for point in POINTS:
                    most = MOST_PASSES if round_no else MOST_PASSES_AT_FIRST
                    passes = chance.randint(1, most) if round_no or chance.random() < 0.5 else 1
                    rig.server.wrapper = faulty(point, passes)
                    # With the first pass it may be gone before it is ready, which is as good a moment as any.
                    rig.server.launch()
                    code = rig.server.wait_for_death(within_s=DIES_S)
                    assert code == -signal.SIGKILL, f"{point}:{passes} ended with {code}\n{rig.server.log_tail()}"
                    died.append(f"{point}:{passes}")
            rig.server.wrapper = []
            rig.server.start()
        verdict = await verdict_at_rest(rig)
        story = f"died at {died}\n{rig.ledger.cut} requests cut, refused {rig.ledger.refused}\n{verdict.explain()}"
        print(story)
        assert verdict.good, story
        assert verdict.acknowledged > len(POINTS), story
        assert len(verdict.in_doubt) <= len(died) * rig.in_doubt_most, story


@pytest.mark.parametrize("point", ["marked as written, nothing on the socket", "submit has left, its response unread"])
@pytest.mark.timeout(120)
async def test_p6_what_was_marked_and_never_written_is_listed_and_what_was_written_is_adopted(
    tmp_path: Path, watch, point
):
    """The two sides of "written or not": one batch, one kill, no luck in it."""
    plan = LoadPlan(connections=1, recipients_max=1, reports=("per_recipient_final",), pause_s=5.0)
    rig = Rig(tmp_path, window=20, binds=1, delay_ms=(500, 600), plan=plan)
    watch(rig.server)
    with rig:
        rig.server.kill()
        rig.server.wrapper = faulty(point, 1)
        rig.server.start()
        with rig.ledger:
            assert rig.server.wait_for_death(within_s=DIES_S) == -signal.SIGKILL
        rig.server.wrapper = []
        rig.server.start()
        verdict = await verdict_at_rest(rig)
        assert verdict.good, verdict.explain()
        assert verdict.messages == 1
        written = point.startswith("submit has left")
        assert (len(verdict.in_doubt), verdict.delivered) == ((0, 1) if written else (1, 0)), verdict.explain()
        assert sum(rig.smsc.record.submits.values()) == written
