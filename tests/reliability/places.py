"""Where a scenario is played: one job's rows and objects, seen without the code under test.

On SQLite and a folder each place has both to itself. On PostgreSQL and S3 many places share a database and
three buckets, as production does; a place then looks at its own video alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_COLUMNS = {"payload", "metadata", "storage_ref", "error_details", "details"}
OF_VIDEO = {
    "videos": "id = ?",
    "jobs": "video_id = ?",
    "job_runs": "job_id IN (SELECT id FROM jobs WHERE video_id = ?)",
    "job_events": "job_id IN (SELECT id FROM jobs WHERE video_id = ?)",
    "ingest_artifacts": "video_id = ?",
    "ingest_incidents": "video_id = ?",
    "ingest_incident_entries": "incident_id IN (SELECT id FROM ingest_incidents WHERE video_id = ?)",
}
BUCKETS = ("VIDEO", "AUDIO", "UPLOADS")
_MASKED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{32}(?:[0-9a-f]{16})?\b|cell-[\w-]+|[0-9a-f]+-[0-9a-f]+-[0-9a-f]+(?=\.json)"
    r"|(?<=[0-9a-f]-)[0-9a-f]{16}-[0-9a-f]+|datetime\(.*?\)|\d{4}-\d\d-\d\d[T ][\d:.]+|\d+\.\d+"
    r"|:\d+:[0-9a-f]{8}"
)


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL and S3 shared by many places; None of them on a folder."""

    database_url: str
    endpoint: str
    access: str = field(repr=False)
    secret: str = field(repr=False)
    name: str
    """Part of the buckets' names."""

    def env(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "S3_ENDPOINT": self.endpoint,
            "S3_ACCESS_KEY": self.access,
            "S3_SECRET_KEY": self.secret,
            **{f"S3_BUCKET_{role}": f"{role[0].lower()}-{self.name}" for role in BUCKETS},
        }


@dataclass(frozen=True, slots=True)
class Object:
    """One stored object."""

    size: int
    sha256: str
    head: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """One world with one source in it."""

    home: Path
    server: Server | None
    tag: str
    media: Path
    """The source's bytes."""
    url: str
    """The source's address."""
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of the program here."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "INGESTCTL_HOME": str(self.home),
            "INGESTCTL_SOURCE_ALLOW_NETWORKS": "127.0.0.1/32",
            "INGESTCTL_LEASE_SECONDS": "120",
            "INGESTCTL_HEARTBEAT_SECONDS": "30",
            "INGESTCTL_MIN_FREE_BYTES": "1MB",
            "INGESTCTL_HAND_OFF": "true",
            "S3_BUCKET_VIDEO": "videos",
            "S3_BUCKET_AUDIO": "audio",
            "S3_BUCKET_UPLOADS": "uploads",
            **(self.server.env() if self.server else {}),
            **self.more,
        }

    def bucket(self, role: str) -> str:
        return self.env[f"S3_BUCKET_{role}"]

    # --- rows

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of one statement, committed; ``?`` for values."""
        if self.server is None:
            with contextlib.closing(sqlite3.connect(self.home / "ingestctl.db", timeout=5)) as connection:
                connection.row_factory = sqlite3.Row
                rows = [dict(row) for row in connection.execute(sql, values)]
                connection.commit()
            return [{k: _loaded(k, v) for k, v in row.items()} for row in rows]
        from psycopg import OperationalError

        # Without values a % is a %.
        statement = sql.replace("?", "%s").encode()
        try:
            cursor = _session(self.server.database_url).execute(statement, values or None)
        except OperationalError:  # the server was restarted meanwhile
            _SESSIONS.pop(self.server.database_url).close()
            cursor = _session(self.server.database_url).execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def source_uris(self) -> tuple[str, str]:
        """The two URIs this place's video can have: its URL, or its bytes as an upload."""
        return self.url, self.upload_key

    @property
    def upload_key(self) -> str:
        return f"sha256/{hashlib.sha256(self.media.read_bytes()).hexdigest()}.mp4"

    def video_ids(self) -> list[str]:
        found = self.query("SELECT id FROM videos WHERE source_uri IN (?, ?)", *self.source_uris())
        return [row["id"] for row in found]

    def job_ids(self) -> list[str]:
        """Ingest jobs of this place."""
        question = "SELECT id FROM jobs WHERE type = 'ingest' AND video_id = ?"
        return [row["id"] for v in self.video_ids() for row in self.query(question, v)]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every row that belongs to this place's video, by table."""
        videos = self.video_ids()
        return {
            table: [row for v in videos for row in self.query(f"SELECT * FROM {table} WHERE {where}", v)]
            for table, where in OF_VIDEO.items()
        }

    def dump(self) -> dict[str, list[str]]:
        """The same, for comparing before with after; with every object's identity."""
        rows = {table: sorted(map(repr, rows)) for table, rows in self.rows().items()}
        return {**rows, "objects": sorted(f"{k} {v}" for k, v in self.identities().items())}

    def fingerprint(self) -> str:
        """All that a dead process left behind which a later one can see; ids, times and durations masked."""
        rows = {t: sorted(_MASKED.sub("*", repr(r)) for r in found) for t, found in self.rows().items()}
        objects = {_MASKED.sub("*", "/".join(k)): (o.size, o.sha256) for k, o in self.objects().items()}
        tree = [
            (_MASKED.sub("*", str(p.relative_to(self.home))), p.is_file() and p.stat().st_size)
            for p in self.home.rglob("*")
            if p.relative_to(self.home).parts[0] not in ("scratch", "ingestctl.db", "ingestctl.db-journal")
        ]
        seen = repr((rows, sorted(objects.items()), sorted(tree), self.scratch(), self.uploads()))
        seen = seen.replace(self.upload_key[7:71], "its own bytes")
        return hashlib.sha256(seen.encode()).hexdigest()

    def scratch(self) -> list[tuple[bool, bool]]:
        """Of each scratch folder, whether anything is in it, and its lock: no later run asks more."""
        found = (self.home / "scratch").glob("*")
        return sorted((any(p.iterdir()), (p / ".lock").exists()) for p in found)

    def uploads(self) -> list[str]:
        """Unfinished uploads in S3, each with its parts."""
        found = []
        for bucket, prefix in self._prefixes() if self.server else ():
            listed = client(self.server).list_multipart_uploads(Bucket=bucket, Prefix=prefix)
            for upload in listed.get("Uploads", []):
                place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                parts = client(self.server).list_parts(**place).get("Parts", [])
                found.append(
                    _MASKED.sub("*", f"{bucket} {upload['Key']} {[(p['ETag'], p['Size']) for p in parts]}")
                )
        return sorted(found)

    def age_leases(self) -> None:
        """Let the time pass that a dead owner's lease has left: every lease here began when it ends."""
        for job_id in self.job_ids():
            change = (
                "UPDATE job_runs SET lease_expires_at = started_at WHERE job_id = ? AND status = 'running'"
            )
            self.query(change, job_id)
        held = "UPDATE ingest_incidents SET lease_expires_at = opened_at WHERE video_id = ?"
        for video_id in self.video_ids():
            self.query(f"{held} AND lease_expires_at IS NOT NULL", video_id)

    # --- objects

    def objects(self) -> dict[tuple[str, str], Object]:
        """Every object of this place, by bucket and key, its bytes read."""
        found = {}
        for bucket, key in self.identities():
            if self.server is None:
                body = (self.home / "objects" / bucket / key).read_bytes()
            else:
                body = client(self.server).get_object(Bucket=bucket, Key=key)["Body"].read()
            found[bucket, key] = Object(len(body), hashlib.sha256(body).hexdigest(), body[:128])
        return found

    def identities(self) -> dict[tuple[str, str], str]:
        """Bucket and key of each object, and what changes when it is written again."""
        if self.server is not None:
            return self._remote()
        root, found = self.home / "objects", {}
        for path in (p for p in root.rglob("*") if p.is_file()):
            bucket, _, key = path.relative_to(root).as_posix().partition("/")
            if not bucket.startswith("."):
                status = path.stat()
                found[bucket, key] = f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
        return found

    def _remote(self) -> dict[tuple[str, str], str]:
        assert self.server is not None
        found = {}
        for bucket, prefix in self._prefixes():
            listed = client(self.server).list_objects_v2(Bucket=bucket, Prefix=prefix)
            found |= {
                (bucket, o["Key"]): f"{o['ETag']} {o['LastModified']}" for o in listed.get("Contents", [])
            }
        return found

    def _prefixes(self) -> list[tuple[str, str]]:
        mine = [(self.bucket(r), f"videos/{v}/") for v in self.video_ids() for r in ("VIDEO", "AUDIO")]
        incidents = [i["id"] for i in self.rows()["ingest_incidents"]]
        aside = [(self.bucket(r), f"quarantine/{i}/") for i in incidents for r in ("VIDEO", "AUDIO")]
        return [*mine, *aside, (self.bucket("UPLOADS"), self.upload_key)]

    # --- leftovers

    def leftovers(self) -> list[str]:
        """Unfinished uploads, records of no object, and scratch."""
        left = [f"scratch {p.name}" for p in (self.home / "scratch").glob("*")]
        if self.server is None:
            root = self.home / "objects"
            left += [f"upload {p.relative_to(root)}" for p in (root / ".uploads").glob("*/*")]
            records = sum(1 for _ in (root / ".meta").rglob("*.json"))
            objects = len(self.identities())
            return left + ([f"{records} records of {objects} objects"] if records != objects else [])
        return left + [f"upload {upload}" for upload in self.uploads()]

    def processes(self, patience_s: float = 10.0) -> list[str]:
        """Processes that still work here after ``patience_s``."""
        until = time.monotonic() + patience_s
        while (found := _processes(str(self.home).encode())) and time.monotonic() < until:
            time.sleep(0.01)
        return found


def _processes(mark: bytes) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                # A fork keeps its parent's command line and environment: only what was exec'ed shows here.
                if command and mark in command:
                    found.append(f"{entry.name} {command.decode(errors='replace')[:200]}")
    return found


_CLIENTS: dict[str, Any] = {}
_SESSIONS: dict[str, Any] = {}


def client(server: Server) -> Any:
    """A plain client of the store."""
    if server.endpoint not in _CLIENTS:
        import boto3
        from botocore.config import Config

        _CLIENTS[server.endpoint] = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=server.access,
            aws_secret_access_key=server.secret,
            config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30),
        )
    return _CLIENTS[server.endpoint]


def _session(url: str) -> Any:
    if url not in _SESSIONS:
        import psycopg
        from psycopg.rows import dict_row

        dsn = url.replace("+psycopg", "")
        _SESSIONS[url] = psycopg.connect(dsn, row_factory=dict_row, autocommit=True, prepare_threshold=None)
    return _SESSIONS[url]


def hang_up() -> None:
    """Close this process's connections. To be done before forking a process that looks at places too."""
    for made in _CLIENTS.values():
        made.close()  # it connects again when used
    while _SESSIONS:
        _SESSIONS.popitem()[1].close()


def _loaded(column: str, value: Any) -> Any:
    return json.loads(value) if column in JSON_COLUMNS and isinstance(value, str) else value
