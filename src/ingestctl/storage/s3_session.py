"""Upload sessions on S3: always a multipart upload, whatever the size.

A takeover can then abort a zombie's session by its upload id, and the one conditional request of
``publish`` is the instant at which the object appears. Each session stamps its object with a random
nonce, so that after a lost reply it can tell its own object from another's.
"""

from __future__ import annotations

import base64
import time
import uuid
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import (
    Conflict,
    IngestError,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    StorageUnavailable,
    UploadLost,
)
from ingestctl.storage.s3_client import UPLOAD_NONCE, ClientBox, encode_metadata, info_of, quoted
from ingestctl.storage.s3_errors import code_of, is_precondition, is_unsupported, s3_errors, status_of
from ingestctl.storage.s3_parts import PartPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.storage.base import ObjectInfo, UploadRequest

    Head = Callable[[ObjectRef], Mapping[str, Any] | None]

COPY_RANGE = 256 * 1024 * 1024
MAX_PARTS = 10_000
_GROW_EVERY = 1000
"""Parts double in size every so many: the first 7.8 GiB go in base-size parts, and 5 TiB in 10,000."""
_PUBLISH_ATTEMPTS = 4
_ABORT_PATIENCE_S = 5.0


def part_size(base: int, number: int) -> int:
    """Bytes of part ``number`` (from 1)."""
    return base << ((number - 1) // _GROW_EVERY)


class S3UploadSession:
    """One object on its way to S3. See :class:`ingestctl.storage.base.UploadSession`."""

    def __init__(self, box: ClientBox, request: UploadRequest, head: Head) -> None:
        options = box.options
        self._box = box
        self._ref = request.ref
        self._head = head
        self._nonce = uuid.uuid4().hex
        self._place = {"Bucket": request.ref.bucket, "Key": request.ref.key}
        self._pool = PartPool(options.concurrency * options.part_size, options.concurrency)
        self._buffer = bytearray()
        self._filled = 0
        # Buffers are used again: freed and taken anew, they would scatter the heap to twice their sum.
        self._spare: list[bytearray] = []
        self._number = 0
        self._size = 0
        self._crc = 0
        self._copied = False
        self._aborted = False
        self._parts: list[dict[str, Any]] = []
        self._published: ObjectInfo | None = None
        with s3_errors(request.ref):
            created = self._create(request)
        self._upload_id: str = created["UploadId"]
        self._part_crc = created.get("ChecksumAlgorithm") == "CRC32"
        self._full_crc = self._part_crc and created.get("ChecksumType") == "FULL_OBJECT"

    def _create(self, request: UploadRequest) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        arguments = {
            **self._place,
            "ContentType": request.content_type,
            "Metadata": {**encode_metadata(request.metadata), UPLOAD_NONCE: self._nonce},
        }
        create: Callable[..., Mapping[str, Any]] = self._box.s3.create_multipart_upload
        try:
            return create(**arguments, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        except ClientError as error:
            if not is_unsupported(error) and code_of(error) not in ("InvalidRequest", "InvalidArgument"):
                raise
            return create(**arguments)  # a server that knows no checksums

    @property
    def upload_id(self) -> str:
        """See UploadSession."""
        return self._upload_id

    @property
    def size_bytes(self) -> int:
        """See UploadSession."""
        return self._size

    def append(self, data: bytes) -> None:
        """See UploadSession."""
        if self._copied:
            raise ValueError("append after append_copy: the copy is the whole object")
        self._check_alive()
        view = memoryview(data)
        while view:
            if not self._filled:
                self._buffer = self._take_buffer()
            taken = view[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            self._size += len(taken)
            view = view[len(taken) :]
            if self._filled == len(self._buffer):
                self._send_buffer()

    def _take_buffer(self) -> bytearray:
        size = part_size(self._box.options.part_size, self._number + 1)
        while self._spare:
            if len(buffer := self._spare.pop()) == size:
                return buffer
        return bytearray(size)

    def _send_buffer(self) -> None:
        self._number += 1
        body, self._buffer = self._buffer, bytearray()
        del body[self._filled :]
        self._filled = 0
        self._crc = zlib.crc32(body, self._crc)
        self._submit(self._number, len(body), partial(self._send_part, self._number, body))

    def _send_part(self, number: int, body: bytearray) -> dict[str, Any]:
        checksum = {"ChecksumCRC32": _base64(zlib.crc32(body))} if self._part_crc else {}
        send: Callable[..., Mapping[str, Any]] = self._box.s3.upload_part
        with s3_errors(self._ref):
            reply = send(**self._place, UploadId=self._upload_id, PartNumber=number, Body=body, **checksum)
        self._spare.append(body)
        return {"PartNumber": number, "ETag": reply["ETag"], **checksum}

    def append_copy(self, source: ObjectInfo) -> None:
        """See UploadSession."""
        if self._size or self._copied:
            raise ValueError("append_copy must be the first and only append of a session")
        self._check_alive()
        self._copied = True
        if source.size_bytes == 0:
            self._check_empty(source)
        step = max(COPY_RANGE, -(-source.size_bytes // MAX_PARTS))
        for start in range(0, source.size_bytes, step):
            self._number += 1
            number, end = self._number, min(start + step, source.size_bytes)
            self._submit(number, 0, partial(self._copy_part, source, number, start, end))
            self._size = end
        self._pool.wait()

    def _check_empty(self, source: ObjectInfo) -> None:
        there = self._head(source.ref)
        if there is None:
            raise ObjectMissing(f"there is no object {source.ref}")
        if info_of(source.ref, there).etag != source.etag:
            raise ObjectChanged(f"{source.ref} is not the object that was looked at")

    def _copy_part(self, source: ObjectInfo, number: int, start: int, end: int) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        copy: Callable[..., Mapping[str, Any]] = self._box.s3.upload_part_copy
        with s3_errors(f"{self._ref} (copied from {source.ref})"):
            try:
                reply = copy(
                    **self._place,
                    UploadId=self._upload_id,
                    PartNumber=number,
                    CopySource={"Bucket": source.ref.bucket, "Key": source.ref.key},
                    CopySourceIfMatch=quoted(source.etag),
                    CopySourceRange=f"bytes={start}-{end - 1}",
                )["CopyPartResult"]
            except ClientError as error:
                if is_precondition(error) or code_of(error) == "InvalidRange":
                    raise ObjectChanged(f"{source.ref} is not the object that was looked at") from error
                raise
        crc = {"ChecksumCRC32": reply["ChecksumCRC32"]} if "ChecksumCRC32" in reply else {}
        return {"PartNumber": number, "ETag": reply["ETag"], **crc}

    def _submit(self, number: int, size: int, work: Callable[[], Any]) -> None:
        self._pool.submit(number, size, work)
        self._check_alive()

    def publish(self) -> ObjectInfo:
        """See UploadSession. May be called again after StorageUnavailable: it finds out what happened."""
        self.finish_parts()
        if self._published is None:
            self._published = self._settled() or self._complete()
        return self._published

    def finish_parts(self) -> None:
        """Send what is left and wait until the server has every part. Raises a part's error."""
        self._check_alive()
        if self._filled or not self._number:
            self._send_buffer()  # an empty object is one empty part
        self._parts = self._pool.wait()
        self._check_alive()

    def _complete(self) -> ObjectInfo:
        """Complete create-once, and believe what is then under the key rather than the reply.

        A HEAD came before (``publish``), so that on a server without conditional writes only a race
        within that moment could overwrite; there the lease and the fence keep writers apart.
        """
        conditional, attempt = True, 0
        while True:
            error = self._try_complete(conditional)
            info = self._settled()
            if info is not None:
                return info
            if error is None:
                raise StorageUnavailable(f"storage said it had stored {self._ref}, but it is not there")
            attempt += 1
            if attempt == _PUBLISH_ATTEMPTS or not isinstance(error, Conflict):
                raise error
            conditional = conditional and not isinstance(error, _Unconditional)
            time.sleep(0.1 * 2**attempt)

    def _try_complete(self, conditional: bool) -> IngestError | None:
        from botocore.exceptions import ClientError

        try:
            with s3_errors(self._ref):
                try:
                    self.complete_once(conditional=conditional)
                except ClientError as error:
                    if conditional and is_unsupported(error):
                        raise _Unconditional(f"no conditional writes for {self._ref}") from error
                    if is_precondition(error) or status_of(error) == 409:
                        message = f"storage does not let {self._ref} be created, though nothing is there"
                        raise Conflict(message, evidence=code_of(error)) from error
                    raise
        except IngestError as error:
            return error
        return None

    def complete_once(self, *, conditional: bool) -> None:
        """One CompleteMultipartUpload; raises botocore's errors."""
        checks: dict[str, Any] = {"IfNoneMatch": "*"} if conditional else {}
        if self._full_crc and not self._copied:
            checks |= {"ChecksumCRC32": _base64(self._crc), "ChecksumType": "FULL_OBJECT"}
        complete: Callable[..., object] = self._box.s3.complete_multipart_upload
        complete(**self._place, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}, **checks)

    def _settled(self) -> ObjectInfo | None:
        """Our object if it is under the key, None if nothing is; ObjectExists, aborting, for another's."""
        head = self._head(self._ref)
        if head is None:
            return None
        if head.get("Metadata", {}).get(UPLOAD_NONCE) != self._nonce:
            self.abort()
            raise ObjectExists(f"{self._ref} already exists; it was left as it is")
        info = info_of(self._ref, head)
        if info.size_bytes != self._size:
            raise StorageUnavailable(
                f"storage holds {info.size_bytes} of the {self._size} bytes of {self._ref}"
            )
        return info

    def abort(self) -> None:
        """See UploadSession. Parts in flight get a moment to end: one that lands later would be kept."""
        if self._aborted or self._published:
            return
        self._aborted = True
        self._pool.close(_ABORT_PATIENCE_S)
        self._spare.clear()
        try:
            with s3_errors(self._ref):
                self._box.s3.abort_multipart_upload(
                    Bucket=self._ref.bucket, Key=self._ref.key, UploadId=self._upload_id
                )
        except UploadLost:
            return
        except ObjectMissing:  # what some servers answer for an upload that is gone
            return

    def _check_alive(self) -> None:
        if self._aborted:
            raise UploadLost(f"upload of {self._ref} was aborted; nothing was published")


class _Unconditional(Conflict):
    """The server knows no conditional writes (501)."""


def _base64(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()
