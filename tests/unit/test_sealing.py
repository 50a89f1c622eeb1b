"""Secrets at rest: what is sealed opens with its own key only, and the key is made once."""

import stat

import pytest

from kvitto.store.sealing import KEY_FILE, Seal, SealBroken, make_key, read_seal


def test_what_is_sealed_opens_again_and_does_not_show():
    seal = Seal.fresh()
    sealed = seal.seal("whsec_Å")
    assert "whsec" not in sealed
    assert seal.unseal(sealed) == "whsec_Å"


def test_sealing_twice_gives_two_forms():
    seal = Seal.fresh()
    assert seal.seal("a") != seal.seal("a")


@pytest.mark.parametrize("broken", ["", "whsec_plain", "f1:", "f1:AAAA", "f1:Å"])
def test_what_was_not_sealed_here_is_refused(broken):
    with pytest.raises(SealBroken):
        Seal.fresh().unseal(broken)


def test_another_key_does_not_open_it():
    with pytest.raises(SealBroken, match=KEY_FILE):
        Seal.fresh().unseal(Seal.fresh().seal("secret"))


def test_a_directory_gets_one_key_for_its_owner_alone(tmp_path):
    directory = tmp_path / "data"
    assert read_seal(directory) is None
    assert make_key(directory)
    first = read_seal(directory)
    assert not make_key(directory)
    second = read_seal(directory)
    assert first is not None
    assert second is not None
    assert second.unseal(first.seal("secret")) == "secret"
    assert stat.S_IMODE((directory / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == [KEY_FILE]


def test_a_key_file_that_holds_none_is_told_with_its_path(tmp_path):
    (tmp_path / KEY_FILE).write_text("nonsense")
    with pytest.raises(SealBroken, match=str(tmp_path)):
        read_seal(tmp_path)


def test_a_key_file_that_cannot_be_read_is_told_with_its_path(tmp_path):
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(SealBroken, match=str(tmp_path)):
        read_seal(tmp_path)
