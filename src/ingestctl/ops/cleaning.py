"""``cleanup`` from an operator's words to one result: which jobs, which plan, what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import Conflict, Exit, IngestError, StorageUnavailable, UsageError
from ingestctl.domain.plan import Plan, Refusal, from_json, to_json
from ingestctl.ops.find import JobQuery, job_filter
from ingestctl.ops.remembered import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ingestctl.db.holds import CleanupStore
    from ingestctl.db.operator import Incident
    from ingestctl.domain.job import Job
    from ingestctl.ops.cleanup import Applied, Cleaned, Cleaner
    from ingestctl.ops.planning import Planner, Terms


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is about to be done: a new plan, and cleanups that were begun and are to be finished."""

    fresh: Plan
    begun: tuple[tuple[Job, Incident], ...] = ()
    batch: bool = False

    @property
    def shown(self) -> Plan:
        """Everything in one plan."""
        plans = [self.fresh, *(plan_of(incident) for _, incident in self.begun)]
        return replace(
            self.fresh,
            items=tuple(item for plan in plans for item in plan.items),
            refusals=tuple(r for plan in plans for r in plan.refusals),
            include_valid=tuple(sorted({job for plan in plans for job in plan.include_valid})),
        )

    def words(self) -> tuple[str, ...]:
        """What a person must type: each job whose valid media goes; else the job, or how many there are."""
        plan = self.shown
        if plan.include_valid:
            return tuple(job for job in plan.job_ids if job in plan.include_valid) or plan.job_ids
        return (str(len(plan.job_ids)),) if self.batch else plan.job_ids


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """What a cleanup, an undo or an expiry came to."""

    plan: Plan
    done: tuple[Cleaned, ...] = ()
    dry_run: bool = False

    @property
    def incidents(self) -> tuple[str, ...]:
        """The incidents that tell what was done."""
        return tuple(c.incident for c in self.done if c.incident)

    @property
    def applied(self) -> tuple[Applied, ...]:
        """What was done."""
        return tuple(a for c in self.done for a in c.applied)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was left alone although it stands in the way."""
        return tuple(dict.fromkeys((*self.plan.refusals, *(r for c in self.done for r in c.refusals))))

    @property
    def errors(self) -> tuple[IngestError, ...]:
        """What went wrong, and what was refused."""
        went = tuple(c.error for c in self.done if c.error)
        return (*went, *(_refused(r) for r in self.plan.refusals))

    @property
    def exit(self) -> Exit:
        """0 done or nothing to do; 14 refused; 20 could not be checked; 16 where part of it was done.

        A dry run ends as the real one would.
        """
        if not self.errors:
            return Exit.DONE
        failed = [c.exit for c in self.done if c.error]
        if len(failed) < len(self.done) or (self.dry_run and self.plan.changes and not failed):
            return Exit.PARTIAL
        codes = set(failed) or {error.exit for error in self.errors}
        if len(codes) == 1:
            return codes.pop()
        return Exit.PARTIAL if failed else Exit.CONFLICT


def choose(store: CleanupStore, name: str | None, query: JobQuery, limit: int) -> list[Job]:
    """The job with this name, or those that match. Raises UsageError if nothing was named at all."""
    if name is not None:
        if query != JobQuery():
            raise UsageError("name a job or give filters, not both")
        return [store.resolve(name)]
    if query == JobQuery():
        raise UsageError(
            "say what to clean up", hint="Name a job, or give --status, --since, --source or --cause."
        )
    return [row.job for row in islice(store.scan(job_filter(query, store.now())), limit)]


def prepare(
    planner: Planner, cleaner: Cleaner, jobs: Sequence[Job], terms: Terms, *, batch: bool
) -> Prepared:
    """Look at the jobs. Those with an unfinished cleanup keep its plan. Reads only."""
    begun = [(job, incident) for job in jobs if (incident := cleaner.unfinished(job)) is not None]
    unfinished = {job.id for job, _ in begun}
    rest = [job for job in jobs if job.id not in unfinished]
    return Prepared(planner.survey(rest, terms).plan, tuple(begun), batch)


def carry_out(cleaner: Cleaner, prepared: Prepared, *, reason: str) -> CleanupResult:
    """Finish what was begun, then apply the rest."""
    done = [cleaner.resume(job, incident) for job, incident in prepared.begun]
    done += cleaner.apply(prepared.fresh, reason=reason)
    return CleanupResult(prepared.shown, tuple(done))


def over_cap(plan: Plan, max_delete: int | None) -> str | None:
    """What is said where the plan would remove more objects than the operator allowed."""
    if max_delete is None or plan.destroyed <= max_delete:
        return None
    return f"the plan removes {plan.destroyed} objects and --max-delete is {max_delete}"


def check_cap(plan: Plan, max_delete: int | None) -> None:
    """Raise Conflict if the plan would remove more objects than the operator allowed."""
    over = over_cap(plan, max_delete)
    if over:
        raise Conflict(
            f"{over}; nothing was done",
            hint="Look at the plan with --dry-run; narrow the filter or raise the cap.",
        )


def check_reason(env: str, reason: str | None) -> None:
    """In production every change says why. Raises UsageError naming the option."""
    if env == "production" and not (reason or "").strip():
        raise UsageError(
            "--reason is missing: in production every cleanup says why",
            hint="Give --reason 'what happened and why this is the fix'; it goes into the incident log.",
        )


def write_plan(plan: Plan, path: Path) -> None:
    """Save a plan for review. Raises UsageError if the file is there or cannot be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(to_json(plan), file, indent=2)
            file.write("\n")
    except OSError as error:
        raise UsageError(
            f"--plan-out {str(path)!r}: {error.strerror or error}", hint="Name a file that is not there yet."
        ) from error


def read_plan(path: Path) -> Plan:
    """A saved plan. Raises UsageError if it cannot be read, Conflict if it is not what was written."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"--apply {str(path)!r}: {error.strerror or error}", hint="Give a file that --plan-out wrote."
        ) from error
    except (ValueError, RecursionError) as error:
        raise Conflict(f"{str(path)!r} is no plan: {error}", hint="Write one with --plan-out.") from error
    return from_json(data)


def _refused(refusal: Refusal) -> IngestError:
    kind = StorageUnavailable if refusal.verdict is Verdict.UNKNOWN else Conflict
    what = f"{refusal.subject} {refusal.ref}" if refusal.ref else f"{refusal.subject}"
    hint = "Check again later, or deeper: --level decode." if kind is StorageUnavailable else None
    return kind(f"{what}: {refusal.reason}", job_id=refusal.job_id or None, hint=hint)
