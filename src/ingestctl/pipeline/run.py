"""From a job's name to its end: claim, keep the claim, work, and settle what became of it."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingestctl.db.base import RunError
from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.causes import Diagnosis, diagnose
from ingestctl.domain.errors import (
    BucketMissing,
    Canceled,
    Conflict,
    DeadlineExceeded,
    IngestError,
    Interrupted,
    LeaseUnrenewed,
    LostAuthority,
    NotFound,
    Unexpected,
    UploadLost,
    VerificationFailed,
)
from ingestctl.domain.job import Job, Lease, Status
from ingestctl.domain.source import parse_payload
from ingestctl.domain.stop import Stop
from ingestctl.pipeline.attempt import Attempt
from ingestctl.pipeline.evidence import still_there
from ingestctl.pipeline.journal import Journal
from ingestctl.pipeline.model import Outcome, RunResult, StoredArtifact
from ingestctl.pipeline.ownership import Ownership
from ingestctl.pipeline.scratch import FULL, folder_of, scratch_error, scratch_folder, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingestctl.db.base import Claim
    from ingestctl.pipeline.services import Services

SETTLE_S = 10.0
"""How long the end of an attempt is offered to a database that is away, before the lease must tell."""


class Pipeline:
    """Runs jobs. One instance serves many runs, also at the same time from several threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._active: dict[str, Lease] = {}

    def run(self, job_id: str, stop: Stop) -> RunResult:
        """Bring one job to its end, or say why that is not for us to do.

        Raises NotFound, Busy, Conflict (canceled, or not an ingest job), VerificationFailed (succeeded,
        but its artifacts are not there), and what the database raises before there is a claim. Whatever
        happens after the claim is told by the result.
        """
        began = time.monotonic()
        if job := self._succeeded(job_id):
            return self._unchanged(job, began, stop)
        options = self._services.options
        claimed_at = time.monotonic()
        try:
            claim = self._services.store.claim(
                job_id, owner=options.owner, lease_s=options.lease_s, stale_after_s=options.stale_after_s
            )
        except Conflict:
            if job := self._succeeded(job_id):  # by another, since we looked
                return self._unchanged(job, began, stop)
            raise
        return self._work(claim, claimed_at, stop)

    def _succeeded(self, job_id: str) -> Job | None:
        job = self._services.store.job(job_id)
        return job if job is not None and job.status is Status.SUCCEEDED else None

    def run_next(self, stop: Stop, exclude: Sequence[str] = ()) -> RunResult | None:
        """Claim and run the longest-queued job; None when there is none."""
        options = self._services.options
        claimed_at = time.monotonic()
        claim = self._services.store.claim_next(
            owner=options.owner,
            lease_s=options.lease_s,
            stale_after_s=options.stale_after_s,
            max_attempts=options.max_attempts,
            exclude=exclude,
        )
        return None if claim is None else self._work(claim, claimed_at, stop)

    def check_storage(self) -> None:
        """Raise StorageUnavailable or StorageRefused unless storage answers for the buckets in use."""
        buckets = self._services.options.buckets
        for bucket in dict.fromkeys((buckets.video, buckets.audio)):
            with suppress(BucketMissing):  # jobs may name buckets of their own
                self._services.storage.stat(ObjectRef(bucket, ".ingestctl/is-it-there"))

    def abandon(self, reason: str) -> None:
        """Give back every job still claimed here, without waiting for its threads. The process ends next."""
        for lease in list(self._active.values()):
            with suppress(IngestError):
                self._services.store.release(lease, reason=reason)
            shutil.rmtree(folder_of(self._services.options.scratch_root, lease.run_id), ignore_errors=True)

    # --- one attempt

    def _work(self, claim: Claim, claimed_at: float, stop: Stop) -> RunResult:
        journal = Journal(self._services.observer, self._services.redact)
        services, lease, began = replace(self._services, observer=journal), claim.lease, time.monotonic()
        services.observer.run_started(lease.job_id, lease.run_id, lease.attempt)
        if claim.took_over:
            services.observer.note(
                lease.job_id,
                lease.run_id,
                "took_over",
                attempt=claim.took_over.attempt,
                owner=claim.took_over.owner,
            )
        self._active[lease.run_id] = lease
        # The lease ends with the attempt, the request to stop with the process: each attempt has its own.
        mine = Stop()
        ownership = Ownership(
            services.store, lease, mine, every_s=services.options.heartbeat_s, claimed_at=claimed_at
        )
        try:
            with stop.on_stop(lambda: mine.ask(stop.error or Interrupted("asked to stop"))), ownership:
                result = self._attempt(services, journal, claim, ownership, mine, began)
        finally:
            del self._active[lease.run_id]
        services.observer.run_ended(result)
        return result

    def _attempt(
        self,
        services: Services,
        journal: Journal,
        claim: Claim,
        ownership: Ownership,
        stop: Stop,
        began: float,
    ) -> RunResult:
        options, lease, attempt = services.options, claim.lease, None
        try:
            with (
                _deadline(stop, options.max_run_s, f"job {lease.job_id}"),
                scratch_folder(
                    options.scratch_root, lease.run_id, min_free_bytes=options.min_free_bytes
                ) as folder,
            ):
                attempt = Attempt(services, journal, claim, ownership, folder, stop)
                artifacts = attempt.work()
        except Exception as error:  # noqa: BLE001  (the worker's edge: every failure must be settled)
            # What asked to stop is the reason; what it broke on the way down is not.
            ended = attempt.ended() if attempt else None
            return self._settle(lease, stop.error or error, ended, journal, began)
        return self._result(lease, Status.SUCCEEDED, Outcome.SUCCEEDED, began, artifacts=artifacts)

    def _settle(
        self, lease: Lease, error: Exception, ended: Any, journal: Journal, began: float
    ) -> RunResult:
        """Write down how the attempt ended, if that is still ours to write."""
        if isinstance(error, OSError) and error.errno in FULL:  # whatever else writes names its own errors
            error = scratch_error(self._services.options.scratch_root, error)
        diagnosis = diagnose(error)
        if isinstance(error, LeaseUnrenewed):
            return self._result(
                lease, Status.RUNNING, Outcome.FAILED, began, error=error, diagnosis=diagnosis
            )
        if isinstance(error, LostAuthority | UploadLost):
            return self._lost(lease, error, began)
        if isinstance(error, IngestError):
            error.job_id = error.job_id or lease.job_id
        ours = error if isinstance(error, IngestError) else _unexpected(error, diagnosis)
        try:
            if isinstance(error, Interrupted):
                self._finally(lambda: self._services.store.release(lease, reason=error.message))
                return self._result(lease, Status.QUEUED, Outcome.INTERRUPTED, began, error=error)
            run_error = self._run_error(ours, diagnosis)
            metadata = journal.metadata(owner=lease.owner)
            self._finally(
                lambda: self._services.store.fail(lease, run_error, ended=ended, run_metadata=metadata)
            )
        except LostAuthority as lost:
            return self._lost(lease, lost, began)
        except IngestError as unsaid:
            self._services.observer.note(
                lease.job_id, lease.run_id, "end_not_recorded", error=self._services.redact(unsaid.message)
            )
            outcome = Outcome.INTERRUPTED if isinstance(error, Interrupted) else Outcome.FAILED
            return self._result(lease, Status.RUNNING, outcome, began, error=ours, diagnosis=diagnosis)
        return self._result(lease, Status.FAILED, Outcome.FAILED, began, error=ours, diagnosis=diagnosis)

    def _lost(self, lease: Lease, error: IngestError, began: float) -> RunResult:
        """The job is somebody else's now: another worker's, or canceled by the orchestrator."""
        status = Status.RUNNING
        with suppress(IngestError):
            if (job := self._services.store.job(lease.job_id)) is not None:
                status = job.status
        if status is Status.CANCELED:
            error = Canceled(
                f"job {lease.job_id} was canceled while it ran; attempt {lease.attempt} stopped",
                job_id=lease.job_id,
            )
            return self._result(lease, status, Outcome.INTERRUPTED, began, error=error)
        return self._result(lease, status, Outcome.BUSY, began, error=error)

    def _finally(self, write: Any) -> None:
        """A last write, on a stop of its own: the run's has been asked for already."""
        last = Stop()
        with _deadline(last, SETTLE_S, "writing down the attempt"):
            self._services.patient(write, last)

    def _run_error(self, error: IngestError, diagnosis: Diagnosis) -> RunError:
        redact = self._services.redact
        details = {
            "error": error.code,
            "title": diagnosis.title,
            "retryable": diagnosis.retryable,
            "evidence": redact(diagnosis.evidence),
            "hint": redact(error.advice),
            "next": diagnosis.next,
            "confidence": diagnosis.confidence,
            "retry_after_s": diagnosis.retry_after,
        }
        return RunError(
            code=diagnosis.cause,
            message=redact(error.message),
            details={k: v for k, v in details.items() if v not in (None, "")},
        )

    def _result(
        self,
        lease: Lease,
        status: Status,
        outcome: Outcome,
        began: float,
        *,
        artifacts: tuple[StoredArtifact, ...] = (),
        error: IngestError | None = None,
        diagnosis: Diagnosis | None = None,
    ) -> RunResult:
        return RunResult(
            job_id=lease.job_id,
            video_id=lease.video_id,
            status=status,
            outcome=outcome,
            attempt=lease.attempt,
            duration_s=round(time.monotonic() - began, 3),
            artifacts=artifacts,
            diagnosis=diagnosis,
            error=error,
        )

    # --- a job that is done

    def _unchanged(self, job: Job, began: float, stop: Stop) -> RunResult:
        """A succeeded job: ask the store for both objects, write nothing."""
        sweep(self._services.options.scratch_root)  # a worker may have died right after its commit
        artifacts = []
        services, rows = self._services, self._services.store.artifacts(job.video_id)
        video = services.store.video(job.video_id)
        if video is None:
            raise NotFound(f"the video {job.video_id} of job {job.id} is gone", job_id=job.id)
        spec = parse_payload(
            job.payload,
            video_id=video.id,
            source_type=video.source_type,
            source_uri=video.source_uri,
            buckets=services.options.buckets,
        )
        for kind, ref in ((Kind.VIDEO, spec.video), (Kind.AUDIO, spec.audio)):
            stop.check()
            info = still_there(services.storage, ref, kind, video, rows, stop)
            if info is None:
                raise VerificationFailed(
                    f"job {job.id} succeeded, and its {kind} is missing or changed: {ref}",
                    job_id=job.id,
                    hint=f"Look with `ingestctl verify-artifacts {job.id}`, then `ingestctl retry {job.id}`.",
                )
            digest = next((row.sha256 for row in rows if row.ref == ref), None)
            artifacts.append(
                StoredArtifact(kind, ref, info.size_bytes, digest, info.content_type, reused=True)
            )
        return RunResult(
            job_id=job.id,
            video_id=job.video_id,
            status=job.status,
            outcome=Outcome.UNCHANGED,
            attempt=None,
            duration_s=round(time.monotonic() - began, 3),
            artifacts=tuple(artifacts),
        )


def _unexpected(error: Exception, diagnosis: Diagnosis) -> IngestError:
    wrapped = Unexpected(
        f"{type(error).__name__}: {error}",
        cause=diagnosis.cause,
        retryable=diagnosis.retryable,
        evidence=diagnosis.evidence,
    )
    wrapped.__cause__ = error
    return wrapped


@contextmanager
def _deadline(stop: Stop, seconds: float, what: str) -> Iterator[None]:
    """Ask ``stop`` with DeadlineExceeded unless the block ends within ``seconds``."""
    error = DeadlineExceeded(
        f"{what} did not end within {seconds:.0f} s", hint="Raise INGESTCTL_MAX_RUN_SECONDS."
    )
    timer = threading.Timer(seconds, stop.ask, [error])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
