"""From a URL to an engine with our rules for transactions, and to the store itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy import event

from ingestctl.db.connect import (
    begin_postgresql,
    bounded_connection,
    connect_defaults,
    connect_sqlite,
    is_sqlite,
    postgresql_parameters,
    safe_url,
    sqlite_path,
)
from ingestctl.db.records import lenient_loads

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy.engine import Connection, Engine

    from ingestctl.db.store import SqlJobStore

POOL_SIZE = 5
POOL_OVERFLOW = 15


def open_store(url: str, *, timeout_s: float = 10.0, create: bool = False) -> SqlJobStore:
    """The store at ``url``. Connects on first use, not here.

    ``postgresql://``, ``postgres://``, ``postgresql+psycopg://`` (libpq parameters allowed) or
    ``sqlite:///path``. ``timeout_s`` bounds connecting, each statement, and waiting for a lock.
    ``create`` lets SQLite make a file that is not there; without it the first use raises SchemaOutdated.
    Raises ConfigurationError naming the value, its password masked.
    """
    from ingestctl.db.store import SqlJobStore
    from ingestctl.db.transactions import Database

    engine = create_engine(url, timeout_s=timeout_s, create=create)
    return SqlJobStore(Database(engine, safe_url(url), timeout_s=timeout_s))


def create_engine(url: str, *, timeout_s: float, pooled: bool = True, create: bool = False) -> Engine:
    """An engine whose every transaction follows our rules; ``pooled=False`` keeps no connection."""
    if is_sqlite(url):
        return _sqlite_engine(sqlite_path(url), timeout_s, pooled=pooled, create=create)
    return _postgresql_engine(postgresql_parameters(url), timeout_s, pooled=pooled)


def _postgresql_engine(parameters: dict[str, Any], timeout_s: float, *, pooled: bool) -> Engine:
    pool: dict[str, Any] = {"poolclass": sa.NullPool}
    if pooled:
        pool = {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": timeout_s}
    engine = sa.create_engine(
        "postgresql+psycopg://",
        connect_args={
            **connect_defaults(timeout_s),
            **parameters,
            "prepare_threshold": None,
            "autocommit": pooled,
        },
        json_deserializer=lenient_loads,
        use_native_hstore=False,
        **pool,
    )
    bounded = bounded_connection(timeout_s * 2)
    event.listen(engine, "do_connect", lambda _dialect, _record, _args, named: bounded.connect(**named))
    if pooled:
        # In autocommit mode the driver sends no BEGIN of its own.
        begin = begin_postgresql(timeout_s)
        event.listen(engine, "begin", lambda c: _simple(c, begin))
    return engine


def _simple(connection: Connection, statements: str) -> None:
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def _sqlite_engine(path: str, timeout_s: float, *, pooled: bool, create: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        return connect_sqlite(path, timeout_s=timeout_s, create=create)

    pool: dict[str, Any] = {"poolclass": sa.NullPool}
    if pooled:
        pool = {
            "poolclass": sa.QueuePool,
            "pool_size": POOL_SIZE,
            "max_overflow": POOL_OVERFLOW,
            "pool_timeout": timeout_s,
        }
    engine = sa.create_engine("sqlite://", creator=cast(Any, connect), **pool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not be retried by SQLite's own busy handler.
        read_only = connection.get_execution_options().get("read_only", False)
        _simple(connection, "BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
