"""``cleanup --undo`` and ``cleanup --expire``: what becomes of the objects in quarantine."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from ingestctl.db.operator import Incident
from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import Conflict, IngestError, NotFound, ObjectExists
from ingestctl.domain.plan import DESTRUCTIVE, Action, Item, Plan, Refusal
from ingestctl.domain.verification import Subject
from ingestctl.ops.cleanup import KIND, SEVERITY, Applied, Cleaned
from ingestctl.ops.holding import Held, HoldTerms, held
from ingestctl.ops.proof import prove_unchanged, remove
from ingestctl.ops.quarantine import PREFIX, end_leftovers, incident_of, place, put_back, restored_by
from ingestctl.ops.remembered import plan_of, rows_of, said

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from ingestctl.db.holds import CleanupStore
    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import ObjectInfo, Storage

EXPIRE = "quarantine-expiry"


class Quarantine:
    """Puts objects back from quarantine, and empties it."""

    def __init__(self, store: CleanupStore, storage: Storage, terms: HoldTerms, stop: Stop) -> None:
        self._store = store
        self._storage = storage
        self._terms = terms
        self._stop = stop

    # --- undo

    def undo_plan(self, name: str) -> tuple[Incident, Plan]:
        """What putting back the objects of this incident would do. Reads only.

        Empty where an undo was begun already: it has but to be recorded, if that. Raises NotFound if there
        is nothing in quarantine, ObjectExists if something is under one of the keys now: then nothing is
        put back at all.
        """
        incident = self._store.incident(name)
        if incident.kind != KIND:
            raise Conflict(
                f"incident {incident.id} is of kind {incident.kind!r}; only a cleanup can be undone"
            )
        items = []
        for item in plan_of(incident).items:
            if item.action not in DESTRUCTIVE or item.ref is None:
                continue
            copy = self._storage.stat(place(incident.id, item.ref))
            there = self._storage.stat(item.ref)
            if copy is not None:
                if there is not None and not restored_by(there, incident.id):
                    raise ObjectExists(
                        f"something is under {item.ref} now ({there.size_bytes} bytes); nothing was put back",
                        hint="Clean that up first, or leave the old object in quarantine.",
                        job_id=incident.job_id,
                    )
                items.append(replace(item, action=Action.RESTORE, size_bytes=copy.size_bytes, etag=copy.etag))
        if not items and "undo-begun" not in self._kinds(incident):
            raise NotFound(
                f"incident {incident.id} has nothing in quarantine (deleted, expired, or put back already)",
                hint=f"See `ingestctl incidents show {incident.id}`.",
            )
        return incident, Plan(tuple(items), (), purge=False, reset=False)

    def undo(self, incident: Incident, plan: Plan, *, reason: str) -> Cleaned:
        """Put every object back create-once, prove it, remove its copy, record it; the job gets back the
        status it had, unless somebody went on with it since. Resumable, repeatable."""
        if not plan.items and "undone" in self._kinds(incident):
            return Cleaned(incident.job_id or "", plan, incident.id, before=True)
        applied: list[Applied] = []
        try:
            with held(self._store, incident, self._terms, self._stop) as hold:
                if self.undo_plan(incident.id)[1].fingerprint != plan.fingerprint:
                    raise Conflict(f"what incident {incident.id} has in quarantine changed; nothing was done")
                self._note(incident.id, "undo-begun", {"reason": reason})
                for item in plan.items:
                    applied.append(self._restore(hold, item))  # noqa: PERF401  (kept when one fails)
                back = {i.ref for i in self._restored(incident)}
                for ref in filter(None, back):  # on a folder, a removal killed half-way is one
                    end_leftovers(self._storage, place(incident.id, ref))
                self._store.settle_undo(
                    incident.id,
                    owner=self._terms.owner,
                    actor=self._terms.actor,
                    restore=[row for row in rows_of(incident) if row.ref in back],
                    payload={"reason": reason, "restored": [str(ref) for ref in sorted(filter(None, back))]},
                )
            job = self._store.job(incident.job_id or "")
        except IngestError as error:
            return Cleaned(incident.job_id or "", plan, incident.id, tuple(applied), error=error)
        status = job.status if job else None
        return Cleaned(incident.job_id or "", plan, incident.id, tuple(applied), status=status)

    def _kinds(self, incident: Incident) -> set[str]:
        return {entry.kind for entry in self._store.incident_entries(incident.id)}

    def _restored(self, incident: Incident) -> list[Item]:
        """The items whose objects this incident's undo has put back, now or before it was killed."""
        items = [i for i in plan_of(incident).items if i.action in DESTRUCTIVE and i.ref]
        seen = [(item, self._storage.stat(item.ref)) for item in items if item.ref]
        return [item for item, info in seen if info is not None and restored_by(info, incident.id)]

    def _restore(self, hold: Held, item: Item) -> Applied:
        assert item.ref is not None  # noqa: S101  (chosen so)
        hold.confirm()
        incident_id = hold.incident.id
        copy = self._storage.stat(place(incident_id, item.ref))
        if copy is None:
            return Applied(item, "gone")
        proof = put_back(self._storage, copy, item.ref, incident_id, hold.stop)
        self._note(incident_id, "restored", {**said(item), "proof": proof.because})
        hold.confirm()
        remove(self._storage, proof)
        return Applied(item, "restored", item.ref)

    # --- expire

    def expire_plan(self, age: timedelta, buckets: Iterable[str]) -> Plan:
        """Objects in quarantine that have been there longer than ``age`` by the database's clock. Reads only.

        Only what lies under ``quarantine/`` and belongs to a closed cleanup; the rest is refused.
        """
        before, items, refusals = self._store.now() - age, [], []
        for bucket in sorted(set(buckets)):
            for info in self._storage.list_objects(bucket, PREFIX):
                self._stop.check()
                if info.modified_at >= before:
                    continue
                owner = self._closed_cleanup(info)
                if owner is None:
                    reason = "it belongs to no closed cleanup, so it is not touched"
                    refusals.append(Refusal("", Subject.VIDEO, Verdict.UNKNOWN, reason, info.ref))
                else:
                    items.append(_expired(info, owner))
        return Plan(tuple(items), tuple(refusals), purge=True, reset=False)

    def expire(self, plan: Plan, *, reason: str) -> Cleaned:
        """Delete the objects of the plan, each only if it still is the one that was listed."""
        store, applied = self._store, []
        if not plan.items:
            return Cleaned("", plan, refusals=plan.refusals)
        incident = Incident(
            id=str(uuid.uuid4()),
            kind=EXPIRE,
            status="open",
            severity=SEVERITY,
            title=f"{len(plan.items)} objects deleted from quarantine for good",
            reason=reason,
            actor=self._terms.actor,
            opened_at=store.now(),
        )
        store.open_incident(incident)
        try:
            for item in plan.items:
                self._stop.check()
                applied.append(self._delete(incident.id, item))
        except IngestError as error:
            return Cleaned("", plan, incident.id, tuple(applied), plan.refusals, error=error)
        finally:
            # What was not deleted is in the next plan again: there is nothing to resume.
            store.close_incident(
                incident.id, actor=self._terms.actor, payload={"applied": [str(a.item.ref) for a in applied]}
            )
        return Cleaned("", plan, incident.id, tuple(applied), plan.refusals)

    def _closed_cleanup(self, info: ObjectInfo) -> Incident | None:
        incident_id = incident_of(info.ref)
        try:
            incident = self._store.incident(incident_id) if incident_id else None
        except IngestError as error:
            if isinstance(error, NotFound | Conflict):
                return None
            raise
        exact = incident is not None and incident.id == incident_id
        return (
            incident if exact and incident and incident.kind == KIND and incident.status == "closed" else None
        )

    def _delete(self, incident_id: str, item: Item) -> Applied:
        info = self._storage.stat(item.ref) if item.ref else None
        if info is None:
            return Applied(item, "gone")
        listed = replace(info, etag=item.etag or "", size_bytes=item.size_bytes or 0)
        proof = prove_unchanged(self._storage, listed, item.reason)
        self._note(incident_id, "begun", said(item))
        if proof is not None:
            remove(self._storage, proof)
        self._note(incident_id, "done", {**said(item), "outcome": "deleted"})
        return Applied(item, "deleted")

    def _note(self, incident_id: str, kind: str, payload: dict[str, object]) -> None:
        self._store.note_incident(incident_id, actor=self._terms.actor, kind=kind, payload=payload)


def _expired(info: ObjectInfo, incident: Incident) -> Item:
    """The item that deletes one copy; what it was is told by the plan that put it there."""
    was = next(
        (i for i in plan_of(incident).items if i.ref and place(incident.id, i.ref) == info.ref),
        None,
    )
    return Item(
        job_id=incident.job_id or "",
        video_id=incident.video_id or "",
        subject=was.subject if was else Subject.VIDEO,
        action=Action.DELETE,
        verdict=was.verdict if was else Verdict.UNKNOWN,
        reason=f"in quarantine since {info.modified_at:%Y-%m-%d %H:%M} UTC by incident {incident.id}",
        ref=info.ref,
        size_bytes=info.size_bytes,
        etag=info.etag,
    )
