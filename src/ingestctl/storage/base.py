"""The storage contract. Every adapter passes tests/contracts/test_storage.py, unchanged.

Objects are create-once: an object appears whole, under a key that was empty,
or not at all. Nothing here overwrites. Errors are those of
:mod:`ingestctl.domain.errors`; no vendor exception crosses this line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.errors import IngestError

PART_SIZE = 8 * 1024 * 1024
"""Bytes a part holds (all but the last). 10,000 parts of this size are 78 GiB; five of them are in memory."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of one object. ``metadata`` is None where a listing does not carry it."""

    ref: ObjectRef
    size_bytes: int
    etag: str
    """Opaque; equal ETags of one key mean the same bytes. Without quotes."""
    modified_at: datetime
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None
    version_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload session that was begun and neither published nor aborted."""

    ref: ObjectRef
    upload_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StorageCheck:
    """One finding of :meth:`Storage.check`."""

    id: str
    ok: bool
    detail: str
    hint: str = ""
    error: IngestError | None = None
    """What the probe ran into, where it was an error: refused and unreachable are not the same."""


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What an upload session is for. ``metadata`` travels with the object (ASCII keys and values)."""

    ref: ObjectRef
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class UploadSession(Protocol):
    """One object on its way up. Not visible under its key before :meth:`publish`.

    ``append`` and ``append_copy`` are called from one thread at a time; parts
    travel in parallel behind them with bounded memory (a small fixed number
    of parts in flight, whatever the object's size). A failed part surfaces at
    the next call. Used after :meth:`abort` or a lost session: UploadLost.
    """

    @property
    def upload_id(self) -> str:
        """The store's name for this session, as :meth:`Storage.unfinished` lists it."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes appended so far."""
        ...

    def append(self, data: bytes) -> None:
        """Add ``data`` (any length) at the end. Blocks while too many parts are in flight."""
        ...

    def append_copy(self, source: ObjectInfo) -> None:
        """Add the whole of another stored object without moving it through this process.

        Raises ObjectChanged if the object no longer has ``source.etag``, ObjectMissing if it is gone.
        Only legal as the first and only append of a session (ValueError otherwise).
        """
        ...

    def publish(self) -> ObjectInfo:
        """Make the object appear, whole and durable, and return what the store now holds.

        Create-once: if any object is under the key, raises ObjectExists and leaves that object
        as it is (the session is aborted). If the reply to our own publish was lost and the object
        under the key is this session's, that is success. UploadLost if the session was aborted by
        another; then nothing was published.
        """
        ...

    def abort(self) -> None:
        """Drop the session and its parts. Idempotent; never raises for a session already gone."""
        ...


class Storage(Protocol):
    """Object storage. Thread-safe. Every call has a deadline and bounded retries of its own."""

    @property
    def provider(self) -> str:
        """``filesystem``, ``s3``, ``minio``, ``gcs`` or ``azure``, as a storage_ref names it."""
        ...

    @property
    def url(self) -> str:
        """Where this is, without secrets, for people."""
        ...

    def begin(self, request: UploadRequest) -> UploadSession:
        """Open an upload session. Raises BucketMissing, StorageRefused, StorageUnavailable."""
        ...

    def stat(self, ref: ObjectRef) -> ObjectInfo | None:
        """What is under ``ref``; None if the bucket exists and the key is empty, BucketMissing if not."""
        ...

    def read(
        self, ref: ObjectRef, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream bytes ``[start, start+length)`` in chunks of at most 1 MiB.

        Raises ObjectMissing, ObjectChanged (``if_match`` differs), and StorageUnavailable if the body
        ends before the promised length: short bytes are never passed off as the whole.
        """
        ...

    def copy(self, source: ObjectInfo, target: UploadRequest) -> ObjectInfo:
        """Server-side copy, create-once: ``begin`` + ``append_copy`` + ``publish``."""
        ...

    def delete(self, ref: ObjectRef, *, if_match: str) -> bool:
        """Delete the object if it still has ETag ``if_match``. False if it was already gone.

        Raises ObjectChanged if another object is there. Where the server has no conditional delete
        the adapter checks first and deletes the version it checked.
        """
        ...

    def list_objects(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key begins with ``prefix``, in UTF-8 byte order of keys, a page at a time."""
        ...

    def unfinished(self, bucket: str, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """Upload sessions under ``prefix`` that were neither published nor aborted."""
        ...

    def abort(self, upload: UnfinishedUpload) -> bool:
        """Abort such a session: its later ``publish`` raises UploadLost. False if it was already gone."""
        ...

    def presign(self, ref: ObjectRef, *, expires_s: int = 3600) -> str:
        """A URL that reads the object for ``expires_s`` seconds (a ``file:`` URL on a folder)."""
        ...

    def ensure_bucket(self, bucket: str) -> bool:
        """Create the bucket if it is not there. True if it was created. Called by ``init`` alone."""
        ...

    def check(self, bucket: str) -> list[StorageCheck]:
        """Probe one bucket: exists, write-read-delete of a small object, conditional create honoured."""
        ...

    def close(self) -> None:
        """Release connections and threads. Idempotent."""
        ...
