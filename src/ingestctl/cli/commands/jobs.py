"""``ingestctl jobs``: list and find jobs (runbook Step 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli import completion
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Id, Lines, Table

if TYPE_CHECKING:
    from ingestctl.cli.schemas import JobLine, Jobs
    from ingestctl.db.base import JobRow

HELP = "Step 1: identify the job. List and find jobs by status, phase, cause, source, age, id, video or URL."
EXITS = exit_status()

_Find = Annotated[
    str | None,
    typer.Argument(
        metavar="[TEXT]",
        help="An id prefix, a video id, or a source URL.",
        show_default=False,
        autocompletion=completion.jobs,
    ),
]
_Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        "-s",
        help="queued|running|succeeded|failed|canceled, or pending, completed.",
        autocompletion=completion.statuses,
    ),
]
_Phases = Annotated[
    list[str] | None,
    typer.Option(
        "--phase",
        help="downloading, processing or storing.",
        autocompletion=completion.phases,
    ),
]
_Causes = Annotated[
    list[str] | None,
    typer.Option(
        "--cause",
        help="Cause of the last failure.",
        autocompletion=completion.causes,
    ),
]


def command(
    ctx: typer.Context,
    find: _Find = None,
    status: _Statuses = None,
    phase: _Phases = None,
    cause: _Causes = None,
    source: Annotated[str | None, typer.Option("--source", help="A host, a source kind, or uploads.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Changed since: 2h, 7d, or a date.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Changed before: 2h, 7d, or a date.")] = None,
    stuck: Annotated[bool, typer.Option("--stuck", help="Running, and nobody renews the lease.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most this many.")] = 50,
    after: Annotated[
        str | None, typer.Option("--after", help="Continue after this page (its `next`).")
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Build the filter, fetch one page, show it."""

    def work(call: Call) -> Result:
        from ingestctl.ops.find import JobQuery, find_jobs

        query = JobQuery(
            text=find,
            statuses=tuple(status or ()),
            phases=tuple(phase or ()),
            causes=tuple(cause or ()),
            source=source,
            since=since,
            until=until,
            stuck=stuck,
        )
        page = find_jobs(call.wiring.store, query, limit=limit, after=after)
        rows = [row_data(row) for row in page.jobs]
        more = (Lines([f"more: --after {page.next}"]),) if page.next else ()
        none = () if rows else (Lines(["no jobs match"]),)
        data: Jobs = {"jobs": rows, "next": page.next}
        return Result(data, (_table(page.jobs), *more, *none), items=rows)

    execute(ctx, "jobs", work, output=output, quiet=quiet)


def _table(rows: Any) -> Table:
    columns = ("job", "status", "phase", "cause", "attempt", "updated", "source", "title")
    return Table(
        columns,
        [
            (
                Id(row.job.id),
                "stuck" if row.job.status == "running" and not row.lease_live else row.job.status,
                row.job.phase,
                row.error_code if row.job.status == "failed" else None,
                row.attempt,
                row.job.updated_at,
                row.source_uri,
                row.title,
            )
            for row in rows
        ],
    )


def row_data(row: JobRow) -> JobLine:
    """One job of a list, as JSON."""
    return {
        "job_id": row.job.id,
        "video_id": row.job.video_id,
        "status": row.job.status,
        "ingestion_phase": row.job.phase,
        "cause": row.error_code if row.job.status == "failed" else None,
        "error_message": row.job.error_message,
        "attempt": row.attempt,
        "lease_live": row.lease_live,
        "source_type": row.source_type,
        "source_uri": row.source_uri,
        "title": row.title,
        "queued_at": row.job.queued_at,
        "started_at": row.job.started_at,
        "finished_at": row.job.finished_at,
        "updated_at": row.job.updated_at,
    }
