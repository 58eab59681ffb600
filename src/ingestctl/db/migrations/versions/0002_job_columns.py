"""What the API's job contract exposes and the table lacked."""

from __future__ import annotations

from ingestctl.db.migrations.steps import add_columns

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add jobs.ingestion_phase and jobs.error_message."""
    add_columns("jobs", {"ingestion_phase": "TEXT", "error_message": "TEXT"})
