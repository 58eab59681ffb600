"""Our own tables: what was stored where, and the incident log."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create ingest_artifacts, ingest_incidents and ingest_incident_entries."""
    create_table(
        "ingest_artifacts",
        """
        bucket TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
        video_id TEXT NOT NULL, job_id TEXT NOT NULL, run_id TEXT NOT NULL, state TEXT NOT NULL,
        size_bytes BIGINT, sha256 TEXT, etag TEXT, content_type TEXT,
        stored_at {ts}, verified_at {ts}, verdict TEXT, verified_level TEXT,
        PRIMARY KEY (bucket, key)
        """,
    )
    create_table(
        "ingest_incidents",
        """
        id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('open', 'closed')),
        severity TEXT NOT NULL, job_id TEXT, video_id TEXT, title TEXT NOT NULL, reason TEXT NOT NULL,
        actor TEXT NOT NULL, opened_at {ts} NOT NULL DEFAULT {now}, closed_at {ts},
        details {json} NOT NULL DEFAULT {empty}
        """,
    )
    create_table(
        "ingest_incident_entries",
        """
        id TEXT PRIMARY KEY NOT NULL, incident_id TEXT NOT NULL REFERENCES ingest_incidents(id),
        at {ts} NOT NULL DEFAULT {now}, actor TEXT NOT NULL, kind TEXT NOT NULL,
        payload {json} NOT NULL DEFAULT {empty}
        """,
    )
