"""Statements over many rows: one definition for both databases, any number of rows, parameters around them."""

import sqlite3

import pytest
from sqlalchemy import bindparam, func, insert, literal, select, update

from kvitto.core.errors import StoreUnavailable
from kvitto.store import schema as t
from kvitto.store.migrations import upgrade
from kvitto.store.sqlite import FEW_ROWS, SqliteTx
from kvitto.store.statements import CHUNK, ROWS_MARK, Each, Int, Slot, Statement, Str, Whole, compile_for
from kvitto.store.statements import SIZES as LENGTHS

INSERT = Statement(
    lambda r: insert(t.token).from_select(["hash", "account_id", "created_at"], select(r.c.hash, r.c.account, r.c.at)),
    hash=Str,
    account=Str,
    at=Int,
)
ALL = Statement(lambda _: select(t.token.c.hash).order_by(t.token.c.hash))
PAGE = Whole(
    lambda r: (
        select(t.token.c.hash)
        .where(t.token.c.account_id.in_(select(r.c.account)), t.token.c.created_at >= bindparam("least", type_=Int))
        .order_by(t.token.c.created_at.desc())
        .limit(bindparam("n", type_=Int))
    ),
    account=Str,
)
AROUND = Statement(
    lambda r: (
        select(literal("first", Str), r.c.key, bindparam("left", type_=Str), t.token.c.hash)
        .select_from(r.join(t.token, t.token.c.hash == r.c.key))
        .where(t.token.c.account_id == bindparam("account", type_=Str), t.token.c.created_at < r.c.before)
    ),
    key=Str,
    before=Int,
)
RETURNING = Statement(
    lambda r: (
        update(t.token).values(created_at=r.c.at).where(t.token.c.hash == r.c.hash).returning(t.token.c.created_at)
    ),
    hash=Str,
    at=Int,
)
STORED = Statement(
    lambda _: select(t.token.c.hash, t.token.c.account_id, t.token.c.created_at).order_by(t.token.c.hash)
)
SIZES = [0, 1, 2, 3, 5, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3]


@pytest.fixture
def tx(tmp_path):
    path = tmp_path / "k.db"
    upgrade(f"sqlite:///{path}")
    tx = SqliteTx(str(path), read_only=False)
    yield tx
    tx.close()


def rows(count: int, account: str = "a") -> list[tuple[str, str, int]]:
    return [(f"{account}{n:05}", account, n) for n in range(count)]


@pytest.mark.parametrize("count", SIZES)
def test_any_number_of_rows_goes_in_once_each(tx, count):
    assert tx.run(INSERT, rows(count)) == []
    assert [row[0] for row in tx.run(ALL)] == [row[0] for row in rows(count)]


@pytest.mark.parametrize("count", SIZES)
def test_what_a_statement_returns_is_gathered_over_all_its_calls(tx, count):
    tx.run(INSERT, rows(count))
    got = tx.run(RETURNING, [(key, 10_000 + at) for key, _, at in rows(count)])
    assert sorted(row[0] for row in got) == [10_000 + n for n in range(count)]


def test_parameters_and_constants_keep_their_places_around_the_rows(tx):
    tx.run(INSERT, rows(4) + rows(4, "b"))
    got = tx.run(AROUND, [("a00001", 2), ("a00003", 3), ("b00002", 9)], left="L", account="a")
    assert [tuple(row) for row in got] == [("first", "a00001", "L", "a00001")]


@pytest.mark.parametrize("accounts", [1, 3, CHUNK + 44])
def test_a_whole_statement_is_one_call_however_many_rows(tx, accounts):
    tx.run(INSERT, [(f"h{n:05}", f"acc{n}", n) for n in range(accounts)])
    got = tx.run(PAGE, [(f"acc{n}",) for n in range(accounts)], least=0, n=2)
    assert [row[0] for row in got] == [f"h{n:05}" for n in range(accounts - 1, max(-1, accounts - 3), -1)]


def test_a_whole_statement_takes_thousands_of_rows(tx):
    tx.run(INSERT, rows(1))
    got = tx.run(PAGE, [("a",)] + [(f"x{n}",) for n in range(5_000)], least=0, n=5)
    assert [row[0] for row in got] == ["a00000"]


def test_null_stands_in_any_column_but_the_first(tx):
    sql = Statement(lambda r: select(r.c.key, r.c.value), key=Str, value=Int)
    assert [tuple(row) for row in tx.run(sql, [("a", None), ("b", 1), ("c", None)])] == [
        ("a", None),
        ("b", 1),
        ("c", None),
    ]


def test_texts_and_numbers_come_back_as_they_went(tx):
    sql = Statement(lambda r: select(r.c.key, r.c.value), key=Str, value=Int)
    values = [("", 0), ("a'b\"c?:d", -1), ("Å😀\x00x", 2**63 - 1), (ROWS_MARK, -(2**63))]
    assert [tuple(row) for row in tx.run(sql, values)] == values


def test_few_forms_of_a_statement_exist(tx):
    for count in range(1, 200):
        tx.run(RETURNING, [("x", 1)] * count)
    assert len(tx._sizes) <= len(LENGTHS)


def test_a_mistake_of_ours_is_not_called_unavailable(tx):
    tx.run(INSERT, rows(1))
    with pytest.raises(sqlite3.IntegrityError):
        tx.run(INSERT, rows(1))


RECEIPTS = Statement(
    lambda r: insert(t.receipt).from_select(
        ["id", "link", "grp", "received_at", "raw", "outcome", "tries"],
        select(r.c.id, literal("l"), literal("g"), literal(0), literal(""), literal("orphan"), literal(0)),
    ),
    id=Int,
)


def test_numbers_rise_over_calls_transactions_and_processes(tx, tmp_path):
    tx.begin()
    assert list(tx.new_ids(3)) == [1, 2, 3]
    assert list(tx.new_ids(0)) == []
    assert list(tx.new_ids(2)) == [4, 5]
    tx.run(RECEIPTS, [(one,) for one in range(1, 6)])
    tx.commit()
    beside = SqliteTx(str(tmp_path / "k.db"), read_only=False)
    beside.begin()
    (taken,) = beside.new_ids(1)
    beside.run(RECEIPTS, [(taken,)])
    beside.commit()
    beside.close()
    assert taken > 5
    tx.begin()
    assert min(tx.new_ids(2)) > taken
    tx.rollback()


def test_a_transaction_that_is_rolled_back_leaves_nothing(tx):
    tx.begin()
    tx.run(INSERT, rows(3))
    tx.rollback()
    tx.rollback()
    assert tx.run(ALL) == []


def test_a_closed_file_is_unavailable_or_a_mistake_but_no_silence(tx):
    tx.close()
    with pytest.raises((StoreUnavailable, sqlite3.Error)):
        tx.run(ALL)


def test_postgresql_takes_each_column_as_one_array():
    compiled = compile_for("postgresql", AROUND)
    assert compiled.rows_at is None
    assert "unnest(" in compiled.sql.lower()
    assert [what for slot, what in compiled.plan if slot is Slot.COLUMN] == [0, 1]
    assert {what for slot, what in compiled.plan if slot is Slot.NAME} == {"left", "account"}
    assert compiled.returns


def test_postgresql_knows_what_returns_rows():
    assert not compile_for("postgresql", INSERT).returns
    assert compile_for("postgresql", RETURNING).returns
    assert compile_for("postgresql", Statement(lambda _: select(func.count()).select_from(t.token))).returns


def test_a_statement_is_compiled_once_for_each_database():
    assert compile_for("sqlite", INSERT) is compile_for("sqlite", INSERT)
    assert compile_for("sqlite", INSERT).sql != compile_for("postgresql", INSERT).sql


RENAME = Each(
    lambda r: (
        update(t.token)
        .values(account_id=literal("new", Str), created_at=t.token.c.created_at + r.c.more)
        .where(t.token.c.hash == r.c.hash, t.token.c.created_at == r.c.at)
    ),
    more=Int,
    at=Int,
    hash=Str,
)


@pytest.mark.parametrize("count", [0, 1, FEW_ROWS, FEW_ROWS + 1, CHUNK + 1])
def test_an_update_that_may_run_row_by_row_does_the_same_for_few_rows_and_for_many(tx, count):
    tx.run(INSERT, rows(count + 2))
    tx.run(RENAME, [(1000, at, key) for key, _, at in rows(count)])
    told = [tuple(row) for row in tx.run(STORED)]
    assert told == [(f"a{n:05}", "new", n + 1000) for n in range(count)] + [
        (f"a{n:05}", "a", n) for n in (count, count + 1)
    ]


def test_an_update_run_row_by_row_says_what_went_wrong_as_any_other_does(tx, tmp_path):
    reader = SqliteTx(str(tmp_path / "k.db"), read_only=True)
    with pytest.raises(StoreUnavailable):
        reader.run(RENAME, [(1, 0, "a00000")])
    reader.close()


def test_a_query_reads_the_rows_it_is_given_without_a_table_of_their_own(tx):
    compiled = compile_for("sqlite", AROUND)
    sql = "EXPLAIN QUERY PLAN " + compiled.sql.replace(ROWS_MARK, "(?,?),(?,?)")
    with sqlite3.connect(":memory:") as plain:
        plain.execute("CREATE TABLE token (hash TEXT PRIMARY KEY, account_id TEXT, created_at INTEGER)")
        steps = [step for *_, step in plain.execute(sql, [None] * sql.count("?"))]
    plain.close()
    assert steps[0].startswith("CO-ROUTINE"), steps
    assert not any("MATERIALIZE" in step for step in steps)
