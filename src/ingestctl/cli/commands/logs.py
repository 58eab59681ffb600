"""``ingestctl logs JOB``: what happened, line by line (runbook Step 2)."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result, describe, show
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Alert, Format, Lines, rfc3339
from ingestctl.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from ingestctl.cli.schemas import LogLineData, Logs
    from ingestctl.domain.job import Job
    from ingestctl.ops.logs import LogLine

HELP = "Step 2: a job's log lines, from the database, files or stdin (kubectl logs … | ingestctl logs JOB -)."
EXITS = exit_status(Exit.NOT_FOUND, Exit.CONFLICT)
_POLL_S = 1.0
_BATCH = 500
_MAX_JSON_LINES = 20_000


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    stdin: Annotated[
        str | None, typer.Argument(metavar="[-]", help="Read log lines from stdin.", show_default=False)
    ] = None,
    job_id: JobOption = None,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Search this log file too.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on while the job runs.")] = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show the lines as they are found; with --follow, until the job is no longer running."""

    def work(call: Call) -> Result:
        from ingestctl.ops.logs import from_database, from_text, short_lines

        if stdin not in (None, "-"):
            raise UsageError(f"unexpected argument {stdin!r}", hint="Only `-` (stdin) may follow the job.")
        store = call.wiring.store
        found = store.resolve(one_job(job, job_id))
        runs = store.runs(found.id)
        if stdin == "-":
            # Logs are not always UTF-8. Each line is shown at once: the sender may still be writing.
            reconfigure = getattr(sys.stdin, "reconfigure", None)
            if reconfigure:
                reconfigure(errors="replace")
            return _stream(call, found, from_text(short_lines(sys.stdin), found.id, runs), batch=1)
        lines, last = from_database(store, found.id)
        files = list(_files(call, file))
        texts = (from_text(_searched(path), found.id, runs) for path in files)
        later = _follow(call, found.id, last) if follow else ()
        return _stream(call, found, chain(lines, *texts, later), batch=_BATCH)

    execute(ctx, "logs", work, output=output, quiet=quiet)


def _files(call: Call, given: list[str] | None) -> Iterator[Path]:
    from pathlib import Path

    for path in map(Path, given or ()):
        _open(path).close()  # a name that is wrong is told before anything is shown
        yield path
    folder = call.settings.log_dir
    if folder and folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.is_file() and ".log" in p.name)


def _open(path: Path) -> Any:
    import gzip

    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8", errors="replace")
        return path.open(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--file {str(path)!r} cannot be read: {why}", hint="Give the path of a log file, plain or .gz."
        ) from error


def _searched(path: Path) -> Iterator[str]:
    import zlib

    from ingestctl.ops.logs import short_lines

    with _open(path) as stream:
        try:
            yield from short_lines(stream)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(
                f"the log file {str(path)!r} cannot be read to its end: {error}",
                hint="Correct or remove the file, or search another with --file.",
            ) from error


def _follow(call: Call, job_id: str, last: str | None) -> Iterator[LogLine | None]:
    """New lines as they come, until the job is not running; None where there are none for now."""
    import time

    from ingestctl.ops.logs import from_database

    store = call.wiring.store
    while True:
        job = store.job(job_id)
        lines, last = from_database(store, job_id, after=last)
        yield from lines
        if job is None or job.status != "running":
            return
        yield None
        time.sleep(_POLL_S)


def _stream(call: Call, job: Job, lines: Iterable[LogLine | None], *, batch: int) -> Result:
    """Show lines batch by batch; the last batch is the result. One JSON envelope holds the last lines."""
    if call.style.format is Format.JSON:
        kept: deque[LogLine] = deque(maxlen=_MAX_JSON_LINES)
        count = 0
        for line in lines:
            if line is not None:
                kept.append(line)
                count += 1
        lost = count - len(kept)
        told = [f"{lost} earlier lines left out; --output ndjson shows all"] if lost else []
        return replace(_result(job, kept), warnings=told)
    held: list[LogLine] = []
    for line in lines:
        if line is not None:
            held.append(line)
        if held and (line is None or len(held) >= batch):
            show("logs", _result(job, held), call.style)
            held = []
    return _result(job, held)


def _result(job: Job, lines: Collection[LogLine]) -> Result:
    data: Logs = {"job_id": job.id, "lines": [_line_data(line) for line in lines]}
    text = Lines([_line(line) for line in lines], data=True)
    return Result(data, (text,), items=data["lines"], quiet_ok=False)


def _line_data(line: LogLine) -> LogLineData:
    return {
        "at": line.at,
        "attempt": line.attempt,
        "level": line.level,
        "event": line.event,
        "fields": dict(line.fields),
        "cause": line.cause,
    }


def _line(line: LogLine) -> str:
    at = line.at if isinstance(line.at, str) else rfc3339(line.at) if line.at else ""
    attempt = f"#{line.attempt}" if line.attempt else ""
    cause = f"  <- {line.cause}" if line.cause else ""
    words = (at, attempt, line.level.upper(), line.event, describe(line.fields))
    text = " ".join(w for w in words if w) + cause
    return Alert(text) if line.cause or line.level.lower() in ("error", "critical", "fatal") else text
