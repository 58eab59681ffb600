"""Rows to the domain's words, and the conditions that several questions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.tables import job_runs, jobs
from ingestctl.db.types import now, now_plus
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.job import INGEST, Event, Job, Phase, Run, Status, Video, parse_status, stored_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import RowMapping

RUNNING = "running"
"""A live attempt's ``job_runs.status``."""
LEGACY_STALE_S = 3600.0
"""Seconds without an update after which a running attempt of an older worker, which has no lease, counts
as dead where the caller does not say how long to wait."""


def literal(word: str) -> sa.ColumnElement[str]:
    """A constant in the statement's text, so that partial indexes with the same constant can serve it."""
    return sa.literal_column(f"'{word}'", sa.Text())


IS_INGEST = jobs.c.type == literal(INGEST)


def status_is(*statuses: Status) -> sa.ColumnElement[bool]:
    """The job has one of these statuses, in either vocabulary."""
    return jobs.c.status.in_([literal(word) for status in statuses for word in stored_words(status)])


def attempt_is_live(
    stale_after_s: float | sa.ColumnElement[float] = LEGACY_STALE_S, *, runs: sa.FromClause = job_runs
) -> sa.ColumnElement[bool]:
    """The attempt is running and its lease has not expired (or, without a lease, it was updated lately)."""
    lease = runs.c.lease_expires_at
    fresh = sa.or_(lease > now(), sa.and_(lease.is_(None), _touched(runs) > now_plus(-stale_after_s)))
    return sa.and_(runs.c.status == literal(RUNNING), fresh)


def attempt_is_dead(
    stale_after_s: float | sa.ColumnElement[float] = LEGACY_STALE_S,
) -> sa.ColumnElement[bool]:
    """The attempt is running by name only."""
    lease = job_runs.c.lease_expires_at
    stale = sa.or_(lease <= now(), sa.and_(lease.is_(None), _touched(job_runs) <= now_plus(-stale_after_s)))
    return sa.and_(job_runs.c.status == literal(RUNNING), stale)


def _touched(runs: sa.FromClause) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(runs.c.updated_at, runs.c.started_at, runs.c.created_at)


def read_status(word: object) -> Status:
    """The status a row holds. A word of neither vocabulary is nobody's to claim: like canceled."""
    try:
        return parse_status(str(word))
    except ValueError:
        return Status.CANCELED


def _phase(word: object) -> Phase | None:
    return Phase(str(word)) if word in set(Phase) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    return {} if value is None else {"value": value}


def job_of(row: RowMapping) -> Job:
    """A job from a row that holds all columns of ``jobs``."""
    queued_at = row[jobs.c.queued_at]
    return Job(
        id=row[jobs.c.id],
        video_id=row[jobs.c.video_id],
        type=row[jobs.c.type],
        status=read_status(row[jobs.c.status]),
        phase=_phase(row[jobs.c.ingestion_phase]),
        payload=row[jobs.c.payload],
        error_message=row[jobs.c.error_message],
        idempotency_key=row[jobs.c.idempotency_key],
        tenant_id=row[jobs.c.tenant_id],
        queued_at=queued_at,
        started_at=row[jobs.c.started_at],
        finished_at=row[jobs.c.finished_at],
        created_at=row[jobs.c.created_at] or queued_at,
        updated_at=row[jobs.c.updated_at] or queued_at,
    )


def video_of(row: RowMapping, table: Any) -> Video:
    """A video from a row that holds all columns of ``videos`` (or of ``table``, an alias of it)."""
    ref = row[table.c.storage_ref]
    return Video(
        id=row[table.c.id],
        source_type=row[table.c.source_type],
        source_uri=row[table.c.source_uri],
        title=row[table.c.title],
        channel=row[table.c.channel],
        language=row[table.c.language],
        duration_ms=row[table.c.duration_ms],
        published_at=row[table.c.published_at],
        storage_bucket=row[table.c.storage_bucket],
        storage_key=row[table.c.storage_key],
        storage_ref=ref if isinstance(ref, dict) else None,
        metadata=_mapping(row[table.c.metadata]),
    )


def run_of(row: RowMapping) -> Run:
    """An attempt from a row of ``job_runs`` with ``lease_live`` beside."""
    details = row[job_runs.c.error_details]
    return Run(
        id=row[job_runs.c.id],
        job_id=row[job_runs.c.job_id],
        attempt=row[job_runs.c.attempt],
        status=row[job_runs.c.status],
        started_at=row[job_runs.c.started_at],
        finished_at=row[job_runs.c.finished_at],
        error_code=row[job_runs.c.error_code],
        error_message=row[job_runs.c.error_message],
        error_details=None if details is None else _mapping(details),
        metadata=_mapping(row[job_runs.c.metadata]),
        owner=row[job_runs.c.lease_owner],
        lease_expires_at=row[job_runs.c.lease_expires_at],
        heartbeat_at=row[job_runs.c.heartbeat_at],
        lease_live=bool(row["lease_live"]),
    )


def event_of(row: RowMapping) -> Event:
    """An event from a row of ``job_events``."""
    return Event(
        id=row["id"],
        job_id=row["job_id"],
        run_id=row["run_id"],
        event_type=row["event_type"],
        payload=_mapping(row["payload"]),
        created_at=row["created_at"],
    )


def artifact_of(row: RowMapping) -> Artifact:
    """An artifact from a row of ``ingest_artifacts``."""
    return Artifact(
        ref=ObjectRef(row["bucket"], row["key"]),
        kind=Kind(row["kind"]),
        video_id=row["video_id"],
        job_id=row["job_id"],
        run_id=row["run_id"],
        state=ArtifactState(row["state"]),
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        etag=row["etag"],
        content_type=row["content_type"],
        stored_at=row["stored_at"],
        verified_at=row["verified_at"],
        verdict=row["verdict"],
    )
