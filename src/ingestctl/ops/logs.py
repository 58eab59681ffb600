"""``logs``: what happened to one job, line by line, from the database or from log files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingestctl.domain.causes import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from ingestctl.db.base import JobStore
    from ingestctl.domain.job import Event, Run

_BAD_LEVELS = frozenset({"error", "critical", "fatal", "warning"})
_MAX_LINE = 100_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's log. ``cause`` is set on lines that tell why something failed."""

    at: datetime | str | None
    attempt: int | None
    level: str
    event: str
    fields: Mapping[str, Any]
    cause: str | None = None


def from_database(
    store: JobStore, job_id: str, *, after: str | None = None
) -> tuple[list[LogLine], str | None]:
    """The job's events, with the lines its attempts kept; and the id of the last event seen."""
    runs = store.runs(job_id)
    events = store.events(job_id, after=after)
    attempts = {run.id: run.attempt for run in runs}
    seen = {e.run_id for e in events}
    lines = [_event_line(e, attempts) for e in events]
    for run in runs:
        if after is None or run.id in seen:
            lines += _kept_lines(run)
    lines.sort(key=lambda line: str(line.at))
    return lines, events[-1].id if events else after


def from_text(lines: Iterable[str], job_id: str, attempts: Sequence[Run] = ()) -> Iterator[LogLine]:
    """The lines of a log that hold this job's id or one of its attempts' ids; JSON lines are read as JSON."""
    runs = {run.id for run in attempts}
    for raw in lines:
        line = raw.rstrip("\r\n")
        if job_id not in line and not any(run in line for run in runs):
            continue
        read = _json_line(line)
        if read is not None and read.fields.get("job_id", job_id) != job_id:
            continue  # another job's line that only mentions this one
        yield read or LogLine(None, None, "", line, {}, _cause_of(line))


def short_lines(stream: TextIO) -> Iterator[str]:
    """The lines of a stream, each cut to a length that memory can hold: a log may be one endless line."""
    whole = True
    while line := stream.readline(_MAX_LINE):
        if whole:
            yield line
        whole = line.endswith("\n")


def _event_line(event: Event, attempts: Mapping[str, int]) -> LogLine:
    failed = event.event_type.endswith((".failed", ".expired"))
    cause = event.payload.get("cause") or event.payload.get("error_code") if failed else None
    return LogLine(
        at=event.created_at,
        attempt=attempts.get(event.run_id or ""),
        level="error" if failed else "info",
        event=event.event_type,
        fields=event.payload,
        cause=str(cause) if cause else None,
    )


def _kept_lines(run: Run) -> list[LogLine]:
    kept = run.metadata.get("log")
    lines = []
    for entry in kept if isinstance(kept, list) else ():
        if isinstance(entry, Mapping):
            fields = {k: v for k, v in entry.items() if k not in ("at", "event", "level")}
            at, text = entry.get("at"), str(entry.get("event"))
            lines.append(LogLine(_moment(at), run.attempt, str(entry.get("level", "warning")), text, fields))
    return lines


def _moment(at: object) -> datetime | str | None:
    """The time of a line; as it was written where that is no time."""
    if not isinstance(at, str):
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return at
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _json_line(line: str) -> LogLine | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    at = next(
        (entry.pop(k) for k in ("at", "timestamp", "time", "ts") if isinstance(entry.get(k), str)), None
    )
    event = next((entry.pop(k) for k in ("event", "message", "msg") if isinstance(entry.get(k), str)), line)
    level = str(entry.pop("level", ""))
    attempt = entry.pop("attempt", None)
    cause = entry.get("cause")
    if cause is None and level.lower() in _BAD_LEVELS:
        cause = _cause_of(f"{event} {entry.get('error', '')}")
    return LogLine(at, attempt if isinstance(attempt, int) else None, level, event, entry, cause)


def _cause_of(text: str) -> str | None:
    diagnosis = diagnose(text)
    return None if diagnosis.cause == "internal" else diagnosis.cause
