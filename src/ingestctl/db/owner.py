# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""What an owner writes. Every transaction begins with the fence; a lost one changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.changes import COUNTED, add_event, insert
from ingestctl.db.ids import new_id
from ingestctl.db.records import read_status
from ingestctl.db.tables import ingest_artifacts, jobs
from ingestctl.db.transitions import (
    ENTER_PHASE,
    FAIL,
    LOCK_JOB,
    LOCK_JOB_AND_VIDEO,
    RELEASE,
    STATUS_OF_LIVE,
    SUCCEED,
    change,
    fence,
    has_ended,
    job_end,
    lock,
    lost,
    names_of,
    phase_completed,
    run_end,
)
from ingestctl.db.types import now, now_plus
from ingestctl.domain.artifact import Artifact, ArtifactState
from ingestctl.domain.errors import Conflict, LostAuthority
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.db.base import HandOff, RunError, VideoFacts
    from ingestctl.db.transactions import Database
    from ingestctl.domain.artifact import Kind, ObjectRef
    from ingestctl.domain.job import Lease, Phase

MAX_INTEGER = 2**31 - 1


class OwnerWrites:
    """The owner's part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def heartbeat(self, lease: Lease) -> None:
        renewed = {"lease_expires_at": now_plus(lease.seconds), "heartbeat_at": now()}
        self._db.write(lambda c: fence(c, lease, **renewed))

    def confirm(self, lease: Lease) -> None:
        status = self._db.read(lambda c: c.scalar(STATUS_OF_LIVE, names_of(lease)))
        if status is None or read_status(status) is not Status.RUNNING:
            raise lost(lease)

    def enter_phase(self, lease: Lease, phase: Phase, *, ended: Mapping[str, Any] | None = None) -> None:
        def work(connection: Connection) -> None:
            lock(connection, LOCK_JOB, lease)
            events = [*phase_completed(ended), ("ingestion.phase.started", {"phase": phase.value})]
            change(connection, lease, ENTER_PHASE, events, job={"to_phase": phase.value})

        self._db.write(work)

    def record(self, lease: Lease, event_type: str, payload: Mapping[str, Any]) -> None:
        def work(connection: Connection) -> None:
            fence(connection, lease)
            add_event(connection, lease.job_id, event_type, payload, lease.run_id)

        self._db.write(work)

    def reserve(self, lease: Lease, ref: ObjectRef, kind: Kind) -> None:
        def work(connection: Connection) -> None:
            fence(connection, lease)
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
            fence(connection, lease)
            mine = (*_at(ref), ingest_artifacts.c.video_id == lease.video_id)
            if connection.execute(ingest_artifacts.update().where(*mine).values(values)).rowcount != 1:
                raise Conflict(f"{ref} is not reserved for video {lease.video_id}", job_id=lease.job_id)

        self._db.write(work)

    def forget_artifact(self, lease: Lease, ref: ObjectRef) -> None:
        def work(connection: Connection) -> None:
            fence(connection, lease)
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
        run = run_end("succeeded", metadata=run_metadata)

        def work(connection: Connection) -> None:
            row = lock(connection, LOCK_JOB_AND_VIDEO, lease)
            payload: dict[str, Any] = {"artifacts": [str(a.ref) for a in artifacts]}
            if hand_off is not None:
                payload["hand_off"] = _hand_off(connection, row, hand_off)
            events = [*phase_completed(ended), ("ingestion.job.succeeded", payload)]
            change(
                connection,
                lease,
                SUCCEED,
                events,
                run=run,
                job=job_end(Status.SUCCEEDED, None),
                video=_video_values(row, facts, storage_ref),
            )
            for artifact in artifacts:
                _store_artifact(connection, lease, artifact)

        self._end(lease, run, work)

    def fail(
        self,
        lease: Lease,
        error: RunError,
        *,
        ended: Mapping[str, Any] | None = None,
        run_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        run = run_end("failed", error.code, error.message, dict(error.details), run_metadata)

        def work(connection: Connection) -> None:
            lock(connection, LOCK_JOB, lease)
            payload: dict[str, Any] = {"code": error.code, "message": error.message}
            if ended is not None:
                payload["failed_in"] = dict(ended)
            job = job_end(Status.FAILED, error.message)
            change(connection, lease, FAIL, [("ingestion.job.failed", payload)], run=run, job=job)

        self._end(lease, run, work)

    def release(self, lease: Lease, *, reason: str) -> None:
        run = run_end("canceled", "interrupted", reason)

        def work(connection: Connection) -> None:
            lock(connection, LOCK_JOB, lease)
            change(connection, lease, RELEASE, [("ingestion.job.released", {"reason": reason})], run=run)

        self._end(lease, run, work)

    def _end(self, lease: Lease, run: Mapping[str, Any], work: Callable[[Connection], None]) -> None:
        """End the attempt, unless it has this very end already.

        Then an earlier call wrote it, and the reply to its COMMIT was lost for longer than anyone waited.
        Asked in a transaction of its own: the one that found authority lost is rolled back.
        """
        try:
            self._db.write(work)
        except LostAuthority:
            if not self._db.read(lambda c: has_ended(c, lease, run)):
                raise


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


def _video_values(row: RowMapping, facts: VideoFacts, storage_ref: Mapping[str, Any]) -> dict[str, Any]:
    """What a success records of the video. A title that somebody gave it is kept."""
    known = row["metadata"] if isinstance(row["metadata"], dict) else {"previous": row["metadata"]}
    ingest = known.get("ingest")
    learned = {**(ingest if isinstance(ingest, dict) else {}), **facts.metadata}
    has_title = bool((row["title"] or "").strip())
    duration = facts.duration_ms
    return {
        "my_video": row["video_id"],
        "new_storage_bucket": storage_ref.get("bucket"),
        "new_storage_key": storage_ref.get("key"),
        "new_storage_ref": dict(storage_ref),
        "new_metadata": {**known, "ingest": learned},
        "new_title": None if has_title else facts.title or None,
        "new_channel": facts.channel,
        "new_language": facts.language,
        "new_published_at": facts.published_at,
        "new_duration_ms": duration if duration is not None and 0 <= duration <= MAX_INTEGER else None,
    }


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
