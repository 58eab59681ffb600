"""The job store as a few dictionaries: what each call must do, or must refuse, written down once more.

Nothing here knows a database. Times are seconds that leases have left; a call that the store must refuse
raises the error it must refuse it with, before anything is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingestctl.domain.errors import Busy, Conflict, LostAuthority

CRASHED = "worker_crashed"
STALE_S = 3600.0
CRASH_BUDGET = 3
GAVE_UP = "crashed too often"


@dataclass
class Attempt:
    """One row of ``job_runs``. ``left`` is what its lease has left; None: an older worker's, without one."""

    number: int
    owner: str | None
    left: float | None
    status: str = "running"
    code: str | None = None
    silent: float = 0.0
    """Seconds since an older worker's attempt was last updated."""
    started_at: Any = None
    """As the database says; only for comparing with the time of a requeue."""
    said: tuple[str | None, ...] = ()
    """The end its owner gave it. The very same end again is no error: the first answer may have been lost."""

    @property
    def live(self) -> bool:
        alive = self.silent < STALE_S if self.left is None else self.left > 0
        return self.status == "running" and alive

    def end(self, status: str, code: str | None) -> None:
        self.status, self.code = status, code


@dataclass
class Job:
    """One ingest job. ``queued_at`` is the database's word, for the order of the queue alone."""

    id: str
    video: str
    status: str = "queued"
    phase: str | None = None
    error: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    queued_at: Any = None
    requeued_at: Any = None

    @property
    def running(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.status == "running"]

    def expire(self) -> None:
        for attempt in self.running:
            attempt.end("failed", CRASHED)

    def become(self, status: str, error: str | None = None) -> None:
        self.status, self.phase, self.error = status, None, error

    def gave_up(self) -> bool:
        """Whether the worker crashed in each of the last attempts, since nobody looked into it."""
        last = self.attempts[-CRASH_BUDGET:]
        crashed = all(a.code == CRASHED or a.status == "running" for a in last)
        since = self.requeued_at
        return (
            len(last) == CRASH_BUDGET
            and crashed
            and (since is None or all(a.started_at > since for a in last))
        )


@dataclass
class Hold:
    """One incident of a cleanup."""

    job: str
    video: str
    owner: str | None
    left: float
    open: bool = True

    @property
    def live(self) -> bool:
        return self.owner is not None and self.left > 0


@dataclass
class Row:
    """One artifact row."""

    video: str
    kind: str
    state: str
    size: int | None = None


class Model:
    """Every job, attempt, hold and artifact row there is."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.holds: dict[str, Hold] = {}
        self.rows: dict[str, Row] = {}
        self.handed_off: set[str] = set()

    def of_video(self, video: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.video == video]

    # --- time

    def pass_time(self, seconds: float) -> None:
        """The database's clock goes on (or, negative, is put back)."""
        for attempt in (a for job in self.jobs.values() for a in job.running):
            attempt.silent += seconds
            attempt.left = None if attempt.left is None else attempt.left - seconds
        for hold in self.holds.values():
            hold.left -= seconds

    # --- claims

    def claim(self, job_id: str, owner: str, lease_s: float) -> Attempt:
        job = self.jobs[job_id]
        if job.status not in ("queued", "failed", "running"):
            raise Conflict(job.status)
        self._refuse_busy(job)
        return self._begin(job, owner, lease_s)

    def claim_next(self, owner: str, lease_s: float) -> tuple[Job, Attempt] | None:
        passed_over: set[str] = set()
        while waiting := [j for j in self.jobs.values() if j.id not in passed_over and self._waits(j)]:
            job = min(waiting, key=lambda j: (j.queued_at, j.id))
            try:
                self._refuse_busy(job)
            except Busy:
                passed_over.add(job.id)
                continue
            if job.gave_up():
                self._expire_siblings(job)
                job.expire()
                job.become("failed", GAVE_UP)
                continue
            return job, self._begin(job, owner, lease_s)
        return None

    def _waits(self, job: Job) -> bool:
        abandoned = job.status == "running" and any(not a.live for a in job.running)
        return abandoned or (job.status == "queued" and not self._is_busy(job.video))

    def _is_busy(self, video: str) -> bool:
        live = any(a.live for job in self.of_video(video) for a in job.running)
        return live or any(h.live and h.video == video for h in self.holds.values())

    def _refuse_busy(self, job: Job) -> None:
        if self._is_busy(job.video):
            raise Busy(job.video)

    def _expire_siblings(self, job: Job) -> None:
        for other in self.of_video(job.video):
            if other is not job and other.running:
                other.expire()
                if other.status == "running":
                    other.become("queued", other.error)

    def _begin(self, job: Job, owner: str, lease_s: float) -> Attempt:
        self._expire_siblings(job)
        job.expire()
        attempt = Attempt(len(job.attempts) + 1, owner, lease_s)
        job.attempts.append(attempt)
        job.status, job.phase, job.error = "running", "downloading", None
        return attempt

    # --- an owner's writes

    def fence(self, job_id: str, attempt: Attempt) -> Job:
        job = self.jobs[job_id]
        if job.status != "running" or attempt.status != "running":
            raise LostAuthority(job_id)
        return job

    def heartbeat(self, job_id: str, attempt: Attempt, lease_s: float) -> None:
        self.fence(job_id, attempt)
        attempt.left = lease_s

    def confirm(self, job_id: str, attempt: Attempt) -> None:
        self.fence(job_id, attempt)
        if not attempt.live:
            raise LostAuthority(job_id)

    def enter_phase(self, job_id: str, attempt: Attempt, phase: str) -> None:
        self.fence(job_id, attempt).phase = phase

    def reserve(self, job_id: str, attempt: Attempt, key: str, kind: str) -> None:
        video = self.fence(job_id, attempt).video
        row = self.rows.get(key)
        if row and (row.video, row.kind) != (video, kind):
            raise Conflict(key)
        if row is None:
            self.rows[key] = Row(video, kind, "reserved")

    def stage(self, job_id: str, attempt: Attempt, key: str, size: int) -> None:
        video = self.fence(job_id, attempt).video
        row = self.rows.get(key)
        if row is None or row.video != video:
            raise Conflict(key)
        row.state, row.size = "staged", size

    def forget(self, job_id: str, attempt: Attempt, key: str) -> None:
        video = self.fence(job_id, attempt).video
        if key in self.rows and self.rows[key].video == video:
            del self.rows[key]

    def succeed(self, job_id: str, attempt: Attempt, key: str, size: int) -> None:
        if attempt.said == ("succeeded",):
            return
        job = self.fence(job_id, attempt)
        row = self.rows.get(key)
        if row and (row.video, row.kind) != (job.video, "video"):
            raise Conflict(key)
        self.rows[key] = Row(job.video, "video", "stored", size)
        attempt.end("succeeded", None)
        attempt.said = ("succeeded",)
        job.become("succeeded")
        self.handed_off.add(job.video)

    def fail(self, job_id: str, attempt: Attempt, code: str, message: str) -> None:
        if attempt.said == ("failed", code, message):
            return
        job = self.fence(job_id, attempt)
        attempt.end("failed", code)
        attempt.said = ("failed", code, message)
        job.become("failed", message)

    def release(self, job_id: str, attempt: Attempt) -> None:
        if attempt.said == ("canceled",):
            return
        job = self.fence(job_id, attempt)
        attempt.end("canceled", "interrupted")
        attempt.said = ("canceled",)
        job.become("queued", job.error)

    # --- operators

    def reset(self, job_id: str, expect: str) -> bool:
        job = self.jobs[job_id]
        if any(a.live for a in job.running):
            raise Busy(job_id)
        if job.status == "queued":
            return False
        if job.status != expect:
            raise Conflict(job.status)
        job.expire()
        job.become("queued")
        return True

    def hold(self, incident: str, job_id: str, owner: str, lease_s: float) -> str:
        job = self.jobs[job_id]
        if any(a.live for other in self.of_video(job.video) for a in other.running):
            raise Conflict(job.video)
        if any(h.live and h.owner != owner for h in self.holds.values() if h.video == job.video):
            raise Busy(job.video)
        begun = [name for name, h in self.holds.items() if h.job == job_id and h.open]
        name = incident if incident in self.holds or not begun else begun[0]
        hold = self.holds.setdefault(name, Hold(job_id, job.video, owner, lease_s))
        hold.owner, hold.left = owner, lease_s
        return name

    def hold_fence(self, incident: str, owner: str) -> Hold:
        hold = self.holds[incident]
        if not hold.live or hold.owner != owner:
            raise LostAuthority(incident)
        return hold

    def settle(self, incident: str, owner: str, *, reset: bool) -> bool:
        hold = self.hold_fence(incident, owner)
        job = self.jobs[hold.job]
        queued = reset and job.status != "canceled"
        if queued:
            self.reset(job.id, job.status)
        hold.open, hold.owner = False, None
        return queued
