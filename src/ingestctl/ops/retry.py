"""``retry``: check, then put a job back in the queue, with an event that says who, why and from what."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from ingestctl.domain.errors import Busy, Conflict, Exit, IngestError
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ingestctl.api.base import Ingested, PlatformApi
    from ingestctl.db.base import JobFilter, JobRow
    from ingestctl.domain.job import Job
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.preflight import Case, Check, Preflight, RetryStore


class RetryOutcome(StrEnum):
    """What a retry came to."""

    REQUEUED = "requeued"
    RESUBMITTED = "resubmitted"
    """Handed to the platform's API, which decides what becomes of it."""
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"
    """The platform's API did not take it, or could not be asked."""
    ALLOWED = "allowed"
    """A dry run: every check would let it pass."""


class Refused(Conflict):
    """A check before the retry failed; nothing was done."""

    code = "retry_refused"


@dataclass(frozen=True, slots=True)
class RetryResult:
    """One job's retry: the checklist, and what was done."""

    job_id: str
    outcome: RetryOutcome
    from_status: Status
    checks: Sequence[Check] = ()
    error: IngestError | None = None
    submitted: Ingested | None = None

    @property
    def exit(self) -> Exit:
        """0 when queued (or it was), else the refusal's or the API's."""
        return self.error.exit if self.error else Exit.DONE


@dataclass(frozen=True, slots=True)
class Preview:
    """What a retry of many would touch: at most ``limit`` of all that match."""

    matching: int
    chosen: Sequence[JobRow]
    causes: Mapping[str, int]
    """Of the chosen, by cause of the last failure."""


class Retrier:
    """Retries jobs, through the database or through the platform's API."""

    def __init__(
        self, store: RetryStore, preflight: Preflight, *, actor: str, api: PlatformApi | None = None
    ) -> None:
        self._store = store
        self._preflight = preflight
        self._actor = actor
        self._api = api

    def retry(self, job: Job, *, reason: str, anyway: bool = False, dry_run: bool = False) -> RetryResult:
        """Check this job and put it back in the queue. A queued job is left as it is.

        A check that cannot tell does not stop the retry. ``anyway`` overrules failures that may be
        overruled: never a live owner, a whole success, or a store that cannot be written.
        """
        if job.status is Status.QUEUED:
            return RetryResult(job.id, RetryOutcome.UNCHANGED, job.status)
        case = self._preflight.case(job)
        checks = self._preflight.checks(case)
        stops = [c for c in checks if c.verdict == "fail" and not (anyway and c.covered)]
        if stops:
            return _refused(job, checks, f"{stops[0].id}: {stops[0].detail}", stops[0].hint)
        if dry_run:
            return RetryResult(job.id, RetryOutcome.ALLOWED, job.status, checks)
        overruled = [c.id for c in checks if c.verdict == "fail"]
        if self._api is not None:
            return self._resubmit(case, checks, self._api, reason, overruled)
        try:
            changed = self._store.reset(
                job.id,
                expect=job.status,
                actor=self._actor,
                reason=reason,
                details={"checks": {c.id: c.verdict for c in checks}, "overruled": overruled},
            )
        except (Busy, Conflict) as error:  # it changed while it was looked at
            return _refused(job, checks, error.message, error.hint)
        outcome = RetryOutcome.REQUEUED if changed else RetryOutcome.UNCHANGED
        return RetryResult(job.id, outcome, job.status, checks)

    def _resubmit(
        self, case: Case, checks: Sequence[Check], api: PlatformApi, reason: str, overruled: Sequence[str]
    ) -> RetryResult:
        job = case.job
        if case.spec is None:
            return _refused(job, checks, case.problem, "Correct jobs.payload first.")
        # The same until there is another attempt: a lost reply, asked again, finds the first answer.
        external_id = f"retry:{job.id}:{len(case.runs)}"
        try:
            answer = api.ingest(
                case.spec.source,
                external_id=external_id,
                submitted_by=self._actor,
                provider=case.spec.provider,
                metadata=case.spec.metadata,
            )
        except IngestError as error:
            error.job_id = error.job_id or job.id
            return RetryResult(job.id, RetryOutcome.FAILED, job.status, checks, error)
        details = {"checks": {c.id: c.verdict for c in checks}, "overruled": list(overruled)}
        said = {"actor": self._actor, "reason": reason, "from": job.status, "as": answer.job_id}
        new = self._store.resubmitted(job.id, external_id=external_id, payload={**said, "details": details})
        # A replay that is not on record is our own first request, whose answer never came.
        outcome = RetryOutcome.RESUBMITTED if new else RetryOutcome.UNCHANGED
        return RetryResult(job.id, outcome, job.status, checks, submitted=answer)

    def preview(self, where: JobFilter, limit: int) -> Preview:
        """Which jobs a retry by filter would touch. The rest of those that match is only counted."""
        rows = self._store.scan(where)
        chosen = list(islice(rows, limit))
        causes = Counter(row.error_code or "none recorded" for row in chosen)
        return Preview(len(chosen) + sum(1 for _ in rows), chosen, dict(causes.most_common()))

    def retry_many(
        self,
        chosen: Sequence[JobRow],
        stop: Stop,
        *,
        reason: str,
        anyway: bool,
        per_minute: float | None,
    ) -> Iterator[RetryResult]:
        """Retry each job as it is now, at most ``per_minute`` a minute; a refusal does not stop the rest."""
        pause = 0.0
        for row in chosen:
            if pause:
                stop.wait(pause)
            stop.check()
            job = self._store.job(row.job.id)
            if job is None:
                continue
            result = self.retry(job, reason=reason, anyway=anyway)
            yield result
            moved = result.outcome in (RetryOutcome.REQUEUED, RetryOutcome.RESUBMITTED)
            pause = 60.0 / per_minute if per_minute and moved else 0.0


def exit_of(results: Sequence[RetryResult]) -> Exit:
    """0 when all are queued, 16 when some are not, the refusals' own when none is."""
    bad = {r.exit for r in results if r.error}
    if not bad:
        return Exit.DONE
    return bad.pop() if len(bad) == 1 and all(r.error for r in results) else Exit.PARTIAL


def _refused(job: Job, checks: Sequence[Check], why: str, hint: str) -> RetryResult:
    error = Refused(f"job {job.id} is not retried: {why}", hint=hint, job_id=job.id)
    return RetryResult(job.id, RetryOutcome.REFUSED, job.status, checks, error)
