"""Rows to the domain's words. Pure: a row is a mapping from column names, whatever library read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.job import Event, Job, Phase, Run, Status, Video, parse_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.engine import RowMapping


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


def clean_text(text: str) -> str:
    """``text`` with NUL and lone surrogates replaced by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


MAX_JSON_DEPTH = 100
"""Deeper values are cut when written and left as text when read; nothing this program writes comes near."""


def lenient_loads(text: str | bytes) -> Any:
    """Parse JSON; what cannot be parsed (not JSON, nested too deeply, a huge number) is returned as text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    # Whatever walks through it later must be able to: that takes several calls a level.
    deep = text.count("[") + text.count("{") > MAX_JSON_DEPTH and _is_deep(value)
    return text if deep else value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        nested = [v for v in level if isinstance(v, dict | list) and v]
        if not nested:
            return False
        level = [v for n in nested for v in (n.values() if isinstance(n, dict) else n)]
    return True


def utc(value: Any) -> datetime | None:
    """A moment as a database returns it (PostgreSQL: aware; SQLite: text, UTC), aware, in UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def job_of(row: Mapping[str, Any]) -> Job:
    """A job from a row that holds all columns of ``jobs``."""
    queued_at = row["queued_at"]
    return Job(
        id=row["id"],
        video_id=row["video_id"],
        type=row["type"],
        status=read_status(row["status"]),
        phase=_phase(row["ingestion_phase"]),
        payload=row["payload"],
        error_message=row["error_message"],
        idempotency_key=row["idempotency_key"],
        tenant_id=row["tenant_id"],
        queued_at=queued_at,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        created_at=row["created_at"] or queued_at,
        updated_at=row["updated_at"] or queued_at,
    )


def video_of(row: Mapping[str, Any]) -> Video:
    """A video from a row that holds all columns of ``videos``."""
    ref = row["storage_ref"]
    return Video(
        id=row["id"],
        source_type=row["source_type"],
        source_uri=row["source_uri"],
        title=row["title"],
        channel=row["channel"],
        language=row["language"],
        duration_ms=row["duration_ms"],
        published_at=row["published_at"],
        storage_bucket=row["storage_bucket"],
        storage_key=row["storage_key"],
        storage_ref=ref if isinstance(ref, dict) else None,
        metadata=_mapping(row["metadata"]),
    )


def run_of(row: Mapping[str, Any]) -> Run:
    """An attempt from a row of ``job_runs`` with ``lease_live`` beside."""
    details = row["error_details"]
    return Run(
        id=row["id"],
        job_id=row["job_id"],
        attempt=row["attempt"],
        status=row["status"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        error_details=None if details is None else _mapping(details),
        metadata=_mapping(row["metadata"]),
        owner=row["lease_owner"],
        lease_expires_at=row["lease_expires_at"],
        heartbeat_at=row["heartbeat_at"],
        lease_live=bool(row["lease_live"]),
    )


def event_of(row: Mapping[str, Any]) -> Event:
    """An event from a row of ``job_events``."""
    return Event(
        id=row["id"],
        job_id=row["job_id"],
        run_id=row["run_id"],
        event_type=row["event_type"],
        payload=_mapping(row["payload"]),
        created_at=row["created_at"],
    )


def artifact_of(row: Mapping[str, Any] | RowMapping) -> Artifact:
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
