"""``ingestctl run``: the worker, for containers, hands and cron."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Fields, Format, Id, Lines, Seconds, Size, Table
from ingestctl.domain.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestctl.cli.schemas import RunData, RunPending
    from ingestctl.cli.view import Style
    from ingestctl.ops.run import PendingResult
    from ingestctl.pipeline import Observer, RunResult
    from ingestctl.wiring import Wiring

HELP = "Run one job (by id, or --url: submitted first), or all that is queued (--pending). Safe to repeat."
EXITS = exit_status(
    Exit.NOT_FOUND,
    Exit.VERIFICATION_FAILED,
    Exit.CONFLICT,
    Exit.JOB_FAILED,
    Exit.PARTIAL,
    Exit.BUSY,
    Exit.DEADLINE,
    Exit.SIGINT,
    Exit.SIGTERM,
)


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    url: Annotated[str | None, typer.Option("--url", help="Submit this source, then run its job.")] = None,
    pending: Annotated[bool, typer.Option("--pending", help="Run queued jobs until there are none.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="With --pending: at most this many jobs.")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.01, help="With --pending: begin no job after this long."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=64, help="With --pending: jobs at once (default 1)."),
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Choose what to run, run it where signals can stop it, show what came of it."""

    def work(call: Call) -> Result:
        from ingestctl.cli.signals import REQUEUED, run_stoppable
        from ingestctl.domain.stop import Stop
        from ingestctl.ops.run import run_one, run_pending

        _one_thing({"a job": bool(job or job_id), "--url": bool(url), "--pending": pending})
        bounds = {"--limit": limit, "--max-minutes": max_minutes, "--concurrency": concurrency}
        if not pending and (useless := [name for name, value in bounds.items() if value is not None]):
            raise UsageError(f"{' and '.join(useless)} without --pending", hint="Only a round has bounds.")
        stop = Stop()
        with ExitStack() as stack:
            pipeline = call.wiring.pipeline(observer(call.style, call.wiring, stack))

            def one() -> RunResult:
                store = call.wiring.store
                name = call.wiring.submitter().submit(url).job.id if url else one_job(job, job_id)
                return run_one(pipeline, store, name, stop)

            def many() -> PendingResult:
                return run_pending(
                    pipeline, stop, limit=limit, max_minutes=max_minutes, concurrency=concurrency or 1
                )

            if pending:
                return _many_result(run_stoppable(many, stop, pipeline.abandon, left=REQUEUED))
            return one_result(run_stoppable(one, stop, pipeline.abandon, left=REQUEUED))

    execute(ctx, "run", work, output=output, quiet=quiet)


def _one_thing(named: Mapping[str, bool]) -> None:
    there = [name for name, is_there in named.items() if is_there]
    if len(there) != 1:
        words = f"{' and '.join(there)} were named at once" if there else "say what to run"
        raise UsageError(words, hint="Give one of: a job, --url URL, --pending.")


def observer(style: Style, wiring: Wiring, stack: ExitStack) -> Observer:
    """Bars on a terminal, JSON log lines otherwise; a log file in both cases if one is configured."""
    import sys

    from ingestctl.telemetry import LogObserver, Observers, configure

    settings = wiring.settings
    bars = sys.stderr.isatty() and not style.quiet and style.format is Format.TABLE
    level = "ERROR" if style.quiet else settings.log_level
    logger = configure(level, wiring.redact, log_dir=settings.log_dir, to_stderr=not bars)
    if not bars:
        return LogObserver(logger)
    from ingestctl.cli.progress import Bars

    return Observers(stack.enter_context(Bars()), LogObserver(logger))


def one_result(result: RunResult) -> Result:
    """The end of one run, for people and programs."""
    error = result.error
    return Result(
        run_data(result),
        _blocks(result),
        error.exit if error else Exit.DONE,
        (error,) if error else (),
    )


def run_data(result: RunResult) -> RunData:
    """One run as JSON."""
    from ingestctl.cli.commands.inspect import diagnosis_data
    from ingestctl.ops.inspect import for_job

    data: RunData = {
        "job_id": result.job_id,
        "video_id": result.video_id,
        "status": result.status,
        "outcome": result.outcome.value,
        "attempt": result.attempt,
        "duration_s": result.duration_s,
        "artifacts": [
            {
                "kind": a.kind,
                "bucket": a.ref.bucket,
                "key": a.ref.key,
                "size_bytes": a.size_bytes,
                "sha256": a.sha256,
                "content_type": a.content_type,
                "reused": a.reused,
            }
            for a in result.artifacts
        ],
    }
    if result.diagnosis:
        data["diagnosis"] = diagnosis_data(for_job(result.diagnosis, result.job_id))
    return data


def _blocks(result: RunResult) -> list[Block]:
    blocks: list[Block] = [
        Fields(
            [
                ("job", result.job_id),
                ("outcome", result.outcome),
                ("attempt", result.attempt),
                ("took", Seconds(result.duration_s)),
            ]
        )
    ]
    if result.artifacts:
        rows = [
            (a.kind, str(a.ref), Size(a.size_bytes), a.content_type, "kept" if a.reused else "new")
            for a in result.artifacts
        ]
        blocks.append(Table(("artifact", "object", "size", "type", "origin"), rows))
    if result.diagnosis:
        from ingestctl.ops.inspect import for_job

        diagnosis = for_job(result.diagnosis, result.job_id)
        pairs = [
            ("cause", f"{diagnosis.title} ({diagnosis.cause})"),
            ("retryable", diagnosis.retryable),
            ("evidence", diagnosis.evidence),
            ("guidance", diagnosis.guidance),
        ]
        blocks += [
            Fields(pairs),
            Lines(_next(f"ingestctl inspect {result.job_id}", diagnosis.next)),
        ]
    return blocks


def _next(*commands: str) -> list[str]:
    first, *rest = dict.fromkeys(commands)
    return [f"next: {first}", *(f"      {command}" for command in rest)]


def _many_result(done: PendingResult) -> Result:
    runs = [run_data(r) for r in done.results]
    totals = {"runs": len(runs), **done.totals()}
    rows = [
        (
            Id(r.job_id),
            r.outcome,
            r.attempt,
            Seconds(r.duration_s),
            r.diagnosis.cause if r.diagnosis else None,
        )
        for r in done.results
    ]
    summary = (
        ", ".join(f"{n} {name}" for name, n in totals.items() if n and name != "runs") or "nothing was queued"
    )
    ended = f"{summary}; stopped by {done.stopped}" if done.stopped else summary
    errors = [r.error for r in done.results if r.error]
    if done.error:
        errors.append(done.error)
    blocks = (Table(("job", "outcome", "attempt", "took", "cause"), rows), Lines([ended]))
    data: RunPending = {"runs": runs, "totals": totals, "stopped": done.stopped}
    return Result(data, blocks, done.exit(), errors, items=runs)
