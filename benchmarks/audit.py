"""`verify-artifacts --all --level exists` over a million objects: listing and rows, joined.

Objects are served by arithmetic (tests/services/listing.py), so that the client's cost is what is
measured: ours reads the listing and as many rows of PostgreSQL, and records what it found.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

import psycopg

from benchmarks.command import run
from benchmarks.figure import Figure
from benchmarks.lab import service
from ingestctl.domain.artifact import ObjectRef
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
from tests.services import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.command import Ran
    from benchmarks.lab import Lab

JOBS = int(os.environ.get("BENCH_AUDIT_JOBS", "500000"))
"""Two objects each."""
LIMIT_MIB = 250e6 / 2**20  # 250 MB
ASKED = 2000
"""Requests that the time of a million is extrapolated from."""
SEED = """
INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, size_bytes, sha256, etag)
SELECT %s, 'videos/v' || lpad(n::text, 8, '0') || '/' || %s, %s,
  'v' || n, 'j' || n, 'r', 'stored', %s, 'ab', %s
FROM generate_series(0, %s) AS n
"""


def audit(lab: Lab) -> Iterator[Figure]:
    """Beside `rclone lsf` of the same listing, which compares it with nothing, and one HEAD an object."""
    seed(lab.database_url)
    objects = 2 * JOBS
    with service("tests.services.listing", str(JOBS)) as server:
        endpoint = str(server["endpoint"])
        ran = lab.ingestctl("verify-artifacts", "--all", "--output", "json", endpoint=endpoint)
        data = json.loads(ran.stdout)["data"]
        assert data["counts"]["intact"] == objects, data["counts"]
        what = f"audit of {objects:,} objects"
        yield Figure(
            f"{what}: listing requests", data["listing_requests"], objects / 1000, "1 per 1,000", 1.0, ""
        )
        yield Figure(f"{what}: peak RSS", ran.peak_mib, LIMIT_MIB, "the limit", 1.0, "MiB")
        yield Figure(what, ran.seconds, one_by_one(endpoint) * objects, f"HEAD each, from {ASKED}", 0.5)
        if shutil.which("rclone"):
            listed = rclone(lab, endpoint)
            peak = max(r.peak_mib for r in listed)
            yield Figure(what, ran.seconds, sum(r.seconds for r in listed), "rclone lsf (lists only)", 0.33)
            yield Figure(f"{what}: peak RSS", ran.peak_mib, peak, "rclone lsf", 0.25, "MiB")
        else:
            print("rclone is not installed (Debian: apt install rclone): not measured", file=sys.stderr)


def seed(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("DELETE FROM ingest_artifacts")
        for bucket, suffix in listing.BUCKETS.items():
            kind = "video" if suffix.endswith("mp4") else "audio"
            connection.execute(SEED, (bucket, suffix, kind, listing.SIZE, listing.ETAG, JOBS - 1))
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE ingest_artifacts")


def one_by_one(endpoint: str) -> float:
    """Seconds that one HEAD takes through the same client, one after another."""
    storage = S3Storage(S3Options(endpoint, access_key="a", secret_key="b"))
    began = time.perf_counter()
    for number in range(ASKED):
        assert storage.stat(ObjectRef("raw-videos", listing.key_of(number, "source.mp4"))) is not None
    took = (time.perf_counter() - began) / ASKED
    storage.close()
    return took


def rclone(lab: Lab, endpoint: str) -> list[Ran]:
    """rclone listing each bucket: names, sizes and ETags, as much as ours compares."""
    ran = []
    for bucket in listing.BUCKETS:
        # Version 1, which rclone takes of servers it does not know, pages by a marker that ours ignores.
        server = f"provider=Other,list_version=2,endpoint='{endpoint}'"
        remote = f":s3,{server},access_key_id=a,secret_access_key=b:{bucket}"
        command = ["rclone", "lsf", "--recursive", "--fast-list", "--format", "psh", remote]
        ran.append(run(command, env=lab.aws_env(endpoint), cwd=lab.scratch))
    return ran
