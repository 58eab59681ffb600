"""Where ingestctl is run for acceptance: a database, a store, and own eyes on both.

Nothing here uses the code under test: rows are read with sqlite3 or psycopg, objects with boto3 or from
the folder, processes from /proc.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from tests.reliability.warm import Parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.services.postgres import PostgresServer
    from tests.services.s3 import S3Server

TABLES = ("videos", "jobs", "job_runs", "job_events", "ingest_artifacts", "ingest_incidents")
_JSON = {"payload", "metadata", "storage_ref", "error_details", "details"}


@dataclass(frozen=True, slots=True)
class Completed:
    """How one call of the program ended. ``data`` and ``errors`` are the envelope's."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """The one envelope on stdout."""
        assert self.stdout.count("\n") == 1, f"not one line of JSON: {self.stdout!r}\n{self.stderr}"
        found: dict[str, Any] = json.loads(self.stdout)
        return found

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The first error."""
        found: dict[str, Any] = self.json["errors"][0]
        return found


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the store itself shows it."""

    body: bytes = field(repr=False)
    content_type: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Worker:
    """One running call of the program; it is killed with its test."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: str | None = None
    ) -> None:
        self.began = time.monotonic()
        self._stdin = stdin
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingestctl", *arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, the process alone: its children must go by themselves."""
        self.process.kill()
        self.process.wait()

    def done(self, timeout: float = 60) -> Completed:
        stdout, stderr = self.process.communicate(self._stdin, timeout=timeout)
        return Completed(self.process.returncode, stdout, stderr, time.monotonic() - self.began)


@functools.cache
def _warm() -> Parent:
    """The process that calls are forked from, one for all tests of this process. It ends with it."""
    return Parent()


_KNOWN: set[str] = set()


def _first(command: str, folder: Path) -> dict[str, str]:
    """What the first call of a command is asked besides: the modules it loads, for those that follow."""
    if command in _KNOWN:
        return {}
    _KNOWN.add(command)
    return {"record": str(folder / f"modules-of-{len(_KNOWN)}.json")}


class World:
    """One database and one store with nothing in them yet but what the platform had."""

    def __init__(self, kind: str, home: Path, env: dict[str, str], dsn: str | None, s3: Any) -> None:
        self.kind = kind
        self.home = home
        self.env = env
        self._dsn = dsn
        self._s3 = s3
        self._workers: list[Worker] = []

    @property
    def is_s3(self) -> bool:
        return self._s3 is not None

    def bucket(self, role: str) -> str:
        """``VIDEO``, ``AUDIO`` or ``UPLOADS``."""
        return self.env[f"S3_BUCKET_{role}"]

    # --- the program

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> Worker:
        """Start ``ingestctl arguments…`` with this world's settings and nothing else in its environment."""
        worker = Worker(arguments, {**self.env, **(env or {})}, self.home, stdin)
        self._workers.append(worker)
        return worker

    def cli(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        text: bool = False,
        stdin: str | None = None,
    ) -> Completed:
        """Run it to its end; with the envelope on stdout unless ``text``.

        Where it reads nothing and answers in JSON it is a fork of a warm process, which saves it the
        imports: most of what a short call costs.
        """
        if text or stdin is not None:
            words = arguments if text else (*arguments, "--output", "json")
            return self.start(*words, env=env, stdin=stdin).done()
        began = time.monotonic()
        ended = _warm().run(
            self, *arguments, env=env, cwd=str(self.home), **_first(arguments[0], self.home.parent)
        )
        return Completed(ended.code, ended.stdout, ended.stderr, time.monotonic() - began)

    def run(self, job_id: str, **env: str) -> Completed:
        return self.cli("run", "--job-id", job_id, env=env)

    def submit(self, *sources: str) -> list[str]:
        """Submit; return the jobs' ids in order."""
        done = self.cli("submit", *sources)
        assert done.code == 0, done.stdout + done.stderr
        return [job["job_id"] for job in done.data["jobs"]]

    def close(self) -> None:
        for worker in self._workers:
            if worker.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.communicate()

    # --- the database

    def query(self, sql: str, *values: Any, timeout: float = 10) -> list[dict[str, Any]]:
        """Rows of one statement, ``?`` for values; JSON columns as Python values."""
        if self._dsn is None:
            with contextlib.closing(
                sqlite3.connect(self.home / "ingestctl.db", timeout=timeout)
            ) as connection:
                connection.row_factory = sqlite3.Row
                rows = [dict(row) for row in connection.execute(sql, values)]
                connection.commit()
            return [{k: _loaded(k, v) for k, v in row.items()} for row in rows]
        with psycopg.connect(self._dsn, row_factory=dict_row) as connection:
            cursor = connection.execute(sql.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description else []

    def row(self, table: str, row_id: str) -> dict[str, Any]:
        [found] = self.query(f"SELECT * FROM {table} WHERE id = ?", row_id)
        return found

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        return self.query("SELECT * FROM job_runs WHERE job_id = ? ORDER BY attempt", job_id)

    def events(self, job_id: str) -> list[dict[str, Any]]:
        return self.query("SELECT * FROM job_events WHERE job_id = ? ORDER BY created_at, id", job_id)

    def dump(self) -> dict[str, list[str]]:
        """Every row of every table, for comparing before with after."""
        return {t: sorted(repr(row) for row in self.query(f"SELECT * FROM {t}")) for t in TABLES}

    def wait_for_phase(self, worker: Worker, job_id: str, phase: str, timeout: float = 30) -> None:
        def reached() -> bool:
            assert worker.process.poll() is None, f"it ended before {phase}: {worker.done()}"
            job = self.row("jobs", job_id)
            return bool(job["status"] == "running" and job["ingestion_phase"] == phase)

        wait_until(reached, timeout, f"job {job_id} never reached {phase}")

    # --- the store

    def objects(self, *, uploads: bool = False) -> dict[tuple[str, str], Stored]:
        """Every object in the video and audio buckets (and uploads), by bucket and key."""
        roles = ("VIDEO", "AUDIO", *(("UPLOADS",) if uploads else ()))
        found = {}
        for name in (self.bucket(role) for role in roles):
            if self._s3 is None:
                for path in (p for p in (self.home / "objects" / name).rglob("*") if p.is_file()):
                    key = path.relative_to(self.home / "objects" / name).as_posix()
                    found[name, key] = Stored(path.read_bytes(), self._folder_type(name, path))
            else:
                for entry in self._s3.list_objects_v2(Bucket=name).get("Contents", []):
                    got = self._s3.get_object(Bucket=name, Key=entry["Key"])
                    found[name, entry["Key"]] = Stored(got["Body"].read(), got["ContentType"])
        return found

    def _folder_type(self, bucket: str, path: Path) -> str:
        stat = path.stat()
        name = f"{stat.st_size:x}-{stat.st_mtime_ns:x}-{stat.st_ino:x}.json"
        return str(json.loads((self.home / "objects" / ".meta" / bucket / name).read_text())["content_type"])

    def store_state(self) -> list[tuple[str, ...]]:
        """Names, times and ETags of every object: changed by any write, even one of the same bytes."""
        if self._s3 is None:
            paths = [p for p in (self.home / "objects").rglob("*") if p.is_file()]
            return sorted((str(p), str(p.stat().st_mtime_ns), str(p.stat().st_ino)) for p in paths)
        state = []
        for role in ("VIDEO", "AUDIO", "UPLOADS"):
            listed = self._s3.list_objects_v2(Bucket=self.bucket(role)).get("Contents", [])
            state += [(role, o["Key"], str(o["LastModified"]), o["ETag"]) for o in listed]
        return sorted(state)

    def leftovers(self) -> list[str]:
        """Unfinished uploads, scratch folders and live processes that name this world's home."""
        left = [f"scratch {p.name}" for p in (self.home / "scratch").glob("*")]
        left += [f"process {pid} {command}" for pid, command in self.processes().items()]
        if self._s3 is None:
            uploads = self.home / "objects" / ".uploads"
            return left + [f"upload {p}" for p in uploads.rglob("*") if p.is_file()]
        for role in ("VIDEO", "AUDIO", "UPLOADS"):
            listed = self._s3.list_multipart_uploads(Bucket=self.bucket(role)).get("Uploads", [])
            left += [f"upload {role} {u['Key']}" for u in listed]
        return left

    def processes(self) -> dict[int, str]:
        """Live processes whose command line or environment names this world's home."""
        mark, found = str(self.home).encode(), {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if command and (mark in command or mark in (entry / "environ").read_bytes()):
                        found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def await_no_process(self, timeout: float = 3) -> None:
        wait_until(lambda: not self.processes(), timeout, f"still alive: {self.processes()}")


def wait_until(reached: Callable[[], bool], timeout: float, message: str) -> None:
    deadline = time.monotonic() + timeout
    while not reached():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def _loaded(column: str, value: Any) -> Any:
    return json.loads(value) if column in _JSON and isinstance(value, str) else value


def make_world(kind: str, home: Path, postgres: PostgresServer | None, s3: S3Server | None) -> World:
    """``sqlite``: SQLite and a folder. ``postgres``: an empty PostgreSQL and S3. ``platform``: its own."""
    home.mkdir(parents=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "INGESTCTL_HOME": str(home),
        "INGESTCTL_SOURCE_ALLOW_NETWORKS": "127.0.0.1/32",
        "INGESTCTL_LEASE_SECONDS": "2",
        "INGESTCTL_HEARTBEAT_SECONDS": "0.3",
        "INGESTCTL_RETRY_BASE_SECONDS": "0.05",
        "INGESTCTL_RETRY_MAX_SECONDS": "2",
        "INGESTCTL_SOCKET_TIMEOUT_SECONDS": "2",
        "INGESTCTL_S3_TIMEOUT_SECONDS": "2",
        "INGESTCTL_S3_MAX_ATTEMPTS": "2",
        "INGESTCTL_MIN_FREE_BYTES": "1MB",
        "S3_BUCKET_VIDEO": "raw-videos",
        "S3_BUCKET_AUDIO": "audio-tracks",
        "S3_BUCKET_UPLOADS": "uploads",
    }
    if kind == "sqlite":
        return World(kind, home, env, None, None)
    assert postgres is not None
    assert s3 is not None
    url = postgres.create_database("platform" if kind == "platform" else None)
    name = uuid.uuid4().hex[:12]
    env |= {
        "DATABASE_URL": url,
        "S3_ENDPOINT": s3.endpoint,
        "S3_ACCESS_KEY": s3.access,
        "S3_SECRET_KEY": s3.secret,
        "S3_BUCKET_VIDEO": f"v-{name}",
        "S3_BUCKET_AUDIO": f"a-{name}",
        "S3_BUCKET_UPLOADS": f"u-{name}",
    }
    return World(kind, home, env, url.replace("postgresql+psycopg://", "postgresql://"), s3.client())
