"""Tables for a terminal, with rich. Imported only when stdout is one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import humanize
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ingestctl.cli.text import safe_text
from ingestctl.cli.view import Alert, Block, Fields, Id, Lines, Seconds, Size, Style, Table, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLORS = {
    "succeeded": "green", "intact": "green", "ok": "green", "pass": "green", "unchanged": "green",
    "failed": "red", "corrupt": "red", "missing": "red", "fail": "red", "foreign": "red",
    "running": "cyan", "queued": "yellow", "partial": "yellow", "warn": "yellow", "unknown": "yellow",
    "canceled": "dim", "skip": "dim",
}  # fmt: skip


_SHORT = 20
_FOLDED = frozenset({"object", "detail", "phases", "evidence", "reason"})
"""Columns whose long text goes on in the next line instead of being cut."""


def console(*, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR, TERM=dumb and COLUMNS, and takes no text for markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def show_blocks(blocks: Iterable[Block], style: Style) -> None:
    """Print blocks, one blank line between them."""
    out, remarks = console(), console(stderr=True)
    for block in blocks:
        if isinstance(block, Lines):
            for line in block.lines:
                tone = "bold red" if isinstance(line, Alert) else ""
                (out if block.data else remarks).print(
                    Text(safe_text(style.redact(line)), style=tone), soft_wrap=True
                )
            continue
        if block.title:
            out.print(Text(safe_text(style.redact(block.title)), style="bold"))
        out.print(_table(block, style) if isinstance(block, Table) else _fields(block, style))


def _table(block: Table, style: Style) -> RichTable:
    table = RichTable(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", show_edge=False
    )
    filled = [i for i in range(len(block.columns)) if any(row[i] not in (None, "") for row in block.rows)]
    for index in filled or range(len(block.columns)):
        name = block.columns[index]
        number = any(isinstance(row[index], Size | Seconds | int) for row in block.rows)
        # Only free text may shrink or break; what is typed again or compared stays whole.
        free = any(isinstance(row[index], str) and len(row[index]) > _SHORT for row in block.rows)
        table.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=not free,
        )
    for row in block.rows:
        table.add_row(*(_cell(block.columns[i], row[i], style) for i in filled))
    return table


def _fields(block: Fields, style: Style) -> RichTable:
    table = RichTable(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in block.pairs:
        if value is not None and value != "":
            table.add_row(Text(key), _text(value, style))
    return table


def _cell(name: str, value: Any, style: Style) -> Text:
    text = _text(value, style)
    text.overflow = "fold" if name in _FOLDED else "ellipsis"
    text.no_wrap = name not in _FOLDED
    return text


def _text(value: Any, style: Style) -> Text:
    text = safe_text(style.redact(_words(value)))
    return Text(text, style=_COLORS.get(text, ""))


def _words(value: Any) -> str:
    if isinstance(value, Size):
        return "" if value.bytes is None else humanize.naturalsize(value.bytes, format="%.1f")
    if isinstance(value, Seconds):
        return "" if value.seconds is None else seconds_words(value.seconds)
    if isinstance(value, Id):
        return value.text if len(value.text) <= _ID_SHOWN + 3 else value.text[:_ID_SHOWN]
    if isinstance(value, datetime):
        return age_words((datetime.now(UTC) - value).total_seconds())
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    value = plain(value)
    return value if isinstance(value, str) else str(value)


_ID_SHOWN = 13
"""Characters of a long id in a table; a unique prefix names a job everywhere."""


def age_words(seconds: float) -> str:
    """How long ago, in its largest unit: ``12 s ago``, ``3 min ago``, ``5 h ago``, ``9 d ago``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def seconds_words(seconds: float) -> str:
    """``0.42 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``, ``5 d 03 h``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"
