"""What auditing asks: artifacts in the order of listings and of their checks, videos by object, twins."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_indexes

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the indexes, one by one, without blocking writers."""
    create_indexes(
        {
            "ix_ingest_artifacts_place": 'ingest_artifacts (bucket COLLATE "C", key COLLATE "C")',
            "ix_ingest_artifacts_due": "ingest_artifacts"
            ' (verified_at, bucket COLLATE "C", key COLLATE "C") WHERE state = \'stored\'',
            "ix_ingest_artifacts_sha256": "ingest_artifacts (sha256)",
            "ix_ingest_videos_object": "videos (storage_key, storage_bucket)",
        }
    )
