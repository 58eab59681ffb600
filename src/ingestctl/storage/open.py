"""From a storage URL to a Storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ingestctl.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from ingestctl.storage.base import Storage
    from ingestctl.storage.s3_client import S3Options


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
