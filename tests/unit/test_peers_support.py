"""Without the software of others the suite fails and says what to run."""

import pytest

from tests.support import peers


def test_missing_node_smpp_is_a_failure_that_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", tmp_path)
    with pytest.raises(peers.PeerMissing, match="run `make peers`"):
        peers.NodeSmsc()


def test_missing_kannel_is_a_failure_that_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(peers.PeerMissing, match=r"bearerbox is needed .* run `make peers`"):
        peers.Kannel(tmp_path, 1)
