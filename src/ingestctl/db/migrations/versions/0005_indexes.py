"""An index for every question the program asks."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_indexes

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the indexes, one by one, without blocking writers."""
    create_indexes(
        {
            "ix_ingest_jobs_queue": "jobs (queued_at, id)"
            " WHERE type = 'ingest' AND status IN ('queued', 'pending')",
            "ix_ingest_jobs_running": "jobs (updated_at DESC, id DESC)"
            " WHERE type = 'ingest' AND status = 'running'",
            "ix_ingest_jobs_failed": "jobs (updated_at DESC, id DESC)"
            " WHERE type = 'ingest' AND status = 'failed'",
            "ix_ingest_jobs_updated": "jobs (updated_at DESC, id DESC) WHERE type = 'ingest'",
            "ix_ingest_jobs_id_prefix": 'jobs (id COLLATE "C")',
            "ix_ingest_jobs_video": "jobs (video_id, created_at DESC) WHERE type = 'ingest'",
            "ix_ingest_jobs_status": "jobs (status) WHERE type = 'ingest'",
            "ix_ingest_runs_running": "job_runs (lease_expires_at) WHERE status = 'running'",
            "ix_ingest_events_job": "job_events (job_id, created_at, id)",
            "ix_ingest_artifacts_video": "ingest_artifacts (video_id)",
            "ix_ingest_artifacts_verified": "ingest_artifacts (verified_at)",
            "ix_ingest_incidents_opened": "ingest_incidents (opened_at DESC, id DESC)",
            "ix_ingest_entries_incident": "ingest_incident_entries (incident_id, at, id)",
        }
    )
