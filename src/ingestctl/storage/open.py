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
    folder = parse_url(url)
    if folder is not None:
        from ingestctl.storage.local import LocalStorage

        return LocalStorage(folder)
    from ingestctl.storage.s3 import S3Storage

    return S3Storage(s3)


def parse_url(url: str) -> Path | None:
    """The folder that ``url`` names; None for S3. Raises ConfigurationError naming the value."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad(url, "it is not a URL") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        if parts.query or parts.fragment:
            raise _bad(url, "write '?' as %3F and '#' as %23 in a file URL")
        return Path(unquote(parts.path))
    if parts.scheme == "s3" and not (parts.netloc or parts.path or parts.query or parts.fragment):
        return None
    raise _bad(url, "use file:///absolute/folder, or s3:// with the S3_* settings")


def _bad(url: str, fix: str) -> ConfigurationError:
    shown = url.rpartition("@")[2].partition("?")[0][:200]  # neither passwords nor signed queries
    return ConfigurationError(f"the storage URL {shown!r} names no storage: {fix}", hint="")
