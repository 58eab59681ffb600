"""The checklist before a retry: cause, attempts, source and place; and many jobs at once."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import Exit, Interrupted
from ingestctl.domain.job import Status
from ingestctl.domain.source import Source, SourceKind
from ingestctl.ops.find import JobQuery, job_filter
from ingestctl.ops.retry import RetryOutcome, exit_of
from tests.integration.retry_bench import Bench, detail, verdict
from tests.integration.retry_bench import bench as bench
from tests.integration.retry_bench import url as url

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.source import SourceServer


# --- cause, attempts


@pytest.mark.parametrize(
    "cause", ["invalid_source", "not_media", "download_blocked", "disk_full", "internal"]
)
def test_a_cause_that_does_not_pass_needs_anyway(bench: Bench, url: str, cause: str) -> None:
    job = bench.failed(url, cause)
    bench.refused(job, "cause")
    done = bench.retry(job, anyway=True)
    assert done.outcome is RetryOutcome.REQUEUED
    assert bench.store.events(job)[-1].payload["details"]["overruled"] == ["cause"]


def test_what_the_run_said_of_its_failure_beats_the_table(bench: Bench, url: str) -> None:
    assert bench.retry(bench.failed(url, "storage_error", retryable="yes")).outcome is RetryOutcome.REQUEUED
    bench.refused(bench.failed(url + "?2", "storage_error", retryable="after-fix"), "cause")


def test_a_legacy_failure_is_read_from_its_message(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    bench.sql("UPDATE job_runs SET error_code = 'E1', error_message = 'ERROR: Private video. Sign in'")
    assert "retryable: no" in detail(bench.refused(job, "cause"), "cause")


def test_a_payload_without_a_source_cannot_be_retried_blindly(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    bench.sql("UPDATE jobs SET payload = '[1, 2]'")
    bench.refused(job, "cause")


def test_the_attempt_budget(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    for _ in range(4):
        bench.store.reset(job, expect=Status.FAILED, actor="me", reason="again")
        bench.fail(job, "download_timeout")
    assert detail(bench.refused(job, "attempts"), "attempts") == "5 of 5 attempts used"
    assert bench.retry(job, anyway=True).outcome is RetryOutcome.REQUEUED


def test_interrupted_attempts_cost_nothing(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    for _ in range(6):
        bench.store.release(bench.claim(job), reason="a deployment")
    bench.sql("UPDATE jobs SET status = 'failed'")
    assert detail(bench.retry(job), "attempts") == "1 of 5 attempts used"


# --- the source


@pytest.mark.parametrize("fault", ["404", "403", "503", "resetnow", "stallheaders", "loop", "redirectfile"])
def test_a_source_that_does_not_answer_well_fails(
    bench: Bench, url: str, source_server: SourceServer, fault: str
) -> None:
    job = bench.failed(source_server.url("plain.mp4", fault=fault))
    began = time.monotonic()
    bench.refused(job, "source")
    assert time.monotonic() - began < 4


def test_one_request_and_no_download(bench: Bench, source_server: SourceServer) -> None:
    (source_server.root / "big.bin").write_bytes(b"x" * 30_000_000)
    job = bench.failed(source_server.url("big.bin"))
    source_server.reset()
    assert verdict(bench.retry(job), "source") == "pass"
    assert [(method, extent) for method, _, extent in source_server.requests] == [("GET", "bytes=0-0")]


def test_an_address_inside_is_not_asked(
    tmp_path: Path, bench: Bench, url: str, source_server: SourceServer
) -> None:
    closed = Bench(tmp_path / "closed", source_allow_networks=())
    job = closed.failed(url)
    source_server.reset()
    closed.refused(job, "source")
    assert source_server.requests == []
    closed.wiring.close()


def test_youtube_is_never_asked(bench: Bench) -> None:
    done = bench.retry(bench.failed("https://www.youtube.com/watch?v=abc"))
    assert (done.outcome, verdict(done, "source")) == (RetryOutcome.REQUEUED, "cannot-tell")


def test_a_platform_that_asked_for_less_is_left_alone(
    tmp_path: Path, bench: Bench, url: str, source_server: SourceServer
) -> None:
    bench.failed(url + "?other", "rate_limited")
    job = bench.failed(url)
    source_server.reset()
    assert verdict(bench.retry(job), "source") == "cannot-tell"
    assert source_server.requests == []
    cold = Bench(tmp_path / "home", cool_down_s=0.01)
    time.sleep(0.05)
    assert verdict(cold.retry(bench.failed(url + "?3")), "source") == "pass"
    cold.wiring.close()


def test_an_upload_must_be_there(bench: Bench) -> None:
    job = bench.failed(Source(SourceKind.UPLOAD, "in/a.mp4"))
    bench.refused(job, "source")
    bench.put(ObjectRef("uploads", "in/a.mp4"), b"here")
    assert verdict(bench.retry(job), "source") == "pass"


# --- the place


@pytest.mark.parametrize("anyway", [False, True])
def test_a_bucket_that_is_gone_is_never_overruled(bench: Bench, url: str, anyway: bool) -> None:
    job = bench.failed(url)
    shutil.rmtree(bench.wiring.settings.home_dir / "objects" / "audio-tracks")
    bench.refused(job, "storage", anyway=anyway)


def test_too_little_scratch_space(tmp_path: Path, bench: Bench, url: str) -> None:
    job = bench.failed(url)
    greedy = Bench(tmp_path / "home", min_free_bytes=2**60)
    greedy.refused(job, "scratch")
    greedy.wiring.close()


def test_a_database_that_cannot_be_written_is_never_overruled(
    bench: Bench, url: str, tmp_path: Path, postgres: Any
) -> None:
    made = postgres.create_database("migrated")
    writer = Bench(tmp_path / "pg", database_url=made)
    job = writer.failed(url)
    reader = Bench(tmp_path / "pg", database_url=made + "?options=-c%20default_transaction_read_only%3Don")
    reader.refused(job, "database", anyway=True)
    for one in (reader, writer):
        one.wiring.close()


# --- many


def test_many_by_filter_at_a_rate_each_as_it_is_now(bench: Bench, url: str) -> None:
    jobs = [bench.failed(f"{url}?{n}", "not_media" if n == 1 else "download_timeout") for n in range(4)]
    retrier = bench.wiring.retrier(bench.stop)
    preview = retrier.preview(job_filter(JobQuery(statuses=("failed",)), bench.store.now()), limit=3)
    assert (preview.matching, len(preview.chosen)) == (4, 3)
    assert preview.causes == {"download_timeout": 2, "not_media": 1}
    began = time.monotonic()
    results = list(retrier.retry_many(preview.chosen, bench.stop, reason="r", anyway=False, per_minute=120))
    assert [r.outcome for r in results] == ["requeued", "refused", "requeued"]
    assert 0.4 < time.monotonic() - began < 3
    assert exit_of(results) is Exit.PARTIAL
    assert exit_of(results[:1]) is Exit.DONE
    assert exit_of(results[1:2]) is Exit.CONFLICT
    assert bench.status(jobs[3]) is Status.FAILED


def test_a_round_that_is_stopped_leaves_the_rest(bench: Bench, url: str) -> None:
    jobs = [bench.failed(f"{url}?{n}") for n in range(3)]
    retrier = bench.wiring.retrier(bench.stop)
    preview = retrier.preview(job_filter(JobQuery(statuses=("failed",)), bench.store.now()), limit=9)
    round_ = retrier.retry_many(preview.chosen, bench.stop, reason="r", anyway=False, per_minute=1)
    next(round_)
    bench.stop.ask(Interrupted("enough"))
    with pytest.raises(Interrupted):
        next(round_)
    assert [bench.status(j) for j in jobs] == [Status.QUEUED, Status.FAILED, Status.FAILED]
