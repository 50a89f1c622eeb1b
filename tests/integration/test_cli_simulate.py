"""``kvitto simulate smsc`` with its options, and a scenario under ``kvitto serve``: what is wrong stops the start."""

import asyncio
import ssl
from pathlib import Path

import pytest

from kvitto.smpp import events as ev
from tests.support.authority import Authority
from tests.support.command import kvitto, serving
from tests.support.esme import Esme
from tests.support.peers import SmscCommand


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def refused(tmp_path, monkeypatch, *words):
    result = kvitto("simulate", "smsc", "--port", "0", *words, data=tmp_path, monkeypatch=monkeypatch)
    assert (result.code, result.out) == (2, "")
    return result.err


def test_a_scenario_with_mistakes_stops_the_start_and_names_each(tmp_path, monkeypatch):
    path = tmp_path / "bad.toml"
    path.write_text("[throttle]\nstatus = 0\n[default]\noutcomes = [{ share = 0.5 }]\n[faults]\ncut = 1\n")
    lines = refused(tmp_path, monkeypatch, "--scenario", str(path)).splitlines()
    assert lines == [
        f"kvitto: throttle.status = 0 (file {path}): must be greater than or equal to 1",
        f"kvitto: faults.cut = 1 (file {path}): no such key",
        f"kvitto: default = {{...}} (file {path}): the shares of outcomes add up to 0.5, not to 1",
    ]


def test_a_scenario_that_is_not_there_is_named(tmp_path, monkeypatch):
    told = refused(tmp_path, monkeypatch, "--scenario", str(tmp_path / "none.toml"))
    assert "simulator.scenario" in told
    assert "none.toml" in told


@pytest.mark.parametrize(
    ("options", "key", "reason"),
    [
        (["--tls-cert"], "--tls-key", "must be given"),
        (["--tls-key"], "--tls-cert", "must be given"),
        (["--tls-client-ca"], "--tls-cert", "must be given"),
    ],
)
def test_tls_needs_a_certificate_and_its_key(tmp_path, monkeypatch, authority, options, key, reason):
    told = refused(tmp_path, monkeypatch, *(word for option in options for word in (option, str(authority.ca_file))))
    assert told.startswith(f"kvitto: {key} = ")
    assert reason in told


def test_files_that_are_no_certificates_and_a_record_that_cannot_be_written_are_named(tmp_path, monkeypatch, authority):
    empty, pem = tmp_path / "empty.pem", str(authority.pem("localhost"))
    empty.write_text("")
    told = refused(tmp_path, monkeypatch, "--tls-cert", str(empty), "--tls-key", str(empty))
    assert "no PEM that fits" in told
    told = refused(tmp_path, monkeypatch, "--tls-cert", pem, "--tls-key", pem, "--tls-client-ca", str(tmp_path / "x"))
    assert "--tls-client-ca" in told
    told = refused(tmp_path, monkeypatch, "--record", str(tmp_path))
    assert "--record" in told
    assert "cannot be written" in told


async def test_rate_and_seed_work_with_and_without_a_scenario(tmp_path: Path):
    ids = []
    for run in ("one", "two"):
        with SmscCommand(tmp_path / run, "throttle = { burst = 2 }", "--rate", "0.001", "--seed", "5") as smsc:
            async with Esme(smsc.port) as esme:
                for number in ("4670", "4671", "4672"):
                    esme.send(number)
                answers = await esme.answers(3)
        assert [answer.command_status for answer in answers] == [0, 0, 0x58]
        ids.append([answer.message_id for answer in answers])
    assert ids == [["1000000001", "1000000002", ""]] * 2


async def test_a_client_without_a_certificate_of_the_authority_is_not_let_in(tmp_path, authority):
    pem, ca = str(authority.pem("localhost")), str(authority.ca_file)
    with SmscCommand(tmp_path / "s", "", "--tls-cert", pem, "--tls-key", pem, "--tls-client-ca", ca) as smsc:
        known = authority.client()
        known.load_cert_chain(pem)
        async with Esme(smsc.port, tls=known, server_hostname="localhost") as esme:
            assert esme.of(ev.BindAnswered)[0].command_status == 0
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await _read_without_certificate(smsc.port, authority.client())


async def _read_without_certificate(port: int, context: ssl.SSLContext) -> None:
    """The refusal comes with the first read (TLS 1.3)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        await asyncio.wait_for(reader.readexactly(1), 10)
    finally:
        writer.close()


def test_serve_takes_a_scenario_for_its_simulator_and_stops_at_a_bad_one(tmp_path, monkeypatch):
    path = tmp_path / "scenario.toml"
    path.write_text("seed = 1\n")
    told = {"KVITTO__SIMULATOR__SCENARIO": str(path)}
    with serving(tmp_path / "data", environment=told) as served:
        assert served.stop() == 0
    path.write_text("sed = 1\n")
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    result = kvitto("serve", "--port", "0", data=tmp_path / "other", monkeypatch=monkeypatch)
    assert result.code == 2
    assert f"sed = 1 (file {path}): no such key; seed is one" in result.err
