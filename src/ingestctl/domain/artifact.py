"""What a finished job has: the original video, the extracted audio, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

AUDIO_CONTENT_TYPE = "audio/wav"


class Kind(StrEnum):
    """Which of the two objects of a job."""

    VIDEO = "video"
    AUDIO = "audio"


class Verdict(StrEnum):
    """What a check found. ``unknown`` means the check could not run: it is never good and never bad."""

    INTACT = "intact"
    CORRUPT = "corrupt"
    PARTIAL = "partial"
    MISSING = "missing"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class ArtifactState(StrEnum):
    """How far an artifact row has come.

    ``reserved``: the key belongs to this video and an upload may be under way.
    ``staged``: the exact bytes are decided (size, SHA-256) and may be published any moment.
    ``stored``: committed together with the job's success.
    """

    RESERVED = "reserved"
    STAGED = "staged"
    STORED = "stored"


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """The name of an object: bucket and key."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One row of ``ingest_artifacts``: what should be under ``ref``, and for which video."""

    ref: ObjectRef
    kind: Kind
    video_id: str
    job_id: str
    run_id: str
    state: ArtifactState
    size_bytes: int | None = None
    sha256: str | None = None
    etag: str | None = None
    content_type: str | None = None
    stored_at: datetime | None = None
    verified_at: datetime | None = None
    verdict: str | None = None


def storage_ref(artifact: Artifact, provider: str) -> dict[str, Any]:
    """The platform's JSON pointer to a stored object (only the keys its contract allows)."""
    ref: dict[str, Any] = {
        "provider": provider,
        "bucket": artifact.ref.bucket,
        "key": artifact.ref.key,
        "content_type": artifact.content_type,
        "size_bytes": artifact.size_bytes,
        "checksum": f"sha256:{artifact.sha256}" if artifact.sha256 else None,
        "created_at": artifact.stored_at.isoformat() if artifact.stored_at else None,
    }
    return {k: v for k, v in ref.items() if v is not None}
