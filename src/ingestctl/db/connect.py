"""Connections without SQLAlchemy: what a URL means, and how the two drivers connect.

Nothing relies on a session: no prepared statements, settings by SET LOCAL only, so that a pooler
in transaction mode (pgbouncer) may stand in between.
"""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ingestctl.domain.errors import ConfigurationError, SchemaOutdated

if TYPE_CHECKING:
    from collections.abc import Generator

APPLICATION = "ingestctl"
POSTGRESQL_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")
MAX_LOCK_WAIT_S = 5.0


def safe_url(url: str) -> str:
    """``url`` for people: no password, however badly it is formed."""
    shown = re.sub(r"(?i)([?&](?:password|sslpassword|passfile)=)[^&]*", r"\1***", url)
    return re.sub(
        r"://([^:/?#@]*)(?::.*)?@", lambda m: f"://{m[1]}{':***' if ':' in m[0][3:] else ''}@", shown
    )


def is_sqlite(url: str) -> bool:
    """Whether ``url`` names an SQLite file."""
    return url.startswith("sqlite:")


# --- PostgreSQL -------------------------------------------------------------------------------


def check_url(url: str) -> None:
    """Raise ConfigurationError, without the password in its text, unless ``url`` names a database."""
    if is_sqlite(url):
        sqlite_path(url)
    else:
        postgresql_parameters(url)


def postgresql_parameters(url: str) -> dict[str, Any]:
    """libpq's parameters in ``url``. Raises ConfigurationError, without the password in its text."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in POSTGRESQL_SCHEMES:
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} is not supported",
            hint="Use postgresql://user:password@host:5432/name or sqlite:////absolute/path.db.",
        )
    parameters = _libpq(rest)
    if parameters is not None:
        return parameters
    base, _, query = rest.partition("?")
    if _libpq(base) is not None:
        names = [name for name, value in parse_qsl(query, keep_blank_values=True) if not _known(name, value)]
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} has parameters that PostgreSQL does not know: "
            f"{', '.join(names) or query[:40]}",
            hint="Correct what follows the question mark (sslmode, connect_timeout and the like).",
        )
    raise ConfigurationError(
        f"database URL {safe_url(url)!r} is malformed",
        hint="Percent-encode special characters in the user name and password (/ is %2F, @ is %40).",
    )


def _known(name: str, value: str) -> bool:
    import psycopg
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo("", **{name: value})
    except (psycopg.Error, TypeError):
        return False
    return True


def _libpq(rest: str) -> dict[str, Any] | None:
    """What libpq reads in ``postgresql://{rest}``; None where it cannot (its words may quote a password)."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parameters = dict(conninfo_to_dict(f"postgresql://{rest}"))
    except (psycopg.Error, UnicodeError):
        return None
    # libpq looks at ports only when it connects; a password with a bare "/" ends up as one.
    ports = str(parameters.get("port") or "").split(",")
    return parameters if all(not p or (p.isdecimal() and 0 < int(p) < 65536) for p in ports) else None


def connect_postgresql(parameters: dict[str, Any], *, timeout_s: float) -> Any:
    """A psycopg connection, with libpq's ``parameters`` over our defaults. It begins no transactions of its
    own (autocommit): :func:`begin_postgresql` does."""
    asked = {**connect_defaults(timeout_s), **parameters}
    return bounded_connection(timeout_s * 2).connect(**asked, prepare_threshold=None, autocommit=True)


def connect_defaults(timeout_s: float) -> dict[str, str]:
    """What we ask of libpq where the URL says nothing."""
    return {
        "connect_timeout": str(max(2, round(timeout_s))),
        "application_name": APPLICATION,
        "client_encoding": "utf8",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": _millis(timeout_s),
    }


def begin_postgresql(timeout_s: float, mode: str = "") -> str:
    """The statements that begin a transaction with our limits, in one round trip.

    The last one ends a paused worker that holds row locks.
    """
    lock_ms = int(min(timeout_s, MAX_LOCK_WAIT_S) * 1000)
    return (
        f"BEGIN{mode}; SET LOCAL statement_timeout = {_millis(timeout_s)}; "
        f"SET LOCAL lock_timeout = {lock_ms}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {int(timeout_s * 3000)}"
    )


def _millis(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))


def bounded_connection(limit_s: float) -> Any:
    """A psycopg connection class that waits at most ``limit_s`` for an answer."""
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

    return BoundedConnection


# --- SQLite -----------------------------------------------------------------------------------


def sqlite_path(url: str) -> str:
    """The file that ``sqlite:///path`` names (four slashes: an absolute path)."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith(":memory:") or "?" in path:
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} is not supported",
            hint="Use sqlite:///relative.db or sqlite:////absolute/path.db, without parameters.",
        )
    return path


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the bug by which write-ahead logging can corrupt a database."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def connect_sqlite(path: str, *, timeout_s: float, create: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, with our journal; usable from any thread, one at a time.

    Raises SchemaOutdated where there is no such file, unless it may be made (``create``).
    """
    journal = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "delete"
    file = Path(path).absolute()
    if not create and file.parent.is_dir() and not file.exists():
        raise SchemaOutdated(
            f"there is no database file {path!r}",
            hint="Correct DATABASE_URL, or create the file with `ingestctl db upgrade`.",
        )
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode={'rwc' if create else 'rw'}",
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
