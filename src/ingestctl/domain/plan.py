"""A cleanup plan is data: made from fresh verifications, shown, saved, compared, applied. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import Artifact, ArtifactState, ObjectRef, Verdict
from ingestctl.domain.errors import Conflict
from ingestctl.domain.job import Status
from ingestctl.domain.verification import BROKEN, Finding, Level, Subject, Verification

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAN_VERSION = 2


class Action(StrEnum):
    """What happens to one thing."""

    KEEP = "keep"
    QUARANTINE = "quarantine"
    DELETE = "delete"
    ABORT_UPLOAD = "abort-upload"
    FORGET_ROW = "forget-row"
    ADOPT = "adopt"
    """Record an object that was proved to be this video's, so that the next run keeps it. Of a record:
    let the next run write it again from the objects, which are kept."""
    RESTORE = "restore"
    """Put an object back from quarantine."""


DESTRUCTIVE = frozenset({Action.QUARANTINE, Action.DELETE})


@dataclass(frozen=True, slots=True)
class Item:
    """One action on one thing, with the proof it rests on (verdict, ETag and size as just seen)."""

    job_id: str
    video_id: str
    subject: Subject
    action: Action
    verdict: Verdict
    reason: str
    ref: ObjectRef | None = None
    size_bytes: int | None = None
    etag: str | None = None
    sha256: str | None = None
    upload_id: str | None = None
    bytes_intact: bool = False
    """Its bytes were seen to be those on record, whatever is wrong with it."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What would be done to what, on which proof; not the words that explain it."""
        proof = (self.ref, self.size_bytes, self.etag, self.sha256, self.upload_id, self.bytes_intact)
        return (self.job_id, self.video_id, self.subject, self.action, self.verdict, *map(str, proof))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the plan leaves alone although it stands in the way, and what would change that."""

    job_id: str
    subject: Subject
    verdict: Verdict
    reason: str
    ref: ObjectRef | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``cleanup`` would do, or does: the same object for ``--dry-run`` and apply."""

    items: tuple[Item, ...]
    refusals: tuple[Refusal, ...]
    purge: bool
    """Delete instead of quarantine."""
    reset: bool
    """Put the jobs back in the queue afterwards."""
    level: Level = Level.CHECKSUM
    """How deep was looked (deeper where a verdict needed it); it is checked the same way before applying."""
    include_valid: tuple[str, ...] = ()
    """Jobs whose intact and foreign objects were asked for by id."""

    @property
    def changes(self) -> tuple[Item, ...]:
        """The items that change anything."""
        return tuple(i for i in self.items if i.action is not Action.KEEP)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The jobs that would be changed, in order, once each."""
        return tuple(dict.fromkeys(i.job_id for i in self.changes))

    @property
    def destroyed(self) -> int:
        """How many objects would leave their place."""
        return sum(i.action in DESTRUCTIVE for i in self.items)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what would be done and why: two plans with the same fingerprint do the same.

        Words of explanation and the order of listings have no part in it.
        """
        refused = sorted((r.job_id, r.subject, r.verdict, str(r.ref)) for r in self.refusals)
        terms = [self.purge, self.reset, self.level, sorted(self.include_valid)]
        body = [PLAN_VERSION, terms, sorted(i.identity for i in self.items), refused]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()

    def of_job(self, job_id: str) -> Plan:
        """The part that concerns one job."""
        return replace(
            self,
            items=tuple(i for i in self.items if i.job_id == job_id),
            refusals=tuple(r for r in self.refusals if r.job_id == job_id),
            include_valid=(job_id,) if job_id in self.include_valid else (),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says around the verifications that a plan is made from."""

    rows: tuple[Artifact, ...] = ()
    """Artifact rows of the videos concerned."""
    protected: Mapping[tuple[str, ObjectRef], str] | None = None
    """Objects that are never touched for a video (by its id), each with the reason: they are recorded for
    another video, or are an upload's source."""

    def row(self, video_id: str, ref: ObjectRef | None) -> Artifact | None:
        """This video's row for this object."""
        return next((r for r in self.rows if r.video_id == video_id and r.ref == ref), None)

    def why_not(self, video_id: str, ref: ObjectRef | None) -> str | None:
        """Why this object is never touched for this video, if so."""
        return (self.protected or {}).get((video_id, ref)) if ref else None


def make_plan(
    verifications: Iterable[Verification],
    known: Known = Known(),
    *,
    level: Level = Level.CHECKSUM,
    include_valid: frozenset[str] = frozenset(),
    purge: bool = False,
    reset: bool = True,
) -> Plan:
    """Decide what may be touched: only what a verification just proved broken, partial or orphaned.

    Intact and foreign objects are touched only for the job ids in ``include_valid`` (each typed by a
    person), and only for those is anything purged that has the bytes on record: it is set aside. What is
    ``unknown``, and what belongs to another video, is never touched. Of several jobs of one video the
    first speaks for it.
    """
    items: list[Item] = []
    refusals: list[Refusal] = []
    speaker: dict[str, str] = {}
    for found in verifications:
        first = speaker.setdefault(found.video_id, found.job_id)
        if first != found.job_id:
            reason = f"job {first} of the same video is in this plan and speaks for its objects"
            kept = (Subject.RECORD, Action.KEEP, found.of(Subject.RECORD).verdict, reason)
            items.append(Item(found.job_id, found.video_id, *kept))
            continue
        judge = _Judge(found, known, found.job_id in include_valid, purge, reset)
        decided = [judge.decide(finding) for finding in (*found.findings, *found.strays)]
        refused = [d for d in decided if isinstance(d, Refusal)]
        refusals += refused
        for item in (d for d in decided if isinstance(d, Item)):
            # No run gets past what is refused, so none is asked to write the record again.
            hopeless = refused and item.subject is Subject.RECORD
            items.append(replace(item, action=Action.KEEP) if hopeless else item)
    asked = tuple(sorted(include_valid & set(speaker.values())))
    return Plan(tuple(items), tuple(refusals), purge, reset, level, asked)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides for one job."""

    found: Verification
    known: Known
    valid_too: bool
    purge: bool
    reset: bool

    def decide(self, finding: Finding) -> Item | Refusal:
        if finding.verdict is Verdict.UNKNOWN:
            return self._refuse(finding, f"could not be checked, so it is not touched: {finding.evidence}")
        if finding.subject is Subject.RECORD:
            return self._record(finding)
        if finding.verdict is Verdict.MISSING:
            return self._missing(finding)
        if finding.subject is Subject.UPLOAD:
            return self._take(finding, Action.ABORT_UPLOAD, finding.evidence)
        if finding.verdict in BROKEN and finding.etag is None:
            return self._item(finding, Action.KEEP, f"nothing is there to remove: {finding.evidence}")
        if finding.verdict in BROKEN:
            return self._remove(finding, finding.evidence)
        if self.valid_too:
            return self._remove(finding, f"asked for by id: {finding.evidence}")
        if finding.verdict is Verdict.FOREIGN:
            rule = (
                "not proved to be this job's, so it is not touched without --include-valid and the job's id"
            )
            return self._refuse(finding, f"{rule}: {finding.evidence}")
        return self._intact(finding)

    def _record(self, finding: Finding) -> Item | Refusal:
        broken = finding.verdict is not Verdict.INTACT
        if not (broken and self.reset and self.found.status is Status.SUCCEEDED):
            return self._item(finding, Action.KEEP, finding.evidence)
        elsewhere = self._elsewhere()
        if elsewhere:
            why = f"its media is recorded under {elsewhere}; a run would store it a second time"
            return self._refuse(finding, f"{why}: correct jobs.payload.artifacts first ({finding.evidence})")
        return self._item(finding, Action.ADOPT, f"the next run writes it again: {finding.evidence}")

    def _elsewhere(self) -> str:
        here = {finding.ref for finding in self.found.findings}
        mine = [row for row in self.known.rows if row.video_id == self.found.video_id]
        return ", ".join(str(r.ref) for r in mine if r.state is ArtifactState.STORED and r.ref not in here)

    def _missing(self, finding: Finding) -> Item:
        # A reserved or staged row claims no object: it says which unfinished uploads are ours to end.
        row = self.known.row(self.found.video_id, finding.ref)
        stale = row is not None and row.state is ArtifactState.STORED
        return self._item(finding, Action.FORGET_ROW if stale else Action.KEEP, finding.evidence)

    def _intact(self, finding: Finding) -> Item:
        row = self.known.row(self.found.video_id, finding.ref)
        recorded = row is not None and row.sha256 is not None
        proved = self.found.level is Level.DECODE and finding.sha256 and finding.size_bytes is not None
        if not recorded and proved and self.known.why_not(self.found.video_id, finding.ref) is None:
            return self._item(finding, Action.ADOPT, f"its record is missing: {finding.evidence}")
        return self._item(finding, Action.KEEP, finding.evidence)

    def _remove(self, finding: Finding, reason: str) -> Item | Refusal:
        if finding.ref is None or finding.etag is None or finding.size_bytes is None:
            return self._refuse(finding, f"which object was looked at is not known: {finding.evidence}")
        if self.purge and finding.bytes_intact and not self.valid_too:
            kept = "its bytes are those on record, so that it is set aside and not purged"
            return self._take(finding, Action.QUARANTINE, f"{reason}; {kept}")
        return self._take(finding, Action.DELETE if self.purge else Action.QUARANTINE, reason)

    def _take(self, finding: Finding, action: Action, reason: str) -> Item | Refusal:
        why_not = self.known.why_not(self.found.video_id, finding.ref)
        return self._refuse(finding, why_not) if why_not else self._item(finding, action, reason)

    def _refuse(self, finding: Finding, reason: str) -> Refusal:
        return Refusal(self.found.job_id, finding.subject, finding.verdict, reason, finding.ref)

    def _item(self, finding: Finding, action: Action, reason: str) -> Item:
        return Item(
            self.found.job_id,
            self.found.video_id,
            finding.subject,
            action,
            finding.verdict,
            reason,
            finding.ref,
            finding.size_bytes,
            finding.etag,
            finding.sha256,
            finding.upload_id,
            finding.bytes_intact,
        )


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as a file for a second person to review."""
    return {"version": PLAN_VERSION, "fingerprint": plan.fingerprint, **asdict(plan)}


def from_json(data: object) -> Plan:
    """Read a saved plan. Raises Conflict naming what is wrong with it."""
    try:
        if not isinstance(data, Mapping):
            raise TypeError("it is not a JSON object")
        if data["version"] != PLAN_VERSION:
            raise Conflict(f"the plan has version {data['version']!r}; this program reads {PLAN_VERSION}")
        plan = Plan(
            tuple(_thing(Item, raw) for raw in data["items"]),
            tuple(_thing(Refusal, raw) for raw in data["refusals"]),
            bool(data["purge"]),
            bool(data["reset"]),
            Level(data["level"]),
            tuple(map(str, data["include_valid"])),
        )
        if data["fingerprint"] != plan.fingerprint:
            raise Conflict("the plan was changed since it was written: its fingerprint is another")
    except (KeyError, TypeError, ValueError) as error:
        raise Conflict(f"the plan is not one that `cleanup --plan-out` wrote: {error!r}") from error
    return plan


def _thing(kind: type[Any], raw: Mapping[str, Any]) -> Any:
    values = dict(raw)
    values["subject"] = Subject(values["subject"])
    values["verdict"] = Verdict(values["verdict"])
    if "action" in values:
        values["action"] = Action(values["action"])
        values["bytes_intact"] = bool(values["bytes_intact"])
    if values.get("ref") is not None:
        values["ref"] = ObjectRef(str(values["ref"]["bucket"]), str(values["ref"]["key"]))
    return kind(**values)
