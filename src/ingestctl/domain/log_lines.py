"""What a log puts around a message: times, levels, names, JSON. The words in the middle are what counts."""

from __future__ import annotations

import json
import re

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
    r"|[a-z_]{2,20}=b?[\"']|b?[\"'](?=\w)|\[\d{1,7}\]|[-|]"
    r"|(?<=\S )[a-z_][a-z0-9_.]{1,60}(?:\[\d+\])?:(?= ))"  # a logger's name after its level
)
_MESSAGE_KEYS = ("event", "msg", "message", "error", "err", "detail", "exception", "exc_info", "stack", "log")
_ESCAPE = re.compile(r"\\t|\\(['\"\\])")
_MAX_JSON = 20_000
_MAX_TAILS = 5


def readings(line: str) -> tuple[str, ...]:
    """The line as it stands, and without what a log put before it, where that is more than nothing."""
    plain = line.replace('\\"', '"')
    start = 0
    while (found := _PREFIX.match(plain, start)) and found.end() > start:
        start = found.end()
    return tuple(dict.fromkeys(text for text in (line, plain, plain[start:].strip()) if text))


def tails(line: str) -> tuple[str, ...]:
    """What follows each colon: the reasons behind "job 7 failed: ..." and the like."""
    parts = line.split(": ")
    behind = (": ".join(parts[number:]) for number in range(1, min(len(parts), _MAX_TAILS)))
    return tuple(readings(tail)[-1] for tail in behind if tail.strip())


def inside(line: str) -> tuple[str, ...]:
    """The lines of the message that a JSON log line or a quoted output holds; none if it is no such line."""
    if "\\n" in line and not line.startswith("{"):
        parts = (_ESCAPE.sub(lambda found: found[1] or " ", part) for part in re.split(r"(?:\\r)?\\n", line))
        return tuple(part.rstrip("'\" ") for part in parts if part.strip("'\" "))
    start = line.find("{")
    if start < 0 or start > 80 or not line.endswith("}") or len(line) > _MAX_JSON:
        return ()
    try:
        told = json.loads(line[start:])
    except (ValueError, RecursionError):
        return ()
    values = (told.get(key) for key in _MESSAGE_KEYS)
    return tuple(
        part for value in values if isinstance(value, str) for part in value.splitlines() if part.strip()
    )
