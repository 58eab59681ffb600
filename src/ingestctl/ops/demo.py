"""``demo``: one real job, end to end, on this machine alone."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from ingestctl.domain.errors import VerificationFailed
from ingestctl.domain.stop import Stop
from ingestctl.pipeline.evidence import read_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.ops.submit import Submitter
    from ingestctl.pipeline import Pipeline, RunResult
    from ingestctl.storage.base import Storage


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The job's first run, and the same command again."""

    url: str
    first: RunResult
    again: RunResult | None


def run_demo(
    submitter: Submitter, pipeline: Pipeline, storage: Storage, folder: Path, name: str
) -> DemoResult:
    """Submit ``name`` from ``folder`` over HTTP, run it, read back what was stored, run it again.

    Raises VerificationFailed if a stored object does not have the bytes on record.
    """
    with served(folder) as base:
        url = f"{base}/{name}"
        job = submitter.submit(url).job
        first = pipeline.run(job.id, Stop())
        if first.error:
            return DemoResult(url, first, None)
        for artifact in first.artifacts:
            info = storage.stat(artifact.ref)
            if info is None or read_sha256(storage, info, Stop()) != artifact.sha256:
                raise VerificationFailed(f"{artifact.ref} does not hold the bytes on record", job_id=job.id)
    # The server is gone: a second download would fail, so `unchanged` proves that there is none.
    return DemoResult(url, first, pipeline.run(job.id, Stop()))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing: the demo tells its own story."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up (yt-dlp, after a first look) is no error here."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` over HTTP on loopback; give its base URL."""
    server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
