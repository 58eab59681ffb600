"""Who holds an attempt, and until when."""

from __future__ import annotations

from ingestctl.db.migrations.steps import add_columns

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the lease columns to job_runs."""
    add_columns("job_runs", {"lease_owner": "TEXT", "lease_expires_at": "ts", "heartbeat_at": "ts"})
