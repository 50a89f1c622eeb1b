"""R52 on the wire: an SMSC that is asked before a message is given up, and what its answer does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kvitto.core.receipt import LinkRules
from kvitto.core.status import Reason, Status
from kvitto.smpp.pdus import QuerySmResp
from tests.support.rig import Rig, eventually, open_rig
from tests.support.wire import WireSmsc, wire_smsc

NUMBER = "46701234567"


@asynccontextmanager
async def asking(folder: Path, *, grace_s: int = 3) -> AsyncIterator[tuple[Rig, WireSmsc]]:
    async with wire_smsc() as smsc:
        rules = LinkRules(query=True, query_before_s=60, dlr_grace_s=grace_s)
        async with open_rig(folder, port=smsc.port, rules=rules) as rig:
            yield rig, smsc


async def ask(rig: Rig, smsc: WireSmsc) -> None:
    """Have the link look for what is due until it has asked once."""
    questions = rig.dispatcher.lanes["main"].questions

    async def asked() -> bool:
        await questions.ask()
        return bool(smsc.queries)

    await eventually(asked)


async def test_r52_a_final_answer_counts_as_a_receipt(tmp_path: Path):
    async with asking(tmp_path) as (rig, smsc):
        smsc.on_query = lambda query: QuerySmResp(
            message_id=query.message_id, final_date="260309140500000+", message_state=5, error_code=6
        )
        batch = await rig.send(NUMBER, valid_ms=1000)
        await eventually(lambda: smsc.submits)
        await ask(rig, smsc)
        view = await rig.final(batch, NUMBER)
        assert (view.status, view.reason, view.error.text) == (Status.FAILED, Reason.UNDELIVERABLE, "006")
        (query,) = smsc.queries
        submit = smsc.submits[0]
        assert (query.message_id, query.source_addr, query.source_addr_ton, query.source_addr_npi) == (
            "id-1",
            submit.source_addr,
            submit.source_addr_ton,
            submit.source_addr_npi,
        )


@pytest.mark.parametrize(
    "answer",
    [
        lambda query: QuerySmResp(message_id=query.message_id, message_state=1),
        lambda query: QuerySmResp(command_status=0x67),
        lambda query: None,
    ],
    ids=["on its way", "query failed", "no answer"],
)
async def test_r52_any_other_answer_leaves_the_message_to_r44(tmp_path: Path, answer):
    async with asking(tmp_path, grace_s=1) as (rig, smsc):
        smsc.on_query = answer
        batch = await rig.send(NUMBER, valid_ms=1000)
        await eventually(lambda: smsc.submits)
        await ask(rig, smsc)
        view = await rig.final(batch, NUMBER)
        assert (view.status, view.reason) == (Status.UNKNOWN, Reason.NO_RECEIPT)
        assert len(smsc.queries) == 1


async def test_r52_a_question_that_is_lost_with_its_connection_puts_nothing_in_doubt(tmp_path: Path):
    async with asking(tmp_path, grace_s=2) as (rig, smsc):
        batch = await rig.send(NUMBER, valid_ms=1000)
        await eventually(lambda: smsc.submits)
        await ask(rig, smsc)
        connection = rig.dispatcher.lanes["main"].link.binds[0].connection
        assert connection is not None
        connection.abort("cut")
        assert (await rig.final(batch, NUMBER)).reason is Reason.NO_RECEIPT
        assert rig.dispatcher.status()[0].counters["in_doubt"] == 0


async def test_r52_without_the_setting_nothing_is_asked(tmp_path: Path):
    async with wire_smsc() as smsc, open_rig(tmp_path, port=smsc.port, rules=LinkRules(dlr_grace_s=1)) as rig:
        batch = await rig.send(NUMBER, valid_ms=500)
        await eventually(lambda: smsc.submits)
        assert await rig.dispatcher.lanes["main"].questions.ask() == 0
        assert (await rig.final(batch, NUMBER)).reason is Reason.NO_RECEIPT
        assert smsc.queries == []
