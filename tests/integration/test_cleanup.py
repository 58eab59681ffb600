"""Cleanup on a folder and on a real S3 server: what it removes, and above all what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import Conflict, Exit, NotFound, StorageUnavailable
from ingestctl.domain.job import Status
from ingestctl.domain.plan import Action, Plan
from ingestctl.domain.verification import Level
from ingestctl.ops.proof import Proof
from ingestctl.storage.base import UploadRequest
from tests.integration.cleanup_world import AUDIO, BROKEN, VIDEO, Refusing, Site, key, make_place, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.job import Job


@pytest.fixture(params=["folder", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    place = make_place(request, tmp_path, request.param)
    yield Site(place)
    place.world.close()
    place.storage.close()


def actions(plan: Plan) -> dict[str, str]:
    return {item.subject.value: item.action.value for item in plan.items}


# --- what it does


def test_broken_audio_goes_into_quarantine_and_the_job_back_in_the_queue(site: Site) -> None:
    job = site.with_bad_audio()
    plan = site.plan(job)
    assert actions(plan) == {"video": "keep", "audio": "quarantine", "record": "keep"}
    before = site.objects()
    done = site.clean(job)
    assert done.exit is Exit.DONE
    assert done.error is None
    assert done.reset
    waiting = f"audio:quarantine/{done.incident}/videos/{job.video_id}/audio.wav"
    assert site.objects() == {key(job, "source.mp4"): VIDEO, waiting: BROKEN}
    assert set(before.values()) == set(site.objects().values()), "nothing is lost"
    assert site.rows() == [("source.mp4", "stored")]
    assert site.status(job) == "queued"
    incident = site.store.incident(done.incident)
    assert (incident.status, incident.reason, incident.actor) == ("closed", "it is broken", "op@host")
    assert site.entries(done.incident) == ["begun", "copied", "done", "closed"]
    requeued = site.store.events(job.id)[-2]
    assert requeued.event_type == "ingestion.job.requeued"
    assert requeued.payload["actor"] == "op@host"
    assert requeued.payload["details"] == {"incident": done.incident}
    copy = site.place.storage.stat(ObjectRef(site.place.buckets.audio, waiting.removeprefix("audio:")))
    assert copy is not None
    assert copy.metadata is not None
    assert copy.metadata["ingest-incident"] == done.incident
    assert copy.metadata["ingest-quarantined-from"] == f"videos/{job.video_id}/audio.wav"


def test_nothing_to_do_changes_nothing(site: Site) -> None:
    job = site.ingested()
    plan = site.plan(job)
    assert not plan.changes
    everything = site.place.world.everything()
    assert site.cleaner().apply(plan, reason="x") == []
    assert site.place.world.everything() == everything
    assert site.store.incidents() == []


def test_purge_deletes(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job, purge=True)
    assert done.error is None
    assert [a.outcome for a in done.applied] == ["deleted"]
    assert site.objects() == {key(job, "source.mp4"): VIDEO}
    with pytest.raises(NotFound):
        site.quarantine().undo_plan(str(done.incident))


def test_no_reset_leaves_the_status(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job, reset=False)
    assert (done.reset, site.status(job)) == (False, "succeeded")


def test_a_canceled_job_stays_canceled(site: Site) -> None:
    job = site.with_bad_audio()
    site.place.world.sql("UPDATE jobs SET status = 'canceled' WHERE id = :id", id=job.id)
    done = site.clean(job)
    assert (done.error, done.reset, site.status(job)) == (None, False, "canceled")


def test_a_missing_object_is_forgotten(site: Site) -> None:
    job = site.ingested()
    site.place.remove(site.place.refs(job)[0])
    done = site.clean(job)
    assert [a.outcome for a in done.applied] == ["forgotten"]
    assert site.rows() == [("audio.wav", "stored")]
    assert site.objects() == {key(job, "audio.wav"): AUDIO}
    assert site.status(job) == "queued"


def test_an_unfinished_upload_is_aborted_and_nothing_else(site: Site) -> None:
    job, other = site.ingested(), site.ingested()
    for one in (job, other):
        session = site.place.storage.begin(UploadRequest(site.place.refs(one)[0], "video/mp4"))
        session.append(b"x" * 100)
    before = site.objects()
    done = site.clean(job)
    assert [a.outcome for a in done.applied] == ["aborted"]
    assert site.objects() == before
    assert site.unfinished() == [f"videos/{other.video_id}/source.mp4"]


def test_a_record_that_is_gone_is_made_again_from_objects_that_name_this_video(site: Site) -> None:
    from tests.media_samples import Samples

    media = Samples(site.place.scratch.parent / "media", seconds=2)
    wav = ("-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", "-bitexact", "-map_metadata", "-1")
    audio = media.ffmpeg("a.wav", "-i", str(media.mp4()), "-vn", *wav).read_bytes()
    job = site.place.ingested(media.mp4().read_bytes(), audio)
    site.place.world.sql("DELETE FROM ingest_artifacts WHERE video_id = :id", id=job.video_id)
    site.place.world.sql("UPDATE videos SET storage_ref = NULL WHERE id = :id", id=job.video_id)
    before = site.objects()
    plan = site.plan(job)
    assert actions(plan) == {"video": "adopt", "audio": "adopt", "record": "adopt"}
    done = site.clean(job)
    assert done.error is None
    assert site.objects() == before
    assert site.rows() == [("audio.wav", "staged"), ("source.mp4", "staged")]
    assert site.status(job) == "queued"


# --- what it never touches


def test_unknown_is_never_touched(site: Site) -> None:
    job = site.with_bad_audio()
    before = site.objects()
    site.storage = Refusing(site.place.storage, "read")  # type: ignore[assignment]
    for terms in ({}, {"include_valid": True}, {"purge": True, "level": Level.DECODE}):
        plan = site.plan(job, **terms)
        assert refused(plan) >= {"video", "audio"}
        assert not plan.destroyed
    assert site.objects() == before


def test_intact_media_goes_only_when_asked_for_by_id(site: Site) -> None:
    job, other = site.ingested(), site.ingested()
    before = site.objects()
    assert site.plan(job, other).changes == ()
    done = site.clean(job, include_valid=True)
    assert done.error is None
    after = site.objects()
    assert {k: v for k, v in after.items() if other.video_id in k} == {
        k: v for k, v in before.items() if other.video_id in k
    }
    assert sorted(after.values()) == sorted(before.values())
    assert key(job, "source.mp4") not in after


def test_a_foreign_object_is_refused_without_its_id(site: Site) -> None:
    job = site.place.submit()
    ref = site.place.refs(job)[0]
    site.place.put(ref, b"somebody's bytes", "video/mp4", **{"ingest-video": "v-unheard-of"})
    plan = site.plan(job)
    assert refused(plan) == {"video"}
    assert not plan.destroyed
    assert site.objects() == {key(job, "source.mp4"): b"somebody's bytes"}
    done = site.clean(job, include_valid=True)
    assert [a.outcome for a in done.applied] == ["quarantined"]


def test_what_is_recorded_for_another_video_is_never_touched(site: Site) -> None:
    victim, job = site.ingested(), site.place.submit()
    video, audio = site.place.refs(victim)
    where = {
        "video": {"bucket": video.bucket, "object_key": video.key},
        "audio": {"bucket": audio.bucket, "object_key": audio.key},
    }
    _set_payload(site, job, {**job.payload, "artifacts": where})
    before, rows = site.objects(), site.rows()
    for terms in ({}, {"include_valid": True}, {"include_valid": True, "purge": True}):
        plan = site.plan(job, **terms)
        assert refused(plan) >= {"video", "audio"}
        assert plan.changes == ()
    assert (site.objects(), site.rows()) == (before, rows)


def test_an_upload_source_is_never_touched(site: Site) -> None:
    job = site.place.submit()
    ref = ObjectRef(site.place.buckets.uploads, "incoming/film.mp4")
    info = site.place.put(ref, b"the only copy", "video/mp4")
    where = {"video": {"bucket": ref.bucket, "object_key": ref.key}}
    _set_payload(site, job, {**job.payload, "artifacts": where})
    plan = site.plan(job, include_valid=True, purge=True)
    assert not plan.destroyed
    assert site.place.storage.stat(ref) == info


def _set_payload(site: Site, job: Job, payload: object) -> None:
    import json

    cast = "CAST(:p AS JSONB)" if site.place.s3 else ":p"
    site.place.world.sql(f"UPDATE jobs SET payload = {cast} WHERE id = :id", p=json.dumps(payload), id=job.id)


def test_a_live_job_is_refused(site: Site) -> None:
    job = site.with_bad_audio()
    plan = site.plan(job)
    site.store.reset(job.id, expect=Status.SUCCEEDED, actor="op", reason="again")
    site.place.world.claim(job.id)
    before = site.objects()
    with pytest.raises(Conflict, match="live"):
        site.plan(job)
    (done,) = site.cleaner().apply(plan, reason="x")
    assert done.exit is Exit.CONFLICT
    assert site.objects() == before
    assert site.store.incidents() == []


def test_a_claim_between_plan_and_hold_is_seen_by_the_hold(site: Site) -> None:
    job = site.with_bad_audio()
    site.store.reset(job.id, expect=Status.SUCCEEDED, actor="op", reason="again")
    cleaner, plan = site.cleaner(), site.plan(job)
    again = cleaner._planner.again

    def then_claimed(*arguments: object) -> object:
        survey = again(*arguments)  # type: ignore[arg-type]
        site.place.world.claim(job.id)
        return survey

    cleaner._planner.again = then_claimed  # type: ignore[method-assign, assignment]
    before = site.objects()
    (done,) = cleaner.apply(plan, reason="x")
    assert isinstance(done.error, Conflict)
    assert site.objects() == before
    assert site.store.incidents() == []


def test_a_store_that_lost_everything_looks_like_an_outage(site: Site) -> None:
    jobs = [site.ingested() for _ in range(5)]
    rows = site.rows()
    for job in jobs:
        site.place.remove(site.place.refs(job)[0])
    with pytest.raises(StorageUnavailable, match="outage"):
        site.plan(jobs[2])
    assert site.rows() == rows


def test_one_loss_among_many_is_no_outage(site: Site) -> None:
    jobs = [site.ingested() for _ in range(5)]
    site.place.remove(site.place.refs(jobs[2])[0])
    assert site.clean(jobs[2]).error is None


def test_a_proof_cannot_be_made_up(site: Site) -> None:
    job = site.ingested()
    info = site.place.storage.stat(site.place.refs(job)[0])
    assert info is not None
    with pytest.raises(TypeError, match="looking at the object"):
        Proof(info, "the database says so", object())


def test_a_batch_speaks_once_for_each_video(site: Site) -> None:
    jobs = [site.with_bad_audio(), site.ingested(), site.with_bad_audio()]
    plan = site.plan(*jobs)
    assert plan.job_ids == (jobs[0].id, jobs[2].id)
    done = site.cleaner().apply(plan, reason="x")
    assert [d.error for d in done] == [None, None]
    assert sum(i.action is Action.QUARANTINE for d in done for i in d.plan.items) == 2
    assert sorted(site.objects().values()) == sorted([VIDEO, BROKEN, VIDEO, AUDIO, VIDEO, BROKEN])


def test_a_plan_of_which_one_part_is_stale_is_not_applied_at_all(site: Site) -> None:
    jobs = [site.with_bad_audio(), site.with_bad_audio(), site.with_bad_audio()]
    plan = site.plan(*jobs)
    site.place.rewrite(site.place.refs(jobs[2])[1], AUDIO)  # put right by hand meanwhile
    before, rows = site.objects(), site.rows()
    done = site.cleaner().apply(plan, reason="x")
    assert [(d.job_id, d.exit) for d in done] == [(jobs[2].id, Exit.CONFLICT)]
    assert "nothing was done" in str(done[0].error)
    assert (site.objects(), site.rows(), site.store.incidents()) == (before, rows, [])
    assert [site.status(job) for job in jobs] == ["succeeded"] * 3


def test_what_was_applied_before_does_not_keep_the_rest_of_a_plan_from_being_applied(site: Site) -> None:
    jobs = [site.with_bad_audio(), site.with_bad_audio()]
    plan = site.plan(*jobs)
    site.cleaner().apply(plan.of_job(jobs[0].id), reason="x")
    done = site.cleaner().apply(plan, reason="x")
    assert [(d.error, d.before, len(d.applied)) for d in done] == [(None, True, 0), (None, False, 1)]
    assert all(d.before for d in site.cleaner().apply(plan, reason="x"))


def test_undo_keeps_the_next_worker_from_what_it_puts_back(site: Site) -> None:
    job = site.with_bad_audio()
    before = site.objects()
    done = site.clean(job)
    assert site.status(job) == "queued"
    undone = site.undo(done.incident)
    assert (undone.status, site.status(job), site.objects()) == (Status.SUCCEEDED, "succeeded", before)
    again = site.undo(done.incident)
    assert (again.before, again.applied, site.status(job)) == (True, (), "succeeded")


def test_undo_leaves_the_status_of_a_job_that_was_tried_since(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job)
    site.store.release(site.place.world.claim(job.id).lease, reason="x")
    undone = site.undo(done.incident)
    assert (undone.error, undone.status, site.status(job)) == (None, Status.QUEUED, "queued")
