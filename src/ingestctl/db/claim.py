# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""Becoming the owner of a job: one short transaction, one owner per video."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import Claim
from ingestctl.db.changes import (
    CRASHED,
    Together,
    add_event,
    event_values,
    event_write,
    expire_run,
    refuse_foreign,
    set_job,
)
from ingestctl.db.ids import new_id
from ingestctl.db.records import read_status
from ingestctl.db.rows import IS_INGEST, attempt_is_dead, attempt_is_live, job_of, run_of, status_is, video_of
from ingestctl.db.tables import ingest_incidents, job_events, job_runs, jobs, videos
from ingestctl.db.types import now, now_plus
from ingestctl.domain.errors import Busy, Conflict, NotFound
from ingestctl.domain.job import CLAIMABLE, Job, Lease, Phase, Run, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.db.transactions import Database

LOCKED_WAIT_S = 1.2
"""How long a claim by id tries again while another transaction holds the job's row."""
CANDIDATES = 20
MAX_SKIPS = 200

# --- the statements, built once: building one takes as long as the database takes to run it

_STALE = sa.bindparam("stale_after_s", type_=sa.Float())
_THIS_JOB = jobs.c.id == sa.bindparam("this_job")
_THIS_VIDEO: sa.BindParameter[str] = sa.bindparam("this_video")
_IN_TURN = (jobs.c.queued_at, jobs.c.id)
_BEFORE = sa.tuple_(*_IN_TURN) < sa.tuple_(
    sa.bindparam("before_time", type_=jobs.c.queued_at.type), sa.bindparam("before_id", type_=jobs.c.id.type)
)
_HOLDS = (
    ingest_incidents.c.lease_expires_at.is_not(None),
    ingest_incidents.c.lease_expires_at > now(),
    ingest_incidents.c.video_id.is_not(None),
)


def _video_is_busy() -> sa.ColumnElement[bool]:
    # Not correlated: live attempts and holds are few, and are looked up once whatever the planner believes.
    other = jobs.alias("other")
    busy = (
        sa.select(other.c.video_id)
        .join(job_runs, job_runs.c.job_id == other.c.id)
        .where(other.c.type == IS_INGEST.right, attempt_is_live(_STALE))
    )
    held = sa.select(ingest_incidents.c.video_id).where(*_HOLDS)
    return jobs.c.video_id.in_(sa.union_all(busy, held))


_ABANDONED = (
    sa.select(jobs.c.id, jobs.c.queued_at)
    .join(job_runs, job_runs.c.job_id == jobs.c.id)
    .where(IS_INGEST, status_is(Status.RUNNING), attempt_is_dead(_STALE))
    .order_by(*_IN_TURN)
    .limit(CANDIDATES)
)
# Locks the first such job and its video, passing over those that others hold locked. NO KEY: another
# service that adds an event to the job only needs its key, and is not in our way.
_LOCK = (
    sa.select(jobs, videos)
    .join(videos, videos.c.id == jobs.c.video_id)
    .order_by(*_IN_TURN)
    .limit(1)
    .with_for_update(key_share=True, skip_locked=True, of=[jobs, videos])
)
_LOCK_THIS = _LOCK.where(_THIS_JOB)
_LOCK_ABANDONED = _LOCK_THIS.where(status_is(Status.RUNNING))
_LOCK_QUEUED = _LOCK.where(IS_INGEST, status_is(Status.QUEUED), ~_video_is_busy())
# Says on the way whether there is an abandoned job to look at first: most times there is none.
_FIRST_QUEUED = _LOCK_QUEUED.add_columns(sa.exists(_ABANDONED.subquery().select()).label("any_abandoned"))
_HOLD = sa.select(ingest_incidents.c.id).where(*_HOLDS, ingest_incidents.c.video_id == _THIS_VIDEO).limit(1)
_OF_VIDEO = sa.and_(
    job_runs.c.job_id.in_(sa.select(jobs.c.id).where(jobs.c.video_id == _THIS_VIDEO, IS_INGEST)),
    sa.or_(job_runs.c.job_id == sa.bindparam("this_job"), job_runs.c.status == "running"),
)
_held = sa.select(_HOLD.scalar_subquery().label("held_by")).subquery("hold")
# One question for both, and at least one row: without attempts, only ``held_by`` is filled.
_ATTEMPTS = (
    sa.select(_held.c.held_by, job_runs, attempt_is_live(_STALE).label("lease_live"))
    .select_from(_held.outerjoin(job_runs, _OF_VIDEO))
    .order_by(job_runs.c.attempt)
)
_START_RUN = job_runs.insert().values(
    id=sa.bindparam("run_id"),
    job_id=sa.bindparam("run_job"),
    attempt=sa.bindparam("run_attempt"),
    lease_owner=sa.bindparam("run_owner"),
    status="running",
    started_at=now(),
    metadata={},
    created_at=now(),
    updated_at=now(),
    lease_expires_at=now_plus(sa.bindparam("lease_s", type_=sa.Float())),
    heartbeat_at=now(),
)
_START_JOB = (
    jobs.update()
    .where(_THIS_JOB)
    .values(
        status=Status.RUNNING.value,
        ingestion_phase=Phase.DOWNLOADING.value,
        started_at=now(),
        finished_at=None,
        error_message=None,
        updated_at=now(),
    )
    .returning(jobs.c.started_at, jobs.c.updated_at)
)
_START = Together(answer=_START_JOB, run=_START_RUN, event=event_write("event"))


@dataclass(frozen=True, slots=True)
class _Terms:
    owner: str
    lease_s: float
    stale_after_s: float
    max_attempts: int | None = None


class _GaveUp:
    """The job was failed instead of started."""


class Claims:
    """The claiming part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def claim(self, job_id: str, *, owner: str, lease_s: float, stale_after_s: float) -> Claim:
        terms = _Terms(owner, lease_s, stale_after_s)
        until = time.monotonic() + LOCKED_WAIT_S
        while True:
            claimed = self._db.write(lambda c: _by_id(c, job_id, terms))
            if isinstance(claimed, Claim):
                return claimed
            if time.monotonic() > until:
                raise Busy(f"job {job_id} is being claimed or changed by another process", job_id=job_id)
            time.sleep(0.1)

    def claim_next(
        self,
        *,
        owner: str,
        lease_s: float,
        stale_after_s: float,
        max_attempts: int,
        exclude: Sequence[str] = (),
    ) -> Claim | None:
        terms = _Terms(owner, lease_s, stale_after_s, max_attempts)
        skip = set(exclude)
        for _ in range(MAX_SKIPS):
            try:
                got = self._db.write(lambda c: _next(c, terms, skip))
            except Busy as busy:  # its video was taken between choosing the job and locking it
                skip.add(busy.job_id or "")
                continue
            if not isinstance(got, _GaveUp):
                return got
        return None


def _by_id(connection: Connection, job_id: str, terms: _Terms) -> Claim | _GaveUp | None:
    row = _first(connection, _LOCK_THIS, this_job=job_id)
    if row is None:
        job_type = connection.scalar(sa.select(jobs.c.type).where(jobs.c.id == job_id))
        if job_type is None:
            raise NotFound(f"no job has the id {job_id!r}", job_id=job_id)
        refuse_foreign(job_id, job_type)
        return None
    refuse_foreign(job_id, row[jobs.c.type])
    status = read_status(row[jobs.c.status])
    if status not in CLAIMABLE:
        raise Conflict(
            f"job {job_id} is {row[jobs.c.status]}, not queued, failed or abandoned while running",
            job_id=job_id,
        )
    return _begin(connection, row, terms)


def _next(connection: Connection, terms: _Terms, skip: set[str]) -> Claim | _GaveUp | None:
    """The first claimable job by (queued_at, id), of the queued ones and those whose lease ran out."""
    not_skipped = [jobs.c.id.not_in(sorted(skip))] if skip else []
    stale = terms.stale_after_s
    queued = _first(connection, _FIRST_QUEUED.where(*not_skipped), stale_after_s=stale)
    if queued is None or queued["any_abandoned"]:
        abandoned = connection.execute(_ABANDONED.where(*not_skipped), {"stale_after_s": stale}).all()
        for job_id, queued_at in abandoned:
            here = {"before_time": queued_at, "before_id": job_id}
            row = _first(connection, _LOCK_QUEUED.where(*not_skipped, _BEFORE), stale_after_s=stale, **here)
            row = row or _first(connection, _LOCK_ABANDONED, this_job=job_id)
            if row is not None:
                return _begin(connection, row, terms)
    return None if queued is None else _begin(connection, queued, terms)


def _first(connection: Connection, question: sa.Select[Any], **values: Any) -> RowMapping | None:
    return connection.execute(question, values).mappings().one_or_none()


def _begin(connection: Connection, row: RowMapping, terms: _Terms) -> Claim | _GaveUp:
    """Start the next attempt of a locked job. A statement of its own sees what was committed meanwhile."""
    job_id, video_id = row[jobs.c.id], row[jobs.c.video_id]
    attempts, held_by = _attempts(connection, job_id, video_id, terms.stale_after_s)
    _refuse_live(job_id, attempts)
    if held_by is not None:  # what a cleanup proved must not change below it
        raise Busy(f"job {job_id}: a cleanup of its video is under way (incident {held_by})", job_id=job_id)
    for run in attempts:
        if run.job_id != job_id:
            _expire_sibling(connection, run, job_id)
    mine = [run for run in attempts if run.job_id == job_id]
    expired = [run for run in mine if run.status == "running"]
    for run in expired:
        expire_run(connection, job_id, run.id, run.attempt, run.owner)
    if _crashed_too_often(connection, job_id, mine, terms.max_attempts):
        _give_up(connection, job_id, mine[-1])
        return _GaveUp()
    lease = Lease(
        job_id, video_id, new_id(), max((r.attempt for r in mine), default=0) + 1, terms.owner, terms.lease_s
    )
    job = _start(connection, lease, job_of(row))
    return Claim(lease, job, video_of(row, videos), expired[-1] if expired else None)


def _attempts(
    connection: Connection, job_id: str, video_id: str, stale_after_s: float
) -> tuple[list[Run], str | None]:
    """Every attempt of this job, the running ones of the video's other ingest jobs, and who holds it."""
    names = {"this_job": job_id, "this_video": video_id, "stale_after_s": stale_after_s}
    rows = connection.execute(_ATTEMPTS, names).mappings().all()
    return [run_of(row) for row in rows if row[job_runs.c.id] is not None], rows[0]["held_by"]


def _refuse_live(job_id: str, attempts: list[Run]) -> None:
    for run in attempts:
        if run.lease_live:
            holder = run.owner or "an older worker"
            until = f" until {run.lease_expires_at:%H:%M:%S} UTC" if run.lease_expires_at else ""
            other = "" if run.job_id == job_id else f" (by its other job {run.job_id})"
            raise Busy(f"job {job_id}: its video is held{other} by {holder}{until}", job_id=job_id)


def _expire_sibling(connection: Connection, run: Run, job_id: str) -> None:
    """End another job's dead attempt on this video, so that its worker cannot wake up beside us."""
    question = sa.select(jobs.c.status).where(jobs.c.id == run.job_id)
    status = connection.scalar(question.with_for_update(key_share=True, skip_locked=True))
    if status is None:
        raise Busy(f"job {job_id}: its video's other job {run.job_id} is being changed", job_id=job_id)
    expire_run(connection, run.job_id, run.id, run.attempt, run.owner)
    if read_status(status) is Status.RUNNING:
        set_job(connection, run.job_id, status=Status.QUEUED.value, ingestion_phase=None, started_at=None)


def _crashed_too_often(connection: Connection, job_id: str, mine: list[Run], limit: int | None) -> bool:
    if not limit or len(mine) < limit:
        return False
    last = mine[-limit:]
    if not all(run.error_code == CRASHED or run.status == "running" for run in last):
        return False
    requeued = sa.select(sa.func.max(job_events.c.created_at)).where(
        job_events.c.job_id == job_id, job_events.c.event_type == "ingestion.job.requeued"
    )
    # An operator who put it back after looking into it wants it tried again.
    since = connection.scalar(requeued)
    return since is None or all(run.started_at is not None and run.started_at > since for run in last)


def _give_up(connection: Connection, job_id: str, last: Run) -> None:
    message = (
        f"the worker crashed in each of the last attempts (up to attempt {last.attempt}); not started again"
    )
    set_job(
        connection,
        job_id,
        status=Status.FAILED.value,
        ingestion_phase=None,
        finished_at=now(),
        error_message=message,
    )
    payload = {"attempt": last.attempt, "code": CRASHED, "message": message}
    add_event(connection, job_id, "ingestion.job.failed", payload, last.id)


def _start(connection: Connection, lease: Lease, job: Job) -> Job:
    payload = {"attempt": lease.attempt, "owner": lease.owner, "lease_s": lease.seconds}
    times = _START.run(
        connection,
        answer={"this_job": lease.job_id},
        run={
            "run_id": lease.run_id,
            "run_job": lease.job_id,
            "run_attempt": lease.attempt,
            "run_owner": lease.owner,
            "lease_s": lease.seconds,
        },
        event=event_values(connection, "event", lease.job_id, lease.run_id, "ingestion.run.started", payload),
    )
    return replace(
        job,
        status=Status.RUNNING,
        phase=Phase.DOWNLOADING,
        started_at=times["started_at"],
        finished_at=None,
        error_message=None,
        updated_at=times["updated_at"],
    )
