# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""What an owner writes. Every transaction begins with the fence; a lost one changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.changes import COUNTED, Together, add_event, event_values, event_write, insert
from ingestctl.db.ids import new_id
from ingestctl.db.rows import RUNNING, attempt_is_live, read_status
from ingestctl.db.tables import ingest_artifacts, job_runs, jobs, videos
from ingestctl.db.types import Json, now, now_plus
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
            _lock(connection, _LOCK_JOB, lease)
            events = [*_phase_completed(ended), ("ingestion.phase.started", {"phase": phase.value})]
            _change(connection, lease, _ENTER_PHASE, events, job={"to_phase": phase.value})

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
            row = _lock(connection, _LOCK_JOB_AND_VIDEO, lease)
            payload: dict[str, Any] = {"artifacts": [str(a.ref) for a in artifacts]}
            if hand_off is not None:
                payload["hand_off"] = _hand_off(connection, row, hand_off)
            events = [*_phase_completed(ended), ("ingestion.job.succeeded", payload)]
            _change(
                connection,
                lease,
                _SUCCEED,
                events,
                run=_run_end("succeeded", metadata=run_metadata),
                job=_job_end(Status.SUCCEEDED, None),
                video=_video_values(row, facts, storage_ref),
            )
            for artifact in artifacts:
                _store_artifact(connection, lease, artifact)

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
            _lock(connection, _LOCK_JOB, lease)
            payload: dict[str, Any] = {"code": error.code, "message": error.message}
            if ended is not None:
                payload["failed_in"] = dict(ended)
            run = _run_end("failed", error.code, error.message, dict(error.details), run_metadata)
            job = _job_end(Status.FAILED, error.message)
            _change(connection, lease, _FAIL, [("ingestion.job.failed", payload)], run=run, job=job)

        self._db.write(work)

    def release(self, lease: Lease, *, reason: str) -> None:
        def work(connection: Connection) -> None:
            _lock(connection, _LOCK_JOB, lease)
            run = _run_end("canceled", "interrupted", reason)
            _change(connection, lease, _RELEASE, [("ingestion.job.released", {"reason": reason})], run=run)

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
_LOCK_JOB_AND_VIDEO = (
    sa.select(jobs.c.status, jobs.c.tenant_id, jobs.c.video_id, videos.c.title, videos.c.metadata)
    .join(videos, videos.c.id == jobs.c.video_id)
    .where(jobs.c.id == sa.bindparam("my_job"))
    .with_for_update(key_share=True, of=[jobs, videos])
)
_TOUCH_RUN = job_runs.update().where(*_MINE).values(updated_at=now())
_STATUS_OF_LIVE = (
    sa.select(jobs.c.status).join(job_runs, job_runs.c.job_id == jobs.c.id).where(*_MINE, attempt_is_live())
)


def _names(lease: Lease) -> dict[str, Any]:
    return {"my_job": lease.job_id, "my_attempt": lease.attempt, "my_run": lease.run_id}


def _lock(connection: Connection, question: sa.Select[Any], lease: Lease) -> RowMapping:
    """Lock the job's row, so that no other can become its owner meanwhile; LostAuthority if none may."""
    row = connection.execute(question, {"my_job": lease.job_id}).mappings().one_or_none()
    if row is None or read_status(row["status"]) is not Status.RUNNING:
        raise _lost(lease)
    return row


def _fence(connection: Connection, lease: Lease, **values: Any) -> None:
    """Lock the job, then touch the attempt if it is still the running one; else LostAuthority."""
    _lock(connection, _LOCK_JOB, lease)
    if connection.execute(_TOUCH_RUN.values(values), _names(lease)).rowcount != 1:
        raise _lost(lease)


def _lost(lease: Lease) -> LostAuthority:
    return LostAuthority(
        f"job {lease.job_id}: attempt {lease.attempt} no longer owns it; nothing was written",
        job_id=lease.job_id,
    )


# --- transitions: the attempt (which is the fence), the job, its events, all at once -----------


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


def _transition(events: int, **writes: sa.Update) -> Together:
    return Together(**writes, **{f"event{n}": event_write(f"event{n}") for n in range(events)})


def _with_events(*counts: int, **writes: sa.Update) -> Mapping[int, Together]:
    """The same transition with as many events as it may have."""
    return {n: _transition(n, **writes) for n in counts}


_ENTER_PHASE = _with_events(
    1, 2, run=_TOUCH_RUN, job=_MY_JOB.values(ingestion_phase=sa.bindparam("to_phase"))
)
_SUCCEED = _with_events(1, 2, run=_END_RUN, job=_END_JOB, video=_SET_VIDEO)
_FAIL = _with_events(1, run=_END_RUN, job=_END_JOB)
_RELEASE = _with_events(1, run=_END_RUN, job=_QUEUE_JOB)


def _change(
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
        "run": {**_names(lease), **(run or {})},
        "job": {"of_job": lease.job_id, **(job or {})},
        **more,
    }
    for n, (event_type, payload) in enumerate(events):
        body = {"attempt": lease.attempt, **payload}
        name = f"event{n}"
        values[name] = event_values(connection, name, lease.job_id, lease.run_id, event_type, body)
    if transition[len(events)].run(connection, **values)["run"] != 1:
        raise _lost(lease)


def _run_end(
    status: str,
    code: str | None = None,
    message: str | None = None,
    details: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "run_status": status,
        "run_error_code": code,
        "run_error_message": message,
        "run_error_details": details,
        "run_metadata": None if metadata is None else dict(metadata),
    }


def _job_end(status: Status, message: str | None) -> dict[str, Any]:
    return {"to_status": status.value, "to_error_message": message}


def _phase_completed(ended: Mapping[str, Any] | None) -> list[tuple[str, Mapping[str, Any]]]:
    return [] if ended is None else [("ingestion.phase.completed", ended)]


# --- what else an owner writes -----------------------------------------------------------------


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
