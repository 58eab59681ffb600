"""The platform's tables, where they are not there already."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create videos, jobs, job_runs and job_events on an empty database."""
    create_table(
        "videos",
        """
        id TEXT PRIMARY KEY NOT NULL, tenant_id TEXT, org_id TEXT, user_id TEXT,
        source_type TEXT NOT NULL CHECK (trim(source_type) <> ''),
        source_uri TEXT NOT NULL CHECK (trim(source_uri) <> ''),
        title TEXT, channel TEXT, language TEXT,
        duration_ms INTEGER CHECK (duration_ms >= 0), published_at {ts},
        storage_bucket TEXT, storage_key TEXT, storage_ref {json},
        metadata {json} NOT NULL DEFAULT {empty},
        created_at {ts} NOT NULL DEFAULT {now}, updated_at {ts} NOT NULL DEFAULT {now},
        UNIQUE (source_type, source_uri)
        """,
    )
    create_table(
        "jobs",
        """
        id TEXT PRIMARY KEY NOT NULL,
        video_id TEXT NOT NULL REFERENCES videos(id) ON DELETE CASCADE,
        type TEXT NOT NULL, status TEXT NOT NULL, payload {json}, idempotency_key TEXT UNIQUE,
        queued_at {ts} NOT NULL DEFAULT {now}, started_at {ts}, finished_at {ts},
        created_at {ts} NOT NULL DEFAULT {now}, updated_at {ts} NOT NULL DEFAULT {now},
        transcript_id TEXT, segment_id TEXT, layer_id TEXT, tenant_id TEXT
        """,
    )
    create_table(
        "job_runs",
        """
        id TEXT PRIMARY KEY NOT NULL,
        job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
        attempt INTEGER NOT NULL CHECK (attempt >= 1), status TEXT NOT NULL,
        started_at {ts}, finished_at {ts},
        error_code TEXT, error_message TEXT, error_correlation_id TEXT, error_details {json},
        metadata {json} NOT NULL DEFAULT {empty},
        created_at {ts} NOT NULL DEFAULT {now}, updated_at {ts} NOT NULL DEFAULT {now},
        UNIQUE (job_id, attempt)
        """,
    )
    create_table(
        "job_events",
        """
        id TEXT PRIMARY KEY NOT NULL,
        job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
        run_id TEXT REFERENCES job_runs(id) ON DELETE CASCADE,
        event_type TEXT NOT NULL, payload {json} NOT NULL DEFAULT {empty},
        created_at {ts} NOT NULL DEFAULT {now}
        """,
    )
