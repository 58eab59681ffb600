"""A cleanup plan is data: made from fresh verifications, shown, saved, compared, applied. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.errors import Conflict
from ingestctl.domain.verification import Finding, Subject, Verification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAN_VERSION = 1
_BROKEN = frozenset({Verdict.CORRUPT, Verdict.PARTIAL})


class Action(StrEnum):
    """What happens to one thing."""

    KEEP = "keep"
    QUARANTINE = "quarantine"
    DELETE = "delete"
    ABORT_UPLOAD = "abort-upload"
    FORGET_ROW = "forget-row"
    ADOPT = "adopt"
    """Record an object that was proved to be this video's, so that the next run keeps it."""


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

    @property
    def changes(self) -> tuple[Item, ...]:
        """The items that change anything."""
        return tuple(i for i in self.items if i.action is not Action.KEEP)

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The jobs concerned, in order, once each."""
        return tuple(dict.fromkeys(i.job_id for i in self.items))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what would be done and why: two plans with the same fingerprint do the same."""
        return hashlib.sha256(json.dumps(to_json(self), sort_keys=True).encode()).hexdigest()

    def of_job(self, job_id: str) -> Plan:
        """The part that concerns one job."""
        return replace(
            self,
            items=tuple(i for i in self.items if i.job_id == job_id),
            refusals=tuple(r for r in self.refusals if r.job_id == job_id),
        )


def make_plan(
    verifications: Iterable[Verification],
    *,
    include_valid: frozenset[str] = frozenset(),
    purge: bool = False,
    reset: bool = True,
) -> Plan:
    """Decide what may be touched: only what a verification just proved broken, partial or orphaned.

    Intact and foreign objects are touched only for the job ids in ``include_valid`` (each typed by a
    person); what is ``unknown`` is never touched.
    """
    items: list[Item] = []
    refusals: list[Refusal] = []
    for found in verifications:
        for finding in (*found.findings, *found.strays):
            decided = _decide(found, finding, found.job_id in include_valid, purge)
            (items if isinstance(decided, Item) else refusals).append(decided)  # type: ignore[arg-type]
    return Plan(tuple(items), tuple(refusals), purge, reset)


def _decide(found: Verification, finding: Finding, valid_too: bool, purge: bool) -> Item | Refusal:
    def item(action: Action, reason: str) -> Item:
        return Item(
            found.job_id,
            found.video_id,
            finding.subject,
            action,
            finding.verdict,
            reason,
            finding.ref,
            finding.size_bytes,
            finding.etag,
            finding.sha256,
            finding.upload_id,
        )

    remove = Action.DELETE if purge else Action.QUARANTINE
    match finding.subject, finding.verdict:
        case _, Verdict.UNKNOWN:
            reason = f"could not be checked, so it is not touched: {finding.evidence}"
            return Refusal(found.job_id, finding.subject, finding.verdict, reason, finding.ref)
        case Subject.UPLOAD, _:
            return item(Action.ABORT_UPLOAD, finding.evidence)
        case Subject.RECORD, verdict:
            stale = verdict in _BROKEN or verdict is Verdict.MISSING
            return (
                item(Action.KEEP, finding.evidence)
                if not stale
                else item(Action.FORGET_ROW, finding.evidence)
            )
        case _, Verdict.MISSING:
            return item(Action.FORGET_ROW, finding.evidence)
        case _, verdict if verdict in _BROKEN:
            return item(remove, finding.evidence)
        case _, Verdict.FOREIGN:
            if valid_too:
                return item(remove, f"asked for by id: {finding.evidence}")
            reason = f"not this job's to remove: {finding.evidence}; --include-valid and the job's id would"
            return Refusal(found.job_id, finding.subject, finding.verdict, reason, finding.ref)
        case _:
            if valid_too:
                return item(remove, f"asked for by id: {finding.evidence}")
            return item(Action.KEEP, finding.evidence)


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as a file for a second person to review."""
    return {"version": PLAN_VERSION, **asdict(plan)}


def from_json(data: Mapping[str, Any]) -> Plan:
    """Read a saved plan. Raises Conflict naming what is wrong with it."""
    try:
        if data["version"] != PLAN_VERSION:
            raise Conflict(f"the plan has version {data['version']!r}; this program reads {PLAN_VERSION}")
        return Plan(
            tuple(_thing(Item, raw) for raw in data["items"]),
            tuple(_thing(Refusal, raw) for raw in data["refusals"]),
            bool(data["purge"]),
            bool(data["reset"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Conflict(f"the plan is not one that `cleanup --plan-out` wrote: {error}") from error


def _thing(kind: type[Any], raw: Mapping[str, Any]) -> Any:
    values = dict(raw)
    values["subject"] = Subject(values["subject"])
    values["verdict"] = Verdict(values["verdict"])
    if "action" in values:
        values["action"] = Action(values["action"])
    if values.get("ref") is not None:
        values["ref"] = ObjectRef(str(values["ref"]["bucket"]), str(values["ref"]["key"]))
    return kind(**values)
