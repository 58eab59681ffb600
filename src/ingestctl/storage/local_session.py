"""Upload sessions on a folder.

``.uploads/<bucket>/<upload id>/`` holds ``info.json`` and ``data``. Publishing writes the object's
content type and metadata to ``.meta/<bucket>/<etag>.json`` first and then links ``data`` to its key:
the link is the one instant at which the object exists, and by then everything it needs is durable.
A record without its object is never looked at, because the ETag names one file and no other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import ObjectChanged, ObjectExists, ObjectMissing, UploadLost
from ingestctl.storage.base import ObjectInfo, UnfinishedUpload, UploadRequest
from ingestctl.storage.local_files import (
    Tree,
    blocked,
    etag_of,
    file_errors,
    move_new,
    names,
    remove_folder,
    write_all,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

UPLOADS = ".uploads"
META = ".meta"
DROPPED = ".dropped"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_CHUNK = 8 * 1024 * 1024
_NO_COPY_RANGE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_PUBLISH_ATTEMPTS = 10


class LocalUploadSession:
    """One object on its way into a folder. See :class:`ingestctl.storage.base.UploadSession`."""

    def __init__(self, tree: Tree, request: UploadRequest) -> None:
        self._tree = tree
        self._request = request
        self._id = new_upload_id(request.ref)
        self._size = 0
        self._copied = False
        self._stamped = False
        self._closed = False
        self._published: ObjectInfo | None = None
        # abort may come from another thread, and a closed descriptor's number may be another file's.
        self._lock = threading.RLock()
        with file_errors(request.ref):
            # A key that cannot be stored shows before its bytes are sent, not after.
            with tree.parent(request.ref, create=True) as (fd, name), contextlib.suppress(FileNotFoundError):
                os.stat(name, dir_fd=fd, follow_symlinks=False)
            self._fd = open_upload(tree, request, self._id)

    @property
    def upload_id(self) -> str:
        """See UploadSession."""
        return self._id

    @property
    def size_bytes(self) -> int:
        """See UploadSession."""
        return self._size

    def append(self, data: bytes) -> None:
        """See UploadSession."""
        if self._copied:
            raise ValueError("append after append_copy: the copy is the whole object")
        with self._lock, file_errors(self._request.ref):
            self._check_alive()
            write_all(self._fd, data)
            self._size += len(data)

    def append_copy(self, source: ObjectInfo) -> None:
        """See UploadSession."""
        if self._size or self._copied:
            raise ValueError("append_copy must be the first and only append of a session")
        with open_object(self._tree, source.ref, if_match=source.etag) as (fd, _):
            while self._append_from(fd):
                pass
            if self._size != source.size_bytes or etag_of(os.fstat(fd)) != source.etag:
                raise ObjectChanged(f"{source.ref} changed while it was being copied")
        self._copied = True

    def _append_from(self, source: int) -> int:
        with self._lock, file_errors(self._request.ref):
            self._check_alive()
            sent = _copy_some(source, self._fd)
            self._size += sent
            return sent

    def publish(self) -> ObjectInfo:
        """See UploadSession."""
        with self._lock:
            if self._published is None:
                self._check_alive()
                with file_errors(self._request.ref):
                    self._published = self._publish()
                self._drop()
            return self._published

    def _publish(self) -> ObjectInfo:
        if not self._stamped:  # once: a second publish may meet the object this one linked
            os.utime(self._fd, ns=(now := time.time_ns(), now))
            self._stamped = True
        os.fsync(self._fd)
        status = os.fstat(self._fd)
        write_record(self._tree, self._request, etag_of(status))
        self._link(status)
        return ObjectInfo(
            ref=self._request.ref,
            size_bytes=status.st_size,
            etag=etag_of(status),
            modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
            content_type=self._request.content_type,
            metadata=dict(self._request.metadata),
        )

    def abort(self) -> None:
        """See UploadSession."""
        with self._lock:
            if not self._closed:
                self._drop()
                self._tree.prune(self._request.ref)

    def _check_alive(self) -> None:
        # Whoever aborts a session unlinks its data file.
        if self._closed or os.fstat(self._fd).st_nlink == 0:
            raise self._lost()

    def _lost(self) -> UploadLost:
        return UploadLost(f"upload {self._id} of {self._request.ref} was aborted; nothing was published")

    def _link(self, status: os.stat_result) -> None:
        for _ in range(_PUBLISH_ATTEMPTS):
            try:
                with self._tree.parent(self._request.ref, create=True) as (folder, name):
                    self._link_in(folder, name, status)
                    os.fsync(folder)
                return
            except FileNotFoundError:
                # The session was aborted, or a delete removed the key's emptied folder under our feet.
                if os.fstat(self._fd).st_nlink == 0:
                    break
        remove_record(self._tree, self._request.ref.bucket, etag_of(status))
        raise self._lost()

    def _link_in(self, folder: int, name: bytes, status: os.stat_result) -> None:
        ref = self._request.ref
        try:
            with self._tree.folder([UPLOADS, ref.bucket, self._id]) as upload:
                move_new(upload, b"data", folder, name)
        except FileExistsError:
            there = self._tree.status(ref)
            if there is None:
                raise blocked(ref) from None
            if there.st_ino != status.st_ino:
                self.abort()
                raise ObjectExists(f"{ref} already exists; it was left as it is") from None

    def _drop(self) -> None:
        self._closed = True
        os.close(self._fd)
        with file_errors(self._request.ref):
            drop_upload(self._tree, self._request.ref.bucket, self._id)


def new_upload_id(ref: ObjectRef) -> str:
    """A name for a session that tells which key it is for, even before it could write that down."""
    return f"{_key_mark(ref.key)}{uuid.uuid4().hex}"


def _key_mark(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def open_upload(tree: Tree, request: UploadRequest, upload_id: str) -> int:
    """Create the folder of a new session and return its data file, open for writing."""
    info = {
        "key": request.ref.key,
        "content_type": request.content_type,
        "started_at": datetime.now(UTC).isoformat(),
    }
    with tree.folder([UPLOADS, request.ref.bucket, upload_id], create=True) as folder:
        _write_json(folder, "info.json", info)
        return os.open("data", _NEW, 0o644, dir_fd=folder)


def _write_json(folder: int, name: str, value: object) -> None:
    fd = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
    )
    try:
        write_all(fd, json.dumps(value).encode())
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_json(folder: int, name: str) -> dict[str, Any]:
    """The record, or nothing where there is none, or a crash left it unfinished."""
    try:
        with os.fdopen(
            os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb"
        ) as file:
            value = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_record(tree: Tree, request: UploadRequest, etag: str) -> None:
    """Store what is known of the object besides its bytes, durably, under the ETag it will have."""
    record = {
        "key": request.ref.key,
        "content_type": request.content_type,
        "metadata": dict(request.metadata),
    }
    with tree.folder([META, request.ref.bucket], create=True) as folder:
        _write_json(folder, f"{etag}.json", record)
        os.fsync(folder)


def read_record(tree: Tree, bucket: str, etag: str) -> dict[str, Any]:
    """That record; empty for a file that was put there by hand."""
    try:
        with tree.folder([META, bucket]) as folder:
            return _read_json(folder, f"{etag}.json")
    except FileNotFoundError:
        return {}


def remove_record(tree: Tree, bucket: str, etag: str) -> None:
    """Remove that record, if it is there."""
    with contextlib.suppress(FileNotFoundError), tree.folder([META, bucket]) as folder:
        os.unlink(f"{etag}.json", dir_fd=folder)


@contextlib.contextmanager
def open_object(tree: Tree, ref: ObjectRef, *, if_match: str | None) -> Iterator[tuple[int, os.stat_result]]:
    """The object's file, open for reading. Raises ObjectMissing, ObjectChanged."""
    with file_errors(ref):
        status = tree.status(ref)
        if status is None:
            raise ObjectMissing(f"there is no object {ref}")
        with tree.parent(ref) as (folder, name):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(fd)
        if if_match is not None and etag_of(status) != if_match:
            raise ObjectChanged(f"{ref} is not the object that was looked at: its ETag is {etag_of(status)}")
        yield fd, status
    finally:
        os.close(fd)


def _copy_some(source: int, target: int) -> int:
    """Copy up to a chunk from file to file, inside the kernel where it can. 0 at the end."""
    try:
        return os.copy_file_range(source, target, _COPY_CHUNK)
    except OSError as error:
        if error.errno not in _NO_COPY_RANGE:
            raise
        data = os.read(source, _COPY_CHUNK)
        write_all(target, data)
        return len(data)


def drop_upload(tree: Tree, bucket: str, upload_id: str) -> bool:
    """Remove an upload session with what it wrote; False if it was gone. An object it published stays.

    The rename is the instant after which the session can no longer publish.
    """
    dropped = f"{upload_id.removesuffix(DROPPED)}{DROPPED}".encode()
    try:
        with tree.folder([UPLOADS, bucket]) as folder:
            os.rename(upload_id, dropped, src_dir_fd=folder, dst_dir_fd=folder)
            with contextlib.suppress(FileNotFoundError):
                data = os.stat(dropped + b"/data", dir_fd=folder, follow_symlinks=False)
                if data.st_nlink == 1:  # never published: a record written for it is nobody's
                    remove_record(tree, bucket, etag_of(data))
            remove_folder(folder, dropped)
    except FileNotFoundError:
        return False
    return True


def unfinished_uploads(tree: Tree, bucket: str, prefix: str) -> Iterator[UnfinishedUpload]:
    """Every upload session under ``prefix`` that is neither published nor aborted.

    One that died before it could write its key down is found where ``prefix`` is that whole key, and
    listed with an empty key where there is no prefix.
    """
    mark = _key_mark(prefix)
    try:
        with tree.folder([UPLOADS, bucket]) as folder:
            for upload_id in sorted(names(folder)):
                with (
                    contextlib.suppress(FileNotFoundError),
                    tree.folder([UPLOADS, bucket, upload_id]) as upload,
                ):
                    info = _read_json(upload, "info.json")
                    begun = datetime.fromtimestamp(os.fstat(upload).st_mtime, UTC)
                    if "started_at" in info:
                        begun = datetime.fromisoformat(info["started_at"])
                    key = info.get("key", prefix if upload_id.startswith(mark) else "")
                    if key.startswith(prefix):
                        yield UnfinishedUpload(ObjectRef(bucket, key), upload_id, begun)
    except FileNotFoundError:
        return
