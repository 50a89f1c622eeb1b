"""The receivers of ``examples/receivers``, running: one process each, what they print, posts to them by hand.

``make receivers`` installs the languages. A missing one fails, it never skips.
"""

import contextlib
import http.client
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.server import reserve_port

__all__ = ["LANGUAGES", "Language", "LanguageMissing", "Receiver", "build", "receiving"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "receivers"
READY_S = 60.0
"""A compiler at work on a busy machine takes its time."""


class LanguageMissing(Exception):
    """It is not installed; the message says what to run."""


class Language(NamedTuple):
    """``tool``: what must be on the path. ``source``: below ``examples/receivers``. ``run``: with ``{source}``,
    ``{port}`` and ``{folder}``. ``build``: run once before, if at all.
    """

    tool: str
    source: str
    run: Sequence[str]
    build: Sequence[str] = ()


LANGUAGES: dict[str, Language] = {
    "python": Language("python3", "python/receiver.py", ("python3", "{source}")),
    "node": Language("node", "node/receiver.js", ("node", "{source}")),
    "go": Language(
        "go", "go/receiver.go", ("{folder}/receiver",), ("go", "build", "-o", "{folder}/receiver", "{source}")
    ),
    "php": Language("php", "php/receiver.php", ("php", "-S", "127.0.0.1:{port}", "{source}")),
    "java": Language("javac", "java/Receiver.java", ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "{source}")),
}


def _command(words: Sequence[str], language: Language, folder: Path, port: int = 0) -> list[str]:
    source = str(EXAMPLES / language.source)
    return [word.format(source=source, folder=folder, port=port) for word in words]


def build(language: Language, folder: Path) -> None:
    """Compile it into ``folder``, where that is a step of its own. Raises: LanguageMissing."""
    if shutil.which(language.tool) is None:
        raise LanguageMissing(f"{language.tool} is not installed: make receivers")
    if language.build:
        environment = os.environ | {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
        subprocess.run(_command(language.build, language, folder), check=True, env=environment, timeout=READY_S * 2)


class Receiver:
    """One that runs. ``printed``: its lines so far, but for the first one that says where it listens."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port
        self.printed: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it takes callbacks."""
        return f"http://127.0.0.1:{self.port}/callbacks"

    def post(self, body: bytes, headers: Mapping[str, str], *, method: str = "POST") -> tuple[int, bytes]:
        """Its answer to one request: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_S)
        try:
            connection.request(method, "/callbacks", body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.startswith("listening on"):
                self.printed.append(line.rstrip("\n"))

    def wait_until_ready(self) -> None:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            assert self._process.poll() is None, f"it ended with {self._process.returncode}"
            with contextlib.suppress(OSError):
                self.post(b"", {}, method="GET")
                return
            time.sleep(0.02)
        raise AssertionError(f"it does not answer within {READY_S:g} s")


@contextlib.contextmanager
def receiving(language: Language, folder: Path, secret: str) -> Iterator[Receiver]:
    """Run it with this secret; it is gone afterwards. ``folder``: where ``build`` put it, and for what it keeps."""
    port = reserve_port()
    environment = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port), "SEEN_DIR": str(folder / "seen")}
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            _command(language.run, language, folder, port),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            cwd=folder,
        )
    try:
        receiver = Receiver(process, port)
        receiver.wait_until_ready()
        yield receiver
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
