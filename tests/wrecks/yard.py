"""A place with one whole job to wreck and another that must never be touched, wired as the program is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import NewJob, RunError, VideoFacts
from ingestctl.db.engine import create_engine
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, storage_ref
from ingestctl.domain.source import Source, new_payload, source_of_url
from ingestctl.domain.stop import Stop
from ingestctl.media.ffmpeg_tool import FFmpegTool
from ingestctl.media.tools import find_tools
from ingestctl.ops import cleaning
from ingestctl.ops.audit import FleetAudit
from ingestctl.ops.planning import Terms
from ingestctl.ops.setup import make_buckets
from ingestctl.storage.base import UploadRequest
from ingestctl.telemetry import LogObserver, configure
from tests.media_samples import VIDEO, Samples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ingestctl.domain.job import Job, Lease
    from ingestctl.domain.verification import Level, Verification
    from ingestctl.ops.audit import AuditReport
    from ingestctl.ops.cleaning import CleanupResult
    from ingestctl.ops.retry import RetryResult
    from ingestctl.pipeline import RunResult
    from ingestctl.wiring import Wiring
    from tests.services.source import SourceServer
    from tests.wrecks.hands import Hands, Thing

TABLES = (
    "videos",
    "jobs",
    "job_runs",
    "job_events",
    "ingest_artifacts",
    "ingest_incidents",
    "ingest_incident_entries",
)
OURS, OTHERS = "wreck", "bystander"
TYPES = {Kind.VIDEO: "video/mp4", Kind.AUDIO: "audio/wav"}


@dataclass(frozen=True, slots=True)
class Media:
    """The bytes of two videos of the same length, with their audio as the pipeline extracts it."""

    samples: Samples
    ours: tuple[bytes, bytes]
    others: tuple[bytes, bytes]

    @classmethod
    def make(cls, folder: Path) -> Media:
        samples = Samples(folder, seconds=2)
        noise = ["-f", "lavfi", "-i", "anoisesrc=d=2:a=0.3:r=44100:seed=99"]
        other = samples.ffmpeg(
            "other.mp4", "-f", "lavfi", "-i", "testsrc=s=160x120:r=10:d=2", *noise, *VIDEO,
            "-c:a", "aac", "-movflags", "+faststart",
        )  # fmt: skip
        pairs = []
        for path in (samples.mp4(), other):
            scratch = folder / f"{path.stem}-audio"
            scratch.mkdir(exist_ok=True)
            tool = FFmpegTool(find_tools)
            track = tool.extract_audio(path, tool.probe(path, Stop()), scratch, Stop())
            pairs.append((path.read_bytes(), track.path.read_bytes()))
        return cls(samples, *pairs)


class Yard:
    """The services of one process, hands to wreck with, and eyes on every row and byte."""

    def __init__(
        self, wiring: Wiring, hands: Hands, media: Media, source: SourceServer, env: Mapping[str, str]
    ) -> None:
        self.wiring, self.hands, self.media, self.source, self.env = wiring, hands, media, source, env
        self.store, self.storage = wiring.store, wiring.storage
        self.stop = Stop()
        self._engine = create_engine(wiring.settings.effective_database_url, timeout_s=10, pooled=False)
        buckets = wiring.buckets
        self.buckets = (buckets.video, buckets.audio, buckets.uploads)
        make_buckets(wiring.storage, buckets)
        base = f"videos/{OURS}"
        self.video = ObjectRef(buckets.video, f"{base}/source.mp4")
        self.audio = ObjectRef(buckets.audio, f"{base}/audio.wav")
        self.url = source.url("wrecks/v.mp4")
        self.ingest(OURS, self.url, media.ours)
        self.ingest(OTHERS, source.url("wrecks/other.mp4"), media.others)

    def close(self) -> None:
        self._engine.dispose()
        self.wiring.close()

    # --- whole jobs

    def submit(self, name: str, source: Source) -> Job:
        """A queued job; its video has the same id."""
        terms = {"dedupe_key": source.uri, "submitted_by": "test"}
        payload = new_payload(source, name, self.wiring.buckets, **terms)
        return self.store.submit(NewJob(source, name, name, payload)).job

    def ingest(self, name: str, url: str, data: tuple[bytes, bytes]) -> Job:
        """A job that succeeded with these very bytes, as the pipeline leaves it."""
        self.submit(name, source_of_url(url))
        lease = self.claim(name)
        made = []
        for kind, body in zip(Kind, data, strict=True):
            made.append(self._stored(lease, kind, body))
        pointer = storage_ref(made[0], self.storage.provider)
        self.store.succeed(lease, facts=VideoFacts(), artifacts=made, storage_ref=pointer)
        return self.job(name)

    def _stored(self, lease: Lease, kind: Kind, body: bytes) -> Artifact:
        bucket = self.buckets[list(Kind).index(kind)]
        ref = ObjectRef(
            bucket, f"videos/{lease.video_id}/{'source.mp4' if kind is Kind.VIDEO else 'audio.wav'}"
        )
        metadata = self.metadata(kind, lease.video_id, lease.job_id, lease.run_id)
        session = self.storage.begin(UploadRequest(ref, TYPES[kind], metadata))
        session.append(body)
        info = session.publish()
        digest = hashlib.sha256(body).hexdigest()
        return Artifact(
            ref, kind, lease.video_id, lease.job_id, lease.run_id, ArtifactState.STORED,
            len(body), digest, info.etag, TYPES[kind], info.modified_at,
        )  # fmt: skip

    def metadata(
        self, kind: Kind, video_id: str = OURS, job_id: str = OURS, run_id: str = ""
    ) -> dict[str, str]:
        """What the pipeline writes on its objects."""
        return {
            "ingest-kind": kind.value,
            "ingest-video": video_id,
            "ingest-job": job_id,
            "ingest-run": run_id or self.store.runs(job_id)[0].id,
        }

    def claim(self, name: str = OURS, lease_s: float = 60.0) -> Lease:
        return self.store.claim(name, owner="w@host:1:x", lease_s=lease_s, stale_after_s=3600).lease

    def fail(self, name: str = OURS, cause: str = "download_timeout", **details: Any) -> None:
        """Another attempt, which fails of this cause."""
        self.store.fail(self.claim(name), RunError(cause, f"it was {cause}", details))

    def job(self, name: str = OURS) -> Job:
        found = self.store.job(name)
        assert found is not None
        return found

    # --- rows by hand

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self._engine.begin() as connection:
            result = connection.execute(sa.text(statement), values)
            return list(result.mappings()) if result.returns_rows else []

    def set_json(self, column: str, value: Any) -> None:
        """``videos.metadata`` and the like, of our job."""
        table, name = column.split(".")
        given = "CAST(:value AS JSONB)" if self._engine.dialect.name == "postgresql" else ":value"
        where = "video_id" if table == "jobs" else "id"
        text = None if value is None else json.dumps(value)
        self.sql(f"UPDATE {table} SET {name} = {given} WHERE {where} = :id", value=text, id=OURS)

    def set_row(self, ref: ObjectRef, **values: Any) -> None:
        """Change the artifact row of one object."""
        words = ", ".join(f"{name} = :{name}" for name in values)
        where = "bucket = :at_bucket AND key = :at_key"
        self.sql(
            f"UPDATE ingest_artifacts SET {words} WHERE {where}",
            at_bucket=ref.bucket, at_key=ref.key, **values,
        )  # fmt: skip

    def unrecord(self, *refs: ObjectRef) -> None:
        for ref in refs:
            self.sql("DELETE FROM ingest_artifacts WHERE bucket = :b AND key = :k", b=ref.bucket, k=ref.key)

    def forget_video(self) -> None:
        """Nothing of the original is on the video row."""
        self.sql(
            "UPDATE videos SET storage_ref = NULL, storage_bucket = NULL, storage_key = NULL WHERE id = :id",
            id=OURS,
        )

    def record_what_is_there(self, ref: ObjectRef) -> None:
        """Everything on record agrees with what is stored now: the damage is older than the record."""
        info, data = self.storage.stat(ref), self.hands.get(ref).data
        assert info is not None
        digest = hashlib.sha256(data).hexdigest()
        self.set_row(ref, size_bytes=len(data), etag=info.etag, sha256=digest)
        if ref == self.video:
            row = self.store.artifacts_at([ref])[ref]
            self.set_json("videos.storage_ref", storage_ref(row, self.storage.provider))

    # --- objects by hand

    def damage(self, ref: ObjectRef, data: bytes) -> None:
        """Other bytes under the key, with the type and the metadata that were there."""
        was = self.hands.get(ref)
        self.hands.put(ref, data, was.content_type, **was.metadata)

    # --- looking

    def objects(self) -> dict[ObjectRef, Thing]:
        return self.hands.objects(self.buckets)

    def everything(self) -> dict[str, Any]:
        rows = {table: sorted(map(str, self.sql(f"SELECT * FROM {table}"))) for table in TABLES}
        return {**rows, "objects": self.objects(), "uploads": self.hands.uploads(self.buckets)}

    # --- the commands, in this process

    def verify(self, level: Level, **more: Any) -> Verification:
        return self.wiring.verifier(self.stop).verify(self.job(), level, **more)

    def audit(self) -> AuditReport:
        wiring = self.wiring
        verifier = wiring.verifier(self.stop)
        return FleetAudit(wiring.store, wiring.storage, verifier, wiring.buckets, self.stop).run()

    def retry(self, **more: Any) -> RetryResult:
        return self.wiring.retrier(self.stop).retry(self.job(), reason="a test", **more)

    def prepare(self, **terms: Any) -> cleaning.Prepared:
        planner = self.wiring.planner(self.stop)
        cleaner = self.wiring.cleaner(planner, self.stop)
        return cleaning.prepare(planner, cleaner, [self.job()], Terms(**terms), batch=False)

    def cleanup(self, prepared: cleaning.Prepared) -> CleanupResult:
        planner = self.wiring.planner(self.stop)
        return cleaning.carry_out(self.wiring.cleaner(planner, self.stop), prepared, reason="a test")

    def run(self) -> RunResult:
        logger = configure("CRITICAL", self.wiring.redact, log_dir=None, to_stderr=False)
        return self.wiring.pipeline(LogObserver(logger)).run(OURS, self.stop)

    def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The program itself, as a process: its exit code and its JSON envelope."""
        done = subprocess.run(
            [sys.executable, "-m", "ingestctl", *words, "--output", "json"],
            env=dict(self.env), cwd=self.wiring.settings.home_dir.parent, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        envelope: dict[str, Any] = json.loads(done.stdout)
        assert envelope["exit_code"] == done.returncode, done.stderr
        return done.returncode, envelope
