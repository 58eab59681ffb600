"""Guards of one run that stand behind others: each is tried alone, with the others out of its way."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.errors import Conflict, LostAuthority, UploadLost
from ingestctl.storage.base import UploadRequest
from tests.integration.retry_bench import Bench, bench
from tests.media_samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bench"]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Samples(tmp_path_factory.mktemp("media"), seconds=1).mp4()


@pytest.fixture
def job(bench: Bench, media: Path) -> str:
    return bench.wiring.submitter().submit(str(media)).job.id


def keys(bench: Bench, job: str) -> tuple[ObjectRef, ObjectRef]:
    found, buckets = bench.store.job(job), bench.wiring.buckets
    assert found is not None
    folder = f"videos/{found.video_id}"
    return ObjectRef(buckets.video, f"{folder}/source.mp4"), ObjectRef(buckets.audio, f"{folder}/audio.wav")


def stored(bench: Bench) -> list[str]:
    buckets = (bench.wiring.buckets.video, bench.wiring.buckets.audio)
    return [str(info.ref) for bucket in buckets for info in bench.wiring.storage.list_objects(bucket)]


def let_leases_run_out(bench: Bench) -> None:
    bench.sql("UPDATE job_runs SET lease_expires_at = started_at WHERE status = 'running'")


def died_staging(bench: Bench, job: str, body: bytes, recorded: bytes) -> Any:
    """A worker that died with the original's bytes staged, and its session for them."""
    video, _ = keys(bench, job)
    lease = bench.claim(job)
    bench.store.reserve(lease, video, Kind.VIDEO)
    session = bench.wiring.storage.begin(UploadRequest(video, "video/mp4"))
    session.append(body)
    facts: dict[str, Any] = {"size_bytes": len(recorded), "sha256": hashlib.sha256(recorded).hexdigest()}
    bench.store.stage(lease, video, **facts, content_type="video/mp4")
    let_leases_run_out(bench)
    return session


def test_a_lease_that_runs_out_before_the_publication_publishes_nothing(
    bench: Bench, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has taken over, so the database's fence still lets it write: only a look at the lease tells."""
    stage = bench.store.stage

    def staged_and_late(*args: Any, **facts: Any) -> None:
        stage(*args, **facts)
        let_leases_run_out(bench)

    monkeypatch.setattr(bench.store, "stage", staged_and_late)
    outcome = bench.run(job)
    assert outcome.outcome == "busy"
    assert isinstance(outcome.error, LostAuthority)
    assert stored(bench) == []


def test_a_predecessors_session_is_ended_before_the_next_run_goes_on(bench: Bench, job: str) -> None:
    session = died_staging(bench, job, b"half of it", b"half of it and the rest")
    assert bench.run(job).outcome == "succeeded"
    for bucket in (bench.wiring.buckets.video, bench.wiring.buckets.audio):
        assert list(bench.wiring.storage.unfinished(bucket)) == []
    with pytest.raises(UploadLost):
        session.publish()


def test_bytes_that_are_not_those_on_record_are_not_taken_for_them(bench: Bench, job: str) -> None:
    """Size and key are right; only the bytes, read now, can tell."""
    died_staging(bench, job, b"other bytes", b"right bytes").publish()
    before = stored(bench)
    outcome = bench.run(job)
    assert outcome.outcome == "failed"
    assert isinstance(outcome.error, Conflict)
    assert stored(bench) == before


def test_bytes_that_are_those_on_record_are_kept(bench: Bench, job: str, media: Path) -> None:
    body = media.read_bytes()
    died_staging(bench, job, body, body).publish()
    outcome = bench.run(job)
    assert {a.kind: a.reused for a in outcome.artifacts} == {Kind.VIDEO: True, Kind.AUDIO: False}
