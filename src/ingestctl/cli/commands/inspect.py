"""``ingestctl inspect JOB``: one job, whole (runbook Steps 1 and 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Fields, Lines, Seconds, Size, Table
from ingestctl.domain.errors import Exit

if TYPE_CHECKING:
    from ingestctl.cli.schemas import (
        AttemptData,
        DiagnosisData,
        EventData,
        Inspect,
        JobData,
        LeaseData,
        RunError,
        SourceData,
    )
    from ingestctl.domain.causes import Diagnosis
    from ingestctl.domain.job import Event, Job, Run
    from ingestctl.ops.inspect import JobReport

HELP = "Steps 1-2: status, phase, lease, attempts, cause with evidence, artifacts, and what to type next."
EXITS = exit_status(Exit.NOT_FOUND, Exit.CONFLICT)


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Collect the report, show it."""

    def work(call: Call) -> Result:
        from ingestctl.ops.inspect import inspect

        report = inspect(call.wiring.reader, one_job(job, job_id))
        return Result(_data(report), _blocks(report), quiet_ok=False)

    execute(ctx, "inspect", work, output=output, quiet=quiet)


def _data(report: JobReport) -> Inspect:
    return {
        "job": {**job_data(report.job), "source": _source(report)},
        "runs": [_run(r) for r in report.runs],
        "events": [_event(e) for e in report.events],
        "artifacts": [
            {
                "kind": a.kind,
                "bucket": a.ref.bucket,
                "key": a.ref.key,
                "state": a.state,
                "size_bytes": a.size_bytes,
                "sha256": a.sha256,
                "etag": a.etag,
                "content_type": a.content_type,
                "stored_at": a.stored_at,
                "verified_at": a.verified_at,
                "verdict": a.verdict,
            }
            for a in report.artifacts
        ],
        "lease": _lease(report.lease),
        "diagnosis": diagnosis_data(report.diagnosis) if report.diagnosis else None,
        "next": list(report.next),
    }


def job_data(job: Job) -> JobData:
    """A job with the platform API's keys."""
    return {
        "id": job.id,
        "video_id": job.video_id,
        "type": job.type,
        "status": job.status,
        "ingestion_phase": job.phase,
        "error_message": job.error_message,
        "idempotency_key": job.idempotency_key,
        "tenant_id": job.tenant_id,
        "payload": job.payload,
        "queued_at": job.queued_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def _source(report: JobReport) -> SourceData | None:
    video = report.video
    if video is None:
        return None
    return {"type": video.source_type, "uri": video.source_uri, "title": video.title}


def _run(run: Run) -> AttemptData:
    error: RunError | None = None
    if run.error_code or run.error_message:
        details = None if run.error_details is None else dict(run.error_details)
        error = {"code": run.error_code, "message": run.error_message, "details": details}
    return {
        "id": run.id,
        "attempt": run.attempt,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "error": error,
        "metadata": dict(run.metadata),
    }


def _event(event: Event) -> EventData:
    return {
        "id": event.id,
        "job_id": event.job_id,
        "run_id": event.run_id,
        "event_type": event.event_type,
        "payload": dict(event.payload),
        "created_at": event.created_at,
    }


def diagnosis_data(diagnosis: Diagnosis) -> DiagnosisData:
    """A diagnosis as JSON."""
    return {
        "cause": diagnosis.cause,
        "title": diagnosis.title,
        "retryable": diagnosis.retryable,
        "evidence": diagnosis.evidence,
        "guidance": diagnosis.guidance,
        "next": diagnosis.next,
        "confidence": diagnosis.confidence,
        "retry_after": diagnosis.retry_after,
    }


def _lease(run: Run | None) -> LeaseData | None:
    if run is None:
        return None
    return {
        "run_id": run.id,
        "attempt": run.attempt,
        "owner": run.owner,
        "expires_at": run.lease_expires_at,
        "heartbeat_at": run.heartbeat_at,
        "live": run.lease_live,
    }


def _blocks(report: JobReport) -> list[Block]:
    job, video = report.job, report.video
    blocks: list[Block] = [
        Fields(
            [
                ("job", job.id),
                ("status", job.status),
                ("phase", job.phase),
                ("video", job.video_id),
                ("source", video.source_uri if video else None),
                ("title", video.title if video else None),
                ("queued", job.queued_at),
                ("started", job.started_at),
                ("finished", job.finished_at),
                *_lease_pairs(report.lease),
            ]
        )
    ]
    if report.diagnosis:
        diagnosis = report.diagnosis
        pairs = [
            ("cause", f"{diagnosis.title} ({diagnosis.cause})"),
            ("retryable", diagnosis.retryable),
            ("error", job.error_message),
            ("evidence", diagnosis.evidence if diagnosis.evidence != job.error_message else None),
            ("guidance", diagnosis.guidance),
        ]
        blocks.append(Fields(pairs, title="why it failed"))
    if report.runs:
        columns = ("attempt", "run status", "run started", "took", "phases", "error")
        blocks.append(Table(columns, [_attempt(r, report) for r in report.runs], title="attempts"))
    if report.artifacts:
        rows = [
            (a.kind, a.state, str(a.ref), Size(a.size_bytes), a.verdict, a.verified_at)
            for a in report.artifacts
        ]
        blocks.append(
            Table(("artifact", "state", "object", "size", "verdict", "verified"), rows, title="artifacts")
        )
    blocks.append(Lines(["next:", *(f"  {command}" for command in report.next)]))
    return blocks


def _lease_pairs(lease: Run | None) -> list[tuple[str, Any]]:
    if lease is None:
        return []
    state = "live" if lease.lease_live else "expired: nobody works on it"
    return [("lease", state), ("owner", lease.owner), ("heartbeat", lease.heartbeat_at)]


def _attempt(run: Run, report: JobReport) -> tuple[Any, ...]:
    took = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    phases = " ".join(
        f"{e.payload.get('phase')} {e.payload.get('duration_s')}s"
        for e in report.events
        if e.run_id == run.id and e.payload.get("phase") and e.payload.get("duration_s") is not None
    )
    return run.attempt, run.status, run.started_at, Seconds(took), phases, run.error_code
