"""The operator's side of the job store: audits, incidents, and the facts behind escalation.

Same rules as :mod:`ingestctl.db.base`: one short transaction a method, the database's clock, our
errors, one suite on SQLite and PostgreSQL. Implemented by the same object that is the JobStore.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ingestctl.db.base import JobStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ingestctl.db.base import JobFilter, JobRow
    from ingestctl.domain.artifact import Artifact, ObjectRef, Verdict
    from ingestctl.domain.job import Video
    from ingestctl.domain.verification import Level

Severity = Literal["SEV-1", "SEV-2", "SEV-3", "SEV-4"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One object's verdict, to be recorded on its artifact row."""

    ref: ObjectRef
    verdict: Verdict
    level: Level


class AuditStore(Protocol):
    """What a fleet check asks of the database. Every scan is keyset pages, flat in memory."""

    def artifact_buckets(self) -> Sequence[str]:
        """Buckets that artifact rows name."""
        ...

    def scan_artifacts(self, bucket: str, *, start_after: str = "", batch: int = 1000) -> Iterator[Artifact]:
        """Artifact rows of one bucket in UTF-8 byte order of keys: the order a listing has."""
        ...

    def scan_unrecorded(self, where: JobFilter, *, batch: int = 1000) -> Iterator[JobRow]:
        """Succeeded ingest jobs that lack a ``stored`` artifact row for video or audio, in id order."""
        ...

    def scan_least_verified(
        self, where: JobFilter, *, verified_before: datetime, batch: int = 200
    ) -> Iterator[JobRow]:
        """Succeeded jobs never verified, or last verified before that moment; longest ago first.

        Jobs without artifact rows, of which no check can be recorded, come last.
        """
        ...

    def artifacts_at(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Artifact]:
        """The artifact rows of these objects, whichever video they are for."""
        ...

    def lacks_metadata(self, video_id: str) -> bool:
        """Whether the video row is there and its ``metadata`` is NULL (or JSON ``null``)."""
        ...

    def videos_of_keys(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Sequence[str]]:
        """Of these objects, those that video rows point to, with the ids of all those videos, sorted.

        A row points by storage_bucket and storage_key, or by bucket and key in storage_ref. What others
        have written there (NULL, no object, values of other types) names nothing and is no error.
        """
        ...

    def videos_of_payloads(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Sequence[str]]:
        """Of these objects, those that payloads of jobs name as theirs, with the ids of those jobs' videos.

        A payload that names a key and no bucket may mean any. What others have written there is no error.
        """
        ...

    def twins(self, video: Video) -> Sequence[Video]:
        """Other videos that hold the same media: the same source in another spelling, or an artifact row
        with the same SHA-256."""
        ...

    def record_checks(self, checks: Sequence[Checked]) -> None:
        """Store verdict, level and the time on artifact rows, in batches."""
        ...


class OperatorStore(JobStore, AuditStore, Protocol):
    """The job store with what its operator asks of it."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One entry of the incident log."""

    id: str
    kind: str
    """``cleanup`` or ``escalation``, or what a person called it."""
    status: Literal["open", "closed"]
    severity: Severity
    title: str
    reason: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None = None
    job_id: str | None = None
    video_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentEntry:
    """One append-only line of an incident: a note, a step begun, a step done, closed, undone."""

    id: str
    incident_id: str
    at: datetime
    actor: str
    kind: str
    payload: Mapping[str, Any]


class IncidentStore(Protocol):
    """The incident log. Entries are never changed or deleted."""

    def open_incident(self, incident: Incident) -> Incident:
        """Write a new incident (``opened_at`` is the database's). The id is the caller's, so that the same
        call again after a lost reply finds it instead of opening another."""
        ...

    def note_incident(
        self, incident_id: str, *, actor: str, kind: str, payload: Mapping[str, Any]
    ) -> IncidentEntry:
        """Append an entry. NotFound if there is no such incident."""
        ...

    def close_incident(self, incident_id: str, *, actor: str, payload: Mapping[str, Any]) -> bool:
        """Close it, with an entry. False (nothing written) if it was closed already."""
        ...

    def incident(self, name: str) -> Incident:
        """By id or unique prefix. NotFound, or Conflict listing the matches."""
        ...

    def incident_entries(self, incident_id: str) -> Sequence[IncidentEntry]:
        """Entries, oldest first."""
        ...

    def incidents(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        job_id: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[Incident]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True)
class FailureFact:
    """One ended attempt, as the escalation rules see it."""

    job_id: str
    run_id: str
    source: str
    """Host, or ``uploads``."""
    at: datetime
    cause: str | None
    """None for an attempt that succeeded."""
    owner: str | None


class FactStore(Protocol):
    """What the escalation rules are computed from."""

    def attempts_between(
        self, since: datetime, until: datetime, *, batch: int = 5000
    ) -> Iterator[FailureFact]:
        """Ingest attempts that ended in ``[since, until)``, oldest first, keyset pages."""
        ...

    def bad_checks_between(self, since: datetime, until: datetime) -> tuple[int, int, Sequence[str]]:
        """Of the artifacts verified in that time: how many, how many corrupt or partial, and their jobs.

        With those that a cleanup found so in that time, whose rows it forgot. No object counts twice.
        """
        ...

    def check_writable(self) -> None:
        """Raise DatabaseRefused or DatabaseUnavailable unless jobs can be written (nothing is)."""
        ...
