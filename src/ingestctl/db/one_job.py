# ruff: noqa: D102, S608 - what each method promises is written in JobFacts (base.py); the SQL is constants
"""Everything on record about one job: the questions as SQL text, and a store that asks only these.

``inspect`` is typed while something is on fire, and SQLAlchemy takes half of its time to be imported.
So these few questions are plain SQL that both databases and both drivers understand. The job store
asks them over its engine; :class:`JobReader` over a driver's connection alone, all as of one moment.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ingestctl.db.connect import (
    begin_postgresql,
    connect_postgresql,
    connect_sqlite,
    is_sqlite,
    postgresql_parameters,
    safe_url,
    sqlite_path,
)
from ingestctl.db.failures import is_transient, translate
from ingestctl.db.records import (
    artifact_of,
    clean_text,
    event_of,
    job_of,
    lenient_loads,
    run_of,
    utc,
    video_of,
)
from ingestctl.domain.errors import Conflict, IngestError, NotFound, SchemaOutdated
from ingestctl.domain.job import INGEST

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.job import Event, Job, Run, Video

HEAD = "0010"
"""The Alembic revision this program needs. Kept here so that checking it imports next to nothing."""
VERSION_TABLE = "ingestctl_alembic_version"
LEGACY_STALE_S = 3600.0
"""Seconds without an update after which a running attempt of an older worker, which has no lease, counts
as dead where the caller does not say how long to wait."""
MAX_MATCHES = 10
AFTER_ALL = "\U0010ffff"
"""Sorts behind every character, in code point order and in the byte order of UTF-8."""
TRIES = 3

_NOW = {
    "postgresql": ("statement_timestamp()", "statement_timestamp() - make_interval(secs => {})"),
    "sqlite": ("strftime('%Y-%m-%d %H:%M:%f', 'now')", "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{} seconds')"),
}
_JOB = (
    "id, video_id, type, status, ingestion_phase, payload, error_message, idempotency_key, tenant_id, "
    "queued_at, started_at, finished_at, created_at, updated_at"
)
_VIDEO = (
    "id, source_type, source_uri, title, channel, language, duration_ms, published_at, "
    "storage_bucket, storage_key, storage_ref, metadata"
)
_RUN = (
    "id, job_id, attempt, status, started_at, finished_at, error_code, error_message, error_details, "
    "metadata, lease_owner, lease_expires_at, heartbeat_at"
)
_EVENT = "id, job_id, run_id, event_type, payload, created_at"
_ARTIFACT = (
    "bucket, key, kind, video_id, job_id, run_id, state, size_bytes, sha256, etag, content_type, "
    "stored_at, verified_at, verdict"
)
_MOMENT = re.compile(r"_at$")
_JSON = frozenset({"payload", "metadata", "storage_ref", "error_details"})
_PARAMETER = re.compile(r":(\w+)")


class JobQuestions(ABC):
    """The questions. Who inherits says how they are asked: ``_ask``, ``dialect`` and ``url``."""

    @property
    @abstractmethod
    def dialect(self) -> str:
        """``postgresql`` or ``sqlite``."""

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def _ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The rows as the driver gives them; ``sql`` is in the driver's own form."""

    def _rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a question whose parameters are written ``:name``."""
        for name, value in values.items():
            values[name] = clean_text(value) if isinstance(value, str) else value
        if self.dialect == "sqlite":
            return [_of_sqlite(row) for row in self._ask(sql, values)]
        rows = self._ask(_PARAMETER.sub(r"%(\1)s", sql), values)
        return [{k: utc(v) if _MOMENT.search(k) else v for k, v in row.items()} for row in rows]

    def check_schema(self) -> None:
        try:
            rows = self._rows(f"SELECT version_num FROM {VERSION_TABLE}")
        except SchemaOutdated as error:
            if error.hint != SchemaOutdated.default_hint:  # there is no file at all
                raise
            rows = []
        found = rows[0]["version_num"] if rows else None
        if found == HEAD:
            return
        if found is None:
            raise SchemaOutdated(
                f"the database at {self.url} is not set up: its revision is none, not {HEAD}"
            )
        newer = str(found) > HEAD
        hint = "This program is older than the database: install a newer ingestctl." if newer else None
        raise SchemaOutdated(f"the database at {self.url} is at revision {found}, not {HEAD}", hint=hint)

    def job(self, job_id: str) -> Job | None:
        rows = self._rows(f"SELECT {_JOB} FROM jobs WHERE id = :id", id=job_id)
        return job_of(rows[0]) if rows else None

    def video(self, video_id: str) -> Video | None:
        rows = self._rows(f"SELECT {_VIDEO} FROM videos WHERE id = :id", id=video_id)
        return video_of(rows[0]) if rows else None

    def resolve(self, name: str) -> Job:
        wanted = name.strip()
        if not wanted:
            raise NotFound(f"{name!r} names no job")
        exact = self.job(wanted) or (self.job(name) if name != wanted else None)
        rows = [exact] if exact else self._by_prefix(wanted)
        found = [job for job in rows if job.type == INGEST]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            ids = ", ".join(job.id for job in found[:MAX_MATCHES])
            more = ", \u2026" if len(found) > MAX_MATCHES else ""
            raise Conflict(
                f"{wanted!r} is the beginning of several job ids: {ids}{more}", hint="Type more of it."
            )
        if rows:
            raise Conflict(
                f"job {rows[0].id} is of type {rows[0].type!r}, not {INGEST!r}",
                hint="Jobs of other types belong to other services; this program never touches them.",
                job_id=rows[0].id,
            )
        raise NotFound(f"no job has the id (or an id beginning with) {wanted!r}")

    def _by_prefix(self, prefix: str) -> list[Job]:
        # Ingest jobs first, so that a crowd of others under the same prefix does not hide them.
        column = 'id COLLATE "C"' if self.dialect == "postgresql" else "id"
        rows = self._rows(
            f"SELECT {_JOB} FROM jobs WHERE {column} >= :first AND {column} < :behind "
            f"ORDER BY CASE WHEN type = '{INGEST}' THEN 0 ELSE 1 END, {column} LIMIT {MAX_MATCHES + 1}",
            first=prefix,
            behind=prefix + AFTER_ALL,
        )
        return [job_of(row) for row in rows]

    def runs(self, job_id: str) -> Sequence[Run]:
        now, ago = _NOW[self.dialect]
        # The same condition as ``attempt_is_live`` in rows.py.
        live = (
            f"status = 'running' AND (lease_expires_at > {now} OR (lease_expires_at IS NULL "
            f"AND COALESCE(updated_at, started_at, created_at) > {ago.format(LEGACY_STALE_S)}))"
        )
        rows = self._rows(
            f"SELECT {_RUN}, {live} AS lease_live FROM job_runs WHERE job_id = :job ORDER BY attempt",
            job=job_id,
        )
        return [run_of(row) for row in rows]

    def events(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Sequence[Event]:
        seen = "SELECT created_at, id FROM job_events WHERE id = :after AND job_id = :job"
        later = f" AND (created_at, id) > ({seen})" if after else ""
        rows = self._rows(
            f"SELECT {_EVENT} FROM job_events WHERE job_id = :job{later} "
            f"ORDER BY created_at, id{'' if limit is None else f' LIMIT {limit:d}'}",
            job=job_id,
            **({"after": after} if after else {}),
        )
        return [event_of(row) for row in rows]

    def artifacts(self, video_id: str) -> Sequence[Artifact]:
        rows = self._rows(
            f"SELECT {_ARTIFACT} FROM ingest_artifacts WHERE video_id = :video ORDER BY bucket, key",
            video=video_id,
        )
        return [artifact_of(row) for row in rows]


def _of_sqlite(row: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite holds moments and JSON as text."""
    found = dict(row)
    for name, value in found.items():
        if _MOMENT.search(name):
            found[name] = utc(value)
        elif name in _JSON and isinstance(value, str | bytes):
            found[name] = lenient_loads(value)
    return found


def open_reader(url: str, *, timeout_s: float = 10.0) -> JobReader:
    """A reader of single jobs at ``url``; see :func:`ingestctl.db.engine.open_store` for the URLs."""
    return JobReader(url, timeout_s)


class JobReader(JobQuestions):
    """Answers :class:`~ingestctl.db.base.JobFacts` as of the moment of its first question. One thread."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._connection: Any = None

    @property
    def dialect(self) -> str:
        return "sqlite" if is_sqlite(self._url) else "postgresql"

    @property
    def url(self) -> str:
        return safe_url(self._url)

    def close(self) -> None:
        """Forget the moment, and disconnect. The next question begins anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        for tries in range(1, TRIES + 1):
            try:
                if self._connection is None:
                    self._connection = self._open()
                rows: Sequence[Mapping[str, Any]] = self._connection.execute(sql, values).fetchall()
                return rows
            except IngestError:
                raise
            except Exception as error:  # of whichever driver
                self.close()
                if tries == TRIES or not is_transient(error):
                    raise translate(error, self.url) from error
        raise AssertionError("unreachable")

    def _open(self) -> Any:
        """A connection inside a transaction that reads one state of everything."""
        if is_sqlite(self._url):
            sqlite = connect_sqlite(sqlite_path(self._url), timeout_s=self._timeout_s)
            sqlite.row_factory = _as_dict
            sqlite.execute("BEGIN")
            return sqlite
        from psycopg.rows import dict_row
        from psycopg.types.json import set_json_loads

        connection = connect_postgresql(postgresql_parameters(self._url), timeout_s=self._timeout_s)
        connection.row_factory = dict_row
        set_json_loads(lenient_loads, connection)
        connection.execute(begin_postgresql(self._timeout_s, " ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        return connection


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.description), row, strict=True))
