"""What every job store promises its owner: claims, the fence, transitions with their events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ingestctl.db.base import HandOff, RunError, VideoFacts
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.errors import Busy, Conflict, LostAuthority, NotFound
from ingestctl.domain.job import Phase, Status
from tests.contracts.jobstore_world import World, new_job, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.domain.job import Lease

VIDEO = ObjectRef("raw-videos", "videos/v/source.mp4")
REF = {"provider": "filesystem", "bucket": VIDEO.bucket, "key": VIDEO.key}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    # The platform's own rows are older; out of the queue, so that every database behaves alike here.
    made.sql("UPDATE jobs SET status = 'canceled' WHERE id IN ('plat-pending', 'plat-legacy')")
    yield made
    made.close()


def stored(lease: Lease, ref: ObjectRef = VIDEO) -> Artifact:
    return Artifact(
        ref, Kind.VIDEO, lease.video_id, lease.job_id, lease.run_id, ArtifactState.STORED, 7, "ab" * 32, "e1"
    )


def succeed(world: World, lease: Lease, **more: object) -> None:
    terms = {"facts": VideoFacts(), "artifacts": [stored(lease)], "storage_ref": REF}
    world.store.succeed(lease, **{**terms, **more})  # type: ignore[arg-type]


WRITES: dict[str, Callable[[World, Lease], None]] = {
    "heartbeat": lambda w, x: w.store.heartbeat(x),
    "confirm": lambda w, x: w.store.confirm(x),
    "enter_phase": lambda w, x: w.store.enter_phase(x, Phase.STORING),
    "record": lambda w, x: w.store.record(x, "ingestion.note.made", {}),
    "reserve": lambda w, x: w.store.reserve(x, ObjectRef("b", "k"), Kind.VIDEO),
    "stage": lambda w, x: w.store.stage(x, VIDEO, size_bytes=1, sha256="0", content_type="video/mp4"),
    "forget": lambda w, x: w.store.forget_artifact(x, VIDEO),
    "succeed": succeed,
    "fail": lambda w, x: w.store.fail(x, RunError("internal", "no")),
    "release": lambda w, x: w.store.release(x, reason="no"),
}


def test_submit_creates_once_per_source(world: World) -> None:
    same = source()
    first = world.store.submit(new_job("a", of=same, title="T"))
    second = world.store.submit(new_job("b", of=same))
    assert (first.created, second.created) == (True, False)
    assert second.job.id == "a"
    assert second.video.id == "v-a"
    assert world.store.video_of_source(same) == first.video
    assert world.events("a") == ["job.submitted"]
    assert world.store.job("b") is None


def test_submit_adds_a_job_to_a_video_that_has_none(world: World) -> None:
    same = source()
    world.submit("a", of=same)
    world.sql("DELETE FROM jobs WHERE id = 'a'")
    with pytest.raises(Conflict):
        world.store.submit(new_job("b", "another", of=same))
    assert world.store.submit(new_job("b", "v-a", of=same)).created


def test_claim_starts_the_next_attempt(world: World) -> None:
    world.submit("a")
    claim = world.claim("a")
    assert (claim.lease.attempt, claim.job.status, claim.job.phase) == (1, Status.RUNNING, Phase.DOWNLOADING)
    assert claim.took_over is None
    assert world.store.job("a") == claim.job
    (run,) = world.store.runs("a")
    assert (run.id, run.owner, run.status, run.lease_live) == (claim.lease.run_id, "me", "running", True)
    assert run.lease_expires_at is not None
    assert 55 < (run.lease_expires_at - world.store.now()).total_seconds() <= 60
    assert world.events("a") == ["job.submitted", "run.started"]


@pytest.mark.parametrize("by", ["id", "next"])
def test_a_live_lease_is_respected(world: World, by: str) -> None:
    world.submit("a")
    world.claim("a")
    before = world.everything()
    began = time.monotonic()
    if by == "id":
        with pytest.raises(Busy):
            world.claim("a", owner="other")
    else:
        assert world.next(owner="other") is None
    assert time.monotonic() - began < 2
    assert world.everything() == before


@pytest.mark.parametrize("by", ["id", "next"])
def test_an_expired_lease_is_taken_over(world: World, by: str) -> None:
    world.submit("a")
    old = world.expired("a")
    claim = world.claim("a") if by == "id" else world.next()
    assert claim is not None
    assert claim.lease.attempt == 2
    assert claim.took_over is not None
    assert claim.took_over.id == old.lease.run_id
    first, second = world.store.runs("a")
    assert (first.status, first.error_code, second.status) == ("failed", "worker_crashed", "running")
    assert world.events("a")[-2:] == ["run.expired", "run.started"]


@pytest.mark.parametrize("write", WRITES)
def test_after_a_takeover_every_write_of_the_old_owner_is_refused(world: World, write: str) -> None:
    world.submit("a")
    old = world.expired("a")
    new = world.claim("a")
    world.store.reserve(new.lease, VIDEO, Kind.VIDEO)
    before = world.everything()
    with pytest.raises(LostAuthority):
        WRITES[write](world, old.lease)
    assert world.everything() == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("status", ["canceled", "queued", "completed"])
def test_a_job_changed_by_the_orchestrator_is_lost_to_its_owner(
    world: World, write: str, status: str
) -> None:
    world.submit("a")
    claim = world.claim("a")
    world.sql("UPDATE jobs SET status = :s WHERE id = 'a'", s=status)
    before = world.everything()
    with pytest.raises(LostAuthority):
        WRITES[write](world, claim.lease)
    assert world.everything() == before


def test_a_late_heartbeat_revives_a_lease_nobody_took(world: World) -> None:
    world.submit("a")
    claim = world.claim("a", lease_s=0.2)
    time.sleep(0.25)
    with pytest.raises(LostAuthority):
        world.store.confirm(claim.lease)
    world.store.heartbeat(claim.lease)
    world.store.confirm(claim.lease)
    with pytest.raises(Busy):
        world.claim("a", owner="other")


def second_job(world: World, video_id: str, job_id: str) -> None:
    world.sql(
        "INSERT INTO jobs (id, video_id, type, status, queued_at, created_at, updated_at)"
        " SELECT :j, video_id, type, 'queued', queued_at, created_at, updated_at"
        " FROM jobs WHERE video_id = :v",
        j=job_id,
        v=video_id,
    )


def test_a_video_has_one_owner_whatever_its_jobs(world: World) -> None:
    world.submit("a")
    second_job(world, "v-a", "b")
    world.claim("a")
    with pytest.raises(Busy):
        world.claim("b")
    assert world.next() is None


def test_taking_the_videos_other_job_ends_the_dead_attempt_for_good(world: World) -> None:
    world.submit("a")
    second_job(world, "v-a", "b")
    zombie = world.expired("a")
    world.claim("b")
    with pytest.raises(LostAuthority):
        world.store.heartbeat(zombie.lease)
    job = world.store.job("a")
    assert job is not None
    assert job.status is Status.QUEUED
    with pytest.raises(Busy):
        world.claim("a")


@pytest.mark.parametrize("status", ["succeeded", "completed", "canceled", "cancelled", "paused"])
def test_finished_jobs_are_not_claimed(world: World, status: str) -> None:
    world.submit("a")
    world.sql("UPDATE jobs SET status = :s WHERE id = 'a'", s=status)
    with pytest.raises(Conflict):
        world.claim("a")
    assert world.next() is None


def test_other_types_are_never_touched(world: World) -> None:
    world.submit("a")
    world.sql("UPDATE jobs SET type = 'transcribe' WHERE id = 'a'")
    before = world.everything()
    with pytest.raises(Conflict):
        world.claim("a")
    with pytest.raises(Conflict):
        world.store.reset("a", expect=Status.QUEUED, actor="me", reason="x")
    with pytest.raises(Conflict):
        world.store.resolve("a")
    assert world.next() is None
    assert world.everything() == before


def test_claiming_what_is_not_there(world: World) -> None:
    with pytest.raises(NotFound):
        world.claim("nobody")
    assert world.next() is None


def test_old_words_and_unowned_jobs_are_claimable(world: World) -> None:
    for name, status in (("a", "pending"), ("b", "running"), ("c", "failed")):
        world.submit(name)
        world.sql("UPDATE jobs SET status = :s WHERE id = :j", s=status, j=name)
        if name == "b":  # the orchestrator has set it running; its container claims it by id
            assert world.next(exclude=["a"]) is None
        assert world.claim(name).job.status is Status.RUNNING


def test_a_legacy_attempt_without_a_lease_is_live_until_stale(world: World) -> None:
    world.submit("a")
    claim = world.claim("a")
    world.sql("UPDATE job_runs SET lease_expires_at = NULL WHERE id = :r", r=claim.lease.run_id)
    with pytest.raises(Busy):
        world.claim("a")
    assert world.next() is None
    time.sleep(0.05)
    taken = world.next(stale_after_s=0.01)
    assert taken is not None
    assert taken.took_over is not None


def test_claim_next_follows_the_queue(world: World) -> None:
    for name in ("c", "a", "b"):
        world.submit(name)
    for name, day in (("c", 3), ("a", 2), ("b", 2)):
        moment = f"2001-01-0{day} 00:00:00.000" + ("" if world.url.startswith("sqlite") else "+00")
        world.sql("UPDATE jobs SET queued_at = '" + moment + "' WHERE id = :j", j=name)
    world.expired("b")
    taken = [claim.job.id for claim in iter(world.next, None)]
    assert taken == ["a", "b", "c"]


def test_a_job_that_keeps_crashing_is_failed(world: World) -> None:
    world.submit("a")
    for _ in range(2):
        world.expired("a")
    assert world.next(max_attempts=2) is None
    job = world.store.job("a")
    assert job is not None
    assert (job.status, job.phase) == (Status.FAILED, None)
    assert world.events("a")[-2:] == ["run.expired", "job.failed"]
    assert world.store.reset("a", expect=Status.FAILED, actor="me", reason="fixed")
    assert world.next(max_attempts=2) is not None


def test_phases_are_written_with_their_events(world: World) -> None:
    world.submit("a")
    lease = world.claim("a").lease
    world.store.enter_phase(lease, Phase.DOWNLOADING)
    world.store.enter_phase(lease, Phase.STORING, ended={"phase": "downloading", "bytes": 5})
    job = world.store.job("a")
    assert job is not None
    assert job.phase is Phase.STORING
    *_, completed, started = world.store.events("a")
    assert completed.payload == {"attempt": 1, "phase": "downloading", "bytes": 5}
    assert (completed.event_type, started.event_type) == (
        "ingestion.phase.completed",
        "ingestion.phase.started",
    )
    assert completed.run_id == lease.run_id


def test_success_is_all_or_nothing(world: World) -> None:
    world.submit("a")
    world.submit("b")
    other = world.claim("b").lease
    world.store.reserve(other, VIDEO, Kind.VIDEO)
    lease = world.claim("a").lease
    before = world.everything()
    with pytest.raises(Conflict):  # the key is another video's
        succeed(world, lease)
    assert world.everything() == before
    mine = stored(lease, ObjectRef("b", "mine"))
    facts = VideoFacts(title="new", channel="ch", duration_ms=1500, metadata={"extractor": "x\0y\ud800"})
    world.sql("UPDATE videos SET title = 'known' WHERE id = 'v-a'")
    hand_off = HandOff("transcription", "transcription:v-a", {"x": 1})
    succeed(world, lease, artifacts=[mine], facts=facts, hand_off=hand_off, ended={"phase": "storing"})
    job, video = world.store.job("a"), world.store.video("v-a")
    assert job is not None
    assert video is not None
    assert (job.status, job.phase, job.error_message) == (Status.SUCCEEDED, None, None)
    assert (video.title, video.channel, video.duration_ms) == ("known", "ch", 1500)
    assert video.metadata["ingest"] == {"extractor": "x\ufffdy\ufffd"}
    assert (video.storage_bucket, video.storage_key, video.storage_ref) == (VIDEO.bucket, VIDEO.key, REF)
    (row,) = world.store.artifacts("v-a")
    assert (row.state, row.sha256, row.size_bytes) == (ArtifactState.STORED, "ab" * 32, 7)
    assert world.events("a")[-2:] == ["phase.completed", "job.succeeded"]
    (made,) = world.sql("SELECT * FROM jobs WHERE idempotency_key = 'transcription:v-a'")
    assert (made["type"], made["status"], made["video_id"]) == ("transcription", "queued", "v-a")
    with pytest.raises(LostAuthority):
        world.store.fail(lease, RunError("internal", "x"))


def test_the_hand_off_is_created_once(world: World) -> None:
    world.submit("a")
    for _ in range(2):
        lease = world.claim("a").lease
        succeed(world, lease, hand_off=HandOff("transcription", "transcription:k", {}))
        world.store.reset("a", expect=Status.SUCCEEDED, actor="me", reason="again")
    assert len(world.sql("SELECT id FROM jobs WHERE idempotency_key = 'transcription:k'")) == 1


def test_failure_and_release(world: World) -> None:
    world.submit("a")
    world.store.fail(world.claim("a").lease, RunError("rate_limited", "429", {"evidence": ["x"]}))
    job = world.store.job("a")
    assert job is not None
    assert (job.status, job.phase, job.error_message) == (Status.FAILED, None, "429")
    assert job.finished_at is not None
    (run,) = world.store.runs("a")
    assert (run.error_code, run.error_details, run.lease_live) == ("rate_limited", {"evidence": ["x"]}, False)
    assert world.next() is None  # failed jobs wait for an operator
    world.store.release(world.claim("a").lease, reason="SIGTERM")
    job = world.store.job("a")
    assert job is not None
    assert (job.status, job.phase, job.error_message) == (Status.QUEUED, None, None)
    assert world.store.runs("a")[1].error_code == "interrupted"
    assert world.events("a")[-1] == "job.released"
    assert world.next() is not None


def test_artifact_rows_follow_their_key(world: World) -> None:
    world.submit("a")
    world.submit("b")
    first, other = world.claim("a").lease, world.claim("b").lease
    with pytest.raises(Conflict):
        world.store.stage(first, VIDEO, size_bytes=1, sha256="0", content_type="video/mp4")
    world.store.reserve(first, VIDEO, Kind.VIDEO)
    world.store.reserve(first, VIDEO, Kind.VIDEO)
    with pytest.raises(Conflict):
        world.store.reserve(other, VIDEO, Kind.VIDEO)
    with pytest.raises(Conflict):
        world.store.reserve(first, VIDEO, Kind.AUDIO)
    world.store.stage(first, VIDEO, size_bytes=2**40, sha256="ff", content_type="video/mp4")
    world.store.reserve(first, VIDEO, Kind.VIDEO)
    (row,) = world.store.artifacts("v-a")
    assert (row.state, row.size_bytes, row.sha256) == (ArtifactState.STAGED, 2**40, "ff")
    world.store.forget_artifact(other, VIDEO)
    assert world.store.artifacts("v-a")
    world.store.forget_artifact(first, VIDEO)
    assert not world.store.artifacts("v-a")


def test_reset(world: World) -> None:
    world.submit("a")
    reset = {"actor": "op", "reason": "why"}
    assert world.store.reset("a", expect=Status.FAILED, **reset) is False
    claim = world.claim("a")
    with pytest.raises(Busy):
        world.store.reset("a", expect=Status.RUNNING, **reset)
    world.store.fail(claim.lease, RunError("internal", "x"))
    with pytest.raises(Conflict):
        world.store.reset("a", expect=Status.SUCCEEDED, **reset)
    assert world.store.reset("a", expect=Status.FAILED, details={"n": 1}, **reset) is True
    job = world.store.job("a")
    assert job is not None
    assert (job.status, job.error_message, job.finished_at) == (Status.QUEUED, None, None)
    said = world.store.events("a")[-1]
    assert said.event_type == "ingestion.job.requeued"
    assert said.payload == {"actor": "op", "reason": "why", "from": "failed", "details": {"n": 1}}
    zombie = world.expired("a")
    assert world.store.reset("a", expect=Status.RUNNING, **reset) is True
    with pytest.raises(LostAuthority):
        world.store.heartbeat(zombie.lease)
    with pytest.raises(NotFound):
        world.store.reset("nobody", expect=Status.FAILED, **reset)


def test_resubmitted_is_said_once(world: World) -> None:
    world.submit("a")
    for number, new in ((1, True), (1, False), (2, True)):
        assert world.store.resubmitted("a", external_id=f"retry:a:{number}", payload={"as": "b"}) is new
    said = [e.payload for e in world.store.events("a") if e.event_type == "ingestion.job.resubmitted"]
    assert said == [{"external_id": f"retry:a:{number}", "as": "b"} for number in (1, 2)]
    with pytest.raises(NotFound):
        world.store.resubmitted("nobody", external_id="x", payload={})
