"""Results on stdout: tables for people, TSV for pipes, JSON for programs. Nothing else prints there."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TextIO

from ingestctl.cli.text import safe_text
from ingestctl.cli.view import Block, Fields, Format, Style, Table, plain
from ingestctl.domain.errors import Exit, IngestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = "ingestctl/v1"


class ResultLost(IngestError):
    """The result could not be written: stdout is closed, or on a full disk."""

    code = "result_lost"
    exit_code = Exit.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Result:
    """What a command came to: data for programs, blocks for people, and the exit code."""

    data: Any
    blocks: Sequence[Block] = ()
    exit: Exit = Exit.DONE
    errors: Sequence[IngestError] = ()
    warnings: Sequence[str] = ()
    items: Sequence[Any] | None = None
    """What ``ndjson`` prints, one a line; ``data`` itself if None."""
    quiet_ok: bool = True
    """Whether ``--quiet`` may leave this out when the exit code is 0."""


def envelope(command: str, result: Result) -> dict[str, Any]:
    """The one JSON shape every command answers with."""
    if result.exit is Exit.DONE or result.exit is Exit.CHANGES_PENDING:
        status = "ok"
    else:
        status = "partial" if result.exit is Exit.PARTIAL else "error"
    return {
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "exit_code": int(result.exit),
        "data": plain(result.data),
        "errors": [error_json(e) for e in result.errors],
        "warnings": list(result.warnings),
    }


def error_json(error: IngestError) -> dict[str, Any]:
    """One error of the envelope."""
    body = {"code": error.code, "message": error.message, "hint": error.advice, "job_id": error.job_id}
    if body["job_id"] is None:
        del body["job_id"]
    return body


def show(command: str, result: Result, style: Style) -> None:
    """Print a result in the chosen style: data to stdout, errors and remarks to stderr."""
    if style.format is Format.JSON:
        _json(style.redact.data(envelope(command, result)))
    elif style.format is Format.NDJSON:
        whole = [] if result.data is None else [result.data]
        for item in result.items if result.items is not None else whole:
            _json(style.redact.data(plain(item)))
        if result.errors:
            _json(style.redact.data(envelope(command, replace(result, data=None))))
    else:
        if not (style.quiet and result.quiet_ok and result.exit is Exit.DONE):
            _blocks(result.blocks, style)
        for warning in result.warnings:
            say(f"warning: {warning}", style)
        for error in result.errors:
            whose = f"job {error.job_id}: " if error.job_id and error.job_id not in error.message else ""
            say(f"error: {whose}{error.message}", style)
            if error.hint:
                say(f"  → {error.advice}", style)


def say(text: str, style: Style) -> None:
    """One line for people, on stderr."""
    _write(sys.stderr, safe_text(style.redact(text)) + "\n")


def _json(value: Any) -> None:
    _write(sys.stdout, json.dumps(value, ensure_ascii=False, allow_nan=False).translate(_UNSAFE_JSON) + "\n")


# JSON strings may hold these raw; a terminal or a log viewer should not get them raw.
_INVISIBLE = (
    *(range(0x7F, 0xA0), range(0x200B, 0x2010), range(0x2028, 0x202F), range(0x2060, 0x2070)),
    *(range(0x61C, 0x61D), range(0xFEFF, 0xFF00), range(0xD800, 0xE000)),
)
_UNSAFE_JSON = {code: f"\\u{code:04x}" for codes in _INVISIBLE for code in codes}


def _blocks(blocks: Iterable[Block], style: Style) -> None:
    if style.terminal:
        from ingestctl.cli.pretty import show_blocks

        show_blocks(blocks, style)
        return
    for block in blocks:
        if isinstance(block, Table):
            rows = [tuple(c.lower().replace(" ", "_") for c in block.columns), *block.rows]
            _tsv(rows, style)
        elif isinstance(block, Fields):
            _tsv([(k.lower().replace(" ", "_"), v) for k, v in block.pairs], style)
        else:
            stream = sys.stdout if block.data else sys.stderr
            for line in block.lines:
                _write(stream, safe_text(style.redact(line)) + "\n")


def _tsv(rows: Iterable[tuple[Any, ...]], style: Style) -> None:
    for row in rows:
        _write(sys.stdout, "\t".join(_cell(v, style) for v in row) + "\n")


def _cell(value: Any, style: Style) -> str:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe_text(style.redact(text))


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except BrokenPipeError:
        # The reader has seen enough (`| head`): the command's own exit code stands.
        _drop(stream)
    except OSError as error:
        _drop(stream)
        if stream is sys.stdout:
            raise ResultLost(f"cannot write the result: {error.strerror}") from error


def _drop(stream: TextIO) -> None:
    """Let what is still buffered, and all that follows, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def lost(error: Exception) -> int:
    """Say on stderr that the result could not be written; the exit code of that."""
    message = error.message if isinstance(error, ResultLost) else f"cannot write the result: {error}"
    _drop(sys.stdout)
    _write(sys.stderr, f"error: {message}\n")
    return int(Exit.UNAVAILABLE)


def open_streams() -> None:
    """Closed standard streams are None in Python: give them something that fails, or goes nowhere."""
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:  # a descriptor that cannot be written: a result is not lost without a word
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def describe(pairs: Mapping[str, Any]) -> str:
    """``key=value`` words for one log line, empty values left out."""
    return " ".join(f"{k}={_word(v)}" for k, v in pairs.items() if v not in (None, "", [], {}))


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) and " " in text else text
