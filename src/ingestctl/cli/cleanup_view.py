"""What ``cleanup`` shows: its plan, what came of it, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestctl.cli.output import Result
from ingestctl.cli.view import Block, Lines, Size, Table

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
    from ingestctl.ops.cleaning import CleanupResult
    from ingestctl.ops.cleanup import Applied, Cleaned


def cleanup_result(result: CleanupResult, remarks: tuple[str, ...] = ()) -> Result:
    """The result of the command, for programs and for people."""
    incidents = result.incidents
    reset = any(c.reset for c in result.done)
    data: Cleanup = {
        "incident": incidents[0] if len(incidents) == 1 else None,
        "incidents": list(incidents),
        "plan": plan_data(result.plan),
        "applied": [_applied(a) for a in result.applied],
        "refusals": [_refusal(r) for r in result.refusals],
        "reset": reset,
        "unchanged": any(c.before for c in result.done),
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
        "bytes_intact": item.bytes_intact,
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
    before = {c.job_id for c in result.done if c.before}
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
        if item.job_id not in before
    ]
    blocks: list[Block] = [Lines(remarks)] if remarks else []
    if rows:
        columns = ("job", "what", "verdict", "dry run" if result.dry_run else "action")
        blocks.append(Table((*columns, "size", "object", "reason"), rows))
    said = [line for cleaned in result.done for line in _said(cleaned)]
    said += ["the job is back in the queue"] if reset else []
    if result.plan.include_valid and not result.plan.reset:
        said.append(
            "the status stays as it is: --include-valid puts no job back in the queue without --reset"
        )
    if not (result.plan.changes or result.done or result.refusals):
        said.append("nothing to clean up")
    undo = [
        f"next: ingestctl cleanup --undo {c.incident}"
        for c in result.done
        if c.incident and any(a.outcome == "quarantined" for a in c.applied)
    ]
    blocks.append(Lines([*said, *undo]))
    return blocks


def _said(cleaned: Cleaned) -> list[str]:
    if cleaned.before:
        how = "applied" if cleaned.plan.items else "put back"
        return [f"unchanged: {how} before (incident {cleaned.incident})"]
    lines = [f"incident {cleaned.incident}"] if cleaned.incident else []
    return [*lines, f"the job is {cleaned.status}"] if cleaned.status else lines


def plan_lines(plan: Plan) -> list[str]:
    """A plan as a person is shown it before it is confirmed."""
    return [_line(item) for item in plan.changes] + [
        f"  left alone: {r.subject} {r.ref or ''}: {r.reason}" for r in plan.refusals
    ]


def _line(item: Item) -> str:
    size = f" ({item.size_bytes} bytes)" if item.size_bytes is not None else ""
    thing = item.ref or item.upload_id or ""
    return f"  {item.action} {item.subject} {thing}{size}: {item.verdict}, {item.reason}"
