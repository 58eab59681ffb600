"""Files and folders below one root, reached without ever following a symbolic link.

Every path is walked from the root folder by descriptor (``openat`` with ``O_NOFOLLOW``), so no key
and no link planted in the tree can name a file outside it, and keys are not bound by PATH_MAX.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import (
    BucketMissing,
    Conflict,
    IngestError,
    InvalidPayload,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)
from ingestctl.domain.source import check_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingestctl.domain.artifact import ObjectRef

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_RENAME_NOREPLACE = 1  # linux/fs.h
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}


@contextlib.contextmanager
def file_errors(what: object) -> Iterator[None]:
    """Turn the OSErrors of a block about ``what`` into ours, the system's own words as evidence."""
    try:
        yield
    except OSError as error:
        raise _ours(error, what) from error


def _ours(error: OSError, what: object) -> IngestError:
    evidence = f"{errno.errorcode.get(error.errno or 0, 'OSError')}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return StorageFull(f"no space left to store {what}", evidence=evidence)
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = (
                "Give this user write access to the storage folder; check that it is not mounted read-only."
            )
            return StorageRefused(
                f"the storage folder refuses access to {what}", evidence=evidence, hint=hint
            )
        case errno.ENAMETOOLONG:
            message = (
                f"object key {what} has a segment longer than this folder's file names may be (255 bytes)"
            )
            return InvalidPayload(message, evidence=evidence)
        case errno.ENOTDIR | errno.EISDIR | errno.ELOOP | errno.EEXIST:
            return blocked(what)
        case _:
            return StorageUnavailable(
                f"the storage folder failed for {what}: {error.strerror}", evidence=evidence
            )


def blocked(what: object) -> Conflict:
    """The error for a key whose place in the tree is taken by something that is no object."""
    return Conflict(
        f"{what} cannot be a file: a segment of its key is already a file, a folder or a symbolic link",
        hint="On a folder, `a` and `a/b` cannot both be objects. Choose another key, or move what is there.",
    )


class Tree:
    """The root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @contextlib.contextmanager
    def folder(self, segments: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of ``root/segments…``; created folders are made durable in their parents.

        Raises OSError: FileNotFoundError, NotADirectoryError (a file or a link is in the way).
        """
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for segment in segments:
                below = self._step(fd, segment.encode(), create)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _step(self, fd: int, name: bytes, create: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
            os.fsync(fd)
        return os.open(name, _FOLDER, dir_fd=fd)

    @contextlib.contextmanager
    def parent(self, ref: ObjectRef, *, create: bool = False) -> Iterator[tuple[int, bytes]]:
        """The folder that holds (or would hold) the object, and its file name there.

        Raises BucketMissing, InvalidPayload for a key no folder can hold, and OSError as :meth:`folder`.
        """
        *folders, name = check_key(ref.key, "object key").split("/")
        self.require_bucket(ref.bucket)
        with self.folder([ref.bucket, *folders], create=create) as fd:
            yield fd, name.encode()

    def require_bucket(self, bucket: str) -> None:
        """Raise BucketMissing unless the bucket's folder is there."""
        check_bucket(bucket)
        try:
            with self.folder([bucket]):
                pass
        except (FileNotFoundError, NotADirectoryError):
            raise BucketMissing(f"bucket {bucket!r} does not exist in {self.root}") from None
        except OSError as error:
            raise _ours(error, bucket) from error

    def status(self, ref: ObjectRef) -> os.stat_result | None:
        """The file under ``ref``; None if there is none (a folder is none). Conflict for a link or device."""
        with file_errors(ref):
            try:
                with self.parent(ref) as (fd, name):
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise blocked(ref)
        return status

    def prune(self, ref: ObjectRef) -> None:
        """Remove folders of the key that an object's removal left empty, so the names are free again."""
        folders = ref.key.split("/")[:-1]
        while folders:
            name = folders.pop()
            try:
                with self.folder([ref.bucket, *folders]) as fd:
                    os.rmdir(name.encode(), dir_fd=fd)
            except OSError:
                return


def check_bucket(bucket: str) -> str:
    """Return ``bucket`` if it can be a folder of objects; raise InvalidPayload naming it."""
    if not _BUCKET.fullmatch(bucket):
        raise InvalidPayload(f"bucket {bucket[:80]!r} is not a bucket name (letters, digits, '.', '_', '-')")
    return bucket


def etag_of(status: os.stat_result) -> str:
    """Size, modification time and inode: another file, or the same one rewritten, never has the same.

    Publishing stamps the time to the nanosecond, which no later write by the kernel's coarser clock repeats.
    """
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def move_new(source: int, source_name: bytes, target: int, target_name: bytes) -> None:
    """Give the file a second name that must be free (FileExistsError), atomically.

    A hard link; where the filesystem has none, RENAME_NOREPLACE. Raises OSError where it has neither:
    a create-once store cannot be kept there.
    """
    try:
        os.link(source_name, target_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS or not hasattr(_libc(), "renameat2"):
            raise
        if _libc().renameat2(source, source_name, target, target_name, _RENAME_NOREPLACE) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number)) from error


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``: a regular file may take less than was asked when space runs out."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def remove_folder(fd: int, name: bytes) -> None:
    """Remove the folder ``name`` and the plain files in it; nothing if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        inside = os.open(name, _FOLDER, dir_fd=fd)
        try:
            for entry in names(inside):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry, dir_fd=inside)
        finally:
            os.close(inside)
        os.rmdir(name, dir_fd=fd)


def names(fd: int) -> list[str]:
    """The names in an open folder."""
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries]
