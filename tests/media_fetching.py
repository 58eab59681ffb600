"""Fetching from the local source server, and a listener that keeps what it was told."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import FetchLimits, YtDlpFetcher
from ingestctl.media.tools import find_tools

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.errors import IngestError
    from ingestctl.media.base import Fetched

HERE = [ipaddress.ip_network("127.0.0.1/32")]
QUICK = FetchLimits(socket_timeout_s=0.7, retries=1, deadline_s=30, spare_bytes=0)


class Listener:
    """Keeps what it was told, and reads what was said to be readable."""

    def __init__(self) -> None:
        self.grown: list[int] = []
        self.progressed: list[int] = []
        self.unreadable = 0
        self.raises: IngestError | None = None

    def growing(self, path: Path, downloaded: int, total: int | None) -> None:
        self.grown.append(downloaded)
        self.unreadable += path.stat().st_size < downloaded
        if self.raises and downloaded:
            raise self.raises

    def progress(self, downloaded: int, total: int | None) -> None:
        self.progressed.append(downloaded)


def fetch(
    url: str, into: Path, *, listener: Listener | None = None, stop: Stop | None = None, **options: object
) -> Fetched:
    options = {"limits": QUICK, "allow_networks": HERE, **options}
    fetcher = YtDlpFetcher(find_tools, **options)  # type: ignore[arg-type]
    return fetcher.fetch(Source(SourceKind.EXTERNAL_URL, url), into, listener or Listener(), stop or Stop())


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
