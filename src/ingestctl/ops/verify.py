"""``verify-artifacts``: one job's original video, extracted audio and metadata record (runbook Step 3)."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ingestctl.db.operator import Checked
from ingestctl.domain.artifact import ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.errors import IngestError, InvalidPayload
from ingestctl.domain.job import Status
from ingestctl.domain.source import parse_payload
from ingestctl.domain.verification import Finding, Level, Subject, Verification
from ingestctl.ops.decode import Decoder, MediaCheck
from ingestctl.ops.look import Look, could_not, look_at, read_through, stray_uploads
from ingestctl.ops.reading import Patience
from ingestctl.ops.record import Record, judge_record
from ingestctl.pipeline.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ingestctl.db.operator import OperatorStore
    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.job import Job, Run, Video
    from ingestctl.domain.source import Buckets
    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import Storage

SPARE_BYTES = 64 << 20
"""Scratch space that must stay free beyond the two objects."""


class Verifier:
    """Checks jobs. Reads only: nothing is written to storage or the database. Thread-safe."""

    def __init__(
        self,
        store: OperatorStore,
        storage: Storage,
        media: MediaCheck,
        buckets: Buckets,
        scratch_root: Path,
        stop: Stop,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._media = media
        self._buckets = buckets
        self._scratch_root = scratch_root
        self._stop = stop
        self._patience = patience or Patience()

    def verify(self, job: Job, level: Level, *, compare_audio: bool = False) -> Verification:
        """Look at both objects and the record, as deep as ``level`` says.

        ``compare_audio`` extracts the audio afresh from the stored video (at level ``decode``). A check
        that could not run is a finding ``unknown`` with its reason, not an exception: raised are only
        errors of the database, and what ``stop`` was asked with.
        """
        self._stop.check()
        record = self._record(job)
        looks = [look_at(self._storage, record, kind, self._stop) for kind in (Kind.VIDEO, Kind.AUDIO)]
        if level is Level.DECODE and any(look.open for look in looks):
            video, audio = self._decode(looks[0], looks[1], compare_audio)
        else:
            video, audio = (self._read(look, level, None) for look in looks)
        seen = {look.kind: look for look in (video, audio)}
        return Verification(
            job_id=job.id,
            video_id=job.video_id,
            status=job.status,
            level=level,
            checked_at=self._store.now(),
            findings=(video.finding(), audio.finding(), judge_record(record, seen)),
            strays=stray_uploads(self._storage, record, self._stop),
        )

    def check_row(self, row: Artifact) -> Finding | None:
        """One object that a listing made suspect, against its row as it is now; None if that is gone.

        A HEAD, and its bytes where only they can tell. None too where the row is only reserved or staged
        for a job that has not succeeded: that job is not done, and nothing has drifted.
        """
        self._stop.check()
        fresh = self._store.artifacts_at([row.ref]).get(row.ref)
        if fresh is None:
            return None
        job = self._store.job(fresh.job_id)
        subject = Subject(fresh.kind.value)
        if job is None or job.video_id != fresh.video_id:
            why = f"its row is of job {fresh.job_id}, which is no job of video {fresh.video_id} any more"
            return Finding(subject, Verdict.FOREIGN, why, fresh.ref, fresh.size_bytes, fresh.etag)
        if fresh.state is not ArtifactState.STORED and job.status is not Status.SUCCEEDED:
            return None
        record = self._record(job, {fresh.kind: fresh.ref})
        look = look_at(self._storage, record, fresh.kind, self._stop)
        return self._read(look, Level.EXISTS, None).finding()

    def is_live(self, job_id: str) -> bool:
        """Whether a live attempt holds the job."""
        return self._holder(job_id) is not None

    def _holder(self, job_id: str) -> Run | None:
        return next((r for r in self._store.runs(job_id) if r.status == "running" and r.lease_live), None)

    def _record(self, job: Job, only: Mapping[Kind, ObjectRef] | None = None) -> Record:
        video = self._store.video(job.video_id)
        refs = only or places(job, video, self._buckets)
        both = tuple(dict.fromkeys(refs.values()))
        return Record(
            job=job,
            video=video,
            refs=refs,
            rows=self._store.artifacts_at(both),
            pointers=self._store.videos_of_keys(both),
            holder=self._holder(job.id),
            lacks_metadata=self._store.lacks_metadata(job.video_id),
        )

    def _read(self, look: Look, level: Level, into: Path | None) -> Look:
        """Read where the level asks for it, or where nothing less can tell."""
        wanted = level.includes(Level.CHECKSUM) and look.expected is not None
        if not look.open or not (wanted or look.suspect or into):
            return look
        return read_through(look, self._storage, self._patience, self._stop, into)

    def _decode(self, video: Look, audio: Look, compare_audio: bool) -> tuple[Look, Look]:
        need = sum(look.info.size_bytes for look in (video, audio) if look.open and look.info)
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(
                    scratch_folder(
                        self._scratch_root,
                        f"verify-{secrets.token_hex(6)}",
                        min_free_bytes=need + SPARE_BYTES,
                    )
                )
            except IngestError as error:
                return self._undecoded(video, error), self._undecoded(audio, error)
            read = [self._read(look, Level.DECODE, folder / look.kind) for look in (video, audio)]
            decoder = Decoder(self._media, folder, self._stop)
            return decoder.judge(read[0], read[1], compare_audio=compare_audio)

    def _undecoded(self, look: Look, error: IngestError) -> Look:
        """Without scratch space the bytes can still be proved bad, but not proved to decode."""
        look = self._read(look, Level.CHECKSUM, None)
        return look.found(Verdict.UNKNOWN, could_not("be decoded", error)) if look.open else look


def places(job: Job, video: Video | None, buckets: Buckets) -> Mapping[Kind, ObjectRef]:
    """Where a job's two objects belong: by its payload, or by the defaults where the payload is broken."""
    try:
        spec = parse_payload(
            job.payload,
            video_id=job.video_id,
            source_type=video.source_type if video else "",
            source_uri=video.source_uri if video else "",
            buckets=buckets,
        )
    except InvalidPayload:
        spec = parse_payload(
            {"source": {"kind": "upload", "upload_ref": "none"}},
            video_id=job.video_id,
            source_type="",
            source_uri="",
            buckets=buckets,
        )
    return {Kind.VIDEO: spec.video, Kind.AUDIO: spec.audio}


def checks_of(found: Verification) -> list[Checked]:
    """What of a verification is recorded on artifact rows: every verdict but ``unknown``."""
    return [
        Checked(finding.ref, finding.verdict, found.level)
        for finding in found.findings
        if finding.ref is not None and finding.verdict is not Verdict.UNKNOWN
    ]


def verify_job(
    store: OperatorStore, verifier: Verifier, name: str, level: Level, *, compare_audio: bool = False
) -> Verification:
    """Verify the job with this id or prefix and record the result. Raises NotFound, Conflict."""
    found = verifier.verify(store.resolve(name), level, compare_audio=compare_audio)
    store.record_checks(checks_of(found))
    return found
