"""The job store's contract. One suite, tests/contracts/test_jobstore.py, runs on SQLite and PostgreSQL.

Every method is one short transaction. Each transition and its event commit
together. All times are the database's. After a claim every write names its
:class:`~ingestctl.domain.job.Lease` and is refused with LostAuthority when
that attempt is no longer the running one. Errors are those of
:mod:`ingestctl.domain.errors`: DatabaseUnavailable where trying again later
may help, DatabaseRefused where it will not, SchemaOutdated on an un-migrated
database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ingestctl.domain.artifact import Artifact, Kind, ObjectRef
    from ingestctl.domain.job import Event, Job, Lease, Phase, Run, Status, Video
    from ingestctl.domain.source import Source


@dataclass(frozen=True, slots=True)
class NewJob:
    """What ``submit`` writes. ``payload`` is built once the video's id is known."""

    source: Source
    video_id: str
    job_id: str
    payload: Mapping[str, Any]
    title: str | None = None
    channel: str | None = None
    language: str | None = None
    submitted_by: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job for a source; ``created`` is False where it was there already."""

    job: Job
    video: Video
    created: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A job this process now owns, with all it needs to work on it."""

    lease: Lease
    job: Job
    video: Video
    took_over: Run | None
    """The expired attempt this claim ended, if any."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What was learned of the video. None keeps what the row holds; a known title is not overwritten."""

    title: str | None = None
    channel: str | None = None
    language: str | None = None
    duration_ms: int | None = None
    published_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Merged into ``videos.metadata`` under the key ``ingest``."""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why an attempt failed, as stored on the run. ``code`` is the cause code."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HandOff:
    """The follow-up job created in the same transaction as success (once, by idempotency key)."""

    type: str
    idempotency_key: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which ingest jobs. Empty means all. Fields are and-ed; values of a field are or-ed."""

    statuses: frozenset[Status] = frozenset()
    phases: frozenset[str] = frozenset()
    causes: frozenset[str] = frozenset()
    """Cause code of the latest attempt."""
    source: str | None = None
    """A host (``youtube.com``), ``uploads``, or a source kind."""
    since: datetime | None = None
    """Queued, started or finished at or after this moment (by ``updated_at``)."""
    until: datetime | None = None
    stuck: bool = False
    """Running with no live lease."""
    id_prefix: str | None = None
    video_id: str | None = None
    url: str | None = None
    """A source URL; compared in the API's normal form and as given."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of jobs, newest ``updated_at`` first; pass ``next`` back as ``after`` for the next page."""

    jobs: Sequence[JobRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """One line of a job list: the job, its source, and its latest attempt in brief."""

    job: Job
    source_type: str
    source_uri: str
    title: str | None
    attempt: int | None
    error_code: str | None
    lease_live: bool


class JobFacts(Protocol):
    """Everything on record about one job."""

    @property
    def url(self) -> str:
        """Where this is, without the password, for people."""
        ...

    def check_schema(self) -> None:
        """Raise SchemaOutdated (naming what is missing) unless the schema is at this program's revision."""
        ...

    def resolve(self, name: str) -> Job:
        """The ingest job with this id or unique id prefix. NotFound, or Conflict listing the matches.

        A job of another type is Conflict: this program never touches it.
        """
        ...

    def video(self, video_id: str) -> Video | None:
        """One video by id."""
        ...

    def runs(self, job_id: str) -> Sequence[Run]:
        """Attempts, oldest first."""
        ...

    def events(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Sequence[Event]:
        """Events, oldest first; ``after`` is the id of the last event already seen."""
        ...

    def artifacts(self, video_id: str) -> Sequence[Artifact]:
        """Artifact rows of one video, in any state."""
        ...


class JobStore(JobFacts, Protocol):
    """Jobs, attempts, events and artifact rows. Thread-safe; connections are pooled per process."""

    def now(self) -> datetime:
        """The database's clock, UTC."""
        ...

    # --- submit and find

    def submit(self, new: NewJob) -> Submitted:
        """Create video and job rows with one ``ingestion.job.submitted`` event.

        If a video with this source (type and URI) exists, its latest ingest job is returned instead,
        or, if it has none, a job is created for it (the payload is then rewritten to that video's id
        by the caller: ``new.video_id`` must equal the existing one, see :meth:`video_of_source`).
        Safe when many submit the same source at once: one creates, all get the same job.
        """
        ...

    def video_of_source(self, source: Source) -> Video | None:
        """The video whose unique (source_type, source_uri) is this source."""
        ...

    def job(self, job_id: str) -> Job | None:
        """One job by its exact id, of any type."""
        ...

    def find(self, where: JobFilter, *, limit: int = 50, after: str | None = None) -> Page:
        """One page of ingest jobs by keyset (never OFFSET)."""
        ...

    def scan(self, where: JobFilter, *, batch: int = 1000) -> Iterator[JobRow]:
        """Every matching ingest job in id order, keyset page by page, flat in memory."""
        ...

    def counts(self) -> Mapping[Status, int]:
        """How many ingest jobs have each status (old words folded in)."""
        ...

    # --- the owner's life

    def claim(self, job_id: str, *, owner: str, lease_s: float, stale_after_s: float) -> Claim:
        """Take this job if nobody else has it, and begin its next attempt.

        Claimable: queued, failed, or running without a live lease (a running attempt of an older worker
        that has no lease counts as live until it has not been updated for ``stale_after_s`` seconds; a
        running job without a running attempt is unowned). One owner per video: another live attempt on
        the same video is Busy. An expired attempt is ended as ``failed`` / ``worker_crashed`` with its
        event. Raises NotFound, Busy, Conflict (canceled, succeeded, or not an ingest job).
        """
        ...

    def claim_next(
        self,
        *,
        owner: str,
        lease_s: float,
        stale_after_s: float,
        max_attempts: int,
        exclude: Sequence[str] = (),
    ) -> Claim | None:
        """Take the longest-queued claimable job (queued, or running with an expired lease), or None.

        Failed jobs are not taken. A job whose last ``max_attempts`` attempts all ended as worker_crashed
        is failed (cause worker_crashed) instead of being started again.
        """
        ...

    def heartbeat(self, lease: Lease) -> None:
        """Extend the lease by ``lease.seconds`` from the database's now. LostAuthority if it is not ours."""
        ...

    def confirm(self, lease: Lease) -> None:
        """Raise LostAuthority unless this attempt is still the running one and its lease is live."""
        ...

    def enter_phase(self, lease: Lease, phase: Phase, *, ended: Mapping[str, Any] | None = None) -> None:
        """Set the phase; one ``ingestion.phase.completed`` for the phase left (payload ``ended``: phase,
        duration_s, bytes) and one ``ingestion.phase.started``, in one transaction."""
        ...

    def record(self, lease: Lease, event_type: str, payload: Mapping[str, Any]) -> None:
        """Append one event under the fence."""
        ...

    def reserve(self, lease: Lease, ref: ObjectRef, kind: Kind) -> None:
        """Reserve a key for this video. Conflict if the key belongs to another video."""
        ...

    def stage(self, lease: Lease, ref: ObjectRef, *, size_bytes: int, sha256: str, content_type: str) -> None:
        """Record, before publishing, exactly what is about to be published under ``ref`` by this run."""
        ...

    def forget_artifact(self, lease: Lease, ref: ObjectRef) -> None:
        """Remove a row whose object was proved not to be there or not to be valid."""
        ...

    def succeed(
        self,
        lease: Lease,
        *,
        facts: VideoFacts,
        artifacts: Sequence[Artifact],
        storage_ref: Mapping[str, Any],
        ended: Mapping[str, Any] | None = None,
        hand_off: HandOff | None = None,
        run_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Commit success: video row (facts, storage_bucket, storage_key, storage_ref), artifact rows as
        ``stored``, run and job ``succeeded``, phase NULL, events, and the hand-off job. All or nothing.

        Nothing is written, and nothing raised, if this attempt has that end already: so it may be called
        again where an answer was lost. The same holds for :meth:`fail` and :meth:`release`."""
        ...

    def fail(
        self,
        lease: Lease,
        error: RunError,
        *,
        ended: Mapping[str, Any] | None = None,
        run_metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """End the attempt as failed: run (code, message, details), job status and error_message, event."""
        ...

    def release(self, lease: Lease, *, reason: str) -> None:
        """Give the job back: run ``canceled`` (code ``interrupted``), job ``queued``, event."""
        ...

    # --- the operator

    def reset(
        self,
        job_id: str,
        *,
        expect: Status,
        actor: str,
        reason: str,
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put a job that nobody owns back to ``queued`` with an ``ingestion.job.requeued`` event naming who,
        why and from which state. False (nothing written) if it is queued already. Busy if a live attempt
        holds it; Conflict if its status is not ``expect`` any more."""
        ...

    def resubmitted(self, job_id: str, *, external_id: str, payload: Mapping[str, Any]) -> bool:
        """Record in one ``ingestion.job.resubmitted`` event that the platform's API was given this job's
        source again under ``external_id``. False (nothing written) if that is on record already."""
        ...

    def close(self) -> None:
        """Release connections. Idempotent."""
        ...
