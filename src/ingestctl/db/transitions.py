"""The fence, and the transitions that an owner makes behind it.

A transition locks the job's row, and then changes the attempt (which is the fence: it must be the
running one, and ours), the job and its events, all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.changes import Together, event_values, event_write
from ingestctl.db.records import read_status
from ingestctl.db.rows import RUNNING, attempt_is_live
from ingestctl.db.tables import job_runs, jobs, videos
from ingestctl.db.types import Json, now
from ingestctl.domain.errors import LostAuthority
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.domain.job import Lease

_MINE = (
    job_runs.c.job_id == sa.bindparam("my_job"),
    job_runs.c.attempt == sa.bindparam("my_attempt"),
    job_runs.c.id == sa.bindparam("my_run"),
    job_runs.c.status == RUNNING,
)
LOCK_JOB = (
    sa.select(jobs.c.status, jobs.c.tenant_id, jobs.c.video_id)
    .where(jobs.c.id == sa.bindparam("my_job"))
    .with_for_update(key_share=True)
)
LOCK_JOB_AND_VIDEO = (
    sa.select(jobs.c.status, jobs.c.tenant_id, jobs.c.video_id, videos.c.title, videos.c.metadata)
    .join(videos, videos.c.id == jobs.c.video_id)
    .where(jobs.c.id == sa.bindparam("my_job"))
    .with_for_update(key_share=True, of=[jobs, videos])
)
_TOUCH_RUN = job_runs.update().where(*_MINE).values(updated_at=now())
STATUS_OF_LIVE = (
    sa.select(jobs.c.status).join(job_runs, job_runs.c.job_id == jobs.c.id).where(*_MINE, attempt_is_live())
)


def names_of(lease: Lease) -> dict[str, Any]:
    """The parameters that name the lease's own attempt."""
    return {"my_job": lease.job_id, "my_attempt": lease.attempt, "my_run": lease.run_id}


def lock(connection: Connection, question: sa.Select[Any], lease: Lease) -> RowMapping:
    """Lock the job's row, so that no other can become its owner meanwhile; LostAuthority if none may."""
    row = connection.execute(question, {"my_job": lease.job_id}).mappings().one_or_none()
    if row is None or read_status(row["status"]) is not Status.RUNNING:
        raise lost(lease)
    return row


def fence(connection: Connection, lease: Lease, **values: Any) -> None:
    """Lock the job, then touch the attempt if it is still the running one; else LostAuthority."""
    lock(connection, LOCK_JOB, lease)
    if connection.execute(_TOUCH_RUN.values(values), names_of(lease)).rowcount != 1:
        raise lost(lease)


def lost(lease: Lease) -> LostAuthority:
    """What to raise when somebody else owns the job by now."""
    return LostAuthority(
        f"job {lease.job_id}: attempt {lease.attempt} no longer owns it; nothing was written",
        job_id=lease.job_id,
    )


# --- transitions ------------------------------------------------------------------------------


def _parameters(prefix: str, *columns: str) -> dict[str, Any]:
    return {column: sa.bindparam(f"{prefix}_{column}") for column in columns}


_END_RUN = _TOUCH_RUN.values(
    finished_at=now(),
    lease_expires_at=now(),
    metadata=sa.func.coalesce(sa.bindparam("run_metadata", type_=Json()), job_runs.c.metadata),
    **_parameters("run", "status", "error_code", "error_message", "error_details"),
)
_MY_JOB = jobs.update().where(jobs.c.id == sa.bindparam("of_job")).values(updated_at=now())
_END_JOB = _MY_JOB.values(
    ingestion_phase=None, finished_at=now(), **_parameters("to", "status", "error_message")
)
_QUEUE_JOB = _MY_JOB.values(status=Status.QUEUED.value, ingestion_phase=None, started_at=None)
_SET_VIDEO = (
    videos.update()
    .where(videos.c.id == sa.bindparam("my_video"))
    .values(
        updated_at=now(),
        **_parameters("new", "storage_bucket", "storage_key", "storage_ref", "metadata"),
        # What this run did not learn stays as it is.
        **{
            column: sa.func.coalesce(
                sa.bindparam(f"new_{column}", type_=videos.c[column].type), videos.c[column]
            )
            for column in ("title", "channel", "language", "published_at", "duration_ms")
        },
    )
)

_END_OF_RUN = sa.select(job_runs.c.status, job_runs.c.error_code, job_runs.c.error_message).where(
    job_runs.c.id == sa.bindparam("my_run")
)


def _transition(events: int, **writes: sa.Update) -> Together:
    return Together(**writes, **{f"event{n}": event_write(f"event{n}") for n in range(events)})


def _with_events(*counts: int, **writes: sa.Update) -> Mapping[int, Together]:
    """The same transition with as many events as it may have."""
    return {n: _transition(n, **writes) for n in counts}


ENTER_PHASE = _with_events(1, 2, run=_TOUCH_RUN, job=_MY_JOB.values(ingestion_phase=sa.bindparam("to_phase")))
SUCCEED = _with_events(1, 2, run=_END_RUN, job=_END_JOB, video=_SET_VIDEO)
FAIL = _with_events(1, run=_END_RUN, job=_END_JOB)
RELEASE = _with_events(1, run=_END_RUN, job=_QUEUE_JOB)


def change(
    connection: Connection,
    lease: Lease,
    transition: Mapping[int, Together],
    events: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    run: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
    **more: Mapping[str, Any],
) -> None:
    """Make a transition of a locked job; LostAuthority unless the running attempt is ours."""
    values: dict[str, Mapping[str, Any]] = {
        "run": {**names_of(lease), **(run or {})},
        "job": {"of_job": lease.job_id, **(job or {})},
        **more,
    }
    for n, (event_type, payload) in enumerate(events):
        body = {"attempt": lease.attempt, **payload}
        name = f"event{n}"
        values[name] = event_values(connection, name, lease.job_id, lease.run_id, event_type, body)
    if transition[len(events)].run(connection, **values)["run"] != 1:
        raise lost(lease)


def run_end(
    status: str,
    code: str | None = None,
    message: str | None = None,
    details: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The parameters of an attempt's end; ``metadata`` of None leaves the attempt's as it is."""
    return {
        "run_status": status,
        "run_error_code": code,
        "run_error_message": message,
        "run_error_details": details,
        "run_metadata": None if metadata is None else dict(metadata),
    }


def has_ended(connection: Connection, lease: Lease, run: Mapping[str, Any]) -> bool:
    """Whether the lease's own attempt has this very end (a :func:`run_end`)."""
    there = connection.execute(_END_OF_RUN, {"my_run": lease.run_id}).mappings().one_or_none()
    return there is not None and all(there[name] == run[f"run_{name}"] for name in there)


def job_end(status: Status, message: str | None) -> dict[str, Any]:
    """The parameters of a job's end."""
    return {"to_status": status.value, "to_error_message": message}


def phase_completed(ended: Mapping[str, Any] | None) -> list[tuple[str, Mapping[str, Any]]]:
    """The event that closes a phase, where one was begun."""
    return [] if ended is None else [("ingestion.phase.completed", ended)]
