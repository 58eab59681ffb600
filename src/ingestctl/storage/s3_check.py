"""What `doctor` asks of a bucket: one probe object, written, read, raced against itself and deleted."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import IngestError
from ingestctl.storage.base import ObjectInfo, StorageCheck, UploadRequest
from ingestctl.storage.probe import new_probe, sweep
from ingestctl.storage.s3_client import ClientBox, quoted
from ingestctl.storage.s3_errors import is_precondition, is_unsupported, s3_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.storage.s3 import S3Storage

MAX_SKEW_S = 300
"""S3 refuses requests signed more than 15 minutes off; a third of that is worth saying."""
_NO_CREATE_ONCE = (
    "This server does not keep create-once. Nothing is lost as long as the database's leases hold; "
    "use a server with conditional writes (S3, a recent MinIO, SeaweedFS) to be safe without them."
)
_NO_CONDITIONAL_DELETE = "Objects are checked just before they are deleted; bucket versioning closes the gap."


def check_bucket(storage: S3Storage, box: ClientBox, bucket: str) -> list[StorageCheck]:
    """The findings of one bucket; what could not be probed is a finding, never an error."""
    try:
        with s3_errors(f"bucket {bucket}"):
            reply = box.s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except IngestError as error:
        return [_failed("bucket", error)]
    found = [StorageCheck("bucket", True, f"bucket {bucket} exists"), _clock(reply)]
    try:
        found += _probe(storage, box, new_probe(bucket))
    except IngestError as error:
        found.append(_failed("write-read-delete", error))
    return found


def _failed(name: str, error: IngestError) -> StorageCheck:
    detail = f"{error.message} ({error.evidence or error.code})"
    return StorageCheck(name, False, detail, error.hint, error)


def _clock(reply: Any) -> StorageCheck:
    stamp = reply["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        skew = abs((datetime.now(UTC) - parsedate_to_datetime(stamp)).total_seconds())
    except (TypeError, ValueError):
        return StorageCheck("clock", True, "the server tells no time")
    detail = f"this machine's clock and the server's differ by {skew:.0f} s"
    return StorageCheck(
        "clock", skew <= MAX_SKEW_S, detail, "" if skew <= MAX_SKEW_S else "Set the clock (NTP)."
    )


def _probe(storage: S3Storage, box: ClientBox, ref: ObjectRef) -> list[StorageCheck]:
    session = storage.begin(UploadRequest(ref, "text/plain"))
    try:
        session.append(b"probe")
        info = session.publish()
    except BaseException:
        with contextlib.suppress(IngestError):
            session.abort()
        raise
    try:
        with storage.read(ref) as chunks:
            whole = b"".join(chunks) == b"probe"
        create_once = _create_refused(storage, ref)
        delete_once = _refused(
            lambda: box.s3.delete_object(Bucket=ref.bucket, Key=ref.key, IfMatch=quoted("0" * 32))
        )
    finally:
        _remove(storage, info)
    gone = storage.stat(ref) is None
    sweep(storage, ref.bucket, info.modified_at)
    return [
        StorageCheck("write-read-delete", whole and gone, "a probe object was written, read and deleted"),
        _finding("conditional-create", create_once, _NO_CREATE_ONCE),
        _finding("conditional-delete", delete_once, _NO_CONDITIONAL_DELETE),
    ]


def _finding(name: str, honoured: bool, hint: str) -> StorageCheck:
    word = "honours" if honoured else "does not honour"
    return StorageCheck(
        name, honoured, f"the server {word} {name.replace('-', ' ')}", "" if honoured else hint
    )


def _create_refused(storage: S3Storage, ref: ObjectRef) -> bool:
    second = storage.begin(UploadRequest(ref, "text/plain"))
    try:
        second.append(b"again")
        second.finish_parts()
        return _refused(lambda: second.complete_once(conditional=True))
    finally:
        second.abort()


def _refused(request: Callable[[], object]) -> bool:
    from botocore.exceptions import ClientError

    with s3_errors("the probe object"):
        try:
            request()
        except ClientError as error:
            if is_precondition(error):
                return True
            if not is_unsupported(error):
                raise
    return False


def _remove(storage: S3Storage, info: ObjectInfo) -> None:
    # A server that ignores conditions may have replaced the probe: delete what is there now.
    there = storage.stat(info.ref)
    if there is not None:
        storage.delete(info.ref, if_match=there.etag)
