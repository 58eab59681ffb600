"""What every job store tells the escalation rules, and whether it can be written."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import RunError
from ingestctl.db.operator import Incident
from ingestctl.domain.errors import IngestError
from tests.contracts.jobstore_world import World, new_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestctl.db.operator import FailureFact

T0 = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    made.sql("DELETE FROM jobs")
    yield made
    made.close()


def facts(world: World, since: datetime, until: datetime, **more: Any) -> list[FailureFact]:
    return list(world.store.attempts_between(since, until, **more))  # type: ignore[attr-defined]


def ended(world: World, job_id: str, at: datetime, *, status: str = "failed", **columns: Any) -> None:
    """An attempt that ended at ``at``, as any worker may have left it."""
    stamp = at if "postgresql" in world.url else at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    number = world.sql("SELECT count(*) AS n FROM job_runs WHERE job_id = :j", j=job_id)[0]["n"] + 1
    values = {"finished_at": stamp, "error_code": None, "error_message": None, **columns}
    world.sql(
        "INSERT INTO job_runs (id, job_id, attempt, status, finished_at, updated_at, error_code,"
        " error_message, lease_owner) VALUES (:i, :j, :n, :s, :finished_at, :at, :error_code,"
        " :error_message, 'me@host:1:x')",
        i=f"{job_id}-{number}", j=job_id, n=number, s=status, at=stamp, **values,
    )  # fmt: skip


def test_attempts_come_oldest_first_once_each_whatever_the_page(world: World) -> None:
    for number in range(4):
        world.submit(f"j{number}")
        for minute in (3, 1, 1):  # equal moments: the id decides where a page ends
            ended(world, f"j{number}", T0 + timedelta(minutes=minute), error_code="rate_limited")
    for batch in (1, 2, 5, 100):
        found = facts(world, T0, T0 + timedelta(hours=1), batch=batch)
        assert len({f.run_id for f in found}) == len(found) == 12
        assert [f.at for f in found] == sorted(f.at for f in found)


def test_the_window_includes_its_begin_and_not_its_end(world: World) -> None:
    world.submit("j")
    for minute in (0, 5, 10):
        ended(world, "j", T0 + timedelta(minutes=minute))
    found = facts(world, T0, T0 + timedelta(minutes=10))
    assert [f.at for f in found] == [T0, T0 + timedelta(minutes=5)]


def test_what_each_attempt_says(world: World) -> None:
    world.store.submit(new_job("j", of=_source("https://WWW.Example.org/a.mp4")))
    ended(world, "j", T0, error_code="rate_limited")
    ended(world, "j", T0 + timedelta(seconds=1), error_code="E42", error_message="HTTP Error 429: Too Many")
    ended(world, "j", T0 + timedelta(seconds=2), status="completed")
    ended(world, "j", T0 + timedelta(seconds=3), finished_at=None, error_message="gibberish")
    ended(world, "j", T0 + timedelta(seconds=4), status="canceled")
    found = facts(world, T0, T0 + timedelta(hours=1))
    assert [f.cause for f in found] == ["rate_limited", "rate_limited", None, "internal"]
    assert {f.source for f in found} == {"example.org"}
    assert {f.owner for f in found} == {"me@host:1:x"}


def test_jobs_of_other_types_are_not_ours_to_count(world: World) -> None:
    world.submit("j")
    ended(world, "j", T0)
    world.sql("UPDATE jobs SET type = 'transcribe'")
    assert facts(world, T0, T0 + timedelta(hours=1)) == []


def test_a_dead_worker_nobody_replaced_counts_as_crashed(world: World) -> None:
    world.submit("dead")
    world.submit("alive")
    world.expired("dead")
    world.claim("alive")
    now = world.store.now()
    found = facts(world, now - timedelta(hours=1), now + timedelta(hours=1))
    assert [(f.job_id, f.cause, f.owner) for f in found] == [("dead", "worker_crashed", "zombie")]


def test_a_failure_of_this_program_is_seen_as_it_was_diagnosed(world: World) -> None:
    world.submit("j")
    world.store.fail(world.claim("j").lease, RunError("storage_error", "SlowDown"))
    now = world.store.now()
    [fact] = facts(world, now - timedelta(hours=1), now + timedelta(hours=1))
    assert (fact.cause, fact.owner) == ("storage_error", "me")


def test_what_a_cleanup_found_bad_counts_after_its_rows_are_forgotten(world: World) -> None:
    def row(name: str, verdict: str) -> None:
        world.sql(
            "INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, verified_at,"
            " verdict) VALUES ('b', :k, 'video', 'v', 'row', 'r', 'stored', :at, :v)",
            k=name, at=stamp(world, T0), v=verdict,
        )  # fmt: skip

    def item(name: str, verdict: str, etag: str | None = "e") -> dict[str, Any]:
        return {"ref": {"bucket": "b", "key": name}, "verdict": verdict, "etag": etag}

    row("still-bad", "corrupt")
    row("whole-again", "intact")
    plan = [item("still-bad", "corrupt"), item("whole-again", "corrupt"), item("forgotten", "partial")]
    plan += [item("fine", "intact"), item("upload", "partial", None), {"ref": None, "verdict": "corrupt"}]
    odd: list[Any] = [{"plan": {"items": plan}}, {"plan": {"items": plan[2:]}}, {}, {"plan": []}]
    store: Any = world.store
    for number, details in enumerate(odd):
        incident = Incident(f"c{number}", "cleanup", "open", "SEV-4", "t", "r", "op", T0, details=details)
        store.open_incident(replace(incident, job_id=f"cleaned{number}"))
    store.open_incident(Incident("other", "drill", "open", "SEV-4", "t", "r", "op", T0, details=odd[0]))
    world.sql("UPDATE ingest_incidents SET opened_at = :at", at=stamp(world, T0))
    day = timedelta(days=1)
    assert store.bad_checks_between(T0, T0 + day) == (3, 3, ["cleaned0", "row"])
    assert store.bad_checks_between(T0 - day, T0) == (0, 0, [])


def stamp(world: World, at: datetime) -> Any:
    return at if "postgresql" in world.url else at.strftime("%Y-%m-%d %H:%M:%S.000")


def test_bad_checks_are_counted_in_their_window(world: World) -> None:
    for number, verdict in enumerate(("intact", "corrupt", "partial", "missing", "corrupt")):
        at = T0 + timedelta(days=40 if number == 4 else 0)
        stamp = at if "postgresql" in world.url else at.strftime("%Y-%m-%d %H:%M:%S.000")
        world.sql(
            "INSERT INTO ingest_artifacts (bucket, key, kind, video_id, job_id, run_id, state, verified_at,"
            " verdict) VALUES ('b', :k, 'video', 'v', :k, 'r', 'stored', :at, :v)",
            k=f"j{number}", at=stamp, v=verdict,
        )  # fmt: skip
    store: Any = world.store
    assert store.bad_checks_between(T0, T0 + timedelta(days=1)) == (4, 2, ["j1", "j2"])
    assert store.bad_checks_between(T0 + timedelta(days=1), T0 + timedelta(days=2)) == (0, 0, [])


def test_reading_many_attempts_takes_the_memory_of_one_page(world: World) -> None:
    world.submit("j")
    numbers = (
        "SELECT generate_series(2, 20001) AS n"
        if "postgresql" in world.url
        else "WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < 20001) SELECT n FROM c"
    )
    ended(world, "j", T0, error_code="rate_limited")
    world.sql(
        "INSERT INTO job_runs (id, job_id, attempt, status, finished_at, updated_at, error_code) "
        "SELECT 'r' || n, 'j', n, 'failed', finished_at, updated_at, error_code "
        f"FROM ({numbers}) AS s, job_runs"
    )
    store: Any = world.store
    found = store.attempts_between(T0, T0 + timedelta(hours=1), batch=500)
    next(found)
    tracemalloc.start()
    try:
        assert sum(1 for _ in found) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000, f"{peak} bytes at once"


def test_the_pages_are_served_by_the_index(world: World) -> None:
    question = (
        "SELECT id FROM job_runs WHERE status IN ('failed', 'succeeded', 'completed') AND "
        "coalesce(finished_at, updated_at) < :t ORDER BY coalesce(finished_at, updated_at), id LIMIT 5"
    )
    if "postgresql" not in world.url:
        plan = world.sql("EXPLAIN QUERY PLAN " + question, t="2026-03-01")
    else:
        indexed = World(with_option(world.url, "enable_seqscan%3Doff"))
        plan = indexed.sql("EXPLAIN " + question, t=T0)
        indexed.close()
    assert "ix_ingest_runs_ended" in str(plan)
    assert "sort" not in str(plan).lower()
    assert "TEMP B-TREE" not in str(plan)


def test_a_database_that_cannot_be_written_says_so(world: World) -> None:
    store: Any = world.store
    before = world.everything()
    store.check_writable()
    assert world.everything() == before
    if "postgresql" not in world.url:
        return
    read_only = World(with_option(world.url, "default_transaction_read_only%3Don"))
    try:
        with pytest.raises(IngestError):
            read_only.store.check_writable()  # type: ignore[attr-defined]
    finally:
        read_only.close()


def with_option(url: str, option: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}options=-c%20{option}"


def _source(url: str) -> Any:
    from ingestctl.domain.source import source_of_url

    return source_of_url(url)
