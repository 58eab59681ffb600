"""What ``--output json`` says: the envelope, and each command's ``data``.

Commands name these types where they build their data, so that mypy holds the code to them, and
docs/reference/schemas/ is generated from them. Nothing imports this module at run time.
Times are RFC 3339 in UTC, sizes are bytes, durations are seconds.
"""

from datetime import datetime
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ingestctl.domain.artifact import ArtifactState, Kind, Verdict
from ingestctl.domain.errors import Retryable
from ingestctl.domain.job import Phase, Status
from ingestctl.domain.verification import Level, Subject


class Error(TypedDict):
    """One error of the envelope."""

    code: str
    """The stable machine name."""
    message: str
    hint: str
    """What to do about it; may be empty."""
    job_id: NotRequired[str]


class Envelope(TypedDict):
    """What every command answers with, usage errors included."""

    schema: Literal["ingestctl/v1"]
    command: str
    status: Literal["ok", "partial", "error"]
    """ok: exit codes 0 and 3. partial: 16. error: all others."""
    exit_code: int
    data: Any
    """The command's own result; null where there is none."""
    errors: list[Error]
    warnings: list[str]


# --- causes


class DiagnosisData(TypedDict):
    """Why something failed, and what to do about it."""

    cause: str
    """A code of docs/reference/causes.md."""
    title: str
    retryable: Retryable
    evidence: str
    """The line that decided."""
    guidance: str
    next: str
    """The command to type; JOB stands for the job's id where there is no job."""
    confidence: Literal["high", "low"]
    retry_after: float | None
    """Seconds the other side asked to wait, where it said so."""


class Explain(TypedDict):
    """``explain``: one diagnosis a message, in order."""

    diagnoses: list[DiagnosisData]


# --- finding jobs


class JobLine(TypedDict):
    """One job of a list."""

    job_id: str
    video_id: str
    status: Status
    ingestion_phase: Phase | None
    cause: str | None
    """Why the last attempt failed; null unless the job is failed."""
    error_message: str | None
    attempt: int | None
    """The latest attempt, from 1; null before the first."""
    lease_live: bool
    """Whether a worker holds the job now."""
    source_type: str
    source_uri: str
    title: str | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


class Jobs(TypedDict):
    """``jobs``: one page."""

    jobs: list[JobLine]
    next: str | None
    """What ``--after`` takes for the next page; null on the last."""


class SourceData(TypedDict):
    """Where a video comes from."""

    type: str
    uri: str
    title: str | None


class JobData(TypedDict):
    """A job with the platform API's keys."""

    id: str
    video_id: str
    type: str
    status: Status
    ingestion_phase: Phase | None
    error_message: str | None
    idempotency_key: str | None
    tenant_id: str | None
    payload: Any
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    updated_at: datetime


class InspectedJob(JobData):
    """The job, with its source."""

    source: SourceData | None


class RunError(TypedDict):
    """What ended an attempt."""

    code: str | None
    message: str | None
    details: dict[str, Any] | None


class AttemptData(TypedDict):
    """One attempt at a job."""

    id: str
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    error: RunError | None
    metadata: dict[str, Any]


class EventData(TypedDict):
    """One line of a job's history."""

    id: str
    job_id: str
    run_id: str | None
    event_type: str
    payload: dict[str, Any]
    created_at: datetime


class ArtifactData(TypedDict):
    """One object as the database has it on record."""

    kind: Kind
    bucket: str
    key: str
    state: ArtifactState
    size_bytes: int | None
    sha256: str | None
    etag: str | None
    content_type: str | None
    stored_at: datetime | None
    verified_at: datetime | None
    verdict: str | None


class LeaseData(TypedDict):
    """Who holds the job."""

    run_id: str
    attempt: int
    owner: str | None
    expires_at: datetime | None
    heartbeat_at: datetime | None
    live: bool


class Inspect(TypedDict):
    """``inspect``: everything on record about one job."""

    job: InspectedJob
    runs: list[AttemptData]
    events: list[EventData]
    artifacts: list[ArtifactData]
    lease: LeaseData | None
    diagnosis: DiagnosisData | None
    next: list[str]
    """Commands to type, most likely first."""


class LogLineData(TypedDict):
    """One line of a job's log."""

    at: datetime | str | None
    """RFC 3339 where the line says when; as it stands in the file otherwise."""
    attempt: int | None
    level: str
    event: str
    fields: dict[str, Any]
    cause: str | None
    """Set on lines that tell why something failed."""


class Logs(TypedDict):
    """``logs``: what happened, line by line."""

    job_id: str
    lines: list[LogLineData]


# --- verification


class FindingData(TypedDict):
    """One line of a verification. Bucket to upload_id name the very thing that was looked at."""

    subject: Subject
    verdict: Verdict
    evidence: str
    """One sentence: how it is known."""
    bucket: str | None
    key: str | None
    size_bytes: int | None
    etag: str | None
    sha256: str | None
    upload_id: str | None
    bytes_intact: bool
    """The bytes were read and have the SHA-256 on record, whatever the verdict."""


class VerifyOne(TypedDict):
    """``verify-artifacts JOB``: one job."""

    job_id: str
    video_id: str
    status: Status
    level: Level
    verdict: Verdict
    """The worst of all findings."""
    checked_at: datetime
    findings: list[FindingData]
    """Video, audio and record, in this order."""
    strays: list[FindingData]
    """Unfinished uploads under the job's keys."""


class VerifyMany(TypedDict):
    """``verify-artifacts`` with filters: many jobs, one after the other."""

    mode: Literal["jobs"]
    level: Level
    checked: int
    counts: dict[Verdict, int]
    """Jobs by verdict."""
    bad: list[VerifyOne]
    not_listed: int
    """How many more are bad than ``bad`` holds."""
    database_pages: int
    complete: bool
    """False when the time was up before the last job."""


class BadRow(FindingData):
    """One thing an audit found: an artifact row without its object, an object without its row, an upload."""

    job_id: str | None
    video_id: str | None


class VerifyListing(TypedDict):
    """``verify-artifacts --all --level exists``: listings against the database."""

    mode: Literal["listing"]
    level: Level
    checked: int
    counts: dict[Verdict, int]
    """Artifact rows by verdict."""
    bad: list[BadRow]
    not_listed: int
    objects: int
    orphans: int
    unfinished_uploads: int
    unrecorded_jobs: int
    listing_requests: int
    upload_listing_requests: int
    database_pages: int
    complete: bool


# --- the worker


class Produced(TypedDict):
    """One object of a finished job."""

    kind: Kind
    bucket: str
    key: str
    size_bytes: int | None
    sha256: str | None
    content_type: str | None
    reused: bool
    """Whether it was there, intact, before this run."""


class RunData(TypedDict):
    """``run JOB``: the end of one run."""

    job_id: str
    video_id: str
    status: Status
    outcome: Literal["succeeded", "unchanged", "failed", "interrupted", "busy"]
    attempt: int | None
    duration_s: float
    artifacts: list[Produced]
    diagnosis: NotRequired[DiagnosisData]


class RunPending(TypedDict):
    """``run --pending``: a round."""

    runs: list[RunData]
    totals: dict[str, int]
    """How many runs ended in each way."""
    stopped: str | None
    """Why the round ended before the queue was empty."""


class Submitted(TypedDict):
    """One job that was created or found."""

    input: str
    job_id: str | None
    video_id: str | None
    status: Status | None
    created: bool


class Submit(TypedDict):
    """``submit``: the jobs, in order."""

    jobs: list[Submitted]


class Demo(TypedDict):
    """``demo``: the same job, twice; ``verdict`` is what was found of its artifacts in between."""

    url: str
    first: RunData
    verdict: str | None
    again: RunData | None
    database: str
    storage: str
