"""What an incident remembers of a cleanup: the plan, the rows as they were, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.plan import Item, Plan, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingestctl.db.operator import Incident, IncidentEntry


def plan_of(incident: Incident) -> Plan:
    """The plan that a cleanup was begun with. Raises Conflict if it cannot be read."""
    return from_json(incident.details.get("plan"))


def rows_of(incident: Incident) -> list[Artifact]:
    """The artifact rows of the video when the cleanup was begun."""
    return [_row_from(raw) for raw in incident.details.get("rows", ())]


def done_before(entries: Sequence[IncidentEntry]) -> dict[tuple[str, ...], tuple[str, ObjectRef | None]]:
    """Outcomes by the identity of their items, of an earlier attempt at the same incident."""
    done: dict[tuple[str, ...], tuple[str, ObjectRef | None]] = {}
    for entry in entries:
        if entry.kind == "done":
            to = entry.payload.get("to")
            done[tuple(entry.payload["identity"])] = (
                entry.payload["outcome"],
                ObjectRef(**to) if to else None,
            )
    return done


def said(item: Item) -> dict[str, Any]:
    """One item, as an entry of the log tells it."""
    return {
        "action": item.action.value,
        "subject": item.subject.value,
        "verdict": item.verdict.value,
        "object": ref_json(item.ref) if item.ref else None,
        "size_bytes": item.size_bytes,
        "etag": item.etag,
        "sha256": item.sha256,
        "upload_id": item.upload_id,
        "identity": list(item.identity),
    }


def ref_json(ref: ObjectRef) -> dict[str, str]:
    """The name of an object."""
    return {"bucket": ref.bucket, "key": ref.key}


def row_json(row: Artifact) -> dict[str, Any]:
    """An artifact row, as an incident keeps it."""
    return {
        "ref": ref_json(row.ref),
        "kind": row.kind.value,
        "video_id": row.video_id,
        "job_id": row.job_id,
        "run_id": row.run_id,
        "state": row.state.value,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "content_type": row.content_type,
    }


def _row_from(raw: Mapping[str, Any]) -> Artifact:
    known = {**raw, "ref": ObjectRef(**raw["ref"]), "kind": Kind(raw["kind"])}
    return Artifact(**{**known, "state": ArtifactState(raw["state"])})
