"""``submit``: one job per source; the same source again is the same job."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingestctl.db.base import NewJob
from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    Conflict,
    IngestError,
    InvalidPayload,
    ObjectExists,
    UploadLost,
    UsageError,
)
from ingestctl.domain.source import Buckets, Source, SourceKind, new_payload, source_of_url
from ingestctl.domain.stop import Stop
from ingestctl.pipeline.upload import put_file, sha256_of
from ingestctl.storage.base import UploadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ingestctl.db.base import JobStore, Submitted
    from ingestctl.domain.job import Status
    from ingestctl.storage.base import Storage


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """What became of one input: a job (``created`` or found), or an error."""

    input: str
    job_id: str | None = None
    video_id: str | None = None
    status: Status | None = None
    created: bool = False
    error: IngestError | None = None


@dataclass(frozen=True, slots=True)
class Submitter:
    """Where submissions go and who makes them."""

    store: JobStore
    storage: Storage
    buckets: Buckets
    actor: str

    def submit_all(self, inputs: Iterable[str]) -> Iterator[SubmitResult]:
        """Submit each input, one after the other; a bad one does not stop the rest."""
        for text in inputs:
            try:
                done = self.submit(text)
            except IngestError as error:
                yield SubmitResult(text, error=error)
            else:
                yield SubmitResult(text, done.job.id, done.video.id, done.job.status, done.created)

    def submit(self, text: str) -> Submitted:
        """Create (or find) the job for one URL or local file.

        Raises UsageError for what is neither, and what database and storage raise.
        """
        if "://" in text:
            try:
                source = source_of_url(text)
            except InvalidPayload as error:
                hint = "Write a URL with http:// or https://, or the path of a file."
                raise UsageError(error.message, hint=hint) from error
            return self._create(source, dedupe_key=source.uri, title=None)
        path = Path(text)
        if not _is_file(path):
            raise UsageError(
                f"{text[:200]!r} is neither a URL nor a readable file",
                hint="Write a URL with http:// or https://.",
            )
        key, digest = self._put(path)
        return self._create(Source(SourceKind.UPLOAD, key), dedupe_key=digest, title=path.stem)

    def _create(self, source: Source, *, dedupe_key: str, title: str | None) -> Submitted:
        known = self.store.video_of_source(source)
        video_id = known.id if known else str(uuid.uuid4())
        payload = new_payload(
            source,
            video_id,
            self.buckets,
            dedupe_key=dedupe_key,
            submitted_by=self.actor,
            metadata={"title": title} if title else None,
        )
        return self.store.submit(
            NewJob(source, video_id, str(uuid.uuid4()), payload, title=title, submitted_by=self.actor)
        )

    def _put(self, path: Path) -> tuple[str, str]:
        """Store a local file under a key made of its bytes, so that the same file is stored once."""
        stop = Stop()
        digest = _digest(path, stop)
        suffix = path.suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) else ""
        ref = self._stored_before(digest) or ObjectRef(self.buckets.uploads, f"sha256/{digest}{suffix}")
        size = path.stat().st_size
        if size == 0:
            raise UsageError(f"{str(path)!r} is empty", hint="Submit a file that holds a video.")
        there = self.storage.stat(ref)
        if there is None:
            request = UploadRequest(ref, "application/octet-stream", {"ingest-sha256": digest})
            try:
                there = put_file(self.storage, request, path, stop)
            except (ObjectExists, UploadLost):  # somebody stored the same bytes meanwhile
                there = self.storage.stat(ref)
        if there is None or there.size_bytes != size:
            stored = there.size_bytes if there else 0
            raise Conflict(
                f"the object under {ref} has {stored} bytes and {path.name} has {size}",
                hint="The file changed while it was read, or the stored upload is damaged: remove that "
                "object first, then submit the file again.",
            )
        self._abort_unfinished(ref)
        return ref.key, digest

    def _stored_before(self, digest: str) -> ObjectRef | None:
        """The object of the same bytes, whatever suffix their file had then."""
        there = self.storage.list_objects(self.buckets.uploads, f"sha256/{digest}")
        return next((info.ref for info in there), None)

    def _abort_unfinished(self, ref: ObjectRef) -> None:
        """The object is there, so no upload of the same bytes has a use: those of the dead are removed."""
        for upload in self.storage.unfinished(ref.bucket, ref.key):
            if upload.ref == ref:
                self.storage.abort(upload)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file, a folder that may not be entered
        return False


def _digest(path: Path, stop: Stop) -> str:
    try:
        return sha256_of(path, stop.check)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror}") from error
