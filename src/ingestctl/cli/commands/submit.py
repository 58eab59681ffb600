"""``ingestctl submit``: create jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Id, Lines, Table
from ingestctl.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestctl.cli.schemas import Submit, Submitted
    from ingestctl.ops.submit import SubmitResult

HELP = "Create jobs for URLs or local files (`-`: stdin, one a line). The same source again is the same job."
EXITS = exit_status(Exit.CONFLICT, Exit.JOB_FAILED, Exit.PARTIAL)


def command(
    ctx: typer.Context,
    sources: Annotated[list[str], typer.Argument(metavar="URL|FILE|-...", show_default=False)],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Submit each, show the jobs."""

    def work(call: Call) -> Result:
        lines: list[int | None] = []
        results = list(call.wiring.submitter().submit_all(_inputs(sources, lines)))
        for result, line in zip(results, lines, strict=True):
            if result.error and line is not None:
                said, about = result.error.message, result.input[:200]
                where = f"stdin line {line}" if about in said else f"stdin line {line} ({about!r})"
                result.error.message = f"{where}: {said}"
        if not results:
            raise UsageError("stdin held no sources", hint="Write one URL or file a line.")
        return _result(results)

    execute(ctx, "submit", work, output=output, quiet=quiet)


def _inputs(sources: list[str], lines: list[int | None]) -> Iterator[str]:
    """Every source; ``lines`` takes the line of stdin that each came from."""
    if reconfigure := getattr(sys.stdin, "reconfigure", None):
        reconfigure(errors="surrogateescape")  # as in arguments: a file's name may be any bytes
    for source in sources:
        if source != "-":
            lines.append(None)
            yield source
            continue
        for number, line in enumerate(sys.stdin, 1):
            # Windows programs begin a file with a mark that is no part of its first line.
            text = (line.removeprefix("\ufeff") if number == 1 else line).strip()
            if text and not text.startswith("#"):
                lines.append(number)
                yield text


def _result(results: list[SubmitResult]) -> Result:
    errors = [r.error for r in results if r.error]
    done = [r for r in results if not r.error]
    jobs: list[Submitted] = [
        {
            "input": r.input,
            "job_id": r.job_id,
            "video_id": r.video_id,
            "status": r.status,
            "created": r.created,
        }
        for r in done
    ]
    data: Submit = {"jobs": jobs}
    rows = [(Id(r.job_id or ""), r.status, "created" if r.created else "exists", r.input) for r in done]
    code = Exit.DONE
    if errors:
        code = Exit.PARTIAL if done else errors[0].exit
    blocks = [Table(("job", "status", "result", "source"), rows)] if rows else []
    if done and not errors:
        waiting = [r.job_id for r in done if r.status == "queued"]
        hint = f"ingestctl run --job-id {waiting[0]}" if len(waiting) == 1 else "ingestctl run --pending"
        return Result(data, (*blocks, Lines([f"next: {hint}"] if waiting else [])), code, items=jobs)
    return Result(data, blocks, code, errors, items=jobs)
