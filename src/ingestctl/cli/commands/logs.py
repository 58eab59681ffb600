"""``ingestctl logs JOB``: what happened, line by line (runbook Step 2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Lines, Result, describe, rfc3339, show
from ingestctl.cli.runner import Call, execute
from ingestctl.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingestctl.cli.schemas import LogLineData, Logs
    from ingestctl.domain.job import Job
    from ingestctl.ops.logs import LogLine

HELP = "Step 2: a job's log lines, from the database, files or stdin (kubectl logs … | ingestctl logs JOB -)."
EXITS = exit_status(Exit.NOT_FOUND)
_POLL_S = 1.0


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
    """Collect the lines, show them; with --follow, until the job is no longer running."""

    def work(call: Call) -> Result:
        from ingestctl.ops.logs import from_database, from_text

        if stdin not in (None, "-"):
            raise UsageError(f"unexpected argument {stdin!r}", hint="Only `-` (stdin) may follow the job.")
        store = call.wiring.store
        found = store.resolve(one_job(job, job_id))
        runs = store.runs(found.id)
        if stdin == "-":
            lines: Sequence[LogLine] = list(from_text(sys.stdin, found.id, runs))
            return _result(found, lines)
        lines, last = from_database(store, found.id)
        for path in _files(call, file):
            with _open(path) as stream:
                lines = [*lines, *from_text(stream, found.id, runs)]
        if follow:
            show("logs", _result(found, lines), call.style)
            lines = _follow(call, found.id, last)
        return _result(found, lines)

    execute(ctx, "logs", work, output=output, quiet=quiet)


def _files(call: Call, given: list[str] | None) -> Iterator[Path]:
    from pathlib import Path

    yield from map(Path, given or ())
    folder = call.settings.log_dir
    if folder and folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.is_file() and ".log" in p.name)


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"--file {str(path)!r} cannot be read: {error.strerror}") from error


def _follow(call: Call, job_id: str, last: str | None) -> Sequence[LogLine]:
    """Show new lines as they come, until the job is not running; return the last ones."""
    import time

    from ingestctl.ops.logs import from_database

    store = call.wiring.store
    while True:
        job = store.job(job_id)
        lines, last = from_database(store, job_id, after=last)
        if job is None or job.status != "running":
            return lines
        if lines:
            show("logs", _result(job, lines), call.style)
        time.sleep(_POLL_S)


def _result(job: Job, lines: Sequence[LogLine]) -> Result:
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
    return " ".join(w for w in words if w) + cause
