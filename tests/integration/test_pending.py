"""A round of `run --pending`: its limits, and what an outage does to the queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestctl.domain.errors import Exit, StorageUnavailable
from ingestctl.domain.job import Phase, Status
from ingestctl.domain.stop import Stop
from ingestctl.ops.run import STOP_AFTER, run_pending
from ingestctl.ops.setup import make_buckets
from ingestctl.pipeline import Outcome, RunResult
from ingestctl.settings import Settings
from ingestctl.wiring import Wiring
from tests.services.source import SourceServer


class Silent:
    """An observer that remembers who ran."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def run_started(self, job_id: str, run_id: str, attempt: int) -> None:
        self.started.append(job_id)

    def phase_started(self, job_id: str, run_id: str, phase: Phase) -> None: ...
    def bytes_moved(self, job_id: str, done: int, total: int | None) -> None: ...
    def note(self, job_id: str, run_id: str, event: str, **fields: object) -> None: ...
    def run_ended(self, result: RunResult) -> None: ...


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    settings = Settings(
        INGESTCTL_HOME=tmp_path, INGESTCTL_SOURCE_ALLOW_NETWORKS="127.0.0.1/32", INGESTCTL_RETRY_ATTEMPTS=1
    )
    wiring = Wiring(settings)
    yield wiring
    wiring.close()


def submit(wiring: Wiring, source_server: SourceServer, fault: str, count: int) -> list[str]:
    urls = [source_server.url(f"absent-{i}.mp4", fault=fault) for i in range(count)]
    return [wiring.submitter().submit(url).job.id for url in urls]


def test_an_outage_does_not_fail_the_whole_queue(wiring: Wiring, source_server: SourceServer) -> None:
    # No `init`: the buckets are missing, which lies with us and not with any source.
    jobs = submit(wiring, source_server, "404", 6)
    done = run_pending(wiring.pipeline(Silent()), Stop(), limit=None, max_minutes=None, concurrency=1)
    assert [r.diagnosis.cause for r in done.results if r.diagnosis] == ["storage_error"] * STOP_AFTER
    assert done.stopped == "storage_error"
    assert done.exit() is Exit.CONFIGURATION
    left = [wiring.store.job(j) for j in jobs[STOP_AFTER:]]
    assert all(job and job.status is Status.QUEUED for job in left)


def test_while_storage_is_down_no_job_is_claimed(
    wiring: Wiring, source_server: SourceServer, tmp_path: Path
) -> None:
    [job] = submit(wiring, source_server, "404", 1)
    down = Settings(
        INGESTCTL_HOME=tmp_path,
        S3_ENDPOINT="http://127.0.0.1:9",
        S3_ACCESS_KEY="key",
        S3_SECRET_KEY="secret",
        INGESTCTL_S3_MAX_ATTEMPTS=1,
    )
    broken = Wiring(down)
    with pytest.raises(StorageUnavailable):
        run_pending(broken.pipeline(Silent()), Stop(), limit=None, max_minutes=None, concurrency=1)
    broken.close()
    there = wiring.store.job(job)
    assert there is not None
    assert there.status is Status.QUEUED
    assert not wiring.store.runs(job)


def test_bad_sources_do_not_stop_a_round(wiring: Wiring, source_server: SourceServer) -> None:
    make_buckets(wiring.storage, wiring.buckets)
    jobs = submit(wiring, source_server, "404", 3)
    observer = Silent()
    done = run_pending(wiring.pipeline(observer), Stop(), limit=None, max_minutes=None, concurrency=2)
    assert sorted(observer.started) == sorted(jobs)
    assert [r.outcome for r in done.results] == [Outcome.FAILED] * 3
    assert done.stopped is None
    assert done.exit() is Exit.JOB_FAILED


def test_limit_and_time_are_checked_before_a_claim(wiring: Wiring, source_server: SourceServer) -> None:
    make_buckets(wiring.storage, wiring.buckets)
    submit(wiring, source_server, "404", 3)
    pipeline = wiring.pipeline(Silent())
    two = run_pending(pipeline, Stop(), limit=2, max_minutes=None, concurrency=1)
    assert (len(two.results), two.stopped) == (2, "limit")
    late = run_pending(pipeline, Stop(), limit=None, max_minutes=0, concurrency=1)
    assert (len(late.results), late.stopped) == (0, "max-minutes")
    assert wiring.store.counts()[Status.QUEUED] == 1
