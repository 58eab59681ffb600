"""Videos by the object that storage_ref, the platform's canonical pointer, names."""

from __future__ import annotations

from ingestctl.db.migrations.steps import create_indexes, on_postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Index the key inside the JSON, whatever others have written there.

    By hash on PostgreSQL: a B-tree would make another service's row fail where the key is very long.
    """
    key = "CASE WHEN json_valid(storage_ref) THEN json_extract(storage_ref, '$.key') END"
    on = "videos USING hash ((storage_ref ->> 'key'))" if on_postgresql() else f"videos ({key})"
    create_indexes({"ix_ingest_videos_pointer": on})
