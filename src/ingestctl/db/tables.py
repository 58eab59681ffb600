"""The tables, as Core objects. Their definition over time is in migrations/; a test compares the two.

``videos``, ``jobs``, ``job_runs`` and ``job_events`` are the platform's (shared with its other
services); the columns and tables marked as ours were added.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, UniqueConstraint

from ingestctl.db.one_job import VERSION_TABLE
from ingestctl.db.types import Json, Text, Timestamp

metadata = MetaData()

version = Table(VERSION_TABLE, MetaData(), Column("version_num", Text, primary_key=True))

videos = Table(
    "videos",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text),
    Column("org_id", Text),
    Column("user_id", Text),
    Column("source_type", Text, nullable=False),
    Column("source_uri", Text, nullable=False),
    Column("title", Text),
    Column("channel", Text),
    Column("language", Text),
    Column("duration_ms", Integer),
    Column("published_at", Timestamp),
    Column("storage_bucket", Text),
    Column("storage_key", Text),
    Column("storage_ref", Json),
    Column("metadata", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    UniqueConstraint("source_type", "source_uri"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("video_id", Text, ForeignKey("videos.id", ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payload", Json),
    Column("idempotency_key", Text),
    Column("queued_at", Timestamp, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("transcript_id", Text),
    Column("segment_id", Text),
    Column("layer_id", Text),
    Column("tenant_id", Text),
    Column("ingestion_phase", Text),  # ours
    Column("error_message", Text),  # ours
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("error_correlation_id", Text),
    Column("error_details", Json),
    Column("metadata", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("lease_owner", Text),  # ours
    Column("lease_expires_at", Timestamp),  # ours
    Column("heartbeat_at", Timestamp),  # ours
    UniqueConstraint("job_id", "attempt"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", Text, ForeignKey("job_runs.id", ondelete="CASCADE")),
    Column("event_type", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

ingest_artifacts = Table(  # ours; no foreign keys: it must outlive a deleted video to find its objects
    "ingest_artifacts",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("video_id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("sha256", Text),
    Column("etag", Text),
    Column("content_type", Text),
    Column("stored_at", Timestamp),
    Column("verified_at", Timestamp),
    Column("verdict", Text),
    Column("verified_level", Text),
)

ingest_incidents = Table(  # ours
    "ingest_incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("job_id", Text),
    Column("video_id", Text),
    Column("title", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("opened_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp),
    Column("details", Json, nullable=False),
    Column("lease_owner", Text),
    Column("lease_expires_at", Timestamp),
)

ingest_incident_entries = Table(  # ours, append-only
    "ingest_incident_entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident_id", Text, ForeignKey("ingest_incidents.id"), nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Json, nullable=False),
)

INDEXES = (
    "ix_ingest_jobs_queue",
    "ix_ingest_jobs_running",
    "ix_ingest_jobs_failed",
    "ix_ingest_jobs_updated",
    "ix_ingest_jobs_id_prefix",
    "ix_ingest_jobs_video",
    "ix_ingest_jobs_status",
    "ix_ingest_jobs_video_key",
    "ix_ingest_jobs_audio_key",
    "ix_ingest_runs_running",
    "ix_ingest_runs_ended",
    "ix_ingest_events_job",
    "ix_ingest_artifacts_video",
    "ix_ingest_artifacts_verified",
    "ix_ingest_artifacts_place",
    "ix_ingest_artifacts_due",
    "ix_ingest_artifacts_sha256",
    "ix_ingest_videos_object",
    "ix_ingest_incidents_opened",
    "ix_ingest_incidents_held",
    "ix_ingest_incidents_job",
    "ix_ingest_entries_incident",
)
"""Indexes of ours that must exist (and be valid) beside the tables' own keys."""
