"""``kvitto user``: adding, listing, passwords and removal, without a server."""

from pathlib import Path

import pytest

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """The command on a data directory with one account; the server never runs."""
    command = ServerProcess(tmp_path_factory.mktemp("user"))
    command.create_account("shop")
    return command


def test_a_user_is_added_listed_and_removed(command: ServerProcess):
    made = command.run_json("user", "add", "Ann", "--role", "member", "--account", "shop")
    assert made["user"] == "ann"
    assert made["sign_in_path"].startswith("/sign-in/")
    (listed,) = command.run_json("user", "list", "--account", "shop")
    assert (listed["user"], listed["role"], listed["account"], listed["has_password"]) == (
        "ann",
        "member",
        "shop",
        False,
    )
    assert command.run_cli("user", "passwd", "ann", input="a long password\n").returncode == 0
    assert command.run_json("user", "list")[0]["has_password"] is True
    assert command.run_json("user", "remove", "ann") == {"user": "ann", "removed": True}
    assert command.run_json("user", "list") == []


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "word"),
    [
        (["add", "bo", "--role", "viewer"], None, 2, "--account"),
        (["add", "bo", "--role", "operator", "--account", "shop"], None, 2, "--account"),
        (["add", "bo", "--account", "nobody"], None, 1, "nobody"),
        (["add", "..", "--account", "shop"], None, 2, "A name"),
        (["add", "a/b", "--account", "shop"], None, 2, "A name"),
        (["passwd", "nobody"], "a long password\n", 1, "nobody"),
        (["passwd", "nobody"], "short\n", 2, "password"),
        (["remove", "nobody"], None, 1, "nobody"),
    ],
)
def test_what_is_wrong_is_named(command: ServerProcess, arguments: list[str], typed: str | None, code: int, word: str):
    done = command.run_cli("user", *arguments, input=typed)
    assert (done.returncode, word in done.stderr) == (code, True)


def test_a_name_is_taken_once_and_secrets_stay_out_of_files(command: ServerProcess, tmp_path: Path):
    first = command.run_json("user", "add", "cy", "--account", "shop")
    assert command.run_cli("user", "add", "CY", "--account", "shop").returncode == 1
    secret = first["sign_in_path"].rpartition("/")[2].encode()
    assert all(secret not in one.read_bytes() for one in command.data_dir.iterdir() if one.is_file())
