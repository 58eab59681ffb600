"""When attempts ended: what escalation reads."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_indexes

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Index the ends of attempts; older workers left some without finished_at."""
    create_indexes(
        {
            "ix_ingest_runs_ended": "job_runs (coalesce(finished_at, updated_at), id)"
            " WHERE status IN ('failed', 'succeeded', 'completed')",
        }
    )
