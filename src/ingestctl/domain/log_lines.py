"""What a log puts around a message: times, levels, names, JSON. The words in the middle are what counts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STAMP = (
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
    r"(?: ?(?:Z|(?!INFO|WARN)[A-Z]{3,4}\b|[+-]\d\d:?\d\d))?\]?",
    r"[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d [\w.-]{1,60} [\w./-]{1,40}(?:\[\d+\])?:",  # syslog
    r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,6} {1,8}\d+ [\w./-]{1,60}:\d+\]",  # klog
    r"\d\d:\d\d:\d\d(?:[.,]\d{1,6})?",
)
_LEVEL = r"(?:ERROR|ERR|WARN|WARNING|CRITICAL|FATAL|INFO|DEBUG|NOTICE)"
_PREFIX = re.compile(
    rf"\s*(?:{'|'.join(_STAMP)}"
    rf"|\[(?i:{_LEVEL})\]|{_LEVEL}(?=[ |-])"  # "ERROR: " may be the tool's own
    rf"|{_LEVEL}:[a-z_][\w.]{{1,60}}:"  # logging.basicConfig
    r"|[a-z_]{2,20}=[^\s\"']{1,80}(?= )"
    r"|[a-z_]{2,20}=b?[\"']|b?[\"'](?=\w)|\[\d{1,7}\]|[-|>]"
    rf"|[A-Za-z_][\w.]{{1,60}}(?= - {_LEVEL} )|[\w.<>]{{1,60}}:[\w<>]{{1,60}}:\d+(?= [-|] )"  # between dashes
    rf"|: {_LEVEL}/[\w-]{{1,40}}\]|std(?:err|out) [FP](?= )"  # Celery, Kubernetes
    r"|[a-z][\w-]{1,60} {0,12}\|(?= )"  # a container's name
    r"|(?<=\S )[a-z_][a-z0-9_.]{1,60}(?:\[\d+\])?:(?= ))"  # a logger's name after its level
)
_MESSAGE_KEYS = frozenset(["event", "msg", "message", "error", "err", "detail", "reason"])
_KIND_KEYS = ("exc_type", "exc_class", "exception_class", "error_class", "error_type")
_NO_MESSAGE = frozenset(
    ["ts", "time", "timestamp", "at", "level", "logger", "name", "file", "url", "path", "cmd", *_KIND_KEYS]
)
FRAME = re.compile(r"( *)File \"[^\"]{1,400}\", line \d")
_ESCAPE = re.compile(r"\\t|\\(['\"\\])")
_MAX_JSON, _MAX_PREFIX, _LEAST_BARRED = 20_000, 120, 3
_ONLY_LEVEL = re.compile(rf"\s*(?i:{_LEVEL})\s*")
_MAX_TAILS = 5
_MAX_DEPTH = 4
CODE, AROUND, ANY = -9, -3, 9


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank. ``outer`` is the log's own line that holds it (mostly the same).

    ``most`` is the greatest weight its words may have: source code that a traceback shows (CODE) is
    not read at all, a line that only holds others (AROUND) counts where nothing else speaks.
    """

    text: str
    outer: str
    most: int = ANY


def lines(text: str) -> Iterator[Line]:
    """The lines of a text, and after a line that holds others (JSON, quoted output) those."""
    for outer, is_code in _with_code(re.split(r"[\r\n]+", text)):
        held = inside(outer.strip())
        yield Line(outer, outer, CODE if is_code else AROUND if held else ANY)
        yield from (Line(part, outer, CODE if is_code else ANY) for part, is_code in _with_code(held))


def _with_code(rows: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each line that is not blank, and whether it is source code below a frame of a Python traceback."""
    frame = -1
    for row in rows:
        if not row.strip():
            continue
        bare = row if row[0] == " " else row[_prefix_end(row) :].removeprefix(" ")
        found = FRAME.match(bare)
        indent = len(bare) - len(bare.lstrip(" "))
        frame = len(found[1]) if found else frame if indent > frame else -1
        yield row, found is None and frame >= 0


def readings(line: str) -> tuple[str, ...]:
    """The line as it stands, and without what a log put before it, where that is more than nothing."""
    plain = line.replace('\\"', '"')
    start = _prefix_end(plain)
    return tuple(dict.fromkeys(text for text in (line, plain, plain[start:].strip()) if text))


def _prefix_end(line: str) -> int:
    """Where what a log put before a line ends; 0 where there is none."""
    end = 0
    while (found := _PREFIX.match(line, end)) and found.end() > end:
        end = found.end()
    return end


def tails(line: str) -> tuple[str, ...]:
    """What follows each colon: the reasons behind "job 7 failed: ..." and the like."""
    parts = line.split(": ")
    behind = (": ".join(parts[number:]) for number in range(1, min(len(parts), _MAX_TAILS)))
    return tuple(readings(tail)[-1] for tail in behind if tail.strip())


def inside(line: str) -> tuple[str, ...]:
    """The lines that one line holds, in JSON, in a quoted output or joined by bars; none if it holds none."""
    return _in_json(line) or _in_quotes(line) or _in_bars(line)


def _in_json(line: str) -> tuple[str, ...]:
    start = line.find("{")
    if start < 0 or start > _MAX_PREFIX or not line.endswith("}") or len(line) > _MAX_JSON:
        return ()
    try:
        told = json.loads(line[start:])
    except (ValueError, RecursionError):
        return ()
    parts = [part for value in _strings(told, "", 0) for part in value.splitlines() if part.strip()]
    return tuple(line for part in parts for line in inside(part) or (part,))


def _in_quotes(line: str) -> tuple[str, ...]:
    if "\\n" not in line:
        return ()
    parts = (_ESCAPE.sub(lambda found: found[1] or " ", part) for part in re.split(r"(?:\\r)?\\n", line))
    return tuple(part.rstrip("'\" ") for part in parts if part.strip("'\" "))


def _in_bars(line: str) -> tuple[str, ...]:
    parts = [part for part in line.split(" | ") if part.strip()]
    if len(parts) < _LEAST_BARRED or any(_ONLY_LEVEL.fullmatch(part) for part in parts):
        return ()  # some logs put bars between time, level and message
    return tuple(parts)


def _strings(told: object, key: str, depth: int) -> Iterator[str]:
    if isinstance(told, str) and (" " in told or key in _MESSAGE_KEYS):
        yield told
    elif depth < _MAX_DEPTH and isinstance(told, dict):
        kind = next((f"{told[name]}: " for name in _KIND_KEYS if isinstance(told.get(name), str)), "")
        for name, value in told.items():
            if name not in _NO_MESSAGE:
                yield from (kind + text for text in _strings(value, name, depth + 1))
    elif depth < _MAX_DEPTH and isinstance(told, list):
        for value in told:
            yield from _strings(value, key, depth + 1)
