"""The few kinds of step a migration is made of, each a no-op where its work is done already.

Rewriting history is not done: SQL text, not the program's tables, so that a migration keeps
meaning what it meant when it was written.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

LOCK_TIMEOUT_MS = 1000
"""How long a change of a table may queue for its lock: readers and writers of it wait behind us."""

_C = ' COLLATE "C"'
"""Byte order, which SQLite has by default; without it a prefix is no range of the index."""

_TYPES = {
    "postgresql": {"ts": "TIMESTAMPTZ", "json": "JSONB", "now": "now()", "empty": "'{}'::jsonb"},
    "sqlite": {
        "ts": "TEXT",
        "json": "JSON",
        "now": "(strftime('%Y-%m-%d %H:%M:%f', 'now'))",
        "empty": "'{}'",
    },
}


def on_postgresql() -> bool:
    """Whether this migration runs on PostgreSQL."""
    return op.get_bind().dialect.name == "postgresql"


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement, execution_options={"no_parameters": True})


def create_table(name: str, columns: str) -> None:
    """Create a table if there is none; ``{ts}``, ``{json}``, ``{now}`` and ``{empty}`` vary by database."""
    if not sa.inspect(op.get_bind()).has_table(name):
        types = _TYPES[op.get_bind().dialect.name]
        for word, sql in types.items():
            columns = columns.replace("{" + word + "}", sql)
        _run(f"CREATE TABLE {name} ({columns})")


def add_columns(table: str, columns: dict[str, str]) -> None:
    """Add the nullable columns that are missing, under a short lock or not at all (then: SQLSTATE 55P03)."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    types = _TYPES[op.get_bind().dialect.name]
    missing = [f"ADD COLUMN {c} {types.get(t, t)}" for c, t in columns.items() if c not in there]
    if on_postgresql() and missing:
        _run(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        _run(f"ALTER TABLE {table} {', '.join(missing)}")
    else:
        for change in missing:
            _run(f"ALTER TABLE {table} {change}")


def create_indexes(indexes: dict[str, str]) -> None:
    """Create each index if there is none, without blocking writers; rebuild one that was left invalid."""
    if not on_postgresql():
        for name, on in indexes.items():
            _run(f"CREATE INDEX IF NOT EXISTS {name} ON {on.replace(_C, '')}")
        return
    with op.get_context().autocommit_block():
        for name, on in indexes.items():
            valid = op.get_bind().scalar(
                sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
                {"name": name},
            )
            if valid is False:  # a CREATE INDEX CONCURRENTLY was killed half-way
                _run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            if not valid:
                _run(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {on}")
