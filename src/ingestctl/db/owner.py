# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""What an owner writes. Every transaction begins with the fence; a lost one changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.changes import add_event, insert, set_job
from ingestctl.db.ids import new_id
from ingestctl.db.rows import RUNNING, attempt_is_live, read_status
from ingestctl.db.tables import ingest_artifacts, job_runs, jobs, videos
from ingestctl.db.types import now, now_plus
from ingestctl.domain.artifact import Artifact, ArtifactState
from ingestctl.domain.errors import Conflict, LostAuthority
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.db.base import HandOff, RunError, VideoFacts
    from ingestctl.db.transactions import Database
    from ingestctl.domain.artifact import Kind, ObjectRef
    from ingestctl.domain.job import Lease, Phase

MAX_INTEGER = 2**31 - 1
COUNTED = {"preserve_rowcount": True}
"""SQLAlchemy keeps the row count of an INSERT only when asked to."""


class OwnerWrites:
    """The owner's part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def heartbeat(self, lease: Lease) -> None:
        renewed = {"lease_expires_at": now_plus(lease.seconds), "heartbeat_at": now()}
        self._db.write(lambda c: _fence(c, lease, **renewed))

    def confirm(self, lease: Lease) -> None:
        status = self._db.read(lambda c: c.scalar(_STATUS_OF_LIVE, _names(lease)))
        if status is None or read_status(status) is not Status.RUNNING:
            raise _lost(lease)

    def enter_phase(self, lease: Lease, phase: Phase, *, ended: Mapping[str, Any] | None = None) -> None:
        def work(connection: Connection) -> None:
            _fence(connection, lease)
            set_job(connection, lease.job_id, ingestion_phase=phase.value)
            _phase_completed(connection, lease, ended)
            _event(connection, lease, "ingestion.phase.started", {"phase": phase.value})

        self._db.write(work)

    def record(self, lease: Lease, event_type: str, payload: Mapping[str, Any]) -> None:
        def work(connection: Connection) -> None:
            _fence(connection, lease)
            add_event(connection, lease.job_id, event_type, payload, lease.run_id)

        self._db.write(work)

    def reserve(self, lease: Lease, ref: ObjectRef, kind: Kind) -> None:
        def work(connection: Connection) -> None:
            _fence(connection, lease)
            table = ingest_artifacts
            row = {
                "bucket": ref.bucket,
                "key": ref.key,
                "kind": kind.value,
                "state": ArtifactState.RESERVED.value,
            }
            ours = {"video_id": lease.video_id, "job_id": lease.job_id, "run_id": lease.run_id}
            connection.execute(insert(connection, table).values(**row, **ours).on_conflict_do_nothing())
            there = connection.execute(sa.select(table).where(*_at(ref))).mappings().one()
            if there["video_id"] != lease.video_id or there["kind"] != kind.value:
                raise _taken(lease, ref, there)
            if (
                there["state"] == ArtifactState.RESERVED.value
            ):  # what is known of staged bytes is evidence: kept
                connection.execute(table.update().where(*_at(ref)).values(ours))

        self._db.write(work)

    def stage(self, lease: Lease, ref: ObjectRef, *, size_bytes: int, sha256: str, content_type: str) -> None:
        values = {
            "state": ArtifactState.STAGED.value,
            "job_id": lease.job_id,
            "run_id": lease.run_id,
            "size_bytes": size_bytes,
            "sha256": sha256,
            "content_type": content_type,
            "etag": None,
            "stored_at": None,
            "verified_at": None,
            "verdict": None,
            "verified_level": None,
        }

        def work(connection: Connection) -> None:
            _fence(connection, lease)
            mine = (*_at(ref), ingest_artifacts.c.video_id == lease.video_id)
            if connection.execute(ingest_artifacts.update().where(*mine).values(values)).rowcount != 1:
                raise Conflict(f"{ref} is not reserved for video {lease.video_id}", job_id=lease.job_id)

        self._db.write(work)

    def forget_artifact(self, lease: Lease, ref: ObjectRef) -> None:
        def work(connection: Connection) -> None:
            _fence(connection, lease)
            mine = (*_at(ref), ingest_artifacts.c.video_id == lease.video_id)
            connection.execute(ingest_artifacts.delete().where(*mine))

        self._db.write(work)

    def succeed(
        self,
        lease: Lease,
        *,
        facts: VideoFacts,
        artifacts: Sequence[Artifact],
        storage_ref: Mapping[str, Any],
        ended: Mapping[str, Any] | None = None,
        hand_off: HandOff | None = None,
        run_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        def work(connection: Connection) -> None:
            job = _end_run(connection, lease, run_metadata, status="succeeded")
            if job is None:
                return
            _update_video(connection, lease, facts, storage_ref)
            for artifact in artifacts:
                _store_artifact(connection, lease, artifact)
            _end_job(connection, lease, Status.SUCCEEDED, None)
            _phase_completed(connection, lease, ended)
            payload: dict[str, Any] = {"artifacts": [str(a.ref) for a in artifacts]}
            if hand_off is not None:
                payload["hand_off"] = _hand_off(connection, job, hand_off)
            _event(connection, lease, "ingestion.job.succeeded", payload)

        self._db.write(work)

    def fail(
        self,
        lease: Lease,
        error: RunError,
        *,
        ended: Mapping[str, Any] | None = None,
        run_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        def work(connection: Connection) -> None:
            ended_run = _end_run(
                connection,
                lease,
                run_metadata,
                status="failed",
                error_code=error.code,
                error_message=error.message,
                error_details=dict(error.details),
            )
            if ended_run is None:
                return
            _end_job(connection, lease, Status.FAILED, error.message)
            payload: dict[str, Any] = {"code": error.code, "message": error.message}
            if ended is not None:
                payload["failed_in"] = dict(ended)
            _event(connection, lease, "ingestion.job.failed", payload)

        self._db.write(work)

    def release(self, lease: Lease, *, reason: str) -> None:
        def work(connection: Connection) -> None:
            ended = {"status": "canceled", "error_code": "interrupted", "error_message": reason}
            if _end_run(connection, lease, None, **ended) is None:
                return
            set_job(
                connection, lease.job_id, status=Status.QUEUED.value, ingestion_phase=None, started_at=None
            )
            _event(connection, lease, "ingestion.job.released", {"reason": reason})

        self._db.write(work)


# --- the fence --------------------------------------------------------------------------------


_MINE = (
    job_runs.c.job_id == sa.bindparam("my_job"),
    job_runs.c.attempt == sa.bindparam("my_attempt"),
    job_runs.c.id == sa.bindparam("my_run"),
    job_runs.c.status == RUNNING,
)
_LOCK_JOB = (
    sa.select(jobs.c.status, jobs.c.tenant_id, jobs.c.video_id)
    .where(jobs.c.id == sa.bindparam("my_job"))
    .with_for_update(key_share=True)
)
_TOUCH_RUN = job_runs.update().where(*_MINE).values(updated_at=now())
_END_OF_RUN = sa.select(job_runs.c.status, job_runs.c.error_code, job_runs.c.error_message).where(
    job_runs.c.id == sa.bindparam("my_run")
)
_STATUS_OF_LIVE = (
    sa.select(jobs.c.status).join(job_runs, job_runs.c.job_id == jobs.c.id).where(*_MINE, attempt_is_live())
)


def _names(lease: Lease) -> dict[str, Any]:
    return {"my_job": lease.job_id, "my_attempt": lease.attempt, "my_run": lease.run_id}


def _fence(connection: Connection, lease: Lease, **values: Any) -> RowMapping:
    """Lock the job, then touch the attempt if it is still the running one; else LostAuthority."""
    job = connection.execute(_LOCK_JOB, {"my_job": lease.job_id}).mappings().one_or_none()
    if job is None or read_status(job["status"]) is not Status.RUNNING:
        raise _lost(lease)
    if connection.execute(_TOUCH_RUN.values(values), _names(lease)).rowcount != 1:
        raise _lost(lease)
    return job


def _lost(lease: Lease) -> LostAuthority:
    return LostAuthority(
        f"job {lease.job_id}: attempt {lease.attempt} no longer owns it; nothing was written",
        job_id=lease.job_id,
    )


def _end_run(
    connection: Connection, lease: Lease, metadata: Mapping[str, Any] | None, **values: Any
) -> RowMapping | None:
    """End the attempt under the fence; None if it has this very end already.

    Then an earlier call wrote it, and the reply to its COMMIT was lost for longer than anyone waited.
    """
    if metadata is not None:
        values["metadata"] = dict(metadata)
    try:
        return _fence(connection, lease, finished_at=now(), lease_expires_at=now(), **values)
    except LostAuthority:
        there = connection.execute(_END_OF_RUN, {"my_run": lease.run_id}).mappings().one_or_none()
        if there is None or any(there[name] != values.get(name) for name in there):
            raise
        return None


# --- what transitions are made of -------------------------------------------------------------


def _end_job(connection: Connection, lease: Lease, status: Status, message: str | None) -> None:
    values = {"status": status.value, "ingestion_phase": None, "finished_at": now(), "error_message": message}
    set_job(connection, lease.job_id, **values)


def _event(connection: Connection, lease: Lease, event_type: str, payload: Mapping[str, Any]) -> None:
    body = {"attempt": lease.attempt, **payload}
    add_event(connection, lease.job_id, event_type, body, lease.run_id)


def _phase_completed(connection: Connection, lease: Lease, ended: Mapping[str, Any] | None) -> None:
    if ended is not None:
        _event(connection, lease, "ingestion.phase.completed", ended)


def _at(ref: ObjectRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (ingest_artifacts.c.bucket == ref.bucket, ingest_artifacts.c.key == ref.key)


def _taken(lease: Lease, ref: ObjectRef, there: RowMapping) -> Conflict:
    return Conflict(
        f"{ref} belongs to the {there['kind']} of video {there['video_id']}, not of {lease.video_id}",
        hint="Two jobs name the same object; correct jobs.payload.artifacts of one of them.",
        job_id=lease.job_id,
    )


def _store_artifact(connection: Connection, lease: Lease, artifact: Artifact) -> None:
    values = {
        "job_id": lease.job_id,
        "run_id": artifact.run_id,
        "state": ArtifactState.STORED.value,
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "etag": artifact.etag,
        "content_type": artifact.content_type,
        "stored_at": now() if artifact.stored_at is None else artifact.stored_at,
        "verified_at": artifact.verified_at,
        "verdict": artifact.verdict,
    }
    table, ref = ingest_artifacts, artifact.ref
    same = sa.and_(table.c.video_id == lease.video_id, table.c.kind == artifact.kind.value)
    fixed = {"bucket": ref.bucket, "key": ref.key, "kind": artifact.kind.value, "video_id": lease.video_id}
    upsert = insert(connection, table).values(**fixed, **values)
    upsert = upsert.on_conflict_do_update(index_elements=["bucket", "key"], set_=values, where=same)
    if connection.execute(upsert, execution_options=COUNTED).rowcount != 1:
        raise _taken(lease, ref, connection.execute(sa.select(table).where(*_at(ref))).mappings().one())


_MY_VIDEO = videos.c.id == sa.bindparam("my_video")
_LOCK_VIDEO = sa.select(videos).where(_MY_VIDEO).with_for_update(key_share=True)
_SET_VIDEO = videos.update().where(_MY_VIDEO).values(updated_at=now())


def _update_video(
    connection: Connection, lease: Lease, facts: VideoFacts, storage_ref: Mapping[str, Any]
) -> None:
    row = connection.execute(_LOCK_VIDEO, {"my_video": lease.video_id}).mappings().one()
    known = row["metadata"] if isinstance(row["metadata"], dict) else {"previous": row["metadata"]}
    ingest = known.get("ingest")
    values: dict[str, Any] = {
        "storage_bucket": storage_ref.get("bucket"),
        "storage_key": storage_ref.get("key"),
        "storage_ref": dict(storage_ref),
        "metadata": {
            **known,
            "ingest": {**(ingest if isinstance(ingest, dict) else {}), **facts.metadata},
        },
    }
    if facts.title and not (row["title"] or "").strip():
        values["title"] = facts.title
    learned: dict[str, Any] = {
        "channel": facts.channel,
        "language": facts.language,
        "published_at": facts.published_at,
    }
    if facts.duration_ms is not None and 0 <= facts.duration_ms <= MAX_INTEGER:
        learned["duration_ms"] = facts.duration_ms
    values |= {column: value for column, value in learned.items() if value is not None}
    connection.execute(_SET_VIDEO.values(values), {"my_video": lease.video_id})


def _hand_off(connection: Connection, job: RowMapping, hand_off: HandOff) -> dict[str, Any]:
    """Create the follow-up job unless its key is taken: then it was created before."""
    row = {
        "id": new_id(),
        "video_id": job["video_id"],
        "tenant_id": job["tenant_id"],
        "type": hand_off.type,
        "status": Status.QUEUED.value,
        "payload": dict(hand_off.payload),
        "idempotency_key": hand_off.idempotency_key,
        "queued_at": now(),
        "created_at": now(),
        "updated_at": now(),
    }
    once = insert(connection, jobs).values(row).on_conflict_do_nothing()
    made = connection.execute(once, execution_options=COUNTED).rowcount == 1
    return {"type": hand_off.type, "idempotency_key": hand_off.idempotency_key, "created": made}
