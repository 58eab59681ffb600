# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""Jobs entering the queue: submitted, or put back by an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import NewJob, Submitted
from ingestctl.db.changes import add_event, expire_run, insert, refuse_foreign, set_job
from ingestctl.db.records import read_status
from ingestctl.db.rows import IS_INGEST, attempt_is_live, job_of, run_of, video_of
from ingestctl.db.tables import job_events, job_runs, jobs, videos
from ingestctl.db.types import now
from ingestctl.domain.errors import Busy, Conflict, NotFound
from ingestctl.domain.job import INGEST, Run, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.db.transactions import Database

RESUBMITTED = "ingestion.job.resubmitted"


class Intake:
    """The submitting and resetting part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def submit(self, new: NewJob) -> Submitted:
        return self._db.write(lambda c: _submit(c, new))

    def reset(
        self,
        job_id: str,
        *,
        expect: Status,
        actor: str,
        reason: str,
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        return self._db.write(
            lambda c: put_back(c, job_id, expect, actor=actor, reason=reason, details=details or {})
        )

    def resubmitted(self, job_id: str, *, external_id: str, payload: Mapping[str, Any]) -> bool:
        def work(connection: Connection) -> bool:
            mine = sa.select(jobs.c.id).where(jobs.c.id == job_id).with_for_update(key_share=True)
            if connection.scalar(mine) is None:
                raise NotFound(f"there is no job {job_id}", job_id=job_id)
            kind = job_events.c.event_type == RESUBMITTED
            said = connection.scalars(
                sa.select(job_events.c.payload).where(job_events.c.job_id == job_id, kind)
            )
            if any(isinstance(p, dict) and p.get("external_id") == external_id for p in said):
                return False
            add_event(connection, job_id, RESUBMITTED, {"external_id": external_id, **payload})
            return True

        return self._db.write(work)


def put_back(
    connection: Connection,
    job_id: str,
    expect: Status,
    *,
    actor: str,
    reason: str,
    details: Mapping[str, Any],
) -> bool:
    """See :meth:`JobStore.reset`; for those who do more in the same transaction."""
    row = _resettable(connection, job_id, expect)
    if row is None:
        return False
    set_job(
        connection,
        job_id,
        status=Status.QUEUED.value,
        ingestion_phase=None,
        queued_at=now(),
        started_at=None,
        finished_at=None,
        error_message=None,
    )
    said = {"actor": actor, "reason": reason, "from": row[jobs.c.status], "details": dict(details)}
    add_event(connection, job_id, "ingestion.job.requeued", said)
    return True


def restore_status(
    connection: Connection,
    job_id: str,
    before: Status,
    attempt: object,
    *,
    actor: str,
    incident_id: str,
) -> None:
    """Undo :func:`put_back`, unless the job left the queue or had another attempt since."""
    question = sa.select(jobs.c.status).where(jobs.c.id == job_id).with_for_update(key_share=True)
    now_is = connection.scalar(question)
    if now_is is None or read_status(now_is) is not Status.QUEUED or before is Status.QUEUED:
        return
    runs = sa.select(job_runs).where(job_runs.c.job_id == job_id).order_by(job_runs.c.attempt.desc())
    last = connection.execute(runs.limit(1)).mappings().one_or_none()
    if (last["attempt"] if last else 0) != attempt:
        return
    if before is Status.RUNNING:  # its worker was dead, and that attempt was ended when the job was put back
        before = Status.FAILED
    when = {name: last[name] for name in ("started_at", "finished_at")} if last else {}
    why = last["error_message"] if last and before is Status.FAILED else None
    set_job(connection, job_id, status=before.value, error_message=why, **when)
    said = {"actor": actor, "from": now_is, "to": before.value, "details": {"incident": incident_id}}
    add_event(connection, job_id, "ingestion.job.status_restored", said)


def _submit(connection: Connection, new: NewJob) -> Submitted:
    source = {"source_type": new.source.kind.value, "source_uri": new.source.uri}
    described = {"title": new.title, "channel": new.channel, "language": new.language}
    stamps = {"created_at": now(), "updated_at": now()}
    video = insert(connection, videos).values(id=new.video_id, **source, **described, metadata={}, **stamps)
    connection.execute(video.on_conflict_do_nothing(index_elements=["source_type", "source_uri"]))
    # Locked: of many who submit the same source at once, one at a time looks for its job and creates it.
    same = (videos.c.source_type == source["source_type"], videos.c.source_uri == source["source_uri"])
    question = sa.select(videos).where(*same).with_for_update(key_share=True)
    row = connection.execute(question).mappings().one()
    latest = sa.select(jobs).where(jobs.c.video_id == row[videos.c.id], IS_INGEST)
    latest = latest.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(1)
    there = connection.execute(latest).mappings().one_or_none()
    if there is not None:
        return Submitted(job_of(there), video_of(row, videos), created=False)
    if row[videos.c.id] != new.video_id:
        raise Conflict(
            f"source {new.source.uri[:200]!r} belongs to video {row[videos.c.id]}, not {new.video_id}",
            hint="Submit it again.",
        )
    job = _insert_job(connection, new)
    said = {"source_kind": source["source_type"], "submitted_by": new.submitted_by}
    add_event(connection, new.job_id, "ingestion.job.submitted", said)
    return Submitted(job_of(job), video_of(row, videos), created=True)


def _insert_job(connection: Connection, new: NewJob) -> RowMapping:
    values = {
        "id": new.job_id,
        "video_id": new.video_id,
        "type": INGEST,
        "status": Status.QUEUED.value,
        "payload": dict(new.payload),
        "queued_at": now(),
        "created_at": now(),
        "updated_at": now(),
    }
    return connection.execute(jobs.insert().values(values).returning(*jobs.c)).mappings().one()


def _resettable(connection: Connection, job_id: str, expect: Status) -> RowMapping | None:
    """The locked job if it may go back to the queue, its dead attempts ended; None if it is there already."""
    question = sa.select(jobs).where(jobs.c.id == job_id).with_for_update(key_share=True)
    row = connection.execute(question).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no job has the id {job_id!r}", job_id=job_id)
    refuse_foreign(job_id, row[jobs.c.type])
    live = attempt_is_live().label("lease_live")
    running = sa.select(job_runs, live).where(job_runs.c.job_id == job_id, job_runs.c.status == "running")
    attempts = [run_of(r) for r in connection.execute(running).mappings()]
    _refuse_live(job_id, attempts)
    status = read_status(row[jobs.c.status])
    if status is Status.QUEUED:
        return None
    if status is not expect:
        raise Conflict(
            f"job {job_id} is {status} by now, not {expect}; nothing was changed",
            hint="Look at it again, then decide.",
            job_id=job_id,
        )
    for run in attempts:
        expire_run(connection, job_id, run.id, run.attempt, run.owner)
    return row


def _refuse_live(job_id: str, attempts: list[Run]) -> None:
    for run in attempts:
        if run.lease_live:
            holder = run.owner or "an older worker"
            raise Busy(f"job {job_id} is held by {holder} (attempt {run.attempt})", job_id=job_id)
