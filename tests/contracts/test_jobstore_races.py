"""Many processes at one job store."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.engine import open_store
from ingestctl.domain.errors import Busy
from tests.contracts.jobstore_world import World, new_job, source

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 8
JOBS = 200


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    made.sql("UPDATE jobs SET status = 'canceled' WHERE id IN ('plat-pending', 'plat-legacy')")
    yield made
    made.close()


def _claim_all(url: str, name: int) -> list[str]:
    store = open_store(url, timeout_s=60)
    taken = []
    while claim := store.claim_next(owner=f"p{name}", lease_s=60, stale_after_s=60, max_attempts=3):
        taken.append(claim.job.id)
    store.close()
    return taken


def _submit(url: str, name: int) -> tuple[str, bool]:
    store = open_store(url, timeout_s=60)
    done = store.submit(new_job(f"job-{name}", "v-shared", of=source(-1)))
    store.close()
    return done.job.id, done.created


def _claim_one(url: str, name: int) -> bool:
    store = open_store(url, timeout_s=60)
    try:
        store.claim("only", owner=f"p{name}", lease_s=60, stale_after_s=60)
    except Busy:
        return False
    finally:
        store.close()
    return True


def _everywhere(work: Any, url: str) -> list[Any]:
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return pool.starmap(work, [(url, n) for n in range(PROCESSES)], chunksize=1)


def test_each_job_is_claimed_once(world: World) -> None:
    for n in range(JOBS):
        world.submit(f"job-{n}")
    taken = Counter(job for share in _everywhere(_claim_all, world.url) for job in share)
    assert taken == Counter(f"job-{n}" for n in range(JOBS))
    runs = world.sql("SELECT job_id, count(*) AS n FROM job_runs WHERE job_id LIKE 'job-%' GROUP BY job_id")
    assert len(runs) == JOBS
    assert {row["n"] for row in runs} == {1}


def test_one_submitter_creates(world: World) -> None:
    world.store.submit(new_job("gone", "v-shared", of=source(-1)))
    world.sql(
        "DELETE FROM jobs WHERE id = 'gone'"
    )  # the video is there, and nobody's insert makes others wait
    answers = _everywhere(_submit, world.url)
    assert sum(created for _, created in answers) == 1
    assert len({job for job, _ in answers}) == 1
    assert len(world.sql("SELECT id FROM jobs WHERE id LIKE 'job-%'")) == 1


def test_one_of_many_claims_by_id_wins(world: World) -> None:
    world.submit("only")
    assert sum(_everywhere(_claim_one, world.url)) == 1
