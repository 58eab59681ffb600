"""A platform with finished jobs to damage: a folder with SQLite, or the real S3 server with PostgreSQL."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.db.base import VideoFacts
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, storage_ref
from ingestctl.domain.source import Buckets, new_payload
from ingestctl.domain.stop import Stop
from ingestctl.media.ffmpeg_tool import FFmpegTool
from ingestctl.media.tools import find_tools
from ingestctl.ops.audit import AuditReport, FleetAudit
from ingestctl.ops.verify import Verifier
from ingestctl.storage.base import UploadRequest
from tests.contracts.jobstore_world import World, new_job, source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ingestctl.domain.job import Job
    from ingestctl.domain.verification import Level, Verification
    from ingestctl.storage.base import ObjectInfo, Storage

_numbers = itertools.count(1)


@dataclass
class Place:
    """Services, and ways around them: ``rewrite`` puts bytes in place as nobody of ours would."""

    world: World
    storage: Storage
    buckets: Buckets
    scratch: Path
    rewrite: Callable[[ObjectRef, bytes], None]
    remove: Callable[[ObjectRef], None]
    s3: Any = None
    media: Any = None

    def __post_init__(self) -> None:
        self.media = self.media or FFmpegTool(find_tools)

    def verifier(self, storage: Storage | None = None, **more: Any) -> Verifier:
        terms = {"media": self.media, "scratch_root": self.scratch, "stop": Stop(), **more}
        return Verifier(self.world.store, storage or self.storage, buckets=self.buckets, **terms)

    def look(self, job: Job, level: Level, **more: Any) -> Verification:
        fresh = self.world.store.job(job.id)
        assert fresh is not None
        return self.verifier().verify(fresh, level, **more)

    def submit(self) -> Job:
        name = f"job{next(_numbers):04}"
        video_id = f"v-{name}"
        where = source()
        payload = new_payload(where, video_id, self.buckets, dedupe_key=name, submitted_by="test")
        made = new_job(name, video_id, of=where)
        return self.world.store.submit(type(made)(where, video_id, name, payload)).job

    def refs(self, job: Job) -> tuple[ObjectRef, ObjectRef]:
        base = f"videos/{job.video_id}"
        return (
            ObjectRef(self.buckets.video, f"{base}/source.mp4"),
            ObjectRef(self.buckets.audio, f"{base}/audio.wav"),
        )

    def put(self, ref: ObjectRef, data: bytes, content_type: str, **metadata: str) -> ObjectInfo:
        session = self.storage.begin(UploadRequest(ref, content_type, metadata))
        session.append(data)
        return session.publish()

    def ingested(self, video: bytes, audio: bytes) -> Job:
        """A job that succeeded with these very bytes."""
        job = self.submit()
        lease = self.world.claim(job.id).lease
        made = []
        for ref, kind, data, content_type in zip(
            self.refs(job), Kind, (video, audio), ("video/mp4", "audio/wav"), strict=True
        ):
            metadata = {"ingest-video": job.video_id, "ingest-kind": kind.value, "ingest-job": job.id}
            info = self.put(ref, data, content_type, **metadata)
            made.append(
                Artifact(
                    ref,
                    kind,
                    job.video_id,
                    job.id,
                    lease.run_id,
                    ArtifactState.STORED,
                    len(data),
                    hashlib.sha256(data).hexdigest(),
                    info.etag,
                    content_type,
                    info.modified_at,
                )
            )
        self.world.store.succeed(
            lease,
            facts=VideoFacts(),
            artifacts=made,
            storage_ref=storage_ref(made[0], self.storage.provider),
        )
        done = self.world.store.job(job.id)
        assert done is not None
        return done

    def row(self, ref: ObjectRef, **values: Any) -> None:
        """Change an artifact row behind everybody's back."""
        words = ", ".join(f"{name} = :{name}" for name in values)
        self.world.sql(
            f"UPDATE ingest_artifacts SET {words} WHERE bucket = :at_bucket AND key = :at_key",
            at_bucket=ref.bucket, at_key=ref.key, **values,
        )  # fmt: skip

    def same_as_stored(self, ref: ObjectRef) -> None:
        """Make the row agree with whatever is stored now: the damage was done before the record was made."""
        info = self.storage.stat(ref)
        assert info is not None
        with self.storage.read(ref) as chunks:
            data = b"".join(chunks)
        self.row(ref, size_bytes=len(data), etag=info.etag, sha256=hashlib.sha256(data).hexdigest())


class Lying:
    """A store between us and the real one, which says something else where it is told to."""

    def __init__(self, real: Storage, **lies: Any) -> None:
        self._real = real
        self._lies = lies

    def __getattr__(self, name: str) -> Any:
        return self._lies.get(name) or getattr(self._real, name)


def fleet(p: Place, number: int) -> list[Job]:
    return [p.ingested(b"video %d" % n, b"audio %d" % n) for n in range(number)]


def audit(p: Place, storage: Any = None) -> AuditReport:
    there = storage or p.storage
    return FleetAudit(p.world.store, there, p.verifier(there), p.buckets, Stop()).run()


def verdicts(report: AuditReport) -> dict[str, int]:
    return {verdict.value: count for verdict, count in report.counts.items() if count}


def recorded(p: Place) -> set[str | None]:
    return {row["verdict"] for row in p.world.sql("SELECT DISTINCT verdict FROM ingest_artifacts")}
