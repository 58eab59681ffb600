"""The checklist before a retry, check by check, on real parts; and that a refusal changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ingestctl.db.base import RunError
from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.errors import Exit
from ingestctl.domain.job import Status
from ingestctl.ops.retry import RetryOutcome
from ingestctl.storage.base import UploadRequest
from tests.integration.retry_bench import Bench, detail
from tests.integration.retry_bench import bench as bench
from tests.integration.retry_bench import url as url

if TYPE_CHECKING:
    from tests.media_samples import Samples
    from tests.services.source import SourceServer


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
