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

COUNTED = {"preserve_rowcount": True}
"""SQLAlchemy keeps the row count of an INSERT only when asked to."""

# Statements are built once: building one takes as long as the database takes to run it.
_ADD_EVENT = job_events.insert().values(created_at=now())
_EVENT = ("id", "job_id", "run_id", "event_type", "payload")
_SET_JOB = jobs.update().where(jobs.c.id == sa.bindparam("of_job")).values(updated_at=now())


class Together:
    """Writes that need nothing of one another, in one round trip where the database can.

    PostgreSQL gets them as one statement (each a CTE): all as of one moment, in no order. So the rows
    they change must be locked before, and no two may change the same row. SQLite has no such statement,
    and no round trip to save: it gets them one after the other.
    """

    def __init__(self, answer: Any = None, **writes: sa.Insert | sa.Update) -> None:
        """``answer`` is a write that changes one row and returns columns of it (``RETURNING``)."""
        self._answer = answer
        self._writes = writes
        joined = sa.select() if answer is None else sa.select(*answer.cte("answer").c)
        for name, write in writes.items():
            made = write.returning(sa.literal_column("1").label("one")).cte(name)
            count = sa.select(sa.func.count()).select_from(made).scalar_subquery()
            joined = joined.add_columns(count.label(name))
        self._joined = joined

    def run(self, connection: Connection, **values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run all, each with the parameters under its name (no name twice).

        Returns how many rows each changed, under its name, and the columns of ``answer``.
        """
        if connection.dialect.name == "postgresql":
            merged = {name: value for part in values.values() for name, value in part.items()}
            return dict(connection.execute(self._joined, merged).mappings().one())
        found: dict[str, Any] = {}
        if self._answer is not None:
            found |= connection.execute(self._answer, values["answer"]).mappings().one()
        for name, write in self._writes.items():
            found[name] = connection.execute(write, values[name], execution_options=COUNTED).rowcount
        return found


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
    event = {"id": _noted_id(connection), "job_id": job_id, "run_id": run_id, "event_type": event_type}
    connection.execute(_ADD_EVENT, {**event, "payload": dict(payload)})


def event_write(name: str) -> sa.Insert:
    """An event as one of several writes (:class:`Together`); ``name`` begins its parameters' names."""
    return job_events.insert().values(
        created_at=now(), **{column: sa.bindparam(f"{name}_{column}") for column in _EVENT}
    )


def event_values(
    connection: Connection, name: str, job_id: str, run_id: str | None, event_type: str, payload: Any
) -> dict[str, Any]:
    """The parameters of :func:`event_write`; the event is noted as :func:`add_event` does."""
    values = (_noted_id(connection), job_id, run_id, event_type, dict(payload))
    return {f"{name}_{column}": value for column, value in zip(_EVENT, values, strict=True)}


def _noted_id(connection: Connection) -> str:
    event_id = new_id()
    connection.info[EVENT_NOTE] = event_id
    return event_id


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
