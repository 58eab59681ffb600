"""One attempt at one job: evidence, then acquire, extract, store, commit.

Each step is a method, in the order it happens; :meth:`Attempt.work` reads as the story.
Errors leave through :mod:`ingestctl.pipeline.run`, which decides what becomes of the job.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ingestctl.db.base import HandOff, VideoFacts
from ingestctl.domain.artifact import (
    AUDIO_CONTENT_TYPE,
    Artifact,
    ArtifactState,
    Kind,
    ObjectRef,
    storage_ref,
)
from ingestctl.domain.errors import IngestError, InTheWay, InvalidPayload, NoAudioStream, NoVideoStream
from ingestctl.domain.job import Phase
from ingestctl.domain.source import IngestSpec, parse_payload
from ingestctl.pipeline import facts as source_facts
from ingestctl.pipeline.acquire import Acquired, acquire, read_back
from ingestctl.pipeline.evidence import Kept, captured_source, look
from ingestctl.pipeline.model import StoredArtifact
from ingestctl.pipeline.upload import Upload, sha256_of
from ingestctl.storage.base import UploadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from ingestctl.db.base import Claim
    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import AudioTrack
    from ingestctl.pipeline.journal import Journal
    from ingestctl.pipeline.ownership import Ownership
    from ingestctl.pipeline.services import Services

T = TypeVar("T")

SAME_LENGTH_S = 0.5
"""How far the lengths of a kept audio and a newly fetched original may differ and still belong together."""


@dataclass(frozen=True, slots=True)
class _Audio:
    """The extracted track and, if it must be stored, its upload; or the one that was kept."""

    track: AudioTrack | None
    upload: Upload | None
    kept: Kept | None


class Attempt:
    """The work of one claimed attempt. Owns nothing beyond it: scratch, lease and stop are given."""

    def __init__(
        self,
        services: Services,
        journal: Journal,
        claim: Claim,
        ownership: Ownership,
        scratch: Path,
        stop: Stop,
    ) -> None:
        self._services = services
        self._journal = journal
        self._claim = claim
        self._lease = claim.lease
        self._own = ownership
        self._scratch = scratch
        self._stop = stop
        self._phase: Phase | None = None
        self._phase_began = time.monotonic()
        self._phase_bytes = 0
        self._recorded: dict[ObjectRef, str | None] = {}

    def work(self) -> tuple[StoredArtifact, ...]:
        """Do the job and commit its success; return what it now has."""
        spec = parse_payload(
            self._claim.job.payload,
            video_id=self._claim.video.id,
            source_type=self._claim.video.source_type,
            source_uri=self._claim.video.source_uri,
            buckets=self._services.options.buckets,
        )
        if spec.video == spec.audio:
            raise InvalidPayload(f"jobs.payload.artifacts names {spec.video} for the video and for the audio")
        self._enter(Phase.DOWNLOADING)
        video, audio = self._evidence(spec)
        if video and audio:
            return self._commit_kept(spec, video, audio)
        with ExitStack() as stack:
            got = stack.enter_context(self._acquire(spec, video))
            self._check_streams(got)
            captured = self._captured() | source_facts.captured(got.info, got.probe)
            self._enter(Phase.PROCESSING, source=captured)
            track = self._extract(spec, got, audio, stack)
            self._enter(Phase.STORING)
            return self._store(got, track, source_facts.facts(captured, spec.metadata))

    def ended(self) -> Mapping[str, Any] | None:
        """The current phase's duration (s) and bytes, for its closing event."""
        if self._phase is None:
            return None
        return {
            "phase": self._phase.value,
            "duration_s": round(time.monotonic() - self._phase_began, 3),
            "bytes": self._phase_bytes,
        }

    # --- phases

    def _enter(self, phase: Phase, source: Mapping[str, Any] | None = None) -> None:
        ended = self.ended()
        if ended is not None and source:
            ended = {**ended, "source": source}
        self._db(lambda: self._services.store.enter_phase(self._lease, phase, ended=ended))
        self._phase, self._phase_began, self._phase_bytes = phase, time.monotonic(), 0
        self._services.observer.phase_started(self._lease.job_id, self._lease.run_id, phase)

    def _moved(self, done: int, total: int | None) -> None:
        self._phase_bytes = max(self._phase_bytes, done)
        self._services.observer.bytes_moved(self._lease.job_id, done, total)

    def _db(self, call: Callable[[], T]) -> T:
        return self._services.patient(call, self._stop)

    def _note(self, event: str, **fields: object) -> None:
        self._services.observer.note(self._lease.job_id, self._lease.run_id, event, **fields)

    def _captured(self) -> dict[str, Any]:
        """What earlier attempts learned of the source; reusing their work must lose none of it."""
        if self._lease.attempt == 1:
            return {}
        return dict(captured_source(self._db(lambda: self._services.store.events(self._lease.job_id))))

    # --- evidence

    def _evidence(self, spec: IngestSpec) -> tuple[Kept | None, Kept | None]:
        """What is already there and intact. First ends whatever a dead attempt left on its way up."""
        rows = self._db(lambda: self._services.store.artifacts(self._claim.video.id))
        self._recorded = {row.ref: row.sha256 for row in rows}
        storage, kept = self._services.storage, []
        for ref, kind in ((spec.video, Kind.VIDEO), (spec.audio, Kind.AUDIO)):
            if any(row.ref == ref for row in rows):
                self._abort_unfinished(ref)
            kept.append(look(storage, ref, kind, self._claim.video, rows, self._stop))
            if kept[-1] is None:
                self._db(lambda ref=ref, kind=kind: self._services.store.reserve(self._lease, ref, kind))  # type: ignore[misc]
            else:
                self._note("artifact_kept", kind=kind.value, object=str(ref))
        return kept[0], kept[1]

    def _abort_unfinished(self, ref: ObjectRef) -> None:
        # A key is reserved before its upload begins, so only keys with a row can have sessions; and
        # aborting them is what keeps a paused predecessor from publishing after us.
        self._db(self._own.confirm)
        for upload in self._services.storage.unfinished(ref.bucket, ref.key):
            if upload.ref == ref and self._services.storage.abort(upload):
                self._note("upload_aborted", object=str(ref), upload_id=upload.upload_id)

    # --- acquire

    def _acquire(self, spec: IngestSpec, video: Kept | None) -> Acquired:
        if video:
            return read_back(self._services, video, self._scratch, self._stop, self._moved)
        return acquire(
            self._services,
            spec,
            self._request(spec.video, Kind.VIDEO),
            self._scratch,
            self._stop,
            self._moved,
        )

    def _request(self, ref: ObjectRef, kind: Kind, content_type: str = "video/mp4") -> UploadRequest:
        return UploadRequest(
            ref,
            content_type,
            {
                "ingest-kind": kind.value,
                "ingest-video": self._claim.video.id,
                "ingest-job": self._lease.job_id,
                "ingest-run": self._lease.run_id,
            },
        )

    def _check_streams(self, got: Acquired) -> None:
        if got.probe.video is None and not self._services.options.accept_audio_only:
            raise NoVideoStream(
                f"the source of job {self._lease.job_id} has no video stream "
                f"({got.probe.format_name}, {len(got.probe.streams)} stream(s))",
                job_id=self._lease.job_id,
            )
        if got.probe.audio is None:
            raise NoAudioStream(
                f"the source of job {self._lease.job_id} has no audio stream ({got.probe.format_name})",
                job_id=self._lease.job_id,
            )

    # --- extract

    def _extract(self, spec: IngestSpec, got: Acquired, kept: Kept | None, stack: ExitStack) -> _Audio:
        """Extract the audio while the original finishes going up beside it."""
        if kept and got.upload:
            got.settle()
            if got.upload.sha256 == self._recorded.get(spec.video):
                return _Audio(None, None, kept)  # the same original again: the audio kept is its audio
        with ThreadPoolExecutor(1, thread_name_prefix="original") as pool:
            original: Future[None] = pool.submit(got.settle)
            try:
                track = self._services.media.extract_audio(got.path, got.probe, self._scratch, self._stop)
                audio = self._upload_audio(spec, track, kept, stack)
            except BaseException:
                got.cancel()  # or leaving the pool would wait for the whole upload
                raise
            original.result()
        return audio

    def _upload_audio(
        self, spec: IngestSpec, track: AudioTrack, kept: Kept | None, stack: ExitStack
    ) -> _Audio:
        if kept:
            self._check_belongs(track, kept)
            return _Audio(track, None, kept)
        request = self._request(spec.audio, Kind.AUDIO, AUDIO_CONTENT_TYPE)
        upload = stack.enter_context(Upload(self._services.storage, request, self._stop))
        upload.append_file(track.path, self._moved)
        return _Audio(track, upload, None)

    def _check_belongs(self, track: AudioTrack, kept: Kept) -> None:
        """A kept audio beside a newly fetched original: the same samples, or at least the same length."""
        bytes_per_s = 32_000  # 16 kHz, mono, 16 bit
        difference = abs((kept.info.size_bytes - track.path.stat().st_size) / bytes_per_s)
        if sha256_of(track.path, self._stop.check) != kept.artifact.sha256 and difference > SAME_LENGTH_S:
            raise InTheWay(
                f"the audio kept under {kept.info.ref} is {difference:.1f} s away from the original just "
                "fetched, so it belongs to other media; it was left as it is",
                hint="The source changed: quarantine the old audio (`ingestctl cleanup JOB`), then retry.",
            )

    # --- store

    def _store(self, got: Acquired, audio: _Audio, facts: VideoFacts) -> tuple[StoredArtifact, ...]:
        """Publish under the fence, the original first, then commit everything at once."""
        original = got.kept.artifact if got.kept else self._publish(got.upload, Kind.VIDEO)
        sound = audio.kept.artifact if audio.kept else self._publish(audio.upload, Kind.AUDIO)
        details = source_facts.audio_details(audio.track)
        return self._commit(original, sound, facts, details, (got.kept is not None, audio.kept is not None))

    def _publish(self, upload: Upload | None, kind: Kind) -> Artifact:
        assert upload is not None  # noqa: S101  (one of kept and upload is always there)
        size, digest, content_type = upload.size_bytes, upload.sha256, upload.request.content_type
        ref = upload.request.ref
        self._db(
            lambda: self._services.store.stage(
                self._lease, ref, size_bytes=size, sha256=digest, content_type=content_type
            )
        )
        self._db(self._own.confirm)
        info = upload.publish()
        with suppress(IngestError):
            # One more may have been begun by a request whose reply was lost: nobody else knows of it.
            self._abort_unfinished(ref)
        if info.size_bytes != size:
            raise InTheWay(f"{ref} was published with {size} bytes and the store shows {info.size_bytes}")
        self._phase_bytes += size
        return Artifact(
            ref=ref,
            kind=kind,
            video_id=self._claim.video.id,
            job_id=self._lease.job_id,
            run_id=self._lease.run_id,
            state=ArtifactState.STORED,
            size_bytes=size,
            sha256=digest,
            etag=info.etag,
            content_type=content_type,
            stored_at=info.modified_at,
        )

    def _commit_kept(self, spec: IngestSpec, video: Kept, audio: Kept) -> tuple[StoredArtifact, ...]:
        """Both objects are there and intact: nothing to fetch, extract or upload, only to record."""
        self._enter(Phase.STORING)
        facts = source_facts.facts(self._captured(), spec.metadata)
        return self._commit(video.artifact, audio.artifact, facts, {}, (True, True))

    def _commit(
        self,
        video: Artifact,
        audio: Artifact,
        facts: VideoFacts,
        details: Mapping[str, Any],
        reused: tuple[bool, bool],
    ) -> tuple[StoredArtifact, ...]:
        options = self._services.options
        video, audio = (
            replace(a, job_id=a.job_id or self._lease.job_id, run_id=a.run_id or self._lease.run_id)
            for a in (video, audio)
        )
        hand_off = HandOff(
            "transcription",
            f"transcription:{self._claim.video.id}:{audio.ref.bucket}:{audio.ref.key}",
            {"audio_storage_ref": storage_ref(audio, options.provider)},
        )
        self._db(
            lambda: self._services.store.succeed(
                self._lease,
                facts=facts,
                artifacts=(video, audio),
                storage_ref=storage_ref(video, options.provider),
                ended=self.ended(),
                hand_off=hand_off if options.hand_off else None,
                run_metadata=self._journal.metadata(owner=self._lease.owner, **details),
            )
        )
        return tuple(
            StoredArtifact(a.kind, a.ref, a.size_bytes, a.sha256, a.content_type, was)
            for a, was in ((video, reused[0]), (audio, reused[1]))
        )
