"""Bringing a database's schema up to date, and saying how far it is. Additive only; safe to repeat."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import exc

from ingestctl.db.connect import is_sqlite, safe_url
from ingestctl.db.engine import create_engine
from ingestctl.db.failures import is_transient, sqlstate, translate
from ingestctl.db.one_job import HEAD, VERSION_TABLE
from ingestctl.db.tables import INDEXES, metadata, version
from ingestctl.domain.errors import DatabaseUnavailable, SchemaOutdated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy.engine import Connection, Engine

UPGRADE_LOCK = 0x696E67657374
"""The key of the advisory lock ("ingest") that keeps two upgrades apart."""
PATIENCE_S = 120.0
LOCK_NOT_AVAILABLE = "55P03"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: revisions that were ``applied``, and ``mended`` names of tables,
    ``table.column``s and indexes that had been dropped behind our back. Empty: nothing to do."""

    from_revision: str | None
    to_revision: str
    applied: tuple[str, ...]
    mended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How far a database is. ``missing`` names tables, ``table.column``s and indexes that are not there."""

    revision: str | None
    head: str
    missing: tuple[str, ...]
    up_to_date: bool


def upgrade(url: str, *, timeout_s: float = 10.0, patience_s: float = PATIENCE_S) -> Upgraded:
    """Bring the database at ``url`` to this program's revision.

    Two at once take turns. A change of a busy table is tried again for ``patience_s`` seconds, each
    time queueing for its lock only briefly. Raises ConfigurationError, DatabaseUnavailable,
    DatabaseRefused; SchemaOutdated if the database is newer than this program.
    """
    engine = create_engine(url, timeout_s=timeout_s, pooled=False, create=True)
    until = time.monotonic() + patience_s
    try:
        with _upgrade_lock(engine, until, safe_url(url)):
            return _until_done(engine, until)
    except exc.SQLAlchemyError as error:
        raise translate(error, safe_url(url)) from error
    finally:
        engine.dispose()


def status(url: str, *, timeout_s: float = 10.0) -> SchemaStatus:
    """Compare the database at ``url`` with what this program needs. Changes nothing."""
    engine = create_engine(url, timeout_s=timeout_s, pooled=False)
    try:
        if is_sqlite(url) and not Path(str(url.removeprefix("sqlite:///"))).exists():
            return SchemaStatus(None, HEAD, tuple(metadata.tables), up_to_date=False)
        with engine.connect() as plain:
            connection = plain.execution_options(read_only=True)
            revision, missing = _revision(connection), tuple(_missing(connection))
    except exc.SQLAlchemyError as error:
        raise translate(error, safe_url(url)) from error
    finally:
        engine.dispose()
    return SchemaStatus(revision, HEAD, missing, up_to_date=revision == HEAD and not missing)


def alembic_config() -> Config:
    """Alembic's view of our migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _until_done(engine: Engine, until: float) -> Upgraded:
    found: tuple[str | None, tuple[str, ...]] | None = None  # by the first try: later ones find less to do
    while True:
        try:
            with engine.connect() as connection:
                start = _revision(connection)
                missing = tuple(_missing(connection)) if start == HEAD else ()
                found = found or (start, missing)
                if missing:  # steps look before they act: take them all
                    connection.execute(version.delete())
                    start = None
                if connection.dialect.name == "postgresql":
                    connection.commit()  # each migration has a transaction of its own
                _apply(connection, start)
                connection.commit()
            before, mended = found
            return Upgraded(before, HEAD, _between(before), mended)
        except exc.DBAPIError as error:
            again = is_transient(error) or sqlstate(error) == LOCK_NOT_AVAILABLE
            if not again or time.monotonic() > until:
                raise
            time.sleep(0.5)  # let those who queued behind our request for the lock go ahead


def _apply(connection: Connection, revision: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaOutdated(
            f"the database is at revision {revision}, which this program does not know",
            hint="This program is older than the database: install a newer ingestctl.",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _between(before: str | None) -> tuple[str, ...]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return tuple(sorted(s.revision for s in scripts if before is None or s.revision > before))


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.select(version.c.version_num))


def _missing(connection: Connection) -> Iterator[str]:
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    for name, table in metadata.tables.items():
        if name not in there:
            yield name
            continue
        columns = {column["name"] for column in inspector.get_columns(name)}
        yield from (f"{name}.{column.name}" for column in table.columns if column.name not in columns)
    yield from _missing_indexes(connection)


def _missing_indexes(connection: Connection) -> list[str]:
    if connection.dialect.name == "postgresql":
        question = (
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indisvalid AND pg_table_is_visible(c.oid)"
        )
    else:
        question = "SELECT name FROM sqlite_master WHERE type = 'index'"
    valid = set(connection.execute(sa.text(question)).scalars())
    return [name for name in INDEXES if name not in valid]


@contextmanager
def _upgrade_lock(engine: Engine, until: float, where: str) -> Iterator[None]:
    """Hold the right to upgrade. On SQLite that is the upgrade's own transaction.

    On PostgreSQL a transaction-level advisory lock on a connection of its own, so that a pooler may
    stand in between and a killed upgrade leaves no lock. Asked for again and again rather than waited
    for: a waiting statement holds a snapshot, for which the other's CREATE INDEX CONCURRENTLY would wait.
    """
    if engine.dialect.name == "sqlite":
        yield
        return
    with engine.connect() as connection:
        while True:
            if connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(UPGRADE_LOCK))):
                break
            connection.rollback()
            if time.monotonic() > until:
                raise DatabaseUnavailable(f"another upgrade of {where} is still under way")
            time.sleep(0.2)
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield
        connection.rollback()
