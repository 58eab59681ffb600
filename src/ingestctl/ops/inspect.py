"""``inspect``: everything on record about one job, why it failed, and what to type next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingestctl.domain.causes import CAUSES, Diagnosis, diagnose
from ingestctl.domain.job import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestctl.db.base import JobFacts
    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.job import Event, Job, Run, Video


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job as an engineer wants to see it."""

    job: Job
    video: Video | None
    runs: Sequence[Run]
    events: Sequence[Event]
    artifacts: Sequence[Artifact]
    lease: Run | None
    """The running attempt, if there is one; ``lease_live`` says whether its owner still renews it."""
    diagnosis: Diagnosis | None
    next: Sequence[str]


def inspect(store: JobFacts, name: str) -> JobReport:
    """Collect the report for the job with this id or unique prefix. Raises NotFound, Conflict."""
    job = store.resolve(name)
    runs = store.runs(job.id)
    holder = next((r for r in reversed(runs) if r.status == "running"), None)
    diagnosis = last_diagnosis(job, runs)
    return JobReport(
        job=job,
        video=store.video(job.video_id),
        runs=runs,
        events=store.events(job.id),
        artifacts=store.artifacts(job.video_id),
        lease=holder if job.status is Status.RUNNING else None,
        diagnosis=diagnosis,
        next=what_next(job, holder, diagnosis),
    )


def last_diagnosis(job: Job, runs: Sequence[Run]) -> Diagnosis | None:
    """Why the latest attempt failed: as its worker stored it, else read from the message it left."""
    last = runs[-1] if runs else None
    if job.status is Status.SUCCEEDED or (job.status is Status.QUEUED and not (last and last.error_code)):
        return None
    if last is not None and last.status == "failed":
        return stored_diagnosis(last)
    return diagnose(job.error_message) if job.error_message else None


def stored_diagnosis(run: Run) -> Diagnosis:
    """The diagnosis an attempt was ended with; other workers' codes are read as text."""
    text = run.error_message or run.error_code or ""
    details = run.error_details or {}
    cause = CAUSES.get(run.error_code or "")
    if cause is None:
        return diagnose(text)
    retryable = details.get("retryable")
    return Diagnosis(
        cause=cause.code,
        title=cause.title,
        retryable=retryable if retryable in ("yes", "after-fix", "no") else cause.retryable,
        evidence=str(details.get("evidence") or text),
        guidance=str(details.get("hint") or cause.guidance),
        next=str(details.get("next") or cause.next),
        confidence="low" if details.get("confidence") == "low" else "high",
        retry_after=details.get("retry_after_s")
        if isinstance(details.get("retry_after_s"), int | float)
        else None,
    )


def what_next(job: Job, holder: Run | None, diagnosis: Diagnosis | None) -> tuple[str, ...]:
    """The commands an engineer would type next, most likely first."""
    if job.status is Status.QUEUED:
        return (f"ingestctl run --job-id {job.id}",)
    if job.status is Status.RUNNING:
        if holder is not None and holder.lease_live:
            return (f"ingestctl logs {job.id} --follow",)
        return (f"ingestctl run --job-id {job.id}", f"ingestctl logs {job.id}")
    if job.status is Status.SUCCEEDED:
        return (f"ingestctl verify-artifacts {job.id}",)
    if job.status is Status.CANCELED:
        return (f"ingestctl retry {job.id} --anyway --reason 'why it should run after all'",)
    first = diagnosis.next.replace("JOB", job.id) if diagnosis else ""
    rest = [f"ingestctl logs {job.id}", f"ingestctl verify-artifacts {job.id}", f"ingestctl retry {job.id}"]
    if diagnosis and diagnosis.retryable == "no":
        rest.pop()  # it would be refused
    here = f"ingestctl inspect {job.id}"
    return tuple(dict.fromkeys(command for command in (first, *rest) if command not in ("", here)))


def for_job(diagnosis: Diagnosis, job_id: str) -> Diagnosis:
    """The same diagnosis with the job's id where the table says ``JOB``."""
    return replace(diagnosis, next=diagnosis.next.replace("JOB", job_id))
