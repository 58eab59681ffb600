"""``demo``: one real job, end to end, on this machine alone."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import VerificationFailed
from ingestctl.domain.verification import Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.domain.verification import Verification
    from ingestctl.ops.submit import Submitter
    from ingestctl.ops.verify import Verifier
    from ingestctl.pipeline import Pipeline, RunResult


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The job's first run; if it succeeded, what was found of its artifacts, and the same command again."""

    url: str
    first: RunResult
    found: Verification | None = None
    again: RunResult | None = None


def run_demo(
    submitter: Submitter, pipeline: Pipeline, verifier: Verifier, video: Path, stop: Stop
) -> DemoResult:
    """Submit ``video`` over HTTP, run it, verify what was stored by its bytes, run it again.

    Raises VerificationFailed if not everything is found intact.
    """
    with served(video.parent) as base:
        url = f"{base}/{video.name}"
        job = submitter.submit(url).job
        first = pipeline.run(job.id, stop)
    if first.error:
        return DemoResult(url, first)
    found = verifier.verify(submitter.store.job(job.id) or job, Level.CHECKSUM)
    if found.verdict is not Verdict.INTACT:
        told = "; ".join(f"{f.subject} {f.verdict}: {f.evidence}" for f in found.findings)
        raise VerificationFailed(f"what was stored is not whole: {told}", job_id=job.id)
    # The server is gone: a second download would fail, so `unchanged` proves that there is none.
    return DemoResult(url, first, found, pipeline.run(job.id, stop))


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
