"""``cleanup``: apply a plan, one job at a time, each under an incident that says what was done.

The order never varies: look again, compare with the plan, write the incident (which keeps workers off
the video), change one thing after the other with an entry before and after each, and settle rows,
status and incident in one transaction. Killed anywhere, the same command finds the open incident and
finishes it.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingestctl.db.operator import Incident
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.errors import (
    Conflict,
    DatabaseUnavailable,
    Exit,
    IngestError,
    Interrupted,
    ObjectChanged,
    StorageRefused,
    StorageUnavailable,
)
from ingestctl.domain.plan import DESTRUCTIVE, Action, Item, Plan, Refusal, to_json
from ingestctl.ops.holding import Held, HoldTerms, held
from ingestctl.ops.proof import prove_condemned, remove
from ingestctl.ops.quarantine import end_leftovers, place, set_aside
from ingestctl.ops.remembered import done_before, plan_of, ref_json, row_json, rows_of, said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestctl.db.holds import CleanupStore
    from ingestctl.db.operator import Severity
    from ingestctl.domain.job import Job, Status
    from ingestctl.domain.stop import Stop
    from ingestctl.domain.verification import Verification
    from ingestctl.ops.planning import Planner, Survey
    from ingestctl.storage.base import Storage

KIND = "cleanup"
SEVERITY: Severity = "SEV-4"
LEFT = ("quarantined", "deleted", "gone", "forgotten")
OUTAGES = (StorageUnavailable, DatabaseUnavailable, Interrupted)
"""After one of these the other jobs of a batch are not tried."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one item: quarantined, deleted, aborted, forgotten, adopted, restored; ``gone`` (there
    was nothing any more) or ``replaced`` (something else is there now, and was left)."""

    item: Item
    outcome: str
    to: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a cleanup (or undo) of one job came to. With ``error`` its incident, if any, is still open."""

    job_id: str
    plan: Plan
    incident: str | None = None
    applied: tuple[Applied, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    reset: bool = False
    error: IngestError | None = None
    before: bool = False
    """Whether it had all been done before, and nothing was done now."""
    status: Status | None = None
    """The job's status after an undo."""

    @property
    def exit(self) -> Exit:
        """0; 16 where it stopped half-way; else the error's own (20 where storage refused)."""
        if self.error is None:
            return Exit.DONE
        if isinstance(self.error, Interrupted):
            return self.error.exit
        if any(a.outcome not in ("gone", "replaced") for a in self.applied):
            return Exit.PARTIAL
        return Exit.UNAVAILABLE if isinstance(self.error, StorageRefused) else self.error.exit


class Cleaner:
    """Applies plans. One at a time per instance."""

    def __init__(
        self, store: CleanupStore, storage: Storage, planner: Planner, terms: HoldTerms, stop: Stop
    ) -> None:
        self._store = store
        self._storage = storage
        self._planner = planner
        self._terms = terms
        self._stop = stop

    def unfinished(self, job: Job) -> Incident | None:
        """The job's cleanup that was begun and not finished."""
        return next(iter(self._store.incidents(status="open", kind=KIND, job_id=job.id, limit=1)), None)

    def apply(self, plan: Plan, *, reason: str) -> list[Cleaned]:
        """Apply each job's part of the plan, or nothing at all where a part of it is stale.

        Once begun, an outage ends the batch; other failures only their job.
        """
        done = self.refused(plan) if len(plan.job_ids) > 1 else []
        if done:
            return done
        for job_id in plan.job_ids:
            done.append(self._one(job_id, plan.of_job(job_id), reason))
            if isinstance(done[-1].error, OUTAGES):
                break
        return done

    def refused(self, plan: Plan) -> list[Cleaned]:
        """The jobs whose part cannot be applied as it is now (stale, live, not to be checked). Reads only."""
        bad: list[Cleaned] = []
        for job_id in plan.job_ids:
            try:
                self._prove(job_id, plan.of_job(job_id))
            except IngestError as error:
                bad.append(Cleaned(job_id, plan.of_job(job_id), refusals=plan.refusals, error=error))
                if isinstance(error, OUTAGES):
                    break
        return bad

    def _prove(self, job_id: str, plan: Plan) -> tuple[Job, Incident | Survey]:
        """The job, and the fresh look that proves its plan, or the incident under which it was begun or
        applied before. Raises Conflict if the plan is stale."""
        job = self._store.resolve(job_id)
        begun = self.unfinished(job)
        if begun is not None and plan_of(begun).fingerprint == plan.fingerprint:
            return job, begun
        fresh = self._planner.again(job, plan)
        if fresh.plan.fingerprint == plan.fingerprint:
            return job, fresh
        return job, self._applied_before(plan, job_id)

    def _one(self, job_id: str, plan: Plan, reason: str) -> Cleaned:
        try:
            job, fresh = self._prove(job_id, plan)
            if isinstance(fresh, Incident):
                if fresh.status == "open":
                    return self.resume(job, fresh)
                return Cleaned(job_id, plan, fresh.id, refusals=plan.refusals, before=True)
            incident = self._new_incident(job, plan, reason)
            with held(self._store, incident, self._terms, self._stop) as hold:
                if hold.incident.id != incident.id:
                    raise Conflict(
                        f"a cleanup of job {job_id} was begun meanwhile (incident {hold.incident.id})",
                        hint="Run the same command again: it finishes that one first.",
                        job_id=job_id,
                    )
                return _Work(self, hold, plan, fresh).do()
        except IngestError as error:
            return Cleaned(job_id, plan, refusals=plan.refusals, error=error)

    def _applied_before(self, plan: Plan, job_id: str) -> Incident:
        """The cleanup that applied this very plan: applying it twice is no error. Else it is stale."""
        for incident in self._store.incidents(status="closed", kind=KIND, job_id=job_id, limit=20):
            entries = self._store.incident_entries(incident.id)
            whole = any(entry.kind == "closed" and entry.payload.get("applied") for entry in entries)
            if whole and plan_of(incident).fingerprint == plan.fingerprint:
                return incident
        raise stale(job_id)

    def resume(self, job: Job, incident: Incident) -> Cleaned:
        """Finish a cleanup that was begun: what is done stays done, the rest is proved again first."""
        plan = plan_of(incident)
        try:
            fresh = self._planner.again(job, plan)
            with held(self._store, incident, self._terms, self._stop) as hold:
                return _Work(self, hold, plan, fresh).do()
        except IngestError as error:
            return Cleaned(job.id, plan, incident.id, refusals=plan.refusals, error=error)

    def _new_incident(self, job: Job, plan: Plan, reason: str) -> Incident:
        rows = [r for r in self._store.artifacts(job.video_id) if r.state is not ArtifactState.RESERVED]
        counts = [f"{sum(i.action is a for i in plan.changes)} {a}" for a in Action if a is not Action.KEEP]
        return Incident(
            id=str(uuid.uuid4()),
            kind=KIND,
            status="open",
            severity=SEVERITY,
            title=f"cleanup of job {job.id}: {', '.join(c for c in counts if not c.startswith('0 '))}",
            reason=reason,
            actor=self._terms.actor,
            opened_at=self._store.now(),
            job_id=job.id,
            video_id=job.video_id,
            details={
                "plan": to_json(plan),
                "rows": [row_json(row) for row in rows],
                "attempt": self.attempts(job.id),
                "status": job.status.value,
            },
        )

    def attempts(self, job_id: str) -> int:
        """How many attempts the job has had."""
        return max((run.attempt for run in self._store.runs(job_id)), default=0)


class _Work:
    """One job's plan being applied, under a hold."""

    def __init__(self, cleaner: Cleaner, hold: Held, plan: Plan, fresh: Survey) -> None:
        self._store, self._storage = cleaner._store, cleaner._storage
        self._cleaner, self._terms = cleaner, cleaner._terms
        self._hold, self._plan = hold, plan
        self._seen: Verification = fresh.seen[0]
        self._again = {item.identity for item in fresh.plan.changes}
        self._applied: list[Applied] = []
        self._refused: list[Refusal] = []

    def do(self) -> Cleaned:
        incident = self._hold.incident
        entries = self._store.incident_entries(incident.id)
        done = done_before(entries)
        try:
            if not entries:
                self._check_all_first()
            for item in self._plan.changes:
                was = done.get(item.identity)
                self._applied.append(Applied(item, *was) if was else self._step(item))
            reset = self._settle()
        except IngestError as error:
            with suppress(IngestError):
                self._note("stopped", {"error": error.code, "message": error.message})
            return self._result(error=error)
        changed = [f"{r.ref}: {r.reason}" for r in self._refused]
        left = Conflict("; ".join(changed), job_id=incident.job_id) if changed else None
        return replace(self._result(error=left), reset=reset)

    def _result(self, error: IngestError | None) -> Cleaned:
        return Cleaned(
            self._hold.incident.job_id or "",
            self._plan,
            self._hold.incident.id,
            tuple(self._applied),
            (*self._plan.refusals, *self._refused),
            error=error,
        )

    def _check_all_first(self) -> None:
        """Nothing is touched unless everything still is what it was when this incident was written."""
        try:
            for item in self._plan.changes:
                self._hold.confirm()
                if item.action in DESTRUCTIVE and prove_condemned(self._storage, item, self._seen) is None:
                    raise stale(item.job_id)
                if item.action is Action.FORGET_ROW and item.ref and self._storage.stat(item.ref):
                    raise stale(item.job_id)
        except IngestError as error:
            self._store.close_incident(
                self._hold.incident.id,
                actor=self._terms.actor,
                payload={"refused": error.message, "nothing_done": True},
            )
            raise

    def _step(self, item: Item) -> Applied:
        self._hold.confirm()
        match item.action:
            case Action.QUARANTINE | Action.DELETE:
                return self._remove(item)
            case Action.ABORT_UPLOAD:
                return self._abort(item)
            case Action.FORGET_ROW:
                there = item.ref is not None and self._storage.stat(item.ref) is not None
                return self._replaced(item) if there else Applied(item, "forgotten")
            case _:  # adopt: the row is written when everything is settled
                return Applied(item, "adopted") if item.identity in self._again else self._replaced(item)

    def _remove(self, item: Item) -> Applied:
        target = place(self._hold.incident.id, item.ref) if item.ref else None
        try:
            proof = prove_condemned(self._storage, item, self._seen)
        except Conflict:  # only when resumed: a first attempt looked at everything before it began
            return self._replaced(item)
        if proof is None:
            return self._was_removed(item, target)
        self._note("begun", {**said(item), "proof": proof.because})
        if item.action is Action.QUARANTINE:
            copy = set_aside(self._storage, proof, self._hold.incident.id, self._hold.stop)
            self._note("copied", {**said(item), "to": str(copy.ref), "size_bytes": copy.size_bytes})
        self._hold.confirm()
        remove(self._storage, proof)
        return self._was_removed(item, target)

    def _was_removed(self, item: Item, target: ObjectRef | None) -> Applied:
        """Gone from its place: by this incident, if its copy is in quarantine or it was being deleted."""
        end_leftovers(self._storage, item.ref)  # on a folder, a removal killed half-way is one
        outcome: tuple[str, ObjectRef | None] = ("deleted", None)
        if item.action is Action.QUARANTINE and target is not None:
            outcome = ("quarantined", target) if self._storage.stat(target) else ("gone", None)
        return self._done(Applied(item, *outcome))

    def _abort(self, item: Item) -> Applied:
        self._note("begun", said(item))
        if item.ref is not None:
            for upload in self._storage.unfinished(item.ref.bucket, item.ref.key):
                if upload.ref == item.ref and upload.upload_id == item.upload_id:
                    self._storage.abort(upload)
        return self._done(Applied(item, "aborted"))

    def _replaced(self, item: Item) -> Applied:
        reason = "it is not what was to be cleaned up any more; it was left as it is"
        self._refused.append(Refusal(item.job_id, item.subject, item.verdict, reason, item.ref))
        if item.action is Action.QUARANTINE and item.ref is not None:
            end_leftovers(self._storage, place(self._hold.incident.id, item.ref))
        return Applied(item, "replaced")

    def _done(self, applied: Applied) -> Applied:
        to = {"to": ref_json(applied.to)} if applied.to else {}
        self._note("done", {**said(applied.item), "outcome": applied.outcome, **to})
        return applied

    def _note(self, kind: str, payload: Mapping[str, Any]) -> None:
        self._store.note_incident(self._hold.incident.id, actor=self._terms.actor, kind=kind, payload=payload)

    def _settle(self) -> bool:
        incident, plan = self._hold.incident, self._plan
        gone = {a.item.ref for a in self._applied if a.outcome in LEFT}
        adopted = [a.item for a in self._applied if a.outcome == "adopted" and a.item.ref]
        # A run between a killed cleanup and this one made its own status, and a whole job needs none.
        unrun = self._cleaner.attempts(incident.job_id or "") == incident.details.get("attempt")
        idle = Action.ABORT_UPLOAD if all(f.verdict is Verdict.INTACT for f in self._seen.findings) else None
        done = any(a.outcome != "replaced" and a.item.action is not idle for a in self._applied)
        return self._store.settle_cleanup(
            incident.id,
            owner=self._terms.owner,
            actor=self._terms.actor,
            forget=[row for row in rows_of(incident) if row.ref in gone],
            adopt=[self._row(item) for item in adopted],
            reset_reason=(incident.reason or incident.title) if plan.reset and unrun and done else None,
            payload={"applied": [said(a.item) | {"outcome": a.outcome} for a in self._applied]},
        )

    def _row(self, item: Item) -> Artifact:
        assert item.ref is not None  # noqa: S101  (chosen so)
        info = self._storage.stat(item.ref)
        if info is None or (info.etag, info.size_bytes) != (item.etag, item.size_bytes):
            raise ObjectChanged(f"{item.ref} is another object now; it was not recorded", job_id=item.job_id)
        return Artifact(
            ref=item.ref,
            kind=Kind(item.subject.value),
            video_id=item.video_id,
            job_id=item.job_id,
            run_id=(info.metadata or {}).get("ingest-run", ""),
            state=ArtifactState.STAGED,
            size_bytes=item.size_bytes,
            sha256=item.sha256,
            content_type=info.content_type,
        )


def stale(job_id: str) -> Conflict:
    """The plan no longer says what there is."""
    return Conflict(
        f"the plan for job {job_id} is stale: what is there is not what it was made from; nothing was done",
        hint="Make a new plan (--dry-run shows it) and have it reviewed again.",
        job_id=job_id,
    )
