"""The checklist before a retry, check by check, on real parts; and that a refusal changes nothing."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from ingestctl import config
from ingestctl.db.base import NewJob, RunError
from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.errors import Exit, Interrupted
from ingestctl.domain.job import Status
from ingestctl.domain.source import Source, SourceKind, source_of_url
from ingestctl.domain.stop import Stop
from ingestctl.ops.find import JobQuery, job_filter
from ingestctl.ops.retry import RetryOutcome, RetryResult, exit_of
from ingestctl.ops.setup import make_buckets
from ingestctl.storage.base import UploadRequest
from ingestctl.telemetry import LogObserver, configure
from ingestctl.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.job import Lease
    from tests.media_samples import Samples
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


def test_a_failed_job_goes_back_with_an_event_that_says_who_why_and_from_what(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    done = bench.retry(job)
    assert (done.outcome, done.from_status, done.exit) == (RetryOutcome.REQUEUED, Status.FAILED, Exit.DONE)
    assert {c.verdict for c in done.checks} == {"pass"}
    ids = "owner state duplicates partial_files cause source storage database scratch attempts"
    assert [c.id for c in done.checks] == ids.split()
    assert bench.status(job) is Status.QUEUED
    event = bench.store.events(job)[-1]
    assert event.event_type == "ingestion.job.requeued"
    assert event.payload["actor"] == bench.wiring.actor
    assert (event.payload["reason"], event.payload["from"]) == ("a test", "failed")


def test_a_second_time_is_unchanged_and_writes_nothing(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    bench.retry(job)
    events = len(bench.store.events(job))
    done = bench.retry(job)
    assert (done.outcome, done.exit) == (RetryOutcome.UNCHANGED, Exit.DONE)
    assert len(bench.store.events(job)) == events


def test_a_dry_run_checks_and_changes_nothing(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    assert bench.retry(job, dry_run=True).outcome is RetryOutcome.ALLOWED
    assert bench.status(job) is Status.FAILED


# --- owner


@pytest.mark.parametrize("anyway", [False, True])
def test_a_live_owner_is_never_overruled(bench: Bench, url: str, anyway: bool) -> None:
    job = bench.submit(url)
    lease = bench.claim(job)
    done = bench.refused(job, "owner", anyway=anyway)
    assert "w@host:1:x" in detail(done, "owner")
    bench.store.confirm(lease)


def test_a_dead_owner_is_no_owner(bench: Bench, url: str) -> None:
    job = bench.submit(url)
    bench.claim(job, lease_s=0.01)
    time.sleep(0.05)
    done = bench.retry(job)
    assert done.outcome is RetryOutcome.REQUEUED
    assert "lost its worker" in detail(done, "owner")


def test_a_live_job_of_the_same_video_is_an_owner(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    bench.sql(
        "INSERT INTO jobs (id, video_id, type, status) SELECT 'other', video_id, 'ingest', 'queued' FROM jobs"
    )
    bench.claim("other")
    assert "other" in detail(bench.refused(job, "owner", anyway=True), "owner")


# --- state


def test_a_canceled_job_needs_to_be_wanted(bench: Bench, url: str) -> None:
    job = bench.submit(url)
    bench.sql("UPDATE jobs SET status = 'canceled'")
    bench.refused(job, "state")
    assert bench.retry(job, anyway=True).outcome is RetryOutcome.REQUEUED


def test_a_success_is_retried_only_when_it_is_proved_not_whole(
    bench: Bench, samples: Samples, source_server: SourceServer
) -> None:
    job = bench.submit(source_server.url(samples.mp4().name))
    assert bench.run(job).error is None
    told = detail(bench.refused(job, "state", anyway=True), "state")
    assert "whole" in told
    [audio] = [a for a in bench.store.artifacts(f"v-{job}") if a.kind is Kind.AUDIO]
    bench.wiring.storage.delete(audio.ref, if_match=audio.etag or "")
    done = bench.retry(job)
    assert done.outcome is RetryOutcome.REQUEUED
    assert "audio missing" in detail(done, "state")
    assert bench.run(job).error is None
    bench.refused(job, "state", anyway=True)


def test_a_success_that_cannot_be_checked_is_left_alone(
    bench: Bench, samples: Samples, source_server: SourceServer
) -> None:
    job = bench.submit(source_server.url(samples.mp4().name))
    bench.run(job)
    objects = bench.wiring.settings.home_dir / "objects"
    objects.rename(objects.with_name("away"))
    objects.write_bytes(b"no folder")
    bench.refused(job, "state", anyway=True)


# --- duplicates and files


def test_the_same_source_stored_for_another_video_is_a_duplicate(bench: Bench, url: str) -> None:
    job, other = bench.failed(url), bench.failed(url + "?x")
    bench.sql("UPDATE videos SET source_uri = :u WHERE id = :v", u=url + "/", v=f"v-{other}")
    assert bench.retry(job, dry_run=True).outcome is RetryOutcome.ALLOWED
    bench.sql("UPDATE videos SET storage_key = 'k', storage_bucket = 'b' WHERE id = :v", v=f"v-{other}")
    assert f"v-{other}" in detail(bench.refused(job, "duplicates"), "duplicates")
    assert bench.retry(job, anyway=True).outcome is RetryOutcome.REQUEUED


def stored_row(
    bench: Bench, job: str, key: str, *, video: str = "", state: str = "stored", sha: str = "ab"
) -> None:
    bench.sql(
        "INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, sha256) "
        "VALUES ('raw-videos', :k, 'video', :v, :j, 'r', :s, :h)",
        k=key, v=video or f"v-{job}", j=job, s=state, h=sha * 32,
    )  # fmt: skip


def test_its_own_media_under_another_key_is_a_duplicate(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    stored_row(bench, job, "old/place.mp4")
    assert "old/place.mp4" in detail(bench.refused(job, "duplicates"), "duplicates")


def test_the_same_bytes_stored_for_another_video_are_a_duplicate(
    bench: Bench, url: str, source_server: SourceServer
) -> None:
    (source_server.root / "b.mp4").write_bytes(b"x" * 1000)
    job, other = bench.failed(url), bench.failed(source_server.url("b.mp4"))
    stored_row(bench, job, f"videos/v-{job}/source.mp4", state="staged")
    stored_row(bench, other, f"videos/v-{other}/source.mp4")
    assert f"v-{other}" in detail(bench.refused(job, "duplicates"), "duplicates")
    assert bench.retry(other).outcome is RetryOutcome.REQUEUED


def test_leftovers_of_its_own_are_named_and_safe(bench: Bench, url: str) -> None:
    job = bench.submit(url)
    lease = bench.claim(job)
    ref = ObjectRef("raw-videos", f"videos/v-{job}/source.mp4")
    bench.store.reserve(lease, ref, Kind.VIDEO)
    session = bench.wiring.storage.begin(UploadRequest(ref, "video/mp4"))
    session.append(b"half")
    bench.store.fail(lease, RunError("download_timeout", "cut off"))
    done = bench.retry(job)
    assert done.outcome is RetryOutcome.REQUEUED
    told = detail(done, "partial_files")
    assert f"{ref} (reserved by run {lease.run_id})" in told
    assert f"unfinished upload {session.upload_id[:20]}" in told


def test_an_object_nobody_knows_is_not_written_over(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    ref = ObjectRef("raw-videos", f"videos/v-{job}/source.mp4")
    bench.put(ref, b"whose is this?")
    assert "recorded for nobody" in detail(bench.refused(job, "partial_files"), "partial_files")
    with bench.wiring.storage.read(ref) as chunks:
        assert b"".join(chunks) == b"whose is this?"


def test_an_object_of_its_own_earlier_run_that_lost_its_row_is_in_the_way(bench: Bench, url: str) -> None:
    """No run keeps what is not on record, nor writes over it: cleanup records it again first."""
    job = bench.failed(url)
    [run] = bench.store.runs(job)
    ref = ObjectRef("raw-videos", f"videos/v-{job}/source.mp4")
    bench.put(ref, b"mine", **{"ingest-run": run.id, "ingest-video": f"v-{job}"})
    check = next(c for c in bench.refused(job, "partial_files").checks if c.id == "partial_files")
    assert "ingestctl cleanup" in check.hint


def test_a_damaged_object_is_in_the_way(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    key = f"videos/v-{job}/source.mp4"
    stored_row(bench, job, key)
    bench.sql("UPDATE ingest_artifacts SET size_bytes = 1000")
    bench.put(ObjectRef("raw-videos", key), b"half of it")
    assert "in the way" in detail(bench.refused(job, "partial_files"), "partial_files")


def test_a_key_that_is_another_videos_is_refused(bench: Bench, url: str) -> None:
    job = bench.failed(url)
    stored_row(bench, job, f"videos/v-{job}/source.mp4", video="v-somebody")
    assert "v-somebody" in detail(bench.refused(job, "partial_files"), "partial_files")


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
