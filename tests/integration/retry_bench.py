"""A retry on SQLite and a folder, wired as the program wires it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from ingestctl import config
from ingestctl.db.base import NewJob, RunError
from ingestctl.domain.errors import Exit
from ingestctl.domain.source import Source, source_of_url
from ingestctl.domain.stop import Stop
from ingestctl.ops.retry import RetryOutcome, RetryResult
from ingestctl.ops.setup import make_buckets
from ingestctl.storage.base import UploadRequest
from ingestctl.telemetry import LogObserver, configure
from ingestctl.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.job import Lease, Status
    from tests.services.source import SourceServer


class Bench:
    """SQLite and a folder, wired as the program wires them."""

    def __init__(self, home: Path, **more: Any) -> None:
        given = {"source_allow_networks": ("127.0.0.1/32",), "min_free_bytes": 0, "socket_timeout_s": 1.0}
        self.wiring = Wiring(config.load({"home": home, **given, **more}))
        make_buckets(self.wiring.storage, self.wiring.buckets)
        self.store = self.wiring.store
        self.stop = Stop()
        self.numbers = 0

    def submit(self, source: Source | str) -> str:
        self.numbers += 1
        name = f"job{self.numbers}"
        of = source_of_url(source) if isinstance(source, str) else source
        return self.store.submit(NewJob(of, f"v-{name}", name, {})).job.id

    def failed(self, source: Source | str, cause: str = "download_timeout", **details: Any) -> str:
        job = self.submit(source)
        self.fail(job, cause, **details)
        return job

    def claim(self, job: str, lease_s: float = 60) -> Lease:
        return self.store.claim(job, owner="w@host:1:x", lease_s=lease_s, stale_after_s=60).lease

    def fail(self, job: str, cause: str, **details: Any) -> None:
        self.store.fail(self.claim(job), RunError(cause, f"it was {cause}", details))

    def retry(self, job: str, **more: Any) -> RetryResult:
        found = self.store.job(job)
        assert found is not None
        return self.wiring.retrier(self.stop).retry(found, reason="a test", **more)

    def run(self, job: str) -> Any:
        return self.wiring.pipeline(
            LogObserver(configure("CRITICAL", self.wiring.redact, log_dir=None, to_stderr=False))
        ).run(job, self.stop)

    def status(self, job: str) -> Status:
        found = self.store.job(job)
        assert found is not None
        return found.status

    def sql(self, statement: str, **values: Any) -> None:
        engine = sa.create_engine(self.wiring.settings.effective_database_url)
        with engine.begin() as connection:
            connection.execute(sa.text(statement), values)
        engine.dispose()

    def put(self, ref: ObjectRef, body: bytes, **metadata: str) -> None:
        session = self.wiring.storage.begin(UploadRequest(ref, "video/mp4", metadata))
        session.append(body)
        session.publish()

    def refused(self, job: str, check: str, **more: Any) -> RetryResult:
        """Retry, see it refused because of this check, and see nothing changed."""
        before, events = self.status(job), len(self.store.events(job))
        done = self.retry(job, **more)
        assert (done.outcome, done.exit) == (RetryOutcome.REFUSED, Exit.CONFLICT), done
        assert verdict(done, check) == "fail"
        assert done.error is not None
        assert check in done.error.message
        assert (self.status(job), len(self.store.events(job))) == (before, events)
        return done


def verdict(done: RetryResult, check: str) -> str:
    return next(c.verdict for c in done.checks if c.id == check)


def detail(done: RetryResult, check: str) -> str:
    return next(c.detail for c in done.checks if c.id == check)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in [n for n in os.environ if n.startswith(("INGESTCTL_", "S3_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path / "home")
    yield made
    made.wiring.close()


@pytest.fixture
def url(source_server: SourceServer) -> str:
    (source_server.root / "plain.mp4").write_bytes(b"x" * 1000)
    return source_server.url("plain.mp4")
