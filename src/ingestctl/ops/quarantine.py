"""Quarantine: where removed objects wait, in their own bucket, under ``quarantine/<incident>/<key>``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.source import MAX_KEY_BYTES
from ingestctl.ops.proof import prove_copied
from ingestctl.storage.base import UploadRequest

if TYPE_CHECKING:
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.proof import Proof
    from ingestctl.storage.base import ObjectInfo, Storage

PREFIX = "quarantine/"
MARKS = ("ingest-incident", "ingest-quarantined-from", "ingest-restored-by")
"""Metadata that quarantine adds; the rest is the object's own."""
_LONGEST_MARK = 600
DEFAULT_TYPE = "application/octet-stream"


def place(incident_id: str, ref: ObjectRef) -> ObjectRef:
    """Where an object waits. A key that would grow too long is told by its SHA-256."""
    key = f"{PREFIX}{incident_id}/{ref.key}"
    if len(key.encode()) > MAX_KEY_BYTES:
        key = f"{PREFIX}{incident_id}/sha256-{hashlib.sha256(ref.key.encode()).hexdigest()}"
    return ObjectRef(ref.bucket, key)


def incident_of(ref: ObjectRef) -> str | None:
    """The incident that an object in quarantine belongs to."""
    parts = ref.key.split("/", 2)
    return parts[1] if len(parts) == 3 and ref.key.startswith(PREFIX) and parts[1] else None


def set_aside(storage: Storage, proof: Proof, incident_id: str, stop: Stop) -> ObjectInfo:
    """Copy a condemned object into quarantine and prove the copy true. The original stays.

    Idempotent: a copy that an interrupted attempt made is proved and used. Raises ObjectChanged if the
    original changed meanwhile or the copy is not true.
    """
    original, target = proof.info, place(incident_id, proof.info.ref)
    end_leftovers(storage, target)
    metadata = {**(original.metadata or {}), "ingest-incident": incident_id}
    origin = quote(original.ref.key)
    if len(origin) <= _LONGEST_MARK:
        metadata["ingest-quarantined-from"] = origin
    request = UploadRequest(target, original.content_type or DEFAULT_TYPE, metadata)
    copy = storage.stat(target) or storage.copy(original, request)
    prove_copied(storage, original, copy, None, stop)
    return copy


def put_back(storage: Storage, copy: ObjectInfo, ref: ObjectRef, incident_id: str, stop: Stop) -> Proof:
    """Copy an object from quarantine back under its key, create-once; the proof that the copy may go.

    Raises ObjectExists if anything but this very object is there.
    """
    end_leftovers(storage, ref)
    own = {k: v for k, v in (copy.metadata or {}).items() if k not in MARKS}
    request = UploadRequest(
        ref, copy.content_type or DEFAULT_TYPE, {**own, "ingest-restored-by": incident_id}
    )
    there = storage.stat(ref)
    if there is None or not restored_by(there, incident_id):
        there = storage.copy(copy, request)
    return prove_copied(storage, copy, there, None, stop)


def restored_by(info: ObjectInfo, incident_id: str) -> bool:
    """Whether an interrupted undo of this incident put the object there."""
    return (info.metadata or {}).get("ingest-restored-by") == incident_id


def end_leftovers(storage: Storage, ref: ObjectRef | None) -> None:
    """Abort copies to ``ref`` that were killed half-way. Only called while the video is held."""
    for upload in storage.unfinished(ref.bucket, ref.key) if ref else ():
        if upload.ref == ref:
            storage.abort(upload)
