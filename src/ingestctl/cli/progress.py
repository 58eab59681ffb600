"""Progress bars on a terminal: one line a job, on stderr."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from ingestctl.cli.pretty import console
from ingestctl.cli.text import safe_text

if TYPE_CHECKING:
    from types import TracebackType

    from ingestctl.domain.job import Phase
    from ingestctl.pipeline import RunResult


class Bars:
    """An observer that draws. Use as a context manager: the lines are gone afterwards."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[job]}  {task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def run_started(self, job_id: str, run_id: str, attempt: int) -> None:  # noqa: ARG002
        """See Observer."""
        with self._lock:
            label = safe_text(job_id, 12)
            self._tasks[job_id] = self._progress.add_task(f"attempt {attempt}", total=None, job=label)

    def phase_started(self, job_id: str, run_id: str, phase: Phase) -> None:  # noqa: ARG002
        """See Observer."""
        self._progress.reset(self._tasks[job_id], total=None, description=phase.value)

    def bytes_moved(self, job_id: str, done: int, total: int | None) -> None:
        """See Observer."""
        self._progress.update(self._tasks[job_id], completed=done, total=total)

    def note(self, job_id: str, run_id: str, event: str, **fields: object) -> None:  # noqa: ARG002
        """See Observer."""
        words = " ".join(f"{k}={v}" for k, v in fields.items())
        self._progress.console.print(safe_text(f"{job_id}: {event.replace('_', ' ')} {words}"))

    def run_ended(self, result: RunResult) -> None:
        """See Observer."""
        with self._lock:
            self._progress.remove_task(self._tasks.pop(result.job_id))
