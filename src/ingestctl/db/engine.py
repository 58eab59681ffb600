"""Connections: from a URL to an engine with our rules for transactions, and to the store itself.

Nothing relies on a session: no prepared statements, settings by SET LOCAL only, so that a pooler
in transaction mode (pgbouncer) may stand in between.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy import event

from ingestctl.db.types import lenient_loads
from ingestctl.db.url import is_sqlite, postgresql_parameters, safe_url, sqlite_path
from ingestctl.domain.errors import SchemaOutdated

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.engine import Connection, Engine

    from ingestctl.db.store import SqlJobStore

APPLICATION = "ingestctl"
MAX_LOCK_WAIT_S = 5.0
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


# --- PostgreSQL -------------------------------------------------------------------------------


def _postgresql_engine(parameters: dict[str, Any], timeout_s: float, *, pooled: bool) -> Engine:
    millis = str(max(1, int(timeout_s * 1000)))
    defaults = {
        "connect_timeout": str(max(2, round(timeout_s))),
        "application_name": APPLICATION,
        "client_encoding": "utf8",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": millis,
    }
    pool: dict[str, Any] = {"poolclass": sa.NullPool}
    if pooled:
        pool = {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": timeout_s}
    engine = sa.create_engine(
        "postgresql+psycopg://",
        connect_args={**defaults, **parameters, "prepare_threshold": None, "autocommit": pooled},
        json_deserializer=lenient_loads,
        use_native_hstore=False,
        **pool,
    )
    event.listen(engine, "do_connect", _bounded_connect(timeout_s * 2))
    if pooled:
        lock_ms = int(min(timeout_s, MAX_LOCK_WAIT_S) * 1000)
        # In autocommit mode the driver sends no BEGIN of its own: ours carries the settings along in
        # the same round trip. The last one ends a paused worker that holds row locks.
        begin = (
            f"BEGIN; SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {lock_ms}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {int(timeout_s * 3000)}"
        )
        event.listen(engine, "begin", lambda c: _simple(c, begin))
    return engine


def _simple(connection: Connection, statements: str) -> None:
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def _bounded_connect(limit_s: float) -> Any:
    import psycopg

    class BoundedConnection(psycopg.Connection[Any]):
        """Gives up on a server that keeps the connection but answers no more."""

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            return super().wait(self._bounded(gen), *args, **kwargs)

        def _bounded(self, gen: Any) -> Generator[Any, Any, Any]:
            until = time.monotonic() + limit_s
            try:
                state = next(gen)
                while True:
                    ready = yield state
                    if not ready and time.monotonic() > until:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"no answer within {limit_s:.0f} s")
                    # psycopg sends "not ready" for its own periodic look; the state is then unchanged.
                    state = gen.send(ready)
            except StopIteration as done:
                return done.value

    def connect(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> Any:
        return BoundedConnection.connect(**parameters)

    return connect


# --- SQLite -----------------------------------------------------------------------------------


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the bug by which write-ahead logging can corrupt a database."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def _sqlite_engine(path: str, timeout_s: float, *, pooled: bool, create: bool) -> Engine:
    journal = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "delete"

    file = Path(path).absolute()
    address = f"{file.as_uri()}?mode={'rwc' if create else 'rw'}"

    def connect() -> sqlite3.Connection:
        if not create and file.parent.is_dir() and not file.exists():
            raise SchemaOutdated(
                f"there is no database file {path!r}",
                hint="Correct DATABASE_URL, or create the file with `ingestctl db upgrade`.",
            )
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=200,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != journal:
                connection.execute(f"PRAGMA journal_mode = {journal}")
        except BaseException:
            connection.close()
            raise
        return connection

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
