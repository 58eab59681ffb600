"""Holds: while one is live nobody else works on that incident's video."""

from __future__ import annotations

from ingestctl.db.migrations.steps import add_columns, create_indexes

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the lease of an incident, and what makes looking for live ones cheap."""
    add_columns("ingest_incidents", {"lease_owner": "TEXT", "lease_expires_at": "ts"})
    create_indexes(
        {
            "ix_ingest_incidents_held": "ingest_incidents (video_id) WHERE lease_expires_at IS NOT NULL",
            "ix_ingest_incidents_job": "ingest_incidents (job_id)",
        }
    )
