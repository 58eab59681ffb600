"""``ingestctl retry``: check, then put jobs back in the queue (runbook Step 4)."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli import completion
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result, say
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Fields, Id, Lines, Table
from ingestctl.domain.errors import ConfirmationNeeded, Exit, IngestError, Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestctl.cli.schemas import RunData
    from ingestctl.cli.schemas_operator import Retry, RetryMany
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.retry import Preview, Retrier, RetryResult
    from ingestctl.pipeline import Pipeline, RunResult

HELP = (
    "Step 4: check, then put a job back in the queue, or all that match the filters. A failed check stops "
    "it (14) unless --anyway overrules it; --anyway never overrules a live owner, a store that cannot be "
    "written, or a success: a job that succeeded is retried only when its artifacts were just found not to "
    "be whole. A canceled job needs --anyway. A job that is queued already is left as it is."
)
EXITS = exit_status(
    Exit.NOT_FOUND,
    Exit.CONFIRMATION_NEEDED,
    Exit.CONFLICT,
    Exit.JOB_FAILED,
    Exit.PARTIAL,
    Exit.BUSY,
    Exit.DEADLINE,
    Exit.SIGINT,
    Exit.SIGTERM,
)


class Via(StrEnum):
    """Through what a job is queued again."""

    DB = "db"
    API = "api"


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            "-s",
            help="Jobs with this status. Default: failed.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    cause: Annotated[
        list[str] | None,
        typer.Option(
            "--cause",
            help="Whose last failure was this.",
            autocompletion=completion.causes,
        ),
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Changed since: 2h, 7d, or a date.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="A host, a source kind, or uploads.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most this many jobs.")
    ] = 100,
    reason: Annotated[str, typer.Option("--reason", help="Why; written into the event.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Overrule failed checks (see above).")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show; change nothing.")] = False,
    confirm: Annotated[
        int | None, typer.Option("--confirm", metavar="N", help="With filters: yes, these N jobs.")
    ] = None,
    per_minute: Annotated[
        float | None, typer.Option("--per-minute", min=0.01, help="With filters: at most so many a minute.")
    ] = None,
    run_now: Annotated[bool, typer.Option("--run", help="Run each job now, as `run` does.")] = False,
    via: Annotated[
        Via, typer.Option("--via", help="db: reset the job; api: submit it again to the platform.")
    ] = Via.DB,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """One job by name, or many by filter."""
    many = bool(status or cause or since or source)

    def work(call: Call) -> Result:
        if many == bool(job or job_id):
            raise UsageError(
                "say what to retry: one job, or filters",
                hint="ingestctl retry JOB, or ingestctl retry --cause download_timeout --since 2h",
            )
        _refuse_words(call, run_now=run_now, via=via, dry_run=dry_run, reason=reason)
        with ExitStack() as stack:
            retry = _Retry(call, stack, reason=reason, anyway=anyway, run_now=run_now, via=via)
            if not many:
                return retry.one(one_job(job, job_id), dry_run)
            return retry.many((status, cause, since, source), limit, dry_run, confirm, per_minute)

    execute(ctx, "retry", work, output=output, quiet=quiet)


def _refuse_words(call: Call, *, run_now: bool, via: Via, dry_run: bool, reason: str) -> None:
    """Raise UsageError for options that make no sense together, or one that is missing."""
    if run_now and (via is Via.API or dry_run):
        raise UsageError("--run goes neither with --via api nor with --dry-run")
    if call.settings.env == "production" and not (reason.strip() or dry_run):
        raise UsageError("in production a retry needs a reason", hint="Add --reason 'why'.")


class _Retry:
    """One call of the command: its services, and its two ways to go."""

    def __init__(
        self, call: Call, stack: ExitStack, *, reason: str, anyway: bool, run_now: bool, via: Via
    ) -> None:
        from ingestctl.cli.commands.run import observer
        from ingestctl.domain.stop import Stop

        self._call = call
        self._reason = reason
        self._anyway = anyway
        self._stop: Stop = Stop()
        self._retrier: Retrier = call.wiring.retrier(self._stop, through_api=via is Via.API)
        self._pipeline: Pipeline | None = None
        if run_now:
            self._pipeline = call.wiring.pipeline(observer(call.style, call.wiring, stack))

    def one(self, name: str, dry_run: bool) -> Result:
        """Retry (and perhaps run) the job with this name."""
        from ingestctl.cli.commands.run import one_result, run_data

        done = self._stoppable(lambda: self._one(name, dry_run))
        retried, ran = done
        data, blocks = retry_data(retried), _checklist(retried)
        if ran is None:
            errors = (retried.error,) if retried.error else ()
            return Result(data, blocks, retried.exit, errors)
        end = one_result(ran)
        data["run"] = run_data(ran)
        return Result(data, [*blocks, *end.blocks], end.exit, end.errors)

    def _one(self, name: str, dry_run: bool) -> tuple[RetryResult, RunResult | None]:
        job = self._call.wiring.store.resolve(name)
        retried = self._retrier.retry(job, reason=self._reason, anyway=self._anyway, dry_run=dry_run)
        return retried, self._run(retried)

    def _run(self, retried: RetryResult) -> RunResult | None:
        if self._pipeline is None or retried.error is not None:
            return None
        return self._pipeline.run(retried.job_id, self._stop)

    def many(
        self,
        filters: tuple[list[str] | None, list[str] | None, str | None, str | None],
        limit: int,
        dry_run: bool,
        confirm: int | None,
        per_minute: float | None,
    ) -> Result:
        """Preview, confirm, then retry each."""
        from ingestctl.ops.find import JobQuery, job_filter

        status, cause, since, source = filters
        query = JobQuery(
            statuses=tuple(status or ("failed",)), causes=tuple(cause or ()), source=source, since=since
        )
        store = self._call.wiring.store
        preview = self._retrier.preview(job_filter(query, store.now()), limit)
        data: RetryMany = {
            "matching": preview.matching,
            "chosen": len(preview.chosen),
            "causes": dict(preview.causes),
            "jobs": [row.job.id for row in preview.chosen],
            "results": [],
        }
        if dry_run or not preview.chosen:
            return Result(data, _preview(preview), items=data["jobs"])
        _confirm(self._call, preview, confirm)
        results: list[RetryResult] = []
        runs: list[RunResult] = []
        stopped = self._stoppable(lambda: self._each(preview, per_minute, results, runs))
        return _many_result(data, results, runs, stopped)

    def _each(
        self,
        preview: Preview,
        per_minute: float | None,
        results: list[RetryResult],
        runs: list[RunResult],
    ) -> IngestError | None:
        """Fill in results and runs; an interruption ends the round and keeps what was done."""
        try:
            for retried in self._retrier.retry_many(
                preview.chosen, self._stop, reason=self._reason, anyway=self._anyway, per_minute=per_minute
            ):
                results.append(retried)
                if ran := self._run(retried):
                    runs.append(ran)
        except Interrupted as error:
            return error
        except IngestError as error:
            if not results:
                raise
            return error
        return None

    def _stoppable(self, work: Any) -> Any:
        from ingestctl.cli.signals import REQUEUED, run_stoppable

        if self._pipeline:
            return run_stoppable(work, self._stop, self._pipeline.abandon, left=REQUEUED)
        left = "jobs that were put back in the queue stay there"
        return run_stoppable(work, self._stop, lambda _: None, left=left)


def _confirm(call: Call, preview: Preview, given: int | None) -> None:
    """Raise ConfirmationNeeded unless the number of jobs was typed, here or on the command line."""
    count = len(preview.chosen)
    if given is None and sys.stdin.isatty() and sys.stderr.isatty():
        for line in _preview_lines(preview):
            say(line, call.style)
        say(f"Type {count} to retry these {count} jobs:", call.style)
        typed = sys.stdin.readline().strip()
        given = int(typed) if typed.isdecimal() else None
    if given != count:
        wrong = f"{given} was confirmed, and " if given is not None else ""
        raise ConfirmationNeeded(
            f"nothing was done: {wrong}{count} jobs would be retried",
            hint=f"Look with --dry-run, then add --confirm {count}.",
        )


def retry_data(result: RetryResult) -> Retry:
    """One retry as JSON."""
    data: Retry = {
        "job_id": result.job_id,
        "outcome": result.outcome.value,
        "from_status": result.from_status,
        "checks": [
            {"id": c.id, "verdict": c.verdict, "detail": c.detail, "hint": c.hint} for c in result.checks
        ],
    }
    if result.submitted:
        answer = result.submitted
        data["submitted"] = {
            "job_id": answer.job_id,
            "video_id": answer.video_id,
            "status": answer.status,
            "payload_version": answer.payload_version,
            "replay": answer.replay,
        }
    return data


def _checklist(result: RetryResult) -> list[Block]:
    blocks: list[Block] = []
    if result.checks:
        rows = [(c.id, c.verdict, c.detail) for c in result.checks]
        blocks.append(Table(("check", "verdict", "detail"), rows))
    pairs = [("job", result.job_id), ("outcome", result.outcome), ("from", result.from_status)]
    if result.submitted:
        pairs += [("new job", result.submitted.job_id)]
    return [*blocks, Fields(pairs)]


def _preview(preview: Preview) -> list[Block]:
    rows = [(cause, count) for cause, count in preview.causes.items()]
    return [Table(("cause", "jobs"), rows), Lines(_preview_lines(preview)[-1:])]


def _preview_lines(preview: Preview) -> list[str]:
    causes = [f"  {count:>6}  {cause}" for cause, count in preview.causes.items()]
    return [*causes, f"{len(preview.chosen)} of {preview.matching} matching jobs"]


def _many_result(
    data: RetryMany,
    results: Sequence[RetryResult],
    runs: Sequence[RunResult],
    stopped: IngestError | None,
) -> Result:
    from ingestctl.cli.commands.run import run_data
    from ingestctl.ops.retry import RetryOutcome, exit_of

    totals = {o.value: sum(r.outcome is o for r in results) for o in RetryOutcome if o.value != "allowed"}
    rows = [(Id(r.job_id), r.outcome, r.from_status, r.error.message if r.error else None) for r in results]
    errors = [r.error for r in results if r.error] + [r.error for r in runs if r.error]
    told = ", ".join(f"{n} {name}" for name, n in totals.items() if n) or "nothing was done"
    retried = [retry_data(r) for r in results]
    ran: list[RunData] = [run_data(r) for r in runs]
    data = {**data, "results": retried, "totals": totals, "runs": ran}
    code = exit_of(results)
    if code is Exit.DONE and any(r.error for r in runs):
        code = Exit.PARTIAL
    if stopped is not None:
        errors, code = [*errors, stopped], stopped.exit
    blocks = (Table(("job", "outcome", "from", "reason"), rows), Lines([told]))
    return Result(data, blocks, code, errors, items=retried)
