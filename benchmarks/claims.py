"""Claim and finish one job after another on one PostgreSQL, beside procrastinate's fetch and finish."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status

from benchmarks.figure import Figure, interleaved
from ingestctl.db.base import NewJob, VideoFacts
from ingestctl.db.engine import open_store
from ingestctl.domain.source import Buckets, Source, SourceKind, new_payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab import Lab
    from ingestctl.db.base import JobStore

JOBS = 200
QUEUE = "bench"


def claim_and_finish(lab: Lab) -> Iterator[Figure]:
    """The calls that a worker makes for a job, in two transactions each: to take it, and to end it.

    Theirs change one row and have triggers write the events. Ours lock job and video, look for other
    attempts at the video, and write run, job, video and events behind the fence.
    """
    store = open_store(lab.database_url)
    try:
        with asyncio.Runner() as runner:
            app = App(connector=PsycopgConnector(conninfo=lab.database_url.replace("+psycopg", "")))
            runner.run(opened(app))
            took = interleaved(
                {"ours": lambda: ours(store), "procrastinate": lambda: runner.run(procrastinate(app))},
                lab.rounds,
            )
            runner.run(app.close_async())
    finally:
        store.close()
    what = "claim + finish, 1 worker, per job"
    yield Figure(what, took["ours"], took["procrastinate"], "procrastinate fetch + finish", goal=1 / 1.5)


async def opened(app: App) -> None:
    await app.open_async()
    await app.schema_manager.apply_schema_async()


def ours(store: JobStore) -> float:
    """Seconds per job; submitting is not timed."""
    for _ in range(JOBS):
        name, video_id = uuid.uuid4().hex, str(uuid.uuid4())
        source = Source(SourceKind.EXTERNAL_URL, f"https://source.example/{name}.mp4")
        payload = new_payload(source, video_id, Buckets(), dedupe_key=name, submitted_by="bench")
        store.submit(NewJob(source, video_id, str(uuid.uuid4()), payload))
    began = time.perf_counter()
    for _ in range(JOBS):
        claim = store.claim_next(owner="bench", lease_s=60, stale_after_s=3600, max_attempts=5)
        assert claim is not None
        store.succeed(claim.lease, facts=VideoFacts(), artifacts=[], storage_ref={})
    return (time.perf_counter() - began) / JOBS


async def procrastinate(app: App) -> float:
    """The same number of jobs through the calls its worker makes."""
    manager = app.job_manager
    await app.configure_task("bench", queue=QUEUE, allow_unknown=True).batch_defer_async(*[{}] * JOBS)
    worker = await manager.register_worker()
    began = time.perf_counter()
    for _ in range(JOBS):
        job = await manager.fetch_job(queues=[QUEUE], worker_id=worker)
        assert job is not None
        await manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
    took = (time.perf_counter() - began) / JOBS
    await manager.unregister_worker(worker)
    return took
