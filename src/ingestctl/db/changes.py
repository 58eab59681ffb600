"""The small writes that every transition is made of: an event, a changed job, an ended attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.ids import new_id
from ingestctl.db.tables import job_events, job_runs, jobs
from ingestctl.db.types import now
from ingestctl.domain.errors import Conflict
from ingestctl.domain.job import INGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection

EVENT_NOTE = "ingestctl_event_id"
CRASHED = "worker_crashed"
CRASHED_MESSAGE = "the worker stopped renewing its lease and another took the job over"

# Statements are built once: building one takes as long as the database takes to run it.
_ADD_EVENT = job_events.insert().values(created_at=now())
_SET_JOB = jobs.update().where(jobs.c.id == sa.bindparam("of_job")).values(updated_at=now())


def insert(connection: Connection, table: sa.Table) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases spell alike."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def add_event(
    connection: Connection,
    job_id: str,
    event_type: str,
    payload: Mapping[str, Any],
    run_id: str | None = None,
) -> None:
    """Append one event, at the database's time.

    Its id is made here, under the job's lock, so that events of one moment sort as they were written;
    and noted, so that the transaction can be recognised if the reply to its COMMIT is lost.
    """
    event_id = new_id()
    connection.info[EVENT_NOTE] = event_id
    event = {"id": event_id, "job_id": job_id, "run_id": run_id, "event_type": event_type}
    connection.execute(_ADD_EVENT, {**event, "payload": dict(payload)})


def set_job(connection: Connection, job_id: str, **values: Any) -> None:
    """Change a job whose row is locked."""
    connection.execute(_SET_JOB.values(values), {"of_job": job_id})


def expire_run(connection: Connection, job_id: str, run_id: str, attempt: int, owner: str | None) -> None:
    """End an attempt whose lease ran out, with its event. The job's row is locked."""
    connection.execute(
        job_runs.update()
        .where(job_runs.c.id == run_id, job_runs.c.status == "running")
        .values(
            status="failed",
            error_code=CRASHED,
            error_message=CRASHED_MESSAGE,
            finished_at=now(),
            updated_at=now(),
        )
    )
    payload = {"attempt": attempt, "owner": owner, "code": CRASHED}
    add_event(connection, job_id, "ingestion.run.expired", payload, run_id)


def refuse_foreign(job_id: str, job_type: str) -> None:
    """Raise Conflict unless the job is of our type."""
    if job_type != INGEST:
        raise Conflict(
            f"job {job_id} is of type {job_type!r}, not {INGEST!r}",
            hint="Jobs of other types belong to other services; this program never touches them.",
            job_id=job_id,
        )
