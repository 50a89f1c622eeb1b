"""Fixtures of the acceptance tests: the real command on real ports, and a receiver of callbacks.

What the servers of a failed test have logged stands in its report.
"""

import subprocess
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import AccountKeys, ServerProcess
from tests.support.sink import Sink

__all__ = ["RunningServer"]

SERVERS: pytest.StashKey[list[ServerProcess]] = pytest.StashKey()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server with its built-in simulator and one account, whose callbacks may go to this machine."""

    origin: str
    service_plan_id: str
    api_token: str
    username: str
    password: str
    callback_secret: str
    data_dir: Path
    run_cli: Callable[..., subprocess.CompletedProcess[str]]
    """``run_cli(*arguments)``: the command beside the server, on its data."""


def _made(process: ServerProcess, keys: AccountKeys) -> RunningServer:
    return RunningServer(
        origin=process.origin,
        service_plan_id=keys.service_plan_id,
        api_token=keys.api_token,
        username=keys.username,
        password=keys.password,
        callback_secret=keys.callback_secret,
        data_dir=process.data_dir,
        run_cli=process.run_cli,
    )


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The session's server as a process; tests do not kill it, they make their own by ``start_server``."""
    quick = {"simulator.delay_min_ms": 5, "simulator.delay_max_ms": 40}
    with ServerProcess(tmp_path_factory.mktemp("server"), settings=quick) as process:
        yield process


@pytest.fixture(scope="session")
def server(server_process: ServerProcess) -> RunningServer:
    """The session's server, with an account ``acceptance``."""
    return _made(server_process, server_process.create_account("acceptance"))


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A receiver of callbacks for this test alone: ``sink.url``, ``sink.received``, ``sink.wait_for``."""
    with Sink() as started:
        yield started


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Callable[[ServerProcess], ServerProcess]:
    """Give a server to it, and it is killed after the test, its log being shown if the test failed."""
    watched = request.node.stash.setdefault(SERVERS, [])

    def add(process: ServerProcess) -> ServerProcess:
        watched.append(process)
        request.addfinalizer(process.kill)
        return process

    return add


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs to the report of a failed test."""
    report = yield
    if report.failed:
        watched: list[ServerProcess] = item.stash.get(SERVERS, [])
        session = getattr(item, "funcargs", {}).get("server_process")
        for process in [*watched, *([session] if session else [])]:
            report.sections.append(("server log", process.log_tail()))
    return report
