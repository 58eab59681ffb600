"""Reading an object whose body may break on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import IngestError, ObjectChanged, StorageUnavailable
from ingestctl.storage.s3_client import ClientBox, quoted
from ingestctl.storage.s3_errors import is_precondition, s3_errors, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestctl.domain.artifact import ObjectRef

_CHUNK = 1024 * 1024
_RESUMES = 4
_RESUME_PER_BYTES = 256 * 1024 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class S3Body:
    """The bytes ``[start, start+length)`` of one object, resumed from the same ETag when cut.

    A bounded number of times: a few, and one more per 256 MiB. What is still short then is an error.
    """

    def __init__(
        self, box: ClientBox, ref: ObjectRef, start: int, length: int | None, if_match: str | None
    ) -> None:
        self._box = box
        self._ref = ref
        self._etag = if_match
        self._position = start
        self._end = None if length is None else start + length
        self._body: Any = None
        self._open()
        self._resumes = _RESUMES + (self._end or 0) // _RESUME_PER_BYTES

    def __iter__(self) -> Iterator[bytes]:
        while self._end is not None and self._position < self._end:
            chunk = self._read(min(_CHUNK, self._end - self._position))
            self._position += len(chunk)
            if chunk:
                yield chunk

    def close(self) -> None:
        """Drop the connection if the body was not read to its end."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _read(self, size: int) -> bytes:
        try:
            with s3_errors(self._ref):
                chunk: bytes = self._body.read(size)
            if chunk:
                return chunk
            cut = StorageUnavailable(f"the body of {self._ref} ended early, at byte {self._position}")
        except StorageUnavailable as error:
            cut = error
        self.close()
        self._resumes -= 1
        if self._resumes < 0:
            raise cut
        self._open()
        return b""

    def _open(self) -> None:
        """Ask for ``[position, end)``; learns the end and the ETag on the first call."""
        from botocore.exceptions import ClientError

        if self._end is not None and self._position >= self._end:
            return
        ranged = self._position > 0 or self._end is not None
        conditions: dict[str, str] = {"IfMatch": quoted(self._etag)} if self._etag else {}
        if ranged:
            last = "" if self._end is None else self._end - 1
            conditions["Range"] = f"bytes={self._position}-{last}"
        get: Any = self._box.s3.get_object
        with s3_errors(self._ref):
            try:
                reply = get(Bucket=self._ref.bucket, Key=self._ref.key, **conditions)
            except ClientError as error:
                if is_precondition(error):
                    raise self._changed() from error
                if status_of(error) == 416:  # the range begins at or beyond the end: no bytes
                    self._end = self._position
                    return
                raise
        self._body = reply["Body"]
        try:
            self._accept(reply, ranged)
        except IngestError:
            self.close()
            raise

    def _accept(self, reply: dict[str, Any], ranged: bool) -> None:
        etag = reply["ETag"].strip('"')
        if self._etag is not None and etag != self._etag:
            raise self._changed()
        self._etag = etag
        end = self._position + reply["ContentLength"]
        if ranged:
            match = _CONTENT_RANGE.fullmatch(reply.get("ContentRange", ""))
            if match is None or int(match[1]) != self._position:
                raise StorageUnavailable(f"storage did not answer the range asked of {self._ref}")
            total = match[3]
            wanted = min(self._end or end, int(total)) if total != "*" else self._end or end
            if self._end is None:
                wanted = int(total) if total != "*" else end
            end = wanted
        self._end = end

    def _changed(self) -> ObjectChanged:
        return ObjectChanged(f"{self._ref} is not the object that was looked at (ETag {self._etag})")
