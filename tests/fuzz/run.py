"""``make fuzz``: every target on mutated octets for as long as one likes; what breaks one is kept in its corpus.

    python -m tests.fuzz.run [--seconds 600 | --count 10000000] [--target NAME ...] [--seed 1]

Prints a line of progress every ``TELL_S``. Something that raises, takes longer than ``SLOW_S``, or makes the process
grow beyond ``GROWTH_MIB`` is a find: its octets are written to ``corpus/TARGET/crash-HASH`` (the short run then fails
on them until they do no harm any more), and the exit code is 1.
"""

import argparse
import hashlib
import resource
import sys
import time
import traceback
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS, mutate

__all__ = ["CORPUS", "corpus_of", "main"]

CORPUS = Path(__file__).parent / "corpus"
TELL_S = 10.0
SLOW_S = 1.0
GROWTH_MIB = 200
ROUND = 500


def corpus_of(target: str) -> list[Path]:
    """The files of a target's corpus, in order."""
    return sorted(path for path in (CORPUS / target).iterdir() if path.is_file())


def _keep(target: str, octets: bytes) -> Path:
    path = CORPUS / target / f"crash-{hashlib.sha256(octets).hexdigest()[:12]}"
    path.write_bytes(octets)
    return path


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Run:
    """One run over some targets."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._chance = Random(options.seed)
        self._names = options.target or list(TARGETS)
        self._seeds = {name: [path.read_bytes() for path in corpus_of(name)] for name in self._names}
        self._began = self._told = time.monotonic()
        self._until = self._began + options.seconds if options.seconds else None
        self._most = options.count
        self.done = 0
        self.found = 0

    def run(self) -> None:
        """Until time or count is over."""
        while not self._over():
            for name in self._names:
                for _ in range(ROUND):
                    self._one(name, mutate(name, self._chance.choice(self._seeds[name]), self._chance))
            self._tell()

    def _over(self) -> bool:
        if self._until is not None and time.monotonic() >= self._until:
            return True
        return self._most is not None and self.done >= self._most

    def _one(self, name: str, octets: bytes) -> None:
        began, before = time.monotonic(), _peak_mib()
        self.done += 1
        try:
            TARGETS[name](octets)
        except Exception:  # a find, whatever it is
            self.found += 1
            print(f"{_keep(name, octets)}\n{traceback.format_exc()}", file=sys.stderr)
            return
        if time.monotonic() - began > SLOW_S or _peak_mib() - before > GROWTH_MIB:
            self.found += 1
            print(f"{_keep(name, octets)}: {time.monotonic() - began:.1f} s, {_peak_mib():.0f} MiB", file=sys.stderr)

    def _tell(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told >= TELL_S:
            self._told = now
            took = now - self._began
            print(
                f"{took:6.0f} s  {self.done:,} inputs ({self.done / took:,.0f}/s), {self.found} finds, "
                f"peak memory {_peak_mib():.0f} MiB",
                flush=True,
            )

    def end(self) -> None:
        """The last line."""
        self._tell(last=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.run")
    parser.add_argument("--seconds", type=float, help="default: 600, unless there is a count")
    parser.add_argument("--count", type=int)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.seconds is None and options.count is None:
        options.seconds = 600.0
    run = _Run(options)
    run.run()
    run.end()
    raise SystemExit(1 if run.found else 0)


if __name__ == "__main__":
    main()
