"""The lines an attempt leaves in the database, so that `logs JOB` can show them after the worker is gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingestctl.domain.job import Phase
    from ingestctl.domain.redact import Redactor
    from ingestctl.pipeline.model import Observer, RunResult

MAX_LINES = 200
"""Kept lines per attempt; the first ones tell how it began to go wrong."""


class Journal:
    """An observer that passes everything on and keeps the notes."""

    def __init__(self, observer: Observer, redact: Redactor) -> None:
        self._observer = observer
        self._redact = redact
        self.lines: list[dict[str, Any]] = []

    def run_started(self, job_id: str, run_id: str, attempt: int) -> None:
        """See Observer."""
        self._observer.run_started(job_id, run_id, attempt)

    def phase_started(self, job_id: str, run_id: str, phase: Phase) -> None:
        """See Observer."""
        self._observer.phase_started(job_id, run_id, phase)

    def bytes_moved(self, job_id: str, done: int, total: int | None) -> None:
        """See Observer."""
        self._observer.bytes_moved(job_id, done, total)

    def note(self, job_id: str, run_id: str, event: str, **fields: object) -> None:
        """See Observer; the line is kept, redacted."""
        if len(self.lines) < MAX_LINES:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.lines.append({"at": at, "event": event, **self._redact.data(fields)})
        self._observer.note(job_id, run_id, event, **fields)

    def run_ended(self, result: RunResult) -> None:
        """See Observer."""
        self._observer.run_ended(result)

    def metadata(self, **more: Any) -> dict[str, Any]:
        """The run's metadata: ``more``, and the kept lines under ``log``."""
        return {**more, "log": self.lines} if self.lines else more
