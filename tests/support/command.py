"""Runs the ``kvitto`` command: in this process for speed, or for real with ports of its own."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kvitto import telemetry
from kvitto.cli import main

__all__ = ["Result", "Served", "kvitto", "serving"]


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def kvitto(*words: str, data: Path, monkeypatch: Any) -> Result:
    """Run one command as the shell would, without a new process; ``data``: its data directory."""
    monkeypatch.setattr(telemetry, "configure", lambda **_: None)  # the logs of this process belong to pytest
    monkeypatch.setattr(sys, "argv", ["kvitto", *words, "--data", str(data)])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Result(code, out.getvalue(), err.getvalue())


class Served(NamedTuple):
    """A running server. ``announced``: what it printed on standard output, as JSON."""

    process: "subprocess.Popen[str]"
    announced: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        return str(self.announced["url"])

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = 15) -> int:
        self.process.send_signal(number)
        return self.process.wait(within_s)


@contextlib.contextmanager
def serving(data: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """``kvitto serve`` in a process of its own, ready when this yields; killed afterwards if it still runs."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "server.log"
    command: Sequence[str] = [sys.executable, "-m", "kvitto", "serve", "--json", "--port", "0", "--data", str(data)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | (environment or {}),
        )
    try:
        yield Served(process, _read_announcement(process, log), log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_announcement(process: "subprocess.Popen[str]", log: Path) -> dict[str, Any]:
    """Everything up to the end of the first JSON document."""
    assert process.stdout is not None
    text, limit = "", time.monotonic() + 30
    while time.monotonic() < limit:
        line = process.stdout.readline()
        if not line:
            break
        text += line
        if line == "}\n":
            return dict(json.loads(text))
    raise AssertionError(f"the server did not come up: {text}{log.read_text()}")
