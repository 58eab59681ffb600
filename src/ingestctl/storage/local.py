"""Object storage in a folder: buckets are folders of the root, objects are plain files."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    IngestError,
    InvalidPayload,
    ObjectChanged,
    ObjectExists,
    StorageUnavailable,
)
from ingestctl.domain.source import check_key
from ingestctl.storage.base import ObjectInfo, StorageCheck, UnfinishedUpload, UploadRequest
from ingestctl.storage.local_files import Tree, check_bucket, etag_of, file_errors, move_new, names
from ingestctl.storage.local_session import (
    DROPPED,
    UPLOADS,
    LocalUploadSession,
    drop_upload,
    new_upload_id,
    open_object,
    open_upload,
    read_record,
    remove_record,
    unfinished_uploads,
)
from ingestctl.storage.probe import new_probe, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_CHUNK = 1024 * 1024


class LocalStorage:
    """A folder as an object store. See :class:`ingestctl.storage.base.Storage` for every method.

    Needs a filesystem with hard links or Linux's ``renameat2(RENAME_NOREPLACE)``; publishing is
    refused (StorageRefused) where it has neither, since create-once could not be kept.
    """

    provider = "filesystem"

    def __init__(self, root: Path) -> None:
        self._tree = Tree(root)

    @property
    def url(self) -> str:
        """See Storage."""
        return self._tree.root.as_uri()

    def begin(self, request: UploadRequest) -> LocalUploadSession:
        """See Storage."""
        return LocalUploadSession(self._tree, request)

    def stat(self, ref: ObjectRef) -> ObjectInfo | None:
        """See Storage."""
        status = self._tree.status(ref)
        if status is None:
            return None
        with file_errors(ref):
            record = read_record(self._tree, ref.bucket, etag_of(status))
        return _info(ref, status, record.get("content_type"), record.get("metadata", {}))

    @contextlib.contextmanager
    def read(
        self, ref: ObjectRef, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        with open_object(self._tree, ref, if_match=if_match) as (fd, status):
            end = status.st_size if length is None else min(start + length, status.st_size)
            yield _chunks(fd, ref, status, start, end)

    def copy(self, source: ObjectInfo, target: UploadRequest) -> ObjectInfo:
        """See Storage."""
        session = self.begin(target)
        try:
            session.append_copy(source)
            return session.publish()
        except BaseException:
            session.abort()
            raise

    def delete(self, ref: ObjectRef, *, if_match: str) -> bool:
        """See Storage. The file is set aside first, so that what is checked is what is removed.

        For that instant it is an unfinished upload: a crash in it leaves one, for ``abort`` to remove.
        """
        status = self._tree.status(ref)
        if status is None:
            return False
        if etag_of(status) != if_match:
            raise ObjectChanged(f"{ref} is another object now (ETag {etag_of(status)}); it was left as it is")
        aside = new_upload_id(ref)
        with file_errors(ref):
            os.close(open_upload(self._tree, UploadRequest(ref, ""), aside))
            try:
                removed = self._set_aside(ref, aside, if_match)
            finally:
                drop_upload(self._tree, ref.bucket, aside)
            if removed:
                remove_record(self._tree, ref.bucket, if_match)
                self._tree.prune(ref)
        return removed

    def _set_aside(self, ref: ObjectRef, aside: str, if_match: str) -> bool:
        path = [UPLOADS, ref.bucket, aside]
        try:
            with self._tree.parent(ref) as (folder, name), self._tree.folder(path) as private:
                os.rename(name, b"data", src_dir_fd=folder, dst_dir_fd=private)
                taken = os.stat(b"data", dir_fd=private)
                if etag_of(taken) != if_match:
                    move_new(private, b"data", folder, name)
                    raise ObjectChanged(f"{ref} was replaced meanwhile; it was left as it is")
                os.fsync(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def list_objects(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See Storage."""
        self._tree.require_bucket(bucket)
        yield from self._walk(bucket, [], prefix.encode(), start_after.encode())

    def _walk(self, bucket: str, folders: list[str], prefix: bytes, after: bytes) -> Iterator[ObjectInfo]:
        above = "".join(f"{f}/" for f in folders).encode()
        for name, status in self._entries(bucket, folders):
            key = above + name
            if stat.S_ISDIR(status.st_mode):
                inside = key.startswith(prefix) or prefix.startswith(key)
                if inside and (key > after or after.startswith(key)):
                    yield from self._walk(bucket, [*folders, name[:-1].decode()], prefix, after)
            elif stat.S_ISREG(status.st_mode) and key.startswith(prefix) and key > after:
                yield _info(ObjectRef(bucket, key.decode()), status)

    def _entries(self, bucket: str, folders: list[str]) -> list[tuple[bytes, os.stat_result]]:
        """One folder's names in the order of the keys they begin: a folder sorts as ``name/``."""
        found = []
        with file_errors(bucket):
            try:
                with self._tree.folder([bucket, *folders]) as fd:
                    for name in map(os.fsencode, names(fd)):
                        with contextlib.suppress(FileNotFoundError):
                            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                            found.append((name + b"/" if stat.S_ISDIR(status.st_mode) else name, status))
            except FileNotFoundError:  # removed since its parent was listed
                return []
        return sorted((entry for entry in found if _is_text(entry[0])), key=lambda entry: entry[0])

    def unfinished(self, bucket: str, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """See Storage."""
        self._tree.require_bucket(bucket)
        with file_errors(bucket):
            found = list(unfinished_uploads(self._tree, bucket, prefix))
        yield from found

    def abort(self, upload: UnfinishedUpload) -> bool:
        """See Storage."""
        if not upload.upload_id.removesuffix(DROPPED).isalnum():
            raise InvalidPayload(f"upload id {upload.upload_id[:80]!r} is not one of this store's")
        self._tree.require_bucket(upload.ref.bucket)
        with file_errors(upload.ref):
            return drop_upload(self._tree, upload.ref.bucket, upload.upload_id)

    def presign(self, ref: ObjectRef, *, expires_s: int = 3600) -> str:  # noqa: ARG002 - files do not expire
        """See Storage."""
        return (self._tree.root / check_bucket(ref.bucket) / check_key(ref.key, "object key")).as_uri()

    def ensure_bucket(self, bucket: str) -> bool:
        """See Storage."""
        path = self._tree.root / check_bucket(bucket)
        with file_errors(bucket):
            self._tree.root.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                self._tree.require_bucket(bucket)
                return False
        return True

    def check(self, bucket: str) -> list[StorageCheck]:
        """See Storage."""
        try:
            self._tree.require_bucket(bucket)
            probe = self._probe(new_probe(bucket))
        except IngestError as error:
            return [
                StorageCheck("bucket", False, f"{error.message} ({error.evidence or error.code})", error.hint)
            ]
        free = shutil.disk_usage(self._tree.root).free
        return [
            StorageCheck("bucket", True, f"bucket {bucket} exists"),
            *probe,
            StorageCheck("space", True, f"{free} bytes free in {self._tree.root}"),
        ]

    def _probe(self, ref: ObjectRef) -> list[StorageCheck]:
        info = _publish(self, ref, b"probe")
        try:
            with self.read(ref, if_match=info.etag) as chunks:
                whole = b"".join(chunks) == b"probe"
            try:
                _publish(self, ref, b"again")
                once = False
            except ObjectExists:
                once = True
        finally:
            self.delete(ref, if_match=info.etag)
        sweep(self, ref.bucket, info.modified_at)
        return [
            StorageCheck("write-read-delete", whole, "a probe object was written, read and deleted"),
            StorageCheck("conditional-create", once, "an existing object is never overwritten"),
        ]

    def close(self) -> None:
        """See Storage."""


def _publish(storage: LocalStorage, ref: ObjectRef, data: bytes) -> ObjectInfo:
    session = storage.begin(UploadRequest(ref, "text/plain"))
    try:
        session.append(data)
        return session.publish()
    except BaseException:
        session.abort()
        raise


def _info(
    ref: ObjectRef,
    status: os.stat_result,
    content_type: str | None = None,
    metadata: dict[str, str] | None = None,
) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(ref, status.st_size, etag_of(status), modified, content_type, metadata)


def _is_text(name: bytes) -> bool:
    """Whether a file name can be a key; keys are UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _chunks(fd: int, ref: ObjectRef, status: os.stat_result, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        with file_errors(ref):
            chunk = os.pread(fd, min(_READ_CHUNK, end - start), start)
        if not chunk:
            raise StorageUnavailable(f"{ref} ended {end - start} bytes early: it was cut while being read")
        start += len(chunk)
        yield chunk
    if etag_of(os.fstat(fd)) != etag_of(status):
        raise ObjectChanged(f"{ref} was rewritten while it was being read")
