"""From a storage URL to a Storage, and a whole file into it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ingestctl.domain.errors import ConfigurationError, IngestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import ObjectInfo, Storage, UploadRequest
    from ingestctl.storage.s3_client import S3Options

_CHUNK = 1024 * 1024


def open_storage(url: str, *, s3: S3Options) -> Storage:
    """The storage that ``file:///absolute/folder`` or ``s3://`` names. Connects to nothing yet.

    Raises ConfigurationError naming the value.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a stray "[" is read as an IPv6 address
        raise _bad(url, "use file:///absolute/folder, or s3:// with the S3_* settings") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        from ingestctl.storage.local import LocalStorage

        if parts.query or parts.fragment:
            raise _bad(url, "write '?' as %3F and '#' as %23 in a file URL")
        return LocalStorage(Path(unquote(parts.path)))
    if parts.scheme == "s3" and not (parts.netloc or parts.path or parts.query or parts.fragment):
        from ingestctl.storage.s3 import S3Storage

        return S3Storage(s3)
    raise _bad(url, "use file:///absolute/folder, or s3:// with the S3_* settings")


def _bad(url: str, fix: str) -> ConfigurationError:
    shown = url.rpartition("@")[2].partition("?")[0][:200]  # neither passwords nor signed queries
    return ConfigurationError(f"the storage URL {shown!r} names no storage: {fix}")


def put_file(
    storage: Storage,
    request: UploadRequest,
    path: Path,
    stop: Stop,
    progress: Callable[[int], None] | None = None,
) -> ObjectInfo:
    """Store the file at ``path``, create-once; ``progress`` is told the bytes appended so far.

    On any error, ``stop`` included, the session is aborted and nothing was published.
    """
    session = storage.begin(request)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                stop.check()
                session.append(chunk)
                if progress:
                    progress(session.size_bytes)
        stop.check()
        return session.publish()
    except BaseException:
        with contextlib.suppress(IngestError):  # the first error is the one to tell
            session.abort()
        raise
