"""Cleanup when things change under it, when storage refuses, when two come at once; undo and expiry."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import Busy, Exit, ObjectExists, StorageUnavailable
from ingestctl.domain.job import Status
from ingestctl.domain.plan import from_json, to_json
from tests.integration.cleanup_world import AUDIO, BROKEN, VIDEO, Refusing, Site, key, make_place, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["folder", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    place = make_place(request, tmp_path, request.param)
    yield Site(place)
    place.world.close()
    place.storage.close()


# --- plans that went stale


def test_a_new_object_under_the_key_makes_the_plan_stale(site: Site) -> None:
    job = site.with_bad_audio()
    plan = from_json(to_json(site.plan(job)))
    site.place.rewrite(site.place.refs(job)[1], AUDIO)
    before, rows = site.objects(), site.rows()
    (done,) = site.cleaner().apply(plan, reason="x")
    assert done.exit is Exit.CONFLICT
    assert "stale" in str(done.error)
    assert (site.objects(), site.rows(), site.status(job)) == (before, rows, "succeeded")
    assert site.store.incidents() == []


def test_an_object_replaced_after_the_second_look_is_left(site: Site) -> None:
    job = site.with_bad_audio()
    cleaner, plan = site.cleaner(), site.plan(job)
    again = cleaner._planner.again

    def then_replaced(*arguments: object) -> object:
        survey = again(*arguments)  # type: ignore[arg-type]
        site.place.rewrite(site.place.refs(job)[1], AUDIO)
        return survey

    cleaner._planner.again = then_replaced  # type: ignore[method-assign, assignment]
    (done,) = cleaner.apply(plan, reason="x")
    assert done.exit is Exit.CONFLICT
    assert site.objects() == {key(job, "source.mp4"): VIDEO, key(job, "audio.wav"): AUDIO}
    assert site.store.incident(done.incident).status == "closed"
    assert site.cleaner().unfinished(job) is None
    assert site.status(job) == "succeeded"


def test_applying_a_plan_twice_is_no_error(site: Site) -> None:
    job = site.with_bad_audio()
    plan = site.plan(job)
    (first,) = site.cleaner().apply(plan, reason="x")
    after = site.objects()
    (second,) = site.cleaner().apply(plan, reason="x")
    assert (second.incident, second.error, second.applied) == (first.incident, None, ())
    assert site.objects() == after


# --- stores that refuse


@pytest.mark.parametrize("method", ["delete", "copy"])
def test_a_refused_step_leaves_the_bytes_and_the_incident_open(site: Site, method: str) -> None:
    job = site.with_bad_audio()
    site.storage = Refusing(site.place.storage, method)  # type: ignore[assignment]
    done = site.clean(job)
    assert done.exit is Exit.UNAVAILABLE
    assert site.objects()[key(job, "audio.wav")] == BROKEN
    assert site.store.incident(done.incident).status == "open"
    assert (site.rows()[0], site.status(job)) == (("audio.wav", "stored"), "succeeded")
    site.storage = None
    again = site.clean(job)
    assert (again.incident, again.error) == (done.incident, None)
    assert sorted(site.objects().values()) == sorted([VIDEO, BROKEN])
    assert site.unfinished() == []


def test_half_done_says_what_was_done(site: Site) -> None:
    job = site.ingested()
    for ref, data in zip(site.place.refs(job), (VIDEO[:-1] + b"!", BROKEN), strict=True):
        site.place.rewrite(ref, data)
    real, calls = site.place.storage.delete, []

    def once(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) > 1:
            raise StorageUnavailable("storage went away")
        return real(*arguments, **options)  # type: ignore[arg-type]

    site.place.storage.delete = once  # type: ignore[method-assign, assignment]
    done = site.clean(job)
    site.place.storage.delete = real  # type: ignore[method-assign]
    assert done.exit is Exit.PARTIAL
    assert [(a.item.subject.value, a.outcome) for a in done.applied] == [("video", "quarantined")]
    assert site.objects()[key(job, "audio.wav")] == BROKEN
    again = site.clean(job)
    assert (again.error, again.incident) == (None, done.incident)
    assert [a.outcome for a in again.applied] == ["quarantined", "quarantined"]


def test_flipped_bits_on_read_are_no_reason_to_remove(site: Site) -> None:
    """Each read gives other bytes: nothing is proved."""
    job = site.ingested()
    real, count = site.place.storage.read, iter(range(1000))

    class Flipped:
        def __getattr__(self, name: str) -> object:
            return getattr(site.place.storage, name)

        def read(self, *arguments: object, **options: object) -> object:
            from contextlib import contextmanager

            @contextmanager
            def flipped() -> Iterator[Iterator[bytes]]:
                with real(*arguments, **options) as chunks:  # type: ignore[arg-type]
                    mark = str(next(count)).encode()
                    yield iter([mark + b"".join(chunks)[len(mark) :]])

            return flipped()

    site.storage = Flipped()  # type: ignore[assignment]
    plan = site.plan(job)
    assert not plan.destroyed
    assert refused(plan) >= {"video", "audio"}


# --- two at once


def test_two_cleanups_at_once_do_not_overlap(site: Site) -> None:
    job = site.with_bad_audio()
    plan = site.plan(job)
    entered, leave = threading.Event(), threading.Event()
    slow = site.cleaner()
    real = site.place.storage.copy

    def slowly(*arguments: object, **options: object) -> object:
        entered.set()
        assert leave.wait(30)
        return real(*arguments, **options)  # type: ignore[arg-type]

    site.place.storage.copy = slowly  # type: ignore[method-assign, assignment]
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(slow.apply(plan, reason="first")))
    thread.start()
    assert entered.wait(30)
    second = site.clean(job)
    assert isinstance(second.error, Busy)
    assert second.exit is Exit.BUSY
    site.store.reset(job.id, expect=Status.SUCCEEDED, actor="op", reason="again")
    with pytest.raises(Busy, match="cleanup"):
        site.place.world.claim(job.id)
    assert site.place.world.next() is None
    leave.set()
    thread.join()
    assert results[0].error is None  # type: ignore[attr-defined]
    assert sorted(site.objects().values()) == sorted([VIDEO, BROKEN])
    assert len(site.store.incidents()) == 1
    assert site.place.world.claim(job.id)


# --- undo and expire


def test_undo_puts_everything_back(site: Site) -> None:
    job = site.ingested()
    before = site.objects()
    done = site.clean(job, include_valid=True)
    assert site.rows() == []
    undone = site.undo(done.incident)
    assert undone.error is None
    assert site.objects() == before
    assert site.rows() == [("audio.wav", "staged"), ("source.mp4", "staged")]
    assert site.entries(done.incident)[-1] == "undone"
    stat = site.place.storage.stat(site.place.refs(job)[0])
    assert stat is not None
    assert (stat.content_type, (stat.metadata or {})["ingest-video"]) == ("video/mp4", job.video_id)
    assert "ingest-incident" not in (stat.metadata or {})
    assert site.undo(done.incident).error is None, "again is no error"
    assert site.objects() == before
    again = site.clean(job, include_valid=True)
    assert again.incident != done.incident


def test_undo_refuses_where_a_new_run_stored_something(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job)
    site.place.put(site.place.refs(job)[1], AUDIO, "audio/wav")
    before = site.objects()
    with pytest.raises(ObjectExists):
        site.quarantine().undo_plan(str(done.incident))
    assert site.objects() == before


def test_undo_meets_a_new_object_at_the_last_moment(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job)
    quarantine = site.quarantine()
    incident, plan = quarantine.undo_plan(str(done.incident))
    site.place.put(site.place.refs(job)[1], AUDIO, "audio/wav")
    before = site.objects()
    assert quarantine.undo(incident, plan, reason="x").exit is Exit.CONFLICT
    assert site.objects() == before


def test_expire_empties_old_quarantine_and_nothing_else(site: Site) -> None:
    job = site.with_bad_audio()
    done = site.clean(job)
    buckets = (site.place.buckets.video, site.place.buckets.audio)
    stray = ObjectRef(buckets[0], "quarantine/not-an-incident/x")
    site.place.put(stray, b"whose?", "video/mp4")
    assert site.quarantine().expire_plan(timedelta(days=30), buckets).items == ()
    plan = site.quarantine().expire_plan(timedelta(seconds=-60), buckets)
    assert [i.ref.key.split("/")[1] for i in plan.items if i.ref] == [done.incident]
    assert [str(r.ref) for r in plan.refusals] == [str(stray)]
    gone = site.quarantine().expire(plan, reason="old")
    assert gone.error is None
    assert site.objects() == {key(job, "source.mp4"): VIDEO, "video:quarantine/not-an-incident/x": b"whose?"}
