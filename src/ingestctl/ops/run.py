"""``run``: one job by name, one source, or whatever is queued."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestctl.domain.errors import Busy, Exit, IngestError, VerificationFailed
from ingestctl.pipeline import Outcome, RunResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestctl.db.base import JobStore
    from ingestctl.domain.stop import Stop
    from ingestctl.pipeline import Pipeline


OURS = frozenset({"storage_error", "database_error", "disk_full", "configuration"})
"""Causes that lie with us, not with a source: the next job would fail of the same."""
STOP_AFTER = 2
"""Failures of that kind in a row that end a round, so that an outage does not fail the whole queue."""


@dataclass(frozen=True, slots=True)
class PendingResult:
    """What a round of ``run --pending`` did. ``stopped`` says why it ended before the queue was empty."""

    results: Sequence[RunResult]
    stopped: str | None
    error: IngestError | None = None

    def totals(self) -> dict[str, int]:
        """How many runs ended in each way."""
        return {o.value: sum(r.outcome is o for r in self.results) for o in Outcome}

    def exit(self) -> Exit:
        """0 if all succeeded or nothing was queued, 16 if some failed, the failure's own if all did."""
        if self.error:
            return self.error.exit
        bad = [r for r in self.results if r.error is not None]
        if not bad:
            return Exit.DONE
        if len(bad) < len(self.results):
            return Exit.PARTIAL
        codes = {r.error.exit for r in bad if r.error}
        return codes.pop() if len(codes) == 1 else Exit.PARTIAL


def run_one(pipeline: Pipeline, store: JobStore, name: str, stop: Stop) -> RunResult:
    """Run the job with this id or unique prefix. See :meth:`ingestctl.pipeline.Pipeline.run`.

    What keeps a known job from running is told by the result too: busy, or succeeded and not whole.
    """
    began, job = time.monotonic(), store.resolve(name)
    try:
        return pipeline.run(job.id, stop)
    except (Busy, VerificationFailed) as error:
        error.job_id = error.job_id or job.id
        return RunResult(
            job_id=job.id,
            video_id=job.video_id,
            status=(store.job(job.id) or job).status,
            outcome=Outcome.BUSY if isinstance(error, Busy) else Outcome.FAILED,
            attempt=None,
            duration_s=round(time.monotonic() - began, 3),
            error=error,
        )


def run_pending(
    pipeline: Pipeline, stop: Stop, *, limit: int | None, max_minutes: float | None, concurrency: int
) -> PendingResult:
    """Claim and run until the queue is empty, the limit or the time is reached, or a stop is asked for.

    Time is checked before a claim: a job that was begun is finished. Storage is asked first, so that
    no job is claimed, and failed, while it is down.
    """
    pipeline.check_storage()
    round_ = _Round(
        pipeline, stop, limit, None if max_minutes is None else time.monotonic() + max_minutes * 60
    )
    with ThreadPoolExecutor(concurrency, thread_name_prefix="ingest") as pool:
        for done in [pool.submit(round_.work) for _ in range(concurrency)]:
            done.result()
    return PendingResult(tuple(round_.results), round_.stopped, round_.error)


class _Round:
    """The state that the threads of one round share."""

    def __init__(self, pipeline: Pipeline, stop: Stop, limit: int | None, until: float | None) -> None:
        self._pipeline = pipeline
        self._stop = stop
        self._left = limit
        self._until = until
        self._lock = threading.Lock()
        self.results: list[RunResult] = []
        self._put_back: list[str] = []
        """Jobs that are claimable again (interrupted, taken over): not begun again in the same round."""
        self._ours_in_a_row = 0
        self.stopped: str | None = None
        self.error: IngestError | None = None

    def work(self) -> None:
        """Run one job after the other while this round may go on."""
        while self._may_begin():
            try:
                result = self._pipeline.run_next(self._stop, exclude=self._put_back)
            except IngestError as error:
                with self._lock:
                    self.error, self.stopped = self.error or error, "error"
                return
            if result is None:
                return
            self._take(result)

    def _take(self, result: RunResult) -> None:
        with self._lock:
            self.results.append(result)
            if result.outcome in (Outcome.BUSY, Outcome.INTERRUPTED):
                self._put_back.append(result.job_id)
            cause = result.diagnosis.cause if result.diagnosis else ""
            self._ours_in_a_row = self._ours_in_a_row + 1 if cause in OURS else 0
            if self._ours_in_a_row >= STOP_AFTER:
                self.stopped = self.stopped or cause

    def _may_begin(self) -> bool:
        with self._lock:
            if self.stopped:
                return False
            if self._stop.error:
                self.stopped, self.error = "interrupted", self._stop.error
            elif self._until is not None and time.monotonic() >= self._until:
                self.stopped = "max-minutes"
            elif self._left == 0:
                self.stopped = "limit"
            elif self._left is not None:
                self._left -= 1
            return self.stopped is None
