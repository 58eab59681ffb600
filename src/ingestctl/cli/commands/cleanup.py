"""``ingestctl cleanup``: remove what was proved broken, and only that (runbook Step 5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli import completion
from ingestctl.cli.confirm import confirm
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Lines, Size, Table
from ingestctl.domain.errors import Exit, UsageError
from ingestctl.domain.verification import Level
from ingestctl.ops.find import JobQuery, moment

if TYPE_CHECKING:
    from ingestctl.cli.schemas_operator import (
        AppliedData,
        Cleanup,
        ItemData,
        PlaceData,
        PlanData,
        RefData,
        RefusalData,
    )
    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.plan import Item, Plan, Refusal
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.cleaning import CleanupResult, Prepared
    from ingestctl.ops.cleanup import Applied

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
_Confirmed = Annotated[
    list[str] | None, typer.Option("--confirm", metavar="ID", help="The job id; of a batch, how many jobs.")
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The command line, checked."""

    names: tuple[str | None, str | None]
    query: JobQuery
    limit: int
    max_delete: int | None
    level: Level
    include_valid: bool
    purge: bool
    reset: bool
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


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    status: _Statuses = None,
    cause: _Causes = None,
    source: _Source = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most this many jobs.")
    ] = 100,
    max_delete: _MaxDelete = None,
    level: Annotated[Level, typer.Option("--level", help="How deep to look first.")] = Level.CHECKSUM,
    include_valid: _IncludeValid = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete for good instead of quarantine.")] = False,
    no_reset: Annotated[bool, typer.Option("--no-reset", help="Leave the job's status as it is.")] = False,
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
        reset=not no_reset,
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
        from ingestctl.ops.planning import Terms

        terms = Terms(asked.level, asked.include_valid, asked.purge, asked.reset)
        jobs = cleaning.choose(call.wiring.store, asked.name, asked.query, asked.limit)
        prepared = cleaning.prepare(planner, cleaner, jobs, terms, batch=asked.name is None)
    if asked.plan_out is not None:
        cleaning.write_plan(prepared.fresh, asked.plan_out)
    if asked.dry_run or asked.plan_out or not (prepared.shown.changes or prepared.begun):
        preview = bool(asked.dry_run or asked.plan_out)
        return _result(cleaning.CleanupResult(prepared.shown, dry_run=preview), _begun(prepared))
    cleaning.check_cap(prepared.shown, asked.max_delete)
    cleaning.check_reason(call.settings.env, asked.reason)
    _confirm(call, asked, prepared)
    return _result(cleaning.carry_out(cleaner, prepared, reason=asked.reason or ""), _begun(prepared))


def _confirm(call: Call, asked: _Asked, prepared: Prepared) -> None:
    plan = prepared.shown
    kind = "deletes" if plan.purge else "sets aside"
    what = f"a cleanup of {len(plan.job_ids)} job(s) that {kind} {plan.destroyed} object(s)"
    confirm(what, prepared.words(), asked.confirmed, _plan_lines(plan), call.style)


def _undo(call: Call, asked: _Asked, name: str, stop: Stop) -> Result:
    from ingestctl.ops import cleaning

    quarantine = call.wiring.quarantine(stop)
    incident, plan = quarantine.undo_plan(name)
    if asked.dry_run:
        return _result(cleaning.CleanupResult(plan, dry_run=True))
    cleaning.check_reason(call.settings.env, asked.reason)
    done = quarantine.undo(incident, plan, reason=asked.reason or "")
    return _result(cleaning.CleanupResult(plan, (done,)))


def _expire(call: Call, asked: _Asked, age: str, stop: Stop) -> Result:
    from ingestctl.ops import cleaning

    now = call.wiring.store.now()
    before = moment("--expire", age, now)
    assert before is not None  # noqa: S101  (an age was given)
    quarantine = call.wiring.quarantine(stop)
    buckets = {call.wiring.buckets.video, call.wiring.buckets.audio, *call.wiring.store.artifact_buckets()}
    plan = quarantine.expire_plan(now - before, buckets)
    if asked.dry_run or not plan.items:
        return _result(cleaning.CleanupResult(plan, dry_run=asked.dry_run))
    cleaning.check_cap(plan, asked.max_delete)
    cleaning.check_reason(call.settings.env, asked.reason)
    what = f"deleting {len(plan.items)} object(s) from quarantine for good"
    confirm(what, [str(len(plan.items))], asked.confirmed, _plan_lines(plan), call.style)
    return _result(cleaning.CleanupResult(plan, (quarantine.expire(plan, reason=asked.reason or ""),)))


# --- what is shown ----------------------------------------------------------------------------


def _begun(prepared: Prepared) -> tuple[str, ...]:
    return tuple(f"incident {i.id} of job {job.id} was begun and not finished" for job, i in prepared.begun)


def _result(result: CleanupResult, remarks: tuple[str, ...] = ()) -> Result:
    incidents = result.incidents
    reset = any(c.reset for c in result.done)
    data: Cleanup = {
        "incident": incidents[0] if len(incidents) == 1 else None,
        "incidents": list(incidents),
        "plan": plan_data(result.plan),
        "applied": [_applied(a) for a in result.applied],
        "refusals": [_refusal(r) for r in result.refusals],
        "reset": reset,
        "dry_run": result.dry_run,
    }
    return Result(data, _blocks(result, remarks, reset), result.exit, result.errors)


def plan_data(plan: Plan) -> PlanData:
    """A plan as JSON, the same that ``--plan-out`` writes."""
    from ingestctl.domain.plan import PLAN_VERSION

    return {
        "version": PLAN_VERSION,
        "fingerprint": plan.fingerprint,
        "items": [_item(i) for i in plan.items],
        "refusals": [_refusal(r) for r in plan.refusals],
        "purge": plan.purge,
        "reset": plan.reset,
        "level": plan.level,
        "include_valid": list(plan.include_valid),
    }


def _item(item: Item) -> ItemData:
    return {
        "job_id": item.job_id,
        "video_id": item.video_id,
        "subject": item.subject,
        "action": item.action,
        "verdict": item.verdict,
        "reason": item.reason,
        "ref": _ref(item.ref),
        "size_bytes": item.size_bytes,
        "etag": item.etag,
        "sha256": item.sha256,
        "upload_id": item.upload_id,
    }


def _refusal(refusal: Refusal) -> RefusalData:
    return {
        "job_id": refusal.job_id,
        "subject": refusal.subject,
        "verdict": refusal.verdict,
        "reason": refusal.reason,
        "ref": _ref(refusal.ref),
    }


def _ref(ref: ObjectRef | None) -> RefData | None:
    return {"bucket": ref.bucket, "key": ref.key} if ref else None


def _applied(applied: Applied) -> AppliedData:
    item = applied.item
    return {
        "job_id": item.job_id,
        "subject": item.subject,
        "action": item.action,
        "outcome": applied.outcome,
        "verdict": item.verdict,
        **_place(item.ref),
        "size_bytes": item.size_bytes,
        "reason": item.reason,
        "to": _place(applied.to) if applied.to else None,
    }


def _place(ref: ObjectRef | None) -> PlaceData:
    return {"bucket": ref.bucket if ref else None, "key": ref.key if ref else None}


def _blocks(result: CleanupResult, remarks: tuple[str, ...], reset: bool) -> list[Block]:
    outcomes = {a.item.identity: a.outcome for a in result.applied}
    rows = [
        (
            item.job_id,
            item.subject,
            item.verdict,
            outcomes.get(item.identity, item.action),
            Size(item.size_bytes),
            str(item.ref) if item.ref else item.upload_id,
            item.reason,
        )
        for item in result.plan.items
    ]
    blocks: list[Block] = [Lines(remarks)] if remarks else []
    if rows:
        columns = ("job", "what", "verdict", "dry run" if result.dry_run else "action")
        blocks.append(Table((*columns, "size", "object", "reason"), rows))
    said = [f"incident {incident}" for incident in result.incidents]
    said += ["the job is back in the queue"] if reset else []
    if not result.plan.changes and not result.done:
        said.append("nothing to clean up")
    left = [f"left alone: {r.subject} {r.ref or ''}: {r.reason}" for r in result.refusals]
    undo = [
        f"next: ingestctl cleanup --undo {c.incident}"
        for c in result.done
        if c.incident and any(a.outcome == "quarantined" for a in c.applied)
    ]
    blocks.append(Lines([*(left if result.dry_run else []), *said, *undo]))
    return blocks


def _plan_lines(plan: Plan) -> list[str]:
    return [_line(item) for item in plan.changes] + [
        f"  left alone: {r.subject} {r.ref or ''}: {r.reason}" for r in plan.refusals
    ]


def _line(item: Item) -> str:
    size = f" ({item.size_bytes} bytes)" if item.size_bytes is not None else ""
    thing = item.ref or item.upload_id or ""
    return f"  {item.action} {item.subject} {thing}{size}: {item.verdict}, {item.reason}"
