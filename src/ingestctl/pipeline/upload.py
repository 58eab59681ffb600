"""Bytes on their way up: a follower of a growing download, and uploads of finished files.

An :class:`Upload` ends *prepared*: every part is with the store, the SHA-256 is known, and
nothing is visible. Only the ``storing`` phase publishes it.
"""

from __future__ import annotations

import hashlib
import mimetypes
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ingestctl.domain.errors import IngestError, UploadLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import ObjectInfo, Storage, UploadRequest, UploadSession

CHUNK = 1024 * 1024
_POLL_S = 0.1


class Upload:
    """One object going up. A context manager: what was not published is aborted on the way out."""

    def __init__(self, storage: Storage, request: UploadRequest, stop: Stop) -> None:
        self._storage = storage
        self._stop = stop
        self.request = request
        self._session: UploadSession | None = None
        self._digest = hashlib.sha256()
        self._copied_sha256: str | None = None
        self._published = False
        self._canceled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._published:
            with suppress(IngestError):  # what ended the upload is the error to tell, not this
                self.abort()

    @property
    def size_bytes(self) -> int:
        """Bytes handed to the store so far."""
        return self._session.size_bytes if self._session else 0

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the bytes handed to the store so far."""
        return self._copied_sha256 or self._digest.hexdigest()

    def check(self) -> None:
        """Raise if the run was asked to stop, or this upload was canceled."""
        self._stop.check()
        if self._canceled:
            raise UploadLost(f"the upload of {self.request.ref} was canceled")

    def cancel(self) -> None:
        """Make an :meth:`append_file` in another thread give up soon."""
        self._canceled = True

    def append(self, data: bytes) -> None:
        """Hash ``data`` and hand it to the store."""
        if self._session is None:
            self._session = self._storage.begin(self.request)
        self._session.append(data)
        self._digest.update(data)

    def append_file(self, path: Path, moved: Callable[[int, int | None], None] | None = None) -> None:
        """Hand a whole finished file to the store; ``moved(done, total)`` as it goes."""
        total = path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self.check()
                self.append(chunk)
                if moved:
                    moved(self.size_bytes, total)

    def append_copy(self, source: ObjectInfo, sha256: str) -> None:
        """Let the store copy ``source``, whose bytes were read and have ``sha256``."""
        self._session = self._storage.begin(self.request)
        self._session.append_copy(source)
        self._copied_sha256 = sha256

    def publish(self) -> ObjectInfo:
        """Make the object appear. See :meth:`ingestctl.storage.base.UploadSession.publish`."""
        if self._session is None:
            self._session = self._storage.begin(self.request)
        info = self._session.publish()
        self._published = True
        return info

    def abort(self) -> None:
        """Drop what went up so far and begin from nothing on the next append."""
        session, self._session = self._session, None
        self._digest, self._copied_sha256 = hashlib.sha256(), None
        if session is not None:
            session.abort()


def put_file(
    storage: Storage,
    request: UploadRequest,
    path: Path,
    stop: Stop,
    moved: Callable[[int, int | None], None] | None = None,
) -> ObjectInfo:
    """Store the finished file at ``path``, create-once; ``moved(done, total)`` as it goes.

    On any error, ``stop`` included, the session is aborted and nothing was published.
    """
    with Upload(storage, request, stop) as upload:
        upload.append_file(path, moved)
        upload.check()
        return upload.publish()


class Follower:
    """Uploads a file while something else is still appending to it.

    It follows the open file, not its name, so a rename at the end changes nothing; when the download
    begins again, so does the upload. It claims nothing about the end result: the caller compares
    :attr:`Upload.sha256` with the finished file before it trusts a byte of it.
    """

    def __init__(self, upload: Upload, path: Path, stop: Stop) -> None:
        self.upload = upload
        self._path = path
        self._stop = stop
        self._file: BinaryIO = path.open("rb")
        self._finished = threading.Event()
        self._canceled = False
        self._error: IngestError | OSError | None = None
        self._thread = threading.Thread(target=self._work, name="upload-follower", daemon=True)
        self._thread.start()

    @property
    def error(self) -> IngestError | OSError | None:
        """Why following failed, if it did; the download need not go on then."""
        return self._error

    def follows(self, path: Path) -> bool:
        """Whether ``path`` is (still) the file being followed."""
        try:
            there = path.stat()
        except OSError:
            return False
        ours = _stat(self._file)
        return (there.st_dev, there.st_ino) == (ours[0], ours[1])

    def cancel(self) -> None:
        """Stop following and abort the upload."""
        self._canceled = True
        self._finished.set()
        self._thread.join()
        self._file.close()
        with suppress(
            IngestError
        ):  # whatever cannot be aborted now is listed as unfinished by the next attempt
            self.upload.abort()

    def finish(self) -> None:
        """The file is complete: upload the rest and wait for it. Raises what the upload raised."""
        self._finished.set()
        while self._thread.is_alive():
            self._thread.join(_POLL_S)
            self._stop.check()
        self._file.close()
        if self._error:
            raise self._error

    def _work(self) -> None:
        try:
            while not self._canceled:
                complete = self._finished.is_set()
                moved = self._drain()
                if complete and not moved:
                    return
                if not moved:
                    self._finished.wait(_POLL_S)
        except (IngestError, OSError) as error:
            self._error = error

    def _drain(self) -> int:
        moved = 0
        while not self._canceled and (chunk := self._file.read(CHUNK)):
            self._stop.check()
            self.upload.append(chunk)
            moved += len(chunk)
        return moved


def _stat(file: BinaryIO) -> tuple[int, int]:
    there = os.fstat(file.fileno())
    return there.st_dev, there.st_ino


def sha256_of(path: Path, check: Callable[[], None]) -> str:
    """SHA-256 (hex) of a finished file; ``check`` is called between chunks and may raise."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            check()
            digest.update(chunk)
    return digest.hexdigest()


def type_of_name(name: str) -> str:
    """A first guess at a content type from a file name (``.part`` ignored); the probe has the last word."""
    guess, _ = mimetypes.guess_type(name.removesuffix(".part"), strict=False)
    return guess or "video/mp4"
