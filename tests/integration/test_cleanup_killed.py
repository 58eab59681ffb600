"""Killed between any two steps, cleanup and undo are finished by the same command: nothing lost or twice."""

from __future__ import annotations

import os
import signal
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.engine import open_store
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.local import LocalStorage
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
from tests.integration.cleanup_world import BROKEN, VIDEO, Site, make_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ingestctl.domain.job import Job

WRITES = {
    "copy",
    "delete",
    "abort",
    "hold",
    "note_incident",
    "settle_cleanup",
    "settle_undo",
    "close_incident",
}
"""Every call that changes anything. Between two of them only reading is done."""


class Deadly:
    """Kills the process before the n-th call that changes something (which is: after the one before it)."""

    def __init__(self, inner: Any, count: list[int], fatal: int) -> None:
        self._inner, self._count, self._fatal = inner, count, fatal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in WRITES:
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            self._count[0] += 1
            if self._fatal == self._count[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **options)

        return call


@pytest.fixture(params=["folder", "s3"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    place = make_place(request, tmp_path, request.param)
    yield Site(place)
    place.world.close()
    place.storage.close()


def in_child(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    site: Site,
    fatal: int,
    work: Callable[[Site], object],
) -> bool:
    """Run ``work`` in a process of its own, with connections of its own. True if it was killed."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or status == 0, "it failed by itself"
        return os.WIFSIGNALED(status)
    code = 1
    try:
        count = [0]
        place = site.place
        if place.s3 is None:
            storage: Any = LocalStorage(tmp_path / "objects")
        else:
            server = request.getfixturevalue("s3_server")
            storage = S3Storage(
                S3Options(server.endpoint, access_key=server.access, secret_key=server.secret)
            )
        place.storage = Deadly(storage, count, fatal)
        place.world.store = Deadly(open_store(place.world.url), count, fatal)  # type: ignore[assignment]
        done: Any = work(site)
        code = 0 if done is None or done.error is None else 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wreck(site: Site) -> Job:
    """Both objects broken, one row's object gone is not possible then: an unfinished upload beside them."""
    job = site.with_bad_audio()
    site.place.rewrite(site.place.refs(job)[0], VIDEO[::-1])
    session = site.place.storage.begin(UploadRequest(site.place.refs(job)[0], "video/mp4"))
    session.append(b"left behind")
    return job


def settled(site: Site, job: Job) -> dict[str, Any]:
    """What the world looks like afterwards, with the incident's id left out."""
    (incident,) = site.store.incidents(job_id=job.id)
    return {
        "objects": {k.replace(incident.id, "I"): v for k, v in site.objects().items()},
        "rows": site.rows(),
        "unfinished": site.unfinished(),
        "status": site.status(job),
        "incident": incident.status,
        "requeued": [e.event_type for e in site.store.events(job.id)].count("ingestion.job.requeued"),
    }


def finish(site: Site, job: Job, work: Callable[[Site], Any]) -> Any:
    """The same command again: busy while the dead one's hold lasts, then it finishes what was begun."""
    done = work(site)
    if done is not None and done.error is not None:
        assert done.error.code == "busy", done.error
        site.place.world.sql(
            "UPDATE ingest_incidents SET lease_expires_at = opened_at WHERE job_id = :id", id=job.id
        )
        done = work(site)
    assert done is None or done.error is None, done.error
    return done


def steps(request: pytest.FixtureRequest, tmp_path: Path, site: Site, make: Any, work: Any) -> Iterator[Job]:
    """A fresh wreck for each step, the command killed there; ends when it was not killed any more."""
    for number in range(1, 40):
        job = make(site)
        if not in_child(request, tmp_path, site, number, lambda s, job=job: work(s, job)):
            assert number > 8, "it was killed at every step"
            return
        yield job
        for bucket in (site.place.buckets.video, site.place.buckets.audio):
            for info in list(site.place.storage.list_objects(bucket)):
                site.place.storage.delete(info.ref, if_match=info.etag)
        site.place.world.sql("DELETE FROM ingest_artifacts")
    pytest.fail("it never finished")


def clean(site: Site, job: Job) -> Any:
    if site.cleaner().unfinished(job) is None and not site.plan(job).changes:
        return None  # nothing to clean up
    return site.clean(job)


def test_cleanup(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> None:
    seen = 0
    for job in steps(request, tmp_path, site, wreck, clean):
        finish(site, job, lambda s, job=job: clean(s, job))
        end = settled(site, job)
        assert end == {
            "objects": {
                f"video:quarantine/I/videos/{job.video_id}/source.mp4": VIDEO[::-1],
                f"audio:quarantine/I/videos/{job.video_id}/audio.wav": BROKEN,
            },
            "rows": [],
            "unfinished": [],
            "status": "queued",
            "incident": "closed",
            "requeued": 1,
        }
        seen += 1
    assert seen >= 12


def test_undo(request: pytest.FixtureRequest, tmp_path: Path, site: Site) -> None:
    def cleaned(site: Site) -> Job:
        job = wreck(site)
        assert site.clean(job).error is None
        return job

    def undo(site: Site, job: Job) -> Any:
        (incident,) = site.store.incidents(job_id=job.id)
        return site.undo(incident.id)

    for job in steps(request, tmp_path, site, cleaned, undo):
        finish(site, job, lambda s, job=job: undo(s, job))
        end = settled(site, job)
        assert end["objects"] == {
            f"video:videos/{job.video_id}/source.mp4": VIDEO[::-1],
            f"audio:videos/{job.video_id}/audio.wav": BROKEN,
        }
        assert (end["rows"], end["unfinished"]) == ([("audio.wav", "staged"), ("source.mp4", "staged")], [])
        assert site.entries(site.store.incidents(job_id=job.id)[0].id).count("undone") == 1
