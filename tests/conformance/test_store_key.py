"""A database opens with its own key only, on SQLite and PostgreSQL: no process writes what another cannot open."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvitto.store import open_seal
from kvitto.store.sealing import KEY_FILE, SealBroken, make_key
from tests.conformance.fixtures import (  # noqa: F401  # fixtures
    house,
    migrated_file,
    migrated_postgres,
    postgres_url,
    sqlite_url,
    url,
)
from tests.conformance.house import House


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


def test_the_first_to_come_makes_the_key_and_it_stays(url: str, here: Path):  # noqa: F811
    sealed = open_seal(url, here).seal("secret")
    assert open_seal(url, here).unseal(sealed) == "secret"


def test_a_key_made_before_is_taken(url: str, here: Path):  # noqa: F811
    make_key(here)
    key = (here / KEY_FILE).read_bytes()
    open_seal(url, here)
    assert (here / KEY_FILE).read_bytes() == key


def test_another_directory_is_refused_and_gets_no_key(url: str, here: Path, there: Path):  # noqa: F811
    open_seal(url, here)
    with pytest.raises(SealBroken, match=r"missing: put the kvitto\.key .* there"):
        open_seal(url, there)
    assert not (there / KEY_FILE).exists()


def test_another_key_is_refused_and_left_alone(url: str, here: Path, there: Path):  # noqa: F811
    open_seal(url, here)
    make_key(there)
    key = (there / KEY_FILE).read_bytes()
    with pytest.raises(SealBroken, match="not the key of this database"):
        open_seal(url, there)
    assert (there / KEY_FILE).read_bytes() == key


def test_a_copy_of_the_key_opens_it_elsewhere(url: str, here: Path, there: Path):  # noqa: F811
    sealed = open_seal(url, here).seal("secret")
    there.mkdir()
    (there / KEY_FILE).write_bytes((here / KEY_FILE).read_bytes())
    assert open_seal(url, there).unseal(sealed) == "secret"


def test_a_lost_key_is_never_made_anew(url: str, here: Path):  # noqa: F811
    open_seal(url, here)
    (here / KEY_FILE).unlink()
    with pytest.raises(SealBroken, match="missing"):
        open_seal(url, here)
    assert not (here / KEY_FILE).exists()


async def test_accounts_without_a_check_value_want_their_key_too(house: House, here: Path):  # noqa: F811
    with pytest.raises(SealBroken, match="missing"):
        await asyncio.to_thread(open_seal, house.url, here)


def test_of_two_directories_that_come_at_once_one_gets_the_database(
    url: str,  # noqa: F811
    here: Path,
    there: Path,
):
    def come(directory: Path) -> bool:
        try:
            open_seal(url, directory)
        except SealBroken:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        came = list(pool.map(come, (here, there)))
    assert sorted(came) == [False, True]
    assert [(directory / KEY_FILE).exists() for directory in (here, there)] == came
