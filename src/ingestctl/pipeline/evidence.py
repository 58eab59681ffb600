"""Evidence before work: what is already under this job's keys, and may it stay.

The database's belief is not evidence. A stored object is kept only when the store itself
shows the very object that was recorded, or its bytes, read now, have the recorded SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.errors import InTheWay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestctl.domain.job import Event, Video
    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import ObjectInfo, Storage


@dataclass(frozen=True, slots=True)
class Kept:
    """An intact object that this run reuses."""

    artifact: Artifact
    info: ObjectInfo


def look(
    storage: Storage,
    ref: ObjectRef,
    kind: Kind,
    video: Video,
    rows: Sequence[Artifact],
    stop: Stop,
) -> Kept | None:
    """Return the intact object under ``ref``, or None if the key is empty.

    Raises InTheWay, touching nothing, when an object is there that is not proved to be this video's.
    """
    row = next((r for r in rows if r.ref == ref), None)
    info = storage.stat(ref)
    if info is None:
        return None
    expected = row if row and row.sha256 else from_video_row(ref, kind, video)
    if expected is None:
        raise InTheWay(
            f"an object of {info.size_bytes} bytes is under {ref}, and nothing on record says it is the "
            f"{kind} of video {video.id}; it was left as it is",
        )
    if same_object(expected, info):
        return Kept(expected, info)
    if expected.size_bytes in (None, info.size_bytes):
        digest = read_sha256(storage, info, stop)
        if digest == expected.sha256:
            artifact = replace(
                expected,
                size_bytes=info.size_bytes,
                etag=info.etag,
                content_type=info.content_type,
                stored_at=info.modified_at,
                state=ArtifactState.STORED,
            )
            return Kept(artifact, info)
    raise InTheWay(
        f"the object under {ref} is not the one on record ({info.size_bytes} bytes, expected "
        f"{expected.size_bytes} with SHA-256 {(expected.sha256 or '')[:12]}…); it was left as it is",
    )


def still_there(
    storage: Storage, ref: ObjectRef, kind: Kind, video: Video, rows: Sequence[Artifact], stop: Stop
) -> ObjectInfo | None:
    """The object of a job that succeeded, if it is (still) the one on record; else None."""
    if not any(row.ref == ref and row.sha256 for row in rows):
        # An older worker left no row: being there is all there is to ask.
        return storage.stat(ref)
    try:
        kept = look(storage, ref, kind, video, rows, stop)
    except InTheWay:
        return None
    return kept.info if kept else None


def same_object(row: Artifact, info: ObjectInfo) -> bool:
    """Whether the store shows the very object that was committed: same size and same ETag."""
    return (
        row.state is ArtifactState.STORED
        and row.etag is not None
        and row.etag == info.etag
        and row.size_bytes == info.size_bytes
    )


def read_sha256(storage: Storage, info: ObjectInfo, stop: Stop) -> str:
    """SHA-256 (hex) of the object's bytes as the store returns them now."""
    digest = hashlib.sha256()
    with storage.read(info.ref, if_match=info.etag) as chunks:
        for chunk in chunks:
            stop.check()
            digest.update(chunk)
    return digest.hexdigest()


def from_video_row(ref: ObjectRef, kind: Kind, video: Video) -> Artifact | None:
    """What an older worker recorded on the video row, where it says enough to check by."""
    pointer = video.storage_ref
    if kind is not Kind.VIDEO or not isinstance(pointer, Mapping):
        return None
    checksum = pointer.get("checksum")
    if (pointer.get("bucket"), pointer.get("key")) != (ref.bucket, ref.key) or not isinstance(checksum, str):
        return None
    algorithm, _, digest = checksum.partition(":")
    if algorithm != "sha256" or not digest:
        return None
    size = pointer.get("size_bytes")
    return Artifact(
        ref=ref,
        kind=kind,
        video_id=video.id,
        job_id="",
        run_id="",
        state=ArtifactState.STAGED,
        size_bytes=size if isinstance(size, int) else None,
        sha256=digest.lower(),
    )


def captured_source(events: Sequence[Event]) -> Mapping[str, Any]:
    """What an earlier attempt learned of the source, so that reusing its download loses nothing."""
    for event in reversed(events):
        source = event.payload.get("source") if event.event_type == PHASE_COMPLETED else None
        if isinstance(source, Mapping):
            return source
    return {}


PHASE_COMPLETED = "ingestion.phase.completed"
