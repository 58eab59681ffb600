"""What a run is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from ingestctl.domain.source import Buckets

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.artifact import Kind, ObjectRef
    from ingestctl.domain.causes import Diagnosis
    from ingestctl.domain.errors import IngestError
    from ingestctl.domain.job import Phase, Status


@dataclass(frozen=True, slots=True)
class Options:
    """How runs are made. All times in seconds, sizes in bytes."""

    scratch_root: Path
    owner: str
    """Who holds the lease: host, process id and a random part."""
    provider: str = "filesystem"
    buckets: Buckets = Buckets()  # noqa: RUF009  (frozen, so one shared instance is safe)
    lease_s: float = 60.0
    heartbeat_s: float = 10.0
    stale_after_s: float = 3600.0
    max_run_s: float = 6 * 3600.0
    max_attempts: int = 5
    retry_attempts: int = 3
    retry_base_s: float = 1.0
    retry_max_s: float = 60.0
    min_free_bytes: int = 512 * 1024 * 1024
    accept_audio_only: bool = False
    hand_off: bool = False


class Outcome(StrEnum):
    """How a run ended, for people and machines."""

    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One object of a finished job; ``reused`` where it was there, intact, before this run."""

    kind: Kind
    ref: ObjectRef
    size_bytes: int | None
    sha256: str | None
    content_type: str | None
    reused: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of one run. ``error`` is what ended it, where it did not end well."""

    job_id: str
    video_id: str
    status: Status
    outcome: Outcome
    attempt: int | None
    duration_s: float
    artifacts: tuple[StoredArtifact, ...] = ()
    diagnosis: Diagnosis | None = None
    error: IngestError | None = None


class Observer(Protocol):
    """Told how a run goes: for progress bars, log lines and metrics. Called from several threads."""

    def run_started(self, job_id: str, run_id: str, attempt: int) -> None:
        """A claim succeeded and work begins."""
        ...

    def phase_started(self, job_id: str, run_id: str, phase: Phase) -> None:
        """The attempt entered a phase."""
        ...

    def bytes_moved(self, job_id: str, done: int, total: int | None) -> None:
        """Bytes of the current phase so far, and the total where it is known."""
        ...

    def note(self, job_id: str, run_id: str, event: str, **fields: object) -> None:
        """Anything else worth a log line: ``event`` is a short stable name."""
        ...

    def run_ended(self, result: RunResult) -> None:
        """The run is over, in whatever way."""
        ...
