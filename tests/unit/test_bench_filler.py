"""The filler of large stores writes rows by hand: it has to keep up with the schema (P28, R60)."""

from pathlib import Path

import pytest
from sqlalchemy import Table

from bench.filler import TABLES, Fill, State, fill
from tests.support.rig import ACCOUNT, open_test_store


@pytest.mark.parametrize(("table", "columns"), TABLES, ids=[table.name for table, _ in TABLES])
def test_the_filler_gives_every_column_that_must_have_a_value(table: Table, columns: tuple[str, ...]):
    wanted = {column.name for column in table.columns if not column.nullable and column.server_default is None}
    assert wanted <= set(columns) <= set(table.columns.keys())


async def test_p29_what_is_filled_is_counted_as_the_verbs_count(tmp_path: Path):
    async with open_test_store(tmp_path):
        pass
    for messages, state in ((30, State.QUEUED), (20, State.DISPATCHED), (10, State.DELIVERED), (5, State.QUEUED)):
        what = Fill(messages=messages, state=state, account=ACCOUNT.name, age_ms=messages * 1000)
        fill(f"sqlite:///{tmp_path / 'kvitto.db'}", what)
    async with open_test_store(tmp_path) as store:
        assert await store.count_queued() == {ACCOUNT.id: 35, "": 35}
