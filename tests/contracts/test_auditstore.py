"""The auditor's side of the job store, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import JobFilter
from ingestctl.db.operator import Checked
from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.source import Source, SourceKind, source_of_url
from ingestctl.domain.verification import Level
from tests.contracts.jobstore_world import World
from tests.contracts.test_factstore import with_option

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL = JobFilter()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    made.sql("DELETE FROM videos")  # those of the platform's database
    yield made
    made.close()


def put(
    world: World,
    bucket: str,
    key: str,
    *,
    kind: str = "video",
    video: str = "v",
    state: str = "stored",
    sha: str | None = None,
) -> ObjectRef:
    world.sql(
        "INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, sha256) "
        "VALUES (:bucket, :key, :kind, :video, 'j', 'r', :state, :sha)",
        bucket=bucket, key=key, kind=kind, video=video, state=state, sha=sha,
    )  # fmt: skip
    return ObjectRef(bucket, key)


def done(world: World, job_id: str, *, rows: bool = True) -> str:
    """A succeeded job, with both rows or none."""
    world.submit(job_id)
    world.sql("UPDATE jobs SET status = 'succeeded' WHERE id = :id", id=job_id)
    if rows:
        put(world, "videos", f"{job_id}/v", video=f"v-{job_id}")
        put(world, "audio", f"{job_id}/a", kind="audio", video=f"v-{job_id}")
    return job_id


def verified(world: World, job_id: str, *, days_ago: int) -> None:
    at = world.store.now() - timedelta(days=days_ago)
    text = at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    stamp = text if world.url.startswith("sqlite") else f"{text}+00:00"
    cast = ":at" if world.url.startswith("sqlite") else "CAST(:at AS timestamptz)"
    world.sql(
        f"UPDATE ingest_artifacts SET verified_at = {cast} WHERE video_id = :v", at=stamp, v=f"v-{job_id}"
    )


def test_buckets_are_told_once_each(world: World) -> None:
    assert list(world.store.artifact_buckets()) == []
    for bucket, key in (("b", "1"), ("B", "1"), ("b", "2"), ("a-b", "1"), ("a", "9")):
        put(world, bucket, key)
    assert list(world.store.artifact_buckets()) == ["B", "a", "a-b", "b"]


def test_artifacts_come_in_the_byte_order_of_listings(world: World) -> None:
    keys = ["a b", "a/b", "a-b", "ab", "B", "é", "z", "\U0001f600", "\uffee", "a.b", "Z", "a"]
    for key in keys:
        put(world, "b", key)
    put(world, "other", "a")
    in_order = sorted(keys, key=str.encode)
    for batch in (1, 5, 1000):
        assert [a.ref.key for a in world.store.scan_artifacts("b", batch=batch)] == in_order
    assert [a.ref.key for a in world.store.scan_artifacts("b", start_after="a/b")] == in_order[
        in_order.index("a/b") + 1 :
    ]


def test_unrecorded_jobs_are_those_without_a_stored_row_of_each(world: World) -> None:
    done(world, "whole")
    done(world, "bare", rows=False)
    done(world, "half", rows=False)
    put(world, "videos", "half/v", video="v-half")
    done(world, "reserved", rows=False)
    put(world, "videos", "reserved/v", video="v-reserved")
    put(world, "audio", "reserved/a", kind="audio", video="v-reserved", state="reserved")
    world.submit("queued")
    for batch in (1, 1000):
        assert [r.job.id for r in world.store.scan_unrecorded(ALL, batch=batch)] == [
            "bare",
            "half",
            "reserved",
        ]
    assert [r.job.id for r in world.store.scan_unrecorded(JobFilter(video_id="v-half"))] == ["half"]


@pytest.mark.parametrize("batch", [1, 2, 200])
def test_the_least_verified_come_first(world: World, batch: int) -> None:
    for name, days in (("fresh", 1), ("old", 40), ("older", 60), ("never", None), ("untold", None)):
        done(world, name)
        if days:
            verified(world, name, days_ago=days)
    done(world, "bare", rows=False)
    world.submit("queued")
    month_ago = world.store.now() - timedelta(days=30)
    order = [r.job.id for r in world.store.scan_least_verified(ALL, verified_before=month_ago, batch=batch)]
    assert order == ["never", "untold", "older", "old", "bare"]


@pytest.mark.parametrize("which", ["videos", "audio"])
def test_a_job_of_which_one_object_was_never_verified_comes_once(world: World, which: str) -> None:
    done(world, "half")
    verified(world, "half", days_ago=60)
    world.sql("UPDATE ingest_artifacts SET verified_at = NULL WHERE bucket = :b", b=which)
    done(world, "never")
    soon = world.store.now() + timedelta(days=1)
    found = [r.job.id for r in world.store.scan_least_verified(ALL, verified_before=soon, batch=1)]
    assert sorted(found) == ["half", "never"]


def test_what_is_verified_during_a_scan_is_not_seen_again(world: World) -> None:
    for name in "abcd":
        done(world, name)
    seen = []
    for row in world.store.scan_least_verified(ALL, verified_before=world.store.now(), batch=1):
        seen.append(row.job.id)
        refs = [a.ref for a in world.store.artifacts(row.job.video_id)]
        world.store.record_checks([Checked(ref, Verdict.INTACT, Level.EXISTS) for ref in refs])
    assert seen == ["a", "b", "c", "d"]


def test_objects_are_found_by_name(world: World) -> None:
    one = put(world, "b", "k1", video="v1")
    two = put(world, "c", "k1", video="v2")
    found = world.store.artifacts_at([one, two, ObjectRef("b", "nothing"), ObjectRef("c", "k2")])
    assert {ref: a.video_id for ref, a in found.items()} == {one: "v1", two: "v2"}
    many = [put(world, "m", f"{n:04}") for n in range(1200)]
    assert set(world.store.artifacts_at(many)) == set(many)


def test_video_rows_are_found_by_the_object_they_point_to(world: World) -> None:
    world.submit("a")
    world.sql("UPDATE videos SET storage_bucket = 'b', storage_key = 'k' WHERE id = 'v-a'")
    ref = ObjectRef("b", "k")
    assert world.store.videos_of_keys([ref, ObjectRef("other", "k")]) == {ref: ["v-a"]}
    assert not world.store.videos_of_keys([])


def points(world: World, job_id: str, value: str) -> None:
    """Let a new video's storage_ref hold this JSON."""
    world.submit(job_id)
    cast = ":p" if world.url.startswith("sqlite") else "CAST(:p AS JSONB)"
    world.sql(f"UPDATE videos SET storage_ref = {cast} WHERE id = :id", p=value, id=f"v-{job_id}")


def test_every_video_that_points_to_an_object_is_told_by_either_pointer(world: World) -> None:
    points(world, "c", '{"bucket": "b", "key": "k", "provider": "s3"}')
    points(world, "d", '{"bucket": "b", "key": "other"}')
    for name in ("b", "a", "d"):
        if name != "d":
            world.submit(name)
        world.sql("UPDATE videos SET storage_bucket = 'b', storage_key = 'k' WHERE id = :v", v=f"v-{name}")
    found = world.store.videos_of_keys([ObjectRef("b", "k"), ObjectRef("b", "other"), ObjectRef("k", "b")])
    assert found == {ObjectRef("b", "k"): ["v-a", "v-b", "v-c", "v-d"], ObjectRef("b", "other"): ["v-d"]}


def test_what_others_wrote_in_storage_ref_is_never_an_error(world: World) -> None:
    odd = ["null", "[]", "[1]", '"b"', "5", "{}", '{"key": "k"}', '{"bucket": "b", "key": null}']
    odd += [
        '{"bucket": 1, "key": {"k": "k"}}',
        '{"bucket": ["b"], "key": ["k"]}',
        '{"bucket": "b", "key": 7}',
    ]
    odd += ['{"bucket": "b", "key": "' + "k" * 9000 + '"}']
    for number, value in enumerate(odd):
        points(world, f"odd{number}", value)
    if world.url.startswith("sqlite"):
        points(world, "torn", '{"bucket": "b", "key": "k"')
        points(world, "deep", "[" * 5000)
    points(world, "good", '{"bucket": "b", "key": "k"}')
    assert world.store.videos_of_keys([ObjectRef("b", "k")]) == {ObjectRef("b", "k"): ["v-good"]}


def plans(world: World, job_id: str, value: str) -> None:
    """Let a new job's payload be this JSON."""
    world.submit(job_id)
    cast = ":p" if world.url.startswith("sqlite") else "CAST(:p AS JSONB)"
    world.sql(f"UPDATE jobs SET payload = {cast} WHERE id = :id", p=value, id=job_id)


def test_videos_are_found_by_the_objects_that_their_jobs_payloads_name(world: World) -> None:
    plans(world, "a", '{"artifacts": {"video": {"bucket": "b", "object_key": "k"}}}')
    plans(world, "c", '{"artifacts": {"audio": {"bucket": "b", "object_key": "k"}}}')
    plans(world, "d", '{"artifacts": {"video": {"object_key": "k"}, "audio": {"bucket": "b"}}}')
    plans(world, "e", '{"artifacts": {"video": {"bucket": "other", "object_key": "k"}}}')
    odd = ["null", "[]", '"k"', "5", '{"artifacts": 1}', '{"artifacts": {"video": "k"}}']
    odd += ['{"artifacts": {"video": {"bucket": 1, "object_key": {"k": "k"}}}}']
    odd += ['{"artifacts": {"audio": {"bucket": "b", "object_key": "' + "k" * 9000 + '"}}}']
    for number, value in enumerate(odd):
        plans(world, f"odd{number}", value)
    if world.url.startswith("sqlite"):
        plans(world, "torn", '{"artifacts": {"video": {"object_key": "k"')
    found = world.store.videos_of_payloads([ObjectRef("b", "k"), ObjectRef("z", "k"), ObjectRef("b", "j")])
    assert found == {ObjectRef("b", "k"): ["v-a", "v-c", "v-d"], ObjectRef("z", "k"): ["v-d"]}
    assert not world.store.videos_of_payloads([])


@pytest.mark.parametrize(
    ("method", "indexes"),
    [
        ("videos_of_keys", ("ix_ingest_videos_object", "ix_ingest_videos_pointer")),
        ("videos_of_payloads", ("ix_ingest_jobs_video_key", "ix_ingest_jobs_audio_key")),
    ],
)
def test_pointers_are_served_by_an_index(world: World, method: str, indexes: tuple[str, str]) -> None:
    asked: list[Any] = []
    store: Any = world.store
    all_of, store._all = store._all, lambda question: asked.append(question) or []
    getattr(store, method)([ObjectRef("b", f"k{n}") for n in range(3)])
    store._all = all_of
    literal = {"literal_binds": True}
    for question, index in zip(asked, indexes, strict=True):
        sql = str(question.compile(store._db._engine, compile_kwargs=literal))
        if world.url.startswith("sqlite"):
            plan = world.sql("EXPLAIN QUERY PLAN " + sql)
        else:
            indexed = World(with_option(world.url, "enable_seqscan%3Doff"))
            plan = indexed.sql("EXPLAIN " + sql)
            indexed.close()
        assert index in str(plan)


def test_json_null_is_no_metadata(world: World) -> None:
    world.submit("a")
    assert not world.store.lacks_metadata("v-a")
    world.sql("UPDATE videos SET metadata = 'null' WHERE id = 'v-a'")
    assert world.store.lacks_metadata("v-a")
    assert not world.store.lacks_metadata("nobody")


def test_checks_are_recorded_with_the_databases_time(world: World) -> None:
    refs = [put(world, "b", f"k{n:04}") for n in range(1100)]
    untouched = put(world, "b", "z")
    before = world.store.now()
    world.store.record_checks([Checked(ref, Verdict.CORRUPT, Level.CHECKSUM) for ref in refs])
    world.store.record_checks([])
    rows = {a.ref: a for a in world.store.artifacts("v")}
    assert {rows[ref].verdict for ref in refs} == {"corrupt"}
    assert all(
        before <= (rows[ref].verified_at or before - timedelta(1)) <= world.store.now() for ref in refs
    )
    assert (rows[untouched].verdict, rows[untouched].verified_at) == (None, None)
    levels = world.sql("SELECT DISTINCT verified_level AS level FROM ingest_artifacts WHERE key <> 'z'")
    assert [row["level"] for row in levels] == ["checksum"]


def test_twins_by_bytes_and_by_spelling(world: World) -> None:
    world.submit("a", of=source_of_url("https://www.media.example/x.mp4"))
    world.submit("slash", of=Source(SourceKind.EXTERNAL_URL, "http://media.example/x.mp4/"))
    world.submit("bytes")
    world.submit("other")
    for name, sha in (("a", "ab"), ("bytes", "ab"), ("other", "cd")):
        put(world, "b", name, video=f"v-{name}", sha=sha)
    put(world, "audio", "other", kind="audio", video="v-other", sha="ab")
    video = world.store.video("v-a")
    assert video is not None
    assert [v.id for v in world.store.twins(video)] == ["v-bytes", "v-slash"]
