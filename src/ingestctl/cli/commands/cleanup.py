"""``ingestctl cleanup``: remove what was proved broken, and only that (runbook Step 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli import completion
from ingestctl.cli.cleanup_view import cleanup_result, plan_lines
from ingestctl.cli.confirm import confirm
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.domain.errors import Exit, UsageError
from ingestctl.domain.verification import Level
from ingestctl.ops.find import JobQuery, moment

if TYPE_CHECKING:
    from ingestctl.domain.plan import Plan
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.cleaning import Prepared
    from ingestctl.ops.planning import Terms

HELP = (
    "Step 5: clean up what a fresh verification proves broken, partial or orphaned: into quarantine (with "
    "--undo), rows forgotten, the job back in the queue, and an incident that says so. Safe to repeat."
)
EXITS = exit_status(
    Exit.NOT_FOUND,
    Exit.CONFIRMATION_NEEDED,
    Exit.CONFLICT,
    Exit.JOB_FAILED,
    Exit.PARTIAL,
    Exit.BUSY,
    Exit.SIGINT,
    Exit.SIGTERM,
)


LIMIT = 100

_Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        "-s",
        help="Jobs with this status.",
        autocompletion=completion.statuses,
    ),
]
_Causes = Annotated[
    list[str] | None,
    typer.Option(
        "--cause",
        help="Whose last failure was this.",
        autocompletion=completion.causes,
    ),
]
_Source = Annotated[str | None, typer.Option("--source", help="A host, a source kind, or uploads.")]
_Since = Annotated[str | None, typer.Option("--since", help="Changed since: 2h, 7d, or a date.")]
_Until = Annotated[str | None, typer.Option("--until", help="Changed before: 2h, 7d, or a date.")]
_MaxDelete = Annotated[
    int | None, typer.Option("--max-delete", min=0, help="Refuse a plan that removes more objects.")
]
_IncludeValid = Annotated[
    bool, typer.Option("--include-valid", help="Intact media too; the id of each job must be typed.")
]
_PlanOut = Annotated[
    Path | None, typer.Option("--plan-out", metavar="FILE", help="Save the plan for review, then stop.")
]
_Apply = Annotated[
    Path | None, typer.Option("--apply", metavar="FILE", help="Apply a saved plan, if it still holds.")
]
_Undo = Annotated[
    str | None, typer.Option("--undo", metavar="INCIDENT", help="Put back what an incident set aside.")
]
_Expire = Annotated[
    str | None, typer.Option("--expire", metavar="AGE", help="Delete what is in quarantine longer: 30d.")
]
_Limit = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, max=10_000, help=f"At most this many jobs (default: {LIMIT})."),
]
_Level = Annotated[Level | None, typer.Option("--level", help="How deep to look first (default: checksum).")]
_Reset = Annotated[
    bool | None,
    typer.Option(
        "--reset/--no-reset",
        help="Put the job back in the queue (default: yes, but not with --include-valid).",
        show_default=False,
    ),
]
_Confirmed = Annotated[
    list[str] | None, typer.Option("--confirm", metavar="ID", help="The job id; of a batch, how many jobs.")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The command line, checked."""

    names: tuple[str | None, str | None]
    query: JobQuery
    limit: int | None
    max_delete: int | None
    level: Level | None
    include_valid: bool
    purge: bool
    reset: bool | None
    dry_run: bool
    plan_out: Path | None
    plan_in: Path | None
    undo: str | None
    expire: str | None
    confirmed: tuple[str, ...]
    reason: str | None

    @property
    def name(self) -> str | None:
        """The one job that was named, if any."""
        return one_job(*self.names) if any(self.names) else None

    @property
    def shaping(self) -> list[str]:
        """The options given that shape a new plan, and mean nothing where there is one."""
        given = {
            "--purge": self.purge,
            "--reset or --no-reset": self.reset is not None,
            "--level": self.level is not None,
            "--include-valid": self.include_valid,
            "--limit": self.limit is not None,
            "--plan-out": self.plan_out is not None,
        }
        return [option for option, was in given.items() if was]


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    status: _Statuses = None,
    cause: _Causes = None,
    source: _Source = None,
    since: _Since = None,
    until: _Until = None,
    limit: _Limit = None,
    max_delete: _MaxDelete = None,
    level: _Level = None,
    include_valid: _IncludeValid = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete for good instead of quarantine.")] = False,
    reset: _Reset = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, change nothing.")] = False,
    plan_out: _PlanOut = None,
    apply: _Apply = None,
    undo: _Undo = None,
    expire: _Expire = None,
    confirmed: _Confirmed = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; required in production.")] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Choose one of the four things it does, and do it where signals can stop it."""
    query = JobQuery(
        statuses=tuple(status or ()), causes=tuple(cause or ()), source=source, since=since, until=until
    )
    asked = _Asked(
        names=(job, job_id),
        query=query,
        limit=limit,
        max_delete=max_delete,
        level=level,
        include_valid=include_valid,
        purge=purge,
        reset=reset,
        dry_run=dry_run,
        plan_out=plan_out,
        plan_in=apply,
        undo=undo,
        expire=expire,
        confirmed=tuple(confirmed or ()),
        reason=reason,
    )

    def work(call: Call) -> Result:
        from ingestctl.cli.signals import run_stoppable
        from ingestctl.domain.stop import Stop

        stop = Stop()
        left = "the same command finishes what was begun"
        return run_stoppable(lambda: _do(call, asked, stop), stop, lambda _reason: None, left=left)

    execute(ctx, "cleanup", work, output=output, quiet=quiet)


def _do(call: Call, asked: _Asked, stop: Stop) -> Result:
    chosen = [word for word in (asked.undo, asked.expire, asked.plan_in) if word is not None]
    if len(chosen) + (asked.name is not None or asked.query != JobQuery()) > 1:
        raise UsageError("say one thing to do", hint="A job or filters, --apply, --undo, or --expire.")
    if chosen and asked.shaping:
        which = ", ".join(asked.shaping)
        raise UsageError(
            f"{which}: only for a new plan, not with --apply, --undo or --expire",
            hint="A saved plan says all that; to have it otherwise, make a new one.",
        )
    if asked.undo is not None and asked.max_delete is not None:
        raise UsageError(
            f"--max-delete {asked.max_delete}: an undo removes nothing that it could cap",
            hint="Leave it out: --undo puts every object of the incident back where it was.",
        )
    if asked.undo is not None:
        return _undo(call, asked, asked.undo, stop)
    if asked.expire is not None:
        return _expire(call, asked, asked.expire, stop)
    return _clean(call, asked, stop)


def _clean(call: Call, asked: _Asked, stop: Stop) -> Result:
    from ingestctl.ops import cleaning

    planner = call.wiring.planner(stop)
    cleaner = call.wiring.cleaner(planner, stop)
    if asked.plan_in is not None:
        plan = cleaning.read_plan(asked.plan_in)
        prepared = cleaning.Prepared(plan, batch=len(plan.job_ids) != 1)
    else:
        jobs = cleaning.choose(call.wiring.store, asked.name, asked.query, asked.limit or LIMIT)
        prepared = cleaning.prepare(planner, cleaner, jobs, _terms(asked), batch=asked.name is None)
    if asked.plan_out is not None:
        cleaning.write_plan(prepared.fresh, asked.plan_out)
    if asked.dry_run or asked.plan_out or not (prepared.shown.changes or prepared.begun):
        preview = bool(asked.dry_run or asked.plan_out)
        stale = tuple(cleaner.refused(prepared.fresh)) if asked.plan_in else ()
        result = cleaning.CleanupResult(prepared.shown, stale, dry_run=preview)
        return _previewed(cleanup_result(result, _begun(prepared)), prepared.shown, asked)
    cleaning.check_cap(prepared.shown, asked.max_delete)
    cleaning.check_reason(call.settings.env, asked.reason)
    _confirm(call, asked, prepared)
    return cleanup_result(cleaning.carry_out(cleaner, prepared, reason=asked.reason or ""), _begun(prepared))


def _previewed(result: Result, plan: Plan, asked: _Asked) -> Result:
    """A preview warns of what would be refused."""
    from ingestctl.ops.cleaning import over_cap

    over = over_cap(plan, asked.max_delete)
    return replace(result, warnings=[f"{over}: without --dry-run it is refused"] if over else [])


def _terms(asked: _Asked) -> Terms:
    """Media that goes although it is valid (a takedown) must not be fetched again by the next worker."""
    from ingestctl.ops.planning import Terms

    reset = asked.reset if asked.reset is not None else not asked.include_valid
    return Terms(asked.level or Level.CHECKSUM, asked.include_valid, asked.purge, reset)


def _confirm(call: Call, asked: _Asked, prepared: Prepared) -> None:
    plan = prepared.shown
    kind = "deletes" if plan.purge else "sets aside"
    what = f"a cleanup of {len(plan.job_ids)} job(s) that {kind} {plan.destroyed} object(s)"
    confirm(what, prepared.words(), asked.confirmed, plan_lines(plan), call.style)


def _undo(call: Call, asked: _Asked, name: str, stop: Stop) -> Result:
    from ingestctl.ops import cleaning

    quarantine = call.wiring.quarantine(stop)
    incident, plan = quarantine.undo_plan(name)
    if asked.dry_run:
        return cleanup_result(cleaning.CleanupResult(plan, dry_run=True))
    cleaning.check_reason(call.settings.env, asked.reason)
    done = quarantine.undo(incident, plan, reason=asked.reason or "")
    return cleanup_result(cleaning.CleanupResult(plan, (done,)))


def _expire(call: Call, asked: _Asked, age: str, stop: Stop) -> Result:
    from ingestctl.ops import cleaning

    now = call.wiring.store.now()
    before = moment("--expire", age, now)
    assert before is not None  # noqa: S101  (an age was given)
    if before > now:
        raise UsageError(
            f"--expire {age!r} is in the future", hint="Give an age (30d) or a date that is past."
        )
    quarantine = call.wiring.quarantine(stop)
    buckets = {call.wiring.buckets.video, call.wiring.buckets.audio, *call.wiring.store.artifact_buckets()}
    plan = quarantine.expire_plan(now - before, buckets)
    if asked.dry_run or not plan.items:
        result = cleaning.CleanupResult(plan, dry_run=asked.dry_run)
        return _previewed(cleanup_result(result), plan, asked)
    cleaning.check_cap(plan, asked.max_delete)
    cleaning.check_reason(call.settings.env, asked.reason)
    what = f"deleting {len(plan.items)} object(s) from quarantine for good"
    confirm(what, [str(len(plan.items))], asked.confirmed, plan_lines(plan), call.style)
    return cleanup_result(cleaning.CleanupResult(plan, (quarantine.expire(plan, reason=asked.reason or ""),)))


def _begun(prepared: Prepared) -> tuple[str, ...]:
    return tuple(f"incident {i.id} of job {job.id} was begun and not finished" for job, i in prepared.begun)
