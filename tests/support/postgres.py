"""A PostgreSQL cluster of the suite's own: made in a temporary directory, reachable on loopback and a Unix socket.

`initdb` refuses root, so as root everything of the server runs as an unprivileged user, in a directory that this user
can reach. One cluster serves all xdist workers of a run (``shared_cluster``): the first that needs it makes it, the
last to leave stops and removes it; what a killed run left behind is swept away by the next. Tests that stop or kill
a server make one of their own (``PostgresCluster``). Missing binaries fail, they never skip in silence:
``KVITTO_TEST_SKIP_POSTGRES=1`` is the one way to do without. The fixtures are in ``tests/conftest.py``.
"""

import contextlib
import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

__all__ = [
    "SKIP_VARIABLE",
    "PostgresCluster",
    "PostgresFailed",
    "PostgresMissing",
    "find_binaries",
    "shared_cluster",
    "skip_wanted",
]

SKIP_VARIABLE = "KVITTO_TEST_SKIP_POSTGRES"
FSYNC_VARIABLE = "KVITTO_TEST_POSTGRES_FSYNC"

USER = "kvitto"
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 << 30
START_S = 60
STOP_S = 60
# A directory without live users is somebody's leftover only after this long: its maker may just be registering.
LEFTOVER_S = 120
# The path of a Unix socket has at most 107 octets, PostgreSQL's own name for it (.s.PGSQL.65535) has 15.
SOCKET_DIRECTORY_MAX = 107 - 16


class PostgresMissing(RuntimeError):
    """No server binaries on this machine; the message says in one line what to install."""


class PostgresFailed(RuntimeError):
    """One of PostgreSQL's tools did not do its work; the message has all it said, and the end of the server's log."""


def skip_wanted() -> bool:
    """Whether somebody chose, on purpose, to run the suite without PostgreSQL."""
    return os.environ.get(SKIP_VARIABLE) == "1"


def find_binaries() -> Path:
    """The directory of ``initdb`` and ``postgres``: pg_config's, else Debian's newest.

    Raises: PostgresMissing.
    """
    candidates: list[Path] = []
    if shutil.which("pg_config"):
        found = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(found.stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for directory in candidates:
        if all((directory / tool).exists() for tool in ("initdb", "postgres", "pg_ctl", "psql")):
            return directory
    raise PostgresMissing(
        f"PostgreSQL's server binaries are missing: apt-get install postgresql-15 (or set {SKIP_VARIABLE}=1)"
    )


def _unprivileged_user() -> str | None:
    """Who runs the server: nobody else when we are no root, else Debian's ``postgres``, else ``nobody``."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise PostgresMissing("initdb refuses root, and this machine has neither a user postgres nor nobody")


def _bases() -> list[Path]:
    """Where clusters may go: temporary directories that every user can enter and whose paths stay short."""
    found = []
    for candidate in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), MEMORY):
        path = candidate.resolve()
        enterable = path.is_dir() and all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
        if enterable and os.access(path, os.W_OK) and len(str(path)) < SOCKET_DIRECTORY_MAX - 40:
            found.append(path)
    if not found:
        raise PostgresMissing("no temporary directory is open to other users; set TMPDIR to one")
    return found


def _base(*, in_memory: bool) -> Path:
    """In memory, where there is room, a database is copied in 25 ms; on a disk in 250 ms."""
    bases = _bases()
    if in_memory and MEMORY in bases and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        return MEMORY
    return bases[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _await(condition: Callable[[], bool], what: str, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} took more than {limit_s} s")
        time.sleep(0.01)


class PostgresCluster:
    """One cluster in one directory: ``create``, ``start``, and then databases by the dozen.

    ``fsync``: on as in life; off only makes things faster, and what a killed server wrote survives all the same (only
    a machine that loses power would lose it). ``settings``: more lines for postgresql.conf.
    """

    def __init__(self, directory: Path, *, fsync: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.port = 0
        self._binaries = find_binaries()
        self._user = _unprivileged_user()
        self._fsync = fsync
        self._settings = dict(settings or {})
        self._numbers = count(1)

    @classmethod
    def temporary(cls, *, fsync: bool = True, settings: Mapping[str, str] | None = None) -> "PostgresCluster":
        """A made and started cluster of one's own, on disk, to stop and kill; ``remove`` it in the end."""
        directory = Path(tempfile.mkdtemp(prefix=f"kvitto-pg-own-{os.getpid()}-", dir=_base(in_memory=False)))
        cluster = cls(directory, fsync=fsync, settings=settings)
        cluster.create()
        cluster.start()
        return cluster

    # ---- the server ----

    def create(self) -> None:
        """Make the cluster's files; it does not run yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        for path in (self._data, self._sockets):
            path.mkdir(mode=0o700)
            if self._user:
                shutil.chown(path, self._user)
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", USER, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"),
        )
        self.port = _free_port()
        self._write_configuration()

    def open(self) -> None:
        """Take over a cluster that another process made."""
        self.port = int((self.directory / "port").read_text())

    def start(self) -> None:
        """Start the server and wait until it answers. A port that somebody else took meanwhile is changed once."""
        try:
            self._start()
        except PostgresFailed:
            if "could not bind" not in self.log():
                raise
            self.port = _free_port()
            self._write_configuration()
            self._start()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and wait; ``fast`` rolls back and closes, ``immediate`` leaves recovery to the next start."""
        if self.running:
            self._run("pg_ctl", "--pgdata", str(self._data), "--mode", mode, "--wait", "-t", str(STOP_S), "stop")

    def kill(self) -> None:
        """``kill -9`` of the server and all its processes, as when the machine dies; ``start`` then recovers."""
        server = self.pid
        if server is None:
            return
        processes = [server, *_children(server)]
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _await(lambda: not any(map(_alive, processes)), "the killed server's end", STOP_S)
        # Where nobody collects dead processes (a container's process 1), the next server would take the dead one's
        # process id for a living owner. We saw it die, so its lock files may go.
        for lock in (self._data / "postmaster.pid", *self._sockets.iterdir()):
            lock.unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the server, whatever its state, and remove every file."""
        with contextlib.suppress(PostgresFailed):
            self.stop("immediate")
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return pid if _alive(pid) else None

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.pid is not None

    def log(self) -> str:
        """What the server wrote, for messages of failed tests."""
        path = self._data / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ---- its databases ----

    def dsn(self, database: str = "postgres", *, over_socket: bool = False) -> str:
        """The address of a database, over loopback TCP or the Unix socket; no password is asked."""
        if over_socket:
            return f"postgresql://{USER}@/{database}?host={self._sockets}&port={self.port}"
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str = "template1") -> str:
        """A fresh database, copied from ``template``; gives back its dsn."""
        name = f"t{os.getpid()}_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.dsn(name)

    def create_database_on(self, path: Path) -> str:
        """A fresh database whose tables lie in a new directory below ``path``; gives back its dsn."""
        place = path / "tables"
        place.mkdir(mode=0o700)
        if self._user:
            shutil.chown(place, self._user)
        name = f"t{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE TABLESPACE \"{name}\" LOCATION '{place}'")
        self.execute(f'CREATE DATABASE "{name}" TABLESPACE "{name}"')
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database of a dsn, whoever is still connected."""
        name = dsn.rpartition("/")[2].partition("?")[0]
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def template(self, name: str, prepare: Callable[[str], None]) -> str:
        """A database to copy from: made once for all workers by ``prepare(dsn)`` (say, the migrations).

        Copying takes a fraction of what migrating takes. ``prepare`` must close its connections.
        """
        if not re.fullmatch(r"[a-z0-9_]{1,40}", name):
            raise ValueError("a template's name has at most 40 small letters, digits and underscores")
        ready = self.directory / f"template-{name}"
        with _locked(self.directory / "templates.lock"):
            if not ready.exists():
                self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
                self.execute(f'CREATE DATABASE "{name}"')
                prepare(self.dsn(name))
                ready.touch()
        return name

    def terminate_backends(self, database: str) -> None:
        """Close every connection to a database from the server's side (P25)."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL by ``psql``, outside any transaction of the test; gives back the rows, one a line, bare."""
        bare = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        return self._run("psql", *bare, "-d", self.dsn(database, over_socket=True), "-c", sql)

    # ---- within ----

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _sockets(self) -> Path:
        return self.directory / "s"

    def _write_configuration(self) -> None:
        switch = "on" if self._fsync else "off"
        lines = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._sockets),
            "fsync": switch,
            "full_page_writes": switch,
            "max_connections": "200",
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_min_messages": "warning",
            **self._settings,
        }
        text = "".join(f"{key} = '{value}'\n" for key, value in lines.items())
        # auto.conf is read last, and is this cluster's alone.
        (self._data / "postgresql.auto.conf").write_text(text)
        (self.directory / "port").write_text(str(self.port))

    def _start(self) -> None:
        log = str(self._data / "server.log")
        self._run("pg_ctl", "--pgdata", str(self._data), "--log", log, "--wait", "-t", str(START_S), "start")

    def _run(self, tool: str, *arguments: str) -> str:
        """Run one of PostgreSQL's tools as the server's user, with none of our own PG variables."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        # The server inherits these handles and keeps them open: files, because waiting for a pipe's end would hang.
        with tempfile.TemporaryFile("w+", errors="replace") as output, tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [str(self._binaries / tool), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**environment, "LC_ALL": "C"},
                cwd=self.directory,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                check=False,
            )
            output.seek(0)
            errors.seek(0)
            text, complaint = output.read(), errors.read()
        if done.returncode:
            raise PostgresFailed(f"{tool} ended with {done.returncode}\n{text}{complaint}{self.log()[-2000:]}")
        return text


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among all processes that lock this file."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _users(directory: Path) -> list[Path]:
    """The registered users that still live; dead ones are struck off."""
    users = list((directory / "users").glob("[0-9]*"))
    for user in users:
        if not _alive(int(user.name)):
            user.unlink(missing_ok=True)
    return [user for user in users if user.exists()]


def _sweep() -> None:
    """Remove the clusters that killed runs left behind; those in use, and fresh ones, are let be."""
    for directory in (found for base in _bases() for found in base.glob("kvitto-pg-*/")):
        with contextlib.suppress(OSError):
            if directory.stat().st_uid != os.geteuid() or time.time() - directory.stat().st_mtime < LEFTOVER_S:
                continue
            own = re.fullmatch(r"kvitto-pg-own-(\d+)-.*", directory.name)
            if _alive(int(own[1])) if own else _users(directory):
                continue
            PostgresCluster(directory).remove()


@contextlib.contextmanager
def shared_cluster() -> Iterator[PostgresCluster]:
    """The run's one cluster, for as long as the block lasts; made by its first user, removed by its last.

    ``KVITTO_TEST_POSTGRES_FSYNC=off`` makes it faster.
    """
    base = _base(in_memory=True)
    _sweep()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"pid{os.getpid()}")[:16]
    directory = base / f"kvitto-pg-{run}"
    # The lock stands beside the directory: removing the one must not pull the other away from a waiting worker.
    lock = base / f"kvitto-pg-{run}.lock"
    cluster = PostgresCluster(directory, fsync=os.environ.get(FSYNC_VARIABLE, "on") != "off")
    me = directory / "users" / str(os.getpid())
    with _locked(lock):
        if cluster.running:
            cluster.open()
        else:
            shutil.rmtree(directory, ignore_errors=True)
            cluster.create()
            cluster.start()
        me.parent.mkdir(exist_ok=True)
        me.touch()
    try:
        yield cluster
    finally:
        with _locked(lock):
            me.unlink(missing_ok=True)
            if not _users(directory):
                cluster.remove()
                lock.unlink(missing_ok=True)
