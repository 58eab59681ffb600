"""Many jobs at once: drift both ways, stores that lie, and what a check of a fleet costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import JobFilter
from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import (
    DeadlineExceeded,
    ToolMissing,
)
from ingestctl.domain.stop import Stop
from ingestctl.domain.verification import Level
from ingestctl.media.ffmpeg_tool import FFmpegTool
from ingestctl.ops.audit import UPLOAD_AGE
from ingestctl.ops.reading import within
from ingestctl.ops.verify_many import in_sample, verify_many
from ingestctl.storage.base import UploadRequest
from tests.integration.test_verify import folder_place, place, s3_place
from tests.integration.verify_world import audit, fleet, recorded, verdicts
from tests.services import listing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.verify_world import Place

__all__ = ["place"]


def test_a_whole_fleet_is_whole(place: Place) -> None:
    fleet(place, 12)
    report = audit(place)
    assert verdicts(report) == {"intact": 24}
    assert (report.rows, report.objects, report.listing_requests, report.database_pages) == (24, 24, 2, 3)
    assert recorded(place) == {"intact"}


def test_drift_is_found_both_ways(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = fleet(place, 14)
    places = [place.refs(job) for job in jobs]
    place.remove(places[0][0])
    place.rewrite(places[1][1], b"audi")
    place.rewrite(places[2][0], b"vide0 2")
    place.rewrite(places[3][0], b"video 3")  # the same bytes again
    orphan = replace(places[4][0], key="videos/nobody/source.mp4")
    place.put(orphan, b"orphan", "video/mp4")
    legacy = replace(orphan, key="videos/legacy/source.mp4")
    place.put(legacy, b"legacy", "video/mp4")
    place.world.submit("legacy")
    place.world.sql(
        "UPDATE videos SET storage_bucket = :b, storage_key = :k WHERE id = 'v-legacy'",
        b=legacy.bucket, k=legacy.key,
    )  # fmt: skip
    kept = replace(orphan, key="quarantine/i1/x.mp4")
    place.put(kept, b"quarantined", "video/mp4")
    place.world.sql("DELETE FROM ingest_artifacts WHERE bucket = :b AND key = :k",
                    b=places[5][1].bucket, k=places[5][1].key)  # fmt: skip
    place.row(places[6][0], state="staged", etag=None)
    place.storage.begin(UploadRequest(places[7][0], "video/mp4")).append(b"x" * (17 << 20))

    young = audit(place)
    assert young.unfinished_uploads == 0
    monkeypatch.setattr("ingestctl.ops.audit.UPLOAD_AGE", timedelta(0))
    report = audit(place)

    found = {(str(b.finding.ref) if b.finding.ref else b.job_id, b.finding.verdict.value) for b in report.bad}
    assert found == {
        (str(places[0][0]), "missing"),
        (str(places[1][1]), "partial"),
        (str(places[2][0]), "corrupt"),
        (str(orphan), "foreign"),
        (str(places[5][1]), "foreign"),
        (str(places[7][0]), "partial"),
        (jobs[5].id, "partial"),
        (jobs[6].id, "partial"),
    }
    assert (report.orphans, report.unfinished_uploads, report.unrecorded_jobs) == (2, 1, 2)
    assert verdicts(report) == {"intact": 24, "missing": 1, "partial": 1, "corrupt": 1}, "rows alone"
    assert (report.checked, report.rows, report.not_listed) == (27, 27, 0)
    assert report.verdicts == set(Verdict) - {Verdict.UNKNOWN}
    assert timedelta(minutes=30) < UPLOAD_AGE
    by_ref = {a.ref: a.verdict for job in jobs for a in place.world.store.artifacts(job.video_id)}
    assert by_ref[places[0][0]] == "missing"
    assert by_ref[places[3][0]] == "intact", "written again with the same bytes"


def test_without_tools_or_scratch_nothing_is_judged(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    p = folder_place(request, tmp_path)
    job = fleet(p, 1)[0]

    def no_tools() -> Any:
        raise ToolMissing("ffprobe was not found")

    found = p.verifier(media=FFmpegTool(no_tools)).verify(job, Level.DECODE)
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]
    assert "ffprobe was not found" in found.findings[0].evidence

    (tmp_path / "file").write_text("")
    found = p.verifier(scratch_root=tmp_path / "file").verify(job, Level.DECODE)
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]
    p.rewrite(p.refs(job)[0], b"vide0 0")
    found = p.verifier(scratch_root=tmp_path / "file").verify(job, Level.DECODE)
    assert found.findings[0].verdict is Verdict.CORRUPT, "what is proved bad needs no scratch space"
    p.world.close()


def test_a_sample_is_the_same_every_time() -> None:
    ids = [f"job-{n}" for n in range(20_000)]
    five = {i for i in ids if in_sample(i, 5)}
    assert 900 < len(five) < 1100
    assert five == {i for i in ids if in_sample(i, 5)} < {i for i in ids if in_sample(i, 10)}
    assert all(in_sample(i, 100) for i in ids)


def test_a_rolling_audit_goes_on_where_it_stopped(place: Place) -> None:
    jobs = fleet(place, 5)
    store, checks = place.world.store, place.verifier()

    def due() -> list[str]:
        before = store.now() + timedelta(seconds=1)
        return [r.job.id for r in store.scan_least_verified(JobFilter(), verified_before=before)]

    first = verify_many(
        store, place.verifier(), store.scan(JobFilter(id_prefix=jobs[0].id)), Level.CHECKSUM, Stop()
    )
    assert (first.checked, first.complete) == (1, True)
    assert due()[-1] == jobs[0].id
    out_of_time = verify_many(
        store, place.verifier(), store.scan(JobFilter()), Level.EXISTS, Stop(), max_minutes=0
    )
    assert (out_of_time.checked, out_of_time.complete) == (0, False)
    rest = verify_many(store, checks, store.scan(JobFilter()), Level.EXISTS, Stop(), keep_all=True)
    assert rest.all is not None
    assert [v.job_id for v in rest.all] == [j.id for j in jobs]
    assert recorded(place) == {"intact"}


def test_what_takes_too_long_is_given_up() -> None:
    def work(check: Callable[[], None]) -> None:
        while True:
            time.sleep(0.01)
            check()

    with pytest.raises(DeadlineExceeded):
        within(0.1, "a test", work, Stop())


# --- cost

SEED = """
INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, size_bytes, sha256, etag)
SELECT '{bucket}', 'videos/v' || lpad(CAST(n AS text), 8, '0') || '/{suffix}', '{kind}',
       'v' || n, 'j' || n, 'r', 'stored', {size}, 'ab', '{etag}'
FROM generate_series(0, {last}) AS n
"""
MEASURE = """
import json, pathlib, sys
from ingestctl.db.engine import open_store
from ingestctl.domain.source import Buckets
from ingestctl.domain.stop import Stop
from ingestctl.ops.audit import FleetAudit
from ingestctl.ops.verify import Verifier
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
url, endpoint = sys.argv[1:]
store = open_store(url)
storage = S3Storage(S3Options(endpoint, access_key="a", secret_key="b"))
stop = Stop()
verifier = Verifier(store, storage, None, Buckets(), None, stop)
report = FleetAudit(store, storage, verifier, Buckets(), stop).run()
rss = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(json.dumps({"intact": report.counts["intact"], "lists": report.listing_requests, "bad": len(report.bad),
  "pages": report.database_pages, "rss": rss}))
"""


def cost(request: pytest.FixtureRequest, jobs: int) -> tuple[dict[str, int], dict[str, int]]:
    """Audit a fleet in a process of its own: its report, and what the listing server was asked."""
    url = request.getfixturevalue("postgres").create_database("migrated")
    from tests.contracts.jobstore_world import World

    world = World(url)
    for bucket, suffix in listing.BUCKETS.items():
        kind = "video" if suffix.endswith("mp4") else "audio"
        terms = {"bucket": bucket, "suffix": suffix, "kind": kind, "last": jobs - 1}
        world.sql(SEED.format(**terms, size=listing.SIZE, etag=listing.ETAG))
    world.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.services.listing", str(jobs)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        endpoint = json.loads(server.stdout.readline())["endpoint"]
        ran = subprocess.run(
            [sys.executable, "-c", MEASURE, url, endpoint], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        with urllib.request.urlopen(f"{endpoint}/counts") as reply:
            return json.loads(ran.stdout), json.load(reply)
    finally:
        server.terminate()
        server.wait()


def test_a_fleet_costs_one_listing_request_per_thousand_objects(request: pytest.FixtureRequest) -> None:
    small, _ = cost(request, 2000)
    report, asked = cost(request, 20_000)
    assert (report["intact"], report["bad"]) == (40_000, 0)
    assert asked == {"list": 40, "uploads": 2}
    assert (report["lists"], report["pages"]) == (40, 43)
    grown = report["rss"] - small["rss"]
    assert grown < 12_000, f"not flat: {small['rss']} KiB for 2,000 jobs, {report['rss']} for 20,000"


def test_an_s3_bucket_that_is_gone_is_no_finding(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    p = s3_place(request, tmp_path)
    job = fleet(p, 1)[0]
    gone = replace(p.buckets, video="t-nothing-here")
    place = replace(p, buckets=gone)
    p.world.sql("UPDATE jobs SET payload = NULL")
    found = place.look(job, Level.EXISTS)
    assert found.findings[0].verdict is Verdict.UNKNOWN
    p.world.close()
