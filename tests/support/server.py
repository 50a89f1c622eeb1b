"""The real command on real ports: ``kvitto serve`` as a process that tests start, kill, stop and start again.

A ``ServerProcess`` keeps its data directory and its port over restarts. ``kill`` is ``kill -9`` of the whole process
group. Whatever goes wrong is raised as ``ServerFailed`` with the end of the log. Other processes of a test run cannot
take its port meanwhile: ``reserve_port`` holds a lock on it, outside the range that the kernel hands out by itself.
"""

import contextlib
import fcntl
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = [
    "AccountKeys",
    "ServerFailed",
    "ServerProcess",
    "children_of",
    "kvitto_command",
    "link_settings",
    "reserve_port",
]

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
LOG_TAIL = 6_000
# Below the kernel's own choice (32768 and up on Linux): an outgoing connection never sits on one of these.
PORTS = range(20_000, 32_000)
LOOPBACK = "127.0.0.0/8"


class ServerFailed(AssertionError):
    """The server did not start, or did not do as told; with the end of what it logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKeys:
    """What ``kvitto account create --json`` prints, once."""

    account: str
    service_plan_id: str
    api_token: str
    username: str
    password: str
    callback_secret: str


_held: list[IO[bytes]] = []


def reserve_port() -> int:
    """A free TCP port on loopback that stays this process's until it ends."""
    locks = Path(tempfile.gettempdir()) / f"kvitto-ports-{os.getuid()}"
    locks.mkdir(exist_ok=True)
    for port in random.sample(PORTS, k=len(PORTS)):
        lock = (locks / str(port)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.create_server(("127.0.0.1", port)):
                pass
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise ServerFailed(f"no free port in {PORTS}")


def kvitto_command() -> list[str]:
    """How the command is started: by the interpreter that runs this, so that it is this checkout's."""
    return [sys.executable, "-m", "kvitto"]


def link_settings(port: int, *, window: int = 50, binds: int = 2, **more: object) -> dict[str, object]:
    """Settings of one link, ``smsc``, to a simulator on this port of loopback; ``more``: further keys of the link."""
    link = {
        "host": "127.0.0.1",
        "port": port,
        "system_id": "kvitto",
        "password": "kvitto",
        "window": window,
        "binds": binds,
        "reconnect_min_s": 0.1,
        "reconnect_max_s": 0.5,
        **more,
    }
    return {f"links.smsc.{key}": value for key, value in link.items()}


def _environment(settings: Mapping[str, object], config: Path, checkout: Path) -> dict[str, str]:
    """This process's, without settings of its own; the test's go by a file, as an operator's do."""
    _write_toml(config, settings)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KVITTO__")}
    paths = [str(checkout / "src"), str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def _write_toml(path: Path, settings: Mapping[str, object]) -> None:
    """Dotted keys are TOML already; JSON writes numbers, texts, lists and booleans the way TOML does."""
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))


class ServerProcess:
    """One server: its directory, its port, its process while it runs."""

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, object] | None = None,
        dsn: str | None = None,
        port: int | None = None,
        arguments: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        checkout: Path = ROOT,
    ) -> None:
        """Nothing is started yet.

        Args:
            directory: for data, configuration and log; made when missing.
            settings: by dotted key (``{"http.idle_timeout_s": 5}``), see ``link_settings``.
            dsn: of a PostgreSQL database; without it, SQLite in the data directory.
            port: of HTTP; a free one when None.
            arguments: more of ``kvitto serve`` (``--demo``).
            wrapper: a command that runs the server (``strace -f -o FILE``).
            checkout: whose server; this one's when not another's is to be measured.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port or reserve_port()
        self.data_dir = directory / "data"
        self.log_path = directory / "server.log"
        self._dsn = dsn
        self.settings = {**(settings or {}), **({"store.url": dsn} if dsn else {})}
        self._config = directory / "kvitto.toml"
        self._environment = _environment(self.settings, self._config, checkout)
        self._arguments, self.wrapper = list(arguments), list(wrapper)
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        """For messages of failed tests."""
        return f"<server on {self.origin}, data in {self.data_dir}>"

    # ---- life

    @property
    def origin(self) -> str:
        """Where it listens: ``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the server itself, also behind a wrapper."""
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"the server does not run\n{self.log_tail()}")
        if not self.wrapper:
            return self._process.pid
        return next(iter(children_of(self._process.pid)), self._process.pid)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, within_s: float = READY_S) -> "ServerProcess":
        """Start it and wait for ``/readyz`` to say 200."""
        self.launch()
        self._wait_until_ready(within_s)
        return self

    def launch(self) -> None:
        """Start it and wait for nothing."""
        if self.running:
            raise ServerFailed("the server runs already")
        own = ["serve", *self._options, "--port", str(self.port), *self._arguments]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.wrapper, *kvitto_command(), *own],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self.log_path.parent,
                start_new_session=True,
            )

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write another configuration file; the server knows of it when it starts or reads it again."""
        self.settings = {**settings, **({"store.url": self._dsn} if self._dsn else {})}
        _write_toml(self._config, self.settings)

    def tell(self, number: signal.Signals) -> None:
        """Send the server itself a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """``kill -9`` of the process and whatever it started; returns when it is gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, *, within_s: float = 20.0) -> float:
        """SIGTERM, as an init system does; gives back how long it took (seconds)."""
        if self._process is None:
            return 0.0
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError, ServerFailed):
            os.kill(self.pid, signal.SIGTERM)
        try:
            code = self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"still there {within_s:g} s after SIGTERM\n{self.log_tail()}") from None
        if code:
            raise ServerFailed(f"ended with {code} after SIGTERM\n{self.log_tail()}")
        return time.monotonic() - began

    def wait_for_death(self, *, within_s: float) -> int:
        """Wait until it has died by itself; its return code. Raises: ServerFailed when it lives on."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"it lives on after {within_s:g} s\n{self.log_tail()}") from None

    def restart(self, *, within_s: float = READY_S) -> "ServerProcess":
        """Start it again on the same data and port; what still runs is killed first."""
        self.kill()
        return self.start(within_s=within_s)

    def __enter__(self) -> "ServerProcess":
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Kill what is left."""
        self.kill()

    # ---- its command line

    def run_cli(
        self, *arguments: str, input: str | None = None, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kvitto ARGUMENTS --data ... --config ...`` beside the server; the caller judges the exit code."""
        return subprocess.run(
            [*kvitto_command(), *arguments, *self._options],
            input=input,
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=self.log_path.parent,
            timeout=timeout_s,
            check=False,
        )

    def run_json(self, *arguments: str) -> Any:
        """What ``kvitto ARGUMENTS --json`` prints. Raises: ServerFailed when it fails or prints something else."""
        done = self.run_cli(*arguments, "--json")
        try:
            if done.returncode:
                raise ValueError(f"exit code {done.returncode}")
            return json.loads(done.stdout)
        except ValueError as error:
            raise ServerFailed(f"kvitto {' '.join(arguments)}: {error}\n{done.stdout}{done.stderr}") from None

    def create_account(self, name: str, *, callbacks_to: str = LOOPBACK) -> AccountKeys:
        """An account whose callbacks may go to ``callbacks_to`` (CIDR); the server may run or not."""
        fields = self.run_json("account", "create", name, "--allow-callbacks-to", callbacks_to)
        return AccountKeys(**{key: fields[key] for key in AccountKeys.__dataclass_fields__})

    # ---- its log

    def log(self) -> str:
        """Everything it has written, over all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self) -> str:
        """The end of it, for messages of failed tests."""
        return f"--- {self!r} ---\n{self.log()[-LOG_TAIL:]}"

    # ---- within

    @property
    def _options(self) -> list[str]:
        return ["--data", str(self.data_dir), "--config", str(self._config)]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _wait_until_ready(self, within_s: float) -> None:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                raise ServerFailed(f"ended with {self._process.returncode} instead of starting\n{self.log_tail()}")
            if self._is_ready():
                return
            time.sleep(0.02)
        self.kill()
        raise ServerFailed(f"/readyz did not say 200 within {within_s:g} s\n{self.log_tail()}")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def children_of(pid: int) -> Iterator[int]:
    """The processes below ``pid``, parents first."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                yield child
                yield from children_of(child)
