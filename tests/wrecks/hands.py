"""Hands on the store itself, past every rule of the program: the file system, or boto3."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ingestctl.domain.artifact import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Thing:
    """An object as the store itself keeps it."""

    data: bytes
    content_type: str | None
    metadata: Mapping[str, str]
    mark: str
    """Changed by any write, even one of the same bytes."""


class Hands(Protocol):
    """What can be done to objects by hand."""

    def put(self, ref: ObjectRef, data: bytes, content_type: str | None = None, **metadata: str) -> None: ...

    def get(self, ref: ObjectRef) -> Thing: ...

    def remove(self, ref: ObjectRef) -> None: ...

    def objects(self, buckets: Sequence[str]) -> dict[ObjectRef, Thing]: ...

    def uploads(self, buckets: Sequence[str]) -> list[str]: ...


class FolderHands:
    """A local store's folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, ref: ObjectRef, data: bytes, content_type: str | None = None, **metadata: str) -> None:
        path = self._root / ref.bucket / ref.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        if content_type is not None:
            record = {"key": ref.key, "content_type": content_type, "metadata": metadata}
            self._record(ref.bucket, path).write_text(json.dumps(record))

    def get(self, ref: ObjectRef) -> Thing:
        path = self._root / ref.bucket / ref.key
        file = self._record(ref.bucket, path)
        record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return Thing(path.read_bytes(), record.get("content_type"), record.get("metadata", {}), file.stem)

    def remove(self, ref: ObjectRef) -> None:
        (self._root / ref.bucket / ref.key).unlink()

    def objects(self, buckets: Sequence[str]) -> dict[ObjectRef, Thing]:
        found = {}
        for bucket in buckets:
            folder = self._root / bucket
            for path in (p for p in folder.rglob("*") if p.is_file()):
                ref = ObjectRef(bucket, path.relative_to(folder).as_posix())
                found[ref] = self.get(ref)
        return found

    def uploads(self, buckets: Sequence[str]) -> list[str]:
        folders = [self._root / ".uploads" / bucket for bucket in buckets]
        return sorted(str(p.name) for folder in folders if folder.exists() for p in folder.iterdir())

    def _record(self, bucket: str, path: Path) -> Path:
        stat = path.stat()
        folder = self._root / ".meta" / bucket
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{stat.st_size:x}-{stat.st_mtime_ns:x}-{stat.st_ino:x}.json"


class S3Hands:
    """Plain boto3."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, ref: ObjectRef, data: bytes, content_type: str | None = None, **metadata: str) -> None:
        more = {"ContentType": content_type} if content_type else {}
        self._client.put_object(Bucket=ref.bucket, Key=ref.key, Body=data, Metadata=metadata, **more)

    def get(self, ref: ObjectRef) -> Thing:
        got = self._client.get_object(Bucket=ref.bucket, Key=ref.key)
        mark = f"{got['ETag']} {got['LastModified']}"
        return Thing(got["Body"].read(), got["ContentType"], got["Metadata"], mark)

    def remove(self, ref: ObjectRef) -> None:
        self._client.delete_object(Bucket=ref.bucket, Key=ref.key)

    def objects(self, buckets: Sequence[str]) -> dict[ObjectRef, Thing]:
        found = {}
        for bucket in buckets:
            for entry in self._client.list_objects_v2(Bucket=bucket).get("Contents", []):
                ref = ObjectRef(bucket, entry["Key"])
                found[ref] = self.get(ref)
        return found

    def uploads(self, buckets: Sequence[str]) -> list[str]:
        listed = [self._client.list_multipart_uploads(Bucket=bucket) for bucket in buckets]
        return sorted(u["UploadId"] for page in listed for u in page.get("Uploads", []))
