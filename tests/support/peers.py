"""SMPP software that we did not write: node-smpp as SMSC and as ESME, Kannel as ESME. ``make peers`` installs it.

Missing software fails, it never skips: each helper names the command to run.
"""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.support.server import reserve_port

__all__ = ["Kannel", "NodeSmsc", "PeerMissing", "SmscCommand", "node_esme", "until"]

PEERS = Path(__file__).parents[1] / "peers"
BOUND_S = 20.0
"""How long a test waits for anything before it fails."""

T = TypeVar("T")


class PeerMissing(Exception):
    """The software is not installed; the message says what to run."""


def until(what: Callable[[], T], within_s: float = BOUND_S) -> T:
    """Ask until the answer is true; give that back. Raises: AssertionError."""
    limit = time.monotonic() + within_s
    while not (answer := what()):
        assert time.monotonic() < limit, f"not within {within_s:g} s"
        time.sleep(0.02)
    return answer


def _program(name: str, *places: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    if found is None:
        raise PeerMissing(f"{name} is needed for the tests of interoperability: run `make peers`")
    return found


def _node(script: str) -> list[str]:
    if not (PEERS / "node_modules" / "smpp").is_dir():
        raise PeerMissing("node-smpp is needed for the tests of interoperability: run `make peers`")
    return [_program("node"), str(PEERS / script)]


def node_esme(port: int, *, ca_file: Path | None = None, **job: Any) -> Any:
    """Run node-smpp as an ESME to its end; what it saw (``tests/peers/esme.js``)."""
    scheme, host = ("smpp", "127.0.0.1") if ca_file is None else ("ssmpp", "localhost")
    words = [*_node("esme.js"), f"{scheme}://{host}:{port}", json.dumps(job), *([str(ca_file)] if ca_file else [])]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


class _Lines:
    """The JSON lines of a process's standard output, as they come."""

    def __init__(self, words: Sequence[str]) -> None:
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen: list[dict[str, Any]] = []
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(json.loads(line))

    def of(self, event: str) -> list[dict[str, Any]]:
        """What has come of one kind, in order; never waits."""
        while not self._queue.empty():
            self.seen.append(self._queue.get())
        return [line for line in self.seen if line["event"] == event]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class NodeSmsc:
    """node-smpp as an SMSC (``tests/peers/smsc.js``); use it as a context manager."""

    def __init__(self, *tls: Path) -> None:
        """``tls``: certificate and key (PEM), for a port that speaks TLS."""
        self._words = [*_node("smsc.js"), *map(str, tls)]
        self.port = 0

    def __enter__(self) -> "NodeSmsc":
        self._lines = _Lines(self._words)
        self.port = until(lambda: self.of("listening"))[0]["port"]
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stop()

    def of(self, event: str) -> list[dict[str, Any]]:
        """What it saw of one kind, in order; never waits."""
        return self._lines.of(event)

    def say(self, command: str) -> None:
        """``enquire``, ``unbind`` or ``hang``: to every session."""
        stdin = self._lines.process.stdin
        assert stdin is not None
        stdin.write(command + "\n")
        stdin.flush()


class SmscCommand:
    """``kvitto simulate smsc`` in a process of its own, with a record that ``pdus`` reads; a context manager."""

    def __init__(self, directory: Path, scenario: str = "", *arguments: str) -> None:
        """``scenario``: TOML."""
        directory.mkdir(parents=True, exist_ok=True)
        self.record = directory / "record.jsonl"
        told = directory / "scenario.toml"
        told.write_text(scenario, encoding="utf-8")
        self._words = [sys.executable, "-m", "kvitto", "simulate", "smsc", "--json", "--port", "0"]
        self._words += ["--scenario", str(told), "--record", str(self.record), "--data", str(directory), *arguments]
        self.port = 0

    def __enter__(self) -> "SmscCommand":
        self.process = subprocess.Popen(self._words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        announced = ""
        while not announced.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, "the simulator did not come up"
            announced += line
        self.port = json.loads(announced)["port"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(BOUND_S) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The record's lines of one kind so far."""
        text = self.record.read_text() if self.record.exists() else ""
        found = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in found if line["event"] == event]

    def pdus(self, command: str) -> list[dict[str, Any]]:
        """The PDUs of one command so far, both ways."""
        return [line for line in self.lines("pdu") if line["command"] == command]


class Kannel:
    """Bearerbox and smsbox as one ESME of an SMSC on loopback; a context manager. ``settings``: of its smsc group."""

    def __init__(self, directory: Path, smsc_port: int, **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._bearerbox = _program("bearerbox", "/usr/sbin", "/usr/local/sbin")
        self._smsbox = _program("smsbox", "/usr/sbin", "/usr/local/sbin")
        self._admin, self._boxes, self._http = reserve_port(), reserve_port(), reserve_port()
        self._logs = directory
        self._config = directory / "kannel.conf"
        self._config.write_text(self._text(smsc_port, settings), encoding="ascii")
        self._running: list[subprocess.Popen[bytes]] = []

    def _text(self, smsc_port: int, settings: Mapping[str, object]) -> str:
        smsc = {
            "smsc": "smpp",
            "smsc-id": "kvitto",
            "host": "127.0.0.1",
            "port": smsc_port,
            "transceiver-mode": "true",
            "smsc-username": "kvitto",
            "smsc-password": "kvitto",
            "system-type": '""',
            "address-range": '""',
            "enquire-link-interval": 1,
            "reconnect-delay": 1,
            **{key.replace("_", "-"): value for key, value in settings.items()},
        }
        core = {
            "admin-port": self._admin,
            "admin-password": "pass",
            "admin-interface": "127.0.0.1",
            "smsbox-port": self._boxes,
            "smsbox-interface": "127.0.0.1",
            "box-deny-ip": '"*.*.*.*"',
            "box-allow-ip": '"127.0.0.1"',
            "dlr-storage": "internal",
            "sms-resend-freq": 1,
        }
        smsbox = {
            "bearerbox-host": "127.0.0.1",
            "sendsms-port": self._http,
            "sendsms-interface": "127.0.0.1",
        }
        user = {
            "username": "test",
            "password": "test",
            "max-messages": 10,
            "concatenation": "true",
            "user-allow-ip": '"*.*.*.*"',
        }
        groups = {"core": core, "smsc": smsc, "smsbox": smsbox, "sendsms-user": user}
        return "\n".join(
            f"group = {name}\n" + "".join(f"{key} = {value}\n" for key, value in group.items())
            for name, group in groups.items()
        )

    def __enter__(self) -> "Kannel":
        try:
            self._start(self._bearerbox)
            until(self._online)
            self._start(self._smsbox)
            until(self._answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
            try:
                process.wait(BOUND_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, program: str) -> None:
        with self._log(program).open("wb") as log:
            words = [program, "-v", "0", str(self._config)]
            self._running.append(subprocess.Popen(words, stdout=log, stderr=log, cwd=self._logs))

    def _log(self, program: str) -> Path:
        return self._logs / f"{Path(program).name}.log"

    def _online(self) -> bool:
        assert self._running[0].poll() is None, self._log(self._bearerbox).read_text("latin-1")
        return "(online " in self.status()

    def _answers(self) -> bool:
        assert self._running[1].poll() is None, self._log(self._smsbox).read_text("latin-1")
        return "smsbox:" in self.status()

    def status(self) -> str:
        """What its status page says, as text; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/status.txt?password=pass", timeout=5) as page:
                return str(page.read().decode("latin-1"))
        except OSError:
            return ""

    def send(self, to: str, text: str, **parameters: str) -> str:
        """Send by its HTTP API; what it says. ``parameters``: more of them, ``_`` for ``-``."""
        asked = {"username": "test", "password": "test", "from": "Kannel", "to": to, "text": text}
        asked |= {key.replace("_", "-"): value for key, value in parameters.items()}
        url = f"http://127.0.0.1:{self._http}/cgi-bin/sendsms?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode("latin-1"))
        except urllib.error.HTTPError as refused:
            return f"{refused.code} {refused.read().decode('latin-1')}"
