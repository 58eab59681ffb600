# ruff: noqa: D102 - what each method promises is written once, in IncidentStore and HoldStore
"""The incident log, and holds on videos for as long as one is being worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.changes import COUNTED, add_event, insert
from ingestctl.db.ids import new_id
from ingestctl.db.intake import put_back
from ingestctl.db.operator import Incident, IncidentEntry
from ingestctl.db.records import read_status
from ingestctl.db.rows import IS_INGEST, attempt_is_live
from ingestctl.db.tables import ingest_artifacts, ingest_incident_entries, ingest_incidents, job_runs, jobs
from ingestctl.db.types import now, now_plus
from ingestctl.domain.artifact import ArtifactState, ObjectRef
from ingestctl.domain.errors import Busy, Conflict, LostAuthority, NotFound
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, RowMapping

    from ingestctl.db.transactions import Database
    from ingestctl.domain.artifact import Artifact

MAX_MATCHES = 10
_AFTER_ALL = "\U0010ffff"
_table, _entries = ingest_incidents, ingest_incident_entries


class Incidents:
    """The incident log's part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def open_incident(self, incident: Incident) -> Incident:
        self._db.write(lambda c: _write_incident(c, incident))
        return self.incident(incident.id)

    def note_incident(
        self, incident_id: str, *, actor: str, kind: str, payload: Mapping[str, Any]
    ) -> IncidentEntry:
        entry_id = new_id()  # made once: the transaction may be run again

        def work(connection: Connection) -> IncidentEntry:
            _require(connection, incident_id)
            _note(connection, incident_id, entry_id, actor, kind, payload)
            question = sa.select(_entries).where(_entries.c.id == entry_id)
            return _entry_of(connection.execute(question).mappings().one())

        return self._db.write(work)

    def close_incident(self, incident_id: str, *, actor: str, payload: Mapping[str, Any]) -> bool:
        entry_id = new_id()

        def work(connection: Connection) -> bool:
            if _require(connection, incident_id)["status"] == "closed":
                mine = sa.select(_entries.c.id).where(_entries.c.id == entry_id)
                return connection.scalar(mine) is not None
            _close(connection, incident_id)
            _note(connection, incident_id, entry_id, actor, "closed", payload)
            return True

        return self._db.write(work)

    def incident(self, name: str) -> Incident:
        wanted = name.strip()
        if not wanted:
            raise NotFound(f"{name!r} names no incident", hint="Run `ingestctl incidents list`.")
        begins = sa.and_(_table.c.id >= wanted, _table.c.id < wanted + _AFTER_ALL)
        if self._db.dialect == "postgresql":
            column = _table.c.id.collate("C")
            begins = sa.and_(column >= wanted, column < wanted + _AFTER_ALL)
        question = sa.select(_table).where(sa.or_(_table.c.id == wanted, begins)).limit(MAX_MATCHES)
        rows = self._db.read(lambda c: c.execute(question).mappings().all())
        found = [row for row in rows if row["id"] == wanted] or list(rows)
        if not found:
            raise NotFound(
                f"no incident has the id (or an id beginning with) {wanted!r}",
                hint="Run `ingestctl incidents list`.",
            )
        if len(found) > 1:
            ids = ", ".join(row["id"] for row in found)
            raise Conflict(f"{wanted!r} is the beginning of several incident ids: {ids}", hint="Type more.")
        return _incident_of(found[0])

    def incident_entries(self, incident_id: str) -> Sequence[IncidentEntry]:
        question = sa.select(_entries).where(_entries.c.incident_id == incident_id)
        question = question.order_by(_entries.c.at, _entries.c.id)
        return [_entry_of(r) for r in self._db.read(lambda c: c.execute(question).mappings().all())]

    def incidents(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        job_id: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[Incident]:
        question = sa.select(_table).order_by(_table.c.opened_at.desc(), _table.c.id.desc()).limit(limit)
        for column, value in ((_table.c.status, status), (_table.c.kind, kind), (_table.c.job_id, job_id)):
            question = question if value is None else question.where(column == value)
        if since is not None:
            question = question.where(_table.c.opened_at >= since)
        return [_incident_of(r) for r in self._db.read(lambda c: c.execute(question).mappings().all())]

    # --- holds

    def hold(self, incident: Incident, *, owner: str, lease_s: float) -> Incident:
        def work(connection: Connection) -> str:
            _refuse_live(connection, incident)
            held_id = _begun_before(connection, incident, owner)
            if held_id is None:
                held_id = incident.id
                if _write_incident(connection, incident):
                    _event(connection, incident.job_id, "ingestion.cleanup.started", incident)
            values = {"lease_owner": owner, "lease_expires_at": now_plus(lease_s)}
            connection.execute(_table.update().where(_table.c.id == held_id).values(values))
            return held_id

        return self.incident(self._db.write(work))

    def renew_hold(self, incident_id: str, *, owner: str, lease_s: float) -> None:
        self._db.write(lambda c: _fence(c, incident_id, owner, lease_expires_at=now_plus(lease_s)))

    def drop_hold(self, incident_id: str, *, owner: str) -> None:
        mine = (_table.c.id == incident_id, _table.c.lease_owner == owner)
        free = {"lease_owner": None, "lease_expires_at": None}
        self._db.write(lambda c: c.execute(_table.update().where(*mine).values(free)))

    def settle_cleanup(
        self,
        incident_id: str,
        *,
        owner: str,
        actor: str,
        forget: Sequence[Artifact],
        adopt: Sequence[Artifact],
        reset_reason: str | None,
        payload: Mapping[str, Any],
    ) -> bool:
        def work(connection: Connection) -> bool:
            incident = _fence(connection, incident_id, owner)
            for row in forget:
                connection.execute(ingest_artifacts.delete().where(*_as_seen(row)))
            for row in adopt:
                _add_row(connection, row)
            queued = False
            if reset_reason is not None and incident.job_id is not None:
                queued = _requeue(connection, incident, actor, reset_reason)
            _event(connection, incident.job_id, "ingestion.cleanup.completed", incident, actor=actor)
            _close(connection, incident_id)
            said = {**payload, "reset": queued}
            _note(connection, incident_id, new_id(), actor, "closed", said)
            return queued

        return self._db.write(work)

    def settle_undo(
        self,
        incident_id: str,
        *,
        owner: str,
        actor: str,
        restore: Sequence[Artifact],
        payload: Mapping[str, Any],
    ) -> None:
        def work(connection: Connection) -> None:
            incident = _fence(connection, incident_id, owner)
            for row in restore:
                _add_row(connection, row)
            _event(connection, incident.job_id, "ingestion.cleanup.undone", incident, actor=actor)
            _close(connection, incident_id)
            _note(connection, incident_id, new_id(), actor, "undone", payload)

        self._db.write(work)

    def neighbours(self, ref: ObjectRef, *, limit: int) -> Sequence[ObjectRef]:
        table = ingest_artifacts
        same = (table.c.bucket == ref.bucket, table.c.state == ArtifactState.STORED.value)
        after = sa.select(table.c.key).where(*same, table.c.key > ref.key).order_by(table.c.key)
        before = sa.select(table.c.key).where(*same, table.c.key < ref.key).order_by(table.c.key.desc())

        def work(connection: Connection) -> list[str]:
            return [k for question in (after, before) for k in connection.scalars(question.limit(limit))]

        return [ObjectRef(ref.bucket, key) for key in self._db.read(work)]


# --- what transitions are made of -------------------------------------------------------------


def _write_incident(connection: Connection, incident: Incident) -> bool:
    """Write it unless its id is there. True if it was written."""
    values = {
        "id": incident.id,
        "kind": incident.kind,
        "status": "open",
        "severity": incident.severity,
        "job_id": incident.job_id,
        "video_id": incident.video_id,
        "title": incident.title,
        "reason": incident.reason,
        "actor": incident.actor,
        "opened_at": now(),
        "details": dict(incident.details),
    }
    once = insert(connection, _table).values(values).on_conflict_do_nothing(index_elements=["id"])
    return bool(connection.execute(once, execution_options=COUNTED).rowcount == 1)


def _refuse_live(connection: Connection, incident: Incident) -> None:
    """Lock the jobs of the video, so that a claim comes before or after us; refuse if one is live."""
    if incident.video_id is None:
        return
    of_video = sa.select(jobs.c.id).where(jobs.c.video_id == incident.video_id, IS_INGEST)
    ids = list(connection.scalars(of_video.order_by(jobs.c.id).with_for_update(key_share=True)))
    if incident.job_id not in ids:
        raise NotFound(f"no ingest job has the id {incident.job_id!r}", job_id=incident.job_id)
    live = sa.select(job_runs.c.job_id, job_runs.c.attempt, job_runs.c.lease_owner)
    row = connection.execute(live.where(job_runs.c.job_id.in_(ids), attempt_is_live()).limit(1)).first()
    if row is not None:
        raise Conflict(
            f"job {row.job_id} is live: attempt {row.attempt} of {row.lease_owner or 'an older worker'} "
            "works on this video; nothing was touched",
            hint="Wait for it to end, or stop its worker first; see `ingestctl inspect JOB`.",
            job_id=incident.job_id,
        )


def _begun_before(connection: Connection, incident: Incident, owner: str) -> str | None:
    """The id of the job's unfinished cleanup. Busy if anybody holds the video."""
    held = sa.select(_table).where(_table.c.video_id == incident.video_id, _table.c.lease_expires_at > now())
    for row in connection.execute(held).mappings():
        if row["lease_owner"] != owner:
            raise Busy(
                f"a cleanup of video {incident.video_id} is under way: incident {row['id']}, held by "
                f"{row['lease_owner']} until {row['lease_expires_at']:%H:%M:%S} UTC",
                hint="Wait for it to finish; if it died, the hold ends by itself.",
                job_id=incident.job_id,
            )
    open_ = sa.select(_table.c.id).where(
        _table.c.job_id == incident.job_id, _table.c.kind == incident.kind, _table.c.status == "open"
    )
    exists = sa.select(_table.c.id).where(_table.c.id == incident.id)
    if connection.scalar(exists) is not None:
        return None
    return connection.scalar(open_.order_by(_table.c.opened_at, _table.c.id).limit(1))


def _fence(connection: Connection, incident_id: str, owner: str, **values: Any) -> Incident:
    """Touch the hold if it is ours and live; else LostAuthority."""
    mine = (_table.c.id == incident_id, _table.c.lease_owner == owner, _table.c.lease_expires_at > now())
    touched = _table.update().where(*mine).values(lease_owner=owner, **values).returning(*_table.c)
    row = connection.execute(touched).mappings().one_or_none()
    if row is None:
        raise LostAuthority(
            f"incident {incident_id}: this cleanup no longer holds its video; it stopped there",
            hint="Run the same command again: it finishes what was begun.",
        )
    return _incident_of(row)


def _close(connection: Connection, incident_id: str) -> None:
    closed = sa.func.coalesce(_table.c.closed_at, now())
    values = {"status": "closed", "closed_at": closed, "lease_owner": None, "lease_expires_at": None}
    connection.execute(_table.update().where(_table.c.id == incident_id).values(values))


def _require(connection: Connection, incident_id: str) -> RowMapping:
    question = sa.select(_table).where(_table.c.id == incident_id).with_for_update(key_share=True)
    row = connection.execute(question).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no incident has the id {incident_id!r}", hint="Run `ingestctl incidents list`.")
    return row


def _note(
    connection: Connection, incident_id: str, entry_id: str, actor: str, kind: str, payload: Mapping[str, Any]
) -> None:
    row = {
        "id": entry_id,
        "incident_id": incident_id,
        "at": now(),
        "actor": actor,
        "kind": kind,
        "payload": dict(payload),
    }
    connection.execute(insert(connection, _entries).values(row).on_conflict_do_nothing(index_elements=["id"]))


def _event(
    connection: Connection, job_id: str | None, event_type: str, incident: Incident, actor: str | None = None
) -> None:
    exists = sa.select(jobs.c.id).where(jobs.c.id == job_id)
    if job_id is not None and connection.scalar(exists) is not None:
        said = {"incident": incident.id, "actor": actor or incident.actor, "reason": incident.reason}
        add_event(connection, job_id, event_type, said)


def _as_seen(row: Artifact) -> tuple[sa.ColumnElement[bool], ...]:
    table = ingest_artifacts
    return (
        table.c.bucket == row.ref.bucket,
        table.c.key == row.ref.key,
        table.c.video_id == row.video_id,
        table.c.run_id == row.run_id,
        table.c.state == row.state.value,
    )


def _add_row(connection: Connection, row: Artifact) -> None:
    """Add a row as ``staged``: the next run reads the bytes against its checksum before it keeps them."""
    table = ingest_artifacts
    known = {
        "state": ArtifactState.STAGED.value,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "content_type": row.content_type,
    }
    fixed = {
        "bucket": row.ref.bucket,
        "key": row.ref.key,
        "kind": row.kind.value,
        "video_id": row.video_id,
        "job_id": row.job_id,
        "run_id": row.run_id,
    }
    reserved = sa.and_(table.c.video_id == row.video_id, table.c.state == ArtifactState.RESERVED.value)
    added = insert(connection, table).values(**fixed, **known)
    added = added.on_conflict_do_update(index_elements=["bucket", "key"], set_=known, where=reserved)
    connection.execute(added)


def _requeue(connection: Connection, incident: Incident, actor: str, reason: str) -> bool:
    """Put the job back in the queue. One that was canceled stays so: nobody asked for it to run."""
    found = connection.scalar(sa.select(jobs.c.status).where(jobs.c.id == incident.job_id))
    if found is None or read_status(found) is Status.CANCELED:
        return False
    job_id = str(incident.job_id)
    details = {"incident": incident.id}
    put_back(connection, job_id, read_status(found), actor=actor, reason=reason, details=details)
    return True


def _incident_of(row: RowMapping) -> Incident:
    return Incident(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        severity=row["severity"],
        title=row["title"],
        reason=row["reason"],
        actor=row["actor"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        job_id=row["job_id"],
        video_id=row["video_id"],
        details=row["details"] if isinstance(row["details"], dict) else {},
    )


def _entry_of(row: RowMapping) -> IncidentEntry:
    return IncidentEntry(
        id=row["id"],
        incident_id=row["incident_id"],
        at=row["at"],
        actor=row["actor"],
        kind=row["kind"],
        payload=row["payload"] if isinstance(row["payload"], dict) else {},
    )
