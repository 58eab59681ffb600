"""The stores that the storage suites run on, each with a bucket of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.storage.base import ObjectInfo, Storage, UploadRequest
from ingestctl.storage.local import LocalStorage
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One backend, an empty bucket in it, and a way to open the backend again as another worker would."""

    storage: Storage
    bucket: str
    again: Callable[[], Storage]

    def ref(self, key: str = "videos/v1/source.mp4") -> ObjectRef:
        return ObjectRef(self.bucket, key)

    def put(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> ObjectInfo:
        session = self.storage.begin(UploadRequest(self.ref(key), "video/mp4", metadata or {}))
        session.append(data)
        return session.publish()

    def bytes_of(self, key: str, **options: object) -> bytes:
        with self.storage.read(self.ref(key), **options) as chunks:  # type: ignore[arg-type]
            return b"".join(chunks)

    def unfinished(self) -> list[str]:
        return [upload.ref.key for upload in self.storage.unfinished(self.bucket)]


@pytest.fixture(params=["folder", "s3"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "folder":
        storage: Storage = LocalStorage(tmp_path)
        storage.ensure_bucket("bucket")
        yield Case(storage, "bucket", lambda: LocalStorage(tmp_path))
        return
    server = request.getfixturevalue("s3_server")
    options = S3Options(server.endpoint, access_key=server.access, secret_key=server.secret)
    storage = S3Storage(options)
    yield Case(storage, request.getfixturevalue("s3_bucket"), lambda: S3Storage(options))
    storage.close()
