"""Jobs, their attempts and their events, in the platform's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

INGEST = "ingest"
"""The only job type this program touches."""


class Status(StrEnum):
    """The stored job status. The orchestrator and the worker share it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Phase(StrEnum):
    """Where a running attempt is. Only the worker writes it; NULL unless running."""

    DOWNLOADING = "downloading"
    PROCESSING = "processing"
    STORING = "storing"


STATUS_ALIASES = {
    "pending": Status.QUEUED,
    "completed": Status.SUCCEEDED,
    "cancelled": Status.CANCELED,
}
"""The runbook's words, which old rows may hold too, and the other spelling of canceled."""

CLAIMABLE = frozenset({Status.QUEUED, Status.FAILED, Status.RUNNING})
"""Statuses from which a run by id may start; ``running`` only when nobody holds a live lease."""


def parse_status(word: str) -> Status:
    """Return the status that ``word`` means in either vocabulary.

    Raises ValueError naming the accepted words.
    """
    key = word.strip().lower()
    if key in STATUS_ALIASES:
        return STATUS_ALIASES[key]
    try:
        return Status(key)
    except ValueError:
        words = [*(s.value for s in Status), "pending", "completed"]
        raise ValueError(f"{word!r} is not a status; use one of: {', '.join(words)}") from None


def stored_words(status: Status) -> tuple[str, ...]:
    """Every spelling of ``status`` that rows may hold, canonical first."""
    return (status.value, *(w for w, s in STATUS_ALIASES.items() if s is status))


@dataclass(frozen=True, slots=True)
class Job:
    """One row of ``jobs``. ``status`` is canonical even where the row holds an old word."""

    id: str
    video_id: str
    type: str
    status: Status
    phase: Phase | None
    payload: Any
    error_message: str | None
    idempotency_key: str | None
    tenant_id: str | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Video:
    """One row of ``videos``: whose media this is and where the original lies."""

    id: str
    source_type: str
    source_uri: str
    title: str | None = None
    channel: str | None = None
    language: str | None = None
    duration_ms: int | None = None
    published_at: datetime | None = None
    storage_bucket: str | None = None
    storage_key: str | None = None
    storage_ref: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a job: a row of ``job_runs``."""

    id: str
    job_id: str
    attempt: int
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error_message: str | None
    error_details: Mapping[str, Any] | None
    metadata: Mapping[str, Any]
    owner: str | None
    lease_expires_at: datetime | None
    heartbeat_at: datetime | None
    lease_live: bool
    """Whether the lease had not expired, by the database's clock, when this row was read."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the append-only ``job_events``."""

    id: str
    job_id: str
    run_id: str | None
    event_type: str
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """Proof of ownership, returned by a claim. Every later write names it and is refused when it is stale."""

    job_id: str
    video_id: str
    run_id: str
    attempt: int
    owner: str
    seconds: float
