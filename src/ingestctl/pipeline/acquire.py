"""Getting the original into the scratch folder, and on its way up while it comes."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from ingestctl.domain.errors import InTheWay, SourceFailed
from ingestctl.pipeline.scratch import check_free
from ingestctl.pipeline.upload import Follower, Upload, sha256_of, type_of_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from ingestctl.domain.source import IngestSpec
    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import Fetched, Probe, SourceInfo
    from ingestctl.pipeline.evidence import Kept
    from ingestctl.pipeline.services import Services
    from ingestctl.storage.base import ObjectInfo, UploadRequest

    Moved = Callable[[int, int | None], None]


class Acquired:
    """The original as a local file, and its upload unless the stored one was kept."""

    def __init__(
        self,
        path: Path,
        probe: Probe,
        *,
        info: SourceInfo | None = None,
        upload: Upload | None = None,
        kept: Kept | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.probe = probe
        self.info = info
        self.upload = upload
        self.kept = kept
        self._settle = settle
        self._settled = False

    def settle(self) -> None:
        """Bring the upload to where every byte of the finished file is with the store. Once."""
        if not self._settled:
            self._settle()
            self._settled = True

    def cancel(self) -> None:
        """Make a running :meth:`settle` give up soon."""
        if self.upload:
            self.upload.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.upload:
            self.upload.__exit__(kind, error, trace)


class _Listener:
    """Starts, restarts and watches the follower as the download goes."""

    def __init__(self, services: Services, request: UploadRequest, stop: Stop, moved: Moved) -> None:
        self._services = services
        self._request = request
        self._stop = stop
        self._moved = moved
        self._last = 0
        self.follower: Follower | None = None

    def growing(self, path: Path, downloaded: int, total: int | None) -> None:
        """Follow ``path``; begin again if the download did."""
        if self.follower and (downloaded < self._last or not self.follower.follows(path)):
            self.drop()
        self._last = downloaded
        if self.follower is None and path.exists():
            request = replace(self._request, content_type=type_of_name(path.name))
            self.follower = Follower(Upload(self._services.storage, request, self._stop), path, self._stop)
        if self.follower and self.follower.error:
            raise self.follower.error
        self.progress(downloaded, total)

    def progress(self, downloaded: int, total: int | None) -> None:
        """Pass on how far it is."""
        self._stop.check()
        self._moved(downloaded, total)

    def drop(self) -> None:
        """Stop following and forget what went up."""
        follower, self.follower = self.follower, None
        if follower:
            follower.cancel()


def acquire(
    services: Services, spec: IngestSpec, request: UploadRequest, scratch: Path, stop: Stop, moved: Moved
) -> Acquired:
    """Fetch the original from wherever the job says it is."""
    if spec.upload:
        return _from_uploads(services, spec, request, scratch, stop, moved)
    listener = _Listener(services, request, stop, moved)
    with ExitStack() as undo:
        undo.callback(listener.drop)
        fetched = services.patient_fetch(
            lambda: services.fetcher.fetch(spec.source, scratch, listener, stop),
            stop,
            lambda error, wait_s: services.observer.note(
                request.metadata["ingest-job"],
                request.metadata["ingest-run"],
                "fetch_retry",
                error=services.redact(str(error)),
                wait_s=round(wait_s, 1),
            ),
        )
        probe = services.media.probe(fetched.path, stop)
        got = _followed(
            services, listener, fetched, replace(request, content_type=probe.content_type), probe, stop, moved
        )
        undo.pop_all()
    return got


def _followed(
    services: Services,
    listener: _Listener,
    fetched: Fetched,
    request: UploadRequest,
    probe: Probe,
    stop: Stop,
    moved: Moved,
) -> Acquired:
    """Keep what the follower sent if it is the finished file; otherwise send the finished file."""
    follower = listener.follower
    if follower and follower.follows(fetched.path) and follower.upload.request == request:
        follower.finish()
        upload = follower.upload
    else:
        listener.drop()
        upload = Upload(services.storage, request, stop)

    def settle() -> None:
        # The follower saw the file while it was written; this reads what it became.
        if upload.size_bytes and upload.sha256 != sha256_of(fetched.path, upload.check):
            upload.abort()
        if not upload.size_bytes:
            upload.append_file(fetched.path, moved)

    return Acquired(fetched.path, probe, info=fetched.info, upload=upload, settle=settle)


def _from_uploads(
    services: Services, spec: IngestSpec, request: UploadRequest, scratch: Path, stop: Stop, moved: Moved
) -> Acquired:
    """An upload is in our storage already: read it once to hear it, and let the store copy it."""
    assert spec.upload is not None  # noqa: S101
    source = services.storage.stat(spec.upload)
    if source is None:
        raise SourceFailed(
            f"the uploaded file {spec.upload} is not there",
            cause="invalid_source",
            retryable="after-fix",
            hint="Upload it again (`ingestctl submit FILE`), or correct payload.source.upload_ref.",
        )
    path, digest = _download(services, source, scratch, stop, moved)
    probe = services.media.probe(path, stop)
    upload = Upload(services.storage, replace(request, content_type=probe.content_type), stop)
    return Acquired(path, probe, upload=upload, settle=lambda: upload.append_copy(source, digest))


def read_back(services: Services, kept: Kept, scratch: Path, stop: Stop, moved: Moved) -> Acquired:
    """The original is stored and intact: read it back instead of fetching it, and prove it on the way."""
    path, digest = _download(services, kept.info, scratch, stop, moved)
    if digest != kept.artifact.sha256:
        raise InTheWay(
            f"the bytes of {kept.info.ref} have SHA-256 {digest[:12]}…, and "
            f"{(kept.artifact.sha256 or '')[:12]}… is on record; it was left as it is",
        )
    return Acquired(path, services.media.probe(path, stop), kept=kept)


def _download(
    services: Services, source: ObjectInfo, scratch: Path, stop: Stop, moved: Moved
) -> tuple[Path, str]:
    """Stream an object into the scratch folder; return the file and its SHA-256."""
    check_free(scratch, source.size_bytes + services.options.min_free_bytes)
    path, digest, done = scratch / "original", hashlib.sha256(), 0
    with path.open("wb") as file, services.storage.read(source.ref, if_match=source.etag) as chunks:
        for chunk in chunks:
            stop.check()
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
            moved(done, source.size_bytes)
    return path, digest.hexdigest()
