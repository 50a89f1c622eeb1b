"""The filler of large stores writes rows by hand: it has to keep up with the schema (P28, R60)."""

import pytest
from sqlalchemy import Table

from bench.filler import TABLES


@pytest.mark.parametrize(("table", "columns"), TABLES, ids=[table.name for table, _ in TABLES])
def test_the_filler_gives_every_column_that_must_have_a_value(table: Table, columns: tuple[str, ...]):
    wanted = {column.name for column in table.columns if not column.nullable and column.server_default is None}
    assert wanted <= set(columns) <= set(table.columns.keys())
