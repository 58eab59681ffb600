"""The rows of a job store, read and changed around the code under test, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = (
    "videos",
    "jobs",
    "job_runs",
    "job_events",
    "ingest_artifacts",
    "ingest_incidents",
    "ingest_incident_entries",
)
WORDS = {"pending": "queued", "completed": "succeeded"}
CANCELED = "orchestration.job.canceled"
Rows = dict[str, list[dict[str, Any]]]


class Sql:
    """One plain connection; every statement commits."""

    def __init__(self, url: str) -> None:
        self.sqlite = url.startswith("sqlite:")
        if self.sqlite:
            self._lite = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            self._lite.row_factory = sqlite3.Row
        else:
            dsn = url.replace("postgresql+psycopg", "postgresql")
            self._post = psycopg.connect(dsn, row_factory=dict_row, autocommit=True)
        self.now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if self.sqlite else "now()"

    def __call__(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        if self.sqlite:
            return [dict(row) for row in self._lite.execute(statement, values)]
        cursor = self._post.execute(statement.replace("?", "%s").encode(), values)
        return cursor.fetchall() if cursor.description else []

    def shifted(self, column: str, seconds: float) -> str:
        """SQL for ``column`` so many seconds earlier."""
        if self.sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%f', {column}, '{-seconds:+.3f} seconds')"
        return f"{column} - make_interval(secs => {seconds})"

    def rows(self) -> Rows:
        return {table: self(f"SELECT * FROM {table}") for table in TABLES}

    def clear(self) -> None:
        for table in reversed(TABLES):
            self(f"DELETE FROM {table}")

    def close(self) -> None:
        (self._lite if self.sqlite else self._post).close()


def dump(rows: Rows) -> dict[str, list[str]]:
    """For comparing before with after."""
    return {table: sorted(map(repr, found)) for table, found in rows.items()}


def status(job: dict[str, Any]) -> str:
    return str(WORDS.get(job["status"], job["status"]))


def replayed(events: list[dict[str, Any]]) -> tuple[str, dict[int, str]]:
    """One job's status and the status of each of its attempts, from its events alone."""
    state, attempts = "queued", dict[int, str]()
    for event in sorted(events, key=lambda e: (e["created_at"], e["id"])):
        body = json.loads(event["payload"]) if isinstance(event["payload"], str) else event["payload"]
        kind, number = event["event_type"].removeprefix("ingestion."), body.get("attempt")
        if kind == "job.requeued":
            state = "queued"
        elif kind == "job.status_restored":
            state = body["to"]
        elif kind == "run.started":
            assert "running" not in attempts.values(), "an attempt began while another ran"
            assert number == len(attempts) + 1, f"attempt {number} after {attempts}"
            state, attempts[number] = "running", "running"
        elif kind == "run.expired":
            # Whoever ended it says in its next event what became of the job; else it is free.
            attempts[number] = "failed"
            state = "queued" if state == "running" else state
        elif kind == "job.released":
            state, attempts[number] = "queued", "canceled"
        elif kind in ("job.succeeded", "job.failed"):
            state = kind.partition(".")[2]
            attempts[number] = "failed" if state == "failed" else "succeeded"
        elif event["event_type"] == CANCELED:
            state = "canceled"
    return state, attempts


def problems(rows: Rows) -> Iterator[str]:
    """What must hold whatever was done: read from the rows, without the model."""
    runs, jobs = rows["job_runs"], [job for job in rows["jobs"] if job["type"] == "ingest"]
    for job in jobs:
        mine = sorted((r for r in runs if r["job_id"] == job["id"]), key=lambda r: r["attempt"])
        if [r["attempt"] for r in mine] != list(range(1, len(mine) + 1)):
            yield f"{job['id']}: attempts {[r['attempt'] for r in mine]}"
        if status(job) not in ("queued", "running", "succeeded", "failed", "canceled"):
            yield f"{job['id']}: status {job['status']}"
        if job["ingestion_phase"] not in (None, "downloading", "processing", "storing"):
            yield f"{job['id']}: phase {job['ingestion_phase']}"
        if status(job) in ("queued", "succeeded", "failed") and job["ingestion_phase"] is not None:
            yield f"{job['id']}: {job['status']} in phase {job['ingestion_phase']}"
        told = replayed([e for e in rows["job_events"] if e["job_id"] == job["id"]])
        stored = status(job), {r["attempt"]: r["status"] for r in mine}
        if told != stored:
            yield f"{job['id']}: events tell {told}, rows {stored}"
    for video in {job["video_id"] for job in jobs}:
        of_video = {job["id"] for job in jobs if job["video_id"] == video}
        running = [r["job_id"] for r in runs if r["job_id"] in of_video and r["status"] == "running"]
        if len(running) > 1:
            yield f"{video}: {len(running)} running attempts"
    ended = [r for r in runs if r["status"] != "running" and r["finished_at"] is None]
    if ended or any(r["status"] == "running" and r["finished_at"] for r in runs):
        yield "an attempt's end does not agree with its status"
