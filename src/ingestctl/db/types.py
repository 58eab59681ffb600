"""Column types and the database's clock, alike on PostgreSQL and SQLite.

This is the edge where values enter and leave: what PostgreSQL cannot hold (NUL, lone surrogates,
numbers that are not finite) is replaced here and nowhere else, and what another writer left in a
JSON column never crashes a reader.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator, UserDefinedType

from ingestctl.db.records import MAX_JSON_DEPTH, clean_text, lenient_loads, utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect


def clean_json(value: object, depth: int = 0) -> Any:
    """A copy of ``value`` that every JSON column accepts; what JSON has no form for becomes text."""
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= MAX_JSON_DEPTH:
        return "\u2026"
    if isinstance(value, dict):
        return {clean_text(str(k)): clean_json(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_json(v, depth + 1) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return clean_text(str(value))


class Text(TypeDecorator[str]):
    """TEXT that refuses nothing."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Clean what goes in."""
        return None if value is None else clean_text(value)


class _SqliteJson(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:  # noqa: ARG002
        return lambda value: None if value is None else json.dumps(value, ensure_ascii=False)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        return lambda value: lenient_loads(value) if isinstance(value, str | bytes) else value


class Json(TypeDecorator[Any]):
    """JSONB on PostgreSQL, JSON text on SQLite. None is SQL NULL."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose by dialect."""
        if dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql

            return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))
        return dialect.type_descriptor(_SqliteJson())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Clean what goes in."""
        return None if value is None else clean_json(value)


class Timestamp(TypeDecorator[datetime]):
    """TIMESTAMPTZ on PostgreSQL; on SQLite sortable UTC text with milliseconds. Aware datetimes in Python."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose by dialect."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive times: whose clock they are of is anybody's guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        if dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware, in UTC."""
        return utc(value)


class _Clock(FunctionElement[datetime]):
    """The database's clock at the start of the statement, plus an optional number of seconds.

    Per statement, not per transaction: a transaction that waited for a lock must not act on a time
    from before the wait. And stable within a statement, so indexes on times can serve it.
    """

    type = Timestamp()
    inherit_cache = True
    name = "clock"


@compiles(_Clock, "postgresql")
def _clock_postgresql(element: _Clock, compiler: Any, **kw: Any) -> str:
    if not len(element.clauses):
        return "statement_timestamp()"
    return f"statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)})"


@compiles(_Clock, "sqlite")
def _clock_sqlite(element: _Clock, compiler: Any, **kw: Any) -> str:
    if not len(element.clauses):
        return "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {seconds}))"


def now() -> _Clock:
    """The database's clock as an SQL expression."""
    return _Clock()


def now_plus(seconds: float | sa.ColumnElement[float]) -> _Clock:
    """``seconds`` from now (negative: ago), by the database's clock; a number, or a statement's parameter."""
    if isinstance(seconds, sa.ColumnElement):
        return _Clock(seconds)
    return _Clock(sa.bindparam(None, float(seconds), sa.Float(), unique=True))
