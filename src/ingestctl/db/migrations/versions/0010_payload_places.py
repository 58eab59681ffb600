"""Jobs by the objects that their payloads name: what another video calls its own is never cleaned away."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_indexes, on_postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Index the two keys inside the JSON, by hash on PostgreSQL as for the pointers of videos."""
    indexes = {}
    for kind in ("video", "audio"):
        inside = f"json_extract(payload, '$.artifacts.{kind}.object_key')"
        on = f"jobs (CASE WHEN json_valid(payload) THEN {inside} END)"
        if on_postgresql():
            on = f"jobs USING hash ((payload #>> '{{artifacts,{kind},object_key}}'))"
        indexes[f"ix_ingest_jobs_{kind}_key"] = on
    create_indexes(indexes)
