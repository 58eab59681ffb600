"""From jobs to a cleanup plan: a fresh look at everything, and what the database says around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ingestctl.db.base import JobFilter
from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import Conflict, StorageUnavailable
from ingestctl.domain.plan import Action, Known, Plan, Refusal, make_plan
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.verification import BROKEN, Level, Subject, Verification

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingestctl.db.holds import CleanupStore
    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.job import Job
    from ingestctl.domain.source import Buckets
    from ingestctl.storage.base import Storage

NEIGHBOURS = 10
"""How many stored objects on each side of a missing one are looked for, to tell a loss from an outage."""
FEWEST = 3
"""With fewer neighbours than this nothing can be concluded from them."""


class Checks(Protocol):
    """What a plan is made from; see :class:`ingestctl.ops.verify.Verifier`."""

    def verify(self, job: Job, level: Level, *, compare_audio: bool = False) -> Verification:
        """Look at one job now."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for."""

    level: Level = Level.CHECKSUM
    include_valid: bool = False
    purge: bool = False
    reset: bool = True


@dataclass(frozen=True, slots=True)
class Survey:
    """A plan, and the looks it was made from."""

    plan: Plan
    seen: tuple[Verification, ...]


class Planner:
    """Makes plans. Reads only."""

    def __init__(self, store: CleanupStore, storage: Storage, checks: Checks, buckets: Buckets) -> None:
        self._store = store
        self._storage = storage
        self._checks = checks
        self._buckets = buckets

    def survey(self, jobs: Sequence[Job], terms: Terms) -> Survey:
        """Look at these jobs now and decide. Live ones are refused: alone with Conflict, else in the plan.

        Raises StorageUnavailable where what is missing looks like an outage rather than a loss.
        """
        seen, live = [], []
        for job in jobs:
            reason = self._live(job)
            if reason is None:
                seen.append(self._look(job, terms.level))
            elif len(jobs) == 1:
                raise Conflict(
                    reason,
                    job_id=job.id,
                    hint=f"Wait for it to end, or stop its worker; see `ingestctl inspect {job.id}`.",
                )
            else:
                live.append(Refusal(job.id, Subject.RECORD, Verdict.UNKNOWN, reason))
        plan = make_plan(
            seen,
            self._known(seen),
            level=terms.level,
            include_valid=frozenset(v.job_id for v in seen) if terms.include_valid else frozenset(),
            purge=terms.purge,
            reset=terms.reset,
        )
        self._refuse_outage(plan)
        return Survey(replace(plan, refusals=(*plan.refusals, *live)), tuple(seen))

    def again(self, job: Job, plan: Plan) -> Survey:
        """The same look at one job of a plan, now."""
        return self.survey([job], Terms(plan.level, job.id in plan.include_valid, plan.purge, plan.reset))

    def _live(self, job: Job) -> str | None:
        for row in self._store.find(JobFilter(video_id=job.video_id), limit=100).jobs:
            if row.lease_live:
                which = "it" if row.job.id == job.id else f"job {row.job.id} of the same video"
                return f"job {job.id} is not touched: {which} is live (attempt {row.attempt})"
        return None

    def _look(self, job: Job, level: Level) -> Verification:
        found = self._checks.verify(job, level)
        if level is Level.EXISTS and any(f.verdict in BROKEN and f.etag for f in found.findings):
            # A size alone condemns nothing: the one on record may be what is wrong.
            level = Level.CHECKSUM
            found = self._checks.verify(job, level)
        unsettled = any(f.verdict is Verdict.UNKNOWN and f.etag for f in found.findings)
        if unsettled and not level.includes(Level.DECODE):
            return self._checks.verify(job, Level.DECODE)
        return found

    def _known(self, seen: Sequence[Verification]) -> Known:
        refs = sorted({ref for found in seen for ref in _refs(found)})
        recorded, pointed = self._store.artifacts_at(refs), self._store.videos_of_keys(refs)
        planned = self._store.videos_of_payloads(refs)
        protected: dict[tuple[str, ObjectRef], str] = {}
        for found in seen:
            for ref in _refs(found):
                row = recorded.get(ref)
                named = [*([row.video_id] if row else []), *pointed.get(ref, ()), *planned.get(ref, ())]
                other = next((video for video in named if video != found.video_id), None)
                if other is not None:
                    protected[found.video_id, ref] = f"never touched: it is recorded for video {other}"
                elif self._is_upload_source(ref):
                    protected[found.video_id, ref] = "never touched: it is the source of an upload"
        rows = tuple(row for found in seen for row in self._store.artifacts(found.video_id))
        return Known(rows, protected)

    def _is_upload_source(self, ref: ObjectRef) -> bool:
        buckets = self._buckets
        if ref.bucket != buckets.uploads:
            return False
        if buckets.uploads not in (buckets.video, buckets.audio):
            return True
        return self._store.video_of_source(Source(SourceKind.UPLOAD, ref.key)) is not None

    def _refuse_outage(self, plan: Plan) -> None:
        gone = {i.ref.bucket: i.ref for i in plan.items if i.action is Action.FORGET_ROW and i.ref}
        for bucket, ref in gone.items():
            near = self._store.neighbours(ref, limit=NEIGHBOURS)
            there = sum(self._storage.stat(other) is not None for other in near)
            if len(near) >= FEWEST and there * 2 < len(near):
                raise StorageUnavailable(
                    f"this looks like an outage, not like a loss: of {len(near)} other objects that should "
                    f"be in bucket {bucket}, {there} are there; nothing was touched",
                    hint="Check the bucket, the endpoint and the credentials: `ingestctl doctor`.",
                )


def _refs(found: Verification) -> Iterable[ObjectRef]:
    return (f.ref for f in (*found.findings, *found.strays) if f.ref)
