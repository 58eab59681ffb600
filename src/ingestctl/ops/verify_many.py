"""Verifying many jobs one by one, a few at a time: by filter, by sample, or the least recently verified."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import Verdict
from ingestctl.ops.audit import MAX_LISTED, PAGE, THREADS, refuse_if_too_few
from ingestctl.ops.verify import checks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ingestctl.db.base import JobRow
    from ingestctl.db.operator import OperatorStore
    from ingestctl.domain.job import Job
    from ingestctl.domain.stop import Stop
    from ingestctl.domain.verification import Level, Verification
    from ingestctl.ops.audit import Progress
    from ingestctl.ops.verify import Verifier

RECORD_EVERY = 200
"""Jobs whose results are recorded together: what an interrupted audit has to do again at most."""


@dataclass(slots=True)
class ManyReport:
    """What verifying many jobs came to. ``bad`` holds the first 10,000 that are not intact."""

    level: Level
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    bad: list[Verification] = field(default_factory=list)
    all: list[Verification] | None = None
    """Every verification, where they were asked for."""
    checked: int = 0
    database_pages: int = 0
    complete: bool = True
    """False where the time was up before every job had been looked at."""

    def add(self, found: Verification) -> None:
        """Count one job."""
        self.checked += 1
        self.counts[found.verdict] += 1
        if found.verdict is not Verdict.INTACT and len(self.bad) < MAX_LISTED:
            self.bad.append(found)
        if self.all is not None:
            self.all.append(found)

    @property
    def not_listed(self) -> int:
        """Bad jobs beyond those kept in ``bad``."""
        return self.checked - self.counts[Verdict.INTACT] - len(self.bad)


def in_sample(job_id: str, percent: float) -> bool:
    """Whether a job belongs to a sample of that many percent.

    By a hash of its id: the same jobs every time, so that two runs can be compared, and a larger
    sample contains the smaller one.
    """
    drawn = int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:8]) / 2**64
    return drawn * 100 < percent


def verify_many(
    store: OperatorStore,
    verifier: Verifier,
    jobs: Iterable[JobRow],
    level: Level,
    stop: Stop,
    *,
    compare_audio: bool = False,
    sample: float = 100.0,
    max_minutes: float | None = None,
    keep_all: bool = False,
    progress: Progress | None = None,
) -> ManyReport:
    """Verify ``jobs``, eight at a time, and record the results every 200 jobs.

    Raises StorageUnavailable when storage shows less than half of what should be stored; nothing of
    the jobs since the last recording is recorded then. Begins no job after ``max_minutes``.
    """
    report = ManyReport(level, all=[] if keep_all else None)
    until = None if max_minutes is None else time.monotonic() + max_minutes * 60
    chosen = _chosen(jobs, sample, report, until)
    pending = _Pending(store)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
        running: deque[Future[Verification]] = deque()

        def one(job: Job) -> Verification:
            return verifier.verify(job, level, compare_audio=compare_audio)

        try:
            for row in chosen:
                running.append(pool.submit(one, row.job))
                if len(running) >= THREADS * 2:
                    _take(running, report, pending, progress)
            while running:
                _take(running, report, pending, progress)
        except BaseException:
            for waiting in running:
                waiting.cancel()
            raise
    stop.check()
    pending.record()
    return report


def _chosen(
    jobs: Iterable[JobRow], sample: float, report: ManyReport, until: float | None
) -> Iterator[JobRow]:
    for number, row in enumerate(jobs):
        if number % PAGE == 0:
            report.database_pages += 1
        if not in_sample(row.job.id, sample):
            continue
        if until is not None and time.monotonic() >= until:
            report.complete = False
            return
        yield row


def _take(
    running: deque[Future[Verification]], report: ManyReport, pending: _Pending, progress: Progress | None
) -> None:
    found = running.popleft().result()
    report.add(found)
    pending.add(found)
    if progress:
        progress(report.checked)


class _Pending:
    """Results not recorded yet, and the tally that says whether storage can be believed."""

    def __init__(self, store: OperatorStore) -> None:
        self._store = store
        self._results: list[Verification] = []
        self._expected = 0
        self._missing = 0

    def add(self, found: Verification) -> None:
        self._results.append(found)
        if found.status == "succeeded":
            objects = [f for f in found.findings if f.ref is not None]
            self._expected += len(objects)
            self._missing += sum(f.verdict is Verdict.MISSING for f in objects)
        if len(self._results) >= RECORD_EVERY:
            self.record()

    def record(self) -> None:
        """Write down what was found, unless so much is missing that storage itself must be doubted."""
        present = self._expected - self._missing
        if self._expected >= LEAST_TO_DOUBT:
            refuse_if_too_few(self._expected, present, "storage")
        self._store.record_checks([check for found in self._results for check in checks_of(found)])
        self._results.clear()


LEAST_TO_DOUBT = 10
"""Objects asked about one by one before a loss of most of them is taken for an outage."""
