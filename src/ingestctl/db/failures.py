"""The one place where the databases' errors become ours."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from ingestctl.domain.errors import (
    DatabaseRefused,
    DatabaseRejected,
    DatabaseUnavailable,
    IngestError,
    SchemaOutdated,
)

_RETRY_STATES = frozenset({"40001", "40P01"})
_UNAVAILABLE_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
_VALUE_CLASSES = frozenset({"22", "23", "54"})
"""Data exceptions, broken constraints, and limits such as that of an index row."""
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|no such (user|database)"
    r"|(role|database) \".*\" (does not exist|is not permitted|is not currently accepting)"
    r"|permission denied|not permitted to log in|certificate|server does not support SSL",
    re.IGNORECASE,
)
"""What a server says that answered and refused at connect time, when libpq passes on no SQLSTATE."""
_NO_SUCH = re.compile(r"no such (table|column)|has no column named", re.IGNORECASE)


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a PostgreSQL error, or an empty string."""
    return str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")


def _sqlite_code(error: BaseException) -> int:
    orig = getattr(error, "orig", error)
    return int(getattr(orig, "sqlite_errorcode", 0) or 0) & 0xFF if isinstance(orig, sqlite3.Error) else 0


def is_disconnect(error: BaseException) -> bool:
    """Whether an established connection broke (so that whatever was not committed is rolled back)."""
    return bool(getattr(error, "connection_invalidated", False))


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may simply be run again, now."""
    return (
        is_disconnect(error)
        or sqlstate(error) in _RETRY_STATES
        or _sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    )


def translate(error: Exception, where: str) -> IngestError:
    """Our error for a driver's ``error`` (or SQLAlchemy's around it), met while talking to the database at
    ``where`` (a URL without password)."""
    words = _words(error)
    code = _sqlite_code(error)
    if code:
        return _of_sqlite(code, words, where)
    state = sqlstate(error)
    # The driver itself refused a value; its own class and SQLAlchemy's have one name.
    if not state and any(kind.__name__ == "DataError" for kind in type(error).__mro__):
        return DatabaseRejected(f"the database at {where} cannot hold a value: {words}", evidence=words)
    if not state:
        return _of_connecting(words, where)
    return _of_sqlstate(state, words, where)


def _words(error: Exception) -> str:
    orig: Any = getattr(error, "orig", error)
    primary = getattr(getattr(orig, "diag", None), "message_primary", None)
    text = str(primary or orig or error).strip()
    return " ".join(text.splitlines()[:3])[:500]


def _of_connecting(words: str, where: str) -> IngestError:
    if _REFUSED.search(words):
        return DatabaseRefused(f"the database at {where} refused the connection: {words}", evidence=words)
    return DatabaseUnavailable(f"the database at {where} cannot be reached: {words}", evidence=words)


def _of_sqlstate(state: str, words: str, where: str) -> IngestError:
    evidence = f"{state} {words}"
    if state in ("42P01", "42703", "3F000"):
        return SchemaOutdated(f"the database at {where} lacks what this program needs: {words}")
    if state in ("42501", "3D000") or state.startswith("28"):
        return DatabaseRefused(f"the database at {where} refused: {words}", evidence=evidence)
    if state == "53100":
        return _full(words, where, evidence)
    if state == "57014":
        return DatabaseUnavailable(f"the database at {where} took too long: {words}", evidence=evidence)
    if state[:2] in _UNAVAILABLE_CLASSES:
        return DatabaseUnavailable(
            f"the database at {where} cannot serve now: {words} (SQLSTATE {state})", evidence=evidence
        )
    if state[:2] in _VALUE_CLASSES:
        return DatabaseRejected(
            f"the database at {where} cannot hold a value: {words} (SQLSTATE {state})", evidence=evidence
        )
    return IngestError(
        f"the database at {where} rejected a statement: {words} (SQLSTATE {state})",
        evidence=evidence,
        cause="database_error",
    )


def _of_sqlite(code: int, words: str, where: str) -> IngestError:
    if code == sqlite3.SQLITE_FULL:
        return _full(words, where, words)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseUnavailable(
            f"the database {where} is locked by another process: {words}",
            hint="Wait for the other process, or find it with `fuser`.",
            evidence=words,
        )
    if code == sqlite3.SQLITE_ERROR and _NO_SUCH.search(words):
        return SchemaOutdated(f"the database {where} lacks what this program needs: {words}")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOTADB):
        return DatabaseRefused(
            f"the database {where} cannot be opened for writing: {words}",
            hint="Check that the folder exists, and that the file is a database and writable.",
            evidence=words,
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT):
        return DatabaseUnavailable(f"the database {where} failed to answer: {words}", evidence=words)
    if code in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH):
        return DatabaseRejected(f"the database {where} cannot hold a value: {words}", evidence=words)
    return IngestError(
        f"the database {where} rejected a statement: {words}", evidence=words, cause="database_error"
    )


def _full(words: str, where: str, evidence: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"the disk of the database at {where} is full: {words}",
        hint="Free space on the database's disk.",
        evidence=evidence,
        cause="disk_full",
        retryable="after-fix",
    )
