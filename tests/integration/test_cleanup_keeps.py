"""Valid media that a wrong word elsewhere in the record made look like rubbish: its bytes are still there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.errors import Conflict
from ingestctl.domain.stop import Stop
from ingestctl.domain.verification import Level
from ingestctl.ops.audit import FleetAudit
from ingestctl.pipeline.evidence import look
from tests.integration.cleanup_world import BROKEN, VIDEO, Site, key, make_place, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.job import Job
    from ingestctl.domain.plan import Plan


@pytest.fixture(params=["folder", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    place = make_place(request, tmp_path, request.param)
    yield Site(place)
    place.world.close()
    place.storage.close()


def points(site: Site, job: Job, ref: ObjectRef, how: str, **more: object) -> None:
    """Let the row of the job's video name this object."""
    if how == "legacy":
        words = "storage_bucket = :b, storage_key = :k"
        site.place.world.sql(
            f"UPDATE videos SET {words} WHERE id = :id", b=ref.bucket, k=ref.key, id=job.video_id
        )
        return
    value = json.dumps({"provider": "s3", "bucket": ref.bucket, "key": ref.key, **more})
    cast = "CAST(:p AS JSONB)" if site.place.s3 else ":p"
    site.place.world.sql(f"UPDATE videos SET storage_ref = {cast} WHERE id = :id", p=value, id=job.video_id)


def actions(plan: Plan) -> dict[str, str]:
    return {item.subject.value: item.action.value for item in plan.items}


ALL_TERMS = ({}, {"purge": True}, {"include_valid": True}, {"include_valid": True, "purge": True})


@pytest.mark.parametrize("how", ["legacy", "storage_ref"])
@pytest.mark.parametrize("first", [True, False], ids=["named-first", "named-last"])
def test_an_object_that_another_video_names_too_is_never_touched(site: Site, how: str, first: bool) -> None:
    """Whichever of the two rows the database tells first."""
    one, two = site.ingested(), site.ingested()
    job, other = (two, one) if first else (one, two)
    ref = site.place.refs(job)[0]
    points(site, other, ref, how)
    site.place.rewrite(ref, BROKEN)  # to the job's record; to the other video it may be the only copy
    before, rows = site.objects(), site.rows()
    for terms in ALL_TERMS:
        plan = site.plan(job, **terms)
        assert refused(plan) == {"video"}
        assert other.video_id in next(r.reason for r in plan.refusals)
        site.cleaner().apply(plan, reason="x")
        assert site.objects()[key(job, "source.mp4")] == before[key(job, "source.mp4")]
    assert set(site.objects().values()) == set(before.values())
    assert set(site.rows()) <= set(rows)


def test_an_object_that_only_anothers_storage_ref_names_is_foreign_and_no_orphan(site: Site) -> None:
    other, job = site.place.submit(), site.place.submit()
    ref = site.place.refs(job)[0]
    site.place.put(ref, VIDEO, "video/mp4")
    points(site, other, ref, "storage_ref")
    found = site.place.look(job, Level.CHECKSUM).findings[0]
    assert (found.verdict, other.video_id in found.evidence) == ("foreign", True)
    for terms in ALL_TERMS:
        assert not site.plan(job, **terms).destroyed
    place = site.place
    report = FleetAudit(site.store, place.storage, place.verifier(), place.buckets, Stop()).run()
    assert (report.orphans, report.bad) == (0, [])
    assert site.objects() == {key(job, "source.mp4"): VIDEO}


def test_an_object_that_only_anothers_payload_names_is_never_touched(site: Site) -> None:
    """A queued job of another video that was told to keep its audio there."""
    other, job = site.place.submit(), site.ingested()
    ref = site.place.refs(job)[1]
    said = json.dumps({"artifacts": {"audio": {"bucket": ref.bucket, "object_key": ref.key}}})
    cast = "CAST(:p AS JSONB)" if site.place.s3 else ":p"
    site.place.world.sql(f"UPDATE jobs SET payload = {cast} WHERE id = :id", p=said, id=other.id)
    before = site.objects()
    for terms in ALL_TERMS:
        plan = site.plan(job, **terms)
        assert actions(plan).get("audio", "keep") == "keep"
        site.cleaner().apply(plan, reason="x")
        assert site.objects()[key(job, "audio.wav")] == before[key(job, "audio.wav")]
    assert other.video_id in next(r.reason for r in plan.refusals)


@pytest.mark.parametrize("size", [1, 10**9])
@pytest.mark.parametrize("rows", [True, False], ids=["row", "legacy"])
def test_a_wrong_size_on_record_condemns_no_bytes_with_the_recorded_checksum(
    site: Site, size: int, rows: bool
) -> None:
    job = site.ingested()
    ref = site.place.refs(job)[0]
    sha = next(r.sha256 for r in site.store.artifacts(job.video_id) if r.ref == ref)
    points(site, job, ref, "storage_ref", size_bytes=size, checksum=f"sha256:{sha}")
    if rows:
        site.place.row(ref, size_bytes=size)
    else:
        site.place.world.sql("DELETE FROM ingest_artifacts WHERE key = :k", k=ref.key)
    before = site.objects()
    quick, found = (site.place.look(job, level) for level in (Level.EXISTS, Level.CHECKSUM))
    assert quick.findings[0].verdict == ("corrupt" if size == 1 else "partial")
    assert [f.verdict.value for f in found.findings] == ["intact", "intact", "corrupt"]
    assert str(size) in found.findings[2].evidence
    video = site.store.video(job.video_id)
    kept = look(site.place.storage, ref, Kind.VIDEO, video, site.store.artifacts(job.video_id), Stop())
    assert kept is not None
    assert kept.artifact.size_bytes == len(VIDEO)
    for level in (Level.EXISTS, Level.CHECKSUM):
        assert actions(site.plan(job, level=level, purge=True))["video"] == "keep"
    done = site.clean(job, level=Level.EXISTS, purge=True)
    assert (done.error, done.reset, site.objects()) == (None, True, before)


def test_bytes_that_are_not_those_on_record_are_condemned_whatever_their_size(site: Site) -> None:
    job = site.ingested()
    ref = site.place.refs(job)[0]
    site.place.rewrite(ref, VIDEO[:-5])
    assert site.place.look(job, Level.CHECKSUM).findings[0].verdict == "partial"
    done = site.clean(job, level=Level.EXISTS, purge=True)
    assert [a.outcome for a in done.applied] == ["deleted"]


@pytest.mark.parametrize("label", ["type", "kind"])
def test_a_wrong_label_on_the_recorded_bytes_is_set_aside_and_never_purged(site: Site, label: str) -> None:
    job = site.ingested()
    ref = site.place.refs(job)[0]
    if label == "type":
        site.place.row(ref, content_type="video/webm")
    else:
        site.place.remove(ref)
        info = site.place.put(ref, VIDEO, "video/mp4", **{"ingest-kind": "audio"})
        site.place.row(ref, etag=info.etag)
    found = site.place.look(job, Level.CHECKSUM).findings[0]
    assert (found.verdict.value, found.bytes_intact) == ("corrupt", True)
    plan = site.plan(job, purge=True)
    assert actions(plan)["video"] == "quarantine"
    assert "not purged" in next(i.reason for i in plan.changes if i.subject == "video")
    (done,) = site.cleaner().apply(plan, reason="x")
    assert (done.error, "deleted" in {a.outcome for a in done.applied}) == (None, False)
    assert site.objects()[f"video:quarantine/{done.incident}/{ref.key}"] == VIDEO
    site.undo(done.incident)
    assert site.objects()[key(job, "source.mp4")] == VIDEO


def test_a_purge_planned_before_the_bytes_were_known_to_be_those_on_record_is_refused(site: Site) -> None:
    """A plan that condemns the object by name, and a record that is put right before it is applied."""
    job = site.ingested()
    ref = site.place.refs(job)[0]
    right = next(r.sha256 for r in site.store.artifacts(job.video_id) if r.ref == ref)
    site.place.row(ref, sha256="0" * 64, content_type="video/webm")
    plan = site.plan(job, purge=True)
    assert actions(plan)["video"] == "delete"
    site.place.row(ref, sha256=right)
    (done,) = site.cleaner().apply(plan, reason="x")
    assert isinstance(done.error, Conflict)
    assert site.objects()[key(job, "source.mp4")] == VIDEO
