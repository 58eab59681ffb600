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

    from ingestctl.storage.base import UploadSession

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


def died_staging(bench: Bench, job: str, **media: tuple[bytes, bytes]) -> list[UploadSession]:
    """A worker that died; the sessions of what it had staged, of each the bytes sent and those on record."""
    lease = bench.claim(job)
    sessions = []
    for ref, kind in zip(keys(bench, job), Kind, strict=True):
        if kind.value in media:
            sent, recorded = media[kind.value]
            bench.store.reserve(lease, ref, kind)
            sessions.append(bench.wiring.storage.begin(UploadRequest(ref, f"{kind.value}/x")))
            sessions[-1].append(sent)
            digest = hashlib.sha256(recorded).hexdigest()
            facts: dict[str, Any] = {"size_bytes": len(recorded), "sha256": digest}
            bench.store.stage(lease, ref, **facts, content_type=f"{kind.value}/x")
    let_leases_run_out(bench)
    return sessions


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
    (session,) = died_staging(bench, job, video=(b"half of it", b"half of it and the rest"))
    assert bench.run(job).outcome == "succeeded"
    for bucket in (bench.wiring.buckets.video, bench.wiring.buckets.audio):
        assert list(bench.wiring.storage.unfinished(bucket)) == []
    with pytest.raises(UploadLost):
        session.publish()


@pytest.mark.parametrize("sent", [b"right bytes", b"other bytes"])
def test_bytes_are_taken_for_those_on_record_only_if_they_are(bench: Bench, job: str, sent: bytes) -> None:
    """Size and key are right, and nothing else would read them: only their SHA-256, read now, can tell."""
    audio = b"the audio"
    for session in died_staging(bench, job, video=(sent, b"right bytes"), audio=(audio, audio)):
        session.publish()
    before = stored(bench)
    outcome = bench.run(job)
    if sent == b"right bytes":
        assert [a.reused for a in outcome.artifacts] == [True, True]
    else:
        assert outcome.outcome == "failed"
        assert isinstance(outcome.error, Conflict)
    assert stored(bench) == before
