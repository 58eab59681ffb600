"""Object storage on S3 and what speaks its protocol (MinIO, SeaweedFS, ...)."""

from __future__ import annotations

import contextlib
from datetime import UTC
from typing import TYPE_CHECKING, Any

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    IngestError,
    ObjectChanged,
    ObjectMissing,
    UploadLost,
)
from ingestctl.domain.source import check_key
from ingestctl.storage.base import ObjectInfo, StorageCheck, UnfinishedUpload, UploadRequest
from ingestctl.storage.s3_client import ClientBox, S3Options, info_of, quoted, safe_url
from ingestctl.storage.s3_errors import (
    code_of,
    is_missing,
    is_precondition,
    is_unsupported,
    s3_errors,
)
from ingestctl.storage.s3_listing import entries_of
from ingestctl.storage.s3_reader import S3Body
from ingestctl.storage.s3_session import S3UploadSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class S3Storage:
    """Buckets of an S3 service. See :class:`ingestctl.storage.base.Storage` for every method.

    Create-once rests on ``If-None-Match: *`` (S3 since 2024, MinIO, SeaweedFS). Keys are listed in the
    server's order, which is UTF-8 byte order on S3; SeaweedFS lists ``a/b`` before ``a b``.
    """

    def __init__(self, options: S3Options) -> None:
        self._box = ClientBox(options)

    @property
    def provider(self) -> str:
        """See Storage. An endpoint of one's own is named as MinIO, the one the platform runs."""
        return "minio" if self._box.options.endpoint_url else "s3"

    @property
    def url(self) -> str:
        """See Storage."""
        return safe_url(self._box.options)

    def begin(self, request: UploadRequest) -> S3UploadSession:
        """See Storage."""
        check_key(request.ref.key, "object key")
        return S3UploadSession(self._box, request, self._head)

    def stat(self, ref: ObjectRef) -> ObjectInfo | None:
        """See Storage."""
        head = self._head(ref)
        return None if head is None else info_of(ref, head)

    def _head(self, ref: ObjectRef) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError

        with s3_errors(ref):
            try:
                return self._box.s3.head_object(Bucket=ref.bucket, Key=ref.key)
            except ClientError as error:
                if not code_of(error).isdigit():
                    raise
                # A reply to HEAD has no body: a listing tells what was wrong in the server's words.
                self._box.s3.list_objects_v2(Bucket=ref.bucket, MaxKeys=1)
                if is_missing(error):
                    return None
                raise

    @contextlib.contextmanager
    def read(
        self, ref: ObjectRef, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        body = S3Body(self._box, ref, start, length, if_match)
        try:
            yield iter(body)
        finally:
            body.close()

    def copy(self, source: ObjectInfo, target: UploadRequest) -> ObjectInfo:
        """See Storage."""
        session = self.begin(target)
        try:
            session.append_copy(source)
            return session.publish()
        except BaseException:
            with contextlib.suppress(IngestError):
                session.abort()
            raise

    def delete(self, ref: ObjectRef, *, if_match: str) -> bool:
        """See Storage. In a versioned bucket the version that was checked is deleted, for good."""
        there = self.stat(ref)
        if there is None:
            return False
        if there.etag != if_match:
            raise ObjectChanged(f"{ref} is another object now (ETag {there.etag}); it was left as it is")
        try:
            with s3_errors(ref):
                return self._delete_checked(there)
        except ObjectMissing:
            return False

    def _delete_checked(self, there: ObjectInfo) -> bool:
        from botocore.exceptions import ClientError

        delete: Any = self._box.s3.delete_object
        place = {"Bucket": there.ref.bucket, "Key": there.ref.key}
        if there.version_id:
            delete(**place, VersionId=there.version_id)
            return True
        try:
            delete(**place, IfMatch=quoted(there.etag))
        except ClientError as error:
            if is_unsupported(error):
                delete(**place)
                return True
            if not is_precondition(error):
                raise
            if self._head(there.ref) is None:
                return False
            raise ObjectChanged(f"{there.ref} was replaced meanwhile; it was left as it is") from error
        return True

    def list_objects(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See Storage."""
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        if start_after:
            arguments["StartAfter"] = start_after
        while True:
            with s3_errors(bucket):
                page: Any = self._box.s3.list_objects_v2(**arguments)
                entries = list(entries_of(page))
            for key, size, etag, modified_at in entries:
                yield ObjectInfo(ObjectRef(bucket, key), size, etag, modified_at)
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def unfinished(self, bucket: str, prefix: str = "") -> Iterator[UnfinishedUpload]:
        """See Storage."""
        arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        while True:
            with s3_errors(bucket):
                page: Any = self._box.s3.list_multipart_uploads(**arguments)
            uploads = page.get("Uploads", [])
            for entry in uploads:
                begun = entry["Initiated"].astimezone(UTC)
                yield UnfinishedUpload(ObjectRef(bucket, entry["Key"]), entry["UploadId"], begun)
            if not page.get("IsTruncated") or not uploads:
                return
            # Some servers leave one of the markers out.
            arguments["KeyMarker"] = page.get("NextKeyMarker") or uploads[-1]["Key"]
            arguments["UploadIdMarker"] = page.get("NextUploadIdMarker") or uploads[-1]["UploadId"]

    def abort(self, upload: UnfinishedUpload) -> bool:
        """See Storage."""
        ref = upload.ref
        try:
            with s3_errors(ref):
                self._box.s3.abort_multipart_upload(Bucket=ref.bucket, Key=ref.key, UploadId=upload.upload_id)
        except (UploadLost, ObjectMissing):
            return False
        return True

    def presign(self, ref: ObjectRef, *, expires_s: int = 3600) -> str:
        """See Storage."""
        with s3_errors(ref):
            return self._box.s3.generate_presigned_url(
                "get_object", Params={"Bucket": ref.bucket, "Key": ref.key}, ExpiresIn=expires_s
            )

    def ensure_bucket(self, bucket: str) -> bool:
        """See Storage."""
        from botocore.exceptions import ClientError

        options = self._box.options
        place: dict[str, Any] = {"Bucket": bucket}
        if not options.endpoint_url and options.region != "us-east-1":
            place["CreateBucketConfiguration"] = {"LocationConstraint": options.region}
        with s3_errors(bucket):
            try:
                self._box.s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
                return False
            except ClientError as error:
                if code_of(error) != "NoSuchBucket":
                    raise
            try:
                self._box.s3.create_bucket(**place)
            except ClientError as error:
                if code_of(error) in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    return False
                raise
        return True

    def check(self, bucket: str) -> list[StorageCheck]:
        """See Storage; also whether conditional deletes are honoured, and the clock."""
        from ingestctl.storage.s3_check import check_bucket

        return check_bucket(self, self._box, bucket)

    def close(self) -> None:
        """See Storage."""
        self._box.close()
