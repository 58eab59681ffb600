"""What a command shows, as data: tables, fields and lines, and the style they are shown in."""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ingestctl.domain.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence


class Format(StrEnum):
    """What ``--output`` takes. ``table`` on a terminal, TSV (RFC 3339 times, bytes) when piped."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes: "12.3 MB" for people, the number for programs."""

    bytes: int | None


@dataclass(frozen=True, slots=True)
class Seconds:
    """A length of time: "2 min 3 s" for people, the number for programs."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Id:
    """An id in a table: a prefix that names it for people, all of it for programs."""

    text: str


class Alert(str):
    """A line that tells why something failed: highlighted on a terminal, text like any other elsewhere."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """Named values, one a line."""

    pairs: Sequence[tuple[str, Any]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Plain lines. ``data`` lines go to stdout, remarks (the default) to stderr."""

    lines: Sequence[str]
    data: bool = False


Block = Table | Fields | Lines


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: chosen once, from flags and the terminal."""

    format: Format
    terminal: bool
    quiet: bool
    redact: Redactor = field(default_factory=Redactor)

    @classmethod
    def choose(cls, output: Format | None, quiet: bool, redact: Redactor | None = None) -> Style:
        """Tables are for terminals; what is piped gets TSV. Colour is rich's to decide (NO_COLOR, TERM)."""
        return cls(output or Format.TABLE, sys.stdout.isatty(), quiet, redact or Redactor())


def plain(value: Any) -> Any:
    """Turn a result into JSON types: RFC 3339 UTC times, enum values, bytes and seconds as numbers."""
    if isinstance(value, Size):
        return value.bytes
    if isinstance(value, Seconds):
        return value.seconds
    if isinstance(value, Id):
        return value.text
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date | PurePath) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)  # a row may hold 1e999, for which JSON has no word
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds, as every program reads it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
